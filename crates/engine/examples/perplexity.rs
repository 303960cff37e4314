//! Perplexity of model files on a text, and the cost in time of another form.
//!
//! `perplexity TEXT MODEL...`: for each file one line. `perplexity convert SOURCE TARGET FORM` makes a
//! prepared form first. The text of this repository is `testdata/perplexity.txt`. Windows of 512 tokens,
//! each scored from its 129th token on, so that every scored token has context.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context as _, Result};
use lla_engine::{cpu, forms};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

const WINDOW: usize = 512;
const CONTEXT: usize = 128;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["engine", _, variant] => println!("{}", cpu::self_test(variant.parse()?)?),
        ["convert", source, target, form] => {
            let report = forms::convert(Path::new(source), Path::new(target), form.parse()?, cpu::available_cores())?;
            println!("{report:?}");
        }
        [text, models @ ..] if !models.is_empty() => {
            let variant = cpu::select_and_apply(std::env::var("VARIANT").ok().map(|name| name.parse()).transpose()?)?;
            let text = std::fs::read(text).with_context(|| format!("reading {text}"))?;
            let mut backend = LlamaBackend::init()?;
            backend.void_logs();
            for path in models {
                let (perplexity, scored) = perplexity(&backend, Path::new(path), &text)?;
                println!("{path} {variant}: {perplexity:.3} over {scored} tokens");
            }
        }
        _ => anyhow::bail!("usage: perplexity TEXT MODEL... | perplexity convert SOURCE TARGET FORM"),
    }
    Ok(())
}

fn perplexity(backend: &LlamaBackend, path: &Path, text: &[u8]) -> Result<(f64, usize)> {
    let model = LlamaModel::load_from_file(backend, path, &LlamaModelParams::default())?;
    let threads = i32::try_from(cpu::available_cores())?;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(u32::try_from(WINDOW)?))
        .with_n_batch(u32::try_from(WINDOW)?)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context = model.new_context(backend, params)?;
    let tokens = model.vocab().tokenize(text, true, false);
    let (mut sum, mut scored) = (0.0, 0);
    for window in tokens.chunks_exact(WINDOW) {
        let (loss, count) = score(&mut context, window)?;
        sum += loss;
        scored += count;
    }
    Ok(((sum / scored as f64).exp(), scored))
}

/// Sum of negative log-probabilities of the tokens that have enough context, and their number.
fn score(context: &mut LlamaContext<'_>, window: &[LlamaToken]) -> Result<(f64, usize)> {
    context.clear_kv_cache();
    let mut batch = LlamaBatch::new(WINDOW, 1);
    for (position, token) in window.iter().enumerate() {
        batch.add(*token, i32::try_from(position)?, &[0], position >= CONTEXT)?;
    }
    context.decode(&mut batch)?;
    let (mut sum, mut count) = (0.0, 0);
    for position in CONTEXT..WINDOW - 1 {
        let logits = context.get_logits_ith(i32::try_from(position)?);
        let next = usize::try_from(window[position + 1].0)?;
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        sum += total.ln() - f64::from(logits[next] - highest);
        count += 1;
    }
    Ok((sum, count))
}
