//! Compression sessions.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use super::abi::{FRAME_DROPPED, Ref, Time};
use super::arrivals::{Arrivals, Place, Registry};
use super::calling;
use super::foundation::{Cf, Dictionary, boolean, constant, integer, known, values};
use super::library::api;
use super::media::SampleBuffer;
use super::pixels::{PixelBuffer, PixelBufferPool};
use super::status::Status;
use crate::error::{Error, Remedy, Result};

static SESSIONS: Registry<Coded> = Registry::new();

/// What became of a picture.
#[derive(Debug)]
pub(crate) struct Coded {
    /// The number that it was given with.
    pub(crate) serial: u64,
    pub(crate) status: Status,
    /// The encoder left it out.
    pub(crate) dropped: bool,
    pub(crate) sample: Option<SampleBuffer>,
}

/// What kind of encoder is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) codec_type: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// `kCVPixelFormatType_*` of the pictures.
    pub(crate) pixel_format: u32,
    /// One that runs on the CPU will not do.
    pub(crate) hardware_alone: bool,
    /// Rate control that holds no frame back.
    pub(crate) low_latency_rate: bool,
}

impl Wanted {
    fn specification(&self) -> Result<Dictionary> {
        let yes = boolean(true)?;
        let mut specification = Dictionary::new()?;
        let mut ask = |name: &str| {
            constant(name).map(|key| {
                if let Some(key) = key {
                    specification.set(&key, &yes);
                    return true;
                }
                false
            })
        };
        ask("kVTVideoEncoderSpecification_EnableHardwareAcceleratedVideoEncoder")?;
        if self.hardware_alone {
            ask("kVTVideoEncoderSpecification_RequireHardwareAcceleratedVideoEncoder")?;
        }
        if self.low_latency_rate && !ask("kVTVideoEncoderSpecification_EnableLowLatencyRateControl")? {
            return Err(Status::PROPERTY_NOT_SUPPORTED.error("VTCompressionSessionCreate"));
        }
        Ok(specification)
    }
}

/// The properties that an encoder knows.
#[derive(Clone, Debug)]
pub(crate) struct Properties(Option<Dictionary>);

impl Properties {
    /// Whether it knows the one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        let key = constant(name).ok().flatten();
        key.zip(self.0.as_ref()).is_some_and(|(key, known)| known.get(&key).is_some())
    }

    /// Whether the one of this name may have this constant as its value. Where nothing tells which values there are, it may.
    pub(crate) fn takes(&self, name: &str, value: &str) -> bool {
        let constant = |name: &str| constant(name).ok().flatten();
        let described = constant(name).zip(self.0.as_ref()).and_then(|(key, known)| known.get(&key));
        let list = described.zip(constant("kVTPropertySupportedValueListKey"));
        let list = list.and_then(|(described, key)| Dictionary::of(described).get(&key));
        list.zip(constant(value)).is_none_or(|(list, value)| values(&list).contains(&value))
    }
}

/// The properties of the encoder that [`Compression::new`] would open; `None`: there is none.
///
/// # Errors
/// No frameworks.
pub(crate) fn properties_of(wanted: &Wanted) -> Result<Option<Properties>> {
    let api = api()?;
    let specification = wanted.specification()?;
    let (mut name, mut found): (Ref, Ref) = (ptr::null(), ptr::null());
    let (status, _name, found) = calling("VTCopySupportedPropertyDictionaryForEncoder", || {
        // SAFETY: the dictionary is read during the call; what is written passes to us.
        unsafe {
            let status = (api.VTCopySupportedPropertyDictionaryForEncoder)(
                wanted.width as i32,
                wanted.height as i32,
                wanted.codec_type,
                specification.value().object(),
                &raw mut name,
                &raw mut found,
            );
            (status, Cf::created(api, name), Cf::created(api, found))
        }
    });
    match Status(status).ok("VTCopySupportedPropertyDictionaryForEncoder") {
        Ok(()) => Ok(Some(Properties(found.map(Dictionary::of)))),
        Err(Error::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `VTCompressionSession`.
pub(crate) struct Compression {
    session: Cf,
    place: Place<Coded>,
    force_key: Dictionary,
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression").field("number", &self.place.number).finish_non_exhaustive()
    }
}

impl Compression {
    /// Opens a session.
    ///
    /// # Errors
    /// No such encoder, none free.
    pub(crate) fn new(wanted: &Wanted) -> Result<Self> {
        let api = api()?;
        let specification = wanted.specification()?;
        let side = |value: u32| integer(i64::from(value));
        let attributes = Dictionary::new()?
            .with("kCVPixelBufferPixelFormatTypeKey", &side(wanted.pixel_format)?)?
            .with("kCVPixelBufferWidthKey", &side(wanted.width)?)?
            .with("kCVPixelBufferHeightKey", &side(wanted.height)?)?
            .with("kCVPixelBufferIOSurfacePropertiesKey", Dictionary::new()?.value())?;
        let force_key = Dictionary::new()?.with("kVTEncodeFrameOptionKey_ForceKeyFrame", &boolean(true)?)?;
        let place = SESSIONS.enter();
        let mut out: Ref = ptr::null();
        let (status, session) = calling("VTCompressionSessionCreate", || {
            // SAFETY: the dictionaries are read during the call, and what it makes passes to us; the callback gets a number.
            unsafe {
                let status = (api.VTCompressionSessionCreate)(
                    ptr::null(),
                    wanted.width as i32,
                    wanted.height as i32,
                    wanted.codec_type,
                    specification.value().object(),
                    attributes.value().object(),
                    ptr::null(),
                    on_coded,
                    place.number as *mut c_void,
                    &raw mut out,
                );
                (status, Cf::created(api, out))
            }
        });
        let session = session.map(|session| Self { session, place, force_key });
        Status(status).ok("VTCompressionSessionCreate")?;
        session.ok_or_else(|| Status(-12903).error("VTCompressionSessionCreate"))
    }

    /// The properties that its encoder knows.
    ///
    /// # Errors
    /// The session is over.
    pub(crate) fn properties(&self) -> Result<Properties> {
        let api = self.session.api();
        let mut found: Ref = ptr::null();
        // SAFETY: the session is alive; what is written passes to us.
        let (status, found) = unsafe {
            let status =
                (api.VTSessionCopySupportedPropertyDictionary)(self.session.object(), &raw mut found);
            (status, Cf::created(api, found))
        };
        Status(status).ok("VTSessionCopySupportedPropertyDictionary")?;
        Ok(Properties(found.map(Dictionary::of)))
    }

    /// Sets a property by its name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the encoder does not know it, or not this value.
    pub(crate) fn set(&self, name: &'static str, value: &Cf) -> Result<()> {
        let refused = |why: &str| Error::Unsupported {
            feature: format!("{name} with this encoder of VideoToolbox ({why})"),
            remedy: Remedy::OtherBackend,
        };
        let key = constant(name)?.ok_or_else(|| refused("this system does not know it"))?;
        // SAFETY: all three are alive.
        let status = calling("VTSessionSetProperty", || unsafe {
            (self.session.api().VTSessionSetProperty)(self.session.object(), key.object(), value.object())
        });
        match Status(status) {
            Status::OK => Ok(()),
            // Not supported, read only, a wrong parameter in two spellings.
            status @ Status(-12900 | -12901 | -12902 | -50) => Err(refused(status.message())),
            status => Err(status.error("VTSessionSetProperty")),
        }
    }

    /// The value of a property; `None`: it does not tell.
    pub(crate) fn get(&self, name: &str) -> Option<Cf> {
        let key = constant(name).ok()??;
        let api = self.session.api();
        let mut out: Ref = ptr::null();
        // SAFETY: room for a reference that passes to us.
        unsafe {
            let status =
                (api.VTSessionCopyProperty)(self.session.object(), key.object(), ptr::null(), &raw mut out);
            Cf::created(api, out).filter(|_| status == 0)
        }
    }

    /// Has it take what it needs, now and not with the first picture.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn prepare(&self) -> Result<()> {
        // SAFETY: the session is alive.
        let status = calling("VTCompressionSessionPrepareToEncodeFrames", || unsafe {
            (self.session.api().VTCompressionSessionPrepareToEncodeFrames)(self.session.object())
        });
        Status(status).ok("VTCompressionSessionPrepareToEncodeFrames")
    }

    /// Where its pictures come from.
    ///
    /// # Errors
    /// It has no pool.
    pub(crate) fn pool(&self) -> Result<PixelBufferPool> {
        let api = self.session.api();
        // SAFETY: the session is alive, and the pool is its own.
        let pool =
            unsafe { Cf::borrowed(api, (api.VTCompressionSessionGetPixelBufferPool)(self.session.object())) };
        let none = || Status(-12903).error("VTCompressionSessionGetPixelBufferPool");
        pool.map(PixelBufferPool::of).ok_or_else(none)
    }

    /// Gives it a picture to be shown at this time (in nanoseconds). What becomes of it arrives later, under this number.
    ///
    /// # Errors
    /// The picture was not taken.
    pub(crate) fn encode(
        &self,
        picture: &PixelBuffer,
        (time, duration): (i64, i64),
        force_key: bool,
        serial: u64,
    ) -> Result<()> {
        let options = if force_key { self.force_key.value().object() } else { ptr::null() };
        let status = calling("VTCompressionSessionEncodeFrame", || {
            // SAFETY: session, picture and options are alive, and the session keeps the picture as long as it needs it; the
            // frame's reference is a number and never read through.
            unsafe {
                (self.session.api().VTCompressionSessionEncodeFrame)(
                    self.session.object(),
                    picture.object(),
                    Time::nanoseconds(time),
                    Time::nanoseconds(duration),
                    options,
                    serial as usize as *mut c_void,
                    ptr::null_mut(),
                )
            }
        });
        Status(status).ok("VTCompressionSessionEncodeFrame")
    }

    /// Has everything come that was given.
    ///
    /// # Errors
    /// The session is over.
    pub(crate) fn complete(&self) -> Result<()> {
        // SAFETY: the session is alive; an invalid time stands for all of them.
        let status = calling("VTCompressionSessionCompleteFrames", || unsafe {
            (self.session.api().VTCompressionSessionCompleteFrames)(self.session.object(), Time::INVALID)
        });
        Status(status).ok("VTCompressionSessionCompleteFrames")
    }

    /// Where what it has coded arrives.
    pub(crate) fn arriving(&self) -> Arriving {
        Arriving(Arc::clone(&self.place.arrivals))
    }
}

/// What a session has coded, for a thread that waits for it.
#[derive(Clone)]
pub(crate) struct Arriving(Arc<Arrivals<Coded>>);

impl Arriving {
    /// Waits until something has arrived; `false`: until [`Self::close`].
    pub(crate) fn wait(&self) -> bool {
        self.0.wait()
    }

    /// What has arrived.
    pub(crate) fn take(&self) -> VecDeque<Coded> {
        self.0.take(Duration::ZERO)
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    /// Of no session: what the function is given arrives.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (Self, impl Fn(Coded)) {
        let place = SESSIONS.enter();
        let own = Self(Arc::clone(&place.arrivals));
        let arrives = move |coded| {
            // The whole of it: what arrives at a place that is gone is lost.
            let place = &place;
            SESSIONS.arrived(place.number, || coded);
        };
        (own, arrives)
    }
}

impl Drop for Compression {
    fn drop(&mut self) {
        // SAFETY: the session is alive, and nobody uses it afterwards. A callback that is still on its way finds no queue.
        calling("VTCompressionSessionInvalidate", || unsafe {
            (self.session.api().VTCompressionSessionInvalidate)(self.session.object());
        });
    }
}

/// A dictionary of a sample aspect ratio.
///
/// # Errors
/// No frameworks.
pub(crate) fn aspect_ratio(horizontal: u32, vertical: u32) -> Result<Cf> {
    let ratio = Dictionary::new()?
        .with("kCMFormatDescriptionKey_PixelAspectRatioHorizontalSpacing", &integer(i64::from(horizontal))?)?
        .with("kCMFormatDescriptionKey_PixelAspectRatioVerticalSpacing", &integer(i64::from(vertical))?)?;
    Ok(ratio.value().clone())
}

/// A constant that is the value of a property.
///
/// # Errors
/// [`Error::Unsupported`] where this system does not know it.
pub(crate) fn value(name: &'static str) -> Result<Cf> {
    known(name).map_err(|error| match error {
        Error::Unavailable { .. } if api().is_ok() => Error::Unsupported {
            feature: format!("{name} with VideoToolbox of this system"),
            remedy: Remedy::OtherBackend,
        },
        error => error,
    })
}

/// Runs on a thread of VideoToolbox.
unsafe extern "C" fn on_coded(
    session: *mut c_void,
    frame: *mut c_void,
    status: i32,
    flags: u32,
    sample: Ref,
) {
    SESSIONS.arrived(session as usize, || Coded {
        serial: frame as usize as u64,
        status: Status(status),
        dropped: flags & FRAME_DROPPED != 0,
        // SAFETY: a sample that comes is alive during the callback; the frameworks are loaded, or nobody would call.
        sample: api().ok().and_then(|api| unsafe { Cf::borrowed(api, sample) }).map(SampleBuffer::of),
    });
}
