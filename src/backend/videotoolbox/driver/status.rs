//! Apple's result codes as this project's errors.

use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};

/// An `OSStatus` or `CVReturn` as it was returned: any number, known or not.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) i32);

impl Status {
    pub(crate) const OK: Self = Self(0);
    /// `kVTPropertyNotSupportedErr`.
    pub(crate) const PROPERTY_NOT_SUPPORTED: Self = Self(-12900);

    /// The code as an error of `call`.
    ///
    /// # Errors
    /// Every code but success.
    pub(crate) fn ok(self, call: &'static str) -> Result<()> {
        if self == Self::OK { Ok(()) } else { Err(self.error(call)) }
    }

    /// Whether the unit that was given is what is wrong, and the next may be right.
    pub(crate) const fn is_bad_data(self) -> bool {
        // VideoToolbox's own, the same from QuickTime's time, and that of a missing reference picture.
        matches!(self.0, -12909 | -8969 | -17694)
    }

    /// The error for this code where it is the answer to the opening of a session: whatever is not the state of this machine
    /// or of its service is a refusal of the stream, which another backend may take.
    pub(crate) fn refusal(self, call: &'static str) -> Error {
        match self.error(call) {
            error @ (Error::CorruptStream { .. } | Error::Backend { .. }) => {
                Error::Unsupported { feature: error.to_string(), remedy: Remedy::OtherBackend }
            }
            error => error,
        }
    }

    /// The error for this code.
    pub(crate) fn error(self, call: &'static str) -> Error {
        const BACKEND: BackendKind = BackendKind::VideoToolbox;
        let detail = || format!("{call} answered {} ({})", self.message(), self.0);
        match self.0 {
            _ if self.is_bad_data() => Error::corrupt(detail()),
            // Invalid session, decoder removed, session malfunction: it never works again, another may.
            -12903 | -17690 | -17691 => Error::DeviceLost { backend: BACKEND, detail: detail() },
            -12904 | -12711 | -12730 | -12700 | -12701 | -6662 | -6689 | -6690 => Error::OutOfMemory {
                backend: BACKEND,
                what: detail(),
                remedy: "end other programs, or use smaller pictures".into(),
            },
            -12913 | -12915 => Error::SessionLimit { backend: BACKEND, detail: detail(), sessions: None },
            -12905 | -12906 | -12908 | -12910 | -12916 | -6680 | -6681 => {
                Error::Unsupported { feature: detail(), remedy: Remedy::OtherBackend }
            }
            -17692 | -17693 => Error::Unavailable {
                backend: BACKEND,
                reason: detail(),
                remedy: Remedy::install("Rosetta", "Install Rosetta, which macOS offers to do"),
            },
            code => Error::Backend {
                backend: BACKEND,
                call,
                code: i64::from(code),
                detail: self.message().to_owned(),
            },
        }
    }

    /// What the code means, in words that help.
    pub(crate) const fn message(self) -> &'static str {
        match self.0 {
            -50 => "a parameter is wrong",
            -6660 => "error of CoreVideo",
            -6661 => "an argument is wrong",
            -6662 | -6690 => "no memory for a pixel buffer",
            -6680 => "CoreVideo does not have this pixel format",
            -6681 => "CoreVideo does not have pictures of this size",
            -6689 => "the pool has given out as many pixel buffers as it may",
            -6691 => "the attributes of the pool of pixel buffers are wrong",
            -8969 | -12909 => "bad data",
            -12210 | -12211 => "this process is not allowed to use it",
            -12700 | -12701 => "no memory for a block buffer",
            -12710 => "a parameter of a format description is wrong",
            -12711 => "no memory for a format description",
            -12730 => "no memory for a sample buffer",
            -12731 => "a required parameter of a sample buffer is missing",
            -12900 => "the property is not supported",
            -12901 => "the property can only be read",
            -12902 => "a parameter is wrong",
            -12903 => {
                "the session is not valid any more (sleep, or the service that worked for it has ended)"
            }
            -12904 => "no memory",
            -12905 => "no conversion between these pixel formats",
            -12906 => "there is no decoder for this stream",
            -12907 => "the codec could not be started",
            -12908 => "there is no encoder for this",
            -12910 => "the decoder does not take this stream",
            -12911 => "the decoder does not work properly",
            -12912 => "the encoder does not work properly",
            -12913 => "no decoder is free now",
            -12915 => "no encoder is free now",
            -12916 => "the format cannot change within a session",
            -17690 => "the decoder was removed",
            -17691 => "the session does not work properly",
            -17692 | -17693 => "the codec needs Rosetta",
            -17694 => "a picture that this one refers to is missing",
            -17695 => "the decoder's service does not answer",
            -17696 => "the decoder failed for a reason that is not known",
            -17697 => "the extension that has the codec is switched off",
            _ => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_by_what_can_be_done() {
        let error = |code: i32| Status(code).error("VTCall");
        assert!(error(-12909).is_recoverable() && error(-17694).is_recoverable());
        assert!(matches!(error(-12903), Error::DeviceLost { .. }));
        assert!(matches!(error(-12904), Error::OutOfMemory { .. }));
        // More buffers than the pool may have, and a pool that was asked for wrongly.
        assert!(matches!(error(-6689), Error::OutOfMemory { .. }));
        assert!(matches!(error(-6691), Error::Backend { code: -6691, .. }));
        assert!(matches!(error(-12913), Error::SessionLimit { .. }));
        assert!(matches!(error(-12906), Error::Unsupported { remedy: Remedy::OtherBackend, .. }));
        assert!(matches!(error(-12911), Error::Backend { code: -12911, call: "VTCall", .. }));
        assert!(error(-12903).to_string().contains("VTCall answered the session is not valid"));
        assert!(Status(0).ok("VTCall").is_ok());
    }

    /// Decoders name what they do not take by any of these.
    #[test]
    fn a_session_that_does_not_open_is_a_refusal_or_the_state_of_the_machine() {
        let refusal = |code: i32| Status(code).refusal("VTDecompressionSessionCreate");
        for code in [-50, -8971, -12906, -12907, -12909, -12910, -12911, -17696] {
            let error = refusal(code);
            assert!(matches!(error, Error::Unsupported { remedy: Remedy::OtherBackend, .. }), "{error}");
            assert!(error.to_string().contains(Status(code).message()), "{error}");
        }
        assert!(matches!(refusal(-12903), Error::DeviceLost { .. }));
        assert!(matches!(refusal(-12904), Error::OutOfMemory { .. }));
        assert!(matches!(refusal(-12913), Error::SessionLimit { .. }));
        assert!(matches!(refusal(-17692), Error::Unavailable { .. }));
    }

    #[test]
    fn codes_that_are_told_apart_have_words() {
        for code in -20_000..0 {
            let known = !matches!(Status(code).error("VTCall"), Error::Backend { .. });
            assert!(!known || Status(code).message() != "error", "{code}");
        }
    }
}
