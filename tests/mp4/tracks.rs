//! Tracks beside the usual picture and sound: more pictures, time codes, text, QuickTime sound, VP8.

use std::path::Path;

use video_hw::container::ivf::IvfDemuxer;
use video_hw::container::mp4::{Mp4MuxOptions, Mp4Muxer};
use video_hw::container::{Demuxer, Muxer, Sample};

use crate::support::*;

/// A copy has the same packets and frames.
fn check_copy(path: &Path, judge: impl Fn(&mut Row)) {
    let out = path.with_file_name("copy.mp4");
    remux(path, &out, false);
    for stream in 0..open(path).tracks().len() {
        let (mut before, mut after) = (probe(path, stream), probe(&out, stream));
        before.iter_mut().chain(&mut after).for_each(&judge);
        assert_eq!(before, after, "stream {stream} of {}", path.display());
    }
    assert_eq!(complaints(&out), "", "{}", path.display());
    assert_eq!(frame_md5(path, false), frame_md5(&out, false), "{}", path.display());
}

/// The demuxer sees what ffprobe sees.
fn check_read(path: &Path) {
    let mut demuxer = open(path);
    let tracks = demuxer.tracks().to_vec();
    let samples = read_all(&mut demuxer);
    for (stream, track) in tracks.iter().enumerate() {
        assert_eq!(rows(&samples, track.id), probe(path, stream), "stream {stream} of {}", path.display());
    }
}

#[test]
fn quicktime_sound_descriptions_of_every_version() {
    if !have_ffmpeg("quicktime sound") {
        return;
    }
    let sound =
        |rate: u32, channels: u32| format!("-f lavfi -i sine=duration=1.5:sample_rate={rate} -ac {channels}");
    for (args, version, kind) in [
        (format!("{} -c:a aac", sound(44_100, 2)), 1, "mp4a"),
        (format!("{} -c:a aac", sound(96_000, 1)), 2, "mp4a"),
        (format!("{} -c:a pcm_s16le", sound(48_000, 2)), 0, "sowt"),
        (format!("{} -c:a pcm_s24le", sound(48_000, 1)), 1, "in24"),
        (format!("{} -c:a pcm_f32le", sound(44_100, 2)), 1, "fl32"),
        (format!("{} -c:a pcm_s16le", sound(96_000, 2)), 2, "lpcm"),
        (format!("{} -c:a pcm_mulaw", sound(8000, 1)), 0, "ulaw"),
    ] {
        let (dir, path) = scratch("a.mov");
        ffmpeg(&args, &path);
        let track = open(&path).tracks()[0].clone();
        let entry = track.copy.unwrap().sample_entry;
        assert_eq!((entry[17], track.codec_name.as_str()), (version, kind), "{args}");
        assert_eq!(
            find(&entry[if version == 1 { 52 } else { 72 }.min(entry.len())..], "wave").is_some(),
            kind == "mp4a" || version == 1
        );
        check_read(&path);
        check_copy(&path, |_| {});
        let out = dir.path().join("copy.mp4");
        assert_eq!(open(&out).tracks()[0].copy.as_ref().unwrap().sample_entry, entry, "{args}");
        if kind != "mp4a" {
            // The tables count PCM frames, as those of the source.
            for table in ["stsz", "stts"] {
                let of = |path: &Path| {
                    find(&std::fs::read(path).unwrap(), &format!("moov/trak/mdia/minf/stbl/{table}")).unwrap()
                };
                assert_eq!(of(&path), of(&out), "{table} of {args}");
            }
        }
    }
}

#[test]
fn pcm_cut_by_an_edit_list_is_exact_to_the_frame() {
    let Some((dir, path)) =
        make("-f lavfi -i sine=duration=1:sample_rate=8000 -c:a pcm_s16le", "a.mov", "pcm_s16le")
    else {
        return;
    };
    let bytes = std::fs::read(&path).unwrap();
    // Presentation from frame 1500 on, of 3000 frames, half a second late. The movie counts milliseconds.
    let elst = make_box(b"elst", &words(&[0, 2, 500, u32::MAX, 1 << 16, 375, 1500, 1 << 16]));
    let cut = if find(&bytes, "moov/trak/edts").is_some() {
        edit(&bytes, "moov/trak/edts", &mut |_| make_box(b"edts", &elst))
    } else {
        edit(&bytes, "moov/trak/tkhd", &mut |tkhd| [tkhd.to_vec(), make_box(b"edts", &elst)].concat())
    };
    let edited = dir.path().join("cut.mov");
    std::fs::write(&edited, &cut).unwrap();
    let raw = dir.path().join("a.raw");
    ffmpeg(&format!("-i {} -c copy -f s16le", path.display()), &raw);
    let raw = std::fs::read(raw).unwrap();
    let out = dir.path().join("copy.mov");
    remux(&edited, &out, false);
    for path in [&edited, &out] {
        let mut shown = Vec::new();
        let mut next = 4000;
        for sample in read_all(&mut open(path)).iter().filter(|sample| !sample.discard) {
            assert_eq!(sample.pts.unwrap().ticks(), next);
            next += sample.duration.unwrap() as i64;
            shown.extend_from_slice(&sample.data);
        }
        assert_eq!(next, 7000);
        assert!(shown == raw[3000..9000], "{}", path.display());
    }
}

#[test]
fn vp8_in_mp4() {
    let Some((dir, path)) = make(
        "-f lavfi -i testsrc2=size=96x64:rate=25:duration=1 -c:v libvpx -deadline realtime -g 10",
        "a.ivf",
        "libvpx",
    ) else {
        return;
    };
    let out = dir.path().join("a.mp4");
    let mut demuxer = IvfDemuxer::new(std::fs::File::open(&path).unwrap(), &path).unwrap();
    let options = Mp4MuxOptions { path: out.clone() };
    let mut muxer = Mp4Muxer::create(std::fs::File::create(&out).unwrap(), options).unwrap();
    let id = muxer.add_track(&demuxer.tracks()[0].clone()).unwrap();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        muxer.write_sample(&Sample { track: id, ..sample }).unwrap();
    }
    muxer.finish().unwrap();
    assert_eq!(open(&out).tracks()[0].codec_name, "vp8");
    check_read(&out);
    let md5s = |path: &Path| {
        let text = frame_md5(path, false);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(md5s(&out).len(), 25);
    assert_eq!(md5s(&out), md5s(&path));
}
