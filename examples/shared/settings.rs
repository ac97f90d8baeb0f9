//! Settings of an encoder on the command line of an example.

use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig};

type AnyError = Box<dyn std::error::Error>;

/// The words of a command line.
pub(crate) struct Settings<'a>(pub(crate) &'a [String]);

impl Settings<'_> {
    /// The word behind `--name`.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word.strip_prefix("--") == Some(name))?;
        self.0.get(at + 1).map(String::as_str)
    }

    /// As scripts that were written for NVENC call it, or without their prefix: the settings are the same for every encoder.
    fn either(&self, name: &str) -> Option<&str> {
        self.option(name).or_else(|| self.option(&format!("nv-{name}")))
    }

    pub(crate) fn codec(&self) -> Result<Codec, AnyError> {
        Ok(self.option("codec").map_or(Ok(Codec::H264), str::parse)?)
    }

    pub(crate) fn backend(&self) -> Result<Backend, AnyError> {
        Ok(self.option("backend").map_or(Ok(Backend::Auto), str::parse)?)
    }

    /// Groups of pictures.
    pub(crate) fn structure(&self, config: &mut CommonEncodeConfig) -> Result<(), AnyError> {
        config.gop_length = self.either("gop-length").map(str::parse).transpose()?;
        config.frame_interval_p = self.either("frame-interval-p").map(str::parse).transpose()?;
        Ok(())
    }

    /// What only NVENC has; with any of it no other encoder is taken.
    pub(crate) fn special(&self) -> Result<BackendEncodeConfig, AnyError> {
        let Some(pictures) = self.option("nv-max-in-flight") else { return Ok(BackendEncodeConfig::None) };
        let own = NvidiaEncodeConfig::default().max_in_flight_outputs(pictures.parse()?);
        Ok(BackendEncodeConfig::Nvidia(own))
    }
}
