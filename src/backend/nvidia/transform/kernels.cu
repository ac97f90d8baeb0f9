// Decoded pictures to R, G, B on the GPU.
//
// One kernel for each layout of the source; everything else (matrix, range, bit depth, order of the channels) is in
// the arguments. The text keeps to what a plain C++ compiler also takes, so that a test can run it on the CPU.
//
// Compiled to kernels.ptx by scripts/build-kernels.py; change both together.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct Plane {
    u64 address;
    u64 pitch; // bytes from one row to the next
};

enum Target : u32 {
    PACKED3 = 0,     // three bytes a pixel
    ALPHA_LAST = 1,  // three bytes and an opaque alpha
    ALPHA_FIRST = 2, // an opaque alpha and three bytes
    FLOATS = 3,      // three planes of floats
};

// The layout is that of `Arguments` in arguments.rs.
struct Arguments {
    Plane source[3];
    Plane target[3];
    u32 width, height; // of the target, in pixels
    u32 source_width, source_height;
    u32 shift;          // a sample is its 16-bit word shifted right by this
    u32 kind;           // Target
    u32 source_aligned; // whether four samples may be read at once
    u32 target_aligned; // whether four pixels may be written at once
    // channel = row[0] (Y - offset[0]) + (row[1] (Cb - offset[1]) + row[2] (Cr - offset[1])), in codes of the target
    float rows[3][3];
    float offset[2];
    float most; // the largest value of a channel: 255, or 1 for floats
};

// Up to four pixels of a row.
struct Pixels {
    float channel[3][4];
};

static __device__ inline u32 smaller(u32 a, u32 b) { return a < b ? a : b; }
static __device__ inline int inside(int value, int last) { return value < 0 ? 0 : value > last ? last : value; }

template <typename Sample> static __device__ inline Sample *row_of(const Plane &plane, u32 y) {
    return (Sample *)(plane.address + y * plane.pitch);
}

static __device__ inline void load_four(const u8 *from, u32 to[4]) {
    u32 word = *(const u32 *)from;
    to[0] = word & 255;
    to[1] = word >> 8 & 255;
    to[2] = word >> 16 & 255;
    to[3] = word >> 24;
}

static __device__ inline void load_four(const u16 *from, u32 to[4]) {
    uint2 words = *(const uint2 *)from;
    to[0] = words.x & 65535;
    to[1] = words.x >> 16;
    to[2] = words.y & 65535;
    to[3] = words.y >> 16;
}

// `count` samples of a row from `x`, a multiple of four.
template <typename Sample>
static __device__ inline void load(const Arguments &a, int plane, u32 x, u32 y, u32 count, u32 to[4]) {
    const Sample *from = row_of<Sample>(a.source[plane], y) + x;
    if (count == 4 && a.source_aligned) {
        load_four(from, to);
    } else {
        for (u32 i = 0; i < 4; i++) to[i] = i < count ? from[i] : 0;
    }
    for (u32 i = 0; i < 4; i++) to[i] >>= a.shift;
}

static __device__ inline void matrix(const Arguments &a, Pixels &pixels, int at, float y, float cb, float cr) {
    y -= a.offset[0];
    cb -= a.offset[1];
    cr -= a.offset[1];
    for (int c = 0; c < 3; c++) {
        // Each operation is rounded by itself, in this order, as in src/transform/linear.rs: the same bytes everywhere.
        float chroma = __fadd_rn(__fmul_rn(a.rows[c][1], cb), __fmul_rn(a.rows[c][2], cr));
        float value = __fadd_rn(__fmul_rn(a.rows[c][0], y), chroma);
        pixels.channel[c][at] = fminf(fmaxf(value, 0.0f), a.most);
    }
}

// Writes `count` pixels of a row from `x` on.
static __device__ inline void store(const Arguments &a, u32 x, u32 y, u32 count, const Pixels &pixels) {
    if (a.kind == FLOATS) {
        for (int c = 0; c < 3; c++) {
            float *to = row_of<float>(a.target[c], y) + x;
            const float *from = pixels.channel[c];
            if (count == 4 && a.target_aligned) {
                *(float4 *)to = make_float4(from[0], from[1], from[2], from[3]);
            } else {
                for (u32 i = 0; i < 4; i++) if (i < count) to[i] = from[i];
            }
        }
        return;
    }
    u32 word[4];
    for (int i = 0; i < 4; i++) {
        u32 first = (u32)__float2int_rn(pixels.channel[0][i]);
        u32 second = (u32)__float2int_rn(pixels.channel[1][i]);
        u32 third = (u32)__float2int_rn(pixels.channel[2][i]);
        word[i] = first | second << 8 | third << 16;
    }
    if (a.kind == PACKED3) {
        u8 *to = row_of<u8>(a.target[0], y) + x * 3;
        if (count == 4 && a.target_aligned) {
            ((u32 *)to)[0] = word[0] | word[1] << 24;
            ((u32 *)to)[1] = word[1] >> 8 | word[2] << 16;
            ((u32 *)to)[2] = word[2] >> 16 | word[3] << 8;
        } else {
            for (u32 i = 0; i < 4; i++) {
                if (i < count) {
                    to[i * 3] = (u8)word[i];
                    to[i * 3 + 1] = (u8)(word[i] >> 8);
                    to[i * 3 + 2] = (u8)(word[i] >> 16);
                }
            }
        }
        return;
    }
    for (int i = 0; i < 4; i++) {
        word[i] = a.kind == ALPHA_FIRST ? word[i] << 8 | 255u : word[i] | 255u << 24;
    }
    u8 *to = row_of<u8>(a.target[0], y) + x * 4;
    if (count == 4 && a.target_aligned) {
        *(uint4 *)to = make_uint4(word[0], word[1], word[2], word[3]);
    } else {
        for (u32 i = 0; i < 4; i++) {
            if (i < count) {
                to[i * 4] = (u8)word[i];
                to[i * 4 + 1] = (u8)(word[i] >> 8);
                to[i * 4 + 2] = (u8)(word[i] >> 16);
                to[i * 4 + 3] = (u8)(word[i] >> 24);
            }
        }
    }
}

// The same size: a thread makes four pixels of two rows, which share their chroma in 4:2:0.
template <typename Sample, bool SEMI_PLANAR> static __device__ inline void convert(const Arguments &a) {
    u32 x = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    u32 top = (blockIdx.y * blockDim.y + threadIdx.y) * 2;
    if (x >= a.width || top >= a.height) return;
    u32 count = smaller(4, a.width - x);
    u32 pairs[4];
    if (SEMI_PLANAR) load<Sample>(a, 1, x, top / 2, (count + 1) / 2 * 2, pairs);
    for (u32 y = top; y < smaller(top + 2, a.height); y++) {
        u32 luma[4], cb[4], cr[4];
        load<Sample>(a, 0, x, y, count, luma);
        if (SEMI_PLANAR) {
            for (int i = 0; i < 4; i++) {
                cb[i] = pairs[i / 2 * 2];
                cr[i] = pairs[i / 2 * 2 + 1];
            }
        } else {
            load<Sample>(a, 1, x, y, count, cb);
            load<Sample>(a, 2, x, y, count, cr);
        }
        Pixels pixels;
        for (int i = 0; i < 4; i++) matrix(a, pixels, i, (float)luma[i], (float)cb[i], (float)cr[i]);
        store(a, x, y, count, pixels);
    }
}

// The samples that one new sample is made of, along one axis.
struct Window {
    int first, last; // samples, before they are held inside the picture
    int whole;       // the centre is at `whole + part`
    float part;
    float narrow; // 1 / half the width of the triangle
};

// Outer edges are aligned: sample `at` of `to` is centred at (at + 1/2) from / to - 1/2. Exact in integers for sizes up
// to 16384.
static __device__ inline Window window(u32 at, u32 from, u32 to) {
    u32 whole_part = 2 * to;
    // One is added so that it is never negative.
    u32 center = (2 * at + 1) * from + to;
    Window w;
    w.whole = (int)(center / whole_part) - 1;
    w.part = (float)(center % whole_part) / (float)whole_part;
    float half = from > to ? (float)from / (float)to : 1.0f;
    w.narrow = 1.0f / half;
    w.first = w.whole + (int)ceilf(w.part - half);
    w.last = w.whole + (int)floorf(w.part + half);
    return w;
}

static __device__ inline float weight(const Window &w, int at) {
    return fmaxf(0.0f, 1.0f - fabsf((float)(at - w.whole) - w.part) * w.narrow);
}

// The weighted mean of CHANNELS interleaved samples of a plane. Past its edges the last sample goes on.
template <typename Sample, int CHANNELS>
static __device__ inline void mean(
    const Arguments &a, int plane, const Window &across, const Window &down, u32 width, u32 height, float to[CHANNELS]) {
    float total = 0.0f, rows = 0.0f;
    for (int c = 0; c < CHANNELS; c++) to[c] = 0.0f;
    for (int x = across.first; x <= across.last; x++) total += weight(across, x);
    for (int y = down.first; y <= down.last; y++) {
        const Sample *row = row_of<Sample>(a.source[plane], (u32)inside(y, (int)height - 1));
        float sum[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) sum[c] = 0.0f;
        for (int x = across.first; x <= across.last; x++) {
            const Sample *sample = row + inside(x, (int)width - 1) * CHANNELS;
            float by = weight(across, x);
            for (int c = 0; c < CHANNELS; c++) sum[c] += by * (float)(sample[c] >> a.shift);
        }
        float by = weight(down, y);
        for (int c = 0; c < CHANNELS; c++) to[c] += by * sum[c];
        rows += by;
    }
    for (int c = 0; c < CHANNELS; c++) to[c] /= total * rows;
}

// Another size: a thread makes one pixel. Planes are scaled each for itself, and chroma is then repeated.
template <typename Sample, bool SEMI_PLANAR> static __device__ inline void scale(const Arguments &a) {
    u32 x = blockIdx.x * blockDim.x + threadIdx.x;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= a.width || y >= a.height) return;
    Window across = window(x, a.source_width, a.width);
    Window down = window(y, a.source_height, a.height);
    float luma[1], chroma[2];
    mean<Sample, 1>(a, 0, across, down, a.source_width, a.source_height, luma);
    if (SEMI_PLANAR) {
        u32 width = (a.source_width + 1) / 2, height = (a.source_height + 1) / 2;
        across = window(x / 2, width, (a.width + 1) / 2);
        down = window(y / 2, height, (a.height + 1) / 2);
        mean<Sample, 2>(a, 1, across, down, width, height, chroma);
    } else {
        mean<Sample, 1>(a, 1, across, down, a.source_width, a.source_height, chroma);
        mean<Sample, 1>(a, 2, across, down, a.source_width, a.source_height, chroma + 1);
    }
    Pixels pixels;
    for (int i = 0; i < 4; i++) matrix(a, pixels, i, luma[0], chroma[0], chroma[1]);
    store(a, x, y, 1, pixels);
}

extern "C" {

__global__ void vhw_convert_semi8(const Arguments a) { convert<u8, true>(a); }
__global__ void vhw_convert_semi16(const Arguments a) { convert<u16, true>(a); }
__global__ void vhw_convert_planar8(const Arguments a) { convert<u8, false>(a); }
__global__ void vhw_convert_planar16(const Arguments a) { convert<u16, false>(a); }
__global__ void vhw_scale_semi8(const Arguments a) { scale<u8, true>(a); }
__global__ void vhw_scale_semi16(const Arguments a) { scale<u16, true>(a); }
__global__ void vhw_scale_planar8(const Arguments a) { scale<u8, false>(a); }
__global__ void vhw_scale_planar16(const Arguments a) { scale<u16, false>(a); }

// Samples moved to the low bits of their words: three planes of one size, each a layer of the grid.
__global__ void vhw_shift16(const Arguments a) {
    u32 x = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    u32 y = blockIdx.y * blockDim.y + threadIdx.y;
    u32 plane = blockIdx.z;
    if (x >= a.width || y >= a.height || plane >= 3) return;
    u32 count = smaller(4, a.width - x);
    u32 samples[4];
    load<u16>(a, (int)plane, x, y, count, samples);
    u16 *to = row_of<u16>(a.target[plane], y) + x;
    if (count == 4 && a.target_aligned) {
        *(uint2 *)to = make_uint2(samples[0] | samples[1] << 16, samples[2] | samples[3] << 16);
    } else {
        for (u32 i = 0; i < 4; i++) if (i < count) to[i] = (u16)samples[i];
    }
}

}
