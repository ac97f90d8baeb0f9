//! The encoders, and one short encode with each.

use std::path::PathBuf;
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{
    BackendEncodeConfig, CommonEncodeConfig, FfmpegEncodeConfig, NvidiaEncodeConfig, SoftwareEncodeConfig,
    VplEncodeConfig, VtEncodeConfig,
};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

use crate::support::ffmpeg::processes::children;

pub(crate) const FRAMES: usize = 12;
/// High enough for two slices of the embedded encoder.
const SIZE: (u32, u32) = (208, 256);
const PATIENCE: Duration = Duration::from_secs(60);

/// A column of the table.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) name: &'static str,
    pub(crate) backend: BackendKind,
    pub(crate) codec: Codec,
    /// ffmpeg's name of an encoder in a child process.
    pub(crate) child: Option<&'static str>,
}

const fn encoder(name: &'static str, backend: BackendKind, codec: Codec) -> Encoder {
    Encoder { name, backend, codec, child: None }
}

const fn child(name: &'static str, codec: Codec) -> Encoder {
    Encoder { name, backend: BackendKind::Ffmpeg, codec, child: Some(name) }
}

pub(crate) static ENCODERS: [Encoder; 14] = [
    encoder("embedded h264", BackendKind::Software, Codec::H264),
    child("libx264", Codec::H264),
    child("libx265", Codec::Hevc),
    child("libsvtav1", Codec::Av1),
    encoder("NVENC h264", BackendKind::Nvidia, Codec::H264),
    encoder("NVENC hevc", BackendKind::Nvidia, Codec::Hevc),
    encoder("NVENC av1", BackendKind::Nvidia, Codec::Av1),
    encoder("oneVPL h264", BackendKind::Qsv, Codec::H264),
    encoder("oneVPL hevc", BackendKind::Qsv, Codec::Hevc),
    encoder("oneVPL av1", BackendKind::Qsv, Codec::Av1),
    encoder("oneVPL vp9", BackendKind::Qsv, Codec::Vp9),
    encoder("oneVPL mjpeg", BackendKind::Qsv, Codec::Mjpeg),
    encoder("VideoToolbox h264", BackendKind::VideoToolbox, Codec::H264),
    encoder("VideoToolbox hevc", BackendKind::VideoToolbox, Codec::Hevc),
];

impl Encoder {
    pub(crate) fn of(backend: BackendKind) -> impl Iterator<Item = &'static Self> {
        ENCODERS.iter().filter(move |encoder| encoder.backend == backend)
    }

    pub(crate) fn is_simulated(&self) -> bool {
        !matches!(self.backend, BackendKind::Software | BackendKind::Ffmpeg)
    }

    /// Whether the quantisers of its codec go to 255.
    pub(crate) fn has_long_scale(&self) -> bool {
        self.is_simulated() && matches!(self.codec, Codec::Av1 | Codec::Vp9)
    }
}

/// One encode with its settings.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) encoder: &'static Encoder,
    pub(crate) common: CommonEncodeConfig,
    pub(crate) special: BackendEncodeConfig,
    /// Each packet is waited for before the next frame goes in.
    pub(crate) one_by_one: bool,
}

impl Job {
    pub(crate) fn new(encoder: &'static Encoder) -> Self {
        let size = Dimensions::new(SIZE.0, SIZE.1).unwrap();
        let common = CommonEncodeConfig::new(encoder.codec, size, Rational::new(25, 1).unwrap());
        let named = |name: &str| FfmpegEncodeConfig::default().encoder(name.to_owned());
        let special =
            encoder.child.map_or(BackendEncodeConfig::None, |name| BackendEncodeConfig::Ffmpeg(named(name)));
        Self { encoder, common, special, one_by_one: false }
    }

    pub(crate) fn nvidia(&mut self, change: impl FnOnce(&mut NvidiaEncodeConfig)) {
        let mut own = match &self.special {
            BackendEncodeConfig::Nvidia(own) => own.clone(),
            _ => NvidiaEncodeConfig::default(),
        };
        change(&mut own);
        self.special = BackendEncodeConfig::Nvidia(own);
    }

    pub(crate) fn vpl(&mut self, change: impl FnOnce(&mut VplEncodeConfig)) {
        let mut own = match &self.special {
            BackendEncodeConfig::Vpl(own) => own.clone(),
            _ => VplEncodeConfig::default(),
        };
        change(&mut own);
        self.special = BackendEncodeConfig::Vpl(own);
    }

    pub(crate) fn videotoolbox(&mut self, change: impl FnOnce(&mut VtEncodeConfig)) {
        let mut own = match &self.special {
            BackendEncodeConfig::VideoToolbox(own) => own.clone(),
            _ => VtEncodeConfig::default(),
        };
        change(&mut own);
        self.special = BackendEncodeConfig::VideoToolbox(own);
    }

    pub(crate) fn software(&mut self, change: impl FnOnce(&mut SoftwareEncodeConfig)) {
        let mut own = match &self.special {
            BackendEncodeConfig::Software(own) => own.clone(),
            _ => SoftwareEncodeConfig::default(),
        };
        change(&mut own);
        self.special = BackendEncodeConfig::Software(own);
    }

    pub(crate) fn ffmpeg(&mut self, change: impl FnOnce(&mut FfmpegEncodeConfig)) {
        let mut own = match &self.special {
            BackendEncodeConfig::Ffmpeg(own) => own.clone(),
            _ => FfmpegEncodeConfig::default(),
        };
        change(&mut own);
        self.special = BackendEncodeConfig::Ffmpeg(own);
    }

    /// Makes the session identifiable in a simulation's report: the number becomes part of the frame rate.
    pub(crate) fn numbered(mut self, number: u32) -> Self {
        if self.encoder.is_simulated() {
            let rate = self.common.frame_rate;
            self.common.frame_rate = Rational::new(rate.num() * 1000 + number, rate.den() * 1000).unwrap();
        }
        self
    }

    pub(crate) fn open(&self) -> video_hw::Result<EncodeSession> {
        EncodeSession::with_special(self.encoder.backend, self.common.clone(), &self.special)
    }
}

/// The result of an encode.
pub(crate) struct Made {
    pub(crate) packets: Vec<Packet>,
    pub(crate) notes: Vec<String>,
    pub(crate) implementation: &'static str,
    /// A packet did not come before the next frame.
    pub(crate) held_back: bool,
    /// The command line of the child process.
    pub(crate) command: String,
}

/// Encodes some pictures.
///
/// # Errors
/// The refusal, before the first frame. Everything later panics.
pub(crate) fn make(job: &Job) -> Result<Made, String> {
    let mut session = job.open().map_err(|error| error.to_string())?;
    let mut made = Made {
        packets: Vec::new(),
        notes: session.receipt().notes.clone(),
        implementation: session.receipt().chosen().unwrap().1,
        held_back: false,
        command: String::new(),
    };
    let what = || format!("{} {:?} {:?}", job.encoder.name, job.common, job.special);
    for number in 0..FRAMES {
        let mut frame = picture(job, number);
        while let Submit::Full(back) = session.submit(frame).unwrap() {
            frame = back;
            made.packets.extend(session.reap_timeout(Duration::from_millis(20)).unwrap());
        }
        if job.one_by_one {
            let packet = session.reap_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: {}", what()));
            made.held_back |= packet.is_none();
            made.packets.extend(packet);
        }
    }
    if let Some(name) = job.encoder.child {
        made.command = command_line(name);
    }
    let rest: video_hw::Result<Vec<_>> = session.drain().and_then(Iterator::collect);
    made.packets.extend(rest.unwrap_or_else(|error| panic!("{error}: {}", what())));
    assert_eq!(made.packets.len(), FRAMES, "{}", what());
    let ledger = session.summary().ledger;
    assert!(ledger.balances() && ledger.delivered == FRAMES as u64, "{ledger:?}: {}", what());
    Ok(made)
}

/// The command line of the child that encodes with this encoder of ffmpeg's.
fn command_line(encoder: &str) -> String {
    let line = |process: &u32| {
        let bytes = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let words: Vec<_> = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        words.iter().any(|word| word == encoder).then(|| words.join(" "))
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = children().iter().find_map(line) {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "no child encodes with {encoder}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A moving ramp under noise.
fn picture(job: &Job, number: usize) -> Frame {
    let (format, size) = (job.common.format, job.common.dimensions);
    let (width, height) = (size.width() as usize, size.height() as usize);
    let mut random = 1 + number as u32;
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 27) as usize
    };
    let luma: Vec<u8> = (0..width * height)
        .map(|at| (60 + (at % width + at / width + 3 * number) % 96 + noise()) as u8)
        .collect();
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    let planes = luma.into_iter().chain(std::iter::repeat_n(120, 2 * chroma));
    let data: Vec<u8> = match format {
        PixelFormat::I420 | PixelFormat::Nv12 => planes.collect(),
        // Ten bits in the high ones, and in the low ones.
        PixelFormat::P010 => planes.flat_map(|value| (u16::from(value) << 8).to_le_bytes()).collect(),
        PixelFormat::I010 => planes.flat_map(|value| (u16::from(value) << 2).to_le_bytes()).collect(),
        other => panic!("{other}"),
    };
    let pts = Timestamp::new(number as i64, TimeBase::from_frame_rate(job.common.frame_rate));
    Frame::host(pts, HostSurface::from_packed(format, size, data).unwrap())
}

/// A file for what a test leaves to another process.
pub(crate) fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("encode-settings-{name}"))
}
