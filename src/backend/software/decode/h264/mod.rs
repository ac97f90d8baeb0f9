//! H.264: three libraries, one order.

mod exact;
mod fast;
mod pcm;
mod raw;
mod reorder;
pub(super) mod route;
mod sequence;
mod survey;
mod unit;

use bytes::Bytes;

use self::route::History;
use self::sequence::{Coded, Sequence};
use self::unit::{Sets, Unit};
use super::facts::FactsTimeline;
use super::output::{Output, StreamFacts};
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::bitstream::h264::poc::PocDecoder;
use crate::bitstream::h264::{AvcConfig, Pps, SliceHeader, Sps};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// The H.264 decoder.
pub(super) struct H264Decoder {
    output: Output,
    config: CommonDecodeConfig,
    facts: FactsTimeline,
    sets: Sets,
    poc: PocDecoder,
    period: u64,
    history: History,
    sequence: Option<Sequence>,
    /// A picture was refused: nothing that may refer to it is decoded.
    refused: bool,
}

/// A picture and the serial of the unit that began it.
struct Finished {
    serial: u64,
    /// The memory is not the codec library's own.
    copied: bool,
    /// Memory and stride of each plane.
    planes: Result<Vec<(Bytes, usize)>>,
}

impl H264Decoder {
    pub(super) fn open(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Self> {
        let mut sets = Sets::default();
        if let Some(record) = &config.codec_config {
            let record = AvcConfig::parse(record)?;
            for set in record.sps.iter().chain(&record.pps) {
                sets.insert(set)?;
            }
        }
        Ok(Self {
            output: Output::new(config, sink),
            config: config.clone(),
            facts: FactsTimeline::default(),
            sets,
            poc: PocDecoder::new(),
            period: 0,
            history: History::default(),
            sequence: None,
            refused: false,
        })
    }

    /// Decodes one unit, or says why it is lost.
    fn take(&mut self, coded: &CodedUnit) -> Result<()> {
        let serial = coded.serial;
        let unit = Unit::read(&coded.packet.data, &mut self.sets)?;
        let Some((first, pps)) = unit.slices.first() else {
            self.output.no_picture(serial, "no coded picture in the unit");
            return Ok(());
        };
        let sps = self
            .sets
            .parsed
            .sps(pps.sps_id)
            .cloned()
            .ok_or_else(|| Error::corrupt("H.264 slice without its sequence parameter set"))?;
        self.output.set_keyframe(serial, unit.is_random_access());
        if self.refused && !unit.is_idr() {
            self.output.no_picture(serial, "refers to a refused picture");
            return Ok(());
        }
        self.refused = false;
        let new_sequence = self.sequence.as_ref().is_none_or(|s| s.sps != sps);
        if new_sequence {
            if !unit.is_random_access() {
                self.output.no_picture(serial, "before the first random access point");
                return Ok(());
            }
            self.end_sequence();
        }
        let order = self.poc.next_picture(&sps, first);
        let route = route::of_picture(&sps, &unit.slices, &self.history, order.count())?;
        let raw_is_exact = route::raw_is_exact(&sps, &unit.slices, &self.history);
        if new_sequence {
            let mut sequence = Sequence::start(&sps, route, reorder::depth(&sps, &self.config))?;
            sequence.open_start = (!unit.is_idr()).then_some(order.key());
            self.sequence = Some(sequence);
            self.facts.set(serial, facts(&sps));
        }
        self.period = order.period;
        self.history.push(&sps, first, order.count());
        let Some(sequence) = self.sequence.as_mut() else { return Ok(()) };
        if sequence.open_start.is_some_and(|(period, count)| order.period == period && order.count() < count)
        {
            self.output
                .no_picture(serial, "leading picture that refers to pictures before the random access point");
            return Ok(());
        }
        if lacks_first_slices(&unit.slices) {
            return Err(Error::corrupt("the picture lacks its first slices"));
        }
        let mut data = Vec::with_capacity(unit.data.len() + 128);
        // A sequence that starts over must be enough for another library.
        self.sets.tell(sps.id, new_sequence || unit.is_idr(), &mut data);
        data.extend_from_slice(&unit.data);
        let coded = Coded {
            serial,
            key: order.key(),
            data: data.into(),
            idr: unit.is_idr(),
            slicing: unit
                .slices
                .iter()
                .map(|(s, _)| (s.identity.bottom_field, s.identity.first_mb))
                .collect(),
            hazards: route::hazards(&unit.slices),
            route,
            raw_is_exact,
        };
        let mut finished = Vec::new();
        let wanted = self.output.oldest_open().unwrap_or(serial);
        let outcome = sequence.decode(&coded, wanted, &mut finished);
        self.deliver(finished);
        self.deliver_reordered(self.period);
        outcome
    }

    fn deliver(&mut self, finished: impl IntoIterator<Item = Finished>) {
        let Some(sequence) = &self.sequence else { return };
        for Finished { serial, copied, planes } in finished {
            self.output.picture(serial, sequence.shape, &self.facts.at(serial), copied, || planes);
        }
    }

    fn deliver_reordered(&mut self, period: u64) {
        while let Some(picture) = self.sequence.as_mut().and_then(|s| s.pop(period)) {
            self.deliver([picture]);
        }
    }

    /// Delivers all that is held and forgets the decoder.
    fn end_sequence(&mut self) {
        let mut finished = Vec::new();
        let lost = self.sequence.as_mut().and_then(|sequence| sequence.finish(&mut finished).err());
        self.deliver(finished);
        self.deliver_reordered(u64::MAX);
        self.sequence = None;
        self.history = History::default();
        if let Some(error) = lost {
            let words = error.to_string();
            self.output.fail_all(|| Error::corrupt(words.clone()));
        }
    }
}

/// Whether the first slice of a field or frame is missing.
fn lacks_first_slices(slices: &[(SliceHeader, Pps)]) -> bool {
    let mut field = None;
    slices.iter().any(|(slice, _)| {
        let begins = field.replace(slice.identity.bottom_field) != Some(slice.identity.bottom_field);
        begins && slice.identity.first_mb > 0
    })
}

fn facts(sps: &Sps) -> StreamFacts {
    StreamFacts {
        color: sps.color(),
        sample_aspect_ratio: sps.vui.as_ref().and_then(|v| v.sample_aspect_ratio),
        frame_rate: sps.vui.as_ref().and_then(|v| v.frame_rate),
    }
}

impl DecoderBackend for H264Decoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        self.output.accept(&unit, unit.packet.keyframe);
        let outcome = self.take(&unit);
        self.refused |= matches!(outcome, Err(Error::Unsupported { .. }));
        if let Err(error) = outcome {
            self.output.failed(unit.serial, error);
        }
        if self.refused {
            self.end_sequence();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.end_sequence();
        self.refused = false;
        self.output.settle_before(u64::MAX, "the library gave no picture for this unit");
        self.poc = PocDecoder::new();
        self.period = 0;
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        self.sequence.as_ref().map_or(fast::LIBRARY, Sequence::library)
    }
}
