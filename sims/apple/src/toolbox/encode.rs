//! `VTCompressionSession`: pixel buffers in, coded samples out by callback, in decoding order.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::coder::{Coder, Plan};
use super::list;
use super::machine::Encoder;
use super::properties::{Properties, figures};
use super::status;
use super::worker::Worker;
use crate::core::fault::{self, Direction, Effect};
use crate::core::pointer::{NULL, Ref};
use crate::core::report::{self, locked};
use crate::core::{Out, breach, config, exports, rules};
use crate::foundation::collection::Dictionary;
use crate::foundation::object::{Held, Kind, Typed, find, find_optional, held};
use crate::foundation::value::{self, Text};
use crate::media::sample::Sample;
use crate::media::time::Time;
use crate::video::convert::Picture;
use crate::video::pixels::{Attributes, Pixels, Samples, samples};
use crate::video::pool::Pool;
use crate::{OK, Status};

const INFO_ASYNCHRONOUS: u32 = 1;
const INFO_DROPPED: u32 = 1 << 1;

/// Properties, and the attachments that say the same of a frame.
const COLOURS: [(&str, &str); 3] = [
    ("ColorPrimaries", "CVImageBufferColorPrimaries"),
    ("TransferFunction", "CVImageBufferTransferFunction"),
    ("YCbCrMatrix", "CVImageBufferYCbCrMatrix"),
];

type Callback = unsafe extern "C" fn(*mut c_void, *mut c_void, Status, u32, Ref);

/// A frame on its way to the encoder. The client's buffer is kept, and watched, until the coded sample is out.
struct Frame {
    pixels: Arc<Pixels>,
    _buffer: Held,
    pts: Time,
    duration: Time,
    refcon: usize,
    force_key: bool,
    effect: Option<Effect>,
    plan: Plan,
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.pixels.encoder_ends();
    }
}

enum Job {
    Frame(Box<Frame>),
    Complete,
}

/// What the session's thread and its callers share.
struct Shared {
    callback: Callback,
    refcon: usize,
    /// Frames given and not yet out.
    pending: AtomicUsize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    frames: u64,
    failed: u64,
    dropped: u64,
    keys: u64,
    bytes: u64,
}

/// What `EncodeFrame` has to remember.
#[derive(Default)]
struct Given {
    last: Option<Time>,
    depth: u32,
}

/// The session.
pub struct Encode {
    shared: Arc<Shared>,
    worker: Worker<Job>,
    properties: Mutex<Properties>,
    pool: Held,
    encoder: &'static Encoder,
    size: (usize, usize),
    low_latency: bool,
    /// The client takes no encoder but hardware.
    hardware_alone: bool,
    given: Mutex<Given>,
    /// By the client.
    invalidated: AtomicBool,
    /// By a fault on order.
    lost: AtomicBool,
    /// [`fault::nights`] when it was made.
    night: u64,
}

impl Typed for Encode {
    const KIND: Kind = Kind::VTCompressionSession;

    fn released(&self) {
        self.invalidate();
    }
}

impl Shared {
    fn deliver(&self, frame: Frame, result: Result<Option<Sample>, Status>) {
        self.pending.fetch_sub(1, Ordering::SeqCst);
        if frame.effect == Some(Effect::Lose) {
            return;
        }
        let (status, info, sample) = match result {
            Ok(Some(sample)) => (OK, 0, Some(sample)),
            Ok(None) => (OK, INFO_DROPPED, None),
            Err(status) => (status, 0, None),
        };
        {
            let mut counts = locked(&self.counts);
            counts.frames += 1;
            counts.failed += u64::from(status != OK);
            counts.dropped += u64::from(info != 0);
            counts.keys += u64::from(sample.as_ref().is_some_and(|sample| sample.is_sync()));
            counts.bytes += sample.as_ref().map_or(0, |sample| sample.sizes.iter().sum::<usize>() as u64);
        }
        let refcon = frame.refcon;
        // The encoder is done with the client's buffer before it says so.
        drop(frame);
        let sample = sample.map(Held::new);
        let reference = sample.as_ref().map_or(NULL, Held::lend);
        let pointer = |word| std::ptr::with_exposed_provenance_mut::<c_void>(word);
        // SAFETY: the client's function with the arguments it is declared with.
        unsafe {
            (self.callback)(
                pointer(self.refcon),
                pointer(refcon),
                status,
                info | INFO_ASYNCHRONOUS,
                reference,
            )
        };
    }
}

/// The session's thread: what it is coding with, and the frames that are not out.
#[derive(Default)]
struct Thread {
    coder: Option<Coder>,
    inside: BTreeMap<i64, Frame>,
    next: i64,
    last_key: Option<(i64, Time)>,
}

impl Thread {
    fn work(&mut self, shared: &Shared, job: Job) {
        match job {
            Job::Frame(frame) => {
                std::thread::sleep(config().settings.encode_delay);
                match frame.effect {
                    // Before the encoder: its references are those of the frames that come out.
                    Some(Effect::Fail(status)) => shared.deliver(*frame, Err(status)),
                    Some(Effect::Drop) => shared.deliver(*frame, Ok(None)),
                    _ => self.frame(shared, *frame),
                }
            }
            Job::Complete => {
                if let Some(mut coder) = self.coder.take() {
                    let done = coder.finish();
                    self.out(shared, &mut coder, done);
                }
                self.fail(shared);
            }
        }
    }

    fn frame(&mut self, shared: &Shared, frame: Frame) {
        let plan = frame.plan;
        if self.coder.is_none() {
            match Coder::open(&plan) {
                Ok(coder) => self.coder = Some(coder),
                Err(status) => return shared.deliver(frame, Err(status)),
            }
            self.last_key = None;
        }
        let Some(mut coder) = self.coder.take() else { return };
        coder.follow(&plan);
        let key = frame.force_key
            || self.last_key.is_none_or(|(number, pts)| {
                let by_count = plan.key_interval > 0 && self.next - number >= plan.key_interval;
                let by_time =
                    plan.key_seconds > 0.0 && frame.pts.seconds() - pts.seconds() >= plan.key_seconds;
                by_count || by_time || !plan.temporal
            });
        if key {
            self.last_key = Some((self.next, frame.pts));
        }
        let picture =
            Picture::load(&frame.pixels).scaled(plan.width, plan.height).with(plan.depth, plan.full);
        let number = self.next;
        self.next += 1;
        coder.comes(frame.pts);
        self.inside.insert(number, frame);
        let done = coder.encode(&picture, number, key);
        if self.out(shared, &mut coder, done) {
            self.coder = Some(coder);
        } else {
            self.fail(shared);
        }
    }

    /// Hands out what is coded; false when the encoder failed.
    fn out(
        &mut self,
        shared: &Shared,
        coder: &mut Coder,
        done: Result<Vec<crate::codec::encoder::Coded>, Status>,
    ) -> bool {
        let Ok(done) = done else { return false };
        for coded in done {
            let Some(frame) = self.inside.remove(&coded.number) else { continue };
            let sample = coder.sample(&coded, frame.pts, frame.duration).ok_or(status::ENCODER_MALFUNCTION);
            shared.deliver(frame, sample.map(Some));
        }
        true
    }

    /// Frames that never come out.
    fn fail(&mut self, shared: &Shared) {
        for (_, frame) in std::mem::take(&mut self.inside) {
            shared.deliver(frame, Err(status::ENCODER_MALFUNCTION));
        }
    }
}

impl Encode {
    /// Whether the session can be used.
    pub fn check(&self) -> Result<(), Status> {
        if self.invalidated.load(Ordering::SeqCst) {
            breach(&rules::INVALIDATED, "an encoder session");
            return Err(status::INVALID_SESSION);
        }
        let lost = self.lost.load(Ordering::SeqCst) || self.night != fault::nights();
        if lost { Err(status::INVALID_SESSION) } else { Ok(()) }
    }

    /// Sets a property.
    pub fn set(&self, key: &str, value: Option<Held>) -> Status {
        let begun = locked(&self.given).last.is_some();
        if begun && let Some(Effect::Refuse(status)) = fault::next(Direction::Change) {
            return status;
        }
        locked(&self.properties).set(key, value, begun)
    }

    /// A property's value.
    pub fn copy(&self, key: &str) -> Result<Option<Held>, Status> {
        match key {
            "NumberOfPendingFrames" => {
                Ok(Some(value::int(self.shared.pending.load(Ordering::SeqCst) as i64)))
            }
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
        let mut all = figures("encode", self.encoder.codec, self.encoder.hardware);
        let list = [
            ("frames", counts.frames),
            ("failed", counts.failed),
            ("dropped", counts.dropped),
            ("keys", counts.keys),
            ("bytes", counts.bytes),
        ];
        for (name, count) in list {
            all.insert(name.into(), count.into());
        }
        let mut told = locked(&self.properties).told();
        told.insert("RequireHardware".into(), self.hardware_alone.into());
        told.insert("LowLatencyRateControl".into(), self.low_latency.into());
        all.insert("settings".into(), told.into());
        report::session(all.into());
    }

    fn give(
        &self,
        buffer: Held,
        pixels: Arc<Pixels>,
        times: (Time, Time),
        properties: Option<&Dictionary>,
        refcon: usize,
        info: Out<u32>,
    ) -> Status {
        if let Err(status) = self.check() {
            return status;
        }
        let (pts, duration) = times;
        if !pts.is_numeric() {
            breach(&rules::PTS_INVALID, format!("{pts:?}"));
            return status::PARAMETER;
        }
        for (property, attachment) in COLOURS {
            let stated = locked(&self.properties).text(property);
            let own = pixels.attachment(attachment).and_then(|(value, _)| value.get::<Text>());
            if let (Some(stated), Some(own)) = (stated, own)
                && stated != own.0
            {
                breach(&rules::COLOURS, format!("{property} is {stated}, and the frame has {}", own.0));
            }
        }
        let mut given = locked(&self.given);
        if let Some(last) = given.last.filter(|last| pts.order(*last).is_le()) {
            drop(given);
            breach(&rules::PTS_ORDER, format!("{pts:?} after {last:?}"));
            return status::PARAMETER;
        }
        let effect = fault::next(Direction::Encode);
        match effect {
            Some(Effect::Refuse(status)) => return status,
            Some(effect @ (Effect::Invalidate | Effect::Sleep)) => {
                drop(given);
                self.worker.wait();
                self.lost.store(true, Ordering::SeqCst);
                if effect == Effect::Sleep {
                    fault::sleep();
                }
                return status::INVALID_SESSION;
            }
            _ => {}
        }
        if given.last.is_none() {
            given.depth = match pixels.samples {
                Samples::Biplanar { depth, .. } => depth,
                Samples::Bgra => 8,
            };
        }
        given.last = Some(pts);
        let plan = Plan::of(
            &locked(&self.properties),
            self.encoder,
            self.size,
            given.depth,
            &pixels,
            self.low_latency,
        );
        drop(given);
        let force_key = properties.is_some_and(|all| all.truth("ForceKeyFrame") == Some(true));
        pixels.encoder_begins();
        self.shared.pending.fetch_add(1, Ordering::SeqCst);
        let frame = Frame { pixels, _buffer: buffer, pts, duration, refcon, force_key, effect, plan };
        if !self.worker.give(Job::Frame(Box::new(frame))) {
            return status::INVALID_SESSION;
        }
        info.put(INFO_ASYNCHRONOUS);
        OK
    }
}

exports! {
    /// A session that codes frames of a size.
    fn VTCompressionSessionCreate(allocator: Ref, width: i32, height: i32, codec: u32, specification: Ref, attributes: Ref, data_allocator: Ref,
                                  callback: Option<Callback>, refcon: *mut c_void, out: Out<Ref>) -> Status = status::PARAMETER; {
        let (Some(specification), Some(attributes)) = (find_optional::<Dictionary>(specification), find_optional::<Dictionary>(attributes)) else {
            return status::PARAMETER;
        };
        // Sessions without a callback are for block handlers, which are not simulated; odd sizes are not coded by the libraries.
        let size = |length: i32| usize::try_from(length).ok().filter(|length| (16..=8192).contains(length) && length % 2 == 0);
        let (Some(width), Some(height), Some(callback), false) = (size(width), size(height), callback, out.is_null()) else {
            return status::PARAMETER;
        };
        if let Some(status) = config().settings.create_encode_fail {
            return status;
        }
        if let Some(Effect::Refuse(status)) = fault::next(Direction::Create) {
            return status;
        }
        let encoder = match list::encoder(codec, specification.as_deref()) {
            Ok(encoder) => encoder,
            Err(status) => return status,
        };
        // Without source attributes the encoder's own alone count.
        let attributes = Attributes::of(attributes.as_deref());
        let format = attributes.formats.iter().copied().find(|&format| samples(format).is_some());
        let any = u32::from_be_bytes(*b"420v");
        let Some(format) = format.or_else(|| attributes.formats.is_empty().then_some(any)) else { return status::PARAMETER };
        let pool = match Pool::new(attributes.width.unwrap_or(width), attributes.height.unwrap_or(height), format, attributes) {
            Ok(made) => Held::new(made),
            Err(status) => return status,
        };
        let low_latency = list::low_latency(specification.as_deref());
        let shared = Arc::new(Shared {
            callback,
            refcon: refcon.expose_provenance(),
            pending: AtomicUsize::new(0),
            counts: Mutex::default(),
        });
        let (own, mut thread) = (shared.clone(), Thread::default());
        let session = Encode {
            shared,
            worker: Worker::start("vtsim encoder", move |job| thread.work(&own, job)),
            properties: Mutex::new(Properties::of_encoder(encoder, low_latency)),
            pool,
            encoder,
            size: (width, height),
            low_latency,
            hardware_alone: list::hardware_alone(specification.as_deref()),
            given: Mutex::default(),
            invalidated: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            night: fault::nights(),
        };
        out.put(Held::new(session).give());
        OK
    }

    /// Nothing that cannot wait for the first frame.
    fn VTCompressionSessionPrepareToEncodeFrames(session: Ref) -> Status = status::PARAMETER; {
        let Some(session) = find::<Encode>(session) else { return status::INVALID_SESSION };
        session.check().err().unwrap_or(OK)
    }

    /// The pool for source frames, not to be released.
    fn VTCompressionSessionGetPixelBufferPool(session: Ref) -> Ref = NULL; {
        let Some(session) = find::<Encode>(session) else { return NULL };
        if session.check().is_err() {
            return NULL;
        }
        session.pool.lend()
    }

    /// Codes a frame.
    fn VTCompressionSessionEncodeFrame(session: Ref, image: Ref, pts: Time, duration: Time, properties: Ref, refcon: usize, info: Out<u32>) -> Status = status::PARAMETER; {
        let Some(session) = find::<Encode>(session) else { return status::INVALID_SESSION };
        let Some((buffer, pixels)) = held::<Pixels>(image) else { return status::PARAMETER };
        let Some(properties) = find_optional::<Dictionary>(properties) else { return status::PARAMETER };
        session.give(buffer, pixels, (pts, duration), properties.as_deref(), refcon, info)
    }

    /// Codes what is left, whatever the time given: more than is asked for is allowed. The next frame begins anew, with a key frame.
    fn VTCompressionSessionCompleteFrames(session: Ref, until: Time) -> Status = status::PARAMETER; {
        let Some(session) = find::<Encode>(session) else { return status::INVALID_SESSION };
        if let Err(status) = session.check() {
            return status;
        }
        if !session.worker.give(Job::Complete) {
            return status::INVALID_SESSION;
        }
        if session.worker.wait() { OK } else { status::PARAMETER }
    }

    /// Ends the session.
    fn VTCompressionSessionInvalidate(session: Ref); {
        if let Some(session) = find::<Encode>(session) {
            session.invalidate();
        }
    }
}
