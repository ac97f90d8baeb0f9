//! What the movie header says beside the tracks' samples (ISO/IEC 14496-12 clauses 8.3.3 and 8.10, QuickTime's user data).
//!
//! Boxes are carried as they are: what a tag means is for its readers. Only what refers to places in the file is left behind,
//! since those change.

use bytes::Bytes;
use shiguredo_mp4::boxes::{MvhdBox, TkhdBox};

use super::boxes::{Mp4Box, be_u32};
use super::mux_boxes::Boxes;
use crate::container::{FileMetadata, MetadataKind, TrackId, TrackMetadata};

/// Boxes of user data that describe how the file is laid out or transmitted.
const OF_THE_FILE: [&[u8; 4]; 2] = [b"hnti", b"hinf"];

/// Tracks that one reference of a track may name; files name one or two, and each costs a search.
const MAX_REFERENCES: usize = 64;

/// QuickTime's names of keys that are no mere tags.
const LOCATION_KEY: &[u8] = b"com.apple.quicktime.location";
const ARTWORK_KEY: &[u8] = b"com.apple.quicktime.artwork";

/// Reads what there is. Metadata that is broken is no reason not to read the pictures: it counts as not there.
pub(super) fn of(moov: &Mp4Box) -> FileMetadata {
    let mut metadata = FileMetadata::default();
    for child in moov.children(0).map_while(Result::ok) {
        match &child.kind {
            b"mvhd" => {
                let time = child.decode::<MvhdBox>().ok().map(|mvhd| mvhd.creation_time.as_secs());
                metadata.creation_time = time.filter(|time| *time > 0);
            }
            b"udta" => metadata.boxes.extend(user_data(&child, &mut metadata.kinds)),
            b"meta" => metadata.boxes.extend(meta(&child, &mut metadata.kinds)),
            b"trak" => metadata.tracks.extend(track(&child, &mut metadata.kinds)),
            _ => {}
        }
    }
    metadata
}

/// The same without its list of chapters, whose times count from the start of the whole file.
pub(crate) fn without_chapter_list(metadata: &mut FileMetadata) {
    for whole in &mut metadata.boxes {
        let Some(udta) = Mp4Box::from_bytes(whole).filter(|found| found.kind == *b"udta") else { continue };
        let rest = udta.children(0).map_while(Result::ok).filter(|child| child.kind != *b"chpl");
        if let Some(rest) = rebuilt(*b"udta", rest) {
            *whole = rest;
        }
    }
}

fn add(kinds: &mut Vec<MetadataKind>, kind: MetadataKind) {
    if !kinds.contains(&kind) {
        kinds.push(kind);
    }
}

/// A box of these children.
fn rebuilt(kind: [u8; 4], children: impl Iterator<Item = Mp4Box>) -> Option<Bytes> {
    let mut out = Boxes::new();
    out.within(kind, |out| {
        children.for_each(|child| out.bytes(&child.bytes));
        Ok(())
    })
    .ok()?;
    Some(out.into_bytes().into())
}

fn user_data(udta: &Mp4Box, kinds: &mut Vec<MetadataKind>) -> Option<Bytes> {
    let mut kept = Vec::new();
    for child in udta.children(0).map_while(Result::ok) {
        match &child.kind {
            kind if OF_THE_FILE.contains(&kind) => continue,
            b"meta" if meta(&child, kinds).is_none() => continue,
            b"chpl" => add(kinds, MetadataKind::ChapterList),
            b"\xa9xyz" | b"loci" => add(kinds, MetadataKind::Location),
            [0xa9, ..] | b"titl" | b"auth" | b"perf" | b"gnre" | b"dscp" | b"cprt" | b"albm" | b"yrrc" => {
                add(kinds, MetadataKind::Tags);
            }
            _ => {}
        }
        kept.push(child);
    }
    if kept.is_empty() { None } else { rebuilt(*b"udta", kept.into_iter()) }
}

/// A `meta` box as it is; `None` for one whose items lie elsewhere in the file.
fn meta(meta: &Mp4Box, kinds: &mut Vec<MetadataKind>) -> Option<Bytes> {
    // In QuickTime files it has neither version nor flags.
    let skip = if meta.payload.get(4..8) == Some(b"hdlr") { 0 } else { 4 };
    let children: Vec<_> = meta.children(skip).map_while(Result::ok).collect();
    if children.iter().any(|child| matches!(&child.kind, b"iloc" | b"idat" | b"iinf")) {
        return None;
    }
    let keys = children.iter().find(|child| child.kind == *b"keys");
    if let Some(keys) = keys {
        for (key, kind) in [(LOCATION_KEY, MetadataKind::Location), (ARTWORK_KEY, MetadataKind::CoverArt)] {
            if keys.payload.windows(key.len()).any(|window| window == key) {
                add(kinds, kind);
            }
        }
    }
    for list in children.iter().filter(|child| child.kind == *b"ilst") {
        for item in list.children(0).map_while(Result::ok) {
            let cover = item.kind == *b"covr";
            add(kinds, if cover { MetadataKind::CoverArt } else { MetadataKind::Tags });
        }
    }
    Some(Bytes::copy_from_slice(&meta.bytes))
}

fn track(trak: &Mp4Box, kinds: &mut Vec<MetadataKind>) -> Option<TrackMetadata> {
    let tkhd: TkhdBox = trak.child(*b"tkhd").ok()??.decode().ok()?;
    let hdlr = trak.child(*b"mdia").ok()??.child(*b"hdlr").ok()??;
    let mut references = Vec::new();
    if let Ok(Some(tref)) = trak.child(*b"tref") {
        for reference in tref.children(0).map_while(Result::ok) {
            let words =
                reference.payload.chunks_exact(4).take(MAX_REFERENCES).filter_map(|word| be_u32(word, 0));
            references.push((reference.kind, words.map(TrackId).collect()));
            match &reference.kind {
                b"chap" => add(kinds, MetadataKind::ChapterTrack),
                b"tmcd" => add(kinds, MetadataKind::Timecode),
                _ => {}
            }
        }
    }
    let boxes = trak.children(0).map_while(Result::ok).filter(|child| child.kind == *b"udta");
    Some(TrackMetadata {
        track: TrackId(tkhd.track_id),
        enabled: tkhd.flag_track_enabled,
        name: handler_name(hdlr.payload.get(24..).unwrap_or_default()),
        references,
        // What is said of a track is said beside it, not told on its own.
        boxes: boxes.filter_map(|udta| user_data(&udta, &mut Vec::new())).collect(),
    })
}

/// The name as ISO files have it: QuickTime counts its bytes in front, ISO ends it with a zero.
fn handler_name(field: &[u8]) -> Vec<u8> {
    let text = match field.split_first() {
        Some((length, rest)) if usize::from(*length) == rest.len() => rest,
        _ => field,
    };
    text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}
