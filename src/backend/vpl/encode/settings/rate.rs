//! How bits are spent, and the buffer model that rate control keeps to.

use super::{max_qp, max_quality, refuse};
use crate::backend::vpl::encode::capability::Caps;
use crate::codec::Codec;
use crate::config::{CommonEncodeConfig, RateControl};
use crate::error::Result;

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::vpl::encode) enum Rate {
    Cbr(u32),
    Vbr {
        average: u32,
        max: Option<u32>,
    },
    /// 1 (best) to the codec's largest.
    Quality(u8),
    /// The same with a ceiling.
    LimitedQuality {
        quality: u8,
        max: u32,
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
        matches!(self, Self::Cbr(_) | Self::Vbr { .. } | Self::LimitedQuality { .. })
    }

    /// Whether one follows from the other without a break.
    pub(in crate::backend::vpl::encode) const fn follows(self, before: Self) -> bool {
        matches!((before, self), (Self::Cbr(_), Self::Cbr(_)) | (Self::Vbr { .. }, Self::Vbr { .. }))
    }
}

/// Quality when the caller leaves the choice: what QP 26 looks like, on each codec's scale.
const fn default_quality(codec: Codec) -> u8 {
    match codec {
        Codec::Av1 | Codec::Vp9 => 32,
        // On the scale that is turned round: 85 of 100.
        Codec::Mjpeg => 16,
        _ => 26,
    }
}

pub(super) fn rate(config: &CommonEncodeConfig, caps: &Caps) -> Result<Rate> {
    let codec = config.codec;
    let needs = |has: bool, name: &str| {
        if has { Ok(()) } else { Err(refuse(codec, "rate_control", name, modes(caps))) }
    };
    let bits = |setting: &str, bits: u32| {
        if bits > 0 { Ok(bits) } else { Err(refuse(codec, setting, bits, "1 bit/s and more")) }
    };
    match config.rate_control {
        None if caps.quality => Ok(Rate::Quality(default_quality(codec))),
        None => {
            // On the scale of quantisers, of which AV1 and VP9 have four to a step of quality.
            let qp = if max_qp(codec) > 51 { default_quality(codec) * 4 } else { default_quality(codec) };
            Ok(Rate::ConstQp { i: qp, p: qp, b: qp })
        }
        Some(RateControl::Cbr { bitrate_bps }) => {
            needs(caps.cbr, "cbr")?;
            Ok(Rate::Cbr(bits("rate_control cbr bitrate_bps", bitrate_bps)?))
        }
        Some(RateControl::Vbr { avg_bps, max_bps }) => {
            needs(caps.vbr, "vbr")?;
            let average = bits("rate_control vbr avg_bps", avg_bps)?;
            if let Some(max) = max_bps.filter(|max| *max < average) {
                let allowed = format!("{average} (avg_bps) and more");
                return Err(refuse(codec, "rate_control vbr max_bps", max, allowed));
            }
            Ok(Rate::Vbr { average, max: max_bps })
        }
        Some(RateControl::Quality { quality, max_bps }) => {
            needs(caps.quality, "quality")?;
            let most = max_quality(codec);
            if !(1..=most).contains(&quality) {
                return Err(refuse(codec, "rate_control quality", quality, format!("1 (best) to {most}")));
            }
            let Some(max) = max_bps else { return Ok(Rate::Quality(quality)) };
            needs(caps.limited_quality, "quality with max_bps")?;
            Ok(Rate::LimitedQuality { quality, max: bits("rate_control quality max_bps", max)? })
        }
        Some(RateControl::ConstQp { intra, inter_p, inter_b }) => {
            needs(caps.const_qp, "constqp")?;
            let most = max_qp(codec);
            for (name, qp) in [("intra", intra), ("inter_p", inter_p), ("inter_b", inter_b)] {
                // oneVPL takes 0 for its own choice.
                if !(1..=most).contains(&qp) {
                    let setting = format!("rate_control constqp {name}");
                    return Err(refuse(codec, &setting, qp, format!("1 to {most}")));
                }
            }
            Ok(Rate::ConstQp { i: intra, p: inter_p, b: inter_b })
        }
    }
}

/// What there is.
fn modes(caps: &Caps) -> String {
    let all = [
        ("cbr", caps.cbr),
        ("vbr", caps.vbr),
        ("quality", caps.quality),
        ("quality with max_bps", caps.limited_quality),
        ("constqp", caps.const_qp),
    ];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect::<Vec<_>>().join(", ")
}

pub(super) fn vbv(config: &CommonEncodeConfig, rate: Rate) -> Result<Option<(u32, Option<u32>)>> {
    let codec = config.codec;
    let Some(size) = config.vbv_bits else {
        return match config.vbv_initial_bits {
            None => Ok(None),
            Some(initial) => Err(refuse(codec, "vbv_initial_bits", initial, "none without vbv_bits")),
        };
    };
    if !rate.counts_bits() {
        let allowed = "none, unless rate_control is cbr, vbr, or quality with max_bps";
        return Err(refuse(codec, "vbv_bits", size, allowed));
    }
    // The runtime counts in units of 1000 bytes.
    if size < 8000 {
        return Err(refuse(codec, "vbv_bits", size, "8000 and more"));
    }
    let initial = config.vbv_initial_bits;
    if let Some(initial) = initial.filter(|initial| !(8000..=size).contains(initial)) {
        return Err(refuse(codec, "vbv_initial_bits", initial, format!("8000 to {size} (vbv_bits)")));
    }
    Ok(Some((size, initial)))
}
