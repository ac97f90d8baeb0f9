//! What every codec's parser works with: the client's callbacks, the decode surfaces, and the pictures that are in
//! output order but held back for the display delay.

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use crate::core::Rule;
use crate::nvdec::abi::{
    CUVIDEOFORMAT, CUVIDEOFORMATEX, CUVIDOPERATINGPOINTINFO, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS,
    CUVIDPICPARAMS, Zeroed,
};
use crate::nvdec::side;
use crate::policy;

use super::rules;
use super::sei::{CUSEIMESSAGE, CUVIDSEIMESSAGEINFO, SeiMessage};
use super::times::Times;

/// The sequence callback refused: the parser does nothing any more.
#[derive(Debug)]
pub(super) struct Stop;

/// Goes on, or stops because the sequence callback refused.
pub(super) type Flow = Result<(), Stop>;

/// A decode surface by its index. It is in use for as long as somebody besides the pool holds it: a reference, a
/// picture that waits for output, the picture shown last.
pub(super) type Surface = Arc<i32>;

/// A picture on its way to the display callback.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) surface: Surface,
    pub(super) progressive: bool,
    pub(super) top_field_first: bool,
    pub(super) repeat_first_field: i32,
    pub(super) timestamp: Option<i64>,
}

/// The data of one decode callback.
#[derive(Debug, Default)]
pub(super) struct Coded {
    /// Bytes for `pBitstreamData`.
    pub(super) data: Vec<u8>,
    /// Where each slice begins in it.
    pub(super) offsets: Vec<u32>,
    /// Parameter sets in Annex B, for the simulated decoder.
    pub(super) sets: Vec<u8>,
    /// SEI messages that came with it.
    pub(super) sei: Vec<SeiMessage>,
    /// Time of the packet that it began in, and its picture order count.
    pub(super) timestamp: Option<i64>,
    pub(super) order: i32,
}

/// A picture in output order that the display delay holds back.
#[derive(Debug)]
struct Held {
    picture: Shown,
    timestamp: i64,
    /// Pictures decoded before it.
    decoded: u64,
}

/// What happened, for the report.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) sequences: u64,
    pub(super) decodes: u64,
    pub(super) displays: u64,
    /// Pictures for which a surface in use had to be taken.
    pub(super) starved: u64,
}

/// What is known of a surface's picture.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    /// Pictures decoded before it.
    decoded: u64,
    /// Its decode callback failed.
    skipped: bool,
    /// How many pictures had been shown when it was; 0: it has not been shown.
    shown: u64,
}

/// See the module's text.
pub(super) struct Stage {
    parameters: CUVIDPARSERPARAMS,
    pool: Vec<Surface>,
    /// Of each surface: what is in it.
    contents: Vec<Content>,
    /// Pictures in output order that are held back.
    queue: VecDeque<Held>,
    /// Pictures begun (two fields are one).
    pictures: u64,
    /// The sequence callback refused.
    refused: bool,
    format: Option<CUVIDEOFORMAT>,
    pub(super) times: Times,
    pub(super) counts: Counts,
    breaches: Vec<(&'static Rule, String)>,
}

// SAFETY: the pointers among the parameters are the client's user data, which only its own callbacks look at, and
// the extension block, which is read at creation alone. The parser moves between threads only under its lock.
unsafe impl Send for Stage {}

impl Stage {
    pub(super) fn new(parameters: &CUVIDPARSERPARAMS) -> Self {
        let mut stage = Self {
            parameters: *parameters,
            pool: Vec::new(),
            contents: Vec::new(),
            queue: VecDeque::new(),
            pictures: 0,
            refused: false,
            format: None,
            times: Times::new(parameters.ulClockRate),
            counts: Counts::default(),
            breaches: Vec::new(),
        };
        stage.resize(parameters.ulMaxNumDecodeSurfaces);
        stage
    }

    /// True when the sequence callback refused.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// `ulMaxDisplayDelay`.
    fn delay(&self) -> usize {
        self.parameters.ulMaxDisplayDelay as usize
    }

    /// The end of the stream: the same format is announced again if another follows (measured on 580.159).
    pub(super) fn end_stream(&mut self) {
        self.times.end_stream();
        self.format = None;
    }

    /// Breaches noticed since the last call.
    pub(super) fn take_breaches(&mut self) -> Vec<(&'static Rule, String)> {
        std::mem::take(&mut self.breaches)
    }

    /// Surfaces that a stream needs whose decoded picture buffer has `dpb` frames. The display delay adds none:
    /// pictures that are held back are shown early where a surface is wanted (measured on 580.159).
    pub(super) fn surfaces_for(dpb: usize, extra: usize) -> u8 {
        (dpb + extra).min(policy::PARSER_MAX_SURFACES as usize) as u8
    }

    /// Tells the client of the stream's format if it is not the one it knows. `header` is the raw sequence header.
    /// Everything that waits must have been shown before.
    pub(super) fn sequence(&mut self, format: &CUVIDEOFORMAT, header: &[u8]) -> Flow {
        if !self.is_new(format) {
            self.format = Some(*format);
            self.times.set_rate(format.frame_rate.numerator, format.frame_rate.denominator);
            return Ok(());
        }
        self.drain();
        if self.refused {
            return Err(Stop);
        }
        // Nothing is parsed any more after a refusal (measured on 580.159).
        self.refused = true;
        self.counts.sequences += 1;
        let mut extended = CUVIDEOFORMATEX::zeroed();
        extended.format = *format;
        // The length is left at 0, though the bytes are there (the length was measured on 580.159).
        let length = header.len().min(extended.data.raw_seqhdr_data.len());
        extended.data.raw_seqhdr_data[..length].copy_from_slice(&header[..length]);
        let Some(callback) = self.parameters.pfnSequenceCallback else { return Err(Stop) };
        let pointer = (&raw mut extended).cast::<CUVIDEOFORMAT>();
        // SAFETY: the callback and its user data are the client's; the structure lives through the call. The pointer
        // covers the extended structure, whose first member is the plain one.
        let answer = unsafe { callback(self.parameters.pUserData, pointer) };
        if answer <= 0 {
            return Err(Stop);
        }
        self.refused = false;
        let surfaces = if answer > 1 { answer as u32 } else { self.parameters.ulMaxNumDecodeSurfaces };
        if surfaces < u32::from(format.min_num_decode_surfaces) {
            self.breaches.push((
                &rules::PARSER_FEW_SURFACES,
                format!(
                    "{surfaces} surfaces (answer {answer}) where {} are needed",
                    format.min_num_decode_surfaces
                ),
            ));
        }
        self.resize(surfaces);
        self.format = Some(*format);
        self.times.set_rate(format.frame_rate.numerator, format.frame_rate.denominator);
        Ok(())
    }

    /// True when the client has to be told of this format.
    pub(super) fn is_new(&self, format: &CUVIDEOFORMAT) -> bool {
        !self.format.as_ref().is_some_and(|known| same_pictures(known, format))
    }

    fn resize(&mut self, surfaces: u32) {
        let count = surfaces.clamp(1, policy::PARSER_MAX_SURFACES) as usize;
        // Surfaces that stay keep their users: VP9 and AV1 may change the size and still refer back.
        self.pool.truncate(count);
        self.pool.extend((self.pool.len()..count).map(|index| Surface::new(index as i32)));
        self.contents.resize(count, Content::default());
    }

    /// A surface that nobody uses. Pictures held back only for the display delay give way first; none means that
    /// the codec's own pictures hold all.
    pub(super) fn acquire(&mut self) -> Option<Surface> {
        loop {
            if let Some(surface) = self.free_surface() {
                return Some(surface);
            }
            if !self.show_head() {
                return None;
            }
        }
    }

    /// A surface in any case: the last resort of a client that gave too few is a picture damaged.
    pub(super) fn acquire_any(&mut self) -> Surface {
        if let Some(surface) = self.acquire() {
            return surface;
        }
        self.counts.starved += 1;
        let oldest = (0..self.pool.len()).min_by_key(|&index| self.contents[index].decoded).unwrap_or(0);
        self.pool[oldest].clone()
    }

    /// Of the free surfaces the one whose picture was shown first, so that a client has the most time to copy it
    /// (measured on 580.159); surfaces that held none come before.
    fn free_surface(&mut self) -> Option<Surface> {
        // bMemoryOptimize (13.0) asks for the lowest index.
        let lowest = self.parameters.flags & 2 != 0;
        let free = (0..self.pool.len()).filter(|&index| Arc::strong_count(&self.pool[index]) == 1);
        let index = free.min_by_key(|&index| if lowest { 0 } else { self.contents[index].shown })?;
        Some(self.pool[index].clone())
    }

    fn content(&mut self, surface: i32) -> Option<&mut Content> {
        self.contents.get_mut(usize::try_from(surface).ok()?)
    }

    /// Sends a picture to the decode callback. `begins` is false for a second field. A picture whose callback fails
    /// is never shown; its place in order and in the references stays (measured on 580.159).
    pub(super) fn decode(&mut self, params: &mut CUVIDPICPARAMS, coded: &Coded, begins: bool) {
        let surface = params.CurrPicIdx;
        if begins {
            self.times.wait(surface, coded.timestamp, coded.order);
            let decoded = self.pictures;
            if let Some(content) = self.content(surface) {
                (content.decoded, content.skipped) = (decoded, false);
            }
            self.pictures += 1;
        }
        self.counts.decodes += 1;
        self.sei(surface, &coded.sei);
        params.nBitstreamDataLen = coded.data.len() as u32;
        params.pBitstreamData = coded.data.as_ptr();
        params.nNumSlices = coded.offsets.len() as u32;
        params.pSliceDataOffsets = coded.offsets.as_ptr();
        if let Some(callback) = self.parameters.pfnDecodePicture {
            side::publish(coded.data.as_ptr(), Arc::new(coded.sets.clone()));
            // SAFETY: the callback and its user data are the client's; the parameters and the data live through
            // the call.
            let answer = unsafe { callback(self.parameters.pUserData, params) };
            drop(side::take(coded.data.as_ptr()));
            if answer <= 0
                && let Some(content) = self.content(surface)
            {
                content.skipped = true;
            }
        }
        self.show_aged();
    }

    fn sei(&mut self, picture: c_int, messages: &[SeiMessage]) {
        let Some(callback) = self.parameters.pfnGetSEIMsg else { return };
        if messages.is_empty() {
            return;
        }
        let mut data: Vec<u8> = messages.iter().flat_map(|message| message.payload.iter().copied()).collect();
        let mut list: Vec<_> = messages
            .iter()
            .map(|message| CUSEIMESSAGE {
                sei_message_type: message.kind.min(255) as u8,
                reserved: [0; 3],
                sei_message_size: message.payload.len() as u32,
            })
            .collect();
        let mut info = CUVIDSEIMESSAGEINFO {
            pSEIData: data.as_mut_ptr().cast(),
            pSEIMessage: list.as_mut_ptr(),
            sei_message_count: list.len() as u32,
            picIdx: picture as u32,
        };
        // SAFETY: as for the decode callback; the lists live through the call.
        unsafe { callback(self.parameters.pUserData, (&raw mut info).cast::<c_void>()) };
    }

    /// Asks for the operating point of an AV1 stream; the default is the first.
    pub(super) fn operating_point(&mut self, points: &[u16]) -> usize {
        let Some(callback) = self.parameters.pfnGetOperatingPoint else { return 0 };
        let mut info = CUVIDOPERATINGPOINTINFO::zeroed();
        info.codec = self.parameters.CodecType;
        // SAFETY: every byte of the union is initialised (zeroed) and any bytes are a valid value of this member.
        let list = unsafe { &mut info.data.av1 };
        let count = points.len().min(list.operating_points_idc.len());
        list.operating_points_cnt = count as u8;
        list.operating_points_idc[..count].copy_from_slice(&points[..count]);
        // SAFETY: as for the decode callback.
        let answer = unsafe { callback(self.parameters.pUserData, &raw mut info) };
        let point = (answer & 0x3ff) as usize;
        if answer < 0 || point >= points.len() { 0 } else { point }
    }

    /// A picture's turn in output order has come: it is shown when more wait than the display delay allows.
    pub(super) fn show(&mut self, picture: Shown) {
        let surface = *picture.surface;
        let content = self.content(surface).copied().unwrap_or_default();
        let timestamp = self.times.display(surface, picture.timestamp, picture.repeat_first_field);
        if content.skipped {
            return;
        }
        self.queue.push_back(Held { picture, timestamp, decoded: content.decoded });
        while self.queue.len() > self.delay() {
            self.show_head();
        }
    }

    /// Shows the next picture if it was decoded long ago: the delay is there to let the decoder finish, and by then
    /// it has. One picture for each that is decoded (measured on 580.159).
    fn show_aged(&mut self) {
        let due = |held: &Held| held.decoded + policy::PARSER_DECODED_BY_THEN < self.pictures;
        if self.queue.front().is_some_and(due) {
            self.show_head();
        }
    }

    /// Shows everything that is held back.
    pub(super) fn drain(&mut self) {
        while self.show_head() {}
    }

    /// Shows the next picture; false when there is none.
    fn show_head(&mut self) -> bool {
        let Some(Held { picture, timestamp, .. }) = self.queue.pop_front() else { return false };
        self.counts.displays += 1;
        let turn = self.counts.displays;
        if let Some(content) = self.content(*picture.surface) {
            content.shown = turn;
        }
        let mut info = CUVIDPARSERDISPINFO {
            picture_index: *picture.surface,
            progressive_frame: picture.progressive.into(),
            top_field_first: picture.top_field_first.into(),
            repeat_first_field: picture.repeat_first_field,
            timestamp,
        };
        self.call_display(&raw mut info);
        true
    }

    /// The extra callback that marks the end of the stream.
    pub(super) fn notify_end(&mut self) {
        self.call_display(std::ptr::null_mut());
    }

    /// What the callback answers changes nothing: the picture is decoded either way.
    fn call_display(&mut self, info: *mut CUVIDPARSERDISPINFO) {
        if let Some(callback) = self.parameters.pfnDisplayPicture {
            // SAFETY: as for the decode callback.
            unsafe { callback(self.parameters.pUserData, info) };
        }
    }
}

/// True when nothing changed that a decoder or its surfaces depend on, nor how the pictures are to be seen. A new
/// bit rate or frame rate alone is no new sequence.
fn same_pictures(a: &CUVIDEOFORMAT, b: &CUVIDEOFORMAT) -> bool {
    let seen = |format: &CUVIDEOFORMAT| CUVIDEOFORMAT {
        frame_rate: Default::default(),
        bitrate: 0,
        seqhdr_data_length: 0,
        ..*format
    };
    seen(a) == seen(b)
}
