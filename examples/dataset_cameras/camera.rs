//! One camera: its pictures and times, and its way into a file.

use std::path::Path;
use std::time::{Duration, Instant};

use video_hw::container::{MuxOptions, OutputFormat, Track, TrackId, TrackKind, VideoTrack, create_muxer};
use video_hw::dataset::{
    EncodedChunk, EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder,
};
use video_hw::dimensions::Dimensions;
use video_hw::output_file::OutputFile;
use video_hw::packet::BitstreamLayout;
use video_hw::pipeline::RingStats;
use video_hw::time::{TimeBase, Timestamp};

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Times are whole microseconds, as a robot's log has them.
pub(crate) const TICKS: i64 = 1_000_000;
/// Pictures of a camera that differ; they are shown in turn, so that making them is not what is measured.
const PICTURES: usize = 24;

/// When a camera's pictures were taken: about thirty a second, never the same interval twice in a row, and now and then one
/// was dropped by the camera.
pub(crate) fn times(camera: usize, frames: usize) -> Vec<i64> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(camera as u64 + 1);
    let mut at = 0;
    let mut times = Vec::with_capacity(frames);
    for _ in 0..frames {
        times.push(at);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let shaken = 25_000 + (random % 16_667) as i64;
        at += if random.is_multiple_of(41) { shaken + 33_333 } else { shaken };
    }
    times
}

/// Returns the times of a clock that is set back by an hour half-way.
pub(crate) fn stepped_back(mut times: Vec<i64>) -> Vec<i64> {
    let middle = times.len() / 2;
    times.iter_mut().skip(middle).for_each(|time| *time -= 3600 * TICKS);
    times
}

/// Packed R, G, B: a scene that moves, with detail and a little noise, so that an encoder has work to do.
pub(crate) fn pictures(camera: usize, size: Dimensions) -> Vec<Vec<u8>> {
    let (width, height) = (size.width() as usize, size.height() as usize);
    let mut random = camera as u32 + 1;
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 29) as usize
    };
    let picture = |number: usize, noise: &mut dyn FnMut() -> usize| {
        let mut data = Vec::with_capacity(width * height * 3);
        // Back and forth, so that showing the pictures in turn does not jump.
        let shift = 4 * number.min(PICTURES - number);
        for y in 0..height {
            for x in 0..width {
                let (u, v) = (x + shift, y + shift / 2);
                let checks = ((u / 24) ^ (v / 24)) % 7 * 18;
                let shade = 40 + checks + (u * 3 + v * 2) % 64 + noise();
                data.extend(
                    [shade, shade / 2 + v % 97, 220 - shade + 20 * camera % 60].map(|c| c.min(255) as u8),
                );
            }
        }
        data
    };
    (0..PICTURES).map(|number| picture(number, &mut noise)).collect()
}

/// What became of a camera's pictures.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) encoder: EncoderType,
    pub(crate) frames: usize,
    pub(crate) raw_bytes: u64,
    pub(crate) coded_bytes: u64,
    pub(crate) took: Duration,
    pub(crate) ring: Option<RingStats>,
    /// Pictures whose time could not follow the one before.
    pub(crate) corrected: u64,
}

/// Encodes the pictures in turn, one at each time, into an MP4 file.
pub(crate) fn record(
    path: &Path,
    config: &EncoderConfig,
    gpu: &GpuEncoderConfig,
    pictures: &[Vec<u8>],
    times: &[i64],
    begin: &std::sync::Barrier,
) -> Result<Recorded, AnyError> {
    let prepared = prepare(path, config, gpu);
    // All begin together, also when one of them could not be opened: nobody is waited for in vain.
    begin.wait();
    let (mut encoder, file, mut muxer, track, base) = prepared?;
    let begun = Instant::now();
    let mut coded_bytes = 0;
    let mut write = |chunk: EncodedChunk| {
        coded_bytes += chunk.data.len() as u64;
        muxer.write(&chunk.into_packet().on(track))
    };
    for (picture, at) in pictures.iter().cycle().zip(times) {
        if let Some(chunk) = encoder.encode_frame_at(picture, Timestamp::new(*at, base))? {
            write(chunk)?;
        }
    }
    encoder.flush()?.into_iter().try_for_each(write)?;
    let took = begun.elapsed();
    let summary = encoder.summary()?;
    let written = muxer.finish()?;
    drop(muxer);
    if !summary.stream.ledger.balances() || written.samples != times.len() as u64 {
        return Err(format!("{} pictures, {} in the file", times.len(), written.samples).into());
    }
    file.commit()?;
    Ok(Recorded {
        encoder: encoder.encoder_type(),
        frames: times.len(),
        raw_bytes: pictures.first().map_or(0, Vec::len) as u64 * times.len() as u64,
        coded_bytes,
        took,
        ring: summary.ring,
        corrected: summary.times.pictures,
    })
}

type Prepared = (SessionVideoEncoder, OutputFile, Box<dyn video_hw::container::Muxer>, TrackId, TimeBase);

fn prepare(path: &Path, config: &EncoderConfig, gpu: &GpuEncoderConfig) -> Result<Prepared, AnyError> {
    let encoder = SessionVideoEncoder::open(config, gpu)?;
    let base = TimeBase::new(1, TICKS as u32).ok_or("a time base")?;
    let file = OutputFile::create(path, true, &[])?;
    let mut muxer = create_muxer(OutputFormat::Mp4, &file, MuxOptions::default())?;
    let video = VideoTrack {
        frame_rate: Some(config.frame_rate),
        ..VideoTrack::new(config.codec, BitstreamLayout::elementary(config.codec), config.resolution)
    };
    let track = muxer.add_track(&Track {
        id: TrackId(0),
        kind: TrackKind::Video,
        time_base: base,
        codec_name: config.codec.name().to_owned(),
        language: None,
        duration: None,
        sample_count: None,
        video: Some(video),
        copy: None,
    })?;
    Ok((encoder, file, muxer, track, base))
}
