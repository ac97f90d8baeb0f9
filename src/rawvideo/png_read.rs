//! PNG of any kind to 8-bit R, G, B.

use std::io::{BufRead, Seek};

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Reader, Transformations};

use super::images_decode::Fault;
use crate::dimensions::Dimensions;
use crate::memory;

/// Memory for what a file may hold beside its samples: palettes and profiles. Comments are not kept.
const OVERHEAD: usize = 4 << 20;

fn open<R: BufRead + Seek>(input: R, samples: usize) -> Result<Reader<R>, DecodingError> {
    let mut decoder = Decoder::new_with_limits(input, Limits { bytes: samples.saturating_add(OVERHEAD) });
    // Palettes and small samples become R, G, B or grey of 8 bit; a transparent colour becomes alpha.
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.read_info()
}

/// Size by the header, and what R, G, B of 8 bit cannot hold.
pub(super) fn header(input: impl BufRead + Seek) -> Result<((usize, usize), Vec<&'static str>), String> {
    let mut decoder = Decoder::new_with_limits(input, Limits { bytes: OVERHEAD });
    let info = decoder.read_header_info().map_err(message)?;
    let mut loss = Vec::new();
    if info.bit_depth == BitDepth::Sixteen {
        loss.push("samples of 16 bit, which are rounded to 8");
    }
    if matches!(info.color_type, ColorType::GrayscaleAlpha | ColorType::Rgba) {
        loss.push("an alpha channel, which is left out");
    }
    Ok(((info.width as usize, info.height as usize), loss))
}

/// Decodes an image of this size. Samples of 16 bit are rounded to the nearest of 8; alpha is left out, as the colours
/// that stand beside it are what cameras and renderers mean.
pub(super) fn decode(mut input: impl BufRead + Seek, wanted: Dimensions) -> Result<Vec<u8>, Fault> {
    let start = input.stream_position().map_err(|e| e.to_string())?;
    let ((width, height), _) = header(&mut input)?;
    if (width, height) != (wanted.width() as usize, wanted.height() as usize) {
        return Err(Fault::Size(width, height));
    }
    input.seek(std::io::SeekFrom::Start(start)).map_err(|e| e.to_string())?;
    // Four channels of 16 bit at most, and a row of them for the filters.
    let pixels = width.saturating_mul(height).saturating_add(width);
    let mut reader = open(input, pixels.saturating_mul(8)).map_err(message)?;
    let (color, depth) = reader.output_color_type();
    let bytes = if depth == BitDepth::Sixteen { 2 } else { 1 };
    let mut rgb = Vec::new();
    if reader.info().interlaced {
        // Its rows are spread over the whole picture.
        let size = reader.output_buffer_size().ok_or_else(|| "it is too large".to_owned())?;
        let no_memory = |_| "there is no memory for its samples".to_owned();
        let mut all = memory::filled(0, size).map_err(no_memory)?;
        reader.next_frame(&mut all).map_err(message)?;
        memory::grow(&mut rgb, width.saturating_mul(height).saturating_mul(3)).map_err(no_memory)?;
        push(&mut rgb, &all, color, bytes);
    } else {
        // Memory grows with what is really there.
        while let Some(row) = reader.next_row().map_err(message)? {
            memory::grow(&mut rgb, width.saturating_mul(3))
                .map_err(|_| "there is no memory for its samples".to_owned())?;
            push(&mut rgb, row.data(), color, bytes);
        }
    }
    // The check sums that stand behind the last row.
    reader.finish().map_err(message)?;
    if rgb.len() as u64 != wanted.pixels() * 3 {
        return Err(Fault::Damage(format!("it holds {} bytes of samples, not those of {wanted}", rgb.len())));
    }
    Ok(rgb)
}

fn message(error: DecodingError) -> String {
    match error {
        DecodingError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it is cut short".to_owned()
        }
        other => other.to_string(),
    }
}

/// Appends pixels as R, G, B. Nothing is left of a pixel that is cut short.
fn push(rgb: &mut Vec<u8>, samples: &[u8], color: ColorType, bytes: usize) {
    let channels = color.samples();
    if bytes == 2 {
        // The nearest of 255 steps: 65535 = 257 * 255.
        let round = |high: u8, low: u8| ((u32::from(u16::from_be_bytes([high, low])) + 128) / 257) as u8;
        for pixel in samples.chunks_exact(channels * 2) {
            match *pixel {
                [r, rl, g, gl, b, bl, ..] => rgb.extend([round(r, rl), round(g, gl), round(b, bl)]),
                [grey, low, ..] => rgb.extend([round(grey, low); 3]),
                _ => {}
            }
        }
        return;
    }
    match color {
        ColorType::Rgb => rgb.extend_from_slice(samples),
        _ => samples.chunks_exact(channels).for_each(|pixel| match *pixel {
            [r, g, b, ..] => rgb.extend([r, g, b]),
            [grey, ..] => rgb.extend([grey; 3]),
            _ => {}
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_rounded_to_the_nearest_of_eight() {
        for value in 0..=u16::MAX {
            let mut rgb = Vec::new();
            push(&mut rgb, &value.to_be_bytes(), ColorType::Grayscale, 2);
            let exact = f64::from(value) / 65_535.0 * 255.0;
            assert_eq!(rgb, [exact.round() as u8; 3], "{value}");
        }
    }
}
