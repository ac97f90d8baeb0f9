//! `ContentEncodings` (RFC 9559 section 5.1.4.1.31): what was done to the frames of a track, and how it is undone.

use bytes::Bytes;
use flate2::read::ZlibDecoder;

use super::ebml::Element;
use super::ids;
use crate::error::{Error, Remedy, Result};
use crate::limits::{Limit, Limits};
use crate::stream_io::read_up_to;

/// Bytes at the front of each frame that may be left out; encoders leave out about ten.
const MOST_STRIPPED: usize = 4096;
const MOST_ENCODINGS: usize = 8;
/// Bytes of a `CodecPrivate` that is compressed.
const LONGEST_PRIVATE: usize = 16 << 20;

/// What is undone of each frame.
#[derive(Clone, Default)]
pub(super) struct Coding {
    /// Bytes that every frame begins with and the file leaves out.
    pub(super) prefix: Bytes,
    /// Every frame is compressed by zlib.
    pub(super) zlib: bool,
}

/// Why frames cannot be read.
pub(super) struct Refusal {
    pub(super) what: &'static str,
    pub(super) remedy: Remedy,
}

impl Coding {
    /// The frame as it was; `room`: bytes that those of its block may still become.
    pub(super) fn undo(&self, frame: Bytes, room: &mut u64, limits: &Limits) -> Result<Bytes> {
        if self.zlib && !frame.is_empty() {
            let most = usize::try_from(*room).unwrap_or(usize::MAX);
            let Some(data) = inflate(&frame, most)? else {
                let wanted = limits.packet_bytes.saturating_add(1);
                limits.check(Limit::PacketBytes, wanted, "frames of a block that are compressed by zlib")?;
                return Err(Error::corrupt("compressed frames that have no end"));
            };
            *room = room.saturating_sub(data.len() as u64);
            return Ok(data);
        }
        Ok(if self.prefix.is_empty() { frame } else { [&self.prefix[..], &frame].concat().into() })
    }
}

/// What zlib has made these bytes of; `None` for more than `most`.
fn inflate(data: &[u8], most: usize) -> Result<Option<Bytes>> {
    let read = read_up_to(&mut ZlibDecoder::new(data), most.saturating_add(1));
    match read {
        Ok(data) => Ok(Some(data).filter(|data| data.len() <= most).map(Bytes::from)),
        Err(error) => Err(Error::corrupt(format!("data that zlib cannot have written: {error}"))),
    }
}

/// What was done to the frames, or why they cannot be read. The codec's private data is restored.
pub(super) fn read(encodings: &Element, private: &mut Bytes) -> Result<(Coding, Option<Refusal>)> {
    /// Values of `ContentEncodingScope`.
    const FRAMES: u64 = 1;
    const PRIVATE: u64 = 2;
    const PLAIN: &str = "mkvmerge -o OUT.mkv IN.mkv writes it without";
    let refused = |what: &'static str, remedy: &'static str| {
        let remedy = if remedy.is_empty() { Remedy::None } else { remedy.into() };
        Ok((Coding::default(), Some(Refusal { what, remedy })))
    };
    let mut coding = Coding::default();
    let mut count = 0;
    for encoding in encodings.children() {
        let encoding = encoding?;
        if encoding.id != ids::CONTENT_ENCODING {
            continue;
        }
        count += 1;
        let (mut scope, mut kind, mut algorithm, mut settings) = (FRAMES, 0, 0, Bytes::new());
        for child in encoding.children() {
            let child = child?;
            match child.id {
                ids::CONTENT_ENCODING_SCOPE => scope = child.uint()?,
                ids::CONTENT_ENCODING_TYPE => kind = child.uint()?,
                ids::CONTENT_COMPRESSION => {
                    for child in child.children() {
                        let child = child?;
                        match child.id {
                            ids::CONTENT_COMP_ALGO => algorithm = child.uint()?,
                            ids::CONTENT_COMP_SETTINGS => settings = child.data,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        match (kind, algorithm) {
            (0, 0 | 3) => {}
            (0, 1) => return refused("bzip2 compression", PLAIN),
            (0, 2) => return refused("LZO compression", PLAIN),
            (1, _) => return refused("encryption", ""),
            _ => return refused("an unknown content encoding", PLAIN),
        }
        if count > 1 && (coding.zlib || algorithm == 0) {
            return refused("compression in several steps", PLAIN);
        }
        if algorithm == 0 {
            coding.zlib = scope & FRAMES != 0;
            if scope & PRIVATE != 0 && !private.is_empty() {
                let why = || encoding.broken("compresses a CodecPrivate of more than 16 MiB");
                *private = inflate(private, LONGEST_PRIVATE)?.ok_or_else(why)?;
            }
            continue;
        }
        // Each frame is made longer by it, and a block may hold 256 frames of nothing else.
        if count > MOST_ENCODINGS || coding.prefix.len() + settings.len() > MOST_STRIPPED {
            return refused("more header stripping than anybody writes", PLAIN);
        }
        // Encodings are undone from the last to the first: what the last one took away stands in front now.
        if scope & FRAMES != 0 {
            coding.prefix = [&coding.prefix[..], &settings].concat().into();
        }
        if scope & PRIVATE != 0 && !private.is_empty() {
            *private = [&settings[..], private].concat().into();
        }
    }
    Ok((coding, None))
}
