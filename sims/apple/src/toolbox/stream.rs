//! From samples to pictures: what VideoToolbox's decoders do, by libavcodec, one picture for each sample in decoding order.

use std::sync::Arc;

use super::status;
use crate::Status;
use crate::codec::decoder::{DecoderCodec, Picture as Decoded, SoftDecoder};
use crate::media::format::{AV1, Format, H264, HEVC, MPEG2, MPEG4, VP9, syntax};
use crate::media::parameter_sets::{Syntax, units};
use crate::video::convert::Picture;

/// What became of a sample.
#[derive(Debug)]
pub enum Outcome {
    /// A picture, with what the stream says of it.
    Picture(Box<Picture>, crate::media::parameter_sets::Colour, (u32, u32)),
    /// A leading picture of the first random access point: its references were never there.
    Leading,
    /// Nothing that can be shown.
    Bad(Status),
}

/// A decoder that opens with the first sample.
#[derive(Debug, Default)]
pub struct Stream {
    soft: Option<SoftDecoder>,
    format: Option<Arc<Format>>,
    /// HEVC: since the first random access point nothing but leading pictures.
    leading: bool,
}

impl Stream {
    /// Decodes a sample of this format.
    pub fn decode(&mut self, format: &Arc<Format>, sample: &[u8]) -> Outcome {
        let begins = self.soft.is_none();
        let changed =
            self.format.as_ref().is_none_or(|old| !Arc::ptr_eq(old, format) && old.sets != format.sets);
        let Some(packets) = self.packets(format, sample, begins || changed) else {
            return Outcome::Bad(status::BAD_DATA);
        };
        if format.codec == HEVC {
            let kinds = || {
                units(sample, format.length)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|unit| Syntax::Hevc.kind(unit))
            };
            if begins {
                self.leading = kinds().any(|kind| (16..=21).contains(&kind));
            } else if self.leading && kinds().any(|kind| matches!(kind, 8 | 9)) {
                return Outcome::Leading;
            } else if kinds().any(|kind| kind < 6) {
                self.leading = false;
            }
        }
        let codec = match format.codec {
            H264 => DecoderCodec::H264,
            HEVC => DecoderCodec::Hevc,
            VP9 => DecoderCodec::Vp9Shown,
            AV1 => DecoderCodec::Av1,
            MPEG2 => DecoderCodec::Mpeg2,
            MPEG4 => DecoderCodec::Mpeg4,
            _ => return Outcome::Bad(status::UNSUPPORTED_DATA),
        };
        if self.soft.is_none() {
            self.soft = SoftDecoder::open(codec, &[]).ok();
        }
        let Some(soft) = &mut self.soft else { return Outcome::Bad(status::NO_DECODER) };
        self.format = Some(format.clone());
        let mut picture = None;
        for packet in packets {
            match soft.decode(&packet) {
                Ok(decoded) if decoded.damaged => return Outcome::Bad(status::BAD_DATA),
                Ok(decoded) => picture = decoded.picture,
                Err(_) => return Outcome::Bad(status::UNSUPPORTED_DATA),
            }
        }
        picture.map_or(Outcome::Bad(status::BAD_DATA), |picture| shown(format, picture))
    }

    /// What the library is given: NAL units with start codes, and parameter sets where they are new. Behind sets between two
    /// fields another packet begins: the library reads both fields of a packet by the set of the first.
    fn packets(&self, format: &Format, sample: &[u8], sets: bool) -> Option<Vec<Vec<u8>>> {
        if sample.is_empty() {
            return None;
        }
        if syntax(format.codec).is_none() {
            // Headers may be in the record alone.
            let header = match format.codec {
                AV1 if sets => format.atom("av1C").and_then(|record| Some(record.0.get(4..)?.to_vec())),
                MPEG4 if sets => format.visual_headers(),
                _ => None,
            };
            return Some(vec![[&header.unwrap_or_default(), sample].concat()]);
        }
        let mut packets = Vec::new();
        let (mut packet, mut holds) = (Vec::with_capacity(sample.len() + 64), false);
        let own = format.sets.iter().map(Vec::as_slice).filter(|_| sets);
        for unit in own.chain(units(sample, format.length)?) {
            let kind = Syntax::H264.kind(unit);
            if format.codec == H264 && holds && matches!(kind, 7 | 8) {
                packets.push(std::mem::take(&mut packet));
                holds = false;
            }
            holds |= matches!(kind, 1..=5);
            packet.extend([0, 0, 0, 1]);
            packet.extend(unit);
        }
        packets.push(packet);
        Some(packets)
    }
}

/// Where chroma begins for luma that begins there.
fn halved(chroma: u32, left: usize, top: usize) -> (usize, usize) {
    match chroma {
        444 => (left, top),
        422 => (left / 2, top),
        _ => (left / 2, top / 2),
    }
}

/// The decoded picture, cropped, as pixel buffers are filled from it.
fn shown(format: &Format, decoded: Decoded) -> Outcome {
    // Without chroma it is grey.
    let chroma = if decoded.chroma == 400 { 420 } else { decoded.chroma };
    let colour = crate::media::parameter_sets::Colour {
        full_range: format.full_range().unwrap_or(decoded.colour.full_range),
        primaries: decoded.colour.primaries,
        transfer: decoded.colour.transfer,
        matrix: decoded.colour.matrix,
    };
    let (width, height) = (decoded.display.0 as usize, decoded.display.1 as usize);
    let mut picture = Picture::of(chroma, (width, height), decoded.depth.into(), colour.full_range);
    picture.matrix = colour.matrix;
    let (left, top) = format.sequence.map_or((0, 0), |found| (found.crop.0 as usize, found.crop.1 as usize));
    for plane in 0..3 {
        let (columns, _) = decoded.plane_size(plane);
        let bytes = &decoded.planes[plane];
        if bytes.is_empty() {
            continue;
        }
        let (left, top) = if plane == 0 { (left, top) } else { halved(chroma, left, top) };
        let shown = picture.stride(plane);
        let rows = picture.planes[plane].chunks_exact_mut(shown);
        let size = decoded.sample_bytes();
        for (row, from) in rows.zip(bytes.chunks_exact(columns * size).skip(top)) {
            let from = &from[left.min(columns) * size..];
            if size == 1 {
                row.iter_mut().zip(from).for_each(|(to, &from)| *to = from.into());
            } else {
                row.iter_mut()
                    .zip(from.chunks_exact(2))
                    .for_each(|(to, from)| *to = u16::from_le_bytes([from[0], from[1]]));
            }
        }
    }
    // Depths that pixel buffers have.
    let depth = if decoded.depth > 8 { 10 } else { 8 };
    Outcome::Picture(Box::new(picture.with(depth, colour.full_range)), colour, decoded.aspect)
}
