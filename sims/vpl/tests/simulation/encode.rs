//! Encoding by a client of the tests' own, judged by ffprobe and ffmpeg.

use std::collections::HashSet;

use simulated_onevpl::abi::*;

use crate::client::{Packet, Runtime, encoding};
use crate::common::{ffmpeg, probe, scenario};

const ROOM: usize = 300_000;
const FRAMES: usize = 24;

fn check(packets: &[Packet], name: &str, codec: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let data: Vec<u8> = packets.iter().flat_map(|packet| packet.data.clone()).collect();
    std::fs::write(&path, data).unwrap();
    assert_eq!(probe(&path), (codec.to_owned(), 320, 176, FRAMES as u32));
    assert_eq!(ffmpeg(&path, "nv12").len(), FRAMES * 320 * 176 * 3 / 2);
    let times: HashSet<u64> = packets.iter().map(|packet| packet.pts).collect();
    assert_eq!(times, (0..FRAMES as u64).map(|number| number * 3600).collect());
    assert!(packets.windows(2).all(|pair| pair[0].dts < pair[1].dts), "decoding times increase");
    assert!(packets.iter().all(|packet| packet.dts <= packet.pts as i64), "and are not behind");
}

#[test]
fn streams_are_whole_with_and_without_b_frames() {
    let body = || {
        let runtime = Runtime::open();
        for (codec, name, told) in [(CODEC_AVC, "a.h264", "h264"), (CODEC_HEVC, "a.h265", "hevc")] {
            for (distance, pyramid) in [(1, false), (3, false), (4, true)] {
                let session = runtime.session();
                let mut parameters = encoding(codec);
                parameters.mfx_mut().GopRefDist = distance;
                let mut two =
                    mfxExtCodingOption2 { BRefType: B_REF_PYRAMID, ..mfxExtCodingOption2::zeroed() };
                two.Header =
                    mfxExtBuffer { BufferId: EXTBUFF_CODING_OPTION2, BufferSz: size_of_val(&two) as u32 };
                let mut list = [(&raw mut two).cast::<mfxExtBuffer>()];
                if pyramid {
                    (parameters.ExtParam, parameters.NumExtParam) = (list.as_mut_ptr(), 1);
                }
                assert_eq!(unsafe { (runtime.MFXVideoENCODE_Init)(session, &parameters) }, ERR_NONE);
                let packets = runtime.encode(session, ROOM, FRAMES, |number| {
                    if number == 9 { FRAMETYPE_I | FRAMETYPE_IDR } else { 0 }
                });
                check(&packets, name, told);
                let keys: Vec<u64> = packets
                    .iter()
                    .filter(|packet| packet.kind & FRAMETYPE_IDR != 0)
                    .map(|packet| packet.pts)
                    .collect();
                assert_eq!(keys, [0, 9 * 3600], "{told} {distance}");
                let b = packets.iter().filter(|packet| packet.kind & FRAMETYPE_B != 0).count();
                assert_eq!(b > 0, distance > 1);
                assert_eq!(unsafe { (runtime.MFXClose)(session) }, ERR_NONE);
            }
        }
    };
    scenario("streams_are_whole_with_and_without_b_frames", &[], body).clean();
}

#[test]
fn methods_of_rate_control_and_resets_are_followed() {
    let body = || {
        let runtime = Runtime::open();
        let bytes = |method: u16, values: [u16; 3]| {
            let session = runtime.session();
            let mut parameters = encoding(CODEC_AVC);
            let mfx = parameters.mfx_mut();
            mfx.RateControlMethod = method;
            [mfx.InitialDelayInKB, mfx.TargetKbps, mfx.MaxKbps] = values;
            assert_eq!(unsafe { (runtime.MFXVideoENCODE_Init)(session, &parameters) }, ERR_NONE);
            let packets = runtime.encode(session, ROOM, FRAMES, |_| 0);
            check(&packets, "a.h264", "h264");
            assert_eq!(unsafe { (runtime.MFXClose)(session) }, ERR_NONE);
            packets.iter().map(|packet| packet.data.len()).sum::<usize>()
        };
        assert!(bytes(RATECONTROL_CQP, [20, 22, 24]) > 2 * bytes(RATECONTROL_CQP, [40, 42, 44]));
        assert!(bytes(RATECONTROL_ICQ, [0, 18, 0]) > bytes(RATECONTROL_ICQ, [0, 40, 0]));
        assert!(bytes(RATECONTROL_CBR, [0, 900, 0]) > bytes(RATECONTROL_VBR, [0, 150, 200]));

        let session = runtime.session();
        let mut parameters = encoding(CODEC_AVC);
        unsafe {
            assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_NONE);
            let before = runtime.encode(session, ROOM, 4, |_| 0);
            parameters.mfx_mut().TargetKbps = 900;
            assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_NONE);
            let mut told = mfxVideoParam::zeroed();
            assert_eq!((runtime.MFXVideoENCODE_GetVideoParam)(session, &mut told), ERR_NONE);
            assert_eq!((told.mfx().TargetKbps, told.mfx().CodecProfile), (900, PROFILE_AVC_HIGH));
            parameters.mfx_mut().FrameInfo.CropW = 160;
            assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_NONE);
            let after = runtime.encode(session, ROOM, 4, |_| 0);
            assert_eq!((before.len(), after.len()), (4, 4));
            assert!(after[0].kind & FRAMETYPE_IDR != 0);
            parameters.mfx_mut().FrameInfo.Width = 640;
            assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_INCOMPATIBLE_VIDEO_PARAM);
            (runtime.MFXClose)(session);
        }
    };
    scenario("methods_of_rate_control_and_resets_are_followed", &[], body).clean();
}

#[test]
fn parameters_are_corrected_or_refused() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        let query = |change: &dyn Fn(&mut mfxVideoParam)| {
            let mut wanted = encoding(CODEC_HEVC);
            change(&mut wanted);
            let mut answer = wanted;
            let status = unsafe { (runtime.MFXVideoENCODE_Query)(session, &wanted, &mut answer) };
            (status, answer)
        };
        assert_eq!(query(&|_| {}).0, ERR_NONE);
        let (status, answer) = query(&|wanted| wanted.mfx_mut().GopRefDist = 30);
        assert_eq!((status, answer.mfx().GopRefDist), (WRN_INCOMPATIBLE_VIDEO_PARAM, 8));
        let (status, answer) = query(&|wanted| {
            wanted.mfx_mut().RateControlMethod = RATECONTROL_CQP;
            wanted.mfx_mut().TargetKbps = 70;
        });
        assert_eq!((status, answer.mfx().TargetKbps), (WRN_INCOMPATIBLE_VIDEO_PARAM, 51));
        let (status, answer) = query(&|wanted| wanted.mfx_mut().RateControlMethod = RATECONTROL_LA);
        assert_eq!((status, answer.mfx().RateControlMethod), (ERR_UNSUPPORTED, 0));
        assert_eq!(query(&|wanted| wanted.mfx_mut().FrameInfo.Width = 8208).0, ERR_UNSUPPORTED);
        assert_eq!(query(&|wanted| wanted.mfx_mut().FrameInfo.FourCC = FOURCC_RGB4).0, ERR_UNSUPPORTED);
        assert_eq!(query(&|wanted| wanted.mfx_mut().CodecId = CODEC_MPEG2).0, ERR_UNSUPPORTED);
        unsafe {
            let mut parameters = encoding(CODEC_HEVC);
            parameters.mfx_mut().TargetKbps = 0;
            assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_INVALID_VIDEO_PARAM);
            parameters = encoding(CODEC_HEVC);
            parameters.mfx_mut().TargetUsage = 9;
            assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), WRN_INCOMPATIBLE_VIDEO_PARAM);
            // Parameter sets, with start codes.
            let (mut sps, mut pps, mut vps) = ([0u8; 256], [0u8; 256], [0u8; 4]);
            let mut sets = mfxExtCodingOptionSPSPPS::zeroed();
            sets.Header =
                mfxExtBuffer { BufferId: EXTBUFF_CODING_OPTION_SPSPPS, BufferSz: size_of_val(&sets) as u32 };
            (sets.SPSBuffer, sets.SPSBufSize) = (sps.as_mut_ptr(), 256);
            (sets.PPSBuffer, sets.PPSBufSize) = (pps.as_mut_ptr(), 256);
            let mut set = mfxExtCodingOptionVPS::zeroed();
            set.Header =
                mfxExtBuffer { BufferId: EXTBUFF_CODING_OPTION_VPS, BufferSz: size_of_val(&set) as u32 };
            (set.VPSBuffer, set.VPSBufSize) = (vps.as_mut_ptr(), 4);
            let mut list = [(&raw mut sets).cast::<mfxExtBuffer>(), (&raw mut set).cast::<mfxExtBuffer>()];
            let mut told = mfxVideoParam::zeroed();
            (told.ExtParam, told.NumExtParam) = (list.as_mut_ptr(), 1);
            assert_eq!((runtime.MFXVideoENCODE_GetVideoParam)(session, &mut told), ERR_NONE);
            assert_eq!((&sps[..5], &pps[..5]), (&[0, 0, 0, 1, 0x42][..], &[0, 0, 0, 1, 0x44][..]));
            told.NumExtParam = 2;
            assert_eq!((runtime.MFXVideoENCODE_GetVideoParam)(session, &mut told), ERR_NOT_ENOUGH_BUFFER);
            // Too little room.
            let mut buffer = vec![0; 1000];
            let mut stream = crate::client::empty(&mut buffer);
            let frame = runtime.input(session, 0);
            let mut point = std::ptr::null_mut();
            let status = (runtime.MFXVideoENCODE_EncodeFrameAsync)(
                session,
                std::ptr::null(),
                frame,
                &mut stream,
                &mut point,
            );
            assert_eq!(status, ERR_NOT_ENOUGH_BUFFER);
            runtime.release(frame);
            (runtime.MFXClose)(session);
        }
    };
    scenario("parameters_are_corrected_or_refused", &[], body).clean();
}

/// What Intel's encoders refuse: extension buffers that they do not know, or that are there twice; another session's surfaces, on
/// order. Surfaces stay as large as they were at Init.
#[test]
fn what_intels_encoders_refuse_is_refused() {
    let body = || {
        let runtime = Runtime::open();
        let (session, other) = (runtime.session(), runtime.session());
        let init = |parameters: &mfxVideoParam| unsafe { (runtime.MFXVideoENCODE_Init)(session, parameters) };
        let header =
            |id: u32, size: usize| mfxExtBuffer { BufferId: id, BufferSz: u32::try_from(size).unwrap() };
        let mut scaling = [0_u32; 16];
        let mut signal = mfxExtVideoSignalInfo::zeroed();
        signal.Header = header(EXTBUFF_VIDEO_SIGNAL_INFO, size_of_val(&signal));
        let unknown = scaling.as_mut_ptr().cast::<mfxExtBuffer>();
        unsafe { *unknown = header(EXTBUFF_VPP_SCALING, size_of_val(&scaling)) };
        let signal = (&raw mut signal).cast::<mfxExtBuffer>();
        for (codec, mut list) in
            [(CODEC_AVC, vec![unknown]), (CODEC_AVC, vec![signal, signal]), (CODEC_VP9, vec![signal])]
        {
            let mut parameters = encoding(codec);
            (parameters.ExtParam, parameters.NumExtParam) = (list.as_mut_ptr(), list.len() as u16);
            assert_eq!(init(&parameters), ERR_INVALID_VIDEO_PARAM);
        }
        let mut parameters = encoding(CODEC_AVC);
        let mut list = [signal];
        (parameters.ExtParam, parameters.NumExtParam) = (list.as_mut_ptr(), 1);
        assert_eq!(init(&parameters), ERR_NONE);
        unsafe {
            assert_eq!((runtime.MFXVideoENCODE_Init)(other, &encoding(CODEC_AVC)), ERR_NONE);
            let (mut buffer, mut point) = (vec![0; ROOM], std::ptr::null_mut());
            let mut stream = crate::client::empty(&mut buffer);
            let foreign = runtime.input(other, 0);
            let encode = runtime.MFXVideoENCODE_EncodeFrameAsync;
            let mut give = |frame| encode(session, std::ptr::null(), frame, &mut stream, &mut point);
            assert_eq!(give(foreign), ERR_INVALID_HANDLE);
            runtime.release(foreign);
            let info = &mut parameters.mfx_mut().FrameInfo;
            (info.Width, info.CropW) = (160, 160);
            assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_NONE);
            let frame = runtime.input(session, 0);
            assert_eq!((*frame).Info.Width, 320);
            assert_eq!(give(frame), ERR_NONE);
            runtime.release(frame);
            (runtime.MFXClose)(session);
            (runtime.MFXClose)(other);
        }
    };
    let set = [("VPLSIM_SET", "foreign=refused")];
    scenario("what_intels_encoders_refuse_is_refused", &set, body).clean();
}

/// A frame that the encoder keeps for itself: there is no more to come, and one is missing.
#[test]
fn an_encoder_may_keep_a_frame() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        assert_eq!(unsafe { (runtime.MFXVideoENCODE_Init)(session, &encoding(CODEC_AVC)) }, ERR_NONE);
        let packets = runtime.encode(session, ROOM, FRAMES, |_| 0);
        let times: Vec<u64> = packets.iter().map(|packet| packet.pts / 3600).collect();
        assert_eq!(times, (0..FRAMES as u64).filter(|number| *number != 4).collect::<Vec<_>>());
        unsafe { (runtime.MFXClose)(session) };
    };
    scenario("an_encoder_may_keep_a_frame", &[("VPLSIM_SET", "keep.encode.at=5")], body).clean();
}
