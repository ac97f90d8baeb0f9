//! openh264's decoder behind the rules of this backend: for sequences with raw macroblocks.

use bytes::Bytes;

use super::super::output::PictureShape;
use super::super::pool::BufferPool;
use super::Finished;
use crate::backend::software::driver::openh264_decoder::{Decoded, Decoder};
use crate::error::Result;

pub(super) const LIBRARY: &str = "openh264";

/// A decoder of one coded video sequence without B slices, from its IDR picture on. Pictures come out in
/// decoding order.
pub(super) struct RawDecoder {
    library: Decoder,
    copies: Copies,
}

/// Makes pictures of the library's samples, which it uses again.
struct Copies {
    shape: PictureShape,
    pool: BufferPool,
}

impl RawDecoder {
    pub(super) fn new(shape: PictureShape) -> Result<Self> {
        let (width, height) = (shape.dimensions.width(), shape.dimensions.height());
        let library = Decoder::open(width as usize, height as usize)?;
        Ok(Self { library, copies: Copies { shape, pool: BufferPool::default() } })
    }

    /// Decodes one access unit (Annex B, parameter sets included where they are new). The pictures of units
    /// from `wanted` on that became ready are added to `out`.
    pub(super) fn decode(
        &mut self,
        serial: u64,
        unit: &Bytes,
        wanted: u64,
        out: &mut Vec<Finished>,
    ) -> Result<()> {
        let copies = &self.copies;
        self.library.decode(unit, serial, &mut |picture| {
            if picture.stamp >= wanted {
                out.push(copies.picture(&picture));
            }
        })
    }

    /// The picture still held; the decoder is spent afterwards.
    pub(super) fn finish(&mut self, out: &mut Vec<Finished>) -> Result<()> {
        let copies = &self.copies;
        self.library.finish(&mut |picture| out.push(copies.picture(&picture)))
    }
}

impl Copies {
    /// The samples without padding, in memory of the pool.
    fn picture(&self, picture: &Decoded<'_>) -> Finished {
        let PictureShape { dimensions, format } = self.shape;
        let planes = (0..).zip(&picture.planes).filter_map(|(i, (samples, stride))| {
            let size = format.plane_size(i, dimensions)?;
            let mut out = match self.pool.take(size.row_bytes * size.rows) {
                Ok(out) => out,
                Err(error) => return Some(Err(error)),
            };
            for row in samples.chunks(*stride).take(size.rows) {
                out.extend_from_slice(row.get(..size.row_bytes)?);
            }
            Some(Ok((self.pool.share(out), size.row_bytes)))
        });
        Finished { serial: picture.stamp, copied: true, planes: planes.collect() }
    }
}
