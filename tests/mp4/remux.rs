//! Copying through demuxer and muxer changes nothing.

use std::path::Path;

use video_hw::container::Demuxer;

use crate::support::*;

/// Copies a file and compares it with its source, packet by packet and frame by frame.
fn check(path: &Path, judge: impl Fn(&mut Row)) {
    for faststart in [false, true] {
        let out = path.with_file_name("copy.mp4");
        remux(path, &out, faststart);
        let bytes = std::fs::read(&out).unwrap();
        let place = |kind: &[u8]| bytes.windows(4).position(|w| w == kind).unwrap();
        assert_eq!(place(b"moov") < place(b"mdat"), faststart);

        let name = path.display();
        for stream in 0..open(path).tracks().len() {
            let (mut before, mut after) = (probe(path, stream), probe(&out, stream));
            before.iter_mut().chain(&mut after).for_each(&judge);
            assert_eq!(before.len(), after.len(), "packets of stream {stream} of {name}");
            for (number, (before, after)) in before.iter().zip(&after).enumerate() {
                assert_eq!(before, after, "packet {number} of stream {stream} of {name}");
            }
        }
        assert_eq!(complaints(&out), "", "{name}");
        assert_eq!(frame_md5(path, false), frame_md5(&out, false), "decoded frames of {name}");
    }
}

fn exactly(_: &mut Row) {}

#[test]
fn every_codec_survives() {
    for (encoder, args) in CODECS {
        let args = format!("{PICTURE} {SOUND} {args} -c:a aac");
        let Some((_dir, path)) = make(&args, "a.mp4", encoder) else { continue };
        check(&path, exactly);
    }
}

#[test]
fn fragments_become_a_plain_file() {
    for options in ["frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof"] {
        let Some((_dir, path)) = make(&format!("{BOTH} -movflags {options}"), "a.mp4", "libx264") else {
            return;
        };
        check(&path, |row| row.duration = 0);
    }
}

#[test]
fn edit_lists_survive() {
    let Some((dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let input = path.to_str().unwrap();
    for (number, args) in [
        format!("-itsoffset 1.5 -i {input} -c copy"),
        format!("-itsoffset 0.4 -i {input} -i {input} -map 0:v -map 1:a -c copy"),
        format!("-i {input} -itsoffset 0.333 -i {input} -map 0:v -map 1:a -c copy"),
        format!("-ss 1.2 -i {input} -c copy"),
        format!("-ss 0.4 -t 1.2 -i {input} -c copy"),
    ]
    .iter()
    .enumerate()
    {
        let cut = dir.path().join(format!("cut{number}.mp4"));
        ffmpeg(args, &cut);
        check(&cut, exactly);
    }
}

#[test]
fn quicktime_and_variable_frame_rate_survive() {
    let vfr = format!("{PICTURE} -vf setpts='N*N*0.02+N/25/TB' -vsync vfr -c:v libx264 -bf 3");
    for (args, file) in [(BOTH, "a.mov"), (&vfr, "a.mp4")] {
        let Some((_dir, path)) = make(args, file, "libx264") else { return };
        check(&path, exactly);
    }
}

#[test]
fn tags_of_the_picture_survive() {
    let args = "-f lavfi -i testsrc2=size=162x98:rate=25:duration=1 -vf setsar=4/3,format=yuv420p -c:v libx264 \
                -colorspace bt2020nc -color_primaries bt2020 -color_trc smpte2084 -color_range pc -movflags write_colr \
                -metadata:s:v language=fra";
    let Some((dir, path)) = make(args, "a.mp4", "libx264") else { return };
    let turned = dir.path().join("turned.mp4");
    ffmpeg(&format!("-i {} -c copy -metadata:s:v rotate=270", path.display()), &turned);
    let out = dir.path().join("copy.mp4");
    remux(&turned, &out, false);
    let tags = |path: &Path| {
        let wanted = "stream=width,height,sample_aspect_ratio,color_range,color_space,color_transfer,color_primaries,\
                      time_base,start_pts,nb_frames,codec_tag_string,side_data_list:stream_tags=language,rotate:\
                      stream_side_data=rotation";
        run(
            "ffprobe",
            &["-v", "error", "-show_entries", wanted, "-of", "compact=p=0", path.to_str().unwrap()],
        )
    };
    let before = tags(&turned);
    assert!(before.contains("bt2020nc") && before.contains("rotat") && before.contains("fra"), "{before}");
    assert_eq!(before, tags(&out));
}

#[test]
fn sound_is_copied_bit_for_bit() {
    let Some((dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let out = dir.path().join("copy.mp4");
    remux(&path, &out, false);
    let adts = |path: &Path, name: &str| {
        let to = dir.path().join(name);
        ffmpeg(&format!("-i {} -map 0:a -c copy -f adts", path.display()), &to);
        std::fs::read(to).unwrap()
    };
    assert!(adts(&path, "a.aac") == adts(&out, "b.aac"), "extracted sound differs");

    let Some((dir, path)) =
        make(&format!("{PICTURE} {SOUND} -c:v libx264 -c:a pcm_s24le"), "a.mov", "libx264")
    else {
        return;
    };
    let out = dir.path().join("copy.mp4");
    remux(&path, &out, false);
    assert_eq!(complaints(&out), "");
    assert_eq!(frame_md5(&path, false), frame_md5(&out, false));
}
