//! The decoder library: capabilities, decoder and mapped pictures. The parser is in [`super::parser`].

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use super::calling;
use super::cuda::{Context, Stream, is_left_to_exit};
use super::cuvid_abi::{
    CreateInfo, DecodeCaps, DecodeStatus, DisplayInfo, ParserParams, PictureParams, ProcessParams,
    ReconfigureInfo, SourcePacket, surface,
};
use super::library::{self, Missing, Name, Once, functions};
use super::result::CuResult;
use crate::error::Result;
use crate::sync::{lock, whole};

type Handle = *mut c_void;

functions! {
    /// Functions of libnvcuvid.
    Functions of Name::Cuvid => {
        caps: "cuvidGetDecoderCaps" fn(*mut DecodeCaps);
        create: "cuvidCreateDecoder" fn(*mut Handle, *mut CreateInfo);
        destroy: "cuvidDestroyDecoder" fn(Handle);
        reconfigure: "cuvidReconfigureDecoder" fn(Handle, *mut ReconfigureInfo);
        decode: "cuvidDecodePicture" fn(Handle, *mut PictureParams);
        status: "cuvidGetDecodeStatus" fn(Handle, c_int, *mut DecodeStatus);
        map: "cuvidMapVideoFrame64" fn(Handle, c_int, *mut u64, *mut c_uint, *mut ProcessParams);
        unmap: "cuvidUnmapVideoFrame64" fn(Handle, u64);
        create_parser: "cuvidCreateVideoParser" fn(*mut Handle, *mut ParserParams);
        parse: "cuvidParseVideoData" fn(Handle, *mut SourcePacket);
        destroy_parser: "cuvidDestroyVideoParser" fn(Handle);
    }
}

/// The loaded decoder library.
///
/// # Errors
/// [`crate::error::Error::Unavailable`] with what is missing and what to do.
pub(super) fn cuvid() -> Result<&'static Functions> {
    static CUVID: Once<Functions> = OnceLock::new();
    let load = || {
        let library = library::open(Name::Cuvid)?;
        let functions = Functions::load(&library);
        // As for libcuda: a driver's library stays.
        std::mem::forget(library);
        functions
    };
    CUVID.get_or_init(load).as_ref().map_err(Missing::error)
}

/// What the engines of a device can do with a codec, chroma format and bit depth. They stay what they are, so the
/// driver is asked once: a context, which costs more than the answer, is needed for that time only.
///
/// # Errors
/// No such device, the library is missing or the device is lost.
pub(crate) fn caps(device: i32, codec: u32, chroma: u32, depth: u32) -> Result<DecodeCaps> {
    type Known = ((i32, u32, u32, u32), DecodeCaps);
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    let functions = cuvid()?;
    let question = (device, codec, chroma, depth);
    let find = |known: &[Known]| known.iter().find(|(other, _)| *other == question).map(|(_, caps)| *caps);
    if let Some(caps) = find(&lock(&KNOWN)) {
        return Ok(caps);
    }
    let mut caps =
        DecodeCaps { codec, chroma, depth_minus8: depth.saturating_sub(8), ..DecodeCaps::default() };
    let context = Context::of(device)?;
    {
        let _current = context.enter()?;
        // SAFETY: a whole structure of the asserted size; a context is current.
        unsafe { (functions.caps)(&raw mut caps) }.ok("cuvidGetDecoderCaps")?;
    }
    let mut known = lock(&KNOWN);
    // Others may have asked meanwhile.
    if find(&known).is_none() {
        known.push((question, caps));
    }
    Ok(caps)
}

/// Decoders are made one at a time, in the order in which they are asked for.
///
/// The driver makes one at a time anyway (37 ms each on an H200). But while several threads wait for it, decoders that
/// are at work get hardly a turn: 14 opened at once stood still for half a second. With one thread in the driver's
/// queue they go on as if nothing happened.
struct Turn;

/// Turns given out, and turns over.
static TURNS: Mutex<(u64, u64)> = Mutex::new((0, 0));
static TURN_OVER: Condvar = Condvar::new();

impl Turn {
    /// Waits for all who came before.
    fn take() -> Self {
        let mut turns = lock(&TURNS);
        let mine = turns.0;
        turns.0 += 1;
        let _turns = whole(TURN_OVER.wait_while(turns, |turns| turns.1 != mine));
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&TURNS).1 += 1;
        TURN_OVER.notify_all();
    }
}

/// A decode session of the hardware.
#[derive(Debug)]
pub(crate) struct Decoder {
    functions: &'static Functions,
    context: Arc<Context>,
    handle: Handle,
    /// `cudaVideoSurfaceFormat` of mapped pictures.
    surface: u32,
    /// Rows of pictures mapped from now on, all planes together.
    mapped_rows: AtomicUsize,
    /// Pictures mapped now.
    mapped: AtomicUsize,
}

// SAFETY: one thread may decode while another maps; that is how the library is meant to be used. The library locks
// inside.
unsafe impl Send for Decoder {}
// SAFETY: as above.
unsafe impl Sync for Decoder {}

impl Decoder {
    pub(crate) fn new(context: &Arc<Context>, info: &CreateInfo) -> Result<Self> {
        let functions = cuvid()?;
        let mut info = *info;
        let mut handle = std::ptr::null_mut();
        let _turn = Turn::take();
        let _current = context.enter()?;
        calling("cuvidCreateDecoder", || {
            // SAFETY: a whole structure of the asserted size, reserved fields zero.
            unsafe { (functions.create)(&raw mut handle, &raw mut info) }
        })
        .ok("cuvidCreateDecoder")?;
        Ok(Self {
            functions,
            context: Arc::clone(context),
            handle,
            surface: info.output_format,
            mapped_rows: AtomicUsize::new(mapped_rows(info.output_format, info.target_height as usize)),
            mapped: AtomicUsize::new(0),
        })
    }

    /// Changes sizes and geometry without a new decoder; decoded pictures stay. Nothing may be mapped meanwhile, and
    /// nothing may be mapped now.
    pub(crate) fn reconfigure(&self, info: &ReconfigureInfo) -> Result<()> {
        let mut info = *info;
        let _current = self.context.enter()?;
        // SAFETY: a whole structure of the asserted size, reserved fields zero.
        unsafe { (self.functions.reconfigure)(self.handle, &raw mut info) }.ok("cuvidReconfigureDecoder")?;
        self.mapped_rows.store(mapped_rows(self.surface, info.target_height as usize), Ordering::Relaxed);
        Ok(())
    }

    /// Whether a picture is mapped, by whomever.
    pub(crate) fn has_mapped(&self) -> bool {
        self.mapped.load(Ordering::Acquire) > 0
    }

    /// Starts decoding a picture; blocks while the hardware's queue (4 pictures) is full.
    pub(crate) fn decode(&self, picture: &mut Picture<'_>) -> Result<()> {
        let _current = self.context.enter()?;
        let status = calling("cuvidDecodePicture", || {
            // SAFETY: the parser made the structure and keeps what it points to alive while `Picture` is borrowed.
            unsafe { (self.functions.decode)(self.handle, picture.0) }
        });
        status.ok("cuvidDecodePicture")
    }

    /// Waits for a picture, post-processes it in `stream` and gives its memory. The pixels are ready when the stream
    /// has come that far.
    pub(crate) fn map(self: &Arc<Self>, shown: &DisplayInfo, stream: &Stream) -> Result<Mapped> {
        let mut process = ProcessParams {
            progressive: shown.progressive,
            top_field_first: shown.top_field_first,
            // A repeat count below zero marks a frame of one field.
            unpaired_field: c_int::from(shown.repeat_first_field < 0),
            stream: stream.handle(),
            ..ProcessParams::default()
        };
        let (mut address, mut pitch) = (0, 0);
        let _current = self.context.enter()?;
        calling("cuvidMapVideoFrame", || {
            // SAFETY: whole structures of the asserted sizes; the stream outlives the mapping's use of it, because the
            // caller waits for it before unmapping.
            unsafe {
                (self.functions.map)(
                    self.handle,
                    shown.index,
                    &raw mut address,
                    &raw mut pitch,
                    &raw mut process,
                )
            }
        })
        .ok("cuvidMapVideoFrame")?;
        self.mapped.fetch_add(1, Ordering::AcqRel);
        let rows = self.mapped_rows.load(Ordering::Relaxed);
        Ok(Mapped { decoder: Arc::clone(self), address, pitch: pitch as usize, rows })
    }

    /// How decoding of a surface's picture went; `None` where the codec or chip does not tell.
    pub(crate) fn status(&self, index: c_int) -> Result<Option<u32>> {
        let mut status = DecodeStatus::default();
        let _current = self.context.enter()?;
        // SAFETY: a whole structure of the asserted size.
        match unsafe { (self.functions.status)(self.handle, index, &raw mut status) } {
            CuResult::NOT_SUPPORTED => Ok(None),
            code => code.ok("cuvidGetDecodeStatus").map(|()| Some(status.status)),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        if is_left_to_exit() {
            return;
        }
        if let Ok(_current) = self.context.enter() {
            // SAFETY: made by `new`, destroyed once; mapped pictures hold the decoder, so none is left.
            unsafe { (self.functions.destroy)(self.handle) };
        }
    }
}

/// A picture to decode, as the parser describes it; lives as long as the parser's callback.
pub(crate) struct Picture<'a>(pub(super) &'a mut PictureParams);

impl Picture<'_> {
    /// Surface that the picture goes to.
    pub(crate) const fn index(&self) -> c_int {
        self.0.index
    }

    /// Whether this is the second field of a picture whose first is decoded already.
    pub(crate) const fn second_field(&self) -> bool {
        self.0.second_field != 0
    }

    /// As many macroblocks across as pictures of this width have. Of MPEG-2 the parser counts whole ones alone (580.159).
    pub(crate) const fn cover(&mut self, width: u32) {
        self.0.width_mbs = width.div_ceil(16) as c_int;
    }

    /// Whether it refers to no other.
    pub(crate) const fn intra(&self) -> bool {
        self.0.intra != 0
    }

    /// AV1: the surface of the picture as others refer to it, without film grain; that of the picture itself where it
    /// has none.
    pub(crate) const fn without_grain(&self) -> c_int {
        // `CUVIDAV1PICPARAMS`: width, height, frame_offset, decodePicIdx, of four bytes each.
        let [_, _, _, _, a, b, c, d] = self.0.codec[1].to_ne_bytes();
        c_int::from_ne_bytes([a, b, c, d])
    }

    /// Whether the picture is a single field.
    pub(crate) const fn field(&self) -> bool {
        self.0.field != 0
    }
}

/// A mapped picture; unmapped when dropped. Work that reads it must be done by then.
#[derive(Debug)]
pub(crate) struct Mapped {
    decoder: Arc<Decoder>,
    address: u64,
    pitch: usize,
    rows: usize,
}

impl Mapped {
    pub(crate) const fn address(&self) -> u64 {
        self.address
    }

    pub(crate) const fn pitch(&self) -> usize {
        self.pitch
    }

    /// Rows of all planes together.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Ok(_current) = self.decoder.context.enter() {
            // SAFETY: mapped by `map`, unmapped once.
            unsafe { (self.decoder.functions.unmap)(self.decoder.handle, self.address) };
        }
        self.decoder.mapped.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Rows of a mapped picture whose luma has so many.
const fn mapped_rows(format: u32, luma: usize) -> usize {
    match format {
        surface::NV12 | surface::P016 => luma + luma.div_ceil(2),
        surface::YUV444 | surface::YUV444_16 => luma * 3,
        // Formats unknown here: only what is certainly there.
        _ => luma,
    }
}

/// `unsigned long` of the platform.
pub(crate) const fn ulong(value: u32) -> c_ulong {
    value as c_ulong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surface_without_grain_is_the_fourth_number_of_av1() {
        // SAFETY: numbers and pointers: all zero is a valid value.
        let mut params: PictureParams = unsafe { std::mem::zeroed() };
        let numbers: [[u8; 4]; 4] = [1920_i32, 1080, 5, -7].map(i32::to_ne_bytes);
        let bytes = numbers.concat();
        for (word, bytes) in params.codec.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().unwrap());
        }
        assert_eq!(Picture(&mut params).without_grain(), -7);
    }
}
