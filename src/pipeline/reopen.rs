//! How an input is read again: for another decoder when one has died, and for frames that went with their device. Who decodes
//! then, and which frames are wanted, `failover` says.

use std::path::{Path, PathBuf};

use super::feed::{self, Feed};
use super::source::{FrameSource, SourceOptions, chosen_video};
use crate::backend::Backend;
use crate::config::{DecodeOutputMode, Engines, FailurePolicy};
use crate::container::Input;
use crate::error::{Error, Result};
use crate::failover::{FrameRecovery, Frames, frame_recovery};
use crate::time::Rational;

impl FrameSource {
    /// Has another decoder go on behind the last frame: from the last random access point before it, frames up to that one being
    /// passed over.
    ///
    /// # Errors
    /// What the last decoder that worked has died of, when there is no other, or the input cannot be read again.
    pub(super) fn go_on(&mut self, error: Error) -> Result<()> {
        let Some(dead) = self.decode_summary() else { return Err(error) };
        let path = self.info().path.clone();
        let death = self.decoders.died(error, &dead.receipt, || can_be_read_again(&path))?;
        self.summary.decode_before.push(dead);
        self.note_damage();
        // Closed before another is opened: there may be room for few.
        self.feed = Feed::over();
        let (from, frames) = (self.decoders.last.or(self.window.start), self.summary.frames);
        let options = &self.options;
        self.feed = self.decoders.replace(death, frames, |kind, same| {
            let options = SourceOptions {
                backend: Backend::Only(kind),
                device: options.device.clone().filter(|_| same),
                engines: if same { options.engines } else { Engines::One },
                ..options.clone()
            };
            let Input::Demuxer(demuxer) = feed::open(&path, &options)? else {
                let message = format!("{} is another kind of file now", path.display());
                return Err(Error::corrupt_fatal(message));
            };
            let track = chosen_video(demuxer.as_ref(), &path, options.track)?;
            Self::start(demuxer, track, &options, from)
        })?;
        Ok(())
    }
}

/// Whether a second opening of the input reads the same from its beginning. A pipe or a terminal, whatever it is called, gives
/// each byte to one reader only.
pub fn can_be_read_again(path: &Path) -> bool {
    // Elsewhere than on Linux these share the place of reading with the descriptor that they name.
    let descriptor = !cfg!(target_os = "linux") && path.starts_with("/dev");
    let once = path.as_os_str() == "-" || descriptor;
    #[cfg(windows)]
    let once = once || crate::util::windows_names::is_device(path);
    // What is no file by itself is a pattern of names of images.
    !once && std::fs::metadata(path).map_or(true, |found| found.is_file() || found.is_dir())
}

/// Decodes frames of an input again; `None` for one that can be read once only. `rate`: of the output, where frames do not keep
/// their times.
pub(super) fn recovery(
    path: PathBuf,
    options: &SourceOptions,
    rate: Option<Rational>,
) -> Option<FrameRecovery> {
    if !can_be_read_again(&path) {
        return None;
    }
    let options = SourceOptions {
        output: DecodeOutputMode::HostSurface,
        engines: Engines::One,
        device: None,
        ends_process: false,
        on_failure: FailurePolicy::Stop,
        ..options.clone()
    };
    let name = path.display().to_string();
    let open = move |kind, at| {
        let options = SourceOptions { backend: Backend::Only(kind), ..options.clone() };
        let mut source = FrameSource::open_at(&path, &options, at)?;
        let first = source.next_frame()?.ok_or_else(|| source.nothing())?;
        // The end that a cancelled source comes to is not that of the input.
        let cut = move || options.cancel.is_cancelled().then_some(Err(Error::Cancelled));
        Ok(Box::new(std::iter::once(Ok(first)).chain(source).chain(std::iter::from_fn(cut))) as Frames)
    };
    Some(frame_recovery(name, open, rate))
}

#[cfg(test)]
#[path = "reopen_tests.rs"]
mod tests;
