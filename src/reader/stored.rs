//! An index in a file of its own.
//!
//! Little-endian: the magic bytes, the version, which video file it is of (its size, when it was changed, a sum of its first and
//! last bytes, the track), what there is of each part, the parts, and a sum of all that. A file is read no further than it is
//! long, and its length has to be what its head says before anything is allocated for it. What is in it is believed no more than
//! a container's tables are: packets are held against it when they are read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::index::{FLAGS, FNV_START, Index, Places, Sets, Times, fnv};
use crate::container::TrackId;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::memory;
use crate::output_file::OutputFile;
use crate::stream_io::read_up_to;
use crate::time::TimeBase;

const MAGIC: &[u8; 8] = b"vhwindex";
const VERSION: u32 = 1;
/// Bytes of the video file's ends that are summed up.
const ENDS: u64 = 64 << 10;
/// Longest words on damage that are kept.
const WORDS: usize = 1000;
/// Bytes in front of the parts, and of the sum behind them.
const HEAD: usize = 76;
const SUM: usize = 8;
/// The remedy of an index that is not taken.
const AGAIN: &str = "delete the index and have it made again";

/// Which state of which file an index is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    size: u64,
    /// Since 1970.
    changed: (u64, u32),
    ends: u64,
}

impl Identity {
    fn of(path: &Path) -> Result<Self> {
        let io = |error| Error::io("read", path, error);
        let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        let found = file.metadata().map_err(io)?;
        let size = found.len();
        let changed = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.map_or((0, 0), |since| (since.as_secs(), since.subsec_nanos()));
        let mut ends = fnv(FNV_START, &read_up_to(&mut file, ENDS as usize).map_err(io)?);
        file.seek(SeekFrom::Start(size.saturating_sub(ENDS))).map_err(io)?;
        ends = fnv(ends, &read_up_to(&mut file, ENDS as usize).map_err(io)?);
        Ok(Self { size, changed, ends })
    }
}

/// Writes `index` of `video`'s track.
pub(super) fn save(index: &Index, path: &Path, video: &Path, track: TrackId) -> Result<()> {
    let bytes = write(index, Identity::of(video)?, track)?;
    let file = OutputFile::create(path, true, &[video.to_owned()])?;
    let mut writer = file.writer();
    std::io::Write::write_all(&mut writer, &bytes)
        .map_err(|error| Error::io_writing("write", path, error))?;
    drop(writer);
    file.commit()
}

/// Reads the index of `video`'s track.
pub(super) fn load(path: &Path, video: &Path, track: TrackId, limits: &Limits) -> Result<Index> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let length = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
    let mut head = [0; HEAD];
    file.read_exact(&mut head).map_err(|_| broken(path, "is too short"))?;
    let claims = Head::read(&head).map_err(|what| broken(path, what))?;
    if claims.length() != Some(length) {
        return Err(broken(path, "is not as long as it says"));
    }
    claims.empty().check(claims.packets.into(), limits)?;
    let now = Identity::of(video)?;
    let video = video.display();
    if claims.identity != now {
        let why = match claims.identity {
            was if was.size != now.size => format!("has {} bytes now, and had {}", now.size, was.size),
            was if was.ends != now.ends => "begins or ends differently now".to_owned(),
            _ => "was changed since".to_owned(),
        };
        return Err(stale(path, format!("is of another state of {video}, which {why}")));
    }
    if claims.track != track {
        return Err(stale(
            path,
            format!("is of track {} of {video}, and {} is wanted", claims.track.0, track.0),
        ));
    }
    let mut rest = read_up_to(&mut file, (length as usize).saturating_sub(HEAD))
        .map_err(|error| Error::io("read", path, error))?;
    let sum = rest.len().checked_sub(SUM).map(|at| rest.split_off(at));
    let sum = sum.and_then(|sum| Some(u64::from_le_bytes(sum.try_into().ok()?)));
    if sum != Some(fnv(fnv(FNV_START, &head), &rest)) {
        return Err(broken(path, "is damaged: its sum is another"));
    }
    claims.parts(&rest)?.ok_or_else(|| broken(path, "holds what no index holds"))
}

/// An error for an index that contradicts itself.
fn broken(path: &Path, what: &str) -> Error {
    Error::corrupt_fatal(format!("{} {what}", path.display())).with_remedy(AGAIN)
}

/// A whole index of something else.
fn stale(path: &Path, what: String) -> Error {
    Error::invalid_file(path, what).with_remedy(AGAIN)
}

fn write(index: &Index, identity: Identity, track: TrackId) -> Result<Vec<u8>> {
    let words = index.damage.as_deref().unwrap_or_default();
    let words = words.get(..words.floor_char_boundary(WORDS)).unwrap_or_default();
    let sets: usize = index.sets.iter().map(|sets| 8 + sets.bytes.len()).sum();
    let head = Head {
        identity,
        track,
        base: index.base,
        times: index.times,
        places: index.places,
        has_places: !index.at.is_empty(),
        is_damaged: index.damage.is_some(),
        packets: index.packets(),
        end: index.end,
        sets: sets as u32,
        words: words.len() as u32,
    };
    let mut out = memory::room(head.length().unwrap_or(0) as usize)?;
    out.extend_from_slice(&head.write());
    index.keys.iter().for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
    out.extend_from_slice(&index.flags);
    index.at.iter().for_each(|at| out.extend_from_slice(&at.to_le_bytes()));
    for sets in &index.sets {
        out.extend_from_slice(&sets.from.to_le_bytes());
        out.extend_from_slice(&(sets.bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&sets.bytes);
    }
    out.extend_from_slice(words.as_bytes());
    let sum = fnv(FNV_START, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Head {
    identity: Identity,
    track: TrackId,
    base: TimeBase,
    times: Times,
    places: Places,
    has_places: bool,
    is_damaged: bool,
    packets: u32,
    end: i64,
    /// Bytes.
    sets: u32,
    /// Bytes.
    words: u32,
}

impl Head {
    fn write(&self) -> [u8; HEAD] {
        let tick = self.base.seconds_per_tick();
        let places = match self.places {
            Places::Numbers => 0,
            Places::Positions => 1,
            Places::Marks => 2,
        };
        let kinds = [self.times == Times::Numbered, self.has_places, self.is_damaged].map(u8::from);
        let words = [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &[places, kinds[0], kinds[1], kinds[2]],
            &self.identity.size.to_le_bytes(),
            &self.identity.changed.0.to_le_bytes(),
            &self.identity.changed.1.to_le_bytes(),
            &self.track.0.to_le_bytes(),
            &self.identity.ends.to_le_bytes(),
            &tick.num().to_le_bytes(),
            &tick.den().to_le_bytes(),
            &self.end.to_le_bytes(),
            &self.packets.to_le_bytes(),
            &self.sets.to_le_bytes(),
            &self.words.to_le_bytes(),
        ];
        let mut out = [0; HEAD];
        let mut at = 0;
        for word in words {
            if let Some(room) = out.get_mut(at..at + word.len()) {
                room.copy_from_slice(word);
            }
            at += word.len();
        }
        out
    }

    fn read(head: &[u8; HEAD]) -> std::result::Result<Self, &'static str> {
        const UNKNOWN: &str = "is an index of another version";
        let mut at = 0;
        let mut take = |count: usize| {
            let bytes = head.get(at..at + count).unwrap_or_default();
            at += count;
            bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        if take(8).to_le_bytes() != *MAGIC {
            return Err("is no index of a video file");
        }
        if take(4) != u64::from(VERSION) {
            return Err(UNKNOWN);
        }
        let places = match take(1) {
            0 => Places::Numbers,
            1 => Places::Positions,
            2 => Places::Marks,
            _ => return Err(UNKNOWN),
        };
        let mut flag = || match take(1) {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(UNKNOWN),
        };
        let (numbered, has_places, is_damaged) = (flag()?, flag()?, flag()?);
        let (size, seconds, nanos) = (take(8), take(8), take(4) as u32);
        let track = TrackId(take(4) as u32);
        let ends = take(8);
        let base = TimeBase::new(take(4) as u32, take(4) as u32).ok_or("has a time base of zero")?;
        Ok(Self {
            identity: Identity { size, changed: (seconds, nanos), ends },
            track,
            base,
            times: if numbered { Times::Numbered } else { Times::Stated },
            places,
            has_places,
            is_damaged,
            end: take(8) as i64,
            packets: take(4) as u32,
            sets: take(4) as u32,
            words: take(4) as u32,
        })
    }

    /// Of the whole file.
    fn length(&self) -> Option<u64> {
        let each = if self.has_places { 17 } else { 9 };
        let parts = u64::from(self.packets).checked_mul(each)?;
        parts.checked_add((HEAD + SUM) as u64)?.checked_add(self.sets.into())?.checked_add(self.words.into())
    }

    fn empty(&self) -> Index {
        Index { end: self.end, ..Index::new(self.base, self.times, self.places) }
    }

    /// The index whose parts these are; `None` where they cannot be.
    fn parts(&self, bytes: &[u8]) -> Result<Option<Index>> {
        let packets = self.packets as usize;
        let Some((keys, rest)) = bytes.split_at_checked(packets * 8) else { return Ok(None) };
        let Some((flags, rest)) = rest.split_at_checked(packets) else { return Ok(None) };
        let at = if self.has_places { packets * 8 } else { 0 };
        let Some((at, rest)) = rest.split_at_checked(at) else { return Ok(None) };
        let Some((sets, words)) = rest.split_at_checked(self.sets as usize) else { return Ok(None) };
        if flags.iter().any(|flags| flags & !FLAGS != 0) {
            return Ok(None);
        }
        let word = |eight: &[u8]| eight.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let mut index = self.empty();
        index.keys = memory::collected(packets, keys.chunks_exact(8).map(|key| word(key) as i64))?;
        index.flags = memory::collected(packets, flags.iter().copied())?;
        index.at = memory::collected(at.len() / 8, at.chunks_exact(8).map(word))?;
        let Some(sets) = read_sets(sets)? else { return Ok(None) };
        index.sets = sets;
        index.damage = match str::from_utf8(words) {
            Ok(words) if words.len() == self.words as usize && words.len() <= WORDS => {
                self.is_damaged.then(|| words.to_owned())
            }
            _ => return Ok(None),
        };
        let end = index.end;
        index.complete()?;
        if index.times == Times::Stated {
            index.end = end;
        }
        Ok(Some(index))
    }
}

fn read_sets(mut bytes: &[u8]) -> Result<Option<Vec<Sets>>> {
    let mut all: Vec<Sets> = Vec::new();
    while let Some((&[a, b, c, d, e, f, g, h], rest)) = bytes.split_first_chunk() {
        let (from, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let Some((sets, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
        if all.last().is_some_and(|before| before.from >= from) {
            return Ok(None);
        }
        memory::grow(&mut all, 1)?;
        all.push(Sets { from, bytes: memory::collected(sets.len(), sets.iter().copied())?.into() });
        bytes = rest;
    }
    Ok(bytes.is_empty().then_some(all))
}

/// What the fuzz target calls, with a file without its sum: what is read is written and read again as it was.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8]) {
    let read = |bytes: &[u8]| {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let claims = Head::read(head).ok()?;
        let whole = claims.length() == Some((bytes.len() + SUM) as u64);
        whole.then(|| Some((claims, claims.parts(rest).ok()??))).flatten()
    };
    let Some((claims, index)) = read(bytes) else { return };
    assert!(index.order.len() <= index.keys.len() && index.keys.len() == index.flags.len());
    let Ok(mut written) = write(&index, claims.identity, claims.track) else { return };
    written.truncate(written.len() - SUM);
    assert_eq!(read(&written).map(|(_, index)| index), Some(index));
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
