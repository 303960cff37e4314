//! Whether a model can be trusted with writing: it is tried once on texts of our own. Small models go round
//! in circles, ignore the length and lose what matters; what they write would be thrown away after seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::{Call, Question};
use crate::error::ToolError;
use crate::prose::guard::{is_degenerate, is_grounded};
use crate::prose::words::count;

/// A text to be summarized, and things of which a summary has most.
struct Trial {
    text: &'static str,
    facts: [&'static str; 4],
}

const TRIALS: [Trial; 2] = [
    Trial {
        text: "Good morning everybody, I hope that you had a nice weekend. We talked for a while about the weather and the \
               coffee. The library of Ostwick will be closed from 12 May, because the heating has to be replaced. This costs \
               34,000 euros. Books can be returned at the town hall in the meantime. Somebody asked about parking, and there \
               was no answer.",
        facts: ["Ostwick", "12 May", "34,000", "heating"],
    },
    Trial {
        text: "There was a long discussion, as there always is, and nobody was quite sure how it had begun. In the end the team \
               chose Verano as the new supplier, since Lindholm had delivered late five times. The contract begins in \
               October and runs for two years. Afterwards everybody went to lunch.",
        facts: ["Verano", "Lindholm", "October", "two years"],
    },
];

/// Most words of a trial's summary, and facts that must be in it.
const WORDS: usize = 30;
const FACTS: usize = 3;

/// What is known of models, by backend and name. Shared by the clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writers(Arc<Mutex<HashMap<(String, String), bool>>>);

impl Writers {
    /// Whether the call's model can write. The first call with a model tries it, which takes it two short
    /// answers, and one when it fails the first.
    ///
    /// # Errors
    /// When there is no model, or it fails.
    pub(crate) async fn can_write(&self, call: &Call) -> Result<bool, ToolError> {
        let model = call.context().models.of(call.context().tier)?;
        let key = (model.backend.name().to_owned(), model.public_name);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut able = true;
        for trial in &TRIALS {
            able = able && passes(trial, &call.ask(question(trial.text, WORDS, "", "")).await?.text);
        }
        tracing::info!(model = key.1, able, "tried whether a model can write for the text tools");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, able);
        Ok(able)
    }
}

fn passes(trial: &Trial, answer: &str) -> bool {
    let facts = trial.facts.iter().filter(|fact| answer.contains(**fact)).count();
    count(answer) <= WORDS && facts >= FACTS && !is_degenerate(answer) && is_grounded(answer, trial.text)
}

/// Asks for a summary.
pub(crate) fn question(text: &str, max_words: usize, form: &str, focus: &str) -> Question<'static> {
    let most = u32::try_from(max_words).unwrap_or(u32::MAX);
    Question {
        system: "You write short, factual summaries.",
        user: format!(
            "Summarize the text in at most {max_words} words, in the language of the text. {form}{focus} Include the most \
             important facts, numbers, names and decisions. Answer with the summary only.\n\nText:\n{text}\n\nSummary:"
        ),
        schema: None,
        max_tokens: most.saturating_mul(3).max(32),
    }
}
