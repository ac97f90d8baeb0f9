//! The encoder's status codes as this project's errors.

use super::nvenc_abi::NvStatus;
use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};

impl NvStatus {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const NO_ENCODE_DEVICE: Self = Self(1);
    pub(crate) const UNSUPPORTED_DEVICE: Self = Self(2);
    pub(crate) const DEVICE_NOT_EXIST: Self = Self(5);
    pub(crate) const OUT_OF_MEMORY: Self = Self(10);
    pub(crate) const INVALID_VERSION: Self = Self(15);
    pub(crate) const NEED_MORE_INPUT: Self = Self(17);
    pub(crate) const ENCODER_BUSY: Self = Self(18);
    pub(crate) const INCOMPATIBLE_CLIENT_KEY: Self = Self(21);

    /// The code as an error of `call`.
    ///
    /// # Errors
    /// Every code but success.
    pub(crate) fn ok(self, call: &'static str) -> Result<()> {
        if self == Self::SUCCESS { Ok(()) } else { Err(self.error(call)) }
    }

    /// The error for this code, wherever it comes from but opening a session.
    pub(crate) fn error(self, call: &'static str) -> Error {
        let (backend, message) = (BackendKind::Nvidia, self.message());
        match self {
            Self::DEVICE_NOT_EXIST => {
                Error::DeviceLost { backend, detail: format!("{call} answered {message} ({})", self.0) }
            }
            Self::OUT_OF_MEMORY => Error::OutOfMemory {
                backend,
                what: format!("{call} found no device memory"),
                remedy: Remedy::LessDeviceMemory,
            },
            _ => Error::Backend { backend, call, code: i64::from(self.0), detail: message.to_owned() },
        }
    }

    /// The error when a session is opened: what the code means there, and what to do.
    pub(crate) fn open_error(self) -> Error {
        let backend = BackendKind::Nvidia;
        let unavailable = |reason: &str, remedy: Remedy| Error::Unavailable {
            backend,
            reason: format!("{reason} (nvEncOpenEncodeSessionEx answered {})", self.0),
            remedy,
        };
        match self {
            Self::NO_ENCODE_DEVICE | Self::UNSUPPORTED_DEVICE => unavailable(
                "this GPU has no encoder, or the container may not use it",
                Remedy::OtherDevice(
                    "use a GPU with NVENC (GeForce, RTX, T4, L4, L40 have it; A100, H100, H200 do not); start containers with \
                     NVIDIA_DRIVER_CAPABILITIES=compute,video,utility"
                        .into(),
                ),
            ),
            Self::INVALID_VERSION => {
                unavailable("the encoder library does not speak this API version", UPDATE_DRIVER)
            }
            // Older drivers answer out of memory, newer ones an incompatible client key.
            Self::OUT_OF_MEMORY | Self::INCOMPATIBLE_CLIENT_KEY => Error::SessionLimit {
                backend,
                detail: format!("nvEncOpenEncodeSessionEx answered {} ({})", self.message(), self.0),
                sessions: None,
            },
            _ => self.error("nvEncOpenEncodeSessionEx"),
        }
    }

    /// What the code means. The driver's own text needs a session, which may be what failed.
    const fn message(self) -> &'static str {
        match self.0 {
            1 => "no device that can encode",
            2 => "device not supported",
            3 => "invalid encoder device",
            4 => "invalid device",
            5 => "the device does not exist any more",
            6 => "invalid pointer",
            8 => "invalid parameter",
            9 => "invalid call",
            10 => "out of memory",
            11 => "encoder not initialised",
            12 => "unsupported parameter",
            13 => "lock busy",
            14 => "not enough buffer",
            15 => "invalid version",
            16 => "mapping failed",
            17 => "needs more input",
            18 => "encoder busy",
            20 => "generic error",
            21 => "incompatible client key",
            22 => "not implemented",
            _ => "error",
        }
    }
}

/// What to do when the driver is too old.
pub(crate) const UPDATE_DRIVER: Remedy =
    Remedy::install("driver", "Update the NVIDIA driver to version 470.57 or newer");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_codes_of_the_session_limit_are_known_as_such() {
        for code in [10, 21] {
            assert!(matches!(NvStatus(code).open_error(), Error::SessionLimit { .. }));
        }
        assert!(matches!(NvStatus(10).error("nvEncEncodePicture"), Error::OutOfMemory { .. }));
    }

    #[test]
    fn a_chip_without_encoder_is_told_with_a_remedy() {
        let Error::Unavailable { reason, remedy, .. } = NvStatus(2).open_error() else { panic!() };
        assert!(
            reason.contains("no encoder") && matches!(remedy, Remedy::OtherDevice(_)),
            "{reason}: {remedy}"
        );
    }

    #[test]
    fn a_lost_device_is_lost_in_every_call() {
        assert!(matches!(NvStatus(5).open_error(), Error::DeviceLost { .. }));
        assert!(matches!(NvStatus(5).error("nvEncLockBitstream"), Error::DeviceLost { .. }));
    }
}
