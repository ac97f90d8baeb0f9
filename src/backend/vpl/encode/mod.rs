//! Encoding by oneVPL.
//!
//! The session's thread brings each picture to where the encoder reads it ([`input`]) and hands it over, which does not wait for
//! the GPU; a second thread waits for coded pictures and hands them on as they come ([`flow`]). Settings are held against what
//! the GPU answers before an encoder is opened ([`settings`], [`capability`]).

mod capability;
mod configure;
mod flow;
mod input;
mod reconfigure;
mod settings;

use std::sync::Arc;

pub(crate) use capability::encode_capability;

use self::capability::Caps;
use self::configure::parameters;
use self::flow::{Flow, Output, Reaper, Stamps};
use self::input::{Input, Place};
use self::settings::{Settings, negotiate, own};
use super::driver::encoder::{self, Control, Encoder, Submitted};
use super::driver::session::Session;
use super::driver::status::Status;
use super::{IMPLEMENTATION, codec_id};
use crate::backend::{
    BackendKind, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncoderBackend, FrameCheck, InPlace,
};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::frame::{Frame, Surface};
use crate::packet::BitstreamLayout;
use crate::pixel::PixelFormat;
use crate::stages::EncodeMeter;
use crate::sync::lock;
use crate::user_sei::UserSei;

/// Time stamps of the encoder's own surfaces begin here; a decoder counts from the other end.
const OWN_STAMPS: u64 = 1 << 62;

/// Whether frames of a format are encoded in the surfaces of their decoder.
pub(crate) fn encodes_from_device(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Nv12 | PixelFormat::P010)
}

/// An encode session. The order of the fields is that of their end: the thread that takes outputs goes first, and the encoder
/// before the memory that it writes to.
struct VplEncoder {
    _reaper: Reaper,
    encoder: Encoder,
    flow: Arc<Flow>,
    session: Arc<Session>,
    settings: Settings,
    caps: Caps,
    /// The size that it was opened for, which it can be changed to again.
    largest: Dimensions,
    reorder: usize,
    stamps: Stamps,
    next_stamp: u64,
    /// The next picture begins anew.
    idr_next: bool,
    since_idr: u32,
    /// It was told of the end, and takes more when it begins anew.
    ended: bool,
    /// It takes no surfaces of decoders.
    copies: bool,
    meter: Arc<EncodeMeter>,
    notes: Vec<String>,
}

/// Opens an encoder.
///
/// # Errors
/// No oneVPL, no GPU of Intel's, no such encoder, or a setting that cannot be honoured.
pub(crate) fn open_encoder(
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    let codec = config.codec;
    let own = own(special, codec)?;
    codec_id(codec)?;
    let session = Session::open(config.device.as_deref())?;
    let caps = Caps::ask(&session, codec).ok_or_else(|| Error::Unsupported {
        feature: format!("encoding {codec} on this GPU"),
        remedy: Remedy::OtherBackend,
    })?;
    let mut settings = negotiate(config, &own, &caps)?;
    let mut notes = std::mem::take(&mut settings.notes);
    let (encoder, on_cpu) = Encoder::open(&session, &mut parameters(&settings, None))?;
    if on_cpu {
        notes.push("a part of the encoding is done on the CPU".to_owned());
    }
    let b_frames = b_frames_of(&encoder, &settings);
    if b_frames != settings.b_frames {
        notes.push(format!("there are {b_frames} B frames where {} were asked for", settings.b_frames));
    }
    let meter = Arc::new(EncodeMeter::default());
    let stamps = Stamps::default();
    let buffers = (0..settings.max_in_flight).map(|_| encoder::Output::new(&session)).collect();
    let (flow, reaper) = flow::start(buffers, codec, &stamps, sink, &meter)?;
    Ok(Box::new(VplEncoder {
        _reaper: reaper,
        reorder: settings.reorder(b_frames),
        encoder,
        flow,
        session,
        largest: settings.size,
        settings,
        caps,
        stamps,
        next_stamp: OWN_STAMPS,
        idr_next: true,
        since_idr: 0,
        ended: false,
        copies: false,
        meter,
        notes,
    }))
}

/// The B frames that the encoder makes.
fn b_frames_of(encoder: &Encoder, settings: &Settings) -> u16 {
    // JPEG has something else in that place.
    if settings.codec == Codec::Mjpeg { 0 } else { encoder.b_frames() }
}

impl VplEncoder {
    /// Brings a picture to where the encoder reads it; gives its time stamp too.
    fn place(&mut self, frame: &Frame) -> Result<(Place, u64)> {
        let Settings { format, size, .. } = self.settings;
        if let Surface::Device(device) = &frame.surface
            && !self.copies
            && let Some(surface) = input::original(device, format, size, self.session.adapter().ordinal)
            // Somebody reads it, or it is inside already: a copy has a time stamp of its own.
            && !surface.is_mapped()
            && surface.timestamp() < OWN_STAMPS
            && !lock(&self.stamps).contains_key(&surface.timestamp())
        {
            return Ok((Place::Original(Arc::clone(surface)), surface.timestamp()));
        }
        let (mut surface, copied) = input::copy(&self.encoder, frame, format, size)?;
        self.meter.copied_in(copied);
        self.next_stamp += 1;
        surface.stamp(self.next_stamp);
        Ok((Place::Copy(surface), self.next_stamp))
    }

    /// Begins anew where it was told of the end.
    fn begin(&mut self) -> Result<()> {
        if self.ended {
            match self.encoder.reset(&mut parameters(&self.settings, Some(true))) {
                // What cannot be reset can be opened.
                Err(Error::Unsupported { .. }) => {
                    self.encoder.reopen(&mut parameters(&self.settings, None))?;
                }
                reset => reset?,
            }
            self.ended = false;
        }
        Ok(())
    }

    /// Hands a picture over. With an error it was not taken, and the buffer is free again.
    fn enter(&mut self, unit: &EncodeUnit, mut output: Output) -> Result<()> {
        match self.begin().and_then(|()| self.give(unit, &mut output)) {
            Ok(submitted) => {
                self.pass(submitted, output);
                Ok(())
            }
            Err(error) => {
                self.flow.put_back(None, output);
                Err(error)
            }
        }
    }

    fn give(&mut self, unit: &EncodeUnit, output: &mut Output) -> Result<Submitted> {
        let meter = Arc::clone(&self.meter);
        let due = self.settings.gop.is_some_and(|gop| self.since_idr >= gop);
        let idr = unit.frame.force_keyframe || self.idr_next || due;
        let with_idr = if idr { self.settings.messages.as_slice() } else { &[] };
        let messages: Vec<_> = with_idr.iter().chain(&unit.frame.user_sei).map(message).collect();
        // Motion JPEG has nothing else.
        let asked = idr && self.settings.codec != Codec::Mjpeg;
        loop {
            let (place, stamp) = meter.upload.time(|| self.place(&unit.frame))?;
            let control = Control::new(asked, messages.clone());
            lock(&self.stamps).insert(stamp, unit.serial);
            self.flow.entering(unit.serial);
            let picture = Some((place.surface(), &control));
            match meter.submit.time(|| self.encoder.encode(picture, &mut output.buffer)) {
                Ok(submitted) => {
                    meter.inside(self.flow.entered(unit.serial, Input { _place: place, _control: control }));
                    self.since_idr = if idr { 1 } else { self.since_idr.saturating_add(1) };
                    self.idr_next = false;
                    return Ok(submitted);
                }
                Err(error) => {
                    lock(&self.stamps).remove(&stamp);
                    if matches!(place, Place::Copy(_)) || !refuses_surface(&error) {
                        return Err(error);
                    }
                    // The picture may do in one of its own.
                    self.copies = true;
                }
            }
        }
    }

    /// Passes an output on, whether something comes in it; tells that too.
    fn pass(&self, submitted: Submitted, output: Output) -> bool {
        let comes = submitted == Submitted::Due;
        if comes {
            self.flow.due(output);
        } else {
            self.flow.put_back(None, output);
        }
        comes
    }

    /// Has everything come out that is inside, and waits for it.
    fn drain(&mut self) -> Result<()> {
        while let Some(mut output) = self.flow.take()? {
            match self.encoder.encode(None, &mut output.buffer) {
                Ok(submitted) => {
                    if !self.pass(submitted, output) {
                        break;
                    }
                }
                Err(error) => {
                    self.flow.put_back(None, output);
                    return Err(error);
                }
            }
        }
        match self.flow.settle()? {
            0 => Ok(()),
            // An encoder that does not work, whose frames another one may code.
            kept => Err(Error::Backend {
                backend: BackendKind::Qsv,
                call: "MFXVideoENCODE_EncodeFrameAsync",
                code: 0,
                detail: format!("nothing more comes, and {kept} pictures are inside"),
            }),
        }
    }

    /// Has everything come out; the next picture begins anew.
    fn end(&mut self) -> Result<()> {
        self.drain()?;
        (self.idr_next, self.ended) = (true, true);
        Ok(())
    }
}

/// Whether an encoder that gives this error may take the picture in a surface of its own.
fn refuses_surface(error: &Error) -> bool {
    let of_handles = [Status::INVALID_HANDLE, Status::LOCK_MEMORY, Status::UNDEFINED_BEHAVIOR];
    match error {
        Error::Unsupported { .. } => true,
        Error::Backend { code, .. } => of_handles.iter().any(|status| i64::from(status.0) == *code),
        _ => false,
    }
}

/// An SEI message as the runtime takes it: type, and payload with its header.
fn message(message: &UserSei) -> (u16, Vec<u8>) {
    let mut bytes = Vec::with_capacity(message.payload.len() + 8);
    for mut number in [message.payload_type as usize, message.payload.len()] {
        while number >= 255 {
            bytes.push(255);
            number -= 255;
        }
        bytes.push(number as u8);
    }
    bytes.extend_from_slice(&message.payload);
    (message.payload_type as u16, bytes)
}

impl EncoderBackend for VplEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.settings.codec)
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        let Some(output) = self.meter.wait.time(|| self.flow.take())? else { return Ok(()) };
        match self.enter(&unit, output) {
            Ok(()) => Ok(()),
            // This frame is lost, and nothing else.
            Err(error) if error.is_recoverable() => {
                self.flow.tell(EncodeEvent::Failed { serial: unit.serial, error });
                Ok(())
            }
            Err(error) => {
                // What is inside comes out before the session ends, where the GPU still works.
                if !matches!(error, Error::DeviceLost { .. }) {
                    let _ = self.drain();
                }
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.end()
    }

    fn admission(&self) -> FrameCheck {
        let codec = self.settings.codec;
        Arc::new(move |frame| input::check(codec, frame))
    }

    fn copies(&self) -> CopyBytes {
        let (input, output, device) = self.meter.copied();
        CopyBytes { input, output, device }
    }

    fn reorder_delay(&self) -> usize {
        self.reorder
    }

    fn in_place(&self) -> InPlace {
        self.can_change()
    }

    fn reconfigure(&mut self, config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> Result<()> {
        self.change(config, special)
    }

    fn idr_interval(&self) -> Option<u32> {
        self.settings.gop
    }

    fn implementation(&self) -> &'static str {
        IMPLEMENTATION
    }

    fn meter(&self) -> Option<Arc<EncodeMeter>> {
        Some(Arc::clone(&self.meter))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_header() {
        let long = UserSei::new(300, vec![7_u8; 256]);
        let (kind, bytes) = message(&long);
        assert_eq!((kind, &bytes[..4], bytes.len()), (300, &[255, 45, 255, 1][..], 260));
        assert_eq!(message(&UserSei::new(5, vec![1_u8, 2])), (5, vec![5, 2, 1, 2]));
    }
}
