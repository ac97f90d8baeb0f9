//! Where decoding can start, and what cannot be decoded from there.

use super::annexb::nal_units;
use super::bits::BitReader;
use super::{av1, h264, hevc, vp8, vp9};
use crate::codec::Codec;

/// What a unit is to a decoder that starts in the middle of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitRole {
    /// Decoding can start here, and nothing from here on refers to anything before.
    Closed,
    /// Decoding can start here, but leading pictures may follow: decoded after it, shown before it, and some of
    /// them refer to pictures before it (HEVC CRA and BLA pictures: an open GOP).
    Open,
    /// A leading picture of the unit before it at which decoding can start.
    Leading,
    /// Any other.
    Dependent,
}

impl UnitRole {
    /// Of one access unit in the codec's elementary layout. Units that cannot be read are [`Self::Dependent`].
    ///
    /// MPEG-2, MPEG-4 and VC-1 are not looked into. H.264 streams that refresh without IDR pictures have no point at which this finds that decoding can start:
    /// which pictures can be decoded after a recovery point is not written in their headers.
    pub(crate) fn of(codec: Codec, unit: &[u8]) -> Self {
        let closed = |key: bool| if key { Self::Closed } else { Self::Dependent };
        match codec {
            Codec::H264 => {
                let first =
                    nal_units(unit).find_map(|nal| h264::nal_type(nal).filter(|kind| (1..=5).contains(kind)));
                closed(first == Some(h264::NAL_IDR))
            }
            Codec::Hevc => {
                let first = nal_units(unit).find_map(|nal| {
                    hevc::NalHeader::parse(nal)
                        .filter(|header| header.layer_id == 0 && header.nal_type < hevc::NAL_VPS)
                        .map(|header| header.nal_type)
                });
                match first {
                    Some(kind) if hevc::is_idr(kind) => Self::Closed,
                    // 22 and 23 are reserved.
                    Some(hevc::NAL_BLA_W_LP..=hevc::NAL_CRA) => Self::Open,
                    Some(kind) if hevc::is_rasl(kind) || hevc::is_radl(kind) => Self::Leading,
                    _ => Self::Dependent,
                }
            }
            Codec::Av1 => closed(av1::is_keyframe(unit)),
            // Of a superframe, the first: a key frame behind a hidden one would leave that one out.
            Codec::Vp9 => closed(
                vp9::frames(unit)
                    .first()
                    .is_some_and(|frame| vp9::FrameHeader::parse(frame).is_ok_and(|header| header.keyframe)),
            ),
            // Every picture is one.
            Codec::Mjpeg => Self::Closed,
            // Their groups are open more often than not, and told by headers that are not read here.
            Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 => Self::Dependent,
            Codec::Vp8 => closed(vp8::FrameHeader::parse(unit).is_ok_and(|header| header.keyframe)),
        }
    }
}

/// Whether a NAL unit of H.264 or HEVC is an access unit delimiter, which stays in front of all else.
pub(crate) fn is_delimiter(codec: Codec, nal: &[u8]) -> bool {
    match codec {
        Codec::Hevc => hevc::nal_type(nal) == Some(hevc::NAL_AUD),
        _ => h264::nal_type(nal) == Some(h264::NAL_AUD),
    }
}

/// Whether a NAL unit of H.264 or HEVC holds a slice.
pub(crate) fn is_slice(codec: Codec, nal: &[u8]) -> bool {
    match codec {
        Codec::Hevc => hevc::NalHeader::parse(nal)
            .is_some_and(|header| header.layer_id == 0 && header.nal_type < hevc::NAL_VPS),
        _ => matches!(h264::nal_type(nal), Some(1..=5)),
    }
}

/// The NAL units in front of the first slice of an Annex B access unit.
pub(crate) fn leading_units(codec: Codec, unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    nal_units(unit).take_while(move |nal| !is_slice(codec, nal))
}

/// The parameter sets in force, as they came: what a decoder needs that starts in the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActiveParameterSets {
    codec: Codec,
    /// In the order of first appearance, so that each comes behind what it refers to.
    sets: Vec<(SetKey, Vec<u8>)>,
}

/// Kind and number of a parameter set.
type SetKey = (u8, u32);

/// More different sets than any stream has: H.264 may have 32 SPS and 256 PPS. Further ones are not kept.
const MAX_SETS: usize = 16 + 32 + 256;

impl ActiveParameterSets {
    /// None yet.
    pub(crate) const fn new(codec: Codec) -> Self {
        Self { codec, sets: Vec::new() }
    }

    /// Takes the parameter sets of an Annex B access unit; those of the same number are replaced. Sets behind the first
    /// slice count too: they are in force from the next unit on at the latest.
    pub(crate) fn observe(&mut self, unit: &[u8]) {
        if matches!(self.codec, Codec::H264 | Codec::Hevc) {
            self.take(nal_units(unit));
        }
    }

    /// Takes the parameter sets among these NAL units; whether one is new or replaces another.
    pub(crate) fn take<'a>(&mut self, nals: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut changed = false;
        for nal in nals {
            let Some(key) = self.key(nal) else { continue };
            match self.sets.iter().position(|(known, _)| *known == key) {
                Some(at) if self.sets[at].1 == nal => continue,
                Some(at) => nal.clone_into(&mut self.sets[at].1),
                None if self.sets.len() < MAX_SETS => self.sets.push((key, nal.to_vec())),
                None => {}
            }
            changed = true;
        }
        changed
    }

    /// Those in force, each behind what it refers to.
    pub(crate) fn units(&self) -> impl Iterator<Item = &[u8]> {
        self.sets.iter().map(|(_, nal)| nal.as_slice())
    }

    /// Whether this set is in force.
    pub(crate) fn holds(&self, nal: &[u8]) -> bool {
        self.units().any(|set| set == nal)
    }

    /// What must be put in front of `unit`, an Annex B access unit, for a decoder that starts with it: all sets in
    /// force that it does not bring itself in front of its first slice. Call it before [`Self::observe`]: a set between the
    /// fields of a frame is not that of its first field.
    pub(crate) fn missing_from(&self, unit: &[u8]) -> Vec<u8> {
        self.missing_from_units(leading_units(self.codec, unit))
    }

    /// As [`Self::missing_from`], of the units in front of the first slice.
    pub(crate) fn missing_from_units<'a>(&self, lead: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let own: Vec<_> = lead.filter_map(|nal| self.key(nal)).collect();
        let mut out = Vec::new();
        for (key, nal) in &self.sets {
            if !own.contains(key) {
                out.extend_from_slice(&super::annexb::START_CODE_LONG);
                out.extend_from_slice(nal);
            }
        }
        out
    }

    fn key(&self, nal: &[u8]) -> Option<SetKey> {
        let first_code = |skip: usize| BitReader::nal(nal.get(skip..)?).ue().ok();
        match self.codec {
            Codec::H264 => match h264::nal_type(nal)? {
                // profile_idc, constraint flags and level_idc stand before the number.
                kind @ h264::NAL_SPS => Some((kind, first_code(4)?)),
                kind @ h264::NAL_PPS => Some((kind, first_code(1)?)),
                _ => None,
            },
            Codec::Hevc => {
                let header = hevc::NalHeader::parse(nal).filter(|header| header.layer_id == 0)?;
                match header.nal_type {
                    kind @ hevc::NAL_VPS => Some((kind, u32::from(nal.get(2)? >> 4))),
                    kind @ hevc::NAL_SPS => Some((kind, u32::from(hevc::Sps::parse(nal).ok()?.id))),
                    kind @ hevc::NAL_PPS => Some((kind, first_code(2)?)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NAL units of these first bytes, with start codes and a byte of payload.
    fn unit(heads: &[&[u8]]) -> Vec<u8> {
        heads.iter().flat_map(|head| [&[0, 0, 1], *head, &[0x80]].concat()).collect()
    }

    #[test]
    fn h264_starts_at_idr_pictures() {
        let role = |heads: &[&[u8]]| UnitRole::of(Codec::H264, &unit(heads));
        assert_eq!(role(&[&[0x09, 0xf0], &[0x67], &[0x68], &[0x65]]), UnitRole::Closed);
        assert_eq!(role(&[&[0x06], &[0x41]]), UnitRole::Dependent);
        assert_eq!(role(&[&[0x67]]), UnitRole::Dependent);
        assert_eq!(role(&[]), UnitRole::Dependent);
    }

    #[test]
    fn hevc_starts_at_irap_pictures_and_knows_leading_ones() {
        let role = |kind: u8| UnitRole::of(Codec::Hevc, &unit(&[&[0x46, 1, 0x50], &[kind << 1, 1]]));
        assert_eq!(role(19), UnitRole::Closed);
        assert_eq!(role(20), UnitRole::Closed);
        for open in [16, 17, 18, 21] {
            assert_eq!(role(open), UnitRole::Open, "{open}");
        }
        for leading in [6, 7, 8, 9] {
            assert_eq!(role(leading), UnitRole::Leading, "{leading}");
        }
        for other in [0, 1, 5, 22, 31] {
            assert_eq!(role(other), UnitRole::Dependent, "{other}");
        }
    }

    #[test]
    fn a_start_gets_the_sets_that_it_lacks_and_the_latest_of_each() {
        let mut sets = ActiveParameterSets::new(Codec::H264);
        // SPS 0 (one bit set behind profile and level), PPS 0 and PPS 1 (010).
        let (sps, pps0, pps1) = ([0x67, 66, 0, 30, 0x80], [0x68, 0x80], [0x68, 0x40]);
        sets.observe(&unit(&[&sps, &pps0, &pps1, &[0x65]]));
        let newer = [0x68, 0xC0];
        sets.observe(&unit(&[&newer, &[0x41]]));
        let bare = unit(&[&[0x65]]);
        assert_eq!(sets.missing_from(&bare), {
            let long = |nal: &[u8]| [&[0, 0, 0, 1], nal, &[0x80]].concat();
            [long(&sps), long(&newer), long(&pps1)].concat()
        });
        let with_pps = unit(&[&pps1, &[0x65]]);
        assert!(!sets.missing_from(&with_pps).windows(2).any(|two| two == pps1));
    }

    #[test]
    fn a_set_between_fields_does_not_replace_that_of_the_first_field() {
        let mut sets = ActiveParameterSets::new(Codec::H264);
        let (sps, first, second) = ([0x67, 66, 0, 30, 0x80], [0x68, 0x80], [0x68, 0xC0]);
        sets.observe(&unit(&[&sps, &first]));
        let fields = unit(&[&[0x65], &second, &[0x41]]);
        assert_eq!(
            sets.missing_from(&fields),
            [[0, 0, 0, 1].as_slice(), &sps, &[0x80, 0, 0, 0, 1], &first, &[0x80]].concat()
        );
        sets.observe(&fields);
        assert!(sets.missing_from(&unit(&[&[0x41]])).windows(2).any(|two| two == second));
    }

    #[test]
    fn sets_are_bounded() {
        let mut sets = ActiveParameterSets::new(Codec::H264);
        for id in 0_u32..2000 {
            // Exp-Golomb of 21 bits.
            let code = ((u64::from(id) + 1) | (1 << 10)) << 11;
            sets.observe(&[&[0, 0, 1, 0x68][..], &code.to_be_bytes()[4..], &[0x80]].concat());
        }
        assert!(sets.sets.len() <= MAX_SETS);
    }
}
