//! `lla bench`: a small load test of any server of the OpenAI API.
//!
//! [`target`] finds the server and the model, [`prompt`] makes prompts that no prefix cache has seen,
//! [`request`] sends one, [`reading`] times its answer, [`load`] keeps some of them running at the same time,
//! [`measure`] turns times into percentiles, [`report`] shows them. The load is closed: a request begins
//! when another has ended.

pub mod load;
pub mod measure;
pub mod prompt;
pub mod reading;
pub mod report;
pub mod request;
pub mod target;

use std::sync::Arc;

use load::{Amount, Stop};
use measure::Level;
use prompt::Prompts;
use report::Report;
use request::{Asker, Wish};

use crate::args::BenchArgs;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Runs the measurements, one after the other, and prints them. Ctrl-C ends them with what is there.
///
/// # Errors
/// When no server answers, there is no model, or not one request was answered.
pub async fn run(args: &BenchArgs) -> Outcome {
    if args.shared_prefix > args.prompt_tokens {
        let message = format!(
            "--shared-prefix: {} is more than the {} of --prompt-tokens",
            args.shared_prefix, args.prompt_tokens
        );
        return Err(Failure::usage(message).hint("the shared part is a part of the prompt: make the prompt longer"));
    }
    let endpoint = target::endpoint(args)?;
    let model = target::model(&endpoint, args.model.as_deref()).await?;
    let prompts = Arc::new(Prompts::new(args.prompt_tokens, args.shared_prefix, fastrand::u64(..)));
    let wish = Wish {
        model,
        max_tokens: args.max_tokens,
        stream: !args.no_stream,
        ignore_eos: args.ignore_eos,
        timeout: args.timeout,
    };
    let mut asker = Asker::new(endpoint, wish);
    let mut stop = Stop::on_ctrl_c();
    let Some(served) = stop.unless(asker.settle(&prompts.first())).await else {
        return Err(Failure::no("stopped before anything was measured"));
    };
    let asker = Arc::new(asker);
    let mut levels = Vec::new();
    for &concurrency in &args.concurrency {
        if output::is_terminal() {
            output::note(&format!("measuring with {concurrency} at the same time ..."));
        }
        let amount = match args.duration {
            Some(duration) => Amount::For(duration),
            None => Amount::Requests(args.requests.unwrap_or_else(|| (4 * concurrency).max(8))),
        };
        levels.push(load::level(&asker, &prompts, concurrency, amount, &mut stop).await?);
        if stop.is_asked() {
            break;
        }
    }
    show(&Report::new(args, &asker, served, levels, stop.is_asked()), args.json)
}

fn show(report: &Report, json: bool) -> Outcome {
    output::line(&if json { serde_json::to_string_pretty(report)? } else { report.table() });
    if report.levels.iter().any(|level| level.succeeded > 0) {
        return Ok(());
    }
    let first = report.levels.iter().flat_map(|level: &Level| level.errors.values()).next();
    Err(match first {
        Some(error) => Failure::no(format!("every request failed: {}", error.example)),
        None => Failure::no("stopped before a request had ended"),
    })
}
