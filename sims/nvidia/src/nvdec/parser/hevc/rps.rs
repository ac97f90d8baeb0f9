//! Short-term reference picture sets (7.3.7, 7.4.8).

use super::super::bits::Bits;

/// One set: distances in picture order count, nearest first on each side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rps {
    /// Pictures before the current one: negative distances, and whether the current one uses them.
    pub(super) before: Vec<(i32, bool)>,
    /// Pictures after it.
    pub(super) after: Vec<(i32, bool)>,
}

impl Rps {
    /// `NumDeltaPocs`.
    pub(super) fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Distance by index, as the standard numbers them: before, then after.
    fn get(&self, index: usize) -> i32 {
        self.before.iter().chain(&self.after).nth(index).map_or(0, |entry| entry.0)
    }
}

/// Reads set number `index` of a list whose earlier sets are `known`; in a slice header `index` is `known.len()` and
/// `in_slice` is set. Gives also `NumDeltaPocs` of the set it was predicted from.
pub(super) fn read(bits: &mut Bits, index: usize, known: &[Rps], in_slice: bool) -> Option<(Rps, usize)> {
    if index > 0 && bits.flag() {
        let back = if in_slice { bits.ue() as usize + 1 } else { 1 };
        let reference = known.get(index.checked_sub(back)?)?;
        return Some((predict(bits, reference)?, reference.len()));
    }
    let (before, after) = (bits.ue(), bits.ue());
    if before > 16 || after > 16 || before + after > 16 {
        return None;
    }
    let mut rps = Rps::default();
    let mut side = |count: u32, sign: i32| {
        let mut distance = 0i32;
        (0..count)
            .map(|_| {
                distance += sign * (bits.ue().min(0x7fff) as i32 + 1);
                (distance, bits.flag())
            })
            .collect()
    };
    rps.before = side(before, -1);
    rps.after = side(after, 1);
    (!bits.overrun()).then_some((rps, 0))
}

fn predict(bits: &mut Bits, reference: &Rps) -> Option<Rps> {
    let negative = bits.flag();
    let size = bits.ue().min(0x7fff) as i32 + 1;
    let delta = if negative { -size } else { size };
    let count = reference.len();
    // used_by_curr_pic_flag and use_delta_flag of each entry, and of the reference picture itself.
    let flags: Vec<_> = (0..=count)
        .map(|_| {
            let used = bits.flag();
            (used, used || bits.flag())
        })
        .collect();
    if bits.overrun() {
        return None;
    }
    let candidates = (0..=count).map(|j| (if j < count { reference.get(j) } else { 0 } + delta, flags[j]));
    let mut rps = Rps::default();
    for (distance, (used, kept)) in candidates {
        if kept && distance < 0 {
            rps.before.push((distance, used));
        } else if kept && distance > 0 {
            rps.after.push((distance, used));
        }
    }
    // The standard's order of derivation comes to this: nearest first.
    rps.before.sort_by_key(|entry| -entry.0);
    rps.after.sort_by_key(|entry| entry.0);
    (rps.len() <= 16).then_some(rps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_set() {
        // ue 1, ue 1; before: ue 0, used 1; after: ue 1, used 0.
        let data = [0b0100_1011, 0b0100_0000];
        let (rps, _) = read(&mut Bits::new(&data), 0, &[], false).unwrap();
        assert_eq!(rps, Rps { before: vec![(-1, true)], after: vec![(2, false)] });
    }

    #[test]
    fn a_predicted_set_moves_and_takes_in_its_reference() {
        let known = [Rps { before: vec![(-4, true)], after: vec![(4, true)] }];
        // inter 1, sign 1 (negative), ue 1 (size 2): delta -2; used 1, 1, 1.
        let data = [0b1101_0111, 0b0000_0000];
        let (rps, count) = read(&mut Bits::new(&data), 1, &known, false).unwrap();
        assert_eq!(count, 2);
        assert_eq!(rps, Rps { before: vec![(-2, true), (-6, true)], after: vec![(2, true)] });
    }
}
