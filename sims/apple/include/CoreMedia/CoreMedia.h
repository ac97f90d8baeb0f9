// CoreMedia: times, formats, coded samples.
#pragma once
#include <CoreFoundation/CoreFoundation.h>
#include <CoreVideo/CoreVideo.h>

#pragma pack(push, 4)
typedef struct {
  int64_t value;
  int32_t timescale;
  uint32_t flags;
  int64_t epoch;
} CMTime;
typedef struct {
  CMTime duration;
  CMTime presentationTimeStamp;
  CMTime decodeTimeStamp;
} CMSampleTimingInfo;
#pragma pack(pop)
enum { kCMTimeFlags_Valid = 1 };
#define CMTIME_IS_INVALID(time) (!((time).flags & kCMTimeFlags_Valid))
extern const CMTime kCMTimeInvalid;
extern const CMTime kCMTimeIndefinite;
CMTime CMTimeMake(int64_t value, int32_t timescale);

typedef FourCharCode CMVideoCodecType;
enum {
  kCMVideoCodecType_H263 = 'h263',
  kCMVideoCodecType_H264 = 'avc1',
  kCMVideoCodecType_HEVC = 'hvc1',
  kCMVideoCodecType_HEVCWithAlpha = 'muxa',
  kCMVideoCodecType_MPEG1Video = 'mp1v',
  kCMVideoCodecType_MPEG2Video = 'mp2v',
  kCMVideoCodecType_MPEG4Video = 'mp4v',
  kCMVideoCodecType_VP9 = 'vp09',
};

typedef const struct opaqueCMFormatDescription *CMFormatDescriptionRef;
typedef CMFormatDescriptionRef CMVideoFormatDescriptionRef;
typedef struct OpaqueCMBlockBuffer *CMBlockBufferRef;
typedef struct opaqueCMSampleBuffer *CMSampleBufferRef;
typedef struct CMBlockBufferCustomBlockSource CMBlockBufferCustomBlockSource;
typedef uint32_t CMBlockBufferFlags;
enum { kCMBlockBufferNoErr = 0 };
typedef OSStatus (*CMSampleBufferMakeDataReadyCallback)(CMSampleBufferRef buffer, void *refcon);

extern const CFStringRef kCMFormatDescriptionExtension_SampleDescriptionExtensionAtoms;
extern const CFStringRef kCMFormatDescriptionExtension_VerbatimSampleDescription;
extern const CFStringRef kCMFormatDescriptionKey_PixelAspectRatioHorizontalSpacing;
extern const CFStringRef kCMFormatDescriptionKey_PixelAspectRatioVerticalSpacing;
extern const CFStringRef kCMSampleAttachmentKey_NotSync;

OSStatus CMVideoFormatDescriptionCreate(CFAllocatorRef allocator, CMVideoCodecType codec, int32_t width, int32_t height,
                                        CFDictionaryRef extensions, CMVideoFormatDescriptionRef *out);
OSStatus CMVideoFormatDescriptionGetH264ParameterSetAtIndex(CMFormatDescriptionRef format, size_t index, const uint8_t **set,
                                                            size_t *size, size_t *count, int *length_size);
OSStatus CMVideoFormatDescriptionGetHEVCParameterSetAtIndex(CMFormatDescriptionRef format, size_t index, const uint8_t **set,
                                                            size_t *size, size_t *count, int *length_size);
CFTypeRef CMFormatDescriptionGetExtension(CMFormatDescriptionRef format, CFStringRef key);

OSStatus CMBlockBufferCreateWithMemoryBlock(CFAllocatorRef structure_allocator, void *memory, size_t length,
                                            CFAllocatorRef block_allocator, const CMBlockBufferCustomBlockSource *source,
                                            size_t offset, size_t data_length, CMBlockBufferFlags flags, CMBlockBufferRef *out);
OSStatus CMBlockBufferCopyDataBytes(CMBlockBufferRef block, size_t offset, size_t length, void *destination);
size_t CMBlockBufferGetDataLength(CMBlockBufferRef block);

OSStatus CMSampleBufferCreate(CFAllocatorRef allocator, CMBlockBufferRef data, Boolean ready,
                              CMSampleBufferMakeDataReadyCallback make_ready, void *refcon, CMFormatDescriptionRef format,
                              CFIndex samples, CFIndex timings, const CMSampleTimingInfo *timing, CFIndex sizes,
                              const size_t *size, CMSampleBufferRef *out);
CMBlockBufferRef CMSampleBufferGetDataBuffer(CMSampleBufferRef sample);
CMFormatDescriptionRef CMSampleBufferGetFormatDescription(CMSampleBufferRef sample);
size_t CMSampleBufferGetTotalSampleSize(CMSampleBufferRef sample);
CMTime CMSampleBufferGetPresentationTimeStamp(CMSampleBufferRef sample);
CMTime CMSampleBufferGetDecodeTimeStamp(CMSampleBufferRef sample);
CFArrayRef CMSampleBufferGetSampleAttachmentsArray(CMSampleBufferRef sample, Boolean create);
