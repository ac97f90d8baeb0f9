//! Reading: what a child writes is taken for hostile all the same.

use std::io::{self, ErrorKind, Read};

use bytes::Bytes;

use super::{FILE_ID, INDEX, INFO, LONG_PACKET, MAIN, STREAM, SYNCPOINT, crc, flag};
use crate::stream_io::read_up_to;

/// Largest header packet; ffmpeg's have some hundred bytes.
const MAX_HEADER: u64 = 1 << 20;
/// Longest piece that frames may share, by the specification.
const MAX_ELIDED: usize = 255;

/// Why there is no next packet.
#[derive(Debug)]
pub(in super::super) enum Damage {
    /// The bytes end in the middle of something.
    CutShort,
    /// They are not what NUT allows, or this reader.
    Broken(String),
    /// The pipe failed.
    Io(io::Error),
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CutShort => f.write_str("its output is cut short"),
            Self::Broken(what) => write!(f, "its output cannot be understood: {what}"),
            Self::Io(error) => write!(f, "its output cannot be read: {error}"),
        }
    }
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof { Self::CutShort } else { Self::Io(error) }
    }
}

fn broken(what: impl Into<String>) -> Damage {
    Damage::Broken(what.into())
}

type Result<T> = std::result::Result<T, Damage>;

/// What the stream's header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct NutStream {
    /// Four characters of the codec, or of the layout of raw pictures.
    pub(in super::super) fourcc: [u8; 4],
    /// Seconds of a tick.
    pub(in super::super) time_base: (u64, u64),
    /// Size of the picture.
    pub(in super::super) width: u64,
    /// See `width`.
    pub(in super::super) height: u64,
    /// Shape of a sample; zeros where it is not stated.
    pub(in super::super) sample: (u64, u64),
    /// What the encoder put in front of the stream instead of into it.
    pub(in super::super) configuration: Vec<u8>,
    msb_pts_shift: u32,
    time_base_id: u64,
}

/// A frame.
#[derive(Debug)]
pub(in super::super) struct NutPacket {
    /// In ticks of the stream's time base.
    pub(in super::super) pts: i64,
    /// Whether its writer calls it a key frame.
    pub(in super::super) key: bool,
    /// The data.
    pub(in super::super) data: Bytes,
}

/// What a frame code stands for.
#[derive(Clone, Copy, Default)]
struct FrameCode {
    flags: u64,
    stream: u64,
    multiplier: u64,
    size: u64,
    pts_delta: i64,
    reserved: u64,
    header: u64,
}

/// Reads packets of the only stream.
pub(in super::super) struct NutReader<R> {
    input: Checked<R>,
    /// Largest frame that is taken.
    limit: usize,
    began: bool,
    codes: Vec<FrameCode>,
    elided: Vec<Vec<u8>>,
    time_bases: Vec<(u64, u64)>,
    stream: Option<NutStream>,
    last_pts: i64,
}

impl<R: Read> NutReader<R> {
    /// Over a pipe; frames above `limit` bytes are refused.
    pub(in super::super) fn new(input: R, limit: usize) -> Self {
        Self {
            input: Checked { input },
            limit,
            began: false,
            codes: Vec::new(),
            elided: vec![Vec::new()],
            time_bases: Vec::new(),
            stream: None,
            last_pts: 0,
        }
    }

    /// The header of the stream, once a packet has been read.
    pub(in super::super) fn stream(&self) -> Option<&NutStream> {
        self.stream.as_ref()
    }

    /// Frames may be as large as this from now on.
    pub(in super::super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Reads up to the first frame. `false`: there is none.
    pub(in super::super) fn read_headers(&mut self) -> Result<bool> {
        while self.stream.is_none() {
            match self.byte()? {
                Some(b'N') => self.header_packet()?,
                Some(_) => return Err(broken("a frame comes before the stream's header")),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The next frame, in the order of decoding; `None` at the end.
    pub(in super::super) fn next_packet(&mut self) -> Result<Option<NutPacket>> {
        loop {
            match self.byte()? {
                None => return Ok(None),
                Some(b'N') => self.header_packet()?,
                Some(code) => return self.frame(code).map(Some),
            }
        }
    }

    /// The byte that tells what follows; `None` at the end, which may only be here.
    fn byte(&mut self) -> Result<Option<u8>> {
        if !self.began {
            let mut id = [0; FILE_ID.len()];
            let got = crate::stream_io::fill(&mut self.input.input, &mut id)?;
            if got == 0 {
                return Ok(None);
            }
            if got < id.len() {
                return Err(Damage::CutShort);
            }
            if id != *FILE_ID {
                return Err(broken(format!("it begins with {:?}", id.escape_ascii().to_string())));
            }
            self.began = true;
        }
        let mut byte = [0];
        let got = crate::stream_io::fill(&mut self.input.input, &mut byte)?;
        Ok((got == 1).then_some(byte[0]))
    }

    fn header_packet(&mut self) -> Result<()> {
        let mut start = [b'N', 0, 0, 0, 0, 0, 0, 0];
        self.input.exact(&mut start[1..])?;
        let length = self.input.v()?;
        if !(4..=MAX_HEADER).contains(&length) {
            return Err(broken(format!("a header of {length} bytes")));
        }
        if length > LONG_PACKET {
            self.input.exact(&mut [0; 4])?;
        }
        let content = read_up_to(&mut self.input.input, length as usize)?;
        let Some((fields, sum)) = content.split_last_chunk::<4>().filter(|_| content.len() as u64 == length)
        else {
            return Err(Damage::CutShort);
        };
        if crc(fields) != u32::from_be_bytes(*sum) {
            return Err(broken("the checksum of a header is wrong"));
        }
        let mut fields = Checked { input: fields };
        match u64::from_be_bytes(start) {
            MAIN => self.main_header(&mut fields),
            STREAM => self.stream_header(&mut fields),
            SYNCPOINT => self.syncpoint(&mut fields),
            INFO | INDEX => Ok(()),
            other => Err(broken(format!("start code {other:016x}"))),
        }
    }

    fn main_header(&mut self, fields: &mut Checked<&[u8]>) -> Result<()> {
        if !self.codes.is_empty() {
            // Repeated now and then; it may not change.
            return Ok(());
        }
        let version = fields.v()?;
        if !(2..=4).contains(&version) {
            return Err(broken(format!("NUT version {version}")));
        }
        if version > 3 {
            fields.v()?;
        }
        if fields.v()? != 1 {
            return Err(broken("several streams"));
        }
        fields.v()?;
        for _ in 0..fields.at_most(64, "time bases")? {
            self.time_bases.push((fields.v()?, fields.v()?));
        }
        self.codes = frame_codes(fields)?;
        for _ in 0..fields.at_most(127, "shared headers")? {
            let length = fields.at_most(MAX_ELIDED as u64, "bytes of a shared header")?;
            let mut header = vec![0; length as usize];
            fields.exact(&mut header)?;
            self.elided.push(header);
        }
        Ok(())
    }

    fn stream_header(&mut self, fields: &mut Checked<&[u8]>) -> Result<()> {
        if self.stream.is_some() {
            return Ok(());
        }
        let mut stream = NutStream::default();
        let (_id, class) = (fields.v()?, fields.v()?);
        if class != 0 {
            return Err(broken("the stream is not video"));
        }
        if fields.v()? != 4 {
            return Err(broken("a codec's name without four characters"));
        }
        fields.exact(&mut stream.fourcc)?;
        stream.time_base_id = fields.v()?;
        let base = self.time_bases.get(stream.time_base_id as usize).copied();
        stream.time_base = base
            .filter(|(num, den)| *num > 0 && *den > 0)
            .ok_or_else(|| broken("a stream without time base"))?;
        stream.msb_pts_shift = fields.at_most(16, "bits of a time")? as u32;
        fields.v()?; // Longest gap between times.
        fields.v()?; // Reordering.
        fields.v()?; // Flags.
        let length = fields.at_most(MAX_HEADER, "bytes of configuration")?;
        stream.configuration = read_up_to(&mut fields.input, length as usize)?;
        if stream.configuration.len() as u64 != length {
            return Err(Damage::CutShort);
        }
        (stream.width, stream.height) = (fields.v()?, fields.v()?);
        stream.sample = (fields.v()?, fields.v()?);
        self.stream = Some(stream);
        Ok(())
    }

    fn syncpoint(&mut self, fields: &mut Checked<&[u8]>) -> Result<()> {
        let Some(stream) = &self.stream else { return Err(broken("a syncpoint before the stream's header")) };
        let bases = self.time_bases.len().max(1) as u64;
        let coded = fields.v()?;
        let (ticks, id) = (coded / bases, (coded % bases) as usize);
        let Some((num, den)) = self.time_bases.get(id).copied() else {
            return Err(broken("a syncpoint without time base"));
        };
        // In the stream's own ticks, rounded down as the writer does.
        let (to_num, to_den) = stream.time_base;
        let scaled = u128::from(ticks) * u128::from(num) / u128::from(den.max(1));
        let exact = u128::from(ticks)
            .checked_mul(u128::from(num))
            .and_then(|t| t.checked_mul(u128::from(to_den)))
            .map_or(scaled, |t| t / (u128::from(den.max(1)) * u128::from(to_num)));
        self.last_pts = i64::try_from(exact).map_err(|_| broken("a time out of range"))?;
        Ok(())
    }

    fn frame(&mut self, code: u8) -> Result<NutPacket> {
        let Some(FrameCode { mut flags, mut stream, multiplier, size, pts_delta, mut reserved, mut header }) =
            self.codes.get(usize::from(code)).copied()
        else {
            return Err(broken("a frame before the main header"));
        };
        let Some(shift) = self.stream.as_ref().map(|stream| stream.msb_pts_shift) else {
            return Err(broken("a frame before the stream's header"));
        };
        let input = &mut self.input;
        if flags & flag::CODED_FLAGS != 0 {
            flags ^= input.v()?;
        }
        if flags & flag::INVALID != 0 {
            return Err(broken(format!("frame code {code:#04x}, which stands for nothing")));
        }
        if flags & flag::STREAM_ID != 0 {
            stream = input.v()?;
        }
        if stream != 0 {
            return Err(broken(format!("a frame of stream {stream}")));
        }
        let pts = if flags & flag::CODED_PTS != 0 {
            full_pts(input.v()?, shift, self.last_pts)
        } else {
            self.last_pts.checked_add(pts_delta)
        };
        let pts = pts.ok_or_else(|| broken("a time out of range"))?;
        let msb = if flags & flag::SIZE_MSB != 0 { input.v()? } else { 0 };
        let size = msb.checked_mul(multiplier).and_then(|s| s.checked_add(size));
        if flags & flag::MATCH_TIME != 0 {
            input.v()?;
        }
        if flags & flag::HEADER_INDEX != 0 {
            header = input.v()?;
        }
        if flags & flag::RESERVED != 0 {
            reserved = input.v()?;
        }
        if reserved > 256 {
            return Err(broken(format!("{reserved} reserved fields")));
        }
        for _ in 0..reserved {
            input.v()?;
        }
        if flags & flag::CHECKSUM != 0 {
            input.exact(&mut [0; 4])?;
        }
        if flags & flag::SIDE_DATA != 0 {
            return Err(broken("side data in a frame, which version 3 does not have"));
        }
        let size = size.unwrap_or(u64::MAX);
        if size > self.limit as u64 {
            return Err(broken(format!("a frame of {size} bytes, more than the {} of any", self.limit)));
        }
        let data = self.body(size as usize, header)?;
        self.last_pts = pts;
        Ok(NutPacket { pts, key: flags & flag::KEY != 0, data })
    }

    /// The data: the piece that the frame shares with others, which its size counts, and what is its own.
    fn body(&mut self, size: usize, header: u64) -> Result<Bytes> {
        // Large frames share nothing.
        let header = if size > LONG_PACKET as usize { 0 } else { header };
        let shared = usize::try_from(header).ok().and_then(|at| self.elided.get(at));
        let shared = shared.ok_or_else(|| broken("a shared header that is not there"))?;
        let own = size.checked_sub(shared.len()).ok_or_else(|| broken("a frame shorter than its header"))?;
        let rest = read_up_to(&mut self.input.input, own)?;
        if rest.len() < own {
            return Err(Damage::CutShort);
        }
        if shared.is_empty() {
            return Ok(rest.into());
        }
        let mut data = Vec::with_capacity(size);
        data.extend_from_slice(shared);
        data.extend_from_slice(&rest);
        Ok(data.into())
    }
}

/// A time of which only the lower bits may be stated: then it is the one next to the time before.
fn full_pts(coded: u64, shift: u32, last: i64) -> Option<i64> {
    let all = 1_u64 << shift;
    if coded >= all {
        return i64::try_from(coded - all).ok();
    }
    let mask = (all - 1) as i64;
    let delta = last.checked_sub(mask / 2)?;
    ((coded as i64).wrapping_sub(delta) & mask).checked_add(delta)
}

/// The table of frame codes, which is stored as runs.
fn frame_codes(fields: &mut Checked<&[u8]>) -> Result<Vec<FrameCode>> {
    let mut codes = Vec::with_capacity(256);
    let (mut pts, mut multiplier, mut stream, mut header) = (0, 1, 0, 0);
    while codes.len() < 256 {
        let flags = fields.v()?;
        let given = fields.at_most(64, "fields of a frame code")?;
        if given > 0 {
            pts = fields.s()?;
        }
        if given > 1 {
            multiplier = fields.v()?;
        }
        if given > 2 {
            stream = fields.v()?;
        }
        let size = if given > 3 { fields.v()? } else { 0 };
        let reserved = if given > 4 { fields.v()? } else { 0 };
        let count = if given > 5 { fields.v()? } else { multiplier.saturating_sub(size) };
        if given > 6 {
            fields.s()?;
        }
        if given > 7 {
            header = fields.v()?;
        }
        for _ in 8..given {
            fields.v()?;
        }
        if !(1..=256).contains(&count) {
            return Err(broken(format!("a run of {count} frame codes")));
        }
        for step in 0..count {
            if codes.len() == usize::from(b'N') {
                codes.push(FrameCode { flags: flag::INVALID, ..FrameCode::default() });
            }
            if codes.len() >= 256 {
                return Err(broken("more than 256 frame codes"));
            }
            let size = size.saturating_add(step);
            codes.push(FrameCode { flags, stream, multiplier, size, pts_delta: pts, reserved, header });
        }
    }
    Ok(codes)
}

/// Reads the numbers of the format.
struct Checked<R> {
    input: R,
}

impl<R: Read> Checked<R> {
    fn exact(&mut self, out: &mut [u8]) -> Result<()> {
        Ok(self.input.read_exact(out)?)
    }

    fn v(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        loop {
            let mut byte = [0];
            self.exact(&mut byte)?;
            if value >> 57 != 0 {
                return Err(broken("a number of more than 64 bits"));
            }
            value = value << 7 | u64::from(byte[0] & 0x7F);
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    fn s(&mut self) -> Result<i64> {
        let value = self.v()?.checked_add(1).ok_or_else(|| broken("a number out of range"))?;
        let half = (value >> 1) as i64;
        Ok(if value & 1 == 1 { -half } else { half })
    }

    fn at_most(&mut self, limit: u64, what: &str) -> Result<u64> {
        let value = self.v()?;
        if value <= limit { Ok(value) } else { Err(broken(format!("{value} {what}"))) }
    }
}
