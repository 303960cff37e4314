//! Decisions by scoring every label behind the state and the question.
//!
//! A label's score is the log-probability of all its tokens. With calibration, what it scores behind a text
//! that says nothing is subtracted, and where a label has a description, the description's score per token,
//! calibrated alike, is added.

use std::sync::Arc;

use futures_util::future::try_join;
use lla_inference::{Backend, Error, ScoreItem, ScoreRequest, Scores};

use super::calibration::NOTHING;
use super::distribution::{log_sum, softmax};
use super::prompt::{self, Form};
use super::{Calibration, DecideRequest, DecideUsage, Decisions, Method, Question, Verdict};

/// The answer's likeliest token may be a label's up to this much noise.
const NOISE: f32 = 1e-4;

pub(super) async fn decide(
    backend: &dyn Backend,
    calibration: &Calibration,
    request: &DecideRequest,
) -> Result<Decisions, Error> {
    match decide_in(Form::Chat, backend, calibration, request).await {
        Err(Error::InvalidRequest { code: Some(code), .. }) if code == "no_chat_template" => {
            decide_in(Form::Plain, backend, calibration, request).await
        }
        outcome => outcome,
    }
}

async fn decide_in(
    form: Form,
    backend: &dyn Backend,
    calibration: &Calibration,
    request: &DecideRequest,
) -> Result<Decisions, Error> {
    let items = request.questions.iter().map(|question| prompt::item(form, request, &request.state, question));
    let asked = backend.score(ScoreRequest { model: request.model.clone(), items: items.collect() });
    let (scores, biases) = try_join(asked, biases(form, backend, calibration, request)).await?;
    let verdicts = request.questions.iter().enumerate().map(|(index, question)| {
        let bias = biases.get(index).map(|bias| &**bias);
        verdict(question, &scores.logprobs[index], scores.best[index], bias)
    });
    let usage = DecideUsage {
        input_tokens: scores.usage.prompt_tokens,
        cached_tokens: scores.usage.cached_tokens,
        output_tokens: u32::try_from(request.questions.len()).unwrap_or(u32::MAX),
    };
    Ok(Decisions { verdicts: verdicts.collect(), method: Method::Scored, usage })
}

/// The bias of each question's labels; empty without calibration. What is not known is scored, all
/// questions in one request.
async fn biases(
    form: Form,
    backend: &dyn Backend,
    calibration: &Calibration,
    request: &DecideRequest,
) -> Result<Vec<Arc<[f64]>>, Error> {
    if !request.calibrate {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = request.questions.iter().map(|question| key(form, backend, request, question)).collect();
    let mut found: Vec<Option<Arc<[f64]>>> = keys.iter().map(|key| calibration.get(key)).collect();
    let unknown: Vec<usize> = (0..found.len()).filter(|&index| found[index].is_none()).collect();
    if !unknown.is_empty() {
        let blank =
            |&index: &usize| NOTHING.map(|nothing| prompt::item(form, request, nothing, &request.questions[index]));
        let items: Vec<ScoreItem> = unknown.iter().flat_map(blank).collect();
        let scores = backend.score(ScoreRequest { model: request.model.clone(), items }).await?;
        for (nth, &index) in unknown.iter().enumerate() {
            let bias = mean_scores(&request.questions[index], &scores, nth * NOTHING.len());
            calibration.put(keys[index].clone(), Arc::clone(&bias));
            found[index] = Some(bias);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// All that the bias depends on.
fn key(form: Form, backend: &dyn Backend, request: &DecideRequest, question: &Question) -> String {
    let mut parts = vec![
        backend.name().to_owned(),
        request.model.clone(),
        form.as_str().to_owned(),
        request.context.clone().unwrap_or_default(),
    ];
    parts.push(prompt::asked(question));
    for label in prompt::sayings(question) {
        parts.extend(label.names);
        parts.push(label.meaning.unwrap_or_default());
    }
    parts.join("\u{0}")
}

fn mean_scores(question: &Question, scores: &Scores, first: usize) -> Arc<[f64]> {
    let all: Vec<Vec<f64>> = (first..first + NOTHING.len())
        .map(|item| label_scores(question, &scores.logprobs[item]).into_iter().map(LabelScore::total).collect())
        .collect();
    let labels = all.first().map_or(0, Vec::len);
    #[expect(clippy::cast_precision_loss, reason = "three texts")]
    let mean = |label: usize| all.iter().map(|scores| scores[label]).sum::<f64>() / all.len() as f64;
    (0..labels).map(mean).collect()
}

/// How likely a label is, and its description.
#[derive(Debug, Clone, Copy)]
struct LabelScore {
    /// Log-probability of the label as a whole.
    name: f64,
    /// Log-probability of its description, per token; 0 without.
    meaning: f64,
}

impl LabelScore {
    fn total(self) -> f64 {
        self.name + self.meaning
    }
}

/// Reads the scores of an item in the order in which [`prompt::item`] has put its texts.
fn label_scores(question: &Question, logprobs: &[Vec<f32>]) -> Vec<LabelScore> {
    let mut texts = logprobs.iter();
    let mut next = || texts.next().map_or(&[][..], Vec::as_slice);
    let sum = |tokens: &[f32]| tokens.iter().copied().map(f64::from).sum::<f64>();
    prompt::sayings(question)
        .into_iter()
        .map(|label| {
            let names: Vec<f64> = label.names.iter().map(|_| sum(next())).collect();
            #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
            let meaning = label.meaning.map_or(0.0, |_| {
                let tokens = next();
                sum(tokens) / tokens.len().max(1) as f64
            });
            LabelScore { name: log_sum(names.iter().copied()), meaning }
        })
        .collect()
}

fn verdict(question: &Question, logprobs: &[Vec<f32>], best: f32, bias: Option<&[f64]>) -> Verdict {
    let scores = label_scores(question, logprobs);
    let calibrated: Vec<f64> = match bias {
        Some(bias) => scores.iter().zip(bias).map(|(score, bias)| score.total() - bias).collect(),
        // A description's score means something only next to what it scores anyway.
        None => scores.iter().map(|score| score.name).collect(),
    };
    let mass = log_sum(scores.iter().map(|score| score.name)).exp().min(1.0);
    let mut texts = logprobs.iter();
    let is_likeliest = |tokens: &Vec<f32>| tokens.first().is_some_and(|&first| first >= best - NOISE);
    let argmax_is_label = prompt::sayings(question).into_iter().any(|label| {
        let found = texts.by_ref().take(label.names.len()).filter(|tokens| is_likeliest(tokens)).count() > 0;
        if label.meaning.is_some() {
            texts.next();
        }
        found
    });
    Verdict { probabilities: softmax(&calibrated), label_mass: Some(mass), argmax_is_label: Some(argmax_is_label) }
}
