//! Conversion and scaling of textured pictures, against ffmpeg.
use std::process::{Command, Stdio};

use video_hw::color::{ColorInfo, ColorRange, MatrixCoefficients};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::time::{TimeBase, Timestamp};
use video_hw::transform::{ScaleFilter, convert, scale};

const EXACT: &str = "accurate_rnd+full_chroma_int+full_chroma_inp+bitexact";

fn ffmpeg(arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    let child = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: ffmpeg is not installed\n"),
        );
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "ffmpeg {arguments:?}");
    Some(output.stdout)
}

/// Texture of many frequencies with a little noise, in a format and size.
fn textured(format: PixelFormat, size: Dimensions) -> Option<Vec<u8>> {
    let source = format!(
        "color=gray:s={size},format=yuv444p,\
         geq=lum='128+45*sin(X/61+Y/97)+30*sin(X/23-Y/31)*cos(Y/41)+20*sin(X*Y/9000)+10*sin(X/3.7)*sin(Y/4.3)':\
         cb='128+50*sin(X/157+Y/183)':cr='128+50*cos(X/171-Y/143)',\
         noise=c0s=4:all_seed=7"
    );
    let arguments =
        ["-f", "lavfi", "-i", &source, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", format.name(), "-"];
    ffmpeg(&arguments, &[])
}

/// ffmpeg's conversion or scaling of one raw picture.
fn judged(
    from: PixelFormat,
    size: Dimensions,
    filter: &str,
    to: PixelFormat,
    data: &[u8],
) -> Option<Vec<u8>> {
    let input_size = size.to_string();
    ffmpeg(
        &[
            "-f",
            "rawvideo",
            "-pix_fmt",
            from.name(),
            "-s",
            &input_size,
            "-i",
            "-",
            "-vf",
            filter,
            "-f",
            "rawvideo",
            "-pix_fmt",
            to.name(),
            "-",
        ],
        data,
    )
}

fn frame(format: PixelFormat, size: Dimensions, data: &[u8]) -> Frame {
    let surface = HostSurface::from_packed(format, size, data.to_vec()).unwrap();
    Frame::host(Timestamp::new(0, TimeBase::MPEG), surface)
}

#[test]
fn rgb_is_as_ffmpeg_makes_it() {
    // Where no chroma has to be interpolated, only rounding differs. Where it has, ffmpeg filters it and we
    // repeat it: at edges of colour that is a real difference, on the whole a small one.
    let size = Dimensions::new(1280, 720).unwrap();
    for (format, worst_allowed, mean_allowed) in [
        (PixelFormat::I444, 2, 0.5),
        (PixelFormat::I420, 96, 0.8),
        (PixelFormat::Nv12, 96, 0.8),
        (PixelFormat::P010, 96, 1.0),
    ] {
        let Some(data) = textured(format, size) else { return };
        for (matrix, name) in [
            (MatrixCoefficients::Smpte170M, "bt601"),
            (MatrixCoefficients::Bt709, "bt709"),
            (MatrixCoefficients::Bt2020Ncl, "bt2020"),
        ] {
            for (range, range_name) in [(ColorRange::Limited, "tv"), (ColorRange::Full, "pc")] {
                let filter =
                    format!("scale=in_color_matrix={name}:in_range={range_name}:out_range=pc:flags={EXACT}");
                let Some(theirs) = judged(format, size, &filter, PixelFormat::Rgb24, &data) else { return };
                let mut frame = frame(format, size, &data);
                frame.color = ColorInfo { matrix, range: Some(range), ..ColorInfo::UNSPECIFIED };
                let ours = convert(&frame, PixelFormat::Rgb24).unwrap().frame.as_host().unwrap().to_packed();
                assert_eq!(ours.len(), theirs.len());
                let differences = || ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b));
                let worst = differences().max().unwrap();
                let mean = differences().map(f64::from).sum::<f64>() / ours.len() as f64;
                eprintln!("{format} {name} {range_name}: mean {mean:.4}, worst {worst}");
                assert!(worst <= worst_allowed, "{format} {name} {range_name}: worst {worst}");
                assert!(mean <= mean_allowed, "{format} {name} {range_name}: mean {mean}");
            }
        }
    }
}

#[test]
fn scaled_pictures_are_as_ffmpeg_scales_them() {
    let size = Dimensions::new(1280, 720).unwrap();
    for format in [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::I010, PixelFormat::Rgb24] {
        let Some(data) = textured(format, size) else { return };
        for (w, h) in [(640, 360), (854, 480), (1920, 1080), (1000, 720)] {
            let to = Dimensions::new(w, h).unwrap();
            for (filter, name) in [
                (ScaleFilter::Bilinear, "bilinear"),
                // ffmpeg's cubic has C = 0.6, Catmull-Rom 0.5.
                (ScaleFilter::Bicubic, "bicubic"),
                (ScaleFilter::Lanczos3, "lanczos"),
            ] {
                let filter_text = format!("scale={w}:{h}:flags={name}+{EXACT}");
                let Some(theirs) = judged(format, size, &filter_text, format, &data) else { return };
                let ours = scale(&frame(format, size, &data), to, filter).unwrap();
                let ours = ours.as_host().unwrap().to_packed();
                let psnr = psnr(format, &ours, &theirs);
                eprintln!("{format} to {to} {name}: {psnr:.1} dB");
                assert!(psnr >= 48.0, "{format} to {to} {name}: {psnr} dB");
            }
        }
    }
}

fn psnr(format: PixelFormat, a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let max = f64::from((1_u32 << format.bit_depth()) - 1);
    let (squares, count) = if format.bytes_per_sample() == 1 {
        (a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>(), a.len())
    } else {
        let words = |bytes: &[u8]| -> Vec<u16> {
            bytes.as_chunks::<2>().0.iter().map(|&w| u16::from_le_bytes(w)).collect()
        };
        let (a, b) = (words(a), words(b));
        (a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>(), a.len())
    };
    10.0 * (max * max * count as f64 / squares).log10()
}
