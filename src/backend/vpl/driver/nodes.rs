//! Why there is no GPU to work with, by what the kernel shows of it: a render node that is not there, or may not be opened,
//! looks to Intel's runtime as if there were no GPU at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::library::{Missing, install_runtime};
use crate::error::Remedy;

const INTEL: &str = "0x8086";

/// The render node of this number.
#[cfg(target_os = "linux")]
pub(super) fn path(number: u32) -> PathBuf {
    path_of(&format!("renderD{number}"))
}

fn path_of(name: &str) -> PathBuf {
    format!("/dev/dri/{name}").into()
}

/// A node that is there, and not for this user.
pub(super) fn denied(node: &Path, tried: &str) -> Missing {
    Missing::new(
        format!("{} may not be opened by this user ({tried})", node.display()),
        Remedy::CheckDevice(
            "Add the user to the group that owns the node (ls -l /dev/dri; sudo usermod -aG render $USER, or video) and log \
             in again; in a container, give --group-add with the number of that group"
                .into(),
        ),
    )
}

/// Opens a node as drivers do.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Why nothing was found, after it was tried with these results.
pub(super) fn why_none(tried: &[String]) -> Missing {
    if cfg!(windows) {
        return Missing::new(tried.join("; "), install_runtime());
    }
    of(Path::new("/"), &|path| open(path).map(drop), tried)
}

/// As above, on a system whose files lie below `root`.
fn of(root: &Path, open: &dyn Fn(&Path) -> io::Result<()>, tried: &[String]) -> Missing {
    let tried = tried.join("; ");
    let gpus = gpus(&root.join("sys/class/drm"));
    if gpus.is_empty() {
        return Missing::new(format!("this machine shows no GPU of Intel's ({tried})"), Remedy::OtherBackend);
    }
    for name in &gpus {
        let node = root.join("dev/dri").join(name);
        let Err(error) = open(&node) else { return Missing::new(tried, install_runtime()) };
        if error.kind() == io::ErrorKind::PermissionDenied {
            return denied(&path_of(name), &tried);
        }
    }
    Missing::new(
        format!("there is a GPU of Intel's, and no /dev/dri/{} ({tried})", gpus.join(" or ")),
        Remedy::CheckDevice(
            "In a container, start it with --device /dev/dri; elsewhere look for the kernel's driver (lsmod | grep -e i915 -e xe)"
                .into(),
        ),
    )
}

/// Numbers of the render nodes of Intel's GPUs.
pub(super) fn numbers() -> Vec<u32> {
    let number = |name: &String| name.strip_prefix("renderD")?.parse().ok();
    gpus(Path::new("/sys/class/drm")).iter().filter_map(number).collect()
}

/// Names of the render nodes of Intel's GPUs, as the kernel lists them, also where their files are not to be seen.
fn gpus(classes: &Path) -> Vec<String> {
    let is_intel = |name: &String| {
        let mut vendor = [0; INTEL.len()];
        let file = File::open(classes.join(name).join("device/vendor"));
        file.and_then(|mut file| file.read_exact(&mut vendor)).is_ok() && vendor == INTEL.as_bytes()
    };
    let entries = fs::read_dir(classes).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("renderD")).filter(is_intel).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(files: &[(&str, &str)], opened: io::Result<()>) -> Missing {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let open = |_: &Path| opened.as_ref().copied().map_err(|error| error.kind().into());
        of(root.path(), &open, &["nothing found".to_owned()])
    }

    #[test]
    fn each_reason_has_its_remedy() {
        let intel = ("sys/class/drm/renderD128/device/vendor", "0x8086\n");
        let nvidia = ("sys/class/drm/renderD129/device/vendor", "0x10de\n");
        let none = why(&[nvidia], Ok(()));
        assert!(none.reason.contains("no GPU of Intel's (nothing found)"), "{}", none.reason);
        assert_eq!(none.remedy, Remedy::OtherBackend);
        let denied = why(&[intel, nvidia], Err(io::ErrorKind::PermissionDenied.into()));
        assert!(denied.reason.contains("/dev/dri/renderD128 may not be opened"), "{}", denied.reason);
        assert!(denied.remedy.to_string().contains("usermod -aG render"), "{}", denied.remedy);
        let hidden = why(&[intel], Err(io::ErrorKind::NotFound.into()));
        assert!(hidden.reason.contains("no /dev/dri/renderD128"), "{}", hidden.reason);
        assert!(hidden.remedy.to_string().contains("--device /dev/dri"), "{}", hidden.remedy);
        let lacking = why(&[intel], Ok(()));
        assert_eq!(lacking.reason, "nothing found");
        assert!(matches!(&lacking.remedy, Remedy::Install { .. }), "{}", lacking.remedy);
    }
}
