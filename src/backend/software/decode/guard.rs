//! Codec libraries meet hostile bytes; a panic inside one must not take the process down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::backend::BackendKind;
use crate::error::{Error, Result};
use crate::hang;

/// Runs a call into a codec library. A panic becomes an error, and the caller must then throw the codec
/// object away: its state may be half changed. The process' panic hook still reports the panic (by default on
/// stderr); a library must not change a hook that belongs to the program.
///
/// # Errors
/// A recoverable [`Error::CorruptStream`] that names the library and carries the panic's words.
pub(super) fn guarded<T>(library: &'static str, call: impl FnOnce() -> T) -> Result<T> {
    let call = || hang::during(BackendKind::Software, library, hang::CODEC_CALL, call);
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Error::corrupt(format!(
            "{library} gave up on this unit ({message}); decoding continues at the next random access point"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_recoverable_error() {
        let error = guarded("libfoo", || panic!("index {} out of range", 7)).unwrap_err();
        assert!(error.is_recoverable());
        assert!(error.to_string().contains("libfoo gave up on this unit (index 7 out of range)"), "{error}");
        assert_eq!(guarded("libfoo", || 5).unwrap(), 5);
    }
}
