//! A conversion as the kernels take it: which kernel, how many threads, and the structure of arguments.

use std::ffi::CStr;
use std::mem::offset_of;

use crate::backend::nvidia::driver::module::Shape;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::DevicePlane;
use crate::pixel::{Chroma, PixelFormat, PlaneLayout};
use crate::transform::Linear;

/// The kernels, in the order in which [`Plan::kernel`] counts them.
pub(super) const KERNELS: [&CStr; 9] = [
    c"vhw_convert_semi8",
    c"vhw_convert_semi16",
    c"vhw_convert_planar8",
    c"vhw_convert_planar16",
    c"vhw_scale_semi8",
    c"vhw_scale_semi16",
    c"vhw_scale_planar8",
    c"vhw_scale_planar16",
    c"vhw_shift16",
];
const FIRST_SCALE: usize = 4;
const SHIFT: usize = 8;

/// Threads of a block: a warp is a row of 32.
const BLOCK: [u32; 3] = [32, 8, 1];
/// Longest side. The kernels' positions are exact up to here, and no decoder goes further.
const LONGEST_SIDE: u32 = 16384;
/// A thread that scales reads the square of twice this at most.
const STRONGEST_REDUCTION: u32 = 64;

/// Samples as the decoder wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) format: PixelFormat,
    pub(crate) dimensions: Dimensions,
    /// Bits by which 16-bit samples must be shifted right to be those of `format`.
    pub(crate) shift: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Plane {
    address: u64,
    pitch: u64,
}

/// `Arguments` of kernels.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Arguments {
    source: [Plane; 3],
    target: [Plane; 3],
    width: u32,
    height: u32,
    source_width: u32,
    source_height: u32,
    shift: u32,
    kind: u32,
    source_aligned: u32,
    target_aligned: u32,
    rows: [[f32; 3]; 3],
    offset: [f32; 2],
    most: f32,
}

const _: () = {
    assert!(size_of::<Arguments>() == 176 && align_of::<Arguments>() == 8);
    assert!(offset_of!(Arguments, target) == 48 && offset_of!(Arguments, width) == 96);
    assert!(offset_of!(Arguments, shift) == 112 && offset_of!(Arguments, target_aligned) == 124);
    assert!(offset_of!(Arguments, rows) == 128 && offset_of!(Arguments, offset) == 164);
    assert!(offset_of!(Arguments, most) == 172);
};

/// How the kernels write a format.
#[derive(Clone, Copy)]
struct Target {
    /// `Target` of kernels.cu.
    kind: u32,
    /// Channels in the order of memory: whether B comes before R.
    reversed: bool,
    /// Alignment, in bytes, at which four pixels are written at once.
    alignment: u64,
}

const fn target_of(format: PixelFormat) -> Option<Target> {
    const fn packed(kind: u32, reversed: bool, alignment: u64) -> Target {
        Target { kind, reversed, alignment }
    }
    Some(match format {
        PixelFormat::Rgb24 => packed(0, false, 4),
        PixelFormat::Bgr24 => packed(0, true, 4),
        PixelFormat::Rgba => packed(1, false, 16),
        PixelFormat::Bgra => packed(1, true, 16),
        PixelFormat::Argb => packed(2, false, 16),
        PixelFormat::Abgr => packed(2, true, 16),
        PixelFormat::RgbF32Planar => Target { kind: 3, reversed: false, alignment: 16 },
        _ => return None,
    })
}

/// The kernel of a source layout, counted from the first of its group.
const fn source_kernel(format: PixelFormat) -> Option<usize> {
    match format {
        PixelFormat::Nv12 => Some(0),
        PixelFormat::P010 | PixelFormat::P016 => Some(1),
        PixelFormat::I444 => Some(2),
        PixelFormat::I410 | PixelFormat::I412 => Some(3),
        _ => None,
    }
}

/// Whether the kernels convert between these formats; a format to itself moves samples to the low bits.
pub(super) fn supported(from: PixelFormat, to: PixelFormat) -> bool {
    match source_kernel(from) {
        None => false,
        Some(_) if from == to => shifts_itself(from),
        Some(_) => target_of(to).is_some(),
    }
}

fn shifts_itself(format: PixelFormat) -> bool {
    format.layout() == PlaneLayout::Planar(Chroma::Yuv444) && format.bytes_per_sample() == 2
}

/// Everything about a conversion but the addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    from: Source,
    to: PixelFormat,
    to_size: Dimensions,
    /// Index into [`KERNELS`].
    pub(super) kernel: usize,
    pub(super) shape: Shape,
    arguments: Arguments,
    source_alignment: u64,
    target_alignment: u64,
}

impl Plan {
    pub(super) fn new(from: Source, to: PixelFormat, color: ColorInfo, to_size: Dimensions) -> Result<Self> {
        let refused = || Error::unsupported(format!("conversion of {} to {to} on the GPU", from.format));
        let layout = source_kernel(from.format).filter(|_| supported(from.format, to)).ok_or_else(refused)?;
        let bytes = from.format.bytes_per_sample() as u64;
        // P010 has its samples in the high bits by definition; those of P016 count as they are.
        let padding = if from.format == PixelFormat::P010 { 6 } else { 0 };
        if (bytes == 1 && from.shift > 0) || from.shift + padding > 15 {
            return Err(Error::invalid(format!("samples of {} shifted by {}", from.format, from.shift)));
        }
        let scaled = from.dimensions != to_size;
        check_sizes(from.dimensions, to_size)?;
        let mut arguments = Arguments {
            width: to_size.width(),
            height: to_size.height(),
            source_width: from.dimensions.width(),
            source_height: from.dimensions.height(),
            shift: from.shift + padding,
            ..Arguments::default()
        };
        let (width, height) = (to_size.width(), to_size.height());
        let (kernel, threads, target_alignment) = match target_of(to) {
            None if scaled => return Err(refused()),
            None => (SHIFT, [width.div_ceil(4), height, 3], 8),
            Some(target) => {
                arguments.set_colors(from, to, target, color)?;
                let (kernel, threads) = if scaled {
                    (FIRST_SCALE + layout, [width, height, 1])
                } else {
                    (layout, [width.div_ceil(4), height.div_ceil(2), 1])
                };
                (kernel, threads, target.alignment)
            }
        };
        let grid = [0, 1, 2].map(|axis| threads[axis].div_ceil(BLOCK[axis]));
        Ok(Self {
            from,
            to,
            to_size,
            kernel,
            shape: Shape { grid, block: BLOCK },
            arguments,
            source_alignment: 4 * bytes,
            target_alignment,
        })
    }

    /// The arguments for these planes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for planes that are not those of the two pictures.
    pub(super) fn arguments(&self, source: &[DevicePlane], target: &[DevicePlane]) -> Result<Arguments> {
        check_planes(self.from.format, self.from.dimensions, source)?;
        check_planes(self.to, self.to_size, target)?;
        let plane_of = |from: &DevicePlane| Plane { address: from.address, pitch: from.pitch as u64 };
        let aligned = |planes: &[DevicePlane], to: u64| {
            planes.iter().all(|one| one.address.is_multiple_of(to) && (one.pitch as u64).is_multiple_of(to))
        };
        // Words of samples are words: hardware faults on others.
        let word = |format: PixelFormat| format.bytes_per_sample() as u64;
        if !aligned(source, word(self.from.format)) || !aligned(target, word(self.to)) {
            return Err(Error::invalid("planes whose samples lie between their words"));
        }
        let mut arguments = self.arguments;
        for (to, from) in arguments.source.iter_mut().zip(source) {
            *to = plane_of(from);
        }
        for (to, from) in arguments.target.iter_mut().zip(target) {
            *to = plane_of(from);
        }
        arguments.source_aligned = u32::from(aligned(source, self.source_alignment));
        arguments.target_aligned = u32::from(aligned(target, self.target_alignment));
        Ok(arguments)
    }
}

impl Arguments {
    fn set_colors(&mut self, from: Source, to: PixelFormat, target: Target, color: ColorInfo) -> Result<()> {
        let mut linear = Linear::to_rgb(from.format, color, from.dimensions, to)?;
        if target.reversed {
            linear.rows.reverse();
        }
        self.rows = linear.rows;
        self.offset = linear.offset;
        self.kind = target.kind;
        self.most = linear.most;
        Ok(())
    }
}

fn check_sizes(from: Dimensions, to: Dimensions) -> Result<()> {
    let sides = [(from.width(), to.width()), (from.height(), to.height())];
    let fits =
        |(from, to): (u32, u32)| from.max(to) <= LONGEST_SIDE && from.div_ceil(STRONGEST_REDUCTION) <= to;
    if sides.into_iter().all(fits) {
        return Ok(());
    }
    Err(Error::unsupported(format!("conversion of {from} to {to} pictures on the GPU")))
}

fn check_planes(format: PixelFormat, size: Dimensions, planes: &[DevicePlane]) -> Result<()> {
    let fits = planes.len() == format.plane_count()
        && planes.iter().enumerate().all(|(index, plane)| {
            format.plane_size(index, size).is_some_and(|needed| {
                plane.row_bytes >= needed.row_bytes
                    && plane.rows >= needed.rows
                    && plane.pitch >= needed.row_bytes
            })
        });
    if fits {
        return Ok(());
    }
    Err(Error::invalid(format!("{planes:?} are not the planes of a {size} {format} picture")))
}
