//! Decompression sessions.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::time::Duration;

use super::abi::{DECODE_ASYNCHRONOUSLY, DecompressionCallbackRecord, FRAME_DROPPED, Ref, Time};
use super::arrivals::{Place, Registry};
use super::calling;
use super::foundation::{Cf, Dictionary, boolean, constant, integer};
use super::library::api;
use super::media::{FormatDescription, SampleBuffer};
use super::pixels::PixelBuffer;
use super::status::Status;
use crate::config::VtHardware;
use crate::error::Result;

static SESSIONS: Registry<Decoded> = Registry::new();

/// What became of a unit.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The number that it was given with.
    pub(crate) serial: u64,
    pub(crate) status: Status,
    /// The decoder left it out.
    pub(crate) dropped: bool,
    pub(crate) picture: Option<PixelBuffer>,
}

/// `VTDecompressionSession`.
pub(crate) struct Decompression {
    session: Cf,
    place: Place<Decoded>,
}

impl fmt::Debug for Decompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompression").field("number", &self.place.number).finish_non_exhaustive()
    }
}

/// Whether this machine has hardware for a codec. What macOS keeps apart (VP9) is asked for first.
///
/// # Errors
/// No frameworks.
pub(crate) fn has_hardware(codec_type: u32, is_supplemental: bool) -> Result<bool> {
    let api = api()?;
    if let Some(register) = api.register_decoder.filter(|_| is_supplemental) {
        // SAFETY: takes a number, and may be called at any time and again.
        calling("VTRegisterSupplementalVideoDecoderIfAvailable", || unsafe { register(codec_type) });
    }
    // SAFETY: takes a number.
    Ok(calling("VTIsHardwareDecodeSupported", || unsafe { (api.VTIsHardwareDecodeSupported)(codec_type) })
        != 0)
}

impl Decompression {
    /// Opens a session that gives pictures of this `kCVPixelFormatType_*`.
    ///
    /// # Errors
    /// No such decoder for the stream, none free.
    pub(crate) fn new(
        format: &FormatDescription,
        pixel_format: u32,
        hardware: VtHardware,
        real_time: bool,
    ) -> Result<Self> {
        let api = api()?;
        let yes = boolean(true)?;
        let mut specification = Dictionary::new()?;
        let mut ask = |name: &'static str, value: &Cf| -> Result<()> {
            constant(name)?.into_iter().for_each(|key| specification.set(&key, value));
            Ok(())
        };
        let enabled = boolean(hardware != VtHardware::Never)?;
        ask("kVTVideoDecoderSpecification_EnableHardwareAcceleratedVideoDecoder", &enabled)?;
        if hardware == VtHardware::Require {
            ask("kVTVideoDecoderSpecification_RequireHardwareAcceleratedVideoDecoder", &yes)?;
        }
        let attributes = Dictionary::new()?
            .with("kCVPixelBufferPixelFormatTypeKey", &integer(i64::from(pixel_format))?)?
            .for_devices()?;
        let place = SESSIONS.enter();
        let record =
            DecompressionCallbackRecord { callback: on_decoded, refcon: place.number as *mut c_void };
        let mut out: Ref = ptr::null();
        let (status, session) = calling("VTDecompressionSessionCreate", || {
            // SAFETY: the dictionaries and the record are read during the call, and what it makes passes to us; the callback
            // gets a number.
            unsafe {
                let status = (api.VTDecompressionSessionCreate)(
                    ptr::null(),
                    format.object(),
                    specification.value().object(),
                    attributes.value().object(),
                    &raw const record,
                    &raw mut out,
                );
                (status, Cf::created(api, out))
            }
        });
        // Before the status, so that a session that came with one is ended.
        let session = session.map(|session| Self { session, place });
        if Status(status) != Status::OK {
            return Err(Status(status).refusal("VTDecompressionSessionCreate"));
        }
        let session = session.ok_or_else(|| Status(-12903).error("VTDecompressionSessionCreate"))?;
        if real_time && let Some(key) = constant("kVTDecompressionPropertyKey_RealTime")? {
            // A hint, which a decoder need not know.
            // SAFETY: all three are alive.
            unsafe { (api.VTSessionSetProperty)(session.session.object(), key.object(), yes.object()) };
        }
        Ok(session)
    }

    /// Whether hardware works for it; `None`: it does not tell.
    pub(crate) fn is_on_hardware(&self) -> Option<bool> {
        let key = constant("kVTDecompressionPropertyKey_UsingHardwareAcceleratedVideoDecoder").ok()??;
        let api = self.session.api();
        let mut out: Ref = ptr::null();
        // SAFETY: room for a reference that passes to us.
        let value = unsafe {
            let status =
                (api.VTSessionCopyProperty)(self.session.object(), key.object(), ptr::null(), &raw mut out);
            Cf::created(api, out).filter(|_| status == 0)
        };
        value?.as_bool()
    }

    /// Whether samples of this description can be given to it.
    pub(crate) fn accepts(&self, format: &FormatDescription) -> bool {
        // SAFETY: both are alive.
        unsafe {
            (self.session.api().VTDecompressionSessionCanAcceptFormatDescription)(
                self.session.object(),
                format.object(),
            ) != 0
        }
    }

    /// Gives it a sample. What becomes of it arrives later, under this number; after an error, perhaps not.
    ///
    /// # Errors
    /// The sample was not taken.
    pub(crate) fn decode(&self, sample: &SampleBuffer, serial: u64) -> Result<()> {
        let status = calling("VTDecompressionSessionDecodeFrame", || {
            // SAFETY: session and sample are alive; the frame's reference is a number and never read through.
            unsafe {
                (self.session.api().VTDecompressionSessionDecodeFrame)(
                    self.session.object(),
                    sample.object(),
                    DECODE_ASYNCHRONOUSLY,
                    serial as usize as *mut c_void,
                    ptr::null_mut(),
                )
            }
        });
        Status(status).ok("VTDecompressionSessionDecodeFrame")
    }

    /// Has everything come that was given.
    ///
    /// # Errors
    /// The session is over.
    pub(crate) fn finish(&self) -> Result<()> {
        let (api, session) = (self.session.api(), self.session.object());
        let steps = [
            ("VTDecompressionSessionFinishDelayedFrames", api.VTDecompressionSessionFinishDelayedFrames),
            (
                "VTDecompressionSessionWaitForAsynchronousFrames",
                api.VTDecompressionSessionWaitForAsynchronousFrames,
            ),
        ];
        for (name, step) in steps {
            // SAFETY: the session is alive.
            let status = Status(calling(name, || unsafe { step(session) }));
            // Bad data is a frame's affair, whose callback tells of it; the others are to come all the same.
            if !status.is_bad_data() {
                status.ok(name)?;
            }
        }
        Ok(())
    }

    /// What has arrived; where nothing has, it is waited for so long.
    pub(crate) fn arrived(&self, patience: Duration) -> VecDeque<Decoded> {
        calling("VTDecompressionOutputCallback", || self.place.arrivals.take(patience))
    }
}

impl Drop for Decompression {
    fn drop(&mut self) {
        // SAFETY: the session is alive, and nobody uses it afterwards. A callback that is still on its way finds no queue.
        calling("VTDecompressionSessionInvalidate", || unsafe {
            (self.session.api().VTDecompressionSessionInvalidate)(self.session.object());
        });
    }
}

/// Runs on a thread of VideoToolbox.
unsafe extern "C" fn on_decoded(
    session: *mut c_void,
    frame: *mut c_void,
    status: i32,
    flags: u32,
    image: Ref,
    _presentation: Time,
    _duration: Time,
) {
    SESSIONS.arrived(session as usize, || Decoded {
        serial: frame as usize as u64,
        status: Status(status),
        dropped: flags & FRAME_DROPPED != 0,
        // SAFETY: an image that comes is alive during the callback; the frameworks are loaded, or nobody would call.
        picture: api().ok().and_then(|api| unsafe { Cf::borrowed(api, image) }).map(PixelBuffer::of),
    });
}
