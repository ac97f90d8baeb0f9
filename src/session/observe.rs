//! What sessions say of themselves to those who watch the process (feature `metrics`).

use std::sync::Arc;

use super::books::SharedBooks;
use crate::backend::{BackendKind, CopyBytes, Receipt, Verdict};
use crate::metrics::names::{self, Side};
use crate::metrics::{Chosen, Identity, Observed, Sample, observe};
use crate::queue::QueueMonitor;
use crate::stages::EncodeMeter;

/// What only one kind of session counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) coded_bytes: u64,
    pub(super) keyframes: u64,
    pub(super) concealed: u64,
    pub(super) copies: CopyBytes,
}

/// A session that is to be watched.
pub(super) struct Watched<P, S, R> {
    pub(super) books: SharedBooks<P, S>,
    /// Input first.
    pub(super) queues: (QueueMonitor, QueueMonitor),
    pub(super) counts: fn(&S) -> Counts,
    /// Another encoder may take over, which the receipt tells.
    pub(super) receipt: fn(&R) -> Receipt,
    pub(super) chosen_by: R,
    pub(super) meter: Option<Arc<EncodeMeter>>,
    pub(super) stream: Option<String>,
    pub(super) device: Option<String>,
}

impl<P: Send + 'static, S: Send + 'static, R: Clone + Send + 'static> Watched<P, S, R> {
    pub(super) fn encoder(self) -> Observed {
        self.begin(&names::ENCODER)
    }

    pub(super) fn decoder(self) -> Observed {
        self.begin(&names::DECODER)
    }

    fn begin(self, side: &'static Side) -> Observed {
        let (receipt, chosen_by) = (self.receipt, self.chosen_by.clone());
        let chosen: Chosen =
            Box::new(move || receipt(&chosen_by).chosen().unwrap_or((BackendKind::Custom, "none")));
        let identity = Identity {
            side,
            chosen,
            codec: receipt(&self.chosen_by).codec,
            stream: self.stream.clone(),
            device: self.device.clone(),
            session: true,
        };
        observe(identity, move |sample| self.tell(side, sample))
    }

    fn tell(&self, side: &'static Side, sample: &mut Sample<'_>) {
        fallbacks(side, &(self.receipt)(&self.chosen_by), sample);
        let queues = [("input", self.queues.0.stats()), ("output", self.queues.1.stats())];
        for (name, queue) in queues {
            let label = [("queue", name)];
            sample.gauge(&side.queue_depth, &label, queue.depth as f64);
            sample.gauge(&side.queue_peak, &label, queue.peak as f64);
            sample.gauge(&side.queue_capacity, &label, queue.capacity as f64);
        }
        let books = self.books.lock();
        let ledger = books.ledger();
        sample.counter(&side.units, &[], ledger.submitted);
        sample.frames(&side.frames, ledger.delivered);
        sample.counter(&side.failed, &[], ledger.failed);
        for (reason, count) in &ledger.dropped {
            sample.counter(&side.dropped, &[("reason", reason)], *count);
        }
        sample.gauge(&side.in_flight, &[], ledger.pending as f64);
        sample.times(&side.latency, &[], &books.latency);
        sample.times(&side.jitter, &[], books.jitter.deviations());
        sample.times(&side.stage, &[("stage", "output")], &books.output);
        let counts = (self.counts)(&books.own);
        sample.counter(&side.coded_bytes, &[], counts.coded_bytes);
        copies(side, counts.copies, sample);
        if side.type_label == names::DECODER.type_label {
            sample.times(&side.stage, &[("stage", "decode")], &books.calls);
            sample.counter(&names::CONCEALED, &[], counts.concealed);
            return;
        }
        sample.counter(&names::KEYFRAMES, &[], counts.keyframes);
        match &self.meter {
            Some(meter) => inside(meter, sample),
            None => sample.times(&side.stage, &[("stage", "encode")], &books.calls),
        }
    }
}

/// Who was asked before the one that was taken.
pub(crate) fn fallbacks(side: &'static Side, receipt: &Receipt, sample: &mut Sample<'_>) {
    for (kind, verdict) in &receipt.entries {
        match verdict {
            Verdict::Refused { step, .. } => {
                let step = step.to_string();
                sample.counter(&side.fallbacks, &[("refused", kind.name()), ("step", &step)], 1);
            }
            Verdict::Chosen(_) | Verdict::NotTried => return,
        }
    }
}

pub(crate) fn copies(side: &'static Side, copies: CopyBytes, sample: &mut Sample<'_>) {
    sample.counter(&side.input_copies, &[], copies.input);
    sample.counter(&side.output_copies, &[], copies.output);
    sample.counter(&side.device_copies, &[], copies.device);
}

/// The stages inside a hardware encoder.
pub(crate) fn inside(meter: &EncodeMeter, sample: &mut Sample<'_>) {
    let stages = [
        ("wait", &meter.wait),
        ("upload", &meter.upload),
        ("encode", &meter.submit),
        ("lock", &meter.lock),
        ("copy", &meter.copy),
    ];
    for (name, times) in stages {
        sample.times(&names::ENCODER.stage, &[("stage", name)], times);
    }
    sample.gauge(&names::INSIDE_PEAK, &[], meter.queue_peak() as f64);
}
