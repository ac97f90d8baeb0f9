//! What `bench` shows while it runs: a bar on a terminal, a line for each round elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use video_hw_terminal::text;

enum Shown {
    Hidden,
    Terminal(ProgressBar),
    Lines,
}

/// Progress on standard error.
pub(crate) struct View {
    shown: Shown,
    verbose: bool,
    begun: Instant,
}

impl View {
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        let shown = if quiet {
            Shown::Hidden
        } else if stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            // The template is constant; were it wrong, the default style would do.
            if let Ok(style) = ProgressStyle::with_template("{bar:20} {wide_msg}") {
                bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
            }
            Shown::Terminal(bar)
        } else {
            Shown::Lines
        };
        Self { shown, verbose, begun: Instant::now() }
    }

    /// Something beside the runs is done.
    pub(crate) fn doing(&self, what: &str) {
        match &self.shown {
            Shown::Hidden => {}
            Shown::Terminal(bar) => bar.set_message(text::one_line(what).into_owned()),
            Shown::Lines => say(what),
        }
    }

    /// A run begins: `done` of `all` are over, and the others will take about `left`.
    pub(crate) fn running(&self, what: &str, done: u64, all: u64, left: Option<Duration>) {
        let Shown::Terminal(bar) = &self.shown else { return };
        bar.set_length(all.max(1));
        bar.set_position(done);
        let left = left.map_or_else(String::new, |left| format!("  ETA {}", text::clock(left)));
        let (time, what) = (text::clock(self.begun.elapsed()), text::one_line(what));
        bar.set_message(format!("{done}/{all}  {time}{left}  {what}"));
    }

    /// A round begins: where there is no bar, the only sign of life.
    pub(crate) fn round(&self, what: &str) {
        if matches!(self.shown, Shown::Lines) {
            say(what);
        }
    }

    /// A line that stays, with `--verbose`.
    pub(crate) fn detail(&self, line: &str) {
        if self.verbose {
            self.line(line);
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, line: &str) {
        match &self.shown {
            Shown::Hidden => {}
            Shown::Terminal(bar) => bar.suspend(|| say(line)),
            Shown::Lines => say(line),
        }
    }

    pub(crate) fn clear(&self) {
        if let Shown::Terminal(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A line on standard error.
pub(super) fn say(line: &str) {
    text::to_stderr(&format!("video-hw: {line}"));
}
