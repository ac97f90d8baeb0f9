//! `transcode`, and what `encode` shares with it.

use std::cell::RefCell;
use std::path::Path;

use video_hw::backend::{Backend, BackendKind};
use video_hw::config::{
    BackendEncodeConfig, FfmpegEncodeConfig, RateControl, SessionAdmission, SoftwareEncodeConfig,
};
use video_hw::pipeline::Transcode;
use video_hw::{Error, Result};
use video_hw_terminal::cancel::Interrupts;

use crate::args::TranscodeArgs;
use crate::exit::Exit;
use crate::metrics::Exporting;
use crate::options::{EncoderArgs, JobArgs, PartArgs, RateMode};
use crate::progress::ProgressView;
use crate::report::Finished;
use crate::{copy, failure};

pub(crate) fn run(args: &TranscodeArgs) -> Result<Exit> {
    if args.copy { copy::run("transcode", args) } else { encode("transcode", args) }
}

/// Decodes and encodes.
pub(crate) fn encode(command: &'static str, args: &TranscodeArgs) -> Result<Exit> {
    let both = args.backends.backend.unwrap_or(Backend::Auto);
    let mut job = Transcode::new(&args.input, &args.output)
        .decode_backend(args.backends.decoder_backend.unwrap_or(both))
        .encode_backend(args.backends.encoder_backend.unwrap_or(both))
        .copy_tracks(!args.no_copy)
        .audio(args.copied.audio.clone())
        .subtitles(args.copied.subtitles.clone())
        .deinterlace(args.deinterlace);
    if let Some(track) = args.source.track {
        job = job.track(track);
    }
    if let Some(most) = args.source.spool.spool {
        job = job.spool(most);
    }
    if let Some(rate) = args.pictures.fps {
        job = job.frame_rate(rate);
    }
    if let Some(rate) = args.pictures.input_fps {
        job = job.input_frame_rate(rate);
    }
    if let Some(size) = args.pictures.size {
        job = job.size(size);
    }
    if let Some(crop) = args.crop.crop {
        job = job.crop(crop);
    }
    if let Some(format) = args.pictures.pix_fmt {
        job = job.pixel_format(format);
    }
    if let Some(device) = &args.backends.device {
        job = job.device(device);
    }
    job = job.engines(args.backends.engines);
    job = job.limits(args.limits.limits());
    if let Some(threads) = args.backends.threads {
        job = job.threads(threads);
    }
    let job = with_encoder(job, &args.encoder, args.backends.encoder_backend.unwrap_or(both))?;
    finish(command, &args.output, job.on_failure(args.failure.policy()), &args.part, &args.job)
}

/// Sets what every encoding job has, does it and tells.
pub(crate) fn finish(
    command: &'static str,
    output: &Path,
    job: Transcode<'_>,
    part: &PartArgs,
    options: &JobArgs,
) -> Result<Exit> {
    let interrupts = Interrupts::install(options.quiet, Some(output))?;
    let view = RefCell::new(ProgressView::new(options.quiet));
    let exporting = Exporting::begin(&options.metrics, options.quiet)?;
    let mut job = with_part(job, part)
        .overwrite(options.overwrite)
        .keep_going(options.keep_going)
        .cancel_token(interrupts.token.clone())
        .ends_process()
        .on_progress(|state| {
            interrupts.check_abort();
            crate::clock::see(state.frames);
            view.borrow_mut().update(state);
        })
        .on_takeover(|takeover| {
            if !options.quiet {
                view.borrow_mut().clear();
                failure::tell(takeover);
            }
        });
    if let Some(name) = &options.metrics.stream {
        job = job.stream_name(name.as_str());
    }
    let result = job.run();
    view.borrow_mut().clear();
    let exported = exporting.end();
    let report = result?;
    exported?;
    Finished::transcode(command, &report).tell(options)
}

/// Sets what is asked of the encoder.
pub(crate) fn with_encoder<'a>(
    mut job: Transcode<'a>,
    args: &EncoderArgs,
    backend: Backend,
) -> Result<Transcode<'a>> {
    if let Some(codec) = args.codec {
        job = job.codec(codec);
    }
    if let Some(rate_control) = rate_control(args)? {
        job = job.rate_control(rate_control);
    }
    if let Some(frames) = args.gop {
        job = job.gop_length(frames);
    }
    if let Some(frames) = args.bframes {
        job = job.b_frames(frames);
    }
    if let Some((bits, initial)) = args.vbv {
        job = job.vbv(bits, initial);
    }
    if let Some(profile) = args.profile {
        job = job.profile(profile);
    }
    if let Some(display) = args.hdr_mastering {
        job = job.mastering_display(display);
    }
    if let Some(light) = args.hdr_light {
        job = job.content_light(light);
    }
    if args.low_latency {
        job = job.low_latency();
    }
    if let Some(speed) = args.speed {
        let special = SoftwareEncodeConfig::default().speed(speed);
        job = job.backend_config(BackendEncodeConfig::Software(special));
    }
    if let Some(special) = args.nvenc.config() {
        let is_intel = backend == Backend::Only(BackendKind::Qsv);
        job = job.backend_config(match args.nvenc.vpl().filter(|_| is_intel) {
            Some(intel) => BackendEncodeConfig::Vpl(intel),
            None => BackendEncodeConfig::Nvidia(special),
        });
    }
    if let Some(time) = args.session_wait {
        job = job.session_admission(SessionAdmission::Wait(time));
    }
    if let Some(special) = ffmpeg(args) {
        job = job.backend_config(BackendEncodeConfig::Ffmpeg(special));
    }
    job = job.faststart(args.faststart).fragmented(args.fragmented);
    if let Some(format) = &args.format {
        job = job.output_format(format.as_str());
    }
    Ok(job)
}

/// Settings of encoders inside ffmpeg; with any of them no other encoder is taken.
fn ffmpeg(args: &EncoderArgs) -> Option<FfmpegEncodeConfig> {
    let special = FfmpegEncodeConfig::default()
        .encoder(args.encoder.clone())
        .preset(args.encoder_preset.clone())
        .tune(args.encoder_tune.clone())
        .card(None)
        .options(args.encoder_option.clone());
    (special != FfmpegEncodeConfig::default()).then_some(special)
}

fn with_part<'a>(mut job: Transcode<'a>, part: &PartArgs) -> Transcode<'a> {
    if let Some(start) = part.start {
        job = job.start(start);
    }
    if let Some(duration) = part.duration {
        job = job.duration(duration);
    }
    if let Some(frames) = part.frames {
        job = job.max_frames(frames);
    }
    job
}

/// What the options say of the bits; several can contradict each other.
fn rate_control(args: &EncoderArgs) -> Result<Option<RateControl>> {
    let EncoderArgs { bitrate, max_bitrate, qp, quality, .. } = *args;
    let implied = match (bitrate, qp, quality) {
        (_, Some(_), _) => Some(RateMode::ConstQp),
        (_, _, Some(_)) => Some(RateMode::Quality),
        (Some(_), ..) if args.cbr => Some(RateMode::Cbr),
        (Some(_), ..) => Some(RateMode::Vbr),
        (None, None, None) => None,
    };
    let mode = args.rc.or(implied);
    let takes_max = matches!(mode, Some(RateMode::Vbr | RateMode::Quality));
    if max_bitrate.is_some() && !takes_max {
        return Err(Error::invalid("--max-bitrate goes with --bitrate (vbr) or --quality"));
    }
    if args.cbr && mode != Some(RateMode::Cbr) {
        return Err(Error::invalid("--cbr is --rc cbr with --bitrate; another --rc contradicts it"));
    }
    let needs =
        |mode: &str, option: &str| Error::invalid(format!("--rc {mode} needs {option}, and no other target"));
    let (has_rate, has_qp, has_quality) = (bitrate.is_some(), qp.is_some(), quality.is_some());
    Ok(match mode {
        None => None,
        Some(RateMode::Cbr) => match bitrate {
            Some(bitrate_bps) if !has_qp && !has_quality => Some(RateControl::Cbr { bitrate_bps }),
            _ => return Err(needs("cbr", "--bitrate")),
        },
        Some(RateMode::Vbr) => match bitrate {
            Some(avg_bps) if !has_qp && !has_quality => {
                Some(RateControl::Vbr { avg_bps, max_bps: max_bitrate })
            }
            _ => return Err(needs("vbr", "--bitrate")),
        },
        Some(RateMode::ConstQp) => match qp {
            Some(qp) if !has_rate && !has_quality => {
                Some(RateControl::ConstQp { intra: qp, inter_p: qp, inter_b: qp })
            }
            _ => return Err(needs("constqp", "--qp")),
        },
        Some(RateMode::Quality) => match quality {
            Some(quality) if !has_rate && !has_qp => {
                Some(RateControl::Quality { quality, max_bps: max_bitrate })
            }
            _ => return Err(needs("quality", "--quality")),
        },
    })
}
