//! From the logits of a step to tokens: scores of prompts, draws, and the check of guesses.

use std::time::Instant;

use lla_protocol::openai::FinishReason;

use super::steps::Worker;
use crate::logprobs::{Scored, TokenLogprobs, of_logits};
use crate::model::Model;
use crate::sampler::Choice;
use crate::scheduler::Work;
use crate::sequence::Waited;

/// What a sequence got in a step.
#[derive(Default)]
struct Drawn {
    tokens: Vec<u32>,
    /// How many of them had been guessed.
    verified: usize,
    ended: Option<FinishReason>,
}

impl Worker<'_> {
    /// Draws for every sequence whose range reached its end, and sends its text.
    pub(super) fn draw(&mut self, work: &[Work]) {
        let mut first = 0;
        for item in work {
            self.score_prompt(item, first);
            if item.sample {
                self.draw_one(item, first);
            }
            first += item.len;
        }
    }

    /// Notes what the model thought of the prompt tokens that follow on the computed ones.
    fn score_prompt(&mut self, item: &Work, first: usize) {
        let Some(sequence) = self.sequences.get_mut(&item.id) else { return };
        let top = sequence.logprobs.unwrap_or(0);
        for position in item.start..item.start + item.len {
            if !sequence.scores_prompt_at(position) {
                continue;
            }
            let logits = self.context.get_logits_ith(index_of(first + position - item.start));
            let scored = report(&self.parts.model, logits, sequence.tokens[position + 1], top);
            if let Some(known) = &mut sequence.prompt_logprobs {
                known.push(scored);
            }
        }
    }

    fn draw_one(&mut self, item: &Work, first: usize) {
        let Some(sequence) = self.sequences.get_mut(&item.id) else { return };
        sequence.send_prompt();
        if !sequence.generates() {
            self.finish(item, FinishReason::Length);
            return;
        }
        let drawn = self.check_guesses(item, first);
        if drawn.verified < item.draft {
            let start = item.start + item.len - item.draft + drawn.verified;
            if let Err(error) = self.free_cells(item.row, start) {
                tracing::error!(error, "cells of wrong guesses could not be freed");
            }
        }
        self.scheduler.advance(item.id, &drawn.tokens, drawn.verified);
        self.parts.metrics.drafts(item.draft, drawn.verified);
        if let Some(reason) = drawn.ended {
            self.finish(item, reason);
        }
    }

    /// Draws a token; as long as it is what was guessed, the next one's logits are there as well.
    fn check_guesses(&mut self, item: &Work, first: usize) -> Drawn {
        let mut drawn = Drawn::default();
        let Some(sequence) = self.sequences.get_mut(&item.id) else { return drawn };
        let guesses = self.drafts.remove(&item.id).unwrap_or_default();
        let model = &self.parts.model;
        let len = sequence.tokens.len();
        let last_known = first + item.len - item.draft - 1;
        for index in 0..=item.draft {
            let logits = self.context.get_logits_ith(index_of(last_known + index));
            let banned: &[u32] = if sequence.ignore_eos { &self.turn_ends } else { &[] };
            let chosen = sequence.sampler.sample(logits, Choice { banned, allowed: None });
            match sequence.note_token(Instant::now()) {
                Waited::First(waited) => self.parts.metrics.first_token(waited),
                Waited::Next(waited) => self.parts.metrics.token(waited),
            }
            let logprobs = sequence.logprobs.map(|top| report(model, logits, chosen, top));
            drawn.ended = sequence.accept(chosen, &model.piece(chosen), model.ends_turn(chosen), logprobs);
            drawn.tokens.push(chosen);
            if drawn.ended.is_some() || index == item.draft || guesses.get(index) != Some(&chosen) {
                break;
            }
            drawn.verified += 1;
        }
        sequence.drafter.learn(item.draft, drawn.verified, len);
        drawn
    }

    fn finish(&mut self, item: &Work, reason: FinishReason) {
        if let Some(sequence) = self.leave(item.id, false) {
            self.parts.metrics.finished(reason, sequence.age());
            // Whoever sees the end must also see the counters without this sequence.
            self.show_gauges();
            sequence.finish(reason);
        }
    }
}

/// What is told about a place of a text.
fn report(model: &Model, logits: &[f32], chosen: u32, top: usize) -> TokenLogprobs {
    let (logprob, top) = of_logits(logits, chosen, top);
    let scored = |token, logprob| Scored { token, bytes: model.piece(token), logprob };
    TokenLogprobs {
        chosen: scored(chosen, logprob),
        top: top.into_iter().map(|(token, logprob)| scored(token, logprob)).collect(),
    }
}

fn index_of(row: usize) -> i32 {
    i32::try_from(row).unwrap_or(i32::MAX)
}
