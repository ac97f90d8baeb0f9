//! Colour description: the code points of ITU-T H.273, and what to assume when a stream says nothing.

use std::fmt;

use crate::dimensions::Dimensions;

macro_rules! code_points {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $label:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A code point without a name here; kept so that it is passed through unchanged.
            Other(u8),
        }

        impl $name {
            /// From the H.273 code point.
            pub const fn from_code(code: u8) -> Self {
                match code { $($code => Self::$variant,)* other => Self::Other(other) }
            }

            /// The H.273 code point.
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* Self::Other(code) => code }
            }

            /// ffmpeg's name for the code point, where it has one.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* Self::Other(_) => "other" }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { Self::Other(code) => write!(f, "code {code}"), known => f.write_str(known.name()) }
            }
        }
    };
}

code_points! {
    /// How R'G'B' is turned into Y'CbCr (H.273 table 4).
    MatrixCoefficients {
        /// The samples are G, B, R.
        Identity = 0, "gbr";
        /// BT.709.
        Bt709 = 1, "bt709";
        /// Not stated.
        Unspecified = 2, "unknown";
        /// US FCC 73.682.
        Fcc = 4, "fcc";
        /// BT.470 B/G, BT.601 625 lines.
        Bt470Bg = 5, "bt470bg";
        /// SMPTE 170M, BT.601 525 lines (same numbers as [`Self::Bt470Bg`]).
        Smpte170M = 6, "smpte170m";
        /// SMPTE 240M.
        Smpte240M = 7, "smpte240m";
        /// YCgCo.
        YCgCo = 8, "ycgco";
        /// BT.2020 non-constant luminance.
        Bt2020Ncl = 9, "bt2020nc";
        /// BT.2020 constant luminance.
        Bt2020Cl = 10, "bt2020c";
    }
}

code_points! {
    /// Chromaticity of the primaries (H.273 table 2).
    ColorPrimaries {
        /// BT.709, sRGB.
        Bt709 = 1, "bt709";
        /// Not stated.
        Unspecified = 2, "unknown";
        /// BT.470 M.
        Bt470M = 4, "bt470m";
        /// BT.470 B/G (625 lines).
        Bt470Bg = 5, "bt470bg";
        /// SMPTE 170M (525 lines).
        Smpte170M = 6, "smpte170m";
        /// SMPTE 240M.
        Smpte240M = 7, "smpte240m";
        /// Generic film.
        Film = 8, "film";
        /// BT.2020, BT.2100.
        Bt2020 = 9, "bt2020";
        /// SMPTE 428-1 (XYZ).
        Smpte428 = 10, "smpte428";
        /// SMPTE RP 431-2 (DCI P3).
        Smpte431 = 11, "smpte431";
        /// SMPTE EG 432-1 (Display P3).
        Smpte432 = 12, "smpte432";
    }
}

code_points! {
    /// Opto-electronic transfer (H.273 table 3).
    TransferCharacteristics {
        /// BT.709.
        Bt709 = 1, "bt709";
        /// Not stated.
        Unspecified = 2, "unknown";
        /// Gamma 2.2.
        Gamma22 = 4, "gamma22";
        /// Gamma 2.8.
        Gamma28 = 5, "gamma28";
        /// SMPTE 170M (same curve as BT.709).
        Smpte170M = 6, "smpte170m";
        /// SMPTE 240M.
        Smpte240M = 7, "smpte240m";
        /// Linear light.
        Linear = 8, "linear";
        /// IEC 61966-2-1 (sRGB).
        Srgb = 13, "iec61966-2-1";
        /// BT.2020, 10 bit.
        Bt2020Ten = 14, "bt2020-10";
        /// BT.2020, 12 bit.
        Bt2020Twelve = 15, "bt2020-12";
        /// SMPTE 2084, perceptual quantiser (HDR10).
        Pq = 16, "smpte2084";
        /// SMPTE 428-1.
        Smpte428 = 17, "smpte428";
        /// ARIB B67, hybrid log-gamma.
        Hlg = 18, "arib-std-b67";
    }
}

/// Range of the sample values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorRange {
    /// Studio swing: luma 16..=235, chroma 16..=240 at 8 bit.
    Limited,
    /// 0..=255 at 8 bit.
    Full,
}

/// What the samples mean. `range: None` and the `Unspecified` code points mean "the stream did not say".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColorInfo {
    /// R'G'B' to Y'CbCr matrix.
    pub matrix: MatrixCoefficients,
    /// Primaries.
    pub primaries: ColorPrimaries,
    /// Transfer characteristics.
    pub transfer: TransferCharacteristics,
    /// Value range, if stated.
    pub range: Option<ColorRange>,
}

impl ColorInfo {
    /// Nothing stated.
    pub const UNSPECIFIED: Self = Self {
        matrix: MatrixCoefficients::Unspecified,
        primaries: ColorPrimaries::Unspecified,
        transfer: TransferCharacteristics::Unspecified,
        range: None,
    };

    /// BT.709 limited range: HD video.
    pub const BT709: Self = Self {
        matrix: MatrixCoefficients::Bt709,
        primaries: ColorPrimaries::Bt709,
        transfer: TransferCharacteristics::Bt709,
        range: Some(ColorRange::Limited),
    };

    /// sRGB, full range: computer graphics.
    pub const SRGB: Self = Self {
        matrix: MatrixCoefficients::Identity,
        primaries: ColorPrimaries::Bt709,
        transfer: TransferCharacteristics::Srgb,
        range: Some(ColorRange::Full),
    };

    /// Fills what is not stated, by the rule that players share: BT.601 (SMPTE 170M) matrix up to 576
    /// lines, BT.709 above, limited range. Conversions must call this, never assume in silence: the second
    /// value tells whether anything had to be assumed.
    #[must_use]
    pub fn resolve(self, size: Dimensions) -> (Self, bool) {
        let hd = size.height() > 576 || size.width() > 1024;
        let mut out = self;
        if out.matrix == MatrixCoefficients::Unspecified {
            out.matrix = if hd { MatrixCoefficients::Bt709 } else { MatrixCoefficients::Smpte170M };
        }
        if out.primaries == ColorPrimaries::Unspecified {
            out.primaries = if hd { ColorPrimaries::Bt709 } else { ColorPrimaries::Smpte170M };
        }
        if out.transfer == TransferCharacteristics::Unspecified {
            out.transfer = TransferCharacteristics::Bt709;
        }
        if out.range.is_none() {
            out.range = Some(ColorRange::Limited);
        }
        (out, out != self)
    }

    /// `self` where it states something, else `other` (container colour over bitstream colour, say).
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            matrix: if self.matrix == MatrixCoefficients::Unspecified { other.matrix } else { self.matrix },
            primaries: if self.primaries == ColorPrimaries::Unspecified {
                other.primaries
            } else {
                self.primaries
            },
            transfer: if self.transfer == TransferCharacteristics::Unspecified {
                other.transfer
            } else {
                self.transfer
            },
            range: self.range.or(other.range),
        }
    }
}

impl Default for ColorInfo {
    fn default() -> Self {
        Self::UNSPECIFIED
    }
}
