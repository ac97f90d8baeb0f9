/* AV1 by libaom, which libavcodec wraps: one temporal unit out for each picture in. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>

#include "shim.h"

typedef struct encoder {
    AVCodecContext *context;
    AVFrame *frame;
    AVPacket *packet;
    nvsim_settings settings;
    int64_t count;
    const char *message;
} encoder;

void nvsim_av1_close(void *handle)
{
    encoder *e = handle;
    if (!e)
        return;
    avcodec_free_context(&e->context);
    av_packet_free(&e->packet);
    av_frame_free(&e->frame);
    av_free(e);
}

static void set_rate(AVCodecContext *c, const nvsim_settings *s)
{
    /* The library's own default is a bit rate. */
    c->bit_rate = 0;
    switch (s->rate) {
    case NVSIM_RATE_QP:
        c->qmin = c->qmax = s->qp;
        av_opt_set_int(c->priv_data, "crf", s->qp, 0);
        break;
    case NVSIM_RATE_QUALITY:
        av_opt_set_int(c->priv_data, "crf", s->qp, 0);
        /* libaom limits a quality only by an average: constrained quality. */
        if (s->max > 0)
            c->bit_rate = (int64_t)s->max * 1000;
        break;
    default:
        c->bit_rate = (int64_t)s->average * 1000;
        break;
    }
    if (s->rate != NVSIM_RATE_QP && s->max > 0) {
        c->rc_max_rate = (int64_t)s->max * 1000;
        c->rc_buffer_size = s->vbv < INT_MAX / 1000 ? s->vbv * 1000 : INT_MAX;
    }
}

static AVCodecContext *open_context(const nvsim_settings *s)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libaom-av1");
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!c)
        return NULL;
    c->width = s->width;
    c->height = s->height;
    c->pix_fmt = s->depth > 8 ? AV_PIX_FMT_YUV420P10LE : AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){(int)s->fps_den, (int)s->fps_num};
    c->framerate = (AVRational){(int)s->fps_num, (int)s->fps_den};
    /* The caller alone decides which pictures are key frames. */
    c->gop_size = INT_MAX / 2;
    c->max_b_frames = 0;
    c->thread_count = 1;
    /* Puts every message of this context above any level a host shows. */
    c->log_level_offset = 100;
    if (s->colour) {
        c->color_primaries = s->primaries;
        c->color_trc = s->transfer;
        c->colorspace = s->matrix;
    }
    if (s->full_range >= 0)
        c->color_range = s->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    /* No look at later pictures and none that is not shown: what goes in comes out at once. */
    av_opt_set(c->priv_data, "usage", "realtime", 0);
    av_opt_set_int(c->priv_data, "cpu-used", 8, 0);
    av_opt_set_int(c->priv_data, "lag-in-frames", 0, 0);
    av_opt_set_int(c->priv_data, "auto-alt-ref", 0, 0);
    set_rate(c, s);
    if (avcodec_open2(c, codec, NULL) < 0)
        avcodec_free_context(&c);
    return c;
}

void *nvsim_av1_open(const nvsim_settings *s, char *message, size_t size)
{
    encoder *e = av_mallocz(sizeof *e);
    if (!e) {
        snprintf(message, size, "out of memory");
        return NULL;
    }
    e->settings = *s;
    e->frame = av_frame_alloc();
    e->packet = av_packet_alloc();
    e->context = open_context(s);
    if (!e->frame || !e->packet || !e->context) {
        snprintf(message, size, "libavcodec has no libaom-av1, or it does not take the settings");
        nvsim_av1_close(e);
        return NULL;
    }
    return e;
}

/* The library gives its sequence header with a key frame only, so another encoder with the same settings codes one. */
int32_t nvsim_av1_headers(void *handle, nvsim_coded *out)
{
    encoder *e = handle;
    e->message = "libaom gave no sequence header";
    AVCodecContext *context = open_context(&e->settings);
    AVFrame *frame = av_frame_alloc();
    int32_t result = -1;
    if (!context || !frame)
        goto done;
    frame->format = context->pix_fmt;
    frame->width = context->width;
    frame->height = context->height;
    if (av_frame_get_buffer(frame, 0) < 0)
        goto done;
    for (int plane = 0; plane < 3; plane++)
        memset(frame->data[plane], 0, frame->buf[plane] ? frame->buf[plane]->size : 0);
    av_packet_unref(e->packet);
    if (avcodec_send_frame(context, frame) < 0 || avcodec_receive_packet(context, e->packet) < 0)
        goto done;
    out->data = e->packet->data;
    out->size = (size_t)e->packet->size;
    result = 0;
done:
    av_frame_free(&frame);
    avcodec_free_context(&context);
    return result;
}

int32_t nvsim_av1_encode(void *handle, const nvsim_picture *picture, nvsim_coded *out)
{
    encoder *e = handle;
    AVFrame *frame = e->frame;
    frame->format = e->context->pix_fmt;
    frame->width = e->context->width;
    frame->height = e->context->height;
    for (int plane = 0; plane < 3; plane++) {
        /* The library copies what has no reference count. */
        frame->data[plane] = (uint8_t *)picture->planes[plane];
        frame->linesize[plane] = picture->pitches[plane];
    }
    frame->pts = e->count++;
    frame->pict_type = picture->kind == NVSIM_KIND_P ? AV_PICTURE_TYPE_NONE : AV_PICTURE_TYPE_I;
    av_packet_unref(e->packet);
    e->message = "libaom failed";
    if (avcodec_send_frame(e->context, frame) < 0)
        return -1;
    e->message = "libaom gave no picture at once";
    if (avcodec_receive_packet(e->context, e->packet) < 0)
        return -1;
    e->message = "libaom chose another picture type";
    int wanted = picture->kind != NVSIM_KIND_P, made = (e->packet->flags & AV_PKT_FLAG_KEY) != 0;
    if (wanted != made)
        return -1;
    out->data = e->packet->data;
    out->size = (size_t)e->packet->size;
    out->qp = -1;
    return 0;
}

void nvsim_av1_message(void *handle, char *message, size_t size)
{
    encoder *e = handle;
    snprintf(message, size, "%s", e->message ? e->message : "");
}
