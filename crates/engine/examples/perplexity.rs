//! Perplexity of model files on a text, and the cost in time of another form.
//!
//! `perplexity TEXT MODEL...`: for each file one line. `perplexity convert SOURCE TARGET FORM` makes a
//! prepared form first. The text of this repository is `testdata/perplexity.txt`. Windows of 512 tokens,
//! each scored from its 129th token on, so that every scored token has context. From the second file on
//! it also says how often the likeliest token is another one than the first file's.
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
            let mut first: Option<Vec<Scored>> = None;
            for path in models {
                let scored = score_text(&backend, Path::new(path), &text)?;
                let mean = scored.iter().map(|token| token.loss).sum::<f64>() / scored.len() as f64;
                println!("{path} {variant}: perplexity {:.3} over {} tokens", mean.exp(), scored.len());
                if let Some(first) = &first {
                    compare(first, &scored);
                }
                first.get_or_insert(scored);
            }
        }
        _ => anyhow::bail!("usage: perplexity TEXT MODEL... | perplexity convert SOURCE TARGET FORM"),
    }
    Ok(())
}

/// What a model thought of one token of the text.
struct Scored {
    /// Negative log-probability.
    loss: f64,
    /// The token it held likeliest.
    likeliest: usize,
}

fn compare(first: &[Scored], other: &[Scored]) {
    let pairs = || first.iter().zip(other);
    let flips = pairs().filter(|(a, b)| a.likeliest != b.likeliest).count();
    let change = pairs().map(|(a, b)| (a.loss - b.loss).abs()).sum::<f64>() / first.len() as f64;
    let share = 100.0 * flips as f64 / first.len() as f64;
    println!("    another likeliest token: {share:.2} %; mean change of a log-probability: {change:.4}");
}

fn score_text(backend: &LlamaBackend, path: &Path, text: &[u8]) -> Result<Vec<Scored>> {
    let model = LlamaModel::load_from_file(backend, path, &LlamaModelParams::default())?;
    let threads = i32::try_from(cpu::available_cores())?;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(u32::try_from(WINDOW)?))
        .with_n_batch(u32::try_from(WINDOW)?)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context = model.new_context(backend, params)?;
    let tokens = model.vocab().tokenize(text, true, false);
    let mut scored = Vec::new();
    for window in tokens.chunks_exact(WINDOW) {
        score(&mut context, window, &mut scored)?;
    }
    Ok(scored)
}

/// Scores the tokens of one window that have enough context.
fn score(context: &mut LlamaContext<'_>, window: &[LlamaToken], scored: &mut Vec<Scored>) -> Result<()> {
    context.clear_kv_cache();
    let mut batch = LlamaBatch::new(WINDOW, 1);
    for (position, token) in window.iter().enumerate() {
        batch.add(*token, i32::try_from(position)?, &[0], position >= CONTEXT)?;
    }
    context.decode(&mut batch)?;
    for position in CONTEXT..WINDOW - 1 {
        let logits = context.get_logits_ith(i32::try_from(position)?);
        let next = usize::try_from(window[position + 1].0)?;
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let (likeliest, highest) = best.context("a model without vocabulary")?;
        let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        scored.push(Scored { loss: total.ln() - f64::from(logits[next] - highest), likeliest });
    }
    Ok(())
}
