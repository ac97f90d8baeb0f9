//! Tables of a transport stream (ISO/IEC 13818-1, 2.4.4): which programs there are, and what each is made of.

/// Bytes of the longest section that is read: `section_length` of these tables is at most 1021.
const MAX_SECTION: usize = 3 + 1021;

/// The checksum behind a section (annex A): 0 over a whole section.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let of_byte = CRC.get((crc >> 24) as usize ^ usize::from(*byte)).copied().unwrap_or(0);
        crc << 8 ^ of_byte
    };
    bytes.iter().fold(u32::MAX, step)
}

/// The checksum of each byte alone.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Puts the sections of one PID together.
#[derive(Debug, Default)]
pub(super) struct Sections {
    section: Vec<u8>,
    gathering: bool,
}

impl Sections {
    /// Takes the payload of a packet and gives every section that it completes to `take`: those whose checksum is right
    /// and that are in force.
    pub(super) fn push(&mut self, starts: bool, payload: &[u8], mut take: impl FnMut(&[u8])) {
        if !starts {
            self.add(payload, &mut take);
            return;
        }
        // `pointer_field` counts the bytes of the section before.
        let Some((&pointer, rest)) = payload.split_first() else { return };
        let Some((end, next)) = rest.split_at_checked(pointer.into()) else {
            self.forget();
            return;
        };
        self.add(end, &mut take);
        self.section.clear();
        self.gathering = true;
        self.add(next, &mut take);
    }

    /// Packets are missing.
    pub(super) fn forget(&mut self) {
        self.section.clear();
        self.gathering = false;
    }

    fn add(&mut self, mut bytes: &[u8], take: &mut impl FnMut(&[u8])) {
        while self.gathering && !bytes.is_empty() {
            let have = self.section.len();
            // Stuffing stands where the next section would begin.
            if have == 0 && bytes.first() == Some(&0xff) {
                self.gathering = false;
                return;
            }
            // Three bytes say how long the section is.
            let wanted = self.wanted().unwrap_or(3);
            if wanted > MAX_SECTION {
                self.forget();
                return;
            }
            let (now, later) = bytes.split_at(bytes.len().min(wanted - have));
            self.section.extend_from_slice(now);
            bytes = later;
            if self.wanted() == Some(self.section.len()) {
                // current_next_indicator
                if crc(&self.section) == 0 && self.section.get(5).is_some_and(|byte| byte & 1 == 1) {
                    take(&self.section);
                }
                self.section.clear();
            }
        }
    }

    /// Bytes of the section at hand, where it has said so.
    fn wanted(&self) -> Option<usize> {
        let &[high, low] = self.section.get(1..3)? else { return None };
        Some(3 + (usize::from(high & 0x0f) << 8 | usize::from(low)))
    }
}

/// Number and PID of every program of a program association section.
pub(super) fn programs(section: &[u8]) -> Vec<(u16, u16)> {
    let Some(entries) = body(section, 0x00) else { return Vec::new() };
    let entries = entries.chunks_exact(4).map(|entry| (be(entry, 0), be(entry, 2) & 0x1fff));
    // Program 0 is the network information table.
    entries.filter(|(number, _)| *number != 0).collect()
}

/// One elementary stream of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stream_type: u8,
    pub(super) pid: u16,
    pub(super) descriptors: Vec<u8>,
}

/// A program map section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProgramMap {
    pub(super) number: u16,
    /// What is said of all streams of the program.
    pub(super) descriptors: Vec<u8>,
    pub(super) entries: Vec<Entry>,
}

impl ProgramMap {
    pub(super) fn parse(section: &[u8]) -> Option<Self> {
        let fields = body(section, 0x02)?;
        let length = usize::from(be(fields.get(2..4)?, 0) & 0x0fff);
        let (descriptors, mut rest) = fields.get(4..)?.split_at_checked(length)?;
        let mut entries = Vec::new();
        while let [stream_type, pid_high, pid_low, length_high, length_low, behind @ ..] = rest {
            let length = usize::from(length_high & 0x0f) << 8 | usize::from(*length_low);
            let (descriptors, next) = behind.split_at_checked(length)?;
            entries.push(Entry {
                stream_type: *stream_type,
                pid: u16::from(pid_high & 0x1f) << 8 | u16::from(*pid_low),
                descriptors: descriptors.to_vec(),
            });
            rest = next;
        }
        Some(Self { number: be(section, 3), descriptors: descriptors.to_vec(), entries })
    }
}

/// Tag and contents of each descriptor.
pub(super) fn descriptors(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&[tag, length], behind) = rest.split_first_chunk::<2>()?;
        let (contents, next) = behind.split_at_checked(length.into())?;
        rest = next;
        Some((tag, contents))
    })
}

/// What is between the header and the checksum of a section of this table.
fn body(section: &[u8], table: u8) -> Option<&[u8]> {
    let (&kind, _) = section.split_first()?;
    if kind != table {
        return None;
    }
    section.get(8..section.len().checked_sub(4)?)
}

fn be(bytes: &[u8], at: usize) -> u16 {
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
    byte(at) << 8 | byte(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_holds_nothing_is_gone_over() {
        let (mut sections, mut found) = (Sections::default(), 0);
        // Length 0, with the bits in front of it that every section has; then stuffing.
        sections.push(true, &[0, 0x00, 0xb0, 0x00, 0x02, 0xf0, 0x00, 0x00, 0x00, 0x00, 0xff], |_| found += 1);
        assert_eq!((found, sections.gathering), (0, false));
    }

    #[test]
    fn sections_come_out_however_they_are_cut_and_only_whole_ones() {
        // Program 1 at PID 0x1000, as ffmpeg writes it.
        let mut section = vec![0x00, 0xb0, 0x0d, 0x00, 0x01, 0xc1, 0x00, 0x00, 0x00, 0x01, 0xf0, 0x00];
        let sum = crc(&section);
        section.extend(sum.to_be_bytes());
        assert_eq!(sum, 0x2ab1_04b2);
        let payload = [&[0][..], &section, &section, &[0xff; 20]].concat();
        for cut in 1..payload.len() {
            let (mut sections, mut found) = (Sections::default(), Vec::new());
            let (first, second) = payload.split_at(cut);
            sections.push(true, first, |section| found.extend(programs(section)));
            sections.push(false, second, |section| found.extend(programs(section)));
            assert_eq!(found, [(1, 0x1000); 2], "cut at {cut}");
        }
        let mut broken = payload;
        broken[8] ^= 1;
        let mut found = 0;
        Sections::default().push(true, &broken, |_| found += 1);
        assert_eq!(found, 1, "the one of two whose checksum is right");
    }
}
