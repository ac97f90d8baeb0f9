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
    /// The parameter sets in `config`.
    stored: Vec<Vec<u8>>,
    /// The samples carry parameter sets that `config` does not have.
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
        let stored = match (&video.codec_config, codec) {
            (Some(config), Codec::H264) => {
                let config = AvcConfig::parse(config)?;
                config.sps.into_iter().chain(config.pps).collect()
            }
            (Some(config), Codec::Hevc) => HevcConfig::parse(config)?.units().map(<[u8]>::to_vec).collect(),
            (None, _) if matches!(layout, BitstreamLayout::Avcc { .. } | BitstreamLayout::Hvcc { .. }) => {
                return Err(Error::invalid(format!(
                    "{codec} samples in {layout} layout need a codec_config"
                )));
            }
            _ => Vec::new(),
        };
        let (config, sets_change) = (video.codec_config.clone(), video.sets_change);
        Ok(Self { codec, layout, config, stored, in_band: false, sets_change })
    }

    /// The sample as it is stored.
    pub(in crate::container) fn convert(&mut self, data: &Bytes) -> Result<Bytes> {
        match self.layout {
            BitstreamLayout::AnnexB => self.store_annexb(data),
            BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
                self.store_length_prefixed(data, length_size)
            }
            BitstreamLayout::Obu => self.store_obus(data),
            BitstreamLayout::Opaque => self.store_vpx(data),
        }
    }

    fn store_annexb(&mut self, data: &[u8]) -> Result<Bytes> {
        if self.config.is_none() {
            self.build_nal_config(data)?;
        }
        let mut out = memory::room(data.len() + 16)?;
        for nal in nal_units(data) {
            match self.role(nal) {
                Role::Delimiter => {}
                Role::ParameterSet if self.is_redundant(nal) => {}
                Role::ParameterSet | Role::Other => push_unit(&mut out, nal)?,
            }
        }
        Ok(out.into())
    }

    /// Samples that have lengths already are left as they are, so that a copy stays a copy.
    fn store_length_prefixed(&mut self, data: &Bytes, length_size: u8) -> Result<Bytes> {
        let mut out = memory::room(if length_size == LENGTH_SIZE { 0 } else { data.len() })?;
        for nal in length_prefixed_units(data, length_size) {
            let nal = nal?;
            if matches!(self.role(nal), Role::ParameterSet) {
                self.is_redundant(nal);
            }
            if length_size != LENGTH_SIZE {
                push_unit(&mut out, nal)?;
            }
        }
        Ok(if length_size == LENGTH_SIZE { data.clone() } else { out.into() })
    }

    fn role(&self, nal: &[u8]) -> Role {
        match self.codec {
            Codec::Hevc => match hevc::nal_type(nal) {
                Some(hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS) => Role::ParameterSet,
                Some(hevc::NAL_AUD) => Role::Delimiter,
                _ => Role::Other,
            },
            _ => match h264::nal_type(nal) {
                Some(h264::NAL_SPS | h264::NAL_PPS | h264::NAL_SPS_EXTENSION) => Role::ParameterSet,
                Some(h264::NAL_AUD) => Role::Delimiter,
                _ => Role::Other,
            },
        }
    }

    /// Whether a parameter set in a sample repeats the stored one and may go. Once one differs all stay: a
    /// later repetition of the stored one undoes the change.
    fn is_redundant(&mut self, nal: &[u8]) -> bool {
        self.in_band |= !self.stored.iter().any(|stored| stored == nal);
        !self.in_band && !self.sets_change
    }

    fn build_nal_config(&mut self, data: &[u8]) -> Result<()> {
        let sets: Vec<&[u8]> =
            nal_units(data).filter(|nal| matches!(self.role(nal), Role::ParameterSet)).collect();
        let config = if self.codec == Codec::Hevc {
            HevcConfig::from_parameter_sets(sets.iter().copied(), true)?.build()
        } else {
            let of_type = |wanted: u8| {
                let chosen = sets.iter().filter(move |nal| h264::nal_type(nal) == Some(wanted));
                chosen.map(|nal| nal.to_vec()).collect::<Vec<_>>()
            };
            AvcConfig::from_parameter_sets(of_type(h264::NAL_SPS), of_type(h264::NAL_PPS))?.build()
        };
        self.config = Some(config.into());
        let held =
            |nal: &&[u8]| self.codec == Codec::Hevc || h264::nal_type(nal) != Some(h264::NAL_SPS_EXTENSION);
        self.stored = sets.into_iter().filter(held).map(<[u8]>::to_vec).collect();
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

enum Role {
    ParameterSet,
    Delimiter,
    Other,
}

fn push_unit(out: &mut Vec<u8>, nal: &[u8]) -> Result<()> {
    let length = u32::try_from(nal.len())
        .map_err(|_| Error::invalid("a NAL unit of 4 GiB or more does not fit MP4"))?;
    memory::grow(out, 4 + nal.len())?;
    out.extend(length.to_be_bytes());
    out.extend_from_slice(nal);
    Ok(())
}
