//! What a file is, told from its first bytes.

use std::path::Path;

use crate::codec::Codec;
use crate::container::mpegts;
use crate::container::obu_stream::{self, Framing};
use crate::container::output_format::elementary_codec_of_name;

/// How many bytes [`probe`] wants to see, where the input has them.
pub(super) const PROBE_BYTES: usize = 4096;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Mp4,
    Ivf,
    Matroska,
    Y4m,
    /// NAL units after start codes.
    AnnexB(Codec),
    /// MPEG-2 video, from a sequence header on.
    Mpeg2,
    /// Open bitstream units of AV1.
    Obu(Framing),
    /// MPEG transport stream.
    MpegTs,
    /// A format that is known by name and not read here.
    Foreign(&'static str),
    /// Something known by name in which there is no video.
    NoVideo(&'static str),
    Text,
    Unknown,
}

/// Types of the boxes with which ISO base media and QuickTime files begin.
const FIRST_BOXES: [&[u8; 4]; 13] = [
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"sidx",
    b"pdin", b"prft",
];

/// Signatures at the first byte of formats that are not read here.
const FOREIGN: [(&[u8], &str); 5] = [
    (b"OggS", "Ogg"),
    (b"FLV\x01", "Flash video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF/WMV"),
    (b"\x00\x00\x01\xba", "MPEG program stream"),
    (b"\x06\x0e\x2b\x34", "MXF"),
];

/// Signatures at the first byte of what holds no video.
const NO_VIDEO: [(&[u8], &str); 9] = [
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"ID3", "MP3 sound"),
    (b"fLaC", "FLAC sound"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"%PDF", "a PDF document"),
];

/// Names the format of a file that begins with `head`; `path` only decides between H.264 and H.265 where the
/// bytes allow both.
pub(super) fn probe(head: &[u8], path: &Path) -> Probe {
    if head.get(4..8).is_some_and(|kind| FIRST_BOXES.iter().any(|known| kind == *known)) {
        return Probe::Mp4;
    }
    if head.starts_with(b"DKIF") {
        return Probe::Ivf;
    }
    if head.starts_with(b"\x1a\x45\xdf\xa3") {
        return Probe::Matroska;
    }
    if head.starts_with(b"YUV4MPEG2") {
        return Probe::Y4m;
    }
    // The time in front of an M2TS packet may look like any signature.
    if mpegts::recognise(head).is_some() {
        return Probe::MpegTs;
    }
    if let Some((_, name)) = FOREIGN.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Probe::Foreign(name);
    }
    if let Some((_, name)) = NO_VIDEO.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Probe::NoVideo(name);
    }
    // A letter code of four behind the size tells what is inside.
    match (head.get(..4), head.get(8..12)) {
        (Some(b"RIFF" | b"RF64"), Some(b"WAVE")) => return Probe::NoVideo("WAV sound"),
        (Some(b"RIFF"), Some(b"WEBP")) => return Probe::NoVideo("a WebP image"),
        (Some(b"RIFF"), _) => return Probe::Foreign("AVI or another RIFF format"),
        (Some(b"FORM"), Some(b"AIFF" | b"AIFC")) => return Probe::NoVideo("AIFF sound"),
        _ => {}
    }
    if let Some(name) = mpeg_sound(head) {
        return Probe::NoVideo(name);
    }
    if let Some(framing) = obu_stream::recognise(head) {
        return Probe::Obu(framing);
    }
    // With any number of zeros in front.
    let zeros = head.iter().take_while(|byte| **byte == 0).count();
    if zeros >= 2 && head.get(zeros..zeros + 2) == Some(&[1, 0xb3]) {
        return Probe::Mpeg2;
    }
    if mpegts::recognise_anywhere(head).is_some() {
        return Probe::MpegTs;
    }
    match annexb_codec(head, elementary_codec_of_name(path)) {
        Some(codec) => Probe::AnnexB(codec),
        None if is_text(head) => Probe::Text,
        None => Probe::Unknown,
    }
}

/// Frames of MPEG sound without anything in front: the second has to be where the first says.
fn mpeg_sound(head: &[u8]) -> Option<&'static str> {
    let frame = |at: usize| -> Option<(usize, &'static str)> {
        let &[a, b, c, d] = head.get(at..)?.first_chunk()?;
        // ADTS (ISO/IEC 13818-7): a sync word of 12 bits, layer 0, a length of 13 bits.
        if a == 0xff && b & 0xf6 == 0xf0 {
            let length = usize::from(c & 3) << 11 | usize::from(d) << 3 | usize::from(head.get(at + 4)? >> 5);
            return (length >= 7).then_some((length, "AAC sound"));
        }
        // MPEG-1 layer III (ISO/IEC 11172-3) and its lower rates in MPEG-2.
        if a != 0xff || !matches!(b & 0xfe, 0xfa | 0xf2) {
            return None;
        }
        let low = b & 8 == 0;
        let of_one = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
        let of_two = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        let kbps = (if low { of_two } else { of_one }).get(usize::from(c >> 4)).copied()?;
        let rate = [44_100, 48_000, 32_000].get(usize::from(c >> 2 & 3)).copied()? >> u32::from(low);
        let length = (if low { 72_000 } else { 144_000 }) * kbps / rate + usize::from(c >> 1 & 1);
        (length > 4).then_some((length, "MP3 sound"))
    };
    let (length, name) = frame(0)?;
    (frame(length)?.1 == name).then_some(name)
}

/// The codec whose NAL unit headers the bytes look like; `named` is what the file name says.
fn annexb_codec(head: &[u8], named: Option<Codec>) -> Option<Codec> {
    // A byte stream begins with a start code (Annex B.1.1). Something else in front of it is accepted only
    // where the name vouches for the rest.
    let zeros = head.iter().take_while(|b| **b == 0).count();
    let starts_at_once = zeros >= 2 && head.get(zeros) == Some(&1);
    if !starts_at_once && named.is_none() {
        return None;
    }
    let (mut h264, mut hevc) = (Score::default(), Score::default());
    for nal in nal_heads(head) {
        h264.add(h264_header(nal));
        hevc.add(hevc_header(nal));
    }
    match (h264.is_plausible(), hevc.is_plausible()) {
        (true, false) => Some(Codec::H264),
        (false, true) => Some(Codec::Hevc),
        (true, true) if h264.good == hevc.good => Some(named.unwrap_or(Codec::H264)),
        (true, true) => Some(if h264.good > hevc.good { Codec::H264 } else { Codec::Hevc }),
        (false, false) => None,
    }
}

/// Up to 4 bytes from the start of every NAL unit whose header lies in `head`.
fn nal_heads(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.windows(3).enumerate().filter(|(_, window)| *window == [0, 0, 1]).filter_map(|(at, _)| {
        let nal = head.get(at + 3..)?;
        (nal.len() >= 2).then(|| nal.get(..4).unwrap_or(nal))
    })
}

#[derive(Clone, Copy, Debug, Default)]
struct Score {
    /// Parameter sets and pictures with a header that is right in every bit.
    good: u32,
    /// Headers that the codec forbids.
    bad: u32,
}

#[derive(Clone, Copy)]
enum Verdict {
    Good,
    Neutral,
    Bad,
}

impl Score {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Good => self.good += 1,
            Verdict::Neutral => {}
            Verdict::Bad => self.bad += 1,
        }
    }

    fn is_plausible(self) -> bool {
        self.good > 0 && self.bad * 4 <= self.good
    }
}

/// H.264, 7.3.1 and 7.4.1: forbidden_zero_bit (1), nal_ref_idc (2), nal_unit_type (5).
fn h264_header(nal: &[u8]) -> Verdict {
    let header = nal.first().copied().unwrap_or(0xff);
    let reference = header >> 5 & 0b11 != 0;
    match (header >> 7, header & 0x1f) {
        (0, 1) => Verdict::Good,
        (0, 5 | 8) if reference => Verdict::Good,
        // An SPS goes on with profile_idc.
        (0, 7) if reference && nal.get(1).is_some_and(|p| H264_PROFILES.contains(p)) => Verdict::Good,
        (0, 6 | 9 | 10 | 11 | 12) if !reference => Verdict::Neutral,
        (0, 2..=4 | 13..=21 | 24..=31) => Verdict::Neutral,
        _ => Verdict::Bad,
    }
}

const H264_PROFILES: [u8; 13] = [44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 144, 244];

/// H.265, 7.3.1.2 and 7.4.2.2: forbidden_zero_bit (1), nal_unit_type (6), nuh_layer_id (6),
/// nuh_temporal_id_plus1 (3, never 0).
fn hevc_header(nal: &[u8]) -> Verdict {
    let &[first, second, ..] = nal else { return Verdict::Bad };
    let layer = (first & 1) << 5 | second >> 3;
    let temporal_id_plus1 = second & 0b111;
    if first >> 7 != 0 || temporal_id_plus1 == 0 {
        return Verdict::Bad;
    }
    match first >> 1 {
        // Further layers (MV-HEVC, SHVC) follow the base layer.
        0..=40 if layer > 8 => Verdict::Bad,
        // Parameter sets and random access pictures are in temporal sub-layer 0.
        16..=21 | 32..=34 if temporal_id_plus1 == 1 => Verdict::Good,
        0..=9 => Verdict::Good,
        35..=40 => Verdict::Neutral,
        // Those of above in another sub-layer, reserved and unspecified types.
        _ => Verdict::Bad,
    }
}

/// Whether it is UTF-8 (but for a character cut at the end) without control characters.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => {
            std::str::from_utf8(head.get(..e.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && !valid.chars().any(|c| c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(head: &[u8], name: &str) -> Probe {
        probe(head, Path::new(name))
    }

    #[test]
    fn content_wins_over_the_name() {
        let h264 = [0, 0, 0, 1, 0x67, 66, 0, 30, 0, 0, 1, 0x68, 0xce, 0, 0, 1, 0x65, 0x88];
        let hevc =
            [0, 0, 0, 1, 0x40, 1, 12, 1, 0, 0, 1, 0x42, 1, 1, 0, 0, 1, 0x44, 1, 0xc0, 0, 0, 1, 0x26, 1];
        assert_eq!(named(&h264, "a.h265"), Probe::AnnexB(Codec::H264));
        assert_eq!(named(&hevc, "a.h264"), Probe::AnnexB(Codec::Hevc));
        assert_eq!(named(b"DKIF", "a.mp4"), Probe::Ivf);
        assert_eq!(named(b"\0\0\0\x18ftypisom", "a.h264"), Probe::Mp4);
        assert_eq!(named(b"YUV4MPEG2 W2 H2\n", "-"), Probe::Y4m);
    }

    #[test]
    fn the_name_breaks_ties() {
        // A picture parameter set of H.264 or an IDR_N_LP slice of H.265.
        let both = [0, 0, 1, 0x28, 0x01, 0xaf];
        assert_eq!(named(&both, "a.hevc"), Probe::AnnexB(Codec::Hevc));
        assert_eq!(named(&both, "a.264"), Probe::AnnexB(Codec::H264));
    }

    #[test]
    fn other_things_are_told_apart() {
        assert_eq!(named(b"Hello, w\xc3", "a"), Probe::Text);
        assert_eq!(named(&[0x80; 64], "a"), Probe::Unknown);
        assert_eq!(named(&[0; 64], "a.h264"), Probe::Unknown);
        assert_eq!(named(b"\x1a\x45\xdf\xa3", "a.webm"), Probe::Matroska);
        assert_eq!(named(b"\0\0\0\x01\xb3\x16", "a.h264"), Probe::Mpeg2);
        assert_eq!(named(b"\0\0\x01\xba\x44", "a.m2v"), Probe::Foreign("MPEG program stream"));
        let mut ts = [0xff; 1000];
        (0..4).for_each(|i| ts[i * 188] = 0x47);
        assert_eq!(named(&ts, "a"), Probe::MpegTs);
        assert_eq!(named(b"RIFF\0\0\0\0AVI LIST", "a"), Probe::Foreign("AVI or another RIFF format"));
    }

    #[test]
    fn what_holds_no_video_is_told_by_name() {
        for (head, name) in [
            (&b"ID3\x04"[..], "MP3 sound"),
            (b"RIFF\0\0\0\0WAVEfmt ", "WAV sound"),
            (b"GIF89a", "a GIF image"),
            (b"fLaC\0", "FLAC sound"),
        ] {
            assert_eq!(named(head, "a.mp4"), Probe::NoVideo(name));
        }
        // 128 kb/s at 44.1 kHz: 417 bytes a frame. One alone may be anything.
        let mut mp3 = vec![0; 1000];
        mp3[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0]);
        assert_eq!(named(&mp3, "a"), Probe::Unknown);
        mp3.copy_within(..4, 417);
        assert_eq!(named(&mp3, "a"), Probe::NoVideo("MP3 sound"));
    }

    #[test]
    fn both_framings_of_av1_are_told_apart() {
        assert_eq!(named(&[0x12, 0, 0x0a, 11, 0, 0], "a"), Probe::Obu(Framing::LowOverhead));
        assert_eq!(named(&[20, 18, 1, 0x10, 12, 0x08, 0], "a"), Probe::Obu(Framing::AnnexB));
        assert_eq!(named(&[0x12, 0, 0x80, 11], "a"), Probe::Unknown);
    }
}
