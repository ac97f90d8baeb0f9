//! A client of the parser alone: it notes every callback, and checks by itself that no surface is handed out while it
//! is in use.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "a test client: it calls the driver as any C program does"
)]

use std::ffi::{c_int, c_ulong, c_void};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use nvsim::nvdec::abi::*;

/// One packet of a file: its bytes and timestamp.
#[derive(Debug, Clone)]
pub struct Packet {
    pub data: Vec<u8>,
    pub pts: i64,
}

/// What the client saw.
#[derive(Default)]
pub struct Log {
    pub formats: Vec<CUVIDEOFORMAT>,
    /// Decode callbacks: surface, second field, intra.
    pub decodes: Vec<(c_int, bool, bool)>,
    /// Display callbacks: number of the picture in decoding order (two fields are one), and what was said of it.
    pub displays: Vec<(usize, CUVIDPARSERDISPINFO)>,
    /// Display callbacks with null.
    pub ends: usize,
    /// How many pictures had been decoded at each display.
    pub decoded_at_display: Vec<usize>,
    pub sei: usize,
    /// Surfaces handed out while a picture on them was not shown yet, or while they are references.
    pub reused: Vec<String>,
    pub pictures: usize,
    /// Picture on each surface, and whether it still waits to be shown.
    surfaces: Vec<Option<(usize, bool)>>,
    /// Codecs with hidden pictures do not show all of them.
    pub hidden_allowed: bool,
    /// Answer of the sequence callback; none: what the format asks for.
    pub answer: Option<c_int>,
    pub refuse_decode_at: Option<usize>,
    /// Called inside each decode callback.
    pub inside: Option<Box<dyn FnMut()>>,
}

/// The log of a parser, which the callbacks reach by its address alone while the client waits inside a call.
pub struct Shared(NonNull<Log>);

impl Shared {
    pub fn new() -> Self {
        Self(NonNull::from(Box::leak(Box::default())))
    }
}

impl Deref for Shared {
    type Target = Log;
    fn deref(&self) -> &Log {
        // SAFETY: made from a box and freed only when this is dropped; callbacks run inside of calls, during which the
        // client holds no reference to the log.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut Log {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and nobody frees it twice.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The log that a parser was made with.
///
/// # Safety
/// For callbacks: `user` is what [`parameters`] gave, and no other callback of the same parser is running.
unsafe fn log_of<'a>(user: *mut c_void) -> &'a mut Log {
    // SAFETY: the log outlives its parser, and the client does not touch it while it waits inside a call.
    unsafe { &mut *user.cast::<Log>() }
}

unsafe extern "C" fn on_sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    // SAFETY: called by the parser with our log and a structure that lives as long as this call.
    let (log, format) = unsafe { (log_of(user), &*format) };
    log.formats.push(*format);
    log.surfaces = vec![None; 64];
    log.answer.unwrap_or_else(|| c_int::from(format.min_num_decode_surfaces))
}

unsafe extern "C" fn on_decode(user: *mut c_void, params: *mut CUVIDPICPARAMS) -> c_int {
    // SAFETY: called by the parser with our log and a structure that lives as long as this call.
    let (log, params) = unsafe { (log_of(user), &*params) };
    if let Some(mut inside) = log.inside.take() {
        inside();
        log.inside = Some(inside);
    }
    let surface = params.CurrPicIdx;
    assert!((0..64).contains(&surface), "CurrPicIdx {surface}");
    assert!(params.nBitstreamDataLen > 0 && params.nNumSlices > 0);
    let second = params.second_field != 0;
    if !second {
        let number = log.pictures;
        log.pictures += 1;
        if let Some((other, true)) = log.surfaces[surface as usize]
            && !log.hidden_allowed
        {
            log.reused
                .push(format!("picture {number} on surface {surface} of picture {other}, not shown yet"));
        }
        log.surfaces[surface as usize] = Some((number, true));
    }
    let codec = log.formats.last().map(|format| format.codec);
    if codec == Some(codec::H264) {
        // SAFETY: the codec's member of the union, made of numbers.
        let h264 = unsafe { &params.CodecSpecific.h264 };
        for entry in h264.dpb.iter().filter(|entry| entry.PicIdx == surface) {
            if !second {
                log.reused.push(format!("surface {surface} is a reference of its own picture: {entry:?}"));
            }
        }
    } else if codec == Some(codec::HEVC) {
        // SAFETY: the codec's member of the union, made of numbers.
        let hevc = unsafe { &params.CodecSpecific.hevc };
        if hevc.RefPicIdx.contains(&surface) {
            log.reused.push(format!("surface {surface} is a reference of its own picture"));
        }
        for &place in &hevc.RefPicSetStCurrBefore[..hevc.NumPocStCurrBefore as usize] {
            assert!(hevc.PicOrderCntVal[place as usize] < hevc.CurrPicOrderCntVal);
            assert!(hevc.RefPicIdx[place as usize] >= 0);
        }
        for &place in &hevc.RefPicSetStCurrAfter[..hevc.NumPocStCurrAfter as usize] {
            assert!(hevc.PicOrderCntVal[place as usize] > hevc.CurrPicOrderCntVal);
        }
    }
    log.decodes.push((surface, second, params.intra_pic_flag != 0));
    c_int::from(log.refuse_decode_at != Some(log.decodes.len()))
}

unsafe extern "C" fn on_display(user: *mut c_void, info: *mut CUVIDPARSERDISPINFO) -> c_int {
    // SAFETY: called by the parser with our log, and a structure or null.
    let (log, info) = unsafe { (log_of(user), info.as_ref()) };
    let Some(&info) = info else {
        log.ends += 1;
        return 1;
    };
    let Some(entry) = &mut log.surfaces[info.picture_index as usize] else { panic!("shown but not decoded") };
    entry.1 = false;
    log.displays.push((entry.0, info));
    log.decoded_at_display.push(log.pictures);
    1
}

unsafe extern "C" fn on_sei(user: *mut c_void, info: *mut c_void) -> c_int {
    // SAFETY: called by the parser with our log, a structure that lives as long as this call, and its list.
    let (log, info, list) = unsafe {
        let info = &*info.cast::<nvsim::nvdec::parser::CUVIDSEIMESSAGEINFO>();
        let list = std::slice::from_raw_parts(info.pSEIMessage, info.sei_message_count as usize);
        (log_of(user), info, list)
    };
    let bytes: usize = list.iter().map(|message| message.sei_message_size as usize).sum();
    assert!(bytes > 0 && !info.pSEIData.is_null());
    log.sei += list.len();
    1
}

type Create = unsafe extern "C" fn(*mut CUvideoparser, *mut CUVIDPARSERPARAMS) -> u32;
type Parse = unsafe extern "C" fn(CUvideoparser, *mut CUVIDSOURCEDATAPACKET) -> u32;
type Destroy = unsafe extern "C" fn(CUvideoparser) -> u32;

/// The three functions, from the driver's shared object. Those who call them own what the structures point to.
#[derive(Clone, Copy)]
pub struct Api {
    create: Create,
    parse: Parse,
    destroy: Destroy,
}

impl Api {
    pub fn load() -> Self {
        // SAFETY: loading the simulated driver runs no code of its own, and the functions have these forms; the library
        // stays loaded for good.
        unsafe {
            let library = Box::leak(Box::new(libloading::Library::new("libnvcuvid.so.1").unwrap()));
            Self {
                create: *library.get(b"cuvidCreateVideoParser\0").unwrap(),
                parse: *library.get(b"cuvidParseVideoData\0").unwrap(),
                destroy: *library.get(b"cuvidDestroyVideoParser\0").unwrap(),
            }
        }
    }

    /// Makes a parser; without parameters the driver is given null for both.
    pub fn create(&self, parameters: Option<&mut CUVIDPARSERPARAMS>) -> Result<CUvideoparser, u32> {
        let mut handle = std::ptr::null_mut();
        let (out, parameters) = match parameters {
            Some(parameters) => (&raw mut handle, std::ptr::from_mut(parameters)),
            None => (std::ptr::null_mut(), std::ptr::null_mut()),
        };
        // SAFETY: null, or our own variables.
        match unsafe { (self.create)(out, parameters) } {
            0 => Ok(handle),
            error => Err(error),
        }
    }

    /// Gives a packet to a parser that may be none; no packet is null.
    pub fn parse(&self, handle: CUvideoparser, packet: Option<&mut CUVIDSOURCEDATAPACKET>) -> u32 {
        let packet = packet.map_or(std::ptr::null_mut(), std::ptr::from_mut);
        // SAFETY: null, or a packet with a payload of its size (or of none, which the driver has to notice); the driver
        // knows its handles and refuses others.
        unsafe { (self.parse)(handle, packet) }
    }

    /// Destroys a parser that may be none.
    pub fn destroy(&self, handle: CUvideoparser) -> u32 {
        // SAFETY: the driver knows its handles and refuses others.
        unsafe { (self.destroy)(handle) }
    }
}

/// A packet without data.
pub fn empty_packet() -> CUVIDSOURCEDATAPACKET {
    CUVIDSOURCEDATAPACKET { flags: 0, payload_size: 0, payload: std::ptr::null(), timestamp: 0 }
}

/// A parser with its log.
pub struct Client {
    pub api: Api,
    pub handle: CUvideoparser,
    pub log: Shared,
}

pub fn parameters(codec: u32, delay: u32, log: &Shared) -> CUVIDPARSERPARAMS {
    let mut parameters = CUVIDPARSERPARAMS::zeroed();
    parameters.CodecType = codec;
    parameters.ulMaxNumDecodeSurfaces = 1;
    parameters.ulClockRate = 1000;
    parameters.ulMaxDisplayDelay = delay;
    parameters.pUserData = log.0.as_ptr().cast();
    parameters.pfnSequenceCallback = Some(on_sequence);
    parameters.pfnDecodePicture = Some(on_decode);
    parameters.pfnDisplayPicture = Some(on_display);
    parameters.pfnGetSEIMsg = Some(on_sei);
    parameters
}

impl Client {
    pub fn new(codec: u32, delay: u32) -> Self {
        Self::with(codec, delay, |_| {})
    }

    /// A parser with changed parameters.
    pub fn with(codec: u32, delay: u32, change: impl FnOnce(&mut CUVIDPARSERPARAMS)) -> Self {
        let (api, mut log) = (Api::load(), Shared::new());
        log.hidden_allowed = matches!(codec, codec::VP8 | codec::VP9 | codec::AV1);
        let mut parameters = parameters(codec, delay, &log);
        change(&mut parameters);
        Self { api, handle: api.create(Some(&mut parameters)).unwrap(), log }
    }

    pub fn send(&mut self, data: &[u8], flags: c_ulong, timestamp: i64) -> u32 {
        let mut packet = CUVIDSOURCEDATAPACKET {
            flags,
            payload_size: data.len() as c_ulong,
            payload: if data.is_empty() { std::ptr::null() } else { data.as_ptr() },
            timestamp,
        };
        self.api.parse(self.handle, Some(&mut packet))
    }

    /// Sends each packet with its timestamp, then the end.
    pub fn play(&mut self, packets: &[Packet], flags: c_ulong) {
        for packet in packets {
            let status = self.send(&packet.data, flags | packet_flags::TIMESTAMP, packet.pts);
            assert_eq!(status, 0);
        }
        assert_eq!(self.send(&[], packet_flags::ENDOFSTREAM, 0), 0);
    }

    /// Sends all bytes in chunks of one size, without timestamps, then the end.
    pub fn play_chunks(&mut self, data: &[u8], size: usize) {
        for chunk in data.chunks(size) {
            assert_eq!(self.send(chunk, 0, 0), 0);
        }
        assert_eq!(self.send(&[], packet_flags::ENDOFSTREAM, 0), 0);
    }

    /// Destroys the parser and gives the log.
    pub fn close(self) -> Log {
        assert_eq!(self.api.destroy(self.handle), 0);
        let mut log = self.log;
        std::mem::take(&mut *log)
    }
}

impl Log {
    /// Pictures shown, by their number in decoding order.
    pub fn order(&self) -> Vec<usize> {
        self.displays.iter().map(|(number, _)| *number).collect()
    }

    pub fn times(&self) -> Vec<i64> {
        self.displays.iter().map(|(_, info)| info.timestamp).collect()
    }
}
