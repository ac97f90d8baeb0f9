//! Transcodes whose encoder dies on the way: the output is one whole stream, every frame is in it, and the books say so.
//!
//! `VIDEO_HW_LONG=1` runs ten seeds with fifty deaths each instead of one with twenty.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use video_hw::backend::{Backend, BackendKind, Candidate, Job};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, ColorRequest, FailurePolicy, FfmpegEncodeConfig};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::pipeline::{FrameMemory, FrameSource, Transcode, TranscodeReport};
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;

use crate::support::failover::{
    Random, assert_whole, children, film, have_ffmpeg, judge, judge_as, long, say,
};
use crate::support::nvidia::{Run, fault, simulated_case_on};

const FRAMES: usize = 60;

/// The children of this process are counted, and killed, so one test with such at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happened, of many deaths.
struct Deaths {
    runs: u64,
    seconds: f64,
}

/// Calls `death` for each death of each seed (behind `behind`); `None` as soon as that says so.
fn many_deaths(behind: u64, mut death: impl FnMut(&mut Random, u64) -> Option<()>) -> Option<Deaths> {
    let (seeds, deaths) = if long() { (10, 50) } else { (1, 20) };
    let began = Instant::now();
    for seed in 1..=seeds {
        let mut random = Random::new(behind + seed);
        for _ in 0..deaths {
            death(&mut random, seed)?;
        }
    }
    Some(Deaths { runs: seeds * deaths, seconds: began.elapsed().as_secs_f64() })
}

fn job<'a>(input: &Path, output: &Path) -> Transcode<'a> {
    video_hw::transcode(input, output).codec(Codec::H264).bitrate(600_000).gop_length(25)
}

/// Runs a case on a card that encodes, of which nothing is left behind whatever happens to it.
fn on_card(test: &str, settings: &str, case: &str, body: impl FnOnce(&str)) -> Option<Run> {
    simulated_case_on("ada", test, settings, case, body).inspect(Run::assert_clean)
}

/// What a test with cases on cards begins with. A process that is one of them runs it here, whatever it is, and ends. `None`:
/// nobody is here to judge.
fn cases(test: &str, body: impl FnOnce(&str)) -> Option<MutexGuard<'static, ()>> {
    if std::env::var("VIDEO_HW_SIMULATED").is_ok_and(|name| name == test) {
        let _ = on_card(test, "", "", body);
    }
    let alone = alone();
    have_ffmpeg().then_some(alone)
}

/// One transcode whose encoder is lost at a call; the case says with how many B frames.
fn lose_device(case: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in.y4m"), directory.path().join("out.mp4"));
    film(&input, FRAMES);
    let mut told = Vec::new();
    let b_frames = case.rsplit(' ').next().unwrap().parse().unwrap();
    let report = job(&input, &output)
        .b_frames(b_frames)
        .encode_backend(Backend::Auto)
        .on_failure(FailurePolicy::Next)
        .on_takeover(|takeover| told.push(takeover.clone()))
        .run()
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_whole(&report, FRAMES, case);
    let [takeover] = &told[..] else { panic!("{case}: {told:?}") };
    assert_eq!(report.encode.takeovers, told, "{case}");
    assert_eq!(takeover.from, Candidate::Nvidia);
    assert_eq!(takeover.to.unwrap().0, Candidate::Ffmpeg, "the next that is here: {takeover}");
    assert_eq!(report.encode.receipt.engine(), takeover.to.map(|(engine, _)| engine));
    assert!(takeover.again > 0 && takeover.lost == 0, "{takeover}");
    assert_eq!(takeover.given_up.iter().any(|word| word.contains("B frames")), b_frames > 0, "{takeover}");
    judge(&output, FRAMES, case);
}

#[test]
fn a_lost_device_costs_no_frame() {
    const TEST: &str = "a_lost_device_costs_no_frame";
    let Some(alone) = cases(TEST, lose_device) else { return };
    drop(alone);
    let deaths = many_deaths(0, |random, seed| {
        let call = random.below(FRAMES as u64) + 1;
        let function = ["nvEncEncodePicture", "nvEncLockBitstream"][random.below(2) as usize];
        let effect = ["device_lost=true", "code=20"][random.below(2) as usize];
        let b_frames = [0, 0, 2][random.below(3) as usize];
        let case = format!("seed {seed}: {function} {call} {effect}, B frames {b_frames}");
        let settings = fault(function, call as u32, effect);
        on_card(TEST, &settings, &case, lose_device).map(drop)
    });
    if let Some(Deaths { runs, seconds }) = deaths {
        say(&format!("{runs} of {runs} lost devices (simulated) cost no frame, {seconds:.0} s"));
    }
}

fn child_job<'a>(input: &Path, output: &Path) -> Transcode<'a> {
    let special = FfmpegEncodeConfig::default().preset("veryfast".to_owned());
    job(input, output)
        .encode_backend(BackendKind::Ffmpeg)
        .backend_config(BackendEncodeConfig::Ffmpeg(special))
}

/// Transcodes with the first child killed so long after it was there.
fn killed(job: Transcode<'_>, after: Duration) -> Result<TranscodeReport, Error> {
    static ASKED: Once = Once::new();
    // The first child of a process is asked what it can do, and is not the one to be killed.
    ASKED.call_once(|| {
        let directory = tempfile::tempdir().unwrap();
        let (input, output) = (directory.path().join("in.y4m"), directory.path().join("out.mp4"));
        film(&input, 5);
        child_job(&input, &output).run().unwrap();
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let victim = loop {
                match children().first() {
                    Some(child) => break *child,
                    None if done.load(Ordering::Relaxed) => return,
                    None => std::thread::sleep(Duration::from_micros(200)),
                }
            };
            std::thread::sleep(after);
            // Where it is gone already nothing dies, which is a moment too.
            let _ = Command::new("kill").args(["-9", &victim.to_string()]).output();
        });
        let report = job.run();
        done.store(true, Ordering::Relaxed);
        report
    })
}

/// How long such a job takes here when nothing is in its way.
fn life<'a>(job: &impl Fn() -> Transcode<'a>) -> Duration {
    let once = |_| {
        let began = Instant::now();
        job().run().unwrap();
        began.elapsed()
    };
    (0..3).map(once).min().unwrap()
}

/// Transcodes with the child killed at one moment of its life after the other, until it was one that is looked for.
fn killed_until<'a>(
    job: impl Fn() -> Transcode<'a>,
    found: impl Fn(&Result<TranscodeReport, Error>) -> bool,
) -> Result<TranscodeReport, Error> {
    const MOMENTS: u32 = 20;
    let life = life(&job);
    // The middle first, then here and there; then of a life that is longer, because the machine has more to do by now.
    for attempt in 0..3 * MOMENTS {
        let moment = (MOMENTS / 2 + 7 * attempt) % MOMENTS;
        let result = killed(job(), life * (2 + attempt / MOMENTS) / 2 * moment / MOMENTS);
        if found(&result) {
            return result;
        }
    }
    panic!("in {} attempts no child died at such a moment", 3 * MOMENTS);
}

/// A child has died with frames inside.
fn one_died(result: &Result<TranscodeReport, Error>) -> bool {
    result.as_ref().map_or(true, |report| report.encode.takeovers.len() == 1)
}

#[test]
fn a_killed_child_costs_no_frame() {
    let _alone = alone();
    if !have_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in.y4m"), directory.path().join("out.mp4"));
    film(&input, FRAMES);
    // How long a child lives here; deaths are spread over that.
    let life = life(&|| child_job(&input, &output).overwrite(true)) * 3 / 4;
    let mut died = 0;
    let deaths = many_deaths(0, |random, seed| {
        let after = life * random.below(1000) as u32 / 1000;
        let policy = [FailurePolicy::Reopen, FailurePolicy::Next][random.below(2) as usize];
        let what = format!("seed {seed}: killed after {after:?} of {life:?}, {policy:?}");
        let job = child_job(&input, &output).overwrite(true).on_failure(policy);
        let report = killed(job, after).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_whole(&report, FRAMES, &what);
        judge(&output, FRAMES, &what);
        assert!(report.encode.takeovers.len() <= 1, "{what}: {:?}", report.encode.takeovers);
        for takeover in &report.encode.takeovers {
            let same = takeover.to.unwrap().0 == Candidate::Ffmpeg;
            assert_eq!(same, policy == FailurePolicy::Reopen, "{what}: {takeover}");
            died += 1;
        }
        Some(())
    });
    let Deaths { runs, seconds } = deaths.unwrap();
    say(&format!(
        "{runs} of {runs} killed children cost no frame ({died} died with frames inside), {seconds:.0} s"
    ));
    assert!(died > 0, "none of {runs} died with frames inside");
    assert_eq!(children(), Vec::<u32>::new(), "children are left");
}

#[test]
fn who_wants_no_other_encoder_gets_the_reason_and_no_file() {
    let _alone = alone();
    if !have_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in.y4m"), directory.path().join("out.mp4"));
    film(&input, 250);
    // A job may be over before the signal is there; then there was nobody to replace.
    let failed = (0..20).find_map(|_| {
        let _ = std::fs::remove_file(&output);
        killed(child_job(&input, &output).on_failure(FailurePolicy::Stop), Duration::ZERO).err()
    });
    let error = failed.expect("a child dies before its job is over");
    assert!(matches!(error, Error::Backend { backend: BackendKind::Ffmpeg, .. }), "{error}");
    assert!(!output.exists());
}

#[test]
fn an_elementary_stream_goes_on_as_one() {
    let _alone = alone();
    if !have_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in.y4m"), directory.path().join("out.h264"));
    film(&input, 250);
    let job = || child_job(&input, &output).overwrite(true).on_failure(FailurePolicy::Next);
    let report = killed_until(job, one_died).unwrap();
    assert_whole(&report, 250, "h264");
    assert_eq!(frames_in(&output), 250);
}

/// Frames that ffmpeg finds in a file, about which it has nothing to say.
fn frames_in(file: &Path) -> usize {
    let said = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-f", "framecrc", "-"])
        .output()
        .unwrap();
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().lines().filter(|line| !line.starts_with('#')).count()
}

/// Their header is written when the next encoder's parameter sets are not known.
#[test]
fn fragments_go_on_with_the_parameter_sets_of_another_encoder() {
    /// Samples wait five seconds for their fragment, and some for those that come before them.
    const MOST_WAITING: u64 = 5 * 25 + 5;
    let _alone = alone();
    if !have_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in.y4m"), directory.path().join("out.mp4"));
    film(&input, 250);
    let fragments = |policy| child_job(&input, &output).overwrite(true).fragmented(true).on_failure(policy);
    let report = killed_until(|| fragments(FailurePolicy::Reopen), one_died).unwrap();
    assert_whole(&report, 250, "the same again");
    assert_eq!(frames_in(&output), 250);
    std::fs::remove_file(&output).unwrap();
    // Another encoder's parameter sets come with its pictures, also behind the header.
    let report = killed_until(
        || fragments(FailurePolicy::Next),
        |result| {
            let takeovers = result.as_ref().map(|report| report.encode.takeovers.clone());
            takeovers.is_ok_and(|takeovers| takeovers.iter().any(|takeover| takeover.frame >= MOST_WAITING))
        },
    );
    assert_whole(&report.unwrap(), 250, "another goes on");
    assert_eq!(frames_in(&output), 250);
}

/// The film as a coded one, with B frames, made by ffmpeg.
fn coded_film(directory: &Path) -> std::path::PathBuf {
    let (raw, coded) = (directory.join("film.y4m"), directory.join("film.mp4"));
    film(&raw, FRAMES);
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-i"])
        .arg(&raw)
        .args(["-c:v", "libx264", "-preset", "veryfast", "-g", "20", "-bf", "2", "-crf", "18"])
        .arg(&coded)
        .status()
        .unwrap();
    assert!(made.success());
    coded
}

/// One transcode whose card is lost at a call; the case is the input's path and the words.
fn lose_card(case: &str) {
    let (input, what) = case.split_once('|').unwrap();
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.mp4");
    let mut told = Vec::new();
    let report = job(Path::new(input), &output)
        .on_failure(FailurePolicy::Next)
        .on_takeover(|takeover| told.push(takeover.clone()))
        .run()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_whole(&report, FRAMES, what);
    // Behind the last packet a death takes nothing with it, and nothing has to take over.
    assert!(!told.is_empty() || what.ends_with(&format!("Resource {FRAMES}")), "{what}: nothing died");
    assert_eq!(report.encode.takeovers.len() + report.input.takeovers.len(), told.len());
    for takeover in &told {
        assert_eq!(takeover.from, Candidate::Nvidia, "{takeover}");
        let next = match takeover.job {
            Job::Decode => Candidate::Embedded,
            Job::Encode => Candidate::Ffmpeg,
        };
        assert_eq!((takeover.to.unwrap().0, takeover.lost), (next, 0), "{what}: {takeover}");
    }
    let sessions = report.input.decode_before.len() + 1;
    assert_eq!(sessions, report.input.takeovers.len() + 1, "{what}");
    judge(&output, FRAMES, what);
}

#[test]
fn a_card_that_decodes_and_encodes_is_lost_without_a_frame() {
    const TEST: &str = "a_card_that_decodes_and_encodes_is_lost_without_a_frame";
    const CALLS: [&str; 6] = [
        "cuvidDecodePicture",
        "cuvidMapVideoFrame64",
        "nvEncMapInputResource",
        "nvEncEncodePicture",
        "nvEncLockBitstream",
        "nvEncUnmapInputResource",
    ];
    let Some(alone) = cases(TEST, lose_card) else { return };
    let directory = tempfile::tempdir().unwrap();
    let input = coded_film(directory.path());
    drop(alone);
    let deaths = many_deaths(100, |random, seed| {
        // The h200 has no encoder: its decoder gives host memory, and the CPU encodes.
        let chip = ["ada", "ada", "h200"][random.below(3) as usize];
        let function = CALLS[random.below(if chip == "ada" { 6 } else { 2 }) as usize];
        let call = random.below(FRAMES as u64) + 1;
        let case = format!("{}|seed {seed}: {chip}, {function} {call}", input.display());
        let settings = fault(function, call as u32, "device_lost=true");
        simulated_case_on(chip, TEST, &settings, &case, lose_card).map(|run| run.assert_clean())
    });
    if let Some(Deaths { runs, seconds }) = deaths {
        say(&format!("{runs} of {runs} lost cards (simulated) cost no frame, {seconds:.0} s"));
    }
}

/// What was fetched again is what the filters had made of it.
fn lose_card_with_filters(case: &str) {
    let (input, what) = case.split_once('|').unwrap();
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.mp4");
    let job = job(Path::new(input), &output).on_failure(FailurePolicy::Next);
    let (job, numbers, rate) = match what.split(' ').next().unwrap() {
        "fps" => {
            let doubled = (0..2 * FRAMES).map(|n| n / 2).collect::<Vec<_>>();
            (job.frame_rate(Rational::new(50, 1).unwrap()), doubled, 50)
        }
        "start" => {
            let (start, length) = (Duration::from_millis(920), Duration::from_millis(1200));
            (job.start(start).duration(length), (23..53).collect(), 25)
        }
        "size" => (job.size(Dimensions::new(320, 192).unwrap()), (0..FRAMES).collect(), 25),
        other => panic!("{other}"),
    };
    let report = job.run().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(report.balances() && report.losses.reasons().is_empty(), "{what}: {:?}", report.losses);
    // On a busy machine the card is lost before its encoder is opened, which then is another from the start.
    let encoder_died = !report.encode.takeovers.is_empty();
    assert!(encoder_died || !report.input.takeovers.is_empty(), "{what}: nothing died");
    assert_eq!(report.memory == FrameMemory::Host, !encoder_died, "{what}: {:?}", report.notes);
    judge_as(&output, &numbers, rate, what);
}

#[test]
fn filters_do_not_show_where_a_card_was_lost() {
    const TEST: &str = "filters_do_not_show_where_a_card_was_lost";
    let Some(alone) = cases(TEST, lose_card_with_filters) else { return };
    let directory = tempfile::tempdir().unwrap();
    let input = coded_film(directory.path());
    drop(alone);
    for filter in ["fps", "start", "size"] {
        for (function, call) in
            [("nvEncEncodePicture", 12), ("cuvidMapVideoFrame64", 22), ("nvEncLockBitstream", 17)]
        {
            let case = format!("{}|{filter} {function} {call}", input.display());
            let settings = fault(function, call, "device_lost=true");
            if on_card(TEST, &settings, &case, lose_card_with_filters).is_none() {
                return;
            }
        }
    }
}

/// Frames of a file, for whoever asks for them himself.
#[test]
fn frames_go_on_where_their_decoder_died() {
    let settings = fault("cuvidMapVideoFrame64", 30, "device_lost=true");
    let test = "frames_go_on_where_their_decoder_died";
    let run = simulated_case_on("h200", test, &settings, "", |_| {
        let clip = crate::support::nvidia::clip("bars.mp4");
        let convert = ColorRequest::To(PixelFormat::I420);
        let times = |frames: &mut FrameSource| -> Vec<_> {
            frames.map(|frame| frame.map(|frame| (frame.pts, frame.format)).unwrap()).collect()
        };
        let mut software =
            video_hw::frames(&clip).convert(convert).backend(BackendKind::Software).open().unwrap();
        let mut survivor =
            video_hw::frames(&clip).convert(convert).on_failure(FailurePolicy::Auto).open().unwrap();
        assert_eq!(times(&mut survivor), times(&mut software));
        let summary = survivor.summary();
        let [takeover] = &summary.takeovers[..] else { panic!("{:?}", summary.takeovers) };
        assert_eq!((takeover.from, takeover.to.unwrap().0), (Candidate::Nvidia, Candidate::Embedded));
        assert!(summary.again > 0 && summary.decode_before.len() == 1);
        assert!(summary.decode_before[0].ledger.balances());
    });
    if let Some(run) = run {
        run.assert_clean();
    }
}
