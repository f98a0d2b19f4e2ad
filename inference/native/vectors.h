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

inline Words load_words(const uint32_t *from) {
    Words words;
    std::memcpy(&words, from, sizeof words);
    return words;
}

// Asks memory for some bytes, for the second cache: as many lines as the first can wait for at once are two thirds of what
// an EPYC's core may have. A step of 1 row 9.1 -> 7.2 ms, of 8 rows 31 -> 26, after 540 tokens, one thread.
inline void prefetch(const void *from, int num_bytes) {
    for (int i = 0; i < num_bytes; i += 64) __builtin_prefetch(static_cast<const char *>(from) + i, 0, 2);
}

inline void store(uint32_t *to, Words all) { std::memcpy(to, &all, sizeof all); }

inline void store(float *to, Floats all) { *reinterpret_cast<StoredFloats *>(to) = all; }

inline Words extend(const uint16_t *from) {
#ifdef __AVX512F__
    return (Words)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
#else
    return __builtin_convertvector(*reinterpret_cast<const StoredHalves *>(from), Words);
#endif
}

// bfloat16 is the upper half of fp32.
inline Floats widen(const uint16_t *from) { return (Floats)(extend(from) << 16); }

inline Floats max(Floats a, Floats b) { return a > b ? a : b; }

// All lanes, halves upon halves.
#define FOLD(all, with)                                                                                            \
    all = with(all, __builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));      \
    all = with(all, __builtin_shufflevector(all, all, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));      \
    all = with(all, __builtin_shufflevector(all, all, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));      \
    all = with(all, __builtin_shufflevector(all, all, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));

inline Floats add(Floats a, Floats b) { return a + b; }

inline float sum(Floats all) {
    FOLD(all, add)
    return all[0];
}

inline float highest(Floats all) {
    FOLD(all, max)
    return all[0];
}

#undef FOLD

inline Floats fill(float value) { return Floats{} + value; }

// To the nearest, ties to even, up to 4 million: adding 1.5 * 2^23 leaves no room for digits behind the point.
inline Integers round(Floats x) { return __builtin_convertvector((x + 12582912.0f) - 12582912.0f, Integers); }

inline void store(int8_t *to, Integers all) {
    *reinterpret_cast<StoredBytes *>(to) = __builtin_convertvector(all, StoredBytes);
}

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

// To bfloat16: the nearest, ties to even, as torch does; NaN stays NaN.
inline void narrow(Floats values, uint16_t *to) {
#ifdef __AVX512BF16__
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), (__m256i)_mm512_cvtneps_pbh((__m512)values));
#else
    const Words wide = (Words)values, rounded = (wide + 0x7fff + ((wide >> 16) & 1)) >> 16;
    const Words halves = (wide & 0x7fffffff) > 0x7f800000 ? Words{} + 0x7fc0 : rounded;
    *reinterpret_cast<StoredHalves *>(to) = __builtin_convertvector(halves, StoredHalves);
#endif
}
