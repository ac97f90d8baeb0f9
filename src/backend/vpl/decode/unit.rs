//! One unit, as a session takes it, and what its headers say of its place in the stream.

use bytes::Bytes;

use crate::bitstream::annexb::nal_units;
use crate::bitstream::{ActiveParameterSets, DisplayOrder, StreamInfo, UnitRole, av1, h264, hevc};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::Result;
use crate::memory;
use crate::packet::BitstreamLayout;

/// A unit with a picture.
#[derive(Debug)]
pub(super) struct Unit {
    /// As it came, or with the parameter sets that it counts on in front.
    pub(super) data: Bytes,
    pub(super) start: Start,
    /// A leading picture that may refer to pictures before the random access point.
    pub(super) is_rasl: bool,
    /// Period and count: its place in output order, where that is told.
    pub(super) key: Option<(u64, i32)>,
    /// The sequence that begins with it, or is told again.
    pub(super) info: Option<StreamInfo>,
}

/// Whether decoding can start with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    No,
    /// Nothing behind it refers to anything before it.
    Closed,
    /// Leading pictures may; after a BLA picture they always do.
    Open {
        broken: bool,
    },
    /// H.264 without an IDR picture: all is right after so many frames.
    Recovery(u32),
}

/// Reads units one after the other.
pub(super) struct Reader {
    codec: Codec,
    /// What a container has of an AV1 stream that says it nowhere else.
    record: Option<Bytes>,
    sets: ActiveParameterSets,
    order: DisplayOrder,
}

impl Reader {
    pub(super) fn new(config: &CommonDecodeConfig) -> Self {
        Self {
            codec: config.codec,
            record: config.codec_config.clone(),
            sets: ActiveParameterSets::new(config.codec),
            order: DisplayOrder::new(config.codec),
        }
    }

    /// What comes next has nothing to do with what was before, but for the parameter sets.
    pub(super) fn restart(&mut self) {
        self.order = DisplayOrder::new(self.codec);
    }

    /// Reads a unit in the codec's elementary layout; `None`: there is no picture in it.
    ///
    /// # Errors
    /// Headers that cannot be read.
    pub(super) fn read(&mut self, data: &Bytes) -> Result<Option<Unit>> {
        let codec = self.codec;
        let layout = BitstreamLayout::elementary(codec);
        let mut unit = Unit { data: data.clone(), start: Start::No, is_rasl: false, key: None, info: None };
        if codec.uses_nal_units() {
            let kinds = Kinds::of(codec, data);
            unit.start = kinds.start(codec, UnitRole::of(codec, data));
            // Where a sequence may begin, and where sets are sent again, all that are in force count.
            if kinds.sets || unit.start != Start::No {
                let mut whole = self.sets.missing_from(data);
                if !whole.is_empty() {
                    memory::grow(&mut whole, data.len())?;
                    whole.extend_from_slice(data);
                    unit.data = whole.into();
                }
            }
            self.sets.observe(data);
            unit.key = self.order.of_unit(layout, &unit.data);
            if kinds.first_slice.is_none() {
                return Ok(None);
            }
            unit.is_rasl = codec == Codec::Hevc && kinds.first_slice.is_some_and(hevc::is_rasl);
            if kinds.sets || unit.start != Start::No {
                unit.info = StreamInfo::from_unit(codec, layout, &unit.data)?;
            }
            return Ok(Some(unit));
        }
        let is_start = match codec {
            // A sequence header.
            Codec::Mpeg2 => nal_units(data).any(|part| part.first() == Some(&0xb3)),
            _ => UnitRole::of(codec, data) == UnitRole::Closed,
        };
        if is_start {
            unit.start = Start::Closed;
            unit.info = StreamInfo::from_unit(codec, layout, data)?;
            if let (None, Some(record), Codec::Av1) = (&unit.info, &self.record, codec) {
                // A stream may have its sequence header in the container alone, behind four bytes.
                unit.info = StreamInfo::from_config(codec, record)?;
                let mut whole = Vec::new();
                memory::grow(&mut whole, record.len() + data.len())?;
                whole.extend_from_slice(record.get(4..).unwrap_or_default());
                av1::strip_temporal_delimiters(data, &mut whole)?;
                unit.data = whole.into();
            }
        }
        Ok(Some(unit))
    }
}

/// What NAL unit headers tell.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    sets: bool,
    first_slice: Option<u8>,
    /// `recovery_frame_cnt`.
    recovery: Option<u32>,
}

impl Kinds {
    fn of(codec: Codec, data: &[u8]) -> Self {
        let mut kinds = Self::default();
        for nal in nal_units(data) {
            if codec == Codec::H264 {
                match h264::nal_type(nal) {
                    Some(h264::NAL_SPS | h264::NAL_PPS) => kinds.sets = true,
                    Some(h264::NAL_SEI) if kinds.recovery.is_none() => {
                        kinds.recovery = h264::recovery_frame_count(nal);
                    }
                    Some(kind @ (h264::NAL_SLICE | h264::NAL_PARTITION_A | h264::NAL_IDR)) => {
                        kinds.first_slice.get_or_insert(kind);
                    }
                    _ => {}
                }
            } else if let Some(header) = hevc::NalHeader::parse(nal).filter(|header| header.layer_id == 0) {
                match header.nal_type {
                    hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS => kinds.sets = true,
                    kind @ 0..=31 => {
                        kinds.first_slice.get_or_insert(kind);
                    }
                    _ => {}
                }
            }
        }
        kinds
    }

    fn start(&self, codec: Codec, role: UnitRole) -> Start {
        match (codec, role) {
            (_, UnitRole::Closed) => Start::Closed,
            (_, UnitRole::Open) => {
                Start::Open { broken: self.first_slice.is_some_and(|kind| kind < hevc::NAL_IDR_W_RADL) }
            }
            (Codec::H264, _) => self.recovery.map_or(Start::No, Start::Recovery),
            _ => Start::No,
        }
    }
}
