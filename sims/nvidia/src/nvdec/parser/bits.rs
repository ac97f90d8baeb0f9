//! Reading bits. Past the end every bit is zero and [`Bits::overrun`] says so: a header is parsed to its end first and
//! judged once, which keeps the parsers free of error paths at every element.

/// A reader of bits, most significant first.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Bits read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// True when more was read than there is.
    pub(super) fn overrun(&self) -> bool {
        self.at > self.data.len() * 8
    }

    pub(super) fn bit(&mut self) -> u32 {
        let byte = self.data.get(self.at / 8).copied().unwrap_or(0);
        let bit = byte >> (7 - self.at % 8) & 1;
        // Saturating: a hostile count of elements must not wrap the position.
        self.at = self.at.saturating_add(1);
        u32::from(bit)
    }

    pub(super) fn flag(&mut self) -> bool {
        self.bit() == 1
    }

    /// Up to 32 bits.
    pub(super) fn u(&mut self, count: u32) -> u32 {
        (0..count.min(32)).fold(0, |value, _| value << 1 | self.bit())
    }

    pub(super) fn u8(&mut self, count: u32) -> u8 {
        self.u(count.min(8)) as u8
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// Unsigned Exp-Golomb; a code longer than 32 zeros is an overrun.
    pub(super) fn ue(&mut self) -> u32 {
        let mut zeros = 0;
        while !self.flag() {
            zeros += 1;
            if zeros > 32 || self.overrun() {
                self.at = usize::MAX / 2;
                return 0;
            }
        }
        ((1u64 << zeros) - 1 + u64::from(self.u(zeros))).min(u64::from(u32::MAX)) as u32
    }

    /// Signed Exp-Golomb.
    pub(super) fn se(&mut self) -> i32 {
        let code = i64::from(self.ue());
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
        value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }

    /// True when something other than the trailing bits follows (`more_rbsp_data`).
    pub(super) fn more_data(&self) -> bool {
        let Some(last) = self.data.iter().rposition(|&byte| byte != 0) else { return false };
        let stop = last * 8 + 7 - self.data[last].trailing_zeros() as usize;
        self.at < stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golomb_codes() {
        // 1 | 010 | 011 | 00100 | 00101 ...
        let data = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = Bits::new(&data);
        assert_eq!([bits.ue(), bits.ue(), bits.ue(), bits.ue(), bits.ue()], [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&data);
        assert_eq!([bits.se(), bits.se(), bits.se(), bits.se(), bits.se()], [0, 1, -1, 2, -2]);
    }

    #[test]
    fn reading_past_the_end_gives_zeros_and_says_so() {
        let mut bits = Bits::new(&[0xff]);
        assert_eq!(bits.u(12), 0xff0);
        assert!(bits.overrun());
        let mut bits = Bits::new(&[0; 3]);
        assert_eq!(bits.ue(), 0);
        assert!(bits.overrun());
    }

    #[test]
    fn trailing_bits_are_not_data() {
        let mut bits = Bits::new(&[0b1010_1000, 0]);
        assert!(bits.more_data());
        bits.u(4);
        assert!(!bits.more_data());
    }
}
