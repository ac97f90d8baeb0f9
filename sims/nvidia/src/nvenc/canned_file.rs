//! Pictures made in advance, kept in files: a short process that is measured again and again does not code them each
//! time. A file that does not fit, for whatever reason, is passed over and written anew.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::coder::Canned;

/// Changes with the layout of the files and with what is in them.
const VERSION: &str = "nvsim canned 1";

/// Parameter sets and pictures.
pub(super) type List = (Vec<u8>, Vec<Canned>);

/// The file of one list: `key` is everything that it depends on, in words.
fn path(folder: &Path, key: &str) -> PathBuf {
    named(folder, key, "canned")
}

/// A file that is named after what it depends on. Two keys may have the same name: the file says which it has.
pub(super) fn named(folder: &Path, key: &str, ending: &str) -> PathBuf {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    folder.join(format!("{hash:016x}.{ending}"))
}

/// The list kept for `key`.
pub(super) fn load(folder: &Path, key: &str) -> Option<List> {
    let data = std::fs::read(path(folder, key)).ok()?;
    let mut rest = data.as_slice();
    (part(&mut rest)? == VERSION.as_bytes() && part(&mut rest)? == key.as_bytes()).then_some(())?;
    let sets = part(&mut rest)?.to_vec();
    let mut pictures = Vec::new();
    while !rest.is_empty() {
        let qp = number(&mut rest)?;
        pictures.push(Canned { data: part(&mut rest)?.to_vec(), qp });
    }
    (!pictures.is_empty()).then_some((sets, pictures))
}

/// Keeps a list. That it cannot be kept costs time and nothing else, so nobody is told.
pub(super) fn store(folder: &Path, key: &str, sets: &[u8], pictures: &[Canned]) {
    let mut data = Vec::new();
    for bytes in [VERSION.as_bytes(), key.as_bytes(), sets] {
        put(&mut data, bytes);
    }
    for picture in pictures {
        data.extend(picture.qp.to_le_bytes());
        put(&mut data, &picture.data);
    }
    let _ = appear(&path(folder, key), &data);
}

/// Writes a file that appears whole: another process, or another session of this one, may read or write it as well.
pub(super) fn appear(path: &Path, data: &[u8]) -> std::io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (process, turn) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let aside = path.with_extension(format!("{process}.{turn}.part"));
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::File::create(&aside))
        .and_then(|mut file| file.write_all(data))
        .and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written
}

pub(super) fn put(data: &mut Vec<u8>, bytes: &[u8]) {
    data.extend((bytes.len() as u32).to_le_bytes());
    data.extend(bytes);
}

pub(super) fn number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*head))
}

pub(super) fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)? as usize;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_damaged_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = [(&b"first"[..], 20), (b"", 30)].map(|(data, qp)| Canned { data: data.to_vec(), qp });
        assert!(load(folder.path(), "key").is_none());
        store(folder.path(), "key", b"sets", &pictures);
        let (sets, found) = load(folder.path(), "key").unwrap();
        assert_eq!(sets, b"sets");
        let reported: Vec<_> = found.iter().map(|picture| (picture.data.as_slice(), picture.qp)).collect();
        assert_eq!(reported, [(&b"first"[..], 20), (b"", 30)]);
        assert!(load(folder.path(), "other").is_none());
        // Another key's file in this one's place, and one that is cut anywhere.
        let file = path(folder.path(), "key");
        std::fs::copy(&file, path(folder.path(), "other")).unwrap();
        assert!(load(folder.path(), "other").is_none());
        let whole = std::fs::read(&file).unwrap();
        let pictures_begin = whole.len() - (2 * 8 + 5);
        for length in (0..=pictures_begin).chain([whole.len() - 1, whole.len() - 9]) {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert!(load(folder.path(), "key").is_none(), "{length} of {}", whole.len());
        }
    }
}
