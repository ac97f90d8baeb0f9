//! How many pictures wait for one that is shown before them.

use crate::bitstream::h264::{PicOrderCntType, Sps};
use crate::config::CommonDecodeConfig;

/// Most pictures that wait for one with a lower count (`max_num_reorder_frames`, E.2.1).
pub(super) fn depth(sps: &Sps, config: &CommonDecodeConfig) -> usize {
    if sps.poc == PicOrderCntType::DecodingOrder {
        return 0;
    }
    if let Some(stated) = sps.vui.as_ref().and_then(|vui| vui.bitstream_restriction) {
        return (stated.max_num_reorder_frames as usize).min(16);
    }
    // Not stated. Intra profiles do not reorder (E.2.1: inferred 0 with constraint_set3_flag).
    if matches!(sps.profile_idc, 44 | 86 | 100 | 110 | 122 | 244) && sps.constraint_set(3) {
        return 0;
    }
    let inferred = usize::from(sps.max_dpb_frames()).max(usize::from(sps.max_num_ref_frames));
    // Baseline has no B slices, so its encoders do not reorder, though the syntax would let them.
    if config.low_latency && sps.profile_idc == 66 { 0 } else { inferred }
}
