//! Settings that only Intel's encoders have.

use super::IntraRefresh;
use crate::config::setters::setters;

/// Settings of Intel's encoders through oneVPL. `None` leaves the choice to the preset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VplEncodeConfig {
    /// Coded pictures that may be on their way (1 to 64), besides those that the encoder itself holds back for B frames and
    /// lookahead; 6 by default, as with NVENC.
    pub max_in_flight_outputs: usize,
    /// `p1` (fastest) to `p7`, NVENC's words: target usage 7 to 1. `p4`, its middle, by default.
    pub preset: Option<String>,
    /// `hq`, `uhq` (the best target usage, whatever the preset), `ll`, `ull` (no reordering, and rate control that watches
    /// each picture).
    pub tuning: Option<String>,
    /// Frames that the rate control of H.264 looks ahead, 10 to 100; 0: none.
    pub lookahead: Option<u32>,
    /// B frames refer to B frames (from two on).
    pub b_pyramid: Option<bool>,
    /// Intra blocks that move over the picture instead of IDR pictures (H.264, HEVC); excludes B frames and `gop_length`.
    pub intra_refresh: Option<IntraRefresh>,
    /// The encoder of fixed functions (VDEnc), or the one that uses the GPU's execution units too.
    pub low_power: Option<bool>,
}

setters!(VplEncodeConfig { max_in_flight_outputs: usize } option {
    preset: String, tuning: String, lookahead: u32, b_pyramid: bool, intra_refresh: IntraRefresh,
    low_power: bool,
});

impl Default for VplEncodeConfig {
    fn default() -> Self {
        Self {
            max_in_flight_outputs: 6,
            preset: None,
            tuning: None,
            lookahead: None,
            b_pyramid: None,
            intra_refresh: None,
            low_power: None,
        }
    }
}
