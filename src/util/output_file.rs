//! Output that is either complete or not there.
//!
//! A regular file is written under a temporary name beside its place and gets its own when it is complete, so that
//! a failed or interrupted job neither leaves half a file nor destroys the one that was there before.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Remedy, Result};
use crate::sync::lock;

/// Large enough that a video packet is one or two system calls.
const BUFFER_BYTES: usize = 256 * 1024;

/// Temporary names tried before giving up; more than one is only ever taken by killed processes whose number
/// came around again (in containers it always does).
const NAME_ATTEMPTS: u32 = 100;

/// How long a file that another program has open is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Symbolic links followed to find where a dangling one points (Linux' own limit).
const MAX_LINKS: u32 = 40;

/// An output on its way: a file, a special file, or standard output.
///
/// Dropped without [`Self::commit`], a regular file leaves no trace. Implements [`Write`] and [`Seek`];
/// [`Self::writer`] gives further handles for a muxer that wants to own one.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    shared: Arc<Mutex<State>>,
    pending: Option<PendingRename>,
}

/// A handle that writes into an [`OutputFile`], at the one position that all its handles share. Fails once the
/// file is committed or dropped. What was written to a regular file can be read back (a muxer moves its index to
/// the front that way).
#[derive(Clone, Debug)]
pub struct OutputWriter {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// `None` once committed or abandoned.
    writer: Option<BufWriter<File>>,
    seekable: bool,
    /// The first failure. What could not be written is lost, so the file must not be committed even if
    /// later writes succeed.
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    code: Option<i32>,
    kind: io::ErrorKind,
}

/// The temporary file; removed on drop unless `renamed`.
#[derive(Debug)]
struct PendingRename {
    /// The system removes it when the process is ended.
    #[cfg(windows)]
    goes_with_process: bool,
    temporary: PathBuf,
    target: PathBuf,
    overwrite: bool,
    renamed: bool,
}

impl OutputFile {
    /// Opens `path` for writing; `-` is standard output, which cannot seek.
    ///
    /// A regular file appears at `path` only with [`Self::commit`]. Symbolic links are followed; the mode of a
    /// file that is replaced is kept, a new file gets the usual mode (0666 less the umask). Character
    /// devices and FIFOs are written directly.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the file exists and `overwrite` is false, when it is one of `inputs` (by
    /// whatever name or link), when it is a directory or block device, or its directory does not exist;
    /// [`Error::Io`] when the system refuses.
    pub fn create(path: &Path, overwrite: bool, inputs: &[PathBuf]) -> Result<Self> {
        if path.as_os_str() == "-" {
            let file = standard_output().map_err(|e| Error::io("open", path, e))?;
            // A terminal may be both; a file that grows while it is read never ends.
            if let Ok(existing) = file.metadata()
                && existing.is_file()
                && let Some(input) = inputs.iter().find(|input| is_same_file(path, &existing, input))
            {
                return Err(Error::invalid(format!(
                    "standard output is the input {} itself; choose another file",
                    input.display()
                )));
            }
            return Ok(Self::over(path, file, false, None));
        }
        #[cfg(windows)]
        {
            use super::windows_names;
            // The system tells nothing of them.
            if windows_names::is_device(path) {
                let file =
                    OpenOptions::new().write(true).open(path).map_err(|e| Error::io("open", path, e))?;
                return Ok(Self::over(path, file, false, None));
            }
            if let Some(why) = windows_names::refusal(path) {
                return Err(Error::invalid(format!("output {}: {why}; choose another name", path.display())));
            }
        }
        match fs::metadata(path) {
            Ok(existing) => Self::replace(path, &existing, overwrite, inputs),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if path.as_os_str().to_string_lossy().ends_with(std::path::is_separator) {
                    return Err(Error::invalid(format!("output {} names a directory", path.display())));
                }
                let target = follow_links(path).map_err(|e| Error::io("open", path, e))?;
                Self::temporary(path, target, overwrite, None)
            }
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(Error::invalid(format!(
                "output {} lies below something that is no directory",
                path.display()
            ))),
            Err(e) => Err(Error::io("open", path, e)),
        }
    }

    /// Whether the output is a pipe or device: nothing of it is made beside and put in its place at the end.
    pub fn is_written_directly(path: &Path) -> bool {
        #[cfg(windows)]
        if super::windows_names::is_device(path) {
            return true;
        }
        path.as_os_str() == "-" || fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
    }

    fn replace(path: &Path, existing: &Metadata, overwrite: bool, inputs: &[PathBuf]) -> Result<Self> {
        let name = path.display();
        if existing.is_dir() {
            return Err(directory(path));
        }
        let kind = SpecialFile::of(existing);
        if kind != Some(SpecialFile::CharacterDevice)
            && let Some(input) = inputs.iter().find(|input| is_same_file(path, existing, input))
        {
            return Err(Error::invalid(format!(
                "output {name} is the input {} itself; choose another name",
                if input.as_os_str() == "-" { "on standard input".into() } else { input.to_string_lossy() }
            )));
        }
        match kind {
            Some(SpecialFile::CharacterDevice | SpecialFile::Fifo) => {
                let file =
                    OpenOptions::new().write(true).open(path).map_err(|e| Error::io("open", path, e))?;
                return Ok(Self::over(path, file, false, None));
            }
            Some(SpecialFile::Other) => {
                return Err(Error::invalid(format!(
                    "output {name} is a block device or socket, which is not written to"
                )));
            }
            None => {}
        }
        if !overwrite {
            let exists = Error::invalid(format!("output {name} exists already"));
            return Err(exists.with_remedy(Remedy::Overwrite));
        }
        // Renaming needs no right to the file itself, but a file that is write-protected is so on purpose.
        let mut options = OpenOptions::new();
        options.write(true);
        // Nor can one be replaced here that a player has open, which is told before the work and not after it.
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::access_mode(&mut options, crate::util::windows::WRITE_DELETE);
        options.open(path).map_err(|e| Error::io_writing("overwrite", path, e))?;
        // Of drives that its manager of mounts does not know Windows tells no canonical paths.
        let target = if cfg!(windows) { follow_links(path) } else { fs::canonicalize(path) };
        let target = target.map_err(|e| Error::io("open", path, e))?;
        Self::temporary(path, target, overwrite, Some(existing))
    }

    fn temporary(path: &Path, target: PathBuf, overwrite: bool, replaced: Option<&Metadata>) -> Result<Self> {
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let Some(name) = target.file_name() else {
            return Err(Error::invalid(format!("output {} names no file", path.display())));
        };
        match fs::metadata(parent) {
            Ok(m) if m.is_dir() => {}
            Ok(_) => {
                return Err(Error::invalid(format!(
                    "output {}: {} is no directory",
                    path.display(),
                    parent.display()
                )));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::invalid(format!(
                    "output {}: directory {} does not exist; create it first",
                    path.display(),
                    parent.display()
                )));
            }
            Err(e) => return Err(Error::io("open", parent, e)),
        }
        let (file, temporary) = create_beside(parent, &name.to_string_lossy())
            .map_err(|e| Error::io_writing("create a file in", parent, e))?;
        if let Some(replaced) = replaced {
            // Not every file system has modes; the data does not depend on them.
            let _ = file.set_permissions(replaced.permissions());
        }
        let pending = PendingRename {
            // Not every file system can do it; there, only a process that is killed leaves the file.
            #[cfg(windows)]
            goes_with_process: crate::util::windows::remove_when_closed(&file, true).is_ok(),
            temporary,
            target,
            overwrite,
            renamed: false,
        };
        Ok(Self::over(path, file, true, Some(pending)))
    }

    fn over(path: &Path, file: File, seekable: bool, pending: Option<PendingRename>) -> Self {
        let writer = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        let shared = Arc::new(Mutex::new(State { writer, seekable, failure: None }));
        Self { path: path.into(), shared, pending }
    }

    /// The path given at creation; the one to name in errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether [`Seek`] works: only on regular files.
    pub fn is_seekable(&self) -> bool {
        lock(&self.shared).seekable
    }

    /// Another handle to write through, for a muxer that takes its output by value.
    pub fn writer(&self) -> OutputWriter {
        OutputWriter { shared: Arc::clone(&self.shared) }
    }

    /// Flushes, and puts a regular file in its place. The data is handed to the operating system, not
    /// forced to the disk (no `fsync`): a power failure may still lose it, a crash of this process cannot.
    ///
    /// # Errors
    /// [`Error::Io`] when this or any earlier write failed; the temporary file is removed then, unless it is whole and another
    /// program has the file open that it replaces: the error names it then.
    pub fn commit(mut self) -> Result<()> {
        let path = self.path.clone();
        let failed = |e| Error::io_writing("write", &path, e);
        let file = lock(&self.shared).finish().map_err(failed)?;
        let Some(pending) = self.pending.as_mut() else { return Ok(()) };
        #[cfg(windows)]
        if pending.goes_with_process {
            crate::util::windows::remove_when_closed(&file, false).map_err(failed)?;
        }
        drop(file);
        if !pending.overwrite {
            let appeared = match fs::hard_link(&pending.temporary, &pending.target) {
                // The other name goes with what is pending.
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    // Asked twice by a network that lost the answer, the second time finds what the first has done.
                    let there = pending.target.symlink_metadata();
                    if there.is_ok_and(|there| is_same_file(&pending.target, &there, &pending.temporary)) {
                        return Ok(());
                    }
                    true
                }
                // Not every file system has links; there somebody may still come between these two.
                Err(_) => pending.target.symlink_metadata().is_ok(),
            };
            if appeared {
                return Err(Error::invalid(format!(
                    "output {} appeared while it was being written; it is left as it is",
                    self.path.display()
                )));
            }
        }
        let renamed = patiently(|| fs::rename(&pending.temporary, &pending.target));
        // What is whole is not thrown away because somebody has the old file open.
        let is_kept = renamed.as_ref().is_err_and(is_busy);
        pending.renamed = renamed.is_ok() || is_kept;
        renamed.map_err(|e| {
            let place = pending.temporary.display();
            let kept = || format!("{e}; another program may have it open, and the new file is {place}");
            let told = if is_kept { io::Error::new(e.kind(), kept()) } else { e };
            Error::io_writing("rename", &self.path, told)
        })
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        // Without flushing: a reader of a pipe must not be taken for the cause of a hang on the way out.
        if let Some(writer) = lock(&self.shared).writer.take() {
            drop(writer.into_parts());
        }
    }
}

impl Drop for PendingRename {
    fn drop(&mut self) {
        if !self.renamed {
            // Nobody is left to tell.
            let _ = patiently(|| fs::remove_file(&self.temporary));
        }
    }
}

impl State {
    fn attempt<T>(&mut self, action: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
        let Some(writer) = self.writer.as_mut() else {
            return Err(closed());
        };
        action(writer).inspect_err(|e| {
            self.failure.get_or_insert(Failure { code: e.raw_os_error(), kind: e.kind() });
        })
    }

    /// Flushes, and gives the file back: nothing is written any more.
    fn finish(&mut self) -> io::Result<File> {
        if let Some(Failure { code, kind }) = self.failure {
            return Err(code.map_or_else(|| io::Error::from(kind), io::Error::from_raw_os_error));
        }
        self.attempt(Write::flush)?;
        self.writer.take().map(|writer| writer.into_parts().0).ok_or_else(closed)
    }

    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if !self.seekable {
            // Not a failure of the output: this is how a muxer finds out.
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a pipe or device cannot seek"));
        }
        self.attempt(|w| w.seek(to))
    }
}

impl Write for OutputWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        lock(&self.shared).attempt(|w| w.write(buf))
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        lock(&self.shared).attempt(|w| w.write_all(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.shared).attempt(Write::flush)
    }
}

impl Read for OutputWriter {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        lock(&self.shared).attempt(|w| {
            w.flush()?;
            w.get_mut().read(buf)
        })
    }
}

impl Seek for OutputWriter {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        lock(&self.shared).seek(to)
    }
}

impl Write for OutputFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        lock(&self.shared).attempt(|w| w.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.shared).attempt(Write::flush)
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        lock(&self.shared).seek(to)
    }
}

/// Whether another program has the file open and does not share it, as players, scanners and indexers do on Windows.
fn is_busy(error: &io::Error) -> bool {
    // ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION.
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33))
}

/// Waits for those that let go soon.
fn patiently<T>(mut action: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let begun = Instant::now();
    loop {
        match action() {
            Err(e) if is_busy(&e) && begun.elapsed() < PATIENCE => thread::sleep(PATIENCE / 100),
            done => return done,
        }
    }
}

fn closed() -> io::Error {
    io::Error::other("the output is already closed")
}

/// For jobs that look at the output's name long before they create it: a directory has no format, and that must
/// not be the complaint.
pub(crate) fn refuse_directory(path: &Path) -> Result<()> {
    if path.is_dir() { Err(directory(path)) } else { Ok(()) }
}

fn directory(path: &Path) -> Error {
    Error::invalid(format!("output {} is a directory; give a file name in it", path.display()))
}

/// Creates `.NAME.partial-PID` in `parent`.
fn create_beside(parent: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    // File systems end names at 255 bytes or UTF-16 units.
    let mut short = name;
    while short.len() > 200 {
        let mut chars = short.chars();
        chars.next_back();
        short = chars.as_str();
    }
    let pid = std::process::id();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::access_mode(&mut options, crate::util::windows::READ_WRITE_DELETE);
    let is_taken = |e: &io::Error| {
        let is_pending = cfg!(windows) && e.kind() == io::ErrorKind::PermissionDenied;
        is_pending || e.kind() == io::ErrorKind::AlreadyExists
    };
    let mut attempt = 0;
    loop {
        let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
        let temporary = parent.join(format!(".{short}.partial-{pid}{suffix}"));
        match options.open(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            // Windows says so of a name whose file is to be removed.
            Err(e) if is_taken(&e) && attempt < NAME_ATTEMPTS => attempt += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Where writing to `path`, which does not exist, would create a file: `path`, or the end of a chain of
/// dangling links.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&target) else { return Ok(target) };
        target = target.parent().map_or_else(|| next.clone(), |parent| parent.join(&next));
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), expect(dead_code, reason = "elsewhere they are told by their names"))]
enum SpecialFile {
    CharacterDevice,
    Fifo,
    Other,
}

impl SpecialFile {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        match () {
            () if kind.is_file() => None,
            () if kind.is_char_device() => Some(Self::CharacterDevice),
            () if kind.is_fifo() => Some(Self::Fifo),
            () => Some(Self::Other),
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Option<Self> {
        if metadata.is_file() { None } else { Some(Self::CharacterDevice) }
    }
}

/// `-` is standard input, which a shell may have opened from the very file.
#[cfg(unix)]
fn is_same_file(_: &Path, output: &Metadata, input: &Path) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let input = if input.as_os_str() == "-" {
        io::stdin().as_fd().try_clone_to_owned().and_then(|stdin| File::from(stdin).metadata())
    } else {
        fs::metadata(input)
    };
    input.is_ok_and(|input| (input.dev(), input.ino()) == (output.dev(), output.ino()))
}

#[cfg(windows)]
fn is_same_file(output: &Path, _: &Metadata, input: &Path) -> bool {
    use same_file::Handle;
    let stream = |path: &Path| path.as_os_str() == "-";
    let is_file = |path: &Path, file: io::Result<File>| {
        if stream(path) {
            file.is_ok_and(|file| crate::util::windows::is_on_disk(&file))
        } else {
            !super::windows_names::is_device(path)
        }
    };
    // Pipes and devices have no number by which they are told apart, and opening one is seen at its other end.
    if !is_file(output, standard_output()) || !is_file(input, standard_input()) {
        return false;
    }
    let output = if stream(output) { Handle::stdout() } else { Handle::from_path(output) };
    let input = if stream(input) { Handle::stdin() } else { Handle::from_path(input) };
    matches!((output, input), (Ok(output), Ok(input)) if output == input)
}

#[cfg(windows)]
fn standard_input() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

/// Standard output without the line buffering of [`io::Stdout`].
fn standard_output() -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }
    #[cfg(windows)]
    {
        use std::os::windows::io::AsHandle;
        Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
    }
}
