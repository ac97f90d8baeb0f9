//! Decoding by a client of the tests' own: whole pictures and bytes at random, surfaces of the runtime's and of the client's.

use std::path::Path;

use simulated_onevpl::abi::*;

use crate::client::{Runtime, bitstream, ivf};
use crate::common::{ffmpeg, made, md5, scenario};

const CLIPS: [(&str, &str, u32, &str); 7] = [
    ("a.h264", "-pix_fmt yuv420p -c:v libx264 -bf 2 -g 10", CODEC_AVC, "nv12"),
    ("a.h265", "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none", CODEC_HEVC, "nv12"),
    ("ten.h265", "-pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=none", CODEC_HEVC, "p010le"),
    ("a.m2v", "-pix_fmt yuv420p -c:v mpeg2video -bf 2 -g 10 -f mpeg2video", CODEC_MPEG2, "nv12"),
    ("vp9.ivf", "-pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 8 -deadline realtime", CODEC_VP9, "nv12"),
    ("av1.ivf", "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -usage realtime", CODEC_AV1, "nv12"),
    ("a.mjpeg", "-pix_fmt yuvj420p -c:v mjpeg -f mjpeg", CODEC_JPEG, "yuvj420p"),
];

/// Decodes a file with the runtime's surfaces, IVF by frames and others by so many bytes.
fn decoded(runtime: &Runtime, path: &Path, codec: u32, bytes: usize) -> Vec<u8> {
    let session = runtime.session();
    let mut frames = match path.extension() {
        Some(name) if name == "ivf" => ivf(path),
        _ => std::fs::read(path).unwrap().chunks(bytes).map(<[u8]>::to_vec).collect(),
    };
    let whole = path.extension().is_some_and(|name| name == "ivf");
    let mut first = if whole { frames[0].clone() } else { std::fs::read(path).unwrap() };
    let parameters = runtime.decoder(session, codec, &mut first);
    let info = &parameters.mfx().FrameInfo;
    assert_eq!((info.CropW, info.CropH), (178, 146));
    assert_eq!((info.Width, info.Height % 16), (192, 0));
    let mut shown = Vec::new();
    for frame in &mut frames {
        let mut stream = bitstream(frame, whole);
        assert_eq!(runtime.feed(session, Some(&mut stream), &mut shown), ERR_MORE_DATA);
        assert_eq!(stream.DataLength, 0);
    }
    assert_eq!(runtime.feed(session, None, &mut shown), ERR_MORE_DATA);
    assert_eq!(unsafe { (runtime.MFXClose)(session) }, ERR_NONE);
    shown
}

/// A picture of three planes as one of two.
fn interleaved(picture: &[u8]) -> Vec<u8> {
    let (luma, chroma) = picture.split_at(178 * 146);
    let (blue, red) = chroma.split_at(89 * 73);
    let pairs = blue.iter().zip(red).flat_map(|(blue, red)| [*blue, *red]);
    luma.iter().copied().chain(pairs).collect()
}

#[test]
fn every_codec_is_decoded_as_ffmpeg_does() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        for (name, options, codec, format) in CLIPS {
            let Some(path) = made(folder.path(), name, options) else { continue };
            let mut wanted = ffmpeg(&path, format);
            if format == "yuvj420p" {
                // As NV12 it would have another range.
                wanted = wanted.chunks(178 * 146 * 3 / 2).flat_map(interleaved).collect();
            }
            for bytes in [usize::MAX, 701] {
                let got = decoded(&runtime, &path, codec, bytes);
                assert_eq!(got.len(), wanted.len(), "{name}, {bytes} bytes at a time");
                assert_eq!(md5(&got), md5(&wanted), "{name}, {bytes} bytes at a time");
            }
        }
    };
    scenario("every_codec_is_decoded_as_ffmpeg_does", &[], body).clean();
}

/// A surface of the client's, with memory of its own.
pub struct Own {
    pub frame: Box<mfxFrameSurface1>,
    _memory: Vec<u8>,
}

impl Own {
    pub fn new(info: &mfxFrameInfo) -> Self {
        let (width, height) = (usize::from(info.Width), usize::from(info.Height));
        let mut memory = vec![0x11; width * height * 3 / 2];
        let mut frame = Box::new(mfxFrameSurface1 { Info: *info, ..mfxFrameSurface1::zeroed() });
        frame.Data.Pitch = info.Width;
        frame.Data.Y = memory.as_mut_ptr();
        frame.Data.UV = memory[width * height..].as_mut_ptr();
        Self { frame, _memory: memory }
    }

    /// Luma of the first row.
    pub fn row(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.frame.Data.Y, 178) }
    }
}

#[test]
fn surfaces_of_the_client_are_filled_at_the_sync_point() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        let (name, options, codec, format) = CLIPS[0];
        let path = made(folder.path(), name, options).unwrap();
        let mut data = std::fs::read(&path).unwrap();
        let session = runtime.session();
        let (_, mut parameters) = runtime.header(session, codec, &mut bitstream(&mut data, false));
        parameters.IOPattern = IOPATTERN_OUT_SYSTEM_MEMORY;
        let mut request = mfxFrameAllocRequest::zeroed();
        unsafe {
            assert_eq!((runtime.MFXVideoDECODE_QueryIOSurf)(session, &parameters, &mut request), ERR_NONE);
            assert_eq!((runtime.MFXVideoDECODE_Init)(session, &parameters), ERR_NONE);
        }
        let mut pool: Vec<Own> = (0..request.NumFrameSuggested).map(|_| Own::new(&request.Info)).collect();
        let (mut stream, mut rows) = (bitstream(&mut data, false), Vec::new());
        stream.TimeStamp = 77;
        let mut ended = false;
        loop {
            let free = pool.iter_mut().find(|own| own.frame.Data.Locked == 0).expect("a free surface");
            let work = &raw mut *free.frame;
            let place = if ended { std::ptr::null_mut() } else { &raw mut stream };
            match runtime.decode(session, place, work) {
                Ok((frame, point)) => {
                    let own = pool.iter().find(|own| std::ptr::eq(&raw const *own.frame, frame)).unwrap();
                    assert!(own.frame.Data.Locked > 0, "in use until the sync point");
                    assert_eq!(runtime.sync(session, point), ERR_NONE);
                    assert_eq!(own.frame.Data.TimeStamp, 77);
                    rows.extend_from_slice(own.row());
                }
                Err(ERR_MORE_SURFACE) => {}
                Err(ERR_MORE_DATA) if ended => break,
                Err(ERR_MORE_DATA) => ended = true,
                Err(status) => panic!("{status}"),
            }
        }
        let wanted = ffmpeg(&path, format);
        let first_rows: Vec<u8> =
            wanted.chunks(178 * 146 * 3 / 2).flat_map(|frame| &frame[..178]).copied().collect();
        assert!(rows == first_rows);
        assert!(pool.iter().all(|own| own.frame.Data.Locked == 0));
        unsafe { (runtime.MFXClose)(session) };
    };
    scenario("surfaces_of_the_client_are_filled_at_the_sync_point", &[], body).clean();
}

#[test]
fn another_size_wants_another_decoder() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        let small = made(folder.path(), "s.h264", "-pix_fmt yuv420p -c:v libx264 -bf 2 -g 10").unwrap();
        let large =
            made(folder.path(), "l.h264", "-vf scale=320:240 -pix_fmt yuv420p -c:v libx264 -bf 2").unwrap();
        let both = [std::fs::read(&small).unwrap(), std::fs::read(&large).unwrap()].concat();
        let wanted = [ffmpeg(&small, "nv12"), ffmpeg(&large, "nv12")].concat();
        // Data in one piece, and in pieces that cut everything.
        for bytes in [usize::MAX, 501] {
            let session = runtime.session();
            let mut first = both.clone();
            runtime.decoder(session, CODEC_AVC, &mut first);
            let (mut shown, mut changes) = (Vec::new(), 0);
            for piece in both.chunks(bytes) {
                let mut piece = piece.to_vec();
                let mut stream = bitstream(&mut piece, false);
                while runtime.feed(session, Some(&mut stream), &mut shown) == ERR_INCOMPATIBLE_VIDEO_PARAM {
                    changes += 1;
                    assert_eq!(runtime.feed(session, None, &mut shown), ERR_MORE_DATA);
                    let (status, parameters) = runtime.header(session, CODEC_AVC, &mut stream);
                    assert_eq!(status, ERR_NONE);
                    assert_eq!(
                        (parameters.mfx().FrameInfo.Width, parameters.mfx().FrameInfo.Height),
                        (320, 240)
                    );
                    unsafe {
                        assert_eq!((runtime.MFXVideoDECODE_Close)(session), ERR_NONE);
                        assert_eq!((runtime.MFXVideoDECODE_Init)(session, &parameters), ERR_NONE);
                    }
                }
            }
            assert_eq!(runtime.feed(session, None, &mut shown), ERR_MORE_DATA);
            assert_eq!(changes, 1);
            assert_eq!(md5(&shown), md5(&wanted));
            unsafe { (runtime.MFXClose)(session) };
        }
    };
    scenario("another_size_wants_another_decoder", &[], body).clean();
}

#[test]
fn damaged_and_hostile_data_do_no_harm() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        for (name, options, codec, _) in CLIPS {
            let Some(path) = made(folder.path(), name, options) else { continue };
            let data = match path.extension() {
                Some(extension) if extension == "ivf" => ivf(&path).concat(),
                _ => std::fs::read(&path).unwrap(),
            };
            let session = runtime.session();
            runtime.decoder(session, codec, &mut data.clone());
            let mut state = 7u32;
            for length in [data.len() / 3, 0, 1, 5] {
                let mut copy = data[..length].to_vec();
                for byte in copy.iter_mut().skip(200) {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if state >> 27 == 0 {
                        *byte = (state >> 8) as u8;
                    }
                }
                runtime.feed(session, Some(&mut bitstream(&mut copy, false)), &mut Vec::new());
                runtime.header(session, codec, &mut bitstream(&mut copy, true));
            }
            runtime.feed(session, None, &mut Vec::new());
            unsafe { (runtime.MFXClose)(session) };
        }
    };
    scenario("damaged_and_hostile_data_do_no_harm", &[], body).clean();
}
