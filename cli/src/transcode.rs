//! `transcode`, and what `encode` shares with it.

use std::path::Path;

use video_hw::Result;
use video_hw::backend::Backend;
use video_hw::config::{
    BackendEncodeConfig, FfmpegEncodeConfig, NvidiaEncodeConfig, RateControl, SoftwareEncodeConfig,
};
use video_hw::pipeline::Transcode;

use crate::args::{EncoderArgs, JobArgs, PartArgs, TranscodeArgs};
use crate::cancel::Interrupts;
use crate::exit::Exit;
use crate::progress::ProgressView;
use crate::report::Finished;

pub(crate) fn run(args: &TranscodeArgs) -> Result<Exit> {
    let both = args.backends.backend.unwrap_or(Backend::Auto);
    let mut job = Transcode::new(&args.input, &args.output)
        .decode_backend(args.backends.decoder_backend.unwrap_or(both))
        .encode_backend(args.backends.encoder_backend.unwrap_or(both))
        .copy_tracks(!args.no_copy);
    if let Some(rate) = args.pictures.fps {
        job = job.frame_rate(rate);
    }
    if let Some(rate) = args.pictures.input_fps {
        job = job.input_frame_rate(rate);
    }
    if let Some(size) = args.pictures.size {
        job = job.size(size);
    }
    if let Some(format) = args.pictures.pix_fmt {
        job = job.pixel_format(format);
    }
    if let Some(device) = &args.backends.device {
        job = job.device(device);
    }
    job = job.engines(args.backends.engines);
    if let Some(threads) = args.backends.threads {
        job = job.threads(threads);
    }
    finish("transcode", &args.output, job, &args.encoder, &args.part, &args.job)
}

/// Sets what every encoding job has, does it and tells.
pub(crate) fn finish(
    command: &'static str,
    output: &Path,
    job: Transcode<'_>,
    encoder: &EncoderArgs,
    part: &PartArgs,
    options: &JobArgs,
) -> Result<Exit> {
    let interrupts = Interrupts::install(options.quiet, Some(output))?;
    let mut view = ProgressView::new(options.quiet);
    let job = with_part(with_encoder(job, encoder), part)
        .overwrite(options.overwrite)
        .keep_going(options.keep_going)
        .cancel_token(interrupts.token.clone())
        .ends_process()
        .on_progress(|state| {
            interrupts.check_abort();
            view.update(state);
        });
    let result = job.run();
    view.clear();
    let report = result?;
    Finished::transcode(command, &report).tell(options)
}

fn with_encoder<'a>(mut job: Transcode<'a>, args: &EncoderArgs) -> Transcode<'a> {
    if let Some(codec) = args.codec {
        job = job.codec(codec);
    }
    if let Some(rate_control) = rate_control(args) {
        job = job.rate_control(rate_control);
    }
    if let Some(frames) = args.gop {
        job = job.gop_length(frames);
    }
    if let Some(frames) = args.bframes {
        job = job.b_frames(frames);
    }
    if let Some(speed) = args.speed {
        let special = SoftwareEncodeConfig { speed: Some(speed) };
        job = job.backend_config(BackendEncodeConfig::Software(special));
    }
    if let Some(special) = nvidia(args) {
        job = job.backend_config(BackendEncodeConfig::Nvidia(special));
    }
    if let Some(special) = ffmpeg(args) {
        job = job.backend_config(BackendEncodeConfig::Ffmpeg(special));
    }
    job = job.faststart(args.faststart).fragmented(args.fragmented);
    if let Some(format) = &args.format {
        job = job.output_format(format.as_str());
    }
    job
}

/// Settings that only NVENC has; with any of them no other encoder is taken.
fn nvidia(args: &EncoderArgs) -> Option<NvidiaEncodeConfig> {
    if args.preset.is_none() && args.tune.is_none() && args.max_in_flight.is_none() {
        return None;
    }
    let mut special =
        NvidiaEncodeConfig { preset: args.preset.clone(), tuning: args.tune.clone(), ..Default::default() };
    if let Some(pictures) = args.max_in_flight {
        special.max_in_flight_outputs = usize::from(pictures);
    }
    Some(special)
}

/// Settings of encoders inside ffmpeg; with any of them no other encoder is taken.
fn ffmpeg(args: &EncoderArgs) -> Option<FfmpegEncodeConfig> {
    let special = FfmpegEncodeConfig {
        encoder: args.encoder.clone(),
        preset: args.encoder_preset.clone(),
        tune: args.encoder_tune.clone(),
        quality: args.crf,
        card: None,
        options: args.encoder_option.clone(),
    };
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

fn rate_control(args: &EncoderArgs) -> Option<RateControl> {
    match (args.qp, args.bitrate) {
        (Some(qp), _) => Some(RateControl::ConstQp { intra: qp, inter_p: qp, inter_b: qp }),
        (None, Some(bitrate_bps)) if args.cbr => Some(RateControl::Cbr { bitrate_bps }),
        (None, Some(avg_bps)) => Some(RateControl::Vbr { avg_bps, max_bps: args.max_bitrate }),
        (None, None) => None,
    }
}
