//! What one item costs on its way through the bounded queue: on one thread, and from one thread to another.
//!
//! ```console
//! $ cargo bench --bench queue
//! ```

#![allow(missing_docs, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The library's queue, which is no part of its interface.
#[path = "../src/util/queue.rs"]
#[allow(unreachable_pub, reason = "the library shows a part of it")]
#[allow(dead_code, reason = "a bench uses a part")]
mod queue;
#[path = "../src/util/sync.rs"]
#[allow(dead_code, reason = "a bench uses a part")]
mod sync;

const ITEMS: u64 = 10_000;

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(ITEMS));
    group.bench_function("one thread", |b| {
        let (sender, receiver) = queue::bounded(4);
        b.iter(|| {
            for item in 0..ITEMS {
                let _ = sender.try_send(item);
                std::hint::black_box(receiver.try_recv());
            }
        });
    });
    for capacity in [1, 4, 64] {
        group.bench_function(format!("two threads, capacity {capacity}"), |b| {
            b.iter(|| {
                let (sender, receiver) = queue::bounded(capacity);
                std::thread::scope(|scope| {
                    scope.spawn(move || {
                        for item in 0..ITEMS {
                            if sender.send(item).is_err() {
                                break;
                            }
                        }
                    });
                    while let Some(item) = receiver.recv() {
                        std::hint::black_box(item);
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(queue_benches, benches);
criterion_main!(queue_benches);
