//! Pictures of another size, by a pixel transfer session: from pixel buffer to pixel buffer.

use crate::backend::videotoolbox::driver::pixels::PixelBuffer;
use crate::backend::videotoolbox::driver::transfer::Transfer;
use crate::dimensions::Dimensions;
use crate::error::Result;

/// Scales pictures to one size. After a failure, of which it tells once, it leaves them as they are.
#[derive(Debug, Default)]
pub(in crate::backend::videotoolbox) struct Scaler {
    running: Option<(u32, Dimensions, Transfer)>,
    failed: bool,
}

impl Scaler {
    /// The picture in this size. `None`: it stays as it is, for the CPU to scale; `note` is told why.
    pub(in crate::backend::videotoolbox) fn scale(
        &mut self,
        buffer: &PixelBuffer,
        size: Dimensions,
        note: impl FnOnce(String),
    ) -> Option<PixelBuffer> {
        // There is half a chroma sample at the end of odd sides, which systems treat each in their own way.
        if self.failed || !size.width().is_multiple_of(2) || !size.height().is_multiple_of(2) {
            return None;
        }
        let scaled = self.try_scale(buffer, size);
        if let Err(error) = &scaled {
            self.failed = true;
            self.running = None;
            note(format!("pictures are scaled on the CPU: {error}"));
        }
        scaled.ok()
    }

    fn try_scale(&mut self, buffer: &PixelBuffer, size: Dimensions) -> Result<PixelBuffer> {
        let format = buffer.pixel_format();
        let running = match self.running.take().filter(|(own, to, _)| (*own, *to) == (format, size)) {
            Some(running) => running,
            None => (format, size, Transfer::new(format, (size.width(), size.height()))?),
        };
        self.running.insert(running).2.transfer(buffer)
    }
}
