//! The versions of the encoder's API: which is spoken with a driver, and the words that structures carry in it.

use crate::codec::Codec;

/// An API version, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    V11_1,
    V12_0,
    V12_1,
    V12_2,
    V13_0,
}

/// What carries a version word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    FunctionList,
    OpenSession,
    CapsParam,
    PresetConfig,
    Config,
    RcParams,
    InitParams,
    Reconfigure,
    CreateInput,
    CreateBitstream,
    LockInput,
    RegisterResource,
    MapResource,
    PicParams,
    LockBitstream,
}

impl Api {
    const ALL: [Self; 5] = [Self::V11_1, Self::V12_0, Self::V12_1, Self::V12_2, Self::V13_0];

    const fn numbers(self) -> (u32, u32) {
        match self {
            Self::V11_1 => (11, 1),
            Self::V12_0 => (12, 0),
            Self::V12_1 => (12, 1),
            Self::V12_2 => (12, 2),
            Self::V13_0 => (13, 0),
        }
    }

    /// The newest version that is known here and that the driver speaks, by its answer to
    /// `NvEncodeAPIGetMaxSupportedVersion`. Drivers speak all older ones too.
    pub(crate) fn newest(answer: u32) -> Option<Self> {
        let driver = (answer >> 4, answer & 15);
        Self::ALL.into_iter().rev().find(|api| api.numbers() <= driver)
    }

    /// `NVENCAPI_VERSION`
    pub(crate) const fn word(self) -> u32 {
        let (major, minor) = self.numbers();
        major | minor << 24
    }

    /// The version word of a structure.
    pub(crate) const fn of(self, shape: Shape) -> u32 {
        // Revisions in 11.1, 12.0, 12.1, 12.2 and 13.0.
        let revisions: [u32; 5] = match shape {
            Shape::FunctionList => [2, 2, 2, 2, 2],
            Shape::OpenSession
            | Shape::CapsParam
            | Shape::RcParams
            | Shape::CreateBitstream
            | Shape::LockInput => [1, 1, 1, 1, 1],
            Shape::Reconfigure => [1, 1, 1, 2, 2],
            Shape::PresetConfig => [4, 4, 4, 5, 5],
            Shape::Config => [7, 8, 8, 9, 9],
            Shape::InitParams => [5, 5, 6, 7, 7],
            Shape::CreateInput => [1, 1, 1, 2, 2],
            Shape::RegisterResource => [3, 4, 4, 5, 5],
            Shape::MapResource => [4, 4, 4, 4, 4],
            Shape::PicParams => [4, 6, 6, 7, 7],
            Shape::LockBitstream => [1, 2, 1, 2, 2],
        };
        let marked = match shape {
            Shape::Config
            | Shape::InitParams
            | Shape::Reconfigure
            | Shape::PresetConfig
            | Shape::PicParams => true,
            Shape::LockBitstream => self as usize >= Self::V12_1 as usize,
            _ => false,
        };
        self.word() | revisions[self as usize] << 16 | 7 << 28 | (marked as u32) << 31
    }

    /// Size of `NV_ENC_INITIALIZE_PARAMS`: fields lie behind it in another structure.
    pub(crate) fn init_params_size(self) -> usize {
        if self >= Self::V12_2 { 1800 } else { 1808 }
    }

    /// Whether HEVC and AV1 state their depths in fields of their own, and no longer in a bit field.
    pub(crate) fn has_depth_fields(self) -> bool {
        self >= Self::V12_2
    }

    /// Whether H.264 has 10 bits.
    pub(crate) fn has_deep_h264(self) -> bool {
        self >= Self::V13_0
    }

    /// Whether lookahead has levels, and a capability that tells the highest.
    pub(crate) fn has_lookahead_level(self) -> bool {
        self >= Self::V12_2
    }

    /// Whether the tuning for ultra high quality exists for a codec.
    pub(crate) fn has_ultra_high_quality(self, codec: Codec) -> bool {
        match codec {
            Codec::Hevc => self >= Self::V12_2,
            Codec::Av1 => self >= Self::V13_0,
            _ => false,
        }
    }

    /// Whether AV1 is encoded at all.
    pub(crate) fn has_av1(self) -> bool {
        self >= Self::V12_0
    }

    /// `12.2`
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V11_1 => "11.1",
            Self::V12_0 => "12.0",
            Self::V12_1 => "12.1",
            Self::V12_2 => "12.2",
            Self::V13_0 => "13.0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that the vendor's compiler made of its headers.
    #[test]
    fn words_are_those_of_the_headers() {
        assert_eq!(Api::V13_0.of(Shape::Config), 0xf009_000d);
        assert_eq!(Api::V13_0.of(Shape::InitParams), 0xf007_000d);
        assert_eq!(Api::V13_0.of(Shape::PicParams), 0xf007_000d);
        assert_eq!(Api::V13_0.of(Shape::LockBitstream), 0xf002_000d);
        assert_eq!(Api::V12_1.of(Shape::InitParams), 0xf106_000c);
        assert_eq!(Api::V12_0.of(Shape::LockBitstream), 0x7002_000c);
        assert_eq!(Api::V12_2.word(), 0x0200_000c);
        assert_eq!(Api::V13_0.of(Shape::Reconfigure), 0xf002_000d);
        assert_eq!(Api::V12_1.of(Shape::Reconfigure), 0xf101_000c);
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        assert_eq!(Api::newest(0xd0), Some(Api::V13_0));
        assert_eq!(Api::newest(0xd5), Some(Api::V13_0), "a driver of tomorrow");
        assert_eq!(Api::newest(0xe0), Some(Api::V13_0));
        assert_eq!(Api::newest(0xc1), Some(Api::V12_1));
        assert_eq!(Api::newest(0xb1), Some(Api::V11_1));
        assert_eq!(Api::newest(0xb0), None);
    }
}
