//! Decisions of a backend that has a route for them: handed on, and read back.

use lla_inference::{Backend, Error};
use lla_protocol::systemone::{Criteria, NoulCriteria, SystemOneAnswer, SystemOneQuestion, SystemOneRequest};
use serde_json::{Map, Value};

use super::{Answers, DecideRequest, DecideUsage, Decisions, Label, Method, Question, Verdict};

/// What every server with such a route takes: questions of a request, options of a choice, levels of a
/// score (vLLM's limits, the lowest).
const MOST_QUESTIONS: usize = 64;
const MOST_OPTIONS: usize = 26;
const MOST_LEVELS: usize = 10;

/// `None`: the backend has no such route for this model, or would not take these questions.
pub(super) async fn decide(backend: &dyn Backend, request: &DecideRequest) -> Result<Option<Decisions>, Error> {
    if !request.questions.iter().all(fits) {
        return Ok(None);
    }
    let mut verdicts = Vec::with_capacity(request.questions.len());
    let mut usage = DecideUsage::default();
    for questions in request.questions.chunks(MOST_QUESTIONS) {
        let answer = match backend.decide(wire(request, questions)).await {
            Err(error) if error.is_unsupported() => return Ok(None),
            outcome => outcome?,
        };
        for (index, question) in questions.iter().enumerate() {
            let broken = |message| Error::upstream(backend.name(), message);
            verdicts.push(read(question, &answer, &id(index)).map_err(broken)?);
        }
        usage.add(DecideUsage {
            input_tokens: answer.usage.input_tokens,
            cached_tokens: 0,
            output_tokens: answer.usage.output_tokens,
        });
    }
    Ok(Some(Decisions { verdicts, method: Method::Native, usage }))
}

fn fits(question: &Question) -> bool {
    match &question.answers {
        Answers::Truth { .. } => true,
        Answers::OneOf(labels) => (2..=MOST_OPTIONS).contains(&labels.len()),
        Answers::Scale(levels) => levels.len() <= MOST_LEVELS,
    }
}

fn id(index: usize) -> String {
    format!("q{index}")
}

fn wire(request: &DecideRequest, questions: &[Question]) -> SystemOneRequest {
    let question = |(index, question): (usize, &Question)| {
        let instructions = Value::String(question.instructions.clone());
        (id(index), SystemOneQuestion { instructions, criteria: criteria(question) })
    };
    SystemOneRequest {
        model: request.model.clone(),
        state: Value::String(request.state.clone()),
        questions: questions.iter().enumerate().map(question).collect(),
        instructions: request.context.clone(),
        abstain_below: None,
        calibrate: None,
        rest: request.extra.clone(),
    }
}

fn criteria(question: &Question) -> Criteria {
    match &question.answers {
        Answers::Truth { yes, no, .. } => Criteria::Noul(NoulCriteria { yes: yes.clone(), no: no.clone() }),
        Answers::OneOf(labels) => {
            let option =
                |label: &Label| (label.name.clone(), label.description.clone().map_or(Value::Null, Value::String));
            Criteria::Choice(labels.iter().map(option).collect())
        }
        Answers::Scale(levels) => {
            let level = |label: &Label| match &label.description {
                Some(description) => format!("{}: {description}", label.name),
                None => label.name.clone(),
            };
            Criteria::Score(levels.iter().map(level).collect())
        }
    }
}

fn read(question: &Question, answer: &SystemOneAnswer, id: &str) -> Result<Verdict, String> {
    let found = answer.answers.get(id).and_then(Value::as_object).ok_or("its decision leaves a question out")?;
    let probabilities = match &question.answers {
        Answers::Truth { .. } => {
            let yes = found.get("noul").and_then(Value::as_f64).ok_or("its decision has no 'noul'")?;
            vec![yes, 1.0 - yes]
        }
        Answers::OneOf(labels) => of_names(found, labels.iter().map(|label| label.name.clone()))?,
        Answers::Scale(levels) => of_names(found, (0..levels.len()).map(|index| index.to_string()))?,
    };
    if !probabilities.iter().all(|probability| (0.0..=1.0).contains(probability)) {
        return Err("its decision has a probability that is none".to_owned());
    }
    let diagnostics = answer.diagnostics.get(id);
    Ok(Verdict {
        probabilities,
        label_mass: diagnostics.and_then(|found| found.get("label_mass")?.as_f64()),
        argmax_is_label: diagnostics.and_then(|found| found.get("argmax_is_label")?.as_bool()),
    })
}

fn of_names(found: &Map<String, Value>, names: impl Iterator<Item = String>) -> Result<Vec<f64>, String> {
    let probabilities = found.get("probabilities").and_then(Value::as_object);
    let probabilities = probabilities.ok_or("its decision has no 'probabilities'")?;
    let of_name = |name: String| probabilities.get(&name).and_then(Value::as_f64);
    names.map(of_name).collect::<Option<_>>().ok_or_else(|| "its decision leaves a label out".to_owned())
}
