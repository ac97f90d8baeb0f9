//! Generations: what is older goes, wherever it is, and what is newer comes in order.

use video_hw::pipeline::scheduler::{
    PipelineScheduler, SchedulerOptions, StreamInput, StreamOutput, StreamSpec, Unit,
};
use video_hw::session::Submit;

use crate::support::{Puppet, frame, numbers, ready, settle};

fn two_stages() -> (PipelineScheduler, Puppet, Puppet, StreamInput, StreamOutput) {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default()).unwrap();
    let (first, second) = (Puppet::new(), Puppet::new());
    let spec = StreamSpec::new("s").stage(first.clone()).stage(second.clone()).credits(20);
    let (input, output) = scheduler.open(spec).unwrap();
    (scheduler, first, second, input, output)
}

fn submit(input: &mut StreamInput, generation: u64, number: u64) {
    let answer = input.submit_with_generation(generation, frame(number)).unwrap();
    assert!(matches!(answer, Submit::Accepted));
}

#[test]
fn whatever_is_older_is_dropped_wherever_it_is() {
    let (scheduler, first, second, mut input, mut output) = two_stages();
    first.room(2);
    second.room(2);
    (0..10).for_each(|number| submit(&mut input, 0, number));
    settle(&scheduler);
    first.finish(2);
    settle(&scheduler);
    second.finish(1);
    settle(&scheduler);
    first.finish(2);
    settle(&scheduler);
    // 0 is a result, 1 and 2 are in the second stage, 3 waits for it, 4 and 5 are in the first, 6 to 9 wait for that.
    assert_eq!((first.inside(), second.inside()), (vec![4, 5], vec![1, 2]));
    let control = input.control().unwrap();
    assert_eq!(control.summary().results_waiting, 1);
    control.set_generation(7);
    settle(&scheduler);
    assert_eq!((first.discards(), second.discards()), (1, 1), "stages are told");
    let summary = control.summary();
    assert_eq!((summary.stale, summary.ledger.pending, summary.generation), (6, 4, 7));
    // New ones wait until the old ones are out of the stage, and come out behind them.
    (10..14).for_each(|number| submit(&mut input, 7, number));
    assert!(matches!(input.submit_with_generation(3, frame(99)).unwrap(), Submit::Accepted));
    settle(&scheduler);
    assert_eq!(first.flushes(), 1, "the first stage is drained between generations");
    assert_eq!(second.flushes(), 1);
    first.finish(2);
    settle(&scheduler);
    second.finish(2);
    settle(&scheduler);
    let got = ready(&mut output);
    assert_eq!(numbers(&got), [10, 11]);
    assert!(got.iter().all(|delivery| delivery.generation == 7));
    first.finish(2);
    settle(&scheduler);
    second.finish(2);
    settle(&scheduler);
    assert_eq!(numbers(&ready(&mut output)), [12, 13]);
    let summary = output.summary().unwrap();
    assert!(summary.balances() && summary.ledger.pending == 0, "{summary:?}");
    assert_eq!((summary.stale, summary.ledger.delivered), (11, 4));
    assert_eq!(summary.inside.depth, 0, "all credits are back");
}

#[test]
fn generations_that_nobody_called_off_come_out_in_order() {
    let (scheduler, first, second, mut input, mut output) = two_stages();
    first.stubborn(true);
    for number in 0..9 {
        submit(&mut input, number / 3, number);
    }
    settle(&scheduler);
    assert_eq!(first.flushes(), 1);
    assert_eq!(first.inside(), Vec::<u64>::new(), "nothing goes in before the stage is drained");
    assert_eq!(second.inside(), [0, 1, 2]);
    first.stubborn(false);
    settle(&scheduler);
    // The last generation has no end yet: it is in the first stage.
    assert_eq!(first.inside(), [6, 7, 8]);
    input.flush().unwrap();
    settle(&scheduler);
    let got = ready(&mut output);
    assert_eq!(numbers(&got), (0..9).collect::<Vec<_>>());
    assert!(got.iter().all(|got| {
        let Unit::Frame(frame) = &got.unit else { return false };
        got.generation == frame.pts.ticks() as u64 / 3
    }));
    assert!(output.try_reap().unwrap().is_none() && output.is_drained());
}

#[test]
fn a_smaller_number_changes_nothing() {
    let (scheduler, first, _second, mut input, output) = two_stages();
    let control = input.control().unwrap();
    control.set_generation(5);
    control.set_generation(2);
    assert_eq!(control.generation(), 5);
    assert!(matches!(input.submit(frame(0)).unwrap(), Submit::Accepted));
    settle(&scheduler);
    assert_eq!(first.inside(), [0], "of the newest generation");
    assert_eq!(first.flushes(), 0, "there was nothing before it");
    assert_eq!(output.summary().unwrap().stale, 0);
}
