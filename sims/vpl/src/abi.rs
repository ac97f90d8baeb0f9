//! Facts of the interface: structures as they lie in memory on 64-bit systems, and numbers. A test holds them against the C headers,
//! where those are installed.

use std::ffi::c_void;

/// A pointer of the client's, or to it.
pub type Handle = *mut c_void;
/// `mfxStatus`
pub type Status = i32;

/// Size of a structure, and offsets of its fields.
#[derive(Debug)]
pub struct Layout {
    /// As C names it.
    pub name: &'static str,
    /// Bytes.
    pub size: usize,
    /// Name and offset.
    pub fields: &'static [(&'static str, usize)],
}

macro_rules! structures {
    ($($name:ident $c:literal { $($field:ident: $type:ty),* $(,)? })*) => {
        $(
            #[doc = concat!("`", $c, "`")]
            #[derive(Debug, Clone, Copy)]
            #[expect(missing_docs, reason = "fields carry the names of the interface")]
            #[repr(C)]
            pub struct $name { $(pub $field: $type),* }

            impl $name {
                /// All zero.
                pub fn zeroed() -> Self {
                    // SAFETY: numbers, pointers that may be null, and optional functions: zero is a value of each.
                    unsafe { std::mem::zeroed() }
                }
            }
        )*

        /// Every structure.
        pub const LAYOUTS: &[Layout] = &[$(Layout {
            name: $c,
            size: size_of::<$name>(),
            fields: &[$((stringify!($field), std::mem::offset_of!($name, $field))),*],
        }),*];
    };
}

/// `mfxGUID`, as it is passed by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Guid(pub u64, pub u64);

/// Function of a surface.
pub type SurfaceCall = Option<unsafe extern "C" fn(*mut mfxFrameSurface1) -> Status>;

structures! {
    mfxExtBuffer "mfxExtBuffer" { BufferId: u32, BufferSz: u32 }
    mfxFrameInfo "mfxFrameInfo" {
        reserved: [u32; 4], ChannelId: u16, BitDepthLuma: u16, BitDepthChroma: u16, Shift: u16, FrameId: [u16; 4], FourCC: u32,
        Width: u16, Height: u16, CropX: u16, CropY: u16, CropW: u16, CropH: u16, FrameRateExtN: u32, FrameRateExtD: u32,
        reserved3: u16, AspectRatioW: u16, AspectRatioH: u16, PicStruct: u16, ChromaFormat: u16, reserved2: u16,
    }
    mfxFrameData "mfxFrameData" {
        ExtParam: *mut *mut mfxExtBuffer, NumExtParam: u16, reserved: [u16; 9], MemType: u16, PitchHigh: u16, TimeStamp: u64,
        FrameOrder: u32, Locked: u16, Pitch: u16, Y: *mut u8, UV: *mut u8, V: *mut u8, A: *mut u8, MemId: Handle, Corrupted: u16,
        DataFlag: u16,
    }
    mfxFrameSurface1 "mfxFrameSurface1" {
        FrameInterface: *mut mfxFrameSurfaceInterface, Version: u16, reserved1: [u16; 3], Info: mfxFrameInfo, Data: mfxFrameData,
    }
    mfxFrameSurfaceInterface "mfxFrameSurfaceInterface" {
        Context: Handle, Version: u16, reserved1: [u16; 3],
        AddRef: SurfaceCall,
        Release: SurfaceCall,
        GetRefCounter: Option<unsafe extern "C" fn(*mut mfxFrameSurface1, *mut u32) -> Status>,
        Map: Option<unsafe extern "C" fn(*mut mfxFrameSurface1, u32) -> Status>,
        Unmap: SurfaceCall,
        GetNativeHandle: Option<unsafe extern "C" fn(*mut mfxFrameSurface1, *mut Handle, *mut i32) -> Status>,
        GetDeviceHandle: Option<unsafe extern "C" fn(*mut mfxFrameSurface1, *mut Handle, *mut i32) -> Status>,
        Synchronize: Option<unsafe extern "C" fn(*mut mfxFrameSurface1, u32) -> Status>,
        OnComplete: Option<unsafe extern "C" fn(Status)>,
        QueryInterface: Option<unsafe extern "C" fn(*mut mfxFrameSurface1, Guid, *mut Handle) -> Status>,
        reserved2: [Handle; 2],
    }
    mfxInfoMFX "mfxInfoMFX" {
        reserved: [u32; 7], LowPower: u16, BRCParamMultiplier: u16, FrameInfo: mfxFrameInfo, CodecId: u32, CodecProfile: u16,
        CodecLevel: u16, NumThread: u16, TargetUsage: u16, GopPicSize: u16, GopRefDist: u16, GopOptFlag: u16, IdrInterval: u16,
        RateControlMethod: u16, InitialDelayInKB: u16, BufferSizeInKB: u16, TargetKbps: u16, MaxKbps: u16, NumSlice: u16,
        NumRefFrame: u16, EncodedOrder: u16,
    }
    mfxInfoVPP "mfxInfoVPP" { reserved: [u32; 8], In: mfxFrameInfo, Out: mfxFrameInfo }
    mfxVideoParam "mfxVideoParam" {
        AllocId: u32, reserved: [u32; 2], reserved3: u16, AsyncDepth: u16, mfx: Content, Protected: u16, IOPattern: u16,
        ExtParam: *mut *mut mfxExtBuffer, NumExtParam: u16, reserved2: u16,
    }
    mfxBitstream "mfxBitstream" {
        EncryptedData: Handle, ExtParam: *mut *mut mfxExtBuffer, NumExtParam: u16, CodecId: u32, DecodeTimeStamp: i64,
        TimeStamp: u64, Data: *mut u8, DataOffset: u32, DataLength: u32, MaxLength: u32, PicStruct: u16, FrameType: u16,
        DataFlag: u16, reserved2: u16,
    }
    mfxEncodeCtrl "mfxEncodeCtrl" {
        Header: mfxExtBuffer, reserved: [u32; 4], reserved1: u16, MfxNalUnitType: u16, SkipFrame: u16, QP: u16, FrameType: u16,
        NumExtParam: u16, NumPayload: u16, reserved2: u16, ExtParam: *mut *mut mfxExtBuffer, Payload: Handle,
    }
    mfxFrameAllocRequest "mfxFrameAllocRequest" {
        AllocId: u32, reserved3: [u32; 3], Info: mfxFrameInfo, Type: u16, NumFrameMin: u16, NumFrameSuggested: u16, reserved2: u16,
    }
    mfxFrameAllocResponse "mfxFrameAllocResponse" {
        AllocId: u32, reserved: [u32; 3], mids: *mut Handle, NumFrameActual: u16, reserved2: u16,
    }
    mfxFrameAllocator "mfxFrameAllocator" {
        reserved: [u32; 4], pthis: Handle,
        Alloc: Option<unsafe extern "C" fn(Handle, *mut mfxFrameAllocRequest, *mut mfxFrameAllocResponse) -> Status>,
        Lock: Option<unsafe extern "C" fn(Handle, Handle, *mut mfxFrameData) -> Status>,
        Unlock: Option<unsafe extern "C" fn(Handle, Handle, *mut mfxFrameData) -> Status>,
        GetHDL: Option<unsafe extern "C" fn(Handle, Handle, *mut Handle) -> Status>,
        Free: Option<unsafe extern "C" fn(Handle, *mut mfxFrameAllocResponse) -> Status>,
    }
    mfxEncodeStat "mfxEncodeStat" { reserved: [u32; 16], NumFrame: u32, NumBit: u64, NumCachedFrame: u32 }
    mfxDecodeStat "mfxDecodeStat" {
        reserved: [u32; 16], NumFrame: u32, NumSkippedFrame: u32, NumError: u32, NumCachedFrame: u32,
    }
    mfxVPPStat "mfxVPPStat" { reserved: [u32; 16], NumFrame: u32, NumCachedFrame: u32 }
    mfxPayload "mfxPayload" { CtrlFlags: u32, reserved: [u32; 3], Data: *mut u8, NumBit: u32, Type: u16, BufSize: u16 }
    mfxPlatform "mfxPlatform" { CodeName: u16, DeviceId: u16, MediaAdapterType: u16, reserved: [u16; 13] }
    mfxInitParam "mfxInitParam" {
        Implementation: i32, Version: u32, ExternalThreads: u16, ExtParam: *mut *mut mfxExtBuffer, NumExtParam: [u16; 4], GPUCopy: u16,
        reserved: [u16; 21],
    }
    mfxInitializationParam "mfxInitializationParam" {
        AccelerationMode: i32, reserved: [u16; 3], NumExtParam: u16, ExtParam: *mut *mut mfxExtBuffer, VendorImplID: u32,
        reserved2: [u32; 3],
    }
    mfxRange32U "mfxRange32U" { Min: u32, Max: u32, Step: u32 }
    decmemdesc "struct decmemdesc" {
        MemHandleType: i32, Width: mfxRange32U, Height: mfxRange32U, reserved: [u16; 7], NumColorFormats: u16, ColorFormats: *mut u32,
    }
    decprofile "struct decprofile" { Profile: u32, reserved: [u16; 7], NumMemTypes: u16, MemDesc: *mut decmemdesc }
    decoder "struct decoder" {
        CodecID: u32, reserved: [u16; 8], MaxcodecLevel: u16, NumProfiles: u16, Profiles: *mut decprofile,
    }
    mfxDecoderDescription "mfxDecoderDescription" { Version: u16, reserved: [u16; 7], NumCodecs: u16, Codecs: *mut decoder }
    encmemdesc "struct encmemdesc" {
        MemHandleType: i32, Width: mfxRange32U, Height: mfxRange32U, reserved: [u16; 7], NumColorFormats: u16, ColorFormats: *mut u32,
    }
    encprofile "struct encprofile" { Profile: u32, reserved: [u16; 7], NumMemTypes: u16, MemDesc: *mut encmemdesc }
    encoder "struct encoder" {
        CodecID: u32, MaxcodecLevel: u16, BiDirectionalPrediction: u16, reserved: [u16; 7], NumProfiles: u16, Profiles: *mut encprofile,
    }
    mfxEncoderDescription "mfxEncoderDescription" { Version: u16, reserved: [u16; 7], NumCodecs: u16, Codecs: *mut encoder }
    format "struct format" { InFormat: u32, reserved: [u16; 5], NumOutFormat: u16, OutFormats: *mut u32 }
    memdesc "struct memdesc" {
        MemHandleType: i32, Width: mfxRange32U, Height: mfxRange32U, reserved: [u16; 7], NumInFormats: u16, Formats: *mut format,
    }
    filter "struct filter" {
        FilterFourCC: u32, MaxDelayInFrames: u16, reserved: [u16; 7], NumMemTypes: u16, MemDesc: *mut memdesc,
    }
    mfxVPPDescription "mfxVPPDescription" { Version: u16, reserved: [u16; 7], NumFilters: u16, Filters: *mut filter }
    mfxDeviceDescription "mfxDeviceDescription" {
        Version: u16, reserved: [u16; 6], MediaAdapterType: u16, DeviceID: [u8; 128], NumSubDevices: u16, SubDevices: Handle,
    }
    mfxAccelerationModeDescription "mfxAccelerationModeDescription" {
        Version: u16, reserved: [u16; 2], NumAccelerationModes: u16, Mode: *mut i32,
    }
    mfxPoolPolicyDescription "mfxPoolPolicyDescription" {
        Version: u16, reserved: [u16; 2], NumPoolPolicies: u16, Policy: *mut i32,
    }
    mfxImplDescription "mfxImplDescription" {
        Version: u16, Impl: i32, AccelerationMode: i32, ApiVersion: u32, ImplName: [u8; 32], License: [u8; 128], Keywords: [u8; 128],
        VendorID: u32, VendorImplID: u32, Dev: mfxDeviceDescription, Dec: mfxDecoderDescription, Enc: mfxEncoderDescription,
        VPP: mfxVPPDescription, AccelerationModeDescription: mfxAccelerationModeDescription, PoolPolicies: mfxPoolPolicyDescription,
        reserved: [u32; 8], NumExtParam: u32, ExtParams: Handle,
    }
    mfxImplementedFunctions "mfxImplementedFunctions" { NumFunctions: u16, FunctionsName: *mut *const u8 }
    mfxExtendedDeviceId "mfxExtendedDeviceId" {
        Version: u16, VendorID: u16, DeviceID: u16, PCIDomain: u32, PCIBus: u32, PCIDevice: u32, PCIFunction: u32,
        DeviceLUID: [u8; 8], LUIDDeviceNodeMask: u32, LUIDValid: u32, DRMRenderNodeNum: u32, DRMPrimaryNodeNum: u32,
        reserved1: [u8; 20], DeviceName: [u8; 128],
    }
    mfxExtCodingOption "mfxExtCodingOption" {
        Header: mfxExtBuffer, reserved1: u16, RateDistortionOpt: u16, MECostType: u16, MESearchType: u16, MVSearchWindow: [i16; 2],
        EndOfSequence: u16, FramePicture: u16, CAVLC: u16, reserved2: [u16; 2], RecoveryPointSEI: u16, ViewOutput: u16,
        NalHrdConformance: u16, SingleSeiNalUnit: u16, VuiVclHrdParameters: u16, RefPicListReordering: u16, ResetRefList: u16,
        RefPicMarkRep: u16, FieldOutput: u16, IntraPredBlockSize: u16, InterPredBlockSize: u16, MVPrecision: u16,
        MaxDecFrameBuffering: u16, AUDelimiter: u16, EndOfStream: u16, PicTimingSEI: u16, VuiNalHrdParameters: u16,
    }
    mfxExtCodingOption2 "mfxExtCodingOption2" {
        Header: mfxExtBuffer, IntRefType: u16, IntRefCycleSize: u16, IntRefQPDelta: i16, MaxFrameSize: u32, MaxSliceSize: u32,
        BitrateLimit: u16, MBBRC: u16, ExtBRC: u16, LookAheadDepth: u16, Trellis: u16, RepeatPPS: u16, BRefType: u16, AdaptiveI: u16,
        AdaptiveB: u16, LookAheadDS: u16, NumMbPerSlice: u16, SkipFrame: u16, MinQPI: u8, MaxQPI: u8, MinQPP: u8, MaxQPP: u8,
        MinQPB: u8, MaxQPB: u8, FixedFrameRate: u16, DisableDeblockingIdc: u16, DisableVUI: u16, BufferingPeriodSEI: u16,
        EnableMAD: u16, UseRawRef: u16,
    }
    mfxExtCodingOptionSPSPPS "mfxExtCodingOptionSPSPPS" {
        Header: mfxExtBuffer, SPSBuffer: *mut u8, PPSBuffer: *mut u8, SPSBufSize: u16, PPSBufSize: u16, SPSId: u16, PPSId: u16,
    }
    mfxExtCodingOptionVPS "mfxExtCodingOptionVPS" {
        Header: mfxExtBuffer, VPSBuffer: *mut u8, VPSBufSize: u16, VPSId: u16, reserved: [u16; 6],
    }
    mfxExtVP9Param "mfxExtVP9Param" {
        Header: mfxExtBuffer, FrameWidth: u16, FrameHeight: u16, WriteIVFHeaders: u16, reserved1: [i16; 6], QIndexDeltaLumaDC: i16,
        QIndexDeltaChromaAC: i16, QIndexDeltaChromaDC: i16, NumTileRows: u16, NumTileColumns: u16, reserved: [u16; 110],
    }
    mfxExtAV1BitstreamParam "mfxExtAV1BitstreamParam" { Header: mfxExtBuffer, WriteIVFHeaders: u16, reserved: [u16; 31] }
    mfxExtEncoderResetOption "mfxExtEncoderResetOption" { Header: mfxExtBuffer, StartNewSequence: u16, reserved: [u16; 11] }
    mfxExtVideoSignalInfo "mfxExtVideoSignalInfo" {
        Header: mfxExtBuffer, VideoFormat: u16, VideoFullRange: u16, ColourDescriptionPresent: u16, ColourPrimaries: u16,
        TransferCharacteristics: u16, MatrixCoefficients: u16,
    }
}

/// The union inside of `mfxVideoParam`.
#[derive(Clone, Copy)]
#[repr(C)]
pub union Content {
    /// Decoding and encoding.
    pub mfx: mfxInfoMFX,
    /// Processing.
    pub vpp: mfxInfoVPP,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content")
    }
}

impl mfxVideoParam {
    /// As a decoder or an encoder sees it.
    pub fn mfx(&self) -> &mfxInfoMFX {
        // SAFETY: both members are numbers, for which every pattern of bits is a value.
        unsafe { &self.mfx.mfx }
    }

    /// The same, to be changed.
    pub fn mfx_mut(&mut self) -> &mut mfxInfoMFX {
        // SAFETY: as above.
        unsafe { &mut self.mfx.mfx }
    }

    /// As processing sees it.
    pub fn vpp(&self) -> &mfxInfoVPP {
        // SAFETY: as above.
        unsafe { &self.mfx.vpp }
    }

    /// The same, to be changed.
    pub fn vpp_mut(&mut self) -> &mut mfxInfoVPP {
        // SAFETY: as above.
        unsafe { &mut self.mfx.vpp }
    }
}

/// Four letters as one number.
pub const fn fourcc(text: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*text)
}

macro_rules! numbers {
    ($type:ty, $list:ident: $($name:ident = $value:expr),* $(,)?) => {
        $(
            #[doc = concat!("`MFX_", stringify!($name), "`")]
            pub const $name: $type = $value;
        )*
        /// The numbers above, by the rest of their names.
        pub const $list: &[(&str, i64)] = &[$((stringify!($name), $name as i64)),*];
    };
}

numbers! { Status, STATUSES:
    ERR_NONE = 0, ERR_UNKNOWN = -1, ERR_NULL_PTR = -2, ERR_UNSUPPORTED = -3, ERR_MEMORY_ALLOC = -4, ERR_NOT_ENOUGH_BUFFER = -5,
    ERR_INVALID_HANDLE = -6, ERR_LOCK_MEMORY = -7, ERR_NOT_INITIALIZED = -8, ERR_NOT_FOUND = -9, ERR_MORE_DATA = -10,
    ERR_MORE_SURFACE = -11, ERR_ABORTED = -12, ERR_DEVICE_LOST = -13, ERR_INCOMPATIBLE_VIDEO_PARAM = -14,
    ERR_INVALID_VIDEO_PARAM = -15, ERR_UNDEFINED_BEHAVIOR = -16, ERR_DEVICE_FAILED = -17, ERR_MORE_BITSTREAM = -18, ERR_GPU_HANG = -21,
    ERR_REALLOC_SURFACE = -22, ERR_RESOURCE_MAPPED = -23, ERR_NOT_IMPLEMENTED = -24, WRN_IN_EXECUTION = 1, WRN_DEVICE_BUSY = 2,
    WRN_VIDEO_PARAM_CHANGED = 3, WRN_PARTIAL_ACCELERATION = 4, WRN_INCOMPATIBLE_VIDEO_PARAM = 5, WRN_VALUE_NOT_CHANGED = 6,
    WRN_OUT_OF_RANGE = 7, WRN_FILTER_SKIPPED = 10, WRN_ALLOC_TIMEOUT_EXPIRED = 13,
}

numbers! { u32, CODES:
    CODEC_AVC = fourcc(b"AVC "), CODEC_HEVC = fourcc(b"HEVC"), CODEC_MPEG2 = fourcc(b"MPG2"), CODEC_VP9 = fourcc(b"VP9 "),
    CODEC_AV1 = fourcc(b"AV1 "), CODEC_JPEG = fourcc(b"JPEG"),
    FOURCC_NV12 = fourcc(b"NV12"), FOURCC_P010 = fourcc(b"P010"), FOURCC_RGB4 = fourcc(b"RGB4"), FOURCC_IYUV = fourcc(b"IYUV"),
    FOURCC_YV12 = fourcc(b"YV12"), FOURCC_I010 = fourcc(b"I010"), FOURCC_P016 = fourcc(b"P016"),
    FOURCC_YUY2 = fourcc(b"YUY2"), FOURCC_Y210 = fourcc(b"Y210"), FOURCC_Y216 = fourcc(b"Y216"), FOURCC_AYUV = fourcc(b"AYUV"),
    FOURCC_Y410 = fourcc(b"Y410"), FOURCC_Y416 = fourcc(b"Y416"),
    EXTBUFF_CODING_OPTION = fourcc(b"CDOP"), EXTBUFF_CODING_OPTION2 = fourcc(b"CDO2"), EXTBUFF_CODING_OPTION3 = fourcc(b"CDO3"),
    EXTBUFF_CODING_OPTION_SPSPPS = fourcc(b"COSP"), EXTBUFF_CODING_OPTION_VPS = fourcc(b"COVP"),
    EXTBUFF_VIDEO_SIGNAL_INFO = fourcc(b"VSIN"), EXTBUFF_VPP_SCALING = fourcc(b"VSCL"), EXTBUFF_VPP_COLOR_CONVERSION = fourcc(b"VCSC"),
    EXTBUFF_VP9_PARAM = fourcc(b"9PAR"), EXTBUFF_AV1_BITSTREAM_PARAM = fourcc(b"A1BS"), EXTBUFF_ENCODER_RESET_OPTION = fourcc(b"ENRO"),
    PAYLOAD_CTRL_SUFFIX = 1, MAP_READ = 1, MAP_WRITE = 2, MAP_NOWAIT = 16,
}

numbers! { u16, WORDS:
    PICSTRUCT_PROGRESSIVE = 1, PICSTRUCT_FIELD_TFF = 2, PICSTRUCT_FIELD_BFF = 4, CHROMAFORMAT_YUV420 = 1,
    CHROMAFORMAT_YUV400 = 0, CHROMAFORMAT_YUV422 = 2, CHROMAFORMAT_YUV444 = 3,
    IOPATTERN_IN_VIDEO_MEMORY = 1, IOPATTERN_IN_SYSTEM_MEMORY = 2, IOPATTERN_OUT_VIDEO_MEMORY = 16, IOPATTERN_OUT_SYSTEM_MEMORY = 32,
    RATECONTROL_CBR = 1, RATECONTROL_VBR = 2, RATECONTROL_CQP = 3, RATECONTROL_AVBR = 4, RATECONTROL_LA = 8, RATECONTROL_ICQ = 9,
    RATECONTROL_VCM = 10, RATECONTROL_LA_ICQ = 11, RATECONTROL_LA_HRD = 13, RATECONTROL_QVBR = 14,
    CODINGOPTION_ON = 16, CODINGOPTION_OFF = 32, BITSTREAM_COMPLETE_FRAME = 1, BITSTREAM_EOS = 2,
    FRAMETYPE_I = 1, FRAMETYPE_P = 2, FRAMETYPE_B = 4, FRAMETYPE_REF = 0x40, FRAMETYPE_IDR = 0x80,
    MEMTYPE_EXTERNAL_FRAME = 2, MEMTYPE_VIDEO_MEMORY_DECODER_TARGET = 16, MEMTYPE_VIDEO_MEMORY_PROCESSOR_TARGET = 32,
    MEMTYPE_SYSTEM_MEMORY = 64, MEMTYPE_FROM_ENCODE = 0x100, MEMTYPE_FROM_DECODE = 0x200, MEMTYPE_FROM_VPPIN = 0x400,
    MEMTYPE_FROM_VPPOUT = 0x800, MEMTYPE_INTERNAL_FRAME = 1, CORRUPTION_MAJOR = 2, B_REF_OFF = 1, B_REF_PYRAMID = 2,
    PROFILE_AVC_BASELINE = 66, PROFILE_AVC_MAIN = 77, PROFILE_AVC_HIGH = 100, PROFILE_AVC_CONSTRAINED_BASELINE = 0x242,
    PROFILE_HEVC_MAIN = 1, PROFILE_HEVC_MAIN10 = 2, PROFILE_HEVC_REXT = 4, PROFILE_VP9_0 = 1, PROFILE_VP9_1 = 2, PROFILE_VP9_3 = 4, PROFILE_VP9_2 = 3, PROFILE_AV1_MAIN = 1,
    PROFILE_MPEG2_SIMPLE = 0x50, PROFILE_MPEG2_MAIN = 0x40, PROFILE_JPEG_BASELINE = 1,
    PLATFORM_KABYLAKE = 9, PLATFORM_TIGERLAKE = 40, PLATFORM_DG2 = 46, GOP_CLOSED = 1, GOP_STRICT = 2,
    MEDIA_INTEGRATED = 0, MEDIA_DISCRETE = 1,
}

numbers! { i32, SMALL:
    RESOURCE_SYSTEM_SURFACE = 1, RESOURCE_VA_SURFACE = 2, HANDLE_VA_DISPLAY = 4, IMPL_HARDWARE = 2, IMPL_VIA_VAAPI = 0x400,
    IMPL_TYPE_HARDWARE = 2, IMPL_TYPE_SOFTWARE = 1, IMPL_SOFTWARE = 1, ACCEL_MODE_VIA_D3D11 = 0x300, ACCEL_MODE_VIA_VAAPI = 0x400,
    ALLOCATION_OPTIMAL = 0, ALLOCATION_UNLIMITED = 1, ALLOCATION_LIMITED = 2,
    IMPLCAPS_IMPLDESCSTRUCTURE = 1, IMPLCAPS_IMPLEMENTEDFUNCTIONS = 2, IMPLCAPS_DEVICE_ID_EXTENDED = 4,
}

/// `MFX_TIMESTAMP_UNKNOWN`
pub const TIMESTAMP_UNKNOWN: u64 = u64::MAX;
/// No sync point.
pub const NO_SYNC: Handle = std::ptr::null_mut();
