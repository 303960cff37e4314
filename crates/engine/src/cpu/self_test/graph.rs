//! One-node ggml graphs for the self test: allocate, fill, compute on two threads, read back.

use std::ffi::{CStr, c_void};

use llama_cpp_sys_2 as sys;

use super::{Registered, SelfTestError, numbers, relative_error};

/// A weight matrix: quantized for ggml, and what those bytes mean.
pub(super) struct Weights {
    kind: sys::ggml_type,
    pub(super) bytes: Vec<u8>,
    pub(super) plain: Vec<f32>,
}

/// Quantizes and back with ggml's reference code, which is the same for all variants.
pub(super) fn quantized(kind: sys::ggml_type, values: &[f32], rows: usize, depth: usize) -> Weights {
    // SAFETY: `bytes` and `plain` have the sizes ggml states for rows * depth values of this type;
    // `kind` is a type that needs no importance matrix; f32 has no `to_float` and is copied.
    unsafe {
        let size = sys::ggml_row_size(kind, signed(depth)) * rows;
        let mut bytes = vec![0_u8; size];
        sys::ggml_quantize_chunk(
            kind,
            values.as_ptr(),
            bytes.as_mut_ptr().cast(),
            0,
            signed(rows),
            signed(depth),
            std::ptr::null(),
        );
        let mut plain = values.to_vec();
        if let Some(to_float) = sys::ggml_get_type_traits(kind).as_ref().and_then(|traits| traits.to_float) {
            to_float(bytes.as_ptr().cast(), plain.as_mut_ptr(), signed(values.len()));
        }
        Weights { kind, bytes, plain }
    }
}

/// The layouts in which the variant may keep weights: plain first, then its own (repacked).
pub(super) fn buffer_types(registered: Registered) -> Vec<sys::ggml_backend_buffer_type_t> {
    let device = registered.device();
    // SAFETY: the device is valid; ggml documents the function's type; its list ends with null.
    unsafe {
        let mut types = vec![sys::ggml_backend_dev_buffer_type(device)];
        let function = registered.function(c"ggml_backend_dev_get_extra_bufts");
        if !function.is_null() {
            let function: sys::ggml_backend_dev_get_extra_bufts_t = std::mem::transmute(function);
            let mut item = function.map_or(std::ptr::null_mut(), |function| function(device));
            while !item.is_null() && !(*item).is_null() {
                types.push(*item);
                item = item.add(1);
            }
        }
        types
    }
}

pub(super) fn buffer_type_name(buffer_type: sys::ggml_backend_buffer_type_t) -> String {
    // SAFETY: a valid buffer type; its name is a terminated string of static life.
    unsafe { CStr::from_ptr(sys::ggml_backend_buft_name(buffer_type)) }.to_string_lossy().into_owned()
}

/// A matrix product ready to be computed. Frees what it holds.
pub(super) struct Graph {
    backend: sys::ggml_backend_t,
    contexts: [*mut sys::ggml_context; 2],
    buffers: [sys::ggml_backend_buffer_t; 2],
    graph: *mut sys::ggml_cgraph,
    inputs: Vec<*mut sys::ggml_tensor>,
    output: *mut sys::ggml_tensor,
}

impl Graph {
    /// `weights` (`[rows, depth]`, in `buffer_type`) times `batch` columns. None where the layout has no such
    /// product.
    pub(super) fn product(
        registered: Registered,
        weights: &Weights,
        [rows, depth, batch]: [usize; 3],
        buffer_type: sys::ggml_backend_buffer_type_t,
    ) -> Option<Self> {
        // SAFETY: tensors are made in contexts that live as long as the graph; null is checked in `finish`.
        unsafe {
            let mut graph = Self::empty(registered)?;
            let [weight_context, context] = graph.contexts;
            let matrix = sys::ggml_new_tensor_2d(weight_context, weights.kind, signed(depth), signed(rows));
            let columns = sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_F32, signed(depth), signed(batch));
            graph.buffers[0] = sys::ggml_backend_alloc_ctx_tensors_from_buft(weight_context, buffer_type);
            if graph.buffers[0].is_null() {
                return None;
            }
            let output = sys::ggml_mul_mat(context, matrix, columns);
            graph.inputs = vec![matrix, columns];
            graph.finish(registered, output)
        }
    }

    /// Flash attention with keys and values in f16.
    fn attention(registered: Registered, case: &Attention) -> Option<Self> {
        // SAFETY: as in `product`.
        unsafe {
            let mut graph = Self::empty(registered)?;
            let context = graph.contexts[1];
            let tensor = |kind, length, heads| {
                sys::ggml_new_tensor_3d(context, kind, signed(WIDTH), signed(length), signed(heads))
            };
            let query = tensor(sys::GGML_TYPE_F32, case.queries, case.heads());
            let key = tensor(sys::GGML_TYPE_F16, case.keys, KEY_HEADS);
            let value = tensor(sys::GGML_TYPE_F16, case.keys, KEY_HEADS);
            graph.inputs = vec![query, key, value];
            let mut mask = std::ptr::null_mut();
            if case.masked {
                mask = sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_F16, signed(case.keys), signed(case.queries));
                graph.inputs.push(mask);
            }
            let output = sys::ggml_flash_attn_ext(context, query, key, value, mask, SCALE, 0.0, 0.0);
            graph.finish(registered, output)
        }
    }

    fn empty(registered: Registered) -> Option<Self> {
        // SAFETY: plain constructors; null results are checked, and dropping frees the others.
        unsafe {
            let backend = sys::ggml_backend_dev_init(registered.device(), std::ptr::null());
            if backend.is_null() {
                return None;
            }
            let set_threads = registered.function(c"ggml_backend_set_n_threads");
            if !set_threads.is_null() {
                let set_threads: sys::ggml_backend_set_n_threads_t = std::mem::transmute(set_threads);
                if let Some(set_threads) = set_threads {
                    set_threads(backend, 2);
                }
            }
            let mem_size = 16 * sys::ggml_tensor_overhead() + sys::ggml_graph_overhead();
            let params = || sys::ggml_init_params { mem_size, mem_buffer: std::ptr::null_mut(), no_alloc: true };
            let contexts = [sys::ggml_init(params()), sys::ggml_init(params())];
            let graph = Self {
                backend,
                contexts,
                buffers: [std::ptr::null_mut(); 2],
                graph: std::ptr::null_mut(),
                inputs: Vec::new(),
                output: std::ptr::null_mut(),
            };
            (!contexts.iter().any(|context| context.is_null())).then_some(graph)
        }
    }

    /// Allocates the rest and builds the graph, when the device can compute it.
    unsafe fn finish(mut self, registered: Registered, output: *mut sys::ggml_tensor) -> Option<Self> {
        // SAFETY: all pointers come from the constructors above and are not null.
        unsafe {
            let device = registered.device();
            if !sys::ggml_backend_dev_supports_op(device, output) {
                return None;
            }
            let plain = sys::ggml_backend_dev_buffer_type(device);
            self.buffers[1] = sys::ggml_backend_alloc_ctx_tensors_from_buft(self.contexts[1], plain);
            self.graph = sys::ggml_new_graph(self.contexts[1]);
            if self.buffers[1].is_null() || self.graph.is_null() {
                return None;
            }
            sys::ggml_build_forward_expand(self.graph, output);
            self.output = output;
            Some(self)
        }
    }

    /// Fills the two operands of a product and computes; None when ggml reports failure.
    pub(super) fn compute(&self, weights: &[u8], activations: &[f32]) -> Option<Vec<f32>> {
        self.compute_with(&[weights, bytes_of(activations)])
    }

    fn compute_with(&self, inputs: &[&[u8]]) -> Option<Vec<f32>> {
        // SAFETY: each input is as long as its tensor (checked); the output is f32 of the stated size.
        unsafe {
            for (tensor, data) in self.inputs.iter().zip(inputs) {
                if sys::ggml_nbytes(*tensor) != data.len() {
                    return None;
                }
                sys::ggml_backend_tensor_set(*tensor, data.as_ptr().cast(), 0, data.len());
            }
            if sys::ggml_backend_graph_compute(self.backend, self.graph) != sys::GGML_STATUS_SUCCESS {
                return None;
            }
            let size = sys::ggml_nbytes(self.output);
            let mut result = vec![0.0_f32; size / size_of::<f32>()];
            sys::ggml_backend_tensor_get(self.output, result.as_mut_ptr().cast::<c_void>(), 0, size);
            Some(result)
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: each pointer is owned by this value; ggml's free functions accept null.
        unsafe {
            for buffer in self.buffers {
                sys::ggml_backend_buffer_free(buffer);
            }
            for context in self.contexts {
                sys::ggml_free(context);
            }
            sys::ggml_backend_free(self.backend);
        }
    }
}

const KEY_HEADS: usize = 2;
const WIDTH: usize = 64;
const SCALE: f32 = 0.125;

/// One attention to check: `group` heads of queries for each head of keys.
struct Attention {
    queries: usize,
    keys: usize,
    group: usize,
    masked: bool,
}

impl Attention {
    const fn heads(&self) -> usize {
        KEY_HEADS * self.group
    }

    /// A beginning that nobody sees, then some cells of all, as in a cache that sequences share. Never nothing.
    const fn sees(&self, query: usize, cell: usize) -> bool {
        !self.masked || (cell >= self.keys / 2 && (cell * 7 + query * 3) % 5 < 2) || cell == query
    }
}

/// Decode, prefill, and what a shared cache brings: masked cells, heads that share keys, ragged lengths.
const ATTENTIONS: [Attention; 6] = [
    Attention { queries: 1, keys: 96, group: 2, masked: false },
    Attention { queries: 32, keys: 96, group: 2, masked: false },
    Attention { queries: 1, keys: 300, group: 3, masked: true },
    Attention { queries: 17, keys: 300, group: 3, masked: true },
    Attention { queries: 5, keys: 300, group: 5, masked: true },
    Attention { queries: 65, keys: 128, group: 2, masked: true },
];

/// Worst error of flash attention against plain Rust.
pub(super) fn attention_error(registered: Registered) -> Result<f64, SelfTestError> {
    let mut worst = 0.0_f64;
    for case in &ATTENTIONS {
        let what = || format!("attention of {} over {} in groups of {}", case.queries, case.keys, case.group);
        let not_computed = || SelfTestError::NotComputed { what: what() };
        let keys = case.keys * KEY_HEADS;
        let query = numbers(WIDTH * case.queries * case.heads(), 3);
        let key = quantized(sys::GGML_TYPE_F16, &numbers(WIDTH * keys, 4), keys, WIDTH);
        let value = quantized(sys::GGML_TYPE_F16, &numbers(WIDTH * keys, 5), keys, WIDTH);
        let graph = Graph::attention(registered, case).ok_or_else(not_computed)?;
        let mut inputs = vec![bytes_of(&query), &key.bytes, &value.bytes];
        // Zero and minus infinity as 16-bit floats.
        let seen = |index: usize| if case.sees(index / case.keys, index % case.keys) { 0_u16 } else { 0xFC00 };
        let mask: Vec<u8> = (0..case.keys * case.queries).flat_map(|index| seen(index).to_ne_bytes()).collect();
        if case.masked {
            inputs.push(&mask);
        }
        let found = graph.compute_with(&inputs).ok_or_else(not_computed)?;
        let error = relative_error(&found, &attention(&query, &key.plain, &value.plain, case));
        worst = if error.is_nan() { error } else { worst.max(error) };
    }
    Ok(worst)
}

/// The reference; ggml's layout of the result is `[query][head][width]`.
fn attention(query: &[f32], key: &[f32], value: &[f32], case: &Attention) -> Vec<f32> {
    let mut result = Vec::with_capacity(query.len());
    for position in 0..case.queries {
        for head in 0..case.heads() {
            let row = |data: &'_ [f32], head: usize, length: usize, index: usize| -> Vec<f32> {
                data.iter().skip((head * length + index) * WIDTH).take(WIDTH).copied().collect()
            };
            let asked = row(query, head, case.queries, position);
            let weight = |cell: usize| {
                let score = super::dot(&asked, &row(key, head / case.group, case.keys, cell)) * SCALE;
                if case.sees(position, cell) { score.exp() } else { 0.0 }
            };
            let weights: Vec<f32> = (0..case.keys).map(weight).collect();
            let total: f32 = weights.iter().sum();
            let mut mixed = vec![0.0_f32; WIDTH];
            for (cell, weight) in weights.iter().enumerate() {
                for (sum, part) in mixed.iter_mut().zip(row(value, head / case.group, case.keys, cell)) {
                    *sum += weight / total * part;
                }
            }
            result.extend(mixed);
        }
    }
    result
}

fn bytes_of(values: &[f32]) -> &[u8] {
    // SAFETY: any f32 is four valid bytes.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), std::mem::size_of_val(values)) }
}

/// ggml counts elements in i64.
fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
