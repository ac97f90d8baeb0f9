//! MPEG-4 part 2: a packet is a picture, with its headers where they are repeated.

use crate::nvdec::abi::{CUVIDMPEG4PICPARAMS, CUVIDPICPARAMS, Zeroed, codec};
use crate::policy;

use super::bits::Bits;
use super::format;
use super::machine::FrameCodec;
use super::pair::{self, Pair};
use super::stage::{Coded, Flow, Shown, Stage};
use super::units;

/// A video object layer.
#[derive(Debug, Clone, Default)]
struct Layer {
    width: u32,
    height: u32,
    low_delay: bool,
    resolution: u32,
    interlaced: bool,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Mpeg4 {
    layer: Option<Layer>,
    /// The headers before the first picture.
    headers: Vec<u8>,
    pair: Pair,
}

const B_VOP: u32 = 2;

fn layer(data: &[u8]) -> Option<Layer> {
    let mut bits = Bits::new(data);
    bits.skip(9);
    let mut version = 1;
    if bits.flag() {
        version = bits.u(4);
        bits.skip(3);
    }
    if bits.u(4) == 15 {
        bits.skip(16);
    }
    let mut layer = Layer::default();
    if bits.flag() {
        bits.skip(2);
        layer.low_delay = bits.flag();
        if bits.flag() {
            bits.skip(79);
        }
    }
    let shape = bits.u(2);
    if shape != 0 || version > 2 && shape == 3 {
        return None;
    }
    bits.skip(1);
    layer.resolution = bits.u(16);
    bits.skip(1);
    if bits.flag() {
        bits.skip((32 - layer.resolution.saturating_sub(1).leading_zeros()).max(1) as usize);
    }
    bits.skip(1);
    layer.width = bits.u(13);
    bits.skip(1);
    layer.height = bits.u(13);
    bits.skip(1);
    layer.interlaced = bits.flag();
    (!bits.overrun() && layer.width > 0 && layer.height > 0).then_some(layer)
}

impl FrameCodec for Mpeg4 {
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow {
        let found = units::split(data);
        let mut kind = None;
        for unit in &found {
            match unit.data[0] {
                0x20..=0x2f => {
                    if let Some(layer) = layer(&unit.data[1..]) {
                        self.layer = Some(layer);
                        self.headers = units::before(data, &found, 0xb6).to_vec();
                    }
                }
                0xb6 if kind.is_none() => kind = unit.data.get(1).map(|byte| u32::from(byte >> 6)),
                _ => {}
            }
        }
        let (Some(layer), Some(kind)) = (self.layer.clone(), kind) else { return Ok(()) };
        let bidirectional = kind == B_VOP;
        let [forward, backward] = self.pair.references(bidirectional);
        if (kind != 0 && forward < 0) || (bidirectional && !self.pair.is_full()) {
            return Ok(());
        }
        let mut format = format::basic(codec::MPEG4, layer.width, layer.height);
        format.progressive_sequence = (!layer.interlaced).into();
        format.min_num_decode_surfaces = Stage::surfaces_for(pair::FRAMES, policy::PARSER_EXTRA_SURFACES);
        self.pair.sequence(&format, &self.headers, stage)?;
        let surface = stage.acquire_any();
        let mut mpeg4 = CUVIDMPEG4PICPARAMS::zeroed();
        (mpeg4.ForwardRefIdx, mpeg4.BackwardRefIdx) = if kind == 0 { (-1, -1) } else { (forward, backward) };
        mpeg4.video_object_layer_width = layer.width as i32;
        mpeg4.video_object_layer_height = layer.height as i32;
        mpeg4.vop_coding_type = kind as i32;
        mpeg4.vop_coded = 1;
        mpeg4.interlaced = layer.interlaced.into();
        let mut params = CUVIDPICPARAMS::zeroed();
        params.PicWidthInMbs = layer.width.div_ceil(16) as i32;
        params.FrameHeightInMbs = layer.height.div_ceil(16) as i32;
        params.CurrPicIdx = *surface;
        params.intra_pic_flag = (kind == 0).into();
        params.ref_pic_flag = (!bidirectional).into();
        params.CodecSpecific.mpeg4 = mpeg4;
        let coded =
            Coded { data: data.to_vec(), offsets: vec![0], sets: self.headers.clone(), ..Coded::default() };
        stage.decode(&mut params, &coded, true);
        let shown = Shown {
            surface,
            progressive: !layer.interlaced,
            top_field_first: true,
            repeat_first_field: 0,
            timestamp,
        };
        self.pair.take(shown, bidirectional, layer.low_delay, stage);
        Ok(())
    }

    fn flush(&mut self, stage: &mut Stage) {
        self.pair.flush(stage);
    }

    fn reset(&mut self) {
        self.pair.reset();
    }
}
