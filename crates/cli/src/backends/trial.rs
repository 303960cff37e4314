//! One server, tried in everything that a gateway asks of it, one try after the other.

use std::time::Duration;

use lla_inference::driver::open;
use lla_inference::{Backend, HttpBackendConfig, ModelInfo};
use serde::Serialize;
use serde_json::json;

use super::finding::{Finding, Works};
use super::talk::{Said, ask, question};
use super::{abort, chat, form, place, powers, window};
use crate::args::BackendTestArgs;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::init::tiers;
use crate::output;
use crate::table::Table;

/// Models that are named in a finding; more are counted.
const SHOWN: usize = 6;

/// What was tried of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The server's name in the configuration.
    pub backend: String,
    /// What kind of server it was found to be, else what the configuration says.
    pub kind: &'static str,
    /// Address or socket.
    pub url: String,
    /// The model that was tried; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// One for each try, in their order.
    pub tries: Vec<Try>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Try {
    /// What was tried.
    pub what: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub finding: Finding,
}

impl Report {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new(&["WHAT", "WORKS", "SEEN"]);
        for Try { what, finding } in &self.tries {
            table.row([(*what).to_owned(), finding.works.to_string(), finding.detail.clone()]);
        }
        let model = self.model.as_ref().map_or_else(String::new, |model| format!(", model {model}"));
        format!("{} ({}, {}){model}\n\n{}", self.backend, self.kind, self.url, table.text())
    }

    /// Whether chat works.
    ///
    /// # Errors
    /// When it does not, with what was seen last.
    pub fn verdict(&self) -> Outcome {
        let chat = self.tries.iter().find(|tried| tried.what == CHAT);
        match chat.or(self.tries.last()) {
            Some(tried) if tried.what == CHAT && tried.finding.works == Works::Yes => Ok(()),
            Some(tried) => {
                Err(Failure::no(format!("chat does not work with '{}': {}", self.backend, tried.finding.detail)))
            }
            None => Err(Failure::no(format!("nothing was tried of '{}'", self.backend))),
        }
    }
}

/// The try that decides.
const CHAT: &str = "chat";

/// Tries a server. What can not be tried, because nobody answers or there is no model, is left out.
///
/// # Errors
/// When the server's section of the configuration can not be used.
pub async fn run(name: &str, config: &HttpBackendConfig, args: &BackendTestArgs) -> Result<Report, Failure> {
    let backend = open(name, config).or_fail(Exit::Usage)?;
    let report = Report {
        backend: name.to_owned(),
        kind: config.dialect.as_str(),
        url: place(config),
        model: None,
        tries: Vec::new(),
    };
    let mut trial = Trial { backend: backend.as_ref(), config, limit: args.timeout, report };
    trial.all(args.model.as_deref()).await;
    if let Some(found) = backend.capabilities().server {
        trial.report.kind = found;
    }
    Ok(trial.report)
}

struct Trial<'a> {
    backend: &'a dyn Backend,
    config: &'a HttpBackendConfig,
    limit: Duration,
    report: Report,
}

impl Trial<'_> {
    async fn all(&mut self, named: Option<&str>) {
        if !self.reachable().await {
            return;
        }
        let models = self.models().await;
        let Some(model) = choose(named, &models) else {
            self.note(CHAT, Finding::no("there is no model that chats; name one: --model NAME"));
            return;
        };
        self.report.model = Some(model.clone());
        let window = models.iter().find(|known| known.id == model).and_then(|known| known.window);
        let thinks = self.chat(&model).await;
        self.forms(&model).await;
        self.details(&model, thinks).await;
        self.powers(&model, &models).await;
        let (backend, config) = (self.backend, self.config);
        self.within("abort", abort::run(backend, config, &model, window)).await;
        let long = question(&model, &window::prompt(fastrand::u64(..)), 24, json!({}));
        // Reading so much takes a slow machine as long as all the others together.
        self.limit *= 3;
        self.within("window", async { window::judge(window, &ask(backend, long).await) }).await;
    }

    async fn reachable(&mut self) -> bool {
        let health = self.backend.health().await;
        let finding = if health.reachable {
            let latency = health.latency.map(|latency| format!("in {:.1} ms", latency.as_secs_f64() * 1e3));
            let version = health.version.map(|version| format!("version {version}"));
            Finding::yes([latency, version].into_iter().flatten().collect::<Vec<_>>().join(", "))
        } else {
            Finding::no(health.message.unwrap_or_else(|| "no answer".to_owned()))
        };
        self.note("reachable", finding);
        health.reachable
    }

    async fn models(&mut self) -> Vec<ModelInfo> {
        match self.backend.models().await {
            Ok(models) => {
                let names: Vec<&str> = models.iter().map(|model| model.id.as_str()).take(SHOWN).collect();
                let more = models.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let finding = match names.as_slice() {
                    [] => Finding::no("it has none"),
                    names => Finding::yes(format!("{}{more}", names.join(", "))),
                };
                self.note("models", finding);
                models
            }
            Err(error) => {
                self.note("models", Finding::failed(&error));
                Vec::new()
            }
        }
    }

    /// Chat, its stream, and counting; whether the model thinks by itself.
    async fn chat(&mut self, model: &str) -> bool {
        let backend = self.backend;
        let greeting = question(model, chat::GREETING, 96, json!({}));
        let mut first: Option<Said> = None;
        self.within(CHAT, async {
            let said = ask(backend, greeting.clone()).await;
            let finding = chat::answer(&said);
            first = said.ok();
            finding
        })
        .await;
        self.asked("stream", question(model, chat::COUNTING, 64, json!({})), chat::stream).await;
        let usage = first.as_ref().and_then(|said| said.usage);
        self.within("token count", powers::token_count(backend, &greeting, usage)).await;
        first.is_some_and(|said| said.thought())
    }

    async fn forms(&mut self, model: &str) {
        for (what, forced) in [("tools, forced", true), ("tools, auto", false)] {
            let request = question(model, form::WEATHER, 512, form::tools(forced));
            self.asked(what, request, |said| form::call(forced, said)).await;
        }
        self.asked("schema", question(model, form::PAINT, 512, form::response_format()), form::json_schema).await;
    }

    async fn details(&mut self, model: &str, thinks: bool) {
        let off = question(model, chat::GREETING, 96, chat::thinking_off(self.config.dialect));
        self.asked("thinking off", off, |said| chat::thinking(thinks, said)).await;
        let fields = json!({"logprobs": true, "top_logprobs": 2});
        self.asked("logprobs", question(model, chat::GREETING, 16, fields), chat::logprobs).await;
    }

    async fn powers(&mut self, model: &str, models: &[ModelInfo]) {
        let backend = self.backend;
        let for_vectors = models.iter().find(|known| known.id.to_lowercase().contains("embed"));
        let for_vectors = for_vectors.map_or(model, |known| known.id.as_str());
        self.within("embeddings", powers::embeddings(backend, for_vectors)).await;
        self.within("decisions", powers::decisions(backend, model)).await;
        self.within("scores", powers::scores(backend, model)).await;
    }

    /// Asks and judges.
    async fn asked(
        &mut self,
        what: &'static str,
        request: lla_inference::ChatRequest,
        judge: impl FnOnce(&Result<Said, lla_inference::Error>) -> Finding,
    ) {
        let backend = self.backend;
        self.within(what, async { judge(&ask(backend, request).await) }).await;
    }

    /// One try, within the time that it may take.
    async fn within(&mut self, what: &'static str, work: impl Future<Output = Finding>) {
        if output::is_terminal() {
            output::note(&format!("trying: {what} ..."));
        }
        let late = || Finding::no(format!("not done within {}: see --timeout", humantime::format_duration(self.limit)));
        let finding = tokio::time::timeout(self.limit, Box::pin(work)).await.unwrap_or_else(|_| late());
        self.note(what, finding);
    }

    fn note(&mut self, what: &'static str, finding: Finding) {
        self.report.tries.push(Try { what, finding });
    }
}

/// The model that was named, else the first that chats.
fn choose(named: Option<&str>, models: &[ModelInfo]) -> Option<String> {
    let chats = || models.iter().find(|model| !tiers::is_no_chat_model(&model.id)).map(|model| model.id.clone());
    named.map(str::to_owned).or_else(chats)
}
