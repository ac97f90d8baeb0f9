// VideoToolbox: decoder and encoder sessions.
#pragma once
#include <CoreFoundation/CoreFoundation.h>
#include <CoreMedia/CoreMedia.h>
#include <CoreVideo/CoreVideo.h>

enum {
  kVTPropertyNotSupportedErr = -12900,
  kVTInvalidSessionErr = -12903,
  kVTCouldNotFindVideoDecoderErr = -12906,
  kVTVideoDecoderBadDataErr = -12909,
  kVTVideoDecoderUnsupportedDataFormatErr = -12910,
  kVTVideoDecoderMalfunctionErr = -12911,
  kVTVideoDecoderNotAvailableNowErr = -12913,
};

typedef CFTypeRef VTSessionRef;
typedef struct OpaqueVTDecompressionSession *VTDecompressionSessionRef;
typedef struct OpaqueVTCompressionSession *VTCompressionSessionRef;
typedef uint32_t VTDecodeFrameFlags;
typedef uint32_t VTDecodeInfoFlags;
typedef uint32_t VTEncodeInfoFlags;

typedef void (*VTDecompressionOutputCallback)(void *refcon, void *frame_refcon, OSStatus status, VTDecodeInfoFlags flags,
                                              CVImageBufferRef image, CMTime presentation, CMTime duration);
typedef struct {
  VTDecompressionOutputCallback decompressionOutputCallback;
  void *decompressionOutputRefCon;
} VTDecompressionOutputCallbackRecord;
typedef void (*VTCompressionOutputCallback)(void *refcon, void *frame_refcon, OSStatus status, VTEncodeInfoFlags flags,
                                            CMSampleBufferRef sample);

OSStatus VTSessionSetProperty(VTSessionRef session, CFStringRef key, CFTypeRef value);
OSStatus VTSessionCopyProperty(VTSessionRef session, CFStringRef key, CFAllocatorRef allocator, void *value);

OSStatus VTDecompressionSessionCreate(CFAllocatorRef allocator, CMVideoFormatDescriptionRef format, CFDictionaryRef specification,
                                      CFDictionaryRef attributes, const VTDecompressionOutputCallbackRecord *callback,
                                      VTDecompressionSessionRef *out);
OSStatus VTDecompressionSessionDecodeFrame(VTDecompressionSessionRef session, CMSampleBufferRef sample, VTDecodeFrameFlags flags,
                                           void *frame_refcon, VTDecodeInfoFlags *info);
OSStatus VTDecompressionSessionWaitForAsynchronousFrames(VTDecompressionSessionRef session);
void VTDecompressionSessionInvalidate(VTDecompressionSessionRef session);

OSStatus VTCompressionSessionCreate(CFAllocatorRef allocator, int32_t width, int32_t height, CMVideoCodecType codec,
                                    CFDictionaryRef specification, CFDictionaryRef attributes,
                                    CFAllocatorRef data_allocator, VTCompressionOutputCallback callback, void *refcon,
                                    VTCompressionSessionRef *out);
OSStatus VTCompressionSessionPrepareToEncodeFrames(VTCompressionSessionRef session);
OSStatus VTCompressionSessionEncodeFrame(VTCompressionSessionRef session, CVImageBufferRef image, CMTime presentation,
                                         CMTime duration, CFDictionaryRef properties, void *frame_refcon,
                                         VTEncodeInfoFlags *info);
OSStatus VTCompressionSessionCompleteFrames(VTCompressionSessionRef session, CMTime until);
CVPixelBufferPoolRef VTCompressionSessionGetPixelBufferPool(VTCompressionSessionRef session);

extern const CFStringRef kVTCompressionPropertyKey_AllowFrameReordering;
extern const CFStringRef kVTCompressionPropertyKey_AverageBitRate;
extern const CFStringRef kVTCompressionPropertyKey_ColorPrimaries;
extern const CFStringRef kVTCompressionPropertyKey_DataRateLimits;
extern const CFStringRef kVTCompressionPropertyKey_MaxH264SliceBytes;
extern const CFStringRef kVTCompressionPropertyKey_MaxKeyFrameInterval;
extern const CFStringRef kVTCompressionPropertyKey_MoreFramesAfterEnd;
extern const CFStringRef kVTCompressionPropertyKey_MoreFramesBeforeStart;
extern const CFStringRef kVTCompressionPropertyKey_PixelAspectRatio;
extern const CFStringRef kVTCompressionPropertyKey_ProfileLevel;
extern const CFStringRef kVTCompressionPropertyKey_Quality;
extern const CFStringRef kVTCompressionPropertyKey_TransferFunction;
extern const CFStringRef kVTCompressionPropertyKey_YCbCrMatrix;
extern const CFStringRef kVTEncodeFrameOptionKey_ForceKeyFrame;
extern const CFStringRef kVTProfileLevel_H264_Baseline_1_3;
extern const CFStringRef kVTProfileLevel_H264_Baseline_3_0;
extern const CFStringRef kVTProfileLevel_H264_Baseline_3_1;
extern const CFStringRef kVTProfileLevel_H264_Baseline_3_2;
extern const CFStringRef kVTProfileLevel_H264_Baseline_4_1;
extern const CFStringRef kVTProfileLevel_H264_High_5_0;
extern const CFStringRef kVTProfileLevel_H264_Main_3_0;
extern const CFStringRef kVTProfileLevel_H264_Main_3_1;
extern const CFStringRef kVTProfileLevel_H264_Main_3_2;
extern const CFStringRef kVTProfileLevel_H264_Main_4_0;
extern const CFStringRef kVTProfileLevel_H264_Main_4_1;
extern const CFStringRef kVTProfileLevel_H264_Main_5_0;
extern const CFStringRef kVTVideoDecoderSpecification_EnableHardwareAcceleratedVideoDecoder;
extern const CFStringRef kVTVideoDecoderSpecification_RequireHardwareAcceleratedVideoDecoder;
