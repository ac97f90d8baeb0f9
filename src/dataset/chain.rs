//! The encoders that may take the work, in order, and whether each works here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{EncoderConfig, EncoderType, GpuEncoderConfig};
use crate::backend::{self, Candidate, EncodeSink, EncoderBackend, Job};
use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl};
use crate::control::{EncoderSource, OnFailure, StreamOptions, SwitchingEncoder};
use crate::error::{Error, Result};
use crate::pixel::PixelFormat;
use crate::probing::{self, ProbeVerdict, Question};
use crate::sync::lock;

/// The format that encoders are asked for: hardware works on it, and the embedded encoder takes it too. One that does not take it
/// is opened for another arrangement of the same samples.
pub(super) const USUAL_FORMAT: PixelFormat = PixelFormat::Nv12;

/// What became of one encoder when it was tried.
#[derive(Debug)]
pub struct Probe {
    /// Which.
    pub encoder: EncoderType,
    /// It has encoded a picture, with this implementation; or why not, and what to do.
    pub verdict: ProbeVerdict,
    /// How long that took.
    pub took: Duration,
}

/// Where a stream's sessions come from: the encoders to try, in order, at the start and whenever one has died.
pub(super) struct Chain {
    candidates: Vec<Candidate>,
    config: EncoderConfig,
    gpu: GpuEncoderConfig,
    opened: Running,
}

/// Which encoder of a chain runs: the one that was opened last.
pub(super) type Running = Arc<Mutex<Option<EncoderType>>>;

impl Chain {
    /// The encoders in the order of the configuration.
    pub(super) fn new(config: &EncoderConfig, gpu: &GpuEncoderConfig) -> Self {
        let preferred = gpu.preferred_encoder.map(EncoderType::candidate);
        let candidates = match preferred {
            Some(only) if gpu.strict => vec![only],
            _ => Candidate::preferring(preferred),
        };
        Self { candidates, config: config.clone(), gpu: gpu.clone(), opened: Arc::default() }
    }

    /// Starts a stream whose pictures have this colour, on the first encoder that works. The other half tells which
    /// runs.
    ///
    /// # Errors
    /// No encoder works: why not.
    pub(super) fn start(self, color: ColorInfo) -> Result<(SwitchingEncoder, Running)> {
        let opened = Arc::clone(&self.opened);
        // Where no other may be taken at the start, none may be taken in the middle.
        let on_failure = if self.gpu.strict { OnFailure::Stop } else { OnFailure::Reopen };
        let options = StreamOptions { on_failure, reorder_reserve: Some(0), ..StreamOptions::default() };
        let config = CommonEncodeConfig {
            format: USUAL_FORMAT,
            color,
            gop_length: self.config.gop_size,
            // Decoding times then are presentation times, and an MP4 file states each pause as one number. AV1 shows pictures in
            // the order of its units in any case.
            b_frames: (self.config.codec != Codec::Av1).then_some(0),
            ..CommonEncodeConfig::new(self.config.codec, self.config.resolution, self.config.frame_rate)
        };
        let stream = SwitchingEncoder::with_source(self, config, BackendEncodeConfig::None, options)?;
        Ok((stream, opened))
    }

    /// The settings that depend on the encoder.
    fn special(&self, encoder: EncoderType) -> (RateControl, BackendEncodeConfig) {
        let (quality, candidate) = (self.config.crf, encoder.candidate());
        let rate = if candidate.backend().encodes_plainly() {
            RateControl::ConstQp { intra: quality, inter_p: quality, inter_b: quality }
        } else {
            RateControl::Quality { quality, max_bps: None }
        };
        let (preset, tuning) = encoder.preset_and_tuning(&self.config, &self.gpu);
        (rate, candidate.settings(None, preset, tuning))
    }
}

impl EncoderSource for Chain {
    fn candidates(&self) -> Vec<Candidate> {
        self.candidates.clone()
    }

    fn open(
        &self,
        candidate: Candidate,
        given: &CommonEncodeConfig,
        _special: &BackendEncodeConfig,
        sink: EncodeSink,
    ) -> Result<Box<dyn EncoderBackend>> {
        let encoder = EncoderType::ORDER.into_iter().find(|encoder| encoder.candidate() == candidate);
        let unknown = || Error::invalid(format!("{candidate} is not among the encoders to try"));
        let encoder = encoder.ok_or_else(unknown)?;
        let (rate_control, special) = self.special(encoder);
        let config = CommonEncodeConfig { rate_control: Some(rate_control), ..given.clone() };
        let backend = backend::open_engine(candidate, &config, &special, sink)?;
        *lock(&self.opened) = Some(encoder);
        Ok(backend)
    }
}

/// Tries each encoder of a codec: a session is opened at a size that all of them take, and encodes a picture. They are tried
/// side by side, in this process: where a driver may crash or hang see [`ChildProber`](crate::probing::ChildProber).
pub fn probe_encoders(codec: Codec) -> Vec<Probe> {
    let question =
        |encoder: EncoderType| Question { candidate: encoder.candidate(), job: Job::Encode, codec };
    let found = probing::in_process(&EncoderType::ORDER.map(question));
    let of = |encoder: EncoderType| {
        let probe = found.of(encoder.candidate(), Job::Encode, codec)?;
        Some(Probe { encoder, verdict: probe.verdict.clone(), took: probe.took })
    };
    EncoderType::ORDER.into_iter().filter_map(of).collect()
}

/// The encoders of H.264 that work here, best first: each has opened a session and encoded a picture just now.
pub fn detect_available_encoders() -> Vec<EncoderType> {
    let works = |probe: Probe| probe.verdict.works().then_some(probe.encoder);
    probe_encoders(Codec::H264).into_iter().filter_map(works).collect()
}
