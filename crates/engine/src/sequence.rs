//! The state of one generation: its tokens, how the next one is chosen, and what the caller gets.
//!
//! Knows nothing of llama.cpp: the worker hands in logits' winners with their bytes. So the rules of
//! ending (turn end, stop string, length) are tested here without a model.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lla_protocol::openai::{FinishReason, PromptTokensDetails, Usage};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::constraint::Constraint;
use crate::draft::Drafter;
use crate::error::EngineError;
use crate::logprobs::TokenLogprobs;
use crate::sampler::{Sampler, SamplingParams};
use crate::score::{Path, PathScores, Scoring};
use crate::stop::StopMatcher;
use crate::thinking::ThinkingLimit;
use crate::utf8::Utf8Assembler;

/// What to generate. The default generates nothing special from an empty prompt, which is refused.
#[derive(Debug, Clone, Default)]
pub struct GenerateRequest {
    /// The prompt as tokens, at least one.
    pub prompt: Vec<u32>,
    /// How tokens are chosen.
    pub params: SamplingParams,
    /// Most tokens to generate; `None`: until the model ends or the window is full.
    pub max_tokens: Option<u32>,
    /// Texts that end the generation and are not part of it.
    pub stop: Vec<String>,
    /// Do not end at the end-of-turn token, and never choose it.
    pub ignore_eos: bool,
    /// Report log-probabilities, with this many of the likeliest tokens for each place.
    pub logprobs: Option<u32>,
    /// Report them for the prompt's tokens too, in one [`Output::Prompt`] before everything else.
    pub prompt_logprobs: bool,
    /// What the answer, or a part of it, must look like.
    pub constraint: Option<Constraint>,
    /// A limit for the reasoning section.
    pub thinking: Option<Thinking>,
}

/// A limit for the reasoning section of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thinking {
    /// The prompt leaves the model in the section: the budget counts from the first token. Otherwise
    /// it counts from the text `<think>`, if the answer begins with it.
    pub open: bool,
    /// The text that ends the section.
    pub marker: String,
    /// Tokens that are generated instead of the model's own when the budget is spent: they end the
    /// section.
    pub end: Vec<u32>,
    /// Most tokens of the section; `None`: no limit.
    pub budget: Option<u32>,
}

/// What a generation yields: texts, then exactly one `Finished` or `Failed`, then the channel closes.
#[derive(Debug)]
pub enum Output {
    /// The prompt's tokens from the second on, when asked for: the first has no probability.
    Prompt(Vec<TokenLogprobs>),
    /// Text to append; valid UTF-8, never empty.
    Text {
        /// The text.
        text: String,
        /// Its tokens, when asked for. A character that several tokens make up comes with all of them.
        tokens: Vec<TokenLogprobs>,
    },
    /// What a path of [`crate::score`] came to.
    Scores(PathScores),
    /// The end.
    Finished {
        /// Why.
        reason: FinishReason,
        /// Exact token counts.
        usage: Usage,
    },
    /// The end, by an error.
    Failed(EngineError),
}

/// One generation, owned by the worker from submission to its end.
pub(crate) struct Sequence {
    /// Prompt, then what was generated.
    pub(crate) tokens: Vec<u32>,
    prompt_len: usize,
    /// `tokens` never grows beyond this.
    limit: usize,
    pub(crate) sampler: Sampler,
    pub(crate) drafter: Drafter,
    /// Away for the time of a step: see `worker/masks.rs`.
    pub(crate) constraint: Option<Constraint>,
    /// Whether it was made with a constraint.
    pub(crate) constrained: bool,
    thinking: Option<ThinkingLimit>,
    pub(crate) ignore_eos: bool,
    /// How many of the likeliest tokens to report for each place, if any.
    pub(crate) logprobs: Option<usize>,
    /// Log-probabilities of prompt tokens as they become known; `None`: not asked for, or sent.
    pub(crate) prompt_logprobs: Option<Vec<TokenLogprobs>>,
    /// What is to be scored; `None`: nothing.
    pub(crate) scoring: Option<Scoring>,
    /// It is a request of its own in the metrics: of the paths of a prompt, the first one.
    pub(crate) counts: bool,
    /// Prompt tokens that came from the prefix cache.
    cached: Option<usize>,
    /// Log-probabilities of tokens whose text has not been sent, with the byte of the answer at which
    /// each begins.
    unsent: VecDeque<(usize, TokenLogprobs)>,
    /// Bytes of the answer that its tokens stand for, and that were sent.
    bytes_generated: usize,
    bytes_sent: usize,
    stop: StopMatcher,
    utf8: Utf8Assembler,
    output: mpsc::UnboundedSender<Output>,
    submitted: Instant,
    last_token: Option<Instant>,
    /// The caller's place in the queue, given back when the sequence is dropped.
    _place: Arc<OwnedSemaphorePermit>,
}

/// How long the caller waited for the token just accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Since submission: this was the first token.
    First(Duration),
    /// Since the token before.
    Next(Duration),
}

impl Sequence {
    /// `window`: most tokens of prompt and answer together. The caller has checked that the prompt
    /// is not empty and leaves room for at least one token.
    pub(crate) fn new(
        request: GenerateRequest,
        window: usize,
        output: mpsc::UnboundedSender<Output>,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        let prompt_len = request.prompt.len();
        let wanted = request.max_tokens.map_or(usize::MAX, |max| max as usize);
        Self {
            sampler: Sampler::new(request.params, &request.prompt),
            drafter: Drafter::default(),
            constrained: request.constraint.is_some(),
            constraint: request.constraint,
            thinking: request.thinking.filter(|thinking| thinking.budget.is_some()).map(ThinkingLimit::new),
            tokens: request.prompt,
            prompt_len,
            limit: prompt_len.saturating_add(wanted).min(window),
            ignore_eos: request.ignore_eos,
            logprobs: request.logprobs.map(|top| top as usize),
            prompt_logprobs: request.prompt_logprobs.then(Vec::new),
            scoring: None,
            counts: true,
            cached: None,
            unsent: VecDeque::new(),
            bytes_generated: 0,
            bytes_sent: 0,
            stop: StopMatcher::new(request.stop),
            utf8: Utf8Assembler::default(),
            output,
            submitted: Instant::now(),
            last_token: None,
            _place: place,
        }
    }

    /// A sequence that generates nothing: it ends with the scores of a path.
    pub(crate) fn scoring(path: Path, output: mpsc::UnboundedSender<Output>, place: Arc<OwnedSemaphorePermit>) -> Self {
        let window = path.tokens.len();
        let request = GenerateRequest { prompt: path.tokens, max_tokens: Some(0), ..GenerateRequest::default() };
        let scoring = Some(Scoring::new(path.from, path.marks));
        Self { scoring, counts: path.is_first, ..Self::new(request, window, output, place) }
    }

    /// The logits of this token of the prompt and of all behind it are wanted.
    pub(crate) fn logits_from(&self) -> usize {
        match &self.scoring {
            Some(scoring) => scoring.from,
            None if self.prompt_logprobs.is_some() => 0,
            None => self.tokens.len() - 1,
        }
    }

    /// Number of prompt tokens.
    pub(crate) fn prompt_len(&self) -> usize {
        self.prompt_len
    }

    /// Whether it wants anything but its prompt's log-probabilities.
    pub(crate) fn generates(&self) -> bool {
        self.limit > self.prompt_len
    }

    /// Whether guessing its next tokens makes sense: it decodes freely, and more than one may still come.
    pub(crate) fn may_guess(&self) -> bool {
        let is_free = self.constraint.as_ref().is_none_or(|constraint| !constraint.has_begun())
            && self.thinking.as_ref().is_none_or(ThinkingLimit::is_over);
        is_free && self.tokens.len() > self.prompt_len && self.tokens.len() + 1 < self.limit
    }

    /// The next token belongs to the forced end of the reasoning.
    pub(crate) fn ends_thought(&self) -> bool {
        self.thinking.as_ref().is_some_and(|thinking| !thinking.forced().is_empty())
    }

    /// Tokens that must come now, whatever the model thinks: the end of reasoning whose budget is spent,
    /// or what the grammar leaves no choice about.
    pub(crate) fn forced(&mut self) -> Vec<u32> {
        let end = self.thinking.as_ref().map_or(&[][..], ThinkingLimit::forced);
        if !end.is_empty() {
            return end.to_vec();
        }
        self.constraint.as_mut().map_or_else(Vec::new, Constraint::forced)
    }

    /// Whether the logits at a position tell about a prompt token that was asked for.
    pub(crate) fn scores_prompt_at(&self, position: usize) -> bool {
        let is_scored = self.scoring.as_ref().is_some_and(|scoring| scoring.wants(position));
        is_scored || (self.prompt_logprobs.is_some() && position + 1 < self.prompt_len)
    }

    /// So many of its prompt's tokens came from the prefix cache. Only the first time counts: after a
    /// preemption it is its own cells that it finds again.
    pub(crate) fn note_cached(&mut self, tokens: usize) {
        self.cached.get_or_insert(tokens);
    }

    /// Hands out the prompt's log-probabilities once all of them are known.
    pub(crate) fn send_prompt(&mut self) {
        if let Some(tokens) = self.prompt_logprobs.take() {
            self.send(Output::Prompt(tokens));
        }
        if let Some(scoring) = self.scoring.take() {
            self.send(Output::Scores(scoring.scores));
        }
    }

    /// Time since submission.
    pub(crate) fn age(&self) -> Duration {
        self.submitted.elapsed()
    }

    /// The caller has gone: nobody will read what is generated.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.output.is_closed()
    }

    /// Records how long the caller waited for a token that was just chosen.
    pub(crate) fn note_token(&mut self, now: Instant) -> Waited {
        match self.last_token.replace(now) {
            None => Waited::First(now - self.submitted),
            Some(before) => Waited::Next(now - before),
        }
    }

    /// Takes the next token. Sends its text when it is complete; tells why the generation has
    /// ended, if it has. `piece`: the bytes the token adds; `ends_turn`: it is an end-of-turn token.
    pub(crate) fn accept(
        &mut self,
        token: u32,
        piece: &[u8],
        ends_turn: bool,
        logprobs: Option<TokenLogprobs>,
    ) -> Option<FinishReason> {
        self.tokens.push(token);
        self.sampler.accept(token);
        if let Some(logprobs) = logprobs {
            self.unsent.push_back((self.bytes_generated, logprobs));
        }
        self.bytes_generated += piece.len();
        if ends_turn && !self.ignore_eos {
            self.flush();
            return Some(FinishReason::Stop);
        }
        let text = self.utf8.push(piece);
        if let Some(thinking) = &mut self.thinking {
            thinking.accept(&text);
        }
        let matched = self.stop.push(&text);
        self.send_text(matched.emit);
        if matched.stopped {
            return Some(FinishReason::Stop);
        }
        if self.constraint.as_ref().is_some_and(Constraint::is_complete) {
            // Only the end may follow: that needs no step of the model.
            self.flush();
            return Some(FinishReason::Stop);
        }
        if self.tokens.len() >= self.limit {
            self.close();
            return if self.flush() { Some(FinishReason::Stop) } else { Some(FinishReason::Length) };
        }
        None
    }

    /// Ends the generation.
    pub(crate) fn finish(self, reason: FinishReason) {
        let usage = self.usage();
        self.send(Output::Finished { reason, usage });
    }

    /// Ends the generation by an error.
    pub(crate) fn fail(self, error: EngineError) {
        self.send(Output::Failed(error));
    }

    fn usage(&self) -> Usage {
        let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        let cached_tokens = self.cached.map(count);
        let usage = Usage::new(count(self.prompt_len), count(self.tokens.len() - self.prompt_len));
        Usage { prompt_tokens_details: cached_tokens.map(|_| PromptTokensDetails { cached_tokens }), ..usage }
    }

    /// Appends what makes a restricted answer readable that was cut by its length. A character that was
    /// cut in two is dropped: the closing writes another one.
    fn close(&mut self) {
        let Some(constraint) = self.constraint.as_mut().filter(|constraint| constraint.has_begun()) else { return };
        self.utf8 = Utf8Assembler::default();
        let closing = constraint.closing("");
        let held_back = self.stop.finish();
        self.send_text(held_back);
        self.send_text(closing);
    }

    /// Sends what was held back; true when a stop string was completed by it.
    fn flush(&mut self) -> bool {
        let text = self.utf8.finish();
        let matched = self.stop.push(&text);
        self.send_text(matched.emit);
        let held_back = self.stop.finish();
        self.send_text(held_back);
        self.stop.stopped()
    }

    /// Sends text with its tokens: those that begin before its end. A token that is only partly in a
    /// text that was cut at a stop string counts as in it.
    fn send_text(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        self.bytes_sent += text.len();
        let mut tokens = Vec::new();
        while let Some((_, logprobs)) = self.unsent.pop_front_if(|(start, _)| *start < self.bytes_sent) {
            tokens.push(logprobs);
        }
        self.send(Output::Text { text, tokens });
    }

    fn send(&self, output: Output) {
        // A closed channel means that the caller has gone; the worker sees that at the next step.
        drop(self.output.send(output));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    fn start(max_tokens: Option<u32>, stop: &[&str], window: usize) -> (Sequence, mpsc::UnboundedReceiver<Output>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let place = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place"));
        let request = GenerateRequest {
            prompt: vec![1, 2, 3],
            params: SamplingParams::default(),
            max_tokens,
            stop: stop.iter().map(|&text| text.to_owned()).collect(),
            ..GenerateRequest::default()
        };
        (Sequence::new(request, window, sender, place), receiver)
    }

    fn texts(mut receiver: mpsc::UnboundedReceiver<Output>) -> (String, Option<Usage>) {
        let mut all = String::new();
        let mut usage = None;
        while let Ok(output) = receiver.try_recv() {
            match output {
                Output::Text { text, .. } => all.push_str(&text),
                Output::Prompt(_) | Output::Scores(_) => {}
                Output::Finished { usage: counts, .. } => usage = Some(counts),
                Output::Failed(error) => panic!("{error}"),
            }
        }
        (all, usage)
    }

    #[test]
    fn ends_by_length_turn_end_stop_string_and_window() {
        #[expect(clippy::type_complexity, reason = "a table of cases")]
        let cases: [(Option<u32>, &[&str], usize, FinishReason, &str, u32); 4] = [
            (Some(2), &[], 100, FinishReason::Length, "ab", 2),
            (None, &[], 100, FinishReason::Stop, "abcdef", 7),
            (None, &["cd"], 100, FinishReason::Stop, "ab", 4),
            (None, &[], 8, FinishReason::Length, "abcde", 5),
        ];
        for (max_tokens, stop, window, wanted, text, completion_tokens) in cases {
            let (mut sequence, receiver) = start(max_tokens, stop, window);
            let mut pieces = "abcdef".bytes().map(|byte| (vec![byte], false)).chain([(Vec::new(), true)]);
            let reason = loop {
                let (piece, ends_turn) = pieces.next().expect("ends before the pieces do");
                if let Some(reason) = sequence.accept(7, &piece, ends_turn, None) {
                    break reason;
                }
            };
            assert_eq!(reason, wanted, "{text}");
            sequence.finish(reason);
            assert_eq!(texts(receiver), (text.to_owned(), Some(Usage::new(3, completion_tokens))));
        }
    }

    #[test]
    fn a_character_cut_by_the_length_limit_is_replaced_not_lost() {
        let (mut sequence, receiver) = start(Some(1), &[], 100);
        assert_eq!(sequence.accept(7, &"é".as_bytes()[..1], false, None), Some(FinishReason::Length));
        assert_eq!(texts(receiver).0, "\u{fffd}");
    }

    #[test]
    fn text_held_back_for_a_stop_string_comes_out_at_the_end() {
        let (mut sequence, receiver) = start(Some(2), &["abc"], 100);
        assert_eq!(sequence.accept(7, b"a", false, None), None);
        assert_eq!(sequence.accept(7, b"b", false, None), Some(FinishReason::Length));
        assert_eq!(texts(receiver).0, "ab");
    }
}
