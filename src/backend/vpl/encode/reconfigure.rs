//! Settings that change while the encoder runs.

use super::VplEncoder;
use super::configure::parameters;
use super::settings::{Settings, negotiate, own};
use crate::backend::InPlace;
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::{Error, Result};

impl VplEncoder {
    pub(super) fn can_change(&self) -> InPlace {
        if self.settings.codec == Codec::Mjpeg {
            return InPlace::default();
        }
        InPlace { bitrate: true, rate_mode: false, frame_rate: true, max_dimensions: Some(self.largest) }
    }

    /// Tells the encoder. What the rule for changes sends here can be changed; what it should not have sent is refused before
    /// the runtime sees it.
    pub(super) fn change(
        &mut self,
        config: &CommonEncodeConfig,
        special: &BackendEncodeConfig,
    ) -> Result<()> {
        let wanted = negotiate(config, &own(special, config.codec)?, &self.caps)?;
        let old = &self.settings;
        let fits =
            wanted.size.width() <= self.largest.width() && wanted.size.height() <= self.largest.height();
        if !fits || !only_changeable(old, &wanted) {
            return Err(Error::unsupported(
                "changing more than size, bit rate and frame rate while oneVPL encodes",
            ));
        }
        // A rate of frames is in the headers that a sequence begins with.
        let anew = self.ended || wanted.size != old.size || wanted.frame_rate != old.frame_rate;
        let idr_next = self.idr_next;
        // Where it is refused then, the next picture begins anew by the old settings.
        if !self.ended && (anew || wanted.b_frames > 0 || wanted.lookahead > 0) {
            self.end()?;
        }
        let told = self.encoder.reset(&mut parameters(&wanted, Some(anew)));
        let begins = match told {
            // One that keeps to a buffer model has it in those headers too.
            Err(Error::Unsupported { .. }) if !anew => {
                if !self.ended {
                    self.end()?;
                }
                self.encoder.reset(&mut parameters(&wanted, Some(true)))?;
                true
            }
            told => told.map(|()| anew)?,
        };
        (self.idr_next, self.ended) = (idr_next || begins, false);
        self.settings = wanted;
        Ok(())
    }
}

/// Whether nothing differs but what can change.
fn only_changeable(old: &Settings, new: &Settings) -> bool {
    let follows = old.rate == new.rate || new.rate.follows(old.rate);
    let new = Settings {
        size: old.size,
        frame_rate: old.frame_rate,
        rate: old.rate,
        notes: old.notes.clone(),
        ..new.clone()
    };
    follows && *old == new
}
