//! What the demuxer reads is what ffprobe reads.

use std::path::Path;

use video_hw::codec::Codec;
use video_hw::color::{ColorRange, MatrixCoefficients};
use video_hw::container::{Demuxer, TrackKind};
use video_hw::packet::BitstreamLayout;
use video_hw::time::{Rational, TimeBase, Timestamp};

use crate::support::*;

/// Compares all packets of all tracks. `judge` brings both views to what ffprobe can judge.
fn compare(path: &Path, judge: impl Fn(&mut Row)) {
    let mut demuxer = open(path);
    let tracks = demuxer.tracks().to_vec();
    let samples = read_all(&mut demuxer);
    assert!(!samples.is_empty());
    for (index, track) in tracks.iter().enumerate() {
        let mut ours = rows(&samples, track.id);
        let mut theirs = probe(path, index);
        ours.iter_mut().chain(&mut theirs).for_each(&judge);
        let name = format!("track {index} ({}) of {}", track.codec_name, path.display());
        assert_eq!(ours.len(), theirs.len(), "packets of {name}");
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours, theirs, "packet {number} of {name}");
        }
    }
}

fn exactly(_: &mut Row) {}

/// Where composition offsets or fragments are involved, this ffprobe estimates durations from the codec.
fn without_durations(row: &mut Row) {
    row.duration = 0;
}

#[test]
fn plain_files_of_every_codec_match_ffprobe() {
    for (encoder, args) in CODECS {
        let Some((_dir, path)) = make(&format!("{PICTURE} {SOUND} {args} -c:a aac"), "a.mp4", encoder) else {
            continue;
        };
        compare(&path, exactly);
    }
}

#[test]
fn layouts_of_the_movie_header_match_ffprobe() {
    for (options, file) in [
        ("-movflags faststart", "a.mp4"),
        ("-movflags negative_cts_offsets", "a.mp4"),
        ("-video_track_timescale 90000", "a.mov"),
        ("-f ipod", "a.m4v"),
        ("-f psp", "a.mp4"),
    ] {
        let Some((_dir, path)) = make(&format!("{BOTH} {options}"), file, "libx264") else { return };
        compare(&path, exactly);
    }
}

#[test]
fn fragments_match_ffprobe() {
    for options in [
        "-movflags frag_keyframe+empty_moov",
        "-movflags frag_keyframe+empty_moov+default_base_moof",
        "-movflags frag_keyframe+empty_moov+omit_tfhd_offset",
        "-movflags frag_keyframe+empty_moov+separate_moof",
        "-movflags frag_every_frame+empty_moov+default_base_moof",
        // The first fragment is in moov itself.
        "-movflags frag_keyframe",
    ] {
        let Some((_dir, path)) = make(&format!("{BOTH} {options}"), "a.mp4", "libx264") else { return };
        // With a fragment for each frame this ffprobe marks sound as discarded, at random.
        compare(&path, |row| {
            row.duration = 0;
            row.discard = false;
        });
        // Instead: each sample lasts until the next one, and all are presented.
        let mut demuxer = open(&path);
        let tracks = demuxer.tracks().to_vec();
        let samples = read_all(&mut demuxer);
        assert!(samples.iter().all(|sample| !sample.discard), "{options}");
        // (With a fragment for each frame ffmpeg states other times than durations.)
        for track in tracks.iter().filter(|_| !options.contains("frag_every_frame")) {
            for pair in rows(&samples, track.id).windows(2) {
                assert_eq!(pair[0].dts + pair[0].duration as i64, pair[1].dts, "{options}");
            }
        }
    }
}

#[test]
fn negative_composition_offsets_in_fragments_keep_presentation_at_zero() {
    let Some((_dir, path)) =
        make(&format!("{PICTURE} -c:v libx264 -bf 3 -movflags cmaf"), "a.mp4", "libx264")
    else {
        return;
    };
    let mut demuxer = open(&path);
    let id = demuxer.tracks()[0].id;
    let ours = rows(&read_all(&mut demuxer), id);
    assert_eq!((ours[0].pts, ours[0].dts), (0, -1024));
    // This ffprobe adds the largest negative offset to the times of fragments.
    for (ours, theirs) in ours.iter().zip(probe(&path, 0)) {
        assert_eq!((ours.pts + 1024, ours.dts + 1024, ours.size), (theirs.pts, theirs.dts, theirs.size));
    }
}

#[test]
fn priming_in_fragments_is_discarded() {
    let options = "-movflags frag_keyframe+delay_moov";
    let Some((_dir, path)) = make(&format!("{BOTH} {options}"), "a.mp4", "libx264") else { return };
    // ffprobe applies the shift of an edit list to fragments, but not its start.
    compare(&path, |row| {
        row.duration = 0;
        row.discard = row.pts + 1024 <= 0;
    });
    let mut demuxer = open(&path);
    let sound = demuxer.tracks()[1].id;
    let first = &rows(&read_all(&mut demuxer), sound)[0];
    assert_eq!((first.pts, first.discard), (-1024, true));
}

#[test]
fn variable_frame_rate_is_exact() {
    let args = format!("{PICTURE} -vf setpts='N*N*0.02+N/25/TB' -vsync vfr -c:v libx264 -bf 3");
    let Some((_dir, path)) = make(&args, "a.mp4", "libx264") else { return };
    compare(&path, without_durations);
    let mut demuxer = open(&path);
    let id = demuxer.tracks()[0].id;
    let rows = rows(&read_all(&mut demuxer), id);
    assert!(rows.windows(2).all(|pair| pair[0].dts + pair[0].duration as i64 == pair[1].dts));
    assert!(rows.iter().any(|row| row.duration != rows[0].duration), "the material is not variable");
}

#[test]
fn edit_lists_match_ffprobe() {
    let Some((dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let input = path.to_str().unwrap();
    for (number, args) in [
        format!("-itsoffset 1.5 -i {input} -c copy"),
        format!("-itsoffset 0.4 -i {input} -i {input} -map 0:v -map 1:a -c copy"),
        format!("-ss 1.2 -i {input} -c copy"),
        format!("-ss 0.4 -t 1.2 -i {input} -c copy"),
        format!("-i {input} -t 1.2 -c copy"),
    ]
    .iter()
    .enumerate()
    {
        let cut = dir.path().join(format!("cut{number}.mp4"));
        ffmpeg(args, &cut);
        // This ffprobe forgets an initial delay when it computes the duration of the last packet.
        let delayed = args.contains("itsoffset");
        compare(&cut, if delayed { without_durations } else { exactly });
    }
}

#[test]
fn an_edit_that_starts_between_pictures_shows_the_one_on_screen_there() {
    let Some((dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let cut = dir.path().join("cut.mp4");
    ffmpeg(&format!("-ss 1.03 -i {} -c copy", path.display()), &cut);
    let mut demuxer = open(&cut);
    let id = demuxer.tracks()[0].id;
    let ours = rows(&read_all(&mut demuxer), id);
    // The picture of 1.00 s is on screen for the first 10 ms, that of 1.04 s follows, as ISO/IEC 14496-12 8.6.6 says;
    // ffprobe leaves the first out and moves the second to zero, away from its sound.
    let mut shown: Vec<_> =
        ours.iter().filter(|row| !row.discard).map(|row| (row.pts, row.duration)).collect();
    shown.sort_unstable();
    assert_eq!(shown[..2], [(0, 128), (128, 512)]);
    for (ours, theirs) in ours.iter().zip(probe(&cut, 0)) {
        let moved = Row { pts: ours.pts - 128, dts: ours.dts - 128, ..ours.clone() };
        if ours.pts == 0 {
            assert_eq!((theirs.discard, moved.size, moved.dts), (true, theirs.size, theirs.dts));
        } else {
            assert_eq!(moved, theirs);
        }
    }
}

#[test]
fn pcm_in_quicktime_is_read_in_groups_of_frames() {
    let Some((dir, path)) =
        make(&format!("{PICTURE} {SOUND} -c:v libx264 -c:a pcm_s16le"), "a.mov", "libx264")
    else {
        return;
    };
    let raw = dir.path().join("a.raw");
    ffmpeg(&format!("-i {} -map 0:a -c copy -f s16le", path.display()), &raw);
    let mut demuxer = open(&path);
    let track = demuxer.tracks()[1].clone();
    assert_eq!((track.kind, track.codec_name.as_str()), (TrackKind::Audio, "sowt"));
    compare(&path, exactly);
    demuxer.select_tracks(&[track.id]);
    let samples = read_all(&mut demuxer);
    assert!(samples.len() < 200, "{} samples", samples.len());
    assert_eq!(samples.iter().map(|sample| sample.duration.unwrap()).sum::<u64>(), 3 * 44_100);
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.data.to_vec()).collect();
    assert!(bytes == std::fs::read(raw).unwrap(), "PCM differs");
}

#[test]
fn descriptions_of_tracks_are_complete() {
    let args = "-f lavfi -i testsrc2=size=162x98:rate=30000/1001:duration=1 -f lavfi -i sine=duration=1 \
                -vf setsar=4/3,format=yuv420p -c:v libx264 -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
                -color_range tv -movflags write_colr -c:a aac -metadata:s:a:0 language=deu";
    let Some((dir, path)) = make(args, "a.mp4", "libx264") else { return };
    let demuxer = open(&path);
    let [picture, sound] = demuxer.tracks() else { panic!("two tracks") };
    let video = picture.video.as_ref().unwrap();
    assert_eq!((picture.kind, sound.kind), (TrackKind::Video, TrackKind::Audio));
    assert_eq!((video.codec, video.layout), (Codec::H264, BitstreamLayout::Avcc { length_size: 4 }));
    assert_eq!((video.dimensions.width(), video.dimensions.height()), (162, 98));
    assert_eq!(video.frame_rate, Rational::new(30_000, 1001));
    assert_eq!(video.sample_aspect_ratio, Rational::new(4, 3));
    assert_eq!(
        (video.color.matrix, video.color.range),
        (MatrixCoefficients::Bt709, Some(ColorRange::Limited))
    );
    assert_eq!(video.matrix, None);
    assert_eq!(picture.time_base, TimeBase::new(1, 30_000).unwrap());
    assert_eq!((picture.sample_count, picture.language.as_deref()), (Some(30), None));
    assert_eq!((sound.codec_name.as_str(), sound.language.as_deref()), ("mp4a", Some("deu")));
    assert_eq!(sound.copy.as_ref().unwrap().handler, *b"soun");

    // ffprobe counts rotation counterclockwise.
    for (tag, wanted) in [(90, [90, 270]), (180, [180, 180]), (270, [270, 90])] {
        let turned = dir.path().join("turned.mp4");
        ffmpeg(&format!("-i {} -c copy -metadata:s:v rotate={tag}", path.display()), &turned);
        let args = ["-v", "error", "-select_streams", "v", "-show_entries", "stream_side_data=rotation"];
        let judged = run("ffprobe", &[&args[..], &["-of", "csv=p=0", turned.to_str().unwrap()]].concat());
        let judged: i32 = judged.trim().parse().unwrap();
        let ours = open(&turned).tracks()[0].video.as_ref().unwrap().rotation().unwrap();
        assert_eq!(i32::from(ours), (360 - judged) % 360);
        assert!(wanted.contains(&ours));
    }
}

#[test]
fn seeking_lands_on_the_sync_sample_before() {
    for options in ["", "-movflags frag_keyframe+empty_moov+default_base_moof"] {
        let Some((_dir, path)) = make(&format!("{BOTH} {options}"), "a.mp4", "libx264") else { return };
        let mut demuxer = open(&path);
        let [picture, sound] = [demuxer.tracks()[0].clone(), demuxer.tracks()[1].clone()];
        let all = read_all(&mut demuxer);
        let keys: Vec<i64> = rows(&all, picture.id).iter().filter(|row| row.key).map(|row| row.pts).collect();
        assert!(keys.len() >= 3);
        let last = rows(&all, picture.id).iter().map(|row| row.pts).max().unwrap();
        // Backwards, so that nothing is found just by going on.
        for to in (-1000..last + 5000).rev().step_by(700) {
            assert!(demuxer.seek(picture.id, Timestamp::new(to, picture.time_base)).unwrap());
            let landed = read_all(&mut demuxer);
            let shown = rows(&landed, picture.id);
            let wanted = keys.iter().copied().filter(|key| *key <= to).max().unwrap_or(keys[0]);
            assert_eq!((shown[0].pts, shown[0].key), (wanted, true), "seek to {to}");
            let complete = rows(&all, picture.id);
            assert!(complete.ends_with(&shown), "seek to {to} loses or repeats pictures");
            let heard = rows(&landed, sound.id);
            assert!(rows(&all, sound.id).ends_with(&heard), "seek to {to} loses or repeats sound");
            let start = Timestamp::new(wanted, picture.time_base);
            assert!(to < 0 || heard.is_empty() || Timestamp::new(heard[0].pts, sound.time_base) <= start);
        }
    }
}

#[test]
fn only_selected_tracks_are_read() {
    let Some((_dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let mut demuxer = open(&path);
    let sound = demuxer.tracks()[1].id;
    demuxer.select_tracks(&[sound]);
    let samples = read_all(&mut demuxer);
    assert!(samples.iter().all(|sample| sample.track == sound));
    assert_eq!(samples.len(), probe(&path, 1).len());
}
