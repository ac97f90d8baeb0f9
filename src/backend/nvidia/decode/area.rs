//! The shown part of coded pictures, as the stream's own headers state it. The driver's parser does not tell all of it
//! (580.159, `sims/nvidia/facts`): of H.264 and HEVC it leaves out what is cut at the left and the top, and of VP8 it makes odd
//! sizes even.

use crate::backend::nvidia::driver::cuvid_abi::VideoFormat;
use crate::bitstream::{annexb::nal_units, h264, hevc, vp8};
use crate::codec::Codec;

/// Bytes of a slice that hold all of its header that is needed here.
const SLICE_HEAD: usize = 128;

/// Edges in samples of luma: left, top, right, bottom.
type Edges = [u32; 4];

/// Follows a stream's headers. What cannot be read states nothing: the parser's word stands.
pub(super) struct Stated {
    sets: Sets,
    /// Of the sequence at hand.
    area: Option<Edges>,
}

enum Sets {
    H264(h264::ParameterSets),
    Hevc(hevc::ParameterSets),
    Vp8,
    /// The parser tells all of it.
    Others,
}

impl Stated {
    pub(super) fn new(codec: Codec) -> Self {
        let sets = match codec {
            Codec::H264 => Sets::H264(h264::ParameterSets::new()),
            Codec::Hevc => Sets::Hevc(hevc::ParameterSets::new()),
            Codec::Vp8 => Sets::Vp8,
            _ => Sets::Others,
        };
        Self { sets, area: None }
    }

    /// Nothing is known yet.
    pub(super) const fn is_open(&self) -> bool {
        self.area.is_none() && !matches!(self.sets, Sets::Others)
    }

    /// Reads the headers of a unit that a sequence may begin with; whether they state another area of what may be the same
    /// for the parser.
    pub(super) fn read(&mut self, unit: &[u8]) -> bool {
        let area = match &mut self.sets {
            Sets::H264(sets) => h264_area(sets, unit),
            Sets::Hevc(sets) => hevc_area(sets, unit),
            Sets::Vp8 => vp8::FrameHeader::parse(unit)
                .ok()
                .and_then(|header| header.size)
                .map(|(width, height)| [0, 0, width, height]),
            Sets::Others => None,
        };
        let Some(area) = area else { return false };
        let sized = |[_, _, right, bottom]: Edges| [right, bottom].map(|edge| edge & !1);
        self.area.replace(area).is_some_and(|before| before != area && sized(before) == sized(area))
    }

    /// The parser's description of a sequence, with the area that the stream states.
    pub(super) fn complete(&self, format: &VideoFormat) -> VideoFormat {
        let mut complete = *format;
        let Some([left, top, right, bottom]) = self.area else { return complete };
        if matches!(self.sets, Sets::Vp8) {
            // The parser has the coded size of the even size, which may be a macroblock less.
            (complete.coded_width, complete.coded_height) =
                (right.next_multiple_of(16), bottom.next_multiple_of(16));
        } else if format.display_area[2..]
            .iter()
            .map(|&edge| i64::from(edge))
            .ne([right, bottom].map(i64::from))
        {
            // Not the sequence that the parser speaks of.
            return complete;
        }
        complete.display_area =
            [left, top, right, bottom].map(|edge| i32::try_from(edge).unwrap_or(i32::MAX));
        complete.aspect = shape_of(format, right - left, bottom - top);
        complete
    }
}

/// The shape of the shown picture. The parser states that of its own area.
fn shape_of(format: &VideoFormat, width: u32, height: u32) -> [i32; 2] {
    let [left, top, right, bottom] = format.display_area.map(i128::from);
    let [x, y] = format.aspect.map(i128::from);
    let x = x * i128::from(width) * (bottom - top);
    let y = y * i128::from(height) * (right - left);
    let (mut a, mut b) = (x, y);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let side = |value: i128| value.checked_div(a).and_then(|value| i32::try_from(value).ok());
    side(x).zip(side(y)).map_or([0, 0], |(x, y)| [x, y])
}

fn edges(coded: (u32, u32), crop: h264::Crop) -> Option<Edges> {
    let (right, bottom) = (coded.0.checked_sub(crop.right)?, coded.1.checked_sub(crop.bottom)?);
    (crop.left < right && crop.top < bottom).then_some([crop.left, crop.top, right, bottom])
}

fn h264_area(sets: &mut h264::ParameterSets, unit: &[u8]) -> Option<Edges> {
    for nal in nal_units(unit) {
        match h264::nal_type(nal) {
            Some(1 | 2 | 5) => {
                let head = &nal[..nal.len().min(SLICE_HEAD)];
                let slice = h264::SliceIdentity::parse(head, sets).ok()?;
                let (sps, _) = sets.active(slice.pps_id)?;
                return edges((sps.width_in_mbs * 16, sps.frame_height_in_mbs() * 16), sps.crop);
            }
            // A set that cannot be read leaves those before it.
            _ => drop(sets.insert(nal)),
        }
    }
    None
}

fn hevc_area(sets: &mut hevc::ParameterSets, unit: &[u8]) -> Option<Edges> {
    for nal in nal_units(unit) {
        match hevc::NalHeader::parse(nal) {
            Some(header) if header.layer_id == 0 && header.nal_type <= 31 => {
                let head = &nal[..nal.len().min(SLICE_HEAD)];
                let slice = hevc::SliceSegment::parse(head, sets).ok()?;
                let (sps, _) = sets.active(slice.pps_id)?;
                return edges((sps.width, sps.height), sps.crop);
            }
            _ => drop(sets.insert(nal)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(codec: Codec, clip: &[u8]) -> Stated {
        let mut stated = Stated::new(codec);
        assert!(!stated.read(clip), "the first area is no change");
        assert!(!stated.read(clip));
        stated
    }

    fn said(coded: (u32, u32), right: i32, bottom: i32, aspect: [i32; 2]) -> VideoFormat {
        VideoFormat {
            coded_width: coded.0,
            coded_height: coded.1,
            display_area: [0, 0, right, bottom],
            aspect,
            ..VideoFormat::default()
        }
    }

    #[test]
    fn what_is_cut_at_the_left_and_the_top_is_found() {
        let h264 = read(Codec::H264, include_bytes!("../../../../tests/data/areas/crop.h264"));
        let complete = h264.complete(&said((96, 80), 90, 72, [5, 4]));
        assert_eq!((complete.display_area, complete.aspect), ([10, 14, 90, 72], [40, 29]));
        let hevc = read(Codec::Hevc, include_bytes!("../../../../tests/data/areas/crop444.h265"));
        let complete = hevc.complete(&said((160, 160), 158, 158, [1, 1]));
        assert_eq!((complete.display_area, complete.aspect), ([3, 5, 158, 158], [155, 153]));
        // The parser speaks of another sequence.
        let other = said((160, 160), 160, 160, [1, 1]);
        assert_eq!(hevc.complete(&other), other);
    }

    #[test]
    fn sizes_of_vp8_are_those_of_its_key_frames() {
        // Behind the headers of the file and of the first frame.
        let frame = |clip: &'static [u8]| &clip[44..];
        let mut stated =
            read(Codec::Vp8, frame(include_bytes!("../../../../tests/data/areas/odd-large-vp8.ivf")));
        let complete = stated.complete(&said((336, 208), 336, 208, [0, 0]));
        assert_eq!((complete.coded_width, complete.coded_height), (352, 224));
        assert_eq!(complete.display_area, [0, 0, 337, 209]);
        assert!(
            !stated.read(frame(include_bytes!("../../../../tests/data/areas/one-vp8.ivf"))),
            "another size"
        );
        let complete = stated.complete(&said((0, 0), 0, 0, [0, 0]));
        assert_eq!((complete.coded_width, complete.display_area), (16, [0, 0, 1, 1]));
    }

    #[test]
    fn what_cannot_be_read_states_nothing() {
        let format = said((96, 80), 90, 72, [5, 4]);
        for codec in [Codec::H264, Codec::Hevc, Codec::Vp8, Codec::Vp9, Codec::Mpeg2] {
            let mut stated = Stated::new(codec);
            assert!(!stated.read(&[0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x65, 0x88]));
            assert_eq!(stated.complete(&format), format, "{codec}");
        }
    }
}
