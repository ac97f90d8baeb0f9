//! What an encoder makes of its parameters: corrections, what is left open, and the settings of the library behind it.

use super::extension::List;
use super::machine::{Codec, Machine};
use crate::abi::{
    self, CODEC_AV1, CODEC_AVC, CODEC_HEVC, CODEC_JPEG, CODEC_VP9, FOURCC_P010, Status,
    mfxExtAV1BitstreamParam, mfxExtCodingOption, mfxExtCodingOption2, mfxExtEncoderResetOption,
    mfxExtVP9Param, mfxExtVideoSignalInfo, mfxVideoParam,
};
use crate::codec::encoder::{self, Settings};

/// Operations in flight where the client does not say.
const DEPTH: u16 = 4;

/// Extension buffers that count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    one: Option<mfxExtCodingOption>,
    two: Option<mfxExtCodingOption2>,
    signal: Option<mfxExtVideoSignalInfo>,
    vp9: Option<mfxExtVP9Param>,
    av1: Option<mfxExtAV1BitstreamParam>,
    reset: Option<mfxExtEncoderResetOption>,
}

impl Options {
    /// Those that hang on parameters.
    pub fn of(parameters: &mfxVideoParam) -> Self {
        let list = List::new(parameters.ExtParam, parameters.NumExtParam);
        Self {
            one: list.get(),
            two: list.get(),
            signal: list.get(),
            vp9: list.get(),
            av1: list.get(),
            reset: list.get(),
        }
    }

    /// Whether pictures come behind IVF headers: VP9's unless the client says no, AV1's where it has a say and does not say no.
    pub fn ivf(&self, codec: u32) -> bool {
        let off = |word: u16| word == abi::CODINGOPTION_OFF;
        match codec {
            CODEC_VP9 => !self.vp9.is_some_and(|vp9| off(vp9.WriteIVFHeaders)),
            CODEC_AV1 => self.av1.is_some_and(|av1| !off(av1.WriteIVFHeaders)),
            _ => false,
        }
    }

    /// Whether a reset begins a sequence; none where the client does not say.
    pub fn new_sequence(&self) -> Option<bool> {
        match self.reset?.StartNewSequence {
            abi::CODINGOPTION_ON => Some(true),
            abi::CODINGOPTION_OFF => Some(false),
            _ => None,
        }
    }
}

/// Returns the requested settings for the report. Many of them do not change the coded pictures, so a test can only
/// check that they arrived.
pub fn told(parameters: &mfxVideoParam) -> serde_json::Value {
    let mut coding = *parameters.mfx();
    let frame_rate = format!("{}/{}", coding.FrameInfo.FrameRateExtN, coding.FrameInfo.FrameRateExtD);
    (coding.FrameInfo.FrameRateExtN, coding.FrameInfo.FrameRateExtD) = (0, 0);
    // Readers of the report look for the brackets of JSON.
    let words = format!("{coding:?}").replace(['{', '}', '"'], "");
    let mut told = serde_json::json!({
        "frame_rate": frame_rate, "depth": parameters.AsyncDepth, "coding": words,
    });
    for (id, bytes) in List::new(parameters.ExtParam, parameters.NumExtParam).contents() {
        let name = String::from_utf8_lossy(&id.to_le_bytes()).into_owned();
        told[name] = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    told
}

/// Methods with a bit rate.
fn has_rate(method: u16) -> bool {
    !matches!(method, abi::RATECONTROL_CQP | abi::RATECONTROL_ICQ | abi::RATECONTROL_LA_ICQ)
}

fn correct(place: &mut u16, change: impl FnOnce(u16) -> u16, status: &mut Status) {
    let value = change(*place);
    if *place != value {
        *place = value;
        *status = abi::WRN_INCOMPATIBLE_VIDEO_PARAM;
    }
}

/// Looks at parameters, and corrects them as far as that is possible.
pub fn check(machine: &Machine, parameters: &mut mfxVideoParam) -> Result<Status, Status> {
    let mut status = abi::ERR_NONE;
    let codec = machine.encoder(parameters.mfx().CodecId).ok_or(abi::ERR_UNSUPPORTED)?;
    let pattern = parameters.IOPattern & (abi::IOPATTERN_IN_SYSTEM_MEMORY | abi::IOPATTERN_IN_VIDEO_MEMORY);
    if pattern.count_ones() > 1 {
        return Err(abi::ERR_INVALID_VIDEO_PARAM);
    }
    correct(&mut parameters.IOPattern, |_| pattern, &mut status);
    List::new(parameters.ExtParam, parameters.NumExtParam).check(codec.id)?;
    check_frame(codec, parameters, &mut status)?;
    if pattern == abi::IOPATTERN_IN_VIDEO_MEMORY && !super::pixels::is_shifted(&parameters.mfx().FrameInfo) {
        parameters.mfx_mut().FrameInfo.Shift = 1;
        status = abi::WRN_INCOMPATIBLE_VIDEO_PARAM;
    }
    if codec.id == CODEC_JPEG {
        return Ok(status);
    }
    let mfx = parameters.mfx_mut();
    if !codec.profiles.iter().any(|(profile, _)| *profile == mfx.CodecProfile) && mfx.CodecProfile != 0 {
        correct(&mut mfx.CodecProfile, |_| 0, &mut status);
    }
    correct(&mut mfx.TargetUsage, |value| value.min(7), &mut status);
    let most = if codec.reorders { 8 } else { 1 };
    if mfx.CodecId == CODEC_AVC && mfx.CodecProfile & 0xff == abi::PROFILE_AVC_BASELINE {
        correct(&mut mfx.GopRefDist, |value| value.min(1), &mut status);
    }
    correct(&mut mfx.GopRefDist, |value| value.min(most), &mut status);
    match mfx.RateControlMethod {
        abi::RATECONTROL_CQP => {
            let most = match codec.id {
                CODEC_AV1 | CODEC_VP9 => 255,
                // 12 are taken off.
                CODEC_HEVC if mfx.FrameInfo.FourCC == FOURCC_P010 => 63,
                _ => 51,
            };
            correct(&mut mfx.InitialDelayInKB, |value| value.min(most), &mut status);
            correct(&mut mfx.TargetKbps, |value| value.min(most), &mut status);
            correct(&mut mfx.MaxKbps, |value| value.min(most), &mut status);
        }
        abi::RATECONTROL_ICQ | abi::RATECONTROL_LA_ICQ => {
            correct(&mut mfx.TargetKbps, |value| value.clamp(1, 51), &mut status);
        }
        0 | abi::RATECONTROL_CBR | abi::RATECONTROL_VBR | abi::RATECONTROL_QVBR | abi::RATECONTROL_VCM => {}
        abi::RATECONTROL_LA | abi::RATECONTROL_LA_HRD | abi::RATECONTROL_AVBR if codec.id == CODEC_AVC => {}
        _ => {
            mfx.RateControlMethod = 0;
            return Err(abi::ERR_UNSUPPORTED);
        }
    }
    if matches!(mfx.RateControlMethod, abi::RATECONTROL_VBR)
        && mfx.MaxKbps != 0
        && mfx.MaxKbps < mfx.TargetKbps
    {
        let least = mfx.TargetKbps;
        correct(&mut mfx.MaxKbps, |_| least, &mut status);
    }
    Ok(status)
}

fn check_frame(codec: &Codec, parameters: &mut mfxVideoParam, status: &mut Status) -> Result<(), Status> {
    let info = &mut parameters.mfx_mut().FrameInfo;
    if info.FourCC != 0 && !codec.takes(info.FourCC) {
        (info.FourCC, info.ChromaFormat) = (0, 0);
        return Err(abi::ERR_UNSUPPORTED);
    }
    if info.ChromaFormat != abi::CHROMAFORMAT_YUV420 && info.FourCC != 0 {
        info.ChromaFormat = 0;
        return Err(abi::ERR_UNSUPPORTED);
    }
    if info.Width > codec.most || info.Height > codec.most {
        (info.Width, info.Height) = (0, 0);
        return Err(abi::ERR_UNSUPPORTED);
    }
    if !matches!(info.PicStruct, 0 | abi::PICSTRUCT_PROGRESSIVE) {
        // Fields are not simulated.
        correct(&mut info.PicStruct, |_| abi::PICSTRUCT_PROGRESSIVE, status);
    }
    if info.CropW > info.Width || info.CropH > info.Height || info.CropX + info.CropW > info.Width {
        (info.CropX, info.CropY, info.CropW, info.CropH) = (0, 0, 0, 0);
        return Err(abi::ERR_UNSUPPORTED);
    }
    // Chroma has half of everything.
    correct(&mut info.CropW, |value| value & !1, status);
    correct(&mut info.CropH, |value| value & !1, status);
    if info.FrameRateExtD != 0 && info.FrameRateExtN / info.FrameRateExtD > 300 {
        (info.FrameRateExtN, info.FrameRateExtD) = (0, 0);
        return Err(abi::ERR_UNSUPPORTED);
    }
    Ok(())
}

/// What can be initialised: a size, a format, a rate.
pub fn complete(parameters: &mfxVideoParam) -> bool {
    let mfx = parameters.mfx();
    let info = &mfx.FrameInfo;
    let rated = mfx.CodecId == CODEC_JPEG || !has_rate(mfx.RateControlMethod) || mfx.TargetKbps > 0;
    info.Width > 0
        && info.Height > 0
        && info.FourCC != 0
        && info.FrameRateExtN > 0
        && info.FrameRateExtD > 0
        && parameters.IOPattern != 0
        && rated
}

/// Fills in what the client leaves open.
pub fn fill(machine: &Machine, parameters: &mut mfxVideoParam) {
    fn or(place: &mut u16, value: u16) {
        if *place == 0 {
            *place = value;
        }
    }
    let reorders = machine.encoder(parameters.mfx().CodecId).is_some_and(|codec| codec.reorders);
    or(&mut parameters.AsyncDepth, DEPTH);
    let mfx = parameters.mfx_mut();
    let info = &mut mfx.FrameInfo;
    or(&mut info.CropW, info.Width);
    or(&mut info.CropH, info.Height);
    or(&mut info.PicStruct, abi::PICSTRUCT_PROGRESSIVE);
    let deep = info.FourCC == FOURCC_P010;
    or(&mut info.BitDepthLuma, if deep { 10 } else { 8 });
    or(&mut info.BitDepthChroma, if deep { 10 } else { 8 });
    let raw = usize::from(info.Width) * usize::from(info.Height) * if deep { 3 } else { 2 };
    if mfx.CodecId == CODEC_JPEG {
        or(&mut mfx.BRCParamMultiplier, (raw / 60_000_000 + 1) as u16);
        return;
    }
    or(
        &mut mfx.CodecProfile,
        match mfx.CodecId {
            CODEC_AVC => abi::PROFILE_AVC_HIGH,
            CODEC_VP9 if deep => abi::PROFILE_VP9_2,
            CODEC_HEVC if deep => abi::PROFILE_HEVC_MAIN10,
            _ => 1,
        },
    );
    or(&mut mfx.TargetUsage, 4);
    or(&mut mfx.GopPicSize, 256);
    or(&mut mfx.GopRefDist, if reorders { 3 } else { 1 });
    if mfx.GopPicSize == 1 {
        mfx.GopRefDist = 1;
    }
    if mfx.CodecId == CODEC_AVC && mfx.CodecProfile & 0xff == abi::PROFILE_AVC_BASELINE {
        mfx.GopRefDist = 1;
    }
    or(&mut mfx.RateControlMethod, abi::RATECONTROL_CBR);
    or(&mut mfx.NumSlice, 1);
    or(&mut mfx.NumRefFrame, 2);
    or(&mut mfx.BRCParamMultiplier, 1);
    if has_rate(mfx.RateControlMethod) {
        or(&mut mfx.MaxKbps, mfx.TargetKbps);
        // Two seconds, and never less than a key picture may take.
        let kilobytes = usize::from(mfx.MaxKbps) / 4;
        or(
            &mut mfx.BufferSizeInKB,
            kilobytes.max(raw / 4000 / usize::from(mfx.BRCParamMultiplier) + 1).min(65535) as u16,
        );
        or(&mut mfx.InitialDelayInKB, mfx.BufferSizeInKB / 2);
    } else {
        if mfx.BRCParamMultiplier == 1 && raw / 1000 > 60_000 {
            mfx.BRCParamMultiplier = (raw / 60_000_000 + 1) as u16;
        }
        let kilobytes = raw / 1000 / usize::from(mfx.BRCParamMultiplier) + 1;
        or(&mut mfx.BufferSizeInKB, kilobytes.min(65535) as u16);
    }
}

/// Bytes that a bitstream must have room for.
pub fn room(parameters: &mfxVideoParam) -> usize {
    let mfx = parameters.mfx();
    if mfx.CodecId == CODEC_JPEG {
        return usize::from(mfx.FrameInfo.Width) * usize::from(mfx.FrameInfo.Height) * 3 / 2;
    }
    usize::from(mfx.BufferSizeInKB) * usize::from(mfx.BRCParamMultiplier.max(1)) * 1000
}

/// B frames between others.
pub fn b_frames(parameters: &mfxVideoParam) -> i32 {
    let mfx = parameters.mfx();
    if mfx.CodecId == CODEC_JPEG { 0 } else { i32::from(mfx.GopRefDist.max(1)) - 1 }
}

/// B frames refer to B frames.
pub fn pyramid(parameters: &mfxVideoParam, options: &Options) -> bool {
    let wanted = options.two.map_or(0, |two| two.BRefType);
    b_frames(parameters) >= 2 && wanted == abi::B_REF_PYRAMID
}

/// Frames that the library keeps inside.
pub fn delay(parameters: &mfxVideoParam) -> u16 {
    match (parameters.mfx().CodecId, b_frames(parameters)) {
        (_, 0) => 0,
        (CODEC_HEVC, _) => 16,
        (_, count) => count as u16 + 3,
    }
}

/// The library's settings.
pub fn settings(parameters: &mfxVideoParam, options: &Options) -> Settings {
    let mfx = parameters.mfx();
    let info = &mfx.FrameInfo;
    let on = |word: u16| word == abi::CODINGOPTION_ON;
    let codec = match mfx.CodecId {
        CODEC_AVC => encoder::H264,
        CODEC_HEVC => encoder::HEVC,
        CODEC_VP9 => encoder::VP9,
        CODEC_AV1 => encoder::AV1,
        _ => encoder::JPEG,
    };
    let kilo = |value: u16| i64::from(value) * i64::from(mfx.BRCParamMultiplier.max(1)) * 1000;
    let mut settings = Settings {
        codec,
        width: info.CropW.into(),
        height: info.CropH.into(),
        depth: if info.FourCC == FOURCC_P010 { 10 } else { 8 },
        fps_num: info.FrameRateExtN as i32,
        fps_den: info.FrameRateExtD as i32,
        qp_min: -1,
        qp_max: -1,
        // Key frames are decided here, frame by frame.
        gop: 1 << 20,
        b_frames: b_frames(parameters),
        pyramid: pyramid(parameters, options).into(),
        profile: if codec == encoder::H264 { i32::from(mfx.CodecProfile & 0xff) } else { 0 },
        level: if codec == encoder::H264 { mfx.CodecLevel.into() } else { 0 },
        slices: mfx.NumSlice.into(),
        cavlc: options.one.is_some_and(|one| on(one.CAVLC)).into(),
        aud: options.one.is_some_and(|one| on(one.AUDelimiter)).into(),
        intra_refresh: options.two.is_some_and(|two| two.IntRefType > 0).into(),
        slice_bytes: options.two.map_or(0, |two| two.MaxSliceSize as i32),
        primaries: 2,
        transfer: 2,
        matrix: 2,
        sar_width: info.AspectRatioW.into(),
        sar_height: info.AspectRatioH.into(),
        ..Settings::default()
    };
    if let Some(signal) = &options.signal {
        settings.full_range = signal.VideoFullRange.into();
        if signal.ColourDescriptionPresent != 0 {
            settings.primaries = signal.ColourPrimaries.into();
            settings.transfer = signal.TransferCharacteristics.into();
            settings.matrix = signal.MatrixCoefficients.into();
        }
    }
    match mfx.RateControlMethod {
        _ if codec == encoder::JPEG => {
            // JPEG has its quality, 1 to 100, in the place of GopPicSize.
            let quality = if mfx.GopPicSize == 0 { 75 } else { mfx.GopPicSize.min(100) };
            settings.quality = 2 + (100 - i32::from(quality)) / 4;
        }
        abi::RATECONTROL_CQP => {
            settings.constant_qp = 1;
            let off = if codec == encoder::HEVC && settings.depth > 8 { 12 } else { 0 };
            let one = |value: u16| (i32::from(value.max(1)) - off).max(0);
            (settings.qp_i, settings.qp_p) = (one(mfx.InitialDelayInKB), one(mfx.TargetKbps));
            settings.qp_b = one(if mfx.MaxKbps == 0 { mfx.TargetKbps } else { mfx.MaxKbps });
            if matches!(codec, encoder::AV1 | encoder::VP9) {
                settings.qp_p = settings.qp_p * 63 / 255;
            }
        }
        abi::RATECONTROL_ICQ | abi::RATECONTROL_LA_ICQ => settings.quality = mfx.TargetKbps.into(),
        method => {
            settings.bit_rate = kilo(mfx.TargetKbps);
            let limited = !matches!(method, abi::RATECONTROL_LA | abi::RATECONTROL_AVBR);
            if limited {
                settings.max_rate =
                    if method == abi::RATECONTROL_CBR { settings.bit_rate } else { kilo(mfx.MaxKbps) };
                settings.buffer = kilo(mfx.BufferSizeInKB) * 8;
            }
        }
    }
    if let Some(two) = &options.two {
        let limit = |value: u8| if value == 0 { -1 } else { i32::from(value) };
        (settings.qp_min, settings.qp_max) = (limit(two.MinQPP), limit(two.MaxQPP));
    }
    settings
}
