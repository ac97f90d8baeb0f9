//! The beginning of a slice segment header (7.3.6.1), up to the picture order count.

use super::{NalHeader, ParameterSets, Pps, is_idr, is_irap};
use crate::bitstream::bits::{BitError, BitReader, BitResult};
use crate::error::{Error, Result};

/// `slice_type` (table 7-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SliceType {
    /// Predicted from two lists.
    B,
    /// Predicted from one list.
    P,
    /// Intra.
    I,
}

/// The beginning of a slice segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SliceSegment {
    /// NAL unit header.
    pub nal: NalHeader,
    /// `first_slice_segment_in_pic_flag`.
    pub first_in_picture: bool,
    /// `no_output_of_prior_pics_flag`, false unless the picture is IRAP.
    pub no_output_of_prior_pics: bool,
    /// `slice_pic_parameter_set_id`.
    pub pps_id: u8,
    /// `slice_segment_address` in coding tree blocks.
    pub address: u32,
    /// What follows, unless this is a dependent slice segment (which repeats the segment before it).
    pub independent: Option<IndependentFields>,
}

/// The fields that dependent slice segments lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndependentFields {
    /// `slice_type`.
    pub slice_type: SliceType,
    /// `pic_output_flag`: false for pictures that are decoded but not shown.
    pub output: bool,
    /// `slice_pic_order_cnt_lsb`, 0 in IDR pictures.
    pub poc_lsb: u32,
}

/// Fields up to the id of the picture parameter set; they depend on no parameter set.
struct Start {
    nal: NalHeader,
    first_in_picture: bool,
    no_output_of_prior_pics: bool,
    pps_id: u8,
}

fn start(nal: &[u8]) -> Result<(Start, BitReader<'_>)> {
    let header = NalHeader::parse(nal)
        .filter(|h| h.nal_type <= 31)
        .ok_or_else(|| Error::corrupt("H.265 slice segment header: the NAL unit is not of type 0 to 31"))?;
    let mut r = BitReader::nal(nal.get(2..).unwrap_or(&[]));
    let start = read_start(header, &mut r).map_err(|e| e.within("H.265 slice segment header"))?;
    Ok((start, r))
}

fn read_start(nal: NalHeader, r: &mut BitReader) -> BitResult<Start> {
    Ok(Start {
        nal,
        first_in_picture: r.flag()?,
        no_output_of_prior_pics: is_irap(nal.nal_type) && r.flag()?,
        pps_id: r.ue_max(63, "slice_pic_parameter_set_id")? as u8,
    })
}

fn read_slice_type(r: &mut BitReader, pps: &Pps) -> BitResult<SliceType> {
    r.skip(u32::from(pps.num_extra_slice_header_bits))?;
    Ok(match r.ue_max(2, "slice_type")? {
        0 => SliceType::B,
        1 => SliceType::P,
        _ => SliceType::I,
    })
}

impl SliceSegment {
    /// Reads the beginning of a NAL unit of type 0 to 31; `nal` may be cut off behind it.
    ///
    /// # Errors
    /// [`Error::CorruptStream`], also for parameter sets that were not seen.
    pub(crate) fn parse(nal: &[u8], sets: &ParameterSets) -> Result<Self> {
        let (start, mut r) = start(nal)?;
        Self::read(&start, &mut r, sets).map_err(|e| e.within("H.265 slice segment header"))
    }

    fn read(start: &Start, r: &mut BitReader, sets: &ParameterSets) -> BitResult<Self> {
        let pps_id = start.pps_id;
        let pps = sets.pps(pps_id).ok_or(BitError::Missing { what: "PPS", id: u32::from(pps_id) })?;
        let sps = sets.sps(pps.sps_id).ok_or(BitError::Missing { what: "SPS", id: u32::from(pps.sps_id) })?;
        let (mut dependent, mut address) = (false, 0);
        if !start.first_in_picture {
            dependent = pps.dependent_slice_segments && r.flag()?;
            // Ceil( Log2( PicSizeInCtbsY ) ) bits.
            address = r.u(32 - sps.picture_ctbs().saturating_sub(1).leading_zeros())?;
        }
        let independent = if dependent {
            None
        } else {
            let slice_type = read_slice_type(r, pps)?;
            let output = !pps.output_flag_present || r.flag()?;
            if sps.separate_colour_planes {
                r.skip(2)?; // colour_plane_id
            }
            let poc_lsb = if is_idr(start.nal.nal_type) { 0 } else { r.u(u32::from(sps.poc_lsb_bits))? };
            Some(IndependentFields { slice_type, output, poc_lsb })
        };
        Ok(Self {
            nal: start.nal,
            first_in_picture: start.first_in_picture,
            no_output_of_prior_pics: start.no_output_of_prior_pics,
            pps_id,
            address,
            independent,
        })
    }

    /// The slice type alone, which needs no sequence parameter set, of the first slice segment of a
    /// picture; `None` for other segments.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(in crate::bitstream) fn slice_type_of<'p>(
        nal: &[u8],
        pps: impl Fn(u8) -> Option<&'p Pps>,
    ) -> Result<Option<SliceType>> {
        let (start, mut r) = start(nal)?;
        match pps(start.pps_id) {
            Some(pps) if start.first_in_picture => {
                read_slice_type(&mut r, pps).map(Some).map_err(|e| e.within("H.265 slice segment header"))
            }
            _ => Ok(None),
        }
    }
}
