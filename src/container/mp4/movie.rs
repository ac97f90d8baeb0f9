//! The movie header (`moov`): its tracks and how each is to be read.

use shiguredo_mp4::boxes::{HdlrBox, MdhdBox, MvhdBox, TkhdBox, TrexBox};

use super::boxes::{FourCc, Mp4Box, be_u16};
use super::descriptions::Descriptions;
use super::edits::Edits;
use super::entry;
use super::pcm::{self, PcmGroups};
use super::tables::{Cursor, SampleTable};
use crate::container::{CopyDescription, Track, TrackId, TrackKind};
use crate::error::{Error, Result};
use crate::time::{Rational, TimeBase, Timestamp};

/// Defaults of a track's fragments (clauses 8.8.3 and 8.8.7).
#[derive(Clone, Copy, Default)]
pub(super) struct FragmentDefaults {
    pub(super) description: u32,
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

pub(super) struct Movie {
    pub(super) tracks: Vec<MovieTrack>,
}

pub(super) struct MovieTrack {
    pub(super) public: Track,
    pub(super) table: SampleTable,
    pub(super) edits: Edits,
    pub(super) sound: bool,
    /// Defaults out of `mvex`.
    pub(super) defaults: FragmentDefaults,
    pub(super) descriptions: Descriptions,
    /// Why the samples of this track cannot be read, though the rest of the file can.
    pub(super) refusal: Option<Error>,
}

impl Movie {
    pub(super) fn parse(moov: &Mp4Box, file_len: u64) -> Result<Self> {
        if moov.child(*b"cmov")?.is_some() {
            return Err(Error::unsupported("compressed QuickTime movie header (cmov)"));
        }
        let mvhd: MvhdBox = moov.need(*b"mvhd")?.decode()?;
        let mut tracks: Vec<MovieTrack> = Vec::new();
        for child in moov.children(0) {
            let trak = child?;
            if trak.kind != *b"trak" {
                continue;
            }
            let track = match MovieTrack::parse(&trak, &mvhd, file_len) {
                Ok(track) => track,
                // One broken track that is not video does not take the others with it.
                Err(e) if handler(&trak).is_some_and(|handler| handler != *b"vide") => {
                    MovieTrack::unreadable(&trak, e)?
                }
                Err(e) => return Err(e),
            };
            if tracks.iter().any(|other| other.public.id == track.public.id) {
                return Err(trak.broken(&format!("repeats track id {}", track.public.id.0)));
            }
            tracks.push(track);
        }
        if tracks.is_empty() {
            return Err(moov.broken("has no tracks"));
        }
        if let Some(mvex) = moov.child(*b"mvex")? {
            for child in mvex.children(0) {
                let child = child?;
                if child.kind != *b"trex" {
                    continue;
                }
                let trex: TrexBox = child.decode()?;
                if let Some(track) = tracks.iter_mut().find(|t| t.public.id.0 == trex.track_id) {
                    track.defaults = FragmentDefaults {
                        description: trex.default_sample_description_index,
                        duration: trex.default_sample_duration,
                        size: trex.default_sample_size,
                        flags: trex.default_sample_flags.get(),
                    };
                }
            }
            for track in &mut tracks {
                // The samples of the fragments are not counted in the header.
                track.public.sample_count = None;
                track.public.duration = None;
            }
        }
        Ok(Self { tracks })
    }
}

impl MovieTrack {
    fn parse(trak: &Mp4Box, mvhd: &MvhdBox, file_len: u64) -> Result<Self> {
        let tkhd: TkhdBox = trak.need(*b"tkhd")?.decode()?;
        let mdia = trak.need(*b"mdia")?;
        let mdhd: MdhdBox = mdia.need(*b"mdhd")?.decode()?;
        let hdlr: HdlrBox = mdia.need(*b"hdlr")?.decode()?;
        let minf = mdia.need(*b"minf")?;
        let stbl = minf.need(*b"stbl")?;

        let time_base = TimeBase::per_second(mdhd.timescale);
        let sound = hdlr.handler_type == *b"soun";
        let mut table = SampleTable::parse(&stbl, file_len)?;
        let entries = entry::sample_entries(&stbl.need(*b"stsd")?)?;
        let first = Cursor::default().advance(&table).ok().flatten();
        // The entry of the first sample describes the track.
        let main = first.and_then(|sample| entries.get(sample.description.checked_sub(1)? as usize));
        let main = main.or(entries.first()).ok_or_else(|| stbl.broken("has no sample entry"))?;

        let mut refusal = None;
        let edits = match trak.child(*b"edts")?.map(|edts| edts.child(*b"elst")).transpose()?.flatten() {
            Some(elst) => Edits::parse(&elst, TimeBase::per_second(mvhd.timescale), time_base)
                .unwrap_or_else(|e| {
                    refusal = Some(e);
                    Edits::none()
                }),
            None => Edits::none(),
        };
        if let Some(format) = entry::protection(main, entry_fields_len(hdlr.handler_type)) {
            let error = Error::unsupported(format);
            if hdlr.handler_type == *b"vide" {
                return Err(error);
            }
            refusal.get_or_insert(error);
        }
        if let Some(error) = external_data(&minf, main)? {
            refusal.get_or_insert(error);
        }
        let frame_len = if sound { pcm::frame_len(main) } else { None };
        if sound && table.fixed_size() == Some(1) {
            match frame_len {
                Some(size) => table.set_fixed_size(size),
                None => {
                    refusal = Some(Error::unsupported(format!(
                        "QuickTime sound {} with a sample table that counts single PCM frames",
                        FourCc(main.kind)
                    )));
                }
            }
        }
        if let Some(frame_len) = frame_len {
            table.set_pcm(PcmGroups::new(frame_len, &edits));
        }

        let mut video = if hdlr.handler_type == *b"vide" { entry::video(main)? } else { None };
        if let Some(video) = &mut video {
            video.matrix = matrix(&mvhd.matrix, &tkhd.matrix);
            video.frame_rate = frame_rate(&table, time_base);
        }
        let media_header = [b"vmhd", b"smhd", b"nmhd", b"sthd", b"hmhd", b"gmhd"];
        let copy = match video {
            Some(_) => None,
            None => Some(CopyDescription {
                handler: hdlr.handler_type,
                sample_entry: main.bytes.clone(),
                media_header: minf
                    .children(0)
                    .filter_map(Result::ok)
                    .find(|child| media_header.contains(&&child.kind))
                    .map(|child| child.bytes),
            }),
        };
        let language = mdhd.language.as_bytes();
        let public = Track {
            id: TrackId(tkhd.track_id),
            kind: match (&video, &hdlr.handler_type) {
                (Some(_), _) => TrackKind::Video,
                (None, b"soun") => TrackKind::Audio,
                (None, b"text" | b"subt" | b"sbtl" | b"clcp") => TrackKind::Subtitle,
                (None, _) => TrackKind::Other,
            },
            time_base,
            codec_name: match &video {
                Some(video) => video.codec.name().to_owned(),
                None => FourCc(main.kind).to_string(),
            },
            // QuickTime's own numbers (below 0x400) and its "unspecified" do not spell three letters.
            language: (language != *b"und" && language.iter().all(u8::is_ascii_lowercase))
                .then(|| language.iter().copied().map(char::from).collect()),
            duration: presented_duration(&table, &edits).map(|ticks| Timestamp::new(ticks, time_base)),
            // PCM frames are counted, but given out in groups.
            sample_count: frame_len.is_none().then_some(table.sample_count().into()),
            copy,
            video,
        };
        let descriptions = Descriptions::new(&entries, main, public.video.as_ref());
        let mut track = Self {
            public,
            table,
            edits,
            sound,
            defaults: FragmentDefaults::default(),
            descriptions,
            refusal,
        };
        if track.edits.segments().len() > 1 && track.refusal.is_none() {
            track.refusal = track.check_cuts();
        }
        Ok(track)
    }

    /// A track of which only the number is known.
    fn unreadable(trak: &Mp4Box, why: Error) -> Result<Self> {
        let tkhd: TkhdBox = trak.need(*b"tkhd")?.decode()?;
        Ok(Self {
            public: Track {
                id: TrackId(tkhd.track_id),
                kind: TrackKind::Other,
                time_base: TimeBase::NANOS,
                codec_name: "unreadable".to_owned(),
                language: None,
                duration: None,
                sample_count: None,
                video: None,
                copy: None,
            },
            table: SampleTable::empty(),
            edits: Edits::none(),
            sound: false,
            defaults: FragmentDefaults::default(),
            descriptions: Descriptions::none(),
            refusal: Some(why),
        })
    }

    /// Where several stretches of the media are presented, pictures can be dropped between them only if no
    /// stretch needs what was dropped: each has to begin with a sync sample and to be stored in one piece.
    fn check_cuts(&self) -> Option<Error> {
        if self.sound {
            return None;
        }
        let refuse = |number: u64| {
            Some(Error::Unsupported {
                feature: format!(
                    "edit list of track {}: it cuts inside a group of pictures at sample {number}",
                    self.public.id.0
                ),
                remedy: "re-encode the file with a player that applies its edits".to_owned(),
            })
        };
        let segments = self.edits.segments();
        let mut current = 0;
        let mut cursor = Cursor::default();
        while let Ok(Some(sample)) = cursor.advance(&self.table) {
            let Some(home) = segments.iter().position(|s| (s.start..s.end).contains(&sample.cts)) else {
                continue;
            };
            if home < current || (home > current && !sample.sync) {
                return refuse(sample.number);
            }
            current = home;
        }
        None
    }
}

/// The end of the last presented stretch.
fn presented_duration(table: &SampleTable, edits: &Edits) -> Option<i64> {
    let last = edits.segments().last()?;
    // The sum of the sample durations counts from the first decoding time, an edit from the first composition
    // time: with reordering they do not end together, and the edit is right.
    let end = if last.end == i64::MAX { i64::try_from(table.media_duration()).ok()? } else { last.end };
    Some(end.saturating_add(last.shift)).filter(|end| *end > 0)
}

fn handler(trak: &Mp4Box) -> Option<[u8; 4]> {
    let hdlr = trak.child(*b"mdia").ok()??.child(*b"hdlr").ok()??;
    hdlr.payload.get(8..12)?.try_into().ok()
}

/// Bytes between the header of a sample entry and its child boxes, by handler (clauses 8.5.2, 12.1, 12.2).
fn entry_fields_len(handler: [u8; 4]) -> usize {
    match &handler {
        b"vide" => entry::VISUAL_FIELDS_LEN,
        b"soun" => 28,
        _ => 8,
    }
}

/// Samples in another file (clause 8.7.2): refused.
fn external_data(minf: &Mp4Box, entry: &Mp4Box) -> Result<Option<Error>> {
    let Some(dref) = minf.child(*b"dinf")?.map(|dinf| dinf.child(*b"dref")).transpose()?.flatten() else {
        return Ok(None);
    };
    let index = be_u16(&entry.payload, 6).unwrap_or(1).max(1);
    let Some(reference) = dref.children(8).nth(usize::from(index) - 1).transpose()? else { return Ok(None) };
    let (_, flags) = reference.version_flags()?;
    Ok((flags & 1 == 0).then(|| {
        Error::unsupported(format!(
            "samples in another file (data reference {} at offset {})",
            FourCc(reference.kind),
            reference.offset
        ))
    }))
}

/// The matrix of the track after that of the movie (clause 8.3.2), `None` for the identity. Each is
/// `a b u c d v x y w` with `u v w` in 2.30 and the others in 16.16 fixed point.
fn matrix(movie: &[i32; 9], track: &[i32; 9]) -> Option<[i32; 9]> {
    const IDENTITY: [i32; 9] = MvhdBox::DEFAULT_MATRIX;
    if *movie == IDENTITY || *movie == [0; 9] {
        return (*track != IDENTITY && *track != [0; 9]).then_some(*track);
    }
    let mut product = [0; 9];
    for row in 0..3 {
        for column in 0..3 {
            let sum: i64 = [(0, 16), (1, 16), (2, 30)]
                .iter()
                .map(|&(k, shift)| {
                    (i64::from(track[row * 3 + k]) * i64::from(movie[k * 3 + column])) >> shift
                })
                .sum();
            product[row * 3 + column] = sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        }
    }
    (product != IDENTITY).then_some(product)
}

/// Samples per second over the whole track.
fn frame_rate(table: &SampleTable, time_base: TimeBase) -> Option<Rational> {
    let count = u64::from(table.sample_count());
    let scale = u64::from(time_base.seconds_per_tick().den());
    let (mut a, mut b) = (count.checked_mul(scale)?, table.media_duration());
    let (num, den) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    if a == 0 {
        return None;
    }
    Rational::new(u32::try_from(num / a).ok()?, u32::try_from(den / a).ok()?)
}
