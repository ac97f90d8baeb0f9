//! H.265 headers (ITU-T H.265, "7.x" and "E.x" below are its clauses).

mod config;
mod pps;
mod profile;
mod rps;
mod slice;
mod sps;
mod vps;
mod vui;

#[cfg(test)]
pub(crate) use config::HevcArray;
pub use config::HevcConfig;
pub(crate) use pps::Pps;
pub(crate) use profile::ProfileTierLevel;
pub(crate) use slice::{SliceSegment, SliceType};
pub(crate) use sps::Sps;
pub(crate) use vps::Vps;

use std::collections::BTreeMap;

use super::bits::BitReader;
use crate::error::{Error, Result};

/// First IRAP type: BLA picture with leading pictures.
pub(crate) const NAL_BLA_W_LP: u8 = 16;
/// IDR picture that may have RADL pictures.
pub(crate) const NAL_IDR_W_RADL: u8 = 19;
/// IDR picture without leading pictures.
pub(crate) const NAL_IDR_N_LP: u8 = 20;
/// Clean random access picture.
pub(crate) const NAL_CRA: u8 = 21;
/// Video parameter set.
pub(crate) const NAL_VPS: u8 = 32;
/// Sequence parameter set.
pub(crate) const NAL_SPS: u8 = 33;
/// Picture parameter set.
pub(crate) const NAL_PPS: u8 = 34;
/// Access unit delimiter.
pub(crate) const NAL_AUD: u8 = 35;
/// SEI before the slices.
pub(crate) const NAL_SEI_PREFIX: u8 = 39;

/// The two bytes in front of every NAL unit (7.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NalHeader {
    /// `nal_unit_type`, 0 to 63.
    pub nal_type: u8,
    /// `nuh_layer_id`: 0 is the base layer.
    pub layer_id: u8,
    /// `nuh_temporal_id_plus1`, 0 only in broken streams.
    pub temporal_id_plus1: u8,
}

impl NalHeader {
    /// Reads the header; `None` when the unit is shorter than it.
    pub(crate) fn parse(nal: &[u8]) -> Option<Self> {
        let (&[a, b], _) = nal.split_first_chunk()?;
        Some(Self {
            nal_type: (a >> 1) & 0x3f,
            layer_id: ((a & 1) << 5) | (b >> 3),
            temporal_id_plus1: b & 7,
        })
    }
}

/// `nal_unit_type` of a NAL unit; `None` when it is shorter than its header.
pub(crate) fn nal_type(nal: &[u8]) -> Option<u8> {
    NalHeader::parse(nal).map(|h| h.nal_type)
}

/// Whether units of this type are slices of a picture at which decoding can start (IDR, CRA, BLA).
pub(crate) const fn is_irap(nal_type: u8) -> bool {
    matches!(nal_type, 16..=23)
}

/// Whether units of this type are slices of an IDR picture.
pub(crate) const fn is_idr(nal_type: u8) -> bool {
    matches!(nal_type, NAL_IDR_W_RADL | NAL_IDR_N_LP)
}

/// Whether units of this type are slices of a random access skipped leading picture: it cannot be decoded
/// when decoding starts at the CRA or BLA picture before it.
pub(crate) const fn is_rasl(nal_type: u8) -> bool {
    matches!(nal_type, 8 | 9)
}

/// Whether units of this type are slices of a random access decodable leading picture.
pub(crate) const fn is_radl(nal_type: u8) -> bool {
    matches!(nal_type, 6 | 7)
}

/// The parameter sets of the base layer seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParameterSets {
    vps: BTreeMap<u8, Vps>,
    sps: BTreeMap<u8, Sps>,
    pps: BTreeMap<u8, Pps>,
}

impl ParameterSets {
    /// No parameter sets.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Stores the parameter set in `nal`; `false` when the unit is of another type or layer.
    ///
    /// # Errors
    /// [`Error::CorruptStream`]; sets seen before stay as they are.
    pub(crate) fn insert(&mut self, nal: &[u8]) -> Result<bool> {
        let Some(header) = NalHeader::parse(nal).filter(|h| h.layer_id == 0) else { return Ok(false) };
        match header.nal_type {
            NAL_VPS => {
                let vps = Vps::parse(nal)?;
                self.vps.insert(vps.id, vps);
            }
            NAL_SPS => {
                let sps = Sps::parse(nal)?;
                self.sps.insert(sps.id, sps);
            }
            NAL_PPS => {
                let pps = Pps::parse(nal)?;
                self.pps.insert(pps.id, pps);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The video parameter set `id`.
    pub(crate) fn vps(&self, id: u8) -> Option<&Vps> {
        self.vps.get(&id)
    }

    /// The sequence parameter set `id`.
    pub(crate) fn sps(&self, id: u8) -> Option<&Sps> {
        self.sps.get(&id)
    }

    /// The picture parameter set `id`.
    pub(crate) fn pps(&self, id: u8) -> Option<&Pps> {
        self.pps.get(&id)
    }

    /// The picture parameter set `id` and the sequence parameter set it refers to.
    pub(crate) fn active(&self, pps_id: u8) -> Option<(&Sps, &Pps)> {
        let pps = self.pps(pps_id)?;
        Some((self.sps(pps.sps_id)?, pps))
    }
}

/// Reader of the payload of a base-layer NAL unit of this type.
fn payload<'a>(nal: &'a [u8], nal_type: u8, structure: &str) -> Result<BitReader<'a>> {
    match NalHeader::parse(nal) {
        Some(NalHeader { nal_type: found, layer_id: 0, .. }) if found == nal_type => {
            Ok(BitReader::nal(nal.get(2..).unwrap_or(&[])))
        }
        Some(NalHeader { nal_type: found, layer_id: 1.., .. }) if found == nal_type => {
            Err(Error::unsupported(format!("{structure} of an enhancement layer (SHVC, MV-HEVC)")))
        }
        _ => Err(Error::corrupt(format!("{structure}: the NAL unit is not of type {nal_type}"))),
    }
}
