//! Names of streams come from outside, and what is kept of them is bounded.
//!
//! A program of its own: all tests of one share the process's figures, and once as many names are kept as may be, what other
//! tests count goes to those that share one.

#![allow(clippy::unwrap_used, clippy::float_cmp, missing_docs, reason = "a failure here is a failed run")]

use video_hw::backend::mock::MockDecoder;
use video_hw::codec::Codec;
use video_hw::config::CommonDecodeConfig;
use video_hw::metrics::snapshot;
use video_hw::session::DecodeSession;

/// As docs/metrics.md has it.
const KEPT: usize = 1024;

#[test]
fn many_names_of_streams_do_not_fill_memory() {
    let names = KEPT + 176;
    for number in 0..names {
        let mut config = CommonDecodeConfig::new(Codec::Hevc);
        config.stream = Some(format!("one of many {number}"));
        DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink))).unwrap();
    }
    let found = snapshot();
    let opened = |labels: &[(&str, &str)]| found.sum("decoder_sessions_opened_total", labels);
    assert_eq!(opened(&[("stream", "(others)")]), (names - KEPT) as f64);
    assert_eq!(opened(&[("codec", "hevc")]), names as f64);
    let of_streams = |name: &str| found.series().iter().filter(|series| series.metric.name == name).count();
    assert_eq!(of_streams("decoder_sessions_opened_total"), KEPT + 1);
}
