//! VC-1, advanced profile: a packet is a picture, with start codes.

use crate::core::unescape;
use crate::nvdec::abi::{CUVIDPICPARAMS, CUVIDVC1PICPARAMS, Zeroed, codec};
use crate::policy;

use super::bits::Bits;
use super::format;
use super::machine::FrameCodec;
use super::pair::{self, Pair};
use super::stage::{Coded, Flow, Shown, Stage};
use super::units;

/// A sequence header.
#[derive(Debug, Clone, Default)]
struct Sequence {
    width: u32,
    height: u32,
    pulldown: bool,
    interlace: bool,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Vc1 {
    sequence: Option<Sequence>,
    headers: Vec<u8>,
    pair: Pair,
}

/// How a picture is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    I,
    P,
    B,
    /// A B picture of intra blocks: no reference.
    Bi,
}

fn sequence(data: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(data);
    if bits.u(2) != 3 {
        return None;
    }
    bits.skip(3 + 2 + 3 + 5 + 1);
    let mut sequence =
        Sequence { width: (bits.u(12) + 1) * 2, height: (bits.u(12) + 1) * 2, ..Sequence::default() };
    sequence.pulldown = bits.flag();
    sequence.interlace = bits.flag();
    (!bits.overrun()).then_some(sequence)
}

/// Kind of the picture and whether it is progressive.
fn picture(data: &[u8], sequence: &Sequence) -> (Kind, bool) {
    let mut bits = Bits::new(data);
    let interlaced = sequence.interlace && bits.flag();
    if interlaced && bits.flag() {
        let kind = match bits.u(3) {
            0 | 1 => Kind::I,
            2 | 3 => Kind::P,
            7 => Kind::Bi,
            _ => Kind::B,
        };
        return (kind, false);
    }
    let kinds = [Kind::P, Kind::B, Kind::I, Kind::Bi];
    let kind = kinds.into_iter().find(|_| !bits.flag()).unwrap_or(Kind::P);
    (kind, !interlaced)
}

impl FrameCodec for Vc1 {
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow {
        let found = units::split(data);
        let mut coded_as = None;
        for unit in &found {
            let body = unescape(&unit.data[1..]);
            match unit.data[0] {
                0x0f => {
                    if let Some(sequence) = sequence(&body) {
                        self.sequence = Some(sequence);
                        self.headers = units::before(data, &found, 0x0d).to_vec();
                    }
                }
                0x0d if coded_as.is_none() => {
                    coded_as = self.sequence.as_ref().map(|sequence| picture(&body, sequence));
                }
                _ => {}
            }
        }
        let (Some(sequence), Some((kind, progressive))) = (self.sequence.clone(), coded_as) else {
            return Ok(());
        };
        let bidirectional = matches!(kind, Kind::B | Kind::Bi);
        let [forward, backward] = self.pair.references(bidirectional);
        if (kind == Kind::P && forward < 0) || (kind == Kind::B && !self.pair.is_full()) {
            return Ok(());
        }
        let mut format = format::basic(codec::VC1, sequence.width, sequence.height);
        format.progressive_sequence = (!sequence.interlace).into();
        format.min_num_decode_surfaces = Stage::surfaces_for(pair::FRAMES, policy::PARSER_EXTRA_SURFACES);
        self.pair.sequence(&format, &self.headers, stage)?;
        let surface = stage.acquire_any();
        let mut vc1 = CUVIDVC1PICPARAMS::zeroed();
        (vc1.ForwardRefIdx, vc1.BackwardRefIdx) = (forward, backward);
        vc1.FrameWidth = sequence.width as i32;
        vc1.FrameHeight = sequence.height as i32;
        vc1.intra_pic_flag = matches!(kind, Kind::I | Kind::Bi).into();
        vc1.ref_pic_flag = (!bidirectional).into();
        vc1.progressive_fcm = progressive.into();
        vc1.profile = 3;
        vc1.pulldown = sequence.pulldown.into();
        vc1.interlace = sequence.interlace.into();
        let mut params = CUVIDPICPARAMS::zeroed();
        params.PicWidthInMbs = sequence.width.div_ceil(16) as i32;
        params.FrameHeightInMbs = sequence.height.div_ceil(16) as i32;
        params.CurrPicIdx = *surface;
        params.intra_pic_flag = vc1.intra_pic_flag;
        params.ref_pic_flag = vc1.ref_pic_flag;
        params.CodecSpecific.vc1 = vc1;
        let coded =
            Coded { data: data.to_vec(), offsets: vec![0], sets: self.headers.clone(), ..Coded::default() };
        stage.decode(&mut params, &coded, true);
        let shown = Shown { surface, progressive, top_field_first: true, repeat_first_field: 0, timestamp };
        self.pair.take(shown, bidirectional, false, stage);
        Ok(())
    }

    fn flush(&mut self, stage: &mut Stage) {
        self.pair.flush(stage);
    }

    fn reset(&mut self) {
        self.pair.reset();
    }
}
