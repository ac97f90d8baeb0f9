//! Numbers of oneVPL.

/// Four letters as a number.
pub(crate) const fn fourcc(letters: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*letters)
}

macro_rules! numbers {
    ($($type:ty { $($name:ident = $value:expr,)* })*) => {
        $($(
            #[doc = concat!("`MFX_", stringify!($name), "`")]
            pub(crate) const $name: $type = $value;
        )*)*
        /// All of the above, for the test against the headers.
        #[cfg(test)]
        pub(super) const NUMBERS: &[(&str, i64)] = &[$($((stringify!($name), $value as i64),)*)*];
    };
}

numbers! {
    u32 {
        CODEC_AVC = fourcc(b"AVC "),
        CODEC_HEVC = fourcc(b"HEVC"),
        CODEC_MPEG2 = fourcc(b"MPG2"),
        CODEC_VP9 = fourcc(b"VP9 "),
        CODEC_AV1 = fourcc(b"AV1 "),
        CODEC_JPEG = fourcc(b"JPEG"),
        FOURCC_NV12 = fourcc(b"NV12"),
        FOURCC_P010 = fourcc(b"P010"),
        FOURCC_P016 = fourcc(b"P016"),
        FOURCC_YUY2 = fourcc(b"YUY2"),
        FOURCC_Y210 = fourcc(b"Y210"),
        FOURCC_Y216 = fourcc(b"Y216"),
        FOURCC_AYUV = fourcc(b"AYUV"),
        FOURCC_Y410 = fourcc(b"Y410"),
        FOURCC_Y416 = fourcc(b"Y416"),
        FOURCC_RGB4 = fourcc(b"RGB4"),
        MAP_READ = 1,
        MAP_WRITE = 2,
    }
    u16 {
        PICSTRUCT_PROGRESSIVE = 1,
        PICSTRUCT_FIELD_TFF = 2,
        PICSTRUCT_FIELD_BFF = 4,
        CHROMAFORMAT_MONOCHROME = 0,
        CHROMAFORMAT_YUV420 = 1,
        CHROMAFORMAT_YUV422 = 2,
        CHROMAFORMAT_YUV444 = 3,
        IOPATTERN_IN_VIDEO_MEMORY = 0x01,
        IOPATTERN_IN_SYSTEM_MEMORY = 0x02,
        IOPATTERN_OUT_VIDEO_MEMORY = 0x10,
        IOPATTERN_OUT_SYSTEM_MEMORY = 0x20,
        CODINGOPTION_ON = 0x10,
        CODINGOPTION_OFF = 0x20,
        RATECONTROL_CBR = 1,
        RATECONTROL_VBR = 2,
        RATECONTROL_CQP = 3,
        RATECONTROL_LA = 8,
        RATECONTROL_ICQ = 9,
        RATECONTROL_LA_ICQ = 11,
        RATECONTROL_LA_HRD = 13,
        RATECONTROL_QVBR = 14,
        GOP_CLOSED = 1,
        GOP_STRICT = 2,
        FRAMETYPE_I = 0x0001,
        FRAMETYPE_P = 0x0002,
        FRAMETYPE_B = 0x0004,
        FRAMETYPE_REF = 0x0040,
        FRAMETYPE_IDR = 0x0080,
        B_REF_OFF = 1,
        B_REF_PYRAMID = 2,
        REFRESH_NO = 0,
        REFRESH_VERTICAL = 1,
        REFRESH_HORIZONTAL = 2,
        PAYLOAD_IDR = 1,
        SCENARIO_VIDEO_CONFERENCE = 2,
        SCENARIO_LIVE_STREAMING = 4,
        BITSTREAM_COMPLETE_FRAME = 1,
        BITSTREAM_EOS = 2,
        CORRUPTION_MAJOR = 2,
        FRAMEDATA_ORIGINAL_TIMESTAMP = 1,
        PROFILE_AVC_BASELINE = 66,
        PROFILE_AVC_CONSTRAINED_BASELINE = 0x242,
        PROFILE_AVC_MAIN = 77,
        PROFILE_AVC_HIGH = 100,
        PROFILE_HEVC_MAIN = 1,
        PROFILE_HEVC_MAIN10 = 2,
        PROFILE_HEVC_REXT = 4,
        PROFILE_VP9_0 = 1,
        PROFILE_VP9_1 = 2,
        PROFILE_VP9_2 = 3,
        PROFILE_VP9_3 = 4,
        PROFILE_AV1_MAIN = 1,
        PROFILE_AV1_HIGH = 2,
        PROFILE_JPEG_BASELINE = 1,
        SCANTYPE_INTERLEAVED = 1,
        SCALING_MODE_LOWPOWER = 1,
        SCALING_MODE_QUALITY = 2,
        NOMINALRANGE_0_255 = 1,
        NOMINALRANGE_16_235 = 2,
        TRANSFERMATRIX_BT709 = 1,
        TRANSFERMATRIX_BT601 = 2,
    }
    i32 {
        IMPL_TYPE_SOFTWARE = 1,
        IMPL_TYPE_HARDWARE = 2,
        ACCEL_MODE_NA = 0,
        ACCEL_MODE_VIA_D3D9 = 0x0200,
        ACCEL_MODE_VIA_D3D11 = 0x0300,
        ACCEL_MODE_VIA_VAAPI = 0x0400,
        IMPLCAPS_IMPLDESCSTRUCTURE = 1,
        IMPLCAPS_IMPLEMENTEDFUNCTIONS = 2,
        IMPLCAPS_IMPLPATH = 3,
        IMPLCAPS_DEVICE_ID_EXTENDED = 4,
        HANDLE_D3D11_DEVICE = 3,
        HANDLE_VA_DISPLAY = 4,
        RESOURCE_SYSTEM_SURFACE = 1,
        RESOURCE_VA_SURFACE = 2,
        RESOURCE_DX11_TEXTURE = 5,
        MEDIA_INTEGRATED = 0,
        MEDIA_DISCRETE = 1,
    }
}

/// `MFX_INFINITE`
pub(crate) const INFINITE: u32 = u32::MAX;
/// `MFX_TIMESTAMP_UNKNOWN`
pub(crate) const TIMESTAMP_UNKNOWN: u64 = u64::MAX;
