//! `cuvidGetDecodeStatus`: what became of the picture decoded last into a surface.

use super::abi::codec;
use super::decoder::Decoder;
use super::rules;
use crate::core::Call;
use crate::cuda::abi::CuResult;

/// One of `abi::decode_status`. Only some codecs report one.
pub(super) fn status(call: &Call, decoder: &Decoder, index: i32) -> Result<u32, CuResult> {
    if !matches!(decoder.api_codec, codec::H264 | codec::HEVC | codec::JPEG) {
        return Err(CuResult::ERROR_NOT_SUPPORTED);
    }
    let state = decoder.state();
    match usize::try_from(index).ok().and_then(|index| state.slots.get(index)) {
        Some(slot) => Ok(slot.status),
        None => {
            call.breach(&rules::STATUS_INDEX, format!("nPicIdx {index} of {}", state.slots.len()));
            Err(CuResult::ERROR_INVALID_VALUE)
        }
    }
}
