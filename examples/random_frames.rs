//! Takes frames of a file out of order, as a data loader does: by number, by time, and many at once.
//!
//! ```console
//! $ cargo run --release --example random_frames -- clips/bars.mp4 40 3 119 3
//! clips/bars.mp4: 120 frames, 4.004 s, 2 of them key frames
//! frame 40 at 1.335 s: 224x126, mean 116
//! ...
//! ```

use std::time::Duration;

use video_hw::reader::Reader;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: random_frames IN [NUMBER]...")?;
    let numbers = args.map(|number| number.parse()).collect::<Result<Vec<usize>, _>>()?;

    let mut film = Reader::builder(&path).width(224).rgb().open()?;
    let (frames, length) = (film.len(), film.duration());
    println!(
        "{path}: {frames} frames, {:.3} s, {} of them key frames",
        length.as_secs_f64(),
        film.key_frames().count()
    );

    // Each group of pictures is decoded once; the frames come in the order of the list.
    let wanted = numbers.clone();
    for (number, frame) in wanted.into_iter().zip(film.frames(numbers)?) {
        let frame = frame?;
        let rgb = frame.as_host().ok_or("a frame in host memory")?.to_packed();
        let mean = rgb.iter().map(|sample| u64::from(*sample)).sum::<u64>() / rgb.len() as u64;
        println!("frame {number} at {:.3} s: {}, mean {mean}", frame.pts.as_secs_f64(), frame.dimensions);
    }

    // By time: the frame that is on the screen then.
    let middle: Duration = length / 2;
    let shown = film.frame_at(middle)?;
    println!("at {:.3} s: the frame of {:.3} s", middle.as_secs_f64(), shown.pts.as_secs_f64());
    Ok(())
}
