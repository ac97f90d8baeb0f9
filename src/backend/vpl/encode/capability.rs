//! What a GPU encodes, found out by asking: a query corrects what it knows and refuses the rest.

use std::sync::{Arc, Mutex};

use super::settings::{MAX_GOP, MIN_SIDE, max_qp, max_quality, own};
use crate::backend::vpl::driver::abi::VideoParam;
use crate::backend::vpl::driver::abi::names::{
    CHROMAFORMAT_YUV420, FOURCC_NV12, FOURCC_P010, IOPATTERN_IN_VIDEO_MEMORY, PICSTRUCT_PROGRESSIVE,
    RATECONTROL_CBR, RATECONTROL_CQP, RATECONTROL_ICQ, RATECONTROL_LA, RATECONTROL_QVBR, RATECONTROL_VBR,
};
use crate::backend::vpl::driver::encoder::query;
use crate::backend::vpl::driver::parameters::Parameters;
use crate::backend::vpl::driver::session::Session;
use crate::backend::vpl::{IMPLEMENTATION, codec_id};
use crate::capability::{EncodeCapability, InPlaceChanges};
use crate::codec::Codec;
use crate::config::BackendEncodeConfig;
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::pixel::PixelFormat;
use crate::sync::lock;

/// What a GPU answers of a codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) max_side: u16,
    pub(super) ten_bit: bool,
    pub(super) max_b_frames: u32,
    pub(super) cbr: bool,
    pub(super) vbr: bool,
    pub(super) const_qp: bool,
    pub(super) quality: bool,
    /// Constant quality with a ceiling.
    pub(super) limited_quality: bool,
    pub(super) lookahead: bool,
}

/// A question.
struct Asked {
    side: u16,
    fourcc: u32,
    rate: u16,
    distance: u16,
}

impl Caps {
    /// Asks; `None`: this codec is not encoded.
    pub(super) fn ask(session: &Session, codec: Codec) -> Option<Self> {
        let codec_id = codec_id(codec).ok()?;
        let answer = |asked: &Asked| {
            let mut video = VideoParam { io_pattern: IOPATTERN_IN_VIDEO_MEMORY, ..VideoParam::default() };
            let coding = video.coding_mut();
            coding.codec_id = codec_id;
            let info = &mut coding.frame_info;
            (info.fourcc, info.chroma_format, info.pic_struct) =
                (asked.fourcc, CHROMAFORMAT_YUV420, PICSTRUCT_PROGRESSIVE);
            (info.width, info.height, info.crop_w, info.crop_h) =
                (asked.side, asked.side, asked.side, asked.side);
            (info.rate_num, info.rate_den) = (30, 1);
            if asked.fourcc == FOURCC_P010 {
                (info.bit_depth_luma, info.bit_depth_chroma, info.shift) = (10, 10, 1);
            }
            if codec == Codec::Mjpeg {
                coding.gop_size = 80;
            } else {
                coding.rate_control = asked.rate;
                coding.gop_ref_dist = asked.distance;
                (coding.gop_size, coding.target_kbps, coding.max_kbps) = (60, 20, 20);
                coding.initial_delay = if asked.rate == RATECONTROL_CQP { 20 } else { 0 };
            }
            let mut parameters = Parameters::new(video);
            let status = query(session, &mut parameters);
            let kept = *parameters.video().coding();
            let same = kept.codec_id == codec_id
                && kept.frame_info.fourcc == asked.fourcc
                && kept.frame_info.width == asked.side
                && (codec == Codec::Mjpeg || kept.rate_control == asked.rate);
            (status.0 >= 0 && same).then_some(kept)
        };
        let base = || Asked { side: 512, fourcc: FOURCC_NV12, rate: RATECONTROL_CQP, distance: 1 };
        let rate = |rate| answer(&Asked { rate, ..base() }).is_some();
        let (cbr, const_qp) = (rate(RATECONTROL_CBR), rate(RATECONTROL_CQP));
        let plain = if const_qp { RATECONTROL_CQP } else { RATECONTROL_CBR };
        let base = || Asked { rate: plain, ..base() };
        answer(&base())?;
        // How AV1 pictures come out that are shown later is not documented, and VP9 has none that refer ahead here.
        let reorders = matches!(codec, Codec::H264 | Codec::Hevc);
        let distance = if reorders {
            answer(&Asked { distance: 8, ..base() }).map_or(1, |kept| kept.gop_ref_dist)
        } else {
            1
        };
        let sides = [16384, 8192, 4096, 2048];
        let max_side = sides.into_iter().find(|&side| answer(&Asked { side, ..base() }).is_some());
        let plain_jpeg = codec == Codec::Mjpeg;
        Some(Self {
            max_side: max_side.unwrap_or(1024),
            ten_bit: codec != Codec::H264 && answer(&Asked { fourcc: FOURCC_P010, ..base() }).is_some(),
            max_b_frames: u32::from(distance.clamp(1, 8)) - 1,
            cbr: cbr && !plain_jpeg,
            vbr: rate(RATECONTROL_VBR) && !plain_jpeg,
            const_qp: const_qp && !plain_jpeg,
            quality: rate(RATECONTROL_ICQ) || plain_jpeg,
            limited_quality: rate(RATECONTROL_QVBR) && !plain_jpeg,
            lookahead: codec == Codec::H264 && rate(RATECONTROL_LA),
        })
    }

    /// Frames that can be handed over.
    pub(super) fn formats(&self) -> Vec<PixelFormat> {
        // Planes become two on their way into a surface.
        let mut formats = vec![PixelFormat::Nv12, PixelFormat::I420];
        if self.ten_bit {
            formats.extend([PixelFormat::P010, PixelFormat::I010]);
        }
        formats
    }
}

/// What a GPU encodes of a codec; `None`: nothing. It is asked once.
///
/// # Errors
/// No oneVPL, no such GPU; settings of another backend.
pub(crate) fn encode_capability(
    device: Option<&str>,
    codec: Codec,
    special: &BackendEncodeConfig,
) -> Result<Option<EncodeCapability>> {
    type Known = ((u32, Codec), Option<Caps>);
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    own(special, codec)?;
    let adapter = crate::backend::vpl::driver::implementations::choose(device)?.ordinal;
    let key = (adapter, codec);
    let found = lock(&KNOWN).iter().find(|(known, _)| *known == key).map(|(_, caps)| caps.clone());
    let caps = if let Some(caps) = found {
        caps
    } else {
        let session: Arc<Session> = Session::open(device)?;
        let caps = Caps::ask(&session, codec);
        lock(&KNOWN).push((key, caps.clone()));
        caps
    };
    let Some(caps) = caps else { return Ok(None) };
    let (Some(min), Some(max)) =
        (Dimensions::new(MIN_SIDE, MIN_SIDE), Dimensions::new(caps.max_side.into(), caps.max_side.into()))
    else {
        return Ok(None);
    };
    Ok(Some(EncodeCapability {
        implementation: IMPLEMENTATION,
        min,
        max,
        alignment: 2,
        formats: caps.formats(),
        max_b_frames: caps.max_b_frames,
        cbr: caps.cbr,
        vbr: caps.vbr,
        const_qp: caps.const_qp,
        qp_range: if caps.const_qp { (1, max_qp(codec)) } else { (0, 0) },
        quality_range: caps.quality.then_some((1, max_quality(codec))),
        gop_range: (1, MAX_GOP),
        force_idr: true,
        low_latency: true,
        in_place: if codec == Codec::Mjpeg {
            InPlaceChanges::default()
        } else {
            InPlaceChanges { bitrate: true, rate_mode: false, frame_rate: true, size: true }
        },
    }))
}
