//! Throughput of the start-code scan and of access-unit assembly on data like coded video: random bytes
//! with emulation prevention, a slice of some kilobytes behind every start code.

// A bench may stop at a surprise.
#![allow(clippy::expect_used)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use video_hw::bitstream::AccessUnitAssembler;
use video_hw::bitstream::annexb::{add_emulation_prevention, nal_units};
use video_hw::codec::Codec;

/// `count` H.265 pictures of one slice of about `size` bytes.
fn pictures(count: usize, size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut out = Vec::new();
    for _ in 0..count {
        out.extend_from_slice(&[0, 0, 0, 1, 0x02, 0x01, 0x80]);
        let payload: Vec<u8> = (0..size)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        add_emulation_prevention(&payload, &mut out);
        out.push(0x80);
    }
    out
}

fn throughput(c: &mut Criterion) {
    let stream = pictures(500, 16 * 1024);
    let mut group = c.benchmark_group("annexb");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("nal_units", |b| {
        b.iter(|| assert_eq!(nal_units(black_box(&stream)).count(), 500));
    });
    for chunk in [4096, 64 * 1024, 1 << 20] {
        group.bench_with_input(BenchmarkId::new("assemble", chunk), &chunk, |b, &chunk| {
            b.iter(|| {
                let mut assembler = AccessUnitAssembler::new(Codec::Hevc).expect("H.265 has NAL units");
                let mut units = 0;
                for piece in black_box(&stream).chunks(chunk) {
                    assembler.push(piece).expect("units are small");
                    while assembler.next_unit().is_some() {
                        units += 1;
                    }
                }
                assembler.finish();
                assert_eq!(units, 499);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = throughput
}
criterion_main!(benches);
