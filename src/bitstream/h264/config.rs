//! `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1), the payload of the `avcC` box.

use super::Sps;
use crate::bitstream::annexb::START_CODE_LONG;
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// The record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AvcConfig {
    /// `AVCProfileIndication`.
    pub profile_idc: u8,
    /// `profile_compatibility`: the constraint flags.
    pub constraint_flags: u8,
    /// `AVCLevelIndication`.
    pub level_idc: u8,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
    /// Sequence parameter set NAL units, at most 31.
    pub sps: Vec<Vec<u8>>,
    /// Picture parameter set NAL units, at most 255.
    pub pps: Vec<Vec<u8>>,
    /// Format fields of the high profiles, where present.
    pub(crate) high: Option<AvcHighFields>,
}

/// The fields that the record has for High and later profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AvcHighFields {
    /// `chroma_format`.
    pub chroma: Chroma,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// Sequence parameter set extension NAL units.
    pub sps_extensions: Vec<Vec<u8>>,
}

/// Takes pieces off the front of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or_else(|| {
            Error::corrupt_fatal(format!("avcC: {n} bytes wanted where {} are left", self.0.len()))
        })?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?.iter().fold(0, |_, &b| b))
    }

    fn units(&mut self, count: u8) -> Result<Vec<Vec<u8>>> {
        let mut units = Vec::new();
        for _ in 0..count {
            let length = self.bytes(2)?.iter().fold(0, |acc, &b| (acc << 8) | usize::from(b));
            units.push(self.bytes(length)?.to_vec());
        }
        Ok(units)
    }
}

/// Whether the record of this profile ends in [`AvcHighFields`]; as ffmpeg writes it.
const fn has_high_fields(profile_idc: u8) -> bool {
    !matches!(profile_idc, 66 | 77 | 88)
}

impl AvcConfig {
    /// Reads the payload of an `avcC` box. Missing format fields of high profiles are accepted: many files
    /// lack them.
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut fields = Fields(data);
        let version = fields.byte()?;
        if version != 1 {
            return Err(Error::corrupt_fatal(format!("avcC: configurationVersion is {version}, not 1")));
        }
        let profile_idc = fields.byte()?;
        let constraint_flags = fields.byte()?;
        let level_idc = fields.byte()?;
        let length_size = (fields.byte()? & 3) + 1;
        if length_size == 3 {
            return Err(Error::corrupt_fatal("avcC: lengthSizeMinusOne is 2, which is not allowed"));
        }
        let sps_count = fields.byte()? & 0x1f;
        let sps = fields.units(sps_count)?;
        let pps_count = fields.byte()?;
        let pps = fields.units(pps_count)?;
        let high = if has_high_fields(profile_idc) && fields.0.len() >= 4 {
            let chroma = match fields.byte()? & 3 {
                0 => Chroma::Monochrome,
                1 => Chroma::Yuv420,
                2 => Chroma::Yuv422,
                _ => Chroma::Yuv444,
            };
            let bit_depth_luma = (fields.byte()? & 7) + 8;
            let bit_depth_chroma = (fields.byte()? & 7) + 8;
            let count = fields.byte()?;
            let sps_extensions = fields.units(count)?;
            Some(AvcHighFields { chroma, bit_depth_luma, bit_depth_chroma, sps_extensions })
        } else {
            None
        };
        Ok(Self { profile_idc, constraint_flags, level_idc, length_size, sps, pps, high })
    }

    /// The record for these NAL units, with four-byte lengths.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] without a sequence and a picture parameter set or with more than the record
    /// can hold; [`Error::CorruptStream`] when the first sequence parameter set cannot be read.
    pub fn from_parameter_sets(sps: Vec<Vec<u8>>, pps: Vec<Vec<u8>>) -> Result<Self> {
        let Some(first) = sps.first() else {
            return Err(Error::invalid("avcC needs a sequence parameter set; none was found in the stream"));
        };
        if pps.is_empty() {
            return Err(Error::invalid("avcC needs a picture parameter set; none was found in the stream"));
        }
        if sps.len() > 31 || pps.len() > 255 || sps.iter().chain(&pps).any(|nal| nal.len() > 65_535) {
            return Err(Error::invalid(format!(
                "avcC holds at most 31 SPS and 255 PPS of 65535 bytes; the stream has {} and {}",
                sps.len(),
                pps.len()
            )));
        }
        let parsed = Sps::parse(first)?;
        let high = has_high_fields(parsed.profile_idc).then(|| AvcHighFields {
            chroma: parsed.chroma,
            bit_depth_luma: parsed.bit_depth_luma,
            bit_depth_chroma: parsed.bit_depth_chroma,
            sps_extensions: Vec::new(),
        });
        Ok(Self {
            profile_idc: parsed.profile_idc,
            constraint_flags: parsed.constraint_flags,
            level_idc: parsed.level_idc,
            length_size: 4,
            sps,
            pps,
            high,
        })
    }

    /// The payload of an `avcC` box.
    pub fn build(&self) -> Vec<u8> {
        let mut out = vec![1, self.profile_idc, self.constraint_flags, self.level_idc];
        out.push(0xfc | (self.length_size.wrapping_sub(1) & 3));
        out.push(0xe0 | (self.sps.len().min(31) as u8));
        push_units(&mut out, self.sps.iter().take(31));
        out.push(self.pps.len().min(255) as u8);
        push_units(&mut out, self.pps.iter().take(255));
        if let Some(high) = &self.high {
            out.push(
                0xfc | match high.chroma {
                    Chroma::Monochrome => 0,
                    Chroma::Yuv420 => 1,
                    Chroma::Yuv422 => 2,
                    Chroma::Yuv444 => 3,
                },
            );
            out.push(0xf8 | (high.bit_depth_luma.saturating_sub(8) & 7));
            out.push(0xf8 | (high.bit_depth_chroma.saturating_sub(8) & 7));
            out.push(high.sps_extensions.len().min(255) as u8);
            push_units(&mut out, high.sps_extensions.iter().take(255));
        }
        out
    }

    /// All parameter sets after start codes, to put before the first access unit of an Annex-B stream.
    pub fn to_annexb(&self) -> Vec<u8> {
        let extensions = self.high.iter().flat_map(|h| &h.sps_extensions);
        let mut out = Vec::new();
        for nal in self.sps.iter().chain(extensions).chain(&self.pps) {
            out.extend_from_slice(&START_CODE_LONG);
            out.extend_from_slice(nal);
        }
        out
    }
}

fn push_units<'a>(out: &mut Vec<u8>, units: impl Iterator<Item = &'a Vec<u8>>) {
    for unit in units {
        let length = unit.len().min(65_535);
        out.extend_from_slice(&(length as u16).to_be_bytes());
        out.extend_from_slice(unit.get(..length).unwrap_or(unit));
    }
}
