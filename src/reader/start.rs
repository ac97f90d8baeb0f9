//! What the headers of a packet say: whether decoding can begin there, whether a picture is shown, whether it can be left out.

use super::index::Begins;
use crate::bitstream::convert::length_prefixed_units;
use crate::bitstream::{UnitRole, annexb, h264, hevc, mpeg, vp8, vp9};
use crate::codec::Codec;
use crate::container::{PacketBytes, VideoTrack};
use crate::error::Result;
use crate::packet::{BitstreamLayout, Packet};

/// The NAL units of a packet, in whatever framing.
fn nals(packet: &Packet) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    match packet.layout {
        BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
            Box::new(length_prefixed_units(&packet.data, length_size).map_while(Result::ok))
        }
        BitstreamLayout::AnnexB => Box::new(annexb::nal_units(&packet.data)),
        BitstreamLayout::Obu | BitstreamLayout::Opaque => Box::new(std::iter::empty()),
    }
}

/// How decoding begins at a packet of this codec, by its own headers; by the container's word for codecs whose headers are not
/// read here. `None`: it cannot, or not so that every picture comes out right that is shown from there on.
pub(super) fn begins(codec: Codec, packet: &Packet) -> Option<Begins> {
    match codec {
        Codec::H264 => {
            let mut slices = nals(packet).filter(|nal| matches!(h264::nal_type(nal), Some(1..=5))).peekable();
            if slices.peek().and_then(|nal| h264::nal_type(nal)) == Some(h264::NAL_IDR) {
                return Some(Begins::Closed);
            }
            let intra = slices.peek().is_some() && slices.all(h264::is_intra_slice);
            // A refresh that takes longer than one picture is right only as far as the encoder has kept its word.
            let at_once = nals(packet).any(|nal| h264::recovery_frame_count(nal) == Some(0));
            (intra && at_once).then_some(Begins::Open)
        }
        Codec::Hevc => match hevc_type(packet)? {
            kind if hevc::is_idr(kind) => Some(Begins::Closed),
            kind @ 16..=21 => (kind >= hevc::NAL_BLA_W_LP).then_some(Begins::Open),
            _ => None,
        },
        Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 => packet.keyframe.then_some(Begins::Open),
        Codec::Mjpeg | Codec::Av1 | Codec::Vp9 | Codec::Vp8 => {
            (UnitRole::of(codec, &packet.data) == UnitRole::Closed).then_some(Begins::Closed)
        }
    }
}

/// The type of the first slice of the base layer.
fn hevc_type(packet: &Packet) -> Option<u8> {
    let headers = nals(packet).filter_map(hevc::NalHeader::parse);
    headers
        .filter(|header| header.layer_id == 0)
        .map(|header| header.nal_type)
        .find(|kind| *kind < hevc::NAL_VPS)
}

/// Whether it is a leading picture that refers to what is before its random access point (HEVC RASL).
pub(super) fn is_skipped_leading(codec: Codec, packet: &Packet) -> bool {
    codec == Codec::Hevc && hevc_type(packet).is_some_and(hevc::is_rasl)
}

/// Whether decoders leave out what is shown before this packet when they begin with it: `FFmpeg` gives no B picture of an
/// open group without both of the pictures around it.
pub(super) fn begins_open(codec: Codec, unit: &[u8]) -> bool {
    match codec {
        Codec::Mpeg2 => !mpeg::Head::of(codec, unit).is_ok_and(|head| head.is_closed),
        Codec::Mpeg4 | Codec::Vc1 => true,
        _ => false,
    }
}

/// Whether no decoder gives the leading pictures of this random access point that refer to what is before it (HEVC BLA).
pub(super) fn breaks_links(codec: Codec, packet: &Packet) -> bool {
    codec == Codec::Hevc && hevc_type(packet).is_some_and(|kind| (16..=18).contains(&kind))
}

/// Whether a picture comes out of it, as far as its headers tell.
pub(super) fn shows(codec: Codec, packet: &Packet) -> bool {
    match codec {
        Codec::Vp8 => vp8::FrameHeader::parse(&packet.data).map_or(true, |header| header.show),
        Codec::Vp9 => {
            let frames = vp9::frames(&packet.data);
            let shown = |frame: &&[u8]| {
                vp9::FrameHeader::parse(frame)
                    .map_or(true, |header| header.show || header.show_existing.is_some())
            };
            frames.is_empty() || frames.iter().any(shown)
        }
        _ => true,
    }
}

/// As [`shows`], of a packet that is not read.
pub(super) fn shows_in(codec: Codec, bytes: &mut dyn PacketBytes) -> Result<bool> {
    /// Of the headers of a frame: what says whether it is shown stands in front of all that they may hold.
    const HEAD: usize = 32;
    let mut head = [0; HEAD];
    match codec {
        Codec::Vp8 => {
            let there = bytes.read(0, &mut head)?;
            let frame = head.get(..there).unwrap_or_default();
            Ok(vp8::FrameHeader::parse(frame).map_or(true, |header| header.show))
        }
        Codec::Vp9 => {
            let mut shown = |from: u64, len: u64, bytes: &mut dyn PacketBytes| -> Result<bool> {
                let room = head.get_mut(..HEAD.min(usize::try_from(len).unwrap_or(HEAD)));
                let room = room.unwrap_or_default();
                let there = bytes.read(from, room)?;
                let frame = room.get(..there).unwrap_or_default();
                Ok(vp9::FrameHeader::parse(frame)
                    .map_or(true, |header| header.show || header.show_existing.is_some()))
            };
            let len = bytes.len();
            // Most packets are one frame, which is shown.
            if len == 0 || shown(0, len, bytes)? {
                return Ok(true);
            }
            let mut tail = [0; vp9::LONGEST_INDEX];
            let at = len.saturating_sub(tail.len() as u64);
            let there = bytes.read(at, &mut tail)?;
            let tail = tail.get(..there).unwrap_or_default();
            let Some(sizes) = vp9::frame_sizes(tail, len) else { return Ok(false) };
            let mut from = 0;
            let mut any = false;
            for size in sizes.into_iter().filter(|size| *size > 0) {
                any = true;
                if shown(from, size, bytes)? {
                    return Ok(true);
                }
                from += size;
            }
            Ok(!any)
        }
        _ => Ok(true),
    }
}

/// As `hevc_type`, of a packet that is not read and whose units have lengths in front.
pub(super) fn hevc_type_in(layout: BitstreamLayout, bytes: &mut dyn PacketBytes) -> Result<Option<u8>> {
    let BitstreamLayout::Hvcc { length_size } = layout else { return Ok(None) };
    let prefix = usize::from(length_size);
    let mut at = 0;
    loop {
        // The length, and the header of a unit.
        let mut head = [0; 6];
        let there = bytes.read(at, head.get_mut(..prefix + 2).unwrap_or_default())?;
        let Some((length, header)) = head.get(..there).and_then(|head| head.split_at_checked(prefix)) else {
            return Ok(None);
        };
        let length = length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        let end = at + prefix as u64 + length;
        if end > bytes.len() {
            return Ok(None);
        }
        let header = header.get(..header.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
        let header = header.and_then(hevc::NalHeader::parse).filter(|header| header.layer_id == 0);
        if let Some(header) = header.filter(|header| header.nal_type < hevc::NAL_VPS) {
            return Ok(Some(header.nal_type));
        }
        at = end;
    }
}

/// The whole packet, without times.
pub(super) fn whole(video: &VideoTrack, bytes: &mut dyn PacketBytes) -> Result<Packet> {
    let mut data = crate::memory::filled(0, usize::try_from(bytes.len()).unwrap_or(usize::MAX))?;
    let there = bytes.read(0, &mut data)?;
    data.truncate(there);
    Ok(Packet::new(Some(video.codec), video.layout, data))
}

/// Whether the pictures of a stream are in one temporal layer, as its configuration says: in several, those of a higher one may
/// refer to pictures that others of their own do not refer to.
pub(super) fn has_one_layer(config: Option<&[u8]>) -> bool {
    config
        .is_some_and(|config| hevc::HevcConfig::parse(config).is_ok_and(|config| config.temporal_layers == 1))
}

/// Whether no other picture is predicted from this one, so that it need not be decoded where it is not wanted. `one_layer`:
/// [`has_one_layer`].
pub(super) fn is_disposable(codec: Codec, packet: &Packet, one_layer: bool) -> bool {
    match codec {
        Codec::Hevc => {
            // Sub-layer non-reference pictures (table 7-1).
            let mut kinds =
                nals(packet).filter_map(hevc::nal_type).filter(|kind| *kind <= hevc::NAL_PPS).peekable();
            one_layer && kinds.peek().is_some() && kinds.all(|kind| kind <= 14 && kind.is_multiple_of(2))
        }
        Codec::H264 => {
            let mut slices = nals(packet).filter(|nal| matches!(h264::nal_type(nal), Some(1..=5))).peekable();
            // Parameter sets that come with it are needed later.
            let sets = |nal: &[u8]| matches!(h264::nal_type(nal), Some(h264::NAL_SPS | h264::NAL_PPS));
            slices.peek().is_some()
                && slices.all(|nal| h264::nal_ref_idc(nal) == Some(0))
                && !nals(packet).any(sets)
        }
        // Types of B pictures: nothing refers to them.
        Codec::Mpeg2 => {
            let mut units =
                annexb::nal_units(&packet.data).filter(|unit| unit.first() == Some(&0)).peekable();
            let b = |unit: &[u8]| unit.get(2).is_some_and(|byte| byte >> 3 & 7 == 3);
            let header = annexb::nal_units(&packet.data).any(|unit| unit.first() == Some(&0xb3));
            units.peek().is_some() && units.all(b) && !header
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet in memory.
    struct Held<'a>(&'a [u8]);

    impl PacketBytes for Held<'_> {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read(&mut self, from: u64, into: &mut [u8]) -> Result<usize> {
            let rest = self.0.get(from as usize..).unwrap_or_default();
            let len = rest.len().min(into.len());
            into[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        }
    }

    fn both(codec: Codec, layout: BitstreamLayout, data: &[u8]) -> bool {
        let packet = Packet::new(Some(codec), layout, data.to_vec());
        let shown = shows(codec, &packet);
        assert_eq!(shows_in(codec, &mut Held(data)).unwrap(), shown, "{codec} {data:02x?}");
        if codec == Codec::Hevc {
            let kind = hevc_type_in(layout, &mut Held(data)).unwrap();
            assert_eq!(kind, hevc_type(&packet), "{layout:?} {data:02x?}");
        }
        shown
    }

    /// Frames of VP9 that are shown, not shown, and a repetition of another.
    const SHOWN: [u8; 8] = [0x86, 0, 0, 0, 0, 0, 0, 0];
    const HIDDEN: [u8; 8] = [0x84, 0, 0, 0, 0, 0, 0, 0];
    const AGAIN: [u8; 1] = [0x88];

    fn superframe(frames: &[&[u8]]) -> Vec<u8> {
        let marker = 0xc0 | (frames.len() as u8 - 1);
        let sizes: Vec<u8> = frames.iter().map(|frame| frame.len() as u8).collect();
        [&frames.concat()[..], &[marker], &sizes, &[marker]].concat()
    }

    #[test]
    fn a_few_bytes_say_what_the_whole_packet_says() {
        let vp9 = |data: &[u8]| both(Codec::Vp9, BitstreamLayout::Opaque, data);
        assert!(vp9(&SHOWN) && !vp9(&HIDDEN) && vp9(&AGAIN) && vp9(&[]));
        assert!(vp9(&superframe(&[&HIDDEN, &SHOWN])) && vp9(&superframe(&[&HIDDEN, &HIDDEN, &AGAIN])));
        assert!(!vp9(&superframe(&[&HIDDEN, &HIDDEN])) && vp9(&superframe(&[&[], &SHOWN])));
        // Sizes beyond the chunk are none.
        let mut liar = superframe(&[&HIDDEN, &SHOWN]);
        let at = liar.len() - 2;
        liar[at] = 200;
        assert!(!vp9(&liar));
        let vp8 = |data: &[u8]| both(Codec::Vp8, BitstreamLayout::Opaque, data);
        assert!(vp8(&[0x11, 0, 0, 5]) && !vp8(&[0x01, 0, 0, 5]) && vp8(&[0x01]));
        assert!(!vp8(&[0x00, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 48, 0, 7]));
    }

    #[test]
    fn whatever_the_bytes_are_both_ways_agree() {
        let mut state = 1_u64;
        let mut random = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        for _ in 0..4000 {
            let frames: Vec<&[u8]> = (0..=random(4))
                .map(|_| [&SHOWN[..], &HIDDEN, &HIDDEN, &AGAIN, &[]][random(5) as usize])
                .collect();
            let mut data = superframe(&frames);
            for _ in 0..random(3) {
                let at = random(data.len() as u64) as usize;
                data[at] = random(256) as u8;
            }
            data.truncate(data.len() - random(2) as usize);
            both(Codec::Vp9, BitstreamLayout::Opaque, &data);
            both(Codec::Vp8, BitstreamLayout::Opaque, &data);
            // Units of a few bytes: parameter sets, slices, other layers, and what is cut off.
            let length_size = [1, 2, 4][random(3) as usize];
            let mut units = Vec::new();
            for _ in 0..random(5) {
                let len = random(5) as u8;
                units.extend(std::iter::repeat_n(0, usize::from(length_size) - 1).chain([len]));
                let header = [(random(64) as u8) << 1 | u8::from(random(9) == 0), 1, 7, 7];
                units.extend_from_slice(&header[..usize::from(len.min(4))]);
            }
            units.truncate(units.len().saturating_sub(random(2) as usize));
            both(Codec::Hevc, BitstreamLayout::Hvcc { length_size }, &units);
        }
    }
}
