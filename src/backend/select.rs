//! Choosing a backend; a [`Receipt`] explains the choice.
//!
//! The candidate list is data, `select` is a pure function of it: that is what makes "never silent" testable. Encoders are
//! tried in the order of [`Candidate::ORDER`], which is written in the table of engines and nowhere else.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use super::admission::SessionRequest;
use super::formats::rearranged;
use super::refusals::Refusals;
use super::vendors::{self, Candidate, VENDORS, calls};
use super::{
    BackendKind, DecodeSink, DecoderBackend, Downloads, EncodeSink, EncoderBackend, Job, Receipt, Verdict,
};
use crate::capability::{
    CapabilityReport, DeviceInfo, DeviceMemory, EncodeCapability, HostSessions, Utilization,
};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig};
use crate::error::{Error, Result};
use crate::pixel::PixelFormat;

/// What the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Backend {
    /// The best that works here: of decoders in the order of [`CANDIDATES`], of encoders in that of [`Candidate::ORDER`].
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

/// Backends in the order in which decoders are tried. Those that this version does not contain are listed too, so that a
/// receipt can say so.
pub const CANDIDATES: [BackendKind; vendors::VENDORS.len()] = {
    let mut kinds = [VENDORS[0].kind; VENDORS.len()];
    let mut at = 1;
    while at < kinds.len() {
        kinds[at] = VENDORS[at].kind;
        at += 1;
    }
    kinds
};

/// A turn of a candidate in a selection.
pub(super) struct Turn {
    pub(super) candidate: Candidate,
    pub(super) kind: BackendKind,
    /// The caller has not named another.
    pub(super) asked: bool,
    /// The settings are those of another backend.
    foreign: bool,
    /// It is passed over for this reason; it has another turn when nobody else does the job.
    pub(super) put_off: Option<Error>,
}

/// Tries candidates, each in its turn, until one opens.
///
/// # Errors
/// The refusal that says most of why the job cannot be done.
fn select<T>(
    wanted: Backend,
    job: Job,
    codec: Codec,
    turns: Vec<Turn>,
    mut open: impl FnMut(&Turn) -> Result<T>,
    implementation: impl Fn(&T) -> &'static str,
) -> Result<(T, Receipt)> {
    let mut entries: Vec<(Candidate, Verdict)> = Vec::new();
    let mut opened = None;
    let mut refusals = Refusals::new(job, codec);
    for turn in turns {
        let again = entries.iter().position(|(known, _)| *known == turn.candidate);
        if again.is_some() && opened.is_some() {
            continue;
        }
        let verdict = if opened.is_some() || !turn.asked {
            Verdict::NotTried
        } else {
            match turn.put_off.as_ref().map_or_else(|| open(&turn), |why| Err(why.clone())) {
                Ok(backend) => {
                    let name = implementation(&backend);
                    opened = Some(backend);
                    Verdict::Chosen(name)
                }
                // Nobody wants another one then.
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => {
                    let verdict = Verdict::refused(&error);
                    refusals.add(turn.candidate, turn.foreign, error);
                    verdict
                }
            }
        };
        match again.and_then(|at| entries.get_mut(at)) {
            Some((_, before)) => *before = verdict,
            None => entries.push((turn.candidate, verdict)),
        }
    }
    if let Some(backend) = opened {
        return Ok((backend, Receipt { job, codec, entries, split: None, notes: Vec::new() }));
    }
    let error = refusals.told().unwrap_or_else(|| nobody(wanted));
    Err(if wanted == Backend::Auto { error.after_every_backend() } else { error })
}

/// Nobody could even be asked.
fn nobody(wanted: Backend) -> Error {
    match wanted {
        Backend::Only(kind) if CANDIDATES.contains(&kind) => match calls(kind) {
            Err(error) => error,
            Ok(_) => Error::invalid(format!("{kind} has none of what was asked for")),
        },
        Backend::Only(kind) => Error::invalid(format!("backend {kind} cannot be selected by name")),
        Backend::Auto => Error::invalid("no backend candidates"),
    }
}

/// The turns of decoders.
fn decoders(wanted: Backend, kinds: &[BackendKind]) -> Vec<Turn> {
    let turn = |kind: &BackendKind| Turn {
        candidate: Candidate::of(*kind),
        kind: *kind,
        asked: wanted == Backend::Auto || wanted == Backend::Only(*kind),
        foreign: false,
        put_off: None,
    };
    kinds.iter().map(turn).collect()
}

/// The turns of encoders.
pub(super) fn encoders(wanted: Backend, low_latency: bool, special: &BackendEncodeConfig) -> Vec<Turn> {
    let turn = |(candidate, put_off): (Candidate, Option<Error>)| {
        let kind = candidate.backend();
        let asked = wanted == Backend::Auto || wanted == Backend::Only(kind);
        let foreign = !special.fits(kind);
        Turn { candidate, kind, asked: asked && candidate.is_meant_by(special), foreign, put_off }
    };
    let order = match wanted {
        Backend::Auto => in_turn(&Candidate::ORDER, low_latency),
        Backend::Only(_) => in_turn(&Candidate::ORDER, false),
    };
    order.into_iter().map(turn).collect()
}

/// The candidates in the order in which they are tried, and why one is passed over until all others have refused: an encoder in a
/// process of its own takes the time of a program's start for each key frame that is asked for and each change of the bit rate, so
/// where latency counts one that is at hand comes first.
pub(crate) fn in_turn(order: &[Candidate], low_latency: bool) -> Vec<(Candidate, Option<Error>)> {
    let put_off = low_latency && order.iter().any(|candidate| !candidate.is_child());
    let why = |candidate: Candidate| {
        Error::Unsupported {
        feature: format!("low latency with {} while another encoder does it", candidate.label()),
        remedy: "a child process is started anew for a key frame or another bit rate; name that backend to have it all the same"
            .into(),
    }
    };
    let first = order.iter().map(|c| (*c, (put_off && c.is_child()).then(|| why(*c))));
    let again = order.iter().filter(|c| put_off && c.is_child()).map(|c| (*c, None));
    first.chain(again).collect()
}

/// Opens the first of the candidates from `first` on that takes the job; the ones before stay out of the receipt.
pub(crate) fn open_decoder_from(
    first: usize,
    wanted: Backend,
    config: &CommonDecodeConfig,
    downloads: &Downloads,
    sink: &dyn Fn() -> DecodeSink,
) -> Result<(Box<dyn DecoderBackend>, Receipt)> {
    let open = |turn: &Turn| (calls(turn.kind)?.open_decoder)(config, &downloads.of(turn.kind), sink());
    let turns = decoders(wanted, CANDIDATES.get(first..).unwrap_or_default());
    let (decoder, mut receipt) =
        select(wanted, Job::Decode, config.codec, turns, open, |b| b.implementation())?;
    receipt.notes.extend(receipt.chosen().and_then(|(kind, _)| kind.device_note(config.device.as_deref())));
    Ok((decoder, receipt))
}

/// Opens the first encoder that takes the job. The format is the one in which it reads frames: that of the settings, or another
/// arrangement of the same samples.
pub(crate) fn open_encoder(
    wanted: Backend,
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: impl Fn() -> EncodeSink,
) -> Result<(Box<dyn EncoderBackend>, PixelFormat, Receipt)> {
    let open = |turn: &Turn| open_arranged(turn.candidate, config, special, &sink);
    let turns = encoders(wanted, config.low_latency, special);
    let ((backend, format), mut receipt) =
        select(wanted, Job::Encode, config.codec, turns, open, |(b, _)| b.implementation())?;
    receipt.notes = backend.notes();
    receipt.notes.extend(arrangement_note(config.format, format, backend.implementation()));
    let chosen = receipt.chosen();
    receipt.notes.extend(chosen.and_then(|(kind, implementation)| kind.hdr_note(config, implementation)));
    receipt.notes.extend(receipt.engine().into_iter().flat_map(|engine| engine.setting_notes(config)));
    Ok((backend, format, receipt))
}

/// Opens an encoder of one candidate; in another arrangement of the frames' samples where it does not take theirs.
fn open_arranged(
    candidate: Candidate,
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: &dyn Fn() -> EncodeSink,
) -> Result<(Box<dyn EncoderBackend>, PixelFormat)> {
    let refusal = match open_engine(candidate, config, special, sink()) {
        Err(error @ (Error::Unsupported { .. } | Error::InvalidInput { .. })) => error,
        done => return Ok((done?, config.format)),
    };
    let format = rearranged(candidate, config, special).ok_or(refusal)?;
    let arranged = CommonEncodeConfig { format, ..config.clone() };
    Ok((open_engine(candidate, &arranged, special, sink())?, format))
}

/// Note of a receipt that frames are converted to the format that the encoder reads.
pub(crate) fn arrangement_note(from: PixelFormat, to: PixelFormat, implementation: &str) -> Option<String> {
    (from != to).then(|| format!("frames are converted from {from} to {to} for {implementation}"))
}

/// Opens an encoder of one candidate, and of no other.
///
/// # Errors
/// Why it cannot be had.
pub(crate) fn open_engine(
    candidate: Candidate,
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    let kind = candidate.backend();
    let calls = calls(kind)?;
    candidate.engine().is_of_this_system()?;
    let special = candidate.settings_of(config.codec, special)?;
    let plain = kind.leaves_out_hdr(config).then(|| CommonEncodeConfig {
        mastering_display: None,
        content_light: None,
        ..config.clone()
    });
    (calls.open_encoder)(plain.as_ref().unwrap_or(config), &special, sink)
}

/// As in the report of [`query_device_capability`], but of one candidate, and with the reason where it cannot encode at all.
pub(super) fn encode_capability(
    candidate: Candidate,
    codec: Codec,
    device: Option<&str>,
    special: &BackendEncodeConfig,
    request: &SessionRequest<'_>,
) -> Result<Option<EncodeCapability>> {
    let calls = calls(candidate.backend())?;
    candidate.engine().is_of_this_system()?;
    let special = candidate.settings_of(codec, special)?;
    (calls.encode_capability)(device, codec, &special, request)
}

/// Of the first encoder of a backend that works.
fn best_encoder(kind: BackendKind, device: Option<&str>, codec: Codec) -> Result<Option<EncodeCapability>> {
    let mut last = Ok(None);
    for candidate in Candidate::of_backend(kind) {
        let answer = encode_capability(
            candidate,
            codec,
            device,
            &BackendEncodeConfig::None,
            &SessionRequest::default(),
        );
        last = match answer {
            Ok(Some(encode)) => return Ok(Some(encode)),
            // The program was built without it.
            Err(Error::Unsupported { .. }) if candidate.is_child() => Ok(None),
            answer => answer,
        };
    }
    last
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
    let encode = best_encoder(backend, device, codec);
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
    _state: Option<Arc<dyn Debug + Send + Sync>>,
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
    use super::super::RefusalStep;
    use super::*;
    use crate::error::Remedy;

    fn try_select(wanted: Backend, works: &[BackendKind]) -> Result<(BackendKind, Receipt)> {
        let open = |turn: &Turn| {
            let backend = turn.kind;
            if works.contains(&backend) {
                Ok(backend)
            } else {
                Err(Error::Unavailable { backend, reason: "no device".into(), remedy: Remedy::None })
            }
        };
        select(wanted, Job::Decode, Codec::H264, decoders(wanted, &CANDIDATES), open, |_| "fake")
    }

    #[test]
    fn auto_takes_the_first_that_opens_and_says_why_not_the_others() {
        let (kind, receipt) = try_select(Backend::Auto, &[BackendKind::Software]).unwrap();
        assert_eq!(kind, BackendKind::Software);
        assert_eq!(receipt.chosen(), Some((BackendKind::Software, "fake")));
        assert!(matches!(receipt.entries[0].1, Verdict::Refused { step: RefusalStep::Device, .. }));
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
        let open = |turn: &Turn| -> Result<()> {
            Err(match turn.kind {
                BackendKind::Nvidia => Error::unsupported("8x8"),
                backend => Error::Unavailable { backend, reason: "no".into(), remedy: Remedy::None },
            })
        };
        let turns = encoders(Backend::Auto, false, &BackendEncodeConfig::None);
        let err = select(Backend::Auto, Job::Encode, Codec::H264, turns, open, |()| "").unwrap_err();
        assert!(matches!(err, Error::Unsupported { .. }), "{err}");
    }

    fn try_encoders(low_latency: bool, works: &[Candidate]) -> (Option<Candidate>, Receipt) {
        let open = |turn: &Turn| {
            if works.contains(&turn.candidate) { Ok(()) } else { Err(Error::unsupported("nothing works")) }
        };
        let turns = encoders(Backend::Auto, low_latency, &BackendEncodeConfig::None);
        let ((), receipt) =
            select(Backend::Auto, Job::Encode, Codec::H264, turns, open, |()| "fake").unwrap();
        (receipt.engine(), receipt)
    }

    #[test]
    fn encoders_are_tried_in_the_order_of_the_table_and_each_has_one_entry() {
        for (place, candidate) in Candidate::ORDER.into_iter().enumerate() {
            let (chosen, receipt) = try_encoders(false, &Candidate::ORDER[place..]);
            assert_eq!(chosen, Some(candidate));
            let entries: Vec<_> = receipt.entries.iter().map(|(candidate, _)| *candidate).collect();
            assert_eq!(entries, Candidate::ORDER);
            let refused =
                receipt.entries.iter().filter(|(_, v)| matches!(v, Verdict::Refused { .. })).count();
            assert_eq!(refused, place, "{receipt:#}");
        }
    }

    #[test]
    fn low_latency_takes_a_child_only_when_nobody_else_does_it() {
        let (chosen, receipt) = try_encoders(true, &[Candidate::Ffmpeg, Candidate::Embedded]);
        assert_eq!(chosen, Some(Candidate::Embedded));
        assert!(format!("{receipt:#}").contains("ffmpeg refused at capability: unsupported: low latency"));
        let (chosen, receipt) = try_encoders(true, &[Candidate::Vaapi, Candidate::Ffmpeg]);
        assert_eq!(chosen, Some(Candidate::Vaapi));
        assert_eq!(receipt.entries.len(), Candidate::ORDER.len(), "{receipt:#}");
        assert!(
            format!("{receipt:#}").contains("software refused at capability: unsupported: nothing works")
        );
    }

    /// Every remedy and every way to select a backend: another backend is suggested only if one was named.
    #[test]
    fn another_backend_is_no_advice_where_all_were_tried() {
        let refuse = |remedy: &Remedy, wanted, job| {
            let open = |_: &Turn| -> Result<()> {
                Err(Error::Unsupported { feature: "this".into(), remedy: remedy.clone() })
            };
            let turns = match job {
                Job::Decode => decoders(wanted, &CANDIDATES),
                Job::Encode => encoders(wanted, false, &BackendEncodeConfig::None),
            };
            select(wanted, job, Codec::H264, turns, open, |()| "").unwrap_err()
        };
        let more =
            [Remedy::None, Remedy::OtherDevice("use a GPU".into()), Remedy::Other("install it".into())];
        for remedy in Remedy::PLAIN.into_iter().chain(more) {
            for job in [Job::Decode, Job::Encode] {
                let auto = refuse(&remedy, Backend::Auto, job);
                assert!(!auto.to_string().contains("another backend"), "{auto}");
                match &remedy {
                    Remedy::OtherBackend => assert_eq!(auto.remedy(), Remedy::None),
                    Remedy::OtherDevice(words) => assert_eq!(auto.remedy(), Remedy::Other(words.clone())),
                    other => assert_eq!(auto.remedy(), *other),
                }
                for kind in CANDIDATES {
                    let named = refuse(&remedy, Backend::Only(kind), job);
                    assert_eq!(named.remedy(), remedy, "{kind}: {named}");
                }
            }
        }
    }

    #[test]
    fn a_named_backend_is_never_replaced() {
        let err = try_select(Backend::Only(BackendKind::Nvidia), &[BackendKind::Software]).unwrap_err();
        assert!(matches!(err, Error::Unavailable { backend: BackendKind::Nvidia, .. }));
        assert!(try_select(Backend::Only(BackendKind::Custom), &[BackendKind::Custom]).is_err());
    }
}
