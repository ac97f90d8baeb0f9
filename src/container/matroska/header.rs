//! What stands in front of the clusters of a file, and what its `SeekHead` says stands behind them.

use bytes::Bytes;

use super::ebml::{Element, Header};
use super::ids;
use super::metadata::{self, Attachments};
use super::source::Source;
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::memory;

/// Ticks of a nanosecond where a file does not say otherwise.
const DEFAULT_SCALE: u64 = 1_000_000;

/// The EBML header is a few dozen bytes.
const LONGEST_EBML_HEADER: u64 = 1 << 16;

/// Entries of `SeekHead` that are looked at; files have less than ten.
const MOST_SEEK_ENTRIES: usize = 1 << 10;
/// How far tracks are looked for behind damage.
const MOST_SEARCHED: usize = 16 << 20;
const SEARCHED_AT_ONCE: usize = 1 << 15;

/// The start of a segment.
pub(super) struct SegmentHeader {
    pub(super) webm: bool,
    /// Where the content of the segment begins, from which positions count.
    pub(super) start: u64,
    /// Where it ends, if it says so.
    pub(super) end: Option<u64>,
    /// Nanoseconds of a tick.
    pub(super) scale: u32,
    /// Duration in ticks.
    pub(super) duration: Option<f64>,
    pub(super) title: Option<Bytes>,
    pub(super) date: Option<Bytes>,
    pub(super) tracks: Vec<Element>,
    pub(super) chapters: Option<Element>,
    pub(super) attachments: Option<Attachments>,
    /// `Tag` elements of the whole file, one behind the other: a flood of small ones costs no more than its bytes.
    pub(super) tags: Vec<u8>,
    pub(super) cues: Option<Element>,
    /// Where a top-level element stands, by its ID.
    places: Vec<(u32, u64)>,
    /// Where the first cluster stands.
    pub(super) first_cluster: u64,
    /// Bytes of what is kept in memory.
    kept: u64,
    has_tags: bool,
}

impl SegmentHeader {
    /// Reads up to the first cluster, and what the segment says of itself behind the clusters where the input can seek.
    pub(super) fn read(source: &mut Source, limits: &Limits) -> Result<Self> {
        let webm = read_ebml_header(source)?;
        let segment = loop {
            let here = source.position();
            let Some(header) = source.peek_header()? else {
                return Err(broken(source, "has no segment behind its EBML header"));
            };
            source.consume(header.len);
            match (header.id, header.size) {
                (ids::SEGMENT, _) => break header,
                (ids::VOID | ids::CRC32, Some(size)) => {
                    source.skip(size)?;
                }
                (id, _) => {
                    return Err(broken(
                        source,
                        &format!("has element {id:X} at byte {here} where its segment should be"),
                    ));
                }
            }
        };
        let start = source.position();
        let mut this = Self {
            webm,
            start,
            // A size that was never filled in is none.
            end: segment.size.filter(|size| *size > 0).map(|size| start.saturating_add(size)),
            scale: DEFAULT_SCALE as u32,
            duration: None,
            title: None,
            date: None,
            tracks: Vec::new(),
            chapters: None,
            attachments: None,
            tags: Vec::new(),
            cues: None,
            places: Vec::new(),
            first_cluster: start,
            kept: 0,
            has_tags: false,
        };
        while this.read_element(source, limits)? || this.find_tracks(source)? {}
        this.first_cluster = source.position();
        if source.len().is_some() {
            this.read_behind(source, limits)?;
            source.seek(this.first_cluster)?;
        }
        if this.tracks.is_empty() {
            return Err(broken(source, "describes no track in front of its first cluster"));
        }
        Ok(this)
    }

    /// Reads a top-level element; `false` where the clusters begin, and where nothing follows that can be read.
    fn read_element(&mut self, source: &mut Source, limits: &Limits) -> Result<bool> {
        let Some(header) = source.peek_header()? else { return Ok(false) };
        let known = matches!(
            header.id,
            ids::INFO
                | ids::TRACKS
                | ids::SEEK_HEAD
                | ids::CUES
                | ids::CHAPTERS
                | ids::ATTACHMENTS
                | ids::TAGS
        );
        match (header.id, header.size) {
            (ids::CLUSTER, _) => Ok(false),
            (ids::ATTACHMENTS, _) if self.pass_attachments(source, header)? => Ok(true),
            (_, Some(_)) if known => {
                let element = load(source, header, limits, &mut self.kept)?;
                self.take(element, limits)?;
                Ok(true)
            }
            (id, Some(size)) if fits(source, size) => {
                let here = source.position();
                source.consume(header.len);
                if !source.skip(size)? {
                    return Ok(false);
                }
                // The size of what nobody knows is believed where something known follows it.
                let believed = ids::is_known(id)
                    || source.len().is_none()
                    || source.peek_header()?.is_some_and(|next| ids::is_known(next.id));
                if !believed {
                    source.seek(here)?;
                }
                Ok(believed)
            }
            _ => Ok(false),
        }
    }

    /// Behind damage in front of the tracks: looks for them, or for the clusters. Whether they were found.
    fn find_tracks(&self, source: &mut Source) -> Result<bool> {
        let wanted = [ids::INFO, ids::TRACKS, ids::SEEK_HEAD].map(u32::to_be_bytes);
        if !self.tracks.is_empty() || source.peek_header()?.is_some_and(|header| header.id == ids::CLUSTER) {
            return Ok(false);
        }
        let start = source.position();
        let mut left = MOST_SEARCHED;
        while left > 0 {
            let ahead = source.peek(SEARCHED_AT_ONCE)?;
            let len = ahead.len();
            let at = ahead.windows(4).position(|bytes| wanted.iter().any(|id| id == bytes));
            let cluster = ids::CLUSTER.to_be_bytes();
            let before = ahead.windows(4).position(|bytes| bytes == cluster);
            match at {
                Some(at) if before.is_none_or(|before| at < before) => {
                    // The same element again would be as damaged as before.
                    source.consume(at);
                    let fits = source
                        .peek_header()?
                        .and_then(|header| header.size)
                        .is_some_and(|size| fits(source, size));
                    if fits && source.position() > start {
                        return Ok(true);
                    }
                    source.consume(1);
                }
                _ if before.is_some() || len < 4 => return Ok(false),
                _ => source.consume(len - 3),
            }
            left = left.saturating_sub(len);
        }
        Ok(false)
    }

    /// Remembers where the attachments stand instead of reading them, where they can be read later.
    fn pass_attachments(&mut self, source: &mut Source, header: Header) -> Result<bool> {
        let (Some(file), Some(size)) = (source.file(), header.size) else { return Ok(false) };
        let len = size.saturating_add(header.len as u64);
        if !fits(source, len) {
            return Ok(false);
        }
        self.attachments = Some(Attachments::InFile { file: file.clone(), at: source.position(), len });
        source.skip(len)
    }

    fn take(&mut self, element: Element, limits: &Limits) -> Result<()> {
        match element.id {
            ids::INFO => self.take_info(&element)?,
            ids::TRACKS if self.tracks.is_empty() => {
                for entry in element.children() {
                    let entry = entry?;
                    if entry.id != ids::TRACK_ENTRY {
                        continue;
                    }
                    self.tracks.push(entry);
                    limits.check(Limit::Tracks, self.tracks.len() as u64, "the Matroska file")?;
                }
            }
            ids::SEEK_HEAD => {
                for seek in element.children().map_while(Result::ok).filter(|child| child.id == ids::SEEK) {
                    let field = |id| {
                        let mut children = seek.children().map_while(Result::ok);
                        children.find(|child| child.id == id)?.uint().ok()
                    };
                    let place =
                        field(ids::SEEK_ID).zip(field(ids::SEEK_POSITION)).and_then(|(id, position)| {
                            Some((u32::try_from(id).ok()?, self.start.checked_add(position)?))
                        });
                    if self.places.len() < MOST_SEEK_ENTRIES {
                        self.places.extend(place);
                    }
                }
            }
            ids::CHAPTERS => self.chapters = Some(element),
            ids::ATTACHMENTS => self.attachments = Some(Attachments::Read(element.whole)),
            ids::TAGS => {
                self.has_tags = true;
                for tag in element.children().map_while(Result::ok) {
                    let Some(tag) = metadata::of_the_film(&tag) else { continue };
                    memory::grow(&mut self.tags, tag.len())?;
                    self.tags.extend_from_slice(&tag);
                }
                self.kept = self.kept.saturating_add(element.whole.len() as u64);
            }
            ids::CUES => self.cues = Some(element),
            _ => {}
        }
        Ok(())
    }

    fn take_info(&mut self, info: &Element) -> Result<()> {
        for child in info.children() {
            let child = child?;
            match child.id {
                ids::TIMESTAMP_SCALE => {
                    let scale = child.uint()?;
                    self.scale = u32::try_from(scale)
                        .ok()
                        .filter(|scale| *scale > 0)
                        .ok_or_else(|| child.broken(&format!("states ticks of {scale} nanoseconds")))?;
                }
                ids::DURATION => {
                    self.duration = child.float().ok().filter(|ticks| ticks.is_finite() && *ticks > 0.0);
                }
                ids::TITLE => self.title = Some(child.data),
                ids::DATE_UTC => self.date = Some(child.data),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads what stands behind the clusters, but for the cues, which only seeking needs. What cannot be read there counts as
    /// not there: the file may be cut off.
    fn read_behind(&mut self, source: &mut Source, limits: &Limits) -> Result<()> {
        // A second SeekHead may stand there too, with the rest of the entries.
        for id in [ids::SEEK_HEAD, ids::INFO, ids::TRACKS, ids::CHAPTERS, ids::ATTACHMENTS, ids::TAGS] {
            let needed = match id {
                ids::TRACKS => self.tracks.is_empty(),
                ids::CHAPTERS => self.chapters.is_none(),
                ids::ATTACHMENTS => self.attachments.is_none(),
                ids::TAGS => !self.has_tags,
                _ => true,
            };
            let behind = |place: &&(u32, u64)| place.0 == id && place.1 > self.first_cluster;
            let place = self.places.iter().find(behind).map(|place| place.1).filter(|_| needed);
            let Some(element) = place.map(|at| self.load_at(source, at, id, limits)).transpose()?.flatten()
            else {
                continue;
            };
            match self.take(element, limits) {
                Err(error @ Error::LimitExceeded { .. }) => return Err(error),
                Err(error) if id == ids::TRACKS => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn load_at(&mut self, source: &mut Source, at: u64, id: u32, limits: &Limits) -> Result<Option<Element>> {
        if source.len().is_none_or(|len| at >= len) {
            return Ok(None);
        }
        source.seek(at)?;
        match source.peek_header()?.filter(|header| header.id == id) {
            Some(header) if id == ids::ATTACHMENTS && self.pass_attachments(source, header)? => Ok(None),
            Some(header) => match load(source, header, limits, &mut self.kept) {
                Ok(element) => Ok(Some(element)),
                Err(Error::CorruptStream { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            None => Ok(None),
        }
    }

    /// The cues, wherever they stand. The position of `source` changes.
    pub(super) fn load_cues(&mut self, source: &mut Source, limits: &Limits) -> Result<Option<&Element>> {
        if self.cues.is_none() {
            let place = self.places.iter().find(|place| place.0 == ids::CUES).map(|place| place.1);
            if let Some(at) = place {
                self.cues = self.load_at(source, at, ids::CUES, limits)?;
            }
        }
        Ok(self.cues.as_ref())
    }
}

/// Reads the EBML header; returns whether the file is WebM.
fn read_ebml_header(source: &mut Source) -> Result<bool> {
    let header = source.peek_header()?.filter(|header| header.id == ids::EBML);
    let Some((header, size)) = header.and_then(|header| Some((header, header.size?))) else {
        return Err(broken(source, "has no readable EBML header: it is cut off or damaged"));
    };
    if size > LONGEST_EBML_HEADER {
        return Err(broken(source, &format!("has an EBML header of {size} bytes")));
    }
    source.consume(header.len);
    let data = Bytes::from(source.read(size)?);
    if (data.len() as u64) < size {
        return Err(broken(source, "ends within its EBML header"));
    }
    let mut doc_type = "matroska".to_owned();
    let element = Element { id: ids::EBML, whole: data.clone(), data };
    for child in element.children() {
        let child = child?;
        let above = |most: u64| child.uint().is_ok_and(|value| value > most);
        match child.id {
            ids::DOC_TYPE => doc_type = child.text(),
            ids::EBML_READ_VERSION if above(1) => {
                return Err(Error::unsupported("EBML of a version above 1"));
            }
            ids::EBML_MAX_ID_LENGTH if above(4) => {
                return Err(Error::unsupported("EBML with IDs of more than 4 bytes"));
            }
            ids::EBML_MAX_SIZE_LENGTH if above(8) => {
                return Err(Error::unsupported("EBML with sizes of more than 8 bytes"));
            }
            _ => {}
        }
    }
    match doc_type.as_str() {
        "matroska" => Ok(false),
        "webm" => Ok(true),
        other => Err(Error::Unsupported {
            feature: format!("an EBML file of type {other:?}"),
            remedy: "matroska and webm are read".into(),
        }),
    }
}

fn fits(source: &Source, size: u64) -> bool {
    source.len().is_none_or(|len| source.position().saturating_add(size) <= len)
}

/// Reads a whole element into memory.
fn load(source: &mut Source, header: Header, limits: &Limits, kept: &mut u64) -> Result<Element> {
    let (here, size) = (source.position(), header.size.unwrap_or(0));
    let name = format!("element {:X} at byte {here}", header.id);
    if !fits(source, size) {
        return Err(broken(source, &format!("is cut off: {name} claims {size} bytes")));
    }
    *kept = kept.saturating_add(size);
    limits.check(Limit::IndexMemory, *kept, format!("{}: {name}", source.path().display()))?;
    let whole = Bytes::from(source.read(size.saturating_add(header.len as u64))?);
    if (whole.len() as u64) < size.saturating_add(header.len as u64) {
        return Err(broken(source, &format!("ends within {name}")));
    }
    Ok(Element { id: header.id, data: whole.slice(header.len..), whole })
}

fn broken(source: &Source, what: &str) -> Error {
    Error::corrupt_fatal(format!("{} {what}", source.path().display()))
}
