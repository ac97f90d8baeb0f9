//! AV1: a packet is a temporal unit of open bitstream units. Headers are read as far as the reference updates; the
//! picture parameters say size, type and references, and the decoder behind reads the rest from the data.

use crate::nvdec::abi::{CUVIDAV1PICPARAMS, CUVIDEOFORMAT, CUVIDPICPARAMS, Zeroed, chroma_format, codec};
use crate::policy;

use super::bits::Bits;
use super::format;
use super::machine::FrameCodec;
use super::stage::{Coded, Flow, Shown, Stage, Surface};

const SLOTS: usize = 8;
const KEY: u32 = 0;
const INTRA_ONLY: u32 = 2;
const SWITCH: u32 = 3;

/// A sequence header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sequence {
    profile: u32,
    reduced: bool,
    width: u32,
    height: u32,
    points: Vec<u16>,
    /// Which of them have a decoder model.
    modelled: Vec<bool>,
    removal_bits: u32,
    /// `frame_presentation_time_length`, where frames carry it.
    time_bits: Option<u32>,
    equal_interval: bool,
    frame_id_bits: Option<u32>,
    order_hint_bits: u32,
    /// 2: each frame says itself.
    screen_content: u32,
    integer_mv: u32,
    depth_minus8: u8,
    mono: bool,
    subsampling: (bool, bool),
    full_range: bool,
    colours: [u8; 3],
    rate: (u64, u64),
    raw: Vec<u8>,
}

/// A frame header as far as the reference updates.
#[derive(Debug, Clone, Default)]
struct Header {
    existing: Option<usize>,
    kind: u32,
    show: bool,
    order_hint: u32,
    refresh: u8,
}

/// A reference.
#[derive(Debug, Clone)]
struct Reference {
    surface: Surface,
    key: bool,
}

/// See the module's text.
pub(super) struct Av1 {
    annex_b: bool,
    sequence: Option<Sequence>,
    slots: [Option<Reference>; SLOTS],
    point: usize,
}

/// One unit: its type, extension byte, and payload; `whole` includes its header, with a size field.
struct Obu<'a> {
    kind: u8,
    extension: Option<u8>,
    payload: &'a [u8],
    whole: Vec<u8>,
}

/// A number in little-endian groups of seven bits.
fn leb128(data: &mut &[u8]) -> Option<usize> {
    let mut value = 0u64;
    for group in 0..8 {
        let (&byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

/// Reads a unit. `length` is what a length-delimited stream says of it.
fn obu<'a>(data: &mut &'a [u8], length: Option<usize>) -> Option<Obu<'a>> {
    let mut rest = *data;
    if let Some(length) = length {
        (rest, *data) = data.split_at_checked(length)?;
    }
    let (&header, mut body) = rest.split_first()?;
    if header & 0x80 != 0 {
        return None;
    }
    let mut extension = None;
    if header & 4 != 0 {
        let (&byte, after) = body.split_first()?;
        extension = Some(byte);
        body = after;
    }
    let size = if header & 2 != 0 { leb128(&mut body)? } else { body.len() };
    let (payload, after) = body.split_at_checked(size)?;
    if length.is_none() {
        *data = after;
    }
    let mut whole = vec![header | 2];
    whole.extend(extension);
    let mut left = size;
    loop {
        let group = (left & 0x7f) as u8;
        left >>= 7;
        whole.push(group | if left > 0 { 0x80 } else { 0 });
        if left == 0 {
            break;
        }
    }
    whole.extend_from_slice(payload);
    Some(Obu { kind: header >> 3 & 15, extension, payload, whole })
}

/// The units of a packet; what follows damage is dropped.
fn obus(mut data: &[u8], annex_b: bool) -> Vec<Obu<'_>> {
    let mut found = Vec::new();
    if !annex_b {
        while let Some(obu) = obu(&mut data, None) {
            found.push(obu);
        }
        return found;
    }
    while let Some(mut unit) = leb128(&mut data).and_then(|size| take(&mut data, size)) {
        while let Some(mut frame) = leb128(&mut unit).and_then(|size| take(&mut unit, size)) {
            while let Some(length) = leb128(&mut frame) {
                let Some(obu) = obu(&mut frame, Some(length)) else { break };
                found.push(obu);
            }
        }
    }
    found
}

fn take<'a>(data: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (taken, rest) = data.split_at_checked(size)?;
    *data = rest;
    Some(taken)
}

fn sequence(payload: &[u8], raw: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(payload);
    let mut sequence = Sequence { profile: bits.u(3), raw: raw.to_vec(), ..Sequence::default() };
    bits.skip(1);
    sequence.reduced = bits.flag();
    if sequence.reduced {
        sequence.points.push(0);
        bits.skip(5);
    } else {
        operating_points(&mut bits, &mut sequence);
    }
    let (width_bits, height_bits) = (bits.u(4) + 1, bits.u(4) + 1);
    sequence.width = bits.u(width_bits) + 1;
    sequence.height = bits.u(height_bits) + 1;
    if !sequence.reduced && bits.flag() {
        let delta = bits.u(4) + 2;
        sequence.frame_id_bits = Some(bits.u(3) + delta + 1);
    }
    bits.skip(3);
    (sequence.screen_content, sequence.integer_mv) = (2, 2);
    if !sequence.reduced {
        bits.skip(4);
        let order_hint = bits.flag();
        if order_hint {
            bits.skip(2);
        }
        if !bits.flag() {
            sequence.screen_content = bits.u(1);
        }
        if sequence.screen_content > 0 && !bits.flag() {
            sequence.integer_mv = bits.u(1);
        }
        if order_hint {
            sequence.order_hint_bits = bits.u(3) + 1;
        }
    }
    bits.skip(3);
    colours(&mut bits, &mut sequence);
    (!bits.overrun() && sequence.width <= 1 << 16 && sequence.height <= 1 << 16).then_some(sequence)
}

fn operating_points(bits: &mut Bits, sequence: &mut Sequence) {
    let mut model = false;
    let mut delay_bits = 0;
    if bits.flag() {
        let (units, scale) = (bits.u(32), bits.u(32));
        sequence.equal_interval = bits.flag();
        let ticks = if sequence.equal_interval { u64::from(bits.ue()) + 1 } else { 1 };
        sequence.rate = (u64::from(scale), u64::from(units).saturating_mul(ticks));
        model = bits.flag();
        if model {
            delay_bits = bits.u(5) + 1;
            bits.skip(32);
            sequence.removal_bits = bits.u(5) + 1;
            sequence.time_bits = Some(bits.u(5) + 1);
        }
    }
    let initial_delay = bits.flag();
    for _ in 0..=bits.u(5) {
        sequence.points.push(bits.u(12) as u16);
        if bits.u(5) > 7 {
            bits.skip(1);
        }
        let modelled = model && bits.flag();
        sequence.modelled.push(modelled);
        if modelled {
            bits.skip(2 * delay_bits as usize + 1);
        }
        if initial_delay && bits.flag() {
            bits.skip(4);
        }
    }
}

fn colours(bits: &mut Bits, sequence: &mut Sequence) {
    let high = bits.flag();
    let twelve = sequence.profile == 2 && high && bits.flag();
    sequence.depth_minus8 = if twelve { 4 } else { 2 * u8::from(high) };
    sequence.mono = sequence.profile != 1 && bits.flag();
    sequence.colours = if bits.flag() { [bits.u8(8), bits.u8(8), bits.u8(8)] } else { [2; 3] };
    sequence.subsampling = (true, true);
    if sequence.mono {
        sequence.full_range = bits.flag();
    } else if sequence.colours == [1, 13, 0] {
        sequence.full_range = true;
        sequence.subsampling = (false, false);
    } else {
        sequence.full_range = bits.flag();
        sequence.subsampling = match sequence.profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve => {
                let x = bits.flag();
                (x, x && bits.flag())
            }
            _ => (true, false),
        };
    }
}

fn header(payload: &[u8], sequence: &Sequence, extension: Option<u8>) -> Option<Header> {
    let mut bits = Bits::new(payload);
    let mut header = Header { show: true, ..Header::default() };
    let mut resilient = true;
    if !sequence.reduced {
        if bits.flag() {
            header.existing = Some(bits.u(3) as usize);
            return (!bits.overrun()).then_some(header);
        }
        header.kind = bits.u(2);
        header.show = bits.flag();
        if let (true, false, Some(time)) = (header.show, sequence.equal_interval, sequence.time_bits) {
            bits.skip(time as usize);
        }
        if !header.show {
            bits.skip(1);
        }
        resilient = header.kind == SWITCH || (header.kind == KEY && header.show) || bits.flag();
    }
    bits.skip(1);
    let intra = matches!(header.kind, KEY | INTRA_ONLY);
    let screen = if sequence.screen_content == 2 { bits.u(1) } else { sequence.screen_content };
    if screen == 1 && sequence.integer_mv == 2 {
        bits.skip(1);
    }
    if let Some(id) = sequence.frame_id_bits {
        bits.skip(id as usize);
    }
    if header.kind != SWITCH && !sequence.reduced {
        bits.skip(1);
    }
    header.order_hint = bits.u(sequence.order_hint_bits);
    if !intra && !resilient {
        bits.skip(3);
    }
    if sequence.time_bits.is_some() && bits.flag() {
        // Times of removal from the buffer, for the operating points that this unit belongs to.
        let layers = extension.unwrap_or(0);
        for (&point, _) in sequence.points.iter().zip(&sequence.modelled).filter(|(_, modelled)| **modelled) {
            let inside = point >> (layers >> 5) & 1 == 1 && point >> ((layers >> 3 & 3) + 8) & 1 == 1;
            if point == 0 || inside {
                bits.skip(sequence.removal_bits as usize);
            }
        }
    }
    header.refresh =
        if header.kind == SWITCH || (header.kind == KEY && header.show) { 0xff } else { bits.u8(8) };
    (!bits.overrun()).then_some(header)
}

impl Av1 {
    pub(super) fn new(annex_b: bool) -> Self {
        Self { annex_b, sequence: None, slots: Default::default(), point: 0 }
    }

    /// Decodes or shows a frame that is complete. The first that is shown has the packet's timestamp.
    fn finish(&mut self, frame: (Header, Coded), timestamp: &mut Option<i64>, stage: &mut Stage) -> Flow {
        let (header, coded) = frame;
        let shows = header.show || header.existing.is_some();
        let own = if shows { timestamp.take() } else { None };
        self.one(&header, coded, own, stage)
    }

    /// Decodes or shows one frame, whose units are in `coded`.
    fn one(&mut self, header: &Header, coded: Coded, timestamp: Option<i64>, stage: &mut Stage) -> Flow {
        let shown = |surface| Shown {
            surface,
            progressive: true,
            top_field_first: true,
            repeat_first_field: 0,
            timestamp,
        };
        if let Some(slot) = header.existing {
            let Some(reference) = self.slots[slot].clone() else { return Ok(()) };
            if reference.key {
                // A key frame that is shown late starts anew as if it were decoded now.
                self.slots = std::array::from_fn(|_| Some(reference.clone()));
            }
            stage.show(shown(reference.surface));
            return Ok(());
        }
        let Some(sequence) = self.sequence.clone() else { return Ok(()) };
        let intra = matches!(header.kind, KEY | INTRA_ONLY);
        if !intra && self.slots.iter().all(Option::is_none) {
            return Ok(());
        }
        stage.sequence(&video_format(&sequence), &sequence.raw)?;
        let surface = stage.acquire_any();
        let mut av1 = CUVIDAV1PICPARAMS::zeroed();
        (av1.width, av1.height) = (sequence.width, sequence.height);
        av1.frame_offset = header.order_hint;
        av1.decodePicIdx = *surface;
        av1.sequence_bits = sequence.profile
            | u32::from(sequence.subsampling.0) << 4
            | u32::from(sequence.subsampling.1) << 5
            | u32::from(sequence.mono) << 6
            | u32::from(sequence.depth_minus8) << 7;
        av1.frame_bits = header.kind | u32::from(header.show) << 2;
        for (to, slot) in av1.ref_frame_map.iter_mut().zip(&self.slots) {
            *to = slot.as_ref().map_or(0xff, |reference| *reference.surface as u8);
        }
        let mut params = CUVIDPICPARAMS::zeroed();
        params.PicWidthInMbs = sequence.width.div_ceil(16) as i32;
        params.FrameHeightInMbs = sequence.height.div_ceil(16) as i32;
        params.CurrPicIdx = *surface;
        params.intra_pic_flag = intra.into();
        params.ref_pic_flag = (header.refresh != 0).into();
        params.CodecSpecific.av1 = av1;
        stage.decode(&mut params, &coded, true);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if header.refresh >> index & 1 == 1 {
                *slot = Some(Reference { surface: surface.clone(), key: header.kind == KEY });
            }
        }
        if header.show {
            stage.show(shown(surface));
        }
        Ok(())
    }
}

impl FrameCodec for Av1 {
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow {
        let mut timestamp = timestamp;
        let mut open: Option<(Header, Coded)> = None;
        for obu in obus(data, self.annex_b) {
            if obu.kind == 1 {
                let Some(sequence) = sequence(obu.payload, &obu.whole) else { continue };
                if self.sequence.as_ref() != Some(&sequence) {
                    self.point = stage.operating_point(&sequence.points);
                    self.sequence = Some(sequence);
                }
                continue;
            }
            let Some(sequence) = &self.sequence else { continue };
            let point = sequence.points.get(self.point).copied().unwrap_or(0);
            if let (Some(layers), true) = (obu.extension, point != 0) {
                let (temporal, spatial) = (layers >> 5, layers >> 3 & 3);
                if point >> temporal & 1 == 0 || point >> (spatial + 8) & 1 == 0 {
                    continue;
                }
            }
            match obu.kind {
                // Frame header, or frame: the frame before it is complete.
                3 | 6 => {
                    let header = header(obu.payload, sequence, obu.extension);
                    let sets = sequence.raw.clone();
                    if let Some(complete) = open.take() {
                        self.finish(complete, &mut timestamp, stage)?;
                    }
                    let Some(header) = header else { continue };
                    let coded = Coded { data: obu.whole, offsets: vec![0], sets, ..Coded::default() };
                    open = Some((header, coded));
                }
                // Tile group.
                4 => {
                    if let Some((_, coded)) = &mut open {
                        coded.data.extend_from_slice(&obu.whole);
                    }
                }
                _ => {}
            }
        }
        match open {
            Some(complete) => self.finish(complete, &mut timestamp, stage),
            None => Ok(()),
        }
    }

    fn reset(&mut self) {
        self.slots = Default::default();
    }
}

fn video_format(sequence: &Sequence) -> CUVIDEOFORMAT {
    let mut format = format::basic(codec::AV1, sequence.width, sequence.height);
    format.bit_depth_luma_minus8 = sequence.depth_minus8;
    format.bit_depth_chroma_minus8 = sequence.depth_minus8;
    format.min_num_decode_surfaces = Stage::surfaces_for(SLOTS, policy::PARSER_EXTRA_SURFACES);
    format.chroma_format = match sequence.subsampling {
        _ if sequence.mono => chroma_format::MONOCHROME,
        (false, _) => chroma_format::YUV444,
        (true, false) => chroma_format::YUV422,
        (true, true) => chroma_format::YUV420,
    };
    format.frame_rate = format::rate(sequence.rate.0, sequence.rate.1);
    let signal = &mut format.video_signal_description;
    signal.format_and_range |= u8::from(sequence.full_range) << 3;
    [signal.color_primaries, signal.transfer_characteristics, signal.matrix_coefficients] = sequence.colours;
    format
}
