//! Video parameter set (7.3.2.1): what a container record and a frame rate need of it.

use super::profile::ProfileTierLevel;
use super::{NAL_VPS, payload};
use crate::bitstream::bits::{BitReader, BitResult};
use crate::error::Result;
use crate::time::Rational;

/// Video parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vps {
    /// `vps_video_parameter_set_id`, 0 to 15.
    pub id: u8,
    /// `vps_max_layers_minus1` + 1.
    pub max_layers: u8,
    /// `vps_max_sub_layers_minus1` + 1, 1 to 7.
    pub max_sub_layers: u8,
    /// `vps_temporal_id_nesting_flag`.
    pub temporal_id_nesting: bool,
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// Frames per second by `vps_time_scale / vps_num_units_in_tick`.
    pub frame_rate: Option<Rational>,
}

impl Vps {
    /// Reads a NAL unit of type 32 (header included).
    ///
    /// # Errors
    /// [`crate::Error::CorruptStream`].
    pub(crate) fn parse(nal: &[u8]) -> Result<Self> {
        Self::read(&mut payload(nal, NAL_VPS, "H.265 VPS")?).map_err(|e| e.within("H.265 VPS"))
    }

    fn read(r: &mut BitReader) -> BitResult<Self> {
        let id = r.u(4)? as u8;
        r.skip(2)?; // vps_base_layer_internal_flag, vps_base_layer_available_flag
        let max_layers = r.u(6)? as u8 + 1;
        let max_sub_layers_minus1 = r.u(3)?;
        if max_sub_layers_minus1 > 6 {
            return Err(r.out_of_range("vps_max_sub_layers_minus1", 7));
        }
        let temporal_id_nesting = r.flag()?;
        r.skip(16)?; // vps_reserved_0xffff_16bits
        let profile = ProfileTierLevel::read(r, max_sub_layers_minus1)?;
        // Only the timing follows that is of interest, and nothing depends on it.
        let frame_rate = read_timing(r, max_sub_layers_minus1).unwrap_or(None);
        let max_sub_layers = max_sub_layers_minus1 as u8 + 1;
        Ok(Self { id, max_layers, max_sub_layers, temporal_id_nesting, profile, frame_rate })
    }
}

fn read_timing(r: &mut BitReader, max_sub_layers_minus1: u32) -> BitResult<Option<Rational>> {
    let per_layer = r.flag()?;
    for _ in 0..=if per_layer { max_sub_layers_minus1 } else { 0 } {
        for _ in 0..3 {
            r.ue()?;
        }
    }
    let max_layer_id = r.u(6)?;
    let layer_sets = r.ue_max(1023, "vps_num_layer_sets_minus1")?;
    r.skip(layer_sets * (max_layer_id + 1))?;
    if !r.flag()? {
        return Ok(None);
    }
    let units = r.u(32)?;
    let scale = r.u(32)?;
    Ok(Rational::new(scale, units).map(Rational::reduced))
}
