//! The driver's bitstream parser. It is pure software and calls back while it is fed.
//!
//! What the documents do not say, found by asking a driver (580.159 on an H200; `sims/nvidia/facts` has the answers):
//! - a callback that fails is not reported by the call that feeds the parser, so failures are kept here;
//! - time stamps come out sorted: the first picture shown gets the smallest time not yet given out, wherever it came
//!   from. They cannot tell which packet a picture came from; the surface index, seen in both callbacks, can;
//! - with `END_OF_PICTURE` only the first picture of a packet is decoded;
//! - a packet with the discontinuity flag loses its own picture: a jump is told by ending the stream instead.

use std::ffi::{c_int, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use super::calling;
use super::cuvid::{Functions, Picture, cuvid};
use super::cuvid_abi::{
    DisplayInfo, HAS_TIMESTAMP, ParserParams, PictureParams, SourcePacket, VideoFormat, VideoFormatEx,
};
use crate::error::{Error, Result};
use crate::hang;

/// What a parser's owner does with what the parser finds.
pub(crate) trait ParserEvents: Send {
    /// A sequence begins or changes: returns how many decode surfaces there are now.
    fn sequence(&mut self, format: &VideoFormat) -> Result<u32>;

    /// A picture is to be decoded, in decoding order. `false`: it cannot be; the parser will not show it.
    fn decode(&mut self, picture: Picture<'_>) -> Result<bool>;

    /// A picture is to be shown, in display order.
    fn display(&mut self, info: &DisplayInfo) -> Result<()>;
}

struct State<E> {
    events: E,
    /// First failure of a callback since the last call of `parse`.
    failure: Option<Error>,
}

/// A parser that reports to `E`.
pub(crate) struct Parser<E: ParserEvents> {
    functions: &'static Functions,
    handle: *mut c_void,
    /// Owned. Behind a raw pointer because the callbacks reach it by the pointer given at creation while `parse` runs.
    state: NonNull<State<E>>,
}

// SAFETY: the parser is used by one thread at a time (`&mut self`) and is not bound to any.
unsafe impl<E: ParserEvents> Send for Parser<E> {}

/// Settings of a parser.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParserConfig<'a> {
    pub(crate) codec: u32,
    /// Pictures that may be decoded before one is shown, beyond what its order demands.
    pub(crate) display_delay: u32,
    /// The codec's sequence header from the container, where it is not in the stream.
    pub(crate) header: &'a [u8],
}

impl<E: ParserEvents> Parser<E> {
    pub(crate) fn new(config: ParserConfig<'_>, events: E) -> Result<Self> {
        let functions = cuvid()?;
        let state = NonNull::from(Box::leak(Box::new(State { events, failure: None })));
        let mut extended = VideoFormatEx {
            format: VideoFormat { codec: config.codec, ..VideoFormat::default() },
            header: [0; 1024],
        };
        let mut params = ParserParams {
            codec: config.codec,
            // A placeholder: the sequence callback answers with the real number.
            surfaces: 1,
            // Damaged pictures are decoded as far as they go and told apart by their decode status.
            error_threshold: 100,
            display_delay: config.display_delay,
            user: state.as_ptr().cast(),
            on_sequence: Some(on_sequence::<E>),
            on_decode: Some(on_decode::<E>),
            on_display: Some(on_display::<E>),
            ..ParserParams::default()
        };
        if let Some(header) =
            extended.header.get_mut(..config.header.len()).filter(|header| !header.is_empty())
        {
            header.copy_from_slice(config.header);
            extended.format.header_bytes = config.header.len() as u32;
            params.extended = &raw mut extended;
        }
        let mut handle = std::ptr::null_mut();
        // SAFETY: whole structures of the asserted sizes, read during the call only; the state outlives the parser.
        let code = unsafe { (functions.create_parser)(&raw mut handle, &raw mut params) };
        let parser = Self { functions, handle, state };
        code.ok("cuvidCreateVideoParser")?;
        Ok(parser)
    }

    /// The owner's state.
    pub(crate) fn events(&mut self) -> &mut E {
        // SAFETY: the pointer is valid until drop, and no callback runs while `self` is borrowed here.
        unsafe { &mut (*self.state.as_ptr()).events }
    }

    /// Feeds a packet; the callbacks run inside. `flags` are the packet flags of [`super::cuvid_abi`].
    ///
    /// # Errors
    /// The first failure of a callback, or the parser's own.
    pub(crate) fn parse(&mut self, data: &[u8], flags: c_ulong, timestamp: Option<i64>) -> Result<()> {
        let bytes = c_ulong::try_from(data.len())
            .map_err(|_| Error::invalid(format!("a packet of {} bytes is too large", data.len())))?;
        let mut packet = SourcePacket {
            flags: flags | if timestamp.is_some() { HAS_TIMESTAMP } else { 0 },
            bytes,
            data: if data.is_empty() { std::ptr::null() } else { data.as_ptr() },
            timestamp: timestamp.unwrap_or(0),
        };
        let code = calling("cuvidParseVideoData", || {
            // SAFETY: the packet and its data live during the call; callbacks reach the state by its own pointer, and
            // no reference to it exists here meanwhile.
            unsafe { (self.functions.parse)(self.handle, &raw mut packet) }
        });
        // SAFETY: the call is over, so nothing else uses the state.
        let failure = unsafe { (*self.state.as_ptr()).failure.take() };
        match failure {
            Some(failure) => Err(failure),
            None => code.ok("cuvidParseVideoData"),
        }
    }
}

impl<E: ParserEvents> Drop for Parser<E> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: made by `new`, destroyed once.
            unsafe { (self.functions.destroy_parser)(self.handle) };
        }
        // SAFETY: leaked by `new`, taken back once, after the parser that could call back is gone.
        drop(unsafe { Box::from_raw(self.state.as_ptr()) });
    }
}

/// Runs a callback's body: neither errors nor panics go through the parser; both are kept for `parse` to return.
///
/// # Safety
/// `user` must be the state of a live parser that is inside `parse` on this thread.
unsafe fn guarded<E: ParserEvents, T>(
    user: *mut c_void,
    body: impl FnOnce(&mut E) -> Result<T>,
) -> Option<T> {
    // SAFETY: promised by the caller; callbacks of one parser never nest.
    let state = unsafe { &mut *user.cast::<State<E>>() };
    if state.failure.is_some() {
        return None;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // It may wait for the consumer, and makes calls of its own.
        hang::at_leisure(|| body(&mut state.events))
    }));
    let failure = match outcome {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => error,
        Err(payload) => {
            // What was thrown may panic again when it is dropped, and that would go through the parser.
            std::mem::forget(payload);
            Error::Backend {
                backend: crate::backend::BackendKind::Nvidia,
                call: "parser callback",
                code: 0,
                detail: "internal error (a panic, printed above)".to_owned(),
            }
        }
    };
    state.failure = Some(failure);
    None
}

/// A callback was called with nothing.
fn nothing() -> Error {
    Error::Backend {
        backend: crate::backend::BackendKind::Nvidia,
        call: "parser callback",
        code: 0,
        detail: "the driver gave a null pointer".to_owned(),
    }
}

unsafe extern "system" fn on_sequence<E: ParserEvents>(user: *mut c_void, format: *mut VideoFormat) -> c_int {
    // SAFETY: the parser passes its user pointer, and a valid structure or none.
    let surfaces =
        unsafe { guarded::<E, _>(user, |events| events.sequence(format.as_ref().ok_or_else(nothing)?)) };
    surfaces.map_or(0, |surfaces| c_int::try_from(surfaces).unwrap_or(0))
}

unsafe extern "system" fn on_decode<E: ParserEvents>(
    user: *mut c_void,
    picture: *mut PictureParams,
) -> c_int {
    // SAFETY: as above; the structure is the parser's and may be changed while the callback runs.
    let decoded = unsafe {
        guarded::<E, _>(user, |events| events.decode(Picture(picture.as_mut().ok_or_else(nothing)?)))
    };
    c_int::from(decoded == Some(true))
}

unsafe extern "system" fn on_display<E: ParserEvents>(user: *mut c_void, info: *mut DisplayInfo) -> c_int {
    if info.is_null() {
        // End of stream, told because somebody asked for it; nobody here does.
        return 1;
    }
    // SAFETY: as above, and not null.
    let shown = unsafe { guarded::<E, _>(user, |events| events.display(&*info)) };
    c_int::from(shown.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Events;

    /// Panics while it is dropped, as what somebody throws may.
    struct Spiteful;

    impl Drop for Spiteful {
        fn drop(&mut self) {
            panic!("once more");
        }
    }

    impl ParserEvents for Events {
        fn sequence(&mut self, _: &VideoFormat) -> Result<u32> {
            std::panic::panic_any(Spiteful)
        }

        fn decode(&mut self, _: Picture<'_>) -> Result<bool> {
            Ok(true)
        }

        fn display(&mut self, _: &DisplayInfo) -> Result<()> {
            Ok(())
        }
    }

    fn state() -> State<Events> {
        State { events: Events, failure: None }
    }

    #[test]
    fn null_pointers_are_failures() {
        let mut state = state();
        let user = (&raw mut state).cast();
        // SAFETY: the state lives; the callbacks take null for an answer.
        unsafe {
            assert_eq!(on_sequence::<Events>(user, std::ptr::null_mut()), 0);
            assert!(state.failure.take().is_some_and(|error| error.to_string().contains("null")));
            assert_eq!(on_decode::<Events>(user, std::ptr::null_mut()), 0);
            assert!(state.failure.take().is_some_and(|error| error.to_string().contains("null")));
            assert_eq!(on_display::<Events>(user, std::ptr::null_mut()), 1);
        }
        assert!(state.failure.is_none());
    }

    #[test]
    fn a_panic_does_not_leave_a_callback_even_when_what_is_thrown_panics_again() {
        let mut state = state();
        let mut format = VideoFormat::default();
        // SAFETY: state and format live.
        let answer = unsafe { on_sequence::<Events>((&raw mut state).cast(), &raw mut format) };
        assert_eq!(answer, 0);
        assert!(state.failure.is_some_and(|error| error.to_string().contains("panic")));
    }
}
