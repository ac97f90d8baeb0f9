//! Figures of sessions for those who watch the process: what is counted, under which names, and by whom it can be read.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    missing_docs,
    reason = "a failure here is a failed run"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit as FacadeUnit,
};
use video_hw::backend::BackendKind;
use video_hw::backend::mock::{MockDecoder, mock_packet};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig};
use video_hw::control::{EventKind, SessionSwitchMode, SessionSwitchRequest, SwitchingEncoder};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::metrics::{Kind, Publisher, Snapshot, Value, names, snapshot};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession, Submit};
use video_hw::stages::Distribution;
use video_hw::time::{Rational, TimeBase, Timestamp};

/// Sessions of other tests in this process have other names.
fn config(stream: &str) -> CommonEncodeConfig {
    let size = Dimensions::new(64, 48).unwrap();
    let mut config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(30, 1).unwrap());
    config.stream = Some(stream.to_owned());
    config
}

fn frame(number: i64) -> Frame {
    let size = Dimensions::new(64, 48).unwrap();
    let bytes = vec![number as u8; PixelFormat::I420.frame_bytes(size)];
    let surface = HostSurface::from_packed(PixelFormat::I420, size, bytes).unwrap();
    Frame::host(Timestamp::new(number, TimeBase::new(1, 30).unwrap()), surface)
}

fn times(found: &Snapshot, name: &str, labels: &[(&str, &str)]) -> Distribution {
    let mut sum = Distribution::default();
    for series in found.series() {
        if let Value::Histogram(times) = &series.value
            && series.metric.name == name
            && labels.iter().all(|(label, value)| series.label(label) == Some(value))
        {
            sum.add(times);
        }
    }
    sum
}

#[test]
fn an_encode_session_is_counted_while_it_runs_and_behind_its_end() {
    let stream = [("stream", "one")];
    let mut session = EncodeSession::new(BackendKind::Software, config("one")).unwrap();
    let mut bytes = 0;
    for number in 0..5 {
        assert!(matches!(session.submit(frame(number)).unwrap(), Submit::Accepted));
        bytes += session.reap_timeout(Duration::from_secs(10)).unwrap().unwrap().data.len();
    }
    let live = snapshot();
    let sum = |name: &str| live.sum(name, &stream);
    assert_eq!(sum("encoder_sessions"), 1.0);
    assert_eq!((sum("encoder_frames_total"), sum("encoder_frames_submitted_total")), (5.0, 5.0));
    assert_eq!(sum("encoder_output_bytes_total"), bytes as f64);
    assert_eq!((sum("encoder_keyframes_total"), sum("encoder_in_flight")), (1.0, 0.0));
    assert!(sum("encoder_fps") > 0.0);
    assert_eq!(live.sum("encoder_queue_capacity", &[("stream", "one"), ("queue", "input")]), 4.0);
    assert_eq!(times(&live, "encoder_latency_seconds", &stream).count(), 5);
    assert_eq!(times(&live, "encoder_jitter_seconds", &stream).count(), 3);
    let of_it = live.series().iter().filter(|series| series.label("stream") == Some("one"));
    for series in of_it.clone() {
        assert_eq!(series.label("encoder_type"), Some("openh264"), "{series:?}");
        assert_eq!((series.label("backend"), series.label("codec")), (Some("software"), Some("h264")));
    }
    assert!(of_it.count() > 15);
    assert_eq!(session.summary().jitter.count, 3);
    drop(session);
    let ended = snapshot();
    // A packet is out before the call that made it has returned: only now are all of them known.
    let encode = [("stream", "one"), ("stage", "calls")];
    assert_eq!(times(&ended, "encoder_stage_seconds", &encode).count(), 5);
    assert_eq!(ended.sum("encoder_sessions", &stream), 0.0);
    assert_eq!(ended.sum("encoder_frames_total", &stream), 5.0);
    assert!(ended.sum("encoder_fps", &stream) > 0.0, "told a while longer");
    let left = ended.series().iter().filter(|series| series.label("stream") == Some("one"));
    let left: BTreeSet<_> =
        left.filter(|series| series.metric.kind == Kind::Gauge).map(|series| series.metric.name).collect();
    let wanted = ["encoder_fps", "encoder_in_flight_peak", "encoder_queue_peak", "encoder_sessions"];
    assert_eq!(left, BTreeSet::from(wanted));
    // Another one under the same name adds to it.
    let mut session = EncodeSession::new(BackendKind::Software, config("one")).unwrap();
    assert!(matches!(session.submit(frame(0)).unwrap(), Submit::Accepted));
    assert_eq!(session.drain().unwrap().count(), 1);
    let both = snapshot();
    assert_eq!(both.sum("encoder_frames_total", &stream), 6.0);
    assert_eq!(both.sum("encoder_sessions_opened_total", &stream), 2.0);
    assert_eq!(times(&both, "encoder_latency_seconds", &stream).count(), 6);
}

#[test]
fn a_decode_session_is_counted_with_what_it_dropped() {
    let stream = [("stream", "mocked")];
    let mut config = CommonDecodeConfig::new(Codec::H264);
    config.stream = Some("mocked".to_owned());
    let mut session =
        DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink))).unwrap();
    for number in 0..6 {
        let mut packet = mock_packet(number);
        packet.discard = number == 0;
        assert!(matches!(session.submit(packet).unwrap(), Submit::Accepted));
    }
    assert_eq!(session.drain().unwrap().count(), 5);
    let found = snapshot();
    assert_eq!(found.sum("decoder_packets_total", &stream), 6.0);
    assert_eq!(found.sum("decoder_frames_total", &[("stream", "mocked"), ("backend", "custom")]), 5.0);
    let reason = [("stream", "mocked"), ("reason", "before the presented part")];
    assert_eq!(found.sum("decoder_frames_dropped_total", &reason), 1.0);
    assert_eq!(found.sum("decoder_sessions", &[("decoder_type", "mock decoder"), ("stream", "mocked")]), 1.0);
    let summary = session.summary();
    // Each packet, and the drain.
    assert_eq!((summary.stages.decode.count, summary.stages.output.count), (7, 5));
    assert_eq!(
        times(&found, "decoder_stage_seconds", &[("stream", "mocked"), ("stage", "decode")]).count(),
        7
    );
    assert_eq!(found.sum("decoder_in_flight_peak", &stream), summary.in_flight_peak as f64);
}

#[test]
fn of_sessions_with_the_same_labels_depths_are_added_and_peaks_are_not() {
    let open = |packets: u64| {
        let mut config = CommonDecodeConfig::new(Codec::H264);
        config.stream = Some("twins".to_owned());
        let mut session =
            DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink))).unwrap();
        for number in 0..packets {
            assert!(matches!(session.submit(mock_packet(number)).unwrap(), Submit::Accepted));
        }
        assert_eq!(session.drain().unwrap().count() as u64, packets);
        session
    };
    let sessions = [open(2), open(5)];
    let found = snapshot();
    let output = [("stream", "twins"), ("queue", "output")];
    let stats = sessions.each_ref().map(|session| session.summary().output_queue);
    let sum = stats.iter().map(|queue| queue.capacity).sum::<usize>();
    assert_eq!(found.sum("decoder_queue_capacity", &output), sum as f64);
    let most = stats.iter().map(|queue| queue.peak).max().unwrap();
    assert!(stats.iter().all(|queue| queue.peak > 0));
    assert_eq!(found.sum("decoder_queue_peak", &output), most as f64);
    assert_eq!(found.sum("decoder_sessions", &[("stream", "twins")]), 2.0);
}

#[test]
fn a_stream_that_switches_tells_of_each_of_its_sessions() {
    let stream = [("stream", "switched")];
    let settings = config("switched");
    let mut encoder =
        SwitchingEncoder::new(BackendKind::Software, settings.clone(), BackendEncodeConfig::None).unwrap();
    let mut packets = 0;
    for number in 0..12 {
        if number == 6 {
            let target = settings.clone().gop_length(3);
            let request = SessionSwitchRequest {
                target: (target, BackendEncodeConfig::None),
                mode: SessionSwitchMode::Immediate,
                force_idr_on_activate: true,
            };
            encoder.request_switch(request).unwrap();
            // The new session proves itself on another thread: frames shall be left for it.
            let asked = Instant::now();
            while !encoder.take_events().iter().any(|event| matches!(event.kind, EventKind::Ready { .. })) {
                assert!(asked.elapsed() < Duration::from_secs(60), "the new session is not ready");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let mut next = frame(number);
        while let Submit::Full(back) = encoder.submit(next).unwrap() {
            next = back;
            packets += u64::from(encoder.reap_timeout(Duration::from_millis(5)).unwrap().is_some());
        }
    }
    packets += encoder.drain().unwrap().map(Result::unwrap).count() as u64;
    let summary = encoder.summary();
    assert!(summary.ledger.balances() && packets == 12);
    let found = snapshot();
    let result = |result| found.sum("encoder_switches_total", &[("stream", "switched"), ("result", result)]);
    assert_eq!((result("requested"), result("failed")), (1.0, 0.0));
    assert_eq!(result("new_session"), summary.switches.new_session as f64);
    assert_eq!(summary.switches.new_session, 1);
    // Each frame once, the pictures by which sessions proved themselves not at all.
    assert_eq!(found.sum("encoder_frames_total", &stream), 12.0);
    assert_eq!(found.sum("encoder_output_bytes_total", &stream), summary.bytes_out as f64);
    assert_eq!(found.sum("encoder_sessions_opened_total", &stream), 2.0);
    assert_eq!(times(&found, "encoder_latency_seconds", &stream).count(), 12);
}

#[test]
fn a_ring_in_front_of_an_encoder_is_one_of_its_queues() {
    use video_hw::dataset::{
        EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder,
    };
    let size = Dimensions::new(96, 64).unwrap();
    let gpu =
        GpuEncoderConfig::default().preferred_encoder(EncoderType::Embedded).strict(true).ring_buffer_size(7);
    let config = EncoderConfig::new(Codec::H264, PixelFormat::Rgb24, size);
    let mut encoder = SessionVideoEncoder::open(&config, &gpu).unwrap();
    let ring = [("queue", "ring"), ("encoder_type", "openh264")];
    assert_eq!(snapshot().sum("encoder_queue_capacity", &ring), 0.0, "none before the first picture");
    encoder.encode_frame(&vec![9; 96 * 64 * 3]).unwrap();
    assert_eq!(snapshot().sum("encoder_queue_capacity", &ring), 7.0);
    encoder.flush().unwrap();
    assert_eq!(snapshot().sum("encoder_queue_depth", &ring), 0.0);

    // A picture at the time of the first: its time is corrected. Both pictures were converted.
    let earlier = Timestamp::new(0, TimeBase::new(1, 30).unwrap());
    let mut chunks =
        encoder.encode_frame_at(&vec![9; 96 * 64 * 3], earlier).unwrap().into_iter().collect::<Vec<_>>();
    chunks.extend(encoder.flush().unwrap());
    assert_eq!(chunks.len(), 1, "no picture is lost");
    let openh264 = [("encoder_type", "openh264")];
    assert_eq!(snapshot().sum("encoder_times_corrected_total", &openh264), 1.0);
    assert!(snapshot().sum("encoder_frames_converted_total", &openh264) >= 2.0);
}

/// What a recorder of the `metrics` crate was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<String, Vec<f64>>>>, Arc<Mutex<Vec<String>>>);

struct Cell(Told, String);

impl Cell {
    fn put(&self, value: f64) {
        self.0.0.lock().unwrap().entry(self.1.clone()).or_default().push(value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, _: u64) {
        panic!("counters are told as a whole");
    }
    fn absolute(&self, value: u64) {
        self.put(value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        panic!("gauges are told as a whole");
    }
    fn decrement(&self, _: f64) {
        panic!("gauges are told as a whole");
    }
    fn set(&self, value: f64) {
        self.put(value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.put(value);
    }
}

impl Told {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Cell(self.clone(), format!("{}|{}", key.name(), labels.join("|"))))
    }
}

impl Recorder for Told {
    fn describe_counter(&self, key: KeyName, _: Option<FacadeUnit>, _: SharedString) {
        self.1.lock().unwrap().push(key.as_str().to_owned());
    }
    fn describe_gauge(&self, key: KeyName, _: Option<FacadeUnit>, _: SharedString) {
        self.1.lock().unwrap().push(key.as_str().to_owned());
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<FacadeUnit>, _: SharedString) {
        assert_eq!(unit, Some(FacadeUnit::Seconds));
        self.1.lock().unwrap().push(key.as_str().to_owned());
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

#[test]
fn a_recorder_of_the_metrics_crate_hears_each_time_once() {
    let told = Told::default();
    let mut publisher = Publisher::default();
    let mut session = EncodeSession::new(BackendKind::Software, config("published")).unwrap();
    let key =
        |name: &str| format!("{name}|encoder_type=openh264|backend=software|codec=h264|stream=published");
    for number in 0..4 {
        assert!(matches!(session.submit(frame(number)).unwrap(), Submit::Accepted));
        session.reap_timeout(Duration::from_secs(10)).unwrap().unwrap();
        publisher.publish_to(&told, &snapshot());
    }
    publisher.publish_to(&told, &snapshot());
    let heard = told.0.lock().unwrap();
    assert_eq!(heard[&key("encoder_frames_total")], [1.0, 2.0, 3.0, 4.0, 4.0]);
    let latency = &heard[&key("encoder_latency_seconds")];
    assert_eq!(latency.len(), 4, "{latency:?}");
    let (sum, exact) = (latency.iter().sum::<f64>(), session.summary().latency.total.as_secs_f64());
    assert!((sum - exact).abs() <= exact * 0.008, "{sum} {exact}");
    drop(heard);
    // A gauge of what is no more is told once as 0, and then no longer; the rest stays as it was.
    let gauges = ["encoder_sessions", "encoder_fps", "encoder_in_flight"].map(key);
    assert_eq!(told.0.lock().unwrap()[&gauges[0]], [1.0; 5]);
    for _ in 0..2 {
        publisher.publish_to(&told, &Snapshot::default());
    }
    let heard = told.0.lock().unwrap();
    for gauge in &gauges {
        assert_eq!((heard[gauge].len(), heard[gauge].last()), (6, Some(&0.0)), "{gauge}");
    }
    assert_eq!(heard[&key("encoder_frames_total")].len(), 5);
    let described = told.1.lock().unwrap();
    assert_eq!(*described, names::all().map(|metric| metric.name.to_owned()).collect::<Vec<_>>());
}

#[test]
fn a_publisher_on_its_own_thread_ends_with_its_handle() {
    let publishing = Publisher::default().spawn(Duration::from_secs(3600)).unwrap();
    // A test that hangs here has failed.
    drop(publishing);
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The row of the documentation's table for a metric.
fn row(metric: &names::Metric) -> String {
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    format!(
        "| `{}` | {} | {} | {} | {} |",
        metric.name,
        metric.kind.name(),
        metric.unit.name(),
        labels.join(", "),
        metric.help
    )
}

#[test]
fn the_documentation_has_every_metric_as_it_is() {
    let text = read("docs/metrics.md");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `") && line.contains('_')).collect();
    let wanted: Vec<_> = names::all().map(row).collect();
    let missing: Vec<_> = wanted.iter().filter(|row| !text.contains(row.as_str())).cloned().collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks these rows:\n{}", missing.join("\n"));
    let known: Vec<_> =
        rows.iter().filter(|row| names::all().any(|m| row.contains(&format!("`{}` | ", m.name)))).collect();
    assert_eq!(known.len(), wanted.len(), "rows of metrics that are no more");
}
