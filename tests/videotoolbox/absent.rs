//! On systems that have no VideoToolbox, which is all but Apple's.

use video_hw::backend::{Backend, BackendKind, Candidate, devices, query_backend_capability};
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, CommonEncodeConfig};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::session::{DecodeSession, EncodeSession};
use video_hw::time::Rational;

const REASON: &str = "VideoToolbox is part of macOS, and this is another system";

#[track_caller]
fn absent<T>(asked: Result<T, Error>) {
    match asked {
        Err(Error::Unavailable { backend: BackendKind::VideoToolbox, reason, .. }) => {
            assert_eq!(reason, REASON);
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("there is one"),
    }
}

#[test]
fn whoever_asks_is_told_why() {
    let size = Dimensions::new(640, 360).unwrap();
    let config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap());
    absent(query_backend_capability(BackendKind::VideoToolbox, Codec::H264));
    absent(devices(BackendKind::VideoToolbox));
    absent(DecodeSession::new(BackendKind::VideoToolbox, CommonDecodeConfig::new(Codec::Hevc)));
    absent(EncodeSession::new(BackendKind::VideoToolbox, config.clone()));
    // By itself nobody takes it, and the receipt says why.
    let session = EncodeSession::new(Backend::Auto, config).unwrap();
    let receipt = format!("{:#}", session.receipt());
    assert_ne!(session.receipt().engine(), Some(Candidate::VideoToolbox));
    assert!(receipt.contains(REASON), "{receipt}");
}
