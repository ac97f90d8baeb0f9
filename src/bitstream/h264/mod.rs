//! H.264 headers (ITU-T H.264, "7.x" and "8.x" below are its clauses).

mod config;
pub(crate) mod poc;
mod pps;
mod slice;
mod sps;
pub(super) mod vui;
mod weights;

pub use config::AvcConfig;
#[cfg(test)]
pub(crate) use config::AvcHighFields;
pub(crate) use pps::Pps;
pub(crate) use slice::is_intra_slice;
pub(crate) use slice::{
    MemoryManagement, SliceHeader, SliceIdentity, SliceType, has_recovery_point, recovery_frame_count,
};
pub(crate) use sps::{Crop, PicOrderCntType, Sps};
pub(crate) use weights::scale_weight_offsets;

use std::collections::BTreeMap;

use super::bits::{BitError, BitResult};
use crate::error::Result;

/// Coded slice of a non-IDR picture.
pub(crate) const NAL_SLICE: u8 = 1;
/// Coded slice data partition A.
pub(crate) const NAL_PARTITION_A: u8 = 2;
/// Coded slice of an IDR picture.
pub(crate) const NAL_IDR: u8 = 5;
/// Supplemental enhancement information.
pub(crate) const NAL_SEI: u8 = 6;
/// Sequence parameter set.
pub(crate) const NAL_SPS: u8 = 7;
/// Picture parameter set.
pub(crate) const NAL_PPS: u8 = 8;
/// Access unit delimiter.
pub(crate) const NAL_AUD: u8 = 9;
/// Sequence parameter set extension.
pub(crate) const NAL_SPS_EXTENSION: u8 = 13;
/// Prefix NAL unit (SVC, MVC).
pub(crate) const NAL_PREFIX: u8 = 14;
/// Subset sequence parameter set (SVC, MVC).
pub(crate) const NAL_SUBSET_SPS: u8 = 15;

/// `nal_unit_type` of a NAL unit (7.4.1); `None` when it is empty.
pub(crate) fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|b| b & 0x1f)
}

/// `nal_ref_idc` of a NAL unit; `None` when it is empty.
pub(crate) fn nal_ref_idc(nal: &[u8]) -> Option<u8> {
    nal.first().map(|b| (b >> 5) & 3)
}

/// The parameter sets seen so far; what slice headers are read against.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParameterSets {
    sps: BTreeMap<u8, Sps>,
    pps: BTreeMap<u8, Pps>,
}

impl ParameterSets {
    /// No parameter sets.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Stores the parameter set in `nal`; `false` when the unit is of another type.
    ///
    /// # Errors
    /// [`crate::Error::CorruptStream`]; sets seen before stay as they are.
    pub(crate) fn insert(&mut self, nal: &[u8]) -> Result<bool> {
        match nal_type(nal) {
            Some(NAL_SPS) => {
                let sps = Sps::parse(nal)?;
                self.sps.insert(sps.id, sps);
            }
            Some(NAL_PPS) => {
                let pps = Pps::parse(nal, self)?;
                self.pps.insert(pps.id, pps);
            }
            _ => return Ok(false),
        }
        Ok(true)
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

    pub(super) fn require(&self, pps_id: u8) -> BitResult<(&Sps, &Pps)> {
        let pps = self.pps(pps_id).ok_or(BitError::Missing { what: "PPS", id: u32::from(pps_id) })?;
        let sps = self.sps(pps.sps_id).ok_or(BitError::Missing { what: "SPS", id: u32::from(pps.sps_id) })?;
        Ok((sps, pps))
    }
}
