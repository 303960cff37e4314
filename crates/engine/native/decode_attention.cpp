// Attention of few queries over a KV cache that they share, see build.rs and decode_attention.h.
//
// ggml walks through all used cells for every query and head, and asks of each whether it is masked. In a
// unified cache most are: sixteen sequences see a sixteenth each, and the prefixes kept for later are seen by
// nobody. Here the mask is read 64 cells at a time, and only what is visible is computed:
//
// 1. The heads that share a head of the keys (grouped-query attention) go through the cells together, so that
//    each key and each value is loaded and converted once for all of them.
// 2. Softmax is the usual running one (https://arxiv.org/abs/2112.05682), in blocks of cells: one maximum, one
//    vector of exponentials and one rescaling a block, not a cell.
// 3. Sums stay in 32-bit registers; ggml adds values up in 16-bit floats.

#include "decode_attention.h"

#include "common.h"
#include "ggml-cpu-impl.h"
#include "ggml.h"
#include "ops.h"
#include "vec.h"

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

namespace {

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
constexpr int LANES = 16;
// Heads that go together: their sums have to fit in the registers.
constexpr int HEADS = 4;
using Floats = __m512;
inline Floats zero() { return _mm512_setzero_ps(); }
inline Floats all(float value) { return _mm512_set1_ps(value); }
inline Floats load(const float * from) { return _mm512_loadu_ps(from); }
inline void store(float * to, Floats value) { _mm512_storeu_ps(to, value); }
inline Floats load_halves(const uint16_t * from) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) from)); }
inline Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats minus(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
inline Floats plus(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
inline float total(Floats a) { return _mm512_reduce_add_ps(a); }
inline float largest(Floats a) { return _mm512_reduce_max_ps(a); }
#else
constexpr int LANES = 8;
constexpr int HEADS = 3;
using Floats = __m256;
inline Floats zero() { return _mm256_setzero_ps(); }
inline Floats all(float value) { return _mm256_set1_ps(value); }
inline Floats load(const float * from) { return _mm256_loadu_ps(from); }
inline void store(float * to, Floats value) { _mm256_storeu_ps(to, value); }
inline Floats load_halves(const uint16_t * from) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) from)); }
inline Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats times(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats minus(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
inline Floats plus(Floats a, Floats b) { return _mm256_add_ps(a, b); }
inline Floats larger(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline float total(Floats a) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest(Floats a) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
#endif

// Cells of a block; twice the most that one look at the mask can add.
constexpr int BLOCK = 128;
constexpr int LOOK = 64;
// Numbers of a key or a value that are worked on at once.
constexpr int PART = 4 * LANES;
// Largest head, in numbers.
constexpr int MOST = 512;
// Minus infinity as a 16-bit float.
constexpr uint16_t MASKED = 0xfc00;

// Which of LOOK cells are not masked, as bits.
inline uint64_t visible(const uint16_t * mask) {
    uint64_t bits = 0;
    for (int part = 0; part < LOOK / 32; part++) {
        const __m256i masked = _mm256_set1_epi16((short) MASKED);
        const __m256i low = _mm256_cmpeq_epi16(_mm256_loadu_si256((const __m256i *) (mask + 32 * part)), masked);
        const __m256i high = _mm256_cmpeq_epi16(_mm256_loadu_si256((const __m256i *) (mask + 32 * part + 16)), masked);
        // Packing works within halves of a register; the middle quarters change places.
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
        bits |= (uint64_t) (uint32_t) ~_mm256_movemask_epi8(bytes) << (32 * part);
    }
    return bits;
}

// What stays the same for a query and its head of the keys.
struct Cells {
    const char * k;
    int64_t k_stride;
    const char * v;
    int64_t v_stride;
    const uint16_t * mask;
    int64_t count;
    int k_size;
    int v_size;
    float scale;
};

// N heads of one query that share keys and values.
template <int N> class Heads {
  public:
    explicit Heads(const Cells & cells, const float * const * queries) : cells(cells), queries(queries) {
        for (int h = 0; h < N; h++) {
            maximum[h] = -INFINITY;
            weight[h] = 0.0f;
            memset(sum[h], 0, sizeof(float) * cells.v_size);
        }
    }

    void walk() {
        for (int64_t first = 0; first < cells.count; first += LOOK) {
            for (uint64_t bits = look(first); bits != 0; bits &= bits - 1) {
                chosen[filled++] = (int32_t) (first + __builtin_ctzll(bits));
            }
            if (filled > BLOCK - LOOK) {
                block();
            }
        }
        if (filled > 0) {
            block();
        }
    }

    void write(float * const * to) const {
        for (int h = 0; h < N; h++) {
            const Floats share = all(weight[h] > 0.0f ? 1.0f / weight[h] : 0.0f);
            for (int i = 0; i < cells.v_size; i += LANES) {
                store(to[h] + i, times(load(sum[h] + i), share));
            }
        }
    }

  private:
    uint64_t look(int64_t first) const {
        if (cells.count - first >= LOOK) {
            return visible(cells.mask + first);
        }
        uint64_t bits = 0;
        for (int64_t i = first; i < cells.count; i++) {
            bits |= (uint64_t) (cells.mask[i] != MASKED) << (i - first);
        }
        return bits;
    }

    // Adds the chosen cells to the sums.
    void block() {
        // Lanes beyond the last weigh nothing.
        const int padded = (filled + LANES - 1) / LANES * LANES;
        score(padded);
        for (int h = 0; h < N; h++) {
            Floats top = load(scores[h]);
            for (int i = LANES; i < padded; i += LANES) {
                top = larger(top, load(scores[h] + i));
            }
            const float before = maximum[h];
            const float now = fmaxf(before, largest(top));
            maximum[h] = now;
            const float keep = before == -INFINITY ? 0.0f : expf(before - now);
            Floats added = zero();
            for (int i = 0; i < padded; i += LANES) {
                const Floats e = ggml_v_expf(minus(load(scores[h] + i), all(now)));
                store(scores[h] + i, e);
                added = plus(added, e);
            }
            weight[h] = weight[h] * keep + total(added);
            kept[h] = keep;
        }
        add_values();
        filled = 0;
    }

    void score(int padded) {
        for (int c = 0; c < filled; c++) {
            const uint16_t * key = (const uint16_t *) (cells.k + cells.k_stride * chosen[c]);
            Floats product[N];
            for (int h = 0; h < N; h++) {
                product[h] = zero();
            }
            for (int i = 0; i < cells.k_size; i += LANES) {
                const Floats part = load_halves(key + i);
                for (int h = 0; h < N; h++) {
                    product[h] = fused(part, load(queries[h] + i), product[h]);
                }
            }
            const float bias = _cvtsh_ss(cells.mask[chosen[c]]);
            for (int h = 0; h < N; h++) {
                scores[h][c] = total(product[h]) * cells.scale + bias;
            }
        }
        for (int c = filled; c < padded; c++) {
            for (int h = 0; h < N; h++) {
                scores[h][c] = -INFINITY;
            }
        }
    }

    void add_values() {
        for (int part = 0; part < cells.v_size; part += PART) {
            Floats at[N][4];
            for (int h = 0; h < N; h++) {
                for (int i = 0; i < 4; i++) {
                    at[h][i] = times(load(sum[h] + part + LANES * i), all(kept[h]));
                }
            }
            for (int c = 0; c < filled; c++) {
                const uint16_t * value = (const uint16_t *) (cells.v + cells.v_stride * chosen[c]) + part;
                for (int i = 0; i < 4; i++) {
                    const Floats four = load_halves(value + LANES * i);
                    for (int h = 0; h < N; h++) {
                        at[h][i] = fused(four, all(scores[h][c]), at[h][i]);
                    }
                }
            }
            for (int h = 0; h < N; h++) {
                for (int i = 0; i < 4; i++) {
                    store(sum[h] + part + LANES * i, at[h][i]);
                }
            }
        }
    }

    const Cells & cells;
    const float * const * queries;
    int filled = 0;
    float maximum[N];
    float weight[N];
    float kept[N];
    int32_t chosen[BLOCK];
    alignas(64) float scores[N][BLOCK];
    alignas(64) float sum[N][MOST];
};

// Whether the product is one of those below.
bool ours(const ggml_tensor * dst) {
    const ggml_tensor * q = dst->src[0];
    const ggml_tensor * k = dst->src[1];
    const ggml_tensor * v = dst->src[2];
    const ggml_tensor * mask = dst->src[3];
    float bias, cap;
    memcpy(&bias, (const float *) dst->op_params + 1, sizeof bias);
    memcpy(&cap, (const float *) dst->op_params + 2, sizeof cap);
    const bool types = q->type == GGML_TYPE_F32 && k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16;
    const bool sizes = k->ne[0] % PART == 0 && v->ne[0] % PART == 0 && k->ne[0] <= MOST && v->ne[0] <= MOST;
    const bool heads = k->ne[2] == v->ne[2] && k->ne[3] == v->ne[3] && q->ne[2] % k->ne[2] == 0 && q->ne[3] % k->ne[3] == 0;
    const bool rows = q->nb[0] == sizeof(float) && k->nb[0] == sizeof(uint16_t) && v->nb[0] == sizeof(uint16_t);
    // From this many queries on ggml multiplies in tiles.
    const bool few = q->ne[1] < GGML_FA_TILE_Q;
    return types && sizes && heads && rows && few && bias == 0.0f && cap == 0.0f && mask != nullptr &&
           mask->type == GGML_TYPE_F16 && dst->src[4] == nullptr && k->ne[1] <= INT32_MAX;
}

void attend(const ggml_compute_params * params, ggml_tensor * dst) {
    const ggml_tensor * q = dst->src[0];
    const ggml_tensor * k = dst->src[1];
    const ggml_tensor * v = dst->src[2];
    const ggml_tensor * mask = dst->src[3];
    const int64_t queries = q->ne[1];
    const int64_t heads = q->ne[2];
    const int64_t group = heads / k->ne[2];

    float scale;
    memcpy(&scale, dst->op_params, sizeof scale);

    // Groups of heads are shared among the threads; where they are few, smaller groups that share evenly.
    int64_t together = group < HEADS ? group : HEADS;
    const int64_t all_queries = queries * q->ne[3] * k->ne[2];
    while (together > 1 && all_queries * ((group + together - 1) / together) < 4 * params->nth) {
        together--;
    }
    const int64_t parts = (group + together - 1) / together;
    const int64_t units = all_queries * parts;
    const int64_t from = units * params->ith / params->nth;
    const int64_t to = units * (params->ith + 1) / params->nth;

    for (int64_t unit = from; unit < to; unit++) {
        const int64_t part = unit % parts;
        const int64_t head = unit / parts % k->ne[2];
        const int64_t row = unit / parts / k->ne[2] % queries;
        const int64_t stream = unit / parts / k->ne[2] / queries;
        const int64_t first = head * group + part * together;
        const int64_t last = head * group + group;
        const int count = (int) (last - first < together ? last - first : together);
        // All heads of a query have one mask, in llama.cpp's graphs and where it is repeated.
        const char * const seen = (const char *) mask->data + row * mask->nb[1] + (first % mask->ne[2]) * mask->nb[2] +
                                  (stream % mask->ne[3]) * mask->nb[3];
        const int64_t source = stream / (q->ne[3] / k->ne[3]);
        const Cells cells = {
            (const char *) k->data + head * k->nb[2] + source * k->nb[3],
            (int64_t) k->nb[1],
            (const char *) v->data + head * v->nb[2] + source * v->nb[3],
            (int64_t) v->nb[1],
            (const uint16_t *) seen,
            k->ne[1],
            (int) k->ne[0],
            (int) v->ne[0],
            scale,
        };
        const float * asks[HEADS];
        float * answers[HEADS];
        for (int h = 0; h < count; h++) {
            asks[h] = (const float *) ((const char *) q->data + row * q->nb[1] + (first + h) * q->nb[2] + stream * q->nb[3]);
            answers[h] = (float *) ((char *) dst->data + (first + h) * dst->nb[1] + row * dst->nb[2] + stream * dst->nb[3]);
        }
        const auto go = [&](auto number) {
            Heads<decltype(number)::value> of(cells, asks);
            of.walk();
            of.write(answers);
        };
        switch (count) {
            case 1: go(std::integral_constant<int, 1>()); break;
            case 2: go(std::integral_constant<int, 2>()); break;
            case 3: go(std::integral_constant<int, 3>()); break;
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
            case 4: go(std::integral_constant<int, 4>()); break;
#endif
            default: break;
        }
    }
}

}  // namespace

extern "C" void lla_flash_attn_ext(const struct ggml_compute_params * params, struct ggml_tensor * dst) {
    if (!params->use_ref && ours(dst)) {
        attend(params, dst);
    } else {
        ggml_compute_forward_flash_attn_ext(params, dst);
    }
}
