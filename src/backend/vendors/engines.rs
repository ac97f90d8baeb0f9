//! What may decode or encode: the engines of the vendors, told apart as people tell them apart. An installed ffmpeg brings
//! several, which are one backend.

use std::fmt;
use std::str::FromStr;

use super::{Calls, VENDORS, calls, vendor};
use crate::backend::admission::SessionRequest;
use crate::backend::{BackendKind, Job};
use crate::codec::Codec;
use crate::config::BackendEncodeConfig;
use crate::error::{Error, Result};

/// Something that may decode or encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Candidate {
    /// NVIDIA's engines, by the driver's own interface.
    Nvidia,
    /// Intel's engines, by oneVPL.
    Qsv,
    /// Intel's engines, through an installed ffmpeg.
    FfmpegQsv,
    /// Apple's engines, by VideoToolbox's own interface.
    VideoToolbox,
    /// Apple's engines, through an installed ffmpeg.
    FfmpegVideoToolbox,
    /// Engines of AMD or Intel by VA-API, through an installed ffmpeg.
    Vaapi,
    /// The CPU, by an installed ffmpeg: libx264, libx265, SVT-AV1, and its decoders.
    Ffmpeg,
    /// The CPU, by the codecs inside this library.
    Embedded,
    /// One that the caller has handed in.
    Custom,
}

/// A row of the table.
pub(crate) struct Engine {
    candidate: Candidate,
    name: &'static str,
    backend: BackendKind,
    /// Whether it is one for decoding at all: ffmpeg's hardware decoders are not used.
    decodes: bool,
    pub(crate) on_cpu: bool,
    /// The one system that has it, and what to say on others.
    only_on: Option<(&'static str, &'static str)>,
    /// Whether it needs a GPU that the kernel shows as a render node.
    pub(crate) needs_render_node: bool,
    /// How its backend calls its encoder of a codec; `None`: it is not reached by a name.
    encoder: Option<fn(Codec) -> Option<&'static str>>,
    /// Names and values of what there is to tell of it after a job was tried.
    pub(crate) facts: fn(Job) -> Vec<(String, String)>,
    /// The libraries whose change changes what it can do ...
    pub(crate) libraries: &'static [&'static str],
    /// ... where they may lie besides the usual places ...
    pub(crate) folders: &'static [&'static str],
    /// ... the file that tells the driver's version ...
    pub(crate) version: Option<&'static str>,
    /// ... and the beginning of the names of its nodes in `/dev`.
    pub(crate) nodes: Option<&'static str>,
}

/// A row for each candidate, in the order in which every program tries encoders: hardware first, NVENC because it is reached
/// without another program, then the encoders of an installed ffmpeg that run on the CPU, and last the one that is always there.
pub(crate) const ENGINES: &[Engine] = &[
    Engine {
        candidate: Candidate::Nvidia,
        name: "nvidia",
        backend: BackendKind::Nvidia,
        decodes: true,
        #[cfg(feature = "backend-nvidia")]
        facts: crate::backend::nvidia::facts,
        libraries: &["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"],
        folders: &["/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"],
        version: Some("/proc/driver/nvidia/version"),
        nodes: Some("nvidia"),
        ..OTHER
    },
    // The library says by itself whether there is a GPU, so that one that stands for it can be tried.
    Engine {
        candidate: Candidate::Qsv,
        name: "qsv",
        backend: BackendKind::Qsv,
        decodes: true,
        #[cfg(feature = "backend-vpl")]
        facts: crate::backend::vpl::facts,
        libraries: &["libmfx-gen.so.1.2", "iHD_drv_video.so"],
        folders: &["/usr/lib/x86_64-linux-gnu/dri", "/usr/lib64/dri"],
        ..OTHER
    },
    Engine {
        candidate: Candidate::FfmpegQsv,
        name: "ffmpeg-qsv",
        needs_render_node: true,
        backend: BackendKind::Ffmpeg,
        #[cfg(feature = "backend-ffmpeg")]
        encoder: Some(crate::backend::ffmpeg::encoder_names::qsv),
        libraries: &["libmfx.so.1", "libvpl.so.2"],
        ..OTHER
    },
    // The library says by itself whether this is the system that has it, so that one that stands for it can be tried.
    Engine {
        candidate: Candidate::VideoToolbox,
        name: "videotoolbox",
        backend: BackendKind::VideoToolbox,
        decodes: true,
        #[cfg(feature = "backend-vt")]
        facts: crate::backend::videotoolbox::facts,
        libraries: &["libVideoToolbox.so"],
        version: Some("/System/Library/CoreServices/SystemVersion.plist"),
        ..OTHER
    },
    Engine {
        candidate: Candidate::FfmpegVideoToolbox,
        name: "ffmpeg-videotoolbox",
        only_on: Some(("macos", "VideoToolbox is part of macOS, and this is another system")),
        backend: BackendKind::Ffmpeg,
        #[cfg(feature = "backend-ffmpeg")]
        encoder: Some(crate::backend::ffmpeg::encoder_names::videotoolbox),
        ..OTHER
    },
    Engine {
        candidate: Candidate::Vaapi,
        name: "vaapi",
        needs_render_node: true,
        backend: BackendKind::Ffmpeg,
        #[cfg(feature = "backend-ffmpeg")]
        encoder: Some(crate::backend::ffmpeg::encoder_names::vaapi),
        libraries: &["libva.so.2"],
        ..OTHER
    },
    Engine {
        candidate: Candidate::Ffmpeg,
        name: "ffmpeg",
        decodes: true,
        on_cpu: true,
        backend: BackendKind::Ffmpeg,
        #[cfg(feature = "backend-ffmpeg")]
        encoder: Some(crate::backend::ffmpeg::encoder_names::cpu),
        #[cfg(feature = "backend-ffmpeg")]
        facts: crate::backend::ffmpeg::facts,
        ..OTHER
    },
    Engine {
        candidate: Candidate::Embedded,
        name: "embedded",
        backend: BackendKind::Software,
        decodes: true,
        on_cpu: true,
        ..OTHER
    },
];

/// One of which nothing is known.
const OTHER: Engine = Engine {
    candidate: Candidate::Custom,
    name: "custom",
    backend: BackendKind::Custom,
    decodes: false,
    on_cpu: false,
    only_on: None,
    needs_render_node: false,
    encoder: None,
    facts: |_| Vec::new(),
    libraries: &[],
    folders: &[],
    version: None,
    nodes: None,
};

impl Engine {
    /// Whether this is the system that has it.
    ///
    /// # Errors
    /// It is another one.
    pub(crate) fn is_of_this_system(&self) -> Result<()> {
        match self.only_on.filter(|(system, _)| *system != std::env::consts::OS) {
            None => Ok(()),
            Some((_, elsewhere)) => Err(Error::Unavailable {
                backend: self.backend,
                reason: elsewhere.to_owned(),
                remedy: "Nothing to do: other backends do the work here".into(),
            }),
        }
    }
}

impl Candidate {
    /// The order of encoders: whoever is to choose one by itself, at the start, for a new session or after a death, tries them so.
    pub const ORDER: [Self; ENGINES.len()] = {
        let mut order = [Self::Embedded; ENGINES.len()];
        let mut at = 0;
        while at < order.len() {
            order[at] = ENGINES[at].candidate;
            assert!(order[at] as usize == at, "a candidate's row is found by its place");
            at += 1;
        }
        order
    };

    /// The order in which [`Backend::Auto`](crate::backend::Backend::Auto) tries them for a job. Decoders are taken in the order
    /// of [`CANDIDATES`](crate::backend::CANDIDATES): an installed program is asked for what nothing else decodes.
    pub fn in_order(job: Job) -> Vec<Self> {
        match job {
            Job::Encode => Self::ORDER.to_vec(),
            Job::Decode => {
                let all = VENDORS.iter().map(|vendor| Self::of(vendor.kind));
                all.filter(|candidate| candidate.does(Job::Decode)).collect()
            }
        }
    }

    /// [`Self::ORDER`] with the one that is preferred first.
    pub fn preferring(first: Option<Self>) -> Vec<Self> {
        let rest = Self::ORDER.into_iter().filter(|candidate| Some(*candidate) != first);
        first.into_iter().chain(rest).collect()
    }

    /// The one that a backend is by itself: of an installed ffmpeg the CPU's codecs.
    pub fn of(kind: BackendKind) -> Self {
        let named = Self::ORDER.into_iter().find(|candidate| candidate.name() == kind.name());
        named.or_else(|| Self::of_backend(kind).next()).unwrap_or(Self::Custom)
    }

    /// Those of a backend, in order.
    pub(crate) fn of_backend(kind: BackendKind) -> impl Iterator<Item = Self> {
        Self::ORDER.into_iter().filter(move |candidate| candidate.backend() == kind)
    }

    pub(crate) const fn engine(self) -> &'static Engine {
        if (self as usize) < ENGINES.len() { &ENGINES[self as usize] } else { &OTHER }
    }

    /// A short name.
    pub const fn name(self) -> &'static str {
        self.engine().name
    }

    /// What receipts call it: as its backend, which can be asked for by that name, or by its own name where the backend has
    /// others too.
    pub fn label(self) -> &'static str {
        let kind = self.backend();
        if Self::of(kind) == self { kind.name() } else { self.name() }
    }

    /// The backend that uses it.
    pub const fn backend(self) -> BackendKind {
        self.engine().backend
    }

    /// Whether it is one for this job at all: ffmpeg's hardware decoders are not used.
    pub const fn does(self, job: Job) -> bool {
        matches!(job, Job::Encode) || self.engine().decodes
    }

    /// Whether it works in a process of its own, which has to be started anew for each key frame and change of settings.
    pub(crate) fn is_child(self) -> bool {
        vendor(self.backend()).is_child
    }

    /// Whether it has no encoder of a codec, whatever is installed.
    pub(crate) fn lacks(self, codec: Codec) -> bool {
        match self.engine().encoder {
            Some(name) => name(codec).is_none(),
            None if vendor(self.backend()).on_cpu => {
                let none = BackendEncodeConfig::None;
                let asked =
                    |calls: &Calls| (calls.encode_capability)(None, codec, &none, &SessionRequest::default());
                calls(self.backend()).is_ok_and(|calls| matches!(asked(calls), Ok(None)))
            }
            None => false,
        }
    }

    /// The name by which its backend knows its encoder of a codec; `None` where it needs none.
    ///
    /// # Errors
    /// It has no encoder of that codec.
    pub(crate) fn encoder_name(self, codec: Codec) -> Result<Option<&'static str>> {
        let Some(name) = self.engine().encoder else { return Ok(None) };
        name(codec).map(Some).ok_or_else(|| Error::unsupported(format!("encoding {codec} by {self}")))
    }

    /// Whether settings leave the choice to its backend, or name an encoder of its own. What no engine has by that name is left
    /// to the CPU's to refuse, or to take.
    pub(crate) fn is_meant_by(self, special: &BackendEncodeConfig) -> bool {
        let Some(name) = (vendor(self.backend()).named)(special) else { return true };
        let has = |candidate: &Self| {
            let own = candidate.engine().encoder;
            own.is_some_and(|own| Codec::ALL.into_iter().any(|codec| own(codec) == Some(name)))
        };
        let named = Self::of_backend(self.backend()).find(has);
        named.unwrap_or(Self::of(self.backend())) == self
    }

    /// The settings with which its encoder is taken, and no other of its backend.
    ///
    /// # Errors
    /// They name another, or it has none of that codec.
    pub(crate) fn settings_of(
        self,
        codec: Codec,
        special: &BackendEncodeConfig,
    ) -> Result<BackendEncodeConfig> {
        let vendor = vendor(self.backend());
        if !self.is_meant_by(special) {
            return Err(Error::unsupported(format!("the encoder that the settings name by {self}")));
        }
        if (vendor.named)(special).is_some() {
            return Ok(special.clone());
        }
        Ok(self.encoder_name(codec)?.map_or_else(|| special.clone(), |name| (vendor.naming)(special, name)))
    }

    /// The settings that make its encoder of this name be taken, and no other of its backend.
    pub(crate) fn settings(
        self,
        encoder: Option<&str>,
        preset: Option<String>,
        tuning: Option<String>,
    ) -> BackendEncodeConfig {
        (vendor(self.backend()).settings)(encoder, preset, tuning)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Candidate {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let known = Self::ORDER.into_iter().find(|candidate| candidate.name() == s);
        known.ok_or_else(|| Error::invalid(format!("there is no candidate {s:?}")))
    }
}
