//! Sessions opened and closed again and again: does anything stay behind?

use std::io::Write;
use std::time::{Duration, Instant};

use video_hw::session::{DecodeSession, Submit};

use crate::args::Options;
use crate::clip::Clip;
use crate::json::Object;
use crate::verify::Checks;
use crate::{AnyError, process};

/// Frames of each session unless `--frames` says otherwise.
const FRAMES: u64 = 2;
/// A session from which nothing comes for so long gives no more.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(options: &Options, rounds: usize) -> Result<bool, AnyError> {
    let wanted = options.frames.unwrap_or(FRAMES);
    let mut whole = true;
    for round in 1..=rounds {
        let begun = Instant::now();
        let mut sessions = Vec::with_capacity(options.sessions);
        for path in options.files.iter().cycle().take(options.sessions) {
            let clip = Clip::open(path)?;
            let session = clip.session(options, false)?;
            sessions.push((clip, session));
        }
        let opened = begun.elapsed();
        let mut frames = 0;
        for (clip, session) in &mut sessions {
            frames += decode(clip, session, wanted, options)?;
        }
        let decoded = begun.elapsed();
        let most = process::resident_kib();
        let threads_open = process::threads();
        drop(sessions);
        let closed = begun.elapsed();
        whole &= frames == wanted * options.sessions as u64;
        let mut out = Object::new();
        out.value("round", round);
        out.value("sessions", options.sessions);
        out.value("frames", frames);
        out.number("open_s", Some(opened.as_secs_f64()));
        out.number("decode_s", Some(decoded.saturating_sub(opened).as_secs_f64()));
        out.number("close_s", Some(closed.saturating_sub(decoded).as_secs_f64()));
        out.count("resident_open_kib", most);
        out.count("threads_open", threads_open);
        out.count("resident_kib", process::resident_kib());
        out.count("threads", process::threads());
        out.count("open_files", process::open_files());
        println!("{out}");
        std::io::stdout().flush()?;
        std::thread::sleep(options.settle);
    }
    let mut out = Object::new();
    out.value("rounds", rounds);
    out.count("peak_resident_kib", process::peak_resident_kib());
    out.value("passed", whole);
    println!("{out}");
    Ok(whole)
}

/// Decodes `wanted` frames; how many came. More may be on their way when it returns, which a session that is dropped
/// must bear.
fn decode(
    clip: &mut Clip,
    session: &mut DecodeSession,
    wanted: u64,
    options: &Options,
) -> Result<u64, AnyError> {
    let mut checks = Checks::default();
    let mut heard = Instant::now();
    let mut waiting = None;
    let mut ended = false;
    while checks.frames < wanted && heard.elapsed() < PATIENCE {
        if waiting.is_none() && !ended {
            waiting = clip.next_packet()?;
            if waiting.is_none() {
                session.flush()?;
                ended = true;
            }
        }
        let mut pause = Duration::ZERO;
        if let Some(packet) = waiting.take()
            && let Submit::Full(packet) = session.submit(packet)?
        {
            waiting = Some(packet);
            pause = Duration::from_millis(5);
        }
        if ended {
            pause = Duration::from_millis(5);
        }
        if let Some(frame) = session.reap_timeout(pause)? {
            heard = Instant::now();
            checks.take(&frame, options)?;
        } else if ended && session.is_drained() {
            break;
        }
    }
    Ok(checks.frames)
}
