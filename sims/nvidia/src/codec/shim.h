/* The few plain C functions through which the Rust side reaches libx264, libx265 and libavcodec (for AV1): their parameter structures
 * are too large and too changeable to be declared a second time. Nothing here is exported from the shared object. */
#ifndef NVSIM_SHIM_H
#define NVSIM_SHIM_H

#include <stddef.h>
#include <stdint.h>

enum { NVSIM_RATE_QP, NVSIM_RATE_AVERAGE, NVSIM_RATE_QUALITY, NVSIM_RATE_LOSSLESS };
enum { NVSIM_KIND_IDR, NVSIM_KIND_I, NVSIM_KIND_P };

typedef struct nvsim_settings {
    int32_t width, height;
    int32_t chroma444;
    int32_t depth;
    uint32_t fps_num, fps_den;
    int32_t rate;
    int32_t qp;              /* quantiser or quality */
    int32_t average;         /* kbit/s */
    int32_t max;             /* kbit/s, 0: no buffer model */
    int32_t vbv;             /* kbit */
    int32_t constant;        /* the average is to be held closely */
    int32_t speed;           /* index of the library's preset */
    int32_t slices;
    int32_t cabac;
    int32_t profile;         /* H.264 profile_idc 66, 77, 100 as a ceiling; 0: what the speed implies */
    int32_t level;           /* H.264 level_idc */
    int32_t sar_width, sar_height;
    int32_t colour, primaries, transfer, matrix;
    int32_t full_range;      /* -1: not signalled */
} nvsim_settings;

typedef struct nvsim_picture {
    const uint8_t *planes[3];
    int32_t pitches[3];
    int32_t kind;
    int32_t qp;              /* -1: the rate control decides */
} nvsim_picture;

typedef struct nvsim_coded {
    const uint8_t *data;     /* Annex B, or units of AV1; valid until the next call */
    size_t size;
    int32_t qp;              /* average, -1: not known */
    const uint8_t *planes[3]; /* the reconstruction; valid until the next call */
    int32_t pitches[3];
    int32_t interleaved;     /* planes[1] holds both chroma components, sample by sample */
} nvsim_coded;

#define NVSIM_DECLARE(lib)                                                                                     \
    void *nvsim_##lib##_open(const nvsim_settings *settings, char *message, size_t size);                      \
    int32_t nvsim_##lib##_headers(void *handle, nvsim_coded *out);                                             \
    int32_t nvsim_##lib##_encode(void *handle, const nvsim_picture *picture, nvsim_coded *out);                \
    void nvsim_##lib##_message(void *handle, char *message, size_t size);                                      \
    void nvsim_##lib##_close(void *handle)

NVSIM_DECLARE(x264);
NVSIM_DECLARE(x265);
NVSIM_DECLARE(av1);

/* libx265 3.5 accepts new rates and goes on with the old ones, so only libx264 is ever asked. */
int32_t nvsim_x264_reconfigure(void *handle, const nvsim_settings *settings);

#endif
