//! What is learnt of drivers and devices while they are asked.

use super::{Candidate, Question};
use crate::backend::{self, Job, inspect};

/// One thing that is known of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    let lasting = |(name, value): (String, String)| fact(&name, value, true);
    match (about, question.job) {
        (Candidate::Nvidia, Job::Decode) => inspect::nvidia_decode_facts().into_iter().map(lasting).collect(),
        (Candidate::Nvidia, Job::Encode) => {
            let mut facts: Vec<_> = inspect::nvidia_encode_facts().into_iter().map(lasting).collect();
            if let Ok(Some(sessions)) = backend::encode_sessions(about.backend(), None) {
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
        (Candidate::Embedded | Candidate::Qsv | Candidate::Vaapi | Candidate::VideoToolbox, _) => Vec::new(),
        (Candidate::Ffmpeg, _) => match inspect::ffmpeg_program() {
            Ok((version, path)) => {
                vec![fact("program", format!("ffmpeg {version}, {}", path.display()), true)]
            }
            Err(_) => Vec::new(),
        },
    }
}
