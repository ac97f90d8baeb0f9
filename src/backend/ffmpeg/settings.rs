//! From the settings to ffmpeg's arguments, or the refusal of what the encoder cannot honour: nothing is left for ffmpeg
//! to ignore.

use std::ffi::OsString;
use std::fmt::Display;

use super::encoders::{Encoder, Family};
use super::rate;
use crate::codec::Codec;
use crate::color::{ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, FfmpegEncodeConfig};
use crate::error::{Error, Remedy, Result};
use crate::pixel::{Chroma, PixelFormat};

/// Longest side; what the encoders themselves allow, or more.
pub(super) const MAX_SIDE: u32 = 16_384;
/// Shortest side that all of them take.
pub(super) const MIN_SIDE: u32 = 64;
/// The card that VA-API takes where none is named.
pub(super) const VAAPI_NODE: &str = "/dev/dri/renderD128";
/// Longest value of an option.
const MAX_VALUE: usize = 200;

/// Everything that a child is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Between the program's general options and the output.
    pub(super) input: Vec<OsString>,
    /// Of the output, up to the container.
    pub(super) output: Vec<OsString>,
    /// By how many frames an output may trail its input because of reordering.
    pub(super) reorder: usize,
}

pub(super) fn refuse(encoder: &Encoder, setting: &str, given: impl Display, allowed: impl Display) -> Error {
    Error::Unsupported {
        feature: format!("{setting} {given} with {} by ffmpeg's {}", encoder.codec, encoder.name),
        remedy: Remedy::Allowed(allowed.to_string()),
    }
}

/// The settings that only this backend has.
///
/// # Errors
/// Settings for another backend.
pub(super) fn own(special: &BackendEncodeConfig) -> Result<FfmpegEncodeConfig> {
    match special {
        BackendEncodeConfig::None => Ok(FfmpegEncodeConfig::default()),
        BackendEncodeConfig::Ffmpeg(own) => Ok(own.clone()),
        _ => Err(Error::Unsupported {
            feature: "backend settings of another backend with ffmpeg".to_owned(),
            remedy: Remedy::Allowed("none or those of ffmpeg".to_owned()),
        }),
    }
}

/// Arguments in the making.
#[derive(Default)]
pub(super) struct Arguments {
    list: Vec<OsString>,
    /// Keys and values of the encoder's own list (`-x265-params`).
    parameters: Vec<String>,
}

impl Arguments {
    pub(super) fn add(&mut self, option: &str, value: impl Display) {
        self.list.push(option.into());
        self.list.push(value.to_string().into());
    }

    pub(super) fn parameter(&mut self, key: &str, value: impl Display) {
        self.parameters.push(format!("{key}={value}"));
    }
}

/// Checks every setting and translates it. `formats` are those that the encoder takes.
///
/// # Errors
/// [`Error::Unsupported`] with the setting, its value and what is allowed.
pub(super) fn plan(
    config: &CommonEncodeConfig,
    own: &FfmpegEncodeConfig,
    encoder: &Encoder,
    formats: &[PixelFormat],
) -> Result<Plan> {
    check_format(config, encoder, formats)?;
    check_size(config, encoder)?;
    not_passed_on(config, encoder)?;
    let mut input = Arguments::default();
    device(own, encoder, &mut input)?;
    for (option, value) in colour(config, encoder)? {
        input.add(option, value);
    }
    input.add("-f", "rawvideo");
    input.add("-pixel_format", config.format.name());
    input.add("-video_size", config.dimensions);
    let rate = config.frame_rate;
    input.add("-framerate", format!("{}/{}", rate.num(), rate.den()));

    let mut output = Arguments::default();
    output.add("-c:v", encoder.name);
    for (option, value) in colour(config, encoder)? {
        output.add(option, value);
    }
    if let Some(filters) = filters(config, encoder)? {
        output.add("-filter:v", filters);
    }
    names(own, encoder, config.low_latency, &mut output)?;
    gop(config, encoder, &mut output)?;
    let reorder = b_frames(config, encoder, &mut output)?;
    low_latency(config, own, encoder, &mut output)?;
    rate::control(config, encoder, &mut output)?;
    threads(config, encoder, &mut output);
    options(own, encoder, &mut output)?;
    let list = match encoder.family {
        Family::X265 => Some("-x265-params"),
        Family::SvtAv1 => Some("-svtav1-params"),
        _ => None,
    };
    if let Some(list) = list.filter(|_| !output.parameters.is_empty()) {
        let all = output.parameters.join(":");
        output.add(list, all);
    }
    // Parameter sets go into the stream, in front of each IDR picture, although the container could hold them.
    output.add("-flags:v", "-global_header");
    Ok(Plan { input: input.list, output: output.list, reorder })
}

fn check_format(config: &CommonEncodeConfig, encoder: &Encoder, formats: &[PixelFormat]) -> Result<()> {
    if formats.contains(&config.format) {
        return Ok(());
    }
    let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
    let allowed = if names.is_empty() { "none in this build".to_owned() } else { names.join(", ") };
    Err(refuse(encoder, "format", config.format, allowed))
}

fn check_size(config: &CommonEncodeConfig, encoder: &Encoder) -> Result<()> {
    let (width, height) = (config.dimensions.width(), config.dimensions.height());
    let sides = MIN_SIDE..=MAX_SIDE;
    let (step_x, step_y) = match config.format.chroma() {
        Some(Chroma::Yuv420) => (2, 2),
        Some(Chroma::Yuv422) => (2, 1),
        _ => (1, 1),
    };
    let fits = sides.contains(&width)
        && sides.contains(&height)
        && width.is_multiple_of(step_x)
        && height.is_multiple_of(step_y);
    if fits {
        return Ok(());
    }
    let steps = if step_x == 1 { String::new() } else { format!(", in steps of {step_x}x{step_y}") };
    let allowed = format!("{MIN_SIDE}x{MIN_SIDE} to {MAX_SIDE}x{MAX_SIDE}{steps}");
    Err(refuse(encoder, "dimensions", config.dimensions, allowed))
}

/// Settings that are for native backends: each encoder of ffmpeg's has words and limits of its own for them.
fn not_passed_on(config: &CommonEncodeConfig, encoder: &Encoder) -> Result<()> {
    let refuse = |setting, given: &dyn Display| Err(refuse(encoder, setting, given, "none"));
    if let Some(profile) = &config.profile {
        return refuse("profile", profile);
    }
    if let Some(bits) = &config.vbv_bits {
        return refuse("vbv_bits", bits);
    }
    if let Some(bits) = &config.vbv_initial_bits {
        return refuse("vbv_initial_bits", bits);
    }
    if let Some(display) = &config.mastering_display {
        return refuse("mastering_display", display);
    }
    if let Some(light) = &config.content_light {
        return refuse("content_light", light);
    }
    Ok(())
}

/// Which card, where the encoder has a say in it.
fn device(own: &FfmpegEncodeConfig, encoder: &Encoder, input: &mut Arguments) -> Result<()> {
    let node = own.card.as_deref();
    if let Some(card) = node {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
        if card.is_empty() || card.len() > MAX_VALUE || card.starts_with('-') || !card.chars().all(plain) {
            return Err(refuse(encoder, "card", format!("{card:?}"), "a number, or the path of a device"));
        }
    }
    match (encoder.family, node) {
        (Family::Vaapi, node) => input.add("-vaapi_device", node.unwrap_or(VAAPI_NODE)),
        (Family::Nvenc, Some(card)) if card.parse::<u8>().is_err() => {
            return Err(refuse(encoder, "card", card, "its number"));
        }
        (Family::Nvenc, _) | (_, None) => {}
        (_, Some(card)) => return Err(refuse(encoder, "card", card, "none: there is no choice")),
    }
    Ok(())
}

/// The code points, as numbers: names differ between versions. Stated on both sides, because some versions take them
/// from the pictures and others from the encoder's options.
fn colour(config: &CommonEncodeConfig, encoder: &Encoder) -> Result<Vec<(&'static str, u8)>> {
    let color = config.color;
    if color.matrix == MatrixCoefficients::Identity {
        return Err(refuse(
            encoder,
            "color matrix",
            color.matrix,
            "a Y'CbCr matrix, since the samples are Y'CbCr",
        ));
    }
    let mut list = Vec::new();
    if color.matrix != MatrixCoefficients::Unspecified {
        list.push(("-colorspace", color.matrix.code()));
    }
    if color.primaries != ColorPrimaries::Unspecified {
        list.push(("-color_primaries", color.primaries.code()));
    }
    if color.transfer != TransferCharacteristics::Unspecified {
        list.push(("-color_trc", color.transfer.code()));
    }
    match color.range {
        Some(ColorRange::Limited) => list.push(("-color_range", 1)),
        Some(ColorRange::Full) => list.push(("-color_range", 2)),
        None => {}
    }
    Ok(list)
}

fn filters(config: &CommonEncodeConfig, encoder: &Encoder) -> Result<Option<String>> {
    let mut list = Vec::new();
    if let Some(ratio) = config.sample_aspect_ratio.map(|ratio| ratio.reduced()) {
        let terms = 1..=65_535;
        if !(terms.contains(&ratio.num()) && terms.contains(&ratio.den())) {
            return Err(refuse(encoder, "sample_aspect_ratio", ratio, "terms of 1 to 65535"));
        }
        if encoder.codec == Codec::Av1 && ratio.num() != ratio.den() {
            return Err(refuse(encoder, "sample_aspect_ratio", ratio, "1:1: AV1 signals no other"));
        }
        list.push(format!("setsar=r={}/{}:max=65535", ratio.num(), ratio.den()));
    }
    if encoder.family == Family::Vaapi {
        list.push(format!("format={},hwupload", config.format.name()));
    }
    Ok((!list.is_empty()).then(|| list.join(",")))
}

/// Preset and tuning.
fn names(
    own: &FfmpegEncodeConfig,
    encoder: &Encoder,
    low_latency: bool,
    output: &mut Arguments,
) -> Result<()> {
    let known = |setting: &str, given: &str, all: &[&str]| {
        if all.contains(&given) {
            return Ok(());
        }
        let allowed = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        Err(refuse(encoder, setting, format!("{given:?}"), allowed))
    };
    if let Some(preset) = own.preset.as_deref() {
        known("preset", preset, encoder.presets())?;
        output.add("-preset:v", preset);
    }
    let tune = own.tune.as_deref();
    if let Some(tune) = tune {
        known("tune", tune, encoder.tunes())?;
    }
    match (encoder.family, tune, low_latency) {
        // x264 takes one psychovisual tuning besides.
        (Family::X264, Some(tune), true) if tune != "zerolatency" => {
            output.add("-tune:v", format!("{tune},zerolatency"));
        }
        (Family::X265, Some(tune), true) if tune != "zerolatency" => {
            return Err(refuse(encoder, "tune", format!("{tune:?} and low_latency"), "one of both"));
        }
        (Family::X264 | Family::X265, _, true) => output.add("-tune:v", "zerolatency"),
        (Family::Nvenc, None, true) => output.add("-tune:v", "ll"),
        (_, Some(tune), _) => output.add("-tune:v", tune),
        (_, None, _) => {}
    }
    Ok(())
}

fn gop(config: &CommonEncodeConfig, encoder: &Encoder, output: &mut Arguments) -> Result<()> {
    let length = if config.force_idr { Some(1) } else { config.gop_length };
    if encoder.family == Family::X265 {
        // By itself it makes open groups, whose first picture is no IDR.
        output.parameter("open-gop", 0);
    }
    let Some(length) = length else { return Ok(()) };
    if length == 0 || i32::try_from(length).is_err() {
        return Err(refuse(encoder, "gop_length", length, format!("1 to {}", i32::MAX)));
    }
    output.add("-g:v", length);
    match encoder.family {
        // No further IDR at a change of scene: the distance is exact.
        Family::X264 => {
            output.add("-keyint_min:v", 1);
            output.add("-sc_threshold:v", 0);
        }
        Family::X265 => {
            output.parameter("keyint", length);
            output.parameter("min-keyint", 1);
            output.parameter("scenecut", 0);
        }
        Family::Nvenc => {
            output.add("-no-scenecut:v", 1);
            output.add("-strict_gop:v", 1);
        }
        Family::Qsv | Family::Vaapi => output.add("-idr_interval:v", 0),
        Family::SvtAv1 | Family::VideoToolbox => {}
    }
    Ok(())
}

/// Says how many B frames; returns the delay that they cause.
fn b_frames(config: &CommonEncodeConfig, encoder: &Encoder, output: &mut Arguments) -> Result<usize> {
    let asked = config.requested_b_frames();
    let most = encoder.max_b_frames();
    if let (Some(interval), Some(allowed)) = (config.frame_interval_p, config.wrong_interval(most)) {
        return Err(refuse(encoder, "frame_interval_p", interval, allowed));
    }
    if let Some(count) = asked.filter(|count| *count > most) {
        let allowed = if most == 0 { "0, or not stated".to_owned() } else { format!("0 to {most}") };
        return Err(refuse(encoder, "b_frames", count, allowed));
    }
    if config.low_latency && asked.is_some_and(|count| count > 0) {
        return Err(refuse(encoder, "b_frames", asked.unwrap_or(0), "0 with low_latency"));
    }
    let intra_only = config.force_idr || config.gop_length == Some(1);
    let count = if config.low_latency || intra_only { Some(0) } else { asked };
    // With a pyramid, B frames that others refer to wait once more: one step for each of its levels. x264 and x265 have
    // two.
    let delay = |count: u32| match encoder.family {
        _ if count < 2 => count,
        Family::X264 | Family::X265 => 2,
        _ => count.ilog2() + 1,
    };
    Ok(match (encoder.family, count) {
        (Family::X264, Some(count)) => {
            output.add("-bf:v", count);
            // So many between any two P frames, not as many as seem worth it.
            output.add("-b_strategy:v", 0);
            delay(count) as usize
        }
        (Family::X265, Some(count)) => {
            output.parameter("bframes", count);
            output.parameter("b-adapt", 0);
            delay(count) as usize
        }
        (Family::X264 | Family::X265, None) => 2,
        (Family::SvtAv1, count) => {
            if count == Some(0) {
                output.parameter("pred-struct", 1);
            }
            // A temporal unit shows one frame, in order.
            0
        }
        (_, count) => {
            output.add("-bf:v", count.unwrap_or(0));
            delay(count.unwrap_or(0)) as usize
        }
    })
}

fn low_latency(
    config: &CommonEncodeConfig,
    own: &FfmpegEncodeConfig,
    encoder: &Encoder,
    output: &mut Arguments,
) -> Result<()> {
    if !config.low_latency {
        return Ok(());
    }
    let stated = |name: &str| own.options.iter().any(|(option, _)| option == name);
    for lookahead in ["rc-lookahead", "look_ahead", "look_ahead_depth", "lookahead", "async_depth"] {
        if stated(lookahead) {
            return Err(refuse(encoder, "option", lookahead, "none that looks ahead with low_latency"));
        }
    }
    match encoder.family {
        Family::Nvenc => {
            output.add("-delay:v", 0);
            output.add("-zerolatency:v", 1);
        }
        Family::Qsv => output.add("-async_depth:v", 1),
        Family::SvtAv1 => output.parameter("lookahead", 0),
        Family::VideoToolbox => output.add("-realtime:v", 1),
        // Their tuning does it, or there is nothing to do.
        Family::X264 | Family::X265 | Family::Vaapi => {}
    }
    Ok(())
}

fn threads(config: &CommonEncodeConfig, encoder: &Encoder, output: &mut Arguments) {
    let Some(threads) = config.threads else { return };
    match encoder.family {
        Family::X264 => output.add("-threads:v", threads),
        Family::X265 => {
            output.parameter("pools", threads);
            output.parameter("frame-threads", threads.get().min(4));
        }
        Family::SvtAv1 => output.parameter("lp", threads),
        // The hardware's own business.
        Family::Nvenc | Family::Qsv | Family::Vaapi | Family::VideoToolbox => {}
    }
}

/// What the user wants besides: known names only, and values that cannot become anything else on their way.
fn options(own: &FfmpegEncodeConfig, encoder: &Encoder, output: &mut Arguments) -> Result<()> {
    for (name, value) in &own.options {
        if !encoder.options().contains(&name.as_str()) {
            return Err(refuse(encoder, "option", format!("{name:?}"), encoder.options().join(", ")));
        }
        // No colon and no equals sign, which would begin another parameter.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._,+-()".contains(c);
        if value.is_empty() || value.len() > MAX_VALUE || !value.chars().all(plain) {
            return Err(refuse(
                encoder,
                &format!("option {name} ="),
                format!("{value:?}"),
                "letters, digits and . _ , + - ( )",
            ));
        }
        match encoder.family {
            Family::X265 | Family::SvtAv1 => output.parameter(name, value),
            _ => output.add(&format!("-{name}:v"), value),
        }
    }
    if encoder.family == Family::X265 {
        output.parameter("log-level", 1);
    }
    if let (Family::Nvenc, Some(card)) = (encoder.family, own.card.as_deref()) {
        output.add("-gpu:v", card);
    }
    Ok(())
}
