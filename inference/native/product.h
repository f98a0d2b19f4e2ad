// Products of int8 weights with rows rounded to int8, exact in integers within a group of neighbours, fp32 between them.
//
// Weights lie in panels of 32 rows, 4 columns of each row together, as two dot-product instructions read them; they are
// stored with 128 added, because that instruction wants its first operand unsigned. The 128 comes off again as 128
// times the sum of the row that was multiplied.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

constexpr int PANEL = 2 * WIDE;  // rows of weights that are multiplied together
// Neighbours in a row that share one scale. What a gate has multiplied has outliers: 64 everywhere cost 1.2% of the
// perplexity, 32 before the second product of the MLP 0.96%, and before the output of attention too 0.93%, both at no
// cost in time that could be seen; 32 everywhere cost 0.6% and a fifth of the speed.
constexpr int GROUP = 64, FINE_GROUP = 32;
// Rows multiplied together: as many as have their sums in registers.
#ifdef __AVX512F__
constexpr int TOGETHER = 6;
#else
constexpr int TOGETHER = 2;
#endif
// Rows up to which a product takes as long as reading its weights, and each thread rounds all rows for itself.
constexpr int FEW_ROWS = 8;
// Columns of a panel that rows go through before the next: 24 KiB of it stay in the first cache.
constexpr int DEPTH = 768;
// Weights are asked for so far in advance: all products of the default model, 8 rows on one Xeon core, 18 -> 11 ms.
constexpr int AHEAD_BYTES = 4096;

extern "C" struct Matrix {
    const uint8_t *weight;  // (rows / 32, cols / 4, 32, 4)
    const float *scale;     // (rows)
    int32_t rows, cols;     // multiples of 32 and of 64
    int32_t group;          // GROUP or FINE_GROUP
};

// From fp32 (rows, cols) to a matrix; rows up to the next multiple of 32 become zero.
inline void pack(const float *from, int rows, int cols, uint8_t *weight, float *scale) {
    for (int row = 0; row < (rows + PANEL - 1) / PANEL * PANEL; row++) {
        const float *values = from + size_t(row) * cols;
        uint8_t *to = weight + size_t(row / PANEL) * PANEL * cols + row % PANEL * 4;
        float largest = 0;
        for (int i = 0; row < rows && i < cols; i++) largest = std::max(largest, std::fabs(values[i]));
        const float inverse = largest > 0 ? 127 / largest : 0;
        scale[row] = largest / 127;
        for (int i = 0; i < cols; i += 4, to += 4 * PANEL)
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
        Floats offset{}, poison{};  // a value that is not finite makes the results so: the sampler must see it
        for (int g = 0; g < cols / group; g++) {
            const float *from = row + g * group;
            int8_t *to = values.data() + size_t(t) * cols + g * group;
            Floats most{};
            for (int i = 0; i < group; i += WIDE) {
                most = max(most, max(load(from + i), -load(from + i)));
                poison += 0.0f * load(from + i);
            }
            const float largest = highest(most), inverse = largest > 0 ? 127 / largest : 0, scale = largest / 127;
            Integers total{};
            for (int i = 0; i < group; i += WIDE) {
                const Integers rounded = round(load(from + i) * inverse);
                total += rounded;
                store(to + i, rounded);
            }
            scales[size_t(t) * (cols / group) + g] = scale;
            offset += __builtin_convertvector(total, Floats) * scale;
        }
        offsets[t] = 128 * sum(offset) + sum(poison);
    }
};

// Of each of 16 lanes: its four unsigned bytes times the same four signed ones, added in 32 bits.
inline Integers add_products(Integers sums, const uint8_t *weight, const int8_t *x) {
    int32_t four;
    std::memcpy(&four, x, 4);
#if defined(__AVX512VNNI__)
    return (Integers)_mm512_dpbusd_epi32((__m512i)sums, _mm512_loadu_si512(weight), _mm512_set1_epi32(four));
#elif defined(__AVXVNNI__)
    __m256i halves[2];
    std::memcpy(halves, &sums, sizeof halves);
    for (int i = 0; i < 2; i++)
        halves[i] = _mm256_dpbusd_avx_epi32(halves[i], _mm256_loadu_si256((const __m256i *)weight + i),
                                            _mm256_set1_epi32(four));
    std::memcpy(&sums, halves, sizeof halves);
    return sums;
#else
    for (int i = 0; i < WIDE; i++)
        for (int j = 0; j < 4; j++) sums[i] += int32_t(weight[4 * i + j]) * x[j];
    return sums;
#endif
}

// Some groups of COUNT rows times as many of a panel, added to `sums`, (COUNT, 32), or begun. Not inlined: whatever else
// its caller keeps in registers would push sums out of them, a third of the speed.
template <int COUNT, int GROUP, bool IS_FIRST>
[[gnu::noinline]] void add_groups(const uint8_t *weight, const int8_t *values, const float *scales, int cols,
                                  int num_groups, bool begins, float *sums) {
    Floats low[COUNT] = {}, high[COUNT] = {};
#pragma GCC unroll 8
    for (int t = 0; t < COUNT && !begins; t++)
        low[t] = load(sums + t * PANEL), high[t] = load(sums + t * PANEL + WIDE);
    for (int g = 0; g < num_groups; g++, values += GROUP, scales++) {
        Integers low_sums[COUNT] = {}, high_sums[COUNT] = {};
        for (int k = 0; k < GROUP; k += 4, weight += 4 * PANEL) {
            if (IS_FIRST) prefetch(weight + AHEAD_BYTES, 128);
#pragma GCC unroll 8
            for (int t = 0; t < COUNT; t++) {
                low_sums[t] = add_products(low_sums[t], weight, values + t * cols + k);
                high_sums[t] = add_products(high_sums[t], weight + 64, values + t * cols + k);
            }
        }
#pragma GCC unroll 8
        for (int t = 0; t < COUNT; t++) {
            const float scale = scales[t * (cols / GROUP)];
            low[t] += __builtin_convertvector(low_sums[t], Floats) * scale;
            high[t] += __builtin_convertvector(high_sums[t], Floats) * scale;
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < COUNT; t++) store(sums + t * PANEL, low[t]), store(sums + t * PANEL + WIDE, high[t]);
}

template <int COUNT, int GROUP>
void add_part(const Matrix &matrix, int panel, const Activations &x, int first, int from, int to, float *sums) {
    const uint8_t *weight = matrix.weight + (size_t(panel) * matrix.cols + from) * PANEL;
    const int8_t *values = x.values.data() + size_t(first) * x.cols + from;
    const float *scales = x.scales.data() + (size_t(first) * x.cols + from) / GROUP;
    const auto add = first == 0 ? add_groups<COUNT, GROUP, true> : add_groups<COUNT, GROUP, false>;
    add(weight, values, scales, x.cols, (to - from) / GROUP, from == 0, sums + first * PANEL);
}

// All rows times a panel: `use(t, low, high)` gets two times 16 results.
template <int GROUP, class Use>
void multiply_panel(const Matrix &matrix, int panel, const Activations &x, Use use) {
    thread_local std::vector<float> sums;
    sums.resize(size_t(x.count) * PANEL);
    const int blocks = (x.count + TOGETHER - 1) / TOGETHER;  // as equal as can be: 8 rows are 4 and 4
    for (int from = 0; from < matrix.cols; from += DEPTH)
        for (int block = 0; block < blocks; block++) {
            const int to = std::min(from + DEPTH, matrix.cols);
            const int first = x.count * block / blocks, count = x.count * (block + 1) / blocks - first;
            if (count == 1) add_part<1, GROUP>(matrix, panel, x, first, from, to, sums.data());
            else if (count == 2) add_part<2, GROUP>(matrix, panel, x, first, from, to, sums.data());
            else if constexpr (TOGETHER == 6) {
                if (count == 3) add_part<3, GROUP>(matrix, panel, x, first, from, to, sums.data());
                else if (count == 4) add_part<4, GROUP>(matrix, panel, x, first, from, to, sums.data());
                else if (count == 5) add_part<5, GROUP>(matrix, panel, x, first, from, to, sums.data());
                else add_part<6, GROUP>(matrix, panel, x, first, from, to, sums.data());
            }
        }
    const float *scale = matrix.scale + panel * PANEL;
    for (int t = 0; t < x.count; t++) {
        const float *row = sums.data() + size_t(t) * PANEL;
        const float offset = x.offsets[t];
        use(t, (load(row) - offset) * load(scale), (load(row + WIDE) - offset) * load(scale + WIDE));
    }
}

// A task of a few rows takes about this many bytes of weights: some microseconds. With many rows it is one panel.
constexpr int TASK_BYTES = 64 * 1024;

inline int panels_per_task(const Matrix &matrix, int count) {
    return count > FEW_ROWS ? 1 : std::max(1, TASK_BYTES / (PANEL * matrix.cols));
}

// How many tasks the first `num_rows` outputs of a product of `count` rows make.
inline int product_tasks(const Matrix &matrix, int num_rows, int count) {
    return (num_rows - 1) / (PANEL * panels_per_task(matrix, count)) + 1;
}

// `use(t, row, low, high)` gets 32 results of row t, from output `row` on; of the last panel, also those beyond num_rows.
template <class Use>
void multiply(const Matrix &matrix, const Activations &x, int task, int num_rows, Use use) {
    const int per_task = panels_per_task(matrix, x.count), panels = (num_rows + PANEL - 1) / PANEL;
    for (int panel = task * per_task; panel < std::min((task + 1) * per_task, panels); panel++) {
        auto use_panel = [&](int t, Floats low, Floats high) { use(t, panel * PANEL, low, high); };
        if (matrix.group == FINE_GROUP) multiply_panel<FINE_GROUP>(matrix, panel, x, use_panel);
        else multiply_panel<GROUP>(matrix, panel, x, use_panel);
    }
}
