//! The runs: rows take turns, warm-ups first, within a budget.

use std::time::{Duration, Instant};

use serde_json::Value;
use video_hw_terminal::cancel::Interrupts;

use super::args::{BenchArgs, Case, Pictures};
use super::cases::{Job, OTHER, Side};
use super::child::{self, Finished, LIMIT, Limits, Program};
use super::live::Report;
use super::record::Run;
use super::report::against;
use super::view::View;
use super::{input, machine, peer};

/// How often rows in doubt are measured again.
const AGAIN: u32 = 2;

/// Minutes of live streams that are run again.
const MOST_AGAIN: f64 = 10.0;

pub(crate) struct Rounds<'a> {
    pub(crate) args: &'a BenchArgs,
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) view: &'a View,
    pub(crate) begun: Instant,
    pub(crate) warmup: u32,
    pub(crate) repeat: u32,
}

/// What is known while the rounds go on.
#[derive(Default)]
struct State {
    /// Of each job, the time of its last run.
    took: Vec<Option<Duration>>,
    order: u32,
    done: u64,
    notes: Vec<String>,
}

/// The processes of a job that ended, or why there are none.
type Ended = Result<Vec<Finished>, String>;

impl Rounds<'_> {
    /// Runs all jobs; tells what is doubtful about the runs.
    pub(crate) fn run(&self, jobs: &mut [Job]) -> Vec<String> {
        let mut state = State { took: vec![None; jobs.len()], ..State::default() };
        for job in jobs.iter() {
            self.view.detail(&format!("{}: {}", job.row.id, job.row.command.join(" ")));
        }
        for round in 0..self.warmup {
            // A warm-up that would take the place of a run that counts is left out.
            if round > 0 && self.over_budget(&state, jobs, 2) {
                state.notes.push(format!("budget: {round} of {} warm-ups", self.warmup));
                break;
            }
            self.round(jobs, &mut state, round, false);
        }
        for round in 0..self.repeat {
            if round > 0 && self.over_budget(&state, jobs, 1) {
                state.notes.push(format!("budget: {round} of {} rounds fitted into it", self.repeat));
                break;
            }
            self.round(jobs, &mut state, round, true);
        }
        state.notes
    }

    /// Runs rows again, as often as before, that seem slower than the other version's or are not clear. All runs are judged then: chance
    /// seldom says the same again, and a busy machine needs more of them.
    pub(crate) fn make_sure(&self, jobs: &mut [Job]) -> Vec<String> {
        let mut notes = Vec::new();
        for time in 1..=AGAIN {
            let doubtful = |pair: &[Job]| match pair {
                [new, old] => old.row.program == OTHER && against::in_doubt(&new.row, &old.row),
                _ => false,
            };
            let doubts: Vec<bool> = jobs.windows(2).map(doubtful).collect();
            if !doubts.contains(&true) {
                break;
            }
            let doubt =
                |place: Option<usize>| place.and_then(|place| doubts.get(place)).is_some_and(|doubt| *doubt);
            for (place, job) in jobs.iter_mut().enumerate() {
                job.rests = !doubt(Some(place)) && !doubt(place.checked_sub(1));
            }
            let order = jobs.iter().flat_map(|job| &job.row.runs).map(|run| run.order + 1).max().unwrap_or(0);
            let mut state = State { took: vec![None; jobs.len()], order, ..State::default() };
            for round in self.repeat * time..self.repeat * (time + 1) {
                self.round(jobs, &mut state, round, true);
            }
            notes.extend(state.notes);
        }
        for job in jobs.iter_mut() {
            job.rests = false;
        }
        notes
    }

    /// Repeats the live streams in which this version alone lost frames or delivered them late. A stream that breaks a limit in every
    /// repetition has failed; for any other the last repetition counts, since the machine caused the delay.
    pub(crate) fn soak_again(&self, jobs: &mut [Job]) -> Vec<String> {
        let mut notes = Vec::new();
        for place in 1..jobs.len() {
            let mut pair = [jobs[place - 1].clone(), jobs[place].clone()];
            for _ in 0..AGAIN {
                let [new, old] = &mut pair;
                if self.interrupts.token.is_cancelled() || old.row.program != OTHER || self.used_up() {
                    break;
                }
                let Some(why) = against::held_up(&new.row, &old.row) else { break };
                for job in [&mut *new, &mut *old] {
                    job.row.judged.clear();
                    job.program = job.program.take().map(|program| shortened(program, self.args.minutes));
                }
                let (first, second) = self.start_with_other(&pair, 0);
                let [new, old] = &mut pair;
                let read = |job: &mut Job, ended: Option<Ended>| {
                    ended.and_then(Result::ok).is_some_and(|all| self.read(job, &all).is_ok())
                };
                if !read(new, Some(first)) || !read(old, second) {
                    break;
                }
                if against::held_up(&new.row, &old.row).is_none() {
                    notes.push(format!("{}: not so when measured again: {why}", new.row.id));
                    for (job, again) in jobs[place - 1..].iter_mut().zip(pair) {
                        job.row.judged = again.row.judged;
                    }
                    break;
                }
            }
        }
        notes
    }

    /// Whether so many more rounds would not fit.
    fn over_budget(&self, state: &State, jobs: &[Job], rounds: u32) -> bool {
        let Some(budget) = self.args.budget else { return false };
        let known = state.took.iter().zip(jobs).filter(|(_, job)| job.program.is_some() && !job.once);
        let round: Duration = known.filter_map(|(took, _)| *took).sum();
        self.begun.elapsed() + round * rounds > budget
    }

    fn used_up(&self) -> bool {
        self.args.budget.is_some_and(|budget| self.begun.elapsed() >= budget)
    }

    fn round(&self, jobs: &mut [Job], state: &mut State, round: u32, counts: bool) {
        let runs = |job: &Job| job.program.is_some() && job.row.failed.is_none() && !job.rests;
        let begin = |job: &&Job| runs(job) && !(job.once && !(counts && round == 0));
        let (rows, of) = (jobs.iter().filter(begin).count(), if counts { self.repeat } else { self.warmup });
        if rows > 0 && !self.interrupts.token.is_cancelled() {
            let kind = if counts { "round" } else { "warm-up" };
            self.view.round(&format!("{kind} {} of {of}, rows: {rows}", round + 1));
        }
        let mut turn: Vec<usize> = (0..jobs.len()).collect();
        // A B, B A: what drifts falls on both.
        if round % 2 == 1 {
            turn.reverse();
        }
        let mut waiting = None;
        for place in turn {
            let all = jobs.iter().filter(|job| runs(job)).count() as u64;
            let Some(job) = jobs.get_mut(place).filter(|job| begin(&&**job)) else {
                waiting = None;
                continue;
            };
            if self.interrupts.token.is_cancelled() {
                continue;
            }
            if self.used_up() {
                if job.row.runs.is_empty() && counts {
                    job.row.failed = Some("the budget was used up before a run that counts".to_owned());
                }
                continue;
            }
            let total = u64::from(self.warmup + self.repeat) * all;
            self.view.running(&job.row.id, state.done, total.max(state.done), self.left(state, total));
            let load = machine::load();
            let finished = waiting.take().unwrap_or_else(|| {
                let (finished, beside) = self.start_with_other(jobs, place);
                waiting = beside;
                finished
            });
            state.done += 1;
            if self.interrupts.token.is_cancelled() {
                return;
            }
            if let Some(job) = jobs.get_mut(place) {
                self.take(job, finished, load, state, (place, round, counts));
            }
        }
    }

    /// About how long the other runs will take.
    fn left(&self, state: &State, total: u64) -> Option<Duration> {
        let known: Vec<_> = state.took.iter().flatten().collect();
        let mean = known.iter().copied().sum::<Duration>().checked_div(known.len() as u32)?;
        let left = mean * u32::try_from(total.saturating_sub(state.done)).unwrap_or(u32::MAX);
        let budget = self.args.budget.map(|budget| budget.saturating_sub(self.begun.elapsed()));
        Some(budget.map_or(left, |budget| budget.min(left)))
    }

    /// Runs a job, and the same live streams of the other version at the same time: the machine holds up both alike.
    fn start_with_other(&self, jobs: &[Job], place: usize) -> (Ended, Option<Ended>) {
        let job = &jobs[place];
        match jobs.get(place + 1).filter(|other| job.once && other.row.program == OTHER) {
            Some(other) => std::thread::scope(|scope| {
                let beside = scope.spawn(|| self.start(other));
                let finished = self.start(job);
                (finished, Some(beside.join().unwrap_or_else(|_| Err("its thread panicked".to_owned()))))
            }),
            None => (self.start(job), None),
        }
    }

    fn start(&self, job: &Job) -> Ended {
        let Some(program) = &job.program else { return Err("there is nothing to run".to_owned()) };
        // What is left of the budget.
        let left = self.args.budget.map_or(LIMIT, |budget| budget.saturating_sub(self.begun.elapsed()));
        let limits = Limits { time: left.min(LIMIT), interrupts: self.interrupts };
        let limits = match (job.what.case, self.args.budget) {
            // As long as it was asked to take, and as much again to open and close.
            (Case::Soak, None) => {
                let asked = Duration::from_secs_f64(60.0 * self.args.minutes.unwrap_or(10.0));
                Limits { time: asked * 2 + Duration::from_secs(60), ..limits }
            }
            // It may well take longer than any other child.
            (Case::Soak, Some(budget)) => {
                Limits { time: budget.saturating_sub(self.begun.elapsed()), ..limits }
            }
            _ => limits,
        };
        let all = child::run_together(program, job.copies, &limits)
            .map_err(|error| format!("{} does not start: {error}", input::name(&program.path)))?;
        match all.iter().find(|one| !one.success()) {
            Some(failed) => Err(failed.failure()),
            None => Ok(all),
        }
    }

    fn take(
        &self,
        job: &mut Job,
        finished: Result<Vec<Finished>, String>,
        load: Option<f64>,
        state: &mut State,
        (place, round, counts): (usize, u32, bool),
    ) {
        let read = finished.and_then(|all| {
            let wall = all.iter().map(|one| one.wall).max().unwrap_or_default();
            let run = self.read(job, &all)?;
            Ok((run, wall, all.iter().find_map(Finished::message)))
        });
        let (run, wall, said) = match read {
            Ok(read) => read,
            Err(_) if self.used_up() && !job.row.runs.is_empty() => {
                state.notes.push(format!("budget: run {} of {} was cut short", round + 1, job.row.id));
                return;
            }
            Err(why) => {
                let which =
                    if counts { format!("run {}", round + 1) } else { format!("warm-up {}", round + 1) };
                self.view.line(&format!("{} failed: {why}", job.row.id));
                job.row.failed = Some(format!("{which}: {why}"));
                return;
            }
        };
        if let Some(took) = state.took.get_mut(place) {
            *took = Some(wall);
        }
        let expected = job.expected * u64::from(job.copies);
        if let Some(message) = said.filter(|_| job.side == Side::Ffmpeg) {
            let begin = format!("{} said: ", job.row.id);
            // One that cannot use a card may go on without it: that would be other work. The first words of a row are enough.
            if !state.notes.iter().any(|note| note.starts_with(&begin)) {
                state.notes.push(begin + &message);
            }
        }
        if run.frames != expected && job.side != Side::Work {
            let message = format!("{}: {} frames came out instead of {expected}", job.row.id, run.frames);
            if job.side == Side::Own {
                job.row.failed = Some(message);
                return;
            }
            // What a peer does is its own affair; that its work was not equal must be said.
            if !state.notes.contains(&message) {
                state.notes.push(message);
            }
        }
        let fps = run.frames as f64 / run.wall_s.max(f64::MIN_POSITIVE);
        let kind = if counts { "run" } else { "warm-up" };
        self.view.detail(&format!("{kind} {} {}: {:.3} s, {fps:.1} fps", round + 1, job.row.id, run.wall_s));
        if counts {
            job.row.runs.push(Run { order: state.order, round, load, ..run });
            state.order += 1;
        }
    }

    /// The figures of a run.
    fn read(&self, job: &mut Job, all: &[Finished]) -> Result<Run, String> {
        let wall = all.iter().map(|one| one.wall).max().unwrap_or_default().as_secs_f64();
        let cpu: Duration = all.iter().map(|one| one.cpu).sum();
        let peak: u64 = all.iter().map(|one| one.peak_bytes).sum();
        let mut run = Run {
            wall_s: wall,
            cpu_s: Some(cpu.as_secs_f64()),
            peak_rss_bytes: (peak > 0).then_some(peak),
            ..Run::default()
        };
        for one in all {
            match job.side {
                Side::Ffmpeg => {
                    run.frames += peer::frames(&one.stdout).ok_or("it told no number of frames")?;
                }
                Side::Own => {
                    let said: Value = json(one)?;
                    if job.what.pictures == Some(Pictures::Device) {
                        stayed(&said)?;
                    }
                    self.own(&said, &mut run)?;
                    let by = |side: &str| said[side]["implementation"].as_str().map(str::to_owned);
                    (job.row.decoder, job.row.encoder) = (by("decode"), by("encode"));
                }
                Side::Work => {
                    let said: Report = json(one)?;
                    said.fill(&mut run, &mut job.row, self.args.internal());
                }
            }
        }
        if let Some(output) = &job.output {
            let size =
                std::fs::metadata(output).map_err(|error| format!("its output is not there: {error}"))?;
            run.bytes_out = Some(size.len());
        }
        Ok(run)
    }

    /// What `--json` of our commands tells.
    fn own(&self, said: &Value, run: &mut Run) -> Result<(), String> {
        undisturbed(said)?;
        run.frames += said["frames_out"].as_u64().ok_or("its report has no number of frames")?;
        let timing = &said["timing"];
        let first = timing["process_to_first_frame_s"].as_f64();
        let last = timing["process_to_last_frame_s"].as_f64();
        // Of several at once the slowest.
        if let Some(first) = first {
            run.startup_s = Some(run.startup_s.unwrap_or(0.0).max(first));
        }
        if let Some((first, last)) = first.zip(last).filter(|(first, last)| last > first && run.frames > 1) {
            run.steady_s = Some(run.steady_s.unwrap_or(0.0).max(last - first));
        }
        if self.args.internal() {
            run.internal = internal(said);
        }
        Ok(())
    }
}

/// Returns the program with its `--minutes` reduced to at most ten.
fn shortened(mut program: Program, minutes: Option<f64>) -> Program {
    let asked = program.args.iter().position(|arg| arg == "--minutes");
    if let Some(value) = asked.and_then(|place| program.args.get_mut(place + 1)) {
        *value = minutes.unwrap_or(MOST_AGAIN).min(MOST_AGAIN).to_string().into();
    }
    program
}

fn json<T: serde::de::DeserializeOwned>(of: &Finished) -> Result<T, String> {
    serde_json::from_slice(&of.stdout).map_err(|error| format!("its report is no JSON: {error}"))
}

/// Whether whoever began a run also ended it. What took over did other work than the row says, and its start is in the time.
fn undisturbed(said: &Value) -> Result<(), String> {
    for (stage, who) in [("decode", "decoder"), ("encode", "encoder")] {
        let Some(event) = said[stage]["events"].as_array().and_then(|events| events.first()) else {
            continue;
        };
        let word = |name: &str| event[name].as_str().unwrap_or("?");
        let after = event["frame"].as_u64().map_or_else(String::new, |frame| format!(" at frame {frame}"));
        let (from, reason) = (word("from"), word("reason"));
        return Err(match event["to"].as_str() {
            Some(to) => format!("the {who} {from} died{after} and another took over ({to}): {reason}"),
            None => format!("the {who} {from} died{after}: {reason}"),
        });
    }
    Ok(())
}

/// Whether the pictures of a run stayed on the card, by its own account.
fn stayed(said: &Value) -> Result<(), String> {
    match said["decode"]["output_copy_bytes"].as_u64() {
        Some(0) => Ok(()),
        Some(bytes) => Err(format!("{bytes} bytes of pictures were copied to host memory")),
        None => Err("its report does not tell whether pictures were copied to host memory".to_owned()),
    }
}

/// The figures of the stages, flat: `lock_ms` is the sum over the run, `lock_ms_per_picture` its mean, `lock_p95_ms` what its
/// name says.
fn internal(said: &Value) -> std::collections::BTreeMap<String, f64> {
    let mut all = std::collections::BTreeMap::new();
    for stage in ["decode", "filter", "encode"] {
        for (name, value) in said["stages"][stage].as_object().into_iter().flatten() {
            if let (Some(seconds), Some(base)) = (value.as_f64(), name.strip_suffix("_s")) {
                all.insert(format!("{stage}_{base}_ms"), seconds * 1e3);
            }
            if let Some(peak) = value["peak"].as_f64() {
                all.insert(format!("{stage}_{name}_peak"), peak);
            }
        }
    }
    let inside = ["decode", "encode"].map(|side| said["stages"][side]["stages"].as_object());
    for (name, value) in inside.into_iter().flatten().flatten() {
        if let Some(number) = value.as_f64() {
            all.insert(name.clone(), number);
        }
        let base = name.strip_suffix("_ms_per_picture").unwrap_or(name);
        for (figure, value) in value.as_object().into_iter().flatten() {
            let Some(value) = value.as_f64().filter(|_| figure != "count") else { continue };
            let key = if figure == "mean" { name.clone() } else { format!("{base}_{figure}_ms") };
            all.insert(key, value);
        }
    }
    for side in ["decode", "encode"] {
        for name in ["input_copy_bytes", "output_copy_bytes", "device_copy_bytes"] {
            if let Some(bytes) = said[side][name].as_f64() {
                all.insert(format!("{side}_{name}"), bytes);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_copy_to_the_host_is_not_passed_over() {
        let said = |bytes: Value| stayed(&json!({ "decode": { "output_copy_bytes": bytes } }));
        assert_eq!(said(json!(0)), Ok(()));
        assert!(said(json!(345_600)).unwrap_err().contains("345600 bytes"));
        assert!(said(Value::Null).unwrap_err().contains("does not tell"));
    }

    #[test]
    fn a_takeover_is_not_passed_over() {
        let event = |to: Value| json!([{ "from": "nvidia", "to": to, "frame": 7, "reason": "device lost" }]);
        assert_eq!(undisturbed(&json!({ "frames_out": 1, "encode": { "events": [] } })), Ok(()));
        assert_eq!(undisturbed(&json!({ "decode": null, "encode": null })), Ok(()));
        let reported = |said: Value| undisturbed(&said).unwrap_err();
        assert_eq!(
            reported(json!({ "encode": { "events": event(json!("software")) } })),
            "the encoder nvidia died at frame 7 and another took over (software): device lost"
        );
        assert_eq!(
            reported(json!({ "decode": { "events": event(Value::Null) }, "encode": { "events": [] } })),
            "the decoder nvidia died at frame 7: device lost"
        );
        assert!(reported(json!({ "encode": { "events": [{}] } })).starts_with("the encoder ? died: "));
    }

    #[test]
    fn stages_become_flat() {
        let said = json!({
            "stages": {
                "decode": { "busy_s": 0.5, "input_queue": { "capacity": 4, "peak": 3 } },
                "encode": { "busy_s": 1.0, "stages": {
                    "lock_ms": 18.0, "lock_ms_per_picture": { "count": 9, "mean": 2.0, "p95": 3.0 },
                    "queue_peak": 6
                }},
            },
            "encode": { "input_copy_bytes": 7 },
        });
        let all = internal(&said);
        let whole = |name: &str| (all[name] * 10.0) as u64;
        assert_eq!(whole("decode_busy_ms"), 5000);
        assert_eq!(whole("decode_input_queue_peak"), 30);
        let names = ["lock_ms", "lock_ms_per_picture", "lock_p95_ms", "queue_peak"];
        assert_eq!(names.map(whole), [180, 20, 30, 60]);
        assert_eq!(whole("encode_input_copy_bytes"), 70);
        assert!(!all.keys().any(|key| key.contains("count")), "{all:?}");
    }
}
