//! Decoding by NVDEC.
//!
//! The session's thread feeds the driver's parser; the parser's callbacks start the hardware ([`sequencer`]); a second
//! thread maps finished pictures and makes frames of them ([`output`], [`plan`]). Nothing else runs, and in the steady state nothing
//! is allocated but the frames the caller keeps.

mod format;
mod gate;
mod output;
mod plan;
mod pool;
mod sequencer;

use super::driver::cuda::Context;
use super::driver::cuvid;
use super::driver::cuvid_abi::{END_OF_PICTURE, END_OF_STREAM};
use super::driver::parser::{Parser, ParserConfig};
use crate::backend::{CodedUnit, DecodeEvent, DecodeSink, DecoderBackend};
use crate::bitstream::{annexb, h264, vp9};
use crate::capability::DecodeCapability;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;
use crate::pixel::Chroma;
use output::Answers;
use sequencer::{Current, Sequencer};

/// An NVDEC session.
struct NvdecDecoder {
    codec: Codec,
    parser: Parser<Sequencer>,
}

/// Opens a decode session.
///
/// # Errors
/// No driver, no device, no decoder library, or a codec that the chip does not decode.
pub(crate) fn open_decoder(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Box<dyn DecoderBackend>> {
    let context = Context::of(super::find_device(config.device.as_deref())?)?;
    let depths = [8, 10, 12];
    let supported = depths.into_iter().any(|depth| {
        cuvid::caps(&context, format::codec_id(config.codec), 1, depth).is_ok_and(|caps| caps.supported != 0)
    });
    if !supported {
        // Says first why, when the library itself is the reason.
        cuvid::caps(&context, format::codec_id(config.codec), 1, 8)?;
        return Err(Error::Unsupported {
            feature: format!("{} on this GPU's decoder", config.codec),
            remedy: "use --backend software, or a GPU that decodes it".to_owned(),
        });
    }
    let sequencer = Sequencer::new(&context, config, Answers::new(sink))?;
    // The session puts parameter sets in band, so that the parser needs no header from the container.
    let parser = Parser::new(
        ParserConfig { codec: format::codec_id(config.codec), display_delay: 0, header: &[] },
        sequencer,
    )?;
    Ok(Box::new(NvdecDecoder { codec: config.codec, parser }))
}

impl DecoderBackend for NvdecDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.codec)
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        self.parser.events().current =
            Current { serial: unit.serial, keyframe: unit.packet.keyframe, ..Current::default() };
        let data = &unit.packet.data;
        if self.codec == Codec::Vp9 {
            self.submit_vp9(data)?;
        } else {
            self.parser.parse(data, END_OF_PICTURE, None)?;
        }
        // A packet is one picture for the parser: of a pair of fields it took the first.
        if self.parser.events().current.half
            && let Some(second) = second_field(data)
        {
            self.parser.parse(&data[second..], END_OF_PICTURE, None)?;
        }
        let sequencer = self.parser.events();
        // What is reordered gets its answer when its surface is shown or used again.
        if !(sequencer.current.answered || (sequencer.current.decoded && sequencer::reorders(self.codec))) {
            let reason =
                if sequencer.current.decoded { "hidden" } else { "no picture that can be decoded from here" };
            sequencer.answers.send(DecodeEvent::NoPicture { serial: unit.serial, reason });
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.parser.parse(&[], END_OF_STREAM, None)?;
        let sequencer = self.parser.events();
        sequencer.stage.flush()?;
        sequencer.settle("not shown");
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        "NVDEC"
    }
}

impl NvdecDecoder {
    /// A superframe holds several pictures, hidden ones first. The driver's parser takes its index for a picture
    /// and passes over packets that show a picture of before (580.159): both are dealt with here.
    fn submit_vp9(&mut self, data: &[u8]) -> Result<()> {
        for frame in vp9::frames(data) {
            // Where the header is damaged no decoder can do anything.
            let Ok(header) = vp9::FrameHeader::parse(frame) else { continue };
            if let Some(slot) = header.show_existing {
                self.parser.events().show_existing(slot)?;
            } else {
                self.parser.parse(frame, END_OF_PICTURE, None)?;
                self.parser.events().refresh(header.refresh);
            }
        }
        Ok(())
    }
}

/// Where the second field's NAL units begin in an access unit of two H.264 fields.
fn second_field(data: &[u8]) -> Option<usize> {
    let mut slices = 0;
    for nal in annexb::nal_units(data) {
        // The first slice of a picture begins with macroblock 0: Exp-Golomb zero, a set bit.
        let first = nal.get(1).is_some_and(|byte| byte & 0x80 != 0);
        if matches!(h264::nal_type(nal), Some(1 | 5)) && first {
            slices += 1;
            if slices == 2 {
                let at = nal.as_ptr() as usize - data.as_ptr() as usize;
                // With its start code.
                return at.checked_sub(3);
            }
        }
    }
    None
}

/// What the chip decodes of a codec, asked anew each time: it costs microseconds once the driver is open.
pub(crate) fn decode_capability(codec: Codec) -> Result<Option<DecodeCapability>> {
    let context = Context::of(0)?;
    let mut formats = Vec::new();
    let mut max: Option<Dimensions> = None;
    for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
        for depth in [8, 10, 12] {
            let caps = cuvid::caps(&context, format::codec_id(codec), format::chroma_id(chroma), depth)?;
            let Ok(output) = format::output_of(format::chroma_id(chroma), depth) else { continue };
            if caps.supported == 0 || caps.output_mask & (1 << output.surface) == 0 {
                continue;
            }
            formats.push(output.format);
            let size = Dimensions::new(caps.max_width, caps.max_height);
            max = match (max, size) {
                (Some(max), Some(size)) if size.pixels() <= max.pixels() => Some(max),
                (max, size) => size.or(max),
            };
        }
    }
    Ok(max.map(|max| DecodeCapability { implementation: "NVDEC", max, formats, refused: Vec::new() }))
}
