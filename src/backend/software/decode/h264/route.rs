//! Which library decodes a stream, decided from its headers.
//!
//! `rusty_h264` is fast and exact within a subset; `oxideav-h264` is slower and exact beyond it; openh264 is
//! exact around raw macroblocks, where the others are not, but not with B slices; what none was shown to
//! decode exactly is refused by name. `docs/decode-support.md` lists the evidence.

use std::collections::VecDeque;

use crate::bitstream::h264::{
    MemoryManagement, NAL_PARTITION_A, PicOrderCntType, Pps, SliceHeader, SliceIdentity, SliceType, Sps,
};
use crate::error::{Error, Result};
use crate::pixel::{Chroma, PixelFormat};

use super::super::MAX_PIXELS;

/// A library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `rusty_h264`.
    Fast,
    /// `oxideav-h264`.
    Exact,
}

/// Names of what is refused.
pub(in super::super) const REFUSED: [&str; 11] = [
    "H.264 flexible macroblock ordering (slice groups)",
    "H.264 arbitrary slice order",
    "H.264 data partitioning",
    "H.264 switching slices (SP, SI)",
    "H.264 separate colour planes",
    "H.264 bit depths other than 8 and 10, or different for luma and chroma",
    "H.264 I_PCM macroblocks under an active loop filter, with B slices or beyond 8-bit 4:2:0 frames",
    "H.264 scaling matrices of 4:4:4 pictures in this form",
    "H.264 slices that are filtered each by itself, with B slices or beyond 8-bit 4:2:0 frames",
    "H.264 interlaced 4:4:4 under an active loop filter",
    "H.264 pictures of more than 8176 samples a side that need the slower library",
];

fn refuse(name: usize) -> Error {
    Error::Unsupported {
        feature: REFUSED[name].into(),
        remedy: "re-encode as High profile, 4:2:0, without these tools".into(),
    }
}

/// The format of the pictures.
///
/// # Errors
/// [`Error::Unsupported`] with the name of what stands in the way.
pub(super) fn format(sps: &Sps) -> Result<PixelFormat> {
    if sps.separate_colour_planes {
        return Err(refuse(4));
    }
    let same_depth = sps.chroma == Chroma::Monochrome || sps.bit_depth_luma == sps.bit_depth_chroma;
    match PixelFormat::planar(sps.chroma, sps.bit_depth_luma) {
        Some(format) if same_depth && format.bit_depth() <= 10 => Ok(format),
        _ => Err(refuse(5)),
    }
}

/// The library for a sequence, by its sequence parameter set.
///
/// # Errors
/// [`Error::Unsupported`] with the name of what stands in the way.
pub(super) fn of_sequence(sps: &Sps) -> Result<Route> {
    let format = format(sps)?;
    let pixels = u64::from(sps.width_in_mbs) * u64::from(sps.frame_height_in_mbs()) * 256;
    if pixels > u64::from(MAX_PIXELS) {
        return Err(Error::unsupported(format!("H.264 pictures above {MAX_PIXELS} luma samples")));
    }
    let fast = format == PixelFormat::I420 && !sps.transform_bypass && sps.frame_mbs_only;
    Ok(if fast { Route::Fast } else { Route::Exact })
}

/// The reference pictures before a picture, as far as headers tell.
#[derive(Debug, Default)]
pub(super) struct History {
    /// `frame_num` of the one before.
    frame_num: Option<u32>,
    /// Order counts of those that a sliding window keeps.
    orders: VecDeque<i32>,
}

impl History {
    /// Notes a picture with its order count.
    pub(super) fn push(&mut self, sps: &Sps, first: &SliceHeader, order: i32) {
        if first.identity.is_idr() {
            *self = Self::default();
        }
        if first.identity.nal_ref_idc == 0 {
            return;
        }
        if first.unmarks_all() {
            self.orders.clear();
        }
        self.frame_num = Some(if first.unmarks_all() { 0 } else { first.identity.frame_num });
        self.orders.push_back(order);
        if self.orders.len() > usize::from(sps.max_num_ref_frames) {
            self.orders.pop_front();
        }
    }
}

/// The library for one picture with order count `order`, by the headers of its slices (redundant ones left
/// out).
///
/// # Errors
/// [`Error::Unsupported`] with the name of what stands in the way.
pub(super) fn of_picture(
    sps: &Sps,
    slices: &[(SliceHeader, Pps)],
    history: &History,
    order: i32,
) -> Result<Route> {
    let mut route = of_sequence(sps)?;
    let Some((first, first_pps)) = slices.first() else { return Ok(route) };
    let mut previous: Option<&SliceHeader> = None;
    for (index, (slice, pps)) in slices.iter().enumerate() {
        let id = &slice.identity;
        if pps.num_slice_groups > 1 {
            return Err(refuse(0));
        }
        if id.nal_type == NAL_PARTITION_A {
            return Err(refuse(2));
        }
        if matches!(id.slice_type, SliceType::Sp | SliceType::Si) {
            return Err(refuse(3));
        }
        if previous
            .is_some_and(|p| p.identity.bottom_field == id.bottom_field && id.first_mb <= p.identity.first_mb)
        {
            return Err(refuse(1));
        }
        // The library for these filters Cr differently from ffmpeg in some of them.
        if sps.chroma == Chroma::Yuv444 && !sps.frame_mbs_only && slice.deblocking.disable_idc != 1 {
            return Err(refuse(9));
        }
        previous = Some(slice);
        let b = id.slice_type == SliceType::B;
        let exact_only = pps.constrained_intra_pred
            || pps.chroma_qp_index_offset[0] != pps.chroma_qp_index_offset[1]
            || (b && pps.weighted_bipred_idc == 1)
            // It counts pictures of this type in decoding order.
            || (b && matches!(sps.poc, PicOrderCntType::Cycle { .. }))
            // It compares the lists, which are then the same (8.2.4.2.3), after cutting them to length.
            || (b && !history.orders.iter().any(|reference| *reference > order))
            || (pps.transform_8x8 && hides_a_corner(sps, id, slices.get(index + 1)))
            // The fast library keeps these per picture, not per slice.
            || b != (first.identity.slice_type == SliceType::B)
            || slice.deblocking != first.deblocking
            || !same_but_id(pps, first_pps);
        if exact_only {
            route = Route::Exact;
        }
    }
    // It applies the operations of every slice, and the second time this one takes the picture away.
    let long_term =
        first.memory_management.iter().any(|m| matches!(m, MemoryManagement::ShortToLongTerm { .. }));
    if slices.len() > 1 && long_term {
        route = Route::Exact;
    }
    // It lets frames inferred for gaps into the lists of B slices.
    if sps.gaps_in_frame_num_allowed && follows_gap(sps, first, history) {
        route = Route::Exact;
    }
    if route == Route::Exact && is_too_long(sps) {
        return Err(too_long());
    }
    Ok(route)
}

/// Whether a side has more macroblocks than `oxideav-h264` reads parameter sets of.
pub(super) fn is_too_long(sps: &Sps) -> bool {
    const MOST: u32 = 511;
    sps.width_in_mbs > MOST || sps.height_in_map_units > MOST
}

/// The error for such pictures where only that library can help.
pub(super) fn too_long() -> Error {
    refuse(10)
}

/// Whether a macroblock of the slice has its left and upper neighbours in the slice, but not the one between
/// them: the macroblock below the first one of a slice that begins inside a row. The fast library filters the
/// reference samples of 8x8 intra blocks there with the sample of the other slice (8.3.2.2.1).
fn hides_a_corner(sps: &Sps, id: &SliceIdentity, next: Option<&(SliceHeader, Pps)>) -> bool {
    let below = id.first_mb.saturating_add(sps.width_in_mbs);
    let total = sps.width_in_mbs.saturating_mul(sps.frame_height_in_mbs());
    let end = next.map_or(total, |(next, _)| next.identity.first_mb);
    !id.first_mb.is_multiple_of(sps.width_in_mbs.max(1)) && end > below
}

/// Whether frames were left out before this picture (7.4.3, `frame_num`).
pub(super) fn follows_gap(sps: &Sps, first: &SliceHeader, history: &History) -> bool {
    let id = &first.identity;
    !id.is_idr()
        && history
            .frame_num
            .is_some_and(|prev| id.frame_num != prev && id.frame_num != (prev + 1) % sps.max_frame_num())
}

/// What of a picture not every library gets right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hazards {
    /// The loop filter is on somewhere.
    pub(super) filter: bool,
    /// There are B slices, in which the fast library leaves old motion vectors behind raw macroblocks.
    pub(super) bipredictive: bool,
    /// There are several slices, and the loop filter stops at the edges of some (`disable_deblocking_filter_idc` 2):
    /// `oxideav-h264` does not stop.
    pub(super) within_slices: bool,
}

pub(super) fn hazards(slices: &[(SliceHeader, Pps)]) -> Hazards {
    Hazards {
        filter: slices.iter().any(|(slice, _)| slice.deblocking.disable_idc != 1),
        bipredictive: slices.iter().any(|(slice, _)| slice.identity.slice_type == SliceType::B),
        within_slices: slices
            .windows(2)
            .any(|pair| pair[0].0.identity.bottom_field == pair[1].0.identity.bottom_field)
            && slices.iter().any(|(slice, _)| slice.deblocking.disable_idc == 2),
    }
}

/// Macroblocks of the largest pictures that openh264 takes: those of level 5.2.
const OPENH264_MAX_MBS: u32 = 36_864;

/// Whether openh264 decodes the picture exactly, raw macroblocks included.
pub(super) fn raw_is_exact(sps: &Sps, slices: &[(SliceHeader, Pps)], history: &History) -> bool {
    let squared = |side: u32| u64::from(side) * u64::from(side);
    let (width, height) = (sps.width_in_mbs, sps.height_in_map_units);
    let size = u64::from(width) * u64::from(height) <= u64::from(OPENH264_MAX_MBS)
        && squared(width.max(height)) <= u64::from(8 * OPENH264_MAX_MBS);
    matches!(of_sequence(sps), Ok(Route::Fast))
        && size
        && matches!(sps.profile_idc, 66 | 77 | 88 | 100)
        && sps.level_idc <= 52
        && slices.iter().all(|(slice, pps)| {
            matches!(slice.identity.slice_type, SliceType::I | SliceType::P)
                // It filters the chroma of raw macroblocks with 0 instead of the value for QP 0 and the offset.
                && pps.chroma_qp_index_offset.iter().all(|offset| *offset <= 0)
        })
        && slices.first().is_some_and(|(first, _)| !follows_gap(sps, first, history))
}

/// The error where openh264 alone could help and cannot.
pub(super) fn beyond_openh264(hazards: Hazards) -> Error {
    refuse(if hazards.within_slices { 8 } else { 6 })
}

/// The error for parameter sets of 4:4:4 pictures that `oxideav-h264` cannot read.
pub(super) fn unreadable_sets() -> Error {
    refuse(7)
}

fn same_but_id(a: &Pps, b: &Pps) -> bool {
    a == b || Pps { id: b.id, ..a.clone() } == *b
}
