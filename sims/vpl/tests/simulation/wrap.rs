//! What is around coded pictures: the client's messages, IVF headers, and where a sequence begins after a reset.

use simulated_onevpl::abi::*;

use crate::client::{Packet, Runtime, empty, encoding};
use crate::common::{probe, scenario};

/// Encodes a picture with messages.
fn coded(runtime: &Runtime, session: Handle, payloads: &mut [mfxPayload]) -> Vec<u8> {
    let frame = runtime.input(session, 0);
    let mut list: Vec<*mut mfxPayload> = payloads.iter_mut().map(std::ptr::from_mut).collect();
    let control = mfxEncodeCtrl {
        NumPayload: list.len() as u16,
        Payload: list.as_mut_ptr().cast(),
        ..mfxEncodeCtrl::zeroed()
    };
    let (mut room, mut point) = (vec![0; 300_000], std::ptr::null_mut());
    let mut stream = empty(&mut room);
    let status = unsafe {
        (runtime.MFXVideoENCODE_EncodeFrameAsync)(session, &control, frame, &mut stream, &mut point)
    };
    assert_eq!(status, ERR_NONE);
    assert_eq!(runtime.sync(session, point), ERR_NONE);
    runtime.release(frame);
    let length = stream.DataLength as usize;
    room.truncate(length);
    room
}

fn holds(data: &[u8], wanted: &[u8]) -> bool {
    data.windows(wanted.len()).any(|bytes| bytes == wanted)
}

#[test]
fn messages_are_put_in_front_of_the_picture() {
    let body = || {
        let runtime = Runtime::open();
        // Type 4, 4 bytes, of which zeros need an escape.
        let mut message = [4u8, 4, 0, 0, 1, 7];
        let payload = |flags: u32, data: &mut [u8]| mfxPayload {
            CtrlFlags: flags,
            Data: data.as_mut_ptr(),
            NumBit: data.len() as u32 * 8,
            BufSize: data.len() as u16,
            Type: 4,
            ..mfxPayload::zeroed()
        };
        let inside = [4u8, 4, 0, 0, 3, 1, 7, 0x80];
        for (codec, prefix, suffix) in
            [(CODEC_AVC, &[6u8][..], None), (CODEC_HEVC, &[78, 1], Some([80u8, 1]))]
        {
            let session = runtime.session();
            unsafe { assert_eq!((runtime.MFXVideoENCODE_Init)(session, &encoding(codec)), ERR_NONE) };
            let data = coded(&runtime, session, &mut [payload(0, &mut message)]);
            let unit = [&[0, 0, 0, 1], prefix, &inside].concat();
            assert!(holds(&data, &unit), "{codec:x}");
            assert!(!data.ends_with(&inside));
            if let Some(suffix) = suffix {
                let data = coded(&runtime, session, &mut [payload(PAYLOAD_CTRL_SUFFIX, &mut message)]);
                assert!(data.ends_with(&[&[0, 0, 0, 1][..], &suffix, &inside].concat()));
            }
            assert!(!holds(&coded(&runtime, session, &mut []), &inside));
            unsafe { (runtime.MFXClose)(session) };
        }
    };
    scenario("messages_are_put_in_front_of_the_picture", &[], body).clean();
}

#[test]
fn vp9_and_av1_have_ivf_headers_as_the_headers_say() {
    let body = || {
        let runtime = Runtime::open();
        let encode = |codec: u32, word: Option<u16>| -> Vec<Packet> {
            let session = runtime.session();
            let mut parameters = encoding(codec);
            let told = word.unwrap_or(0);
            let header = |id: u32, size: usize| mfxExtBuffer { BufferId: id, BufferSz: size as u32 };
            let mut vp9 = mfxExtVP9Param { WriteIVFHeaders: told, ..mfxExtVP9Param::zeroed() };
            vp9.Header = header(EXTBUFF_VP9_PARAM, size_of_val(&vp9));
            let mut av1 =
                mfxExtAV1BitstreamParam { WriteIVFHeaders: told, ..mfxExtAV1BitstreamParam::zeroed() };
            av1.Header = header(EXTBUFF_AV1_BITSTREAM_PARAM, size_of_val(&av1));
            let mut list = [if codec == CODEC_VP9 { (&raw mut vp9).cast() } else { (&raw mut av1).cast() }];
            if word.is_some() {
                (parameters.ExtParam, parameters.NumExtParam) = (list.as_mut_ptr(), 1);
            }
            assert_eq!(unsafe { (runtime.MFXVideoENCODE_Init)(session, &parameters) }, ERR_NONE);
            let packets = runtime.encode(session, 300_000, 3, |_| 0);
            unsafe { (runtime.MFXClose)(session) };
            packets
        };
        let folder = tempfile::tempdir().unwrap();
        for (codec, name, by_default) in [(CODEC_VP9, "vp9", true), (CODEC_AV1, "av1", false)] {
            for (word, wanted) in [
                (None, by_default),
                (Some(0), true),
                (Some(CODINGOPTION_ON), true),
                (Some(CODINGOPTION_OFF), false),
            ] {
                let packets = encode(codec, word);
                assert_eq!(packets[0].data.starts_with(b"DKIF"), wanted, "{name} {word:?}");
                if wanted {
                    let path = folder.path().join("a.ivf");
                    let data: Vec<u8> = packets.iter().flat_map(|packet| packet.data.clone()).collect();
                    std::fs::write(&path, data).unwrap();
                    assert_eq!(probe(&path), (name.to_owned(), 320, 176, 3));
                }
            }
        }
    };
    scenario("vp9_and_av1_have_ivf_headers_as_the_headers_say", &[("VPLSIM_PROFILE", "arc")], body).clean();
}

#[test]
fn a_reset_begins_a_sequence_or_not_as_it_is_told() {
    let body = || {
        let runtime = Runtime::open();
        let session = runtime.session();
        let mut parameters = encoding(CODEC_AVC);
        unsafe { assert_eq!((runtime.MFXVideoENCODE_Init)(session, &parameters), ERR_NONE) };
        let mut option = mfxExtEncoderResetOption::zeroed();
        option.Header =
            mfxExtBuffer { BufferId: EXTBUFF_ENCODER_RESET_OPTION, BufferSz: size_of_val(&option) as u32 };
        let option = &raw mut option;
        let mut list = [option.cast::<mfxExtBuffer>()];
        (parameters.ExtParam, parameters.NumExtParam) = (list.as_mut_ptr(), 1);
        let is_key = || {
            let data = coded(&runtime, session, &mut []);
            holds(&data, &[0, 0, 1, 0x65])
        };
        assert!(is_key());
        for (word, rate, key) in
            [(CODINGOPTION_OFF, 800, false), (CODINGOPTION_ON, 700, true), (CODINGOPTION_OFF, 500, false)]
        {
            unsafe { (*option).StartNewSequence = word };
            parameters.mfx_mut().TargetKbps = rate;
            unsafe { assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_NONE) };
            assert_eq!(is_key(), key, "{rate}");
        }
        parameters.mfx_mut().FrameInfo.FrameRateExtN = 50;
        unsafe {
            assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_INVALID_VIDEO_PARAM);
            (*option).StartNewSequence = CODINGOPTION_ON;
            assert_eq!((runtime.MFXVideoENCODE_Reset)(session, &parameters), ERR_NONE);
            assert!(is_key());
            (runtime.MFXClose)(session);
        }
    };
    scenario("a_reset_begins_a_sequence_or_not_as_it_is_told", &[], body).clean();
}
