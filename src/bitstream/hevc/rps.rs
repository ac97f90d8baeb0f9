//! Short-term reference picture sets (7.3.7, 7.4.8): read to get past them, which needs the number of
//! pictures in each.

use crate::bitstream::bits::{BitReader, BitResult};

/// One candidate set: delta picture order counts, negative ones from the nearest, then positive ones from
/// the nearest, as equations 7-61 to 7-64 order them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PictureSet {
    negative: Vec<i32>,
    positive: Vec<i32>,
}

/// Most pictures in a set: `sps_max_dec_pic_buffering_minus1` is at most 15.
const MAX_PICTURES: usize = 16;

/// Reads past `count` sets of an SPS.
pub(super) fn skip_picture_sets(r: &mut BitReader, count: u32) -> BitResult<()> {
    let mut previous: Option<PictureSet> = None;
    for _ in 0..count {
        let predicted = previous.is_some() && r.flag()?;
        let set = match previous.as_ref().filter(|_| predicted) {
            Some(reference) => read_predicted(r, reference)?,
            None => read_explicit(r)?,
        };
        if set.negative.len() + set.positive.len() > MAX_PICTURES {
            return Err(r.out_of_range("number of pictures in a reference picture set", 17));
        }
        previous = Some(set);
    }
    Ok(())
}

fn read_explicit(r: &mut BitReader) -> BitResult<PictureSet> {
    let negative = r.ue_max(MAX_PICTURES as u32, "num_negative_pics")?;
    let positive = r.ue_max(MAX_PICTURES as u32, "num_positive_pics")?;
    let mut side = |count: u32, sign: i32| -> BitResult<Vec<i32>> {
        let mut delta = 0_i32;
        let mut deltas = Vec::new();
        for _ in 0..count {
            delta += sign * (r.ue_max(32_767, "delta_poc_minus1")? as i32 + 1);
            r.skip(1)?; // used_by_curr_pic_flag
            deltas.push(delta);
        }
        Ok(deltas)
    };
    Ok(PictureSet { negative: side(negative, -1)?, positive: side(positive, 1)? })
}

fn read_predicted(r: &mut BitReader, reference: &PictureSet) -> BitResult<PictureSet> {
    let negate = r.flag()?;
    let magnitude = r.ue_max(32_767, "abs_delta_rps_minus1")? as i32 + 1;
    let delta_rps = if negate { -magnitude } else { magnitude };
    // The flags are in the order of the reference set's pictures, with the reference picture itself last.
    let candidates = reference.negative.iter().chain(&reference.positive).copied().chain([0]);
    let mut kept = Vec::new();
    for delta in candidates {
        let used = r.flag()?;
        if used || r.flag()? {
            kept.push(delta + delta_rps);
        }
    }
    let mut negative: Vec<i32> = kept.iter().copied().filter(|&d| d < 0).collect();
    let mut positive: Vec<i32> = kept.into_iter().filter(|&d| d > 0).collect();
    negative.sort_unstable_by(|a, b| b.cmp(a));
    positive.sort_unstable();
    Ok(PictureSet { negative, positive })
}
