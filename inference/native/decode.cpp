// One decoding step of a model on a CPU: a few rows through all layers in one call, weights in int8.
//
// At one row a step is the time it takes to read the weights once, so they are stored in one byte each and read in
// order; everything in between stays in the caches. Products are exact integer sums of 8-bit weights (one scale a row)
// and 8-bit activations (one scale for 32 or 64 neighbours); norms, rotation, softmax, gate and residual stream are fp32.
// Each row is computed in the same order whatever else is in the step, so its result does not depend on the batch.
//
// Legend: T rows, D hidden, H heads, G latent groups, R latent rank, P rotary width, I index heads, J index width,
// E experts, F expert width, V vocabulary. A layer has as many distinct experts as a row chooses.

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "product.h"
#include "team.h"
#include "vectors.h"

extern "C" {

struct Shape {
    int32_t layers, hidden, vocab, heads, groups, rank, rotary, index_heads, index_width, index_topk;
    int32_t experts, expert_groups, kept_groups, chosen, shared_width, expert_width, normalise_weights;
    float routed_scale, norm_eps, index_norm_eps, softmax_scale, rope_magnitude;
};

struct Layer {
    const float *attention_norm, *mlp_norm, *index_norm_weight, *index_norm_bias;  // (D), (D), (J), (J)
    const float *index_weights;                                                    // (I, D), scale included
    const float *router, *router_bias;                                             // (E, D), (E)
    const int32_t *distinct_of;                                                    // (E)
    Matrix input;        // queries | latents | rotary keys | index key | index queries: from the normalised row
    Matrix output;       // (D, H*R)
    Matrix gate_up;      // tiles of gate and up in turns: shared expert, then the distinct ones
    Matrix down;         // (D, width)
    uint16_t *latents;   // (slots, G, R + P) bfloat16
    uint16_t *index_keys;  // (slots, J) bfloat16
    int64_t *expert_counts;  // (E)
};

struct Rows {  // of one step
    int32_t count, logits_count, block_size, table_width;
    float *hidden;                // (T, D) embeddings in, residual stream after
    const int64_t *positions;     // (T)
    const int64_t *slots;         // (T) where each row is written
    const int32_t *sequence;      // (T) row of `tables`
    const int32_t *tables;        // (S, table_width) block ids
    const int32_t *logits_rows;   // (L) rows whose logits are wanted
    float *logits;                // (L, V)
};

}  // extern "C"

namespace {

struct Model {
    Shape shape;
    const Layer *layers;
    const float *final_norm, *frequencies;  // (D), (P / 2)
    Matrix head;                            // (V, D)
};

float dot(const float *a, const float *b, int count) {
    Floats even{}, odd{};
    int i = 0;
    for (; i + 2 * WIDE <= count; i += 2 * WIDE) {
        even += load(a + i) * load(b + i);
        odd += load(a + i + WIDE) * load(b + i + WIDE);
    }
    float total = sum(even + odd);
    for (; i < count; i++) total += a[i] * b[i];
    return total;
}

void rms_norm(const float *x, const float *weight, int count, float eps, float *out) {
    float factor = 1.0f / std::sqrt(dot(x, x, count) / count + eps);
    for (int i = 0; i < count; i++) out[i] = x[i] * factor * weight[i];
}

void layer_norm(float *x, const float *weight, const float *bias, int count, float eps) {
    float mean = 0, variance = 0;
    for (int i = 0; i < count; i++) mean += x[i];
    mean /= count;
    for (int i = 0; i < count; i++) variance += (x[i] - mean) * (x[i] - mean);
    float factor = 1.0f / std::sqrt(variance / count + eps);
    for (int i = 0; i < count; i++) x[i] = (x[i] - mean) * factor * weight[i] + bias[i];
}

void rotate_neighbours(float *x, const float *cosine, const float *sine, int width) {  // MLA's pairing
    for (int i = 0; i < width / 2; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosine[i] - b * sine[i];
        x[2 * i + 1] = a * sine[i] + b * cosine[i];
    }
}

void rotate_halves(float *x, const float *cosine, const float *sine, int width) {  // the indexer's
    for (int i = 0; i < width / 2; i++) {
        float a = x[i], b = x[i + width / 2];
        x[i] = a * cosine[i] - b * sine[i];
        x[i + width / 2] = a * sine[i] + b * cosine[i];
    }
}

// Larger floats get larger keys; NaN gets 0 and is never chosen, nor is -inf.
inline uint32_t sort_key(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    uint32_t key = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (bits & 0x7fffffff) > 0x7f800000 || bits == 0xff800000u ? 0 : bits == 0x80000000u ? 0x80000000u : key;
}

// Positions of the k best scores, ascending; ties go to the lowest position. Returns how many there are.
int select_topk(const float *scores, int count, int k, int32_t *chosen, std::vector<uint32_t> &keys) {
    keys.resize(2 * size_t(count));
    uint32_t *all = keys.data(), *level = all + count;
    uint32_t histogram[2048] = {};
    for (int i = 0; i < count; i++) all[i] = sort_key(scores[i]);
    for (int i = 0; i < count; i++) histogram[all[i] >> 21]++;
    int above = 0, bucket = 2047;  // `above`: how many lie in higher buckets
    while (bucket > 0 && above + int(histogram[bucket]) < k) above += histogram[bucket--];
    int inside = 0;
    for (int i = 0; i < count; i++)
        if (all[i] >> 21 == uint32_t(bucket)) level[inside++] = all[i];
    uint32_t threshold = 1;  // the k-th best key; 0 is never chosen
    int rank = k - above;
    if (inside >= rank) {
        std::nth_element(level, level + rank - 1, level + inside, std::greater<uint32_t>());
        threshold = std::max(level[rank - 1], 1u);
    }
    int better = 0;
    for (int i = 0; i < count; i++) better += all[i] > threshold;
    int ties = k - better, found = 0;
    for (int i = 0; i < count; i++) {
        if (all[i] > threshold || (all[i] == threshold && ties-- > 0)) chosen[found++] = i;
    }
    return found;
}

inline void prefetch(const uint16_t *from, int count) {
    for (int i = 0; i < count; i += 32) __builtin_prefetch(from + i);
}

// RANK, ROTARY and INDEX are the widths in sixteens, known to the compiler: vectors of that width stay in registers.
template <int RANK, int ROTARY, int INDEX>
class Step : public Job {
  public:
    Step(const Model &model, const Rows &rows) : model_(model), shape_(model_.shape), rows_(rows) {
        size_t count = rows.count;
        projected_.resize(count * model.layers[0].input.rows);
        attended_.resize(count * shape_.heads * shape_.rank);
        width_ = shape_.shared_width + shape_.chosen * shape_.expert_width;
        activated_.resize(count * width_);
        weights_.resize(count * shape_.chosen);
        index_head_weights_.resize(count * shape_.index_heads);
        cosine_.resize(count * shape_.rotary / 2);
        sine_.resize(count * shape_.rotary / 2);
        block_bits_ = std::countr_zero(uint32_t(rows.block_size));
        longest_ = 0;
        for (int t = 0; t < rows.count; t++) {
            longest_ = std::max(longest_, length(t));
            for (int i = 0; i < shape_.rotary / 2; i++) {
                float angle = float(rows.positions[t]) * model.frequencies[i];
                cosine_[t * shape_.rotary / 2 + i] = shape_.rope_magnitude * std::cos(angle);
                sine_[t * shape_.rotary / 2 + i] = shape_.rope_magnitude * std::sin(angle);
            }
        }
        if (is_sparse()) {
            scores_.resize(count * stride(longest_));
            chosen_.resize(count * shape_.index_topk);
            num_chosen_.resize(count);
        }
    }

    int num_phases() const override { return shape_.layers * LAYER_PHASES + 1; }

    // What every thread of the team does: the same phases, each sharing its tasks out.
    void run(Worker &worker) override {
        for (int layer = 0; layer < shape_.layers; layer++) {
            const Layer &weights = model_.layers[layer];
            attention(worker, weights);
            mlp(worker, weights);
        }
        head(worker);
    }

  private:
    struct Scratch {  // of one thread
        Activations activations;
        std::vector<float> row, scores;
        std::vector<uint32_t> keys;
    };

    static Scratch &scratch() {
        thread_local Scratch scratch;
        return scratch;
    }

    static size_t stride(int count) { return (size_t(count) + WIDE - 1) / WIDE * WIDE; }
    int length(int t) const { return int(rows_.positions[t]) + 1; }
    bool is_sparse() const { return longest_ > shape_.index_topk; }
    bool is_sparse(int t) const { return length(t) > shape_.index_topk; }

    int64_t slot(int t, int position) const {
        const int32_t *table = rows_.tables + size_t(rows_.sequence[t]) * rows_.table_width;
        return (int64_t(table[position >> block_bits_]) << block_bits_) + (position & (rows_.block_size - 1));
    }

    const float *angle(const std::vector<float> &table, int t) const { return table.data() + t * shape_.rotary / 2; }

    // Normalises and rounds all rows: what a product reads. Each thread does it for itself, cheaper than handing over.
    void read_normalised(const Matrix &reader, const float *norm, int count, const int32_t *which = nullptr) {
        Scratch &mine = scratch();
        mine.activations.resize(count, reader);
        mine.row.resize(shape_.hidden);
        for (int t = 0; t < count; t++) {
            const float *row = rows_.hidden + size_t(which ? which[t] : t) * shape_.hidden;
            rms_norm(row, norm, shape_.hidden, shape_.norm_eps, mine.row.data());
            mine.activations.set(t, mine.row.data());
        }
    }

    void attention(Worker &worker, const Layer &weights) {
        // The index queries are the last rows of the product: not needed while everything is attended to.
        int num_rows = weights.input.rows - (is_sparse() ? 0 : shape_.index_heads * shape_.index_width);
        int stride = weights.input.rows;
        worker.share(
            tiles(num_rows, weights.input.cols), [&] { read_normalised(weights.input, weights.attention_norm, rows_.count); },
            [&](int task) {
                multiply(weights.input, scratch().activations, task, num_rows,
                         [&](int t, int row, const float *y) {
                             store(projected_.data() + size_t(t) * stride + row, load(y));
                         });
            });
        worker.share(rows_.count, [&](int t) { place(weights, t, projected_.data() + size_t(t) * stride); });
        if (is_sparse()) {
            int spans = (longest_ + SPAN - 1) / SPAN;
            worker.share(rows_.count * spans, [&](int task) { score(weights, task / spans, task % spans * SPAN); });
            worker.share(rows_.count, [&](int t) { choose(t); });
        }
        worker.share(rows_.count * shape_.groups,
                     [&](int task) { attend(weights, task / shape_.groups, task % shape_.groups); });
        worker.share(
            tiles(weights.output.rows, weights.output.cols),
            [&] {
                scratch().activations.resize(rows_.count, weights.output);
                for (int t = 0; t < rows_.count; t++)
                    scratch().activations.set(t, attended_.data() + size_t(t) * shape_.heads * shape_.rank);
            },
            [&](int task) { add_to_hidden(weights.output, task); });
    }

    // Rotates what the row asks with, and writes what it will be asked for: its latents, rotary keys and index key.
    void place(const Layer &weights, int t, float *row) {
        const Shape &s = shape_;
        const float *cosine = angle(cosine_, t), *sine = angle(sine_, t);
        float *queries = row, *latents = queries + s.heads * s.rotary, *keys = latents + s.groups * s.rank;
        float *index_key = keys + s.groups * s.rotary, *index_queries = index_key + s.index_width;
        for (int h = 0; h < s.heads; h++) rotate_neighbours(queries + h * s.rotary, cosine, sine, s.rotary);
        uint16_t *out = weights.latents + rows_.slots[t] * s.groups * (s.rank + s.rotary);
        for (int g = 0; g < s.groups; g++) {
            rotate_neighbours(keys + g * s.rotary, cosine, sine, s.rotary);
            for (int i = 0; i < s.rank; i++) *out++ = narrow(latents[g * s.rank + i]);
            for (int i = 0; i < s.rotary; i++) *out++ = narrow(keys[g * s.rotary + i]);
        }
        layer_norm(index_key, weights.index_norm_weight, weights.index_norm_bias, s.index_width, s.index_norm_eps);
        rotate_halves(index_key, cosine, sine, s.rotary);
        for (int i = 0; i < s.index_width; i++)
            weights.index_keys[rows_.slots[t] * s.index_width + i] = narrow(index_key[i]);
        if (!is_sparse(t)) return;
        for (int h = 0; h < s.index_heads; h++)
            rotate_halves(index_queries + h * s.index_width, cosine, sine, s.rotary);
        Scratch &mine = scratch();
        mine.row.resize(s.hidden);
        rms_norm(rows_.hidden + size_t(t) * s.hidden, weights.attention_norm, s.hidden, s.norm_eps, mine.row.data());
        for (int h = 0; h < s.index_heads; h++)
            index_head_weights_[t * s.index_heads + h] =
                dot(mine.row.data(), weights.index_weights + size_t(h) * s.hidden, s.hidden);
    }

    // The lightning indexer's scores of one span of positions: sum over heads of weight * relu(query . key).
    void score(const Layer &weights, int t, int start) {
        const Shape &s = shape_;
        if (!is_sparse(t)) return;
        const float *queries = projected_.data() + size_t(t) * weights.input.rows + s.heads * s.rotary +
                               s.groups * (s.rank + s.rotary) + s.index_width;
        const float *head_weights = index_head_weights_.data() + t * s.index_heads;
        float *scores = scores_.data() + size_t(t) * stride(longest_);
        const int stop = std::min(start + SPAN, length(t));
        auto key = [&](int position) {
            return weights.index_keys + slot(t, std::min(position, stop - 1)) * s.index_width;
        };
        Tile<INDEX> keys;
        for (int position = start; position < stop; position += WIDE) {
            for (int i = 0; i < WIDE; i++) {
                prefetch(key(position + i + AHEAD), s.index_width);
                keys.set(i, key(position + i));
            }
            Floats total{};
            for (int h = 0; h < s.index_heads; h++)
                total += max(keys.dot(Vector<INDEX>::of(queries + h * s.index_width)), Floats{}) * head_weights[h];
            store(scores + position, total);
        }
    }

    void choose(int t) {
        if (is_sparse(t))
            num_chosen_[t] = select_topk(scores_.data() + size_t(t) * stride(longest_), length(t), shape_.index_topk,
                                         chosen_.data() + size_t(t) * shape_.index_topk, scratch().keys);
    }

    // Softmax average over the chosen positions, or all, for the heads of one latent group.
    void attend(const Layer &weights, int t, int group) {
        const Shape &s = shape_;
        const int heads = s.heads / s.groups, width = s.rank + s.rotary;
        const int count = is_sparse(t) ? num_chosen_[t] : length(t);
        const int32_t *chosen = is_sparse(t) ? chosen_.data() + size_t(t) * s.index_topk : nullptr;
        const float *queries = projected_.data() + size_t(t) * weights.input.rows + group * heads * s.rotary;
        float *out = attended_.data() + (size_t(t) * s.heads + group * heads) * s.rank;
        std::vector<float> &scores = scratch().scores;
        scores.resize(heads * stride(count));
        auto entry = [&](int i) {
            i = std::min(i, count - 1);
            return weights.latents + (slot(t, chosen ? chosen[i] : i) * s.groups + group) * width;
        };
        Tile<ROTARY> keys;
        for (int start = 0; start < count; start += WIDE) {
            for (int i = 0; i < WIDE; i++) {
                prefetch(entry(start + i + AHEAD), width);
                keys.set(i, entry(start + i) + s.rank);
            }
            for (int h = 0; h < heads; h++)
                store(scores.data() + h * stride(count) + start, keys.dot(Vector<ROTARY>::of(queries + h * s.rotary)));
        }
        for (int h = 0; h < heads; h++) softmax(scores.data() + h * stride(count), count, s.softmax_scale);
        std::fill(out, out + heads * s.rank, 0.0f);
        Tile<RANK> latents;
        for (int start = 0; start < count; start += WIDE) {
            for (int i = 0; i < WIDE; i++) latents.set(i, entry(start + i));
            for (int h = 0; h < heads; h++) {
                const float *weight = scores.data() + h * stride(count) + start;  // zero beyond the last position
                auto sum = Vector<RANK>::of(out + h * s.rank);
                for (int i = 0; i < WIDE; i++) sum.add(Vector<RANK>::of(latents.rows[i]), weight[i]);
                sum.to(out + h * s.rank);
            }
        }
    }

    // In place, over `count` scores; up to a multiple of 16 is written.
    static void softmax(float *scores, int count, float scale) {
        const int padded = int(stride(count));
        std::fill(scores + count, scores + padded, -INFINITY);
        Floats best = fill(-INFINITY), total{};
        for (int i = 0; i < padded; i += WIDE) best = max(best, load(scores + i));
        const float most = highest(best);
        for (int i = 0; i < padded; i += WIDE) {
            Floats weight = exp((load(scores + i) - most) * scale);
            total += weight;
            store(scores + i, weight);
        }
        const float factor = 1 / sum(total);
        for (int i = 0; i < padded; i += WIDE) store(scores + i, load(scores + i) * factor);
    }

    void add_to_hidden(const Matrix &matrix, int task) {
        multiply(matrix, scratch().activations, task, matrix.rows, [&](int t, int row, const float *y) {
            float *hidden = rows_.hidden + size_t(t) * shape_.hidden + row;
            for (int i = 0; i < LANES; i++) hidden[i] += y[i];
        });
    }

    // The gate is a task beside the first product; its weights are multiplied in before the second.
    void mlp(Worker &worker, const Layer &weights) {
        int num_tiles = tiles(weights.gate_up.rows, weights.gate_up.cols, 2);
        worker.share(
            rows_.count + num_tiles, [&] { read_normalised(weights.gate_up, weights.mlp_norm, rows_.count); },
            [&](int task) {
                if (task < rows_.count) return gate(weights, task);
                multiply_pairs(weights.gate_up, scratch().activations, task - rows_.count,
                               [&](int t, int row, const float *gate, const float *up) {
                                   float *out = activated_.data() + size_t(t) * width_ + row;
                                   store(out, load(gate) / (1.0f + exp(-load(gate))) * load(up));
                               });
            });
        worker.share(
            tiles(weights.down.rows, weights.down.cols), [&] { read_activated(weights.down); },
            [&](int task) { add_to_hidden(weights.down, task); });
    }

    void read_activated(const Matrix &reader) {
        Scratch &mine = scratch();
        mine.activations.resize(rows_.count, reader);
        mine.row.resize(width_);
        for (int t = 0; t < rows_.count; t++) {
            const float *row = activated_.data() + size_t(t) * width_;
            std::copy(row, row + shape_.shared_width, mine.row.data());
            for (int u = 0; u < shape_.chosen; u++) {
                int start = shape_.shared_width + u * shape_.expert_width;
                float weight = weights_[t * shape_.chosen + u];
                for (int i = start; i < start + shape_.expert_width; i++) mine.row[i] = row[i] * weight;
            }
            mine.activations.set(t, mine.row.data());
        }
    }

    // noaux_tc: biased scores choose groups and experts, the scores themselves weigh.
    void gate(const Layer &weights, int t) {
        const Shape &s = shape_;
        const int per_group = s.experts / s.expert_groups;
        Scratch &mine = scratch();
        mine.row.resize(s.hidden);
        rms_norm(rows_.hidden + size_t(t) * s.hidden, weights.mlp_norm, s.hidden, s.norm_eps, mine.row.data());
        std::vector<float> score(s.experts), biased(s.experts), group_score(s.expert_groups);
        for (int e = 0; e < s.experts; e++) {
            score[e] = 1 / (1 + std::exp(-dot(mine.row.data(), weights.router + size_t(e) * s.hidden, s.hidden)));
            biased[e] = score[e] + weights.router_bias[e];
        }
        for (int g = 0; g < s.expert_groups; g++) {
            float best = -INFINITY, second = -INFINITY;
            for (int e = g * per_group; e < (g + 1) * per_group; e++) {
                second = std::max(second, std::min(best, biased[e]));
                best = std::max(best, biased[e]);
            }
            group_score[g] = best + second;
        }
        std::vector<int> groups = best_of(group_score, s.kept_groups);
        std::vector<float> reachable(s.experts, -INFINITY);
        for (int g : groups)
            std::copy_n(biased.begin() + g * per_group, per_group, reachable.begin() + g * per_group);
        std::vector<int> chosen = best_of(reachable, s.chosen);
        float sum = 0;
        for (int e : chosen) sum += score[e];
        float factor = s.routed_scale / (s.normalise_weights ? sum + 1e-20f : 1.0f);
        float *out = weights_.data() + t * s.chosen;
        std::fill(out, out + s.chosen, 0.0f);
        for (int e : chosen) {
            out[weights.distinct_of[e]] += score[e] * factor;
            std::atomic_ref<int64_t>(weights.expert_counts[e]).fetch_add(1, std::memory_order_relaxed);
        }
    }

    static std::vector<int> best_of(const std::vector<float> &values, int count) {
        std::vector<int> order(values.size());
        for (size_t i = 0; i < order.size(); i++) order[i] = int(i);
        std::partial_sort(order.begin(), order.begin() + count, order.end(),
                          [&](int a, int b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
        order.resize(count);
        return order;
    }

    void head(Worker &worker) {
        const Matrix &matrix = model_.head;
        worker.share(
            tiles(matrix.rows, matrix.cols),
            [&] { read_normalised(matrix, model_.final_norm, rows_.logits_count, rows_.logits_rows); },
            [&](int task) {
                multiply(matrix, scratch().activations, task, matrix.rows, [&](int t, int row, const float *y) {
                    int count = std::min(LANES, shape_.vocab - row);
                    if (count > 0) std::copy(y, y + count, rows_.logits + size_t(t) * shape_.vocab + row);
                });
            });
    }

    static constexpr int LAYER_PHASES = 8;  // calls of `share` in attention and mlp
    static constexpr int SPAN = 512;  // positions scored by one task
    static constexpr int AHEAD = 32;  // positions that are asked for in advance: the cache is scattered over pages

    const Model model_;
    const Shape &shape_;
    const Rows rows_;
    int width_, longest_, block_bits_;
    std::vector<float> projected_, attended_, activated_, weights_, index_head_weights_, cosine_, sine_, scores_;
    std::vector<int32_t> chosen_, num_chosen_;
};

}  // namespace

extern "C" {

Team *sonde_team(int threads) { return new Team(threads); }
void sonde_disband(Team *team) { delete team; }

void sonde_decode(Team *team, const Shape *shape, const Layer *layers, const float *final_norm,
                  const float *frequencies, const Matrix *head, const Rows *rows) {
    Model model{*shape, layers, final_norm, frequencies, *head};
    const int rank = shape->rank / WIDE, rotary = shape->rotary / WIDE, index = shape->index_width / WIDE;
    if (rank == 4 && rotary == 4 && index == 4) team->run(std::make_shared<Step<4, 4, 4>>(model, *rows));
    else if (rank == 1 && rotary == 1 && index == 1) team->run(std::make_shared<Step<1, 1, 1>>(model, *rows));
}

void sonde_pack(const float *from, int rows, int cols, uint8_t *weight, float *scale) {
    pack(from, rows, cols, weight, scale);
}

// Parts of a step, for tests.
int sonde_select_topk(const float *scores, int count, int k, int32_t *chosen) {
    std::vector<uint32_t> keys;
    return select_topk(scores, count, k, chosen, keys);
}

void sonde_multiply(const Matrix *matrix, const float *x, int count, float *out) {
    Activations activations;
    activations.resize(count, *matrix);
    for (int t = 0; t < count; t++) activations.set(t, x + size_t(t) * matrix->cols);
    for (int task = 0; task < tiles(matrix->rows, matrix->cols); task++)
        multiply(*matrix, activations, task, matrix->rows, [&](int t, int row, const float *y) {
            std::copy(y, y + LANES, out + size_t(t) * matrix->rows + row);
        });
}

}  // extern "C"
