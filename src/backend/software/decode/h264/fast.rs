//! `rusty_h264` behind the rules of this backend.

use bytes::Bytes;
use rusty_h264_decoder::{DecodeError, Decoder};

use super::super::guard::guarded;
use super::super::output::PictureShape;
use super::super::planes::crop;
use super::pcm::{Chroma, may_hold_raw_macroblocks};
use crate::bitstream::h264::Sps;
use crate::error::{Error, Result};

pub(super) const LIBRARY: &str = "rusty_h264";

/// A decoder of one coded video sequence after another, all with the same sequence parameter set.
pub(super) struct FastDecoder {
    library: Decoder,
    /// The last unit lacked slices: the library will refuse the next unit once before it goes on.
    left_open: bool,
}

/// What a unit came to.
pub(super) enum Decoded {
    Picture(Planes),
    /// A picture that looks as if it had raw macroblocks, beside which it may be wrong.
    Suspect(Planes),
    /// A tool that the library does not have; the other one must take over.
    NotHere,
}

/// Planes of the library: cropped at the right and bottom edge, tight.
pub(super) struct Planes {
    planes: [Bytes; 3],
    width: usize,
}

impl Planes {
    /// The part that is shown.
    pub(super) fn shown(&self, sps: &Sps, shape: PictureShape) -> Result<Vec<(Bytes, usize)>> {
        let (left, top) = (sps.crop.left as usize, sps.crop.top as usize);
        (0..3)
            .zip(&self.planes)
            .filter_map(|(i, plane)| {
                shape.format.plane_size(i, shape.dimensions).map(|size| (i, plane, size))
            })
            .map(|(i, plane, size)| {
                let s = usize::from(i > 0);
                crop(plane, self.width >> s, (left >> s, top >> s), (size.row_bytes, size.rows))
            })
            .collect()
    }
}

impl FastDecoder {
    pub(super) fn new() -> Self {
        Self { library: Decoder::new(), left_open: false }
    }

    /// Decodes one access unit (Annex B, parameter sets included where they are new). `search`: raw macroblocks
    /// matter.
    pub(super) fn decode(&mut self, unit: &[u8], search: bool) -> Result<Decoded> {
        let library = &mut self.library;
        let mut outcome = guarded(LIBRARY, || library.decode(unit))?;
        if self.left_open && outcome.is_err() {
            let library = &mut self.library;
            outcome = guarded(LIBRARY, || library.decode(unit))?;
        }
        self.left_open = !matches!(outcome, Ok(Some(_)));
        match outcome {
            Ok(Some(frame)) => {
                let chroma = |samples| Chroma { samples, width: frame.width / 2, height: frame.height / 2 };
                let suspect = search && may_hold_raw_macroblocks(unit, [chroma(&frame.u), chroma(&frame.v)])?;
                let planes =
                    Planes { width: frame.width, planes: [frame.y.into(), frame.u.into(), frame.v.into()] };
                Ok(if suspect { Decoded::Suspect(planes) } else { Decoded::Picture(planes) })
            }
            Ok(None) => Err(Error::corrupt("the picture lacks slices")),
            Err(DecodeError::Unsupported(_)) => Ok(Decoded::NotHere),
            Err(error) => Err(Error::corrupt(format!("{LIBRARY}: {error}"))),
        }
    }
}
