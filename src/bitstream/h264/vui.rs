//! Video usability information (annex E).

use crate::bitstream::bits::{BitReader, BitResult};
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::time::Rational;

/// What the VUI says about decoding delay (E.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BitstreamRestriction {
    /// `max_num_reorder_frames`.
    pub max_num_reorder_frames: u32,
    /// `max_dec_frame_buffering`.
    pub max_dec_frame_buffering: u32,
}

/// Video usability information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vui {
    /// Sample aspect ratio; `None` where unspecified.
    pub sample_aspect_ratio: Option<Rational>,
    /// Colour description and range.
    pub color: ColorInfo,
    /// Frames per second by `time_scale / (2 * num_units_in_tick)`.
    pub frame_rate: Option<Rational>,
    /// `fixed_frame_rate_flag`.
    pub fixed_frame_rate: bool,
    /// `pic_struct_present_flag`: picture timing SEI tells how fields are shown.
    pub pic_struct_present: bool,
    /// Bits of `cpb_removal_delay` and `dpb_output_delay` in picture timing SEI; `None` where it has neither.
    pub delay_bits: Option<(u8, u8)>,
    /// Bounds on reordering, where stated.
    pub bitstream_restriction: Option<BitstreamRestriction>,
}

/// Table E-1 of H.264 and H.265: `aspect_ratio_idc` 1 to 16.
const SAMPLE_ASPECT_RATIOS: [(u32, u32); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// `aspect_ratio_idc` and, for `Extended_SAR`, its two values; the same in H.264 and H.265.
pub(in crate::bitstream) fn read_sample_aspect_ratio(r: &mut BitReader) -> BitResult<Option<Rational>> {
    let (num, den) = match r.u8()? {
        255 => (r.u(16)?, r.u(16)?),
        0 => (0, 0),
        idc => SAMPLE_ASPECT_RATIOS.get(usize::from(idc) - 1).copied().unwrap_or((0, 0)),
    };
    Ok(Rational::new(num, den))
}

/// The fields behind `video_signal_type_present_flag`; the same in H.264 and H.265.
pub(in crate::bitstream) fn read_signal_type(r: &mut BitReader) -> BitResult<ColorInfo> {
    let mut color = ColorInfo::UNSPECIFIED;
    r.skip(3)?; // video_format
    color.range = Some(if r.flag()? { ColorRange::Full } else { ColorRange::Limited });
    if r.flag()? {
        color.primaries = ColorPrimaries::from_code(r.u8()?);
        color.transfer = TransferCharacteristics::from_code(r.u8()?);
        color.matrix = MatrixCoefficients::from_code(r.u8()?);
    }
    Ok(color)
}

impl Vui {
    pub(super) fn read(r: &mut BitReader) -> BitResult<Self> {
        let sample_aspect_ratio = if r.flag()? { read_sample_aspect_ratio(r)? } else { None };
        if r.flag()? {
            r.skip(1)?; // overscan_appropriate_flag
        }
        let color = if r.flag()? { read_signal_type(r)? } else { ColorInfo::UNSPECIFIED };
        if r.flag()? {
            r.ue_max(5, "chroma_sample_loc_type_top_field")?;
            r.ue_max(5, "chroma_sample_loc_type_bottom_field")?;
        }
        let (mut frame_rate, mut fixed_frame_rate) = (None, false);
        if r.flag()? {
            let units = r.u(32)?;
            let scale = r.u(32)?;
            // Two ticks a frame, also in progressive streams (E.2.1, DeltaTfiDivisor).
            frame_rate =
                units.checked_mul(2).and_then(|units| Rational::new(scale, units)).map(Rational::reduced);
            fixed_frame_rate = r.flag()?;
        }
        let nal_hrd = if r.flag()? { Some(delay_bits(r)?) } else { None };
        let vcl_hrd = if r.flag()? { Some(delay_bits(r)?) } else { None };
        // Those of both are the same (E.2.2).
        let delay_bits = nal_hrd.or(vcl_hrd);
        if delay_bits.is_some() {
            r.skip(1)?; // low_delay_hrd_flag
        }
        let pic_struct_present = r.flag()?;
        let bitstream_restriction = if r.flag()? {
            r.skip(1)?; // motion_vectors_over_pic_boundaries_flag
            for _ in 0..4 {
                r.ue()?; // max_bytes_per_pic_denom to log2_max_mv_length_vertical
            }
            Some(BitstreamRestriction {
                max_num_reorder_frames: r.ue_max(16, "max_num_reorder_frames")?,
                max_dec_frame_buffering: r.ue_max(16, "max_dec_frame_buffering")?,
            })
        } else {
            None
        };
        Ok(Self {
            sample_aspect_ratio,
            color,
            frame_rate,
            fixed_frame_rate,
            pic_struct_present,
            delay_bits,
            bitstream_restriction,
        })
    }
}

/// Reads `hrd_parameters( )` up to its end, for the lengths of `cpb_removal_delay` and `dpb_output_delay`.
fn delay_bits(r: &mut BitReader) -> BitResult<(u8, u8)> {
    let count = r.ue_max(31, "cpb_cnt_minus1")? + 1;
    r.skip(8)?; // bit_rate_scale, cpb_size_scale
    for _ in 0..count {
        r.ue()?;
        r.ue()?;
        r.skip(1)?;
    }
    r.skip(5)?; // initial_cpb_removal_delay_length_minus1
    let bits = (r.u(5)? as u8 + 1, r.u(5)? as u8 + 1);
    r.skip(5)?; // time_offset_length
    Ok(bits)
}
