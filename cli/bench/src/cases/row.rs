//! A row before anything has run: its name and its settings.

use std::collections::BTreeMap;
use std::path::Path;

use video_hw::backend::BackendKind;

use super::what::{Asked, Combination};
use crate::args::Case;
use crate::record::{Input, Row};

impl Asked<'_> {
    pub(super) fn row(
        &self,
        what: Combination,
        program: &str,
        backend: &str,
        id: String,
        input: &Input,
    ) -> Row {
        Row {
            id,
            case: what.case.name().to_owned(),
            codec: what.codec.name().to_owned(),
            backend: backend.to_owned(),
            program: program.to_owned(),
            settings: self.settings(what),
            input: input.clone(),
            ..Row::default()
        }
    }

    fn settings(&self, what: Combination) -> BTreeMap<String, String> {
        let args = self.args;
        let mut all = BTreeMap::new();
        let mut add = |name: &str, value: String| drop(all.insert(name.to_owned(), value));
        if let Some(threads) = args.threads {
            add("threads", threads.to_string());
        }
        if let Some(device) = &args.device {
            add("device", device.clone());
        }
        for (name, value) in &args.env {
            add(
                name,
                Path::new(value)
                    .file_name()
                    .map_or(value.clone(), |name| name.to_string_lossy().into_owned()),
            );
        }
        if let Some(pictures) = what.pictures {
            add("output", pictures.name().to_owned());
        }
        if what.case == Case::Multi || what.case == Case::Soak {
            add("streams", args.streams.to_string());
        }
        if what.case.decodes() || what.case == Case::Soak {
            return all;
        }
        add("gop", args.gop_length.to_string());
        if what.backend == BackendKind::Nvidia {
            add("preset", args.preset().to_owned());
            if !matches!(what.case, Case::Latency | Case::Switch) || args.fastest || args.tuning.is_some() {
                add("tuning", args.tuning().to_owned());
            }
        }
        // Live streams have a bit rate and no B frames, whatever is asked of files.
        if matches!(what.case, Case::Latency | Case::Switch) {
            return all;
        }
        add("b-frames", args.b_frames().to_string());
        if let Some(qp) = args.qp {
            add("qp", qp.to_string());
        }
        if let Some(preset) = args.encoder_preset.as_ref().filter(|_| what.backend != BackendKind::Nvidia) {
            add("encoder-preset", preset.clone());
        }
        if what.case == Case::Encode {
            add("pix-fmt", args.pix_fmt.name().to_owned());
            if args.equal_raw() {
                add("equal-raw-input", "yes".to_owned());
            }
        }
        all
    }
}
