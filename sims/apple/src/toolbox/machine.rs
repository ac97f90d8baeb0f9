//! What a machine can decode and encode, and by what. The machines are examples of what clients have to be ready for; what exactly a given
//! model and system version answers, only that machine can tell.

use crate::media::format::{AV1, H264, HEVC, MPEG2, MPEG4, VP9};

/// A decoder of a codec.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// What.
    pub codec: u32,
    /// By hardware. (Without it, or when hardware is not wanted, software does it where there is any.)
    pub hardware: bool,
    /// By software.
    pub software: bool,
    /// Largest number of bits.
    pub depth: u32,
    /// Only after `VTRegisterSupplementalVideoDecoderIfAvailable`.
    pub supplemental: bool,
    /// 4:2:2 and 4:4:4 too.
    pub full_chroma: bool,
}

/// An encoder.
#[derive(Debug, Clone, Copy)]
pub struct Encoder {
    /// What.
    pub codec: u32,
    /// By hardware.
    pub hardware: bool,
    /// Largest number of bits.
    pub depth: u32,
    /// Whether it makes B pictures.
    pub reorders: bool,
    /// Its identity.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// How it is asked for.
    pub name: &'static str,
    /// Its decoders.
    pub decoders: &'static [Decoder],
    /// Its encoders; the first of a codec is the one that is taken unasked.
    pub encoders: &'static [Encoder],
}

const fn decoder(codec: u32, hardware: bool, software: bool, depth: u32, supplemental: bool) -> Decoder {
    Decoder { codec, hardware, software, depth, supplemental, full_chroma: false }
}

const ARM_HEVC_DECODER: Decoder = Decoder { full_chroma: true, ..decoder(HEVC, true, true, 10, false) };

const SOFT_H264: Encoder = Encoder {
    codec: H264,
    hardware: false,
    depth: 8,
    reorders: true,
    id: "com.apple.videotoolbox.videoencoder.h264",
    name: "Apple H.264 (SW)",
};
const SOFT_HEVC: Encoder = Encoder {
    codec: HEVC,
    hardware: false,
    depth: 8,
    reorders: true,
    id: "com.apple.videotoolbox.videoencoder.hevc",
    name: "Apple HEVC (SW)",
};
const ARM_H264: Encoder = Encoder {
    codec: H264,
    hardware: true,
    depth: 8,
    reorders: true,
    id: "com.apple.videotoolbox.videoencoder.ave.avc",
    name: "Apple H.264 (HW)",
};
const ARM_HEVC: Encoder = Encoder {
    codec: HEVC,
    hardware: true,
    depth: 10,
    reorders: true,
    id: "com.apple.videotoolbox.videoencoder.ave.hevc",
    name: "Apple HEVC (HW)",
};
const INTEL_H264: Encoder = Encoder { id: "com.apple.videotoolbox.videoencoder.h264.gva", ..ARM_H264 };
const INTEL_HEVC: Encoder =
    Encoder { id: "com.apple.videotoolbox.videoencoder.hevc.gva", depth: 8, reorders: false, ..ARM_HEVC };

/// The machines that can be asked for; the first is taken unasked.
pub static MACHINES: [Machine; 4] = [
    Machine {
        name: "m1",
        decoders: &[
            decoder(H264, true, true, 8, false),
            ARM_HEVC_DECODER,
            decoder(VP9, true, true, 10, true),
            decoder(MPEG2, false, true, 8, false),
            decoder(MPEG4, false, true, 8, false),
        ],
        encoders: &[ARM_H264, ARM_HEVC, SOFT_H264, SOFT_HEVC],
    },
    Machine {
        name: "m3",
        decoders: &[
            decoder(H264, true, true, 8, false),
            ARM_HEVC_DECODER,
            decoder(VP9, true, true, 10, true),
            decoder(AV1, true, false, 10, false),
            decoder(MPEG2, false, true, 8, false),
            decoder(MPEG4, false, true, 8, false),
        ],
        encoders: &[ARM_H264, ARM_HEVC, SOFT_H264, SOFT_HEVC],
    },
    Machine {
        name: "intel-mac",
        decoders: &[
            decoder(H264, true, true, 8, false),
            decoder(HEVC, true, true, 10, false),
            decoder(VP9, false, true, 8, true),
            decoder(MPEG2, true, true, 8, false),
            decoder(MPEG4, false, true, 8, false),
        ],
        encoders: &[INTEL_H264, INTEL_HEVC, SOFT_H264, SOFT_HEVC],
    },
    Machine {
        name: "vm",
        decoders: &[
            decoder(H264, false, true, 8, false),
            decoder(HEVC, false, true, 10, false),
            decoder(VP9, false, true, 8, true),
        ],
        encoders: &[SOFT_H264, SOFT_HEVC],
    },
];
