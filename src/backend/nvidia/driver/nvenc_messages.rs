//! Messages beside a picture (SEI of H.264 and HEVC, metadata of AV1), as the driver takes them.

use std::marker::PhantomData;

use super::nvenc_abi::{PicAv1, PicCodec, PicH264, PicHevc, SeiPayload};
use crate::codec::Codec;
use crate::user_sei::UserSei;

/// Messages that stay where they are while a picture is handed over. The driver copies them during that call: NVIDIA's
/// samples and FFmpeg free them right after it.
pub(crate) struct Messages<'a> {
    codec: Codec,
    list: Vec<SeiPayload>,
    borrowed: PhantomData<&'a UserSei>,
}

impl<'a> Messages<'a> {
    /// These, in this order. Emulation of start codes is the driver's to prevent.
    pub(crate) fn new(codec: Codec, messages: impl Iterator<Item = &'a UserSei>) -> Self {
        let entry = |message: &UserSei| SeiPayload {
            // The session lets no message in that is near this long.
            bytes: u32::try_from(message.payload.len()).unwrap_or(0),
            kind: message.payload_type,
            data: message.payload.as_ptr(),
        };
        Self { codec, list: messages.map(entry).collect(), borrowed: PhantomData }
    }

    /// The part of the picture's parameters that names them; good while `self` lives.
    pub(super) fn part(&self) -> PicCodec {
        let messages = u32::try_from(self.list.len()).unwrap_or(0);
        let message_list = if messages == 0 { std::ptr::null() } else { self.list.as_ptr() };
        // The three have the same size and no padding, so that all of the union is written.
        match self.codec {
            Codec::Hevc => PicCodec { hevc: PicHevc { messages, message_list, ..PicHevc::default() } },
            Codec::Av1 => PicCodec { av1: PicAv1 { messages, message_list, ..PicAv1::default() } },
            _ => PicCodec { h264: PicH264 { messages, message_list, ..PicH264::default() } },
        }
    }
}
