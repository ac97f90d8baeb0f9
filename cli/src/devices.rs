//! `devices`: every backend, what it can do on this machine, and why not.

use serde_json::{Value, json};
use video_hw::backend::{self, BackendKind, CANDIDATES, query_backend_capability};
use video_hw::capability::{CapabilityReport, DecodeCapability, DeviceInfo, EncodeCapability};
use video_hw::codec::Codec;
use video_hw::pixel::PixelFormat;
use video_hw::{Error, Result};

use crate::args::DevicesArgs;
use crate::exit::{self, Exit};
use crate::text;

pub(crate) fn run(args: &DevicesArgs) -> Result<Exit> {
    let backends: Vec<_> = CANDIDATES.into_iter().map(|kind| (kind, ask(kind))).collect();
    let out = if args.json {
        let list: Vec<_> = backends.iter().map(|(kind, answer)| backend_json(*kind, answer)).collect();
        format!("{:#}", json!({ "command": "devices", "backends": list, "exit_code": Exit::Done.code() }))
    } else {
        backends.iter().map(|(kind, answer)| table(*kind, answer)).collect()
    };
    text::to_stdout(&out)?;
    Ok(Exit::Done)
}

/// What is there of a backend.
struct Answer {
    devices: Vec<DeviceInfo>,
    codecs: Vec<CapabilityReport>,
}

/// A backend's devices and the codecs that it can do something with (on the first device), or why it is not available.
fn ask(kind: BackendKind) -> Result<Answer> {
    let devices = backend::devices(kind)?;
    let mut reports = Vec::new();
    for codec in Codec::ALL {
        let report = query_backend_capability(kind, codec)?;
        if report.decode.is_some() || report.encode.is_some() {
            reports.push(report);
        }
    }
    Ok(Answer { devices, codecs: reports })
}

fn table(kind: BackendKind, answer: &Result<Answer>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return format!("{:<13} no   {}\n", kind.name(), why(error)),
    };
    let mut out = format!("{:<13} yes\n", kind.name());
    for device in &answer.devices {
        let mib = device.memory >> 20;
        out.push_str(&format!("  {}      {}, {mib} MiB, {}\n", device.ordinal, device.name, device.id));
    }
    for report in &answer.codecs {
        let mut name = report.codec.name();
        let decode = report.decode.as_ref().map(decode_words);
        let encode = report.encode.as_ref().map(encode_words);
        for words in decode.into_iter().chain(encode) {
            out.push_str(&format!("  {name:<6} {words}\n"));
            name = "";
        }
    }
    out
}

fn why(error: &Error) -> String {
    match error {
        Error::Unavailable { reason, remedy, .. } => format!("{reason}. {remedy}"),
        other => exit::message(other),
    }
}

fn decode_words(d: &DecodeCapability) -> String {
    let mut words = format!("decode  {}, up to {}: {}", d.implementation, d.max, names(&d.formats).join(" "));
    if !d.refused.is_empty() {
        words.push_str(&format!("; not {}", d.refused.join(", ")));
    }
    words
}

fn encode_words(e: &EncodeCapability) -> String {
    let mut words = format!("encode  {}, {} to {}", e.implementation, e.min, e.max);
    if e.alignment > 1 {
        words.push_str(&format!(" in steps of {}", e.alignment));
    }
    words.push_str(&format!(": {}; {}", names(&e.formats).join(" "), rate_controls(e).join(", ")));
    let b_frames = if e.max_b_frames == 0 { "no".to_owned() } else { format!("up to {}", e.max_b_frames) };
    words.push_str(&format!("; {b_frames} B frames"));
    words
}

fn rate_controls(e: &EncodeCapability) -> Vec<String> {
    let (low, high) = e.qp_range;
    [
        (e.vbr, "--bitrate".to_owned()),
        (e.cbr, "--cbr".to_owned()),
        (e.const_qp, format!("--qp {low} to {high}")),
    ]
    .into_iter()
    .filter_map(|(can, words)| can.then_some(words))
    .collect()
}

fn names(formats: &[PixelFormat]) -> Vec<&'static str> {
    formats.iter().map(|f| f.name()).collect()
}

fn backend_json(kind: BackendKind, answer: &Result<Answer>) -> Value {
    match answer {
        Ok(answer) => json!({
            "name": kind.name(),
            "available": true,
            "devices": answer.devices.iter().map(device_json).collect::<Vec<_>>(),
            "codecs": answer.codecs.iter().map(codec_json).collect::<Vec<_>>(),
        }),
        Err(error) => {
            let (reason, remedy) = match error {
                Error::Unavailable { reason, remedy, .. } => (reason.clone(), Some(remedy.clone())),
                other => (exit::message(other), None),
            };
            json!({
                "name": kind.name(),
                "available": false,
                "kind": exit::kind(error),
                "reason": reason,
                "remedy": remedy,
            })
        }
    }
}

fn device_json(device: &DeviceInfo) -> Value {
    json!({
        "ordinal": device.ordinal,
        "name": device.name,
        "id": device.id,
        "memory_bytes": device.memory,
    })
}

fn codec_json(report: &CapabilityReport) -> Value {
    json!({
        "codec": report.codec.name(),
        "decode": report.decode.as_ref().map(|d| json!({
            "implementation": d.implementation,
            "max_size": d.max.to_string(),
            "formats": names(&d.formats),
            "refused": d.refused,
        })),
        "encode": report.encode.as_ref().map(|e| json!({
            "implementation": e.implementation,
            "min_size": e.min.to_string(),
            "max_size": e.max.to_string(),
            "alignment": e.alignment,
            "formats": names(&e.formats),
            "max_b_frames": e.max_b_frames,
            "cbr": e.cbr,
            "vbr": e.vbr,
            "const_qp": e.const_qp,
            "qp_range": [e.qp_range.0, e.qp_range.1],
        })),
    })
}
