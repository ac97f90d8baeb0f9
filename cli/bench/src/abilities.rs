//! What the backends of this machine can do.

use serde_json::Value;
use video_hw::backend::{BackendKind, CANDIDATES};
use video_hw::codec::Codec;

/// What the backends of this machine can do, as `devices --json` tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abilities(Value);

impl Abilities {
    pub(crate) fn new(said: Value) -> Self {
        Self(said)
    }

    fn of(&self, backend: BackendKind) -> Option<&Value> {
        self.0["backends"].as_array()?.iter().find(|one| one["name"] == backend.name())
    }

    /// Why a backend is not there.
    pub(crate) fn missing(&self, backend: BackendKind) -> Option<String> {
        let Some(known) = self.of(backend) else { return Some("it is not known to this program".to_owned()) };
        if known["available"] == true {
            return None;
        }
        let text = |key: &str| known[key].as_str().map(str::to_owned);
        let reason = text("reason").unwrap_or_else(|| "it is not available".to_owned());
        Some(text("remedy").map_or(reason.clone(), |remedy| format!("{reason}. {remedy}")))
    }

    /// Cards, with their memory.
    pub(crate) fn devices(&self) -> impl Iterator<Item = (BackendKind, &Value)> {
        CANDIDATES.into_iter().flat_map(|kind| {
            let devices = self.of(kind).and_then(|known| known["devices"].as_array());
            devices.into_iter().flatten().map(move |device| (kind, device))
        })
    }

    /// The number of a device that is named by its identifier, or by its number.
    pub(crate) fn ordinal(&self, backend: BackendKind, device: &str) -> String {
        let mut devices = self.devices().filter(|(kind, _)| *kind == backend);
        let named = devices.find(|(_, one)| one["id"] == device).and_then(|(_, one)| one["ordinal"].as_u64());
        named.map_or_else(|| device.to_owned(), |n| n.to_string())
    }

    /// # Errors
    /// Why it cannot.
    pub(super) fn can(
        &self,
        backend: BackendKind,
        codec: Codec,
        job: &str,
        device: Option<&str>,
    ) -> Result<(), String> {
        if let Some(why) = self.missing(backend) {
            return Err(why);
        }
        let Some(known) = self.of(backend) else { return Err("it is not there".to_owned()) };
        let devices = known["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let asked = |one: &&Value| match device {
            Some(device) => {
                one["id"] == device || one["ordinal"].as_u64().is_some_and(|n| device.parse() == Ok(n))
            }
            None => true,
        };
        let holder = devices.iter().find(asked).unwrap_or(known);
        let reports = holder["codecs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let report = reports.iter().find(|report| report["codec"] == codec.name());
        if report.is_some_and(|report| !report[job].is_null()) {
            return Ok(());
        }
        let reason = holder["no_encoder"].as_str().filter(|_| job == "encode");
        Err(reason.map_or_else(|| format!("it does not {job} {codec} here"), str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_by_their_identifiers() {
        let devices = serde_json::json!([{"id": "GPU-a", "ordinal": 0}, {"id": "GPU-b", "ordinal": 3}]);
        let said =
            serde_json::json!({"backends": [{"name": "nvidia", "available": true, "devices": devices}]});
        let abilities = Abilities::new(said);
        let ordinal = |device| abilities.ordinal(BackendKind::Nvidia, device);
        assert_eq!(
            (ordinal("GPU-b").as_str(), ordinal("3").as_str(), ordinal("GPU-c").as_str()),
            ("3", "3", "GPU-c")
        );
    }
}
