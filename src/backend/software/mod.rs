//! The embedded CPU codecs: compiled from cargo alone, always there.

use super::{DecodeSink, DecoderBackend, EncodeSink, EncoderBackend};
use crate::capability::{DecodeCapability, EncodeCapability};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig};
use crate::error::{Error, Result};

pub(crate) fn open_decoder(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Box<dyn DecoderBackend>> {
    let _ = sink;
    Err(Error::unsupported(format!("{} decoding", config.codec)))
}

pub(crate) fn open_encoder(
    config: &CommonEncodeConfig,
    backend: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    let _ = (sink, backend);
    Err(Error::unsupported(format!("{} encoding", config.codec)))
}

pub(crate) fn decode_capability(_codec: Codec) -> Option<DecodeCapability> {
    None
}

pub(crate) fn encode_capability(_codec: Codec) -> Option<EncodeCapability> {
    None
}
