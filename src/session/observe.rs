//! What sessions say of themselves to those who watch the process (feature `metrics`).

use std::sync::Arc;

use super::in_flight::{InFlightTable, SharedTable};
use crate::backend::{BackendKind, CopyBytes, Receipt, SharedReceipt, Verdict};
use crate::failover::FailoverLog;
use crate::metrics::names::{self, Side};
use crate::metrics::{Chosen, Identity, Observed, Sample, observe};
use crate::queue::QueueMonitor;
use crate::stages::{EncodeMeter, Histogram};

/// What only one kind of session counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) coded_bytes: u64,
    pub(super) keyframes: u64,
    pub(super) concealed: u64,
    pub(super) copies: CopyBytes,
}

/// A stage under its name.
pub(super) type Named<'a> = (&'static str, &'a Histogram);

/// Who does a session's work. That may change, so it is asked for whenever it is wanted.
#[derive(Clone)]
pub(super) enum Worker {
    /// One that refuses the stream is replaced.
    Decoder(SharedReceipt),
    /// One that dies is replaced.
    Encoder {
        /// Of the one that the session began with.
        first: Receipt,
        log: FailoverLog,
    },
}

impl Worker {
    fn receipt(&self) -> Receipt {
        match self {
            Self::Decoder(receipt) => receipt.get(),
            Self::Encoder { log, .. } => log.receipt(),
        }
    }

    fn chosen(&self) -> (BackendKind, &'static str) {
        self.receipt().chosen().unwrap_or((BackendKind::Custom, "none"))
    }

    /// Whether another works now than at the beginning.
    fn was_replaced(&self) -> bool {
        match self {
            Self::Decoder(_) => false,
            Self::Encoder { log, .. } => log.since(0).iter().any(|takeover| takeover.to.is_some()),
        }
    }

    /// Who was preferred to the one at work, and is not it.
    fn fallbacks(&self, side: &'static Side, sample: &mut Sample<'_>) {
        match self {
            Self::Decoder(receipt) => fallbacks(side, &receipt.get(), sample),
            Self::Encoder { first, log } => {
                fallbacks(side, first, sample);
                for takeover in log.since(0).iter().filter(|takeover| takeover.to.is_some()) {
                    let labels = [("refused", takeover.from.label()), ("step", AT_WORK)];
                    sample.counter(&side.fallbacks, &labels, 1);
                }
            }
        }
    }
}

/// The step of those that were opened, and died later.
const AT_WORK: &str = "work";

/// The stages of a session by name, and the most units that were inside the codec at once.
type Stages<'a> = (Vec<Named<'a>>, usize);

/// A session that is to be watched.
pub(super) struct Watched<P, S> {
    pub(super) table: SharedTable<P, S>,
    /// Input first.
    pub(super) queues: (QueueMonitor, QueueMonitor),
    pub(super) counts: fn(&S) -> Counts,
    pub(super) stages: fn(&InFlightTable<P, S>) -> Stages<'_>,
    pub(super) worker: Worker,
    /// Of the encoder that the session began with.
    pub(super) meter: Option<Arc<EncodeMeter>>,
    pub(super) stream: Option<String>,
    pub(super) device: Option<String>,
}

impl<P: Send + 'static, S: Send + 'static> Watched<P, S> {
    pub(super) fn encoder(self) -> Observed {
        self.begin(&names::ENCODER)
    }

    pub(super) fn decoder(self) -> Observed {
        self.begin(&names::DECODER)
    }

    fn begin(self, side: &'static Side) -> Observed {
        let worker = self.worker.clone();
        let chosen: Chosen = Box::new(move || worker.chosen());
        let identity = Identity {
            side,
            chosen,
            codec: self.worker.receipt().codec,
            stream: self.stream.clone(),
            device: self.device.clone(),
            session: true,
        };
        observe(identity, move |sample| self.tell(side, sample))
    }

    fn tell(&self, side: &'static Side, sample: &mut Sample<'_>) {
        self.worker.fallbacks(side, sample);
        let queues = [("input", self.queues.0.stats()), ("output", self.queues.1.stats())];
        for (name, queue) in queues {
            let label = [("queue", name)];
            sample.gauge(&side.queue_depth, &label, queue.depth as f64);
            sample.gauge(&side.queue_peak, &label, queue.peak as f64);
            sample.gauge(&side.queue_capacity, &label, queue.capacity as f64);
        }
        let table = self.table.lock();
        let ledger = table.ledger();
        sample.counter(&side.units, &[], ledger.submitted);
        sample.frames(&side.frames, ledger.delivered);
        sample.counter(&side.failed, &[], ledger.failed);
        for (reason, count) in &ledger.dropped {
            sample.counter(&side.dropped, &[("reason", reason)], *count);
        }
        sample.gauge(&side.in_flight, &[], ledger.pending as f64);
        sample.times(&side.latency, &[], &table.latency);
        sample.times(&side.jitter, &[], table.jitter.deviations());
        let (of_session, mut peak) = (self.stages)(&table);
        stages(side, of_session, sample);
        let counts = (self.counts)(&table.own);
        sample.counter(&side.coded_bytes, &[], counts.coded_bytes);
        copies(side, counts.copies, sample);
        match &self.worker {
            Worker::Decoder(_) => sample.counter(&names::CONCEALED, &[], counts.concealed),
            Worker::Encoder { log, .. } => {
                sample.counter(&names::KEYFRAMES, &[], counts.keyframes);
                sample.counter(&names::CONVERTED, &[], log.converted());
            }
        }
        // The inside of an encoder that died is not that of the one whose labels the series have now.
        if let Some(meter) = self.meter.as_ref().filter(|_| !self.worker.was_replaced()) {
            stages(side, meter.named(), sample);
            peak = meter.queue_peak();
        }
        sample.gauge(&side.in_flight_peak, &[], peak as f64);
    }
}

/// Who was passed over for the one that was taken.
pub(crate) fn fallbacks(side: &'static Side, receipt: &Receipt, sample: &mut Sample<'_>) {
    for (candidate, verdict) in &receipt.entries {
        if let Verdict::Refused { step, .. } = verdict {
            let step = step.to_string();
            sample.counter(&side.fallbacks, &[("refused", candidate.label()), ("step", &step)], 1);
        }
    }
}

pub(crate) fn copies(side: &'static Side, copies: CopyBytes, sample: &mut Sample<'_>) {
    sample.counter(&side.input_copies, &[], copies.input);
    sample.counter(&side.output_copies, &[], copies.output);
    sample.counter(&side.device_copies, &[], copies.device);
}

/// Stages, those that have run.
fn stages<'a>(side: &'static Side, stages: impl IntoIterator<Item = Named<'a>>, sample: &mut Sample<'_>) {
    for (name, times) in stages.into_iter().filter(|(_, times)| !times.is_empty()) {
        sample.times(&side.stage, &[("stage", name)], times);
    }
}

/// The stages inside a hardware encoder.
pub(crate) fn inside(meter: &EncodeMeter, sample: &mut Sample<'_>) {
    stages(&names::ENCODER, meter.named(), sample);
    sample.gauge(&names::ENCODER.in_flight_peak, &[], meter.queue_peak() as f64);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp, reason = "a failure here is a failed run; counts are exact")]
mod tests {
    use std::time::Duration;

    use super::super::{EncodeSession, Submit, Takeover};
    use super::*;
    use crate::backend::Candidate;
    use crate::backend::{EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, Job};
    use crate::codec::Codec;
    use crate::config::CommonEncodeConfig;
    use crate::dimensions::Dimensions;
    use crate::error::{Error, Result};
    use crate::frame::{Frame, HostSurface};
    use crate::metrics::{Snapshot, Value, snapshot};
    use crate::packet::BitstreamLayout;
    use crate::pixel::PixelFormat;
    use crate::time::{Rational, TimeBase, Timestamp};

    /// Tells of its inside.
    struct Metered(EncodeSink, Arc<EncodeMeter>);

    impl EncoderBackend for Metered {
        fn output_layout(&self) -> BitstreamLayout {
            BitstreamLayout::AnnexB
        }

        fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
            self.1.submit.record(Duration::from_millis(1));
            let unit =
                EncodedUnit { serial: unit.serial, data: vec![1].into(), keyframe: true, picture_type: None };
            (self.0)(EncodeEvent::Unit(unit));
            Ok(())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }

        fn meter(&self) -> Option<Arc<EncodeMeter>> {
            Some(Arc::clone(&self.1))
        }

        fn implementation(&self) -> &'static str {
            "NVENC"
        }
    }

    fn frame(number: i64) -> Frame {
        let size = Dimensions::new(2, 2).unwrap();
        let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![0; 6]).unwrap();
        Frame::host(Timestamp::new(number, TimeBase::new(1, 25).unwrap()), surface)
    }

    /// Stages, and how many times each has run; that of the output is another test's.
    fn counts(found: &Snapshot, stream: &str) -> Vec<(String, u64)> {
        let of_it = found.series().iter().filter(|series| {
            series.metric == &names::ENCODER.stage && series.label("stream") == Some(stream)
        });
        let reported = of_it.map(|series| {
            let Value::Histogram(times) = &series.value else { unreachable!("stages are times") };
            (series.label("stage").unwrap().to_owned(), times.count())
        });
        reported.filter(|(stage, _)| stage != "output").collect()
    }

    #[test]
    fn a_session_whose_encoder_died_is_told_as_that_of_the_one_that_took_over() {
        const STREAM: &str = "taken over";
        let stream = [("stream", STREAM)];
        let rate = Rational::new(25, 1).unwrap();
        let mut config = CommonEncodeConfig::new(Codec::H264, Dimensions::new(2, 2).unwrap(), rate);
        config.stream = Some(STREAM.to_owned());
        let receipt = Receipt::given(Job::Encode, Codec::H264, BackendKind::Nvidia, "NVENC");
        let log = FailoverLog::new(receipt);
        let kept = log.clone();
        let mut session = EncodeSession::open(config, |_, sink| {
            Ok((Box::new(Metered(sink(), Arc::default())) as Box<dyn EncoderBackend>, log))
        })
        .unwrap();
        let mut encode = |numbers: std::ops::Range<i64>| {
            for number in numbers {
                assert!(matches!(session.submit(frame(number)).unwrap(), Submit::Accepted));
            }
            assert!(session.drain().unwrap().all(|packet| packet.is_ok()));
        };
        encode(0..3);
        let before = snapshot();
        let nvenc = [("stream", STREAM), ("encoder_type", "h264_nvenc"), ("backend", "nvidia")];
        assert_eq!(before.sum("encoder_frames_total", &nvenc), 3.0);
        assert_eq!(before.sum("encoder_fallbacks_total", &stream), 0.0);
        let counted = |stage: &str, times| (stage.to_owned(), times);
        assert_eq!(counts(&before, STREAM), [counted("calls", 3), counted("encode", 3)]);

        let why = Error::DeviceLost { backend: BackendKind::Nvidia, detail: "reset".into() };
        let takeover = Takeover {
            job: Job::Encode,
            frame: 3,
            pts: None,
            from: Candidate::Nvidia,
            to: Some((Candidate::Embedded, "openh264 2.7")),
            reason: why.to_string(),
            again: 0,
            lost: 0,
            given_up: Vec::new(),
            took: Duration::ZERO,
        };
        kept.add(takeover.clone(), &why, &[]);
        encode(3..5);
        let after = snapshot();
        let openh264 = [("stream", STREAM), ("encoder_type", "openh264"), ("backend", "software")];
        assert_eq!(after.sum("encoder_frames_total", &openh264), 5.0);
        assert_eq!(after.sum("encoder_frames_total", &stream), 5.0, "each frame once");
        let refused = [&openh264[..], &[("refused", "nvidia"), ("step", "work")]].concat();
        assert_eq!(after.sum("encoder_fallbacks_total", &refused), 1.0);
        assert_eq!(after.sum("encoder_fallbacks_total", &stream), 1.0);
        // The meter is of the dead one: the calls of both are known.
        assert_eq!(counts(&after, STREAM), [counted("calls", 5)]);

        // Where nobody takes over, nobody fell back on anything.
        kept.add(Takeover { from: Candidate::Embedded, to: None, ..takeover }, &why, &[]);
        assert_eq!(snapshot().sum("encoder_fallbacks_total", &stream), 1.0);
    }
}
