/* One decoded picture for each coded picture, in coding order and at once, from libavcodec, whose own output comes in
 * display order and late.
 *
 * The way: a decoder asks for the buffer of a picture when it begins to decode it. The context runs on one thread, so
 * buffers are asked for in coding order, and when the call that took the packet has returned, the picture in that
 * buffer is finished. A second reference to the buffer is kept from the moment it was given; what the library
 * puts out later in display order is thrown away. A second field asks for no buffer and is decoded into the one
 * before.
 *
 * Nothing of the process is changed (no log callback): the host may use the same libavcodec for itself.
 */

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/macros.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

/* Which codec, as decoder.rs numbers them. */
enum { MPEG1, MPEG2, MPEG4, VC1, H264, JPEG, HEVC, VP8, VP9, AV1, VP9_SHOWN, CODECS };

static const struct {
    enum AVCodecID id;
    const char *decoder; /* NULL: the library's own */
} CODEC[CODECS] = {
    [MPEG1] = {AV_CODEC_ID_MPEG1VIDEO, "mpeg1video"}, [MPEG2] = {AV_CODEC_ID_MPEG2VIDEO, "mpeg2video"},
    [MPEG4] = {AV_CODEC_ID_MPEG4, "mpeg4"},           [VC1] = {AV_CODEC_ID_VC1, "vc1"},
    [H264] = {AV_CODEC_ID_H264, "h264"},              [JPEG] = {AV_CODEC_ID_MJPEG, "mjpeg"},
    [HEVC] = {AV_CODEC_ID_HEVC, "hevc"},              [VP8] = {AV_CODEC_ID_VP8, "vp8"},
    [VP9] = {AV_CODEC_ID_VP9, "vp9"},                 [AV1] = {AV_CODEC_ID_AV1, "libdav1d"},
    [VP9_SHOWN] = {AV_CODEC_ID_VP9, "vp9"},
};

struct sim_avdec {
    int codec;
    int64_t max_pixels;
    AVCodecContext *context;
    AVPacket *packet;
    AVFrame *thrown_away;
    AVFrame *picture;       /* the picture decoded last, or being decoded */
    const AVFrame *theirs;  /* H.264 only: the decoder's own frame of that picture */
    int buffers;            /* given since the call began */
    int slices, bad_slices; /* HEVC: decoded since the call began */
    int display_order;      /* opened by sim_avdec_open_display */
};

/* What the caller sees of a picture. */
struct sim_avpicture {
    int width, height;                 /* coded size */
    int display_width, display_height; /* after the cropping that the stream asks for */
    int chroma, depth, planes;
    const uint8_t *data[3];
    ptrdiff_t stride[3];
    int full_range, primaries, transfer, matrix; /* code points of ISO 23091-2 */
    int sar_width, sar_height;
    int interlaced, top_first, damaged;
    int64_t number; /* as the packet had it; display order only */
};

enum { NOTHING = 0, NEW_PICTURE = 1, DAMAGED = 2 };

/* Codecs of which the pictures are taken that the library puts out: those of a whole packet, in which others may be hidden. */
static int shown_alone(const struct sim_avdec *decoder)
{
    return decoder->codec == AV1 || decoder->codec == VP9_SHOWN;
}

static int get_buffer(AVCodecContext *context, AVFrame *frame, int flags)
{
    struct sim_avdec *decoder = context->opaque;
    /* Not by the context's own limit: it is applied to the size with the edges around, and refusals are printed. */
    if ((int64_t)frame->width * frame->height > decoder->max_pixels)
        return AVERROR(EINVAL);
    int result = avcodec_default_get_buffer2(context, frame, flags);
    if (result < 0)
        return result;
    /* Several buffers in one call: H.264 first fills gaps of frame_num and then comes to the picture; the others come
     * to the picture first and then make up for missing references. */
    if (decoder->codec != H264 && decoder->buffers > 0)
        return 0;
    av_frame_unref(decoder->picture);
    result = av_frame_ref(decoder->picture, frame);
    if (result < 0) {
        av_frame_unref(frame);
        return result;
    }
    decoder->theirs = decoder->codec == H264 ? frame : NULL;
    decoder->buffers++;
    return 0;
}

/* The HEVC decoder runs each slice through here and forgets that one failed. */
static int execute(AVCodecContext *context, int (*job)(AVCodecContext *, void *), void *arg, int *results, int count,
                   int size)
{
    struct sim_avdec *decoder = context->opaque;
    for (int i = 0; i < count; i++) {
        int result = job(context, (char *)arg + (size_t)i * size);
        decoder->slices++;
        decoder->bad_slices += result < 0;
        if (results)
            results[i] = result;
    }
    return 0;
}

void sim_avdec_close(struct sim_avdec *decoder)
{
    if (!decoder)
        return;
    /* The context first: it may hold buffers of frames. */
    avcodec_free_context(&decoder->context);
    av_packet_free(&decoder->packet);
    av_frame_free(&decoder->thrown_away);
    av_frame_free(&decoder->picture);
    av_free(decoder);
}

static struct sim_avdec *open_decoder(int codec, const uint8_t *extradata, size_t extradata_size, int64_t max_pixels,
                                      int display_order)
{
    if (codec < 0 || codec >= CODECS || extradata_size > INT_MAX / 2)
        return NULL;
    const AVCodec *implementation = avcodec_find_decoder_by_name(CODEC[codec].decoder);
    if (!implementation)
        implementation = avcodec_find_decoder(CODEC[codec].id);
    struct sim_avdec *decoder = av_mallocz(sizeof *decoder);
    if (!implementation || !decoder)
        goto fail;
    decoder->codec = codec;
    decoder->packet = av_packet_alloc();
    decoder->thrown_away = av_frame_alloc();
    decoder->picture = av_frame_alloc();
    AVCodecContext *context = decoder->context = avcodec_alloc_context3(implementation);
    if (!decoder->packet || !decoder->thrown_away || !decoder->picture || !context)
        goto fail;
    context->opaque = decoder;
    context->thread_count = 1;
    context->thread_type = 0;
    decoder->max_pixels = max_pixels;
    context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    /* Puts every message of this context above any level a host shows (levels count in one byte). */
    context->log_level_offset = 100;
    decoder->display_order = display_order;
    if (display_order) {
        context->max_pixels = max_pixels;
        if (codec == AV1) {
            av_opt_set_int(context->priv_data, "framethreads", 1, 0);
            av_opt_set_int(context->priv_data, "tilethreads", 1, 0);
        }
    } else if (codec == AV1) {
        /* This decoder has buffers of its own; on one thread and with this flag it puts out at once. What it never
         * puts out by itself is a picture that is not shown: such a packet gives none. */
        context->flags |= AV_CODEC_FLAG_LOW_DELAY;
        context->max_pixels = max_pixels;
        av_opt_set_int(context->priv_data, "framethreads", 1, 0);
        av_opt_set_int(context->priv_data, "tilethreads", 1, 0);
    } else if (codec == VP9_SHOWN) {
        context->max_pixels = max_pixels;
    } else {
        context->get_buffer2 = get_buffer;
        /* Here the flag lets the library put out the picture of the call and not the one before, which tells at once
         * whether errors were concealed in it. */
        if (codec == MPEG1 || codec == MPEG2)
            context->flags |= AV_CODEC_FLAG_LOW_DELAY;
    }
    if (extradata_size) {
        context->extradata = av_mallocz(extradata_size + AV_INPUT_BUFFER_PADDING_SIZE);
        if (!context->extradata)
            goto fail;
        memcpy(context->extradata, extradata, extradata_size);
        context->extradata_size = (int)extradata_size;
    }
    if (avcodec_open2(context, implementation, NULL) < 0)
        goto fail;
    /* After opening, which sets the library's own. */
    if (codec == HEVC && !display_order)
        context->execute = execute;
    return decoder;
fail:
    sim_avdec_close(decoder);
    return NULL;
}

/* Returns NULL when the library lacks the decoder or memory. */
struct sim_avdec *sim_avdec_open(int codec, const uint8_t *extradata, size_t extradata_size, int64_t max_pixels)
{
    return open_decoder(codec, extradata, extradata_size, max_pixels, 0);
}

/* A decoder that puts out in display order, as the library does by itself: for sim_avdec_send and sim_avdec_take. */
struct sim_avdec *sim_avdec_open_display(int codec, int64_t max_pixels)
{
    return open_decoder(codec, NULL, 0, max_pixels, 1);
}

/* Hands over a packet with a number of the caller's; no data: no more come. Everything that was put out before must have been
 * taken. Returns 0, or a negative error. */
int sim_avdec_send(struct sim_avdec *decoder, const uint8_t *data, size_t size, int64_t number)
{
    if (!data)
        return avcodec_send_packet(decoder->context, NULL);
    if (size == 0 || size > INT_MAX / 2 || av_new_packet(decoder->packet, (int)size) < 0)
        return AVERROR(EINVAL);
    memcpy(decoder->packet->data, data, size);
    decoder->packet->pts = number;
    int result = avcodec_send_packet(decoder->context, decoder->packet);
    av_packet_unref(decoder->packet);
    return result;
}

/* Takes the next picture, for sim_avdec_picture. Returns 1, or 0 when there is none, or a negative error. */
int sim_avdec_take(struct sim_avdec *decoder)
{
    av_frame_unref(decoder->picture);
    int result = avcodec_receive_frame(decoder->context, decoder->picture);
    return result >= 0 ? 1 : result == AVERROR(EAGAIN) || result == AVERROR_EOF ? 0 : result;
}

/* Takes and drops what the library puts out. Returns 1 when decoding failed or hid an error of this call's picture. */
static int drain(struct sim_avdec *decoder)
{
    int failed = 0;
    for (;;) {
        int result = avcodec_receive_frame(decoder->context, decoder->thrown_away);
        if (result == AVERROR(EAGAIN) || result == AVERROR_EOF)
            return failed;
        if (result < 0)
            return 1;
        if (decoder->thrown_away->data[0] == decoder->picture->data[0] || shown_alone(decoder))
            failed |= decoder->thrown_away->decode_error_flags != 0;
        if (shown_alone(decoder)) {
            av_frame_unref(decoder->picture);
            av_frame_move_ref(decoder->picture, decoder->thrown_away);
            decoder->buffers++;
        }
        av_frame_unref(decoder->thrown_away);
    }
}

/* True when the H.264 decoder noted on its own frame that slices were lost or concealed. In these versions of the library
 * that decoder keeps the frames of its picture buffer from opening to closing, so that the pointer seen in the buffer
 * request is still good after the call. Other versions tell only through their answers. */
static int noted_damage(const struct sim_avdec *decoder)
{
#if LIBAVCODEC_VERSION_MAJOR <= 60
    return decoder->theirs && decoder->theirs->decode_error_flags != 0;
#else
    return 0;
#endif
}

/* Decodes one packet. Returns a set of the flags above. */
int sim_avdec_decode(struct sim_avdec *decoder, const uint8_t *data, size_t size)
{
    int failed = 0, result;
    if (size == 0 || size > INT_MAX / 2 || av_new_packet(decoder->packet, (int)size) < 0)
        return DAMAGED;
    memcpy(decoder->packet->data, data, size);
    decoder->buffers = decoder->slices = decoder->bad_slices = 0;
    do {
        result = avcodec_send_packet(decoder->context, decoder->packet);
        failed |= result < 0 && result != AVERROR(EAGAIN);
        failed |= drain(decoder);
        /* Everything that waited has been taken, so a second refusal cannot happen; it must not become a loop. */
    } while (result == AVERROR(EAGAIN) && !failed);
    av_packet_unref(decoder->packet);
    if (decoder->codec == HEVC)
        failed |= decoder->slices == 0 || decoder->bad_slices > 0;
    failed |= noted_damage(decoder);
    return (decoder->buffers ? NEW_PICTURE : NOTHING) | (failed ? DAMAGED : 0);
}

/* Describes the picture decoded last. Returns 0, or -1 when there is none or it is of a kind not dealt with here.
 * The pointers are good until the next call. */
int sim_avdec_picture(const struct sim_avdec *decoder, struct sim_avpicture *out)
{
    const AVFrame *frame = decoder->picture;
    if (!frame->buf[0])
        return -1;
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    if (!format || (format->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM |
                                     AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_FLOAT)))
        return -1;
    int depth = format->comp[0].depth, planes = format->nb_components < 3 ? 1 : 3;
    if (planes == 3 && !(format->flags & AV_PIX_FMT_FLAG_PLANAR))
        return -1;
    if (planes == 1)
        out->chroma = 400;
    else if (format->log2_chroma_w == 1 && format->log2_chroma_h == 1)
        out->chroma = 420;
    else if (format->log2_chroma_w == 1 && format->log2_chroma_h == 0)
        out->chroma = 422;
    else if (format->log2_chroma_w == 0 && format->log2_chroma_h == 0)
        out->chroma = 444;
    else
        return -1;
    if (format->comp[0].step != (depth > 8 ? 2 : 1) || format->comp[0].shift != 0)
        return -1;
    out->width = frame->width;
    out->height = frame->height;
    out->display_width = FFMIN(frame->width, decoder->context->width);
    out->display_height = FFMIN(frame->height, decoder->context->height);
    out->full_range = decoder->context->color_range == AVCOL_RANGE_JPEG;
    out->primaries = decoder->context->color_primaries;
    out->transfer = decoder->context->color_trc;
    out->matrix = decoder->context->colorspace;
    out->sar_width = decoder->context->sample_aspect_ratio.num;
    out->sar_height = decoder->context->sample_aspect_ratio.den;
    out->depth = depth;
    out->planes = planes;
    out->number = frame->pts;
    out->damaged = frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT);
#if LIBAVUTIL_VERSION_MAJOR < 58
    out->interlaced = frame->interlaced_frame;
    out->top_first = frame->top_field_first;
#else
    out->interlaced = (frame->flags & AV_FRAME_FLAG_INTERLACED) != 0;
    out->top_first = (frame->flags & AV_FRAME_FLAG_TOP_FIELD_FIRST) != 0;
#endif
    for (int plane = 0; plane < 3; plane++) {
        out->data[plane] = plane < planes ? frame->data[plane] : NULL;
        out->stride[plane] = plane < planes ? frame->linesize[plane] : 0;
        if (plane < planes && !frame->data[plane])
            return -1;
    }
    return 0;
}
