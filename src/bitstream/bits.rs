//! Reading and writing bits, most significant first, with every read checked.

use crate::error::Error;

/// Why a header could not be read; becomes [`Error::CorruptStream`] once the structure's name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BitError {
    /// The data ended before the structure did.
    End {
        /// Bit position of the read that failed, in the raw data.
        bit: usize,
    },
    /// An Exp-Golomb code longer than 32 bits.
    Golomb {
        /// Bit position behind its prefix.
        bit: usize,
    },
    /// A syntax element outside the range that its specification allows.
    Range {
        /// Name in the specification.
        name: &'static str,
        /// Value found.
        value: i64,
        /// Bit position behind it.
        bit: usize,
    },
    /// The header refers to a parameter set that has not been seen.
    Missing {
        /// Kind of parameter set.
        what: &'static str,
        /// Its identifier.
        id: u32,
    },
}

impl BitError {
    /// The public error; `structure` names what was being read (`H.264 SPS`).
    pub(crate) fn within(self, structure: &str) -> Error {
        Error::corrupt(match self {
            Self::End { bit } => format!("{structure}: data ends at byte {} inside the header", bit / 8),
            Self::Golomb { bit } => format!("{structure}: Exp-Golomb code over 32 bits at bit {bit}"),
            Self::Range { name, value, bit } => {
                format!("{structure}: {name} is {value}, outside its range (before bit {bit})")
            }
            Self::Missing { what, id } => format!("{structure}: refers to {what} {id}, which was not seen"),
        })
    }
}

pub(crate) type BitResult<T> = Result<T, BitError>;

/// Most significant bit first reader.
///
/// [`Self::nal`] skips `emulation_prevention_three_byte`s while reading, so that a header is read without
/// copying the unit it begins.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    /// Next byte to load.
    pos: usize,
    /// Zero bytes directly before `pos`; meaningless when `escaped` is false.
    zeros: u8,
    escaped: bool,
    /// Byte being read; its `left` low bits are unread.
    current: u8,
    left: u32,
}

impl<'a> BitReader<'a> {
    /// Reads plain bytes.
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0, zeros: 0, escaped: false, current: 0, left: 0 }
    }

    /// Reads the payload of a NAL unit (behind its header), skipping emulation prevention bytes
    /// (H.264 7.4.1, H.265 7.4.2.1).
    pub(crate) fn nal(payload: &'a [u8]) -> Self {
        let end = payload.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        Self {
            data: payload.get(..end).unwrap_or(payload),
            pos: 0,
            zeros: 0,
            escaped: true,
            current: 0,
            left: 0,
        }
    }

    /// Bits consumed, counted in the raw data.
    pub(crate) fn position(&self) -> usize {
        (self.pos * 8).saturating_sub(self.left as usize)
    }

    fn load(&mut self) -> BitResult<()> {
        let end = BitError::End { bit: self.data.len() * 8 };
        let mut byte = *self.data.get(self.pos).ok_or(end)?;
        if self.escaped {
            if self.zeros >= 2 && byte == 3 {
                self.pos += 1;
                self.zeros = 0;
                byte = *self.data.get(self.pos).ok_or(end)?;
            }
            self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        }
        self.pos += 1;
        self.current = byte;
        self.left = 8;
        Ok(())
    }

    /// `u(n)`, `n` at most 32.
    pub(crate) fn u(&mut self, n: u32) -> BitResult<u32> {
        debug_assert!(n <= 32);
        let mut value = 0_u64;
        let mut need = n;
        while need > 0 {
            if self.left == 0 {
                self.load()?;
            }
            let take = need.min(self.left);
            let shifted = u32::from(self.current) >> (self.left - take);
            value = (value << take) | u64::from(shifted & ((1_u32 << take) - 1));
            self.left -= take;
            need -= take;
        }
        Ok(value as u32)
    }

    /// `u(8)`.
    pub(crate) fn u8(&mut self) -> BitResult<u8> {
        Ok(self.u(8)? as u8)
    }

    /// `u(1)`.
    pub(crate) fn flag(&mut self) -> BitResult<bool> {
        Ok(self.u(1)? == 1)
    }

    /// Skips `n` bits.
    pub(crate) fn skip(&mut self, mut n: u32) -> BitResult<()> {
        while n > 32 {
            self.u(32)?;
            n -= 32;
        }
        self.u(n).map(|_| ())
    }

    /// `ue(v)`: 0 to 2^32 - 2.
    pub(crate) fn ue(&mut self) -> BitResult<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(BitError::Golomb { bit: self.position() });
            }
        }
        Ok(((1_u64 << zeros) - 1 + u64::from(self.u(zeros)?)) as u32)
    }

    /// `se(v)`.
    pub(crate) fn se(&mut self) -> BitResult<i32> {
        let code = i64::from(self.ue()?);
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
        // |value| is at most 2^31 - 1, because ue() is at most 2^32 - 2.
        Ok(value as i32)
    }

    /// `ue(v)` that may not exceed `max`.
    pub(crate) fn ue_max(&mut self, max: u32, name: &'static str) -> BitResult<u32> {
        let value = self.ue()?;
        if value > max {
            return Err(self.out_of_range(name, i64::from(value)));
        }
        Ok(value)
    }

    /// A range error at the current position.
    pub(crate) fn out_of_range(&self, name: &'static str, value: i64) -> BitError {
        BitError::Range { name, value, bit: self.position() }
    }

    /// `more_rbsp_data()`: whether anything but the trailing bits is left (H.264 7.2).
    pub(crate) fn more_rbsp_data(&self) -> bool {
        let unread = u32::from(self.current) & ((1_u32 << self.left) - 1);
        let rest = self.data.get(self.pos..).unwrap_or(&[]);
        match (self.left, rest) {
            (0, []) => false,
            (0, [last]) => *last != 0x80,
            // The stop bit may be behind an emulation prevention byte.
            (0, [3, 0x80]) if self.escaped && self.zeros >= 2 => false,
            (left, []) => unread != 0 && unread != 1 << (left - 1),
            _ => true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes bits, for tests that build headers.
    #[derive(Default)]
    pub(crate) struct BitWriter {
        pub(crate) bytes: Vec<u8>,
        used: u32,
    }

    impl BitWriter {
        pub(crate) fn u(&mut self, n: u32, value: u64) -> &mut Self {
            for i in (0..n).rev() {
                if self.used == 0 {
                    self.bytes.push(0);
                }
                let last = self.bytes.last_mut().unwrap();
                *last |= (((value >> i) & 1) as u8) << (7 - self.used);
                self.used = (self.used + 1) % 8;
            }
            self
        }

        pub(crate) fn ue(&mut self, value: u32) -> &mut Self {
            let code = u64::from(value) + 1;
            let bits = 64 - code.leading_zeros();
            self.u(bits - 1, 0).u(bits, code)
        }

        pub(crate) fn se(&mut self, value: i32) -> &mut Self {
            let code = if value > 0 { 2 * i64::from(value) - 1 } else { -2 * i64::from(value) };
            self.ue(code as u32)
        }

        /// Bits written.
        pub(crate) fn bits(&self) -> usize {
            self.bytes.len() * 8 - (8 - self.used as usize) % 8
        }

        pub(crate) fn trailing(&mut self) -> Vec<u8> {
            self.u(1, 1);
            std::mem::take(&mut self.bytes)
        }
    }

    #[test]
    fn golomb_codes_round_trip_at_the_edges() {
        let values = [0, 1, 2, 3, 254, 255, 65_535, u32::MAX - 2, u32::MAX - 1];
        let signed = [0, 1, -1, 2, -2, 32_767, -32_768, i32::MAX, -i32::MAX];
        let mut w = BitWriter::default();
        for v in values {
            w.ue(v);
        }
        for v in signed {
            w.se(v);
        }
        let data = w.trailing();
        let mut r = BitReader::new(&data);
        for v in values {
            assert_eq!(r.ue(), Ok(v));
        }
        for v in signed {
            assert_eq!(r.se(), Ok(v));
        }
        assert!(!r.more_rbsp_data());
    }

    #[test]
    fn overlong_golomb_and_end_are_errors() {
        assert!(matches!(BitReader::new(&[0, 0, 0, 0, 0xff, 0xff]).ue(), Err(BitError::Golomb { .. })));
        assert_eq!(BitReader::new(&[0]).ue(), Err(BitError::End { bit: 8 }));
        assert_eq!(BitReader::new(&[]).flag(), Err(BitError::End { bit: 0 }));
    }

    #[test]
    fn emulation_prevention_is_invisible_to_the_nal_reader() {
        let mut r = BitReader::nal(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 0x80, 0, 0]);
        for expected in [0, 0, 1, 0, 0, 0, 0] {
            assert_eq!(r.u8(), Ok(expected));
        }
        assert!(!r.more_rbsp_data());
        assert_eq!(r.u8(), Ok(0x80));
        assert!(r.u8().is_err());
    }
}
