//! `CMFormatDescription` of video.

use std::sync::Arc;

use super::parameter_sets::{self as sets, Colour, Sequence, Syntax};
use crate::core::pointer::{In, NULL, Ref};
use crate::core::{Out, exports};
use crate::foundation::collection::Dictionary;
use crate::foundation::constants::truth;
use crate::foundation::object::{Held, Kind, Typed, find, find_optional};
use crate::foundation::value::{self, Data, Text};
use crate::video::colours;
use crate::{OK, Status};

const INVALID_PARAMETER: Status = -12710;
/// `kCMFormatDescriptionBridgeError_InvalidParameter`
const BRIDGE_INVALID: Status = -12712;

/// `avc1`
pub const H264: u32 = u32::from_be_bytes(*b"avc1");
/// `hvc1`
pub const HEVC: u32 = u32::from_be_bytes(*b"hvc1");
/// `vp09`
pub const VP9: u32 = u32::from_be_bytes(*b"vp09");
/// `av01`
pub const AV1: u32 = u32::from_be_bytes(*b"av01");
/// `mp2v`
pub const MPEG2: u32 = u32::from_be_bytes(*b"mp2v");
/// `mp4v`
pub const MPEG4: u32 = u32::from_be_bytes(*b"mp4v");
const VIDEO: u32 = u32::from_be_bytes(*b"vide");

/// A codec or pixel format as it is written.
pub fn fourcc(code: u32) -> String {
    String::from_utf8_lossy(&code.to_be_bytes()).into_owned()
}

/// The syntax of a codec that is made of NAL units.
pub fn syntax(codec: u32) -> Option<Syntax> {
    match codec {
        H264 => Some(Syntax::H264),
        HEVC => Some(Syntax::Hevc),
        _ => None,
    }
}

/// `CMVideoFormatDescription`
#[derive(Debug)]
pub struct Format {
    /// Codec or pixel format.
    pub codec: u32,
    /// Size that is shown.
    pub width: i32,
    /// Size that is shown.
    pub height: i32,
    /// Whatever the client or the stream says of it.
    pub extensions: Option<Held>,
    /// Parameter sets of H.264 and HEVC.
    pub sets: Vec<Vec<u8>>,
    /// Bytes of the lengths in samples.
    pub length: usize,
    /// What the first sequence parameter set says.
    pub sequence: Option<Sequence>,
}

impl Typed for Format {
    const KIND: Kind = Kind::CMFormatDescription;
}

impl Format {
    /// Of parameter sets; none where they are no such sets.
    pub fn of_sets(
        syntax: Syntax,
        sets: Vec<Vec<u8>>,
        length: usize,
        more: &[(String, Held)],
    ) -> Option<Self> {
        let kinds: &[u8] = if syntax == Syntax::H264 { &[7, 8] } else { &[32, 33, 34] };
        if !kinds.iter().all(|&kind| sets.iter().any(|set| syntax.kind(set) == kind)) {
            return None;
        }
        let sequence = sets::sequence(syntax, sets.iter().find(|set| syntax.is_sps(set))?)?;
        let (codec, atom) = if syntax == Syntax::H264 { (H264, "avcC") } else { (HEVC, "hvcC") };
        let record = sets::pack(syntax, &sets, length)?;
        let atoms = Dictionary::holding([(atom, Held::new(Data(record.into())))]);
        let extensions = Dictionary::holding([("SampleDescriptionExtensionAtoms", atoms)]);
        let inside = extensions.get::<Dictionary>()?;
        describe(&inside, &sequence);
        for (key, value) in more {
            inside.set(key, value.clone());
        }
        Some(Self {
            codec,
            width: sequence.width as i32,
            height: sequence.height as i32,
            extensions: Some(extensions),
            sets,
            length,
            sequence: Some(sequence),
        })
    }

    /// An extension.
    pub fn extension(&self, key: &str) -> Option<Held> {
        self.extensions.as_ref()?.get::<Dictionary>()?.get(key)
    }

    /// The record of the codec among the atoms.
    pub fn atom(&self, name: &str) -> Option<Arc<Data>> {
        self.extension("SampleDescriptionExtensionAtoms")?.get::<Dictionary>()?.get(name)?.get::<Data>()
    }

    /// The headers of MPEG-4 Visual in the `esds` record: what the descriptors with the tags 3, 4 and 5 hold, one in the other.
    pub fn visual_headers(&self) -> Option<Vec<u8>> {
        let record = self.atom("esds")?;
        // Behind version and flags; of each descriptor so many bytes are in front of the next.
        let mut rest = record.0.get(4..)?;
        for (tag, skip) in [(3, 3), (4, 13), (5, 0)] {
            let (own, mut body) = rest.split_first()?;
            let mut length = 0;
            loop {
                let (byte, behind) = body.split_first()?;
                length = length << 7 | usize::from(byte & 0x7f);
                body = behind;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if *own != tag || (tag == 4 && body.first() != Some(&0x20)) {
                return None;
            }
            rest = body.get(..length)?.get(skip..)?;
        }
        Some(rest.to_vec())
    }

    /// Whether frames are of all values and not of the video range, as far as it is told.
    pub fn full_range(&self) -> Option<bool> {
        let told = self.extensions.as_ref().and_then(|all| all.get::<Dictionary>()?.truth("FullRangeVideo"));
        told.or_else(|| Some(self.sequence?.colour?.full_range))
    }
}

/// Extensions that follow from a sequence parameter set.
fn describe(extensions: &Dictionary, sequence: &Sequence) {
    if let Some((width, height)) = sequence.aspect {
        extensions.set("CVPixelAspectRatio", aspect(width, height));
    }
    if let Some(colour) = sequence.colour {
        extensions.set("FullRangeVideo", truth(colour.full_range));
        for (key, value) in names(colour) {
            extensions.set(key, value);
        }
    }
}

/// The dictionary of a sample's shape.
pub fn aspect(width: u32, height: u32) -> Held {
    let spacing = |length: u32| value::int(length.into());
    Dictionary::holding([("HorizontalSpacing", spacing(width)), ("VerticalSpacing", spacing(height))])
}

/// Apple's names of colours, under the keys that pixel buffers and format descriptions share.
pub fn names(colour: Colour) -> Vec<(&'static str, Held)> {
    let lists = [
        ("CVImageBufferColorPrimaries", colours::PRIMARIES, colour.primaries),
        ("CVImageBufferTransferFunction", colours::TRANSFERS, colour.transfer),
        ("CVImageBufferYCbCrMatrix", colours::MATRICES, colour.matrix),
    ];
    lists
        .into_iter()
        .filter_map(|(key, list, code)| Some((key, value::text(colours::name(list, code)?))))
        .collect()
}

fn parameter_sets(count: usize, pointers: In<In<u8>>, sizes: In<usize>) -> Option<Vec<Vec<u8>>> {
    let (pointers, sizes) = (pointers.list(count)?, sizes.list(count)?);
    pointers
        .into_iter()
        .zip(sizes)
        .map(|(pointer, size)| pointer.bytes(size).filter(|set| !set.is_empty()))
        .collect()
}

fn create(syntax: Syntax, sets: Option<Vec<Vec<u8>>>, length: i32, extensions: Ref, out: Out<Ref>) -> Status {
    let Some(extensions) = find_optional::<Dictionary>(extensions) else { return INVALID_PARAMETER };
    let more = extensions.map(|all| all.entries()).unwrap_or_default();
    let length = usize::try_from(length).ok().filter(|length| matches!(length, 1 | 2 | 4));
    let (Some(sets), Some(length), false) = (sets, length, out.is_null()) else { return BRIDGE_INVALID };
    let Some(format) = Format::of_sets(syntax, sets, length, &more) else { return BRIDGE_INVALID };
    out.put(Held::new(format).give());
    OK
}

fn set_at(
    of: Ref,
    syntax: Syntax,
    index: usize,
    pointer: Out<*const u8>,
    size: Out<usize>,
    count: Out<usize>,
    length: Out<i32>,
) -> Status {
    let Some(format) = find::<Format>(of) else { return INVALID_PARAMETER };
    if self::syntax(format.codec) != Some(syntax) || format.sets.is_empty() {
        return BRIDGE_INVALID;
    }
    count.put(format.sets.len());
    length.put(format.length as i32);
    if pointer.is_null() && size.is_null() {
        return OK;
    }
    let Some(set) = format.sets.get(index) else { return BRIDGE_INVALID };
    pointer.put(set.as_ptr());
    size.put(set.len());
    OK
}

exports! {
    /// A description of a codec, a size and extensions.
    fn CMVideoFormatDescriptionCreate(allocator: Ref, codec: u32, width: i32, height: i32, extensions: Ref, out: Out<Ref>) -> Status = INVALID_PARAMETER; {
        let Some(given) = find_optional::<Dictionary>(extensions) else { return INVALID_PARAMETER };
        if out.is_null() || width <= 0 || height <= 0 {
            return INVALID_PARAMETER;
        }
        // As it is now: the client may change its own later.
        let extensions = given.map(|given| {
            let copy = Dictionary::holding([]);
            if let Some(inside) = copy.get::<Dictionary>() {
                given.entries().into_iter().for_each(|(key, value)| inside.set(&key, value));
            }
            copy
        });
        let mut format = Format { codec, width, height, extensions, sets: Vec::new(), length: 4, sequence: None };
        if let Some(syntax) = syntax(codec) {
            let record = format.atom(if syntax == Syntax::H264 { "avcC" } else { "hvcC" });
            if let Some((sets, length)) = record.and_then(|record| sets::unpack(syntax, &record.0)) {
                format.sequence = sets.iter().find(|set| syntax.is_sps(set)).and_then(|set| sets::sequence(syntax, set));
                (format.sets, format.length) = (sets, length);
            }
        }
        out.put(Held::new(format).give());
        OK
    }

    /// A description of what H.264 parameter sets (without start codes) say.
    fn CMVideoFormatDescriptionCreateFromH264ParameterSets(allocator: Ref, count: usize, pointers: In<In<u8>>, sizes: In<usize>, length: i32, out: Out<Ref>) -> Status = INVALID_PARAMETER; {
        create(Syntax::H264, parameter_sets(count, pointers, sizes), length, NULL, out)
    }

    /// The same of HEVC.
    fn CMVideoFormatDescriptionCreateFromHEVCParameterSets(allocator: Ref, count: usize, pointers: In<In<u8>>, sizes: In<usize>, length: i32, extensions: Ref, out: Out<Ref>) -> Status = INVALID_PARAMETER; {
        create(Syntax::Hevc, parameter_sets(count, pointers, sizes), length, extensions, out)
    }

    /// One parameter set: good as long as the description lives.
    fn CMVideoFormatDescriptionGetH264ParameterSetAtIndex(of: Ref, index: usize, pointer: Out<*const u8>, size: Out<usize>, count: Out<usize>, length: Out<i32>) -> Status = INVALID_PARAMETER; {
        set_at(of, Syntax::H264, index, pointer, size, count, length)
    }

    /// The same of HEVC.
    fn CMVideoFormatDescriptionGetHEVCParameterSetAtIndex(of: Ref, index: usize, pointer: Out<*const u8>, size: Out<usize>, count: Out<usize>, length: Out<i32>) -> Status = INVALID_PARAMETER; {
        set_at(of, Syntax::Hevc, index, pointer, size, count, length)
    }

    /// An extension, not to be released.
    fn CMFormatDescriptionGetExtension(of: Ref, key: Ref) -> Ref = NULL; {
        let (Some(format), Some(key)) = (find::<Format>(of), find::<Text>(key)) else { return NULL };
        format.extension(&key.0).map_or(NULL, |found| found.lend())
    }

    /// All extensions, not to be released.
    fn CMFormatDescriptionGetExtensions(of: Ref) -> Ref = NULL; {
        find::<Format>(of).and_then(|format| format.extensions.as_ref().map(Held::lend)).unwrap_or(NULL)
    }

    /// Width and height.
    fn CMVideoFormatDescriptionGetDimensions(of: Ref) -> Dimensions = Dimensions::default(); {
        find::<Format>(of).map_or_else(Dimensions::default, |format| Dimensions { width: format.width, height: format.height })
    }

    /// The codec.
    fn CMFormatDescriptionGetMediaSubType(of: Ref) -> u32 = 0; { find::<Format>(of).map_or(0, |format| format.codec) }

    /// Video.
    fn CMFormatDescriptionGetMediaType(of: Ref) -> u32 = 0; { find::<Format>(of).map_or(0, |_| VIDEO) }

    /// Whether two descriptions say the same.
    fn CMFormatDescriptionEqual(one: Ref, other: Ref) -> u8 = 0; {
        let (Some(one), Some(other)) = (find::<Format>(one), find::<Format>(other)) else { return 0 };
        let extensions = match (&one.extensions, &other.extensions) {
            (None, None) => true,
            (Some(one), Some(other)) => value::equal(one, other),
            _ => false,
        };
        u8::from(extensions && (one.codec, one.width, one.height) == (other.codec, other.width, other.height))
    }
}

/// `CMVideoDimensions`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Dimensions {
    /// In pixels.
    pub width: i32,
    /// In pixels.
    pub height: i32,
}
