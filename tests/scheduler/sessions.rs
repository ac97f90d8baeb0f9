//! The library's sessions as stages: decode, transform, encode.

use std::collections::BTreeSet;
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::backend::mock::{MockDecoder, MockEncoder, Script, mock_packet};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, ColorRequest, CommonDecodeConfig, CommonEncodeConfig};
use video_hw::control::{SessionSwitchRequest, SwitchingEncoder};
use video_hw::packet::{Packet, PictureType};
use video_hw::pipeline::scheduler::{
    DecodeStage, Delivery, EncodeStage, PipelineScheduler, SchedulerOptions, StageReport, StreamSpec,
    SwitchingStage, TransformStage,
};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession, Submit};
use video_hw::time::Rational;
use video_hw::transform::{TransformDispatcher, TransformOptions, TransformRequest};

use crate::support::{frame, number, numbers, time};

fn decoder(mock: MockDecoder) -> DecodeStage {
    let config = CommonDecodeConfig::new(Codec::H264);
    DecodeStage::new(DecodeSession::with_backend(config, |sink| Ok(mock.open(sink))).unwrap())
}

fn encoder(mock: MockEncoder, format: PixelFormat) -> EncodeStage {
    let config = CommonEncodeConfig::new(Codec::H264, frame(0).dimensions, Rational::ONE).format(format);
    EncodeStage::new(EncodeSession::with_backend(config, |sink| Ok(mock.open(sink))).unwrap())
}

fn transform(format: ColorRequest) -> TransformStage {
    let dispatcher = TransformDispatcher::new(TransformOptions::default());
    TransformStage::new(dispatcher, TransformRequest::default().convert(format))
}

/// Packets in coding order: each group of three is shown as 0 2 1.
fn packets(count: u64) -> impl Iterator<Item = video_hw::Result<video_hw::pipeline::scheduler::Unit>> {
    (0..count).map(|coded| {
        let shown = coded / 3 * 3 + [0, 2, 1][coded as usize % 3];
        Ok(Packet { pts: Some(time(shown)), keyframe: coded == 0, ..mock_packet(shown) }.into())
    })
}

fn set<const N: usize>(numbers: [u64; N]) -> BTreeSet<u64> {
    numbers.into_iter().collect()
}

#[test]
fn from_packets_to_packets() {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default().class("gpu", 4)).unwrap();
    let mut streams = Vec::new();
    for stream in 0..4 {
        let decode = MockDecoder { reorder_depth: 2, ..MockDecoder::default() };
        let encode = MockEncoder { b_frames: 2, ..MockEncoder::default() };
        let spec = StreamSpec::new(format!("{stream}"))
            .stage_in("gpu", decoder(decode))
            .stage(transform(ColorRequest::Rgb8))
            .stage_in("gpu", encoder(encode, PixelFormat::Rgb24).holding(2))
            .credits(24);
        let (input, output) = scheduler.open(spec).unwrap();
        input.feed(packets(99));
        streams.push(output);
    }
    for mut output in streams {
        let got: Vec<_> = output.iter().map(Result::unwrap).collect();
        let mut shown = numbers(&got);
        shown.sort_unstable();
        assert_eq!(shown, (0..99).collect::<Vec<_>>());
        let summary = output.summary().unwrap();
        assert!(summary.balances() && summary.ledger.delivered == 99, "{summary:?}");
        let [decode, transform, encode] = &summary.stages[..] else { panic!("three stages") };
        assert!(matches!(&decode.report, Some(StageReport::Decode(report)) if report.ledger.delivered == 99));
        assert!(matches!(&transform.report, Some(StageReport::Transform(stats)) if stats.transformed == 99));
        assert!(matches!(&encode.report, Some(StageReport::Encode(report)) if report.ledger.delivered == 99));
        assert_eq!((decode.took.count, encode.waited.count, encode.cost), (99, 99, 99 * 256));
    }
}

#[test]
fn what_sessions_drop_and_lose_is_in_the_streams_books() {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default()).unwrap();
    let decode = Script { swallow: set([3, 4]), fail: set([10]), ..Script::default() };
    let encode = Script { swallow: set([20]), fail: set([30, 31]), ..Script::default() };
    let spec = StreamSpec::new("holes")
        .stage(decoder(MockDecoder { script: decode, ..MockDecoder::default() }))
        .stage(encoder(MockEncoder { script: encode, ..MockEncoder::default() }, PixelFormat::I420));
    let (input, mut output) = scheduler.open(spec).unwrap();
    input.feed((0..50).map(|n| Ok(Packet { pts: Some(time(n)), ..mock_packet(n) }.into())));
    let (got, lost): (Vec<_>, Vec<_>) = output.iter().partition(Result::is_ok);
    assert_eq!((got.len(), lost.len()), (44, 3));
    assert!(lost.iter().all(|error| error.as_ref().unwrap_err().is_recoverable()));
    let summary = output.summary().unwrap();
    assert!(summary.balances(), "{summary:?}");
    assert_eq!((summary.ledger.dropped.get("swallowed"), summary.ledger.failed), (Some(&3), 3));
}

#[test]
fn a_session_that_dies_ends_its_stream_and_says_why() {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default()).unwrap();
    let script = Script { die: set([12]), ..Script::default() };
    let dying = encoder(MockEncoder { script, ..MockEncoder::default() }, PixelFormat::I420);
    let (input, mut output) = scheduler.open(StreamSpec::new("dying").stage(dying)).unwrap();
    input.feed((0..50).map(|number| Ok(frame(number).into())));
    let fine = encoder(MockEncoder::default(), PixelFormat::I420);
    let (other, mut rest) = scheduler.open(StreamSpec::new("fine").stage(fine)).unwrap();
    other.feed((0..50).map(|number| Ok(frame(number).into())));
    let all: Vec<_> = output.iter().collect();
    let error = all.last().unwrap().as_ref().unwrap_err();
    assert!(error.to_string().contains("scripted end at unit 12"), "{error}");
    let summary = output.summary().unwrap();
    assert!(summary.balances() && summary.ledger.pending == 0, "{summary:?}");
    assert_eq!(rest.iter().map(Result::unwrap).count(), 50);
}

#[test]
fn a_generation_begins_with_an_idr() {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default()).unwrap();
    let stage = encoder(MockEncoder { b_frames: 2, ..MockEncoder::default() }, PixelFormat::I420);
    let (mut input, mut output) = scheduler.open(StreamSpec::new("seeks").stage(stage).credits(64)).unwrap();
    for number in 0..40 {
        input.submit_with_generation(number / 10, frame(number)).map(|_| ()).unwrap();
    }
    input.close();
    let got: Vec<_> = output.iter().map(Result::unwrap).collect();
    assert_eq!(got.len(), 40);
    assert!(got.is_sorted_by_key(|delivery| delivery.generation));
    for delivery in &got {
        let shown = number(&delivery.unit);
        let packet = delivery.unit.clone().into_packet().unwrap();
        assert_eq!(delivery.generation, shown / 10);
        assert_eq!(packet.picture_type == Some(PictureType::Idr), shown.is_multiple_of(10), "frame {shown}");
    }
}

#[test]
fn an_encoder_that_changes_on_the_way_loses_no_frame_and_tells_its_generations() {
    let config = CommonEncodeConfig::new(Codec::H264, frame(0).dimensions, Rational::new(25, 1).unwrap())
        .gop_length(10);
    let short = config.clone().gop_length(5);
    let stream = SwitchingEncoder::new(BackendKind::Software, config, BackendEncodeConfig::None).unwrap();
    let (stage, encoder) = SwitchingStage::new(stream);
    let scheduler = PipelineScheduler::new(SchedulerOptions::default()).unwrap();
    let (mut input, mut output) = scheduler.open(StreamSpec::new("switches").stage(stage)).unwrap();
    let control = output.control().unwrap();
    let mut got = Vec::new();
    let (mut given, mut changed) = (0, false);
    // The new session takes the time that it takes.
    while given < 40 || !changed && given < 20_000 {
        let number = given;
        given += 1;
        if number == 20 {
            let request = SessionSwitchRequest::drain_then_swap((short.clone(), BackendEncodeConfig::None));
            encoder.lock().request_switch(request).unwrap();
        }
        let mut unit = frame(number).into();
        while let Submit::Full(back) = input.submit(unit).unwrap() {
            unit = back;
            got.extend(output.reap_timeout(Duration::from_millis(20)).unwrap());
        }
        let last = got.last().map(|one: &Delivery| one.unit.clone().into_packet().unwrap());
        changed = last.is_some_and(|packet| packet.generation == 2);
    }
    input.close();
    got.extend(output.iter().map(Result::unwrap));
    let packets: Vec<_> = got.iter().map(|one| one.unit.clone().into_packet().unwrap()).collect();
    assert_eq!(numbers(&got), (0..given).collect::<Vec<_>>());
    let generations: BTreeSet<_> = packets.iter().map(|packet| packet.generation).collect();
    assert_eq!(generations, set([1, 2]));
    assert!(packets.is_sorted_by_key(|packet| packet.generation));
    let summary = output.summary().unwrap();
    assert!(summary.balances() && summary.ledger.delivered == given, "{summary:?}");
    let [stage] = &summary.stages[..] else { panic!("one stage") };
    assert!(matches!(&stage.report, Some(StageReport::Switching(report)) if report.generations.len() == 2));
    assert_eq!((encoder.sync_pipeline_generation(&control), control.generation()), (2, 2));
}
