//! A decoder that was chosen by itself and then refuses the stream it gets (a profile, a bit depth or a coding tool that only
//! the stream tells, perhaps in its middle) is replaced by the next candidate. The receipt says so.
//!
//! The next one is given all units since the last at which any decoder can begin. What the first one had answered of them
//! stays answered, and what comes again is passed over: no picture is lost, and none is given twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backend::{
    self, Backend, CANDIDATES, CodedUnit, DecodeEvent, DecoderBackend, Downloads, SharedReceipt, SinkFactory,
    open_decoder_from,
};
use crate::bitstream::{ActiveParameterSets, UnitRole};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;
use crate::sync::lock;

/// Opens the decoder that is wanted, or several that look like one. One that was chosen by itself can still be replaced.
///
/// # Errors
/// When no candidate can do it.
pub(crate) fn open_decoder(
    wanted: Backend,
    config: &CommonDecodeConfig,
    sink: SinkFactory,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    backend::share_out(wanted, config, sink, open_one)
}

fn open_one(
    wanted: Backend,
    config: &CommonDecodeConfig,
    downloads: &Downloads,
    sink: SinkFactory,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    if wanted != Backend::Auto {
        let (current, receipt) = open_decoder_from(0, wanted, config, downloads, &sink)?;
        return Ok((current, SharedReceipt::new(receipt)));
    }
    let watch = Watch::new();
    let sinks = watch.over(sink);
    let (current, receipt) = open_decoder_from(0, wanted, config, downloads, &sinks)?;
    watch.adopt();
    let receipt = SharedReceipt::new(receipt);
    let decoder = FallbackDecoder {
        current,
        receipt: receipt.clone(),
        config: config.clone(),
        downloads: downloads.clone(),
        sinks,
        watch,
        kept: Vec::new(),
        kept_bytes: 0,
        sets: ActiveParameterSets::new(config.codec),
        lead: Vec::new(),
        keeps: true,
        helpers_before: Duration::ZERO,
    };
    Ok((Box::new(decoder), receipt))
}

/// Units that are kept for another decoder, and their size. Where more come before decoding can begin anew, a refusal in the
/// middle is final.
const MAX_KEPT_UNITS: usize = 2000;
const MAX_KEPT_BYTES: usize = 64 << 20;

/// Stands between decoders and the session, and catches refusals.
#[derive(Clone)]
struct Watch(Arc<Mutex<Watched>>);

/// Instead of the number of a decoder: the events of all count.
const ALL: u64 = 0;

struct Watched {
    /// Number of the decoder whose events count; what another still says is not heard.
    decoder: u64,
    /// The first unit that is kept. About those before it nothing can be changed any more.
    kept_from: u64,
    /// Kept units that are answered.
    answered: BTreeSet<u64>,
    /// The unit that was refused.
    refusal: Option<(u64, Error)>,
    /// What the decoder has said of kept units since then.
    held: Vec<DecodeEvent>,
    /// Another decoder may take over.
    catches: bool,
}

impl Watch {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Watched {
            decoder: ALL,
            kept_from: 0,
            answered: BTreeSet::new(),
            refusal: None,
            held: Vec::new(),
            catches: true,
        })))
    }

    /// Sinks for the next decoder.
    fn over(&self, sinks: SinkFactory) -> SinkFactory {
        let watch = self.clone();
        Box::new(move || {
            let (mut sink, watch) = (sinks(), watch.clone());
            let decoder = lock(&watch.0).decoder + 1;
            Box::new(move |event| match lock(&watch.0).pass(decoder, event) {
                Some(event) => sink(event),
                None => true,
            })
        })
    }

    /// The decoder that was opened last is the one that counts.
    fn adopt(&self) {
        let mut watched = lock(&self.0);
        watched.decoder += 1;
        watched.refusal = None;
        watched.held.clear();
    }

    /// Units are kept from this one on.
    fn keep_from(&self, serial: u64) {
        let mut watched = lock(&self.0);
        watched.kept_from = serial;
        watched.answered.clear();
    }

    fn refusal(&self) -> Option<Error> {
        lock(&self.0).refusal.as_ref().map(|(_, error)| error.clone())
    }

    /// No other decoder takes over: what was held back, in order.
    fn give_up(&self) -> Vec<DecodeEvent> {
        let mut watched = lock(&self.0);
        watched.catches = false;
        watched.decoder = ALL;
        watched.answered.clear();
        let refusal = watched.refusal.take();
        let refusal =
            refusal.map(|(serial, error)| DecodeEvent::Failed { serial, error: error.after_every_backend() });
        refusal.into_iter().chain(std::mem::take(&mut watched.held)).collect()
    }
}

impl Watched {
    /// The event, if it is to be handed on now.
    fn pass(&mut self, decoder: u64, event: DecodeEvent) -> Option<DecodeEvent> {
        if decoder != self.decoder && self.decoder != ALL {
            return None;
        }
        let serial = match &event {
            DecodeEvent::Picture(picture) => picture.serial,
            DecodeEvent::NoPicture { serial, .. } | DecodeEvent::Failed { serial, .. } => *serial,
            DecodeEvent::Note(_) => return Some(event),
        };
        if !self.catches || serial < self.kept_from {
            return Some(event);
        }
        if self.answered.contains(&serial) {
            return None;
        }
        match event {
            event if self.refusal.is_some() => self.held.push(event),
            DecodeEvent::Failed { error: error @ Error::Unsupported { .. }, .. } => {
                self.refusal = Some((serial, error));
            }
            event => {
                self.answered.insert(serial);
                return Some(event);
            }
        }
        None
    }
}

struct FallbackDecoder {
    current: Box<dyn DecoderBackend>,
    receipt: SharedReceipt,
    config: CommonDecodeConfig,
    downloads: Downloads,
    sinks: SinkFactory,
    watch: Watch,
    /// Units since the last at which any decoder can begin.
    kept: Vec<CodedUnit>,
    kept_bytes: usize,
    /// The parameter sets so far, and those that the first of the kept units does not bring itself.
    sets: ActiveParameterSets,
    lead: Vec<u8>,
    /// Another decoder may still take over, from the first of the kept units on.
    keeps: bool,
    /// CPU time of the threads of decoders that were replaced.
    helpers_before: Duration,
}

impl FallbackDecoder {
    fn keep(&mut self, unit: &CodedUnit) {
        if !lock(&self.watch.0).catches {
            return;
        }
        let role = UnitRole::of(self.config.codec, &unit.packet.data);
        let begins = if self.keeps { self.kept.is_empty() } else { unit.packet.keyframe };
        if begins || role == UnitRole::Closed {
            self.kept.clear();
            self.kept_bytes = 0;
            self.keeps = true;
            self.lead = self.sets.missing_from(&unit.packet.data);
            self.watch.keep_from(unit.serial);
        }
        self.sets.observe(&unit.packet.data);
        self.kept_bytes += unit.packet.data.len();
        if self.kept.len() >= MAX_KEPT_UNITS || self.kept_bytes > MAX_KEPT_BYTES {
            self.forget();
            self.keeps = false;
        } else if self.keeps {
            // Cheap: the data is shared.
            self.kept.push(unit.clone());
        }
    }

    /// What was submitted so far is done with.
    fn forget(&mut self) {
        self.kept = Vec::new();
        self.kept_bytes = 0;
        self.keeps = true;
        self.watch.keep_from(u64::MAX);
    }

    /// The refusal that a call came to, for which another decoder may be tried.
    fn refusal(&self, done: &Result<()>) -> Option<Error> {
        match (self.watch.refusal(), done) {
            (Some(refusal), _) => Some(refusal),
            (None, Err(refusal @ Error::Unsupported { .. })) if !self.kept.is_empty() => {
                Some(refusal.clone())
            }
            _ => None,
        }
    }

    /// Puts the next candidate that opens in the place of the current decoder; `false` when there is none.
    fn replace(&mut self, refusal: &Error) -> bool {
        if !lock(&self.watch.0).catches {
            return false;
        }
        let Some((kind, _)) = self.receipt.get().chosen() else { return false };
        let Some(current) = CANDIDATES.iter().position(|candidate| *candidate == kind) else { return false };
        let opened =
            open_decoder_from(current + 1, Backend::Auto, &self.config, &self.downloads, &self.sinks);
        let Ok((decoder, rest)) = opened else { return false };
        if decoder.input_layout() != self.current.input_layout() {
            return false;
        }
        // What the old one holds of older units comes out before anything of the new one; if it fails there, its units are
        // failed.
        let _ = self.current.flush();
        self.watch.adopt();
        self.helpers_before += self.current.helper_time();
        self.current = decoder;
        self.receipt.change(|receipt| receipt.replace_chosen(refusal, rest.entries));
        true
    }

    /// Gives the kept units to a decoder that has taken over.
    fn replay(&mut self) -> Result<()> {
        for (number, mut unit) in self.kept.clone().into_iter().enumerate() {
            if number == 0 && !self.lead.is_empty() {
                unit.packet.data = [&self.lead, &unit.packet.data[..]].concat().into();
            }
            self.current.submit(unit)?;
            if self.watch.refusal().is_some() {
                break;
            }
        }
        Ok(())
    }

    /// No other decoder takes over. `done`: what the call came to that brought the refusal.
    fn give_up(&mut self, done: Result<()>) -> Result<()> {
        let mut sink = (self.sinks)();
        for event in self.watch.give_up() {
            if !sink(event) {
                break;
            }
        }
        done.map_err(Error::after_every_backend)
    }
}

impl DecoderBackend for FallbackDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        self.current.input_layout()
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        self.keep(&unit);
        let mut done = self.current.submit(unit);
        while let Some(refusal) = self.refusal(&done) {
            if !self.replace(&refusal) {
                return self.give_up(done);
            }
            done = self.replay();
        }
        done
    }

    fn flush(&mut self) -> Result<()> {
        let mut done = self.current.flush();
        while let Some(refusal) = self.refusal(&done) {
            if !self.replace(&refusal) {
                return self.give_up(done);
            }
            done = self.replay().and_then(|()| self.current.flush());
        }
        self.forget();
        done
    }

    fn implementation(&self) -> &'static str {
        self.current.implementation()
    }

    fn helper_time(&self) -> Duration {
        self.helpers_before + self.current.helper_time()
    }
}
