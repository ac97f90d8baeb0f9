//! `MFXVideoVPP_*`: scaling and colour formats. And the functions of decoding with processing in one, which are not there.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::json;

use super::session::{self, Session};
use super::surface::{self, Pool};
use super::task::{self, Task};
use crate::abi::{
    self, FOURCC_NV12, FOURCC_P010, FOURCC_RGB4, Handle, Status, mfxFrameAllocRequest, mfxFrameInfo,
    mfxFrameSurface1, mfxVPPStat, mfxVideoParam,
};
use crate::core::fault::{self, Place};
use crate::core::report::locked;
use crate::core::{In, Out, breach, config, exports, rules};

/// Operations in flight where the client does not say.
const DEPTH: u16 = 4;

/// A processor that is initialised.
pub struct Processor {
    session: usize,
    parameters: mfxVideoParam,
    flying: VecDeque<Arc<Task>>,
    frames: u32,
}

// SAFETY: the parameters' lists are not kept; what is left are numbers.
unsafe impl Send for Processor {}

fn frame_fits(info: &mut mfxFrameInfo) -> bool {
    let known = matches!(info.FourCC, FOURCC_NV12 | FOURCC_P010 | FOURCC_RGB4);
    if !known {
        info.FourCC = 0;
    }
    let inside = u32::from(info.CropX) + u32::from(info.CropW) <= info.Width.into()
        && u32::from(info.CropY) + u32::from(info.CropH) <= info.Height.into();
    known && inside && super::decode::aligned(info.Width, info.Height, info.PicStruct)
}

fn check(parameters: &mut mfxVideoParam) -> Result<Status, Status> {
    let vpp = parameters.vpp_mut();
    let fits = frame_fits(&mut vpp.In) & frame_fits(&mut vpp.Out);
    if !fits {
        return Err(abi::ERR_UNSUPPORTED);
    }
    let cross = |one: &mfxFrameInfo, other: &mfxFrameInfo| {
        u64::from(one.FrameRateExtN) * u64::from(other.FrameRateExtD)
    };
    // Rates are not converted.
    let skipped = cross(&vpp.In, &vpp.Out) != cross(&vpp.Out, &vpp.In);
    Ok(if skipped { abi::WRN_FILTER_SKIPPED } else { abi::ERR_NONE })
}

impl Processor {
    fn video(&self, output: bool) -> bool {
        let bit = if output { abi::IOPATTERN_OUT_VIDEO_MEMORY } else { abi::IOPATTERN_IN_VIDEO_MEMORY };
        self.parameters.IOPattern & bit != 0
    }

    fn look_at(frame: *mut mfxFrameSurface1, wanted: &mfxFrameInfo) -> Result<(), Status> {
        if !surface::usable(frame) {
            return Err(abi::ERR_INVALID_HANDLE);
        }
        // SAFETY: the client's surface, which was looked at.
        let given = unsafe { (*frame).Info };
        if given.FourCC != wanted.FourCC || given.Width < wanted.Width || given.Height < wanted.Height {
            breach(
                &rules::SURFACE_FORMAT,
                format!("{}x{}, and not {}x{}", given.Width, given.Height, wanted.Width, wanted.Height),
            );
            return Err(abi::ERR_INVALID_VIDEO_PARAM);
        }
        Ok(())
    }

    /// Begins to fill `out` from `from`.
    fn run(&mut self, from: *mut mfxFrameSurface1, out: *mut mfxFrameSurface1) -> Result<Arc<Task>, Status> {
        self.flying.retain(|task| !task.is_ready());
        let depth = if self.parameters.AsyncDepth == 0 { DEPTH } else { self.parameters.AsyncDepth };
        if self.flying.len() >= usize::from(depth) {
            return Err(abi::WRN_DEVICE_BUSY);
        }
        let vpp = *self.parameters.vpp();
        Self::look_at(from, &vpp.In)?;
        Self::look_at(out, &vpp.Out)?;
        // SAFETY: the client's surface, which was looked at.
        if !surface::is_ours(out) && unsafe { (*out).Data.Locked } > 0 {
            breach(&rules::SURFACE_LOCKED, "surface for output");
            return Err(abi::ERR_LOCK_MEMORY);
        }
        let after = surface::pending(from);
        if let Some(task) = &after {
            let status = task.finish();
            if status < 0 {
                return Err(status);
            }
        }
        let picture = surface::with_view(from, self.session, None, |view| view.load())?;
        let crop = [vpp.Out.CropX, vpp.Out.CropY, vpp.Out.CropW, vpp.Out.CropH];
        // SAFETY: as above.
        unsafe {
            let info = &mut (*out).Info;
            [info.CropX, info.CropY, info.CropW, info.CropH] = crop;
            (info.PicStruct, info.FrameRateExtN, info.FrameRateExtD) =
                ((*from).Info.PicStruct, vpp.Out.FrameRateExtN, vpp.Out.FrameRateExtD);
            (*out).Data.TimeStamp = (*from).Data.TimeStamp;
            (*out).Data.FrameOrder = (*from).Data.FrameOrder;
        }
        surface::hold(from);
        surface::hold(out);
        let ordered = fault::next(Place::Vpp).map(|(status, _)| status);
        let (session, from, target) = (self.session, surface::Held::taken(from), surface::Held::taken(out));
        let finish = move || {
            let out = target.frame();
            let stored = surface::with_view(out, session, Some(crop), |view| view.store(&picture));
            surface::filled(out);
            drop(from);
            ordered.or(stored.err()).unwrap_or(abi::ERR_NONE)
        };
        let (time, ours) = (config().settings.vpp_time, surface::is_ours(out));
        let task = match ordered {
            Some(fault::NEVER) => Task::never(self.session, 2, Box::new(finish)),
            _ => Task::begin(self.session, 2, time, after.as_ref(), ours, Box::new(finish)),
        };
        surface::fill_by(out, &task);
        self.flying.push_back(task.clone());
        self.frames += 1;
        Ok(task)
    }
}

/// Closes the processor, if there is one.
pub fn close(session: &Session) -> Option<()> {
    let processor = locked(&session.vpp).take()?;
    let vpp = processor.parameters.vpp();
    let figures = json!({
        "frames": processor.frames,
        "from": [vpp.In.Width, vpp.In.Height], "to": [vpp.Out.Width, vpp.Out.Height],
        "unfinished": task::drop_component(session.id, 2),
    });
    session::report(session.id, "vpp", figures);
    Some(())
}

fn with<R>(
    session: Handle,
    with: impl FnOnce(&Session, &mut Processor) -> Result<R, Status>,
) -> Result<R, Status> {
    let session = session::of(session)?;
    let mut processor = locked(&session.vpp);
    let Some(processor) = processor.as_mut() else {
        breach(&rules::NOT_INITIALIZED, "processing");
        return Err(abi::ERR_NOT_INITIALIZED);
    };
    with(&session, processor)
}

fn status(result: Result<Status, Status>) -> Status {
    result.unwrap_or_else(|status| status)
}

fn init(session: &Session, parameters: In<mfxVideoParam>, again: bool) -> Result<Status, Status> {
    let mut parameters = parameters.get().ok_or(abi::ERR_NULL_PTR)?;
    let ordered = session.ready(config().settings.init_vpp)?;
    for info in [&parameters.vpp().In, &parameters.vpp().Out] {
        if !super::decode::aligned(info.Width, info.Height, info.PicStruct) {
            breach(&rules::ALIGNMENT, format!("{}x{}", info.Width, info.Height));
            return Err(abi::ERR_INVALID_VIDEO_PARAM);
        }
        if info.FrameRateExtN == 0 || info.FrameRateExtD == 0 {
            return Err(abi::ERR_INVALID_VIDEO_PARAM);
        }
    }
    let checked = check(&mut parameters).map_err(|_| abi::ERR_INVALID_VIDEO_PARAM)?;
    let input = parameters.IOPattern & (abi::IOPATTERN_IN_SYSTEM_MEMORY | abi::IOPATTERN_IN_VIDEO_MEMORY);
    let output = parameters.IOPattern & (abi::IOPATTERN_OUT_SYSTEM_MEMORY | abi::IOPATTERN_OUT_VIDEO_MEMORY);
    if input.count_ones() != 1
        || output.count_ones() != 1
        || parameters.vpp().In.Width == 0
        || parameters.vpp().Out.Width == 0
    {
        return Err(abi::ERR_INVALID_VIDEO_PARAM);
    }
    (parameters.ExtParam, parameters.NumExtParam) = (std::ptr::null_mut(), 0);
    let mut place = locked(&session.vpp);
    match (place.is_some(), again) {
        (true, false) => {
            breach(&rules::INIT_TWICE, "processing");
            return Err(abi::ERR_UNDEFINED_BEHAVIOR);
        }
        (false, true) => {
            breach(&rules::NOT_INITIALIZED, "processing");
            return Err(abi::ERR_NOT_INITIALIZED);
        }
        _ => *place = Some(Processor { session: session.id, parameters, flying: VecDeque::new(), frames: 0 }),
    }
    Ok(if checked == abi::ERR_NONE { ordered } else { checked })
}

fn surface_for(session: Handle, pool: Pool, frame: Out<*mut mfxFrameSurface1>) -> Status {
    status(with(session, |session, processor| {
        if frame.is_null() {
            return Err(abi::ERR_NULL_PTR);
        }
        let output = pool == Pool::VppOut;
        let vpp = processor.parameters.vpp();
        let info = if output { vpp.Out } else { vpp.In };
        frame.put(surface::make(session.id, pool, &info, processor.video(output))?);
        Ok(abi::ERR_NONE)
    }))
}

exports! {
    /// Says what can be processed.
    fn MFXVideoVPP_Query(session: Handle, wanted: In<mfxVideoParam>, answer: *mut mfxVideoParam) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|_| {
            if answer.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            let answer = unsafe { &mut *answer };
            let lists = (answer.ExtParam, answer.NumExtParam);
            let Some(mut checked) = wanted.get() else {
                (answer.AsyncDepth, answer.IOPattern) = (1, 1);
                for info in { let vpp = answer.vpp_mut(); [&mut vpp.In, &mut vpp.Out] } {
                    (info.FourCC, info.Width, info.Height, info.CropW, info.CropH) = (1, 1, 1, 1, 1);
                }
                return Ok(abi::ERR_NONE);
            };
            let result = check(&mut checked);
            *answer = checked;
            (answer.ExtParam, answer.NumExtParam) = lists;
            result
        }))
    }

    /// How many surfaces are needed, before and behind.
    fn MFXVideoVPP_QueryIOSurf(session: Handle, parameters: In<mfxVideoParam>, requests: *mut mfxFrameAllocRequest) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|_| {
            let parameters = parameters.get().ok_or(abi::ERR_NULL_PTR)?;
            if requests.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            let depth = if parameters.AsyncDepth == 0 { DEPTH } else { parameters.AsyncDepth };
            let vpp = parameters.vpp();
            let ends = [
                (vpp.In, Pool::VppIn, abi::IOPATTERN_IN_VIDEO_MEMORY),
                (vpp.Out, Pool::VppOut, abi::IOPATTERN_OUT_VIDEO_MEMORY),
            ];
            for (at, (info, pool, bit)) in ends.into_iter().enumerate() {
                let mut answer = mfxFrameAllocRequest::zeroed();
                answer.Info = info;
                answer.Type = surface::memory_type(pool, parameters.IOPattern & bit != 0) | abi::MEMTYPE_EXTERNAL_FRAME;
                (answer.NumFrameMin, answer.NumFrameSuggested) = (depth, depth);
                // SAFETY: there are two, as the interface says.
                unsafe { *requests.add(at) = answer };
            }
            Ok(abi::ERR_NONE)
        }))
    }

    /// Makes the processor.
    fn MFXVideoVPP_Init(session: Handle, parameters: In<mfxVideoParam>) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| init(&session, parameters, false)))
    }

    /// Makes it anew.
    fn MFXVideoVPP_Reset(session: Handle, parameters: In<mfxVideoParam>) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).and_then(|session| init(&session, parameters, true)))
    }

    /// Ends it.
    fn MFXVideoVPP_Close(session: Handle) -> Status = abi::ERR_UNKNOWN; {
        status(session::of(session).map(|session| match close(&session) {
            Some(()) => abi::ERR_NONE,
            None => abi::ERR_NOT_INITIALIZED,
        }))
    }

    /// What the processor works with.
    fn MFXVideoVPP_GetVideoParam(session: Handle, parameters: *mut mfxVideoParam) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, processor| {
            if parameters.is_null() {
                return Err(abi::ERR_NULL_PTR);
            }
            // SAFETY: not null; the client vouches for the rest.
            let answer = unsafe { &mut *parameters };
            let lists = (answer.ExtParam, answer.NumExtParam);
            *answer = processor.parameters;
            (answer.ExtParam, answer.NumExtParam) = lists;
            Ok(abi::ERR_NONE)
        }))
    }

    /// Counts.
    fn MFXVideoVPP_GetVPPStat(session: Handle, figures: Out<mfxVPPStat>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |_, processor| {
            let mut answer = mfxVPPStat::zeroed();
            answer.NumFrame = processor.frames;
            if figures.put(answer) { Ok(abi::ERR_NONE) } else { Err(abi::ERR_NULL_PTR) }
        }))
    }

    /// Begins to process a frame into a surface of the client's.
    fn MFXVideoVPP_RunFrameVPPAsync(session: Handle, from: *mut mfxFrameSurface1, out: *mut mfxFrameSurface1, aux: Handle,
        point: Out<Handle>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |session, processor| {
            if point.is_null() || out.is_null() {
                breach(&rules::NULL_POINTER, "surface or syncp");
                return Err(abi::ERR_NULL_PTR);
            }
            point.put(abi::NO_SYNC);
            session.fault(Place::VppCall)?;
            if from.is_null() {
                return Err(abi::ERR_MORE_DATA);
            }
            point.put(processor.run(from, out)?.point());
            Ok(abi::ERR_NONE)
        }))
    }

    /// The same into a surface of the runtime's.
    fn MFXVideoVPP_ProcessFrameAsync(session: Handle, from: *mut mfxFrameSurface1, out: Out<*mut mfxFrameSurface1>) -> Status = abi::ERR_UNKNOWN; {
        status(with(session, |session, processor| {
            if out.is_null() {
                breach(&rules::NULL_POINTER, "surface");
                return Err(abi::ERR_NULL_PTR);
            }
            session.fault(Place::VppCall)?;
            if from.is_null() {
                return Err(abi::ERR_MORE_DATA);
            }
            let info = processor.parameters.vpp().Out;
            let made = surface::make(session.id, Pool::VppOut, &info, processor.video(true))?;
            match processor.run(from, made) {
                Ok(_) => {
                    out.put(made);
                    Ok(abi::ERR_NONE)
                }
                Err(status) => {
                    surface::discard(made);
                    Err(status)
                }
            }
        }))
    }

    /// A surface to be processed.
    fn MFXMemory_GetSurfaceForVPP(session: Handle, frame: Out<*mut mfxFrameSurface1>) -> Status = abi::ERR_UNKNOWN; {
        surface_for(session, Pool::VppIn, frame)
    }

    /// A surface for what was processed.
    fn MFXMemory_GetSurfaceForVPPOut(session: Handle, frame: Out<*mut mfxFrameSurface1>) -> Status = abi::ERR_UNKNOWN; {
        surface_for(session, Pool::VppOut, frame)
    }

    /// Not there.
    fn MFXVideoDECODE_VPP_Init(session: Handle, decoding: In<mfxVideoParam>, channels: Handle, count: u32) -> Status = abi::ERR_UNKNOWN; {
        abi::ERR_NOT_IMPLEMENTED
    }

    /// Not there.
    fn MFXVideoDECODE_VPP_DecodeFrameAsync(session: Handle, stream: Handle, skip: Handle, count: u32, out: Handle) -> Status = abi::ERR_UNKNOWN; {
        abi::ERR_NOT_IMPLEMENTED
    }

    /// Not there.
    fn MFXVideoDECODE_VPP_Reset(session: Handle, decoding: In<mfxVideoParam>, channels: Handle, count: u32) -> Status = abi::ERR_UNKNOWN; {
        abi::ERR_NOT_IMPLEMENTED
    }

    /// Not there.
    fn MFXVideoDECODE_VPP_GetChannelParam(session: Handle, channel: Handle, number: u32) -> Status = abi::ERR_UNKNOWN; {
        abi::ERR_NOT_IMPLEMENTED
    }

    /// Not there.
    fn MFXVideoDECODE_VPP_Close(session: Handle) -> Status = abi::ERR_UNKNOWN; {
        abi::ERR_NOT_IMPLEMENTED
    }
}
