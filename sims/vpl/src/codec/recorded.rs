//! The codecs, with what they answer kept in a folder (`recordings=FOLDER`). Where there are no codec libraries (Windows) the answers
//! come from there: those that this machine's simulation gave when it was asked the same from the beginning.

use std::fmt::Debug;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CodecError;
use super::decoder::{Colour, DecoderCodec, Picture, SoftDecoder};
use super::encoder::{Coded, Settings, SoftEncoder, Wish};
use crate::core::config;

/// What a codec has been asked so far, as a number, and where the answers are.
#[derive(Debug)]
struct Record {
    folder: PathBuf,
    asked: u64,
}

impl Record {
    /// Of a codec that is opened like this.
    fn open(opening: &dyn Debug) -> Option<Self> {
        let folder = config().settings.recordings.clone()?;
        let mut record = Self { folder, asked: 0 };
        record.ask(&[format!("{opening:?}").as_bytes()]);
        Some(record)
    }

    fn ask(&mut self, parts: &[&[u8]]) {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.asked);
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        self.asked = hasher.finish();
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{:016x}", self.asked))
    }

    /// Keeps an answer: what describes it, and bytes.
    fn keep(&self, head: &impl Serialize, body: &[&[u8]]) -> Result<(), CodecError> {
        let failed = |error: &dyn Debug| CodecError(format!("{}: {error:?}", self.file().display()));
        let mut bytes = serde_json::to_vec(head).map_err(|error| failed(&error))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&body.concat());
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(self.file(), bytes))
            .map_err(|error| failed(&error))
    }

    fn kept<T: DeserializeOwned>(&self) -> Result<(T, Vec<u8>), CodecError> {
        let none = || CodecError(format!("{} is no recording of this", self.file().display()));
        let mut bytes = fs::read(self.file()).map_err(|_| none())?;
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(none)?;
        let head = serde_json::from_slice(&bytes[..end]).map_err(|_| none())?;
        Ok((head, bytes.split_off(end + 1)))
    }
}

/// The next so many bytes.
fn part(body: &mut Vec<u8>, length: usize) -> Vec<u8> {
    let rest = body.split_off(length.min(body.len()));
    std::mem::replace(body, rest)
}

/// [`SoftDecoder`] in display order, recorded where that is asked for.
#[derive(Debug)]
pub struct Decoder {
    soft: Option<SoftDecoder>,
    record: Option<Record>,
}

/// A picture without its samples: sizes, format, colours, shape, fields, damage, number, bytes of its planes.
type PictureHead = (
    (u32, u32),
    (u32, u32),
    (u32, u8),
    (bool, u32, u32, u32),
    (u32, u32),
    Option<bool>,
    bool,
    i64,
    [usize; 3],
);

impl Decoder {
    /// See [`SoftDecoder::open_display`].
    pub fn open(codec: DecoderCodec) -> Result<Self, CodecError> {
        let record = Record::open(&codec);
        match SoftDecoder::open_display(codec) {
            Ok(soft) => Ok(Self { soft: Some(soft), record }),
            Err(_) if record.is_some() => Ok(Self { soft: None, record }),
            Err(error) => Err(error),
        }
    }

    /// See [`SoftDecoder::send`].
    pub fn send(&mut self, data: Option<&[u8]>, number: i64) -> Result<(Vec<Picture>, bool), CodecError> {
        if let Some(record) = &mut self.record {
            record.ask(&[data.unwrap_or(b"the end"), &number.to_le_bytes()]);
        }
        let Some(soft) = &mut self.soft else { return self.recorded() };
        let (pictures, failed) = soft.send(data, number)?;
        if let Some(record) = &self.record {
            let heads: Vec<_> = pictures.iter().map(head).collect();
            let planes: Vec<_> =
                pictures.iter().flat_map(|picture| picture.planes.iter().map(Vec::as_slice)).collect();
            record.keep(&(heads, failed), &planes)?;
        }
        Ok((pictures, failed))
    }

    fn recorded(&self) -> Result<(Vec<Picture>, bool), CodecError> {
        let record = self.record.as_ref().ok_or_else(|| CodecError("no recordings".into()))?;
        let ((heads, failed), mut body): ((Vec<PictureHead>, bool), _) = record.kept()?;
        Ok((heads.into_iter().map(|head| picture(head, &mut body)).collect(), failed))
    }
}

fn head(picture: &Picture) -> PictureHead {
    let Colour { full_range, primaries, transfer, matrix } = picture.colour;
    (
        (picture.width, picture.height),
        picture.display,
        (picture.chroma, picture.depth),
        (full_range, primaries, transfer, matrix),
        picture.aspect,
        picture.interlaced,
        picture.damaged,
        picture.number,
        picture.planes.each_ref().map(Vec::len),
    )
}

fn picture(head: PictureHead, body: &mut Vec<u8>) -> Picture {
    let (size, display, (chroma, depth), colour, aspect, interlaced, damaged, number, lengths) = head;
    let (full_range, primaries, transfer, matrix) = colour;
    Picture {
        width: size.0,
        height: size.1,
        display,
        chroma,
        depth,
        colour: Colour { full_range, primaries, transfer, matrix },
        aspect,
        planes: lengths.map(|length| part(body, length)),
        interlaced,
        damaged,
        number,
    }
}

/// [`SoftEncoder`], recorded where that is asked for.
#[derive(Debug)]
pub struct Encoder {
    soft: Option<SoftEncoder>,
    sets: Vec<u8>,
    record: Option<Record>,
}

/// A coded picture without its bytes: its number, whether it is a key picture, its kind, their length.
type CodedHead = (i64, bool, i32, usize);

impl Encoder {
    /// See [`SoftEncoder::open`].
    pub fn open(settings: Settings) -> Result<Self, CodecError> {
        let record = Record::open(&settings);
        let soft = match SoftEncoder::open(settings) {
            Ok(soft) => soft,
            Err(error) => {
                let record = record.ok_or(error)?;
                let ((), sets) = record.kept()?;
                return Ok(Self { soft: None, sets, record: Some(record) });
            }
        };
        let sets = soft.sets();
        if let Some(record) = &record {
            record.keep(&(), &[&sets])?;
        }
        Ok(Self { soft: Some(soft), sets, record })
    }

    /// See [`SoftEncoder::sets`].
    pub fn sets(&self) -> Vec<u8> {
        self.sets.clone()
    }

    /// See [`SoftEncoder::rate`].
    pub fn rate(&mut self, bit_rate: i64, max_rate: i64, buffer: i64) {
        if let Some(record) = &mut self.record {
            record.ask(&[format!("{bit_rate} {max_rate} {buffer}").as_bytes()]);
        }
        if let Some(soft) = &mut self.soft {
            soft.rate(bit_rate, max_rate, buffer);
        }
    }

    /// See [`SoftEncoder::encode`].
    pub fn encode(&mut self, planes: [&[u8]; 3], number: i64, wish: Wish) -> Result<Vec<Coded>, CodecError> {
        if let Some(record) = &mut self.record {
            let [y, u, v] = planes;
            record.ask(&[y, u, v, format!("{number} {wish:?}").as_bytes()]);
        }
        self.answer(|soft| soft.encode(planes, number, wish))
    }

    /// See [`SoftEncoder::finish`].
    pub fn finish(&mut self) -> Result<Vec<Coded>, CodecError> {
        if let Some(record) = &mut self.record {
            record.ask(&[b"the end"]);
        }
        self.answer(SoftEncoder::finish)
    }

    fn answer(
        &mut self,
        ask: impl FnOnce(&mut SoftEncoder) -> Result<Vec<Coded>, CodecError>,
    ) -> Result<Vec<Coded>, CodecError> {
        if let Some(soft) = &mut self.soft {
            let coded = ask(soft)?;
            if let Some(record) = &self.record {
                let heads: Vec<CodedHead> =
                    coded.iter().map(|one| (one.number, one.key, one.kind, one.data.len())).collect();
                record.keep(&heads, &coded.iter().map(|one| one.data.as_slice()).collect::<Vec<_>>())?;
            }
            return Ok(coded);
        }
        let record = self.record.as_ref().ok_or_else(|| CodecError("no recordings".into()))?;
        let (heads, mut body): (Vec<CodedHead>, _) = record.kept()?;
        let coded = heads.into_iter().map(|(number, key, kind, length)| Coded {
            data: part(&mut body, length),
            number,
            key,
            kind,
        });
        Ok(coded.collect())
    }
}
