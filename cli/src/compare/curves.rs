//! Rate-distortion curves and their distance.

use serde_json::{Map, Value, json};
use video_hw::quality::{Interpolation, RatePoint, bd_quality, bd_rate, ssim_db};
use video_hw::{Error, Result};
use video_hw_terminal::text::name;

use super::one::Outcome;

/// The qualities over which curves are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    /// Of the first plane, which most publications state.
    PsnrLuma,
    /// Of all planes.
    Psnr,
    /// Of all planes, in decibels.
    Ssim,
}

impl Quality {
    pub(crate) const ALL: [Self; 3] = [Self::PsnrLuma, Self::Psnr, Self::Ssim];

    /// Key in JSON.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::PsnrLuma => "psnr_y",
            Self::Psnr => "psnr_average",
            Self::Ssim => "ssim_db",
        }
    }

    /// Name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PsnrLuma => "PSNR of the first plane",
            Self::Psnr => "PSNR of all planes",
            Self::Ssim => "SSIM of all planes (dB)",
        }
    }

    pub(crate) fn of(self, outcome: &Outcome) -> Option<f64> {
        match self {
            Self::PsnrLuma => outcome.score.psnr(0),
            Self::Psnr => outcome.score.psnr_average(),
            Self::Ssim => outcome.score.ssim_all().map(ssim_db),
        }
    }
}

/// A group of files that one encoder made at several bit rates.
pub(crate) struct Curve<'a> {
    pub(crate) label: String,
    pub(crate) files: &'a [Outcome],
}

impl<'a> Curve<'a> {
    /// Named by what the names of its files have in common, else by its role.
    pub(crate) fn new(role: &str, files: &'a [Outcome]) -> Self {
        let stem = |outcome: &Outcome| {
            outcome.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let stems: Vec<_> = files.iter().map(stem).collect();
        let common = stems.iter().cloned().reduce(|common, name| {
            let same = common.chars().zip(name.chars()).take_while(|(a, b)| a == b);
            same.map(|(a, _)| a).collect()
        });
        let common = common.unwrap_or_default();
        // Digits at its end may be the beginning of different numbers.
        let mut next = stems.iter().filter_map(|stem| stem.strip_prefix(&common)?.chars().next());
        let is_cut = next.any(|next| next.is_ascii_digit());
        let label = if is_cut { common.trim_end_matches(|c: char| c.is_ascii_digit()) } else { &common };
        let label = label.trim_end_matches(['-', '_', '.', ' ', '=']);
        Self { label: if label.is_empty() { role.to_owned() } else { label.to_owned() }, files }
    }

    /// The points, in the order of their rates.
    fn points(&self, quality: Quality) -> Result<Vec<RatePoint>> {
        let point = |outcome: &Outcome| {
            let rate = outcome.bit_rate().ok_or_else(|| {
                Error::invalid(format!(
                    "{} has no bit rate: BD-rate takes encoded files with times",
                    name(&outcome.path)
                ))
            })?;
            let quality =
                quality.of(outcome).ok_or_else(|| Error::invalid("this metric was not measured"))?;
            Ok(RatePoint { rate, quality })
        };
        self.files.iter().map(point).collect()
    }

    /// The points that can be drawn, in the order of their rates.
    pub(crate) fn drawn(&self, quality: Quality) -> Vec<(f64, f64)> {
        let point = |outcome: &Outcome| Some((outcome.bit_rate()?, quality.of(outcome)?));
        let mut points: Vec<_> = self.files.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    }
}

/// The distance of two curves over one quality.
pub(crate) struct Distance {
    pub(crate) quality: Quality,
    pub(crate) rate: [(Interpolation, Result<f64>); 2],
    pub(crate) gain: [(Interpolation, Result<f64>); 2],
}

impl Distance {
    fn between(anchor: &Curve<'_>, test: &Curve<'_>, quality: Quality) -> Self {
        let by = |method, measure: fn(&[RatePoint], &[RatePoint], Interpolation) -> Result<f64>| {
            let result = anchor.points(quality).and_then(|a| measure(&a, &test.points(quality)?, method));
            (method, result)
        };
        let both = |measure| [Interpolation::Pchip, Interpolation::Cubic].map(|method| by(method, measure));
        Self { quality, rate: both(bd_rate), gain: both(bd_quality) }
    }

    /// Whether there is any number.
    pub(crate) fn is_known(&self) -> bool {
        self.rate.iter().any(|(_, rate)| rate.is_ok())
    }
}

/// The distances of `test` from `anchor` over every quality that was measured.
pub(crate) fn distances(anchor: &Curve<'_>, test: &Curve<'_>, psnr: bool, ssim: bool) -> Vec<Distance> {
    let wanted = |quality: &Quality| if *quality == Quality::Ssim { ssim } else { psnr };
    Quality::ALL.into_iter().filter(wanted).map(|quality| Distance::between(anchor, test, quality)).collect()
}

pub(crate) fn json(anchor: &Curve<'_>, test: &Curve<'_>, distances: &[Distance]) -> Value {
    let number = |result: &Result<f64>| match result {
        Ok(value) => json!(value),
        Err(_) => Value::Null,
    };
    let both = |pair: &[(Interpolation, Result<f64>); 2]| -> Value {
        Value::Object(pair.iter().map(|(method, value)| (method.name().to_owned(), number(value))).collect())
    };
    let mut all = Map::new();
    for distance in distances {
        let why = distance.rate.iter().find_map(|(_, rate)| rate.as_ref().err());
        let value = json!({
            "rate_percent": both(&distance.rate),
            "quality": both(&distance.gain),
            "error": why.map(crate::exit::message),
        });
        all.insert(distance.quality.key().to_owned(), value);
    }
    json!({ "anchor": anchor.label, "test": test.label, "over": all })
}
