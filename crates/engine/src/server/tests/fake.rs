//! An engine that follows a script: one token per word, and what it generates is given.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use lla_protocol::openai::{FinishReason, Message, Usage};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::chat_format::ChatFormat;
use crate::constraint::tests::byte_words;
use crate::constraint::{Constraint, ConstraintVocabulary, Restriction};
use crate::embed::EmbeddingCard;
use crate::error::EngineError;
use crate::logprobs::{Scored, TokenLogprobs};
use crate::metrics::Metrics;
use crate::model::ModelCard;
use crate::score::{ScoreTokens, TextScores};
use crate::sequence::{GenerateRequest, Output};
use crate::server::generate::Generate;
use crate::template::TemplateOptions;

/// What every generation does.
#[derive(Debug, Clone)]
pub(super) enum Behaviour {
    /// These texts, then an end.
    Say(&'static [&'static str]),
    /// One text, then nothing until the caller leaves or the engine is shut down.
    Hang,
    /// One text, then a failure in native code.
    Break,
    /// The queue is full.
    Full,
    /// The channel closes without an end.
    Vanish,
    /// Makes embeddings instead: of every input its number of tokens, then 0, 0 and 1.
    Embed,
    /// Never gets done with embeddings.
    EmbedForever,
}

pub(super) struct FakeEngine {
    card: ModelCard,
    format: ChatFormat,
    metrics: Metrics,
    behaviour: Behaviour,
    pub(super) requests: Mutex<Vec<GenerateRequest>>,
    /// What answers were to look like.
    pub(super) compiled: Mutex<Vec<Restriction>>,
    /// The messages, tools and variables of the last rendering.
    pub(super) rendered: Mutex<Value>,
    /// Generations that hang.
    hanging: Mutex<Vec<UnboundedSender<Output>>>,
    pub(super) stopped: watch::Sender<bool>,
}

impl FakeEngine {
    /// `template`: what the format is read off.
    pub(super) fn new(behaviour: Behaviour, template: &str) -> Self {
        let card = ModelCard { name: "tiny".into(), window: 64, created: 7, n_vocab: 1000, has_chat_template: true };
        Self {
            card,
            format: ChatFormat::detect(template, Vec::new()),
            metrics: Metrics::new("tiny"),
            behaviour,
            requests: Mutex::default(),
            compiled: Mutex::default(),
            rendered: Mutex::default(),
            hanging: Mutex::default(),
            stopped: watch::Sender::new(false),
        }
    }

    /// Waits until a caller waits in vain.
    pub(super) async fn something_hangs(&self) {
        while self.hanging.lock().expect("lock").is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the callers of all hanging generations have left.
    pub(super) async fn all_abandoned(&self) {
        let senders: Vec<_> = self.hanging.lock().expect("lock").clone();
        assert!(!senders.is_empty(), "nothing hangs");
        for sender in senders {
            sender.closed().await;
        }
    }
}

fn send(sender: &UnboundedSender<Output>, output: Output) {
    sender.send(output).expect("the receiver is alive");
}

fn text(text: &str) -> Output {
    Output::Text { text: text.to_owned(), tokens: Vec::new() }
}

/// A text as one token, among as many as are asked for.
fn scored(said: &str, top: Option<u32>) -> Output {
    let Some(top) = top else { return text(said) };
    Output::Text { text: said.to_owned(), tokens: vec![place(said, top)] }
}

fn place(text: &str, top: u32) -> TokenLogprobs {
    let scored = |bytes: String, logprob| Scored { token: 1, bytes: bytes.into_bytes(), logprob };
    let others = std::iter::successors(Some(-1.0_f32), |logprob| Some(logprob - 1.0)).zip(0..top);
    let top = others.map(|(logprob, number)| scored(format!("t{number}"), logprob)).collect();
    TokenLogprobs { chosen: scored(text.to_owned(), -0.5), top }
}

impl Generate for FakeEngine {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn chat_format(&self) -> &ChatFormat {
        &self.format
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn is_alive(&self) -> bool {
        !*self.stopped.borrow()
    }

    fn generate(&self, request: GenerateRequest) -> Result<UnboundedReceiver<Output>, EngineError> {
        let (sender, receiver) = unbounded_channel();
        let prompt_tokens = u32::try_from(request.prompt.len()).expect("short");
        let (top, nothing) = (request.logprobs, request.max_tokens == Some(0));
        if request.prompt_logprobs {
            let texts = request.prompt[1..].iter().map(|id| format!("<{id}>"));
            send(&sender, Output::Prompt(texts.map(|text| place(&text, top.unwrap_or(0))).collect()));
        }
        self.requests.lock().expect("lock").push(request);
        match &self.behaviour {
            Behaviour::Say(_) if nothing => {
                let usage = Usage::new(prompt_tokens, 0);
                send(&sender, Output::Finished { reason: FinishReason::Length, usage });
            }
            Behaviour::Say(texts) => {
                texts.iter().for_each(|said| send(&sender, scored(said, top)));
                let usage = Usage::new(prompt_tokens, u32::try_from(texts.len()).expect("short"));
                send(&sender, Output::Finished { reason: FinishReason::Stop, usage });
            }
            Behaviour::Hang => {
                send(&sender, text("wait"));
                self.hanging.lock().expect("lock").push(sender);
            }
            Behaviour::Break => {
                send(&sender, text("part"));
                send(&sender, Output::Failed(EngineError::Native("secret detail".to_owned())));
            }
            Behaviour::Full => return Err(EngineError::QueueFull { waiting: 4, limit: 4 }),
            Behaviour::Vanish => {}
            Behaviour::Embed | Behaviour::EmbedForever => panic!("asked for text"),
        }
        Ok(receiver)
    }

    fn tokenize(&self, text: &str, add_special: bool, _parse_special: bool) -> Vec<u32> {
        let words = text.split_whitespace().map(|word| u32::try_from(word.len()).expect("short"));
        add_special.then_some(1).into_iter().chain(words).collect()
    }

    fn detokenize(&self, tokens: &[u32]) -> String {
        tokens.iter().map(|id| format!("<{id}>")).collect()
    }

    fn render_chat(&self, messages: &[Message], options: &TemplateOptions<'_>) -> Result<Vec<u32>, EngineError> {
        if options.kwargs.contains_key("refuse") {
            return Err(EngineError::Template("roles must alternate".to_owned()));
        }
        *self.rendered.lock().expect("lock") =
            json!({"messages": messages, "tools": options.tools, "kwargs": options.kwargs});
        let texts: Vec<String> = messages.iter().map(|message| message.text_content().expect("text")).collect();
        Ok(self.tokenize(&texts.join(" "), true, true))
    }

    /// A token is the likelier the shorter it is.
    fn score(&self, items: Vec<ScoreTokens>) -> BoxFuture<'static, Result<TextScores, EngineError>> {
        if let Behaviour::Hang = self.behaviour {
            let (sender, receiver) = unbounded_channel::<Output>();
            self.hanging.lock().expect("lock").push(sender);
            return Box::pin(async move {
                let _receiver = receiver;
                std::future::pending().await
            });
        }
        let score = |&token: &u32| -f32::from(u8::try_from(token).expect("short"));
        let of_item =
            |item: &ScoreTokens| item.continuations.iter().map(|tokens| tokens.iter().map(score).collect()).collect();
        let logprobs = items.iter().map(of_item).collect();
        let computed_tokens = items.iter().map(|item| u32::try_from(item.prompt.len()).expect("short")).sum();
        Box::pin(std::future::ready(Ok(TextScores {
            best: vec![-0.5; items.len()],
            logprobs,
            computed_tokens,
            cached_tokens: 0,
        })))
    }

    fn vectors(&self) -> Option<EmbeddingCard> {
        let embeds = matches!(self.behaviour, Behaviour::Embed | Behaviour::EmbedForever);
        embeds.then_some(EmbeddingCard { width: 4, shortens: true })
    }

    fn embed(&self, inputs: Vec<Vec<u32>>) -> BoxFuture<'static, Result<Vec<Vec<f32>>, EngineError>> {
        if let Behaviour::Embed = self.behaviour {
            let vector = |input: &Vec<u32>| vec![f32::from(u8::try_from(input.len()).expect("short")), 0.0, 0.0, 1.0];
            let vectors = inputs.iter().map(vector).collect();
            return Box::pin(std::future::ready(Ok(vectors)));
        }
        let (sender, receiver) = unbounded_channel::<Output>();
        self.hanging.lock().expect("lock").push(sender);
        Box::pin(async move {
            // Held for as long as this future lives.
            let _receiver = receiver;
            std::future::pending().await
        })
    }

    fn compile(&self, restriction: &Restriction) -> Result<Constraint, EngineError> {
        self.compiled.lock().expect("lock").push(restriction.clone());
        let vocabulary = Arc::new(ConstraintVocabulary::new(byte_words()).expect("a vocabulary"));
        Ok(Constraint::compile(&vocabulary, restriction)?)
    }

    fn shutdown(&self) {
        for sender in self.hanging.lock().expect("lock").drain(..) {
            drop(sender.send(Output::Failed(EngineError::ShuttingDown)));
        }
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        let mut stopped = self.stopped.subscribe();
        Box::pin(async move {
            stopped.wait_for(|stopped| *stopped).await.expect("the sender is alive");
        })
    }
}
