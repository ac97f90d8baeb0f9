/* libx265: one access unit out for each picture in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <x265.h>

#include "shim.h"

typedef struct encoder {
    const x265_api *api;
    x265_encoder *x265;
    x265_param *param;
    x265_picture *in, *out;
    int64_t count;
    uint8_t *data;
    size_t capacity;
    const char *message;
} encoder;

static void set_rate(x265_param *p, const nvsim_settings *s)
{
    switch (s->rate) {
    case NVSIM_RATE_QP:
        p->rc.rateControlMode = X265_RC_CQP;
        p->rc.qp = s->qp;
        break;
    case NVSIM_RATE_LOSSLESS:
        p->rc.rateControlMode = X265_RC_CQP;
        p->rc.qp = 4; /* not used, but the library wants one above zero */
        p->bLossless = 1;
        break;
    case NVSIM_RATE_QUALITY:
        p->rc.rateControlMode = X265_RC_CRF;
        p->rc.rfConstant = s->qp;
        break;
    default:
        p->rc.rateControlMode = X265_RC_ABR;
        p->rc.bitrate = s->average;
        break;
    }
    if (s->max > 0 && (s->rate == NVSIM_RATE_AVERAGE || s->rate == NVSIM_RATE_QUALITY)) {
        p->rc.vbvMaxBitrate = s->max;
        p->rc.vbvBufferSize = s->vbv;
    }
}

static void release(encoder *e)
{
    if (e->x265)
        e->api->encoder_close(e->x265);
    if (e->in)
        e->api->picture_free(e->in);
    if (e->out)
        e->api->picture_free(e->out);
    if (e->param)
        e->api->param_free(e->param);
    free(e->data);
    free(e);
}

void *nvsim_x265_open(const nvsim_settings *s, char *message, size_t size)
{
    static const char *const speeds[] = { "ultrafast", "superfast", "veryfast", "faster", "fast" };
    const x265_api *api = x265_api_get(s->depth);
    encoder *e = calloc(1, sizeof *e);
    if (!api || !e) {
        snprintf(message, size, api ? "out of memory" : "libx265 is built without %d bit", s->depth);
        free(e);
        return NULL;
    }
    e->api = api;
    e->param = api->param_alloc();
    e->in = api->picture_alloc();
    e->out = api->picture_alloc();
    x265_param *p = e->param;
    if (!p || !e->in || !e->out || api->param_default_preset(p, speeds[s->speed], "zerolatency") < 0) {
        snprintf(message, size, "libx265 cannot make its parameters");
        release(e);
        return NULL;
    }
    p->logLevel = X265_LOG_NONE;

    p->sourceWidth = s->width;
    p->sourceHeight = s->height;
    p->internalCsp = s->chroma444 ? X265_CSP_I444 : X265_CSP_I420;
    p->internalBitDepth = s->depth;
    p->fpsNum = s->fps_num;
    p->fpsDenom = s->fps_den;

    /* A picture must hold two coding tree blocks in a row: with one, the reconstruction of the library is now and then
     * not what its stream says. Levels from 5 on want blocks of 32 at least, and their pictures are never that small. */
    p->maxCUSize = s->width <= 32 || s->height < 32 ? 16 : 32;
    if (p->maxTUSize > p->maxCUSize)
        p->maxTUSize = p->maxCUSize;

    /* What goes in comes out at once. Several slices exist only with wavefronts and those only with a pool. */
    p->frameNumThreads = 1;
    p->lookaheadDepth = 0;
    p->lookaheadSlices = 0;
    p->maxSlices = s->slices > 1 ? s->slices : 1;
    p->bEnableWavefront = p->maxSlices > 1;
    if (api->param_parse(p, "pools", p->bEnableWavefront ? "1" : "none")) {
        snprintf(message, size, "libx265 refuses its thread pool");
        release(e);
        return NULL;
    }
    p->rc.cuTree = 0;

    /* The caller alone decides types. */
    p->keyframeMax = 1 << 30;
    p->keyframeMin = 1 << 29;
    p->scenecutThreshold = 0;
    p->bHistBasedSceneCut = 0;
    p->bIntraRefresh = 0;
    p->bOpenGOP = 0;
    p->radl = 0;

    /* Each picture refers to the one coded before it and to nothing else, and nothing in the slice data depends on
     * the distance between them: this is what allows the order counts to be rewritten. */
    p->bframes = 0;
    p->bBPyramid = 0;
    p->maxNumReferences = 1;
    p->bEnableTemporalMvp = 0;
    p->bEnableWeightedPred = 0;
    p->bEnableTemporalSubLayers = 0;

    p->bRepeatHeaders = 0;
    p->bAnnexB = 1;
    p->bEnableAccessUnitDelimiters = 0;
    p->bEmitInfoSEI = 0;
    p->bEmitHRDSEI = 0;
    p->bEmitVUITimingInfo = 1;

    if (s->sar_width > 0 && s->sar_height > 0) {
        p->vui.aspectRatioIdc = X265_EXTENDED_SAR;
        p->vui.sarWidth = s->sar_width;
        p->vui.sarHeight = s->sar_height;
    }
    if (s->full_range >= 0 || s->colour) {
        p->vui.bEnableVideoSignalTypePresentFlag = 1;
        p->vui.videoFormat = 5;
        p->vui.bEnableVideoFullRangeFlag = s->full_range > 0;
    }
    if (s->colour) {
        p->vui.bEnableColorDescriptionPresentFlag = 1;
        p->vui.colorPrimaries = s->primaries;
        p->vui.transferCharacteristics = s->transfer;
        p->vui.matrixCoeffs = s->matrix;
    }
    set_rate(p, s);

    e->x265 = api->encoder_open(p);
    if (!e->x265) {
        snprintf(message, size, "libx265 refuses %dx%d, %d bit, with these settings", s->width, s->height, s->depth);
        release(e);
        return NULL;
    }
    api->encoder_parameters(e->x265, p);
    return e;
}

/* Gathers the units of an access unit in memory of our own: the library promises nothing about how they lie. */
static int gather(encoder *e, const x265_nal *nals, uint32_t count, nvsim_coded *out)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += nals[i].sizeBytes;
    if (size > e->capacity) {
        uint8_t *data = realloc(e->data, size);
        if (!data) {
            e->message = "out of memory";
            return -1;
        }
        e->data = data;
        e->capacity = size;
    }
    size = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(e->data + size, nals[i].payload, nals[i].sizeBytes);
        size += nals[i].sizeBytes;
    }
    out->data = e->data;
    out->size = size;
    return 0;
}

int32_t nvsim_x265_headers(void *handle, nvsim_coded *out)
{
    encoder *e = handle;
    x265_nal *nals = NULL;
    uint32_t count = 0;
    if (e->api->encoder_headers(e->x265, &nals, &count) < 0 || count == 0)
        return -1;
    return gather(e, nals, count, out);
}

int32_t nvsim_x265_encode(void *handle, const nvsim_picture *picture, nvsim_coded *out)
{
    static const int kinds[] = { X265_TYPE_IDR, X265_TYPE_I, X265_TYPE_P };
    encoder *e = handle;
    x265_nal *nals = NULL;
    uint32_t count = 0;
    x265_picture *in = e->in;
    e->message = NULL;
    e->api->picture_init(e->param, in);
    in->sliceType = kinds[picture->kind];
    in->pts = e->count++;
    in->bitDepth = e->param->internalBitDepth;
    in->colorSpace = e->param->internalCsp;
    in->forceqp = picture->qp < 0 ? X265_QP_AUTO : picture->qp + 1;
    for (int i = 0; i < 3; i++) {
        in->planes[i] = (void *)picture->planes[i];
        in->stride[i] = picture->pitches[i];
    }
    int made = e->api->encoder_encode(e->x265, &nals, &count, in, e->out);
    /* With several slices the library keeps one picture back until it hears that nothing follows. */
    if (made == 0)
        made = e->api->encoder_encode(e->x265, &nals, &count, NULL, e->out);
    if (made != 1 || count == 0)
        return -1;
    double qp = e->out->frameData.qp;
    out->qp = qp < 0 ? 0 : qp > 51 ? 51 : (int32_t)(qp + 0.5);
    out->interleaved = 0;
    for (int i = 0; i < 3; i++) {
        out->planes[i] = e->out->planes[i];
        out->pitches[i] = e->out->stride[i];
    }
    return gather(e, nals, count, out);
}

void nvsim_x265_message(void *handle, char *message, size_t size)
{
    const encoder *e = handle;
    snprintf(message, size, "libx265: %s", e->message ? e->message : "failed without a reason");
}

void nvsim_x265_close(void *handle)
{
    release(handle);
}
