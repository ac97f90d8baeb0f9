//! Buffers on their way between the thread that submits pictures and the one that takes outputs.
//!
//! The submitting thread takes a free input and a free output, fills the one and hands both to the driver. Outputs are
//! due in the order of submission, as soon as the driver says so; then the other thread waits for each, hands its
//! picture on and gives the buffers back. An input is free when its own picture was taken, wherever that came out: with
//! B frames that is not the output that it was handed over with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::backend::nvidia::driver::nvenc_buffers::{InputBuffer, OutputBuffer};
use crate::backend::nvidia::driver::nvenc_names::kind;
use crate::backend::{BackendKind, EncodeEvent, EncodeSink, EncodedUnit};
use crate::error::{Error, Result};
use crate::packet::PictureType;

/// What both threads share.
pub(super) struct Flow {
    state: Mutex<State>,
    changed: Condvar,
    sink: Mutex<EncodeSink>,
}

#[derive(Default)]
struct State {
    free_inputs: Vec<InputBuffer>,
    free_outputs: Vec<OutputBuffer>,
    /// Inputs of pictures inside the driver, by serial.
    busy: BTreeMap<u64, InputBuffer>,
    /// The picture that is being handed over: the driver may code it before its input is in `busy`.
    entering: Option<u64>,
    /// Outputs that may be locked, in order.
    due: VecDeque<OutputBuffer>,
    /// Outputs handed over whose picture was not told yet.
    outstanding: usize,
    failure: Option<Error>,
    /// Nobody takes results any more.
    gone: bool,
    /// Nothing will be due any more.
    closing: bool,
    /// The thread that takes outputs has ended.
    ended: bool,
}

/// The thread that takes outputs; ends and is waited for when dropped.
pub(super) struct Reaper {
    flow: Arc<Flow>,
    thread: Option<JoinHandle<()>>,
}

impl Flow {
    pub(super) fn new(inputs: Vec<InputBuffer>, outputs: Vec<OutputBuffer>, sink: EncodeSink) -> Arc<Self> {
        let state = State { free_inputs: inputs, free_outputs: outputs, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), sink: Mutex::new(sink) })
    }

    /// Panics elsewhere leave nothing half done here: the critical sections move buffers and count.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an event on; may block while the session's consumer does not take results.
    pub(super) fn tell(&self, event: EncodeEvent) {
        let taken = (self.sink.lock().unwrap_or_else(PoisonError::into_inner))(event);
        if !taken {
            self.lock().gone = true;
            self.changed.notify_all();
        }
    }

    /// An input and an output that nobody uses, waiting for them. `None`: nobody takes results any more.
    ///
    /// # Errors
    /// What ended the session.
    pub(super) fn take(&self) -> Result<Option<(InputBuffer, OutputBuffer)>> {
        let mut state = self.lock();
        loop {
            state.check()?;
            if state.gone {
                return Ok(None);
            }
            if !state.free_inputs.is_empty()
                && let Some(output) = state.free_outputs.pop()
                && let Some(input) = state.free_inputs.pop()
            {
                return Ok(Some((input, output)));
            }
            state = self.wait(state);
        }
    }

    /// The buffers were not used after all.
    pub(super) fn put_back(&self, input: InputBuffer, output: OutputBuffer) {
        let mut state = self.lock();
        state.entering = None;
        state.free_inputs.push(input);
        state.free_outputs.push(output);
    }

    /// The picture is about to be handed to the driver.
    pub(super) fn entering(&self, serial: u64) {
        self.lock().entering = Some(serial);
    }

    /// The driver has taken the picture.
    pub(super) fn entered(&self, serial: u64, input: InputBuffer) {
        let mut state = self.lock();
        state.entering = None;
        state.busy.insert(serial, input);
        state.outstanding += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// The output may be locked, behind those before it.
    pub(super) fn due(&self, output: OutputBuffer) {
        self.lock().due.push_back(output);
        self.changed.notify_all();
    }

    /// Waits until every picture inside was told.
    ///
    /// # Errors
    /// What ended the session.
    pub(super) fn drain(&self) -> Result<()> {
        let mut state = self.lock();
        loop {
            state.check()?;
            if state.outstanding == 0 || state.gone {
                return Ok(());
            }
            state = self.wait(state);
        }
    }

    /// Puts other inputs in the place of all that there are; none may be in use.
    pub(super) fn replace_inputs(&self, inputs: Vec<InputBuffer>) {
        let old = std::mem::replace(&mut self.lock().free_inputs, inputs);
        // Outside the lock: destroying them calls the driver.
        drop(old);
    }

    /// Takes outputs until there will be no more.
    fn run(&self) {
        while let Some(mut output) = self.next() {
            match take_picture(&mut output) {
                Ok(picture) => self.done(picture, output),
                Err(error) => {
                    self.fail(error);
                    // The driver has the output still: once it was locked and unlocked, it may be destroyed. What is
                    // in it is of no use: pictures refer to the one that was lost.
                    let _ = take_picture(&mut output);
                    self.lock().free_outputs.push(output);
                }
            }
        }
    }

    fn next(&self) -> Option<OutputBuffer> {
        let mut state = self.lock();
        loop {
            if let Some(output) = state.due.pop_front() {
                return Some(output);
            }
            if state.closing {
                return None;
            }
            state = self.wait(state);
        }
    }

    fn done(&self, picture: EncodedUnit, output: OutputBuffer) {
        let mut state = self.lock();
        while state.entering == Some(picture.serial) && !state.busy.contains_key(&picture.serial) {
            state = self.wait(state);
        }
        let input = state.busy.remove(&picture.serial);
        let known = input.is_some();
        state.free_inputs.extend(input);
        state.free_outputs.push(output);
        let told = state.failure.is_some();
        drop(state);
        self.changed.notify_all();
        if known {
            // After a failure every picture inside was told as lost already.
            if !told {
                self.tell(EncodeEvent::Unit(picture));
            }
        } else if !told {
            self.fail(Error::Backend {
                backend: BackendKind::Nvidia,
                call: "nvEncLockBitstream",
                code: 0,
                detail: format!("a picture came out with the time stamp {}, which none has", picture.serial),
            });
        }
        let mut state = self.lock();
        state.outstanding = state.outstanding.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing can come any more: every picture inside is lost for this reason.
    fn fail(&self, error: Error) {
        let mut state = self.lock();
        if state.failure.is_some() {
            return;
        }
        let lost: Vec<u64> = state.busy.keys().copied().collect();
        state.failure = Some(error.again());
        drop(state);
        self.changed.notify_all();
        for serial in lost {
            self.tell(EncodeEvent::Failed { serial, error: error.again() });
        }
    }
}

impl State {
    fn check(&self) -> Result<()> {
        match &self.failure {
            Some(error) => Err(error.again()),
            None if self.ended => Err(Error::Backend {
                backend: BackendKind::Nvidia,
                call: "nvEncLockBitstream",
                code: 0,
                detail: "the thread that takes coded pictures has ended".to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// Waits for the picture of an output and copies it out.
fn take_picture(output: &mut OutputBuffer) -> Result<EncodedUnit> {
    let coded = output.lock()?;
    Ok(EncodedUnit {
        serial: coded.timestamp,
        data: Bytes::copy_from_slice(coded.data()),
        keyframe: coded.kind == kind::IDR,
        picture_type: match coded.kind {
            kind::IDR => Some(PictureType::Idr),
            kind::I => Some(PictureType::I),
            kind::P => Some(PictureType::P),
            kind::B => Some(PictureType::B),
            _ => None,
        },
    })
}

impl Reaper {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread.
    pub(super) fn start(flow: &Arc<Flow>) -> Result<Self> {
        /// Whoever waits must not wait for a thread that is gone, however it went.
        struct Ended<'a>(&'a Flow);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                self.0.lock().ended = true;
                self.0.changed.notify_all();
            }
        }
        let shared = Arc::clone(flow);
        let thread = std::thread::Builder::new()
            .name("nvenc output".to_owned())
            .spawn(move || {
                let ended = Ended(&shared);
                ended.0.run();
            })
            .map_err(|source| Error::io("start a thread for", "NVENC's outputs", source))?;
        Ok(Self { flow: Arc::clone(flow), thread: Some(thread) })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.flow.lock().closing = true;
        self.flow.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there was noticed by whoever waited for its pictures.
            let _ = thread.join();
        }
    }
}
