//! Processing, and decoded surfaces that go on without a copy.

use simulated_onevpl::abi::*;

use crate::client::{Runtime, bitstream, empty, encoding};
use crate::common::{made, scenario};

#[test]
fn a_decoded_surface_is_scaled_and_encoded_before_anybody_waits() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        let path = made(folder.path(), "a.h264", "-pix_fmt yuv420p -c:v libx264 -bf 0").unwrap();
        let mut data = std::fs::read(&path).unwrap();
        let session = runtime.session();
        let parameters = runtime.decoder(session, CODEC_AVC, &mut data);
        let mut vpp = mfxVideoParam::zeroed();
        vpp.IOPattern = IOPATTERN_IN_VIDEO_MEMORY | IOPATTERN_OUT_VIDEO_MEMORY;
        vpp.vpp_mut().In = parameters.mfx().FrameInfo;
        vpp.vpp_mut().Out = encoding(CODEC_AVC).mfx().FrameInfo;
        unsafe {
            assert_eq!((runtime.MFXVideoVPP_Init)(session, &vpp), ERR_NONE);
            assert_eq!((runtime.MFXVideoENCODE_Init)(session, &encoding(CODEC_AVC)), ERR_NONE);
        }
        let (mut stream, mut sizes) = (bitstream(&mut data, false), Vec::new());
        stream.DataFlag = BITSTREAM_EOS;
        while let Ok((frame, _)) = runtime.decode(session, &mut stream, std::ptr::null_mut()) {
            let mut scaled = std::ptr::null_mut();
            let (mut buffer, mut point) = (vec![0; 300_000], std::ptr::null_mut());
            let mut coded = empty(&mut buffer);
            unsafe {
                assert_eq!((runtime.MFXVideoVPP_ProcessFrameAsync)(session, frame, &mut scaled), ERR_NONE);
                runtime.release(frame);
                let status = (runtime.MFXVideoENCODE_EncodeFrameAsync)(
                    session,
                    std::ptr::null(),
                    scaled,
                    &mut coded,
                    &mut point,
                );
                assert_eq!(status, ERR_NONE);
                runtime.release(scaled);
            }
            assert_eq!(runtime.sync(session, point), ERR_NONE);
            sizes.push(coded.DataLength);
        }
        assert_eq!(sizes.len(), 20);
        assert!(sizes.iter().all(|&size| size > 0));
        unsafe { (runtime.MFXClose)(session) };
    };
    scenario("a_decoded_surface_is_scaled_and_encoded_before_anybody_waits", &[], body).clean();
}

#[test]
fn grey_stays_grey_in_every_format() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        let formats = [FOURCC_NV12, FOURCC_P010, FOURCC_RGB4, FOURCC_NV12];
        let info = |fourcc: u32, width: u16| {
            let mut info = encoding(CODEC_AVC).mfx().FrameInfo;
            (info.FourCC, info.Width, info.CropW) = (fourcc, width, width);
            info
        };
        let mut from = super::decode::Own::new(&info(FOURCC_NV12, 64));
        unsafe { std::slice::from_raw_parts_mut(from.frame.Data.Y, 64 * 176 * 3 / 2) }.fill(126);
        unsafe { std::slice::from_raw_parts_mut(from.frame.Data.UV, 64 * 88) }.fill(128);
        let mut frame = &raw mut *from.frame;
        for (at, pair) in formats.windows(2).enumerate() {
            let session = runtime.session();
            let mut vpp = mfxVideoParam::zeroed();
            vpp.IOPattern = IOPATTERN_IN_SYSTEM_MEMORY | IOPATTERN_OUT_SYSTEM_MEMORY;
            let width = |at: usize| 64 << at;
            (vpp.vpp_mut().In, vpp.vpp_mut().Out) = (info(pair[0], width(at)), info(pair[1], width(at + 1)));
            let mut out = std::ptr::null_mut();
            unsafe {
                assert_eq!((runtime.MFXVideoVPP_Init)(session, &vpp), ERR_NONE);
                assert_eq!((runtime.MFXVideoVPP_ProcessFrameAsync)(session, frame, &mut out), ERR_NONE);
                assert_eq!((*(*out).FrameInterface).Synchronize.unwrap()(out, 1000), ERR_NONE);
            }
            if at > 0 {
                runtime.release(frame);
            }
            frame = out;
            unsafe { (runtime.MFXClose)(session) };
        }
        let mut shown = Vec::new();
        runtime.read(frame, &mut shown);
        assert_eq!(shown.len(), 512 * 176 * 3 / 2);
        assert!(shown.iter().all(|sample| matches!(sample, 126 | 128)), "{:?}", &shown[..8]);
        runtime.release(frame);
        unsafe { (runtime.MFXClose)(session) };
    };
    scenario("grey_stays_grey_in_every_format", &[], body).clean();
}
