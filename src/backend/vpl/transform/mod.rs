//! Scaling where pictures are: between the decoder and whoever takes its surfaces, without a way through the host's memory.

use std::sync::Arc;

use super::driver::abi::FrameInfo;
use super::driver::abi::names::PICSTRUCT_PROGRESSIVE;
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

/// Width, height and format of surfaces, and the size of pictures in them and how their rows belong together.
type Kind = (u16, u16, u32, u16, u16, u16);

impl Scaler {
    pub(super) fn new(session: &Arc<Session>, size: Dimensions) -> Self {
        Self { session: Arc::clone(session), size, open: None }
    }

    /// The picture in the other size; `None`: it has it already, or the GPU does not scale such pictures (`note` is told why,
    /// once).
    ///
    /// # Errors
    /// No memory; a lost device.
    pub(super) fn scale(
        &mut self,
        surface: &Surface,
        mut note: impl FnMut(String),
    ) -> Result<Option<Surface>> {
        let mut info = surface.info();
        if (u32::from(info.crop_w), u32::from(info.crop_h)) == (self.size.width(), self.size.height()) {
            return Ok(None);
        }
        let kind = (info.width, info.height, info.fourcc, info.crop_w, info.crop_h, info.pic_struct);
        // No processor is opened without a rate; it makes no difference to one picture.
        if info.rate_num == 0 || info.rate_den == 0 {
            (info.rate_num, info.rate_den) = (30, 1);
        }
        if self.open.as_ref().is_none_or(|(of, _)| *of != kind) {
            // Before there is another: a session has one.
            self.open = None;
            let processor = match Processor::open(&self.session, info, self.target(&info)) {
                Ok(processor) => Some(processor),
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                Err(error) => {
                    note(on_cpu(&error));
                    None
                }
            };
            self.open = Some((kind, processor));
        }
        let Some((_, place)) = &mut self.open else { return Ok(None) };
        let Some(processor) = place else { return Ok(None) };
        match processor.process(surface) {
            // It was opened, and does not do it after all.
            Err(error @ Error::Unsupported { .. }) => {
                *place = None;
                note(on_cpu(&error));
                Ok(None)
            }
            made => made.map(Some),
        }
    }

    /// What surfaces of the other size are.
    fn target(&self, info: &FrameInfo) -> FrameInfo {
        let aligned = |side: u32, to: u32| side.next_multiple_of(to) as u16;
        let rows = if info.pic_struct == PICSTRUCT_PROGRESSIVE { 16 } else { 32 };
        FrameInfo {
            width: aligned(self.size.width(), 16),
            height: aligned(self.size.height(), rows),
            crop_x: 0,
            crop_y: 0,
            crop_w: self.size.width() as u16,
            crop_h: self.size.height() as u16,
            ..*info
        }
    }
}

fn on_cpu(error: &Error) -> String {
    format!("pictures are scaled on the CPU: {error}")
}
