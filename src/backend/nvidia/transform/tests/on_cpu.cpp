// The kernels as plain C++: what CUDA adds to the language, and loops in place of threads.

#include <math.h>

struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// Rounded to the nearest, one by one: nothing is contracted (-ffp-contract=off).
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline int __float2int_rn(float a) { return (int)nearbyintf(a); }

struct Index { unsigned x, y, z; };
static thread_local Index threadIdx, blockIdx, blockDim;

#define __global__
#define __device__
#include "kernels.cu"

extern "C" void run_on_cpu(int kernel, const Arguments *arguments, const unsigned grid[3], const unsigned block[3]) {
    typedef void (*Kernel)(const Arguments);
    static const Kernel kernels[] = {
        vhw_convert_semi8, vhw_convert_semi16, vhw_convert_planar8, vhw_convert_planar16, vhw_scale_semi8,
        vhw_scale_semi16, vhw_scale_planar8, vhw_scale_planar16, vhw_shift16,
    };
    blockDim = {block[0], block[1], block[2]};
    for (unsigned at = 0; at < grid[0] * grid[1] * grid[2]; at++) {
        blockIdx = {at % grid[0], at / grid[0] % grid[1], at / grid[0] / grid[1]};
        for (unsigned thread = 0; thread < block[0] * block[1] * block[2]; thread++) {
            threadIdx = {thread % block[0], thread / block[0] % block[1], thread / block[0] / block[1]};
            kernels[kernel](*arguments);
        }
    }
}
