/* libx264: one access unit out for each picture in. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <x264.h>

#include "shim.h"

typedef struct encoder {
    x264_t *x264;
    x264_param_t param;
    x264_picture_t out;
    int64_t count;
    char message[256];
} encoder;

/* Keeps the last error or warning; the library's own habit is to print it. */
static void keep_message(void *private, int level, const char *format, va_list arguments)
{
    encoder *e = private;
    if (level == X264_LOG_ERROR || (level == X264_LOG_WARNING && !e->message[0]))
        vsnprintf(e->message, sizeof e->message, format, arguments);
}

static void set_rate(x264_param_t *p, const nvsim_settings *s)
{
    p->rc.f_ip_factor = 1.4f;
    switch (s->rate) {
    case NVSIM_RATE_QP:
        /* The real quantiser comes with each picture. The library's own constant mode would hold that close to the
         * one given here; its quality mode takes every quantiser, and does nothing of its own without adaptation. */
        p->rc.i_rc_method = X264_RC_CRF;
        p->rc.f_rf_constant = s->qp > 0 ? s->qp : 1;
        p->rc.i_aq_mode = X264_AQ_NONE;
        break;
    case NVSIM_RATE_LOSSLESS:
        p->rc.i_rc_method = X264_RC_CQP;
        p->rc.i_qp_constant = 0;
        break;
    case NVSIM_RATE_QUALITY:
        p->rc.i_rc_method = X264_RC_CRF;
        /* Minus the offset would be lossless; a quality wish never is. */
        p->rc.f_rf_constant = s->qp > 0 ? s->qp : 0.5f;
        break;
    default:
        p->rc.i_rc_method = X264_RC_ABR;
        p->rc.i_bitrate = s->average;
        p->rc.f_rate_tolerance = s->constant ? 0.2f : 0.5f;
        break;
    }
    if (s->max > 0 && (s->rate == NVSIM_RATE_AVERAGE || s->rate == NVSIM_RATE_QUALITY)) {
        p->rc.i_vbv_max_bitrate = s->max;
        p->rc.i_vbv_buffer_size = s->vbv;
    }
}

void *nvsim_x264_open(const nvsim_settings *s, char *message, size_t size)
{
    static const char *const speeds[] = { "ultrafast", "superfast", "veryfast", "faster", "fast", "medium" };
    encoder *e = calloc(1, sizeof *e);
    if (!e) {
        snprintf(message, size, "out of memory");
        return NULL;
    }
    x264_param_t *p = &e->param;
    if (x264_param_default_preset(p, speeds[s->speed], "zerolatency") < 0) {
        snprintf(message, size, "libx264 does not know its preset %s", speeds[s->speed]);
        free(e);
        return NULL;
    }
    p->pf_log = keep_message;
    p->p_log_private = e;
    p->i_log_level = X264_LOG_WARNING;

    p->i_width = s->width;
    p->i_height = s->height;
    p->i_csp = s->chroma444 ? X264_CSP_I444 : X264_CSP_I420;
    p->i_bitdepth = s->depth;
    p->i_level_idc = s->level;
    p->i_fps_num = s->fps_num;
    p->i_fps_den = s->fps_den;
    p->b_vfr_input = 0;

    /* One thread and no look at later pictures: what goes in comes out at once. */
    p->i_threads = 1;
    p->i_lookahead_threads = 1;
    p->b_sliced_threads = 0;
    p->i_sync_lookahead = 0;
    p->rc.i_lookahead = 0;
    p->rc.b_mb_tree = 0;
    p->i_slice_count = s->slices > 1 ? s->slices : 0;

    /* The caller alone decides types: no scene cuts, no refresh, and an I picture stays one however far the last
     * IDR picture is (below the minimum distance the library does not turn it into an IDR picture). */
    p->i_keyint_max = X264_KEYINT_MAX_INFINITE;
    p->i_keyint_min = X264_KEYINT_MAX_INFINITE / 2;
    p->i_scenecut_threshold = 0;
    p->b_intra_refresh = 0;
    p->b_open_gop = 0;

    /* Room for B slices would make the library wait for them, even if none ever comes. */
    p->i_bframe = 0;
    p->i_bframe_adaptive = X264_B_ADAPT_NONE;
    p->i_bframe_pyramid = X264_B_PYRAMID_NONE;
    p->i_frame_reference = 1;
    p->analyse.i_weighted_pred = X264_WEIGHTP_NONE;
    p->analyse.b_weighted_bipred = 0;

    p->b_cabac = s->cabac;
    if (s->profile == 100)
        p->analyse.b_transform_8x8 = 1;
    p->b_aud = 0;
    p->b_repeat_headers = 0;
    p->b_annexb = 1;
    p->i_nal_hrd = X264_NAL_HRD_NONE;
    p->b_pic_struct = 0;

    p->vui.i_sar_width = s->sar_width;
    p->vui.i_sar_height = s->sar_height;
    if (s->full_range >= 0)
        p->vui.b_fullrange = s->full_range;
    if (s->colour) {
        p->vui.i_colorprim = s->primaries;
        p->vui.i_transfer = s->transfer;
        p->vui.i_colmatrix = s->matrix;
    }
    set_rate(p, s);

    const char *profile = s->profile == 66 ? "baseline" : s->profile == 77 ? "main" : NULL;
    if (profile && x264_param_apply_profile(p, profile) < 0) {
        snprintf(message, size, "libx264: %s", e->message[0] ? e->message : "the profile does not fit");
        free(e);
        return NULL;
    }
    e->x264 = x264_encoder_open(p);
    if (!e->x264) {
        snprintf(message, size, "libx264: %s", e->message[0] ? e->message : "cannot open an encoder");
        free(e);
        return NULL;
    }
    /* What the library made of the wishes is where a change must start from. */
    x264_encoder_parameters(e->x264, p);
    e->message[0] = 0;
    return e;
}

int32_t nvsim_x264_headers(void *handle, nvsim_coded *out)
{
    encoder *e = handle;
    x264_nal_t *nals = NULL;
    int count = 0;
    int size = x264_encoder_headers(e->x264, &nals, &count);
    if (size <= 0 || count <= 0)
        return -1;
    out->data = nals[0].p_payload;
    out->size = (size_t)size;
    return 0;
}

int32_t nvsim_x264_encode(void *handle, const nvsim_picture *picture, nvsim_coded *out)
{
    static const int kinds[] = { X264_TYPE_IDR, X264_TYPE_I, X264_TYPE_P };
    encoder *e = handle;
    x264_picture_t in;
    x264_nal_t *nals = NULL;
    int count = 0;
    e->message[0] = 0;
    x264_picture_init(&in);
    in.i_type = kinds[picture->kind];
    in.i_pts = e->count++;
    /* The library counts quantisers from zero whatever the depth, the standard from -6 for each bit above eight. */
    in.i_qpplus1 = picture->qp < 0 ? X264_QP_AUTO : picture->qp + 6 * (e->param.i_bitdepth - 8) + 1;
    in.img.i_csp = (e->param.i_csp & X264_CSP_MASK) | (e->param.i_bitdepth > 8 ? X264_CSP_HIGH_DEPTH : 0);
    in.img.i_plane = 3;
    for (int i = 0; i < 3; i++) {
        in.img.plane[i] = (uint8_t *)picture->planes[i];
        in.img.i_stride[i] = picture->pitches[i];
    }
    int size = x264_encoder_encode(e->x264, &nals, &count, &in, &e->out);
    if (size <= 0 || count <= 0 || x264_encoder_delayed_frames(e->x264) != 0)
        return -1;
    out->data = nals[0].p_payload;
    out->size = (size_t)size;
    out->qp = -1;
    int csp = e->out.img.i_csp & X264_CSP_MASK;
    out->interleaved = csp == X264_CSP_NV12;
    for (int i = 0; i < 3; i++) {
        out->planes[i] = e->out.img.plane[i];
        out->pitches[i] = e->out.img.i_stride[i];
    }
    return 0;
}

int32_t nvsim_x264_reconfigure(void *handle, const nvsim_settings *s)
{
    encoder *e = handle;
    x264_param_t changed = e->param;
    e->message[0] = 0;
    set_rate(&changed, s);
    if (x264_encoder_reconfig(e->x264, &changed) < 0)
        return -1;
    e->param = changed;
    return 0;
}

void nvsim_x264_message(void *handle, char *message, size_t size)
{
    const encoder *e = handle;
    snprintf(message, size, "libx264: %s", e->message[0] ? e->message : "failed without a reason");
}

void nvsim_x264_close(void *handle)
{
    encoder *e = handle;
    x264_encoder_close(e->x264);
    free(e);
}
