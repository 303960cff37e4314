//! A real Ollama: `OLLAMA_URL`. It needs a model that writes; one that can call tools, one that thinks and one
//! for embeddings are tested where they are there (`docs/backends.md` says how to make them from small files).

use std::time::{Duration, Instant};

use lla_inference::Dialect;
use serde_json::{Value, json};

use crate::answers;
use crate::gateway::{LIMIT, text};

/// A gateway with the Ollama as its only backend.
struct Live(crate::gateway::Live);

impl Live {
    async fn start() -> Option<Self> {
        crate::gateway::Live::over_kind("OLLAMA_URL", Dialect::Ollama).await.map(Self)
    }

    /// The model that can do this and least besides, by the name that callers use.
    async fn model(&self, what: &str) -> Option<String> {
        let tags = self.ask_ollama("api/tags").await;
        let abilities = |model: &Value| model["capabilities"].as_array().cloned().unwrap_or_default();
        let models = tags["models"].as_array().expect("a list").iter();
        let able = models.filter(|model| abilities(model).contains(&json!(what)));
        let plainest = able.min_by_key(|model| abilities(model).len());
        let name = plainest.and_then(|model| model["name"].as_str());
        if name.is_none() {
            println!("skipped: this Ollama has no model with '{what}'");
        }
        name.map(|name| name.trim_end_matches(":latest").to_owned())
    }

    async fn ask_ollama(&self, path: &str) -> Value {
        let response = self.0.client.get(format!("{}/{path}", self.0.server)).send().await.expect("Ollama");
        serde_json::from_str(&response.text().await.expect("text")).expect("JSON")
    }

    /// What Ollama says of a model in its memory.
    async fn loaded(&self, model: &str) -> Value {
        let list = self.ask_ollama("api/ps").await;
        let named =
            |loaded: &&Value| loaded["name"].as_str().map(|name| name.trim_end_matches(":latest")) == Some(model);
        list["models"].as_array().expect("a list").iter().find(named).cloned().unwrap_or_default()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.0.post(path, body).await;
        (answer.status, answer.body)
    }

    async fn chat(&self, model: &str, prompt: &str, fields: Value) -> Value {
        self.0.chat(model, prompt, fields).await.ok()
    }

    async fn refused(&self, model: &str, prompt: &str, fields: Value) -> (u16, Value) {
        let answer = self.0.chat(model, prompt, fields).await;
        (answer.status, answer.body["error"].clone())
    }

    /// The events of a stream without `[DONE]`, and all that was sent.
    async fn stream(&self, model: &str, prompt: &str, fields: Value) -> (Vec<Value>, String) {
        self.0.stream_and_text(model, prompt, fields).await
    }

    /// Has Ollama forget the model.
    async fn unload(&self, model: &str) {
        let body = json!({"model": model, "keep_alive": 0}).to_string();
        let unloading = self.0.client.post(format!("{}/api/generate", self.0.server)).body(body).send();
        assert_eq!(unloading.await.expect("Ollama").status(), 200);
        let gone = async {
            while !self.loaded(model).await.is_null() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, gone).await.expect("it stays in memory");
    }
}

fn counts(usage: &Value) {
    for name in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert!(usage[name].as_u64().is_some_and(|count| count > 0), "{name}: {usage}");
    }
}

fn joined(events: &[Value], field: &str) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"][field].as_str()).collect()
}

#[tokio::test]
async fn ollama_chats_and_streams() {
    let Some(live) = Live::start().await else { return };
    let model = live.model("completion").await.expect("a model that writes");
    live.unload(&model).await;
    let (cold, all) = live.stream(&model, "Say hello.", json!({})).await;
    assert!(all.starts_with(&format!(": loading the model '{model}'")), "{all}");
    assert!(!joined(&cold, "content").is_empty(), "{all}");
    let answer = live.chat(&model, "Say hello.", json!({})).await;
    assert!(!text(&answer).is_empty(), "{answer}");
    assert!(["stop", "length"].contains(&answer["choices"][0]["finish_reason"].as_str().expect("a reason")));
    counts(&answer["usage"]);
    let (events, all) = live.stream(&model, "Say hello.", json!({})).await;
    assert!(!all.contains("loading"), "it is in memory: {all}");
    assert_eq!(joined(&events, "content"), text(&answer), "greedy, so that the pieces are the whole");
    counts(&events.last().expect("events")["usage"]);
    let by_tag = live.chat(&format!("{model}:latest"), "Say hello.", json!({"n": 2})).await;
    assert_eq!(by_tag["choices"].as_array().map(Vec::len), Some(2));
    assert_eq!(by_tag["usage"]["prompt_tokens"], answer["usage"]["prompt_tokens"], "one prompt");
    println!("chat: {:?}", text(&answer));
}

#[tokio::test]
async fn ollama_completes_with_log_probabilities() {
    let Some(live) = Live::start().await else { return };
    let model = live.model("completion").await.expect("a model that writes");
    let body = json!({"model": model, "prompt": ["One, two,", "Red, green,"], "max_tokens": 6, "temperature": 0, "logprobs": 2});
    let (status, answer) = live.post("/v1/completions", &body).await;
    assert_eq!(status, 200, "{answer}");
    let choices = answer["choices"].as_array().expect("choices");
    assert_eq!(choices.len(), 2);
    assert!(
        choices.iter().all(|choice| !choice["logprobs"]["tokens"].as_array().expect("tokens").is_empty()),
        "{answer}"
    );
    let chat = live.chat(&model, "Say hello.", json!({"logprobs": true, "top_logprobs": 3, "max_tokens": 4})).await;
    let tokens = chat["choices"][0]["logprobs"]["content"].as_array().expect("tokens");
    assert!(!tokens.is_empty());
    assert!(tokens.iter().all(|token| token["logprob"].as_f64().is_some_and(|value| value <= 0.0)), "{chat}");
}

#[tokio::test]
async fn ollama_holds_to_a_schema() {
    let Some(live) = Live::start().await else { return };
    let model = live.model("completion").await.expect("a model that writes");
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": false,
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema}});
    let answer = live.chat(&model, "Ada is 36 years old.", json!({"response_format": format, "max_tokens": 100})).await;
    let said: Value = serde_json::from_str(text(&answer)).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert!(jsonschema::is_valid(&schema, &said), "{said}");
    println!("schema: {said}");
}

#[tokio::test]
async fn ollama_calls_tools() {
    let Some(live) = Live::start().await else { return };
    let Some(model) = live.model("tools").await else { return };
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": parameters}}]);
    let fields = json!({"tools": tools, "max_tokens": 60});
    let answer = live.chat(&model, "What is the weather in Paris?", fields.clone()).await;
    let (events, _) = live.stream(&model, "What is the weather in Paris?", fields.clone()).await;
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    if call.is_null() {
        println!("tools: the model wrote prose instead: {:?}", text(&answer));
    } else {
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        let arguments: Value =
            serde_json::from_str(call["function"]["arguments"].as_str().expect("text")).expect("JSON");
        assert!(arguments.is_object() && call["id"].is_string() && call["type"] == "function", "{call}");
        let streamed = events.iter().find_map(|event| event["choices"][0]["delta"]["tool_calls"][0].as_object());
        assert_eq!(streamed.expect("a call")["function"], call["function"]);
        // What the tool said goes back.
        let messages = json!([
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
        ]);
        live.chat(&model, "", json!({"messages": messages, "tools": tools})).await;
        println!("tools: {call}");
    }
}

/// Also by a model whose template knows no tools, and whichever it is of several.
#[tokio::test]
async fn ollama_makes_forced_calls() {
    let Some(live) = Live::start().await else { return };
    let Some(model) = live.model("completion").await else { return };
    answers::must_call_tools(&live.0, &model).await;
    answers::must_call_one_of(&live.0, &model).await;
}

#[tokio::test]
async fn ollama_thinks() {
    let Some(live) = Live::start().await else { return };
    let Some(model) = live.model("thinking").await else { return };
    let (events, _) = live.stream(&model, "Say b.", json!({"max_tokens": 60})).await;
    println!("thinking: {:?}, then {:?}", joined(&events, "reasoning_content"), joined(&events, "content"));
    assert!(!joined(&events, "reasoning_content").is_empty(), "{events:?}");
    let off = live.chat(&model, "Say b.", json!({"reasoning_effort": "none"})).await;
    assert!(off["choices"][0]["message"].get("reasoning_content").is_none(), "{off}");
}

#[tokio::test]
async fn ollama_embeds() {
    let Some(live) = Live::start().await else { return };
    let Some(model) = live.model("embedding").await else { return };
    let (status, answer) = live.post("/v1/embeddings", &json!({"model": model, "input": ["a cat", "a kitten"]})).await;
    assert_eq!(status, 200, "{answer}");
    let vectors = answer["data"].as_array().expect("vectors");
    let length = |vector: &Value| vector["embedding"].as_array().expect("numbers").len();
    assert!(vectors.len() == 2 && length(&vectors[0]) > 8 && length(&vectors[0]) == length(&vectors[1]));
    let long = json!({"model": model, "input": "word ".repeat(40_000)});
    let (status, refused) = live.post("/v1/embeddings", &long).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("context_length_exceeded")), "{refused}");
    println!("embeddings: {} numbers; too long: {}", length(&vectors[0]), refused["error"]["message"]);
}

/// Ollama's own default would cut this prompt to about 2,000 tokens.
#[tokio::test]
async fn ollama_reads_a_long_prompt_from_its_first_sentence() {
    let Some(live) = Live::start().await else { return };
    let model = live.model("completion").await.expect("a model that writes");
    let prompt = format!("The password is swordfish. {}What is the password?", "We walk on. ".repeat(1050));
    let words = prompt.split_whitespace().count() as u64;
    assert!(words > 0 && prompt.len() > 4096);
    let answer = live.chat(&model, &prompt, json!({"max_tokens": 8})).await;
    let read = answer["usage"]["prompt_tokens"].as_u64().expect("a count");
    let window = live.loaded(&model).await["context_length"].as_u64().expect("a window");
    println!("long prompt: {words} words, {read} tokens read, window {window}, answer {:?}", text(&answer));
    assert!(read > 4096, "{answer}");
    assert!(read > words + words / 4, "each sentence of three words has four tokens: nothing is missing");
    assert!(window >= read + 8, "and there was room for the answer");
    // The window stays when a short prompt follows.
    live.chat(&model, "Say hello.", json!({})).await;
    assert_eq!(live.loaded(&model).await["context_length"], window);
}

#[tokio::test]
async fn ollama_refuses_well() {
    let Some(live) = Live::start().await else { return };
    let model = live.model("completion").await.expect("a model that writes");
    let window =
        live.ask_ollama("api/tags").await["models"][0]["details"]["context_length"].as_u64().unwrap_or(200_000);
    let words = usize::try_from(window).expect("a size") + 100;
    let long = live.refused(&model, &"word ".repeat(words), json!({})).await;
    assert_eq!((long.0, &long.1["code"]), (400, &json!("context_length_exceeded")), "{}", long.1);
    println!("too long: {}", long.1["message"]);
    let bias = live.refused(&model, "Hi", json!({"logit_bias": {"5": 1}})).await;
    assert_eq!((bias.0, &bias.1["param"]), (400, &json!("logit_bias")));
    let image =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}]}]);
    let image = live.refused(&model, "", json!({"messages": image})).await;
    assert_eq!((image.0, &image.1["param"]), (400, &json!("messages[0].content[0].image_url.url")));
}

#[tokio::test]
async fn ollama_stops_when_the_caller_leaves() {
    let Some(live) = Live::start().await else { return };
    let model = live.model("completion").await.expect("a model that writes");
    live.chat(&model, "Say hello.", json!({})).await;
    let list = json!({"type": "object", "required": ["list"], "properties": {"list": {"type": "array", "minItems": 900, "items": {"type": "integer"}}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "list", "schema": list}});
    let mut stream = live.0.open(&model, "Count.", json!({"response_format": format, "max_tokens": 3000})).await;
    assert!(stream.chunk().await.expect("a chunk").is_some());
    // Ollama sets this time when a request ends, which 900 numbers are far from.
    let at_work = live.loaded(&model).await["expires_at"].clone();
    assert!(stream.chunk().await.expect("a chunk").is_some());
    assert_eq!(live.loaded(&model).await["expires_at"], at_work);
    drop(stream);
    let since = Instant::now();
    let let_go = async {
        while live.loaded(&model).await["expires_at"] == at_work {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, let_go).await.expect("Ollama goes on");
    println!("abort: Ollama ended an answer of at least 1,800 tokens {:?} after its caller left", since.elapsed());
}

#[tokio::test]
async fn ollama_health_tells_what_is_loaded() {
    let Some(live) = Live::start().await else { return };
    let model = live.model("completion").await.expect("a model that writes");
    live.chat(&model, "Say hello.", json!({})).await;
    let health = live.0.backend().await["health"].clone();
    let loaded = health["loaded"].as_array().expect("a list").clone();
    let found = loaded.iter().find(|loaded| loaded["name"] == json!(format!("{model}:latest"))).expect("it is loaded");
    assert!(
        found["context_length"].is_u64() && found["expires_at"].is_string() && found["size_vram"].is_u64(),
        "{found}"
    );
    println!("health: {health}");
}
