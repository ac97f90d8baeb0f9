//! One unit, as a session takes it, and what its headers say of its place in the stream.

use super::stream::Stream;
use crate::bitstream::annexb::nal_units;
use crate::bitstream::convert::{Keep, annexb_to_length_prefixed};
use crate::bitstream::mpeg::{Head, Kind};
use crate::bitstream::{ActiveParameterSets, DisplayOrder, UnitRole, av1, h264, hevc};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Remedy, Result};
use crate::memory;
use crate::packet::BitstreamLayout;

use crate::backend::videotoolbox::driver::media::LENGTH_SIZE;

/// A unit with a picture.
#[derive(Debug)]
pub(super) struct Unit {
    /// NAL units after their lengths, without parameter sets; a temporal unit without its delimiter; else as it came.
    pub(super) sample: Vec<u8>,
    pub(super) start: Start,
    /// A leading picture that may refer to pictures before the random access point.
    pub(super) is_rasl: bool,
    /// Period and count: its place in output order.
    pub(super) key: (u64, i32),
    /// The sequence that begins with it, or is told again.
    pub(super) stream: Option<Stream>,
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
    config: CommonDecodeConfig,
    sets: ActiveParameterSets,
    /// The decoder has no parameter sets but those of the description of the format: none came between two fields.
    told: bool,
    order: DisplayOrder,
    /// VP9, AV1: units so far. MPEG-2, MPEG-4: those that others may refer to.
    count: u64,
    /// MPEG-2, MPEG-4: pictures since then to which nothing refers.
    between: i32,
    /// MPEG-2, MPEG-4: a sequence header was there.
    is_known: bool,
    /// MPEG-2, MPEG-4: headers that came without a picture, for the next one.
    headers: Vec<u8>,
    /// MPEG-2, MPEG-4: pictures to which nothing refers follow a random access point, and are shown before it.
    leads: bool,
}

impl Reader {
    pub(super) fn new(config: &CommonDecodeConfig) -> Self {
        Self {
            config: config.clone(),
            sets: ActiveParameterSets::new(config.codec),
            told: true,
            order: DisplayOrder::new(config.codec),
            count: 0,
            between: 0,
            is_known: false,
            headers: Vec::new(),
            leads: false,
        }
    }

    /// What comes next has nothing to do with what was before, but for the parameter sets.
    pub(super) fn restart(&mut self) {
        self.order = DisplayOrder::new(self.config.codec);
        (self.count, self.between, self.leads) = (0, 0, false);
    }

    /// Reads a unit in the codec's elementary layout; `None`: there is no picture in it.
    ///
    /// # Errors
    /// Headers that cannot be read, streams that are not taken.
    pub(super) fn read(&mut self, data: &[u8]) -> Result<Option<Unit>> {
        match self.config.codec {
            Codec::H264 | Codec::Hevc => self.read_nals(data),
            Codec::Mpeg2 | Codec::Mpeg4 => self.read_mpeg(data),
            _ => self.read_frames(data),
        }
    }

    fn read_nals(&mut self, data: &[u8]) -> Result<Option<Unit>> {
        let codec = self.config.codec;
        let kinds = Kinds::of(codec, data);
        let told = std::mem::replace(&mut self.told, !kinds.late_sets);
        let start = match (codec, UnitRole::of(codec, data)) {
            (_, UnitRole::Closed) => Start::Closed,
            (_, UnitRole::Open) => {
                Start::Open { broken: kinds.first_slice.is_some_and(|kind| kind < hevc::NAL_IDR_W_RADL) }
            }
            (Codec::H264, _) => kinds.recovery.map_or(Start::No, Start::Recovery),
            _ => Start::No,
        };
        // Where a sequence may begin, and where sets are sent again, all that are in force count.
        let whole = if kinds.sets || start != Start::No || !told {
            let mut whole = self.sets.missing_from(data);
            memory::grow(&mut whole, data.len())?;
            whole.extend_from_slice(data);
            Some(whole)
        } else {
            None
        };
        self.sets.observe(data);
        let place = self.order.of_unit(BitstreamLayout::AnnexB, whole.as_deref().unwrap_or(data));
        if kinds.first_slice.is_none() {
            return Ok(None);
        }
        let key = place.ok_or_else(|| {
            Error::corrupt(format!(
                "a {codec} slice header that cannot be read, or without its parameter sets"
            ))
        })?;
        let stream = whole.as_deref().map(|whole| Stream::of(whole, &self.config)).transpose()?.flatten();
        let mut sample = Vec::new();
        match whole.as_deref().filter(|_| kinds.late_sets || !told) {
            // The description of the format has those of the first field; the decoder takes others up where it meets them, and
            // keeps them.
            Some(whole) => annexb_to_length_prefixed(codec, whole, LENGTH_SIZE, Keep::All, &mut sample)?,
            None => {
                annexb_to_length_prefixed(codec, data, LENGTH_SIZE, Keep::WithoutParameterSets, &mut sample)?;
            }
        }
        let is_rasl = codec == Codec::Hevc && kinds.first_slice.is_some_and(hevc::is_rasl);
        Ok(Some(Unit { sample, start, is_rasl, key, stream }))
    }

    /// MPEG-2 and MPEG-4: a picture to which others refer is shown when the next such picture has come, and those between them
    /// at once.
    fn read_mpeg(&mut self, data: &[u8]) -> Result<Option<Unit>> {
        let whole;
        let mut data = data;
        let mut head = Head::of(self.config.codec, data)?;
        if head.kind.is_some() && !self.headers.is_empty() {
            let mut headers = std::mem::take(&mut self.headers);
            if head.info.is_none() {
                memory::grow(&mut headers, data.len())?;
                headers.extend_from_slice(data);
                whole = headers;
                data = &whole;
                head = Head::of(self.config.codec, data)?;
            }
        }
        let Some(kind) = head.kind else {
            if head.info.is_some() {
                self.headers.clear();
                memory::grow(&mut self.headers, data.len())?;
                self.headers.extend_from_slice(data);
            }
            return Ok(None);
        };
        if head.is_packed {
            return Err(Error::Unsupported {
                feature: "MPEG-4 with several pictures in a packet by VideoToolbox".to_owned(),
                remedy: Remedy::OtherBackend,
            });
        }
        self.is_known |= head.info.is_some();
        let start = match kind {
            Kind::Intra if head.is_closed => Start::Closed,
            Kind::Intra if self.is_known => Start::Open { broken: false },
            _ => Start::No,
        };
        if kind == Kind::Bidirectional {
            self.between = self.between.saturating_add(1);
        } else {
            self.count += 1;
            self.between = 0;
            self.leads = start != Start::No;
        }
        let is_between = kind == Kind::Bidirectional;
        let key = (self.count - u64::from(is_between && self.count > 0), self.between);
        let stream = if head.info.is_some() { Stream::of(data, &self.config)? } else { None };
        let mut sample = Vec::new();
        memory::grow(&mut sample, data.len())?;
        sample.extend_from_slice(data);
        Ok(Some(Unit { sample, start, is_rasl: is_between && self.leads, key, stream }))
    }

    /// VP9 and AV1: each unit shows one picture, in its turn.
    fn read_frames(&mut self, data: &[u8]) -> Result<Option<Unit>> {
        let codec = self.config.codec;
        let mut sample = Vec::new();
        memory::grow(&mut sample, data.len())?;
        if codec == Codec::Av1 {
            av1::strip_temporal_delimiters(data, &mut sample)?;
        } else {
            sample.extend_from_slice(data);
        }
        // CoreMedia has no blocks without bytes, and its refusal would end the session.
        if sample.is_empty() {
            return Ok(None);
        }
        let is_key = UnitRole::of(codec, data) == UnitRole::Closed;
        let stream = if is_key { Stream::of(data, &self.config)? } else { None };
        self.count += 1;
        let start = if is_key { Start::Closed } else { Start::No };
        Ok(Some(Unit { sample, start, is_rasl: false, key: (self.count, 0), stream }))
    }
}

/// What NAL unit headers tell.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    sets: bool,
    /// There are sets behind the first slice: between the fields of a frame.
    late_sets: bool,
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
                    Some(h264::NAL_SPS | h264::NAL_PPS) => {
                        kinds.sets = true;
                        kinds.late_sets |= kinds.first_slice.is_some();
                    }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::AccessUnitAssembler;
    use crate::bitstream::convert::length_prefixed_units;
    use crate::pixel::PixelFormat;

    fn units(name: &str, codec: Codec) -> Vec<Option<Unit>> {
        let path = format!("{}/clips/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut assembler = AccessUnitAssembler::new(codec).unwrap();
        assembler.push(&std::fs::read(path).unwrap()).unwrap();
        assembler.finish();
        let mut reader = Reader::new(&CommonDecodeConfig::new(codec));
        std::iter::from_fn(|| assembler.next_unit()).map(|unit| reader.read(&unit.data).unwrap()).collect()
    }

    #[test]
    fn units_without_bytes_of_a_picture_are_none() {
        for (codec, data) in
            [(Codec::Vp9, &[0_u8; 0][..]), (Codec::Av1, &[][..]), (Codec::Av1, &[0x12, 0][..])]
        {
            let mut reader = Reader::new(&CommonDecodeConfig::new(codec));
            assert!(reader.read(data).unwrap().is_none(), "{codec} {data:?}");
        }
    }

    #[test]
    fn headers_that_come_alone_belong_to_the_next_picture() {
        let headers = include_bytes!("sequences/mpeg2.bin");
        let end = headers.windows(4).position(|four| four == [0, 0, 1, 0]).unwrap_or(headers.len());
        let picture = [0, 0, 1, 0, 0, 8, 0xff, 0xf8, 0x80];
        let mut reader = Reader::new(&CommonDecodeConfig::new(Codec::Mpeg2));
        assert_eq!(reader.read(&picture).unwrap().unwrap().start, Start::No, "nothing is known of it");
        assert!(reader.read(&headers[..end]).unwrap().is_none());
        let unit = reader.read(&picture).unwrap().unwrap();
        assert!(unit.start != Start::No && unit.stream.is_some());
        assert_eq!(unit.sample, [&headers[..end], &picture].concat());
        assert!(reader.read(&picture).unwrap().unwrap().stream.is_none(), "once");
    }

    #[test]
    fn units_are_read_as_a_session_takes_them() {
        for (name, codec, format) in [
            ("small.h264", Codec::H264, PixelFormat::Nv12),
            ("small.h265", Codec::Hevc, PixelFormat::Nv12),
            ("small-10bit.h265", Codec::Hevc, PixelFormat::P010),
        ] {
            let units: Vec<_> = units(name, codec).into_iter().map(|unit| unit.unwrap()).collect();
            assert_eq!(units.len(), 50, "{name}");
            let first = units[0].stream.as_ref().unwrap();
            assert_eq!((first.shape.format, units[0].start), (format, Start::Closed), "{name}");
            for unit in &units {
                let nals: Vec<_> =
                    length_prefixed_units(&unit.sample, LENGTH_SIZE).map(|nal| nal.unwrap()).collect();
                let kind = |nal: &&[u8]| match codec {
                    Codec::H264 => h264::nal_type(nal).unwrap(),
                    _ => hevc::nal_type(nal).unwrap(),
                };
                let sets = if codec == Codec::H264 { 7..=9 } else { 32..=35 };
                assert!(
                    !nals.is_empty() && !nals.iter().map(kind).any(|kind| sets.contains(&kind)),
                    "{name}"
                );
                assert!(unit.stream.as_ref().is_none_or(|stream| stream == first), "{name}: nothing changes");
            }
            let mut shown: Vec<_> = units.iter().map(|unit| unit.key).collect();
            let decoded = shown.clone();
            shown.sort_unstable();
            shown.dedup();
            assert_eq!(shown.len(), 50, "{name}: each has a place of its own");
            assert!(shown != decoded, "{name}: the clip has B frames");
        }
    }
}
