//! EncodePicture: what a submission is checked for, and how pictures get from there to the coder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::abi::{self, NvStatus, PicParams, SeiPayload, flags, types};
use super::buffers::{Output, OutputState, Source};
use super::coder::{Coder, Job, damage};
use super::input::{Layout, Target};
use super::plan::Force;
use super::replay::{self, Mark};
use super::session::{Figures, Running, Session, State, check_context, engines, kind_name};
use super::versions::{self, Struct};
use super::{gpu, rules};
use crate::codec::encoder::{EncoderCodec, EncoderSpec, PictureKind};
use crate::core::{Call, config};
use crate::policy;

/// A picture from its submission to its turn.
#[derive(Debug)]
pub(super) struct Held {
    /// Handle of the input, for the count of its users.
    pub input: usize,
    pub source: Source,
    pub layout: Layout,
    pub checksum: u64,
    /// Number of its submission.
    pub submission: u64,
    /// The client has its input back.
    pub released: bool,
    pub timestamp: u64,
    pub duration: u64,
    pub display_index: u64,
    pub headers: bool,
    pub sei: Vec<(u32, Vec<u8>)>,
    pub corrupt: bool,
    pub spec: Arc<EncoderSpec>,
}

/// A picture from its turn until its output is locked.
#[derive(Debug)]
pub(super) struct Coded {
    pub held: Held,
    pub kind: PictureKind,
    /// Parameter sets come before it.
    pub parameter_sets: bool,
    pub ready_at: Instant,
    /// The outer option: done; the inner one: well.
    pub finished: Option<Option<Finished>>,
}

/// The coder's answer.
#[derive(Debug)]
pub(super) struct Finished {
    pub data: Arc<Vec<u8>>,
    pub qp: u32,
}

/// Marks the thread that is inside EncodePicture.
struct Inside<'a>(&'a Session);

impl<'a> Inside<'a> {
    fn enter(call: &Call, session: &'a Session) -> Self {
        let other = session.encoding.swap(call.thread, Ordering::AcqRel);
        if other != 0 && other != call.thread {
            call.breach(&rules::TWO_THREADS, format!("thread {other} was inside EncodePicture"));
        }
        Self(session)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.encoding.store(0, Ordering::Release);
    }
}

/// Checksum of the picture with this number that lies in `source`, if that is still there. All rows are looked at, or a few
/// where the pictures are canned or replayed and a benchmark runs, whose time is not to be the simulation's; the next picture's
/// are others, so that what differs in all pictures of a stream is seen wherever it is.
pub(super) fn checksum(source: &Source, layout: &Layout, spec: &EncoderSpec, number: u64) -> Option<u64> {
    let canned = &config().canned;
    let step = if canned.encode || canned.replay { 64 } else { 1 };
    let size = (spec.width as usize, spec.height as usize);
    let first = (number % step) as usize;
    source.with(layout.bytes(), |data| layout.checksum(data, size, (first, step as usize)))
}

/// `nvEncEncodePicture`.
///
/// # Safety
/// `params` is null or points to what the API says, and so do the pointers in it.
pub(super) unsafe fn encode(call: &Call, session: &Session, params: *mut PicParams) -> Result<(), NvStatus> {
    // SAFETY: the caller vouches for it.
    let p = unsafe { abi::read::<PicParams>(params.cast()) }.ok_or(NvStatus::INVALID_PTR)?;
    versions::check(call, session.api, Struct::PicParams, p.version)?;
    check_context(call, session)?;
    let _inside = Inside::enter(call, session);
    let stream = session.state().input_stream;
    gpu::wait_stream(session.context, stream)?;
    let mut guard = session.state();
    let state = &mut *guard;
    state.running(call)?;
    state.encode_thread = Some(call.thread);
    if let Some(thread) = state.sequence_thread.take_if(|thread| *thread != call.thread) {
        call.breach(&rules::SEQUENCE_THREAD, format!("GetSequenceParams was called on thread {thread}"));
    }
    if p.flags & flags::EOS != 0 {
        return end_of_stream(call, session, state, &p);
    }
    // SAFETY: as above.
    unsafe { submit(call, session, state, &p) }
}

fn end_of_stream(call: &Call, session: &Session, state: &mut State, p: &PicParams) -> Result<(), NvStatus> {
    if p.input != 0 || p.output != 0 {
        call.breach(&rules::EOS_BUFFERS, "EOS with an input or output buffer");
        return Err(NvStatus(policy::NVENC_PICTURE_REFUSED));
    }
    let running = state.running.as_mut().ok_or(NvStatus::ENCODER_NOT_INITIALIZED)?;
    let rest = running.planner.flush();
    code(session, running, &mut state.figures, rest);
    running.lockable = running.next_coded;
    running.eos = true;
    replay::keep(running);
    if policy::IDR_AFTER_EOS {
        running.planner.restart();
    }
    session.wake.notify_all();
    Ok(())
}

/// Checks the input of a picture and answers where it lies.
fn input(call: &Call, state: &State, p: &PicParams) -> Result<(Source, Layout, u32), NvStatus> {
    if let Some(buffer) = state.inputs.get(&p.input) {
        if buffer.locked {
            call.breach(&rules::INPUT_LOCKED, format!("input buffer {:#x} is locked", p.input));
            return Err(NvStatus(policy::NVENC_PICTURE_REFUSED));
        }
        return Ok((Source::Buffer(buffer.memory.clone()), buffer.layout, buffer.width));
    }
    if let Some(resource) = state.mapped.get(&p.input).and_then(|registered| state.resources.get(registered))
    {
        return Ok((Source::Device(resource.address), resource.layout, resource.width));
    }
    call.breach(&rules::INPUT_NOT_MAPPED, format!("{:#x} is neither an input buffer nor mapped", p.input));
    Err(if state.resources.contains_key(&p.input) {
        NvStatus::RESOURCE_NOT_MAPPED
    } else {
        NvStatus::INVALID_PARAM
    })
}

fn check_output(call: &Call, outputs: &BTreeMap<usize, Output>, handle: usize) -> Result<(), NvStatus> {
    let Some(output) = outputs.get(&handle) else {
        call.breach(&rules::DEAD_BUFFER, format!("{handle:#x} is no bitstream buffer"));
        return Err(NvStatus(policy::NVENC_BAD_HANDLE));
    };
    match output.state {
        OutputState::Free => Ok(()),
        OutputState::Locked(_) => {
            call.breach(&rules::OUTPUT_LOCKED, format!("bitstream buffer {handle:#x} is locked"));
            Err(NvStatus(policy::NVENC_PICTURE_REFUSED))
        }
        OutputState::Pending(_) | OutputState::Waiting => {
            call.breach(
                &rules::OUTPUT_PENDING,
                format!("bitstream buffer {handle:#x} waits for its picture"),
            );
            Err(NvStatus(policy::NVENC_PICTURE_REFUSED))
        }
    }
}

/// # Safety
/// The pointers in `p` are valid or null.
unsafe fn submit(call: &Call, session: &Session, state: &mut State, p: &PicParams) -> Result<(), NvStatus> {
    if p.input == 0 || p.output == 0 {
        return Err(NvStatus::INVALID_PTR);
    }
    let (source, layout, buffer_width) = input(call, state, p)?;
    check_output(call, &state.outputs, p.output)?;
    let running = state.running.as_mut().ok_or(NvStatus::ENCODER_NOT_INITIALIZED)?;
    if p.format != layout.format {
        call.breach(
            &rules::WRONG_FORMAT,
            format!("bufferFmt {:#x}, the buffer has {:#x}", p.format, layout.format),
        );
        return Err(NvStatus(policy::NVENC_PICTURE_REFUSED));
    }
    let (width, height) = (running.spec.width, running.spec.height);
    let unsaid = policy::PICTURE_SIZE_MAY_BE_ZERO && (p.width, p.height) == (0, 0);
    let other = (p.width, p.height) != (width, height) && !unsaid;
    if other || buffer_width < width || layout.rows < height as usize {
        let found = format!("{}x{} in a buffer of {buffer_width}x{}", p.width, p.height, layout.rows);
        call.breach(&rules::INPUT_SIZE, format!("{found}, the session has {width}x{height}"));
        return Err(NvStatus(policy::NVENC_PICTURE_REFUSED));
    }
    if let Source::Device(address) = source
        && gpu::pending_write(address, layout.bytes() as u64)
    {
        call.breach(&rules::PENDING_WRITE, format!("{address:#x} is still being written on another stream"));
    }
    let force_idr = p.flags & flags::FORCE_IDR != 0;
    if force_idr && !running.settings.ptd {
        call.breach(&rules::FORCE_IDR_PTD, "FORCEIDR without enablePTD");
    }
    let kind = if running.settings.ptd { None } else { Some(client_kind(p.pic_type)?) };
    let Some(checksum) = checksum(&source, &layout, &running.spec, running.display) else {
        call.breach(&rules::FREED_INPUT, format!("the memory of {:#x} is gone", p.input));
        return Err(NvStatus::INVALID_PARAM);
    };
    // SAFETY: the caller vouches for the pointers.
    let sei = unsafe { sei(running.spec.codec, p) }?;
    if running.recent_times.contains(&p.timestamp) {
        call.breach(&rules::DUPLICATE_TIME, format!("inputTimeStamp {} again", p.timestamp));
    } else {
        running.recent_times.push_back(p.timestamp);
        if running.recent_times.len() > 64 {
            running.recent_times.pop_front();
        }
    }

    // From here on nothing fails.
    let number = running.next_lock + running.submitted.len() as u64;
    running.submitted.push_back(p.output);
    running.eos = false;
    if let Some(output) = state.outputs.get_mut(&p.output) {
        output.state = OutputState::Pending(number);
    }
    *state.used.entry(p.input).or_insert(0) += 1;
    state.figures.pictures_in += 1;
    let held = Held {
        input: p.input,
        source,
        layout,
        checksum,
        submission: number,
        released: false,
        timestamp: p.timestamp,
        duration: p.duration,
        display_index: running.display,
        headers: p.flags & flags::OUTPUT_SPSPPS != 0,
        sei,
        corrupt: call.corrupt(),
        spec: running.spec.clone(),
    };
    running.display += 1;
    let turn = match kind {
        Some(kind) => {
            let first = std::mem::take(&mut running.force_idr) || !running.first_idr_done;
            vec![(held, if first { PictureKind::Idr } else { kind })]
        }
        None => {
            let force = if std::mem::take(&mut running.force_idr) || force_idr {
                Force::Idr
            } else if p.flags & flags::FORCE_INTRA != 0 {
                Force::Intra
            } else {
                Force::None
            };
            running.planner.push(held, force)
        }
    };
    if turn.is_empty() {
        state.figures.need_more_input += 1;
        return Err(NvStatus::NEED_MORE_INPUT);
    }
    code(session, running, &mut state.figures, turn);
    running.lockable = number + 1;
    session.wake.notify_all();
    Ok(())
}

/// Type of a picture when the client decides.
fn client_kind(pic_type: u32) -> Result<PictureKind, NvStatus> {
    match pic_type {
        types::P => Ok(PictureKind::P),
        types::I => Ok(PictureKind::I),
        types::IDR => Ok(PictureKind::Idr),
        types::B => Err(NvStatus(policy::CLIENT_B_PICTURES)),
        _ => Err(NvStatus::INVALID_PARAM),
    }
}

/// Copies the SEI messages of a picture.
///
/// # Safety
/// The array that `p` points to is as long as it says, and so are its payloads.
unsafe fn sei(codec: EncoderCodec, p: &PicParams) -> Result<Vec<(u32, Vec<u8>)>, NvStatus> {
    /// More than this in one picture is a mistake, not a message.
    const LARGEST: u32 = 1 << 20;
    // Count and array: H.264 at 36 and 40, HEVC at 56 and 64, AV1 at 48 and 56 of the codec's part.
    let (count, array) = match codec {
        EncoderCodec::H264 => ((p.codec[4] >> 32) as u32, p.codec[5] as usize),
        EncoderCodec::Hevc => (p.codec[7] as u32, p.codec[8] as usize),
        EncoderCodec::Av1 => (p.codec[6] as u32, p.codec[7] as usize),
    };
    if count == 0 || array == 0 {
        return Ok(Vec::new());
    }
    if count > 256 {
        return Err(NvStatus::INVALID_PARAM);
    }
    let mut list = Vec::new();
    for at in 0..count as usize {
        let address = (array + at * size_of::<SeiPayload>()) as *const std::ffi::c_void;
        // SAFETY: the caller vouches for the array.
        let message = unsafe { abi::read::<SeiPayload>(address) }.ok_or(NvStatus::INVALID_PTR)?;
        if message.size > LARGEST || (message.payload == 0 && message.size > 0) {
            return Err(NvStatus::INVALID_PARAM);
        }
        let bytes = if message.size == 0 {
            Vec::new()
        } else {
            // SAFETY: not null, and the caller vouches for the length.
            unsafe { std::slice::from_raw_parts(message.payload as *const u8, message.size as usize) }
                .to_vec()
        };
        list.push((message.kind, bytes));
    }
    Ok(list)
}

/// Gives pictures whose turn has come to the coder.
fn code(session: &Session, running: &mut Running, figures: &mut Figures, turn: Vec<(Held, PictureKind)>) {
    for (held, kind) in turn {
        let number = running.next_coded;
        running.next_coded += 1;
        *figures.kinds.entry(kind_name(kind)).or_insert(0) += 1;
        let idr = kind == PictureKind::Idr;
        let wanted = idr
            && !running.settings.disable_headers
            && (!running.first_idr_done || running.settings.repeat_headers);
        running.first_idr_done |= idr;
        let parameter_sets = wanted || held.headers;
        let ready_at = book(session, running, &held.spec);
        replay::decide(session, running, &held);
        let finished = match &mut running.coder {
            Coder::Canned { pictures, next } => {
                if idr {
                    *next = 0;
                }
                let picture = pictures.get(*next % pictures.len().max(1));
                *next += 1;
                Some(picture.map(|picture| {
                    let mut data = picture.data.clone();
                    if held.corrupt {
                        damage(&mut data);
                    }
                    Finished { data: Arc::new(data), qp: picture.qp }
                }))
            }
            Coder::Replay(replay) => {
                let mut served = replay.serve(number, &Mark::of(&held, kind, parameter_sets));
                figures.replayed += u64::from(served.is_some());
                if let Some(finished) = served.as_mut().filter(|_| held.corrupt) {
                    damage(Arc::<Vec<u8>>::make_mut(&mut finished.data));
                }
                Some(served)
            }
            // Never so: it was decided above.
            Coder::Undecided(_) => Some(None),
            Coder::Soft(worker) => {
                let target = Target {
                    width: held.spec.width as usize,
                    height: held.spec.height as usize,
                    chroma: held.spec.chroma,
                    depth: held.spec.depth,
                    matrix: held.spec.colour.map(|(.., matrix)| matrix),
                    full_range: held.spec.full_range.unwrap_or(false),
                };
                let planes = held.source.with(held.layout.bytes(), |data| held.layout.gather(data, &target));
                match planes {
                    Some(planes) => {
                        worker.send(Job {
                            number,
                            planes,
                            kind,
                            display_index: held.display_index,
                            parameter_sets,
                            sei: held.sei.clone(),
                            corrupt: held.corrupt,
                            spec: held.spec.clone(),
                        });
                        None
                    }
                    // The memory went away while the picture waited.
                    None => Some(None),
                }
            }
        };
        running.coded.insert(number, Coded { held, kind, parameter_sets, ready_at, finished });
    }
}

/// Books the picture on the device's engines; answers when it will be done.
fn book(session: &Session, running: &mut Running, spec: &EncoderSpec) -> Instant {
    let time = &config().time;
    let now = Instant::now();
    if !time.enabled {
        return now;
    }
    let pixels = f64::from(spec.width) * f64::from(spec.height);
    let mut ns = time.encode_ns_per_frame as f64 + time.encode_ns_per_pixel * pixels;
    if time.jitter > 0.0 {
        running.jitter =
            running.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (running.jitter >> 33) as f64 / f64::from(1u32 << 31);
        ns *= 1.0 + time.jitter * (2.0 * unit - 1.0);
    }
    let work = Duration::from_nanos(ns.max(0.0) as u64);
    let ready = running.busy_until.max(now);
    running.busy_until = engines().get(session.device).map_or(ready + work, |bank| bank.book(ready, work));
    running.busy_until
}
