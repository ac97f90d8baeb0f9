//! Messages that the caller wants beside a picture.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Most messages beside a frame, and most bytes of all of them: they share the memory of the coded picture.
const MOST: usize = 64;
const MOST_BYTES: usize = 1 << 16;

/// A supplemental enhancement information message of H.264 or HEVC, as the caller states it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserSei {
    /// `payloadType` of annex D of either standard: 4 is registered user data, 5 unregistered user data (16 bytes of
    /// UUID first).
    pub payload_type: u32,
    /// The payload as the standard writes it. Start code emulation is prevented by the encoder.
    pub payload: Bytes,
}

impl UserSei {
    /// A message.
    pub fn new(payload_type: u32, payload: impl Into<Bytes>) -> Self {
        Self { payload_type, payload: payload.into() }
    }

    /// User data that no standards body knows, named by a UUID.
    pub fn unregistered(uuid: [u8; 16], data: &[u8]) -> Self {
        Self::new(5, [&uuid[..], data].concat())
    }
}

/// Whether a frame has no more messages than are taken.
///
/// # Errors
/// More of them, or larger ones.
pub(crate) fn check(pts: Timestamp, messages: &[UserSei]) -> Result<()> {
    let (count, bytes) =
        (messages.len(), messages.iter().map(|message| message.payload.len()).sum::<usize>());
    if count > MOST || bytes > MOST_BYTES {
        return Err(Error::invalid(format!(
            "frame at {pts} has {count} user SEI messages of {bytes} bytes; at most {MOST} of {MOST_BYTES} bytes together \
             are taken"
        )));
    }
    Ok(())
}
