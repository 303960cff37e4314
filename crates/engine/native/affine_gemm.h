// Included in front of ggml's CPU code (see build.rs): sends its matrix products to affine_gemm.cpp first.
//
// ggml asks llamafile_sgemm before it falls back to its own loop; one name is all that has to change.
// C only: sgemm.cpp goes on to define the original, which takes what our kernel does not.
#ifndef LLA_AFFINE_GEMM_H
#define LLA_AFFINE_GEMM_H

#ifdef __cplusplus

#include <stdbool.h>
#include <stdint.h>

struct ggml_compute_params;

// Like llamafile_sgemm: C (n columns of m floats, ldc apart) = A (m rows of k blocks, lda blocks apart,
// of a_type) times B (n columns of k blocks, ldb blocks apart, of b_type); this thread's share of it.
// False: not a product of ours, nothing has been written.
extern "C" bool lla_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * a,
                          int64_t lda, const void * b, int64_t ldb, void * c, int64_t ldc, int a_type, int b_type,
                          int c_type);

#else

#define llamafile_sgemm lla_sgemm

#endif
#endif
