//! One H.264 access unit, taken apart.

use std::collections::BTreeMap;

use crate::bitstream::annexb::{START_CODE_LONG, nal_units};
use crate::bitstream::h264::{
    NAL_IDR, NAL_PARTITION_A, NAL_PPS, NAL_SEI, NAL_SLICE, NAL_SPS, ParameterSets, Pps, SliceHeader,
    SliceType, Sps, nal_type, recovery_frame_count, scale_weight_offsets,
};
use crate::error::{Error, Result};
use crate::memory;

/// What the decoders need of an access unit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// The primary coded picture's slices after start codes, and the parameter sets between its fields. Other sets,
    /// delimiters, messages, redundant pictures and what other layers add are left out.
    pub(super) data: Vec<u8>,
    /// The parameter sets in force at its first slice, where others follow.
    before: Option<Box<Sets>>,
    /// Header and picture parameter set of each slice.
    pub(super) slices: Vec<(SliceHeader, Pps)>,
    /// `recovery_frame_cnt`, with a recovery point message.
    pub(super) recovery_point: Option<u32>,
}

/// Parameter sets, read and as they were sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    pub(super) parsed: ParameterSets,
    sps: BTreeMap<u8, Vec<u8>>,
    pps: BTreeMap<u8, Vec<u8>>,
    /// Whether any set changed since a library was last told.
    changed: bool,
}

impl Sets {
    /// Stores a sequence or picture parameter set.
    pub(super) fn insert(&mut self, nal: &[u8]) -> Result<()> {
        self.parsed.insert(nal)?;
        let (list, id) = if nal_type(nal) == Some(NAL_SPS) {
            (&mut self.sps, Sps::parse(nal)?.id)
        } else {
            (&mut self.pps, Pps::parse(nal, &self.parsed)?.id)
        };
        if list.get(&id).is_none_or(|old| old != nal) {
            list.insert(id, nal.to_vec());
            self.changed = true;
        }
        Ok(())
    }

    /// Whether this set was stored last under its number.
    fn holds(&self, nal: &[u8]) -> bool {
        let list = if nal_type(nal) == Some(NAL_SPS) { &self.sps } else { &self.pps };
        list.values().any(|stored| stored == nal)
    }

    /// Appends the sequence parameter set `sps_id` and all picture parameter sets that refer to it, when
    /// they changed or the library is `new`. Other sets may use tools that it refuses.
    pub(super) fn tell(&mut self, sps_id: u8, new: bool, out: &mut Vec<u8>) {
        if !(std::mem::take(&mut self.changed) || new) {
            return;
        }
        let refers = |id: &u8| self.parsed.pps(*id).is_some_and(|pps| pps.sps_id == sps_id);
        let pps = self.pps.iter().filter(|(id, _)| refers(id)).map(|(_, nal)| nal);
        for nal in self.sps.get(&sps_id).into_iter().chain(pps) {
            out.extend_from_slice(&START_CODE_LONG);
            out.extend_from_slice(nal);
        }
    }

    /// The number of a picture parameter set that the stream has not used so far.
    pub(super) fn free_pps_id(&self) -> Option<u8> {
        (0..=u8::MAX).find(|id| !self.pps.contains_key(id))
    }
}

impl Unit {
    /// Reads an Annex-B access unit and stores its parameter sets in `sets`.
    ///
    /// # Errors
    /// The first thing that cannot be read. Parameter sets behind it are stored all the same.
    pub(super) fn read(data: &[u8], sets: &mut Sets) -> Result<Self> {
        let mut unit = Self::default();
        let mut outcome = Ok(());
        for nal in nal_units(data) {
            if let Err(error) = unit.take(nal, sets) {
                outcome = outcome.and(Err(error));
            }
        }
        outcome.map(|()| unit)
    }

    fn take(&mut self, nal: &[u8], sets: &mut Sets) -> Result<()> {
        match nal_type(nal) {
            Some(NAL_SPS | NAL_PPS) if self.slices.is_empty() || sets.holds(nal) => {
                return sets.insert(nal);
            }
            // The field in front of it keeps the set that it replaces.
            Some(NAL_SPS | NAL_PPS) => {
                if self.before.is_none() {
                    self.before = Some(Box::new(sets.clone()));
                }
                sets.insert(nal)?;
            }
            Some(NAL_SLICE | NAL_IDR | NAL_PARTITION_A) => {
                let header = SliceHeader::parse(nal, &sets.parsed)?;
                if header.identity.redundant_pic_cnt > 0 {
                    return Ok(());
                }
                let pps = sets.parsed.pps(header.identity.pps_id).cloned();
                let pps = pps.ok_or_else(|| Error::corrupt("H.264 slice without its parameter set"))?;
                let depth = sets.parsed.sps(pps.sps_id).map_or(8, |sps| sps.bit_depth_luma);
                let scaled = header.has_weight_offsets() && depth > 8;
                self.slices.push((header, pps));
                if scaled {
                    // The library for these adds the offsets as they are coded to samples of every depth.
                    let nal = scale_weight_offsets(nal, &sets.parsed, u32::from(depth) - 8)?;
                    self.data.extend_from_slice(&START_CODE_LONG);
                    self.data.extend_from_slice(&nal);
                    return Ok(());
                }
            }
            Some(NAL_SEI) => {
                self.recovery_point = self.recovery_point.or(recovery_frame_count(nal));
                return Ok(());
            }
            _ => return Ok(()),
        }
        memory::grow(&mut self.data, START_CODE_LONG.len() + nal.len())?;
        self.data.extend_from_slice(&START_CODE_LONG);
        self.data.extend_from_slice(nal);
        Ok(())
    }

    /// Appends what a library has to be told in front of [`Self::data`]: as [`Sets::tell`], of the sets in force there. `sets`:
    /// those behind the unit.
    pub(super) fn tell(&mut self, sets: &mut Sets, sps_id: u8, new: bool, out: &mut Vec<u8>) {
        match &mut self.before {
            None => sets.tell(sps_id, new, out),
            // The others are in the data. All are told, so that the unit can be read twice.
            Some(before) => {
                before.tell(sps_id, true, out);
                sets.changed = false;
            }
        }
    }

    /// The parameter sets with which its first slice is read; `sets`: those behind the unit.
    pub(super) fn sets<'a>(&'a self, sets: &'a Sets) -> &'a ParameterSets {
        self.before.as_deref().map_or(&sets.parsed, |before| &before.parsed)
    }

    pub(super) fn is_idr(&self) -> bool {
        self.slices.first().is_some_and(|(s, _)| s.identity.is_idr())
    }

    /// Whether decoding can start here: an IDR picture, a recovery point, or an intra picture (which
    /// encoders without recovery point messages use as one).
    pub(super) fn is_random_access(&self) -> bool {
        self.is_idr()
            || !self.slices.is_empty()
                && (self.recovery_point.is_some()
                    || self.slices.iter().all(|(s, _)| s.identity.slice_type == SliceType::I))
    }
}
