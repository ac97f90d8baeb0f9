//! What an encoder puts around a coded picture: parameter sets, the client's SEI messages, IVF headers.

use super::bitstream::units;
use crate::abi::{self, mfxEncodeCtrl, mfxPayload, mfxVideoParam};
use crate::codec::parameter_sets::{Syntax, split_annex_b};
use crate::core::{breach, rules};

/// A message of the client's, with its type and size in front.
#[derive(Debug, Clone)]
pub struct Message {
    /// Behind the picture (HEVC).
    suffix: bool,
    data: Vec<u8>,
}

/// Those that a client gives with a picture.
pub fn messages(control: &mfxEncodeCtrl) -> Vec<Message> {
    let list = control.Payload.cast::<*const mfxPayload>();
    let mut all = Vec::new();
    for at in 0..usize::from(control.NumPayload) {
        if list.is_null() {
            breach(&rules::NULL_POINTER, "payloads");
            break;
        }
        // SAFETY: so many pointers are there, as the client says.
        let payload = unsafe { *list.add(at) };
        // SAFETY: null, or a payload of the client's.
        let Some(payload) = (unsafe { payload.as_ref() }) else { continue };
        let bytes = payload.NumBit.div_ceil(8) as usize;
        if payload.Data.is_null() || bytes > usize::from(payload.BufSize) {
            breach(&rules::PAYLOAD, format!("{} bits in {} bytes", payload.NumBit, payload.BufSize));
            continue;
        }
        // SAFETY: so many bytes, as the client says.
        let data = unsafe { std::slice::from_raw_parts(payload.Data, bytes) }.to_vec();
        all.push(Message { suffix: payload.CtrlFlags & abi::PAYLOAD_CTRL_SUFFIX != 0, data });
    }
    all
}

/// A message as a unit, with its start code.
fn unit(syntax: Syntax, message: &Message) -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 1];
    match (syntax, message.suffix) {
        (Syntax::H264, _) => unit.push(6),
        (Syntax::Hevc, false) => unit.extend([39 << 1, 1]),
        (Syntax::Hevc, true) => unit.extend([40 << 1, 1]),
    }
    let mut zeros = 0;
    for &byte in message.data.iter().chain(&[0x80]) {
        if zeros >= 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
    unit
}

/// A picture's units with parameter sets behind a delimiter, where they are wanted, and messages in front of its first slice.
pub fn annex_b(syntax: Syntax, picture: &[u8], sets: Option<&[u8]>, messages: &[Message]) -> Vec<u8> {
    if sets.is_none() && messages.is_empty() {
        return picture.to_vec();
    }
    let all = units(picture);
    let delimiter = if syntax == Syntax::H264 { 9 } else { 35 };
    let begins = match all.as_slice() {
        [(_, first), (at, _), ..] if syntax.kind(first) == delimiter => *at,
        _ => 0,
    };
    let slice = |unit: &[u8]| match syntax {
        Syntax::H264 => matches!(syntax.kind(unit), 1..=5),
        Syntax::Hevc => syntax.kind(unit) < 32,
    };
    let slices = all.iter().find(|(_, unit)| slice(unit)).map_or(begins, |(at, _)| *at).max(begins);
    let mut data = picture[..begins].to_vec();
    for unit in split_annex_b(sets.unwrap_or_default()).into_iter().filter(|unit| syntax.is_set(unit)) {
        data.extend([0, 0, 0, 1]);
        data.extend_from_slice(unit);
    }
    data.extend_from_slice(&picture[begins..slices]);
    for message in messages.iter().filter(|message| !message.suffix) {
        data.extend(unit(syntax, message));
    }
    data.extend_from_slice(&picture[slices..]);
    for message in messages.iter().filter(|message| message.suffix) {
        data.extend(unit(syntax, message));
    }
    data
}

/// A picture behind the header of an IVF frame, and the first one behind that of a file, which counts no frames.
pub fn ivf(parameters: &mfxVideoParam, number: u32, picture: &[u8]) -> Vec<u8> {
    let info = &parameters.mfx().FrameInfo;
    let mut data = Vec::with_capacity(picture.len() + 44);
    if number == 0 {
        data.extend(b"DKIF\0\0\x20\0");
        data.extend(if parameters.mfx().CodecId == abi::CODEC_VP9 { b"VP90" } else { b"AV01" });
        data.extend(info.CropW.to_le_bytes());
        data.extend(info.CropH.to_le_bytes());
        data.extend(info.FrameRateExtN.to_le_bytes());
        data.extend(info.FrameRateExtD.to_le_bytes());
        data.extend([0; 8]);
    }
    data.extend((picture.len() as u32).to_le_bytes());
    data.extend(u64::from(number).to_le_bytes());
    data.extend_from_slice(picture);
    data
}
