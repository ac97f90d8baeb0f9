//! H.264: from NAL units to pictures.

mod dpb;
mod fill;
mod order;
mod scaling;
mod sets;
mod slice;
#[cfg(test)]
mod synthetic;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::unescape;
use crate::nvdec::abi::{CUVIDEOFORMAT, IntRect};
use crate::policy;

use super::bits::Bits;
use super::format;
use super::machine::UnitCodec;
use super::sei::{self, SeiMessage};
use super::stage::{Coded, Flow, Shown, Stage};
use super::units::Unit;
use dpb::{Dpb, FRAME, Frame};
use order::{Order, forgets_all};
use sets::{Pps, Sps};
use slice::{Kind, Mmco, Slice};

pub(in crate::nvdec::parser) use scaling::zigzag;

/// A picture whose slices are being collected.
struct Open {
    sps: Arc<Sps>,
    pps: Arc<Pps>,
    /// The first slice's header.
    slice: Slice,
    intra: bool,
    /// Picture parameter sets that the slices use.
    sets: Vec<u32>,
    coded: Coded,
    recovery: bool,
    pic_struct: Option<u32>,
}

/// See the module's text.
pub(super) struct H264 {
    codec: u32,
    sps: BTreeMap<u32, Arc<Sps>>,
    pps: BTreeMap<u32, Arc<Pps>>,
    active: Option<Arc<Sps>>,
    open: Option<Open>,
    /// Messages of the access unit that the next slice belongs to.
    sei: Vec<SeiMessage>,
    started: bool,
    order: Order,
    /// `frame_num` of the previous reference frame.
    prev_frame_num: u32,
    dpb: Dpb,
}

impl H264 {
    pub(super) fn new(codec: u32) -> Self {
        Self {
            codec,
            sps: BTreeMap::new(),
            pps: BTreeMap::new(),
            active: None,
            open: None,
            sei: Vec::new(),
            started: false,
            order: Order::default(),
            prev_frame_num: 0,
            dpb: Dpb::default(),
        }
    }

    fn slice_unit(&mut self, unit: &Unit, stage: &mut Stage) -> Flow {
        let Some(pps) = slice::pps_id(&unit.data).and_then(|id| self.pps.get(&id)).cloned() else {
            return Ok(());
        };
        let Some(sps) = self.sps.get(&pps.sps).cloned() else { return Ok(()) };
        let Some(slice) = slice::slice(&unit.data, &sps, &pps) else { return Ok(()) };
        if slice.redundant > 0 {
            return Ok(());
        }
        if self.open.as_ref().is_some_and(|open| slice.begins_picture_after(&open.slice)) {
            self.end_picture(stage)?;
        }
        if self.open.is_none() {
            let timestamp = stage.times.take(unit.at);
            let messages = std::mem::take(&mut self.sei);
            let recovery = messages.iter().any(|message| message.kind == 6);
            let timing = messages.iter().find(|message| message.kind == 1);
            let pic_struct = timing.and_then(|message| pic_struct(&sps, &message.payload));
            let mut sets = Vec::new();
            for raw in [&sps.raw, &pps.raw] {
                sets.extend_from_slice(&[0, 0, 0, 1]);
                sets.extend_from_slice(raw);
            }
            let coded = Coded { sets, sei: messages, timestamp, ..Coded::default() };
            let open = Open {
                sps,
                pps: pps.clone(),
                slice: slice.clone(),
                intra: true,
                sets: vec![pps.id],
                coded,
                recovery,
                pic_struct,
            };
            if slice.is_idr() {
                // The client hears of a sequence when its first slice is there, not with the whole picture: also of
                // one whose first picture is lost (measured on 580.159).
                self.close_field(stage);
                self.activate(&open, stage)?;
            }
            self.open = Some(open);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.coded.data.len() + unit.data.len() + unit.zeros > policy::PARSER_UNIT_LIMIT {
            return Ok(());
        }
        if !open.sets.contains(&slice.pps) {
            // Slices of one picture may use different sets; the decoder behind needs them all.
            open.sets.push(slice.pps);
            open.coded.sets.extend_from_slice(&[0, 0, 0, 1]);
            open.coded.sets.extend_from_slice(&pps.raw);
        }
        open.intra &= slice.kind == Kind::I;
        open.coded.offsets.push(open.coded.data.len() as u32);
        open.coded.data.extend_from_slice(&[0, 0, 1]);
        open.coded.data.extend_from_slice(&unit.data);
        // What lies before the next start code counts as the slice's (measured on 580.159).
        open.coded.data.resize(open.coded.data.len() + unit.zeros, 0);
        Ok(())
    }

    /// Makes `open`'s sequence the current one: everything before it is shown first.
    fn activate(&mut self, open: &Open, stage: &mut Stage) -> Flow {
        if self.active.as_ref() != Some(&open.sps) {
            let depth = (open.sps.dpb_frames(), open.sps.reorder());
            self.dpb.bump_all();
            self.give_ready(stage);
            self.dpb.clear();
            (self.dpb.size, self.dpb.reorder) = depth;
            self.active = Some(open.sps.clone());
            let format = video_format(
                self.codec,
                &open.sps,
                Stage::surfaces_for(depth.0, policy::PARSER_EXTRA_SURFACES),
            );
            stage.sequence(&format, &open.coded.sets)?;
        }
        Ok(())
    }

    fn give_ready(&mut self, stage: &mut Stage) {
        while let Some(shown) = self.dpb.ready.pop_front() {
            stage.show(shown);
        }
    }

    /// The place of the frame whose second field `slice` is.
    fn first_field(&self, slice: &Slice) -> Option<usize> {
        let index = self.dpb.frames.iter().position(|frame| frame.open)?;
        let frame = &self.dpb.frames[index];
        let opposite = frame.fields == if slice.bottom { 1 } else { 2 };
        let referenced = frame.short | frame.long != 0;
        // An IDR picture's second field is a P field; a picture that forgets all others begins anew.
        let pairs = slice.field
            && opposite
            && frame.frame_num == slice.frame_num
            && !slice.is_idr()
            && (referenced || slice.ref_idc == 0)
            && !forgets_all(slice);
        pairs.then_some(index)
    }

    /// The second field of the open frame will not come.
    fn close_field(&mut self, stage: &mut Stage) {
        if let Some(frame) = self.dpb.frames.iter_mut().find(|frame| frame.open) {
            frame.open = false;
            if let (Some(shown), true) = (&mut frame.output, frame.fields != FRAME) {
                shown.repeat_first_field = -1;
            }
            self.dpb.close();
        }
        self.give_ready(stage);
    }

    /// Infers the frames that a gap in `frame_num` stands for (8.2.5.2).
    fn fill_gap(&mut self, sps: &Sps, slice: &Slice) {
        let max = 1u32 << sps.frame_num_bits;
        let mut missing = slice.frame_num.wrapping_sub(self.prev_frame_num).wrapping_sub(1) & (max - 1);
        if slice.frame_num == self.prev_frame_num || missing == 0 || !sps.gaps {
            return;
        }
        // Of a long gap only the last frames can stay.
        missing = missing.min(sps.ref_frames.max(1));
        for back in (1..=missing).rev() {
            let frame_num = slice.frame_num.wrapping_sub(back) & (max - 1);
            self.dpb.slide(sps.ref_frames, frame_num, i64::from(max));
            self.order.gap(frame_num, i64::from(max));
            self.dpb.store(Frame {
                surface: None,
                frame_num,
                long_index: 0,
                fields: FRAME,
                short: FRAME,
                long: 0,
                poc: [0; 2],
                output: None,
                open: false,
            });
            self.prev_frame_num = frame_num;
        }
    }

    fn decode(&mut self, mut open: Open, stage: &mut Stage) -> Flow {
        let slice = &open.slice.clone();
        if !self.started {
            let entry = slice.is_idr() || open.recovery || (open.intra && policy::PARSER_STARTS_AT_I_SLICES);
            if !entry {
                return Ok(());
            }
        }
        let fresh = !self.started || slice.is_idr();
        if !self.started {
            self.prev_frame_num = slice.frame_num;
            self.started = true;
        }
        let second = self.first_field(slice);
        if second.is_none() {
            self.close_field(stage);
        }
        if fresh {
            if slice.is_idr() {
                let dropped = slice.no_output_of_prior && policy::PARSER_OBEYS_NO_OUTPUT_OF_PRIOR_PICTURES;
                if !dropped {
                    self.dpb.bump_all();
                }
                self.dpb.clear();
                self.give_ready(stage);
                self.prev_frame_num = 0;
            }
            self.activate(&open, stage)?;
        }
        // A sequence may change at an IDR picture only; slices that say otherwise are damaged.
        let Some(sps) = self.active.clone() else { return Ok(()) };
        if sps.frame_num_bits != open.sps.frame_num_bits || sps.poc_type != open.sps.poc_type {
            return Ok(());
        }
        if second.is_none() && !slice.is_idr() {
            self.fill_gap(&sps, slice);
        }
        let poc = self.order.next(&sps, slice);
        let surface = match second.and_then(|index| self.dpb.frames[index].surface.clone()) {
            Some(surface) => surface,
            None => self.surface(stage),
        };
        open.coded.order = poc[0].min(poc[1]);
        let mut frame = self.frame(&open, poc, surface);
        let mut params = fill::picture(&open, &sps, &self.dpb, &frame, second);
        stage.decode(&mut params, &open.coded, second.is_none());
        self.finish(&open, &sps, &mut frame, second);
        self.give_ready(stage);
        Ok(())
    }

    /// A surface, if need be by showing pictures before their time.
    fn surface(&mut self, stage: &mut Stage) -> super::stage::Surface {
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

    fn frame(&self, open: &Open, poc: [i32; 2], surface: super::stage::Surface) -> Frame {
        let slice = &open.slice;
        let (progressive, top_field_first, repeat_first_field) = presentation(open, poc);
        Frame {
            output: Some(Shown {
                surface: surface.clone(),
                progressive,
                top_field_first,
                repeat_first_field,
                timestamp: open.coded.timestamp,
            }),
            surface: Some(surface),
            frame_num: slice.frame_num,
            long_index: 0,
            fields: match (slice.field, slice.bottom) {
                (false, _) => FRAME,
                (true, false) => 1,
                (true, true) => 2,
            },
            short: 0,
            long: 0,
            poc,
            open: slice.field,
        }
    }

    /// Marks references and stores the picture, after its decode callback.
    fn finish(&mut self, open: &Open, sps: &Sps, frame: &mut Frame, second: Option<usize>) {
        let slice = &open.slice;
        let max = 1i64 << sps.frame_num_bits;
        let mut long = None;
        if slice.ref_idc != 0 {
            self.prev_frame_num = slice.frame_num;
            match &slice.operations {
                _ if slice.is_idr() => long = slice.long_term.then_some(0),
                Some(operations) => {
                    self.dpb.mark(slice, operations, max, second);
                    long = operations.iter().rev().find_map(|operation| match operation {
                        Mmco::CurrentLong { index } => Some(*index),
                        _ => None,
                    });
                }
                None => {
                    let first_is_short = second.is_some_and(|index| self.dpb.frames[index].short != 0);
                    if !first_is_short {
                        self.dpb.slide(sps.ref_frames, slice.frame_num, max);
                    }
                }
            }
            if let Some(index) = long {
                frame.long = frame.fields;
                frame.long_index = index;
            } else {
                frame.short = frame.fields;
            }
        }
        if forgets_all(slice) {
            self.dpb.bump_all();
            let base = frame.order();
            frame.poc = frame.poc.map(|count| count.saturating_sub(base));
            frame.frame_num = 0;
            self.prev_frame_num = 0;
            self.order.after_forget_all(slice, frame.poc);
        }
        // Marking may have removed frames before it: look for the first field anew.
        let first = second.and_then(|_| self.dpb.frames.iter_mut().find(|other| other.open));
        if let Some(first) = first {
            let field = if slice.bottom { 1 } else { 0 };
            first.poc[field] = frame.poc[field];
            first.fields |= frame.fields;
            first.short |= frame.short;
            first.long |= frame.long;
            if frame.long != 0 {
                first.long_index = frame.long_index;
            }
            first.open = false;
            if let (Some(shown), true) = (&mut first.output, first.poc[0] != first.poc[1]) {
                shown.top_field_first = first.poc[0] < first.poc[1];
            }
            self.dpb.close();
        } else {
            self.dpb.store(frame.clone());
            self.dpb.settle();
        }
    }
}

impl UnitCodec for H264 {
    fn unit(&mut self, unit: &Unit, stage: &mut Stage) -> Flow {
        let kind = unit.data[0] & 31;
        if ends_picture(kind) {
            self.end_picture(stage)?;
        }
        match kind {
            1 | 5 => self.slice_unit(unit, stage)?,
            6 => {
                let rbsp = unescape(&unit.data[1..]);
                if self.sei.len() < 256 {
                    self.sei.extend(sei::messages(&rbsp));
                }
            }
            // A set of this size is garbage; copies of it go along with every picture.
            7 | 8 if unit.data.len() > policy::PARSER_SET_LIMIT => {}
            7 => {
                if let Some(sps) = sets::sps(&unit.data) {
                    self.sps.insert(sps.id, Arc::new(sps));
                }
            }
            8 => {
                let chroma_444 = |id| self.sps.get(&id).is_some_and(|sps| sps.chroma == 3);
                if let Some(pps) = sets::pps(&unit.data, chroma_444) {
                    self.pps.insert(pps.id, Arc::new(pps));
                }
            }
            10 | 11 => self.end_picture(stage)?,
            _ => {}
        }
        Ok(())
    }

    fn begins_picture(&self, head: &[u8]) -> bool {
        let kind = head[0] & 31;
        if ends_picture(kind) || !matches!(kind, 1 | 5) {
            return ends_picture(kind);
        }
        let Some(open) = &self.open else { return false };
        let pps = slice::pps_id(head).and_then(|id| self.pps.get(&id));
        let sets = pps.and_then(|pps| Some((self.sps.get(&pps.sps)?, pps)));
        sets.and_then(|(sps, pps)| slice::slice(head, sps, pps))
            .is_some_and(|slice| slice.begins_picture_after(&open.slice))
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
        self.dpb.frames.iter().any(|frame| frame.open)
    }

    fn flush(&mut self, stage: &mut Stage) {
        self.close_field(stage);
        self.dpb.bump_all();
        self.give_ready(stage);
    }

    fn reset(&mut self) {
        *self = Self::new(self.codec);
    }
}

/// Beside slices only the access unit delimiter ends a picture. Parameter sets and messages come before the first
/// slice of a picture as well (7.4.1.2.3), but the parser waits for the slice (measured on 580.159).
fn ends_picture(kind: u8) -> bool {
    kind == 9
}

/// `pic_struct` of a picture timing message.
fn pic_struct(sps: &Sps, payload: &[u8]) -> Option<u32> {
    let vui = sps.vui.as_ref().filter(|vui| vui.pic_struct)?;
    let mut bits = Bits::new(payload);
    if let Some(hrd) = vui.hrd {
        bits.skip((hrd.cpb_removal_bits + hrd.dpb_output_bits) as usize);
    }
    let value = bits.u(4);
    (!bits.overrun() && value <= 8).then_some(value)
}

/// `progressive_frame`, `top_field_first` and `repeat_first_field`.
fn presentation(open: &Open, poc: [i32; 2]) -> (bool, bool, i32) {
    if open.slice.field {
        return (false, !open.slice.bottom, 0);
    }
    // Measured on 580.159: fields at the same time are progressive and have no first one, except in MBAFF streams
    // that do not say when the bottom field comes (as x264's).
    let unknown = open.sps.mbaff && open.sps.poc_type == 0 && !open.pps.bottom_field_order;
    let same = poc[0] == poc[1];
    let (progressive, top_first) = if same && unknown { (false, true) } else { (same, poc[0] < poc[1]) };
    match open.pic_struct {
        Some(order @ (3 | 4)) => (progressive, order == 3, 0),
        Some(order @ (5 | 6)) => (progressive, order == 5, 1),
        Some(7) => (progressive, top_first, 2),
        Some(8) => (progressive, top_first, 4),
        _ => (progressive, top_first, 0),
    }
}

fn video_format(codec: u32, sps: &Sps, surfaces: u8) -> CUVIDEOFORMAT {
    let (width, height) = (sps.width_mbs * 16, sps.height_mbs * 16);
    // What is cut at the left and the top is left out (measured on 580.159).
    let [_, right, _, bottom] = sps.crop;
    let vui = sps.vui.clone().unwrap_or_default();
    let mut format = format::basic(codec, width, height);
    format.progressive_sequence = sps.frame_mbs_only.into();
    format.bit_depth_luma_minus8 = sps.depth_luma as u8;
    format.bit_depth_chroma_minus8 = sps.depth_chroma as u8;
    format.min_num_decode_surfaces = surfaces;
    format.chroma_format = format::chroma(sps.chroma);
    format.display_area =
        IntRect { left: 0, top: 0, right: (width - right) as i32, bottom: (height - bottom) as i32 };
    format.display_aspect_ratio = format::aspect(width - right, height - bottom, vui.look.sample_aspect);
    format.bitrate = vui.bit_rate;
    if sps.vui.is_some() {
        format.video_signal_description = vui.look.signal;
    }
    if let Some((units, scale)) = vui.timing {
        format.frame_rate = format::rate(u64::from(scale), 2 * u64::from(units));
    }
    format
}
