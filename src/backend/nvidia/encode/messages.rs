//! What goes beside pictures: HDR10 metadata with each IDR picture, and messages of the caller's.

use super::settings::Settings;
use crate::backend::nvidia::driver::nvenc_messages;
use crate::backend::nvidia::driver::nvenc_names::INFINITE_GOP;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::user_sei::UserSei;

/// Refuses frames with messages that the codec has no place for.
///
/// # Errors
/// [`Error::Unsupported`].
pub(super) fn check(codec: Codec, frame: &Frame) -> Result<()> {
    if codec == Codec::Av1 && !frame.user_sei.is_empty() {
        return Err(Error::unsupported("user SEI messages with av1, which has none"));
    }
    Ok(())
}

/// Knows which pictures are IDR pictures: messages are handed over with a picture, before the driver has decided on its
/// type. So where there are messages for IDR pictures, those that the GOP's length makes are asked for by name.
pub(super) struct Messages {
    codec: Codec,
    with_idr: Vec<UserSei>,
    gop: u32,
    since_idr: u32,
}

impl Messages {
    pub(super) fn new(settings: &Settings, gop: u32) -> Self {
        // No end, and no number at all, are the same.
        let gop = if gop == 0 { INFINITE_GOP } else { gop };
        Self { codec: settings.codec, with_idr: settings.messages.clone(), gop, since_idr: 0 }
    }

    /// Whether the next picture has to be forced to be an IDR picture, given that somebody else wants it.
    pub(super) fn idr(&self, forced: bool) -> bool {
        forced || (!self.with_idr.is_empty() && self.gop != INFINITE_GOP && self.since_idr >= self.gop)
    }

    /// The messages of a frame.
    ///
    /// # Errors
    /// Messages that the codec has not.
    pub(super) fn of<'a>(&'a self, frame: &'a Frame, idr: bool) -> Result<nvenc_messages::Messages<'a>> {
        check(self.codec, frame)?;
        let with_idr = if idr { self.with_idr.as_slice() } else { &[] };
        Ok(nvenc_messages::Messages::new(self.codec, with_idr.iter().chain(&frame.user_sei)))
    }

    /// The driver has taken the picture.
    pub(super) fn entered(&mut self, idr: bool) {
        self.since_idr = if idr { 1 } else { self.since_idr.saturating_add(1) };
    }
}
