//! Models that are not in memory, or not even on the machine: the answer begins with progress.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use lla_protocol::ndjson::Decoder;
use lla_protocol::ollama::{GenerateRequest, Options, PullProgress, PullRequest};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};

use super::core::{Core, Ready};
use super::draft::Draft;
use crate::{Error, Event, EventStream};

/// A caller hears of a model that is being loaded this often.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Longest line about a pull.
const MAX_LINE: usize = 1 << 16;

/// Loads the model, then answers.
pub(super) fn then_open(core: Arc<Core>, ready: Ready) -> EventStream {
    with_progress(|notes| async move {
        load(&core, &ready, &notes).await?;
        core.open(ready).await
    })
}

/// Pulls the model, loads it, then answers.
pub(super) fn pull_then_open(core: Arc<Core>, drafts: Vec<Draft>, model: String) -> EventStream {
    with_progress(|notes| async move {
        pull(&core, &model, &notes).await?;
        let card = core.card(&model).await?;
        let ready = core.prepare(drafts, model, &card).await?;
        if !ready.is_loaded {
            load(&core, &ready, &notes).await?;
        }
        core.open(ready).await
    })
}

/// Where progress is told. That nobody listens any more ends the work by other means.
struct Notes(UnboundedSender<String>);

impl Notes {
    fn tell(&self, text: String) {
        drop(self.0.send(text));
    }
}

/// A stream that shows what `work` tells until it has opened the answer, and then the answer. Dropping
/// it drops the work.
fn with_progress<W>(work: impl FnOnce(Notes) -> W) -> EventStream
where
    W: Future<Output = Result<EventStream, Error>> + Send + 'static,
{
    let (notes, told) = unbounded_channel();
    Telling { told, work: Box::pin(work(Notes(notes))) }.stream()
}

/// Work that tells of itself.
struct Telling {
    told: UnboundedReceiver<String>,
    work: BoxFuture<'static, Result<EventStream, Error>>,
}

impl Telling {
    fn stream(self) -> EventStream {
        let opening = stream::unfold(Some(self), |telling| async move {
            let Telling { mut told, mut work } = telling?;
            let opened = tokio::select! {
                biased;
                Some(text) = told.recv() => {
                    let progress: EventStream = Box::pin(stream::iter([Ok(Event::Progress(text))]));
                    return Some((progress, Some(Telling { told, work })));
                }
                opened = &mut work => opened,
            };
            // What it told at the very end comes before what it came to.
            let mut last = Vec::new();
            while let Ok(text) = told.try_recv() {
                last.push(Ok(Event::Progress(text)));
            }
            let answer = opened.unwrap_or_else(|error| Box::pin(stream::iter([Err(error)])));
            let rest: EventStream = Box::pin(stream::iter(last).chain(answer));
            Some((rest, None))
        });
        Box::pin(opening.flatten())
    }
}

/// Has the model loaded with its window.
async fn load(core: &Core, ready: &Ready, notes: &Notes) -> Result<(), Error> {
    let limit = core.connection.timeouts.load;
    // An empty prompt loads, unless it is to be unloaded at once.
    let keep_alive = core.config.keep_alive.filter(|duration| !duration.is_zero()).and(core.config.keep_alive());
    let request = GenerateRequest {
        model: ready.model.clone(),
        prompt: String::new(),
        raw: false,
        options: Options { num_ctx: Some(ready.num_ctx), ..Options::default() },
        format: None,
        keep_alive,
        think: None,
        truncate: false,
        logprobs: false,
        top_logprobs: 0,
        stream: false,
    };
    let loading = async {
        let opened = core.connection.open_root("api/generate", &request, &ready.model, ("load", limit)).await?;
        core.connection.read_all(opened.response, limit).await
    };
    let what = format!("loading the model '{}'", ready.model);
    while_telling(what, loading, notes).await.map(drop).map_err(|error| core.missing(error, &ready.model))
}

async fn while_telling<T>(what: String, work: impl Future<Output = T>, notes: &Notes) -> T {
    let begin = Instant::now();
    let mut work = pin!(work);
    notes.tell(what.clone());
    loop {
        if let Ok(done) = timeout(TELL_EVERY, &mut work).await {
            return done;
        }
        notes.tell(format!("{what}: {} s", begin.elapsed().as_secs()));
    }
}

/// Has the model pulled.
async fn pull(core: &Core, model: &str, notes: &Notes) -> Result<(), Error> {
    let limits = core.connection.timeouts;
    tracing::info!(backend = core.name(), model, "pulling a model");
    notes.tell(format!("pulling the model '{model}'"));
    let request = PullRequest { model: model.to_owned(), stream: true };
    let phase = ("first byte", limits.first_byte);
    let mut opened = core.connection.open_root("api/pull", &request, model, phase).await?;
    let mut decoder = Decoder::new(MAX_LINE);
    let (mut success, mut shown) = (false, String::new());
    loop {
        let chunk = timeout(limits.between_chunks, opened.response.chunk())
            .await
            .map_err(|_| core.connection.timed_out("next chunk", limits.between_chunks))?
            .map_err(|error| core.connection.broken_off(&error))?;
        let Some(chunk) = chunk else { break };
        let mut lines: Vec<PullProgress> = Vec::new();
        let read = decoder.push(&chunk, |line| lines.push(line));
        for line in lines {
            if let Some(message) = line.error {
                return Err(not_pulled(core, model, &message));
            }
            success |= line.status == "success";
            let text = describe(model, &line);
            if text != shown {
                notes.tell(text.clone());
                shown = text;
            }
        }
        read.map_err(|error| Error::upstream(core.name(), error.to_string()))?;
    }
    if success {
        return Ok(());
    }
    Err(Error::upstream(core.name(), format!("pulling '{model}' ended early")))
}

fn not_pulled(core: &Core, model: &str, message: &str) -> Error {
    // What the registry's 404 becomes.
    if message.contains("file does not exist") {
        return Error::ModelNotFound { model: model.to_owned(), nearest: Vec::new() };
    }
    Error::upstream(core.name(), format!("it can not pull '{model}': {message}"))
}

/// `pulling smol: pulling 6a0746a1ec1a, 12 %`.
fn describe(model: &str, line: &PullProgress) -> String {
    let percent = match (line.completed, line.total) {
        (Some(completed), Some(total)) if total > 0 => {
            format!(", {} %", completed.min(total).saturating_mul(100) / total)
        }
        _ => String::new(),
    };
    format!("pulling the model '{model}': {}{percent}", line.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_told_in_percent() {
        let line = |total, completed| PullProgress { status: "pulling 6a".to_owned(), total, completed, error: None };
        for (line, text) in [
            (line(None, None), "pulling the model 'm': pulling 6a"),
            (line(Some(200), Some(25)), "pulling the model 'm': pulling 6a, 12 %"),
            (line(Some(200), None), "pulling the model 'm': pulling 6a"),
            (line(Some(0), Some(0)), "pulling the model 'm': pulling 6a"),
            (line(Some(2), Some(3)), "pulling the model 'm': pulling 6a, 100 %"),
        ] {
            assert_eq!(describe("m", &line), text);
        }
    }
}
