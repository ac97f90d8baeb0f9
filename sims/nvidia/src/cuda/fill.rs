//! Fills of device memory.

use super::abi::{CuResult, DevicePtr, Done, Handle};
use super::memory::Use;
use super::{context, engines, memory, rules, stream_calls};
use crate::core::{Call, clock};

/// A rectangle of equal values.
struct Fill {
    address: u64,
    pitch: u64,
    /// Little endian, `size` bytes of it.
    value: u32,
    size: u64,
    width: u64,
    height: u64,
}

fn run(call: &Call, fill: Fill, stream: Option<Handle>) -> Done {
    const BAD: CuResult = CuResult::ERROR_INVALID_VALUE;
    let context = context::current(call)?;
    let stream = match stream {
        Some(stream) => stream_calls::for_work(call, &context, stream)?,
        None => context.default_stream.clone(),
    };
    if fill.width == 0 || fill.height == 0 {
        return Ok(());
    }
    let row = fill.width.checked_mul(fill.size).ok_or(BAD)?;
    if !fill.address.is_multiple_of(fill.size) || (fill.height > 1 && !fill.pitch.is_multiple_of(fill.size)) {
        return Err(BAD);
    }
    if fill.height > 1 && fill.pitch < row {
        call.breach(&rules::PITCH, format!("rows of {row} bytes with a pitch of {}", fill.pitch));
        return Err(BAD);
    }
    let length =
        (fill.height - 1).checked_mul(fill.pitch).and_then(|rows| rows.checked_add(row)).ok_or(BAD)?;
    let block = memory::device_range(call, fill.address, length)?;
    // As documented: a fill of device memory returns at once, one of host memory does not.
    let waits = block.purpose != Use::Device;
    let device = context.device;
    let writes = [(fill.address, length)];
    let work = Box::new(move || {
        let done = engines::copy(device, false, true, row * fill.height, std::time::Instant::now());
        let value = fill.value.to_le_bytes();
        for y in 0..fill.height {
            let start = (fill.address + y * fill.pitch) as usize as *mut u8;
            // SAFETY: the range was checked against `block`, which is held until here.
            let bytes = unsafe { std::slice::from_raw_parts_mut(start, row as usize) };
            match fill.size {
                1 => bytes.fill(value[0]),
                size => bytes
                    .chunks_exact_mut(size as usize)
                    .for_each(|at| at.copy_from_slice(&value[..at.len()])),
            }
        }
        drop(block);
        if let Some(done) = done {
            clock::wait_until(done);
        }
    });
    if waits { stream.run(&writes, work) } else { stream.issue(Vec::new(), &writes, work).map(|_| ()) }
}

fn flat(address: u64, value: u32, size: u64, count: usize) -> Fill {
    Fill { address, pitch: 0, value, size, width: count as u64, height: 1 }
}

fn rectangle(address: u64, pitch: usize, value: u32, size: u64, width: usize, height: usize) -> Fill {
    Fill { address, pitch: pitch as u64, value, size, width: width as u64, height: height as u64 }
}

pub(super) fn d8(call: &Call, to: DevicePtr, value: u8, count: usize) -> Done {
    run(call, flat(to, value.into(), 1, count), None)
}

pub(super) fn d16(call: &Call, to: DevicePtr, value: u16, count: usize) -> Done {
    run(call, flat(to, value.into(), 2, count), None)
}

pub(super) fn d32(call: &Call, to: DevicePtr, value: u32, count: usize) -> Done {
    run(call, flat(to, value, 4, count), None)
}

pub(super) fn d8_async(call: &Call, to: DevicePtr, value: u8, count: usize, stream: Handle) -> Done {
    run(call, flat(to, value.into(), 1, count), Some(stream))
}

pub(super) fn d16_async(call: &Call, to: DevicePtr, value: u16, count: usize, stream: Handle) -> Done {
    run(call, flat(to, value.into(), 2, count), Some(stream))
}

pub(super) fn d32_async(call: &Call, to: DevicePtr, value: u32, count: usize, stream: Handle) -> Done {
    run(call, flat(to, value, 4, count), Some(stream))
}

pub(super) fn d2d8(call: &Call, to: DevicePtr, pitch: usize, value: u8, width: usize, height: usize) -> Done {
    run(call, rectangle(to, pitch, value.into(), 1, width, height), None)
}

pub(super) fn d2d16(
    call: &Call,
    to: DevicePtr,
    pitch: usize,
    value: u16,
    width: usize,
    height: usize,
) -> Done {
    run(call, rectangle(to, pitch, value.into(), 2, width, height), None)
}

pub(super) fn d2d32(
    call: &Call,
    to: DevicePtr,
    pitch: usize,
    value: u32,
    width: usize,
    height: usize,
) -> Done {
    run(call, rectangle(to, pitch, value, 4, width, height), None)
}

pub(super) fn d2d8_async(
    call: &Call,
    to: DevicePtr,
    pitch: usize,
    value: u8,
    width: usize,
    height: usize,
    stream: Handle,
) -> Done {
    run(call, rectangle(to, pitch, value.into(), 1, width, height), Some(stream))
}

pub(super) fn d2d16_async(
    call: &Call,
    to: DevicePtr,
    pitch: usize,
    value: u16,
    width: usize,
    height: usize,
    stream: Handle,
) -> Done {
    run(call, rectangle(to, pitch, value.into(), 2, width, height), Some(stream))
}

pub(super) fn d2d32_async(
    call: &Call,
    to: DevicePtr,
    pitch: usize,
    value: u32,
    width: usize,
    height: usize,
    stream: Handle,
) -> Done {
    run(call, rectangle(to, pitch, value, 4, width, height), Some(stream))
}
