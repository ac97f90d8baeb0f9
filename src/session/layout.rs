//! From the container's framing to the backend's.

use bytes::Bytes;

use crate::bitstream::convert;
use crate::bitstream::h264::AvcConfig;
use crate::bitstream::hevc::HevcConfig;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::memory;
use crate::packet::{BitstreamLayout, Packet};

/// Converts packets to one layout. Parameter sets that only the container has are put in front of the first
/// packet of each coded sequence that starts after opening or a flush.
pub(super) struct LayoutConverter {
    codec: Codec,
    target: BitstreamLayout,
    parameter_sets: Vec<u8>,
    at_start: bool,
}

impl LayoutConverter {
    pub(super) fn new(codec: Codec, config: Option<Bytes>, target: BitstreamLayout) -> Result<Self> {
        let parameter_sets = match (codec, config) {
            (Codec::H264, Some(config)) => AvcConfig::parse(&config)?.to_annexb(),
            (Codec::Hevc, Some(config)) => HevcConfig::parse(&config)?.to_annexb(),
            // Headers as the stream itself has them.
            (Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1, Some(config)) => config.to_vec(),
            _ => Vec::new(),
        };
        Ok(Self { codec, target, parameter_sets, at_start: true })
    }

    /// The next packet starts anew.
    pub(super) fn restart(&mut self) {
        self.at_start = true;
    }

    pub(super) fn convert(&mut self, mut packet: Packet) -> Result<Packet> {
        let lead_in = self.at_start && !self.parameter_sets.is_empty();
        self.at_start = false;
        match (packet.layout, self.target) {
            (BitstreamLayout::AnnexB, BitstreamLayout::AnnexB)
            | (BitstreamLayout::Opaque, BitstreamLayout::Opaque)
                if lead_in =>
            {
                let mut out = memory::room(self.parameter_sets.len() + packet.data.len())?;
                out.extend_from_slice(&self.parameter_sets);
                out.extend_from_slice(&packet.data);
                packet.data = out.into();
            }
            (
                BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size },
                BitstreamLayout::AnnexB,
            ) => {
                let mut out = memory::room(packet.data.len() + self.parameter_sets.len() + 16)?;
                if lead_in {
                    out.extend_from_slice(&self.parameter_sets);
                }
                convert::length_prefixed_to_annexb(&packet.data, length_size, &mut out)?;
                packet.data = out.into();
            }
            (from, to) if from == to => {}
            (from, to) => {
                return Err(Error::unsupported(format!(
                    "{} packets in {from} layout for a decoder of {to}",
                    self.codec
                )));
            }
        }
        packet.layout = self.target;
        Ok(packet)
    }
}
