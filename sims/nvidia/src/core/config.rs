//! Configuration: a chip profile, a file of the user's on top of it, and single settings from the environment on
//! top of both.
//!
//! | variable | meaning |
//! |---|---|
//! | `NVSIM_PROFILE` | name of a built-in profile (default `ada`) |
//! | `NVSIM_CONFIG` | TOML file whose settings replace the profile's |
//! | `NVSIM_SET` | `key.path=value` pairs separated by `;`, on top of both (`time.enabled=true;driver.nvenc=12.0`) |
//! | `NVSIM_REPORT` | where the JSON report goes at exit |
//! | `NVSIM_STRICT` | `1`: abort at the first violation |
//! | `NVSIM_TRACE` | `1`: print every call and its answer |
//! | `NVSIM_VERBOSE` | `1`: print violations as they happen |
//! | `NVSIM_QUIET` | `1`: print nothing at exit when nothing is wrong |

use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Deserialize;
use toml::{Table, Value};

use super::fault::FaultConfig;

/// All settings of a process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the profile, as it was asked for.
    #[serde(default)]
    pub profile: String,
    /// What the installed driver is.
    #[serde(default)]
    pub driver: Driver,
    /// The cards of the machine.
    #[serde(default)]
    pub device: Vec<Device>,
    /// How busy the cards say they are.
    #[serde(default)]
    pub nvml: Nvml,
    /// How long things take.
    #[serde(default)]
    pub time: Time,
    /// Pre-made pictures instead of real coding.
    #[serde(default)]
    pub canned: Canned,
    /// Encode sessions allowed.
    #[serde(default)]
    pub sessions: Sessions,
    /// Calls that go wrong.
    #[serde(default)]
    pub fault: Vec<FaultConfig>,
    /// Where the report goes at exit.
    pub report: Option<PathBuf>,
    /// Abort at the first violation.
    #[serde(default)]
    pub strict: bool,
    /// Print every call.
    #[serde(default)]
    pub trace: bool,
    /// Print violations as they happen.
    #[serde(default)]
    pub verbose: bool,
    /// Print nothing at exit when nothing is wrong.
    #[serde(default)]
    pub quiet: bool,
}

/// What NVML says, of every card alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nvml {
    /// Percent of time that a kernel ran.
    pub gpu: u32,
    /// Percent of time that memory was read or written.
    pub memory: u32,
    /// Percent of time that the encode engines worked; a card that has none does not support the question.
    pub encoder: u32,
    /// The same of the decode engines.
    pub decoder: u32,
    /// Memory in use.
    pub memory_used_mib: u64,
    /// The card is partitioned (MIG): it is known by `MIG-` and its UUID, and does not say how busy it is.
    pub partitioned: bool,
}

impl Default for Nvml {
    fn default() -> Self {
        Self { gpu: 12, memory: 5, encoder: 37, decoder: 21, memory_used_mib: 1024, partitioned: false }
    }
}

/// The installed driver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Driver {
    /// `cuDriverGetVersion`: 1000 * major + 10 * minor.
    pub cuda: i32,
    /// Newest NVENC API the driver speaks, `major.minor`.
    pub nvenc: String,
    /// Answer of `cuInit`, for machines whose driver does not start (100: no device, 803: driver mismatch ...).
    pub init_code: u32,
}

impl Default for Driver {
    fn default() -> Self {
        Self { cuda: 13000, nvenc: "13.0".into(), init_code: 0 }
    }
}

impl Driver {
    /// The NVENC API version as (major, minor).
    pub fn nvenc_version(&self) -> (u32, u32) {
        let mut parts = self.nvenc.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// One card.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// As `cuDeviceGetName` gives it.
    pub name: String,
    /// 32 hexadecimal digits; made from the ordinal when empty.
    #[serde(default)]
    pub uuid: String,
    /// Device memory.
    pub memory_mib: u64,
    /// Compute capability, major and minor.
    pub compute: [i32; 2],
    /// Multiprocessors.
    #[serde(default = "default_multiprocessors")]
    pub multiprocessors: i32,
    /// Copy engines: copies that can run beside kernels at once.
    #[serde(default = "default_copy_engines")]
    pub copy_engines: i32,
    /// Encode engines; 0 is a card that cannot encode.
    #[serde(default)]
    pub nvenc_engines: usize,
    /// What the encode engines can do, by codec (`h264`, `hevc`, `av1`); a codec that is not listed is not offered.
    #[serde(default)]
    pub nvenc: std::collections::BTreeMap<String, EncoderCaps>,
    /// Decode engines.
    #[serde(default)]
    pub nvdec_engines: usize,
    /// What the decode engines can do; what is not listed is not supported.
    #[serde(default)]
    pub nvdec: Vec<DecoderCaps>,
}

fn default_multiprocessors() -> i32 {
    64
}

fn default_copy_engines() -> i32 {
    2
}

/// Capabilities of the encode engines for one codec. Keys of `caps` are the names of `NV_ENC_CAPS` without
/// the prefix, in lower case (`num_max_bframes`, `width_max`, `support_10bit_encode`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderCaps {
    /// Values that differ from the table in `nvenc::caps`.
    #[serde(default)]
    pub caps: std::collections::BTreeMap<String, i32>,
}

/// One row of the decode table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderCaps {
    /// `mpeg1 mpeg2 mpeg4 vc1 h264 jpeg hevc vp8 vp9 av1`
    pub codec: String,
    /// `400 420 422 444`
    pub chroma: Vec<u32>,
    /// Bits per sample.
    pub depth: Vec<u32>,
    /// Smallest coded size.
    pub min: [u32; 2],
    /// Largest coded size.
    pub max: [u32; 2],
    /// `nMaxMBCount`; computed from the largest size when 0.
    #[serde(default)]
    pub max_macroblocks: u32,
    /// Engines that decode this codec; 0: all of the card's.
    #[serde(default)]
    pub engines: usize,
    /// Luma histograms of decoded pictures are offered.
    #[serde(default)]
    pub histogram: bool,
}

/// How long things take. Off, everything runs as fast as it can.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Time {
    /// Whether time is modelled at all.
    pub enabled: bool,
    /// Encoding of one picture: fixed part.
    pub encode_ns_per_frame: u64,
    /// Encoding of one picture: per luma sample.
    pub encode_ns_per_pixel: f64,
    /// Decoding of one picture: fixed part.
    pub decode_ns_per_frame: u64,
    /// Decoding of one picture: per luma sample.
    pub decode_ns_per_pixel: f64,
    /// No decode engine begins a picture as long as this file is there, so that a test can have things in a certain order
    /// and not by their speed. A relative name is one in the folder for temporary files.
    pub decode_held_by: Option<PathBuf>,
    /// Opening an encode or decode session.
    pub open_session_ns: u64,
    /// Making a context.
    pub create_context_ns: u64,
    /// A kernel launch or the post-processing of a mapped picture.
    pub launch_ns: u64,
    /// Copies between host and device; 0: not modelled.
    pub host_copy_bytes_per_s: u64,
    /// Copies inside the device; 0: not modelled.
    pub device_copy_bytes_per_s: u64,
    /// Random part of encode and decode times, as a fraction (0.1: up to 10 % more or less).
    pub jitter: f64,
}

/// Pre-made pictures: a benchmark then measures the client and not the software codec behind the simulation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Canned {
    /// Encoders answer with pictures made before.
    pub encode: bool,
    /// Decoders answer with a test picture.
    pub decode: bool,
    /// Where the encoders' pictures are kept from one process to the next.
    pub folder: Option<PathBuf>,
    /// Encoders code really, once: what a session made of its pictures is kept in `folder`, and later sessions with the
    /// same settings and the same pictures get it. Goes before `encode`. What decoders made is kept, too, for systems that have
    /// none.
    pub replay: bool,
    /// With `replay`: a session that would have to be coded really fails, and so do all that the process opens after it. For
    /// runs that are measured.
    pub replay_only: bool,
}

/// Encode sessions allowed on the machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// The limit; 0: none.
    pub limit: usize,
    /// Sessions that somebody else holds.
    pub external: usize,
    /// The answer beyond the limit: 10 (older drivers) or 21 (newer).
    pub code: u32,
    /// A directory; processes with the same one share the limit, as on a real machine. Empty: each has its own.
    pub shared: String,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { limit: 8, external: 0, code: 21, shared: String::new() }
    }
}

/// Names of the built-in profiles and their text.
pub const PROFILES: [(&str, &str); 4] = [
    ("ada", include_str!("../../profiles/ada.toml")),
    ("h200", include_str!("../../profiles/h200.toml")),
    ("turing", include_str!("../../profiles/turing.toml")),
    ("blackwell", include_str!("../../profiles/blackwell.toml")),
];

/// The settings of this process, read at the first call. A mistake in them ends the process: a test that runs
/// on other settings than it asked for proves nothing.
pub fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| match load(&|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("nvsim: {message}");
            // Not `exit`: the report that is written then would wait for these settings.
            // SAFETY: it ends the process, and asks nothing of anybody.
            unsafe { libc::_exit(2) };
        }
    })
}

/// Builds the settings from an environment.
pub fn load(env: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
    let profile = env("NVSIM_PROFILE").unwrap_or_else(|| "ada".into());
    let names = || PROFILES.map(|(name, _)| name).join(", ");
    let (_, text) = PROFILES
        .iter()
        .find(|(name, _)| *name == profile)
        .ok_or_else(|| format!("no profile {profile:?}; there are: {}", names()))?;
    let mut table: Table = text.parse().map_err(|error| format!("profile {profile}: {error}"))?;
    if let Some(path) = env("NVSIM_CONFIG").filter(|path| !path.is_empty()) {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("NVSIM_CONFIG {path}: {error}"))?;
        let user: Table = text.parse().map_err(|error| format!("NVSIM_CONFIG {path}: {error}"))?;
        merge(&mut table, user);
    }
    for pair in env("NVSIM_SET").unwrap_or_default().split(';').filter(|pair| !pair.trim().is_empty()) {
        set(&mut table, pair)?;
    }
    table.insert("profile".into(), Value::String(profile));
    for (variable, key) in [
        ("NVSIM_STRICT", "strict"),
        ("NVSIM_TRACE", "trace"),
        ("NVSIM_VERBOSE", "verbose"),
        ("NVSIM_QUIET", "quiet"),
    ] {
        if env(variable).is_some_and(|value| value != "0" && !value.is_empty()) {
            table.insert(key.into(), Value::Boolean(true));
        }
    }
    if let Some(path) = env("NVSIM_REPORT").filter(|path| !path.is_empty()) {
        table.insert("report".into(), Value::String(path));
    }
    let config: Config =
        table.try_into().map_err(|error: toml::de::Error| format!("configuration: {error}"))?;
    check(&config)?;
    Ok(config)
}

/// What single settings cannot say of themselves.
fn check(config: &Config) -> Result<(), String> {
    let folder = config.canned.folder.as_ref().filter(|folder| !folder.as_os_str().is_empty());
    if config.canned.replay && folder.is_none() {
        return Err("configuration: canned.replay needs canned.folder, where the recordings are kept".into());
    }
    if config.canned.replay_only && !config.canned.replay {
        return Err("configuration: canned.replay_only means nothing without canned.replay".into());
    }
    Ok(())
}

/// Settings of `user` replace those of `base`; tables are merged, lists are replaced as a whole.
fn merge(base: &mut Table, user: Table) {
    for (key, value) in user {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// One `key.path=value` pair. A number in the path is an index into a list: `device.0.memory_mib=64`. The value
/// is TOML; what does not parse as such is taken as a string.
fn set(table: &mut Table, pair: &str) -> Result<(), String> {
    let (path, text) = pair.split_once('=').ok_or_else(|| format!("NVSIM_SET: {pair:?} has no '='"))?;
    let text = text.trim();
    let value = format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("v"))
        .unwrap_or_else(|| Value::String(text.into()));
    // A version such as 12.0 is not a number.
    let value = match value {
        Value::Float(_) if path.trim() == "driver.nvenc" => Value::String(text.into()),
        value => value,
    };
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    let mut keys = keys.into_iter().peekable();
    while let Some(key) = keys.next() {
        let entry = at.entry(key).or_insert_with(|| Value::Table(Table::new()));
        let entry = match (entry, keys.peek().and_then(|next| next.parse::<usize>().ok())) {
            (Value::Array(list), Some(index)) => {
                keys.next();
                list.get_mut(index).ok_or_else(|| format!("NVSIM_SET: {path}: no item {index}"))?
            }
            (entry, _) => entry,
        };
        at = entry.as_table_mut().ok_or_else(|| format!("NVSIM_SET: {path}: {key} is not a table"))?;
    }
    at.insert(last.into(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, String> {
        load(&|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn every_profile_loads_and_names_a_device() {
        for (name, _) in PROFILES {
            let config = with(&[("NVSIM_PROFILE", name)]).unwrap();
            assert!(!config.device.is_empty(), "{name}");
            assert!(config.device[0].nvdec_engines > 0, "{name}");
        }
    }

    #[test]
    fn an_h200_cannot_encode() {
        let config = with(&[("NVSIM_PROFILE", "h200")]).unwrap();
        assert_eq!((config.device[0].nvenc_engines, config.device[0].nvdec_engines), (0, 7));
    }

    #[test]
    fn single_settings_win() {
        let config = with(&[(
            "NVSIM_SET",
            "time.enabled=true; driver.nvenc=12.0; device.0.memory_mib=64;sessions.code=10",
        )])
        .unwrap();
        assert!(config.time.enabled);
        assert_eq!(config.driver.nvenc_version(), (12, 0));
        assert_eq!(config.device[0].memory_mib, 64);
        assert_eq!(config.sessions.code, 10);
    }

    #[test]
    fn replaying_needs_a_folder() {
        for set in ["canned.replay=true", "canned.replay=true;canned.folder="] {
            let error = with(&[("NVSIM_SET", set)]).unwrap_err();
            assert!(error.contains("canned.folder"), "{error}");
        }
        assert!(with(&[("NVSIM_SET", "canned.replay=true;canned.folder=/somewhere")]).unwrap().canned.replay);
        let error = with(&[("NVSIM_SET", "canned.replay_only=true;canned.folder=/somewhere")]).unwrap_err();
        assert!(error.contains("canned.replay_only"), "{error}");
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let error = with(&[("NVSIM_SET", "time.enable=true")]).unwrap_err();
        assert!(error.contains("enable"), "{error}");
        assert!(with(&[("NVSIM_PROFILE", "voodoo")]).unwrap_err().contains("h200"));
    }
}
