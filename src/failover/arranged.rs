//! An encoder whose frames are given in another arrangement of their samples than it reads.

use std::sync::Arc;

use super::log::FailoverLog;
use super::settings::Fitting;
use crate::backend::{CopyBytes, EncodeUnit, EncoderBackend, FrameCheck};
use crate::config::CommonEncodeConfig;
use crate::error::Result;
use crate::packet::BitstreamLayout;
use crate::pixel::PixelFormat;
use crate::stages::EncodeMeter;

/// The encoder as it is where it was opened for the settings' format; else one that converts each frame to `format`, and counts
/// them in `log`.
pub(super) fn arranged(
    encoder: Box<dyn EncoderBackend>,
    config: &CommonEncodeConfig,
    format: PixelFormat,
    log: &FailoverLog,
) -> Box<dyn EncoderBackend> {
    if format == config.format {
        return encoder;
    }
    let config = CommonEncodeConfig { format, ..config.clone() };
    let fitting = Fitting::new(&config, encoder.as_ref());
    Box::new(Arranged { encoder, fitting, log: log.clone() })
}

struct Arranged {
    encoder: Box<dyn EncoderBackend>,
    fitting: Fitting,
    log: FailoverLog,
}

impl EncoderBackend for Arranged {
    fn output_layout(&self) -> BitstreamLayout {
        self.encoder.output_layout()
    }

    fn submit(&mut self, EncodeUnit { serial, mut frame }: EncodeUnit) -> Result<()> {
        let messages = std::mem::take(&mut frame.user_sei);
        let mut frame = self.fitting.fit(frame)?;
        frame.user_sei = messages;
        self.log.converted_one();
        self.encoder.submit(EncodeUnit { serial, frame })
    }

    fn flush(&mut self) -> Result<()> {
        self.encoder.flush()
    }

    fn admission(&self) -> FrameCheck {
        self.encoder.admission()
    }

    fn copies(&self) -> CopyBytes {
        self.encoder.copies()
    }

    fn reorder_delay(&self) -> usize {
        self.encoder.reorder_delay()
    }

    fn implementation(&self) -> &'static str {
        self.encoder.implementation()
    }

    fn meter(&self) -> Option<Arc<EncodeMeter>> {
        self.encoder.meter()
    }

    fn notes(&self) -> Vec<String> {
        self.encoder.notes()
    }
}
