/* In place of the codec libraries where there are none (Windows): nothing opens. What comes out of the simulation there was
 * recorded where they are (recorded.rs). */
#include <stddef.h>
#include <stdint.h>

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

void *sim_encoder_open(const void *settings) { (void)settings; return NULL; }
const uint8_t *sim_encoder_sets(const void *encoder, size_t *size) { (void)encoder; *size = 0; return NULL; }
void sim_encoder_rate(void *encoder, int64_t bit_rate, int64_t max_rate, int64_t buffer) {
    (void)encoder; (void)bit_rate; (void)max_rate; (void)buffer;
}
int sim_encoder_send(void *encoder, const uint8_t *const *planes, int64_t number, int key) {
    (void)encoder; (void)planes; (void)number; (void)key;
    return -1;
}
int sim_encoder_receive(void *encoder, const uint8_t **data, size_t *size, int64_t *number, int *key, int *kind) {
    (void)encoder; (void)data; (void)size; (void)number; (void)key; (void)kind;
    return -1;
}
void sim_encoder_close(void *encoder) { (void)encoder; }
