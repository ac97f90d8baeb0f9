//! MPEG-1 and MPEG-2: start codes, two anchors, B pictures, fields.

use crate::nvdec::abi::{CUVIDEOFORMAT, CUVIDMPEG2PICPARAMS, CUVIDPICPARAMS, Zeroed, codec};
use crate::policy;

use super::bits::Bits;
use super::format;
use super::h264::zigzag;
use super::machine::UnitCodec;
use super::pair::{self, Pair};
use super::stage::{Coded, Flow, Shown, Stage, Surface};
use super::units::Unit;

/// A sequence header and its extensions.
#[derive(Debug, Clone, Default)]
struct Sequence {
    width: u32,
    height: u32,
    shape: u32,
    rate: (u64, u64),
    bit_rate: u64,
    /// MPEG-2: a sequence extension came.
    extended: bool,
    progressive: bool,
    chroma: u32,
    low_delay: bool,
    signal: Option<[u8; 4]>,
    /// Quantiser matrices in raster order, intra and inter.
    matrices: Option<Box<[[u8; 64]; 2]>>,
}

/// A picture header and its extension.
#[derive(Debug, Clone, Default)]
struct Header {
    kind: u32,
    full_pel: [bool; 2],
    f_code: [[i32; 2]; 2],
    dc_precision: u32,
    /// 1 top field, 2 bottom field, 3 frame.
    structure: u32,
    top_field_first: bool,
    /// `frame_pred_frame_dct`, `concealment_motion_vectors`, `q_scale_type`, `intra_vlc_format`, `alternate_scan`.
    flags: [bool; 5],
    repeat_first: bool,
    progressive: bool,
}

/// A picture whose slices are being collected.
struct Open {
    header: Header,
    coded: Coded,
    timestamp: Option<i64>,
}

/// A first field whose second has not come yet.
struct First {
    surface: Surface,
    structure: u32,
    shown: Shown,
    bidirectional: bool,
}

/// See the module's text.
pub(super) struct Mpeg2 {
    codec: u32,
    sequence: Option<Sequence>,
    /// Sequence header and extensions as they came, with start codes.
    raw: Vec<u8>,
    open: Option<Open>,
    first: Option<First>,
    begins_at: Option<u64>,
    pair: Pair,
}

const B: u32 = 3;

const INTRA: [u8; 64] = [
    8, 16, 16, 19, 16, 19, 22, 22, 22, 22, 22, 22, 26, 24, 26, 27, 27, 27, 26, 26, 26, 26, 27, 27, 27, 29,
    29, 29, 34, 34, 34, 29, 29, 29, 27, 27, 29, 29, 32, 32, 34, 34, 37, 38, 37, 35, 35, 34, 35, 38, 38, 40,
    40, 40, 48, 48, 46, 46, 56, 56, 58, 69, 69, 83,
];

const RATES: [(u64, u64); 9] =
    [(0, 1), (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1)];

impl Mpeg2 {
    pub(super) fn new(codec: u32) -> Self {
        Self {
            codec,
            sequence: None,
            raw: Vec::new(),
            open: None,
            first: None,
            begins_at: None,
            pair: Pair::default(),
        }
    }

    fn sequence_header(&mut self, data: &[u8]) {
        let mut bits = Bits::new(data);
        let mut sequence =
            Sequence { width: bits.u(12), height: bits.u(12), shape: bits.u(4), ..Default::default() };
        sequence.rate = RATES.get(bits.u(4) as usize).copied().unwrap_or((0, 1));
        sequence.bit_rate = u64::from(bits.u(18));
        bits.skip(12);
        sequence.progressive = true;
        sequence.chroma = 1;
        sequence.matrices = Some(Box::new([matrix(&mut bits, INTRA), matrix(&mut bits, [16; 64])]));
        if sequence.width > 0 && sequence.height > 0 && !bits.overrun() {
            self.sequence = Some(sequence);
        }
    }

    fn extension(&mut self, data: &[u8]) {
        let mut bits = Bits::new(data);
        let kind = bits.u(4);
        match (kind, &mut self.open, &mut self.sequence) {
            (8, Some(open), _) if open.coded.offsets.is_empty() => {
                coding_extension(&mut bits, &mut open.header)
            }
            (1, None, Some(sequence)) => {
                bits.skip(8);
                sequence.extended = true;
                sequence.progressive = bits.flag();
                sequence.chroma = bits.u(2);
                sequence.width |= bits.u(2) << 12;
                sequence.height |= bits.u(2) << 12;
                sequence.bit_rate |= u64::from(bits.u(12)) << 18;
                bits.skip(9);
                sequence.low_delay = bits.flag();
                sequence.rate.0 *= u64::from(bits.u(2)) + 1;
                sequence.rate.1 *= u64::from(bits.u(5)) + 1;
            }
            (2, None, Some(sequence)) => {
                let video_format = bits.u8(3);
                let colours = if bits.flag() { [bits.u8(8), bits.u8(8), bits.u8(8)] } else { [2; 3] };
                sequence.signal = Some([video_format, colours[0], colours[1], colours[2]]);
            }
            _ => {}
        }
    }

    fn picture_header(&mut self, unit: &Unit, stage: &mut Stage) {
        let mut bits = Bits::new(&unit.data[1..]);
        bits.skip(10);
        let mut header = Header { kind: bits.u(3), structure: 3, progressive: true, ..Header::default() };
        bits.skip(16);
        if header.kind == 2 || header.kind == B {
            header.full_pel[0] = bits.flag();
            header.f_code[0] = [bits.u(3) as i32; 2];
        }
        if header.kind == B {
            header.full_pel[1] = bits.flag();
            header.f_code[1] = [bits.u(3) as i32; 2];
        }
        let timestamp = stage.times.take(self.begins_at.take().unwrap_or(unit.at));
        let coded = Coded { sets: self.raw.clone(), ..Coded::default() };
        self.open = Some(Open { header, coded, timestamp });
    }

    fn decode(&mut self, open: Open, stage: &mut Stage) -> Flow {
        let Some(sequence) = self.sequence.clone() else { return Ok(()) };
        let header = &open.header;
        if open.coded.offsets.is_empty() || !(1..=3).contains(&header.kind) || header.structure == 0 {
            return Ok(());
        }
        let bidirectional = header.kind == B;
        let completes = self.first.as_ref().is_some_and(|first| {
            header.structure != 3
                && first.structure + header.structure == 3
                && first.bidirectional == bidirectional
        });
        if !completes {
            self.end_frame(true, stage);
            let known = self.pair.references(false)[0] >= 0;
            // Nothing to refer to: at the start, or B pictures of an open group after a seek.
            if (header.kind == 2 && !known) || (bidirectional && !self.pair.is_full()) {
                return Ok(());
            }
            let format = self.format(&sequence);
            self.pair.sequence(&format, &self.raw, stage)?;
        }
        let surface = match &self.first {
            Some(first) if completes => first.surface.clone(),
            _ => stage.acquire_any(),
        };
        let mut params = self.params(&sequence, header, *surface, completes);
        stage.decode(&mut params, &open.coded, !completes);
        if completes {
            self.end_frame(false, stage);
            return Ok(());
        }
        let shown = Shown {
            surface: surface.clone(),
            progressive: header.progressive,
            top_field_first: if header.structure == 3 {
                header.top_field_first || header.progressive
            } else {
                header.structure == 1
            },
            repeat_first_field: match (header.repeat_first, sequence.progressive, header.top_field_first) {
                (false, ..) => 0,
                (true, false, _) => 1,
                (true, true, false) => 2,
                (true, true, true) => 4,
            },
            timestamp: open.timestamp,
        };
        if header.structure == 3 {
            self.pair.take(shown, bidirectional, sequence.low_delay, stage);
            return Ok(());
        }
        self.first = Some(First { surface, structure: header.structure, shown, bidirectional });
        Ok(())
    }

    /// The frame of the first field is complete, or stays `alone`.
    fn end_frame(&mut self, alone: bool, stage: &mut Stage) {
        let Some(mut first) = self.first.take() else { return };
        if alone {
            first.shown.repeat_first_field = -1;
        }
        let low_delay = self.sequence.as_ref().is_some_and(|sequence| sequence.low_delay);
        self.pair.take(first.shown, first.bidirectional, low_delay, stage);
    }

    fn params(&self, sequence: &Sequence, header: &Header, surface: i32, second: bool) -> CUVIDPICPARAMS {
        let mut mpeg2 = CUVIDMPEG2PICPARAMS::zeroed();
        [mpeg2.ForwardRefIdx, mpeg2.BackwardRefIdx] = match header.kind {
            1 if !second => [-1; 2],
            kind => self.pair.references(kind == B),
        };
        mpeg2.picture_coding_type = header.kind as i32;
        [mpeg2.full_pel_forward_vector, mpeg2.full_pel_backward_vector] = header.full_pel.map(i32::from);
        mpeg2.f_code = header.f_code;
        mpeg2.intra_dc_precision = header.dc_precision as i32;
        [
            mpeg2.frame_pred_frame_dct,
            mpeg2.concealment_motion_vectors,
            mpeg2.q_scale_type,
            mpeg2.intra_vlc_format,
            mpeg2.alternate_scan,
        ] = header.flags.map(i32::from);
        mpeg2.top_field_first = header.top_field_first.into();
        if let Some(matrices) = &sequence.matrices {
            [mpeg2.QuantMatrixIntra, mpeg2.QuantMatrixInter] = **matrices;
        }
        let mut params = CUVIDPICPARAMS::zeroed();
        params.PicWidthInMbs = sequence.width.div_ceil(16) as i32;
        params.FrameHeightInMbs = (coded_height(sequence) / 16) as i32;
        params.CurrPicIdx = surface;
        params.field_pic_flag = (header.structure != 3).into();
        params.bottom_field_flag = (header.structure == 2).into();
        params.second_field = second.into();
        params.intra_pic_flag = (header.kind == 1).into();
        params.ref_pic_flag = (header.kind != B).into();
        params.CodecSpecific.mpeg2 = mpeg2;
        params
    }

    fn format(&self, sequence: &Sequence) -> CUVIDEOFORMAT {
        let mut format = format::basic(self.codec, sequence.width, sequence.height);
        if self.codec == codec::MPEG2 && !sequence.extended {
            format.codec = codec::MPEG1;
        }
        format.coded_height = coded_height(sequence);
        format.progressive_sequence = sequence.progressive.into();
        format.chroma_format = format::chroma(sequence.chroma);
        format.min_num_decode_surfaces = Stage::surfaces_for(pair::FRAMES, policy::PARSER_EXTRA_SURFACES);
        format.frame_rate = format::rate(sequence.rate.0, sequence.rate.1);
        format.bitrate = u32::try_from(sequence.bit_rate * 400).unwrap_or(0);
        if sequence.extended {
            let shape = match sequence.shape {
                2 => Some((4, 3)),
                3 => Some((16, 9)),
                4 => Some((221, 100)),
                _ => None,
            };
            if let Some((x, y)) = shape {
                format.display_aspect_ratio = crate::nvdec::abi::AspectRatio { x, y };
            }
        }
        if let Some([video_format, primaries, transfer, matrix]) = sequence.signal {
            let signal = &mut format.video_signal_description;
            signal.format_and_range = video_format;
            signal.color_primaries = primaries;
            signal.transfer_characteristics = transfer;
            signal.matrix_coefficients = matrix;
        }
        format
    }
}

/// An interlaced sequence has whole macroblocks in each field.
fn coded_height(sequence: &Sequence) -> u32 {
    sequence.height.next_multiple_of(if sequence.progressive { 16 } else { 32 })
}

fn matrix(bits: &mut Bits, default: [u8; 64]) -> [u8; 64] {
    let values = if bits.flag() { std::array::from_fn(|_| bits.u8(8)) } else { default };
    let mut raster = [0; 64];
    for (place, value) in zigzag(8).into_iter().zip(values) {
        raster[place] = value;
    }
    raster
}

fn coding_extension(bits: &mut Bits, header: &mut Header) {
    let mut codes = [0; 4];
    for code in &mut codes {
        *code = bits.u(4) as i32;
    }
    header.f_code = [[codes[0], codes[1]], [codes[2], codes[3]]];
    header.dc_precision = bits.u(2);
    header.structure = bits.u(2);
    header.top_field_first = bits.flag();
    header.flags = std::array::from_fn(|_| bits.flag());
    header.repeat_first = bits.flag();
    bits.skip(1);
    header.progressive = bits.flag();
}

impl UnitCodec for Mpeg2 {
    fn unit(&mut self, unit: &Unit, stage: &mut Stage) -> Flow {
        let kind = unit.data[0];
        if matches!(kind, 0x00 | 0xb3 | 0xb7 | 0xb8) {
            self.end_picture(stage)?;
            self.begins_at.get_or_insert(unit.at);
        }
        match kind {
            0x00 => self.picture_header(unit, stage),
            0xb3 => {
                self.raw.clear();
                self.sequence_header(&unit.data[1..]);
            }
            0xb5 => self.extension(&unit.data[1..]),
            0xb7 => self.begins_at = None,
            _ => {}
        }
        let slice = matches!(kind, 0x01..=0xaf);
        match &mut self.open {
            Some(open) if slice || matches!(kind, 0x00 | 0xb5) => {
                if open.coded.data.len() + unit.data.len() > policy::PARSER_UNIT_LIMIT {
                    return Ok(());
                }
                if slice {
                    open.coded.offsets.push(open.coded.data.len() as u32);
                }
                open.coded.data.extend_from_slice(&[0, 0, 1]);
                open.coded.data.extend_from_slice(&unit.data);
            }
            None if matches!(kind, 0xb3 | 0xb5) && self.raw.len() < 4096 => {
                self.raw.extend_from_slice(&[0, 0, 1]);
                self.raw.extend_from_slice(&unit.data);
            }
            _ => {}
        }
        Ok(())
    }

    fn begins_picture(&self, head: &[u8]) -> bool {
        matches!(head[0], 0x00 | 0xb3 | 0xb7 | 0xb8)
    }

    fn end_picture(&mut self, stage: &mut Stage) -> Flow {
        match self.open.take() {
            Some(open) => self.decode(open, stage),
            None => Ok(()),
        }
    }

    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn drop_open(&mut self) {
        self.open = None;
    }

    fn expects_second_field(&self) -> bool {
        self.first.is_some()
    }

    fn flush(&mut self, stage: &mut Stage) {
        self.end_frame(true, stage);
        self.pair.flush(stage);
    }

    fn reset(&mut self) {
        self.open = None;
        self.first = None;
        self.begins_at = None;
        self.pair.reset();
    }
}
