//! From frames to pixel buffers.

use crate::backend::videotoolbox::driver::pixels::{PLANES, PixelBuffer, PixelBufferPool, Tags};
use crate::backend::videotoolbox::surface::whole_buffer;
use crate::error::{Error, Remedy, Result};
use crate::frame::{Frame, HostSurface, Surface};
use crate::pixel::PixelFormat;

const NO_PICTURE: &str = "the frame has no picture, only times and sizes";

/// A frame as a pixel buffer, and the bytes that were copied for it: none where the buffer is the decoder's own, of the format
/// that the encoder was opened for, and says of its colours what the stream is to say. VideoToolbox might convert one that says
/// something else, and samples are to stay what they are.
///
/// # Errors
/// A frame without a picture; memory that cannot be had or read.
pub(super) fn buffer_of(
    frame: &Frame,
    pool: &PixelBufferPool,
    pixel_format: u32,
    tags: &Tags,
) -> Result<(PixelBuffer, u64)> {
    let mapped;
    let host = match &frame.surface {
        Surface::Host(host) => host,
        Surface::Device(device) => {
            if let Some(buffer) = whole_buffer(device, pixel_format).filter(|buffer| buffer.agrees_with(tags))
            {
                return Ok((buffer.clone(), 0));
            }
            mapped = device.download()?;
            &mapped
        }
        Surface::None => return Err(Error::invalid(NO_PICTURE)),
    };
    let mut buffer = pool.take()?;
    let copied = place(host, &mut buffer)?;
    buffer.tag(tags);
    Ok((buffer, copied))
}

/// Tells of a frame whether it can be encoded: wherever its picture is, it is brought to the encoder.
pub(super) fn check(frame: &Frame) -> Result<()> {
    if let Some(message) = frame.user_sei.first() {
        return Err(Error::Unsupported {
            feature: format!("a user SEI message (payload type {}) with VideoToolbox", message.payload_type),
            remedy: Remedy::Allowed("none".to_owned()),
        });
    }
    match frame.surface {
        Surface::None => Err(Error::invalid(NO_PICTURE)),
        Surface::Host(_) | Surface::Device(_) => Ok(()),
    }
}

/// Writes a picture into a buffer of two planes; gives the bytes that were written.
fn place(host: &HostSurface, buffer: &mut PixelBuffer) -> Result<u64> {
    let own = if host.format().bit_depth() > 8 { PixelFormat::P010 } else { PixelFormat::Nv12 };
    let mut sizes = [(0, 0); PLANES];
    for (index, size) in sizes.iter_mut().enumerate() {
        *size =
            own.plane_size(index, host.dimensions()).map_or((0, 0), |plane| (plane.row_bytes, plane.rows));
    }
    buffer.write(sizes, |plane, row, out| write_row(host, plane, row, out))?;
    Ok(sizes.iter().map(|(bytes, rows)| (bytes * rows) as u64).sum())
}

/// A row of luma (plane 0) or of interleaved chroma (plane 1).
fn write_row(host: &HostSurface, plane: usize, row: usize, out: &mut [u8]) {
    let of = |index: usize| host.plane(index).map_or(&[][..], |plane| plane.row(row));
    match (host.format(), plane) {
        (PixelFormat::I420, 1) => {
            for ((pair, cb), cr) in out.chunks_exact_mut(2).zip(of(1)).zip(of(2)) {
                pair.copy_from_slice(&[*cb, *cr]);
            }
        }
        (PixelFormat::I010, 0) => {
            for (to, from) in out.chunks_exact_mut(2).zip(of(0).chunks_exact(2)) {
                to.copy_from_slice(&high(from));
            }
        }
        (PixelFormat::I010, 1) => {
            let pairs = of(1).chunks_exact(2).zip(of(2).chunks_exact(2));
            for (pair, (cb, cr)) in out.chunks_exact_mut(4).zip(pairs) {
                let ([a, b], [c, d]) = (high(cb), high(cr));
                pair.copy_from_slice(&[a, b, c, d]);
            }
        }
        _ => {
            let from = of(plane);
            let bytes = from.len().min(out.len());
            out[..bytes].copy_from_slice(&from[..bytes]);
        }
    }
}

/// A sample of 10 bits in the low bits of 16, moved to the high ones.
fn high(sample: &[u8]) -> [u8; 2] {
    let value = sample.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    (value << 6).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimensions::Dimensions;

    fn rows(format: PixelFormat, samples: &[u8], bytes: usize) -> (Vec<u8>, Vec<u8>) {
        let size = Dimensions::new(4, 2).unwrap();
        let host = HostSurface::from_packed(format, size, samples.to_vec()).unwrap();
        let (mut luma, mut chroma) = (vec![0; bytes], vec![0; bytes]);
        write_row(&host, 0, 1, &mut luma);
        write_row(&host, 1, 0, &mut chroma);
        (luma, chroma)
    }

    #[test]
    fn planes_become_two() {
        let planar = [0, 1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31];
        assert_eq!(rows(PixelFormat::I420, &planar, 4), (vec![4, 5, 6, 7], vec![20, 30, 21, 31]));
        let pairs = [0, 1, 2, 3, 4, 5, 6, 7, 20, 30, 21, 31];
        assert_eq!(rows(PixelFormat::Nv12, &pairs, 4), (vec![4, 5, 6, 7], vec![20, 30, 21, 31]));
    }

    #[test]
    fn ten_bits_go_to_the_high_end() {
        let low = [0_u16, 0, 0, 0, 1, 2, 3, 1023, 4, 5, 6, 7].map(u16::to_le_bytes).concat();
        let high = |values: [u16; 4]| values.map(u16::to_le_bytes).concat();
        let (luma, chroma) = rows(PixelFormat::I010, &low, 8);
        assert_eq!(luma, high([1 << 6, 2 << 6, 3 << 6, 1023 << 6]));
        assert_eq!(chroma, high([4 << 6, 6 << 6, 5 << 6, 7 << 6]));
    }
}
