/* libx264 and libx265 (and, one picture at a time, the encoders of VP9, AV1 and JPEG) through libavcodec: pictures in display order in, coded pictures in decoding order out, with B pictures where
 * they are allowed. Nothing of the process is changed (no log callback): the host may use the same libraries for itself. */

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>

/* Which codec, as encoder.rs numbers them. */
enum { H264, HEVC, VP9, AV1, JPEG, CODECS };

static const char *const NAME[CODECS] = {"libx264", "libx265", "libvpx-vp9", "libaom-av1", "mjpeg"};

struct sim_settings {
    int32_t codec, width, height, depth;
    int32_t fps_num, fps_den;
    int64_t bit_rate, max_rate, buffer; /* bits; 0: by quality, no limit */
    int32_t quality;                    /* a rate factor, where there is no bit rate */
    int32_t qp_min, qp_max;             /* -1: any */
    int32_t gop, b_frames;
    int32_t profile;                    /* FF_PROFILE_H264_*; 0: the library's choice */
    int32_t level;                      /* H.264 level_idc; 0: the library's choice */
    int32_t cavlc;
    int32_t slice_bytes;
    int32_t full_range, primaries, transfer, matrix;
    int32_t sar_width, sar_height;
    int32_t constant_qp, qp_i, qp_p, qp_b; /* the three count where the first is 1 */
    int32_t pyramid, intra_refresh, slices, aud;
};

struct sim_encoder {
    AVCodecContext *context;
    AVFrame *frame;
    AVPacket *packet;
};

void sim_encoder_close(struct sim_encoder *encoder)
{
    if (!encoder)
        return;
    avcodec_free_context(&encoder->context);
    av_frame_free(&encoder->frame);
    av_packet_free(&encoder->packet);
    av_free(encoder);
}

/* Encoders that put out each picture before the next goes in. */
static void one_at_a_time(AVCodecContext *c, const struct sim_settings *s)
{
    int quality = s->constant_qp ? s->qp_p : s->quality;
    if (s->codec == JPEG) {
        c->pix_fmt = AV_PIX_FMT_YUVJ420P;
        c->color_range = AVCOL_RANGE_JPEG;
        c->flags |= AV_CODEC_FLAG_QSCALE;
        c->global_quality = FF_QP2LAMBDA * quality;
        return;
    }
    c->max_b_frames = 0;
    av_opt_set_int(c->priv_data, "lag-in-frames", 0, 0);
    av_opt_set_int(c->priv_data, "auto-alt-ref", 0, 0);
    av_opt_set_int(c->priv_data, "cpu-used", 8, 0);
    av_opt_set(c->priv_data, s->codec == VP9 ? "deadline" : "usage", "realtime", 0);
    if (!s->bit_rate) {
        c->bit_rate = 0;
        av_opt_set_int(c->priv_data, "crf", quality, 0);
    }
    /* Above any distance: key pictures come where the caller wants them. */
    c->gop_size = s->gop;
}

/* Returns NULL when the library is not there or refuses. */
struct sim_encoder *sim_encoder_open(const struct sim_settings *s)
{
    const AVCodec *codec = s->codec >= 0 && s->codec < CODECS ? avcodec_find_encoder_by_name(NAME[s->codec]) : NULL;
    struct sim_encoder *encoder = av_mallocz(sizeof *encoder);
    if (!codec || !encoder)
        goto fail;
    AVCodecContext *c = encoder->context = avcodec_alloc_context3(codec);
    encoder->frame = av_frame_alloc();
    encoder->packet = av_packet_alloc();
    if (!c || !encoder->frame || !encoder->packet)
        goto fail;
    c->log_level_offset = 100;
    c->width = s->width;
    c->height = s->height;
    c->pix_fmt = s->depth > 8 ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){s->fps_den, s->fps_num};
    c->framerate = (AVRational){s->fps_num, s->fps_den};
    if (s->codec <= HEVC)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    c->thread_count = 1;
    c->gop_size = s->gop;
    c->keyint_min = 1;
    c->max_b_frames = s->b_frames;
    c->color_range = s->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    c->color_primaries = s->primaries;
    c->color_trc = s->transfer;
    c->colorspace = s->matrix;
    if (s->sar_width > 0 && s->sar_height > 0)
        c->sample_aspect_ratio = (AVRational){s->sar_width, s->sar_height};
    if (s->bit_rate)
        c->bit_rate = s->bit_rate;
    if (s->max_rate) {
        c->rc_max_rate = s->max_rate;
        c->rc_buffer_size = (int)FFMIN(s->buffer, INT_MAX);
    }
    if (s->codec > HEVC) {
        one_at_a_time(c, s);
        if (avcodec_open2(c, codec, NULL) < 0)
            goto fail;
        return encoder;
    }
    av_opt_set(c->priv_data, "preset", "veryfast", 0);
    av_opt_set_int(c->priv_data, "forced-idr", 1, 0);
    if (s->constant_qp) {
        av_opt_set_int(c->priv_data, "qp", s->qp_p, 0);
        /* The libraries take factors of the quantiser step, which doubles with every sixth; the one of them upside down. */
        int less = s->codec == H264 ? s->qp_i - s->qp_p : s->qp_p - s->qp_i;
        c->i_quant_factor = (float)exp2(less / 6.0);
        c->b_quant_factor = (float)exp2((s->qp_b - s->qp_p) / 6.0);
    } else if (!s->bit_rate) {
        av_opt_set_double(c->priv_data, "crf", s->quality, 0);
    }
    char text[512];
    /* Without B pictures each picture comes out before the next goes in. */
    int lookahead = s->b_frames ? s->b_frames + 1 : 0;
    if (s->codec == HEVC) {
        /* One thread of its own less; frames come out soon; parameter sets stay as they are. */
        snprintf(text, sizeof text,
                 "log-level=none:info=0:pools=none:frame-threads=1:open-gop=0:scenecut=0:rc-lookahead=%d:b-adapt=0:b-pyramid=%d:"
                 "keyint=%d:bframes=%d:cutree=0:aud=%d",
                 lookahead, s->pyramid, s->gop, s->b_frames, s->aud);
        size_t used = strlen(text);
        if (s->qp_min >= 0)
            used += (size_t)snprintf(text + used, sizeof text - used, ":qpmin=%d", s->qp_min);
        if (s->qp_max >= 0)
            snprintf(text + used, sizeof text - used, ":qpmax=%d", s->qp_max);
        av_opt_set(c->priv_data, "x265-params", text, 0);
    } else {
        snprintf(text, sizeof text, "force-cfr=1:scenecut=0:open-gop=0:b-adapt=0:b-pyramid=%s:rc-lookahead=%d:sync-lookahead=0:mbtree=0",
                 s->pyramid ? "normal" : "none", lookahead);
        av_opt_set(c->priv_data, "x264-params", text, 0);
        av_opt_set_int(c->priv_data, "aud", s->aud, 0);
        av_opt_set_int(c->priv_data, "intra-refresh", s->intra_refresh, 0);
        if (s->slices > 1)
            c->slices = s->slices;
        if (s->profile)
            av_opt_set(c->priv_data, "profile", s->profile == 66 ? "baseline" : s->profile == 77 ? "main" : "high", 0);
        if (s->level)
            c->level = s->level;
        if (s->cavlc)
            av_opt_set_int(c->priv_data, "coder", 0, 0);
        if (s->slice_bytes)
            av_opt_set_int(c->priv_data, "slice-max-size", s->slice_bytes, 0);
        if (s->qp_min >= 0)
            c->qmin = s->qp_min;
        if (s->qp_max >= 0)
            c->qmax = s->qp_max;
    }
    if (avcodec_open2(c, codec, NULL) < 0)
        goto fail;
    return encoder;
fail:
    sim_encoder_close(encoder);
    return NULL;
}

/* Parameter sets, Annex B: good until the encoder is closed. */
const uint8_t *sim_encoder_sets(const struct sim_encoder *encoder, size_t *size)
{
    *size = (size_t)encoder->context->extradata_size;
    return encoder->context->extradata;
}

/* New rates from the next picture on; libx264 alone follows. */
void sim_encoder_rate(struct sim_encoder *encoder, int64_t bit_rate, int64_t max_rate, int64_t buffer)
{
    encoder->context->bit_rate = bit_rate;
    encoder->context->rc_max_rate = max_rate;
    encoder->context->rc_buffer_size = (int)FFMIN(buffer, INT_MAX);
}

/* Hands over a picture, samples of 1 or 2 bytes without padding; NULL: no more. `key` is 1 for a picture with which decoding can
 * begin anew, 2 for one that is merely intra coded (HEVC). Returns 0, or a negative error. */
int sim_encoder_send(struct sim_encoder *encoder, const uint8_t *const planes[3], int64_t number, int key)
{
    const AVCodecContext *c = encoder->context;
    if (!planes)
        return avcodec_send_frame(encoder->context, NULL);
    AVFrame *frame = encoder->frame;
    av_frame_unref(frame);
    frame->width = c->width;
    frame->height = c->height;
    frame->format = c->pix_fmt;
    int result = av_frame_get_buffer(frame, 0);
    if (result < 0)
        return result;
    for (int plane = 0; plane < 3; plane++) {
        int columns = plane ? (c->width + 1) / 2 : c->width, rows = plane ? (c->height + 1) / 2 : c->height;
        size_t bytes = (size_t)columns * (c->pix_fmt == AV_PIX_FMT_YUV420P10 ? 2 : 1);
        for (int row = 0; row < rows; row++)
            memcpy(frame->data[plane] + (ptrdiff_t)row * frame->linesize[plane], planes[plane] + row * bytes, bytes);
    }
    if (c->codec_id == AV_CODEC_ID_HEVC)
        av_opt_set_int(c->priv_data, "forced-idr", key != 2, 0);
    frame->pts = number;
    frame->color_range = c->color_range;
    frame->pict_type = key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    frame->quality = c->global_quality;
    return avcodec_send_frame(encoder->context, frame);
}

/* Takes a coded picture, Annex B, good until the next call; its type counts I, P, B from 1, 0 where the library does not say. Returns 1, or 0 when there is none, or a negative error. */
int sim_encoder_receive(struct sim_encoder *encoder, const uint8_t **data, size_t *size, int64_t *number, int *key, int *type)
{
    av_packet_unref(encoder->packet);
    int result = avcodec_receive_packet(encoder->context, encoder->packet);
    if (result == AVERROR(EAGAIN) || result == AVERROR_EOF)
        return 0;
    if (result < 0)
        return result;
    *data = encoder->packet->data;
    *size = (size_t)encoder->packet->size;
    *number = encoder->packet->pts;
    *key = (encoder->packet->flags & AV_PKT_FLAG_KEY) != 0;
    size_t side = 0;
    const uint8_t *stats = av_packet_get_side_data(encoder->packet, AV_PKT_DATA_QUALITY_STATS, &side);
    *type = stats && side > 4 ? stats[4] : 0;
    return 1;
}
