// Made by scripts/build-metal.py from kernel.wgsl with naga 30.0.1; do not edit.
// language: metal2.0
#include <metal_stdlib>
#include <simd/simd.h>

using metal::uint;

struct type_2 {
    metal::uint4 inner[3];
};
struct Arguments {
    type_2 rows;
    uint luma;
    uint chroma;
    uint shift;
    uint kind;
    uint width;
    uint height;
    uint pitch;
    uint plane;
};
typedef uint type_4[1];
struct type_8 {
    metal::uint4 inner[4];
};
constant uint PACKED3_ = 0u;
constant uint ALPHA_LAST = 1u;
constant uint ALPHA_FIRST = 2u;
constant uint FLOATS = 3u;
constant uint SIGN = 2147483648u;
constant uint MAGNITUDE = 2147483647u;
constant uint HIDDEN = 8388608u;
constant uint ONE = 1065353216u;

uint mantissa(
    uint x
) {
    return (x & 8388607u) | HIDDEN;
}

uint product(
    uint by,
    uint sample,
    uint offset
) {
    bool local_1 = {};
    bool local_2 = {};
    bool local_3 = {};
    bool negative = sample < offset;
    uint n = negative ? (offset - sample) : (sample - offset);
    if (!((n == 0u))) {
        local_1 = (by & MAGNITUDE) == 0u;
    } else {
        local_1 = true;
    }
    bool _e17 = local_1;
    if (_e17) {
        return 0u;
    }
    uint _e19 = mantissa(by);
    uint low = (_e19 & 4095u) * n;
    uint top = ((_e19 >> 12u) * n) + (low >> 12u);
    uint bottom = low & 4095u;
    uint extra = 20u - metal::clz(top);
    uint kept = (top << (12u - extra)) | (bottom >> extra);
    uint lost = (bottom & ((1u << extra) - 1u)) * 2u;
    uint middle = 1u << extra;
    if (!((lost > middle))) {
        if (lost == middle) {
            local_3 = (kept & 1u) == 1u;
        } else {
            local_3 = false;
        }
        bool _e60 = local_3;
        local_2 = _e60;
    } else {
        local_2 = true;
    }
    bool _e62 = local_2;
    uint up = static_cast<uint>(_e62);
    uint sign = (by & SIGN) ^ (negative ? SIGN : 0u);
    return sign | ((((((by & MAGNITUDE) >> 23u) + extra) << 23u) + (kept - HIDDEN)) + up);
}

uint sum(
    uint x_1,
    uint y_1
) {
    uint total = {};
    uint scaled = {};
    bool local_4 = {};
    bool local_5 = {};
    bool ordered = (x_1 & MAGNITUDE) >= (y_1 & MAGNITUDE);
    uint large = ordered ? x_1 : y_1;
    uint small = ordered ? y_1 : x_1;
    if ((small & MAGNITUDE) == 0u) {
        return large;
    }
    uint exponent = (large & MAGNITUDE) >> 23u;
    uint apart = metal::min(exponent - ((small & MAGNITUDE) >> 23u), 31u);
    uint _e24 = mantissa(small);
    uint whole = _e24 << 3u;
    uint moved = whole >> apart;
    uint addend = moved | static_cast<uint>((moved << apart) != whole);
    uint _e32 = mantissa(large);
    total = _e32 << 3u;
    if (((large ^ small) & SIGN) == 0u) {
        uint _e41 = total;
        total = _e41 + addend;
    } else {
        uint _e43 = total;
        total = _e43 - addend;
    }
    uint _e45 = total;
    if (_e45 == 0u) {
        return 0u;
    }
    uint _e49 = total;
    uint zeros = metal::clz(_e49);
    scaled = exponent;
    if (zeros < 5u) {
        uint _e54 = total;
        uint _e57 = total;
        total = (_e54 >> 1u) | (_e57 & 1u);
        uint _e61 = scaled;
        scaled = _e61 + 1u;
    } else {
        uint _e64 = total;
        total = _e64 << (zeros - 5u);
        uint _e68 = scaled;
        scaled = _e68 - (zeros - 5u);
    }
    uint _e72 = total;
    uint kept_1 = _e72 >> 3u;
    uint _e75 = total;
    uint lost_1 = _e75 & 7u;
    if (!((lost_1 > 4u))) {
        if (lost_1 == 4u) {
            local_5 = (kept_1 & 1u) == 1u;
        } else {
            local_5 = false;
        }
        bool _e92 = local_5;
        local_4 = _e92;
    } else {
        local_4 = true;
    }
    bool _e94 = local_4;
    uint up_1 = static_cast<uint>(_e94);
    uint _e98 = scaled;
    return (large & SIGN) | (((_e98 << 23u) + (kept_1 - HIDDEN)) + up_1);
}

uint byte(
    uint x_2
) {
    bool local_6 = {};
    bool local_7 = {};
    bool local_8 = {};
    uint exponent_1 = x_2 >> 23u;
    if (!(((x_2 & SIGN) != 0u))) {
        local_6 = exponent_1 < 126u;
    } else {
        local_6 = true;
    }
    bool _e13 = local_6;
    if (_e13) {
        return 0u;
    }
    if (exponent_1 >= 135u) {
        return 255u;
    }
    uint _e18 = mantissa(x_2);
    uint below = 150u - exponent_1;
    uint kept_2 = _e18 >> below;
    uint lost_2 = (_e18 & ((1u << below) - 1u)) * 2u;
    uint middle_1 = 1u << below;
    if (!((lost_2 > middle_1))) {
        if (lost_2 == middle_1) {
            local_8 = (kept_2 & 1u) == 1u;
        } else {
            local_8 = false;
        }
        bool _e43 = local_8;
        local_7 = _e43;
    } else {
        local_7 = true;
    }
    bool _e45 = local_7;
    return metal::min(kept_2 + static_cast<uint>(_e45), 255u);
}

uint unit(
    uint x_3
) {
    return ((x_3 & SIGN) != 0u) ? 0u : metal::min(x_3, ONE);
}

metal::uint3 tint(
    metal::uint2 pair,
    constant Arguments& arguments
) {
    metal::uint3 sums = metal::uint3 {};
    uint c_2 = 0u;
    uint2 loop_bound = uint2(4294967295u);
    bool loop_init = true;
    while(true) {
        if (metal::all(loop_bound == uint2(0u))) { break; }
        loop_bound -= uint2(loop_bound.y == 0u, 1u);
        if (!loop_init) {
            uint _e29 = c_2;
            c_2 = _e29 + 1u;
        }
        loop_init = false;
        uint _e5 = c_2;
        if (_e5 < 3u) {
        } else {
            break;
        }
        {
            uint _e10 = c_2;
            metal::uint4 row = arguments.rows.inner[_e10];
            uint _e13 = c_2;
            uint _e19 = arguments.chroma;
            uint _e20 = product(row.y, pair.x, _e19);
            uint _e25 = arguments.chroma;
            uint _e26 = product(row.z, pair.y, _e25);
            uint _e27 = sum(_e20, _e26);
            sums[_e13] = _e27;
        }
    }
    metal::uint3 _e31 = sums;
    return _e31;
}

struct vhw_convertInput {
};
kernel void vhw_convert(
  metal::uint3 id [[thread_position_in_grid]]
, metal::texture2d<uint, metal::access::sample> luma [[texture(0)]]
, metal::texture2d<uint, metal::access::sample> chroma [[texture(1)]]
, constant Arguments& arguments [[buffer(0)]]
, device type_4& result [[buffer(1)]]
) {
    bool local = {};
    uint y = {};
    type_8 words = {};
    uint i = {};
    uint c = {};
    uint c_1 = {};
    uint i_1 = {};
    uint i_2 = {};
    uint x_4 = id.x * 4u;
    uint top_1 = id.y * 2u;
    uint _e9 = arguments.width;
    if (!((x_4 >= _e9))) {
        uint _e16 = arguments.height;
        local = top_1 >= _e16;
    } else {
        local = true;
    }
    bool _e19 = local;
    if (_e19) {
        return;
    }
    uint _e22 = arguments.width;
    uint last = _e22 - 1u;
    uint _e29 = arguments.rows.inner[0].w;
    uint _e34 = arguments.rows.inner[1].w;
    metal::uint2 corner = metal::uint2(_e29, _e34);
    metal::uint2 pair_1 = (corner + metal::uint2(x_4, top_1)) >> metal::uint2(1u);
    metal::uint2 next = (corner + metal::uint2(metal::min(x_4 + 2u, last), top_1)) >> metal::uint2(1u);
    metal::uint4 _e51 = chroma.read(metal::uint2(pair_1), 0);
    uint _e55 = arguments.shift;
    metal::uint3 _e58 = tint(_e51.xy >> metal::uint2(_e55), arguments);
    metal::uint4 _e61 = chroma.read(metal::uint2(next), 0);
    uint _e65 = arguments.shift;
    metal::uint3 _e68 = tint(_e61.xy >> metal::uint2(_e65), arguments);
    y = top_1;
    uint2 loop_bound_1 = uint2(4294967295u);
    bool loop_init_1 = true;
    while(true) {
        if (metal::all(loop_bound_1 == uint2(0u))) { break; }
        loop_bound_1 -= uint2(loop_bound_1.y == 0u, 1u);
        if (!loop_init_1) {
            uint _e259 = y;
            y = _e259 + 1u;
        }
        loop_init_1 = false;
        uint _e70 = y;
        uint _e75 = arguments.height;
        if (_e70 < metal::min(top_1 + 2u, _e75)) {
        } else {
            break;
        }
        {
            words = type_8 {};
            i = 0u;
            uint2 loop_bound_2 = uint2(4294967295u);
            bool loop_init_2 = true;
            while(true) {
                if (metal::all(loop_bound_2 == uint2(0u))) { break; }
                loop_bound_2 -= uint2(loop_bound_2.y == 0u, 1u);
                if (!loop_init_2) {
                    uint _e145 = i;
                    i = _e145 + 1u;
                }
                loop_init_2 = false;
                uint _e82 = i;
                if (_e82 < 4u) {
                } else {
                    break;
                }
                {
                    uint _e86 = i;
                    uint _e89 = y;
                    metal::uint4 _e93 = luma.read(metal::uint2(corner + metal::uint2(metal::min(x_4 + _e86, last), _e89)), 0);
                    uint _e97 = arguments.shift;
                    uint code = _e93.x >> _e97;
                    uint _e99 = i;
                    metal::uint3 chroma_part = (_e99 < 2u) ? _e58 : _e68;
                    c = 0u;
                    uint2 loop_bound_3 = uint2(4294967295u);
                    bool loop_init_3 = true;
                    while(true) {
                        if (metal::all(loop_bound_3 == uint2(0u))) { break; }
                        loop_bound_3 -= uint2(loop_bound_3.y == 0u, 1u);
                        if (!loop_init_3) {
                            uint _e142 = c;
                            c = _e142 + 1u;
                        }
                        loop_init_3 = false;
                        uint _e105 = c;
                        if (_e105 < 3u) {
                        } else {
                            break;
                        }
                        {
                            uint _e110 = c;
                            uint _e113 = arguments.rows.inner[_e110].x;
                            uint _e116 = arguments.luma;
                            uint _e117 = product(_e113, code, _e116);
                            uint _e118 = c;
                            uint _e120 = sum(_e117, chroma_part[_e118]);
                            uint _e123 = arguments.kind;
                            if (_e123 == FLOATS) {
                                uint _e126 = c;
                                uint _e128 = i;
                                uint _e130 = unit(_e120);
                                words.inner[_e126][_e128] = _e130;
                            } else {
                                uint _e132 = i;
                                uint _e134 = words.inner[3][_e132];
                                uint _e135 = byte(_e120);
                                uint _e137 = c;
                                words.inner[3][_e132] = _e134 | (_e135 << (8u * _e137));
                            }
                        }
                    }
                }
            }
            uint _e147 = y;
            uint _e150 = arguments.pitch;
            uint row_1 = _e147 * _e150;
            uint _e154 = arguments.kind;
            if (_e154 == FLOATS) {
                c_1 = 0u;
                uint2 loop_bound_4 = uint2(4294967295u);
                bool loop_init_4 = true;
                while(true) {
                    if (metal::all(loop_bound_4 == uint2(0u))) { break; }
                    loop_bound_4 -= uint2(loop_bound_4.y == 0u, 1u);
                    if (!loop_init_4) {
                        uint _e187 = c_1;
                        c_1 = _e187 + 1u;
                    }
                    loop_init_4 = false;
                    uint _e159 = c_1;
                    if (_e159 < 3u) {
                    } else {
                        break;
                    }
                    {
                        i_1 = 0u;
                        uint2 loop_bound_5 = uint2(4294967295u);
                        bool loop_init_5 = true;
                        while(true) {
                            if (metal::all(loop_bound_5 == uint2(0u))) { break; }
                            loop_bound_5 -= uint2(loop_bound_5.y == 0u, 1u);
                            if (!loop_init_5) {
                                uint _e184 = i_1;
                                i_1 = _e184 + 1u;
                            }
                            loop_init_5 = false;
                            uint _e164 = i_1;
                            if (_e164 < 4u) {
                            } else {
                                break;
                            }
                            {
                                uint _e168 = c_1;
                                uint _e171 = arguments.plane;
                                uint _e175 = i_1;
                                uint _e178 = c_1;
                                uint _e180 = i_1;
                                uint _e182 = words.inner[_e178][_e180];
                                result[((row_1 + (_e168 * _e171)) + x_4) + _e175] = _e182;
                            }
                        }
                    }
                }
            } else {
                uint _e191 = arguments.kind;
                if (_e191 == PACKED3_) {
                    metal::uint4 w = words.inner[3];
                    uint at = row_1 + (id.x * 3u);
                    result[at] = w.x | (w.y << 24u);
                    result[at + 1u] = (w.y >> 8u) | (w.z << 16u);
                    result[at + 2u] = (w.z >> 16u) | (w.w << 8u);
                } else {
                    i_2 = 0u;
                    uint2 loop_bound_6 = uint2(4294967295u);
                    bool loop_init_6 = true;
                    while(true) {
                        if (metal::all(loop_bound_6 == uint2(0u))) { break; }
                        loop_bound_6 -= uint2(loop_bound_6.y == 0u, 1u);
                        if (!loop_init_6) {
                            uint _e256 = i_2;
                            i_2 = _e256 + 1u;
                        }
                        loop_init_6 = false;
                        uint _e231 = i_2;
                        if (_e231 < 4u) {
                        } else {
                            break;
                        }
                        {
                            uint _e235 = i_2;
                            uint w_1 = words.inner[3][_e235];
                            uint _e240 = i_2;
                            uint _e251 = arguments.kind;
                            result[(row_1 + x_4) + _e240] = (_e251 == ALPHA_FIRST) ? ((w_1 << 8u) | 255u) : (w_1 | 4278190080u);
                        }
                    }
                }
            }
        }
    }
    return;
}
