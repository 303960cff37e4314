//! The running generations of one request. Dropping it cancels them all.

use std::sync::Arc;
use std::task::{Context, Poll};

use lla_protocol::openai::{FinishReason, PromptTokensDetails, Usage};
use tokio::sync::mpsc::UnboundedReceiver;

use super::echo::Echo;
use super::generate::Generate;
use super::request::Job;
use crate::error::EngineError;
use crate::logprobs::TokenLogprobs;
use crate::sequence::Output;
use crate::tool_calls::{Event, Reader, Reading};

/// What is appended to a choice.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// Text of the answer.
    pub(super) text: String,
    /// Text of the reasoning section.
    pub(super) reasoning: String,
    /// Calls that begin or go on, in order.
    pub(super) calls: Vec<CallDelta>,
    /// Calls that turned out to be none; their text is in `text`.
    pub(super) dropped: Vec<u32>,
    /// Log-probabilities of the tokens that came with this, when asked for. Where an answer is read
    /// for calls or reasoning, their text may come later than they do.
    pub(super) tokens: Vec<TokenLogprobs>,
}

/// News of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallDelta {
    /// It begins.
    Start { index: u32, id: String, name: String },
    /// Its arguments go on.
    Arguments { index: u32, text: String },
}

impl Delta {
    fn read(events: Vec<Event>, tokens: Vec<TokenLogprobs>) -> Self {
        let mut delta = Self { tokens, ..Self::default() };
        for event in events {
            match event {
                Event::Content(text) => delta.text.push_str(&text),
                Event::Reasoning(text) => delta.reasoning.push_str(&text),
                Event::CallStart { index, id, name } => delta.calls.push(CallDelta::Start { index, id, name }),
                Event::CallArguments { index, text } => delta.calls.push(CallDelta::Arguments { index, text }),
                Event::CallDropped { index } => delta.dropped.push(index),
            }
        }
        delta
    }

    fn is_empty(&self) -> bool {
        let Self { text, reasoning, calls, dropped, tokens } = self;
        text.is_empty() && reasoning.is_empty() && calls.is_empty() && dropped.is_empty() && tokens.is_empty()
    }
}

/// What happened to one choice.
#[derive(Debug)]
pub(super) enum News {
    /// Its prompt, before everything else.
    Echo(Echo),
    /// Something to append.
    Delta(Delta),
    /// Its end.
    Finished(FinishReason),
    /// Its end by an error, which ends the whole request.
    Failed(EngineError),
}

/// Generations in the order of their choices' indexes.
#[derive(Debug)]
pub(super) struct Choices {
    /// `None`: has ended.
    receivers: Vec<Option<UnboundedReceiver<Output>>>,
    /// What reads them; none: they are plain text.
    readers: Vec<Option<Reader>>,
    usages: Vec<Usage>,
    /// What is still to be given back before the choice's first news.
    echoes: Vec<Option<Echo>>,
    per_prompt: usize,
}

impl Choices {
    /// Submits all generations of a request. When one is refused, those before it are cancelled.
    pub(super) fn submit(engine: &dyn Generate, job: Job) -> Result<Self, EngineError> {
        let receivers: Vec<_> =
            job.generations.into_iter().map(|request| engine.generate(request).map(Some)).collect::<Result<_, _>>()?;
        let usages = vec![Usage::default(); receivers.len()];
        let per_prompt = job.per_prompt.max(1);
        let echoes = (0..receivers.len()).map(|position| job.echoes.get(position / per_prompt).cloned()).collect();
        let reader = |reading: &Arc<Reading>| Reader::new(Arc::clone(reading));
        let readers = receivers.iter().map(|_| job.reading.as_ref().map(reader)).collect();
        Ok(Self { receivers, readers, usages, echoes, per_prompt })
    }

    pub(super) fn len(&self) -> usize {
        self.receivers.len()
    }

    /// Collects everything that is there into `news`; pending when there is nothing yet. Ready
    /// without news: all choices have ended.
    pub(super) fn poll_batch(&mut self, context: &mut Context<'_>, news: &mut Vec<(u32, News)>) -> Poll<()> {
        let mut open = false;
        for (position, place) in self.receivers.iter_mut().enumerate() {
            let index = u32::try_from(position).unwrap_or(u32::MAX);
            while let Some(receiver) = place {
                let item = match receiver.poll_recv(context) {
                    Poll::Pending => {
                        open = true;
                        break;
                    }
                    Poll::Ready(Some(Output::Text { text, tokens })) => {
                        let delta = match &mut self.readers[position] {
                            Some(reader) => Delta::read(reader.push(&text), tokens),
                            None => Delta { text, tokens, ..Delta::default() },
                        };
                        if delta.is_empty() {
                            continue;
                        }
                        News::Delta(delta)
                    }
                    Poll::Ready(Some(Output::Prompt(tokens))) => match self.echoes[position].take() {
                        Some(echo) => News::Echo(echo.scored(tokens)),
                        None => continue,
                    },
                    // Only what was asked to score gives scores.
                    Poll::Ready(Some(Output::Scores(_))) => continue,
                    Poll::Ready(Some(Output::Finished { reason, usage })) => {
                        self.usages[position] = usage;
                        *place = None;
                        match self.readers[position].as_mut().map(|reader| reader.finish(reason)) {
                            None => News::Finished(reason),
                            Some(Ok((events, reason))) => {
                                let rest = Delta::read(events, Vec::new());
                                if !rest.is_empty() {
                                    news.push((index, News::Delta(rest)));
                                }
                                News::Finished(reason)
                            }
                            Some(Err(error)) => News::Failed(error),
                        }
                    }
                    Poll::Ready(Some(Output::Failed(error))) => {
                        *place = None;
                        News::Failed(error)
                    }
                    Poll::Ready(None) => {
                        *place = None;
                        News::Failed(EngineError::Native("the worker dropped a generation".to_owned()))
                    }
                };
                news.extend(self.echoes[position].take().map(|echo| (index, News::Echo(echo))));
                news.push((index, item));
            }
        }
        if open && news.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Tokens of the choices that have finished: each prompt counts once, answers are summed.
    pub(super) fn usage(&self) -> Usage {
        let prompts = self.usages.chunks(self.per_prompt).filter_map(<[Usage]>::first);
        let (mut prompt_tokens, mut cached) = (0_u32, None::<u32>);
        for usage in prompts {
            prompt_tokens = prompt_tokens.saturating_add(usage.prompt_tokens);
            if let Some(tokens) = usage.prompt_tokens_details.and_then(|details| details.cached_tokens) {
                cached = Some(cached.unwrap_or(0).saturating_add(tokens));
            }
        }
        let completion_tokens =
            self.usages.iter().fold(0_u32, |sum, usage| sum.saturating_add(usage.completion_tokens));
        let prompt_tokens_details = cached.map(|tokens| PromptTokensDetails { cached_tokens: Some(tokens) });
        Usage { prompt_tokens_details, ..Usage::new(prompt_tokens, completion_tokens) }
    }
}
