//! From checked settings to the parameters of an encoder.

use super::settings::{Rate, Settings, max_quality};
use crate::backend::vpl::driver::abi::names::{
    B_REF_OFF, B_REF_PYRAMID, CHROMAFORMAT_YUV420, CODINGOPTION_OFF, CODINGOPTION_ON, FOURCC_NV12,
    FOURCC_P010, GOP_CLOSED, IOPATTERN_IN_VIDEO_MEMORY, PICSTRUCT_PROGRESSIVE, RATECONTROL_CBR,
    RATECONTROL_CQP, RATECONTROL_ICQ, RATECONTROL_LA, RATECONTROL_LA_HRD, RATECONTROL_LA_ICQ,
    RATECONTROL_QVBR, RATECONTROL_VBR, REFRESH_HORIZONTAL, SCANTYPE_INTERLEAVED, SCENARIO_VIDEO_CONFERENCE,
};
use crate::backend::vpl::driver::abi::{
    Av1BitstreamParam, CodingOption, CodingOption2, CodingOption3, EncoderReset, FrameInfo, InfoMfx,
    VideoParam, VideoSignalInfo, Vp9Param,
};
use crate::backend::vpl::driver::parameters::Parameters;
use crate::codec::Codec;
use crate::dimensions::Dimensions;
use crate::pixel::PixelFormat;

/// The format of surfaces.
pub(super) const fn surface_format(format: PixelFormat) -> (u32, PixelFormat) {
    if format.bit_depth() > 8 { (FOURCC_P010, PixelFormat::P010) } else { (FOURCC_NV12, PixelFormat::Nv12) }
}

/// A side of surfaces: both are multiples of 16.
pub(super) const fn aligned(side: u32) -> u16 {
    side.next_multiple_of(16) as u16
}

/// The parameters; `reset`: for an encoder that is open, and whether its stream begins anew.
pub(super) fn parameters(settings: &Settings, reset: Option<bool>) -> Parameters {
    let mut video = VideoParam {
        io_pattern: IOPATTERN_IN_VIDEO_MEMORY,
        async_depth: settings.max_in_flight,
        ..VideoParam::default()
    };
    let coding = video.coding_mut();
    coding.codec_id = settings.codec_id;
    coding.profile = settings.profile;
    coding.low_power = settings.low_power.map_or(0, on);
    frame(&mut coding.frame_info, settings, settings.size);
    if settings.codec == Codec::Mjpeg {
        coding.target_usage = SCANTYPE_INTERLEAVED;
        // From best = 1 to best = 100.
        let Rate::Quality(quality) = settings.rate else { return Parameters::new(video) };
        coding.gop_size = u16::from(max_quality(Codec::Mjpeg) + 1 - quality);
        return Parameters::new(video);
    }
    coding.target_usage = settings.usage;
    // Where the stream begins anew is asked for picture by picture; this is what the encoder plans with.
    coding.gop_size = settings.gop.unwrap_or(u32::from(u16::MAX)) as u16;
    coding.gop_ref_dist = settings.b_frames + 1;
    coding.gop_flags = GOP_CLOSED;
    // Each intra picture that it makes by itself is an IDR picture: HEVC counts from another end.
    coding.idr_interval = u16::from(settings.codec == Codec::Hevc);
    let quality = spend(coding, settings);
    let mut parameters = Parameters::new(video);
    extend(&mut parameters, settings, quality);
    if let Some(anew) = reset {
        parameters.attach(EncoderReset { new_sequence: on(anew), ..EncoderReset::default() });
    }
    parameters
}

const fn on(is: bool) -> u16 {
    if is { CODINGOPTION_ON } else { CODINGOPTION_OFF }
}

fn frame(info: &mut FrameInfo, settings: &Settings, size: Dimensions) {
    let (fourcc, format) = surface_format(settings.format);
    info.fourcc = fourcc;
    info.chroma_format = CHROMAFORMAT_YUV420;
    info.pic_struct = PICSTRUCT_PROGRESSIVE;
    (info.bit_depth_luma, info.bit_depth_chroma) = (format.bit_depth().into(), format.bit_depth().into());
    // Samples of 10 bits are in the high ones of 16.
    info.shift = u16::from(format.bit_depth() > 8);
    (info.width, info.height) = (aligned(size.width()), aligned(size.height()));
    (info.crop_w, info.crop_h) = (size.width() as u16, size.height() as u16);
    (info.rate_num, info.rate_den) = (settings.frame_rate.num(), settings.frame_rate.den());
    (info.aspect_w, info.aspect_h) = settings.aspect.unwrap_or_default();
}

/// Writes how bits are spent; gives the quality that one mode has in an extension.
fn spend(coding: &mut InfoMfx, settings: &Settings) -> Option<u16> {
    let codec = settings.codec;
    let ahead = settings.lookahead > 0;
    // On the runtime's scale, which has 51 steps for every codec.
    let quality = |quality: u8| {
        let steps = u16::from(max_quality(codec));
        (u16::from(quality) * 51).div_ceil(steps).max(1)
    };
    let (method, average, max) = match settings.rate {
        Rate::ConstQp { i, p, b } => {
            // HEVC counts from below zero with more bits.
            let more = if codec == Codec::Hevc && settings.format.bit_depth() > 8 { 12 } else { 0 };
            let qp = |qp: u8| u16::from(qp) + more;
            coding.rate_control = RATECONTROL_CQP;
            (coding.initial_delay, coding.target_kbps, coding.max_kbps) = (qp(i), qp(p), qp(b));
            return None;
        }
        Rate::Quality(wanted) => {
            coding.rate_control = if ahead { RATECONTROL_LA_ICQ } else { RATECONTROL_ICQ };
            coding.target_kbps = quality(wanted);
            return None;
        }
        Rate::Cbr(bits) => (RATECONTROL_CBR, bits, bits),
        Rate::Vbr { average, max } if ahead => {
            (if max.is_some() { RATECONTROL_LA_HRD } else { RATECONTROL_LA }, average, max.unwrap_or(average))
        }
        // A ceiling there must be: twice the average is nobody's limit.
        Rate::Vbr { average, max } => {
            (RATECONTROL_VBR, average, max.unwrap_or_else(|| average.saturating_mul(2)))
        }
        Rate::LimitedQuality { max, .. } => (RATECONTROL_QVBR, max, max),
    };
    let (buffer, initial) = settings.vbv.unwrap_or_default();
    let kilobytes = |bits: u32| bits.div_ceil(8000);
    let numbers =
        [average.div_ceil(1000), max.div_ceil(1000), kilobytes(buffer), kilobytes(initial.unwrap_or(0))];
    // They have 16 bits, and a factor.
    let factor = numbers.into_iter().max().unwrap_or(0).div_ceil(u32::from(u16::MAX)).max(1);
    let scaled = |number: u32| number.div_ceil(factor) as u16;
    coding.rate_control = method;
    coding.multiplier = factor as u16;
    (coding.target_kbps, coding.max_kbps) = (scaled(numbers[0]), scaled(numbers[1]));
    (coding.buffer_size, coding.initial_delay) = (scaled(numbers[2]), scaled(numbers[3]));
    if let Rate::LimitedQuality { quality: wanted, .. } = settings.rate {
        Some(quality(wanted))
    } else {
        None
    }
}

fn extend(parameters: &mut Parameters, settings: &Settings, limited_quality: Option<u16>) {
    let codec = settings.codec;
    let has_nal_units = matches!(codec, Codec::H264 | Codec::Hevc);
    if codec == Codec::H264 {
        parameters.attach(CodingOption {
            // A buffer that somebody counts on; otherwise bit rates may change without a break.
            nal_hrd_conformance: on(settings.vbv.is_some()),
            ..CodingOption::default()
        });
    }
    if has_nal_units {
        let refresh = settings.intra_refresh;
        parameters.attach(CodingOption2 {
            b_ref_type: if settings.pyramid { B_REF_PYRAMID } else { B_REF_OFF },
            intra_refresh: if refresh.is_some() { REFRESH_HORIZONTAL } else { 0 },
            intra_refresh_cycle: refresh.map_or(0, |refresh| refresh.frames as u16),
            lookahead_depth: settings.lookahead,
            repeat_pps: CODINGOPTION_OFF,
            ..CodingOption2::default()
        });
        // A buffer that says nothing is one more that a runtime may not know.
        if refresh.is_some() || limited_quality.is_some() || settings.low_latency {
            parameters.attach(CodingOption3 {
                intra_refresh_distance: refresh.map_or(0, |refresh| refresh.period as u16),
                qvbr_quality: limited_quality.unwrap_or(0),
                low_delay_brc: if settings.low_latency && limited_quality.is_none() {
                    CODINGOPTION_ON
                } else {
                    0
                },
                scenario: if settings.low_latency { SCENARIO_VIDEO_CONFERENCE } else { 0 },
                ..CodingOption3::default()
            });
        }
    } else if let Some(quality) = limited_quality {
        parameters.attach(CodingOption3 { qvbr_quality: quality, ..CodingOption3::default() });
    }
    // Files have headers of their own.
    match codec {
        Codec::Vp9 => parameters.attach(Vp9Param { write_ivf: CODINGOPTION_OFF, ..Vp9Param::default() }),
        Codec::Av1 => {
            parameters
                .attach(Av1BitstreamParam { write_ivf: CODINGOPTION_OFF, ..Av1BitstreamParam::default() });
        }
        _ => {}
    }
    let signal = settings.signal;
    if signal.full_range.is_some() || signal.colour.is_some() {
        let (primaries, transfer, matrix) = signal.colour.unwrap_or((2, 2, 2));
        parameters.attach(VideoSignalInfo {
            // Unspecified.
            format: 5,
            full_range: u16::from(signal.full_range == Some(true)),
            colour_present: u16::from(signal.colour.is_some()),
            primaries: primaries.into(),
            transfer: transfer.into(),
            matrix: matrix.into(),
            ..VideoSignalInfo::default()
        });
    }
}
