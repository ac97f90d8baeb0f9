//! What can be seen of the machine without asking a driver, and what it explains: containers, device nodes, permissions.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::identity::{head, nodes};
use super::{Candidate, Failure, Findings, ProbeVerdict};
use crate::error::Remedy;

/// What the process runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// The container that it runs in: `docker`, `podman`, `kubernetes` ...
    pub container: Option<String>,
    /// The Windows Subsystem for Linux.
    pub wsl: bool,
    /// Version of the NVIDIA kernel module.
    pub kernel_driver: Option<String>,
    /// Whether an NVIDIA GPU is on the PCI bus, driver or not.
    pub nvidia_on_bus: bool,
    /// `/dev/nvidia*`.
    pub nvidia_nodes: Vec<PathBuf>,
    /// `/dev/nvidiactl`, where it may not be opened.
    pub nvidia_locked: Vec<PathBuf>,
    /// `/dev/dri/renderD*`.
    pub render_nodes: Vec<PathBuf>,
    /// `/dev/dri/renderD*` that may not be opened, with the group that may.
    pub render_locked: Vec<(PathBuf, String)>,
}

/// Something that explains a failure, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// About whom.
    pub about: Candidate,
    /// One or two sentences.
    pub message: String,
}

impl Environment {
    /// Looks around.
    pub fn look() -> Self {
        Self::of(Path::new("/"), &|path| OpenOptions::new().read(true).write(true).open(path).map(drop))
    }

    /// Of a system whose files lie below `root`.
    fn of(root: &Path, open: &dyn Fn(&Path) -> io::Result<()>) -> Self {
        let at = |path: &str| root.join(path);
        let nodes: Vec<PathBuf> = nodes(&at("dev")).into_iter().map(PathBuf::from).collect();
        let named = |prefix: &str| -> Vec<PathBuf> {
            let is = |path: &&PathBuf| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                name.is_some_and(|name| name.starts_with(prefix)) && !path.is_dir()
            };
            nodes.iter().filter(is).cloned().collect()
        };
        let locked = |nodes: &[PathBuf]| -> Vec<PathBuf> {
            let denied =
                |path: &&PathBuf| open(path).is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
            nodes.iter().filter(denied).cloned().collect()
        };
        let nvidia_nodes = named("nvidia");
        let render_nodes = named("renderD");
        // Opening a card's own node may start the card, which takes seconds; that of the driver does not.
        let control: Vec<_> =
            nvidia_nodes.iter().filter(|path| path.ends_with("nvidiactl")).cloned().collect();
        let nvidia_locked = locked(&control);
        let group = |path: PathBuf| {
            let name = group_of(&path, &at("etc/group"));
            (path, name)
        };
        Self {
            container: container(root),
            wsl: head(at("proc/version")).to_ascii_lowercase().contains("microsoft")
                || at("dev/dxg").exists(),
            kernel_driver: kernel_driver(&head(at("proc/driver/nvidia/version"))),
            nvidia_on_bus: nvidia_on_bus(&at("sys/bus/pci/devices")),
            nvidia_locked,
            render_locked: locked(&render_nodes).into_iter().map(group).collect(),
            nvidia_nodes,
            render_nodes,
        }
    }

    /// What explains the failures among `found`. `capabilities` is the value of `NVIDIA_DRIVER_CAPABILITIES`, `visible`
    /// that of `CUDA_VISIBLE_DEVICES`.
    pub fn hints(&self, found: &Findings, capabilities: Option<&str>, visible: Option<&str>) -> Vec<Hint> {
        let mut hints = Vec::new();
        let mut say = |about, message: String| hints.push(Hint { about, message });
        if let Some(message) = self.nvidia(found, capabilities, visible) {
            say(Candidate::Nvidia, message);
        }
        for path in &self.nvidia_locked {
            let message = format!(
                "{} may not be opened by this user: its permissions should be 0666 (see nvidia-modprobe), or the container \
                 has to be given the device.",
                path.display()
            );
            say(Candidate::Nvidia, message);
        }
        let fails = |candidate: Candidate| {
            found.probes.iter().any(|probe| probe.question.candidate == candidate && !probe.verdict.works())
        };
        if let Some(about) = [Candidate::Qsv, Candidate::FfmpegQsv, Candidate::Vaapi]
            .into_iter()
            .find(|candidate| fails(*candidate))
        {
            for (path, group) in &self.render_locked {
                let message = format!(
                    "{} is there but may not be opened by this user: add the user to the group {group} (sudo usermod -aG \
                     {group} $USER) and log in again; for a container give --group-add {group}.",
                    path.display()
                );
                say(about, message);
            }
        }
        hints
    }

    fn nvidia(&self, found: &Findings, capabilities: Option<&str>, visible: Option<&str>) -> Option<String> {
        let failures = found.probes.iter().filter(|probe| probe.question.candidate == Candidate::Nvidia);
        let unavailable = failures.filter_map(|probe| match &probe.verdict {
            ProbeVerdict::Fails { failure: Failure::Unavailable, remedy, .. } => Some(remedy),
            _ => None,
        });
        let remedies: Vec<&Remedy> = unavailable.collect();
        let missing = |library: &str| {
            remedies
                .iter()
                .any(|one| matches!(one, Remedy::Install { what, .. } if what.starts_with(library)))
        };
        let video: Vec<_> =
            ["libnvcuvid", "libnvidia-encode"].into_iter().filter(|library| missing(library)).collect();
        if let (false, Some(container)) = (video.is_empty(), &self.container) {
            let now = match capabilities {
                Some(value) => format!("is {value:?}, without video"),
                None => "is not set".to_owned(),
            };
            return Some(format!(
                "This is a {container} container with the CUDA driver but without {}, because NVIDIA_DRIVER_CAPABILITIES \
                 {now}. Start it with -e NVIDIA_DRIVER_CAPABILITIES=compute,video,utility.",
                video.join(" and ")
            ));
        }
        if self.wsl && missing("libcuda") {
            return Some(
                "This is WSL: the driver is the one of Windows. Install it there (not in here), and see that \
                 /usr/lib/wsl/lib/libcuda.so.1 exists and the loader finds it."
                    .to_owned(),
            );
        }
        if missing("libcuda") || remedies.iter().any(|one| matches!(one, Remedy::CheckDevice(_))) {
            return self.no_device(&missing, visible);
        }
        None
    }

    /// Why libcuda is not there or finds nothing.
    fn no_device(&self, missing: &dyn Fn(&str) -> bool, visible: Option<&str>) -> Option<String> {
        if let Some(value) =
            visible.filter(|value| value.is_empty() || *value == "-1" || *value == "NoDevFiles")
        {
            return Some(format!(
                "CUDA_VISIBLE_DEVICES={value:?} hides every GPU from this process: unset it."
            ));
        }
        let version = self.kernel_driver.as_deref();
        let has_nodes = !self.nvidia_nodes.is_empty();
        match (&self.container, version, has_nodes) {
            (Some(container), Some(version), false) => Some(format!(
                "The host runs NVIDIA driver {version}, but this {container} container sees no /dev/nvidia*: start it with \
                 --gpus all (or --device nvidia.com/gpu=all) and -e NVIDIA_DRIVER_CAPABILITIES=compute,video,utility."
            )),
            (Some(container), _, true) if missing("libcuda") => Some(format!(
                "This {container} container has /dev/nvidia* but not the driver's libraries: start it by the NVIDIA container \
                 toolkit (--gpus all), which brings both."
            )),
            (None, Some(version), _) if missing("libcuda") => Some(format!(
                "The kernel module of NVIDIA driver {version} is loaded, but libcuda.so.1 is not found: install the \
                 libraries of the same version (on Debian libcuda1, libnvcuvid1 and libnvidia-encode1)."
            )),
            (_, None, false) if self.nvidia_on_bus => Some(
                "An NVIDIA GPU is in this machine, but no driver is loaded: install the NVIDIA driver and reboot.".to_owned(),
            ),
            (_, _, false) if !self.wsl && cfg!(target_os = "linux") => Some(
                "There is no /dev/nvidia*, no NVIDIA kernel module and no NVIDIA GPU on the bus: this machine seems to have \
                 none."
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What kind of container the files below `root` are those of.
fn container(root: &Path) -> Option<String> {
    if root.join("var/run/secrets/kubernetes.io").exists() {
        return Some("kubernetes".to_owned());
    }
    if root.join("run/.containerenv").exists() {
        return Some("podman".to_owned());
    }
    if root.join(".dockerenv").exists() {
        return Some("docker".to_owned());
    }
    let group = head(root.join("proc/1/cgroup"));
    ["docker", "kubepods", "containerd", "lxc", "libpod"]
        .into_iter()
        .find(|word| group.contains(word))
        .map(|word| if word == "kubepods" { "kubernetes" } else { word }.to_owned())
}

/// The number in `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.03  ...`.
fn kernel_driver(message: &str) -> Option<String> {
    let is_version =
        |word: &&str| word.split('.').count() > 1 && word.split('.').all(|part| part.parse::<u32>().is_ok());
    message.split_whitespace().find(is_version).map(str::to_owned)
}

fn nvidia_on_bus(devices: &Path) -> bool {
    /// More than any machine has functions.
    const MOST: usize = 4096;
    let Ok(entries) = fs::read_dir(devices) else { return false };
    // Display controllers; NVIDIA makes network cards as well.
    entries.flatten().take(MOST).any(|entry| {
        let says = |file: &str| head(entry.path().join(file));
        says("vendor").trim() == "0x10de" && says("class").trim().starts_with("0x03")
    })
}

/// The name of a file's group, or its number.
fn group_of(path: &Path, groups: &Path) -> String {
    #[cfg(unix)]
    let number = fs::metadata(path).map(|facts| std::os::unix::fs::MetadataExt::gid(&facts)).ok();
    #[cfg(not(unix))]
    let number: Option<u32> = {
        let _ = path;
        None
    };
    let Some(number) = number else { return "render".to_owned() };
    let mut text = String::new();
    let _ = File::open(groups).and_then(|file| file.take(1 << 20).read_to_string(&mut text));
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| number.to_string())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::super::{Probe, ProbeStep, Question};
    use super::*;
    use crate::backend::Job;
    use crate::codec::Codec;

    /// A machine of files; those that may not be opened are named so.
    fn machine(files: &[(&str, &str)]) -> Environment {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let open = |path: &Path| -> io::Result<()> {
            if fs::read_to_string(path)? == "locked" {
                Err(io::ErrorKind::PermissionDenied.into())
            } else {
                Ok(())
            }
        };
        Environment::of(root.path(), &open)
    }

    fn failing(candidate: Candidate, remedy: Remedy) -> Findings {
        let question = Question { candidate, job: Job::Encode, codec: Codec::H264 };
        let verdict = ProbeVerdict::fails(ProbeStep::Library, Failure::Unavailable, "why".to_owned(), remedy);
        let probe = Probe { question, verdict, took: Duration::ZERO, cached: false };
        Findings { probes: vec![probe], facts: Vec::new() }
    }

    const NO_CUDA: Remedy = missing("libcuda.so.1");
    const NO_ENCODER: Remedy = missing("libnvidia-encode.so.1");
    const MODULE: (&str, &str) =
        ("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.03  Mon\n");

    const fn missing(library: &'static str) -> Remedy {
        Remedy::Install { what: Cow::Borrowed(library), how: Cow::Borrowed("Do something") }
    }

    fn said(here: &Environment, remedy: Remedy, capabilities: Option<&str>, visible: Option<&str>) -> String {
        let hints = here.hints(&failing(Candidate::Nvidia, remedy), capabilities, visible);
        hints.iter().map(|hint| hint.message.clone()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_container_without_the_video_capability_is_told_the_variable() {
        let docker = machine(&[(".dockerenv", ""), MODULE, ("dev/nvidia0", ""), ("dev/nvidiactl", "")]);
        assert_eq!(docker.container.as_deref(), Some("docker"));
        assert_eq!(docker.kernel_driver.as_deref(), Some("580.159.03"));
        let message = said(&docker, NO_ENCODER, Some("compute,utility"), None);
        assert!(message.contains("is \"compute,utility\", without video"), "{message}");
        assert!(message.contains("-e NVIDIA_DRIVER_CAPABILITIES=compute,video,utility"), "{message}");
        assert!(said(&docker, NO_ENCODER, None, None).contains("is not set"));
        assert!(said(&docker, NO_CUDA, None, None).contains("not the driver's libraries"));
        assert_eq!(
            said(&machine(&[MODULE]), NO_ENCODER, None, None),
            "",
            "the remedy of the verdict says it all"
        );
    }

    #[test]
    fn a_container_without_devices_is_told_how_to_get_them() {
        let podman = machine(&[("run/.containerenv", ""), MODULE]);
        let message = said(&podman, NO_CUDA, None, None);
        assert!(message.contains("NVIDIA driver 580.159.03") && message.contains("--gpus all"), "{message}");
        assert!(message.contains("podman container"), "{message}");
    }

    #[test]
    fn machines_are_told_what_is_missing() {
        let pci = ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
        let class = ("sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n");
        let network = ("sys/bus/pci/devices/0000:01:00.0/class", "0x020000\n");
        assert!(said(&machine(&[pci, class]), NO_CUDA, None, None).contains("no driver is loaded"));
        assert!(said(&machine(&[pci, network]), NO_CUDA, None, None).contains("seems to have none"));
        assert!(said(&machine(&[MODULE]), NO_CUDA, None, None).contains("libnvcuvid1"));
        let wsl = machine(&[("proc/version", "Linux version 5.15 (Microsoft@x)"), ("dev/dxg", "")]);
        assert!(said(&wsl, NO_CUDA, None, None).contains("the one of Windows"));
        let hidden = said(&machine(&[MODULE]), Remedy::CheckDevice("Look".into()), None, Some(""));
        assert!(hidden.contains("CUDA_VISIBLE_DEVICES"), "{hidden}");
    }

    #[test]
    fn a_locked_node_names_the_group() {
        let root = machine(&[
            ("dev/dri/renderD128", "locked"),
            ("dev/dri/renderD129", ""),
            ("dev/nvidiactl", "locked"),
        ]);
        assert_eq!(root.render_nodes.len(), 2);
        assert_eq!(root.render_locked.len(), 1);
        let hints = root.hints(&failing(Candidate::Vaapi, "Do something".into()), None, None);
        let message: Vec<_> = hints.iter().map(|hint| hint.message.as_str()).collect();
        assert!(message.iter().any(|w| w.contains("renderD128") && w.contains("usermod -aG")), "{message:?}");
        assert!(message.iter().any(|w| w.contains("nvidiactl may not be opened")), "{message:?}");
        let bare = machine(&[(".dockerenv", "")]).hints(
            &failing(Candidate::Vaapi, "Do something".into()),
            None,
            None,
        );
        assert!(bare.is_empty(), "the remedy of the verdict says it all: {bare:?}");
    }

    #[test]
    fn groups_have_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node");
        fs::write(&file, "").unwrap();
        let number = std::os::unix::fs::MetadataExt::gid(&fs::metadata(&file).unwrap());
        let groups = folder.path().join("group");
        fs::write(&groups, format!("junk\nvideo:x:{number}:\n")).unwrap();
        assert_eq!(group_of(&file, &groups), "video");
        assert_eq!(group_of(&file, Path::new("/nowhere")), number.to_string());
    }
}
