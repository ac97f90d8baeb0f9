//! The embedded CPU codecs: compiled from cargo alone, always there.

mod driver;
mod encode;
mod encode_settings;
mod sps_timing;

pub(crate) use encode::{encode_capability, open_encoder};

use super::{DecodeSink, DecoderBackend};
use crate::capability::DecodeCapability;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};

pub(crate) fn open_decoder(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Box<dyn DecoderBackend>> {
    drop(sink);
    Err(Error::unsupported(format!("{} decoding", config.codec)))
}

pub(crate) fn decode_capability(_codec: Codec) -> Option<DecodeCapability> {
    None
}
