//! HEVC Main, Main 10 and what else keeps to their tools, through `rusty_h265`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rusty_h265::{Decoder as Library, Error as HevcError, Frame};

use super::facts::FactsTimeline;
use super::guard::guarded;
use super::output::{Output, PictureShape, StreamFacts};
use super::planes::{Window16, pack};
use super::pool::BufferPool;
use crate::backend::demand::{Allowance, Demand, Kept};
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::bitstream::ActiveParameterSets;
use crate::bitstream::annexb::nal_units;
use crate::bitstream::hevc::{
    HevcConfig, NAL_AUD, NAL_PPS, NAL_SPS, NAL_VPS, Pps, Sps, is_irap, is_rasl, nal_type,
};
use crate::config::CommonDecodeConfig;
use crate::error::{Error, Remedy, Result};
use crate::packet::BitstreamLayout;
use crate::pixel::{Chroma, PixelFormat};

const LIBRARY: &str = "rusty_h265";

/// The library completes a picture when the next one begins, one unit late. The first slice segment of a
/// picture that refers to picture parameter set 64, which cannot exist (H.265 section 7.4.3.3.1), makes it
/// complete the picture and then refuse the rest, so that nothing else changes: `nal_unit_type` TRAIL_R,
/// `first_slice_segment_in_pic_flag` 1, `slice_pic_parameter_set_id` 64.
const END_OF_PICTURE: [u8; 4] = [0x02, 0x01, 0x81, 0x04];

/// The HEVC decoder. The library decodes on the calling thread.
pub(super) struct HevcDecoder {
    library: Library,
    output: Output,
    pool: BufferPool,
    facts: FactsTimeline,
    /// Parameter sets in force, given to every new library object: the container's, until the stream brings others.
    sets: ActiveParameterSets,
    /// Of the newest sequence parameter set.
    profile: Profile,
    allowance: Allowance,
    /// A sequence parameter set asks for more than the limits allow; nothing more is decoded.
    beyond: Option<Error>,
    /// The last random access point came behind damage, which its leading pictures may refer to.
    damage_before: bool,
    /// Picture parameter sets with `constrained_intra_pred_flag`.
    constrained: BTreeSet<u8>,
}

/// What a sequence says that it is.
#[derive(Debug, Default)]
struct Profile {
    name: String,
    /// The library has no such pictures: it finds their slices damaged.
    foreign: bool,
}

impl Profile {
    fn of(sps: &Sps) -> Self {
        let foreign = sps.chroma != Chroma::Yuv420 || sps.bit_depth_luma.max(sps.bit_depth_chroma) > 10;
        Self { name: sps.profile.profile_name(), foreign }
    }

    fn refused(&self, why: Option<&str>) -> Error {
        let why = why.map_or_else(String::new, |why| format!(" ({LIBRARY}: {why})"));
        Error::Unsupported {
            feature: format!("HEVC {}", self.name),
            remedy: Remedy::OtherDevice(format!("re-encode as Main or Main 10{why}").into()),
        }
    }
}

/// What the NAL unit headers of an access unit tell.
#[derive(Clone, Copy, Debug, Default)]
struct UnitKind {
    coded_slices: bool,
    random_access: bool,
    skipped_leading: bool,
    /// A leading picture that may refer to pictures before the random access point.
    rasl: bool,
}

impl UnitKind {
    const fn why_no_picture(self) -> &'static str {
        if self.skipped_leading {
            "leading picture that refers to pictures before the random access point"
        } else if self.coded_slices {
            "the picture is not for output, or precedes the first random access point"
        } else {
            "no coded picture in the unit"
        }
    }
}

impl HevcDecoder {
    pub(super) fn open(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Self> {
        let mut sets = ActiveParameterSets::new(config.codec);
        if let Some(record) = &config.codec_config {
            sets.take(HevcConfig::parse(record)?.units());
        }
        let mut decoder = Self {
            library: Library::new(),
            output: Output::new(config, sink),
            pool: BufferPool::default(),
            facts: FactsTimeline::default(),
            sets,
            profile: Profile::default(),
            allowance: Allowance::of(&config.limits),
            beyond: None,
            damage_before: false,
            constrained: BTreeSet::new(),
        };
        decoder.restart();
        Ok(decoder)
    }

    /// A fresh library object with the parameter sets in force. Errors in those show again, with a
    /// serial, when a slice needs them.
    fn restart(&mut self) {
        self.library = Library::new();
        for set in self.sets.units() {
            if let Ok(sps) = Sps::parse(set) {
                if let Err(error) = check(&sps, &mut self.allowance) {
                    self.beyond.get_or_insert(error);
                    continue;
                }
                self.facts.set(0, facts(&sps));
                self.profile = Profile::of(&sps);
            }
            let (library, given) = (&mut self.library, judged_by_tools(set));
            let _ = guarded(LIBRARY, || library.push_nal(&given, None));
            note_constrained(set, &mut self.constrained);
        }
    }

    /// Feeds one access unit; the first error wins.
    fn decode(&mut self, unit: &CodedUnit) -> (UnitKind, Result<()>) {
        let mut kind = UnitKind::default();
        let mut outcome = Ok(());
        let rasl_before = self.library.stats.skipped_rasl;
        let pts = i64::try_from(unit.serial).ok();
        for nal in nal_units(&unit.packet.data) {
            let nal_type = nal_type(nal).unwrap_or(NAL_AUD);
            kind.coded_slices |= nal_type < NAL_VPS;
            kind.random_access |= is_irap(nal_type);
            kind.rasl |= is_rasl(nal_type);
            if nal_type == NAL_SPS
                && let Ok(sps) = Sps::parse(nal)
            {
                if let Err(error) = check(&sps, &mut self.allowance) {
                    return (kind, Err(error));
                }
                self.facts.set(unit.serial, facts(&sps));
                self.profile = Profile::of(&sps);
            }
            note_constrained(nal, &mut self.constrained);
            self.sets.take(std::iter::once(nal));
            if nal_type < NAL_VPS && self.profile.foreign {
                outcome = outcome.and(Err(self.profile.refused(None)));
                continue;
            }
            // What an inter picture may then predict from was not shown to be what the library takes.
            if nal_type < NAL_VPS && !is_irap(nal_type) && !self.constrained.is_empty() {
                outcome = outcome.and(Err(Error::Unsupported {
                    feature: super::HEVC_CONSTRAINED.into(),
                    remedy: Remedy::OtherDevice("re-encode without it".into()),
                }));
                continue;
            }
            let (library, given) = (&mut self.library, judged_by_tools(nal));
            match guarded(LIBRARY, || library.push_nal(&given, pts)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => outcome = outcome.and(Err(translate(error, &self.profile))),
                Err(panicked) => return (kind, Err(self.lost(panicked))),
            }
        }
        kind.skipped_leading = self.library.stats.skipped_rasl > rasl_before;
        let library = &mut self.library;
        // The refusal of the made-up slice is the expected answer.
        if let Err(panicked) = guarded(LIBRARY, || library.push_nal(&END_OF_PICTURE, None)) {
            return (kind, Err(self.lost(panicked)));
        }
        (kind, outcome)
    }

    /// The library panicked: everything it held is lost, and it starts afresh.
    fn lost(&mut self, panicked: Error) -> Error {
        self.restart();
        let message = panicked.to_string();
        self.output.fail_all(|| Error::corrupt(message.clone()));
        panicked
    }

    fn deliver_ready(&mut self) {
        while let Ok(frame) = self.library.next_frame() {
            // Every picture carries the serial of the unit that started it; a second picture in the same
            // unit has none and cannot be told apart.
            if let Some(serial) = frame.pts.and_then(|p| u64::try_from(p).ok()) {
                self.deliver(serial, &frame);
            }
        }
    }

    fn deliver(&mut self, serial: u64, frame: &Frame) {
        let picture = &frame.picture;
        let depth =
            if picture.bit_depth_luma == picture.bit_depth_chroma { picture.bit_depth_luma } else { 0 };
        let shape = PictureShape::new(frame.width, frame.height, PixelFormat::planar(Chroma::Yuv420, depth));
        let shape = match shape {
            Ok(shape) => shape,
            Err(error) => return self.output.failed(serial, error),
        };
        let (left, top, width, height) = picture.crop;
        let pool = &self.pool;
        self.output.picture(serial, shape, &self.facts.at(serial), true, || {
            (0..3)
                .map(|i| {
                    let (plane, s) = (&picture.planes[i], usize::from(i > 0));
                    let window = Window16 {
                        samples: &plane.data,
                        stride: plane.stride,
                        left: left >> s,
                        top: top >> s,
                        width: (width + s) >> s,
                        height: (height + s) >> s,
                    };
                    pack(pool, window, depth > 8)
                })
                .collect()
        });
    }
}

/// Refuses a sequence whose pictures would take more than the limits allow. The library keeps 16 bits a sample, and the
/// motion of 4x4 blocks (24 bytes a block); beside the decoded picture buffer it has the picture at hand with what it knows
/// of its blocks, copies of its planes for the loop filters, and up to six pictures to be used again.
fn check(sps: &Sps, allowance: &mut Allowance) -> Result<()> {
    let demand = Demand {
        width: sps.width,
        height: sps.height,
        chroma: sps.chroma,
        bit_depth: sps.bit_depth_luma.max(sps.bit_depth_chroma),
    };
    let each = 2 * demand.samples() + demand.pixels() * 24 / 16;
    let pictures = u64::from(sps.ordering.max_dec_pic_buffering) + 7;
    allowance.check(demand, Kept { pictures, each, work: 4 * demand.pixels(), waiting: 0 })
}

/// A NAL unit as the library gets it. A sequence of the format range extensions' profiles need not use any of their tools:
/// Main Intra, which x265 states where every picture is a key frame, is Main in all else (H.265 section A.3.5). The library
/// refuses by the profile and, again, by each tool; with 4:2:0 it is told Main 10, so that the tools decide.
fn judged_by_tools(nal: &[u8]) -> Cow<'_, [u8]> {
    const RANGE_EXTENSIONS: u8 = 4;
    const MAIN_10: u8 = 2;
    // Behind the header and one byte of the SPS: `general_profile_space` (2 bits), `general_tier_flag`, `general_profile_idc`.
    const PROFILE: usize = 3;
    match nal.get(PROFILE) {
        Some(byte) if nal_type(nal) == Some(NAL_SPS) && byte & 0x1f == RANGE_EXTENSIONS => {
            if !Sps::parse(nal).is_ok_and(|sps| !Profile::of(&sps).foreign) {
                return Cow::Borrowed(nal);
            }
            let mut told = nal.to_vec();
            if let Some(byte) = told.get_mut(PROFILE) {
                *byte = *byte & !0x1f | MAIN_10;
            }
            Cow::Owned(told)
        }
        _ => Cow::Borrowed(nal),
    }
}

fn facts(sps: &Sps) -> StreamFacts {
    StreamFacts {
        color: sps.color(),
        sample_aspect_ratio: sps.vui.as_ref().and_then(|v| v.sample_aspect_ratio),
        frame_rate: sps.vui.as_ref().and_then(|v| v.frame_rate),
    }
}

/// Keeps the numbers of the picture parameter sets that constrain intra prediction.
fn note_constrained(nal: &[u8], constrained: &mut BTreeSet<u8>) {
    if nal_type(nal) != Some(NAL_PPS) {
        return;
    }
    if let Ok(pps) = Pps::parse(nal) {
        if pps.constrained_intra_pred {
            constrained.insert(pps.id);
        } else {
            constrained.remove(&pps.id);
        }
    }
}

fn translate(error: HevcError, profile: &Profile) -> Error {
    match error {
        // A tool outside the profile that the stream states: the library knows it better.
        HevcError::Unsupported(what)
            if matches!(&*profile.name, "Main" | "Main 10" | "Main Still Picture") =>
        {
            Error::Unsupported {
                feature: format!("HEVC {what}"),
                remedy: Remedy::OtherDevice("re-encode".into()),
            }
        }
        HevcError::Unsupported(what) => profile.refused(Some(&what)),
        other => Error::corrupt(format!("{LIBRARY}: {other}")),
    }
}

impl DecoderBackend for HevcDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        let serial = unit.serial;
        self.output.accept(&unit, unit.packet.keyframe);
        if let Some(beyond) = self.beyond.take() {
            return Err(beyond);
        }
        let (kind, outcome) = self.decode(&unit);
        self.output.set_keyframe(serial, kind.random_access);
        if let Err(error @ Error::LimitExceeded { .. }) = outcome {
            // Pictures before it are whole.
            self.flush()?;
            return Err(error);
        }
        if kind.random_access {
            self.damage_before = self.output.is_in_doubt();
            self.output.trust_from(serial);
        }
        if kind.rasl && self.damage_before {
            self.output.doubt(serial);
        }
        if let Err(error) = outcome {
            self.output.doubt_from(serial);
            self.output.failed(serial, error);
        }
        self.deliver_ready();
        // What waits for its turn stays open; everything else will never come out.
        let waiting = |dpb: &[rusty_h265::decoder::DpbEntry], serial: u64| {
            dpb.iter()
                .any(|e| e.needed_for_output && e.pts.and_then(|p| u64::try_from(p).ok()) == Some(serial))
        };
        if !waiting(self.library.dpb(), serial) {
            self.output.no_picture(serial, kind.why_no_picture());
        }
        if kind.random_access {
            let dpb = self.library.dpb();
            self.output.settle_unless("discarded by no_output_of_prior_pics_flag", |s| waiting(dpb, s));
            self.facts.prune(self.output.oldest_open().unwrap_or(serial));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let library = &mut self.library;
        match guarded(LIBRARY, || library.flush()) {
            Ok(()) => self.deliver_ready(),
            Err(panicked) => {
                self.lost(panicked);
            }
        }
        self.output.settle_before(u64::MAX, "not for output");
        self.output.trust_from(u64::MAX - 1);
        self.damage_before = false;
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        LIBRARY
    }
}
