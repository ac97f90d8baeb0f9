//! The coded side of an encoder: its parameter sets and slices, put right for the caller's order of pictures.

use super::CodecError;
use super::encoder::{EncoderCodec, EncoderSpec, PictureIn, PictureKind};
use super::rewrite::{Wishes, h264, hevc, nal, obu};
use super::settings::level_of;
use crate::core::unescape;

/// What slice headers depend on.
#[derive(Debug, Clone, Copy)]
enum Sets {
    H264(h264::Sets),
    Hevc(hevc::Sets),
    /// Nothing: AV1 stays as the library wrote it.
    Av1,
}

/// Rewritten parameter sets and the place of the last picture in display order.
#[derive(Debug)]
pub(super) struct Stream {
    codec: EncoderCodec,
    reorder: bool,
    aud: bool,
    // As the library made them: changes of the frame rate start from here.
    made: Vec<u8>,
    level: u32,
    sets: Sets,
    headers: Vec<u8>,
    // What takes their place at the next IDR picture; a set must not change between two of them.
    next_headers: Option<Vec<u8>>,
    last: Option<Last>,
}

/// Where the last picture stands.
#[derive(Debug, Clone, Copy)]
struct Last {
    idr: u64,
    display: u64,
    /// Pictures since the IDR picture in coding order.
    coded: i64,
    order: i64,
}

impl Stream {
    pub(super) fn new(spec: &EncoderSpec, made: Vec<u8>) -> Result<Self, CodecError> {
        let level = level_of(spec);
        let (headers, sets) = rewrite_headers(&made, spec, level)?;
        Ok(Self {
            codec: spec.codec,
            reorder: spec.reorder > 0,
            aud: spec.aud,
            made,
            level,
            sets,
            headers,
            next_headers: None,
            last: None,
        })
    }

    /// The parameter sets that count from the next IDR picture on.
    pub(super) fn headers(&self) -> &[u8] {
        self.next_headers.as_ref().unwrap_or(&self.headers)
    }

    /// Takes over what the parameter sets say of the frame rate, and the level if the rate asks for more.
    pub(super) fn change(&mut self, spec: &EncoderSpec) -> Result<(), CodecError> {
        self.level = self.level.max(level_of(spec));
        let (headers, _) = rewrite_headers(&self.made, spec, self.level)?;
        self.next_headers = Some(headers);
        Ok(())
    }

    /// Only an IDR picture can follow.
    pub(super) fn lose(&mut self) {
        self.last = None;
    }

    /// Finds out where the picture stands, before it is coded; nothing changes yet.
    pub(super) fn place(&self, picture: &PictureIn<'_>) -> Result<Place, CodecError> {
        let refuse = |why: &str| Err(CodecError(why.to_owned()));
        let display = picture.display_index;
        if picture.kind == PictureKind::Idr {
            return Ok(Place { last: Last { idr: display, display, coded: 0, order: 0 }, delta: 0 });
        }
        let Some(last) = self.last else {
            return refuse("the first picture after opening must be an IDR picture");
        };
        if picture.kind == PictureKind::B && !self.reorder {
            return refuse("a B picture without reordering");
        }
        let coded = last.coded + 1;
        if !self.reorder {
            if display <= last.display {
                return refuse("a picture before its predecessor, without reordering");
            }
            let last = Last { idr: last.idr, display, coded, order: coded };
            return Ok(Place { last, delta: -1 });
        }
        let distance = display.checked_sub(last.idr).and_then(|distance| i64::try_from(distance).ok());
        let Some(distance) = distance.filter(|&distance| 0 < distance && distance < i64::MAX / 4) else {
            return refuse("a picture that is shown before the IDR picture it follows");
        };
        let (scale, bits) = match self.sets {
            Sets::H264(sets) => (2, sets.order_bits),
            Sets::Hevc(sets) => (1, sets.order_bits),
            Sets::Av1 => return refuse("AV1 out of display order"),
        };
        let order = distance * scale;
        let delta = last.order - order;
        if delta == 0 {
            return refuse("two pictures with the same place in display order");
        }
        if delta.unsigned_abs() >= 1 << (bits - 1) {
            return refuse("a picture too far from its predecessor in display order");
        }
        Ok(Place { last: Last { idr: last.idr, display, coded, order }, delta: delta as i32 })
    }

    /// Puts the access unit together. `coded` is what the library made of the picture.
    pub(super) fn assemble(
        &mut self,
        picture: &PictureIn<'_>,
        place: Place,
        coded: &[u8],
    ) -> Result<(Vec<u8>, Option<i32>), CodecError> {
        let idr = picture.kind == PictureKind::Idr;
        if idr && let Some(headers) = self.next_headers.take() {
            self.headers = headers;
        }
        if matches!(self.sets, Sets::Av1) {
            let header = picture.parameter_sets.then_some(self.headers.as_slice());
            let unit = obu::temporal_unit(coded, header, picture.sei);
            self.last = Some(place.last);
            return unit.map(|unit| (unit, None)).ok_or_else(|| CodecError("libaom gave no units".into()));
        }
        let mut out = Vec::with_capacity(coded.len() + self.headers.len() + 64);
        if self.aud {
            // Which slice types follow: I only, or I and P.
            let types = if matches!(picture.kind, PictureKind::Idr | PictureKind::I) { 0x10 } else { 0x30 };
            match self.codec {
                EncoderCodec::H264 => nal::append(&mut out, &[9, types]),
                EncoderCodec::Hevc | EncoderCodec::Av1 => nal::append(&mut out, &[35 << 1, 1, types]),
            }
        }
        if picture.parameter_sets {
            out.extend_from_slice(&self.headers);
        }
        if !picture.sei.is_empty() {
            let header: &[u8] = if self.codec == EncoderCodec::H264 { &[6] } else { &[39 << 1, 1] };
            nal::append_sei(&mut out, header, picture.sei);
        }
        let mut qp = None;
        let mut slices = 0;
        let order = place.last.order as u32;
        for unit in nal::split(coded) {
            match &self.sets {
                Sets::H264(sets) => {
                    let kind = unit[0] & 31;
                    if kind != 1 && kind != 5 {
                        continue;
                    }
                    wrong_type((kind == 5) != idr)?;
                    let slice = h264::slice(&unescape(unit), sets, order)?;
                    nal::append_escaped(&mut out, &slice.unit);
                    qp = qp.or(Some(slice.qp.max(0)));
                }
                Sets::Hevc(sets) => {
                    let kind = unit[0] >> 1;
                    if kind >= 32 {
                        continue;
                    }
                    wrong_type((kind == 19 || kind == 20) != idr)?;
                    let slice = hevc::slice(&unescape(unit), sets, order, place.delta)?;
                    nal::append_escaped(&mut out, &slice);
                }
                // Done above.
                Sets::Av1 => continue,
            }
            slices += 1;
        }
        if slices == 0 {
            return Err(CodecError("the encoder library gave no slice".into()));
        }
        self.last = Some(place.last);
        Ok((out, qp))
    }
}

/// Where a picture stands relative to those before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    last: Last,
    /// The order count of the picture coded before less that of this one.
    delta: i32,
}

fn wrong_type(wrong: bool) -> Result<(), CodecError> {
    if wrong { Err(CodecError("the encoder library chose another picture type".into())) } else { Ok(()) }
}

fn rewrite_headers(made: &[u8], spec: &EncoderSpec, level: u32) -> Result<(Vec<u8>, Sets), CodecError> {
    let wishes = Wishes { profile: spec.profile, level, reorder: u32::from(spec.reorder), fps: spec.fps };
    let mut out = Vec::new();
    let mut found = 0;
    match spec.codec {
        EncoderCodec::H264 => {
            let mut sets = h264::Sets::default();
            for unit in nal::split(made) {
                let plain = unescape(unit);
                match unit[0] & 31 {
                    7 => nal::append_escaped(&mut out, &h264::sps(&plain, &wishes, &mut sets)?),
                    8 => {
                        h264::pps(&plain, &mut sets)?;
                        nal::append(&mut out, unit);
                    }
                    _ => continue,
                }
                found += 1;
            }
            if found == 2 {
                return Ok((out, Sets::H264(sets)));
            }
        }
        EncoderCodec::Hevc => {
            let mut sets = hevc::Sets::default();
            for unit in nal::split(made) {
                let plain = unescape(unit);
                match unit[0] >> 1 {
                    32 => nal::append_escaped(&mut out, &hevc::vps(&plain, &wishes)?),
                    33 => nal::append_escaped(&mut out, &hevc::sps(&plain, &wishes, &mut sets)?),
                    34 => {
                        hevc::pps(&plain, &mut sets)?;
                        nal::append(&mut out, unit);
                    }
                    _ => continue,
                }
                found += 1;
            }
            if found == 3 {
                return Ok((out, Sets::Hevc(sets)));
            }
        }
        EncoderCodec::Av1 => {
            if let Some(header) = obu::sequence_header(made) {
                return Ok((header, Sets::Av1));
            }
        }
    }
    Err(CodecError("the encoder library gave no parameter sets".into()))
}
