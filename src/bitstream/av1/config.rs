//! `AV1CodecConfigurationRecord`, the payload of the `av1C` box.

use super::obu::{OBU_SEQUENCE_HEADER, obus};
use super::sequence::SequenceHeader;
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// The record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Av1Config {
    /// `seq_profile`.
    pub profile: u8,
    /// `seq_level_idx_0`.
    pub level_idx: u8,
    /// `seq_tier_0`.
    pub high_tier: bool,
    /// Bits per sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// Chroma subsampling.
    pub chroma: Chroma,
    /// `chroma_sample_position`.
    pub chroma_sample_position: u8,
    /// `initial_presentation_delay_minus_one` + 1, where present: 1 to 16.
    pub initial_presentation_delay: Option<u8>,
    /// `configOBUs`: usually the sequence header OBU.
    pub obus: Vec<u8>,
}

impl Av1Config {
    /// Reads the payload of an `av1C` box.
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub fn parse(data: &[u8]) -> Result<Self> {
        let Some((&[marker, profile_level, format, delay], obus)) = data.split_first_chunk() else {
            return Err(Error::corrupt_fatal(format!(
                "av1C: {} bytes are less than its fixed 4",
                data.len()
            )));
        };
        if marker != 0x81 {
            return Err(Error::corrupt_fatal(format!(
                "av1C: marker and version are {marker:#04x}, not 0x81"
            )));
        }
        let bit = |n: u8| format >> n & 1 == 1;
        let bit_depth = match (bit(6), bit(5)) {
            (true, true) => 12,
            (true, false) => 10,
            _ => 8,
        };
        let chroma = match (bit(4), bit(3), bit(2)) {
            (true, ..) => Chroma::Monochrome,
            (false, true, true) => Chroma::Yuv420,
            (false, true, false) => Chroma::Yuv422,
            (false, false, false) => Chroma::Yuv444,
            (false, false, true) => return Err(Error::corrupt_fatal("av1C: 4:4:0 is not an AV1 format")),
        };
        Ok(Self {
            profile: profile_level >> 5,
            level_idx: profile_level & 0x1f,
            high_tier: bit(7),
            bit_depth,
            chroma,
            chroma_sample_position: format & 3,
            initial_presentation_delay: (delay & 0x10 != 0).then_some((delay & 0x0f) + 1),
            obus: obus.to_vec(),
        })
    }

    /// The record for a stream that begins with this temporal unit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it holds no sequence header; [`Error::CorruptStream`] when that cannot
    /// be read.
    pub fn from_temporal_unit(temporal_unit: &[u8]) -> Result<Self> {
        for obu in obus(temporal_unit) {
            let obu = obu?;
            if obu.kind != OBU_SEQUENCE_HEADER {
                continue;
            }
            let header = SequenceHeader::parse(obu.payload)?;
            return Ok(Self {
                profile: header.profile,
                level_idx: header.level_idx,
                high_tier: header.high_tier,
                bit_depth: header.bit_depth,
                chroma: header.chroma,
                chroma_sample_position: header.chroma_sample_position,
                initial_presentation_delay: None,
                obus: obu.bytes.to_vec(),
            });
        }
        Err(Error::invalid("av1C needs a sequence header; none was found in the first temporal unit"))
    }

    /// The payload of an `av1C` box.
    pub fn build(&self) -> Vec<u8> {
        let depth = match self.bit_depth {
            12 => 0x60,
            10 => 0x40,
            _ => 0,
        };
        // mono_chrome, chroma_subsampling_x, chroma_subsampling_y.
        let chroma = match self.chroma {
            Chroma::Monochrome => 0x1c,
            Chroma::Yuv420 => 0x0c,
            Chroma::Yuv422 => 0x08,
            Chroma::Yuv444 => 0,
        };
        let delay = self.initial_presentation_delay.map_or(0, |d| 0x10 | (d.saturating_sub(1) & 0x0f));
        let mut out = vec![
            0x81,
            (self.profile << 5) | (self.level_idx & 0x1f),
            (u8::from(self.high_tier) << 7) | depth | chroma | (self.chroma_sample_position & 3),
            delay,
        ];
        out.extend_from_slice(&self.obus);
        out
    }
}
