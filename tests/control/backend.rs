//! Encoders without a codec, that fail on command. A packet says which picture it shows, who coded it, and the place in
//! its coded sequence, so that a reader can tell whether a decoder would follow.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use video_hw::backend::{
    BackendKind, Candidate, EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, FrameCheck,
    InPlace,
};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl, SessionAdmission};
use video_hw::control::EncoderSource;
use video_hw::dimensions::Dimensions;
use video_hw::error::{Error, Remedy, Result};
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::{BitstreamLayout, PictureType};
use video_hw::pixel::PixelFormat;
use video_hw::time::{Rational, TimeBase, Timestamp};

/// What an encoder does; pictures count from zero, and the first is the one by which it proves itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Not opened, for this reason.
    pub(crate) refuse: Option<Refusal>,
    pub(crate) die_at: Option<u64>,
    /// Codes this picture and dies.
    pub(crate) die_behind: Option<u64>,
    pub(crate) panic_at: Option<u64>,
    pub(crate) lose: BTreeSet<u64>,
    pub(crate) swallow: BTreeSet<u64>,
    /// No answer at all: a breach of the seam's rules.
    pub(crate) mute: BTreeSet<u64>,
    pub(crate) in_place: InPlace,
    pub(crate) refuse_reconfigure: bool,
    /// Takes new settings and dies of the next picture.
    pub(crate) die_of_reconfigure: bool,
    /// Pictures behind the first wait until it is open.
    pub(crate) gate: Option<Arc<AtomicBool>>,
    pub(crate) notes: Vec<String>,
    /// Dies of a frame with messages, and says beforehand that it takes none.
    pub(crate) no_messages: bool,
    /// Milliseconds for each picture.
    pub(crate) delay: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unsupported,
    Unavailable,
    Broken,
    Cancelled,
}

/// What all encoders of a source have done together.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) live: AtomicUsize,
    pub(crate) most_live: AtomicUsize,
    pub(crate) opened: AtomicUsize,
    pub(crate) reconfigured: AtomicUsize,
    /// Messages that came with frames.
    pub(crate) messages: AtomicUsize,
    /// What each session that was asked for was to do where there was no room.
    pub(crate) admissions: Mutex<Vec<SessionAdmission>>,
}

type Planner = dyn Fn(usize, BackendKind, &CommonEncodeConfig) -> Plan + Send + Sync;

/// Opens encoders by plan.
pub(crate) struct Source {
    pub(crate) kinds: Vec<BackendKind>,
    /// Encoders that may live at a time.
    pub(crate) limit: usize,
    pub(crate) plan: Box<Planner>,
    pub(crate) log: Arc<Log>,
}

impl Source {
    pub(crate) fn new(
        plan: impl Fn(usize, BackendKind, &CommonEncodeConfig) -> Plan + Send + Sync + 'static,
    ) -> Self {
        Self {
            kinds: vec![BackendKind::Custom],
            limit: 8,
            plan: Box::new(plan),
            log: Arc::new(Log::default()),
        }
    }
}

impl EncoderSource for Source {
    fn candidates(&self) -> Vec<Candidate> {
        self.kinds.iter().copied().map(Candidate::of).collect()
    }

    fn open(
        &self,
        candidate: Candidate,
        config: &CommonEncodeConfig,
        _special: &BackendEncodeConfig,
        sink: EncodeSink,
    ) -> Result<Box<dyn EncoderBackend>> {
        let kind = self.kinds.iter().copied().find(|kind| Candidate::of(*kind) == candidate).unwrap();
        let session = self.log.opened.fetch_add(1, Ordering::SeqCst);
        self.log.admissions.lock().unwrap().push(config.admission);
        let plan = (self.plan)(session, kind, config);
        match plan.refuse {
            None => {}
            Some(Refusal::Unsupported) => return Err(Error::unsupported("scripted setting")),
            Some(Refusal::Unavailable) => {
                let (reason, remedy) = ("scripted absence".to_owned(), Remedy::None);
                return Err(Error::Unavailable { backend: kind, reason, remedy });
            }
            Some(Refusal::Broken) => return Err(Error::corrupt_fatal("scripted refusal")),
            Some(Refusal::Cancelled) => return Err(Error::Cancelled),
        }
        if let SessionAdmission::Wait(time) = config.admission {
            let asked = Instant::now();
            while self.log.live.load(Ordering::SeqCst) >= self.limit && asked.elapsed() < time {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if self.log.live.load(Ordering::SeqCst) >= self.limit {
            return Err(Error::SessionLimit { backend: kind, detail: "scripted".to_owned(), sessions: None });
        }
        let live = self.log.live.fetch_add(1, Ordering::SeqCst) + 1;
        self.log.most_live.fetch_max(live, Ordering::SeqCst);
        Ok(Box::new(Encoder {
            session,
            plan,
            config: config.clone(),
            sink,
            log: Arc::clone(&self.log),
            held: Vec::new(),
            begin: true,
            since_idr: 0,
            pictures: 0,
            sequence: 0,
            last_serial: None,
            doomed: false,
        }))
    }
}

struct Encoder {
    session: usize,
    plan: Plan,
    config: CommonEncodeConfig,
    sink: EncodeSink,
    log: Arc<Log>,
    /// Serial and shade of pictures that become B pictures behind the next P.
    held: Vec<(u64, u8)>,
    begin: bool,
    since_idr: u32,
    pictures: u64,
    sequence: u32,
    last_serial: Option<u64>,
    doomed: bool,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.log.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Encoder {
    fn emit(&mut self, (serial, shade): (u64, u8), picture_type: PictureType) {
        self.sequence = if picture_type == PictureType::Idr { 0 } else { self.sequence + 1 };
        let coded = Coded {
            shade,
            session: self.session as u32,
            sequence: self.sequence,
            bitrate: bitrate_of(&self.config),
            width: self.config.dimensions.width(),
        };
        let unit = EncodedUnit {
            serial,
            data: coded.to_bytes().into(),
            keyframe: picture_type == PictureType::Idr,
            picture_type: Some(picture_type),
        };
        (self.sink)(EncodeEvent::Unit(unit));
    }

    fn close_group(&mut self) {
        let Some(last) = self.held.pop() else { return };
        self.emit(last, PictureType::P);
        for picture in std::mem::take(&mut self.held) {
            self.emit(picture, PictureType::B);
        }
    }
}

impl EncoderBackend for Encoder {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        let serial = unit.serial;
        assert!(self.last_serial.is_none_or(|last| serial > last), "serials must rise within a session");
        self.last_serial = Some(serial);
        let messages = unit.frame.user_sei.len();
        if self.plan.no_messages && messages > 0 {
            return Err(Error::unsupported("scripted messages"));
        }
        self.log.messages.fetch_add(messages, Ordering::SeqCst);
        let host = unit.frame.as_host().expect("frames reach an encoder in host memory");
        assert_eq!((host.dimensions(), host.format()), (self.config.dimensions, self.config.format));
        if self.plan.delay > 0 {
            std::thread::sleep(Duration::from_millis(self.plan.delay));
        }
        if let Some(gate) = self.plan.gate.as_ref().filter(|_| self.pictures > 0) {
            while !gate.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let picture = self.pictures;
        self.pictures += 1;
        assert!(self.plan.panic_at != Some(picture), "scripted panic");
        if self.doomed || self.plan.die_at.is_some_and(|at| picture >= at) {
            let error = Error::DeviceLost { backend: BackendKind::Custom, detail: "scripted".to_owned() };
            return Err(error);
        }
        if self.plan.lose.contains(&picture) {
            (self.sink)(EncodeEvent::Failed { serial, error: Error::corrupt("scripted loss") });
            return Ok(());
        }
        if self.plan.swallow.contains(&picture) {
            (self.sink)(EncodeEvent::Dropped { serial, reason: "swallowed" });
            return Ok(());
        }
        if self.plan.mute.contains(&picture) {
            return Ok(());
        }
        let shade = host.plane(0).unwrap().row(0)[0];
        let gop_ends = self.config.gop_length.is_some_and(|gop| self.since_idr >= gop);
        if self.begin || unit.frame.force_keyframe || gop_ends {
            self.close_group();
            self.begin = false;
            self.since_idr = 1;
            self.emit((serial, shade), PictureType::Idr);
        } else {
            self.since_idr += 1;
            self.held.push((serial, shade));
            if self.held.len() > self.config.requested_b_frames().unwrap_or(0) as usize {
                self.close_group();
            }
        }
        if self.plan.die_behind == Some(picture) {
            let error = Error::DeviceLost { backend: BackendKind::Custom, detail: "scripted".to_owned() };
            return Err(error);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.close_group();
        self.begin = true;
        Ok(())
    }

    fn reorder_delay(&self) -> usize {
        usize::from(self.config.requested_b_frames().unwrap_or(0) > 0)
    }

    fn implementation(&self) -> &'static str {
        "scripted"
    }

    fn in_place(&self) -> InPlace {
        self.plan.in_place
    }

    fn reconfigure(&mut self, config: &CommonEncodeConfig, _special: &BackendEncodeConfig) -> Result<()> {
        self.log.reconfigured.fetch_add(1, Ordering::SeqCst);
        if self.plan.refuse_reconfigure {
            return Err(Error::unsupported("scripted refusal of new settings"));
        }
        if config.dimensions != self.config.dimensions {
            self.close_group();
            self.begin = true;
        }
        self.config = config.clone();
        self.doomed = self.plan.die_of_reconfigure;
        Ok(())
    }

    fn admission(&self) -> FrameCheck {
        let none = self.plan.no_messages;
        Arc::new(move |frame| match frame.user_sei.len() {
            messages if none && messages > 0 => Err(Error::unsupported("scripted messages")),
            _ => Ok(()),
        })
    }

    fn notes(&self) -> Vec<String> {
        self.plan.notes.clone()
    }

    fn idr_interval(&self) -> Option<u32> {
        self.config.gop_length
    }
}

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coded {
    pub(crate) shade: u8,
    pub(crate) session: u32,
    /// Place since the IDR, in coding order.
    pub(crate) sequence: u32,
    pub(crate) bitrate: u32,
    pub(crate) width: u32,
}

impl Coded {
    fn to_bytes(self) -> Vec<u8> {
        let numbers = [u32::from(self.shade), self.session, self.sequence, self.bitrate, self.width];
        numbers.into_iter().flat_map(u32::to_be_bytes).collect()
    }

    pub(crate) fn of(data: &[u8]) -> Self {
        let numbers: Vec<u32> =
            data.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
        let [shade, session, sequence, bitrate, width] = numbers[..] else { panic!("{data:?}") };
        Self { shade: shade as u8, session, sequence, bitrate, width }
    }
}

pub(crate) fn bitrate_of(config: &CommonEncodeConfig) -> u32 {
    match config.rate_control {
        Some(RateControl::Cbr { bitrate_bps }) => bitrate_bps,
        _ => 0,
    }
}

pub(crate) fn size(width: u32, height: u32) -> Dimensions {
    Dimensions::new(width, height).unwrap()
}

/// 32x32 at 25 frames a second, constant bit rate.
pub(crate) fn config(bitrate_bps: u32) -> CommonEncodeConfig {
    CommonEncodeConfig::new(Codec::H264, size(32, 32), Rational::new(25, 1).unwrap())
        .rate_control(RateControl::Cbr { bitrate_bps })
}

pub(crate) fn pts(number: u64) -> Timestamp {
    // As uneven as a camera's.
    Timestamp::new((40 * number + 3 * (number % 2)) as i64, TimeBase::new(1, 1000).unwrap())
}

/// The shade of a picture, which scaling leaves as it is.
pub(crate) fn shade(number: u64) -> u8 {
    (16 + number % 200) as u8
}

pub(crate) fn frame(number: u64, size: Dimensions) -> Frame {
    let bytes = vec![shade(number); PixelFormat::I420.frame_bytes(size)];
    Frame::host(pts(number), HostSurface::from_packed(PixelFormat::I420, size, bytes).unwrap())
}

/// Everything that can be changed in place.
pub(crate) fn flexible() -> InPlace {
    InPlace { bitrate: true, rate_mode: true, frame_rate: true, max_dimensions: Some(size(32, 32)) }
}

/// A plan for each session, in order; the last for all that follow.
pub(crate) fn in_turn(plans: Vec<Plan>) -> Source {
    let plans = Mutex::new(plans);
    Source::new(move |number, _, _| {
        let plans = plans.lock().unwrap();
        plans.get(number).or(plans.last()).cloned().unwrap_or_default()
    })
}
