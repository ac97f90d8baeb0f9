//! The argument of the colour kernels: one structure that describes both pictures and the numbers between them.
//!
//! ```text
//!   0  source planes: three times (address, pitch), 8 bytes each    100  height of the target
//!  48  target planes, the same                                      104  width of the source
//!  96  width of the target                                          108  height of the source
//! 112  right shift of samples   116  kind of target   120, 124  whether source and target are accessed in wide words
//! 128  matrix, three rows of three floats    164  offsets of luma and chroma    172  largest channel value
//! ```

use super::{Launch, Touch};

pub(super) const BYTES: u32 = 176;

/// A span that lies outside every allocation: how a launch that faults is said.
const FAULT: Touch = Touch { address: 0, length: u64::MAX, writes: false };

#[derive(Clone, Copy)]
pub(super) struct Plane {
    pub(super) address: u64,
    pub(super) pitch: u64,
}

impl Plane {
    /// Reads a sample of one or two bytes.
    ///
    /// # Safety
    /// It is in memory that `touches` named.
    pub(super) unsafe fn sample(self, bytes: u64, x: u64, y: u64) -> u32 {
        let at = (self.address + y * self.pitch + x * bytes) as usize;
        // SAFETY: promised by the caller; any alignment.
        unsafe {
            match bytes {
                1 => u32::from((at as *const u8).read()),
                _ => u32::from((at as *const u16).read_unaligned()),
            }
        }
    }

    /// Writes bytes into a row.
    ///
    /// # Safety
    /// As for reading.
    pub(super) unsafe fn write(self, y: u64, at: u64, bytes: &[u8]) {
        let to = (self.address + y * self.pitch + at) as usize as *mut u8;
        // SAFETY: promised by the caller.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Rows of `width` bytes, the first `rows` of the plane.
    fn rows(self, width: u64, rows: u64, writes: bool) -> Option<Touch> {
        if width == 0 || rows == 0 {
            return None;
        }
        let length = (rows - 1).checked_mul(self.pitch).and_then(|before| before.checked_add(width));
        Some(Touch { address: self.address, length: length.unwrap_or(u64::MAX), writes })
    }
}

/// What a target is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of a pixel, and which of them is alpha, if any.
    Packed(u64, Option<usize>),
    Floats,
}

pub(super) struct Picture {
    pub(super) source: [Plane; 3],
    pub(super) target: [Plane; 3],
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) source_width: u64,
    pub(super) source_height: u64,
    pub(super) shift: u32,
    kind: u32,
    wide_source: bool,
    wide_target: bool,
    matrix: [[f32; 3]; 3],
    offset: [f32; 2],
    most: f32,
}

impl Picture {
    pub(super) fn of(launch: &Launch) -> Self {
        let bytes = launch.parameters.first().map_or(&[][..], Vec::as_slice);
        let word = |at: usize| {
            let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
            four.map_or(0, u32::from_le_bytes)
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let float = |at: usize| f32::from_bits(word(at));
        let planes = |at: usize| {
            [0, 1, 2].map(|plane| Plane { address: long(at + plane * 16), pitch: long(at + plane * 16 + 8) })
        };
        Self {
            source: planes(0),
            target: planes(48),
            width: word(96).into(),
            height: word(100).into(),
            source_width: word(104).into(),
            source_height: word(108).into(),
            shift: word(112),
            kind: word(116),
            wide_source: word(120) != 0,
            wide_target: word(124) != 0,
            matrix: [0, 1, 2].map(|row| [0, 1, 2].map(|column| float(128 + row * 12 + column * 4))),
            offset: [float(164), float(168)],
            most: float(172),
        }
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        Some(match self.kind {
            0 => Kind::Packed(3, None),
            1 => Kind::Packed(4, Some(3)),
            2 => Kind::Packed(4, Some(0)),
            3 => Kind::Floats,
            _ => return None,
        })
    }

    /// Reads of the first `luma` (columns, rows) and `chroma` samples, and no others.
    pub(super) fn reads(
        &self,
        bytes: u64,
        semi: bool,
        luma: (u64, u64),
        chroma: (u64, u64),
        out: &mut Vec<Touch>,
    ) {
        out.extend(self.source[0].rows(luma.0 * bytes, luma.1, false));
        if semi {
            out.extend(self.source[1].rows(chroma.0 * 2 * bytes, chroma.1, false));
        } else {
            out.extend(self.source[1].rows(chroma.0 * bytes, chroma.1, false));
            out.extend(self.source[2].rows(chroma.0 * bytes, chroma.1, false));
        }
        let planes = &self.source[..if semi { 2 } else { 3 }];
        if self.wide_source && planes.iter().any(|plane| misaligned(*plane, 4 * bytes)) {
            out.push(FAULT);
        }
    }

    /// Writes of the first (columns, rows) pixels.
    pub(super) fn writes(&self, (columns, rows): (u64, u64), out: &mut Vec<Touch>) {
        let (step, planes, width) = match self.kind() {
            Some(Kind::Packed(step, _)) => (step, 1, if step == 3 { 4 } else { 16 }),
            Some(Kind::Floats) => (4, 3, 16),
            None => return out.push(FAULT),
        };
        for plane in &self.target[..planes] {
            out.extend(plane.rows(columns * step, rows, true));
            if self.wide_target && misaligned(*plane, width) {
                out.push(FAULT);
            }
            // Floats are words whichever way they are written.
            if step == 4 && self.kind() == Some(Kind::Floats) && misaligned(*plane, 4) {
                out.push(FAULT);
            }
        }
    }

    /// Writes of 16-bit samples to three planes.
    pub(super) fn sample_writes(&self, (columns, rows): (u64, u64), out: &mut Vec<Touch>) {
        for plane in self.target {
            out.extend(plane.rows(columns * 2, rows, true));
            if misaligned(plane, if self.wide_target { 8 } else { 2 }) {
                out.push(FAULT);
            }
        }
    }

    /// Writes the pixel that the components make.
    ///
    /// # Safety
    /// `touches` named its memory.
    pub(super) unsafe fn pixel(&self, x: u64, y: u64, [luma, cb, cr]: [f64; 3]) {
        let [luma, cb, cr] = [luma, cb, cr].map(|value| value as f32);
        let (luma, cb, cr) = (luma - self.offset[0], cb - self.offset[1], cr - self.offset[1]);
        // In 32-bit floats, each product and sum rounded to the nearest by itself, chroma's sum first.
        let channels = self.matrix.map(|[by_luma, by_cb, by_cr]| {
            (by_luma * luma + (by_cb * cb + by_cr * cr)).clamp(0.0, self.most)
        });
        match self.kind() {
            Some(Kind::Packed(step, alpha)) => {
                let mut bytes = [255_u8; 4];
                let first = usize::from(alpha == Some(0));
                for (byte, value) in bytes[first..].iter_mut().zip(channels) {
                    *byte = value.round_ties_even() as u8;
                }
                // SAFETY: promised by the caller.
                unsafe { self.target[0].write(y, x * step, &bytes[..step as usize]) };
            }
            Some(Kind::Floats) => {
                for (plane, value) in self.target.iter().zip(channels) {
                    // SAFETY: promised by the caller.
                    unsafe { plane.write(y, x * 4, &value.to_le_bytes()) };
                }
            }
            None => {}
        }
    }
}

/// Whether some row of a plane begins between words of `width` bytes.
fn misaligned(plane: Plane, width: u64) -> bool {
    !plane.address.is_multiple_of(width) || !plane.pitch.is_multiple_of(width)
}
