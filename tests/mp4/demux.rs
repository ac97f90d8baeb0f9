//! What the demuxer reads is what ffprobe reads.

use crate::support::*;
use video_hw::container::Demuxer;

/// 3 seconds of moving picture at 25 frames per second, and sound.
const PICTURE: &str = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=3";
const SOUND: &str = "-f lavfi -i sine=frequency=440:duration=3:sample_rate=44100";

fn check(name: &str, args: &str, file: &str) {
    if !have_ffmpeg(name) {
        return;
    }
    let (_dir, path) = scratch(file);
    ffmpeg(args, &path);
    compare(&path, name);
}

fn compare(path: &std::path::Path, name: &str) {
    let mut demuxer = open(path);
    let tracks = demuxer.tracks().to_vec();
    let samples = read_all(&mut demuxer);
    for (index, track) in tracks.iter().enumerate() {
        let ours = rows(&samples, track.id);
        let theirs = probe(path, index);
        assert_eq!(ours.len(), theirs.len(), "{name}: packets of track {index} ({})", track.codec_name);
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours, theirs, "{name}: packet {number} of track {index} ({})", track.codec_name);
        }
    }
}

#[test]
fn explore() {
    let b = format!("{PICTURE} {SOUND} -c:v libx264 -preset veryfast -bf 3 -g 20 -c:a aac");
    for (name, args, file) in [
        ("h264", b.clone(), "a.mp4"),
        ("faststart", format!("{b} -movflags faststart"), "a.mp4"),
        ("mov", b.clone(), "a.mov"),
        ("frag", format!("{b} -movflags frag_keyframe+empty_moov"), "a.mp4"),
        ("fragbase", format!("{b} -movflags frag_keyframe+empty_moov+default_base_moof"), "a.mp4"),
        ("fragplain", format!("{b} -movflags frag_keyframe"), "a.mp4"),
        ("fragdelay", format!("{b} -movflags frag_keyframe+delay_moov"), "a.mp4"),
        ("negcts", format!("{b} -movflags negative_cts_offsets"), "a.mp4"),
        ("vfr", format!("{PICTURE} -vf setpts='N*N*0.02+N/25/TB' -vsync vfr -c:v libx264 -bf 3"), "a.mp4"),
        (
            "hevc",
            format!("{PICTURE} -c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=3"),
            "a.mp4",
        ),
        ("vp9", format!("{PICTURE} -c:v libvpx-vp9 -deadline realtime -cpu-used 8"), "a.mp4"),
        ("av1", format!("{PICTURE} -c:v libsvtav1 -preset 12"), "a.mp4"),
        ("pcm", format!("{PICTURE} {SOUND} -c:v libx264 -bf 2 -c:a pcm_s16le"), "a.mov"),
    ] {
        let name = name.to_owned();
        let r = std::panic::catch_unwind(|| check(&name, &args, file));
        eprintln!("{name}: {}", r.is_ok());
    }
}
