//! Where one frame ends and the next begins.

use std::collections::BTreeMap;

use super::Facts;
use crate::bitstream::{h264, hevc};
use crate::packet::PictureType;

/// How a NAL unit stands to the unit being gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boundary {
    /// It belongs to what came before it.
    Within,
    /// It continues the picture or the frame.
    Continues,
    /// It is the first of the next unit, unless the next slice continues the frame.
    MayBegin,
    /// It is in the next unit.
    Begins,
}

/// Bytes of a slice that always hold the part of the header that is looked at: in H.264 at most 12 codes
/// of at most 63 bits.
const SLICE_HEAD: usize = 128;

/// State of the grouping; forgets all but parameter sets when a unit begins.
#[derive(Debug)]
pub(super) enum Grouping {
    H264(H264),
    Hevc(Hevc),
}

impl Grouping {
    /// Bytes at the front of a NAL unit that [`Self::classify`] looks at, given the first.
    pub(super) fn bytes_to_classify(&self, first: u8) -> usize {
        match self {
            Self::H264(_) => match first & 0x1f {
                h264::NAL_SLICE | h264::NAL_PARTITION_A | h264::NAL_IDR => SLICE_HEAD,
                _ => 1,
            },
            Self::Hevc(_) => match (first >> 1) & 0x3f {
                0..=31 => SLICE_HEAD,
                _ => 2,
            },
        }
    }

    /// Where a NAL unit belongs, from its first bytes, and what it adds to the unit it belongs to.
    pub(super) fn classify(&mut self, head: &[u8]) -> (Boundary, Facts) {
        match self {
            Self::H264(state) => state.classify(head),
            Self::Hevc(state) => state.classify(head),
        }
    }

    /// Remembers a complete NAL unit where later ones need it. Returns whether it holds a recovery point
    /// message.
    pub(super) fn take_contents(&mut self, nal: &[u8]) -> bool {
        // A parameter set that cannot be read is passed on like any other unit; slices that refer to it
        // are then told apart by their position alone.
        match self {
            Self::H264(state) => {
                let _unreadable = state.sets.insert(nal);
                h264::has_recovery_point(nal)
            }
            Self::Hevc(state) => {
                if let Ok(pps) = hevc::Pps::parse(nal) {
                    state.pps.insert(pps.id, pps);
                }
                false
            }
        }
    }

    /// A new unit begins: forgets all but parameter sets. [`Self::classify`] does it by itself.
    pub(super) fn begin_unit(&mut self) {
        match self {
            Self::H264(state) => state.begin_unit(),
            Self::Hevc(state) => state.has_picture = false,
        }
    }
}

/// H.264, 7.4.1.2.3 and 7.4.1.2.4.
#[derive(Debug, Default)]
pub(super) struct H264 {
    sets: h264::ParameterSets,
    /// The unit holds a slice.
    has_picture: bool,
    /// The last slice of a primary coded picture whose header could be read.
    last: Option<h264::SliceIdentity>,
    /// The only field of the unit so far.
    lone_field: Option<h264::SliceIdentity>,
    /// Colour planes (one bit each) of which the picture has a slice that begins at macroblock 0.
    begun_planes: u8,
}

impl H264 {
    fn begin_unit(&mut self) {
        self.has_picture = false;
        self.last = None;
        self.lone_field = None;
        self.begun_planes = 0;
    }

    fn classify(&mut self, head: &[u8]) -> (Boundary, Facts) {
        let nal_type = h264::nal_type(head).unwrap_or(0);
        match nal_type {
            h264::NAL_SLICE | h264::NAL_PARTITION_A | h264::NAL_IDR => self.slice(head, nal_type),
            // A second field brings its own delimiter, SEI and so on; a prefix unit comes before every
            // slice of an SVC or MVC base layer.
            h264::NAL_PREFIX if self.has_picture => (Boundary::MayBegin, Facts::default()),
            h264::NAL_SEI..=h264::NAL_AUD | h264::NAL_SUBSET_SPS..=18 if self.has_picture => {
                if self.lone_field.is_some() {
                    return (Boundary::MayBegin, Facts::default());
                }
                self.begin_unit();
                (Boundary::Begins, Facts::default())
            }
            _ => (Boundary::Within, Facts::default()),
        }
    }

    fn slice(&mut self, head: &[u8], nal_type: u8) -> (Boundary, Facts) {
        let id = h264::SliceIdentity::parse(head, &self.sets).ok();
        let continues = match &id {
            Some(id) => self.continues(id),
            // Without its parameter sets a slice still tells whether it is the first: first_mb_in_slice is
            // its first code, and 0 is coded as a single one bit.
            None => head.get(1).is_some_and(|b| b & 0x80 == 0),
        };
        let boundary = match (self.has_picture, continues) {
            (false, _) => Boundary::Within,
            (true, true) => Boundary::Continues,
            (true, false) => Boundary::Begins,
        };
        if boundary == Boundary::Begins {
            self.begin_unit();
        }
        let mut facts = Facts { keyframe: nal_type == h264::NAL_IDR, has_picture: true, ..Facts::default() };
        if let Some(id) = id.filter(|id| id.redundant_pic_cnt == 0) {
            if self.last.is_none_or(|last| id.starts_new_picture(&last)) {
                self.begun_planes = 0;
                self.lone_field = (id.field && !self.has_picture).then_some(id);
            }
            if id.first_mb == 0 {
                self.begun_planes |= plane(&id);
            }
            self.last = Some(id);
            facts.picture_type = Some(match id.slice_type {
                _ if id.is_idr() => PictureType::Idr,
                h264::SliceType::I | h264::SliceType::Si => PictureType::I,
                h264::SliceType::P | h264::SliceType::Sp => PictureType::P,
                h264::SliceType::B => PictureType::B,
            });
        }
        self.has_picture = true;
        (boundary, facts)
    }

    /// Whether the slice belongs to the frame that the unit holds.
    fn continues(&self, id: &h264::SliceIdentity) -> bool {
        if id.redundant_pic_cnt > 0 {
            return true;
        }
        let Some(last) = &self.last else { return id.first_mb != 0 };
        if id.starts_new_picture(last) {
            return self.lone_field.is_some_and(|first| id.completes_frame_of(&first));
        }
        // Headers of different pictures are equal in broken streams only (every IDR picture with the same
        // idr_pic_id is a common one), and no picture begins twice.
        id.first_mb != 0 || self.begun_planes & plane(id) == 0
    }
}

/// The bit of the slice's colour plane.
const fn plane(id: &h264::SliceIdentity) -> u8 {
    1 << (id.colour_plane & 3)
}

/// H.265, 7.4.2.4.4.
#[derive(Debug, Default)]
pub(super) struct Hevc {
    pps: BTreeMap<u8, hevc::Pps>,
    /// The unit holds a slice of the base layer.
    has_picture: bool,
}

impl Hevc {
    fn classify(&mut self, head: &[u8]) -> (Boundary, Facts) {
        let Some(header) = hevc::NalHeader::parse(head).filter(|h| h.layer_id == 0) else {
            return (Boundary::Within, Facts::default());
        };
        let is_slice = header.nal_type <= 31;
        let begins = match header.nal_type {
            // first_slice_segment_in_pic_flag is the first bit behind the NAL unit header.
            0..=31 => head.get(2).is_some_and(|b| b & 0x80 != 0),
            hevc::NAL_VPS..=hevc::NAL_AUD | hevc::NAL_SEI_PREFIX | 41..=44 | 48..=55 => true,
            _ => false,
        };
        let boundary = match (self.has_picture, begins) {
            (true, true) => Boundary::Begins,
            (true, false) if is_slice => Boundary::Continues,
            _ => Boundary::Within,
        };
        self.has_picture = is_slice || (self.has_picture && boundary != Boundary::Begins);
        if !is_slice {
            return (boundary, Facts::default());
        }
        let facts = Facts {
            keyframe: hevc::is_irap(header.nal_type),
            recovery_point: false,
            has_picture: true,
            picture_type: self.picture_type(head, header.nal_type),
        };
        (boundary, facts)
    }

    fn picture_type(&self, head: &[u8], nal_type: u8) -> Option<PictureType> {
        if hevc::is_idr(nal_type) {
            return Some(PictureType::Idr);
        }
        let slice_type = hevc::SliceSegment::slice_type_of(head, |id| self.pps.get(&id)).ok()??;
        Some(match slice_type {
            hevc::SliceType::B => PictureType::B,
            hevc::SliceType::P => PictureType::P,
            hevc::SliceType::I => PictureType::I,
        })
    }
}
