// The part of Metal's standard library that kernels of integers use, for a C++ compiler: their own text runs on the CPU with it.
#pragma once

#define constant const
#define device
#define kernel

namespace metal {
using uint = unsigned int;

template <class T, int N> struct Lanes;
template <class T> struct Lanes<T, 2> {
    T x, y;
    Lanes() : x(), y() {}
    explicit Lanes(T all) : x(all), y(all) {}
    Lanes(T x, T y) : x(x), y(y) {}
    T &operator[](uint at) { return at == 0 ? x : y; }
    T operator[](uint at) const { return at == 0 ? x : y; }
};
template <class T> struct Lanes<T, 3> {
    T x, y, z;
    Lanes() : x(), y(), z() {}
    explicit Lanes(T all) : x(all), y(all), z(all) {}
    Lanes(T x, T y, T z) : x(x), y(y), z(z) {}
    T &operator[](uint at) { return at == 0 ? x : at == 1 ? y : z; }
    T operator[](uint at) const { return at == 0 ? x : at == 1 ? y : z; }
};
template <class T> struct alignas(4 * sizeof(T)) Lanes<T, 4> {
    union {
        struct { T x, y, z, w; };
        Lanes<T, 2> xy;
        T lanes[4];
    };
    Lanes() : lanes{} {}
    Lanes(T x, T y, T z, T w) : lanes{x, y, z, w} {}
    T &operator[](uint at) { return lanes[at]; }
    T operator[](uint at) const { return lanes[at]; }
};
using uint2 = Lanes<uint, 2>;
using uint3 = Lanes<uint, 3>;
using uint4 = Lanes<uint, 4>;
using bool2 = Lanes<bool, 2>;

inline uint2 operator>>(uint2 a, uint2 b) { return {a.x >> b.x, a.y >> b.y}; }
inline uint2 operator+(uint2 a, uint2 b) { return {a.x + b.x, a.y + b.y}; }
inline uint2 &operator-=(uint2 &a, uint2 b) { a.x -= b.x; a.y -= b.y; return a; }
inline bool2 operator==(uint2 a, uint2 b) { return {a.x == b.x, a.y == b.y}; }
inline bool all(bool2 a) { return a.x && a.y; }
inline uint min(uint a, uint b) { return a < b ? a : b; }
inline uint clz(uint a) { return a == 0 ? 32 : __builtin_clz(a); }

// Filled by the simulation.
struct Plane {
    const unsigned char *base;
    unsigned long pitch;
    uint width, height, bytes, channels;
    uint outside;
};
enum class access { sample, read };
template <class T, access A> struct texture2d {
    Plane *plane;
    texture2d(Plane *plane) : plane(plane) {}
    uint4 read(uint2 at, uint) const {
        if (at.x >= plane->width || at.y >= plane->height) {
            plane->outside = 1;
            return {};
        }
        const unsigned char *from = plane->base + at.y * plane->pitch + at.x * plane->bytes * plane->channels;
        auto sample = [&](uint channel) -> uint {
            if (channel >= plane->channels) return channel == 3;
            from += channel > 0 ? plane->bytes : 0;
            return plane->bytes == 1 ? from[0] : from[0] | from[1] << 8;
        };
        uint x = sample(0), y = sample(1);
        return {x, y, 0, 1};
    }
};

// A buffer as whatever the kernel takes it for.
struct Any {
    void *at;
    template <class T> operator T &() const { return *static_cast<T *>(at); }
};
} // namespace metal
using namespace metal;
