//! SEI messages: their envelope, and the structures that the client's callback gets (12.0 and later).

use std::ffi::c_void;

/// Kind and size of one message.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUSEIMESSAGE {
    /// `payloadType`.
    pub sei_message_type: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Bytes of this message in `pSEIData`.
    pub sei_message_size: u32,
}

/// All messages of one picture.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDSEIMESSAGEINFO {
    /// Payloads, one after another.
    pub pSEIData: *mut c_void,
    /// Their kinds and sizes.
    pub pSEIMessage: *mut CUSEIMESSAGE,
    /// How many.
    pub sei_message_count: u32,
    /// `CurrPicIdx` of the picture they came with.
    pub picIdx: u32,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeiMessage {
    pub(super) kind: u32,
    pub(super) payload: Vec<u8>,
}

/// The messages of an SEI NAL unit (its bytes after the NAL header, without emulation prevention).
pub(super) fn messages(mut rbsp: &[u8]) -> Vec<SeiMessage> {
    let mut found = Vec::new();
    // What is left after the last message is the stop bit.
    while rbsp.len() >= 3 || (rbsp.len() == 2 && rbsp[1] == 0) {
        let Some(kind) = number(&mut rbsp) else { break };
        let Some(size) = number(&mut rbsp) else { break };
        let Some((payload, rest)) = rbsp.split_at_checked(size as usize) else { break };
        found.push(SeiMessage { kind, payload: payload.to_vec() });
        rbsp = rest;
    }
    found
}

/// A number in steps of 255.
fn number(rbsp: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    loop {
        let (&byte, rest) = rbsp.split_first()?;
        *rbsp = rest;
        value = value.checked_add(u32::from(byte))?;
        if byte != 255 {
            return Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_messages_and_the_stop_bit() {
        let found = messages(&[1, 2, 9, 9, 255, 1, 1, 7, 0x80]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], SeiMessage { kind: 1, payload: vec![9, 9] });
        assert_eq!(found[1], SeiMessage { kind: 256, payload: vec![7] });
    }

    #[test]
    fn a_size_beyond_the_end_is_no_message() {
        assert!(messages(&[1, 200, 3, 0x80]).is_empty());
        assert!(messages(&[255; 64]).is_empty());
    }
}
