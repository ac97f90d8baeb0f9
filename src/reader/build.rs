//! How an index is made: from the container's tables where it has them, without a byte of the media; by the heads of blocks, with
//! the few bytes of the packets that say what these do not; or else by reading every packet once.

use super::index::{Entry, HIDDEN, Index, KEY, OPEN, Places, Sets, Times, mark};
use super::start;
use crate::bitstream::{ActiveParameterSets, OutputOrder, hevc};
use crate::codec::Codec;
use crate::container::{Demuxer, PacketBytes, PacketPlace, Track, VideoTrack};
use crate::error::{Error, Result};
use crate::packet::{BitstreamLayout, Packet};
use crate::pipeline::SourceOptions;
use crate::time::{Rational, TimeBase};

/// Frame rate of streams that state none, as in decode sessions.
const FALLBACK_RATE: Option<Rational> = Rational::new(25, 1);

/// The index of a track, of which `demuxer` reads nothing else.
///
/// Damage ends it, or is passed over with `keep_going`.
///
/// # Errors
/// What reading meets before the first packet; [`Error::LimitExceeded`], [`Error::Cancelled`].
pub(super) fn of_track(
    demuxer: &mut dyn Demuxer,
    (track, video): (&Track, &VideoTrack),
    options: &SourceOptions,
) -> Result<Index> {
    if tables_tell(video)
        && let Some(index) = of_tables(demuxer, (track, video), options)?
    {
        return Ok(index);
    }
    of_packets(demuxer, (track, video), options)
}

/// Parameter sets between the pictures have to be found in the packets.
fn tables_tell(video: &VideoTrack) -> bool {
    video.layout != BitstreamLayout::AnnexB
}

/// Whether an index of the track would be made of tables.
pub(super) fn has_tables(demuxer: &mut dyn Demuxer, (track, video): (&Track, &VideoTrack)) -> Result<bool> {
    // The first entry says it: behind it there may be a whole file of fragments.
    match demuxer.index(track.id, &mut |_, _| Err(Error::Cancelled)) {
        Ok(told) => Ok(told && tables_tell(video)),
        Err(Error::Cancelled) => Ok(tables_tell(video)),
        Err(error) => Err(error),
    }
}

fn of_tables(
    demuxer: &mut dyn Demuxer,
    (track, video): (&Track, &VideoTrack),
    options: &SourceOptions,
) -> Result<Option<Index>> {
    let mut index = Index::new(track.time_base, Times::Stated, Places::Numbers);
    let mut front = Front::new(video);
    let mut has_bytes = false;
    let told = demuxer.index(track.id, &mut |place, bytes| {
        if options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut flags = if place.keyframe { KEY } else { 0 } | if place.discard { HIDDEN } else { 0 };
        if let Some(bytes) = bytes {
            has_bytes = true;
            if front.hides(&place, bytes)? {
                flags |= HIDDEN;
            }
        }
        index.push(
            Entry { key: place.pts, duration: place.duration, flags, at: place.position },
            &options.limits,
        )
    });
    match told {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        // What is behind the damage has to be read for.
        Err(error) if has_bytes && options.keep_going && error.is_recoverable() => return Ok(None),
        Err(error @ Error::CorruptStream { .. }) if index.packets() > 0 => {
            index.damage = Some(error.to_string()).filter(|_| !options.keep_going);
        }
        Err(error) => return Err(error),
    }
    if !has_bytes {
        // Packets of VP8 may show nothing, and only they say it.
        if video.codec == Codec::Vp8 {
            return Ok(None);
        }
        hide_first_leading(demuxer, (track, video), &mut index)?;
    }
    index.complete()?;
    Ok(Some(index))
}

/// As [`Scan`] finds out which pictures nobody sees, by as few bytes of the packets as tell it.
struct Front<'a> {
    video: &'a VideoTrack,
    begun: bool,
    cut: Option<i64>,
    /// Decoders leave out what is shown before the first picture.
    open: bool,
}

impl<'a> Front<'a> {
    fn new(video: &'a VideoTrack) -> Self {
        Self { video, begun: false, cut: None, open: false }
    }

    fn hides(&mut self, place: &PacketPlace, bytes: &mut dyn PacketBytes) -> Result<bool> {
        let codec = self.video.codec;
        let mut begins = place.keyframe;
        let mut slice = None;
        if codec == Codec::Hevc && (begins || self.cut.is_some() || !self.begun) {
            slice = start::hevc_type_in(self.video.layout, bytes)?;
            begins = slice.is_some_and(|kind| (hevc::NAL_BLA_W_LP..=21).contains(&kind));
        } else if !self.begun && !begins {
            begins = start::begins(codec, &start::whole(self.video, bytes)?).is_some();
        }
        let first = !self.begun && (begins || place.keyframe);
        if first || slice.is_some_and(|kind| (16..=18).contains(&kind)) {
            self.cut = Some(place.pts);
            self.open = matches!(codec, Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1)
                && start::begins_open(codec, &start::whole(self.video, bytes)?.data);
        } else if begins {
            self.cut = None;
        }
        self.begun |= first;
        let skipped = match codec {
            Codec::Hevc => self.cut.is_some() && slice.is_some_and(hevc::is_rasl),
            Codec::H264 => self.cut.is_some_and(|cut| place.pts < cut),
            _ => self.open && self.cut.is_some_and(|cut| place.pts < cut),
        };
        Ok(!self.begun || skipped || !start::shows_in(codec, bytes)?)
    }
}

/// Hides the pictures behind the first one that no decoder gives: they refer to pictures in front of the file.
fn hide_first_leading(
    demuxer: &mut dyn Demuxer,
    (track, video): (&Track, &VideoTrack),
    index: &mut Index,
) -> Result<()> {
    let first = index.key(0);
    let leading = (1..index.packets()).take_while(|packet| index.key(*packet) < first).count();
    let has_them = matches!(video.codec, Codec::Hevc | Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1);
    if !has_them || leading == 0 || !demuxer.resume(track.id, index.place(0))? {
        return Ok(());
    }
    let mut open = false;
    for packet in 0..=leading {
        // What cannot be read is told when it is wanted.
        let Ok(Some(read)) = demuxer.next_packet() else { break };
        if packet == 0 {
            open = start::begins_open(video.codec, &read.data);
        }
        if (packet > 0 && open || start::is_skipped_leading(video.codec, &read))
            && let Some(flags) = index.flags.get_mut(packet)
        {
            *flags |= HIDDEN;
        }
    }
    Ok(())
}

/// What has to be remembered from packet to packet.
struct Scan {
    codec: Codec,
    index: Index,
    order: OutputOrder,
    sets: ActiveParameterSets,
    /// Decoding has begun somewhere.
    begun: bool,
    /// The order of the random access point whose leading pictures are never shown.
    cut: Option<i64>,
    /// Decoders leave out what is shown before the first picture.
    open: bool,
}

fn of_packets(
    demuxer: &mut dyn Demuxer,
    (track, video): (&Track, &VideoTrack),
    options: &SourceOptions,
) -> Result<Index> {
    let mut scan: Option<Scan> = None;
    loop {
        if options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let packet = match demuxer.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(error) if options.keep_going && error.is_recoverable() => continue,
            Err(error @ Error::CorruptStream { .. }) if scan.is_some() => {
                if let Some(scan) = &mut scan {
                    scan.index.damage = Some(error.to_string());
                }
                break;
            }
            Err(error) => return Err(error),
        };
        let position = demuxer.position();
        let scan = scan.get_or_insert_with(|| Scan::new((track, video), options, &packet, position));
        scan.take(&packet, position, options)?;
    }
    let empty = || Index::new(track.time_base, Times::Stated, Places::Numbers);
    let mut index = scan.map_or_else(empty, |scan| scan.index);
    index.complete()?;
    Ok(index)
}

impl Scan {
    fn new(
        (track, video): (&Track, &VideoTrack),
        options: &SourceOptions,
        first: &Packet,
        position: Option<u64>,
    ) -> Self {
        let times = if first.pts.is_some() { Times::Stated } else { Times::Numbered };
        let rate = options.frame_rate.or(video.frame_rate).or(FALLBACK_RATE);
        let base = match (times, rate) {
            (Times::Numbered, Some(rate)) => TimeBase::from_frame_rate(rate),
            _ => track.time_base,
        };
        let places = if position.is_some() { Places::Positions } else { Places::Marks };
        Self {
            codec: video.codec,
            index: Index::new(base, times, places),
            order: OutputOrder::new(video.codec),
            sets: ActiveParameterSets::new(video.codec),
            begun: false,
            cut: None,
            open: false,
        }
    }

    fn take(&mut self, packet: &Packet, position: Option<u64>, options: &SourceOptions) -> Result<()> {
        let number = self.index.packets();
        let key = match self.index.times {
            Times::Numbered => self.order.number(&packet.data, None),
            Times::Stated => match packet.pts {
                Some(pts) => pts.rescale(self.index.base).ticks(),
                // Without a time of its own it is shown behind the one before.
                None => self.index.key(number.wrapping_sub(1)).saturating_add(1),
            },
        };
        let begins = start::begins(self.codec, packet);
        let mut flags = begins.map_or(0, super::index::Begins::flags);
        // Nothing is decoded in front of the first place where a decoder begins.
        let first = !self.begun && (begins.is_some() || packet.keyframe);
        if first || start::breaks_links(self.codec, packet) {
            self.cut = Some(key);
            self.open = start::begins_open(self.codec, &packet.data);
        } else if begins.is_some() {
            self.cut = None;
        }
        self.begun |= first;
        let skipped = match self.codec {
            Codec::Hevc => self.cut.is_some() && start::is_skipped_leading(self.codec, packet),
            // Behind a first picture that is no IDR picture, those that are shown before it are not given.
            Codec::H264 => self.cut.is_some_and(|cut| key < cut),
            _ => self.open && self.cut.is_some_and(|cut| key < cut),
        };
        if !self.begun || skipped || packet.discard || !start::shows(self.codec, packet) {
            flags |= HIDDEN;
        }
        if packet.layout == BitstreamLayout::AnnexB {
            self.note_sets(number, packet, flags, options)?;
        }
        let at = position.unwrap_or_else(|| mark(&packet.data));
        let duration = packet.duration.unwrap_or(1);
        self.index.push(Entry { key, duration, flags, at }, &options.limits)
    }

    /// Remembers what a random access point lacks.
    fn note_sets(&mut self, number: u32, packet: &Packet, flags: u8, options: &SourceOptions) -> Result<()> {
        if flags & (KEY | OPEN) != 0 {
            let missing = self.sets.missing_from(&packet.data);
            let last = self.index.sets.last().map_or(&[][..], |sets| &sets.bytes);
            if missing != last {
                let bytes = self.index.sets.iter().map(|sets| sets.bytes.len() as u64).sum::<u64>();
                let more = bytes.saturating_add(missing.len() as u64) / Index::BYTES;
                self.index.check(u64::from(number).saturating_add(more), &options.limits)?;
                self.index.sets.push(Sets { from: number, bytes: missing.into() });
            }
        }
        self.sets.observe(&packet.data);
        Ok(())
    }
}
