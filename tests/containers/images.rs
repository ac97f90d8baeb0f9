//! Image sequences: against our own writer, against ffmpeg, and against damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::streams::have;
use tempfile::TempDir;
use video_hw::Error;
use video_hw::color::ColorInfo;
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pipeline::{FrameSource, SourceOptions};
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::{
    FrameWriter, PictureTimes, PngPattern, PngSequenceWriter, TimeUnit, is_image_input,
};
use video_hw::time::{Rational, TimeBase, Timestamp};

const SIZE: (u32, u32) = (35, 27);

fn picture(seed: usize) -> Vec<u8> {
    let len = (SIZE.0 * SIZE.1 * 3) as usize;
    (0..len).map(|i| (i * 7 + i / 251 + seed * 31) as u8 ^ seed as u8).collect()
}

fn frame(size: (u32, u32), rgb: Vec<u8>) -> Frame {
    let size = Dimensions::new(size.0, size.1).unwrap();
    let surface = HostSurface::from_packed(PixelFormat::Rgb24, size, rgb).unwrap();
    Frame::host(Timestamp::new(0, TimeBase::NANOS), surface)
}

/// Writes `count` pictures as `name`, a pattern, by our own writer; they are numbered from 1.
fn write(dir: &Path, name: &str, count: usize) {
    let pattern = PngPattern::parse(&dir.join(name)).unwrap();
    let mut writer = PngSequenceWriter::new(pattern, false, &[]);
    for n in 0..count {
        writer.write_frame(&frame(SIZE, picture(n))).unwrap();
    }
    writer.finish().unwrap();
}

/// One PNG file of any kind.
fn png(path: &Path, size: (u32, u32), color: png::ColorType, depth: png::BitDepth, data: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), size.0, size.1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette(vec![10, 20, 30, 200, 100, 50]);
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
}

fn options(times: PictureTimes) -> SourceOptions {
    SourceOptions::default().times(times)
}

fn rated() -> SourceOptions {
    SourceOptions::default().frame_rate(Rational::new(50, 1))
}

/// Every frame's time in nanoseconds, duration in ticks and samples.
fn read(input: &Path, options: &SourceOptions) -> Result<Vec<(i64, u64, Vec<u8>)>, Error> {
    let mut source = FrameSource::open(input, options)?;
    let mut out = Vec::new();
    while let Some(frame) = source.next_frame()? {
        assert_eq!(frame.format, PixelFormat::Rgb24);
        assert_eq!(frame.color, ColorInfo::SRGB);
        let nanos = frame.pts.rescale(TimeBase::NANOS);
        assert_eq!(nanos, frame.pts, "nothing is rounded");
        out.push((nanos.ticks(), frame.duration.unwrap(), frame.as_host().unwrap().to_packed()));
    }
    Ok(out)
}

fn pictures(input: &Path, options: &SourceOptions) -> Vec<Vec<u8>> {
    read(input, options).unwrap().into_iter().map(|(_, _, rgb)| rgb).collect()
}

#[track_caller]
fn refused(input: &Path, options: &SourceOptions, words: &[&str]) {
    let error = read(input, options).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "no {word:?} in: {error}");
    }
}

fn scratch() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

fn times_file(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("times.txt");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn what_our_writer_writes_comes_back_by_every_name() {
    let (_keep, dir) = scratch();
    // Not padded, so that the order of bytes (1, 10, 11, 2) is not the order of numbers.
    write(&dir, "f%d.png", 23);
    fs::write(dir.join("notes.txt"), "not an image").unwrap();
    let wanted: Vec<_> = (0..23).map(picture).collect();
    for name in ["", "f%d.png", "f*.png", "f*"] {
        assert!(pictures(&dir.join(name), &rated()) == wanted, "{name:?}");
    }
    assert!(pictures(&dir.join("f?.png"), &rated()) == wanted[..9]);
    assert!(pictures(&dir.join("f7.png"), &rated()) == wanted[6..7]);
    for threads in [1, 2, 5, 64] {
        let options = rated().threads(std::num::NonZeroUsize::new(threads));
        assert!(pictures(&dir, &options) == wanted, "{threads} threads");
    }
    let source = FrameSource::open(&dir, &rated()).unwrap();
    assert_eq!(source.info().frames, Some(23));
    assert_eq!(source.info().format, "23 images (PNG), rgb24");
    assert_eq!(source.info().time_base, TimeBase::new(1, 50).unwrap());
    assert!(source.info().notes.is_empty(), "{:?}", source.info().notes);
    let source = video_hw::frames(&dir).open().unwrap();
    assert!(source.info().notes[0].contains("25 a second"), "{:?}", source.info().notes);
    assert!(!is_image_input(&dir.join("nowhere.mp4")) && !is_image_input(Path::new("-")));
}

#[test]
fn every_kind_of_png_becomes_rgb() {
    use png::{BitDepth as D, ColorType as C};
    let (_keep, dir) = scratch();
    let cases: [(C, D, &[u8], [u8; 6]); 9] = [
        (C::Grayscale, D::Eight, &[7, 200], [7, 7, 7, 200, 200, 200]),
        (C::Grayscale, D::One, &[0b0100_0000], [0, 0, 0, 255, 255, 255]),
        (C::Grayscale, D::Sixteen, &[0x80, 0x7f, 0x80, 0x81], [128, 128, 128, 128, 128, 128]),
        (C::GrayscaleAlpha, D::Eight, &[7, 0, 200, 255], [7, 7, 7, 200, 200, 200]),
        (C::Rgb, D::Eight, &[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        (C::Rgb, D::Sixteen, &[255, 255, 0, 0, 0, 200, 1, 1, 2, 2, 3, 3], [255, 0, 1, 1, 2, 3]),
        (C::Rgba, D::Eight, &[1, 2, 3, 0, 4, 5, 6, 255], [1, 2, 3, 4, 5, 6]),
        (C::Rgba, D::Sixteen, &[1, 1, 2, 2, 3, 3, 0, 0, 4, 4, 5, 5, 6, 6, 9, 9], [1, 2, 3, 4, 5, 6]),
        (C::Indexed, D::Eight, &[1, 0], [200, 100, 50, 10, 20, 30]),
    ];
    for (n, (color, depth, data, _)) in cases.iter().enumerate() {
        png(&dir.join(format!("{n}.png")), (2, 1), *color, *depth, data);
    }
    let read = pictures(&dir, &rated());
    assert_eq!(read.len(), cases.len());
    for (got, (color, depth, _, wanted)) in read.iter().zip(&cases) {
        assert_eq!(got, wanted, "{color:?} {depth:?}");
    }
    let notes = |name: &str| FrameSource::open(&dir.join(name), &rated()).unwrap().info().notes.join("; ");
    assert!(notes("7.png").contains("16 bit") && notes("7.png").contains("alpha"), "{}", notes("7.png"));
    assert_eq!(notes("4.png"), "");
}

/// Mean and largest difference of samples.
fn difference(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (each().map(f64::from).sum::<f64>() / a.len() as f64, each().max().unwrap())
}

fn ffmpeg(args: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn jpeg_is_decoded_as_ffmpeg_decodes_it() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let (_keep, dir) = scratch();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    // Smooth pictures: where chroma has steps, decoders that interpolate it differ by design.
    // Each colour and end is given: those that are not are another at each run, whatever the seed.
    let graph = "gradients=size=96x80:duration=1:rate=4:seed=3:speed=0.02:nb_colors=2:c0=0x405878:c1=0xb09058:\
                 x0=4:y0=6:x1=90:y1=70";
    for (name, format) in [("a", "yuvj444p"), ("b", "yuvj422p"), ("c", "yuvj420p"), ("d", "gray")] {
        let pattern = file(&format!("{name}%d.jpg"));
        ffmpeg(&["-f", "lavfi", "-i", graph, "-pix_fmt", format, "-q:v", "2", "-frames:v", "3", &pattern]);
    }
    // Mixed with PNG in one sequence.
    ffmpeg(&["-f", "lavfi", "-i", graph, "-frames:v", "1", &file("e1.png")]);
    let ours = pictures(&dir, &rated());
    assert_eq!(ours.len(), 13);
    let names = [
        "a1.jpg", "a2.jpg", "a3.jpg", "b1.jpg", "b2.jpg", "b3.jpg", "c1.jpg", "c2.jpg", "c3.jpg", "d1.jpg",
        "d2.jpg", "d3.jpg", "e1.png",
    ];
    for (name, ours) in names.iter().zip(&ours) {
        let flags = "accurate_rnd+full_chroma_int+full_chroma_inp";
        let theirs =
            ffmpeg(&["-i", &file(name), "-sws_flags", flags, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]);
        let (mean, most) = difference(ours, &theirs);
        let bounds = if name.ends_with("png") { (0.0, 0) } else { (0.5, 4) };
        assert!(mean <= bounds.0 && most <= bounds.1, "{name}: {mean} in the mean, {most} at most");
    }
}

#[test]
fn times_are_exact_from_lists_and_names() {
    let (_keep, dir) = scratch();
    let images = dir.join("images");
    fs::create_dir(&images).unwrap();
    write(&images, "%d.png", 4);
    let start = 1_403_636_579_763_555_584_i64;
    let nanos = [0, 33_333_333, 66_666_671, 200_000_003];
    let check = |options: &SourceOptions, order: &[usize]| {
        let read = read(&images, options).unwrap();
        assert_eq!(read.iter().map(|(time, ..)| *time).collect::<Vec<_>>(), nanos);
        let lengths: Vec<_> = read.iter().map(|(_, length, _)| *length as i64).collect();
        assert_eq!(lengths, [33_333_333, 33_333_338, 133_333_332, 133_333_332]);
        for ((.., rgb), n) in read.iter().zip(order) {
            assert!(*rgb == picture(*n), "picture {n}");
        }
    };
    let list = |text: String, unit| options(PictureTimes::File { path: times_file(&dir, &text), unit });
    let absolute = nanos.map(|n| start + n);
    check(&list(absolute.map(|n| format!("{n}\n")).concat(), TimeUnit::Nanos), &[0, 1, 2, 3]);
    let seconds = absolute.map(|n| format!("{}.{:09}\n", n / 1_000_000_000, n % 1_000_000_000)).concat();
    check(&list(seconds, TimeUnit::Seconds), &[0, 1, 2, 3]);
    // A list with names says the order, too.
    let named = [3, 1, 4, 2].iter().zip(absolute).map(|(name, n)| format!("cam0/{name}.png,{n}ns\n"));
    check(&list(named.collect(), TimeUnit::Seconds), &[2, 0, 3, 1]);
    let times = absolute.map(|n| Duration::from_nanos(n as u64)).to_vec();
    check(&options(PictureTimes::List(times)), &[0, 1, 2, 3]);
    for (n, time) in absolute.iter().enumerate() {
        fs::rename(images.join(format!("{}.png", n + 1)), images.join(format!("left_{time}.png"))).unwrap();
    }
    check(&options(PictureTimes::Names(TimeUnit::Nanos)), &[0, 1, 2, 3]);
    let source = FrameSource::open(&images, &options(PictureTimes::Names(TimeUnit::Nanos))).unwrap();
    assert_eq!(source.info().time_base, TimeBase::NANOS);
    assert!(source.info().notes[0].contains("1403636579.763555584 s"), "{:?}", source.info().notes);
    // Numbers of a pattern may be times: no gap.
    let pattern = images.join("left_%d.png");
    assert_eq!(read(&pattern, &options(PictureTimes::Names(TimeUnit::Nanos))).unwrap().len(), 4);
}

#[test]
fn headerless_pictures_take_times_from_a_list() {
    use video_hw::rawvideo::VideoFormat;
    let (_keep, dir) = scratch();
    let raw = dir.join("camera.rgb");
    fs::write(&raw, (0..3).flat_map(picture).collect::<Vec<_>>()).unwrap();
    let format = VideoFormat::new(
        PixelFormat::Rgb24,
        Dimensions::new(SIZE.0, SIZE.1).unwrap(),
        Rational::new(1, 1).unwrap(),
    );
    let with = |text: &str| {
        let path = times_file(&dir, text);
        let times = PictureTimes::File { path, unit: TimeUnit::Seconds };
        let mut source = FrameSource::open(&raw, &options(times).raw(format))?;
        let mut times = Vec::new();
        while let Some(frame) = source.next_frame()? {
            times.push(frame.pts.rescale(TimeBase::NANOS).ticks());
        }
        Ok::<_, Error>(times)
    };
    assert_eq!(with("5\n5.040\n5.123456789\n").unwrap(), [0, 40_000_000, 123_456_789]);
    for (text, words) in [
        ("1\n2\n", "fewer times"),
        ("1\n2\n3\n4\n", "4 times, but there are 3"),
        ("1\n3\n2\n", "line 3"),
        ("1,a.png\n", "have no names"),
    ] {
        let error = with(text).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("times.txt"), "{text:?}: {error}");
    }
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/bars.mp4");
    let times = PictureTimes::List(vec![Duration::ZERO]);
    refused(&clip, &options(times), &["bars.mp4", "times of its own"]);
}

#[test]
fn gaps_are_refused_or_gone_over_in_time() {
    let (_keep, dir) = scratch();
    write(&dir, "f-%04d.png", 9);
    for n in [3, 4, 7] {
        fs::remove_file(dir.join(format!("f-000{n}.png"))).unwrap();
    }
    let pattern = dir.join("f-%04d.png");
    refused(&pattern, &rated(), &["f-%04d.png", "f-0003.png is missing", "3 missing in all"]);
    let going = rated().keep_going(true);
    let read = read(&pattern, &going).unwrap();
    let shown: Vec<_> = read.iter().map(|(nanos, ..)| *nanos / 20_000_000).collect();
    assert_eq!(shown, [0, 1, 4, 5, 7, 8], "each stays where its number puts it");
    assert_eq!(read.iter().map(|(_, length, _)| *length).collect::<Vec<_>>(), [1, 3, 1, 2, 1, 1]);
    let notes = FrameSource::open(&pattern, &going).unwrap().info().notes.clone();
    assert!(notes[0].contains("f-0003.png"), "{notes:?}");
}

#[test]
fn what_is_wrong_is_named() {
    let (_keep, dir) = scratch();
    let images = dir.join("images");
    fs::create_dir(&images).unwrap();
    refused(&images, &rated(), &["images", "is a directory without images"]);
    refused(&images.join("f%d.png"), &rated(), &["f%d.png", "matches no file"]);
    refused(&images.join("*.png"), &rated(), &["*.png", "matches no file"]);
    refused(&dir.join("nowhere/*.png"), &rated(), &["nowhere"]);
    write(&images, "f%d.png", 3);
    let list =
        |text: &str| options(PictureTimes::File { path: times_file(&dir, text), unit: TimeUnit::Seconds });
    refused(&images, &list("0\n1\n"), &["times.txt", "fewer times than images", "2 times, 3 images"]);
    refused(&images, &list("0\n1\n2\n3\n"), &["more times than images"]);
    refused(&images, &list("# t\n0\n1\n1\n"), &["times.txt, line 4", "must rise"]);
    refused(&images, &list("0\nx\n2\n"), &["times.txt, line 2", "\"x\""]);
    refused(&images, &list("f1.png,0\nf2.png,1\n"), &["fewer times than images", "f3.png"]);
    refused(&images, &list("f1.png,0\nf9.png,1\n"), &["times.txt, line 2", "f9.png"]);
    refused(&images, &list("f1.png,0\n1\n"), &["times.txt, line 2", "names no image"]);
    refused(&images, &options(PictureTimes::File { path: dir.join("no"), unit: TimeUnit::Seconds }), &["no"]);
    let (_keep, same) = scratch();
    write(&same, "a%d.png", 1);
    write(&same, "b%d.png", 1);
    let by_name = options(PictureTimes::Names(TimeUnit::Millis));
    refused(&same, &by_name, &["b1.png", "must rise"]);
    fs::rename(same.join("b1.png"), same.join("b.png")).unwrap();
    refused(&same, &by_name, &["b.png", "does not end in a time"]);
}

#[test]
fn a_list_that_misses_images_is_gone_over_if_asked() {
    let (_keep, dir) = scratch();
    let images = dir.join("images");
    fs::create_dir(&images).unwrap();
    write(&images, "%d.png", 4);
    let path = times_file(&dir, "1.png,0\n9.png,0.5\n4.png,1\n2.png,2\n");
    let times = PictureTimes::File { path, unit: TimeUnit::Seconds };
    let options = options(times).keep_going(true);
    let read = read(&images, &options).unwrap();
    let shown: Vec<_> = read.iter().map(|(nanos, ..)| *nanos / 1_000_000).collect();
    assert_eq!(shown, [0, 1000, 2000]);
    assert!(read[1].2 == picture(3));
    let notes = FrameSource::open(&images, &options).unwrap().info().notes.join("; ");
    assert!(notes.contains("9.png") && notes.contains("3.png"), "{notes}");
}

#[test]
fn damaged_images_are_named_and_gone_over_if_asked() {
    let (_keep, dir) = scratch();
    write(&dir, "f%d.png", 8);
    let good = fs::read(dir.join("f4.png")).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let jpeg: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xd9];
    for (bad, words) in [
        (&b"once upon a time"[..], &["f4.png", "neither PNG nor JPEG", "6f 6e 63 65"][..]),
        (&[], &["f4.png", "empty"]),
        (&good[..good.len() / 2], &["f4.png (PNG)", "cut short"]),
        (&good[..good.len() - 4], &["f4.png (PNG)"]),
        (&good[..20], &["f4.png (PNG)"]),
        (&flipped, &["f4.png (PNG)"]),
        (jpeg, &["f4.png (JPEG)"]),
    ] {
        fs::write(dir.join("f4.png"), bad).unwrap();
        refused(&dir, &rated(), words);
        let mut source = FrameSource::open(&dir, &rated().keep_going(true)).unwrap();
        let mut times = Vec::new();
        while let Some(frame) = source.next_frame().unwrap() {
            times.push(frame.pts.ticks());
        }
        assert_eq!(times, [0, 1, 2, 4, 5, 6, 7], "the others stay where they were");
        let summary = source.summary();
        assert_eq!((summary.frames, summary.problem_count), (7, 1));
        assert!(summary.problems[0].contains("f4.png"), "{:?}", summary.problems);
    }
    // The first one, too: the size comes from another then.
    fs::write(dir.join("f4.png"), &good).unwrap();
    fs::write(dir.join("f1.png"), "x").unwrap();
    refused(&dir, &rated(), &["f1.png"]);
    let mut source = FrameSource::open(&dir, &rated().keep_going(true)).unwrap();
    let rest: Vec<_> = source.by_ref().map(|frame| frame.unwrap().pts.ticks()).collect();
    assert_eq!(rest, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(source.summary().problem_count, 1);
}

#[test]
fn an_image_of_another_size_ends_the_job() {
    let (_keep, dir) = scratch();
    write(&dir, "f%d.png", 4);
    png(&dir.join("f3.png"), (64, 48), png::ColorType::Grayscale, png::BitDepth::Eight, &[0; 64 * 48]);
    for keep_going in [false, true] {
        let options = rated().keep_going(keep_going);
        refused(&dir, &options, &["f3.png is 64x48", "35x27", "one size"]);
    }
}

#[test]
fn no_damage_to_a_png_is_answered_by_a_panic_or_by_other_pictures() {
    let (_keep, dir) = scratch();
    write(&dir, "a%d.png", 1);
    let file = dir.join("a1.png");
    let good = fs::read(&file).unwrap();
    let mut refused = 0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= [0x01, 0xff][at % 2];
        fs::write(&file, &bad).unwrap();
        match read(&file, &rated()) {
            // Some bytes say nothing of the picture: the time of day of a comment, an unknown chunk.
            Ok(frames) => assert!(frames[0].2 == picture(0), "byte {at}"),
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains("panicked"), "byte {at}: {error}");
            }
        }
    }
    assert!(refused > good.len() / 2, "{refused} of {}: check sums are checked", good.len());
}

/// A chunk of a PNG file with its check sum.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &(!crc).to_be_bytes()].concat()
}

#[test]
fn sizes_that_are_only_claimed_cost_nothing() {
    let (_keep, dir) = scratch();
    for (width, height) in [(65_535_u32, 65_535_u32), (u32::MAX, u32::MAX), (1 << 31, 1), (0, 7)] {
        let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
        header.extend([8, 6, 0, 0, 0]);
        let file = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header)].concat();
        fs::write(dir.join("a.png"), file).unwrap();
        refused(&dir, &rated(), &["a.png (PNG)"]);
    }
    // SOF0 of 65500 x 65500, three components.
    let sof = [0xff, 0xc0, 0, 17, 8, 0xff, 0xdc, 0xff, 0xdc, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 0xff, 0xd9];
    fs::write(dir.join("a.png"), [&[0xff, 0xd8][..], &sof, &scan].concat()).unwrap();
    refused(&dir, &rated(), &["a.png (JPEG)", "65500x65500"]);
}

#[test]
fn truncated_jpegs_are_refused_at_every_length() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let (_keep, dir) = scratch();
    let file = dir.join("a.jpg");
    let graph = "testsrc=size=64x48:rate=1:duration=1";
    ffmpeg(&["-f", "lavfi", "-i", graph, "-frames:v", "1", file.to_str().unwrap()]);
    let good = fs::read(&file).unwrap();
    assert_eq!(pictures(&file, &rated()).len(), 1);
    for length in (0..good.len()).step_by(13).chain([good.len() - 2, good.len() - 1]) {
        fs::write(&file, &good[..length]).unwrap();
        assert!(read(&file, &rated()).is_err(), "{length} of {} bytes", good.len());
    }
    // Damage anywhere: an answer, whichever, and no panic.
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        fs::write(&file, &bad).unwrap();
        if let Err(error) = read(&file, &rated()) {
            assert!(!error.to_string().contains("panicked"), "byte {at}: {error}");
        }
    }
}
