use super::*;
use crate::report::samples;

#[test]
fn rows_stand_beside_their_peers() {
    let record = samples::record();
    let pairs = pairs(&record);
    assert_eq!(pairs.len(), 3);
    let first = &pairs[0];
    assert_eq!((first.row.program.as_str(), first.peer.unwrap().program.as_str()), ("video-hw", "ffmpeg"));
    let ratio = first.ratio.unwrap();
    assert!(ratio.paired && (ratio.value - 0.5).abs() < 0.01);
    assert_eq!(first.aim.unwrap().message(), "met");
    assert_eq!(first.verified(), Some((true, "2 of 2".to_owned())));
    // The second misses its aim and fails a check, the third has no peer.
    assert_eq!(pairs[1].aim.unwrap().message(), "MISSED");
    assert_eq!(pairs[1].verified(), Some((false, "FAILED: frames".to_owned())));
    assert!(pairs[2].peer.is_none() && pairs[2].ratio.is_none());
    assert_eq!(pairs[1].title(), "encode, in-flight 4");
}

#[test]
fn an_aim_within_the_spread_says_so() {
    let mut record = samples::record();
    for (i, run) in record.rows[0].runs.iter_mut().enumerate() {
        run.wall_s *= 1.0 + 0.1 * (i as f64 - 4.0);
    }
    record.rows[0].aim = Some(0.51);
    assert_eq!(pairs(&record)[0].aim.unwrap().message(), "met, within the spread");
}

#[test]
fn the_best_runs_have_an_aim_of_their_own() {
    let mut record = samples::record();
    record.rows[0].aim_best = Some(0.49);
    let aim = pairs(&record)[0].aim.unwrap();
    // Half the peer's time meets the aim of all runs, and not that of the best.
    assert!(!aim.met && aim.message().starts_with("MISSED; best runs "), "{}", aim.message());
    record.rows[0].aim_best = Some(0.51);
    assert!(pairs(&record)[0].aim.unwrap().met);
}

#[test]
fn what_is_doubtful_is_told() {
    let mut record = samples::record();
    record.machine.load = vec![7.5, 8.0];
    record.rows[0].runs[3].wall_s = 24.677;
    record.rows[1].frames_in_runs(299);
    record.rows[2].runs.truncate(2);
    record.rows[4].failed = Some("no such device".to_owned());
    let all = warnings(&record).join("\n");
    for message in ["load 7.5 on 2 cores", "spread by", "of the peer 299", "2 of 9 runs", "no such device"] {
        assert!(all.contains(message), "no {message:?} in {all}");
    }
}

#[test]
fn one_run_says_nothing_of_the_spread() {
    let mut record = samples::record();
    record.repeat = 1;
    record.rows.iter_mut().for_each(|row| row.runs.truncate(1));
    let reported =
        |record: &Record| warnings(record).iter().any(|one| one.starts_with("One run of each row"));
    assert!(reported(&record));
    // Without a peer there is no ratio to be sure of.
    record.rows.retain(|row| row.program == OURS);
    assert!(!reported(&record));
    assert!(!reported(&samples::record()));
}

#[test]
fn nothing_is_told_twice_or_of_a_soak_that_ran_once() {
    let mut record = samples::record();
    let mut other = record.rows[0].clone();
    other.id.push_str("/engines=2");
    record.rows.push(other);
    record.rows[1].runs.truncate(2);
    record.rows[4].case = "soak".to_owned();
    record.rows[4].runs.truncate(1);
    let few: Vec<_> = warnings(&record).into_iter().filter(|one| one.contains("of 9 runs")).collect();
    assert_eq!(few, ["decode/h264/nvidia/ffmpeg: 2 of 9 runs."]);
}

#[test]
fn a_case_is_judged_by_what_it_is_about_if_both_know_it() {
    let record = samples::record();
    let (mut ours, mut theirs) = (record.rows[0].clone(), record.rows[1].clone());
    ours.case = "startup".to_owned();
    assert_eq!(measure_of(&[Some(&ours)]), Measure::Wall);
    ours.runs.iter_mut().for_each(|run| run.startup_s = Some(0.01));
    assert_eq!(measure_of(&[Some(&ours)]), Measure::Startup);
    assert_eq!(measure_of(&[Some(&ours), Some(&theirs)]), Measure::Wall);
    theirs.runs.iter_mut().for_each(|run| run.startup_s = Some(0.02));
    assert_eq!(measure_of(&[Some(&ours), Some(&theirs)]), Measure::Startup);
}
