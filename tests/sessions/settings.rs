//! Every setting is honoured or refused by its name, whichever backend is asked.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use crate::support::streams::{frame_md5, have};
use video_hw::Result;
use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::color::MatrixCoefficients;
use video_hw::config::{
    BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig, Engines, NvidiaEncodeConfig, Profile,
    RateControl, VtEncodeConfig,
};
use video_hw::container::{Input, open_input};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::hdr::ContentLight;
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, DecodeSummary, EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

/// The fields of a settings structure, by its own account.
fn fields(debug: &str) -> Vec<String> {
    let inner = debug.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    inner.filter_map(|line| Some(line.trim().split_once(':')?.0.to_owned())).collect()
}

fn encoding() -> CommonEncodeConfig {
    let size = Dimensions::new(96, 64).unwrap();
    CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap())
}

/// The packets of twelve pictures.
fn encode(backend: BackendKind, config: &CommonEncodeConfig) -> Result<Vec<Packet>> {
    let mut session = EncodeSession::new(backend, config.clone())?;
    let mut packets = Vec::new();
    for number in 0..12 {
        let bytes = config.format.frame_bytes(config.dimensions);
        let data: Vec<u8> = (0..bytes).map(|at| (at / 5 + 3 * number) as u8 / 2 + 40).collect();
        let surface = HostSurface::from_packed(config.format, config.dimensions, data)?;
        let pts = Timestamp::new(number as i64, TimeBase::from_frame_rate(config.frame_rate));
        let mut frame = Frame::host(pts, surface);
        while let Submit::Full(back) = session.submit(frame)? {
            frame = back;
            packets.extend(session.reap_timeout(Duration::from_millis(20))?);
        }
    }
    packets.extend(session.drain()?.collect::<Result<Vec<_>>>()?);
    packets.sort_by_key(|packet| packet.pts);
    Ok(packets)
}

fn keys(packets: &[Packet]) -> Vec<usize> {
    packets.iter().enumerate().filter_map(|(at, packet)| packet.keyframe.then_some(at)).collect()
}

/// What a backend does with a setting.
enum Does {
    /// The error names the setting.
    Refuses(&'static str),
    /// Seen in the packets.
    Makes(fn(&[Packet]) -> bool),
}

use Does::{Makes, Refuses};

type Change = fn(&mut CommonEncodeConfig);

/// A field, a value at the edge of its range, and what the embedded encoder and libx264 in a child ffmpeg do with it. That every
/// setting is heeded at all is tested in `encode_settings`.
const ENCODING: &[(&str, Change, Does, Does)] = &[
    ("codec", |c| c.codec = Codec::Vp8, Refuses("vp8"), Refuses("vp8")),
    (
        "dimensions",
        |c| c.dimensions = Dimensions::new(97, 64).unwrap(),
        Refuses("dimensions 97x64"),
        Refuses("dimensions 97x64"),
    ),
    (
        "frame_rate",
        |c| c.frame_rate = Rational::new(100_000, 1).unwrap(),
        Refuses("frame_rate"),
        Makes(|p| p.len() == 12),
    ),
    ("format", |c| c.format = PixelFormat::Rgb24, Refuses("format rgb24"), Refuses("format rgb24")),
    (
        "color",
        |c| c.color.matrix = MatrixCoefficients::Identity,
        Refuses("color matrix"),
        Refuses("color matrix"),
    ),
    (
        "sample_aspect_ratio",
        |c| c.sample_aspect_ratio = Rational::new(65_537, 2),
        Refuses("sample_aspect_ratio"),
        Refuses("sample_aspect_ratio"),
    ),
    (
        "low_latency",
        |c| c.low_latency = true,
        Makes(|p| p.is_sorted_by_key(|p| p.dts)),
        Makes(|p| p.is_sorted_by_key(|p| p.dts)),
    ),
    (
        "low_latency",
        |c| (c.low_latency, c.b_frames) = (true, Some(2)),
        Refuses("b_frames"),
        Refuses("b_frames 2"),
    ),
    (
        "gop_length",
        |c| c.gop_length = Some(4),
        Makes(|p| keys(p) == [0, 4, 8]),
        Makes(|p| keys(p) == [0, 4, 8]),
    ),
    ("gop_length", |c| c.gop_length = Some(0), Refuses("gop_length 0"), Refuses("gop_length 0")),
    (
        "frame_interval_p",
        |c| c.frame_interval_p = Some(0),
        Refuses("frame_interval_p 0"),
        Refuses("frame_interval_p 0"),
    ),
    (
        "frame_interval_p",
        |c| c.frame_interval_p = Some(-3),
        Refuses("frame_interval_p -3"),
        Refuses("frame_interval_p -3"),
    ),
    (
        "frame_interval_p",
        |c| c.frame_interval_p = Some(i32::MIN),
        Refuses("frame_interval_p -2147483648"),
        Refuses("frame_interval_p -2147483648"),
    ),
    (
        "frame_interval_p",
        |c| c.frame_interval_p = Some(i32::MAX),
        Refuses("frame_interval_p 2147483647"),
        Refuses("frame_interval_p 2147483647"),
    ),
    (
        "frame_interval_p",
        |c| (c.frame_interval_p, c.b_frames) = (Some(3), Some(1)),
        Refuses("frame_interval_p 3"),
        Refuses("frame_interval_p 3"),
    ),
    (
        "frame_interval_p",
        |c| c.frame_interval_p = Some(1),
        Makes(|p| p.is_sorted_by_key(|p| p.dts)),
        Makes(|p| p.is_sorted_by_key(|p| p.dts)),
    ),
    ("b_frames", |c| c.b_frames = Some(99), Refuses("b_frames"), Refuses("b_frames 99")),
    ("b_frames", |c| c.b_frames = Some(2), Refuses("b_frames"), Makes(|p| !p.is_sorted_by_key(|p| p.dts))),
    (
        "rate_control",
        |c| c.rate_control = Some(RateControl::Quality { quality: 0, max_bps: None }),
        Refuses("quality 0"),
        Refuses("quality 0"),
    ),
    (
        "rate_control",
        |c| c.rate_control = Some(RateControl::Quality { quality: 52, max_bps: None }),
        Refuses("quality 52"),
        Refuses("quality 52"),
    ),
    (
        "rate_control",
        |c| c.rate_control = Some(RateControl::ConstQp { intra: 9, inter_p: 9, inter_b: 9 }),
        Refuses("intra 9"),
        Makes(|p| p.len() == 12),
    ),
    ("vbv_bits", |c| c.vbv_bits = Some(1000), Refuses("vbv_bits 1000"), Refuses("vbv_bits 1000")),
    (
        "vbv_initial_bits",
        |c| c.vbv_initial_bits = Some(10),
        Refuses("vbv_initial_bits 10"),
        Refuses("vbv_initial_bits 10"),
    ),
    ("profile", |c| c.profile = Some(Profile::High), Refuses("profile high"), Refuses("profile high")),
    ("content_light", |c| c.content_light = Some(LIGHT), Refuses("content_light"), Refuses("content_light")),
    (
        "hdr_optional",
        |c| (c.content_light, c.hdr_optional) = (Some(LIGHT), true),
        Makes(|p| p.len() == 12),
        Makes(|p| p.len() == 12),
    ),
    ("force_idr", |c| c.force_idr = true, Makes(|p| keys(p).len() == 12), Makes(|p| keys(p).len() == 12)),
    ("threads", |c| c.threads = NonZeroUsize::new(9), Refuses("threads 9"), Makes(|p| p.len() == 12)),
    (
        "device",
        |c| c.device = Some("/no/such/ffmpeg".to_owned()),
        Makes(|p| p.len() == 12),
        Refuses("/no/such/ffmpeg"),
    ),
];

const LIGHT: ContentLight = ContentLight { max_cll: 1000, max_fall: 400 };

#[test]
fn an_encoder_does_what_a_setting_says_or_refuses_it_by_name() {
    let ffmpeg = have(&["ffmpeg"]);
    for (field, change, embedded, child) in ENCODING {
        let mut config = encoding();
        change(&mut config);
        for (backend, does) in [(BackendKind::Software, embedded), (BackendKind::Ffmpeg, child)] {
            if backend == BackendKind::Ffmpeg && !ffmpeg {
                continue;
            }
            match (does, encode(backend, &config)) {
                (Refuses(word), Err(error)) => {
                    assert!(error.to_string().contains(word), "{backend}, {field}: no {word:?} in {error}");
                }
                (Makes(seen), Ok(packets)) => assert!(seen(&packets), "{backend}, {field}: {packets:?}"),
                (Refuses(word), Ok(_)) => panic!("{backend} takes {field}: {word}"),
                (Makes(_), Err(error)) => panic!("{backend} refuses {field}: {error}"),
            }
        }
    }
}

#[test]
fn settings_of_one_backend_are_refused_by_the_others() {
    let of = |special: &BackendEncodeConfig, backend| {
        EncodeSession::with_special(backend, encoding(), special).err().map(|error| error.to_string())
    };
    let nvidia = BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default());
    let toolbox = BackendEncodeConfig::VideoToolbox(VtEncodeConfig::default());
    for special in [&nvidia, &toolbox] {
        let said = of(special, BackendKind::Software).unwrap();
        assert!(said.contains("backend settings"), "{said}");
        if have(&["ffmpeg"]) {
            let said = of(special, BackendKind::Ffmpeg).unwrap();
            assert!(said.contains("backend settings"), "{said}");
        }
    }
}

#[test]
fn a_device_that_means_nothing_is_told() {
    let config = encoding().device("1".to_owned());
    let session = EncodeSession::new(BackendKind::Software, config).unwrap();
    assert!(session.receipt().notes.iter().any(|note| note.contains("device 1 does not apply")));
}

/// The access units of a raw stream of the project's.
fn packets(name: &str, codec: Codec) -> Vec<Packet> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name);
    let Input::Demuxer(mut demuxer) = open_input(&path).unwrap() else { panic!("no stream") };
    let layout = demuxer.tracks()[0].video.as_ref().unwrap().layout;
    let mut packets = Vec::new();
    while let Some(sample) = demuxer.next_packet().unwrap() {
        let mut packet = Packet::new(codec, layout, sample.data.clone());
        packet.keyframe = sample.keyframe;
        packets.push(packet);
    }
    packets
}

fn decode(
    backend: BackendKind,
    config: CommonDecodeConfig,
    packets: &[Packet],
) -> (Vec<String>, DecodeSummary) {
    let mut session = DecodeSession::new(backend, config).unwrap();
    let mut sums = Vec::new();
    for packet in packets {
        let mut packet = packet.clone();
        while let Submit::Full(back) = session.submit(packet).unwrap() {
            packet = back;
            sums.extend(
                session.reap_timeout(Duration::from_millis(20)).unwrap().map(|frame| frame_md5(&frame)),
            );
        }
    }
    sums.extend(session.drain().unwrap().map(|frame| frame_md5(&frame.unwrap())));
    (sums, session.summary())
}

const STREAMS: [(&str, Codec); 4] = [
    ("small.h264", Codec::H264),
    ("small.h265", Codec::Hevc),
    ("small-vp9.ivf", Codec::Vp9),
    ("small-av1.ivf", Codec::Av1),
];

/// It bounds what a decoder holds back for itself, and never what the stream reorders.
#[test]
fn a_display_delay_changes_neither_frames_nor_their_order() {
    let backends = if have(&["ffmpeg"]) {
        vec![BackendKind::Software, BackendKind::Ffmpeg]
    } else {
        vec![BackendKind::Software]
    };
    for (name, codec) in STREAMS {
        let packets = packets(name, codec);
        for backend in &backends {
            let with = |delay| CommonDecodeConfig::new(codec).max_display_delay(delay);
            let (judge, _) = decode(*backend, with(None), &packets);
            assert!(judge.len() > 10, "{name}");
            for delay in [0, 1, u32::MAX] {
                assert_eq!(
                    decode(*backend, with(Some(delay)), &packets).0,
                    judge,
                    "{backend}, {name}, {delay}"
                );
            }
        }
    }
}

#[test]
fn frames_that_share_no_memory_are_copies_and_counted() {
    for (name, codec) in STREAMS {
        let packets = packets(name, codec);
        let with = |prefer_zero_copy| CommonDecodeConfig::new(codec).prefer_zero_copy(prefer_zero_copy);
        let (shared, before) = decode(BackendKind::Software, with(true), &packets);
        let (own, after) = decode(BackendKind::Software, with(false), &packets);
        assert_eq!(shared, own, "{name}");
        assert!(after.output_copy_bytes > before.output_copy_bytes, "{name}: {after:?}");
    }
}

#[test]
fn every_decode_setting_is_known_here() {
    // Where each is tested: here, in `session*.rs` (times, colour, damage, shapes), `split.rs` (engines, window),
    // `nvidia_*.rs` (device, output), `metrics.rs` (stream), `hostile_*.rs` (limits), `vt_*.rs` (special).
    let known = [
        "codec",
        "low_latency",
        "max_display_delay",
        "prefer_zero_copy",
        "output",
        "convert",
        "crop",
        "size",
        "damage",
        "engines",
        "reorder_window",
        "codec_config",
        "frame_rate",
        "color",
        "threads",
        "device",
        "stream",
        "limits",
        "special",
    ];
    let config = CommonDecodeConfig::new(Codec::H264).engines(Engines::One);
    for field in fields(&format!("{config:#?}")) {
        assert!(known.contains(&field.as_str()), "{field} is in no test");
    }
}
