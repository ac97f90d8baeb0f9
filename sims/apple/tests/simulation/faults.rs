//! Frames and sessions that go wrong on order.

use crate::client::{Decoder, Encoder, Frameworks, NULL, time};
use crate::clips::{Clip, repository};
use crate::common::scenario;

#[test]
fn a_decoded_frame_fails_or_is_dropped() {
    let set = "fail.decode.at=2:-12911;drop.decode.at=3;fail.decode.call=4:-12913;lose.decode.at=6";
    let outcome = scenario("a_decoded_frame_fails_or_is_dropped", &[("VTSIM_SET", set)], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        let answers: Vec<i32> =
            (0..6).map(|number| decoder.decode(format, &clip.samples[number].1, 0, number, 1)).collect();
        f.release(format);
        assert_eq!(answers, [0, 0, 0, -12913, 0, 0]);
        let shown = decoder.finish();
        let told: Vec<_> = shown
            .iter()
            .map(|shown| (shown.number, shown.status, shown.info, shown.bytes.is_empty()))
            .collect();
        assert_eq!(told[..3], [(0, 0, 1, false), (1, -12911, 1, true), (2, 0, 3, true)]);
        // The sample that was refused may be missed by the one after it; of the last nothing is told.
        assert_eq!((told.len(), told[3].0), (4, 4));
    })
    .clean();
    assert_eq!(outcome.report["faults"].as_array().unwrap().len(), 4);
}

#[test]
fn a_synchronous_call_can_answer_for_its_frame() {
    let set = "fail.decode.at=1:-12911;decode.error=return";
    scenario("a_synchronous_call_can_answer_for_its_frame", &[("VTSIM_SET", set)], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        assert_eq!(decoder.decode(format, &clip.samples[0].1, 0, 0, 0), -12911);
        f.release(format);
        assert!(decoder.finish().is_empty());
    })
    .clean();
}

#[test]
fn a_lost_session_answers_nothing_else() {
    scenario("a_lost_session_answers_nothing_else", &[("VTSIM_SET", "invalidate.at=3")], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        let answers: Vec<i32> =
            (0..4).map(|number| decoder.decode(format, &clip.samples[number].1, 0, number, 1)).collect();
        assert_eq!(answers, [0, 0, -12903, -12903]);
        assert_eq!(unsafe { (f.VTDecompressionSessionWaitForAsynchronousFrames)(decoder.session) }, -12903);
        assert_eq!(decoder.close().len(), 2);
        // A new session works.
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        assert_eq!(decoder.decode(format, &clip.samples[0].1, 0, 0, 0), 0);
        f.release(format);
        assert_eq!(decoder.finish().len(), 1);
    })
    .clean();
}

#[test]
fn sleep_takes_every_session_and_new_ones_work() {
    scenario("sleep_takes_every_session_and_new_ones_work", &[("VTSIM_SET", "sleep.decode.at=2")], || {
        let f = Frameworks::open();
        let clip = Clip::open(&repository("vfr-rotated.mp4"));
        let format = clip.format(f);
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        let decode =
            |decoder: &Decoder, number: usize| decoder.decode(format, &clip.samples[number].1, 0, number, 1);
        assert_eq!([decode(&decoder, 0), decode(&decoder, 1), decode(&decoder, 2)], [0, -12903, -12903]);
        assert_eq!(encoder.complete(), -12903);
        decoder.close();
        encoder.close();
        let decoder = Decoder::new(f, format, NULL, NULL).unwrap();
        assert_eq!(decode(&decoder, 0), 0);
        f.release(format);
        assert_eq!(decoder.finish().len(), 1);
    })
    .clean();
}

#[test]
fn an_encoded_frame_fails_or_is_dropped() {
    let set = "fail.encode.at=2:-12912;drop.encode.at=3;invalidate.encode.at=6";
    scenario("an_encoded_frame_fails_or_is_dropped", &[("VTSIM_SET", set)], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        encoder.encode_all(0..5);
        assert_eq!(encoder.complete(), 0);
        let buffer = encoder.picture(5);
        assert_eq!(encoder.encode(buffer, time(5, 25), NULL, 5), -12903);
        f.release(buffer);
        assert_eq!(encoder.complete(), -12903);
        let (mut samples, _) = encoder.close();
        samples.sort_by_key(|sample| sample.number);
        let told: Vec<_> =
            samples.iter().map(|sample| (sample.status, sample.info, sample.bytes.is_empty())).collect();
        assert_eq!(told, [(0, 1, false), (-12912, 1, true), (0, 3, true), (0, 1, false), (0, 1, false)]);
    })
    .clean();
}

#[test]
fn one_session_and_one_change_are_refused() {
    let set = "fail.create.encode.at=2:-12915;fail.change.at=2:-12912";
    scenario("one_session_and_one_change_are_refused", &[("VTSIM_SET", set)], || {
        let f = Frameworks::open();
        let encoder = Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).unwrap();
        assert_eq!(Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).err(), Some(-12915));
        let rate = f.number(100_000);
        let change = || f.set(encoder.session, "kVTCompressionPropertyKey_AverageBitRate", rate);
        assert_eq!(change(), 0);
        encoder.encode_all(0..1);
        assert_eq!([change(), change(), change()], [0, -12912, 0]);
        f.release(rate);
        encoder.complete();
        encoder.close();
    })
    .clean();
}

#[test]
fn sessions_are_refused() {
    let set = "create.decode.fail=-12913;create.encode.fail=-12915";
    scenario("sessions_are_refused", &[("VTSIM_SET", set)], || {
        let f = Frameworks::open();
        let format = Clip::open(&repository("vfr-rotated.mp4")).format(f);
        assert_eq!(Decoder::new(f, format, NULL, NULL).err(), Some(-12913));
        assert_eq!(Encoder::new(f, (64, 64), b"avc1", b"420v", NULL).err(), Some(-12915));
        f.release(format);
    })
    .clean();
}
