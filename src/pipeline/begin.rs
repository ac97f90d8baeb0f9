//! Where reading begins for frames from a certain time on.
//!
//! Containers say at which samples decoding can begin, and not all of them are right: an MP4 file without `stss` says it of
//! every sample. The samples themselves are looked at therefore, and reading begins earlier where nothing can be decoded from
//! the place that was promised.

use crate::bitstream::convert::length_prefixed_units;
use crate::bitstream::{ActiveParameterSets, UnitRole, annexb, h264, hevc};
use crate::codec::Codec;
use crate::container::{Demuxer, TrackId, VideoTrack};
use crate::error::Result;
use crate::packet::BitstreamLayout;
use crate::time::{TimeBase, Timestamp};

/// How far back the second try goes, in seconds; each further one twice as far.
const FIRST_STEP: i64 = 1;
/// Samples of all tracks that are read for the first key frame, at most.
const MOST_BEFORE_FIRST: u32 = 4096;

/// What the place where reading begins is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Decoding: a gradual refresh that is complete in time is enough.
    Decode,
    /// Copying: the output has to begin with a picture that can be decoded alone.
    Copy,
}

/// Moves `demuxer` to where frames of `track` from `from` on can be decoded or copied.
///
/// # Errors
/// As [`Demuxer::seek`].
pub(super) fn seek(
    demuxer: &mut dyn Demuxer,
    (track, video): (TrackId, &VideoTrack),
    from: Timestamp,
    purpose: Purpose,
) -> Result<()> {
    let rate = from.base().seconds_per_tick();
    let second = (i64::from(rate.den()) / i64::from(rate.num())).max(1);
    let (mut at, mut step) = (from, FIRST_STEP);
    while demuxer.seek(track, at)? {
        let found = can_begin_before(demuxer, (track, video), from, purpose);
        demuxer.seek(track, at)?;
        if found || at.ticks() <= 0 {
            break;
        }
        at = from.offset(-step.saturating_mul(second));
        step = step.saturating_mul(2);
    }
    Ok(())
}

/// The parameter sets that come with the first key frame of `track`, where the demuxer can go back to it. Streams may
/// state them there and nowhere else. The position of the demuxer changes.
///
/// # Errors
/// As [`Demuxer::seek`].
pub(super) fn first_sets(
    demuxer: &mut dyn Demuxer,
    (track, video): (TrackId, &VideoTrack),
) -> Result<ActiveParameterSets> {
    let mut sets = ActiveParameterSets::new(video.codec);
    let in_samples = video.layout == BitstreamLayout::AnnexB && video.codec.uses_nal_units();
    if in_samples && demuxer.seek(track, Timestamp::new(0, TimeBase::NANOS))? {
        let mut left = MOST_BEFORE_FIRST;
        while let Ok(Some(sample)) = demuxer.next_packet() {
            left -= 1;
            if sample.track == track {
                sets.observe(&sample.data);
            }
            if left == 0 || sample.track == track && sample.keyframe {
                break;
            }
        }
    }
    Ok(sets)
}

/// Whether decoding can begin at one of the next samples so that pictures come out right from this time on. What cannot be
/// read is the decoder's business.
fn can_begin_before(
    demuxer: &mut dyn Demuxer,
    (track, video): (TrackId, &VideoTrack),
    time: Timestamp,
    purpose: Purpose,
) -> bool {
    let mut refresh = Refresh::default();
    while let Ok(Some(sample)) = demuxer.next_packet() {
        if sample.track != track {
            continue;
        }
        if sample.pts.is_none_or(|pts| time.is_before(pts)) {
            return false;
        }
        let found = match purpose {
            Purpose::Decode => refresh.take(video.codec, video.layout, &sample.data),
            Purpose::Copy => sample.keyframe && is_cut_point(video.codec, video.layout, &sample.data),
        };
        if found {
            return true;
        }
    }
    // Nothing was found to be wrong with the place.
    false
}

/// How far a decoder that begins somewhere in a stream is from right pictures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refresh {
    /// Reference pictures until a gradual refresh is complete: `frame_num` counts these (H.264 section D.2.8).
    left: Option<u32>,
}

impl Refresh {
    /// Takes the next sample in decoding order. Returns whether it and those behind it come out right.
    pub(super) fn take(&mut self, codec: Codec, layout: BitstreamLayout, sample: &[u8]) -> bool {
        if can_begin(codec, layout, sample) {
            let count = gradual_refresh(codec, layout, sample).unwrap_or(0);
            self.left = Some(self.left.map_or(count, |left| left.saturating_sub(1).min(count)));
        } else if is_h264_reference(layout, sample) {
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        self.left == Some(0)
    }

    /// Whether a place was found at which decoding can begin.
    pub(super) const fn has_begun(&self) -> bool {
        self.left.is_some()
    }
}

/// The frames that an H.264 refresh takes, where a sample begins one that takes longer than one picture.
fn gradual_refresh(codec: Codec, layout: BitstreamLayout, sample: &[u8]) -> Option<u32> {
    let count = |nal: &&[u8]| h264::recovery_frame_count(nal).filter(|count| *count > 0);
    (codec == Codec::H264).then(|| units(layout, sample).iter().find_map(count)).flatten()
}

fn is_h264_reference(layout: BitstreamLayout, sample: &[u8]) -> bool {
    let is_slice = |nal: &&&[u8]| matches!(h264::nal_type(nal), Some(1..=5));
    units(layout, sample).iter().find(is_slice).is_some_and(|nal| h264::nal_ref_idc(nal) != Some(0))
}

/// The NAL units of a sample, up to damage.
pub(super) fn units(layout: BitstreamLayout, sample: &[u8]) -> Vec<&[u8]> {
    match layout {
        BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
            length_prefixed_units(sample, length_size).map_while(Result::ok).collect()
        }
        BitstreamLayout::AnnexB => annexb::nal_units(sample).collect(),
        BitstreamLayout::Obu | BitstreamLayout::Opaque => Vec::new(),
    }
}

/// Whether a stream can be cut in front of a sample that its container calls a key frame: it and all that is shown behind it
/// come out right. A picture that is only the first of several after which they do (a gradual refresh) is none.
pub(super) fn is_cut_point(codec: Codec, layout: BitstreamLayout, sample: &[u8]) -> bool {
    can_begin(codec, layout, sample) && gradual_refresh(codec, layout, sample).is_none()
}

/// Whether the headers of a sample at which a stream can be cut say that nothing behind it refers to anything before it.
pub(super) fn begins_closed(codec: Codec, layout: BitstreamLayout, sample: &[u8]) -> bool {
    const GROUP: u8 = 0xB8;
    match codec {
        Codec::H264 => {
            let mut slices = units(layout, sample)
                .into_iter()
                .filter_map(h264::nal_type)
                .filter(|kind| (1..=5).contains(kind));
            slices.next() == Some(h264::NAL_IDR)
        }
        Codec::Hevc => units(layout, sample).iter().any(|nal| hevc::nal_type(nal).is_some_and(hevc::is_idr)),
        // closed_gop follows a time code of 25 bits.
        Codec::Mpeg2 => annexb::nal_units(sample)
            .any(|unit| unit.first() == Some(&GROUP) && unit.get(4).is_some_and(|byte| byte & 0x40 != 0)),
        _ => true,
    }
}

fn can_begin(codec: Codec, layout: BitstreamLayout, sample: &[u8]) -> bool {
    let nals = units(layout, sample);
    match codec {
        Codec::H264 => {
            let mut slices = nals.iter().filter(|nal| matches!(h264::nal_type(nal), Some(1..=5))).peekable();
            let intra = slices.peek().is_some() && slices.all(|nal| h264::is_intra_slice(nal));
            // The second field of an IDR picture may be predicted from the first.
            intra
                || begins_closed(codec, layout, sample)
                || nals.iter().any(|nal| h264::has_recovery_point(nal))
        }
        Codec::Hevc => nals.iter().any(|nal| hevc::nal_type(nal).is_some_and(hevc::is_irap)),
        // Not told by the unit alone.
        Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 => true,
        _ => UnitRole::of(codec, sample) == UnitRole::Closed,
    }
}
