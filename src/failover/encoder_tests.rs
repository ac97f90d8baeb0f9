use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::backend::BackendKind;
use crate::backend::{EncodedUnit, Job, Receipt};
use crate::codec::Codec;
use crate::dimensions::Dimensions;
use crate::frame::HostSurface;
use crate::packet::Packet;
use crate::pixel::PixelFormat;
use crate::session::{EncodeSession, EncodeSummary, LossKind, Submit};
use crate::time::{Rational, TimeBase, Timestamp};

/// How an encoder of the test ends.
#[derive(Clone, Copy, PartialEq)]
enum Death {
    /// The call fails.
    Call,
    /// It is told beside the call.
    Event,
    Panic,
}

/// An encoder that puts each frame's first sample into its packet, `b` B frames between others, and dies at its `dies`th
/// frame.
#[derive(Clone, Copy)]
struct Plan {
    b: usize,
    dies: Option<(u64, Death)>,
    dies_at_flush: bool,
    /// Tells that it has died while it is dropped.
    bad_end: bool,
}

const SOUND: Plan = Plan { b: 0, dies: None, dies_at_flush: false, bad_end: false };

struct Toy {
    plan: Plan,
    sink: EncodeSink,
    seen: u64,
    waiting: VecDeque<(u64, u8)>,
}

fn died() -> Error {
    Error::DeviceLost { backend: BackendKind::Custom, detail: "on command".into() }
}

impl Toy {
    fn give(&mut self, (serial, shade): (u64, u8), keyframe: bool) {
        let data = Bytes::from(vec![shade]);
        (self.sink)(EncodeEvent::Unit(EncodedUnit { serial, data, keyframe, picture_type: None }));
    }

    /// The last of those that wait is the P frame.
    fn group(&mut self) {
        let Some(last) = self.waiting.pop_back() else { return };
        self.give(last, false);
        while let Some(b) = self.waiting.pop_front() {
            self.give(b, false);
        }
    }
}

impl EncoderBackend for Toy {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        let shade = unit.frame.as_host().unwrap().plane(0).unwrap().row(0)[0];
        self.seen += 1;
        match self.plan.dies.filter(|(at, _)| *at == self.seen) {
            Some((_, Death::Call)) => return Err(died()),
            Some((_, Death::Event)) => {
                (self.sink)(EncodeEvent::Failed { serial: unit.serial, error: died() });
                return Ok(());
            }
            Some((_, Death::Panic)) => panic!("on command"),
            None => {}
        }
        if self.seen == 1 {
            self.give((unit.serial, shade), true);
            return Ok(());
        }
        self.waiting.push_back((unit.serial, shade));
        if self.waiting.len() > self.plan.b {
            self.group();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.plan.dies_at_flush {
            return Err(died());
        }
        self.group();
        self.seen = 0;
        Ok(())
    }

    fn reorder_delay(&self) -> usize {
        usize::from(self.plan.b > 0)
    }

    fn implementation(&self) -> &'static str {
        "toy"
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        if self.plan.bad_end {
            (self.sink)(EncodeEvent::Failed { serial: 0, error: died() });
        }
    }
}

/// Gives one encoder after the other.
struct Plans(Mutex<VecDeque<Plan>>);

impl EncoderSource for Plans {
    fn candidates(&self) -> Vec<Candidate> {
        vec![Candidate::Custom]
    }

    fn open(
        &self,
        _: Candidate,
        _: &CommonEncodeConfig,
        _: &BackendEncodeConfig,
        sink: EncodeSink,
    ) -> Result<Box<dyn EncoderBackend>> {
        let plan = self.0.lock().unwrap().pop_front();
        let plan = plan.ok_or_else(|| Error::unsupported("another encoder"))?;
        Ok(Box::new(Toy { plan, sink, seen: 0, waiting: VecDeque::new() }))
    }
}

const FRAMES: u8 = 40;

fn frame(number: u8) -> Frame {
    let size = Dimensions::new(2, 2).unwrap();
    let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![number; 6]).unwrap();
    Frame::host(Timestamp::new(number.into(), TimeBase::new(1, 25).unwrap()), surface)
}

/// Encodes [`FRAMES`] on these encoders; packets, the last error, and the summary.
fn encode(plans: &[Plan]) -> (Vec<Packet>, Option<Error>, EncodeSummary) {
    encode_with(plans, usize::MAX, None)
}

/// As [`encode`], with room for so many bytes of frames.
fn encode_with(
    plans: &[Plan],
    room: usize,
    recovery: Option<FrameRecovery>,
) -> (Vec<Packet>, Option<Error>, EncodeSummary) {
    let size = Dimensions::new(2, 2).unwrap();
    let config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
    let on = (BackendKind::Custom, Backend::Only(BackendKind::Custom));
    encode_as(config, on, plans, room, recovery)
}

/// As [`encode_with`], of these settings, first on this backend where that one was wanted.
fn encode_as(
    config: CommonEncodeConfig,
    (kind, wanted): (BackendKind, Backend),
    plans: &[Plan],
    room: usize,
    recovery: Option<FrameRecovery>,
) -> (Vec<Packet>, Option<Error>, EncodeSummary) {
    let plans = Plans(Mutex::new(plans.iter().copied().collect()));
    let mut session = EncodeSession::open(config, |config, sinks| {
        let shared = Shared::new(sinks());
        crate::sync::lock(&shared.state).frames.keep(room);
        let target = (config.clone(), BackendEncodeConfig::None);
        let first = plans.open(Candidate::of(kind), &target.0, &target.1, shared.sink())?;
        let receipt = Receipt::given(Job::Encode, Codec::H264, kind, "toy");
        let (source, policy) = (Box::new(plans), FailurePolicy::Auto);
        let log = FailoverLog::new(receipt);
        let replacements = Replacements { wanted, policy, source, target, recovery };
        Ok((replacements.begin(first, &log, shared), log))
    })
    .unwrap();
    let (mut packets, mut end) = (Vec::new(), None);
    let mut take = |outcome: Result<Packet>| match outcome {
        Ok(packet) => packets.push(packet),
        Err(error) => end = Some(error),
    };
    'frames: for number in 0..FRAMES {
        let mut next = frame(number);
        loop {
            match session.submit(next) {
                Ok(Submit::Accepted) => break,
                Ok(Submit::Full(back)) => next = back,
                Err(_) => break 'frames,
            }
            if let Some(outcome) = session.reap_timeout(Duration::from_millis(50)).transpose() {
                take(outcome);
            }
        }
    }
    if let Ok(rest) = session.drain() {
        rest.for_each(&mut take);
    }
    while let Some(outcome) = session.reap_timeout(Duration::from_millis(20)).transpose() {
        take(outcome);
    }
    let summary = session.summary();
    assert!(summary.ledger.balances(), "{:?}", summary.ledger);
    (packets, end, summary)
}

/// Every frame once; decoding times rise and are never behind the display; a session begins with a key frame, and nothing
/// before it comes after it.
fn whole(packets: &[Packet]) {
    let mut shown: Vec<_> = packets.iter().map(|packet| packet.pts.unwrap().ticks()).collect();
    for (packet, pts) in packets.iter().zip(&shown) {
        assert_eq!(i64::from(packet.data[0]), *pts, "a packet with another frame's time");
        assert!(packet.dts <= packet.pts);
    }
    let dts: Vec<_> = packets.iter().map(|packet| packet.dts.unwrap()).collect();
    assert!(dts.is_sorted_by(|a, b| a < b), "{dts:?}");
    for (at, _) in packets.iter().enumerate().filter(|(_, packet)| packet.keyframe) {
        let (before, after) = shown.split_at(at);
        assert!(before.iter().max() < after.iter().min(), "{shown:?}");
    }
    shown.sort_unstable();
    assert_eq!(shown, (0..i64::from(FRAMES)).collect::<Vec<_>>());
}

#[test]
fn whatever_way_an_encoder_dies_the_next_goes_on_where_it_was() {
    for b in [0, 1, 3] {
        for death in [Death::Call, Death::Event, Death::Panic] {
            for at in [1, 2, 3, 11, 12, 13, 14, u64::from(FRAMES)] {
                let first = Plan { b, dies: Some((at, death)), ..SOUND };
                let (packets, end, summary) = encode(&[first, SOUND]);
                assert!(end.is_none(), "{end:?}");
                whole(&packets);
                let [takeover] = &summary.takeovers[..] else { panic!("{:?}", summary.takeovers) };
                let keys = packets.iter().filter(|packet| packet.keyframe).count();
                assert_eq!(keys, if at == 1 { 1 } else { 2 });
                assert!(takeover.again >= 1 && takeover.again <= 1 + b as u64, "{takeover}");
                assert_eq!(takeover.frame + takeover.again, at);
            }
        }
    }
}

#[test]
fn one_after_the_other_and_at_the_end_too() {
    let dies = |at| Plan { b: 1, dies: Some((at, Death::Event)), ..SOUND };
    let last = Plan { dies_at_flush: true, b: 2, ..SOUND };
    let (packets, end, summary) = encode(&[dies(5), dies(13), dies(4), last, SOUND]);
    assert!(end.is_none(), "{end:?}");
    whole(&packets);
    assert_eq!(summary.takeovers.len(), 4, "{:?}", summary.takeovers);
}

#[test]
fn an_encoder_that_dies_when_all_is_out_takes_nothing_with_it() {
    let (packets, end, summary) = encode(&[Plan { dies_at_flush: true, ..SOUND }]);
    assert!(end.is_none() && summary.takeovers.is_empty(), "{end:?}");
    whole(&packets);
}

#[test]
fn encoders_that_all_die_young_end_the_stream_with_the_reason() {
    let (packets, end, summary) = encode(&[Plan { dies: Some((3, Death::Call)), ..SOUND }; 20]);
    assert!(matches!(end, Some(Error::DeviceLost { .. })), "{end:?}");
    assert_eq!(packets.len(), 2 + 2 + 2 + 2);
    let last = summary.takeovers.last().unwrap();
    assert!(last.to.is_none() && last.reason.contains("4 encoders died"), "{last}");
    assert_eq!(summary.ledger.failed + summary.ledger.delivered, summary.ledger.submitted);
}

#[test]
fn without_another_the_reason_is_the_death_and_the_refusal_is_told() {
    let (packets, end, summary) = encode(&[Plan { dies: Some((20, Death::Event)), ..SOUND }]);
    assert_eq!(packets.len(), 19);
    assert!(matches!(end, Some(Error::DeviceLost { .. })), "{end:?}");
    let message = summary.takeovers[0].to_string();
    assert!(message.contains("on command") && message.contains("unsupported: another encoder"), "{message}");
}

#[test]
fn who_goes_on_is_the_policys_to_say() {
    use Candidate::{Embedded, Ffmpeg, FfmpegQsv, FfmpegVideoToolbox, Nvidia, Qsv, Vaapi, VideoToolbox};
    let none = BackendEncodeConfig::None;
    let nvidia = Backend::Only(BackendKind::Nvidia);
    let of = |wanted, policy| encoders_behind(Nvidia, wanted, policy, &none);
    assert_eq!(of(nvidia, FailurePolicy::Auto), [Nvidia]);
    assert_eq!(of(Backend::Auto, FailurePolicy::Reopen), [Nvidia]);
    for next in [of(Backend::Auto, FailurePolicy::Auto), of(nvidia, FailurePolicy::Next)] {
        let order = [Qsv, FfmpegQsv, VideoToolbox, FfmpegVideoToolbox, Vaapi, Ffmpeg, Embedded, Nvidia];
        assert_eq!(next, order, "the dead one comes last");
    }
    let next = encoders_behind(Ffmpeg, Backend::Auto, FailurePolicy::Auto, &none);
    assert_eq!(next[..2], [Embedded, Nvidia]);
    // A program that was named has several encoders, unless one of them was named too.
    let program = Backend::Only(BackendKind::Ffmpeg);
    let others = [FfmpegVideoToolbox, Vaapi, Ffmpeg, FfmpegQsv];
    assert_eq!(encoders_behind(FfmpegQsv, program, FailurePolicy::Auto, &none), others);
    let named = FfmpegQsv.settings(Some("h264_qsv"), None, None);
    assert_eq!(encoders_behind(FfmpegQsv, program, FailurePolicy::Auto, &named), [FfmpegQsv]);
    assert_eq!(
        encoders_behind(Candidate::Custom, Backend::Only(BackendKind::Custom), FailurePolicy::Auto, &none),
        [Candidate::Custom]
    );
}

#[test]
fn frames_that_cannot_be_had_again_have_failed_and_the_stream_goes_on() {
    let first = Plan { b: 3, dies: Some((16, Death::Call)), ..SOUND };
    let (packets, end, summary) = encode_with(&[first, SOUND], 0, None);
    assert!(end.unwrap().is_recoverable());
    let [takeover] = &summary.takeovers[..] else { panic!("{:?}", summary.takeovers) };
    assert!(takeover.lost > 0 && takeover.lost == takeover.again, "{takeover}");
    assert_eq!(packets.len() as u64, u64::from(FRAMES) - takeover.lost);
    assert_eq!((summary.ledger.failed, summary.ledger.pending), (takeover.lost, 0));
    let [loss] = summary.losses.reasons() else { panic!("{:?}", summary.losses) };
    assert_eq!((loss.kind, loss.count), (LossKind::Failed, takeover.lost), "{loss:?}");
    assert_eq!(loss.first[0].0, takeover.frame);
    let shown: Vec<_> = packets.iter().map(|packet| i64::from(packet.data[0])).collect();
    assert!(packets.iter().zip(&shown).all(|(packet, shade)| packet.pts.unwrap().ticks() == *shade));
}

#[test]
fn frames_that_were_let_go_of_are_fetched_again() {
    let first = Plan { b: 3, dies: Some((16, Death::Event)), ..SOUND };
    let again: FrameRecovery = Box::new(|lost| Ok(frame(u8::try_from(lost.pts.ticks()).unwrap())));
    let (packets, end, summary) = encode_with(&[first, SOUND], 0, Some(again));
    assert!(end.is_none(), "{end:?}");
    whole(&packets);
    assert_eq!(summary.takeovers[0].lost, 0);
}

/// The second has B frames, for which decoding times leave no room, so that it is closed for a third.
#[test]
fn the_end_of_one_that_was_refused_is_not_held_against_the_next() {
    let first = Plan { dies: Some((16, Death::Call)), ..SOUND };
    let refused = Plan { b: 3, bad_end: true, ..SOUND };
    let (packets, end, summary) = encode_with(&[first, refused, SOUND], usize::MAX, None);
    assert!(end.is_none(), "{end:?}");
    whole(&packets);
    let [takeover] = &summary.takeovers[..] else { panic!("{:?}", summary.takeovers) };
    assert_eq!(takeover.given_up, ["B frames"]);
}

/// Nobody refuses metadata that is only wished for; each takeover still tells what the stream has lost by it.
#[test]
fn wished_for_metadata_that_the_next_leaves_out_is_given_up() {
    let size = Dimensions::new(2, 2).unwrap();
    let config = CommonEncodeConfig {
        content_light: "1000,400".parse().ok(),
        hdr_optional: true,
        ..CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap())
    };
    let dies = |at| Plan { dies: Some((at, Death::Call)), ..SOUND };
    let on = (BackendKind::Nvidia, Backend::Auto);
    let (packets, end, summary) =
        encode_as(config.clone(), on, &[dies(16), dies(12), dies(6), SOUND], usize::MAX, None);
    assert!(end.is_none(), "{end:?}");
    whole(&packets);
    let [zeroth, first, second] = &summary.takeovers[..] else { panic!("{:?}", summary.takeovers) };
    let states_hdr = |takeover: &Takeover| takeover.to.unwrap().0.backend().states_hdr();
    assert!(states_hdr(zeroth) && zeroth.given_up.is_empty(), "{zeroth}");
    assert!(!states_hdr(first), "{first}");
    assert_eq!(first.given_up, ["HDR10 metadata"]);
    assert!(second.given_up.is_empty(), "it was gone already: {second}");
    // Where the same backend goes on, nothing is.
    let on = (BackendKind::Nvidia, Backend::Only(BackendKind::Nvidia));
    let (_, _, summary) = encode_as(config, on, &[dies(16), SOUND], usize::MAX, None);
    assert!(summary.takeovers[0].given_up.is_empty(), "{}", summary.takeovers[0]);
}
