//! The exported functions of a decoder.

use super::{DEPTH, KEPT, check, close, data, init, status, take, with};
use crate::abi::{
    self, Handle, Status, mfxBitstream, mfxDecodeStat, mfxFrameAllocRequest, mfxFrameSurface1, mfxPayload,
    mfxVideoParam,
};
use crate::core::fault::Place;
use crate::core::report::locked;
use crate::core::{In, Out, breach, exports, rules};
use crate::runtime::sequence;
use crate::runtime::session;
use crate::runtime::surface::{self, Pool};

exports! {
    /// Says what can be decoded.
    fn MFXVideoDECODE_Query(session: Handle, wanted: In<mfxVideoParam>, answer: *mut mfxVideoParam) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| {
            if answer.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            let answer = unsafe { &mut *answer };
            let Some(wanted) = wanted.get() else {
                crate::runtime::encode::mark(answer);
                return Ok(abi::ERR_NONE);
            };
            let lists = (answer.ExtParam, answer.NumExtParam);
            let mut checked = wanted;
            let result = check(session.machine, &mut checked);
            *answer = checked;
            (answer.ExtParam, answer.NumExtParam) = lists;
            if session.machine.decoder(wanted.mfx().CodecId).is_none() {
                answer.mfx_mut().CodecId = 0;
            }
            result
        }))
    }

    /// Finds out what a stream is.
    fn MFXVideoDECODE_DecodeHeader(session: Handle, stream: *mut mfxBitstream, parameters: *mut mfxVideoParam) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| {
            if stream.is_null() || parameters.is_null() {
                breach(&rules::NULL_POINTER, "bitstream or parameters");
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            let (stream, parameters) = unsafe { (&mut *stream, &mut *parameters) };
            let codec = parameters.mfx().CodecId;
            session.machine.decoder(codec).ok_or(abi::ERR_UNSUPPORTED)?;
            if stream.DataLength > 0 && stream.Data.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            let mut all = match locked(&session.decoder).as_ref() {
                Some(decoder) => decoder.pending.clone(),
                None => locked(&session.carry).clone(),
            };
            let before = all.len();
            all.extend(data(stream));
            let whole = stream.DataFlag & (abi::BITSTREAM_COMPLETE_FRAME | abi::BITSTREAM_EOS) != 0;
            let Some((at, header)) = sequence::find(codec, &all, whole) else {
                return Err(abi::ERR_MORE_DATA);
            };
            // What lies in front of the header is of no use.
            take(stream, at.saturating_sub(before));
            header.tell(parameters.mfx_mut());
            Ok(abi::ERR_NONE)
        }))
    }

    /// How many surfaces are needed.
    fn MFXVideoDECODE_QueryIOSurf(session: Handle, parameters: In<mfxVideoParam>, request: *mut mfxFrameAllocRequest) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|_| {
            let parameters = parameters.get().ok_or(abi::ERR_NULL_PTR)?;
            if request.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            let video = parameters.IOPattern & abi::IOPATTERN_OUT_VIDEO_MEMORY != 0;
            if !video && parameters.IOPattern & abi::IOPATTERN_OUT_SYSTEM_MEMORY == 0 {
                return Err(abi::ERR_INVALID_VIDEO_PARAM);
            }
            let depth = if parameters.AsyncDepth == 0 { DEPTH } else { parameters.AsyncDepth };
            let mut answer = mfxFrameAllocRequest::zeroed();
            answer.Info = parameters.mfx().FrameInfo;
            answer.Type = surface::memory_type(Pool::Decode, video) | abi::MEMTYPE_EXTERNAL_FRAME;
            answer.NumFrameMin = KEPT + depth;
            answer.NumFrameSuggested = answer.NumFrameMin;
            // SAFETY: not null; the client vouches for the rest.
            unsafe { *request = answer };
            Ok(abi::ERR_NONE)
        }))
    }

    /// Makes the decoder.
    fn MFXVideoDECODE_Init(session: Handle, parameters: In<mfxVideoParam>) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| init(&session, parameters, false)))
    }

    /// Makes it anew.
    fn MFXVideoDECODE_Reset(session: Handle, parameters: In<mfxVideoParam>) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| init(&session, parameters, true)))
    }

    /// Ends it.
    fn MFXVideoDECODE_Close(session: Handle) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).map(|session| match close(&session) {
            Some(()) => abi::ERR_NONE,
            None => abi::ERR_NOT_INITIALIZED,
        }))
    }

    /// What the decoder works with.
    fn MFXVideoDECODE_GetVideoParam(session: Handle, parameters: *mut mfxVideoParam) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, decoder| {
            if parameters.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            let answer = unsafe { &mut *parameters };
            let lists = (answer.ExtParam, answer.NumExtParam);
            *answer = decoder.parameters;
            (answer.ExtParam, answer.NumExtParam) = lists;
            Ok(abi::ERR_NONE)
        }))
    }

    /// Counts.
    fn MFXVideoDECODE_GetDecodeStat(session: Handle, figures: Out<mfxDecodeStat>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, decoder| {
            let mut answer = mfxDecodeStat::zeroed();
            (answer.NumFrame, answer.NumError) = (decoder.frames, decoder.damaged);
            answer.NumCachedFrame = decoder.queue.len() as u32;
            if figures.put(answer) { Ok(abi::ERR_NONE) } else { Err(abi::ERR_NULL_PTR) }
        }))
    }

    /// Makes no difference here.
    fn MFXVideoDECODE_SetSkipMode(session: Handle, mode: i32) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, _| Ok(abi::WRN_VALUE_NOT_CHANGED)))
    }

    /// There is none.
    fn MFXVideoDECODE_GetPayload(session: Handle, time: Out<u64>, payload: *mut mfxPayload) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, _| {
            if payload.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            unsafe { (*payload).NumBit = 0 };
            Ok(abi::ERR_NONE)
        }))
    }

    /// Takes data, and begins to fill a surface when a picture is complete.
    fn MFXVideoDECODE_DecodeFrameAsync(session: Handle, stream: *mut mfxBitstream, work: *mut mfxFrameSurface1,
        shown: Out<*mut mfxFrameSurface1>, point: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |session, decoder| {
            if shown.is_null() || point.is_null() {
                breach(&rules::NULL_POINTER, "surface_out or syncp");
                return Err(abi::ERR_NULL_PTR);
            }
            point.put(abi::NO_SYNC);
            session.fault(Place::DecodeCall)?;
            // SAFETY: null, or a bitstream of the client's.
            let stream = unsafe { stream.as_mut() };
            let (frame, sync) = decoder.call(stream, work)?;
            shown.put(frame);
            point.put(sync);
            Ok(abi::ERR_NONE)
        }))
    }

    /// A surface for a decoder.
    fn MFXMemory_GetSurfaceForDecode(session: Handle, frame: Out<*mut mfxFrameSurface1>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |session, decoder| {
            if frame.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            let info = decoder.parameters.mfx().FrameInfo;
            frame.put(surface::make(session.id, Pool::Decode, &info, decoder.video())?);
            Ok(abi::ERR_NONE)
        }))
    }
}
