//! `MFXVideoENCODE_*`: surfaces in display order in, coded frames in decoding order out.

mod calls;

use super::encode_plan::{self as plan, Options};
use super::session::{self, Session};
use super::surface;
use super::task::{self, Task};
use super::wrap::{self, Message};
use crate::abi::{self, Handle, Status, mfxBitstream, mfxEncodeCtrl, mfxFrameSurface1, mfxVideoParam};
use crate::codec::encoder::{Coded, Wish};
use crate::codec::parameter_sets::{Syntax, split_annex_b};
use crate::codec::recorded;
use crate::core::fault::{self, Place};
use crate::core::report::locked;
use crate::core::{In, breach, config, rules};

use serde_json::json;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A surface that is read until its frame is out.
struct Source {
    frame: *mut mfxFrameSurface1,
    time: u64,
    /// The client's own memory, as it was.
    sum: Option<u64>,
    /// What has to be done before.
    after: Option<Arc<Task>>,
    messages: Vec<Message>,
}

/// An encoder that is initialised.
pub struct Encoder {
    session: usize,
    parameters: mfxVideoParam,
    options: Options,
    /// Of the surfaces that it gives, whatever it is reset to.
    surfaces: abi::mfxFrameInfo,
    soft: recorded::Encoder,
    sets: Vec<u8>,
    queue: VecDeque<Coded>,
    sources: HashMap<i64, Source>,
    /// Presentation times in display order, for decoding times.
    times: VecDeque<u64>,
    number: i64,
    since_key: u32,
    intra: u32,
    drained: bool,
    flying: VecDeque<Arc<Task>>,
    frames: u32,
    bits: u64,
    /// Settings that the client requested, for the report.
    told: serde_json::Value,
}

// SAFETY: the pointers are the client's, who keeps its surfaces while they are locked.
unsafe impl Send for Encoder {}

/// Marks the fields that can be set, as a query without parameters answers.
pub fn mark(parameters: &mut mfxVideoParam) {
    let lists = (parameters.ExtParam, parameters.NumExtParam);
    let codec = parameters.mfx().CodecId;
    *parameters = mfxVideoParam::zeroed();
    (parameters.ExtParam, parameters.NumExtParam) = lists;
    (parameters.AsyncDepth, parameters.IOPattern) = (1, 1);
    let mfx = parameters.mfx_mut();
    mfx.CodecId = codec;
    for field in [
        &mut mfx.CodecProfile,
        &mut mfx.CodecLevel,
        &mut mfx.TargetUsage,
        &mut mfx.GopPicSize,
        &mut mfx.GopRefDist,
        &mut mfx.IdrInterval,
        &mut mfx.RateControlMethod,
        &mut mfx.InitialDelayInKB,
        &mut mfx.BufferSizeInKB,
        &mut mfx.TargetKbps,
        &mut mfx.MaxKbps,
        &mut mfx.NumSlice,
        &mut mfx.NumRefFrame,
        &mut mfx.FrameInfo.Width,
        &mut mfx.FrameInfo.Height,
        &mut mfx.FrameInfo.CropW,
        &mut mfx.FrameInfo.CropH,
        &mut mfx.FrameInfo.PicStruct,
        &mut mfx.FrameInfo.ChromaFormat,
        &mut mfx.FrameInfo.AspectRatioW,
        &mut mfx.FrameInfo.AspectRatioH,
    ] {
        *field = 1;
    }
    (mfx.FrameInfo.FourCC, mfx.FrameInfo.FrameRateExtN, mfx.FrameInfo.FrameRateExtD) = (1, 1, 1);
}

impl Encoder {
    fn open(
        session: usize,
        parameters: mfxVideoParam,
        options: Options,
        told: serde_json::Value,
    ) -> Result<Self, Status> {
        let surfaces = parameters.mfx().FrameInfo;
        let soft = library(&parameters, &options)?;
        let sets = soft.sets();
        let mut encoder = Self {
            session,
            parameters,
            options,
            surfaces,
            soft,
            sets,
            queue: VecDeque::new(),
            sources: HashMap::new(),
            times: VecDeque::new(),
            number: 0,
            since_key: 0,
            intra: 0,
            drained: false,
            flying: VecDeque::new(),
            frames: 0,
            bits: 0,
            told,
        };
        encoder.tell_level();
        Ok(encoder)
    }

    /// The level that the library chose.
    fn tell_level(&mut self) {
        let mfx = self.parameters.mfx_mut();
        if mfx.CodecId == abi::CODEC_AVC
            && let Some(sps) = split_annex_b(&self.sets).into_iter().find(|unit| Syntax::H264.is_sps(unit))
        {
            mfx.CodecLevel = sps.get(3).copied().unwrap_or(0).into();
        }
    }

    /// Goes on with a fresh library: after draining, and after changes that the old one does not follow.
    fn reopen(&mut self) -> Result<(), Status> {
        self.soft = library(&self.parameters, &self.options)?;
        self.sets = self.soft.sets();
        self.tell_level();
        (self.drained, self.since_key, self.intra) = (false, 0, 0);
        Ok(())
    }

    fn syntax(&self) -> Option<Syntax> {
        match self.parameters.mfx().CodecId {
            abi::CODEC_AVC => Some(Syntax::H264),
            abi::CODEC_HEVC => Some(Syntax::Hevc),
            _ => None,
        }
    }

    fn crop(&self) -> surface::Crop {
        let info = &self.parameters.mfx().FrameInfo;
        [info.CropX, info.CropY, info.CropW, info.CropH]
    }

    fn call(
        &mut self,
        control: Option<mfxEncodeCtrl>,
        frame: *mut mfxFrameSurface1,
        stream: &mut mfxBitstream,
    ) -> Result<Handle, Status> {
        let used = u64::from(stream.DataOffset) + u64::from(stream.DataLength);
        if used > stream.MaxLength.into() || stream.Data.is_null() {
            breach(&rules::BITSTREAM_BOUNDS, format!("{used} bytes of {}", stream.MaxLength));
            return Err(abi::ERR_UNDEFINED_BEHAVIOR);
        }
        if (u64::from(stream.MaxLength) - used) < plan::room(&self.parameters) as u64 {
            return Err(abi::ERR_NOT_ENOUGH_BUFFER);
        }
        self.flying.retain(|task| !task.is_ready());
        if self.flying.len() >= usize::from(self.parameters.AsyncDepth) {
            return Err(abi::WRN_DEVICE_BUSY);
        }
        if frame.is_null() {
            if !self.drained {
                self.drained = true;
                let rest = self.soft.finish().map_err(|_| abi::ERR_DEVICE_FAILED)?;
                self.put_in_line(rest);
            }
        } else {
            self.take(control, frame)?;
        }
        let coded = self.queue.pop_front().ok_or(abi::ERR_MORE_DATA)?;
        Ok(self.put_out(coded, stream))
    }

    /// Hands a surface to the library.
    fn take(&mut self, control: Option<mfxEncodeCtrl>, frame: *mut mfxFrameSurface1) -> Result<(), Status> {
        if !surface::usable(frame) || !session::takes(self.session, surface::session(frame)) {
            return Err(abi::ERR_INVALID_HANDLE);
        }
        // SAFETY: the client's surface, which was looked at.
        let (given, time) = unsafe { ((*frame).Info, (*frame).Data.TimeStamp) };
        let info = &self.parameters.mfx().FrameInfo;
        if given.FourCC != info.FourCC || given.Width < info.Width || given.Height < info.Height {
            breach(
                &rules::SURFACE_FORMAT,
                format!("{}x{}, and not {}x{}", given.Width, given.Height, info.Width, info.Height),
            );
            return Err(abi::ERR_INVALID_VIDEO_PARAM);
        }
        if self.drained {
            if !self.queue.is_empty() {
                breach(&rules::DATA_AFTER_DRAIN, format!("{} frames were not taken", self.queue.len()));
            }
            self.reopen()?;
        }
        let after = surface::pending(frame);
        if let Some(task) = &after {
            let status = task.finish();
            if status < 0 {
                return Err(status);
            }
        }
        let ours = surface::is_ours(frame);
        let read = |view: &super::pixels::View| (view.load(), (!ours).then(|| view.sum()));
        let (picture, sum) = surface::with_view(frame, self.session, Some(self.crop()), read)?;
        let wish = self.wish(control.map_or(0, |control| control.FrameType));
        let messages = control.map_or_else(Vec::new, |control| wrap::messages(&control));
        self.number += 1;
        let planes = picture.planes.each_ref().map(Vec::as_slice);
        let coded = self.soft.encode(planes, self.number, wish).map_err(|_| abi::ERR_DEVICE_FAILED)?;
        surface::hold(frame);
        self.sources.insert(self.number, Source { frame, time, sum, after, messages });
        self.times.push_back(time);
        self.put_in_line(coded);
        Ok(())
    }

    fn put_in_line(&mut self, coded: impl IntoIterator<Item = Coded>) {
        self.queue.extend(coded.into_iter().filter(|_| !fault::is_kept(Place::Coded)));
    }

    /// What kind of frame comes next.
    fn wish(&mut self, asked: u16) -> Wish {
        let mfx = self.parameters.mfx();
        let begins = self.since_key == 0;
        self.since_key += 1;
        let due = !begins && self.since_key > u32::from(mfx.GopPicSize) && mfx.CodecId != abi::CODEC_JPEG;
        if begins || asked & abi::FRAMETYPE_IDR != 0 {
            (self.since_key, self.intra) = (1, 0);
            return Wish::Key;
        }
        if due {
            self.since_key = 1;
            self.intra += 1;
            // 0: every intra frame of AVC begins a sequence, and only the first one of HEVC.
            let interval = u32::from(mfx.IdrInterval);
            let key = match mfx.CodecId {
                abi::CODEC_HEVC => interval > 0 && self.intra.is_multiple_of(interval),
                abi::CODEC_AVC => self.intra.is_multiple_of(interval + 1),
                _ => true,
            };
            return if key { Wish::Key } else { Wish::Intra };
        }
        if asked & abi::FRAMETYPE_I != 0 { Wish::Intra } else { Wish::Any }
    }

    /// Begins the operation that writes a coded frame.
    fn put_out(&mut self, coded: Coded, stream: &mut mfxBitstream) -> Handle {
        let source = self.sources.remove(&coded.number);
        let time = source.as_ref().map_or(abi::TIMESTAMP_UNKNOWN, |source| source.time);
        let decoding = self.decoding_time();
        let kind = self.frame_type(&coded);
        let data = self.wrapped(&coded, source.as_ref().map_or(&[], |source| &source.messages));
        self.frames += 1;
        self.bits += data.len() as u64 * 8;
        let ordered = fault::next(Place::Encode).map(|(status, _)| status);
        let after = source.as_ref().and_then(|source| source.after.clone());
        let (session, crop) = (self.session, self.crop());
        let source = source.map(|source| (surface::Held::taken(source.frame), source.sum));
        let place = (&raw mut *stream).expose_provenance();
        let before = stream.DataLength;
        let finish = move || {
            if let Some((held, sum)) = source {
                let frame = held.frame();
                let now = sum.and_then(|_| {
                    surface::with_view(frame, session, Some(crop), super::pixels::View::sum).ok()
                });
                if now != sum {
                    breach(&rules::WRITTEN_IN_USE, format!("surface {frame:p} of the client"));
                }
            }
            if let Some(status) = ordered.filter(|&status| status < 0) {
                return status;
            }
            let place = std::ptr::with_exposed_provenance_mut::<mfxBitstream>(place);
            // SAFETY: the client's bitstream, which it keeps until the operation is done.
            let stream = unsafe { &mut *place };
            if stream.DataLength != before {
                breach(&rules::BITSTREAM_TOUCHED, format!("{before} bytes became {}", stream.DataLength));
            }
            let end = stream.DataOffset as usize + stream.DataLength as usize;
            if stream.Data.is_null() || end + data.len() > stream.MaxLength as usize {
                return abi::ERR_NOT_ENOUGH_BUFFER;
            }
            // SAFETY: there is room for so many bytes, as the client says.
            unsafe { stream.Data.add(end).copy_from_nonoverlapping(data.as_ptr(), data.len()) };
            stream.DataLength += data.len() as u32;
            (stream.TimeStamp, stream.DecodeTimeStamp) = (time, decoding);
            (stream.FrameType, stream.PicStruct) = (kind, abi::PICSTRUCT_PROGRESSIVE);
            ordered.unwrap_or(abi::ERR_NONE)
        };
        let time = config().settings.encode_time;
        let task = match ordered {
            Some(fault::NEVER) => Task::never(self.session, 1, Box::new(finish)),
            _ => Task::begin(self.session, 1, time, after.as_ref(), false, Box::new(finish)),
        };
        self.flying.push_back(task.clone());
        task.point()
    }

    /// Times of display in their order, as much earlier as frames are reordered.
    fn decoding_time(&mut self) -> i64 {
        let Some(time) = self.times.pop_front().filter(|&time| time != abi::TIMESTAMP_UNKNOWN) else {
            return abi::TIMESTAMP_UNKNOWN as i64;
        };
        let info = &self.parameters.mfx().FrameInfo;
        let frames = match (plan::b_frames(&self.parameters), plan::pyramid(&self.parameters, &self.options))
        {
            (0, _) => 0,
            (_, false) => 1,
            (_, true) => 2,
        };
        let duration = 90_000 * i64::from(info.FrameRateExtD) / i64::from(info.FrameRateExtN.max(1));
        (time as i64).wrapping_sub(frames * duration)
    }

    fn frame_type(&self, coded: &Coded) -> u16 {
        let reference = match self.syntax() {
            Some(syntax) => split_annex_b(&coded.data).iter().any(|unit| match syntax {
                Syntax::H264 => matches!(syntax.kind(unit), 1..=5) && unit[0] & 0x60 != 0,
                Syntax::Hevc => {
                    syntax.kind(unit) < 32 && !matches!(syntax.kind(unit), 0 | 2 | 4 | 6 | 8 | 10 | 12 | 14)
                }
            }),
            None => true,
        };
        let kind = match coded.kind {
            _ if coded.key => abi::FRAMETYPE_I | abi::FRAMETYPE_IDR,
            1 => abi::FRAMETYPE_I,
            3 => abi::FRAMETYPE_B,
            _ => abi::FRAMETYPE_P,
        };
        kind | if reference { abi::FRAMETYPE_REF } else { 0 }
    }

    /// Key frames carry the parameter sets.
    fn wrapped(&self, coded: &Coded, messages: &[Message]) -> Vec<u8> {
        match self.syntax() {
            Some(syntax) => wrap::annex_b(syntax, &coded.data, coded.key.then_some(&self.sets[..]), messages),
            None if self.options.ivf(self.parameters.mfx().CodecId) => {
                wrap::ivf(&self.parameters, self.frames, &coded.data)
            }
            None => coded.data.clone(),
        }
    }

    fn give_back(&mut self) {
        for (_, source) in std::mem::take(&mut self.sources) {
            surface::let_go(source.frame);
        }
    }

    /// Other parameters for the same encoder.
    fn reset(&mut self, mut parameters: mfxVideoParam, options: Options) -> Result<Status, Status> {
        let old = *self.parameters.mfx();
        if parameters.mfx().CodecLevel == 0 {
            // What was left to the encoder stays as it decided; a new size has it decide again.
            let same = old.FrameInfo.CropW == parameters.mfx().FrameInfo.CropW
                && old.FrameInfo.CropH == parameters.mfx().FrameInfo.CropH;
            parameters.mfx_mut().CodecLevel = if same { old.CodecLevel } else { 0 };
        }
        let new = *parameters.mfx();
        let info = &new.FrameInfo;
        let wider = info.Width > self.surfaces.Width || info.Height > self.surfaces.Height;
        if old.CodecId != new.CodecId || old.FrameInfo.FourCC != info.FourCC || wider {
            return Err(abi::ERR_INCOMPATIBLE_VIDEO_PARAM);
        }
        let continues = options.new_sequence() == Some(false);
        let size =
            |info: &abi::mfxFrameInfo| (info.CropW, info.CropH, info.FrameRateExtN, info.FrameRateExtD);
        if continues && size(&old.FrameInfo) != size(info) {
            return Err(abi::ERR_INVALID_VIDEO_PARAM);
        }
        let (before, after) =
            (plan::settings(&self.parameters, &self.options), plan::settings(&parameters, &options));
        let rates_alone = crate::codec::encoder::Settings {
            bit_rate: before.bit_rate,
            max_rate: before.max_rate,
            buffer: before.buffer,
            quality: before.quality,
            ..after
        } == before
            && (old.GopPicSize, old.IdrInterval) == (new.GopPicSize, new.IdrInterval);
        let inside = self.sources.len();
        let follows = new.CodecId == abi::CODEC_AVC && before.bit_rate > 0 && after.bit_rate > 0;
        (self.parameters, self.options) = (parameters, options);
        if rates_alone && (follows || inside > 0) {
            // Of the libraries one follows; the others go on with the old rates.
            self.soft.rate(after.bit_rate, after.max_rate, after.buffer);
        } else if before != after {
            if inside > 0 {
                breach(&rules::RESET_UNDRAINED, format!("{inside} frames are inside"));
            }
            self.give_back();
            (self.queue, self.times) = (VecDeque::new(), VecDeque::new());
            self.reopen()?;
        }
        if options.new_sequence() == Some(true) {
            self.since_key = 0;
        }
        Ok(abi::ERR_NONE)
    }
}

fn library(parameters: &mfxVideoParam, options: &Options) -> Result<recorded::Encoder, Status> {
    recorded::Encoder::open(plan::settings(parameters, options)).map_err(|_| abi::ERR_INVALID_VIDEO_PARAM)
}

/// Closes the encoder, if there is one.
pub fn close(session: &Session) -> Option<()> {
    let mut encoder = locked(&session.encoder).take()?;
    let unfinished = task::drop_component(session.id, 1);
    let inside = encoder.sources.len();
    encoder.give_back();
    let mfx = encoder.parameters.mfx();
    let figures = json!({
        "codec": String::from_utf8_lossy(&mfx.CodecId.to_le_bytes()),
        "width": mfx.FrameInfo.CropW, "height": mfx.FrameInfo.CropH,
        "frames": encoder.frames, "bits": encoder.bits, "inside": inside, "unfinished": unfinished,
        "method": mfx.RateControlMethod, "gop": mfx.GopPicSize, "distance": mfx.GopRefDist,
        "video_memory": encoder.parameters.IOPattern & abi::IOPATTERN_IN_VIDEO_MEMORY != 0,
        "settings": encoder.told,
    });
    session::report(session.id, "encode", figures);
    Some(())
}

fn with<R>(
    session: Handle,
    with: impl FnOnce(&Session, &mut Encoder) -> Result<R, Status>,
) -> Result<R, Status> {
    let session = session::of(session)?;
    let mut encoder = locked(&session.encoder);
    let Some(encoder) = encoder.as_mut() else {
        breach(&rules::NOT_INITIALIZED, "encoder");
        return Err(abi::ERR_NOT_INITIALIZED);
    };
    with(&session, encoder)
}

fn status(result: Result<Status, Status>) -> Status {
    result.unwrap_or_else(|status| status)
}

fn init(session: &Session, parameters: In<mfxVideoParam>, again: bool) -> Result<Status, Status> {
    let mut parameters = parameters.get().ok_or_else(|| {
        breach(&rules::NULL_POINTER, "parameters");
        abi::ERR_NULL_PTR
    })?;
    fault::next(if again { Place::EncodeReset } else { Place::EncodeInit })
        .map_or(Ok(()), |(status, _)| Err(status))?;
    let ordered = session.ready(config().settings.init_encode)?;
    let options = Options::of(&parameters);
    let mut told = plan::told(&parameters);
    told["device"] = session.gpu.into();
    let info = parameters.mfx().FrameInfo;
    if parameters.mfx().CodecId != abi::CODEC_JPEG
        && !super::decode::aligned(info.Width, info.Height, info.PicStruct)
    {
        breach(&rules::ALIGNMENT, format!("{}x{}", info.Width, info.Height));
        return Err(abi::ERR_INVALID_VIDEO_PARAM);
    }
    let checked = plan::check(session.machine, &mut parameters).map_err(|_| abi::ERR_INVALID_VIDEO_PARAM)?;
    if !plan::complete(&parameters) {
        return Err(abi::ERR_INVALID_VIDEO_PARAM);
    }
    plan::fill(session.machine, &mut parameters);
    // The lists are the client's, and may be gone after the call.
    (parameters.ExtParam, parameters.NumExtParam) = (std::ptr::null_mut(), 0);
    let mut place = locked(&session.encoder);
    match (place.as_mut(), again) {
        (Some(_), false) => {
            breach(&rules::INIT_TWICE, "encoder");
            return Err(abi::ERR_UNDEFINED_BEHAVIOR);
        }
        (None, true) => {
            breach(&rules::NOT_INITIALIZED, "encoder");
            return Err(abi::ERR_NOT_INITIALIZED);
        }
        (Some(old), true) => {
            old.reset(parameters, options)?;
        }
        (None, false) => *place = Some(Encoder::open(session.id, parameters, options, told)?),
    }
    Ok(if checked == abi::ERR_NONE { ordered } else { checked })
}

/// Writes parameter sets of these kinds where the client wants them.
fn tell_sets(sets: &[u8], syntax: Syntax, kind: u8, place: *mut u8, size: &mut u16) -> Result<(), Status> {
    let Some(unit) = split_annex_b(sets).into_iter().find(|unit| syntax.kind(unit) == kind) else {
        *size = 0;
        return Ok(());
    };
    if place.is_null() {
        return Err(abi::ERR_NULL_PTR);
    }
    if usize::from(*size) < unit.len() + 4 {
        return Err(abi::ERR_NOT_ENOUGH_BUFFER);
    }
    // SAFETY: the client says that there is room for `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(place, unit.len() + 4) };
    bytes[..4].copy_from_slice(&[0, 0, 0, 1]);
    bytes[4..].copy_from_slice(unit);
    *size = bytes.len() as u16;
    Ok(())
}
