//! `lla classify`, `extract`, `summarize`, `rewrite` and `decide`: the tools for the shell.
//!
//! Plain text on standard output (JSON with `--json`), notes and progress on standard error, an exit code
//! that scripts can use.

mod decide;
mod input;
mod questions;

pub use decide::decide;
use lla_gateway::mcp::{Ask, Host as _};
use lla_inference::Tier;
use lla_tools::Progress;
use serde_json::{Map, Value, json};

use crate::args::{ClassifyArgs, ExtractArgs, InputArgs, RewriteArgs, SummarizeArgs};
use crate::config::process;
use crate::delegate::{self, Worker};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::mcp_command::quieter;
use crate::{logging, output};

/// `lla classify`.
///
/// # Errors
/// When the label is not the expected one, or the work could not be done.
pub async fn classify(args: &ClassifyArgs) -> Outcome {
    let mut names = Vec::new();
    let mut descriptions = Map::new();
    for label in &args.labels {
        let (name, description) = label.split_once('=').unwrap_or((label, ""));
        names.push(name.trim().to_owned());
        if !description.trim().is_empty() {
            descriptions.insert(name.trim().to_owned(), json!(description.trim()));
        }
    }
    if let Some(expected) = args.expect.as_ref().filter(|expected| !names.contains(expected)) {
        return Err(Failure::usage(format!("--expect: '{expected}' is not one of the labels")));
    }
    let mut arguments = Map::from_iter([("labels".to_owned(), json!(names))]);
    if !descriptions.is_empty() {
        arguments.insert("descriptions".to_owned(), Value::Object(descriptions));
    }
    if args.multi_label {
        arguments.insert("multi_label".to_owned(), json!(true));
    }
    put(&mut arguments, "threshold", args.threshold);
    let result = run("classify", arguments, &args.input).await?;
    let labels: Vec<&str> = result["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    show(&result, &args.input, &labels.join("\n"));
    match &args.expect {
        Some(expected) if !labels.contains(&expected.as_str()) => {
            Err(Failure::no(format!("the label is not '{expected}'")))
        }
        None if result["abstained"] == true => Err(Failure::no("no label reaches the threshold")),
        _ => Ok(()),
    }
}

/// `lla extract`.
///
/// # Errors
/// With `--strict`, when a value does not stand in the text; when the work could not be done.
pub async fn extract(args: &ExtractArgs) -> Outcome {
    let mut arguments = Map::from_iter([("schema".to_owned(), input::json("--schema", &args.schema)?)]);
    put(&mut arguments, "instructions", args.instructions.clone());
    let result = run("extract", arguments, &args.input).await?;
    show(&result, &args.input, &serde_json::to_string_pretty(&result["data"])?);
    let missing: Vec<&str> = result["not_found"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if args.strict && !missing.is_empty() {
        return Err(Failure::no(format!("not in the text: {}", missing.join(", "))));
    }
    Ok(())
}

/// `lla summarize`.
///
/// # Errors
/// When the work could not be done.
pub async fn summarize(args: &SummarizeArgs) -> Outcome {
    let mut arguments = Map::new();
    put(&mut arguments, "max_words", args.max_words);
    put(&mut arguments, "style", args.style.clone());
    put(&mut arguments, "focus", args.focus.clone());
    let result = run("summarize", arguments, &args.input).await?;
    show(&result, &args.input, result["summary"].as_str().unwrap_or_default());
    Ok(())
}

/// `lla rewrite`.
///
/// # Errors
/// When a string of `--keep` is lost, or the work could not be done.
pub async fn rewrite(args: &RewriteArgs) -> Outcome {
    let mut arguments = Map::new();
    put(&mut arguments, "instruction", args.instruction.clone());
    put(&mut arguments, "style", args.style.clone());
    put(&mut arguments, "keep", (!args.keep.is_empty()).then(|| args.keep.clone()));
    let result = run("rewrite", arguments, &args.input).await?;
    show(&result, &args.input, result["text"].as_str().unwrap_or_default());
    let lost: Vec<&str> = result["lost"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match args.keep.iter().find(|kept| lost.contains(&kept.as_str())) {
        Some(kept) => Err(Failure::no(format!("'{kept}' is not in the new text"))),
        None => Ok(()),
    }
}

fn put(arguments: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        arguments.insert(name.to_owned(), value.into());
    }
}

/// Reads the text and has the tool run on it.
async fn run(tool: &str, mut arguments: Map<String, Value>, args: &InputArgs) -> Result<Value, Failure> {
    let mut config = process::load_for(&args.worker.config, Vec::new())?.config;
    quieter(&mut config.log);
    logging::start(&config.log)?;
    let (text, files) = input::text(args, config.tools.limits()).await?;
    arguments.insert("text".to_owned(), json!(text));
    let worker = Worker::new(config, &args.worker, Vec::new())?;
    let ask = Ask {
        name: tool.to_owned(),
        arguments: Value::Object(arguments),
        roots: Vec::new(),
        tier: args.tier.as_deref().and_then(Tier::parse),
        progress: if output::is_terminal() { Progress::to(|step| tell(&step)) } else { Progress::default() },
    };
    let done = worker.call(ask).await;
    worker.stop().await;
    let mut result = done.map_err(|error| delegate::failure(&error))?;
    if !files.is_empty() {
        result["files_read"] = serde_json::to_value(files).or_fail(Exit::Bug)?;
    }
    Ok(result)
}

/// A step with a known end is worth a line.
fn tell(step: &lla_tools::Step) {
    if let Some(total) = step.total.filter(|&total| total > 1) {
        output::note(&format!("{} of {total}: {}", step.current, step.message));
    }
}

/// A reader that has gone is no error.
fn show(result: &Value, args: &InputArgs, plain: &str) {
    if args.json {
        output::line(&result.to_string());
    } else if !plain.is_empty() {
        output::line(plain);
    }
}
