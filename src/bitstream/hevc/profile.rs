//! `profile_tier_level()` (7.3.3) and the names of what it says.

use crate::bitstream::bits::{BitReader, BitResult};

/// Profile, tier and level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProfileTierLevel {
    /// `general_profile_space`, 0.
    pub profile_space: u8,
    /// `general_tier_flag`: High tier.
    pub high_tier: bool,
    /// `general_profile_idc`.
    pub profile_idc: u8,
    /// `general_profile_compatibility_flag[0]` (bit 31) to `[31]` (bit 0).
    pub compatibility: u32,
    /// The 48 bits from `general_progressive_source_flag` (bit 47) to `general_inbld_flag` (bit 0).
    pub constraints: u64,
    /// `general_level_idc`: thirty times the level.
    pub level_idc: u8,
}

impl ProfileTierLevel {
    /// With the profile, as every SPS and VPS has it; sub-layers are read past.
    pub(super) fn read(r: &mut BitReader, max_sub_layers_minus1: u32) -> BitResult<Self> {
        let profile_space = r.u(2)? as u8;
        let high_tier = r.flag()?;
        let profile_idc = r.u(5)? as u8;
        let compatibility = r.u(32)?;
        let constraints = (u64::from(r.u(32)?) << 16) | u64::from(r.u(16)?);
        let level_idc = r.u8()?;
        let mut present = Vec::new();
        for _ in 0..max_sub_layers_minus1 {
            present.push((r.flag()?, r.flag()?));
        }
        if max_sub_layers_minus1 > 0 {
            r.skip(2 * 8_u32.saturating_sub(max_sub_layers_minus1))?;
        }
        for (profile, level) in present {
            r.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
        }
        Ok(Self { profile_space, high_tier, profile_idc, compatibility, constraints, level_idc })
    }

    /// `general_profile_compatibility_flag[n]`.
    pub(crate) const fn is_compatible_with(&self, n: u8) -> bool {
        n < 32 && self.compatibility & (0x8000_0000 >> n) != 0
    }

    /// `general_progressive_source_flag`.
    pub(crate) const fn progressive_source(&self) -> bool {
        self.constraints >> 47 & 1 == 1
    }

    /// `general_interlaced_source_flag`.
    pub(crate) const fn interlaced_source(&self) -> bool {
        self.constraints >> 46 & 1 == 1
    }

    /// Name of the profile (annex A.3). Streams that leave `general_profile_idc` 0 are named by their
    /// compatibility flags.
    pub(crate) fn profile_name(&self) -> String {
        let idc = match self.profile_idc {
            0 => (1..=11).find(|&n| self.is_compatible_with(n)).unwrap_or(0),
            idc => idc,
        };
        let name = match idc {
            1 => "Main",
            2 => "Main 10",
            3 => "Main Still Picture",
            4 => self.range_extension_name(),
            5 => "High Throughput",
            6 => "Multiview Main",
            7 => "Scalable Main",
            8 => "3D Main",
            9 => "Screen-Extended Main",
            10 => "Scalable Format Range Extensions",
            11 => "High Throughput Screen-Extended",
            other => return format!("profile {other}"),
        };
        name.to_owned()
    }

    /// Table A.2: the format range extensions profile by its constraint flags.
    fn range_extension_name(&self) -> &'static str {
        // From general_max_12bit_constraint_flag (bit 43) to general_lower_bit_rate_constraint_flag (35).
        let bit = |n: u32| self.constraints >> n & 1 == 1;
        let (max12, max10, max8) = (bit(43), bit(42), bit(41));
        let (max422, max420, mono, intra, one_picture) = (bit(40), bit(39), bit(38), bit(37), bit(36));
        match (mono, max420, max422, max12, max10, max8, intra) {
            _ if one_picture && max8 => "Main 4:4:4 Still Picture",
            _ if one_picture => "Main 4:4:4 16 Still Picture",
            (true, _, _, _, _, true, _) => "Monochrome",
            (true, _, _, _, true, _, _) => "Monochrome 10",
            (true, _, _, true, ..) => "Monochrome 12",
            (true, ..) => "Monochrome 16",
            (_, true, _, _, _, true, true) => "Main Intra",
            (_, true, _, _, _, true, false) => "Main",
            (_, true, _, _, true, _, true) => "Main 10 Intra",
            (_, true, _, _, true, _, false) => "Main 10",
            (_, true, _, _, _, _, true) => "Main 12 Intra",
            (_, true, _, _, _, _, false) => "Main 12",
            (_, _, true, _, true, _, true) => "Main 4:2:2 10 Intra",
            (_, _, true, _, true, _, false) => "Main 4:2:2 10",
            (_, _, true, _, _, _, true) => "Main 4:2:2 12 Intra",
            (_, _, true, _, _, _, false) => "Main 4:2:2 12",
            (_, _, _, _, _, true, true) => "Main 4:4:4 Intra",
            (_, _, _, _, _, true, false) => "Main 4:4:4",
            (_, _, _, _, true, _, true) => "Main 4:4:4 10 Intra",
            (_, _, _, _, true, _, false) => "Main 4:4:4 10",
            (_, _, _, true, _, _, true) => "Main 4:4:4 12 Intra",
            (_, _, _, true, _, _, false) => "Main 4:4:4 12",
            _ => "Main 4:4:4 16 Intra",
        }
    }

    /// Name of the level and, where it is the High tier, of the tier: `4.1`, `5.1 High`.
    pub(crate) fn level_name(&self) -> String {
        let (major, minor) = (self.level_idc / 30, self.level_idc % 30 / 3);
        let tier = if self.high_tier { " High" } else { "" };
        if minor == 0 { format!("{major}{tier}") } else { format!("{major}.{minor}{tier}") }
    }
}
