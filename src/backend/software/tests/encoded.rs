//! Streams that ffmpeg's encoders make on the spot, against ffmpeg's own decoding: exact, or refused by name.

use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;

use super::harness::{Bench, decode, ivf_units, nal_access_units};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;

pub(super) fn ffmpeg(arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// 30 frames of a moving pattern; `None` (and a word on it) without the encoder.
pub(super) fn encode(codec: Codec, size: &str, arguments: &str) -> Option<Vec<u8>> {
    let format = file_format(codec);
    let source = format!("testsrc2=size={size}:rate=25,noise=alls=12:allf=t");
    let mut all = vec!["-f", "lavfi", "-i", &source, "-frames:v", "30"];
    all.extend(arguments.split_whitespace());
    all.extend(["-f", format, "-"]);
    let stream = ffmpeg(&all);
    if stream.is_none() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no ffmpeg, or it cannot encode with {arguments}\n"),
        );
    }
    stream
}

const fn file_format(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::Hevc => "hevc",
        _ => "ivf",
    }
}

fn units(codec: Codec, file: &[u8]) -> Vec<Bytes> {
    if codec.uses_nal_units() { nal_access_units(codec, file) } else { ivf_units(file) }
}

/// What to encode, and with what.
struct Case {
    name: &'static str,
    size: &'static str,
    /// Arguments of the encoder.
    encode: &'static str,
    /// The feature that it must be refused for.
    refused: Option<&'static str>,
}

const fn case(name: &'static str, size: &'static str, encode: &'static str) -> Case {
    Case { name, size, encode, refused: None }
}

const fn refused(
    name: &'static str,
    size: &'static str,
    encode: &'static str,
    feature: &'static str,
) -> Case {
    Case { name, size, encode, refused: Some(feature) }
}

fn check(codec: Codec, cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let encoder = match codec {
        Codec::H264 => "libx264",
        Codec::Hevc => "libx265",
        Codec::Av1 => "libaom-av1",
        Codec::Vp9 => "libvpx-vp9",
        Codec::Vp8 => "libvpx",
        other => unreachable!("{other} has no software decoder"),
    };
    let mut wrong = Vec::new();
    for Case { name, size, encode: arguments, refused } in cases {
        let Some(stream) = encode(codec, size, &format!("-c:v {encoder} {arguments}")) else { continue };
        std::fs::write(&path, &stream).unwrap();
        let result = match refused {
            Some(feature) => expect_refusal(codec, &stream, feature),
            None => compare(codec, &path),
        };
        if let Err(what) = result {
            wrong.push(format!("{name} {size}: {what}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn expect_refusal(codec: Codec, stream: &[u8], feature: &str) -> Result<(), String> {
    let outcome = decode(&CommonDecodeConfig::new(codec), &units(codec, stream));
    if outcome.pictures.is_empty() && outcome.refusal() == Some(feature) {
        return Ok(());
    }
    Err(format!(
        "{} pictures, refused for {:?}, expected {feature:?}",
        outcome.pictures.len(),
        outcome.refusal()
    ))
}

fn compare(codec: Codec, path: &Path) -> Result<(), String> {
    let file = std::fs::read(path).unwrap();
    let outcome = decode(&CommonDecodeConfig::new(codec), &units(codec, &file));
    let Some(first) = outcome.pictures.first() else {
        return Err(format!("no picture; {:?}", outcome.failures.first()));
    };
    let pix_fmt = first.format.name();
    let judge = ffmpeg(&[
        "-f",
        file_format(codec),
        "-i",
        path.to_str().unwrap(),
        "-f",
        "rawvideo",
        "-vsync",
        "passthrough",
        "-pix_fmt",
        pix_fmt,
        "-",
    ])
    .unwrap();
    let ours: Vec<Bytes> =
        outcome.pictures.iter().map(|p| super::harness::host(p).to_packed().into()).collect();
    let size = ours.first().map_or(1, Bytes::len);
    let theirs: Vec<&[u8]> = judge.chunks(size).collect();
    let first_wrong = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    if first_wrong.is_some() || ours.len() != theirs.len() || !outcome.failures.is_empty() {
        return Err(format!(
            "first wrong picture {first_wrong:?}, {} pictures, expected {}, failures {:?}",
            ours.len(),
            theirs.len(),
            outcome.failures.first()
        ));
    }
    Ok(())
}

#[test]
fn progressive_h264_420_is_exact() {
    check(
        Codec::H264,
        &[
            case("baseline cavlc", "176x144", "-pix_fmt yuv420p -profile:v baseline"),
            case("main cabac", "176x144", "-pix_fmt yuv420p -profile:v main -bf 2"),
            case(
                "high, b-pyramid, weightp 2",
                "178x146",
                "-pix_fmt yuv420p -bf 3 -x264-params b-pyramid=normal:weightp=2:weightb=1:8x8dct=1",
            ),
            case("high cavlc", "176x144", "-pix_fmt yuv420p -bf 2 -x264-params cabac=0:8x8dct=1"),
            case("16 references", "176x144", "-pix_fmt yuv420p -bf 3 -refs 16 -x264-params mixed-refs=1"),
            case(
                "open gop",
                "176x144",
                "-pix_fmt yuv420p -bf 3 -x264-params open-gop=1:keyint=10:min-keyint=1",
            ),
            case("4 slices", "176x144", "-pix_fmt yuv420p -bf 2 -x264-params slices=4"),
            case(
                "4 slices, weighted",
                "176x144",
                "-pix_fmt yuv420p -vf fade=in:0:20 -bf 2 -x264-params slices=4:weightp=2",
            ),
            case("intra refresh", "176x144", "-pix_fmt yuv420p -x264-params intra-refresh=1:keyint=10"),
            case("constrained intra", "176x144", "-pix_fmt yuv420p -bf 2 -x264-params constrained-intra=1"),
            case(
                "weighted fade",
                "178x146",
                "-pix_fmt yuv420p -vf fade=in:0:20 -bf 3 -x264-params weightp=2",
            ),
            case("qp 1, macroblocks without coding", "176x144", "-pix_fmt yuv420p -qp 1 -bf 2"),
            case("chroma offset", "176x144", "-pix_fmt yuv420p -x264-params chroma-qp-offset=6"),
            case("custom matrices", "176x144", "-pix_fmt yuv420p -x264-params cqm=jvt"),
            case(
                "temporal direct",
                "176x144",
                "-pix_fmt yuv420p -bf 3 -x264-params direct=temporal:slices=2",
            ),
            case("no deblocking", "176x144", "-pix_fmt yuv420p -bf 2 -x264-params no-deblock=1"),
            case("zero latency", "176x144", "-pix_fmt yuv420p -tune zerolatency"),
            case("stitchable", "176x144", "-pix_fmt yuv420p -bf 3 -x264-params stitchable=1:keyint=7"),
        ],
    );
}

#[test]
fn other_h264_is_exact() {
    check(
        Codec::H264,
        &[
            case("MBAFF", "176x144", "-pix_fmt yuv420p -flags +ildct+ilme -bf 2 -x264-params tff=1"),
            case("MBAFF cavlc", "176x160", "-pix_fmt yuv420p -flags +ildct+ilme -x264-params tff=1:cabac=0"),
            case("fake interlaced", "176x144", "-pix_fmt yuv420p -bf 2 -x264-params fake-interlaced=1"),
            case("High 10", "178x146", "-pix_fmt yuv420p10le -bf 2"),
            case("High 4:2:2", "176x144", "-pix_fmt yuv422p -bf 2"),
            case("High 4:2:2 10 bit", "176x144", "-pix_fmt yuv422p10le -bf 2"),
            case("High 4:4:4", "177x145", "-pix_fmt yuv444p -bf 2"),
            case("High 4:4:4 10 bit", "176x144", "-pix_fmt yuv444p10le -bf 2"),
            case("lossless 4:2:0", "176x144", "-pix_fmt yuv420p -qp 0 -bf 2"),
            case("lossless 4:4:4", "176x144", "-pix_fmt yuv444p -qp 0 -bf 2"),
            case("monochrome", "176x144", "-pix_fmt gray -bf 2"),
            case("MBAFF High 10", "176x160", "-pix_fmt yuv420p10le -flags +ildct+ilme -x264-params tff=1"),
        ],
    );
}

/// Half of each picture noise that costs less as raw samples, half a moving pattern.
const NOISE: &str = "-vf geq=lum='if(gt(X\\,110)\\,random(1)*255\\,p(X\\,Y))':\
                     cb='if(gt(X\\,55)\\,random(2)*255\\,p(X\\,Y))':\
                     cr='if(gt(X\\,55)\\,random(3)*255\\,p(X\\,Y))' \
                     -tune psnr -sc_threshold 0 -frames:v 12";

/// The offset makes the loop filter work at the low quantisers at which the encoder takes raw samples.
#[test]
fn encoded_raw_macroblocks_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let mut wrong = Vec::new();
    for arguments in [
        "-pix_fmt yuv420p -bf 0 -qp 8 -deblock 6:6",
        "-pix_fmt yuv420p -bf 0 -qp 8 -deblock 6:6 -coder 0",
        "-pix_fmt yuv420p -bf 0 -qp 8 -deblock 6:6 -profile:v baseline",
        "-pix_fmt yuv420p -bf 0 -qp 10 -deblock 6:6 -x264-params 8x8dct=0:weightp=0:slices=3",
        "-pix_fmt yuv420p -bf 0 -qp 10 -deblock 6:6 -refs 4 -x264-params weightp=2:mixed-refs=1:slice-max-mbs=7",
        "-pix_fmt yuv420p -bf 0 -qp 10 -deblock 6:6 -coder 0 -x264-params weightp=2:constrained-intra=1",
        "-pix_fmt yuv420p -bf 0 -crf 4 -deblock 6:6 -x264-params nal-hrd=vbr:vbv-maxrate=90000:vbv-bufsize=90000",
        "-pix_fmt yuv420p -bf 0 -qp 10 -deblock 6:6 -g 7 -x264-params cqm=jvt",
        "-pix_fmt yuv420p -bf 0 -qp 10 -deblock 6:6 -x264-params intra-refresh=1:keyint=10",
        // The filter does nothing here.
        "-pix_fmt yuv420p -bf 2 -qp 2",
        "-pix_fmt yuv420p -bf 2 -qp 2 -coder 0",
        "-pix_fmt yuv420p -bf 2 -qp 2 -flags +ildct+ilme",
        "-pix_fmt yuv422p -bf 2 -qp 2",
        "-pix_fmt yuv444p -bf 2 -qp 2",
        "-pix_fmt yuv420p10le -bf 2 -qp 2",
    ] {
        let Some(stream) = encode(Codec::H264, "176x160", &format!("-c:v libx264 {NOISE} {arguments}"))
        else {
            continue;
        };
        std::fs::write(&path, &stream).unwrap();
        if let Err(what) = compare(Codec::H264, &path) {
            wrong.push(format!("{arguments}: {what}"));
        }
        let mut bench = Bench::open(&CommonDecodeConfig::new(Codec::H264));
        bench.submit_all(&nal_access_units(Codec::H264, &stream));
        let library = bench.decoder.implementation();
        if (library == "openh264") != arguments.contains("-deblock") {
            wrong.push(format!("{arguments}: decoded by {library}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hevc_main_and_main10_are_exact() {
    check(
        Codec::Hevc,
        &[
            case("main", "176x144", "-pix_fmt yuv420p -x265-params log-level=none"),
            case("odd size", "178x146", "-pix_fmt yuv420p -x265-params log-level=none:bframes=4"),
            case("main 10", "178x146", "-pix_fmt yuv420p10le -x265-params log-level=none"),
            case(
                "open gop",
                "176x144",
                "-pix_fmt yuv420p -x265-params log-level=none:open-gop=1:keyint=10:min-keyint=1",
            ),
            case(
                "wavefronts, slices",
                "320x256",
                "-pix_fmt yuv420p -x265-params log-level=none:wpp=1:slices=2:ctu=16",
            ),
            case(
                "weighted",
                "176x144",
                "-pix_fmt yuv420p -vf fade=in:0:20 -x265-params log-level=none:weightp=1:weightb=1",
            ),
            case("lossless", "176x144", "-pix_fmt yuv420p -x265-params log-level=none:lossless=1"),
            case(
                "transform skip, amp, rect",
                "176x144",
                "-pix_fmt yuv420p -preset slow -x265-params log-level=none:tskip=1",
            ),
            case("main intra", "178x146", "-pix_fmt yuv420p -x265-params log-level=none:keyint=1"),
            case("main 10 intra", "176x144", "-pix_fmt yuv420p10le -x265-params log-level=none:keyint=1"),
            refused("4:0:0", "176x144", "-pix_fmt gray -x265-params log-level=none", "HEVC Monochrome"),
            refused("4:2:2", "176x144", "-pix_fmt yuv422p -x265-params log-level=none", "HEVC Main 4:2:2 10"),
            refused("4:4:4", "176x144", "-pix_fmt yuv444p -x265-params log-level=none", "HEVC Main 4:4:4"),
            refused("12 bit", "176x144", "-pix_fmt yuv420p12le -x265-params log-level=none", "HEVC Main 12"),
            case(
                "scaling lists",
                "176x144",
                "-pix_fmt yuv420p -x265-params log-level=none:scaling-list=default",
            ),
        ],
    );
}

#[test]
fn vp9_profiles_and_odd_sizes_are_exact() {
    check(
        Codec::Vp9,
        &[
            case("profile 0, odd", "177x145", "-pix_fmt yuv420p -deadline realtime -cpu-used 4 -b:v 300k"),
            case(
                "profile 0, alt-ref",
                "176x144",
                "-pix_fmt yuv420p -auto-alt-ref 1 -lag-in-frames 16 -cpu-used 3",
            ),
            case("profile 1, 4:4:4", "177x145", "-pix_fmt yuv444p -cpu-used 4"),
            case("profile 1, 4:2:2", "176x144", "-pix_fmt yuv422p -cpu-used 4"),
            refused("profile 1, 4:4:0", "176x144", "-pix_fmt yuv440p -cpu-used 4", "VP9 4:4:0 sampling"),
            case("profile 2, 10 bit", "178x146", "-pix_fmt yuv420p10le -cpu-used 4"),
            case("profile 3, 12 bit 4:4:4", "176x144", "-pix_fmt yuv444p12le -cpu-used 4"),
            case("lossless", "176x144", "-pix_fmt yuv420p -lossless 1 -cpu-used 4"),
        ],
    );
}

#[test]
fn av1_formats_and_odd_sizes_are_exact() {
    check(
        Codec::Av1,
        &[
            case("odd", "177x145", "-pix_fmt yuv420p -cpu-used 8 -b:v 300k"),
            case("10 bit", "178x146", "-pix_fmt yuv420p10le -cpu-used 8"),
            case("4:4:4", "177x145", "-pix_fmt yuv444p -cpu-used 8"),
            case("film grain", "176x144", "-pix_fmt yuv420p -cpu-used 8 -denoise-noise-level 20"),
            case("tiles", "320x256", "-pix_fmt yuv420p -cpu-used 8 -tiles 2x2"),
        ],
    );
}

#[test]
fn vp8_is_exact() {
    check(
        Codec::Vp8,
        &[
            case("alt-ref", "176x144", "-pix_fmt yuv420p -auto-alt-ref 1 -lag-in-frames 16 -b:v 400k"),
            case("odd", "177x145", "-pix_fmt yuv420p -deadline realtime -cpu-used 4 -b:v 300k"),
            case("four partitions", "320x256", "-pix_fmt yuv420p -slices 4 -b:v 800k"),
            case("profile 1", "176x144", "-pix_fmt yuv420p -profile:v 1 -b:v 200k"),
            case("profile 2", "176x144", "-pix_fmt yuv420p -profile:v 2 -b:v 200k"),
            case("profile 3", "178x146", "-pix_fmt yuv420p -profile:v 3 -b:v 200k"),
            case("error resilient", "176x144", "-pix_fmt yuv420p -error-resilient 1 -b:v 300k"),
        ],
    );
}
