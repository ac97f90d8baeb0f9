//! HEVC: from NAL units to pictures.

mod dpb;
mod fill;
mod pps;
mod rps;
mod scaling;
mod sets;
mod slice;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::unescape;
use crate::nvdec::abi::{CUVIDEOFORMAT, IntRect, codec};
use crate::nvdec::side::END_OF_SEQUENCE;
use crate::policy;

use super::bits::Bits;
use super::format;
use super::machine::UnitCodec;
use super::sei::{self, SeiMessage};
use super::stage::{Coded, Flow, Shown, Stage, Surface};
use super::units::Unit;
use dpb::{Dpb, Picture};
use pps::Pps;
use sets::Sps;
use slice::Slice;

/// A picture whose slice segments are being collected.
struct Open {
    sps: Arc<Sps>,
    pps: Arc<Pps>,
    /// The first slice segment's header.
    slice: Slice,
    intra: bool,
    coded: Coded,
    /// It begins a sequence (`NoRaslOutputFlag` of the standard).
    fresh: bool,
    pic_struct: Option<u32>,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Hevc {
    vps: BTreeMap<u8, Vec<u8>>,
    sps: BTreeMap<u32, Arc<Sps>>,
    pps: BTreeMap<u32, Arc<Pps>>,
    active: Option<Arc<Sps>>,
    open: Option<Open>,
    sei: Vec<SeiMessage>,
    /// False before the first picture and after an end of sequence: the next one must be a random access point.
    started: bool,
    /// The leading pictures of the last random access point refer to what was not decoded.
    skip_leading: bool,
    /// Order count of the previous picture that counts are derived from.
    anchor: i32,
    dpb: Dpb,
}

impl Hevc {
    fn slice_unit(&mut self, unit: &Unit, stage: &mut Stage) -> Flow {
        // first_slice_segment_in_pic_flag
        let first = unit.data.get(2).is_some_and(|byte| byte & 0x80 != 0);
        if first {
            self.end_picture(stage)?;
        }
        let Some(pps) = slice::pps_id(&unit.data).and_then(|id| self.pps.get(&id)).cloned() else {
            return Ok(());
        };
        let Some(sps) = self.sps.get(&pps.sps).cloned() else { return Ok(()) };
        let Some(slice) = slice::slice(&unit.data, &sps, &pps) else { return Ok(()) };
        if first {
            self.begin(unit, sps, pps.clone(), slice.clone(), stage)?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.coded.data.len() + unit.data.len() + unit.zeros > policy::PARSER_UNIT_LIMIT {
            return Ok(());
        }
        open.intra &= slice.dependent || slice.intra;
        open.coded.offsets.push(open.coded.data.len() as u32);
        open.coded.data.extend_from_slice(&[0, 0, 1]);
        open.coded.data.extend_from_slice(&unit.data);
        // What lies before the next start code counts as the slice's (measured on 580.159).
        open.coded.data.resize(open.coded.data.len() + unit.zeros, 0);
        Ok(())
    }

    fn begin(&mut self, unit: &Unit, sps: Arc<Sps>, pps: Arc<Pps>, slice: Slice, stage: &mut Stage) -> Flow {
        let timestamp = stage.times.take(unit.at);
        let messages = std::mem::take(&mut self.sei);
        let timed = sps.vui.as_ref().is_some_and(|vui| vui.frame_field_info);
        let timing = messages.iter().find(|message| message.kind == 1).filter(|_| timed);
        let pic_struct = timing.map(|message| Bits::new(&message.payload).u(4));
        let mut sets = Vec::new();
        let vps = self.vps.get(&(sps.vps as u8));
        for raw in vps.into_iter().chain([&sps.raw, &pps.raw]) {
            sets.extend_from_slice(&[0, 0, 0, 1]);
            sets.extend_from_slice(raw);
        }
        let coded = Coded { sets, sei: messages, timestamp, ..Coded::default() };
        let fresh = slice.is_irap() && (!self.started || slice.is_idr() || slice.is_bla());
        let open = Open { sps, pps, slice, intra: true, coded, fresh, pic_struct };
        if open.slice.is_irap() {
            self.skip_leading = fresh;
            self.started = true;
        }
        if fresh {
            // The client hears of a sequence when its first slice is there, not with the whole picture: also of one
            // whose first picture is lost (measured on 580.159).
            let dropped = open.slice.no_output_of_prior && policy::PARSER_OBEYS_NO_OUTPUT_OF_PRIOR_PICTURES;
            if !dropped {
                self.dpb.bump_all();
            }
            self.dpb.pictures.clear();
            self.give_ready(stage);
            self.activate(&open, stage)?;
        }
        self.open = Some(open);
        Ok(())
    }

    fn give_ready(&mut self, stage: &mut Stage) {
        while let Some(shown) = self.dpb.ready.pop_front() {
            stage.show(shown);
        }
    }

    fn decode(&mut self, mut open: Open, stage: &mut Stage) {
        let slice = &open.slice;
        if !self.started || (slice.is_rasl() && self.skip_leading) {
            return;
        }
        let Some(sps) = self.active.clone() else { return };
        if sps.poc_lsb_bits != open.sps.poc_lsb_bits {
            return;
        }
        let poc = self.order(&sps, slice, open.fresh);
        let refs = self.dpb.refer(slice, poc, sps.poc_lsb_bits);
        self.dpb.make_room();
        self.give_ready(stage);
        let surface = self.surface(stage);
        let output = slice.output;
        open.coded.order = poc;
        if open.fresh {
            // The hardware is told the pictures to refer to; the software decoder keeps its own, and has to forget them.
            open.coded.sets.splice(0..0, END_OF_SEQUENCE);
        }
        let mut params = fill::picture(&open, &sps, &self.dpb, &refs, poc, *surface);
        stage.decode(&mut params, &open.coded, true);
        let output = output.then(|| shown(&open, &sps, surface.clone()));
        self.dpb.store(Picture::new(surface, poc, output));
        self.give_ready(stage);
    }

    fn activate(&mut self, open: &Open, stage: &mut Stage) -> Flow {
        if self.active.as_ref() != Some(&open.sps) {
            self.active = Some(open.sps.clone());
            self.dpb.configure(&open.sps);
            let surfaces =
                Stage::surfaces_for(open.sps.buffering as usize + 1, policy::PARSER_EXTRA_SURFACES_HEVC);
            stage.sequence(&video_format(&open.sps, surfaces), &open.coded.sets)?;
        }
        Ok(())
    }

    /// The picture order count (8.3.1).
    fn order(&mut self, sps: &Sps, slice: &Slice, fresh: bool) -> i32 {
        let max = 1i64 << sps.poc_lsb_bits;
        let lsb = i64::from(slice.poc_lsb);
        let prev_lsb = i64::from(self.anchor) & (max - 1);
        let prev_msb = i64::from(self.anchor) - prev_lsb;
        let msb = if fresh {
            0
        } else if lsb < prev_lsb && prev_lsb - lsb >= max / 2 {
            prev_msb + max
        } else if lsb > prev_lsb && lsb - prev_lsb > max / 2 {
            prev_msb - max
        } else {
            prev_msb
        };
        let poc = (msb + lsb).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        if slice.is_anchor() {
            self.anchor = poc;
        }
        poc
    }

    /// A surface, if need be by showing pictures before their time.
    fn surface(&mut self, stage: &mut Stage) -> Surface {
        loop {
            if let Some(surface) = stage.acquire() {
                return surface;
            }
            if !self.dpb.bump() {
                return stage.acquire_any();
            }
            self.give_ready(stage);
        }
    }

    /// An end of sequence or of the bit stream: what follows starts anew.
    fn end_sequence(&mut self, stage: &mut Stage) -> Flow {
        self.end_picture(stage)?;
        self.flush(stage);
        self.started = false;
        Ok(())
    }
}

impl UnitCodec for Hevc {
    fn unit(&mut self, unit: &Unit, stage: &mut Stage) -> Flow {
        // Other layers than the base are not decoded.
        if unit.data.len() < 3 || unit.data[0] & 1 != 0 || unit.data[1] >> 3 != 0 {
            return if matches!(unit.data.first().map(|byte| byte >> 1 & 63), Some(36 | 37)) {
                self.end_sequence(stage)
            } else {
                Ok(())
            };
        }
        let kind = unit.data[0] >> 1 & 63;
        if ends_picture(kind) {
            self.end_picture(stage)?;
        }
        match kind {
            0..=9 | 16..=21 => self.slice_unit(unit, stage)?,
            // A set of this size is garbage; copies of it go along with every picture.
            32..=34 if unit.data.len() > policy::PARSER_SET_LIMIT => {}
            32 => {
                self.vps.insert(unit.data[2] >> 4, unit.data.clone());
            }
            33 => {
                if let Some(sps) = sets::sps(&unit.data) {
                    self.sps.insert(sps.id, Arc::new(sps));
                }
            }
            34 => {
                let chroma_444 = |id| self.sps.get(&id).is_some_and(|sps| sps.chroma == 3);
                if let Some(pps) = pps::pps(&unit.data, chroma_444) {
                    self.pps.insert(pps.id, Arc::new(pps));
                }
            }
            36 | 37 => self.end_sequence(stage)?,
            39 => {
                let rbsp = unescape(&unit.data[2..]);
                if self.sei.len() < 256 {
                    self.sei.extend(sei::messages(&rbsp));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn head(&self) -> usize {
        policy::PARSER_HEAD_HEVC
    }

    fn begins_picture(&self, head: &[u8]) -> bool {
        let kind = head[0] >> 1 & 63;
        ends_picture(kind) || (matches!(kind, 0..=9 | 16..=21) && head[2] & 0x80 != 0)
    }

    fn end_picture(&mut self, stage: &mut Stage) -> Flow {
        if let Some(open) = self.open.take() {
            self.decode(open, stage);
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn drop_open(&mut self) {
        self.open = None;
    }

    fn flush(&mut self, stage: &mut Stage) {
        self.dpb.bump_all();
        self.give_ready(stage);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Units that, after the last slice segment of a picture, begin the next access unit (7.4.2.4.4).
fn ends_picture(kind: u8) -> bool {
    matches!(kind, 32..=35 | 39 | 41..=44 | 48..=55)
}

fn shown(open: &Open, sps: &Sps, surface: Surface) -> Shown {
    // pic_struct of HEVC (table D.2): 3 and 5 begin with the top field, 7 and 8 repeat the frame.
    let (progressive, top_field_first, repeat_first_field) = match open.pic_struct {
        Some(1 | 9 | 11) => (false, true, 0),
        Some(2 | 10 | 12) => (false, false, 0),
        Some(3) => (false, true, 0),
        Some(4) => (false, false, 0),
        Some(5) => (false, true, 1),
        Some(6) => (false, false, 1),
        Some(7) => (true, true, 2),
        Some(8) => (true, true, 4),
        _ => (!interlaced(sps), interlaced(sps), 0),
    };
    Shown { surface, progressive, top_field_first, repeat_first_field, timestamp: open.coded.timestamp }
}

fn interlaced(sps: &Sps) -> bool {
    sps.vui.as_ref().is_some_and(|vui| vui.field_seq) || (sps.interlaced_source && !sps.progressive_source)
}

fn video_format(sps: &Sps, surfaces: u8) -> CUVIDEOFORMAT {
    let (width, height) = (sps.width, sps.height);
    // What is cut at the left and the top is left out (measured on 580.159).
    let [_, right, _, bottom] = sps.crop;
    let vui = sps.vui.clone().unwrap_or_default();
    let mut format = format::basic(codec::HEVC, width, height);
    format.progressive_sequence = (!interlaced(sps)).into();
    format.bit_depth_luma_minus8 = sps.depth_luma as u8;
    format.bit_depth_chroma_minus8 = sps.depth_chroma as u8;
    format.min_num_decode_surfaces = surfaces;
    format.chroma_format = format::chroma(sps.chroma);
    format.display_area =
        IntRect { left: 0, top: 0, right: (width - right) as i32, bottom: (height - bottom) as i32 };
    format.display_aspect_ratio = format::aspect(width - right, height - bottom, vui.look.sample_aspect);
    if sps.vui.is_some() {
        format.video_signal_description = vui.look.signal;
    }
    if let Some((units, scale)) = vui.timing {
        format.frame_rate = format::rate(u64::from(scale), u64::from(units));
    }
    format
}
