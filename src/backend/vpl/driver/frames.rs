//! Surfaces that the runtime makes: counted by it, and mapped where the CPU reads or writes them.

use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use super::abi::names::{
    FOURCC_AYUV, FOURCC_NV12, FOURCC_P010, FOURCC_P016, FOURCC_RGB4, FOURCC_Y210, FOURCC_Y216, FOURCC_Y410,
    FOURCC_Y416, FOURCC_YUY2, MAP_READ, MAP_WRITE,
};
use super::abi::{FrameData, FrameInfo, FrameSurface, SurfaceInterface};
use super::calling;
use super::session::Session;
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Result};
use crate::sync::lock;

/// One reference to a surface, given back when it is dropped.
pub(crate) struct Surface {
    frame: NonNull<FrameSurface>,
    /// How it is mapped to be read, while it is: once for all readers.
    readers: Mutex<Weak<Mapped>>,
    session: Arc<Session>,
}

// SAFETY: the runtime takes calls for a surface from any thread. What it writes into the structure it writes within calls:
// those of mapping happen under the lock, all others before anybody else has the surface.
unsafe impl Send for Surface {}
// SAFETY: as above.
unsafe impl Sync for Surface {}

impl fmt::Debug for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        f.debug_struct("Surface").field("size", &(info.width, info.height)).finish_non_exhaustive()
    }
}

impl Surface {
    /// Takes over a reference; `None` where there is no surface, or one without functions.
    ///
    /// # Safety
    /// Null, or a surface of this session's runtime of which the caller gives one reference away.
    pub(super) unsafe fn of(frame: *mut FrameSurface, session: &Arc<Session>) -> Option<Self> {
        let frame = NonNull::new(frame)?;
        // SAFETY: a surface of the runtime's.
        let has_functions = unsafe { !frame.as_ref().interface.is_null() };
        has_functions.then(|| Self { frame, readers: Mutex::default(), session: Arc::clone(session) })
    }

    pub(super) const fn as_ptr(&self) -> *mut FrameSurface {
        self.frame.as_ptr()
    }

    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn info(&self) -> FrameInfo {
        // SAFETY: the surface is alive, and its description is written before anybody has it.
        unsafe { ptr::addr_of!((*self.as_ptr()).info).read() }
    }

    /// The timestamp of its bitstream.
    pub(crate) fn timestamp(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (*self.as_ptr()).data.timestamp }
    }

    /// Gives it a timestamp of its holder's.
    pub(crate) fn stamp(&mut self, timestamp: u64) {
        // SAFETY: as above, and nobody else has the surface (`&mut self`).
        unsafe { (*self.as_ptr()).data.timestamp = timestamp };
    }

    /// Waits until what fills it is done.
    ///
    /// # Errors
    /// The operation failed; the GPU does not answer.
    pub(super) fn synchronize(&self) -> Result<()> {
        const CALL: &str = "mfxFrameSurfaceInterface::Synchronize";
        let synchronize = self.interface().synchronize.ok_or_else(|| wrong("no function to wait for it"))?;
        // SAFETY: a surface that is alive.
        self.session
            .wait_with(CALL, |milliseconds| Status(unsafe { synchronize(self.as_ptr(), milliseconds) }))
    }

    /// Whether somebody reads it at the moment.
    pub(crate) fn is_mapped(&self) -> bool {
        lock(&self.readers).strong_count() > 0
    }

    /// Whether the decoder had to mend it.
    pub(crate) fn is_corrupted(&self) -> bool {
        // SAFETY: as above; after the operation is done.
        unsafe { (*self.as_ptr()).data.corrupted != 0 }
    }

    fn interface(&self) -> &SurfaceInterface {
        // SAFETY: not null, as was looked at; it lives as long as the surface.
        unsafe { &*(*self.as_ptr()).interface }
    }

    fn map(&self, flags: u32) -> Result<View> {
        const CALL: &str = "mfxFrameSurfaceInterface::Map";
        let map = self.interface().map.ok_or_else(|| wrong("no function to map it"))?;
        // SAFETY: a surface that is alive.
        Status(calling(CALL, || unsafe { map(self.as_ptr(), flags) })).ok(CALL)?;
        // SAFETY: as above; the pointers were written by the call.
        let data = unsafe { ptr::addr_of!((*self.as_ptr()).data).read() };
        View::of(&self.info(), &data).inspect_err(|_| self.unmap())
    }

    fn unmap(&self) {
        if let Some(unmap) = self.interface().unmap {
            // SAFETY: a surface that is alive, and was mapped.
            calling("mfxFrameSurfaceInterface::Unmap", || unsafe { unmap(self.as_ptr()) });
        }
    }

    /// The memory of its planes (those of [`View`]) with the bytes from row to row. It is the surface's own, which stays alive
    /// and mapped as long as any of it.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub(crate) fn read(self: &Arc<Self>) -> Result<Vec<(Bytes, usize)>> {
        let mut readers = lock(&self.readers);
        let mapped = match readers.upgrade() {
            Some(mapped) => mapped,
            None => Arc::new(Mapped { view: self.map(MAP_READ)?, surface: Arc::clone(self) }),
        };
        *readers = Arc::downgrade(&mapped);
        drop(readers);
        let planes = mapped.view.planes.iter().map(|&(base, length)| {
            let shared = Shared { _mapped: Arc::clone(&mapped), base, length };
            (Bytes::from_owner(shared), mapped.view.pitch)
        });
        Ok(planes.collect())
    }

    /// Has rows written: `write` is told the plane and the row, and gets the bytes of the row, `sizes` of each plane (bytes of
    /// a row, rows).
    ///
    /// # Errors
    /// It cannot be mapped, or has fewer or shorter rows.
    pub(crate) fn write(
        &mut self,
        sizes: &[(usize, usize)],
        mut write: impl FnMut(usize, usize, &mut [u8]),
    ) -> Result<()> {
        let view = self.map(MAP_WRITE)?;
        let fits = |(&(bytes, rows), &(_, length)): (&(usize, usize), &(NonNull<u8>, usize))| {
            bytes <= view.pitch && rows.checked_mul(view.pitch).is_some_and(|all| all <= length)
        };
        let fits = sizes.len() <= view.planes.len() && sizes.iter().zip(&view.planes).all(fits);
        if fits {
            for (plane, (&(bytes, rows), &(base, _))) in sizes.iter().zip(&view.planes).enumerate() {
                for row in 0..rows {
                    // SAFETY: the row lies within the plane, whose memory is there while it is mapped; nobody else has the
                    // surface (`&mut self`).
                    let row_of =
                        unsafe { std::slice::from_raw_parts_mut(base.add(row * view.pitch).as_ptr(), bytes) };
                    write(plane, row, row_of);
                }
            }
        }
        self.unmap();
        if fits { Ok(()) } else { Err(wrong("fewer or shorter rows than the picture")) }
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        if let Some(release) = self.interface().release {
            // SAFETY: a surface that is alive, and this reference is not used afterwards.
            calling("mfxFrameSurfaceInterface::Release", || unsafe { release(self.as_ptr()) });
        }
    }
}

/// Where the memory of a mapped surface is: two planes of 4:2:0, one of everything else.
struct View {
    /// Beginning and bytes.
    planes: Vec<(NonNull<u8>, usize)>,
    pitch: usize,
}

/// The longest row that there can be: 65,535 columns of 8 bytes, with padding.
const MOST_PITCH: usize = 1 << 20;

/// Bytes of the first plane for each column of the picture.
const fn bytes_of_a_column(fourcc: u32) -> usize {
    match fourcc {
        FOURCC_P010 | FOURCC_P016 | FOURCC_YUY2 => 2,
        FOURCC_AYUV | FOURCC_RGB4 | FOURCC_Y410 | FOURCC_Y210 | FOURCC_Y216 => 4,
        FOURCC_Y416 => 8,
        _ => 1,
    }
}

impl View {
    fn of(info: &FrameInfo, data: &FrameData) -> Result<Self> {
        let pitch = usize::from(data.pitch_high) << 16 | usize::from(data.pitch_low);
        let (columns, rows) = (usize::from(info.width), usize::from(info.height));
        let row_bytes = columns * bytes_of_a_column(info.fourcc);
        // What is longer than this is no padding.
        if pitch < row_bytes || pitch > MOST_PITCH {
            return Err(wrong("rows of a length that cannot be"));
        }
        let length = |rows: usize| {
            let length =
                pitch.checked_mul(rows).filter(|length| *length > 0 && isize::try_from(*length).is_ok());
            length.ok_or_else(|| wrong("rows without bytes, or no rows"))
        };
        // The first sample of each pixel in memory.
        let planes = match info.fourcc {
            FOURCC_NV12 | FOURCC_P010 | FOURCC_P016 => vec![(data.y, rows), (data.uv, rows.div_ceil(2))],
            FOURCC_Y410 | FOURCC_Y416 => vec![(data.uv, rows)],
            // V of AYUV, B of RGB4.
            FOURCC_AYUV | FOURCC_RGB4 => vec![(data.v, rows)],
            _ => vec![(data.y, rows)],
        };
        let plane = |(base, rows)| {
            Ok::<_, Error>((NonNull::new(base).ok_or_else(|| wrong("no memory"))?, length(rows)?))
        };
        Ok(Self { planes: planes.into_iter().map(plane).collect::<Result<_>>()?, pitch })
    }
}

fn wrong(detail: &str) -> Error {
    Error::Backend {
        backend: BackendKind::Qsv,
        call: "mfxFrameSurfaceInterface::Map",
        code: 0,
        detail: format!("the surface has {detail}"),
    }
}

/// A surface that is mapped to be read, kept alive.
struct Mapped {
    view: View,
    surface: Arc<Surface>,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Whoever maps it again meanwhile does so before or after.
        let _readers = lock(&self.surface.readers);
        self.surface.unmap();
    }
}

/// Memory of a mapped surface.
struct Shared {
    _mapped: Arc<Mapped>,
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory is only read, and stays where it is while the surface is mapped; that may end on another thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as many bytes as the rows of the plane have, alive and unchanged while it is mapped.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a driver answers is looked at before any of it is read.
    #[test]
    fn absurd_surfaces_are_refused() {
        let mut memory = [0_u8; 16];
        let base = memory.as_mut_ptr();
        let view =
            |fourcc, (width, height): (u16, u16), pitch: u32, (y, uv, v): (*mut u8, *mut u8, *mut u8)| {
                let info = FrameInfo { fourcc, width, height, ..FrameInfo::default() };
                let (pitch_high, pitch_low) = ((pitch >> 16) as u16, (pitch & 0xffff) as u16);
                View::of(&info, &FrameData { pitch_high, pitch_low, y, uv, v, ..FrameData::default() })
            };
        let (all, none) = ((base, base, base), (ptr::null_mut(), base, base));
        let whole = view(FOURCC_NV12, (64, 33), 128, all).ok().unwrap();
        assert_eq!(whole.planes.iter().map(|plane| plane.1).collect::<Vec<_>>(), [33 * 128, 17 * 128]);
        for (fourcc, size, pitch, pointers) in [
            (FOURCC_NV12, (64, 32), 63, all),
            (FOURCC_NV12, (64, 32), u32::MAX, all),
            (FOURCC_NV12, (64, 0), 64, all),
            (FOURCC_NV12, (0, 32), 0, all),
            (FOURCC_NV12, (64, 32), 64, none),
            (FOURCC_P010, (64, 32), 127, all),
            (FOURCC_Y410, (64, 32), 255, all),
            (FOURCC_Y416, (u16::MAX, u16::MAX), 500_000, all),
        ] {
            let made = view(fourcc, size, pitch, pointers);
            assert!(matches!(made, Err(Error::Backend { .. })), "{fourcc:#x} {size:?} {pitch}");
        }
    }
}
