//! Files that come through a pipe: what the demuxer gives is what it gives of the file.

use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use video_hw::Error;
use video_hw::container::Demuxer;
use video_hw::container::mp4::Mp4Demuxer;
use video_hw::error::Remedy;
use video_hw::packet::Packet;
use video_hw::stream_io::NonSeekable;

use crate::support::*;

/// Two seconds of noise: samples are larger than anything that is kept of a pipe.
const LARGE: &str = "-f lavfi -i nullsrc=size=1280x720:rate=5:duration=2,geq=random(1)*255:128:128 -c:v libx264 -qp 0 \
                     -preset ultrafast -movflags faststart";

/// Gives a few bytes at a time, as a network does.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 * 7 % 4093 + 1;
        let most = buf.len().min(self.1);
        self.0.read(&mut buf[..most])
    }
}

fn piped(bytes: &[u8]) -> video_hw::Result<Mp4Demuxer> {
    let reader = NonSeekable(Trickle(Cursor::new(bytes.to_vec()), 1));
    Mp4Demuxer::open(reader, PathBuf::from("-"))
}

/// What is read up to the end or the first error.
fn packets(demuxer: &mut Mp4Demuxer) -> (Vec<Packet>, Option<Error>) {
    let mut packets = Vec::new();
    loop {
        match demuxer.next_packet() {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

fn facts(packets: &[Packet]) -> Vec<(u32, Row, bytes::Bytes)> {
    packets.iter().map(|packet| (packet.track.0, row(packet), packet.data.clone())).collect()
}

#[test]
fn what_can_be_read_forwards_is() {
    let Some((dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let input = path.to_str().unwrap();
    for flags in [
        "faststart",
        "frag_keyframe",
        "frag_keyframe+empty_moov",
        "frag_keyframe+empty_moov+default_base_moof",
        "frag_keyframe+delay_moov",
        "frag_every_frame+empty_moov+separate_moof",
        "cmaf",
    ] {
        let file = dir.path().join("piped.mp4");
        ffmpeg(&format!("-i {input} -c copy -movflags {flags}"), &file);
        let bytes = std::fs::read(&file).unwrap();
        let wanted = read_all(&mut open(&file));
        let mut demuxer = piped(&bytes).unwrap_or_else(|error| panic!("{flags}: {error}"));
        assert_eq!(demuxer.tracks().len(), 2, "{flags}");
        let track = demuxer.tracks()[0].id;
        let start = video_hw::Timestamp::new(0, demuxer.tracks()[0].time_base);
        assert!(!demuxer.seek(track, start).unwrap(), "{flags}: a pipe does not go back");
        let (got, error) = packets(&mut demuxer);
        assert!(error.is_none(), "{flags}: {error:?}");
        assert_eq!(facts(&got), facts(&wanted), "{flags}");
    }
}

/// Long fragments and one large sample, larger than anything that is kept of a pipe.
#[test]
fn large_samples_and_tracks_that_are_left_out_are_passed() {
    let with_sound = LARGE.replace(" -c:v", " -f lavfi -i sine=duration=2 -c:a aac -c:v");
    let Some((_dir, path)) = make(&with_sound, "a.mp4", "libx264") else { return };
    let bytes = std::fs::read(&path).unwrap();
    let wanted = read_all(&mut open(&path));
    assert!(wanted.iter().any(|packet| packet.data.len() > 512 << 10), "a sample is larger than the window");
    assert_eq!(facts(&packets(&mut piped(&bytes).unwrap()).0), facts(&wanted));
    let mut sound = piped(&bytes).unwrap();
    let id = sound.tracks()[1].id;
    sound.select_tracks(&[id]);
    let of_sound: Vec<_> = wanted.iter().filter(|packet| packet.track == id).cloned().collect();
    assert_eq!(facts(&packets(&mut sound).0), facts(&of_sound));
}

#[test]
fn what_cannot_be_read_forwards_is_refused_with_the_remedy() {
    let Some((_dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let bytes = std::fs::read(&path).unwrap();
    let error = piped(&bytes).expect_err("the index is at the end");
    assert!(matches!(error, Error::Unsupported { .. }) && error.remedy() == Remedy::Spool, "{error}");
    assert!(error.to_string().contains("moov"), "{error}");

    // Samples from the last to the first, further apart than what is kept of a pipe.
    let Some((_dir, path)) = make(LARGE, "b.mp4", "libx264") else { return };
    let bytes = std::fs::read(&path).unwrap();
    let mut bytes =
        edit(&bytes, "moov/trak/mdia/minf/stbl/stsc", &mut |_| make_box(b"stsc", &words(&[0, 1, 1, 1, 1])));
    let stsz = find(&bytes, "moov/trak/mdia/minf/stbl/stsz").unwrap();
    let sizes: Vec<u32> =
        stsz[20..].chunks(4).map(|size| u32::from_be_bytes(size.try_into().unwrap())).collect();
    // All of them as long as the shortest.
    let (shortest, count) = (sizes.iter().min().copied().unwrap(), sizes.len() as u32);
    bytes = edit(&bytes, "moov/trak/mdia/minf/stbl/stsz", &mut |_| {
        make_box(b"stsz", &words(&[0, shortest, count]))
    });
    for _ in 0..2 {
        // The first round makes room in the table.
        let media =
            boxes(&bytes).iter().take_while(|one| one[4..8] != *b"mdat").map(|one| one.len()).sum::<usize>();
        let starts = sizes.iter().scan(media as u32 + 8, |at, size| Some(std::mem::replace(at, *at + size)));
        let mut offsets: Vec<u32> = starts.collect();
        offsets.reverse();
        let table = [&[0, offsets.len() as u32][..], &offsets].concat();
        bytes = edit(&bytes, "moov/trak/mdia/minf/stbl/stco", &mut |_| make_box(b"stco", &words(&table)));
    }
    let (got, error) = packets(&mut piped(&bytes).unwrap());
    let error = error.expect("the second sample lies before the first");
    assert_eq!((got.len(), error.remedy()), (1, Remedy::Spool), "{error}");
}

/// Whatever ends too early gives the samples that are whole, and then an error.
#[test]
fn truncated_pipes_give_what_is_whole() {
    let Some((dir, path)) = make(BOTH, "a.mp4", "libx264") else { return };
    let input = path.to_str().unwrap();
    for flags in ["faststart", "frag_keyframe+empty_moov"] {
        let file = dir.path().join("piped.mp4");
        ffmpeg(&format!("-i {input} -c copy -movflags {flags}"), &file);
        let bytes = std::fs::read(&file).unwrap();
        let wanted = facts(&read_all(&mut open(&file)));
        for part in [2, 3, 5] {
            let (got, error) = packets(&mut piped(&bytes[..bytes.len() - bytes.len() / part]).unwrap());
            let got = facts(&got);
            assert!(matches!(error, Some(Error::CorruptStream { .. })), "{flags}: {error:?}");
            assert!(!got.is_empty() && got.len() < wanted.len(), "{flags}: {} samples", got.len());
            assert_eq!(got[..], wanted[..got.len()], "{flags}");
        }
    }
}

/// Boxes that lie about their sizes cost no more than what is there.
#[test]
fn a_pipe_of_lies_ends() {
    let claims = [
        make_box(b"ftyp", b"isom\0\0\0\0"),
        [&0x7fff_ffff_u32.to_be_bytes()[..], b"moov", &[0; 100]].concat(),
    ];
    let error = piped(&claims.concat()).expect_err("moov is cut off");
    assert!(matches!(error, Error::CorruptStream { .. } | Error::LimitExceeded { .. }), "{error}");
    let endless =
        [make_box(b"ftyp", b"isom\0\0\0\0"), [&[0; 4][..], b"free", &[7].repeat(100_000)].concat()].concat();
    assert!(matches!(piped(&endless), Err(Error::CorruptStream { .. })));
    let segment = [make_box(b"styp", b"msdh\0\0\0\0"), make_box(b"moof", &[0; 32])].concat();
    let error = piped(&segment).expect_err("there is no moov");
    assert!(error.to_string().contains("media segment"), "{error}");
}
