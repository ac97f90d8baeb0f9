//! Profiles, and what is told before and without a decoder.

use serde_json::json;
use simulated_onevpl::abi::*;

use crate::client::{Runtime, encoding};
use crate::common::{run, scenario};

#[test]
fn a_machine_without_a_gpu_makes_no_session() {
    let body = || {
        let runtime = Runtime::open();
        let mut session = std::ptr::null_mut();
        assert_eq!(
            unsafe { (runtime.MFXInitialize)(mfxInitializationParam::zeroed(), &mut session) },
            ERR_UNSUPPORTED
        );
    };
    scenario("a_machine_without_a_gpu_makes_no_session", &[("VPLSIM_PROFILE", "none")], body).clean();
}

fn supports(runtime: &Runtime, codec: u32) -> (Status, Status) {
    let session = runtime.session();
    let mut wanted = encoding(codec);
    let mut answer = wanted;
    let encodes = unsafe { (runtime.MFXVideoENCODE_Query)(session, &wanted, &mut answer) };
    wanted.IOPattern = IOPATTERN_OUT_SYSTEM_MEMORY;
    let decodes = unsafe { (runtime.MFXVideoDECODE_Query)(session, &wanted, &mut answer) };
    assert_eq!(unsafe { (runtime.MFXClose)(session) }, ERR_NONE);
    (decodes, encodes)
}

#[test]
fn kaby_lake_knows_no_av1() {
    let body = || {
        let runtime = Runtime::open();
        assert_eq!(supports(&runtime, CODEC_AVC), (ERR_NONE, ERR_NONE));
        assert_eq!(supports(&runtime, CODEC_VP9), (ERR_NONE, ERR_UNSUPPORTED));
        assert_eq!(supports(&runtime, CODEC_AV1), (ERR_UNSUPPORTED, ERR_UNSUPPORTED));
    };
    scenario("kaby_lake_knows_no_av1", &[("VPLSIM_PROFILE", "kabylake")], body).clean();
}

#[test]
fn arc_encodes_av1() {
    let body = || {
        let runtime = Runtime::open();
        assert_eq!(supports(&runtime, CODEC_AV1), (ERR_NONE, ERR_NONE));
        let session = runtime.session();
        let mut platform = mfxPlatform::zeroed();
        assert_eq!(unsafe { (runtime.MFXVideoCORE_QueryPlatform)(session, &mut platform) }, ERR_NONE);
        assert_eq!((platform.CodeName, platform.MediaAdapterType), (PLATFORM_DG2, MEDIA_DISCRETE));
        assert_eq!(unsafe { (runtime.MFXVideoENCODE_Init)(session, &encoding(CODEC_AV1)) }, ERR_NONE);
        let packets = runtime.encode(session, 400_000, 3, |_| 0);
        assert_eq!(packets.len(), 3);
        unsafe { (runtime.MFXClose)(session) };
    };
    let outcome = scenario("arc_encodes_av1", &[("VPLSIM_PROFILE", "arc")], body).clean();
    assert_eq!(outcome.report["profile"], json!("arc"));
}

#[test]
fn sessions_are_joined_and_handles_are_kept() {
    let body = || {
        let runtime = Runtime::open();
        let (parent, child) = (runtime.session(), runtime.session());
        let mut version = 0;
        let display = std::ptr::without_provenance_mut(0x1230);
        unsafe {
            assert_eq!((runtime.MFXQueryVersion)(parent, &mut version), ERR_NONE);
            assert_eq!(version, 2 << 16 | 5);
            assert_eq!((runtime.MFXJoinSession)(parent, child), ERR_NONE);
            assert_eq!((runtime.MFXJoinSession)(child, parent), ERR_UNSUPPORTED);
            assert_eq!((runtime.MFXDisjoinSession)(parent), ERR_UNDEFINED_BEHAVIOR);
            assert_eq!((runtime.MFXDisjoinSession)(child), ERR_NONE);
            let mut found = std::ptr::null_mut();
            assert_eq!((runtime.MFXVideoENCODE_Init)(parent, &encoding(CODEC_AVC)), ERR_DEVICE_FAILED);
            assert_eq!((runtime.MFXVideoCORE_GetHandle)(child, HANDLE_VA_DISPLAY, &mut found), ERR_NOT_FOUND);
            assert_eq!((runtime.MFXVideoCORE_SetHandle)(child, HANDLE_VA_DISPLAY, display), ERR_NONE);
            assert_eq!((runtime.MFXVideoCORE_GetHandle)(child, HANDLE_VA_DISPLAY, &mut found), ERR_NONE);
            assert_eq!(found, display);
            assert_eq!((runtime.MFXVideoENCODE_Init)(child, &encoding(CODEC_AVC)), ERR_NONE);
            assert_eq!((runtime.MFXClose)(child), ERR_NONE);
            assert_eq!((runtime.MFXClose)(parent), ERR_NONE);
        }
    };
    let settings = [("VPLSIM_SET", "api=2.5;display=required")];
    scenario("sessions_are_joined_and_handles_are_kept", &settings, body).clean();
}

#[test]
fn a_session_is_of_the_gpu_that_it_names() {
    let body = || {
        let runtime = Runtime::open();
        for (number, device) in [(0, 0x5912), (1, 0x56a0)] {
            let parameters =
                mfxInitializationParam { VendorImplID: number, ..mfxInitializationParam::zeroed() };
            let (mut session, mut platform) = (std::ptr::null_mut(), mfxPlatform::zeroed());
            unsafe {
                assert_eq!((runtime.MFXInitialize)(parameters, &mut session), ERR_NONE);
                assert_eq!((runtime.MFXVideoCORE_QueryPlatform)(session, &mut platform), ERR_NONE);
                (runtime.MFXClose)(session);
            }
            assert_eq!(platform.DeviceId, device);
        }
    };
    let settings = [("VPLSIM_SET", "gpus=2"), ("VPLSIM_PROFILE", "kabylake")];
    scenario("a_session_is_of_the_gpu_that_it_names", &settings, body).clean();
}

/// As doctor sees it, also where the tests are root's.
#[test]
fn a_render_node_that_may_not_be_opened_hides_the_gpu() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let node = root.path().join("dev/dri/renderD128");
    std::fs::create_dir_all(node.parent().unwrap()).unwrap();
    std::fs::write(&node, "").unwrap();
    for (mode, found) in [(0o666, true), (0o000, false)] {
        std::fs::set_permissions(&node, std::fs::Permissions::from_mode(mode)).unwrap();
        let options = ["--root", root.path().to_str().unwrap()];
        let Some(outcome) = run("vpl-inspect", &options, &[]) else { return };
        let text = String::from_utf8_lossy(&outcome.output.stdout).into_owned();
        assert_eq!(text.contains("ImplName: mfx-gen"), found, "{text}");
    }
}

#[test]
fn the_dispatcher_lists_what_a_machine_has() {
    for (profile, decoders, encoders) in [("kabylake", 5, 3), ("tigerlake", 6, 4), ("arc", 6, 5)] {
        let Some(outcome) = run("vpl-inspect", &["--profile", profile], &[]) else { return };
        let outcome = outcome.clean();
        let text = String::from_utf8_lossy(&outcome.output.stdout).into_owned();
        assert!(text.contains("ImplName: mfx-gen") && text.contains("MFX_ACCEL_MODE_VIA_VAAPI"), "{text}");
        let (decoding, encoding) = text.split_once("mfxEncoderDescription").unwrap();
        let encoding = encoding.split("mfxVPPDescription").next().unwrap();
        let count = |text: &str| text.matches("CodecID:").count();
        assert_eq!((count(decoding), count(encoding)), (decoders, encoders), "{profile}");
    }
    let text =
        String::from_utf8(run("vpl-inspect", &["--set", "gpus=2"], &["-ex"]).unwrap().clean().output.stdout)
            .unwrap();
    for wanted in ["DeviceID: 9a49/0", "DeviceID: 56a0/1", "DRMRenderNodeNum: 128", "DRMRenderNodeNum: 129"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let outcome = run("vpl-inspect", &["--profile", "none"], &[]).unwrap();
    assert!(String::from_utf8_lossy(&outcome.output.stdout).contains("no implementations found"));
}
