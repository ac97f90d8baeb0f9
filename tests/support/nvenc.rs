//! Pictures to encode, and what ffmpeg makes of the packets.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

pub(crate) const WIDTH: usize = 208;
pub(crate) const HEIGHT: usize = 144;

pub(crate) fn config(codec: Codec) -> CommonEncodeConfig {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    CommonEncodeConfig::new(codec, size, Rational::new(25, 1).unwrap()).rate_control(RateControl::ConstQp {
        intra: 18,
        inter_p: 18,
        inter_b: 18,
    })
}

pub(crate) fn nvidia(max_in_flight_outputs: usize) -> BackendEncodeConfig {
    BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default().max_in_flight_outputs(max_in_flight_outputs))
}

pub(crate) fn tuned(preset: &str, tuning: &str) -> BackendEncodeConfig {
    BackendEncodeConfig::Nvidia(
        NvidiaEncodeConfig::default().preset(Some(preset.into())).tuning(Some(tuning.into())),
    )
}

pub(crate) fn open(config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> EncodeSession {
    EncodeSession::with_special(BackendKind::Nvidia, config.clone(), special).unwrap()
}

/// Picture `number`: a ramp that moves, so that a picture in another's place is noticed. Packed 4:2:0.
pub(crate) fn planar(number: usize) -> Vec<u8> {
    let at = |x: usize, y: usize| (32 + (2 * x + y + 7 * number) % 160) as u8;
    let luma = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| at(x / 4 * 4, y / 4 * 4)));
    let chroma = |value: usize| std::iter::repeat_n(value as u8, WIDTH * HEIGHT / 4);
    luma.chain(chroma(96 + 3 * number % 64)).chain(chroma(160 - 2 * number % 64)).collect()
}

/// The same picture as a frame; times are as uneven as a camera's.
pub(crate) fn frame(number: usize, format: PixelFormat) -> Frame {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    let packed = planar(number);
    let (luma, chroma) = packed.split_at(WIDTH * HEIGHT);
    let (cb, cr) = chroma.split_at(WIDTH * HEIGHT / 4);
    let pairs = || cb.iter().zip(cr).flat_map(|(cb, cr)| [*cb, *cr]);
    let data: Vec<u8> = match format {
        PixelFormat::I420 => packed.clone(),
        PixelFormat::Nv12 => luma.iter().copied().chain(pairs()).collect(),
        PixelFormat::P010 => luma
            .iter()
            .copied()
            .chain(pairs())
            .flat_map(|value| (u16::from(value) << 8).to_le_bytes())
            .collect(),
        // Yellow: with red and blue exchanged luma would be another.
        PixelFormat::Bgra => luma.iter().flat_map(|value| [0, *value, *value, 255]).collect(),
        PixelFormat::Rgba => luma.iter().flat_map(|value| [*value, *value, 0, 255]).collect(),
        other => panic!("{other}"),
    };
    Frame::host(pts(number), HostSurface::from_packed(format, size, data).unwrap())
}

pub(crate) fn pts(number: usize) -> Timestamp {
    Timestamp::new((40 * number + 3 * (number % 2)) as i64, TimeBase::new(1, 1000).unwrap())
}

/// Hands frames over, reaping meanwhile; `false` when the session has ended.
pub(crate) fn submit(
    session: &mut EncodeSession,
    frames: impl IntoIterator<Item = Frame>,
    got: &mut Vec<Result<Packet, Error>>,
) -> bool {
    for mut frame in frames {
        loop {
            match session.submit(frame) {
                Ok(Submit::Accepted) => break,
                Ok(Submit::Full(back)) => frame = back,
                // Its output tells why.
                Err(_) => return false,
            }
            got.extend(session.reap_timeout(Duration::from_millis(20)).transpose());
        }
    }
    true
}

/// Encodes frames and flushes; every frame must be accounted for.
pub(crate) fn encode(
    session: &mut EncodeSession,
    frames: impl IntoIterator<Item = Frame>,
) -> Vec<Result<Packet, Error>> {
    let mut got = Vec::new();
    let alive = submit(session, frames, &mut got);
    let rest = if alive { session.drain().ok().map(Iterator::collect::<Vec<_>>) } else { None };
    let ended = rest.is_none();
    got.extend(rest.into_iter().flatten());
    // The session is over: its output has what came before, and why.
    while ended && let Some(outcome) = session.reap_timeout(Duration::from_secs(60)).transpose() {
        got.push(outcome);
    }
    let ledger = session.summary().ledger;
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(ledger.unexpected, 0, "{ledger:?}");
    got
}

pub(crate) fn all_well(got: Vec<Result<Packet, Error>>) -> Vec<Packet> {
    got.into_iter().map(|packet| packet.unwrap()).collect()
}

/// Times: each frame's own, once; decoding times rise and are never behind the display.
pub(crate) fn check_times(packets: &[Packet], numbers: impl IntoIterator<Item = usize>) {
    let mut shown: Vec<_> = packets.iter().map(|packet| packet.pts.unwrap()).collect();
    shown.sort();
    assert_eq!(shown, numbers.into_iter().map(pts).collect::<Vec<_>>());
    let dts: Vec<_> = packets.iter().map(|packet| packet.dts.unwrap()).collect();
    assert!(dts.is_sorted_by(|a, b| a < b), "{dts:?}");
    for packet in packets {
        assert!(packet.dts <= packet.pts, "{:?} {:?}", packet.dts, packet.pts);
    }
}

/// Who encodes by itself here where NVENC does not.
pub(crate) fn next_encoder() -> BackendKind {
    if super::ffmpeg::ffmpeg_here().is_some() { BackendKind::Ffmpeg } else { BackendKind::Software }
}

/// Whether ffmpeg and ffprobe are here; says so where they are not.
pub(crate) fn have_ffmpeg() -> bool {
    let have = ["ffmpeg", "ffprobe"]
        .iter()
        .all(|tool| tool_command(tool).arg("-version").output().is_ok_and(|output| output.status.success()));
    if !have {
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: no ffmpeg to judge the stream\n");
    }
    have
}

/// A tool that does not see the simulated driver, nor writes its report.
pub(crate) fn tool_command(tool: &str) -> Command {
    let mut command = Command::new(tool);
    command.env_remove("LD_LIBRARY_PATH").env_remove("NVSIM_REPORT");
    command
}

pub(crate) fn ffprobe(file: &Path, entries: &str) -> Vec<String> {
    let output = tool_command("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "csv=p=0"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().map(|line| line.trim_end_matches(',').to_owned()).filter(|line| !line.is_empty()).collect()
}

/// The pictures of the packets in display order as ffmpeg decodes them, packed 4:2:0 with 8 bits. It must have nothing to
/// complain about, and its key frames must be ours.
pub(crate) fn decoded(codec: Codec, packets: &[Packet]) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let name = if codec == Codec::H264 { "out.h264" } else { "out.h265" };
    let file = directory.path().join(name);
    let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
    std::fs::write(&file, bytes).unwrap();
    let keys: Vec<_> = ffprobe(&file, "packet=flags").iter().map(|flags| flags.contains('K')).collect();
    assert_eq!(keys, packets.iter().map(|packet| packet.keyframe).collect::<Vec<_>>(), "key frames");
    let output = tool_command("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(&file)
        .args(["-vsync", "0", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    output.stdout.chunks(WIDTH * HEIGHT * 3 / 2).map(<[u8]>::to_vec).collect()
}

/// Luma that R, G, B frames have in the stream: BT.601, limited range.
pub(crate) fn luma_of_rgb(number: usize) -> Vec<u8> {
    let luma = |value: u8| (16.0 + 219.0 * (0.299 + 0.587) * f64::from(value) / 255.0).round() as u8;
    planar(number)[..WIDTH * HEIGHT].iter().map(|value| luma(*value)).collect()
}

/// Every picture is there, in its place, and looks like what went in: `wanted` gives that, or its first planes.
pub(crate) fn check_pictures(
    pictures: &[Vec<u8>],
    numbers: impl IntoIterator<Item = usize>,
    wanted: impl Fn(usize) -> Vec<u8>,
) {
    let numbers: Vec<_> = numbers.into_iter().collect();
    assert_eq!(pictures.len(), numbers.len());
    for (picture, number) in pictures.iter().zip(numbers) {
        let off = |other: usize| {
            let wanted = wanted(other);
            let sum: u64 = picture.iter().zip(&wanted).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            sum as f64 / wanted.len() as f64
        };
        let own = off(number);
        assert!(own < 3.0, "picture {number} is off by {own}");
        assert!(own < off(number + 1), "picture {number} is its neighbour");
    }
}
