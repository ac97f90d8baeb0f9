//! `mfxStatus` as this project's errors.

use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};

/// An `mfxStatus` as it was returned: any number, known or not. Errors are below 0, warnings above.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) i32);

impl Status {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const UNKNOWN: Self = Self(-1);
    pub(crate) const UNSUPPORTED: Self = Self(-3);
    pub(crate) const MEMORY_ALLOC: Self = Self(-4);
    pub(crate) const NOT_ENOUGH_BUFFER: Self = Self(-5);
    pub(crate) const INVALID_HANDLE: Self = Self(-6);
    pub(crate) const LOCK_MEMORY: Self = Self(-7);
    pub(crate) const NOT_FOUND: Self = Self(-9);
    pub(crate) const MORE_DATA: Self = Self(-10);
    pub(crate) const MORE_SURFACE: Self = Self(-11);
    pub(crate) const DEVICE_LOST: Self = Self(-13);
    pub(crate) const INCOMPATIBLE_VIDEO_PARAM: Self = Self(-14);
    pub(crate) const INVALID_VIDEO_PARAM: Self = Self(-15);
    pub(crate) const UNDEFINED_BEHAVIOR: Self = Self(-16);
    pub(crate) const DEVICE_FAILED: Self = Self(-17);
    pub(crate) const GPU_HANG: Self = Self(-21);
    pub(crate) const REALLOC_SURFACE: Self = Self(-22);
    /// `MFX_WRN_IN_EXECUTION`.
    pub(crate) const IN_EXECUTION: Self = Self(1);
    /// `MFX_WRN_DEVICE_BUSY`.
    pub(crate) const DEVICE_BUSY: Self = Self(2);
    /// `MFX_WRN_PARTIAL_ACCELERATION`: some of the work is done on the CPU.
    pub(crate) const PARTIAL_ACCELERATION: Self = Self(4);
    /// `MFX_WRN_INCOMPATIBLE_VIDEO_PARAM`: something was corrected.
    pub(crate) const INCOMPATIBLE_PARAM_CORRECTED: Self = Self(5);
    /// `MFX_WRN_ALLOC_TIMEOUT_EXPIRED`: all surfaces of the pool are out.
    pub(crate) const ALLOC_TIMEOUT_EXPIRED: Self = Self(13);

    /// The status as an error of `call`; warnings are none.
    ///
    /// # Errors
    /// Every status below 0.
    pub(crate) fn ok(self, call: &'static str) -> Result<()> {
        if self.0 >= 0 { Ok(()) } else { Err(self.error(call)) }
    }

    /// Whether the same call may succeed a little later.
    pub(crate) const fn is_busy(self) -> bool {
        matches!(self, Self::DEVICE_BUSY | Self::ALLOC_TIMEOUT_EXPIRED)
    }

    /// Whether an operation that was waited for is not done yet.
    pub(crate) const fn is_pending(self) -> bool {
        matches!(self, Self::IN_EXECUTION) || self.is_busy()
    }

    /// Whether nothing works any more in the session that answered so.
    pub(crate) const fn is_lost(self) -> bool {
        matches!(self, Self::DEVICE_LOST | Self::DEVICE_FAILED | Self::GPU_HANG)
    }

    /// The error for this status.
    pub(crate) fn error(self, call: &'static str) -> Error {
        const BACKEND: BackendKind = BackendKind::Qsv;
        let detail = || format!("{call} answered {} ({})", self.message(), self.0);
        match self {
            _ if self.is_lost() => Error::DeviceLost { backend: BACKEND, detail: detail() },
            Self::MEMORY_ALLOC | Self::ALLOC_TIMEOUT_EXPIRED => Error::OutOfMemory {
                backend: BACKEND,
                what: detail(),
                remedy: "end other programs, let go of pictures sooner, or use smaller ones".into(),
            },
            Self::UNSUPPORTED | Self::INVALID_VIDEO_PARAM | Self::INCOMPATIBLE_VIDEO_PARAM | Self(-24) => {
                Error::Unsupported { feature: detail(), remedy: Remedy::OtherBackend }
            }
            Self(code) => Error::Backend {
                backend: BACKEND,
                call,
                code: i64::from(code),
                detail: self.message().to_owned(),
            },
        }
    }

    /// What it means, in words that help.
    pub(crate) const fn message(self) -> &'static str {
        match self.0 {
            0 => "no error",
            -1 => "an error that is not known",
            -2 => "a pointer is missing",
            -3 => "this is not supported by the GPU or its driver",
            -4 => "no memory",
            -5 => "a buffer is too small",
            -6 => "a handle is not valid",
            -7 => "memory cannot be locked",
            -8 => "nothing is initialised",
            -9 => "nothing found",
            -10 => "more data is needed",
            -11 => "another surface is needed",
            -12 => "the operation was given up",
            -13 => "the GPU is lost (reset, or its driver was unloaded)",
            -14 => "the parameters do not fit those that it was opened with",
            -15 => "the parameters are not valid",
            -16 => "wrong use",
            -17 => "the GPU or its driver failed",
            -18 => "another buffer is needed",
            -21 => "the GPU hangs",
            -22 => "a larger surface is needed",
            -23 => "the surface is mapped already",
            -24 => "the driver does not implement this",
            1 => "the operation is not done yet",
            2 => "the GPU is busy",
            3 => "the parameters have changed",
            4 => "a part of the work is done on the CPU",
            5 => "parameters were corrected",
            6 => "the value was not changed",
            7 => "a value is out of range",
            10 => "a filter was left out",
            12 => "a part of the output",
            13 => "no surface of the pool became free",
            _ => "an error that is not known",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart_by_what_can_be_done() {
        let error = |code: i32| Status(code).error("MFXCall");
        for code in [-13, -17, -21] {
            assert!(matches!(error(code), Error::DeviceLost { .. }), "{code}");
        }
        assert!(matches!(error(-4), Error::OutOfMemory { .. }));
        assert!(matches!(error(13), Error::OutOfMemory { .. }));
        for code in [-3, -14, -15, -24] {
            assert!(matches!(error(code), Error::Unsupported { remedy: Remedy::OtherBackend, .. }), "{code}");
        }
        assert!(matches!(error(-12), Error::Backend { code: -12, call: "MFXCall", .. }));
        assert!(error(-21).to_string().contains("MFXCall answered the GPU hangs (-21)"));
        assert!(Status(5).ok("MFXCall").is_ok() && Status(0).ok("MFXCall").is_ok());
        assert!(Status(-1).ok("MFXCall").is_err());
        assert!(Status(2).is_busy() && Status(13).is_busy() && !Status(1).is_busy());
    }

    #[test]
    fn statuses_that_are_told_apart_have_words() {
        for code in -1000..1000 {
            let known = !matches!(Status(code).error("MFXCall"), Error::Backend { .. });
            assert!(!known || !Status(code).message().contains("not known"), "{code}");
        }
    }
}
