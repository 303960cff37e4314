//! The questions of `lla decide`: from the command line to the form of `POST /v1/decisions`, and from its
//! answers to the words that the user gave. Pure, but for the file of `--questions`.

use serde_json::{Value, json};

use super::input;
use crate::args::Asked;
use crate::failure::Failure;

/// Most levels that a range may stand for; the API's limit.
const MAX_LEVELS: i64 = 255;

/// The questions in the API's form.
pub(super) fn wire(asked: &[Asked]) -> Result<Vec<Value>, Failure> {
    let mut questions = Vec::new();
    for asked in asked {
        match asked {
            Asked::Predicate(statement) => questions.push(json!({"type": "predicate", "instructions": statement})),
            Asked::Choice(labels, question) => {
                let choices = labelled(labels, "value");
                questions.push(json!({"type": "choice", "instructions": question, "choices": choices}));
            }
            Asked::Score(levels, question) => {
                let levels = match range(levels)? {
                    Some((low, high)) => (low..=high).map(|level| json!({"label": level.to_string()})).collect(),
                    None => labelled(levels, "label"),
                };
                questions.push(json!({"type": "score", "instructions": question, "levels": levels}));
            }
            Asked::Listed(given) => match input::json("--questions", given)? {
                Value::Array(listed) => questions.extend(listed),
                _ => return Err(Failure::usage("--questions is no JSON array of questions")),
            },
        }
    }
    Ok(questions)
}

/// `A,B=what it means`, in the API's form.
fn labelled(list: &str, name: &str) -> Vec<Value> {
    let label = |text: &str| {
        let (label, description) = text.split_once('=').unwrap_or((text, ""));
        let mut label = json!({name: label.trim()});
        if !description.trim().is_empty() {
            label["description"] = json!(description.trim());
        }
        label
    };
    list.split(',').map(label).collect()
}

/// `LO..HI` in whole numbers; `None` for a list of names.
fn range(levels: &str) -> Result<Option<(i64, i64)>, Failure> {
    let Some((low, high)) = levels.split_once("..") else { return Ok(None) };
    let number = |text: &str| text.trim_start_matches('=').trim().parse::<i64>().ok();
    match number(low).zip(number(high)) {
        Some((low, high)) if low < high && high.saturating_sub(low) < MAX_LEVELS => Ok(Some((low, high))),
        _ => Err(Failure::usage(format!(
            "--score: '{levels}' is no scale: give two whole numbers as 1..5, at most {MAX_LEVELS} levels, or names \
             from low to high as LOW,MID,HIGH"
        ))),
    }
}

/// What a question asks, for lines and messages.
pub(super) fn words(question: &Value) -> String {
    let named = question["name"].as_str().or_else(|| question["instructions"].as_str());
    named.map_or_else(|| question["instructions"].to_string(), str::to_owned)
}

/// Every answer that a question can have, a scale's from low to high.
fn possible(question: &Value) -> Vec<String> {
    let labels = |list: &str, name: &str| {
        question[list].as_array().into_iter().flatten().map(|label| text(&label[name])).collect()
    };
    match question["type"].as_str() {
        Some("choice") => labels("choices", "value"),
        Some("score") => labels("levels", "label"),
        _ => ["yes", "no"].map(str::to_owned).to_vec(),
    }
}

/// The answers that `--expect` accepts for a question.
pub(super) fn expected(question: &Value, expect: &str) -> Result<Vec<String>, Failure> {
    let possible = possible(question);
    let place = |label: &str| possible.iter().position(|answer| answer == label.trim());
    let wrong = |label: &str| {
        let message = format!("--expect: '{}' is no answer of '{}'", label.trim(), words(question));
        Failure::usage(message).hint(format!("its answers are: {}", possible.join(", ")))
    };
    if let Some(at) = place(expect) {
        return Ok(vec![possible[at].clone()]);
    }
    if question["type"] == "score"
        && let Some((low, high)) = expect.split_once("..")
    {
        let end = |label: &str, open: usize| match label.trim().is_empty() {
            true => Ok(open),
            false => place(label).ok_or_else(|| wrong(label)),
        };
        let (low, high) = (end(low, 0)?, end(high, possible.len().saturating_sub(1))?);
        return possible.get(low..=high).map(<[String]>::to_vec).ok_or_else(|| wrong(expect));
    }
    expect.split(',').map(|label| place(label).map(|at| possible[at].clone()).ok_or_else(|| wrong(label))).collect()
}

/// The answer in one of the question's own words; `None`: it is not sure enough.
pub(super) fn said(answer: &Value) -> Option<String> {
    if answer["abstained"] == true {
        return None;
    }
    match answer["type"].as_str()? {
        "predicate" => Some(if answer["probability"].as_f64()? >= 0.5 { "yes" } else { "no" }.to_owned()),
        "choice" => Some(text(&answer["choice"])),
        _ => {
            // The level that the expected place is nearest to.
            let score = answer["score"].as_f64()?;
            let distance = |level: &Value| (level["value"].as_f64().unwrap_or(f64::MAX) - score).abs();
            let levels = answer["probabilities"].as_array()?.iter();
            let nearest = levels.min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
            Some(text(&nearest["label"]))
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Vec<Value> {
        let text = str::to_owned;
        wire(&[
            Asked::Predicate(text("It is urgent.")),
            Asked::Choice(text("billing=money, other"), text("Which team?")),
            Asked::Score(text("1..3"), text("How bad?")),
            Asked::Score(text("low,mid,high"), text("How hot?")),
            Asked::Listed(text(
                r#"[{"type":"choice","name":"n","instructions":"?","choices":[{"value":true},{"value":"true!"}]}]"#,
            )),
        ])
        .expect("good questions")
    }

    #[test]
    fn questions_have_the_form_of_the_api() {
        let questions = asked();
        assert_eq!(questions[0], json!({"type": "predicate", "instructions": "It is urgent."}));
        let choices = json!([{"value": "billing", "description": "money"}, {"value": "other"}]);
        assert_eq!(questions[1], json!({"type": "choice", "instructions": "Which team?", "choices": choices}));
        assert_eq!(questions[2]["levels"], json!([{"label": "1"}, {"label": "2"}, {"label": "3"}]));
        let body = json!({"model": "m", "input": "t", "questions": questions}).to_string();
        let read = lla_protocol::openai::DecisionRequest::parse(body.as_bytes()).expect("what the API takes");
        assert_eq!(read.questions.len(), 5);
        for levels in ["5..1", "1..1", "0..255", "a..b", "1.."] {
            assert!(wire(&[Asked::Score(levels.to_owned(), String::new())]).is_err(), "{levels}");
        }
    }

    #[test]
    fn expectations_are_answers_of_their_question() {
        let questions = asked();
        for (question, expect, accepted) in [
            (0, "no", Some(&["no"][..])),
            (0, "maybe", None),
            (1, "billing,other", Some(&["billing", "other"])),
            (1, "billing..other", None),
            (2, "2..", Some(&["2", "3"])),
            (2, "..2", Some(&["1", "2"])),
            (2, "1,3", Some(&["1", "3"])),
            (2, "3..1", None),
            (2, "0..2", None),
            (3, "mid..high", Some(&["mid", "high"])),
            (4, "true", Some(&["true"])),
        ] {
            let found = expected(&questions[question], expect).ok();
            assert_eq!(
                found.as_deref(),
                accepted.map(|all| all.iter().map(|&a| a.to_owned()).collect::<Vec<_>>()).as_deref(),
                "{expect}"
            );
        }
    }

    #[test]
    fn answers_come_in_the_words_of_the_question() {
        let level = |label: &str, value: u32| json!({"label": label, "value": value, "probability": 0.5});
        for (answer, words) in [
            (json!({"type": "predicate", "probability": 0.5}), Some("yes")),
            (json!({"type": "predicate", "probability": 0.4}), Some("no")),
            (json!({"type": "predicate", "probability": 0.4, "abstained": true}), None),
            (json!({"type": "choice", "choice": "a", "abstained": false}), Some("a")),
            (json!({"type": "choice", "choice": true}), Some("true")),
            (
                json!({"type": "score", "score": 0.6, "probabilities": [level("low", 0), level("high", 1)]}),
                Some("high"),
            ),
        ] {
            assert_eq!(said(&answer).as_deref(), words, "{answer}");
        }
    }
}
