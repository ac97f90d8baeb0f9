//! `MFXVideoENCODE`: surfaces in display order in, coded pictures in decoding order out.

use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::abi::names::{CODEC_JPEG, FRAMETYPE_I, FRAMETYPE_IDR, FRAMETYPE_REF};
use super::abi::{Bitstream, EncodeCtrl, Handle, Payload, VideoParam};
use super::calling;
use super::frames::Surface;
use super::parameters::Parameters;
use super::session::{Session, SyncPoint, while_busy};
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Result};
use crate::memory;

/// Asks what an encoder would make of these parameters, which then are that.
pub(crate) fn query(session: &Session, parameters: &mut Parameters) -> Status {
    let place = parameters.as_mut_ptr();
    let query = session.api().functions.MFXVideoENCODE_Query;
    // SAFETY: a session, and parameters that own their extensions; one structure may be both question and answer.
    calling("MFXVideoENCODE_Query", || unsafe { query(session.handle(), place, place) })
}

/// Bytes of the largest buffer for a coded picture, whatever a runtime asks for.
const MOST_ROOM: usize = 1 << 30;

/// An encoder that is open.
#[derive(Debug)]
pub(crate) struct Encoder {
    session: Arc<Session>,
    /// Bytes that a coded picture may have.
    room: usize,
    /// So many they become where the runtime says that those are too few.
    most_room: usize,
    b_frames: u16,
}

/// What comes of handing a picture over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It was taken, and a coded picture is on its way into the buffer.
    Due,
    /// It was taken, and the buffer is not used; at the end: nothing more is inside.
    Held,
}

impl Encoder {
    /// Opens an encoder; whether some of its work is done on the CPU comes with it.
    ///
    /// # Errors
    /// What the GPU does not encode.
    pub(crate) fn open(session: &Arc<Session>, parameters: &mut Parameters) -> Result<(Self, bool)> {
        let status = Self::init(session, parameters)?;
        let mut encoder = Self { session: Arc::clone(session), room: 0, most_room: 0, b_frames: 0 };
        encoder.learn()?;
        Ok((encoder, status == Status::PARTIAL_ACCELERATION))
    }

    fn init(session: &Session, parameters: &mut Parameters) -> Result<Status> {
        const CALL: &str = "MFXVideoENCODE_Init";
        let place = parameters.as_mut_ptr();
        let init = session.api().functions.MFXVideoENCODE_Init;
        // SAFETY: a session, and parameters that own their extensions.
        let status = calling(CALL, || unsafe { init(session.handle(), place) });
        status.ok(CALL).map(|()| status)
    }

    /// Closes it, once everything has come out, and opens it anew.
    ///
    /// # Errors
    /// What the GPU does not encode.
    pub(crate) fn reopen(&mut self, parameters: &mut Parameters) -> Result<()> {
        self.close();
        Self::init(&self.session, parameters)?;
        self.learn()
    }

    fn close(&self) {
        let close = self.session.api().functions.MFXVideoENCODE_Close;
        // SAFETY: a session, whose encoder nobody uses meanwhile. One that is closed already says so.
        calling("MFXVideoENCODE_Close", || unsafe { close(self.session.handle()) });
    }

    /// Gives it other parameters.
    ///
    /// # Errors
    /// Parameters that it cannot change to; it then goes on as it was.
    pub(crate) fn reset(&mut self, parameters: &mut Parameters) -> Result<()> {
        const CALL: &str = "MFXVideoENCODE_Reset";
        let place = parameters.as_mut_ptr();
        let reset = self.session.api().functions.MFXVideoENCODE_Reset;
        // SAFETY: as in `open`.
        while_busy(CALL, || unsafe { reset(self.session.handle(), place) }).ok(CALL)?;
        self.learn()
    }

    /// Asks what the encoder works with.
    fn learn(&mut self) -> Result<()> {
        const CALL: &str = "MFXVideoENCODE_GetVideoParam";
        let mut video = VideoParam::default();
        let get = self.session.api().functions.MFXVideoENCODE_GetVideoParam;
        // SAFETY: a session with an encoder, and room for the answer, without extensions.
        calling(CALL, || unsafe { get(self.session.handle(), &raw mut video) }).ok(CALL)?;
        let coding = video.coding();
        let info = &coding.frame_info;
        let rated = usize::from(coding.buffer_size) * usize::from(coding.multiplier.max(1)) * 1000;
        // Encoders without a buffer model do not tell, and JPEG has no place for it; no picture takes more than it has as
        // samples of 16 bits.
        let whole = usize::from(info.width) * usize::from(info.height) * 3;
        let room = if rated == 0 || coding.codec_id == CODEC_JPEG { whole } else { rated };
        if room > MOST_ROOM {
            return Err(wrong(CALL, &format!("a coded picture takes a buffer of {room} bytes")));
        }
        self.b_frames = coding.gop_ref_dist.max(1) - 1;
        self.room = room;
        self.most_room = (4 * room.max(whole)).min(MOST_ROOM);
        Ok(())
    }

    /// B frames between others.
    pub(crate) const fn b_frames(&self) -> u16 {
        self.b_frames
    }

    /// A surface of the encoder's, for a picture to be written to.
    ///
    /// # Errors
    /// No memory; a lost device.
    pub(crate) fn surface(&self) -> Result<Surface> {
        const CALL: &str = "MFXMemory_GetSurfaceForEncode";
        let mut frame = ptr::null_mut();
        let get = self.session.api().functions.MFXMemory_GetSurfaceForEncode;
        // SAFETY: a session with an encoder, and room for a pointer.
        while_busy(CALL, || unsafe { get(self.session.handle(), &raw mut frame) }).ok(CALL)?;
        // SAFETY: the reference is ours.
        unsafe { Surface::of(frame, &self.session) }.ok_or_else(|| wrong(CALL, "no surface came"))
    }

    /// Hands a picture over with what is asked of it, or says that none comes for now. The surface and what is asked of it
    /// are the encoder's until its coded picture was taken.
    ///
    /// # Errors
    /// It was not taken.
    pub(crate) fn encode(
        &mut self,
        picture: Option<(&Surface, &Control)>,
        output: &mut Output,
    ) -> Result<Submitted> {
        const CALL: &str = "MFXVideoENCODE_EncodeFrameAsync";
        let (surface, control) = picture.map_or((ptr::null_mut(), ptr::null()), |(surface, control)| {
            (surface.as_ptr(), control.place.as_ptr().cast_const())
        });
        let encode = self.session.api().functions.MFXVideoENCODE_EncodeFrameAsync;
        loop {
            output.prepare(self.room)?;
            let mut point: Handle = ptr::null_mut();
            // SAFETY: a session with an encoder; the surface, what is asked of it and the bitstream stay where they are until
            // the operation is done, for which their owners wait.
            let status = while_busy(CALL, || unsafe {
                encode(self.session.handle(), control, surface, output.stream.as_ptr(), &raw mut point)
            });
            return match status {
                Status::MORE_DATA => Ok(Submitted::Held),
                // It was not taken.
                Status::NOT_ENOUGH_BUFFER if self.room < self.most_room => {
                    self.room = (2 * self.room).min(self.most_room);
                    continue;
                }
                status if status.0 >= 0 && !status.is_busy() && !point.is_null() => {
                    output.point = Some(SyncPoint(point));
                    Ok(Submitted::Due)
                }
                status if status.0 >= 0 && !status.is_busy() => Ok(Submitted::Held),
                status => Err(status.error(CALL)),
            };
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.close();
    }
}

fn wrong(call: &'static str, detail: &str) -> Error {
    Error::Backend { backend: BackendKind::Qsv, call, code: 0, detail: detail.to_owned() }
}

/// What is asked of one picture.
pub(crate) struct Control {
    place: NonNull<EncodeCtrl>,
    /// What `place` points to, directly and further.
    _payloads: Vec<Payload>,
    _list: Vec<*mut Payload>,
    _messages: Vec<Vec<u8>>,
}

// SAFETY: a value with all that it points to; the runtime alone reads it meanwhile.
unsafe impl Send for Control {}

impl Control {
    /// An IDR picture, where the encoder is to make one, and SEI messages: type, and payload with its header.
    pub(crate) fn new(idr: bool, messages: Vec<(u16, Vec<u8>)>) -> Self {
        let (kinds, mut messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let payload = |(kind, message): (u16, &mut Vec<u8>)| Payload {
            data: message.as_mut_ptr(),
            bits: u32::try_from(message.len() * 8).unwrap_or(0),
            kind,
            size: u16::try_from(message.len()).unwrap_or(0),
            ..Payload::default()
        };
        let mut payloads: Vec<_> = kinds.into_iter().zip(&mut messages).map(payload).collect();
        let mut list: Vec<_> = payloads.iter_mut().map(ptr::from_mut).collect();
        let control = EncodeCtrl {
            frame_type: if idr { FRAMETYPE_I | FRAMETYPE_REF | FRAMETYPE_IDR } else { 0 },
            num_payload: u16::try_from(list.len()).unwrap_or(0),
            payload: if list.is_empty() { ptr::null_mut() } else { list.as_mut_ptr() },
            ..EncodeCtrl::default()
        };
        let place = NonNull::from(Box::leak(Box::new(control)));
        Self { place, _payloads: payloads, _list: list, _messages: messages }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: made by a box in `new`, and not used afterwards.
        drop(unsafe { Box::from_raw(self.place.as_ptr()) });
    }
}

/// Memory that a coded picture comes in, again and again.
pub(crate) struct Output {
    stream: NonNull<Bitstream>,
    /// What it points to.
    bytes: Vec<u8>,
    point: Option<SyncPoint>,
    session: Arc<Session>,
}

// SAFETY: a value with all that it points to; the runtime alone writes to it, until the operation is done.
unsafe impl Send for Output {}

/// A coded picture.
pub(crate) struct Coded<'output> {
    pub(crate) data: &'output [u8],
    pub(crate) timestamp: u64,
    /// `MFX_FRAMETYPE_*`
    pub(crate) kind: u16,
}

impl Output {
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        let stream = NonNull::from(Box::leak(Box::default()));
        Self { stream, bytes: Vec::new(), point: None, session: Arc::clone(session) }
    }

    /// Makes it empty, and as large as that.
    fn prepare(&mut self, room: usize) -> Result<()> {
        if self.bytes.len() < room {
            self.bytes = memory::filled(0, room)?;
        }
        let max_length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let data = self.bytes.as_mut_ptr();
        // SAFETY: ours alone: no operation is under way.
        unsafe { self.stream.write(Bitstream { data, max_length, ..Bitstream::default() }) };
        Ok(())
    }

    /// Waits for the picture that is on its way into it.
    ///
    /// # Errors
    /// It failed, or none is.
    pub(crate) fn wait(&mut self) -> Result<Coded<'_>> {
        const CALL: &str = "MFXVideoCORE_SyncOperation";
        let point = self.point.take().ok_or_else(|| wrong(CALL, "nothing is on its way"))?;
        self.session.wait(point)?;
        // SAFETY: the operation is done, so that it is ours again.
        let stream = unsafe { self.stream.read() };
        let begin = stream.data_offset as usize;
        let range = begin..begin.saturating_add(stream.data_length as usize);
        let data = self.bytes.get(range).filter(|data| !data.is_empty());
        let data = data.ok_or_else(|| wrong(CALL, "the coded picture is empty, or not in its buffer"))?;
        Ok(Coded { data, timestamp: stream.timestamp, kind: stream.frame_type })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: made by a box in `new`, and not used afterwards: the encoder that would write to it is closed, or the
        // operation is done.
        drop(unsafe { Box::from_raw(self.stream.as_ptr()) });
    }
}
