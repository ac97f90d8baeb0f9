//! The movie header (`moov`): its tracks and how each is to be read.

use std::collections::HashMap;

use shiguredo_mp4::boxes::{MdhdBox, MvhdBox, TkhdBox, TrexBox};

use super::aspect;
use super::boxes::{FourCc, Mp4Box, be_u16, be_u32};
use super::descriptions::Descriptions;
use super::edits::{Edits, Extent, Presented};
use super::entry;
use super::pcm::{self, PcmGroups};
use super::schedule::Part;
use super::tables::{Cursor, Entry, SampleTable};
use crate::bitstream::StreamInfo;
use crate::container::{CopyDescription, Track, TrackId, TrackKind, VideoTrack};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::time::{Rational, TimeBase, Timestamp};

/// Pictures per second above which a rate is not believed: the fastest cameras of films that play.
const FASTEST: f64 = 10_000.0;

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
    /// Where each track number is in `tracks`.
    pub(super) by_id: HashMap<u32, usize>,
    /// There may be fragments behind it.
    pub(super) fragmented: bool,
    /// Tracks that players leave out.
    pub(super) disabled: Vec<TrackId>,
    /// What the user should know of how the tracks are read.
    pub(super) notes: Vec<String>,
}

pub(super) struct MovieTrack {
    pub(super) public: Track,
    pub(super) table: SampleTable,
    pub(super) edits: Edits,
    /// How the edits are played; empty until the track is read.
    pub(super) parts: Vec<Part>,
    pub(super) sound: bool,
    /// Players leave it out unless a viewer chooses it.
    disabled: bool,
    /// Ticks of the media per second.
    pub(super) timescale: u32,
    /// There may be samples in fragments.
    fragmented: bool,
    /// Defaults out of `mvex`.
    pub(super) defaults: FragmentDefaults,
    pub(super) descriptions: Descriptions,
    /// Why the samples of this track cannot be read, though the rest of the file can.
    pub(super) refusal: Option<Error>,
}

impl Movie {
    pub(super) fn parse(moov: &Mp4Box, file_len: u64, limits: &Limits) -> Result<Self> {
        if moov.child(*b"cmov")?.is_some() {
            return Err(Error::unsupported("compressed QuickTime movie header (cmov)"));
        }
        let mvhd: MvhdBox = moov.need(*b"mvhd")?.decode()?;
        let mut tracks: Vec<MovieTrack> = Vec::new();
        let (mut by_id, mut notes) = (HashMap::new(), Vec::new());
        for child in moov.children(0) {
            let trak = child?;
            if trak.kind != *b"trak" {
                continue;
            }
            let count = tracks.len() as u64 + 1;
            if count > limits.tracks {
                limits.check(Limit::Tracks, count, format!("the track at offset {}", trak.offset))?;
            }
            let track = match MovieTrack::parse(&trak, &mvhd, file_len, limits, &mut notes) {
                Ok(track) => track,
                // The file as a whole asks for too much.
                Err(error @ (Error::LimitExceeded { .. } | Error::Io { .. })) => return Err(error),
                // One broken track that is not video does not take the others with it.
                Err(e) if handler(&trak).is_some_and(|handler| handler != *b"vide") => {
                    MovieTrack::unreadable(&trak, e)?
                }
                Err(e) => return Err(e),
            };
            if by_id.insert(track.public.id.0, tracks.len()).is_some() {
                return Err(trak.broken(&format!("repeats track id {}", track.public.id.0)));
            }
            tracks.push(track);
        }
        if tracks.is_empty() {
            return Err(moov.broken("has no tracks"));
        }
        let mvex = moov.child(*b"mvex")?;
        let fragmented = mvex.is_some();
        if let Some(mvex) = mvex {
            for child in mvex.children(0) {
                let child = child?;
                if child.kind != *b"trex" {
                    continue;
                }
                let trex: TrexBox = child.decode()?;
                let known = by_id.get(&trex.track_id).and_then(|at| tracks.get_mut(*at));
                if let Some(track) = known {
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
                track.fragmented = true;
                if !track.edits.is_ordered() {
                    track.refusal.get_or_insert(Error::Unsupported {
                        feature: "an edit list that repeats, reorders or changes speed, in a fragmented file".to_owned(),
                        remedy: "write the file without fragments first, for instance with ffmpeg -i IN -c copy OUT.mp4".into(),
                    });
                }
            }
        }
        let pictures = |track: &&MovieTrack| track.disabled && track.public.video.is_some();
        let told = |track: &MovieTrack| {
            format!("track {} is marked as disabled: players leave it out", track.public.id.0)
        };
        notes.extend(tracks.iter().filter(pictures).map(told));
        let disabled = tracks.iter().filter(|track| track.disabled).map(|track| track.public.id).collect();
        Ok(Self { tracks, by_id, fragmented, disabled, notes })
    }
}

impl MovieTrack {
    fn parse(
        trak: &Mp4Box,
        mvhd: &MvhdBox,
        file_len: u64,
        limits: &Limits,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let tkhd_box = trak.need(*b"tkhd")?;
        let tkhd: TkhdBox = tkhd_box.decode()?;
        let mdia = trak.need(*b"mdia")?;
        let mdhd: MdhdBox = mdia.need(*b"mdhd")?.decode()?;
        let hdlr = mdia.need(*b"hdlr")?;
        let handler = handler_type(&hdlr).ok_or_else(|| hdlr.broken("is too short"))?;
        let minf = mdia.need(*b"minf")?;
        let stbl = minf.need(*b"stbl")?;

        let timescale = mdhd.timescale.get();
        let media_base = TimeBase::per_second(mdhd.timescale);
        let sound = handler == *b"soun";
        let mut table = SampleTable::parse(&stbl, file_len)?;
        let pictures = handler == *b"vide";
        if table.is_timeless() && (pictures || mdhd.duration > 0) {
            let delta = even_duration(mdhd.duration, table.sample_count(), timescale);
            table.set_duration(delta);
            notes.push(format!(
                "track {}: the file gives all {} samples the same time (stts); each is shown for {delta}/{timescale} s instead",
                tkhd.track_id,
                table.sample_count()
            ));
        }
        let last_duration = if pictures { table.complete_last_duration() } else { None };
        let entries = entry::sample_entries(&stbl.need(*b"stsd")?)?;
        let first = Cursor::default().advance(&table).ok().flatten();
        // The entry of the first sample describes the track.
        let main = first.and_then(|sample| entries.get(sample.description.checked_sub(1)? as usize));
        let main = main.or(entries.first()).ok_or_else(|| stbl.broken("has no sample entry"))?;

        let mut refusal = None;
        let movie_base = TimeBase::per_second(mvhd.timescale);
        let mut edits = match trak.child(*b"edts")?.map(|edts| edts.child(*b"elst")).transpose()?.flatten() {
            Some(elst) => match Edits::parse(&elst, movie_base, timescale, limits) {
                Ok(edits) => edits,
                Err(error @ (Error::LimitExceeded { .. } | Error::Io { .. })) => return Err(error),
                Err(error) => {
                    refusal = Some(error);
                    Edits::none()
                }
            },
            None => Edits::none(),
        };
        if let Some(duration) = last_duration {
            let slack = Timestamp::new(1, movie_base).rescale(media_base).ticks();
            edits.show_last(table.latest_composition_time(), duration, slack);
        }
        let time_base = TimeBase::new(1, timescale.saturating_mul(edits.factor())).unwrap_or(media_base);
        if let Some(format) = entry::protection(main, entry_fields_len(handler)) {
            let error = Error::unsupported(format);
            if pictures {
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
            table.set_pcm(PcmGroups::new(frame_len, &edits).map_err(|_| stbl.no_memory())?);
        }

        let mut video = if pictures { entry::video(main)? } else { None };
        if let Some(video) = &mut video {
            video.matrix = matrix(&mvhd.matrix, &tkhd.matrix);
            video.frame_rate = frame_rate(&table, media_base);
            if video.sample_aspect_ratio.is_none() {
                video.sample_aspect_ratio = display_aspect(&tkhd_box, video);
            }
        }
        let media_header = [b"vmhd", b"smhd", b"nmhd", b"sthd", b"hmhd", b"gmhd"];
        let copy = match video {
            Some(_) => None,
            None => Some(CopyDescription {
                handler,
                sample_entry: main.bytes.clone(),
                media_header: minf
                    .children(0)
                    .filter_map(Result::ok)
                    .find(|child| media_header.contains(&&child.kind))
                    .map(|child| child.bytes),
                matroska: None,
            }),
        };
        let language = mdhd.language.as_bytes();
        let public = Track {
            id: TrackId(tkhd.track_id),
            kind: match (&video, &handler) {
                (Some(_), _) => TrackKind::Video,
                (None, b"soun") => TrackKind::Audio,
                (None, b"text" | b"subt" | b"sbtl" | b"clcp") => TrackKind::Subtitle,
                (None, _) => TrackKind::Other,
            },
            time_base,
            codec_name: match &video {
                Some(video) => video.codec.name().to_owned(),
                None => name_of_entry(main.kind),
            },
            // QuickTime's own numbers (below 0x400) and its "unspecified" do not spell three letters.
            language: (language != *b"und" && language.iter().all(u8::is_ascii_lowercase))
                .then(|| language.iter().copied().map(char::from).collect()),
            duration: presented_duration(&table, &edits).map(|ticks| Timestamp::new(ticks, time_base)),
            // PCM frames are counted, but given out in groups.
            sample_count: (frame_len.is_none() && edits.is_ordered()).then_some(table.sample_count().into()),
            copy,
            video,
        };
        let descriptions = Descriptions::new(&entries, main, public.video.as_ref());
        Ok(Self {
            public,
            table,
            edits,
            parts: Vec::new(),
            sound,
            disabled: !tkhd.flag_track_enabled,
            timescale,
            fragmented: false,
            defaults: FragmentDefaults::default(),
            descriptions,
            refusal,
        })
    }

    /// Whether its samples are given out once and in storage order; else its edits are played one by one.
    pub(super) fn follows_media(&self) -> bool {
        self.edits.is_ordered() && (self.sound || self.fragmented || self.edits.segments().len() == 1)
    }

    /// The times of a sample that segment `at` presents.
    pub(super) fn present(&self, entry: &Entry, at: usize, dts_shift: i64) -> Presented {
        let extent = self.parts.get(at).map_or(Extent::UNKNOWN, |part| part.extent);
        self.edits.present(at, &extent, entry, dts_shift, self.sound)
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
            parts: Vec::new(),
            sound: false,
            disabled: false,
            timescale: 1,
            fragmented: false,
            defaults: FragmentDefaults::default(),
            descriptions: Descriptions::none(),
            refusal: Some(why),
        })
    }
}

/// When the presentation of the track ends, in ticks of the presentation.
fn presented_duration(table: &SampleTable, edits: &Edits) -> Option<i64> {
    // The sum of the sample durations counts from the first decoding time, an edit from the first composition
    // time: with reordering they do not end together, and the edit is right.
    let media = || i64::try_from(table.media_duration()).ok();
    let last = edits.segments().len().saturating_sub(1);
    let end = edits.presentation_end().or_else(|| media().map(|end| edits.pts(last, end)))?;
    Some(end).filter(|end| *end > 0)
}

fn handler(trak: &Mp4Box) -> Option<[u8; 4]> {
    handler_type(&trak.child(*b"mdia").ok()??.child(*b"hdlr").ok()??)
}

fn handler_type(hdlr: &Mp4Box) -> Option<[u8; 4]> {
    hdlr.payload.get(8..12)?.try_into().ok()
}

/// Shape of the samples by the size on screen that `tkhd` states.
fn display_aspect(tkhd: &Mp4Box, video: &VideoTrack) -> Option<Rational> {
    // Clause 8.3.2: width and height end the box, whose times are 64-bit in version 1.
    let at = if tkhd.version_flags().ok()?.0 == 1 { 88 } else { 76 };
    let sides = (be_u32(&tkhd.payload, at)?, be_u32(&tkhd.payload, at + 4)?);
    let config = video.codec_config.as_deref();
    let info = config.and_then(|config| StreamInfo::from_config(video.codec, config).ok().flatten());
    let turned = video.matrix.is_some_and(|m| m[0] == 0 && m[4] == 0);
    aspect::from_display(sides, video.dimensions, info.and_then(|info| info.sample_aspect_ratio), turned)
}

/// How long each sample lasts in a track whose table says that none lasts any time: as long as makes up the duration of
/// the media, else a 25th of a second.
fn even_duration(media: u64, count: u32, timescale: u32) -> u32 {
    let even = media / u64::from(count.max(1));
    u32::try_from(even).ok().filter(|even| *even > 0).unwrap_or((timescale / 25).max(1))
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
    // The duration of a single picture is no rate.
    if count < 2 {
        return None;
    }
    let scale = u64::from(time_base.seconds_per_tick().den());
    let (mut a, mut b) = (count.checked_mul(scale)?, table.media_duration());
    let (num, den) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    if a == 0 {
        return None;
    }
    let rate = Rational::new(u32::try_from(num / a).ok()?, u32::try_from(den / a).ok()?)?;
    // Faster is no rate that pictures were made for, but a clock whose ticks were counted.
    Some(rate).filter(|rate| rate.as_f64() <= FASTEST)
}

/// What a sample entry of a codec that is not read here is called: by name where one is known, else its four characters.
fn name_of_entry(kind: [u8; 4]) -> String {
    let name = match &kind {
        b"apco" => "Apple ProRes 422 Proxy",
        b"apcs" => "Apple ProRes 422 LT",
        b"apcn" => "Apple ProRes 422",
        b"apch" => "Apple ProRes 422 HQ",
        b"ap4h" => "Apple ProRes 4444",
        b"ap4x" => "Apple ProRes 4444 XQ",
        b"aprn" | b"aprh" => "Apple ProRes RAW",
        b"AVdn" => "Avid DNxHD",
        b"AVdh" => "Avid DNxHR",
        b"CFHD" => "GoPro CineForm",
        _ => return FourCc(kind).to_string(),
    };
    format!("{name} ({})", FourCc(kind))
}
