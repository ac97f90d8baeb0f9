//! Streams whose parameter sets change on the way: spliced of encoded ones, with sets that are rewritten.

use std::path::Path;

use video_hw::bitstream::annexb::nal_units;
use video_hw::codec::Codec;

use super::streams;

/// A stream in Annex B.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) codec: Codec,
    pub(crate) bytes: Vec<u8>,
    /// Sets change between the fields of a frame.
    pub(crate) fields: bool,
}

impl Case {
    fn new(name: impl Into<String>, codec: Codec, nals: &[Vec<u8>]) -> Self {
        let bytes = nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
        Self { name: name.into(), codec, bytes, fields: false }
    }

    /// The name of the raw format, in ffmpeg and as a file's extension.
    pub(crate) fn format(&self) -> &'static str {
        if self.codec == Codec::H264 { "h264" } else { "hevc" }
    }
}

/// Where a NAL unit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set(u8),
    /// Sets and messages aside: the first slice of a frame, of the second field of one, any other slice.
    Frame {
        idr: bool,
    },
    SecondField,
    Slice,
    Other,
}

const SPS: u8 = 7;
const PPS: u8 = 8;
const HEVC_PPS: u8 = 34;

/// Bits without emulation prevention.
struct Bits {
    data: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(nal: &[u8]) -> Self {
        let (mut data, mut zeros) = (Vec::new(), 0);
        for &byte in nal {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            data.push(byte);
        }
        Self { data, at: 0 }
    }

    fn u(&mut self, count: usize) -> u32 {
        (0..count).fold(0, |value, _| {
            let bit = self.data.get(self.at / 8).map_or(0, |byte| byte >> (7 - self.at % 8) & 1);
            self.at += 1;
            value << 1 | u32::from(bit)
        })
    }

    fn ue(&mut self) -> u32 {
        let zeros = (0..32).take_while(|_| self.u(1) == 0).count();
        (1 << zeros) - 1 + self.u(zeros)
    }

    fn se(&mut self) -> i32 {
        let code = self.ue() as i32;
        if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 }
    }
}

/// A picture parameter set of the same number whose pictures have other chroma: the offset of its quantiser differs by `by`.
/// All slice headers are read as before.
fn recoloured(codec: Codec, pps: &[u8], by: i32) -> Vec<u8> {
    let mut bits = Bits::new(pps);
    if codec == Codec::H264 {
        bits.u(8);
        bits.ue();
        bits.ue();
        bits.u(2);
        assert_eq!(bits.ue(), 0, "no slice groups");
        bits.ue();
        bits.ue();
        bits.u(3);
        bits.se();
        bits.se();
    } else {
        bits.u(16);
        bits.ue();
        bits.ue();
        bits.u(7);
        bits.ue();
        bits.ue();
        bits.se();
        bits.u(2);
        if bits.u(1) == 1 {
            bits.ue();
        }
    }
    let start = bits.at;
    let value = bits.se() + by;
    assert!((-12..=12).contains(&value));
    let mut out: Vec<bool> = Vec::new();
    let bit = |at: usize| bits.data[at / 8] >> (7 - at % 8) & 1 == 1;
    out.extend((0..start).map(bit));
    let code = if value > 0 { 2 * value as u32 } else { 1 + 2 * value.unsigned_abs() };
    let length = 32 - code.leading_zeros();
    out.extend((1..length).map(|_| false));
    out.extend((0..length).rev().map(|at| code >> at & 1 == 1));
    let last = (0..bits.data.len() * 8).rev().find(|at| bit(*at)).unwrap();
    out.extend((bits.at..=last).map(bit));
    let bytes = out
        .chunks(8)
        .map(|bits| bits.iter().enumerate().fold(0, |b, (i, bit)| b | u8::from(*bit) << (7 - i)));
    let mut nal = Vec::new();
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && byte <= 3 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    nal
}

/// The NAL units of a stream, and where each stands.
fn parsed(codec: Codec, stream: &[u8]) -> Vec<(Kind, Vec<u8>)> {
    let mut frame_num_bits = 0;
    let mut frame_mbs_only = true;
    let mut first_field = None;
    let mut classify = |nal: &[u8]| {
        if codec != Codec::H264 {
            return match nal[0] >> 1 & 0x3f {
                kind @ 32..=34 => Kind::Set(kind),
                kind @ 0..=31 if nal[2] & 0x80 != 0 => Kind::Frame { idr: (16..=23).contains(&kind) },
                0..=31 => Kind::Slice,
                _ => Kind::Other,
            };
        }
        let mut bits = Bits::new(nal);
        match bits.u(8) & 0x1f {
            7 => {
                let profile = bits.u(8);
                bits.u(16);
                bits.ue();
                if !matches!(profile, 66 | 77 | 88) {
                    assert_eq!(bits.ue(), 1, "4:2:0");
                    bits.ue();
                    bits.ue();
                    bits.u(1);
                    assert_eq!(bits.u(1), 0, "no scaling matrices");
                }
                frame_num_bits = bits.ue() as usize + 4;
                match bits.ue() {
                    0 => drop(bits.ue()),
                    1 => {
                        bits.u(1);
                        bits.se();
                        bits.se();
                        for _ in 0..bits.ue() {
                            bits.se();
                        }
                    }
                    _ => {}
                }
                bits.ue();
                bits.u(1);
                bits.ue();
                bits.ue();
                frame_mbs_only = bits.u(1) == 1;
                Kind::Set(SPS)
            }
            8 => Kind::Set(PPS),
            kind @ (1 | 5) => {
                let first_mb = bits.ue();
                bits.ue();
                bits.ue();
                let frame_num = bits.u(frame_num_bits);
                let bottom = (!frame_mbs_only && bits.u(1) == 1).then(|| bits.u(1));
                match (first_mb, bottom, first_field) {
                    (1.., ..) => Kind::Slice,
                    (_, Some(bottom), Some((number, first))) if number == frame_num && first != bottom => {
                        first_field = None;
                        Kind::SecondField
                    }
                    _ => {
                        first_field = bottom.map(|bottom| (frame_num, bottom));
                        Kind::Frame { idr: kind == 5 }
                    }
                }
            }
            _ => Kind::Other,
        }
    };
    nal_units(stream).map(|nal| (classify(nal), nal.to_vec())).collect()
}

/// The stream with parameter sets in front of frames and second fields: `(number of the frame, second field, by)` each. Sets of
/// the stream itself are left out behind the first slice if `alone`.
fn with_changes(
    codec: Codec,
    stream: &[u8],
    alone: bool,
    changes: impl Fn(usize, bool) -> Option<i32>,
) -> Vec<Vec<u8>> {
    let nals = parsed(codec, stream);
    let kind = if codec == Codec::H264 { PPS } else { HEVC_PPS };
    let pps = nals.iter().find(|(of, _)| *of == Kind::Set(kind)).unwrap().1.clone();
    let (mut frame, mut out) = (0, Vec::new());
    // Messages and delimiters stay in front of their picture, behind its sets.
    let mut held: Vec<Vec<u8>> = Vec::new();
    for (kind, nal) in nals {
        let begins = match kind {
            Kind::Frame { .. } => {
                frame += 1;
                Some((frame - 1, false))
            }
            Kind::SecondField => Some((frame - 1, true)),
            Kind::Set(_) if alone && frame > 0 => continue,
            Kind::Set(_) => {
                out.push(nal);
                continue;
            }
            Kind::Other => {
                held.push(nal);
                continue;
            }
            Kind::Slice => None,
        };
        if let Some(by) = begins.and_then(|(frame, second)| changes(frame, second)) {
            out.push(recoloured(codec, &pps, by));
        }
        out.append(&mut held);
        out.push(nal);
    }
    out
}

/// Groups of pictures of two streams in turns; each begins with its sets.
fn spliced(codec: Codec, streams: [&[u8]; 2]) -> Vec<Vec<u8>> {
    let groups = streams.map(|stream| {
        let mut groups: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut head = Vec::new();
        for (kind, nal) in parsed(codec, stream) {
            match kind {
                Kind::Frame { idr: true } => groups.push([std::mem::take(&mut head), vec![nal]].concat()),
                Kind::Frame { .. } | Kind::Slice | Kind::SecondField => {
                    let group = groups.last_mut().unwrap();
                    group.append(&mut head);
                    group.push(nal);
                }
                Kind::Set(_) | Kind::Other => head.push(nal),
            }
        }
        groups
    });
    let count = groups[0].len().min(groups[1].len());
    (0..count).flat_map(|at| groups[at % 2][at].clone()).collect()
}

/// A short clip, as ffmpeg encodes it into a raw stream.
fn encoded(dir: &Path, name: &str, size: &str, args: &str) -> Vec<u8> {
    let path = dir.join(name);
    let source = format!(
        "-y -f lavfi -i testsrc2=size={size}:rate=25:duration=0.8 -pix_fmt yuv420p -threads 1 {args}"
    );
    let args: Vec<&str> = source.split_whitespace().chain([path.to_str().unwrap()]).collect();
    streams::run("ffmpeg", &args);
    std::fs::read(path).unwrap()
}

/// Field pairs of H.264 with other sets for the second fields.
fn fields() -> Vec<Case> {
    let h264 = Codec::H264;
    let mut cases = Vec::new();
    for name in
        ["streams/fields.h264", "differential/fields-idr-then-p.h264", "streams/fields-and-frames.h264"]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let stream = std::fs::read(path).unwrap();
        let every = with_changes(h264, &stream, false, |_, second| Some(if second { 5 } else { -4 }));
        cases.push(Case { fields: true, ..Case::new(format!("{name}: each field"), h264, &every) });
        let some = with_changes(h264, &stream, true, |frame, second| {
            (second && frame % 3 == 1).then_some(if frame % 2 == 0 { 5 } else { -5 })
        });
        cases.push(Case {
            fields: true,
            ..Case::new(format!("{name}: some fields, and all behind"), h264, &some)
        });
    }
    cases
}

/// Streams of H.264 whose sets change; `all`: and not those alone that backends may treat in their own ways.
pub(crate) fn h264(dir: &Path, all: bool) -> Vec<Case> {
    let h264 = Codec::H264;
    let mut cases = fields();
    let x264 = |name: &str, size: &str, args: &str, params: &str| {
        let args =
            format!("-c:v libx264 -preset veryfast {args} -x264-params log-level=error:scenecut=0:{params}");
        encoded(dir, name, size, &args)
    };
    let plain = x264("a.h264", "96x80", "-g 6 -bf 2", "");
    let other =
        x264("b.h264", "96x80", "-g 6 -bf 0", "cabac=0:8x8dct=0:weightp=0:chroma-qp-offset=4:qp=20:ref=1");
    let sized = x264("c.h264", "64x96", "-g 6 -bf 1", "ref=2");
    for (name, second) in [("other content", &other), ("another size", &sized)] {
        cases.push(Case::new(format!("IDR pictures: {name}"), h264, &spliced(h264, [&plain, second])));
    }
    let changed =
        with_changes(h264, &plain, true, |frame, _| (frame % 7 == 3).then_some(frame as i32 % 8 - 3));
    cases.push(Case::new("any picture, and for all behind", h264, &changed));
    if !all {
        return cases;
    }
    let changed =
        with_changes(h264, &plain, false, |frame, _| (frame % 4 == 3).then_some(frame as i32 % 8 - 3));
    cases.push(Case::new("any picture, until the stream's own come again", h264, &changed));
    let named = x264("d.h264", "96x80", "-g 6 -bf 1", "sps-id=3:cabac=0");
    cases.push(Case::new("IDR pictures: other numbers", h264, &spliced(h264, [&plain, &named])));
    let open = x264("e.h264", "96x80", "-g 6 -bf 2", "open-gop=1");
    let refreshing = x264("f.h264", "96x80", "-g 6 -bf 0", "intra-refresh=1");
    for (name, stream) in [("recovery points", &open), ("gradual refresh", &refreshing)] {
        let changed =
            with_changes(h264, stream, true, |frame, _| (frame % 6 == 0).then_some(4 - frame as i32 / 3));
        cases.push(Case::new(name, h264, &changed));
    }
    let interlaced = x264("g.h264", "96x96", "-g 6 -bf 2 -flags +ildct+ilme", "tff=1");
    let changed =
        with_changes(h264, &interlaced, true, |frame, _| (frame % 4 == 1).then_some(frame as i32 % 8 - 3));
    cases.push(Case::new("interlaced frames", h264, &changed));
    cases
}

/// The same of HEVC.
pub(crate) fn hevc(dir: &Path, all: bool) -> Vec<Case> {
    let hevc = Codec::Hevc;
    let mut cases = Vec::new();
    let x265 = |name: &str, size: &str, params: &str| {
        let args = format!(
            "-c:v libx265 -preset ultrafast -x265-params \
             log-level=error:info=0:pools=1:frame-threads=1:repeat-headers=1:scenecut=0:keyint=6:min-keyint=6:{params}"
        );
        encoded(dir, name, size, &args)
    };
    let plain = x265("a.hevc", "160x144", "bframes=2:open-gop=0");
    let other =
        x265("b.hevc", "160x144", "bframes=0:open-gop=0:ctu=32:weightp=1:signhide=1:cbqpoffs=3:amp=1:ref=2");
    let sized = x265("c.hevc", "144x176", "bframes=1:open-gop=0");
    for (name, second) in [("other content", &other), ("another size", &sized)] {
        cases.push(Case::new(format!("IDR pictures: {name}"), hevc, &spliced(hevc, [&plain, second])));
    }
    if !all {
        return cases;
    }
    let open = x265("d.hevc", "160x144", "bframes=2:open-gop=1");
    for (name, stream) in [("closed groups", &plain), ("open groups", &open)] {
        let changed =
            with_changes(hevc, stream, true, |frame, _| (frame % 7 == 3).then_some(frame as i32 % 8 - 3));
        cases.push(Case::new(format!("any picture, and for all behind, in {name}"), hevc, &changed));
        let changed =
            with_changes(hevc, stream, true, |frame, _| (frame % 6 == 0).then_some(4 - frame as i32 / 3));
        cases.push(Case::new(format!("random access points of {name}"), hevc, &changed));
    }
    cases
}

/// Holds what a decoder makes of these streams (`sums`: an MD5 for each frame) against what ffmpeg makes of them.
pub(crate) fn judge(sums: impl Fn(&Path) -> Vec<String>) {
    if !streams::have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for case in [h264(dir.path(), false), hevc(dir.path(), false)].concat() {
        let path = dir.path().join("case").with_extension(case.format());
        std::fs::write(&path, &case.bytes).unwrap();
        let (found, wanted) =
            (sums(&path), streams::ffmpeg_md5s(&["-threads", "1", "-i", streams::text(&path)]));
        let differs: Vec<usize> = (0..wanted.len()).filter(|at| found.get(*at) != wanted.get(*at)).collect();
        if found != wanted {
            wrong.push(format!(
                "{}: {} frames of {}, wrong: {differs:?}",
                case.name,
                found.len(),
                wanted.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
