//! From frames to surfaces: a decoder's own where the encoder can read it, else a copy in one of the encoder's.

use std::sync::Arc;

use super::configure::{aligned, surface_format};
use crate::backend::vpl::driver::encoder::{Control, Encoder};
use crate::backend::vpl::driver::frames::Surface;
use crate::backend::vpl::surface::behind;
use crate::codec::Codec;
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::frame::{DeviceSurface, Frame, HostSurface, Surface as Picture};
use crate::pixel::PixelFormat;

const NO_PICTURE: &str = "the frame has no picture, only times and sizes";

/// A picture inside, with what was asked of it, until its own coded picture was taken.
pub(super) struct Input {
    pub(super) _place: Place,
    pub(super) _control: Control,
}

/// Where a picture lies.
pub(super) enum Place {
    Copy(Surface),
    /// In its decoder's surface.
    Original(Arc<Surface>),
}

impl Place {
    pub(super) fn surface(&self) -> &Surface {
        match self {
            Self::Copy(surface) => surface,
            Self::Original(surface) => surface,
        }
    }
}

/// The surface that a frame lies in, if an encoder of the same GPU can read it there.
pub(super) fn original(
    device: &DeviceSurface,
    format: PixelFormat,
    size: Dimensions,
    ordinal: u32,
) -> Option<&Arc<Surface>> {
    let (surface, corner) = behind(device)?;
    let info = surface.info();
    let fits = corner == (0, 0)
        && device.dimensions() == size
        && info.fourcc == surface_format(format).0
        && info.width >= aligned(size.width())
        && info.height >= aligned(size.height())
        && surface.session().adapter().ordinal == ordinal;
    fits.then_some(surface)
}

/// A copy of a frame's picture in one of the encoder's surfaces, and its bytes.
///
/// # Errors
/// A frame that is not as the encoder was opened for; no memory; a failing driver.
pub(super) fn copy(
    encoder: &Encoder,
    frame: &Frame,
    format: PixelFormat,
    size: Dimensions,
) -> Result<(Surface, u64)> {
    let downloaded;
    let host = match &frame.surface {
        Picture::Host(host) => host,
        Picture::Device(device) => {
            downloaded = device.download()?;
            &downloaded
        }
        Picture::None => return Err(Error::invalid(NO_PICTURE)),
    };
    if host.dimensions() != size || surface_format(host.format()) != surface_format(format) {
        let (has, given) = (host.dimensions(), host.format());
        return Err(Error::invalid(format!(
            "the frame is {has} {given}, the encoder was opened for {size} {format}"
        )));
    }
    let mut surface = encoder.surface()?;
    let (_, own) = surface_format(format);
    let sample = own.bytes_per_sample();
    let (across, down) = (usize::from(aligned(size.width())), usize::from(aligned(size.height())));
    let sizes = [(across * sample, down), (across * sample, down / 2)];
    surface.write(&sizes, |plane, row, out| write_row(host, plane, row, out))?;
    Ok((surface, own.frame_bytes(size) as u64))
}

/// A row of luma (plane 0) or of interleaved chroma (plane 1). What lies beyond the picture is coded too, and repeats its edge.
fn write_row(host: &HostSurface, plane: usize, row: usize, out: &mut [u8]) {
    let sample = host.format().bytes_per_sample();
    let rows = host.dimensions().height() as usize / (plane + 1);
    let of =
        |index: usize| host.plane(index).map_or(&[][..], |plane| plane.row(row.min(rows.saturating_sub(1))));
    let planar = matches!(host.format(), PixelFormat::I420 | PixelFormat::I010);
    let wide = host.dimensions().width() as usize * sample;
    let (picture, beyond) = out.split_at_mut(wide.min(out.len()));
    if planar && plane == 1 {
        let pairs = of(1).chunks_exact(sample).zip(of(2).chunks_exact(sample));
        for (to, (cb, cr)) in picture.chunks_exact_mut(2 * sample).zip(pairs) {
            to[..sample].copy_from_slice(cb);
            to[sample..].copy_from_slice(cr);
        }
    } else {
        let from = of(plane);
        let bytes = from.len().min(picture.len());
        picture[..bytes].copy_from_slice(&from[..bytes]);
    }
    if host.format() == PixelFormat::I010 {
        // Samples go from the low bits to the high ones.
        for sample in picture.chunks_exact_mut(2) {
            let value = u16::from_le_bytes([sample[0], sample[1]]);
            sample.copy_from_slice(&(value << 6).to_le_bytes());
        }
    }
    let last = sample * (plane + 1);
    if let Some(at) = picture.len().checked_sub(last) {
        for to in beyond.chunks_mut(last) {
            to.copy_from_slice(&picture[at..][..to.len()]);
        }
    }
}

/// Tells of a frame whether it can be encoded: wherever its picture is, it is brought to the encoder.
pub(super) fn check(codec: Codec, frame: &Frame) -> Result<()> {
    let has_sei = matches!(codec, Codec::H264 | Codec::Hevc);
    let whole = |length: usize| u16::try_from(length).is_ok_and(|length| length < u16::MAX - 512);
    if let Some(message) = frame
        .user_sei
        .iter()
        .find(|message| !has_sei || !whole(message.payload.len()) || message.payload_type > 0xffff)
    {
        return Err(Error::Unsupported {
            feature: format!(
                "a user SEI message (payload type {}, {} bytes) with {codec} by oneVPL",
                message.payload_type,
                message.payload.len()
            ),
            remedy: Remedy::Allowed("messages of h264 and hevc, up to 65000 bytes".to_owned()),
        });
    }
    match frame.surface {
        Picture::None => Err(Error::invalid(NO_PICTURE)),
        Picture::Host(_) | Picture::Device(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(format: PixelFormat, samples: &[u8], bytes: usize, row: usize) -> (Vec<u8>, Vec<u8>) {
        let size = Dimensions::new(4, 2).unwrap();
        let host = HostSurface::from_packed(format, size, samples.to_vec()).unwrap();
        let (mut luma, mut chroma) = (vec![0; bytes], vec![0; bytes]);
        write_row(&host, 0, row, &mut luma);
        write_row(&host, 1, row, &mut chroma);
        (luma, chroma)
    }

    #[test]
    fn planes_become_two_and_edges_are_repeated() {
        let wanted = (vec![4, 5, 6, 7, 7, 7], vec![20, 30, 21, 31, 21, 31]);
        let planar = [0, 1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31];
        let pairs = [0, 1, 2, 3, 4, 5, 6, 7, 20, 30, 21, 31];
        for row in [1, 2] {
            assert_eq!(rows(PixelFormat::I420, &planar, 6, row), wanted);
            assert_eq!(rows(PixelFormat::Nv12, &pairs, 6, row), wanted);
        }
    }

    #[test]
    fn ten_bits_go_to_the_high_end() {
        let bytes = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let low = bytes(&[0, 0, 0, 0, 1, 2, 3, 1023, 4, 5, 6, 7]);
        let (luma, chroma) = rows(PixelFormat::I010, &low, 12, 1);
        assert_eq!(luma, bytes(&[1 << 6, 2 << 6, 3 << 6, 1023 << 6, 1023 << 6, 1023 << 6]));
        assert_eq!(chroma, bytes(&[4 << 6, 6 << 6, 5 << 6, 7 << 6, 5 << 6, 7 << 6]));
    }
}
