//! A conversion as the kernel takes it: its arguments, how many threads, and how the result lies.

use std::mem::offset_of;

use crate::backend::videotoolbox::driver::abi::Size;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::DevicePlane;
use crate::pixel::PixelFormat;
use crate::transform::Linear;

/// Longest side: what Metal's textures have, and the kernel's counting takes.
const LONGEST_SIDE: u32 = 16384;
/// Threads of a group, as in the kernel's text.
pub(super) const GROUP: Size = Size { width: 32, height: 8, depth: 1 };
/// What a thread makes.
const PIXELS: u32 = 4;
const ROWS: u32 = 2;
const WORD: usize = size_of::<u32>();

/// `Arguments` of kernel.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Arguments {
    rows: [[u32; 4]; 3],
    luma: u32,
    chroma: u32,
    shift: u32,
    kind: u32,
    width: u32,
    height: u32,
    pitch: u32,
    plane: u32,
}

/// Words of [`Arguments`].
pub(super) const ARGUMENTS: usize = 20;

const _: () = {
    assert!(size_of::<Arguments>() == ARGUMENTS * WORD && align_of::<Arguments>() == WORD);
    assert!(offset_of!(Arguments, luma) == 48 && offset_of!(Arguments, plane) == 76);
};

impl Arguments {
    /// As they lie in memory.
    const fn words(&self) -> [u32; ARGUMENTS] {
        let [a, b, c] = self.rows;
        let Self { luma, chroma, shift, kind, width, height, pitch, plane, .. } = *self;
        [
            a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], luma, chroma, shift,
            kind, width, height, pitch, plane,
        ]
    }
}

/// How the kernel writes a format.
#[derive(Clone, Copy)]
struct Target {
    /// `kind` of kernel.wgsl.
    kind: u32,
    /// Channels in the order of memory: whether B comes before R.
    reversed: bool,
    /// Words that four pixels take in a plane.
    words: u32,
}

const fn target_of(format: PixelFormat) -> Option<Target> {
    let (kind, reversed, words) = match format {
        PixelFormat::Rgb24 => (0, false, 3),
        PixelFormat::Bgr24 => (0, true, 3),
        PixelFormat::Rgba => (1, false, PIXELS),
        PixelFormat::Bgra => (1, true, PIXELS),
        PixelFormat::Argb => (2, false, PIXELS),
        PixelFormat::Abgr => (2, true, PIXELS),
        PixelFormat::RgbF32Planar => (3, false, PIXELS),
        _ => return None,
    };
    Some(Target { kind, reversed, words })
}

/// Bits below a sample in its word.
const fn shift_of(format: PixelFormat) -> Option<u32> {
    match format {
        PixelFormat::Nv12 => Some(0),
        PixelFormat::P010 => Some(6),
        _ => None,
    }
}

/// Whether the kernel converts between these formats.
pub(in crate::backend::videotoolbox) const fn supported(from: PixelFormat, to: PixelFormat) -> bool {
    shift_of(from).is_some() && target_of(to).is_some()
}

/// Everything about a conversion but the memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    to: PixelFormat,
    dimensions: Dimensions,
    arguments: Arguments,
}

impl Plan {
    /// Of pictures of this size.
    ///
    /// # Errors
    /// Formats, colours and sizes that the kernel does not take.
    pub(super) fn new(
        from: PixelFormat,
        dimensions: Dimensions,
        color: ColorInfo,
        to: PixelFormat,
    ) -> Result<Self> {
        let shift = shift_of(from).ok_or_else(|| refused(from, to))?;
        Self::of(&Linear::to_rgb(from, color, dimensions, to)?, shift, dimensions, to)
    }

    /// Of samples that are words shifted right by this.
    pub(super) fn of(linear: &Linear, shift: u32, dimensions: Dimensions, to: PixelFormat) -> Result<Self> {
        let target = target_of(to).ok_or_else(|| refused(PixelFormat::Nv12, to))?;
        let (width, height) = (dimensions.width(), dimensions.height());
        if width.max(height) > LONGEST_SIDE {
            return Err(Error::unsupported(format!("conversion of {dimensions} pictures by Metal")));
        }
        let mut rows = linear.rows.map(|[y, cb, cr]| [y.to_bits(), cb.to_bits(), cr.to_bits(), 0]);
        if target.reversed {
            rows.reverse();
        }
        let pitch = width.div_ceil(PIXELS) * target.words;
        let [luma, chroma] = linear.offset.map(|offset| offset as u32);
        let arguments = Arguments {
            rows,
            luma,
            chroma,
            shift,
            kind: target.kind,
            width,
            height,
            pitch,
            plane: pitch * height,
        };
        Ok(Self { to, dimensions, arguments })
    }

    pub(super) const fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// The kernel's arguments for a picture that begins at this column and row of its buffer, both even.
    pub(super) const fn arguments_at(&self, (left, top): (u32, u32)) -> [u32; ARGUMENTS] {
        let mut at = self.arguments;
        at.rows[0][3] = left;
        at.rows[1][3] = top;
        at.words()
    }

    /// Groups of threads.
    pub(super) fn groups(&self) -> Size {
        let groups = |length: u32, each: u32, group: usize| (length.div_ceil(each) as usize).div_ceil(group);
        Size {
            width: groups(self.arguments.width, PIXELS, GROUP.width),
            height: groups(self.arguments.height, ROWS, GROUP.height),
            depth: 1,
        }
    }

    /// Bytes of the result, gaps at the ends of rows included.
    pub(super) fn bytes(&self) -> usize {
        self.to.plane_count() * self.arguments.plane as usize * WORD
    }

    /// Where the planes of the result lie in its memory.
    pub(super) fn planes(&self) -> Vec<DevicePlane> {
        let place = |index: usize| {
            let size = self.to.plane_size(index, self.dimensions)?;
            Some(DevicePlane {
                address: (index * self.arguments.plane as usize * WORD) as u64,
                pitch: self.arguments.pitch as usize * WORD,
                row_bytes: size.row_bytes,
                rows: size.rows,
            })
        };
        (0..self.to.plane_count()).filter_map(place).collect()
    }
}

fn refused(from: PixelFormat, to: PixelFormat) -> Error {
    Error::unsupported(format!("conversion of {from} to {to} by Metal"))
}
