//! VP9: a packet is a frame, or a superframe of several of which one is shown.

use crate::nvdec::abi::{
    AspectRatio, CUVIDPICPARAMS, CUVIDVP9PICPARAMS, VideoSignalDescription, Zeroed, codec,
};
use crate::policy;

use super::bits::Bits;
use super::format;
use super::machine::FrameCodec;
use super::stage::{Coded, Flow, Shown, Stage, Surface};

/// Reference slots.
const SLOTS: usize = 8;

/// A reference and the size it has.
#[derive(Debug, Clone)]
struct Reference {
    surface: Surface,
    size: (u32, u32),
}

/// What stays from frame to frame.
#[derive(Debug, Clone, Copy)]
struct Colour {
    depth_minus8: u8,
    space: u8,
    full_range: bool,
    subsampling: (bool, bool),
}

impl Default for Colour {
    /// What profile 0 has, and what is taken for granted before the first key frame (measured on 580.159).
    fn default() -> Self {
        Self { depth_minus8: 0, space: 0, full_range: false, subsampling: (true, true) }
    }
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Vp9 {
    slots: [Option<Reference>; SLOTS],
    colour: Colour,
}

/// The uncompressed header as far as the frame size.
#[derive(Debug, Default)]
struct Header {
    profile: u8,
    existing: Option<usize>,
    key: bool,
    show: bool,
    resilient: bool,
    intra_only: bool,
    reset_context: u8,
    refresh: u8,
    references: [(usize, bool); 3],
    size: (u32, u32),
}

impl Vp9 {
    fn header(&mut self, data: &[u8]) -> Option<Header> {
        let mut bits = Bits::new(data);
        if bits.u(2) != 2 {
            return None;
        }
        let mut header = Header { profile: bits.u8(1) | bits.u8(1) << 1, ..Header::default() };
        if header.profile == 3 {
            bits.skip(1);
        }
        if bits.flag() {
            header.existing = Some(bits.u(3) as usize);
            return (!bits.overrun()).then_some(header);
        }
        header.key = !bits.flag();
        header.show = bits.flag();
        header.resilient = bits.flag();
        if header.key {
            sync(&mut bits)?;
            self.colour = colour(&mut bits, header.profile);
            header.size = size(&mut bits);
            header.refresh = 0xff;
        } else {
            header.intra_only = !header.show && bits.flag();
            header.reset_context = if header.resilient { 0 } else { bits.u8(2) };
            if header.intra_only {
                sync(&mut bits)?;
                self.colour =
                    if header.profile > 0 { colour(&mut bits, header.profile) } else { Colour::default() };
                header.refresh = bits.u8(8);
                header.size = size(&mut bits);
            } else {
                header.refresh = bits.u8(8);
                header.references = std::array::from_fn(|_| (bits.u(3) as usize, bits.flag()));
                let found = header.references.iter().find(|_| bits.flag());
                header.size = match found {
                    // Without the reference, as in a stream joined in the middle, the size is not known: the client
                    // is told 0 by 0 (measured on 580.159).
                    Some(&(slot, _)) => self.slots[slot].as_ref().map_or((0, 0), |reference| reference.size),
                    None => size(&mut bits),
                };
            }
        }
        (!bits.overrun()).then_some(header)
    }

    fn one(
        &mut self,
        data: &[u8],
        timestamp: Option<i64>,
        stage: &mut Stage,
    ) -> Result<bool, super::stage::Stop> {
        let Some(header) = self.header(data) else { return Ok(false) };
        let shown = |surface| Shown {
            surface,
            progressive: true,
            top_field_first: false,
            repeat_first_field: 0,
            timestamp,
        };
        if let Some(slot) = header.existing {
            let Some(reference) = &self.slots[slot] else { return Ok(false) };
            stage.show(shown(reference.surface.clone()));
            return Ok(true);
        }
        if self.colour.subsampling != (true, true) {
            // Nothing is heard of chroma that no chip decodes (measured on 580.159 with 4:2:2 and 4:4:4).
            return Ok(false);
        }
        stage.sequence(&self.format(&header), &[])?;
        let surface = stage.acquire_any();
        let mut params = self.params(&header, *surface);
        let coded = Coded { data: data.to_vec(), offsets: vec![0], timestamp, ..Coded::default() };
        stage.decode(&mut params, &coded, true);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if header.refresh >> index & 1 == 1 {
                *slot = Some(Reference { surface: surface.clone(), size: header.size });
            }
        }
        if header.show {
            stage.show(shown(surface));
        }
        Ok(header.show)
    }

    fn format(&self, header: &Header) -> crate::nvdec::abi::CUVIDEOFORMAT {
        let (width, height) = header.size;
        let mut format = format::basic(codec::VP9, width, height);
        // Measured on 580.159: the sizes are the frame's own, and neither ratio nor colour is looked into.
        (format.coded_width, format.coded_height) = header.size;
        format.display_aspect_ratio = AspectRatio { x: width as i32, y: height as i32 };
        format.video_signal_description = VideoSignalDescription::default();
        format.bit_depth_luma_minus8 = self.colour.depth_minus8;
        format.bit_depth_chroma_minus8 = self.colour.depth_minus8;
        format.min_num_decode_surfaces = Stage::surfaces_for(SLOTS, policy::PARSER_EXTRA_SURFACES);
        format
    }

    fn params(&self, header: &Header, surface: i32) -> CUVIDPICPARAMS {
        let index = |which: usize| {
            let (slot, _) = header.references[which];
            self.slots[slot].as_ref().map_or(0xff, |reference| *reference.surface as u8)
        };
        let mut vp9 = CUVIDVP9PICPARAMS::zeroed();
        (vp9.width, vp9.height) = header.size;
        (vp9.LastRefIdx, vp9.GoldenRefIdx, vp9.AltRefIdx) = (0xff, 0xff, 0xff);
        if !header.key && !header.intra_only {
            (vp9.LastRefIdx, vp9.GoldenRefIdx, vp9.AltRefIdx) = (index(0), index(1), index(2));
            for (which, &(slot, bias)) in header.references.iter().enumerate() {
                vp9.activeRefIdx[which] = slot as u32;
                vp9.refFrameSignBias[which + 1] = bias.into();
            }
        }
        vp9.colorSpace = self.colour.space;
        vp9.flags = u16::from(header.profile)
            | u16::from(!header.key) << 5
            | u16::from(header.show) << 6
            | u16::from(header.resilient) << 7
            | u16::from(self.colour.subsampling.0) << 9
            | u16::from(self.colour.subsampling.1) << 10
            | u16::from(header.intra_only) << 11;
        vp9.resetFrameContext = header.reset_context.into();
        vp9.bitDepthMinus8Luma = self.colour.depth_minus8;
        vp9.bitDepthMinus8Chroma = self.colour.depth_minus8;
        let mut params = CUVIDPICPARAMS::zeroed();
        // Rounded down, and never a reference (both measured on 580.159).
        params.PicWidthInMbs = (header.size.0 / 16) as i32;
        params.FrameHeightInMbs = (header.size.1 / 16) as i32;
        params.CurrPicIdx = surface;
        params.intra_pic_flag = (header.key || header.intra_only).into();
        params.CodecSpecific.vp9 = vp9;
        params
    }
}

fn sync(bits: &mut Bits) -> Option<()> {
    (bits.u(24) == 0x49_83_42).then_some(())
}

fn size(bits: &mut Bits) -> (u32, u32) {
    (bits.u(16) + 1, bits.u(16) + 1)
}

fn colour(bits: &mut Bits, profile: u8) -> Colour {
    let mut colour = Colour::default();
    if profile >= 2 {
        colour.depth_minus8 = if bits.flag() { 4 } else { 2 };
    }
    colour.space = bits.u8(3);
    let odd = profile & 1 == 1;
    if colour.space == 7 {
        colour.full_range = true;
        colour.subsampling = (false, false);
        bits.skip(odd.into());
    } else {
        colour.full_range = bits.flag();
        if odd {
            colour.subsampling = (bits.flag(), bits.flag());
            bits.skip(1);
        }
    }
    colour
}

/// The frames of a packet: the index at the end of a superframe lists their sizes.
fn split(data: &[u8]) -> Vec<&[u8]> {
    let Some(&marker) = data.last() else { return Vec::new() };
    let (count, width) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
    let index = 2 + count * width;
    if marker & 0xe0 != 0xc0 || data.len() < index || data[data.len() - index] != marker {
        return vec![data];
    }
    let sizes = &data[data.len() - index + 1..data.len() - 1];
    let mut rest = &data[..data.len() - index];
    let mut frames = Vec::new();
    for size in sizes.chunks(width) {
        let size = size.iter().rev().fold(0usize, |value, &byte| value << 8 | usize::from(byte));
        let Some((frame, more)) = rest.split_at_checked(size) else { break };
        rest = more;
        if !frame.is_empty() {
            frames.push(frame);
        }
    }
    frames
}

impl FrameCodec for Vp9 {
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow {
        let mut timestamp = timestamp;
        for frame in split(data) {
            // A superframe has one timestamp, and as a rule one picture that is shown.
            if self.one(frame, timestamp, stage)? {
                timestamp = None;
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.slots = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superframe_is_split_by_its_index() {
        let data = [1, 2, 3, 4, 5, 0xc1, 2, 3, 0xc1];
        assert_eq!(split(&data), [&[1, 2][..], &[3, 4, 5][..]]);
        assert_eq!(split(&[1, 2, 3]), [&[1, 2, 3][..]]);
        // Sizes beyond the data end the list.
        assert!(split(&[0xc1, 200, 3, 0xc1]).is_empty());
    }
}
