// Pictures of a decoder (4:2:0, two planes, 8 or 10 bits) to R, G, B of the same size.
//
// The result is that of src/transform/linear.rs to the bit: 32-bit floats, each operation rounded by itself. Metal's
// compilers may fuse and reorder operations of floats, so there are none here: numbers are the bits of such floats, and
// they are multiplied, added and rounded in integers, which no compiler may change.
//
// kernel.metal is made of this file by scripts/build-metal.py; change both together.

struct Arguments {
    // channel = row.x (Y - luma) + (row.y (Cb - chroma) + row.z (Cr - chroma)); bits of floats, channels in the order of memory.
    // The last ones of the first two rows: column and row of the textures at which the picture begins, both even
    rows: array<vec4<u32>, 3>,
    luma: u32,
    chroma: u32,
    shift: u32,  // a sample is its word shifted right by this
    kind: u32,   // PACKED3 and so on
    width: u32,  // in pixels
    height: u32,
    pitch: u32,  // words from row to row of the result
    plane: u32,  // words from plane to plane of the result
}

const PACKED3 = 0u;     // three bytes a pixel
const ALPHA_LAST = 1u;  // three bytes and an opaque alpha
const ALPHA_FIRST = 2u; // an opaque alpha and three bytes
const FLOATS = 3u;      // three planes of floats

@group(0) @binding(0) var luma: texture_2d<u32>;
@group(0) @binding(1) var chroma: texture_2d<u32>;
@group(0) @binding(2) var<uniform> arguments: Arguments;
@group(0) @binding(3) var<storage, read_write> result: array<u32>;

const SIGN = 0x80000000u;
const MAGNITUDE = 0x7fffffffu;
const HIDDEN = 0x800000u;
const ONE = 0x3f800000u;

fn mantissa(x: u32) -> u32 {
    return (x & (HIDDEN - 1u)) | HIDDEN;
}

// by * (sample - offset), where the difference has 12 bits at most.
fn product(by: u32, sample: u32, offset: u32) -> u32 {
    let negative = sample < offset;
    let n = select(sample - offset, offset - sample, negative);
    if (n == 0u || (by & MAGNITUDE) == 0u) {
        return 0u;
    }
    let m = mantissa(by);
    // All of it is top * 4096 + bottom, in 24 to 36 bits.
    let low = (m & 4095u) * n;
    let top = (m >> 12u) * n + (low >> 12u);
    let bottom = low & 4095u;
    let extra = 20u - countLeadingZeros(top);
    let kept = (top << (12u - extra)) | (bottom >> extra);
    let lost = (bottom & ((1u << extra) - 1u)) * 2u;
    let middle = 1u << extra;
    let up = u32(lost > middle || (lost == middle && (kept & 1u) == 1u));
    let sign = (by & SIGN) ^ select(0u, SIGN, negative);
    return sign | (((((by & MAGNITUDE) >> 23u) + extra) << 23u) + (kept - HIDDEN) + up);
}

fn sum(x: u32, y: u32) -> u32 {
    let ordered = (x & MAGNITUDE) >= (y & MAGNITUDE);
    let large = select(y, x, ordered);
    let small = select(x, y, ordered);
    if ((small & MAGNITUDE) == 0u) {
        return large;
    }
    let exponent = (large & MAGNITUDE) >> 23u;
    let apart = min(exponent - ((small & MAGNITUDE) >> 23u), 31u);
    // Three bits below: the last one stands for all that is shifted out.
    let whole = mantissa(small) << 3u;
    let moved = whole >> apart;
    let addend = moved | u32((moved << apart) != whole);
    var total = mantissa(large) << 3u;
    if (((large ^ small) & SIGN) == 0u) {
        total += addend;
    } else {
        total -= addend;
    }
    if (total == 0u) {
        return 0u;
    }
    // The first bit belongs at 26.
    let zeros = countLeadingZeros(total);
    var scaled = exponent;
    if (zeros < 5u) {
        total = (total >> 1u) | (total & 1u);
        scaled += 1u;
    } else {
        total <<= zeros - 5u;
        scaled -= zeros - 5u;
    }
    let kept = total >> 3u;
    let lost = total & 7u;
    let up = u32(lost > 4u || (lost == 4u && (kept & 1u) == 1u));
    return (large & SIGN) | ((scaled << 23u) + (kept - HIDDEN) + up);
}

// The nearest byte, ties to even.
fn byte(x: u32) -> u32 {
    let exponent = x >> 23u;
    // Negative, or below a half.
    if ((x & SIGN) != 0u || exponent < 126u) {
        return 0u;
    }
    if (exponent >= 135u) {
        return 255u;
    }
    let m = mantissa(x);
    let below = 150u - exponent;
    let kept = m >> below;
    let lost = (m & ((1u << below) - 1u)) * 2u;
    let middle = 1u << below;
    return min(kept + u32(lost > middle || (lost == middle && (kept & 1u) == 1u)), 255u);
}

// Held between 0 and 1.
fn unit(x: u32) -> u32 {
    return select(min(x, ONE), 0u, (x & SIGN) != 0u);
}

fn tint(pair: vec2<u32>) -> vec3<u32> {
    var sums = vec3<u32>();
    for (var c = 0u; c < 3u; c++) {
        let row = arguments.rows[c];
        sums[c] = sum(product(row.y, pair.x, arguments.chroma), product(row.z, pair.y, arguments.chroma));
    }
    return sums;
}

// A thread makes four pixels of two rows, which share their chroma. Rows of the result are whole fours.
@compute @workgroup_size(32, 8)
fn vhw_convert(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x * 4u;
    let top = id.y * 2u;
    if (x >= arguments.width || top >= arguments.height) {
        return;
    }
    // Past the last column the last one goes on.
    let last = arguments.width - 1u;
    let corner = vec2<u32>(arguments.rows[0].w, arguments.rows[1].w);
    let pair = (corner + vec2<u32>(x, top)) >> vec2<u32>(1u);
    let next = (corner + vec2<u32>(min(x + 2u, last), top)) >> vec2<u32>(1u);
    let left = tint(textureLoad(chroma, pair, 0).xy >> vec2<u32>(arguments.shift));
    let right = tint(textureLoad(chroma, next, 0).xy >> vec2<u32>(arguments.shift));
    for (var y = top; y < min(top + 2u, arguments.height); y++) {
        // Given a value here: translators may declare it once for both rows.
        var words = array<vec4<u32>, 4>();
        for (var i = 0u; i < 4u; i++) {
            let code = textureLoad(luma, corner + vec2<u32>(min(x + i, last), y), 0).x >> arguments.shift;
            let chroma_part = select(right, left, i < 2u);
            for (var c = 0u; c < 3u; c++) {
                let value = sum(product(arguments.rows[c].x, code, arguments.luma), chroma_part[c]);
                if (arguments.kind == FLOATS) {
                    words[c][i] = unit(value);
                } else {
                    words[3][i] |= byte(value) << (8u * c);
                }
            }
        }
        let row = y * arguments.pitch;
        if (arguments.kind == FLOATS) {
            for (var c = 0u; c < 3u; c++) {
                for (var i = 0u; i < 4u; i++) {
                    result[row + c * arguments.plane + x + i] = words[c][i];
                }
            }
        } else if (arguments.kind == PACKED3) {
            let w = words[3];
            let at = row + id.x * 3u;
            result[at] = w.x | (w.y << 24u);
            result[at + 1u] = (w.y >> 8u) | (w.z << 16u);
            result[at + 2u] = (w.z >> 16u) | (w.w << 8u);
        } else {
            for (var i = 0u; i < 4u; i++) {
                let w = words[3][i];
                result[row + x + i] = select(w | 0xff000000u, (w << 8u) | 255u, arguments.kind == ALPHA_FIRST);
            }
        }
    }
}
