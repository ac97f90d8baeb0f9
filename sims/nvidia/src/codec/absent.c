/* In place of the codec libraries where there are none (Windows): nothing opens. What comes out of the simulation there was
 * recorded where they are. */
#include "shim.h"

#include <stdio.h>

#define NVSIM_ABSENT(lib)                                                                                      \
    void *nvsim_##lib##_open(const nvsim_settings *settings, char *message, size_t size) {                     \
        (void)settings;                                                                                        \
        snprintf(message, size, "%s", "there is no codec library on this system, and no recording of this");   \
        return NULL;                                                                                           \
    }                                                                                                          \
    int32_t nvsim_##lib##_headers(void *handle, nvsim_coded *out) { (void)handle; (void)out; return -1; }      \
    int32_t nvsim_##lib##_encode(void *handle, const nvsim_picture *picture, nvsim_coded *out) {               \
        (void)handle; (void)picture; (void)out;                                                                \
        return -1;                                                                                             \
    }                                                                                                          \
    void nvsim_##lib##_message(void *handle, char *message, size_t size) {                                     \
        (void)handle;                                                                                          \
        if (size > 0) message[0] = 0;                                                                          \
    }                                                                                                          \
    void nvsim_##lib##_close(void *handle) { (void)handle; }

NVSIM_ABSENT(x264)
NVSIM_ABSENT(x265)
NVSIM_ABSENT(av1)

int32_t nvsim_x264_reconfigure(void *handle, const nvsim_settings *settings) { (void)handle; (void)settings; return -1; }

void *sim_avdec_open(int codec, const uint8_t *extradata, size_t size, int64_t max_pixels) {
    (void)codec; (void)extradata; (void)size; (void)max_pixels;
    return NULL;
}
void *sim_avdec_open_display(int codec, int64_t max_pixels) { (void)codec; (void)max_pixels; return NULL; }
int sim_avdec_send(void *decoder, const uint8_t *data, size_t size, int64_t number) {
    (void)decoder; (void)data; (void)size; (void)number;
    return -1;
}
int sim_avdec_take(void *decoder) { (void)decoder; return -1; }
int sim_avdec_decode(void *decoder, const uint8_t *data, size_t size) { (void)decoder; (void)data; (void)size; return 0; }
int sim_avdec_picture(const void *decoder, void *out) { (void)decoder; (void)out; return -1; }
void sim_avdec_close(void *decoder) { (void)decoder; }
