//! Shape of samples and colour that only the container states, judged by ffprobe.

use std::path::Path;

use video_hw::backend::BackendKind;
use video_hw::color::MatrixCoefficients;
use video_hw::container::Demuxer;
use video_hw::time::Rational;

use crate::support::*;

/// What ffprobe thinks of the shape of the samples of a file.
fn judged(path: &Path) -> String {
    let args = ["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=sample_aspect_ratio"];
    run("ffprobe", &[&args[..], &["-of", "csv=p=0", path.to_str().unwrap()]].concat()).trim().to_owned()
}

/// Changes the first sample entry of every track; `change` gets its child boxes.
fn edit_entry(bytes: &[u8], change: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    edit(bytes, "moov/trak/mdia/minf/stbl/stsd", &mut |stsd| {
        let (fixed, entry) = stsd[8..].split_at(8);
        let (fields, children) = entry[8..].split_at(78);
        make_box(b"stsd", &[fixed, &make_box(&entry[4..8], &[fields, &change(children)].concat())].concat())
    })
}

#[test]
fn the_shape_that_the_container_states_wins_and_is_written() {
    let make = |size: &str, sar: &str| {
        let args = format!(
            "-f lavfi -i testsrc2=size={size}:rate=25:duration=0.4 -vf setsar={sar} -pix_fmt yuv420p -c:v libx264"
        );
        make(&args, "a.mp4", "libx264")
    };
    // Size, ratio of the bitstream, ratio of the container's pasp, and size on screen where that is to speak.
    for (size, stream, pasp, shown, wanted) in [
        ("144x116", "1", Some([64, 45]), None, "64:45"),
        ("144x108", "1", Some([4, 3]), None, "4:3"),
        ("144x108", "27/64", Some([1, 1]), None, "1:1"),
        ("144x108", "1", Some([65_536, 65_536]), None, "1:1"),
        ("144x108", "4/3", None, None, "4:3"),
        ("144x108", "1", None, Some([192, 108]), "4:3"),
        ("144x108", "1", None, Some([384, 216]), "4:3"),
        // What is on screen is what the bitstream says, rounded.
        ("144x108", "32/27", None, Some([171, 108]), "32:27"),
        ("144x108", "4/3", None, Some([144, 108]), "4:3"),
    ] {
        let Some((dir, path)) = make(size, stream) else { return };
        let case = format!("{size} {stream} {pasp:?} {shown:?}");
        let bytes = edit_entry(&std::fs::read(&path).unwrap(), &|children| {
            let kept = boxes(children).into_iter().filter(|one| one[4..8] != *b"pasp").flatten().copied();
            let stated = pasp.map(|ratio| make_box(b"pasp", &words(&ratio))).unwrap_or_default();
            kept.chain(stated).collect()
        });
        let [coded_width, coded_height] =
            [0, 1].map(|side| size.split('x').nth(side).unwrap().parse().unwrap());
        let [width, height]: [u32; 2] = shown.unwrap_or([coded_width, coded_height]);
        let bytes = edit(&bytes, "moov/trak/tkhd", &mut |tkhd| {
            [&tkhd[..84], &words(&[width << 16, height << 16])].concat()
        });
        let stated = dir.path().join("stated.mp4");
        std::fs::write(&stated, bytes).unwrap();
        // (ffprobe takes the rounded size for a ratio of its own.)
        if shown != Some([171, 108]) {
            assert_eq!(judged(&stated), wanted, "ffprobe of {case}");
        }
        let (num, den) = wanted.split_once(':').unwrap();
        let ratio = Rational::new(num.parse().unwrap(), den.parse().unwrap());
        let frame = video_hw::frames(&stated).backend(BackendKind::Software).open().unwrap().next();
        assert_eq!(frame.unwrap().unwrap().sample_aspect_ratio.map(|r| r.reduced()), ratio, "{case}");
        let out = dir.path().join("out.mp4");
        video_hw::transcode(&stated, &out).backend(BackendKind::Software).overwrite(true).run().unwrap();
        assert_eq!(judged(&out), wanted, "output of {case}");
        // Container and bitstream say the same.
        let raw = dir.path().join("out.h264");
        ffmpeg(&format!("-i {} -c copy -bsf:v h264_mp4toannexb", out.display()), &raw);
        assert_eq!(judged(&raw), wanted, "bitstream of {case}");
        let tkhd = find(&std::fs::read(&out).unwrap(), "moov/trak/tkhd").unwrap();
        let side = |at: usize| f64::from(u32::from_be_bytes(tkhd[at..at + 4].try_into().unwrap())) / 65_536.0;
        let [width, height] = if tkhd[8] == 1 { [96, 100] } else { [84, 88] }.map(side);
        let on_screen = f64::from(coded_width) / f64::from(coded_height) * ratio.unwrap().as_f64();
        assert!((width / height - on_screen).abs() < 0.02, "{case}: {width}x{height} on screen");
    }
}

#[test]
fn a_scaled_frame_keeps_the_shape_of_the_picture() {
    let args = "-f lavfi -i testsrc2=size=144x108:rate=25:duration=0.2 -vf setsar=1 -pix_fmt yuv420p -c:v libx264 -aspect 16:9";
    let Some((_dir, path)) = make(args, "a.mp4", "libx264") else { return };
    let size = video_hw::dimensions::Dimensions::new(96, 108).unwrap();
    let builder = video_hw::frames(&path).backend(BackendKind::Software).size(size);
    let frame = builder.open().unwrap().next().unwrap().unwrap();
    assert_eq!(frame.sample_aspect_ratio.map(|ratio| ratio.reduced()), Rational::new(2, 1));
}

#[test]
fn colour_without_the_byte_of_the_range_keeps_its_three_codes() {
    let args = format!("{PICTURE} -c:v libx264 -pix_fmt yuv420p");
    let Some((_dir, path)) = make(&args, "a.mp4", "libx264") else { return };
    let colr = make_box(b"colr", &[&b"nclx"[..], &[0, 9, 0, 16, 0, 9]].concat());
    assert_eq!(colr.len(), 18);
    let bytes = edit_entry(&std::fs::read(&path).unwrap(), &|children| {
        let kept = boxes(children).into_iter().filter(|one| one[4..8] != *b"colr").flatten().copied();
        kept.chain(colr.iter().copied()).collect()
    });
    let color = open_bytes(&bytes).tracks()[0].video.as_ref().unwrap().color;
    assert_eq!(color.matrix, MatrixCoefficients::Bt2020Ncl);
    assert_eq!((color.primaries.code(), color.transfer.code(), color.range), (9, 16, None));
}
