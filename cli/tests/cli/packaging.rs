//! Shell completions and manual pages, judged by the programs that read them.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{Scratch, run};

/// Runs a program that judges; `None`, said loudly, where it is not installed.
fn judged(program: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(program).args(arguments).stdin(Stdio::null()).output() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {program} is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.is_empty(), "{program} {arguments:?}: {said}{words}");
    Some(said)
}

#[test]
fn bash_completes_commands_options_and_values() {
    let scratch = Scratch::new();
    let script = scratch.file("video-hw", &run(&["completions", "bash"]).ok().stdout);
    // As readline calls the function that the script has registered.
    let ask = |words: &[&str]| {
        let program = format!(
            ". '{script}'; COMP_WORDS=(video-hw {}); COMP_CWORD={}; f=$(complete -p video-hw | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
             \"$f\" video-hw '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len(),
            words.last().unwrap(),
            words.iter().rev().nth(1).unwrap_or(&"video-hw"),
        );
        judged("bash", &["--norc", "-c", &program])
    };
    let Some(commands) = ask(&["tr"]) else { return };
    assert_eq!(commands.lines().collect::<Vec<_>>(), ["transcode", "trim"]);
    assert_eq!(ask(&["transcode", "--bit"]).unwrap().trim(), "--bitrate");
    assert_eq!(ask(&["bench", "rep"]).unwrap().trim(), "report");
    let shells = ask(&["completions", "p"]).unwrap();
    assert_eq!(shells.trim(), "powershell");
    assert!(!ask(&["''"]).unwrap().contains("probe-child"));
}

#[test]
fn other_shells_take_their_completions() {
    let scratch = Scratch::new();
    for (shell, arguments) in [("zsh", &["--no-rcs", "-n"][..]), ("fish", &["--no-config", "--no-execute"])] {
        let script = scratch.file(shell, &run(&["completions", shell]).ok().stdout);
        judged(shell, &[arguments, &[&script]].concat());
    }
    let fish = scratch.path("fish");
    let ask = format!("source '{fish}'; complete --do-complete 'video-hw transcode --bit'");
    if let Some(offered) = judged("fish", &["--no-config", "--command", &ask]) {
        assert!(offered.starts_with("--bitrate"), "{offered}");
    }
    for shell in ["powershell", "elvish"] {
        assert!(run(&["completions", shell]).ok().out().contains("--bitrate"), "{shell}");
    }
    run(&["completions", "cmd"]).refused(2, &["cmd"]);
}

#[test]
fn manual_pages_are_written_whole_and_over_nothing() {
    let scratch = Scratch::new();
    let folder = scratch.path("share/man/man1");
    run(&["man", &folder]).ok();
    let page = format!("{folder}/video-hw-transcode.1");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let path = path.to_str().unwrap();
        assert!(path.ends_with(".1"), "{path}");
        judged("mandoc", &["-T", "lint", "-W", "error", path]);
        count += 1;
    }
    assert!(count > 10, "{count} pages");
    if let Some(shown) = judged("mandoc", &["-T", "ascii", "-O", "width=200", &page]) {
        // Bold letters are struck twice.
        let mut text = String::new();
        for c in shown.chars() {
            if c == '\u{8}' {
                text.pop();
            } else {
                text.push(c);
            }
        }
        assert!(text.contains("--bitrate"), "{text}");
        let example = "  video-hw transcode in.mp4 out.mp4\n";
        assert!(text.contains(example), "examples keep their lines: {text}");
    }
    fs::write(&page, "mine").unwrap();
    fs::remove_file(format!("{folder}/video-hw.1")).unwrap();
    run(&["man", &folder]).refused(2, &["exists already", "--overwrite"]);
    assert_eq!(fs::read(&page).unwrap(), b"mine");
    assert!(!fs::exists(format!("{folder}/video-hw.1")).unwrap(), "none of them appears");
    run(&["man", &folder, "-y"]).ok();
    assert!(fs::read_to_string(&page).unwrap().contains(".TH video"));
    run(&["man", &scratch.path("share/man/man1/video-hw.1/x")]).refused(4, &["create"]);
}
