//! Mapping: wait for the picture, post-process it on the client's stream, hand out the frame; and the way back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::abi::{CUVIDPROCPARAMS, deinterlace};
use super::caps::HISTOGRAM_BINS;
use super::decoder::{Decoder, FIGURES, Figures};
use super::post::{self, Geometry, Layout};
use super::rules;
use super::surface::{self, Output};
use crate::codec::decoder::Picture;
use crate::core::{Call, clock, config};
use crate::cuda::abi::CuResult;
use crate::cuda::driver;
use crate::policy;

/// A mapped frame as the client gets it.
pub(super) struct Frame {
    pub(super) address: u64,
    pub(super) pitch: u32,
    pub(super) histogram: u64,
}

/// Unmapped frames are filled with this, so that a client that goes on reading one is seen to.
const WIPED: u8 = 0xDD;

/// Which of the two fields a frame shows; none: both.
fn field(decoder: &Decoder, params: &CUVIDPROCPARAMS) -> Option<bool> {
    let both = decoder.deinterlace == deinterlace::WEAVE || params.progressive_frame != 0;
    // The first field is the top one when the picture says top field first.
    (!both).then_some((params.top_field_first != 0) != (params.second_field != 0))
}

/// Maps the picture of decode surface `index`.
pub(super) fn map(
    call: &Call,
    decoder: &Decoder,
    index: i32,
    params: &CUVIDPROCPARAMS,
) -> Result<Frame, CuResult> {
    let invalid = CuResult::ERROR_INVALID_VALUE;
    if params.raw_input_dptr != 0 || params.raw_output_dptr != 0 {
        call.breach(&rules::RAW_FIELDS, "raw_input_dptr or raw_output_dptr is set");
        return Err(invalid);
    }
    let state = decoder.state();
    let surfaces = state.slots.len();
    let place = usize::try_from(index).ok().filter(|place| *place < surfaces);
    let Some(place) = place else {
        call.breach(&rules::MAP_INDEX, format!("nPicIdx {index} of {surfaces}"));
        return Err(invalid);
    };
    let mut state =
        decoder.wait_until(state, |state| state.slots.get(place).is_none_or(|slot| slot.pending == 0))?;
    // A reconfiguration meanwhile may have left fewer surfaces.
    let Some(slot) = state.slots.get(place) else { return Err(invalid) };
    if !slot.used {
        // The driver maps whatever lies there.
        call.breach(&rules::MAP_NEVER_DECODED, format!("nothing was decoded into surface {place}"));
    }
    if slot.mapped > 0 {
        call.breach(&rules::MAP_TWICE, format!("surface {place} is mapped already"));
        return Err(CuResult(policy::NVDEC_MAPPED_ALREADY));
    }
    let picture = slot.picture.clone();
    let layout = decoder.layout(&state.geometry);
    let geometry = state.geometry;
    let mapped = state.outputs.iter().filter(|output| output.mapped.is_some()).count();
    let free = state.outputs.iter().position(|output| output.mapped.is_none() && output.layout == layout);
    let Some(free) = free.filter(|_| mapped < decoder.max_outputs) else {
        call.breach(&rules::MAP_TOO_MANY, format!("{mapped} frames of {} are mapped", decoder.max_outputs));
        return Err(CuResult(policy::NVDEC_MAP_TOO_MANY));
    };
    let stream = params.output_stream as usize;
    let output = &mut state.outputs[free];
    output.mapped = Some((place, stream));
    let frame = Frame { address: output.address, pitch: layout.pitch as u32, histogram: output.histogram() };
    let order = output.order.clone();
    let slot = &mut state.slots[place];
    slot.mapped += 1;
    slot.was_mapped = true;
    drop(state);
    let field = field(decoder, params);
    let (address, histogram) = (frame.address, decoder.histogram.then_some(frame.histogram));
    let work = move || fill(picture, field, &geometry, &layout, address, histogram);
    let held = decoder.hold_lock(call)?;
    let outcome = if stream == 0 && driver::current_context().is_none() {
        // A client that relies on the context lock has no default stream here.
        surface::run(&order, work);
        Ok(())
    } else {
        surface::enqueue(&order, stream, work)
    };
    drop(held);
    if let Err(error) = outcome {
        call.breach(&rules::MAP_STREAM, format!("output_stream {:?}: {error:?}", params.output_stream));
        let mut state = decoder.state();
        release(&mut state, frame.address);
        return Err(error);
    }
    Figures::count(&FIGURES.mapped);
    Ok(frame)
}

/// The work of a map, on the stream.
fn fill(
    picture: Option<Arc<Picture>>,
    field: Option<bool>,
    geometry: &Geometry,
    layout: &Layout,
    address: u64,
    histogram: Option<u64>,
) {
    let time = &config().time;
    if time.enabled {
        // First the time, then the data: a client that does not wait for the stream sees what was there before.
        clock::wait_until(Instant::now() + Duration::from_nanos(time.launch_ns));
    }
    // The memory is gone when the client destroyed the context.
    if let Ok(memory) = driver::host_view(address, layout.bytes() as u64) {
        // SAFETY: the range is live device memory, and only work in this order writes it while it is mapped.
        let out = unsafe { std::slice::from_raw_parts_mut(memory, layout.bytes()) };
        match (&picture, field) {
            (Some(picture), None) => post::render(picture, geometry, layout, out),
            (Some(picture), Some(top)) => post::render(&post::one_field(picture, top), geometry, layout, out),
            // Nothing could ever be decoded into the surface.
            (None, _) => out.fill(0),
        }
    }
    if let (Some(address), Some(picture)) = (histogram, &picture)
        && let Ok(memory) = driver::host_view(address, 4 * HISTOGRAM_BINS as u64)
    {
        let bins = post::histogram(picture);
        // SAFETY: the range is live device memory of this size; the source is a local array.
        unsafe { std::ptr::copy_nonoverlapping(bins.as_ptr().cast(), memory, size_of_val(&bins)) };
    }
}

/// Takes a frame back; answers the output surface's part in it: its order, its stream, its layout.
fn release(state: &mut super::decoder::State, address: u64) -> Option<(Arc<surface::Order>, usize, Layout)> {
    let output =
        state.outputs.iter_mut().find(|output| output.address == address && output.mapped.is_some())?;
    let (place, stream) = output.mapped.take()?;
    let found = (output.order.clone(), stream, output.layout);
    if let Some(slot) = state.slots.get_mut(place) {
        slot.mapped = slot.mapped.saturating_sub(1);
    }
    Some(found)
}

/// Unmaps a frame.
pub(super) fn unmap(call: &Call, decoder: &Decoder, address: u64) -> Result<(), CuResult> {
    let mut state = decoder.state();
    let Some((order, stream, layout)) = release(&mut state, address) else {
        call.breach(&rules::UNMAP_NOT_MAPPED, format!("{address:#x} is not a mapped frame"));
        return Err(CuResult(policy::NVDEC_UNMAP_NOT_MAPPED));
    };
    // A frame of the time before a reconfiguration: its memory has served.
    let current = decoder.layout(&state.geometry);
    let old: Vec<Output> = state
        .outputs
        .extract_if(.., |output| output.address == address && output.layout != current)
        .collect();
    drop(state);
    decoder.changed.notify_all();
    if !old.is_empty() {
        drop(old);
        return Ok(());
    }
    // A benchmark measures the client, and the real driver wipes nothing.
    if config().time.enabled || config().canned.decode {
        return Ok(());
    }
    let wipe = move || {
        if let Ok(memory) = driver::host_view(address, layout.bytes() as u64) {
            // SAFETY: the range is live device memory, and work on it comes in order.
            unsafe { std::ptr::write_bytes(memory, WIPED, layout.bytes()) };
        }
    };
    // What the client gave to the frame's stream before is done first; what it gave to others it had to wait for. When
    // the stream is gone, nothing is left to wait for.
    let _ = surface::enqueue(&order, stream, wipe);
    Ok(())
}
