//! What it is compared with: an installed ffmpeg, libx264 on one thread, the same pictures through a pipe.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use video_hw::dimensions::Dimensions;

use crate::program::AnyError;

/// Encodes so many pictures in turn; how long that took, from the first picture to the end of the process.
pub(crate) fn encode(
    path: &Path,
    size: Dimensions,
    pictures: &[Vec<u8>],
    frames: usize,
    preset: &str,
    crf: u8,
) -> Result<Duration, AnyError> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y", "-filter_threads", "1"])
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-framerate", "30", "-video_size"])
        .arg(size.to_string())
        .args(["-i", "pipe:0", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-threads", "1", "-preset", preset])
        .args(["-crf", &crf.to_string()])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the baseline needs ffmpeg on the PATH: {error}"))?;
    let begun = Instant::now();
    let mut stdin = child.stdin.take().ok_or("a pipe")?;
    let fed = pictures.iter().cycle().take(frames).try_for_each(|picture| stdin.write_all(picture));
    drop(stdin);
    let status = child.wait()?;
    let took = begun.elapsed();
    if !status.success() {
        return Err(format!("ffmpeg ended with {status}; its words are above").into());
    }
    fed?;
    Ok(took)
}
