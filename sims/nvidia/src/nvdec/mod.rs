//! The decoder library: parser, decoder, mapped pictures.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::core::report::{Leak, Section};

pub mod abi;
mod caps;
mod decoder;
pub mod exports;
mod lock;
mod map;
pub mod parser;
mod post;
mod reconfigure;
mod recorded;

pub mod rules;
mod sets;
pub mod side;
mod status;
mod surface;
mod table;
mod worker;

/// What this library adds to the report.
pub const SECTION: Section = Section { name: "nvdec", figures, leaks };

fn figures() -> Value {
    let figures = &decoder::FIGURES;
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "decoders": get(&figures.decoders),
        "pictures_decoded": get(&figures.decoded),
        "pictures_damaged": get(&figures.damaged),
        "pictures_undecodable": get(&figures.undecodable),
        "pictures_never_mapped": get(&figures.never_mapped),
        "frames_mapped": get(&figures.mapped),
        // What each engine of each device was given to do; all zero when time is not modelled.
        "engines": worker::engines().iter().map(crate::core::clock::EngineBank::usage).collect::<Vec<_>>(),
        "parser": parser::figures(),
    })
}

fn leaks() -> Vec<Leak> {
    let mut leaks = Vec::new();
    for decoder in decoder::DECODERS.try_list() {
        let Some(state) = decoder.try_state() else { continue };
        let (width, height) = state.size;
        leaks.push(Leak { kind: "decoder", detail: format!("{:?} {width}x{height}", decoder.codec) });
        for output in state.outputs.iter().filter(|output| output.mapped.is_some()) {
            leaks.push(Leak { kind: "mapped frame", detail: format!("{:#x}", output.address) });
        }
    }
    let lock = |_| Leak { kind: "context lock", detail: String::new() };
    leaks.extend(lock::LOCKS.try_list().iter().map(lock));
    leaks.extend(parser::leaks());
    leaks
}
