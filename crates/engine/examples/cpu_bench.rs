//! Speed of a model file on this machine's CPU: prefill, decode, and both in one batch.
//!
//! `cpu_bench MODEL [variant=avx512] [threads=2] [poll=50|none] [prefill=256] [decode=64] [sequences=1]
//! [ubatch=512] [chunk=0] [flash=auto|on|off] [alternate=1] [runs=3]`. `chunk=N`: also prefill in chunks of N tokens
//! while `sequences` decode beside it. `alternate=1`: one thread and all of them in turn. Figures are for reading and for ratios; they drift with the machine.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lla_engine::cpu::{self, ThreadPool, Variant};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

struct Settings(HashMap<String, String>);

impl Settings {
    fn text(&self, key: &str, default: &str) -> String {
        self.0.get(key).cloned().unwrap_or_else(|| default.to_owned())
    }

    fn number(&self, key: &str, default: usize) -> Result<usize> {
        self.text(key, &default.to_string()).parse().with_context(|| format!("{key} is no number"))
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args.next().context("usage: cpu_bench MODEL [key=value ...]")?;
    if model == "engine" {
        // So that this program can be the child of its own `select_and_apply`.
        let variant = args.nth(1).context("--self-test VARIANT")?;
        println!("{}", cpu::self_test(variant.parse()?)?);
        return Ok(());
    }
    let settings = args.filter_map(|arg| arg.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())));
    bench(Path::new(&model), &Settings(settings.collect()))
}

fn bench(path: &Path, settings: &Settings) -> Result<()> {
    let requested: Option<Variant> = match settings.text("variant", "").as_str() {
        "" => None,
        name => Some(name.parse()?),
    };
    let began = Instant::now();
    let variant = cpu::select_and_apply(requested)?;
    let chosen = began.elapsed();
    let mut backend = LlamaBackend::init()?;
    backend.void_logs();
    let began = Instant::now();
    let model = LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default())?;
    let loaded = began.elapsed();
    let mut context = new_context(&backend, &model, settings)?;
    let threads = settings.number("threads", cpu::available_cores())?;
    if let Ok(poll) = settings.text("poll", "none").parse() {
        ThreadPool::new(threads, poll)?.attach(&mut context)?;
    }
    let runs = settings.number("runs", 3)?;
    let mut figures: Vec<Vec<f64>> = Vec::new();
    for run in 0..=runs {
        let figure = measure(&mut context, &model, settings)?;
        if run > 0 {
            figures.push(figure);
        }
    }
    let column = |index: usize| median(figures.iter().map(|figure| figure[index]).collect());
    println!(
        "{} {variant} threads={threads} poll={} load={loaded:.0?} choose={chosen:.1?} prefill={:.0} decode={:.1} chunked={:.0} gap_ms={:.1}",
        path.file_name().unwrap_or_default().display(),
        settings.text("poll", "none"),
        column(0),
        column(1),
        column(2),
        column(3),
    );
    Ok(())
}

fn new_context<'m>(backend: &LlamaBackend, model: &'m LlamaModel, settings: &Settings) -> Result<LlamaContext<'m>> {
    let threads = i32::try_from(settings.number("threads", cpu::available_cores())?)?;
    let ubatch = u32::try_from(settings.number("ubatch", 512)?)?;
    let flash = match settings.text("flash", "auto").as_str() {
        "on" => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED,
        "off" => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        _ => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_AUTO,
    };
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(8192))
        .with_n_batch(2048)
        .with_n_ubatch(ubatch)
        .with_n_seq_max(40)
        .with_kv_unified(true)
        .with_flash_attention_policy(flash)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    Ok(model.new_context(backend, params)?)
}

/// Tokens per second of prefill, of decoding, of chunked prefill beside decoding; and the median step of the last, in ms.
fn measure(context: &mut LlamaContext<'_>, model: &LlamaModel, settings: &Settings) -> Result<Vec<f64>> {
    let sequences = settings.number("sequences", 1)?;
    let prompt = settings.number("prefill", 256)?;
    let steps = settings.number("decode", 64)?;
    let alternate = settings.number("alternate", 0)? > 0;
    let vocabulary = usize::try_from(model.n_vocab())?;
    let token = |index: usize| LlamaToken(i32::try_from(1000 + index * 7919 % (vocabulary - 2000)).unwrap_or(1000));
    context.clear_kv_cache();
    let mut batch = LlamaBatch::new(2048, 1);
    for index in 0..prompt {
        batch.add(token(index), i32::try_from(index)?, &[0], index + 1 == prompt)?;
    }
    let prefill = timed(context, &mut batch)?;
    let mut positions = vec![i32::try_from(prompt)?; sequences];
    for sequence in 1..sequences {
        context.copy_kv_cache_seq(0, i32::try_from(sequence)?, None, None)?;
    }
    let mut decode = Duration::ZERO;
    for step in 0..steps {
        batch.clear();
        add_decodes(&mut batch, &mut positions, token(step))?;
        if alternate {
            let count = if step % 2 == 0 { 1 } else { cpu::available_cores() };
            cpu::set_threads(context, count, count)?;
        }
        decode += timed(context, &mut batch)?;
    }
    let chunk = settings.number("chunk", 0)?;
    let (mut chunked, mut gaps) = (Duration::ZERO, vec![0.0]);
    let chunks = if chunk > 0 { 1024_usize.div_ceil(chunk) } else { 0 };
    for number in 0..chunks {
        batch.clear();
        add_decodes(&mut batch, &mut positions, token(number))?;
        for index in number * chunk..(number + 1) * chunk {
            batch.add(token(index), i32::try_from(index)?, &[39], false)?;
        }
        let step = timed(context, &mut batch)?;
        gaps.push(step.as_secs_f64() * 1e3);
        chunked += step;
    }
    let per_second = |count: usize, time: Duration| if count == 0 { 0.0 } else { count as f64 / time.as_secs_f64() };
    Ok(vec![
        per_second(prompt, prefill),
        per_second(steps * sequences, decode),
        per_second(chunks * chunk, chunked),
        median(gaps),
    ])
}

fn add_decodes(batch: &mut LlamaBatch<'_>, positions: &mut [i32], token: LlamaToken) -> Result<()> {
    for (sequence, position) in positions.iter_mut().enumerate() {
        batch.add(token, *position, &[i32::try_from(sequence)?], true)?;
        *position += 1;
    }
    Ok(())
}

fn timed(context: &mut LlamaContext<'_>, batch: &mut LlamaBatch<'_>) -> Result<Duration> {
    let began = Instant::now();
    context.decode(batch)?;
    context.synchronize();
    Ok(began.elapsed())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
