//! What figures cost: what sessions note for each frame, whether anybody looks or not, and what one look costs.

#![allow(clippy::unwrap_used, missing_docs, reason = "a failure here is a failed run")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use video_hw::backend::mock::{MockDecoder, mock_packet};
use video_hw::codec::Codec;
use video_hw::config::CommonDecodeConfig;
use video_hw::metrics::snapshot;
use video_hw::session::{DecodeSession, Submit};
use video_hw::stages::{Histogram, Jitter};

/// Frames that a session has had when it is looked at, with times of all kinds.
const FRAMES: u64 = 200;

fn sessions(count: usize) -> Vec<DecodeSession> {
    let open = |number: usize| {
        let mut config = CommonDecodeConfig::new(Codec::H264);
        config.stream = Some(format!("stream {number}"));
        let mut session =
            DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink))).unwrap();
        for frame in 0..FRAMES {
            let mut packet = mock_packet(frame);
            while let Submit::Full(back) = session.submit(packet).unwrap() {
                packet = back;
                session.reap_timeout(Duration::from_millis(1)).unwrap();
            }
        }
        session.drain().unwrap().for_each(|frame| drop(frame.unwrap()));
        session
    };
    (0..count).map(open).collect()
}

fn figures(c: &mut Criterion) {
    let (calls, output, mut jitter) = (Histogram::default(), Histogram::default(), Jitter::default());
    let mut at = Instant::now();
    let mut step = 0_u64;
    c.bench_function("what a session notes for a frame", |b| {
        b.iter(|| {
            step = (step + 7919) % 1_000_003;
            at += Duration::from_nanos(step);
            calls.record(black_box(Duration::from_nanos(step)));
            output.record(black_box(Duration::from_nanos(step / 3)));
            jitter.arrived(black_box(at));
        });
    });
    for count in [1, 100] {
        let open = sessions(count);
        c.bench_function(&format!("a look at {count} sessions"), |b| {
            b.iter(|| black_box(snapshot().to_prometheus()).len());
        });
        drop(open);
    }
}

criterion_group!(benches, figures);
criterion_main!(benches);
