//! One parser: takes packets apart by their flags and hands units or frames to the codec.

use std::ffi::c_ulong;

use crate::nvdec::abi::{CUVIDPARSERPARAMS, codec, packet_flags};
use crate::policy;

use super::stage::{Flow, Stage, Stop};
use super::units::{Found, Unit, Units};
use super::{av1, h264, hevc, jpeg, mpeg2, mpeg4, vc1, vp8, vp9};

/// A codec whose stream is cut at start codes, so that packets may end anywhere.
pub(super) trait UnitCodec: Send {
    /// Takes one unit; pictures that it completes are decoded.
    fn unit(&mut self, unit: &Unit, stage: &mut Stage) -> Flow;
    /// Bytes of a unit, start code included, that tell whether a picture begins with it.
    fn head(&self) -> usize {
        policy::PARSER_HEAD
    }
    /// True when a unit that begins with `head` ends the picture that is being put together.
    fn begins_picture(&self, head: &[u8]) -> bool;
    /// Decodes the picture whose units are here: nothing more of it will come.
    fn end_picture(&mut self, stage: &mut Stage) -> Flow;
    /// True while a picture is being put together.
    fn is_open(&self) -> bool;
    /// Throws away the picture that is being put together.
    fn drop_open(&mut self);
    /// True when the last picture decoded was a first field whose second may follow.
    fn expects_second_field(&self) -> bool {
        false
    }
    /// Brings all pictures that wait for their turn to the display queue.
    fn flush(&mut self, stage: &mut Stage);
    /// Starts anew: headers are forgotten as well.
    fn reset(&mut self);
}

/// A codec without start codes: a packet is a frame.
pub(super) trait FrameCodec: Send {
    /// Takes one packet.
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow;
    /// Brings all pictures that wait for their turn to the display queue.
    fn flush(&mut self, _stage: &mut Stage) {}
    /// Starts anew, with the headers known so far.
    fn reset(&mut self);
}

enum Codec {
    Units(Units, Box<dyn UnitCodec>),
    Frames(Box<dyn FrameCodec>),
}

/// See the module's text.
pub(super) struct Machine {
    codec: Codec,
    pub(super) stage: Stage,
}

impl Machine {
    /// None for a codec that is not parsed. `extra` is the sequence header from the container.
    pub(super) fn new(parameters: &CUVIDPARSERPARAMS, extra: &[u8]) -> Option<Self> {
        let units = |codec: Box<dyn UnitCodec>| Codec::Units(Units::with_heads(codec.head() - 3), codec);
        let mut machine = Self {
            codec: match parameters.CodecType {
                codec::H264 | codec::H264_MVC | codec::H264_SVC => {
                    units(Box::new(h264::H264::new(parameters.CodecType)))
                }
                codec::HEVC => units(Box::<hevc::Hevc>::default()),
                codec::MPEG1 | codec::MPEG2 => units(Box::new(mpeg2::Mpeg2::new(parameters.CodecType))),
                codec::MPEG4 => Codec::Frames(Box::<mpeg4::Mpeg4>::default()),
                codec::VC1 => Codec::Frames(Box::<vc1::Vc1>::default()),
                codec::JPEG => Codec::Frames(Box::new(jpeg::Jpeg)),
                codec::VP8 => Codec::Frames(Box::<vp8::Vp8>::default()),
                codec::VP9 => Codec::Frames(Box::<vp9::Vp9>::default()),
                codec::AV1 => Codec::Frames(Box::new(av1::Av1::new(parameters.flags & 1 != 0))),
                _ => return None,
            },
            stage: Stage::new(parameters),
        };
        if !extra.is_empty() {
            // Headers alone complete no picture, so no callback can run and refuse here.
            let _ = machine.data(extra, false, false);
            let _ = machine.end_unit();
        }
        Some(machine)
    }

    /// Takes one packet.
    pub(super) fn packet(&mut self, flags: c_ulong, payload: &[u8], timestamp: i64) -> Flow {
        if self.stage.is_refused() {
            return Err(Stop);
        }
        let has = |flag| flags & flag != 0;
        if has(packet_flags::DISCONTINUITY) {
            self.interrupt()?;
        }
        if has(packet_flags::TIMESTAMP) && !payload.is_empty() {
            let at = match &self.codec {
                Codec::Units(units, _) => units.position(),
                Codec::Frames(_) => 0,
            };
            self.stage.times.stamp(at, timestamp);
        }
        let single = has(packet_flags::ENDOFPICTURE) && !payload.is_empty();
        // The picture that a discontinuity cuts off counts as this packet's (measured on 580.159): what the packet
        // itself holds is lost.
        let ended = self.data(payload, single, single && has(packet_flags::DISCONTINUITY))?;
        if single {
            self.end_unit()?;
            self.end_picture(!ended)?;
        }
        if has(packet_flags::ENDOFSTREAM) {
            self.end_stream()?;
            if has(packet_flags::NOTIFY_EOS) {
                self.stage.notify_end();
            }
        }
        Ok(())
    }

    /// Takes bytes in. A packet that is to hold one picture has had it when `ended`; the answer is the same after
    /// these bytes. Only the picture boundaries that are seen early count (measured on 580.159).
    fn data(&mut self, payload: &[u8], single: bool, ended: bool) -> Result<bool, Stop> {
        let mut ended = ended;
        match &mut self.codec {
            Codec::Frames(codec) => {
                if !payload.is_empty() {
                    let timestamp = self.stage.times.take(0);
                    codec.frame(payload, timestamp, &mut self.stage)?;
                }
            }
            Codec::Units(units, codec) => {
                for found in units.push(payload) {
                    match found {
                        Found::Whole(unit) => codec.unit(&unit, &mut self.stage)?,
                        Found::Head(head) if codec.is_open() && codec.begins_picture(&head) => {
                            if ended && !codec.expects_second_field() {
                                codec.drop_open();
                            } else {
                                codec.end_picture(&mut self.stage)?;
                            }
                            ended = single;
                        }
                        Found::Head(_) => {}
                    }
                }
            }
        }
        Ok(ended)
    }

    /// The unit that is open ends here.
    fn end_unit(&mut self) -> Flow {
        let Codec::Units(units, codec) = &mut self.codec else { return Ok(()) };
        match units.finish() {
            Some(unit) => codec.unit(&unit, &mut self.stage),
            None => Ok(()),
        }
    }

    /// The picture that is open ends here: it is decoded, or dropped.
    fn end_picture(&mut self, decoded: bool) -> Flow {
        let Codec::Units(_, codec) = &mut self.codec else { return Ok(()) };
        if decoded || codec.expects_second_field() {
            codec.end_picture(&mut self.stage)
        } else {
            codec.drop_open();
            Ok(())
        }
    }

    /// Shows everything that is decoded.
    fn flush(&mut self) {
        match &mut self.codec {
            Codec::Units(_, codec) => codec.flush(&mut self.stage),
            Codec::Frames(codec) => codec.flush(&mut self.stage),
        }
        self.stage.drain();
    }

    /// A gap in the stream: what came before is decoded and shown. Headers and references stay (measured on
    /// 580.159).
    fn interrupt(&mut self) -> Flow {
        self.end_unit()?;
        self.end_picture(true)?;
        self.flush();
        self.stage.times.interrupt();
        Ok(())
    }

    /// Decodes what is complete, shows everything, and forgets the stream.
    fn end_stream(&mut self) -> Flow {
        self.end_unit()?;
        self.end_picture(true)?;
        self.flush();
        match &mut self.codec {
            Codec::Units(_, codec) => codec.reset(),
            Codec::Frames(codec) => codec.reset(),
        }
        self.stage.end_stream();
        Ok(())
    }
}
