//! Answers that are kept until something changes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Findings;
use super::identity::Identity;
use super::wire::{self, MOST_BYTES};
use crate::error::{Error, Result};

/// The first line, which changes with the form of what follows.
const FORM: &str = "video-hw probes, form 2";

/// A file with answers. It is replaced as a whole, by one that only its owner can read; whatever else is found under its
/// name counts as nothing.
#[derive(Clone, Debug)]
pub struct Cache {
    path: PathBuf,
}

impl Cache {
    /// The cache in this file, which need not be there, nor its folder.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The answers that were found under the same circumstances.
    pub fn load(&self, identity: &Identity) -> Option<Findings> {
        // A pipe would never end, and a folder cannot be read.
        if !fs::symlink_metadata(&self.path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(&self.path).ok()?.take(MOST_BYTES + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > MOST_BYTES {
            return None;
        }
        let text = String::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        if lines.next()? != FORM {
            return None;
        }
        for line in &identity.lines {
            if lines.next()?.strip_prefix("on ")? != line {
                return None;
            }
        }
        // A line more is something that is not there any more.
        let mut found =
            wire::read_all(lines.map(|line| if line.starts_with("on ") { wire::END } else { line }))?;
        // What nobody would have written was written by somebody else.
        found.probes.retain(|probe| probe.verdict.is_lasting());
        found.facts.retain(|fact| fact.lasting);
        (!found.probes.is_empty()).then_some(found)
    }

    /// Keeps the answers that will be the same the next time.
    ///
    /// # Errors
    /// A file that cannot be written; the old one stays.
    pub fn store(&self, identity: &Identity, found: &Findings) -> Result<()> {
        let mut text = format!("{FORM}\n");
        for line in &identity.lines {
            text.push_str(&format!("on {line}\n"));
        }
        for probe in found.probes.iter().filter(|probe| probe.verdict.is_lasting()) {
            text.push_str(&wire::probe(probe));
            text.push('\n');
        }
        for fact in found.facts.iter().filter(|fact| fact.lasting) {
            text.push_str(&wire::fact(fact));
            text.push('\n');
        }
        text.push_str(wire::END);
        text.push('\n');
        self.replace(text.as_bytes())
    }

    fn replace(&self, bytes: &[u8]) -> Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        make_folder(folder).map_err(|error| Error::io_writing("create", folder, error))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let aside = folder.join(format!(".probes-{}-{number}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let write = || {
            // A process of the same number may have died over it.
            let _ = fs::remove_file(&aside);
            options.open(&aside)?.write_all(bytes)
        };
        let done = write().map_err(|error| Error::io_writing("write", &aside, error)).and_then(|()| {
            fs::rename(&aside, &self.path).map_err(|error| Error::io_writing("rename", &self.path, error))
        });
        if done.is_err() {
            let _ = fs::remove_file(&aside);
        }
        done
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Candidate, Fact, Failure, Probe, ProbeStep, ProbeVerdict, Question};
    use super::*;
    use crate::backend::Job;
    use crate::codec::Codec;
    use crate::error::Remedy;
    use proptest::prelude::*;

    fn identity(message: &[&str]) -> Identity {
        Identity { lines: message.iter().map(|word| (*word).to_owned()).collect() }
    }

    fn probe(codec: Codec, verdict: ProbeVerdict) -> Probe {
        let question = Question { candidate: Candidate::Nvidia, job: Job::Encode, codec };
        Probe { question, verdict, took: Duration::from_millis(3), cached: false }
    }

    fn findings() -> Findings {
        let fails =
            |failure| ProbeVerdict::fails(ProbeStep::Session, failure, "why".to_owned(), Remedy::None);
        let fact = |name: &str, lasting| Fact {
            about: Candidate::Nvidia,
            name: name.to_owned(),
            value: "7".to_owned(),
            lasting,
        };
        Findings {
            probes: vec![
                probe(Codec::H264, ProbeVerdict::Works { implementation: "NVENC".to_owned() }),
                probe(Codec::Hevc, fails(Failure::SessionLimit)),
                probe(Codec::Av1, fails(Failure::Unsupported)),
                probe(Codec::Vp9, fails(Failure::Crashed)),
            ],
            facts: vec![fact("engines", true), fact("sessions", false)],
        }
    }

    #[test]
    fn only_what_lasts_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("a/b/probes"));
        let here = identity(&["boot 1", "driver 2"]);
        assert_eq!(cache.load(&here), None);
        cache.store(&here, &findings()).unwrap();
        let known = cache.load(&here).unwrap();
        let codecs: Vec<_> = known.probes.iter().map(|probe| probe.question.codec).collect();
        assert_eq!(codecs, [Codec::H264, Codec::Av1]);
        assert_eq!(known.facts.len(), 1);
        for other in [&["boot 2", "driver 2"][..], &["boot 1"], &["boot 1", "driver 2", "more"], &[]] {
            assert_eq!(cache.load(&identity(other)), None, "{other:?}");
        }
        #[cfg(unix)]
        {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(cache.path()).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        let names = fs::read_dir(folder.path().join("a/b")).unwrap().count();
        assert_eq!(names, 1, "nothing is left aside");
    }

    #[test]
    fn what_is_not_a_cache_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("probes"));
        let here = identity(&["boot 1"]);
        cache.store(&here, &findings()).unwrap();
        let whole = fs::read(cache.path()).unwrap();
        for cut in 0..whole.len() - 1 {
            fs::write(cache.path(), &whole[..cut]).unwrap();
            assert_eq!(cache.load(&here), None, "cut at {cut}");
        }
        fs::write(cache.path(), vec![b'x'; MOST_BYTES as usize + 10]).unwrap();
        assert_eq!(cache.load(&here), None);
        fs::remove_file(cache.path()).unwrap();
        fs::create_dir(cache.path()).unwrap();
        assert_eq!(cache.load(&here), None);
        assert!(cache.store(&here, &findings()).is_err(), "a folder is not replaced");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left aside");
    }

    proptest! {
        #[test]
        fn no_content_is_too_much(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let folder = tempfile::tempdir().unwrap();
            let cache = Cache::at(folder.path().join("probes"));
            fs::write(cache.path(), &bytes).unwrap();
            prop_assert_eq!(cache.load(&identity(&["boot 1"])), None);
            let text = [format!("{FORM}\non boot 1\n").into_bytes(), bytes].concat();
            fs::write(cache.path(), text).unwrap();
            let _ = cache.load(&identity(&["boot 1"]));
        }
    }
}
