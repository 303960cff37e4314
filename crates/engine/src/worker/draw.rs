//! From the logits of a step to tokens: scores of prompts, draws, and the check of guesses.

use std::time::Instant;

use lla_protocol::openai::FinishReason;

use super::steps::Worker;
use crate::constraint::ConstraintError;
use crate::error::EngineError;
use crate::logprobs::{Scored, TokenLogprobs, of_logits};
use crate::metrics::Metrics;
use crate::model::Model;
use crate::sampler::Choice;
use crate::scheduler::Work;
use crate::sequence::{Sequence, Waited};

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
        if let Some(scoring) = &mut sequence.scoring {
            for position in item.start..item.start + item.len {
                if scoring.wants(position) {
                    scoring.score(position, self.context.get_logits_ith(index_of(first + position - item.start)));
                }
            }
            // Scored again after a preemption, it is the same; sent, it is gone.
            return;
        }
        let top = sequence.logprobs.unwrap_or(0);
        for position in item.start..item.start + item.len {
            if !sequence.scores_prompt_at(position) {
                continue;
            }
            let logits = self.context.get_logits_ith(index_of(first + position - item.start));
            let scored = report(&self.parts.model, logits, sequence.tokens[position + 1], top);
            // After a preemption the beginning is computed again: it is known already.
            if let Some(known) = sequence.prompt_logprobs.as_mut().filter(|known| known.len() == position) {
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
        let drawn = match self.next_tokens(item, first) {
            Ok(drawn) => drawn,
            Err(error) => {
                tracing::error!(%error, "a restriction can not be followed");
                if let Some(sequence) = self.leave(item.id, false) {
                    sequence.fail(EngineError::Native(error.to_string()));
                }
                return;
            }
        };
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

    /// What must come comes; otherwise a token is drawn, and as long as it is what was guessed, the next
    /// one's logits are there as well. Then again what must come.
    fn next_tokens(&mut self, item: &Work, first: usize) -> Result<Drawn, ConstraintError> {
        let mut drawn = Drawn::default();
        let Some(sequence) = self.sequences.get_mut(&item.id) else { return Ok(drawn) };
        if sequence.constrained && sequence.constraint.is_none() {
            return Err(ConstraintError::Failed("its state was lost".to_owned()));
        }
        let guesses = self.drafts.remove(&item.id).unwrap_or_default();
        let (model, metrics) = (&self.parts.model, &self.parts.metrics);
        let mut giver = Giver { model, metrics, sequence, drawn: &mut drawn };
        let last_known = first + item.len - item.draft - 1;
        let len = giver.sequence.tokens.len();
        // With log-probabilities each token is drawn, from those that may come: its logits are wanted.
        let may_jump = giver.sequence.logprobs.is_none();
        if !may_jump || !giver.force()? {
            for index in 0..=item.draft {
                let logits = self.context.get_logits_ith(index_of(last_known + index));
                let chosen = giver.draw(logits, &self.turn_ends)?;
                if giver.drawn.ended.is_some() || index == item.draft || guesses.get(index) != Some(&chosen) {
                    break;
                }
                giver.drawn.verified += 1;
            }
            if may_jump {
                giver.force()?;
            }
        }
        sequence.drafter.learn(item.draft, drawn.verified, len);
        Ok(drawn)
    }

    fn finish(&mut self, item: &Work, reason: FinishReason) {
        if let Some(sequence) = self.leave(item.id, false) {
            if sequence.counts {
                self.parts.metrics.finished(reason, sequence.age());
            }
            // Whoever sees the end must also see the counters without this sequence.
            self.show_gauges();
            sequence.finish(reason);
        }
    }
}

/// Gives tokens to one sequence.
struct Giver<'a> {
    model: &'a Model,
    metrics: &'a Metrics,
    sequence: &'a mut Sequence,
    drawn: &'a mut Drawn,
}

impl Giver<'_> {
    /// Gives what must come, if anything.
    fn force(&mut self) -> Result<bool, ConstraintError> {
        let mut any = false;
        while self.drawn.ended.is_none() {
            let forced = self.sequence.forced();
            if forced.is_empty() {
                break;
            }
            any = true;
            for token in forced {
                self.give(token, None)?;
                if self.drawn.ended.is_some() {
                    break;
                }
            }
        }
        Ok(any)
    }

    /// Draws a token and gives it.
    fn draw(&mut self, logits: &[f32], turn_ends: &[u32]) -> Result<u32, ConstraintError> {
        let sequence = &mut *self.sequence;
        let banned: &[u32] = if sequence.ignore_eos { turn_ends } else { &[] };
        // Only one at a time with log-probabilities: what must come is then the only choice.
        let must: Vec<u32> = if sequence.logprobs.is_some() { sequence.forced() } else { Vec::new() };
        let mask = match &mut sequence.constraint {
            Some(constraint) => constraint.mask()?,
            None => None,
        };
        let chosen = match must.first() {
            Some(&token) => token,
            None => sequence.sampler.sample(logits, Choice { banned, allowed: mask.map(|mask| mask.words()) }),
        };
        let logprobs = sequence.logprobs.map(|top| report(self.model, logits, chosen, top));
        self.give(chosen, logprobs)?;
        Ok(chosen)
    }

    fn give(&mut self, token: u32, logprobs: Option<TokenLogprobs>) -> Result<(), ConstraintError> {
        match self.sequence.note_token(Instant::now()) {
            Waited::First(waited) => self.metrics.first_token(waited),
            Waited::Next(waited) => self.metrics.token(waited),
        }
        let ends_thought = self.sequence.ends_thought();
        if let Some(constraint) = &mut self.sequence.constraint
            // What is written behind the marker to end the reasoning is no part of the answer.
            && !(ends_thought && constraint.has_begun())
        {
            constraint.accept(token)?;
        }
        let (piece, ends_turn) = (self.model.piece(token), self.model.ends_turn(token));
        self.drawn.ended = self.sequence.accept(token, &piece, ends_turn, logprobs);
        self.drawn.tokens.push(token);
        Ok(())
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
