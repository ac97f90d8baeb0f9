//! Decoding that begins at a picture which is no IDR picture: a recovery point or an intra picture.
//!
//! The libraries expect an IDR picture first. What the pictures from here on refer to and was never sent is therefore
//! made up: grey frames in the place of the reference pictures before. Only what cannot be right is predicted from
//! them: leading pictures, and with a gradual refresh the areas that are still to be refreshed. None of it is shown.

use std::collections::BTreeMap;

use crate::backend::software::sps_timing::{BitWriter, escape};
use crate::bitstream::annexb::START_CODE_LONG;
use crate::bitstream::h264::{PicOrderCntType, SliceHeader, Sps};
use crate::pixel::Chroma;

use super::sequence::Key;

/// Why a picture is not shown.
pub(super) const LEADING: &str = "leading picture that refers to pictures before the random access point";
/// Why a picture of a gradual refresh is not shown.
pub(super) const REFRESHING: &str = "before the recovery point is reached";

/// Luma samples of all grey frames together: a header alone must not take the memory of a full picture buffer.
const MAX_GREY_SAMPLES: u64 = 1 << 28;

/// From where on pictures are right, after decoding has begun at a recovery point.
#[derive(Debug)]
pub(super) struct Entry {
    /// `frame_num` of the first picture that is right.
    frame_num: u32,
    /// By how much it was higher than that of the last picture.
    left: u32,
    /// Its place in output order, once it has come: what is shown before it is not right.
    right_from: Option<Key>,
    /// Places of the pictures that were decoded meanwhile.
    keys: BTreeMap<u64, Key>,
    /// An IDR picture has come: what follows needs no places.
    over: bool,
    /// `frame_num` of the picture that decoding began with, and how many grey ones stand in front of it.
    first: u32,
    grey: u32,
}

impl Entry {
    /// Decoding begins with this picture, and is right `recovery_frame_count` frames later.
    pub(super) fn new(sps: &Sps, first: &SliceHeader, recovery_frame_count: u32) -> Self {
        let frame_num = first.identity.frame_num.wrapping_add(recovery_frame_count) % sps.max_frame_num();
        let left = recovery_frame_count % sps.max_frame_num();
        Self {
            frame_num,
            left,
            right_from: None,
            keys: BTreeMap::new(),
            over: false,
            first: first.identity.frame_num,
            grey: 0,
        }
    }

    /// The same, behind so many grey pictures.
    pub(super) fn behind_grey(self, count: usize) -> Self {
        Self { grey: u32::try_from(count).unwrap_or(0), ..self }
    }

    /// By how much `frame_num` of the grey pictures is lower than that of this picture, once, at the first behind which none
    /// of them is needed. The encoder does not know of those that stand for pictures that were long gone, and does not take
    /// them out of use: they would stay until another picture has their number.
    pub(super) fn stale(&mut self, key: Key, sps: &Sps, picture: &SliceHeader) -> Vec<u32> {
        let id = &picture.identity;
        let behind = self.right_from.is_some_and(|right_from| key > right_from);
        if self.grey == 0 || !behind || id.nal_ref_idc == 0 || id.field {
            return Vec::new();
        }
        let grey = std::mem::take(&mut self.grey);
        let since = id.frame_num.wrapping_sub(self.first) % sps.max_frame_num();
        if id.is_idr() || picture.unmarks_all() {
            return Vec::new();
        }
        (1..=grey).map(|before| before + since).filter(|distance| *distance < sps.max_frame_num()).collect()
    }

    /// The picture of this unit may come out, in this place.
    pub(super) fn expect(&mut self, serial: u64, key: Key) {
        if !self.over {
            self.keys.insert(serial, key);
        }
    }

    /// Notes a picture on its way into the decoder. `recovery_frame_count`: of a recovery point message with it.
    pub(super) fn note(
        &mut self,
        key: Key,
        sps: &Sps,
        first: &SliceHeader,
        recovery_frame_count: Option<u32>,
    ) {
        let id = &first.identity;
        self.over |= id.is_idr();
        if self.right_from.is_some() {
            return;
        }
        let max = sps.max_frame_num();
        let left = self.frame_num.wrapping_sub(id.frame_num) % max;
        // Numbers beyond it are as good: the picture itself may be lost.
        let reached = left == 0 || left > self.left;
        if id.is_idr() || (id.nal_ref_idc > 0 && reached) {
            self.right_from = Some(key);
        } else if let Some(sooner) = recovery_frame_count.filter(|count| *count < left && !reached) {
            self.frame_num = id.frame_num.wrapping_add(sooner) % max;
            self.left = sooner;
        } else if !reached {
            self.left = left;
        }
    }

    /// Whether a picture in this place is shown before the first that is right.
    pub(super) fn is_leading(&self, key: Key) -> bool {
        self.right_from.is_some_and(|right_from| key < right_from)
    }

    /// Whether no picture that was decoded so far is known to be right.
    pub(super) const fn is_refreshing(&self) -> bool {
        self.right_from.is_none()
    }

    /// Why the picture of this unit, which is the next in output order, is not shown, if it is not.
    pub(super) fn hides(&mut self, serial: u64) -> Option<&'static str> {
        let key = self.keys.remove(&serial)?;
        match self.right_from {
            Some(right_from) if key >= right_from => None,
            Some(_) => Some(LEADING),
            None => Some(REFRESHING),
        }
    }
}

/// Access units (Annex B) of the grey frames that stand in for the reference pictures before `first`, as many as the
/// sequence may have. The first one brings the parameter set `pps_id`, which the sequence must not use.
pub(super) fn grey_pictures(sps: &Sps, pps_id: u8, first: &SliceHeader) -> Vec<Vec<u8>> {
    let max = sps.max_frame_num();
    let samples = u64::from(sps.width_in_mbs) * u64::from(sps.frame_height_in_mbs()) * 256;
    let room = u32::try_from(MAX_GREY_SAMPLES / samples.max(1)).unwrap_or(u32::MAX).max(1);
    let count = u32::from(sps.max_num_ref_frames.min(sps.max_dpb_frames())).min(max - 1).min(room);
    (1..=count)
        .rev()
        .map(|before| {
            let mut unit = Vec::new();
            if before == count {
                append(0x68, picture_parameters(sps, pps_id), &mut unit);
            }
            let mut slice = slice_header(sps, pps_id, first, before);
            put_grey_macroblocks(sps, &mut slice);
            append(0x61, slice, &mut unit);
            unit
        })
        .collect()
}

/// Ends the payload of a NAL unit (`rbsp_trailing_bits`) and appends the unit.
fn append(header: u8, mut payload: BitWriter, unit: &mut Vec<u8>) {
    payload.put(1, 1);
    unit.extend_from_slice(&START_CODE_LONG);
    unit.push(header);
    escape(&payload.bytes, unit);
}

/// A picture parameter set without any tool (7.3.2.2).
fn picture_parameters(sps: &Sps, id: u8) -> BitWriter {
    let mut bits = BitWriter::default();
    bits.golomb(u32::from(id));
    bits.golomb(u32::from(sps.id));
    // CAVLC, no bottom field order count, one slice group, one reference in each list, no weights.
    bits.put(0b00, 2);
    for _ in 0..3 {
        bits.golomb(0);
    }
    bits.put(0b000, 3);
    // Quantisers of 26 and no chroma offset; the loop filter can be switched off.
    for _ in 0..3 {
        bits.golomb(0);
    }
    bits.put(0b100, 3);
    bits
}

/// The header (7.3.3) of an intra picture that is `before` frames older than `first`.
fn slice_header(sps: &Sps, pps_id: u8, first: &SliceHeader, before: u32) -> BitWriter {
    let id = &first.identity;
    let mut bits = BitWriter::default();
    bits.golomb(0);
    // `slice_type`: the whole picture is intra.
    bits.golomb(7);
    bits.golomb(u32::from(pps_id));
    bits.put(id.frame_num.wrapping_sub(before) % sps.max_frame_num(), u32::from(sps.frame_num_bits));
    if !sps.frame_mbs_only {
        bits.put(0, 1);
    }
    match &sps.poc {
        PicOrderCntType::Lsb { bits: size } => {
            bits.put(id.poc_lsb.wrapping_sub(before) % (1 << size), u32::from(*size));
        }
        PicOrderCntType::Cycle { delta_always_zero: false, .. } => bits.golomb(0),
        _ => {}
    }
    // Sliding window, quantiser as in the parameter set, no loop filter.
    bits.put(0, 1);
    bits.golomb(0);
    bits.golomb(1);
    bits
}

/// The slice data (7.3.4) of a grey frame.
///
/// `mb_type` 3 is Intra_16x16 with DC prediction and without coefficients. Without neighbours that is grey, and grey
/// beside grey ones.
fn put_grey_macroblocks(sps: &Sps, bits: &mut BitWriter) {
    // mb_type 00100, intra_chroma_pred_mode 1 (where chroma is subsampled), mb_qp_delta 1, coeff_token 1 of each plane.
    let (macroblock, size) = match sps.chroma {
        Chroma::Monochrome => (0b001_0011, 7),
        Chroma::Yuv420 | Chroma::Yuv422 => (0b0010_0111, 8),
        Chroma::Yuv444 => (0b0_0100_1111, 9),
    };
    let pairs = !sps.frame_mbs_only && sps.mb_adaptive_frame_field;
    for n in 0..sps.width_in_mbs * sps.frame_height_in_mbs() {
        if pairs && n % 2 == 0 {
            // `mb_field_decoding_flag`.
            bits.put(0, 1);
        }
        bits.put(macroblock, size);
    }
}
