//! Classifies the effect of each setting on an encoder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::rows::{Proof, ROWS, Row};
use super::run::{Encoder, Job, Made, make, scratch};
use crate::support::encoded::settings_of_sessions;

/// The words of the table.
pub(crate) const WORDS: [&str; 5] = ["refused", "output", "session", "told", "noted"];

/// The observed effect of a setting.
enum Seen {
    Word(&'static str),
    /// Undecided until the simulation has reported the settings of these two sessions.
    InSessions(u32, u32),
    /// No effect.
    Nothing,
}

/// Encodes without a setting, once for each set of them.
#[derive(Default)]
struct Without {
    made: BTreeMap<String, (u32, Result<Made, String>)>,
    sessions: u32,
}

impl Without {
    fn number(&mut self) -> u32 {
        self.sessions += 1;
        self.sessions
    }

    fn get(&mut self, job: &Job) -> &(u32, Result<Made, String>) {
        let number = self.sessions + 1;
        let entry = self.made.entry(format!("{job:?}"));
        entry.or_insert_with(|| {
            self.sessions = number;
            (number, make(&job.clone().numbered(number)))
        })
    }
}

fn seen(row: &Row, encoder: &'static Encoder, without: &mut Without) -> Seen {
    let mut base = Job::new(encoder);
    (row.beside)(&mut base);
    let mut job = base.clone();
    (row.with)(&mut job);
    let number = without.number();
    let job = job.numbered(number);
    let after = match make(&job) {
        Ok(made) => made,
        Err(refusal) => {
            if row.is_named_in(&refusal) {
                return Seen::Word("refused");
            }
            eprintln!("{}: {} is not named in {refusal:?}", encoder.name, row.setting);
            return Seen::Nothing;
        }
    };
    let (number_before, before) = without.get(&base);
    // An encoder that takes a setting only with another has nothing to be compared with.
    let before = before.as_ref().ok();
    let in_output = match row.proof {
        Proof::Output(holds) => holds(&job, &after) && before.is_none_or(|before| !holds(&job, before)),
        Proof::Always(holds) => holds(&job, &after),
        Proof::Differs(differs) => before.is_some_and(|before| differs(before, &after)),
        Proof::Session(_) | Proof::Told => false,
    };
    if in_output {
        return Seen::Word("output");
    }
    if let Proof::Session(holds) = row.proof
        && holds(&job)
    {
        return Seen::Word("session");
    }
    let is_new = |note: &&String| before.is_none_or(|before| !before.notes.contains(note));
    if after.notes.iter().filter(is_new).any(|note| row.is_named_in(note)) {
        return Seen::Word("noted");
    }
    if encoder.is_simulated() {
        return Seen::InSessions(*number_before, number);
    }
    if before.is_some_and(|before| before.command != after.command) {
        return Seen::Word("told");
    }
    Seen::Nothing
}

/// Returns the effect of each setting on an encoder that runs in this process or in a child process.
pub(crate) fn column(encoder: &'static Encoder) -> Vec<&'static str> {
    let mut without = Without::default();
    let (one, two) = (make(&Job::new(encoder)).unwrap(), make(&Job::new(encoder)).unwrap());
    let bytes = |made: &Made| made.packets.iter().map(|packet| packet.data.clone()).collect::<Vec<_>>();
    assert!(bytes(&one) == bytes(&two), "{}: the same settings make other bytes", encoder.name);
    assert_eq!(one.command, two.command, "{}: the same settings are another command", encoder.name);
    let cells = ROWS.iter().map(|row| match seen(row, encoder, &mut without) {
        Seen::Word(word) => word,
        Seen::InSessions(..) | Seen::Nothing => "",
    });
    cells.collect()
}

fn file_of(encoder: &Encoder) -> PathBuf {
    scratch(&encoder.name.replace(' ', "-"))
}

/// Runs [`column`] in a process on a simulated machine and writes the result for the parent, which has the simulation's report.
pub(crate) fn write_column(encoder: &'static Encoder) {
    let mut without = Without::default();
    let mut text = String::new();
    for row in ROWS {
        match seen(row, encoder, &mut without) {
            Seen::Word(word) => writeln!(text, "{word}"),
            Seen::InSessions(before, after) => writeln!(text, "{before} {after}"),
            Seen::Nothing => writeln!(text),
        }
        .unwrap();
    }
    std::fs::write(file_of(encoder), text).unwrap();
}

/// The column of that process. `mark` finds the number in a session's frame rate, as the simulation reports it.
pub(crate) fn read_column(
    encoder: &Encoder,
    report: &str,
    mark: fn(&mut BTreeMap<String, String>) -> Option<u32>,
) -> Vec<&'static str> {
    let mut told = BTreeMap::new();
    for mut session in settings_of_sessions(report) {
        if let Some(number) = mark(&mut session) {
            // Of several attempts the last one counts.
            told.insert(number, session);
        }
    }
    let text = std::fs::read_to_string(file_of(encoder)).unwrap();
    let cell = |line: &str| {
        if let Some((before, after)) = line.split_once(' ') {
            let of = |number: &str| {
                let found = told.get(&number.parse::<u32>().unwrap());
                found.unwrap_or_else(|| panic!("{}: no session {number} in {report}", encoder.name))
            };
            if of(before) == of(after) {
                return "";
            }
            return "told";
        }
        WORDS.into_iter().find(|word| *word == line).unwrap_or("")
    };
    text.lines().map(cell).collect()
}
