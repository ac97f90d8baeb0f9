//! One packet at a time: how long until its frame is out?

use std::time::{Duration, Instant};

use video_hw::time::{TimeBase, Timestamp};
use video_hw::{Error, session::Submit};

use crate::args::Options;
use crate::clip::Clip;
use crate::json::Object;
use crate::verify::Checks;
use crate::{AnyError, process};

/// After so many missed frames the rest tells nothing new, and waiting for each takes minutes.
const ENOUGH_MISSES: u64 = 20;

pub(crate) fn run(options: &Options) -> Result<bool, AnyError> {
    let path = options.files.first().ok_or("no file is given")?;
    let mut clip = Clip::open(path)?;
    let mut session = clip.session(options, true)?;
    let base = TimeBase::new(1, 1000).ok_or("no time base")?;
    let mut checks = Checks::default();
    let (mut times, mut first) = (Vec::new(), None);
    let (mut packets, mut missed, mut strangers) = (0_u64, 0_u64, 0_u64);
    let mut gave_up = false;
    while options.frames.is_none_or(|limit| packets < limit) {
        let Some(mut packet) = clip.next_packet()? else { break };
        // Numbered here: the frame that comes out must be the one that went in.
        let number = Timestamp::new(i64::try_from(packets)?, base);
        packet.pts = Some(number);
        packet.dts = Some(number);
        packets += 1;
        let begun = Instant::now();
        let Submit::Accepted = session.submit(packet)? else {
            return Err(Error::invalid("a session that is waited for has no room for one packet").into());
        };
        // What was missed before may come first.
        let frame = loop {
            let left = options.wait.saturating_sub(begun.elapsed());
            match session.reap_timeout(left)? {
                Some(frame) if frame.pts < number => {
                    strangers += 1;
                    checks.take(&frame, options)?;
                }
                Some(frame) => break Some(frame),
                None if begun.elapsed() >= options.wait => break None,
                None => {}
            }
        };
        let elapsed = begun.elapsed();
        let Some(frame) = frame else {
            missed += 1;
            gave_up = missed >= ENOUGH_MISSES;
            if gave_up {
                break;
            }
            continue;
        };
        strangers += u64::from(frame.pts != number);
        checks.take(&frame, options)?;
        // The first one also pays for the creation of the decoder.
        if first.is_none() {
            first = Some(elapsed);
        } else {
            times.push(elapsed);
        }
    }
    for frame in session.drain()? {
        checks.take(&frame?, options)?;
    }
    times.sort_unstable();
    let passed = missed == 0 && strangers == 0 && checks.frames == packets && checks.passed(options);
    let milliseconds = |time: Option<Duration>| time.map(|t| t.as_secs_f64() * 1e3);
    let mut out = Object::new();
    out.value("packets", packets);
    out.value("frames", checks.frames);
    out.value("missed", missed);
    out.value("strangers", strangers);
    out.value("gave_up", gave_up);
    out.number("first_ms", milliseconds(first));
    for (name, share) in [("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99), ("max_ms", 100)] {
        out.number(name, milliseconds(percentile(&times, share)));
    }
    let mean = times.iter().sum::<Duration>().checked_div(u32::try_from(times.len())?);
    out.number("mean_ms", milliseconds(mean));
    if let Some((place, format)) = &checks.first {
        out.text("surface", place);
        out.text("format", format);
    }
    if let Some((backend, implementation)) = session.receipt().chosen() {
        out.text("backend", backend.name());
        out.text("implementation", implementation);
    }
    out.count("peak_resident_kib", process::peak_resident_kib());
    out.value("passed", passed);
    println!("{out}");
    Ok(passed)
}

/// The smallest of `sorted` that `share` percent of them do not exceed.
fn percentile(sorted: &[Duration], share: usize) -> Option<Duration> {
    let rank = (sorted.len() * share).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}
