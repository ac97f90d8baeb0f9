//! Scores of planes, pictures and streams.

/// `10 log10(peak^2 / mse)`; infinite where there is no error.
pub fn psnr_db(mse: f64, peak: u32) -> f64 {
    let peak = f64::from(peak);
    if mse > 0.0 { 10.0 * (peak * peak / mse).log10() } else { f64::INFINITY }
}

/// `-10 log10(1 - ssim)`; infinite from where the difference to 1 is no more than the noise of arithmetic (1e-9).
pub fn ssim_db(ssim: f64) -> f64 {
    let distance = 1.0 - ssim;
    if distance > 1e-9 { -10.0 * distance.log10() } else { f64::INFINITY }
}

/// One plane of one pair of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlaneScore {
    /// Samples compared.
    pub samples: u64,
    /// Sum of the squared differences, exact.
    pub squared_error: u64,
    /// Mean structural similarity, where it was asked for.
    pub ssim: Option<f64>,
}

impl PlaneScore {
    /// Mean squared error.
    pub fn mse(&self) -> f64 {
        self.squared_error as f64 / self.samples.max(1) as f64
    }
}

/// One pair of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameScore {
    peak: u32,
    names: [&'static str; 3],
    planes: [PlaneScore; 3],
    count: usize,
}

impl FrameScore {
    pub(super) fn new(peak: u32, names: [&'static str; 3], planes: &[PlaneScore]) -> Self {
        let count = planes.len().min(3);
        let mut kept = [PlaneScore::default(); 3];
        for (kept, plane) in kept.iter_mut().zip(planes) {
            *kept = *plane;
        }
        Self { peak, names, planes: kept, count }
    }

    /// The largest value of a sample: 255 for 8 bit.
    pub const fn peak(&self) -> u32 {
        self.peak
    }

    /// The planes: Y, U, V, or R, G, B, or Y alone.
    pub fn planes(&self) -> &[PlaneScore] {
        &self.planes[..self.count]
    }

    /// Their names.
    pub fn names(&self) -> &[&'static str] {
        &self.names[..self.count]
    }

    /// PSNR of plane `index` in decibels.
    pub fn psnr(&self, index: usize) -> Option<f64> {
        self.planes().get(index).map(|plane| psnr_db(plane.mse(), self.peak))
    }

    /// Mean squared error over all samples of all planes.
    pub fn mse_average(&self) -> f64 {
        let samples: u64 = self.planes().iter().map(|plane| plane.samples).sum();
        let errors: u64 = self.planes().iter().map(|plane| plane.squared_error).sum();
        errors as f64 / samples.max(1) as f64
    }

    /// PSNR from that.
    pub fn psnr_average(&self) -> f64 {
        psnr_db(self.mse_average(), self.peak)
    }

    /// Structural similarity of the whole picture, where it was asked for: the mean of the planes, weighted by their
    /// samples.
    pub fn ssim_all(&self) -> Option<f64> {
        let samples: u64 = self.planes().iter().map(|plane| plane.samples).sum();
        let weighted = |plane: &PlaneScore| Some(plane.ssim? * plane.samples as f64);
        let sum = self.planes().iter().map(weighted).sum::<Option<f64>>()?;
        Some(sum / samples.max(1) as f64)
    }

    /// Whether not a single sample differs.
    pub fn is_identical(&self) -> bool {
        self.planes().iter().all(|plane| plane.squared_error == 0)
    }
}

/// The worst frame by some metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Its number, counted from 0.
    pub frame: u64,
    /// Its score.
    pub score: f64,
}

/// All pairs of a stream.
#[derive(Clone, Debug, Default)]
pub struct StreamScore {
    frames: u64,
    identical: u64,
    peak: u32,
    names: Vec<&'static str>,
    planes: Vec<PlaneTotal>,
    ssim_all: Option<f64>,
    worst_psnr: Option<Worst>,
    worst_ssim: Option<Worst>,
}

#[derive(Clone, Copy, Debug, Default)]
struct PlaneTotal {
    samples: u128,
    squared_error: u128,
    ssim: Option<f64>,
}

impl StreamScore {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next frame.
    pub fn add(&mut self, frame: &FrameScore) {
        if self.frames == 0 {
            self.peak = frame.peak;
            self.names = frame.names().to_vec();
            self.planes = vec![PlaneTotal { ssim: Some(0.0), ..PlaneTotal::default() }; frame.count];
            self.ssim_all = Some(0.0);
        }
        for (total, plane) in self.planes.iter_mut().zip(frame.planes()) {
            total.samples += u128::from(plane.samples);
            total.squared_error += u128::from(plane.squared_error);
            total.ssim = total.ssim.zip(plane.ssim).map(|(sum, more)| sum + more);
        }
        self.ssim_all = self.ssim_all.zip(frame.ssim_all()).map(|(sum, more)| sum + more);
        let number = self.frames;
        let lower = |worst: &mut Option<Worst>, score: f64| {
            if worst.is_none_or(|worst| score < worst.score) {
                *worst = Some(Worst { frame: number, score });
            }
        };
        lower(&mut self.worst_psnr, frame.psnr_average());
        if let Some(ssim) = frame.ssim_all() {
            lower(&mut self.worst_ssim, ssim);
        }
        self.identical += u64::from(frame.is_identical());
        self.frames += 1;
    }

    /// Frames added.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames without any difference.
    pub const fn identical(&self) -> u64 {
        self.identical
    }

    /// The largest value of a sample.
    pub const fn peak(&self) -> u32 {
        self.peak
    }

    /// Names of the planes; empty before the first frame.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Mean squared error of plane `index` over all frames.
    pub fn mse(&self, index: usize) -> Option<f64> {
        self.planes.get(index).map(|plane| plane.squared_error as f64 / plane.samples.max(1) as f64)
    }

    /// PSNR of plane `index`, from the mean squared error over all frames.
    pub fn psnr(&self, index: usize) -> Option<f64> {
        self.mse(index).map(|mse| psnr_db(mse, self.peak))
    }

    /// Mean squared error over all samples of all planes and frames; `None` before the first frame.
    pub fn mse_average(&self) -> Option<f64> {
        let samples: u128 = self.planes.iter().map(|plane| plane.samples).sum();
        let errors: u128 = self.planes.iter().map(|plane| plane.squared_error).sum();
        (samples > 0).then(|| errors as f64 / samples as f64)
    }

    /// PSNR from that.
    pub fn psnr_average(&self) -> Option<f64> {
        self.mse_average().map(|mse| psnr_db(mse, self.peak))
    }

    /// Mean structural similarity of plane `index`.
    pub fn ssim(&self, index: usize) -> Option<f64> {
        self.planes.get(index)?.ssim.map(|sum| sum / self.frames.max(1) as f64)
    }

    /// Mean structural similarity of the whole pictures.
    pub fn ssim_all(&self) -> Option<f64> {
        self.ssim_all.map(|sum| sum / self.frames.max(1) as f64)
    }

    /// The frame with the lowest PSNR over all planes.
    pub const fn worst_psnr(&self) -> Option<Worst> {
        self.worst_psnr
    }

    /// The frame with the lowest structural similarity.
    pub const fn worst_ssim(&self) -> Option<Worst> {
        self.worst_ssim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(errors: [u64; 3], ssim: [f64; 3]) -> FrameScore {
        let planes: Vec<_> = [400, 100, 100]
            .into_iter()
            .zip(errors)
            .zip(ssim)
            .map(|((samples, squared_error), ssim)| PlaneScore { samples, squared_error, ssim: Some(ssim) })
            .collect();
        FrameScore::new(255, ["Y", "U", "V"], &planes)
    }

    fn near(a: Option<f64>, b: f64) {
        assert!(a.is_some_and(|a| (a - b).abs() < 1e-12), "{a:?} is not {b}");
    }

    #[test]
    fn a_stream_is_the_mean_of_errors_and_not_of_decibels() {
        let mut stream = StreamScore::new();
        assert_eq!((stream.psnr_average(), stream.ssim_all()), (None, None));
        stream.add(&frame([400, 100, 200], [1.0, 0.5, 0.5]));
        stream.add(&frame([0, 0, 0], [1.0, 1.0, 1.0]));
        near(stream.mse(0), 0.5);
        near(stream.mse(1), 0.5);
        near(stream.mse(2), 1.0);
        near(stream.mse_average(), 700.0 / 1200.0);
        near(stream.psnr(0), 10.0 * (255.0_f64 * 255.0 / 0.5).log10());
        near(stream.ssim(1), 0.75);
        // (400 * 1 + 100 * 0.5 + 100 * 0.5) / 600 of the first, 1 of the second.
        near(stream.ssim_all(), f64::midpoint(500.0 / 600.0, 1.0));
        assert_eq!((stream.frames(), stream.identical()), (2, 1));
        assert_eq!(stream.worst_psnr().map(|w| w.frame), Some(0));
        assert_eq!(stream.worst_ssim().map(|w| w.frame), Some(0));
        assert_eq!(stream.psnr(3), None);
    }

    #[test]
    fn no_difference_is_infinite() {
        let same = frame([0; 3], [1.0; 3]);
        assert!(same.is_identical() && same.psnr_average().is_infinite());
        assert!(ssim_db(same.ssim_all().unwrap()).is_infinite());
        assert!((ssim_db(0.99) - 20.0).abs() < 1e-9);
        assert!((psnr_db(65025.0, 255)).abs() < 1e-12);
    }

    #[test]
    fn a_metric_that_was_not_measured_is_not_invented() {
        let mut stream = StreamScore::new();
        let planes = [PlaneScore { samples: 64, squared_error: 1, ssim: None }];
        let frame = FrameScore::new(1023, ["Y", "U", "V"], &planes);
        assert_eq!(frame.ssim_all(), None);
        stream.add(&frame);
        assert_eq!((stream.ssim_all(), stream.ssim(0), stream.worst_ssim()), (None, None, None));
        assert_eq!(stream.names(), ["Y"]);
    }
}
