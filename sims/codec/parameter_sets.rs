//! What a session has to know of H.264 and HEVC before it decodes: kind of NAL units, the size in sequence parameter sets, and the
//! records `avcC` and `hvcC`.

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// One byte of NAL header.
    H264,
    /// Two bytes.
    Hevc,
}

impl Syntax {
    /// `nal_unit_type`; 255 for nothing.
    pub fn kind(self, nal: &[u8]) -> u8 {
        let Some(first) = nal.first() else { return 255 };
        match self {
            Self::H264 => first & 0x1f,
            Self::Hevc => first >> 1 & 0x3f,
        }
    }

    /// A sequence parameter set.
    pub fn is_sps(self, nal: &[u8]) -> bool {
        self.kind(nal) == if self == Self::H264 { 7 } else { 33 }
    }

    /// A parameter set of any kind.
    pub fn is_set(self, nal: &[u8]) -> bool {
        let kind = self.kind(nal);
        if self == Self::H264 { matches!(kind, 7 | 8 | 13) } else { matches!(kind, 32..=34) }
    }

    /// Supplemental information.
    pub fn is_sei(self, nal: &[u8]) -> bool {
        let kind = self.kind(nal);
        if self == Self::H264 { kind == 6 } else { matches!(kind, 39 | 40) }
    }
}

/// What a sequence parameter set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequence {
    /// After cropping.
    pub width: u32,
    /// After cropping.
    pub height: u32,
    /// `chroma_format_idc`
    pub chroma: u32,
    /// Bits of a luma sample.
    pub depth: u32,
    /// `profile_idc`
    pub profile: u32,
    /// `level_idc`
    pub level: u32,
    /// Before cropping.
    pub coded: (u32, u32),
    /// Cropped on the left and above.
    pub crop: (u32, u32),
    /// Fields may be coded by themselves (H.264).
    pub fields: bool,
    /// Frames in so many seconds, where they are told (H.264).
    pub rate: Option<(u32, u32)>,
    /// Colours, where they are told.
    pub colour: Option<Colour>,
    /// Width and height of a sample, where they are told.
    pub aspect: Option<(u32, u32)>,
}

/// Code points of ISO 23091-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "names of syntax elements")]
pub struct Colour {
    pub full_range: bool,
    pub primaries: u32,
    pub transfer: u32,
    pub matrix: u32,
}

/// Bits of a NAL unit without its emulation prevention.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(nal: &[u8]) -> Self {
        let mut zeros = 0;
        let bytes = nal
            .iter()
            .filter(|&&byte| {
                let drop = zeros >= 2 && byte == 3;
                zeros = if drop || byte != 0 { 0 } else { zeros + 1 };
                !drop
            })
            .copied()
            .collect();
        Self { bytes, at: 0 }
    }

    fn u(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.u(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.u(zeros)?)
    }

    fn skip_scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..size {
            if next != 0 {
                let code = i64::from(self.ue()?);
                let delta = if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

/// Reads a sequence parameter set, as far as it goes; none where it is broken.
pub fn sequence(syntax: Syntax, nal: &[u8]) -> Option<Sequence> {
    let found = match syntax {
        Syntax::H264 => h264(&mut Bits::new(nal.get(1..)?)),
        Syntax::Hevc => hevc(&mut Bits::new(nal.get(2..)?)),
    }?;
    let sane = |length: u32| (1..=16384).contains(&length);
    (sane(found.width) && sane(found.height) && (8..=16).contains(&found.depth)).then_some(found)
}

fn h264(bits: &mut Bits) -> Option<Sequence> {
    let profile = bits.u(8)?;
    bits.u(8)?;
    let level = bits.u(8)?;
    bits.ue()?;
    let (mut chroma, mut depth) = (1, 8);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.ue()?;
        if chroma == 3 {
            bits.u(1)?;
        }
        depth = bits.ue()?.checked_add(8)?;
        bits.ue()?;
        bits.u(1)?;
        if bits.u(1)? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.u(1)? == 1 {
                    bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?;
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.u(1)?;
            bits.ue()?;
            bits.ue()?;
            for _ in 0..bits.ue()?.min(255) {
                bits.ue()?;
            }
        }
        _ => {}
    }
    bits.ue()?;
    bits.u(1)?;
    let width = bits.ue()?.checked_add(1)?.checked_mul(16)?;
    let rows = bits.ue()?.checked_add(1)?;
    let frames_only = bits.u(1)?;
    let height = rows.checked_mul(16 * (2 - frames_only))?;
    if frames_only == 0 {
        bits.u(1)?;
    }
    bits.u(1)?;
    let coded = (width, height);
    let unit_y = (if chroma == 1 { 2 } else { 1 }) * (2 - frames_only);
    let (crop, (width, height)) = cropped(bits, coded, chroma, unit_y)?;
    let fields = frames_only == 0;
    let mut found =
        Sequence { width, height, chroma, depth, profile, level, coded, crop, fields, ..Sequence::default() };
    if bits.u(1)? == 1 {
        // What is broken in here does not matter to a decoder.
        let _ = usability(bits, &mut found).and_then(|()| timing(bits, &mut found));
    }
    Some(found)
}

/// What is cropped on the left and above, and the size that is left.
fn cropped(
    bits: &mut Bits,
    (width, height): (u32, u32),
    chroma: u32,
    unit_y: u32,
) -> Option<((u32, u32), (u32, u32))> {
    if bits.u(1)? == 0 {
        return Some(((0, 0), (width, height)));
    }
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let mut side = |unit: u32| bits.ue()?.checked_mul(unit);
    let (left, right, top, bottom) = (side(unit_x)?, side(unit_x)?, side(unit_y)?, side(unit_y)?);
    let width = width.checked_sub(left.checked_add(right)?)?;
    Some(((left, top), (width, height.checked_sub(top.checked_add(bottom)?)?)))
}

/// The start of `vui_parameters`, which H.264 and HEVC have in common.
fn usability(bits: &mut Bits, found: &mut Sequence) -> Option<()> {
    const ASPECTS: [(u32, u32); 17] = [
        (0, 0),
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    if bits.u(1)? == 1 {
        found.aspect = match bits.u(8)? {
            255 => Some((bits.u(16)?, bits.u(16)?)),
            index => ASPECTS.get(index as usize).copied(),
        }
        .filter(|&(width, height)| width > 0 && height > 0);
    }
    if bits.u(1)? == 1 {
        bits.u(1)?;
    }
    if bits.u(1)? == 1 {
        bits.u(3)?;
        let mut colour = Colour { full_range: bits.u(1)? == 1, primaries: 2, transfer: 2, matrix: 2 };
        if bits.u(1)? == 1 {
            (colour.primaries, colour.transfer, colour.matrix) = (bits.u(8)?, bits.u(8)?, bits.u(8)?);
        }
        found.colour = Some(colour);
    }
    Some(())
}

/// What follows in H.264.
fn timing(bits: &mut Bits, found: &mut Sequence) -> Option<()> {
    if bits.u(1)? == 1 {
        bits.ue()?;
        bits.ue()?;
    }
    if bits.u(1)? == 1 {
        let (ticks, scale) = (bits.u(32)?, bits.u(32)?);
        // Ticks are those of fields.
        found.rate = ticks.checked_mul(2).filter(|&ticks| ticks > 0 && scale > 0).map(|ticks| (scale, ticks));
    }
    Some(())
}

fn hevc(bits: &mut Bits) -> Option<Sequence> {
    bits.u(4)?;
    let layers = bits.u(3)?;
    bits.u(1)?;
    bits.u(3)?;
    let profile = bits.u(5)?;
    // The rest of the general profile and its constraints.
    bits.at += 32 + 48;
    let level = bits.u(8)?;
    let (mut profiles, mut levels) = (0, 0);
    for _ in 0..layers {
        profiles += bits.u(1)?;
        levels += bits.u(1)?;
    }
    if layers > 0 {
        bits.at += 2 * (8 - layers as usize);
    }
    bits.at += 88 * profiles as usize + 8 * levels as usize;
    bits.ue()?;
    let chroma = bits.ue()?;
    if chroma == 3 {
        bits.u(1)?;
    }
    let coded = (bits.ue()?, bits.ue()?);
    let (crop, (width, height)) = cropped(bits, coded, chroma, if chroma == 1 { 2 } else { 1 })?;
    let depth = bits.ue()?.checked_add(8)?;
    Some(Sequence { width, height, chroma, depth, profile, level, coded, crop, ..Sequence::default() })
}

/// NAL units of a record (`avcC` or `hvcC`), and the length of the lengths in samples.
pub fn unpack(syntax: Syntax, record: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut sets = Vec::new();
    let mut rest = record.get(if syntax == Syntax::H264 { 5 } else { 22 }..)?;
    let mut byte = || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        Some(first)
    };
    let length = match syntax {
        Syntax::H264 => record.get(4)? & 3,
        Syntax::Hevc => record.get(21)? & 3,
    };
    let arrays = if syntax == Syntax::H264 { 2 } else { byte()? };
    for array in 0..arrays {
        let count = match syntax {
            Syntax::H264 => u16::from(byte()? & if array == 0 { 0x1f } else { 0xff }),
            Syntax::Hevc => {
                byte()?;
                u16::from_be_bytes([byte()?, byte()?])
            }
        };
        for _ in 0..count {
            let size = u16::from_be_bytes([byte()?, byte()?]);
            sets.push((0..size).map(|_| byte()).collect::<Option<Vec<u8>>>()?);
        }
    }
    Some((sets, usize::from(length) + 1))
}

/// The record of these sets. None where they are too many or too long for it, or lack a sequence parameter set.
pub fn pack(syntax: Syntax, sets: &[Vec<u8>], length: usize) -> Option<Vec<u8>> {
    let sps = sets.iter().find(|set| syntax.is_sps(set))?;
    let kinds: &[u8] = if syntax == Syntax::H264 { &[7, 8] } else { &[32, 33, 34] };
    let mut record = match syntax {
        Syntax::H264 => vec![1, *sps.get(1)?, *sps.get(2)?, *sps.get(3)?, 0xfc | (length - 1) as u8],
        Syntax::Hevc => {
            let sequence = sequence(syntax, sps)?;
            let plain = Bits::new(sps.get(2..)?).bytes;
            let layers = plain.first()? >> 1 & 7;
            let mut record = vec![1];
            record.extend(plain.get(1..13)?);
            record.extend([0xf0, 0, 0xfc, 0xfc | sequence.chroma as u8]);
            record.extend([0xf8 | (sequence.depth - 8) as u8, 0xf8 | (sequence.depth - 8) as u8, 0, 0]);
            record.extend([(layers + 1) << 3 | 4 | (length - 1) as u8, kinds.len() as u8]);
            record
        }
    };
    for &kind in kinds {
        let these: Vec<_> = sets.iter().filter(|set| syntax.kind(set) == kind).collect();
        let count = u16::try_from(these.len()).ok()?;
        match (syntax, kind) {
            (Syntax::H264, 7) => record.push(0xe0 | u8::try_from(count).ok().filter(|&count| count < 32)?),
            (Syntax::H264, _) => record.push(u8::try_from(count).ok()?),
            (Syntax::Hevc, _) => {
                record.push(0x80 | kind);
                record.extend(count.to_be_bytes());
            }
        }
        for set in these {
            record.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
            record.extend(set.iter());
        }
    }
    Some(record)
}

/// The NAL units of a sample with lengths in front; none where the lengths do not fit.
pub fn units(sample: &[u8], length: usize) -> Option<Vec<&[u8]>> {
    let (mut units, mut rest) = (Vec::new(), sample);
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(length)?;
        let size = head.iter().fold(0usize, |size, &byte| size << 8 | usize::from(byte));
        let (unit, after) = after.split_at_checked(size).filter(|(unit, _)| !unit.is_empty())?;
        units.push(unit);
        rest = after;
    }
    (!units.is_empty()).then_some(units)
}

/// The NAL units of a stream with start codes.
pub fn split_annex_b(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> =
        (0..stream.len().saturating_sub(2)).filter(|&at| stream[at..].starts_with(&[0, 0, 1])).collect();
    starts.push(stream.len());
    starts
        .windows(2)
        .map(|pair| {
            let unit = &stream[pair[0] + 3..pair[1]];
            // The first byte of a longer start code, and trailing zeros.
            let zeros = unit.iter().rev().take_while(|&&byte| byte == 0).count();
            &unit[..unit.len() - zeros]
        })
        .filter(|unit| !unit.is_empty())
        .collect()
}
