//! Between the planes that codecs work on and surfaces: NV12, P010, P016 and RGB4, in any size, and the packed formats that
//! decoders put out. The arithmetic is plain (nearest sample) and not Intel's; a picture that needs none of it is copied exactly.

use crate::abi::{
    self, FOURCC_AYUV, FOURCC_NV12, FOURCC_P010, FOURCC_P016, FOURCC_RGB4, FOURCC_Y210, FOURCC_Y216,
    FOURCC_Y410, FOURCC_Y416, FOURCC_YUY2, mfxFrameInfo, mfxFrameSurface1,
};
use crate::codec::decoder::Picture;

/// Bytes of a pixel in a packed format, or of a luma sample where chroma has its own plane, and whether it has.
fn pixel(fourcc: u32) -> Option<(usize, bool)> {
    Some(match fourcc {
        FOURCC_NV12 => (1, true),
        FOURCC_P010 | FOURCC_P016 => (2, true),
        FOURCC_YUY2 => (2, false),
        FOURCC_RGB4 | FOURCC_AYUV | FOURCC_Y210 | FOURCC_Y216 | FOURCC_Y410 => (4, false),
        FOURCC_Y416 => (8, false),
        _ => return None,
    })
}

/// `ChromaFormat` of a colour format.
pub fn chroma_format(fourcc: u32) -> u16 {
    match fourcc {
        FOURCC_YUY2 | FOURCC_Y210 | FOURCC_Y216 => abi::CHROMAFORMAT_YUV422,
        FOURCC_RGB4 | FOURCC_AYUV | FOURCC_Y410 | FOURCC_Y416 => abi::CHROMAFORMAT_YUV444,
        _ => abi::CHROMAFORMAT_YUV420,
    }
}

/// Whether samples of more than 8 bits are said to be at the high end of their words, as they are in video memory.
pub fn is_shifted(info: &mfxFrameInfo) -> bool {
    let has_words =
        matches!(info.FourCC, FOURCC_P010 | FOURCC_P016 | FOURCC_Y210 | FOURCC_Y216 | FOURCC_Y416);
    info.Shift != 0 || !has_words
}

/// Bytes between rows, and of the whole, as the runtime lays out a surface: rows are always wider than the picture.
pub fn layout(info: &mfxFrameInfo) -> Option<(usize, usize)> {
    let (width, height) = (usize::from(info.Width), usize::from(info.Height));
    let (bytes, biplanar) = pixel(info.FourCC)?;
    let pitch = (width * bytes).div_ceil(64) * 64 + 64;
    Some((pitch, if biplanar { pitch * height * 3 / 2 } else { pitch * height }))
}

/// Sets the pointers of a surface whose memory begins at `start`, or takes them away.
pub fn point(frame: &mut mfxFrameSurface1, start: *mut u8, pitch: usize) {
    let data = &mut frame.Data;
    (data.Pitch, data.PitchHigh) = ((pitch & 0xffff) as u16, (pitch >> 16) as u16);
    let none = std::ptr::null_mut();
    (data.Y, data.UV, data.V, data.A) = (none, none, none, none);
    if start.is_null() {
        return;
    }
    let at = |offset: usize| start.wrapping_add(offset);
    match frame.Info.FourCC {
        // Blue comes first in memory.
        FOURCC_RGB4 => (data.V, data.UV, data.Y, data.A) = (at(0), at(1), at(2), at(3)),
        FOURCC_AYUV => (data.V, data.UV, data.Y, data.A) = (at(0), at(1), at(2), at(3)),
        FOURCC_YUY2 => (data.Y, data.UV, data.V) = (at(0), at(1), at(3)),
        FOURCC_Y210 | FOURCC_Y216 => (data.Y, data.UV, data.V) = (at(0), at(2), at(6)),
        FOURCC_Y410 => data.UV = at(0),
        FOURCC_Y416 => (data.UV, data.Y, data.V, data.A) = (at(0), at(2), at(4), at(6)),
        _ => {
            let chroma = pitch * usize::from(frame.Info.Height);
            (data.Y, data.UV, data.V) = (at(0), at(chroma), at(chroma + 1));
        }
    }
}

/// Memory of a surface, as the codecs see it.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Colour format.
    pub fourcc: u32,
    pitch: usize,
    first: *mut u8,
    second: *mut u8,
    /// Rows and columns of the shown part.
    pub x: usize,
    /// See above.
    pub y: usize,
    /// See above.
    pub width: usize,
    /// See above.
    pub height: usize,
}

impl View {
    /// What a surface with pointers shows. None without pointers, or where the shown part lies outside of the surface.
    pub fn of(frame: &mfxFrameSurface1) -> Option<Self> {
        let (info, data) = (&frame.Info, &frame.Data);
        let pitch = usize::from(data.Pitch) | usize::from(data.PitchHigh) << 16;
        let (bytes, _) = pixel(info.FourCC)?;
        let (first, second) = match info.FourCC {
            FOURCC_NV12 | FOURCC_P010 | FOURCC_P016 => (data.Y, data.UV),
            FOURCC_RGB4 | FOURCC_AYUV => (data.V, data.V),
            FOURCC_Y410 | FOURCC_Y416 => (data.UV, data.UV),
            _ => (data.Y, data.Y),
        };
        let (x, y) = (usize::from(info.CropX), usize::from(info.CropY));
        let or = |crop: u16, all: u16| usize::from(if crop == 0 { all } else { crop });
        let (width, height) = (or(info.CropW, info.Width), or(info.CropH, info.Height));
        let inside = x + width <= usize::from(info.Width) && y + height <= usize::from(info.Height);
        let usable =
            !first.is_null() && !second.is_null() && pitch >= usize::from(info.Width) * bytes && inside;
        usable.then_some(Self { fourcc: info.FourCC, pitch, first, second, x, y, width, height })
    }

    /// A column that a pair of pixels begins with, where they have their chroma together.
    fn even(self, x: usize) -> usize {
        if chroma_format(self.fourcc) == abi::CHROMAFORMAT_YUV422 { x / 2 * 2 } else { x }
    }

    /// Row `y` of a plane, from the shown part's first column on. One row is in use at a time, while the surface is held.
    fn row<'a>(self, plane: usize, y: usize, bytes: usize) -> &'a mut [u8] {
        let (size, biplanar) = pixel(self.fourcc).unwrap_or((1, true));
        let (start, x, top) = match plane {
            0 if biplanar => (self.first, self.x * size, self.y),
            0 => (self.first, self.even(self.x) * size, self.y),
            _ => (self.second, self.x / 2 * 2 * size, self.y / 2),
        };
        // SAFETY: the surface's pitch and size were looked at; that the memory is there, its maker vouches for.
        unsafe { std::slice::from_raw_parts_mut(start.add(self.pitch * (top + y) + x), bytes) }
    }

    /// Writes a picture into the shown part, scaled where it has another size.
    pub fn store(&self, picture: &Picture) {
        let picture = &scaled(picture, self.width, self.height);
        match self.fourcc {
            FOURCC_RGB4 => self.store_rgb(picture),
            FOURCC_NV12 => self.store_biplanar(picture, 8),
            FOURCC_P010 => self.store_biplanar(picture, 10),
            FOURCC_P016 => self.store_biplanar(picture, 12),
            _ => self.store_packed(picture),
        }
    }

    /// 4:2:2 and 4:4:4: whole samples beside each other.
    fn store_packed(&self, picture: &Picture) {
        let depth: u32 = match self.fourcc {
            FOURCC_YUY2 | FOURCC_AYUV => 8,
            FOURCC_Y210 | FOURCC_Y410 => 10,
            _ => 12,
        };
        let from = u32::from(picture.depth);
        let (columns, rows) = picture.plane_size(1);
        let bring = |value: u16| if from > depth { value >> (from - depth) } else { value << (depth - from) };
        let luma = |x: usize, y: usize| bring(sample(picture, 0, y * self.width + x));
        let chroma = |plane: usize, x: usize, y: usize| {
            if columns == 0 {
                return 1 << (depth - 1);
            }
            bring(sample(picture, plane, y * rows / self.height * columns + x * columns / self.width))
        };
        // Words have their bits on top.
        let word = |value: u16| (value << (16 - depth)).to_le_bytes();
        for y in 0..self.height {
            match self.fourcc {
                FOURCC_YUY2 | FOURCC_Y210 | FOURCC_Y216 => {
                    let size = if depth == 8 { 4 } else { 8 };
                    let row = self.row(0, y, self.width.div_ceil(2) * size);
                    for (pair, place) in row.chunks_exact_mut(size).enumerate() {
                        let x = pair * 2;
                        let next = (x + 1).min(self.width - 1);
                        let four = [luma(x, y), chroma(1, x, y), luma(next, y), chroma(2, x, y)];
                        for (at, value) in four.into_iter().enumerate() {
                            if depth == 8 {
                                place[at] = value as u8;
                            } else {
                                place[at * 2..at * 2 + 2].copy_from_slice(&word(value));
                            }
                        }
                    }
                }
                FOURCC_AYUV => {
                    for (x, place) in self.row(0, y, self.width * 4).chunks_exact_mut(4).enumerate() {
                        let [v, u, y] =
                            [chroma(2, x, y), chroma(1, x, y), luma(x, y)].map(|value| value as u8);
                        place.copy_from_slice(&[v, u, y, 255]);
                    }
                }
                FOURCC_Y410 => {
                    for (x, place) in self.row(0, y, self.width * 4).chunks_exact_mut(4).enumerate() {
                        let [u, y, v] = [chroma(1, x, y), luma(x, y), chroma(2, x, y)].map(u32::from);
                        place.copy_from_slice(&(u | y << 10 | v << 20 | 3 << 30).to_le_bytes());
                    }
                }
                _ => {
                    for (x, place) in self.row(0, y, self.width * 8).chunks_exact_mut(8).enumerate() {
                        let four = [chroma(1, x, y), luma(x, y), chroma(2, x, y), (1 << depth) - 1];
                        for (place, value) in place.chunks_exact_mut(2).zip(four) {
                            place.copy_from_slice(&word(value));
                        }
                    }
                }
            }
        }
    }

    fn store_biplanar(&self, picture: &Picture, depth: u32) {
        let size = if depth > 8 { 2 } else { 1 };
        let same = depth == 8 && picture.depth == 8;
        let sample = |plane: usize, at: usize| -> u16 {
            let value = sample(picture, plane, at);
            let from = u32::from(picture.depth);
            if from > depth { value >> (from - depth) } else { value << (depth - from) }
        };
        let put = |row: &mut [u8], at: usize, value: u16| {
            if size == 1 {
                row[at] = value as u8;
            } else {
                row[at * 2..at * 2 + 2].copy_from_slice(&(value << (16 - depth)).to_le_bytes());
            }
        };
        for y in 0..self.height {
            let row = self.row(0, y, self.width * size);
            if same {
                row.copy_from_slice(&picture.planes[0][y * self.width..][..self.width]);
                continue;
            }
            for x in 0..self.width {
                put(row, x, sample(0, y * self.width + x));
            }
        }
        let columns = self.width.div_ceil(2);
        for y in 0..self.height.div_ceil(2) {
            let row = self.row(1, y, columns * 2 * size);
            for x in 0..columns {
                for plane in [1, 2] {
                    let value =
                        if picture.chroma == 400 { 1 << (depth - 1) } else { sample(plane, y * columns + x) };
                    put(row, x * 2 + plane - 1, value);
                }
            }
        }
    }

    /// By the matrix of BT.709 (or what the picture says), from the video range.
    fn store_rgb(&self, picture: &Picture) {
        let (red, blue) = weights(picture.colour.matrix);
        let shift = u32::from(picture.depth) - 8;
        let value = |plane: usize, at: usize| f32::from(sample(picture, plane, at) >> shift);
        let columns = self.width.div_ceil(2);
        for y in 0..self.height {
            let row = self.row(0, y, self.width * 4);
            for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
                let chroma = y / 2 * columns + x / 2;
                let luma = (value(0, y * self.width + x) - 16.0) * 255.0 / 219.0;
                let (cb, cr) =
                    ((value(1, chroma) - 128.0) * 255.0 / 224.0, (value(2, chroma) - 128.0) * 255.0 / 224.0);
                let (r, b) = (luma + 2.0 * (1.0 - red) * cr, luma + 2.0 * (1.0 - blue) * cb);
                let g = (luma - red * r - blue * b) / (1.0 - red - blue);
                let [b, g, r] = [b, g, r].map(|value| value.round().clamp(0.0, 255.0) as u8);
                pixel.copy_from_slice(&[b, g, r, 255]);
            }
        }
    }

    /// Reads the shown part of NV12, P010, P016 or RGB4.
    pub fn load(&self) -> Picture {
        let depth: u8 = match self.fourcc {
            FOURCC_P010 => 10,
            FOURCC_P016 => 12,
            _ => 8,
        };
        let shifted =
            |pair: &[u8]| (u16::from_le_bytes([pair[0], pair[1]]) >> (16 - u32::from(depth))).to_le_bytes();
        let (width, height) = (self.width, self.height);
        let columns = width.div_ceil(2);
        let bytes = if depth > 8 { 2 } else { 1 };
        let chroma = columns * height.div_ceil(2) * bytes;
        let mut planes = [
            Vec::with_capacity(width * height * bytes),
            Vec::with_capacity(chroma),
            Vec::with_capacity(chroma),
        ];
        if self.fourcc == FOURCC_RGB4 {
            self.load_rgb(&mut planes);
        } else {
            for y in 0..height {
                let row = self.row(0, y, width * bytes);
                if bytes == 1 {
                    planes[0].extend_from_slice(row);
                } else {
                    planes[0].extend(row.chunks_exact(2).flat_map(&shifted));
                }
            }
            for y in 0..height.div_ceil(2) {
                for pair in self.row(1, y, columns * 2 * bytes).chunks_exact(2 * bytes) {
                    if bytes == 1 {
                        planes[1].push(pair[0]);
                        planes[2].push(pair[1]);
                    } else {
                        planes[1].extend(shifted(&pair[..2]));
                        planes[2].extend(shifted(&pair[2..]));
                    }
                }
            }
        }
        let (width, height) = (width as u32, height as u32);
        Picture { width, height, display: (width, height), chroma: 420, depth, planes, ..Picture::default() }
    }

    /// By the matrix of BT.709, to the video range; chroma is that of the first pixel of four.
    fn load_rgb(&self, planes: &mut [Vec<u8>; 3]) {
        let (red, blue) = weights(1);
        let value = |value: f32| value.round().clamp(0.0, 255.0) as u8;
        for y in 0..self.height {
            for (x, pixel) in self.row(0, y, self.width * 4).chunks_exact(4).enumerate() {
                let [b, g, r] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
                let luma = red * r + (1.0 - red - blue) * g + blue * b;
                planes[0].push(value(16.0 + luma * 219.0 / 255.0));
                if x % 2 == 0 && y % 2 == 0 {
                    planes[1].push(value(128.0 + (b - luma) / (2.0 * (1.0 - blue)) * 224.0 / 255.0));
                    planes[2].push(value(128.0 + (r - luma) / (2.0 * (1.0 - red)) * 224.0 / 255.0));
                }
            }
        }
    }

    /// A number that tells whether the memory was changed.
    pub fn sum(&self) -> u64 {
        let bytes = self.width * pixel(self.fourcc).map_or(1, |(bytes, _)| bytes);
        let mut sum = 0xcbf2_9ce4_8422_2325u64;
        for y in 0..self.height {
            for chunk in self.row(0, y, bytes).chunks(8) {
                let word = chunk.iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
                sum = (sum ^ word).wrapping_mul(0x0100_0000_01b3);
            }
        }
        sum
    }
}

fn sample(picture: &Picture, plane: usize, at: usize) -> u16 {
    let samples = &picture.planes[plane];
    if picture.depth > 8 {
        samples.get(at * 2..at * 2 + 2).map_or(0, |pair| u16::from_le_bytes([pair[0], pair[1]]))
    } else {
        samples.get(at).copied().unwrap_or(0).into()
    }
}

/// Weights of red and blue in luma.
fn weights(matrix: u32) -> (f32, f32) {
    match matrix {
        5 | 6 => (0.299, 0.114),
        9 => (0.2627, 0.0593),
        _ => (0.2126, 0.0722),
    }
}

/// In another size, nearest sample.
fn scaled(picture: &Picture, width: usize, height: usize) -> std::borrow::Cow<'_, Picture> {
    if (picture.width as usize, picture.height as usize) == (width, height) {
        return std::borrow::Cow::Borrowed(picture);
    }
    let mut to =
        Picture { width: width as u32, height: height as u32, planes: Default::default(), ..picture.clone() };
    let bytes = picture.sample_bytes();
    for plane in 0..3 {
        let ((columns, rows), (from, from_rows)) = (to.plane_size(plane), picture.plane_size(plane));
        for y in 0..rows {
            for x in 0..columns {
                let at = (y * from_rows / rows * from + x * from / columns) * bytes;
                to.planes[plane].extend_from_slice(&picture.planes[plane][at..at + bytes]);
            }
        }
    }
    std::borrow::Cow::Owned(to)
}
