//! What the headers of a stream say, the same for every codec.

use super::annexb::nal_units;
use super::convert::length_prefixed_units;
use super::{av1, h264, hevc, sei, vp8, vp9};
use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::hdr::HdrMetadata;
use crate::packet::BitstreamLayout;
use crate::pixel::Chroma;
use crate::time::Rational;

/// Summary of the headers that apply to a coded video sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Codec.
    pub codec: Codec,
    /// Profile by its name in the specification: `High`, `Main 10`, `High 4:4:4 Predictive`, `Profile 0`.
    pub profile_name: String,
    /// Level by its name, with the tier where it is the High tier: `3.1`, `1b`, `5.1 High`. Empty where the
    /// stream states none (VP8, VP9 without `vpcC`).
    pub level: String,
    /// Size after cropping.
    pub dimensions: Dimensions,
    /// Size of the coded pictures.
    pub coded_dimensions: Dimensions,
    /// Chroma subsampling.
    pub chroma: Chroma,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// Colour.
    pub color: ColorInfo,
    /// Sample aspect ratio, where stated.
    pub sample_aspect_ratio: Option<Rational>,
    /// Frame rate, where stated.
    pub frame_rate: Option<Rational>,
    /// Most frames that precede another in decoding order and follow it in output order, where stated or
    /// implied. `None`: anything up to [`Self::dpb_frames`].
    pub reorder_depth: Option<u32>,
    /// Frames that a decoder holds for reference and reordering.
    pub dpb_frames: u32,
    /// Whether pictures may be fields or hold field macroblocks.
    pub interlaced: bool,
    /// HDR10 metadata, where it is stated beside the headers.
    pub hdr: HdrMetadata,
}

impl StreamInfo {
    /// Bits per sample: the larger of luma and chroma.
    pub const fn bit_depth(&self) -> u8 {
        if self.bit_depth_luma > self.bit_depth_chroma { self.bit_depth_luma } else { self.bit_depth_chroma }
    }

    /// From the payload of a container's configuration record: `avcC`, `hvcC` or `av1C`. `None` when it
    /// holds no parameter sets (`avc3`, `hev1`), and always for `vpcC`, which does not state the size.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] when the record or a parameter set in it cannot be read.
    pub fn from_config(codec: Codec, config: &[u8]) -> Result<Option<Self>> {
        match codec {
            Codec::H264 => {
                let config = h264::AvcConfig::parse(config)?;
                h264_info(config.sps.iter().chain(&config.pps).map(|nal| Ok(nal.as_slice())))
            }
            Codec::Hevc => hevc_info(hevc::HevcConfig::parse(config)?.units().map(Ok)),
            Codec::Av1 => av1_info(&av1::Av1Config::parse(config)?.obus),
            Codec::Vp9 | Codec::Vp8 => vp9::VpConfig::parse(config).map(|_| None),
            // Their headers are for the decoder alone.
            Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 | Codec::Mjpeg => Ok(None),
        }
    }

    /// From one access unit (one temporal unit, one chunk). `None` when it holds no parameter sets or, in
    /// VP8 and VP9, no key frame.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] when a parameter set cannot be read; [`Error::InvalidInput`] for a layout
    /// that is not one of the codec.
    pub fn from_unit(codec: Codec, layout: BitstreamLayout, data: &[u8]) -> Result<Option<Self>> {
        match (codec, layout) {
            (Codec::H264, BitstreamLayout::AnnexB) => h264_info(nal_units(data).map(Ok)),
            (Codec::Hevc, BitstreamLayout::AnnexB) => hevc_info(nal_units(data).map(Ok)),
            (Codec::H264, BitstreamLayout::Avcc { length_size }) => {
                h264_info(length_prefixed_units(data, length_size))
            }
            (Codec::Hevc, BitstreamLayout::Hvcc { length_size }) => {
                hevc_info(length_prefixed_units(data, length_size))
            }
            (Codec::Av1, BitstreamLayout::Obu) => av1_info(data),
            (Codec::Vp9, BitstreamLayout::Opaque) => vp9_info(data),
            (Codec::Vp8, BitstreamLayout::Opaque) => vp8_info(data),
            (Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 | Codec::Mjpeg, BitstreamLayout::Opaque) => Ok(None),
            _ => Err(Error::invalid(format!("{codec} is never framed as {layout}"))),
        }
    }
}

/// What an access unit states of its light in front of its first picture, also where its headers are elsewhere. What is broken
/// states nothing.
pub fn hdr_of_unit(codec: Codec, layout: BitstreamLayout, data: &[u8]) -> HdrMetadata {
    match (codec, layout) {
        (Codec::H264 | Codec::Hevc, BitstreamLayout::AnnexB) => hdr_of_nals(codec, nal_units(data)),
        (Codec::H264, BitstreamLayout::Avcc { length_size })
        | (Codec::Hevc, BitstreamLayout::Hvcc { length_size }) => {
            hdr_of_nals(codec, length_prefixed_units(data, length_size).map_while(Result::ok))
        }
        (Codec::Av1, BitstreamLayout::Obu) => av1::obus(data)
            .map_while(Result::ok)
            .take_while(|obu| !matches!(obu.kind, av1::OBU_FRAME | av1::OBU_FRAME_HEADER))
            .filter(|obu| obu.kind == av1::OBU_METADATA)
            .fold(HdrMetadata::default(), |hdr, obu| hdr.or(av1::hdr(obu.payload))),
        _ => HdrMetadata::default(),
    }
}

fn hdr_of_nals<'a>(codec: Codec, nals: impl Iterator<Item = &'a [u8]>) -> HdrMetadata {
    let mut hdr = HdrMetadata::default();
    for nal in nals {
        let (kind, message, pictures, header) = if codec == Codec::H264 {
            (h264::nal_type(nal), h264::NAL_SEI, 1..=5, 1)
        } else {
            let header = hevc::NalHeader::parse(nal).filter(|header| header.layer_id == 0);
            (header.map(|header| header.nal_type), hevc::NAL_SEI_PREFIX, 0..=31, 2)
        };
        if kind == Some(message) {
            hdr = hdr.or(sei::hdr(nal.get(header..).unwrap_or_default()));
        } else if kind.is_some_and(|kind| pictures.contains(&kind)) {
            break;
        }
    }
    hdr
}

fn no_size(what: &str) -> Error {
    Error::corrupt(format!("{what}: the picture size after cropping is empty or over 65535"))
}

/// The SPS of the first slice where there is one, else the first SPS.
fn h264_info<'a>(nals: impl Iterator<Item = Result<&'a [u8]>>) -> Result<Option<StreamInfo>> {
    let mut sets = h264::ParameterSets::new();
    let mut first = None;
    let mut hdr = HdrMetadata::default();
    for nal in nals {
        let nal = nal?;
        match h264::nal_type(nal) {
            Some(h264::NAL_SPS) => {
                let sps = h264::Sps::parse(nal)?;
                first.get_or_insert(sps.id);
                sets.insert(nal)?;
            }
            Some(h264::NAL_PPS) => {
                sets.insert(nal)?;
            }
            Some(h264::NAL_SEI) => hdr = hdr.or(sei::hdr(nal.get(1..).unwrap_or_default())),
            Some(h264::NAL_SLICE | h264::NAL_PARTITION_A | h264::NAL_IDR) => {
                if let Ok(id) = h264::SliceIdentity::parse(nal, &sets) {
                    first = sets.pps(id.pps_id).map(|pps| pps.sps_id).or(first);
                }
                break;
            }
            _ => {}
        }
    }
    let Some(sps) = first.and_then(|id| sets.sps(id)) else { return Ok(None) };
    let vui = sps.vui.as_ref();
    Ok(Some(StreamInfo {
        codec: Codec::H264,
        profile_name: sps.profile_name(),
        level: sps.level_name(),
        dimensions: sps.dimensions().ok_or_else(|| no_size("H.264 SPS"))?,
        coded_dimensions: sps.coded_dimensions().ok_or_else(|| no_size("H.264 SPS"))?,
        chroma: sps.chroma,
        bit_depth_luma: sps.bit_depth_luma,
        bit_depth_chroma: sps.bit_depth_chroma,
        color: sps.color(),
        sample_aspect_ratio: vui.and_then(|v| v.sample_aspect_ratio),
        frame_rate: vui.and_then(|v| v.frame_rate),
        reorder_depth: sps.reorder_frames(),
        dpb_frames: u32::from(sps.dpb_frames()),
        interlaced: !sps.frame_mbs_only,
        hdr,
    }))
}

fn hevc_info<'a>(nals: impl Iterator<Item = Result<&'a [u8]>>) -> Result<Option<StreamInfo>> {
    let mut sets = hevc::ParameterSets::new();
    let mut first = None;
    let mut hdr = HdrMetadata::default();
    for nal in nals {
        let nal = nal?;
        let Some(header) = hevc::NalHeader::parse(nal).filter(|h| h.layer_id == 0) else { continue };
        match header.nal_type {
            hevc::NAL_SPS => {
                let sps = hevc::Sps::parse(nal)?;
                first.get_or_insert(sps.id);
                sets.insert(nal)?;
            }
            hevc::NAL_PPS => {
                sets.insert(nal)?;
            }
            // Nothing in a VPS is needed to describe the base layer but its timing.
            hevc::NAL_VPS => {
                let _unreadable = sets.insert(nal);
            }
            hevc::NAL_SEI_PREFIX => hdr = hdr.or(sei::hdr(nal.get(2..).unwrap_or_default())),
            0..=31 => {
                if let Ok(slice) = hevc::SliceSegment::parse(nal, &sets) {
                    first = sets.pps(slice.pps_id).map(|pps| pps.sps_id).or(first);
                }
                break;
            }
            _ => {}
        }
    }
    let Some(sps) = first.and_then(|id| sets.sps(id)) else { return Ok(None) };
    let vui = sps.vui.as_ref();
    let vps = sets.vps(sps.vps_id);
    let profile = &sps.profile;
    Ok(Some(StreamInfo {
        codec: Codec::Hevc,
        profile_name: profile.profile_name(),
        level: profile.level_name(),
        dimensions: sps.dimensions().ok_or_else(|| no_size("H.265 SPS"))?,
        coded_dimensions: sps.coded_dimensions().ok_or_else(|| no_size("H.265 SPS"))?,
        chroma: sps.chroma,
        bit_depth_luma: sps.bit_depth_luma,
        bit_depth_chroma: sps.bit_depth_chroma,
        color: sps.color(),
        sample_aspect_ratio: vui.and_then(|v| v.sample_aspect_ratio),
        frame_rate: vui.and_then(|v| v.frame_rate).or(vps.and_then(|v| v.frame_rate)),
        reorder_depth: Some(sps.ordering.max_num_reorder),
        dpb_frames: sps.ordering.max_dec_pic_buffering,
        interlaced: vui.is_some_and(|v| v.field_seq)
            || (profile.interlaced_source() && !profile.progressive_source()),
        hdr,
    }))
}

/// The first sequence header, and the metadata in front of the first frame.
fn av1_info(units: &[u8]) -> Result<Option<StreamInfo>> {
    let mut found = None;
    let mut hdr = HdrMetadata::default();
    for obu in av1::obus(units) {
        match obu {
            Ok(obu) if obu.kind == av1::OBU_SEQUENCE_HEADER && found.is_none() => {
                found = Some(av1::SequenceHeader::parse(obu.payload)?);
            }
            Ok(obu) if obu.kind == av1::OBU_METADATA => hdr = hdr.or(av1::hdr(obu.payload)),
            Ok(av1::Obu { kind: av1::OBU_FRAME | av1::OBU_FRAME_HEADER, .. }) if found.is_some() => break,
            Ok(_) => {}
            // What is broken behind the sequence header is for the decoder to complain about.
            Err(error) if found.is_none() => return Err(error),
            Err(_) => break,
        }
    }
    let Some(header) = found else { return Ok(None) };
    let size =
        Dimensions::new(header.max_width, header.max_height).ok_or_else(|| no_size("AV1 sequence header"))?;
    Ok(Some(StreamInfo {
        codec: Codec::Av1,
        profile_name: header.profile_name().to_owned(),
        level: header.level_name(),
        dimensions: size,
        coded_dimensions: size,
        chroma: header.chroma,
        bit_depth_luma: header.bit_depth,
        bit_depth_chroma: header.bit_depth,
        color: header.color,
        sample_aspect_ratio: None,
        frame_rate: header.frame_rate,
        // A temporal unit shows exactly one frame.
        reorder_depth: Some(0),
        dpb_frames: 8,
        interlaced: false,
        hdr,
    }))
}

fn vp9_info(chunk: &[u8]) -> Result<Option<StreamInfo>> {
    let first = vp9::frames(chunk).first().copied().unwrap_or(&[]);
    let header = vp9::FrameHeader::parse(first)?;
    let Some(format) = header.format else { return Ok(None) };
    let size = Dimensions::new(format.width, format.height).ok_or_else(|| no_size("VP9 frame header"))?;
    Ok(Some(StreamInfo {
        codec: Codec::Vp9,
        profile_name: format!("Profile {}", header.profile),
        level: String::new(),
        dimensions: size,
        coded_dimensions: size,
        chroma: format.chroma.ok_or_else(|| Error::unsupported("VP9 4:4:0"))?,
        bit_depth_luma: format.bit_depth,
        bit_depth_chroma: format.bit_depth,
        color: format.color,
        sample_aspect_ratio: None,
        frame_rate: None,
        reorder_depth: Some(0),
        dpb_frames: 8,
        interlaced: false,
        hdr: HdrMetadata::default(),
    }))
}

fn vp8_info(frame: &[u8]) -> Result<Option<StreamInfo>> {
    let header = vp8::FrameHeader::parse(frame)?;
    let Some((width, height)) = header.size else { return Ok(None) };
    let size = Dimensions::new(width, height).ok_or_else(|| no_size("VP8 key frame"))?;
    Ok(Some(StreamInfo {
        codec: Codec::Vp8,
        profile_name: format!("Profile {}", header.version),
        level: String::new(),
        dimensions: size,
        coded_dimensions: size,
        chroma: Chroma::Yuv420,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        color: ColorInfo::UNSPECIFIED,
        sample_aspect_ratio: None,
        frame_rate: None,
        reorder_depth: Some(0),
        dpb_frames: 3,
        interlaced: false,
        hdr: HdrMetadata::default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::sei::tests::{message, unit};
    use super::*;
    use crate::hdr::{ContentLight, MasteringDisplay};

    const DISPLAY: &str = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
    const LIGHT: ContentLight = ContentLight { max_cll: 1000, max_fall: 400 };

    /// How one codec, framed in one way, writes the parts of an access unit.
    struct Case {
        codec: Codec,
        layout: BitstreamLayout,
        display: Vec<u8>,
        light: Vec<u8>,
        picture: Vec<u8>,
        frame: fn(&[u8]) -> Vec<u8>,
    }

    fn nals(codec: Codec, layout: BitstreamLayout, frame: fn(&[u8]) -> Vec<u8>) -> Case {
        let (message_header, picture_header): (&[u8], &[u8]) = match codec {
            Codec::H264 => (&[h264::NAL_SEI], &[0x60 | h264::NAL_IDR]),
            _ => (&[hevc::NAL_SEI_PREFIX << 1, 1], &[hevc::NAL_IDR_W_RADL << 1, 1]),
        };
        let display: MasteringDisplay = DISPLAY.parse().unwrap();
        Case {
            codec,
            layout,
            display: [message_header, &unit(&[message(137, &display.sei_payload())])].concat(),
            light: [message_header, &unit(&[message(144, &LIGHT.sei_payload())])].concat(),
            picture: [picture_header, &[0x88; 20]].concat(),
            frame,
        }
    }

    fn obus() -> Case {
        let display: MasteringDisplay = DISPLAY.parse().unwrap();
        let metadata = |kind: u8, body: &[u8]| [&[av1::OBU_METADATA, kind], body, &[0x80]].concat();
        Case {
            codec: Codec::Av1,
            layout: BitstreamLayout::Obu,
            display: metadata(2, &display.av1_payload()),
            light: metadata(1, &LIGHT.sei_payload()),
            picture: [&[av1::OBU_FRAME][..], &[0x10; 20]].concat(),
            // The kind stands in front; in the header it comes with "a size follows".
            frame: |obu| [&[obu[0] << 3 | 2, obu.len() as u8 - 1], &obu[1..]].concat(),
        }
    }

    fn prefixed<const N: usize>(nal: &[u8]) -> Vec<u8> {
        [&(nal.len() as u32).to_be_bytes()[4 - N..], nal].concat()
    }

    #[test]
    fn the_light_is_what_stands_in_front_of_the_first_picture() {
        let start_code: fn(&[u8]) -> Vec<u8> = |nal| [&[0, 0, 0, 1], nal].concat();
        let (four, two) = (4, 2);
        for case in [
            nals(Codec::H264, BitstreamLayout::AnnexB, start_code),
            nals(Codec::H264, BitstreamLayout::Avcc { length_size: four }, prefixed::<4>),
            nals(Codec::H264, BitstreamLayout::Avcc { length_size: two }, prefixed::<2>),
            nals(Codec::Hevc, BitstreamLayout::AnnexB, start_code),
            nals(Codec::Hevc, BitstreamLayout::Hvcc { length_size: four }, prefixed::<4>),
            obus(),
        ] {
            let Case { codec, layout, .. } = case;
            let display = HdrMetadata { mastering_display: DISPLAY.parse().ok(), content_light: None };
            let whole = HdrMetadata { content_light: Some(LIGHT), ..display };
            let none = HdrMetadata::default();
            let [d, l, p] = [&case.display, &case.light, &case.picture];
            for (units, wanted, what) in [
                (&[d, l, p][..], whole, "in front"),
                (&[l, d], whole, "without a picture"),
                (&[d, p, l], display, "one behind the picture"),
                (&[p, d, l], none, "behind the picture"),
                (&[p], none, "nothing"),
            ] {
                let data: Vec<u8> = units.iter().flat_map(|unit| (case.frame)(unit)).collect();
                assert_eq!(hdr_of_unit(codec, layout, &data), wanted, "{codec} as {layout}: {what}");
            }
            // What is cut off states what stands in front of the cut, and harms nobody.
            let (first, second) = ((case.frame)(d), (case.frame)(l));
            let both = [&first[..], &second].concat();
            for length in 0..both.len() - 1 {
                let found = hdr_of_unit(codec, layout, &both[..length]);
                assert_eq!(found.content_light, None, "{codec} as {layout}, {length} bytes");
                let there = found.mastering_display.is_some();
                assert!(there || length < first.len(), "{codec} as {layout}, {length} bytes");
            }
        }
        assert!(hdr_of_unit(Codec::H264, BitstreamLayout::Obu, &[6, 137]).is_empty(), "no such framing");
    }

    #[test]
    fn the_messages_of_another_layer_are_not_the_pictures() {
        let case = nals(Codec::Hevc, BitstreamLayout::AnnexB, |nal| [&[0, 0, 0, 1], nal].concat());
        let mut other = case.light.clone();
        other[1] |= 1 << 3;
        let data: Vec<u8> =
            [&other, &case.display, &case.picture].into_iter().flat_map(|unit| (case.frame)(unit)).collect();
        let found = hdr_of_unit(Codec::Hevc, BitstreamLayout::AnnexB, &data);
        assert_eq!(found, HdrMetadata { mastering_display: DISPLAY.parse().ok(), content_light: None });
    }
}
