//! Random and mutated streams: no panic, no hang, and no callback that contradicts itself.

use std::ffi::{c_int, c_void};

use crate::nvdec::abi::{
    CUVIDEOFORMAT, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS, CUVIDPICPARAMS, Zeroed, codec, packet_flags,
};
use crate::policy;

use super::machine::Machine;

/// A small generator, so that a failure repeats itself.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

unsafe extern "C" fn sequence(_: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    // SAFETY: the parser passes a format that lives through the call.
    let format = unsafe { &*format };
    // A VP9 stream may begin in the middle, and its size is then not known.
    if format.codec != codec::VP9 {
        assert!(format.coded_width > 0 && format.coded_height > 0);
        assert!(format.display_area.right > format.display_area.left);
    }
    assert!(u32::from(format.min_num_decode_surfaces) <= policy::PARSER_MAX_SURFACES);
    c_int::from(format.min_num_decode_surfaces).max(1)
}

unsafe extern "C" fn decode(decodes: *mut c_void, params: *mut CUVIDPICPARAMS) -> c_int {
    // SAFETY: the parser passes parameters, data and offsets that live through the call, and the counter is the
    // test's.
    let (params, decodes) = unsafe { (&*params, &mut *decodes.cast::<u64>()) };
    *decodes += 1;
    assert!(params.CurrPicIdx >= 0 && (params.CurrPicIdx as u32) < policy::PARSER_MAX_SURFACES);
    // SAFETY: as above.
    let offsets = unsafe { std::slice::from_raw_parts(params.pSliceDataOffsets, params.nNumSlices as usize) };
    assert!(!offsets.is_empty());
    assert!(offsets.iter().all(|&offset| offset < params.nBitstreamDataLen));
    1
}

unsafe extern "C" fn display(_: *mut c_void, _: *mut CUVIDPARSERDISPINFO) -> c_int {
    1
}

/// Feeds `data` in random chunks with random flags; the number of decode callbacks.
fn feed(codec: u32, data: &[u8], random: &mut Random) -> u64 {
    let mut decodes = 0u64;
    let mut parameters = CUVIDPARSERPARAMS::zeroed();
    parameters.CodecType = codec;
    parameters.ulMaxNumDecodeSurfaces = 1 + random.below(20) as u32;
    parameters.ulMaxDisplayDelay = random.below(5) as u32;
    parameters.pUserData = (&raw mut decodes).cast();
    parameters.pfnSequenceCallback = Some(sequence);
    parameters.pfnDecodePicture = Some(decode);
    parameters.pfnDisplayPicture = Some(display);
    let whole =
        matches!(codec, codec::JPEG | codec::VP8 | codec::VP9 | codec::AV1 | codec::MPEG4 | codec::VC1);
    let mut machine = Machine::new(&parameters, &data[..data.len().min(random.below(64))]).unwrap();
    let mut rest = data;
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(1 + random.below(rest.len().min(4096)));
        rest = if whole { &[] } else { more };
        let flags = match random.below(12) {
            0 => packet_flags::ENDOFPICTURE,
            1 => packet_flags::DISCONTINUITY,
            2 => packet_flags::ENDOFSTREAM,
            3 => packet_flags::TIMESTAMP,
            _ => 0,
        };
        // Codecs without start codes get their frames whole, as a container gives them.
        let chunk = if whole { data } else { chunk };
        machine.packet(flags, chunk, random.next() as i64).unwrap();
    }
    machine.packet(packet_flags::ENDOFSTREAM | packet_flags::NOTIFY_EOS, &[], 0).unwrap();
    decodes
}

#[test]
fn random_bytes() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds() as u32 {
        let mut data: Vec<u8> = (0..random.below(2000)).map(|_| random.next() as u8).collect();
        // Start codes and plausible headers, or nothing is ever looked at.
        for _ in 0..random.below(40) {
            let at = random.below(data.len());
            let kinds = [
                0x67, 0x68, 0x65, 0x41, 0x06, 0x40, 0x42, 0x44, 0x26, 0x02, 0xb3, 0xb5, 0x00, 0x01, 0xb6,
                0x20, 0x0f, 0x0d,
            ];
            let code = [0, 0, 1, kinds[random.below(kinds.len())], 1];
            for (to, from) in data[at..].iter_mut().zip(code) {
                *to = from;
            }
        }
        feed(round % 12, &data, &mut random);
    }
}

/// How often: more with `NVSIM_HOSTILE_ROUNDS`.
fn rounds() -> usize {
    std::env::var("NVSIM_HOSTILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300)
}

/// Sequence and picture parameter sets with slices, as x264 and x265 wrote them for a picture of 64x64.
const H264: &[u8] = include_bytes!("seeds/h264.bin");
const HEVC: &[u8] = include_bytes!("seeds/hevc.bin");
const MPEG2: &[u8] = include_bytes!("seeds/mpeg2.bin");
/// Key frames.
const VP8: &[u8] = include_bytes!("seeds/vp8.bin");
const VP9: &[u8] = include_bytes!("seeds/vp9.bin");
const AV1: &[u8] = include_bytes!("seeds/av1.bin");
const MPEG4: &[u8] = include_bytes!("seeds/mpeg4.bin");
const JPEG: &[u8] = include_bytes!("seeds/jpeg.bin");

fn mutate(codec: u32, seed: &[u8], start: u64) {
    let mut random = Random(start);
    assert!(feed(codec, seed, &mut Random(1)) > 0);
    let mut decoded = 0;
    for _ in 0..rounds() {
        let mut data = seed.to_vec();
        for _ in 0..1 + random.below(12) {
            let at = random.below(data.len());
            match random.below(4) {
                0 => data[at] ^= 1 << random.below(8),
                1 => data[at] = random.next() as u8,
                2 => {
                    data.remove(at);
                }
                _ => data.insert(at, random.next() as u8),
            }
        }
        decoded += feed(codec, &data, &mut random);
    }
    // Most of the mutants must get past the headers, or the test proves nothing.
    assert!(decoded > rounds() as u64 / 10, "{decoded}");
}

#[test]
fn mutated_h264() {
    mutate(codec::H264, H264, 3);
}

#[test]
fn mutated_hevc() {
    mutate(codec::HEVC, HEVC, 5);
}

#[test]
fn mutated_mpeg2() {
    mutate(codec::MPEG2, MPEG2, 7);
}

#[test]
fn mutated_key_frames() {
    for (codec, seed) in
        [(codec::VP8, VP8), (codec::VP9, VP9), (codec::AV1, AV1), (codec::MPEG4, MPEG4), (codec::JPEG, JPEG)]
    {
        mutate(codec, seed, 11);
    }
}
