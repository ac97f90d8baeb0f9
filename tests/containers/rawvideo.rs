//! Uncompressed pictures: against ffmpeg, against themselves, and against damage.

use std::fs;
use std::io::{self, Cursor, Read};

use crate::support::streams::{ffmpeg_md5s, frame_md5, have, run, text};
use proptest::prelude::*;
use video_hw::Error;
use video_hw::color::{ColorInfo, ColorRange};
use video_hw::container::{Input, open_input, open_raw};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::{Chroma, PixelFormat, PlaneLayout};
use video_hw::rawvideo::{
    FrameReader, FrameWriter, PngPattern, PngSequenceWriter, RawReader, RawWriter, VideoFormat, Y4mReader,
    Y4mWriter,
};
use video_hw::time::{Rational, TimeBase, Timestamp};

/// Odd in both directions, so that chroma sizes round up.
const WIDTH: u32 = 35;
const HEIGHT: u32 = 27;
const FRAMES: usize = 3;

fn dims(w: u32, h: u32) -> Dimensions {
    Dimensions::new(w, h).unwrap()
}

fn rate(n: u32, d: u32) -> Rational {
    Rational::new(n, d).unwrap()
}

/// Formats by ffmpeg's names; ffmpeg has no planar float in the order R, G, B.
fn ffmpeg_formats() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|f| *f != PixelFormat::RgbF32Planar)
}

fn is_planar(format: PixelFormat) -> bool {
    matches!(format.layout(), PlaneLayout::Planar(_))
}

fn read_all(reader: &mut dyn FrameReader) -> Vec<Frame> {
    std::iter::from_fn(|| reader.next_frame().unwrap()).collect()
}

fn noise(format: PixelFormat, size: Dimensions, seed: u8) -> Frame {
    let bytes: Vec<u8> = (0..format.frame_bytes(size)).map(|i| (i * 7 + i / 251) as u8 ^ seed).collect();
    let surface = HostSurface::from_packed(format, size, bytes).unwrap();
    Frame::host(Timestamp::new(i64::from(seed), TimeBase::NANOS), surface)
}

/// The same picture with padding after every row.
fn padded(frame: &Frame) -> Frame {
    let host = frame.as_host().unwrap();
    let planes = host.planes().iter().map(|plane| {
        let stride = plane.row_bytes() + 13;
        let mut data = Vec::new();
        for row in plane.iter_rows() {
            data.extend_from_slice(row);
            data.extend_from_slice(&[0xaa; 13]);
        }
        (data.into(), stride)
    });
    Frame::host(frame.pts, HostSurface::new(host.format(), host.dimensions(), planes).unwrap())
}

#[test]
fn raw_video_of_ffmpeg_is_read_and_ours_is_read_by_ffmpeg() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let size = dims(WIDTH, HEIGHT);
    for format in ffmpeg_formats() {
        let theirs = dir.path().join(format!("{format}.yuv"));
        let source = format!("testsrc2=s=64x64:r=25,scale={WIDTH}:{HEIGHT},format={format}");
        let frames = FRAMES.to_string();
        run("ffmpeg", &["-f", "lavfi", "-i", &source, "-frames:v", &frames, "-f", "rawvideo", text(&theirs)]);
        let size_arg = size.to_string();
        let as_raw = ["-f", "rawvideo", "-pix_fmt", format.name(), "-s", &size_arg, "-i"];
        let expected = ffmpeg_md5s(&[&as_raw[..], &[text(&theirs)]].concat());
        assert_eq!(expected.len(), FRAMES);

        let mut reader = open_raw(&theirs, format, size, rate(25, 1)).unwrap();
        let frames = read_all(&mut *reader);
        assert_eq!(frames.iter().map(frame_md5).collect::<Vec<_>>(), expected, "{format}");

        let ours = dir.path().join(format!("ours-{format}.yuv"));
        let mut writer = RawWriter::new(fs::File::create(&ours).unwrap(), &ours, format, size);
        // Padded rows must come out as packed ones.
        for f in &frames {
            writer.write_frame(&padded(f)).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), fs::metadata(&ours).unwrap().len());
        assert_eq!(ffmpeg_md5s(&[&as_raw[..], &[text(&ours)]].concat()), expected, "{format}");
    }
}

#[test]
fn y4m_of_ffmpeg_is_read_and_ours_is_read_by_ffmpeg() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for format in ffmpeg_formats().filter(|f| is_planar(*f)) {
        let theirs = dir.path().join(format!("{format}.y4m"));
        // ffmpeg 5.1 writes chroma rows a byte short where 16-bit samples meet an odd width, and cannot read
        // that itself.
        let wide_chroma = format.bytes_per_sample() == 2 && !matches!(format.chroma(), Some(Chroma::Yuv444));
        let width = if wide_chroma { WIDTH + 1 } else { WIDTH };
        let source =
            format!("testsrc2=s=64x64:r=30000/1001,scale={width}:{HEIGHT},format={format},setsar=4/3");
        let frames = FRAMES.to_string();
        run("ffmpeg", &["-f", "lavfi", "-i", &source, "-frames:v", &frames, "-strict", "-1", text(&theirs)]);
        let expected = ffmpeg_md5s(&["-i", text(&theirs)]);
        assert_eq!(expected.len(), FRAMES);

        let Input::Frames(mut reader) = open_input(&theirs).unwrap() else { panic!("not frames") };
        assert_eq!(
            (reader.format(), reader.dimensions(), reader.frame_rate(), reader.sample_aspect_ratio()),
            (format, dims(width, HEIGHT), rate(30000, 1001), Rational::new(4, 3))
        );
        let frames = read_all(&mut *reader);
        assert_eq!(frames.iter().map(frame_md5).collect::<Vec<_>>(), expected, "{format}");
        let times: Vec<_> = frames.iter().map(|f| (f.pts.ticks(), f.pts.base().to_string())).collect();
        assert_eq!(times, [0, 1, 2].map(|i| (i, "1001/30000".to_owned())));

        let ours = dir.path().join(format!("ours-{format}.y4m"));
        let file = fs::File::create(&ours).unwrap();
        let mut writer = Y4mWriter::new(file, &ours, reader.video_format()).unwrap();
        for f in &frames {
            writer.write_frame(&padded(f)).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), fs::metadata(&ours).unwrap().len());
        assert_eq!(ffmpeg_md5s(&["-i", text(&ours)]), expected, "{format}");
        let entries = "stream=pix_fmt,width,height,r_frame_rate,sample_aspect_ratio";
        let probed = run("ffprobe", &["-show_entries", entries, "-of", "csv=p=0", text(&ours)]);
        assert_eq!(probed.trim(), format!("{width},{HEIGHT},4:3,{format},30000/1001"));

        // Odd in both directions, every format.
        let size = dims(WIDTH, HEIGHT);
        let odd = VideoFormat::new(format, size, rate(25, 1));
        let mut writer = Y4mWriter::new(fs::File::create(&ours).unwrap(), &ours, odd).unwrap();
        // The samples stay below 256: values above the bit depth are not ffmpeg's to keep.
        let mut bytes = noise(format, size, 3).as_host().unwrap().to_packed();
        if format.bytes_per_sample() == 2 {
            bytes.iter_mut().skip(1).step_by(2).for_each(|high| *high = 0);
        }
        let frame = Frame::host(frames[0].pts, HostSurface::from_packed(format, size, bytes).unwrap());
        writer.write_frame(&frame).unwrap();
        writer.finish().unwrap();
        assert_eq!(ffmpeg_md5s(&["-i", text(&ours)]), [frame_md5(&frame)], "{format}");
    }
}

#[test]
fn the_colour_range_of_y4m_survives() {
    for (range, field) in
        [(Some(ColorRange::Full), "FULL"), (Some(ColorRange::Limited), "LIMITED"), (None, "")]
    {
        let mut format = VideoFormat::new(PixelFormat::I420, dims(4, 4), rate(25, 1));
        format.color = ColorInfo { range, ..ColorInfo::UNSPECIFIED };
        let mut bytes = Vec::new();
        let mut writer = Y4mWriter::new(&mut bytes, "a.y4m", format).unwrap();
        writer.write_frame(&noise(PixelFormat::I420, dims(4, 4), 1)).unwrap();
        writer.finish().unwrap();
        drop(writer);
        let line = String::from_utf8_lossy(&bytes[..bytes.iter().position(|b| *b == b'\n').unwrap()]);
        assert_eq!(line.contains("XCOLORRANGE="), range.is_some());
        assert!(line.ends_with(field));
        let mut reader = Y4mReader::new(&bytes[..], "a.y4m").unwrap();
        assert_eq!(reader.video_format(), format);
        assert_eq!(reader.next_frame().unwrap().unwrap().color, format.color);
    }
}

fn y4m_error(header: &str) -> String {
    Y4mReader::new(header.as_bytes(), "a.y4m").err().expect(header).to_string()
}

#[test]
fn y4m_headers_are_judged_field_by_field() {
    let reader = Y4mReader::new(&b"YUV4MPEG2 H3  W2 Xcomment Qunknown\n"[..], "a").unwrap();
    assert_eq!(
        reader.video_format(),
        VideoFormat::new(PixelFormat::I420, dims(2, 3), rate(25, 1)),
        "mandatory fields alone"
    );
    let reader = Y4mReader::new(&b"YUV4MPEG2 W2 H2 F0:0 A0:0 I? C420paldv\n"[..], "a").unwrap();
    assert_eq!((reader.frame_rate(), reader.sample_aspect_ratio()), (rate(25, 1), None));
    let reader = Y4mReader::new(&b"YUV4MPEG2 W2 H2 F25:1 Ip XYSCSS=444\n"[..], "a").unwrap();
    assert_eq!(reader.format(), PixelFormat::I444);

    for (interlaced, order) in [("It", "top field first"), ("Ib", "bottom field first"), ("Im", "mixed")] {
        let error = y4m_error(&format!("YUV4MPEG2 W2 H2 {interlaced}\n"));
        assert!(error.contains(order) && error.contains("deinterlace"), "{error}");
    }
    assert!(y4m_error("YUV4MPEG2 W2 H2 C411\n").contains("\"411\""));
    assert!(y4m_error("YUV4MPEG2 W2 H2 C420p16\n").contains("\"420p16\""));
    assert!(y4m_error("YUV4MPEG2 W2\n").contains("lacks"));
    assert!(y4m_error("YUV4MPEG2 W0 H2\n").contains("0x2"));
    assert!(y4m_error("YUV4MPEG2 W65536 H2\n").contains("65536x2"));
    assert!(y4m_error("YUV4MPEG2 W2 H2 F25\n").contains("\"F25\""));
    assert!(y4m_error("YUV4MPEG2 W99999999999 H2\n").contains("W99999999999"));
    assert!(y4m_error("YUV4MPEG W2 H2\n").contains("YUV4MPEG2"));
    assert!(y4m_error("YUV4MPEG2 W2 H2").contains("no end of line"));
}

#[test]
fn y4m_refuses_what_it_cannot_hold() {
    for format in ffmpeg_formats().filter(|f| !is_planar(*f)) {
        let format = VideoFormat::new(format, dims(4, 4), rate(25, 1));
        let error = Y4mWriter::new(io::sink(), "a.y4m", format).err().unwrap();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
    let format = VideoFormat::new(PixelFormat::I420, dims(4, 4), rate(25, 1));
    let mut writer = Y4mWriter::new(io::sink(), "a.y4m", format).unwrap();
    let error = writer.write_frame(&noise(PixelFormat::I420, dims(4, 6), 0)).unwrap_err().to_string();
    assert!(error.contains("frame 0") && error.contains("4x6"), "{error}");
}

#[test]
fn a_short_last_picture_is_an_error_that_counts_the_missing_bytes() {
    let size = dims(4, 4);
    let format = VideoFormat::new(PixelFormat::I420, size, rate(25, 1));
    let mut bytes = noise(PixelFormat::I420, size, 1).as_host().unwrap().to_packed();
    bytes.extend_from_slice(&[0; 10]);
    let mut reader = RawReader::new(&bytes[..], "a.yuv", format);
    assert!(reader.next_frame().unwrap().is_some());
    let error = reader.next_frame().unwrap_err();
    assert!(error.is_recoverable());
    assert!(error.to_string().contains("frame 1 is cut short: 10 of 24 bytes, 14 missing"), "{error}");
    assert!(reader.next_frame().unwrap().is_none());

    let y4m = [&b"YUV4MPEG2 W4 H4\nFRAME Ip\n"[..], &bytes[..24], b"FRAME\n", &bytes[..10]].concat();
    let mut reader = Y4mReader::new(&y4m[..], "a.y4m").unwrap();
    assert!(reader.next_frame().unwrap().is_some());
    let error = reader.next_frame().unwrap_err().to_string();
    assert!(error.contains("frame 1 is cut short: 10 of 24 bytes, 14 missing"), "{error}");
    assert!(reader.next_frame().unwrap().is_none());

    let y4m = [&b"YUV4MPEG2 W4 H4\nFRAMES\n"[..], &bytes[..24]].concat();
    let error = Y4mReader::new(&y4m[..], "a.y4m").unwrap().next_frame().unwrap_err().to_string();
    assert!(error.contains("FRAME line of frame 0"), "{error}");
}

/// Gives one byte at a time, with interruptions, as pipes may.
struct Trickle<R>(R, bool);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = buf.len().min(1);
        self.0.read(&mut buf[..n])
    }
}

#[test]
fn pictures_kept_by_the_caller_are_never_overwritten() {
    let size = dims(6, 4);
    let format = VideoFormat::new(PixelFormat::I420, size, rate(25, 1));
    let frames: Vec<_> = (0..40).map(|i| noise(PixelFormat::I420, size, i)).collect();
    let mut bytes = Vec::new();
    let mut writer = Y4mWriter::new(&mut bytes, "a.y4m", format).unwrap();
    for f in &frames {
        writer.write_frame(f).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    let expected: Vec<_> = frames.iter().map(frame_md5).collect();
    // Hold every frame, none, and every third one (the rest returns its buffer).
    for keep_every in [1, 1000, 3] {
        let mut reader = Y4mReader::new(Trickle(&bytes[..], false), "a.y4m").unwrap();
        let mut kept = Vec::new();
        for (i, expected) in expected.iter().enumerate() {
            let frame = reader.next_frame().unwrap().unwrap();
            assert_eq!(frame_md5(&frame), *expected);
            if i % keep_every == 0 {
                kept.push((i, frame));
            }
        }
        assert!(reader.next_frame().unwrap().is_none());
        for (i, frame) in &kept {
            assert_eq!(frame_md5(frame), expected[*i]);
        }
    }
}

#[test]
fn y4m_comes_through_a_pipe() {
    let size = dims(64, 48);
    let format = VideoFormat::new(PixelFormat::I010, size, rate(50, 1));
    let frames: Vec<_> = (0..5).map(|i| noise(PixelFormat::I010, size, i)).collect();
    let (reader, writer) = io::pipe().unwrap();
    let sent = frames.clone();
    let thread = std::thread::spawn(move || {
        let mut writer = Y4mWriter::new(writer, "-", format).unwrap();
        for f in &sent {
            writer.write_frame(f).unwrap();
        }
        writer.finish().unwrap()
    });
    let mut reader = Y4mReader::new(reader, "-").unwrap();
    let got: Vec<_> = read_all(&mut reader).iter().map(frame_md5).collect();
    assert_eq!(got, frames.iter().map(frame_md5).collect::<Vec<_>>());
    assert!(thread.join().unwrap() > 0);
}

#[test]
fn png_sequences_are_lossless() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let size = dims(WIDTH, HEIGHT);
    let frames: Vec<_> = (0..3).map(|i| noise(PixelFormat::Rgb24, size, i)).collect();
    let pattern_path = dir.path().join("f%%-%03d.png");
    let pattern = PngPattern::parse(&pattern_path).unwrap();
    let mut writer = PngSequenceWriter::new(pattern.clone(), false, &[]);
    for f in &frames {
        writer.write_frame(&padded(f)).unwrap();
    }
    let total: u64 = (1..=3).map(|n| fs::metadata(pattern.path(n)).unwrap().len()).sum();
    assert_eq!(writer.finish().unwrap(), total);
    assert!(dir.path().join("f%-003.png").exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no temporary files are left");
    let decoded = ffmpeg_md5s(&["-i", text(&pattern_path)]);
    assert_eq!(decoded, frames.iter().map(frame_md5).collect::<Vec<_>>());

    let error = PngSequenceWriter::new(pattern.clone(), false, &[]).write_frame(&frames[0]).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    PngSequenceWriter::new(pattern.clone(), true, &[]).write_frame(&frames[0]).unwrap();
    let yuv = noise(PixelFormat::I420, size, 0);
    assert!(PngSequenceWriter::new(pattern, true, &[]).write_frame(&yuv).is_err());
}

#[test]
fn png_patterns_have_exactly_one_number() {
    let parse = |s: &str| PngPattern::parse(s.as_ref());
    assert_eq!(parse("a-%d.png").unwrap().path(7).to_str(), Some("a-7.png"));
    assert_eq!(parse("100%%/%05d%%.png").unwrap().path(7).to_str(), Some("100%/00007%.png"));
    assert_eq!(parse("%03d").unwrap().path(12345).to_str(), Some("12345"));
    for bad in [
        "a.png",
        "%%.png",
        "%d-%d.png",
        "%5d.png",
        "%s.png",
        "%",
        "%0",
        "%0d.png",
        "%021d.png",
        "%0+5d.png",
        "%-5d",
        "%0999999999999999999999d.png",
        "%xd.png",
    ] {
        let error = parse(bad).expect_err(bad).to_string();
        assert!(error.contains("frame-%05d.png"), "{error}");
    }
}

#[test]
fn write_errors_name_the_file() {
    if !std::path::Path::new("/dev/full").exists() {
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: no /dev/full\n"));
        return;
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut writer = RawWriter::new(full, "out.yuv", PixelFormat::I420, dims(4, 4));
    let error = writer.write_frame(&noise(PixelFormat::I420, dims(4, 4), 0)).unwrap_err();
    assert_eq!(error.to_string(), "write out.yuv: No space left on device (os error 28)");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(mut reader) = Y4mReader::new(&bytes[..], "a") {
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }

    #[test]
    fn arbitrary_fields_never_panic(
        fields in "( [WHFAICX][0-9:pbtm?]{0,12}| C(420|422|444|mono)[p0-9]{0,4}){0,8}",
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let stream = [b"YUV4MPEG2 W3 H5", fields.as_bytes(), b"\nFRAME\n", &body].concat();
        if let Ok(mut reader) = Y4mReader::new(&stream[..], "a") {
            let mut total = 0;
            while let Ok(Some(frame)) = reader.next_frame() {
                total += frame.as_host().unwrap().to_packed().len();
            }
            prop_assert!(total <= stream.len());
        }
    }

    #[test]
    fn raw_pictures_round_trip(
        format in prop::sample::select(PixelFormat::ALL.to_vec()),
        w in 1u32..20, h in 1u32..20, count in 0u8..4,
    ) {
        let size = dims(w, h);
        let frames: Vec<_> = (0..count).map(|i| noise(format, size, i)).collect();
        let mut bytes = Vec::new();
        let mut writer = RawWriter::new(&mut bytes, "a", format, size);
        for frame in &frames {
            writer.write_frame(frame).unwrap();
        }
        prop_assert_eq!(writer.finish().unwrap(), (usize::from(count) * format.frame_bytes(size)) as u64);
        drop(writer);
        let mut reader = RawReader::new(Cursor::new(bytes), "a", VideoFormat::new(format, size, rate(24, 1)));
        let back = read_all(&mut reader);
        prop_assert_eq!(
            back.iter().map(frame_md5).collect::<Vec<_>>(),
            frames.iter().map(frame_md5).collect::<Vec<_>>()
        );
    }

    #[test]
    fn png_patterns_never_panic(text in "[%0-9ds\\-+a/é]{0,12}") {
        if let Ok(pattern) = PngPattern::parse(text.as_ref()) {
            prop_assert_ne!(pattern.path(1), pattern.path(2));
        }
    }
}
