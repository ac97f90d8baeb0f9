//! The stream header line of YUV4MPEG2 (mjpegtools' yuv4mpeg(5), with the colour spaces and the
//! `XCOLORRANGE` that ffmpeg added).

use std::fmt::Write as _;

use crate::color::{ColorInfo, ColorRange};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::pixel::{Chroma, PixelFormat, PlaneLayout};
use crate::rawvideo::VideoFormat;
use crate::time::Rational;

/// First word of every stream.
pub(super) const MAGIC: &str = "YUV4MPEG2";

/// Rate of a stream that states none or `F0:0` (unknown), as other readers assume.
const UNKNOWN_RATE: Option<Rational> = Rational::new(25, 1);

/// Parses the header line without its line feed.
pub(super) fn parse(line: &[u8]) -> Result<VideoFormat> {
    let line = std::str::from_utf8(line)
        .map_err(|_| Error::corrupt_fatal("Y4M header holds bytes that are not text"))?;
    let mut words = line.split(' ').filter(|w| !w.is_empty());
    if words.next() != Some(MAGIC) {
        return Err(Error::corrupt_fatal(format!("Y4M header does not start with {MAGIC}")));
    }
    let (mut width, mut height) = (None, None);
    let mut frame_rate = UNKNOWN_RATE;
    let mut sample_aspect_ratio = None;
    let mut color_space = None;
    let mut old_color_space = None;
    let mut color = ColorInfo::UNSPECIFIED;
    for word in words {
        let mut chars = word.chars();
        let tag = chars.next();
        let value = chars.as_str();
        let bad = || Error::corrupt_fatal(format!("Y4M header has a bad field {}", quote(word)));
        match tag {
            Some('W') => width = Some(value.parse::<u32>().map_err(|_| bad())?),
            Some('H') => height = Some(value.parse::<u32>().map_err(|_| bad())?),
            Some('F') => frame_rate = ratio(value).ok_or_else(bad)?.or(UNKNOWN_RATE),
            Some('A') => sample_aspect_ratio = ratio(value).ok_or_else(bad)?,
            Some('C') => color_space = Some(value),
            Some('I') => require_progressive(value)?,
            Some('X') => {
                if let Some(range) = value.strip_prefix("COLORRANGE=") {
                    color.range = match range {
                        "FULL" => Some(ColorRange::Full),
                        "LIMITED" => Some(ColorRange::Limited),
                        _ => None,
                    };
                } else if let Some(name) = value.strip_prefix("YSCSS=") {
                    old_color_space = Some(name.to_ascii_lowercase());
                }
            }
            // Unknown fields are for other programs.
            _ => {}
        }
    }
    let (Some(width), Some(height)) = (width, height) else {
        return Err(Error::corrupt_fatal("Y4M header lacks the width (W) or the height (H)"));
    };
    let dimensions = Dimensions::new(width, height).ok_or_else(|| {
        Error::corrupt_fatal(format!("Y4M header states {width}x{height}; sides are 1 to 65535"))
    })?;
    let format = match color_space.or(old_color_space.as_deref()) {
        Some(name) => pixel_format(name)?,
        None => PixelFormat::I420,
    };
    let frame_rate = frame_rate.unwrap_or(Rational::ONE);
    Ok(VideoFormat { format, dimensions, frame_rate, color, sample_aspect_ratio })
}

/// The header line with its line feed.
pub(super) fn format(format: &VideoFormat) -> Result<String> {
    let Some(color_space) = color_space(format.format) else {
        let wanted =
            if format.format.is_rgb() { "yuv444p" } else { "its planar twin (yuv420p, yuv420p10le)" };
        return Err(Error::Unsupported {
            feature: format!("{} in Y4M, which holds planar YUV and luma only", format.format),
            remedy: format!("convert to {wanted}, or write raw video").into(),
        });
    };
    let mut line = format!(
        "{MAGIC} W{} H{} F{}:{} Ip",
        format.dimensions.width(),
        format.dimensions.height(),
        format.frame_rate.num(),
        format.frame_rate.den()
    );
    let (sar_num, sar_den) = format.sample_aspect_ratio.map_or((0, 0), |r| (r.num(), r.den()));
    // Writing to a string cannot fail.
    let _ = write!(line, " A{sar_num}:{sar_den} C{color_space}");
    match format.color.range {
        Some(ColorRange::Full) => line.push_str(" XCOLORRANGE=FULL"),
        Some(ColorRange::Limited) => line.push_str(" XCOLORRANGE=LIMITED"),
        None => {}
    }
    line.push('\n');
    Ok(line)
}

/// `num:den`; `Some(None)` when either is 0, which means unknown, and `None` when it is no ratio.
#[expect(clippy::option_option, reason = "'unknown' and 'malformed' are different answers")]
fn ratio(value: &str) -> Option<Option<Rational>> {
    let (num, den) = value.split_once(':')?;
    Some(Rational::new(num.parse().ok()?, den.parse().ok()?))
}

fn require_progressive(value: &str) -> Result<()> {
    let order = match value {
        "p" | "?" => return Ok(()),
        "t" => "top field first",
        "b" => "bottom field first",
        "m" => "mixed",
        _ => return Err(Error::corrupt_fatal(format!("Y4M header has a bad field {}", quote(value)))),
    };
    Err(Error::Unsupported {
        feature: format!("interlaced Y4M ({order})"),
        remedy: "deinterlace it first, for instance with ffmpeg -vf yadif".into(),
    })
}

/// Chroma siting (`jpeg`, `mpeg2`, `paldv`) is not kept: the sample layout is the same.
fn pixel_format(name: &str) -> Result<PixelFormat> {
    let (base, depth) = match name {
        "420jpeg" | "420mpeg2" | "420paldv" => ("420", 8),
        _ => match name.split_once('p') {
            Some((base, depth)) => (base, depth.parse().unwrap_or(0)),
            None => match name.strip_prefix("mono") {
                Some("") => ("mono", 8),
                Some(depth) => ("mono", depth.parse().unwrap_or(0)),
                None => (name, 8),
            },
        },
    };
    let chroma = match base {
        "420" => Some(Chroma::Yuv420),
        "422" => Some(Chroma::Yuv422),
        "444" => Some(Chroma::Yuv444),
        "mono" => Some(Chroma::Monochrome),
        _ => None,
    };
    chroma.and_then(|chroma| PixelFormat::planar(chroma, depth)).ok_or_else(|| Error::Unsupported {
        feature: format!("Y4M colour space {}", quote(name)),
        remedy: "420, 422, 444 and mono with 8, 10 or 12 bits are read".into(),
    })
}

fn color_space(format: PixelFormat) -> Option<&'static str> {
    let PlaneLayout::Planar(chroma) = format.layout() else { return None };
    Some(match (chroma, format.bit_depth()) {
        // Chroma sited left: what H.264, HEVC and VP9 streams have unless they say otherwise.
        (Chroma::Yuv420, 8) => "420mpeg2",
        (Chroma::Yuv422, 8) => "422",
        (Chroma::Yuv444, 8) => "444",
        (Chroma::Monochrome, 8) => "mono",
        (Chroma::Yuv420, 10) => "420p10",
        (Chroma::Yuv422, 10) => "422p10",
        (Chroma::Yuv444, 10) => "444p10",
        (Chroma::Monochrome, 10) => "mono10",
        (Chroma::Yuv420, 12) => "420p12",
        (Chroma::Yuv422, 12) => "422p12",
        (Chroma::Yuv444, 12) => "444p12",
        (Chroma::Monochrome, 12) => "mono12",
        _ => return None,
    })
}

/// A field for an error message: short, and without control characters.
fn quote(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
