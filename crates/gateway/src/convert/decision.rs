//! Decisions: the two APIs' wire types to the one domain request, and its answers back.

use lla_inference::route::Route;
use lla_protocol::openai::{
    ChoiceProbability, ChoiceValue, DecisionAnswer, DecisionInput, DecisionItem, DecisionList, DecisionQuestion,
    DecisionRequest, DecisionUsage, Found, InputTokensDetails, LevelProbability, OutputTokensDetails, QuestionKind,
};
use lla_protocol::systemone::{
    Criteria, SystemOneAnswer, SystemOneQuestion, SystemOneRequest, SystemOneUsage, text_of,
};
use lla_tools::decide::{Answers, DecideRequest, DecideUsage, Decisions, Label, Question, Verdict, Wording};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A request of `/v1/decisions` for the model of `route`.
pub(crate) fn request(wire: &DecisionRequest, route: &Route) -> DecideRequest {
    DecideRequest {
        model: route.first().model.clone(),
        context: None,
        state: state(&wire.input),
        questions: wire.questions.iter().map(question).collect(),
        calibrate: wire.calibrate.unwrap_or(true),
        extra: Map::new(),
    }
}

/// A conversation as the text that a model reads about it.
fn state(input: &DecisionInput) -> String {
    let items = match input {
        DecisionInput::Text(text) => return text.clone(),
        // One message alone is a text like any other.
        DecisionInput::Items(items) => match items.as_slice() {
            [DecisionItem::Message { role, text }] if role == "user" => return text.clone(),
            items => items,
        },
    };
    let line = |item: &DecisionItem| match item {
        DecisionItem::Message { role, text } => format!("{role}: {text}"),
        DecisionItem::Call { name, arguments } => format!("assistant calls {name}: {arguments}"),
        DecisionItem::Output { text } => format!("tool: {text}"),
    };
    items.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn question(wire: &DecisionQuestion) -> Question {
    let answers = match &wire.kind {
        QuestionKind::Predicate => Answers::Truth { wording: Wording::TrueFalse, yes: None, no: None },
        QuestionKind::Choice(choices) => {
            let label = |(value, description): &(ChoiceValue, Option<String>)| Label {
                name: choice_text(value),
                description: description.clone(),
            };
            Answers::OneOf(choices.iter().map(label).collect())
        }
        QuestionKind::Score(levels) => {
            let label = |(name, description): &(String, Option<String>)| Label {
                name: name.clone(),
                description: description.clone(),
            };
            Answers::Scale(levels.iter().map(label).collect())
        }
    };
    Question { instructions: wire.instructions.clone(), answers }
}

fn choice_text(value: &ChoiceValue) -> String {
    match value {
        ChoiceValue::Bool(flag) => flag.to_string(),
        ChoiceValue::Text(text) => text.clone(),
    }
}

/// The answer of `/v1/decisions`; `model` by the name the caller may use.
pub(crate) fn answer(wire: &DecisionRequest, decisions: &Decisions, model: &str) -> DecisionList {
    let measured = decisions.method.is_measured();
    let answer = |(question, verdict): (&DecisionQuestion, &Verdict)| DecisionAnswer {
        name: question.name.clone(),
        found: found(question, verdict),
        measured,
        label_mass: verdict.label_mass,
        abstained: wire.abstain_below.map(|least| verdict.confidence() < least),
    };
    let DecideUsage { input_tokens, cached_tokens, output_tokens } = decisions.usage;
    DecisionList {
        answers: wire.questions.iter().zip(&decisions.verdicts).map(answer).collect(),
        model: model.to_owned(),
        usage: DecisionUsage {
            input_tokens,
            input_tokens_details: InputTokensDetails {
                cache_write_tokens: input_tokens.saturating_sub(cached_tokens),
                cached_tokens,
            },
            output_tokens,
            output_tokens_details: OutputTokensDetails::default(),
            total_tokens: input_tokens.saturating_add(output_tokens),
        },
        method: decisions.method.as_str(),
    }
}

fn found(question: &DecisionQuestion, verdict: &Verdict) -> Found {
    let confidence = verdict.confidence();
    let probabilities = verdict.probabilities.iter().copied();
    match &question.kind {
        QuestionKind::Predicate => {
            Found::Predicate { probability: verdict.probabilities.first().copied().unwrap_or(0.0) }
        }
        QuestionKind::Choice(choices) => Found::Choice {
            choice: choices.get(verdict.best()).map_or(ChoiceValue::Bool(false), |(value, _)| value.clone()),
            confidence,
            probabilities: (choices.iter().zip(probabilities))
                .map(|((value, _), probability)| ChoiceProbability { value: value.clone(), probability })
                .collect(),
        },
        QuestionKind::Score(levels) => Found::Score {
            score: verdict.expected(),
            confidence,
            probabilities: ((0..).zip(levels).zip(probabilities))
                .map(|((value, (label, _)), probability)| LevelProbability { label: label.clone(), probability, value })
                .collect(),
        },
    }
}

/// A request of `/v1/systemone` for the model of `route`.
pub(crate) fn systemone(wire: &SystemOneRequest, route: &Route) -> DecideRequest {
    DecideRequest {
        model: route.first().model.clone(),
        context: wire.instructions.clone(),
        state: text_of(&wire.state),
        questions: wire.questions.iter().map(|(_, question)| systemone_question(question)).collect(),
        calibrate: wire.calibrate.unwrap_or(true),
        extra: wire.rest.clone(),
    }
}

fn systemone_question(wire: &SystemOneQuestion) -> Question {
    let answers = match &wire.criteria {
        Criteria::Noul(criteria) => {
            Answers::Truth { wording: Wording::YesNo, yes: criteria.yes.clone(), no: criteria.no.clone() }
        }
        Criteria::Choice(options) => {
            let label = |(name, description): (&String, &Value)| Label {
                name: name.clone(),
                description: (!description.is_null()).then(|| text_of(description)),
            };
            Answers::OneOf(options.iter().map(label).collect())
        }
        Criteria::Score(levels) => {
            Answers::Scale(levels.iter().map(|name| Label { name: name.clone(), description: None }).collect())
        }
    };
    Question { instructions: text_of(&wire.instructions), answers }
}

/// The answer of `/v1/systemone`; `created` in Unix seconds.
pub(crate) fn systemone_answer(
    wire: &SystemOneRequest,
    decisions: &Decisions,
    model: &str,
    created: i64,
) -> SystemOneAnswer {
    let asked = wire.questions.iter().zip(&decisions.verdicts);
    let answers = asked.clone().map(|((id, question), verdict)| (id.clone(), systemone_found(question, verdict)));
    let diagnostics = asked.map(|((id, _), verdict)| (id.clone(), diagnostics(verdict, wire.abstain_below)));
    SystemOneAnswer {
        id: format!("decision-{}", Uuid::now_v7().simple()),
        object: "structured_decision".to_owned(),
        created,
        model: model.to_owned(),
        answers: answers.collect(),
        usage: SystemOneUsage {
            input_tokens: decisions.usage.input_tokens,
            output_tokens: decisions.usage.output_tokens,
        },
        diagnostics: diagnostics.collect(),
        rest: Map::from_iter([
            ("method".to_owned(), Value::from(decisions.method.as_str())),
            ("measured".to_owned(), Value::from(decisions.method.is_measured())),
        ]),
    }
}

fn systemone_found(question: &SystemOneQuestion, verdict: &Verdict) -> Value {
    let by_name = |names: &mut dyn Iterator<Item = String>| -> Map<String, Value> {
        names.zip(&verdict.probabilities).map(|(name, &probability)| (name, Value::from(probability))).collect()
    };
    let confidence = verdict.confidence();
    match &question.criteria {
        Criteria::Noul(_) => json!({
            "type": "noul",
            "noul": verdict.probabilities.first(),
            "probabilities": by_name(&mut ["yes", "no"].into_iter().map(str::to_owned)),
            "confidence": confidence,
        }),
        Criteria::Choice(options) => json!({
            "type": "choice",
            "choice": options.keys().nth(verdict.best()),
            "probabilities": by_name(&mut options.keys().cloned()),
            "confidence": confidence,
        }),
        Criteria::Score(levels) => {
            let legend: Map<String, Value> =
                levels.iter().enumerate().map(|(index, name)| (index.to_string(), name.clone().into())).collect();
            json!({
                "type": "score",
                "score": verdict.expected(),
                "legend": legend,
                "probabilities": by_name(&mut (0..levels.len()).map(|index| index.to_string())),
                "confidence": confidence,
            })
        }
    }
}

fn diagnostics(verdict: &Verdict, abstain_below: Option<f64>) -> Value {
    let mut fields = Map::from_iter([
        ("label_mass".to_owned(), verdict.label_mass.map_or(Value::Null, Value::from)),
        ("argmax_is_label".to_owned(), verdict.argmax_is_label.map_or(Value::Null, Value::from)),
    ]);
    if let Some(least) = abstain_below {
        fields.insert("abstained".to_owned(), Value::from(verdict.confidence() < least));
    }
    Value::Object(fields)
}
