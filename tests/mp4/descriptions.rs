//! Tracks with more than one sample description, as joining files without re-encoding makes them.

use std::path::{Path, PathBuf};

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::CommonDecodeConfig;
use video_hw::container::Demuxer;
use video_hw::packet::Packet;
use video_hw::session::{DecodeSession, Submit};

use crate::support::*;

const STBL: &str = "moov/trak/mdia/minf/stbl";

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The table entries behind the count of a full box.
fn entries(bytes: &[u8], name: &str, skip: usize) -> Vec<u8> {
    find(bytes, &format!("{STBL}/{name}")).unwrap_or_else(|| panic!("no {name}"))[skip..].to_vec()
}

/// A full box: version and flags 0, a count, and the table.
fn table(kind: &[u8], count: usize, entries: &[u8]) -> Vec<u8> {
    make_box(kind, &[words(&[0, count as u32]), entries.to_vec()].concat())
}

/// The samples of `a`, then those of `b`, as one track with the sample descriptions of both. Only video, and only
/// pictures in storage order: the tables are put behind each other.
fn join(a: &Path, b: &Path) -> Vec<u8> {
    let (a, b) = (std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    let sizes = [&a, &b].map(|file| entries(file, "stsz", 20));
    let count = |sizes: &[u8]| sizes.len() / 4;
    // Chunk offsets and runs: all samples of a file are one chunk, since there is one track.
    let media = [&a, &b].map(|file| {
        let at = word(&entries(file, "stco", 16), 0) as usize;
        let len: u32 = entries(file, "stsz", 20).chunks(4).map(|size| word(size, 0)).sum();
        file[at..at + len as usize].to_vec()
    });
    let ftyp = find(&a, "ftyp").unwrap();
    let first = ftyp.len() + 8;
    let offsets = [first, first + media[0].len()].map(|at| at as u32);
    let mut moov = find(&a, "moov").unwrap();
    let mut put = |name: &str, new: Vec<u8>| {
        moov = edit(&moov, &format!("{STBL}/{name}"), &mut |_| new.clone());
    };
    let both = |name: &str, skip: usize| [entries(&a, name, skip), entries(&b, name, skip)].concat();
    put("stsd", table(b"stsd", 2, &both("stsd", 16)));
    put(
        "stsz",
        make_box(
            b"stsz",
            &[words(&[0, 0, (count(&sizes[0]) + count(&sizes[1])) as u32]), sizes.concat()].concat(),
        ),
    );
    put("stts", table(b"stts", both("stts", 16).len() / 8, &both("stts", 16)));
    put("stco", table(b"stco", 2, &words(&offsets)));
    let runs = [1, count(&sizes[0]) as u32, 1, 2, count(&sizes[1]) as u32, 2];
    put("stsc", table(b"stsc", 2, &words(&runs)));
    let later: Vec<u8> = entries(&b, "stss", 16)
        .chunks(4)
        .flat_map(|number| (word(number, 0) + count(&sizes[0]) as u32).to_be_bytes())
        .collect();
    let sync = [entries(&a, "stss", 16), later].concat();
    put("stss", table(b"stss", sync.len() / 4, &sync));
    // The edit list and the durations state the length of the first part alone.
    moov = edit(&moov, "moov/trak/edts", &mut |_| Vec::new());
    [ftyp, make_box(b"mdat", &media.concat()), moov].concat()
}

/// Size and md5 of every picture that the software decoder makes of the samples from `skip` on.
fn decode(file: &[u8], skip: usize) -> Vec<(u32, String)> {
    use md5::{Digest, Md5};
    let mut demuxer = open_bytes(file);
    let video = demuxer.tracks()[0].video.clone().unwrap();
    let mut config = CommonDecodeConfig::new(video.codec);
    config.codec_config = video.codec_config.clone();
    let mut session = DecodeSession::new(BackendKind::Software, config).unwrap();
    let mut frames = Vec::new();
    for sample in read_all(&mut demuxer).into_iter().skip(skip) {
        let mut packet = Packet::new(video.codec, video.layout, sample.data);
        packet.keyframe = sample.keyframe;
        (packet.pts, packet.dts) = (sample.pts, sample.dts);
        while let Submit::Full(back) = session.submit(packet).unwrap() {
            packet = back;
            frames.extend(session.reap_timeout(std::time::Duration::from_millis(5)).unwrap());
        }
    }
    frames.extend(session.drain().unwrap().map(Result::unwrap));
    frames
        .iter()
        .map(|frame| {
            let md5 = Md5::digest(frame.as_host().unwrap().to_packed());
            (frame.dimensions.width(), md5.iter().map(|byte| format!("{byte:02x}")).collect())
        })
        .collect()
}

/// The same of what ffmpeg makes of a file.
fn reference(path: &Path, width: u32) -> Vec<(u32, String)> {
    let args = ["-v", "error", "-i", path.to_str().unwrap(), "-pix_fmt", "yuv420p", "-f", "framemd5", "-"];
    let text = run("ffmpeg", &args);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| (width, line.rsplit(',').next().unwrap().trim().to_owned())).collect()
}

/// Two files of different sizes, joined; `None`, loudly, where ffmpeg or the encoder is missing.
fn two_sizes(encoder: &str, args: &str) -> Option<(tempfile::TempDir, [PathBuf; 2], Vec<u8>)> {
    let source = |size: &str| format!("-f lavfi -i testsrc2=size={size}:rate=25:duration=1 {args}");
    let (dir, first) = make(&source("160x96"), "a.mp4", encoder)?;
    let second = dir.path().join("b.mp4");
    ffmpeg(&source("192x112"), &second);
    let joined = join(&first, &second);
    Some((dir, [first, second], joined))
}

const ENCODERS: [(&str, Codec, &str); 2] = [
    ("libx264", Codec::H264, "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 0 -g 10"),
    (
        "libx265",
        Codec::Hevc,
        "-pix_fmt yuv420p -c:v libx265 -tag:v hvc1 -preset ultrafast -x265-params log-level=error:bframes=0:keyint=10",
    ),
];

#[test]
fn pictures_of_another_size_go_on_in_the_same_track() {
    for (encoder, codec, args) in ENCODERS {
        let Some((_dir, [first, second], joined)) = two_sizes(encoder, args) else { continue };
        let expected = [reference(&first, 160), reference(&second, 192)].concat();
        assert_eq!(expected.len(), 50);
        let demuxer = open_bytes(&joined);
        assert_eq!(demuxer.tracks()[0].video.as_ref().unwrap().codec, codec);
        assert_eq!(demuxer.tracks()[0].sample_count, Some(50));
        assert_eq!(decode(&joined, 0), expected, "{codec}");
        // A decoder that is opened for the first description, but begins in the second part, at a sync sample
        // that is not the first behind the change.
        assert_eq!(decode(&joined, 35), expected[35..], "{codec}");
    }
}

#[test]
fn a_copy_keeps_both_sizes() {
    for (encoder, codec, args) in ENCODERS {
        let Some((dir, [first, second], joined)) = two_sizes(encoder, args) else { continue };
        let path = dir.path().join("joined.mp4");
        std::fs::write(&path, &joined).unwrap();
        let out = dir.path().join("copy.mp4");
        remux(&path, &out, true);
        assert_eq!(complaints(&out), "", "{codec}");
        let sizes = run(
            "ffprobe",
            &["-v", "error", "-show_entries", "frame=width", "-of", "csv=p=0", out.to_str().unwrap()],
        );
        let widths: Vec<u32> =
            sizes.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
        assert_eq!(widths, [[160; 25], [192; 25]].concat(), "{codec}");
        let expected = [reference(&first, 160), reference(&second, 192)].concat();
        assert_eq!(decode(&std::fs::read(&out).unwrap(), 0), expected, "{codec}");
    }
}

#[test]
fn descriptions_that_are_the_same_change_nothing() {
    let (encoder, _, args) = ENCODERS[0];
    let source = format!("-f lavfi -i testsrc2=size=160x96:rate=25:duration=1 {args}");
    let Some((_dir, path)) = make(&source, "a.mp4", encoder) else { return };
    let plain: Vec<_> = read_all(&mut open(&path)).into_iter().map(|sample| sample.data).collect();
    let joined: Vec<_> =
        read_all(&mut open_bytes(&join(&path, &path))).into_iter().map(|sample| sample.data).collect();
    assert_eq!([plain.clone(), plain].concat(), joined);
}

#[test]
fn a_description_of_another_codec_is_named() {
    let (h264, hevc) = (ENCODERS[0], ENCODERS[1]);
    let source = |args: &str| format!("-f lavfi -i testsrc2=size=160x96:rate=25:duration=1 {args}");
    let Some((dir, first)) = make(&source(h264.2), "a.mp4", h264.0) else { return };
    if !have_encoder(hevc.0) {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: this ffmpeg has no {}\n", hevc.0),
        );
        return;
    }
    let second = dir.path().join("b.mp4");
    ffmpeg(&source(hevc.2), &second);
    let mut demuxer = open_bytes(&join(&first, &second));
    for _ in 0..25 {
        demuxer.next_packet().unwrap().unwrap();
    }
    let said = demuxer.next_packet().unwrap_err().to_string();
    assert!(said.contains("sample 26 changes to sample description 2: hvc1, in a track of avc1"), "{said}");
}
