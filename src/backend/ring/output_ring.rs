//! Buffers on their way between the thread that submits pictures and the one that takes outputs.
//!
//! The submitting thread takes a free output, brings the picture to where the driver reads it and hands both over. Outputs
//! are due in the order of submission, as soon as the driver says so; then the other thread waits for each, hands its
//! picture on and gives the buffers back. An input is free when its own picture was taken, wherever that came out: with
//! B frames that is not the output that it was handed over with. Free outputs are what bounds the number of pictures
//! inside.
//!
//! What buffers, pictures and errors are is the traffic's business ([`Traffic`]): this file needs neither a driver nor
//! the rest of the library, and `models/` holds it against every order in which its threads can run.

use std::collections::{BTreeMap, VecDeque};

use super::sync::{Arc, Condvar, JoinHandle, Mutex, MutexGuard, PoisonError, spawn};

/// What goes through a [`OutputRing`], and where it goes.
pub(crate) trait Traffic: Send + 'static {
    /// Memory that a picture is written to, while none uses it.
    type Spare: Send;
    /// Where a picture lies that is inside.
    type Input: Send;
    /// Memory that a coded picture comes in.
    type Output: Send;
    /// A coded picture.
    type Picture;
    /// Why something is lost.
    type Error: Send;
    /// What the consumer is told.
    type Event;

    /// Waits for the picture of an output and takes it out, so that the output can be used again. Called without any lock
    /// held; the outputs come in the order in which they were due.
    fn collect(output: &mut Self::Output) -> Result<Self::Picture, Self::Error>;

    /// The picture of an input was taken: the memory that others can be written to.
    ///
    /// # Errors
    /// The input, if it has none; it is dropped with no lock held.
    fn spare(input: Self::Input) -> Result<Self::Spare, Self::Input>;

    /// Which picture it is.
    fn serial(picture: &Self::Picture) -> u64;

    /// The picture in the consumer's words.
    fn arrived(picture: Self::Picture) -> Self::Event;

    /// The loss of a picture in the consumer's words.
    fn lost(serial: u64, error: Self::Error) -> Self::Event;

    /// The same error once more.
    fn again(error: &Self::Error) -> Self::Error;

    /// A picture came out that never went in.
    fn stranger(serial: u64) -> Self::Error;

    /// The thread that takes outputs is gone.
    fn abandoned() -> Self::Error;

    /// Hands an event on; may block while the consumer does not take results. `false`: nobody ever will again.
    fn deliver(&mut self, event: Self::Event) -> bool;
}

/// What both threads share.
pub(crate) struct OutputRing<T: Traffic> {
    state: Mutex<State<T>>,
    changed: Condvar,
    traffic: Mutex<T>,
}

struct State<T: Traffic> {
    spares: Vec<T::Spare>,
    free_outputs: Vec<T::Output>,
    /// Inputs of pictures inside the driver, by serial.
    busy: BTreeMap<u64, T::Input>,
    /// The picture that is being handed over: the driver may code it before its input is in `busy`.
    entering: Option<u64>,
    /// Outputs that may be locked, in order.
    due: VecDeque<T::Output>,
    /// Outputs handed over whose picture was not told yet.
    outstanding: usize,
    /// Outputs that are due, or on their way from there.
    coming: usize,
    failure: Option<T::Error>,
    /// Nobody takes results any more.
    gone: bool,
    /// Nothing will be due any more.
    closing: bool,
    /// The thread that takes outputs has ended.
    ended: bool,
}

/// The thread that takes outputs; ends and is waited for when dropped.
pub(crate) struct Reaper<T: Traffic> {
    ring: Arc<OutputRing<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Traffic> OutputRing<T> {
    pub(crate) fn new(outputs: Vec<T::Output>, traffic: T) -> Arc<Self> {
        let state = State {
            spares: Vec::new(),
            free_outputs: outputs,
            busy: BTreeMap::new(),
            entering: None,
            due: VecDeque::new(),
            outstanding: 0,
            coming: 0,
            failure: None,
            gone: false,
            closing: false,
            ended: false,
        };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), traffic: Mutex::new(traffic) })
    }

    /// Panics elsewhere leave nothing half done here: the critical sections move buffers and count.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the other thread may wait for.
    fn change<R>(&self, how: impl FnOnce(&mut State<T>) -> R) -> R {
        let changed = how(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Hands an event on; may block while the session's consumer does not take results.
    pub(crate) fn tell(&self, event: T::Event) {
        let taken = self.traffic.lock().unwrap_or_else(PoisonError::into_inner).deliver(event);
        if !taken {
            self.change(|state| state.gone = true);
        }
    }

    /// An output that nobody uses, waiting for it. `None`: nobody takes results any more.
    ///
    /// # Errors
    /// What ended the session.
    pub(crate) fn take(&self) -> Result<Option<T::Output>, T::Error> {
        let mut state = self.lock();
        loop {
            state.check()?;
            if state.gone {
                return Ok(None);
            }
            if let Some(output) = state.free_outputs.pop() {
                return Ok(Some(output));
            }
            state = self.wait(state);
        }
    }

    /// Memory for a picture that none uses, if there is any.
    pub(crate) fn spare(&self) -> Option<T::Spare> {
        self.lock().spares.pop()
    }

    /// Lets go of the memory that no picture uses.
    pub(crate) fn drop_spares(&self) {
        // Dropped outside the lock: that calls the driver.
        let spares = std::mem::take(&mut self.lock().spares);
        drop(spares);
    }

    /// The picture was not handed over after all.
    pub(crate) fn put_back(&self, spare: Option<T::Spare>, output: T::Output) {
        self.change(|state| {
            state.entering = None;
            state.spares.extend(spare);
            state.free_outputs.push(output);
        });
    }

    /// The picture is about to be handed to the driver.
    pub(crate) fn entering(&self, serial: u64) {
        self.lock().entering = Some(serial);
    }

    /// The driver has taken the picture. Gives the number of those inside.
    pub(crate) fn entered(&self, serial: u64, input: T::Input) -> usize {
        self.change(|state| {
            state.entering = None;
            state.busy.insert(serial, input);
            state.outstanding += 1;
            state.busy.len()
        })
    }

    /// The output may be locked, behind those before it.
    pub(crate) fn due(&self, output: T::Output) {
        self.change(|state| {
            state.due.push_back(output);
            state.coming += 1;
        });
    }

    /// Waits until every picture inside was told.
    ///
    /// # Errors
    /// What ended the session.
    pub(crate) fn drain(&self) -> Result<(), T::Error> {
        let mut state = self.lock();
        loop {
            state.check()?;
            if state.outstanding == 0 || state.gone {
                return Ok(());
            }
            state = self.wait(state);
        }
    }

    /// Waits until every output that is due was told, and no longer: for drivers that say when nothing more comes. Gives the
    /// number of pictures inside that nothing came of.
    ///
    /// # Errors
    /// What ended the session.
    pub(crate) fn settle(&self) -> Result<usize, T::Error> {
        let mut state = self.lock();
        loop {
            state.check()?;
            if state.gone {
                return Ok(0);
            }
            if state.coming == 0 {
                return Ok(state.outstanding);
            }
            state = self.wait(state);
        }
    }

    /// Takes outputs until there will be no more.
    fn run(&self) {
        while let Some(mut output) = self.next() {
            match T::collect(&mut output) {
                Ok(picture) => self.done(picture, output),
                Err(error) => {
                    self.fail(error);
                    // The driver has the output still: once it was locked and unlocked, it may be destroyed. What is
                    // in it is of no use: pictures refer to the one that was lost.
                    let _ = T::collect(&mut output);
                    self.lock().free_outputs.push(output);
                }
            }
        }
    }

    fn next(&self) -> Option<T::Output> {
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

    fn done(&self, picture: T::Picture, output: T::Output) {
        let serial = T::serial(&picture);
        let mut state = self.lock();
        while state.entering == Some(serial) && !state.busy.contains_key(&serial) {
            state = self.wait(state);
        }
        let input = state.busy.remove(&serial);
        let known = input.is_some();
        let reported = state.failure.is_some();
        let rest = match input.map(T::spare) {
            Some(Ok(spare)) => {
                state.spares.push(spare);
                None
            }
            Some(Err(input)) => Some(input),
            None => None,
        };
        drop(state);
        // May call the driver, so not under the lock; and before the next picture takes its place.
        drop(rest);
        self.change(|state| state.free_outputs.push(output));
        if known {
            // After a failure every picture inside was told as lost already.
            if !reported {
                self.tell(T::arrived(picture));
            }
        } else if !reported {
            self.fail(T::stranger(serial));
        }
        self.change(|state| {
            state.outstanding = state.outstanding.saturating_sub(1);
            state.coming = state.coming.saturating_sub(1);
        });
    }

    /// Nothing can come any more: every picture inside is lost for this reason.
    fn fail(&self, error: T::Error) {
        let mut state = self.lock();
        if state.failure.is_some() {
            return;
        }
        let lost: Vec<u64> = state.busy.keys().copied().collect();
        state.failure = Some(T::again(&error));
        drop(state);
        self.changed.notify_all();
        for serial in lost {
            self.tell(T::lost(serial, T::again(&error)));
        }
    }
}

impl<T: Traffic> State<T> {
    fn check(&self) -> Result<(), T::Error> {
        match &self.failure {
            Some(error) => Err(T::again(error)),
            None if self.ended => Err(T::abandoned()),
            None => Ok(()),
        }
    }
}

impl<T: Traffic> Reaper<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread.
    pub(crate) fn start(ring: &Arc<OutputRing<T>>, name: &str) -> std::io::Result<Self> {
        /// Whoever waits must not wait for a thread that is gone, however it went.
        struct Ended<'a, T: Traffic>(&'a OutputRing<T>);
        impl<T: Traffic> Drop for Ended<'_, T> {
            fn drop(&mut self) {
                self.0.change(|state| state.ended = true);
            }
        }
        let shared = Arc::clone(ring);
        let thread = spawn(name, move || {
            let ended = Ended(&*shared);
            ended.0.run();
        })?;
        Ok(Self { ring: Arc::clone(ring), thread: Some(thread) })
    }
}

impl<T: Traffic> Drop for Reaper<T> {
    fn drop(&mut self) {
        self.ring.change(|state| state.closing = true);
        if let Some(thread) = self.thread.take() {
            // A panic there was noticed by whoever waited for its pictures.
            let _ = thread.join();
        }
    }
}
