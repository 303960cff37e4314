//! How much the engine takes on at a time: window, KV budget, slots, chunk sizes, threads.

use std::num::NonZeroU32;

use llama_cpp_2::context::params::LlamaContextParams;

use crate::error::EngineError;
use crate::model::Model;
use crate::options::EngineOptions;

/// KV memory that one window may take by default; longer windows are asked for explicitly.
const WINDOW_BYTES: u64 = 2 << 30;
/// KV memory that several sequences may share by default.
const BUDGET_BYTES: u64 = 512 << 20;
/// No default window is shorter than this, if the model was trained for it.
const MIN_WINDOW: u32 = 4096;
/// llama.cpp's own limit of sequence ids (`LLAMA_MAX_SEQ`).
const MOST_ROWS: u32 = 256;
/// Sequence ids for ended sequences beyond one for each slot. Each costs a row of logits in buffers.
const ENDED_ROWS: u32 = 32;
/// llama.cpp rounds the context up to this.
const CELL_STEP: u32 = 256;
/// Prefill tokens per step beside running streams. On two cores a chunk of a 135M model takes
/// 0.1 s to 0.2 s: that is the longest pause of a running stream.
const CPU_CHUNK: u32 = 64;
/// A GPU computes this many tokens in the time of a few.
const GPU_CHUNK: u32 = 512;

/// What fits, decided once at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Most tokens of one sequence, prompt and answer together.
    pub(crate) window: u32,
    /// KV cells shared by all sequences; at least `window`.
    pub(crate) cells: u32,
    /// Sequences that run at once.
    pub(crate) slots: u32,
    /// Sequence ids of the KV cache: `slots`, and some for what ended and may be used again.
    pub(crate) rows: u32,
    /// Cells that ended sequences may keep; less where looking past them costs a step too much.
    pub(crate) ended_cells: u32,
    /// Prefill tokens per step while others decode.
    pub(crate) chunk: u32,
    /// Prefill tokens per step while nothing decodes.
    pub(crate) batch: u32,
    /// Threads for a step.
    pub(crate) threads: u32,
}

impl Capacity {
    /// Takes what the options say, and fits the rest to the model.
    ///
    /// # Errors
    /// When the options ask for a window that the model was not trained for, or contradict
    /// themselves.
    pub(crate) fn choose(model: &Model, options: &EngineOptions) -> Result<Self, EngineError> {
        let on_gpu = options.gpu_layers != Some(0) && crate::has_gpu();
        let capacity = Self::fit(model.trained_window(), model.kv_bytes_per_token(), on_gpu, options)?;
        let ended_cells = if on_gpu { capacity.cells } else { model.cheap_cells().min(capacity.cells) };
        Ok(Self { ended_cells, ..capacity })
    }

    pub(crate) fn fit(
        trained: u32,
        bytes_per_token: u64,
        on_gpu: bool,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let tokens_in = |bytes: u64| u32::try_from(bytes / bytes_per_token.max(1)).unwrap_or(u32::MAX);
        let window = match options.context {
            Some(wanted) if wanted > trained => {
                let message = format!("the model was trained for {trained} tokens, {wanted} were asked for");
                return Err(EngineError::Unsupported { param: "context".to_owned(), message });
            }
            Some(wanted) => wanted.max(16),
            None => trained.min(tokens_in(WINDOW_BYTES).max(MIN_WINDOW)),
        };
        let default_cells = tokens_in(BUDGET_BYTES).clamp(window, window.saturating_mul(2));
        let cells = options.kv_tokens.unwrap_or(default_cells).max(window).next_multiple_of(CELL_STEP);
        let chunk = options.prefill_chunk.unwrap_or(if on_gpu { GPU_CHUNK } else { CPU_CHUNK }).max(1);
        let threads = options.threads.unwrap_or_else(default_threads).max(1);
        let slots = options.slots.clamp(1, MOST_ROWS);
        let rows = if options.prefix_cache { (2 * slots + ENDED_ROWS).min(MOST_ROWS) } else { slots };
        Ok(Self { window, cells, ended_cells: cells, slots, rows, chunk, batch: chunk.saturating_mul(2), threads })
    }

    /// Most tokens that one step can hold.
    pub(crate) fn max_step_tokens(&self) -> u32 {
        self.batch.max(self.chunk) + self.slots
    }

    /// The most tokens of a batch as llama.cpp is told: it keeps a row of logits for each sequence id,
    /// and aborts the process when those are more than a batch can have.
    fn batch_limit(&self) -> u32 {
        self.max_step_tokens().max(self.rows)
    }

    /// The context that llama.cpp is asked for.
    pub(crate) fn context_params(&self) -> LlamaContextParams {
        let threads = i32::try_from(self.threads).unwrap_or(i32::MAX);
        let batch = self.batch_limit();
        LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(self.cells))
            .with_n_batch(batch)
            .with_n_ubatch(batch)
            .with_n_seq_max(self.rows)
            .with_kv_unified(true)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_no_perf(true)
    }
}

fn default_threads() -> u32 {
    u32::try_from(crate::cpu::available_cores()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(trained: u32, bytes_per_token: u64, options: &EngineOptions) -> Capacity {
        Capacity::fit(trained, bytes_per_token, false, options).expect("fits")
    }

    #[test]
    fn windows_and_budgets_follow_the_memory_they_take() {
        let defaults = EngineOptions::default();
        // SmolLM2-135M: 30 layers, 3 KV heads of 64, f16.
        let small = fit(8192, 23_040, &defaults);
        assert_eq!((small.window, small.cells), (8192, 16_384));
        // A long-context model: the default window is cut to what 2 GiB hold.
        let long = fit(131_072, 131_072, &defaults);
        assert_eq!((long.window, long.cells), (16_384, 16_384));
        let asked = fit(131_072, 131_072, &EngineOptions { context: Some(1000), kv_tokens: Some(5000), ..defaults });
        assert_eq!((asked.window, asked.cells), (1000, 5120));
    }

    #[test]
    fn a_batch_has_room_for_every_sequence_id() {
        for (slots, prefill_chunk) in [(1, 1), (2, 2), (16, 16), (200, 1), (16, 512)] {
            let options = EngineOptions { slots, prefill_chunk: Some(prefill_chunk), ..EngineOptions::default() };
            let capacity = fit(8192, 23_040, &options);
            assert!(capacity.batch_limit() >= capacity.rows.max(capacity.max_step_tokens()), "{capacity:?}");
        }
    }

    #[test]
    fn a_window_beyond_the_training_is_refused() {
        let options = EngineOptions { context: Some(9000), ..EngineOptions::default() };
        let error = Capacity::fit(8192, 23_040, false, &options).expect_err("too long");
        assert!(error.to_string().contains("8192"), "{error}");
    }
}
