//! What rows are made of.

use std::path::Path;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::Engines;

use crate::abilities::Abilities;
use crate::args::{BenchArgs, Case, Pictures};
use crate::input::Source;

/// The name of our own program in a record.
pub(crate) const OWN: &str = "video-hw";
/// The name of the version that `--against` names.
pub(crate) const OTHER: &str = "other version";

/// What is asked for, and who does it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) args: &'a BenchArgs,
    pub(crate) abilities: &'a Abilities,
    /// This program.
    pub(crate) own: &'a Path,
}

impl Asked<'_> {
    /// Whether a backend decodes what is to be transcoded.
    pub(crate) fn decodes(&self, backend: BackendKind, source: &Source) -> bool {
        let device = self.args.device.as_deref();
        source.codec.is_some_and(|codec| self.abilities.can(backend, codec, "decode", device).is_ok())
    }

    pub(crate) fn bits(&self, source: &Source) -> u32 {
        self.args.bitrate.unwrap_or_else(|| source.bit_rate())
    }
}

/// One combination that rows are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Combination {
    pub(crate) case: Case,
    pub(crate) codec: Codec,
    pub(crate) backend: BackendKind,
    /// Where decoded pictures go, of both programs.
    pub(crate) pictures: Option<Pictures>,
}

/// What makes several rows of one combination.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variant {
    pub(crate) in_flight: Option<u8>,
    pub(crate) engines: Option<Engines>,
}

impl Variant {
    /// Its name and value, as ids and settings have them.
    pub(crate) fn message(self) -> Option<(&'static str, String)> {
        let in_flight = self.in_flight.map(|n| ("in-flight", n.to_string()));
        in_flight.or_else(|| self.engines.map(|engines| ("engines", engines_word(engines))))
    }
}

impl Combination {
    /// Of our row, before what varies in it.
    pub(crate) fn own_id(self) -> String {
        self.id(self.backend.name(), OWN)
    }

    pub(crate) fn id(self, backend: &str, program: &str) -> String {
        let id = format!("{}/{}/{backend}/{program}", self.case.name(), self.codec.name());
        self.pictures.map_or(id.clone(), |pictures| format!("{id}/output={}", pictures.name()))
    }

    /// # Errors
    /// Why its pictures cannot be where they are asked for. Without this such a row would measure host memory under another name.
    pub(crate) fn has_memory(self) -> Result<(), String> {
        if self.pictures == Some(Pictures::Device) && self.backend != BackendKind::Nvidia {
            return Err(format!("{} decodes to host memory; --output host measures that", self.backend));
        }
        Ok(())
    }
}

pub(crate) fn engines_word(engines: Engines) -> String {
    match engines {
        Engines::One => "1".to_owned(),
        Engines::Auto => "auto".to_owned(),
        Engines::Count(count) => count.to_string(),
    }
}
