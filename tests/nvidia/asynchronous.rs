//! Sessions and rings as streams and sinks: the same packets as without, no wake-up lost, nothing left behind.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::stream::FusedStream;
use futures_util::{SinkExt, StreamExt, TryStreamExt, future, stream};

use video_hw::asynchronous::{AsyncDecoder, AsyncEncoder, RingSink, RingStream};
use video_hw::backend::BackendKind;
use video_hw::backend::mock::{MockDecoder, MockEncoder, Script, mock_packet};
use video_hw::codec::Codec;
use video_hw::config::{ColorRequest, CommonDecodeConfig, CommonEncodeConfig};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pipeline::frame_ring;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

use crate::support::nvidia::{clean_on, decode, packets, threads_left};

/// Longer than anything here takes on a busy machine: who is not done by then sleeps for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a future to its end on each kind of executor; one that never ends fails instead of hanging.
fn on_each_executor<F: Future<Output: Send> + Send + 'static>(
    make: impl Fn() -> F + Send + 'static,
) -> Vec<F::Output> {
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        let single = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let several = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
        tx.send(futures_executor::block_on(make())).unwrap();
        tx.send(single.block_on(make())).unwrap();
        tx.send(several.block_on(async { tokio::spawn(make()).await.unwrap() })).unwrap();
    });
    (0..3).map(|_| rx.recv_timeout(PATIENCE).expect("a wake-up was lost, or a task panicked")).collect()
}

fn size() -> Dimensions {
    Dimensions::new(16, 16).unwrap()
}

fn rate() -> Rational {
    Rational::new(25, 1).unwrap()
}

fn frame(number: u64) -> Frame {
    let surface = HostSurface::from_packed(PixelFormat::I420, size(), vec![number as u8; 384]).unwrap();
    Frame::host(Timestamp::new(number as i64, TimeBase::new(1, 25).unwrap()), surface)
}

fn mock_decoder(script: Script) -> AsyncDecoder {
    let mock = MockDecoder { script, reorder_depth: 2, ..MockDecoder::default() };
    DecodeSession::with_backend(CommonDecodeConfig::new(Codec::H264), |sink| Ok(mock.open(sink)))
        .unwrap()
        .into()
}

fn mock_encoder(script: Script) -> AsyncEncoder {
    let config = CommonEncodeConfig::new(Codec::H264, size(), rate());
    let mock = MockEncoder { script, b_frames: 2 };
    EncodeSession::with_backend(config, |sink| Ok(mock.open(sink))).unwrap().into()
}

/// Decodes and encodes by streams: three futures, which may be polled in any order.
async fn transcode(
    decoder: impl Into<AsyncDecoder>,
    encoder: impl Into<AsyncEncoder>,
    packets: Vec<Packet>,
) -> Result<Vec<Packet>, Error> {
    let (mut coded, frames) = decoder.into().split();
    let (pictures, out) = encoder.into().split();
    let feed = async move {
        for packet in packets {
            coded.feed(packet).await?;
        }
        coded.close().await
    };
    let (fed, forwarded, out) = future::join3(feed, frames.forward(pictures), out.try_collect()).await;
    fed?;
    forwarded?;
    out
}

fn software(config: &CommonDecodeConfig) -> DecodeSession {
    DecodeSession::new(BackendKind::Software, config.clone()).unwrap()
}

fn encoder_of(first: &Frame) -> EncodeSession {
    let config =
        CommonEncodeConfig::new(Codec::H264, first.dimensions, rate()).format(first.format).gop_length(12);
    EncodeSession::new(BackendKind::Software, config).unwrap()
}

type Told = (Vec<u8>, Option<Timestamp>, Option<Timestamp>, bool);

fn told(packets: &[Packet]) -> Vec<Told> {
    packets.iter().map(|p| (p.data.to_vec(), p.pts, p.dts, p.keyframe)).collect()
}

/// The same by the sessions' own calls.
fn reference(config: &CommonDecodeConfig, packets: &[Packet]) -> (Frame, Vec<Told>) {
    let (frames, errors) = decode(&mut software(config), packets);
    assert!(errors.is_empty(), "{errors:?}");
    let first = frames[0].clone();
    let (mut input, mut output) = encoder_of(&first).split();
    let feeder = std::thread::spawn(move || {
        for frame in frames {
            input.submit_blocking(frame).unwrap();
        }
        input.flush().unwrap();
    });
    let out: Vec<_> = std::iter::from_fn(|| output.reap().unwrap()).collect();
    feeder.join().unwrap();
    (first, told(&out))
}

#[test]
fn transcoding_by_streams_equals_the_sessions_packet_for_packet() {
    for (clip, convert) in [
        ("small.h264", ColorRequest::KeepNative),
        ("small.h265", ColorRequest::KeepNative),
        ("small-vp9.ivf", ColorRequest::To(PixelFormat::Nv12)),
        ("bars.mp4", ColorRequest::KeepNative),
    ] {
        let (config, packets) = packets(clip);
        // Conversions are finished by other threads, which wake the task, too.
        let config = config.convert(convert);
        let (first, expected) = reference(&config, &packets);
        assert_eq!(expected.len(), packets.len());
        let results = on_each_executor(move || {
            let (decoder, encoder) = (software(&config), encoder_of(&first));
            transcode(decoder, encoder, packets.clone())
        });
        for out in results {
            assert!(told(&out.unwrap()) == expected, "{clip}");
        }
    }
}

/// A source of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// Goes to the end of the executor's line now and then; sometimes the thread sleeps, so that queues run full and dry.
    async fn dawdle(&mut self) {
        match self.roll(40) {
            0 => std::thread::sleep(Duration::from_micros(300)),
            1..8 => tokio::task::yield_now().await,
            _ => {}
        }
    }
}

#[test]
fn no_wake_up_is_lost() {
    const ITEMS: u64 = 600;
    let counts = on_each_executor(|| {
        let streams = (0..6_u64).map(|seed| async move {
            let (mut coded, mut frames) = mock_decoder(Script::default()).split();
            let (mut pictures, mut out) = mock_encoder(Script::default()).split();
            let feed = async {
                let mut dice = Dice(seed);
                for number in 0..ITEMS {
                    dice.dawdle().await;
                    coded.feed(mock_packet(number)).await.unwrap();
                }
                coded.close().await.unwrap();
            };
            let pass = async {
                let mut dice = Dice(seed + 100);
                while let Some(frame) = frames.next().await {
                    dice.dawdle().await;
                    pictures.feed(frame.unwrap()).await.unwrap();
                }
                pictures.close().await.unwrap();
            };
            let count = async {
                let mut dice = Dice(seed + 200);
                let mut count = 0;
                while let Some(packet) = out.next().await {
                    dice.dawdle().await;
                    packet.unwrap();
                    count += 1;
                }
                count
            };
            future::join3(feed, pass, count).await.2
        });
        // Streams side by side: what wakes one must not be needed by another.
        stream::iter(streams).buffer_unordered(6).collect::<Vec<u64>>()
    });
    assert_eq!(counts, vec![vec![ITEMS; 6]; 3]);
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_session_that_is_full_makes_its_sink_wait() {
    let (mut pictures, mut out) = mock_encoder(Script::default()).split();
    let mut fed = 0;
    // What nobody takes piles up no further than the queues go.
    let waited = loop {
        let mut next = pictures.feed(frame(fed));
        let begun = std::time::Instant::now();
        let taken = loop {
            match poll(&mut next) {
                Poll::Ready(done) => break done.is_ok(),
                Poll::Pending if begun.elapsed() > Duration::from_secs(3) => break false,
                Poll::Pending => std::thread::yield_now(),
            }
        };
        if !taken {
            break fed;
        }
        fed += 1;
        assert!(fed < 200, "nothing holds it back");
    };
    assert!(waited >= 4, "{waited}");
    // A frame whose future was dropped was not taken; it goes in once somebody takes packets.
    let rest = async {
        for number in waited..200 {
            pictures.feed(frame(number)).await.unwrap();
        }
        pictures.close().await.unwrap();
    };
    let count = async {
        let packets: Vec<_> = out.by_ref().try_collect().await.unwrap();
        packets.len()
    };
    assert_eq!(futures_executor::block_on(future::join(rest, count)).1, 200);
    assert!(out.is_terminated());
    assert!(out.summary().ledger.balances());
}

#[test]
fn the_end_tells_whether_the_stream_is_whole() {
    let results = on_each_executor(|| async {
        // Closed: everything comes out, and nothing goes in any more.
        let (mut coded, frames) = mock_decoder(Script::default()).split();
        for number in 0..5 {
            // `send` flushes the sink, which must not flush the codec: its reordering would show.
            coded.send(mock_packet([1, 0, 3, 2, 4][number])).await.unwrap();
        }
        coded.close().await.unwrap();
        coded.close().await.unwrap();
        assert!(matches!(coded.feed(mock_packet(9)).await, Err(Error::InvalidInput { .. })));
        assert!(coded.flush_codec().is_err());
        let shades: Vec<_> =
            frames.map_ok(|f| f.as_host().unwrap().plane(0).unwrap().data()[0]).try_collect().await.unwrap();
        assert_eq!(shades, [0, 1, 2, 3, 4]);

        // The sink went without being closed: what was finished comes, then the reason why nothing follows.
        let (mut coded, frames) = mock_decoder(Script::default()).split();
        for number in 0..5 {
            coded.feed(mock_packet(number)).await.unwrap();
        }
        drop(coded);
        let got: Vec<_> = frames.collect().await;
        assert!(matches!(got.last(), Some(Err(Error::Cancelled))), "{got:?}");
        assert!(got.len() <= 4, "two are held back for reordering: {got:?}");

        // One is lost and the others come; then the session dies, which is the last that is told.
        let script = Script { fail: [1].into(), die: [4].into(), ..Script::default() };
        let (mut coded, frames) = mock_decoder(script).split();
        let feed = async {
            for number in 0..100 {
                if coded.feed(mock_packet(number)).await.is_err() {
                    // Nothing comes out any more, however often that is asked for.
                    return coded.close().await.is_err() && coded.close().await.is_err();
                }
            }
            false
        };
        let (refused, got) = future::join(feed, frames.collect::<Vec<_>>()).await;
        assert!(refused, "a session that has ended takes nothing");
        let errors: Vec<_> = got.iter().filter_map(|frame| frame.as_ref().err()).collect();
        assert!(errors[0].is_recoverable() && !errors.last().unwrap().is_recoverable(), "{errors:?}");
        assert!(got.last().unwrap().is_err());
        true
    });
    assert_eq!(results, [true; 3]);
}

#[test]
fn a_flush_in_the_middle_lets_the_stream_go_on() {
    let results = on_each_executor(|| async {
        let size = Dimensions::new(64, 64).unwrap();
        let picture = |number: i64| {
            let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![90; 64 * 96]).unwrap();
            Frame::host(Timestamp::new(number, TimeBase::new(1, 25).unwrap()), surface)
        };
        let config = CommonEncodeConfig::new(Codec::H264, size, rate());
        let mut encoder = AsyncEncoder::from(EncodeSession::new(BackendKind::Software, config).unwrap());
        for number in 0..3 {
            encoder.feed(picture(number)).await.unwrap();
        }
        encoder.flush_codec().unwrap();
        for number in 3..6 {
            encoder.feed(picture(number)).await.unwrap();
        }
        // A frame of another size is refused, and the stream goes on.
        assert!(encoder.feed(frame(9)).await.is_err());
        encoder.close().await.unwrap();
        let packets: Vec<_> = encoder.by_ref().try_collect().await.unwrap();
        assert!(encoder.is_terminated());
        assert_eq!(encoder.summary().ledger.delivered, 6);
        packets.iter().map(|packet: &Packet| packet.keyframe).collect::<Vec<_>>()
    });
    assert_eq!(results, vec![[true, false, false, true, false, false]; 3]);
}

#[test]
fn flushes_before_the_session_became_a_stream_do_not_end_it() {
    let results = on_each_executor(|| async {
        let mock = MockDecoder::default();
        let config = CommonDecodeConfig::new(Codec::H264);
        let mut session = DecodeSession::with_backend(config, |sink| Ok(mock.open(sink))).unwrap();
        assert!(matches!(session.submit(mock_packet(0)), Ok(Submit::Accepted)));
        assert_eq!(session.drain().unwrap().flatten().count(), 1);
        let (mut coded, frames) = AsyncDecoder::from(session).split();
        coded.feed(mock_packet(1)).await.unwrap();
        coded.flush_codec().unwrap();
        coded.feed(mock_packet(2)).await.unwrap();
        coded.close().await.unwrap();
        frames.fold(0, |count, frame| future::ready(count + u32::from(frame.is_ok()))).await
    });
    assert_eq!(results, [2; 3]);
}

#[test]
fn a_ring_between_tasks_keeps_order_and_counts() {
    let results = on_each_executor(|| async {
        let (producer, consumer) = frame_ring(3).unwrap();
        let (mut sink, mut frames) = (RingSink::from(producer), RingStream::from(consumer));
        let feed = async {
            for number in 0..50 {
                sink.feed(frame(number)).await.unwrap();
            }
            sink.close().await.unwrap();
            assert!(sink.feed(frame(50)).await.is_err());
        };
        let take = async {
            let times: Vec<_> = frames.by_ref().map(|frame| frame.pts.ticks()).collect().await;
            assert!(times.into_iter().eq(0..50));
        };
        future::join(feed, take).await;
        assert!(frames.is_terminated());
        let stats = frames.ring().stats();
        assert_eq!((stats.pushed, stats.frames.peak, stats.departures.count), (50, 3, 49));

        let (producer, consumer) = frame_ring(1).unwrap();
        let (mut sink, stream) = (RingSink::from(producer), RingStream::from(consumer));
        sink.feed(frame(0)).await.unwrap();
        assert!(poll(&mut sink.feed(frame(1))).is_pending());
        drop(stream);
        assert!(matches!(sink.feed(frame(1)).await, Err(Error::Cancelled)));
        true
    });
    assert_eq!(results, [true; 3]);
}

/// Dropped wherever it happens to be: no thread and nothing of the driver's is left.
#[cfg(target_os = "linux")]
#[test]
fn a_transcode_that_is_dropped_leaves_nothing_behind() {
    clean_on("ada", "a_transcode_that_is_dropped_leaves_nothing_behind", "", || {
        let (config, packets) = packets("bars.mp4");
        let (first, expected) = reference(&config, &packets);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for polls in [1, 3, 10, 30, 100] {
            let decoder = DecodeSession::new(BackendKind::Nvidia, config.clone()).unwrap();
            let hardware =
                CommonEncodeConfig::new(Codec::H264, first.dimensions, rate()).format(PixelFormat::Nv12);
            let encoder = EncodeSession::new(BackendKind::Nvidia, hardware).unwrap();
            let mut job = Box::pin(transcode(decoder, encoder, packets.clone()));
            let done = runtime.block_on(async {
                let mut left = polls;
                future::poll_fn(|cx| {
                    left -= 1;
                    match job.as_mut().poll(cx) {
                        Poll::Pending if left == 0 => Poll::Ready(None),
                        other => other.map(Some),
                    }
                })
                .await
            });
            if let Some(packets) = done {
                assert_eq!(packets.unwrap().len(), expected.len());
            }
            drop(job);
            assert_eq!(threads_left(), Vec::<String>::new(), "after {polls} polls");
        }
    });
}
