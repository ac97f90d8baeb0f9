use std::fs;
use std::io::Write;

use proptest::prelude::*;

use super::super::index::tests::of;
use super::*;

const TRACK: TrackId = TrackId(3);

/// A video file of these bytes, and the bytes of an index of it.
fn stored(index: &Index, video: &[u8]) -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.bin");
    fs::write(&path, video).unwrap();
    let bytes = write(index, Identity::of(&path).unwrap(), TRACK).unwrap();
    (folder, path, bytes)
}

fn read(folder: &tempfile::TempDir, video: &Path, bytes: &[u8]) -> Result<Index> {
    let path = folder.path().join("film.index");
    fs::write(&path, bytes).unwrap();
    load(&path, video, TRACK, &Limits::default())
}

/// The sum put right, as somebody does who means harm.
fn with_sum(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len().saturating_sub(SUM);
    let sum = fnv(FNV_START, &bytes[..at]);
    bytes.truncate(at);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

prop_compose! {
    fn any_index()(
        packets in prop::collection::vec((any::<i64>(), 0..=FLAGS, any::<u64>()), 0..50),
        numbered: bool, marks: bool, places: bool, damage in prop::option::of("[a-z ]{0,20}"),
        sets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4), end: i64,
        num in 1_u32.., den in 1_u32..,
    ) -> Index {
        let mut index = of(&packets.iter().map(|(key, flags, _)| (*key, *flags)).collect::<Vec<_>>());
        index.base = TimeBase::new(num, den).unwrap();
        if places {
            index.places = if marks { Places::Marks } else { Places::Positions };
            index.at = packets.iter().map(|packet| packet.2).collect();
        }
        let set = |(at, bytes): (usize, Vec<u8>)| Sets { from: at as u32 * 7, bytes: bytes.into() };
        index.sets = sets.into_iter().enumerate().map(set).collect();
        (index.damage, index.end) = (damage, end);
        if numbered {
            index.times = Times::Numbered;
            index.end = index.order.len() as i64;
        }
        index
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(index in any_index(), video in prop::collection::vec(any::<u8>(), 0..300)) {
        let (folder, path, bytes) = stored(&index, &video);
        prop_assert_eq!(read(&folder, &path, &bytes).unwrap(), index);
    }

    #[test]
    fn changed_bytes_are_refused_and_never_more_than_that(
        index in any_index(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (folder, path, bytes) = stored(&index, b"film");
        let mut changed = bytes.clone();
        for (at, byte) in &changes {
            let at = at.index(changed.len());
            changed[at] ^= byte;
        }
        if let Some(cut) = cut {
            changed.truncate(cut.index(bytes.len()));
        }
        let result = read(&folder, &path, &changed);
        prop_assert_eq!(result.is_ok(), changed == bytes);
        // With a sum that fits it may be an index, of other frames; nothing else comes of it.
        if changed.len() > HEAD + SUM && let Ok(index) = read(&folder, &path, &with_sum(changed)) {
            prop_assert!(index.order.len() <= index.keys.len() && index.keys.len() == index.flags.len());
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (folder, path, good) = stored(&of(&[(0, 1)]), b"film");
        prop_assert!(read(&folder, &path, &bytes).is_err());
        let mut behind_the_magic = good[..12].to_vec();
        behind_the_magic.extend_from_slice(&bytes);
        let _ = read(&folder, &path, &with_sum(behind_the_magic));
    }
}

#[test]
fn another_state_of_the_file_is_refused_with_the_reason() {
    let video = vec![7; 200_000];
    let index = of(&[(0, 1), (1, 0)]);
    let (folder, path, bytes) = stored(&index, &video);
    assert!(read(&folder, &path, &bytes).is_ok());
    let changed = fs::metadata(&path).unwrap().modified().unwrap();
    let refused = |content: &[u8], changed: std::time::SystemTime| {
        let mut file = File::create(&path).unwrap();
        file.write_all(content).unwrap();
        file.set_modified(changed).unwrap();
        drop(file);
        read(&folder, &path, &bytes).err().map(|error| error.to_string())
    };
    // The same bytes at the same time are the same file.
    assert_eq!(refused(&video, changed), None);
    let longer = refused(&[&video[..], &[7]].concat(), changed).unwrap();
    assert!(longer.contains("200001 bytes now") && longer.contains("have it made again"), "{longer}");
    let mut other = video.clone();
    *other.last_mut().unwrap() = 8;
    assert!(refused(&other, changed).unwrap().contains("begins or ends differently"));
    let later = changed + std::time::Duration::from_secs(1);
    assert!(refused(&video, later).unwrap().contains("was changed since"));
}

#[test]
fn a_claimed_length_is_held_against_the_file_and_the_limits() {
    let (folder, path, bytes) = stored(&of(&[(0, 1)]), b"film");
    // The number of packets.
    let mut claims = bytes.clone();
    claims[64..68].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = read(&folder, &path, &with_sum(claims)).unwrap_err().to_string();
    assert!(error.contains("not as long as it says"), "{error}");
    let stored = folder.path().join("film.index");
    fs::write(&stored, &bytes).unwrap();
    let little = Limits::default().index_memory(20);
    assert!(matches!(load(&stored, &path, TRACK, &little), Err(Error::LimitExceeded { .. })));
    let other = load(&stored, &path, TrackId(4), &Limits::default()).unwrap_err().to_string();
    assert!(other.contains("is of track 3"), "{other}");
}
