//! Pixel transfer sessions: pictures of another size.

use std::ptr;

use super::abi::Ref;
use super::calling;
use super::foundation::{Cf, Dictionary, integer};
use super::library::api;
use super::pixels::{PixelBuffer, PixelBufferPool};
use super::status::Status;
use crate::error::Result;

/// `VTPixelTransferSession`, and buffers to transfer to.
#[derive(Debug)]
pub(crate) struct Transfer {
    session: Cf,
    pool: PixelBufferPool,
}

impl Transfer {
    /// To buffers of this `kCVPixelFormatType_*` and size.
    ///
    /// # Errors
    /// No memory; a size that no buffer has.
    pub(crate) fn new(pixel_format: u32, (width, height): (u32, u32)) -> Result<Self> {
        const CREATE: &str = "VTPixelTransferSessionCreate";
        let api = api()?;
        let pool = PixelBufferPool::new(
            &Dictionary::new()?
                .with("kCVPixelBufferPixelFormatTypeKey", &integer(i64::from(pixel_format))?)?
                .with("kCVPixelBufferWidthKey", &integer(i64::from(width))?)?
                .with("kCVPixelBufferHeightKey", &integer(i64::from(height))?)?
                .for_devices()?,
        )?;
        let mut out: Ref = ptr::null();
        let (status, session) = calling(CREATE, || {
            // SAFETY: what it makes passes to us.
            unsafe {
                let status = (api.VTPixelTransferSessionCreate)(ptr::null(), &raw mut out);
                (status, Cf::created(api, out))
            }
        });
        Status(status).ok(CREATE)?;
        let session = session.ok_or_else(|| Status(-12903).error(CREATE))?;
        Ok(Self { session, pool })
    }

    /// The whole picture in a buffer of its own.
    ///
    /// # Errors
    /// No memory; formats that are not transferred; a failing driver.
    pub(crate) fn transfer(&mut self, from: &PixelBuffer) -> Result<PixelBuffer> {
        const CALL: &str = "VTPixelTransferSessionTransferImage";
        let to = self.pool.take()?;
        let session = self.session.object();
        // SAFETY: all three are alive; nobody else has the buffer that is written.
        let status = calling(CALL, || unsafe {
            (self.session.api().VTPixelTransferSessionTransferImage)(session, from.object(), to.object())
        });
        Status(status).ok(CALL)?;
        Ok(to)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // SAFETY: the session is alive, and used no more.
        unsafe { (self.session.api().VTPixelTransferSessionInvalidate)(self.session.object()) };
    }
}
