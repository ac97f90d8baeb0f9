//! PES packets (ISO/IEC 13818-1, 2.4.3.6): the data of a stream with the times of what begins in them.

/// Bytes of the longest header.
const MAX_HEADER: usize = 9 + 255;

/// What the header of a PES packet says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PesHeader {
    /// In ticks of 90 kHz, 33 bits of them.
    pub(super) pts: Option<u64>,
    pub(super) dts: Option<u64>,
    pub(super) scrambled: bool,
}

/// What a payload turned out to hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// The header, when it is complete with this payload.
    pub(super) header: Option<PesHeader>,
    pub(super) data: &'a [u8],
}

/// Reads the PES packets of one PID.
#[derive(Debug, Default)]
pub(super) struct Pes {
    header: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing, or nothing that is wanted.
    #[default]
    Waiting,
    Header,
    /// Bytes that are still to come, where the length is stated.
    Data(Option<usize>),
}

impl Pes {
    /// A packet begins with the next payload.
    pub(super) fn begin(&mut self) {
        self.header.clear();
        self.state = State::Header;
    }

    /// Takes nothing up to the next beginning.
    pub(super) fn wait(&mut self) {
        self.state = State::Waiting;
    }

    /// Whether the packet states its length and has all of it.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Data(Some(0))
    }

    /// Bytes that are missing of the stated length.
    pub(super) fn lacks(&self) -> Option<usize> {
        match self.state {
            State::Data(Some(left)) if left > 0 => Some(left),
            _ => None,
        }
    }

    /// Packets are missing: where the data end, only the next beginning tells.
    pub(super) fn lose(&mut self) {
        if let State::Data(left) = &mut self.state {
            *left = None;
        }
    }

    /// Whether the header has come and data follow.
    pub(super) fn is_in_data(&self) -> bool {
        matches!(self.state, State::Data(_))
    }

    /// Whether nothing is taken.
    pub(super) fn is_waiting(&self) -> bool {
        self.state == State::Waiting
    }

    /// The next payload; `None` when what began is no PES packet.
    pub(super) fn push<'a>(&mut self, payload: &'a [u8]) -> Option<Piece<'a>> {
        let (header, data) = match self.state {
            State::Waiting => (None, &payload[..0]),
            State::Data(_) => (None, payload),
            State::Header => {
                let before = self.header.len();
                self.header
                    .extend_from_slice(payload.get(..payload.len().min(MAX_HEADER)).unwrap_or_default());
                if !self.header.is_empty() && !self.header.starts_with(&[0, 0, 1]) && self.header.len() >= 3 {
                    self.state = State::Waiting;
                    return None;
                }
                match self.parse() {
                    Parsed::Short => (None, &payload[..0]),
                    Parsed::NoMedia => {
                        self.state = State::Waiting;
                        (None, &payload[..0])
                    }
                    Parsed::Broken => {
                        self.state = State::Waiting;
                        return None;
                    }
                    Parsed::Whole { header, length, left } => {
                        self.state = State::Data(left);
                        (Some(header), payload.get(length.saturating_sub(before)..).unwrap_or_default())
                    }
                }
            }
        };
        let data = match &mut self.state {
            State::Data(Some(left)) => {
                let data = data.get(..*left).unwrap_or(data);
                *left -= data.len();
                data
            }
            _ => data,
        };
        Some(Piece { header, data })
    }

    fn parse(&self) -> Parsed {
        let bytes = &self.header;
        let Some(&[_, _, _, id, high, low]) = bytes.first_chunk::<6>() else { return Parsed::Short };
        // Maps, padding and the like have no such header and hold nothing of a track.
        if matches!(id, 0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff) {
            return Parsed::NoMedia;
        }
        let Some(&[first, flags, length]) = bytes.get(6..).and_then(<[u8]>::first_chunk::<3>) else {
            return Parsed::Short;
        };
        if first >> 6 != 2 {
            return Parsed::Broken;
        }
        let Some(fields) = bytes.get(9..9 + usize::from(length)) else { return Parsed::Short };
        let pts = (flags & 0x80 != 0).then(|| time(fields)).flatten();
        let dts = (flags & 0xc0 == 0xc0).then(|| time(fields.get(5..)?)).flatten();
        let stated = usize::from(high) << 8 | usize::from(low);
        let left = (stated > 0).then(|| stated.saturating_sub(3 + fields.len()));
        let header = PesHeader { pts, dts, scrambled: first >> 4 & 3 != 0 };
        Parsed::Whole { header, length: 9 + fields.len(), left }
    }
}

/// The header of a PES packet that begins with this payload, where it is whole.
pub(super) fn header(payload: &[u8]) -> Option<PesHeader> {
    let mut pes = Pes::default();
    pes.begin();
    pes.push(payload)?.header
}

enum Parsed {
    Short,
    NoMedia,
    Broken,
    Whole { header: PesHeader, length: usize, left: Option<usize> },
}

/// 33 bits in five bytes with marker bits between; `None` where these are wrong.
fn time(bytes: &[u8]) -> Option<u64> {
    let [a, b, c, d, e] = bytes.first_chunk::<5>()?.map(u64::from);
    (a & c & e & 1 == 1).then_some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_wherever_packets_end() {
        let packet = [
            0, 0, 1, 0xe0, 0, 17, 0x80, 0xc0, 12, 0x31, 0x0, 0x7, 0xd8, 0x61, 0x11, 0x0, 0x7, 0xa9, 0x81,
            0xff, 0xff, 7, 8, 9,
        ];
        for cut in 0..packet.len() {
            let mut pes = Pes::default();
            pes.begin();
            let (mut header, mut data) = (None, Vec::new());
            let (first, second) = packet.split_at(cut);
            for payload in [first, second] {
                let piece = pes.push(payload).unwrap();
                header = header.or(piece.header);
                data.extend_from_slice(piece.data);
            }
            let expected = PesHeader { pts: Some(126_000), dts: Some(120_000), scrambled: false };
            assert_eq!(header, Some(expected), "{cut}");
            assert_eq!(data, [7, 8], "no more than the stated length: {cut}");
            assert!(pes.is_complete());
        }
    }

    #[test]
    fn what_is_no_packet_is_told() {
        let mut pes = Pes::default();
        pes.begin();
        assert!(pes.push(&[0, 0, 2, 0xe0, 0, 0, 0x80, 0, 0]).is_none());
        assert!(pes.push(&[1, 2, 3]).unwrap().data.is_empty(), "nothing up to the next beginning");
        assert_eq!(time(&[0x2f, 0xff, 0xff, 0xff, 0xff]), Some((1 << 33) - 1));
        assert_eq!(time(&[0x2e, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
