/* Makes resize-vp9.ivf: VP9 whose pictures change their size without a key frame, so that they refer to pictures of
 * another size, going down, up, and to a size that no macroblock grid fits. ffmpeg's encoder interface cannot ask for
 * that; libvpx can.
 *
 *   gcc make-resize-vp9.c -lvpx -o make && ./make resize-vp9.ivf
 *   ffmpeg -i resize-vp9.ivf -autoscale 0 -fps_mode passthrough -f rawvideo - | md5sum    (the sum in the test)
 *   vpxdec --i420 -o - resize-vp9.ivf | md5sum                                            (gives the same)
 */
#include <stdio.h>

#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

enum { SIZES = 5, FRAMES = 6, WIDTH = 352, HEIGHT = 288 };

static const int sizes[SIZES][2] = {{352, 288}, {176, 144}, {264, 216}, {352, 288}, {178, 146}};

static void put(FILE *file, unsigned long long value, int bytes) {
    while (bytes--) {
        fputc((int)(value & 255), file);
        value >>= 8;
    }
}

/* A scene that moves, drawn at any size. */
static void draw(vpx_image_t *image, int width, int height, int time) {
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int wide = x * WIDTH / width + 3 * time, high = y * HEIGHT / height + time;
            image->planes[0][y * image->stride[0] + x] =
                (unsigned char)(16 + ((wide / 16 + high / 16) & 1) * 80 + ((wide * high / 64) & 63) + (wide & 31));
        }
    }
    for (int plane = 1; plane < 3; plane++) {
        for (int y = 0; y < (height + 1) / 2; y++) {
            for (int x = 0; x < (width + 1) / 2; x++) {
                int across = x * 2 * WIDTH / width + 2 * time, down = y * 2 * HEIGHT / height + time;
                image->planes[plane][y * image->stride[plane] + x] =
                    (unsigned char)(64 + (plane == 1 ? across : down) % 128);
            }
        }
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 1;
    FILE *file = fopen(arguments[1], "wb");
    vpx_codec_enc_cfg_t config;
    vpx_codec_ctx_t codec;
    if (!file || vpx_codec_enc_config_default(vpx_codec_vp9_cx(), &config, 0)) return 1;
    config.g_w = WIDTH;
    config.g_h = HEIGHT;
    config.g_timebase.num = 1;
    config.g_timebase.den = 25;
    config.g_threads = 1;
    config.g_lag_in_frames = 0;
    config.rc_end_usage = VPX_Q;
    config.rc_target_bitrate = 200;
    config.kf_mode = VPX_KF_DISABLED;
    if (vpx_codec_enc_init(&codec, vpx_codec_vp9_cx(), &config, 0)) return 1;
    vpx_codec_control(&codec, VP8E_SET_CPUUSED, 4);
    vpx_codec_control(&codec, VP8E_SET_CQ_LEVEL, 45);
    fwrite("DKIF\0\0\x20\0VP90", 1, 12, file);
    put(file, WIDTH, 2);
    put(file, HEIGHT, 2);
    put(file, 25, 4);
    put(file, 1, 4);
    put(file, SIZES * FRAMES, 4);
    put(file, 0, 4);
    for (int time = 0; time < SIZES * FRAMES; time++) {
        int width = sizes[time / FRAMES][0], height = sizes[time / FRAMES][1];
        if (time && time % FRAMES == 0) {
            config.g_w = (unsigned)width;
            config.g_h = (unsigned)height;
            if (vpx_codec_enc_config_set(&codec, &config)) return 1;
        }
        vpx_image_t *image = vpx_img_alloc(NULL, VPX_IMG_FMT_I420, (unsigned)width, (unsigned)height, 16);
        if (!image) return 1;
        draw(image, width, height, time);
        if (vpx_codec_encode(&codec, image, time, 1, 0, VPX_DL_GOOD_QUALITY)) return 1;
        vpx_img_free(image);
        vpx_codec_iter_t next = NULL;
        const vpx_codec_cx_pkt_t *packet;
        while ((packet = vpx_codec_get_cx_data(&codec, &next))) {
            if (packet->kind != VPX_CODEC_CX_FRAME_PKT) continue;
            put(file, packet->data.frame.sz, 4);
            put(file, (unsigned long long)packet->data.frame.pts, 8);
            fwrite(packet->data.frame.buf, 1, packet->data.frame.sz, file);
        }
    }
    return fclose(file) != 0;
}
