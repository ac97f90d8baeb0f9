//! A demuxer and a decoder that stay open, and what has been given to them.
//!
//! Packets go to the decoder under the number of their frame instead of their time: it says which frame a picture is, whatever
//! the order or the loss of others, and what container times may lack, it is unique. The picture of a packet that nobody wants
//! is dropped by the session before it is converted or copied; where nothing refers to it, it is not even decoded.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::index::{HIDDEN, Index, KEY, Places, SURE, Times, mark};
use super::start;
use crate::codec::Codec;
use crate::container::{Demuxer, Input, OpenOptions, Track, VideoTrack};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::pipeline::{Finish, SourceOptions};
use crate::session::{DecodeSession, DecodeSummary, Submit};
use crate::time::{Rational, TimeBase, Timestamp};

/// How long one look at the decoder's output lasts.
const LOOK: Duration = Duration::from_millis(20);
/// The same while the decoder may be waiting for the next packet: short behind each step forward, and twice as long each time
/// nothing has moved. Small pictures take microseconds, large ones milliseconds.
const SHORT_LOOK: Duration = Duration::from_micros(100);
const LONGEST_LOOK: Duration = Duration::from_millis(4);
/// Packets read behind a seek before the wanted one is given up there.
const MOST_BEHIND_SEEK: u32 = 1 << 12;

/// Frames that are wanted, by their numbers.
pub(super) type Wanted<'a> = &'a dyn Fn(usize) -> bool;

/// Decoding from one random access point on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: u32,
    /// The next packet.
    pub(super) next: u32,
}

/// What a step of feeding came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    Packet,
    /// The decoder has no room.
    Full,
    /// There are no more packets.
    End,
}

/// See the module's documentation.
pub(super) struct Engine {
    path: PathBuf,
    pub(super) track: Track,
    video: VideoTrack,
    options: SourceOptions,
    one_layer: bool,
    demuxer: Box<dyn Demuxer>,
    /// The packet that the demuxer gives next, where that is known.
    at: Option<u32>,
    /// Read, but not taken.
    ahead: Option<Packet>,
    /// Refused for lack of room.
    held: Option<Packet>,
    session: Option<DecodeSession>,
    /// Of a session that has ended.
    ended: Option<DecodeSummary>,
    pub(super) run: Option<Run>,
    /// Frames that are to come out: their durations, and how many flushes were asked for before.
    inside: HashMap<usize, (Option<u64>, u64)>,
    /// Flushes asked for and seen.
    flushes: (u64, u64),
    /// How long the next short look lasts.
    look: Duration,
    /// The first damage since a frame came.
    pub(super) damage: Option<Error>,
}

/// Opens `path` for reading packets.
pub(super) fn open_demuxer(path: &std::path::Path, options: &SourceOptions) -> Result<Box<dyn Demuxer>> {
    match OpenOptions::new().limits(options.limits.clone()).open(path)? {
        Input::Demuxer(demuxer) => Ok(demuxer),
        Input::Frames(frames) => Err(Error::Unsupported {
            feature: format!("single frames of {} ({})", path.display(), frames.describe()),
            remedy: "read uncompressed pictures in order, with frames()".into(),
        }),
    }
}

impl Engine {
    pub(super) fn new(
        path: PathBuf,
        mut demuxer: Box<dyn Demuxer>,
        (track, video): (Track, VideoTrack),
        options: SourceOptions,
    ) -> Self {
        demuxer.select_tracks(&[track.id]);
        Self {
            path,
            track,
            one_layer: start::has_one_layer(video.codec_config.as_deref()),
            video,
            options,
            demuxer,
            at: None,
            ahead: None,
            held: None,
            session: None,
            ended: None,
            run: None,
            inside: HashMap::new(),
            flushes: (0, 0),
            look: SHORT_LOOK,
            damage: None,
        }
    }

    /// Another of its kind, with its own decoder.
    pub(super) fn another(&self, options: SourceOptions) -> Result<Self> {
        let demuxer = open_demuxer(&self.path, &self.options)?;
        Ok(Self::new(self.path.clone(), demuxer, (self.track.clone(), self.video.clone()), options))
    }

    /// What the decoder did so far.
    pub(super) fn summary(&self) -> Option<DecodeSummary> {
        self.session.as_ref().map(DecodeSession::summary).or_else(|| self.ended.clone())
    }

    /// Whether a frame is on its way, and no flush behind it.
    pub(super) fn is_inside(&self, frame: usize) -> bool {
        self.inside.get(&frame).is_some_and(|(_, flushes)| *flushes == self.flushes.0)
    }

    /// Whether all that was asked for by flushes has come out.
    pub(super) fn is_flushed(&self) -> bool {
        self.flushes.0 == self.flushes.1
    }

    /// Begins anew at `start`, or in front of it where decoding of the packets that are wanted turns out not to begin there.
    pub(super) fn restart(&mut self, index: &mut Index, mut start: u32, wanted: &[u32]) -> Result<()> {
        loop {
            self.go_to(index, start)?;
            let flags = index.flags(start);
            if start == 0 || flags & (KEY | SURE) == KEY | SURE {
                break;
            }
            let packet = self.read(index, start)?;
            let begins = packet.as_ref().and_then(|packet| start::begins(self.video.codec, packet));
            index.learn(start, begins);
            self.ahead = packet;
            self.at = Some(start);
            if begins.is_some() {
                break;
            }
            start = wanted.iter().map(|packet| index.start_for(*packet)).min().unwrap_or(0);
        }
        let closed = index.flags(start) & super::index::OPEN == 0 && index.flags(start) & SURE != 0;
        if self.run.is_some() && !(closed && self.splits()) {
            self.flush()?;
        }
        self.run = Some(Run { start, next: start });
        Ok(())
    }

    /// Whether several decoders share the work: they cut at closed random access points by themselves, and a flush would have
    /// all of them wait.
    fn splits(&self) -> bool {
        self.options.engines != crate::config::Engines::One
    }

    /// Has everything inside come out. The next packet must be a random access point.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.run = None;
        self.held = None;
        if let Some(session) = &mut self.session {
            session.flush()?;
            self.flushes.0 += 1;
        }
        Ok(())
    }

    /// Gives the next packet of the run to the decoder, if there is room.
    pub(super) fn feed(&mut self, index: &Index, wanted: Wanted<'_>) -> Result<Fed> {
        let Some(run) = self.run else { return Ok(Fed::End) };
        if let Some(packet) = self.held.take() {
            return self.submit(packet);
        }
        if run.next >= index.packets() {
            return Ok(Fed::End);
        }
        let Some(packet) = self.read(index, run.next)? else { return Ok(Fed::End) };
        let number = self.at.map_or(run.next, |next| next.wrapping_sub(1));
        self.run = Some(Run { next: number.saturating_add(1), ..run });
        let Some(packet) = self.prepare(index, run.start, number, packet, wanted)? else {
            return Ok(Fed::Packet);
        };
        self.submit(packet)
    }

    /// A packet as the decoder is to have it; `None` where it need not.
    fn prepare(
        &mut self,
        index: &Index,
        start: u32,
        number: u32,
        mut packet: Packet,
        wanted: Wanted<'_>,
    ) -> Result<Option<Packet>> {
        let codec = self.video.codec;
        let hidden = index.flags(number) & HIDDEN != 0;
        let rank = index.rank(number);
        let is_wanted = !hidden && wanted(rank);
        if !is_wanted && number != start {
            // Those of H.264 count for the references of others although they cannot be decoded.
            let leading = codec != Codec::H264 && index.key(number) < index.key(start);
            if leading || start::is_disposable(codec, &packet, self.one_layer) {
                return Ok(None);
            }
        }
        if number == start
            && let Some(sets) = index.sets_for(number)
        {
            let mut data = crate::memory::room(sets.len() + packet.data.len())?;
            data.extend_from_slice(sets);
            data.extend_from_slice(&packet.data);
            packet.data = data.into();
        }
        if is_wanted {
            let duration = if index.times == Times::Numbered { Some(1) } else { packet.duration };
            self.inside.insert(rank, (duration, self.flushes.0));
        }
        packet.pts = Some(name_of(rank, hidden));
        packet.dts = None;
        packet.discard = !is_wanted;
        Ok(Some(packet))
    }

    fn submit(&mut self, packet: Packet) -> Result<Fed> {
        if self.session.is_none() {
            let config = self.options.decode_config(&self.video);
            let opened = DecodeSession::new(self.options.backend, config);
            self.session = Some(opened.inspect_err(|_| self.run = None)?);
        }
        let Some(session) = &mut self.session else { return Ok(Fed::End) };
        match session.submit(packet) {
            Ok(Submit::Accepted) => {
                self.look = SHORT_LOOK;
                Ok(Fed::Packet)
            }
            Ok(Submit::Full(packet)) => {
                self.held = Some(packet);
                Ok(Fed::Full)
            }
            Err(error @ Error::InvalidInput { .. }) => Err(error),
            // Why it has ended comes out at the other end.
            Err(_) => Ok(Fed::Full),
        }
    }

    /// Whether everything up to this packet of the run was given to the decoder.
    pub(super) fn has_fed(&self, packet: u32) -> bool {
        self.held.is_none() && self.run.is_none_or(|run| run.next > packet)
    }

    /// Has what is inside come out, and drops it.
    pub(super) fn drain(&mut self, index: &Index, finish: &Finish) -> Result<()> {
        self.damage = None;
        if self.run.is_some() {
            self.flush()?;
        }
        while !self.is_flushed() {
            self.reap(index, finish, false)?;
        }
        Ok(())
    }

    /// Whether the decoder has begun all that it was given.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_none() && self.session.as_ref().is_none_or(|session| session.queued() == 0)
    }

    /// The next frame that comes out, and its number; `None` for none yet. `short`: the decoder may be waiting.
    ///
    /// # Errors
    /// The end of the decoder. Damage is only noted.
    pub(super) fn reap(
        &mut self,
        index: &Index,
        finish: &Finish,
        short: bool,
    ) -> Result<Option<(usize, Frame)>> {
        if self.options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let Some(session) = &mut self.session else { return Ok(None) };
        match session.reap_timeout(if short { self.look } else { LOOK }) {
            Ok(Some(frame)) => {
                self.look = SHORT_LOOK;
                let known = number_of(frame.pts).and_then(|number| {
                    // What was given twice, before and behind a jump, comes twice.
                    let (duration, _) = self.inside.remove(&number)?;
                    Some((number, index.pts(number)?, duration))
                });
                let Some((number, pts, duration)) = known else { return Ok(None) };
                finish.of(Frame { pts, duration, ..frame }).map(|frame| Some((number, frame)))
            }
            Ok(None) => {
                self.look = LONGEST_LOOK.min(self.look * 2);
                if session.is_drained() && self.flushes.1 != self.flushes.0 {
                    self.flushes.1 = self.flushes.0;
                    // What has not come by now is lost.
                    self.inside.retain(|_, (_, flushes)| *flushes == self.flushes.0);
                }
                Ok(None)
            }
            Err(error) if session.has_ended() => {
                self.ended = Some(session.summary());
                self.forget();
                Err(error)
            }
            Err(error) => {
                self.damage.get_or_insert(error);
                Ok(None)
            }
        }
    }

    /// The decoder is gone, or what is inside is not to come out: the next frame begins with another.
    pub(super) fn forget(&mut self) {
        self.session = None;
        self.run = None;
        self.held = None;
        self.inside.clear();
        self.flushes = (0, 0);
    }

    /// Packet `number`, for which the demuxer has been brought there; a later one where it cannot be read.
    fn read(&mut self, index: &Index, number: u32) -> Result<Option<Packet>> {
        if self.at != Some(number) {
            self.go_to(index, number)?;
        }
        if let Some(packet) = self.ahead.take() {
            self.at = Some(number.saturating_add(1));
            return Ok(Some(packet));
        }
        let mut met_damage = false;
        loop {
            match self.demuxer.next_packet() {
                Ok(Some(packet)) => {
                    let found = if met_damage { number_after_damage(index, number, &packet) } else { number };
                    self.at = Some(found.saturating_add(1));
                    return Ok(Some(packet));
                }
                Ok(None) => {
                    self.at = None;
                    return Ok(None);
                }
                Err(error) if error.is_recoverable() => {
                    met_damage = true;
                    self.damage.get_or_insert(error);
                }
                Err(error) => {
                    self.at = None;
                    return Err(error);
                }
            }
        }
    }

    /// Has the demuxer give packet `number` next.
    fn go_to(&mut self, index: &Index, number: u32) -> Result<()> {
        if self.at == Some(number) {
            return Ok(());
        }
        (self.at, self.ahead) = (None, None);
        let found = match index.places {
            Places::Numbers | Places::Positions => self.demuxer.resume(self.track.id, index.place(number))?,
            Places::Marks => self.seek(index, number)? || self.read_up_to(index, number)?,
        };
        if !found {
            return Err(Error::corrupt_fatal(format!(
                "packet {number} is not where the index has it: the file has changed, or the index is of another"
            ))
            .in_file(&self.path));
        }
        self.at = Some(number);
        Ok(())
    }

    /// Seeks by time, and reads on to the packet.
    fn seek(&mut self, index: &Index, number: u32) -> Result<bool> {
        if index.times == Times::Numbered {
            return Ok(false);
        }
        let time = Timestamp::new(index.key(number), index.base);
        if !self.demuxer.seek(self.track.id, time)? {
            return Ok(false);
        }
        for _ in 0..MOST_BEHIND_SEEK {
            let packet = match self.demuxer.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(false),
                Err(error) if error.is_recoverable() => continue,
                Err(error) => return Err(error),
            };
            let same = packet.pts.is_none_or(|pts| pts.rescale(index.base).ticks() == index.key(number));
            if same && mark(&packet.data) == index.place(number) {
                self.ahead = Some(packet);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads from the start of the file, for sources that cannot seek there.
    fn read_up_to(&mut self, index: &Index, number: u32) -> Result<bool> {
        self.demuxer = open_demuxer(&self.path, &self.options)?;
        self.demuxer.select_tracks(&[self.track.id]);
        let mut at = 0;
        while at <= number {
            match self.demuxer.next_packet() {
                Ok(Some(packet)) if at == number => {
                    let same = mark(&packet.data) == index.place(number);
                    self.ahead = Some(packet);
                    return Ok(same);
                }
                Ok(Some(_)) => at += 1,
                Ok(None) => return Ok(false),
                Err(error) if error.is_recoverable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Which packet came in the place of `number`, behind damage.
fn number_after_damage(index: &Index, number: u32, packet: &Packet) -> u32 {
    let Some(pts) = packet.pts.filter(|_| index.times == Times::Stated) else { return number };
    let ticks = pts.rescale(index.base).ticks();
    let near = number..index.packets().min(number.saturating_add(MOST_BEHIND_SEEK));
    near.clone().find(|near| index.key(*near) == ticks).unwrap_or(number)
}

/// The time under which a decoder knows the picture of a frame: it grows in the order of presentation, as backends that look at
/// times want it. What is never shown lies between two frames.
fn name_of(frame: usize, hidden: bool) -> Timestamp {
    let ticks = (frame as i64).saturating_mul(2).saturating_add(i64::from(!hidden));
    Timestamp::new(ticks, TimeBase::from_frame_rate(Rational::ONE))
}

fn number_of(name: Timestamp) -> Option<usize> {
    let ticks = name.ticks();
    (ticks & 1 == 1).then(|| usize::try_from(ticks / 2).ok()).flatten()
}
