//! A running `lla serve` with the real model.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::lla;

/// No wait is this long when all is well.
const LIMIT: Duration = Duration::from_secs(120);

/// One gateway at a time: the tests measure order, and the machine may have two cores.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Waits for the turn of this test.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// A gateway, its engine, and the folder of both; ended when dropped.
pub(crate) struct Gateway {
    process: Child,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    home: tempfile::TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

pub(crate) fn model() -> Option<PathBuf> {
    match std::env::var_os("LLA_TEST_MODEL").map(PathBuf::from) {
        Some(path) => {
            assert!(path.is_file(), "LLA_TEST_MODEL names no file: {}", path.display());
            Some(path)
        }
        None => {
            assert!(std::env::var_os("LLA_REQUIRE_MODEL").is_none(), "LLA_TEST_MODEL is not set");
            println!("skipped: LLA_TEST_MODEL is not set");
            None
        }
    }
}

impl Gateway {
    /// Starts one and waits until it is ready; `None` when there is no model to test with.
    pub(crate) async fn start() -> Option<Self> {
        let model = model()?;
        let turn = alone().await;
        // Only the first test of the process can install it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let home = tempfile::tempdir().expect("folder");
        let text =
            format!("[server]\nlisten = \"127.0.0.1:0\"\n[models.m]\npath = {:?}\n", model.to_str().expect("utf-8"));
        std::fs::write(home.path().join("lla.toml"), text).expect("write");
        let address = home.path().join("address");
        let mut command = lla(home.path());
        command.args(["serve", "--log", "warn,lla_inference=info"]).arg("--address-file").arg(&address);
        let process = command.stdout(Stdio::null()).spawn().expect("lla runs");
        let client = reqwest::Client::builder().no_proxy().build().expect("client");
        let mut gateway = Self { process, url: String::new(), client, home, _turn: turn };
        eventually("the address is written", async || address.exists()).await;
        gateway.url = std::fs::read_to_string(&address).expect("address").trim().to_owned();
        eventually("the gateway is ready", async || gateway.is_ready().await).await;
        Some(gateway)
    }

    async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/health/ready", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    pub(crate) async fn health(&self) -> Value {
        let answer = self.client.get(format!("{}/health", self.url)).send().await.expect("health");
        answer.json().await.expect("json")
    }

    /// The engine's process, as `/health` shows it; waits until there is one.
    pub(crate) async fn engine_pid(&self) -> u32 {
        let pid = async || self.health().await["backends"][0]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        eventually("the engine has a process", async || pid().await.is_some()).await;
        pid().await.expect("pid")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.process.try_wait().expect("state").is_none()
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        for _ in 0..LIMIT.as_millis() / 20 {
            if let Some(status) = self.process.try_wait().expect("state") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the gateway does not end");
    }

    /// Sequences that run in the engine, by its own metrics.
    pub(crate) async fn running(&self) -> f64 {
        let metrics = self.engine_metrics().await;
        let line = metrics.lines().find(|line| line.starts_with("vllm:num_requests_running")).expect("the metric");
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    }

    /// `GET /metrics` on the engine's socket, which only this machine's user can reach.
    async fn engine_metrics(&self) -> String {
        let socket = sockets(self.home.path().join("run")).pop().expect("the engine's socket");
        let mut stream = tokio::net::UnixStream::connect(socket).await.expect("connect");
        let request = "GET /metrics HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already; the engine ends as its standard input closes.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn sockets(folder: PathBuf) -> Vec<PathBuf> {
    use std::os::unix::fs::FileTypeExt as _;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("type");
        if kind.is_dir() {
            found.extend(sockets(entry.path()));
        } else if kind.is_socket() {
            found.push(entry.path());
        }
    }
    found
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().expect("kill");
    assert!(status.success());
}

/// Whether the process is there.
pub(crate) fn is_alive(pid: u32) -> bool {
    let status = Command::new("kill").arg("-0").arg(pid.to_string()).stderr(Stdio::null()).status();
    status.expect("kill").success()
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..LIMIT.as_millis() / 20 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain: {what}");
}
