//! `CVPixelBufferPool`: buffers of one kind whose memory is used again.

use std::sync::Arc;

use super::memory::Free;
use super::pixels::{ALLOCATION_FAILED, Attributes, INVALID_ARGUMENT, Pixels};
use crate::core::pointer::Ref;
use crate::core::{Out, exports};
use crate::foundation::collection::Dictionary;
use crate::foundation::object::{Held, Kind, Typed, find, find_optional};
use crate::{OK, Status};

const INVALID_POOL_ATTRIBUTES: Status = -6691;

/// `CVPixelBufferPool`
#[derive(Debug)]
pub struct Pool {
    /// Of its buffers.
    pub format: u32,
    width: usize,
    height: usize,
    attributes: Attributes,
    free: Arc<Free>,
}

impl Typed for Pool {
    const KIND: Kind = Kind::CVPixelBufferPool;
}

impl Pool {
    /// A pool of buffers of this kind; an error where no such buffer can be made.
    pub fn new(width: usize, height: usize, format: u32, attributes: Attributes) -> Result<Self, Status> {
        let free = Arc::default();
        let pool = Self { format, width, height, attributes, free };
        pool.buffer()?;
        Ok(pool)
    }

    /// Size of its buffers.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// A buffer.
    pub fn buffer(&self) -> Result<Pixels, Status> {
        Pixels::new(self.width, self.height, self.format, &self.attributes, Some(&self.free))
    }
}

exports! {
    /// A pool of buffers with these attributes: format, width and height among them.
    fn CVPixelBufferPoolCreate(allocator: Ref, pool_attributes: Ref, attributes: Ref, out: Out<Ref>) -> Status = ALLOCATION_FAILED; {
        let (Some(_), Some(attributes)) = (find_optional::<Dictionary>(pool_attributes), find_optional::<Dictionary>(attributes)) else {
            return INVALID_ARGUMENT;
        };
        let attributes = Attributes::of(attributes.as_deref());
        let (Some(width), Some(height), Some(&format)) = (attributes.width, attributes.height, attributes.formats.first()) else {
            return INVALID_POOL_ATTRIBUTES;
        };
        if out.is_null() {
            return INVALID_ARGUMENT;
        }
        match Pool::new(width, height, format, attributes) {
            Ok(pool) => {
                out.put(Held::new(pool).give());
                OK
            }
            Err(status) => status,
        }
    }

    /// A buffer of the pool, to be released.
    fn CVPixelBufferPoolCreatePixelBuffer(allocator: Ref, pool: Ref, out: Out<Ref>) -> Status = ALLOCATION_FAILED; {
        let Some(pool) = find::<Pool>(pool) else { return INVALID_ARGUMENT };
        if out.is_null() {
            return INVALID_ARGUMENT;
        }
        match pool.buffer() {
            Ok(buffer) => {
                out.put(Held::new(buffer).give());
                OK
            }
            Err(status) => status,
        }
    }

    /// Nothing to do: what waits is little.
    fn CVPixelBufferPoolFlush(pool: Ref, flags: u64); { find::<Pool>(pool); }
}
