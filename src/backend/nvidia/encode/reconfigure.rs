//! Settings that change while the encoder runs.

use super::NvencEncoder;
use super::configure::{apply, spend};
use super::settings::{Settings, negotiate, own};
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
        // The quality that is aimed at and constant quantisers count as modes: only averages move without a break.
        let same_mode = std::mem::discriminant(&wanted.rate) == std::mem::discriminant(&self.settings.rate);
        let anew = resized || !same_mode;
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
