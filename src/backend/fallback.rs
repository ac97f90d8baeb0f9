//! A decoder that was chosen by itself and then refuses the stream it gets (a profile, a bit depth or a size that only
//! the stream tells) is replaced by the next candidate, before anything is lost. The receipt says so.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lanes::Lanes;
use super::select::open_decoder_from;
use super::split::{self, CardRoom, Direct, Landing, SharedReport};
use super::{
    Backend, CANDIDATES, CodedUnit, DecodeEvent, DecodeSink, DecoderBackend, Download, Receipt, nvidia,
};
use crate::config::{CommonDecodeConfig, DecodeOutputMode, Engines};
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// A receipt that may still change: as long as the decoder lives, another may take its place.
#[derive(Clone)]
pub(crate) struct SharedReceipt(Arc<Mutex<(Receipt, Option<SharedReport>)>>);

impl SharedReceipt {
    pub(crate) fn new(receipt: Receipt) -> Self {
        Self(Arc::new(Mutex::new((receipt, None))))
    }

    /// As it stands.
    pub(crate) fn get(&self) -> Receipt {
        let inner = self.lock();
        Receipt { split: inner.1.as_ref().map(SharedReport::get), ..inner.0.clone() }
    }

    /// The job is shared out among several decoders.
    pub(super) fn set_split(&self, report: SharedReport) {
        self.lock().1 = Some(report);
    }

    /// Another backend has taken over.
    #[cfg(test)]
    pub(super) fn replace_for_test(&self, kind: super::BackendKind) {
        let receipt = &mut self.lock().0;
        *receipt = Receipt::given(receipt.job, receipt.codec, kind, "another");
    }

    fn lock(&self) -> MutexGuard<'_, (Receipt, Option<SharedReport>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a sink for each decoder that is tried.
pub(crate) type SinkFactory = Box<dyn Fn() -> DecodeSink + Send>;

/// Opens the decoder that is wanted, or several that look like one.
///
/// # Errors
/// When no candidate can do it.
pub(crate) fn open_decoder(
    wanted: Backend,
    config: &CommonDecodeConfig,
    sink: SinkFactory,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    // Parts would be decoded ahead, but a frame that is wanted at once must be the next to be decoded.
    if let Engines::Count(count) = config.engines
        && config.low_latency
        && count > NonZeroUsize::MIN
    {
        return Err(Error::Unsupported {
            feature: format!("engines {count} with low_latency"),
            remedy: "allowed: 1 or auto, since several decoders decode ahead of their turn".to_owned(),
        });
    }
    if config.engines == Engines::One || config.low_latency {
        return open_one(wanted, config, Download::Now, sink);
    }
    let lanes = Lanes::new(wanted, config)?;
    let (each, decide) = (lanes.clone(), lanes);
    // Pictures that wait for older ones do so where they were decoded.
    let cards = Arc::new(CardRoom::new());
    let (download, landing): (_, Box<dyn Landing>) = match config.output {
        DecodeOutputMode::HostSurface | DecodeOutputMode::CpuRgb => {
            (Download::Later(Arc::clone(&cards)), Box::new(nvidia::Downloads::new(sink())))
        }
        DecodeOutputMode::NativeSurface | DecodeOutputMode::MetadataOnly => {
            (Download::Now, Box::new(Direct(sink())))
        }
    };
    let open = Box::new(move |number, sink| open_one(wanted, &each.config(number), download.clone(), sink));
    split::open(config.codec, landing, cards, open, Box::new(move |chosen| decide.terms(chosen)))
}

/// Opens one decoder; one that was chosen by itself can still be replaced.
///
/// # Errors
/// When no candidate can do it.
fn open_one(
    wanted: Backend,
    config: &CommonDecodeConfig,
    download: Download,
    sink: SinkFactory,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    if wanted != Backend::Auto {
        let (current, receipt) = open_decoder_from(0, wanted, config, &download, &sink)?;
        return Ok((current, SharedReceipt::new(receipt)));
    }
    let watch = Watch::default();
    let sink = watch.over(sink);
    let (current, receipt) = open_decoder_from(0, wanted, config, &download, &sink)?;
    let receipt = SharedReceipt::new(receipt);
    let config = config.clone();
    let decoder = Fallback { current, receipt: receipt.clone(), config, download, sink, watch, taken: false };
    Ok((Box::new(decoder), receipt))
}

/// Some decoders refuse a stream by failing its first unit. Catches that, so that the unit can go to another.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    /// The unit at hand, where another decoder could begin with it.
    unit: Option<u64>,
    refusal: Option<Error>,
}

impl Watch {
    /// Sinks that catch a refusal of the unit at hand.
    fn over(&self, sinks: SinkFactory) -> SinkFactory {
        let watch = self.clone();
        Box::new(move || {
            let (mut sink, watch) = (sinks(), watch.clone());
            Box::new(move |event| match event {
                DecodeEvent::Failed { serial, error: error @ Error::Unsupported { .. } } => {
                    match watch.catch(serial, error) {
                        Some(error) => sink(DecodeEvent::Failed { serial, error }),
                        None => true,
                    }
                }
                event => sink(event),
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back an error that is about another unit.
    fn catch(&self, serial: u64, error: Error) -> Option<Error> {
        let mut watched = self.lock();
        if watched.unit != Some(serial) {
            return Some(error);
        }
        watched.unit = None;
        watched.refusal = Some(error);
        None
    }

    fn begin(&self, unit: Option<u64>) {
        *self.lock() = Watched { unit, refusal: None };
    }

    fn end(&self) -> Option<Error> {
        std::mem::take(&mut *self.lock()).refusal
    }
}

struct Fallback {
    current: Box<dyn DecoderBackend>,
    receipt: SharedReceipt,
    config: CommonDecodeConfig,
    download: Download,
    sink: SinkFactory,
    watch: Watch,
    /// The current decoder has taken a unit: another one could begin at a random access point only.
    taken: bool,
}

impl Fallback {
    /// Puts the next candidate that opens in the place of the current decoder; `None` when there is none.
    fn replace(&mut self, refusal: &Error) -> Option<()> {
        let (kind, _) = self.receipt.lock().0.chosen()?;
        let next = CANDIDATES.iter().position(|candidate| *candidate == kind)? + 1;
        let (decoder, rest) =
            open_decoder_from(next, Backend::Auto, &self.config, &self.download, &self.sink).ok()?;
        if decoder.input_layout() != self.current.input_layout() {
            return None;
        }
        // What the old one holds comes out before anything of the new one; if it fails there, its units are failed.
        let _ = self.current.flush();
        self.current = decoder;
        self.taken = false;
        self.receipt.lock().0.replace_chosen(refusal, rest);
        Some(())
    }
}

impl DecoderBackend for Fallback {
    fn input_layout(&self) -> BitstreamLayout {
        self.current.input_layout()
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        loop {
            let can_begin = !self.taken || unit.packet.keyframe;
            self.watch.begin(can_begin.then_some(unit.serial));
            // Cheap: the data is shared.
            let done = self.current.submit(unit.clone());
            let failed = self.watch.end();
            match (failed, done) {
                (Some(refusal), _) => {
                    if self.replace(&refusal).is_none() {
                        self.taken = true;
                        (self.sink)()(DecodeEvent::Failed { serial: unit.serial, error: refusal });
                        return Ok(());
                    }
                }
                (None, Err(refusal @ Error::Unsupported { .. })) if can_begin => {
                    if self.replace(&refusal).is_none() {
                        return Err(refusal);
                    }
                }
                (None, done) => {
                    self.taken |= done.is_ok();
                    return done;
                }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.current.flush()
    }

    fn implementation(&self) -> &'static str {
        self.current.implementation()
    }
}
