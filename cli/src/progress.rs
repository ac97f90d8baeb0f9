//! Progress on standard error: a bar on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use terminal_size::{Width, terminal_size_of};
use video_hw::pipeline::Progress;
use video_hw_terminal::text;

/// From one plain line to the next.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Columns of a terminal that does not tell.
const USUAL_WIDTH: usize = 80;
/// Columns of the bar and the space behind it.
const BAR: usize = 25;
/// Steps of the bar.
const STEPS: u64 = 1000;

/// Shows a job's progress.
pub(crate) enum ProgressView {
    /// `--quiet`.
    Hidden,
    /// A terminal.
    Terminal(ProgressBar),
    /// A log file or a pipe; the time of the last line.
    Lines(Instant),
}

impl ProgressView {
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            Self::Hidden
        } else if stderr().is_terminal() {
            Self::Terminal(ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr_with_hz(10)))
        } else {
            Self::Lines(Instant::now())
        }
    }

    pub(crate) fn update(&mut self, progress: &Progress) {
        match self {
            Self::Hidden => {}
            Self::Terminal(bar) => {
                // Asked every time: the window may have been resized.
                let (with_bar, message) = fitted(progress, columns());
                // The templates are constant; were one wrong, the default style would do.
                if let Ok(style) =
                    ProgressStyle::with_template(if with_bar { "{bar:24} {msg}" } else { "{msg}" })
                {
                    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
                }
                bar.set_position((progress.percent().unwrap_or(0.0) / 100.0 * STEPS as f64) as u64);
                bar.set_message(message);
            }
            Self::Lines(last) if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                // Standard error may be closed; the job matters more than its progress.
                let _ = writeln!(stderr(), "video-hw: {}", line(progress));
            }
            Self::Lines(_) => {}
        }
    }

    /// Takes the line away, so that what is written next stands in its place.
    pub(crate) fn clear(&mut self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Drop for ProgressView {
    fn drop(&mut self) {
        self.clear();
    }
}

fn columns() -> usize {
    let width = terminal_size_of(stderr()).map(|(Width(width), _)| usize::from(width));
    width.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
}

/// One thing to tell. The less it matters, the later it stands in this list, and the sooner it goes when the
/// terminal is narrow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Done,
    Frames,
    Left,
    Rate,
    Speed,
    Bytes,
    BitRate,
}

fn parts(p: &Progress) -> Vec<(Rank, String)> {
    let done = p.percent().map(|percent| percent / 100.0);
    let mut parts = Vec::with_capacity(7);
    if let Some(done) = done {
        parts.push((Rank::Done, format!("{:3.0}%", done * 100.0)));
    }
    parts.push((Rank::Frames, format!("{} frames", text::thousands(p.frames))));
    parts.push((Rank::Rate, format!("{} fps", text::rate(p.fps()))));
    if let Some(speed) = p.speed() {
        parts.push((Rank::Speed, format!("{}x", text::rate(speed))));
    }
    if p.bytes > 0 {
        if let Some(rate) = p.position.and_then(|at| text::bits_per_second(p.bytes, at.as_duration())) {
            parts.push((Rank::BitRate, text::bit_rate(rate)));
        }
        parts.push((Rank::Bytes, text::bytes(p.bytes)));
    }
    if let Some(done) = done.filter(|d| *d > 0.0 && *d < 1.0) {
        let left = p.elapsed.as_secs_f64() * (1.0 - done) / done;
        // Just after the start this is a guess of any size.
        if let Ok(left) = Duration::try_from_secs_f64(left) {
            parts.push((Rank::Left, format!("ETA {}", text::clock(left))));
        }
    }
    parts
}

fn join(parts: &[(Rank, String)]) -> String {
    parts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("  ")
}

/// The state in one line.
fn line(p: &Progress) -> String {
    join(&parts(p))
}

/// The state in less than `width` columns (a line that fills the last column makes some terminals scroll), and
/// whether there is room for the bar beside it.
fn fitted(p: &Progress, width: usize) -> (bool, String) {
    let room = width.saturating_sub(1);
    let mut parts = parts(p);
    let mut line = join(&parts);
    if p.percent().is_some() && BAR + line.len() <= room {
        return (true, line);
    }
    while line.len() > room && parts.len() > 1 {
        let least = parts.iter().map(|(rank, _)| *rank).max();
        parts.retain(|(rank, _)| Some(*rank) != least);
        line = join(&parts);
    }
    (false, line.chars().take(room).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use video_hw::time::{TimeBase, Timestamp};

    fn state() -> Progress {
        Progress {
            frames: 1_500,
            total_frames: Some(6_000),
            position: Some(Timestamp::new(50, TimeBase::new(1, 1).unwrap())),
            total: Some(Duration::from_secs(200)),
            bytes: 37_500_000,
            elapsed: Duration::from_secs(5),
        }
    }

    #[test]
    fn the_line_says_it_all() {
        assert_eq!(line(&state()), " 25%  1,500 frames  300 fps  10.0x  6.0 Mb/s  37.5 MB  ETA 0:15");
    }

    #[test]
    fn nothing_known_means_nothing_invented() {
        let p = Progress { total_frames: None, total: None, position: None, bytes: 0, ..state() };
        assert_eq!(line(&p), "1,500 frames  300 fps");
        let p = Progress { frames: 0, total_frames: Some(0), total: Some(Duration::ZERO), ..p };
        assert_eq!(line(&p), "0 frames  0.00 fps");
    }

    #[test]
    fn a_job_that_ends_by_frames_is_measured_by_frames() {
        let p = Progress { total_frames: Some(1_500), ..state() };
        assert!(line(&p).starts_with("100%"));
    }

    #[test]
    fn the_line_fits_every_terminal() {
        let p = state();
        for width in 1..200 {
            let (bar, line) = fitted(&p, width);
            assert!(
                line.is_ascii() && line.len() + if bar { BAR } else { 0 } < width.max(1),
                "{width}: {line:?}"
            );
        }
        assert_eq!(fitted(&p, 120), (true, line(&p)));
        assert_eq!(fitted(&p, 80), (false, line(&p)));
        assert_eq!(fitted(&p, 40).1, " 25%  1,500 frames  300 fps  ETA 0:15");
        assert_eq!(fitted(&p, 20).1, " 25%  1,500 frames");
        assert_eq!(fitted(&p, 3).1, " 2");
    }
}
