// Cached vectors as attention reads them: bfloat16 in pairs, two products of each lane added at once.
//
// A tile is laid out once and read for every query of its rows. Each sum is taken in one order, whatever is computed
// beside it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "vectors.h"

typedef uint32_t Pair;  // two bfloat16, the first in the lower half

// Of each lane: both products of a pair, added to the sum.
inline Floats add_pairs(Floats sums, Words a, Words b) {
#ifdef __AVX512BF16__
    return (Floats)_mm512_dpbf16_ps((__m512)sums, (__m512bh)a, (__m512bh)b);
#else
    return sums + (Floats)(a << 16) * (Floats)(b << 16) + (Floats)(a & 0xffff0000u) * (Floats)(b & 0xffff0000u);
#endif
}

// Four times four lanes: within each quarter those of `a`, then of `b` (16 and more).
#define IN_QUARTERS(a, b, w, x, y, z) \
    __builtin_shufflevector(a, b, w, x, y, z, w + 4, x + 4, y + 4, z + 4, w + 8, x + 8, y + 8, z + 8, w + 12, x + 12, \
                            y + 12, z + 12)
#define QUARTERS(a, b, w, x, y, z) \
    __builtin_shufflevector(a, b, w, w + 1, w + 2, w + 3, x, x + 1, x + 2, x + 3, y, y + 1, y + 2, y + 3, z, z + 1, \
                            z + 2, z + 3)

// The quarters of each added up, those of all in order.
inline Floats sum_quarters(const Floats (&all)[4]) {
    const Floats low = QUARTERS(all[0], all[1], 0, 4, 16, 20) + QUARTERS(all[0], all[1], 8, 12, 24, 28);
    const Floats high = QUARTERS(all[2], all[3], 0, 4, 16, 20) + QUARTERS(all[2], all[3], 8, 12, 24, 28);
    return QUARTERS(low, high, 0, 8, 16, 24) + QUARTERS(low, high, 4, 12, 20, 28);
}

// Sixteen vectors of CHUNKS * 16 values, to be multiplied with queries.
//
// Four vectors stand in one register, column c of pairs 4q to 4q + 3 in quarter q: to turn them so takes half as many
// shuffles as to turn sixteen, and the quarters are added up at the end.
template <int CHUNKS>
class Keys {
  public:
    static constexpr int PAIRS = CHUNKS * WIDE / 2, PARTS = (PAIRS + WIDE - 1) / WIDE;

    struct Query {
        Words columns[PARTS][4];

        void set(const Pair *pairs) {
            for (int part = 0; part < PARTS; part++) {
                const Words row = load_row(reinterpret_cast<const uint16_t *>(pairs), part);
                columns[part][0] = IN_QUARTERS(row, row, 0, 0, 0, 0);
                columns[part][1] = IN_QUARTERS(row, row, 1, 1, 1, 1);
                columns[part][2] = IN_QUARTERS(row, row, 2, 2, 2, 2);
                columns[part][3] = IN_QUARTERS(row, row, 3, 3, 3, 3);
            }
        }
    };

    // `from(i)` is where vector i lies.
    template <class From>
    void set(From from) {
#pragma GCC unroll 4
        for (int four = 0; four < 4; four++)
#pragma GCC unroll 2
            for (int part = 0; part < PARTS; part++) {
                const Words a = load_row(from(4 * four), part), b = load_row(from(4 * four + 1), part);
                const Words c = load_row(from(4 * four + 2), part), d = load_row(from(4 * four + 3), part);
                const Words ab = IN_QUARTERS(a, b, 0, 16, 1, 17), cd = IN_QUARTERS(c, d, 0, 16, 1, 17);
                const Words ab2 = IN_QUARTERS(a, b, 2, 18, 3, 19), cd2 = IN_QUARTERS(c, d, 2, 18, 3, 19);
                columns_[four][part][0] = IN_QUARTERS(ab, cd, 0, 1, 16, 17);
                columns_[four][part][1] = IN_QUARTERS(ab, cd, 2, 3, 18, 19);
                columns_[four][part][2] = IN_QUARTERS(ab2, cd2, 0, 1, 16, 17);
                columns_[four][part][3] = IN_QUARTERS(ab2, cd2, 2, 3, 18, 19);
            }
    }

    // The products of a query with all sixteen, `use(q, products)` of each.
    template <class Use>
    void multiply(const Query *queries, int count, Use use) const {
        int q = 0;
        for (; q + 2 <= count; q += 2) multiply<2>(queries, q, use);
        if (q < count) multiply<1>(queries, q, use);
    }

  private:
    // Pairs 16 * part to 16 * part + 15 of a vector; zeros where it has no more.
    static Words load_row(const uint16_t *from, int part) {
        Words row{};
        std::memcpy(&row, from + 2 * WIDE * part, 4 * std::min(PAIRS, WIDE));
        return row;
    }

    template <int COUNT, class Use>
    void multiply(const Query *queries, int first, Use use) const {
        Floats sums[COUNT][4] = {};
#pragma GCC unroll 2
        for (int part = 0; part < PARTS; part++)
#pragma GCC unroll 4
            for (int c = 0; c < 4; c++)
#pragma GCC unroll 4
                for (int four = 0; four < 4; four++)
#pragma GCC unroll 2
                    for (int q = 0; q < COUNT; q++)
                        sums[q][four] =
                            add_pairs(sums[q][four], columns_[four][part][c], queries[first + q].columns[part][c]);
#pragma GCC unroll 2
        for (int q = 0; q < COUNT; q++) use(first + q, sum_quarters(sums[q]));
    }

    Words columns_[4][PARTS][4];
};

#undef IN_QUARTERS
#undef QUARTERS

// Vectors of CHUNKS * 16 values, to be added up by weight.
template <int CHUNKS>
class Values {
  public:
    static constexpr int COUNT = 64, WIDTH = CHUNKS * WIDE;

    // The first `count` vectors, of which `from(i)` is where one lies; an even number.
    template <class From>
    void set(int count, From from) {
        for (int i = 0; i < count; i += 2) {
            const uint16_t *first = from(i), *second = from(i + 1);
#pragma GCC unroll 8
            for (int c = 0; c < CHUNKS; c++)
                pairs_[i / 2][c] = extend(first + c * WIDE) | extend(second + c * WIDE) << 16;
        }
        num_pairs_ = count / 2;
    }

    // Adds to (CHUNKS * 16) floats of each query; its weights of these vectors lie `stride` pairs after another's.
    void add(const Pair *weights, size_t stride, int count, float *out) const {
        int q = 0;
        for (; q + 3 <= count; q += 3) add<3>(weights + q * stride, stride, out + q * WIDTH);
        if (count - q == 2) add<2>(weights + q * stride, stride, out + q * WIDTH);
        else if (count - q == 1) add<1>(weights + q * stride, stride, out + q * WIDTH);
    }

  private:
    template <int QUERIES>
    void add(const Pair *weights, size_t stride, float *out) const {
        Floats sums[QUERIES][CHUNKS];
#pragma GCC unroll 3
        for (int q = 0; q < QUERIES; q++)
#pragma GCC unroll 8
            for (int c = 0; c < CHUNKS; c++) sums[q][c] = load(out + q * WIDTH + c * WIDE);
        for (int p = 0; p < num_pairs_; p++)
#pragma GCC unroll 3
            for (int q = 0; q < QUERIES; q++)
#pragma GCC unroll 8
                for (int c = 0; c < CHUNKS; c++) 
                    sums[q][c] = add_pairs(sums[q][c], pairs_[p][c], Words{} + weights[q * stride + p]);
#pragma GCC unroll 3
        for (int q = 0; q < QUERIES; q++)
#pragma GCC unroll 8
            for (int c = 0; c < CHUNKS; c++) store(out + q * WIDTH + c * WIDE, sums[q][c]);
    }

    Words pairs_[COUNT / 2][CHUNKS];
    int num_pairs_ = 0;
};
