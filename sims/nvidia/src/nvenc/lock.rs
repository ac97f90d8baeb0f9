//! LockBitstream and UnlockBitstream: in strict order, and without holding anything while waiting.

use std::time::{Duration, Instant};

use super::abi::{self, LockBitstream, NvStatus, types};
use super::buffers::OutputState;
use super::coder::Coder;
use super::encode::{Coded, Finished, Held, checksum};
use super::replay::{self, Mark};
use super::rules;
use super::session::{Running, Session, State};
use super::versions::{self, Struct};
use crate::codec::encoder::PictureKind;
use crate::core::clock::wait_until;
use crate::core::{Call, fault};
use crate::policy;

/// `nvEncLockBitstream`.
///
/// # Safety
/// `params` is null or points to what the API says.
pub(super) unsafe fn lock(
    call: &Call,
    session: &Session,
    params: *mut LockBitstream,
) -> Result<(), NvStatus> {
    // SAFETY: the caller vouches for it.
    let mut p = unsafe { abi::read::<LockBitstream>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::LockBitstream, p.version)?;
    let no_wait = p.bits & 1 != 0;
    let number = begin(call, &mut session.state(), p.output)?;
    if no_wait {
        call.breach(&rules::DO_NOT_WAIT, "doNotWait is set");
    }
    let outcome = wait(session, number, no_wait);
    let mut guard = session.state();
    let state = &mut *guard;
    if let Err(status) = outcome {
        if status == NvStatus::LOCK_BUSY {
            state.figures.busy += 1;
        }
        if let Some(output) = state.outputs.get_mut(&p.output) {
            output.state = OutputState::Pending(number);
        }
        return Err(status);
    }
    let running = state.running.as_mut().ok_or(NvStatus::INVALID_ENCODERDEVICE)?;
    let mut coded = running.coded.remove(&number).ok_or(NvStatus::GENERIC)?;
    running.submitted.pop_front();
    running.next_lock = number + 1;
    // The client gets back the input of the picture it sees, and that of the picture that was submitted with this
    // output: see `policy::INPUT_FREE_WITH_ITS_OUTPUT`.
    let paired = running
        .coded
        .values_mut()
        .find(|other| policy::INPUT_FREE_WITH_ITS_OUTPUT && other.held.submission == number);
    let mut freed = Vec::new();
    for held in [Some(&mut coded.held), paired.map(|coded| &mut coded.held)].into_iter().flatten() {
        if !std::mem::replace(&mut held.released, true) {
            check_input(call, held);
            freed.push(held.input);
        }
    }
    for input in freed {
        state.release_input(input);
    }
    let finished = coded.finished.as_ref().and_then(Option::as_ref);
    if let Some(running) = state.running.as_mut() {
        record(running, &coded, finished);
    }
    let Some(finished) = finished else {
        if let Some(output) = state.outputs.get_mut(&p.output) {
            output.state = OutputState::Free;
        }
        return Err(NvStatus::GENERIC);
    };
    if let Some(output) = state.outputs.get_mut(&p.output) {
        output.state = OutputState::Locked(finished.data.clone());
    }
    state.figures.pictures_out += 1;
    state.figures.bytes += finished.data.len() as u64;

    let spec = &coded.held.spec;
    p.frame_idx = coded.held.display_index as u32;
    p.hw_status = 0;
    p.slices = spec.slices;
    p.size = u32::try_from(finished.data.len()).unwrap_or(u32::MAX);
    p.timestamp = coded.held.timestamp;
    p.duration = coded.held.duration;
    p.data = finished.data.as_ptr() as usize;
    p.pic_type = match coded.kind {
        PictureKind::Idr => types::IDR,
        PictureKind::I => types::I,
        PictureKind::P => types::P,
        PictureKind::B => types::B,
    };
    p.pic_struct = 1;
    p.average_qp = finished.qp;
    (p.satd, p.ltr_index, p.ltr_bitmap, p.temporal_id) = (0, 0, 0, 0);
    // SAFETY: as above.
    unsafe { abi::write(params.cast(), p) };
    if p.bits & 4 != 0 {
        let blocks = spec.width.div_ceil(16) * spec.height.div_ceil(16);
        // Every block counts as what its picture is: the software encoders do not say more.
        let intra = matches!(coded.kind, PictureKind::Idr | PictureKind::I);
        let counts = if intra { [blocks, 0] } else { [0, blocks] };
        // SAFETY: the two counters lie inside the structure of this API.
        unsafe { params.byte_add(session.api.mb_counts_offset()).cast::<[u32; 2]>().write_unaligned(counts) };
    }
    Ok(())
}

/// Adds a picture that is handed out to the recording, where there is one. After a picture that failed, or that was damaged
/// on purpose, nothing is worth keeping.
fn record(running: &mut Running, coded: &Coded, finished: Option<&Finished>) {
    let Some(recording) = &mut running.recording else { return };
    let mark = Mark::of(&coded.held, coded.kind, coded.parameter_sets);
    let good = finished.filter(|_| !coded.held.corrupt);
    if good.is_some_and(|finished| recording.push(mark, finished)) {
        if running.eos {
            replay::keep(running);
        }
    } else {
        running.recording = None;
    }
}

/// Checks whether this output may be locked now; answers its number and takes it.
fn begin(call: &Call, state: &mut State, handle: usize) -> Result<u64, NvStatus> {
    state.running(call)?;
    let Some(output) = state.outputs.get_mut(&handle) else {
        call.breach(&rules::DEAD_BUFFER, format!("{handle:#x} is no bitstream buffer"));
        return Err(NvStatus(policy::NVENC_BAD_HANDLE));
    };
    let number = match output.state {
        OutputState::Pending(number) => number,
        OutputState::Free => {
            call.breach(&rules::LOCK_NOT_SUBMITTED, format!("{handle:#x} belongs to no picture"));
            return Err(NvStatus(policy::LOCK_REFUSED));
        }
        OutputState::Waiting | OutputState::Locked(_) => {
            call.breach(&rules::DOUBLE_LOCK, format!("{handle:#x} is locked already"));
            return Err(NvStatus(policy::NVENC_WRONG_STATE));
        }
    };
    let running = state.running.as_ref().ok_or(NvStatus::ENCODER_NOT_INITIALIZED)?;
    if number >= running.lockable {
        call.breach(&rules::LOCK_BEFORE_SUCCESS, format!("submission {number} got NEED_MORE_INPUT so far"));
        return Err(NvStatus(policy::LOCK_REFUSED));
    }
    if number != running.next_lock {
        let next = running.next_lock;
        call.breach(&rules::LOCK_ORDER, format!("submission {number} before submission {next}"));
        return Err(NvStatus(policy::LOCK_REFUSED));
    }
    output.state = OutputState::Waiting;
    Ok(number)
}

fn wait(session: &Session, number: u64, no_wait: bool) -> Result<(), NvStatus> {
    const GLANCE: Duration = Duration::from_millis(20);
    let mut state = session.state();
    loop {
        if fault::device_lost() {
            return Err(NvStatus::DEVICE_NOT_EXIST);
        }
        // A destroyed session has nothing left to wait for.
        let running = state.running.as_ref().ok_or(NvStatus::INVALID_ENCODERDEVICE)?;
        match running.coded.get(&number) {
            Some(coded) if coded.finished.is_some() => {
                let (now, ready_at) = (Instant::now(), coded.ready_at);
                if now >= ready_at {
                    return Ok(());
                }
                if no_wait {
                    return Err(NvStatus::LOCK_BUSY);
                }
                drop(state);
                wait_until(ready_at.min(now + GLANCE));
                state = session.state();
            }
            coded => {
                if no_wait {
                    return Err(NvStatus::LOCK_BUSY);
                }
                if coded.is_some() && matches!(&running.coder, Coder::Soft(worker) if worker.dead()) {
                    return Err(NvStatus::GENERIC);
                }
                state = session.wait(state);
            }
        }
    }
}

/// The client must not have touched the input.
pub(super) fn check_input(call: &Call, held: &Held) {
    match checksum(&held.source, &held.layout, &held.spec, held.display_index) {
        Some(sum) if sum == held.checksum => {}
        Some(_) => {
            let detail =
                format!("the picture with timestamp {} changed in {:#x}", held.timestamp, held.input);
            call.breach(&rules::INPUT_WRITTEN, detail);
        }
        None => call.breach(&rules::FREED_INPUT, format!("the memory of {:#x} is gone", held.input)),
    }
}

/// `nvEncUnlockBitstream`.
pub(super) fn unlock(call: &Call, session: &Session, handle: usize) -> Result<(), NvStatus> {
    let mut state = session.state();
    let Some(output) = state.outputs.get_mut(&handle) else {
        call.breach(&rules::DEAD_BUFFER, format!("{handle:#x} is no bitstream buffer"));
        return Err(NvStatus(policy::NVENC_BAD_HANDLE));
    };
    if !matches!(output.state, OutputState::Locked(_)) {
        call.breach(&rules::UNLOCK_NOT_LOCKED, format!("{handle:#x} is not locked"));
        return Err(NvStatus(policy::NVENC_WRONG_STATE));
    }
    output.state = OutputState::Free;
    Ok(())
}
