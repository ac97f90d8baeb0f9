//! CUDA's result codes as this project's errors.

use crate::backend::BackendKind;
use crate::error::{Error, Result};

/// A code as the driver returned it: any number, known or not.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CuResult(pub(crate) u32);

impl CuResult {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const OUT_OF_MEMORY: Self = Self(2);
    pub(crate) const STUB_LIBRARY: Self = Self(34);
    pub(crate) const NO_DEVICE: Self = Self(100);
    pub(crate) const NOT_READY: Self = Self(600);
    pub(crate) const NOT_SUPPORTED: Self = Self(801);

    /// Whether the device or the context is gone for good: nothing on it will ever succeed again.
    pub(crate) const fn is_device_lost(self) -> bool {
        matches!(
            self.0,
            // Device unavailable, uncorrectable memory error, illegal address, launch failed, hardware stack
            // error, illegal instruction, misaligned address, invalid address space, invalid program counter,
            // context destroyed: sticky errors that only a new context, often a new process, gets rid of.
            46 | 214 | 700 | 709 | 714 | 715 | 716 | 717 | 718 | 719 | 999
        )
    }

    /// The code as an error of `call`.
    ///
    /// # Errors
    /// Every code but success.
    pub(crate) fn ok(self, call: &'static str) -> Result<()> {
        if self == Self::SUCCESS {
            return Ok(());
        }
        Err(self.error(call))
    }

    /// The error for this code.
    pub(crate) fn error(self, call: &'static str) -> Error {
        let message = self.message();
        if self.is_device_lost() {
            return Error::DeviceLost {
                backend: BackendKind::Nvidia,
                detail: format!("{call} answered {message} ({})", self.0),
            };
        }
        Error::Backend {
            backend: BackendKind::Nvidia,
            call,
            code: i64::from(self.0),
            detail: message.to_owned(),
        }
    }

    /// What the code means, in words that help. The driver's own texts are not asked for: they may be what failed.
    pub(crate) const fn message(self) -> &'static str {
        match self.0 {
            1 => "invalid value",
            2 => "out of device memory",
            3 => "driver not initialised",
            4 => "driver shutting down",
            34 => "this libcuda is the toolkit's stub, not a driver",
            46 => "device unavailable",
            100 => "no CUDA device",
            101 => "no such device",
            200 => "invalid module image",
            201 => "invalid context",
            205 => "mapping failed",
            211 => "not mapped",
            214 => "uncorrectable memory error",
            218 => "invalid PTX",
            222 => "the driver is too old for this PTX",
            300 => "invalid source",
            400 => "invalid handle",
            500 => "not found",
            600 => "not ready",
            700 => "illegal address",
            709 => "context destroyed",
            719 => "launch failed",
            801 => "not supported by this device",
            802 => "system not ready (the fabric manager is not running)",
            803 => "kernel driver and user library do not match",
            804 => "this card does not support forward compatibility",
            999 => "unknown error",
            _ => "error",
        }
    }
}
