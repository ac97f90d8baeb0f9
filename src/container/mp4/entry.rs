//! Sample descriptions (`stsd`): what the samples of a track are.

use super::aspect;
use super::boxes::{FourCc, Mp4Box, be_u16, be_u32};
use super::legacy;
use crate::bitstream::StreamInfo;
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::container::VideoTrack;
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::frame::FieldOrder;
use crate::hdr::{ContentLight, HdrMetadata, MasteringDisplay};
use crate::packet::BitstreamLayout;
use crate::time::Rational;

/// Bytes of a visual sample entry between the box header and its child boxes (clause 12.1.3).
pub(super) const VISUAL_FIELDS_LEN: usize = 78;

/// Sample descriptions that one track may have: each file that was joined into it brings one.
const MOST_ENTRIES: usize = 1 << 16;

/// The sample entries of `stsd`, as boxes.
pub(super) fn sample_entries(stsd: &Mp4Box) -> Result<Vec<Mp4Box>> {
    let count = be_u32(&stsd.payload, 4).ok_or_else(|| stsd.broken("is too short for its entry count"))?;
    let mut entries = Vec::new();
    for entry in stsd.children(8).take(count as usize) {
        if entries.len() == MOST_ENTRIES {
            return Err(stsd.broken(&format!("lists {count} sample descriptions, more than {MOST_ENTRIES}")));
        }
        entries.push(entry?);
    }
    if entries.is_empty() {
        return Err(stsd.broken("has no sample entry"));
    }
    Ok(entries)
}

/// Codec and type of its configuration box.
fn codec_of(kind: [u8; 4]) -> Option<(Codec, [u8; 4])> {
    Some(match &kind {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" | b"dvav" | b"dva1" => (Codec::H264, *b"avcC"),
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => (Codec::Hevc, *b"hvcC"),
        b"av01" | b"dav1" => (Codec::Av1, *b"av1C"),
        b"vp09" => (Codec::Vp9, *b"vpcC"),
        b"vp08" => (Codec::Vp8, *b"vpcC"),
        _ => return None,
    })
}

/// The original format of a protected sample entry (`encv`, `enca`, ...: clause 8.12), for messages;
/// `None` for an entry that is not protected.
pub(super) fn protection(entry: &Mp4Box, fields_len: usize) -> Option<String> {
    if !matches!(&entry.kind, b"encv" | b"enca" | b"enct" | b"encs" | b"drms" | b"drmi") {
        return None;
    }
    let find = |parent: &Mp4Box, skip, kind: &[u8; 4]| {
        parent.children(skip).filter_map(Result::ok).find(|child| child.kind == *kind)
    };
    let sinf = find(entry, fields_len, b"sinf");
    let word = |kind: &[u8; 4], at: usize| {
        let found = find(sinf.as_ref()?, 0, kind)?;
        Some(FourCc(found.payload.get(at..at + 4)?.try_into().ok()?).to_string())
    };
    let format = word(b"frma", 0).unwrap_or_else(|| "unknown".into());
    let scheme = word(b"schm", 4).unwrap_or_else(|| "unknown".into());
    Some(format!("encrypted samples (sample entry {}, format {format}, scheme {scheme})", FourCc(entry.kind)))
}

/// Reads a visual sample entry; `None` where the codec is not one of ours.
pub(super) fn video(entry: &Mp4Box) -> Result<Option<VideoTrack>> {
    let (codec, config_kind, header) = match codec_of(entry.kind) {
        Some((codec, config_kind)) => (codec, Some(config_kind), None),
        None => match legacy::codec_of(entry, VISUAL_FIELDS_LEN)? {
            Some((codec, header)) => (codec, None, header),
            None => return Ok(None),
        },
    };
    let side = |at| be_u16(&entry.payload, at).map(u32::from);
    let stated = side(24).zip(side(26)).and_then(|(width, height)| Dimensions::new(width, height));

    let (mut config, mut color, mut aspect) = (None, None, None);
    let mut hdr = HdrMetadata::default();
    let mut fields = None;
    for child in entry.children(VISUAL_FIELDS_LEN) {
        let child = child?;
        match &child.kind {
            kind if Some(*kind) == config_kind && config.is_none() => config = Some(child),
            b"colr" if color.is_none() => color = colour(&child.payload),
            b"pasp" if aspect.is_none() => {
                let (h, v) = (be_u32(&child.payload, 0), be_u32(&child.payload, 4));
                let ratio = h.zip(v).and_then(|(h, v)| Rational::new(h, v));
                aspect = ratio.filter(|ratio| ratio.num() > 0).and_then(aspect::reduced);
            }
            b"mdcv" if hdr.mastering_display.is_none() => {
                hdr.mastering_display =
                    child.payload.first_chunk().and_then(MasteringDisplay::from_sei_payload);
            }
            b"fiel" => fields = field_order(&child.payload),
            b"clli" if hdr.content_light.is_none() => {
                hdr.content_light = child.payload.first_chunk().map(ContentLight::from_sei_payload);
            }
            _ => {}
        }
    }
    let layout = layout(entry, codec, config.as_ref())?;
    let config = config.map(|config| config.payload).or(header);
    // Parameter sets that cannot be read are for the decoder to complain about.
    let coded = config.as_ref().and_then(|config| StreamInfo::from_config(codec, config).ok().flatten());
    let dimensions = coded
        .as_ref()
        .map(|info| info.dimensions)
        .or(stated)
        .ok_or_else(|| entry.broken("states no picture size"))?;
    Ok(Some(VideoTrack {
        color: color.unwrap_or_default(),
        sample_aspect_ratio: aspect,
        codec_config: config,
        hdr: hdr.or(coded.map(|info| info.hdr).unwrap_or_default()),
        fields,
        ..VideoTrack::new(codec, layout, dimensions)
    }))
}

/// `fiel` box (QuickTime): number of fields, and how they are stored and shown.
fn field_order(payload: &[u8]) -> Option<FieldOrder> {
    match payload {
        [2, 1 | 9, ..] => Some(FieldOrder::TopFirst),
        [2, 6 | 14, ..] => Some(FieldOrder::BottomFirst),
        _ => None,
    }
}

fn layout(entry: &Mp4Box, codec: Codec, config: Option<&Mp4Box>) -> Result<BitstreamLayout> {
    // ISO/IEC 14496-15 5.3.3.1 and 8.3.3.1: lengthSizeMinusOne.
    let length_size = |at: usize| {
        let config = config.ok_or_else(|| entry.broken("has no codec configuration box"))?;
        match config.payload.get(at).map(|byte| (byte & 3) + 1) {
            Some(3) => Err(config.broken("asks for NAL unit lengths of 3 bytes")),
            Some(size) => Ok(size),
            None => Err(config.broken("is too short")),
        }
    };
    Ok(match codec {
        Codec::H264 => BitstreamLayout::Avcc { length_size: length_size(4)? },
        Codec::Hevc => BitstreamLayout::Hvcc { length_size: length_size(21)? },
        other => BitstreamLayout::elementary(other),
    })
}

/// `colr` box: `nclx` (clause 12.1.5) or QuickTime's `nclc`; ICC profiles say nothing here.
fn colour(payload: &[u8]) -> Option<ColorInfo> {
    let range = match payload.get(..4)? {
        // Some writers leave the byte of the range out.
        b"nclx" => {
            payload.get(10).map(|byte| if byte & 0x80 != 0 { ColorRange::Full } else { ColorRange::Limited })
        }
        b"nclc" => None,
        _ => return None,
    };
    // Code points are 8 bits wide in H.273; 2 means "not stated".
    let code = |at| be_u16(payload, at).map(|code| u8::try_from(code).unwrap_or(2));
    Some(ColorInfo {
        primaries: ColorPrimaries::from_code(code(4)?),
        transfer: TransferCharacteristics::from_code(code(6)?),
        matrix: MatrixCoefficients::from_code(code(8)?),
        range,
    })
}
