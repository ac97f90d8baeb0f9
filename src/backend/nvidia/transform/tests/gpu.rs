//! Through the driver that is there. By hand on a machine with a GPU:
//!
//! ```text
//! cargo test --lib --no-run            # prints the name of the test binary
//! BINARY --ignored --nocapture gpu_check
//! ```

use std::sync::Arc;

use super::cases::{Case, color, same_size, scaled, shifts, size};
use super::judge::{Errors, judge};
use super::{Laid, Machine};
use crate::backend::nvidia::driver::cuda::{Context, Stream, cuda};
use crate::backend::nvidia::driver::scratch::{Scratch, milliseconds};
use crate::backend::nvidia::transform::{Converter, Source};
use crate::color::ColorRange;
use crate::pixel::PixelFormat;

pub(super) struct Device {
    context: Arc<Context>,
    stream: Stream,
    /// Keeps the kernels loaded between the cases.
    _kernels: Converter,
}

impl Device {
    pub(super) fn first() -> Self {
        let context = Context::of(0).unwrap();
        let stream = Stream::new(&context).unwrap();
        let kernels = converter(&context, &same_size()[0]);
        Self { context, stream, _kernels: kernels }
    }

    /// Microseconds of a case, the fastest of some batches.
    fn microseconds(&self, case: &Case) -> f32 {
        const TIMES: u16 = 100;
        let (source, target) = (case.source(), case.target());
        let (from, to) =
            (Scratch::new(&self.context, &source.bytes), Scratch::new(&self.context, &target.bytes));
        let converter = converter(&self.context, case);
        let (source, target) = (source.at(from.address), target.at(to.address));
        let batch = || {
            milliseconds(&self.stream, || {
                for _ in 0..TIMES {
                    // SAFETY: both pictures live until the clock was read, behind all of this.
                    unsafe { converter.launch(&source, &target).unwrap().enqueue(&self.stream) }.unwrap();
                }
            })
        };
        (0..10).map(|_| batch()).fold(f32::INFINITY, f32::min) * 1000.0 / f32::from(TIMES)
    }
}

fn converter(context: &Arc<Context>, case: &Case) -> Converter {
    Converter::new(context, case.from, case.to, case.color, case.to_size).unwrap()
}

impl Machine for Device {
    fn convert(&self, case: &Case, source: &Laid, target: &Laid) -> Vec<u8> {
        let (from, to) =
            (Scratch::new(&self.context, &source.bytes), Scratch::new(&self.context, &target.bytes));
        let converter = converter(&self.context, case);
        // SAFETY: both pictures live and are left alone until the stream was waited for.
        unsafe {
            converter.launch(&source.at(from.address), &target.at(to.address)).unwrap().enqueue(&self.stream)
        }
        .unwrap();
        self.stream.synchronize().unwrap();
        to.read()
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU; see the top of the file"]
fn gpu_check() {
    let begin = std::time::Instant::now();
    let device = Device::first();
    println!("{}; kernels ready after {:.0?}", cuda().unwrap().device(0).unwrap().name, begin.elapsed());
    for (what, cases) in [("same size", same_size()), ("shift", shifts()), ("scaled", scaled())] {
        let mut worst = Errors::default();
        for case in &cases {
            worst.merge(judge(&device, case));
        }
        println!("{what}: {} cases, largest errors {worst:?}", cases.len());
    }
    let full_hd = size(1920, 1080);
    let formats = [
        (PixelFormat::Nv12, 0),
        (PixelFormat::P010, 0),
        (PixelFormat::P016, 0),
        (PixelFormat::I444, 0),
        (PixelFormat::I410, 6),
    ];
    let targets = [PixelFormat::Rgb24, PixelFormat::Rgba, PixelFormat::RgbF32Planar];
    for (format, shift) in formats {
        for to in targets {
            for to_size in [full_hd, size(1280, 720), size(640, 360), size(224, 224)] {
                let case = Case {
                    from: Source { format, dimensions: full_hd, shift },
                    to,
                    color: color(1, Some(ColorRange::Limited)),
                    to_size,
                    alignment: 512,
                };
                println!("{format} {full_hd} to {to} {to_size}: {:.1} us", device.microseconds(&case));
            }
        }
    }
}
