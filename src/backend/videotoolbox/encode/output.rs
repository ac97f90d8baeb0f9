//! The way out: a thread hands packets on as soon as they are there, so that none waits for the next frame. What the session's
//! thread has to know of it, and what it has to wait for, is behind one lock.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::backend::videotoolbox::driver::compression::{Arriving, Coded};
use crate::backend::videotoolbox::driver::media::{LENGTH_SIZE, SampleBuffer};
use crate::backend::{BackendKind, EncodeEvent, EncodeSink, EncodedUnit};
use crate::bitstream::annexb::nal_units;
use crate::bitstream::convert::length_prefixed_to_annexb;
use crate::bitstream::{h264, hevc};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::hang;
use crate::memory;
use crate::packet::PictureType;
use crate::stages::EncodeMeter;
use crate::sync::{lock, whole};

/// The way out of a compression session; its thread ends and is waited for when dropped.
pub(super) struct Output {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    arriving: Arriving,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    sink: EncodeSink,
    gone: bool,
    codec: Codec,
    /// Numbers of the frames inside.
    inside: VecDeque<u64>,
    /// Something is lost that the next frame would refer to.
    broken: bool,
    /// The encoder can do no more.
    death: Option<Error>,
    /// Bytes of the lengths in samples.
    length_size: u8,
    meter: Arc<EncodeMeter>,
}

impl Output {
    /// # Errors
    /// No thread.
    pub(super) fn new(
        codec: Codec,
        arriving: Arriving,
        sink: EncodeSink,
        meter: &Arc<EncodeMeter>,
    ) -> Result<Self> {
        let state = State {
            sink,
            gone: false,
            codec,
            inside: VecDeque::new(),
            broken: false,
            death: None,
            length_size: LENGTH_SIZE,
            meter: Arc::clone(meter),
        };
        let shared = Arc::new(Shared { arriving, state: Mutex::new(state), changed: Condvar::new() });
        let own = Arc::clone(&shared);
        let thread = hang::spawn("vhw-vt-coded", move || {
            while own.arriving.wait() {
                own.collect();
            }
        });
        let thread =
            thread.map_err(|source| Error::io("start a thread for", "VideoToolbox's packets", source))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether the session has gone away.
    pub(super) fn is_gone(&self) -> bool {
        lock(&self.shared.state).gone
    }

    /// A frame goes into the encoder; how many are inside then.
    pub(super) fn enter(&self, serial: u64) -> usize {
        let mut state = lock(&self.shared.state);
        state.inside.push_back(serial);
        state.inside.len()
    }

    /// The frame that was just entered was not taken.
    pub(super) fn withdraw(&self, serial: u64) {
        lock(&self.shared.state).inside.retain(|inside| *inside != serial);
    }

    /// Whether the next frame must begin anew, since something is lost; asked once for each loss.
    pub(super) fn was_broken(&self) -> bool {
        std::mem::take(&mut lock(&self.shared.state).broken)
    }

    pub(super) fn failed(&self, serial: u64, error: Error) {
        lock(&self.shared.state).send(EncodeEvent::Failed { serial, error });
    }

    /// Waits until no more than `most` frames are inside. `false`: nothing has moved for as long as `patience`.
    ///
    /// # Errors
    /// The encoder has told that it can do no more.
    pub(super) fn settle(&self, most: usize, patience: Duration) -> Result<bool> {
        let mut state = lock(&self.shared.state);
        while state.inside.len() > most && state.death.is_none() && !state.gone {
            let before = state.inside.len();
            let meter = Arc::clone(&state.meter);
            let waited = meter.lock.time(|| {
                hang::during(
                    BackendKind::VideoToolbox,
                    "VTCompressionOutputCallback",
                    hang::DRIVER_CALL,
                    || {
                        let still = |state: &mut State| state.inside.len() == before && state.death.is_none();
                        whole(self.shared.changed.wait_timeout_while(state, patience, still))
                    },
                )
            });
            state = waited.0;
            if waited.1.timed_out() {
                return Ok(false);
            }
        }
        state.death.take().map_or(Ok(true), Err)
    }

    /// Everything has come that will: what came is handed on, and what did not is lost.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(super) fn finish(&self, completed: Result<()>) -> Result<()> {
        self.shared.collect();
        let mut state = lock(&self.shared.state);
        state.death.take().map_or(completed, Err)?;
        while let Some(serial) = state.inside.pop_front() {
            let error = wrong("it told nothing of this frame".to_owned());
            state.send(EncodeEvent::Failed { serial, error });
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.shared.arriving.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Hands on what has come. Whoever does it holds the lock meanwhile, so that packets keep their order.
    fn collect(&self) {
        let mut state = lock(&self.state);
        for coded in self.arriving.take() {
            state.deliver(coded);
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn deliver(&mut self, Coded { serial, status, dropped, sample }: Coded) {
        let before = self.inside.len();
        self.inside.retain(|inside| *inside != serial);
        if self.inside.len() == before {
            // Nobody waits for it: a second answer, or one to a frame that was not taken.
            return;
        }
        match (status.ok("VTCompressionOutputCallback"), sample) {
            (Err(error), _) if error.is_recoverable() => {
                self.send(EncodeEvent::Failed { serial, error });
            }
            (Err(error), _) => {
                self.inside.push_front(serial);
                self.death.get_or_insert(error);
            }
            (Ok(()), Some(sample)) if !dropped => match self.unit(serial, &sample) {
                Ok(unit) => self.send(EncodeEvent::Unit(unit)),
                Err(error) if error.is_recoverable() => {
                    self.broken = true;
                    self.send(EncodeEvent::Failed { serial, error });
                }
                Err(error) => {
                    self.death.get_or_insert(error);
                }
            },
            (Ok(()), _) => {
                let reason = "dropped by the encoder's rate control";
                self.send(EncodeEvent::Dropped { serial, reason });
            }
        }
    }

    /// The access unit of a sample, with its parameter sets where decoding can start.
    fn unit(&mut self, serial: u64, sample: &SampleBuffer) -> Result<EncodedUnit> {
        let meter = Arc::clone(&self.meter);
        meter.copy.time(|| {
            let bytes = sample.bytes()?;
            let keyframe = sample.is_sync()?;
            let mut out = Vec::new();
            if keyframe {
                (out, self.length_size) = sample.format()?.parameter_sets(self.codec)?;
            }
            memory::grow(&mut out, bytes.len())?;
            length_prefixed_to_annexb(&bytes, self.length_size, &mut out)
                .map_err(|error| wrong(format!("a sample that cannot be read: {error}")))?;
            self.meter.copied_out(out.len() as u64);
            let picture_type = picture_type(self.codec, &out, keyframe);
            Ok(EncodedUnit { serial, data: out.into(), keyframe, picture_type })
        })
    }

    fn send(&mut self, event: EncodeEvent) {
        if !self.gone {
            self.gone = !(self.sink)(event);
        }
    }
}

fn wrong(detail: String) -> Error {
    Error::Backend {
        backend: BackendKind::VideoToolbox,
        call: "VTCompressionSessionEncodeFrame",
        code: 0,
        detail,
    }
}

/// What is known of a picture's type from its NAL units.
fn picture_type(codec: Codec, unit: &[u8], keyframe: bool) -> Option<PictureType> {
    let is_idr = |nal| match codec {
        Codec::H264 => h264::nal_type(nal) == Some(h264::NAL_IDR),
        _ => hevc::nal_type(nal).is_some_and(hevc::is_idr),
    };
    if nal_units(unit).any(is_idr) {
        return Some(PictureType::Idr);
    }
    keyframe.then_some(PictureType::I)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_pictures_are_read_from_their_units() {
        assert_eq!(
            picture_type(Codec::H264, &[0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 1], true),
            Some(PictureType::Idr)
        );
        assert_eq!(picture_type(Codec::Hevc, &[0, 0, 1, 42, 1, 1], true), Some(PictureType::I));
        assert_eq!(picture_type(Codec::H264, &[0, 0, 1, 0x41, 1], false), None);
    }
}
