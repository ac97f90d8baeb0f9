//! The encoder at its seam; ffmpeg and ffprobe judge the streams.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::backend::{EncodeEvent, EncodeUnit, EncodedUnit, EncoderBackend};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::config::{
    BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig, RateControl, SoftwareEncodeConfig,
    VtEncodeConfig,
};
use crate::dimensions::Dimensions;
use crate::error::Error;
use crate::frame::{Frame, HostSurface, Surface};
use crate::packet::PictureType;
use crate::pixel::PixelFormat;
use crate::time::{Rational, TimeBase, Timestamp};

use super::{encode_capability, open_encoder};

type Events = Arc<Mutex<Vec<EncodeEvent>>>;

fn config(width: u32, height: u32) -> CommonEncodeConfig {
    let dimensions = Dimensions::new(width, height).unwrap();
    CommonEncodeConfig::new(Codec::H264, dimensions, Rational::new(30_000, 1001).unwrap())
}

fn open(config: &CommonEncodeConfig) -> (Box<dyn EncoderBackend>, Events) {
    let events = Events::default();
    let sink = Arc::clone(&events);
    let encoder = open_encoder(
        config,
        &BackendEncodeConfig::None,
        Box::new(move |event| {
            sink.lock().unwrap().push(event);
            true
        }),
    );
    (encoder.unwrap(), events)
}

/// A gradient that moves with `n`; every 20th is another scene.
fn picture(size: Dimensions, format: PixelFormat, padding: usize, n: usize) -> Frame {
    let planes = (0..format.plane_count()).map(|i| {
        let plane = format.plane_size(i, size).unwrap();
        let stride = plane.row_bytes + padding;
        let mut data = vec![0xee; stride * plane.rows - padding];
        for y in 0..plane.rows {
            for x in 0..plane.row_bytes {
                // Cb and Cr at the same place get the same sample in both layouts.
                let (x_at, component) = match (format, i) {
                    (PixelFormat::Nv12, 1) => (x / 2, 1 + x % 2),
                    _ => (x, i),
                };
                data[y * stride + x] = (x_at * 3 + y * 2 + n * 5 + component * 50 + n / 20 * 90) as u8;
            }
        }
        (Bytes::from(data), stride)
    });
    let surface = HostSurface::new(format, size, planes.collect::<Vec<_>>()).unwrap();
    Frame::host(Timestamp::new(n as i64, TimeBase::MPEG), surface)
}

fn run(config: &CommonEncodeConfig, count: usize, forced: &[usize]) -> Vec<EncodedUnit> {
    let (mut encoder, events) = open(config);
    for n in 0..count {
        let mut frame = picture(config.dimensions, config.format, 0, n);
        frame.force_keyframe = forced.contains(&n);
        encoder.submit(EncodeUnit { serial: n as u64 + 100, frame }).unwrap();
    }
    encoder.flush().unwrap();
    units(&events)
}

fn units(events: &Events) -> Vec<EncodedUnit> {
    let events = std::mem::take(&mut *events.lock().unwrap());
    events
        .into_iter()
        .map(|event| match event {
            EncodeEvent::Unit(unit) => unit,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn keyframes(units: &[EncodedUnit]) -> Vec<usize> {
    units.iter().enumerate().filter(|(_, unit)| unit.keyframe).map(|(i, _)| i).collect()
}

fn nal_types(data: &[u8]) -> Vec<u8> {
    data.windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| w[3] & 0x1f).collect()
}

fn stream(units: &[EncodedUnit]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.data.iter().copied()).collect()
}

/// Runs a tool over `input`; `None`, loudly, where it is not installed.
fn tool(name: &str, arguments: &[&str], input: Vec<u8>) -> Option<String> {
    output(name, arguments, input).map(|output| String::from_utf8(output).unwrap())
}

fn output(name: &str, arguments: &[&str], input: Vec<u8>) -> Option<Vec<u8>> {
    let child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {name} is not installed\n"),
        );
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{name} {arguments:?}: {errors}");
    Some(output.stdout)
}

const DECODE: [&str; 9] = ["-v", "warning", "-f", "h264", "-i", "-", "-f", "framemd5", "-"];

fn decoded_frames(data: Vec<u8>) -> Option<usize> {
    tool("ffmpeg", &DECODE, data).map(|text| text.lines().filter(|line| !line.starts_with('#')).count())
}

#[test]
fn each_frame_gives_one_unit_in_order_and_the_stream_decodes() {
    for size in [(320, 180), (16, 16), (18, 34), (176, 144)] {
        let units = run(&config(size.0, size.1), 30, &[]);
        assert_eq!(units.iter().map(|u| u.serial).collect::<Vec<_>>(), (100..130).collect::<Vec<_>>());
        if let Some(frames) = decoded_frames(stream(&units)) {
            assert_eq!(frames, 30, "{size:?}");
        }
    }
}

#[test]
fn idr_pictures_are_where_they_were_asked_for_and_carry_parameter_sets() {
    let mut config = config(320, 180);
    config.gop_length = Some(7);
    let units = run(&config, 30, &[]);
    // Another scene begins at frame 20: a stated distance is kept all the same.
    assert_eq!(keyframes(&units), [0, 7, 14, 21, 28]);
    // A forced IDR starts the count again.
    assert_eq!(keyframes(&run(&config, 30, &[10])), [0, 7, 10, 17, 24]);
    config.gop_length = Some(1000);
    let units = run(&config, 30, &[5, 6, 20]);
    assert_eq!(keyframes(&units), [0, 5, 6, 20]);
    for unit in &units {
        let types = nal_types(&unit.data);
        if unit.keyframe {
            assert_eq!(types, [7, 8, 5]);
            assert_eq!(unit.picture_type, Some(PictureType::Idr));
        } else {
            assert_eq!(types, [1]);
            assert_eq!(unit.picture_type, Some(PictureType::P));
        }
    }
    config.force_idr = true;
    assert_eq!(keyframes(&run(&config, 10, &[])).len(), 10);
    config.force_idr = false;
    config.gop_length = Some(1);
    assert_eq!(keyframes(&run(&config, 10, &[])).len(), 10);
}

#[test]
fn after_a_flush_the_encoder_goes_on_with_an_idr() {
    let config = config(320, 180);
    let (mut encoder, events) = open(&config);
    for n in 0..9 {
        if n == 4 {
            encoder.flush().unwrap();
            encoder.flush().unwrap();
            assert_eq!(events.lock().unwrap().len(), 4, "a flush leaves nothing behind");
        }
        let frame = picture(config.dimensions, config.format, 0, n);
        encoder.submit(EncodeUnit { serial: n as u64, frame }).unwrap();
    }
    let units = units(&events);
    assert_eq!(keyframes(&units), [0, 4]);
    if let Some(frames) = decoded_frames(stream(&units)) {
        assert_eq!(frames, 9);
    }
}

#[test]
fn what_the_stream_says_of_itself_is_what_was_asked() {
    for rate in [(30_000, 1001), (25, 1), (120, 1), (1, 2)] {
        let mut config = config(320, 180);
        config.frame_rate = Rational::new(rate.0, rate.1).unwrap();
        config.rate_control = Some(RateControl::Cbr { bitrate_bps: 10_000_000 });
        config.sample_aspect_ratio = Rational::new(32, 22);
        config.color = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 };
        config.color.matrix = MatrixCoefficients::Smpte170M;
        let data = stream(&run(&config, 3, &[]));
        let arguments = ["-v", "warning", "-f", "h264", "-show_streams", "-i", "-"];
        let Some(text) = tool("ffprobe", &arguments, data) else { return };
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "no {line} in {text}");
        has("color_range=pc");
        has("color_space=smpte170m");
        has("color_primaries=bt709");
        has("color_transfer=bt709");
        has("sample_aspect_ratio=16:11");
        has("profile=Main");
        has("width=320");
        has("height=180");
        has(&format!("r_frame_rate={}/{}", rate.0, rate.1));
    }
}

#[test]
fn what_was_not_stated_is_not_signalled() {
    let Some(text) = tool(
        "ffprobe",
        &["-v", "warning", "-f", "h264", "-show_streams", "-i", "-"],
        stream(&run(&config(320, 180), 3, &[])),
    ) else {
        return;
    };
    for line in
        ["color_range=unknown", "color_space=unknown", "color_primaries=unknown", "color_transfer=unknown"]
    {
        assert!(text.lines().any(|l| l == line), "no {line} in {text}");
    }
}

#[test]
fn layout_and_stride_of_the_input_do_not_change_the_stream() {
    let mut streams = Vec::new();
    for (format, padding) in
        [(PixelFormat::I420, 0), (PixelFormat::I420, 37), (PixelFormat::Nv12, 0), (PixelFormat::Nv12, 6)]
    {
        let mut config = config(318, 182);
        config.format = format;
        let (mut encoder, events) = open(&config);
        for n in 0..5 {
            let frame = picture(config.dimensions, format, padding, n);
            encoder.submit(EncodeUnit { serial: n as u64, frame }).unwrap();
        }
        streams.push(stream(&units(&events)));
    }
    assert!(streams.iter().all(|s| *s == streams[0]));
}

#[test]
fn frames_that_do_not_fit_fail_alone() {
    let config = config(320, 180);
    let (mut encoder, events) = open(&config);
    let good = picture(config.dimensions, PixelFormat::I420, 0, 0);
    let small = picture(Dimensions::new(160, 90).unwrap(), PixelFormat::I420, 0, 0);
    let rgb = picture(config.dimensions, PixelFormat::Rgb24, 0, 0);
    let nothing = Frame { surface: Surface::None, ..good.clone() };
    for (serial, frame) in [good.clone(), small, rgb, nothing, good].into_iter().enumerate() {
        encoder.submit(EncodeUnit { serial: serial as u64, frame }).unwrap();
    }
    let events = events.lock().unwrap();
    let failed: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            EncodeEvent::Failed { serial, error: Error::InvalidInput { .. } } => Some(*serial),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [1, 2, 3]);
    assert!(matches!(events[0], EncodeEvent::Unit(_)) && matches!(events[4], EncodeEvent::Unit(_)));
}

#[test]
fn a_session_that_is_gone_is_not_encoded_for() {
    let config = config(320, 180);
    let calls = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&calls);
    let mut encoder = open_encoder(
        &config,
        &BackendEncodeConfig::None,
        Box::new(move |_| {
            *counter.lock().unwrap() += 1;
            false
        }),
    )
    .unwrap();
    for serial in 0..3 {
        encoder
            .submit(EncodeUnit { serial, frame: picture(config.dimensions, config.format, 0, 0) })
            .unwrap();
    }
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name_and_value() {
    let refusal =
        |change: &dyn Fn(&mut CommonEncodeConfig), backend: BackendEncodeConfig, message: &[&str]| {
            let mut config = config(320, 180);
            change(&mut config);
            let Err(error) = open_encoder(&config, &backend, Box::new(|_| true)) else {
                panic!("{message:?} was accepted");
            };
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
            for word in message {
                assert!(error.to_string().contains(word), "no {word:?} in {error}");
            }
        };
    let none = || BackendEncodeConfig::None;
    let size = |w, h| Dimensions::new(w, h).unwrap();
    refusal(&|c| c.codec = Codec::Hevc, none(), &["codec", "hevc"]);
    refusal(&|c| c.b_frames = Some(2), none(), &["b_frames", "2", "0"]);
    refusal(&|c| c.frame_interval_p = Some(3), none(), &["frame_interval_p 3", "1"]);
    refusal(&|c| c.format = PixelFormat::P010, none(), &["format p010le", "nv12"]);
    refusal(&|c| c.format = PixelFormat::I444, none(), &["format yuv444p"]);
    refusal(&|c| c.dimensions = size(321, 180), none(), &["dimensions 321x180", "even"]);
    refusal(&|c| c.dimensions = size(320, 14), none(), &["dimensions 320x14", "16x16"]);
    refusal(&|c| c.dimensions = size(3842, 2160), none(), &["dimensions 3842x2160", "3840x2160"]);
    refusal(&|c| c.dimensions = size(3840, 2400), none(), &["dimensions 3840x2400"]);
    refusal(&|c| c.gop_length = Some(0), none(), &["gop_length 0", "1 to"]);
    refusal(&|c| c.threads = std::num::NonZeroUsize::new(9), none(), &["threads 9", "1 to 4"]);
    refusal(&|c| c.color.matrix = MatrixCoefficients::Identity, none(), &["color matrix gbr"]);
    refusal(&|c| c.sample_aspect_ratio = Rational::new(65_537, 2), none(), &["sample_aspect_ratio 65537/2"]);
    refusal(&|c| c.frame_rate = Rational::new(100_000, 1).unwrap(), none(), &["frame_rate 100000/1", "Hz"]);
    let rate = |rate: RateControl| move |c: &mut CommonEncodeConfig| c.rate_control = Some(rate);
    refusal(&rate(RateControl::Cbr { bitrate_bps: 9_999 }), none(), &["bitrate_bps 9999", "10000 to"]);
    refusal(&rate(RateControl::Cbr { bitrate_bps: u32::MAX }), none(), &["bitrate_bps 4294967295"]);
    refusal(&rate(RateControl::Vbr { avg_bps: 1, max_bps: None }), none(), &["avg_bps 1 "]);
    refusal(
        &rate(RateControl::Vbr { avg_bps: 1_000_000, max_bps: Some(2_000_000) }),
        none(),
        &["max_bps 2000000"],
    );
    let qp = |intra, inter_p| RateControl::ConstQp { intra, inter_p, inter_b: 30 };
    refusal(&rate(qp(52, 52)), none(), &["constqp intra 52", "10 to 51"]);
    refusal(&rate(qp(9, 9)), none(), &["constqp intra 9", "10 to 51"]);
    refusal(&rate(qp(20, 22)), none(), &["constqp inter_p 22", "20"]);
    let software = BackendEncodeConfig::Software(SoftwareEncodeConfig { speed: Some(3) });
    refusal(&|_| {}, software, &["speed 3", "0 (slowest, best) to 2"]);
    refusal(
        &|_| {},
        BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default()),
        &["backend settings nvidia"],
    );
    refusal(
        &|_| {},
        BackendEncodeConfig::VideoToolbox(VtEncodeConfig::default()),
        &["backend settings videotoolbox"],
    );
}

#[test]
fn the_capability_is_what_opens() {
    assert!(encode_capability(Codec::Hevc).is_none());
    let capability = encode_capability(Codec::H264).unwrap();
    for size in [capability.min, capability.max] {
        for threads in [1, 4] {
            let mut config = config(size.width(), size.height());
            config.threads = std::num::NonZeroUsize::new(threads);
            assert_eq!(run(&config, 2, &[]).len(), 2, "{size} {threads} threads");
        }
    }
    // Too low for threads: fewer are used.
    let mut wide = config(3840, 16);
    wide.threads = std::num::NonZeroUsize::new(4);
    wide.rate_control = Some(RateControl::Cbr { bitrate_bps: 1_000_000 });
    assert_eq!(run(&wide, 2, &[]).len(), 2);
}

#[test]
fn noise_at_the_best_quality_is_coded() {
    let mut config = config(640, 480);
    config.rate_control = Some(RateControl::ConstQp { intra: 10, inter_p: 10, inter_b: 10 });
    let (mut encoder, events) = open(&config);
    let mut state = 1_u32;
    for serial in 0..3 {
        let data: Vec<u8> = (0..config.format.frame_bytes(config.dimensions))
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state >> 31 == 1 { 255 } else { 0 }
            })
            .collect();
        let surface = HostSurface::from_packed(config.format, config.dimensions, data).unwrap();
        let frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
        encoder.submit(EncodeUnit { serial, frame }).unwrap();
    }
    let units = units(&events);
    if let Some(frames) = decoded_frames(stream(&units)) {
        assert_eq!(frames, 3);
    }
}

/// Four seconds of a texture of many frequencies under a moving camera, with the noise of a sensor.
const TEXTURE: &str = "color=gray:s=1024x576:r=30,format=yuv420p,trim=end_frame=1,\
     geq=lum='128+45*sin(X/61+Y/97)+30*sin(X/23-Y/31)*cos(Y/41)+20*sin(X*Y/9000)+10*sin(X/3.7)*sin(Y/4.3)':\
     cb='128+50*sin(X/57+Y/83)':cr='128+50*cos(X/71-Y/43)',\
     loop=-1:1,crop=640:360:x='2*n':y='n',noise=alls=5:allf=t:all_seed=7";

#[test]
fn textured_video_reaches_the_asked_bitrate_at_good_quality() {
    let mut config = config(640, 360);
    let bytes = config.format.frame_bytes(config.dimensions);
    let asked = 1_500_000;
    config.rate_control = Some(RateControl::Cbr { bitrate_bps: asked });
    let source = ["-v", "error", "-f", "lavfi", "-i", TEXTURE, "-frames:v", "120", "-f", "rawvideo", "-"];
    let Some(original) = output("ffmpeg", &source, Vec::new()) else { return };
    let (mut encoder, events) = open(&config);
    for (serial, data) in (0..).zip(original.chunks_exact(bytes)) {
        let surface = HostSurface::from_packed(config.format, config.dimensions, data.to_vec()).unwrap();
        let frame = Frame::host(Timestamp::new(serial as i64, TimeBase::MPEG), surface);
        encoder.submit(EncodeUnit { serial, frame }).unwrap();
    }
    encoder.flush().unwrap();
    let units = units(&events);
    assert_eq!(units.len(), 120);
    let data = stream(&units);
    let bitrate = data.len() as f64 * 8.0 * config.frame_rate.as_f64() / 120.0;
    assert!((0.9..=1.1).contains(&(bitrate / f64::from(asked))), "{bitrate} bit/s");

    let decode = [
        "-v",
        "warning",
        "-f",
        "h264",
        "-i",
        "-",
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-",
    ];
    let Some(decoded) = output("ffmpeg", &decode, data) else { return };
    assert_eq!(decoded.len(), original.len());
    let squares: u64 = original.iter().zip(&decoded).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    let psnr = 10.0 * (255.0_f64.powi(2) * original.len() as f64 / squares as f64).log10();
    eprintln!("{bitrate:.0} bit/s, {psnr:.2} dB");
    assert!(psnr >= 38.0, "{psnr} dB");
}
