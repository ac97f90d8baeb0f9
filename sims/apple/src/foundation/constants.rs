//! What the frameworks export as data: constant objects (pointers that clients read by name), the collections' callbacks, and times.
//!
//! The texts are those of Apple's constants as far as they are known; clients should use the symbols and not the texts.

use std::any::Any;
use std::ffi::c_void;
use std::sync::{Arc, LazyLock};

use super::object::Kind;
use super::value::{Allocator, Nothing, Text, Truth};
use crate::media::time::Time;

/// An exported pointer to a constant object.
#[derive(Debug)]
#[repr(transparent)]
pub struct Constant(*const c_void);

// SAFETY: a number that never changes.
unsafe impl Sync for Constant {}

/// Where references to constants begin; between them and those of the objects there is room for everything.
const FIRST: usize = 0x2000_0000_0000;
const STEP: usize = 16;
/// Constants that are no strings.
const OTHERS: usize = 0x1000;

const fn reference(index: usize) -> Constant {
    Constant(std::ptr::without_provenance(FIRST + STEP * index))
}

macro_rules! strings {
    ($($name:ident = $text:literal;)*) => {
        #[expect(non_camel_case_types, reason = "Apple's names, which only number the constants")]
        enum Index { $($name),* }

        $(
            #[doc = $text]
            #[unsafe(no_mangle)]
            pub static $name: Constant = reference(Index::$name as usize);
        )*

        const TEXTS: &[&str] = &[$($text),*];

        /// Names of all exported strings.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

strings! {
    // CoreVideo
    kCVPixelBufferPixelFormatTypeKey = "PixelFormatType";
    kCVPixelBufferWidthKey = "Width";
    kCVPixelBufferHeightKey = "Height";
    kCVPixelBufferBytesPerRowAlignmentKey = "BytesPerRowAlignment";
    kCVPixelBufferIOSurfacePropertiesKey = "IOSurfaceProperties";
    kCVPixelBufferIOSurfaceOpenGLTextureCompatibilityKey = "IOSurfaceOpenGLTextureCompatibility";
    kCVPixelBufferMetalCompatibilityKey = "MetalCompatibility";
    kCVPixelBufferPoolMinimumBufferCountKey = "MinimumBufferCount";
    kCVPixelBufferPoolMaximumBufferAgeKey = "MaximumBufferAge";
    kCVPixelBufferPoolAllocationThresholdKey = "BufferPoolAllocationThreshold";
    kCVImageBufferColorPrimariesKey = "CVImageBufferColorPrimaries";
    kCVImageBufferTransferFunctionKey = "CVImageBufferTransferFunction";
    kCVImageBufferYCbCrMatrixKey = "CVImageBufferYCbCrMatrix";
    kCVImageBufferGammaLevelKey = "CVImageBufferGammaLevel";
    kCVImageBufferChromaLocationTopFieldKey = "CVImageBufferChromaLocationTopField";
    kCVImageBufferChromaLocationBottomFieldKey = "CVImageBufferChromaLocationBottomField";
    kCVImageBufferPixelAspectRatioKey = "CVPixelAspectRatio";
    kCVImageBufferPixelAspectRatioHorizontalSpacingKey = "HorizontalSpacing";
    kCVImageBufferPixelAspectRatioVerticalSpacingKey = "VerticalSpacing";
    kCVImageBufferCleanApertureKey = "CVCleanAperture";
    kCVImageBufferCleanApertureWidthKey = "Width";
    kCVImageBufferCleanApertureHeightKey = "Height";
    kCVImageBufferCleanApertureHorizontalOffsetKey = "HorizontalOffset";
    kCVImageBufferCleanApertureVerticalOffsetKey = "VerticalOffset";
    kCVImageBufferFieldCountKey = "CVFieldCount";
    kCVImageBufferFieldDetailKey = "CVFieldDetail";
    kCVImageBufferMasteringDisplayColorVolumeKey = "MasteringDisplayColorVolume";
    kCVImageBufferContentLightLevelInfoKey = "ContentLightLevelInfo";
    kCVImageBufferColorPrimaries_ITU_R_709_2 = "ITU_R_709_2";
    kCVImageBufferColorPrimaries_EBU_3213 = "EBU_3213";
    kCVImageBufferColorPrimaries_SMPTE_C = "SMPTE_C";
    kCVImageBufferColorPrimaries_P22 = "P22";
    kCVImageBufferColorPrimaries_DCI_P3 = "DCI_P3";
    kCVImageBufferColorPrimaries_P3_D65 = "P3_D65";
    kCVImageBufferColorPrimaries_ITU_R_2020 = "ITU_R_2020";
    kCVImageBufferTransferFunction_ITU_R_709_2 = "ITU_R_709_2";
    kCVImageBufferTransferFunction_SMPTE_240M_1995 = "SMPTE_240M_1995";
    kCVImageBufferTransferFunction_UseGamma = "UseGamma";
    kCVImageBufferTransferFunction_sRGB = "IEC_sRGB";
    kCVImageBufferTransferFunction_Linear = "Linear";
    kCVImageBufferTransferFunction_ITU_R_2020 = "ITU_R_2020";
    kCVImageBufferTransferFunction_SMPTE_ST_428_1 = "SMPTE_ST_428_1";
    kCVImageBufferTransferFunction_SMPTE_ST_2084_PQ = "SMPTE_ST_2084_PQ";
    kCVImageBufferTransferFunction_ITU_R_2100_HLG = "ITU_R_2100_HLG";
    kCVImageBufferYCbCrMatrix_ITU_R_709_2 = "ITU_R_709_2";
    kCVImageBufferYCbCrMatrix_ITU_R_601_4 = "ITU_R_601_4";
    kCVImageBufferYCbCrMatrix_SMPTE_240M_1995 = "SMPTE_240M_1995";
    kCVImageBufferYCbCrMatrix_ITU_R_2020 = "ITU_R_2020";
    kCVImageBufferChromaLocation_Left = "Left";
    kCVImageBufferChromaLocation_Center = "Center";
    kCVImageBufferChromaLocation_TopLeft = "TopLeft";
    kCVImageBufferChromaLocation_Top = "Top";
    kCVImageBufferChromaLocation_BottomLeft = "BottomLeft";
    kCVImageBufferChromaLocation_Bottom = "Bottom";
    // CoreMedia
    kCMFormatDescriptionExtension_SampleDescriptionExtensionAtoms = "SampleDescriptionExtensionAtoms";
    kCMFormatDescriptionExtension_VerbatimSampleDescription = "VerbatimSampleDescription";
    kCMFormatDescriptionExtension_FullRangeVideo = "FullRangeVideo";
    kCMFormatDescriptionExtension_ColorPrimaries = "CVImageBufferColorPrimaries";
    kCMFormatDescriptionExtension_TransferFunction = "CVImageBufferTransferFunction";
    kCMFormatDescriptionExtension_YCbCrMatrix = "CVImageBufferYCbCrMatrix";
    kCMFormatDescriptionExtension_PixelAspectRatio = "CVPixelAspectRatio";
    kCMFormatDescriptionExtension_CleanAperture = "CVCleanAperture";
    kCMFormatDescriptionExtension_FieldCount = "CVFieldCount";
    kCMFormatDescriptionExtension_FieldDetail = "CVFieldDetail";
    kCMFormatDescriptionExtension_ChromaLocationTopField = "CVImageBufferChromaLocationTopField";
    kCMFormatDescriptionExtension_ChromaLocationBottomField = "CVImageBufferChromaLocationBottomField";
    kCMFormatDescriptionExtension_Depth = "Depth";
    kCMFormatDescriptionExtension_FormatName = "FormatName";
    kCMFormatDescriptionExtension_BitsPerComponent = "BitsPerComponent";
    kCMFormatDescriptionExtension_MasteringDisplayColorVolume = "MasteringDisplayColorVolume";
    kCMFormatDescriptionExtension_ContentLightLevelInfo = "ContentLightLevelInfo";
    kCMFormatDescriptionKey_PixelAspectRatioHorizontalSpacing = "HorizontalSpacing";
    kCMFormatDescriptionKey_PixelAspectRatioVerticalSpacing = "VerticalSpacing";
    kCMSampleAttachmentKey_NotSync = "NotSync";
    kCMSampleAttachmentKey_PartialSync = "PartialSync";
    kCMSampleAttachmentKey_DependsOnOthers = "DependsOnOthers";
    kCMSampleAttachmentKey_IsDependedOnByOthers = "IsDependedOnByOthers";
    kCMSampleAttachmentKey_HasRedundantCoding = "HasRedundantCoding";
    kCMSampleAttachmentKey_DisplayImmediately = "DisplayImmediately";
    kCMSampleAttachmentKey_DoNotDisplay = "DoNotDisplay";
    kCMSampleAttachmentKey_EarlierDisplayTimesAllowed = "EarlierDisplayTimesAllowed";
    // VideoToolbox
    kVTVideoDecoderSpecification_EnableHardwareAcceleratedVideoDecoder = "EnableHardwareAcceleratedVideoDecoder";
    kVTVideoDecoderSpecification_RequireHardwareAcceleratedVideoDecoder = "RequireHardwareAcceleratedVideoDecoder";
    kVTVideoEncoderSpecification_EnableHardwareAcceleratedVideoEncoder = "EnableHardwareAcceleratedVideoEncoder";
    kVTVideoEncoderSpecification_RequireHardwareAcceleratedVideoEncoder = "RequireHardwareAcceleratedVideoEncoder";
    kVTVideoEncoderSpecification_EnableLowLatencyRateControl = "EnableLowLatencyRateControl";
    kVTVideoEncoderSpecification_EncoderID = "EncoderID";
    kVTEncodeFrameOptionKey_ForceKeyFrame = "ForceKeyFrame";
    kVTEncodeFrameOptionKey_BaseFrameQP = "BaseFrameQP";
    kVTPropertyTypeKey = "PropertyType";
    kVTPropertyType_Enumeration = "Enumeration";
    kVTPropertyType_Boolean = "Boolean";
    kVTPropertyType_Number = "Number";
    kVTPropertyReadWriteStatusKey = "ReadWriteStatus";
    kVTPropertyReadWriteStatus_ReadOnly = "ReadOnly";
    kVTPropertyReadWriteStatus_ReadWrite = "ReadWrite";
    kVTPropertyShouldBeSerializedKey = "ShouldBeSerialized";
    kVTPropertySupportedValueMinimumKey = "SupportedValueMinimum";
    kVTPropertySupportedValueMaximumKey = "SupportedValueMaximum";
    kVTPropertySupportedValueListKey = "SupportedValueList";
    kVTPropertyDocumentationKey = "Documentation";
    kVTVideoEncoderList_CodecType = "CodecType";
    kVTVideoEncoderList_EncoderID = "EncoderID";
    kVTVideoEncoderList_CodecName = "CodecName";
    kVTVideoEncoderList_EncoderName = "EncoderName";
    kVTVideoEncoderList_DisplayName = "DisplayName";
    kVTVideoEncoderList_IsHardwareAccelerated = "IsHardwareAccelerated";
    kVTVideoEncoderList_SupportsFrameReordering = "SupportsFrameReordering";
    kVTDecompressionPropertyKey_RealTime = "RealTime";
    kVTDecompressionPropertyKey_UsingHardwareAcceleratedVideoDecoder = "UsingHardwareAcceleratedVideoDecoder";
    kVTDecompressionPropertyKey_NumberOfFramesBeingDecoded = "NumberOfFramesBeingDecoded";
    kVTDecompressionPropertyKey_PixelBufferPool = "PixelBufferPool";
    kVTDecompressionPropertyKey_PixelBufferPoolIsShared = "PixelBufferPoolIsShared";
    kVTDecompressionPropertyKey_ThreadCount = "ThreadCount";
    kVTDecompressionPropertyKey_MaximizePowerEfficiency = "MaximizePowerEfficiency";
    kVTDecompressionPropertyKey_ContentHasInterframeDependencies = "ContentHasInterframeDependencies";
    kVTDecompressionPropertyKey_MinOutputPresentationTimeStampOfFramesBeingDecoded = "MinOutputPresentationTimeStampOfFramesBeingDecoded";
    kVTDecompressionPropertyKey_PropagatePerFrameHDRDisplayMetadata = "PropagatePerFrameHDRDisplayMetadata";
    kVTCompressionPropertyKey_AllowFrameReordering = "AllowFrameReordering";
    kVTCompressionPropertyKey_AllowTemporalCompression = "AllowTemporalCompression";
    kVTCompressionPropertyKey_AllowOpenGOP = "AllowOpenGOP";
    kVTCompressionPropertyKey_AverageBitRate = "AverageBitRate";
    kVTCompressionPropertyKey_ConstantBitRate = "ConstantBitRate";
    kVTCompressionPropertyKey_DataRateLimits = "DataRateLimits";
    kVTCompressionPropertyKey_Quality = "Quality";
    kVTCompressionPropertyKey_TargetQualityForAlpha = "TargetQualityForAlpha";
    kVTCompressionPropertyKey_ExpectedFrameRate = "ExpectedFrameRate";
    kVTCompressionPropertyKey_ExpectedDuration = "ExpectedDuration";
    kVTCompressionPropertyKey_MaxKeyFrameInterval = "MaxKeyFrameInterval";
    kVTCompressionPropertyKey_MaxKeyFrameIntervalDuration = "MaxKeyFrameIntervalDuration";
    kVTCompressionPropertyKey_MaxFrameDelayCount = "MaxFrameDelayCount";
    kVTCompressionPropertyKey_MaxH264SliceBytes = "MaxH264SliceBytes";
    kVTCompressionPropertyKey_MoreFramesBeforeStart = "MoreFramesBeforeStart";
    kVTCompressionPropertyKey_MoreFramesAfterEnd = "MoreFramesAfterEnd";
    kVTCompressionPropertyKey_MaxAllowedFrameQP = "MaxAllowedFrameQP";
    kVTCompressionPropertyKey_MinAllowedFrameQP = "MinAllowedFrameQP";
    kVTCompressionPropertyKey_RealTime = "RealTime";
    kVTCompressionPropertyKey_MaximizePowerEfficiency = "MaximizePowerEfficiency";
    kVTCompressionPropertyKey_PrioritizeEncodingSpeedOverQuality = "PrioritizeEncodingSpeedOverQuality";
    kVTCompressionPropertyKey_ProfileLevel = "ProfileLevel";
    kVTCompressionPropertyKey_H264EntropyMode = "H264EntropyMode";
    kVTCompressionPropertyKey_ColorPrimaries = "ColorPrimaries";
    kVTCompressionPropertyKey_TransferFunction = "TransferFunction";
    kVTCompressionPropertyKey_YCbCrMatrix = "YCbCrMatrix";
    kVTCompressionPropertyKey_PixelAspectRatio = "PixelAspectRatio";
    kVTCompressionPropertyKey_CleanAperture = "CleanAperture";
    kVTCompressionPropertyKey_FieldCount = "FieldCount";
    kVTCompressionPropertyKey_FieldDetail = "FieldDetail";
    kVTCompressionPropertyKey_MasteringDisplayColorVolume = "MasteringDisplayColorVolume";
    kVTCompressionPropertyKey_ContentLightLevelInfo = "ContentLightLevelInfo";
    kVTCompressionPropertyKey_HDRMetadataInsertionMode = "HDRMetadataInsertionMode";
    kVTCompressionPropertyKey_SourceFrameCount = "SourceFrameCount";
    kVTCompressionPropertyKey_NumberOfPendingFrames = "NumberOfPendingFrames";
    kVTCompressionPropertyKey_PixelBufferPoolIsShared = "PixelBufferPoolIsShared";
    kVTCompressionPropertyKey_VideoEncoderPixelBufferAttributes = "VideoEncoderPixelBufferAttributes";
    kVTCompressionPropertyKey_UsingHardwareAcceleratedVideoEncoder = "UsingHardwareAcceleratedVideoEncoder";
    kVTCompressionPropertyKey_EncoderID = "EncoderID";
    kVTCompressionPropertyKey_PixelTransferProperties = "PixelTransferProperties";
    kVTCompressionPropertyKey_Depth = "Depth";
    kVTCompressionPropertyKey_ReferenceBufferCount = "ReferenceBufferCount";
    kVTCompressionPropertyKey_SpatialAdaptiveQPLevel = "SpatialAdaptiveQPLevel";
    kVTProfileLevel_H264_Baseline_1_3 = "H264_Baseline_1_3";
    kVTProfileLevel_H264_Baseline_3_0 = "H264_Baseline_3_0";
    kVTProfileLevel_H264_Baseline_3_1 = "H264_Baseline_3_1";
    kVTProfileLevel_H264_Baseline_3_2 = "H264_Baseline_3_2";
    kVTProfileLevel_H264_Baseline_4_0 = "H264_Baseline_4_0";
    kVTProfileLevel_H264_Baseline_4_1 = "H264_Baseline_4_1";
    kVTProfileLevel_H264_Baseline_4_2 = "H264_Baseline_4_2";
    kVTProfileLevel_H264_Baseline_5_0 = "H264_Baseline_5_0";
    kVTProfileLevel_H264_Baseline_5_1 = "H264_Baseline_5_1";
    kVTProfileLevel_H264_Baseline_5_2 = "H264_Baseline_5_2";
    kVTProfileLevel_H264_Baseline_AutoLevel = "H264_Baseline_AutoLevel";
    kVTProfileLevel_H264_ConstrainedBaseline_AutoLevel = "H264_ConstrainedBaseline_AutoLevel";
    kVTProfileLevel_H264_Main_3_0 = "H264_Main_3_0";
    kVTProfileLevel_H264_Main_3_1 = "H264_Main_3_1";
    kVTProfileLevel_H264_Main_3_2 = "H264_Main_3_2";
    kVTProfileLevel_H264_Main_4_0 = "H264_Main_4_0";
    kVTProfileLevel_H264_Main_4_1 = "H264_Main_4_1";
    kVTProfileLevel_H264_Main_4_2 = "H264_Main_4_2";
    kVTProfileLevel_H264_Main_5_0 = "H264_Main_5_0";
    kVTProfileLevel_H264_Main_5_1 = "H264_Main_5_1";
    kVTProfileLevel_H264_Main_5_2 = "H264_Main_5_2";
    kVTProfileLevel_H264_Main_AutoLevel = "H264_Main_AutoLevel";
    kVTProfileLevel_H264_High_3_0 = "H264_High_3_0";
    kVTProfileLevel_H264_High_3_1 = "H264_High_3_1";
    kVTProfileLevel_H264_High_3_2 = "H264_High_3_2";
    kVTProfileLevel_H264_High_4_0 = "H264_High_4_0";
    kVTProfileLevel_H264_High_4_1 = "H264_High_4_1";
    kVTProfileLevel_H264_High_4_2 = "H264_High_4_2";
    kVTProfileLevel_H264_High_5_0 = "H264_High_5_0";
    kVTProfileLevel_H264_High_5_1 = "H264_High_5_1";
    kVTProfileLevel_H264_High_5_2 = "H264_High_5_2";
    kVTProfileLevel_H264_High_AutoLevel = "H264_High_AutoLevel";
    kVTProfileLevel_H264_ConstrainedHigh_AutoLevel = "H264_ConstrainedHigh_AutoLevel";
    kVTProfileLevel_HEVC_Main_AutoLevel = "HEVC_Main_AutoLevel";
    kVTProfileLevel_HEVC_Main10_AutoLevel = "HEVC_Main10_AutoLevel";
    kVTProfileLevel_HEVC_Main42210_AutoLevel = "HEVC_Main42210_AutoLevel";
    kVTH264EntropyMode_CAVLC = "CAVLC";
    kVTH264EntropyMode_CABAC = "CABAC";
    kVTHDRMetadataInsertionMode_None = "None";
    kVTHDRMetadataInsertionMode_Auto = "Auto";
}

/// `true`
#[unsafe(no_mangle)]
pub static kCFBooleanTrue: Constant = reference(OTHERS);
/// `false`
#[unsafe(no_mangle)]
pub static kCFBooleanFalse: Constant = reference(OTHERS + 1);
/// An object that says "nothing" in a collection.
#[unsafe(no_mangle)]
pub static kCFNull: Constant = reference(OTHERS + 2);
/// The allocator that is meant by null.
#[unsafe(no_mangle)]
pub static kCFAllocatorDefault: Constant = Constant(std::ptr::null());
/// The system's allocator.
#[unsafe(no_mangle)]
pub static kCFAllocatorSystemDefault: Constant = reference(OTHERS + 3);
/// `malloc` and `free`.
#[unsafe(no_mangle)]
pub static kCFAllocatorMalloc: Constant = reference(OTHERS + 4);
/// Frees nothing.
#[unsafe(no_mangle)]
pub static kCFAllocatorNull: Constant = reference(OTHERS + 5);

/// Whether a reference is `kCFAllocatorNull`.
pub fn is_allocator_null(allocator: *const c_void) -> bool {
    allocator == kCFAllocatorNull.0
}

/// A boolean as the constant that it is.
pub fn truth(value: bool) -> super::object::Held {
    let constant = if value { &kCFBooleanTrue } else { &kCFBooleanFalse };
    super::object::Held::constant(constant.0.addr())
}

type Object = (Kind, Arc<dyn Any + Send + Sync>);

/// The constant with this reference.
pub fn constant(id: usize) -> Option<Object> {
    static STRINGS: LazyLock<Vec<Object>> = LazyLock::new(|| {
        TEXTS.iter().map(|text| -> Object { (Kind::CFString, Arc::new(Text((*text).into()))) }).collect()
    });
    static REST: LazyLock<[Object; 6]> = LazyLock::new(|| {
        [
            (Kind::CFBoolean, Arc::new(Truth(true))),
            (Kind::CFBoolean, Arc::new(Truth(false))),
            (Kind::CFNull, Arc::new(Nothing)),
            (Kind::CFAllocator, Arc::new(Allocator)),
            (Kind::CFAllocator, Arc::new(Allocator)),
            (Kind::CFAllocator, Arc::new(Allocator)),
        ]
    });
    let index = id.checked_sub(FIRST).filter(|offset| offset.is_multiple_of(STEP))? / STEP;
    STRINGS.get(index).or_else(|| REST.get(index.checked_sub(OTHERS)?)).cloned()
}

/// Callbacks of collections, of which only the address counts here. (Apple's are of five or six words.)
#[derive(Debug)]
#[repr(C)]
pub struct TypeCallbacks([usize; 6]);

/// Keys are CF types.
#[unsafe(no_mangle)]
pub static kCFTypeDictionaryKeyCallBacks: TypeCallbacks = TypeCallbacks([0; 6]);
/// Keys are strings (which are copied; they do not change, so that a reference is a copy).
#[unsafe(no_mangle)]
pub static kCFCopyStringDictionaryKeyCallBacks: TypeCallbacks = TypeCallbacks([0; 6]);
/// Values are CF types.
#[unsafe(no_mangle)]
pub static kCFTypeDictionaryValueCallBacks: TypeCallbacks = TypeCallbacks([0; 6]);
/// Members are CF types.
#[unsafe(no_mangle)]
pub static kCFTypeArrayCallBacks: TypeCallbacks = TypeCallbacks([0; 6]);

/// No time.
#[unsafe(no_mangle)]
pub static kCMTimeInvalid: Time = Time { value: 0, timescale: 0, flags: 0, epoch: 0 };
/// No time that is known.
#[unsafe(no_mangle)]
pub static kCMTimeIndefinite: Time = Time { value: 0, timescale: 0, flags: 0x11, epoch: 0 };
/// After all others.
#[unsafe(no_mangle)]
pub static kCMTimePositiveInfinity: Time = Time { value: 0, timescale: 0, flags: 0x05, epoch: 0 };
/// Zero.
#[unsafe(no_mangle)]
pub static kCMTimeZero: Time = Time { value: 0, timescale: 1, flags: 1, epoch: 0 };
