//! Format conversion and scaling, against the exact reference.
use bytes::Bytes;
use md5::{Digest, Md5};
use proptest::prelude::*;
use video_hw::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::{Chroma, PixelFormat};
use video_hw::time::{Rational, TimeBase, Timestamp};
use video_hw::transform::{ColorRequest, ScaleFilter, apply, convert, reference, scale};

const MATRICES: [u8; 8] = [1, 4, 5, 6, 7, 8, 9, 0];

fn dims(w: u32, h: u32) -> Dimensions {
    Dimensions::new(w, h).unwrap()
}

fn color(matrix: u8, range: Option<ColorRange>) -> ColorInfo {
    ColorInfo { matrix: MatrixCoefficients::from_code(matrix), range, ..ColorInfo::UNSPECIFIED }
}

/// Legal samples of a format, with `padding` samples after each row but the last.
fn picture(format: PixelFormat, size: Dimensions, padding: usize, mut next: impl FnMut() -> u16) -> Frame {
    let planes = (0..format.plane_count()).map(|i| {
        let plane = format.plane_size(i, size).unwrap();
        let stride = plane.row_bytes + padding * format.bytes_per_sample();
        let mut data = Vec::new();
        for y in 0..plane.rows {
            for _ in 0..plane.row_bytes / format.bytes_per_sample() {
                let v = next();
                match format {
                    PixelFormat::RgbF32Planar => data.extend((f32::from(v) / 65535.0).to_le_bytes()),
                    PixelFormat::P010 => data.extend((v & 0xffc0).to_le_bytes()),
                    // As NVDEC delivers it: 12 bit in the high bits.
                    PixelFormat::P016 => data.extend((v & 0xfff0).to_le_bytes()),
                    f if f.bit_depth() == 8 => data.push(v as u8),
                    f => data.extend((v >> (16 - f.bit_depth())).to_le_bytes()),
                }
            }
            if y + 1 < plane.rows {
                data.resize(stride * (y + 1), 0xa5);
            }
        }
        (Bytes::from(data), stride)
    });
    let surface = HostSurface::new(format, size, planes.collect::<Vec<_>>()).unwrap();
    Frame::host(Timestamp::new(7, TimeBase::MPEG), surface)
}

fn generator(seed: u64) -> impl FnMut() -> u16 {
    let mut state = seed | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u16
    }
}

/// The samples as numbers, in codes of the format (floats: in 8-bit codes).
fn codes(frame: &Frame) -> Vec<f64> {
    let packed = frame.as_host().unwrap().to_packed();
    let words = |shift: u32| -> Vec<f64> {
        packed.as_chunks::<2>().0.iter().map(|&w| f64::from(u16::from_le_bytes(w) >> shift)).collect()
    };
    match frame.format {
        PixelFormat::RgbF32Planar => {
            packed.as_chunks::<4>().0.iter().map(|&w| f64::from(f32::from_le_bytes(w)) * 255.0).collect()
        }
        PixelFormat::P010 => words(6),
        PixelFormat::P016 => words(4),
        f if f.bit_depth() == 8 => packed.iter().map(|&v| f64::from(v)).collect(),
        _ => words(0),
    }
}

fn worst(a: &Frame, b: &Frame) -> f64 {
    let (a, b) = (codes(a), codes(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn any_format() -> impl Strategy<Value = PixelFormat> {
    proptest::sample::select(PixelFormat::ALL.to_vec())
}

fn any_color() -> impl Strategy<Value = ColorInfo> {
    let range = prop_oneof![Just(None), Just(Some(ColorRange::Limited)), Just(Some(ColorRange::Full))];
    (proptest::sample::select(vec![0_u8, 1, 2, 4, 5, 6, 7, 8, 9]), range).prop_map(|(m, r)| color(m, r))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_conversion_is_within_one_code_of_the_exact_one(
        from in any_format(),
        to in any_format(),
        (w, h) in (1_u32..70, 1_u32..20),
        padding in 0_usize..40,
        color in any_color(),
        seed in any::<u64>(),
    ) {
        let mut frame = picture(from, dims(w, h), padding, generator(seed));
        frame.color = color;
        match (convert(&frame, to), reference::convert(&frame, to)) {
            (Ok(fast), Ok(exact)) => {
                prop_assert_eq!(fast.frame.format, to);
                prop_assert_eq!(fast.frame.color, exact.frame.color);
                prop_assert_eq!(fast.assumed_color, exact.assumed_color);
                let error = worst(&fast.frame, &exact.frame);
                let allowed = if to == PixelFormat::RgbF32Planar { 0.001 } else { 1.0 };
                prop_assert!(error <= allowed, "{} to {} {}x{} {:?}: {}", from, to, w, h, color, error);
            }
            (Err(fast), Err(exact)) => prop_assert_eq!(fast.to_string(), exact.to_string()),
            (fast, exact) => prop_assert!(false, "{:?} against {:?}", fast.map(|_| ()), exact.map(|_| ())),
        }
    }
}

/// Every matrix, range, depth and layout, to bytes and to floats: the sum was made by another program (numpy), which does the
/// arithmetic of `src/transform/linear.rs` in 32-bit floats. A machine that has another rounds otherwise.
#[test]
fn rgb_has_the_same_bytes_on_every_machine() {
    const FORMATS: [PixelFormat; 11] = [
        PixelFormat::I420,
        PixelFormat::Nv12,
        PixelFormat::I422,
        PixelFormat::I444,
        PixelFormat::Gray8,
        PixelFormat::I010,
        PixelFormat::P010,
        PixelFormat::I012,
        PixelFormat::P016,
        PixelFormat::I410,
        PixelFormat::I412,
    ];
    let mut sum = Md5::new();
    for matrix in MATRICES {
        for (full, range) in [ColorRange::Limited, ColorRange::Full].into_iter().enumerate() {
            for (index, format) in FORMATS.into_iter().enumerate() {
                if matrix == 0 && format.chroma() != Some(Chroma::Yuv444) {
                    continue;
                }
                let seed = u64::from(matrix) * 100 + full as u64 * 50 + index as u64;
                let mut frame = picture(format, dims(37, 23), 0, generator(seed));
                frame.color = color(matrix, Some(range));
                for to in [PixelFormat::Rgb24, PixelFormat::Bgra, PixelFormat::RgbF32Planar] {
                    let made = convert(&frame, to).unwrap().frame;
                    sum.update(made.as_host().unwrap().to_packed());
                }
            }
        }
    }
    let sum: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum, "71fa194f8921ecb30610a3fa6281484e");
}

#[test]
fn ramps_are_within_one_code_for_every_matrix_and_range() {
    for matrix in MATRICES {
        for range in [ColorRange::Limited, ColorRange::Full] {
            let mut at = 0_u32;
            let mut frame = picture(PixelFormat::I444, dims(256, 64), 0, || {
                let (plane, i) = (at / (256 * 64), at % (256 * 64));
                at += 1;
                (match plane {
                    0 => i % 256,
                    1 => (i / 256) * 4,
                    _ => 255 - (i / 256 * 37) % 256,
                }) as u16
            });
            frame.color = color(matrix, Some(range));
            let fast = convert(&frame, PixelFormat::Rgb24).unwrap().frame;
            let exact = reference::convert(&frame, PixelFormat::Rgb24).unwrap().frame;
            assert!(worst(&fast, &exact) <= 1.0, "matrix {matrix} {range:?}: {}", worst(&fast, &exact));
        }
    }
}

#[test]
fn known_colours_have_their_known_codes() {
    let red = HostSurface::from_packed(PixelFormat::Rgb24, dims(2, 2), [255_u8, 0, 0].repeat(4)).unwrap();
    let mut frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), red);
    // Limited range red: BT.709 is Y 63, Cb 102, Cr 240; BT.601 is 81, 90, 240.
    for (primaries, expected) in
        [(ColorPrimaries::Bt709, [63, 102, 240]), (ColorPrimaries::Smpte170M, [81, 90, 240])]
    {
        frame.color = ColorInfo {
            primaries,
            transfer: TransferCharacteristics::Srgb,
            matrix: MatrixCoefficients::Identity,
            range: Some(ColorRange::Full),
        };
        let exact = reference::convert(&frame, PixelFormat::I444).unwrap().frame;
        assert_eq!(exact.as_host().unwrap().to_packed(), expected.map(|v| [v; 4]).concat(), "{primaries}");
        let out = convert(&frame, PixelFormat::I444).unwrap();
        assert!(worst(&out.frame, &exact) <= 1.0);
        assert!(!out.assumed_color);
        assert_eq!(out.frame.color.range, Some(ColorRange::Limited));
        assert_eq!(out.frame.color.primaries, primaries);
        assert_eq!(out.frame.color.transfer, TransferCharacteristics::Srgb);
    }
}

#[test]
fn depth_changes_and_layouts_undo_each_other() {
    use PixelFormat::{I010, I012, I420, Nv12, P010, P016};
    for range in [ColorRange::Limited, ColorRange::Full] {
        for (narrow, wide) in
            [(I420, Nv12), (I420, I010), (I420, P010), (I420, P016), (Nv12, I012), (P010, I010), (I010, P016)]
        {
            let mut frame = picture(narrow, dims(33, 17), 5, generator(3));
            frame.color = color(1, Some(range));
            let there = convert(&frame, wide).unwrap().frame;
            let back = convert(&there, narrow).unwrap().frame;
            assert_eq!(codes(&frame), codes(&back), "{narrow} to {wide} and back, {range:?}");
            assert_eq!(there.color, frame.color);
        }
    }
}

#[test]
fn white_stays_white_at_every_depth() {
    let formats = [PixelFormat::Gray8, PixelFormat::Gray10, PixelFormat::Gray12];
    for (range, whites) in
        [(ColorRange::Limited, [235_u16, 940, 3760]), (ColorRange::Full, [255, 1023, 4095])]
    {
        for (format, white) in formats.into_iter().zip(whites) {
            let data: Vec<u8> = match format {
                PixelFormat::Gray8 => vec![white as u8; 4],
                _ => white.to_le_bytes().repeat(4),
            };
            let surface = HostSurface::from_packed(format, dims(2, 2), data).unwrap();
            let mut frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
            frame.color = color(1, Some(range));
            let rgb = convert(&frame, PixelFormat::Rgb24).unwrap();
            assert_eq!(rgb.frame.as_host().unwrap().to_packed(), [255; 12], "{format} {range:?}");
            let eight = convert(&frame, PixelFormat::I420).unwrap().frame.as_host().unwrap().to_packed();
            let w = whites[0] as u8;
            assert_eq!(eight, [w, w, w, w, 128, 128], "{format} {range:?}");
        }
    }
}

#[test]
fn what_had_to_be_assumed_is_said() {
    let mut frame = picture(PixelFormat::I420, dims(16, 16), 0, generator(1));
    assert!(convert(&frame, PixelFormat::Rgb24).unwrap().assumed_color);
    assert!(!convert(&frame, PixelFormat::Nv12).unwrap().assumed_color, "layout alone needs no colour");
    frame.color = color(1, Some(ColorRange::Limited));
    let rgb = convert(&frame, PixelFormat::Rgb24).unwrap();
    assert!(!rgb.assumed_color);
    assert_eq!(rgb.frame.color.matrix, MatrixCoefficients::Identity);
    assert_eq!(rgb.frame.color.range, Some(ColorRange::Full));
    assert_eq!(rgb.frame.pts, frame.pts);
}

#[test]
fn colour_that_cannot_be_converted_is_refused_by_name() {
    let mut frame = picture(PixelFormat::I420, dims(16, 16), 0, generator(1));
    frame.color = color(10, Some(ColorRange::Limited));
    let error = convert(&frame, PixelFormat::Rgb24).unwrap_err().to_string();
    assert!(error.contains("bt2020c"), "{error}");
    frame.color = color(0, Some(ColorRange::Full));
    let error = convert(&frame, PixelFormat::Rgb24).unwrap_err().to_string();
    assert!(error.contains("4:4:4"), "{error}");
}

#[test]
fn a_frame_without_a_picture_is_refused() {
    let mut frame = picture(PixelFormat::I420, dims(16, 16), 0, generator(1));
    frame.surface = video_hw::frame::Surface::None;
    assert!(convert(&frame, PixelFormat::Rgb24).is_err());
    assert!(scale(&frame, dims(8, 8), ScaleFilter::Bicubic).is_err());
}

#[test]
fn keeping_the_native_format_copies_nothing() {
    let frame = picture(PixelFormat::I420, dims(16, 16), 0, generator(1));
    let before = frame.as_host().unwrap().plane(0).unwrap().data().as_ptr();
    for request in [ColorRequest::KeepNative, ColorRequest::To(PixelFormat::I420)] {
        let out = apply(frame.clone(), request).unwrap();
        assert_eq!(out.frame.as_host().unwrap().plane(0).unwrap().data().as_ptr(), before);
    }
    assert_eq!(apply(frame, ColorRequest::Rgb8).unwrap().frame.format, PixelFormat::Rgb24);
}

#[test]
fn alpha_survives_reordering_and_is_opaque_when_new() {
    let data: Vec<u8> = vec![1, 2, 3, 4, 5, 6, 7, 8];
    let surface = HostSurface::from_packed(PixelFormat::Rgba, dims(2, 1), data).unwrap();
    let frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
    let bytes = |to| convert(&frame, to).unwrap().frame.as_host().unwrap().to_packed();
    assert_eq!(bytes(PixelFormat::Argb), [4, 1, 2, 3, 8, 5, 6, 7]);
    assert_eq!(bytes(PixelFormat::Abgr), [4, 3, 2, 1, 8, 7, 6, 5]);
    assert_eq!(bytes(PixelFormat::Bgr24), [3, 2, 1, 7, 6, 5]);
    let yuv = convert(&frame, PixelFormat::I444).unwrap().frame;
    let argb = convert(&yuv, PixelFormat::Argb).unwrap().frame.as_host().unwrap().to_packed();
    assert_eq!((argb[0], argb[4]), (255, 255));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_format_scales_to_every_size_and_flat_pictures_stay_flat(
        format in any_format(),
        (w, h) in (1_u32..70, 1_u32..40),
        (tw, th) in (1_u32..70, 1_u32..40),
        padding in 0_usize..40,
        filter in proptest::sample::select(vec![ScaleFilter::Bilinear, ScaleFilter::Bicubic, ScaleFilter::Lanczos3]),
        value in any::<u16>(),
    ) {
        let frame = picture(format, dims(w, h), padding, || value);
        let out = scale(&frame, dims(tw, th), filter).unwrap();
        prop_assert_eq!(out.dimensions, dims(tw, th));
        prop_assert_eq!(out.format, format);
        let expected = codes(&frame)[0];
        for v in codes(&out) {
            prop_assert!((v - expected).abs() <= 1.0, "{} {}x{} to {}x{}: {} became {}", format, w, h, tw, th, expected, v);
        }
    }
}

#[test]
fn scaling_keeps_the_displayed_shape() {
    let mut frame = picture(PixelFormat::I420, dims(64, 32), 0, generator(1));
    assert_eq!(scale(&frame, dims(32, 16), ScaleFilter::Bicubic).unwrap().sample_aspect_ratio, None);
    let wide = scale(&frame, dims(32, 32), ScaleFilter::Bicubic).unwrap();
    assert_eq!(wide.sample_aspect_ratio, Rational::new(2, 1));
    frame.sample_aspect_ratio = Rational::new(16, 11);
    let out = scale(&frame, dims(64, 48), ScaleFilter::Bicubic).unwrap();
    assert_eq!(out.sample_aspect_ratio, Rational::new(24, 11));
    frame.sample_aspect_ratio = Rational::new(u32::MAX, u32::MAX - 1);
    assert!(scale(&frame, dims(63, 31), ScaleFilter::Bicubic).unwrap().sample_aspect_ratio.is_some());
}
