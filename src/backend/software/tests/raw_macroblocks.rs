//! Raw macroblocks (`I_PCM`) beside others at a high quantiser, which no encoder at hand makes: written here
//! bit by bit, in every format, and judged by ffmpeg. A picture must be exact or refused by name.

use bytes::Bytes;

use super::encoded::ffmpeg;
use super::harness::{Bench, Outcome, decode, nal_access_units};
use crate::backend::{Backend, BackendKind};
use crate::bitstream::annexb::nal_units;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::packet::{BitstreamLayout, Packet};
use crate::pixel::PixelFormat;
use crate::session::{DecodeSession, Submit};

/// What to write.
#[derive(Clone, Copy)]
struct Stream {
    name: &'static str,
    profile: u8,
    chroma_format: u32,
    depth: u32,
    /// Frames, frames of field or frame macroblock pairs, or fields.
    structure: Structure,
    /// Types of the pictures.
    pictures: &'static str,
    quantiser: i32,
    alpha_offset_div2: i32,
    /// Every macroblock raw, instead of about one in three.
    all_raw: bool,
    /// B pictures are shown after all pictures that they refer to.
    late_b: bool,
    /// B pictures have raw macroblocks, too.
    raw_in_b: bool,
    /// Macroblocks from one slice to the next; 0: one slice.
    slice: u32,
    disable_idc: u32,
    constrained_intra: bool,
    second_chroma_offset: i32,
    /// Luma samples cut off at the right and bottom edge.
    crop: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Structure {
    Frames,
    Mbaff,
    Fields,
}

const PLAIN: Stream = Stream {
    name: "frames",
    profile: 100,
    chroma_format: 1,
    depth: 8,
    structure: Structure::Frames,
    pictures: "IPPPIPP",
    quantiser: 40,
    alpha_offset_div2: 0,
    all_raw: false,
    late_b: false,
    raw_in_b: true,
    slice: 0,
    disable_idc: 0,
    constrained_intra: false,
    second_chroma_offset: 0,
    crop: 0,
};

const REFUSED: &str =
    "H.264 I_PCM macroblocks under an active loop filter, with B slices or beyond 8-bit 4:2:0 frames";

const WIDTH: u32 = 5;
const HEIGHT: u32 = 4;

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn u(&mut self, bits: u32, value: u32) {
        for i in (0..bits).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= ((value >> i & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn ue(&mut self, value: u32) {
        let bits = (value + 1).ilog2();
        self.u(bits, 0);
        self.u(bits + 1, value + 1);
    }

    fn se(&mut self, value: i32) {
        self.ue(if value > 0 { value as u32 * 2 - 1 } else { value.unsigned_abs() * 2 });
    }

    fn align(&mut self) {
        while !self.used.is_multiple_of(8) {
            self.u(1, 0);
        }
    }

    fn nal(mut self, header: u8, out: &mut Vec<u8>) {
        self.u(1, 1);
        self.align();
        out.extend([0, 0, 0, 1, header]);
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
    }
}

struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % bound
    }
}

impl Stream {
    fn interlaced(&self) -> bool {
        self.structure != Structure::Frames
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.parameter_sets(&mut out);
        let mut random = Random(7);
        let (mut frame_num, mut idr, mut order) = (0, 0, 0);
        let mut reference_before = false;
        for (i, kind) in self.pictures.bytes().enumerate() {
            if kind == b'I' {
                (frame_num, order, idr) = (0, 0, idr + 1);
            } else {
                frame_num += u32::from(reference_before);
                order += if kind == b'B' && !self.late_b { 0 } else { 4 };
            }
            reference_before = kind != b'B';
            let fields = if self.structure == Structure::Fields { 2 } else { 1 };
            for field in 0..fields {
                // The second field of an IDR picture is no IDR picture.
                let kind = if kind == b'I' && field == 1 { b'P' } else { kind };
                let early = kind == b'B' && !self.late_b;
                let pictures = (i as u32, frame_num, idr, order - if early { 2 } else { 0 });
                self.picture(kind, pictures, field, &mut random, &mut out);
            }
        }
        out
    }

    fn parameter_sets(&self, out: &mut Vec<u8>) {
        let mut sps = Bits::default();
        for v in [u32::from(self.profile), 0, 40] {
            sps.u(8, v);
        }
        sps.ue(0);
        if self.profile >= 100 {
            sps.ue(self.chroma_format);
            if self.chroma_format == 3 {
                sps.u(1, 0);
            }
            sps.ue(self.depth - 8);
            sps.ue(self.depth - 8);
            sps.u(2, 0);
        }
        // frame_num of 8 bits, pic_order_cnt_lsb of 8 bits, two reference frames.
        for v in [4, 0, 4, 2] {
            sps.ue(v);
        }
        sps.u(1, 0);
        sps.ue(WIDTH - 1);
        sps.ue(if self.interlaced() { HEIGHT / 2 - 1 } else { HEIGHT - 1 });
        sps.u(1, u32::from(!self.interlaced()));
        if self.interlaced() {
            sps.u(1, u32::from(self.structure == Structure::Mbaff));
        }
        sps.u(1, 1);
        sps.u(1, u32::from(self.crop > 0));
        if self.crop > 0 {
            for v in [0, self.crop / 2, 0, self.crop / 2] {
                sps.ue(v);
            }
        }
        sps.u(1, 0);
        sps.nal(0x67, out);
        let mut pps = Bits::default();
        pps.ue(0);
        pps.ue(0);
        pps.u(2, 0);
        for v in [0, 0, 0] {
            pps.ue(v);
        }
        pps.u(3, 0);
        for v in [0, 0, 0] {
            pps.se(v);
        }
        pps.u(1, 1);
        pps.u(1, u32::from(self.constrained_intra));
        pps.u(1, 0);
        if self.second_chroma_offset != 0 {
            pps.u(2, 0);
            pps.se(self.second_chroma_offset);
        }
        pps.nal(0x68, out);
    }

    fn picture(
        &self,
        kind: u8,
        (number, frame_num, idr, order): (u32, u32, u32, u32),
        field: u32,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) {
        let rows = if self.structure == Structure::Fields { HEIGHT / 2 } else { HEIGHT };
        let total = WIDTH * rows;
        let step = if self.slice == 0 { total } else { self.slice };
        let is_idr = kind == b'I';
        for first in (0..total).step_by(step as usize) {
            let mut bits = Bits::default();
            let first_coded = if self.structure == Structure::Mbaff { first / 2 } else { first };
            bits.ue(first_coded);
            bits.ue(match kind {
                b'P' => 0,
                b'B' => 1,
                _ => 2,
            });
            bits.ue(0);
            bits.u(8, frame_num);
            if self.interlaced() {
                bits.u(1, u32::from(self.structure == Structure::Fields));
                if self.structure == Structure::Fields {
                    bits.u(1, field);
                }
            }
            if is_idr {
                bits.ue(idr);
            }
            bits.u(8, (order + field) & 255);
            match kind {
                b'P' => bits.u(2, 0),
                b'B' => bits.u(4, 0b1000),
                _ => {}
            }
            if is_idr {
                bits.u(2, 0);
            } else if kind != b'B' {
                bits.u(1, 0);
            }
            bits.se(self.quantiser - 26);
            bits.ue(self.disable_idc);
            if self.disable_idc != 1 {
                bits.se(self.alpha_offset_div2);
                bits.se(0);
            }
            self.macroblocks(kind, number, first..(first + step).min(total), random, &mut bits);
            let reference = if kind == b'B' { 0 } else { 0x60 };
            bits.nal(reference | if is_idr { 5 } else { 1 }, out);
        }
    }

    fn macroblocks(
        &self,
        kind: u8,
        number: u32,
        range: std::ops::Range<u32>,
        random: &mut Random,
        bits: &mut Bits,
    ) {
        let first = range.start;
        let mut raw = std::collections::BTreeSet::new();
        let (mut skipped, mut change) = (0, 2);
        for at in range {
            let mbaff = self.structure == Structure::Mbaff;
            let is_raw = self.all_raw || mbaff || random.below(3) == 0;
            let is_raw = is_raw && (kind != b'B' || self.raw_in_b);
            if kind != b'I' {
                if !is_raw {
                    skipped += 1;
                    continue;
                }
                bits.ue(skipped);
                skipped = 0;
            }
            if mbaff && at % 2 == 0 {
                bits.u(1, (at / 2) & 1);
            }
            if is_raw {
                raw.insert(at);
                bits.ue(match kind {
                    b'P' => 30,
                    b'B' => 48,
                    _ => 25,
                });
                bits.align();
                self.samples(at + number * 3, random, bits);
                continue;
            }
            // Intra_16x16, predicted from the mean, without coefficients; the quantiser goes up and down.
            bits.ue(3);
            if matches!(self.chroma_format, 1 | 2) {
                bits.ue(0);
            }
            bits.se(change);
            change = -change;
            // 9.2.1: raw macroblocks count as 16 coefficients, so that their neighbours take the other table.
            let left = at % WIDTH > 0 && at > first && raw.contains(&(at - 1));
            let above = at >= first + WIDTH && raw.contains(&(at - WIDTH));
            for _ in 0..if self.chroma_format == 3 { 3 } else { 1 } {
                if left || above { bits.u(6, 0b00_0011) } else { bits.u(1, 1) }
            }
        }
        if skipped > 0 {
            bits.ue(skipped);
        }
    }

    /// A gentle slope, so that the loop filter finds something to do, with little noise.
    fn samples(&self, at: u32, random: &mut Random, bits: &mut Bits) {
        let chroma = [0, 64, 128, 256][self.chroma_format as usize];
        for (count, side, base) in [(256, 16, 90), (chroma, 8, 120), (chroma, 8, 130)] {
            for i in 0..count {
                let value = base + at % 7 * 3 + (i % side) / 2 + random.below(4);
                bits.u(self.depth, value << (self.depth - 8));
            }
        }
    }
}

fn judge(stream: &Stream, file: &[u8], pix_fmt: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.h264");
    std::fs::write(&path, file).unwrap();
    let judged = ffmpeg(&[
        "-f",
        "h264",
        "-i",
        path.to_str().unwrap(),
        "-f",
        "rawvideo",
        "-vsync",
        "passthrough",
        "-pix_fmt",
        pix_fmt,
        "-",
    ]);
    if judged.is_none() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no ffmpeg to judge {}\n", stream.name),
        );
    }
    judged
}

fn run(stream: &Stream) -> (Vec<u8>, Outcome) {
    let file = stream.write();
    let outcome = decode(&CommonDecodeConfig::new(Codec::H264), &nal_access_units(Codec::H264, &file));
    (file, outcome)
}

fn expect_exact(stream: &Stream) -> Result<(), String> {
    let (file, outcome) = run(stream);
    let Some(first) = outcome.pictures.first() else {
        return Err(format!("no picture: {:?}", outcome.failures.first()));
    };
    // ffmpeg decodes 4:0:0 as 4:2:0; its conversion to grey would change the range.
    let gray = first.format == PixelFormat::Gray8;
    let name = if gray { PixelFormat::I420.name() } else { first.format.name() };
    let Some(expected) = judge(stream, &file, name) else { return Ok(()) };
    let ours: Vec<Bytes> =
        outcome.pictures.iter().map(|p| super::harness::host(p).to_packed().into()).collect();
    let size = ours[0].len() * (2 + usize::from(gray)) / 2;
    let wrong = expected.chunks(size).zip(&ours).position(|(a, b)| !a.starts_with(b));
    if wrong.is_none() && expected.len() == ours.len() * size && ours.len() == stream.pictures.len() {
        return Ok(());
    }
    Err(format!(
        "first wrong picture {wrong:?}, {} pictures, expected {}, {:?} {:?}",
        ours.len(),
        expected.len() / size,
        outcome.failures.first(),
        outcome.no_picture.first()
    ))
}

#[test]
fn raw_macroblocks_in_i_and_p_frames_are_exact() {
    let streams = [
        PLAIN,
        Stream { name: "all raw", all_raw: true, ..PLAIN },
        Stream { name: "Baseline", profile: 66, ..PLAIN },
        Stream { name: "Main", profile: 77, ..PLAIN },
        Stream { name: "slices", slice: 7, ..PLAIN },
        Stream { name: "slices, filtered within", slice: 7, disable_idc: 2, ..PLAIN },
        Stream { name: "no filter", disable_idc: 1, pictures: "IPBPIPB", ..PLAIN },
        Stream { name: "low quantiser", quantiser: 12, pictures: "IPBPIPB", ..PLAIN },
        Stream { name: "offset", quantiser: 12, alpha_offset_div2: 4, ..PLAIN },
        Stream { name: "middling quantiser", quantiser: 24, ..PLAIN },
        Stream { name: "constrained intra", constrained_intra: true, ..PLAIN },
        Stream { name: "chroma offset", second_chroma_offset: -5, ..PLAIN },
        Stream { name: "cropped", crop: 14, ..PLAIN },
        Stream { name: "B without", pictures: "IPBPIPB", quantiser: 12, raw_in_b: false, ..PLAIN },
        Stream { name: "late B", pictures: "IPBPIPB", quantiser: 12, raw_in_b: false, late_b: true, ..PLAIN },
        Stream { name: "unreferenced", pictures: "IPIPPIIIPP", ..PLAIN },
    ];
    let wrong: Vec<String> = streams
        .iter()
        .filter_map(|s| expect_exact(s).err().map(|what| format!("{}: {what}", s.name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The library changes where it has to, and back at the next sequence.
#[test]
fn openh264_decodes_only_sequences_with_raw_macroblocks_that_matter() {
    for (quantiser, expected) in [(40, "openh264"), (12, "rusty_h264")] {
        let file = Stream { quantiser, pictures: "IPPP", ..PLAIN }.write();
        let mut bench = Bench::open(&CommonDecodeConfig::new(Codec::H264));
        bench.submit_all(&nal_access_units(Codec::H264, &file));
        assert_eq!(bench.decoder.implementation(), expected);
        bench.flush();
        let plain = Stream { quantiser: 12, pictures: "IP", ..PLAIN }.write();
        bench.submit_all(&nal_access_units(Codec::H264, &plain));
        assert_eq!(bench.decoder.implementation(), "rusty_h264");
        bench.flush();
        assert_eq!(bench.finish().pictures.len(), 6);
    }
}

#[test]
fn raw_macroblocks_elsewhere_are_refused() {
    let streams = [
        Stream { name: "MBAFF", structure: Structure::Mbaff, pictures: "IPP", ..PLAIN },
        Stream { name: "fields", structure: Structure::Fields, ..PLAIN },
        Stream { name: "4:0:0", chroma_format: 0, ..PLAIN },
        Stream { name: "4:2:2", profile: 122, chroma_format: 2, ..PLAIN },
        Stream { name: "4:4:4", profile: 244, chroma_format: 3, ..PLAIN },
        Stream { name: "10 bit", profile: 110, depth: 10, ..PLAIN },
        Stream { name: "10 bit 4:2:2", profile: 122, chroma_format: 2, depth: 10, ..PLAIN },
        Stream { name: "chroma offset", second_chroma_offset: 5, ..PLAIN },
        Stream { name: "High 10 of 8 bit", profile: 110, ..PLAIN },
    ];
    for stream in &streams {
        let (file, outcome) = run(stream);
        assert!(outcome.pictures.is_empty(), "{}: {} pictures", stream.name, outcome.pictures.len());
        assert_eq!(outcome.refusal(), Some(REFUSED), "{}: {:?}", stream.name, outcome.failures);
        // The judge must agree that these are streams.
        let frames = judge(stream, &file, "gray").map(|all| all.len() / (80 * 64));
        assert!(frames.is_none_or(|n| n == stream.pictures.len()), "{}: {frames:?}", stream.name);
    }
}

/// The filter cannot change anything at these quantisers: such streams are decoded by the Rust libraries.
#[test]
fn raw_macroblocks_elsewhere_are_exact_where_the_filter_does_nothing() {
    let low = Stream { quantiser: 12, ..PLAIN };
    let streams = [
        Stream { name: "MBAFF", structure: Structure::Mbaff, ..low },
        Stream { name: "fields", structure: Structure::Fields, ..low },
        Stream { name: "4:0:0", chroma_format: 0, ..low },
        Stream { name: "4:2:2", profile: 122, chroma_format: 2, ..low },
        Stream { name: "4:4:4", profile: 244, chroma_format: 3, ..low },
        Stream { name: "10 bit", profile: 110, depth: 10, ..low },
        Stream { name: "no filter", profile: 110, depth: 10, quantiser: 40, disable_idc: 1, ..low },
    ];
    let wrong: Vec<String> = streams
        .iter()
        .filter_map(|s| expect_exact(s).err().map(|what| format!("{}: {what}", s.name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn b_slices_after_raw_macroblocks_are_refused_until_the_next_idr_picture() {
    let stream = Stream { name: "B", pictures: "IPPBPIPP", ..PLAIN };
    let (file, outcome) = run(&stream);
    assert_eq!(outcome.refusal(), Some(REFUSED));
    assert_eq!(outcome.pictures.len(), 6, "{:?} {:?}", outcome.failures, outcome.no_picture);
    let Some(judge) = judge(&stream, &file, "yuv420p") else { return };
    let size = (80 * 64 * 3) / 2;
    let expected: Vec<&[u8]> = judge.chunks(size).collect();
    // The B picture, which is shown third, and the P picture after it are missing.
    let shown = [0, 1, 3, 5, 6, 7].map(|i| expected[i]);
    for (i, (picture, expected)) in outcome.pictures.iter().zip(shown).enumerate() {
        assert!(super::harness::host(picture).to_packed() == expected, "picture {i}");
    }
}

/// A decoder that was chosen by itself is replaced in the middle of a sequence: every frame comes once, in order.
#[test]
fn what_is_refused_in_the_middle_goes_to_the_next_candidate() {
    for pictures in ["IPPBPIPP", "IPPPIPPBPBPPIP"] {
        let stream = Stream { name: "takeover", pictures, ..PLAIN };
        let file = stream.write();
        let Some(expected) = judge(&stream, &file, "yuv420p") else { return };
        let expected: Vec<&[u8]> = expected.chunks(80 * 64 * 3 / 2).collect();
        let mut session = DecodeSession::new(Backend::Auto, CommonDecodeConfig::new(Codec::H264)).unwrap();
        if session.receipt().chosen().is_none_or(|(kind, _)| kind != BackendKind::Software) {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: a device decodes here\n");
            return;
        }
        for data in nal_access_units(Codec::H264, &file) {
            let keyframe = nal_units(&data).any(|nal| nal[0] & 0x1f == 5);
            let packet = Packet::new(Codec::H264, BitstreamLayout::AnnexB, data);
            assert!(matches!(session.submit(Packet { keyframe, ..packet }), Ok(Submit::Accepted)));
        }
        let frames: Vec<_> = session.drain().unwrap().map(Result::unwrap).collect();
        assert_eq!(frames.len(), expected.len(), "{pictures}");
        for (i, (frame, expected)) in frames.iter().zip(&expected).enumerate() {
            assert!(frame.as_host().unwrap().to_packed() == *expected, "{pictures}: frame {i}");
        }
        let summary = session.summary();
        assert!(summary.ledger.balances(), "{:?}", summary.ledger);
        assert_eq!(summary.receipt.chosen().map(|(kind, _)| kind), Some(BackendKind::Ffmpeg));
        assert!(format!("{:#}", summary.receipt).contains("I_PCM"), "{:#}", summary.receipt);
    }
}

/// Every unit is answered once, whatever the bytes (`Bench::finish` counts), also where openh264 decodes.
#[test]
fn damaged_raw_macroblocks_keep_the_books() {
    let stream = Stream { slice: 7, pictures: "IPPPIPP", ..PLAIN };
    let units = nal_access_units(Codec::H264, &stream.write());
    let mut random = Random(99);
    for round in 0..300 {
        let mut bench = Bench::open(&CommonDecodeConfig::new(Codec::H264));
        for (i, unit) in units.iter().enumerate() {
            let mut bytes = unit.to_vec();
            match random.below(6) {
                // The first picture is whole, so that openh264 gets the damaged ones.
                _ if i == 0 => {}
                0 => bytes.truncate(random.below(bytes.len() as u32 + 1) as usize),
                1 => continue,
                2 | 3 => {
                    for _ in 0..=round % 8 {
                        // Headers and macroblock types more often than samples.
                        let reach = if round % 2 == 0 { 40.min(bytes.len()) } else { bytes.len() };
                        let at = random.below(reach as u32) as usize;
                        bytes[at] ^= 1 << random.below(8);
                    }
                }
                _ => {}
            }
            bench.submit(bytes);
        }
        bench.flush();
        bench.submit_all(&units);
        bench.flush();
        let outcome = bench.finish();
        assert!(outcome.pictures.len() >= units.len(), "round {round}: it did not recover");
    }
}
