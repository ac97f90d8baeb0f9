//! One image file to one R, G, B picture.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::png_read;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};

/// Largest picture: 134 million pixels, 400 MB.
pub(super) const MAX_PIXELS: u64 = 1 << 27;
/// Most bytes of a file for each pixel: twice what uncompressed samples of 16 bit with alpha take.
const FILE_BYTES_PER_PIXEL: u64 = 16;
/// Bytes of a file beside its samples: profiles, comments, previews.
const FILE_EXTRA: u64 = 64 << 20;
/// Scans of a progressive JPEG: each costs a pass over the picture, and a few bytes are enough for one.
const MAX_SCANS: usize = 100;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageKind {
    Png,
    Jpeg,
}

impl ImageKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
        }
    }
}

/// What an image is, by its header.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) kind: ImageKind,
    pub(super) size: Dimensions,
    /// What R, G, B of 8 bit cannot hold.
    pub(super) loss: Vec<&'static str>,
}

/// Reads a file that may hold an image of so many pixels, and tells its format by its content.
fn load(path: &Path, pixels: u64) -> Result<(ImageKind, Vec<u8>)> {
    let failed = |e| Error::io("read", path, e);
    // Opening a FIFO would wait for a writer that may never come.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::corrupt(format!("{} is not a file", path.display())));
    }
    let most = pixels * FILE_BYTES_PER_PIXEL + FILE_EXTRA;
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Error::corrupt(format!("{} is larger than {most} bytes", path.display())));
    }
    Ok((kind_of(path, &bytes)?, bytes))
}

/// The format of a file by its content.
fn kind_of(path: &Path, bytes: &[u8]) -> Result<ImageKind> {
    match bytes {
        [] => Err(Error::corrupt(format!("{} is empty (0 bytes)", path.display()))),
        [0x89, b'P', b'N', b'G', ..] => Ok(ImageKind::Png),
        [0xff, 0xd8, 0xff, ..] => Ok(ImageKind::Jpeg),
        other => {
            let start: Vec<_> = other.iter().take(8).map(|b| format!("{b:02x}")).collect();
            Err(Error::corrupt(format!(
                "{} is neither PNG nor JPEG: it begins with {}",
                path.display(),
                start.join(" ")
            )))
        }
    }
}

/// Reads the header of an image.
pub(super) fn head(path: &Path) -> Result<Head> {
    let (kind, bytes) = load(path, MAX_PIXELS)?;
    head_of(path, kind, &bytes)
}

fn head_of(path: &Path, kind: ImageKind, bytes: &[u8]) -> Result<Head> {
    let known = match kind {
        ImageKind::Png => png_read::header(Cursor::new(bytes)),
        ImageKind::Jpeg => jpeg_header(bytes).map(|(_, size)| (size, Vec::new())),
    };
    known
        .and_then(|((width, height), loss)| Ok(Head { kind, size: accept(width, height)?, loss }))
        .map_err(|what| damaged(path, kind, &what))
}

/// Decodes an image, which must have this size, to packed R, G, B.
pub(super) fn decode(path: &Path, size: Dimensions) -> Result<Vec<u8>> {
    let (kind, bytes) = load(path, size.pixels())?;
    decode_of(path, kind, &bytes, size)
}

fn decode_of(path: &Path, kind: ImageKind, bytes: &[u8], size: Dimensions) -> Result<Vec<u8>> {
    let image = match kind {
        ImageKind::Png => png_read::decode(Cursor::new(bytes), size),
        ImageKind::Jpeg => decode_jpeg(bytes, size),
    };
    image.map_err(|fault| match fault {
        Fault::Size(width, height) => Error::invalid(format!(
            "{} is {width}x{height}, the first is {size}; bring all images to one size",
            path.display()
        )),
        Fault::Damage(what) => damaged(path, kind, &what),
    })
}

/// Why an image was not decoded.
#[derive(Debug)]
pub(super) enum Fault {
    /// It has another size.
    Size(usize, usize),
    Damage(String),
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Damage(what)
    }
}

fn damaged(path: &Path, kind: ImageKind, what: &str) -> Error {
    Error::corrupt(format!("{} ({}): {what}", path.display(), kind.name()))
}

fn accept(width: usize, height: usize) -> Result<Dimensions, String> {
    let size = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    size.and_then(|(width, height)| Dimensions::new(width, height))
        .filter(|size| size.pixels() <= MAX_PIXELS)
        .ok_or_else(|| {
            format!("it claims {width}x{height}; up to {MAX_PIXELS} pixels with sides up to 65535 are read")
        })
}

type Jpeg<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

fn jpeg_header(bytes: &[u8]) -> Result<(Jpeg<'_>, (usize, usize)), String> {
    let options = DecoderOptions::default()
        .set_max_width(Dimensions::MAX_SIDE as usize)
        .set_max_height(Dimensions::MAX_SIDE as usize)
        // Otherwise the rest of a damaged picture comes out grey, as if nothing had happened.
        .set_strict_mode(true)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let size = decoder.dimensions().ok_or("its header states no size")?;
    Ok((decoder, size))
}

fn decode_jpeg(bytes: &[u8], size: Dimensions) -> Result<Vec<u8>, Fault> {
    let (mut decoder, (width, height)) = jpeg_header(bytes)?;
    if (width, height) != (size.width() as usize, size.height() as usize) {
        return Err(Fault::Size(width, height));
    }
    if !ends(bytes) {
        return Err(Fault::Damage("it is cut short: there is no end of image behind its samples".to_owned()));
    }
    let rgb = decoder.decode().map_err(|e| e.to_string())?;
    if rgb.len() as u64 != size.pixels() * 3 {
        return Err(Fault::Damage(format!("it holds {} bytes of samples, not those of R, G, B", rgb.len())));
    }
    Ok(rgb)
}

/// Whether the mark that ends an image stands behind the start of its first scan. A preview in front of that has
/// such a mark of its own; inside of a scan it cannot occur.
fn ends(bytes: &[u8]) -> bool {
    const SCAN: u8 = 0xda;
    let mut rest = bytes.get(2..).unwrap_or(&[]);
    loop {
        match rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, SCAN, scan @ ..] => return memchr::memmem::find(scan, &[0xff, 0xd9]).is_some(),
            [0xff, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                match rest.get(2 + length.max(2)..) {
                    Some(behind) => rest = behind,
                    None => return false,
                }
            }
            // Bytes between segments are for the decoder to judge.
            [_, behind @ ..] if !behind.is_empty() => rest = behind,
            _ => return false,
        }
    }
}

/// What the fuzz target calls: a picture that is decoded has the size that its header states.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8]) {
    /// Larger ones only cost time.
    const PIXELS: u64 = 1 << 18;
    let path = Path::new("fuzz");
    let Ok(kind) = kind_of(path, bytes) else { return };
    let Ok(head) = head_of(path, kind, bytes) else { return };
    if head.size.pixels() <= PIXELS
        && let Ok(rgb) = decode_of(path, kind, bytes, head.size)
    {
        assert_eq!(rgb.len() as u64, head.size.pixels() * 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_preview_is_not_the_end_of_the_image() {
        let with_preview = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9, 0xff, 0xda, 0, 2, 1, 2];
        assert!(!ends(&with_preview));
        assert!(ends(&[&with_preview[..], &[0xff, 0xd9]].concat()));
        for length in 0..with_preview.len() {
            assert!(!ends(&with_preview[..length]));
        }
    }

    #[test]
    fn sizes_that_no_picture_has_are_refused() {
        assert!(accept(0, 1).is_err() && accept(65_536, 1).is_err() && accept(usize::MAX, 1).is_err());
        assert!(accept(65_535, 65_535).is_err(), "thirteen thousand million bytes");
        assert!(accept(16_384, 8_192).is_ok() && accept(1, 1).is_ok());
    }
}
