//! Tracks with several sample descriptions (`stsd` entries): files joined without re-encoding.
//!
//! A decoder is set up by the track's own description. Where samples of another one follow, their parameter
//! sets go in band, which a decoder takes up on the way (ISO/IEC 14496-15 does the same in `avc3` and `hev1`).

use bytes::Bytes;

use super::boxes::{FourCc, Mp4Box};
use super::entry;
use crate::bitstream::av1::Av1Config;
use crate::bitstream::convert::length_prefixed_units;
use crate::bitstream::h264::{self, AvcConfig};
use crate::bitstream::hevc::{self, HevcConfig};
use crate::codec::Codec;
use crate::container::VideoTrack;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// What a sample entry asks for.
enum Description {
    /// Its parameter sets, framed as the samples are; empty where the codec needs none.
    Readable(Vec<u8>),
    /// Why its samples cannot stand among those of the track.
    Refused(String),
}

/// The sample entries of one track.
pub(super) struct Descriptions {
    entries: Vec<Description>,
    /// Framing of the samples; `None` for other tracks than video.
    layout: Option<BitstreamLayout>,
    /// Whether samples of more than one configuration can follow each other.
    several: bool,
}

impl Descriptions {
    pub(super) fn none() -> Self {
        Self { entries: Vec::new(), layout: None, several: false }
    }

    /// `main` is the entry that describes the track, `video` what it says.
    pub(super) fn new(entries: &[Mp4Box], main: &Mp4Box, video: Option<&VideoTrack>) -> Self {
        let mut several = false;
        let entries = entries
            .iter()
            .map(|entry| {
                let same = entry.bytes == main.bytes;
                match video {
                    Some(video) => match readable(entry, main, video) {
                        Ok((config, sets)) => {
                            several |= !same && config != video.codec_config && !sets.is_empty();
                            Description::Readable(sets)
                        }
                        // Damage in the record of the track itself is for the decoder to complain about.
                        Err(_) if same => Description::Readable(Vec::new()),
                        Err(why) => Description::Refused(why),
                    },
                    None if same => Description::Readable(Vec::new()),
                    None => Description::Refused(format!(
                        "{}, which differs from that of the track ({})",
                        FourCc(entry.kind),
                        FourCc(main.kind)
                    )),
                }
            })
            .collect();
        Self { entries, layout: video.map(|video| video.layout), several }
    }

    /// The bytes of a sample of description `number`, from one, as they are given out. In a track whose
    /// configuration changes, every sync sample and the first sample after a change carry the parameter
    /// sets, so that reading can start anywhere. `last` is the description of the sample before.
    pub(super) fn apply(
        &self,
        number: u32,
        last: Option<u32>,
        sync: bool,
        data: Bytes,
        place: impl Fn() -> String,
    ) -> Result<Bytes> {
        let description = number.checked_sub(1).and_then(|at| self.entries.get(at as usize));
        match description {
            Some(Description::Readable(sets)) => {
                let wanted = self.several && !data.is_empty() && (sync || last != Some(number));
                if wanted { self.with_sets(sets, &data) } else { Ok(data) }
            }
            Some(Description::Refused(why)) => {
                Err(Error::unsupported(format!("{} changes to sample description {number}: {why}", place())))
            }
            None => Err(Error::corrupt(format!(
                "{} refers to sample description {number} of {}",
                place(),
                self.entries.len()
            ))),
        }
    }

    fn with_sets(&self, sets: &[u8], data: &Bytes) -> Result<Bytes> {
        // An access unit delimiter stays the first NAL unit.
        let at = match self.layout {
            Some(
                layout @ (BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size }),
            ) => match length_prefixed_units(data, length_size).next().transpose()? {
                Some(nal) if is_delimiter(layout, nal) => usize::from(length_size) + nal.len(),
                _ => 0,
            },
            _ => 0,
        };
        let (head, rest) = data.split_at_checked(at).unwrap_or((&[], data));
        Ok([head, sets, rest].concat().into())
    }
}

fn is_delimiter(layout: BitstreamLayout, nal: &[u8]) -> bool {
    match layout {
        BitstreamLayout::Hvcc { .. } => hevc::nal_type(nal) == Some(hevc::NAL_AUD),
        _ => h264::nal_type(nal) == Some(h264::NAL_AUD),
    }
}

/// Configuration and parameter sets of `entry`, where its samples can follow those of the track.
fn readable(entry: &Mp4Box, main: &Mp4Box, video: &VideoTrack) -> Result<(Option<Bytes>, Vec<u8>), String> {
    let (ours, theirs) = (FourCc(main.kind), FourCc(entry.kind));
    let other = entry::video(entry).map_err(|e| e.to_string())?;
    let Some(other) = other.filter(|other| other.codec == video.codec) else {
        return Err(format!("{theirs}, in a track of {ours}; one codec per track is read"));
    };
    if other.layout != video.layout {
        return Err(format!("{theirs} with NAL unit lengths of another size than those of the track"));
    }
    let sets = parameter_sets(&other).map_err(|e| e.to_string())?;
    Ok((other.codec_config, sets))
}

fn parameter_sets(video: &VideoTrack) -> Result<Vec<u8>> {
    let Some(config) = &video.codec_config else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    match (video.codec, video.layout) {
        (Codec::H264, BitstreamLayout::Avcc { length_size }) => {
            let AvcConfig { sps, pps, high, .. } = AvcConfig::parse(config)?;
            let extensions = high.map(|high| high.sps_extensions).unwrap_or_default();
            for nal in sps.iter().chain(&extensions).chain(&pps) {
                push_unit(&mut out, nal, length_size)?;
            }
        }
        (Codec::Hevc, BitstreamLayout::Hvcc { length_size }) => {
            let config = HevcConfig::parse(config)?;
            let sets = [hevc::NAL_VPS, hevc::NAL_SPS, hevc::NAL_PPS];
            for kind in sets {
                for nal in config.units().filter(|nal| hevc::nal_type(nal) == Some(kind)) {
                    push_unit(&mut out, nal, length_size)?;
                }
            }
        }
        (Codec::Av1, _) => out = Av1Config::parse(config)?.obus,
        // VP8 and VP9 say everything in their key frames.
        _ => {}
    }
    Ok(out)
}

fn push_unit(out: &mut Vec<u8>, nal: &[u8], length_size: u8) -> Result<()> {
    let length = (nal.len() as u64).to_be_bytes();
    match length.split_at_checked(length.len() - usize::from(length_size.min(8))) {
        Some((high, low)) if high.iter().all(|byte| *byte == 0) => out.extend_from_slice(low),
        _ => {
            return Err(Error::unsupported(format!(
                "a parameter set of {} bytes does not fit NAL unit lengths of {length_size} bytes",
                nal.len()
            )));
        }
    }
    out.extend_from_slice(nal);
    Ok(())
}
