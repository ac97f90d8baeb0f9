//! Findings as lines of text: what a probing child says, and what the cache keeps.
//!
//! Fields stand between tabs. What is read may be anything: a line that is not understood is passed over, and words lose
//! the characters that could do something to a terminal.

use std::time::Duration;

use super::{Candidate, Fact, Failure, Findings, Probe, ProbeStep, ProbeVerdict, Question};
use crate::backend::Job;
use crate::codec::Codec;
use crate::error::Remedy;

/// Longest text that is believed.
pub(super) const MOST_BYTES: u64 = 1 << 20;
/// Longest field of a line.
const MOST_MESSAGE: usize = 4096;

/// A line of a child's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A step of a question is about to be taken.
    At(Question, ProbeStep),
    /// An answer.
    Probe(Probe),
    /// A fact.
    Fact(Fact),
    /// Nothing follows.
    End,
}

pub(super) const END: &str = "end";

const fn job_name(job: Job) -> &'static str {
    match job {
        Job::Decode => "decode",
        Job::Encode => "encode",
    }
}

/// Words without tabs, line ends and other control characters.
pub(super) fn plain(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_MESSAGE).collect()
}

/// A question as three fields.
pub(super) fn question(question: Question) -> String {
    format!("{}\t{}\t{}", question.candidate, job_name(question.job), question.codec)
}

pub(super) fn at(asked: Question, step: ProbeStep) -> String {
    format!("at\t{}\t{step}", question(asked))
}

pub(super) fn probe(probe: &Probe) -> String {
    let verdict = match &probe.verdict {
        ProbeVerdict::Works { implementation } => format!("works\t{}", plain(implementation)),
        ProbeVerdict::Fails { step, failure, reason, remedy } => {
            let what = match remedy {
                Remedy::Install { what, .. } | Remedy::OtherDevice(what) => plain(what),
                _ => String::new(),
            };
            let (reason, how) = (plain(reason), plain(&remedy.to_string()));
            format!("fails\t{step}\t{}\t{reason}\t{}\t{what}\t{how}", failure.name(), remedy.name())
        }
    };
    format!("probe\t{}\t{}\t{verdict}", question(probe.question), probe.took.as_micros())
}

pub(super) fn fact(fact: &Fact) -> String {
    let lasting = if fact.lasting { "lasting" } else { "passing" };
    format!("fact\t{}\t{lasting}\t{}\t{}", fact.about, plain(&fact.name), plain(&fact.value))
}

/// The question of three fields.
pub(super) fn read_question<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Question> {
    let candidate: Candidate = fields.next()?.parse().ok()?;
    let job = match fields.next()? {
        "decode" => Job::Decode,
        "encode" => Job::Encode,
        _ => return None,
    };
    let name = fields.next()?;
    let codec = Codec::ALL.into_iter().find(|codec| codec.name() == name)?;
    candidate.does(job).then_some(Question { candidate, job, codec })
}

/// A remedy by its kind; of one that is more than its kind, the words are kept.
fn read_remedy(kind: &str, what: &str, message: String) -> Remedy {
    match kind {
        "install" => Remedy::Install { what: plain(what).into(), how: message.into() },
        "other_device" => Remedy::OtherDevice(plain(what).into()),
        "check_device" => Remedy::CheckDevice(message.into()),
        "try_again" => Remedy::TryAgain(message.into()),
        _ => Remedy::PLAIN.into_iter().find(|known| known.name() == kind).unwrap_or(message.into()),
    }
}

/// What a line says; `None`: nothing that is understood.
pub(super) fn read(line: &str) -> Option<Line> {
    let line = line.trim_end_matches(['\n', '\r']);
    let mut fields = line.split('\t');
    let step = |name: &str| ProbeStep::ALL.into_iter().find(|step| step.name() == name);
    let done = match fields.next()? {
        "at" => Line::At(read_question(&mut fields)?, step(fields.next()?)?),
        "probe" => {
            let question = read_question(&mut fields)?;
            let took = Duration::from_micros(fields.next()?.parse().ok()?);
            let verdict = match fields.next()? {
                "works" => ProbeVerdict::Works { implementation: plain(fields.next()?) },
                "fails" => {
                    let step = step(fields.next()?)?;
                    let name = fields.next()?;
                    let failure = Failure::ALL.into_iter().find(|failure| failure.name() == name)?;
                    let reason = plain(fields.next()?);
                    let remedy = read_remedy(fields.next()?, fields.next()?, plain(fields.next()?));
                    ProbeVerdict::Fails { step, failure, reason, remedy }
                }
                _ => return None,
            };
            Line::Probe(Probe { question, verdict, took, cached: false })
        }
        "fact" => {
            let about = fields.next()?.parse().ok()?;
            let lasting = fields.next()? == "lasting";
            Line::Fact(Fact { about, name: plain(fields.next()?), value: plain(fields.next()?), lasting })
        }
        END => Line::End,
        _ => return None,
    };
    fields.next().is_none().then_some(done)
}

/// The findings in some lines; `None` when their end is missing.
pub(super) fn read_all<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Findings> {
    let mut found = Findings::default();
    for line in lines {
        match read(line) {
            Some(Line::Probe(probe)) if !found.probes.iter().any(|old| old.question == probe.question) => {
                found.probes.push(probe);
            }
            Some(Line::Fact(fact)) => found.facts.push(fact),
            Some(Line::End) => return Some(found),
            _ => {}
        }
    }
    None
}

/// What the fuzz target calls: what is understood means the same when it is written again, and holds no control character.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(text: &str) {
    let _ = read_all(text.lines());
    for line in text.lines() {
        let Some(said) = read(line) else { continue };
        let again = match &said {
            Line::At(question, step) => at(*question, *step),
            Line::Probe(found) => probe(found),
            Line::Fact(found) => fact(found),
            Line::End => END.to_owned(),
        };
        assert!(!again.replace('\t', "").contains(char::is_control), "{again:?}");
        assert_eq!(read(&again), Some(said));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUESTION: Question =
        Question { candidate: Candidate::Nvidia, job: Job::Encode, codec: Codec::Mpeg2 };

    #[test]
    fn what_is_written_is_read() {
        let took = Duration::from_micros(1234);
        for verdict in [
            ProbeVerdict::Works { implementation: "ffmpeg, libx264".to_owned() },
            ProbeVerdict::fails(
                ProbeStep::Frame,
                Failure::Crashed,
                "the driver crashed".to_owned(),
                Remedy::None,
            ),
        ] {
            let reported = Probe { question: QUESTION, verdict, took, cached: false };
            assert_eq!(read(&probe(&reported)), Some(Line::Probe(reported)));
        }
        let known = Fact {
            about: Candidate::Nvidia,
            name: "device".to_owned(),
            value: "A card".to_owned(),
            lasting: true,
        };
        assert_eq!(read(&fact(&known)), Some(Line::Fact(known)));
        assert_eq!(read(&at(QUESTION, ProbeStep::Session)), Some(Line::At(QUESTION, ProbeStep::Session)));
        assert_eq!(read("end\n"), Some(Line::End));
    }

    #[test]
    fn words_cannot_make_lines_or_speak_to_a_terminal() {
        let verdict = ProbeVerdict::fails(
            ProbeStep::Frame,
            Failure::Failed,
            "a\nend\tb \u{1b}[31m".to_owned(),
            "c".into(),
        );
        let line = probe(&Probe { question: QUESTION, verdict, took: Duration::ZERO, cached: false });
        let Some(Line::Probe(Probe { verdict: ProbeVerdict::Fails { reason, .. }, .. })) = read(&line) else {
            panic!()
        };
        assert_eq!(reason, "a end b  [31m");
        let hostile = "fact\tnvidia\tlasting\tdevice\t\u{1b}]0;title\u{7}";
        let Some(Line::Fact(fact)) = read(hostile) else { panic!() };
        assert!(!fact.value.contains(char::is_control));
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for line in [
            "",
            "probe",
            "probe\tnvidia\tencode\th264\tnever\tworks\tx",
            "probe\tnvidia\tencode\th264\t1\tworks",
            "probe\tnvidia\tencode\th264\t1\tworks\tx\ty",
            "probe\tffmpeg-qsv\tdecode\th264\t1\tworks\tx",
            "at\tnvidia\tdecode\th264\tsomewhere",
            "hello",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
        assert_eq!(read_all("hello\nend".lines()), Some(Findings::default()));
        assert_eq!(read_all("hello".lines()), None, "cut off");
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in ".{0,400}", tabs in prop::collection::vec("[a-z0-9]{0,8}", 0..9)) {
            let _ = read(&text);
            let _ = read(&tabs.join("\t"));
        }
    }
}
