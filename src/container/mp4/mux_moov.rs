//! Writing the movie header (`moov`, ISO/IEC 14496-12 clause 8.2).

use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{
    Brand, DinfBox, ElstBox, ElstEntry, FtypBox, HdlrBox, MdhdBox, MvhdBox, NmhdBox, SmhdBox, SthdBox,
    TkhdBox, VisualSampleEntryFields, VmhdBox,
};
use shiguredo_mp4::{Encode, FixedPointNumber, LanguageCode, Mp4FileTime};

use super::mux_boxes::Boxes;
use super::mux_edits::{Placement, movie_timescale, place, to_movie};
use super::mux_track::{MuxTrack, Sizes};
use super::payload::Payload;
use crate::color::{ColorInfo, ColorRange};
use crate::container::{CopyDescription, FileMetadata, TrackId, VideoTrack};
use crate::error::{Error, Result};
use crate::memory;

/// The `ftyp` box.
pub(super) fn file_type(quicktime: bool) -> Result<Vec<u8>> {
    let mut compatible_brands = vec![Brand::ISOM, Brand::ISO2, Brand::ISO4, Brand::MP41];
    if quicktime {
        compatible_brands.push(Brand::new(*b"qt  "));
    }
    encode(&FtypBox { major_brand: Brand::ISOM, minor_version: 512, compatible_brands })
}

/// The `ftyp` box of a fragmented file (clause 8.8, with signed composition offsets and `default-base-is-moof`).
pub(super) fn fragmented_file_type(quicktime: bool) -> Result<Vec<u8>> {
    let [iso5, iso6] = [Brand::new(*b"iso5"), Brand::new(*b"iso6")];
    let mut compatible_brands = vec![iso5, iso6, Brand::MP41];
    if quicktime {
        compatible_brands.push(Brand::new(*b"qt  "));
    }
    encode(&FtypBox { major_brand: iso5, minor_version: 512, compatible_brands })
}

fn encode(value: &impl Encode) -> Result<Vec<u8>> {
    value.encode_to_vec().map_err(|e| Error::invalid(format!("a box cannot be written: {}", e.reason)))
}

/// Everything but the place of the media data.
pub(super) struct Header<'a> {
    tracks: Vec<(&'a MuxTrack, Placement)>,
    metadata: &'a FileMetadata,
    timescale: u32,
    /// The samples are in fragments behind the header.
    fragmented: bool,
}

impl<'a> Header<'a> {
    /// Tracks without a sample to present are left out.
    pub(super) fn new(tracks: &'a [MuxTrack], metadata: &'a FileMetadata) -> Result<Self> {
        let mut placed = Vec::new();
        for track in tracks {
            if let Some(placement) = place(&track.times, track.public.id.0)? {
                placed.push((track, placement));
            }
        }
        if placed.is_empty() {
            return Err(Error::invalid("nothing to write: no track has a sample to present"));
        }
        let timescale = movie_timescale(&placed)?;
        Ok(Self { tracks: placed, metadata, timescale, fragmented: false })
    }

    /// The header in front of fragments: tracks, and the media time of the start of their presentation.
    pub(super) fn fragmented(
        tracks: impl Iterator<Item = (&'a MuxTrack, u64)>,
        metadata: &'a FileMetadata,
    ) -> Result<Self> {
        let place = |media_time| Placement { delay: 0, media_time, length: 0, cut: false, raise: 0 };
        let tracks: Vec<_> = tracks.map(|(track, media_time)| (track, place(media_time))).collect();
        if tracks.is_empty() {
            return Err(Error::invalid("nothing to write: no track has a sample to present"));
        }
        let timescale = movie_timescale(&tracks)?;
        Ok(Self { tracks, metadata, timescale, fragmented: true })
    }

    /// The header for a file whose media data, which ends at `data_end` now, is moved back to make room for
    /// it.
    pub(super) fn build_in_front(&self, data_end: u64) -> Result<Vec<u8>> {
        // Offsets of 64 bits make the header longer, which can make offsets need 64 bits.
        let mut shift = self.build(0, data_end)?.len() as u64;
        loop {
            let moov = self.build(shift, data_end + shift)?;
            if moov.len() as u64 == shift {
                return Ok(moov);
            }
            shift = moov.len() as u64;
        }
    }

    /// The header for media data that lies `shift` bytes behind where it was written and ends at `data_end`.
    pub(super) fn build(&self, shift: u64, data_end: u64) -> Result<Vec<u8>> {
        let mut out = Boxes::new();
        let durations = self.tracks.iter().map(|(track, placement)| self.duration(track, placement));
        let mvhd = MvhdBox {
            creation_time: Mp4FileTime::from_secs(self.metadata.creation_time.unwrap_or(0)),
            modification_time: Mp4FileTime::from_secs(0),
            timescale: nonzero(self.timescale),
            duration: durations.max().unwrap_or(0),
            rate: MvhdBox::DEFAULT_RATE,
            volume: MvhdBox::DEFAULT_VOLUME,
            matrix: MvhdBox::DEFAULT_MATRIX,
            next_track_id: self.tracks.iter().map(|(track, _)| track.public.id.0).max().unwrap_or(0) + 1,
        };
        let mvhd = encode(&mvhd)?;
        out.within(*b"moov", |out| {
            out.bytes(&mvhd);
            for (track, placement) in &self.tracks {
                out.within(*b"trak", |out| self.trak(out, track, placement, shift, data_end))?;
            }
            if self.fragmented {
                out.within(*b"mvex", |out| {
                    for (track, _) in &self.tracks {
                        // Each fragment states its own defaults.
                        out.within(*b"trex", |out| out.words(&[0, track.public.id.0, 1, 0, 0, 0]))?;
                    }
                    Ok(())
                })?;
            }
            self.metadata.boxes.iter().for_each(|whole| out.bytes(whole));
            Ok(())
        })?;
        Ok(out.into_bytes())
    }

    /// Of a track in the presentation, in ticks of the movie.
    fn duration(&self, track: &MuxTrack, placement: &Placement) -> u64 {
        let convert = |ticks, cut| to_movie(ticks, track.timescale, self.timescale, cut);
        convert(placement.delay, false).saturating_add(convert(placement.length, placement.cut))
    }

    fn trak(
        &self,
        out: &mut Boxes,
        track: &MuxTrack,
        placement: &Placement,
        shift: u64,
        data_end: u64,
    ) -> Result<()> {
        let video = track.public.video.as_ref();
        let copy = track.public.copy.as_ref();
        let handler = match (video, copy) {
            (None, Some(copy)) => copy.handler,
            _ => *b"vide",
        };
        let (width, height) = presentation_size(video, copy);
        let (alternate_group, enabled) = self.choice(track, handler);
        let told = self.metadata.track(track.public.id);
        // What is copied is played when it was played before.
        let enabled = told.filter(|_| copy.is_some()).map_or(enabled, |told| told.enabled);
        let tkhd = TkhdBox {
            flag_track_enabled: enabled,
            flag_track_in_movie: true,
            flag_track_in_preview: false,
            flag_track_size_is_aspect_ratio: false,
            creation_time: Mp4FileTime::from_secs(0),
            modification_time: Mp4FileTime::from_secs(0),
            track_id: track.public.id.0,
            duration: self.duration(track, placement),
            layer: TkhdBox::DEFAULT_LAYER,
            alternate_group,
            volume: if handler == *b"soun" {
                TkhdBox::DEFAULT_AUDIO_VOLUME
            } else {
                TkhdBox::DEFAULT_VIDEO_VOLUME
            },
            matrix: video.and_then(|video| video.matrix).unwrap_or(TkhdBox::DEFAULT_MATRIX),
            width,
            height,
        };
        out.bytes(&encode(&tkhd)?);
        if let Some(elst) = self.edit_list(track, placement) {
            let elst = encode(&elst)?;
            out.within(*b"edts", |out| {
                out.bytes(&elst);
                Ok(())
            })?;
        }
        self.references(out, track)?;
        out.within(*b"mdia", |out| {
            let language = track.public.language.as_deref().and_then(LanguageCode::from_ascii);
            let media: u64 =
                track.deltas.0.iter().map(|&(count, delta)| u64::from(count) * u64::from(delta)).sum();
            out.bytes(&encode(&MdhdBox {
                creation_time: Mp4FileTime::from_secs(0),
                modification_time: Mp4FileTime::from_secs(0),
                timescale: nonzero(track.timescale),
                duration: if self.fragmented { 0 } else { media + u64::from(track.last_duration()) },
                language: language.unwrap_or_default(),
            })?);
            let name: &[u8] = match &handler {
                b"vide" => b"VideoHandler\0",
                b"soun" => b"SoundHandler\0",
                _ => b"\0",
            };
            let own = told.map(|told| told.name.as_slice()).filter(|name| !name.is_empty());
            let name = own.map_or_else(|| name.to_vec(), |own| [own, b"\0"].concat());
            out.bytes(&encode(&HdlrBox { handler_type: handler, name })?);
            out.within(*b"minf", |out| {
                out.bytes(&media_header(handler, copy)?);
                out.bytes(&encode(&DinfBox::LOCAL_FILE)?);
                out.within(*b"stbl", |out| {
                    let entry = sample_entry(track)?;
                    out.table(*b"stsd", 0, [entry].iter(), |out, entry| out.extend_from_slice(entry))?;
                    if self.fragmented {
                        return empty_tables(out);
                    }
                    sample_tables(out, track, placement, shift, data_end)
                })
            })
        })?;
        told.into_iter().flat_map(|told| &told.boxes).for_each(|whole| out.bytes(whole));
        Ok(())
    }

    /// The tracks that this one refers to, of those that are written.
    fn references(&self, out: &mut Boxes, track: &MuxTrack) -> Result<()> {
        let written = |id: &TrackId| self.tracks.iter().any(|(other, _)| other.public.id == *id);
        let references = self.metadata.track(track.public.id).map_or(&[][..], |told| &told.references);
        let references: Vec<_> = references
            .iter()
            .map(|(kind, to)| (*kind, to.iter().filter(|id| written(id)).map(|id| id.0).collect::<Vec<_>>()))
            .filter(|(_, to)| !to.is_empty())
            .collect();
        if references.is_empty() {
            return Ok(());
        }
        out.within(*b"tref", |out| {
            references.iter().try_for_each(|(kind, to)| out.within(*kind, |out| out.words(to)))
        })
    }

    /// Alternate group of a track, and whether it is the one of them to be played unless a viewer chooses:
    /// several sound tracks, or several of text, are languages or versions of each other and not a choir.
    fn choice(&self, track: &MuxTrack, handler: [u8; 4]) -> (i16, bool) {
        let group = match &handler {
            b"soun" => 1,
            b"text" | b"subt" | b"sbtl" | b"clcp" => 2,
            // Looked up, never played.
            b"tmcd" => return (TkhdBox::DEFAULT_ALTERNATE_GROUP, false),
            _ => return (TkhdBox::DEFAULT_ALTERNATE_GROUP, true),
        };
        let same = |other: &&MuxTrack| other.public.copy.as_ref().is_some_and(|copy| copy.handler == handler);
        let mut alternatives = self.tracks.iter().map(|(track, _)| *track).filter(same);
        let first = alternatives.next().is_none_or(|first| first.public.id == track.public.id);
        let alone = first && alternatives.next().is_none();
        (if alone { TkhdBox::DEFAULT_ALTERNATE_GROUP } else { group }, first)
    }

    fn edit_list(&self, track: &MuxTrack, placement: &Placement) -> Option<ElstBox> {
        if placement.delay == 0 && placement.media_time == 0 && !placement.cut {
            return None;
        }
        let movie = |ticks, cut| to_movie(ticks, track.timescale, self.timescale, cut);
        let media_rate = FixedPointNumber::new(1, 0);
        let mut entries = Vec::new();
        if placement.delay > 0 {
            entries.push(ElstEntry {
                edit_duration: movie(placement.delay, false),
                media_time: -1,
                media_rate,
            });
        }
        entries.push(ElstEntry {
            edit_duration: movie(placement.length, placement.cut),
            media_time: i64::try_from(placement.media_time).unwrap_or(i64::MAX),
            media_rate,
        });
        Some(ElstBox { entries })
    }
}

fn nonzero(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
}

/// Size on screen, in 16.16 fixed point: pictures with other than square samples are stretched in width.
fn presentation_size(
    video: Option<&VideoTrack>,
    copy: Option<&CopyDescription>,
) -> (FixedPointNumber<i16, u16>, FixedPointNumber<i16, u16>) {
    let side = |fixed: u64| {
        let fixed = u32::try_from(fixed).unwrap_or(u32::MAX);
        FixedPointNumber::new((fixed >> 16) as i16, fixed as u16)
    };
    if let Some(video) = video {
        let (num, den) = video.sample_aspect_ratio.map_or((1, 1), |ratio| (ratio.num(), ratio.den()));
        let width = (u128::from(video.dimensions.width()) << 16) * u128::from(num) / u128::from(den);
        return (
            side(u64::try_from(width).unwrap_or(u64::MAX)),
            side(u64::from(video.dimensions.height()) << 16),
        );
    }
    // A visual sample entry that is not understood still says how large it is.
    let stated = copy.filter(|copy| copy.handler == *b"vide").and_then(|copy| {
        let field = |at: usize| {
            let bytes = copy.sample_entry.get(at..at + 2)?.try_into().ok()?;
            Some(u64::from(u16::from_be_bytes(bytes)) << 16)
        };
        Some((field(32)?, field(34)?))
    });
    let (width, height) = stated.unwrap_or((0, 0));
    (side(width), side(height))
}

fn media_header(handler: [u8; 4], copy: Option<&CopyDescription>) -> Result<Vec<u8>> {
    if let Some(header) = copy.and_then(|copy| copy.media_header.as_ref()) {
        return Ok(header.to_vec());
    }
    match &handler {
        b"vide" => encode(&VmhdBox::default()),
        b"soun" => encode(&SmhdBox::default()),
        b"subt" => encode(&SthdBox),
        _ => encode(&NmhdBox),
    }
}

/// The tables that must be there although all samples are in fragments.
fn empty_tables(out: &mut Boxes) -> Result<()> {
    for kind in [b"stts", b"stsc", b"stco"] {
        out.within(*kind, |out| out.words(&[0, 0]))?;
    }
    out.within(*b"stsz", |out| out.words(&[0, 0, 0]))
}

fn sample_tables(
    out: &mut Boxes,
    track: &MuxTrack,
    placement: &Placement,
    shift: u64,
    data_end: u64,
) -> Result<()> {
    let last = track.last_duration();
    let mut deltas: Vec<(u32, u32)> = memory::room(track.deltas.0.len() + 1)?;
    deltas.extend(&track.deltas.0);
    match deltas.last_mut() {
        Some((count, delta)) if *delta == last && *count < u32::MAX => *count += 1,
        _ => deltas.push((1, last)),
    }
    let pair = |out: &mut Vec<u8>, count: u32, value: u32| {
        out.extend(count.to_be_bytes());
        out.extend(value.to_be_bytes());
    };
    out.table(*b"stts", 0, deltas.iter(), |out, &(count, delta)| pair(out, count, delta))?;
    if !track.all_sync {
        out.table(*b"stss", 0, track.sync.iter(), |out, number| out.extend(number.to_be_bytes()))?;
    }
    let offsets = &track.offsets.0;
    let raised = |offset: i64| {
        i32::try_from(offset.saturating_add(placement.raise)).map_err(|_| {
            Error::invalid(format!(
                "track {}: decoding starts too long after presentation",
                track.public.id.0
            ))
        })
    };
    let mut composition = memory::room(offsets.len())?;
    for &(count, offset) in offsets {
        composition.push((count, raised(offset)?));
    }
    if composition.iter().any(|&(_, offset)| offset != 0) {
        let version = u8::from(composition.iter().any(|&(_, offset)| offset < 0));
        out.table(*b"ctts", version, composition.iter(), |out, &(count, offset)| {
            pair(out, count, offset as u32);
        })?;
    }

    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (index, chunk) in track.chunks.iter().enumerate() {
        if runs.last().is_none_or(|&(_, samples)| samples != chunk.samples) {
            runs.push((index as u32 + 1, chunk.samples));
        }
    }
    out.table(*b"stsc", 0, runs.iter(), |out, &(first, samples)| {
        pair(out, first, samples);
        out.extend(1_u32.to_be_bytes());
    })?;
    out.within(*b"stsz", |out| match &track.sizes {
        // A size of zero means "each has its own"; empty samples all around are written out.
        Sizes::Equal { size, count } if *size > 0 => out.words(&[0, *size, *count]),
        Sizes::Equal { count, .. } => {
            out.words(&[0, 0, *count])?;
            out.bytes(&memory::filled(0, *count as usize * 4)?);
            Ok(())
        }
        Sizes::Each(sizes) => {
            out.words(&[0, 0, sizes.len() as u32])?;
            out.words(sizes)
        }
    })?;
    if data_end > u64::from(u32::MAX) {
        out.table(*b"co64", 0, track.chunks.iter(), |out, chunk| {
            out.extend((chunk.offset + shift).to_be_bytes());
        })
    } else {
        out.table(*b"stco", 0, track.chunks.iter(), |out, chunk| {
            out.extend(((chunk.offset + shift) as u32).to_be_bytes());
        })
    }
}

fn sample_entry(track: &MuxTrack) -> Result<Vec<u8>> {
    match (&track.public.video, &track.payload, &track.public.copy) {
        (Some(video), Some(payload), _) => visual_entry(video, payload),
        (_, _, Some(copy)) => copied_entry(copy),
        _ => Err(Error::invalid(format!("track {} has no description", track.public.id.0))),
    }
}

/// A sample entry as it was, but for the index of its data reference: here there is one, this file.
fn copied_entry(copy: &CopyDescription) -> Result<Vec<u8>> {
    let mut entry = copy.sample_entry.to_vec();
    let len = entry.len();
    let whole = entry.get(..4).is_some_and(|size| *size == (len as u32).to_be_bytes());
    match entry.get_mut(14..16) {
        Some(index) if whole => index.copy_from_slice(&[0, 1]),
        _ => return Err(Error::invalid(format!("a sample entry of {len} bytes is no box of that size"))),
    }
    Ok(entry)
}

fn visual_entry(video: &VideoTrack, payload: &Payload) -> Result<Vec<u8>> {
    let description = payload.describe()?;
    let fields = encode(&VisualSampleEntryFields {
        data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        width: video.dimensions.width() as u16,
        height: video.dimensions.height() as u16,
        horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
        vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
        frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
        compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
        depth: VisualSampleEntryFields::DEFAULT_DEPTH,
    })?;
    let mut out = Boxes::new();
    out.within(description.entry, |out| {
        out.bytes(&fields);
        out.within(description.config_box, |out| {
            out.bytes(&description.config);
            Ok(())
        })?;
        if video.color != ColorInfo::UNSPECIFIED {
            out.within(*b"colr", |out| {
                let ColorInfo { primaries, transfer, matrix, range } = video.color;
                out.bytes(b"nclx");
                for code in [primaries.code(), transfer.code(), matrix.code()] {
                    out.bytes(&u16::from(code).to_be_bytes());
                }
                out.bytes(&[if range == Some(ColorRange::Full) { 0x80 } else { 0 }]);
                Ok(())
            })?;
        }
        if let Some(ratio) = video.sample_aspect_ratio {
            out.within(*b"pasp", |out| {
                out.bytes(&ratio.num().to_be_bytes());
                out.bytes(&ratio.den().to_be_bytes());
                Ok(())
            })?;
        }
        if let Some(display) = video.hdr.mastering_display {
            out.within(*b"mdcv", |out| {
                // The box is the message of H.264 and HEVC, whatever the codec.
                out.bytes(&display.sei_payload());
                Ok(())
            })?;
        }
        if let Some(light) = video.hdr.content_light {
            out.within(*b"clli", |out| {
                out.bytes(&light.sei_payload());
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(out.into_bytes())
}
