use super::*;
use crate::backend::mock::{MockDecoder, mock_packet};
use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::config::CommonDecodeConfig;
use crate::container::{ContainerFormat, Track, TrackId};
use crate::dimensions::Dimensions;
use crate::frame::HostSurface;
use crate::pixel::PixelFormat;
use crate::session::DecodeSession;
use crate::time::{Rational, TimeBase, Timestamp};

const SIZE: Dimensions = Dimensions::new(16, 16).unwrap();
const GIVEN: u64 = 5;

/// Gives a few of what it reads, and then panics.
#[derive(Default)]
struct Faulty(u64);

impl Faulty {
    fn next(&mut self) -> u64 {
        assert!(self.0 < GIVEN, "scripted panic of a reader");
        self.0 += 1;
        self.0 - 1
    }
}

impl Demuxer for Faulty {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Mp4
    }

    fn tracks(&self) -> &[Track] {
        &[]
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        let number = self.next();
        let pts = Some(Timestamp::new(number as i64, TimeBase::MPEG));
        Ok(Some(Packet { pts, keyframe: true, ..mock_packet(number) }))
    }

    fn select_tracks(&mut self, _tracks: &[TrackId]) {}

    fn seek(&mut self, _track: TrackId, _to: Timestamp) -> Result<bool> {
        Ok(false)
    }
}

impl FrameReader for Faulty {
    fn format(&self) -> PixelFormat {
        PixelFormat::I420
    }

    fn dimensions(&self) -> Dimensions {
        SIZE
    }

    fn frame_rate(&self) -> Rational {
        Rational::ONE
    }

    fn color(&self) -> ColorInfo {
        ColorInfo::UNSPECIFIED
    }

    fn sample_aspect_ratio(&self) -> Option<Rational> {
        None
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let pts = Timestamp::new(self.next() as i64, TimeBase::MPEG);
        let samples = vec![0; PixelFormat::I420.frame_bytes(SIZE)];
        Ok(Some(Frame::host(pts, HostSurface::from_packed(PixelFormat::I420, SIZE, samples)?)))
    }
}

/// What comes, and how it ends.
fn ends(mut feed: Feed) -> (u64, String) {
    let mut frames = 0;
    loop {
        match feed.next(&CancelToken::default()) {
            Ok(Some(_)) => frames += 1,
            Ok(None) => return (frames, "as if that were all".to_owned()),
            Err(error) => return (frames, error.to_string()),
        }
    }
}

#[test]
fn a_reader_that_panics_ends_with_an_error() {
    let feed = Feed::read(Box::new(Faulty::default()), TransformRequest::default(), CancelToken::default());
    let (frames, end) = ends(feed.unwrap());
    assert!(end.contains("scripted panic of a reader"), "{end}");
    assert_eq!(frames, GIVEN);
}

/// Gives packets of another codec than that of its track.
struct Mistaken;

impl Demuxer for Mistaken {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Mp4
    }

    fn tracks(&self) -> &[Track] {
        &[]
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        Ok(Some(Packet { codec: None, ..mock_packet(0) }))
    }

    fn select_tracks(&mut self, _tracks: &[TrackId]) {}

    fn seek(&mut self, _track: TrackId, _to: Timestamp) -> Result<bool> {
        Ok(false)
    }
}

#[test]
fn a_packet_that_the_decoder_does_not_take_ends_with_an_error() {
    let config = CommonDecodeConfig::new(Codec::H264);
    let session = DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink))).unwrap();
    let feed = Feed::decode(Box::new(Mistaken), session.split(), None, false, CancelToken::default());
    let (frames, end) = ends(feed.unwrap());
    assert_eq!((frames, end.contains("the decoder was opened for h264")), (0, true), "{end}");
}

#[test]
fn a_demuxer_that_panics_ends_with_an_error() {
    let config = CommonDecodeConfig::new(Codec::H264);
    let session = DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink))).unwrap();
    let feed =
        Feed::decode(Box::new(Faulty::default()), session.split(), None, false, CancelToken::default());
    let (frames, end) = ends(feed.unwrap());
    assert!(end.contains("scripted panic of a reader"), "{end}");
    assert!(frames <= GIVEN);
}
