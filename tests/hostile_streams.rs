//! Decoders and hostile streams: they allocate no more than a stream may ask for, nothing stays behind, and the
//! session goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop where something is wrong"
)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use video_hw::Error;
use video_hw::backend::BackendKind;
use video_hw::bitstream::AccessUnitAssembler;
use video_hw::codec::Codec;
use video_hw::config::CommonDecodeConfig;
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::session::{DecodeSession, Submit};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How often each stream is decoded before what stays behind is looked at.
const WARMING: usize = 10;
/// Rounds that take no memory: so many, in so many at most.
const QUIET: usize = 10;
const ROUNDS: usize = 400;

/// The codecs that the CPU decodes; the first byte of a seed chooses one.
const CODECS: [Codec; 5] = [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Vp9, Codec::Vp8];

/// Codec and units of a seed of the fuzz target `decode`, in the format that the target describes.
fn seed(input: &[u8]) -> (Codec, Vec<Vec<u8>>) {
    let (&choice, mut data) = input.split_first().unwrap();
    let codec = CODECS[usize::from(choice) % CODECS.len()];
    let mut units = Vec::new();
    if codec.uses_nal_units() {
        let mut assembler = AccessUnitAssembler::new(codec).unwrap();
        assembler.push(data).unwrap();
        assembler.finish();
        units.extend(std::iter::from_fn(|| assembler.next_unit()).map(|unit| unit.data.to_vec()));
    } else {
        while let Some((size, rest)) = data.split_first_chunk() {
            let (unit, rest) = rest.split_at(usize::from(u16::from_le_bytes(*size)).min(rest.len()));
            units.push(unit.to_vec());
            data = rest;
        }
    }
    (codec, units)
}

/// Decodes to the end or to the error that ends the session. Returns the pictures and the errors.
fn decode(codec: Codec, units: &[Vec<u8>]) -> (usize, Vec<Error>) {
    let config = CommonDecodeConfig::new(codec).threads(NonZeroUsize::new(1));
    let mut session = DecodeSession::new(BackendKind::Software, config).unwrap();
    let (mut pictures, mut errors) = (0, Vec::new());
    'units: for unit in units {
        let mut packet = Packet::new(codec, BitstreamLayout::elementary(codec), unit.clone());
        loop {
            match session.submit(packet) {
                Ok(Submit::Accepted) => break,
                Ok(Submit::Full(back)) => packet = back,
                // It has ended; what came before that is still to be taken.
                Err(_) => break 'units,
            }
            match session.reap_timeout(Duration::from_millis(5)) {
                Ok(frame) => pictures += usize::from(frame.is_some()),
                Err(error) => errors.push(error),
            }
        }
    }
    let whole = session.drain().is_ok_and(|rest| {
        for frame in rest {
            match frame {
                Ok(_) => pictures += 1,
                Err(error) => errors.push(error),
            }
        }
        true
    });
    while !whole && errors.last().is_none_or(Error::is_recoverable) {
        match session.reap_timeout(Duration::from_secs(60)) {
            Ok(Some(_)) => pictures += 1,
            Ok(None) => panic!("ended without a reason"),
            Err(error) => errors.push(error),
        }
    }
    (pictures, errors)
}

/// Damaged streams too: what a decoder holds when it gives up is the easiest to forget.
fn nothing_stays_behind() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/decode");
    let mut codecs = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let (codec, units) = seed(&std::fs::read(&path).unwrap());
        codecs.push(codec);
        // Figures of ended sessions are kept, in tables that grow where a time comes for the first time: now and then, and on a
        // busy machine in most rounds, but less and less. What is lost in each round makes every round grow.
        let (mut rounds, mut quiet, mut pictures, mut failures) = (0, 0, 0, 0);
        while quiet < QUIET {
            assert!(rounds < ROUNDS, "{}: only {quiet} of {rounds} rounds took no memory", path.display());
            let before = ALLOCATOR.current_usage();
            let (decoded, errors) = decode(codec, &units);
            (pictures, failures) = (decoded, errors.len());
            drop(errors);
            quiet += usize::from(rounds >= WARMING && ALLOCATOR.current_usage() <= before);
            rounds += 1;
        }
        eprintln!("{}: {pictures} pictures, {failures} errors, {rounds} rounds", path.display());
    }
    assert!(CODECS.iter().all(|codec| codecs.contains(codec)), "seeds of every codec: {codecs:?}");
}

/// A VP9 superframe whose index lies about its sizes hides a header that asks for 16384x16384 samples.
fn a_superframe_hides_no_header() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/decode/c0.ivf");
    let (codec, units) = seed(&std::fs::read(seeds).unwrap());
    assert_eq!(codec, Codec::Vp9);
    let key = units[0].clone();
    // Frame marker, profile 0, a shown key frame; sync code; BT.709, limited range; the size; no render size,
    // the rest of the header and coded data.
    let mut huge = vec![0x82, 0x49, 0x83, 0x42, 0x43, 0xff, 0xf3, 0xff, 0xf0];
    huge.extend([0x10; 60]);
    let len = huge.len() as u8;
    // The frame and a part of the index behind it; then nothing but frames that are too long.
    for sizes in [[len + 1, 0], [len, 1], [255, 255]] {
        let index = [0xc1, sizes[0], sizes[1], 0xc1];
        let unit = [&huge[..], &index].concat();
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let (pictures, errors) = decode(codec, &[key.clone(), unit, key.clone()]);
        let peak = ALLOCATOR.peak_usage().saturating_sub(before);
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!((pictures, said.len()), (2, 1), "{sizes:?}: {said:?}");
        assert!(errors[0].is_recoverable(), "{said:?}");
        assert!(said[0].contains("superframe index"), "{sizes:?}: {said:?}");
        assert!(peak < 64 << 20, "{sizes:?}: {peak} bytes");
    }
}

/// Every bit of the headers of the first units, flipped alone: the session survives, whatever the library does (a
/// panic inside it is caught), and decodes the undamaged stream that follows completely, or refuses by name what
/// the bit asks for. Not for AV1, whose library ends the process where it panics.
fn a_flipped_bit_harms_no_more_than_its_stream() {
    const HEADER_BITS: usize = 24 * 8;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/decode");
    // Caught panics are expected here and their words of no use.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut lost = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let (codec, units) = seed(&std::fs::read(&path).unwrap());
        if codec == Codec::Av1 {
            continue;
        }
        let (clean, _) = decode(codec, &units);
        for number in 0..units.len().min(2) {
            for bit in 0..HEADER_BITS.min(units[number].len() * 8) {
                let mut stream = units.clone();
                stream[number][bit / 8] ^= 0x80 >> (bit % 8);
                stream.extend_from_slice(&units);
                let (pictures, errors) = decode(codec, &stream);
                // A bit can ask for a tool or a size that is refused, which ends a session by design.
                let refused = errors
                    .iter()
                    .any(|error| matches!(error, Error::Unsupported { .. } | Error::LimitExceeded { .. }));
                if pictures < clean && !refused {
                    lost.push(format!(
                        "{}: unit {number}, bit {bit}: {pictures} of {clean}: {errors:?}",
                        path.display()
                    ));
                }
            }
        }
    }
    std::panic::set_hook(hook);
    assert!(lost.is_empty(), "{lost:#?}");
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn decoders_allocate_what_they_may_and_give_it_back() {
    a_superframe_hides_no_header();
    nothing_stays_behind();
    a_flipped_bit_harms_no_more_than_its_stream();
}
