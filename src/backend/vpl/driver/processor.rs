//! `MFXVideoVPP`: pictures of another size or format, made on the GPU.

use std::ptr;
use std::sync::Arc;

use super::abi::names::{IOPATTERN_IN_VIDEO_MEMORY, IOPATTERN_OUT_VIDEO_MEMORY, SCALING_MODE_QUALITY};
use super::abi::{FrameInfo, VideoParam, VppScaling};
use super::calling;
use super::frames::Surface;
use super::parameters::Parameters;
use super::session::{Session, while_busy};
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Result};

/// The first version with `MFXVideoVPP_ProcessFrameAsync`.
const PROCESSES: (u16, u16) = (2, 1);

/// A processor that is open.
#[derive(Debug)]
pub(crate) struct Processor {
    session: Arc<Session>,
}

impl Processor {
    /// Opens a processor for surfaces in video memory.
    ///
    /// # Errors
    /// What the GPU does not do, or not whole; a runtime that is too old.
    pub(crate) fn open(session: &Arc<Session>, input: FrameInfo, output: FrameInfo) -> Result<Self> {
        const CALL: &str = "MFXVideoVPP_Init";
        let (major, minor) = session.adapter().version;
        if (major, minor) < PROCESSES {
            let feature = format!("video processing by version {major}.{minor} of oneVPL");
            return Err(Error::unsupported(feature));
        }
        let mut video = VideoParam {
            io_pattern: IOPATTERN_IN_VIDEO_MEMORY | IOPATTERN_OUT_VIDEO_MEMORY,
            async_depth: 1,
            ..VideoParam::default()
        };
        (video.processing_mut().input, video.processing_mut().output) = (input, output);
        let mut parameters = Parameters::new(video);
        parameters.attach(VppScaling { mode: SCALING_MODE_QUALITY, ..VppScaling::default() });
        let place = parameters.as_mut_ptr();
        let init = session.api().functions.MFXVideoVPP_Init;
        // SAFETY: a session, and parameters that own their extensions.
        let status = calling(CALL, || unsafe { init(session.handle(), place) });
        status.ok(CALL)?;
        let processor = Self { session: Arc::clone(session) };
        if matches!(status, Status::NONE | Status::PARTIAL_ACCELERATION) {
            Ok(processor)
        } else {
            Err(Error::unsupported(format!("{CALL}: {}", status.message())))
        }
    }

    /// Makes the picture, and waits for it.
    ///
    /// # Errors
    /// No memory; a lost device.
    pub(crate) fn process(&mut self, surface: &Surface) -> Result<Surface> {
        const CALL: &str = "MFXVideoVPP_ProcessFrameAsync";
        let process = self.session.api().functions.MFXVideoVPP_ProcessFrameAsync;
        let mut made = ptr::null_mut();
        // SAFETY: a session with a processor, a surface that is alive, and room for a pointer.
        let status =
            while_busy(CALL, || unsafe { process(self.session.handle(), surface.as_ptr(), &raw mut made) });
        status.ok(CALL)?;
        // SAFETY: the reference is ours.
        let made = unsafe { Surface::of(made, &self.session) }.ok_or_else(|| Error::Backend {
            backend: BackendKind::Qsv,
            call: CALL,
            code: 0,
            detail: "no surface came".to_owned(),
        })?;
        made.synchronize().map(|()| made)
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let close = self.session.api().functions.MFXVideoVPP_Close;
        // SAFETY: a session with a processor, which nobody uses afterwards.
        calling("MFXVideoVPP_Close", || unsafe { close(self.session.handle()) });
    }
}
