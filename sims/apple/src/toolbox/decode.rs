//! `VTDecompressionSession`: samples in, pixel buffers out by callback, in decoding order (or, where the client allows frames to be held
//! back for it, in display order).

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::list;
use super::properties::{Properties, figures};
use super::status;
use super::stream::{Outcome, Stream};
use super::worker::Worker;
use crate::codec::decoder::MAX_PIXELS;
use crate::core::config::DecodeError;
use crate::core::fault::{self, Direction, Effect};
use crate::core::pointer::{In, NULL, Ref};
use crate::core::report::{self, locked};
use crate::core::{Out, breach, config, exports, rules};
use crate::foundation::collection::Dictionary;
use crate::foundation::object::{Held, Kind, Typed, find, find_optional, held};
use crate::foundation::value;
use crate::media::format::{Format, MPEG4, aspect, fourcc, names, syntax};
use crate::media::parameter_sets::Colour;
use crate::media::sample::Sample;
use crate::media::time::{Time, Timing};
use crate::video::convert::Picture;
use crate::video::pixels::{Attributes, Pixels, biplanar, samples};
use crate::video::pool::Pool;
use crate::{OK, Status};

const ASYNCHRONOUS: u32 = 1;
const DO_NOT_OUTPUT: u32 = 1 << 1;
const TEMPORAL: u32 = 1 << 3;

const INFO_ASYNCHRONOUS: u32 = 1;
const INFO_DROPPED: u32 = 1 << 1;
const INFO_LEADING: u32 = 1 << 3;

/// Frames that are held back where that is allowed.
const HELD_BACK: usize = 4;

type Callback = unsafe extern "C" fn(*mut c_void, *mut c_void, Status, u32, Ref, Time, Time);

/// `VTDecompressionOutputCallbackRecord`
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub struct CallbackRecord {
    callback: Option<Callback>,
    refcon: *mut c_void,
}

const _: () = assert!(size_of::<CallbackRecord>() == 16);

/// A sample on its way to the decoder.
struct Frame {
    format: Arc<Format>,
    data: Vec<u8>,
    /// The client's buffer, which the session keeps until the frame is out.
    _sample: Held,
    out: Output,
    flags: u32,
    effect: Option<Effect>,
}

/// What the callback is told.
struct Output {
    refcon: usize,
    status: Status,
    info: u32,
    image: Option<Held>,
    timing: Timing,
}

enum Job {
    Frame(Box<Frame>),
    Finish,
}

/// What the session's thread and its callers share.
struct Shared {
    callback: Option<Callback>,
    refcon: usize,
    wanted: Attributes,
    pool: Mutex<Option<Arc<Pool>>>,
    /// Status of the frame decoded last.
    last: Mutex<Status>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    frames: u64,
    failed: u64,
    dropped: u64,
}

/// The session.
pub struct Decode {
    shared: Arc<Shared>,
    worker: Worker<Job>,
    properties: Mutex<Properties>,
    format: Mutex<Arc<Format>>,
    hardware: bool,
    depth: u32,
    /// By the client.
    invalidated: AtomicBool,
    /// By a fault on order.
    lost: AtomicBool,
    /// [`fault::nights`] when it was made.
    night: u64,
}

impl Typed for Decode {
    const KIND: Kind = Kind::VTDecompressionSession;

    fn released(&self) {
        self.invalidate();
    }
}

impl Shared {
    fn deliver(&self, output: Output) {
        {
            let mut counts = locked(&self.counts);
            counts.frames += 1;
            counts.failed += u64::from(output.status != OK);
            counts.dropped += u64::from(output.info & INFO_DROPPED != 0);
        }
        let Some(callback) = self.callback else { return };
        let image = output.image.as_ref().map_or(NULL, Held::lend);
        let pointer = |word| std::ptr::with_exposed_provenance_mut::<c_void>(word);
        let Timing { duration, pts, .. } = output.timing;
        // SAFETY: the client's function with the arguments it is declared with.
        unsafe {
            callback(
                pointer(self.refcon),
                pointer(output.refcon),
                output.status,
                output.info,
                image,
                pts,
                duration,
            )
        };
    }

    /// A buffer with the picture in it, of the format that is wanted or the stream's own.
    fn image(
        &self,
        picture: Picture,
        format: &Format,
        colour: Colour,
        shape: (u32, u32),
    ) -> Result<Held, Status> {
        let own = biplanar(picture.depth, picture.full, picture.chroma);
        let wanted = &self.wanted.formats;
        let kind = if wanted.is_empty() || wanted.contains(&own) {
            own
        } else {
            wanted.iter().copied().find(|&kind| samples(kind).is_some()).ok_or(status::PARAMETER)?
        };
        let (width, height) =
            (self.wanted.width.unwrap_or(picture.width), self.wanted.height.unwrap_or(picture.height));
        let mut pool = locked(&self.pool);
        let fits = pool.as_ref().is_some_and(|pool| pool.size() == (width, height) && pool.format == kind);
        if !fits {
            let attributes = Attributes { surface: true, ..self.wanted.clone() };
            *pool = Some(Arc::new(Pool::new(width, height, kind, attributes)?));
        }
        let buffer = pool.as_ref().ok_or(status::ALLOCATION_FAILED)?.buffer()?;
        drop(pool);
        picture.store(&buffer);
        attach(&buffer, format, colour, shape);
        Ok(Held::new(buffer))
    }

    /// What becomes of a frame.
    fn decode(&self, stream: &mut Stream, frame: &Frame) -> Result<(Option<Held>, u32), Status> {
        let outcome = stream.decode(&frame.format, &frame.data);
        match (frame.effect, outcome) {
            (Some(Effect::Fail(status)), _) => Err(status),
            (Some(Effect::Drop), _) => Ok((None, INFO_DROPPED)),
            (_, Outcome::Leading) => Ok((None, INFO_DROPPED | INFO_LEADING)),
            (_, Outcome::Bad(status)) => Err(status),
            (_, Outcome::Picture(..)) if frame.flags & DO_NOT_OUTPUT != 0 => Ok((None, 0)),
            (_, Outcome::Picture(picture, colour, shape)) => {
                self.image(*picture, &frame.format, colour, shape).map(|image| (Some(image), 0))
            }
        }
    }
}

/// Attachments: what the format description says of colours and shape, and else the stream.
fn attach(buffer: &Pixels, format: &Format, colour: Colour, (width, height): (u32, u32)) {
    const KEYS: [&str; 6] = [
        "CVImageBufferColorPrimaries",
        "CVImageBufferTransferFunction",
        "CVImageBufferYCbCrMatrix",
        "CVPixelAspectRatio",
        "MasteringDisplayColorVolume",
        "ContentLightLevelInfo",
    ];
    buffer.attach("CVImageBufferChromaLocationTopField", value::text("Left"), 1);
    for (key, value) in names(colour) {
        buffer.attach(key, value, 1);
    }
    if width > 0 && height > 0 {
        buffer.attach("CVPixelAspectRatio", aspect(width, height), 1);
    }
    for key in KEYS {
        if let Some(value) = format.extension(key) {
            buffer.attach(key, value, 1);
        }
    }
}

/// The work of the session's thread.
fn work(shared: &Shared, stream: &mut Stream, held_back: &mut Vec<Output>, job: Job) {
    let first = |held_back: &mut Vec<Output>| {
        let first = (0..held_back.len()).min_by(|&a, &b| {
            let pts = |at: usize| held_back[at].timing.pts;
            pts(a).order(pts(b))
        });
        first.map(|at| held_back.remove(at))
    };
    let Job::Frame(mut frame) = job else {
        while let Some(output) = first(held_back) {
            shared.deliver(output);
        }
        return;
    };
    std::thread::sleep(config().settings.decode_delay);
    let result = shared.decode(stream, &frame);
    if frame.effect == Some(Effect::Lose) {
        return;
    }
    let asynchronous = frame.flags & ASYNCHRONOUS != 0;
    let outcome = result.as_ref().err().copied().unwrap_or(OK);
    *locked(&shared.last) = outcome;
    frame.out.info |= if asynchronous { INFO_ASYNCHRONOUS } else { 0 };
    match result {
        Ok((image, info)) => {
            frame.out.image = image;
            frame.out.info |= info;
        }
        // The call answers instead.
        Err(_) if !asynchronous && config().settings.decode_error == DecodeError::Return => return,
        Err(status) => frame.out.status = status,
    }
    if frame.flags & TEMPORAL == 0 {
        shared.deliver(frame.out);
        return;
    }
    held_back.push(frame.out);
    if held_back.len() > HELD_BACK
        && let Some(output) = first(held_back)
    {
        shared.deliver(output);
    }
}

impl Decode {
    fn new(
        format: Arc<Format>,
        hardware: bool,
        depth: u32,
        wanted: Attributes,
        record: Option<CallbackRecord>,
    ) -> Self {
        let shared = Arc::new(Shared {
            callback: record.and_then(|record| record.callback),
            refcon: record.map_or(0, |record| record.refcon.expose_provenance()),
            wanted,
            pool: Mutex::default(),
            last: Mutex::default(),
            counts: Mutex::default(),
        });
        let own = shared.clone();
        let (mut stream, mut held_back) = (Stream::default(), Vec::new());
        let worker = Worker::start("vtsim decoder", move |job| work(&own, &mut stream, &mut held_back, job));
        Self {
            shared,
            worker,
            properties: Mutex::new(Properties::of_decoder(hardware)),
            format: Mutex::new(format),
            hardware,
            depth,
            invalidated: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            night: fault::nights(),
        }
    }

    /// Whether the session can be used.
    pub fn check(&self) -> Result<(), Status> {
        if self.invalidated.load(Ordering::SeqCst) {
            breach(&rules::INVALIDATED, "a decoder session");
            return Err(status::INVALID_SESSION);
        }
        let lost = self.lost.load(Ordering::SeqCst) || self.night != fault::nights();
        if lost { Err(status::INVALID_SESSION) } else { Ok(()) }
    }

    /// Sets a property.
    pub fn set(&self, key: &str, value: Option<Held>) -> Status {
        locked(&self.properties).set(key, value, false)
    }

    /// A property's value.
    pub fn copy(&self, key: &str) -> Result<Option<Held>, Status> {
        match key {
            "NumberOfFramesBeingDecoded" => Ok(Some(value::int(self.worker.pending() as i64))),
            _ => locked(&self.properties).copy(key),
        }
    }

    /// All properties.
    pub fn describe(&self) -> Held {
        locked(&self.properties).describe()
    }

    /// Ends the session: frames that wait are dropped, and no callback comes after this.
    fn invalidate(&self) {
        if self.invalidated.swap(true, Ordering::SeqCst) {
            return;
        }
        self.worker.stop();
        let counts = locked(&self.shared.counts);
        let mut all = figures("decode", locked(&self.format).codec, self.hardware);
        for (name, count) in
            [("frames", counts.frames), ("failed", counts.failed), ("dropped", counts.dropped)]
        {
            all.insert(name.into(), count.into());
        }
        report::session(all.into());
    }

    /// Whether frames of another format can follow: the same codec, size and kind of samples.
    fn accepts(&self, new: &Format) -> bool {
        let old = locked(&self.format).clone();
        let kind = |format: &Format| format.sequence.map(|found| (found.chroma, found.depth, found.profile));
        (old.codec, old.width, old.height) == (new.codec, new.width, new.height)
            && kind(&old) == kind(new)
            && new.sequence.is_none_or(|found| found.depth <= self.depth)
    }

    fn give(&self, sample: &Held, frame: &Sample, flags: u32, refcon: usize, info: Out<u32>) -> Status {
        if let Err(status) = self.check() {
            return status;
        }
        let (Some((_, block)), Some((_, format)), 1) = (&frame.data, &frame.format, frame.count) else {
            breach(&rules::SAMPLE_LAYOUT, format!("{} samples", frame.count));
            return status::PARAMETER;
        };
        let known = Arc::ptr_eq(&locked(&self.format), format);
        if !known && !self.accepts(format) {
            breach(
                &rules::FORMAT_CHANGE,
                format!("{} of {}x{}", fourcc(format.codec), format.width, format.height),
            );
            return status::FORMAT_CHANGE;
        }
        *locked(&self.format) = format.clone();
        let effect = fault::next(Direction::Decode);
        match effect {
            Some(Effect::Refuse(status)) => return status,
            Some(effect @ (Effect::Invalidate | Effect::Sleep)) => {
                self.worker.wait();
                self.lost.store(true, Ordering::SeqCst);
                if effect == Effect::Sleep {
                    fault::sleep();
                }
                return status::INVALID_SESSION;
            }
            _ => {}
        }
        let asynchronous = flags & ASYNCHRONOUS != 0;
        let out = Output { refcon, status: OK, info: 0, image: None, timing: frame.time() };
        let data = block.bytes();
        let job = Frame { format: format.clone(), data, _sample: sample.clone(), out, flags, effect };
        if !self.worker.give(Job::Frame(Box::new(job))) {
            return status::INVALID_SESSION;
        }
        info.put(if asynchronous { INFO_ASYNCHRONOUS } else { 0 });
        if asynchronous {
            return OK;
        }
        self.worker.wait();
        match config().settings.decode_error {
            DecodeError::Callback => OK,
            DecodeError::Return | DecodeError::Both => *locked(&self.shared.last),
        }
    }
}

/// The decoder for a format: whether by hardware, and its depth.
fn choose(format: &Format, specification: Option<&Dictionary>) -> Result<(bool, u32), Status> {
    let said = |key: &str| specification.and_then(|all| all.truth(key));
    let require = said("RequireHardwareAcceleratedVideoDecoder").unwrap_or(false);
    let enable = require || said("EnableHardwareAcceleratedVideoDecoder").unwrap_or(true);
    let decoder = list::decoder(format.codec).ok_or(status::NO_DECODER)?;
    let hardware = decoder.hardware && enable;
    let software = decoder.software && !require;
    if !hardware && !software {
        return Err(status::NO_DECODER);
    }
    if syntax(format.codec).is_some() {
        // Without parameter sets there is nothing to decode by.
        let sequence = format.sequence.ok_or(status::UNSUPPORTED_DATA)?;
        let full_chroma = sequence.chroma > 1 && !decoder.full_chroma;
        if full_chroma || sequence.depth > decoder.depth {
            return Err(status::UNSUPPORTED_DATA);
        }
    }
    if format.codec == MPEG4 && format.visual_headers().is_none() {
        return Err(status::UNSUPPORTED_DATA);
    }
    if u64::from(format.width.unsigned_abs()) * u64::from(format.height.unsigned_abs()) > MAX_PIXELS {
        return Err(status::UNSUPPORTED_DATA);
    }
    Ok((hardware, decoder.depth))
}

exports! {
    /// A session for samples of a format.
    fn VTDecompressionSessionCreate(allocator: Ref, format: Ref, specification: Ref, attributes: Ref, callback: In<CallbackRecord>, out: Out<Ref>) -> Status = status::PARAMETER; {
        let (Some(format), Some(specification), Some(attributes)) =
            (find::<Format>(format), find_optional::<Dictionary>(specification), find_optional::<Dictionary>(attributes))
        else {
            return status::PARAMETER;
        };
        if out.is_null() {
            return status::PARAMETER;
        }
        if let Some(status) = config().settings.create_decode_fail {
            return status;
        }
        let (hardware, depth) = match choose(&format, specification.as_deref()) {
            Ok(chosen) => chosen,
            Err(status) => return status,
        };
        let wanted = Attributes::of(attributes.as_deref());
        if !wanted.formats.is_empty() && !wanted.formats.iter().any(|&format| samples(format).is_some()) {
            return status::PARAMETER;
        }
        out.put(Held::new(Decode::new(format, hardware, depth, wanted, callback.get())).give());
        OK
    }

    /// Decodes a sample; its callback comes before this returns, unless it may come later.
    fn VTDecompressionSessionDecodeFrame(session: Ref, sample: Ref, flags: u32, refcon: usize, info: Out<u32>) -> Status = status::PARAMETER; {
        let Some(session) = find::<Decode>(session) else { return status::INVALID_SESSION };
        let Some((sample, frame)) = held::<Sample>(sample) else { return status::PARAMETER };
        session.give(&sample, &frame, flags, refcon, info)
    }

    /// Lets go of frames that are held back for the order of display.
    fn VTDecompressionSessionFinishDelayedFrames(session: Ref) -> Status = status::PARAMETER; {
        let Some(session) = find::<Decode>(session) else { return status::INVALID_SESSION };
        match session.check() {
            Ok(()) if session.worker.give(Job::Finish) => OK,
            Ok(()) => status::INVALID_SESSION,
            Err(status) => status,
        }
    }

    /// Waits until every callback has returned.
    fn VTDecompressionSessionWaitForAsynchronousFrames(session: Ref) -> Status = status::PARAMETER; {
        let Some(session) = find::<Decode>(session) else { return status::INVALID_SESSION };
        if let Err(status) = session.check() {
            return status;
        }
        if !session.worker.give(Job::Finish) {
            return status::INVALID_SESSION;
        }
        if session.worker.wait() { OK } else { status::PARAMETER }
    }

    /// Whether samples of another format can follow.
    fn VTDecompressionSessionCanAcceptFormatDescription(session: Ref, format: Ref) -> u8 = 0; {
        let (Some(session), Some(format)) = (find::<Decode>(session), find::<Format>(format)) else { return 0 };
        u8::from(session.check().is_ok() && session.accepts(&format))
    }

    /// Ends the session.
    fn VTDecompressionSessionInvalidate(session: Ref); {
        if let Some(session) = find::<Decode>(session) {
            session.invalidate();
        }
    }
}
