// One step of a model on a CPU: its rows through all layers in one call, weights in int8.
//
// At one row a step is the time it takes to read the weights once, so they are stored in one byte each and read in
// order; everything in between stays in the caches. At many rows, as of a prompt, it is the time of the products, and
// panels of weights stay in the caches while the rows go by. Products are exact integer sums of 8-bit weights (one scale a row)
// and 8-bit activations (one scale for 32 or 64 neighbours); queries, cached vectors and the weights of their average are
// bfloat16; norms, rotation, softmax, gate and residual stream are fp32.
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
#include "tiles.h"
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
    const float *router, *router_bias;                                             // (D, E), (E)
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
    Floats total{}, squares{};
    for (int i = 0; i < count; i += WIDE) total += load(x + i);
    const float mean = sum(total) / count;
    for (int i = 0; i < count; i += WIDE) squares += (load(x + i) - mean) * (load(x + i) - mean);
    const float factor = 1.0f / std::sqrt(sum(squares) / count + eps);
    for (int i = 0; i < count; i += WIDE)
        store(x + i, (load(x + i) - mean) * factor * load(weight + i) + load(bias + i));
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

// Larger floats get larger keys; NaN gets 0 and is never chosen, nor is -inf; zeros are equal.
inline Words sort_keys(Floats values) {
    const Words bits = (Words)values, size = bits & 0x7fffffffu;
    const Words key = (Integers)bits < 0 && size > 0 ? ~bits : bits | 0x80000000u;
    return size > 0x7f800000u || bits == 0xff800000u ? Words{} : key;
}

// Positions of the k best scores, ascending; ties go to the lowest position. Returns how many there are.
//
// The k-th best key is found bit by bit, from the highest: up to 32 times through keys that stay in the first cache.
// 512 of 512 to 2048, 46,000 times: 0.37 -> 0.21 s, before by counting upper bits and sorting where the k-th lay.
int select_topk(const float *scores, int count, int k, int32_t *chosen, std::vector<uint32_t> &keys) {
    const int whole = count / WIDE * WIDE;
    keys.resize(size_t(whole) + WIDE);
    for (int i = 0; i < whole; i += WIDE) store(&keys[i], sort_keys(load(scores + i)));
    Floats last = fill(-INFINITY);
    for (int i = whole; i < count; i++) last[i - whole] = scores[i];
    store(&keys[whole], sort_keys(last));
    auto reach = [&](uint32_t least) {  // how many keys are at least that
        Words few{};
        for (size_t i = 0; i < keys.size(); i += WIDE) few -= (Words)(load_words(&keys[i]) >= least);
        return int(sum(__builtin_convertvector(few, Floats)));
    };
    uint32_t threshold = 0;
    for (uint32_t bit = 1u << 31, found = 0; bit > 0 && found != uint32_t(k); bit >>= 1) {
        const uint32_t count = reach(threshold | bit);
        if (count >= uint32_t(k)) threshold |= bit, found = count;
    }
    int ties = threshold == 0 ? 0 : k - (threshold == UINT32_MAX ? 0 : reach(threshold + 1));
    int found = 0;
    for (int i = 0; i < count && found < k; i++) {
        const bool is_tie = keys[i] == threshold;
        chosen[found] = i;
        found += keys[i] > threshold || (is_tie && ties > 0);
        ties -= is_tie;
    }
    return found;
}

// RANK, ROTARY and INDEX are the widths in sixteens, known to the compiler: vectors of that width stay in registers.
template <int RANK, int ROTARY, int INDEX>
class Step : public Job {
  public:
    Step(const Model &model, const Rows &rows) : model_(model), shape_(model_.shape), rows_(rows) {
        size_t count = rows.count;
        projected_.resize(count * model.layers[0].input.rows);
        queries_.resize(count * shape_.heads * Keys<ROTARY>::PAIRS);
        attended_.resize(count * shape_.heads * shape_.rank);
        width_ = shape_.shared_width + shape_.chosen * shape_.expert_width;
        activated_.resize(count * width_);
        weights_.resize(count * shape_.chosen);
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
            index_queries_.resize(count * shape_.index_heads * Keys<INDEX>::PAIRS);
            index_head_weights_.resize(count * shape_.index_heads);
            if (!are_many(rows.count)) scores_.resize(count * stride(longest_));
            chosen_.resize(count * shape_.index_topk);
            num_chosen_.resize(count);
        }
        cut_into_spans();
        if (!are_many(rows.count)) return;
        normalised_.resize(rows.count, model.layers[0].input);
        rounded_attended_.resize(rows.count, model.layers[0].output);
        rounded_activated_.resize(rows.count, model.layers[0].down);
    }

    int num_phases() const override { return shape_.layers * LAYER_PHASES + 2; }

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
        std::vector<float> row, scores, sums;
        std::vector<uint16_t> weights;
        std::vector<uint32_t> keys;
        std::vector<const uint16_t *> entries;
        std::vector<typename Keys<ROTARY>::Query> queries;
        std::vector<typename Keys<INDEX>::Query> index_queries;
    };

    struct Span {  // rows of one sequence that follow each other
        int first, count;
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

    static bool are_many(int count) { return count > FEW_ROWS; }

    // Rows that read the same keys: of dense ones as many as go together, of sparse ones each its own.
    void cut_into_spans() {
        for (int t = 0; t < rows_.count; t++) {
            auto goes_on = [&](const std::vector<Span> &spans, int most) {
                return !spans.empty() && spans.back().first + spans.back().count == t && spans.back().count < most &&
                       rows_.sequence[t] == rows_.sequence[t - 1];
            };
            if (!is_sparse(t) && goes_on(spans_, DENSE_ROWS)) spans_.back().count++;
            else spans_.push_back({t, 1});
            if (!is_sparse(t)) continue;
            if (goes_on(index_spans_, INDEX_ROWS)) index_spans_.back().count++;
            else index_spans_.push_back({t, 1});
        }
    }

    // `task(t)` of every row.
    template <class Task>
    void share_rows(Worker &worker, int count, Task task) {
        const int together = are_many(count) ? FEW_ROWS : 1;
        worker.share((count + together - 1) / together, [&](int block) {
            for (int t = block * together; t < std::min((block + 1) * together, count); t++) task(t);
        });
    }

    // The first outputs of a product of `count` rows. `read(t, activations)` puts a row in: each thread does it for
    // itself where there are few, cheaper than handing over. `other` are tasks beside the product.
    template <class Read, class Use, class Other>
    void product(Worker &worker, const Matrix &matrix, Activations &shared, int count, int num_outputs, Read read,
                 Use use, int num_others, Other other) {
        Activations &x = are_many(count) ? shared : scratch().activations;
        if (are_many(count)) share_rows(worker, count, [&](int t) { read(t, x); });
        auto prepare = [&] {
            if (are_many(count)) return;
            x.resize(count, matrix);
            for (int t = 0; t < count; t++) read(t, x);
        };
        worker.share(num_others + product_tasks(matrix, num_outputs, count), prepare, [&](int task) {
            if (task < num_others) other(task);
            else multiply(matrix, x, task - num_others, num_outputs, use);
        });
    }

    template <class Read, class Use>
    void product(Worker &worker, const Matrix &matrix, Activations &shared, int count, int num_outputs, Read read,
                 Use use) {
        product(worker, matrix, shared, count, num_outputs, read, use, 0, [](int) {});
    }

    // A row of the residual stream, normalised.
    const float *normalise(int t, const float *norm) {
        std::vector<float> &row = scratch().row;
        row.resize(shape_.hidden);
        rms_norm(rows_.hidden + size_t(t) * shape_.hidden, norm, shape_.hidden, shape_.norm_eps, row.data());
        return row.data();
    }

    void add_to_hidden(int t, int row, Floats low, Floats high) {
        float *hidden = rows_.hidden + size_t(t) * shape_.hidden + row;
        store(hidden, load(hidden) + low);
        store(hidden + WIDE, load(hidden + WIDE) + high);
    }

    void attention(Worker &worker, const Layer &weights) {
        // The index queries are the last rows of the product: not needed while everything is attended to.
        const int num_outputs = weights.input.rows - (is_sparse() ? 0 : shape_.index_heads * shape_.index_width);
        const int stride = weights.input.rows;
        product(
            worker, weights.input, normalised_, rows_.count, num_outputs,
            [&](int t, Activations &x) { x.set(t, normalise(t, weights.attention_norm)); },
            [&](int t, int row, Floats low, Floats high) {
                float *out = projected_.data() + size_t(t) * stride + row;
                store(out, low), store(out + WIDE, high);
            });
        share_rows(worker, rows_.count, [&](int t) { place(weights, t, projected_.data() + size_t(t) * stride); });
        if (is_sparse()) select(worker, weights);
        // A few rows read each its own past, from memory: all groups in one task, as they lie. Else group by group: what
        // one has of 2048 tokens fits a core's cache, and sparse rows read it at random.
        const int spans = int(spans_.size()), together = !are_many(rows_.count) && spans >= 4 ? shape_.groups : 1;
        worker.share(spans * shape_.groups / together,
                     [&](int task) { attend(weights, spans_[task % spans], task / spans, together); });
        product(
            worker, weights.output, rounded_attended_, rows_.count, weights.output.rows,
            [&](int t, Activations &x) { x.set(t, attended_.data() + size_t(t) * shape_.heads * shape_.rank); },
            [&](int t, int row, Floats low, Floats high) { add_to_hidden(t, row, low, high); });
    }

    // Rotates what the row asks with, and writes what it will be asked for: its latents, rotary keys and index key.
    void place(const Layer &weights, int t, float *row) {
        const Shape &s = shape_;
        const float *cosine = angle(cosine_, t), *sine = angle(sine_, t);
        float *queries = row, *latents = queries + s.heads * s.rotary, *keys = latents + s.groups * s.rank;
        float *index_key = keys + s.groups * s.rotary, *index_queries = index_key + s.index_width;
        for (int h = 0; h < s.heads; h++) rotate_neighbours(queries + h * s.rotary, cosine, sine, s.rotary);
        const int width = s.heads / s.groups * s.rotary;
        for (int g = 0; g < s.groups; g++) narrow_all(queries + g * width, width, queries_of(t, g));
        uint16_t *out = weights.latents + rows_.slots[t] * s.groups * (s.rank + s.rotary);
        for (int g = 0; g < s.groups; g++, out += s.rank + s.rotary) {
            rotate_neighbours(keys + g * s.rotary, cosine, sine, s.rotary);
            narrow_all(latents + g * s.rank, s.rank, out);
            narrow_all(keys + g * s.rotary, s.rotary, out + s.rank);
        }
        layer_norm(index_key, weights.index_norm_weight, weights.index_norm_bias, s.index_width, s.index_norm_eps);
        rotate_halves(index_key, cosine, sine, s.rotary);
        narrow_all(index_key, s.index_width, weights.index_keys + rows_.slots[t] * s.index_width);
        if (!is_sparse(t)) return;
        for (int h = 0; h < s.index_heads; h++)
            rotate_halves(index_queries + h * s.index_width, cosine, sine, s.rotary);
        narrow_all(index_queries, s.index_heads * s.index_width, index_queries_of(t));
        const float *normalised = normalise(t, weights.attention_norm);
        for (int h = 0; h < s.index_heads; h++)
            index_head_weights_[t * s.index_heads + h] =
                dot(normalised, weights.index_weights + size_t(h) * s.hidden, s.hidden);
    }

    static void narrow_all(const float *from, int count, void *to) {
        for (int i = 0; i < count; i += WIDE) narrow(load(from + i), static_cast<uint16_t *>(to) + i);
    }

    // (rows, H/G, P) of a group, rows of a span together.
    Pair *queries_of(int t, int group) {
        const int heads = shape_.heads / shape_.groups;
        return queries_.data() + (size_t(group) * rows_.count + t) * heads * Keys<ROTARY>::PAIRS;
    }

    Pair *index_queries_of(int t) { return index_queries_.data() + size_t(t) * shape_.index_heads * Keys<INDEX>::PAIRS; }

    // Few rows share the positions out, many the rows.
    void select(Worker &worker, const Layer &weights) {
        if (are_many(rows_.count)) {
            worker.share(int(index_spans_.size()), [&](int task) {
                const Span span = index_spans_[task];
                std::vector<float> &scores = scratch().scores;
                const int last = length(span.first + span.count - 1);
                scores.resize(span.count * stride(last));
                score(weights, span, 0, last, scores.data(), stride(last));
                for (int i = 0; i < span.count; i++) choose(span.first + i, scores.data() + i * stride(last));
            });
            return;
        }
        const int parts = (longest_ + SPAN - 1) / SPAN;
        worker.share(rows_.count * parts, [&](int task) {
            const int t = task / parts, start = task % parts * SPAN;
            if (is_sparse(t))
                score(weights, {t, 1}, start, std::min(start + SPAN, length(t)), scores_.data() + t * stride(longest_), 0);
        });
        worker.share(rows_.count, [&](int t) {
            if (is_sparse(t)) choose(t, scores_.data() + t * stride(longest_));
        });
    }

    // The lightning indexer's scores of positions [start, stop), `row_stride` apart from row to row: sum over heads of
    // weight * relu(query . key).
    void score(const Layer &weights, Span span, int start, int stop, float *scores, size_t row_stride) {
        const Shape &s = shape_;
        Scratch &mine = scratch();
        mine.index_queries.resize(span.count * s.index_heads);
        for (int q = 0; q < span.count * s.index_heads; q++)
            mine.index_queries[q].set(index_queries_of(span.first) + q * Keys<INDEX>::PAIRS);
        find(span.first, start, stop, nullptr, weights.index_keys, s.index_width);
        Keys<INDEX> keys;
        for (int position = start; position < stop; position += WIDE) {
            const uint16_t **entry = mine.entries.data() + position - start;
            for (int i = 0; i < WIDE; i++) prefetch(entry[i + AHEAD], 2 * s.index_width);
            keys.set([&](int i) { return entry[i]; });
            for (int i = 0; i < span.count; i++) {
                const float *head_weights = index_head_weights_.data() + (span.first + i) * s.index_heads;
                Floats total{};
                keys.multiply(mine.index_queries.data() + i * s.index_heads, s.index_heads,
                              [&](int h, Floats products) { total += max(products, Floats{}) * head_weights[h]; });
                store(scores + i * row_stride + position, total);
            }
        }
    }

    // Where a row's sequence has what it stored of positions [start, stop), or of those chosen: `entries` of the scratch.
    // The last stands for those that come after it, up to AHEAD beyond a multiple of 16.
    void find(int t, int start, int stop, const int32_t *chosen, const uint16_t *stored, int width) {
        std::vector<const uint16_t *> &entries = scratch().entries;
        entries.resize(stride(stop - start) + AHEAD);
        for (int i = start; i < stop; i++) entries[i - start] = stored + slot(t, chosen ? chosen[i] : i) * width;
        std::fill(entries.begin() + (stop - start), entries.end(), entries[std::max(stop - start - 1, 0)]);
    }

    void choose(int t, const float *scores) {
        num_chosen_[t] = select_topk(scores, length(t), shape_.index_topk,
                                     chosen_.data() + size_t(t) * shape_.index_topk, scratch().keys);
    }

    // Softmax averages over the chosen positions, or all that a row sees, for the heads of some latent groups.
    void attend(const Layer &weights, Span span, int first_group, int num_groups) {
        const int last = span.first + span.count - 1, width = shape_.rank + shape_.rotary;
        const int count = is_sparse(last) ? num_chosen_[last] : length(last);
        const int32_t *chosen = is_sparse(last) ? chosen_.data() + size_t(last) * shape_.index_topk : nullptr;
        find(last, 0, count, chosen, weights.latents + first_group * width, shape_.groups * width);
        for (int i = 0; i < num_groups; i++)
            average(span, first_group + i, count, chosen != nullptr, i * width, i + 1 < num_groups);
    }

    // Of one group, whose part lies `offset` behind the entries. While it computes, memory is asked for what the next one
    // reads, if one follows: 8 rows after 500 tokens 24 -> 19 ms on one core, before by asking for all groups at once.
    void average(Span span, int group, int count, bool is_chosen, int offset, bool is_followed) {
        const Shape &s = shape_;
        const int heads = s.heads / s.groups, num_queries = span.count * heads, width = s.rank + s.rotary;
        const size_t padded = stride(count);
        Scratch &mine = scratch();
        mine.scores.resize(num_queries * padded);
        mine.weights.resize(num_queries * padded);
        mine.sums.assign(num_queries * s.rank, 0.0f);
        mine.queries.resize(num_queries);
        for (int q = 0; q < num_queries; q++)
            mine.queries[q].set(queries_of(span.first, group) + q * Keys<ROTARY>::PAIRS);
        const uint16_t **entry = mine.entries.data();
        Keys<ROTARY> keys;
        for (int start = 0; start < count; start += WIDE) {
            for (int i = start; i < start + WIDE; i++) {
                if (offset == 0) prefetch(entry[i + AHEAD], 2 * width);
                if (is_followed) prefetch(entry[i] + offset + width + s.rank, 2 * s.rotary);
            }
            keys.set([&](int i) { return entry[start + i] + offset + s.rank; });
            keys.multiply(mine.queries.data(), num_queries,
                          [&](int q, Floats products) { store(mine.scores.data() + q * padded + start, products); });
        }
        mine.row.resize(num_queries);
        for (int q = 0; q < num_queries; q++) {
            const int seen = is_chosen ? count : length(span.first + q / heads);
            uint16_t *row = mine.weights.data() + q * padded;
            mine.row[q] = softmax(mine.scores.data() + q * padded, seen, s.softmax_scale, row);
            std::fill(row + stride(seen), row + padded, 0);
        }
        Values<RANK> latents;
        for (int start = 0; start < count; start += latents.COUNT) {
            const int together = std::min(latents.COUNT, int(padded) - start);
            for (int i = start; is_followed && i < start + together; i++)
                prefetch(entry[i] + offset + width, 2 * s.rank);
            latents.set(together, [&](int i) { return entry[start + i] + offset; });
            latents.add(reinterpret_cast<const Pair *>(mine.weights.data() + start), padded / 2, num_queries,
                        mine.sums.data());
        }
        for (int q = 0; q < num_queries; q++) {
            const int t = span.first + q / heads, h = group * heads + q % heads;
            float *out = attended_.data() + (size_t(t) * s.heads + h) * s.rank;
            for (int i = 0; i < s.rank; i += WIDE)
                store(out + i, load(mine.sums.data() + q * s.rank + i) * mine.row[q]);
        }
    }

    // Weights of `count` scores in bfloat16, zeros up to a multiple of 16. Returns what makes their sum 1.
    static float softmax(const float *scores, int count, float scale, uint16_t *weights) {
        constexpr Integers LANE = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        const int whole = count / WIDE * WIDE;
        const Integers is_seen = LANE < count - whole;
        Floats best = fill(-INFINITY), total{};
        for (int i = 0; i < whole; i += WIDE) best = max(best, load(scores + i));
        if (whole < count) best = max(best, is_seen ? load(scores + whole) : fill(-INFINITY));
        const float most = highest(best);
        for (int i = 0; i < count; i += WIDE) {
            Floats weight = exp((load(scores + i) - most) * scale);
            if (i == whole) weight = is_seen ? weight : Floats{};
            total += weight;
            narrow(weight, weights + i);
        }
        return 1 / sum(total);
    }

    // The gate is a task beside the first product; its weights are multiplied in before the second.
    void mlp(Worker &worker, const Layer &weights) {
        product(
            worker, weights.gate_up, normalised_, rows_.count, weights.gate_up.rows,
            [&](int t, Activations &x) { x.set(t, normalise(t, weights.mlp_norm)); },
            [&](int t, int row, Floats gate, Floats up) {
                store(activated_.data() + size_t(t) * width_ + row / 2, gate / (1.0f + exp(-gate)) * up);
            },
            (rows_.count + GATE_ROWS - 1) / GATE_ROWS, [&](int block) { gate(weights, block * GATE_ROWS); });
        product(
            worker, weights.down, rounded_activated_, rows_.count, weights.down.rows,
            [&](int t, Activations &x) { x.set(t, weigh(t)); },
            [&](int t, int row, Floats low, Floats high) { add_to_hidden(t, row, low, high); });
    }

    // What the experts have activated, each times its weight.
    const float *weigh(int t) {
        std::vector<float> &weighed = scratch().row;
        weighed.resize(width_);
        const float *row = activated_.data() + size_t(t) * width_;
        std::copy(row, row + shape_.shared_width, weighed.data());
        for (int u = 0; u < shape_.chosen; u++) {
            int start = shape_.shared_width + u * shape_.expert_width;
            float weight = weights_[t * shape_.chosen + u];
            for (int i = start; i < start + shape_.expert_width; i++) weighed[i] = row[i] * weight;
        }
        return weighed.data();
    }

    // Routes rows from `first` on: always four in the product, so that one is computed as many are.
    void gate(const Layer &weights, int first) {
        const Shape &s = shape_;
        const int stride = (s.experts + WIDE - 1) / WIDE * WIDE, count = std::min(GATE_ROWS, rows_.count - first);
        std::vector<float> rows(GATE_ROWS * s.hidden), logits(GATE_ROWS * stride);
        for (int i = 0; i < count; i++) {
            const float *row = normalise(first + i, weights.mlp_norm);
            std::copy(row, row + s.hidden, rows.begin() + i * s.hidden);
        }
        for (int e = 0; e < s.experts; e += WIDE) {
            Floats sums[GATE_ROWS] = {};
            for (int d = 0; d < s.hidden; d++) {
                const Floats column = load(weights.router + size_t(d) * stride + e);
#pragma GCC unroll 4
                for (int i = 0; i < GATE_ROWS; i++) sums[i] += column * rows[i * s.hidden + d];
            }
            for (int i = 0; i < GATE_ROWS; i++) store(logits.data() + i * stride + e, 1.0f / (1.0f + exp(-sums[i])));
        }
        for (int i = 0; i < count; i++) route(weights, first + i, logits.data() + i * stride);
    }

    // noaux_tc: biased scores choose groups and experts, the scores themselves weigh.
    void route(const Layer &weights, int t, const float *score) {
        const Shape &s = shape_;
        const int per_group = s.experts / s.expert_groups;
        std::vector<float> biased(s.experts), group_score(s.expert_groups);
        for (int e = 0; e < s.experts; e++) biased[e] = score[e] + weights.router_bias[e];
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
        if (rows_.logits_count == 0) return;
        product(
            worker, matrix, normalised_, rows_.logits_count, matrix.rows,
            [&](int i, Activations &x) { x.set(i, normalise(rows_.logits_rows[i], model_.final_norm)); },
            [&](int i, int row, Floats low, Floats high) {
                float y[PANEL];
                store(y, low), store(y + WIDE, high);
                const int count = std::min(PANEL, shape_.vocab - row);
                if (count > 0) std::copy(y, y + count, rows_.logits + size_t(i) * shape_.vocab + row);
            });
    }

    static constexpr int LAYER_PHASES = 12;  // calls of `share` in attention and mlp
    static constexpr int SPAN = 512;  // positions scored by one task
    static constexpr int AHEAD = 32;  // positions that are asked for in advance: the cache is scattered over pages
    static constexpr int DENSE_ROWS = 16, INDEX_ROWS = 8;  // that share one laying out of keys
    static constexpr int GATE_ROWS = 4;

    const Model model_;
    const Shape &shape_;
    const Rows rows_;
    int width_, longest_, block_bits_;
    std::vector<Span> spans_, index_spans_;
    std::vector<float> projected_, attended_, activated_, weights_, index_head_weights_, cosine_, sine_, scores_;
    std::vector<Pair> queries_, index_queries_;
    std::vector<int32_t> chosen_, num_chosen_;
    Activations normalised_, rounded_attended_, rounded_activated_;  // of many rows
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
    for (int task = 0; task < product_tasks(*matrix, matrix->rows, count); task++)
        multiply(*matrix, activations, task, matrix->rows, [&](int t, int row, Floats low, Floats high) {
            store(out + size_t(t) * matrix->rows + row, low), store(out + size_t(t) * matrix->rows + row + WIDE, high);
        });
}

}  // extern "C"
