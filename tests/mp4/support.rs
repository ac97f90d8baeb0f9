//! Making files with ffmpeg and asking ffprobe what is in them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use video_hw::container::mp4::{Mp4Demuxer, Mp4MuxOptions, Mp4Muxer};
use video_hw::container::{Demuxer, Muxer, TrackId};
use video_hw::packet::Packet;

/// Whether ffmpeg and ffprobe can be run; says so loudly where not.
pub(crate) fn have_ffmpeg(test: &str) -> bool {
    let runs = |tool: &str| Command::new(tool).arg("-version").output().is_ok_and(|o| o.status.success());
    let both = runs("ffmpeg") && runs("ffprobe");
    if !both {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {test}: ffmpeg and ffprobe are not installed\n"),
        );
    }
    both
}

/// Whether ffmpeg has this encoder.
pub(crate) fn have_encoder(name: &str) -> bool {
    let list = run("ffmpeg", &["-hide_banner", "-encoders"]);
    list.lines().any(|line| line.split_whitespace().nth(1) == Some(name))
}

/// Runs a tool and returns its standard output; a failure is shown with what it printed.
pub(crate) fn run(tool: &str, args: &[&str]) -> String {
    let output = Command::new(tool).args(args).output().expect("tool starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {args:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs ffmpeg with these arguments (split at blanks) and the output path last.
pub(crate) fn ffmpeg(args: &str, output: &Path) {
    let mut all = vec!["-v", "error", "-nostdin", "-y"];
    all.extend(args.split_whitespace());
    all.push(output.to_str().unwrap());
    run("ffmpeg", &all);
}

/// One packet, as ffprobe or as the demuxer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) duration: u64,
    pub(crate) size: usize,
    pub(crate) key: bool,
    pub(crate) discard: bool,
}

/// The packets of the stream with this index, in ffprobe's view.
pub(crate) fn probe(path: &Path, stream: usize) -> Vec<Row> {
    probe_input(Stdio::null(), path.to_str().unwrap(), stream)
}

/// As [`probe`], of what ffprobe calls `name`: a file, or its standard input.
pub(crate) fn probe_input(input: Stdio, name: &str, stream: usize) -> Vec<Row> {
    let entries = "packet=pts,dts,duration,size,flags";
    let stream = stream.to_string();
    let args =
        ["-v", "error", "-select_streams", &stream, "-show_entries", entries, "-of", "compact=p=0", name];
    let output = Command::new("ffprobe").args(args).stdin(input).output().expect("ffprobe starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let row = |line: &str| {
        let field = |name: &str| {
            line.split('|')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or("N/A")
                .to_owned()
        };
        let flags = field("flags");
        Row {
            pts: field("pts").parse().unwrap_or(i64::MIN),
            dts: field("dts").parse().unwrap_or(i64::MIN),
            duration: field("duration").parse().unwrap_or(0),
            size: field("size").parse().unwrap(),
            key: flags.contains('K'),
            discard: flags.contains('D'),
        }
    };
    text.lines().filter(|line| line.contains("size=")).map(row).collect()
}

pub(crate) fn open(path: &Path) -> Mp4Demuxer {
    Mp4Demuxer::open(File::open(path).unwrap(), path.to_owned()).unwrap()
}

pub(crate) fn read_all(demuxer: &mut Mp4Demuxer) -> Vec<Packet> {
    let mut samples = Vec::new();
    while let Some(sample) = demuxer.next_packet().unwrap() {
        samples.push(sample);
    }
    samples
}

pub(crate) fn row(sample: &Packet) -> Row {
    Row {
        pts: sample.pts.unwrap().ticks(),
        dts: sample.dts.unwrap().ticks(),
        duration: sample.duration.unwrap(),
        size: sample.data.len(),
        key: sample.keyframe,
        discard: sample.discard,
    }
}

/// The packets of one track, in the demuxer's view.
pub(crate) fn rows(samples: &[Packet], track: TrackId) -> Vec<Row> {
    samples.iter().filter(|s| s.track == track).map(row).collect()
}

/// A folder that is removed again, and a file name in it.
pub(crate) fn scratch(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}

/// Copies every track of `from` through demuxer and muxer.
pub(crate) fn remux(from: &Path, to: &Path, faststart: bool) {
    let mut demuxer = open(from);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(to).unwrap();
    let options = Mp4MuxOptions::default().path(to.to_owned());
    let mut muxer = if faststart {
        Mp4Muxer::create_faststart(file, options).unwrap()
    } else {
        Mp4Muxer::create(file, options).unwrap()
    };
    let ids: Vec<(TrackId, TrackId)> =
        demuxer.tracks().iter().map(|track| (track.id, muxer.add_track(track).unwrap())).collect();
    let mut count = 0;
    while let Some(mut sample) = demuxer.next_packet().unwrap() {
        sample.track = ids.iter().find(|(old, _)| *old == sample.track).unwrap().1;
        muxer.write(&sample).unwrap();
        count += 1;
    }
    let summary = muxer.finish().unwrap();
    assert_eq!(summary.samples, count);
    assert_eq!(summary.bytes, std::fs::metadata(to).unwrap().len());
}

/// Three seconds of moving picture at 25 frames per second.
pub(crate) const PICTURE: &str = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=3";
/// Three seconds of sound.
pub(crate) const SOUND: &str = "-f lavfi -i sine=frequency=440:duration=3:sample_rate=44100";
/// H.264 with reordered pictures, and AAC.
pub(crate) const BOTH: &str = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=3 -f lavfi -i \
                               sine=frequency=440:duration=3:sample_rate=44100 -c:v libx264 -preset veryfast -bf 3 -g 20 -c:a aac";
/// Encoders and how to use them.
pub(crate) const CODECS: [(&str, &str); 4] = [
    ("libx264", "-c:v libx264 -preset veryfast -bf 3 -g 20"),
    ("libx265", "-c:v libx265 -preset ultrafast -g 20 -x265-params log-level=error:bframes=3"),
    ("libvpx-vp9", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 20"),
    ("libsvtav1", "-c:v libsvtav1 -preset 12 -g 20"),
];

/// Makes a file; `None`, loudly, where ffmpeg or the encoder is missing.
pub(crate) fn make(args: &str, name: &str, encoder: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    if !have_ffmpeg(name) {
        return None;
    }
    if !have_encoder(encoder) {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {args}: this ffmpeg has no {encoder}\n"),
        );
        return None;
    }
    let (dir, path) = scratch(name);
    ffmpeg(args, &path);
    Some((dir, path))
}

/// The md5 of every decoded frame with its time, or of every packet with `copy`.
pub(crate) fn frame_md5(path: &Path, copy: bool) -> String {
    let codec = if copy { "-c copy" } else { "-vsync passthrough" };
    let args = format!("-v error -i {} {codec} -map 0:v? -map 0:a? -f framemd5 -", path.display());
    let args: Vec<&str> = args.split_whitespace().collect();
    run("ffmpeg", &args)
}

/// What ffmpeg complains about when it decodes everything.
pub(crate) fn complaints(path: &Path) -> String {
    let args = ["-v", "error", "-i", path.to_str().unwrap(), "-f", "null", "-"];
    let output = Command::new("ffmpeg").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The whole boxes in these bytes.
pub(crate) fn boxes(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while bytes.len() >= 8 {
        let len = match u32::from_be_bytes(bytes[..4].try_into().unwrap()) {
            0 => bytes.len(),
            1 => u64::from_be_bytes(bytes[8..16].try_into().unwrap()) as usize,
            len => len as usize,
        };
        let (one, rest) = bytes.split_at(len);
        found.push(one);
        bytes = rest;
    }
    found
}

/// A box around a payload.
pub(crate) fn make_box(kind: &[u8], payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 8).to_be_bytes(), kind, payload].concat()
}

/// Big-endian words.
pub(crate) fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// Replaces every box at the end of this path (types joined by `/`) by what `change` makes of it, and corrects the
/// sizes around it. Offsets in tables are not touched: edit what lies behind the media data.
pub(crate) fn edit(bytes: &[u8], path: &str, change: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (kind, rest) = path.split_once('/').map_or((path, None), |(kind, rest)| (kind, Some(rest)));
    let mut out = Vec::new();
    for one in boxes(bytes) {
        match rest {
            _ if one[4..8] != *kind.as_bytes() => out.extend(one),
            Some(rest) => out.extend(make_box(&one[4..8], &edit(&one[8..], rest, change))),
            None => out.extend(change(one)),
        }
    }
    out
}

/// The first box at the end of this path.
pub(crate) fn find(bytes: &[u8], path: &str) -> Option<Vec<u8>> {
    let mut found = None;
    edit(bytes, path, &mut |one| {
        found.get_or_insert_with(|| one.to_vec());
        one.to_vec()
    });
    found
}

pub(crate) fn open_bytes(bytes: &[u8]) -> Mp4Demuxer {
    Mp4Demuxer::open(std::io::Cursor::new(bytes.to_vec()), PathBuf::from("crafted.mp4")).unwrap()
}

/// Copies every track of `demuxer` into `muxer`.
pub(crate) fn copy_all(demuxer: &mut Mp4Demuxer, muxer: &mut dyn Muxer) {
    let ids: Vec<(TrackId, TrackId)> =
        demuxer.tracks().iter().map(|track| (track.id, muxer.add_track(track).unwrap())).collect();
    while let Some(mut sample) = demuxer.next_packet().unwrap() {
        sample.track = ids.iter().find(|(old, _)| *old == sample.track).unwrap().1;
        muxer.write(&sample).unwrap();
    }
    muxer.finish().unwrap();
}
