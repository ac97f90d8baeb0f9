//! `CVPixelBuffer`: planes in memory, locks, attachments.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::memory::{ALIGNMENT, Free, Memory};
use crate::core::pointer::{NULL, Ref};
use crate::core::report::locked;
use crate::core::{Out, breach, exports, rules};
use crate::foundation::collection::{Array, Dictionary};
use crate::foundation::object::{Held, Kind, Typed, find, find_optional};
use crate::foundation::value::{Number, Text};
use crate::media::format::fourcc;
use crate::{OK, Status};

/// `kCVReturnInvalidArgument`
pub const INVALID_ARGUMENT: Status = -6661;
/// `kCVReturnAllocationFailed`
pub const ALLOCATION_FAILED: Status = -6662;
const INVALID_PIXEL_FORMAT: Status = -6680;
const INVALID_SIZE: Status = -6681;
const INVALID_ATTRIBUTES: Status = -6682;
const ERROR: Status = -6660;

/// How the samples of a pixel format lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// Two planes; of 16 bits with the value on top where there are more than 8.
    Biplanar {
        /// Bits that count.
        depth: u32,
        /// All values, and not the video range.
        full: bool,
    },
    /// Four bytes: blue, green, red, alpha.
    Bgra,
}

/// The pixel formats that are simulated.
pub const FORMATS: [(u32, Samples); 13] = [
    (u32::from_be_bytes(*b"420v"), Samples::Biplanar { depth: 8, full: false }),
    (u32::from_be_bytes(*b"420f"), Samples::Biplanar { depth: 8, full: true }),
    (u32::from_be_bytes(*b"x420"), Samples::Biplanar { depth: 10, full: false }),
    (u32::from_be_bytes(*b"xf20"), Samples::Biplanar { depth: 10, full: true }),
    (u32::from_be_bytes(*b"BGRA"), Samples::Bgra),
    (u32::from_be_bytes(*b"422v"), Samples::Biplanar { depth: 8, full: false }),
    (u32::from_be_bytes(*b"422f"), Samples::Biplanar { depth: 8, full: true }),
    (u32::from_be_bytes(*b"x422"), Samples::Biplanar { depth: 10, full: false }),
    (u32::from_be_bytes(*b"xf22"), Samples::Biplanar { depth: 10, full: true }),
    (u32::from_be_bytes(*b"444v"), Samples::Biplanar { depth: 8, full: false }),
    (u32::from_be_bytes(*b"444f"), Samples::Biplanar { depth: 8, full: true }),
    (u32::from_be_bytes(*b"x444"), Samples::Biplanar { depth: 10, full: false }),
    (u32::from_be_bytes(*b"xf44"), Samples::Biplanar { depth: 10, full: true }),
];

/// The subsampling of a format: 420, 422 or 444.
pub fn chroma(format: u32) -> u32 {
    let name = format.to_be_bytes();
    match (&name[..3], &name[2..]) {
        (b"422", _) | (_, b"22") => 422,
        (b"444", _) | (_, b"44") => 444,
        _ => 420,
    }
}

/// How the samples of a format lie; none for one that is not simulated.
pub fn samples(format: u32) -> Option<Samples> {
    FORMATS.iter().find(|(at, _)| *at == format).map(|(_, samples)| *samples)
}

/// The biplanar format of a depth, a range and a subsampling.
pub fn biplanar(depth: u32, full: bool, subsampling: u32) -> u32 {
    let wanted = Samples::Biplanar { depth: if depth > 8 { 10 } else { 8 }, full };
    let fits = |(format, samples): &&(u32, Samples)| *samples == wanted && chroma(*format) == subsampling;
    FORMATS.iter().find(fits).map_or(0, |(format, _)| *format)
}

/// Width and height of a plane of chroma.
pub const fn chroma_size(chroma: u32, width: usize, height: usize) -> (usize, usize) {
    match chroma {
        444 => (width, height),
        422 => (width.div_ceil(2), height),
        _ => (width.div_ceil(2), height.div_ceil(2)),
    }
}

/// One plane.
#[derive(Debug, Clone, Copy)]
pub struct Plane {
    /// In pixels: pairs of samples in the plane of chroma.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes of a row that count.
    pub row: usize,
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// Bytes from the start of the memory.
    pub offset: usize,
}

/// `IOSurface`: that there is one.
#[derive(Debug)]
struct Surface;

impl Typed for Surface {
    const KIND: Kind = Kind::IOSurface;
}

#[derive(Debug, Default)]
struct Locks {
    reading: usize,
    writing: usize,
}

/// `CVPixelBuffer`
#[derive(Debug)]
pub struct Pixels {
    /// Four characters.
    pub format: u32,
    /// How its samples lie.
    pub samples: Samples,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Its planes; one for a format without planes.
    pub planes: Vec<Plane>,
    memory: Memory,
    locks: Mutex<Locks>,
    encoders: AtomicUsize,
    attachments: Mutex<Vec<(String, Held, u32)>>,
    surface: Option<Held>,
    metal: bool,
}

impl Typed for Pixels {
    const KIND: Kind = Kind::CVPixelBuffer;

    fn released(&self) {
        let locks = locked(&self.locks);
        if locks.reading + locks.writing > 0 {
            breach(&rules::RELEASED_LOCKED, format!("{} locks are left", locks.reading + locks.writing));
        }
    }
}

/// What a client asks of pixel buffers by a dictionary of attributes.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// In order of preference; empty: any.
    pub formats: Vec<u32>,
    /// In pixels.
    pub width: Option<usize>,
    /// In pixels.
    pub height: Option<usize>,
    /// Of rows; 0: whatever fits.
    pub alignment: usize,
    /// With an `IOSurface`.
    pub surface: bool,
    /// For Metal.
    pub metal: bool,
}

impl Attributes {
    /// Reads a dictionary.
    pub fn of(dictionary: Option<&Dictionary>) -> Self {
        let Some(dictionary) = dictionary else { return Self::default() };
        let size = |key| dictionary.number(key).and_then(|number| usize::try_from(number.int()).ok());
        let format = dictionary.get("PixelFormatType");
        let formats = match format.as_ref().and_then(Held::get::<Array>) {
            Some(list) => list.objects(),
            None => format.into_iter().collect(),
        };
        Self {
            // Numbers of 32 bits, whose highest may be set and so make them negative.
            formats: formats.iter().filter_map(|format| Some(format.get::<Number>()?.int() as u32)).collect(),
            width: size("Width"),
            height: size("Height"),
            alignment: size("BytesPerRowAlignment").unwrap_or(0),
            surface: dictionary.get("IOSurfaceProperties").is_some(),
            metal: dictionary.truth("MetalCompatibility").unwrap_or(false),
        }
    }
}

impl Pixels {
    /// A buffer, with memory of the pool where there is one.
    pub fn new(
        width: usize,
        height: usize,
        format: u32,
        attributes: &Attributes,
        pool: Option<&Arc<Free>>,
    ) -> Result<Self, Status> {
        let samples = samples(format).ok_or(INVALID_PIXEL_FORMAT)?;
        if width == 0 || height == 0 || width > 16384 || height > 16384 {
            return Err(INVALID_SIZE);
        }
        if attributes.alignment > 4096
            || (attributes.alignment != 0 && !attributes.alignment.is_power_of_two())
        {
            return Err(INVALID_ATTRIBUTES);
        }
        let alignment = attributes.alignment.max(ALIGNMENT);
        let shapes = match samples {
            Samples::Biplanar { depth, .. } => {
                let bytes = if depth > 8 { 2 } else { 1 };
                let (pairs, rows) = chroma_size(chroma(format), width, height);
                vec![(width, height, width * bytes), (pairs, rows, pairs * 2 * bytes)]
            }
            Samples::Bgra => vec![(width, height, width * 4)],
        };
        let mut offset = 0;
        let mut planes = Vec::new();
        for (width, height, row) in shapes {
            // Never as narrow as the row: a client that takes one for the other is to fail here and not on a customer's machine.
            let pitch = (row + 1).next_multiple_of(alignment);
            planes.push(Plane { width, height, row, pitch, offset });
            // Planes do not follow one another either.
            offset += pitch * height + 4 * ALIGNMENT;
        }
        Ok(Self {
            format,
            samples,
            width,
            height,
            planes,
            memory: Memory::new(offset, pool).ok_or(ALLOCATION_FAILED)?,
            locks: Mutex::default(),
            encoders: AtomicUsize::new(0),
            attachments: Mutex::default(),
            surface: attributes.surface.then(|| Held::new(Surface)),
            metal: attributes.metal && attributes.surface,
        })
    }

    /// Whether Metal can read it.
    pub fn metal(&self) -> bool {
        self.metal
    }

    /// Where a plane begins, for the simulation itself.
    pub fn memory(&self, plane: &Plane) -> *const u8 {
        self.memory.address().wrapping_add(plane.offset)
    }

    /// Copies a row of a plane out.
    pub fn read(&self, plane: &Plane, y: usize, row: &mut Vec<u8>) {
        row.resize(plane.row, 0);
        self.memory.read(plane.offset + y * plane.pitch, row);
    }

    /// Copies a row of a plane in.
    pub fn write(&self, plane: &Plane, y: usize, row: &[u8]) {
        self.memory.write(plane.offset + y * plane.pitch, &row[..row.len().min(plane.row)]);
    }

    /// An encoder begins to own the contents.
    pub fn encoder_begins(&self) {
        if locked(&self.locks).writing > 0 {
            breach(&rules::INPUT_CHANGED, "given to an encoder while it is locked for writing");
        }
        self.encoders.fetch_add(1, Ordering::SeqCst);
    }

    /// An encoder is done with it.
    pub fn encoder_ends(&self) {
        self.encoders.fetch_sub(1, Ordering::SeqCst);
    }

    /// Puts an attachment on, in place of one of that name.
    pub fn attach(&self, key: &str, value: Held, mode: u32) {
        let mut attachments = locked(&self.attachments);
        let old = attachments.iter().position(|(at, ..)| at == key).map(|at| attachments.swap_remove(at));
        attachments.push((key.into(), value, mode));
        drop(attachments);
        drop(old);
    }

    /// An attachment with its mode.
    pub fn attachment(&self, key: &str) -> Option<(Held, u32)> {
        locked(&self.attachments)
            .iter()
            .find(|(at, ..)| at == key)
            .map(|(_, value, mode)| (value.clone(), *mode))
    }

    /// All attachments that go along with the contents.
    pub fn propagated(&self) -> Vec<(String, Held)> {
        let attachments = locked(&self.attachments);
        attachments
            .iter()
            .filter(|(.., mode)| *mode == 1)
            .map(|(key, value, _)| (key.clone(), value.clone()))
            .collect()
    }

    fn lock(&self, flags: u64) {
        let mut locks = locked(&self.locks);
        if flags & 1 == 1 {
            locks.reading += 1;
            return;
        }
        locks.writing += 1;
        drop(locks);
        if self.encoders.load(Ordering::SeqCst) > 0 {
            breach(&rules::INPUT_CHANGED, "locked for writing while an encoder has it");
        }
    }

    fn unlock(&self, flags: u64) -> Status {
        let mut locks = locked(&self.locks);
        let Locks { reading, writing } = &mut *locks;
        let (wanted, other) = if flags & 1 == 1 { (reading, writing) } else { (writing, reading) };
        let (rule, detail) = match (&mut *wanted, &mut *other) {
            (1.., _) => {
                *wanted -= 1;
                return OK;
            }
            (_, 1..) => {
                *other -= 1;
                (&rules::UNLOCK_FLAGS, format!("unlocked with flags {flags}, locked with others"))
            }
            _ => (&rules::UNLOCK_WITHOUT_LOCK, "not locked".into()),
        };
        drop(locks);
        breach(rule, detail);
        ERROR
    }

    fn base(&self, plane: Option<&Plane>) -> *mut c_void {
        let locks = locked(&self.locks);
        let unlocked = locks.reading + locks.writing == 0;
        drop(locks);
        if unlocked {
            breach(&rules::BASE_UNLOCKED, "the buffer is not locked");
            return std::ptr::null_mut();
        }
        match plane {
            Some(plane) => self.memory.address().wrapping_add(plane.offset).cast(),
            None => std::ptr::null_mut(),
        }
    }

    fn is_planar(&self) -> bool {
        self.samples != Samples::Bgra
    }
}

/// Reads something of a plane.
fn plane<R: Default>(buffer: Ref, index: usize, of: impl FnOnce(&Plane) -> R) -> R {
    let Some(buffer) = find::<Pixels>(buffer) else { return R::default() };
    match buffer.planes.get(index) {
        Some(plane) => of(plane),
        None => {
            breach(&rules::INDEX, format!("plane {index} of {}", fourcc(buffer.format)));
            R::default()
        }
    }
}

exports! {
    /// A buffer of a size and a format.
    fn CVPixelBufferCreate(allocator: Ref, width: usize, height: usize, format: u32, attributes: Ref, out: Out<Ref>) -> Status = ERROR; {
        let Some(attributes) = find_optional::<Dictionary>(attributes) else { return INVALID_ATTRIBUTES };
        if out.is_null() {
            return INVALID_ARGUMENT;
        }
        match Pixels::new(width, height, format, &Attributes::of(attributes.as_deref()), None) {
            Ok(made) => {
                out.put(Held::new(made).give());
                OK
            }
            Err(status) => status,
        }
    }

    /// Makes the memory readable, and without the flag 1 writable.
    fn CVPixelBufferLockBaseAddress(buffer: Ref, flags: u64) -> Status = ERROR; {
        let Some(buffer) = find::<Pixels>(buffer) else { return INVALID_ARGUMENT };
        buffer.lock(flags);
        OK
    }

    /// Ends that.
    fn CVPixelBufferUnlockBaseAddress(buffer: Ref, flags: u64) -> Status = ERROR; {
        find::<Pixels>(buffer).map_or(INVALID_ARGUMENT, |buffer| buffer.unlock(flags))
    }

    /// Where a plane begins.
    fn CVPixelBufferGetBaseAddressOfPlane(buffer: Ref, index: usize) -> *mut c_void = std::ptr::null_mut(); {
        let Some(buffer) = find::<Pixels>(buffer) else { return std::ptr::null_mut() };
        if buffer.planes.get(index).is_none() {
            breach(&rules::INDEX, format!("plane {index} of {}", fourcc(buffer.format)));
        }
        buffer.base(buffer.planes.get(index))
    }

    /// Where the pixels begin; of planes, where the first begins.
    fn CVPixelBufferGetBaseAddress(buffer: Ref) -> *mut c_void = std::ptr::null_mut(); {
        find::<Pixels>(buffer).map_or(std::ptr::null_mut(), |buffer| buffer.base(buffer.planes.first()))
    }

    /// Bytes from one row to the next.
    fn CVPixelBufferGetBytesPerRowOfPlane(buffer: Ref, index: usize) -> usize = 0; { plane(buffer, index, |plane| plane.pitch) }

    /// Bytes from one row to the next.
    fn CVPixelBufferGetBytesPerRow(buffer: Ref) -> usize = 0; { plane(buffer, 0, |plane| plane.pitch) }

    /// Pixels of a row.
    fn CVPixelBufferGetWidthOfPlane(buffer: Ref, index: usize) -> usize = 0; { plane(buffer, index, |plane| plane.width) }

    /// Rows.
    fn CVPixelBufferGetHeightOfPlane(buffer: Ref, index: usize) -> usize = 0; { plane(buffer, index, |plane| plane.height) }

    /// In pixels.
    fn CVPixelBufferGetWidth(buffer: Ref) -> usize = 0; { find::<Pixels>(buffer).map_or(0, |buffer| buffer.width) }

    /// In pixels.
    fn CVPixelBufferGetHeight(buffer: Ref) -> usize = 0; { find::<Pixels>(buffer).map_or(0, |buffer| buffer.height) }

    /// 0 where the format has no planes.
    fn CVPixelBufferGetPlaneCount(buffer: Ref) -> usize = 0; {
        find::<Pixels>(buffer).map_or(0, |buffer| if buffer.is_planar() { buffer.planes.len() } else { 0 })
    }

    /// Whether the format has planes.
    fn CVPixelBufferIsPlanar(buffer: Ref) -> u8 = 0; { find::<Pixels>(buffer).map_or(0, |buffer| u8::from(buffer.is_planar())) }

    /// Four characters.
    fn CVPixelBufferGetPixelFormatType(buffer: Ref) -> u32 = 0; { find::<Pixels>(buffer).map_or(0, |buffer| buffer.format) }

    /// Bytes of all planes.
    fn CVPixelBufferGetDataSize(buffer: Ref) -> usize = 0; {
        find::<Pixels>(buffer).and_then(|buffer| buffer.planes.last().map(|last| last.offset + last.pitch * last.height)).unwrap_or(0)
    }

    /// The surface behind it, not to be released; null where there is none.
    fn CVPixelBufferGetIOSurface(buffer: Ref) -> Ref = NULL; {
        find::<Pixels>(buffer).and_then(|buffer| buffer.surface.as_ref().map(Held::lend)).unwrap_or(NULL)
    }

    /// Puts an attachment on.
    fn CVBufferSetAttachment(buffer: Ref, key: Ref, value: Ref, mode: u32); {
        if let (Some(buffer), Some(key), Some(value)) = (find::<Pixels>(buffer), find::<Text>(key), Held::of(value)) {
            buffer.attach(&key.0, value, mode);
        }
    }

    /// An attachment, not to be released.
    fn CVBufferGetAttachment(buffer: Ref, key: Ref, mode: Out<u32>) -> Ref = NULL; {
        attachment(buffer, key, mode).map_or(NULL, |value| value.lend())
    }

    /// An attachment, to be released.
    fn CVBufferCopyAttachment(buffer: Ref, key: Ref, mode: Out<u32>) -> Ref = NULL; {
        attachment(buffer, key, mode).map_or(NULL, Held::give)
    }

    /// All attachments of a mode, to be released; null where there are none.
    fn CVBufferCopyAttachments(buffer: Ref, mode: u32) -> Ref = NULL; {
        let Some(buffer) = find::<Pixels>(buffer) else { return NULL };
        let attachments = locked(&buffer.attachments);
        let found: Vec<_> = attachments.iter().filter(|(.., at)| *at == mode).collect();
        if found.is_empty() {
            return NULL;
        }
        Dictionary::holding(found.into_iter().map(|(key, value, _)| (key.as_str(), value.clone()))).give()
    }

    /// Takes one off.
    fn CVBufferRemoveAttachment(buffer: Ref, key: Ref); {
        let (Some(buffer), Some(key)) = (find::<Pixels>(buffer), find::<Text>(key)) else { return };
        let mut attachments = locked(&buffer.attachments);
        let gone = attachments.iter().position(|(at, ..)| *at == key.0).map(|at| attachments.swap_remove(at));
        drop(attachments);
        drop(gone);
    }
}

fn attachment(buffer: Ref, key: Ref, mode: Out<u32>) -> Option<Held> {
    let (buffer, key) = (find::<Pixels>(buffer)?, find::<Text>(key)?);
    let (value, found) = buffer.attachment(&key.0)?;
    mode.put(found);
    Some(value)
}
