//! How bits are spent, in the words of each encoder.

use super::encoders::{Encoder, Family};
use super::settings::{Arguments, refuse};
use crate::config::{CommonEncodeConfig, RateControl};
use crate::error::Result;

/// Quality of hardware encoders when nothing is asked for: about what QP 26 looks like. The CPU encoders have a default
/// of their own, which is the one people know.
const DEFAULT_QUALITY: u8 = 26;
/// Bits of a sample and picture for hardware that knows no quality, when nothing is asked for.
const DEFAULT_BITS: f64 = 0.1;

pub(super) fn control(config: &CommonEncodeConfig, encoder: &Encoder, output: &mut Arguments) -> Result<()> {
    match config.rate_control {
        None => quality(config, None, encoder, output),
        Some(RateControl::Cbr { bitrate_bps }) => cbr(bitrate_bps, encoder, output),
        Some(RateControl::Vbr { avg_bps, max_bps }) => vbr(avg_bps, max_bps, encoder, output),
        Some(RateControl::ConstQp { intra, inter_p, inter_b }) => {
            const_qp([intra, inter_p, inter_b], encoder, output)
        }
        Some(RateControl::Quality { quality: asked, max_bps }) => {
            quality(config, Some(asked), encoder, output)?;
            max_bps.map_or(Ok(()), |max| ceiling(max, encoder, output))
        }
    }
}

/// Most bits a second of a constant quality.
fn ceiling(max: u32, encoder: &Encoder, output: &mut Arguments) -> Result<()> {
    bit_rate(max, encoder)?;
    if !matches!(encoder.family, Family::X264 | Family::X265 | Family::Nvenc) {
        return Err(refuse(encoder, "rate_control Quality max_bps", max, "no ceiling"));
    }
    output.add("-maxrate:v", max);
    // A second of it.
    output.add("-bufsize:v", max);
    Ok(())
}

fn quality(
    config: &CommonEncodeConfig,
    asked: Option<u8>,
    encoder: &Encoder,
    output: &mut Arguments,
) -> Result<()> {
    let (low, high) = encoder.quality_range();
    if let Some(asked) = asked.filter(|asked| !(low..=high).contains(asked)) {
        return Err(refuse(encoder, "quality", asked, format!("{low} to {high}")));
    }
    let value = asked.unwrap_or(DEFAULT_QUALITY);
    match encoder.family {
        Family::X264 | Family::X265 | Family::SvtAv1 => {
            if let Some(asked) = asked {
                output.add("-crf:v", asked);
            }
        }
        Family::Nvenc => {
            output.add("-rc:v", "vbr");
            output.add("-cq:v", value);
            output.add("-b:v", 0);
        }
        Family::Qsv => output.add("-global_quality:v", value),
        Family::Vaapi => {
            output.add("-rc_mode:v", "ICQ");
            output.add("-global_quality:v", value);
        }
        Family::VideoToolbox => {
            if let Some(asked) = asked {
                output.add("-q:v", asked);
            } else {
                let samples = config.dimensions.pixels() as f64 * config.frame_rate.as_f64();
                output.add("-b:v", (samples * DEFAULT_BITS).clamp(100_000.0, 1e9) as u32);
            }
        }
    }
    Ok(())
}

fn cbr(bits: u32, encoder: &Encoder, output: &mut Arguments) -> Result<()> {
    bit_rate(bits, encoder)?;
    match encoder.family {
        Family::X264 => {
            // With filler, so that the rate is constant in truth.
            output.add("-nal-hrd:v", "cbr");
        }
        Family::X265 => output.parameter("strict-cbr", 1),
        Family::Nvenc => output.add("-rc:v", "cbr"),
        Family::Vaapi => output.add("-rc_mode:v", "CBR"),
        // Told by equal rates.
        Family::Qsv => {}
        Family::SvtAv1 | Family::VideoToolbox => {
            return Err(refuse(
                encoder,
                "rate_control",
                "Cbr",
                "Vbr, ConstQp where there is one, or quality",
            ));
        }
    }
    output.add("-b:v", bits);
    output.add("-minrate:v", bits);
    output.add("-maxrate:v", bits);
    output.add("-bufsize:v", bits);
    Ok(())
}

fn vbr(average: u32, max: Option<u32>, encoder: &Encoder, output: &mut Arguments) -> Result<()> {
    bit_rate(average, encoder)?;
    if let Some(max) = max.filter(|max| *max < average) {
        return Err(refuse(encoder, "rate_control Vbr max_bps", max, format!("at least avg_bps, {average}")));
    }
    if let Some(max) = max.filter(|_| matches!(encoder.family, Family::SvtAv1 | Family::VideoToolbox)) {
        return Err(refuse(encoder, "rate_control Vbr max_bps", max, "no ceiling"));
    }
    match encoder.family {
        Family::Nvenc => output.add("-rc:v", "vbr"),
        Family::Vaapi => output.add("-rc_mode:v", "VBR"),
        _ => {}
    }
    output.add("-b:v", average);
    if let Some(max) = max {
        output.add("-maxrate:v", max);
        // A second of it.
        output.add("-bufsize:v", max);
    }
    Ok(())
}

fn bit_rate(bits: u32, encoder: &Encoder) -> Result<()> {
    /// libx264 counts kilobits, and all of them in a signed number of 32 bits.
    const RANGE: std::ops::RangeInclusive<u32> = 1000..=i32::MAX as u32;
    if RANGE.contains(&bits) {
        return Ok(());
    }
    Err(refuse(encoder, "bit rate", bits, format!("{} to {}", RANGE.start(), RANGE.end())))
}

fn const_qp(given: [u8; 3], encoder: &Encoder, output: &mut Arguments) -> Result<()> {
    let (low, high) = encoder.qp_range();
    let [i, p, b] = given;
    if high == 0 {
        return Err(refuse(encoder, "rate_control", "ConstQp", "Vbr or quality"));
    }
    if let Some(wrong) = given.into_iter().find(|qp| !(low..=high).contains(qp)) {
        return Err(refuse(encoder, "rate_control ConstQp", wrong, format!("{low} to {high}")));
    }
    // x264 and x265 state the quantiser of P, and the others by a factor: six steps double it.
    let ratio = |from: u8, to: u8| 2_f64.powf((f64::from(to) - f64::from(from)) / 6.0);
    match encoder.family {
        Family::X264 => {
            output.add("-qp:v", p);
            output.add("-x264-params:v", format!("ipratio={:.6}:pbratio={:.6}", ratio(i, p), ratio(p, b)));
        }
        Family::X265 => {
            output.parameter("qp", p);
            output.parameter("ipratio", format!("{:.6}", ratio(i, p)));
            output.parameter("pbratio", format!("{:.6}", ratio(p, b)));
        }
        Family::Nvenc => {
            output.add("-rc:v", "constqp");
            output.add("-init_qpI:v", i);
            output.add("-init_qpP:v", p);
            output.add("-init_qpB:v", b);
        }
        _ if i != p || p != b => {
            return Err(refuse(
                encoder,
                "rate_control ConstQp",
                format!("{i}, {p}, {b}"),
                "three times the same",
            ));
        }
        Family::SvtAv1 => output.add("-qp:v", p),
        Family::Qsv => output.add("-q:v", p),
        Family::Vaapi => {
            output.add("-rc_mode:v", "CQP");
            output.add("-qp:v", p);
        }
        Family::VideoToolbox => {}
    }
    Ok(())
}
