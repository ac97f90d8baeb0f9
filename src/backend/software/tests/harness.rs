//! Drives a backend as a session does, and keeps its books.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::backend::software::open_decoder;
use crate::backend::{CodedUnit, DecodeEvent, DecodedPicture, DecoderBackend};
use crate::bitstream::AccessUnitAssembler;
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;
use crate::error::Error;
use crate::frame::{HostSurface, Surface};
use crate::packet::Packet;

/// Everything that one run reported, in order.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) pictures: Vec<DecodedPicture>,
    pub(super) failures: Vec<(u64, Error)>,
    pub(super) no_picture: Vec<(u64, &'static str)>,
    pub(super) answered: BTreeSet<u64>,
}

impl Outcome {
    /// The feature that the stream was refused for.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.failures.iter().find_map(|(_, e)| match e {
            Error::Unsupported { feature, .. } => Some(feature.as_str()),
            _ => None,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// MD5 of a picture's packed samples.
pub(super) fn packed_md5(picture: &DecodedPicture) -> String {
    hex(Md5::digest(host(picture).to_packed()).as_slice())
}

pub(super) fn host(picture: &DecodedPicture) -> &HostSurface {
    match &picture.surface {
        Surface::Host(host) => host,
        other => panic!("picture {} is not in host memory: {other:?}", picture.serial),
    }
}

/// A decoder with its event log.
pub(super) struct Bench {
    pub(super) decoder: Box<dyn DecoderBackend>,
    events: Arc<Mutex<Vec<DecodeEvent>>>,
    submitted: u64,
    codec: Codec,
}

impl Bench {
    pub(super) fn open(config: &CommonDecodeConfig) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        let sink = Box::new(move |event| {
            log.lock().unwrap().push(event);
            true
        });
        let decoder = open_decoder(config, sink).unwrap();
        Self { decoder, events, submitted: 0, codec: config.codec }
    }

    pub(super) fn submit(&mut self, data: impl Into<Bytes>) {
        let packet = Packet::new(self.codec, self.decoder.input_layout(), data);
        self.decoder.submit(CodedUnit { serial: self.submitted, packet }).unwrap();
        self.submitted += 1;
    }

    pub(super) fn submit_all(&mut self, units: &[Bytes]) {
        for unit in units {
            self.submit(unit.clone());
        }
    }

    pub(super) fn flush(&mut self) {
        self.decoder.flush().unwrap();
    }

    /// Number of pictures delivered so far.
    pub(super) fn pictures(&self) -> usize {
        self.events.lock().unwrap().iter().filter(|e| matches!(e, DecodeEvent::Picture(_))).count()
    }

    /// Takes the pictures delivered so far out of the log, which then no longer counts their units.
    pub(super) fn take_pictures(&mut self) -> Vec<DecodedPicture> {
        let mut events = self.events.lock().unwrap();
        let (mut pictures, mut others) = (Vec::new(), Vec::new());
        for event in events.drain(..) {
            match event {
                DecodeEvent::Picture(picture) => pictures.push(picture),
                other => others.push(other),
            }
        }
        *events = others;
        pictures
    }

    /// Sorts the log; panics unless every serial was answered exactly once.
    pub(super) fn finish(self) -> Outcome {
        let submitted = self.submitted;
        let outcome = self.outcome();
        assert!(
            outcome.answered.iter().copied().eq(0..submitted),
            "of {submitted} units, {} were answered",
            outcome.answered.len()
        );
        outcome
    }

    /// Sorts the log; panics if a serial was answered twice.
    pub(super) fn outcome(self) -> Outcome {
        let mut outcome = Outcome::default();
        for event in std::mem::take(&mut *self.events.lock().unwrap()) {
            let serial = match event {
                DecodeEvent::Picture(picture) => {
                    let serial = picture.serial;
                    outcome.pictures.push(picture);
                    serial
                }
                DecodeEvent::NoPicture { serial, reason } => {
                    outcome.no_picture.push((serial, reason));
                    serial
                }
                DecodeEvent::Failed { serial, error } => {
                    outcome.failures.push((serial, error));
                    serial
                }
                DecodeEvent::Note(_) => continue,
            };
            assert!(outcome.answered.insert(serial), "unit {serial} was answered twice");
        }
        outcome
    }
}

/// Decodes units to the end.
pub(super) fn decode(config: &CommonDecodeConfig, units: &[Bytes]) -> Outcome {
    let mut bench = Bench::open(config);
    bench.submit_all(units);
    bench.flush();
    bench.finish()
}

/// Frames of an IVF file.
pub(super) fn ivf_units(file: &[u8]) -> Vec<Bytes> {
    let file = Bytes::copy_from_slice(file);
    let header = usize::from(u16::from_le_bytes([file[6], file[7]]));
    let (mut units, mut at) = (Vec::new(), header);
    while at + 12 <= file.len() {
        let size = u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let end = (at + 12 + size).min(file.len());
        units.push(file.slice(at + 12..end));
        at = end;
    }
    units
}

/// Frames of a raw H.264 or HEVC stream.
pub(super) fn nal_access_units(codec: Codec, file: &[u8]) -> Vec<Bytes> {
    let mut assembler = AccessUnitAssembler::new(codec).unwrap();
    let mut units = Vec::new();
    for chunk in file.chunks(1 << 16) {
        assembler.push(chunk).unwrap();
        units.extend(std::iter::from_fn(|| assembler.next_unit()).map(|u| u.data));
    }
    assembler.finish();
    units.extend(std::iter::from_fn(|| assembler.next_unit()).map(|u| u.data));
    units
}

/// A stream of the repository.
pub(super) fn stream_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/streams").join(name)
}

/// Streams in a folder and in those below it, by what their names end with.
pub(super) fn stream_paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(stream_paths(&entry));
        } else if codec_of(&entry).is_some() {
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// The codec of an elementary stream or an IVF file.
fn codec_of(path: &Path) -> Option<Codec> {
    match path.extension()?.to_str()? {
        "h264" | "264" | "jsv" => Some(Codec::H264),
        "h265" | "265" | "hevc" => Some(Codec::Hevc),
        "ivf" | "vp8" | "vp9" | "av1" => match fs::read(path).ok()?.get(8..12)? {
            b"VP80" => Some(Codec::Vp8),
            b"VP90" => Some(Codec::Vp9),
            b"AV01" => Some(Codec::Av1),
            _ => None,
        },
        _ => None,
    }
}

/// A stream's codec and its access units.
pub(super) fn units_of(path: &Path) -> (Codec, Vec<Bytes>) {
    let (codec, file) = (codec_of(path).unwrap(), fs::read(path).unwrap());
    (codec, if codec.uses_nal_units() { nal_access_units(codec, &file) } else { ivf_units(&file) })
}
