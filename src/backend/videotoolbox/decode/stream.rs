//! What a stream is, from its headers: what a session is opened for, and what its pictures are like.

use std::collections::BTreeMap;

use crate::backend::demand::Demand;
use crate::backend::videotoolbox::codec_type;
use crate::backend::videotoolbox::driver::abi::pixel_format;
use crate::backend::videotoolbox::driver::media::FormatDescription;
use crate::bitstream::annexb::nal_units;
use crate::bitstream::{Av1Config, StreamInfo, VpConfig, h264, hevc, leading_units, mpeg};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorRange, MatrixCoefficients};
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::memory;
use crate::packet::BitstreamLayout;
use crate::pixel::{Chroma, PixelFormat};
use crate::time::Rational;

/// Pictures that a session keeps besides those of the stream's own buffer.
const BESIDES: u64 = 8;

/// A coded video sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stream {
    source: Source,
    pub(super) shape: Shape,
    demand: Demand,
    dpb: u64,
}

/// Where the framework learns of it.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// H.264 and HEVC.
    Sets(Codec, Vec<Vec<u8>>),
    /// `CMVideoCodecType`, and the payload of the box of this name.
    Record(u32, Option<(&'static str, Vec<u8>)>),
}

/// Column and row.
type Corner = (u32, u32);

/// What its pictures are like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) dimensions: Dimensions,
    pub(super) coded: Dimensions,
    /// Where the picture begins in a coded one.
    pub(super) corner: Corner,
    pub(super) format: PixelFormat,
    /// `kCVPixelFormatType_*`.
    pub(super) pixel_format: u32,
    pub(super) color: ColorInfo,
    pub(super) sample_aspect_ratio: Option<Rational>,
    pub(super) frame_rate: Option<Rational>,
    /// Most pictures that wait for one that is shown before them.
    pub(super) reorder: usize,
    /// The size may change from picture to picture.
    pub(super) is_elastic: bool,
}

impl Stream {
    /// From a unit with all parameter sets that are in force, in the codec's elementary layout. `None`: it has no headers.
    ///
    /// # Errors
    /// Headers that cannot be read, and streams that are not taken.
    pub(super) fn of(unit: &[u8], config: &CommonDecodeConfig) -> Result<Option<Self>> {
        let codec = config.codec;
        let mut info = StreamInfo::from_unit(codec, BitstreamLayout::elementary(codec), unit)?;
        let record = config.codec_config.as_deref();
        let (source, corner) = match codec {
            Codec::H264 | Codec::Hevc => {
                let Some((sets, corner)) = active_sets(codec, unit) else { return Ok(None) };
                (Source::Sets(codec, sets), corner)
            }
            Codec::Av1 => {
                // A stream may have its sequence header in the container alone.
                if info.is_none() {
                    info = record.map(|record| StreamInfo::from_config(codec, record)).transpose()?.flatten();
                }
                let own = Av1Config::from_temporal_unit(unit).ok();
                let Some(av1c) = own.map(|own| own.build()).or_else(|| record.map(<[u8]>::to_vec)) else {
                    return Ok(None);
                };
                (Source::Record(codec_type(codec)?, Some(("av1C", av1c))), (0, 0))
            }
            Codec::Mpeg2 | Codec::Mpeg4 => {
                let head = mpeg::Head::of(codec, unit)?;
                info = head.info;
                let record = (codec == Codec::Mpeg4).then(|| esds(head.config)).transpose()?;
                (Source::Record(codec_type(codec)?, record.map(|record| ("esds", record))), (0, 0))
            }
            _ => {
                if info.is_none() {
                    return Ok(None);
                }
                let mut own = VpConfig::from_vp9_chunk(unit)?;
                own.level =
                    record.and_then(|record| VpConfig::parse(record).ok()).map_or(0, |stated| stated.level);
                (Source::Record(codec_type(codec)?, Some(("vpcC", own.build()))), (0, 0))
            }
        };
        let Some(info) = info else { return Ok(None) };
        let (mut format, mut pixel_format) = output_format(&info)?;
        let mut color = info.color;
        if wants_bgra(config, &info) {
            (format, pixel_format) = (PixelFormat::Bgra, pixel_format::BGRA);
            color.matrix = MatrixCoefficients::Identity;
            color.range = Some(ColorRange::Full);
        }
        let shape = Shape {
            dimensions: info.dimensions,
            coded: info.coded_dimensions,
            corner,
            format,
            pixel_format,
            color,
            sample_aspect_ratio: info.sample_aspect_ratio,
            frame_rate: info.frame_rate,
            reorder: reorder(&info, config),
            is_elastic: matches!(codec, Codec::Vp9 | Codec::Av1),
        };
        Ok(Some(Self { source, shape, demand: Demand::from(&info), dpb: u64::from(info.dpb_frames) }))
    }

    /// Refuses pictures that would take more than the limits allow.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub(super) fn check(&self, config: &CommonDecodeConfig) -> Result<()> {
        self.demand.check_on_card(&config.limits, self.dpb + self.shape.reorder as u64 + BESIDES)
    }

    /// In the framework's words.
    ///
    /// # Errors
    /// Headers that it cannot read.
    pub(super) fn describe(&self) -> Result<FormatDescription> {
        match &self.source {
            Source::Sets(codec, sets) => {
                let sets: Vec<&[u8]> = sets.iter().map(Vec::as_slice).collect();
                FormatDescription::of_parameter_sets(*codec, &sets)
            }
            Source::Record(codec_type, record) => {
                let size = (self.shape.coded.width(), self.shape.coded.height());
                let record = record.as_ref().map(|(name, record)| (*name, record.as_slice()));
                FormatDescription::of_record(*codec_type, size, record)
            }
        }
    }
}

/// The format of pictures: what a stream of these samples comes out as, by its own range, so that nothing is converted. There is
/// no format here for pairs of chroma in 4:2:2 and 4:4:4, which are taken apart.
fn output_format(info: &StreamInfo) -> Result<(PixelFormat, u32)> {
    let full = usize::from(info.color.range == Some(ColorRange::Full));
    let depth = (info.bit_depth_luma, info.bit_depth_chroma);
    let deep = usize::from(depth == (10, 10));
    let known = matches!(depth, (8, 8) | (10, 10));
    let found = match info.chroma {
        Chroma::Yuv420 if deep == 0 => {
            (PixelFormat::Nv12, [pixel_format::NV12_VIDEO, pixel_format::NV12_FULL][full])
        }
        Chroma::Yuv420 => (PixelFormat::P010, [pixel_format::P010_VIDEO, pixel_format::P010_FULL][full]),
        Chroma::Yuv422 => ([PixelFormat::I422, PixelFormat::I210][deep], pixel_format::YUV422[deep][full]),
        Chroma::Yuv444 => ([PixelFormat::I444, PixelFormat::I410][deep], pixel_format::YUV444[deep][full]),
        Chroma::Monochrome => return Err(not_decoded(info)),
    };
    let whole = info.codec == Codec::Hevc || info.chroma == Chroma::Yuv420;
    if known && whole { Ok(found) } else { Err(not_decoded(info)) }
}

/// Whether the system converts: whole pictures, by the colours that it knows of, which are the stream's own.
fn wants_bgra(config: &CommonDecodeConfig, info: &StreamInfo) -> bool {
    let works = matches!(config.output, DecodeOutputMode::NativeSurface | DecodeOutputMode::HostSurface);
    let whole = config.crop.is_none() && config.size.is_none();
    let (stated, own) = (config.color, info.color);
    let same = (stated.matrix == MatrixCoefficients::Unspecified || stated.matrix == own.matrix)
        && stated.range.is_none_or(|range| range == own.range.unwrap_or(ColorRange::Limited));
    super::own(config).system_bgra
        && config.convert.format() == Some(PixelFormat::Bgra)
        && works
        && whole
        && same
}

/// The payload of an `esds` box (ISO/IEC 14496-14) with these headers of MPEG-4 Visual.
fn esds(config: &[u8]) -> Result<Vec<u8>> {
    // A tag, and how much follows in four times seven bits.
    fn descriptor(tag: u8, bytes: usize) -> [u8; 5] {
        let part = |shift: u32| (bytes >> shift) as u8 & 0x7f;
        [tag, part(21) | 0x80, part(14) | 0x80, part(7) | 0x80, part(0)]
    }
    let (decoder, sync) = (13 + 5 + config.len(), [2]);
    let parts: [&[u8]; 8] = [
        &[0; 4],
        // ES_Descriptor: number and flags; DecoderConfigDescriptor: MPEG-4 Visual, sizes and rates that nobody knows.
        &descriptor(3, 3 + 5 + decoder + 5 + sync.len()),
        &[0; 3],
        &descriptor(4, decoder),
        &[0x20, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &descriptor(5, config.len()),
        config,
        &[&descriptor(6, sync.len())[..], &sync].concat(),
    ];
    let mut out = memory::room(parts.iter().map(|part| part.len()).sum())?;
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(out)
}

fn not_decoded(info: &StreamInfo) -> Error {
    Error::Unsupported {
        feature: format!(
            "{} {} {} with {} bits by VideoToolbox",
            info.codec, info.profile_name, info.chroma, info.bit_depth_luma
        ),
        remedy: Remedy::OtherBackend,
    }
}

fn reorder(info: &StreamInfo, config: &CommonDecodeConfig) -> usize {
    // Baseline has no B slices, so its encoders do not reorder, though the syntax would let them.
    let plain = config.low_latency && info.codec == Codec::H264 && info.profile_name.contains("Baseline");
    let most = if plain { 0 } else { info.reorder_depth.unwrap_or(info.dpb_frames) };
    most.min(16) as usize
}

/// The parameter sets that the first picture of a unit counts on, each once and in order, and where its sequence's picture
/// begins. Others may use tools that are refused. `None`: no picture, or its sets are missing.
fn active_sets(codec: Codec, unit: &[u8]) -> Option<(Vec<Vec<u8>>, Corner)> {
    let mut found: BTreeMap<(u8, u32), &[u8]> = BTreeMap::new();
    let corner;
    if codec == Codec::H264 {
        let mut sets = h264::ParameterSets::new();
        let mut wanted = None;
        for nal in nal_units(unit) {
            match h264::nal_type(nal) {
                Some(h264::NAL_SPS | h264::NAL_PPS) => {
                    let _ = sets.insert(nal);
                }
                Some(h264::NAL_SLICE | h264::NAL_PARTITION_A | h264::NAL_IDR) => {
                    let slice = h264::SliceIdentity::parse(nal, &sets).ok()?;
                    wanted = sets.pps(slice.pps_id).map(|pps| pps.sps_id);
                    break;
                }
                _ => {}
            }
        }
        let sps = sets.sps(wanted?)?;
        corner = (sps.crop.left, sps.crop.top);
        for nal in leading_units(codec, unit) {
            match h264::nal_type(nal) {
                Some(kind @ h264::NAL_SPS) => {
                    let own = h264::Sps::parse(nal).ok().filter(|own| own.id == sps.id);
                    found.extend(own.map(|own| ((kind, u32::from(own.id)), nal)));
                }
                Some(kind @ h264::NAL_PPS) => {
                    let own = h264::Pps::parse(nal, &sets).ok().filter(|own| own.sps_id == sps.id);
                    found.extend(own.map(|own| ((kind, u32::from(own.id)), nal)));
                }
                _ => {}
            }
        }
    } else {
        let base = |nal: &[u8]| hevc::NalHeader::parse(nal).filter(|header| header.layer_id == 0);
        let mut sets = hevc::ParameterSets::default();
        let mut wanted = None;
        for nal in nal_units(unit) {
            match base(nal).map(|header| header.nal_type) {
                Some(hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS) => {
                    let _ = sets.insert(nal);
                }
                Some(0..=31) => {
                    let slice = hevc::SliceSegment::parse(nal, &sets).ok()?;
                    wanted = sets.pps(slice.pps_id).map(|pps| pps.sps_id);
                    break;
                }
                _ => {}
            }
        }
        let sps = sets.sps(wanted?)?;
        corner = (sps.crop.left, sps.crop.top);
        for nal in leading_units(codec, unit) {
            let Some(header) = base(nal) else { continue };
            let kind = header.nal_type;
            let number = match kind {
                hevc::NAL_VPS => hevc::Vps::parse(nal).ok().map(|own| own.id).filter(|id| *id == sps.vps_id),
                hevc::NAL_SPS => hevc::Sps::parse(nal).ok().map(|own| own.id).filter(|id| *id == sps.id),
                hevc::NAL_PPS => {
                    hevc::Pps::parse(nal).ok().filter(|own| own.sps_id == sps.id).map(|own| own.id)
                }
                _ => None,
            };
            found.extend(number.map(|number| ((kind, u32::from(number)), nal)));
        }
    }
    Some((found.into_values().map(<[u8]>::to_vec).collect(), corner))
}
