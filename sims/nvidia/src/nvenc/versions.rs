//! The API versions spoken, and all that differs between them.

use std::mem::size_of;

use super::abi::{self, NvStatus};
use super::rules;
use crate::core::{Call, config};

/// One API version of the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// 11.1.
    V11_1,
    /// 12.0.
    V12_0,
    /// 12.1.
    V12_1,
    /// 12.2.
    V12_2,
    /// 13.0.
    V13_0,
}

/// The structures that carry a version word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the API")]
pub enum Struct {
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
    Register,
    Map,
    LockInput,
    PicParams,
    LockBitstream,
    SequencePayload,
    EventParams,
    Stat,
}

use Struct as S;

/// Revision of each structure in 11.1, 12.0, 12.1, 12.2 and 13.0.
const REVISIONS: [(Struct, [u32; 5]); 18] = [
    (S::FunctionList, [2, 2, 2, 2, 2]),
    (S::OpenSession, [1, 1, 1, 1, 1]),
    (S::CapsParam, [1, 1, 1, 1, 1]),
    (S::PresetConfig, [4, 4, 4, 5, 5]),
    (S::Config, [7, 8, 8, 9, 9]),
    (S::RcParams, [1, 1, 1, 1, 1]),
    (S::InitParams, [5, 5, 6, 7, 7]),
    (S::Reconfigure, [1, 1, 1, 2, 2]),
    (S::CreateInput, [1, 1, 1, 2, 2]),
    (S::CreateBitstream, [1, 1, 1, 1, 1]),
    (S::Register, [3, 4, 4, 5, 5]),
    (S::Map, [4, 4, 4, 4, 4]),
    (S::LockInput, [1, 1, 1, 1, 1]),
    (S::PicParams, [4, 6, 6, 7, 7]),
    (S::LockBitstream, [1, 2, 1, 2, 2]),
    (S::SequencePayload, [1, 1, 1, 1, 1]),
    (S::EventParams, [1, 1, 1, 2, 2]),
    (S::Stat, [1, 1, 1, 2, 2]),
];

impl Api {
    /// Oldest first.
    pub const ALL: [Self; 5] = [Self::V11_1, Self::V12_0, Self::V12_1, Self::V12_2, Self::V13_0];

    /// Major and minor number.
    pub fn numbers(self) -> (u32, u32) {
        [(11, 1), (12, 0), (12, 1), (12, 2), (13, 0)][self as usize]
    }

    /// `NVENCAPI_VERSION`.
    pub fn word(self) -> u32 {
        let (major, minor) = self.numbers();
        major | minor << 24
    }

    /// The version that a word names, whatever the installed driver speaks.
    pub fn from_word(word: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.word() == word)
    }

    /// The version that the low and high parts of a structure's version word name.
    pub fn from_struct_word(word: u32) -> Option<Self> {
        Self::from_word(word & 0x0f00_00ff)
    }

    /// True when the configured driver speaks this version.
    pub fn installed(self) -> bool {
        self.numbers() <= config().driver.nvenc_version()
    }

    /// The version word of a structure.
    pub fn struct_word(self, kind: Struct) -> u32 {
        let revision =
            REVISIONS.iter().find(|(found, _)| *found == kind).map_or(0, |(_, row)| row[self as usize]);
        let high = match kind {
            S::Config | S::InitParams | S::Reconfigure | S::PresetConfig | S::PicParams => 1 << 31,
            S::LockBitstream if self >= Self::V12_1 => 1 << 31,
            _ => 0,
        };
        self.word() | revision << 16 | 7 << 28 | high
    }

    /// Size of a structure where this part reads or writes it whole or has to step over it.
    pub fn size(self, kind: Struct) -> usize {
        let long = self < Self::V12_2;
        match kind {
            S::FunctionList => 8 + 318 * size_of::<usize>(),
            S::OpenSession => size_of::<abi::OpenSession>(),
            S::CapsParam => size_of::<abi::CapsParam>(),
            S::PresetConfig => size_of::<abi::PresetConfig>(),
            S::Config => size_of::<abi::Config>(),
            S::RcParams => size_of::<abi::RcParams>(),
            S::InitParams if long => size_of::<abi::InitParamsLong>(),
            S::InitParams => size_of::<abi::InitParamsShort>(),
            S::Reconfigure if long => size_of::<abi::ReconfigureLong>(),
            S::Reconfigure => size_of::<abi::ReconfigureShort>(),
            S::CreateInput => size_of::<abi::CreateInput>(),
            S::CreateBitstream => size_of::<abi::CreateBitstream>(),
            S::Register => size_of::<abi::Register>(),
            S::Map => size_of::<abi::Map>(),
            S::LockInput => size_of::<abi::LockInput>(),
            S::PicParams if self == Self::V11_1 => 3344,
            S::PicParams => 3360,
            S::LockBitstream if self == Self::V12_1 => 1552,
            S::LockBitstream | S::SequencePayload | S::EventParams => 1544,
            S::Stat => 1544,
        }
    }

    /// Where `intraMBCount` and `interMBCount` lie in `NV_ENC_LOCK_BITSTREAM`.
    pub fn mb_counts_offset(self) -> usize {
        if self < Self::V12_1 { 140 } else { 92 }
    }

    /// Number of known `NV_ENC_CAPS`.
    pub fn caps_count(self) -> u32 {
        [51, 51, 55, 58, 60][self as usize]
    }

    /// True while HEVC says its depth as `pixelBitDepthMinus8`.
    pub fn hevc_depth_in_bits(self) -> bool {
        self < Self::V12_2
    }

    /// True while the presets from before P1..P7 exist.
    pub fn has_legacy_presets(self) -> bool {
        self <= Self::V12_0
    }
}

/// Checks a structure's version word against the API of the session.
pub fn check(call: &Call, api: Api, kind: Struct, word: u32) -> Result<(), NvStatus> {
    let wanted = api.struct_word(kind);
    if word == wanted {
        return Ok(());
    }
    call.breach(
        &rules::STRUCT_VERSION,
        format!("{kind:?} has version {word:#010x}, API {api:?} has {wanted:#010x}"),
    );
    Err(NvStatus::INVALID_VERSION)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn the_words_are_those_of_the_headers() {
        let api = Api::V13_0;
        assert_eq!(api.struct_word(S::Config), 0xf009_000d);
        assert_eq!(api.struct_word(S::InitParams), 0xf007_000d);
        assert_eq!(api.struct_word(S::PicParams), 0xf007_000d);
        assert_eq!(api.struct_word(S::LockBitstream), 0xf002_000d);
        assert_eq!(Api::V12_1.struct_word(S::InitParams), 0xf106_000c);
        assert_eq!(Api::V12_0.struct_word(S::LockBitstream), 0x7002_000c);
        for api in Api::ALL {
            assert_eq!(Api::from_struct_word(api.struct_word(S::PicParams)), Some(api));
        }
    }

    /// Sizes in 12.0, 12.1, 12.2 and 13.0, found by compiling the four headers.
    #[test]
    fn the_sizes_are_those_of_the_headers() {
        let table = [
            (S::FunctionList, [2552; 4]),
            (S::OpenSession, [1552; 4]),
            (S::CapsParam, [256; 4]),
            (S::PresetConfig, [5128; 4]),
            (S::Config, [3584; 4]),
            (S::RcParams, [128; 4]),
            (S::InitParams, [1808, 1808, 1800, 1800]),
            (S::Reconfigure, [1824, 1824, 1816, 1816]),
            (S::CreateInput, [776; 4]),
            (S::CreateBitstream, [776; 4]),
            (S::Register, [1536; 4]),
            (S::Map, [1544; 4]),
            (S::LockInput, [1544; 4]),
            (S::PicParams, [3360; 4]),
            (S::LockBitstream, [1544, 1552, 1544, 1544]),
            (S::SequencePayload, [1544; 4]),
            (S::EventParams, [1544; 4]),
        ];
        for (kind, sizes) in table {
            for (api, size) in Api::ALL[1..].iter().zip(sizes) {
                assert_eq!(api.size(kind), size, "{kind:?} of {api:?}");
            }
        }
        assert_eq!(size_of::<abi::SequencePayload>(), 1544);
    }

    #[test]
    fn the_places_are_those_of_the_headers() {
        assert_eq!(offset_of!(abi::PresetConfig, config), 8);
        assert_eq!((offset_of!(abi::Config, rc), offset_of!(abi::Config, codec)), (40, 168));
        assert_eq!((offset_of!(abi::InitParams, config), offset_of!(abi::InitParams, max_width)), (88, 96));
        assert_eq!(offset_of!(abi::InitParams, tuning), 136);
        assert_eq!(offset_of!(abi::ReconfigureLong, init), 8);
        assert_eq!(offset_of!(abi::ReconfigureShort, init), 8);
        assert_eq!((offset_of!(abi::PicParams, input), offset_of!(abi::PicParams, output)), (40, 48));
        assert_eq!((offset_of!(abi::PicParams, pic_type), offset_of!(abi::PicParams, codec)), (72, 80));
        assert_eq!(
            (offset_of!(abi::LockBitstream, data), offset_of!(abi::LockBitstream, pic_type)),
            (56, 64)
        );
    }
}
