// Sixteen floats at a time, in the compiler's own vector types: one AVX-512 register, or two or four smaller ones.
// Sums are spelled out in vectors, not left to -ffast-math: that orders them by where the data happen to lie, and two
// threads gave two answers.
#pragma once

#include <cstdint>
#include <cstring>
#ifdef __AVX2__
#include <immintrin.h>
#endif

constexpr int WIDE = 16;

typedef float Floats __attribute__((vector_size(4 * WIDE)));
typedef uint32_t Words __attribute__((vector_size(4 * WIDE)));
typedef int32_t Integers __attribute__((vector_size(4 * WIDE)));
// The same where memory need not be aligned. Copying by memcpy instead goes through the stack: 15 times slower.
typedef float StoredFloats __attribute__((vector_size(4 * WIDE), aligned(4), may_alias));
typedef int8_t StoredBytes __attribute__((vector_size(WIDE), aligned(1), may_alias));
typedef uint16_t StoredHalves __attribute__((vector_size(2 * WIDE), aligned(2), may_alias));

inline Floats load(const float *from) { return *reinterpret_cast<const StoredFloats *>(from); }

inline void store(float *to, Floats all) { *reinterpret_cast<StoredFloats *>(to) = all; }

// bfloat16 is the upper half of fp32.
inline Floats widen(const uint16_t *from) {
#ifdef __AVX512F__
    Words words = (Words)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
#else
    Words words = __builtin_convertvector(*reinterpret_cast<const StoredHalves *>(from), Words);
#endif
    return (Floats)(words << 16);
}

// Where two vectors meet: lanes of `a` are 0 to 15, those of `b` 16 to 31.
#define PICK(a, b, w, x, y, z) \
    __builtin_shufflevector(a, b, w, x, y, z, w + 4, x + 4, y + 4, z + 4, w + 8, x + 8, y + 8, z + 8, w + 12, x + 12, \
                            y + 12, z + 12)
#define QUARTERS(a, b, w, x, y, z) \
    __builtin_shufflevector(a, b, w, w + 1, w + 2, w + 3, x, x + 1, x + 2, x + 3, y, y + 1, y + 2, y + 3, z, z + 1, \
                            z + 2, z + 3)

// The sums of sixteen vectors, in order: neighbours are folded into one vector, four times. In place.
inline Floats sums(Floats (&all)[WIDE]) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        all[i] = PICK(all[2 * i], all[2 * i + 1], 0, 16, 1, 17) + PICK(all[2 * i], all[2 * i + 1], 2, 18, 3, 19);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        all[i] = PICK(all[2 * i], all[2 * i + 1], 0, 1, 16, 17) + PICK(all[2 * i], all[2 * i + 1], 2, 3, 18, 19);
    for (int i = 0; i < 2; i++)
        all[i] = QUARTERS(all[2 * i], all[2 * i + 1], 0, 8, 16, 24) + QUARTERS(all[2 * i], all[2 * i + 1], 4, 12, 20, 28);
    return QUARTERS(all[0], all[1], 0, 8, 16, 24) + QUARTERS(all[0], all[1], 4, 12, 20, 28);
}

#undef PICK
#undef QUARTERS

inline float sum(Floats all) {
    float total = 0;
    for (int i = 0; i < WIDE; i++) total += all[i];
    return total;
}

inline float highest(Floats all) {
    float best = all[0];
    for (int i = 1; i < WIDE; i++) best = best > all[i] ? best : all[i];
    return best;
}

inline Floats fill(float value) { return Floats{} + value; }

// To the nearest, ties to even, up to 4 million: adding 1.5 * 2^23 leaves no room for digits behind the point.
inline Integers round(Floats x) { return __builtin_convertvector((x + 12582912.0f) - 12582912.0f, Integers); }

inline void store(int8_t *to, Integers all) {
    *reinterpret_cast<StoredBytes *>(to) = __builtin_convertvector(all, StoredBytes);
}

inline Floats max(Floats a, Floats b) { return a > b ? a : b; }

// e^x to 2e-7 of its size, by e^x = 2^n e^f with |f| <= ln(2)/2 and six terms of the series. Below -87 it stays 1e-38.
inline Floats exp(Floats x) {
    x = x > -87.0f ? x : fill(-87.0f);
    x = x < 88.0f ? x : fill(88.0f);
    const Integers power = round(x * 1.44269504f);
    const Floats f = x - __builtin_convertvector(power, Floats) * 0.693147181f;
    Floats series = f * (1 / 720.0f) + 1 / 120.0f;
    series = series * f + 1 / 24.0f;
    series = series * f + 1 / 6.0f;
    series = series * f + 0.5f;
    series = series * f + 1.0f;
    series = series * f + 1.0f;
    return series * (Floats)((power + 127) << 23);
}

// To the nearest, ties to even, as torch does; NaN stays NaN.
inline uint16_t narrow(float value) {
    uint32_t wide;
    std::memcpy(&wide, &value, 4);
    if ((wide & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return uint16_t((wide + 0x7fff + ((wide >> 16) & 1)) >> 16);
}

// One vector of CHUNKS * 16 values, in registers.
template <int CHUNKS>
struct Vector {
    Floats chunk[CHUNKS];

    static Vector of(const float *from) {
        Vector all;
#pragma GCC unroll 8
        for (int c = 0; c < CHUNKS; c++) all.chunk[c] = load(from + c * WIDE);
        return all;
    }

    void to(float *out) const {
#pragma GCC unroll 8
        for (int c = 0; c < CHUNKS; c++) store(out + c * WIDE, chunk[c]);
    }

    void add(const Vector &other, float factor) {
#pragma GCC unroll 8
        for (int c = 0; c < CHUNKS; c++) chunk[c] += other.chunk[c] * factor;
    }
};

// Sixteen of them, widened once and read for every head.
template <int CHUNKS>
struct Tile {
    alignas(64) float rows[WIDE][CHUNKS * WIDE];

    void set(int i, const uint16_t *from) {
#pragma GCC unroll 8
        for (int c = 0; c < CHUNKS; c++) store(rows[i] + c * WIDE, widen(from + c * WIDE));
    }

    Floats dot(const Vector<CHUNKS> &query) const {
        Floats products[WIDE];
#pragma GCC unroll 16
        for (int i = 0; i < WIDE; i++) {
            products[i] = load(rows[i]) * query.chunk[0];
#pragma GCC unroll 8
            for (int c = 1; c < CHUNKS; c++) products[i] += load(rows[i] + c * WIDE) * query.chunk[c];
        }
        return sums(products);
    }
};
