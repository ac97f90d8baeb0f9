//! `CMBlockBuffer`: coded bytes in one or more blocks of memory.

use std::ffi::c_void;
use std::sync::Mutex;

use crate::core::pointer::{In, Ref};
use crate::core::report::locked;
use crate::core::{Out, exports};
use crate::foundation::constants::is_allocator_null;
use crate::foundation::object::{Held, Kind, Typed, find};
use crate::{OK, Status};

const BAD_SOURCE: Status = -12702;
const BAD_OFFSET: Status = -12703;
const BAD_LENGTH: Status = -12704;
const BAD_POINTER: Status = -12705;
const EMPTY: Status = -12706;
const ALLOCATION_FAILED: Status = -12701;

/// `CMBlockBufferCustomBlockSource`, packed to 4 bytes as in Apple's header.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub struct CustomSource {
    version: u32,
    allocate: Option<unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void>,
    free: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize)>,
    refcon: *mut c_void,
}

const _: () = assert!(size_of::<CustomSource>() == 28);

/// Whose memory a block is, and so how it is freed.
#[derive(Debug)]
enum Owner {
    Malloc,
    Client,
    Custom(CustomSource),
}

#[derive(Debug)]
struct Segment {
    memory: *mut c_void,
    size: usize,
    owner: Owner,
    start: usize,
    length: usize,
}

// SAFETY: memory that nobody but the owner of the segment frees; what the client does with its own, it answers for.
unsafe impl Send for Segment {}

impl Drop for Segment {
    fn drop(&mut self) {
        match self.owner {
            // SAFETY: from malloc: ours, or the client's promise by passing no other allocator.
            Owner::Malloc => unsafe { libc::free(self.memory) },
            Owner::Client => {}
            Owner::Custom(source) => {
                if let Some(free) = source.free {
                    // SAFETY: the client's own function, for memory it gave or allocated with this source.
                    unsafe { free(source.refcon, self.memory, self.size) };
                }
            }
        }
    }
}

/// `CMBlockBuffer`
#[derive(Debug, Default)]
pub struct Block {
    segments: Mutex<Vec<Segment>>,
}

impl Typed for Block {
    const KIND: Kind = Kind::CMBlockBuffer;
}

impl Block {
    /// A buffer of its own with a copy of these bytes; none where there is no memory.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let segment =
            segment(std::ptr::null_mut(), bytes.len(), std::ptr::null(), None, 0, bytes.len()).ok()?;
        let block = Self { segments: Mutex::new(vec![segment]) };
        block.walk(0, bytes.len(), |at, memory, count| {
            // SAFETY: `walk` gives memory of the block, `count` bytes of it, and counts through `bytes`.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().add(at), memory, count) };
        });
        Some(block)
    }

    /// Bytes in it.
    pub fn length(&self) -> usize {
        locked(&self.segments).iter().map(|segment| segment.length).sum()
    }

    /// A copy of all bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length()];
        self.walk(0, bytes.len(), |at, memory, count| {
            // SAFETY: `walk` gives memory of the block, `count` bytes of it, and counts through `bytes`.
            unsafe { std::ptr::copy_nonoverlapping(memory, bytes.as_mut_ptr().add(at), count) };
        });
        bytes
    }

    /// Calls with each piece of a range: how far into it, where in memory, and how many bytes. The range is inside.
    fn walk(&self, offset: usize, count: usize, mut piece: impl FnMut(usize, *mut u8, usize)) {
        let (mut skip, mut done) = (offset, 0);
        for segment in locked(&self.segments).iter() {
            let here = segment.length.saturating_sub(skip).min(count - done);
            if here > 0 {
                piece(done, segment.memory.cast::<u8>().wrapping_add(segment.start + skip), here);
            }
            done += here;
            skip = skip.saturating_sub(segment.length);
        }
    }

    fn check(&self, offset: usize, count: usize) -> Result<(), Status> {
        let length = self.length();
        if length == 0 {
            Err(EMPTY)
        } else if offset >= length {
            Err(BAD_OFFSET)
        } else if count > length - offset {
            Err(BAD_LENGTH)
        } else {
            Ok(())
        }
    }
}

fn segment(
    memory: *mut c_void,
    size: usize,
    allocator: Ref,
    source: Option<CustomSource>,
    start: usize,
    length: usize,
) -> Result<Segment, Status> {
    if start.checked_add(length).is_none_or(|end| end > size) {
        return Err(BAD_LENGTH);
    }
    let owner = match source {
        Some(source) if { source.version } != 0 => return Err(BAD_SOURCE),
        Some(source) => Owner::Custom(source),
        None if is_allocator_null(allocator) => Owner::Client,
        None => Owner::Malloc,
    };
    let memory = match (&owner, memory.is_null()) {
        (_, false) => memory,
        (Owner::Client, true) => return Err(BAD_POINTER),
        // SAFETY: a plain allocation.
        (Owner::Malloc, true) => unsafe { libc::malloc(size.max(1)) },
        (Owner::Custom(source), true) => match source.allocate {
            // SAFETY: the client's own function.
            Some(allocate) => unsafe { allocate(source.refcon, size) },
            None => return Err(BAD_SOURCE),
        },
    };
    if memory.is_null() {
        return Err(ALLOCATION_FAILED);
    }
    Ok(Segment { memory, size, owner, start, length })
}

exports! {
    /// A buffer around memory of the client's, or of its own where that is null.
    fn CMBlockBufferCreateWithMemoryBlock(allocator: Ref, memory: *mut c_void, size: usize, block_allocator: Ref, source: In<CustomSource>,
                                          offset: usize, length: usize, flags: u32, out: Out<Ref>) -> Status = ALLOCATION_FAILED; {
        if out.is_null() {
            return BAD_POINTER;
        }
        match segment(memory, size, block_allocator, source.get(), offset, length) {
            Ok(segment) => {
                out.put(Held::new(Block { segments: Mutex::new(vec![segment]) }).give());
                OK
            }
            Err(status) => status,
        }
    }

    /// A buffer without memory, to which blocks are appended.
    fn CMBlockBufferCreateEmpty(allocator: Ref, capacity: u32, flags: u32, out: Out<Ref>) -> Status = ALLOCATION_FAILED; {
        if out.put(Held::new(Block::default()).give()) { OK } else { BAD_POINTER }
    }

    /// Adds a block at the end.
    fn CMBlockBufferAppendMemoryBlock(to: Ref, memory: *mut c_void, size: usize, block_allocator: Ref, source: In<CustomSource>,
                                      offset: usize, length: usize, flags: u32) -> Status = ALLOCATION_FAILED; {
        let Some(to) = find::<Block>(to) else { return BAD_POINTER };
        match segment(memory, size, block_allocator, source.get(), offset, length) {
            Ok(segment) => {
                locked(&to.segments).push(segment);
                OK
            }
            Err(status) => status,
        }
    }

    /// Copies bytes in.
    fn CMBlockBufferReplaceDataBytes(from: In<u8>, to: Ref, offset: usize, count: usize) -> Status = BAD_POINTER; {
        let Some(to) = find::<Block>(to) else { return BAD_POINTER };
        if from.address().is_null() {
            return BAD_POINTER;
        }
        if let Err(status) = to.check(offset, count) {
            return status;
        }
        to.walk(offset, count, |at, memory, count| {
            // SAFETY: `walk` gives memory of the block; the client vouches for `from`.
            unsafe { std::ptr::copy(from.address().add(at), memory, count) };
        });
        OK
    }

    /// Copies bytes out.
    fn CMBlockBufferCopyDataBytes(from: Ref, offset: usize, count: usize, to: *mut u8) -> Status = BAD_POINTER; {
        let Some(from) = find::<Block>(from) else { return BAD_POINTER };
        if to.is_null() {
            return BAD_POINTER;
        }
        if let Err(status) = from.check(offset, count) {
            return status;
        }
        from.walk(offset, count, |at, memory, count| {
            // SAFETY: `walk` gives memory of the block; the client vouches for `to`.
            unsafe { std::ptr::copy(memory, to.add(at), count) };
        });
        OK
    }

    /// Where the bytes from an offset on lie, as far as they lie together.
    fn CMBlockBufferGetDataPointer(of: Ref, offset: usize, here: Out<usize>, total: Out<usize>, pointer: Out<*mut u8>) -> Status = BAD_POINTER; {
        let Some(of) = find::<Block>(of) else { return BAD_POINTER };
        let length = of.length();
        if let Err(status) = of.check(offset, 0) {
            return status;
        }
        let mut first = None;
        of.walk(offset, length - offset, |_, memory, count| { first.get_or_insert((memory, count)); });
        if let Some((memory, count)) = first {
            here.put(count);
            pointer.put(memory);
        }
        total.put(length);
        OK
    }

    /// Whether a range lies together.
    fn CMBlockBufferIsRangeContiguous(of: Ref, offset: usize, count: usize) -> u8 = 0; {
        let Some(of) = find::<Block>(of) else { return 0 };
        let count = if count == 0 { of.length().saturating_sub(offset) } else { count };
        let mut pieces = 0;
        if of.check(offset, count).is_err() {
            return 0;
        }
        of.walk(offset, count, |_, _, _| pieces += 1);
        u8::from(pieces == 1)
    }

    /// Bytes in it.
    fn CMBlockBufferGetDataLength(of: Ref) -> usize = 0; { find::<Block>(of).map_or(0, |of| of.length()) }
}
