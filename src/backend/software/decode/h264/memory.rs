//! What the H.264 libraries keep of pictures, from their sources and from measured peaks (`tests/decode_limits.rs`).

use super::route::Route;
use crate::backend::demand::{Demand, Kept};
use crate::bitstream::h264::Sps;
use crate::error::Result;
use crate::limits::Limits;

/// Refuses a sequence whose pictures would take more than the limits allow, in the library that begins to decode it.
/// `waiting`: pictures that are put into output order here.
///
/// # Errors
/// [`Error::LimitExceeded`](crate::Error::LimitExceeded), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub(super) fn check(sps: &Sps, route: Route, waiting: usize, limits: &Limits) -> Result<()> {
    let demand = demand(sps);
    demand.check(
        limits,
        match route {
            Route::Fast => fast(sps, demand, waiting as u64),
            Route::Exact => exact(sps, demand),
        },
    )
}

fn demand(sps: &Sps) -> Demand {
    Demand {
        width: sps.width_in_mbs.saturating_mul(16),
        height: sps.frame_height_in_mbs().saturating_mul(16),
        chroma: sps.chroma,
        bit_depth: sps.bit_depth_luma.max(sps.bit_depth_chroma),
    }
}

/// `rusty_h264` keeps bytes, and with each reference the motion of its 4x4 blocks (10 bytes a block). Beside the
/// references it has the picture at hand with its grids and up to six pictures to be used again. Where its slice data are read
/// in full here (`survey.rs`), its macroblocks are kept as well.
fn fast(sps: &Sps, demand: Demand, waiting: u64) -> Kept {
    let pictures = u64::from(sps.max_num_ref_frames.max(1)) + 8;
    Kept { pictures, each: demand.bytes() + demand.pixels() * 10 / 16, work: 12 * demand.pixels(), waiting }
}

/// `oxideav-h264` keeps four bytes a sample, and the motion of 4x4 blocks; beside the references the picture at hand and what it
/// is made of. The macroblocks of that are read in full before they are decoded, with their coefficients. Pictures wait
/// for output in their own format.
fn exact(sps: &Sps, demand: Demand) -> Kept {
    let pictures = u64::from(sps.max_num_ref_frames.max(1)) + 3;
    let waiting = u64::from(sps.dpb_frames());
    Kept { pictures, each: 4 * demand.samples() + demand.pixels(), work: 8 * demand.samples(), waiting }
}
