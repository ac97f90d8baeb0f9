//! Machines: which codecs the simulated GPU has.

use crate::abi::{
    CODEC_AV1, CODEC_AVC, CODEC_HEVC, CODEC_JPEG, CODEC_MPEG2, CODEC_VP9, FOURCC_AYUV, FOURCC_NV12,
    FOURCC_P010, FOURCC_P016, FOURCC_Y210, FOURCC_Y216, FOURCC_Y410, FOURCC_Y416, FOURCC_YUY2,
    MEDIA_DISCRETE, MEDIA_INTEGRATED, PLATFORM_DG2, PLATFORM_KABYLAKE, PLATFORM_TIGERLAKE, PROFILE_AV1_MAIN,
    PROFILE_AVC_BASELINE, PROFILE_AVC_CONSTRAINED_BASELINE, PROFILE_AVC_HIGH, PROFILE_AVC_MAIN,
    PROFILE_HEVC_MAIN, PROFILE_HEVC_MAIN10, PROFILE_HEVC_REXT, PROFILE_JPEG_BASELINE, PROFILE_MPEG2_MAIN,
    PROFILE_MPEG2_SIMPLE, PROFILE_VP9_0, PROFILE_VP9_1, PROFILE_VP9_2, PROFILE_VP9_3,
};

/// A codec in one direction.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    /// `CodecId`
    pub id: u32,
    /// Profiles, each with its surface format.
    pub profiles: &'static [(u16, u32)],
    /// `MaxcodecLevel`
    pub level: u16,
    /// Largest width and height.
    pub most: u16,
    /// Encoders: B frames.
    pub reorders: bool,
}

impl Codec {
    /// Whether frames of this format are dealt with.
    pub fn takes(&self, fourcc: u32) -> bool {
        self.profiles.iter().any(|(_, format)| *format == fourcc)
    }
}

/// A simulated machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// What `--profile` is told.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// There is a GPU.
    pub present: bool,
    /// `CodeName`
    pub platform: u16,
    /// PCI device.
    pub device: u16,
    /// `MediaAdapterType`
    pub adapter: u16,
    /// What can be decoded.
    pub decodes: &'static [Codec],
    /// What can be encoded.
    pub encodes: &'static [Codec],
}

const AVC: &[(u16, u32)] = &[
    (PROFILE_AVC_BASELINE, FOURCC_NV12),
    (PROFILE_AVC_CONSTRAINED_BASELINE, FOURCC_NV12),
    (PROFILE_AVC_MAIN, FOURCC_NV12),
    (PROFILE_AVC_HIGH, FOURCC_NV12),
];
const HEVC: &[(u16, u32)] = &[(PROFILE_HEVC_MAIN, FOURCC_NV12), (PROFILE_HEVC_MAIN10, FOURCC_P010)];
const HEVC_EXTENDED: &[(u16, u32)] = &[
    (PROFILE_HEVC_MAIN, FOURCC_NV12),
    (PROFILE_HEVC_MAIN10, FOURCC_P010),
    (PROFILE_HEVC_REXT, FOURCC_P016),
    (PROFILE_HEVC_REXT, FOURCC_YUY2),
    (PROFILE_HEVC_REXT, FOURCC_Y210),
    (PROFILE_HEVC_REXT, FOURCC_Y216),
    (PROFILE_HEVC_REXT, FOURCC_AYUV),
    (PROFILE_HEVC_REXT, FOURCC_Y410),
    (PROFILE_HEVC_REXT, FOURCC_Y416),
];
const VP9_EXTENDED: &[(u16, u32)] = &[
    (PROFILE_VP9_0, FOURCC_NV12),
    (PROFILE_VP9_1, FOURCC_AYUV),
    (PROFILE_VP9_2, FOURCC_P010),
    (PROFILE_VP9_2, FOURCC_P016),
    (PROFILE_VP9_3, FOURCC_Y410),
    (PROFILE_VP9_3, FOURCC_Y416),
];
const VP9: &[(u16, u32)] = &[(PROFILE_VP9_0, FOURCC_NV12), (PROFILE_VP9_2, FOURCC_P010)];
const AV1: &[(u16, u32)] = &[(PROFILE_AV1_MAIN, FOURCC_NV12), (PROFILE_AV1_MAIN, FOURCC_P010)];
const MPEG2: &[(u16, u32)] = &[(PROFILE_MPEG2_SIMPLE, FOURCC_NV12), (PROFILE_MPEG2_MAIN, FOURCC_NV12)];
const JPEG: &[(u16, u32)] = &[(PROFILE_JPEG_BASELINE, FOURCC_NV12)];

const fn codec(id: u32, profiles: &'static [(u16, u32)], level: u16, most: u16) -> Codec {
    Codec { id, profiles, level, most, reorders: false }
}

const fn reordering(codec: Codec) -> Codec {
    Codec { reorders: true, ..codec }
}

const OLD_DECODERS: [Codec; 5] = [
    codec(CODEC_AVC, AVC, 52, 4096),
    codec(CODEC_HEVC, HEVC, 62, 8192),
    codec(CODEC_VP9, VP9, 0, 8192),
    codec(CODEC_MPEG2, MPEG2, 4, 2048),
    codec(CODEC_JPEG, JPEG, 0, 16384),
];
const NEW_DECODERS: [Codec; 6] = {
    let [avc, hevc, vp9, mpeg2, jpeg] = OLD_DECODERS;
    let hevc = Codec { profiles: HEVC_EXTENDED, ..hevc };
    let vp9 = Codec { profiles: VP9_EXTENDED, ..vp9 };
    [avc, hevc, vp9, mpeg2, jpeg, codec(CODEC_AV1, AV1, 0, 8192)]
};
const AVC_ENCODER: Codec = reordering(codec(CODEC_AVC, AVC, 52, 4096));
const HEVC_ENCODER: Codec = reordering(codec(CODEC_HEVC, HEVC, 62, 8192));
const JPEG_ENCODER: Codec = codec(CODEC_JPEG, JPEG, 0, 16384);
const VP9_ENCODER: Codec = codec(CODEC_VP9, &[(PROFILE_VP9_0, FOURCC_NV12)], 0, 8192);
const AV1_ENCODER: Codec = codec(CODEC_AV1, AV1, 0, 8192);

impl Default for &Machine {
    fn default() -> Self {
        &MACHINES[0]
    }
}

/// All of them.
pub const MACHINES: &[Machine] = &[
    Machine {
        name: "kabylake",
        title: "Simulated Intel HD Graphics 630",
        present: true,
        platform: PLATFORM_KABYLAKE,
        device: 0x5912,
        adapter: MEDIA_INTEGRATED,
        decodes: &OLD_DECODERS,
        encodes: &[AVC_ENCODER, Codec { reorders: false, ..HEVC_ENCODER }, JPEG_ENCODER],
    },
    Machine {
        name: "tigerlake",
        title: "Simulated Intel Iris Xe Graphics",
        present: true,
        platform: PLATFORM_TIGERLAKE,
        device: 0x9a49,
        adapter: MEDIA_INTEGRATED,
        decodes: &NEW_DECODERS,
        encodes: &[AVC_ENCODER, HEVC_ENCODER, VP9_ENCODER, JPEG_ENCODER],
    },
    Machine {
        name: "arc",
        title: "Simulated Intel Arc A770 Graphics",
        present: true,
        platform: PLATFORM_DG2,
        device: 0x56a0,
        adapter: MEDIA_DISCRETE,
        decodes: &NEW_DECODERS,
        encodes: &[AVC_ENCODER, HEVC_ENCODER, VP9_ENCODER, AV1_ENCODER, JPEG_ENCODER],
    },
    Machine {
        name: "none",
        title: "",
        present: false,
        platform: 0,
        device: 0,
        adapter: MEDIA_INTEGRATED,
        decodes: &[],
        encodes: &[],
    },
];

impl Machine {
    /// The decoder of a codec.
    pub fn decoder(&self, id: u32) -> Option<&Codec> {
        self.decodes.iter().find(|codec| codec.id == id)
    }

    /// The encoder of a codec.
    pub fn encoder(&self, id: u32) -> Option<&Codec> {
        self.encodes.iter().find(|codec| codec.id == id)
    }
}
