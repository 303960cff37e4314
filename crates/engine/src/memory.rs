//! Whether a model fits this machine's memory, asked before llama.cpp takes any of it.
//!
//! Without this a model that is too large ends in the kernel's out-of-memory killer, which names
//! nobody, or crawls because its weights are read from the disk again for every token. What is needed
//! is estimated from the file's header; what is there is read by [`available()`]. [`fits`] is the rule.

mod available;

use std::fmt;

use lla_protocol::gguf::GgufInfo;

pub use available::available;

use crate::capacity::Capacity;
use crate::error::EngineError;
use crate::options::EngineOptions;

/// What a process of this kind takes beside the model: code, threads, connections.
const BASE: u64 = 64 << 20;

/// Memory that a model asks for, in bytes. An estimate, on the side of too little: a model that
/// would fit must never be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The weights that are computed on the CPU. Mapped from the file, but read for every token.
    pub weights: u64,
    /// One token in the KV cache.
    pub kv_per_token: u64,
    /// Tokens that the KV cache holds.
    pub cells: u64,
    /// What a step computes with, and the process itself.
    pub compute: u64,
}

impl Need {
    /// Bytes of the KV cache.
    #[must_use]
    pub fn kv(&self) -> u64 {
        self.kv_per_token.saturating_mul(self.cells)
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.kv()).saturating_add(self.compute)
    }
}

/// A model that does not fit, with the numbers and what would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// What it asks for.
    pub need: Need,
    /// Bytes that are there.
    pub available: u64,
}

impl TooLarge {
    /// Tokens of KV cache that would fit beside the weights.
    #[must_use]
    pub fn cells_that_fit(&self) -> u64 {
        let left = self.available.saturating_sub(self.need.weights).saturating_sub(self.need.compute);
        left.checked_div(self.need.kv_per_token).unwrap_or(0)
    }
}

/// Fewer tokens than this are no advice.
const USEFUL_CELLS: u64 = 512;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need { weights, cells, compute, .. } = self.need;
        write!(
            f,
            "the model needs about {} of memory ({} of weights, {} for a KV cache of {cells} tokens, {} to compute \
             with) and {} are available: ",
            Size(self.need.total()),
            Size(weights),
            Size(self.need.kv()),
            Size(compute),
            Size(self.available)
        )?;
        match self.cells_that_fit() {
            fitting if fitting >= USEFUL_CELLS => {
                write!(f, "lower context and kv_tokens (--context, --kv-tokens) to {fitting} or less, ")?;
                f.write_str("take a smaller model, or free some memory")
            }
            _ => f.write_str("take a smaller model or a stronger quantization, or free some memory"),
        }
    }
}

/// Bytes for people.
struct Size(u64);

impl fmt::Display for Size {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes < 10 << 20 => write!(f, "{} KiB", bytes >> 10),
            bytes if bytes < 10 << 30 => write!(f, "{} MiB", bytes >> 20),
            bytes => write!(f, "{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        }
    }
}

/// Refuses what can not fit. Where the available memory is not known, everything fits.
///
/// # Errors
/// When less is available than is needed.
pub fn fits(need: Need, available: Option<u64>) -> Result<(), TooLarge> {
    match available {
        Some(available) if need.total() > available => Err(TooLarge { need, available }),
        _ => Ok(()),
    }
}

/// What a model asks for, by its header and the options it is started with. `gpu`: whether llama.cpp
/// will use one; layers on it take no memory of ours.
pub(crate) fn need(info: &GgufInfo, options: &EngineOptions, gpu: bool) -> Result<Need, EngineError> {
    let layers = info.block_count.unwrap_or(1).max(1);
    let offloaded = match options.gpu_layers {
        _ if !gpu => 0,
        None => layers,
        Some(wanted) => u64::from(wanted).min(layers),
    };
    let on_cpu = |bytes: u64| {
        let share = u128::from(bytes) * u128::from(layers - offloaded) / u128::from(layers);
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    let trained = info.context_length.and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX);
    let capacity = Capacity::fit(trained, plain_kv_per_token(info), gpu && offloaded > 0, options)?;
    let step = u64::from(capacity.max_step_tokens());
    // The logits of a step and some widths of the residual stream. Nothing that grows with the cache,
    // so that a smaller one can be advised.
    let widths = info.embedding_length.unwrap_or(0).saturating_mul(8);
    let per_token = info.vocabulary.unwrap_or(0).saturating_add(widths);
    Ok(Need {
        weights: on_cpu(info.tensor_bytes.unwrap_or(0)),
        kv_per_token: on_cpu(info.kv_bytes_per_token.unwrap_or(0)),
        cells: u64::from(capacity.cells),
        compute: BASE.saturating_add(per_token.saturating_mul(step).saturating_mul(4)),
    })
}

/// As `Model::kv_bytes_per_token` has it: the number that the budget is chosen with.
fn plain_kv_per_token(info: &GgufInfo) -> u64 {
    let heads = info.head_count.unwrap_or(1).max(1);
    let kv_heads = info.head_count_kv.unwrap_or(heads).max(1);
    let width = (info.embedding_length.unwrap_or(0) / heads).saturating_mul(kv_heads);
    width.saturating_mul(info.block_count.unwrap_or(0)).saturating_mul(4)
}

#[cfg(test)]
mod tests;
