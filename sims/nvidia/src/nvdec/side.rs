//! What travels beside a picture from the parser to the decoder. NVDEC's bit stream buffer of H.264 and HEVC holds
//! slices only, and so does this parser's; the software decoder behind the simulation also needs the parameter
//! sets, which the real hardware gets in another form.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// A parser has one picture in flight (its callback runs inside `cuvidParseVideoData`), so this is the number of
/// parsers that can be inside a decode callback at once. Beyond it the oldest entry goes.
const KEPT: usize = 1024;

/// HEVC's end-of-sequence unit, in front of the parameter sets of a picture that begins a sequence.
pub const END_OF_SEQUENCE: [u8; 6] = [0, 0, 0, 1, 36 << 1, 1];

static TABLE: Mutex<VecDeque<(usize, Arc<Vec<u8>>)>> = Mutex::new(VecDeque::new());

/// Notes the active parameter sets (Annex B) of the picture whose `pBitstreamData` is `key`, before the decode callback.
pub fn publish(key: *const u8, sets: Arc<Vec<u8>>) {
    let mut table = TABLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    table.retain(|(other, _)| *other != key as usize);
    if table.len() >= KEPT {
        table.pop_front();
    }
    table.push_back((key as usize, sets));
}

/// Takes out what was published for `key`: the decoder when it accepts the picture, the parser when the callback has
/// returned (so that nothing stays behind when the client did not pass the picture on).
pub fn take(key: *const u8) -> Option<Arc<Vec<u8>>> {
    let mut table = TABLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let position = table.iter().position(|(other, _)| *other == key as usize)?;
    table.remove(position).map(|(_, sets)| sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_taken_once_and_the_newest_wins() {
        let key = std::ptr::without_provenance(0x1234);
        publish(key, Arc::new(vec![1]));
        publish(key, Arc::new(vec![2]));
        assert_eq!(*take(key).unwrap(), [2]);
        assert!(take(key).is_none());
    }
}
