//! Memory follows what an input holds, not what its headers claim.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop where something is wrong"
)]

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;

use peak_alloc::PeakAlloc;
use video_hw::Error;
use video_hw::codec::Codec;
use video_hw::container::elementary::ElementaryDemuxer;
use video_hw::container::ivf::IvfDemuxer;
use video_hw::container::mp4::Mp4Demuxer;
use video_hw::container::{Demuxer, Input, open_input};
use video_hw::dimensions::Dimensions;
use video_hw::limits::Limit;
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::{FrameReader, RawReader, VideoFormat, Y4mReader};
use video_hw::stream_io::NonSeekable;
use video_hw::time::Rational;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Most heap that `work` had in use at once, in bytes.
fn peak(work: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

const MIB: usize = 1 << 20;

/// One test, so that nothing else allocates meanwhile.
#[test]
fn claims_cost_nothing() {
    let header_without_end = || (&b"YUV4MPEG2 W2 H2 X"[..]).chain(io::repeat(b'x').take(10 << 20));
    let used = peak(|| assert!(Y4mReader::new(header_without_end(), "a").is_err()));
    assert!(used < MIB, "10 MB without a line feed: {used} bytes");

    // 12 GB a frame.
    let huge = b"YUV4MPEG2 W65535 H65535 C444\nFRAME\n";
    let short = || (&huge[..]).chain(io::repeat(7).take(MIB as u64));
    let used = peak(|| {
        let error = Y4mReader::new(short(), "a").unwrap().next_frame().unwrap_err().to_string();
        assert!(error.contains("1048576 of 12884508675 bytes"), "{error}");
    });
    assert!(used < 8 * MIB, "a short frame of 65535x65535: {used} bytes");

    let format = VideoFormat::new(
        PixelFormat::RgbF32Planar,
        Dimensions::new(65535, 65535).unwrap(),
        Rational::new(25, 1).unwrap(),
    );
    let used = peak(|| assert!(RawReader::new(io::repeat(7).take(1000), "a", format).next_frame().is_err()));
    assert!(used < MIB, "1000 bytes of 51 GB: {used} bytes");

    let mut ivf = b"DKIF\0\0\x20\0VP90\x40\0\x40\0\x19\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    // Just below the cap, so that the claim passes.
    ivf.extend_from_slice(&[0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]);
    let file = |claim: u8| {
        let mut file = ivf.clone();
        file[32 + 3] = claim;
        file.extend_from_slice(&[0x82; 1000]);
        file
    };
    for (claim, said) in [(0x0f, "1000 of 251658240 bytes"), (0xff, "claims 4278190080 bytes")] {
        let file = file(claim);
        let used = peak(|| {
            let error = IvfDemuxer::new(Cursor::new(&file[..]), "a").unwrap().next_packet().unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(IvfDemuxer::new(NonSeekable(&file[..]), "a").unwrap().next_packet().is_err());
        });
        assert!(used < MIB, "an IVF frame that {said}: {used} bytes");
    }

    // What was really there is kept while a picture is looked for, in a buffer that grows by doubling.
    // 64 MiB of noise without a start code, and of start codes without a picture.
    for noise in [&[0xff][..], &[0, 0, 1, 0x0c, 0xff]] {
        let noise = noise.repeat(MIB / noise.len());
        let endless = std::iter::repeat_n(&noise[..], 65)
            .fold(Box::new(io::empty()) as Box<dyn Read + Send>, |all, part| Box::new(all.chain(part)));
        let used = peak(|| assert!(ElementaryDemuxer::new(endless, "a", Codec::H264).is_err()));
        assert!(used < 4 * 64 * MIB, "nothing but noise: {used} bytes");
    }

    streams_without_parameter_sets_end_early();
    indexes_cost_little_more_than_their_bytes();
    what_matroska_says_of_itself_costs_little_more_than_its_bytes();
}

fn refused_by(error: &Error, wanted: Limit) {
    assert!(matches!(error, Error::LimitExceeded { limit, .. } if *limit == wanted), "{error}");
}

/// Pictures that nobody can decode are kept until their parameter sets come, but not without end.
fn streams_without_parameter_sets_end_early() {
    let slice = [0, 0, 1, 0x65, 0x88].repeat(MIB / 5);
    let endless = std::iter::repeat_n(&slice[..], 60)
        .fold(Box::new(io::empty()) as Box<dyn Read + Send>, |all, part| Box::new(all.chain(part)));
    let used = peak(|| {
        let error = ElementaryDemuxer::new(endless, "a", Codec::H264).err().unwrap();
        refused_by(&error, Limit::WaitingUnits);
    });
    assert!(used < 16 * MIB, "60 MB of slices without a parameter set: {used} bytes");

    // Temporal units of one frame each that no sequence header describes, and units without a frame.
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, unit: &[u8]| {
        let path = dir.path().join(name);
        let start = [0x12, 0, 0x7a, 0];
        std::fs::write(&path, [&start[..], &unit.repeat(10 * MIB / unit.len())].concat()).unwrap();
        path
    };
    let frames = file("frames.obu", &[0x12, 0, 0x32, 1, 0]);
    let used = peak(|| refused_by(&open_input(&frames).unwrap_err(), Limit::WaitingUnits));
    assert!(used < 24 * MIB, "10 MB of temporal units without a sequence header: {used} bytes");
    let empty = file("empty.obu", &[0x12, 0]);
    let used = peak(|| assert!(open_input(&empty).is_err()));
    assert!(used < 4 * MIB, "10 MB of temporal delimiters: {used} bytes");
    let padding = file("padding.obu", &[0x7a, 0]);
    let used = peak(|| assert!(open_input(&padding).is_err()));
    assert!(used < 64 * MIB, "10 MB of padding: {used} bytes");
}

/// Floods of the smallest elements there are, and attachments that nobody asks for.
fn what_matroska_says_of_itself_costs_little_more_than_its_bytes() {
    const TAGS: [u8; 4] = [0x12, 0x54, 0xc3, 0x67];
    let element = |id: &[u8], content: &[u8]| {
        [id, &(content.len() as u32 | 0x1000_0000).to_be_bytes(), content].concat()
    };
    let small = |id: &[u8], content: &[u8]| [id, &[0x80 | content.len() as u8], content].concat();
    let size = [small(&[0xb0], &[64]), small(&[0xba], &[64])].concat();
    let fields =
        [small(&[0xd7], &[1]), small(&[0x83], &[1]), small(&[0x86], b"V_MJPEG"), small(&[0xe0], &size)];
    let film = |flood: &[u8]| {
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &small(&[0xae], &fields.concat()));
        let block = small(&[0xa3], &[0x81, 0, 0, 0x80, 1]);
        let cluster = element(&[0x1f, 0x43, 0xb6, 0x75], &[small(&[0xe7], &[0]), block].concat());
        let segment = element(&[0x18, 0x53, 0x80, 0x67], &[&tracks[..], flood, &cluster].concat());
        [element(&[0x1a, 0x45, 0xdf, 0xa3], &small(&[0x42, 0x82], b"matroska")), segment].concat()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flood.mkv");
    let tag = small(&[0x73, 0x73], &small(&[0x67, 0xc8], &[]));
    let one = |id: &[u8], content: &[u8]| element(id, &content.repeat(10 * MIB / content.len()));
    let seek = small(&[0x4d, 0xbb], &[]);
    for (name, flood, most) in [
        ("elements of tags", small(&TAGS, &tag).repeat(10 * MIB / 10), 30),
        ("empty elements of tags", small(&TAGS, &[]).repeat(10 * MIB / 5), 30),
        ("tags", one(&TAGS, &tag), 60),
        ("seek entries", one(&[0x11, 0x4d, 0x9b, 0x74], &seek), 30),
        ("attachments", element(&[0x19, 0x41, 0xa4, 0x69], &vec![7; 10 * MIB]), 1),
    ] {
        std::fs::write(&path, film(&flood)).unwrap();
        drop(flood);
        let used = peak(|| {
            let Input::Demuxer(mut demuxer) = open_input(&path).unwrap() else { panic!("no packets") };
            assert!(demuxer.next_packet().unwrap().is_some());
        });
        assert!(used < most * MIB, "10 MB of {name}: {used} bytes");
    }
}

fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 8).to_be_bytes()[..], kind, payload].concat()
}

fn words(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_be_bytes).collect()
}

/// A track with these tables and this edit list.
fn track(id: u32, edits: &[u8], tables: &[u8], entries: &[u8]) -> Vec<u8> {
    let tkhd = words([1, 0, 0, id].into_iter().chain([0; 17]));
    let mut mdhd = words([0, 0, 0, 1000, 0]);
    mdhd.extend([0x55, 0xc4, 0, 0]);
    let hdlr = [&[0; 8][..], b"meta", &[0; 13]].concat();
    let stbl = boxed(b"stbl", &[&boxed(b"stsd", entries), tables].concat());
    let mdia = [boxed(b"mdhd", &mdhd), boxed(b"hdlr", &hdlr), boxed(b"minf", &stbl)].concat();
    let edts = boxed(b"edts", &boxed(b"elst", edits));
    boxed(b"trak", &[boxed(b"tkhd", &tkhd), edts, boxed(b"mdia", &mdia)].concat())
}

fn movie(traks: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut mvhd = words([0, 0, 0, 1000, 0]);
    mvhd.extend([0; 80]);
    let moov = boxed(b"moov", &[boxed(b"mvhd", &mvhd), traks.to_vec()].concat());
    [boxed(b"mdat", &[0; 1000]), moov, behind.to_vec()].concat()
}

/// Any 10 MB file costs less than 256 MB, whatever its tables are made of.
fn indexes_cost_little_more_than_their_bytes() {
    const ONE: u32 = 1 << 16;
    let most = 10 * MIB;
    let entry = boxed(b"mett", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], b"a\0b\0"].concat());
    let entries = |entry: &[u8], count: usize| [words([0, count as u32]), entry.repeat(count)].concat();
    let tables = |count: u32| {
        [
            boxed(b"stsz", &words([0, 1, count])),
            boxed(b"stts", &words([0, 1, count, 1])),
            boxed(b"stsc", &words([0, 1, 1, count, 1])),
            boxed(b"stco", &words([0, 1, 8])),
        ]
        .concat()
    };
    let none = words([0, 0]);
    let list = |count: u32| {
        words([0, count].into_iter().chain((0..count).flat_map(|at| [1, (count - at) % 900, ONE])))
    };
    let edits = (most / 12) as u32;
    let of_edits = movie(&track(1, &list(edits), &tables(900), &entries(&entry, 1)), &[]);
    let small = entries(&boxed(b"mett", &[]), most / 8);
    let of_entries = movie(&track(1, &none, &tables(900), &small), &[]);
    let fragment = |runs: usize| {
        let trun = boxed(b"trun", &words([0x200, 1, 1]));
        let tfhd = boxed(b"tfhd", &words([0x02_0000, 1]));
        boxed(b"moof", &boxed(b"traf", &[tfhd, trun.repeat(runs)].concat()))
    };
    let empty = track(1, &none, &tables(1), &entries(&entry, 1));
    let of_fragments = movie(&empty, &fragment(1).repeat(most / fragment(1).len()));
    let of_runs = movie(&empty, &fragment(most / 20));
    let of_moofs = movie(&empty, &boxed(b"moof", &[]).repeat(most / 8));
    let of_boxes = movie(&[empty, boxed(b"free", &[]).repeat(most / 8)].concat(), &[]);
    for (name, file, said) in [
        ("edits", of_edits, None),
        ("sample descriptions", of_entries, Some("sample descriptions")),
        ("fragments", of_fragments, None),
        ("runs", of_runs, None),
        ("empty fragments", of_moofs, None),
        ("boxes", of_boxes, None),
    ] {
        assert!((most - 1000..most + 10_000).contains(&file.len()), "{name}: {} bytes", file.len());
        let mut told = String::new();
        let used = peak(|| {
            let file = Cursor::new(file);
            let mut demuxer = Mp4Demuxer::open(file, PathBuf::from("bomb.mp4")).unwrap();
            for _ in 0..100 {
                match demuxer.next_packet() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => told = error.to_string(),
                }
            }
        });
        assert_eq!(told.is_empty(), said.is_none(), "{name}: {told}");
        assert!(said.is_none_or(|said| told.contains(said)), "{name}: {told}");
        assert!(used < 246 * MIB, "10 MB of {name}: {used} bytes");
    }

    // A hole in a file costs nothing on the disk, and is all zeros.
    let claim = [&[0, 0, 0, 1][..], b"moov", &(1_u64 << 40).to_be_bytes()].concat();
    let hole = Sparse { start: claim, len: 1 << 41, at: 0 };
    let used = peak(|| {
        let error = Mp4Demuxer::open(hole, PathBuf::from("sparse.mp4")).unwrap_err();
        refused_by(&error, Limit::IndexMemory);
    });
    assert!(used < MIB, "a moov box of 1 TB: {used} bytes");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.y4m");
    std::fs::write(&path, "YUV4MPEG2 W65535 H65535 C444\nFRAME\n").unwrap();
    refused_by(&open_input(&path).unwrap_err(), Limit::PicturePixels);
    std::fs::write(&path, "YUV4MPEG2 W64 H64\nFRAME\n").unwrap();
    assert!(matches!(open_input(&path), Ok(Input::Frames(_))));
}

/// A file of zeros behind its first bytes.
struct Sparse {
    start: Vec<u8>,
    len: u64,
    at: u64,
}

impl Read for Sparse {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = buf.len().min((self.len - self.at.min(self.len)) as usize);
        for (place, byte) in (self.at..).zip(&mut buf[..count]) {
            *byte = self.start.get(place as usize).copied().unwrap_or(0);
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(by) => self.len.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}
