//! `mfxVideoParam` with its extension buffers.

use std::ptr;

use super::abi::{ExtBuffer, Extension, VideoParam};

/// An extension buffer of whatever kind.
trait Buffer: Send {
    fn header(&mut self) -> *mut ExtBuffer;
}

impl<E: Extension + Send> Buffer for E {
    fn header(&mut self) -> *mut ExtBuffer {
        ptr::from_mut(self).cast()
    }
}

/// Parameters that own what hangs on them.
pub(crate) struct Parameters {
    video: VideoParam,
    extensions: Vec<Box<dyn Buffer>>,
    /// Where those are, during a call.
    list: Vec<*mut ExtBuffer>,
}

// SAFETY: the pointers are written before each call and point to what is owned.
unsafe impl Send for Parameters {}

impl Parameters {
    pub(crate) const fn new(video: VideoParam) -> Self {
        Self { video, extensions: Vec::new(), list: Vec::new() }
    }

    pub(crate) fn attach<E: Extension + Send + 'static>(&mut self, extension: E) {
        self.extensions.push(Box::new(extension));
    }

    pub(crate) const fn video(&self) -> &VideoParam {
        &self.video
    }

    /// For a call, which reads them and may write to them.
    pub(super) fn as_mut_ptr(&mut self) -> *mut VideoParam {
        self.list = self.extensions.iter_mut().map(|extension| extension.header()).collect();
        self.video.ext_param = self.list.as_mut_ptr();
        self.video.num_ext_param = u16::try_from(self.list.len()).unwrap_or(0);
        &raw mut self.video
    }
}
