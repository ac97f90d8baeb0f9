//! What an encoder is opened with that goes on in the middle of another's stream: all settings, or those of them that it has.
//! And what the frames have to be for it that were made for the other.

use crate::backend::{self, Candidate, EncoderBackend, FrameCheck};
use crate::config::{BackendEncodeConfig, ColorRequest, CommonEncodeConfig, RateControl};
use crate::error::{Error, Result};
use crate::frame::{Frame, Surface, UserSei};
use crate::pixel::PixelFormat;
use crate::transform::TransformRequest;

/// Common settings, and those of one backend.
pub(crate) type Target = (CommonEncodeConfig, BackendEncodeConfig);

/// Settings for a candidate, and a word for each that was given up.
type Adapted = (Target, Vec<String>);

/// What is given up of a picture's light, in words.
const HDR: &str = "HDR10 metadata";

/// Opens a candidate with all settings. If it does not accept the frames' format, another format is tried. If it `may_lack`
/// settings and refuses them, it is opened without these, and finally with the defaults. `open` receives the settings, the list
/// of omitted ones, and whether they were adapted.
///
/// # Errors
/// The refusal of all settings; an error that other settings do not avoid.
pub(crate) fn with_what_it_has<T>(
    target: &Target,
    before: Option<Candidate>,
    candidate: Candidate,
    may_lack: bool,
    mut open: impl FnMut(Target, Vec<String>, bool) -> Result<T>,
) -> Result<T> {
    let (same, given_up) = unchanged(target, before, candidate);
    // A wish that comes to nothing is no setting that the session lacks: the next can be asked for it again.
    let mut refusal = match open(same, given_up.clone(), false) {
        Err(error) if is_for_settings(&error) => error,
        done => return done,
    };
    let mut target = target.clone();
    if let Some(format) = backend::rearranged(candidate, &target.0, &target.1) {
        target.0.format = format;
        refusal = match open(target.clone(), given_up, false) {
            Err(error) if is_for_settings(&error) => error,
            done => return done,
        };
    }
    if !may_lack {
        return Err(refusal);
    }
    for way in [adapt, plain] {
        let (target, given_up) = way(&target, candidate);
        match open(target, given_up, true) {
            Err(error) if is_for_settings(&error) => {}
            done => return done,
        }
    }
    Err(refusal)
}

/// Only what is refused for its settings can be had with others.
pub(super) const fn is_for_settings(error: &Error) -> bool {
    matches!(error, Error::Unsupported { .. } | Error::InvalidInput { .. })
}

/// The settings as they are. Metadata that is only wished for is left out without a refusal: a word for that, where the
/// backend before did not.
fn unchanged(target: &Target, before: Option<Candidate>, candidate: Candidate) -> Adapted {
    let config = &target.0;
    let leaves_out = |candidate: Candidate| candidate.backend().leaves_out_hdr(config);
    let lost = leaves_out(candidate) && before.is_some_and(|before| !leaves_out(before));
    (target.clone(), lost.then(|| HDR.to_owned()).into_iter().collect())
}

/// The settings without those that the CPU's encoder or another's lacks. Used when the alternative is the end of the stream.
fn adapt(target: &Target, candidate: Candidate) -> Adapted {
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
fn plain(target: &Target, candidate: Candidate) -> Adapted {
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
    let message = "all settings but size, rates, format, colour and GOP".to_owned();
    ((plain, BackendEncodeConfig::None), vec![message])
}

/// What frames have to be for an encoder. Where they may lie it says itself, frame by frame.
pub(crate) struct Fitting {
    shape: TransformRequest,
    admission: FrameCheck,
}

impl Fitting {
    pub(crate) fn new(config: &CommonEncodeConfig, encoder: &dyn EncoderBackend) -> Self {
        let mut fitting = Self { shape: TransformRequest::default(), admission: encoder.admission() };
        fitting.reconfigured(config);
        fitting
    }

    /// The encoder has other settings now.
    pub(crate) fn reconfigured(&mut self, config: &CommonEncodeConfig) {
        self.shape = TransformRequest {
            size: Some(config.dimensions),
            convert: ColorRequest::To(config.format),
            ..TransformRequest::default()
        };
    }

    /// What has to be done to a frame without messages; `None`: nothing.
    pub(crate) fn needs(&self, frame: &Frame) -> Option<TransformRequest> {
        // Memory that the encoder does not read (a device's, for one on the CPU; another device's; somebody else's) is read
        // for it.
        let host = matches!(frame.surface, Surface::Device(_)) && (self.admission)(frame).is_err();
        let shape = TransformRequest { host, ..self.shape };
        (host || !shape.is_met_by(frame)).then_some(shape)
    }

    /// The frame as the encoder reads it.
    ///
    /// # Errors
    /// As [`TransformRequest::apply`].
    pub(crate) fn fit(&self, frame: Frame) -> Result<Frame> {
        match self.needs(&frame) {
            Some(shape) => Ok(shape.apply(frame)?.frame),
            None => Ok(frame),
        }
    }

    /// Gives a frame its messages back. Not every backend writes such, and one that took over from another may not: the
    /// picture then goes on without, for this reason.
    pub(crate) fn with_messages(&self, frame: &mut Frame, messages: Vec<UserSei>) -> Option<Error> {
        if messages.is_empty() {
            return None;
        }
        frame.user_sei = messages;
        (self.admission)(frame).err().inspect(|_| frame.user_sei.clear())
    }
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
        let ((plain, _), message) = plain(&(asked.clone(), BackendEncodeConfig::None), Candidate::Embedded);
        assert_eq!((plain.gop_length, plain.threads, message.len()), (Some(50), None, 1));
    }

    #[test]
    fn other_settings_are_tried_where_these_were_refused() {
        let size = Dimensions::new(640, 360).unwrap();
        let config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
        let target = (config, BackendEncodeConfig::None);
        let tried = |may_lack, errors: &[fn() -> Error]| {
            let mut ways = Vec::new();
            let open = |_, _, adapted| {
                ways.push(adapted);
                errors.get(ways.len() - 1).map_or(Ok(()), |error| Err(error()))
            };
            let done = with_what_it_has(&target, None, Candidate::Embedded, may_lack, open);
            (done.is_ok(), ways)
        };
        let refused: fn() -> Error = || Error::unsupported("these settings");
        let broken: fn() -> Error = || Error::corrupt_fatal("no memory");
        assert_eq!(tried(true, &[refused, refused]), (true, vec![false, true, true]));
        assert_eq!(tried(false, &[refused]), (false, vec![false]));
        assert_eq!(tried(true, &[refused, broken]), (false, vec![false, true]), "settings do not mend that");
    }
}
