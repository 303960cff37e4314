//! `lla decide`: typed questions about a text, answered with labels that a script can branch on.

use lla_inference::ErrorKind;
use lla_tools::ToolError;
use serde_json::{Value, json};

use super::{input, questions};
use crate::args::DecideArgs;
use crate::config::process;
use crate::delegate::{self, Worker};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::mcp_command::quieter;
use crate::{logging, output};

/// The tier that decides when nothing is said.
const SMALL: &str = "small";
/// The tier for a text that does not fit the small one.
const MAIN: &str = "main";

/// `lla decide`.
///
/// # Errors
/// When an answer is not the expected one or not sure enough, or the work could not be done.
pub async fn decide(args: &DecideArgs) -> Outcome {
    let asked = questions::wire(&args.questions.0)?;
    if !args.expect.is_empty() && args.expect.len() != asked.len() {
        let (expected, asked) = (args.expect.len(), asked.len());
        return Err(Failure::usage(format!("--expect is given {expected} times for {asked} questions: once for each")));
    }
    let expected: Vec<Vec<String>> = asked
        .iter()
        .zip(&args.expect)
        .map(|(question, expect)| questions::expected(question, expect))
        .collect::<Result<_, _>>()?;

    let result = ask(args, &asked).await?;
    let answers = result["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if answers.len() != asked.len() {
        return Err(Failure::unavailable("the gateway did not answer every question"));
    }
    let said: Vec<Option<String>> = answers.iter().map(questions::said).collect();
    if args.input.json {
        output::line(&result.to_string());
    } else {
        show(&asked, &said);
    }

    for (index, (question, said)) in asked.iter().zip(&said).enumerate() {
        let question = questions::words(question);
        match (said, expected.get(index)) {
            (None, _) => return Err(Failure::no(format!("the answer of '{question}' is not sure enough"))),
            (Some(said), Some(expected)) if !expected.contains(said) => {
                return Err(Failure::no(format!("the answer of '{question}' is '{said}'")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// One answer alone, or one question and its answer to a line, with a tab between them.
fn show(asked: &[Value], said: &[Option<String>]) {
    let text = |answer: &Option<String>| answer.clone().unwrap_or_default();
    match (asked, said) {
        ([_], [None]) => {}
        ([_], [answer]) => drop(output::line(&text(answer))),
        _ => {
            let one_line =
                |question: &Value| questions::words(question).split_whitespace().collect::<Vec<_>>().join(" ");
            let lines =
                asked.iter().zip(said).map(|(question, answer)| format!("{}\t{}", one_line(question), text(answer)));
            output::line(&lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Reads the text and has the questions answered: the answer of `POST /v1/decisions`.
async fn ask(args: &DecideArgs, asked: &[Value]) -> Result<Value, Failure> {
    let mut config = process::load_for(&args.input.worker.config, Vec::new())?.config;
    quieter(&mut config.log);
    logging::start(&config.log)?;
    let (text, files) = input::text(&args.input, config.tools.limits()).await?;
    let first = args.model.as_deref().or(args.input.tier.as_deref()).unwrap_or(SMALL);
    let mut request = json!({"model": first, "input": text, "questions": asked});
    if let Some(threshold) = args.threshold {
        request["abstain_below"] = json!(threshold);
    }
    if args.no_calibration {
        request["calibrate"] = json!(false);
    }
    let worker = Worker::new(config, &args.input.worker, Vec::new())?;
    let mut done = worker.decide(&request).await;
    if args.model.is_none() && first == SMALL && done.as_ref().is_err_and(does_not_fit) {
        request["model"] = json!(MAIN);
        done = worker.decide(&request).await;
    }
    worker.stop().await;
    let mut result = done.map_err(|error| delegate::failure(&error))?;
    if !files.is_empty() {
        result["files_read"] = serde_json::to_value(files).or_fail(Exit::Bug)?;
    }
    Ok(result)
}

fn does_not_fit(error: &ToolError) -> bool {
    error.kind() == Some(ErrorKind::ContextLength)
}
