//! Scaling where pictures are: between the decoder and whoever takes its surfaces, without a way through the host's memory.

use std::sync::Arc;

use super::driver::abi::FrameInfo;
use super::driver::frames::Surface;
use super::driver::processor::Processor;
use super::driver::session::Session;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};

/// Brings pictures of a decoder to one size.
pub(super) struct Scaler {
    session: Arc<Session>,
    size: Dimensions,
    /// For surfaces of one kind at a time; `None` behind it: the GPU does not do it.
    open: Option<(Kind, Option<Processor>)>,
}

/// Width, height and format of surfaces, and the size of pictures in them.
type Kind = (u16, u16, u32, u16, u16);

impl Scaler {
    pub(super) fn new(session: &Arc<Session>, size: Dimensions) -> Self {
        Self { session: Arc::clone(session), size, open: None }
    }

    /// The picture in the other size; `None`: it has it already, or the GPU does not scale such pictures (`note` is told why,
    /// once).
    ///
    /// # Errors
    /// No memory; a lost device.
    pub(super) fn scale(&mut self, surface: &Surface, note: impl FnOnce(String)) -> Result<Option<Surface>> {
        let info = surface.info();
        if (u32::from(info.crop_w), u32::from(info.crop_h)) == (self.size.width(), self.size.height()) {
            return Ok(None);
        }
        let kind = (info.width, info.height, info.fourcc, info.crop_w, info.crop_h);
        if self.open.as_ref().is_none_or(|(of, _)| *of != kind) {
            // Before there is another: a session has one.
            self.open = None;
            let processor = match Processor::open(&self.session, info, self.target(&info)) {
                Ok(processor) => Some(processor),
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                Err(error) => {
                    note(format!("pictures are scaled on the CPU: {error}"));
                    None
                }
            };
            self.open = Some((kind, processor));
        }
        let Some((_, Some(processor))) = &mut self.open else { return Ok(None) };
        processor.process(surface).map(Some)
    }

    /// What surfaces of the other size are.
    fn target(&self, info: &FrameInfo) -> FrameInfo {
        let aligned = |side: u32| side.next_multiple_of(16) as u16;
        FrameInfo {
            width: aligned(self.size.width()),
            height: aligned(self.size.height()),
            crop_x: 0,
            crop_y: 0,
            crop_w: self.size.width() as u16,
            crop_h: self.size.height() as u16,
            ..*info
        }
    }
}
