//! Facts of pictures whose shown part is not all of the coded one: what the parser says of it, and what a decoder that is
//! made for it in one way or another shows. A picture is told by a sum over its samples.

use std::path::Path;

use crate::abi::*;
use crate::facts_support::{Cuda, Cuvid, Tracer, access_units, say};

/// A clip, and how large the shown part is.
struct Clip {
    name: &'static str,
    codec: u32,
    /// Of the coded picture as the standard has it, and of the shown part: left, top, width, height.
    coded: (u32, u32),
    shown: [u32; 4],
    chroma: u32,
}

const CLIPS: [Clip; 9] = [
    clip("crop.h264", codec::H264, (96, 80), [10, 14, 80, 58], 1),
    clip("crop.h265", codec::HEVC, (160, 160), [12, 20, 144, 132], 1),
    clip("crop444.h265", codec::HEVC, (160, 160), [3, 5, 155, 153], 3),
    clip("odd-vp8.ivf", codec::VP8, (175, 143), [0, 0, 175, 143], 1),
    clip("odd-large-vp8.ivf", codec::VP8, (337, 209), [0, 0, 337, 209], 1),
    clip("one-vp8.ivf", codec::VP8, (1, 1), [0, 0, 1, 1], 1),
    clip("odd-vp9.ivf", codec::VP9, (175, 143), [0, 0, 175, 143], 1),
    clip("vp9-422.ivf", codec::VP9, (144, 144), [0, 0, 144, 144], 2),
    clip("vp9-444.ivf", codec::VP9, (144, 144), [0, 0, 144, 144], 3),
];

const fn clip(name: &'static str, codec: u32, coded: (u32, u32), shown: [u32; 4], chroma: u32) -> Clip {
    Clip { name, codec, coded, shown, chroma }
}

pub fn areas(cuda: &Cuda, cuvid: &Cuvid, clips: &Path) {
    let folder = clips.join("../tests/data/areas");
    for clip in CLIPS {
        let data = std::fs::read(folder.join(clip.name)).expect("the folder beside the clips");
        let units = access_units(&data, clip.codec);
        let mut tracer = Tracer::new(cuvid, clip.codec, 0, 1);
        units.iter().for_each(|unit| tracer.feed(unit, packet_flags::ENDOFPICTURE));
        let trace = tracer.close();
        for kind in ["sequence", "decode"] {
            let first = trace.lines.iter().find(|line| line.starts_with(kind));
            say(&format!("{} {kind}", clip.name), first.map_or("nothing", String::as_str));
        }
        for (name, round) in [("as it is", 1), ("even", 2), ("whole macroblocks", 16)] {
            let found = shown(cuda, cuvid, &clip, &units, round);
            say(&format!("{} decoder {name}", clip.name), found);
        }
    }
}

/// A decoder of pictures of this size that shows the clip's part as it is.
fn info(clip: &Clip, coded: (u32, u32)) -> CUVIDDECODECREATEINFO {
    let [left, top, width, height] = clip.shown;
    let even = |side: u32| side.next_multiple_of(2);
    let edge = |value: u32| i16::try_from(value).unwrap_or(i16::MAX);
    CUVIDDECODECREATEINFO {
        ulWidth: coded.0.into(),
        ulHeight: coded.1.into(),
        CodecType: clip.codec,
        ChromaFormat: clip.chroma,
        ulCreationFlags: create_flags::PREFER_CUVID,
        display_area: ShortRect {
            left: edge(left),
            top: edge(top),
            right: edge(left + even(width)),
            bottom: edge(top + even(height)),
        },
        OutputFormat: if clip.chroma == 3 { surface_format::YUV444 } else { surface_format::NV12 },
        DeinterlaceMode: deinterlace::WEAVE,
        ulTargetWidth: even(width).into(),
        ulTargetHeight: even(height).into(),
        ulNumOutputSurfaces: 2,
        ..CUVIDDECODECREATEINFO::zeroed()
    }
}

/// What a decoder whose size is rounded up to multiples of `round` shows of each picture.
fn shown(cuda: &Cuda, cuvid: &Cuvid, clip: &Clip, units: &[&[u8]], round: u32) -> String {
    let coded = (clip.coded.0.next_multiple_of(round), clip.coded.1.next_multiple_of(round));
    let mut tracer = Tracer::new(cuvid, clip.codec, 0, 1).trying(info(clip, coded));
    let mut sums = Vec::new();
    let mut seen = 0;
    let ends: [&[u8]; 1] = [&[]];
    for unit in units.iter().chain(&ends) {
        let flags = if unit.is_empty() { packet_flags::ENDOFSTREAM } else { packet_flags::ENDOFPICTURE };
        tracer.feed(unit, flags);
        if tracer.refused() {
            break;
        }
        let all = tracer.displayed();
        for index in &all[seen..] {
            sums.push(sum(cuda, cuvid, clip, tracer.decoder(), *index));
        }
        seen = all.len();
    }
    let decoder = tracer.decoder();
    if !decoder.is_null() {
        cuvid.destroy(decoder);
    }
    let answers: Vec<_> = tracer
        .close()
        .lines
        .into_iter()
        .filter(|line| line.starts_with("create answers") || line.starts_with("decoder answers"))
        .collect();
    format!("{} {}", sums.join(" "), answers.join(", "))
}

/// Which samples a decoder shows that is to begin at a column and a row inside the picture: those of which column and row,
/// of luma and of chroma.
pub fn corners(cuda: &Cuda, cuvid: &Cuvid, clips: &Path) {
    const SIZE: (u32, u32) = (48, 32);
    for (name, codec, chroma, coded) in [
        ("crop.h264", codec::H264, 1, (96, 80)),
        ("crop.h265", codec::HEVC, 1, (160, 160)),
        ("crop444.h265", codec::HEVC, 3, (160, 160)),
    ] {
        let data =
            std::fs::read(clips.join("../tests/data/areas").join(name)).expect("the folder beside the clips");
        let units = access_units(&data, codec);
        let planes = |[left, top]: [u32; 2], size: (u32, u32)| {
            let clip = Clip { name, codec, coded, shown: [left, top, size.0, size.1], chroma };
            first_picture(cuda, cuvid, &clip, &units)
        };
        let Some(whole) = planes([0, 0], coded) else {
            say(&format!("{name} corner"), "nothing");
            continue;
        };
        for corner in [
            [1, 0],
            [2, 0],
            [3, 0],
            [4, 0],
            [6, 0],
            [8, 0],
            [10, 0],
            [12, 0],
            [16, 0],
            [0, 1],
            [0, 2],
            [0, 3],
            [0, 4],
            [0, 6],
            [0, 8],
            [0, 10],
            [0, 16],
            [10, 14],
            [12, 20],
        ] {
            let found = planes(corner, SIZE).map_or("nothing".to_owned(), |part| {
                let places: Vec<_> =
                    part.iter().zip(&whole).map(|(part, whole)| place(part, whole)).collect();
                places.join(" and ")
            });
            say(&format!("{name} from {},{}", corner[0], corner[1]), found);
        }
    }
}

/// Rows of a plane, in samples (pairs, where chroma is interleaved).
type Rows = Vec<Vec<[u8; 2]>>;

/// Where in `whole` all samples of `part` are found.
fn place(part: &Rows, whole: &Rows) -> String {
    let fits = |left: usize, top: usize| {
        part.iter().zip(&whole[top..]).all(|(part, whole)| whole[left..].starts_with(part))
    };
    let (width, height) = (part[0].len(), part.len());
    for top in 0..=whole.len() - height {
        for left in 0..=whole[0].len() - width {
            if fits(left, top) {
                return format!("{left},{top}");
            }
        }
    }
    "nowhere".to_owned()
}

/// The planes of the first picture, as a decoder shows the part.
fn first_picture(cuda: &Cuda, cuvid: &Cuvid, clip: &Clip, units: &[&[u8]]) -> Option<Vec<Rows>> {
    let mut tracer = Tracer::new(cuvid, clip.codec, 0, 1).trying(info(clip, clip.coded));
    for unit in units {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
        if !tracer.displayed().is_empty() {
            break;
        }
    }
    let (decoder, index) = (tracer.decoder(), *tracer.displayed().first()?);
    if decoder.is_null() {
        return None;
    }
    let (mut address, mut pitch) = (0, 0);
    let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
    if cuvid.map(decoder, index, &mut address, &mut pitch, &mut process) != 0 {
        return None;
    }
    let [_, _, width, height] = clip.shown.map(|value| value as usize);
    let (pitch, target) = (pitch as usize, height.next_multiple_of(2));
    let planes: Vec<_> = if clip.chroma == 3 {
        [0, 1, 2].map(|plane| (plane * target, width, height, 1)).to_vec()
    } else {
        vec![(0, width, height, 1), (target, width.div_ceil(2), height.div_ceil(2), 2)]
    };
    let read = |(first, columns, rows, step): (usize, usize, usize, usize)| {
        (first..first + rows)
            .map(|row| {
                let mut line = vec![0_u8; columns * step];
                cuda.dtoh(line.as_mut_ptr().cast(), address + (row * pitch) as u64, line.len());
                line.chunks(step).map(|sample| [sample[0], sample[step - 1]]).collect()
            })
            .collect()
    };
    let found = planes.into_iter().map(read).collect();
    cuvid.unmap(decoder, address);
    cuvid.destroy(decoder);
    tracer.close();
    Some(found)
}

/// FNV-1a over the samples of the shown part.
fn sum(cuda: &Cuda, cuvid: &Cuvid, clip: &Clip, decoder: *mut std::ffi::c_void, index: i32) -> String {
    let (mut address, mut pitch) = (0, 0);
    let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
    let code = if decoder.is_null() {
        u32::MAX
    } else {
        cuvid.map(decoder, index, &mut address, &mut pitch, &mut process)
    };
    if code != 0 {
        return format!("map {code}");
    }
    let [_, _, width, height] = clip.shown.map(|value| value as usize);
    let (pitch, target) = (pitch as usize, height.next_multiple_of(2));
    let planes = if clip.chroma == 3 {
        [0, 1, 2].map(|plane| (plane * target, width, height)).to_vec()
    } else {
        vec![(0, width, height), (target, width.div_ceil(2) * 2, height.div_ceil(2))]
    };
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (first, bytes, rows) in planes {
        for row in first..first + rows {
            let mut line = vec![0_u8; bytes];
            cuda.dtoh(line.as_mut_ptr().cast(), address + (row * pitch) as u64, bytes);
            for byte in line {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    cuvid.unmap(decoder, address);
    format!("{hash:016x}")
}
