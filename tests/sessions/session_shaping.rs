//! What a decode session does to pictures: nothing, the rest, or all of it; in order, with books that balance.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use video_hw::Error;
use video_hw::backend::mock::{MockDecoder, Script, mock_packet};
use video_hw::backend::{CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend};
use video_hw::codec::Codec;
use video_hw::color::ColorInfo;
use video_hw::config::{ColorRequest, CommonDecodeConfig, Crop, DamagePolicy, DecodeOutputMode};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{DeviceMemory, DevicePlane, DeviceSurface, Frame, HostSurface, Surface};
use video_hw::packet::BitstreamLayout;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

const SIZE: Dimensions = Dimensions::new(32, 16).unwrap();
const HALF: Dimensions = Dimensions::new(16, 16).unwrap();

/// A device whose planes are the bytes at their "addresses" in one picture.
#[derive(Debug)]
struct Memory {
    bytes: Vec<u8>,
    downloads: Arc<AtomicUsize>,
}

impl DeviceMemory for Memory {
    fn device(&self) -> u32 {
        0
    }

    fn download(&self, plane: &DevicePlane, to: &mut [u8]) -> video_hw::Result<()> {
        self.downloads.fetch_add(1, Ordering::SeqCst);
        for (y, row) in to.chunks_mut(plane.row_bytes).enumerate() {
            let start = plane.address as usize + y * plane.pitch;
            row.copy_from_slice(&self.bytes[start..start + plane.row_bytes]);
        }
        Ok(())
    }
}

/// Answers every unit at once with an NV12 picture, all of its samples the unit's number.
struct Decoder {
    sink: DecodeSink,
    on_device: bool,
    shaped: bool,
    concealed: fn(u64) -> bool,
    downloads: Arc<AtomicUsize>,
}

impl DecoderBackend for Decoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: CodedUnit) -> video_hw::Result<()> {
        let format = PixelFormat::Nv12;
        let shade = vec![unit.serial as u8; format.frame_bytes(SIZE)];
        let surface = if self.on_device {
            let mut address = 0;
            let planes = (0..2).map(|index| {
                let size = format.plane_size(index, SIZE).unwrap();
                let (row_bytes, rows) = (size.row_bytes, size.rows);
                let plane = DevicePlane { address, pitch: row_bytes, row_bytes, rows };
                address += (row_bytes * rows) as u64;
                plane
            });
            let planes = planes.collect();
            let memory = Memory { bytes: shade, downloads: Arc::clone(&self.downloads) };
            Surface::Device(DeviceSurface::new(format, SIZE, planes, Arc::new(memory))?)
        } else {
            Surface::Host(HostSurface::from_packed(format, SIZE, shade)?)
        };
        (self.sink)(DecodeEvent::Picture(DecodedPicture {
            serial: unit.serial,
            dimensions: SIZE,
            format,
            color: ColorInfo::BT709,
            sample_aspect_ratio: None,
            frame_rate: None,
            keyframe: false,
            concealed: (self.concealed)(unit.serial),
            shaped: self.shaped,
            copied: CopyBytes::default(),
            device_times: video_hw::backend::DeviceTimes::default(),
            surface,
        }));
        Ok(())
    }

    fn flush(&mut self) -> video_hw::Result<()> {
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        "scripted"
    }
}

struct Kind {
    on_device: bool,
    shaped: bool,
    concealed: fn(u64) -> bool,
}

const PLAIN: Kind = Kind { on_device: false, shaped: false, concealed: |_| false };
const DEVICE: Kind = Kind { on_device: true, ..PLAIN };

fn session(config: CommonDecodeConfig, kind: Kind) -> (DecodeSession, Arc<AtomicUsize>) {
    let downloads = Arc::<AtomicUsize>::default();
    let Kind { on_device, shaped, concealed } = kind;
    let session = DecodeSession::with_backend(config, |sink| {
        Ok(Box::new(Decoder { sink, on_device, shaped, concealed, downloads: Arc::clone(&downloads) }))
    });
    (session.unwrap(), downloads)
}

fn config(output: DecodeOutputMode) -> CommonDecodeConfig {
    CommonDecodeConfig::new(Codec::H264).output(output)
}

/// Everything that comes out of `packets` packets.
fn decode(session: &mut DecodeSession, packets: u64) -> Vec<video_hw::Result<Frame>> {
    let mut out = Vec::new();
    for n in 0..packets {
        let ticks = Timestamp::new(n as i64, TimeBase::MPEG);
        let mut packet = mock_packet(n).at(ticks, ticks);
        while let Submit::Full(back) = session.submit(packet).unwrap() {
            packet = back;
            out.extend(session.reap_timeout(Duration::from_millis(20)).transpose());
        }
    }
    out.extend(session.drain().unwrap());
    let ledger = session.summary().ledger;
    assert!(ledger.balances() && ledger.pending == 0, "{ledger:?}");
    out
}

#[test]
fn crop_size_and_format_are_applied_in_this_order() {
    let crop = Crop { left: 8, top: 4, size: Dimensions::new(16, 8).unwrap() };
    let wanted = config(DecodeOutputMode::HostSurface).crop(crop).size(HALF).convert(ColorRequest::Rgb8);
    let (mut plain, _) = session(wanted.clone(), PLAIN);
    for (n, frame) in decode(&mut plain, 40).into_iter().enumerate() {
        let frame = frame.unwrap();
        assert_eq!(frame.pts.ticks(), n as i64);
        assert_eq!((frame.dimensions, frame.format), (HALF, PixelFormat::Rgb24));
        // 16x8 stretched to 16x16: samples are now twice as wide as high.
        assert_eq!(frame.sample_aspect_ratio, Rational::new(2, 1));
        let host = frame.as_host().unwrap();
        assert_eq!((host.dimensions(), host.format()), (HALF, PixelFormat::Rgb24));
    }
    let summary = plain.summary();
    assert_eq!((summary.transform.transformed, summary.shaped), (40, 0));
    assert_eq!(summary.wanted.to_string(), "crop 16x8 at 8:4, 16x16, rgb24");
    assert!(summary.first_frame_after.unwrap() <= summary.last_frame_after.unwrap());

    // A decoder that says it has cut and scaled is believed; what it did not convert is converted here.
    let (mut shaped, _) = session(wanted.clone(), Kind { shaped: true, ..PLAIN });
    for frame in decode(&mut shaped, 3) {
        let frame = frame.unwrap();
        assert_eq!(frame.format, PixelFormat::Rgb24);
        assert_ne!(frame.dimensions, HALF, "not scaled again");
    }
    assert_eq!((shaped.summary().shaped, shaped.summary().transform.transformed), (0, 3));
    let all_done = wanted.clone().convert(ColorRequest::KeepNative);
    let (mut shaped, _) = session(all_done, Kind { shaped: true, ..PLAIN });
    assert!(decode(&mut shaped, 3).into_iter().all(|frame| frame.unwrap().format == PixelFormat::Nv12));
    assert_eq!((shaped.summary().shaped, shaped.summary().transform.threads), (3, 0));

    let metadata = wanted.output(DecodeOutputMode::MetadataOnly);
    let (mut metadata, downloads) = session(metadata, DEVICE);
    let frame = decode(&mut metadata, 1).remove(0).unwrap();
    assert!(matches!(frame.surface, Surface::None));
    assert_eq!((frame.dimensions, frame.format), (HALF, PixelFormat::Rgb24));
    assert_eq!(frame.sample_aspect_ratio, Rational::new(2, 1));
    assert_eq!((downloads.load(Ordering::SeqCst), metadata.summary().transform.threads), (0, 0));
}

#[test]
fn device_pictures_are_downloaded_exactly_where_host_memory_is_asked_for() {
    for (output, convert, on_host, format) in [
        (DecodeOutputMode::NativeSurface, ColorRequest::KeepNative, false, PixelFormat::Nv12),
        (DecodeOutputMode::NativeSurface, ColorRequest::Rgb8, true, PixelFormat::Rgb24),
        (DecodeOutputMode::HostSurface, ColorRequest::KeepNative, true, PixelFormat::Nv12),
        (DecodeOutputMode::HostSurface, ColorRequest::To(PixelFormat::I420), true, PixelFormat::I420),
        (DecodeOutputMode::CpuRgb, ColorRequest::KeepNative, true, PixelFormat::Rgb24),
    ] {
        let config = config(output).convert(convert);
        let (mut session, downloads) = session(config, DEVICE);
        for (n, frame) in decode(&mut session, 20).into_iter().enumerate() {
            let frame = frame.unwrap();
            assert_eq!(frame.format, format, "{output:?} {convert:?}");
            assert_eq!(frame.as_host().is_some(), on_host, "{output:?} {convert:?}");
            if let Some(host) = frame.as_host().filter(|host| !host.format().is_rgb()) {
                assert!(host.to_packed().iter().all(|&sample| sample == n as u8), "picture {n}");
            }
        }
        assert_eq!(downloads.load(Ordering::SeqCst), if on_host { 40 } else { 0 }, "{output:?}");
    }
}

#[test]
fn damaged_pictures_are_marked_or_lost_and_counted() {
    let damaged = Kind { concealed: |serial| serial % 4 == 1, ..PLAIN };
    let (mut tolerant, _) = session(config(DecodeOutputMode::HostSurface), damaged);
    let marked: Vec<_> = decode(&mut tolerant, 10).into_iter().map(|f| f.unwrap().concealed).collect();
    assert_eq!(marked, (0..10).map(|n| n % 4 == 1).collect::<Vec<_>>());
    assert_eq!(tolerant.summary().concealed, 3);

    let damaged = Kind { concealed: |serial| serial % 4 == 1, ..PLAIN };
    let strict = config(DecodeOutputMode::CpuRgb).damage(DamagePolicy::Strict);
    let (mut strict, _) = session(strict, damaged);
    for (n, result) in decode(&mut strict, 10).into_iter().enumerate() {
        match result {
            Ok(frame) => assert!(frame.pts.ticks() == n as i64 && n % 4 != 1),
            Err(error) => {
                assert!(error.is_recoverable() && n % 4 == 1, "{n}: {error}");
                assert!(error.to_string().contains("is damaged"), "{error}");
            }
        }
    }
    let ledger = strict.summary().ledger;
    assert_eq!((ledger.delivered, ledger.failed), (7, 3));
}

#[test]
fn what_cannot_be_done_fails_frame_by_frame_or_at_once() {
    let outside = Crop { left: 0, top: 0, size: Dimensions::new(64, 64).unwrap() };
    let wanted = config(DecodeOutputMode::HostSurface).crop(outside);
    let (mut session, _) = session(wanted, PLAIN);
    let results = decode(&mut session, 4);
    assert_eq!(results.len(), 4);
    for result in results {
        assert!(result.unwrap_err().to_string().contains("does not lie within a 32x16 picture"));
    }
    assert_eq!(session.summary().ledger.failed, 4);

    let both = config(DecodeOutputMode::CpuRgb).convert(ColorRequest::To(PixelFormat::Nv12));
    let open = DecodeSession::with_backend(both, |sink| Ok(MockDecoder::default().open(sink)));
    let Err(Error::InvalidInput { what: words, .. }) = open.map(drop) else {
        panic!("two formats for one frame")
    };
    assert!(words.contains("rgb24") && words.contains("nv12"), "{words}");
}

#[test]
fn backpressure_reaches_the_decoder_and_both_ends_can_be_dropped() {
    let (mut unread, _) = session(config(DecodeOutputMode::CpuRgb), PLAIN);
    let mut accepted = 0;
    let mut refused = 0;
    while refused < 3 {
        assert!(accepted < 500, "nobody takes frames, packets go in all the same");
        match unread.submit(mock_packet(accepted)).unwrap() {
            Submit::Accepted => accepted += 1,
            Submit::Full(_) => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(30));
            }
        }
    }
    let frames = unread.drain().unwrap().flatten().count() as u64;
    assert_eq!(frames, accepted);

    let (full, _) = session(config(DecodeOutputMode::CpuRgb), PLAIN);
    let (mut input, output) = full.split();
    let feeder =
        std::thread::spawn(move || (0..10_000).find(|&n| input.submit_blocking(mock_packet(n)).is_err()));
    std::thread::sleep(Duration::from_millis(20));
    drop(output);
    assert!(feeder.join().unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Losses of the decoder keep their place between frames that are converted on several threads.
    #[test]
    fn frames_and_losses_come_in_order_whatever_is_flushed(
        fail in prop::collection::btree_set(0_u64..60, 0..10),
        swallow in prop::collection::btree_set(0_u64..60, 0..10),
        rounds in prop::collection::vec(0_u64..20, 1..4),
        rgb in any::<bool>(),
    ) {
        let script = Script { fail: fail.clone(), swallow: swallow.clone(), ..Script::default() };
        let decoder = MockDecoder { script, ..MockDecoder::default() };
        let output = if rgb { DecodeOutputMode::CpuRgb } else { DecodeOutputMode::HostSurface };
        let mut session = DecodeSession::with_backend(config(output), |sink| Ok(decoder.open(sink))).unwrap();
        let mut serial = 0;
        for packets in rounds {
            let mut out = Vec::new();
            for n in serial..serial + packets {
                let ticks = Timestamp::new(n as i64, TimeBase::MPEG);
                let mut packet = mock_packet(n).at(ticks, ticks);
                while let Submit::Full(back) = session.submit(packet).unwrap() {
                    packet = back;
                    out.extend(session.try_reap().transpose());
                }
            }
            out.extend(session.drain().unwrap());
            let expected: Vec<_> = (serial..serial + packets)
                .filter(|n| fail.contains(n) || !swallow.contains(n))
                .map(|n| (!fail.contains(&n)).then_some(n as i64))
                .collect();
            let got: Vec<_> = out.iter().map(|r| r.as_ref().ok().map(|f| f.pts.ticks())).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(session.is_drained());
            serial += packets;
        }
        let ledger = session.summary().ledger;
        prop_assert!(ledger.balances() && ledger.pending == 0, "{:?}", ledger);
    }
}
