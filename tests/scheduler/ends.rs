//! Flushing, closing, cancelling, and what goes wrong: one stream ends, with its books, and no other notices.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use video_hw::error::Error;
use video_hw::pipeline::scheduler::{
    Delivery, PipelineScheduler, SchedulerOptions, StageEvent, StreamInput, StreamOutput, StreamSpec,
};
use video_hw::session::Submit;

use crate::support::{Puppet, frame, number, numbers, ready, settle};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Two {
    scheduler: PipelineScheduler,
    stage: Puppet,
    input: StreamInput,
    output: StreamOutput,
    other: (Puppet, StreamInput, StreamOutput),
}

fn two_streams() -> Two {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default().class("e", 3)).unwrap();
    let open = |name| {
        let stage = Puppet::new();
        let spec = StreamSpec::new(name).stage_in("e", stage.clone()).credits(8);
        let (input, output) = scheduler.open(spec).unwrap();
        (stage, input, output)
    };
    let (stage, mut input, output) = open("first");
    for number in 0..4 {
        assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
    }
    settle(&scheduler);
    assert_eq!(stage.inside().len(), 3, "slots");
    let other = open("other");
    Two { scheduler, stage, input, output, other }
}

impl Two {
    /// The other stream works as if nothing had been, with all slots.
    fn check_other(mut self) {
        let (stage, input, output) = &mut self.other;
        for number in 0..3 {
            assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
        }
        settle(&self.scheduler);
        assert_eq!(stage.inside(), [0, 1, 2], "all slots are free again");
        stage.finish(3);
        settle(&self.scheduler);
        assert_eq!(numbers(&ready(output)), [0, 1, 2]);
        let summary = self.scheduler.summary();
        assert!(summary.balances(), "{summary:?}");
        assert_eq!(summary.streams[0].ledger.pending, 0, "{:?}", summary.streams[0]);
    }

    /// The stream has ended with these words.
    fn ended(&mut self, words: &str) {
        settle(&self.scheduler);
        let error = self.output.try_reap().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(self.output.try_reap().unwrap().is_none() && self.output.is_finished());
        let refused = self.input.submit(frame(9)).unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
        assert!(self.input.flush().is_err());
        let summary = self.output.summary().unwrap();
        assert!(summary.over && summary.error.unwrap().contains(words));
        assert_eq!(summary.inside.depth, 0, "all credits are back");
    }
}

#[test]
fn a_flush_brings_everything_out_and_the_stream_goes_on() {
    let mut two = two_streams();
    two.input.flush().unwrap();
    two.input.flush().unwrap();
    assert!(!two.output.is_drained());
    assert!(matches!(two.input.submit(frame(4)).unwrap(), Submit::Accepted));
    two.stage.finish(3);
    settle(&two.scheduler);
    let got = ready(&mut two.output);
    assert_eq!(numbers(&got), [0, 1, 2, 3]);
    assert!(two.output.try_reap().unwrap().is_none() && two.output.is_drained());
    assert_eq!(
        (two.stage.flushes(), two.stage.inside()),
        (1, vec![4]),
        "an empty stage is not flushed again"
    );
    let control = two.input.control().unwrap();
    two.input.close();
    settle(&two.scheduler);
    let last: Vec<_> = two.output.iter().map(Result::unwrap).collect();
    assert_eq!(numbers(&last), [4]);
    assert!(control.is_over() && control.wait(PATIENCE) && two.output.is_finished());
}

#[test]
fn cancelling_drops_what_is_inside() {
    let mut two = two_streams();
    two.stage.finish(1);
    settle(&two.scheduler);
    let control = two.output.control().unwrap();
    control.cancel();
    settle(&two.scheduler);
    assert!(two.output.try_reap().unwrap().is_none() && two.output.is_finished());
    let summary = control.summary();
    assert_eq!(summary.ledger.dropped.get("cancelled"), Some(&4));
    assert!(summary.cancelled && two.input.submit(frame(9)).is_err());
    two.check_other();
}

#[test]
fn a_lost_unit_is_told_in_its_place() {
    let mut two = two_streams();
    two.stage.finish(1);
    two.stage.tell(StageEvent::Failed(Error::corrupt("scratched")));
    two.stage.tell(StageEvent::Dropped("not wanted"));
    settle(&two.scheduler);
    assert_eq!(number(&two.output.try_reap().unwrap().unwrap().unit), 0);
    assert!(two.output.try_reap().unwrap_err().to_string().contains("scratched"));
    two.stage.refuse(Error::invalid("of the wrong size"));
    assert!(matches!(two.input.submit(frame(4)).unwrap(), Submit::Accepted));
    settle(&two.scheduler);
    two.stage.finish(1);
    settle(&two.scheduler);
    let rest: Vec<_> = (0..2).map(|_| two.output.try_reap()).collect();
    assert!(rest.iter().any(|got| got.as_ref().is_err_and(|error| error.to_string().contains("wrong size"))));
    let ledger = two.output.summary().unwrap().ledger;
    assert_eq!((ledger.failed, ledger.dropped.get("not wanted")), (2, Some(&1)));
    assert_eq!((ledger.delivered, ledger.pending), (2, 0), "{ledger:?}");
    two.input.close();
    settle(&two.scheduler);
    assert!(two.output.try_reap().unwrap().is_none() && two.output.is_finished());
}

#[test]
fn a_stage_that_dies_ends_its_stream() {
    let mut two = two_streams();
    two.stage.die(Error::corrupt_fatal("burnt"));
    two.ended("burnt");
    assert_eq!(two.output.summary().unwrap().ledger.failed, 4);
    two.check_other();
}

#[test]
fn a_stage_that_panics_ends_its_stream() {
    let mut two = two_streams();
    two.stage.panic();
    two.ended("the stage `puppet` panicked: scripted panic");
    two.check_other();
}

#[test]
fn a_stage_that_forgets_units_has_lost_them() {
    let mut two = two_streams();
    two.stage.forget();
    two.stage.finish(1);
    settle(&two.scheduler);
    assert_eq!(numbers(&ready(&mut two.output)), [0]);
    two.input.flush().unwrap();
    settle(&two.scheduler);
    for _ in 1..4 {
        let error = two.output.try_reap().unwrap_err();
        assert!(error.to_string().contains("gave no answer") && error.is_recoverable(), "{error}");
    }
    two.input.control().unwrap().cancel();
    settle(&two.scheduler);
    two.check_other();
}

#[test]
fn an_output_that_goes_cancels_the_stream() {
    let Two { scheduler, stage, mut input, output, .. } = two_streams();
    stage.finish(2);
    settle(&scheduler);
    drop(output);
    settle(&scheduler);
    assert!(input.submit(frame(5)).is_err());
    let summary = input.control().unwrap().summary();
    assert!(summary.over && summary.balances(), "{summary:?}");
    assert_eq!(summary.ledger.dropped.get("cancelled"), Some(&4));
}

#[test]
fn what_cannot_be_opened_says_why() {
    let options = SchedulerOptions::default().class("nvenc", 2);
    let scheduler = PipelineScheduler::without_thread(options.clone()).unwrap();
    let words = |spec| scheduler.open(spec).map(|_| ()).unwrap_err().to_string();
    assert!(words(StreamSpec::new("a")).contains("no stages"));
    let spec = StreamSpec::new("a").stage_in("nvdec", Puppet::new());
    assert!(words(spec).contains("the scheduler has: nvenc"));
    assert!(words(StreamSpec::new("a").stage(Puppet::new()).credits(0)).contains("needs 1 to"));
    let bad = |options| PipelineScheduler::new(options).map(|_| ()).unwrap_err().to_string();
    assert!(bad(options.clone().class("nvenc", 1)).contains("two classes"));
    assert!(bad(options.class("x", 0)).contains("no slots"));
}

type Consumer = Box<dyn FnMut() -> video_hw::Result<()> + Send>;

#[test]
fn sources_and_consumers_that_fail_or_panic_end_their_stream_alone() {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default()).unwrap();
    let consumers: Vec<(&str, Consumer)> = vec![
        ("", Box::new(|| Ok(()))),
        ("disk full", Box::new(|| Err(Error::invalid("disk full")))),
        ("panicked: no hands", Box::new(|| panic!("no hands"))),
    ];
    for (words, mut consumer) in consumers {
        let stage = Puppet::eager();
        let (mut input, output) = scheduler.open(StreamSpec::new("a").stage(stage)).unwrap();
        let control = output.control().unwrap();
        for number in 0..4 {
            assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
        }
        // Only now: one that fails at the first result ends the stream for whoever feeds it.
        output.deliver(move |result| result.and_then(|_| consumer()));
        input.close();
        assert!(control.wait(PATIENCE));
        let summary = control.summary();
        assert!(summary.balances() && summary.ledger.pending == 0, "{summary:?}");
        if words.is_empty() {
            assert_eq!((summary.ledger.delivered, summary.error), (4, None));
        } else {
            assert!(summary.error.unwrap().contains(words));
            assert_eq!(summary.ledger.failed + summary.ledger.dropped_total(), 4);
        }
    }
    for (words, panics) in [("no film", false), ("the source of the stream `a` panicked", true)] {
        let (input, mut output) = scheduler.open(StreamSpec::new("a").stage(Puppet::eager())).unwrap();
        input.feed((0..3).map(move |number| {
            assert!(!(panics && number == 2), "no hands");
            if number == 2 { Err(Error::invalid("no film")) } else { Ok(frame(number).into()) }
        }));
        let all: Vec<_> = output.iter().collect();
        let last = all.last().unwrap().as_ref().unwrap_err();
        assert!(last.to_string().contains(words), "{last}");
    }
    assert!(scheduler.summary().balances());
}

#[test]
fn a_consumer_that_waits_holds_up_nobody_else() {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default()).unwrap();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let stuck: Vec<_> = (0..3)
        .map(|_| {
            let stage = Puppet::new();
            let (mut input, output) = scheduler.open(StreamSpec::new("stuck").stage(stage.clone())).unwrap();
            let control = output.control().unwrap();
            let gate = Arc::clone(&gate);
            output.deliver(move |result| {
                let _ = gate.lock().unwrap().recv();
                result.map(|_| ())
            });
            assert!(matches!(input.submit(frame(0)).unwrap(), Submit::Accepted));
            input.close();
            control
        })
        .collect();
    // All three wait in their consumers, and a fourth gets through with its source and its consumer.
    let (input, output) = scheduler.open(StreamSpec::new("free").stage(Puppet::eager())).unwrap();
    let control = output.control().unwrap();
    let (done, results) = mpsc::channel();
    output.deliver(move |result| {
        let _ = done.send(number(&result?.unit));
        Ok(())
    });
    input.feed((0..100).map(|number| Ok(frame(number).into())));
    assert!(control.wait(PATIENCE), "{:?}", control.summary());
    assert_eq!(results.iter().take(100).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert!(stuck.iter().all(|control| control.summary().ledger.delivered == 0));
    for _ in 0..3 {
        release.send(()).unwrap();
    }
    assert!(stuck.iter().all(|control| control.wait(PATIENCE)));
}

/// A stream through which forty units go, and are to be taken.
fn forty(scheduler: &PipelineScheduler) -> StreamOutput {
    let spec = StreamSpec::new("forty").stage(Puppet::eager()).credits(64);
    let (mut input, output) = scheduler.open(spec).unwrap();
    for number in 0..40 {
        assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
    }
    output
}

fn counted(results: mpsc::Sender<u64>) -> impl FnMut(video_hw::Result<Delivery>) -> video_hw::Result<()> {
    move |result| {
        results.send(number(&result?.unit)).unwrap();
        Ok(())
    }
}

#[test]
fn a_consumer_gets_the_last_results_though_nobody_holds_the_stream() {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default()).unwrap();
    for over in [false, true] {
        let (sender, results) = mpsc::channel();
        let output = forty(&scheduler);
        if over {
            settle(&scheduler);
        }
        assert_eq!(output.summary().unwrap().over, over);
        output.deliver(counted(sender));
        settle(&scheduler);
        assert_eq!(results.try_iter().collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        assert!(scheduler.summary().streams.is_empty(), "nothing is left of it");
    }
}

#[test]
fn a_consumer_that_comes_when_all_is_over_is_not_kept() {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default()).unwrap();
    let mut output = forty(&scheduler);
    settle(&scheduler);
    assert_eq!(ready(&mut output).len(), 40);
    let control = output.control().unwrap();
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    output.deliver(move |_| {
        let _ = &inside;
        Ok(())
    });
    assert!(control.is_over());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn whoever_waits_hears_of_it_when_an_error_is_the_last_to_be_taken() {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default()).unwrap();
    let stage = Puppet::new();
    let (mut input, mut output) = scheduler.open(StreamSpec::new("s").stage(stage.clone())).unwrap();
    assert!(matches!(input.submit(frame(0)).unwrap(), Submit::Accepted));
    settle(&scheduler);
    stage.tell(StageEvent::Failed(Error::corrupt("torn")));
    input.close();
    settle(&scheduler);
    let control = output.control().unwrap();
    assert!(control.is_over());
    let (done, waited) = mpsc::channel();
    let waiter = std::thread::spawn(move || done.send(control.wait(PATIENCE * 1000)));
    // It very probably waits by now; where it does not, there is nothing to be seen.
    std::thread::sleep(Duration::from_millis(50));
    assert!(output.try_reap().is_err());
    assert_eq!(waited.recv_timeout(PATIENCE), Ok(true));
    waiter.join().unwrap().unwrap();
}
