//! Every decoder behind a session: whatever the bytes, the session goes on or ends, and the ledger adds up.
//!
//! The first byte chooses the codec. H.264 and HEVC follow as a byte stream; units of the other codecs follow
//! each after its length in two bytes, little-endian.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroUsize;

use libfuzzer_sys::fuzz_target;
use video_hw::backend::BackendKind;
use video_hw::bitstream::{AccessUnitAssembler, StreamInfo};
use video_hw::codec::Codec;
use video_hw::config::CommonDecodeConfig;
use video_hw::frame::Frame;
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::session::{DecodeSession, Submit};

/// Every allocation with 16 bytes to spare. The vector code of rusty_h265-accel 0.6.2 reads up to 8 bytes beyond the
/// last row of a plane and throws them away (docs/decode-support.md); without this the fuzzer finds nothing else.
struct Padded;

fn padded(layout: Layout) -> Layout {
    Layout::from_size_align(layout.size() + 16, layout.align()).unwrap_or(layout)
}

// SAFETY: every call goes to the system's allocator with the same enlarged layout.
unsafe impl GlobalAlloc for Padded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, for a larger size.
        unsafe { System.alloc(padded(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(padded(layout)) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: allocated with the same enlarged layout.
        unsafe { System.dealloc(pointer, padded(layout)) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: allocated with the same enlarged layout.
        unsafe { System.realloc(pointer, padded(layout), size + 16) }
    }
}

#[global_allocator]
static ALLOCATOR: Padded = Padded;

/// Larger pictures only cost time; what a header may ask for is limited elsewhere.
const MAX_PIXELS: u64 = 256 * 256;
const MAX_UNITS: usize = 24;

/// libFuzzer's binding aborts on every panic. Here a panic inside a codec library is caught by design; one in
/// this project's own code is a defect, caught or not.
fn abort_on_own_panics() {
    std::panic::set_hook(Box::new(|info| {
        let own =
            info.location().is_none_or(|at| !at.file().contains("registry") && !at.file().contains("rustc"));
        if own {
            eprintln!("{info}");
            std::process::abort();
        }
    }));
}

fn units(codec: Codec, mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    if codec.uses_nal_units() {
        let mut assembler = AccessUnitAssembler::new(codec).unwrap();
        assembler.push(data).unwrap();
        assembler.finish();
        units.extend(std::iter::from_fn(|| assembler.next_unit()).map(|unit| unit.data.to_vec()));
    } else {
        while let Some((size, rest)) = data.split_first_chunk() {
            let (unit, rest) = rest.split_at(usize::from(u16::from_le_bytes(*size)).min(rest.len()));
            units.push(unit.to_vec());
            data = rest;
        }
    }
    let layout = BitstreamLayout::elementary(codec);
    units.retain(|unit| {
        !matches!(StreamInfo::from_unit(codec, layout, unit), Ok(Some(info)) if info.coded_dimensions.pixels() > MAX_PIXELS)
    });
    units.truncate(MAX_UNITS);
    units
}

/// The codecs that the CPU decodes; the first byte of a seed chooses one.
const CODECS: [Codec; 5] = [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Vp9, Codec::Vp8];

/// A frame must be what it says.
fn look_at(frame: &Frame) {
    let host = frame.as_host().unwrap();
    assert_eq!((host.format(), host.dimensions()), (frame.format, frame.dimensions));
    assert_eq!(host.to_packed().len(), frame.format.frame_bytes(frame.dimensions));
}

fuzz_target!(init: abort_on_own_panics(), |input: &[u8]| {
    let Some((&choice, data)) = input.split_first() else { return };
    let codec = CODECS[usize::from(choice) % CODECS.len()];
    let layout = BitstreamLayout::elementary(codec);
    let config = CommonDecodeConfig::new(codec).threads(NonZeroUsize::new(1));
    let mut session = DecodeSession::new(BackendKind::Software, config).unwrap();
    let mut alive = true;
    'units: for unit in units(codec, data) {
        let mut packet = Packet::new(codec, layout, unit);
        while alive {
            match session.submit(packet) {
                Ok(Submit::Accepted) => continue 'units,
                Ok(Submit::Full(back)) => {
                    packet = back;
                    match session.reap_timeout(std::time::Duration::from_millis(5)) {
                        Ok(frame) => frame.iter().for_each(look_at),
                        Err(error) => alive = error.is_recoverable(),
                    }
                }
                Err(_) => {
                    alive = false;
                    break 'units;
                }
            }
        }
        break;
    }
    // Reaping goes on until the flush is through or the session has ended.
    if let Ok(rest) = session.drain() {
        rest.flatten().for_each(|frame| look_at(&frame));
    }
    let ledger = session.summary().ledger;
    assert!(ledger.balances(), "{ledger:?}");
    assert!(ledger.pending == 0 || !alive, "{ledger:?}");
});
