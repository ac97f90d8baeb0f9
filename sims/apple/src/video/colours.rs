//! Apple's names of colours, and the code points of ISO 23091-2 they stand for.

type Names = &'static [(&'static str, u32)];

/// Of primaries.
pub const PRIMARIES: Names = &[
    ("ITU_R_709_2", 1),
    ("EBU_3213", 5),
    ("SMPTE_C", 6),
    ("ITU_R_2020", 9),
    ("DCI_P3", 11),
    ("P3_D65", 12),
    ("P22", 22),
];

/// Of transfer functions.
pub const TRANSFERS: Names = &[
    ("ITU_R_709_2", 1),
    ("SMPTE_240M_1995", 7),
    ("Linear", 8),
    ("IEC_sRGB", 13),
    ("ITU_R_2020", 14),
    ("ITU_R_2020", 15),
    ("SMPTE_ST_2084_PQ", 16),
    ("SMPTE_ST_428_1", 17),
    ("ITU_R_2100_HLG", 18),
    // The curve of 709 under another number.
    ("ITU_R_709_2", 6),
];

/// Of matrices.
pub const MATRICES: Names =
    &[("ITU_R_709_2", 1), ("ITU_R_601_4", 6), ("ITU_R_601_4", 5), ("SMPTE_240M_1995", 7), ("ITU_R_2020", 9)];

/// Apple's name of a code point.
pub fn name(names: Names, code: u32) -> Option<&'static str> {
    names.iter().find(|(_, at)| *at == code).map(|(name, _)| *name)
}

/// The code point of Apple's name.
pub fn code(names: Names, name: &str) -> Option<u32> {
    names.iter().find(|(at, _)| *at == name).map(|(_, code)| *code)
}
