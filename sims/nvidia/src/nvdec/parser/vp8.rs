//! VP8: a packet is a frame; its header says which of the three references it replaces.

use crate::nvdec::abi::{
    AspectRatio, CUVIDPICPARAMS, CUVIDVP8PICPARAMS, VideoSignalDescription, Zeroed, codec,
};
use crate::policy;

use super::format;
use super::machine::FrameCodec;
use super::stage::{Coded, Flow, Shown, Stage, Surface};

/// Frames kept: last, golden, alternate.
const FRAMES: usize = 3;

/// See the module's text.
#[derive(Default)]
pub(super) struct Vp8 {
    size: (u32, u32),
    /// Last, golden, alternate.
    references: [Option<Surface>; FRAMES],
}

/// The boolean decoder of RFC 6386, section 7. Past the end it reads zeros.
struct Bool<'a> {
    data: &'a [u8],
    at: usize,
    value: u32,
    range: u32,
    shift: u32,
}

impl<'a> Bool<'a> {
    fn new(data: &'a [u8]) -> Self {
        let byte = |index| u32::from(data.get(index).copied().unwrap_or(0));
        Self { data, at: 2, value: byte(0) << 8 | byte(1), range: 255, shift: 0 }
    }

    fn bit(&mut self) -> bool {
        let split = 1 + (((self.range - 1) * 128) >> 8);
        let set = self.value >= split << 8;
        if set {
            self.range -= split;
            self.value -= split << 8;
        } else {
            self.range = split;
        }
        while self.range < 128 {
            self.value <<= 1;
            self.range <<= 1;
            self.shift += 1;
            if self.shift == 8 {
                self.shift = 0;
                self.value |= u32::from(self.data.get(self.at).copied().unwrap_or(0));
                self.at += 1;
            }
        }
        set
    }

    fn u(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| value << 1 | u32::from(self.bit()))
    }

    /// Values that are there only where a flag says so.
    fn optional(&mut self, count: u32, bits: u32) {
        for _ in 0..count {
            if self.bit() {
                self.u(bits);
            }
        }
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy)]
struct Header {
    key: bool,
    version: u8,
    show: bool,
    first_partition: u32,
    segment_map: bool,
    refresh_last: bool,
    /// Where golden and alternate come from: 0 unchanged, 1 last, 2 the other of the two, 3 this frame.
    golden: u32,
    alternate: u32,
}

fn header(data: &[u8], size: &mut (u32, u32)) -> Option<Header> {
    let tag = u32::from_le_bytes([*data.first()?, *data.get(1)?, *data.get(2)?, 0]);
    let key = tag & 1 == 0;
    let mut body = 3;
    if key {
        let start = data.get(3..10)?;
        if start[..3] != [0x9d, 0x01, 0x2a] {
            return None;
        }
        let side = |index: usize| u32::from(u16::from_le_bytes([start[index], start[index + 1]])) & 0x3fff;
        *size = (side(3), side(5));
        body = 10;
    }
    if size.0 == 0 || size.1 == 0 {
        return None;
    }
    let mut bits = Bool::new(&data[body..]);
    if key {
        bits.u(2);
    }
    let mut segment_map = false;
    if bits.bit() {
        segment_map = bits.bit();
        if bits.bit() {
            bits.bit();
            bits.optional(4, 8);
            bits.optional(4, 7);
        }
        if segment_map {
            bits.optional(3, 8);
        }
    }
    bits.u(10);
    if bits.bit() && bits.bit() {
        bits.optional(8, 7);
    }
    bits.u(2);
    bits.u(7);
    bits.optional(5, 5);
    let (mut golden, mut alternate, mut refresh_last) = (3, 3, true);
    if !key {
        let (new_golden, new_alternate) = (bits.bit(), bits.bit());
        if !new_golden {
            golden = bits.u(2).min(2);
        }
        if !new_alternate {
            alternate = bits.u(2).min(2);
        }
        bits.u(3);
        refresh_last = bits.bit();
    }
    Some(Header {
        key,
        version: (tag >> 1 & 7) as u8,
        show: tag >> 4 & 1 == 1,
        first_partition: tag >> 5,
        segment_map,
        refresh_last,
        golden,
        alternate,
    })
}

impl FrameCodec for Vp8 {
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow {
        let Some(header) = header(data, &mut self.size) else { return Ok(()) };
        if header.key {
            self.references = Default::default();
            // Measured on 580.159: sizes are made even first, and neither ratio nor colour is looked into.
            let mut format = format::basic(codec::VP8, self.size.0 & !1, self.size.1 & !1);
            format.display_aspect_ratio = AspectRatio::default();
            format.video_signal_description = VideoSignalDescription::default();
            format.min_num_decode_surfaces = policy::PARSER_SURFACES_VP8;
            stage.sequence(&format, &[])?;
        } else if self.references.iter().any(Option::is_none) {
            return Ok(());
        }
        let surface = stage.acquire_any();
        let index = |place: usize| self.references[place].as_deref().map_or(0xff, |&index| index as u8);
        let mut vp8 = CUVIDVP8PICPARAMS::zeroed();
        vp8.width = self.size.0 as i32;
        vp8.height = self.size.1 as i32;
        vp8.first_partition_size = header.first_partition;
        (vp8.LastRefIdx, vp8.GoldenRefIdx, vp8.AltRefIdx) = (index(0), index(1), index(2));
        vp8.wFrameTagFlags = u8::from(!header.key)
            | header.version << 1
            | u8::from(header.show) << 4
            | u8::from(header.segment_map) << 5;
        let mut params = CUVIDPICPARAMS::zeroed();
        params.PicWidthInMbs = self.size.0.div_ceil(16) as i32;
        params.FrameHeightInMbs = self.size.1.div_ceil(16) as i32;
        params.CurrPicIdx = *surface;
        params.intra_pic_flag = header.key.into();
        params.ref_pic_flag = (header.refresh_last || header.golden == 3 || header.alternate == 3).into();
        params.CodecSpecific.vp8 = vp8;
        let coded = Coded { data: data.to_vec(), offsets: vec![0], ..Coded::default() };
        stage.decode(&mut params, &coded, true);
        let [last, golden, alternate] = self.references.clone();
        let pick = |from: u32, own: &Option<Surface>, other: &Option<Surface>| match from {
            0 => own.clone(),
            1 => last.clone(),
            2 => other.clone(),
            _ => Some(surface.clone()),
        };
        self.references = [
            if header.refresh_last { Some(surface.clone()) } else { last.clone() },
            pick(header.golden, &golden, &alternate),
            pick(header.alternate, &alternate, &golden),
        ];
        if header.show {
            let shown =
                Shown { surface, progressive: true, top_field_first: true, repeat_first_field: 0, timestamp };
            stage.show(shown);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.references = Default::default();
    }
}
