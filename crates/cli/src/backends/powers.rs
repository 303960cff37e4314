//! Tries of what only some servers have: vectors, decisions, scores, counting.

use lla_inference::{
    Backend, ChatRequest, EmbedRequest, Embeddings, Error, ScoreItem, ScorePrompt, ScoreRequest, Scores,
};
use lla_protocol::openai::{Prompt, Usage};
use lla_protocol::systemone::{Criteria, NoulCriteria, SystemOneAnswer, SystemOneQuestion, SystemOneRequest};
use serde_json::{Map, Value, json};

use super::finding::Finding;

/// Asks for two vectors.
pub async fn embeddings(backend: &dyn Backend, model: &str) -> Finding {
    let texts = ["The cat sleeps.", "Interest rates were raised."].map(str::to_owned).to_vec();
    let input = Prompt::Texts(texts);
    let request = EmbedRequest { model: model.to_owned(), input, dimensions: None, extra: Map::new() };
    vectors(model, backend.embed(request).await)
}

fn vectors(model: &str, answer: Result<Embeddings, Error>) -> Finding {
    let found = match answer {
        Err(error) => return Finding::refused(&error),
        Ok(found) => found.vectors,
    };
    match found.as_slice() {
        [one, other] if one.is_empty() || one.len() != other.len() => Finding::no("the vectors are not of one length"),
        [one, other] if one == other => Finding::no("different texts have the same vector"),
        [one, _] => Finding::yes(format!("{model}: {} numbers for each text", one.len())),
        _ => Finding::no(format!("{} vectors for 2 texts", found.len())),
    }
}

/// Asks one typed question over the server's own route.
pub async fn decisions(backend: &dyn Backend, model: &str) -> Finding {
    let yes = NoulCriteria { yes: Some("Money back is asked for.".to_owned()), no: None };
    let question =
        SystemOneQuestion { instructions: json!("Does the customer want a refund?"), criteria: Criteria::Noul(yes) };
    let request = SystemOneRequest {
        model: model.to_owned(),
        state: json!("The parcel arrived broken. Please send my money back."),
        questions: vec![("refund".to_owned(), question)],
        instructions: None,
        abstain_below: None,
        calibrate: None,
        rest: Map::new(),
    };
    decided(backend.decide(request).await)
}

fn decided(answer: Result<SystemOneAnswer, Error>) -> Finding {
    match answer {
        Err(error) => Finding::refused(&error),
        Ok(answer) => match answer.answers.get("refund") {
            Some(found) if !found.is_null() => Finding::yes(super::talk::excerpt(&shown(found))),
            _ => Finding::no("the question has no answer"),
        },
    }
}

fn shown(answer: &Value) -> String {
    answer.as_f64().map_or_else(|| answer.to_string(), |number| format!("{number:.3}"))
}

/// Asks how likely two continuations are.
pub async fn scores(backend: &dyn Backend, model: &str) -> Finding {
    let prompt = ScorePrompt::Text { prompt: "The capital of France is".to_owned() };
    let continuations = [" Paris", " a"].map(str::to_owned).to_vec();
    let items = vec![ScoreItem { prompt, continuations }];
    scored(backend.score(ScoreRequest { model: model.to_owned(), items }).await)
}

fn scored(answer: Result<Scores, Error>) -> Finding {
    match answer {
        Err(error) => Finding::refused(&error),
        Ok(scores) => match scores.sums(0).as_slice() {
            [one, other] => Finding::yes(format!("log-probabilities {one:.2} and {other:.2} of two continuations")),
            sums => Finding::no(format!("{} scores for 2 continuations", sums.len())),
        },
    }
}

/// Counts a prompt that has been answered before, with the `usage` of then.
pub async fn token_count(backend: &dyn Backend, request: &ChatRequest, usage: Option<Usage>) -> Finding {
    counted(backend.count_tokens(request).await, usage)
}

fn counted(count: Result<u32, Error>, usage: Option<Usage>) -> Finding {
    match (count, usage) {
        (Err(error), _) => Finding::refused(&error),
        (Ok(count), Some(usage)) if usage.prompt_tokens == count => {
            Finding::yes(format!("{count} tokens, as its usage says"))
        }
        (Ok(count), Some(usage)) => {
            Finding::no(format!("{count} tokens, but its usage says {} of the same prompt", usage.prompt_tokens))
        }
        (Ok(count), None) => Finding::yes(format!("{count} tokens")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Works;
    use super::*;

    #[test]
    fn vectors_are_looked_at() {
        let judged = |vectors: &[&[f32]]| {
            let vectors = vectors.iter().map(|vector| vector.to_vec()).collect();
            super::vectors("m", Ok(Embeddings { vectors, prompt_tokens: 1 })).works
        };
        assert_eq!(judged(&[&[1.0, 0.0], &[0.0, 1.0]]), Works::Yes);
        for wrong in [&[&[1.0][..]][..], &[&[1.0], &[1.0]], &[&[], &[]], &[&[1.0], &[1.0, 2.0]]] {
            assert_eq!(judged(wrong), Works::No, "{wrong:?}");
        }
    }

    #[test]
    fn a_count_that_usage_contradicts_is_wrong() {
        let usage = Some(Usage::new(7, 1));
        assert_eq!(counted(Ok(7), usage).works, Works::Yes);
        assert_eq!(counted(Ok(8), usage).works, Works::No);
        assert_eq!(counted(Ok(8), None).works, Works::Yes);
    }

    #[tokio::test]
    async fn what_a_backend_lacks_is_not_offered() {
        let bare = lla_inference::MockBackend::new("bare");
        assert_eq!(decisions(&bare, "bare").await.works, Works::NotOffered);
        assert_eq!(scores(&bare, "bare").await.works, Works::NotOffered);
    }
}
