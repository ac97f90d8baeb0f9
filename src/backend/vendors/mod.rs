//! The table of vendors. Whatever the rest of the library asks about one stands in its row, and outside this folder and the
//! vendors' own nobody knows one by name (tests/programs/architecture.rs).
//!
//! A new vendor is a folder beside this one, a [`BackendKind`], a row here and a row for each of its [`engines`].

mod engines;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use super::admission::SessionRequest;
#[cfg(feature = "backend-ffmpeg")]
use super::ffmpeg;
#[cfg(feature = "backend-nvidia")]
use super::nvidia;
#[cfg(feature = "backend-software")]
use super::software;
#[cfg(feature = "backend-vt")]
use super::videotoolbox;
#[cfg(feature = "backend-vpl")]
use super::vpl;
use super::{
    BackendKind, DecodeSink, DecoderBackend, Download, DownloadStage, EncodeSink, EncoderBackend, Job,
};
use crate::capability::{
    DecodeCapability, DeviceInfo, DeviceMemory, EncodeCapability, HostSessions, Utilization,
};
use crate::codec::Codec;
use crate::config::{
    BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig, FfmpegEncodeConfig, NvidiaEncodeConfig,
    VplEncodeConfig,
};
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;

#[cfg(feature = "fuzzing")]
pub(crate) use super::ffmpeg::fuzz_nut;
pub use engines::Candidate;
pub(crate) use engines::ENGINES;

/// A row of the table.
pub(super) struct Vendor {
    pub(super) kind: BackendKind,
    /// It runs on the CPU alone: naming a device has no effect.
    pub(super) on_cpu: bool,
    /// It is a program that may not be installed, and is wanted only for what nobody else does.
    pub(super) is_child: bool,
    /// Whether one of its decoders of this codec works on all cores by itself.
    pub(super) decodes_on_threads: fn(Codec) -> bool,
    /// Its encoder has no B frames, no constant quality, no ceiling of the bit rate, and takes 8-bit 4:2:0 alone.
    pub(super) encodes_plainly: bool,
    /// Its encoder states HDR10 metadata.
    pub(super) states_hdr: bool,
    /// An implementation of it by the name that people know it by, which is ffmpeg's where it has one.
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "metrics alone read it"))]
    pub(super) known_as: fn(Job, Codec, &str) -> String,
    /// The variable that asks for lines of figures, and the beginning of those lines.
    pub(super) figures: Option<(&'static str, &'static str)>,
    /// The settings of an encoder by its name, where it has several, with a preset and a tuning.
    settings: fn(Option<&str>, Option<String>, Option<String>) -> BackendEncodeConfig,
    /// The encoder that settings name, where it has several ...
    named: fn(&BackendEncodeConfig) -> Option<&str>,
    /// ... and settings with the name of one.
    naming: fn(&BackendEncodeConfig, &str) -> BackendEncodeConfig,
    /// `None`: this version does not contain it.
    pub(super) calls: Option<Calls>,
}

/// `None`: there is nothing to tell.
type Answer<T> = Result<Option<T>>;

/// What a vendor does.
pub(crate) struct Calls {
    /// Finds the libraries or the program for a job, and asks no more of them.
    pub(crate) library: fn(Job) -> Result<()>,
    /// Where the program is that would be started, if it is one.
    pub(crate) program: Option<fn() -> Option<PathBuf>>,
    pub(super) open_decoder:
        fn(&CommonDecodeConfig, &Download, DecodeSink) -> Result<Box<dyn DecoderBackend>>,
    pub(super) open_encoder:
        fn(&CommonEncodeConfig, &BackendEncodeConfig, EncodeSink) -> Result<Box<dyn EncoderBackend>>,
    /// What a device does of a codec.
    pub(crate) decode_capability: fn(Option<&str>, Codec) -> Answer<DecodeCapability>,
    pub(super) encode_capability:
        fn(Option<&str>, Codec, &BackendEncodeConfig, &SessionRequest<'_>) -> Answer<EncodeCapability>,
    pub(super) devices: fn() -> Result<Vec<DeviceInfo>>,
    /// Whether its encoders read pictures of a format where its decoders leave them; `None`: they read host memory alone.
    pub(super) reads: Option<fn(PixelFormat) -> bool>,
    /// `None`: it has no memory but the host's.
    pub(crate) cards: Option<Cards>,
}

/// What a vendor does whose devices have memory of their own, in which its decoders can leave pictures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cards {
    /// The cards of a list with commas, or `all`; the first when nothing is asked for.
    pub(super) list: fn(Option<&str>) -> Result<Vec<DeviceInfo>>,
    /// Decode engines for a codec.
    pub(super) engines: fn(&DeviceInfo, Codec) -> Result<usize>,
    pub(super) memory: fn(Option<&str>) -> Result<DeviceMemory>,
    pub(super) encode_sessions: fn(Option<&str>) -> Result<HostSessions>,
    /// How busy one is, and its identifier.
    pub(super) utilization: fn(Option<&str>) -> Answer<(String, Utilization)>,
    /// Keeps one started for as long as the value lives.
    pub(super) hold: fn(Option<&str>) -> Result<Arc<dyn Debug + Send + Sync>>,
    /// Brings pictures to host memory when their turn has come.
    pub(super) download: fn(DecodeSink) -> Box<dyn DownloadStage>,
    /// See [`super::leave_to_exit`].
    pub(super) leave_to_exit: fn(),
    /// See [`super::dedicate_process`].
    pub(super) dedicate_process: fn() -> bool,
}

/// The vendors in order of preference. One that this version does not contain has a row too, so that a receipt can say so.
pub(super) const VENDORS: &[Vendor] = &[
    Vendor {
        kind: BackendKind::Nvidia,
        states_hdr: true,
        known_as: |job, codec, _| match job {
            Job::Decode => format!("{}_nvdec", codec.name()),
            Job::Encode => format!("{}_nvenc", codec.name()),
        },
        figures: Some(("VIDEO_HW_NV_METRICS", "nv")),
        settings: |_, preset, tuning| {
            BackendEncodeConfig::Nvidia(NvidiaEncodeConfig {
                preset,
                tuning,
                ..NvidiaEncodeConfig::default()
            })
        },
        #[cfg(feature = "backend-nvidia")]
        calls: Some(Calls {
            library: nvidia::libraries,
            program: None,
            open_decoder: |config, download, sink| nvidia::open_decoder(config, download.clone(), sink),
            open_encoder: nvidia::open_encoder,
            decode_capability: nvidia::decode_capability,
            encode_capability: nvidia::encode_capability,
            devices: nvidia::devices,
            reads: Some(nvidia::encodes_from_device),
            cards: Some(Cards {
                list: nvidia::device_list,
                engines: |device, codec| nvidia::engine_count(device.ordinal as i32, codec),
                memory: nvidia::device_memory,
                encode_sessions: nvidia::encode_sessions,
                utilization: nvidia::utilization,
                hold: |device| Ok(nvidia::hold(device)?),
                download: |sink| Box::new(nvidia::Downloads::new(sink)),
                leave_to_exit: nvidia::leave_to_exit,
                dedicate_process: nvidia::ask_for_one_channel,
            }),
        }),
        ..OTHER
    },
    Vendor {
        kind: BackendKind::Qsv,
        states_hdr: true,
        known_as: |_, codec, _| format!("{}_qsv", codec.name()),
        figures: Some(("VIDEO_HW_QSV_METRICS", "qsv")),
        settings: |_, preset, tuning| {
            BackendEncodeConfig::Vpl(VplEncodeConfig { preset, tuning, ..VplEncodeConfig::default() })
        },
        #[cfg(feature = "backend-vpl")]
        calls: Some(Calls {
            library: |_| vpl::library(),
            program: None,
            open_decoder: |config, _, sink| vpl::open_decoder(config, sink),
            open_encoder: vpl::open_encoder,
            decode_capability: vpl::decode_capability,
            encode_capability: |device, codec, special, _| vpl::encode_capability(device, codec, special),
            devices: vpl::devices,
            reads: Some(vpl::encodes_from_device),
            // Memory is the host's, or mapped into it.
            cards: None,
        }),
        ..OTHER
    },
    Vendor {
        kind: BackendKind::VideoToolbox,
        states_hdr: true,
        known_as: |_, codec, _| format!("{}_videotoolbox", codec.name()),
        figures: Some(("VIDEO_HW_VT_METRICS", "vt")),
        #[cfg(feature = "backend-vt")]
        calls: Some(Calls {
            library: |_| videotoolbox::frameworks(),
            program: None,
            open_decoder: |config, _, sink| videotoolbox::open_decoder(config, sink),
            open_encoder: videotoolbox::open_encoder,
            decode_capability: |_, codec| videotoolbox::decode_capability(codec),
            encode_capability: |_, codec, special, _| videotoolbox::encode_capability(codec, special),
            devices: videotoolbox::devices,
            reads: Some(videotoolbox::encodes_from_device),
            // Memory is the host's.
            cards: None,
        }),
        ..OTHER
    },
    Vendor {
        kind: BackendKind::Software,
        on_cpu: true,
        decodes_on_threads: |codec| codec == Codec::Av1,
        encodes_plainly: true,
        // Without the version.
        known_as: |_, _, implementation| implementation.split(' ').next().unwrap_or_default().to_lowercase(),
        #[cfg(feature = "backend-software")]
        calls: Some(Calls {
            library: |_| Ok(()),
            program: None,
            open_decoder: |config, _, sink| software::open_decoder(config, sink),
            open_encoder: software::open_encoder,
            decode_capability: |_, codec| Ok(software::decode_capability(codec)),
            encode_capability: |_, codec, _, _| Ok(software::encode_capability(codec)),
            devices: || Ok(Vec::new()),
            reads: None,
            cards: None,
        }),
        ..OTHER
    },
    Vendor {
        kind: BackendKind::Ffmpeg,
        is_child: true,
        decodes_on_threads: |_| true,
        known_as: |_, codec, implementation| {
            let own = format!("{}_ffmpeg", codec.name());
            implementation.trim_start_matches("ffmpeg, ").replace("ffmpeg", &own)
        },
        settings: |encoder, preset, tune| {
            let encoder = encoder.map(str::to_owned);
            BackendEncodeConfig::Ffmpeg(FfmpegEncodeConfig { encoder, preset, tune, ..Default::default() })
        },
        named: |special| match special {
            BackendEncodeConfig::Ffmpeg(own) => own.encoder.as_deref(),
            _ => None,
        },
        naming: |special, name| {
            let own = match special {
                BackendEncodeConfig::Ffmpeg(own) => own.clone(),
                BackendEncodeConfig::None => FfmpegEncodeConfig::default(),
                others => return others.clone(),
            };
            BackendEncodeConfig::Ffmpeg(FfmpegEncodeConfig { encoder: Some(name.to_owned()), ..own })
        },
        #[cfg(feature = "backend-ffmpeg")]
        calls: Some(Calls {
            library: |_| ffmpeg::program_found().map(drop),
            program: Some(ffmpeg::program_path),
            open_decoder: |config, _, sink| ffmpeg::open_decoder(config, sink),
            open_encoder: ffmpeg::open_encoder,
            decode_capability: ffmpeg::decode_capability,
            encode_capability: |device, codec, special, _| ffmpeg::encode_capability(device, special, codec),
            devices: ffmpeg::devices,
            reads: None,
            cards: None,
        }),
        ..OTHER
    },
];

/// One of whom nothing is known.
const OTHER: Vendor = Vendor {
    kind: BackendKind::Custom,
    on_cpu: false,
    is_child: false,
    decodes_on_threads: |_| false,
    encodes_plainly: false,
    states_hdr: false,
    known_as: |_, _, implementation| implementation.to_owned(),
    figures: None,
    settings: |_, _, _| BackendEncodeConfig::None,
    named: |_| None,
    naming: |special, _| special.clone(),
    calls: None,
};

/// The row of a backend.
pub(super) fn vendor(kind: BackendKind) -> &'static Vendor {
    VENDORS.iter().find(|vendor| vendor.kind == kind).unwrap_or(&OTHER)
}

/// What a backend does.
///
/// # Errors
/// This version does not contain it.
pub(crate) fn calls(kind: BackendKind) -> Result<&'static Calls> {
    vendor(kind).calls.as_ref().ok_or_else(|| Error::Unavailable {
        backend: kind,
        reason: "this version does not contain it".to_owned(),
        remedy: Remedy::OtherBackend,
    })
}

/// Those whose encoders read pictures where their decoders leave them, in order of preference, with the formats.
pub(super) fn readers() -> impl Iterator<Item = (BackendKind, fn(PixelFormat) -> bool)> {
    VENDORS.iter().filter_map(|vendor| Some((vendor.kind, vendor.calls.as_ref()?.reads?)))
}

/// Those that have cards, in order of preference.
pub(super) fn cards() -> impl Iterator<Item = (BackendKind, &'static Cards)> {
    VENDORS.iter().filter_map(|vendor| Some((vendor.kind, vendor.calls.as_ref()?.cards.as_ref()?)))
}
