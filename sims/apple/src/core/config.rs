//! Settings: a profile of a machine, and single settings from the environment on top.
//!
//! | variable | meaning |
//! |---|---|
//! | `VTSIM_PROFILE` | `m1` (default), `m3`, `intel-mac`, `vm` |
//! | `VTSIM_SET` | `key=value` pairs separated by `;` (keys: [`Settings`]) |
//! | `VTSIM_REPORT` | where the JSON report goes at exit |
//! | `VTSIM_STRICT` | `1`: abort at the first violation |
//! | `VTSIM_TRACE` | `1`: print every call |
//! | `VTSIM_VERBOSE` | `1`: print violations as they happen |
//! | `VTSIM_QUIET` | `1`: print nothing at exit when nothing is wrong |

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::fault::Fault;
use crate::toolbox::machine::{self, Machine};

/// All settings of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// The machine.
    pub profile: &'static Machine,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// Abort at the first violation.
    pub strict: bool,
    /// Print every call.
    pub trace: bool,
    /// Print violations as they happen.
    pub verbose: bool,
    /// Print nothing at exit when nothing is wrong.
    pub quiet: bool,
    /// What `VTSIM_SET` asks for.
    pub settings: Settings,
}

/// How a frame that cannot be decoded is reported (`decode.error`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecodeError {
    /// `callback`: the call succeeds, the callback gets the status.
    #[default]
    Callback,
    /// `return`: a synchronous call returns the status and there is no callback. (An asynchronous one has returned already.)
    Return,
    /// `both`.
    Both,
}

/// Single settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Frames that go wrong: `fail.decode.at=N:STATUS`, `fail.decode.call=N:STATUS`, `drop.decode.at=N`, `invalidate.at=N` and so on,
    /// counted from 1 over all sessions of the process (`fault` lists them).
    pub faults: Vec<Fault>,
    /// `create.fail=STATUS`, or for one kind `create.decode.fail=STATUS`.
    pub create_decode_fail: Option<i32>,
    /// The same for encoders.
    pub create_encode_fail: Option<i32>,
    /// `delay.decode_ms`, `delay.encode_ms`: before each frame's callback.
    pub decode_delay: Duration,
    /// See above.
    pub encode_delay: Duration,
    /// `decode.error=callback|return|both`.
    pub decode_error: DecodeError,
    /// `metal=none`: there is no GPU for Metal.
    pub metal_missing: bool,
}

/// The settings of this process, read at the first call. A mistake in them ends the process: a test that runs on other
/// settings than it asked for proves nothing.
pub fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| match load(&|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("vtsim: {message}");
            std::process::exit(2);
        }
    })
}

/// Builds the settings from an environment.
pub fn load(env: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
    let name = env("VTSIM_PROFILE").unwrap_or_else(|| "m1".into());
    let names = || machine::MACHINES.each_ref().map(|machine| machine.name).join(", ");
    let profile = machine::MACHINES
        .iter()
        .find(|machine| machine.name == name)
        .ok_or_else(|| format!("no profile {name:?}; there are: {}", names()))?;
    let mut settings = Settings::default();
    for pair in env("VTSIM_SET").unwrap_or_default().split(';').filter(|pair| !pair.trim().is_empty()) {
        set(&mut settings, pair).map_err(|error| format!("VTSIM_SET: {pair:?}: {error}"))?;
    }
    let on = |name: &str| env(name).is_some_and(|value| value != "0" && !value.is_empty());
    Ok(Config {
        profile,
        report: env("VTSIM_REPORT").filter(|path| !path.is_empty()).map(PathBuf::from),
        strict: on("VTSIM_STRICT"),
        trace: on("VTSIM_TRACE"),
        verbose: on("VTSIM_VERBOSE"),
        quiet: on("VTSIM_QUIET"),
        settings,
    })
}

fn set(settings: &mut Settings, pair: &str) -> Result<(), String> {
    let (key, value) = pair.trim().split_once('=').ok_or("no '='")?;
    let number = || value.parse::<i32>().map_err(|error| error.to_string());
    let delay = || value.parse().map(Duration::from_millis).map_err(|error| error.to_string());
    match key {
        "create.fail" => {
            settings.create_decode_fail = Some(number()?);
            settings.create_encode_fail = Some(number()?);
        }
        "create.decode.fail" => settings.create_decode_fail = Some(number()?),
        "create.encode.fail" => settings.create_encode_fail = Some(number()?),
        "delay.decode_ms" => settings.decode_delay = delay()?,
        "delay.encode_ms" => settings.encode_delay = delay()?,
        "decode.error" => {
            settings.decode_error = match value {
                "callback" => DecodeError::Callback,
                "return" => DecodeError::Return,
                "both" => DecodeError::Both,
                _ => return Err("callback, return or both".into()),
            }
        }
        "metal" => settings.metal_missing = (value == "none").then_some(true).ok_or("none")?,
        _ => settings.faults.push(Fault::parse(key, value)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, String> {
        load(&|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn settings_are_read_and_misspelt_ones_refused() {
        let set = "fail.decode.at=3:-12909; create.encode.fail=-12915;delay.encode_ms=5";
        let config = with(&[("VTSIM_SET", set), ("VTSIM_PROFILE", "vm")]).unwrap();
        assert_eq!(config.settings.faults.len(), 1);
        assert_eq!(config.settings.create_encode_fail, Some(-12915));
        assert_eq!(config.settings.create_decode_fail, None);
        assert_eq!(config.settings.encode_delay, Duration::from_millis(5));
        assert_eq!(config.profile.name, "vm");
        assert!(with(&[("VTSIM_SET", "fail.decoder.at=3:1")]).is_err());
        assert!(with(&[("VTSIM_SET", "fail.decode.at=3")]).is_err());
        assert!(with(&[("VTSIM_PROFILE", "m0")]).unwrap_err().contains("intel-mac"));
    }
}
