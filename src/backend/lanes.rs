//! How many decoders share one stream, and what each of them is told.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use super::budget::Budget;
use super::split::{self, Growth, Room, Terms};
use super::vendors::{self, Cards, vendor};
use super::{
    Backend, BackendKind, CardRoom, DecodeSink, DecoderBackend, Direct, Download, DownloadStage,
    SharedReceipt, SinkFactory,
};
use crate::capability::DeviceInfo;
use crate::config::{CommonDecodeConfig, DecodeOutputMode, Engines};
use crate::error::{Error, Remedy, Result};

/// Decoders for each three engines of a GPU, rounded up. One an engine leaves it idle while it is drained and while its
/// pictures are taken out; each one more lets more pictures wait for older ones. On an H200 with seven engines ten decoders
/// gave the most frames in device memory, 6,790 of 1080p HEVC a second; seven gave 6,620, fourteen 6,030
/// (docs/bench/h200.md). On two such cards it is one an engine: 7,880 with fourteen, 5,840 with twenty.
const PER_THREE_ENGINES: usize = 4;
/// Most decoders: driver memory and threads grow with each.
const MAX_LANES: usize = 64;
/// Share of a memory that waiting pictures may take.
const WINDOW_PART: u64 = 8;
/// Most bytes of pictures that wait in a device's memory: seven decoders of 1080p filled 5.7 GiB on their own. A larger
/// window is filled all the same, and memory that is taken and freed stops the device.
const MAX_DEVICE_WINDOW: u64 = 8 << 30;
/// Most bytes of pictures that wait in host memory: page-locked memory takes 0.3 ms a MiB to make.
const MAX_HOST_WINDOW: u64 = 1 << 30;
/// Parts that a CPU decoder may be ahead of the oldest, for each decoder: one at work, and one that waits. Memory then follows
/// the length of groups of pictures and not that of the file, however slow the consumer is.
const PARTS_AHEAD: u64 = 2;

/// Opens one decoder.
pub(crate) type OpenOne = fn(
    Backend,
    &CommonDecodeConfig,
    &Downloads,
    SinkFactory,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)>;

/// Opens as many decoders as a stream is to have, each by `open`; several look like one.
///
/// # Errors
/// The first decoder's; settings that contradict each other.
pub(crate) fn share_out(
    wanted: Backend,
    config: &CommonDecodeConfig,
    sink: SinkFactory,
    open: OpenOne,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    // Parts would be decoded ahead, but a frame that is wanted at once must be the next to be decoded.
    if let Engines::Count(count) = config.engines
        && config.low_latency
        && count > NonZeroUsize::MIN
    {
        return Err(Error::Unsupported {
            feature: format!("engines {count} with low_latency"),
            remedy: Remedy::Allowed(
                "1 or auto, since several decoders decode ahead of their turn".to_owned(),
            ),
        });
    }
    let budget = Budget::new(config);
    if config.engines == Engines::One || config.low_latency {
        let (decoder, receipt) = open(wanted, config, &Downloads::default(), budget.over(sink))?;
        return Ok((budget.bound(decoder), receipt));
    }
    let lanes = Lanes::new(wanted, config)?;
    let (each, decide) = (lanes.clone(), lanes);
    let room = Arc::new(CardRoom::new());
    // Pictures that wait for older ones do so where they were decoded.
    let to_host = matches!(config.output, DecodeOutputMode::HostSurface | DecodeOutputMode::CpuRgb);
    let downloads = Downloads { room: to_host.then(|| Arc::clone(&room)), ..Downloads::default() };
    let (own, landed) = (downloads.clone(), sink());
    let open_lane = Box::new(move |number, sink| {
        let (decoder, receipt) = open(wanted, &each.config(number), &own, budget.over(sink))?;
        Ok((budget.bound(decoder), receipt))
    });
    let download =
        |chosen: Option<(BackendKind, _)>| downloads.download(chosen.map(|(kind, _)| kind), landed);
    split::open(config.codec, download, room, open_lane, Box::new(move |chosen| decide.terms(chosen)))
}

/// When pictures that are wanted in host memory leave the devices of a stream's decoders. They may wait on those of one
/// vendor, the first decoder's, whose download stage brings them over; what anybody else decodes leaves at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Downloads {
    /// `None`: all at once.
    room: Option<Arc<CardRoom>>,
    /// Whose download stage it is, from the first decoder on.
    vendor: Arc<OnceLock<BackendKind>>,
}

impl Downloads {
    /// What a decoder of this kind is told.
    pub(super) fn of(&self, kind: BackendKind) -> Download {
        match &self.room {
            Some(room) if self.vendor.get().is_none_or(|vendor| *vendor == kind) => {
                Download::Later(Arc::clone(room))
            }
            _ => Download::Now,
        }
    }

    /// The download stage of the vendor that was chosen.
    fn download(&self, chosen: Option<BackendKind>, sink: DecodeSink) -> Box<dyn DownloadStage> {
        let kind = *self.vendor.get_or_init(|| chosen.unwrap_or(BackendKind::Custom));
        let cards = vendor(kind).calls.as_ref().and_then(|calls| calls.cards.as_ref());
        match cards.filter(|_| self.room.is_some()) {
            Some(cards) => (cards.download)(sink),
            None => Box::new(Direct(sink)),
        }
    }
}

/// The plan for a split stream.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    config: CommonDecodeConfig,
    /// Whose cards may be chosen.
    cards: Option<(BackendKind, &'static Cards)>,
    /// Cards to go round; empty when there is none, or none is wanted.
    devices: Vec<DeviceInfo>,
}

impl Lanes {
    /// # Errors
    /// Devices that are asked for and are not there.
    pub(super) fn new(wanted: Backend, config: &CommonDecodeConfig) -> Result<Self> {
        // Asking for cards loads the driver, which the CPU does not need.
        let may_choose = |kind| wanted == Backend::Auto || wanted == Backend::Only(kind);
        let cards = vendors::cards().find(|(kind, _)| may_choose(*kind));
        let devices = match cards.map(|(_, cards)| (cards.list)(config.device.as_deref())) {
            Some(Ok(devices)) => devices,
            Some(Err(error @ Error::InvalidInput { .. })) => return Err(error),
            // Why there is none is told by the decoder that cannot be opened.
            Some(Err(_)) | None => Vec::new(),
        };
        Ok(Self { config: config.clone(), cards, devices })
    }

    /// How many decoders there are is left to the stream and the machine.
    fn is_auto(&self) -> bool {
        self.config.engines == Engines::Auto
    }

    /// Settings of one of the decoders.
    pub(super) fn config(&self, number: usize) -> CommonDecodeConfig {
        let device = self.devices.get(number % self.devices.len().max(1));
        CommonDecodeConfig {
            engines: Engines::One,
            device: device.map(|device| device.ordinal.to_string()).or_else(|| self.config.device.clone()),
            // The processor's cores go to decoders, not to threads inside them; one that has threads stays alone by itself.
            threads: if self.is_auto() { self.config.threads } else { Some(NonZeroUsize::MIN) },
            ..self.config.clone()
        }
    }

    /// What the stream may take when the first decoder is of this kind.
    pub(super) fn terms(&self, chosen: Option<(BackendKind, &'static str)>) -> Terms {
        let is_chosen = |kind| chosen.is_some_and(|(chosen, _)| chosen == kind);
        let cards = self.cards.filter(|(kind, _)| is_chosen(*kind)).map(|(_, cards)| cards);
        let gpu = cards.is_some();
        // Those for the host wait there, too, and are downloaded when their turn has come.
        let in_device = gpu && self.config.output != DecodeOutputMode::MetadataOnly;
        let (lanes, growth) = match self.config.engines {
            // Its threads keep the cores busy.
            Engines::Auto if chosen.is_some_and(|(kind, _)| kind.decodes_on_threads(self.config.codec)) => {
                (1, Growth::AtOnce)
            }
            Engines::One => (1, Growth::AtOnce),
            Engines::Count(count) => (count.get(), Growth::AtOnce),
            Engines::Auto if let Some(cards) = cards => {
                let engines = |device: &DeviceInfo| (cards.engines)(device, self.config.codec).unwrap_or(1);
                // With several cards more pictures wait in any case, and the memory of those is what counts.
                let one_each = in_device && self.devices.len() > 1;
                let lanes = |device: &DeviceInfo| {
                    if one_each { engines(device) } else { (engines(device) * PER_THREE_ENGINES).div_ceil(3) }
                };
                let engines = self.devices.iter().map(engines).sum();
                (self.devices.iter().map(lanes).sum(), Growth::WithTheStream { engines })
            }
            Engines::Auto => {
                let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
                (self.config.threads.map_or_else(cores, NonZeroUsize::get), Growth::AtOnce)
            }
        };
        let lanes = lanes.clamp(1, MAX_LANES);
        let ahead = if gpu || !self.is_auto() { u64::MAX } else { lanes as u64 * PARTS_AHEAD };
        Terms { lanes, growth, room: self.room(in_device), ahead }
    }

    fn room(&self, in_device: bool) -> Room {
        let stays = self.config.output == DecodeOutputMode::NativeSurface;
        let polite = self.is_auto() && self.config.reorder_window.is_none();
        let memory = |device: &DeviceInfo| {
            let ask = |(_, cards): (_, &Cards)| (cards.memory)(Some(&device.ordinal.to_string())).ok();
            let free = || self.cards.and_then(ask).map(|memory| memory.free);
            if polite { free().unwrap_or(device.memory) } else { device.memory }
        };
        let memory = if in_device { self.devices.iter().map(memory).min() } else { None };
        // Pictures wait in the card that decoded them: each of several holds its part.
        let each_card = memory.map_or(0, |memory| (memory / WINDOW_PART).min(MAX_DEVICE_WINDOW));
        let cards = each_card.saturating_mul(self.devices.len() as u64);
        if let Some(bytes) = self.config.reorder_window {
            // Pictures that can wait in host memory as well leave the card to others beyond its usual part.
            return Room { each_card: if stays { bytes } else { bytes.min(each_card) }, ..Room::of(bytes) };
        }
        let host = host_window(polite);
        Room { host, cards, all: host.saturating_add(cards), each_card }
    }
}

/// Bytes of pictures that may wait in host memory: a share of what is free, or of all there is.
fn host_window(of_free: bool) -> u64 {
    // Linux tells; elsewhere there is no portable way to ask.
    host_share(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default(), of_free)
}

fn host_share(meminfo: &str, of_free: bool) -> u64 {
    let name = if of_free { "MemAvailable:" } else { "MemTotal:" };
    let kib: Option<u64> = meminfo
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim_end().parse().ok());
    kib.map_or(MAX_HOST_WINDOW, |kib| (kib.saturating_mul(1024) / WINDOW_PART).min(MAX_HOST_WINDOW))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    const CPU: Option<(BackendKind, &str)> = Some((BackendKind::Software, "test"));
    const CHILD: Option<(BackendKind, &str)> = Some((BackendKind::Ffmpeg, "test"));

    fn lanes(codec: Codec, engines: Engines, threads: usize) -> Lanes {
        let threads = NonZeroUsize::new(threads);
        let config = CommonDecodeConfig { engines, threads, ..CommonDecodeConfig::new(codec) };
        Lanes::new(BackendKind::Software.into(), &config).unwrap()
    }

    #[test]
    fn by_itself_a_stream_gets_a_decoder_for_each_core_or_one_with_threads() {
        let three = NonZeroUsize::new(3);
        for codec in [Codec::H264, Codec::Hevc, Codec::Vp9, Codec::Vp8] {
            let plan = lanes(codec, Engines::Auto, 3);
            let terms = plan.terms(CPU);
            assert_eq!((terms.lanes, terms.ahead), (3, 6), "{codec}");
            assert_eq!(plan.terms(CHILD).lanes, 1, "{codec}: a child has threads of its own");
        }
        let threaded = lanes(Codec::Av1, Engines::Auto, 3);
        assert_eq!((threaded.terms(CPU).lanes, threaded.config(0).threads), (1, three));
        // A number is taken at its word.
        let four = lanes(Codec::Av1, Engines::Count(NonZeroUsize::new(4).unwrap()), 3);
        assert_eq!((four.terms(CPU).lanes, four.config(0).threads), (4, Some(NonZeroUsize::MIN)));
        assert_eq!(four.terms(CPU).ahead, u64::MAX);
    }

    #[test]
    fn pictures_wait_on_the_cards_of_the_vendor_that_lands_them_and_of_no_other() {
        let waits = |downloads: &Downloads, kind| matches!(downloads.of(kind), Download::Later(_));
        let later = || Downloads { room: Some(Arc::new(CardRoom::new())), ..Downloads::default() };
        let kinds = super::super::CANDIDATES;
        assert!(kinds.into_iter().all(|kind| waits(&later(), kind)), "nobody is chosen yet");
        for chosen in kinds {
            let downloads = later();
            let _ = downloads.download(Some(chosen), Box::new(|_| true));
            assert!(kinds.into_iter().all(|kind| waits(&downloads.clone(), kind) == (kind == chosen)));
            let at_once = Downloads::default();
            let _ = at_once.download(Some(chosen), Box::new(|_| true));
            assert!(!kinds.into_iter().any(|kind| waits(&at_once, kind)));
        }
    }

    #[test]
    fn an_eighth_of_what_is_free_and_a_gibibyte_at_most() {
        let meminfo = "MemTotal:       24684924 kB\nMemFree:          100 kB\nMemAvailable:    4194304 kB\n";
        assert_eq!(host_share(meminfo, true), 512 << 20);
        assert_eq!(host_share(meminfo, false), 1 << 30);
        assert_eq!(host_share("MemAvailable: 80000000 kB", true), 1 << 30);
        assert_eq!(host_share("nothing", true), 1 << 30);
        let room = lanes(Codec::H264, Engines::Auto, 2).room(false);
        assert!(room.host <= 1 << 30 && room.cards == 0, "{room:?}");
    }
}
