//! `completions` and `man`: what a package of this program brings besides it, made from the very commands that it takes.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use video_hw::output_file::OutputFile;
use video_hw::{Error, Result};
use video_hw_terminal::text;

use crate::args::Cli;
use crate::exit::Exit;

const NAME: &str = "video-hw";

pub(crate) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  video-hw completions bash > ~/.local/share/bash-completion/completions/video-hw
  video-hw completions zsh > _video-hw                                     into a folder of $fpath
  video-hw completions fish > ~/.config/fish/completions/video-hw.fish
  video-hw completions powershell | Out-String | Invoke-Expression         in $PROFILE";

pub(crate) const MAN_EXAMPLES: &str = "\
Examples:
  video-hw man ~/.local/share/man/man1
  video-hw man pages --overwrite";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Shell that the completions are for
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Folder to write video-hw.1, video-hw-transcode.1 and so on to; it is made where there is none
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Replace pages that are there
    #[arg(short = 'y', long)]
    overwrite: bool,
}

/// Puts the completions of one shell on standard output.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit> {
    text::to_stdout(&script(args.shell))?;
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    // The generators know nothing of hidden commands and would offer them.
    let full = Cli::command();
    let shown = full.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = Command::new(NAME).version(env!("CARGO_PKG_VERSION")).subcommands(shown);
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut out);
    let script = String::from_utf8_lossy(&out);
    // The generator for bash calls a program with a hyphen differently at two places, so that no option would be offered.
    script.replace("video__subcmd__hw", "video__hw")
}

/// Writes a manual page for each command.
pub(crate) fn man(args: &ManArgs) -> Result<Exit> {
    let pages = pages();
    fs::create_dir_all(&args.folder).map_err(|error| Error::io_writing("create", &args.folder, error))?;
    // What is there already is refused before anything appears.
    let mut outputs = Vec::new();
    for page in &pages {
        let mut output = OutputFile::create(&args.folder.join(page.get_filename()), args.overwrite, &[])?;
        page.render(&mut output).map_err(|error| Error::io_writing("write", output.path(), error))?;
        outputs.push(output);
    }
    outputs.into_iter().try_for_each(OutputFile::commit)?;
    Ok(Exit::Done)
}

fn pages() -> Vec<Man> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives the commands below it their full names.
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    pages
}

/// The page of a command and those of what is below it.
fn collect(command: &Command, pages: &mut Vec<Man>) {
    let version = concat!("video-hw ", env!("CARGO_PKG_VERSION"));
    pages.push(Man::new(command.clone()).source(version).manual("video-hw"));
    for below in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        collect(below, pages);
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn completions_offer_every_command_and_option_and_nothing_hidden() {
        let command = Cli::command();
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for below in command.get_subcommands() {
                let name = below.get_name();
                assert_eq!(script.contains(name), !below.is_hide_set(), "{shell}: {name}");
                for option in below.get_arguments().filter(|_| !below.is_hide_set()) {
                    let long = option.get_long().unwrap_or(name);
                    assert!(script.contains(long), "{shell}: {name} --{long}");
                }
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let command = Cli::command();
        let names: Vec<_> = pages().iter().map(Man::get_filename).collect();
        for name in ["video-hw.1", "video-hw-transcode.1", "video-hw-bench.1", "video-hw-bench-report.1"] {
            assert!(names.iter().any(|page| page == name), "{name}: {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("probe-child")), "{names:?}");
        assert_eq!(names.len(), 2 + command.get_subcommands().filter(|below| !below.is_hide_set()).count());
    }
}
