//! The seeds of the fuzz targets that have an entrance of their own: each goes through whole, cut off at up to a
//! thousand places, and with hundreds of mutations or more, the same ones in every run. Fuzzing for hours is `scripts/fuzz.sh`.

use std::path::Path;

/// A generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// A few changes of the kinds that fuzzers make: bytes, numbers at their limits, pieces left out, repeated and moved.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            2 => bytes.truncate(at),
            3 => {
                let end = at + numbers.below((bytes.len() - at).min(64));
                bytes.drain(at..end);
            }
            4 => {
                let from = numbers.below(other.len());
                let piece = &other[from..from + numbers.below((other.len() - from).min(64))];
                bytes.splice(at..at, piece.iter().copied());
            }
            _ => bytes.extend(std::iter::repeat_n(0xff, numbers.below(20))),
        }
    }
}

fn through(target: &str, entrance: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let seeds: Vec<_> = names.iter().map(|name| std::fs::read(name).unwrap()).collect();
    assert!(seeds.len() >= 3, "{target}");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for seed in &seeds {
        // Of what is long, not everywhere and not so often: whole files take a while.
        (0..=seed.len()).step_by(1 + seed.len() / 1000).for_each(|length| entrance(&seed[..length]));
        for _ in 0..(2_000_000 / seed.len().max(1)).clamp(200, 2000) {
            let mut bytes = seed.clone();
            let other = &seeds[numbers.below(seeds.len())];
            mutate(&mut bytes, other, &mut numbers);
            entrance(&bytes);
        }
    }
}

#[test]
fn what_a_child_ffmpeg_writes() {
    through("nut", video_hw::fuzzing::nut);
}

#[test]
fn png_and_jpeg_files() {
    through("images", video_hw::fuzzing::image);
}

#[test]
fn indices_of_video_files() {
    through("reader_index", video_hw::fuzzing::reader_index);
}

#[test]
fn mpeg2_streams() {
    through("mpeg2_stream", |bytes| {
        let chunk = bytes.first().copied().unwrap_or(1);
        video_hw::fuzzing::mpeg2(bytes.get(1..).unwrap_or_default(), usize::from(chunk));
    });
}

#[test]
fn what_a_probing_child_says() {
    through("probing_wire", video_hw::fuzzing::probing);
}

#[test]
fn matroska_files() {
    through("matroska", video_hw::fuzzing::matroska);
}

#[test]
fn transport_streams() {
    use video_hw::container::Demuxer;
    use video_hw::container::mpegts::MpegTsDemuxer;
    through("mpegts", |bytes| {
        let Ok(mut demuxer) = MpegTsDemuxer::new(std::io::Cursor::new(bytes), "seed") else { return };
        let mut given = 0;
        loop {
            match demuxer.next_packet() {
                Ok(Some(packet)) => given += packet.data.len(),
                Err(error) if error.is_recoverable() => {}
                _ => break,
            }
        }
        assert!(given <= bytes.len(), "no byte is given out twice");
    });
}
