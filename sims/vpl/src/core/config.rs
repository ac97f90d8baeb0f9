//! Settings: a profile of a machine, and single settings from the environment on top.
//!
//! | variable | meaning |
//! |---|---|
//! | `VPLSIM_PROFILE` | `kabylake`, `tigerlake` (default), `arc`, `none` |
//! | `VPLSIM_SET` | `key=value` pairs separated by `;` (keys: [`Settings`]) |
//! | `VPLSIM_REPORT` | where the JSON report goes at exit |
//! | `VPLSIM_STRICT` | `1`: abort at the first violation |
//! | `VPLSIM_TRACE` | `1`: print every call |
//! | `VPLSIM_VERBOSE` | `1`: print violations as they happen |
//! | `VPLSIM_QUIET` | `1`: print nothing at exit when nothing is wrong |

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::fault::{self, Fault};
use crate::abi::Status;
use crate::runtime::machine::{self, Machine};

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
    /// What `VPLSIM_SET` asks for.
    pub settings: Settings,
}

/// Single settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Operations that go wrong (`fault` lists them).
    pub faults: Vec<Fault>,
    /// `init.decode.fail=STATUS`, also a warning: `4` is PARTIAL_ACCELERATION, with which the component works.
    pub init_decode: Option<Status>,
    /// The same for encoders.
    pub init_encode: Option<Status>,
    /// The same for processing.
    pub init_vpp: Option<Status>,
    /// `session.fail=STATUS`
    pub session: Option<Status>,
    /// `time.decode_us=N`, `time.encode_us=N`, `time.vpp_us=N`: how long the engine works on a frame.
    pub decode_time: Duration,
    /// See above.
    pub encode_time: Duration,
    /// See above.
    pub vpp_time: Duration,
    /// `api=2.8`: the version that is told.
    pub api: Option<(u16, u16)>,
    /// `display=required`: without a display no component can be initialised.
    pub display_required: bool,
    /// `impl=software`: the implementation says that it is software, for clients that would open a display first.
    pub software: bool,
    /// `node=PATH`: the GPU's render node. Where the process cannot open it there is no implementation.
    pub node: Option<PathBuf>,
    /// `gpus=2`: a second GPU, an Arc; each is an implementation.
    pub second: bool,
    /// `foreign=refused`: encoders take no surfaces of sessions that are not joined with theirs.
    pub own_surfaces: bool,
    /// `recordings=FOLDER`: what the codecs answer is kept there, and comes from there where there are none (`codec/recorded.rs`).
    pub recordings: Option<PathBuf>,
    /// `surfaces=N`: as many surfaces of a pool can be out at a time; then ALLOC_TIMEOUT_EXPIRED (`0`: any number).
    pub surfaces: usize,
}

impl Config {
    /// There is a GPU, and this process may use it.
    pub fn has_gpu(&self) -> bool {
        let opens = |node: &PathBuf| OpenOptions::new().read(true).write(true).open(node).is_ok();
        self.profile.present && self.settings.node.as_ref().is_none_or(opens)
    }
}

impl Config {
    /// The machine's GPUs, by their number.
    pub fn gpus(&self) -> Vec<&'static Machine> {
        let second = machine::MACHINES.iter().find(|machine| machine.name == "arc");
        std::iter::once(self.profile).chain(second.filter(|_| self.settings.second)).collect()
    }
}

/// The settings of this process, read at the first call. A mistake in them ends the process: a test that runs on other
/// settings than it asked for proves nothing.
pub fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| match load(&|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("vplsim: {message}");
            std::process::exit(2);
        }
    })
}

/// Builds the settings from an environment.
pub fn load(env: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
    let name = env("VPLSIM_PROFILE").unwrap_or_else(|| "tigerlake".into());
    let names = || machine::MACHINES.iter().map(|machine| machine.name).collect::<Vec<_>>().join(", ");
    let profile = machine::MACHINES
        .iter()
        .find(|machine| machine.name == name)
        .ok_or_else(|| format!("no profile {name:?}; there are: {}", names()))?;
    let mut settings = Settings::default();
    for pair in env("VPLSIM_SET").unwrap_or_default().split(';').filter(|pair| !pair.trim().is_empty()) {
        set(&mut settings, pair).map_err(|error| format!("VPLSIM_SET: {pair:?}: {error}"))?;
    }
    let on = |name: &str| env(name).is_some_and(|value| value != "0" && !value.is_empty());
    Ok(Config {
        profile,
        report: env("VPLSIM_REPORT").filter(|path| !path.is_empty()).map(PathBuf::from),
        strict: on("VPLSIM_STRICT"),
        trace: on("VPLSIM_TRACE"),
        verbose: on("VPLSIM_VERBOSE"),
        quiet: on("VPLSIM_QUIET"),
        settings,
    })
}

fn set(settings: &mut Settings, pair: &str) -> Result<(), String> {
    let (key, value) = pair.trim().split_once('=').ok_or("no '='")?;
    let time = || value.parse().map(Duration::from_micros).map_err(|error| error.to_string());
    match key {
        "init.decode.fail" => settings.init_decode = Some(fault::status(value)?),
        "init.encode.fail" => settings.init_encode = Some(fault::status(value)?),
        "init.vpp.fail" => settings.init_vpp = Some(fault::status(value)?),
        "session.fail" => settings.session = Some(fault::status(value)?),
        "time.decode_us" => settings.decode_time = time()?,
        "time.encode_us" => settings.encode_time = time()?,
        "time.vpp_us" => settings.vpp_time = time()?,
        "recordings" => settings.recordings = Some(value.into()),
        "node" => settings.node = Some(value.into()),
        "gpus" => {
            settings.second = match value {
                "1" => false,
                "2" => true,
                _ => return Err("1 or 2".into()),
            }
        }
        "surfaces" => settings.surfaces = value.parse().map_err(|_| "no number")?,
        "display" => {
            settings.display_required = match value {
                "required" => true,
                "optional" => false,
                _ => return Err("required or optional".into()),
            }
        }
        "foreign" => {
            settings.own_surfaces = match value {
                "refused" => true,
                "taken" => false,
                _ => return Err("refused or taken".into()),
            }
        }
        "impl" => {
            settings.software = match value {
                "software" => true,
                "hardware" => false,
                _ => return Err("software or hardware".into()),
            }
        }
        "api" => {
            let (major, minor) = value.split_once('.').ok_or("not MAJOR.MINOR")?;
            let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
            settings.api = Some((number(major)?, number(minor)?));
        }
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
        let set = "fail.decode.at=3:hang; init.encode.fail=-15;time.encode_us=5;lost.encode.at=9;api=2.5";
        let config = with(&[("VPLSIM_SET", set), ("VPLSIM_PROFILE", "arc")]).unwrap();
        assert_eq!(config.settings.faults.len(), 2);
        assert_eq!(config.settings.init_encode, Some(-15));
        assert_eq!(config.settings.init_decode, None);
        assert_eq!(config.settings.encode_time, Duration::from_micros(5));
        assert_eq!(config.settings.api, Some((2, 5)));
        assert_eq!(config.profile.name, "arc");
        assert!(with(&[("VPLSIM_SET", "fail.decoder.at=3:1")]).is_err());
        assert!(with(&[("VPLSIM_SET", "fail.decode.at=3")]).is_err());
        assert!(with(&[("VPLSIM_SET", "fail.decode.at=3:slow")]).is_err());
        assert!(with(&[("VPLSIM_PROFILE", "xeon")]).unwrap_err().contains("kabylake"));
    }
}
