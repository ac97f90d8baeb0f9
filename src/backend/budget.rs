//! Bounds the CPU time that decoding takes by the compressed bytes it is given.
//!
//! The clock is CPU time of the decoding threads, so that a busy machine refuses nothing. A picture that
//! repeats another is coded in a dozen bytes, whatever its size, and still takes as long as a copy. Each picture therefore counts
//! as at least one byte per `SAMPLES_PER_BYTE` samples.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{CodedUnit, DecodeEvent, DecodeSink, DecoderBackend, SinkFactory};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::cpu_time;
use crate::error::Result;
use crate::limits::{Limit, Limits};
use crate::packet::BitstreamLayout;
use crate::stages::DecodeMeter;
use crate::sync::lock;

/// CPU time that any input may take. A picture of 8K takes a quarter of a second, and a group of them comes before the first
/// is out.
const FIRST: Duration = Duration::from_secs(2);

/// Luma samples for which a picture counts as one byte.
const SAMPLES_PER_BYTE: u64 = 50_000;

/// The account of one stream, shared by all of its decoders.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    codec: Codec,
    account: Mutex<Account>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    bytes: u64,
    /// Units that decoders have, or had.
    units: u64,
    /// Units that were answered.
    answered: u64,
    /// Luma samples of all pictures so far, and of the last one.
    samples: u64,
    last: u64,
    time: Duration,
}

impl Account {
    /// Bytes that the time is compared with. Units without an answer are taken for pictures like the last one.
    fn counted_bytes(&self) -> u64 {
        let inside = self.units.saturating_sub(self.answered).saturating_mul(self.last);
        self.bytes.max(self.samples.saturating_add(inside) / SAMPLES_PER_BYTE)
    }

    fn check(&self, limits: &Limits, codec: Codec) -> Result<()> {
        let bytes = self.counted_bytes();
        let beyond = self.time.saturating_sub(FIRST).as_nanos();
        let allowed = limits.decode_time.as_nanos().saturating_mul(bytes.into()) / 1024;
        if beyond <= allowed {
            return Ok(());
        }
        // What follows may take longer still: a limit of whole seconds does not have to be raised for each picture anew.
        let wanted = (beyond * 1024).div_ceil(u128::from(bytes.max(1))).div_ceil(1_000_000_000) * 1000;
        let what = format!(
            "CPU time of {codec} decoding for each KiB of input, {:.1} s for {} bytes",
            self.time.as_secs_f64(),
            self.bytes
        );
        limits.check(Limit::DecodeTime, u64::try_from(wanted).unwrap_or(u64::MAX), what)
    }
}

impl Budget {
    pub(super) fn new(config: &CommonDecodeConfig) -> Arc<Self> {
        let (limits, account) = (config.limits.clone(), Mutex::default());
        Arc::new(Self { limits, codec: config.codec, account })
    }

    /// Counts what decoders say.
    pub(super) fn over(self: &Arc<Self>, sinks: SinkFactory) -> SinkFactory {
        let budget = Arc::clone(self);
        Box::new(move || budget.sink(sinks()))
    }

    fn sink(self: &Arc<Self>, mut sink: DecodeSink) -> DecodeSink {
        let budget = Arc::clone(self);
        Box::new(move |event| {
            let samples = match &event {
                DecodeEvent::Picture(picture) => {
                    Some(u64::from(picture.dimensions.width()) * u64::from(picture.dimensions.height()))
                }
                DecodeEvent::NoPicture { .. } | DecodeEvent::Failed { .. } => Some(0),
                DecodeEvent::Note(_) => None,
            };
            if let Some(samples) = samples {
                let mut account = lock(&budget.account);
                account.answered += 1;
                account.samples = account.samples.saturating_add(samples);
                account.last = if samples > 0 { samples } else { account.last };
            }
            sink(event)
        })
    }

    /// Bounds this decoder, together with the others of its stream.
    pub(super) fn bound(self: &Arc<Self>, decoder: Box<dyn DecoderBackend>) -> Box<dyn DecoderBackend> {
        Box::new(Bounded { decoder, budget: Arc::clone(self), helpers: Duration::ZERO })
    }
}

struct Bounded {
    decoder: Box<dyn DecoderBackend>,
    budget: Arc<Budget>,
    /// CPU time of its threads that is counted.
    helpers: Duration,
}

impl Bounded {
    fn charge(&mut self, call: impl FnOnce(&mut dyn DecoderBackend) -> Result<()>) -> Result<()> {
        let before = cpu_time::of_thread();
        let done = call(self.decoder.as_mut());
        let helpers = self.decoder.helper_time();
        let took = cpu_time::of_thread().saturating_sub(before) + helpers.saturating_sub(self.helpers);
        self.helpers = helpers;
        let account = {
            let mut account = lock(&self.budget.account);
            account.time = account.time.saturating_add(took);
            *account
        };
        done?;
        account.check(&self.budget.limits, self.budget.codec)
    }
}

impl DecoderBackend for Bounded {
    fn input_layout(&self) -> BitstreamLayout {
        self.decoder.input_layout()
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        {
            let mut account = lock(&self.budget.account);
            account.bytes = account.bytes.saturating_add(unit.packet.data.len() as u64);
            account.units += 1;
        }
        self.charge(|decoder| decoder.submit(unit))
    }

    fn flush(&mut self) -> Result<()> {
        self.charge(|decoder| decoder.flush())
    }

    fn implementation(&self) -> &'static str {
        self.decoder.implementation()
    }

    fn meter(&self) -> Option<Arc<DecodeMeter>> {
        self.decoder.meter()
    }

    fn helper_time(&self) -> Duration {
        self.decoder.helper_time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::packet::Packet;

    const KIB: u64 = 1024;
    const PIXELS_8K: u64 = 7680 * 4320;

    fn check(account: Account) -> Result<()> {
        account.check(&Limits::default(), Codec::Vp9)
    }

    #[test]
    fn bytes_pay_for_time() {
        let account =
            Account { bytes: 10 * KIB, units: 1, time: Duration::from_secs(7), ..Account::default() };
        assert!(check(account).is_ok());
        let over = Account { time: Duration::from_millis(7001), ..account };
        let error = check(over).unwrap_err();
        let Error::LimitExceeded { limit: Limit::DecodeTime, wanted: 1000, allowed: 500, .. } = error else {
            panic!("{error}")
        };
        let raised = Limits::default().decode_time(Duration::from_secs(1));
        assert!(over.check(&raised, Codec::Vp9).is_ok());
        assert!(Account { time: Duration::MAX, ..over }.check(&Limits::none(), Codec::Vp9).is_ok());
        assert!(check(Account { time: Duration::MAX, ..Account::default() }).is_err());
        assert!(check(Account { time: FIRST, ..Account::default() }).is_ok());
    }

    /// Ten minutes of a black picture, in 20 bytes each.
    #[test]
    fn still_pictures_pay_by_their_size() {
        let count = 60 * 600;
        let samples = count * PIXELS_8K;
        let still = Account {
            bytes: 20 * count,
            units: count,
            answered: count,
            samples,
            last: PIXELS_8K,
            ..Account::default()
        };
        let copying = Duration::from_millis(300) * count as u32;
        assert!(check(Account { time: copying, ..still }).is_ok());
        assert!(check(Account { time: copying * 2, ..still }).is_err());
        // Cropping shows few of the samples that are decoded.
        assert!(check(Account { samples: count * 256, last: 256, time: copying, ..still }).is_err());
    }

    #[test]
    fn pictures_inside_the_decoder_count() {
        let waiting = Account { bytes: 100, units: 10, answered: 1, last: PIXELS_8K, ..Account::default() };
        let time = FIRST + Duration::from_secs(2);
        assert!(check(Account { time, ..waiting }).is_ok());
        assert!(check(Account { time, last: 0, ..waiting }).is_err());
    }

    /// Spends 1.5 s of CPU time on each unit, on a separate thread.
    struct Slow {
        worked: Duration,
        sink: DecodeSink,
    }

    impl DecoderBackend for Slow {
        fn input_layout(&self) -> BitstreamLayout {
            BitstreamLayout::Opaque
        }

        fn submit(&mut self, unit: CodedUnit) -> Result<()> {
            self.worked += Duration::from_millis(1500);
            (self.sink)(DecodeEvent::NoPicture { serial: unit.serial, reason: "slow" });
            Ok(())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }

        fn implementation(&self) -> &'static str {
            "slow"
        }

        fn helper_time(&self) -> Duration {
            self.worked
        }
    }

    #[test]
    fn decoders_of_one_stream_share_one_account() {
        let budget = Budget::new(&CommonDecodeConfig::new(Codec::Vp9));
        let sinks = budget.over(Box::new(|| Box::new(|_| true)));
        let mut lanes =
            [0, 1].map(|_| budget.bound(Box::new(Slow { worked: Duration::ZERO, sink: sinks() })));
        let unit = |serial| CodedUnit {
            serial,
            packet: Packet::new(Codec::Vp9, BitstreamLayout::Opaque, vec![0; 10]),
        };
        assert!(lanes[0].submit(unit(0)).is_ok());
        let error = lanes[1].submit(unit(1)).unwrap_err();
        assert!(error.to_string().contains("3.0 s for 20 bytes"), "{error}");
        assert_eq!(lock(&budget.account).answered, 2);
    }
}
