//! The output ring between the threads of an NVENC session, with a driver of a few lines.
//!
//! What must hold in every order of the two threads: each picture that went in is told once, what comes after a failure
//! is told as that failure, no buffer is lost (else the next `take` would wait for ever, which loom finds), and nobody
//! waits for a thread that has ended.

use std::collections::VecDeque;

use crate::order::every_order;
use crate::output_ring::{OutputRing, Reaper, Traffic};
use crate::sync::{Arc, Condvar, Mutex};

/// A driver: pictures come out in the order in which they are coded, from whichever output is next.
struct Chip {
    coded: Mutex<VecDeque<Result<u64, &'static str>>>,
    more: Condvar,
}

impl Chip {
    fn codes(&self, pictures: impl IntoIterator<Item = Result<u64, &'static str>>) {
        self.coded.lock().unwrap().extend(pictures);
        self.more.notify_all();
    }
}

struct Output(Arc<Chip>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Picture(u64),
    Lost(u64, &'static str),
}

struct Wire {
    told: Arc<Mutex<Vec<Told>>>,
    /// The consumer goes after so many events.
    patience: usize,
}

impl Traffic for Wire {
    type Spare = usize;
    type Input = usize;
    type Output = Output;
    type Picture = u64;
    type Error = &'static str;
    type Event = Told;

    fn collect(output: &mut Output) -> Result<u64, &'static str> {
        let mut coded = output.0.coded.lock().unwrap();
        loop {
            match coded.pop_front() {
                Some(picture) => return picture,
                None => coded = output.0.more.wait(coded).unwrap(),
            }
        }
    }

    /// Every other picture lies in memory of its own.
    fn spare(input: usize) -> Result<usize, usize> {
        if input.is_multiple_of(2) { Ok(input) } else { Err(input) }
    }

    fn serial(picture: &u64) -> u64 {
        *picture
    }

    fn arrived(picture: u64) -> Told {
        Told::Picture(picture)
    }

    fn lost(serial: u64, error: &'static str) -> Told {
        Told::Lost(serial, error)
    }

    fn again(error: &&'static str) -> &'static str {
        error
    }

    fn stranger(_: u64) -> &'static str {
        "stranger"
    }

    fn abandoned() -> &'static str {
        "abandoned"
    }

    fn deliver(&mut self, event: Told) -> bool {
        let mut told = self.told.lock().unwrap();
        told.push(event);
        told.len() < self.patience
    }
}

/// A session with its chip and what it told.
struct Session {
    chip: Arc<Chip>,
    ring: Arc<OutputRing<Wire>>,
    reaper: Option<Reaper<Wire>>,
    told: Arc<Mutex<Vec<Told>>>,
    buffers: usize,
}

impl Session {
    fn new(buffers: usize, patience: usize) -> Self {
        let chip = Arc::new(Chip { coded: Mutex::new(VecDeque::new()), more: Condvar::new() });
        let told = Arc::new(Mutex::new(Vec::new()));
        let outputs = (0..buffers).map(|_| Output(Arc::clone(&chip))).collect();
        let wire = Wire { told: Arc::clone(&told), patience };
        let ring = OutputRing::new(outputs, wire);
        let reaper = Some(Reaper::start(&ring, "outputs").unwrap());
        Self { chip, ring, reaper, told, buffers }
    }

    /// Hands a picture over; its output is not due yet.
    fn enter(&self, serial: u64) -> Result<Option<Output>, &'static str> {
        let Some(output) = self.ring.take()? else { return Ok(None) };
        let input = self.ring.spare().unwrap_or(serial as usize);
        self.ring.entering(serial);
        let inside = self.ring.entered(serial, input);
        assert!((1..=self.buffers).contains(&inside));
        Ok(Some(output))
    }

    /// Hands a picture over which is coded at once.
    fn pass(&self, serial: u64) -> Result<bool, &'static str> {
        let Some(output) = self.enter(serial)? else { return Ok(false) };
        self.chip.codes([Ok(serial)]);
        self.ring.due(output);
        Ok(true)
    }

    /// Every buffer can be taken again.
    fn whole(&self) {
        let all: Vec<_> = (0..self.buffers).map(|_| self.ring.take().unwrap().unwrap()).collect();
        for output in all {
            self.ring.put_back(None, output);
        }
    }

    /// Closes the session; everything told.
    fn end(mut self) -> Vec<Told> {
        self.reaper = None;
        let told = self.told.lock().unwrap();
        told.clone()
    }
}

#[test]
fn pictures_pass_in_order_and_buffers_come_back() {
    every_order(|| {
        let session = Session::new(1, usize::MAX);
        for serial in 0..2 {
            assert_eq!(session.pass(serial), Ok(true));
        }
        assert_eq!(session.ring.drain(), Ok(()));
        session.whole();
        assert_eq!(session.end(), [Told::Picture(0), Told::Picture(1)]);
    });
}

#[test]
fn reordered_pictures_free_their_own_inputs() {
    every_order(|| {
        let session = Session::new(3, usize::MAX);
        let outputs: Vec<_> = (0..3).map(|serial| session.enter(serial).unwrap().unwrap()).collect();
        session.chip.codes([Ok(0), Ok(2), Ok(1)]);
        for output in outputs {
            session.ring.due(output);
        }
        assert_eq!(session.ring.drain(), Ok(()));
        session.whole();
        assert_eq!(session.end(), [0, 2, 1].map(Told::Picture));
    });
}

/// A driver may code a picture before the call that hands it over has come back.
#[test]
fn a_picture_may_come_out_while_it_goes_in() {
    every_order(|| {
        let session = Session::new(2, usize::MAX);
        let first = session.enter(0).unwrap().unwrap();
        session.ring.due(first);
        let second = session.ring.take().unwrap().unwrap();
        session.ring.entering(1);
        session.chip.codes([Ok(1), Ok(0)]);
        session.ring.entered(1, 1);
        session.ring.due(second);
        assert_eq!(session.ring.drain(), Ok(()));
        session.whole();
        assert_eq!(session.end(), [1, 0].map(Told::Picture));
    });
}

#[test]
fn a_failure_loses_what_is_inside_once() {
    every_order(|| {
        let session = Session::new(2, usize::MAX);
        let outputs: Vec<_> = (0..2).map(|serial| session.enter(serial).unwrap().unwrap()).collect();
        // An output is locked once more after a failure.
        session.chip.codes([Err("broken"), Err("broken"), Err("later"), Err("later")]);
        for output in outputs {
            session.ring.due(output);
        }
        assert_eq!(session.ring.drain(), Err("broken"));
        assert_eq!(session.ring.take().err(), Some("broken"));
        assert_eq!(session.end(), [0, 1].map(|serial| Told::Lost(serial, "broken")));
    });
}

/// Whoever waits for a buffer hears of the failure too.
#[test]
fn a_failure_ends_the_wait_for_a_buffer() {
    every_order(|| {
        let session = Session::new(1, usize::MAX);
        let output = session.enter(0).unwrap().unwrap();
        session.chip.codes([Err("broken"), Err("broken")]);
        session.ring.due(output);
        assert_eq!(session.enter(1).err(), Some("broken"));
        assert_eq!(session.end(), [Told::Lost(0, "broken")]);
    });
}

#[test]
fn a_picture_that_never_went_in_ends_the_session() {
    every_order(|| {
        let session = Session::new(1, usize::MAX);
        let output = session.enter(0).unwrap().unwrap();
        session.chip.codes([Ok(7)]);
        session.ring.due(output);
        assert_eq!(session.ring.drain(), Err("stranger"));
        assert_eq!(session.end(), [Told::Lost(0, "stranger")]);
    });
}

/// A refused picture that comes out all the same is a stranger: nobody may wait for it to have gone in.
#[test]
fn a_refused_picture_is_not_waited_for() {
    every_order(|| {
        let session = Session::new(2, usize::MAX);
        let first = session.enter(0).unwrap().unwrap();
        session.ring.due(first);
        let second = session.ring.take().unwrap().unwrap();
        session.ring.entering(1);
        session.chip.codes([Ok(1)]);
        session.ring.put_back(Some(0), second);
        assert_eq!(session.ring.drain(), Err("stranger"));
        assert_eq!(session.end(), [Told::Lost(0, "stranger")]);
    });
}

#[test]
fn a_consumer_that_goes_stops_the_session() {
    every_order(|| {
        let session = Session::new(1, 1);
        let passed: Vec<_> = (0..3).map(|serial| session.pass(serial)).collect();
        assert_eq!(passed[0], Ok(true));
        assert!(passed.iter().all(Result::is_ok) && passed.is_sorted_by(|a, b| a >= b), "{passed:?}");
        assert_eq!(session.ring.drain(), Ok(()));
        assert_eq!(session.end()[0], Told::Picture(0));
    });
}

/// A driver that says that nothing more comes is believed, and what it kept is counted.
#[test]
fn what_a_driver_keeps_is_not_waited_for() {
    every_order(|| {
        let session = Session::new(2, usize::MAX);
        let first = session.enter(0).unwrap().unwrap();
        let held = session.enter(1).unwrap().unwrap();
        session.chip.codes([Ok(0)]);
        session.ring.due(first);
        session.ring.put_back(None, held);
        assert_eq!(session.ring.settle(), Ok(1));
        assert_eq!(session.end(), [Told::Picture(0)]);
    });
}

/// Closing takes what is due first, and does not wait for what is held.
#[test]
fn closing_takes_what_is_due() {
    every_order(|| {
        let session = Session::new(2, usize::MAX);
        let first = session.enter(0).unwrap().unwrap();
        let held = session.enter(1).unwrap();
        session.chip.codes([Ok(0)]);
        session.ring.due(first);
        assert_eq!(session.end(), [Told::Picture(0)]);
        drop(held);
    });
}
