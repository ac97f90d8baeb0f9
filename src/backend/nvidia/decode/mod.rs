//! Decoding by NVDEC.
//!
//! The session's thread feeds the driver's parser; the parser's callbacks start the hardware ([`sequencer`]) with the
//! decoder that fits ([`decoders`]), set to the crop and size that are asked for ([`geometry`]); a second thread maps finished
//! pictures and copies them out ([`output`]). Nothing else runs, and in the steady state nothing is allocated but the
//! frames the caller keeps. Where several decoders share a stream, pictures for host memory leave the device later
//! ([`download`]).

mod area;
mod capability;
mod decoders;
mod downloads;
mod format;
mod gate;
mod geometry;
mod output;
mod plan;
pub(super) mod pool;
mod second_field;
mod sequencer;

pub(crate) use capability::{decode_capability, engine_count};
pub(crate) use downloads::Downloads;
pub(super) use pool::make_room;

use super::driver::cuda::Context;
use super::driver::cuvid_abi::{END_OF_PICTURE, END_OF_STREAM};
use super::driver::parser::{Parser, ParserConfig};
use crate::backend::{CodedUnit, DecodeEvent, DecodeSink, DecoderBackend, Download};
use crate::bitstream::annexb::nal_units;
use crate::bitstream::{h264, vp9};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Remedy, Result};
use crate::packet::BitstreamLayout;
use output::Answers;
use second_field::second_field;
use sequencer::{Current, Sequencer};

/// An NVDEC session.
struct NvdecDecoder {
    codec: Codec,
    device: i32,
    /// Units that decoding could have started with.
    entries: u64,
    parser: Parser<Sequencer>,
}

/// Start code of a VC-1 picture.
const VC1_FRAME: [u8; 4] = [0, 0, 1, 0x0d];

/// Opens a decode session.
///
/// # Errors
/// No driver, no device, no decoder library, or a codec that the chip does not decode.
pub(super) fn open_decoder(
    device: i32,
    config: &CommonDecodeConfig,
    download: Download,
    sink: DecodeSink,
) -> Result<Box<dyn DecoderBackend>> {
    // Held first: the questions then use this context instead of making one each.
    let context = Context::of(device)?;
    capability::check_codec(device, config.codec)?;
    let delay = display_delay(config);
    let sequencer = Sequencer::new(&context, config, delay, download, Answers::new(sink))?;
    // The session puts parameter sets in band, so that the parser needs no header from the container.
    let parser = Parser::new(
        ParserConfig { codec: format::codec_id(config.codec), display_delay: delay, header: &[] },
        sequencer,
    )?;
    Ok(Box::new(NvdecDecoder { codec: config.codec, device, entries: 0, parser }))
}

/// Pictures that the parser holds back although their turn has come, so that who maps them need not wait. Here a
/// thread of its own waits, and it has a queue: none is best, unless somebody asks for some. Without reordering a
/// picture's unit is known only while it is parsed, so that nothing can be held back.
fn display_delay(config: &CommonDecodeConfig) -> u32 {
    match config.max_display_delay {
        Some(delay) if !config.low_latency => delay.min(max_display_delay(config.codec)),
        _ => 0,
    }
}

/// The most that is held back.
const fn max_display_delay(codec: Codec) -> u32 {
    // The documents recommend 2 to 4; each costs a decode surface.
    if sequencer::reorders(codec) { 4 } else { 0 }
}

impl DecoderBackend for NvdecDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.codec)
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        let taken = self.take(&unit);
        self.settled(taken)
    }

    fn flush(&mut self) -> Result<()> {
        let drained = self.drain().and_then(|()| self.check_begun());
        self.settled(drained)
    }

    fn implementation(&self) -> &'static str {
        "NVDEC"
    }
}

impl NvdecDecoder {
    /// Behind an error nothing comes any more, so that what was decoded before it has to be out first.
    fn settled(&mut self, result: Result<()>) -> Result<()> {
        if result.is_err() {
            // A stage that has ended has nothing left.
            let _ = self.parser.events().stage.flush();
        }
        result
    }

    fn take(&mut self, unit: &CodedUnit) -> Result<()> {
        let keyframe = unit.packet.keyframe;
        self.entries += u64::from(keyframe);
        let stated = &mut self.parser.events().stated;
        if (keyframe || stated.is_open()) && stated.read(&unit.packet.data) {
            // Pictures of the area before come out first.
            self.drain()?;
        }
        let data = &unit.packet.data;
        let is_idr = |nal| h264::nal_type(nal) == Some(h264::NAL_IDR);
        // The parser leaves leading pictures out by itself in HEVC, and where MPEG-2 says that they lack something.
        let closed =
            !self.parser.events().is_at_start() || self.codec != Codec::H264 || nal_units(data).any(is_idr);
        self.parser.events().current =
            Current { serial: unit.serial, keyframe, entry: keyframe, closed, ..Current::default() };
        match self.codec {
            Codec::Vp9 => self.submit_vp9(data)?,
            Codec::Vc1 if !data.starts_with(&[0, 0, 1]) => {
                // A container may leave out the start code of a picture that comes alone.
                let framed = [&VC1_FRAME[..], data].concat();
                self.parser.parse(&framed, END_OF_PICTURE, None)?;
            }
            _ => self.parser.parse(data, END_OF_PICTURE, None)?,
        }
        // A packet is one picture for the parser: of a pair of fields it took the first.
        if self.parser.events().current.half
            && let Some(second) = second_field(self.codec, data)
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

    fn drain(&mut self) -> Result<()> {
        self.parser.parse(&[], END_OF_STREAM, None)?;
        let sequencer = self.parser.events();
        sequencer.stage.flush()?;
        sequencer.settle("not shown");
        Ok(())
    }

    /// The driver's parser passes over streams that it does not know, and says nothing: then it is said here.
    fn check_begun(&mut self) -> Result<()> {
        if self.entries == 0 || self.parser.events().has_begun() {
            return Ok(());
        }
        Err(Error::Unsupported {
            feature: format!(
                "this {} stream in the GPU driver's parser, which finds no picture in it",
                self.codec
            ),
            remedy: Remedy::OtherBackend,
        })
    }

    /// A superframe holds several pictures, hidden ones first. The driver's parser takes its index for a picture
    /// and passes over packets that show a picture of before (580.159): both are dealt with here.
    fn submit_vp9(&mut self, data: &[u8]) -> Result<()> {
        for frame in vp9::frames(data) {
            // Where the header is damaged no decoder can do anything.
            let Ok(header) = vp9::FrameHeader::parse(frame) else { continue };
            if let Some(slot) = header.show_existing {
                self.parser.events().show_existing(slot)?;
            } else {
                if let Some(format) = &header.format {
                    // The parser passes over chroma formats that no chip decodes.
                    capability::check_vp9(self.device, format)?;
                }
                self.parser.events().current.entry = header.keyframe;
                self.parser.parse(frame, END_OF_PICTURE, None)?;
                self.parser.events().refresh(header.refresh);
            }
        }
        Ok(())
    }
}
