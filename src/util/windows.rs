//! What Windows is asked for beyond the standard library: files and processes that go away with this one, however it ends.

#![allow(unsafe_code, reason = "calls of the system, as in the drivers of backends")]

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use windows_sys::Win32::Foundation::{FILETIME, HANDLE};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_DISPOSITION_INFO, FILE_TYPE_DISK, FileDispositionInfo, GetFileSizeEx, GetFileType,
    SetFileInformationByHandle,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessTimes, GetThreadTimes,
};

/// `GENERIC_READ | GENERIC_WRITE | DELETE`: what [`remove_when_closed`] needs of a file.
pub(crate) const READ_WRITE_DELETE: u32 = 0xC001_0000;

/// `GENERIC_WRITE | DELETE`: what replacing a file needs of it.
pub(crate) const WRITE_DELETE: u32 = 0x4001_0000;

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened itself, and is no plain file then.
pub(crate) const NOT_THROUGH_LINKS: u32 = 0x0020_0000;

/// Whether it lies on a disk. A pipe has no positions here either, and the system answers questions for one all the same.
pub(crate) fn is_on_disk(file: &File) -> bool {
    // SAFETY: the handle is open as long as the file is borrowed.
    unsafe { GetFileType(file.as_raw_handle()) == FILE_TYPE_DISK }
}

/// How long it is: also where that is all that is told of a file, as wine does of one that a shell has opened.
///
/// # Errors
/// What is no file.
pub(crate) fn length(file: &File) -> io::Result<u64> {
    let mut bytes = 0;
    // SAFETY: the handle is open, and the number lives through the call.
    let done = unsafe { GetFileSizeEx(file.as_raw_handle(), &raw mut bytes) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(bytes as u64) }
}

/// Whether the system removes a file when its last handle is closed, as it does when a process is ended. It can be taken
/// back, and nobody else can open the file before.
///
/// # Errors
/// A file system that cannot do this, or a file that was not opened with [`READ_WRITE_DELETE`].
pub(crate) fn remove_when_closed(file: &File, remove: bool) -> io::Result<()> {
    let wish = FILE_DISPOSITION_INFO { DeleteFile: remove };
    let bytes = size_of_val(&wish) as u32;
    // SAFETY: the handle is open, and the structure is the one of this class and lives through the call.
    let done = unsafe {
        SetFileInformationByHandle(file.as_raw_handle(), FileDispositionInfo, (&raw const wish).cast(), bytes)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// CPU time of the calling thread since it began, in steps of the system's timer.
pub(crate) fn cpu_time_of_thread() -> Duration {
    // SAFETY: a handle of the calling thread, which need not be closed.
    cpu_time(unsafe { GetCurrentThread() }, GetThreadTimes)
}

/// CPU time of all threads of this process.
pub(crate) fn cpu_time_of_process() -> Duration {
    // SAFETY: a handle of this process, which need not be closed.
    cpu_time(unsafe { GetCurrentProcess() }, GetProcessTimes)
}

type GetTimes =
    unsafe extern "system" fn(HANDLE, *mut FILETIME, *mut FILETIME, *mut FILETIME, *mut FILETIME) -> i32;

/// User and system time of what the handle stands for; zero where the system refuses.
fn cpu_time(handle: HANDLE, get: GetTimes) -> Duration {
    let mut times = [FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: the handle is one that the function takes, and the four structures live through the call.
    if unsafe { get(handle, created, ended, kernel, user) } == 0 {
        return Duration::ZERO;
    }
    // Units of 100 ns.
    let units = |time: &FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Duration::from_nanos((units(kernel) + units(user)).saturating_mul(100))
}

/// Ctrl-C does not reach the child, and no console window is opened for it.
pub(crate) fn in_a_group_without_window(command: &mut Command) {
    /// `CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW`.
    const FLAGS: u32 = 0x0000_0200 | 0x0800_0000;
    command.creation_flags(FLAGS);
}

/// Has the system end a child, and what it starts, when this process ends. Where a job of somebody else's forbids that, the
/// child is on its own.
pub(crate) fn ends_with_this_process(child: &Child) {
    /// Closed by the system.
    static JOB: OnceLock<Option<OwnedHandle>> = OnceLock::new();
    if let Some(job) = JOB.get_or_init(make_job) {
        // SAFETY: both handles are open; neither is given away.
        unsafe { AssignProcessToJobObject(job.as_raw_handle(), child.as_raw_handle()) };
    }
}

/// A job whose processes end when its last handle is closed.
fn make_job() -> Option<OwnedHandle> {
    // SAFETY: without attributes and name; what comes back is a handle of ours, or null.
    let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if handle.is_null() {
        return None;
    }
    // SAFETY: the handle was just made and belongs to nobody else.
    let job = unsafe { OwnedHandle::from_raw_handle(handle) };
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let bytes = size_of_val(&limits) as u32;
    // SAFETY: the structure is the one of this class and lives through the call.
    let set = unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            bytes,
        )
    };
    (set != 0).then_some(job)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::os::windows::fs::OpenOptionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_file_goes_with_its_last_handle_unless_that_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        for keep in [false, true] {
            let path = folder.path().join("file");
            let mut file = File::options()
                .access_mode(READ_WRITE_DELETE)
                .write(true)
                .create_new(true)
                .open(&path)
                .unwrap();
            remove_when_closed(&file, true).unwrap();
            file.write_all(b"something").unwrap();
            file.rewind().unwrap();
            if keep {
                remove_when_closed(&file, false).unwrap();
            }
            let copy = file.try_clone().unwrap();
            drop(file);
            drop(copy);
            assert_eq!(path.exists(), keep);
        }
    }

    #[test]
    fn a_pipe_is_not_on_disk() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(!is_on_disk(&File::from(OwnedHandle::from(reader))));
        assert!(is_on_disk(&tempfile::tempfile().unwrap()));
    }

    /// Three processes: this one ends the second, and the third has to go with it.
    #[test]
    fn children_end_with_their_parent() {
        const ROLE: &str = "VIDEO_HW_TEST_ROLE";
        let own = || {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "util::windows::tests::children_end_with_their_parent", "--nocapture"]);
            command
        };
        match std::env::var(ROLE).as_deref() {
            Ok("child") => std::thread::sleep(std::time::Duration::from_secs(60)),
            Ok(_) => {
                let mut child = own().env(ROLE, "child").spawn().unwrap();
                ends_with_this_process(&child);
                let _ = child.wait();
            }
            // The pipe is at its end when both that hold it are gone.
            Err(_) => {
                let mut parent = own().env(ROLE, "parent").stdout(Stdio::piped()).spawn().unwrap();
                let mut output = std::io::BufReader::new(parent.stdout.take().unwrap());
                let mut line = String::new();
                // Each of them begins with "running 1 test".
                for _ in 0..2 {
                    line.clear();
                    while !line.contains("running 1") {
                        line.clear();
                        assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0);
                    }
                }
                let begun = std::time::Instant::now();
                parent.kill().unwrap();
                std::io::Read::read_to_end(&mut output, &mut Vec::new()).unwrap();
                assert!(begun.elapsed().as_secs() < 30, "the child has slept to its end");
            }
        }
    }
}
