//! The way out: a thread hands packets on as soon as they are there, so that none waits for the next frame. What the session's
//! thread has to know of it, and what it has to wait for, is behind a lock of its own, which nobody holds while a consumer is
//! slow to take a packet.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
    meter: Arc<EncodeMeter>,
    /// Held by whoever hands on, so that packets keep their order.
    way: Mutex<Way>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Where packets go.
struct Way {
    sink: EncodeSink,
    codec: Codec,
    /// Bytes of the lengths in samples.
    length_size: u8,
}

#[derive(Default)]
struct State {
    /// The frames inside: their numbers, and whether a key frame was asked for.
    inside: VecDeque<(u64, bool)>,
    /// Packets are on their way to a consumer, who may take his time.
    delivers: bool,
    /// Nobody takes packets any more.
    gone: bool,
    /// Something is lost that the next frame would refer to.
    broken: bool,
    /// The encoder can do no more.
    death: Option<Error>,
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
        let shared = Arc::new(Shared {
            arriving,
            meter: Arc::clone(meter),
            way: Mutex::new(Way { sink, codec, length_size: LENGTH_SIZE }),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
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

    /// A frame goes into the encoder, `is_key` as a key frame; how many are inside then.
    pub(super) fn enter(&self, serial: u64, is_key: bool) -> usize {
        let mut state = lock(&self.shared.state);
        state.inside.push_back((serial, is_key));
        state.inside.len()
    }

    /// The frame that was just entered was not taken.
    pub(super) fn withdraw(&self, serial: u64) {
        lock(&self.shared.state).leave(serial);
    }

    /// Whether the next frame must begin anew, since something is lost; asked once for each loss.
    pub(super) fn was_broken(&self) -> bool {
        std::mem::take(&mut lock(&self.shared.state).broken)
    }

    pub(super) fn failed(&self, serial: u64, error: Error) {
        self.shared.send(&mut lock(&self.shared.way), EncodeEvent::Failed { serial, error });
    }

    /// Waits until no more than `most` frames are inside. `false`: nothing has come for as long as `patience`.
    ///
    /// # Errors
    /// The encoder has told that it can do no more.
    pub(super) fn settle(&self, most: usize, patience: Duration) -> Result<bool> {
        let mut waited = Duration::ZERO;
        let settled = self.wait(most, patience, &mut waited);
        // One time for each frame, as of encoders that wait before they take one.
        self.shared.meter.wait.record(waited);
        settled
    }

    /// Waits like [`Self::settle`], and adds to `waited` only the time spent on the encoder.
    fn wait(&self, most: usize, patience: Duration, waited: &mut Duration) -> Result<bool> {
        let shared = &*self.shared;
        let mut state = lock(&shared.state);
        while state.inside.len() > most && state.death.is_none() && !state.gone {
            if state.delivers {
                state = whole(shared.changed.wait(state));
                continue;
            }
            let before = state.inside.len();
            let asked = Instant::now();
            let (kept, timeout) = hang::during(
                BackendKind::VideoToolbox,
                "VTCompressionOutputCallback",
                hang::DRIVER_CALL,
                || {
                    let still = |state: &mut State| {
                        state.inside.len() == before && state.death.is_none() && !state.delivers
                    };
                    whole(shared.changed.wait_timeout_while(state, patience, still))
                },
            );
            *waited += asked.elapsed();
            state = kept;
            if timeout.timed_out() {
                return Ok(false);
            }
        }
        state.death.take().map_or(Ok(true), Err)
    }

    /// Everything has come that will, and is handed on.
    ///
    /// # Errors
    /// As [`Self::settle`]; something has not come: an encoder that does not work, whose frames another one may code.
    pub(super) fn finish(&self, completed: Result<()>) -> Result<()> {
        self.shared.collect();
        let mut state = lock(&self.shared.state);
        state.death.take().map_or(completed, Err)?;
        if state.inside.is_empty() { Ok(()) } else { Err(wrong("it told nothing of a frame".to_owned())) }
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
    /// Hands on what has come.
    fn collect(&self) {
        let mut way = lock(&self.way);
        let _delivers = Delivers::begin(self);
        for coded in self.arriving.take() {
            self.deliver(&mut way, coded);
        }
    }

    /// Hands on what became of a frame, which is inside until that is done.
    fn deliver(&self, way: &mut Way, Coded { serial, status, dropped, sample }: Coded) {
        let Some(was_key) = lock(&self.state).find(serial) else {
            // Nobody waits for it: a second answer, or one to a frame that was not taken.
            return;
        };
        let made = match (status.ok("VTCompressionOutputCallback"), sample) {
            (Ok(()), Some(sample)) if !dropped => {
                way.unit(serial, &sample, &self.meter).map(EncodeEvent::Unit)
            }
            (Ok(()), _) => {
                // Whatever refers to a key frame that was asked for lacks it.
                lock(&self.state).broken |= was_key;
                Ok(EncodeEvent::Dropped { serial, reason: "dropped by the encoder's rate control" })
            }
            (Err(error), _) => Err(error),
        };
        match made {
            Ok(event) => self.send(way, event),
            Err(error) if error.is_recoverable() => {
                lock(&self.state).broken = true;
                self.send(way, EncodeEvent::Failed { serial, error });
            }
            Err(error) => {
                lock(&self.state).death.get_or_insert(error);
                return;
            }
        }
        lock(&self.state).leave(serial);
    }

    fn send(&self, way: &mut Way, event: EncodeEvent) {
        let is_gone = lock(&self.state).gone;
        if !is_gone && !(way.sink)(event) {
            lock(&self.state).gone = true;
        }
    }
}

/// Packets are on their way to a consumer as long as this lives.
struct Delivers<'a>(&'a Shared);

impl<'a> Delivers<'a> {
    fn begin(shared: &'a Shared) -> Self {
        lock(&shared.state).delivers = true;
        shared.changed.notify_all();
        Self(shared)
    }
}

impl Drop for Delivers<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).delivers = false;
        self.0.changed.notify_all();
    }
}

impl State {
    /// Whether a frame that is inside was to be a key frame.
    fn find(&self, serial: u64) -> Option<bool> {
        self.inside.iter().find(|(inside, _)| *inside == serial).map(|(_, is_key)| *is_key)
    }

    fn leave(&mut self, serial: u64) {
        self.inside.retain(|(inside, _)| *inside != serial);
    }
}

impl Way {
    /// The access unit of a sample, with its parameter sets where decoding can start.
    fn unit(&mut self, serial: u64, sample: &SampleBuffer, meter: &EncodeMeter) -> Result<EncodedUnit> {
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
            meter.copied_out(out.len() as u64);
            let picture_type = picture_type(self.codec, &out, keyframe);
            Ok(EncodedUnit { serial, data: out.into(), keyframe, picture_type })
        })
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
    use crate::backend::videotoolbox::driver::status::Status;

    /// Somebody who takes no packet for a while is not an encoder that holds back, and what came is lost for nobody.
    #[test]
    fn a_slow_consumer_is_waited_for() {
        let (arriving, arrives) = Arriving::by_hand();
        let (taken, take) = std::sync::mpsc::sync_channel(0);
        let sink: EncodeSink = Box::new(move |event| taken.send(event).is_ok());
        let output = Output::new(Codec::H264, arriving, sink, &Arc::default()).unwrap();
        let dropped = |serial| Coded { serial, status: Status::OK, dropped: true, sample: None };
        let patience = Duration::from_millis(20);
        output.enter(1, false);
        assert!(!output.settle(0, patience).unwrap(), "nothing has come");
        arrives(dropped(1));
        while !lock(&output.shared.state).delivers {
            std::thread::sleep(patience);
        }
        let consumer = std::thread::spawn(move || {
            std::thread::sleep(10 * patience);
            let got: Vec<_> = take.iter().take(3).collect();
            drop(take);
            got
        });
        assert!(output.settle(0, patience).unwrap(), "it came, and was taken late");
        assert!(!output.was_broken());
        let patience = 1000 * patience;
        // A key frame that is dropped, and a frame that is lost: what follows lacks them.
        output.enter(2, true);
        arrives(dropped(2));
        assert!(output.settle(0, patience).unwrap() && output.was_broken());
        output.enter(3, false);
        arrives(Coded { status: Status(-12909), dropped: false, ..dropped(3) });
        assert!(output.settle(0, patience).unwrap() && output.was_broken());
        output.finish(Ok(())).unwrap();
        let got = consumer.join().unwrap();
        let kinds = got.iter().map(|event| match event {
            EncodeEvent::Dropped { serial, .. } => (*serial, "dropped"),
            EncodeEvent::Failed { serial, .. } => (*serial, "failed"),
            _ => panic!("{event:?}"),
        });
        assert_eq!(kinds.collect::<Vec<_>>(), [(1, "dropped"), (2, "dropped"), (3, "failed")]);
        // Nobody is there any more; and an encoder that can do no more.
        output.enter(4, false);
        arrives(dropped(4));
        assert!(output.settle(0, patience).unwrap() && output.is_gone());
        output.enter(5, false);
        assert!(matches!(output.finish(Ok(())), Err(Error::Backend { .. })), "nothing is told of it");
        arrives(Coded { status: Status(-12903), dropped: false, ..dropped(5) });
        assert!(matches!(output.finish(Ok(())), Err(Error::DeviceLost { .. })));
    }

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
