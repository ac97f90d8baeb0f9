//! Two pictures in, their scores out.

use super::blocks::{Bytes, SIDE, Sample, Sums, Words, sum_rows};
use super::components::{self, Component, component};
use super::prepare::is_comparable;
use super::score::{FrameScore, PlaneScore};
use super::window::sum_windows;
use crate::error::{Error, Result};
use crate::frame::HostSurface;

/// What is measured. The default is everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Peak signal-to-noise ratio.
    pub psnr: bool,
    /// Structural similarity.
    pub ssim: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { psnr: true, ssim: true }
    }
}

/// Compares two pictures of the same size, in formats with the same components ([`is_comparable`]): `nv12` with
/// `yuv420p`, `bgra` with `rgb24`. Alpha is not compared.
///
/// The squared error is always measured, since SSIM needs the same sums.
///
/// # Errors
/// [`Error::InvalidInput`] when sizes or formats differ, or a plane is smaller than a window of SSIM;
/// [`Error::Unsupported`] for samples of more than 12 bit.
///
/// ```
/// use video_hw::dimensions::Dimensions;
/// use video_hw::frame::HostSurface;
/// use video_hw::pixel::PixelFormat;
/// use video_hw::quality::{Metrics, measure};
///
/// # fn main() -> video_hw::Result<()> {
/// let size = Dimensions::new(16, 16).ok_or(video_hw::Error::invalid("size"))?;
/// let flat = |value: u8| HostSurface::from_packed(PixelFormat::Gray8, size, vec![value; 256]);
/// let score = measure(&flat(100)?, &flat(105)?, Metrics::default())?;
/// assert_eq!(score.mse_average(), 25.0);
/// assert!((score.psnr_average() - 34.151).abs() < 0.001);
/// # Ok(()) }
/// ```
pub fn measure(reference: &HostSurface, distorted: &HostSurface, metrics: Metrics) -> Result<FrameScore> {
    let (format, size) = (reference.format(), reference.dimensions());
    if size != distorted.dimensions() {
        return Err(Error::invalid(format!(
            "pictures of {size} and {} cannot be compared; scale one of them",
            distorted.dimensions()
        )));
    }
    if !is_comparable(format, distorted.format()) {
        return Err(Error::invalid(format!(
            "{format} and {} have different components; convert one of them",
            distorted.format()
        )));
    }
    if format.bit_depth() > 12 {
        return Err(Error::Unsupported {
            feature: format!("measuring samples of {format}"),
            remedy: "convert both pictures to 8, 10 or 12 bit".into(),
        });
    }
    let peak = (1_u32 << format.bit_depth()) - 1;
    let mut planes = Vec::with_capacity(3);
    for index in 0..components::count(format) {
        let (a, b) = (component(reference, index)?, component(distorted, index)?);
        if metrics.ssim && (a.width < 2 * SIDE || a.rows < 2 * SIDE) {
            return Err(Error::invalid(format!(
                "SSIM is taken over windows of 8x8 samples, and plane {} of a {size} {format} picture has {}x{}; measure PSNR alone",
                components::names(format)[index],
                a.width,
                a.rows
            )));
        }
        planes.push(if a.bytes == 1 {
            plane::<Bytes>(&a, &b, peak, metrics)
        } else {
            plane::<Words>(&a, &b, peak, metrics)
        });
    }
    Ok(FrameScore::new(peak, components::names(format), &planes))
}

/// Scores of one plane; both components have the same size.
fn plane<S: Sample>(a: &Component<'_>, b: &Component<'_>, peak: u32, metrics: Metrics) -> PlaneScore {
    // Below the last row there are zeros in both pictures.
    let nothing = vec![0; a.width * a.bytes];
    let mut scratch_a: [Vec<u8>; SIDE] = Default::default();
    let mut scratch_b: [Vec<u8>; SIDE] = Default::default();
    let (mut above, mut here) = (Sums::new(a.width), Sums::new(a.width));
    let (across, down) = (a.width / SIDE, a.rows / SIDE);
    let mut squared_error = 0;
    let mut similarity = 0.0;
    for band in 0..a.rows.div_ceil(SIDE) {
        let first = band * SIDE;
        sum_rows::<S>(
            four_rows(a, first, &mut scratch_a, &nothing),
            four_rows(b, first, &mut scratch_b, &nothing),
            peak as i16,
            &mut here,
        );
        squared_error += here.squared_error();
        // Windows are made of whole blocks.
        if metrics.ssim && band > 0 && band < down {
            similarity += sum_windows(&above, &here, across, peak);
        }
        std::mem::swap(&mut above, &mut here);
    }
    let windows = across.saturating_sub(1) * down.saturating_sub(1);
    PlaneScore {
        samples: (a.width * a.rows) as u64,
        squared_error,
        ssim: (metrics.ssim && windows > 0).then(|| similarity / windows as f64),
    }
}

/// Rows `first` to `first + 3`, those that there are.
fn four_rows<'a>(
    part: &Component<'a>,
    first: usize,
    scratch: &'a mut [Vec<u8>; SIDE],
    nothing: &'a [u8],
) -> [&'a [u8]; SIDE] {
    let mut rows = [nothing; SIDE];
    for ((i, row), scratch) in rows.iter_mut().enumerate().zip(scratch) {
        if first + i < part.rows {
            *row = part.row(first + i, scratch);
        }
    }
    rows
}
