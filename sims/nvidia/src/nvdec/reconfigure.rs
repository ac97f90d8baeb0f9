//! Reconfiguration: another size within the maximum, without a new decoder.

use std::sync::Arc;

use super::abi::CUVIDRECONFIGUREDECODERINFO;
use super::decoder::{self, Decoder};
use super::rules;
use super::surface::{Output, Slot, decode_surface_bytes};
use crate::core::Call;
use crate::cuda::abi::CuResult;
use crate::cuda::driver;
use crate::policy;

/// Changes sizes, rectangles and the number of decode surfaces from the next picture on. A refusal changes nothing.
pub(super) fn reconfigure(
    call: &Call,
    decoder: &Arc<Decoder>,
    info: &CUVIDRECONFIGUREDECODERINFO,
) -> Result<(), CuResult> {
    let size = (info.ulWidth, info.ulHeight);
    if size.0 == 0 || size.1 == 0 || size.0 > decoder.max.0 || size.1 > decoder.max.1 {
        call.breach(&rules::RECONFIGURE_MAX, format!("{size:?}, maximum {:?}", decoder.max));
        return Err(CuResult(policy::NVDEC_RECONFIGURE_REFUSED));
    }
    if !(1..=policy::NVDEC_MAX_DECODE_SURFACES).contains(&(info.ulNumDecodeSurfaces as std::ffi::c_ulong)) {
        call.breach(&rules::DECODE_SURFACES, format!("ulNumDecodeSurfaces {}", info.ulNumDecodeSurfaces));
        // The driver takes none.
        if info.ulNumDecodeSurfaces != 0 {
            return Err(CuResult::ERROR_INVALID_VALUE);
        }
    }
    let target = (info.ulTargetWidth, info.ulTargetHeight);
    let geometry =
        decoder::geometry(call, decoder.largest, size, info.display_area, target, info.target_rect)?;
    if geometry.width > decoder.target.0 || geometry.height > decoder.target.1 {
        call.breach(&rules::RECONFIGURE_TARGET, format!("{target:?}, at creation {:?}", decoder.target));
    }
    let layout = decoder.layout(&geometry);
    // Pictures of the old size are decoded into the old surfaces first.
    let mut state = decoder.wait_until(decoder.state(), |state| state.queue.is_empty() && !state.busy)?;
    let mapped = state.outputs.iter().filter(|output| output.mapped.is_some()).count();
    if mapped > 0 {
        call.breach(&rules::RECONFIGURE_MAPPED, format!("{mapped} frames are mapped"));
    }
    let surfaces = match info.ulNumDecodeSurfaces {
        0 if policy::NVDEC_RECONFIGURE_NONE_KEEPS => state.slots.len(),
        surfaces => surfaces as usize,
    };
    let mut memory = None;
    if surfaces != state.slots.len() {
        let (width, height) = decoder.max;
        let bytes = decode_surface_bytes(width, height, decoder.chroma, decoder.depth) * surfaces as u64;
        memory = Some(driver::allocate(decoder.context, bytes, "decode surfaces")?);
    }
    let mut fresh = Vec::new();
    if decoder.layout(&state.geometry) != layout {
        for _ in 0..decoder.max_outputs {
            match Output::new(decoder.context, layout) {
                Ok(output) => fresh.push(output),
                Err(error) => {
                    memory.into_iter().for_each(driver::release);
                    return Err(error);
                }
            }
        }
    }
    let mut old = Vec::new();
    if !fresh.is_empty() {
        // Mapped frames stay good until they are unmapped.
        let outputs = std::mem::take(&mut state.outputs);
        let (keep, gone): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| output.mapped.is_some());
        state.outputs = keep;
        state.outputs.extend(fresh);
        old = gone;
    }
    if let Some(memory) = memory {
        driver::release(std::mem::replace(&mut state.memory, memory));
    }
    // Decode surfaces keep what they hold.
    state.slots.resize(surfaces, Slot::default());
    state.size = size;
    state.geometry = geometry;
    drop(state);
    drop(old);
    decoder.changed.notify_all();
    Ok(())
}
