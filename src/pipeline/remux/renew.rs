//! Pictures that are decoded and encoded anew, as their stream is coded, so that the rest of it can be copied behind or in front
//! of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::picture::{Picture, reframed};
use crate::backend::{Backend, Receipt};
use crate::bitstream::{ActiveParameterSets, StreamInfo};
use crate::codec::Codec;
use crate::config::{ColorRequest, CommonEncodeConfig, RateControl};
use crate::container::VideoTrack;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::pipeline::source::SourceOptions;
use crate::pixel::{Chroma, PixelFormat};
use crate::session::{DecodeSession, EncodeSession, Submit};
use crate::time::{Rational, Timestamp};
use crate::transform;

/// How long one look at an output lasts.
const LOOK: Duration = Duration::from_millis(20);
/// Frames a second that encoders take. Headers may state anything.
const RATES: std::ops::RangeInclusive<f64> = 1.0..=960.0;
/// Frames a second where nothing is stated.
const NOMINAL_RATE: (u32, u32) = (25, 1);
/// So fine that nobody sees where copying begins, and a second of it no burden. Some encoders have one for all pictures.
const QUALITY: RateControl = RateControl::ConstQp { intra: 18, inter_p: 18, inter_b: 18 };
pub(super) const OTHERWISE: &str =
    "encode the whole part anew, or copy it without asking for an exact start and end";

/// Who encodes anew, and with what.
pub(super) struct Renewer {
    video: VideoTrack,
    source: SourceOptions,
    encode_backend: Backend,
    /// Pictures that were to be encoded anew and could not be decoded.
    pub(super) lost: u64,
    /// Why this decoder and this encoder, once there was something to do for them.
    pub(super) receipts: Option<(Receipt, Receipt)>,
}

/// What a stream is, as far as an encoder has to keep to it.
struct Format {
    info: StreamInfo,
    formats: [PixelFormat; 2],
}

impl Renewer {
    /// # Errors
    /// For codecs whose streams cannot be joined here.
    pub(super) fn new(video: &VideoTrack, source: &SourceOptions, encode_backend: Backend) -> Result<Self> {
        if !matches!(video.codec, Codec::H264 | Codec::Hevc) {
            return Err(refused(format!("a part of {} that begins or ends between key frames", video.codec)));
        }
        let source = SourceOptions { start: None, duration: None, ..source.clone() };
        Ok(Self { video: video.clone(), source, encode_backend, lost: 0, receipts: None })
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.source.cancel.is_cancelled()
    }

    /// Whether there is an encoder for a stream that begins with this picture.
    pub(super) fn check(&self, first: &Picture) -> Result<()> {
        self.open(&self.format(first)?).map(drop)
    }

    /// The pictures that are shown between these times, of a group that begins where decoding can begin. Decoding times are those
    /// of presentation.
    pub(super) fn renew(
        &mut self,
        group: &[Picture],
        from: Timestamp,
        to: Option<Timestamp>,
    ) -> Result<Vec<Packet>> {
        let Some(first) = group.first() else { return Ok(Vec::new()) };
        let codec = self.video.codec;
        let format = self.format(first)?;
        let (mut encoder, into) = self.open(&format)?;
        let mut decoder = DecodeSession::new(self.source.backend, self.source.decode_config(&self.video))?;
        let mut wanted: BTreeMap<i64, &Packet> = BTreeMap::new();
        for picture in group.iter().filter(|picture| picture.is_shown(from, to)) {
            wanted.insert(picture.pts.ticks(), &picture.packet);
        }
        let mut packets = Vec::new();
        let mut ahead = group.iter();
        let mut waiting: Option<Packet> = None;
        let mut flushed = false;
        loop {
            if self.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if waiting.is_none()
                && let Some(picture) = ahead.next()
            {
                let discard = !picture.is_shown(from, to);
                waiting = Some(Packet { discard, ..picture.complete(codec)? });
            }
            match waiting.take() {
                Some(packet) => {
                    if let Submit::Full(packet) = decoder.submit(packet)? {
                        waiting = Some(packet);
                    }
                }
                None if !flushed => {
                    decoder.flush()?;
                    flushed = true;
                }
                None => {}
            }
            let patience = if waiting.is_some() || flushed { LOOK } else { Duration::ZERO };
            match decoder.reap_timeout(patience) {
                Ok(Some(frame)) => {
                    let frame = transform::apply(frame, ColorRequest::To(into))?.frame;
                    self.encode(&mut encoder, frame, &mut packets)?;
                }
                Ok(None) if flushed && decoder.is_drained() => break,
                Ok(None) => {}
                Err(error) if error.is_recoverable() && self.source.keep_going => {}
                Err(error) => return Err(error),
            }
        }
        for packet in encoder.drain()? {
            packets.push(packet?);
        }
        let lost = (wanted.len() as u64).saturating_sub(packets.len() as u64);
        if lost > 0 && !self.source.keep_going {
            return Err(Error::corrupt_fatal(format!(
                "{lost} of {} pictures that are to be encoded anew cannot be decoded",
                wanted.len()
            )));
        }
        self.lost += lost;
        self.receipts = Some((decoder.receipt(), encoder.receipt().clone()));
        let mut sets = ActiveParameterSets::new(codec);
        let mut renewed = Vec::new();
        for packet in packets {
            renewed.push(self.packet(packet, &wanted, &format, &mut sets)?);
        }
        Ok(renewed)
    }

    /// A packet of the encoder as one of the source.
    fn packet(
        &self,
        packet: Packet,
        wanted: &BTreeMap<i64, &Packet>,
        format: &Format,
        sets: &mut ActiveParameterSets,
    ) -> Result<Packet> {
        let codec = self.video.codec;
        let of_source = packet.pts.and_then(|pts| Some((pts, *wanted.get(&pts.ticks())?)));
        let Some((pts, of_source)) = of_source else {
            return Err(Error::corrupt_fatal("an encoder has given a picture that it was not given"));
        };
        if packet.keyframe {
            let coded = StreamInfo::from_unit(codec, packet.layout, &packet.data)?;
            let same = |coded: &StreamInfo| {
                let of = |info: &StreamInfo| {
                    (info.dimensions, info.chroma, info.bit_depth_luma, info.bit_depth_chroma)
                };
                of(coded) == of(&format.info)
            };
            if !coded.as_ref().is_none_or(same) {
                return Err(refused(format!("{codec} from this encoder, which changes size or format,")));
            }
        }
        let picture = Picture::new(packet, (pts, pts), false, sets)?;
        let data = reframed(codec, &picture.complete(codec)?, self.video.layout)?;
        Ok(Packet {
            data: data.into(),
            layout: self.video.layout,
            keyframe: picture.packet.keyframe,
            discard: false,
            ..of_source.clone()
        }
        .at(pts, pts))
    }

    fn encode(&self, encoder: &mut EncodeSession, frame: Frame, packets: &mut Vec<Packet>) -> Result<()> {
        let mut frame = Frame { force_keyframe: false, user_sei: Vec::new(), ..frame };
        loop {
            frame = match encoder.submit(frame)? {
                Submit::Accepted => break,
                Submit::Full(frame) => frame,
            };
            packets.extend(encoder.reap_timeout(LOOK)?);
            if self.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        while let Some(packet) = encoder.try_reap()? {
            packets.push(packet);
        }
        Ok(())
    }

    fn format(&self, first: &Picture) -> Result<Format> {
        let codec = self.video.codec;
        let packet = first.complete(codec)?;
        let info = StreamInfo::from_unit(codec, packet.layout, &packet.data)?;
        let Some(info) = info else {
            return Err(Error::corrupt_fatal(format!("{codec} without parameter sets at a key frame")));
        };
        let formats = match (info.chroma, info.bit_depth_luma) {
            _ if info.bit_depth_luma != info.bit_depth_chroma => None,
            _ if info.interlaced => None,
            (Chroma::Yuv420, 8) => Some([PixelFormat::I420, PixelFormat::Nv12]),
            (Chroma::Yuv420, 10) => Some([PixelFormat::I010, PixelFormat::P010]),
            (Chroma::Yuv420, 12) => Some([PixelFormat::I012; 2]),
            (Chroma::Yuv422, 8) => Some([PixelFormat::I422; 2]),
            (Chroma::Yuv422, 10) => Some([PixelFormat::I210; 2]),
            (Chroma::Yuv444, 8) => Some([PixelFormat::I444; 2]),
            (Chroma::Yuv444, 10) => Some([PixelFormat::I410; 2]),
            _ => None,
        };
        match formats {
            Some(formats) => Ok(Format { info, formats }),
            None => Err(refused(named(codec, &info))),
        }
    }

    /// An encoder that makes what the stream is.
    fn open(&self, format: &Format) -> Result<(EncodeSession, PixelFormat)> {
        let info = &format.info;
        let codec = self.video.codec;
        let plausible = |rate: &Rational| RATES.contains(&rate.as_f64());
        let rate = info.frame_rate.filter(plausible).or(self.video.frame_rate.filter(plausible));
        let rate = rate.or(Rational::new(NOMINAL_RATE.0, NOMINAL_RATE.1)).unwrap_or(Rational::ONE);
        let mut config = CommonEncodeConfig::new(codec, info.dimensions, rate)
            .color(info.color)
            .b_frames(0)
            .rate_control(QUALITY)
            .hdr_optional(true);
        config.sample_aspect_ratio = info.sample_aspect_ratio;
        config.mastering_display = self.video.hdr.mastering_display;
        config.content_light = self.video.hdr.content_light;
        config.threads = self.source.threads;
        config.device = self.source.device.clone();
        config.cancel_waiting = Some(self.source.cancel.flag());
        let mut why = None;
        for into in format.formats {
            match EncodeSession::new(self.encode_backend, config.clone().format(into)) {
                Ok(session) => return Ok((session, into)),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => why = why.or(Some(error)),
            }
        }
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        Err(refused(format!("{}: no encoder here makes it{why}", named(codec, info))))
    }
}

/// `an exact start or end of h264 640x480 4:2:2, 10 bit`.
fn named(codec: Codec, info: &StreamInfo) -> String {
    let scan = if info.interlaced { ", interlaced" } else { "" };
    let (size, profile, bits) = (info.dimensions, &info.profile_name, info.bit_depth());
    format!("an exact start or end of {codec} ({profile}, {size}, {bits} bit{scan})")
}

fn refused(feature: String) -> Error {
    Error::Unsupported { feature, remedy: OTHERWISE.into() }
}
