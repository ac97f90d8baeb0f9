//! Who gets how much of engines that are too few, judged by what engines have done when the first stream is finished.

use std::num::NonZeroU32;
use std::sync::mpsc;
use std::task::Waker;

use video_hw::pipeline::scheduler::{
    PipelineScheduler, SchedulerOptions, Stage, StageEvent, StreamInput, StreamOutput, StreamSpec, Unit,
};
use video_hw::session::Submit;

use crate::engines::Bank;
use crate::support::{Puppet, frame, packet, ready, settle, sized};

const CREDITS: usize = 8;

struct Stream {
    input: StreamInput,
    output: StreamOutput,
    size: (u32, u32),
    /// Turns that its consumer takes for a result.
    slow: u64,
    submitted: u64,
    taken: u64,
}

struct Play {
    scheduler: PipelineScheduler,
    bank: Bank,
    streams: Vec<Stream>,
    turns: u64,
}

impl Play {
    fn new(engines: usize, slots: usize, streams: &[(u32, (u32, u32), u64)]) -> Self {
        let scheduler =
            PipelineScheduler::without_thread(SchedulerOptions::default().class("encoder", slots)).unwrap();
        let bank = Bank::new(engines);
        let streams = streams.iter().enumerate().map(|(number, (weight, size, slow))| {
            let spec = StreamSpec::new(format!("stream {number}"))
                .stage_in("encoder", bank.session())
                .credits(CREDITS)
                .weight(NonZeroU32::new(*weight).unwrap());
            let (input, output) = scheduler.open(spec).unwrap();
            Stream { input, output, size: *size, slow: *slow, submitted: 0, taken: 0 }
        });
        let streams = streams.collect();
        Self { scheduler, bank, streams, turns: 0 }
    }

    /// Everybody submits what there is room for; engines work; consumers take what is ready.
    fn turn(&mut self) {
        self.turns += 1;
        for stream in &mut self.streams {
            while let Submit::Accepted =
                stream.input.submit(sized(stream.submitted, stream.size.0, stream.size.1)).unwrap()
            {
                stream.submitted += 1;
            }
        }
        settle(&self.scheduler);
        self.bank.turn();
        settle(&self.scheduler);
        for stream in &mut self.streams {
            while self.turns.is_multiple_of(stream.slow) && stream.output.try_reap().unwrap().is_some() {
                stream.taken += 1;
                if stream.slow > 1 {
                    break;
                }
            }
        }
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..200_000 {
            if done(self) {
                return;
            }
            self.turn();
        }
        panic!("it does not end");
    }

    fn check_books(&self) {
        let summary = self.scheduler.summary();
        assert!(summary.balances(), "{summary:?}");
        for stream in &summary.streams {
            assert!(stream.inside.p95 <= CREDITS && stream.inside.peak <= CREDITS, "{stream:?}");
            assert_eq!(stream.credits, CREDITS, "no credit was lent");
            assert_eq!(stream.ledger.dropped_total() + stream.ledger.failed, 0, "{stream:?}");
        }
    }
}

fn within_a_tenth(parts: impl IntoIterator<Item = f64> + Clone, what: &str) {
    let count = parts.clone().into_iter().count() as f64;
    let fair = parts.clone().into_iter().sum::<f64>() / count;
    for part in parts {
        assert!((part - fair).abs() <= 0.1 * fair, "{what}: {part} where {fair} is fair");
    }
}

#[test]
fn eight_streams_share_two_engines() {
    let mut play = Play::new(2, 4, &[(1, (320, 180), 1); 8]);
    play.until(|play| play.streams.iter().any(|stream| stream.taken >= 50));
    within_a_tenth(play.streams.iter().map(|stream| stream.taken as f64), "frames");
    assert!(play.bank.most_queued() <= 4, "no more in the driver than there are slots");
    // Engines had nothing to do only before the first frames came.
    assert!(play.bank.idle_turns() <= 2, "{}", play.bank.idle_turns());
    play.check_books();
    let class = &play.scheduler.summary().classes[0];
    assert_eq!((class.peak <= 4, class.slots), (true, 4));
}

#[test]
fn without_slots_the_greedy_would_win() {
    // What the class is for: the same streams, one of which has frames twice the size, and no turns.
    let run = |slots| {
        let mut streams = [(1, (64, 64), 1); 4];
        streams[0].1 = (128, 128);
        let mut play = Play::new(1, slots, &streams);
        play.until(|play| play.streams.iter().any(|stream| stream.taken >= 200));
        let pixels = play.bank.pixels();
        pixels[0] as f64 / pixels[1] as f64
    };
    let (with, without) = (run(2), run(1000));
    assert!((0.9..1.1).contains(&with), "{with}");
    assert!(without > 2.0, "{without}");
}

#[test]
fn shares_are_of_pixels_and_follow_weights() {
    let mut play =
        Play::new(2, 4, &[(1, (320, 180), 1), (1, (160, 90), 1), (2, (320, 180), 1), (4, (64, 64), 1)]);
    play.until(|play| play.streams.iter().any(|stream| stream.taken >= 5000));
    let pixels = play.bank.pixels();
    let by_weight = pixels.iter().zip([1.0, 1.0, 2.0, 4.0]).map(|(pixels, weight)| *pixels as f64 / weight);
    within_a_tenth(by_weight, "pixels by weight");
    play.check_books();
}

#[test]
fn one_slow_consumer_stalls_nobody_else() {
    let mut streams = [(1, (320, 180), 1); 8];
    // Its consumer takes a result in the time in which engines do forty.
    streams[3].2 = 40 * 15 / 2;
    let mut play = Play::new(2, 4, &streams);
    play.until(|play| play.streams.iter().any(|stream| stream.taken >= 200));
    let slow = play.streams.remove(3);
    within_a_tenth(play.streams.iter().map(|stream| stream.taken as f64), "frames of the others");
    // They have what the slow one leaves, all of it.
    assert!(play.bank.idle_turns() <= 2, "{}", play.bank.idle_turns());
    assert!(slow.taken < 60, "{}", slow.taken);
    let summary = slow.output.summary().unwrap();
    assert_eq!(summary.inside.depth, CREDITS, "its source stands");
    assert!(summary.stages[0].inside.depth <= 1, "and it keeps no engine busy");
    play.check_books();
}

#[test]
fn a_stream_that_is_alone_has_all_engines() {
    let mut play = Play::new(2, 4, &[(1, (320, 180), 1), (1, (320, 180), 1_000_000)]);
    play.until(|play| play.streams[0].taken >= 100);
    // Two engines, 15 turns a frame, 100 frames and the 8 that the other stream can have inside.
    assert!(play.turns < 108 * 15 / 2 + 50, "{}", play.turns);
}

#[test]
fn a_stage_without_room_holds_up_nobody() {
    let (done, turned) = mpsc::channel();
    let play = std::thread::spawn(move || {
        let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default().class("e", 3)).unwrap();
        let open = |name, room| {
            let stage = Puppet::new();
            stage.room(room);
            let spec = StreamSpec::new(name).stage_in("e", stage.clone()).credits(8);
            let (mut input, output) = scheduler.open(spec).unwrap();
            for number in 0..3 {
                assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
            }
            (stage, input, output)
        };
        let (narrow, wide) = (open("narrow", 1), open("wide", 8));
        settle(&scheduler);
        assert_eq!((narrow.0.inside(), wide.0.inside()), (vec![0], vec![0, 1]));
        wide.0.finish(1);
        settle(&scheduler);
        assert_eq!((narrow.0.inside(), wide.0.inside()), (vec![0], vec![1, 2]));
        assert_eq!(scheduler.summary().classes[0].begun, 4, "what had no room was not begun");
        // Room, and the others have nothing to do.
        wide.0.finish(2);
        narrow.0.room(2);
        settle(&scheduler);
        assert_eq!(narrow.0.inside(), [0, 1]);
        done.send(()).unwrap();
    });
    // Far longer than it takes.
    let returned = turned.recv_timeout(std::time::Duration::from_secs(60));
    assert!(!matches!(returned, Err(mpsc::RecvTimeoutError::Timeout)), "turn() does not return");
    play.join().unwrap();
}

/// A stage whose units cost what it says.
struct Priced(Puppet, u64);

impl Stage for Priced {
    fn submit(&mut self, unit: Unit) -> video_hw::Result<Submit<Unit>> {
        self.0.submit(unit)
    }
    fn try_reap(&mut self) -> video_hw::Result<Option<StageEvent>> {
        self.0.try_reap()
    }
    fn flush(&mut self) -> video_hw::Result<()> {
        self.0.flush()
    }
    fn is_drained(&self) -> bool {
        self.0.is_drained()
    }
    fn set_waker(&mut self, waker: &Waker) {
        self.0.set_waker(waker);
    }
    fn wakes(&self) -> bool {
        true
    }
    fn cost(&self, _: &Unit) -> u64 {
        self.1
    }
    fn name(&self) -> &'static str {
        "priced"
    }
}

#[test]
fn shares_are_by_what_stages_say_that_units_cost() {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default().class("d", 1)).unwrap();
    let mut streams = [3000, 1000].map(|cost| {
        let stage = Puppet::new();
        let spec = StreamSpec::new("decoded").stage_in("d", Priced(stage.clone(), cost)).credits(4);
        let (input, output) = scheduler.open(spec).unwrap();
        (stage, input, output, 0_u64)
    });
    for number in 0..400 {
        for (_, input, ..) in &mut streams {
            while let Submit::Accepted = input.submit(packet(number, true)).unwrap() {}
        }
        settle(&scheduler);
        for (stage, _, output, done) in &mut streams {
            let units = stage.inside().len();
            *done += units as u64;
            stage.finish(units);
            settle(&scheduler);
            ready(output);
        }
    }
    let (dear, cheap) = (streams[0].3, streams[1].3);
    assert!(dear + cheap >= 400 && cheap.abs_diff(3 * dear) <= 12, "{dear} and {cheap}");
}
