//! One decoded picture for each coded picture, in coding order, with no delay: libavcodec, reached through `avdec.c`,
//! which says how that is done.

use std::ffi::c_int;
use std::ptr::NonNull;

use super::CodecError;

/// What is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "names of codecs")]
#[repr(i32)]
pub enum DecoderCodec {
    // The order is that of avdec.c.
    Mpeg1,
    Mpeg2,
    Mpeg4,
    Vc1,
    H264,
    Jpeg,
    Hevc,
    Vp8,
    Vp9,
    Av1,
    /// VP9 in packets that may hold several pictures, of which the one that is shown is wanted.
    Vp9Shown,
}

/// A decoded picture, planar (or one plane), samples of 1 byte, or of 2 bytes little endian with the value in the low
/// bits.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// Coded luma size: before the cropping that the stream asks for.
    pub width: u32,
    /// Coded luma size.
    pub height: u32,
    /// Luma size after that cropping. (The crop on the left and above is not told.)
    pub display: (u32, u32),
    /// 400, 420, 422, 444.
    pub chroma: u32,
    /// Bits per sample.
    pub depth: u8,
    /// What the stream says of its colours.
    pub colour: Colour,
    /// Width and height of a sample; 0 where the stream does not say.
    pub aspect: (u32, u32),
    /// Y, U, V without padding between rows; U and V are empty for 400.
    pub planes: [Vec<u8>; 3],
    /// Of two fields; the first is the top one.
    pub interlaced: Option<bool>,
    /// The library concealed an error (display order only).
    pub damaged: bool,
    /// That of its packet (display order only).
    pub number: i64,
}

/// Colours as the stream signals them: code points of ISO 23091-2, 2 where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "names of syntax elements")]
pub struct Colour {
    pub full_range: bool,
    pub primaries: u32,
    pub transfer: u32,
    pub matrix: u32,
}

impl Picture {
    /// Width and height of a plane, in samples.
    pub fn plane_size(&self, plane: usize) -> (usize, usize) {
        plane_size(self.chroma, self.width as usize, self.height as usize, plane)
    }

    /// Bytes of a sample.
    pub fn sample_bytes(&self) -> usize {
        if self.depth > 8 { 2 } else { 1 }
    }
}

/// Width and height of plane `plane` of a picture of this size and chroma format.
pub fn plane_size(chroma: u32, width: usize, height: usize, plane: usize) -> (usize, usize) {
    match (plane, chroma) {
        (0, _) | (_, 444) => (width, height),
        (_, 422) => (width.div_ceil(2), height),
        (_, 420) => (width.div_ceil(2), height.div_ceil(2)),
        _ => (0, 0),
    }
}

/// What became of a coded picture.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// The picture as it stands after this call; none when the data held nothing decodable.
    pub picture: Option<Picture>,
    /// The data belonged to the picture of the call before (a second field), which `picture` shows again.
    pub same_as_before: bool,
    /// The library reported an error or concealed one.
    pub damaged: bool,
}

/// `struct sim_avdec`, opaque.
#[repr(C)]
struct Handle {
    _private: [u8; 0],
}

/// `struct sim_avpicture`.
#[repr(C)]
struct RawPicture {
    width: c_int,
    height: c_int,
    display_width: c_int,
    display_height: c_int,
    chroma: c_int,
    depth: c_int,
    planes: c_int,
    data: [*const u8; 3],
    stride: [isize; 3],
    full_range: c_int,
    primaries: c_int,
    transfer: c_int,
    matrix: c_int,
    sar_width: c_int,
    sar_height: c_int,
    interlaced: c_int,
    top_first: c_int,
    damaged: c_int,
    number: i64,
}

unsafe extern "C" {
    fn sim_avdec_open(codec: c_int, extradata: *const u8, size: usize, max_pixels: i64) -> *mut Handle;
    fn sim_avdec_decode(decoder: *mut Handle, data: *const u8, size: usize) -> c_int;
    fn sim_avdec_picture(decoder: *const Handle, out: *mut RawPicture) -> c_int;
    fn sim_avdec_open_display(codec: c_int, max_pixels: i64) -> *mut Handle;
    fn sim_avdec_send(decoder: *mut Handle, data: *const u8, size: usize, number: i64) -> c_int;
    fn sim_avdec_take(decoder: *mut Handle) -> c_int;
    fn sim_avdec_close(decoder: *mut Handle);
}

const NEW_PICTURE: c_int = 1;
const DAMAGED: c_int = 2;

/// Largest picture when the caller sets no limit of its own: that of the largest decoder (JPEG, 32768 x 16384).
pub const MAX_PIXELS: u64 = 32768 * 16384;

/// An open decoder.
#[derive(Debug)]
pub struct SoftDecoder {
    codec: DecoderCodec,
    handle: NonNull<Handle>,
    has_picture: bool,
}

// SAFETY: the C side keeps everything in the handle, and `&mut self` keeps two threads from using it at once.
unsafe impl Send for SoftDecoder {}

impl SoftDecoder {
    /// Opens the library's decoder. `extradata` is what the codec keeps outside of pictures (VC-1's sequence header), or
    /// empty.
    pub fn open(codec: DecoderCodec, extradata: &[u8]) -> Result<Self, CodecError> {
        Self::open_limited(codec, extradata, MAX_PIXELS)
    }

    /// As [`open`](Self::open); pictures of more than `max_pixels` luma samples are refused.
    pub fn open_limited(codec: DecoderCodec, extradata: &[u8], max_pixels: u64) -> Result<Self, CodecError> {
        let max_pixels = i64::try_from(max_pixels.min(MAX_PIXELS)).unwrap_or(i64::MAX);
        // SAFETY: pointer and length are of one slice, which the library copies.
        let handle =
            unsafe { sim_avdec_open(codec as c_int, extradata.as_ptr(), extradata.len(), max_pixels) };
        let handle = NonNull::new(handle).ok_or_else(|| {
            CodecError(format!("libavcodec opens no decoder for {codec:?} (not built in, or no memory)"))
        })?;
        Ok(Self { codec, handle, has_picture: false })
    }

    /// A decoder that puts out in display order and late, by [`send`](Self::send) alone.
    pub fn open_display(codec: DecoderCodec) -> Result<Self, CodecError> {
        // SAFETY: numbers only.
        let handle = NonNull::new(unsafe { sim_avdec_open_display(codec as c_int, MAX_PIXELS as i64) });
        let handle =
            handle.ok_or_else(|| CodecError(format!("libavcodec opens no decoder for {codec:?}")))?;
        Ok(Self { codec, handle, has_picture: false })
    }

    /// Hands over the data of a picture, or says that no more come. The pictures that come out, in display order, and whether the
    /// library complained.
    pub fn send(&mut self, data: Option<&[u8]>, number: i64) -> Result<(Vec<Picture>, bool), CodecError> {
        let (start, size) = data.map_or((std::ptr::null(), 0), |data| (data.as_ptr(), data.len()));
        // SAFETY: the handle is open; pointer and length are of one slice, which the library copies.
        let mut failed = unsafe { sim_avdec_send(self.handle.as_ptr(), start, size, number) } < 0;
        let mut pictures = Vec::new();
        loop {
            // SAFETY: the handle is open.
            match unsafe { sim_avdec_take(self.handle.as_ptr()) } {
                1 => pictures.push(self.picture()?),
                0 => return Ok((pictures, failed)),
                // One that cannot be decoded; others may be behind it.
                _ if !failed => failed = true,
                _ => return Ok((pictures, true)),
            }
        }
    }

    /// Decodes the data of one picture (with the parameter sets it needs in front of it).
    ///
    /// A picture that is not shown is given like any other, except of AV1, whose decoder keeps it to itself: there the
    /// answer holds no picture. HEVC slice data that is damaged behind an intact header mostly decodes to something, and
    /// is then not reported as damaged.
    pub fn decode(&mut self, data: &[u8]) -> Result<Decoded, CodecError> {
        // SAFETY: the handle is open; pointer and length are of one slice, which the library copies.
        let flags = unsafe { sim_avdec_decode(self.handle.as_ptr(), data.as_ptr(), data.len()) };
        let mut decoded = Decoded { damaged: flags & DAMAGED != 0, ..Decoded::default() };
        if flags & NEW_PICTURE != 0 {
            self.has_picture = true;
        } else if self.has_picture && second_field_possible(self.codec, data) {
            decoded.same_as_before = true;
        } else {
            return Ok(decoded);
        }
        decoded.picture = Some(self.picture()?);
        Ok(decoded)
    }

    /// Copies the picture decoded last.
    fn picture(&self) -> Result<Picture, CodecError> {
        // SAFETY: numbers and pointers: all zero is a valid value.
        let mut raw: RawPicture = unsafe { std::mem::zeroed() };
        // SAFETY: the handle is open, `raw` has the layout that the C side writes.
        if unsafe { sim_avdec_picture(self.handle.as_ptr(), &mut raw) } != 0 {
            return Err(CodecError("the decoded picture is of a format that is not dealt with".into()));
        }
        let (width, height) = (raw.width.max(0) as u32, raw.height.max(0) as u32);
        let mut picture = Picture {
            width,
            height,
            display: (raw.display_width.max(0) as u32, raw.display_height.max(0) as u32),
            chroma: raw.chroma as u32,
            depth: raw.depth as u8,
            colour: Colour {
                full_range: raw.full_range != 0,
                primaries: raw.primaries.max(0) as u32,
                transfer: raw.transfer.max(0) as u32,
                matrix: raw.matrix.max(0) as u32,
            },
            aspect: (raw.sar_width.max(0) as u32, raw.sar_height.max(0) as u32),
            planes: [Vec::new(), Vec::new(), Vec::new()],
            interlaced: (raw.interlaced != 0).then_some(raw.top_first != 0),
            damaged: raw.damaged != 0,
            number: raw.number,
        };
        for plane in 0..raw.planes.clamp(0, 3) as usize {
            let (columns, rows) = picture.plane_size(plane);
            let bytes = columns * picture.sample_bytes();
            let mut samples = Vec::with_capacity(bytes * rows);
            for row in 0..rows {
                // SAFETY: the library allocated `rows` rows of at least `bytes` bytes, `stride` apart, and they stay
                // until the next call on this handle.
                let row = unsafe {
                    std::slice::from_raw_parts(
                        raw.data[plane].offset(raw.stride[plane] * row as isize),
                        bytes,
                    )
                };
                samples.extend_from_slice(row);
            }
            picture.planes[plane] = samples;
        }
        Ok(picture)
    }
}

impl Drop for SoftDecoder {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        unsafe { sim_avdec_close(self.handle.as_ptr()) };
    }
}

/// Whether data that made the decoder ask for no new picture can be a second field: it must hold a slice.
fn second_field_possible(codec: DecoderCodec, data: &[u8]) -> bool {
    let has_unit = |wanted: fn(u8) -> bool| {
        data.windows(4).any(|bytes| bytes[0] == 0 && bytes[1] == 0 && bytes[2] == 1 && wanted(bytes[3]))
    };
    match codec {
        DecoderCodec::H264 => has_unit(|byte| matches!(byte & 0x1f, 1..=5)),
        DecoderCodec::Mpeg2 => has_unit(|byte| (1..=0xaf).contains(&byte)),
        DecoderCodec::Vc1 => has_unit(|byte| byte == 0x0c),
        _ => false,
    }
}
