//! Many streams through stages that share engines: nobody waits for anybody else's consumer, everybody has a fair share.
//!
//! A stream is a chain of [`Stage`]s (decode, transform, encode, or the caller's own), an end that units go in at and an
//! end that results come out at. One thread moves the units of all streams by submitting and reaping; it waits for
//! nothing but news. What takes time happens on the threads of sessions, and code of the caller's (sources that are read,
//! consumers that are called) on a few helper threads.
//!
//! * **Credits** bound what is inside a stream, from being accepted until its result was taken. Without a credit nothing
//!   more is accepted: a slow consumer stalls its own source, and no other stream.
//! * **Slots** of a class of engines are given to streams by deficit round robin: in proportion to weights, by cost.
//! * **Generations** make what is inside useless at a word, in order and counted.
//! * A **policy** says whether the source waits ([`DropPolicy::Offline`]) or units go ([`DropPolicy::Live`]).
//!
//! Every unit has one outcome in its stream's ledger. `docs/scheduler.md` tells the whole.

mod adapters;
mod credits;
mod depth;
mod driver;
mod fair;
mod handles;
mod helpers;
mod mailbox;
mod policy;
mod ready_set;
mod running;
mod stage;
mod stage_queue;
mod summary;
mod sync;
mod unit;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use adapters::{DecodeStage, EncodeStage, SwitchHandle, SwitchingStage, TransformStage};
pub use depth::DepthSummary;
pub use handles::{StreamControl, StreamInput, StreamOutput};
pub use policy::{DropPolicy, IdrAfterDrop, LiveRules};
pub use stage::{Stage, StageEvent, StageReport};
pub use summary::{ClassSummary, ScheduledSummary, SchedulerSummary, StageFigures};
pub use unit::{Delivery, Unit};

use crate::error::{Error, Result};
use crate::sync::{lock, whole};
use driver::{Driver, SELF, Shared};
use helpers::Helpers;
use mailbox::{Mailbox, Stop};
use ready_set::ReadySet;
use running::{Running, StageSlot};
use stage_queue::StageQueue;
use summary::StageMeter;

/// Credits of a stream that asks for none in particular: enough for the deepest decoders and one picture in each stage.
const CREDITS: usize = 16;
/// A limit that nobody needs, against memory without end.
const MOST_CREDITS: usize = 4096;

/// How a scheduler is laid out.
#[derive(Clone, Debug, Default)]
pub struct SchedulerOptions {
    classes: Vec<(String, usize)>,
}

impl SchedulerOptions {
    /// Engines of one kind that streams share: at most `slots` units are in work at once, of all streams together. Twice
    /// the number of engines keeps them busy while results are taken.
    #[must_use]
    pub fn class(mut self, name: impl Into<String>, slots: usize) -> Self {
        self.classes.push((name.into(), slots));
        self
    }
}

/// A stream to be opened.
#[must_use = "it runs once it is opened"]
pub struct StreamSpec {
    name: String,
    stages: Vec<(Box<dyn Stage>, Option<String>)>,
    credits: usize,
    weight: NonZeroU32,
    policy: DropPolicy,
}

impl StreamSpec {
    /// A stream without stages, which is offline, of weight 1, and has 16 credits.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            stages: Vec::new(),
            credits: CREDITS,
            weight: NonZeroU32::MIN,
            policy: DropPolicy::default(),
        }
    }

    /// Adds a stage behind the others.
    pub fn stage(mut self, stage: impl Stage + 'static) -> Self {
        self.stages.push((Box::new(stage), None));
        self
    }

    /// Adds a stage that takes turns at a class of engines.
    pub fn stage_in(mut self, class: impl Into<String>, stage: impl Stage + 'static) -> Self {
        self.stages.push((Box::new(stage), Some(class.into())));
        self
    }

    /// Units that may be inside at once.
    pub fn credits(mut self, credits: usize) -> Self {
        self.credits = credits;
        self
    }

    /// The stream's share of engines, beside the others' weights.
    pub fn weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// What becomes of units that come too fast.
    pub fn policy(mut self, policy: DropPolicy) -> Self {
        self.policy = policy;
        self
    }
}

/// Drives streams; see the [module](self). Dropping it cancels those that run, and waits for code of the user's that is
/// being executed.
///
/// ```
/// use video_hw::backend::mock::MockEncoder;
/// use video_hw::codec::Codec;
/// use video_hw::config::CommonEncodeConfig;
/// use video_hw::dimensions::Dimensions;
/// use video_hw::frame::{Frame, HostSurface};
/// use video_hw::pipeline::scheduler::{EncodeStage, PipelineScheduler, SchedulerOptions, StreamSpec};
/// use video_hw::pixel::PixelFormat;
/// use video_hw::session::EncodeSession;
/// use video_hw::time::{Rational, TimeBase, Timestamp};
///
/// # fn main() -> video_hw::Result<()> {
/// let scheduler = PipelineScheduler::new(SchedulerOptions::default().class("encoder", 4))?;
/// let size = Dimensions::new(64, 48).ok_or(video_hw::Error::invalid("size"))?;
/// let config = CommonEncodeConfig::new(Codec::H264, size, Rational::ONE);
/// let session = EncodeSession::with_backend(config, |sink| Ok(MockEncoder::default().open(sink)))?;
/// let spec = StreamSpec::new("camera 1").stage_in("encoder", EncodeStage::new(session)).credits(8);
/// let (input, mut output) = scheduler.open(spec)?;
/// input.feed((0..100).map(move |tick| {
///     let grey = vec![128; PixelFormat::I420.frame_bytes(size)];
///     let surface = HostSurface::from_packed(PixelFormat::I420, size, grey)?;
///     Ok(Frame::host(Timestamp::new(tick, TimeBase::MPEG), surface).into())
/// }));
/// let packets: Result<Vec<_>, _> = output.iter().collect();
/// assert_eq!(packets?.len(), 100);
/// assert!(scheduler.summary().balances());
/// # Ok(()) }
/// ```
pub struct PipelineScheduler {
    shared: Arc<Shared>,
    /// None where the caller drives.
    thread: Option<JoinHandle<()>>,
    manual: Option<Mutex<Driver>>,
    next: AtomicU64,
}

impl PipelineScheduler {
    /// A scheduler without streams, on a thread of its own.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a class without slots, or of a name that there is already; no thread.
    pub fn new(options: SchedulerOptions) -> Result<Self> {
        let shared = shared(options, false)?;
        let driver = Driver::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("vhw-scheduler".to_owned())
            .spawn(move || driver.run())
            .map_err(|source| Error::io("start a thread for", "vhw-scheduler", source))?;
        Ok(Self { shared, thread: Some(thread), manual: None, next: AtomicU64::new(SELF + 1) })
    }

    /// A scheduler without a thread: nothing moves but in [`Self::turn`], for callers with a loop of their own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn without_thread(options: SchedulerOptions) -> Result<Self> {
        let shared = shared(options, true)?;
        let driver = Driver::new(Arc::clone(&shared));
        Ok(Self { shared, thread: None, manual: Some(Mutex::new(driver)), next: AtomicU64::new(SELF + 1) })
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for one without stages, of a class that there is not, or with credits that no stage can
    /// work with.
    pub fn open(&self, spec: StreamSpec) -> Result<(StreamInput, StreamOutput)> {
        let StreamSpec { name, stages, credits, weight, policy } = spec;
        if stages.is_empty() {
            return Err(Error::invalid(format!(
                "the stream `{name}` has no stages; add one with StreamSpec::stage"
            )));
        }
        let holds: usize = stages.iter().map(|(stage, _)| stage.holds()).sum();
        if !(holds + 1..=MOST_CREDITS).contains(&credits) {
            return Err(Error::invalid(format!(
                "the stream `{name}` has {credits} credits; its stages hold {holds} units back, so it needs {} to \
                 {MOST_CREDITS}",
                holds + 1
            )));
        }
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let waker =
            std::task::Waker::from(Arc::new(MarkReady { ready: Arc::clone(&self.shared.ready), key }));
        let mut stage_slots = Vec::new();
        let mut meters = Vec::new();
        for (mut stage, class) in stages {
            let index = class.as_deref().map(|class| self.class(&name, class)).transpose()?;
            let meter = Arc::new(StageMeter::new(stage.name(), class, stage.holds()));
            stage.set_waker(&waker);
            meters.push(Arc::clone(&meter));
            stage_slots.push(StageSlot::new(stage, index, StageQueue::new(policy), meter));
        }
        let mailbox =
            Arc::new(Mailbox::new(key, name, credits, policy, meters, Arc::clone(&self.shared.ready)));
        {
            let mut mailboxes = lock(&self.shared.mailboxes);
            mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
            mailboxes.push(Arc::downgrade(&mailbox));
        }
        lock(&self.shared.inbox).push(Running::new(Arc::clone(&mailbox), stage_slots, weight));
        self.shared.ready.mark(SELF);
        Ok((StreamInput(Some(Arc::clone(&mailbox))), StreamOutput(Some(mailbox))))
    }

    fn class(&self, stream: &str, wanted: &str) -> Result<usize> {
        let classes = lock(&self.shared.classes);
        classes.iter().position(|class| class.name == wanted).ok_or_else(|| {
            let known: Vec<_> = classes.iter().map(|class| class.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::invalid(format!(
                "the stream `{stream}` asks for engines of the class `{wanted}`; the scheduler has: {known}"
            ))
        })
    }

    /// Moves everything that can be moved now, user code included; whether something was. Does nothing where the
    /// scheduler has a thread.
    pub fn turn(&self) -> bool {
        let Some(driver) = &self.manual else { return false };
        let mut any = self.shared.helpers.work();
        any |= lock(driver).turn(self.shared.ready.wait(Some(std::time::Duration::ZERO))).0;
        any | self.shared.helpers.work()
    }

    /// What was done so far.
    pub fn summary(&self) -> SchedulerSummary {
        let mailboxes: Vec<_> =
            lock(&self.shared.mailboxes).iter().filter_map(std::sync::Weak::upgrade).collect();
        SchedulerSummary {
            streams: mailboxes.iter().map(|mailbox| ScheduledSummary::of(mailbox)).collect(),
            classes: lock(&self.shared.classes).clone(),
            turns: self.shared.turns.load(Ordering::Relaxed),
            helper_threads: self.shared.helpers.threads(),
        }
    }
}

impl Drop for PipelineScheduler {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        // Held until their consumers are gone, which must not happen on a thread that does not expect it.
        let mailboxes: Vec<_> =
            lock(&self.shared.mailboxes).iter().filter_map(std::sync::Weak::upgrade).collect();
        for mailbox in &mailboxes {
            mailbox.stop(Stop::Cancelled);
        }
        self.shared.ready.mark(SELF);
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            // The thread catches what stages throw; there is nothing to learn from the result.
            let _ = thread.join();
        }
        if let Some(driver) = self.manual.take() {
            whole(driver.into_inner()).end();
        }
        self.shared.helpers.end();
        for mailbox in mailboxes {
            mailbox.leave();
        }
    }
}

fn shared(options: SchedulerOptions, inline: bool) -> Result<Arc<Shared>> {
    let mut classes: Vec<ClassSummary> = Vec::new();
    for (name, slots) in options.classes {
        if slots == 0 {
            return Err(Error::invalid(format!("the class `{name}` has no slots; it needs one at least")));
        }
        if classes.iter().any(|class| class.name == name) {
            return Err(Error::invalid(format!("there are two classes `{name}`")));
        }
        classes.push(ClassSummary { name, slots, used: 0, peak: 0, begun: 0 });
    }
    Ok(Arc::new(Shared {
        ready: Arc::new(ReadySet::new()),
        inbox: Mutex::default(),
        mailboxes: Mutex::default(),
        classes: Mutex::new(classes),
        helpers: Helpers::new(inline),
        ended: AtomicBool::new(false),
        turns: AtomicU64::new(0),
    }))
}

/// Rings for one stream.
struct MarkReady {
    ready: Arc<ReadySet>,
    key: u64,
}

impl std::task::Wake for MarkReady {
    fn wake(self: Arc<Self>) {
        self.ready.mark(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.mark(self.key);
    }
}
