//! The format in which frames should reach the encoder that will be chosen, found out before any is opened.

use super::admission::SessionRequest;
use super::refusals::Refusals;
use super::select::{Turn, encode_capability, encoders};
use super::vendors::{self, Candidate};
use super::{Backend, Job};
use crate::capability::EncodeCapability;
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;

/// What is known of a job before the format of its frames is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormatQuestion<'a> {
    pub(crate) codec: Codec,
    pub(crate) size: Dimensions,
    pub(crate) device: Option<&'a str>,
    pub(crate) special: &'a BackendEncodeConfig,
    /// Whether latency counts more than anything else.
    pub(crate) low_latency: bool,
    /// How a session is asked for, where the question takes one.
    pub(crate) request: SessionRequest<'a>,
}

/// The format in which frames should reach the encoder that will be chosen: `native` where it is taken, else
/// the taken format that keeps most of it.
///
/// # Errors
/// When no backend here encodes the codec at all.
pub(crate) fn pick_input_format(
    wanted: Backend,
    asked: &FormatQuestion<'_>,
    native: PixelFormat,
) -> Result<PixelFormat> {
    let FormatQuestion { codec, size, .. } = *asked;
    let mut refusals = Refusals::new(Job::Encode, codec);
    let mut wrong = None;
    for turn in encoders(wanted, asked.low_latency, asked.special) {
        let Turn { candidate, kind, .. } = turn;
        // One that will refuse the job must not choose the format for the next; by itself it says why.
        if !turn.asked || turn.put_off.is_some() || wanted == Backend::Auto && !asked.special.fits(kind) {
            continue;
        }
        let encode = match encode_capability(candidate, codec, asked.device, asked.special, &asked.request) {
            Ok(Some(encode)) => encode,
            Ok(None) => {
                let error = Error::unsupported(format!("{} does not encode {codec}", candidate.label()));
                refusals.add(candidate, true, error);
                continue;
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                refusals.add(candidate, false, error);
                continue;
            }
        };
        if wanted == Backend::Auto && !size_fits(&encode, size) {
            // Of several the one whose limit is the nearest.
            let small = size.pixels() < encode.min.pixels();
            let off = if small { encode.min.pixels() } else { u64::MAX - encode.max.pixels() };
            if wrong.as_ref().is_none_or(|(nearest, _)| off < *nearest) {
                wrong = Some((off, wrong_size(candidate, codec, &encode, size)));
            }
            continue;
        }
        let formats = shared_with_last(encode.formats, candidate, wanted, asked);
        let loss = |f: &PixelFormat| {
            let bits = native.bit_depth().saturating_sub(f.bit_depth());
            (*f != native, bits, f.chroma() != native.chroma(), f.bit_depth())
        };
        if let Some(best) = formats.into_iter().min_by_key(loss) {
            return Ok(best);
        }
    }
    let wrong = wrong.map(|(_, error)| error);
    Err(wrong
        .or_else(|| refusals.told())
        .unwrap_or_else(|| Error::unsupported(format!("encoding {codec} at {size}"))))
}

/// The formats that the last encoder of the order takes too, where it encodes the codec: it has to be able to go on where a child
/// process refuses a setting, or dies, and what a job makes must not depend on a program that happens to be installed.
fn shared_with_last(
    mut formats: Vec<PixelFormat>,
    candidate: Candidate,
    wanted: Backend,
    asked: &FormatQuestion<'_>,
) -> Vec<PixelFormat> {
    let last = Candidate::ORDER.into_iter().rfind(|last| !last.is_child());
    let fits = |last: &Candidate| asked.special.fits(last.backend());
    if wanted == Backend::Auto
        && candidate.is_child()
        && let Some(last) = last.filter(fits)
        && let Ok(Some(encode)) =
            encode_capability(last, asked.codec, asked.device, asked.special, &asked.request)
        && formats.iter().any(|format| encode.formats.contains(format))
    {
        formats.retain(|format| encode.formats.contains(format));
    }
    formats
}

/// The format in which a candidate takes frames of the settings' format without loss: the same samples arranged otherwise, or
/// with more bits where it has no other. `None`: it takes them as they are, or not at all.
pub(crate) fn rearranged(
    candidate: Candidate,
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
) -> Option<PixelFormat> {
    let own = config.format;
    let (device, request) = (config.device.as_deref(), SessionRequest::default());
    let formats =
        encode_capability(candidate, config.codec, device, special, &request).ok().flatten()?.formats;
    if own.is_rgb() || formats.contains(&own) {
        return None;
    }
    let keeps_all = |f: &PixelFormat| f.chroma() == own.chroma() && f.bit_depth() >= own.bit_depth();
    formats.into_iter().filter(keeps_all).min_by_key(|format| format.bit_depth())
}

/// What frames may be where a decoder of the same vendor leaves them, for the encoder that will be chosen, by the rule of the
/// candidates: none is opened for it. `None`: it reads host memory alone. It may still turn out that another encodes, when
/// this one has no session left; then frames have to be brought to it.
///
/// # Errors
/// Why the encoder there is could not be asked: [`Error::SessionLimit`], a failing driver.
pub(crate) fn device_input_formats(
    decoder: Backend,
    wanted: Backend,
    asked: &FormatQuestion<'_>,
) -> Result<Option<Vec<PixelFormat>>> {
    let decodes = |kind| decoder == Backend::Auto || decoder == Backend::Only(kind);
    let encodes = |kind| wanted == Backend::Auto && asked.special.fits(kind) || wanted == Backend::Only(kind);
    for (kind, reads) in vendors::readers().filter(|(kind, _)| decodes(*kind) && encodes(*kind)) {
        let asked_of = Candidate::of(kind);
        let encode =
            match encode_capability(asked_of, asked.codec, asked.device, asked.special, &asked.request) {
                Ok(Some(encode)) => encode,
                // There is none, which whoever opens it says better.
                Ok(None)
                | Err(Error::Unavailable { .. } | Error::InvalidInput { .. } | Error::Unsupported { .. }) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
        let formats = encode.formats.iter().copied().filter(|format| reads(*format)).collect();
        return Ok(size_fits(&encode, asked.size).then_some(formats));
    }
    Ok(None)
}

fn wrong_size(candidate: Candidate, codec: Codec, encode: &EncodeCapability, size: Dimensions) -> Error {
    let EncodeCapability { implementation, min, max, .. } = encode;
    Error::Unsupported {
        feature: format!(
            "encoding {codec} at {size}: {} ({implementation}) takes {min} to {max}",
            candidate.label()
        ),
        remedy: Remedy::Size,
    }
}

/// Either orientation: some encoders limit the longer and the shorter side.
fn size_fits(encode: &EncodeCapability, size: Dimensions) -> bool {
    let within = |width: u32, height: u32| {
        (encode.min.width()..=encode.max.width()).contains(&width)
            && (encode.min.height()..=encode.max.height()).contains(&height)
    };
    within(size.width(), size.height()) || within(size.height(), size.width())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_no_encoder_takes_is_told_with_the_sizes_it_takes() {
        let special = BackendEncodeConfig::Software(crate::config::SoftwareEncodeConfig::default());
        let size = Dimensions::new(8, 8).unwrap();
        let asked = FormatQuestion {
            codec: Codec::H264,
            size,
            device: None,
            special: &special,
            low_latency: false,
            request: SessionRequest::default(),
        };
        let err = pick_input_format(Backend::Auto, &asked, PixelFormat::I420).unwrap_err().to_string();
        for word in ["8x8", "software", "16x16", "`size`"] {
            assert!(err.contains(word), "no {word} in: {err}");
        }
    }
}
