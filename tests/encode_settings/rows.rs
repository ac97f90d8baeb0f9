//! The settings: a value for each, and how it is seen that it was heeded.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use video_hw::config::{
    BReference, IntraRefresh, MultiPass, Profile, RateControl, SessionAdmission, SpatialAq,
};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::hdr::{Chromaticity, ContentLight, MasteringDisplay};
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;

use super::look::{all_bytes, bytes, has_b_frames, has_display, has_light, keys, probe, slices};
use super::run::{FRAMES, Job, Made, scratch};

type Change = fn(&mut Job);

/// The check that a setting was applied.
pub(crate) enum Proof {
    /// True of the output, and false of the output without the setting.
    Output(fn(&Job, &Made) -> bool),
    /// True of the output, perhaps without the setting too.
    Always(fn(&Job, &Made) -> bool),
    /// True of the output without the setting and that with it.
    Differs(fn(&Made, &Made) -> bool),
    /// True of sessions with it.
    Session(fn(&Job) -> bool),
    /// The encoder received different parameters.
    Told,
}

use Proof::{Always, Differs, Output, Session, Told};

/// A row of the table.
pub(crate) struct Row {
    /// The field; in front of it the variant or the structure that has it.
    pub(crate) setting: &'static str,
    pub(crate) value: &'static str,
    /// The encoders are asked for this with and without the setting.
    pub(crate) beside: Change,
    pub(crate) with: Change,
    pub(crate) proof: Proof,
    /// A refusal or a note has one of these words.
    pub(crate) words: &'static [&'static str],
}

const fn row(setting: &'static str, value: &'static str, with: Change, proof: Proof) -> Row {
    Row { setting, value, beside: |_| {}, with, proof, words: &[] }
}

impl Row {
    const fn beside(mut self, beside: Change) -> Self {
        self.beside = beside;
        self
    }

    const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// Whether a text names the setting.
    pub(crate) fn is_named_in(&self, text: &str) -> bool {
        let field = self.setting.rsplit('.').next().unwrap();
        // All settings of another backend are refused together.
        let whole = self.setting.starts_with(char::is_uppercase) && text.contains("backend settings");
        whole || text.contains(field) || self.words.iter().any(|word| text.contains(word))
    }
}

const RATE: &[&str] = &["rate_control", "bit rate", "quality", "b_frames"];

fn cbr(job: &mut Job, bitrate_bps: u32) {
    job.common.rate_control = Some(RateControl::Cbr { bitrate_bps });
}

fn vbr(job: &mut Job, avg_bps: u32, max_bps: Option<u32>) {
    job.common.rate_control = Some(RateControl::Vbr { avg_bps, max_bps });
}

/// A fine quantiser of the encoder's scale, and a coarse one.
fn quantisers(job: &Job) -> (u8, u8) {
    if job.encoder.has_long_scale() { (60, 200) } else { (24, 44) }
}

fn const_qp(job: &mut Job, coarse: [bool; 3]) {
    let (low, high) = quantisers(job);
    let [intra, inter_p, inter_b] = coarse.map(|coarse| if coarse { high } else { low });
    job.common.rate_control = Some(RateControl::ConstQp { intra, inter_p, inter_b });
}

fn quality(job: &mut Job, quality: u8, max_bps: Option<u32>) {
    job.common.rate_control = Some(RateControl::Quality { quality, max_bps });
}

const WIDE: ColorInfo = ColorInfo {
    matrix: MatrixCoefficients::Bt2020Ncl,
    primaries: ColorPrimaries::Bt2020,
    transfer: TransferCharacteristics::Bt2020Ten,
    range: Some(ColorRange::Full),
};

const fn at(x: u16, y: u16) -> Chromaticity {
    Chromaticity { x, y }
}

/// BT.2020 primaries and D65.
const DISPLAY: MasteringDisplay = MasteringDisplay {
    red: at(35400, 14600),
    green: at(8500, 39850),
    blue: at(6550, 2300),
    white: at(15635, 16450),
    max_luminance: 10_000_000,
    min_luminance: 50,
};

const LIGHT: ContentLight = ContentLight { max_cll: 1000, max_fall: 400 };

fn is(job: &Job, made: &Made, wanted: &[(&str, &str)]) -> bool {
    let found = probe(job, made);
    wanted.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
}

fn ffmpeg_of_another_name() -> PathBuf {
    let path = scratch("ffmpeg");
    if !path.exists() {
        // Several tests may do so at once.
        let _ = std::os::unix::fs::symlink(crate::support::ffmpeg::ffmpeg_here().unwrap(), &path);
    }
    path
}

/// On an encoder of counted sessions, with the only one taken.
fn with_none_left(job: &Job, then: impl FnOnce(&Job, video_hw::session::EncodeSession) -> bool) -> bool {
    if job.encoder.backend != BackendKind::Nvidia {
        return false;
    }
    let mut job = job.clone();
    job.nvidia(|own| own.session_limit = NonZeroUsize::new(1));
    let mut other = job.clone();
    (other.common.admission, other.common.cancel_waiting) = (SessionAdmission::Refuse, None);
    let held = other.open().unwrap();
    assert!(matches!(other.open().err(), Some(Error::SessionLimit { .. })), "there is one session");
    then(&job, held)
}

/// All of them. Rows of one structure are in the order of its fields.
pub(crate) static ROWS: &[Row] = &[
    row(
        "codec",
        "the column's",
        |_| {},
        Always(|job, made| is(job, made, &[("codec_name", job.encoder.codec.name())])),
    ),
    row(
        "dimensions",
        "224x272",
        |job| job.common.dimensions = Dimensions::new(224, 272).unwrap(),
        Always(|job, made| is(job, made, &[("width", "224"), ("height", "272")])),
    ),
    row(
        "frame_rate",
        "50",
        |job| job.common.frame_rate = Rational::new(50, 1).unwrap(),
        Output(|job, made| {
            let found = probe(job, made);
            let (num, den) = found["r_frame_rate"].split_once('/').unwrap();
            let rate = num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap();
            (rate - job.common.frame_rate.as_f64()).abs() < 0.01
        }),
    ),
    row(
        "format",
        "10 bits, 4:2:0",
        |job| {
            job.common.format =
                if job.encoder.child.is_some() { PixelFormat::I010 } else { PixelFormat::P010 }
        },
        Output(|job, made| is(job, made, &[("pix_fmt", "yuv420p10le")])),
    ),
    row(
        "color",
        "BT.2020, full range",
        |job| job.common.color = WIDE,
        Output(|job, made| {
            is(
                job,
                made,
                &[
                    ("color_space", "bt2020nc"),
                    ("color_primaries", "bt2020"),
                    ("color_transfer", "bt2020-10"),
                    ("color_range", "pc"),
                ],
            )
        }),
    )
    .words(&["colour"]),
    row(
        "sample_aspect_ratio",
        "4:3",
        |job| job.common.sample_aspect_ratio = Rational::new(4, 3),
        Output(|job, made| is(job, made, &[("sample_aspect_ratio", "4:3")])),
    )
    .words(&["sample aspect ratio"]),
    row(
        "low_latency",
        "true",
        |job| (job.common.low_latency, job.one_by_one) = (true, true),
        Always(|_, made| !made.held_back),
    ),
    row("gop_length", "4", |job| job.common.gop_length = Some(4), Output(|_, made| keys(made) == [0, 4, 8])),
    row(
        "frame_interval_p",
        "3",
        |job| job.common.frame_interval_p = Some(3),
        Output(|_, made| has_b_frames(made, 2)),
    )
    .words(&["b_frames"]),
    row("b_frames", "1", |job| job.common.b_frames = Some(1), Output(|_, made| has_b_frames(made, 1))),
    row(
        "rate_control.Cbr.bitrate_bps",
        "300 kb/s",
        |job| cbr(job, 300_000),
        Differs(|before, after| all_bytes(after) * 2 < all_bytes(before)),
    )
    .beside(|job| cbr(job, 3_000_000))
    .words(RATE),
    row(
        "rate_control.Vbr.avg_bps",
        "300 kb/s",
        |job| vbr(job, 300_000, None),
        Differs(|before, after| all_bytes(after) * 2 < all_bytes(before)),
    )
    .beside(|job| vbr(job, 3_000_000, None))
    .words(RATE),
    row("rate_control.Vbr.max_bps", "900 kb/s", |job| vbr(job, 800_000, Some(900_000)), Told)
        .beside(|job| vbr(job, 800_000, None))
        .words(RATE),
    row(
        "rate_control.ConstQp",
        "coarse",
        |job| const_qp(job, [true; 3]),
        Differs(|before, after| all_bytes(after) * 2 < all_bytes(before)),
    )
    .beside(|job| const_qp(job, [false; 3]))
    .words(RATE),
    row(
        "rate_control.ConstQp.intra",
        "coarse",
        |job| const_qp(job, [true, false, false]),
        Differs(|before, after| bytes(after)[0] * 3 < bytes(before)[0] * 2),
    )
    .beside(|job| const_qp(job, [false; 3]))
    .words(RATE),
    row(
        "rate_control.ConstQp.inter_p",
        "coarse",
        |job| const_qp(job, [false, true, false]),
        Differs(|before, after| bytes(after)[2] * 3 < bytes(before)[2] * 2),
    )
    .beside(|job| const_qp(job, [false; 3]))
    .words(RATE),
    row(
        "rate_control.ConstQp.inter_b",
        "coarse, 2 B frames",
        |job| const_qp(job, [false, false, true]),
        Differs(|before, after| bytes(after)[1] * 3 < bytes(before)[1] * 2),
    )
    .beside(|job| {
        job.common.b_frames = Some(2);
        const_qp(job, [false; 3]);
    })
    .words(RATE),
    row(
        "rate_control.Quality.quality",
        "44",
        |job| quality(job, 44, None),
        Differs(|before, after| all_bytes(after) * 3 < all_bytes(before) * 2),
    )
    .beside(|job| quality(job, 20, None))
    .words(RATE),
    row(
        "rate_control.Quality.max_bps",
        "150 kb/s",
        |job| quality(job, 20, Some(150_000)),
        Differs(|before, after| all_bytes(after) * 5 < all_bytes(before) * 4),
    )
    .beside(|job| quality(job, 20, None))
    .words(RATE),
    row("vbv_bits", "400 kb", |job| job.common.vbv_bits = Some(400_000), Told)
        .beside(|job| cbr(job, 1_000_000))
        .words(RATE),
    row("vbv_initial_bits", "200 kb", |job| job.common.vbv_initial_bits = Some(200_000), Told)
        .beside(|job| {
            cbr(job, 1_000_000);
            job.common.vbv_bits = Some(400_000);
        })
        .words(&["vbv_bits", "rate_control"]),
    row(
        "profile",
        "main, HEVC main10",
        |job| {
            job.common.profile =
                Some(if job.encoder.codec == Codec::Hevc { Profile::Main10 } else { Profile::Main });
        },
        Always(|job, made| {
            is(job, made, &[("profile", if job.encoder.codec == Codec::Hevc { "Main 10" } else { "Main" })])
        }),
    ),
    row(
        "mastering_display",
        "BT.2020",
        |job| job.common.mastering_display = Some(DISPLAY),
        Output(|_, made| has_display(made)),
    ),
    row(
        "content_light",
        "1000, 400",
        |job| job.common.content_light = Some(LIGHT),
        Output(|_, made| has_light(made)),
    ),
    row(
        "hdr_optional",
        "with content_light",
        |job| (job.common.content_light, job.common.hdr_optional) = (Some(LIGHT), true),
        Always(|_, made| has_light(made)),
    )
    .words(&["HDR10"]),
    row("force_idr", "true", |job| job.common.force_idr = true, Always(|_, made| keys(made).len() == FRAMES)),
    row(
        "threads",
        "2",
        |job| job.common.threads = NonZeroUsize::new(2),
        Output(|job, made| job.encoder.backend == BackendKind::Software && slices(made) == 2),
    ),
    row(
        "device",
        "the second, another ffmpeg",
        |job| {
            let path = || ffmpeg_of_another_name().display().to_string();
            job.common.device = Some(if job.encoder.child.is_some() { path() } else { "1".to_owned() });
        },
        Told,
    ),
    row(
        "admission",
        "Wait",
        |job| job.common.admission = SessionAdmission::Wait(Duration::from_secs(60)),
        Session(|job| {
            with_none_left(job, |job, held| {
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        std::thread::sleep(Duration::from_millis(100));
                        drop(held);
                    });
                    job.open().is_ok()
                })
            })
        }),
    ),
    row(
        "cancel_waiting",
        "true, with Wait",
        |job| {
            job.common.admission = SessionAdmission::Wait(Duration::from_secs(60));
            job.common.cancel_waiting = Some(Arc::new(AtomicBool::new(true)));
        },
        Session(|job| {
            with_none_left(job, |job, held| {
                let cancelled = matches!(job.open().err(), Some(Error::Cancelled));
                drop(held);
                cancelled
            })
        }),
    ),
    row(
        "stream",
        "a name",
        |job| job.common.stream = Some("table-of-settings".to_owned()),
        Session(|job| {
            let session = job.open().unwrap();
            let named = video_hw::metrics::snapshot()
                .series()
                .iter()
                .any(|series| series.label("stream") == Some("table-of-settings"));
            drop(session);
            named
        }),
    ),
    row("Nvidia.max_in_flight_outputs", "3", |job| job.nvidia(|own| own.max_in_flight_outputs = 3), Told),
    row(
        "Nvidia.max_in_flight_by_codec",
        "2",
        |job| {
            let codec = job.encoder.codec;
            job.nvidia(|own| own.max_in_flight_by_codec = vec![(codec, 2)]);
        },
        Told,
    ),
    row("Nvidia.preset", "p1", |job| job.nvidia(|own| own.preset = Some("p1".to_owned())), Told),
    row("Nvidia.tuning", "ull", |job| job.nvidia(|own| own.tuning = Some("ull".to_owned())), Told),
    row("Nvidia.multi_pass", "full", |job| job.nvidia(|own| own.multi_pass = Some(MultiPass::Full)), Told)
        .beside(|job| cbr(job, 1_000_000)),
    row("Nvidia.lookahead", "8", |job| job.nvidia(|own| own.lookahead = Some(8)), Told),
    row(
        "Nvidia.lookahead_level",
        "1, with lookahead",
        |job| job.nvidia(|own| own.lookahead_level = Some(1)),
        Told,
    )
    .beside(|job| job.nvidia(|own| own.lookahead = Some(8))),
    row(
        "Nvidia.spatial_aq",
        "7",
        |job| job.nvidia(|own| own.spatial_aq = Some(SpatialAq::Strength(7))),
        Told,
    ),
    row("Nvidia.temporal_aq", "true", |job| job.nvidia(|own| own.temporal_aq = Some(true)), Told),
    row(
        "Nvidia.b_reference",
        "middle, with 3 B frames",
        |job| job.nvidia(|own| own.b_reference = Some(BReference::Middle)),
        Told,
    )
    .beside(|job| job.common.b_frames = Some(3))
    .words(&["b_frames"]),
    row(
        "Nvidia.intra_refresh",
        "6 of 10 frames",
        |job| job.nvidia(|own| own.intra_refresh = Some(IntraRefresh { period: 10, frames: 6 })),
        Told,
    ),
    row(
        "Nvidia.session_limit",
        "1",
        |job| job.nvidia(|own| own.session_limit = NonZeroUsize::new(1)),
        Session(|job| with_none_left(job, |_, _| true)),
    ),
    row(
        "Nvidia.session_directory",
        "a folder",
        |job| {
            // One of an earlier run would prove nothing.
            let _ = std::fs::remove_dir_all(sessions());
            job.nvidia(|own| own.session_directory = Some(sessions()));
        },
        Session(|_| std::fs::read_dir(sessions()).is_ok_and(|mut entries| entries.next().is_some())),
    ),
    row("Vpl.max_in_flight_outputs", "3", |job| job.vpl(|own| own.max_in_flight_outputs = 3), Told),
    row("Vpl.preset", "p1", |job| job.vpl(|own| own.preset = Some("p1".to_owned())), Told),
    row("Vpl.tuning", "ull", |job| job.vpl(|own| own.tuning = Some("ull".to_owned())), Told),
    row("Vpl.lookahead", "20", |job| job.vpl(|own| own.lookahead = Some(20)), Told)
        .beside(|job| vbr(job, 1_000_000, None))
        .words(RATE),
    row("Vpl.b_pyramid", "false, with 3 B frames", |job| job.vpl(|own| own.b_pyramid = Some(false)), Told)
        .beside(|job| job.common.b_frames = Some(3))
        .words(&["b_frames"]),
    row(
        "Vpl.intra_refresh",
        "6 of 10 frames",
        |job| job.vpl(|own| own.intra_refresh = Some(IntraRefresh { period: 10, frames: 6 })),
        Told,
    ),
    row("Vpl.low_power", "true", |job| job.vpl(|own| own.low_power = Some(true)), Told),
    row("VideoToolbox.real_time", "true", |job| job.videotoolbox(|own| own.real_time = Some(true)), Told),
    row("VideoToolbox.allow_cpu", "true", |job| job.videotoolbox(|own| own.allow_cpu = true), Told),
    row("Software.speed", "2", |job| job.software(|own| own.speed = Some(2)), Differs(other_bytes)),
    row(
        "Ffmpeg.encoder",
        "the column's",
        |job| {
            let name = job.encoder.child.unwrap_or("libx264");
            job.ffmpeg(|own| own.encoder = Some(name.to_owned()));
        },
        Always(|job, made| made.implementation.ends_with(job.encoder.child.unwrap())),
    ),
    row(
        "Ffmpeg.preset",
        "ultrafast, AV1 12",
        |job| {
            let preset = if job.encoder.codec == Codec::Av1 { "12" } else { "ultrafast" };
            job.ffmpeg(|own| own.preset = Some(preset.to_owned()));
        },
        Differs(other_bytes),
    ),
    row(
        "Ffmpeg.tune",
        "psnr",
        |job| job.ffmpeg(|own| own.tune = Some("psnr".to_owned())),
        Differs(other_bytes),
    ),
    row("Ffmpeg.card", "0", |job| job.ffmpeg(|own| own.card = Some("0".to_owned())), Told),
    row(
        "Ffmpeg.options",
        "one of the encoder's",
        |job| {
            let (name, value) = match job.encoder.codec {
                Codec::Hevc => ("qpmin", "40"),
                Codec::Av1 => ("tile-columns", "1"),
                _ => ("qmin", "40"),
            };
            job.ffmpeg(|own| own.options = vec![(name.to_owned(), value.to_owned())]);
        },
        Differs(other_bytes),
    ),
];

fn other_bytes(before: &Made, after: &Made) -> bool {
    let all = |made: &Made| made.packets.iter().map(|packet| packet.data.clone()).collect::<Vec<_>>();
    all(before) != all(after)
}

/// A folder of this process.
fn sessions() -> PathBuf {
    scratch(&format!("sessions-{}", std::process::id()))
}
