//! Transcodes files side by side in tasks: each file's packets are a stream, its decoder and its encoder stand between a
//! sink and a stream, and one thread of tokio's keeps them all moving. The codecs work on threads of their own.
//!
//! ```console
//! $ cargo run --release --features futures --example async_transcode -- clips/small.h264 clips/small-vp9.ivf
//! small.h264: 50 frames, 46000 bytes of H.264
//! small-vp9.ivf: 50 frames, 50209 bytes of H.264
//! ```
//!
//! For whole files with sound and options there is `video_hw::pipeline::transcode`; this shows how a program that is made of
//! tasks (a server, a recorder) has the sessions in its own streams.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures_util::{SinkExt, StreamExt, TryStreamExt, future, stream};

use video_hw::asynchronous::{AsyncDecoder, AsyncEncoder};
use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::{ColorRequest, CommonDecodeConfig, CommonEncodeConfig};
use video_hw::container::{Input, TrackKind, open_input};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession};
use video_hw::time::Rational;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("async_transcode FILE...");
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("async_transcode: {error}");
            return ExitCode::FAILURE;
        }
    };
    let jobs = files.into_iter().map(|file| async move {
        let done = transcode(&file).await;
        let name = file.file_name().unwrap_or(file.as_os_str()).display();
        match &done {
            Ok(line) => println!("{name}: {line}"),
            Err(error) => eprintln!("async_transcode: {name}: {error}"),
        }
        done.is_ok()
    });
    let all_well = runtime.block_on(future::join_all(jobs)).into_iter().all(|well| well);
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn transcode(file: &Path) -> Result<String, AnyError> {
    let (config, packets) = open(file)?;
    let config = config.convert(ColorRequest::To(PixelFormat::Nv12));
    // Opening asks the driver and may take a while: a server would do it on a thread for blocking work.
    let (mut coded, frames) = AsyncDecoder::from(DecodeSession::new(Backend::Auto, config)?).split();
    let mut frames = frames.peekable();

    let feed = async move {
        let mut packets = stream::iter(packets);
        // `send_all` feeds whatever there is room for; `close` has the last frames come out.
        coded.send_all(&mut packets).await?;
        coded.close().await?;
        Ok::<_, AnyError>(())
    };
    let encode = async move {
        // What the frames are like is known when the first one is there.
        let Some(Ok(first)) = std::pin::Pin::new(&mut frames).peek().await else {
            return Err(frames
                .next()
                .await
                .and_then(Result::err)
                .map_or("no picture".into(), AnyError::from));
        };
        let rate = Rational::new(25, 1).ok_or("no rate")?;
        let config = CommonEncodeConfig::new(Codec::H264, first.dimensions, rate)
            .format(first.format)
            .color(first.color);
        let (pictures, packets) = AsyncEncoder::from(EncodeSession::new(Backend::Auto, config)?).split();
        let count = packets.try_fold((0, 0), |(count, bytes), packet| async move {
            // Here a muxer, or a socket.
            Ok((count + 1, bytes + packet.data.len()))
        });
        let (forwarded, counted) = future::join(frames.forward(pictures), count).await;
        forwarded?;
        Ok(counted?)
    };
    let (fed, encoded) = future::join(feed, encode).await;
    let (count, bytes): (u64, usize) = encoded?;
    fed?;
    Ok(format!("{count} frames, {bytes} bytes of H.264"))
}

/// The packets of a file's video. Reading is the caller's: here a demuxer, elsewhere a socket.
fn open(
    file: &Path,
) -> Result<(CommonDecodeConfig, impl Iterator<Item = Result<Packet, video_hw::Error>>), AnyError> {
    let Input::Demuxer(mut demuxer) = open_input(file)? else { return Err("no coded video".into()) };
    let track = demuxer.tracks().iter().find(|track| track.kind == TrackKind::Video).ok_or("no video")?;
    let (id, video) = (track.id, track.video.clone().ok_or("a codec that is not known")?);
    demuxer.select_tracks(&[id]);
    let config = CommonDecodeConfig::new(video.codec).codec_config(video.codec_config).color(video.color);
    Ok((config, std::iter::from_fn(move || demuxer.next_packet().transpose())))
}
