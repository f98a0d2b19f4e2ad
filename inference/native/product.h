// Products of int8 weights with rows rounded to int8, exact in integers within a group of neighbours, fp32 between them.
//
// Weights lie in tiles of 16 rows, 4 columns of each row together, as one dot-product instruction reads them; they are
// stored with 128 added, because that instruction wants its first operand unsigned. The 128 comes off again as 128
// times the sum of the row that was multiplied.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

constexpr int LANES = 16;  // rows of a tile
// Neighbours in a row that share one scale. What a gate has multiplied has outliers: 64 everywhere cost 1.2% of the
// perplexity, 32 before the second product of the MLP 0.9%, 32 everywhere 0.6% and a fifth of the speed.
constexpr int GROUP = 64, FINE_GROUP = 32;
constexpr int BATCH = 8;   // rows that share one reading of the weights
// Weights are asked for so far in advance: all products of the default model, 8 rows on one core, 18 -> 11 ms.
constexpr int AHEAD_BYTES = 4096;

extern "C" struct Matrix {
    const uint8_t *weight;  // (rows / 16, cols / 4, 16, 4)
    const float *scale;     // (rows)
    int32_t rows, cols;     // multiples of 16 and of 64
    int32_t group;          // GROUP or FINE_GROUP
};

// From fp32 (rows, cols) to a matrix; rows up to the next multiple of 16 become zero.
inline void pack(const float *from, int rows, int cols, uint8_t *weight, float *scale) {
    for (int row = 0; row < (rows + LANES - 1) / LANES * LANES; row++) {
        const float *values = from + size_t(row) * cols;
        uint8_t *to = weight + size_t(row / LANES) * LANES * cols + row % LANES * 4;
        float largest = 0;
        for (int i = 0; row < rows && i < cols; i++) largest = std::max(largest, std::fabs(values[i]));
        const float inverse = largest > 0 ? 127 / largest : 0;
        scale[row] = largest / 127;
        for (int i = 0; i < cols; i += 4, to += 4 * LANES)
            for (int j = 0; j < 4; j++)
                to[j] = uint8_t(128 + (inverse > 0 ? int(std::nearbyintf(values[i + j] * inverse)) : 0));
    }
}

// Rows as a product reads them.
class Activations {
  public:
    int count = 0, cols = 0, group = GROUP;
    std::vector<int8_t> values;   // (T, cols)
    std::vector<float> scales;    // (T, cols / group)
    std::vector<float> offsets;   // (T): what the 128 adds

    void resize(int new_count, const Matrix &reader) {
        count = new_count, cols = reader.cols, group = reader.group;
        values.resize(size_t(count) * cols);
        scales.resize(size_t(count) * (cols / group));
        offsets.resize(count);
    }

    void set(int t, const float *row) {
        float offset = 0;
        for (int g = 0; g < cols / group; g++) {
            const float *from = row + g * group;
            int8_t *to = values.data() + size_t(t) * cols + g * group;
            Floats most{}, poison{};  // a value that is not finite makes the results so: the sampler must see it
            for (int i = 0; i < group; i += WIDE) {
                most = max(most, max(load(from + i), -load(from + i)));
                poison += 0.0f * load(from + i);
            }
            const float largest = highest(most), inverse = largest > 0 ? 127 / largest : 0;
            const float scale = largest / 127 + sum(poison);
            Integers total{};
            for (int i = 0; i < group; i += WIDE) {
                const Integers rounded = round(load(from + i) * inverse);
                total += rounded;
                store(to + i, rounded);
            }
            int units = 0;
            for (int i = 0; i < WIDE; i++) units += total[i];
            scales[size_t(t) * (cols / group) + g] = scale;
            offset += scale * units;
        }
        offsets[t] = 128 * offset;
    }
};

// Each of 16 lanes: its four unsigned bytes times the same four signed ones, summed in 32 bits.
#if defined(__AVX512VNNI__)
struct Sums {
    __m512i lanes = _mm512_setzero_si512();
    void add(const uint8_t *weight, const int8_t *x) {
        int32_t four;
        std::memcpy(&four, x, 4);
        lanes = _mm512_dpbusd_epi32(lanes, _mm512_loadu_si512(weight), _mm512_set1_epi32(four));
    }
    void scale_into(float *out, float scale) const {
        _mm512_storeu_ps(out, _mm512_fmadd_ps(_mm512_cvtepi32_ps(lanes), _mm512_set1_ps(scale), _mm512_loadu_ps(out)));
    }
};
#elif defined(__AVXVNNI__)
struct Sums {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
    void add(const uint8_t *weight, const int8_t *x) {
        int32_t four;
        std::memcpy(&four, x, 4);
        const __m256i all = _mm256_set1_epi32(four);
        low = _mm256_dpbusd_avx_epi32(low, _mm256_loadu_si256((const __m256i *)weight), all);
        high = _mm256_dpbusd_avx_epi32(high, _mm256_loadu_si256((const __m256i *)(weight + 32)), all);
    }
    void scale_into(float *out, float scale) const {
        const __m256 all = _mm256_set1_ps(scale);
        _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_cvtepi32_ps(low), all, _mm256_loadu_ps(out)));
        _mm256_storeu_ps(out + 8, _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), all, _mm256_loadu_ps(out + 8)));
    }
};
#else
struct Sums {
    int32_t lanes[LANES] = {};
    void add(const uint8_t *weight, const int8_t *x) {
        for (int i = 0; i < LANES; i++)
            for (int j = 0; j < 4; j++) lanes[i] += int32_t(weight[4 * i + j]) * x[j];
    }
    void scale_into(float *out, float scale) const {
        for (int i = 0; i < LANES; i++) out[i] += float(lanes[i]) * scale;
    }
};
#endif

// One tile times COUNT rows from `first` on; `out` is (COUNT, 16).
template <int COUNT, int GROUP>
void multiply_tile(const Matrix &matrix, int tile, const Activations &x, int first, float *out) {
    const uint8_t *weight = matrix.weight + size_t(tile) * LANES * matrix.cols;
    const int groups = matrix.cols / GROUP;
    std::memset(out, 0, sizeof(float) * COUNT * LANES);
    for (int g = 0; g < groups; g++) {
        Sums sums[COUNT];
        for (int k = 0; k < GROUP; k += 4, weight += 4 * LANES) {
            __builtin_prefetch(weight + AHEAD_BYTES);
            for (int t = 0; t < COUNT; t++)
                sums[t].add(weight, x.values.data() + size_t(first + t) * x.cols + g * GROUP + k);
        }
        for (int t = 0; t < COUNT; t++)
            sums[t].scale_into(out + t * LANES, x.scales[size_t(first + t) * groups + g]);
    }
    for (int t = 0; t < COUNT; t++)
        for (int i = 0; i < LANES; i++)
            out[t * LANES + i] = (out[t * LANES + i] - x.offsets[first + t]) * matrix.scale[tile * LANES + i];
}

template <int GROUP>
void multiply_tile(const Matrix &matrix, int tile, const Activations &x, int first, int count, float *out) {
    switch (count) {
        case 1: return multiply_tile<1, GROUP>(matrix, tile, x, first, out);
        case 2: return multiply_tile<2, GROUP>(matrix, tile, x, first, out);
        case 3: return multiply_tile<3, GROUP>(matrix, tile, x, first, out);
        case 4: return multiply_tile<4, GROUP>(matrix, tile, x, first, out);
        case 5: return multiply_tile<5, GROUP>(matrix, tile, x, first, out);
        case 6: return multiply_tile<6, GROUP>(matrix, tile, x, first, out);
        case 7: return multiply_tile<7, GROUP>(matrix, tile, x, first, out);
        default: return multiply_tile<BATCH, GROUP>(matrix, tile, x, first, out);
    }
}

inline void multiply_tile(const Matrix &matrix, int tile, const Activations &x, int first, int count, float *out) {
    if (matrix.group == FINE_GROUP) return multiply_tile<FINE_GROUP>(matrix, tile, x, first, count, out);
    return multiply_tile<GROUP>(matrix, tile, x, first, count, out);
}

// A task takes about this many bytes of weights: some microseconds.
constexpr int TASK_BYTES = 64 * 1024;

inline int tiles_per_task(int cols, int together = 1) {
    return std::max(1, TASK_BYTES / (LANES * cols * together)) * together;
}

// How many tasks a product of so many rows makes; `together` neighbouring tiles stay in one task.
inline int tiles(int rows, int cols, int together = 1) {
    const int per_task = tiles_per_task(cols, together), count = (rows + LANES - 1) / LANES;
    return (count + per_task - 1) / per_task;
}

// `use(t, row, y)` gets 16 results of row t, from output `row` on.
template <class Use>
void multiply(const Matrix &matrix, const Activations &x, int task, int num_rows, Use use) {
    alignas(64) float y[BATCH * LANES];
    const int per_task = tiles_per_task(matrix.cols);
    for (int tile = task * per_task; tile < std::min((task + 1) * per_task, (num_rows + LANES - 1) / LANES); tile++)
        for (int first = 0; first < x.count; first += BATCH) {
            const int count = std::min(BATCH, x.count - first);
            multiply_tile(matrix, tile, x, first, count, y);
            for (int t = 0; t < count; t++) use(first + t, tile * LANES, y + t * LANES);
        }
}

// The same where tiles come in pairs: `use(t, row, a, b)` gets 16 results of each, `row` counts in one of the halves.
template <class Use>
void multiply_pairs(const Matrix &matrix, const Activations &x, int task, Use use) {
    alignas(64) float a[BATCH * LANES], b[BATCH * LANES];
    const int per_task = tiles_per_task(matrix.cols, 2);
    for (int tile = task * per_task; tile < std::min((task + 1) * per_task, matrix.rows / LANES); tile += 2)
        for (int first = 0; first < x.count; first += BATCH) {
            const int count = std::min(BATCH, x.count - first);
            multiply_tile(matrix, tile, x, first, count, a);
            multiply_tile(matrix, tile + 1, x, first, count, b);
            for (int t = 0; t < count; t++) use(first + t, tile / 2 * LANES, a + t * LANES, b + t * LANES);
        }
}
