//! The shell commands and `lla mcp` against a gateway over a mock: output, exit codes, files.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use lla_gateway::{AppState, Build, ServerConfig, serve};
use lla_inference::{Fleet, MockBackend, ScoreItem, ScorePrompt, Script};
use serde_json::{Value, json};

use crate::support::{lla, run};

/// A gateway in this process; it ends with the runtime.
struct Gateway {
    url: String,
    mock: Arc<MockBackend>,
    home: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Gateway {
    fn saying(text: &str) -> Self {
        Self::over(MockBackend::new("mock").with_script(Script::text(text)))
    }

    fn over(mock: MockBackend) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
        let mock = Arc::new(mock);
        let backend = Arc::clone(&mock);
        let url = runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
            let url = format!("http://{}", listener.local_addr().expect("address"));
            let build = Build { version: "1".to_owned(), commit: None, features: Vec::new() };
            let fleet = Fleet::from_backends(vec![backend]);
            let state = AppState::new(ServerConfig::default(), fleet, build).expect("configuration");
            tokio::spawn(serve(listener, state, std::future::pending()));
            url
        });
        Self { url, mock, home: tempfile::tempdir().expect("folder"), _runtime: runtime }
    }

    fn lla(&self, arguments: &[&str]) -> Command {
        let mut command = lla(self.home.path());
        command.args(arguments).env("LLA_URL", &self.url);
        command
    }

    /// Standard output without its last line end, and the exit code.
    fn run(&self, arguments: &[&str]) -> (String, i32) {
        let (stdout, stderr, code) = run(&mut self.lla(arguments));
        assert_eq!(stderr.is_empty(), code == 0, "only failures have something to say: {stderr}");
        (stdout.trim_end_matches('\n').to_owned(), code)
    }
}

/// Runs a command with something on its standard input.
fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lla");
    child.stdin.take().expect("pipe").write_all(input.as_bytes()).expect("write");
    child.wait_with_output().expect("output")
}

#[test]
fn answers_are_plain_or_json_and_exit_codes_say_yes_or_no() {
    let gateway = Gateway::saying(r#"{"label": "spam"}"#);
    let classify = ["classify", "--text", "buy now", "--label", "spam=advertising", "--label", "ham"];
    let with = |more: &[&'static str]| gateway.run(&[&classify[..], more].concat());
    assert_eq!(with(&[]), ("spam".to_owned(), 0));
    assert_eq!(with(&["--expect", "spam"]).1, 0);
    assert_eq!(with(&["--expect", "ham"]), ("spam".to_owned(), 1));
    assert_eq!(with(&["--expect", "eggs"]).1, 64);
    let result: Value = serde_json::from_str(&with(&["--json"]).0).expect("JSON");
    assert_eq!((&result["label"], &result["scores"]), (&json!("spam"), &json!({"spam": 1.0, "ham": 0.0})));

    let gateway = Gateway::saying("no label at all");
    assert_eq!(gateway.run(&classify), (String::new(), 1), "abstained");

    let gateway = Gateway::saying(r#"{"total": 9}"#);
    let schema = r#"{"type": "object", "properties": {"total": {"type": "integer"}}}"#;
    let extract = ["extract", "--schema", schema, "--text", "in total 7 or 8"];
    assert_eq!(gateway.run(&extract), ("{\n  \"total\": 9\n}".to_owned(), 0));
    assert_eq!(gateway.run(&[&extract[..], &["--strict"]].concat()).1, 1, "9 is not in the text");

    let rewrite = ["rewrite", "--style", "formal", "--text", "gimme 3 boxes", "--keep"];
    assert_eq!(gateway.run(&[&rewrite[..], &["boxes"]].concat()), ("Give me 3 boxes.".to_owned(), 0));
    assert_eq!(gateway.run(&[&rewrite[..], &["gimme 3"]].concat()).0, "gimme 3 boxes.", "what must stay stays");
}

/// Likes the labels that stand in the first line of the text, which is a list of them.
fn reader(item: &ScoreItem, label: &str) -> Vec<f32> {
    let ScorePrompt::Chat { messages, .. } = &item.prompt else { unreachable!("no chat") };
    let text = messages[0].text_content().expect("text");
    let liked = text.lines().next().expect("a line").split(' ').any(|word| word == label.trim());
    vec![if liked { -0.1 } else { -6.0 }]
}

#[test]
fn decisions_are_words_and_exit_codes() {
    let gateway = Gateway::over(MockBackend::new("mock").with_scorer(reader));
    let decide = |text: &str, more: &[&str]| gateway.run(&[&["decide", "--text", text][..], more].concat());
    assert_eq!(decide("true", &["-p", "It rains."]), ("yes".to_owned(), 0));
    assert_eq!(decide("false", &["-p", "It rains."]), ("no".to_owned(), 0), "no is an answer");
    assert_eq!(decide("false", &["-p", "It rains.", "--expect", "yes"]), ("no".to_owned(), 1));
    assert_eq!(decide("b", &["-c", "a=first,b,c", "Which?", "--expect", "b,c"]), ("b".to_owned(), 0));
    assert_eq!(decide("4", &["-s", "1..5", "How bad?", "--expect", "4.."]), ("4".to_owned(), 0));
    assert_eq!(decide("2", &["-s", "1..5", "How bad?", "--expect", "4.."]), ("2".to_owned(), 1));
    assert_eq!(decide("a b", &["-c", "a,b", "Which?", "--threshold", "0.9"]), (String::new(), 1), "not sure");

    let listed = r#"[{"type": "predicate", "name": "wet", "instructions": "It rains."}]"#;
    let several = ["-s", "low,mid,high", "How hot?", "--questions", listed];
    assert_eq!(decide("high true", &several), ("How hot?\thigh\nwet\tyes".to_owned(), 0));
    let both =
        |first, second| decide("high true", &[&several[..], &["--expect", first, "--expect", second]].concat()).1;
    assert_eq!((both("mid..high", "yes"), both("high", "no"), both("low", "yes")), (0, 1, 1));
    let (json, code) = decide("high true", &[&several[..], &["--json"]].concat());
    let result: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &result["method"], &result["answers"][1]["name"]), (0, &json!("scored"), &json!("wet")));

    for wrong in [
        &["-p", "It rains.", "--expect", "maybe"][..],
        &["-p", "It rains.", "--expect", "yes", "--expect", "yes"],
        &["-p", ""],
        &["-c", "a", "Which?"],
        &["-c", "a,a", "Which?"],
        &["-s", "5..1", "How bad?"],
        &["--questions", "{}"],
        &["-p", "It rains.", "--threshold", "2"],
        &["-p", "It rains.", "--model", "none"],
        &[],
    ] {
        assert_eq!(decide("true", wrong).1, 64, "{wrong:?}");
    }
}

#[test]
fn text_comes_from_standard_input_or_files() {
    let gateway = Gateway::saying("short");
    let output = with_input(&mut gateway.lla(&["summarize"]), "It came from a pipe.");
    assert_eq!((output.stdout.as_slice(), output.status.code()), (b"It came from a pipe.\n".as_slice(), Some(0)));

    std::fs::write(gateway.home.path().join("a.txt"), "alpha").expect("write");
    std::fs::write(gateway.home.path().join("b.txt"), "beta").expect("write");
    let (result, code) = gateway.run(&["summarize", "a.txt", "b.txt", "--json"]);
    assert_eq!(code, 0);
    let result: Value = serde_json::from_str(&result).expect("JSON");
    let summary = result["summary"].as_str().expect("text");
    assert!(summary.contains("alpha") && summary.contains("beta"), "{summary}");
    assert_eq!(result["files_read"], json!([{"path": "a.txt", "bytes": 5}, {"path": "b.txt", "bytes": 4}]));
}

#[test]
fn what_can_not_be_done_has_its_exit_code() {
    let gateway = Gateway::saying("short");
    for (arguments, code) in [
        (vec!["summarize", "none.txt"], 64),
        (vec!["summarize", "/dev/zero"], 64),
        (vec!["summarize", "--text", "t", "--max-words", "1"], 64),
        (vec!["summarize", "--text", "t", "a.txt"], 64),
        (vec!["classify", "--text", "t", "--label", "one"], 64),
        (vec!["extract", "--text", "t", "--schema", "{"], 64),
        (vec!["rewrite", "--text", "t"], 64),
        (vec!["summarize", "--text", "t", "--url", "http://127.0.0.1:1"], 69),
    ] {
        assert_eq!(gateway.run(&arguments).1, code, "{arguments:?}");
    }
    assert_eq!(gateway.mock.chats().len(), 0);
    let empty = with_input(&mut gateway.lla(&["summarize"]), "");
    assert_eq!(empty.status.code(), Some(64), "{}", String::from_utf8_lossy(&empty.stderr));
}

#[test]
fn a_pipe_with_mcp_messages_gets_its_answers() {
    let gateway = Gateway::saying("short");
    std::fs::write(gateway.home.path().join("a.txt"), "alpha").expect("write");
    let client = json!({"name": "t", "version": "1"});
    let messages = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": {"name": "summarize", "arguments": {"path": "a.txt"}}}),
    ];
    let input: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let output = with_input(&mut gateway.lla(&["mcp", "--root", "."]), &input);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .expect("utf-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let result = &answers.iter().find(|answer| answer["id"] == 2).expect("an answer")["result"]["structuredContent"];
    assert_eq!(result["summary"], "alpha.");
    assert_eq!(result["files_read"], json!([{"path": "a.txt", "bytes": 5}]));
}

#[test]
fn a_clients_configuration_is_shown_or_written() {
    let home = tempfile::tempdir().expect("folder");
    let install = |arguments: &[&str]| {
        let mut command = lla(home.path());
        command.env("HOME", home.path()).env_remove("CODEX_HOME").args(["mcp", "install"]).args(arguments);
        run(&mut command)
    };
    let (shown, hint, code) = install(&["cursor"]);
    assert_eq!(
        (code, serde_json::from_str::<Value>(&shown).expect("JSON")["mcpServers"]["lla"]["args"][0].clone()),
        (0, json!("mcp"))
    );
    assert!(hint.contains(".cursor/mcp.json"), "{hint}");
    assert!(!home.path().join(".cursor").exists(), "showing writes nothing");

    let file = home.path().join("settings.json");
    std::fs::write(&file, "{\n  // mine\n  \"theme\": \"dark\"\n}\n").expect("write");
    let path = file.to_str().expect("utf-8");
    assert_eq!(install(&["zed", "--write", "--file", path]).2, 0);
    let written = std::fs::read_to_string(&file).expect("read");
    assert!(
        written.starts_with("{\n  // mine\n  \"theme\": \"dark\"") && written.contains("context_servers"),
        "{written}"
    );
    assert!(install(&["zed", "--write", "--file", path]).0.contains("has it already"));

    assert_eq!(install(&["codex", "--write"]).2, 0);
    assert!(Path::new(&home.path().join(".codex/config.toml")).is_file());
    std::fs::write(&file, "{").expect("write");
    assert_eq!(install(&["zed", "--write", "--file", path]).2, 64);
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "{");
}
