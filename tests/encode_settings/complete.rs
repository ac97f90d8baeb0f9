//! The list of settings is whole: it is read off the structures themselves.

use video_hw::backend::BackendKind;
use video_hw::config::{
    BackendEncodeConfig, FfmpegEncodeConfig, NvidiaEncodeConfig, RateControl, SoftwareEncodeConfig,
    VplEncodeConfig, VtEncodeConfig,
};

use super::rows::ROWS;
use super::run::{ENCODERS, Encoder, Job};

/// The fields of a structure, by its own account.
fn fields(of: &dyn std::fmt::Debug) -> Vec<String> {
    let text = format!("{of:#?}");
    let inner = text.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    inner.filter_map(|line| Some(line.trim().split_once(':')?.0.to_owned())).collect()
}

/// Returns the rows of a rate control. A new variant or field does not compile until it has a row.
fn rows_of(rate: RateControl) -> Vec<&'static str> {
    match rate {
        RateControl::Cbr { bitrate_bps: _ } => vec!["Cbr.bitrate_bps"],
        RateControl::Vbr { avg_bps: _, max_bps: _ } => vec!["Vbr.avg_bps", "Vbr.max_bps"],
        RateControl::ConstQp { intra: _, inter_p: _, inter_b: _ } => {
            vec!["ConstQp", "ConstQp.intra", "ConstQp.inter_p", "ConstQp.inter_b"]
        }
        RateControl::Quality { quality: _, max_bps: _ } => vec!["Quality.quality", "Quality.max_bps"],
    }
}

/// Every public setting, in the order of the structures.
fn settings() -> Vec<String> {
    let common = Job::new(&ENCODERS[0]).common;
    let rates = [
        RateControl::Cbr { bitrate_bps: 1 },
        RateControl::Vbr { avg_bps: 1, max_bps: None },
        RateControl::ConstQp { intra: 1, inter_p: 1, inter_b: 1 },
        RateControl::Quality { quality: 1, max_bps: None },
    ];
    let mut all = Vec::new();
    for field in fields(&common) {
        if field == "rate_control" {
            all.extend(rates.into_iter().flat_map(rows_of).map(|row| format!("rate_control.{row}")));
        } else {
            all.push(field);
        }
    }
    for (name, _, own) in specials() {
        all.extend(own.into_iter().map(|field| format!("{name}.{field}")));
    }
    all
}

/// The settings of one backend alone: the name of the variant, one of it, and its fields.
fn specials() -> Vec<(&'static str, BackendEncodeConfig, Vec<String>)> {
    let (nvidia, vpl) = (NvidiaEncodeConfig::default(), VplEncodeConfig::default());
    let (videotoolbox, software) = (VtEncodeConfig::default(), SoftwareEncodeConfig::default());
    let ffmpeg = FfmpegEncodeConfig::default();
    let fields_of =
        [fields(&nvidia), fields(&vpl), fields(&videotoolbox), fields(&software), fields(&ffmpeg)];
    let configs = [
        ("Nvidia", BackendEncodeConfig::Nvidia(nvidia)),
        ("Vpl", BackendEncodeConfig::Vpl(vpl)),
        ("VideoToolbox", BackendEncodeConfig::VideoToolbox(videotoolbox)),
        ("Software", BackendEncodeConfig::Software(software)),
        ("Ffmpeg", BackendEncodeConfig::Ffmpeg(ffmpeg)),
    ];
    configs.into_iter().zip(fields_of).map(|((name, config), fields)| (name, config, fields)).collect()
}

#[test]
fn every_setting_of_every_structure_has_a_row() {
    let rows: Vec<_> = ROWS.iter().map(|row| row.setting.to_owned()).collect();
    assert_eq!(rows, settings());
}

#[test]
fn every_backend_has_columns_and_settings_of_its_own() {
    for backend in BackendKind::ALL.iter().filter(|backend| **backend != BackendKind::Custom) {
        assert!(Encoder::of(*backend).next().is_some(), "{backend} has no column");
        let fitting = specials().into_iter().filter(|(_, config, _)| config.fits(*backend)).count();
        assert_eq!(fitting, 1, "settings of {backend}");
    }
}
