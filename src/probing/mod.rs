//! Is there a decoder or encoder here, really, and why not: each candidate is tried with a picture.
//!
//! A name in a list proves nothing. A probe opens the library, starts the driver, asks what the device can do, opens a
//! session at a legal size and moves one picture through: a stream of the codec that is part of this library, and what
//! comes out has to be its picture; or a synthetic picture, of which a packet has to come out. A [`ProbeVerdict`] names the step
//! that was reached, the reason and the remedy.
//!
//! [`Question::ask`] does it in this process. A driver that may crash or hang is better asked in another one:
//! [`ChildProber`] starts a program of the caller's that calls [`serve`], with a time limit, all candidates side by
//! side. Answers hold until something changes that they depend on ([`Identity`]), and [`Cache`] keeps them.
//!
//! ```
//! use video_hw::backend::Job;
//! use video_hw::codec::Codec;
//! use video_hw::probing::{Candidate, Question, ProbeVerdict};
//!
//! let probe = Question { candidate: Candidate::Embedded, job: Job::Decode, codec: Codec::Vp9 }.ask();
//! assert!(matches!(probe.verdict, ProbeVerdict::Works { .. }), "{}", probe.verdict);
//! ```

mod attempt;
mod cache;
mod child;
mod environment;
mod facts;
mod identity;
mod streams;
mod wire;

use std::fmt;
use std::time::Duration;

use crate::backend::Job;
use crate::codec::Codec;
use crate::error::{Error, Remedy, sentence};

#[cfg(feature = "fuzzing")]
pub(crate) use wire::fuzz as fuzz_wire;

pub use crate::backend::vendors::Candidate;
pub use attempt::in_process;
pub use cache::Cache;
pub use child::{ChildProber, serve};
pub use environment::{Environment, Hint};
pub use facts::Fact;
pub use identity::Identity;

/// How far a probe came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProbeStep {
    /// The vendor's library, or the program, is there.
    Library,
    /// The driver starts, is new enough, and shows a device that does such a job.
    Device,
    /// The device does this codec.
    Capability,
    /// A session opens.
    Session,
    /// A picture goes through.
    Frame,
}

impl ProbeStep {
    const ALL: [Self; 5] = [Self::Library, Self::Device, Self::Capability, Self::Session, Self::Frame];

    /// Its name in JSON and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Device => "device",
            Self::Capability => "capability",
            Self::Session => "session",
            Self::Frame => "frame",
        }
    }

    /// What goes on in it, for a sentence.
    const fn doing(self) -> &'static str {
        match self {
            Self::Library => "opening the library",
            Self::Device => "starting the driver",
            Self::Capability => "asking what the device can do",
            Self::Session => "opening a session",
            Self::Frame => "working on a picture",
        }
    }
}

impl fmt::Display for ProbeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Not there: library, program, driver or device.
    Unavailable,
    /// There, but it does not do this.
    Unsupported,
    /// No session left.
    SessionLimit,
    /// No memory left.
    OutOfMemory,
    /// The device went away.
    DeviceLost,
    /// The process that tried died.
    Crashed,
    /// It took too long, and was stopped.
    TimedOut,
    /// Not tried, because of what happened to another probe before it.
    NotTried,
    /// A call failed otherwise, or something else than the picture came out.
    Failed,
}

impl Failure {
    const ALL: [Self; 9] = [
        Self::Unavailable,
        Self::Unsupported,
        Self::SessionLimit,
        Self::OutOfMemory,
        Self::DeviceLost,
        Self::Crashed,
        Self::TimedOut,
        Self::NotTried,
        Self::Failed,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::SessionLimit => "session_limit",
            Self::OutOfMemory => "out_of_memory",
            Self::DeviceLost => "device_lost",
            Self::Crashed => "crashed",
            Self::TimedOut => "timed_out",
            Self::NotTried => "not_tried",
            Self::Failed => "failed",
        }
    }

    /// Whether it stays as it is until something is installed, started or plugged in: only then is it worth keeping.
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Unavailable | Self::Unsupported)
    }
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// A picture went through.
    Works {
        /// The codec library or engine.
        implementation: String,
    },
    /// It does not work.
    Fails {
        /// Where it ended.
        step: ProbeStep,
        /// How.
        failure: Failure,
        /// Why, in the words of the error that a session would end with.
        reason: String,
        /// What to do.
        remedy: Remedy,
    },
}

impl ProbeVerdict {
    /// Whether a picture went through.
    pub const fn works(&self) -> bool {
        matches!(self, Self::Works { .. })
    }

    /// Whether it will be the same the next time, as far as anybody can know.
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::Works { .. } => true,
            Self::Fails { failure, remedy, .. } => {
                failure.is_lasting() && !matches!(remedy, Remedy::TryAgain(_))
            }
        }
    }

    fn of_error(at: ProbeStep, error: &Error) -> Self {
        let (failure, reason) = match error {
            Error::Unavailable { reason, .. } => (Failure::Unavailable, reason.clone()),
            Error::Unsupported { feature, .. } => (Failure::Unsupported, format!("unsupported: {feature}")),
            Error::InvalidInput { what, .. } => (Failure::Unsupported, what.clone()),
            Error::SessionLimit { detail, .. } => (Failure::SessionLimit, detail.clone()),
            Error::OutOfMemory { what, .. } => (Failure::OutOfMemory, format!("no memory: {what}")),
            Error::DeviceLost { detail, .. } => (Failure::DeviceLost, format!("device lost: {detail}")),
            other => (Failure::Failed, other.explain(|_| String::new())),
        };
        let step = match failure {
            Failure::Unavailable => at.min(ProbeStep::Device),
            Failure::Unsupported if at < ProbeStep::Frame => ProbeStep::Capability,
            Failure::SessionLimit => ProbeStep::Session,
            _ => at,
        };
        Self::fails(step, failure, reason, error.remedy())
    }

    /// Every failure says what to do.
    fn fails(step: ProbeStep, failure: Failure, reason: String, remedy: Remedy) -> Self {
        let usual = || match failure {
            Failure::Unavailable => "Install what is missing".into(),
            Failure::Unsupported => Remedy::OtherBackend,
            Failure::SessionLimit => Remedy::FreeSession,
            Failure::OutOfMemory => "End a program that uses the device's memory".into(),
            Failure::DeviceLost => "Look at the system's log (dmesg); reset the device or reboot".into(),
            Failure::Crashed => "Update or reinstall the driver; until then name another backend".into(),
            Failure::TimedOut => {
                "Check that the vendor's own tool (nvidia-smi, vainfo) answers; if it does not, reboot. A \
                                  device that is only slow to start needs a longer limit"
                    .into()
            }
            Failure::NotTried => "Mend what is told of the other probe first".into(),
            Failure::Failed => Remedy::TryAgain("Try again; if it stays, update the driver".into()),
        };
        let remedy = if remedy == Remedy::None { usual() } else { remedy };
        Self::Fails { step, failure, reason, remedy }
    }
}

impl fmt::Display for ProbeVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works { implementation } => write!(f, "works ({implementation})"),
            Self::Fails { step, reason, remedy, .. } => {
                write!(
                    f,
                    "no (at {step}): {}. {}",
                    reason.trim_end_matches('.'),
                    sentence(&remedy.to_string())
                )
            }
        }
    }
}

/// What is to be found out: whether one candidate does one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who.
    pub candidate: Candidate,
    /// Decoding or encoding.
    pub job: Job,
    /// Of which codec.
    pub codec: Codec,
}

impl Question {
    /// The codecs that there is a stream of to try decoders with: all but VC-1, which nothing here encodes.
    pub const DECODED: [Codec; 8] = [
        Codec::H264,
        Codec::Hevc,
        Codec::Av1,
        Codec::Vp9,
        Codec::Vp8,
        Codec::Mpeg2,
        Codec::Mpeg4,
        Codec::Mjpeg,
    ];
    /// The codecs that encoders are asked about.
    pub const ENCODED: [Codec; 3] = [Codec::H264, Codec::Hevc, Codec::Av1];

    /// Everything that can be asked of these codecs: decoding first, candidates in order of preference.
    pub fn all(codecs: &[Codec]) -> Vec<Self> {
        let of = |job: Job, known: &[Codec]| {
            let candidates = Candidate::ORDER.into_iter().filter(move |candidate| candidate.does(job));
            let codecs: Vec<_> = codecs.iter().copied().filter(|codec| known.contains(codec)).collect();
            candidates
                .flat_map(move |candidate| {
                    codecs.clone().into_iter().map(move |codec| Self { candidate, job, codec })
                })
                .collect::<Vec<_>>()
        };
        let mut all = of(Job::Decode, &Self::DECODED);
        all.extend(of(Job::Encode, &Self::ENCODED));
        all
    }

    /// Tries it, in this process and on this thread. Nothing ends it if the driver hangs, and nothing survives if it
    /// crashes: see [`ChildProber`].
    pub fn ask(self) -> Probe {
        attempt::attempt(self, &mut |_| {})
    }

    fn fails(self, step: ProbeStep, failure: Failure, reason: String, took: Duration) -> Probe {
        let verdict = ProbeVerdict::fails(step, failure, reason, Remedy::None);
        Probe { question: self, verdict, took, cached: false }
    }
}

/// A probe: what was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was asked.
    pub question: Question,
    /// The answer.
    pub verdict: ProbeVerdict,
    /// How long it took to find out.
    pub took: Duration,
    /// It was found out by an earlier process, and nothing has changed since that it depends on.
    pub cached: bool,
}

/// What probing found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// An answer to each question.
    pub probes: Vec<Probe>,
    /// What was learnt of drivers and devices on the way.
    pub facts: Vec<Fact>,
}

impl Findings {
    /// The answer to one question.
    pub fn of(&self, candidate: Candidate, job: Job, codec: Codec) -> Option<&Probe> {
        let question = Question { candidate, job, codec };
        self.probes.iter().find(|probe| probe.question == question)
    }

    /// What [`Backend::Auto`](crate::backend::Backend::Auto) takes for a job with usual settings, and before it those
    /// that it tries and that fail.
    pub fn choice(&self, job: Job, codec: Codec) -> (Option<&Probe>, Vec<&Probe>) {
        let mut refused = Vec::new();
        let order = Candidate::in_order(job).into_iter();
        for probe in order.filter_map(|candidate| self.of(candidate, job, codec)) {
            if probe.verdict.works() {
                return (Some(probe), refused);
            }
            refused.push(probe);
        }
        (None, refused)
    }

    /// The first that works for a job in order of preference, the one that is preferred before all others.
    pub fn best(&self, job: Job, codec: Codec, preferred: Option<Candidate>) -> Option<&Probe> {
        let order = Candidate::preferring(preferred).into_iter();
        order.filter_map(|candidate| self.of(candidate, job, codec)).find(|probe| probe.verdict.works())
    }

    /// A fact by its name.
    pub fn fact(&self, about: Candidate, name: &str) -> Option<&str> {
        let found = self.facts.iter().find(|fact| fact.about == about && fact.name == name);
        found.map(|fact| fact.value.as_str())
    }

    fn add(&mut self, other: Self) {
        self.probes.extend(other.probes);
        for fact in other.facts {
            if self.fact(fact.about, &fact.name).is_none() {
                self.facts.push(fact);
            }
        }
    }
}

/// Answers all questions: those that `cache` knows from there, the others by asking, and what they find is kept.
/// `identity` is what answers depend on; without it nothing is remembered. `fresh` asks all of them.
pub fn find_out(
    questions: &[Question],
    ask: impl FnOnce(&[Question]) -> Findings,
    memory: Option<(&Cache, &Identity)>,
    fresh: bool,
) -> Findings {
    let mut known = memory.and_then(|(cache, identity)| cache.load(identity)).unwrap_or_default();
    if fresh {
        known.facts.clear();
    }
    let mut found = Findings::default();
    let mut rest = Vec::new();
    for question in questions {
        match known.probes.iter().find(|probe| probe.question == *question && !fresh) {
            Some(probe) => found.probes.push(Probe { cached: true, ..probe.clone() }),
            None => rest.push(*question),
        }
    }
    if rest.is_empty() {
        found.facts = known.facts;
        return found;
    }
    found.add(ask(&rest));
    if let Some((cache, identity)) = memory {
        // New answers count more than old ones.
        let mut keep = found.clone();
        let others = known.probes.into_iter().filter(|old| !questions.contains(&old.question)).collect();
        keep.add(Findings { probes: others, facts: known.facts.clone() });
        // What cannot be kept is found out again the next time.
        let _ = cache.store(identity, &keep);
    }
    found.add(Findings { probes: Vec::new(), facts: known.facts });
    let place = |probe: &Probe| questions.iter().position(|question| *question == probe.question);
    found.probes.sort_by_key(place);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendKind;

    fn answers(working: &[Candidate]) -> Findings {
        let probes = Question::all(&[Codec::H264]).into_iter().map(|question| {
            let verdict = if working.contains(&question.candidate) {
                ProbeVerdict::Works { implementation: question.candidate.name().to_owned() }
            } else {
                ProbeVerdict::fails(
                    ProbeStep::Library,
                    Failure::Unavailable,
                    "absent".to_owned(),
                    Remedy::None,
                )
            };
            Probe { question, verdict, took: Duration::ZERO, cached: false }
        });
        Findings { probes: probes.collect(), facts: Vec::new() }
    }

    #[test]
    fn auto_takes_what_is_preferred_and_decoders_have_an_order_of_their_own() {
        use Candidate::{Embedded, Ffmpeg, FfmpegQsv, Nvidia};
        let found = answers(&[FfmpegQsv, Ffmpeg, Embedded]);
        let best = |preferred| found.best(Job::Encode, Codec::H264, preferred).unwrap().question.candidate;
        assert_eq!(best(None), FfmpegQsv);
        assert_eq!(best(Some(Ffmpeg)), Ffmpeg);
        assert_eq!(best(Some(Nvidia)), FfmpegQsv, "what is preferred and fails is passed over");
        for (job, chosen, before) in [(Job::Encode, FfmpegQsv, 2), (Job::Decode, Embedded, 3)] {
            let (found, refused) = found.choice(job, Codec::H264);
            assert_eq!((found.unwrap().question.candidate, refused.len()), (chosen, before));
        }
        assert!(answers(&[]).best(Job::Encode, Codec::H264, Some(FfmpegQsv)).is_none());
    }

    #[test]
    fn every_failure_says_what_to_do() {
        for failure in Failure::ALL {
            let ProbeVerdict::Fails { remedy, .. } =
                ProbeVerdict::fails(ProbeStep::Frame, failure, "why".to_owned(), Remedy::None)
            else {
                panic!("{failure:?}")
            };
            assert!(!remedy.to_string().is_empty());
        }
        let limit =
            Error::SessionLimit { backend: BackendKind::Nvidia, detail: "3 of 3".to_owned(), sessions: None };
        let verdict = ProbeVerdict::of_error(ProbeStep::Capability, &limit);
        assert!(matches!(
            &verdict,
            ProbeVerdict::Fails { step: ProbeStep::Session, failure: Failure::SessionLimit, .. }
        ));
        assert!(!verdict.is_lasting());
        let slow = Error::Unavailable {
            backend: BackendKind::Ffmpeg,
            reason: "no answer".to_owned(),
            remedy: Remedy::TryAgain("Wait".into()),
        };
        assert!(!ProbeVerdict::of_error(ProbeStep::Library, &slow).is_lasting());
        let absent = Error::Unavailable {
            backend: BackendKind::Nvidia,
            reason: "no encoder".to_owned(),
            remedy: "Buy one".into(),
        };
        let verdict = ProbeVerdict::of_error(ProbeStep::Session, &absent);
        assert!(verdict.is_lasting());
        assert_eq!(verdict.to_string(), "no (at device): no encoder. Buy one");
    }

    /// What is asked, remembered and asked again.
    #[test]
    fn only_what_is_not_known_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("probes"));
        let here = Identity { lines: vec!["boot 1".to_owned()] };
        let questions = Question::all(&[Codec::H264]);
        let ask = |questions: &[Question], fresh: bool| {
            let mut asked = 0;
            let found = find_out(
                questions,
                |rest| {
                    asked = rest.len();
                    let mut all = answers(&[Candidate::Embedded]);
                    all.probes.retain(|probe| rest.contains(&probe.question));
                    all
                },
                Some((&cache, &here)),
                fresh,
            );
            assert_eq!(found.probes.iter().map(|probe| probe.question).collect::<Vec<_>>(), questions);
            asked
        };
        assert_eq!(ask(&questions[..2], false), 2);
        assert_eq!(ask(&questions, false), questions.len() - 2);
        assert_eq!(ask(&questions, false), 0);
        assert_eq!(ask(&questions, true), questions.len());
        let none = find_out(&questions[..1], |_| Findings::default(), None, false);
        assert!(none.probes.is_empty());
    }
}
