//! `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 8.3.3.1), the payload of the `hvcC` box.

use super::{NAL_PPS, NAL_SPS, NAL_VPS, Pps, ProfileTierLevel, Sps, Vps, nal_type};
use crate::bitstream::annexb::START_CODE_LONG;
use crate::bitstream::bits::{BitReader, BitResult};
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// NAL units of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HevcArray {
    /// `array_completeness`: none of this type are in the samples.
    pub complete: bool,
    /// `NAL_unit_type`.
    pub nal_type: u8,
    /// The NAL units.
    pub units: Vec<Vec<u8>>,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HevcConfig {
    /// Profile, tier and level.
    pub(crate) profile: ProfileTierLevel,
    /// `min_spatial_segmentation_idc`.
    pub min_spatial_segmentation: u16,
    /// `parallelismType`: 0 mixed or unknown, 1 slices, 2 tiles, 3 wavefronts.
    pub parallelism: u8,
    /// `chroma_format_idc`.
    pub chroma: Chroma,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// `avgFrameRate` in frames per 256 seconds, 0 when not stated.
    pub avg_frame_rate: u16,
    /// `constantFrameRate`, 0 to 2.
    pub constant_frame_rate: u8,
    /// `numTemporalLayers`.
    pub temporal_layers: u8,
    /// `temporalIdNested`.
    pub temporal_id_nested: bool,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub length_size: u8,
    /// Parameter sets and SEI messages, by type.
    pub(crate) arrays: Vec<HevcArray>,
}

/// Length of the record in front of the arrays.
const FIXED_BYTES: usize = 23;

impl HevcConfig {
    /// Reads the payload of an `hvcC` box.
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub fn parse(data: &[u8]) -> Result<Self> {
        let corrupt = |what: String| Error::corrupt_fatal(format!("hvcC: {what}"));
        let (fixed, rest) = data.split_at_checked(FIXED_BYTES).ok_or_else(|| {
            corrupt(format!("{} bytes are less than the {FIXED_BYTES} of its fixed part", data.len()))
        })?;
        // Version 0 was written by muxers that predate the standard, with the same layout.
        if fixed.first().is_some_and(|&version| version > 1) {
            return Err(corrupt("configurationVersion is not 1".to_owned()));
        }
        let mut r = BitReader::new(fixed);
        let (mut config, array_count) = Self::read_fixed(&mut r).map_err(|e| e.within("hvcC"))?;
        if config.length_size == 3 {
            return Err(corrupt("lengthSizeMinusOne is 2, which is not allowed".to_owned()));
        }
        let mut rest = rest;
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at_checked(n).ok_or_else(|| {
                corrupt(format!(
                    "{n} bytes wanted at byte {} where {} are left",
                    data.len() - rest.len(),
                    rest.len()
                ))
            })?;
            rest = tail;
            Ok::<_, Error>(head)
        };
        let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |acc, &b| (acc << 8) | usize::from(b));
        for _ in 0..array_count {
            let head = number(take(1)?);
            let mut units = Vec::new();
            for _ in 0..number(take(2)?) {
                let length = number(take(2)?);
                units.push(take(length)?.to_vec());
            }
            config.arrays.push(HevcArray {
                complete: head & 0x80 != 0,
                nal_type: (head & 0x3f) as u8,
                units,
            });
        }
        Ok(config)
    }

    fn read_fixed(r: &mut BitReader) -> BitResult<(Self, u8)> {
        r.skip(8)?; // configurationVersion
        let profile = ProfileTierLevel::read(r, 0)?;
        r.skip(4)?;
        let min_spatial_segmentation = r.u(12)? as u16;
        r.skip(6)?;
        let parallelism = r.u(2)? as u8;
        r.skip(6)?;
        let chroma = match r.u(2)? {
            0 => Chroma::Monochrome,
            1 => Chroma::Yuv420,
            2 => Chroma::Yuv422,
            _ => Chroma::Yuv444,
        };
        r.skip(5)?;
        let bit_depth_luma = r.u(3)? as u8 + 8;
        r.skip(5)?;
        let bit_depth_chroma = r.u(3)? as u8 + 8;
        let avg_frame_rate = r.u(16)? as u16;
        let constant_frame_rate = r.u(2)? as u8;
        let temporal_layers = r.u(3)? as u8;
        let temporal_id_nested = r.flag()?;
        let length_size = r.u(2)? as u8 + 1;
        let array_count = r.u8()?;
        let config = Self {
            profile,
            min_spatial_segmentation,
            parallelism,
            chroma,
            bit_depth_luma,
            bit_depth_chroma,
            avg_frame_rate,
            constant_frame_rate,
            temporal_layers,
            temporal_id_nested,
            length_size,
            arrays: Vec::new(),
        };
        Ok((config, array_count))
    }

    /// The record for these NAL units (VPS, SPS and PPS in any order; others are left out), with four-byte
    /// lengths. `complete` says that the samples hold no parameter sets (`hvc1`); `hev1` has false.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] without one of each kind or with more than the record can hold;
    /// [`Error::CorruptStream`] when one cannot be read.
    pub fn from_parameter_sets<'a>(nals: impl IntoIterator<Item = &'a [u8]>, complete: bool) -> Result<Self> {
        let mut arrays: Vec<HevcArray> = [NAL_VPS, NAL_SPS, NAL_PPS]
            .map(|nal_type| HevcArray { complete, nal_type, units: Vec::new() })
            .into();
        for nal in nals {
            if let Some(array) = arrays.iter_mut().find(|a| Some(a.nal_type) == nal_type(nal)) {
                array.units.push(nal.to_vec());
            }
        }
        for (array, name) in arrays.iter().zip(["video", "sequence", "picture"]) {
            if array.units.is_empty() {
                return Err(Error::invalid(format!(
                    "hvcC needs a {name} parameter set; none was found in the stream"
                )));
            }
            if array.units.len() > 64 || array.units.iter().any(|nal| nal.len() > 65_535) {
                return Err(Error::invalid(format!(
                    "hvcC holds at most 64 {name} parameter sets of 65535 bytes; the stream has {}",
                    array.units.len()
                )));
            }
        }
        Self::describe(arrays)
    }

    fn describe(arrays: Vec<HevcArray>) -> Result<Self> {
        let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
        for nal in arrays.iter().flat_map(|array| &array.units) {
            match nal_type(nal) {
                Some(NAL_VPS) => vps.push(Vps::parse(nal)?),
                Some(NAL_SPS) => sps.push(Sps::parse(nal)?),
                _ => pps.push(Pps::parse(nal)?),
            }
        }
        let Some(first) = sps.first() else {
            return Err(Error::invalid("hvcC needs a sequence parameter set; none was found in the stream"));
        };
        // 8.3.3.1.2: the record is compatible with what all sets are compatible with, and asks for the
        // most that any of them asks for.
        let all = || vps.iter().map(|v| &v.profile).chain(sps.iter().map(|s| &s.profile));
        let high_tier = all().any(|p| p.high_tier);
        let level_idc = all().filter(|p| p.high_tier == high_tier).map(|p| p.level_idc).max().unwrap_or(0);
        let profile = ProfileTierLevel {
            profile_space: first.profile.profile_space,
            high_tier,
            profile_idc: all().map(|p| p.profile_idc).max().unwrap_or(0),
            compatibility: all().fold(u32::MAX, |acc, p| acc & p.compatibility),
            constraints: all().fold(u64::MAX >> 16, |acc, p| acc & p.constraints),
            level_idc,
        };
        let layers = vps.iter().map(|v| v.max_sub_layers).chain(sps.iter().map(|s| s.max_sub_layers));
        let min_spatial_segmentation =
            sps.iter().map(|s| s.vui.map_or(0, |v| v.min_spatial_segmentation)).min().unwrap_or(0);
        let mut kinds = pps.iter().map(|p| match (p.entropy_coding_sync, p.tiles) {
            (true, true) => 0,
            (true, false) => 3,
            (false, true) => 2,
            (false, false) => 1,
        });
        let kind = kinds.next().unwrap_or(0);
        // Parallelism is only promised together with a minimum segmentation.
        let parallelism =
            if min_spatial_segmentation == 0 || kinds.any(|other| other != kind) { 0 } else { kind };
        Ok(Self {
            profile,
            min_spatial_segmentation,
            parallelism,
            chroma: first.chroma,
            bit_depth_luma: first.bit_depth_luma,
            bit_depth_chroma: first.bit_depth_chroma,
            avg_frame_rate: 0,
            constant_frame_rate: 0,
            temporal_layers: layers.max().unwrap_or(1),
            temporal_id_nested: sps.iter().all(|s| s.temporal_id_nesting),
            length_size: 4,
            arrays,
        })
    }

    /// The payload of an `hvcC` box.
    pub fn build(&self) -> Vec<u8> {
        let p = &self.profile;
        let mut out = vec![1, (p.profile_space << 6) | (u8::from(p.high_tier) << 5) | (p.profile_idc & 0x1f)];
        out.extend_from_slice(&p.compatibility.to_be_bytes());
        out.extend(p.constraints.to_be_bytes().into_iter().skip(2));
        out.push(p.level_idc);
        out.extend_from_slice(&(0xf000 | (self.min_spatial_segmentation & 0x0fff)).to_be_bytes());
        out.push(0xfc | (self.parallelism & 3));
        out.push(
            0xfc | match self.chroma {
                Chroma::Monochrome => 0,
                Chroma::Yuv420 => 1,
                Chroma::Yuv422 => 2,
                Chroma::Yuv444 => 3,
            },
        );
        out.push(0xf8 | (self.bit_depth_luma.saturating_sub(8) & 7));
        out.push(0xf8 | (self.bit_depth_chroma.saturating_sub(8) & 7));
        out.extend_from_slice(&self.avg_frame_rate.to_be_bytes());
        out.push(
            ((self.constant_frame_rate & 3) << 6)
                | ((self.temporal_layers & 7) << 3)
                | (u8::from(self.temporal_id_nested) << 2)
                | (self.length_size.wrapping_sub(1) & 3),
        );
        out.push(self.arrays.len().min(255) as u8);
        for array in self.arrays.iter().take(255) {
            out.push((u8::from(array.complete) << 7) | (array.nal_type & 0x3f));
            out.extend_from_slice(&(array.units.len().min(65_535) as u16).to_be_bytes());
            for unit in array.units.iter().take(65_535) {
                let length = unit.len().min(65_535);
                out.extend_from_slice(&(length as u16).to_be_bytes());
                out.extend_from_slice(unit.get(..length).unwrap_or(unit));
            }
        }
        out
    }

    /// All NAL units of the record, in its order.
    pub fn units(&self) -> impl Iterator<Item = &[u8]> {
        self.arrays.iter().flat_map(|array| array.units.iter().map(Vec::as_slice))
    }

    /// All NAL units of the record after start codes, to put before the first access unit of an Annex-B
    /// stream.
    pub fn to_annexb(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for nal in self.units() {
            out.extend_from_slice(&START_CODE_LONG);
            out.extend_from_slice(nal);
        }
        out
    }
}
