//! Making files with ffmpeg and asking ffprobe what is in them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::container::mp4::Mp4Demuxer;
use video_hw::container::{Demuxer, Sample, TrackId};

/// Whether ffmpeg and ffprobe can be run; says so loudly where not.
pub(crate) fn have_ffmpeg(test: &str) -> bool {
    let runs = |tool: &str| Command::new(tool).arg("-version").output().is_ok_and(|o| o.status.success());
    let both = runs("ffmpeg") && runs("ffprobe");
    if !both {
        eprintln!("SKIPPED: {test}: ffmpeg and ffprobe are not installed");
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
    let entries = "packet=pts,dts,duration,size,flags";
    let stream = stream.to_string();
    let path = path.to_str().unwrap();
    let text = run(
        "ffprobe",
        &["-v", "error", "-select_streams", &stream, "-show_entries", entries, "-of", "compact=p=0", path],
    );
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

pub(crate) fn read_all(demuxer: &mut Mp4Demuxer) -> Vec<Sample> {
    let mut samples = Vec::new();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        samples.push(sample);
    }
    samples
}

pub(crate) fn row(sample: &Sample) -> Row {
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
pub(crate) fn rows(samples: &[Sample], track: TrackId) -> Vec<Row> {
    samples.iter().filter(|s| s.track == track).map(row).collect()
}

/// A folder that is removed again, and a file name in it.
pub(crate) fn scratch(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}
