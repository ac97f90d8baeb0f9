//! `devices`: every backend, what it can do on this machine, and why not.

use serde_json::{Value, json};
use video_hw::backend::{self, BackendKind, CANDIDATES, query_device_capability};
use video_hw::capability::{
    CapabilityReport, DecodeCapability, DecodeVariant, DeviceInfo, EncodeCapability, HostSessions,
    InPlaceChanges,
};
use video_hw::codec::Codec;
use video_hw::pixel::PixelFormat;
use video_hw::{Error, Result};
use video_hw_terminal::text;

use crate::args::DevicesArgs;
use crate::exit::{self, Exit};
use crate::remedy;

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

/// The codecs that something can be done with.
type Codecs = Vec<CapabilityReport>;

/// One device.
struct Card {
    info: DeviceInfo,
    codecs: Codecs,
    /// Where it encodes.
    sessions: Option<HostSessions>,
}

/// What is there of a backend.
struct Answer {
    devices: Vec<Card>,
    /// Of the CPU, where the backend runs on it; otherwise of the first device.
    codecs: Codecs,
}

/// A backend's devices and what each can do, or why the backend is not available.
fn ask(kind: BackendKind) -> Result<Answer> {
    let mut devices = Vec::new();
    for device in backend::devices(kind)? {
        let name = device.ordinal.to_string();
        // For all that is asked of it now: starting it takes most of the time.
        let _started = backend::hold_device(kind, Some(&name));
        let codecs = codecs(kind, Some(&name))?;
        let encodes = codecs.iter().any(|report| report.encode.is_some());
        let sessions = if encodes { backend::encode_sessions(kind, Some(&name))? } else { None };
        devices.push(Card { info: device, codecs, sessions });
    }
    let codecs = match devices.first() {
        Some(card) => card.codecs.clone(),
        None => codecs(kind, None)?,
    };
    Ok(Answer { devices, codecs })
}

fn codecs(kind: BackendKind, device: Option<&str>) -> Result<Codecs> {
    let mut reports = Vec::new();
    for codec in Codec::ALL {
        let report = query_device_capability(kind, codec, device)?;
        if report.decode.is_some() || report.encode.is_some() {
            reports.push(report);
        }
    }
    Ok(reports)
}

fn table(kind: BackendKind, answer: &Result<Answer>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return format!("{:<13} no   {}\n", kind.name(), why(error)),
    };
    let mut out = format!("{:<13} yes\n", kind.name());
    if answer.devices.is_empty() {
        codec_lines(&answer.codecs, "  ", &mut out);
    }
    for Card { info: device, codecs, sessions } in &answer.devices {
        let memory = match device.memory >> 20 {
            0 => String::new(),
            mib => format!(", {mib} MiB"),
        };
        out.push_str(&format!("  {}  {}{memory}, {}\n", device.ordinal, device.name, device.id));
        codec_lines(codecs, "    ", &mut out);
        if let Some(sessions) = sessions {
            out.push_str(&format!("    {:<10} {}\n", "sessions", session_words(sessions)));
        }
        if let Some(reason) = no_encoder(codecs) {
            out.push_str(&format!("    no encoding: {reason}\n"));
        }
    }
    out
}

fn codec_lines(codecs: &[CapabilityReport], indent: &str, out: &mut String) {
    for report in codecs {
        let mut name = report.codec.name();
        let decode = report.decode.iter().flat_map(decode_words);
        let encode = report.encode.as_ref().map(encode_words);
        for line in decode.chain(encode) {
            out.push_str(&format!("{indent}{name:<10} {line}\n"));
            name = "";
        }
    }
}

/// Why a card encodes nothing: the same for each codec.
fn no_encoder(codecs: &[CapabilityReport]) -> Option<&str> {
    codecs.iter().find_map(|report| report.no_encoder.as_deref())
}

/// Encode sessions of this program on this host, and what the driver's refusals taught.
fn session_words(sessions: &HostSessions) -> String {
    let usage = sessions.usage;
    let limit = match usage.limit {
        Some(limit) => format!("the driver last refused more than {limit}"),
        None => "no limit met".to_owned(),
    };
    let note = sessions.note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
    format!("{} open to encode by video-hw on this host; {limit}{note}", usage.open)
}

fn why(error: &Error) -> String {
    match error {
        Error::Unavailable { reason, remedy, .. } => remedy::after(reason, remedy),
        other => exit::message(other),
    }
}

/// A line for all formats that have the same limits: one, as a rule.
fn decode_words(d: &DecodeCapability) -> Vec<String> {
    let mut lines = Vec::new();
    if d.variants.is_empty() {
        let formats = names(&d.formats).join(" ");
        lines.push(format!("decode  {}, up to {}: {formats}", d.implementation, d.max));
    }
    let limits = |v: &DecodeVariant| (v.min, v.max, v.max_macroblocks, v.engines);
    let usable: Vec<_> = d.variants.iter().filter(|v| v.format.is_some()).collect();
    for (place, first) in usable.iter().enumerate() {
        if usable.iter().take(place).any(|v| limits(v) == limits(first)) {
            continue;
        }
        let mut formats = Vec::new();
        for format in usable.iter().filter(|v| limits(v) == limits(first)).filter_map(|v| v.format) {
            // Several kinds of stream may come out as one.
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        let engines =
            if first.engines == 1 { "1 engine".to_owned() } else { format!("{} engines", first.engines) };
        let mut line = format!("decode  {}, {engines}, {} to {}", d.implementation, first.min, first.max);
        if u64::from(first.max_macroblocks) < first.max.pixels() / 256 {
            line.push_str(&format!(" and {} macroblocks", first.max_macroblocks));
        }
        lines.push(format!("{line}: {}", names(&formats).join(" ")));
    }
    if let Some(last) = lines.last_mut() {
        if !d.refused.is_empty() {
            last.push_str(&format!("; not {}", d.refused.join(", ")));
        }
        if d.max_display_delay > 0 {
            last.push_str(&format!("; display delay up to {}", d.max_display_delay));
        }
        if d.native_on_device {
            last.push_str("; frames in device or host memory");
        }
    }
    lines
}

fn encode_words(e: &EncodeCapability) -> String {
    let mut line = format!("encode  {}, {} to {}", e.implementation, e.min, e.max);
    if e.alignment > 1 {
        line.push_str(&format!(" in steps of {}", e.alignment));
    }
    line.push_str(&format!(": {}; {}", names(&e.formats).join(" "), rate_controls(e).join(", ")));
    let b_frames = if e.max_b_frames == 0 { "no".to_owned() } else { format!("up to {}", e.max_b_frames) };
    line.push_str(&format!("; {b_frames} B frames"));
    if e.low_latency {
        line.push_str("; low latency");
    }
    let changes = in_place(e);
    if !changes.is_empty() {
        line.push_str(&format!("; changes while it runs: {}", changes.join(", ")));
    }
    line
}

/// What changes without another session.
fn in_place(e: &EncodeCapability) -> Vec<&'static str> {
    let InPlaceChanges { bitrate, rate_mode, frame_rate, size, .. } = e.in_place;
    let all = [(bitrate, "bitrate"), (rate_mode, "rate_mode"), (frame_rate, "frame_rate"), (size, "size")];
    all.into_iter().filter_map(|(can, name)| can.then_some(name)).collect()
}

fn rate_controls(e: &EncodeCapability) -> Vec<String> {
    let (low, high) = e.qp_range;
    [
        (e.vbr, "--bitrate".to_owned()),
        (e.cbr, "--cbr".to_owned()),
        (e.const_qp, format!("--qp {low} to {high}")),
        (
            e.quality_range.is_some(),
            e.quality_range.map_or_else(String::new, |(l, h)| format!("--quality {l} to {h}")),
        ),
    ]
    .into_iter()
    .filter_map(|(can, line)| can.then_some(line))
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
                Error::Unavailable { reason, remedy, .. } => (reason.clone(), Some(remedy::sentence(remedy))),
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

fn device_json(Card { info: device, codecs, sessions }: &Card) -> Value {
    json!({
        "ordinal": device.ordinal,
        "name": device.name,
        "id": device.id,
        "memory_bytes": device.memory,
        "no_encoder": no_encoder(codecs),
        "encode_sessions": sessions.as_ref().map(|sessions| json!({
            "open": sessions.usage.open,
            "limit": sessions.usage.limit,
            "note": sessions.note,
        })),
        "codecs": codecs.iter().map(codec_json).collect::<Vec<_>>(),
    })
}

fn variant_json(variant: &DecodeVariant) -> Value {
    json!({
        "chroma": variant.chroma.to_string(),
        "bit_depth": variant.bit_depth,
        "format": variant.format.map(PixelFormat::name),
        "min_size": variant.min.to_string(),
        "max_size": variant.max.to_string(),
        "max_macroblocks": variant.max_macroblocks,
        "engines": variant.engines,
    })
}

fn codec_json(report: &CapabilityReport) -> Value {
    json!({
        "codec": report.codec.name(),
        "decode": report.decode.as_ref().map(|d| json!({
            "implementation": d.implementation,
            "min_size": d.min.to_string(),
            "max_size": d.max.to_string(),
            "engines": d.engines,
            "formats": names(&d.formats),
            "kinds": d.variants.iter().map(variant_json).collect::<Vec<_>>(),
            "refused": d.refused,
            "output_modes": d.output_modes.iter().map(|mode| mode.name()).collect::<Vec<_>>(),
            "native_on_device": d.native_on_device,
            "low_latency": d.low_latency,
            "max_display_delay": d.max_display_delay,
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
            "quality_range": e.quality_range.map(|(low, high)| [low, high]),
            "gop_range": [e.gop_range.0, e.gop_range.1],
            "force_idr": e.force_idr,
            "low_latency": e.low_latency,
            "in_place": in_place(e),
        })),
    })
}
