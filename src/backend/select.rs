//! Choosing a backend, and the receipt that explains the choice.
//!
//! The candidate list is data, `select` is a pure function of it: that is what makes "never silent" testable.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::admission::Wish;
use super::split::SplitReport;
use super::vendors::{self, NOT_BUILT, VENDORS, calls, vendor};
use super::{BackendKind, DecodeSink, DecoderBackend, Download, EncodeSink, EncoderBackend};
use crate::capability::{
    CapabilityReport, DeviceInfo, DeviceMemory, EncodeCapability, HostSessions, Utilization,
};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;

/// What the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Backend {
    /// The best that works here, in the order of [`CANDIDATES`].
    #[default]
    Auto,
    /// This one or an error that says why not.
    Only(BackendKind),
}

impl From<BackendKind> for Backend {
    fn from(kind: BackendKind) -> Self {
        Self::Only(kind)
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        if s.eq_ignore_ascii_case("auto") { Ok(Self::Auto) } else { s.parse().map(Self::Only) }
    }
}

/// Backends in order of preference. Those that this version does not contain are listed too, so that a
/// receipt can say so.
pub const CANDIDATES: [BackendKind; 4] = {
    let mut kinds = [VENDORS[0].kind; VENDORS.len()];
    let mut at = 1;
    while at < kinds.len() {
        kinds[at] = VENDORS[at].kind;
        at += 1;
    }
    kinds
};

/// The step at which a candidate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Not contained in this build.
    Build,
    /// Library, driver or device not there.
    Device,
    /// Codec, feature or setting not supported.
    Capability,
    /// The driver's session limit.
    SessionLimit,
    /// Opening failed otherwise.
    Open,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "build",
            Self::Device => "device",
            Self::Capability => "capability",
            Self::SessionLimit => "session limit",
            Self::Open => "open",
        })
    }
}

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does the job, with this codec library or engine.
    Chosen(&'static str),
    /// It was tried and could not.
    Refused {
        /// Where it failed.
        step: Step,
        /// Why, and what to do.
        reason: String,
    },
    /// An earlier candidate was chosen, or the caller named another.
    NotTried,
}

impl Verdict {
    /// Of a candidate that could not, for this reason.
    pub(crate) fn refused(error: &Error) -> Self {
        Self::Refused { step: refusal_step(error), reason: error.to_string() }
    }
}

/// Decode or encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Decoding.
    Decode,
    /// Encoding.
    Encode,
}

/// Why this backend runs and the others do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What was to be done.
    pub job: Job,
    /// In which codec.
    pub codec: Codec,
    /// Every candidate, in order of preference.
    pub entries: Vec<(BackendKind, Verdict)>,
    /// How the stream was shared out, where several decoders were wanted.
    pub split: Option<SplitReport>,
    /// What the caller should know of how the chosen one was opened.
    pub notes: Vec<String>,
}

impl Receipt {
    /// The backend that was chosen, and its codec library or engine.
    pub fn chosen(&self) -> Option<(BackendKind, &'static str)> {
        self.entries.iter().find_map(|(kind, verdict)| match verdict {
            Verdict::Chosen(implementation) => Some((*kind, *implementation)),
            Verdict::Refused { .. } | Verdict::NotTried => None,
        })
    }

    /// The chosen candidate could not go on for this reason; `rest` tells what became of those behind it.
    pub(super) fn replace_chosen(&mut self, error: &Error, rest: Self) {
        self.entries.retain(|(kind, _)| !rest.entries.iter().any(|(other, _)| other == kind));
        for (_, verdict) in &mut self.entries {
            if matches!(verdict, Verdict::Chosen(_)) {
                *verdict = Verdict::Refused { step: refusal_step(error), reason: error.to_string() };
            }
        }
        self.entries.extend(rest.entries);
    }

    pub(crate) fn given(job: Job, codec: Codec, kind: BackendKind, implementation: &'static str) -> Self {
        let entries = vec![(kind, Verdict::Chosen(implementation))];
        Self { job, codec, entries, split: None, notes: Vec::new() }
    }
}

impl fmt::Display for Receipt {
    /// What was chosen, in one line: `h264 decode: software (rusty_h264)`. `{:#}` adds who was refused before it, and why; so does
    /// a receipt in which nothing was chosen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = match self.job {
            Job::Decode => "decode",
            Job::Encode => "encode",
        };
        match self.chosen() {
            Some((kind, implementation)) => write!(f, "{} {job}: {kind} ({implementation})", self.codec)?,
            None => write!(f, "{} {job}: no backend", self.codec)?,
        }
        for (kind, verdict) in &self.entries {
            if let Verdict::Refused { step, reason } = verdict
                && (f.alternate() || self.chosen().is_none())
            {
                write!(f, "; {kind} refused at {step}: {reason}")?;
            }
        }
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

/// Tries candidates in order until one opens.
///
/// # Errors
/// The refusal of the only candidate asked for, or of the last one tried.
fn select<T>(
    wanted: Backend,
    job: Job,
    codec: Codec,
    candidates: &[BackendKind],
    mut open: impl FnMut(BackendKind) -> Result<T>,
    implementation: impl Fn(&T) -> &'static str,
) -> Result<(T, Receipt)> {
    let mut entries = Vec::new();
    let mut opened = None;
    let mut last_error = None;
    for &kind in candidates {
        let asked = wanted == Backend::Auto || wanted == Backend::Only(kind);
        let verdict = if opened.is_some() || !asked {
            Verdict::NotTried
        } else {
            match open(kind) {
                Ok(backend) => {
                    let name = implementation(&backend);
                    opened = Some(backend);
                    Verdict::Chosen(name)
                }
                // Nobody wants another one then.
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => {
                    let step = refusal_step(&error);
                    let reason = error.to_string();
                    if says_more(kind, &error, last_error.as_ref()) {
                        last_error = Some(error);
                    }
                    Verdict::Refused { step, reason }
                }
            }
        };
        entries.push((kind, verdict));
    }
    match opened {
        Some(backend) => Ok((backend, Receipt { job, codec, entries, split: None, notes: Vec::new() })),
        None => Err(last_error.unwrap_or_else(|| match wanted {
            Backend::Only(kind) => Error::invalid(format!("backend {kind} cannot be selected by name")),
            Backend::Auto => Error::invalid("no backend candidates"),
        })),
    }
}

/// Whether a refusal is more to the point than the one before it. That a backend is not there, or that an optional program
/// is not installed, is no answer where another backend has said what it cannot do.
fn says_more(kind: BackendKind, error: &Error, before: Option<&Error>) -> bool {
    match before {
        None => true,
        Some(Error::Unavailable { .. }) => {
            !vendor(kind).is_child || !matches!(error, Error::Unavailable { .. })
        }
        Some(_) => !matches!(error, Error::Unavailable { .. }),
    }
}

fn refusal_step(error: &Error) -> Step {
    match error {
        Error::Unavailable { reason, .. } if reason == NOT_BUILT => Step::Build,
        Error::Unavailable { .. } | Error::DeviceLost { .. } => Step::Device,
        Error::Unsupported { .. } | Error::InvalidInput { .. } => Step::Capability,
        Error::SessionLimit { .. } => Step::SessionLimit,
        _ => Step::Open,
    }
}

/// Opens the first of the candidates from `first` on that takes the job; the ones before stay out of the receipt.
pub(super) fn open_decoder_from(
    first: usize,
    wanted: Backend,
    config: &CommonDecodeConfig,
    download: &Download,
    sink: &dyn Fn() -> DecodeSink,
) -> Result<(Box<dyn DecoderBackend>, Receipt)> {
    let open = |kind| (calls(kind)?.open_decoder)(config, download, sink());
    let candidates = CANDIDATES.get(first..).unwrap_or_default();
    let (decoder, mut receipt) =
        select(wanted, Job::Decode, config.codec, candidates, open, |b| b.implementation())?;
    receipt.notes.extend(receipt.chosen().and_then(|(kind, _)| kind.device_note(config.device.as_deref())));
    Ok((decoder, receipt))
}

pub(crate) fn open_encoder(
    wanted: Backend,
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: impl Fn() -> EncodeSink,
) -> Result<(Box<dyn EncoderBackend>, Receipt)> {
    let plain = config.hdr_optional.then(|| CommonEncodeConfig {
        mastering_display: None,
        content_light: None,
        ..config.clone()
    });
    let open = |kind: BackendKind| {
        let config = plain.as_ref().filter(|_| kind.leaves_out_hdr(config)).unwrap_or(config);
        (calls(kind)?.open_encoder)(config, special, sink())
    };
    let (backend, mut receipt) =
        select(wanted, Job::Encode, config.codec, &CANDIDATES, open, |b| b.implementation())?;
    receipt.notes = backend.notes();
    let chosen = receipt.chosen();
    receipt.notes.extend(chosen.and_then(|(kind, implementation)| kind.hdr_note(config, implementation)));
    receipt.notes.extend(chosen.and_then(|(kind, _)| kind.device_note(config.device.as_deref())));
    Ok((backend, receipt))
}

/// What is known of a job before the format of its frames is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormatQuestion<'a> {
    pub(crate) codec: Codec,
    pub(crate) size: Dimensions,
    pub(crate) device: Option<&'a str>,
    pub(crate) special: &'a BackendEncodeConfig,
    /// How a session is asked for, where the question takes one.
    pub(crate) wish: Wish<'a>,
}

/// The format in which frames should reach the encoder that will be chosen: `native` where it is taken, else
/// the taken format that keeps most of it.
///
/// # Errors
/// When no backend here encodes the codec at all.
pub(crate) fn pick_input_format(
    wanted: Backend,
    asked: &FormatQuestion<'_>,
    native: PixelFormat,
) -> Result<PixelFormat> {
    let FormatQuestion { codec, size, .. } = *asked;
    let mut last_error = None;
    let mut wrong = None;
    for kind in CANDIDATES.into_iter().filter(|k| wanted == Backend::Auto || wanted == Backend::Only(*k)) {
        let encode = match encode_capability(kind, asked) {
            Ok(Some(encode)) => encode,
            Ok(None) => {
                last_error = Some(Error::unsupported(format!("{kind} does not encode {codec}")));
                continue;
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                if says_more(kind, &error, last_error.as_ref()) {
                    last_error = Some(error);
                }
                continue;
            }
        };
        // One that will refuse the job must not choose the format for the next; by itself it says why.
        if wanted == Backend::Auto && !asked.special.fits(kind) {
            continue;
        }
        if wanted == Backend::Auto && !size_fits(&encode, size) {
            // Of several the one whose limit is the nearest.
            let small = size.pixels() < encode.min.pixels();
            let off = if small { encode.min.pixels() } else { u64::MAX - encode.max.pixels() };
            if wrong.as_ref().is_none_or(|(nearest, _)| off < *nearest) {
                wrong = Some((off, wrong_size(kind, codec, &encode, size)));
            }
            continue;
        }
        let loss = |f: &PixelFormat| {
            let bits = native.bit_depth().saturating_sub(f.bit_depth());
            (*f != native, bits, f.chroma() != native.chroma(), f.bit_depth())
        };
        if let Some(best) = encode.formats.into_iter().min_by_key(loss) {
            return Ok(best);
        }
    }
    let wrong = wrong.map(|(_, error)| error);
    Err(wrong.or(last_error).unwrap_or_else(|| Error::unsupported(format!("encoding {codec} at {size}"))))
}

/// What frames in a device's memory may be for the encoder that will be chosen, by the rule of the candidates: none is
/// opened for it. `None`: it reads host memory alone. It may still turn out that another encodes, when this one has no
/// session left; then frames have to be brought to it.
///
/// # Errors
/// Why the encoder there is could not be asked: [`Error::SessionLimit`], a failing driver.
pub(crate) fn device_input_formats(
    wanted: Backend,
    asked: &FormatQuestion<'_>,
) -> Result<Option<Vec<PixelFormat>>> {
    let may_choose =
        |kind| wanted == Backend::Auto && asked.special.fits(kind) || wanted == Backend::Only(kind);
    let Some((kind, cards)) = vendors::cards().find(|(kind, _)| may_choose(*kind)) else { return Ok(None) };
    let encode = match encode_capability(kind, asked) {
        Ok(Some(encode)) => encode,
        // There is none, which whoever opens it says better.
        Ok(None)
        | Err(Error::Unavailable { .. } | Error::InvalidInput { .. } | Error::Unsupported { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let formats = encode.formats.iter().copied().filter(|format| (cards.reads)(*format)).collect();
    Ok(size_fits(&encode, asked.size).then_some(formats))
}

/// As in the report of [`query_device_capability`], but with the reason where a backend cannot encode at all.
fn encode_capability(kind: BackendKind, asked: &FormatQuestion<'_>) -> Result<Option<EncodeCapability>> {
    (calls(kind)?.encode_capability)(asked.device, asked.codec, asked.special, &asked.wish)
}

fn wrong_size(kind: BackendKind, codec: Codec, encode: &EncodeCapability, size: Dimensions) -> Error {
    let EncodeCapability { implementation, min, max, .. } = encode;
    Error::Unsupported {
        feature: format!("encoding {codec} at {size}: {kind} ({implementation}) takes {min} to {max}"),
        remedy: Remedy::Size,
    }
}

/// Either orientation: some encoders limit the longer and the shorter side.
fn size_fits(encode: &EncodeCapability, size: Dimensions) -> bool {
    let within = |width: u32, height: u32| {
        (encode.min.width()..=encode.max.width()).contains(&width)
            && (encode.min.height()..=encode.max.height()).contains(&height)
    };
    within(size.width(), size.height()) || within(size.height(), size.width())
}

/// What each backend can do with `codec` on this machine.
pub fn query_capability(codec: Codec) -> Vec<(BackendKind, Result<CapabilityReport>)> {
    CANDIDATES.into_iter().map(|kind| (kind, query_backend_capability(kind, codec))).collect()
}

/// What one backend can do with `codec` on this machine, on its first device.
///
/// # Errors
/// [`Error::Unavailable`] when the backend cannot run here at all.
pub fn query_backend_capability(backend: BackendKind, codec: Codec) -> Result<CapabilityReport> {
    query_device_capability(backend, codec, None)
}

/// What one device of a backend can do with `codec`; `device` as in [`CommonDecodeConfig::device`].
///
/// # Errors
/// [`Error::Unavailable`] when the backend cannot run here at all, [`Error::InvalidInput`] for a device that is not
/// there.
pub fn query_device_capability(
    backend: BackendKind,
    codec: Codec,
    device: Option<&str>,
) -> Result<CapabilityReport> {
    let calls = calls(backend)?;
    let decode = (calls.decode_capability)(device, codec)?;
    let encode = (calls.encode_capability)(device, codec, &BackendEncodeConfig::None, &Wish::default());
    // A card that decodes need not have an encoder, nor a container its library.
    let (encode, no_encoder) = match encode {
        Err(Error::Unavailable { reason, remedy, .. }) if calls.cards.is_some() => {
            (None, Some(format!("{reason}. {remedy}")))
        }
        Err(error @ Error::SessionLimit { .. }) if calls.cards.is_some() => (None, Some(error.to_string())),
        answer => (answer?, None),
    };
    Ok(CapabilityReport { backend, codec, decode, encode, no_encoder })
}

/// The devices of a backend, in the order of their ordinals; none where the backend runs on the CPU.
///
/// # Errors
/// [`Error::Unavailable`] when the backend cannot run here at all.
pub fn devices(backend: BackendKind) -> Result<Vec<DeviceInfo>> {
    (calls(backend)?.devices)()
}

/// The encode sessions that are open on a device, or on all that share its limit; `None` where sessions have none.
/// `device` as in [`CommonDecodeConfig::device`].
///
/// # Errors
/// As [`query_device_capability`].
pub fn encode_sessions(backend: BackendKind, device: Option<&str>) -> Result<Option<HostSessions>> {
    calls(backend)?.cards.map(|cards| (cards.encode_sessions)(device)).transpose()
}

/// A device that stays started; see [`hold_device`].
#[derive(Debug)]
pub struct HeldDevice {
    _state: Option<Arc<dyn fmt::Debug + Send + Sync>>,
}

/// Keeps what a driver starts for a device until the value is dropped, for whoever asks it several things one after the
/// other, or opens sessions now and then: a card's context takes up to a second to make, and goes with its last user.
/// `device` as in [`CommonDecodeConfig::device`].
///
/// # Errors
/// As [`query_device_capability`].
pub fn hold_device(backend: BackendKind, device: Option<&str>) -> Result<HeldDevice> {
    let cards = vendors::cards().find(|(kind, _)| *kind == backend);
    Ok(HeldDevice { _state: cards.map(|(_, cards)| (cards.hold)(device)).transpose()? })
}

/// What is free of a device's memory; `None` where a backend uses the host's. `device` as in
/// [`CommonDecodeConfig::device`].
///
/// # Errors
/// As [`query_device_capability`].
pub fn device_memory(backend: BackendKind, device: Option<&str>) -> Result<Option<DeviceMemory>> {
    calls(backend)?.cards.map(|cards| (cards.memory)(device)).transpose()
}

/// How busy a device is, whoever keeps it so; `None`: the backend has no devices, or nothing on this machine tells. Asks the
/// driver's management library, which takes up to some milliseconds and looks at the last second at most: nothing for each
/// frame.
///
/// # Errors
/// As [`query_device_capability`].
pub fn utilization(backend: BackendKind, device: Option<&str>) -> Result<Option<Utilization>> {
    Ok(busy_device(backend, device)?.map(|(_, busy)| busy))
}

/// As [`utilization`], with the device's identifier.
pub(crate) fn busy_device(
    backend: BackendKind,
    device: Option<&str>,
) -> Result<Option<(String, Utilization)>> {
    calls(backend)?.cards.map_or(Ok(None), |cards| (cards.utilization)(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_select(wanted: Backend, works: &[BackendKind]) -> Result<(BackendKind, Receipt)> {
        let open = |kind| {
            if works.contains(&kind) {
                Ok(kind)
            } else {
                Err(Error::Unavailable { backend: kind, reason: "no device".into(), remedy: Remedy::None })
            }
        };
        select(wanted, Job::Decode, Codec::H264, &CANDIDATES, open, |_| "fake")
    }

    #[test]
    fn auto_takes_the_first_that_opens_and_says_why_not_the_others() {
        let (kind, receipt) = try_select(Backend::Auto, &[BackendKind::Software]).unwrap();
        assert_eq!(kind, BackendKind::Software);
        assert_eq!(receipt.chosen(), Some((BackendKind::Software, "fake")));
        assert!(matches!(receipt.entries[0].1, Verdict::Refused { step: Step::Device, .. }));
        assert!(
            format!("{receipt:#}").contains("nvidia refused at device: nvidia is not available: no device")
        );
    }

    #[test]
    fn candidates_behind_the_chosen_one_are_not_tried() {
        let all = [BackendKind::Nvidia, BackendKind::Software];
        let (kind, receipt) = try_select(Backend::Auto, &all).unwrap();
        assert_eq!(kind, BackendKind::Nvidia);
        assert_eq!(receipt.entries[2].1, Verdict::NotTried);
    }

    #[test]
    fn what_a_backend_cannot_do_is_told_before_which_are_not_there() {
        let open = |kind| -> Result<()> {
            Err(match kind {
                BackendKind::Nvidia => Error::unsupported("8x8"),
                kind => Error::Unavailable { backend: kind, reason: "no".into(), remedy: Remedy::None },
            })
        };
        let err = select(Backend::Auto, Job::Encode, Codec::H264, &CANDIDATES, open, |()| "").unwrap_err();
        assert!(matches!(err, Error::Unsupported { .. }), "{err}");
    }

    #[test]
    fn a_size_that_no_encoder_takes_is_told_with_the_sizes_it_takes() {
        let special = BackendEncodeConfig::Software(crate::config::SoftwareEncodeConfig::default());
        let size = Dimensions::new(8, 8).unwrap();
        let asked = FormatQuestion {
            codec: Codec::H264,
            size,
            device: None,
            special: &special,
            wish: Wish::default(),
        };
        let err = pick_input_format(Backend::Auto, &asked, PixelFormat::I420).unwrap_err().to_string();
        for word in ["8x8", "software", "16x16", "`size`"] {
            assert!(err.contains(word), "no {word} in: {err}");
        }
    }

    #[test]
    fn a_receipt_is_one_short_line_and_tells_of_refusals_on_request() {
        let refused = |reason: &str| Verdict::Refused { step: Step::Device, reason: reason.to_owned() };
        let mut receipt = Receipt::given(Job::Decode, Codec::H264, BackendKind::Software, "rusty_h264");
        receipt.entries.insert(0, (BackendKind::Nvidia, refused("no driver")));
        assert_eq!(receipt.to_string(), "h264 decode: software (rusty_h264)");
        let full = "h264 decode: software (rusty_h264); nvidia refused at device: no driver";
        assert_eq!(format!("{receipt:#}"), full);
        receipt.entries.truncate(1);
        assert_eq!(receipt.to_string(), "h264 decode: no backend; nvidia refused at device: no driver");
    }

    #[test]
    fn a_named_backend_is_never_replaced() {
        let err = try_select(Backend::Only(BackendKind::Nvidia), &[BackendKind::Software]).unwrap_err();
        assert!(matches!(err, Error::Unavailable { backend: BackendKind::Nvidia, .. }));
        assert!(try_select(Backend::Only(BackendKind::Custom), &[BackendKind::Custom]).is_err());
    }
}
