//! Parameter sets out of the container's configuration records (ISO/IEC 14496-15).

use crate::error::{Error, Result};

use super::output::StreamFacts;

/// A reader that never runs past its end.
struct Fields<'a> {
    record: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(count) else {
            return Err(Error::corrupt_fatal(format!(
                "{} ends {} bytes early",
                self.record,
                count - self.rest.len()
            )));
        };
        self.rest = tail;
        Ok(head)
    }

    fn number(&mut self, count: usize) -> Result<usize> {
        Ok(self.bytes(count)?.iter().fold(0, |n, &b| n << 8 | usize::from(b)))
    }

    fn unit(&mut self) -> Result<Vec<u8>> {
        let length = self.number(2)?;
        Ok(self.bytes(length)?.to_vec())
    }
}

/// The NAL units of an `avcC` payload (section 5.3.3.1): sequence, then picture parameter sets.
pub(super) fn avc(record: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut fields = Fields { record: "avcC", rest: record };
    fields.bytes(5)?;
    let mut units = Vec::new();
    for _ in 0..fields.number(1)? & 0x1f {
        units.push(fields.unit()?);
    }
    for _ in 0..fields.number(1)? {
        units.push(fields.unit()?);
    }
    Ok(units)
}

/// The NAL units of an `hvcC` payload (section 8.3.3.1), in their order.
pub(super) fn hevc(record: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut fields = Fields { record: "hvcC", rest: record };
    fields.bytes(22)?;
    let mut units = Vec::new();
    for _ in 0..fields.number(1)? {
        fields.bytes(1)?;
        for _ in 0..fields.number(2)? {
            units.push(fields.unit()?);
        }
    }
    Ok(units)
}

pub(super) fn hevc_facts(_nal: &[u8]) -> Option<StreamFacts> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_avcc_and_names_what_is_missing() {
        let record = [1, 100, 0, 40, 0xff, 0xe1, 0, 2, 0x67, 9, 1, 0, 3, 0x68, 8, 7];
        assert_eq!(avc(&record).unwrap(), [vec![0x67, 9], vec![0x68, 8, 7]]);
        let error = avc(&record[..14]).unwrap_err();
        assert_eq!(error.to_string(), "corrupt stream: avcC ends 2 bytes early");
    }

    #[test]
    fn reads_hvcc() {
        let mut record = vec![0; 22];
        record.extend([2, 0xa1, 0, 1, 0, 2, 0x42, 1, 0xa2, 0, 1, 0, 3, 0x44, 1, 5]);
        assert_eq!(hevc(&record).unwrap(), [vec![0x42, 1], vec![0x44, 1, 5]]);
        assert!(hevc(&record[..20]).is_err());
    }
}
