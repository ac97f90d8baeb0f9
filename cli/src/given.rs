//! The options of this command line and those that its command accepts. Remedies are phrased in terms of both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// The options of one command, by their long names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    command: String,
    /// Options that can stand beside those that are given.
    takes: BTreeSet<String>,
    /// Options on the command line with their values; a switch has one placeholder value.
    values: BTreeMap<String, Vec<String>>,
}

static GIVEN: OnceLock<Given> = OnceLock::new();

impl Given {
    /// Keeps the command line of this process.
    pub(crate) fn keep(root: &Command, matches: &ArgMatches) {
        // Called once per process, before any error can be reported.
        let _ = GIVEN.set(Self::of(root, matches));
    }

    /// Returns the command line of this process, or an empty one if it has not been parsed yet.
    pub(crate) fn of_process() -> &'static Self {
        GIVEN.get_or_init(Self::default)
    }

    fn of(root: &Command, matches: &ArgMatches) -> Self {
        let Some((name, matches)) = matches.subcommand() else { return Self::default() };
        let Some(command) = root.find_subcommand(name) else { return Self::default() };
        let is_given = |arg: &&Arg| {
            let known = matches.ids().any(|id| id == arg.get_id());
            known && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let given: Vec<&Arg> = command.get_arguments().filter(is_given).collect();
        let excludes = |one: &Arg, other: &Arg| {
            command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id())
        };
        let takes = command
            .get_arguments()
            .filter(|arg| !given.iter().any(|one| excludes(one, arg) || excludes(arg, one)))
            .filter_map(Arg::get_long);
        let values = given.iter().filter_map(|arg| {
            let raw = matches.get_raw(arg.get_id().as_str());
            let words = raw.into_iter().flatten().map(|word| word.to_string_lossy().into_owned());
            Some((arg.get_long()?.to_owned(), words.collect()))
        });
        Self { command: name.to_owned(), takes: takes.map(str::to_owned).collect(), values: values.collect() }
    }

    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    /// Whether the command takes the option, beside what is given.
    pub(crate) fn takes(&self, option: &str) -> bool {
        self.takes.contains(option)
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.values.contains_key(option)
    }

    /// Whether the option can be given and is not.
    pub(crate) fn lacks(&self, option: &str) -> bool {
        self.takes(option) && !self.has(option)
    }

    /// The value of an option that is given.
    pub(crate) fn value(&self, option: &str) -> Option<&str> {
        self.values.get(option)?.last().map(String::as_str)
    }
}

#[cfg(test)]
impl Given {
    /// Parses a line that lacks the program's name. Panics if the line is invalid.
    pub(crate) fn of_line(line: &str) -> Self {
        use clap::CommandFactory;
        let mut root = crate::args::Cli::command();
        let words = std::iter::once("video-hw").chain(line.split(' '));
        let matches = root.try_get_matches_from_mut(words).unwrap_or_else(|e| panic!("{line}: {e}"));
        Self::of(&root, &matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_by_their_long_names_with_what_they_exclude() {
        let given = Given::of_line("transcode a b -y --backend AUTO -s 64x48");
        assert_eq!(
            (given.command(), given.value("size"), given.value("backend")),
            ("transcode", Some("64x48"), Some("AUTO"))
        );
        assert!(given.has("overwrite") && !given.lacks("overwrite") && given.lacks("keep-going"));
        assert!(!given.has("engines"), "a default is nothing that was given");
        assert!(!given.takes("grid") && !given.takes("frames-at"));
        let copy = Given::of_line("transcode a b --copy");
        assert!(!copy.takes("deinterlace") && copy.takes("keep-going"));
        // Either option may declare the conflict.
        assert!(!Given::of_line("transcode a b --deinterlace").takes("copy"));
    }
}
