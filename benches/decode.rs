//! Decoding through sessions: each codec on each backend that is here.
//!
//! ```console
//! $ cargo bench --bench decode [-- FILTER]
//! ```
//!
//! What is measured is asked of the machine: a backend that cannot decode a codec here is named with its reason and left
//! out, so that the same command runs everywhere.

#![allow(missing_docs, reason = "a bench")]

use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use video_hw::backend::{Backend, query_capability};
use video_hw::codec::Codec;
use video_hw::config::DecodeOutputMode;

const CLIPS: [(Codec, &str); 4] = [
    (Codec::H264, "small.h264"),
    (Codec::Hevc, "small.h265"),
    (Codec::Av1, "small-av1.ivf"),
    (Codec::Vp9, "small-vp9.ivf"),
];

fn decode(clip: &Path, backend: Backend, output: DecodeOutputMode) -> video_hw::Result<u64> {
    let mut frames = video_hw::frames(clip).backend(backend).output(output).open()?;
    let mut count = 0;
    while frames.next_frame()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn benches(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips");
    for (codec, name) in CLIPS {
        let clip = folder.join(name);
        let mut group = criterion.benchmark_group(format!("decode/{}", codec.name()));
        group.sample_size(10).measurement_time(Duration::from_secs(4));
        for (kind, able) in query_capability(codec) {
            match able {
                Ok(report) if report.decode.is_some() => {}
                Ok(_) => {
                    println!("{}: does not decode {} here", kind.name(), codec.name());
                    continue;
                }
                Err(error) => {
                    println!("{}: {error}", kind.name());
                    continue;
                }
            }
            for (what, output) in
                [("native", DecodeOutputMode::HostSurface), ("rgb", DecodeOutputMode::CpuRgb)]
            {
                let only = Backend::Only(kind);
                match decode(&clip, only, output) {
                    Ok(frames) => group.throughput(Throughput::Elements(frames)),
                    Err(error) => {
                        println!("{} {what}: {error}", kind.name());
                        continue;
                    }
                };
                group.bench_function(BenchmarkId::new(kind.name(), what), |b| {
                    b.iter(|| decode(&clip, only, output));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(decode_benches, benches);
criterion_main!(decode_benches);
