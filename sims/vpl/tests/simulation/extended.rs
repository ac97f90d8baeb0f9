//! Surfaces beyond NV12 and P010: what the range extensions of HEVC and VP9's other profiles come out as.

use simulated_onevpl::abi::*;

use crate::client::{Runtime, bitstream, ivf};
use crate::common::{ffmpeg, made, scenario};

const X265: &str = "-x265-params log-level=none";
const VPX: &str = "-c:v libvpx-vp9 -cpu-used 8 -deadline realtime";
const HEVC: [(&str, u32); 7] = [
    ("yuv420p12le", FOURCC_P016),
    ("yuv422p", FOURCC_YUY2),
    ("yuv422p10le", FOURCC_Y210),
    ("yuv422p12le", FOURCC_Y216),
    ("yuv444p", FOURCC_AYUV),
    ("yuv444p10le", FOURCC_Y410),
    ("yuv444p12le", FOURCC_Y416),
];
const VP9: [(&str, u32); 2] = [("yuv444p", FOURCC_AYUV), ("yuv444p10le", FOURCC_Y410)];

/// Samples of a mapped surface as planes, in bytes or little endian words with the value at the bottom.
unsafe fn planes(frame: &mfxFrameSurface1) -> Vec<u8> {
    let (info, data) = (&frame.Info, &frame.Data);
    let (width, height, pitch) = (info.CropW as usize, info.CropH as usize, data.Pitch as usize);
    let depth = u32::from(info.BitDepthLuma);
    let word = |place: *mut u8| unsafe { place.cast::<u16>().read_unaligned() } >> (16 - depth);
    // Luma, blue and red of a pixel.
    let pixel = |x: usize, y: usize| -> [u16; 3] {
        let at = |start: *mut u8, bytes: usize| start.wrapping_add(y * pitch + bytes);
        unsafe {
            match info.FourCC {
                FOURCC_P016 => {
                    let chroma = data.UV.wrapping_add(y / 2 * pitch + x / 2 * 4);
                    [word(at(data.Y, x * 2)), word(chroma), word(chroma.add(2))]
                }
                FOURCC_YUY2 => {
                    [*at(data.Y, x * 2), *at(data.UV, x / 2 * 4), *at(data.V, x / 2 * 4)].map(u16::from)
                }
                FOURCC_Y210 | FOURCC_Y216 => {
                    [word(at(data.Y, x * 4)), word(at(data.UV, x / 2 * 8)), word(at(data.V, x / 2 * 8))]
                }
                FOURCC_AYUV => [*at(data.Y, x * 4), *at(data.UV, x * 4), *at(data.V, x * 4)].map(u16::from),
                FOURCC_Y410 => {
                    let all = at(data.UV, x * 4).cast::<u32>().read_unaligned();
                    [(all >> 10) as u16 & 0x3ff, all as u16 & 0x3ff, (all >> 20) as u16 & 0x3ff]
                }
                _ => [word(at(data.Y, x * 8)), word(at(data.UV, x * 8)), word(at(data.V, x * 8))],
            }
        }
    };
    let (across, down) = match info.ChromaFormat {
        CHROMAFORMAT_YUV420 => (2, 2),
        CHROMAFORMAT_YUV422 => (2, 1),
        _ => (1, 1),
    };
    let mut all = Vec::new();
    for (plane, across, down) in [(0, 1, 1), (1, across, down), (2, across, down)] {
        for y in (0..height).step_by(down) {
            for x in (0..width).step_by(across) {
                let bytes = pixel(x, y)[plane].to_le_bytes();
                all.extend_from_slice(if depth > 8 { &bytes } else { &bytes[..1] });
            }
        }
    }
    all
}

#[test]
fn range_extensions_come_out_in_packed_formats() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        let hevc = HEVC
            .map(|(format, fourcc)| (CODEC_HEVC, "a.h265", format!("-c:v libx265 {X265}"), format, fourcc));
        let vp9 = VP9.map(|(format, fourcc)| (CODEC_VP9, "a.ivf", VPX.to_owned(), format, fourcc));
        for (codec, name, options, format, fourcc) in hevc.into_iter().chain(vp9) {
            let options = format!("-frames:v 3 -pix_fmt {format} {options}");
            let Some(path) = made(folder.path(), name, &options) else { continue };
            let mut units = if codec == CODEC_VP9 { ivf(&path) } else { vec![std::fs::read(&path).unwrap()] };
            let session = runtime.session();
            let told = runtime.decoder(session, codec, &mut units[0].clone());
            let info = &told.mfx().FrameInfo;
            assert_eq!(
                (info.FourCC, info.Shift),
                (fourcc, u16::from(info.BitDepthLuma > 8 && fourcc != FOURCC_Y410))
            );
            let mut shown = Vec::new();
            let mut take = |stream: *mut mfxBitstream| {
                while let Ok((frame, point)) = runtime.decode(session, stream, std::ptr::null_mut()) {
                    assert_eq!(runtime.sync(session, point), ERR_NONE);
                    unsafe {
                        let table = &*(*frame).FrameInterface;
                        assert_eq!(table.Map.unwrap()(frame, MAP_READ), ERR_NONE);
                        shown.extend(planes(&*frame));
                        assert_eq!(table.Unmap.unwrap()(frame), ERR_NONE);
                    }
                    runtime.release(frame);
                }
            };
            for unit in &mut units {
                let whole = codec == CODEC_VP9;
                take(&mut bitstream(unit, whole));
            }
            take(std::ptr::null_mut());
            unsafe { (runtime.MFXClose)(session) };
            assert!(shown == ffmpeg(&path, format), "{name} {format}");
        }
    };
    scenario("range_extensions_come_out_in_packed_formats", &[], body).clean();
}

#[test]
fn kaby_lake_refuses_range_extensions() {
    let body = || {
        let (runtime, folder) = (Runtime::open(), tempfile::tempdir().unwrap());
        let options = format!("-frames:v 1 -pix_fmt yuv444p -c:v libx265 {X265}");
        let Some(path) = made(folder.path(), "a.h265", &options) else { return };
        let mut data = std::fs::read(&path).unwrap();
        let session = runtime.session();
        let (status, told) = runtime.header(session, CODEC_HEVC, &mut bitstream(&mut data, true));
        assert_eq!((status, told.mfx().FrameInfo.FourCC), (ERR_NONE, FOURCC_AYUV));
        let mut answer = told;
        unsafe {
            assert_eq!((runtime.MFXVideoDECODE_Query)(session, &told, &mut answer), ERR_UNSUPPORTED);
            assert_eq!((runtime.MFXVideoDECODE_Init)(session, &told), ERR_INVALID_VIDEO_PARAM);
            (runtime.MFXClose)(session);
        }
    };
    scenario("kaby_lake_refuses_range_extensions", &[("VPLSIM_PROFILE", "kabylake")], body).clean();
}
