//! Options of NVENC. With any of them no other encoder is taken, but for those that Intel's has too where that one is named.

use clap::Args;
use video_hw::config::{BReference, IntraRefresh, MultiPass, NvidiaEncodeConfig, SpatialAq, VplEncodeConfig};

#[derive(Debug, Args)]
#[command(next_help_heading = "NVENC")]
pub(crate) struct NvencArgs {
    /// p1 (fastest) to p7 (best); by default p4
    #[arg(long, value_name = "NAME", value_parser = ["p1", "p2", "p3", "p4", "p5", "p6", "p7"])]
    pub(crate) preset: Option<String>,
    /// hq (quality), uhq (more of it: hevc, av1), ll (low latency), ull (lower still), lossless
    #[arg(long, value_name = "NAME", value_parser = ["hq", "uhq", "ll", "ull", "lossless"])]
    pub(crate) tune: Option<String>,
    /// Pictures on their way through the encoder at once, 1 to 64, by default 6
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64), allow_hyphen_values = true)]
    pub(crate) max_in_flight: Option<u8>,
    /// Passes over each picture: off, quarter (the first at a quarter of the size), full
    #[arg(long, value_name = "NAME", value_parser = ["off", "quarter", "full"])]
    pub(crate) multipass: Option<String>,
    /// Frames to look ahead, 0 to 31 less the B frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=31), allow_hyphen_values = true)]
    pub(crate) lookahead: Option<u32>,
    /// How thoroughly, 0 to 3 (driver 550 and newer)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=3), requires = "lookahead", allow_hyphen_values = true)]
    pub(crate) lookahead_level: Option<u8>,
    /// Adaptive quantisation: spatial, spatial=1 (weak) to spatial=15, temporal, off; several with commas
    #[arg(long, value_name = "KIND", value_parser = aq)]
    pub(crate) aq: Option<Aq>,
    /// B frames used as references: off, each, middle
    #[arg(long, value_name = "NAME", value_parser = ["off", "each", "middle"])]
    pub(crate) b_ref: Option<String>,
    /// Instead of IDR pictures, intra blocks that sweep over the picture: a sweep every N frames, over FRAMES of them
    /// (by default N-1)
    #[arg(long, value_name = "N[:FRAMES]", value_parser = intra_refresh, conflicts_with = "gop", allow_hyphen_values = true)]
    pub(crate) intra_refresh: Option<IntraRefresh>,
}

/// What `--aq` says; what it does not name is left to the preset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aq {
    spatial: Option<SpatialAq>,
    temporal: Option<bool>,
}

fn aq(text: &str) -> Result<Aq, String> {
    let refuse =
        || format!("{text:?} is no kind of it; write spatial, spatial=1 to spatial=15, temporal or off");
    let mut found = Aq::default();
    for kind in text.split(',') {
        let one = match kind.split_once('=') {
            None if kind == "spatial" => Aq { spatial: Some(SpatialAq::Auto), temporal: None },
            None if kind == "temporal" => Aq { spatial: None, temporal: Some(true) },
            None if kind == "off" => Aq { spatial: Some(SpatialAq::Off), temporal: Some(false) },
            Some(("spatial", strength)) => {
                let digits = strength.bytes().all(|byte| byte.is_ascii_digit());
                let strength = strength.parse().ok().filter(|strength| digits && (1..=15).contains(strength));
                Aq { spatial: Some(SpatialAq::Strength(strength.ok_or_else(refuse)?)), temporal: None }
            }
            _ => return Err(refuse()),
        };
        let twice = (found.spatial.is_some() && one.spatial.is_some())
            || (found.temporal.is_some() && one.temporal.is_some());
        if twice {
            return Err(format!("{text:?} says the same kind twice"));
        }
        found = Aq { spatial: found.spatial.or(one.spatial), temporal: found.temporal.or(one.temporal) };
    }
    Ok(found)
}

fn intra_refresh(text: &str) -> Result<IntraRefresh, String> {
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| digits)
    };
    let (period, frames) = match text.split_once(':') {
        Some((period, frames)) => (number(period), number(frames)),
        None => (number(text), number(text).map(|period| period.saturating_sub(1))),
    };
    match (period, frames) {
        (Some(period @ 2..), Some(frames)) if (1..period).contains(&frames) => {
            Ok(IntraRefresh { period, frames })
        }
        _ => Err(format!(
            "{text:?} is no intra refresh; write 60 or 60:30 (2 frames and more from one to the next, and fewer that each takes)"
        )),
    }
}

impl NvencArgs {
    /// The settings; `None` when there is none.
    pub(crate) fn config(&self) -> Option<NvidiaEncodeConfig> {
        let default = NvidiaEncodeConfig::default();
        let aq = self.aq.unwrap_or_default();
        let config = default
            .clone()
            .max_in_flight_outputs(self.max_in_flight.map_or(default.max_in_flight_outputs, usize::from))
            .preset(self.preset.clone())
            .tuning(self.tune.clone())
            .multi_pass(self.multipass.as_deref().map(|name| match name {
                "quarter" => MultiPass::Quarter,
                "full" => MultiPass::Full,
                _ => MultiPass::Off,
            }))
            .lookahead(self.lookahead)
            .lookahead_level(self.lookahead_level)
            .spatial_aq(aq.spatial)
            .temporal_aq(aq.temporal)
            .b_reference(self.b_ref.as_deref().map(|name| match name {
                "each" => BReference::Each,
                "middle" => BReference::Middle,
                _ => BReference::Off,
            }))
            .intra_refresh(self.intra_refresh);
        // The usual number of pictures is a setting as well, where it was said.
        (config != default || self.max_in_flight.is_some()).then_some(config)
    }
}

impl NvencArgs {
    /// The same for Intel's encoder; `None` with an option that it has not.
    pub(crate) fn vpl(&self) -> Option<VplEncodeConfig> {
        let others = self.multipass.is_some()
            || self.lookahead_level.is_some()
            || self.aq.is_some()
            || self.b_ref.is_some();
        let default = VplEncodeConfig::default();
        let in_flight = self.max_in_flight.map_or(default.max_in_flight_outputs, usize::from);
        let config = default
            .max_in_flight_outputs(in_flight)
            .preset(self.preset.clone())
            .tuning(self.tune.clone())
            .lookahead(self.lookahead)
            .intra_refresh(self.intra_refresh);
        (!others).then_some(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_adaptive_quantisation() {
        let is = |text: &str, spatial, temporal| assert_eq!(aq(text), Ok(Aq { spatial, temporal }), "{text}");
        is("spatial", Some(SpatialAq::Auto), None);
        is("spatial=15", Some(SpatialAq::Strength(15)), None);
        is("temporal", None, Some(true));
        is("temporal,spatial=3", Some(SpatialAq::Strength(3)), Some(true));
        is("off", Some(SpatialAq::Off), Some(false));
        for wrong in
            ["", ",", "spatial=", "spatial=0", "spatial=16", "spatial=+1", "temporal=1", "none", "Spatial"]
        {
            assert!(aq(wrong).unwrap_err().contains("spatial=15"), "{wrong}");
        }
        for twice in ["spatial,spatial=2", "off,temporal", "temporal,temporal"] {
            assert!(aq(twice).unwrap_err().contains("twice"), "{twice}");
        }
    }

    #[test]
    fn intra_refreshes() {
        assert_eq!(intra_refresh("60"), Ok(IntraRefresh { period: 60, frames: 59 }));
        assert_eq!(intra_refresh("60:30"), Ok(IntraRefresh { period: 60, frames: 30 }));
        for wrong in ["", "0", "1", "1:1", "60:60", "60:0", "-2", "+60", "60:", ":30", "4294967296"] {
            assert!(intra_refresh(wrong).unwrap_err().contains("60:30"), "{wrong}");
        }
    }
}
