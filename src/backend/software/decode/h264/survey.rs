//! What the macroblocks of a picture are, from a full reading of its slice data (7.3.4).
//!
//! Both Rust libraries filter the edges of macroblocks sent as raw samples (`I_PCM`) with the quantiser of
//! the macroblock before instead of 0 (8.7.2.2). Below an index of 16 the filter changes nothing (table
//! 8-16), so that the pictures are right all the same as long as no quantiser of the picture reaches that.

use oxideav_h264::decoder::{Decoder, Event};
use oxideav_h264::slice_data::parse_slice_data;

use super::super::guard::guarded;
use super::{exact, route};
use crate::bitstream::annexb::nal_units;
use crate::bitstream::h264::{NAL_IDR, NAL_PPS, NAL_SLICE, NAL_SPS, Sps, nal_type};
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// The lowest index at which the loop filter changes samples (table 8-16).
const FIRST_FILTERING_INDEX: i32 = 16;

/// A reader of slice data with the parameter sets it needs.
pub(super) struct Survey {
    reader: Decoder,
}

/// The macroblocks of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Findings {
    /// Macroblocks sent as raw samples.
    raw: u32,
    /// All macroblocks of all slices.
    macroblocks: u64,
    /// No edge can have a higher `indexA` than this (8.7.2.2), if all its macroblocks had their neighbours'
    /// quantisers.
    highest_index: i32,
}

/// What a picture's raw macroblocks mean for the Rust libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// There are none.
    None,
    /// The loop filter changes nothing in the picture, with wrong quantisers or right ones.
    Harmless,
    /// The loop filter may have changed samples by wrong quantisers.
    Filtered,
}

impl Findings {
    const fn raw(&self) -> Raw {
        match self.raw {
            0 => Raw::None,
            _ if self.highest_index < FIRST_FILTERING_INDEX => Raw::Harmless,
            _ => Raw::Filtered,
        }
    }
}

impl Survey {
    pub(super) fn new() -> Self {
        Self { reader: Decoder::new() }
    }

    /// Takes over the parameter sets of `unit` (Annex B).
    pub(super) fn learn(&mut self, unit: &[u8]) -> Result<()> {
        let is_set = |nal: &&[u8]| matches!(nal_type(nal), Some(NAL_SPS | NAL_PPS));
        for nal in nal_units(unit).filter(is_set) {
            if nal_type(nal) == Some(NAL_SPS) && Sps::parse(nal).is_ok_and(|sps| route::is_too_long(&sps)) {
                // Nothing is read with it; who asks is told so.
                return Ok(());
            }
            let reader = &mut self.reader;
            guarded(exact::LIBRARY, || reader.process_nal(nal))?.map_err(unreadable)?;
        }
        Ok(())
    }

    /// Looks for raw macroblocks in `unit`, whose parameter sets have been learnt.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] when a slice cannot be read to its end or macroblocks are missing.
    pub(super) fn raw_macroblocks(&mut self, unit: &[u8], sps: &Sps) -> Result<Raw> {
        if !nal_units(unit).any(|nal| nal.len() > raw_macroblock_bytes(sps)) {
            return Ok(Raw::None);
        }
        Ok(self.read_whole(unit, sps)?.raw())
    }

    /// Reads the slices of `unit`.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] when a slice cannot be read to its end or macroblocks are missing.
    pub(super) fn expect_whole(&mut self, unit: &[u8], sps: &Sps) -> Result<()> {
        self.read_whole(unit, sps).map(|_| ())
    }

    fn read_whole(&mut self, unit: &[u8], sps: &Sps) -> Result<Findings> {
        if route::is_too_long(sps) {
            return Err(route::too_long());
        }
        let findings = self.read(unit)?;
        let frame = u64::from(sps.width_in_mbs) * u64::from(sps.frame_height_in_mbs());
        // An access unit can be a single field.
        let whole = findings.macroblocks == frame || !sps.frame_mbs_only && findings.macroblocks == frame / 2;
        if !whole {
            return Err(Error::corrupt(format!(
                "the picture has {} of {frame} macroblocks",
                findings.macroblocks
            )));
        }
        Ok(findings)
    }

    fn read(&mut self, unit: &[u8]) -> Result<Findings> {
        let mut findings = Findings { highest_index: i32::MIN, ..Findings::default() };
        let (mut offset, mut quantiser) = (i32::MIN, i32::MIN);
        // A unit with sets between its fields begins with those of the first, so that it is read alike each time.
        let is_read = |nal: &&[u8]| matches!(nal_type(nal), Some(NAL_SLICE | NAL_IDR | NAL_SPS | NAL_PPS));
        for nal in nal_units(unit).filter(is_read) {
            let reader = &mut self.reader;
            if matches!(nal_type(nal), Some(NAL_SPS | NAL_PPS)) {
                guarded(exact::LIBRARY, || reader.process_nal(nal))?.map_err(unreadable)?;
                continue;
            }
            let slice = guarded(exact::LIBRARY, || match reader.process_nal(nal) {
                Ok(Event::Slice { header, rbsp, slice_data_cursor: (byte, bit), pps, sps, .. }) => {
                    let data = parse_slice_data(&rbsp, byte, bit, &header, &sps, &pps);
                    data.map(|data| (header, pps, sps, data)).map_err(unreadable)
                }
                Ok(_) => Err(Error::corrupt("not a slice")),
                Err(error) => Err(unreadable(error)),
            });
            let (header, pps, sps, data) = slice??;
            let depth = i32::try_from(sps.bit_depth_luma_minus8).unwrap_or(0) * 6;
            let mut qp = 26 + pps.pic_init_qp_minus26 + header.slice_qp_delta;
            let mut highest = qp;
            for macroblock in &data.macroblocks {
                findings.macroblocks += 1;
                if macroblock.mb_type.is_i_pcm() {
                    findings.raw += 1;
                } else if macroblock.mb_qp_delta != 0 {
                    // Equation 7-37.
                    let next = qp.saturating_add(macroblock.mb_qp_delta).saturating_add(52 + 2 * depth);
                    qp = next.rem_euclid(52 + depth) - depth;
                    highest = highest.max(qp);
                }
            }
            let chroma = pps.chroma_qp_index_offset.max(pps.second_chroma_qp_index_offset()).max(0);
            quantiser = quantiser.max(highest.saturating_add(chroma));
            if header.disable_deblocking_filter_idc != 1 {
                offset = offset.max(header.slice_alpha_c0_offset_div2.saturating_mul(2));
            }
        }
        if offset > i32::MIN {
            findings.highest_index = quantiser.saturating_add(offset);
        }
        Ok(findings)
    }
}

/// Bytes of a raw macroblock (7.3.5); only what is longer can hold one.
fn raw_macroblock_bytes(sps: &Sps) -> usize {
    let chroma: usize = match sps.chroma {
        Chroma::Monochrome => 0,
        Chroma::Yuv420 => 64,
        Chroma::Yuv422 => 128,
        Chroma::Yuv444 => 256,
    };
    (256 * usize::from(sps.bit_depth_luma) + 2 * chroma * usize::from(sps.bit_depth_chroma)) / 8
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("{}: {error}", exact::LIBRARY))
}
