//! CoreVideo: pictures in memory, and who may look at them when.

use std::ptr;
use std::sync::Arc;

use bytes::Bytes;

use super::abi::{ATTACH_PROPAGATING, LOCK_READ_ONLY, Ref};
use super::foundation::{Cf, Dictionary, known};
use super::pool::Pool;
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Result};

/// Planes of the formats that are used here, but for BGRA, which has none: its rows count as those of the first.
pub(crate) const PLANES: usize = 2;

/// `CVPixelBuffer`. A clone is the same buffer.
#[derive(Clone, Debug)]
pub(crate) struct PixelBuffer(Cf);

/// Where a plane lies: rows of `row_bytes`, of which as many are the picture's as its format has.
#[derive(Clone, Copy, Debug)]
struct Plane {
    base: *mut u8,
    row_bytes: usize,
    rows: usize,
}

impl PixelBuffer {
    pub(super) const fn of(object: Cf) -> Self {
        Self(object)
    }

    pub(super) const fn object(&self) -> Ref {
        self.0.object()
    }

    /// Width and height.
    pub(crate) fn size(&self) -> (usize, usize) {
        let api = self.0.api();
        // SAFETY: the buffer is alive.
        unsafe { ((api.CVPixelBufferGetWidth)(self.object()), (api.CVPixelBufferGetHeight)(self.object())) }
    }

    /// `kCVPixelFormatType_*`.
    pub(crate) fn pixel_format(&self) -> u32 {
        // SAFETY: the buffer is alive.
        unsafe { (self.0.api().CVPixelBufferGetPixelFormatType)(self.object()) }
    }

    /// Whether it says of its colours what these tags say, where it says anything.
    pub(crate) fn agrees_with(&self, tags: &Tags) -> bool {
        let api = self.0.api();
        tags.0.iter().all(|(key, value)| {
            // SAFETY: buffer and key are alive; the value is the buffer's, which holds it during the call.
            let own = unsafe {
                Cf::borrowed(api, (api.CVBufferGetAttachment)(self.object(), key.object(), ptr::null_mut()))
            };
            own.is_none_or(|own| own == *value)
        })
    }

    /// Says of its colours what these tags say.
    pub(crate) fn tag(&mut self, tags: &Tags) {
        for (key, value) in &tags.0 {
            // SAFETY: all three are alive, and the buffer takes references of its own.
            unsafe {
                (self.0.api().CVBufferSetAttachment)(
                    self.object(),
                    key.object(),
                    value.object(),
                    ATTACH_PROPAGATING,
                );
            }
        }
    }

    /// Bytes from row to row and rows of both planes, without a lock. A plane that is not there has none.
    pub(crate) fn layout(&self) -> [(usize, usize); PLANES] {
        let (api, buffer) = (self.0.api(), self.object());
        // SAFETY: the buffer is alive, and a plane that is asked about is there.
        let of = |index| unsafe {
            let planes = (api.CVPixelBufferGetPlaneCount)(buffer);
            if planes == 0 && index == 0 {
                return ((api.CVPixelBufferGetBytesPerRow)(buffer), (api.CVPixelBufferGetHeight)(buffer));
            } else if index >= planes {
                return (0, 0);
            }
            (
                (api.CVPixelBufferGetBytesPerRowOfPlane)(buffer, index),
                (api.CVPixelBufferGetHeightOfPlane)(buffer, index),
            )
        };
        [of(0), of(1)]
    }

    /// Keeps the samples where they are until the value is dropped.
    fn lock(&self, flags: u64) -> Result<Lock> {
        let api = self.0.api();
        // SAFETY: the buffer is alive; what is locked is unlocked with the same flags.
        Status(unsafe { (api.CVPixelBufferLockBaseAddress)(self.object(), flags) })
            .ok("CVPixelBufferLockBaseAddress")?;
        let mut lock = Lock { buffer: self.0.clone(), flags, planes: 0 };
        // SAFETY: the buffer is alive and locked.
        lock.planes = unsafe { (api.CVPixelBufferGetPlaneCount)(self.object()) };
        if !matches!(lock.planes, 0 | PLANES) {
            return Err(wrong(format!("{} planes instead of {PLANES}", lock.planes)));
        }
        Ok(lock)
    }

    /// The memory of both planes to read (of BGRA, nothing in the second), with the bytes from row to row. It is the buffer's own, which stays alive and
    /// locked as long as any of it.
    ///
    /// # Errors
    /// The buffer cannot be locked, or has other planes.
    pub(crate) fn read(&self) -> Result<[(Bytes, usize); PLANES]> {
        let lock = Arc::new(self.lock(LOCK_READ_ONLY)?);
        let view = |index| {
            let plane = lock.plane(index)?;
            let length = plane.length()?;
            let shared = Shared { _lock: Arc::clone(&lock), base: plane.base, length };
            Ok::<_, Error>((Bytes::from_owner(shared), plane.row_bytes))
        };
        Ok([view(0)?, if lock.planes == 0 { (Bytes::new(), 0) } else { view(1)? }])
    }

    /// Has both planes written, row by row: `write` is told the plane and the row, and gets its bytes.
    ///
    /// # Errors
    /// The buffer cannot be locked, or has fewer or shorter rows than `sizes` (bytes of a row, rows) says.
    pub(crate) fn write(
        &mut self,
        sizes: [(usize, usize); PLANES],
        mut write: impl FnMut(usize, usize, &mut [u8]),
    ) -> Result<()> {
        let lock = self.lock(0)?;
        for (index, (bytes, rows)) in sizes.into_iter().enumerate() {
            let plane = lock.plane(index)?;
            if plane.row_bytes < bytes || plane.rows < rows {
                return Err(wrong(format!(
                    "plane {index} with {} rows of {} bytes, for {rows} of {bytes}",
                    plane.rows, plane.row_bytes
                )));
            }
            plane.length()?;
            for row in 0..rows {
                // SAFETY: the row lies within the plane, whose memory is there while it is locked; nobody else has the buffer
                // (`&mut self`), which has not been given to an encoder yet.
                let row_of =
                    unsafe { std::slice::from_raw_parts_mut(plane.base.add(row * plane.row_bytes), bytes) };
                write(index, row, row_of);
            }
        }
        Ok(())
    }
}

/// What pixel buffers say of their colours: attachments and their values.
#[derive(Debug, Default)]
pub(crate) struct Tags(Vec<(Cf, Cf)>);

impl Tags {
    /// Adds one, under a constant of that name.
    ///
    /// # Errors
    /// Frameworks without it.
    pub(crate) fn add(&mut self, key: &'static str, value: Cf) -> Result<()> {
        self.0.push((known(key)?, value));
        Ok(())
    }
}

fn wrong(detail: String) -> Error {
    Error::Backend {
        backend: BackendKind::VideoToolbox,
        call: "CVPixelBufferLockBaseAddress",
        code: 0,
        detail: format!("the pixel buffer has {detail}"),
    }
}

/// A locked buffer, kept alive.
struct Lock {
    buffer: Cf,
    flags: u64,
    planes: usize,
}

impl Lock {
    fn plane(&self, index: usize) -> Result<Plane> {
        let (api, buffer) = (self.buffer.api(), self.buffer.object());
        if self.planes == 0 && index > 0 {
            return Err(wrong("no planes".to_owned()));
        }
        // SAFETY: the buffer is alive and locked, and has two planes or none.
        let plane = unsafe {
            if self.planes == 0 {
                Plane {
                    base: (api.CVPixelBufferGetBaseAddress)(buffer),
                    row_bytes: (api.CVPixelBufferGetBytesPerRow)(buffer),
                    rows: (api.CVPixelBufferGetHeight)(buffer),
                }
            } else {
                Plane {
                    base: (api.CVPixelBufferGetBaseAddressOfPlane)(buffer, index),
                    row_bytes: (api.CVPixelBufferGetBytesPerRowOfPlane)(buffer, index),
                    rows: (api.CVPixelBufferGetHeightOfPlane)(buffer, index),
                }
            }
        };
        if plane.base.is_null() {
            return Err(wrong(format!("no memory for plane {index}")));
        }
        Ok(plane)
    }
}

impl Plane {
    fn length(&self) -> Result<usize> {
        let length = self.row_bytes.checked_mul(self.rows).filter(|length| isize::try_from(*length).is_ok());
        length.ok_or_else(|| wrong(format!("{} rows of {} bytes", self.rows, self.row_bytes)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: the buffer is alive, and was locked with these flags.
        unsafe { (self.buffer.api().CVPixelBufferUnlockBaseAddress)(self.buffer.object(), self.flags) };
    }
}

/// Memory of a locked buffer.
struct Shared {
    _lock: Arc<Lock>,
    base: *const u8,
    length: usize,
}

// SAFETY: the memory is only read, and stays where it is while the buffer is locked; locks may end on another thread.
unsafe impl Send for Shared {}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as many bytes as the rows of the plane have, alive and unchanged while the lock is.
        unsafe { std::slice::from_raw_parts(self.base, self.length) }
    }
}

/// `CVPixelBufferPool`, of a compression session or our own.
#[derive(Debug)]
pub(crate) struct PixelBufferPool(Cf);

impl PixelBufferPool {
    pub(super) const fn of(object: Cf) -> Self {
        Self(object)
    }

    /// Of buffers with these attributes.
    ///
    /// # Errors
    /// No memory; no such buffers.
    pub(super) fn new(attributes: &Dictionary) -> Result<Self> {
        let api = attributes.value().api();
        let mut out: Ref = ptr::null();
        // SAFETY: the dictionary lives during the call; the pool that is made passes to us.
        let (status, made) = unsafe {
            let attributes = attributes.value().object();
            let status = (api.CVPixelBufferPoolCreate)(ptr::null(), ptr::null(), attributes, &raw mut out);
            (status, Cf::created(api, out))
        };
        Status(status).ok("CVPixelBufferPoolCreate")?;
        made.map(Self).ok_or_else(|| wrong("nothing in it".to_owned()))
    }

    /// A buffer to write a picture into.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn take(&self) -> Result<PixelBuffer> {
        let api = self.0.api();
        let _pool = Pool::push();
        let mut out: Ref = ptr::null();
        // SAFETY: the pool is alive; the buffer that is made passes to us.
        let (status, made) = unsafe {
            let status = (api.CVPixelBufferPoolCreatePixelBuffer)(ptr::null(), self.0.object(), &raw mut out);
            (status, Cf::created(api, out))
        };
        Status(status).ok("CVPixelBufferPoolCreatePixelBuffer")?;
        made.map(PixelBuffer).ok_or_else(|| wrong("nothing in it".to_owned()))
    }
}
