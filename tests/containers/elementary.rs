//! Raw H.264 and H.265 streams: against ffmpeg, through pipes, and against damage.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::support::streams::{ffmpeg_md5s, have, run, stream, text};
use proptest::prelude::*;
use video_hw::bitstream::annexb::nal_units;
use video_hw::bitstream::convert::{Keep, annexb_to_length_prefixed};
use video_hw::bitstream::{AvcConfig, HevcConfig};
use video_hw::codec::Codec;
use video_hw::container::elementary::{ElementaryDemuxer, ElementaryMuxer};
use video_hw::container::{Demuxer, Muxer, Track};
use video_hw::container::{Input, open_input};
use video_hw::packet::BitstreamLayout;
use video_hw::packet::Packet;

fn samples(demuxer: &mut dyn Demuxer) -> Vec<Packet> {
    std::iter::from_fn(|| demuxer.next_packet().unwrap()).collect()
}

fn open(path: &Path) -> Box<dyn Demuxer> {
    match open_input(path).unwrap() {
        Input::Demuxer(demuxer) => demuxer,
        Input::Frames(_) => panic!("{} is no stream", path.display()),
    }
}

/// Byte length and key flag of every packet.
fn ffprobe_rows(path: &Path) -> Vec<(usize, bool)> {
    run("ffprobe", &["-show_entries", "packet=size,flags", "-of", "csv=p=0", text(path)])
        .lines()
        .map(|line| {
            let (size, flags) = line.split_once(',').unwrap();
            (size.parse().unwrap(), flags.starts_with('K'))
        })
        .collect()
}

fn mux(track: &Track, samples: &[Packet]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut muxer = ElementaryMuxer::new(&mut out, "out");
    muxer.add_track(track).unwrap();
    for s in samples {
        muxer.write(s).unwrap();
    }
    let summary = muxer.finish().unwrap();
    drop(muxer);
    assert_eq!((summary.samples, summary.bytes), (samples.len() as u64, out.len() as u64));
    out
}

#[test]
fn samples_are_the_packets_of_ffprobe() {
    if !have(&["ffprobe"]) {
        return;
    }
    for (name, codec) in [
        ("groups.h264", Codec::H264),
        ("mbaff.h264", Codec::H264),
        ("slices-cavlc.h264", Codec::H264),
        ("ipbp-high.h264", Codec::H264),
        ("groups-hevc.h265", Codec::Hevc),
        ("open-groups-hevc.h265", Codec::Hevc),
        ("slices-hevc.h265", Codec::Hevc),
        ("ipbp-hevc.h265", Codec::Hevc),
    ] {
        let path = stream(name);
        let mut demuxer = open(&path);
        let video = demuxer.tracks()[0].video.clone().unwrap();
        assert_eq!(video.codec, codec);
        let entries = "stream=width,height,codec_name";
        let stream = run("ffprobe", &["-show_entries", entries, "-of", "csv=p=0", text(&path)]);
        let size = video.dimensions;
        assert_eq!(stream.trim(), format!("{codec},{},{}", size.width(), size.height()));
        let read = samples(&mut *demuxer);
        assert!(read.iter().all(|s| s.pts.is_none() && s.dts.is_none()));
        let expected = ffprobe_rows(&path);
        assert_eq!(read.len(), expected.len(), "{name}");
        for (i, (ours, theirs)) in read.iter().zip(&expected).enumerate() {
            assert_eq!(ours.keyframe, theirs.1, "{name} sample {i}");
        }
        assert_eq!(ffmpeg_md5s(&["-i", text(&path)]), {
            let dir = tempfile::tempdir().unwrap();
            let copy = dir.path().join(name);
            std::fs::write(&copy, mux(&open(&path).tracks()[0], &read)).unwrap();
            ffmpeg_md5s(&["-i", text(&copy)])
        });
    }
}

/// 12 frames with key frames 0 and 6 that x264 or x265 writes.
fn made(dir: &Path, codec: Codec) -> Option<PathBuf> {
    if !have(&["ffmpeg"]) {
        return None;
    }
    let (encoder, option, parameters) = match codec {
        Codec::H264 => ("libx264", "-x264-params", "keyint=6:min-keyint=6:scenecut=0:bframes=2:aud=1"),
        _ => (
            "libx265",
            "-x265-params",
            "keyint=6:min-keyint=6:scenecut=0:bframes=2:open-gop=0:aud=1:log-level=0",
        ),
    };
    let path = dir.join(codec.name());
    let source = "testsrc2=s=64x64:r=25";
    let args = ["-f", "lavfi", "-i", source, "-frames:v", "12", "-c:v", encoder, option, parameters];
    run("ffmpeg", &[&args[..], &["-bsf:v", "dump_extra", "-f", codec.name(), "-y", text(&path)]].concat());
    Some(path)
}

/// The samples as MP4 holds them: lengths instead of start codes, parameter sets only in the configuration.
fn length_prefixed(codec: Codec, track: &Track, read: &[Packet]) -> (Track, Vec<Packet>) {
    let mut track = track.clone();
    let video = track.video.as_mut().unwrap();
    let nals: Vec<_> = nal_units(&read[0].data).collect();
    let of_type = |wanted| -> Vec<Vec<u8>> {
        nals.iter().filter(|n| kind(codec, n) == wanted).map(|n| n.to_vec()).collect()
    };
    let config = if codec == Codec::H264 {
        video.layout = BitstreamLayout::Avcc { length_size: 4 };
        let (sps, pps) = (of_type(7), of_type(8));
        AvcConfig::from_parameter_sets(sps, pps).unwrap().build()
    } else {
        video.layout = BitstreamLayout::Hvcc { length_size: 4 };
        let sets = nals.iter().copied().filter(|n| matches!(kind(codec, n), 32..=34));
        HevcConfig::from_parameter_sets(sets, true).unwrap().build()
    };
    video.codec_config = Some(config.into());
    let converted = read
        .iter()
        .map(|sample| {
            let mut data = Vec::new();
            annexb_to_length_prefixed(codec, &sample.data, 4, Keep::WithoutParameterSets, &mut data).unwrap();
            Packet { data: data.into(), ..sample.clone() }
        })
        .collect();
    (track, converted)
}

/// The type of a NAL unit.
fn kind(codec: Codec, nal: &[u8]) -> u8 {
    if codec == Codec::Hevc { nal[0] >> 1 & 63 } else { nal[0] & 31 }
}

fn kinds(codec: Codec, data: &[u8]) -> Vec<u8> {
    nal_units(data).map(|nal| kind(codec, nal)).collect()
}

#[test]
fn length_prefixed_samples_become_a_stream_that_decodes_alike() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::Hevc] {
        let Some(path) = made(dir.path(), codec) else { continue };
        let mut demuxer = open(&path);
        let track = demuxer.tracks()[0].clone();
        let read = samples(&mut *demuxer);
        assert_eq!(read.iter().filter(|s| s.keyframe).count(), 2);
        let (track, converted) = length_prefixed(codec, &track, &read);
        let out = mux(&track, &converted);
        let sps = if codec == Codec::Hevc { 33 } else { 7 };
        let sets: Vec<_> = kinds(codec, &out).into_iter().filter(|k| *k == sps).collect();
        assert_eq!(sets.len(), 2, "one per key frame");
        let copy = dir.path().join("copy");
        std::fs::write(&copy, &out).unwrap();
        let format = ["-f", codec.name(), "-i"];
        let decode = |path: &Path| ffmpeg_md5s(&[&format[..], &[text(path)]].concat());
        let expected = decode(&path);
        assert_eq!(expected.len(), 12);
        assert_eq!(decode(&copy), expected);

        // From the second key frame on: the stream begins with its parameter sets again.
        let second = converted.iter().rposition(|s| s.keyframe).unwrap();
        std::fs::write(&copy, mux(&track, &converted[second..])).unwrap();
        assert_eq!(decode(&copy), expected[6..]);
    }
}

#[test]
fn parameter_sets_are_put_in_where_they_are_absent_and_behind_the_delimiter() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::Hevc] {
        let Some(path) = made(dir.path(), codec) else { continue };
        let mut demuxer = open(&path);
        let mut track = demuxer.tracks()[0].clone();
        let read = samples(&mut *demuxer);
        // The stream has its own: nothing is added, with a configuration or without.
        let plain = mux(&track, &read);
        let (prefixed_track, _) = length_prefixed(codec, &track, &read);
        track.video.as_mut().unwrap().codec_config = prefixed_track.video.unwrap().codec_config;
        assert_eq!(mux(&track, &read), plain);
        // Taken out, they are put back behind the delimiter.
        let bare: Vec<_> = read
            .iter()
            .map(|sample| {
                let mut data = Vec::new();
                for nal in nal_units(&sample.data) {
                    let set = match codec {
                        Codec::Hevc => matches!(kind(codec, nal), 32..=34),
                        _ => matches!(kind(codec, nal), 7 | 8),
                    };
                    if !set {
                        data.extend_from_slice(&[0, 0, 0, 1]);
                        data.extend_from_slice(nal);
                    }
                }
                Packet { data: data.into(), ..sample.clone() }
            })
            .collect();
        let back = mux(&track, &bare);
        let begin: &[u8] = if codec == Codec::Hevc { &[35, 32, 33, 34] } else { &[9, 7, 8] };
        assert!(kinds(codec, &bare[0].data).starts_with(&begin[..1]), "the encoder writes delimiters");
        assert!(kinds(codec, &back).starts_with(begin), "{:?}", kinds(codec, &back));
        let without: Vec<_> = kinds(codec, &back).into_iter().filter(|k| !begin[1..].contains(k)).collect();
        let bare_kinds: Vec<_> = bare.iter().flat_map(|s| kinds(codec, &s.data)).collect();
        assert_eq!(without, bare_kinds);
        assert_eq!(kinds(codec, &back).len(), bare_kinds.len() + 2 * (begin.len() - 1));
    }
}

#[test]
fn pipes_carry_streams() {
    let dir = tempfile::tempdir().unwrap();
    for codec in [Codec::H264, Codec::Hevc] {
        let Some(path) = made(dir.path(), codec) else { continue };
        let expected: Vec<_> = samples(&mut *open(&path)).into_iter().map(|s| s.data).collect();
        let (reader, mut writer) = io::pipe().unwrap();
        let file = std::fs::read(&path).unwrap();
        let thread = std::thread::spawn(move || {
            for chunk in file.chunks(7) {
                writer.write_all(chunk).unwrap();
            }
        });
        let mut demuxer = ElementaryDemuxer::new(reader, "-", codec).unwrap();
        let got: Vec<_> = samples(&mut demuxer).into_iter().map(|s| s.data).collect();
        thread.join().unwrap();
        assert_eq!(got, expected);
    }
}

#[test]
fn streams_without_parameter_sets_are_refused() {
    let error = |bytes: &[u8], codec| ElementaryDemuxer::new(bytes, "a", codec).err().unwrap().to_string();
    assert!(error(&[0, 0, 1, 0x65, 0x88, 0x80], Codec::H264).contains("no h264 picture with its"));
    assert!(error(b"", Codec::Hevc).contains("no hevc picture with its"));
    assert!(error(b"", Codec::Vp9).contains("vp9"));
    let endless = ElementaryDemuxer::new(io::repeat(0), "a", Codec::H264).err().unwrap().to_string();
    assert!(endless.contains("67108864 bytes"), "an endless source of nothing ends: {endless}");
}

#[test]
fn the_muxer_refuses_what_is_no_stream() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = made(dir.path(), Codec::H264) else { return };
    let mut demuxer = open(&path);
    let track = demuxer.tracks()[0].clone();
    let sample = demuxer.next_packet().unwrap().unwrap();
    let changed = |change: fn(&mut Track)| {
        let mut track = track.clone();
        change(&mut track);
        ElementaryMuxer::new(io::sink(), "a").add_track(&track).err().unwrap().to_string()
    };
    assert!(changed(|t| t.video = None).contains("elementary stream"));
    assert!(changed(|t| t.video.as_mut().unwrap().codec = Codec::Av1).contains("elementary stream"));
    let hvcc = |t: &mut Track| t.video.as_mut().unwrap().layout = BitstreamLayout::Hvcc { length_size: 4 };
    assert!(changed(hvcc).contains("hvcc"));
    assert!(!changed(|t| t.video.as_mut().unwrap().codec_config = Some(vec![1, 2].into())).is_empty());
    let mut muxer = ElementaryMuxer::new(io::sink(), "a");
    assert!(muxer.write(&sample).is_err(), "no track yet");
    let mut avcc = track.clone();
    avcc.video.as_mut().unwrap().layout = BitstreamLayout::Avcc { length_size: 4 };
    muxer.add_track(&avcc).unwrap();
    assert!(muxer.add_track(&avcc).is_err());
    let broken = Packet { data: vec![0, 0, 0, 9, 1].into(), ..sample };
    assert!(muxer.write(&broken).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        hevc in any::<bool>(),
        bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 2 => Just(1), 5 => any::<u8>()], 0..600),
    ) {
        let codec = if hevc { Codec::Hevc } else { Codec::H264 };
        if let Ok(mut demuxer) = ElementaryDemuxer::new(&bytes[..], "a", codec) {
            while let Ok(Some(_)) = demuxer.next_packet() {}
        }
    }
}
