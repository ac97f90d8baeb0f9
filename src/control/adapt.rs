//! Settings for a backend that takes over from another in the middle of a stream.

use super::running::Target;
use crate::backend::Candidate;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl};
use crate::pixel::PixelFormat;

/// What is given up of a picture's light, in words.
const HDR: &str = "HDR10 metadata";

/// The settings as they are. Metadata that is only wished for is left out without a refusal: a word for that, where the
/// backend before did not.
pub(super) fn unchanged(
    target: &Target,
    before: Option<Candidate>,
    candidate: Candidate,
) -> (Target, Vec<String>) {
    let config = &target.0;
    let leaves_out = |candidate: Candidate| candidate.backend().leaves_out_hdr(config);
    let lost = leaves_out(candidate) && before.is_some_and(|before| !leaves_out(before));
    (target.clone(), lost.then(|| HDR.to_owned()).into_iter().collect())
}

/// The settings without those that the CPU's encoder or another's lacks, and a word for each that was given up. Used when
/// the alternative is the end of the stream.
pub(super) fn adapt(target: &Target, candidate: Candidate) -> (Target, Vec<String>) {
    let (mut config, mut special) = target.clone();
    let mut given_up = Vec::new();
    let kind = candidate.backend();
    if !special.fits(kind) {
        special = BackendEncodeConfig::None;
        given_up.push("the settings of the other backend".to_owned());
    } else if !candidate.is_meant_by(&special) {
        special = BackendEncodeConfig::None;
        given_up.push("the settings of the other encoder".to_owned());
    }
    if let Some(device) = config.device.take() {
        given_up.push(format!("device {device}"));
    }
    let metadata = (config.mastering_display.take(), config.content_light.take());
    if kind.states_hdr() {
        (config.mastering_display, config.content_light) = metadata;
    } else if metadata != (None, None) {
        given_up.push(HDR.to_owned());
    }
    if !kind.encodes_plainly() {
        return ((config, special), given_up);
    }
    if let Some(b_frames) = config.requested_b_frames().filter(|b_frames| *b_frames > 0) {
        given_up.push(format!("{b_frames} B frames"));
    }
    (config.b_frames, config.frame_interval_p) = (None, None);
    if !matches!(config.format, PixelFormat::I420 | PixelFormat::Nv12) {
        given_up.push(format!("frames of {}", config.format));
        config.format = PixelFormat::I420;
    }
    match config.rate_control {
        Some(RateControl::Vbr { avg_bps, max_bps: Some(max) }) => {
            given_up.push(format!("the ceiling of {max} b/s"));
            config.rate_control = Some(RateControl::Vbr { avg_bps, max_bps: None });
        }
        Some(RateControl::ConstQp { intra, inter_p, inter_b }) => {
            let qp = inter_p.clamp(10, 51);
            if qp != inter_p || qp != intra {
                given_up.push(format!("quantisers {intra}, {inter_p} and {inter_b}"));
            }
            config.rate_control = Some(RateControl::ConstQp { intra: qp, inter_p: qp, inter_b: qp });
        }
        Some(RateControl::Quality { quality, .. }) => {
            let qp = quality.clamp(10, 51);
            given_up.push(format!("constant quality {quality}, for the quantiser {qp}"));
            config.rate_control = Some(RateControl::ConstQp { intra: qp, inter_p: qp, inter_b: qp });
        }
        _ => {}
    }
    ((config, special), given_up)
}

/// As [`adapt`], and without everything else that a stream can do without.
pub(super) fn plain(target: &Target, candidate: Candidate) -> (Target, Vec<String>) {
    let ((config, _), _) = adapt(target, candidate);
    let plain = CommonEncodeConfig {
        format: config.format,
        color: config.color,
        sample_aspect_ratio: config.sample_aspect_ratio,
        low_latency: config.low_latency,
        gop_length: config.gop_length,
        rate_control: config.rate_control,
        force_idr: config.force_idr,
        admission: config.admission,
        cancel_waiting: config.cancel_waiting,
        ..CommonEncodeConfig::new(config.codec, config.dimensions, config.frame_rate)
    };
    let words = "all settings but size, rates, format, colour and GOP".to_owned();
    ((plain, BackendEncodeConfig::None), vec![words])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::config::NvidiaEncodeConfig;
    use crate::dimensions::Dimensions;
    use crate::time::Rational;

    #[test]
    fn what_the_cpu_lacks_is_given_up_and_told() {
        let size = Dimensions::new(640, 360).unwrap();
        let mut config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
        config.b_frames = Some(2);
        config.format = PixelFormat::P010;
        config.device = Some("1".to_owned());
        config.content_light = "1000,400".parse().ok();
        config.rate_control = Some(RateControl::ConstQp { intra: 4, inter_p: 6, inter_b: 8 });
        let special = BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default());
        let ((new, special), given_up) = adapt(&(config, special), Candidate::Embedded);
        assert_eq!((given_up.len(), new.content_light), (6, None), "{given_up:?}");
        assert_eq!((new.format, new.requested_b_frames(), new.device), (PixelFormat::I420, None, None));
        assert_eq!(special, BackendEncodeConfig::None);
        let flat = RateControl::ConstQp { intra: 10, inter_p: 10, inter_b: 10 };
        assert_eq!(new.rate_control, Some(flat));
    }

    #[test]
    fn wishes_that_come_to_nothing_are_told_once() {
        use Candidate::{Embedded, Ffmpeg, Nvidia};
        let size = Dimensions::new(640, 360).unwrap();
        let mut config = CommonEncodeConfig::new(Codec::Hevc, size, Rational::new(25, 1).unwrap());
        config.content_light = "1000,400".parse().ok();
        config.hdr_optional = true;
        let wish = (config, BackendEncodeConfig::None);
        for (before, kind, lost) in [
            (Some(Nvidia), Embedded, true),
            (Some(Nvidia), Ffmpeg, true),
            (Some(Nvidia), Nvidia, false),
            (Some(Embedded), Ffmpeg, false),
            (Some(Embedded), Nvidia, false),
            (None, Embedded, false),
        ] {
            let (same, given_up) = unchanged(&wish, before, kind);
            assert_eq!(same.0.content_light, wish.0.content_light, "the next may state it again");
            assert_eq!(given_up == [HDR], lost, "{before:?} to {kind}: {given_up:?}");
        }
        let mut order = wish.clone();
        order.0.hdr_optional = false;
        assert!(unchanged(&order, Some(Nvidia), Embedded).1.is_empty(), "which is refused instead");
        let mut nothing = wish;
        nothing.0.content_light = None;
        assert!(unchanged(&nothing, Some(Nvidia), Embedded).1.is_empty());
    }

    #[test]
    fn nothing_is_given_up_without_need() {
        let size = Dimensions::new(640, 360).unwrap();
        let config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
        let (_, given_up) = adapt(&(config.clone(), BackendEncodeConfig::None), Candidate::Embedded);
        assert!(given_up.is_empty());
        let asked = CommonEncodeConfig { gop_length: Some(50), threads: std::num::NonZero::new(3), ..config };
        let ((plain, _), words) = plain(&(asked.clone(), BackendEncodeConfig::None), Candidate::Embedded);
        assert_eq!((plain.gop_length, plain.threads, words.len()), (Some(50), None, 1));
    }
}
