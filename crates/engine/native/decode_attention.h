// Included in front of ggml's CPU code (see build.rs): sends its attention to decode_attention.cpp first.
//
// C only, like affine_gemm.h: ops.cpp goes on to define the original.
#ifndef LLA_DECODE_ATTENTION_H
#define LLA_DECODE_ATTENTION_H

struct ggml_compute_params;
struct ggml_tensor;

#ifdef __cplusplus

// This thread's share of an attention: dst (F32) = softmax(q k * scale + mask) v, as GGML_OP_FLASH_ATTN_EXT.
extern "C" void lla_flash_attn_ext(const struct ggml_compute_params * params, struct ggml_tensor * dst);

#else

#define ggml_compute_forward_flash_attn_ext lla_flash_attn_ext

#endif
#endif
