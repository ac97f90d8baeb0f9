//! The exported functions of an encoder.

use super::{close, init, mark, status, tell_sets, with};
use crate::abi::{
    self, Handle, Status, mfxBitstream, mfxEncodeCtrl, mfxEncodeStat, mfxExtCodingOptionSPSPPS,
    mfxExtCodingOptionVPS, mfxFrameAllocRequest, mfxFrameSurface1, mfxVideoParam,
};
use crate::codec::parameter_sets::Syntax;
use crate::core::fault::Place;
use crate::core::{In, Out, breach, exports, rules};
use crate::runtime::encode_plan as plan;
use crate::runtime::extension::List;
use crate::runtime::session;
use crate::runtime::surface::{self, Pool};

exports! {
    /// Says what can be encoded.
    fn MFXVideoENCODE_Query(session: Handle, wanted: In<mfxVideoParam>, answer: *mut mfxVideoParam) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| {
            if answer.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            let answer = unsafe { &mut *answer };
            let Some(wanted) = wanted.get() else {
                session.machine.encoder(answer.mfx().CodecId).ok_or(abi::ERR_UNSUPPORTED)?;
                mark(answer);
                return Ok(abi::ERR_NONE);
            };
            let lists = (answer.ExtParam, answer.NumExtParam);
            let mut checked = wanted;
            let result = plan::check(session.machine, &mut checked);
            *answer = checked;
            (answer.ExtParam, answer.NumExtParam) = lists;
            if session.machine.encoder(wanted.mfx().CodecId).is_none() {
                answer.mfx_mut().CodecId = 0;
            }
            result
        }))
    }

    /// How many surfaces are needed.
    fn MFXVideoENCODE_QueryIOSurf(session: Handle, parameters: In<mfxVideoParam>, request: *mut mfxFrameAllocRequest) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| {
            let mut parameters = parameters.get().ok_or(abi::ERR_NULL_PTR)?;
            if request.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            let video = parameters.IOPattern & abi::IOPATTERN_IN_VIDEO_MEMORY != 0;
            if !video && parameters.IOPattern & abi::IOPATTERN_IN_SYSTEM_MEMORY == 0 {
                return Err(abi::ERR_INVALID_VIDEO_PARAM);
            }
            plan::fill(session.machine, &mut parameters);
            let mut answer = mfxFrameAllocRequest::zeroed();
            answer.Info = parameters.mfx().FrameInfo;
            answer.Type = surface::memory_type(Pool::Encode, video) | abi::MEMTYPE_EXTERNAL_FRAME;
            answer.NumFrameMin = parameters.AsyncDepth + plan::delay(&parameters) + 1;
            answer.NumFrameSuggested = answer.NumFrameMin;
            // SAFETY: not null; the client vouches for the rest.
            unsafe { *request = answer };
            Ok(abi::ERR_NONE)
        }))
    }

    /// Makes the encoder.
    fn MFXVideoENCODE_Init(session: Handle, parameters: In<mfxVideoParam>) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| init(&session, parameters, false)))
    }

    /// Gives it other parameters.
    fn MFXVideoENCODE_Reset(session: Handle, parameters: In<mfxVideoParam>) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| init(&session, parameters, true)))
    }

    /// Ends it.
    fn MFXVideoENCODE_Close(session: Handle) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).map(|session| match close(&session) {
            Some(()) => abi::ERR_NONE,
            None => abi::ERR_NOT_INITIALIZED,
        }))
    }

    /// What the encoder works with, and its parameter sets.
    fn MFXVideoENCODE_GetVideoParam(session: Handle, parameters: *mut mfxVideoParam) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, encoder| {
            if parameters.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            let answer = unsafe { &mut *parameters };
            let lists = (answer.ExtParam, answer.NumExtParam);
            *answer = encoder.parameters;
            (answer.ExtParam, answer.NumExtParam) = lists;
            let list = List::new(lists.0, lists.1);
            let Some(syntax) = encoder.syntax() else { return Ok(abi::ERR_NONE) };
            let (sps, pps) = if syntax == Syntax::H264 { (7, 8) } else { (33, 34) };
            if let Some(place) = list.place::<mfxExtCodingOptionSPSPPS>() {
                // SAFETY: `place` looked at its size.
                let sets = unsafe { &mut *place };
                tell_sets(&encoder.sets, syntax, sps, sets.SPSBuffer, &mut sets.SPSBufSize)?;
                tell_sets(&encoder.sets, syntax, pps, sets.PPSBuffer, &mut sets.PPSBufSize)?;
            }
            if let Some(place) = list.place::<mfxExtCodingOptionVPS>() {
                // SAFETY: as above.
                let set = unsafe { &mut *place };
                tell_sets(&encoder.sets, syntax, 32, set.VPSBuffer, &mut set.VPSBufSize)?;
            }
            Ok(abi::ERR_NONE)
        }))
    }

    /// Counts.
    fn MFXVideoENCODE_GetEncodeStat(session: Handle, figures: Out<mfxEncodeStat>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, encoder| {
            let mut answer = mfxEncodeStat::zeroed();
            (answer.NumFrame, answer.NumBit) = (encoder.frames, encoder.bits);
            answer.NumCachedFrame = encoder.sources.len() as u32;
            if figures.put(answer) { Ok(abi::ERR_NONE) } else { Err(abi::ERR_NULL_PTR) }
        }))
    }

    /// Takes a surface, and begins to write a coded frame when one is there.
    fn MFXVideoENCODE_EncodeFrameAsync(session: Handle, control: In<mfxEncodeCtrl>, frame: *mut mfxFrameSurface1,
        stream: *mut mfxBitstream, point: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |session, encoder| {
            if stream.is_null() || point.is_null() {
                breach(&rules::NULL_POINTER, "bitstream or syncp");
                return Err(abi::ERR_NULL_PTR);
            }
            point.put(abi::NO_SYNC);
            session.fault(Place::EncodeCall)?;
            // SAFETY: not null; the client vouches for the rest.
            let stream = unsafe { &mut *stream };
            point.put(encoder.call(control.get(), frame, stream)?);
            Ok(abi::ERR_NONE)
        }))
    }

    /// A surface for an encoder.
    fn MFXMemory_GetSurfaceForEncode(session: Handle, frame: Out<*mut mfxFrameSurface1>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |session, encoder| {
            if frame.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            let video = encoder.parameters.IOPattern & abi::IOPATTERN_IN_VIDEO_MEMORY != 0;
            frame.put(surface::make(session.id, Pool::Encode, &encoder.surfaces, video)?);
            Ok(abi::ERR_NONE)
        }))
    }
}
