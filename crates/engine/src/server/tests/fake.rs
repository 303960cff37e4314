//! An engine that follows a script: one token per word, and what it generates is given.

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use lla_protocol::openai::{FinishReason, Message, Usage};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::chat_format::ChatFormat;
use crate::error::EngineError;
use crate::metrics::Metrics;
use crate::model::ModelCard;
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
}

pub(super) struct FakeEngine {
    card: ModelCard,
    format: ChatFormat,
    metrics: Metrics,
    behaviour: Behaviour,
    pub(super) requests: Mutex<Vec<GenerateRequest>>,
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
            rendered: Mutex::default(),
            hanging: Mutex::default(),
            stopped: watch::Sender::new(false),
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
        self.requests.lock().expect("lock").push(request);
        match &self.behaviour {
            Behaviour::Say(texts) => {
                texts.iter().for_each(|said| send(&sender, text(said)));
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
