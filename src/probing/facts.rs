//! What is learnt of drivers and devices while they are asked.

use super::{Candidate, Question};
use crate::backend::{self, Job};

/// One thing that is known of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// Of whom.
    pub about: Candidate,
    /// `cuda`, `device`, `decode-engines`, `nvenc-api`, `encode-engines`, `sessions`, `program` ...
    pub name: String,
    /// The value, for people.
    pub value: String,
    /// Whether it stays: the number of open sessions does not.
    pub lasting: bool,
}

/// What there is to know of the candidate of a question, beyond the answer. To be asked after the questions: what fails
/// is left out, since the answers say why.
pub(super) fn gather(question: Question) -> Vec<Fact> {
    let about = question.candidate;
    let fact = |name: &str, value: String, lasting| Fact { about, name: name.to_owned(), value, lasting };
    let reported = (about.engine().facts)(question.job).into_iter();
    let mut facts: Vec<_> = reported.map(|(name, value)| fact(&name, value, true)).collect();
    if question.job == Job::Encode
        && let Ok(Some(sessions)) = backend::encode_sessions(about.backend(), None)
    {
        let limit = match sessions.usage.limit {
            Some(limit) => format!("; the driver last refused more than {limit}"),
            None => String::new(),
        };
        let note = sessions.note.map_or_else(String::new, |note| format!("; {note}"));
        let open = sessions.usage.open;
        facts.push(fact(
            "sessions",
            format!("{open} open to encode by video-hw on this host{limit}{note}"),
            false,
        ));
    }
    facts
}
