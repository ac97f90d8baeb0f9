//! `scripts/canary.sh`: who has the link at the end, and what the exit code says.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with two programs that note how they are called; `fails` is what the candidate does not do.
struct Host(TempDir);

impl Host {
    fn new(fails: &str) -> Self {
        let host = Self(TempDir::new().unwrap());
        let log = host.path("calls");
        let program = |name: &str, fails: &str| {
            let text = format!(
                "#!/bin/sh\necho \"{name} $(readlink {link}) $*\" >> {log}\ncase \"$1 $2\" in {fails}) exit 7 ;; esac\n",
                link = host.path("link").display(),
                log = log.display(),
            );
            std::fs::write(host.path(name), text).unwrap();
            std::fs::set_permissions(host.path(name), PermissionsExt::from_mode(0o755)).unwrap();
        };
        program("stable", "never");
        program("candidate", fails);
        std::fs::write(host.path("film.mp4"), "film").unwrap();
        std::os::unix::fs::symlink(host.path("stable"), host.path("link")).unwrap();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, more: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/canary.sh");
        let name = |name: &str| self.path(name).display().to_string();
        let words = [
            "--link",
            &name("link"),
            "--stable",
            &name("stable"),
            "--candidate",
            &name("candidate"),
            "--sample",
            &name("film.mp4"),
            "--out",
            &name("out"),
        ];
        Command::new("bash").arg(script).args(words).args(more).output().unwrap()
    }

    fn link(&self) -> String {
        let target = std::fs::read_link(self.path("link")).unwrap();
        target.file_name().unwrap().to_str().unwrap().to_owned()
    }
}

#[test]
fn a_candidate_that_keeps_to_everything_takes_over_and_can_be_taken_back() {
    let host = Host::new("never");
    let output = host.run(&["--minutes", "1", "--", "--backend", "software"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(host.link(), "candidate");
    let calls = std::fs::read_to_string(host.path("calls")).unwrap();
    let stable = host.path("stable").display().to_string();
    for line in calls.lines() {
        assert!(line.contains(&stable), "before the end the link is the stable one's: {line}");
    }
    let steps: Vec<_> = calls.lines().collect();
    assert_eq!(steps.len(), 3, "{calls}");
    assert!(steps[1].contains(" bench decode encode ") && steps[1].contains(" --verify "), "{calls}");
    assert!(steps[2].contains(" bench soak --minutes 1 "), "{calls}");
    for step in &steps[1..] {
        assert!(
            step.contains("--backend software") && step.contains(&format!("--against {stable}")),
            "{calls}"
        );
    }
    assert_eq!(host.run(&["--back"]).status.code(), Some(0));
    assert_eq!(host.link(), "stable");
}

#[test]
fn a_candidate_that_fails_a_step_leaves_the_stable_one_in_its_place() {
    for step in ["\"doctor --json\"", "\"bench decode\"", "\"bench soak\""] {
        for watch in [&[][..], &["--watch"]] {
            let host = Host::new(step);
            let output = host.run(watch);
            assert_eq!(output.status.code(), Some(1), "{step}");
            assert_eq!(host.link(), "stable", "{step}, {watch:?}");
            let calls = std::fs::read_to_string(host.path("calls")).unwrap();
            let soaked_as = calls
                .lines()
                .find(|line| line.contains("soak"))
                .map(|line| line.contains("/candidate bench"));
            let expected = (step == "\"bench soak\"").then_some(!watch.is_empty());
            assert_eq!(soaked_as, expected, "{calls}");
        }
    }
}

#[test]
fn a_link_that_is_a_file_is_not_touched() {
    let host = Host::new("never");
    std::fs::remove_file(host.path("link")).unwrap();
    std::fs::write(host.path("link"), "mine").unwrap();
    assert_eq!(host.run(&[]).status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(host.path("link")).unwrap(), "mine");
}
