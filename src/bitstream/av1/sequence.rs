//! Sequence header (5.5).

use crate::bitstream::bits::{BitReader, BitResult};
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::error::Result;
use crate::pixel::Chroma;
use crate::time::Rational;

/// Sequence header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceHeader {
    /// `seq_profile`: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// `still_picture`.
    pub still_picture: bool,
    /// `reduced_still_picture_header`.
    pub reduced_still_picture: bool,
    /// `seq_level_idx[0]`, 31 for no limit.
    pub level_idx: u8,
    /// `seq_tier[0]`: High tier.
    pub high_tier: bool,
    /// Frames per second, where the stream states a constant rate (`equal_picture_interval`).
    pub frame_rate: Option<Rational>,
    /// `max_frame_width_minus_1` + 1.
    pub max_width: u32,
    /// `max_frame_height_minus_1` + 1.
    pub max_height: u32,
    /// Bits per sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// Chroma subsampling.
    pub chroma: Chroma,
    /// `chroma_sample_position`, 0 when not coded.
    pub chroma_sample_position: u8,
    /// Colour.
    pub color: ColorInfo,
    /// `film_grain_params_present`.
    pub film_grain: bool,
}

impl SequenceHeader {
    /// Reads the payload of a sequence header OBU.
    ///
    /// # Errors
    /// [`crate::Error::CorruptStream`].
    pub(crate) fn parse(payload: &[u8]) -> Result<Self> {
        Self::read(&mut BitReader::new(payload)).map_err(|e| e.within("AV1 sequence header"))
    }

    fn read(r: &mut BitReader) -> BitResult<Self> {
        let profile = r.u(3)? as u8;
        if profile > 2 {
            return Err(r.out_of_range("seq_profile", i64::from(profile)));
        }
        let still_picture = r.flag()?;
        let reduced_still_picture = r.flag()?;
        let (mut level_idx, mut high_tier, mut frame_rate) = (0, false, None);
        if reduced_still_picture {
            level_idx = r.u(5)? as u8;
        } else {
            let mut decoder_model_bits = None;
            if r.flag()? {
                frame_rate = read_timing_info(r)?;
                if r.flag()? {
                    decoder_model_bits = Some(r.u(5)? + 1);
                    r.skip(42)?; // num_units_in_decoding_tick and two lengths
                }
            }
            let initial_display_delay_present = r.flag()?;
            for point in 0..=r.u(5)? {
                r.skip(12)?; // operating_point_idc
                let level = r.u(5)? as u8;
                let tier = level > 7 && r.flag()?;
                if point == 0 {
                    (level_idx, high_tier) = (level, tier);
                }
                if let Some(bits) = decoder_model_bits
                    && r.flag()?
                {
                    r.skip(2 * bits + 1)?;
                }
                if initial_display_delay_present && r.flag()? {
                    r.skip(4)?;
                }
            }
        }
        let width_bits = r.u(4)? + 1;
        let height_bits = r.u(4)? + 1;
        let max_width = r.u(width_bits)? + 1;
        let max_height = r.u(height_bits)? + 1;
        if !reduced_still_picture && r.flag()? {
            r.skip(7)?; // delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
        }
        r.skip(3)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
        if !reduced_still_picture {
            read_tools(r)?;
        }
        r.skip(3)?; // enable_superres, enable_cdef, enable_restoration
        let (bit_depth, chroma, chroma_sample_position, color) = read_color_config(r, profile)?;
        let film_grain = r.flag()?;
        Ok(Self {
            profile,
            still_picture,
            reduced_still_picture,
            level_idx,
            high_tier,
            frame_rate,
            max_width,
            max_height,
            bit_depth,
            chroma,
            chroma_sample_position,
            color,
            film_grain,
        })
    }

    /// Name of the profile.
    pub(crate) const fn profile_name(&self) -> &'static str {
        match self.profile {
            0 => "Main",
            1 => "High",
            _ => "Professional",
        }
    }

    /// Name of the level and, where it is the High tier, of the tier (annex A.3): `4.1`, `5.1 High`,
    /// `maximum`.
    pub(crate) fn level_name(&self) -> String {
        if self.level_idx == 31 {
            return "maximum".to_owned();
        }
        let tier = if self.high_tier { " High" } else { "" };
        format!("{}.{}{tier}", 2 + (self.level_idx >> 2), self.level_idx & 3)
    }
}

/// `timing_info()`.
fn read_timing_info(r: &mut BitReader) -> BitResult<Option<Rational>> {
    let units = r.u(32)?;
    let scale = r.u(32)?;
    if !r.flag()? {
        return Ok(None);
    }
    // uvlc() is coded like ue(v); the value that ue() refuses, 2^32 - 1, is not allowed here.
    let ticks = u64::from(r.ue()?) + 1;
    let den = u64::from(units).checked_mul(ticks).and_then(|d| u32::try_from(d).ok());
    Ok(den.and_then(|den| Rational::new(scale, den)).map(Rational::reduced))
}

/// The tool flags between `enable_interintra_compound` and `order_hint_bits_minus_1`.
fn read_tools(r: &mut BitReader) -> BitResult<()> {
    r.skip(4)?; // interintra_compound, masked_compound, warped_motion, dual_filter
    let order_hint = r.flag()?;
    if order_hint {
        r.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
    }
    let choose_screen_content = r.flag()?;
    let screen_content = choose_screen_content || r.flag()?;
    if screen_content && !r.flag()? {
        r.skip(1)?; // seq_force_integer_mv
    }
    if order_hint {
        r.skip(3)?; // order_hint_bits_minus_1
    }
    Ok(())
}

/// `color_config()` (5.5.2).
fn read_color_config(r: &mut BitReader, profile: u8) -> BitResult<(u8, Chroma, u8, ColorInfo)> {
    let high_bitdepth = r.flag()?;
    let twelve_bit = profile == 2 && high_bitdepth && r.flag()?;
    let bit_depth = match (twelve_bit, high_bitdepth) {
        (true, _) => 12,
        (_, true) => 10,
        _ => 8,
    };
    let monochrome = profile != 1 && r.flag()?;
    let mut color = ColorInfo::UNSPECIFIED;
    if r.flag()? {
        color.primaries = ColorPrimaries::from_code(r.u8()?);
        color.transfer = TransferCharacteristics::from_code(r.u8()?);
        color.matrix = MatrixCoefficients::from_code(r.u8()?);
    }
    let range = |full| Some(if full { ColorRange::Full } else { ColorRange::Limited });
    if monochrome {
        color.range = range(r.flag()?);
        return Ok((bit_depth, Chroma::Monochrome, 0, color));
    }
    let srgb = color.primaries == ColorPrimaries::Bt709
        && color.transfer == TransferCharacteristics::Srgb
        && color.matrix == MatrixCoefficients::Identity;
    let (mut chroma, mut position) = (Chroma::Yuv444, 0);
    if srgb {
        color.range = range(true);
    } else {
        color.range = range(r.flag()?);
        chroma = match profile {
            0 => Chroma::Yuv420,
            1 => Chroma::Yuv444,
            _ if bit_depth < 12 => Chroma::Yuv422,
            // subsampling_x, and only where it is set subsampling_y.
            _ if !r.flag()? => Chroma::Yuv444,
            _ if r.flag()? => Chroma::Yuv420,
            _ => Chroma::Yuv422,
        };
        if chroma == Chroma::Yuv420 {
            position = r.u(2)? as u8;
        }
    }
    r.skip(1)?; // separate_uv_delta_q
    Ok((bit_depth, chroma, position, color))
}
