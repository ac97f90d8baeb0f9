//! The groups of pictures of a file: where decoding can begin, and how much has to be decoded from there.

use std::path::Path;

use super::begin::{begins_closed, is_cut_point};
use super::feed;
use super::remux::Stamper;
use super::source::{SourceOptions, chosen_video};
use crate::container::{Input, TrackId};
use crate::error::{Error, Result};
use crate::packet::Packet;
use crate::time::Timestamp;

/// Groups that are listed one by one; all count.
const MOST_LISTED: usize = 100_000;
/// Damage that is told in words.
const DAMAGE_KEPT: usize = 10;

/// A key frame and the pictures up to the next one, in decoding order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gop {
    /// When the key frame is shown.
    pub pts: Timestamp,
    /// Pictures.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Nothing in it refers to anything before it. In an open group, pictures that are decoded after the key frame and shown
    /// before it do.
    pub closed: bool,
}

/// The groups of pictures of one track.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GopReport {
    /// The track.
    pub track: TrackId,
    /// Groups.
    pub count: u64,
    /// Those of them that are closed.
    pub closed: u64,
    /// Frames of the shortest and of the longest group.
    pub shortest: u64,
    /// See [`Self::shortest`].
    pub longest: u64,
    /// All pictures, also those in front of the first key frame.
    pub frames: u64,
    /// Pictures that are needed for decoding and not shown.
    pub hidden: u64,
    /// Pictures in front of the first key frame.
    pub before_first: u64,
    /// Bytes of all pictures.
    pub bytes: u64,
    /// When the first and the last picture are shown.
    pub first_pts: Option<Timestamp>,
    /// See [`Self::first_pts`].
    pub last_pts: Option<Timestamp>,
    /// When the last picture is over, where that is known.
    pub end: Option<Timestamp>,
    /// The groups, as far as they are listed: the first 100,000.
    pub gops: Vec<Gop>,
    /// Damage that was gone over.
    pub problems: u64,
    /// The first of it, in words.
    pub damage: Vec<String>,
    /// What there is to know of how the input is read.
    pub notes: Vec<String>,
}

/// The group at hand.
struct Under {
    gop: Gop,
    /// Its key frame says that it is closed.
    stated: bool,
}

impl GopReport {
    /// Frames of a group on average.
    pub fn mean(&self) -> f64 {
        (self.frames - self.before_first) as f64 / self.count.max(1) as f64
    }

    /// Takes the next picture; `key`: a group begins with it, and whether its headers say that this is closed.
    fn take(&mut self, packet: &Packet, key: Option<bool>, open: &mut Option<Under>) -> Result<()> {
        let Some(pts) = packet.pts else { return Ok(()) };
        let bytes = packet.data.len() as u64;
        self.frames += 1;
        self.bytes += bytes;
        self.hidden += u64::from(packet.discard);
        if !packet.discard {
            let length = packet.duration.and_then(|length| i64::try_from(length).ok()).unwrap_or(0);
            self.first_pts = Some(self.first_pts.map_or(pts, |first| first.min(pts)));
            self.last_pts = self.last_pts.max(Some(pts));
            self.end = self.end.max(Some(pts.offset(length)));
        }
        if let Some(stated) = key {
            self.close(open.take())?;
            *open = Some(Under { gop: Gop { pts, frames: 0, bytes: 0, closed: true }, stated });
        }
        let Some(Under { gop, stated }) = open else {
            self.before_first += 1;
            return Ok(());
        };
        gop.frames += 1;
        gop.bytes += bytes;
        // Leading pictures make a group an open one, unless the key frame says that they refer to nothing before it.
        gop.closed &= *stated || pts >= gop.pts;
        Ok(())
    }

    fn close(&mut self, open: Option<Under>) -> Result<()> {
        let Some(Under { gop, .. }) = open else { return Ok(()) };
        self.shortest = if self.count == 0 { gop.frames } else { self.shortest.min(gop.frames) };
        self.longest = self.longest.max(gop.frames);
        self.count += 1;
        self.closed += u64::from(gop.closed);
        if self.gops.len() < MOST_LISTED {
            let no_memory =
                |_| Error::io("keep", "the list of groups", std::io::ErrorKind::OutOfMemory.into());
            self.gops.try_reserve(1).map_err(no_memory)?;
            self.gops.push(gop);
        }
        Ok(())
    }
}

/// Reads all packets of the video track and tells its groups of pictures. Nothing is decoded.
///
/// # Errors
/// When the file cannot be read or has no video; damage that can be gone over is counted.
pub fn gops(path: impl AsRef<Path>, options: &SourceOptions) -> Result<GopReport> {
    let path = path.as_ref();
    let Input::Demuxer(mut demuxer) = feed::open(path, options)? else {
        return Err(Error::unsupported(format!(
            "groups of pictures of {}, which is not compressed",
            path.display()
        )));
    };
    let (track, video) = chosen_video(demuxer.as_ref(), path, options.track)?;
    demuxer.select_tracks(&[track.id]);
    let mut stamper = Stamper::new(&track);
    let mut report = GopReport { track: track.id, ..GopReport::default() };
    let (mut open, mut ended) = (None, false);
    let mut timed = Vec::new();
    while !ended {
        match demuxer.next_packet() {
            Ok(Some(packet)) => match &mut stamper {
                Some(stamper) => stamper.push(packet, &mut timed),
                None => timed.push(packet),
            },
            Ok(None) => {
                if let Some(stamper) = &mut stamper {
                    stamper.finish(&mut timed);
                }
                ended = true;
            }
            Err(error) if error.is_recoverable() => {
                report.problems += 1;
                if report.damage.len() < DAMAGE_KEPT {
                    report.damage.push(error.to_string());
                }
            }
            Err(error) => return Err(error.in_file(path)),
        }
        for packet in timed.drain(..) {
            let begins = packet.keyframe && is_cut_point(video.codec, video.layout, &packet.data);
            let key = begins.then(|| begins_closed(video.codec, video.layout, &packet.data));
            report.take(&packet, key, &mut open)?;
        }
        if options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    report.close(open)?;
    report.notes = demuxer.notes().to_vec();
    Ok(report)
}
