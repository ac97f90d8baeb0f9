//! PSNR, SSIM and BD-rate: against their formulas, against properties that any such measure has, and against published
//! numbers.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use video_hw::Error;
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::quality::{
    Interpolation, Measurer, Metrics, PlaneScore, RatePoint, StreamScore, bd_quality, bd_rate, measure,
    measured_format, psnr_db,
};
use video_hw::time::{TimeBase, Timestamp};
use video_hw::transform::ScaleFilter;

const BOTH: Metrics = Metrics { psnr: true, ssim: true };
const PSNR: Metrics = Metrics { psnr: true, ssim: false };

fn size(width: u32, height: u32) -> Dimensions {
    Dimensions::new(width, height).unwrap()
}

/// Planes of samples, each with its width.
type Planes = Vec<(usize, Vec<u16>)>;

/// Samples of a planar format from a function of plane, column and row.
fn planes(format: PixelFormat, at: Dimensions, value: impl Fn(usize, usize, usize) -> u16) -> Planes {
    (0..format.plane_count())
        .map(|plane| {
            let part = format.plane_size(plane, at).unwrap();
            let width = part.row_bytes / format.bytes_per_sample();
            (width, (0..width * part.rows).map(|i| value(plane, i % width, i / width)).collect())
        })
        .collect()
}

fn surface(format: PixelFormat, at: Dimensions, planes: &Planes) -> HostSurface {
    let samples = planes.iter().flat_map(|(_, samples)| samples);
    let bytes: Vec<u8> = match format.bytes_per_sample() {
        1 => samples.map(|&v| v as u8).collect(),
        _ => samples.flat_map(|v| v.to_le_bytes()).collect(),
    };
    HostSurface::from_packed(format, at, bytes).unwrap()
}

fn noise(seed: u64) -> impl Fn(usize, usize, usize) -> u16 {
    move |plane, x, y| {
        let mixed =
            (seed ^ (plane as u64) << 40 ^ (y as u64) << 20 ^ x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 48) as u16
    }
}

/// Squared error and SSIM of a plane as the formulas have them: means, variances and covariance of every window.
fn by_formula(a: &[u16], b: &[u16], width: usize, peak: f64) -> (u64, f64) {
    let error = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    let (c1, c2) = ((0.01 * peak).powi(2) / 64.0, (0.03 * peak).powi(2));
    let rows = a.len() / width;
    let mut values = Vec::new();
    for top in (0..rows / 4 * 4 - 7).step_by(4) {
        for left in (0..width / 4 * 4 - 7).step_by(4) {
            let window = |plane: &[u16]| -> Vec<f64> {
                (0..64).map(|i| f64::from(plane[(top + i / 8) * width + left + i % 8])).collect()
            };
            let (a, b) = (window(a), window(b));
            let mean = |v: &[f64]| v.iter().sum::<f64>() / 64.0;
            let (ma, mb) = (mean(&a), mean(&b));
            let product = |u: &[f64], mu: f64, v: &[f64], mv: f64| {
                u.iter().zip(v).map(|(u, v)| (u - mu) * (v - mv)).sum::<f64>() / 63.0
            };
            let (va, vb, cov) = (product(&a, ma, &a, ma), product(&b, mb, &b, mb), product(&a, ma, &b, mb));
            let over = (2.0 * ma * mb + c1) * (2.0 * cov + c2);
            values.push(over / ((ma * ma + mb * mb + c1) * (va + vb + c2)));
        }
    }
    (error, values.iter().sum::<f64>() / values.len() as f64)
}

#[test]
fn planes_score_as_the_formulas_say_at_every_depth_and_odd_sizes() {
    let formats = [
        (PixelFormat::I420, 255_u16),
        (PixelFormat::I422, 255),
        (PixelFormat::I444, 255),
        (PixelFormat::I010, 1023),
        (PixelFormat::I210, 1023),
        (PixelFormat::I410, 1023),
        (PixelFormat::I012, 4095),
        (PixelFormat::Gray8, 255),
        (PixelFormat::Gray10, 1023),
    ];
    for (format, peak) in formats {
        for at in [size(16, 16), size(17, 19), size(39, 25), size(64, 18), size(95, 33), size(161, 21)] {
            let a = planes(format, at, |p, x, y| noise(1)(p, x, y) & peak);
            // Half of the picture near the other, half far away.
            let b = planes(format, at, |p, x, y| {
                let (near, far) = (noise(1)(p, x, y) & peak, noise(2)(p, x, y) & peak);
                if x % 2 == 0 { near.saturating_add(far % 9).min(peak) } else { far }
            });
            let score = measure(&surface(format, at, &a), &surface(format, at, &b), BOTH).unwrap();
            assert_eq!(score.planes().len(), a.len());
            assert_eq!(score.peak(), u32::from(peak));
            for (plane, ((width, a), (_, b))) in score.planes().iter().zip(a.iter().zip(&b)) {
                let (error, ssim) = by_formula(a, b, *width, f64::from(peak));
                assert_eq!(plane.squared_error, error, "{format} {at}");
                assert_eq!(plane.samples, a.len() as u64);
                let found = plane.ssim.unwrap();
                assert!((found - ssim).abs() < 2e-5, "{format} {at}: {found} is not {ssim}");
            }
        }
    }
}

#[test]
fn tiny_pictures_by_hand() {
    let at = size(4, 2);
    let one = |first: u8| {
        let mut bytes = vec![100_u8; 8];
        bytes[0] = first;
        HostSurface::from_packed(PixelFormat::Gray8, at, bytes).unwrap()
    };
    let score = measure(&one(100), &one(104), PSNR).unwrap();
    assert_eq!(score.planes(), [PlaneScore { samples: 8, squared_error: 16, ssim: None }]);
    assert_eq!(score.mse_average().to_bits(), 2.0_f64.to_bits());
    assert!((score.psnr_average() - 45.120_503_652).abs() < 1e-8);
    assert!(measure(&one(7), &one(7), PSNR).unwrap().psnr_average().is_infinite());

    // Black against white is as far as it goes: 0 dB.
    let at = size(16, 16);
    let flat = |v: u8| HostSurface::from_packed(PixelFormat::I420, at, vec![v; 384]).unwrap();
    let score = measure(&flat(0), &flat(255), BOTH).unwrap();
    assert!(score.psnr_average().abs() < 1e-12);
    assert!(score.ssim_all().unwrap() < 1e-5);
}

#[test]
fn layouts_of_one_picture_score_the_same() {
    let at = size(38, 21);
    let (a, b) = (planes(PixelFormat::I420, at, noise(5)), planes(PixelFormat::I420, at, noise(6)));
    let (a, b) = (
        a.into_iter().map(|(w, v)| (w, v.into_iter().map(|v| v & 255).collect())).collect::<Planes>(),
        b.into_iter().map(|(w, v)| (w, v.into_iter().map(|v| v & 255).collect())).collect::<Planes>(),
    );
    let interleaved = |p: &Planes, wide: Option<u32>| {
        let chroma = p[1].1.iter().zip(&p[2].1).flat_map(|(u, v)| [*u, *v]);
        let all = p[0].1.iter().copied().chain(chroma);
        match wide {
            None => all.map(|v| v as u8).collect::<Vec<u8>>(),
            Some(shift) => all.flat_map(|v| (v << shift).to_le_bytes()).collect(),
        }
    };
    let expected =
        measure(&surface(PixelFormat::I420, at, &a), &surface(PixelFormat::I420, at, &b), BOTH).unwrap();
    let nv12 = |p: &Planes| HostSurface::from_packed(PixelFormat::Nv12, at, interleaved(p, None)).unwrap();
    assert_eq!(measure(&nv12(&a), &nv12(&b), BOTH).unwrap(), expected);
    assert_eq!(measure(&surface(PixelFormat::I420, at, &a), &nv12(&b), BOTH).unwrap(), expected);

    let p010 = |p: &Planes| HostSurface::from_packed(PixelFormat::P010, at, interleaved(p, Some(6))).unwrap();
    let i010 = |p: &Planes| surface(PixelFormat::I010, at, p);
    let expected = measure(&i010(&a), &i010(&b), BOTH).unwrap();
    assert_eq!(measure(&p010(&a), &i010(&b), BOTH).unwrap(), expected);
    assert_eq!(measure(&p010(&a), &p010(&b), BOTH).unwrap(), expected);
}

#[test]
fn rgb_is_measured_by_channel_and_alpha_is_not() {
    let at = size(17, 9);
    let pixels = |seed: u64| -> Vec<[u8; 4]> {
        (0..17 * 9).map(|i| std::array::from_fn(|c| noise(seed)(c, i, 0) as u8)).collect()
    };
    let make = |format, pixels: &[[u8; 4]], order: &[usize]| {
        let bytes: Vec<u8> =
            pixels.iter().flat_map(|p| order.iter().map(|&c| p[c]).collect::<Vec<_>>()).collect();
        HostSurface::from_packed(format, at, bytes).unwrap()
    };
    let (a, b) = (pixels(1), pixels(2));
    let expected =
        measure(&make(PixelFormat::Rgb24, &a, &[0, 1, 2]), &make(PixelFormat::Rgb24, &b, &[0, 1, 2]), BOTH)
            .unwrap();
    assert_eq!(expected.names(), ["R", "G", "B"]);
    for (index, plane) in expected.planes().iter().enumerate() {
        let channel = |p: &[[u8; 4]]| p.iter().map(|p| u16::from(p[index])).collect::<Vec<_>>();
        assert_eq!(plane.squared_error, by_formula(&channel(&a), &channel(&b), 17, 255.0).0);
    }
    for (format, order) in [
        (PixelFormat::Bgr24, &[2, 1, 0][..]),
        (PixelFormat::Rgba, &[0, 1, 2, 3]),
        (PixelFormat::Bgra, &[2, 1, 0, 3]),
        (PixelFormat::Argb, &[3, 0, 1, 2]),
        (PixelFormat::Abgr, &[3, 2, 1, 0]),
    ] {
        let score = measure(&make(format, &a, order), &make(format, &b, order), BOTH).unwrap();
        assert_eq!(score, expected, "{format}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused_in_words() {
    let of = |format: PixelFormat, at: Dimensions| {
        HostSurface::from_packed(format, at, vec![0; format.frame_bytes(at)]).unwrap()
    };
    let words = |a: &HostSurface, b: &HostSurface, metrics| measure(a, b, metrics).unwrap_err().to_string();
    let small = of(PixelFormat::I420, size(16, 16));
    assert!(words(&small, &of(PixelFormat::I420, size(16, 14)), BOTH).contains("16x14"));
    assert!(words(&small, &of(PixelFormat::I422, size(16, 16)), BOTH).contains("yuv422p"));
    assert!(words(&small, &of(PixelFormat::I010, size(16, 16)), BOTH).contains("yuv420p10le"));
    let tiny = of(PixelFormat::I420, size(14, 14));
    assert!(words(&tiny, &tiny, BOTH).contains("7x7"), "{}", words(&tiny, &tiny, BOTH));
    assert!(measure(&tiny, &tiny, PSNR).is_ok());
    let sixteen = of(PixelFormat::P016, size(16, 16));
    assert!(matches!(measure(&sixteen, &sixteen, PSNR), Err(Error::Unsupported { .. })));
    assert_eq!(measured_format(PixelFormat::P016), PixelFormat::I012);
}

fn frame(tick: i64, surface: HostSurface) -> Frame {
    Frame::host(Timestamp::new(tick, TimeBase::MPEG), surface)
}

#[test]
fn threads_change_neither_order_nor_scores() {
    let at = size(50, 34);
    let picture = |seed: u64| {
        let samples = planes(PixelFormat::I420, at, |p, x, y| noise(seed)(p, x, y) & 255);
        surface(PixelFormat::I420, at, &samples)
    };
    let run = |threads: usize| {
        let mut measurer = Measurer::new(NonZeroUsize::new(threads).unwrap(), BOTH, None).unwrap();
        let mut all = Vec::new();
        for tick in 0..40 {
            let (a, b) = (picture(tick as u64), picture(tick as u64 + 1));
            all.extend(measurer.push(frame(tick, a), frame(tick, b)).unwrap());
        }
        while let Some(one) = measurer.pop().unwrap() {
            all.push(one);
        }
        assert_eq!(measurer.threads(), threads);
        assert!(measurer.busy() > std::time::Duration::ZERO);
        all
    };
    let one = run(1);
    assert_eq!(one.iter().map(|m| m.reference.ticks()).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    for threads in [2, 3, 7] {
        let many = run(threads);
        assert!(one.iter().zip(&many).all(|(a, b)| a.score == b.score && a.reference == b.reference));
        assert_eq!(many.len(), 40);
    }
}

#[test]
fn a_measurer_converts_and_scales_as_told_and_says_so() {
    let grey = |format: PixelFormat, at: Dimensions, value: u16| {
        let samples = planes(format, at, |_, _, _| value);
        frame(0, surface(format, at, &samples))
    };
    let one = |reference: Frame, distorted: Frame, scale| {
        let mut measurer = Measurer::new(NonZeroUsize::MIN, BOTH, scale).unwrap();
        let first = measurer.push(reference, distorted)?;
        Ok::<_, Error>(match first {
            Some(measured) => measured,
            None => measurer.pop()?.unwrap(),
        })
    };
    let (large, small) = (size(32, 32), size(16, 16));
    let eight = PixelFormat::I420;
    let error = one(grey(eight, large, 100), grey(eight, small, 100), None).unwrap_err();
    assert!(error.to_string().contains("16x16") && error.to_string().contains("32x32"), "{error}");
    let scaled = one(grey(eight, large, 100), grey(eight, small, 101), Some(ScaleFilter::Bicubic)).unwrap();
    assert!(scaled.changes.scaled && scaled.changes.converted.is_none());
    assert!((scaled.score.mse_average() - 1.0).abs() < 1e-12);
    // 10 bit come down to the depth of the reference: 400 is 100 of 8 bit.
    let converted = one(grey(eight, large, 100), grey(PixelFormat::I010, large, 400), None).unwrap();
    assert_eq!(converted.changes.converted, Some(PixelFormat::I010));
    assert_eq!((converted.format, converted.score.is_identical()), (eight, true));
    // A broken pair does not take the ones behind it along.
    let mut measurer = Measurer::new(NonZeroUsize::MIN, BOTH, None).unwrap();
    assert!(measurer.push(grey(eight, large, 1), grey(eight, small, 1)).unwrap().is_none());
    assert!(measurer.push(grey(eight, large, 1), grey(eight, large, 1)).is_err());
    assert!(measurer.pop().unwrap().unwrap().score.is_identical());
    assert!(measurer.pop().unwrap().is_none());
}

/// The numbers are published examples: that of the first widely used scripts for VCEG-M33, and two of the FAU's package
/// `bjontegaard` 1.3.0, which also gave the expected results (its PCHIP agrees with the sheet of the JCT-VC).
#[test]
fn bd_rate_is_that_of_the_reference_implementation() {
    let curve = |rates: &[f64], qualities: &[f64]| -> Vec<RatePoint> {
        rates.iter().zip(qualities).map(|(&rate, &quality)| RatePoint { rate, quality }).collect()
    };
    let examples = [
        (
            curve(&[686.76, 309.58, 157.11, 85.95], &[40.28, 37.18, 34.24, 31.42]),
            curve(&[893.34, 407.8, 204.93, 112.75], &[40.39, 37.21, 34.17, 31.24]),
            [
                31.397_374_054_909_5,
                -1.184_897_921_770_350_6,
                31.379_878_202_397_627,
                -1.183_472_404_622_459_2,
            ],
        ),
        (
            curve(&[9487.76, 4593.60, 2486.44, 1358.24], &[40.037, 38.615, 36.845, 34.851]),
            curve(&[9787.80, 4469.00, 2451.52, 1356.24], &[40.121, 38.651, 36.970, 34.987]),
            [
                -4.420_462_706_125_383,
                0.120_409_419_114_511_03,
                -4.417_485_350_589_045,
                0.119_692_785_424_794_89,
            ],
        ),
        (
            curve(&[82472.76, 26875.24, 9487.76, 4593.6], &[43.825, 41.404, 40.037, 38.615]),
            curve(&[99896.96, 33952.04, 9787.8, 4469.0], &[44.731, 41.875, 40.121, 38.651]),
            [
                -4.699_437_548_068_142,
                0.095_404_402_891_431_15,
                -4.472_182_002_761_97,
                0.088_874_847_047_477_45,
            ],
        ),
        (
            curve(&[686.76, 309.58, 157.11, 85.95, 40.0], &[40.28, 37.18, 34.24, 31.42, 29.0]),
            curve(&[893.34, 407.8, 204.93, 112.75, 60.0], &[40.39, 37.21, 34.17, 31.24, 28.8]),
            [34.411_777_232_571_36, f64::NAN, 34.239_168_443_884_95, -1.225_747_998_384_140_6],
        ),
    ];
    for (anchor, test, [cubic, cubic_quality, pchip, pchip_quality]) in examples {
        let near = |found: f64, expected: f64| {
            assert!(expected.is_nan() || (found - expected).abs() < 1e-6, "{found} is not {expected}");
        };
        near(bd_rate(&anchor, &test, Interpolation::Cubic).unwrap(), cubic);
        near(bd_quality(&anchor, &test, Interpolation::Cubic).unwrap(), cubic_quality);
        near(bd_rate(&anchor, &test, Interpolation::Pchip).unwrap(), pchip);
        near(bd_quality(&anchor, &test, Interpolation::Pchip).unwrap(), pchip_quality);
    }
}

#[test]
fn curves_that_have_no_distance_are_refused_in_words() {
    let curve = |points: &[(f64, f64)]| -> Vec<RatePoint> {
        points.iter().map(|&(rate, quality)| RatePoint { rate, quality }).collect()
    };
    let good = curve(&[(1.0, 30.0), (2.0, 33.0), (4.0, 36.0), (8.0, 39.0)]);
    let refused = |other: &[RatePoint], word: &str| {
        for method in [Interpolation::Cubic, Interpolation::Pchip] {
            let error = bd_rate(&good, other, method).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    };
    refused(&curve(&[(1.0, 30.0)]), "has 1 points");
    refused(&curve(&[(1.0, 30.0), (2.0, 29.0), (4.0, 36.0), (8.0, 39.0)]), "does not rise");
    refused(&curve(&[(1.0, 30.0), (1.0, 33.0), (4.0, 36.0), (8.0, 39.0)]), "does not rise");
    refused(&curve(&[(1.0, 50.0), (2.0, 53.0), (4.0, 56.0), (8.0, 59.0)]), "no quality in common");
    refused(&curve(&[(0.0, 30.0), (2.0, 33.0), (4.0, 36.0), (8.0, 39.0)]), "above 0");
    refused(&curve(&[(1.0, f64::INFINITY), (2.0, 33.0), (4.0, 36.0), (8.0, 39.0)]), "finite");
    // Two points are enough for the piecewise method alone.
    assert!(bd_rate(&good[..2], &good[..2], Interpolation::Pchip).unwrap().abs() < 1e-12);
    assert!(bd_rate(&good[..3], &good, Interpolation::Cubic).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn psnr_is_symmetric_and_a_picture_is_like_itself(
        seeds in (any::<u64>(), any::<u64>()),
        width in 16_u32..70,
        height in 16_u32..40,
        ten in any::<bool>(),
    ) {
        let (format, peak) = if ten { (PixelFormat::I010, 1023) } else { (PixelFormat::I420, 255) };
        let at = size(width, height);
        let make = |seed| surface(format, at, &planes(format, at, |p, x, y| noise(seed)(p, x, y) & peak));
        let (a, b) = (make(seeds.0), make(seeds.1));
        let (there, back) = (measure(&a, &b, BOTH).unwrap(), measure(&b, &a, BOTH).unwrap());
        prop_assert_eq!(there, back);
        let same = measure(&a, &a, BOTH).unwrap();
        prop_assert!(same.is_identical());
        prop_assert_eq!(same.ssim_all(), Some(1.0));
        let ssim = there.ssim_all().unwrap();
        prop_assert!((-1.0..=1.0).contains(&ssim));
    }

    #[test]
    fn more_noise_is_never_better(seed in any::<u64>(), step in 2_u16..12) {
        let (format, at) = (PixelFormat::I420, size(48, 32));
        let clean = planes(format, at, |_, x, y| 100 + (x + 2 * y) as u16 % 40);
        let with = |amount: u16| {
            let noisy = clean.iter().enumerate().map(|(p, (width, samples))| {
                let samples = samples.iter().enumerate().map(|(i, v)| {
                    if noise(seed)(p, i, 0).is_multiple_of(2) { v + amount } else { v - amount }
                });
                (*width, samples.collect())
            });
            surface(format, at, &noisy.collect())
        };
        let clean = with(0);
        let scores: Vec<_> = (0..5).map(|n| measure(&clean, &with(n * step), BOTH).unwrap()).collect();
        for pair in scores.windows(2) {
            prop_assert!(pair[1].psnr_average() < pair[0].psnr_average());
            prop_assert!(pair[1].ssim_all() < pair[0].ssim_all());
        }
        // Every sample is off by the same amount: the error is known.
        let expected = psnr_db(f64::from(step).powi(2), 255);
        prop_assert!((scores[1].psnr_average() - expected).abs() < 1e-9);
        let mut stream = StreamScore::new();
        for score in &scores {
            stream.add(score);
        }
        prop_assert_eq!(stream.worst_psnr().map(|w| w.frame), Some(4));
    }

    #[test]
    fn hostile_words_are_measured_and_overflow_nothing(bytes in proptest::collection::vec(any::<u8>(), 2 * 20 * 18)) {
        let at = size(20, 18);
        let host = |bytes: Vec<u8>| HostSurface::from_packed(PixelFormat::Gray12, at, bytes).unwrap();
        let score = measure(&host(bytes), &host(vec![0xff; 720]), BOTH).unwrap();
        prop_assert!(score.mse_average() <= 4095.0 * 4095.0);
        prop_assert!(score.ssim_all().is_some_and(f64::is_finite));
    }

    #[test]
    fn a_constant_factor_of_rates_is_the_bd_rate(factor in 0.2_f64..5.0, slope in 3.0_f64..9.0) {
        let curve = |factor: f64| -> Vec<RatePoint> {
            [1.0_f64, 2.3, 3.9, 9.1, 20.0].iter().map(|r| RatePoint {
                rate: r * factor * 1e6,
                quality: 30.0 + slope * r.ln() - 0.1 * r,
            }).collect()
        };
        for method in [Interpolation::Cubic, Interpolation::Pchip] {
            let found = bd_rate(&curve(1.0), &curve(factor), method).unwrap();
            prop_assert!((found - (factor - 1.0) * 100.0).abs() < 1e-6, "{found} {factor}");
            let back = bd_rate(&curve(factor), &curve(1.0), method).unwrap();
            prop_assert!((back - (1.0 / factor - 1.0) * 100.0).abs() < 1e-6);
        }
    }
}
