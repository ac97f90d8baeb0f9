//! H.264 headers, within the syntax that libx264 writes.

use super::super::CodecError;
use super::bits::Copier;
use super::{Wishes, signal};

fn unexpected(what: &str) -> CodecError {
    CodecError(format!("libx264 wrote {what}, which is not rewritten"))
}

/// Bits of the order count in a slice where pictures are reordered: a whole byte, so that the slice data behind it
/// moves by a byte and keeps its alignment.
const ORDER_BITS: u32 = 8;

/// What slice headers depend on.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::codec) struct Sets {
    separate_planes: bool,
    frame_num_bits: u32,
    /// Bits of the order count; 0: not in the slices.
    pub(in crate::codec) order_bits: u32,
    cabac: bool,
    init_qp: i32,
}

/// What a slice header said.
pub(in crate::codec) struct Slice {
    /// The unit with its order count.
    pub(in crate::codec) unit: Vec<u8>,
    /// Its quantiser.
    pub(in crate::codec) qp: i32,
}

/// Reads the sequence parameter set (one unescaped unit) and writes what is wished.
pub(in crate::codec) fn sps(unit: &[u8], wishes: &Wishes, sets: &mut Sets) -> Result<Vec<u8>, CodecError> {
    let mut c = Copier::new(unit);
    c.u(8)?;
    let made = *unit.get(1).ok_or_else(|| unexpected("a short parameter set"))? as u32;
    let high = |profile| matches!(profile, 100 | 110 | 122 | 244);
    // Between the high profiles the syntax is the same: a richer name than needed is allowed.
    let named =
        if high(made) && high(wishes.profile) && wishes.profile > made { wishes.profile } else { made };
    c.replace(8, named)?;
    c.u(8)?;
    c.u(8)?;
    c.ue()?;
    if high(made) {
        let chroma = c.ue()?;
        if chroma == 3 {
            sets.separate_planes = c.flag()?;
        }
        c.ue()?;
        c.ue()?;
        c.u(1)?;
        if c.flag()? {
            return Err(unexpected("scaling matrices"));
        }
    }
    sets.frame_num_bits = c.ue()? + 4;
    // Without B slices the library lets the order follow from the coding order (type 2).
    if c.skip_ue()? != 2 || sets.frame_num_bits > 16 {
        return Err(unexpected("order counts"));
    }
    if wishes.reorder > 0 {
        sets.order_bits = ORDER_BITS;
        c.insert_ue(0);
        c.insert_ue(ORDER_BITS - 4);
    } else {
        c.insert_ue(2);
    }
    if c.ue()? != 1 {
        return Err(unexpected("more than one reference"));
    }
    c.u(1)?;
    c.ue()?;
    c.ue()?;
    if !c.flag()? {
        return Err(unexpected("fields"));
    }
    c.u(1)?;
    if c.flag()? {
        for _ in 0..4 {
            c.ue()?;
        }
    }
    if !c.flag()? {
        return Err(unexpected("no usability information"));
    }
    vui(&mut c, wishes)?;
    c.finish_set()
}

fn vui(c: &mut Copier<'_>, wishes: &Wishes) -> Result<(), CodecError> {
    signal(c)?;
    if c.flag()? {
        // Ticks are fields: two of them make a frame.
        c.replace(32, wishes.fps.1)?;
        c.replace(32, wishes.fps.0.saturating_mul(2))?;
        c.u(1)?;
    }
    if c.flag()? || c.flag()? {
        return Err(unexpected("buffer parameters"));
    }
    c.u(1)?;
    if !c.flag()? {
        return Err(unexpected("no bitstream restrictions"));
    }
    c.u(1)?;
    for _ in 0..4 {
        c.ue()?;
    }
    if wishes.reorder > 0 {
        c.replace_ue(wishes.reorder)?;
        c.replace_ue(wishes.reorder + 1)?;
    }
    Ok(())
}

/// Reads the picture parameter set.
pub(in crate::codec) fn pps(unit: &[u8], sets: &mut Sets) -> Result<(), CodecError> {
    let mut c = Copier::new(unit);
    c.u(8)?;
    c.ue()?;
    c.ue()?;
    sets.cabac = c.flag()?;
    if c.flag()? {
        return Err(unexpected("order counts of fields"));
    }
    if c.ue()? != 0 {
        return Err(unexpected("slice groups"));
    }
    c.ue()?;
    c.ue()?;
    if c.flag()? {
        return Err(unexpected("weighted prediction"));
    }
    c.u(2)?;
    sets.init_qp = 26 + c.se()?;
    Ok(())
}

/// Puts `order` (the low bits of the order count) into a slice (one unescaped unit) and reads its quantiser.
pub(in crate::codec) fn slice(unit: &[u8], sets: &Sets, order: u32) -> Result<Slice, CodecError> {
    let mut c = Copier::new(unit);
    let reference = c.u(8)? >> 5 & 3 != 0;
    let idr = unit[0] & 31 == 5;
    c.ue()?;
    let kind = c.ue()? % 5;
    if kind != 0 && kind != 2 {
        return Err(unexpected("a B slice"));
    }
    c.ue()?;
    if sets.separate_planes {
        c.u(2)?;
    }
    c.u(sets.frame_num_bits)?;
    if idr {
        c.ue()?;
    }
    if sets.order_bits > 0 {
        c.insert(sets.order_bits, order & ((1 << sets.order_bits) - 1));
    }
    if kind == 0 {
        if c.flag()? {
            c.ue()?;
        }
        if c.flag()? {
            return Err(unexpected("a modified reference list"));
        }
    }
    if reference {
        if idr {
            c.u(2)?;
        } else if c.flag()? {
            return Err(unexpected("memory management operations"));
        }
    }
    if sets.cabac && kind == 0 {
        c.ue()?;
    }
    let qp = sets.init_qp + c.se()?;
    Ok(Slice { unit: c.finish_in_step()?, qp })
}
