//! How bits are spent, and the buffer model that rate control keeps to.

use super::refuse;
use crate::backend::nvidia::driver::nvenc_names::{rate, tuning};
use crate::backend::nvidia::encode::capability::{Caps, max_qp, max_quality};
use crate::codec::Codec;
use crate::config::{CommonEncodeConfig, RateControl};
use crate::error::Result;

/// Quality when the caller leaves the choice: constant, not a bit rate that suits one size only. About what QP 26
/// looks like, and the same place on AV1's longer scale.
pub(in crate::backend::nvidia::encode) const fn default_quality(codec: Codec) -> u8 {
    if matches!(codec, Codec::Av1) { 32 } else { 26 }
}

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::nvidia::encode) enum Rate {
    Lossless,
    /// Constant quality, with a ceiling.
    Quality {
        quality: u8,
        max: Option<u32>,
    },
    Cbr(u32),
    Vbr {
        average: u32,
        max: Option<u32>,
    },
    ConstQp {
        i: u8,
        p: u8,
        b: u8,
    },
}

impl Rate {
    /// Whether the number of bits is what decides on the quantisers.
    const fn counts_bits(self) -> bool {
        matches!(self, Self::Cbr(_) | Self::Vbr { .. } | Self::Quality { max: Some(_), .. })
    }

    /// Whether each picture has its quantiser beforehand.
    pub(super) const fn is_fixed(self) -> bool {
        matches!(self, Self::Lossless | Self::ConstQp { .. })
    }
}

/// The decoder's buffer, in bits. 0: the driver's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend::nvidia::encode) struct Vbv {
    pub(in crate::backend::nvidia::encode) size: u32,
    pub(in crate::backend::nvidia::encode) initial: u32,
}

pub(super) fn rate(config: &CommonEncodeConfig, caps: &Caps, tuning: u32) -> Result<Rate> {
    let codec = config.codec;
    let needs = |mode: u32, name: &str| {
        if caps.rate_modes & mode != 0 {
            return Ok(());
        }
        let modes = format!("what SUPPORTED_RATECONTROL_MODES ({:#x}) has", caps.rate_modes);
        Err(refuse(codec, "rate_control", name, modes))
    };
    let bits = |setting: &str, bits: u32| {
        if bits > 0 { Ok(bits) } else { Err(refuse(codec, setting, bits, "1 bit/s and more")) }
    };
    if tuning == tuning::LOSSLESS {
        return match config.rate_control {
            None => Ok(Rate::Lossless),
            Some(_) => Err(refuse(codec, "rate_control", "with tuning lossless", "none: nothing is lost")),
        };
    }
    let quality = default_quality(codec);
    match config.rate_control {
        None if caps.rate_modes & rate::VBR == 0 => {
            // On the scale of quantisers, of which AV1 has four to a step of quality.
            let qp = if codec == Codec::Av1 { quality * 4 } else { quality };
            Ok(Rate::ConstQp { i: qp, p: qp, b: qp })
        }
        None => Ok(Rate::Quality { quality, max: None }),
        Some(RateControl::Cbr { bitrate_bps }) => {
            needs(rate::CBR, "cbr")?;
            Ok(Rate::Cbr(bits("rate_control cbr bitrate_bps", bitrate_bps)?))
        }
        Some(RateControl::Vbr { avg_bps, max_bps }) => {
            needs(rate::VBR, "vbr")?;
            let average = bits("rate_control vbr avg_bps", avg_bps)?;
            if let Some(max) = max_bps.filter(|max| *max < average) {
                let allowed = format!("{average} (avg_bps) and more");
                return Err(refuse(codec, "rate_control vbr max_bps", max, allowed));
            }
            Ok(Rate::Vbr { average, max: max_bps })
        }
        Some(RateControl::Quality { quality, max_bps }) => {
            needs(rate::VBR, "quality (which the driver counts as vbr)")?;
            let most = max_quality(codec);
            if !(1..=most).contains(&quality) {
                return Err(refuse(codec, "rate_control quality", quality, format!("1 (best) to {most}")));
            }
            let max = max_bps.map(|max| bits("rate_control quality max_bps", max)).transpose()?;
            Ok(Rate::Quality { quality, max })
        }
        Some(RateControl::ConstQp { intra, inter_p, inter_b }) => {
            let most = max_qp(codec);
            for (name, qp) in [("intra", intra), ("inter_p", inter_p), ("inter_b", inter_b)] {
                if qp > most {
                    let setting = format!("rate_control constqp {name}");
                    return Err(refuse(codec, &setting, qp, format!("0 to {most}")));
                }
            }
            Ok(Rate::ConstQp { i: intra, p: inter_p, b: inter_b })
        }
    }
}

pub(super) fn vbv(config: &CommonEncodeConfig, caps: &Caps, rate: Rate) -> Result<Vbv> {
    let codec = config.codec;
    let Some(size) = config.vbv_bits else {
        return match config.vbv_initial_bits {
            None => Ok(Vbv::default()),
            Some(initial) => Err(refuse(codec, "vbv_initial_bits", initial, "none without vbv_bits")),
        };
    };
    if !caps.custom_vbv {
        let allowed = "none, the driver's own (SUPPORT_CUSTOM_VBV_BUF_SIZE is 0)";
        return Err(refuse(codec, "vbv_bits", size, allowed));
    }
    if !rate.counts_bits() {
        let allowed = "none, unless rate_control is cbr, vbr, or quality with max_bps";
        return Err(refuse(codec, "vbv_bits", size, allowed));
    }
    if size == 0 {
        return Err(refuse(codec, "vbv_bits", size, format!("1 to {} bits", u32::MAX)));
    }
    let initial = config.vbv_initial_bits;
    if let Some(initial) = initial.filter(|initial| !(1..=size).contains(initial)) {
        return Err(refuse(codec, "vbv_initial_bits", initial, format!("1 to {size} (vbv_bits)")));
    }
    Ok(Vbv { size, initial: initial.unwrap_or(0) })
}
