//! Settings that change while the encoder runs.

use super::NvencEncoder;
use super::configure::{apply, spend};
use super::settings::{Rate, Settings, negotiate, own};
use crate::backend::InPlace;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};

impl NvencEncoder {
    pub(super) fn can_change(&self) -> InPlace {
        let (width, height) = self.encoder.largest();
        InPlace {
            bitrate: self.caps.dynamic_bitrate,
            rate_mode: self.caps.dynamic_rate_mode,
            frame_rate: true,
            max_dimensions: Dimensions::new(width, height).filter(|_| self.caps.dynamic_size),
        }
    }

    /// Tells the driver. What the rule for changes sends here can be changed; what it should not have sent is refused
    /// before the driver sees it.
    pub(super) fn change(
        &mut self,
        config: &CommonEncodeConfig,
        special: &BackendEncodeConfig,
    ) -> Result<()> {
        let wanted = negotiate(config, &own(special, config.codec)?, &self.caps)?;
        if !only_changeable(&self.settings, &wanted) || config.format != self.inputs.format() {
            return Err(Error::unsupported(
                "changing more than size, rate control and frame rate while NVENC runs",
            ));
        }
        let resized = wanted.size != self.settings.size;
        let anew = resized || begins_anew(self.settings.rate, wanted.rate);
        if resized || self.structure.b_frames + self.structure.lookahead > 0 {
            // What a change does to pictures that are held back is not said anywhere: so none is.
            self.end_stream()?;
        }
        if resized {
            // Memory for pictures is made for their size: all of it has to come back.
            self.flow.drain()?;
        }
        self.tell(&wanted, anew)?;
        if resized {
            // Larger memory would do for smaller pictures, but where their chroma then lies in it is not said anywhere.
            self.flow.drop_spares();
            self.inputs.resize(wanted.size);
        }
        self.idr_next |= anew;
        self.settings = wanted;
        Ok(())
    }

    fn tell(&self, wanted: &Settings, anew: bool) -> Result<()> {
        self.encoder.reconfigure(anew, |params, config| {
            apply(params, wanted);
            spend(&mut config.rc, wanted.rate, wanted.vbv);
        })
    }
}

/// Whether rate control starts again, with an IDR. Only bit rates move without a break: every quality that is aimed at and
/// every constant quantiser counts as a mode of its own, as in the rule for changes.
fn begins_anew(old: Rate, new: Rate) -> bool {
    let moves = matches!((old, new), (Rate::Cbr(_), Rate::Cbr(_)) | (Rate::Vbr { .. }, Rate::Vbr { .. }));
    old != new && !moves
}

/// Whether nothing differs but what the driver lets change.
fn only_changeable(old: &Settings, new: &Settings) -> bool {
    let new = Settings {
        size: old.size,
        display: old.display,
        frame_rate: old.frame_rate,
        rate: old.rate,
        ..new.clone()
    };
    *old == new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bit_rates_move_without_a_break() {
        let vbr = |average| Rate::Vbr { average, max: None };
        let quality = |quality| Rate::Quality { quality, max: None };
        let qp = |i| Rate::ConstQp { i, p: i, b: i };
        for (old, new) in [
            (Rate::Cbr(1), Rate::Cbr(2)),
            (vbr(1), vbr(2)),
            (vbr(1), Rate::Vbr { average: 1, max: Some(2) }),
            (quality(20), quality(20)),
            (qp(20), qp(20)),
            (Rate::Lossless, Rate::Lossless),
        ] {
            assert!(!begins_anew(old, new), "{old:?} {new:?}");
        }
        for (old, new) in [
            (quality(20), quality(30)),
            (quality(20), Rate::Quality { quality: 20, max: Some(1) }),
            (qp(20), qp(30)),
            (Rate::Cbr(1), vbr(1)),
            (vbr(1), quality(20)),
            (quality(20), qp(20)),
        ] {
            assert!(begins_anew(old, new) && begins_anew(new, old), "{old:?} {new:?}");
        }
    }
}
