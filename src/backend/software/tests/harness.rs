//! Drives a backend as a session does, and keeps its books.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
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
    /// md5 of each 8-bit 4:2:0 picture as NV12, the form of the cros-codecs lists.
    pub(super) fn nv12_md5s(&self) -> Vec<String> {
        self.pictures.iter().map(|p| hex(Md5::digest(nv12(host(p))).as_slice())).collect()
    }

    /// md5 of all pictures as one byte stream.
    pub(super) fn stream_md5(&self) -> String {
        let mut context = Md5::new();
        let mut packed = Vec::new();
        for picture in &self.pictures {
            packed.clear();
            host(picture).write_packed(&mut packed);
            context.update(&packed);
        }
        hex(context.finalize().as_slice())
    }

    /// The feature that the stream was refused for.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.failures.iter().find_map(|(_, e)| match e {
            Error::Unsupported { feature, .. } => Some(feature.as_str()),
            _ => None,
        })
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn nv12(picture: &HostSurface) -> Vec<u8> {
    let [y, cb, cr] = picture.planes() else { panic!("{} is not planar", picture.format()) };
    let mut out: Vec<u8> = y.iter_rows().flatten().copied().collect();
    for (cb, cr) in cb.iter_rows().zip(cr.iter_rows()) {
        out.extend(cb.iter().zip(cr).flat_map(|(&b, &r)| [b, r]));
    }
    out
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
        assert!(
            outcome.answered.iter().copied().eq(0..self.submitted),
            "of {} units, {} were answered",
            self.submitted,
            outcome.answered.len()
        );
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

pub(super) fn asset_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/assets").join(name)
}

/// A shared test asset; says so loudly when the folder is not there.
pub(super) fn asset(name: &str) -> Option<Vec<u8>> {
    let read = fs::read(asset_path(name));
    if read.is_err() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no {name} below ../shared/assets\n"),
        );
    }
    read.ok()
}
