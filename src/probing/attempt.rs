//! One probe, step by step, in this process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::facts::gather;
use super::identity::nodes;
use super::streams::{stream, wrong};
use super::{Candidate, Findings, Probe, ProbeStep, ProbeVerdict, Question};
use crate::backend::vendors::{Calls, calls};
use crate::backend::{self, BackendKind, HeldDevice, Job};
use crate::codec::Codec;
use crate::config::{CommonDecodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::packet::{BitstreamLayout, Packet};
use crate::pixel::PixelFormat;
use crate::session::{DecodeSession, EncodeSession, Submit};
use crate::time::{Rational, TimeBase, Timestamp};

/// What hardware works on.
const FORMAT: PixelFormat = PixelFormat::Nv12;
/// What every encoder on the CPU takes.
const CPU_FORMAT: PixelFormat = PixelFormat::I420;
/// A size that every encoder takes, and none finds too small.
const ENCODED_SIZE: (u32, u32) = (640, 360);
const RATE: u32 = 30;

/// Asks all questions in this process, the candidates side by side. Nothing ends it if a driver hangs, and nothing
/// survives if one crashes: see [`super::ChildProber`].
pub fn in_process(questions: &[Question]) -> Findings {
    let mut found = Findings::default();
    thread::scope(|scope| {
        let running: Vec<_> = groups(questions)
            .into_iter()
            .map(|group| {
                let work = move || {
                    let mut held = None;
                    let mut ask = |question: &Question| {
                        attempt(*question, &mut |step| hold(*question, step, &mut held))
                    };
                    let probes = group.iter().map(&mut ask).collect();
                    let facts = group.first().map(|first| gather(*first)).unwrap_or_default();
                    Findings { probes, facts }
                };
                scope.spawn(work)
            })
            .collect();
        for thread in running {
            // A panic is a defect; whoever asks for what it would have found finds nothing.
            found.add(thread.join().unwrap_or_default());
        }
    });
    found
}

/// Questions that one thread or process works on: they are about the same libraries.
pub(super) fn groups(questions: &[Question]) -> Vec<Vec<Question>> {
    let mut groups: Vec<Vec<Question>> = Vec::new();
    for question in questions {
        let same = |group: &&mut Vec<Question>| {
            group
                .first()
                .is_some_and(|first| (first.candidate, first.job) == (question.candidate, question.job))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(*question),
            None => groups.push(vec![*question]),
        }
    }
    groups
}

/// From the first question about a card on keeps it started: else each would start it anew.
pub(super) fn hold(question: Question, step: ProbeStep, held: &mut Option<HeldDevice>) {
    let backend = question.candidate.backend();
    if backend.keeps_frames_on_device() && step == ProbeStep::Capability && held.is_none() {
        // Where that is not possible, the question itself finds out why.
        *held = backend::hold_device(backend, None).ok();
    }
}

/// Tries it; `reached` is told of each step before it is taken.
pub(super) fn attempt(question: Question, reached: &mut dyn FnMut(ProbeStep)) -> Probe {
    let begun = Instant::now();
    let mut at = ProbeStep::Library;
    let mut enter = |step| {
        at = step;
        reached(step);
    };
    let done = match question.job {
        Job::Decode => decode(question.candidate, question.codec, &mut enter),
        Job::Encode => encode(question.candidate, question.codec, &mut enter),
    };
    let verdict = match done {
        Ok(implementation) => ProbeVerdict::Works { implementation },
        Err(error) => ProbeVerdict::of_error(at, &error),
    };
    Probe { question, verdict, took: begun.elapsed(), cached: false }
}

/// The library and the device, which are the same for every codec.
fn begin(candidate: Candidate, job: Job, enter: &mut dyn FnMut(ProbeStep)) -> Result<&'static Calls> {
    enter(ProbeStep::Library);
    let (engine, backend) = (candidate.engine(), candidate.backend());
    engine.is_of_this_system()?;
    if engine.needs_render_node && has_no_render_node() {
        // The driver would say the same in more words and more time.
        return Err(Error::Unavailable {
            backend,
            reason: format!("{candidate} needs a GPU of Intel's or AMD's, and there is no /dev/dri/renderD*"),
            remedy: "Load the GPU's kernel driver; start a container with --device /dev/dri".into(),
        });
    }
    let calls = calls(backend)?;
    (calls.library)(job)?;
    enter(ProbeStep::Device);
    if backend.keeps_frames_on_device() {
        backend::devices(backend)?;
    }
    Ok(calls)
}

/// Whether the system has no device node that a driver of VA-API or Quick Sync could open.
fn has_no_render_node() -> bool {
    let is_gpu = |node: &String| node.contains("renderD") || node.ends_with("dxg");
    cfg!(target_os = "linux") && !nodes(Path::new("/dev")).iter().any(is_gpu)
}

fn decode(candidate: Candidate, codec: Codec, enter: &mut dyn FnMut(ProbeStep)) -> Result<String> {
    let none = || Error::unsupported(format!("there is no stream of {codec} here to try a decoder with"));
    let bytes = stream(codec).ok_or_else(none)?;
    let calls = begin(candidate, Job::Decode, enter)?;
    enter(ProbeStep::Capability);
    if calls.cards.is_some() {
        // What the driver says has its place here; what is refused the session says better.
        (calls.decode_capability)(None, codec)?;
    }
    enter(ProbeStep::Session);
    let mut session = DecodeSession::new(candidate.backend(), CommonDecodeConfig::new(codec))?;
    enter(ProbeStep::Frame);
    let time = Timestamp::new(0, TimeBase::from_frame_rate(rate()?));
    let packet = Packet {
        keyframe: true,
        ..Packet::new(codec, BitstreamLayout::elementary(codec), bytes).at(time, time)
    };
    if let Submit::Full(_) = session.submit(packet)? {
        return Err(failed(candidate, "submit", "an empty session takes nothing"));
    }
    let frames = session.drain()?.collect::<Result<Vec<Frame>>>()?;
    let Some(picture) = frames.first().and_then(Frame::as_host) else {
        return Err(failed(candidate, "decode", "no picture came out"));
    };
    if let Some(what) = wrong(picture) {
        return Err(failed(candidate, "decode", &what));
    }
    Ok(implementation(session.receipt().chosen()))
}

fn encode(candidate: Candidate, codec: Codec, enter: &mut dyn FnMut(ProbeStep)) -> Result<String> {
    begin(candidate, Job::Encode, enter)?;
    enter(ProbeStep::Capability);
    let special = candidate.settings(candidate.encoder_name(codec)?, None, None);
    // What a device encodes is told by a session alone: asking before would take one more.
    enter(ProbeStep::Session);
    let (width, height) = ENCODED_SIZE;
    let size = Dimensions::new(width, height).ok_or_else(|| Error::invalid("the size of the probe"))?;
    let format = if candidate.engine().on_cpu { CPU_FORMAT } else { FORMAT };
    let config = CommonEncodeConfig { format, ..CommonEncodeConfig::new(codec, size, rate()?) };
    let mut session = EncodeSession::with_special(candidate.backend(), config, &special)?;
    enter(ProbeStep::Frame);
    let time = Timestamp::new(0, TimeBase::from_frame_rate(rate()?));
    if let Submit::Full(_) = session.submit(Frame::host(time, picture(format, size)?))? {
        return Err(failed(candidate, "submit", "an empty session takes nothing"));
    }
    let packets = session.drain()?.collect::<Result<Vec<Packet>>>()?;
    match packets.first() {
        Some(packet) if packet.data.is_empty() => {
            Err(failed(candidate, "encode", "an empty packet came out"))
        }
        Some(packet) if !packet.keyframe => Err(failed(candidate, "encode", "no key frame came out")),
        Some(_) => Ok(implementation(session.receipt().chosen())),
        None => Err(failed(candidate, "encode", "no packet came out")),
    }
}

/// A slope of luma without colour.
fn picture(format: PixelFormat, size: Dimensions) -> Result<HostSurface> {
    let (width, height) = (size.width() as usize, size.height() as usize);
    let mut bytes = vec![128; format.frame_bytes(size)];
    for (at, sample) in bytes.iter_mut().take(width * height).enumerate() {
        *sample = (16 + (at % width + at / width) % 200) as u8;
    }
    HostSurface::from_packed(format, size, bytes)
}

fn rate() -> Result<Rational> {
    Rational::new(RATE, 1).ok_or_else(|| Error::invalid("the frame rate of the probe"))
}

fn implementation(chosen: Option<(BackendKind, &'static str)>) -> String {
    chosen.map_or("", |(_, name)| name).to_owned()
}

fn failed(candidate: Candidate, call: &'static str, what: &str) -> Error {
    Error::Backend { backend: candidate.backend(), call, code: 0, detail: what.to_owned() }
}

/// What is left of a limit.
pub(super) fn left(begun: Instant, limit: Duration) -> Duration {
    limit.saturating_sub(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoders inside this library get the very picture out of each stream, and those that are not there say so.
    #[test]
    fn embedded_codecs_pass_their_probes() {
        for codec in Question::DECODED {
            let mut steps = Vec::new();
            let question = Question { candidate: Candidate::Embedded, job: Job::Decode, codec };
            let probe = attempt(question, &mut |step| steps.push(step));
            let here = matches!(codec, Codec::H264 | Codec::Hevc | Codec::Av1 | Codec::Vp9 | Codec::Vp8);
            assert_eq!(probe.verdict.works(), here, "{codec}: {}", probe.verdict);
            assert_eq!(steps.last() == Some(&ProbeStep::Frame), here, "{steps:?}");
        }
        let encode =
            |codec| Question { candidate: Candidate::Embedded, job: Job::Encode, codec }.ask().verdict;
        assert!(encode(Codec::H264).works(), "{}", encode(Codec::H264));
        assert!(
            matches!(&encode(Codec::Hevc), ProbeVerdict::Fails { step: ProbeStep::Capability, remedy, .. } if !remedy.to_string().is_empty()),
            "{}",
            encode(Codec::Hevc)
        );
    }

    #[test]
    fn questions_are_grouped_by_the_libraries_they_need() {
        let all = Question::all(&[Codec::H264, Codec::Vp9, Codec::Vc1]);
        let groups = groups(&all);
        assert_eq!(groups.len(), 5 + 8);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), all.len());
        assert_eq!(all.len(), 5 * 2 + 8, "no encoder is asked about VP9, and of VC-1 there is no stream");
    }
}
