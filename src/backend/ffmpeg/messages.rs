//! What a child says on standard error: kept in bounds, and turned into instructions where it is known.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Mutex;

use crate::backend::BackendKind;
use crate::error::{Error, Remedy};
use crate::stream_io::read_some;
use crate::sync::lock;

/// Lines that are kept: the first ones, which name the cause, and the last ones.
const FIRST: usize = 8;
const LAST: usize = 8;
/// Longest line; the rest is thrown away.
const LINE: usize = 400;

#[derive(Default)]
struct Kept {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: u64,
    /// The line that is not at its end.
    open: Vec<u8>,
    /// Lines of `first` that were taken by [`Messages::take_lines`].
    taken: usize,
}

/// The child's messages.
#[derive(Default)]
pub(super) struct Messages(Mutex<Kept>);

impl Messages {
    /// Reads until the end, however much comes.
    pub(super) fn read(&self, mut from: impl Read) {
        let mut bytes = [0; 4096];
        while let Ok(got @ 1..) = read_some(&mut from, &mut bytes) {
            lock(&self.0).take(bytes.get(..got).unwrap_or_default());
        }
        lock(&self.0).end_line();
    }

    /// `what`, and behind it what the child said.
    pub(super) fn with(&self, what: &str) -> String {
        let kept = lock(&self.0);
        let mut said: Vec<_> = kept.first.iter().chain(&kept.last).map(String::as_str).collect();
        let between = format!("[{} lines]", kept.left_out);
        if kept.left_out > 0 {
            said.insert(kept.first.len(), &between);
        }
        if said.is_empty() {
            format!("{what}, without a word")
        } else {
            format!("{what}: {}", said.join("; "))
        }
    }

    /// Lines that were not taken yet; of a flood, the first ones.
    pub(super) fn take_lines(&self) -> Vec<String> {
        let mut kept = lock(&self.0);
        let lines = kept.first.get(kept.taken..).unwrap_or_default().to_vec();
        kept.taken = kept.first.len();
        lines
    }

    /// Whether [`Self::explain`] has an answer.
    pub(super) fn is_known(&self) -> bool {
        self.explain().is_some()
    }

    /// The error for a failure that is known by its words.
    pub(super) fn explain(&self) -> Option<Error> {
        let said = {
            let kept = lock(&self.0);
            kept.first.iter().chain(&kept.last).cloned().collect::<Vec<_>>()
        };
        let backend = BackendKind::Ffmpeg;
        KNOWN.iter().find_map(|(message, kind)| {
            let line = said.iter().find(|line| line.contains(message))?;
            let text = format!("ffmpeg says: {line}");
            Some(match kind {
                Kind::Device(how) => {
                    Error::Unavailable { backend, reason: text, remedy: Remedy::install("driver", how) }
                }
                Kind::Setting(remedy) => Error::Unsupported { feature: text, remedy: (*remedy).into() },
                Kind::Limit => Error::SessionLimit { backend, detail: text, sessions: None },
            })
        })
    }
}

impl Kept {
    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                self.end_line();
            } else if self.open.len() < LINE {
                self.open.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.open);
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        self.open.clear();
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        if line.is_empty() || self.last.back().or(self.first.last()) == Some(&line) {
            return;
        }
        if self.first.len() < FIRST {
            self.first.push(line);
            return;
        }
        if self.last.len() == LAST {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(line);
    }
}

/// A failure, and what to do.
enum Kind {
    Device(&'static str),
    Setting(&'static str),
    /// A card has no session left, or no memory for one.
    Limit,
}

const DRIVER: Kind =
    Kind::Device("Install the driver of the GPU, or take an encoder on the CPU (libx264, libx265)");

/// Messages of ffmpeg, and what they stand for.
const KNOWN: [(&str, Kind); 16] = [
    (
        "Unknown encoder",
        Kind::Setting("this ffmpeg was built without it; `video-hw devices` lists what it has"),
    ),
    ("Unknown decoder", Kind::Setting("this ffmpeg was built without it")),
    ("Decoder (codec", Kind::Setting("this ffmpeg was built without a decoder for it")),
    ("Cannot load libcuda", DRIVER),
    ("Cannot load nvcuda", DRIVER),
    ("Cannot load libnvidia-encode", DRIVER),
    ("No NVENC capable devices found", DRIVER),
    ("OpenEncodeSessionEx failed: out of memory", Kind::Limit),
    ("OpenEncodeSessionEx failed: incompatible client key", Kind::Limit),
    ("Driver does not support the required nvenc API version", Kind::Device("Install a newer driver")),
    ("Error initializing an internal MFX session", DRIVER),
    ("Error creating a MFX session", DRIVER),
    ("Failed to initialise VAAPI connection", DRIVER),
    ("No VA display found", DRIVER),
    ("Device creation failed", DRIVER),
    ("Cannot create compression session", Kind::Device("Take an encoder on the CPU (libx264, libx265)")),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bytes: &[u8]) -> Messages {
        let message = Messages::default();
        message.read(bytes);
        message
    }

    #[test]
    fn a_flood_is_kept_in_bounds_with_its_beginning_and_its_end() {
        let mut flood = b"the cause\n".to_vec();
        for line in 0..100_000 {
            flood.extend_from_slice(format!("line {line}\n").as_bytes());
        }
        flood.extend(std::iter::repeat_n(b'x', 1 << 20));
        let reported = after(&flood).with("it failed");
        assert!(reported.starts_with("it failed: the cause; line 0; "), "{reported}");
        assert!(reported.contains("line 99999") && reported.ends_with('x') && reported.len() < 20 * LINE);
    }

    #[test]
    fn repeated_lines_and_control_characters_are_left_out() {
        let message = after(b"\x1b[31mred\n\xff\xfe\n\r\nagain\nagain\nagain");
        assert_eq!(message.with("x"), "x: [31mred; \u{fffd}\u{fffd}; again");
        assert_eq!(after(b"").with("x"), "x, without a word");
    }

    #[test]
    fn known_words_become_instructions() {
        let error = after(b"[h264_nvenc @ 0x1] Cannot load libcuda.so.1\nError\n").explain().unwrap();
        assert!(
            matches!(error, Error::Unavailable { .. }) && error.to_string().contains("Install the driver")
        );
        assert!(matches!(after(b"Unknown encoder 'libx265'").explain(), Some(Error::Unsupported { .. })));
        assert!(after(b"something else").explain().is_none());
    }
}
