//! Pictures and the memory they live in.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use crate::color::ColorInfo;
use crate::config::Crop;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::memory;
use crate::pixel::{Chroma, PixelFormat};
use crate::time::{Rational, Timestamp};
pub use crate::user_sei::UserSei;

/// One plane in host memory: `rows` rows of `row_bytes` bytes, `stride` bytes apart.
///
/// Cloning shares the memory.
#[derive(Clone, Debug)]
pub struct Plane {
    data: Bytes,
    stride: usize,
    row_bytes: usize,
    rows: usize,
}

impl Plane {
    /// The whole memory, padding included; the last row may lack its padding.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Bytes from one row to the next.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of samples in a row.
    pub const fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The samples of row `y`; empty past the last row.
    pub fn row(&self, y: usize) -> &[u8] {
        if y >= self.rows {
            return &[];
        }
        self.data.get(y * self.stride..y * self.stride + self.row_bytes).unwrap_or(&[])
    }

    /// All rows, without padding.
    pub fn iter_rows(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.rows).map(|y| self.row(y))
    }

    /// The samples as one slice when there is no padding between rows.
    pub fn as_contiguous(&self) -> Option<&[u8]> {
        if self.stride == self.row_bytes { self.data.get(..self.row_bytes * self.rows) } else { None }
    }
}

/// A picture in host memory. Cloning shares the memory.
#[derive(Clone, Debug)]
pub struct HostSurface {
    format: PixelFormat,
    dimensions: Dimensions,
    planes: Vec<Plane>,
}

impl HostSurface {
    /// From one `(memory, stride)` per plane of `format`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the number of planes, a stride or a length does not fit.
    pub fn new(
        format: PixelFormat,
        dimensions: Dimensions,
        planes: impl IntoIterator<Item = (Bytes, usize)>,
    ) -> Result<Self> {
        let mut out = Vec::with_capacity(format.plane_count());
        for (i, (data, stride)) in planes.into_iter().enumerate() {
            let Some(size) = format.plane_size(i, dimensions) else {
                return Err(Error::invalid(format!(
                    "{format} has {} planes, more were given",
                    format.plane_count()
                )));
            };
            let needed = stride
                .checked_mul(size.rows - 1)
                .and_then(|n| n.checked_add(size.row_bytes))
                .filter(|_| stride >= size.row_bytes);
            if needed.is_none_or(|n| data.len() < n) {
                return Err(Error::invalid(format!(
                    "plane {i} of a {dimensions} {format} picture has {} bytes at stride {stride}; rows need {} bytes, {} rows",
                    data.len(),
                    size.row_bytes,
                    size.rows
                )));
            }
            out.push(Plane { data, stride, row_bytes: size.row_bytes, rows: size.rows });
        }
        if out.len() != format.plane_count() {
            return Err(Error::invalid(format!(
                "{format} has {} planes, {} were given",
                format.plane_count(),
                out.len()
            )));
        }
        Ok(Self { format, dimensions, planes: out })
    }

    /// From a tightly packed buffer: all rows of all planes one after another, as in a raw video file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the length is not [`PixelFormat::frame_bytes`].
    pub fn from_packed(format: PixelFormat, dimensions: Dimensions, data: impl Into<Bytes>) -> Result<Self> {
        let data: Bytes = data.into();
        let expected = format.frame_bytes(dimensions);
        if data.len() != expected {
            return Err(Error::invalid(format!(
                "a {dimensions} {format} picture has {expected} bytes, got {}",
                data.len()
            )));
        }
        let mut offset = 0;
        let planes: Vec<_> = (0..format.plane_count())
            .filter_map(|i| format.plane_size(i, dimensions))
            .map(|size| {
                let len = size.row_bytes * size.rows;
                let plane = data.slice(offset..offset + len);
                offset += len;
                (plane, size.row_bytes)
            })
            .collect();
        Self::new(format, dimensions, planes)
    }

    /// Pixel format.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Picture size.
    pub const fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// The planes, in the order the format states.
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// Plane `index`.
    pub fn plane(&self, index: usize) -> Option<&Plane> {
        self.planes.get(index)
    }

    /// Appends the tightly packed samples (no padding) to `out`.
    pub fn write_packed(&self, out: &mut Vec<u8>) {
        out.reserve(self.format.frame_bytes(self.dimensions));
        for plane in &self.planes {
            match plane.as_contiguous() {
                Some(all) => out.extend_from_slice(all),
                None => plane.iter_rows().for_each(|row| out.extend_from_slice(row)),
            }
        }
    }

    /// The tightly packed samples. A visible copy.
    pub fn to_packed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_packed(&mut out);
        out
    }
}

/// One plane in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePlane {
    /// Address in the device's memory; in memory that has no address until it is mapped
    /// ([`DeviceSurface::is_host_memory`]), where the plane begins in it.
    pub address: u64,
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// Bytes of samples in a row.
    pub row_bytes: usize,
    /// Number of rows.
    pub rows: usize,
}

/// Makes pictures of another format of pictures that lie in a device's memory, on that device. It is made for pictures of
/// one format, size, colour and device ([`DeviceSurface::converter`]), and may be used by several threads.
pub trait DeviceConverter: std::fmt::Debug + Send + Sync {
    /// The picture in the other format, complete, in the same device's memory.
    ///
    /// # Errors
    /// A picture of another kind; no memory; a failing driver.
    fn convert(&self, picture: &DeviceSurface) -> Result<DeviceSurface>;
}

/// Memory of a device; what it holds stays as it is while this is alive.
pub trait DeviceMemory: Any + std::fmt::Debug + Send + Sync {
    /// As [`DeviceSurface::converter`], for a picture in this memory.
    ///
    /// # Errors
    /// As there.
    fn converter(
        &self,
        picture: &DeviceSurface,
        color: ColorInfo,
        to: PixelFormat,
    ) -> Result<Option<Arc<dyn DeviceConverter>>> {
        let _ = (picture, color, to);
        Ok(None)
    }

    /// The device's number, as [`crate::backend::devices`] counts.
    fn device(&self) -> u32;

    /// Copies a plane into `to`, packed; waits until it is done.
    ///
    /// # Errors
    /// A plane that is not in this memory, a buffer of another size, a lost device.
    fn download(&self, plane: &DevicePlane, to: &mut [u8]) -> Result<()>;

    /// As [`DeviceSurface::is_host_memory`].
    fn is_host_memory(&self) -> bool {
        false
    }

    /// The picture where it is, for the CPU to read, without a copy: in memory that is the host's. `None` in any other.
    ///
    /// # Errors
    /// Memory that cannot be mapped.
    fn map(&self, picture: &DeviceSurface) -> Result<Option<HostSurface>> {
        let _ = picture;
        Ok(None)
    }
}

/// A picture in a device's memory, complete: no work on it is outstanding. Cloning shares the memory. For CUDA, the
/// addresses are valid in the device's primary context.
///
/// When the last clone is dropped (on any thread, also after its session is gone) the memory goes back to a pool, and
/// another picture may be written to it at once. **Whoever reads it with work of their own on the device (a kernel or
/// a copy on a stream) has to wait for that work before dropping the surface**: the pool knows nothing of other
/// streams.
#[derive(Clone, Debug)]
pub struct DeviceSurface {
    format: PixelFormat,
    dimensions: Dimensions,
    planes: Vec<DevicePlane>,
    memory: Arc<dyn DeviceMemory>,
}

impl DeviceSurface {
    /// Over memory that a backend owns.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the planes are not those of `format`.
    pub fn new(
        format: PixelFormat,
        dimensions: Dimensions,
        planes: Vec<DevicePlane>,
        memory: Arc<dyn DeviceMemory>,
    ) -> Result<Self> {
        let fits = planes.len() == format.plane_count()
            && planes.iter().enumerate().all(|(index, plane)| {
                format.plane_size(index, dimensions).is_some_and(|size| {
                    size.row_bytes == plane.row_bytes
                        && size.rows == plane.rows
                        && plane.pitch >= size.row_bytes
                })
            });
        if fits {
            return Ok(Self { format, dimensions, planes, memory });
        }
        Err(Error::invalid(format!("{planes:?} are not the planes of a {dimensions} {format} picture")))
    }

    /// Pixel format.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Picture size.
    pub const fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// The planes, in the order the format states.
    pub fn planes(&self) -> &[DevicePlane] {
        &self.planes
    }

    /// The device's number, as [`crate::backend::devices`] counts.
    pub fn device(&self) -> u32 {
        self.memory.device()
    }

    /// What converts pictures like this one, which have this colour, where they are; `None` where nothing does.
    ///
    /// # Errors
    /// A device that should, and cannot: the CPU still can.
    pub fn converter(&self, color: ColorInfo, to: PixelFormat) -> Result<Option<Arc<dyn DeviceConverter>>> {
        self.memory.converter(self, color, to)
    }

    /// What the memory is, for a backend that looks for its own.
    pub(crate) fn memory(&self) -> &dyn Any {
        &*self.memory
    }

    /// A part of the picture, in the same memory: nothing is copied.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a part that is not inside, or that begins between two chroma samples.
    pub fn crop(&self, crop: Crop) -> Result<Self> {
        let Crop { left, top, size } = crop;
        let inside =
            |from: u32, length: u32, all: u32| from.checked_add(length).is_some_and(|end| end <= all);
        if !inside(left, size.width(), self.dimensions.width())
            || !inside(top, size.height(), self.dimensions.height())
        {
            return Err(Error::invalid(format!(
                "{size} at {left},{top} is not inside a picture of {}",
                self.dimensions
            )));
        }
        let (across, down) = self.format.chroma().map_or((0, 0), Chroma::shifts);
        if left % (1 << across) != 0 || top % (1 << down) != 0 {
            return Err(Error::invalid(format!(
                "a part of a {} picture cannot begin at {left},{top}, between two chroma samples",
                self.format
            )));
        }
        // What lies before the part in each plane is as much as a picture of that width, or height, would have.
        let before = |index: usize, length: u32| {
            Dimensions::new(length, length).and_then(|size| self.format.plane_size(index, size))
        };
        let planes = self.planes.iter().enumerate().map(|(index, plane)| {
            let rows = before(index, top).map_or(0, |size| size.rows);
            let bytes = before(index, left).map_or(0, |size| size.row_bytes);
            let own = self.format.plane_size(index, size);
            DevicePlane {
                address: plane.address + (rows * plane.pitch + bytes) as u64,
                pitch: plane.pitch,
                row_bytes: own.map_or(0, |size| size.row_bytes),
                rows: own.map_or(0, |size| size.rows),
            }
        });
        Self::new(self.format, size, planes.collect(), Arc::clone(&self.memory))
    }

    /// Whether the memory is the host's as well: [`Self::download`] maps the picture there and copies nothing.
    pub fn is_host_memory(&self) -> bool {
        self.memory.is_host_memory()
    }

    /// Brings the picture to host memory: by a copy, unless it is there.
    ///
    /// # Errors
    /// A lost device.
    pub fn download(&self) -> Result<HostSurface> {
        if let Some(mapped) = self.memory.map(self)? {
            return Ok(mapped);
        }
        let mut data = memory::filled(0, self.format.frame_bytes(self.dimensions))?;
        let mut rest = data.as_mut_slice();
        for plane in &self.planes {
            let (now, later) = rest.split_at_mut(plane.row_bytes * plane.rows);
            self.memory.download(plane, now)?;
            rest = later;
        }
        HostSurface::from_packed(self.format, self.dimensions, data)
    }
}

/// Where a picture lives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Surface {
    /// Nowhere: the session was asked for metadata only.
    None,
    /// Host memory.
    Host(HostSurface),
    /// Memory of a device.
    Device(DeviceSurface),
}

/// Which field of an interlaced picture is shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldOrder {
    /// The even rows, from row 0.
    TopFirst,
    /// The odd rows.
    BottomFirst,
    /// Neither: the picture is one field, of half the height (H.265 codes them so).
    Single,
}

/// One picture with its time and meaning.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Presentation time.
    pub pts: Timestamp,
    /// Duration in ticks of `pts`' base, where known.
    pub duration: Option<u64>,
    /// Picture size (after cropping).
    pub dimensions: Dimensions,
    /// Pixel format of the surface; for metadata-only frames, what the decoder would have delivered.
    pub format: PixelFormat,
    /// Colour description. [`ColorInfo::resolve`] fills what the stream does not state.
    pub color: ColorInfo,
    /// Sample aspect ratio, where stated.
    pub sample_aspect_ratio: Option<Rational>,
    /// The order of its two fields where the stream says that they were taken at different times; `None` for progressive
    /// pictures. Scaling in height mixes fields: deinterlace first.
    pub fields: Option<FieldOrder>,
    /// Whether the coded picture was a random access point.
    pub keyframe: bool,
    /// Whether the decoder had to mend it: part of it is a guess.
    pub concealed: bool,
    /// Asks the encoder to code this frame as an IDR picture.
    pub force_keyframe: bool,
    /// Messages for the encoder to put beside the picture (H.264 and HEVC by NVENC). Decoders give none.
    pub user_sei: Vec<UserSei>,
    /// The memory.
    pub surface: Surface,
}

impl Frame {
    /// A frame over host memory, colour unspecified.
    pub fn host(pts: Timestamp, surface: HostSurface) -> Self {
        Self {
            pts,
            duration: None,
            dimensions: surface.dimensions(),
            format: surface.format(),
            color: ColorInfo::UNSPECIFIED,
            sample_aspect_ratio: None,
            fields: None,
            keyframe: false,
            concealed: false,
            force_keyframe: false,
            user_sei: Vec::new(),
            surface: Surface::Host(surface),
        }
    }

    /// The host surface, if the picture is in host memory; never copies.
    pub fn as_host(&self) -> Option<&HostSurface> {
        match &self.surface {
            Surface::Host(host) => Some(host),
            Surface::None | Surface::Device(_) => None,
        }
    }

    /// The device surface, if the picture is in a device's memory.
    pub fn as_device(&self) -> Option<&DeviceSurface> {
        match &self.surface {
            Surface::Device(device) => Some(device),
            Surface::None | Surface::Host(_) => None,
        }
    }
}
