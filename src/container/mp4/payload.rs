//! Video samples as MP4 wants them (ISO/IEC 14496-15, AV1-ISOBMFF, VP-ISOBMFF).
//!
//! NAL units get 4-byte lengths. Parameter sets live in the sample entry and leave the samples, unless the
//! stream changes them on the way: from then on they stay where they are, and the sample entry says so
//! (`avc3`, `hev1`).

use bytes::Bytes;

use crate::bitstream::annexb::nal_units;
use crate::bitstream::av1::{self, Av1Config};
use crate::bitstream::convert::length_prefixed_units;
use crate::bitstream::h264::{self, AvcConfig};
use crate::bitstream::hevc::{self, HevcConfig};
use crate::bitstream::vp9::VpConfig;
use crate::bitstream::{ActiveParameterSets, is_delimiter, is_slice, leading_units};
use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::container::VideoTrack;
use crate::error::{Error, Result};
use crate::memory;
use crate::packet::BitstreamLayout;

/// Bytes of each NAL unit length that this writer uses.
const LENGTH_SIZE: u8 = 4;

pub(in crate::container) struct Payload {
    codec: Codec,
    layout: BitstreamLayout,
    /// The configuration record; absent until the first random access point where the caller had none.
    config: Option<Bytes>,
    /// The parameter sets in force: those of `config` until samples bring others. Empty for codecs without.
    sets: ActiveParameterSets,
    /// A sample has brought a parameter set other than that of `config`.
    in_band: bool,
    /// Samples that repeat those of `config` keep them: others come in between.
    sets_change: bool,
}

/// What the sample entry is to say.
pub(in crate::container) struct Description {
    /// Type of the sample entry.
    pub(in crate::container) entry: [u8; 4],
    /// Type of its configuration box, and the payload.
    pub(in crate::container) config_box: [u8; 4],
    pub(in crate::container) config: Vec<u8>,
}

impl Payload {
    pub(in crate::container) fn new(video: &VideoTrack) -> Result<Self> {
        let (codec, layout) = (video.codec, video.layout);
        let fits = match layout {
            BitstreamLayout::AnnexB => codec.uses_nal_units(),
            BitstreamLayout::Avcc { .. } => codec == Codec::H264,
            BitstreamLayout::Hvcc { .. } => codec == Codec::Hevc,
            BitstreamLayout::Obu => codec == Codec::Av1,
            BitstreamLayout::Opaque => matches!(codec, Codec::Vp8 | Codec::Vp9),
        };
        if matches!(codec, Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 | Codec::Mjpeg) {
            return Err(Error::unsupported(format!("writing {codec} into MP4")));
        }
        if !fits {
            return Err(Error::invalid(format!("{codec} samples cannot be in {layout} layout")));
        }
        let mut sets = ActiveParameterSets::new(codec);
        match (&video.codec_config, codec) {
            (Some(config), Codec::H264) => sets.observe(&AvcConfig::parse(config)?.to_annexb()),
            (Some(config), Codec::Hevc) => drop(sets.take(HevcConfig::parse(config)?.units())),
            (None, _) if matches!(layout, BitstreamLayout::Avcc { .. } | BitstreamLayout::Hvcc { .. }) => {
                return Err(Error::invalid(format!(
                    "{codec} samples in {layout} layout need a codec_config"
                )));
            }
            _ => {}
        }
        let (config, sets_change) = (video.codec_config.clone(), video.sets_change);
        Ok(Self { codec, layout, config, sets, in_band: false, sets_change })
    }

    /// The sample as it is stored. `entry_point`: reading may begin with it.
    pub(in crate::container) fn convert(&mut self, data: &Bytes, entry_point: bool) -> Result<Bytes> {
        match self.layout {
            BitstreamLayout::AnnexB => self.store_annexb(data, entry_point),
            BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
                self.store_length_prefixed(data, length_size, entry_point)
            }
            BitstreamLayout::Obu => self.store_obus(data),
            BitstreamLayout::Opaque => self.store_vpx(data),
        }
    }

    fn store_annexb(&mut self, data: &[u8], entry_point: bool) -> Result<Bytes> {
        if self.config.is_none() {
            self.build_nal_config(data)?;
        }
        let missing = self.follow(|| nal_units(data), entry_point);
        let drops = !self.in_band && !self.sets_change;
        let mut out = memory::room(data.len() + missing.len() + 16)?;
        for nal in nal_units(&missing).chain(nal_units(data)) {
            if !(is_delimiter(self.codec, nal) || drops && self.sets.holds(nal)) {
                push_unit(&mut out, nal)?;
            }
        }
        Ok(out.into())
    }

    /// Samples that have lengths already are left as they are, so that a copy stays a copy.
    fn store_length_prefixed(&mut self, data: &Bytes, length_size: u8, entry_point: bool) -> Result<Bytes> {
        let units = || length_prefixed_units(data, length_size);
        for nal in units() {
            nal?;
        }
        let missing = self.follow(|| units().map_while(Result::ok), entry_point);
        if length_size == LENGTH_SIZE && missing.is_empty() {
            return Ok(data.clone());
        }
        let mut out = memory::room(data.len() + missing.len() + 16)?;
        let mut missing = Some(missing);
        for nal in units() {
            let nal = nal?;
            // An access unit delimiter stays in front.
            if !is_delimiter(self.codec, nal) {
                for set in missing.take().iter().flat_map(|missing| nal_units(missing)) {
                    push_unit(&mut out, set)?;
                }
            }
            push_unit(&mut out, nal)?;
        }
        Ok(out.into())
    }

    /// Follows the parameter sets of a sample, and gives those that it lacks (Annex B). Once one differs from that of `config`
    /// all stay, since a repetition may undo the change, and entry points get those in force: a reader that begins there has
    /// those of `config`.
    fn follow<'a, I: Iterator<Item = &'a [u8]>>(
        &mut self,
        units: impl Fn() -> I,
        entry_point: bool,
    ) -> Vec<u8> {
        let codec = self.codec;
        let missing = if self.in_band && entry_point {
            self.sets.missing_from_units(units().take_while(|nal| !is_slice(codec, nal)))
        } else {
            Vec::new()
        };
        self.in_band |= self.sets.take(units());
        missing
    }

    /// The record of the sets in front of the first slice, of each number the last.
    fn build_nal_config(&mut self, data: &[u8]) -> Result<()> {
        self.sets.take(leading_units(self.codec, data));
        let config = if self.codec == Codec::Hevc {
            HevcConfig::from_parameter_sets(self.sets.units(), true)?.build()
        } else {
            let of_type = |wanted: u8| {
                let chosen = self.sets.units().filter(move |nal| h264::nal_type(nal) == Some(wanted));
                chosen.map(<[u8]>::to_vec).collect::<Vec<_>>()
            };
            AvcConfig::from_parameter_sets(of_type(h264::NAL_SPS), of_type(h264::NAL_PPS))?.build()
        };
        self.config = Some(config.into());
        Ok(())
    }

    /// AV1-ISOBMFF 2.4: temporal delimiters do not belong in samples.
    fn store_obus(&mut self, data: &Bytes) -> Result<Bytes> {
        if self.config.is_none() {
            self.config = Some(Av1Config::from_temporal_unit(data)?.build().into());
        }
        let mut out = memory::room(data.len())?;
        av1::strip_temporal_delimiters(data, &mut out)?;
        Ok(if out.len() == data.len() { data.clone() } else { out.into() })
    }

    fn store_vpx(&mut self, data: &Bytes) -> Result<Bytes> {
        if self.config.is_none() {
            let config = match self.codec {
                Codec::Vp9 => VpConfig::from_vp9_chunk(data)?,
                // VP8 is always 4:2:0 with 8 bits; its "version" is no profile of the record.
                _ => VpConfig {
                    profile: 0,
                    level: 0,
                    bit_depth: 8,
                    chroma_subsampling: 1,
                    color: ColorInfo::UNSPECIFIED,
                },
            };
            self.config = Some(config.build().into());
        }
        Ok(data.clone())
    }

    /// What the sample entry is to say, once all samples are known.
    pub(in crate::container) fn describe(&self) -> Result<Description> {
        let Some(config) = &self.config else {
            return Err(Error::invalid(format!("a {} track needs a codec_config or a sample", self.codec)));
        };
        let mut config = config.to_vec();
        let length_flags = LENGTH_SIZE - 1;
        let (entry, config_box) = match self.codec {
            Codec::H264 => {
                if let Some(byte) = config.get_mut(4) {
                    *byte |= length_flags;
                }
                (if self.in_band { *b"avc3" } else { *b"avc1" }, *b"avcC")
            }
            Codec::Hevc => {
                // 8.3.3.1.3: in hvc1 all parameter sets are in the arrays, and each says so.
                let mut record = HevcConfig::parse(&config)?;
                record.length_size = LENGTH_SIZE;
                for array in &mut record.arrays {
                    let set = matches!(array.nal_type, hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS);
                    array.complete = if set { !self.in_band } else { array.complete };
                }
                config = record.build();
                (if self.in_band { *b"hev1" } else { *b"hvc1" }, *b"hvcC")
            }
            Codec::Av1 => (*b"av01", *b"av1C"),
            Codec::Vp9 => (*b"vp09", *b"vpcC"),
            Codec::Vp8 => (*b"vp08", *b"vpcC"),
            other => return Err(Error::unsupported(format!("writing {other} into MP4"))),
        };
        Ok(Description { entry, config_box, config })
    }
}

fn push_unit(out: &mut Vec<u8>, nal: &[u8]) -> Result<()> {
    let length = u32::try_from(nal.len())
        .map_err(|_| Error::invalid("a NAL unit of 4 GiB or more does not fit MP4"))?;
    memory::grow(out, 4 + nal.len())?;
    out.extend(length.to_be_bytes());
    out.extend_from_slice(nal);
    Ok(())
}
