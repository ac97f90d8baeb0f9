//! Access units and headers against streams with known frame counts, judged by ffprobe.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bitstream::annexb::nal_units;
use crate::bitstream::h264::poc::PocDecoder;
use crate::bitstream::h264::{ParameterSets, SliceHeader, SliceIdentity};
use crate::bitstream::hevc::HevcConfig;
use crate::bitstream::{AccessUnit, AccessUnitAssembler, StreamInfo};
use crate::codec::Codec;
use crate::packet::BitstreamLayout;
use crate::pixel::Chroma;

/// The streams of `tests/data/streams` whose names have one of these ends, each with the number of frames in it.
fn streams(ends: &[&str]) -> Vec<(PathBuf, usize)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/streams");
    let mut streams = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if ends.iter().any(|end| path.to_string_lossy().ends_with(end)) {
            let sums = std::fs::read_to_string(path.with_extension("md5")).unwrap();
            streams.push((path, sums.lines().count()));
        }
    }
    streams.sort();
    streams
}

/// Streams with NAL units, with their codec.
fn nal_streams() -> Vec<(PathBuf, Codec, usize)> {
    let streams = streams(&[".h264", ".h265"]);
    assert!(streams.len() >= 30, "only {} streams found", streams.len());
    let codec =
        |path: &Path| if path.extension().is_some_and(|e| e == "h264") { Codec::H264 } else { Codec::Hevc };
    streams.into_iter().map(|(path, frames)| (path.clone(), codec(&path), frames)).collect()
}

fn units(codec: Codec, data: &[u8], chunk: usize) -> Vec<AccessUnit> {
    let mut assembler = AccessUnitAssembler::new(codec).unwrap();
    let mut units = Vec::new();
    for piece in data.chunks(chunk) {
        assembler.push(piece).unwrap();
        units.extend(std::iter::from_fn(|| assembler.next_unit()));
    }
    assembler.finish();
    units.extend(std::iter::from_fn(|| assembler.next_unit()));
    units
}

#[test]
fn one_unit_for_each_frame() {
    let mut wrong = Vec::new();
    for (path, codec, frames) in nal_streams() {
        let data = std::fs::read(&path).unwrap();
        let found = units(codec, &data, data.len()).iter().filter(|u| u.has_picture).count();
        if found != frames {
            wrong.push(format!("{}: {found} units, {frames} frames", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Output of a run of ffmpeg or ffprobe; `None`, said loudly, where the program is absent.
fn judge(program: &str, arguments: &[&str], files: &[&Path]) -> Option<String> {
    let output = match Command::new(program).args(arguments).args(files).output() {
        Ok(output) => output,
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("SKIPPED: {program} cannot be run: {error}\n"),
            );
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} {files:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn pixel_format(info: &StreamInfo) -> String {
    let base = match info.chroma {
        Chroma::Monochrome if info.bit_depth() == 8 => "gray",
        Chroma::Monochrome => return format!("gray{}le", info.bit_depth()),
        Chroma::Yuv420 => "yuv420p",
        Chroma::Yuv422 => "yuv422p",
        Chroma::Yuv444 => "yuv444p",
    };
    match info.bit_depth() {
        8 => base.to_owned(),
        depth => format!("{base}{depth}le"),
    }
}

/// Compares what the first unit says with ffprobe: size, profile, format, level.
fn check_headers(path: &Path, codec: Codec) {
    let data = std::fs::read(path).unwrap();
    let first = units(codec, &data, 4096).remove(0);
    let info = StreamInfo::from_unit(codec, BitstreamLayout::AnnexB, &first.data).unwrap().unwrap();
    let arguments = ["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"];
    let entries = ["-show_entries", "stream=profile,width,height,pix_fmt,level"];
    let Some(said) = judge("ffprobe", &[&arguments[..], &entries].concat(), &[path]) else { return };
    let level = match codec {
        Codec::H264 if info.level == "1b" => "11".to_owned(),
        Codec::H264 => format!("{:.0}", info.level.parse::<f64>().unwrap() * 10.0),
        _ => format!("{:.0}", info.level.trim_end_matches(" High").parse::<f64>().unwrap() * 30.0),
    };
    // ffprobe has one name for all range extension profiles, and another for full range 4:2:0.
    let name = if said.starts_with("Rext,") { "Rext" } else { &info.profile_name };
    let size = info.dimensions;
    let ours = format!("{name},{},{},{},{level}", size.width(), size.height(), pixel_format(&info));
    assert_eq!(ours, said.trim().replace("yuvj", "yuv"), "{}", path.display());
}

#[test]
fn headers_agree_with_ffprobe() {
    for (path, codec, _) in nal_streams() {
        check_headers(&path, codec);
    }
}

/// Offsets of the frames of an H.264 stream in output order, by picture order count.
fn output_order(units: &[AccessUnit]) -> Vec<u64> {
    let (mut sets, mut poc) = (ParameterSets::new(), PocDecoder::new());
    let mut keyed = Vec::new();
    for unit in units.iter().filter(|u| u.has_picture) {
        let mut last: Option<SliceIdentity> = None;
        let mut key = None;
        for nal in nal_units(&unit.data) {
            if sets.insert(nal).unwrap() {
                continue;
            }
            let Ok(header) = SliceHeader::parse(nal, &sets) else { continue };
            let id = header.identity;
            if id.redundant_pic_cnt > 0 || last.is_some_and(|last| !id.starts_new_picture(&last)) {
                continue;
            }
            last = Some(id);
            let (sps, _) = sets.active(id.pps_id).unwrap();
            let order = poc.next_picture(sps, &header).key();
            key = Some(key.map_or(order, |first: (u64, i32)| first.min(order)));
        }
        keyed.push((key.unwrap(), unit.offset));
    }
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, offset)| offset).collect()
}

#[test]
fn picture_order_counts_give_the_display_order() {
    for (path, codec, frames) in nal_streams() {
        // Of a frame of two fields ffprobe tells the place of the second.
        let of_fields = path.file_name().unwrap().to_string_lossy().starts_with("fields");
        if codec != Codec::H264 || of_fields {
            continue;
        }
        let arguments = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pkt_pos"];
        let Some(said) = judge("ffprobe", &[&arguments[..], &["-of", "csv=p=0"]].concat(), &[&path]) else {
            return;
        };
        // Side data gives lines of its own, with nothing in the first column.
        let positions = said.lines().filter_map(|l| l.split(',').next()).filter(|p| !p.is_empty());
        let judged: Vec<u64> = positions.map(|p| p.parse().unwrap()).collect();
        let ours = output_order(&units(codec, &std::fs::read(&path).unwrap(), 65_536));
        assert_eq!(ours.len(), frames);
        assert_eq!(ours, judged, "{}", path.display());
    }
}

/// Streams made by ffmpeg in containers, where the display order is in the timestamps.
#[test]
fn encoder_output_agrees_with_its_container() {
    let dir = tempfile::tempdir().unwrap();
    let x264 = |extra: &str| format!("-c:v libx264 -preset veryfast -x264-params {extra}");
    let x265 = |extra: &str| format!("-c:v libx265 -preset ultrafast -x265-params log-level=none:{extra}");
    let cases = [
        (Codec::H264, "yuv420p", x264("bframes=3:b-pyramid=normal:keyint=20:aud=1")),
        (Codec::H264, "yuv420p", x264("bframes=2:open-gop=1:keyint=12:slices=4:weightp=2")),
        (Codec::H264, "yuv420p", x264("bframes=0:intra-refresh=1")),
        (Codec::H264, "yuv420p", x264("bframes=2:tff=1:slices=2")),
        (Codec::H264, "yuv422p10le", x264("bframes=1:sliced-threads=1")),
        (Codec::H264, "yuv444p", x264("qp=0:fullrange=on:colormatrix=bt709:colorprim=bt709:transfer=bt709")),
        (Codec::Hevc, "yuv420p", x265("bframes=4:keyint=10:slices=3")),
        (
            Codec::Hevc,
            "yuv420p10le",
            x265("open-gop=1:keyint=8:aud=1:repeat-headers=1:hrd=1:vbv-bufsize=500:vbv-maxrate=500"),
        ),
        (Codec::Hevc, "yuv422p12le", x265("bframes=0:temporal-layers=1")),
        (Codec::Hevc, "gray", x265("scaling-list=default:strong-intra-smoothing=0:range=full:sar=4\\:3")),
    ];
    for (n, (codec, format, options)) in cases.iter().enumerate() {
        let mp4 = dir.path().join(format!("{n}.mp4"));
        let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=194x148:r=25:d=2", "-pix_fmt", format];
        let options: Vec<&str> = options.split(' ').collect();
        if judge("ffmpeg", &[&source[..], &options].concat(), &[&mp4]).is_none() {
            return;
        }
        let raw = dir.path().join(format!("{n}.{codec}"));
        let copy = ["-v", "error", "-i", mp4.to_str().unwrap(), "-c", "copy", "-f", codec.name()];
        judge("ffmpeg", &copy, &[&raw]).unwrap();
        check_headers(&raw, *codec);
        let arguments = ["-v", "error", "-show_entries", "packet=pts,flags", "-of", "csv=p=0"];
        let said = judge("ffprobe", &arguments, &[&mp4]).unwrap();
        let packets: Vec<(i64, bool)> = said
            .lines()
            .map(|l| l.split_once(',').unwrap())
            .map(|(pts, flags)| (pts.parse().unwrap(), flags.starts_with('K')))
            .collect();
        let units = units(*codec, &std::fs::read(&raw).unwrap(), 1000);
        assert_eq!(units.len(), packets.len(), "case {n}");
        for (i, (unit, packet)) in units.iter().zip(&packets).enumerate() {
            // ffmpeg also flags H.264 recovery points.
            assert_eq!(unit.keyframe || unit.recovery_point, packet.1, "case {n}, unit {i}");
        }
        if *codec == Codec::H264 {
            let mut judged: Vec<_> = packets.iter().zip(&units).map(|(p, u)| (p.0, u.offset)).collect();
            judged.sort_unstable();
            let judged: Vec<_> = judged.into_iter().map(|(_, offset)| offset).collect();
            assert_eq!(output_order(&units), judged, "case {n}");
        }
        check_config(&mp4, *codec, &units);
    }
}

/// The configuration record that ffmpeg put into the file: read, and rebuilt from the stream.
fn check_config(mp4: &Path, codec: Codec, units: &[AccessUnit]) {
    let file = std::fs::read(mp4).unwrap();
    let name = if codec == Codec::H264 { b"avcC" } else { b"hvcC" };
    let at = file.windows(4).position(|w| w == name).unwrap();
    let size = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
    let record = &file[at + 4..at - 4 + size];
    let in_band = StreamInfo::from_unit(codec, BitstreamLayout::AnnexB, &units[0].data).unwrap();
    assert_eq!(StreamInfo::from_config(codec, record).unwrap(), in_band);
    let rebuilt = if codec == Codec::H264 {
        use crate::bitstream::h264::{AvcConfig, NAL_PPS, NAL_SPS, nal_type};
        let of_type = |wanted| {
            let all = nal_units(&units[0].data).filter(|nal| nal_type(nal) == Some(wanted));
            all.map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        AvcConfig::from_parameter_sets(of_type(NAL_SPS), of_type(NAL_PPS)).unwrap().build()
    } else {
        // ffmpeg also keeps SEI messages of the encoder and writes hev1, so take its own units.
        let theirs = HevcConfig::parse(record).unwrap();
        assert_eq!(theirs.build(), record);
        let ours = HevcConfig::from_parameter_sets(theirs.units(), false).unwrap();
        let mut theirs = theirs;
        theirs.arrays.retain(|a| a.nal_type != crate::bitstream::hevc::NAL_SEI_PREFIX);
        assert_eq!(ours, theirs);
        return;
    };
    assert_eq!(rebuilt, record);
}

/// Frames of an IVF file: a header of 32 bytes, then size (4), time (8) and data of each.
fn ivf_frames(file: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), &file[32..]);
    while let Some((header, behind)) = rest.split_at_checked(12) {
        let size = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        let (frame, behind) = behind.split_at(size);
        frames.push(frame);
        rest = behind;
    }
    frames
}

#[test]
fn av1_vp9_and_vp8_headers_agree_with_ffprobe() {
    use crate::bitstream::{av1, vp8, vp9};
    for (path, codec) in [("vp8.ivf", Codec::Vp8), ("vp9.ivf", Codec::Vp9), ("av1.ivf", Codec::Av1)]
        .into_iter()
        .flat_map(|(end, codec)| streams(&[end]).into_iter().map(move |(path, _)| (path, codec)))
    {
        let name = path.file_name().unwrap().to_str().unwrap();
        let file = std::fs::read(&path).unwrap();
        let frames = ivf_frames(&file);
        let layout = BitstreamLayout::elementary(codec);
        let info = StreamInfo::from_unit(codec, layout, frames[0]).unwrap().unwrap();
        let arguments = ["-v", "error", "-show_entries", "stream=width,height,pix_fmt", "-of", "csv=p=0"];
        let Some(said) = judge("ffprobe", &arguments, &[&path]) else { return };
        let size = info.dimensions;
        assert_eq!(
            format!("{},{},{}", size.width(), size.height(), pixel_format(&info)),
            said.trim(),
            "{name}"
        );
        let arguments = ["-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0"];
        let said = judge("ffprobe", &arguments, &[&path]).unwrap();
        let theirs: Vec<bool> = said.lines().map(|l| l.starts_with('K')).collect();
        let is_key = |frame: &&[u8]| match codec {
            Codec::Av1 => av1::is_keyframe(frame),
            Codec::Vp8 => vp8::FrameHeader::parse(frame).unwrap().keyframe,
            _ => vp9::FrameHeader::parse(vp9::frames(frame)[0]).unwrap().keyframe,
        };
        let ours: Vec<bool> = frames.iter().map(is_key).collect();
        assert_eq!(ours, theirs, "{name}");
        if codec == Codec::Av1 {
            let config = av1::Av1Config::from_temporal_unit(frames[0]).unwrap().build();
            assert_eq!(StreamInfo::from_config(codec, &config).unwrap(), Some(info));
        }
    }
}
