//! Backends without a codec, for tests of everything around one: reordering, losses, panics and blocking on
//! command.
//!
//! A mock packet holds its display index; the mock decoder "decodes" it to a grey picture of that shade.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend, EncodeEvent, EncodeSink,
    EncodeUnit, EncodedUnit, EncoderBackend,
};
use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{HostSurface, Surface};
use crate::packet::{BitstreamLayout, Packet, PictureType};
use crate::pixel::PixelFormat;

/// A packet (Annex-B in name) that the mock decoder shows at place `display_index`.
pub fn mock_packet(display_index: u64) -> Packet {
    Packet::new(Codec::H264, BitstreamLayout::AnnexB, display_index.to_be_bytes().to_vec())
}

/// What a mock does with which unit; serials count from zero.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Units that fail and let the session go on.
    pub fail: BTreeSet<u64>,
    /// Units that end the session.
    pub die: BTreeSet<u64>,
    /// Units at which the backend panics.
    pub panic: BTreeSet<u64>,
    /// Units that give nothing, rightly.
    pub swallow: BTreeSet<u64>,
}

impl Script {
    /// `Some` when this unit ends here.
    #[allow(clippy::panic, reason = "panicking on command is what it is for")]
    fn failure(&self, serial: u64) -> Option<Error> {
        assert!(!self.panic.contains(&serial), "scripted panic at unit {serial}");
        if self.die.contains(&serial) {
            return Some(Error::corrupt_fatal(format!("scripted end at unit {serial}")));
        }
        self.fail.contains(&serial).then(|| Error::corrupt(format!("scripted loss of unit {serial}")))
    }
}

/// Settings of a mock decoder.
#[derive(Clone, Debug)]
pub struct MockDecoder {
    /// What goes wrong.
    pub script: Script,
    /// Pictures held back so that they can be given in display order.
    pub reorder_depth: usize,
    /// Size of the pictures.
    pub dimensions: Dimensions,
}

const DEFAULT_SIZE: Dimensions = match Dimensions::new(16, 16) {
    Some(size) => size,
    None => unreachable!(),
};

impl Default for MockDecoder {
    fn default() -> Self {
        Self { script: Script::default(), reorder_depth: 0, dimensions: DEFAULT_SIZE }
    }
}

impl MockDecoder {
    /// A decoder that does as set.
    pub fn open(self, sink: DecodeSink) -> Box<dyn DecoderBackend> {
        Box::new(OpenDecoder { settings: self, sink, held: Vec::new() })
    }
}

struct OpenDecoder {
    settings: MockDecoder,
    sink: DecodeSink,
    /// Display index and serial of pictures not yet given.
    held: Vec<(u64, u64)>,
}

impl OpenDecoder {
    fn release(&mut self, keep: usize) -> Result<()> {
        while self.held.len() > keep {
            let Some(first) = (0..self.held.len()).min_by_key(|&i| self.held[i]) else { break };
            let (index, serial) = self.held.swap_remove(first);
            let size = self.settings.dimensions;
            let shade = vec![index as u8; PixelFormat::I420.frame_bytes(size)];
            let picture = DecodedPicture {
                serial,
                dimensions: size,
                format: PixelFormat::I420,
                color: ColorInfo::UNSPECIFIED,
                sample_aspect_ratio: None,
                frame_rate: None,
                keyframe: false,
                concealed: false,
                shaped: false,
                copied: CopyBytes::default(),
                device_times: crate::backend::DeviceTimes::default(),
                surface: Surface::Host(HostSurface::from_packed(PixelFormat::I420, size, shade)?),
            };
            (self.sink)(DecodeEvent::Picture(picture));
        }
        Ok(())
    }
}

impl DecoderBackend for OpenDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        let serial = unit.serial;
        if let Some(error) = self.settings.script.failure(serial) {
            (self.sink)(DecodeEvent::Failed { serial, error });
            return Ok(());
        }
        if self.settings.script.swallow.contains(&serial) {
            (self.sink)(DecodeEvent::NoPicture { serial, reason: "swallowed" });
            return Ok(());
        }
        let mut index = [0; 8];
        let bytes =
            unit.packet.data.get(..8).ok_or_else(|| Error::corrupt_fatal("mock packets have 8 bytes"))?;
        index.copy_from_slice(bytes);
        self.held.push((u64::from_be_bytes(index), serial));
        self.release(self.settings.reorder_depth)
    }

    fn flush(&mut self) -> Result<()> {
        self.release(0)
    }

    fn implementation(&self) -> &'static str {
        "mock decoder"
    }
}

/// Settings of a mock encoder.
#[derive(Clone, Debug, Default)]
pub struct MockEncoder {
    /// What goes wrong.
    pub script: Script,
    /// B frames between P frames: outputs come in coding order.
    pub b_frames: usize,
}

impl MockEncoder {
    /// An encoder that does as set. Its packets hold the serial of their frame.
    pub fn open(self, sink: EncodeSink) -> Box<dyn EncoderBackend> {
        Box::new(OpenEncoder { settings: self, sink, held: Vec::new(), at_start: true })
    }
}

struct OpenEncoder {
    settings: MockEncoder,
    sink: EncodeSink,
    held: Vec<u64>,
    at_start: bool,
}

impl OpenEncoder {
    fn emit(&mut self, serial: u64, picture_type: PictureType) {
        let unit = EncodedUnit {
            serial,
            data: Bytes::copy_from_slice(&serial.to_be_bytes()),
            keyframe: picture_type == PictureType::Idr,
            picture_type: Some(picture_type),
        };
        (self.sink)(EncodeEvent::Unit(unit));
    }

    /// The newest held frame as a P, the others as B behind it.
    fn close_group(&mut self) {
        let Some(last) = self.held.pop() else { return };
        self.emit(last, PictureType::P);
        for serial in std::mem::take(&mut self.held) {
            self.emit(serial, PictureType::B);
        }
    }
}

impl EncoderBackend for OpenEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        let serial = unit.serial;
        if let Some(error) = self.settings.script.failure(serial) {
            (self.sink)(EncodeEvent::Failed { serial, error });
            return Ok(());
        }
        if self.settings.script.swallow.contains(&serial) {
            (self.sink)(EncodeEvent::Dropped { serial, reason: "swallowed" });
            return Ok(());
        }
        if self.at_start || unit.frame.force_keyframe {
            self.close_group();
            self.at_start = false;
            self.emit(serial, PictureType::Idr);
            return Ok(());
        }
        self.held.push(serial);
        if self.held.len() > self.settings.b_frames {
            self.close_group();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.close_group();
        self.at_start = true;
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        "mock encoder"
    }

    fn reorder_delay(&self) -> usize {
        usize::from(self.settings.b_frames > 0)
    }
}
