//! `encode`: uncompressed pictures and images to a compressed file.

use std::path::Path;

use video_hw::backend::Backend;
use video_hw::pipeline::Transcode;
use video_hw::rawvideo::{PictureTimes, VideoFormat, is_image_input};
use video_hw::time::Rational;
use video_hw::{Error, Result};
use video_hw_terminal::parse::is_headerless;

use crate::args::EncodeArgs;
use crate::exit::Exit;
use crate::transcode;

pub(crate) fn run(args: &EncodeArgs) -> Result<Exit> {
    let mut job =
        Transcode::new(&args.input, &args.output).encode_backend(args.backend.unwrap_or(Backend::Auto));
    if is_image_input(&args.input) {
        job = images(args, job)?;
    } else if let Some(format) = headerless(args)? {
        job = job.raw_input(format);
    }
    if let Some(times) = times(args)? {
        job = job.times(times);
    }
    if let Some(crop) = args.crop.crop {
        job = job.crop(crop);
    }
    if let Some(size) = args.scale {
        job = job.size(size);
    }
    if let Some(device) = &args.device {
        job = job.device(device);
    }
    job = job.limits(args.limits.limits());
    if let Some(threads) = args.threads {
        job = job.threads(threads);
    }
    let job = transcode::with_encoder(job, &args.encoder, args.backend.unwrap_or_default())?;
    transcode::finish("encode", &args.output, job.on_failure(args.failure.policy()), &args.part, &args.job)
}

/// What is said about images.
fn images<'a>(args: &EncodeArgs, mut job: Transcode<'a>) -> Result<Transcode<'a>> {
    if args.size.is_some() || args.pix_fmt.is_some() {
        return Err(Error::invalid(
            "--size and --pix-fmt describe headerless input, but images state their own; give --scale to change the size",
        ));
    }
    if let Some(rate) = args.fps {
        job = job.input_frame_rate(rate);
    }
    Ok(job)
}

fn times(args: &EncodeArgs) -> Result<Option<PictureTimes>> {
    if let Some(unit) = args.times_from_names {
        if !is_image_input(&args.input) {
            return Err(Error::invalid("--times-from-names is for images, whose names end in their times"));
        }
        return Ok(Some(PictureTimes::Names(unit.into())));
    }
    let unit = args.time_unit.into();
    Ok(args.timestamps.clone().map(|path| PictureTimes::File { path, unit }))
}

/// The layout of headerless input; `None` for input that states its own.
fn headerless(args: &EncodeArgs) -> Result<Option<VideoFormat>> {
    let stated = args.size.is_some() || args.pix_fmt.is_some() || args.fps.is_some();
    if !is_headerless(&args.input, stated) {
        if stated {
            return Err(Error::invalid(format!(
                "--size, --pix-fmt and --fps describe headerless input, but {} states its own; give --scale to change the size",
                args.input.display()
            )));
        }
        return Ok(None);
    }
    // Where a list gives the times there is no rate to state.
    let rate = args.fps.or(args.timestamps.as_ref().map(|_| Rational::ONE));
    if let (Some(size), Some(format), Some(rate)) = (args.size, args.pix_fmt, rate) {
        return Ok(Some(VideoFormat::new(format, size, rate)));
    }
    let missing: Vec<_> = [
        (args.size.is_none(), "--size WxH"),
        (args.pix_fmt.is_none(), "--pix-fmt NAME"),
        (rate.is_none(), "--fps RATE (or --timestamps FILE)"),
    ]
    .into_iter()
    .filter_map(|(missing, option)| missing.then_some(option))
    .collect();
    Err(Error::invalid(format!(
        "headerless input {} needs {}",
        if args.input == Path::new("-") { "on standard input".into() } else { args.input.to_string_lossy() },
        missing.join(" and ")
    )))
}
