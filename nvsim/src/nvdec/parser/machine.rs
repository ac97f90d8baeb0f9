//! One parser: takes packets apart by their flags and hands units or frames to the codec.

use std::ffi::c_ulong;

use crate::nvdec::abi::{CUVIDPARSERPARAMS, codec, packet_flags};

use super::stage::{Flow, Stage};
use super::units::{Unit, Units};
use super::{av1, h264, hevc, jpeg, mpeg2, mpeg4, vc1, vp8, vp9};

/// A codec whose stream is cut at start codes, so that packets may end anywhere.
pub(super) trait UnitCodec: Send {
    /// Takes one unit; pictures that it completes are decoded.
    fn unit(&mut self, unit: &Unit, stage: &mut Stage) -> Flow;
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
    fn flush(&mut self, stage: &mut Stage) -> Flow;
    /// Starts anew, with the headers known so far.
    fn reset(&mut self);
}

/// A codec without start codes: a packet is a frame.
pub(super) trait FrameCodec: Send {
    /// Takes one packet.
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow;
    /// Brings all pictures that wait for their turn to the display queue.
    fn flush(&mut self, _stage: &mut Stage) -> Flow {
        Ok(())
    }
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
        let units = |codec: Box<dyn UnitCodec>| Codec::Units(Units::default(), codec);
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
            let _ = machine.data(extra, true, false);
        }
        Some(machine)
    }

    /// Takes one packet.
    pub(super) fn packet(&mut self, flags: c_ulong, payload: &[u8], timestamp: i64) -> Flow {
        let has = |flag| flags & flag != 0;
        if has(packet_flags::DISCONTINUITY) {
            self.end_stream()?;
            match &mut self.codec {
                Codec::Units(_, codec) => codec.reset(),
                Codec::Frames(codec) => codec.reset(),
            }
        }
        if has(packet_flags::TIMESTAMP) && !payload.is_empty() {
            let at = match &self.codec {
                Codec::Units(units, _) => units.position(),
                Codec::Frames(_) => 0,
            };
            self.stage.times.stamp(at, timestamp);
        }
        let ends_picture = has(packet_flags::ENDOFPICTURE) && !payload.is_empty();
        self.data(payload, ends_picture, ends_picture)?;
        if has(packet_flags::ENDOFSTREAM) {
            self.end_stream()?;
            if has(packet_flags::NOTIFY_EOS) {
                self.stage.notify_end()?;
            }
        }
        Ok(())
    }

    /// Takes bytes in. `complete`: they end a picture. `single`: they hold no more than one.
    fn data(&mut self, payload: &[u8], complete: bool, single: bool) -> Flow {
        match &mut self.codec {
            Codec::Frames(codec) => {
                if payload.is_empty() {
                    return Ok(());
                }
                let timestamp = self.stage.times.take(0);
                codec.frame(payload, timestamp, &mut self.stage)?;
            }
            Codec::Units(units, codec) => {
                let budget = self.stage.pictures() + 1 + u64::from(codec.is_open());
                let mut ready = units.push(payload);
                if complete {
                    ready.extend(units.finish());
                }
                for unit in &ready {
                    codec.unit(unit, &mut self.stage)?;
                    if single
                        && self.stage.pictures() >= budget
                        && codec.is_open()
                        && !codec.expects_second_field()
                    {
                        codec.drop_open();
                        break;
                    }
                }
                if complete {
                    codec.end_picture(&mut self.stage)?;
                }
            }
        }
        self.stage.settle()
    }

    /// Decodes what is complete and shows everything.
    fn end_stream(&mut self) -> Flow {
        match &mut self.codec {
            Codec::Units(units, codec) => {
                if let Some(unit) = units.finish() {
                    codec.unit(&unit, &mut self.stage)?;
                }
                codec.end_picture(&mut self.stage)?;
                codec.flush(&mut self.stage)?;
            }
            Codec::Frames(codec) => codec.flush(&mut self.stage)?,
        }
        self.stage.times.reset();
        self.stage.drain()
    }
}
