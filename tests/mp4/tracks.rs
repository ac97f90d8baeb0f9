//! Tracks beside the usual picture and sound: more sound, time codes, text, QuickTime sound, VP8, nothing at all.

use std::path::Path;

use video_hw::container::ivf::IvfDemuxer;
use video_hw::container::mp4::{Mp4FragmentMuxer, Mp4MuxOptions, Mp4Muxer};
use video_hw::container::{Demuxer, Muxer};
use video_hw::packet::Packet;

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
    let options = Mp4MuxOptions::default().path(out.clone());
    let mut muxer = Mp4Muxer::create(std::fs::File::create(&out).unwrap(), options).unwrap();
    let id = muxer.add_track(&demuxer.tracks()[0].clone()).unwrap();
    while let Some(sample) = demuxer.next_packet().unwrap() {
        muxer.write(&Packet { track: id, ..sample }).unwrap();
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

/// Two sound tracks in different languages, text and a time code beside the picture.
fn many_tracks() -> Option<(tempfile::TempDir, std::path::PathBuf)> {
    let sounds = "-f lavfi -i sine=duration=3 -f lavfi -i sine=frequency=880:duration=3";
    let args = format!(
        "{PICTURE} {sounds} -map 0 -map 1 -map 2 -c:v libx264 -preset veryfast -bf 2 -g 20 -c:a aac \
         -metadata:s:a:0 language=deu -metadata:s:a:1 language=fra"
    );
    let (dir, path) = make(&args, "a.mp4", "libx264")?;
    let text = dir.path().join("text.srt");
    std::fs::write(
        &text,
        "1\n00:00:00,100 --> 00:00:00,500\nHello\n\n2\n00:00:01,600 --> 00:00:02,900\nWorld\n",
    )
    .unwrap();
    let all = dir.path().join("all.mp4");
    let args = format!(
        "-i {} -i {} -map 0 -map 1 -c copy -c:s mov_text -timecode 01:02:03:04 -metadata:s:s:0 language=ita",
        path.display(),
        text.display()
    );
    ffmpeg(&args, &all);
    Some((dir, all))
}

const MANY: [(&str, Option<&str>); 5] =
    [("h264", None), ("mp4a", Some("deu")), ("mp4a", Some("fra")), ("tx3g", Some("ita")), ("tmcd", None)];

#[test]
fn sound_tracks_text_and_time_codes_are_copied() {
    let Some((dir, path)) = many_tracks() else { return };
    let named = |path: &Path| -> Vec<(String, Option<String>)> {
        open(path).tracks().iter().map(|track| (track.codec_name.clone(), track.language.clone())).collect()
    };
    let names = named(&path);
    for ((name, language), (wanted, spoken)) in names.iter().zip(MANY) {
        assert_eq!(name, wanted);
        assert!(spoken.is_none() || language.as_deref() == spoken, "{name}: {language:?}");
    }
    check_read(&path);
    // The text ends with a sample without bytes and duration, at the end of the presentation and so outside of
    // it. A copy does not have it, and this ffprobe lets the last text then last until the movie ends.
    check_copy(&path, |row| {
        if row.pts == 1_600_000 {
            row.duration = 0;
        }
    });
    let text = rows(&read_all(&mut open(&dir.path().join("copy.mp4"))), open(&path).tracks()[3].id);
    assert_eq!(text.last().map(|row| row.duration), Some(1_300_000));
    let out = dir.path().join("copy.mp4");
    assert_eq!(named(&out), names);
    // The time code itself.
    let tags = |path: &Path| {
        let args = ["-v", "error", "-select_streams", "d", "-show_entries", "stream_tags=timecode"];
        run("ffprobe", &[&args[..], &["-of", "csv=p=0", path.to_str().unwrap()]].concat())
    };
    assert_eq!(tags(&path).trim(), "01:02:03:04");
    // Which of the sound tracks is played.
    let defaults = |path: &Path| {
        let args = ["-v", "error", "-show_entries", "stream_disposition=default", "-of", "csv=p=0"];
        run("ffprobe", &[&args[..], &[path.to_str().unwrap()]].concat())
    };
    assert_eq!(defaults(&path).lines().map(str::trim).collect::<Vec<_>>()[..3], ["1", "1", "0"]);
    assert_eq!(defaults(&out), defaults(&path));
    assert_eq!(tags(&out), tags(&path));
}

#[test]
fn a_track_without_samples_is_listed_and_harms_no_other() {
    let Some((dir, path)) = many_tracks() else { return };
    let bytes = std::fs::read(&path).unwrap();
    let before: Vec<_> = read_all(&mut open_bytes(&bytes)).into_iter().filter(|s| s.track.0 != 3).collect();
    // The third track loses its samples.
    let mut number = 0;
    let bare = edit(&bytes, "moov/trak", &mut |trak| {
        number += 1;
        if number != 3 {
            return trak.to_vec();
        }
        let mut trak = trak.to_vec();
        for (name, words_of) in
            [("stsz", &[0, 0, 0][..]), ("stts", &[0, 0]), ("stsc", &[0, 0]), ("stco", &[0, 0])]
        {
            let empty = make_box(name.as_bytes(), &words(words_of));
            trak = edit(&trak, &format!("trak/mdia/minf/stbl/{name}"), &mut |_| empty.clone());
        }
        trak
    });
    assert_ne!(bare, bytes);
    let demuxer = open_bytes(&bare);
    assert_eq!((demuxer.tracks().len(), demuxer.tracks()[2].sample_count), (5, Some(0)));
    let after = read_all(&mut open_bytes(&bare));
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.track, row(before), &before.data), (after.track, row(after), &after.data));
    }
    // A copy has what can be presented, and plays.
    let source = dir.path().join("bare.mp4");
    std::fs::write(&source, &bare).unwrap();
    let out = dir.path().join("copy.mp4");
    remux(&source, &out, true);
    assert_eq!(complaints(&out), "");
    assert_eq!(read_all(&mut open(&out)).len(), before.len());
}

#[test]
fn samples_without_bytes_keep_their_place_and_time() {
    let memory = crate::mux::Memory::default();
    let mut muxer = Mp4Muxer::create(memory.clone(), Mp4MuxOptions::default()).unwrap();
    let pipe = crate::fragmented::Pipe::default();
    let mut fragments = Mp4FragmentMuxer::new(pipe.clone(), Mp4MuxOptions::default());
    let track = crate::mux::opaque_track(*b"meta", 1, 1000);
    let ids = [muxer.add_track(&track).unwrap(), fragments.add_track(&track).unwrap()];
    for at in 0..120_i64 {
        let mut sample = crate::mux::opaque_sample(&track, ids[0], at * 40, at * 40);
        // Gaps at the start, in the middle, one after the other, and at the end.
        let empty = at < 3 || (50..90).contains(&at) || at == 119;
        sample.data = if empty { Vec::new() } else { vec![at as u8; 3] }.into();
        muxer.write(&sample).unwrap();
        fragments.write(&Packet { track: ids[1], ..sample }).unwrap();
    }
    muxer.finish().unwrap();
    fragments.finish().unwrap();
    for bytes in [memory.bytes(), pipe.bytes()] {
        let samples = read_all(&mut open_bytes(&bytes));
        assert_eq!(samples.len(), 120);
        for (at, sample) in samples.iter().enumerate() {
            assert_eq!((sample.pts.unwrap().ticks(), sample.duration), (at as i64 * 40, Some(40)), "{at}");
            let empty = at < 3 || (50..90).contains(&at) || at == 119;
            assert_eq!(sample.data.to_vec(), if empty { Vec::new() } else { vec![at as u8; 3] }, "{at}");
        }
    }
}
