//! A coded picture of a part that is cut exactly, and the parameter sets with which it can be decoded.
//!
//! What is encoded anew has parameter sets of its own, under the numbers of the source's. Each random access point brings the
//! sets that it needs, therefore, so that decoding can begin at it whatever was decoded before.

use std::borrow::Cow;

use super::super::begin::{begins_closed, units};
use crate::bitstream::annexb::START_CODE_LONG;
use crate::bitstream::{ActiveParameterSets, hevc, is_delimiter};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::memory;
use crate::packet::{BitstreamLayout, Packet};
use crate::time::Timestamp;

/// A clean random access picture becomes one behind which no leading pictures follow and nothing is referred to: a place at
/// which streams may be joined (H.265, 3.16 and 7.4.2.2).
const BLA_N_LP: u8 = 18;

/// A packet with its times, and the parameter sets in force that it does not bring itself, in Annex B.
#[derive(Clone)]
pub(super) struct Picture {
    pub(super) packet: Packet,
    pub(super) pts: Timestamp,
    pub(super) dts: Timestamp,
    /// Whether decoding can begin here.
    pub(super) begins: bool,
    sets: Vec<u8>,
}

impl Picture {
    /// `sets`: those in force, which take up what the packet brings.
    pub(super) fn new(
        packet: Packet,
        (pts, dts): (Timestamp, Timestamp),
        begins: bool,
        sets: &mut ActiveParameterSets,
    ) -> Result<Self> {
        let unit = annexb(packet.layout, &packet.data)?;
        let missing = if packet.keyframe { sets.missing_from(&unit) } else { Vec::new() };
        sets.observe(&unit);
        drop(unit);
        Ok(Self { packet, pts, dts, begins, sets: missing })
    }

    /// The packet with all parameter sets that it needs.
    pub(super) fn complete(&self, codec: Codec) -> Result<Packet> {
        with_sets(codec, self.packet.clone(), &self.sets)
    }

    /// Has decoders take what follows for a stream that begins here: leading pictures are not there.
    pub(super) fn break_link(&mut self, codec: Codec) -> Result<()> {
        let own = units(self.packet.layout, &self.packet.data);
        let is_clean = |nal: &&[u8]| hevc::nal_type(nal) == Some(hevc::NAL_CRA);
        if codec != Codec::Hevc || !own.iter().any(is_clean) {
            return Ok(());
        }
        let changed: Vec<Cow<'_, [u8]>> = own
            .iter()
            .map(|nal| match nal.split_first() {
                Some((first, rest)) if is_clean(nal) => {
                    Cow::Owned([&[first & 0x81 | BLA_N_LP << 1], rest].concat())
                }
                _ => Cow::Borrowed(*nal),
            })
            .collect();
        self.packet.data = framed(self.packet.layout, changed.iter().map(|nal| &**nal))?.into();
        Ok(())
    }

    /// Whether it is to be shown in this part of the time line.
    pub(super) fn is_shown(&self, from: Timestamp, to: Option<Timestamp>) -> bool {
        !self.packet.discard && !self.pts.is_before(from) && to.is_none_or(|to| self.pts.is_before(to))
    }
}

/// The packet with these parameter sets, which are in Annex B, in front of its slices.
pub(super) fn with_sets(codec: Codec, packet: Packet, sets: &[u8]) -> Result<Packet> {
    if sets.is_empty() {
        return Ok(packet);
    }
    let sets = units(BitstreamLayout::AnnexB, sets);
    let own = units(packet.layout, &packet.data);
    // An access unit delimiter stays in front.
    let delimiters = usize::from(own.first().is_some_and(|nal| is_delimiter(codec, nal)));
    let (head, rest) = own.split_at_checked(delimiters).unwrap_or((&[], &own));
    let data = framed(packet.layout, head.iter().chain(&sets).chain(rest).copied())?;
    Ok(Packet { data: data.into(), ..packet })
}

/// Whether everything behind a picture, in the order of decoding, can be decoded without anything before it, once its leading
/// pictures are left out. H.264 has this with IDR pictures alone: after others the numbers of pictures go on.
pub(super) fn is_seam(codec: Codec, packet: &Packet) -> bool {
    match codec {
        Codec::Hevc => {
            let nals = units(packet.layout, &packet.data);
            nals.iter().filter_map(|nal| hevc::nal_type(nal)).any(hevc::is_irap)
        }
        _ => begins_closed(codec, packet.layout, &packet.data),
    }
}

/// A packet of an encoder in another framing.
pub(super) fn reframed(codec: Codec, packet: &Packet, layout: BitstreamLayout) -> Result<Vec<u8>> {
    let nals = units(packet.layout, &packet.data);
    framed(layout, nals.into_iter().filter(|nal| !is_delimiter(codec, nal)))
}

/// What is broken is the decoder's business: the units in front of the damage are there.
fn annexb(layout: BitstreamLayout, data: &[u8]) -> Result<Cow<'_, [u8]>> {
    Ok(match layout {
        BitstreamLayout::AnnexB => data.into(),
        _ => framed(BitstreamLayout::AnnexB, units(layout, data).into_iter())?.into(),
    })
}

fn framed<'a>(layout: BitstreamLayout, nals: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for nal in nals {
        memory::grow(&mut out, nal.len() + START_CODE_LONG.len())?;
        match layout {
            BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
                let length = (nal.len() as u64).to_be_bytes();
                let (high, low) = length
                    .split_at_checked(length.len() - usize::from(length_size.min(8)))
                    .unwrap_or_default();
                if high.iter().any(|byte| *byte != 0) {
                    return Err(Error::unsupported(format!(
                        "a unit of {} bytes among samples whose units have lengths of {length_size} bytes",
                        nal.len()
                    )));
                }
                out.extend_from_slice(low);
            }
            _ => out.extend_from_slice(&START_CODE_LONG),
        }
        out.extend_from_slice(nal);
    }
    Ok(out)
}
