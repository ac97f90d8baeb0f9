//! Decoders: making, finding and ending them, and the way of a picture from the client into the queue.

use std::collections::VecDeque;
use std::ffi::{c_ulong, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::abi::{CUVIDDECODECREATEINFO, CUVIDPICPARAMS, ShortRect, codec, decode_status, deinterlace};
use super::lock::{self, Held};
use super::post::{Geometry, Layout, Rect};
use super::surface::{Output, Slot, decode_surface_bytes};
use super::table::{Missing, Table};
use super::worker::{self, Job};
use super::{caps, rules, sets, side};
use crate::codec::decoder::DecoderCodec;
use crate::core::{Call, Status, clock, config, fault};
use crate::cuda::abi::CuResult;
use crate::cuda::driver::{self, ContextId};
use crate::policy;

/// One decoder.
pub(super) struct Decoder {
    pub(super) context: ContextId,
    pub(super) device: usize,
    pub(super) codec: DecoderCodec,
    /// As the API numbers it.
    pub(super) api_codec: u32,
    pub(super) chroma: u32,
    pub(super) depth: u32,
    pub(super) output_format: u32,
    pub(super) deinterlace: u32,
    pub(super) max: (u32, u32),
    /// The codec's largest picture.
    pub(super) largest: (u32, u32),
    /// Size of the mapped frames at creation.
    pub(super) target: (u32, u32),
    pub(super) max_outputs: usize,
    pub(super) histogram: bool,
    /// Handle of the client's context lock, or 0.
    lock: usize,
    state: Mutex<State>,
    pub(super) changed: Condvar,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// What changes.
pub(super) struct State {
    pub(super) size: (u32, u32),
    pub(super) geometry: Geometry,
    pub(super) slots: Vec<Slot>,
    pub(super) outputs: Vec<Output>,
    pub(super) queue: VecDeque<Job>,
    /// The worker is decoding.
    pub(super) busy: bool,
    pub(super) closing: bool,
    /// Device memory that stands for the decode surfaces.
    pub(super) memory: u64,
    /// The software decoder can know the parameter sets.
    has_sets: bool,
}

/// Figures for the report.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) decoders: AtomicU64,
    pub(super) decoded: AtomicU64,
    pub(super) mapped: AtomicU64,
    pub(super) never_mapped: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) undecodable: AtomicU64,
}

pub(super) static FIGURES: Figures = Figures {
    decoders: AtomicU64::new(0),
    decoded: AtomicU64::new(0),
    mapped: AtomicU64::new(0),
    never_mapped: AtomicU64::new(0),
    damaged: AtomicU64::new(0),
    undecodable: AtomicU64::new(0),
};

impl Figures {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) static DECODERS: Table<Decoder> = Table::new(0x6e76_6400_0000);

/// The decoder of a handle.
pub(super) fn find(call: &Call, handle: *mut c_void) -> Result<Arc<Decoder>, CuResult> {
    let decoder = DECODERS.get(handle).map_err(|missing| {
        let rule = if missing == Missing::Dead { &rules::DEAD_DECODER } else { &rules::FOREIGN_DECODER };
        call.breach(rule, format!("{handle:?}"));
        CuResult::ERROR_INVALID_HANDLE
    })?;
    if !driver::context_alive(decoder.context) {
        call.breach(&rules::CONTEXT_GONE, "the decoder's context was destroyed");
        return Err(CuResult::ERROR_CONTEXT_IS_DESTROYED);
    }
    Ok(decoder)
}

/// The decoder of a handle, for a call that needs its context current: mapping. Decoding, unmapping, asking for the
/// status and destroying work without one (measured on 580.159; NVIDIA's own Python client unmaps so).
pub(super) fn find_current(call: &Call, handle: *mut c_void) -> Result<Arc<Decoder>, CuResult> {
    let decoder = find(call, handle)?;
    // With a context lock the library makes the context current itself.
    if decoder.lock == 0 && driver::current_context() != Some(decoder.context) {
        call.breach(&rules::CONTEXT, "the decoder's context is not current to this thread");
        return Err(CuResult::ERROR_INVALID_CONTEXT);
    }
    Ok(decoder)
}

impl fault::Waiting for Decoder {
    fn wake(&self) {
        drop(self.state());
        self.changed.notify_all();
    }
}

impl Decoder {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The state if it is free, for the report at exit.
    pub(super) fn try_state(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    /// Waits until `done` holds. The loss of the device ends the wait, and so does the end of the decoder, whose pictures
    /// are dropped.
    pub(super) fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        mut done: impl FnMut(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>, CuResult> {
        loop {
            // First: the loss also ends what was waited for.
            if fault::device_lost() {
                return Err(CuResult::DEVICE_LOST);
            }
            if state.closing {
                return Err(CuResult::ERROR_INVALID_HANDLE);
            }
            if done(&state) {
                return Ok(state);
            }
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Takes the client's context lock, if the decoder was made with one.
    pub(super) fn hold_lock(&self, call: &Call) -> Result<Option<Held>, CuResult> {
        if self.lock == 0 {
            return Ok(None);
        }
        Held::new(lock::find(call, self.lock as *mut c_void)?).map(Some)
    }

    /// How frames of this geometry lie in memory.
    pub(super) fn layout(&self, geometry: &Geometry) -> Layout {
        Layout::new(self.output_format, geometry.width, geometry.height)
    }
}

/// The part of a rectangle that lies inside the picture; all of the picture when there is none.
fn clipped(rect: ShortRect, (width, height): (u32, u32)) -> Rect {
    let clip = |from: i16, to: i16, size: u32| {
        let (from, to) = (u32::try_from(from).unwrap_or(0), u32::try_from(to).unwrap_or(0).min(size));
        if from < to { (from, to) } else { (0, size) }
    };
    let (left, right) = clip(rect.left, rect.right, width);
    let (top, bottom) = clip(rect.top, rect.bottom, height);
    Rect { left, top, right, bottom }
}

/// Checks sizes and rectangles, which making and reconfiguring a decoder have in common. `largest` is the largest
/// picture of the codec, and the largest target.
pub(super) fn geometry(
    call: &Call,
    largest: (u32, u32),
    size: (u32, u32),
    display: ShortRect,
    target_size: (u32, u32),
    target: ShortRect,
) -> Result<Geometry, CuResult> {
    let inside = |name: &str, rect: ShortRect, (width, height): (u32, u32)| {
        if rect == ShortRect::default() {
            return Some(Rect { left: 0, top: 0, right: width, bottom: height });
        }
        let edge = |value: i16| u32::try_from(value).ok();
        let rect_in = |rect: ShortRect| {
            let rect = Rect {
                left: edge(rect.left)?,
                top: edge(rect.top)?,
                right: edge(rect.right)?,
                bottom: edge(rect.bottom)?,
            };
            (rect.left < rect.right && rect.top < rect.bottom && rect.right <= width && rect.bottom <= height)
                .then_some(rect)
        };
        let found = rect_in(rect);
        if found.is_none() {
            call.breach(&rules::RECTANGLE, format!("{name} {rect:?} in {width}x{height}"));
        }
        found
    };
    let (width, height) = target_size;
    if width == 0 || height == 0 {
        call.breach(&rules::TARGET_SIZE, format!("{width}x{height}"));
        return Err(CuResult(policy::NVDEC_TARGET_EMPTY));
    }
    if width > largest.0 || height > largest.1 {
        call.breach(&rules::TARGET_TOO_LARGE, format!("{width}x{height}, largest {largest:?}"));
        return Err(CuResult(policy::NVDEC_TARGET_TOO_LARGE));
    }
    if width % 2 != 0 || height % 2 != 0 {
        // The driver takes it.
        call.breach(&rules::TARGET_SIZE, format!("{width}x{height}"));
    }
    // An odd size counts as the next even one (measured on 580.159).
    let size = (size.0.next_multiple_of(2), size.1.next_multiple_of(2));
    // The driver takes a display area that leaves the picture.
    let source = inside("display_area", display, size).unwrap_or_else(|| clipped(display, size)).beginning();
    let target = inside("target_rect", target, target_size).ok_or(CuResult::ERROR_INVALID_VALUE)?;
    Ok(Geometry { source, target, width, height })
}

/// A number of the client's that must fit into 32 bits.
fn narrow(value: c_ulong) -> u32 {
    value.try_into().unwrap_or(u32::MAX)
}

/// Makes a decoder; answers its handle.
pub(super) fn create(call: &Call, info: &CUVIDDECODECREATEINFO) -> Result<*mut c_void, CuResult> {
    let Some(context) = driver::current_context() else {
        call.breach(&rules::CONTEXT, "no context is current to this thread");
        return Err(CuResult::ERROR_INVALID_CONTEXT);
    };
    let device = driver::device_of(context);
    let size = (narrow(info.ulWidth), narrow(info.ulHeight));
    let depth = narrow(info.bitDepthMinus8).saturating_add(8);
    let max = (narrow(info.ulMaxWidth).max(size.0), narrow(info.ulMaxHeight).max(size.1));
    let refuse = |rule, detail: String, code| {
        call.breach(rule, detail);
        Err(code)
    };
    let invalid = CuResult::ERROR_INVALID_VALUE;
    if !(1..=policy::NVDEC_MAX_DECODE_SURFACES).contains(&info.ulNumDecodeSurfaces) {
        return refuse(
            &rules::DECODE_SURFACES,
            format!("ulNumDecodeSurfaces {}", info.ulNumDecodeSurfaces),
            invalid,
        );
    }
    if !(1..=policy::NVDEC_MAX_OUTPUT_SURFACES).contains(&info.ulNumOutputSurfaces) {
        call.breach(&rules::OUTPUT_SURFACES, format!("ulNumOutputSurfaces {}", info.ulNumOutputSurfaces));
        // The driver takes none, and then there is nothing to map from.
        if info.ulNumOutputSurfaces != 0 {
            return Err(invalid);
        }
    }
    if info.DeinterlaceMode > deinterlace::ADAPTIVE {
        // The driver takes it.
        call.breach(&rules::DEINTERLACE, format!("DeinterlaceMode {}", info.DeinterlaceMode));
    }
    let below = |max: c_ulong, size: c_ulong| max != 0 && max < size;
    if below(info.ulMaxWidth, info.ulWidth) || below(info.ulMaxHeight, info.ulHeight) {
        // The driver takes it; the size is the maximum then.
        let detail = format!("maximum {}x{}, size {size:?}", info.ulMaxWidth, info.ulMaxHeight);
        call.breach(&rules::MAX_SIZE, detail);
    }
    let row = caps::row(device, info.CodecType, info.ChromaFormat, depth);
    let (Some(row), Some((codec, _))) = (row, caps::codec_of(info.CodecType)) else {
        let detail = format!("codec {}, chroma format {}, {depth} bits", info.CodecType, info.ChromaFormat);
        // A number that is no codec at all is an invalid value.
        let known = caps::codec_of(info.CodecType).is_some();
        let code = if known { CuResult(policy::NVDEC_NOT_OFFERED) } else { invalid };
        return refuse(&rules::BEYOND_CAPS, detail, code);
    };
    let blocks = u64::from(max.0 / 16) * u64::from(max.1 / 16);
    let fits = size.0 >= row.min[0] && size.1 >= row.min[1] && max.0 <= row.max[0] && max.1 <= row.max[1];
    if !fits || blocks > u64::from(caps::max_macroblocks(row)) {
        let detail = format!("{size:?} (maximum {max:?}); allowed {:?} to {:?}", row.min, row.max);
        return refuse(&rules::BEYOND_CAPS, detail, CuResult(policy::NVDEC_SIZE_REFUSED));
    }
    let mask = caps::output_mask(info.CodecType, info.ChromaFormat, depth);
    if mask.checked_shr(info.OutputFormat).is_none_or(|mask| mask & 1 == 0) {
        let code = caps::output_refusal(info.CodecType, info.ChromaFormat, info.OutputFormat);
        return refuse(&rules::OUTPUT_FORMAT, format!("{}", info.OutputFormat), code);
    }
    if info.enableHistogram != 0 && !row.histogram {
        return refuse(
            &rules::HISTOGRAM,
            format!("codec {}", info.CodecType),
            CuResult(policy::NVDEC_HISTOGRAM_REFUSED),
        );
    }
    let largest = (row.max[0], row.max[1]);
    let target = (narrow(info.ulTargetWidth), narrow(info.ulTargetHeight));
    let geometry = geometry(call, largest, size, info.display_area, target, info.target_rect)?;
    if !info.vidLock.is_null() {
        lock::find(call, info.vidLock)?;
    }
    let time = &config().time;
    if time.enabled {
        clock::wait_until(Instant::now() + Duration::from_nanos(time.open_session_ns));
    }
    let chroma = caps::chroma_of(info.ChromaFormat).unwrap_or(420);
    let surfaces = info.ulNumDecodeSurfaces as usize;
    let bytes = decode_surface_bytes(max.0, max.1, chroma, depth) * surfaces as u64;
    let layout = Layout::new(info.OutputFormat, geometry.width, geometry.height);
    let outputs: Vec<Output> =
        (0..info.ulNumOutputSurfaces).map(|_| Output::new(context, layout)).collect::<Result<_, _>>()?;
    let memory = driver::allocate(context, bytes, "decode surfaces")?;
    let decoder = Arc::new(Decoder {
        context,
        device,
        codec,
        api_codec: info.CodecType,
        chroma,
        depth,
        output_format: info.OutputFormat,
        deinterlace: info.DeinterlaceMode,
        max,
        largest,
        target,
        max_outputs: info.ulNumOutputSurfaces as usize,
        histogram: info.enableHistogram != 0,
        lock: info.vidLock as usize,
        state: Mutex::new(State {
            size,
            geometry,
            slots: vec![Slot::default(); surfaces],
            outputs,
            queue: VecDeque::new(),
            busy: false,
            closing: false,
            memory,
            has_sets: false,
        }),
        changed: Condvar::new(),
        worker: Mutex::new(None),
    });
    let waiting: Weak<Decoder> = Arc::downgrade(&decoder);
    fault::wake_on_loss(waiting);
    match worker::start(decoder.clone()) {
        Ok(worker) => *decoder.worker.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(worker),
        Err(error) => {
            driver::release(memory);
            return Err(error);
        }
    }
    Figures::count(&FIGURES.decoders);
    Ok(DECODERS.insert(decoder))
}

/// Ends a decoder. Pictures that wait in its queue are dropped; the one being decoded is finished first.
pub(super) fn destroy(call: &Call, handle: *mut c_void) -> Result<(), CuResult> {
    let decoder = DECODERS.remove(handle).map_err(|missing| {
        let rule = if missing == Missing::Dead { &rules::DOUBLE_DESTROY } else { &rules::FOREIGN_DECODER };
        call.breach(rule, format!("{handle:?}"));
        CuResult::ERROR_INVALID_HANDLE
    })?;
    if !driver::context_alive(decoder.context) {
        call.breach(&rules::CONTEXT_GONE, "the decoder's context was destroyed before it");
    }
    decoder.state().closing = true;
    decoder.changed.notify_all();
    let worker = decoder.worker.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    if let Some(worker) = worker {
        let _ = worker.join();
    }
    let (outputs, memory) = {
        let mut state = decoder.state();
        let mapped = state.outputs.iter().filter(|output| output.mapped.is_some()).count();
        if mapped > 0 {
            call.breach(&rules::DESTROY_MAPPED, format!("{mapped} frames are mapped"));
        }
        let unseen = state.slots.iter().filter(|slot| slot.used && !slot.was_mapped).count();
        FIGURES.never_mapped.fetch_add(unseen as u64, Ordering::Relaxed);
        state.slots.iter_mut().for_each(|slot| slot.picture = None);
        (std::mem::take(&mut state.outputs), std::mem::take(&mut state.memory))
    };
    // Without the lock: they wait for work on streams.
    drop(outputs);
    driver::release(memory);
    Ok(())
}

/// Whether H.264 or HEVC data holds a sequence parameter set itself.
fn has_sequence_set(codec: DecoderCodec, data: &[u8]) -> bool {
    data.windows(4).any(|bytes| {
        bytes[..3] == [0, 0, 1]
            && match codec {
                DecoderCodec::Hevc => bytes[3] >> 1 & 0x3f == 33,
                _ => bytes[3] & 0x1f == 7,
            }
    })
}

/// The parameter sets of a picture that came without any, from its parameters. HEVC's do not hold the reference picture
/// sets that slices refer to by number, so only H.264's are rebuilt.
fn rebuild(decoder: &Decoder, params: &CUVIDPICPARAMS, data: &[u8], size: (u32, u32)) -> Option<Vec<u8>> {
    if decoder.codec != DecoderCodec::H264 {
        return None;
    }
    // SAFETY: every member of the union is made of numbers, for which any bytes are valid.
    let picture = unsafe { &params.CodecSpecific.h264 };
    sets::h264(picture, params, data, decoder.chroma, size)
}

/// Takes a picture into the queue; waits while the queue is full.
pub(super) fn decode(call: &Call, decoder: &Decoder, params: &CUVIDPICPARAMS) -> Result<(), CuResult> {
    let invalid = CuResult::ERROR_INVALID_VALUE;
    let mut sets = side::take(params.pBitstreamData).filter(|sets| !sets.is_empty());
    if params.pBitstreamData.is_null() || params.nBitstreamDataLen == 0 {
        call.breach(&rules::NO_BITSTREAM, format!("{} bytes", params.nBitstreamDataLen));
        return Err(invalid);
    }
    let length = params.nBitstreamDataLen as usize;
    if params.nNumSlices as usize > length {
        call.breach(&rules::SLICE_OFFSETS, format!("{} slices in {length} bytes", params.nNumSlices));
        return Err(invalid);
    }
    if !params.pSliceDataOffsets.is_null() {
        for slice in 0..params.nNumSlices as usize {
            // SAFETY: the client gives `nNumSlices` offsets.
            let offset = unsafe { params.pSliceDataOffsets.add(slice).read_unaligned() } as usize;
            if offset >= length {
                call.breach(&rules::SLICE_OFFSETS, format!("slice {slice} at {offset} of {length} bytes"));
                return Err(invalid);
            }
        }
    }
    // SAFETY: the client gives this many bytes; they are copied before the call returns.
    let mut data = unsafe { std::slice::from_raw_parts(params.pBitstreamData, length) }.to_vec();
    if call.corrupt() {
        let from = length / 2;
        data[from..].iter_mut().for_each(|byte| *byte ^= 0xa5);
    }
    // The library takes the context lock for its own work, not while it waits for the queue.
    drop(decoder.hold_lock(call)?);
    let mut state = decoder.state();
    let index = usize::try_from(params.CurrPicIdx).unwrap_or(usize::MAX);
    if index >= state.slots.len() {
        call.breach(
            &rules::PICTURE_INDEX,
            format!("CurrPicIdx {} of {}", params.CurrPicIdx, state.slots.len()),
        );
        return Err(invalid);
    }
    let blocks = |samples: u32| i64::from(samples.div_ceil(16));
    // An interlaced sequence counts macroblock rows in pairs.
    if i64::from(params.PicWidthInMbs) > blocks(state.size.0)
        || i64::from(params.FrameHeightInMbs) > blocks(state.size.1) + 1
    {
        let detail =
            format!("{}x{} macroblocks in {:?}", params.PicWidthInMbs, params.FrameHeightInMbs, state.size);
        call.breach(&rules::PICTURE_SIZE, detail);
        return Err(invalid);
    }
    let needs_sets = matches!(decoder.api_codec, codec::H264 | codec::HEVC) && !config().canned.decode;
    if needs_sets && sets.is_none() && !state.has_sets {
        // NVDEC knows the parameters from CUVIDPICPARAMS; the software decoder needs the sets themselves.
        if has_sequence_set(decoder.codec, &data) {
            state.has_sets = true;
        } else {
            sets = Some(Arc::new(
                rebuild(decoder, params, &data, state.size).ok_or(CuResult::ERROR_NOT_SUPPORTED)?,
            ));
        }
    } else if sets.is_some() {
        state.has_sets = true;
    }
    if state.slots[index].mapped > 0 {
        let mapped = state.slots[index].mapped;
        call.breach(&rules::DECODE_INTO_MAPPED, format!("surface {index} is mapped {mapped} times"));
    }
    let mut state = decoder.wait_until(state, |state| state.queue.len() < policy::NVDEC_QUEUE)?;
    // A reconfiguration meanwhile may have left fewer surfaces.
    let Some(slot) = state.slots.get_mut(index) else { return Err(invalid) };
    if slot.used && !slot.was_mapped && params.second_field == 0 {
        Figures::count(&FIGURES.never_mapped);
    }
    slot.used = true;
    slot.was_mapped = false;
    slot.pending += 1;
    slot.status = decode_status::IN_PROGRESS;
    let (corrupt, status, submitted) = (call.corrupt(), call.decode_status(), Instant::now());
    state.queue.push_back(Job { index, data, sets, corrupt, status, submitted });
    drop(state);
    decoder.changed.notify_all();
    Ok(())
}
