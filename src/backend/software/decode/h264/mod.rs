//! H.264: two libraries, one order.

mod exact;
mod fast;
mod pcm;
mod reorder;
pub(super) mod route;
mod unit;

use bytes::Bytes;

use self::exact::{ExactDecoder, Finished};
use self::fast::{Decoded, FastDecoder, Planes};
use self::reorder::Reorder;
use self::route::Route;
use self::unit::{Sets, Unit};
use super::facts::FactsTimeline;
use super::output::{Output, PictureShape, StreamFacts};
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::bitstream::h264::poc::PocDecoder;
use crate::bitstream::h264::{AvcConfig, Sps};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// Units of the current sequence kept for a change of libraries in its middle, and their total size.
const MAX_REPLAY_UNITS: usize = 2000;
const MAX_REPLAY_BYTES: usize = 64 << 20;

/// The H.264 decoder.
pub(super) struct H264Decoder {
    output: Output,
    config: CommonDecodeConfig,
    facts: FactsTimeline,
    sets: Sets,
    poc: PocDecoder,
    period: u64,
    prev_ref_frame_num: Option<u32>,
    sequence: Option<Sequence>,
    /// A picture was refused: nothing that may refer to it is decoded.
    refused: bool,
}

/// Coded video sequences that share a sequence parameter set.
struct Sequence {
    sps: Sps,
    shape: PictureShape,
    codec: Codec,
    replay: Replay,
    /// Started at a picture that is no IDR picture: pictures of this period below the order count refer to
    /// what was never sent.
    open_start: Option<(u64, i32)>,
}

enum Codec {
    Fast { decoder: Box<FastDecoder>, reorder: Reorder<Waiting> },
    Exact(Box<ExactDecoder>),
}

struct Waiting {
    serial: u64,
    planes: Planes,
}

/// What the fast library was given since the last IDR picture, so that the other one can take over.
#[derive(Default)]
struct Replay {
    /// Serial, data, and whether the loop filter would be wrong around raw macroblocks.
    units: Vec<(u64, Bytes, bool)>,
    bytes: usize,
    overflown: bool,
}

impl Replay {
    fn restart(&mut self) {
        *self = Self::default();
    }

    fn push(&mut self, serial: u64, unit: &Bytes, filtered: bool) {
        self.bytes += unit.len();
        if self.units.len() >= MAX_REPLAY_UNITS || self.bytes > MAX_REPLAY_BYTES {
            self.overflown = true;
            self.units = Vec::new();
        } else if !self.overflown {
            self.units.push((serial, unit.clone(), filtered));
        }
    }
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
            prev_ref_frame_num: None,
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
        let route = route::of_picture(&sps, &unit.slices, self.prev_ref_frame_num)?;
        let order = self.poc.next_picture(&sps, first);
        if new_sequence {
            self.sequence = Some(Sequence::start(&sps, route)?);
            self.facts.set(serial, facts(&sps));
            if let Some(s) = self.sequence.as_mut() {
                s.open_start = (!unit.is_idr()).then_some(order.key());
                s.codec.set_depth(reorder::depth(&sps, &self.config));
            }
        }
        self.period = order.period;
        if first.identity.nal_ref_idc != 0 {
            let reset = first.unmarks_all();
            self.prev_ref_frame_num = Some(if reset { 0 } else { first.identity.frame_num });
        }
        let Some(sequence) = self.sequence.as_mut() else { return Ok(()) };
        if sequence.open_start.is_some_and(|(period, count)| order.period == period && order.count() < count)
        {
            self.output
                .no_picture(serial, "leading picture that refers to pictures before the random access point");
            return Ok(());
        }
        let mut data = Vec::with_capacity(unit.data.len() + 128);
        // A sequence that starts over must be enough for another library.
        self.sets.tell(sps.id, new_sequence || unit.is_idr(), &mut data);
        data.extend_from_slice(&unit.data);
        let data = Bytes::from(data);
        if unit.is_idr() {
            sequence.replay.restart();
        }
        let filtered = route::filters_around_raw(&unit.slices);
        let mut finished = Vec::new();
        let outcome = sequence.decode(serial, order.key(), &data, (route, filtered), &mut finished);
        self.deliver(finished);
        self.deliver_reordered(self.period);
        outcome
    }

    fn deliver(&mut self, finished: Vec<Finished>) {
        let Some(sequence) = &self.sequence else { return };
        for Finished { serial, planes } in finished {
            self.refused |= planes.is_err();
            if self.refused && planes.is_ok() {
                self.output.no_picture(serial, "refers to a refused picture");
            } else {
                self.output.picture(serial, sequence.shape, &self.facts.at(serial), || planes);
            }
        }
    }

    fn deliver_reordered(&mut self, period: u64) {
        let Some(sequence) = &mut self.sequence else { return };
        let Codec::Fast { reorder, .. } = &mut sequence.codec else { return };
        while let Some(Waiting { serial, planes }) = reorder.pop(period) {
            let (sps, shape) = (&sequence.sps, sequence.shape);
            self.output.picture(serial, shape, &self.facts.at(serial), || planes.shown(sps, shape));
        }
    }

    /// Delivers all that is held and forgets the decoder.
    fn end_sequence(&mut self) {
        self.deliver_reordered(u64::MAX);
        let mut finished = Vec::new();
        let mut lost = None;
        if let Some(Sequence { codec: Codec::Exact(decoder), .. }) = &mut self.sequence {
            lost = decoder.finish(&mut finished).err();
        }
        self.deliver(finished);
        self.sequence = None;
        self.prev_ref_frame_num = None;
        if let Some(error) = lost {
            let words = error.to_string();
            self.output.fail_all(|| Error::corrupt(words.clone()));
        }
    }
}

impl Codec {
    fn new(route: Route, sps: &Sps) -> Self {
        match route {
            Route::Fast => Self::Fast { decoder: Box::new(FastDecoder::new()), reorder: Reorder::new() },
            Route::Exact => Self::Exact(Box::new(ExactDecoder::new(sps))),
        }
    }

    fn set_depth(&mut self, depth: usize) {
        if let Self::Fast { reorder, .. } = self {
            reorder.set_depth(depth);
        }
    }
}

impl Sequence {
    fn start(sps: &Sps, route: Route) -> Result<Self> {
        let dimensions =
            sps.dimensions().ok_or_else(|| Error::corrupt("H.264 SPS: cropping leaves nothing"))?;
        let shape = PictureShape { dimensions, format: route::format(sps)? };
        Ok(Self {
            sps: sps.clone(),
            shape,
            codec: Codec::new(route, sps),
            replay: Replay::default(),
            open_start: None,
        })
    }

    fn decode(
        &mut self,
        serial: u64,
        key: (u64, i32),
        unit: &Bytes,
        (route, filtered): (Route, bool),
        finished: &mut Vec<Finished>,
    ) -> Result<()> {
        if let Codec::Fast { decoder, reorder } = &mut self.codec {
            self.replay.push(serial, unit, filtered);
            if route == Route::Fast
                && let Decoded::Picture(planes) = decoder.decode(unit, filtered)?
            {
                reorder.push(key, Waiting { serial, planes });
                return Ok(());
            }
            return self.change_library(finished);
        }
        match &mut self.codec {
            Codec::Exact(decoder) => decoder.decode(serial, unit, filtered, finished),
            Codec::Fast { .. } => Ok(()),
        }
    }

    /// Gives the whole sequence so far to the other library. Pictures that were delivered already come out
    /// again and find their serial answered; those that waited come out now.
    fn change_library(&mut self, finished: &mut Vec<Finished>) -> Result<()> {
        if self.replay.overflown {
            return Err(Error::corrupt(
                "the picture needs a coding tool that appears too late in its sequence; decoding continues at the next IDR picture",
            ));
        }
        let mut decoder = ExactDecoder::new(&self.sps);
        let mut outcome = Ok(());
        for (serial, unit, filtered) in std::mem::take(&mut self.replay.units) {
            outcome = decoder.decode(serial, &unit, filtered, finished);
        }
        self.codec = Codec::Exact(Box::new(decoder));
        outcome
    }
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
        match self.sequence.as_ref().map(|s| &s.codec) {
            Some(Codec::Exact(_)) => exact::LIBRARY,
            _ => fast::LIBRARY,
        }
    }
}
