//! Output files appear complete or not at all, and never at the price of an input.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use video_hw::output_file::OutputFile;

fn create(path: &Path, overwrite: bool, inputs: &[&Path]) -> Result<OutputFile, String> {
    let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
    OutputFile::create(path, overwrite, &inputs).map_err(|e| e.to_string())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_with_commit_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.mp4");
    let mut out = create(&path, false, &[]).unwrap();
    assert!(out.is_seekable());
    out.write_all(b"....efgh").unwrap();
    let mut handle = out.writer();
    handle.seek(SeekFrom::Start(0)).unwrap();
    handle.write_all(b"abcd").unwrap();
    assert_eq!(out.seek(SeekFrom::End(0)).unwrap(), 8, "handles share one position and one buffer");
    assert_eq!(names(dir.path()), [format!(".out.mp4.partial-{}", std::process::id())]);
    out.commit().unwrap();
    assert_eq!(names(dir.path()), ["out.mp4"]);
    assert_eq!(fs::read(&path).unwrap(), b"abcdefgh");
    assert!(handle.write_all(b"late").is_err(), "nothing can be written behind the commit");
}

#[test]
fn without_commit_nothing_is_left_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.mp4");
    fs::write(&path, "before").unwrap();
    let mut out = create(&path, true, &[]).unwrap();
    out.write_all(b"half").unwrap();
    let mut handle = out.writer();
    drop(out);
    assert!(handle.write_all(b"late").is_err());
    assert_eq!(names(dir.path()), ["out.mp4"]);
    assert_eq!(fs::read(&path).unwrap(), b"before");
}

#[test]
fn existing_files_are_replaced_on_request_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.mp4");
    fs::write(&path, "before").unwrap();
    let error = create(&path, false, &[]).unwrap_err();
    assert!(error.contains("exists already"), "{error}");
    let mut out = create(&path, true, &[]).unwrap();
    out.write_all(b"after").unwrap();
    out.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"after");

    let late = dir.path().join("late.mp4");
    let out = create(&late, false, &[]).unwrap();
    fs::write(&late, "someone else's").unwrap();
    assert!(out.commit().unwrap_err().to_string().contains("appeared while"));
    assert_eq!(fs::read(&late).unwrap(), b"someone else's");
    assert_eq!(names(dir.path()), ["late.mp4", "out.mp4"]);
}

#[test]
fn two_outputs_of_one_name_do_not_share_a_temporary_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.mp4");
    let stale = dir.path().join(format!(".out.mp4.partial-{}", std::process::id()));
    fs::write(&stale, "of a killed process with our number").unwrap();
    let mut out = create(&path, false, &[]).unwrap();
    out.write_all(b"new").unwrap();
    out.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::read(&stale).unwrap().len(), 35);
}

#[test]
fn names_up_to_the_file_systems_limit_work() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("é".repeat(125) + ".mp4");
    create(&path, false, &[]).unwrap().commit().unwrap();
    assert!(path.exists());
}

#[test]
fn places_that_cannot_hold_a_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = create(dir.path(), true, &[]).unwrap_err();
    assert!(error.contains("is a directory"), "{error}");
    let error = create(&dir.path().join("no/out.mp4"), true, &[]).unwrap_err();
    assert!(error.contains("no does not exist; create it first"), "{error}");
    let error = create(&dir.path().join("new/"), true, &[]).unwrap_err();
    assert!(error.contains("names a directory"), "{error}");
    fs::write(dir.path().join("file"), "").unwrap();
    let error = create(&dir.path().join("file/out.mp4"), true, &[]).unwrap_err();
    assert!(error.contains("no directory"), "{error}");
}

#[test]
fn the_input_is_never_the_output() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.mp4");
    fs::write(&input, "precious").unwrap();
    let other = dir.path().join("other.mp4");
    fs::write(&other, "").unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let mut outputs = vec![input.clone(), dir.path().join("sub/../in.mp4")];
    fs::hard_link(&input, dir.path().join("hard.mp4")).unwrap();
    outputs.push(dir.path().join("hard.mp4"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("in.mp4", dir.path().join("soft.mp4")).unwrap();
        outputs.push(dir.path().join("soft.mp4"));
    }
    for output in outputs {
        let error = create(&output, true, &[&other, &input]).unwrap_err();
        assert!(error.contains("is the input"), "{}: {error}", output.display());
    }
    assert!(create(&other, true, &[&input, Path::new("-")]).is_ok());
    assert_eq!(fs::read(&input).unwrap(), b"precious");
}

/// Such a file cannot be replaced, which would come out when the work is done.
#[cfg(windows)]
#[test]
fn a_file_that_a_player_has_open_is_refused_before_the_work() {
    use std::os::windows::fs::OpenOptionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.mp4");
    fs::write(&path, "before").unwrap();
    // Others may read and write, and not remove.
    let player = fs::OpenOptions::new().read(true).share_mode(3).open(&path).unwrap();
    assert!(create(&path, true, &[]).unwrap_err().contains("overwrite"));
    drop(player);
    create(&path, true, &[]).unwrap().commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[cfg(unix)]
mod unix {
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn links_are_written_through() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/real"), "before").unwrap();
        symlink("sub/real", dir.path().join("link")).unwrap();
        symlink("sub/new", dir.path().join("dangling")).unwrap();
        for (link, target) in [("link", "sub/real"), ("dangling", "sub/new")] {
            let mut out = create(&dir.path().join(link), true, &[]).unwrap();
            out.write_all(b"after").unwrap();
            out.commit().unwrap();
            assert!(dir.path().join(link).is_symlink());
            assert_eq!(fs::read(dir.path().join(target)).unwrap(), b"after");
        }
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert!(create(&dir.path().join("a"), true, &[]).is_err(), "a loop of links");
    }

    #[test]
    fn modes_are_those_of_an_ordinary_write() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        fs::write(dir.path().join("ordinary"), "").unwrap();
        create(&dir.path().join("ours"), false, &[]).unwrap().commit().unwrap();
        assert_eq!(mode("ours"), mode("ordinary"));
        fs::set_permissions(dir.path().join("ordinary"), fs::Permissions::from_mode(0o640)).unwrap();
        create(&dir.path().join("ordinary"), true, &[]).unwrap().commit().unwrap();
        assert_eq!(mode("ordinary"), 0o640);
    }

    #[test]
    fn devices_are_written_directly() {
        let mut out = create(Path::new("/dev/null"), false, &[Path::new("/dev/null")]).unwrap();
        assert!(!out.is_seekable());
        out.write_all(b"x").unwrap();
        assert!(out.seek(SeekFrom::Start(0)).is_err());
        assert!(out.stream_position().is_err());
        out.commit().expect("a refused seek is no failure of the output");
        assert!(fs::metadata("/dev/null").is_ok());
    }

    #[test]
    fn a_full_disk_is_told_with_the_name_and_never_committed() {
        if !Path::new("/dev/full").exists() {
            let _ =
                std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: no /dev/full\n"));
            return;
        }
        let expected = "write /dev/full: No space left on device (os error 28)";
        let mut out = create(Path::new("/dev/full"), false, &[]).unwrap();
        out.write_all(b"small enough to be buffered").unwrap();
        assert_eq!(out.commit().unwrap_err().to_string(), expected);
        let mut out = create(Path::new("/dev/full"), false, &[]).unwrap();
        assert_eq!(out.write_all(&vec![0; 1 << 20]).unwrap_err().raw_os_error(), Some(28));
        assert_eq!(out.commit().unwrap_err().to_string(), expected, "the failure is remembered");
    }

    #[test]
    fn fifos_are_written_directly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        if !Command::new("mkfifo").arg(&path).status().is_ok_and(|s| s.success()) {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: no mkfifo\n"));
            return;
        }
        let reader = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut all = Vec::new();
                fs::File::open(path).unwrap().read_to_end(&mut all).unwrap();
                all
            }
        });
        let mut out = create(&path, false, &[]).unwrap();
        assert!(!out.is_seekable());
        out.write_all(b"through the pipe").unwrap();
        out.commit().unwrap();
        assert_eq!(reader.join().unwrap(), b"through the pipe");
        assert_eq!(names(dir.path()), ["fifo"]);
        let error = create(&path, true, &[&path]).unwrap_err();
        assert!(error.contains("is the input"), "a FIFO cannot feed itself: {error}");
    }

    /// Runs the test below in a process of its own, whose standard output is a file.
    #[test]
    fn standard_output_takes_the_bytes_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "output_file::unix::writes_to_standard_output", "--nocapture"])
            .stdout(fs::File::create(&path).unwrap())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let all = fs::read(&path).unwrap();
        assert!(all.windows(6).any(|w| w == b"\n\0\xff\n\r\x01"), "{}", String::from_utf8_lossy(&all));
        assert_eq!(names(dir.path()), ["stdout"]);
    }

    #[test]
    #[ignore = "part of standard_output_takes_the_bytes_as_they_are"]
    fn writes_to_standard_output() {
        let mut out = create(Path::new("-"), false, &[Path::new("-")]).unwrap();
        assert!(!out.is_seekable());
        assert!(out.stream_position().is_err());
        out.write_all(b"\n\0\xff\n\r\x01").unwrap();
        out.commit().unwrap();
    }
}
