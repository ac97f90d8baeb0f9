//! H.264: three libraries, one order.

mod entry;
mod exact;
mod fast;
mod memory;
mod pcm;
mod raw;
mod reorder;
pub(super) mod route;
mod sequence;
mod survey;
mod unit;
mod unmark;

use bytes::Bytes;

use self::entry::Entry;
use self::route::History;
use self::sequence::{Coded, Key, Sequence};
use self::unit::{Sets, Unit};
use super::facts::FactsTimeline;
use super::output::{Output, StreamFacts};
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::bitstream::annexb::nal_units;
use crate::bitstream::h264::poc::PocDecoder;
use crate::bitstream::h264::{AvcConfig, Pps, SliceHeader, Sps, nal_ref_idc, nal_type};
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
    /// Decoding has begun at a picture that is no IDR picture, and not everything is right yet.
    entry: Option<Entry>,
    /// The same for pictures behind damage, which a recovery point ends.
    healing: Option<Entry>,
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
            entry: None,
            healing: None,
        })
    }

    /// Decodes one unit, or says why it is lost.
    fn take(&mut self, coded: &CodedUnit) -> Result<()> {
        let serial = coded.serial;
        let mut unit = Unit::read(&coded.packet.data, &mut self.sets)?;
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
        self.period = order.period;
        if new_sequence {
            let depth = reorder::depth(&sps, &self.config);
            memory::check(&sps, route, depth, &self.config.limits)?;
            let mut sequence = Sequence::start(&sps, route, depth, &self.config.limits)?;
            if !unit.is_idr() {
                let count = unit.recovery_point.unwrap_or(0);
                let grey = self.grey_pictures(&sps, first);
                self.entry = Some(Entry::new(&sps, first, count).behind_grey(grey.len()));
                sequence.precede(order.period, grey);
            }
            self.sequence = Some(sequence);
            self.facts.set(serial, facts(&sps));
            self.healing = None;
            self.output.trust_from(serial);
        }
        self.note_damage(serial, order.key(), &sps, &unit);
        self.history.push(&sps, first, order.count());
        let mut leading = false;
        if let Some(entry) = &mut self.entry {
            entry.note(order.key(), &sps, first, unit.recovery_point);
            entry.expect(serial, order.key());
            // It is decoded all the same: pictures may follow that count on it.
            leading = entry.is_leading(order.key());
        }
        let stale = self.entry.as_mut().map_or_else(Vec::new, |entry| entry.stale(order.key(), &sps, first));
        let Some(sequence) = self.sequence.as_mut() else { return Ok(()) };
        if lacks_first_slices(&unit.slices) {
            return Err(Error::corrupt("the picture lacks its first slices"));
        }
        let mut data = crate::memory::room(unit.data.len() + 128)?;
        // A sequence that starts over must be enough for another library.
        unit.tell(&mut self.sets, sps.id, new_sequence || unit.is_idr(), &mut data);
        if stale.is_empty() {
            data.extend_from_slice(&unit.data);
        } else {
            data.extend_from_slice(&unmark::with_unmarked(&unit, &self.sets, &stale)?);
        }
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
            unterminated: coded.packet.unterminated,
        };
        if coded.unterminated && !sequence.is_whole(&coded) {
            self.output.doubt_from(serial);
        }
        let mut finished = Vec::new();
        let wanted = self.output.oldest_open().unwrap_or(serial);
        let outcome = sequence.decode(&coded, wanted, &mut finished);
        self.deliver(finished);
        self.deliver_reordered(self.period);
        let refreshing = self.entry.as_ref().is_some_and(Entry::is_refreshing);
        match outcome {
            Ok(()) | Err(Error::CorruptStream { .. }) if leading => {
                self.output.no_picture(serial, entry::LEADING);
                Ok(())
            }
            // What it refers to was never sent.
            Err(Error::CorruptStream { .. }) if refreshing => {
                self.output.no_picture(serial, entry::REFRESHING);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Frames in the place of those that came before `first`, the first picture.
    fn grey_pictures(&mut self, sps: &Sps, first: &SliceHeader) -> Vec<Vec<u8>> {
        let Some(pps_id) = self.sets.free_pps_id() else { return Vec::new() };
        let mut units = entry::grey_pictures(sps, pps_id, first);
        if let Some(unit) = units.first_mut() {
            let mut data = Vec::new();
            self.sets.tell(sps.id, true, &mut data);
            data.append(unit);
            *unit = data;
        }
        units
    }

    /// Which pictures may be wrong because something before them was lost.
    fn note_damage(&mut self, serial: u64, key: Key, sps: &Sps, unit: &Unit) {
        let Some((first, _)) = unit.slices.first() else { return };
        if unit.is_idr() {
            self.healing = None;
            self.output.trust_from(serial);
            return;
        }
        if !sps.gaps_in_frame_num_allowed && route::follows_gap(sps, first, &self.history) {
            self.healing = None;
            self.output.doubt_from(serial);
        }
        if let (None, true, Some(count)) = (&self.healing, self.output.is_in_doubt(), unit.recovery_point) {
            self.healing = Some(Entry::new(sps, first, count));
        }
        let Some(healing) = &mut self.healing else { return };
        let was_refreshing = healing.is_refreshing();
        healing.note(key, sps, first, unit.recovery_point);
        if was_refreshing && !healing.is_refreshing() {
            self.output.trust_from(serial);
        }
        if healing.is_leading(key) {
            self.output.doubt(serial);
        }
    }

    fn deliver(&mut self, finished: impl IntoIterator<Item = Finished>) {
        let Some(sequence) = &self.sequence else { return };
        for Finished { serial, copied, planes } in finished {
            if let Some(reason) = self.entry.as_mut().and_then(|entry| entry.hides(serial)) {
                self.output.no_picture(serial, reason);
                continue;
            }
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
        self.entry = None;
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

/// Whether other pictures may be predicted from the one in an access unit (Annex B), as far as can be read.
fn is_referred_to(unit: &[u8]) -> bool {
    let mut slices = nal_units(unit).filter(|nal| matches!(nal_type(nal), Some(1..=5))).peekable();
    slices.peek().is_none() || slices.any(|nal| nal_ref_idc(nal) != Some(0))
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
        if matches!(outcome, Err(Error::LimitExceeded { .. })) {
            self.end_sequence();
            return outcome;
        }
        self.refused |= matches!(outcome, Err(Error::Unsupported { .. }));
        if let Err(error) = outcome {
            if is_referred_to(&unit.packet.data) {
                self.healing = None;
                self.output.doubt_from(unit.serial);
            }
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
        self.healing = None;
        self.output.settle_before(u64::MAX, "the library gave no picture for this unit");
        self.output.trust_from(u64::MAX - 1);
        self.poc = PocDecoder::new();
        self.period = 0;
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        self.sequence.as_ref().map_or(fast::LIBRARY, Sequence::library)
    }
}
