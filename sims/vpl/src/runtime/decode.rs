//! `MFXVideoDECODE_*`: bytes in, surfaces out in display order.

mod calls;

use super::bitstream;
use super::machine::Machine;
use super::sequence::{self, Header};
use super::session::{self, Session};
use super::surface::{self, Pool};
use super::task::{self, Task};
use crate::abi::{self, Handle, Status, mfxBitstream, mfxFrameSurface1, mfxVideoParam};
use crate::codec::decoder::{DecoderCodec, Picture};
use crate::codec::recorded;
use crate::core::fault::{self, Place};
use crate::core::report::locked;
use crate::core::{In, breach, config, rules};

use serde_json::json;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Operations in flight where the client does not say.
const DEPTH: u16 = 4;
/// Surfaces that a decoder keeps for itself, as requests say.
const KEPT: u16 = 4;

/// A decoder that is initialised.
pub struct Decoder {
    session: usize,
    parameters: mfxVideoParam,
    header: Option<Header>,
    soft: recorded::Decoder,
    /// Data of a picture of which the end has not come.
    pending: Vec<u8>,
    pending_time: u64,
    number: i64,
    times: HashMap<i64, u64>,
    queue: VecDeque<Picture>,
    /// Working surfaces that were taken and not given back, oldest first.
    taken: VecDeque<*mut mfxFrameSurface1>,
    drained: bool,
    /// What is pending belongs to a sequence of another kind.
    incompatible: bool,
    flying: VecDeque<Arc<Task>>,
    frames: u32,
    damaged: u32,
    order: u32,
}

// SAFETY: the pointers are the client's, who keeps its surfaces while they are locked.
unsafe impl Send for Decoder {}

fn library(codec: u32) -> Option<DecoderCodec> {
    Some(match codec {
        abi::CODEC_AVC => DecoderCodec::H264,
        abi::CODEC_HEVC => DecoderCodec::Hevc,
        abi::CODEC_MPEG2 => DecoderCodec::Mpeg2,
        abi::CODEC_VP9 => DecoderCodec::Vp9,
        abi::CODEC_AV1 => DecoderCodec::Av1,
        abi::CODEC_JPEG => DecoderCodec::Jpeg,
        _ => return None,
    })
}

/// Looks at parameters, and corrects them as far as that is possible.
fn check(machine: &Machine, parameters: &mut mfxVideoParam) -> Result<Status, Status> {
    let mut status = abi::ERR_NONE;
    let codec = machine.decoder(parameters.mfx().CodecId).ok_or(abi::ERR_UNSUPPORTED)?;
    library(codec.id).ok_or(abi::ERR_UNSUPPORTED)?;
    let pattern = parameters.IOPattern;
    if pattern & !(abi::IOPATTERN_OUT_SYSTEM_MEMORY | abi::IOPATTERN_OUT_VIDEO_MEMORY) != 0
        || pattern.count_ones() > 1
    {
        parameters.IOPattern = 0;
        status = abi::WRN_INCOMPATIBLE_VIDEO_PARAM;
    }
    let info = &mut parameters.mfx_mut().FrameInfo;
    if info.FourCC != 0
        && (!codec.takes(info.FourCC) || info.ChromaFormat != super::pixels::chroma_format(info.FourCC))
    {
        (info.FourCC, info.ChromaFormat) = (0, 0);
        return Err(abi::ERR_UNSUPPORTED);
    }
    if info.Width > codec.most || info.Height > codec.most {
        (info.Width, info.Height) = (0, 0);
        return Err(abi::ERR_UNSUPPORTED);
    }
    if !aligned(info.Width, info.Height, info.PicStruct) {
        info.Width = info.Width.div_ceil(16) * 16;
        info.Height = info.Height.div_ceil(32) * 32;
        status = abi::WRN_INCOMPATIBLE_VIDEO_PARAM;
    }
    let outside = u32::from(info.CropX) + u32::from(info.CropW) > info.Width.into()
        || u32::from(info.CropY) + u32::from(info.CropH) > info.Height.into();
    if info.Width > 0 && outside {
        (info.CropX, info.CropY, info.CropW, info.CropH) = (0, 0, info.Width, info.Height);
        status = abi::WRN_INCOMPATIBLE_VIDEO_PARAM;
    }
    Ok(status)
}

/// Whether a size is one of surfaces.
pub fn aligned(width: u16, height: u16, structure: u16) -> bool {
    let rows = if structure == abi::PICSTRUCT_PROGRESSIVE || structure == 0 { 16 } else { 32 };
    width.is_multiple_of(16) && height.is_multiple_of(rows)
}

impl Decoder {
    fn open(session: usize, parameters: mfxVideoParam, carry: Vec<u8>) -> Result<Self, Status> {
        let codec = library(parameters.mfx().CodecId).ok_or(abi::ERR_UNSUPPORTED)?;
        let soft = recorded::Decoder::open(codec).map_err(|_| abi::ERR_UNSUPPORTED)?;
        Ok(Self {
            session,
            parameters,
            header: None,
            soft,
            pending: carry,
            pending_time: abi::TIMESTAMP_UNKNOWN,
            number: 0,
            times: HashMap::new(),
            queue: VecDeque::new(),
            taken: VecDeque::new(),
            drained: false,
            incompatible: false,
            flying: VecDeque::new(),
            frames: 0,
            damaged: 0,
            order: 0,
        })
    }

    fn video(&self) -> bool {
        self.parameters.IOPattern & abi::IOPATTERN_OUT_VIDEO_MEMORY != 0
    }

    fn codec(&self) -> u32 {
        self.parameters.mfx().CodecId
    }

    /// The next picture's data, and how many bytes of the buffer are in it. None: more is needed, and the buffer was taken.
    fn unit(&mut self, stream: &mut mfxBitstream, data: &[u8]) -> Option<(Vec<u8>, usize)> {
        if data.is_empty() {
            return None;
        }
        let before = self.pending.len();
        let mut unit = std::mem::take(&mut self.pending);
        unit.extend_from_slice(data);
        if before == 0 {
            self.pending_time = stream.TimeStamp;
        }
        let whole = stream.DataFlag & (abi::BITSTREAM_COMPLETE_FRAME | abi::BITSTREAM_EOS) != 0;
        let end = match bitstream::end(self.codec(), &unit) {
            // A buffer that is said to hold one picture does.
            _ if stream.DataFlag & abi::BITSTREAM_COMPLETE_FRAME != 0 => Some(unit.len()),
            None if whole => Some(unit.len()),
            end => end,
        };
        let Some(end) = end.filter(|&end| end > before || before == 0) else {
            if let Some(end) = end {
                // The end lies in what came before: a start code was cut in two.
                let rest = unit.split_off(end);
                self.pending = rest[..before.saturating_sub(end)].to_vec();
                return Some((unit, 0));
            }
            self.pending = unit;
            take(stream, data.len());
            return None;
        };
        unit.truncate(end);
        Some((unit, end - before))
    }

    /// Whether a picture's data begin a sequence of another kind.
    fn changed(&mut self, unit: &[u8]) -> Option<Status> {
        let (_, header) = sequence::find(self.codec(), unit, true)?;
        let info = &mut self.parameters.mfx_mut().FrameInfo;
        let before = self.header;
        let (width, height) = header.aligned();
        let fits = |height: u32| (u32::from(info.Width), u32::from(info.Height)) == (width, height);
        // Who made the surfaces high enough for fields need not make new ones.
        if !(fits(height) || fits(height.div_ceil(32) * 32)) || header.fourcc() != info.FourCC {
            return Some(abi::ERR_INCOMPATIBLE_VIDEO_PARAM);
        }
        self.header = Some(header);
        let crop = (info.CropX, info.CropY, info.CropW, info.CropH);
        let rows = info.Height;
        header.tell_frame(info);
        info.Height = rows;
        let differs = crop != (info.CropX, info.CropY, info.CropW, info.CropH);
        (before.is_some() && differs).then_some(abi::WRN_VIDEO_PARAM_CHANGED)
    }

    fn send(&mut self, unit: Option<&[u8]>) {
        self.number += 1;
        if unit.is_some() {
            self.times.insert(self.number, self.pending_time);
        }
        // The library reads both fields of a packet by the set of the first.
        let split = unit.filter(|_| self.codec() == abi::CODEC_AVC).and_then(bitstream::second_set);
        let parts = match (unit, split) {
            (Some(unit), Some(at)) => vec![Some(&unit[..at]), Some(&unit[at..])],
            _ => vec![unit],
        };
        for part in parts {
            match self.soft.send(part, self.number) {
                Ok((pictures, failed)) => {
                    self.damaged += u32::from(failed);
                    self.queue.extend(pictures.into_iter().filter(|_| !fault::is_kept(Place::Decoded)));
                }
                Err(_) => self.damaged += 1,
            }
        }
    }

    /// Operations that the engine has not done.
    fn in_flight(&mut self) -> usize {
        self.flying.retain(|task| !task.is_ready());
        self.flying.len()
    }

    fn call(
        &mut self,
        stream: Option<&mut mfxBitstream>,
        work: *mut mfxFrameSurface1,
    ) -> Result<(*mut mfxFrameSurface1, Handle), Status> {
        let depth = if self.parameters.AsyncDepth == 0 { DEPTH } else { self.parameters.AsyncDepth };
        if self.in_flight() >= usize::from(depth) {
            return Err(abi::WRN_DEVICE_BUSY);
        }
        if !work.is_null() {
            self.look_at(work)?;
        }
        match stream {
            Some(stream) => self.feed(stream, work)?,
            None => {
                if !self.drained {
                    if !self.incompatible && !self.pending.is_empty() {
                        let rest = std::mem::take(&mut self.pending);
                        self.send(Some(&rest));
                    }
                    self.send(None);
                    self.drained = true;
                }
                if self.queue.is_empty() {
                    self.give_back();
                    return Err(abi::ERR_MORE_DATA);
                }
            }
        }
        self.put_out(work)
    }

    /// Takes data until a picture is there.
    fn feed(&mut self, stream: &mut mfxBitstream, work: *mut mfxFrameSurface1) -> Result<(), Status> {
        let inside = u64::from(stream.DataOffset) + u64::from(stream.DataLength) <= stream.MaxLength.into();
        if !inside {
            breach(
                &rules::BITSTREAM_BOUNDS,
                format!("{} + {} of {}", stream.DataOffset, stream.DataLength, stream.MaxLength),
            );
            return Err(abi::ERR_UNDEFINED_BEHAVIOR);
        }
        if stream.Data.is_null() && stream.DataLength > 0 {
            breach(&rules::NULL_POINTER, "data of a bitstream");
            return Err(abi::ERR_NULL_PTR);
        }
        if self.drained && stream.DataLength > 0 {
            if !self.queue.is_empty() {
                breach(&rules::DATA_AFTER_DRAIN, format!("{} frames were not taken", self.queue.len()));
            }
            let carry = std::mem::take(&mut self.pending);
            let fresh = Self::open(self.session, self.parameters, carry)?;
            (self.soft, self.drained) = (fresh.soft, false);
        }
        while self.queue.is_empty() {
            let copy = data(stream);
            let Some((unit, used)) = self.unit(stream, &copy) else { return Err(abi::ERR_MORE_DATA) };
            match self.changed(&unit) {
                Some(abi::ERR_INCOMPATIBLE_VIDEO_PARAM) => {
                    // What came in earlier buffers is kept for the next decoder; this buffer stays as it is.
                    self.pending = unit[..unit.len() - used].to_vec();
                    self.incompatible = true;
                    return Err(abi::ERR_INCOMPATIBLE_VIDEO_PARAM);
                }
                changed => {
                    self.incompatible = false;
                    take(stream, used);
                    self.send(Some(&unit));
                    if let Some(status) = changed {
                        return Err(status);
                    }
                }
            }
            if !work.is_null() && self.queue.is_empty() {
                if self.taken.is_empty() {
                    surface::hold(work);
                    self.taken.push_back(work);
                    return Err(if stream.DataLength > 0 {
                        abi::ERR_MORE_SURFACE
                    } else {
                        abi::ERR_MORE_DATA
                    });
                }
                if stream.DataLength == 0 {
                    return Err(abi::ERR_MORE_DATA);
                }
            }
        }
        Ok(())
    }

    /// A working surface.
    fn look_at(&self, work: *mut mfxFrameSurface1) -> Result<(), Status> {
        if !surface::usable(work) {
            return Err(abi::ERR_INVALID_HANDLE);
        }
        // SAFETY: the client's surface, which was looked at.
        let (given, locked) = unsafe { ((*work).Info, (*work).Data.Locked) };
        let info = &self.parameters.mfx().FrameInfo;
        if given.FourCC != info.FourCC || given.Width < info.Width || given.Height < info.Height {
            breach(
                &rules::SURFACE_FORMAT,
                format!("{}x{}, and not {}x{}", given.Width, given.Height, info.Width, info.Height),
            );
            return Err(abi::ERR_INVALID_VIDEO_PARAM);
        }
        if locked > 0 && !surface::is_ours(work) {
            breach(&rules::SURFACE_LOCKED, format!("Locked is {locked}"));
            return Err(abi::ERR_LOCK_MEMORY);
        }
        Ok(())
    }

    /// Begins the operation that fills a surface with the next picture.
    fn put_out(&mut self, work: *mut mfxFrameSurface1) -> Result<(*mut mfxFrameSurface1, Handle), Status> {
        let Some(picture) = self.queue.pop_front() else { return Err(abi::ERR_UNKNOWN) };
        let frame = if work.is_null() {
            let info = self.parameters.mfx().FrameInfo;
            match surface::make(self.session, Pool::Decode, &info, self.video()) {
                Ok(frame) => frame,
                Err(status) => {
                    self.queue.push_front(picture);
                    return Err(status);
                }
            }
        } else {
            surface::hold(work);
            self.taken.push_back(work);
            self.taken.pop_front().unwrap_or(work)
        };
        if work.is_null() {
            surface::hold(frame);
        }
        self.describe(frame, &picture);
        let ordered = fault::next(Place::Decode).map(|(status, _)| status);
        let (session, held) = (self.session, surface::Held::taken(frame));
        let finish = move || {
            let frame = held.frame();
            let stored = surface::with_view(frame, session, None, |view| view.store(&picture));
            surface::filled(frame);
            ordered.or(stored.err()).unwrap_or(abi::ERR_NONE)
        };
        let (time, ours) = (config().settings.decode_time, surface::is_ours(frame));
        let task = match ordered {
            Some(fault::NEVER) => Task::never(self.session, 0, Box::new(finish)),
            _ => Task::begin(self.session, 0, time, None, ours, Box::new(finish)),
        };
        surface::fill_by(frame, &task);
        self.flying.push_back(task.clone());
        self.frames += 1;
        Ok((frame, task.point()))
    }

    /// What a surface says of its picture.
    fn describe(&mut self, frame: *mut mfxFrameSurface1, picture: &Picture) {
        let told = self.parameters.mfx().FrameInfo;
        // SAFETY: a surface of the runtime, or the client's, which was looked at.
        let frame = unsafe { &mut *frame };
        let (info, data) = (&mut frame.Info, &mut frame.Data);
        (info.CropX, info.CropY, info.CropW, info.CropH) = (told.CropX, told.CropY, told.CropW, told.CropH);
        let (width, height) = (picture.width as u16, picture.height as u16);
        if (width, height) != (info.CropW, info.CropH) && width <= info.Width && height <= info.Height {
            (info.CropX, info.CropY, info.CropW, info.CropH) = (0, 0, width, height);
        }
        info.PicStruct = match picture.interlaced {
            None => abi::PICSTRUCT_PROGRESSIVE,
            Some(true) => abi::PICSTRUCT_FIELD_TFF,
            Some(false) => abi::PICSTRUCT_FIELD_BFF,
        };
        (info.AspectRatioW, info.AspectRatioH) = (told.AspectRatioW, told.AspectRatioH);
        (info.FrameRateExtN, info.FrameRateExtD) = (told.FrameRateExtN, told.FrameRateExtD);
        (info.BitDepthLuma, info.BitDepthChroma, info.Shift) =
            (told.BitDepthLuma, told.BitDepthChroma, told.Shift);
        data.TimeStamp = self.times.get(&picture.number).copied().unwrap_or(abi::TIMESTAMP_UNKNOWN);
        // Numbers that pictures were never put out for would pile up.
        self.times.retain(|&number, _| number > picture.number - 64);
        data.FrameOrder = self.order;
        self.order += 1;
        data.Corrupted = if picture.damaged { abi::CORRUPTION_MAJOR } else { 0 };
        self.damaged += u32::from(picture.damaged);
    }

    fn give_back(&mut self) {
        for frame in std::mem::take(&mut self.taken) {
            surface::let_go(frame);
        }
    }
}

fn data(stream: &mfxBitstream) -> Vec<u8> {
    if stream.DataLength == 0 {
        return Vec::new();
    }
    // SAFETY: pointer, offset and length were looked at; that the memory is there, the client vouches for.
    unsafe {
        std::slice::from_raw_parts(stream.Data.add(stream.DataOffset as usize), stream.DataLength as usize)
    }
    .to_vec()
}

fn take(stream: &mut mfxBitstream, bytes: usize) {
    stream.DataOffset += bytes as u32;
    stream.DataLength -= bytes as u32;
}

/// Closes the decoder, if there is one.
pub fn close(session: &Session) -> Option<()> {
    let mut decoder = locked(&session.decoder).take()?;
    decoder.give_back();
    let pending = task::drop_component(session.id, 0);
    *locked(&session.carry) = std::mem::take(&mut decoder.pending);
    let mfx = decoder.parameters.mfx();
    let figures = json!({
        "codec": String::from_utf8_lossy(&mfx.CodecId.to_le_bytes()),
        "width": mfx.FrameInfo.Width, "height": mfx.FrameInfo.Height,
        "frames": decoder.frames, "damaged": decoder.damaged, "unfinished": pending, "video_memory": decoder.video(),
    });
    session::report(session.id, "decode", figures);
    Some(())
}

fn with<R>(
    session: Handle,
    with: impl FnOnce(&Session, &mut Decoder) -> Result<R, Status>,
) -> Result<R, Status> {
    let session = session::of(session)?;
    let mut decoder = locked(&session.decoder);
    let Some(decoder) = decoder.as_mut() else {
        breach(&rules::NOT_INITIALIZED, "decoder");
        return Err(abi::ERR_NOT_INITIALIZED);
    };
    with(&session, decoder)
}

fn status(result: Result<Status, Status>) -> Status {
    result.unwrap_or_else(|status| status)
}

fn init(session: &Session, parameters: In<mfxVideoParam>, again: bool) -> Result<Status, Status> {
    let mut parameters = parameters.get().ok_or_else(|| {
        breach(&rules::NULL_POINTER, "parameters");
        abi::ERR_NULL_PTR
    })?;
    fault::next(if again { Place::DecodeReset } else { Place::DecodeInit })
        .map_or(Ok(()), |(status, _)| Err(status))?;
    let ordered = session.ready(config().settings.init_decode)?;
    let info = parameters.mfx().FrameInfo;
    if !aligned(info.Width, info.Height, info.PicStruct) {
        breach(&rules::ALIGNMENT, format!("{}x{}", info.Width, info.Height));
        return Err(abi::ERR_INVALID_VIDEO_PARAM);
    }
    let checked = check(session.machine, &mut parameters).map_err(|_| abi::ERR_INVALID_VIDEO_PARAM)?;
    if info.Width == 0 || info.Height == 0 || info.FourCC == 0 || parameters.IOPattern == 0 {
        return Err(abi::ERR_INVALID_VIDEO_PARAM);
    }
    let video = parameters.IOPattern & abi::IOPATTERN_OUT_VIDEO_MEMORY != 0;
    if video && !super::pixels::is_shifted(&info) {
        return Err(abi::ERR_INVALID_VIDEO_PARAM);
    }
    let mut place = locked(&session.decoder);
    let carry = match (place.as_mut(), again) {
        (Some(_), false) => {
            breach(&rules::INIT_TWICE, "decoder");
            return Err(abi::ERR_UNDEFINED_BEHAVIOR);
        }
        (None, true) => {
            breach(&rules::NOT_INITIALIZED, "decoder");
            return Err(abi::ERR_NOT_INITIALIZED);
        }
        (Some(old), true) => {
            let before = &old.parameters.mfx().FrameInfo;
            // A decoder does not become another one.
            if old.codec() != parameters.mfx().CodecId || before.FourCC != info.FourCC {
                return Err(abi::ERR_INCOMPATIBLE_VIDEO_PARAM);
            }
            if (before.Width, before.Height) != (info.Width, info.Height) && !old.queue.is_empty() {
                breach(&rules::RESET_UNDRAINED, format!("{} frames were not taken", old.queue.len()));
            }
            old.give_back();
            std::mem::take(&mut old.pending)
        }
        (None, false) => std::mem::take(&mut *locked(&session.carry)),
    };
    let mut decoder = Decoder::open(session.id, parameters, carry)?;
    if let Some(old) = place.take() {
        (decoder.frames, decoder.damaged, decoder.flying) = (old.frames, old.damaged, old.flying);
    }
    *place = Some(decoder);
    Ok(if checked == abi::ERR_NONE { ordered } else { checked })
}
