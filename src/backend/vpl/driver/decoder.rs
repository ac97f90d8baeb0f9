//! `MFXVideoDECODE`: bytes in, surfaces out in display order.

use std::ptr;
use std::sync::Arc;

use super::abi::names::{BITSTREAM_COMPLETE_FRAME, IOPATTERN_OUT_SYSTEM_MEMORY, IOPATTERN_OUT_VIDEO_MEMORY};
use super::abi::{Bitstream, FrameInfo, Handle, VideoParam};
use super::calling;
use super::frames::Surface;
use super::session::{Session, SyncPoint};
use super::status::Status;
use crate::error::Result;

/// What a stream is, in the runtime's words.
pub(crate) struct Parameters(VideoParam);

// SAFETY: plain numbers: extensions, which are pointers, have no part in it.
unsafe impl Send for Parameters {}

impl Parameters {
    /// Of a codec, for pictures in video memory or the host's, with so many operations in flight.
    pub(crate) fn new(codec: u32, in_video_memory: bool, depth: u16) -> Self {
        let mut parameters = VideoParam { async_depth: depth, ..VideoParam::default() };
        parameters.io_pattern =
            if in_video_memory { IOPATTERN_OUT_VIDEO_MEMORY } else { IOPATTERN_OUT_SYSTEM_MEMORY };
        parameters.coding_mut().codec_id = codec;
        Self(parameters)
    }

    pub(crate) const fn frame(&self) -> &FrameInfo {
        &self.0.coding().frame_info
    }

    pub(crate) const fn frame_mut(&mut self) -> &mut FrameInfo {
        &mut self.0.coding_mut().frame_info
    }

    pub(crate) const fn set_profile(&mut self, profile: u16) {
        self.0.coding_mut().profile = profile;
    }

    /// Whether the GPU decodes this as it stands.
    pub(crate) fn are_taken(&self, session: &Session) -> bool {
        let mut answer = self.0;
        let query = session.api().functions.MFXVideoDECODE_Query;
        // SAFETY: a session, and two structures without extensions.
        let status = calling("MFXVideoDECODE_Query", || unsafe {
            query(session.handle(), &raw const self.0, &raw mut answer)
        });
        let kept = answer.coding();
        // What is corrected besides is nothing that was asked for.
        matches!(status, Status::NONE | Status::INCOMPATIBLE_PARAM_CORRECTED)
            && kept.codec_id == self.0.coding().codec_id
            && kept.frame_info.fourcc == self.frame().fourcc
            && kept.frame_info.width == self.frame().width
            && kept.frame_info.height == self.frame().height
    }

    /// Reads the headers at the beginning of a unit; whether they are there.
    ///
    /// # Errors
    /// Headers of what is not decoded.
    pub(crate) fn read(&mut self, session: &Session, unit: &[u8]) -> Result<bool> {
        const CALL: &str = "MFXVideoDECODE_DecodeHeader";
        let mut stream = bitstream(unit, 0);
        let (io_pattern, async_depth) = (self.0.io_pattern, self.0.async_depth);
        let read = session.api().functions.MFXVideoDECODE_DecodeHeader;
        // SAFETY: a session, a bitstream that is alive and only read, and parameters without extensions.
        let status = calling(CALL, || unsafe { read(session.handle(), &raw mut stream, &raw mut self.0) });
        // The stream has no say in these, and no extension buffer was given.
        self.0 =
            VideoParam { io_pattern, async_depth, ext_param: ptr::null_mut(), num_ext_param: 0, ..self.0 };
        if status == Status::MORE_DATA {
            return Ok(false);
        }
        status.ok(CALL).map(|()| true)
    }
}

/// The bytes of a unit, whole. The runtime is given a pointer that it could write through, and only reads.
fn bitstream(unit: &[u8], timestamp: u64) -> Bitstream {
    let length = u32::try_from(unit.len()).unwrap_or(u32::MAX);
    Bitstream {
        data: unit.as_ptr().cast_mut(),
        data_length: length,
        max_length: length,
        timestamp,
        data_flag: BITSTREAM_COMPLETE_FRAME,
        ..Bitstream::default()
    }
}

/// A decoder that is open.
#[derive(Debug)]
pub(crate) struct Decoder {
    session: Arc<Session>,
}

/// What comes of a call.
#[derive(Debug)]
pub(crate) enum Step {
    /// The next picture, which is there when the operation is done.
    Picture(Surface, SyncPoint),
    /// The unit is in, and nothing more comes out for now; at the end: everything has come out.
    Done,
    /// The GPU has as much to do as it takes, or no surface is free.
    Busy,
    /// The unit begins a sequence for which the decoder has to be opened anew; it was not taken.
    Incompatible,
}

/// A unit on its way in.
pub(crate) struct Feed<'unit> {
    stream: Bitstream,
    _unit: &'unit [u8],
}

impl<'unit> Feed<'unit> {
    /// With the timestamp that its picture is to carry.
    pub(crate) fn new(unit: &'unit [u8], timestamp: u64) -> Self {
        Self { stream: bitstream(unit, timestamp), _unit: unit }
    }
}

impl Decoder {
    /// Opens a decoder; whether some of its work is done on the CPU comes with it.
    ///
    /// # Errors
    /// What the GPU does not decode.
    pub(crate) fn open(session: &Arc<Session>, parameters: &Parameters) -> Result<(Self, bool)> {
        const CALL: &str = "MFXVideoDECODE_Init";
        let init = session.api().functions.MFXVideoDECODE_Init;
        // SAFETY: a session, and parameters without extensions.
        let status = calling(CALL, || unsafe { init(session.handle(), &raw const parameters.0) });
        status.ok(CALL)?;
        Ok((Self { session: Arc::clone(session) }, status == Status::PARTIAL_ACCELERATION))
    }

    /// Makes it as it was when it was opened, after it was drained.
    ///
    /// # Errors
    /// The runtime refuses.
    pub(crate) fn reset(&mut self, parameters: &Parameters) -> Result<()> {
        const CALL: &str = "MFXVideoDECODE_Reset";
        let reset = self.session.api().functions.MFXVideoDECODE_Reset;
        // SAFETY: as in `open`.
        calling(CALL, || unsafe { reset(self.session.handle(), &raw const parameters.0) }).ok(CALL)
    }

    /// One step with a unit, or without one towards the end of what is inside.
    ///
    /// # Errors
    /// The device is lost; no memory.
    pub(crate) fn step(&mut self, feed: Option<&mut Feed<'_>>) -> Result<Step> {
        const CALL: &str = "MFXVideoDECODE_DecodeFrameAsync";
        let stream = feed.map_or(ptr::null_mut(), |feed| &raw mut feed.stream);
        let decode = self.session.api().functions.MFXVideoDECODE_DecodeFrameAsync;
        // As often as the answer is that the call is to be made again.
        for _ in 0..AGAIN {
            let (mut frame, mut point): (_, Handle) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: a session with a decoder, null or a bitstream that is alive, no working surface, and room for what
            // comes out.
            let (status, surface) = calling(CALL, || unsafe {
                let status =
                    decode(self.session.handle(), stream, ptr::null_mut(), &raw mut frame, &raw mut point);
                // A surface that comes is ours, also with a warning; what an error leaves there is nobody's.
                let frame = if status.0 >= 0 { frame } else { ptr::null_mut() };
                (status, Surface::of(frame, &self.session))
            });
            match (status, surface) {
                (status, Some(surface)) if status.0 >= 0 && !point.is_null() => {
                    return Ok(Step::Picture(surface, SyncPoint(point)));
                }
                (Status::MORE_DATA, _) => return Ok(Step::Done),
                (status, _) if status.is_busy() => return Ok(Step::Busy),
                (Status::INCOMPATIBLE_VIDEO_PARAM | Status::REALLOC_SURFACE, _) if !stream.is_null() => {
                    return Ok(Step::Incompatible);
                }
                // Parameters that matter to nobody here, or nothing to be seen of it yet.
                (status, _) if status.0 >= 0 || status == Status::MORE_SURFACE => {}
                (status, _) => return Err(status.error(CALL)),
            }
        }
        Err(Status::UNKNOWN.error(CALL))
    }
}

/// How often a call is made that is answered with nothing.
const AGAIN: usize = 64;

impl Drop for Decoder {
    fn drop(&mut self) {
        let close = self.session.api().functions.MFXVideoDECODE_Close;
        // SAFETY: a session with a decoder, which nobody uses afterwards.
        calling("MFXVideoDECODE_Close", || unsafe { close(self.session.handle()) });
    }
}
