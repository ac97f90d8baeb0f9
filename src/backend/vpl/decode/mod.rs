//! Decoding by oneVPL.
mod unit;
use crate::backend::{DecodeSink, DecoderBackend};
use crate::capability::DecodeCapability;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
pub(crate) fn open_decoder(
    config: &CommonDecodeConfig,
    _sink: DecodeSink,
) -> Result<Box<dyn DecoderBackend>> {
    Err(Error::unsupported(format!("decoding {} by oneVPL", config.codec)))
}
pub(crate) fn decode_capability(_: Option<&str>, _: Codec) -> Result<Option<DecodeCapability>> {
    super::library().map(|()| None)
}
