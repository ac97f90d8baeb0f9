//! Cisco's openh264 encoder through its C++ object: a table of functions taking the object first.
//!
//! The library does little checking of its own: a bad stride is a read out of bounds, and after some errors
//! its context is freed while it still answers calls. This module therefore checks every picture against
//! the size it was opened with and refuses to call into an encoder that has failed once.
//!
//! Drop order: uninitialise (stops and joins the slice threads, frees the context), then destroy the object.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;

use openh264_sys2 as sys;

use crate::backend::BackendKind;
use crate::error::{Error, Result};
use crate::memory;

/// What the encoder is opened with; the caller has checked every value against the library's ranges.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::backend::software) struct Parameters {
    /// Luma samples, even, 16 at least.
    pub(in crate::backend::software) width: u16,
    /// Luma rows, even, 16 at least.
    pub(in crate::backend::software) height: u16,
    /// Frames per second as rate control sees them, 1 to 60.
    pub(in crate::backend::software) frame_rate: f32,
    /// How bits are spent.
    pub(in crate::backend::software) rate: Rate,
    /// Frames from IDR to IDR, 0 for never.
    pub(in crate::backend::software) idr_period: u32,
    /// Whether a scene change starts a new IDR.
    pub(in crate::backend::software) scene_change_idr: bool,
    /// 0 (fastest) to 2 (best).
    pub(in crate::backend::software) complexity: u8,
    /// Slices of a picture, each coded by its own thread; 1 to 4.
    pub(in crate::backend::software) slices: u16,
    /// `level_idc` to signal at least, 0 to let the library choose.
    pub(in crate::backend::software) level_idc: u8,
    /// What the VUI says about the samples.
    pub(in crate::backend::software) signal: Signal,
}

/// Quantisers between which rate control chooses; the library takes none below the first.
const FINEST_QP: c_int = 12;
const COARSEST_QP: c_int = 51;

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::software) enum Rate {
    /// Bits per second on average.
    Average(i32),
    /// The same quantiser everywhere.
    Quantiser(u8),
}

/// VUI fields (H.264 annex E).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend::software) struct Signal {
    /// `video_full_range_flag`, where the range is known.
    pub(in crate::backend::software) full_range: Option<bool>,
    /// `colour_primaries`, `transfer_characteristics`, `matrix_coefficients`, where one of them is known.
    pub(in crate::backend::software) colour: Option<(u8, u8, u8)>,
    /// `sar_width`, `sar_height`.
    pub(in crate::backend::software) sample_aspect_ratio: Option<(u16, u16)>,
}

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::software) enum Coded {
    /// As an IDR picture.
    Idr,
    /// As an I picture.
    I,
    /// As a P picture.
    P,
    /// Not at all: the library's rate control skipped it.
    Skipped,
}

/// One plane: the bytes and the distance between its rows.
pub(in crate::backend::software) type PlaneRef<'a> = (&'a [u8], usize);

/// An open encoder.
pub(in crate::backend::software) struct Encoder {
    object: *mut sys::ISVCEncoder,
    vtable: Vtable,
    // Boxed: 6 KB that the library fills for each picture.
    info: Box<sys::SFrameBSInfo>,
    width: usize,
    height: usize,
    usable: bool,
}

// SAFETY: the object has no thread affinity (its worker threads are its own and idle between calls), and
// `Encoder` gives no shared access: every method that calls the library takes `&mut self`.
unsafe impl Send for Encoder {}

#[derive(Clone, Copy)]
struct Vtable {
    initialize_ext: unsafe extern "C" fn(*mut sys::ISVCEncoder, *const sys::SEncParamExt) -> c_int,
    default_params: unsafe extern "C" fn(*mut sys::ISVCEncoder, *mut sys::SEncParamExt) -> c_int,
    uninitialize: unsafe extern "C" fn(*mut sys::ISVCEncoder) -> c_int,
    encode_frame: unsafe extern "C" fn(
        *mut sys::ISVCEncoder,
        *const sys::SSourcePicture,
        *mut sys::SFrameBSInfo,
    ) -> c_int,
    force_intra_frame: unsafe extern "C" fn(*mut sys::ISVCEncoder, bool) -> c_int,
    set_option: unsafe extern "C" fn(*mut sys::ISVCEncoder, sys::ENCODER_OPTION, *mut c_void) -> c_int,
    get_option: unsafe extern "C" fn(*mut sys::ISVCEncoder, sys::ENCODER_OPTION, *mut c_void) -> c_int,
}

pub(super) fn failed(call: &'static str, code: c_int, detail: &str) -> Error {
    Error::Backend { backend: BackendKind::Software, call, code: i64::from(code), detail: detail.to_owned() }
}

impl Encoder {
    /// Opens an encoder.
    ///
    /// # Errors
    /// [`Error::Backend`] when the library refuses.
    pub(in crate::backend::software) fn open(parameters: &Parameters) -> Result<Self> {
        let mut object: *mut sys::ISVCEncoder = ptr::null_mut();
        // SAFETY: the function stores a new object, or null, through the valid pointer it is given.
        let code = unsafe { sys::source::APILoader::WelsCreateSVCEncoder(&raw mut object) };
        if code != 0 || object.is_null() {
            return Err(failed("WelsCreateSVCEncoder", code, "no encoder object"));
        }
        // SAFETY: a created object points to its function table, which lives as long as the program.
        let Some(vtable) = (unsafe { (*object).as_ref() }).and_then(Vtable::new) else {
            // SAFETY: `object` was created above and is not used after this.
            unsafe { sys::source::APILoader::WelsDestroySVCEncoder(object) };
            return Err(failed("WelsCreateSVCEncoder", 0, "a function is missing from the object's table"));
        };
        let mut encoder = Self {
            object,
            vtable,
            info: Box::default(),
            width: usize::from(parameters.width),
            height: usize::from(parameters.height),
            usable: false,
        };

        // The library writes warnings to standard error unless told not to, before anything else.
        let mut quiet: c_int = sys::WELS_LOG_QUIET;
        // SAFETY: this option is allowed before initialisation and reads one int.
        let code =
            unsafe { (vtable.set_option)(object, sys::ENCODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast()) };
        if code != 0 {
            return Err(failed("SetOption(ENCODER_OPTION_TRACE_LEVEL)", code, "the log cannot be silenced"));
        }
        let mut params = sys::SEncParamExt::default();
        // SAFETY: fills the whole structure it is given.
        let code = unsafe { (vtable.default_params)(object, &raw mut params) };
        if code != 0 {
            return Err(failed("GetDefaultParams", code, "no default parameters"));
        }
        fill(&mut params, parameters);
        // SAFETY: reads the structure, keeps no pointer to it.
        let code = unsafe { (vtable.initialize_ext)(object, &raw const params) };
        if code != 0 {
            return Err(failed("InitializeExt", code, "the parameters were refused"));
        }
        encoder.usable = true;
        Ok(encoder)
    }

    /// Makes the next picture an IDR.
    pub(in crate::backend::software) fn force_idr(&mut self) -> Result<()> {
        if !self.usable {
            return Err(failed("ForceIntraFrame", 0, "the encoder failed before"));
        }
        // SAFETY: the object is initialised.
        let code = unsafe { (self.vtable.force_intra_frame)(self.object, true) };
        if code == 0 { Ok(()) } else { Err(failed("ForceIntraFrame", code, "no IDR can be forced")) }
    }

    /// The average quantiser of the last picture.
    ///
    /// # Errors
    /// [`Error::Backend`] when the library does not tell it.
    pub(in crate::backend::software) fn average_qp(&mut self) -> Result<u32> {
        let mut statistics = sys::SEncoderStatistics::default();
        let place = (&raw mut statistics).cast();
        // SAFETY: the object is initialised, and this option writes one whole structure of this kind.
        let code =
            unsafe { (self.vtable.get_option)(self.object, sys::ENCODER_OPTION_GET_STATISTICS, place) };
        if code == 0 {
            return Ok(statistics.uiAverageFrameQP);
        }
        Err(failed("GetOption(ENCODER_OPTION_GET_STATISTICS)", code, "no statistics"))
    }

    /// Codes one picture and appends its NAL units, with start codes, to `out`.
    ///
    /// `milliseconds` is the picture's place on the nominal frame grid.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when a plane is too small, [`Error::Backend`] when the library fails; after
    /// the latter the encoder cannot be used any more.
    pub(in crate::backend::software) fn encode(
        &mut self,
        planes: [PlaneRef<'_>; 3],
        milliseconds: i64,
        out: &mut Vec<u8>,
    ) -> Result<Coded> {
        if !self.usable {
            return Err(failed("EncodeFrame", 0, "the encoder failed before"));
        }
        let mut picture = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [0; 4],
            pData: [ptr::null_mut(); 4],
            iPicWidth: c_int::try_from(self.width).unwrap_or(0),
            iPicHeight: c_int::try_from(self.height).unwrap_or(0),
            uiTimeStamp: milliseconds,
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        for (i, (data, stride)) in planes.into_iter().enumerate() {
            let (width, rows) =
                if i == 0 { (self.width, self.height) } else { (self.width / 2, self.height / 2) };
            let needed = stride.checked_mul(rows - 1).and_then(|n| n.checked_add(width));
            let (Ok(c_stride), Some(needed)) = (c_int::try_from(stride), needed) else {
                return Err(Error::invalid(format!(
                    "plane {i} has a stride of {stride} bytes; the most is {}",
                    c_int::MAX
                )));
            };
            if stride < width || data.len() < needed {
                return Err(Error::invalid(format!(
                    "plane {i} has {} bytes at stride {stride}; {width}x{rows} samples need {needed}",
                    data.len()
                )));
            }
            picture.iStride[i] = c_stride;
            picture.pData[i] = data.as_ptr().cast_mut();
        }
        *self.info = sys::SFrameBSInfo::default();
        // SAFETY: the object is initialised; the three planes were checked to hold every row that the
        // library reads and outlive the call, in which it copies them (it never writes to its source);
        // `info` is a whole structure for the results.
        let code =
            unsafe { (self.vtable.encode_frame)(self.object, &raw const picture, &raw mut *self.info) };
        if code != 0 {
            self.usable = false;
            return Err(failed("EncodeFrame", code, "the picture could not be coded"));
        }
        let coded = match self.info.eFrameType {
            sys::videoFrameTypeIDR => Coded::Idr,
            sys::videoFrameTypeI => Coded::I,
            sys::videoFrameTypeP => Coded::P,
            sys::videoFrameTypeSkip => return Ok(Coded::Skipped),
            other => {
                self.usable = false;
                return Err(failed("EncodeFrame", other, "a picture of an unknown type came out"));
            }
        };
        self.append_nal_units(out)?;
        Ok(coded)
    }

    fn append_nal_units(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            if count == 0 || layer.pBsBuf.is_null() || layer.pNalLengthInByte.is_null() {
                continue;
            }
            // SAFETY: until the next call, the library keeps `iNalCount` lengths at `pNalLengthInByte`.
            let lengths = unsafe { std::slice::from_raw_parts(layer.pNalLengthInByte, count) };
            let total = lengths
                .iter()
                .try_fold(0_usize, |sum, &n| usize::try_from(n).ok().and_then(|n| sum.checked_add(n)));
            let Some(total) = total else {
                self.usable = false;
                return Err(failed("EncodeFrame", 0, "a NAL unit of negative length came out"));
            };
            memory::grow(out, total)?;
            // SAFETY: until the next call, the NAL units of a layer lie one after another at `pBsBuf`, as
            // long together as their lengths say.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(layer.pBsBuf, total) });
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the object was created in `open` and is not used after this; both calls are allowed
        // whether or not it was initialised or has failed.
        unsafe {
            (self.vtable.uninitialize)(self.object);
            sys::source::APILoader::WelsDestroySVCEncoder(self.object);
        }
    }
}

impl Vtable {
    fn new(table: &sys::ISVCEncoderVtbl) -> Option<Self> {
        Some(Self {
            initialize_ext: table.InitializeExt?,
            default_params: table.GetDefaultParams?,
            uninitialize: table.Uninitialize?,
            encode_frame: table.EncodeFrame?,
            force_intra_frame: table.ForceIntraFrame?,
            set_option: table.SetOption?,
            get_option: table.GetOption?,
        })
    }
}

fn fill(params: &mut sys::SEncParamExt, p: &Parameters) {
    params.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    params.iPicWidth = c_int::from(p.width);
    params.iPicHeight = c_int::from(p.height);
    params.fMaxFrameRate = p.frame_rate;
    params.iTemporalLayerNum = 1;
    params.iSpatialLayerNum = 1;
    params.iComplexityMode = c_int::from(p.complexity);
    params.uiIntraPeriod = p.idr_period;
    params.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    params.iEntropyCodingModeFlag = 1;
    // A skipped frame is a lost frame.
    params.bEnableFrameSkip = false;
    params.bEnableSceneChangeDetect = p.scene_change_idr;
    params.bEnableLongTermReference = false;
    params.iMultipleThreadIdc = p.slices;
    // Moves the slice borders by measured time: the same input would not give the same stream.
    params.bUseLoadBalancing = false;
    let layer = &mut params.sSpatialLayers[0];
    layer.iVideoWidth = params.iPicWidth;
    layer.iVideoHeight = params.iPicHeight;
    layer.fFrameRate = p.frame_rate;
    // CABAC is all of Main that the encoder uses; it has no 8x8 transform, so High would be a label only.
    layer.uiProfileIdc = sys::PRO_MAIN;
    layer.uiLevelIdc = c_int::from(p.level_idc);
    match p.rate {
        Rate::Average(bits) => {
            params.iRCMode = sys::RC_BITRATE_MODE;
            params.iTargetBitrate = bits;
            layer.iSpatialBitrate = bits;
            // A lower end of 0 has the library take its own range, which ends at 42: too fine for noise at a low rate.
            (params.iMinQp, params.iMaxQp) = (FINEST_QP, COARSEST_QP);
        }
        Rate::Quantiser(qp) => {
            params.iRCMode = sys::RC_OFF_MODE;
            layer.iDLayerQp = c_int::from(qp);
        }
    }
    if p.slices > 1 {
        layer.sSliceArgument.uiSliceMode = sys::SM_FIXEDSLCNUM_SLICE;
        layer.sSliceArgument.uiSliceNum = u32::from(p.slices);
    } else {
        layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE;
        layer.sSliceArgument.uiSliceNum = 1;
    }
    layer.bVideoSignalTypePresent = p.signal.full_range.is_some() || p.signal.colour.is_some();
    layer.bFullRange = p.signal.full_range.unwrap_or(false);
    if let Some((primaries, transfer, matrix)) = p.signal.colour {
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = primaries;
        layer.uiTransferCharacteristics = transfer;
        layer.uiColorMatrix = matrix;
    }
    if let Some((width, height)) = p.signal.sample_aspect_ratio {
        layer.bAspectRatioPresent = true;
        layer.eAspectRatio = sys::ASP_EXT_SAR;
        layer.sAspectRatioExtWidth = width;
        layer.sAspectRatioExtHeight = height;
    }
}
