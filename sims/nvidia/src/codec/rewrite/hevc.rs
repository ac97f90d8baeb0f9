//! HEVC headers, within the syntax that libx265 writes.

use super::super::CodecError;
use super::bits::Copier;
use super::{Wishes, signal};

fn unexpected(what: &str) -> CodecError {
    CodecError(format!("libx265 wrote {what}, which is not rewritten"))
}

/// What slice headers depend on.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::codec) struct Sets {
    chroma: u32,
    /// Bits of the order count.
    pub(in crate::codec) order_bits: u32,
    address_bits: u32,
    sao: bool,
    long_term: bool,
    temporal_mvp: bool,
    dependent_slices: bool,
    output_flag: bool,
    extra_bits: u32,
    cabac_init: bool,
    chroma_qp: bool,
    across_slices: bool,
    deblocking_override: bool,
    deblocking_disabled: bool,
    entry_points: bool,
}

/// Unit types that slice headers care about.
fn is_irap(kind: u8) -> bool {
    (16..=23).contains(&kind)
}

fn is_idr(kind: u8) -> bool {
    matches!(kind, 19 | 20)
}

fn profile_tier_level(c: &mut Copier<'_>, wishes: &Wishes) -> Result<(), CodecError> {
    c.u(3)?;
    let made = c.skip(5)?;
    // Main is a part of Main 10: a stream of the one may carry the name of the other.
    let named = if made == 1 && wishes.profile == 2 { 2 } else { made };
    c.insert(5, named);
    let compatible = c.skip(32)?;
    c.insert(32, compatible | 1 << (31 - named));
    c.u(32)?;
    c.u(16)?;
    c.replace(8, wishes.level)?;
    Ok(())
}

/// Buffer size, reordering and latency of the only sublayer.
fn ordering(c: &mut Copier<'_>, wishes: &Wishes) -> Result<(), CodecError> {
    c.u(1)?;
    // The picture itself, its reference and those that wait for their turn.
    c.replace_ue(wishes.reorder + 1)?;
    c.replace_ue(wishes.reorder)?;
    c.replace_ue(0)?;
    Ok(())
}

/// Writes what is wished into the video parameter set (one unescaped unit).
pub(in crate::codec) fn vps(unit: &[u8], wishes: &Wishes) -> Result<Vec<u8>, CodecError> {
    let mut c = Copier::new(unit);
    c.u(28)?;
    if c.u(3)? != 0 {
        return Err(unexpected("temporal sublayers"));
    }
    c.u(17)?;
    profile_tier_level(&mut c, wishes)?;
    ordering(&mut c, wishes)?;
    c.finish_set()
}

/// Reads the sequence parameter set and writes what is wished.
pub(in crate::codec) fn sps(unit: &[u8], wishes: &Wishes, sets: &mut Sets) -> Result<Vec<u8>, CodecError> {
    let mut c = Copier::new(unit);
    c.u(20)?;
    if c.u(3)? != 0 {
        return Err(unexpected("temporal sublayers"));
    }
    c.u(1)?;
    profile_tier_level(&mut c, wishes)?;
    c.ue()?;
    sets.chroma = c.ue()?;
    if sets.chroma == 3 && c.flag()? {
        return Err(unexpected("separate planes"));
    }
    let (width, height) = (c.ue()?, c.ue()?);
    if c.flag()? {
        for _ in 0..4 {
            c.ue()?;
        }
    }
    c.ue()?;
    c.ue()?;
    sets.order_bits = c.ue()? + 4;
    ordering(&mut c, wishes)?;
    let block_bits = c.ue()? + 3 + c.ue()?;
    if sets.order_bits > 16 || !(4..=6).contains(&block_bits) {
        return Err(unexpected("strange sizes"));
    }
    let block = 1 << block_bits;
    let blocks = u64::from(width.div_ceil(block)) * u64::from(height.div_ceil(block));
    sets.address_bits = 64 - blocks.saturating_sub(1).leading_zeros();
    for _ in 0..4 {
        c.ue()?;
    }
    if c.flag()? {
        return Err(unexpected("scaling lists"));
    }
    c.u(1)?;
    sets.sao = c.flag()?;
    if c.flag()? {
        return Err(unexpected("PCM blocks"));
    }
    if c.ue()? != 0 {
        return Err(unexpected("reference sets in the parameter set"));
    }
    sets.long_term = c.flag()?;
    sets.temporal_mvp = c.flag()?;
    if sets.long_term || sets.temporal_mvp {
        return Err(unexpected("long-term references or temporal motion prediction"));
    }
    c.u(1)?;
    if c.flag()? {
        vui(&mut c, wishes)?;
    }
    c.finish_set()
}

fn vui(c: &mut Copier<'_>, wishes: &Wishes) -> Result<(), CodecError> {
    signal(c)?;
    c.u(3)?;
    if c.flag()? {
        for _ in 0..4 {
            c.ue()?;
        }
    }
    if c.flag()? {
        c.replace(32, wishes.fps.1)?;
        c.replace(32, wishes.fps.0)?;
    }
    Ok(())
}

/// Reads the picture parameter set.
pub(in crate::codec) fn pps(unit: &[u8], sets: &mut Sets) -> Result<(), CodecError> {
    let mut c = Copier::new(unit);
    c.u(16)?;
    c.ue()?;
    c.ue()?;
    sets.dependent_slices = c.flag()?;
    sets.output_flag = c.flag()?;
    sets.extra_bits = c.u(3)?;
    c.u(1)?;
    sets.cabac_init = c.flag()?;
    c.ue()?;
    c.ue()?;
    c.se()?;
    c.u(2)?;
    if c.flag()? {
        c.ue()?;
    }
    c.se()?;
    c.se()?;
    sets.chroma_qp = c.flag()?;
    if c.u(2)? != 0 {
        return Err(unexpected("weighted prediction"));
    }
    c.u(1)?;
    if c.flag()? {
        return Err(unexpected("tiles"));
    }
    sets.entry_points = c.flag()?;
    sets.across_slices = c.flag()?;
    if c.flag()? {
        sets.deblocking_override = c.flag()?;
        sets.deblocking_disabled = c.flag()?;
        if !sets.deblocking_disabled {
            c.se()?;
            c.se()?;
        }
    }
    if c.flag()? {
        return Err(unexpected("scaling lists"));
    }
    if c.flag()? {
        return Err(unexpected("modified reference lists"));
    }
    c.ue()?;
    // Slice header extension.
    if c.flag()? {
        return Err(unexpected("slice header extensions"));
    }
    Ok(())
}

/// Puts the order count and the one reference into a slice (one unescaped unit). `order` are the low bits of the
/// count; `delta` is the order count of the picture coded before less that of this one.
pub(in crate::codec) fn slice(
    unit: &[u8],
    sets: &Sets,
    order: u32,
    delta: i32,
) -> Result<Vec<u8>, CodecError> {
    let mut c = Copier::new(unit);
    let kind = (c.u(16)? >> 9 & 63) as u8;
    let first = c.flag()?;
    if is_irap(kind) {
        c.u(1)?;
    }
    c.ue()?;
    if !first {
        if sets.dependent_slices && c.flag()? {
            return Err(unexpected("dependent slices"));
        }
        c.u(sets.address_bits)?;
    }
    c.u(sets.extra_bits)?;
    let slice_type = c.ue()?;
    if slice_type != 1 && slice_type != 2 {
        return Err(unexpected("a B slice"));
    }
    if sets.output_flag {
        c.u(1)?;
    }
    if !is_idr(kind) {
        c.replace(sets.order_bits, order & ((1 << sets.order_bits) - 1))?;
        if c.skip(1)? != 0 {
            return Err(unexpected("a reference set in the parameter set"));
        }
        let (before, after) = (c.skip_ue()?, c.skip_ue()?);
        if before > 16 || after > 0 {
            return Err(unexpected("a reference in the future"));
        }
        for _ in 0..before {
            c.skip_ue()?;
            c.skip(1)?;
        }
        if delta == 0 {
            return Err(CodecError("two pictures have the same place in display order".into()));
        }
        c.insert(1, 0);
        c.insert_ue(u32::from(delta < 0));
        c.insert_ue(u32::from(delta > 0));
        c.insert_ue(delta.unsigned_abs() - 1);
        c.insert(1, 1);
    }
    rest_of_header(&mut c, sets, slice_type == 1)?;
    c.finish_aligned()
}

fn rest_of_header(c: &mut Copier<'_>, sets: &Sets, predicted: bool) -> Result<(), CodecError> {
    let mut sao = false;
    if sets.sao {
        sao = c.flag()?;
        if sets.chroma != 0 {
            sao |= c.flag()?;
        }
    }
    if predicted {
        if c.flag()? && c.ue()? != 0 {
            return Err(unexpected("more than one reference"));
        }
        if sets.cabac_init {
            c.u(1)?;
        }
        c.ue()?;
    }
    c.se()?;
    if sets.chroma_qp {
        c.se()?;
        c.se()?;
    }
    let mut disabled = sets.deblocking_disabled;
    if sets.deblocking_override && c.flag()? {
        disabled = c.flag()?;
        if !disabled {
            c.se()?;
            c.se()?;
        }
    }
    if sets.across_slices && (sao || !disabled) {
        c.u(1)?;
    }
    // Entry points count bytes of the slice data, which stays as it is, emulation prevention included: the header
    // ends in a byte that is not zero.
    if sets.entry_points {
        let count = c.ue()?;
        if count > 0 {
            let bits = c.ue()? + 1;
            if count > 1 << 16 || bits > 32 {
                return Err(unexpected("strange entry points"));
            }
            for _ in 0..count {
                c.u(bits)?;
            }
        }
    }
    Ok(())
}
