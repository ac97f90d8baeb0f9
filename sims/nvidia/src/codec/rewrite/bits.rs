//! Reading a header and writing it again in one pass.

use super::super::CodecError;

fn short() -> CodecError {
    CodecError("a header of the encoder library ends early".into())
}

/// Copies syntax elements from a payload (emulation prevention removed) to a new one, with changes on the way.
pub(super) struct Copier<'a> {
    source: &'a [u8],
    position: usize,
    out: Vec<u8>,
    // Bits that do not fill a byte yet, in the low end.
    rest: u8,
    rest_bits: u32,
}

impl<'a> Copier<'a> {
    pub(super) fn new(source: &'a [u8]) -> Self {
        Self { source, position: 0, out: Vec::with_capacity(source.len() + 16), rest: 0, rest_bits: 0 }
    }

    fn read(&mut self, count: u32) -> Result<u32, CodecError> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.source.get(self.position / 8).ok_or_else(short)?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Ok(value)
    }

    fn read_ue(&mut self) -> Result<u32, CodecError> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return Err(short());
            }
        }
        Ok((1_u32 << zeros) - 1 + self.read(zeros)?)
    }

    /// Writes an element that the source does not have.
    pub(super) fn insert(&mut self, count: u32, value: u32) {
        for shift in (0..count).rev() {
            self.rest = self.rest << 1 | (value >> shift & 1) as u8;
            self.rest_bits += 1;
            if self.rest_bits == 8 {
                self.out.push(self.rest);
                self.rest = 0;
                self.rest_bits = 0;
            }
        }
    }

    /// Writes an Exp-Golomb element that the source does not have.
    pub(super) fn insert_ue(&mut self, value: u32) {
        let code = value.saturating_add(1);
        let bits = 32 - code.leading_zeros();
        self.insert(bits - 1, 0);
        self.insert(bits, code);
    }

    /// Copies `count` (at most 32) bits.
    pub(super) fn u(&mut self, count: u32) -> Result<u32, CodecError> {
        let value = self.read(count)?;
        self.insert(count, value);
        Ok(value)
    }

    /// Copies a flag.
    pub(super) fn flag(&mut self) -> Result<bool, CodecError> {
        Ok(self.u(1)? == 1)
    }

    /// Copies an unsigned Exp-Golomb element.
    pub(super) fn ue(&mut self) -> Result<u32, CodecError> {
        let value = self.read_ue()?;
        self.insert_ue(value);
        Ok(value)
    }

    /// Copies a signed Exp-Golomb element.
    pub(super) fn se(&mut self) -> Result<i32, CodecError> {
        let code = self.ue()?;
        let magnitude = code.div_ceil(2) as i32;
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }

    /// Leaves out `count` bits of the source.
    pub(super) fn skip(&mut self, count: u32) -> Result<u32, CodecError> {
        self.read(count)
    }

    /// Leaves out an Exp-Golomb element of the source.
    pub(super) fn skip_ue(&mut self) -> Result<u32, CodecError> {
        self.read_ue()
    }

    /// Puts `value` in the place of `count` bits.
    pub(super) fn replace(&mut self, count: u32, value: u32) -> Result<u32, CodecError> {
        let old = self.read(count)?;
        self.insert(count, value);
        Ok(old)
    }

    /// Puts `value` in the place of an Exp-Golomb element.
    pub(super) fn replace_ue(&mut self, value: u32) -> Result<u32, CodecError> {
        let old = self.read_ue()?;
        self.insert_ue(value);
        Ok(old)
    }

    /// Copies what is left of a parameter set and ends it anew on a byte boundary.
    pub(super) fn finish_set(mut self) -> Result<Vec<u8>, CodecError> {
        let last = self.source.iter().rposition(|&byte| byte != 0).ok_or_else(short)?;
        let end = last * 8 + 7 - self.source[last].trailing_zeros() as usize;
        while self.position < end {
            self.u(1)?;
        }
        self.insert(1, 1);
        while self.rest_bits != 0 {
            self.insert(1, 0);
        }
        Ok(self.out)
    }

    /// Copies everything that is left, bit for bit. The header before it has grown by whole bytes or not at all, so
    /// that what is aligned stays aligned.
    pub(super) fn finish_in_step(mut self) -> Result<Vec<u8>, CodecError> {
        if self.rest_bits as usize != self.position % 8 {
            return Err(CodecError("a rewritten slice header moved its slice data by odd bits".into()));
        }
        while self.rest_bits != 0 {
            self.u(1)?;
        }
        self.out.extend_from_slice(self.source.get(self.position / 8..).ok_or_else(short)?);
        Ok(self.out)
    }

    /// Ends a slice header with a one and zeros up to the byte boundary, as the source does, and copies the slice data.
    pub(super) fn finish_aligned(mut self) -> Result<Vec<u8>, CodecError> {
        let odd = || CodecError("a slice header of the encoder library does not end where it should".into());
        if self.read(1)? != 1 {
            return Err(odd());
        }
        while !self.position.is_multiple_of(8) {
            if self.read(1)? != 0 {
                return Err(odd());
            }
        }
        self.insert(1, 1);
        while self.rest_bits != 0 {
            self.insert(1, 0);
        }
        self.out.extend_from_slice(self.source.get(self.position / 8..).ok_or_else(short)?);
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_survive_a_copy_and_changes_move_the_rest() {
        let mut writer = Copier::new(&[]);
        for value in [0, 1, 2, 7, 254, 65535] {
            writer.insert_ue(value);
        }
        writer.insert(5, 0b10110);
        writer.insert(1, 1);
        while writer.rest_bits != 0 {
            writer.insert(1, 0);
        }
        let source = writer.out;
        let mut copy = Copier::new(&source);
        for value in [0, 1, 2] {
            assert_eq!(copy.ue().unwrap(), value);
        }
        assert_eq!(copy.replace_ue(1000).unwrap(), 7);
        let changed = copy.finish_set().unwrap();
        let mut reader = Copier::new(&changed);
        for value in [0, 1, 2, 1000, 254, 65535] {
            assert_eq!(reader.ue().unwrap(), value);
        }
        assert_eq!(reader.u(5).unwrap(), 0b10110);
        assert!(Copier::new(&[]).ue().is_err());
        assert!(Copier::new(&[0, 0, 0, 0, 0]).ue().is_err());
    }

    #[test]
    fn signed_elements() {
        for (code, value) in [(0, 0), (1, 1), (2, -1), (3, 2), (4, -2)] {
            let mut writer = Copier::new(&[]);
            writer.insert_ue(code);
            writer.insert(8, 0);
            let out = writer.out;
            assert_eq!(Copier::new(&out).se().unwrap(), value);
        }
    }
}
