//! What may decode or encode: the engines of the vendors, told apart as people tell them apart. An installed ffmpeg brings
//! several, which are one backend.

use std::fmt;
use std::str::FromStr;

use super::vendor;
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
    /// Intel's engines, through an installed ffmpeg.
    Qsv,
    /// Apple's engines, through an installed ffmpeg.
    VideoToolbox,
    /// Engines of AMD or Intel by VA-API, through an installed ffmpeg.
    Vaapi,
    /// The CPU, by an installed ffmpeg: libx264, libx265, SVT-AV1, and its decoders.
    Ffmpeg,
    /// The CPU, by the codecs inside this library.
    Embedded,
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
    pub(crate) only_on: Option<(&'static str, &'static str)>,
    /// Whether it needs a GPU that the kernel shows as a render node.
    pub(crate) needs_render_node: bool,
    /// Its names in ffmpeg; empty where it is not reached by a name.
    encoders: &'static [(Codec, &'static str)],
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

/// A row for each candidate, in order of preference.
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
    Engine {
        candidate: Candidate::Qsv,
        name: "qsv",
        needs_render_node: true,
        encoders: &[(Codec::H264, "h264_qsv"), (Codec::Hevc, "hevc_qsv"), (Codec::Av1, "av1_qsv")],
        libraries: &["libmfx.so.1", "libvpl.so.2"],
        ..OTHER
    },
    Engine {
        candidate: Candidate::VideoToolbox,
        name: "videotoolbox",
        only_on: Some(("macos", "VideoToolbox is part of macOS, and this is another system")),
        encoders: &[(Codec::H264, "h264_videotoolbox"), (Codec::Hevc, "hevc_videotoolbox")],
        ..OTHER
    },
    Engine {
        candidate: Candidate::Vaapi,
        name: "vaapi",
        needs_render_node: true,
        encoders: &[(Codec::H264, "h264_vaapi"), (Codec::Hevc, "hevc_vaapi"), (Codec::Av1, "av1_vaapi")],
        libraries: &["libva.so.2"],
        ..OTHER
    },
    Engine {
        candidate: Candidate::Ffmpeg,
        name: "ffmpeg",
        decodes: true,
        on_cpu: true,
        encoders: &[(Codec::H264, "libx264"), (Codec::Hevc, "libx265"), (Codec::Av1, "libsvtav1")],
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

/// A hardware encoder of ffmpeg's of which nothing is known.
const OTHER: Engine = Engine {
    candidate: Candidate::Ffmpeg,
    name: "",
    backend: BackendKind::Ffmpeg,
    decodes: false,
    on_cpu: false,
    only_on: None,
    needs_render_node: false,
    encoders: &[],
    facts: |_| Vec::new(),
    libraries: &[],
    folders: &[],
    version: None,
    nodes: None,
};

impl Candidate {
    /// In order of preference: what hardware does first, and last what is always there.
    pub const ORDER: [Self; 6] = {
        let mut order = [Self::Embedded; ENGINES.len()];
        let mut at = 0;
        while at < order.len() {
            order[at] = ENGINES[at].candidate;
            assert!(order[at] as usize == at, "a candidate's row is found by its place");
            at += 1;
        }
        order
    };

    /// In the order in which [`Backend::Auto`](crate::backend::Backend::Auto) tries them: an installed program is asked
    /// only for what nothing else does.
    pub const AUTO: [Self; 6] =
        [Self::Nvidia, Self::Embedded, Self::Qsv, Self::VideoToolbox, Self::Vaapi, Self::Ffmpeg];

    /// [`Self::ORDER`] with the one that is preferred first.
    pub fn preferring(first: Option<Self>) -> Vec<Self> {
        let rest = Self::ORDER.into_iter().filter(|candidate| Some(*candidate) != first);
        first.into_iter().chain(rest).collect()
    }

    pub(crate) const fn engine(self) -> &'static Engine {
        &ENGINES[self as usize]
    }

    /// A short name.
    pub const fn name(self) -> &'static str {
        self.engine().name
    }

    /// The backend that uses it.
    pub const fn backend(self) -> BackendKind {
        self.engine().backend
    }

    /// Whether it is one for this job at all: ffmpeg's hardware decoders are not used.
    pub const fn does(self, job: Job) -> bool {
        matches!(job, Job::Encode) || self.engine().decodes
    }

    /// The name by which its backend knows its encoder of a codec; `None` where it needs none.
    ///
    /// # Errors
    /// It has no encoder of that codec.
    pub(crate) fn encoder_name(self, codec: Codec) -> Result<Option<&'static str>> {
        let names = self.engine().encoders;
        match names.iter().find(|(known, _)| *known == codec) {
            Some((_, name)) => Ok(Some(name)),
            None if names.is_empty() => Ok(None),
            None => Err(Error::unsupported(format!("encoding {codec} by {self}"))),
        }
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
