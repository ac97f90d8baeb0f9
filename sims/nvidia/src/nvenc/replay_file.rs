//! Recordings and parameter sets in files. A file that does not fit, for whatever reason, is passed over and written
//! anew.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::canned_file::{appear, named, number, part, put};
use super::digest;
use super::replay::{Mark, Recorded};
use crate::codec::encoder::PictureKind;
use crate::policy;

/// Changes with the layout of the files and with what is in them.
const VERSION: &str = "nvsim recording 2";

const KINDS: [PictureKind; 4] = [PictureKind::Idr, PictureKind::I, PictureKind::P, PictureKind::B];

/// Keeps a recording under its key.
pub(super) fn store(folder: &Path, key: &str, pictures: &[Recorded]) -> io::Result<()> {
    let mut data = begin(key);
    for Recorded { mark, qp, data: coded } in pictures {
        let kind = KINDS.iter().position(|kind| *kind == mark.kind).unwrap_or_default();
        data.extend(mark.input.to_le_bytes());
        data.extend(mark.format.to_le_bytes());
        data.extend(mark.display_index.to_le_bytes());
        data.extend((kind as u32).to_le_bytes());
        data.extend(u32::from(mark.parameter_sets).to_le_bytes());
        data.extend(qp.to_le_bytes());
        put(&mut data, coded);
    }
    end(&mut data);
    appear(&named(folder, key, "recording"), &data)
}

/// The recording with this key.
pub(super) fn load(folder: &Path, key: &str) -> Option<Vec<Recorded>> {
    let file = read(&named(folder, key, "recording"))?;
    let mut rest = open(&file, key)?;
    let mut pictures = Vec::new();
    while !rest.is_empty() {
        let mark = Mark {
            input: long(&mut rest)?,
            format: number(&mut rest)?,
            display_index: long(&mut rest)?,
            kind: *KINDS.get(number(&mut rest)? as usize)?,
            parameter_sets: number(&mut rest)? != 0,
        };
        let qp = number(&mut rest)?;
        pictures.push(Recorded { mark, qp, data: Arc::new(part(&mut rest)?.to_vec()) });
    }
    (!pictures.is_empty()).then_some(pictures)
}

/// Keeps parameter sets under their key.
pub(super) fn store_sets(folder: &Path, key: &str, sets: &[u8]) -> io::Result<()> {
    let mut data = begin(key);
    put(&mut data, sets);
    end(&mut data);
    appear(&named(folder, key, "sets"), &data)
}

/// The parameter sets with this key.
pub(super) fn load_sets(folder: &Path, key: &str) -> Option<Vec<u8>> {
    let file = read(&named(folder, key, "sets"))?;
    let mut rest = open(&file, key)?;
    let sets = part(&mut rest)?.to_vec();
    rest.is_empty().then_some(sets)
}

/// Version and key.
fn begin(key: &str) -> Vec<u8> {
    let mut data = Vec::new();
    put(&mut data, VERSION.as_bytes());
    put(&mut data, key.as_bytes());
    data
}

/// The checksum of all that is before it.
fn end(data: &mut Vec<u8>) {
    let sum = digest::fold(digest::START, data);
    data.extend(sum.to_le_bytes());
}

/// A file of ours is not larger than this, the marks included; another is none of ours.
fn read(path: &Path) -> Option<Vec<u8>> {
    let length = std::fs::metadata(path).ok()?.len();
    if length > 2 * policy::RECORDING_BYTES {
        return None;
    }
    std::fs::read(path).ok()
}

/// What lies between the key and the checksum, if both are right.
fn open<'a>(file: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let (mut rest, sum) = file.split_last_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != digest::fold(digest::START, rest) {
        return None;
    }
    let known = part(&mut rest)? == VERSION.as_bytes() && part(&mut rest)? == key.as_bytes();
    known.then_some(rest)
}

fn long(rest: &mut &[u8]) -> Option<u64> {
    let (low, high) = (number(rest)?, number(rest)?);
    Some(u64::from(low) | u64::from(high) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(number: u64, kind: PictureKind, data: &[u8]) -> Recorded {
        let mark = Mark {
            input: 0x0123_4567_89ab_cdef ^ number,
            format: 0x100 << number,
            display_index: number + (1 << 40),
            kind,
            parameter_sets: number == 0,
        };
        Recorded { mark, qp: 20 + number as u32, data: Arc::new(data.to_vec()) }
    }

    fn reported(pictures: &[Recorded]) -> Vec<(Mark, u32, Vec<u8>)> {
        pictures.iter().map(|p| (p.mark, p.qp, p.data.to_vec())).collect()
    }

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = [
            recorded(0, PictureKind::Idr, b"first"),
            recorded(1, PictureKind::B, b""),
            recorded(2, PictureKind::P, b"third"),
            recorded(3, PictureKind::I, b"last"),
        ];
        assert!(load(folder.path(), "key").is_none());
        store(folder.path(), "key", &pictures).unwrap();
        assert_eq!(reported(&load(folder.path(), "key").unwrap()), reported(&pictures));
        assert!(load(folder.path(), "other").is_none());
        assert!(load_sets(folder.path(), "key").is_none());
        store_sets(folder.path(), "key", b"sets").unwrap();
        assert_eq!(load_sets(folder.path(), "key").unwrap(), b"sets");
        // Another key's file in this one's place.
        let from = named(folder.path(), "key", "recording");
        std::fs::copy(from, named(folder.path(), "other", "recording")).unwrap();
        assert!(load(folder.path(), "other").is_none());
        let left = std::fs::read_dir(folder.path()).unwrap();
        assert!(left.flatten().all(|file| file.path().extension().is_none_or(|end| end != "part")));
    }

    #[test]
    fn what_is_damaged_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        store(folder.path(), "key", &[recorded(0, PictureKind::Idr, b"a picture")]).unwrap();
        store_sets(folder.path(), "key", b"sets").unwrap();
        for (ending, there) in [
            ("recording", (|folder| load(folder, "key").is_some()) as fn(&Path) -> bool),
            ("sets", |folder| load_sets(folder, "key").is_some()),
        ] {
            let file = named(folder.path(), "key", ending);
            let whole = std::fs::read(&file).unwrap();
            for at in 0..whole.len() {
                std::fs::write(&file, &whole[..at]).unwrap();
                assert!(!there(folder.path()), "{ending}, {at} of {} bytes", whole.len());
                let mut wrong = whole.clone();
                wrong[at] ^= 0x40;
                std::fs::write(&file, &wrong).unwrap();
                assert!(!there(folder.path()), "{ending}, byte {at} is wrong");
            }
            std::fs::write(&file, &whole).unwrap();
            assert!(there(folder.path()));
        }
    }
}
