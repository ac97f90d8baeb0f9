//! Frames that were made for one encoder, brought to what another reads.

use crate::backend::{EncoderBackend, FrameCheck};
use crate::config::{ColorRequest, CommonEncodeConfig};
use crate::error::{Error, Result};
use crate::frame::{Frame, Surface, UserSei};
use crate::transform::TransformRequest;

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
