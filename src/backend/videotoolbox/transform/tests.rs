//! The kernel's own text against the conversion of the CPU, on the Vulkan driver for CPUs: every matrix, range and depth to every
//! format, odd sizes, parts of buffers, and in the long form (`VIDEO_HW_LONG`) with 8 bits every pair of chroma samples.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::plan::{Plan, supported};
use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::config::Crop;
use crate::dimensions::Dimensions;
use crate::frame::{Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::time::{TimeBase, Timestamp};
use crate::transform::{Linear, convert, crop};

const TARGETS: [PixelFormat; 7] = [
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Rgba,
    PixelFormat::Bgra,
    PixelFormat::Argb,
    PixelFormat::Abgr,
    PixelFormat::RgbF32Planar,
];

/// Formats of the CPU's conversion, and of those numbers that the kernel takes. With 12 bits, which VideoToolbox does not give, the
/// kernel's arithmetic alone is tried: P016 has them in the high bits.
const DEPTHS: [(u32, PixelFormat, PixelFormat); 3] = [
    (8, PixelFormat::Nv12, PixelFormat::Nv12),
    (10, PixelFormat::P010, PixelFormat::P010),
    (12, PixelFormat::P016, PixelFormat::I412),
];

fn size(width: u32, height: u32) -> Dimensions {
    Dimensions::new(width, height).unwrap()
}

/// Noise with every extreme in it.
fn noise(seed: u64) -> impl FnMut() -> u32 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed << 32;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choice = (state >> 50) as usize % 24;
        [0, 0xffff, 0x8000, 0x1000, 0xeb00].get(choice).copied().unwrap_or((state >> 34) as u32 & 0xffff)
    }
}

/// A picture; with 8 bits and 512 x 512 pixels every pair of chroma samples is in it.
fn picture(depth: u32, format: PixelFormat, color: ColorInfo, size: Dimensions) -> Frame {
    let mut next = noise(u64::from(color.matrix.code()) << 8 | u64::from(depth));
    let luma = (size.width() * size.height()) as usize;
    let words = format.frame_bytes(size) / format.bytes_per_sample();
    let samples = (0..words).map(|at| {
        let pair = at.checked_sub(luma).filter(|_| luma == 512 * 512);
        let code = next() >> (16 - depth);
        match pair {
            Some(at) if depth == 8 => [at as u32 / 512, at as u32 / 2 % 256][at % 2],
            _ => code,
        }
    });
    let bytes: Vec<u8> = if depth == 8 {
        samples.map(|sample| sample as u8).collect()
    } else {
        // What is below the samples of P010 does not count; P016 has 16 bits, of which only the upper ones are wanted here.
        let below = if format == PixelFormat::P010 { 0x15 } else { 0 };
        samples.flat_map(|sample| ((sample << (16 - depth)) as u16 | below).to_le_bytes()).collect()
    };
    let surface = HostSurface::from_packed(format, size, bytes).unwrap();
    let mut frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
    frame.color = color;
    frame
}

/// The CPU's result as the kernel lays it out: rows go on with their last pixel to the next four.
fn expected(frame: &Frame, to: PixelFormat, plan: &Plan) -> Vec<u8> {
    let done = convert(frame, to).unwrap().frame;
    let mut out = Vec::new();
    for (index, plane) in plan.planes().iter().enumerate() {
        let pixel = plane.row_bytes / frame.dimensions.width() as usize;
        for y in 0..plane.rows {
            let row = done.as_host().unwrap().plane(index).unwrap().row(y);
            out.extend_from_slice(row);
            out.extend(row[row.len() - pixel..].iter().cycle().take(plane.pitch - plane.row_bytes));
        }
    }
    assert_eq!(out.len(), plan.bytes());
    out
}

fn write_case(
    file: &mut impl std::io::Write,
    (depth, format, numbers): (u32, PixelFormat, PixelFormat),
    color: ColorInfo,
    to: PixelFormat,
    size: Dimensions,
) {
    let plan = if depth == 12 {
        Plan::of(&Linear::to_rgb(numbers, color, size, to).unwrap(), 4, size, to).unwrap()
    } else {
        Plan::new(numbers, size, color, to).unwrap()
    };
    let corner = (depth - 8, depth / 10 * 4);
    let whole = Dimensions::new(size.width() + corner.0, size.height() + corner.1).unwrap();
    let all = picture(depth, format, color, whole);
    let part = Crop { left: corner.0, top: corner.1, size };
    let frame = if depth == 8 { all.clone() } else { crop(&all, part).unwrap() };
    let result = expected(&frame, to, &plan);
    let shape = [format.bytes_per_sample() as u32, whole.width(), whole.height()];
    let words = plan.arguments_at(corner);
    for word in shape.iter().chain(&words).chain(&[(result.len() / 4) as u32]) {
        file.write_all(&word.to_le_bytes()).unwrap();
    }
    file.write_all(&all.as_host().unwrap().to_packed()).unwrap();
    file.write_all(&result).unwrap();
}

#[test]
fn the_kernel_makes_the_bytes_of_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases");
    let all = if std::env::var_os("VIDEO_HW_LONG").is_some_and(|value| value != "0") {
        size(512, 512)
    } else {
        size(128, 128)
    };
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for (code, range) in [1, 2, 4, 5, 6, 7, 8, 9]
        .into_iter()
        .flat_map(|code| [ColorRange::Limited, ColorRange::Full].map(|range| (code, Some(range))))
    {
        let color =
            ColorInfo { matrix: MatrixCoefficients::from_code(code), range, ..ColorInfo::UNSPECIFIED };
        for depth in DEPTHS {
            for (index, to) in TARGETS.into_iter().enumerate() {
                let size = [size(37, 23), size(130, 18)][(index + depth.0 as usize / 2) % 2];
                write_case(&mut file, depth, color, to, size);
            }
            write_case(&mut file, depth, color, PixelFormat::RgbF32Planar, all);
        }
    }
    for side in [(1, 1), (2, 1), (3, 2), (5, 1), (1, 9)] {
        for to in TARGETS {
            write_case(&mut file, DEPTHS[0], ColorInfo::UNSPECIFIED, to, size(side.0, side.1));
        }
    }
    file.into_inner().unwrap();
    run(&["--run", path.to_str().unwrap()], "the Metal kernel is not run");
}

#[test]
fn the_committed_metal_text_is_what_the_kernel_translates_to() {
    run(&["--check"], "kernel.metal is not compared with its source");
}

fn run(arguments: &[&str], skipped: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/build-metal.py");
    // Past the test runner, which keeps the words of tests that pass.
    let say = |why: &str| drop(writeln!(std::io::stderr(), "SKIPPED: {skipped}: {why}"));
    let Ok(done) = Command::new("python3").arg(script).args(arguments).output() else {
        return say("there is no python3");
    };
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.code() {
        Some(0) => println!("{}", String::from_utf8_lossy(&done.stdout)),
        // What it needs is missing.
        Some(3) => say(said.trim().trim_start_matches("SKIPPED: ")),
        _ => panic!("{}: {said}", done.status),
    }
}

#[test]
fn only_what_the_kernel_knows_is_planned() {
    assert!(
        supported(PixelFormat::Nv12, PixelFormat::Bgra) && supported(PixelFormat::P010, PixelFormat::Rgb24)
    );
    assert!(
        !supported(PixelFormat::I420, PixelFormat::Rgb24) && !supported(PixelFormat::Nv12, PixelFormat::I420)
    );
    let color = |code| ColorInfo { matrix: MatrixCoefficients::from_code(code), ..ColorInfo::UNSPECIFIED };
    for (from, size, color, to) in [
        (PixelFormat::P016, size(8, 8), color(1), PixelFormat::Rgb24),
        (PixelFormat::Nv12, size(8, 8), color(1), PixelFormat::P010),
        (PixelFormat::Nv12, size(8, 8), color(0), PixelFormat::Rgb24),
        (PixelFormat::Nv12, size(16386, 8), color(1), PixelFormat::Rgb24),
    ] {
        assert!(Plan::new(from, size, color, to).is_err(), "{from} {size} {to}");
    }
}
