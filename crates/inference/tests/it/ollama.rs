//! The Ollama driver against a fake one that says what a real one said.

use std::time::Duration;

use futures_util::StreamExt as _;
use lla_inference::mock::collect;
use lla_inference::{
    Backend, ChatRequest, CompletionRequest, Dialect, EmbedRequest, Error, ErrorKind, Event, HttpBackendConfig,
    OllamaBackend, OllamaConfig, Timeouts,
};
use lla_protocol::openai::{FinishReason, Message, Prompt, Role, Sampling, Usage};
use lla_protocol::systemone::SystemOneRequest;
use serde_json::{Map, Value, json};

use crate::driver::chat_request;
use crate::fake_ollama::{FakeOllama, Script, fixture};

fn config(server: &FakeOllama) -> HttpBackendConfig {
    HttpBackendConfig { url: Some(server.url.clone()), dialect: Dialect::Ollama, ..HttpBackendConfig::default() }
}

fn backend(server: &FakeOllama) -> OllamaBackend {
    OllamaBackend::new("local", &config(server)).expect("backend")
}

/// A fake with its model in memory.
async fn warm(script: Script) -> FakeOllama {
    let server = FakeOllama::start(script).await;
    server.load("smol:latest", 4096);
    server
}

fn chat(extra: Value) -> ChatRequest {
    let Value::Object(extra) = extra else { panic!("an object") };
    ChatRequest { extra, ..chat_request("smol") }
}

fn long_chat(words: usize) -> ChatRequest {
    let text = "word ".repeat(words);
    ChatRequest { messages: vec![Message::text(Role::User, text)], ..chat(json!({})) }
}

fn completion(prompts: &[&str], n: u32) -> CompletionRequest {
    CompletionRequest {
        model: "smol".to_owned(),
        prompt: Prompt::Texts(prompts.iter().map(|&text| text.to_owned()).collect()),
        sampling: Sampling::default(),
        max_tokens: 3,
        n: Some(n),
        extra: Map::new(),
    }
}

async fn answer(script: Script, request: ChatRequest) -> Result<Vec<Event>, Error> {
    let server = warm(script).await;
    collect(backend(&server).chat(request).await?).await
}

fn said(fixture: &str) -> Script {
    Script { answer: fixture.to_owned(), ..Script::default() }
}

fn text_of(events: &[Event], choice: u32) -> String {
    let text = |event: &Event| match event {
        Event::Delta(delta) if delta.index == choice => Some(delta.text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn extra_of(events: &[Event], name: &str) -> Vec<Value> {
    let extra = |event: &Event| match event {
        Event::Delta(delta) => delta.extra.get(name).cloned(),
        _ => None,
    };
    events.iter().filter_map(extra).collect()
}

fn ending(events: &[Event]) -> &[Event] {
    &events[events.len() - 2..]
}

fn finish(reason: FinishReason) -> Event {
    Event::Finish { index: 0, reason }
}

#[tokio::test]
async fn a_chat_and_what_was_sent_for_it() {
    let server = warm(Script::default()).await;
    let events =
        collect(backend(&server).chat(chat(json!({"user": "u"}))).await.expect("accepted")).await.expect("whole");
    assert_eq!(text_of(&events, 0), "I'm glad to make");
    assert_eq!(ending(&events), [finish(FinishReason::Length), Event::Usage(Usage::new(11, 5))]);
    let options = json!({"num_ctx": 4096, "num_predict": 9});
    let expected = json!({"model": "smol", "messages": [{"role": "user", "content": "hi"}], "options": options,
        "truncate": false, "stream": true});
    assert_eq!(server.posted("chat"), [expected]);
    assert_eq!(server.posted("generate"), Vec::<Value>::new(), "it is loaded");
}

#[tokio::test]
async fn transcripts_of_the_real_one() {
    let logprobs = answer(said(fixture!("chat_logprobs.ndjson")), chat(json!({"logprobs": true, "top_logprobs": 2})));
    let logprobs = logprobs.await.expect("whole");
    let Event::Delta(first) = &logprobs[0] else { panic!("{logprobs:?}") };
    let content = &first.logprobs.as_ref().expect("log-probabilities")["content"];
    assert_eq!((&content[0]["token"], &content[0]["bytes"]), (&json!("I"), &json!([73])));
    assert_eq!(content[0]["top_logprobs"].as_array().map(Vec::len), Some(2));

    let schema = json!({"type": "object", "required": ["colour"], "properties": {"colour": {"enum": ["red", "blue"]}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let events = answer(said(fixture!("chat_schema.ndjson")), chat(json!({"response_format": format})));
    let events = events.await.expect("whole");
    let value: Value = serde_json::from_str(&text_of(&events, 0)).expect("json");
    assert!(["red", "blue"].contains(&value["colour"].as_str().expect("a colour")));
    assert_eq!(ending(&events)[0], finish(FinishReason::Stop));

    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]);
    let events = answer(said(fixture!("chat_tools.ndjson")), chat(json!({"tools": tools}))).await.expect("whole");
    let calls = extra_of(&events, "tool_calls");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0][0]["function"], json!({"name": "get_weather", "arguments": r#"{"city":"Paris"}"#}));
    assert_eq!(ending(&events)[0], finish(FinishReason::ToolCalls));

    let events = answer(said(fixture!("chat_thinking.ndjson")), chat(json!({"reasoning_effort": "low"})));
    let events = events.await.expect("whole");
    let thought: String = extra_of(&events, "reasoning_content").iter().filter_map(Value::as_str).collect();
    assert_eq!((thought.as_str(), text_of(&events, 0).as_str()), ("The user wants a.", "b"));
}

/// The transcript's schema asked for a colour, and so does this tool.
#[tokio::test]
async fn a_forced_call_is_asked_for_as_a_schema() {
    let server = warm(said(fixture!("chat_schema.ndjson"))).await;
    let colour = json!({"type": "object", "required": ["colour"], "properties": {"colour": {"enum": ["red", "blue"]}}});
    let tools = json!([{"type": "function", "function": {"name": "paint", "parameters": colour}}]);
    let request = chat(json!({"tools": tools, "tool_choice": "required"}));
    let events = collect(backend(&server).chat(request).await.expect("accepted")).await.expect("whole");
    let calls = extra_of(&events, "tool_calls");
    let function = &calls[0][0]["function"];
    let arguments: Value = serde_json::from_str(function["arguments"].as_str().expect("text")).expect("json");
    assert_eq!((calls.len(), &function["name"]), (1, &json!("paint")));
    assert!(["red", "blue"].contains(&arguments["colour"].as_str().expect("a colour")));
    assert_eq!((text_of(&events, 0).as_str(), &ending(&events)[0]), ("", &finish(FinishReason::ToolCalls)));
    let sent = &server.posted("chat")[0];
    assert_eq!((&sent["format"], sent.get("tools"), &sent["messages"][0]["role"]), (&colour, None, &json!("system")));
}

#[tokio::test]
async fn completions_are_raw_and_several_are_counted_together() {
    let server = warm(said(fixture!("generate.ndjson"))).await;
    let events = collect(backend(&server).complete(completion(&["The sky is", "Snow is"], 2)).await.expect("accepted"));
    let events = events.await.expect("whole");
    let mut finished: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::Finish { index, .. } => Some(*index),
            _ => None,
        })
        .collect();
    finished.sort_unstable();
    assert_eq!(finished, [0, 1, 2, 3]);
    assert_eq!(text_of(&events, 3), text_of(&events, 0));
    assert_eq!(events.last(), Some(&Event::Usage(Usage::new(6, 12))), "3 tokens per prompt, 3 per answer");
    let sent = server.posted("generate");
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|body| body["raw"] == true && body["think"] == false), "{sent:?}");
}

#[tokio::test]
async fn the_window_follows_the_need() {
    for (loaded, request, prompt_tokens, windows) in [
        // A short prompt uses what is loaded, also when that is large.
        (Some(4096), long_chat(5), 5, vec![4096]),
        (Some(8192), long_chat(5), 5, vec![8192]),
        // A long one gets a larger window, which is loaded first (the first of the two).
        (Some(4096), long_chat(4500), 4500, vec![8192, 8192]),
        (Some(8192), long_chat(4500), 4500, vec![8192]),
        (None, long_chat(5), 5, vec![4096, 4096]),
        // It looked shorter than it is: refused, and sent again with a larger window.
        (Some(4096), long_chat(5), 5000, vec![4096, 8192]),
    ] {
        let server = FakeOllama::start(Script { prompt_tokens, ..Script::default() }).await;
        if let Some(window) = loaded {
            server.load("smol:latest", window);
        }
        collect(backend(&server).chat(request).await.expect("accepted")).await.expect("whole");
        let asked = server.posted("generate").into_iter().chain(server.posted("chat"));
        let asked: Vec<Value> = asked.map(|body| body["options"]["num_ctx"].clone()).collect();
        assert_eq!(asked, windows, "{loaded:?} {prompt_tokens}");
    }
}

#[tokio::test]
async fn a_prompt_that_can_not_fit_is_refused_with_the_numbers() {
    // So many words can not fit; nobody has to be asked.
    let server = warm(Script::default()).await;
    let error = backend(&server).chat(long_chat(20_000)).await.err().expect("too long");
    assert_eq!(error.kind(), ErrorKind::ContextLength);
    assert!(error.to_string().contains("at least 10000 tokens") && error.to_string().contains("8192"), "{error}");
    assert_eq!(server.posted("chat"), Vec::<Value>::new());
    // It has to be counted to know.
    let server = warm(Script { prompt_tokens: 9001, ..Script::default() }).await;
    let error = backend(&server).chat(long_chat(5)).await.err().expect("too long");
    assert_eq!(error.kind(), ErrorKind::ContextLength);
    assert!(error.to_string().contains("has 9001 tokens"), "{error}");
    // The configuration has the last word.
    let most = OllamaConfig { max_context: Some(4096), ..OllamaConfig::default() };
    let server = warm(Script { prompt_tokens: 5000, ..Script::default() }).await;
    let limited = OllamaBackend::new("local", &HttpBackendConfig { ollama: most, ..config(&server) }).expect("backend");
    let error = limited.chat(long_chat(5)).await.err().expect("too long");
    assert!(error.to_string().contains("takes 4096"), "{error}");
    assert_eq!(limited.models().await.expect("models")[0].window, Some(4096));
}

#[tokio::test]
async fn an_older_ollama_that_cuts_is_found_out() {
    let cut = r#"{"message":{"content":"x"},"done":true,"done_reason":"stop","prompt_eval_count":2050,"eval_count":1}"#;
    let server = FakeOllama::start(Script { cuts: true, ..said(cut) }).await;
    server.load("smol:latest", 8192);
    let events: Vec<_> = backend(&server).chat(long_chat(5000)).await.expect("accepted").collect().await;
    let error = events.last().expect("an item").clone().expect_err("cut");
    assert!(error.to_string().contains("read only 2050 tokens of a prompt that has at least 2500"), "{error}");
    assert!(!events.iter().any(|event| matches!(event, Ok(Event::Finish { .. }))));
}

#[tokio::test]
async fn a_model_that_is_not_there() {
    let server = FakeOllama::start(Script::default()).await;
    server.remove("smol:latest");
    let error = backend(&server).chat(chat(json!({}))).await.err().expect("missing");
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
    assert!(error.to_string().contains("ollama pull smol"), "{error}");
    assert_eq!(server.posted("pull"), Vec::<Value>::new(), "only when the configuration allows it");
    let embed = EmbedRequest {
        model: "smol".into(),
        input: Prompt::Texts(vec!["a".into()]),
        dimensions: None,
        extra: Map::new(),
    };
    assert_eq!(backend(&server).embed(embed).await.expect_err("missing").kind(), ErrorKind::ModelNotFound);
    // It was there, and is not any more.
    let server = warm(Script::default()).await;
    let backend = backend(&server);
    collect(backend.chat(chat(json!({}))).await.expect("accepted")).await.expect("whole");
    server.remove("smol:latest");
    let error = backend.chat(chat(json!({}))).await.err().expect("missing");
    assert!(error.to_string().contains("ollama pull smol"), "{error}");
}

#[tokio::test]
async fn a_model_is_pulled_when_the_configuration_allows_it() {
    let lines = "{\"status\":\"pulling manifest\"}\n{\"status\":\"pulling 6a\",\"total\":200,\"completed\":100}\n{\"status\":\"success\"}\n";
    for (pull, result) in [(lines, Ok("pulling 6a, 50 %")), (fixture!("pull_failed.ndjson"), Err("no such host"))] {
        let server = FakeOllama::start(Script { pull: pull.to_owned(), ..Script::default() }).await;
        server.remove("smol:latest");
        let ollama = OllamaConfig { pull: true, ..OllamaConfig::default() };
        let models = vec!["smol".to_owned()];
        let backend =
            OllamaBackend::new("local", &HttpBackendConfig { ollama, models, ..config(&server) }).expect("backend");
        assert_eq!(backend.models().await.expect("models")[0].id, "smol", "it can be asked for");
        let events: Vec<_> = backend.chat(chat(json!({}))).await.expect("begun").collect().await;
        let told: Vec<String> = events
            .iter()
            .filter_map(|event| match event {
                Ok(Event::Progress(text)) => Some(text.clone()),
                _ => None,
            })
            .collect();
        match (result, events.last().expect("an item")) {
            (Ok(part), Ok(Event::Usage(_))) => {
                assert!(told.iter().any(|text| text.contains(part)), "{told:?}");
                assert!(told.iter().any(|text| text.contains("loading")), "{told:?}");
            }
            (Err(part), Err(error)) => assert!(error.to_string().contains(part), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_cold_load_is_told_of_and_ends_when_the_caller_leaves() {
    let mut server = FakeOllama::start(Script::default()).await;
    server.may_load.send(false).expect("server");
    let backend = backend(&server);
    let told = Some(Ok(Event::Progress("loading the model 'smol'".to_owned())));
    for stays in [false, true] {
        let mut events = backend.chat(chat(json!({}))).await.expect("begun");
        assert_eq!(events.next().await, told);
        // Only who waits for the answer has the model loaded.
        tokio::select! {
            event = events.next() => panic!("{event:?}"),
            () = server.busy(1) => {}
        }
        if stays {
            server.may_load.send(true).expect("server");
            assert!(matches!(collect(events).await.expect("whole").last(), Some(Event::Usage(_))));
        } else {
            drop(events);
            server.busy(0).await;
        }
    }
    assert_eq!(server.posted("generate").len(), 2);
}

#[tokio::test]
async fn loading_has_a_limit_of_its_own() {
    let server = FakeOllama::start(Script::default()).await;
    server.may_load.send(false).expect("server");
    let timeouts = Timeouts { load: Duration::from_millis(50), ..Timeouts::default() };
    let hasty = OllamaBackend::new("local", &HttpBackendConfig { timeouts, ..config(&server) }).expect("backend");
    let events: Vec<_> = hasty.chat(chat(json!({}))).await.expect("begun").collect().await;
    let error = events.last().expect("an item").clone().expect_err("too slow");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("(load)"), "{error}");
}

#[tokio::test]
async fn a_model_that_is_to_leave_at_once_is_loaded_all_the_same() {
    let server = FakeOllama::start(Script::default()).await;
    let ollama = OllamaConfig { keep_alive: Some(Duration::ZERO), ..OllamaConfig::default() };
    let backend = OllamaBackend::new("local", &HttpBackendConfig { ollama, ..config(&server) }).expect("backend");
    collect(backend.chat(chat(json!({}))).await.expect("begun")).await.expect("whole");
    let keep_alive = |path: &str| server.posted(path)[0].get("keep_alive").cloned();
    // An empty prompt with 0 would mean: unload it.
    assert_eq!((keep_alive("generate"), keep_alive("chat")), (None, Some(json!("0ms"))));
}

#[tokio::test]
async fn leaving_ends_the_answer() {
    let mut server = warm(Script { hangs: true, ..said("{\"message\":{\"content\":\"a\"},\"done\":false}\n") }).await;
    let mut events = backend(&server).chat(chat(json!({}))).await.expect("accepted");
    assert_eq!(events.next().await, Some(Ok(Event::text(0, "a"))));
    server.busy(1).await;
    drop(events);
    server.busy(0).await;
}

#[tokio::test]
async fn answers_that_break_off_are_errors() {
    let line = "{\"message\":{\"content\":\"a\"},\"done\":false}\n";
    for (lines, part) in [
        (format!("{line}{{\"error\":\"model runner has unexpectedly stopped\"}}\n"), "unexpectedly stopped"),
        (line.to_owned(), "ended early"),
        (format!("{line}{{\"message\":{{\"con"), "can not be read"),
        (format!("{line}nonsense\n"), "can not be read"),
        (format!("{line}{{\"message\":{{\"content\":\"\"}},\"done\":true,\"done_reason\":\"unload\"}}\n"), "'unload'"),
    ] {
        let server = warm(said(&lines)).await;
        let events: Vec<_> = backend(&server).chat(chat(json!({}))).await.expect("accepted").collect().await;
        assert_eq!(events[0], Ok(Event::text(0, "a")));
        let error = events.last().expect("an item").clone().expect_err(part);
        assert!(error.kind() == ErrorKind::Upstream && error.to_string().contains(part), "{error}");
    }
    let server = warm(Script { hangs: true, ..said(line) }).await;
    let timeouts = Timeouts { between_chunks: Duration::from_millis(50), ..Timeouts::default() };
    let hasty = OllamaBackend::new("local", &HttpBackendConfig { timeouts, ..config(&server) }).expect("backend");
    let events: Vec<_> = hasty.chat(chat(json!({}))).await.expect("accepted").collect().await;
    assert_eq!(events.last().expect("an item").clone().expect_err("silent").kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn what_ollama_or_the_model_can_not_do_is_named() {
    let server = warm(Script { capabilities: vec!["completion"], ..Script::default() }).await;
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (extra, param) in [(json!({"tools": tools}), "tools"), (json!({"guided_regex": "a"}), "guided_regex")] {
        let error = backend(&server).chat(chat(extra)).await.err().expect(param);
        let Error::InvalidRequest { param: found, .. } = error else { panic!("{error}") };
        assert_eq!(found.as_deref(), Some(param));
    }
    assert_eq!(server.posted("chat"), Vec::<Value>::new());
}

#[tokio::test]
async fn embeddings() {
    let embed = |input: Prompt| EmbedRequest { model: "smol".into(), input, dimensions: Some(4), extra: Map::new() };
    let texts = || embed(Prompt::Texts(vec!["a".to_owned(), "b c".to_owned()]));
    let server = FakeOllama::start(Script { window: 512, ..Script::default() }).await;
    let found = backend(&server).embed(texts()).await.expect("vectors");
    assert_eq!((found.vectors.len(), found.vectors[0].len(), found.prompt_tokens), (2, 4, 7));
    let expected = json!({"model": "smol", "input": ["a", "b c"], "truncate": false, "dimensions": 4, "options": {"num_ctx": 512}});
    assert_eq!(server.posted("embed"), [expected]);
    let error = backend(&server).embed(embed(Prompt::Tokens(vec![vec![1]]))).await.expect_err("tokens");
    assert!(matches!(error, Error::InvalidRequest { param: Some(param), .. } if param == "input"));
    for (status, body, kind) in [
        (400, fixture!("embed_too_long.json"), ErrorKind::ContextLength),
        (500, fixture!("embed_not.json"), ErrorKind::InvalidRequest),
        (200, r#"{"embeddings":[[1]]}"#, ErrorKind::Upstream),
    ] {
        let server = FakeOllama::start(Script { embed: (status, body), ..Script::default() }).await;
        assert_eq!(backend(&server).embed(texts()).await.expect_err(body).kind(), kind);
    }
}

#[tokio::test]
async fn decisions_where_they_are_served() {
    let body = r#"{"model":"smol","state":"s","questions":{"q":{"type":"noul"}}}"#;
    let request = || SystemOneRequest::parse(body.as_bytes()).expect("good");
    let server = FakeOllama::start(Script::default()).await;
    assert!(backend(&server).decide(request()).await.expect_err("older").is_unsupported());
    let systemone = Some(json!({"answers": {"q": {"type": "noul", "answer": true}}}));
    let server = FakeOllama::start(Script { systemone, ..Script::default() }).await;
    let answer = backend(&server).decide(request()).await.expect("answer");
    assert_eq!(answer.answers["q"]["answer"], true);
}

#[tokio::test]
async fn models_and_health() {
    let server = warm(Script::default()).await;
    for url in ["", "/", "/v1", "/v1/", "/api", "/api/"] {
        let config = HttpBackendConfig { url: Some(format!("{}{url}", server.url)), ..config(&server) };
        let backend = OllamaBackend::new("local", &config).expect("backend");
        let models = backend.models().await.expect(url);
        let found = (models[0].id.as_str(), models[0].window, models[0].created);
        assert_eq!(found, ("smol", Some(8192), 1_787_363_302), "{url}");
    }
    let models = vec!["smol:latest".to_owned(), "other".to_owned()];
    let some = OllamaBackend::new("local", &HttpBackendConfig { models, ..config(&server) }).expect("backend");
    let models = some.models().await.expect("models");
    let found: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.window)).collect();
    assert_eq!(found, [("smol:latest", Some(8192)), ("other", None)]);

    let health = backend(&server).health().await;
    assert!(health.reachable && health.version.as_deref() == Some("0.0.0"), "{health:?}");
    let written = serde_json::to_value(&health).expect("json");
    let loaded = &written["loaded"][0];
    assert_eq!((&loaded["name"], &loaded["context_length"]), (&json!("smol:latest"), &json!(4096)));
    assert!(loaded["size_vram"].is_u64() && loaded["expires_at"].is_string(), "{loaded}");
    let url = server.url.clone();
    drop(server);
    let gone = HttpBackendConfig { url: Some(url), dialect: Dialect::Ollama, ..HttpBackendConfig::default() };
    let gone = OllamaBackend::new("local", &gone).expect("backend");
    assert!(!gone.health().await.reachable || gone.models().await.is_err());
}

#[test]
fn options_of_ollama_are_for_ollama() {
    let config = |dialect, ollama| HttpBackendConfig {
        url: Some("http://127.0.0.1:1".to_owned()),
        dialect,
        ollama,
        ..HttpBackendConfig::default()
    };
    let pull = || OllamaConfig { pull: true, ..OllamaConfig::default() };
    assert!(lla_inference::driver::open("a", &config(Dialect::Ollama, pull())).is_ok());
    let error = lla_inference::driver::open("a", &config(Dialect::Vllm, pull())).err().expect("refused");
    assert!(error.to_string().starts_with("backends.a.ollama: "), "{error}");
    let tiny = OllamaConfig { max_context: Some(5), ..OllamaConfig::default() };
    let error = lla_inference::driver::open("a", &config(Dialect::Ollama, tiny)).err().expect("refused");
    assert!(error.to_string().starts_with("backends.a.ollama.max_context: "), "{error}");
}

#[tokio::test]
async fn an_ollama_is_recognised_where_nobody_says_what_it_is() {
    let server = warm(Script::default()).await;
    let unsaid = HttpBackendConfig { url: Some(format!("{}/v1", server.url)), ..HttpBackendConfig::default() };
    let backend = lla_inference::driver::open("local", &unsaid).expect("backend");
    collect(backend.chat(chat(json!({}))).await.expect("accepted")).await.expect("answered");
    let posted = server.posted("chat");
    assert!(posted[0]["options"]["num_ctx"].is_u64(), "{posted:?}");
    assert_eq!(backend.capabilities().server, Some("ollama"));

    // Another server, and one that is away.
    let other = crate::fake_server::FakeServer::start(crate::fake_server::Answer::events(&[])).await;
    for url in [other.url.as_str(), "http://127.0.0.1:1"] {
        let config = HttpBackendConfig { url: Some(url.to_owned()), ..HttpBackendConfig::default() };
        let backend = lla_inference::driver::open("other", &config).expect("backend");
        assert_eq!(backend.models().await.is_ok(), url == other.url);
        assert_ne!(backend.capabilities().server, Some("ollama"));
    }
}
