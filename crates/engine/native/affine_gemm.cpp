// Matrix products for the formats that ggml multiplies in a plain loop, see build.rs and affine_gemm.h.
//
// C = A * B. A: weights, rows of blocks of 32 small unsigned numbers q with two factors, w = d * q + m.
// B: activations, 8-bit, blocks of 32 with a factor and, where the format has it, their sum. In a block
//
//     sum(w * x) = (dA * dB) * sum(q * x) + mA * (dB * sum(x))
//
// so that all of Q4_1, Q5_0, Q5_1 and Q8_0 are one kernel behind four ways to unpack:
//
// 1. LANES rows of weights are unpacked together, turned so that a register holds the same four
//    numbers' worth of every row (a dword a row). Four bytes of a column of B, repeated over the
//    register, multiply them: no sums across lanes, and factors are applied once a block for all rows.
// 2. Unpacking is done once for up to COLUMNS columns: a batch of eight sequences costs little more
//    than one.
//
// ggml's own loop (vec_dot) does one row and one column at a time, with a conversion and a multiplication
// for every 32 numbers of each. The results differ from it by rounding of float sums only: B is rounded
// to 8 bit by ggml before it gets here, the sums of integers are exact.

#include "affine_gemm.h"

// Types of blocks, as C declares them.
#define GGML_COMMON_DECL_C
#include "ggml-common.h"
#include "ggml-cpu-impl.h"
#include "ggml.h"
#include "llamafile/sgemm.h"

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include <cstddef>
#include <type_traits>

namespace {

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
constexpr int LANES = 16;
constexpr int WIDTH = 8;
using Ints = __m512i;
using Floats = __m512;
#else
constexpr int LANES = 8;
constexpr int WIDTH = 4;
using Ints = __m256i;
using Floats = __m256;
#endif

// Of a strip of A that is unpacked at once, so that it stays in the first cache: 2,048 numbers a row.
constexpr int BLOCKS = 64;
// Of B that are worked through with one unpacking.
constexpr int COLUMNS = 64;
constexpr int BLOCK = 32;
// Four bytes of every row of a tile are one register.
constexpr int DWORDS = BLOCK / 4;
// Up to here a product waits for the weights; above, it computes.
constexpr int64_t FEW_COLUMNS = 32;

// One block of LANES rows, unpacked.
struct Unpacked {
    Ints q[DWORDS];
    Floats d;
    Floats m;
};

// The factors of B's blocks as floats, column by column.
struct Factors {
    float d[COLUMNS][BLOCKS];
    float s[COLUMNS][BLOCKS];
};

// Where LANES rows of A begin; distances in bytes.
struct Rows {
    const char * first;
    int64_t stride;
    // To the rows of the next tile.
    int64_t next;
    Ints offsets;
    // Rows beyond the last repeat it, and are not stored.
    int last;

    const char * at(int row) const { return first + stride * (row < last ? row : last); }
};

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)

inline __m512i quad(const Rows & rows, int row, int64_t offset) {
    const auto load = [&](int r) { return _mm_loadu_si128((const __m128i *) (rows.at(r) + offset)); };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(load(row)), load(row + 4), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(load(row + 8)), load(row + 12), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
inline Ints unpack_low32(Ints a, Ints b) { return _mm512_unpacklo_epi32(a, b); }
inline Ints unpack_high32(Ints a, Ints b) { return _mm512_unpackhi_epi32(a, b); }
inline Ints unpack_low64(Ints a, Ints b) { return _mm512_unpacklo_epi64(a, b); }
inline Ints unpack_high64(Ints a, Ints b) { return _mm512_unpackhi_epi64(a, b); }
inline Ints all8(int value) { return _mm512_set1_epi8((char) value); }
inline Ints all32(int value) { return _mm512_set1_epi32(value); }
inline Ints both(Ints a, Ints b) { return _mm512_and_si512(a, b); }
inline Ints either(Ints a, Ints b) { return _mm512_or_si512(a, b); }
inline Ints flip(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
template <int BITS> inline Ints right(Ints a) { return _mm512_srli_epi32(a, BITS); }
template <int BITS> inline Ints left(Ints a) { return _mm512_slli_epi32(a, BITS); }
inline Ints right_by(Ints a, int bits) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits)); }
inline Ints multiply32(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
inline Ints gather(const Rows & rows, int64_t offset) {
    return _mm512_i32gather_epi32(rows.offsets, rows.first + offset, 1);
}
// The lower halves of 32-bit lanes, as 16-bit floats.
inline Floats halves(Ints a) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }
inline Floats all(float value) { return _mm512_set1_ps(value); }
inline Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats floats(Ints a) { return _mm512_cvtepi32_ps(a); }


// Sums of products, exact: 8 steps of 4 numbers, each at most 255 * 127.
struct Sum {
    Ints of;
    void clear() { of = _mm512_setzero_si512(); }
    template <int> void add(Ints q, int x) { of = _mm512_dpbusd_epi32(of, q, _mm512_set1_epi32(x)); }
    template <int> void settle() {}
    Ints total() const { return of; }
};

#else

inline __m256i quad(const Rows & rows, int row, int64_t offset) {
    const auto load = [&](int r) { return _mm_loadu_si128((const __m128i *) (rows.at(r) + offset)); };
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load(row)), load(row + 4), 1);
}
inline Ints unpack_low32(Ints a, Ints b) { return _mm256_unpacklo_epi32(a, b); }
inline Ints unpack_high32(Ints a, Ints b) { return _mm256_unpackhi_epi32(a, b); }
inline Ints unpack_low64(Ints a, Ints b) { return _mm256_unpacklo_epi64(a, b); }
inline Ints unpack_high64(Ints a, Ints b) { return _mm256_unpackhi_epi64(a, b); }
inline Ints all8(int value) { return _mm256_set1_epi8((char) value); }
inline Ints all32(int value) { return _mm256_set1_epi32(value); }
inline Ints both(Ints a, Ints b) { return _mm256_and_si256(a, b); }
inline Ints either(Ints a, Ints b) { return _mm256_or_si256(a, b); }
inline Ints flip(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
template <int BITS> inline Ints right(Ints a) { return _mm256_srli_epi32(a, BITS); }
template <int BITS> inline Ints left(Ints a) { return _mm256_slli_epi32(a, BITS); }
inline Ints right_by(Ints a, int bits) { return _mm256_srl_epi32(a, _mm_cvtsi32_si128(bits)); }
inline Ints multiply32(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
inline Ints gather(const Rows & rows, int64_t offset) {
    return _mm256_i32gather_epi32((const int *) (rows.first + offset), rows.offsets, 1);
}
inline Floats halves(Ints a) {
    const __m256i low = _mm256_and_si256(a, _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}
inline Floats all(float value) { return _mm256_set1_ps(value); }
inline Floats times(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats floats(Ints a) { return _mm256_cvtepi32_ps(a); }

// Pairs of products are summed in 16 bits: BITS bits times 8 are below 32,768 for 2^(8 - BITS) / 2 steps.
struct Sum {
    Ints small;
    Ints of;
    void clear() { small = of = _mm256_setzero_si256(); }
    template <int> void add(Ints q, int x) {
        small = _mm256_add_epi16(small, _mm256_maddubs_epi16(q, _mm256_set1_epi32(x)));
    }
    template <int> void settle() {
        of = _mm256_add_epi32(of, _mm256_madd_epi16(small, _mm256_set1_epi16(1)));
        small = _mm256_setzero_si256();
    }
    Ints total() const { return of; }
};

#endif

// Of a column of C, the numbers that belong to the lanes.
inline Floats load_rows(const float * c, int64_t apart, int count) {
    Floats value;
    if (apart == 1 && count == LANES) {
        memcpy(&value, c, sizeof value);
        return value;
    }
    alignas(64) float lanes[LANES] = {};
    for (int i = 0; i < count; i++) {
        lanes[i] = c[apart * i];
    }
    memcpy(&value, lanes, sizeof value);
    return value;
}
inline void store_rows(float * c, int64_t apart, Floats value, int count) {
    if (apart == 1 && count == LANES) {
        memcpy(c, &value, sizeof value);
        return;
    }
    alignas(64) float lanes[LANES];
    memcpy(lanes, &value, sizeof value);
    for (int i = 0; i < count; i++) {
        c[apart * i] = lanes[i];
    }
}

// 16 bytes of every row to four registers, the n-th with the n-th dword of every row.
inline void turn(const Rows & rows, int64_t offset, Ints * out) {
    const Ints a = quad(rows, 0, offset);
    const Ints b = quad(rows, 1, offset);
    const Ints c = quad(rows, 2, offset);
    const Ints d = quad(rows, 3, offset);
    const Ints ab_low = unpack_low32(a, b);
    const Ints ab_high = unpack_high32(a, b);
    const Ints cd_low = unpack_low32(c, d);
    const Ints cd_high = unpack_high32(c, d);
    out[0] = unpack_low64(ab_low, cd_low);
    out[1] = unpack_high64(ab_low, cd_low);
    out[2] = unpack_low64(ab_high, cd_high);
    out[3] = unpack_high64(ab_high, cd_high);
}

// Sixteen bytes with two numbers each: the lower halves come first.
inline void turn_nibbles(const Rows & rows, int64_t offset, Ints * out) {
    Ints packed[4];
    turn(rows, offset, packed);
    const Ints low = all8(0x0f);
    for (int n = 0; n < 4; n++) {
        out[n] = both(packed[n], low);
        out[n + 4] = both(right<4>(packed[n]), low);
    }
}

// The fifth bits of 32 numbers are one dword a row; bit n belongs to number n.
inline void add_fifth_bits(Ints bits, Ints * q) {
    for (int n = 0; n < DWORDS; n++) {
        const Ints four = both(right_by(bits, 4 * n), all32(0xf));
        // Bit i goes to bit 4 of byte i.
        const Ints spread = both(multiply32(four, all32(0x00204081)), all32(0x01010101));
        q[n] = either(q[n], left<4>(spread));
    }
}

struct Q4_1 {
    using Block = block_q4_1;
    static constexpr int STEPS = 8;
    static void unpack(const Rows & rows, int64_t at, Unpacked & to) {
        turn_nibbles(rows, at + offsetof(Block, qs), to.q);
        Ints front[4];
        turn(rows, at, front);
        to.d = halves(front[0]);
        to.m = halves(right<16>(front[0]));
    }
};

struct Q5_1 {
    using Block = block_q5_1;
    static constexpr int STEPS = 4;
    static void unpack(const Rows & rows, int64_t at, Unpacked & to) {
        turn_nibbles(rows, at + offsetof(Block, qs), to.q);
        add_fifth_bits(gather(rows, at + offsetof(Block, qh)), to.q);
        const Ints factors = gather(rows, at);
        to.d = halves(factors);
        to.m = halves(right<16>(factors));
    }
};

struct Q5_0 {
    using Block = block_q5_0;
    static constexpr int STEPS = 4;
    static void unpack(const Rows & rows, int64_t at, Unpacked & to) {
        turn_nibbles(rows, at + offsetof(Block, qs), to.q);
        add_fifth_bits(gather(rows, at + offsetof(Block, qh)), to.q);
        to.d = halves(gather(rows, at));
        to.m = times(to.d, all(-16.0f));
    }
};

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
// Signed numbers, moved by 128. AVX2 has no exact product for them that would be faster than ggml's.
struct Q8_0 {
    using Block = block_q8_0;
    static constexpr int STEPS = 8;
    static void unpack(const Rows & rows, int64_t at, Unpacked & to) {
        turn(rows, at + offsetof(Block, qs), to.q);
        turn(rows, at + offsetof(Block, qs) + 16, to.q + 4);
        for (Ints & q : to.q) {
            q = flip(q, all8(0x80));
        }
        to.d = halves(gather(rows, at));
        to.m = times(to.d, all(-128.0f));
    }
};
#endif

// What B says of itself.
inline void factors(const block_q8_1 & block, float & d, float & s) {
    d = _cvtsh_ss(block.d);
    s = _cvtsh_ss(block.s);
}

inline void factors(const block_q8_0 & block, float & d, float & s) {
    d = _cvtsh_ss(block.d);
    const __m256i q = _mm256_loadu_si256((const __m256i *) block.qs);
    // Bytes moved by 128 are unsigned and can be summed by differences from zero.
    const __m256i sums = _mm256_sad_epu8(_mm256_xor_si256(q, _mm256_set1_epi8((char) 0x80)), _mm256_setzero_si256());
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    const int64_t sum = _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1) - 128 * BLOCK;
    s = d * (float) sum;
}

// Asks for the same bytes of the next LANES rows: weights are read once per step, from memory.
template <typename A> inline void prefetch(const Rows & rows, int64_t offset, int block) {
    constexpr int LINE = 64;
    constexpr int PERIOD = sizeof(typename A::Block) < LINE ? LINE / (int) sizeof(typename A::Block) : 1;
    for (int row = block % PERIOD; row < LANES; row += PERIOD) {
        _mm_prefetch(rows.at(row) + rows.next + offset, _MM_HINT_T0);
    }
}

// LANES rows times COUNT columns.
template <int STEPS, int COUNT, typename BBlock>
inline void tile(const Unpacked * a, int blocks, const BBlock * b, int64_t ldb, const Factors & f, int column, float * c,
                 int64_t ldc, int64_t apart, int rows, bool first) {
    Floats total[COUNT];
    for (int j = 0; j < COUNT; j++) {
        total[j] = first ? all(0.0f) : load_rows(c + ldc * j, apart, rows);
    }
    for (int k = 0; k < blocks; k++) {
        Sum sum[COUNT];
        for (int j = 0; j < COUNT; j++) {
            sum[j].clear();
        }
#pragma GCC unroll 8
        for (int n = 0; n < DWORDS; n++) {
            const Ints q = a[k].q[n];
#pragma GCC unroll 8
            for (int j = 0; j < COUNT; j++) {
                int x;
                memcpy(&x, b[ldb * j + k].qs + 4 * n, sizeof x);
                sum[j].template add<STEPS>(q, x);
                if ((n + 1) % STEPS == 0) {
                    sum[j].template settle<STEPS>();
                }
            }
        }
#pragma GCC unroll 8
        for (int j = 0; j < COUNT; j++) {
            total[j] = fused(floats(sum[j].total()), times(a[k].d, all(f.d[column + j][k])), total[j]);
            total[j] = fused(a[k].m, all(f.s[column + j][k]), total[j]);
        }
    }
    for (int j = 0; j < COUNT; j++) {
        store_rows(c + ldc * j, apart, total[j], rows);
    }
}

template <typename A, typename BBlock>
void multiply(int ith, int nth, int64_t m, int64_t n, int64_t k, const typename A::Block * a, int64_t lda, const BBlock * b,
              int64_t ldb, float * c, int64_t ldc) {
    const int64_t tiles = (m + LANES - 1) / LANES;
    const int64_t row_bytes = lda * (int64_t) sizeof(typename A::Block);
    // Few columns: the lanes are rows far apart, so that each of them reads memory in one long run, which the
    // hardware follows (half as fast otherwise). Many: they are neighbours, so that they are stored together.
    const bool far_apart = n <= FEW_COLUMNS && row_bytes * m <= INT32_MAX;
    const int64_t apart = far_apart ? tiles : 1;
    const int64_t groups = (n + COLUMNS - 1) / COLUMNS;
    const int64_t jobs = tiles * groups;
    const int64_t from = jobs * ith / nth;
    const int64_t to = jobs * (ith + 1) / nth;

    alignas(64) Unpacked strip[BLOCKS];
    Factors f;
    for (int64_t group = from / tiles; group * tiles < to; group++) {
        const int64_t column = group * COLUMNS;
        const int columns = (int) (n - column < COLUMNS ? n - column : COLUMNS);
        const int64_t first_tile = from > group * tiles ? from - group * tiles : 0;
        const int64_t end_tile = to < (group + 1) * tiles ? to - group * tiles : tiles;
        for (int64_t start = 0; start < k; start += BLOCKS) {
            const int blocks = (int) (k - start < BLOCKS ? k - start : BLOCKS);
            for (int j = 0; j < columns; j++) {
                for (int i = 0; i < blocks; i++) {
                    factors(b[ldb * (column + j) + start + i], f.d[j][i], f.s[j][i]);
                }
            }
            for (int64_t t = first_tile; t < end_tile; t++) {
                const int64_t row = far_apart ? t : t * LANES;
                const int64_t left = far_apart ? (m - 1 - t) / tiles + 1 : m - row;
                const int rows = (int) (left < LANES ? left : LANES);
                const int64_t stride = row_bytes * apart;
                alignas(64) int offsets[LANES];
                for (int i = 0; i < LANES; i++) {
                    offsets[i] = (int) (stride * (i < rows ? i : rows - 1));
                }
                Ints loaded;
                memcpy(&loaded, offsets, sizeof loaded);
                const Rows source = { (const char *) (a + lda * row + start), stride,
                                      far_apart ? row_bytes : row_bytes * LANES, loaded, rows - 1 };
                const bool more = t + 1 < end_tile;
                for (int i = 0; i < blocks; i++) {
                    const int64_t at = i * (int64_t) sizeof(typename A::Block);
                    if (more) {
                        prefetch<A>(source, at, i);
                    }
                    A::unpack(source, at, strip[i]);
                }
                int j = 0;
                const auto go = [&](auto count) {
                    constexpr int COUNT = decltype(count)::value;
                    tile<A::STEPS, COUNT>(strip, blocks, b + ldb * (column + j) + start, ldb, f, j,
                                          c + ldc * (column + j) + row, ldc, apart, rows, start == 0);
                    j += COUNT;
                };
                while (columns - j >= WIDTH) {
                    go(std::integral_constant<int, WIDTH>());
                }
                switch (columns - j) {
                    case 1: go(std::integral_constant<int, 1>()); break;
                    case 2: go(std::integral_constant<int, 2>()); break;
                    case 3: go(std::integral_constant<int, 3>()); break;
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
                    case 4: go(std::integral_constant<int, 4>()); break;
                    case 5: go(std::integral_constant<int, 5>()); break;
                    case 6: go(std::integral_constant<int, 6>()); break;
                    case 7: go(std::integral_constant<int, 7>()); break;
#endif
                    default: break;
                }
            }
        }
    }
}

}  // namespace

extern "C" bool lla_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * a,
                          int64_t lda, const void * b, int64_t ldb, void * c, int64_t ldc, int a_type, int b_type,
                          int c_type) {
    const auto run = [&](auto format, auto * b_blocks) {
        using A = decltype(format);
        // Offsets of rows are 32-bit.
        if (lda > INT32_MAX / LANES / (int64_t) sizeof(typename A::Block)) {
            return false;
        }
        multiply<A>(params->ith, params->nth, m, n, k, (const typename A::Block *) a, lda, b_blocks, ldb, (float *) c, ldc);
        return true;
    };
    if (c_type == GGML_TYPE_F32 && b_type == GGML_TYPE_Q8_1) {
        const auto * blocks = (const block_q8_1 *) b;
        if (a_type == GGML_TYPE_Q4_1 && run(Q4_1(), blocks)) {
            return true;
        }
        if (n > 1 && a_type == GGML_TYPE_Q5_1 && run(Q5_1(), blocks)) {
            return true;
        }
    }
    if (c_type == GGML_TYPE_F32 && b_type == GGML_TYPE_Q8_0) {
        const auto * blocks = (const block_q8_0 *) b;
        if (n > 1 && a_type == GGML_TYPE_Q5_0 && run(Q5_0(), blocks)) {
            return true;
        }
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
        if (a_type == GGML_TYPE_Q8_0 && run(Q8_0(), blocks)) {
            return true;
        }
#endif
    }
    return llamafile_sgemm(params, m, n, k, a, lda, b, ldb, c, ldc, a_type, b_type, c_type);
}
