//! A client of the parser alone: it notes every callback, and checks by itself that no surface is handed out while it
//! is in use.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "a test client: it calls the driver as any C program does"
)]

use std::ffi::{c_int, c_ulong, c_void};

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

unsafe extern "C" fn on_sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    let (log, format) = unsafe { (&mut *user.cast::<Log>(), &*format) };
    log.formats.push(*format);
    log.surfaces = vec![None; 64];
    log.answer.unwrap_or_else(|| c_int::from(format.min_num_decode_surfaces))
}

unsafe extern "C" fn on_decode(user: *mut c_void, params: *mut CUVIDPICPARAMS) -> c_int {
    let (log, params) = unsafe { (&mut *user.cast::<Log>(), &*params) };
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
        let h264 = unsafe { &params.CodecSpecific.h264 };
        for entry in h264.dpb.iter().filter(|entry| entry.PicIdx == surface) {
            if !second {
                log.reused.push(format!("surface {surface} is a reference of its own picture: {entry:?}"));
            }
        }
    } else if codec == Some(codec::HEVC) {
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
    let log = unsafe { &mut *user.cast::<Log>() };
    if info.is_null() {
        log.ends += 1;
        return 1;
    }
    let info = unsafe { *info };
    let Some(entry) = &mut log.surfaces[info.picture_index as usize] else { panic!("shown but not decoded") };
    entry.1 = false;
    log.displays.push((entry.0, info));
    log.decoded_at_display.push(log.pictures);
    1
}

unsafe extern "C" fn on_sei(user: *mut c_void, info: *mut c_void) -> c_int {
    let log = unsafe { &mut *user.cast::<Log>() };
    let info = unsafe { &*info.cast::<nvsim::nvdec::parser::CUVIDSEIMESSAGEINFO>() };
    let list = unsafe { std::slice::from_raw_parts(info.pSEIMessage, info.sei_message_count as usize) };
    let bytes: usize = list.iter().map(|message| message.sei_message_size as usize).sum();
    assert!(bytes > 0 && !info.pSEIData.is_null());
    log.sei += list.len();
    1
}

type Create = unsafe extern "C" fn(*mut CUvideoparser, *mut CUVIDPARSERPARAMS) -> u32;
type Parse = unsafe extern "C" fn(CUvideoparser, *mut CUVIDSOURCEDATAPACKET) -> u32;
type Destroy = unsafe extern "C" fn(CUvideoparser) -> u32;

/// The three functions, from the driver's shared object.
#[derive(Clone, Copy)]
pub struct Api {
    pub create: Create,
    pub parse: Parse,
    pub destroy: Destroy,
}

impl Api {
    pub fn load() -> Self {
        unsafe {
            let library = Box::leak(Box::new(libloading::Library::new("libnvcuvid.so.1").unwrap()));
            Self {
                create: *library.get(b"cuvidCreateVideoParser\0").unwrap(),
                parse: *library.get(b"cuvidParseVideoData\0").unwrap(),
                destroy: *library.get(b"cuvidDestroyVideoParser\0").unwrap(),
            }
        }
    }
}

/// A parser with its log.
pub struct Client {
    pub api: Api,
    pub handle: CUvideoparser,
    pub log: Box<Log>,
}

pub fn parameters(codec: u32, delay: u32, log: &mut Log) -> CUVIDPARSERPARAMS {
    let mut parameters = CUVIDPARSERPARAMS::zeroed();
    parameters.CodecType = codec;
    parameters.ulMaxNumDecodeSurfaces = 1;
    parameters.ulClockRate = 1000;
    parameters.ulMaxDisplayDelay = delay;
    parameters.pUserData = std::ptr::from_mut(log).cast();
    parameters.pfnSequenceCallback = Some(on_sequence);
    parameters.pfnDecodePicture = Some(on_decode);
    parameters.pfnDisplayPicture = Some(on_display);
    parameters.pfnGetSEIMsg = Some(on_sei);
    parameters
}

impl Client {
    pub fn new(codec: u32, delay: u32) -> Self {
        let api = Api::load();
        let mut log = Box::<Log>::default();
        log.hidden_allowed = matches!(codec, codec::VP8 | codec::VP9 | codec::AV1);
        let mut parameters = parameters(codec, delay, &mut log);
        let mut handle = std::ptr::null_mut();
        assert_eq!(unsafe { (api.create)(&mut handle, &mut parameters) }, 0);
        Self { api, handle, log }
    }

    pub fn send(&mut self, data: &[u8], flags: c_ulong, timestamp: i64) -> u32 {
        let mut packet = CUVIDSOURCEDATAPACKET {
            flags,
            payload_size: data.len() as c_ulong,
            payload: if data.is_empty() { std::ptr::null() } else { data.as_ptr() },
            timestamp,
        };
        unsafe { (self.api.parse)(self.handle, &mut packet) }
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
        assert_eq!(unsafe { (self.api.destroy)(self.handle) }, 0);
        *self.log
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
