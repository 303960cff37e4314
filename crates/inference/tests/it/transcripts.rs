//! The driver reads what real servers sent: transcripts under `tests/fixtures`, recorded by the script there.

use futures_util::StreamExt as _;
use lla_inference::mock::collect;
use lla_inference::{
    Backend, CompletionRequest, Dialect, Error, ErrorKind, Event, HttpBackendConfig, OpenAiBackend, Support,
};
use lla_protocol::openai::{FinishReason, Prompt, Sampling};
use lla_protocol::systemone::SystemOneRequest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::driver::chat_request;
use crate::replay::Replay;

/// One recorded answer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Transcript {
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Transcript {
    pub(crate) fn read(server: &str, case: &str) -> Self {
        let path = format!("{}/tests/fixtures/{server}/{case}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&text).expect("a transcript")
    }
}

const SERVERS: [(&str, Dialect); 2] = [("vllm", Dialect::Vllm), ("llama-server", Dialect::LlamaServer)];

async fn replay(server: &str, dialect: Dialect, cases: &[&str]) -> (Replay, OpenAiBackend) {
    let replay = Replay::start(server, cases).await;
    let config = HttpBackendConfig { url: Some(replay.url.clone()), dialect, ..HttpBackendConfig::default() };
    (replay, OpenAiBackend::new("b", &config).expect("a backend"))
}

/// Has the driver read a recorded chat of `choices` answers.
async fn chat(server: &str, dialect: Dialect, case: &str, choices: u32) -> Result<Vec<Event>, Error> {
    let (_replay, backend) = replay(server, dialect, &[case, "lora-adapters"]).await;
    let mut request = chat_request("smol");
    request.n = Some(choices);
    collect(backend.chat(request).await?).await
}

fn text(events: &[Event], choice: u32) -> String {
    let of_choice = |event: &Event| match event {
        Event::Delta(delta) if delta.index == choice => Some(delta.text.clone()),
        _ => None,
    };
    events.iter().filter_map(of_choice).collect()
}

fn finishes(events: &[Event]) -> Vec<FinishReason> {
    let reason = |event: &Event| match event {
        Event::Finish { reason, .. } => Some(*reason),
        _ => None,
    };
    events.iter().filter_map(reason).collect()
}

fn counts(events: &[Event]) -> (u32, u32) {
    let Some(Event::Usage(usage)) = events.last() else { panic!("no usage: {events:?}") };
    (usage.prompt_tokens, usage.completion_tokens)
}

/// What the transcript says in its last counts, read without the driver.
fn recorded_counts(server: &str, case: &str) -> (u32, u32) {
    let body = Transcript::read(server, case).body;
    let documents = body.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let mut usage =
        documents.filter_map(|data| serde_json::from_str::<Value>(data).ok()).map(|value| value["usage"].clone());
    let last = usage.rfind(Value::is_object).expect("usage");
    let count = |name: &str| u32::try_from(last[name].as_u64().expect("a count")).expect("small");
    (count("prompt_tokens"), count("completion_tokens"))
}

#[tokio::test]
async fn chats_are_read_streamed_and_whole() {
    for (server, dialect) in SERVERS {
        let streamed = chat(server, dialect, "chat", 1).await.expect(server);
        let whole = chat(server, dialect, "chat-whole", 1).await.expect(server);
        assert!(!text(&streamed, 0).is_empty(), "{server}");
        assert_eq!(text(&streamed, 0), text(&whole, 0), "{server}: greedy");
        for (events, case) in [(&streamed, "chat"), (&whole, "chat-whole")] {
            assert_eq!(finishes(events).len(), 1, "{server} {case}");
            assert_eq!(counts(events), recorded_counts(server, case), "{server} {case}");
        }
        let two = chat(server, dialect, "chat-two", 2).await.expect(server);
        assert_eq!(finishes(&two).len(), 2, "{server}");
        assert!(!text(&two, 0).is_empty() && !text(&two, 1).is_empty(), "{server}");
    }
}

#[tokio::test]
async fn a_schema_is_held() {
    for (server, dialect) in SERVERS {
        let events = chat(server, dialect, "chat-schema", 1).await.expect(server);
        let said: Value = serde_json::from_str(&text(&events, 0)).expect(server);
        assert!(said["age"].is_u64(), "{server}: {said}");
    }
}

#[tokio::test]
async fn tool_calls_come_in_pieces() {
    let events = chat("vllm", Dialect::Vllm, "chat-tools", 1).await.expect("events");
    let calls: Vec<&Value> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta(delta) => delta.extra.get("tool_calls"),
            _ => None,
        })
        .collect();
    let names = calls.iter().filter_map(|calls| calls[0]["function"]["name"].as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["weather"]);
    assert!(calls[0][0]["id"].as_str().is_some_and(|id| !id.is_empty()));
    let arguments: String = calls.iter().filter_map(|calls| calls[0]["function"]["arguments"].as_str()).collect();
    let arguments: Value = serde_json::from_str(&arguments).expect("JSON");
    assert!(arguments["city"].is_string(), "{arguments}");
    // This one leaves it to the model, and this model writes prose.
    let events = chat("llama-server", Dialect::LlamaServer, "chat-tools", 1).await.expect("events");
    assert!(!text(&events, 0).is_empty());
}

#[tokio::test]
async fn logprobs_have_the_shape_of_the_api_that_was_asked() {
    for (server, dialect) in SERVERS {
        let events = chat(server, dialect, "chat-logprobs", 1).await.expect(server);
        let logprobs = events.iter().filter_map(|event| match event {
            Event::Delta(delta) => delta.logprobs.as_ref(),
            _ => None,
        });
        let tokens: Vec<&Value> = logprobs.filter_map(|found| found["content"].as_array()).flatten().collect();
        assert_eq!(tokens.len(), 4, "{server}");
        assert!(tokens.iter().all(|token| token["top_logprobs"].as_array().map(Vec::len) == Some(2)), "{server}");
        let joined: String = tokens.iter().filter_map(|token| token["token"].as_str()).collect();
        assert_eq!(joined, text(&events, 0), "{server}");

        let (_replay, backend) = replay(server, dialect, &["completion", "lora-adapters"]).await;
        let request = CompletionRequest {
            model: "smol".to_owned(),
            prompt: Prompt::Texts(vec!["One, two, three,".to_owned()]),
            sampling: Sampling::default(),
            max_tokens: 6,
            n: None,
            extra: Map::new(),
        };
        let events = collect(backend.complete(request).await.expect(server)).await.expect(server);
        let mut offset = 0;
        for event in &events {
            let Event::Delta(delta) = event else { continue };
            let Some(found) = &delta.logprobs else { continue };
            assert_eq!(found["text_offset"], json!([offset]), "{server}: {found}");
            assert_eq!(found["tokens"], json!([delta.text]), "{server}");
            assert_eq!(found["top_logprobs"][0].as_object().map(Map::len), Some(2), "{server}");
            offset += delta.text.chars().count();
        }
        assert!(offset > 0, "{server}");
        assert_eq!(counts(&events), recorded_counts(server, "completion"), "{server}");
    }
}

#[tokio::test]
async fn refusals_are_typed() {
    for (server, dialect) in SERVERS {
        let error = chat(server, dialect, "error-context", 1).await.expect_err(server);
        assert_eq!(error.kind(), ErrorKind::ContextLength, "{server}");
        assert!(error.to_string().contains("2048"), "the window is named: {error}");
        let error = chat(server, dialect, "error-field", 1).await.expect_err(server);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{server}");
        assert!(error.to_string().contains("temperature"), "{error}");
        let body =
            br#"{"model":"smol","state":"a","questions":{"q":{"type":"noul","instructions":"?","criteria":{}}}}"#;
        let request = SystemOneRequest::parse(body).expect("good");
        let (_replay, backend) = replay(server, dialect, &["error-decisions"]).await;
        assert!(backend.decide(request).await.expect_err(server).is_unsupported(), "{server}");
    }
    let error = chat("vllm", Dialect::Vllm, "error-field", 1).await.expect_err("refused");
    assert!(matches!(error, Error::InvalidRequest { param: Some(param), .. } if param == "temperature"));
    let error = chat("vllm", Dialect::Vllm, "error-model", 1).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
}

#[tokio::test]
async fn a_vllm_is_recognised_and_asked_once() {
    let cases = ["models", "version", "openapi", "probe", "error-decisions", "tokenize"];
    let (replay, backend) = replay("vllm", Dialect::Auto, &cases).await;
    let models = backend.models().await.expect("models");
    let seen: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.window, model.parent.as_deref())).collect();
    assert_eq!(seen[0], ("smol", Some(2048), None));
    assert!(seen[1..].iter().all(|(_, _, parent)| *parent == Some("smol")), "{seen:?}");
    let found = backend.capabilities();
    assert_eq!((found.server, found.window), (Some("vllm"), Some(2048)));
    let expected = [
        (found.structured_output, Support::Yes),
        (found.tools, Support::Yes),
        (found.logprobs, Support::Yes),
        (found.decisions, Support::No),
        (found.adapters, Support::Yes),
        (found.token_counts, Support::Yes),
        (found.embeddings, Support::No),
        // Not among what is replayed.
        (found.metrics, Support::No),
    ];
    assert!(expected.iter().all(|(found, wanted)| found == wanted), "{found:?}");
    let asked = replay.asked().len();
    backend.models().await.expect("models");
    assert_eq!(replay.asked()[asked..], ["GET /v1/models", "GET /version"], "the same server is not probed again");
    assert_eq!(backend.count_tokens(&chat_request("smol")).await, Ok(33));
    let health = backend.health().await;
    assert!(!health.reachable, "there is no /health among what is replayed");
}

#[tokio::test]
async fn a_vllm_without_tools_but_with_decisions() {
    let cases = ["models", "openapi", "probe-refused", "decisions"];
    let (_replay, backend) = replay("vllm", Dialect::Vllm, &cases).await;
    backend.models().await.expect("models");
    let found = backend.capabilities();
    assert_eq!((found.tools, found.decisions), (Support::No, Support::Yes), "{found:?}");
    let body = br#"{"model":"m","state":"s","questions":{"q0":{"type":"noul","instructions":"?","criteria":{}}}}"#;
    let answer = backend.decide(SystemOneRequest::parse(body).expect("good")).await.expect("decided");
    assert!(answer.answers["q0"]["noul"].is_number() && answer.answers["q1"]["choice"].is_string());
    assert!(answer.diagnostics["q2"]["label_mass"].is_number());
}

/// A gateway of ours calls itself the same in its list of models, and has no `/version`.
#[tokio::test]
async fn an_engine_is_told_from_a_gateway() {
    for (cases, server, tokens) in
        [(&["models", "version", "tokenize"][..], "engine", Some(33)), (&["models"][..], "generic", None)]
    {
        let (replay, backend) = replay("lla-engine", Dialect::Auto, cases).await;
        let models = backend.models().await.expect("models");
        assert!(models[0].window.is_some());
        assert_eq!(backend.capabilities().server, Some(server));
        assert_eq!(replay.asked(), ["GET /v1/models", "GET /version"], "it is not asked what is known");
        assert_eq!(backend.count_tokens(&chat_request(&models[0].id)).await.ok(), tokens);
    }
}

#[tokio::test]
async fn a_llama_server_is_recognised_and_its_adapters_are_models() {
    let cases = ["models", "props", "lora-adapters", "input_tokens", "embeddings", "error-decisions", "chat"];
    let (replay, backend) = replay("llama-server", Dialect::Auto, &cases).await;
    let models = backend.models().await.expect("models");
    let seen: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.window, model.parent.as_deref())).collect();
    let window = Some(2048);
    assert_eq!(seen, [("smol", window, None), ("label", window, Some("smol")), ("upper", window, Some("smol"))]);
    let found = backend.capabilities();
    let words = [
        (found.structured_output, Support::Yes),
        (found.tools, Support::No),
        (found.logprobs, Support::Yes),
        (found.decisions, Support::No),
        (found.embeddings, Support::No),
        (found.adapters, Support::Yes),
        (found.token_counts, Support::Yes),
        (found.metrics, Support::Yes),
    ];
    assert_eq!(found.server, Some("llama-server"));
    assert!(words.iter().all(|(found, wanted)| found == wanted), "{found:?}");
    for (model, scales) in [("smol", [0.0, 0.0]), ("label", [1.0, 0.0]), ("upper", [0.0, 1.0])] {
        let mut events = backend.chat(chat_request(model)).await.expect("accepted");
        assert!(events.next().await.is_some());
        let sent = replay.last_body();
        assert_eq!(sent["model"], "smol");
        assert_eq!(sent["lora"], json!([{"id": 0, "scale": scales[0]}, {"id": 1, "scale": scales[1]}]));
    }
    assert_eq!(backend.count_tokens(&chat_request("label")).await, Ok(33));
}

/// From LM Studio's documentation: none could be run here.
#[tokio::test]
async fn an_lm_studio_tells_its_windows_elsewhere() {
    let (replay, backend) = replay("lm-studio", Dialect::Auto, &[]).await;
    let listed = r#"{"data":[{"id":"a","object":"model","owned_by":"organization_owner"},{"id":"b","object":"model","owned_by":"organization_owner"}]}"#;
    let told = r#"{"object":"list","data":[
        {"id":"a","type":"llm","state":"loaded","max_context_length":131072,"loaded_context_length":4096},
        {"id":"b","type":"vlm","state":"not-loaded","max_context_length":32768}]}"#;
    replay.answer("/v1/models", 200, listed);
    replay.answer("/api/v0/models", 200, told);
    let models = backend.models().await.expect("models");
    let seen: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.window)).collect();
    assert_eq!(seen, [("a", Some(4096)), ("b", Some(32768))]);
    assert_eq!(backend.capabilities().server, Some("lm-studio"));
    assert_eq!(replay.asked(), ["GET /v1/models", "GET /api/v0/models"], "nothing that would load a model");
}

/// Its adapters would all be applied to a request that comes before anybody has asked for them.
#[tokio::test]
async fn the_first_request_to_a_llama_server_waits_for_its_adapters() {
    let cases = ["models", "props", "lora-adapters", "chat"];
    let (replay, backend) = replay("llama-server", Dialect::LlamaServer, &cases).await;
    drop(backend.chat(chat_request("smol")).await.expect("accepted"));
    assert_eq!(replay.last_body()["lora"].as_array().map(Vec::len), Some(2));
    replay.answer("/lora-adapters", 500, "{}");
    backend.models().await.expect_err("the adapters are not known");
    let error = backend.chat(chat_request("smol")).await.map(drop).expect_err("better none than the wrong one");
    assert_eq!(error.kind(), ErrorKind::Upstream);
}
