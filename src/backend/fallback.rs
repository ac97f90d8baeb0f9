//! A decoder that was chosen by itself and then refuses the stream it gets (a profile, a bit depth or a size that only
//! the stream tells) is replaced by the next candidate, before anything is lost. The receipt says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::select::open_decoder_from;
use super::{Backend, CANDIDATES, CodedUnit, DecodeSink, DecoderBackend, Receipt};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// A receipt that may still change: as long as the decoder lives, another may take its place.
#[derive(Clone)]
pub(crate) struct SharedReceipt(Arc<Mutex<Receipt>>);

impl SharedReceipt {
    pub(crate) fn new(receipt: Receipt) -> Self {
        Self(Arc::new(Mutex::new(receipt)))
    }

    /// As it stands.
    pub(crate) fn get(&self) -> Receipt {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Receipt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a sink for each decoder that is tried.
pub(crate) type SinkFactory = Box<dyn Fn() -> DecodeSink + Send>;

/// Opens the decoder that is wanted; one that was chosen by itself can still be replaced.
///
/// # Errors
/// When no candidate can do it.
pub(crate) fn open_decoder(
    wanted: Backend,
    config: &CommonDecodeConfig,
    sink: SinkFactory,
) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)> {
    let (current, receipt) = open_decoder_from(0, wanted, config, &sink)?;
    let receipt = SharedReceipt::new(receipt);
    if wanted != Backend::Auto {
        return Ok((current, receipt));
    }
    let decoder = Fallback { current, receipt: receipt.clone(), config: config.clone(), sink, taken: false };
    Ok((Box::new(decoder), receipt))
}

struct Fallback {
    current: Box<dyn DecoderBackend>,
    receipt: SharedReceipt,
    config: CommonDecodeConfig,
    sink: SinkFactory,
    /// The current decoder has taken a unit: another one could begin at a random access point only.
    taken: bool,
}

impl Fallback {
    /// Puts the next candidate that opens in the place of the current decoder; `None` when there is none.
    fn replace(&mut self, refusal: &Error) -> Option<()> {
        let (kind, _) = self.receipt.lock().chosen()?;
        let next = CANDIDATES.iter().position(|candidate| *candidate == kind)? + 1;
        let (decoder, rest) = open_decoder_from(next, Backend::Auto, &self.config, &self.sink).ok()?;
        if decoder.input_layout() != self.current.input_layout() {
            return None;
        }
        // What the old one holds comes out before anything of the new one; if it fails there, its units are failed.
        let _ = self.current.flush();
        self.current = decoder;
        self.taken = false;
        self.receipt.lock().replace_chosen(refusal, rest);
        Some(())
    }
}

impl DecoderBackend for Fallback {
    fn input_layout(&self) -> BitstreamLayout {
        self.current.input_layout()
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        loop {
            // Cheap: the data is shared.
            match self.current.submit(unit.clone()) {
                Err(refusal @ Error::Unsupported { .. }) if !self.taken || unit.packet.keyframe => {
                    if self.replace(&refusal).is_none() {
                        return Err(refusal);
                    }
                }
                done => {
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
