//! The `Video` element of a track entry: size, shape, colour, light and rotation.

use super::ebml::{Element, Put};
use super::ids;
use crate::bitstream::StreamInfo;
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::container::mp4::display_aspect;
use crate::container::{TrackId, VideoTrack};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::FieldOrder;
use crate::hdr::{Chromaticity, ContentLight, HdrMetadata, MasteringDisplay};
use crate::packet::BitstreamLayout;

/// Values of `DisplayUnit`: lengths or a ratio give the shape, something else nothing.
const UNIT_UNKNOWN: u64 = 4;

/// 1.0 in ISO/IEC 14496-12 matrices, and in their last column.
const ONE: i32 = 1 << 16;
const LAST: i32 = 1 << 30;

/// Reads a `Video` element for a track whose stream states `info`.
pub(super) fn read(
    video: Option<&Element>,
    codec: Codec,
    layout: BitstreamLayout,
    info: Option<&StreamInfo>,
    id: TrackId,
    notes: &mut Vec<String>,
) -> Result<VideoTrack> {
    let (mut width, mut height, mut unit) = (0, 0, 0);
    let (mut display_width, mut display_height) = (None, None);
    let mut crop = [0_u64; 4];
    let (mut interlaced, mut order) = (0, 0);
    let (mut color, mut hdr, mut matrix) = (ColorInfo::UNSPECIFIED, HdrMetadata::default(), None);
    for child in video.into_iter().flat_map(Element::children) {
        let child = child?;
        match child.id {
            ids::PIXEL_WIDTH => width = child.uint()?,
            ids::PIXEL_HEIGHT => height = child.uint()?,
            ids::DISPLAY_WIDTH => display_width = Some(child.uint()?),
            ids::DISPLAY_HEIGHT => display_height = Some(child.uint()?),
            ids::DISPLAY_UNIT => unit = child.uint()?,
            ids::PIXEL_CROP_LEFT => crop[0] = child.uint()?,
            ids::PIXEL_CROP_RIGHT => crop[1] = child.uint()?,
            ids::PIXEL_CROP_TOP => crop[2] = child.uint()?,
            ids::PIXEL_CROP_BOTTOM => crop[3] = child.uint()?,
            ids::FLAG_INTERLACED => interlaced = child.uint()?,
            ids::FIELD_ORDER => order = child.uint()?,
            ids::COLOUR => (color, hdr) = read_colour(&child)?,
            ids::PROJECTION => matrix = read_projection(&child, id, notes)?,
            _ => {}
        }
    }
    let stated = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let stated = stated.and_then(|(width, height)| Dimensions::new(width, height));
    let dimensions = info.map(|info| info.dimensions).or(stated).ok_or_else(|| {
        Error::corrupt_fatal(format!("track {} states a picture size of {width}x{height}", id.0))
    })?;
    // What is shown is what the crop leaves of the pixels.
    let side = |of: u64, from: usize| {
        let rest = of.checked_sub(crop[from].checked_add(crop[from + 1])?)?;
        u32::try_from(rest).ok()
    };
    let shown =
        side(width, 0).zip(side(height, 2)).and_then(|(width, height)| Dimensions::new(width, height));
    let shown = if crop == [0; 4] { dimensions } else { shown.unwrap_or(dimensions) };
    if crop != [0; 4] {
        let [left, right, top, bottom] = crop;
        notes.push(format!(
            "track {}: the file asks players to crop {left} left, {right} right, {top} top, {bottom} bottom; pictures come out whole",
            id.0
        ));
    }
    let display = |side: Option<u64>, pixels: u32| match side {
        // A ratio is all that counts, so that large lengths may lose their last bits.
        Some(side) => u32::try_from(side).ok().filter(|side| *side < 1 << 16).map(|side| side << 16),
        None => Some(pixels << 16),
    };
    let sizes = display(display_width, shown.width()).zip(display(display_height, shown.height()));
    let stream = info.and_then(|info| info.sample_aspect_ratio);
    let sample_aspect_ratio = sizes
        .filter(|_| unit < UNIT_UNKNOWN && (display_width.is_some() || display_height.is_some()))
        .and_then(|sizes| display_aspect(sizes, shown, stream, matrix.is_some()));
    let fields = match (interlaced, order) {
        (1, 1 | 9) => Some(FieldOrder::TopFirst),
        (1, 6 | 14) => Some(FieldOrder::BottomFirst),
        _ => None,
    };
    Ok(VideoTrack {
        color,
        sample_aspect_ratio,
        matrix,
        fields,
        hdr: hdr.or(info.map(|info| info.hdr).unwrap_or_default()),
        ..VideoTrack::new(codec, layout, dimensions)
    })
}

fn read_colour(colour: &Element) -> Result<(ColorInfo, HdrMetadata)> {
    let (mut color, mut hdr) = (ColorInfo::UNSPECIFIED, HdrMetadata::default());
    let (mut max_cll, mut max_fall) = (0, 0);
    let mut light = false;
    let small = |child: &Element| child.uint().map(|value| u16::try_from(value).unwrap_or(u16::MAX));
    // Code points are 8 bits wide in H.273; 2 means "not stated".
    let code = |child: &Element| child.uint().map(|code| u8::try_from(code).unwrap_or(2));
    for child in colour.children() {
        let child = child?;
        match child.id {
            ids::MATRIX_COEFFICIENTS => color.matrix = MatrixCoefficients::from_code(code(&child)?),
            ids::TRANSFER_CHARACTERISTICS => {
                color.transfer = TransferCharacteristics::from_code(code(&child)?);
            }
            ids::PRIMARIES => color.primaries = ColorPrimaries::from_code(code(&child)?),
            ids::RANGE => {
                color.range = match child.uint()? {
                    1 => Some(ColorRange::Limited),
                    2 => Some(ColorRange::Full),
                    _ => None,
                };
            }
            ids::MAX_CLL => (max_cll, light) = (small(&child)?, true),
            ids::MAX_FALL => (max_fall, light) = (small(&child)?, true),
            ids::MASTERING_METADATA => hdr.mastering_display = read_mastering(&child)?,
            _ => {}
        }
    }
    hdr.content_light = light.then_some(ContentLight { max_cll, max_fall });
    Ok((color, hdr))
}

/// Steps of a chromaticity in 1.0, and of a luminance in a candela per square metre.
const CHROMATICITY_STEPS: f64 = 50_000.0;
const LUMINANCE_STEPS: f64 = 10_000.0;

fn read_mastering(mastering: &Element) -> Result<Option<MasteringDisplay>> {
    // Conversion from floats saturates, and takes what is no number for zero.
    let mut numbers: [Option<f64>; 10] = [None; 10];
    for child in mastering.children() {
        let child = child?;
        let index = child.id.checked_sub(ids::PRIMARY_R_CHROMATICITY_X).map(|index| index as usize);
        if let Some(number) = index.and_then(|index| numbers.get_mut(index)) {
            *number = Some(child.float()?);
        }
    }
    let [
        Some(rx),
        Some(ry),
        Some(gx),
        Some(gy),
        Some(bx),
        Some(by),
        Some(wx),
        Some(wy),
        Some(max),
        Some(min),
    ] = numbers
    else {
        return Ok(None);
    };
    let step = |value: f64| (value * CHROMATICITY_STEPS).round() as u16;
    let point = |x, y| Chromaticity { x: step(x), y: step(y) };
    let luminance = |value: f64| (value * LUMINANCE_STEPS).round() as u32;
    let display = MasteringDisplay {
        red: point(rx, ry),
        green: point(gx, gy),
        blue: point(bx, by),
        white: point(wx, wy),
        max_luminance: luminance(max),
        min_luminance: luminance(min),
    };
    Ok(display.check().is_ok().then_some(display))
}

/// The matrix of a flat picture that is turned by `roll` degrees counterclockwise, and mirrored by half a turn of `yaw`.
fn read_projection(projection: &Element, id: TrackId, notes: &mut Vec<String>) -> Result<Option<[i32; 9]>> {
    let (mut kind, mut yaw, mut pitch, mut roll) = (0, 0.0, 0.0, 0.0);
    for child in projection.children() {
        let child = child?;
        match child.id {
            ids::PROJECTION_TYPE => kind = child.uint()?,
            ids::PROJECTION_POSE_YAW => yaw = child.float()?,
            ids::PROJECTION_POSE_PITCH => pitch = child.float()?,
            ids::PROJECTION_POSE_ROLL => roll = child.float()?,
            _ => {}
        }
    }
    let quarters = roll / 90.0;
    if kind != 0
        || pitch != 0.0
        || (yaw != 0.0 && (yaw.abs() - 180.0).abs() > f64::EPSILON)
        || quarters.fract() != 0.0
        || quarters.abs() > 4.0
    {
        notes.push(format!("track {}: its projection is no rotation by quarters, and not honoured", id.0));
        return Ok(None);
    }
    let (a, b) = match (quarters as i32).rem_euclid(4) {
        0 => (ONE, 0),
        1 => (0, -ONE),
        2 => (-ONE, 0),
        _ => (0, ONE),
    };
    let mirror = if yaw == 0.0 { 1 } else { -1 };
    let matrix = [a * mirror, b * mirror, 0, -b, a, 0, 0, 0, LAST];
    Ok((matrix[..5] != [ONE, 0, 0, 0, ONE]).then_some(matrix))
}

/// Writes the `Video` element of a track.
pub(super) fn write(out: &mut Vec<u8>, video: &VideoTrack) {
    out.master(ids::VIDEO, |out| {
        match video.fields {
            Some(order) => {
                out.uint(ids::FLAG_INTERLACED, 1);
                out.uint(ids::FIELD_ORDER, if order == FieldOrder::TopFirst { 1 } else { 6 });
            }
            None if !video.codec.uses_nal_units() => out.uint(ids::FLAG_INTERLACED, 2),
            None => {}
        }
        let (width, height) = (video.dimensions.width(), video.dimensions.height());
        out.uint(ids::PIXEL_WIDTH, width.into());
        out.uint(ids::PIXEL_HEIGHT, height.into());
        if let Some(ratio) = video.sample_aspect_ratio {
            // Pixels of the stretched side, as all readers take it: rounded by less than one.
            let stretched = u64::from(width) * u64::from(ratio.num());
            let den = u64::from(ratio.den());
            out.uint(ids::DISPLAY_WIDTH, ((stretched + den / 2) / den).max(1));
            out.uint(ids::DISPLAY_HEIGHT, height.into());
        }
        write_colour(out, video);
        if let Some((yaw, roll)) = video.matrix.and_then(pose) {
            out.master(ids::PROJECTION, |out| {
                out.uint(ids::PROJECTION_TYPE, 0);
                out.float(ids::PROJECTION_POSE_YAW, yaw);
                out.float(ids::PROJECTION_POSE_PITCH, 0.0);
                out.float(ids::PROJECTION_POSE_ROLL, roll);
            });
        }
    });
}

fn write_colour(out: &mut Vec<u8>, video: &VideoTrack) {
    let (color, hdr) = (video.color, video.hdr);
    if color == ColorInfo::UNSPECIFIED && hdr.is_empty() {
        return;
    }
    out.master(ids::COLOUR, |out| {
        out.uint(ids::MATRIX_COEFFICIENTS, color.matrix.code().into());
        match color.range {
            Some(ColorRange::Limited) => out.uint(ids::RANGE, 1),
            Some(ColorRange::Full) => out.uint(ids::RANGE, 2),
            None => {}
        }
        out.uint(ids::TRANSFER_CHARACTERISTICS, color.transfer.code().into());
        out.uint(ids::PRIMARIES, color.primaries.code().into());
        if let Some(light) = hdr.content_light {
            out.uint(ids::MAX_CLL, light.max_cll.into());
            out.uint(ids::MAX_FALL, light.max_fall.into());
        }
        if let Some(display) = hdr.mastering_display {
            out.master(ids::MASTERING_METADATA, |out| {
                let points = [display.red, display.green, display.blue, display.white];
                let steps = points.iter().flat_map(|point| [point.x, point.y]);
                for (id, step) in (ids::PRIMARY_R_CHROMATICITY_X..).zip(steps) {
                    out.float(id, f64::from(step) / CHROMATICITY_STEPS);
                }
                out.float(ids::LUMINANCE_MAX, f64::from(display.max_luminance) / LUMINANCE_STEPS);
                out.float(ids::LUMINANCE_MIN, f64::from(display.min_luminance) / LUMINANCE_STEPS);
            });
        }
    });
}

/// Yaw and roll of a matrix that turns by quarters and may mirror; `None` for the identity and for other matrices.
fn pose(matrix: [i32; 9]) -> Option<(f64, f64)> {
    let [a, b, _, c, d, ..] = matrix.map(i32::signum);
    let mirror = if i64::from(a) * i64::from(d) < i64::from(b) * i64::from(c) { -1 } else { 1 };
    let roll = match (a * mirror, b * mirror, c, d) {
        (1, 0, 0, 1) => 0.0,
        (0, -1, 1, 0) => 90.0,
        (-1, 0, 0, -1) => 180.0,
        (0, 1, -1, 0) => -90.0,
        _ => return None,
    };
    let yaw = if mirror < 0 { 180.0 } else { 0.0 };
    (yaw != 0.0 || roll != 0.0).then_some((yaw, roll))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::matroska::ebml::Children;

    fn again(video: &VideoTrack) -> VideoTrack {
        let mut out = Vec::new();
        write(&mut out, video);
        let element = Children::new(out.into()).next().unwrap().unwrap();
        let mut notes = Vec::new();
        let read = read(Some(&element), video.codec, video.layout, None, TrackId(1), &mut notes).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        read
    }

    #[test]
    fn rotations_and_mirrors_come_back() {
        let plain = VideoTrack::new(Codec::H264, BitstreamLayout::AnnexB, Dimensions::new(64, 48).unwrap());
        for (matrix, rotation) in [
            ([0, ONE, 0, -ONE, 0, 0, 0, 0, LAST], Some(90)),
            ([-ONE, 0, 0, 0, -ONE, 0, 0, 0, LAST], Some(180)),
            ([0, -ONE, 0, ONE, 0, 0, 0, 0, LAST], Some(270)),
            ([-ONE, 0, 0, 0, ONE, 0, 0, 0, LAST], None),
            ([0, -ONE, 0, -ONE, 0, 0, 0, 0, LAST], None),
        ] {
            let read = again(&VideoTrack { matrix: Some(matrix), ..plain.clone() });
            assert_eq!(read.matrix, Some(matrix));
            assert_eq!(read.rotation(), rotation);
        }
        assert_eq!(again(&plain).matrix, None);
    }

    #[test]
    fn light_and_colour_come_back_exactly() {
        let point = |x, y| Chromaticity { x, y };
        let video = VideoTrack {
            color: ColorInfo::BT709,
            hdr: HdrMetadata {
                mastering_display: Some(MasteringDisplay {
                    red: point(34_000, 16_000),
                    green: point(13_250, 34_500),
                    blue: point(7500, 3000),
                    white: point(15_635, 16_450),
                    max_luminance: 10_000_000,
                    min_luminance: 1,
                }),
                content_light: Some(ContentLight { max_cll: 1000, max_fall: 400 }),
            },
            ..VideoTrack::new(Codec::Vp9, BitstreamLayout::Opaque, Dimensions::new(720, 576).unwrap())
        };
        let read = again(&video);
        assert_eq!((read.color, read.hdr), (video.color, video.hdr));
        let wide = again(&VideoTrack { sample_aspect_ratio: crate::time::Rational::new(64, 45), ..video });
        assert_eq!(wide.sample_aspect_ratio.map(|ratio| (ratio.num(), ratio.den())), Some((64, 45)));
    }
}
