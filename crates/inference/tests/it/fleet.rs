//! The fleet with real processes: start, death, restart, idle stop, failure and hang at start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lla_inference::fleet::{BackendStatus, ModelState};
use lla_inference::mock::collect;
use lla_inference::{EngineModelConfig, Error, ErrorKind, Event, Fleet, FleetConfig, Route, StartPolicy, Target};

use crate::driver::chat_request;
use crate::fake_engine::{Launcher, Mode};

/// A fleet of one model `m`, and the folder that goes with it.
struct Case {
    fleet: Arc<Fleet>,
    launcher: Arc<Launcher>,
    _folder: tempfile::TempDir,
}

impl Case {
    fn new(mode: Mode, change: impl FnOnce(&mut EngineModelConfig)) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut model = EngineModelConfig {
            path: Some("/no/file/is/read.gguf".into()),
            start: StartPolicy::OnFirstUse,
            ..EngineModelConfig::default()
        };
        change(&mut model);
        let models = BTreeMap::from([("m".to_owned(), model)]);
        let config = FleetConfig { models, run_dir: folder.path().join("run"), ..FleetConfig::default() };
        let launcher = Arc::new(Launcher::new(mode));
        let fleet = Fleet::new(config, Arc::clone(&launcher) as _).expect("fleet");
        Self { fleet, launcher, _folder: folder }
    }

    async fn ask(&self, model: &str) -> Result<lla_inference::EventStream, Error> {
        let (backend, public_name) = ("m".to_owned(), "m".to_owned());
        let target = Target { backend, model: model.to_owned(), public_name, tier: None, rank: 0 };
        let route = Route::to(target, "named");
        Ok(self.fleet.chat(&route, chat_request(model)).await?.value)
    }

    async fn answer(&self) -> Result<Vec<Event>, Error> {
        collect(self.ask("m").await?).await
    }

    async fn status(&self) -> BackendStatus {
        self.fleet.health().await.remove(0)
    }

    fn state(&self) -> ModelState {
        self.fleet.snapshot().models[0].state.clone()
    }

    async fn reach(&self, wanted: &str) {
        let reached = async {
            while self.state().as_str() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap_or_else(|_| {
            panic!("{wanted} was not reached, it is {:?}", self.state());
        });
    }
}

fn kill(pid: u32) {
    let status = std::process::Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().expect("sh");
    assert!(status.success());
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn the_first_request_starts_one_engine_for_all_who_wait() {
    let case = Case::new(Mode::Serve, |_| ());
    assert_eq!(case.state(), ModelState::Stopped);
    assert_eq!(case.launcher.starts(), 0);
    let answers = futures_util::future::join_all((0..8).map(|_| case.answer())).await;
    for answer in answers {
        assert_eq!(answer.expect("answer")[0], Event::text(0, "a"));
    }
    let status = case.status().await;
    assert_eq!((case.launcher.starts(), status.restarts), (1, 0));
    assert_eq!((status.kind, status.state, status.health.reachable), ("engine", ModelState::Ready, true));
    assert_eq!(case.fleet.snapshot().models[0].window, Some(256));
    let pid = status.pid.expect("pid");
    case.fleet.shutdown(Duration::from_secs(20)).await;
    assert!(!is_alive(pid));
    assert_eq!(case.answer().await.expect_err("closed").kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_engine_that_is_killed_is_replaced_and_its_streams_end_with_an_error() {
    let case = Case::new(Mode::Serve, |model| model.start = StartPolicy::AtStart);
    case.reach("ready").await;
    let mut stream = case.ask("endless").await.expect("accepted");
    assert_eq!(stream.next().await, Some(Ok(Event::text(0, "a"))));
    let first = case.status().await.pid.expect("pid");
    kill(first);
    // Both at once: the open stream is told, and the next request gets a new engine.
    let error = stream.next().await.expect("an item").expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Upstream);
    assert!(error.to_string().contains("'m'"), "{error}");
    assert_eq!(stream.next().await, None);
    assert_eq!(case.answer().await.expect("from the new engine")[0], Event::text(0, "a"));
    let status = case.status().await;
    assert_eq!(status.restarts, 1);
    assert_ne!(status.pid, Some(first));
}

#[tokio::test]
async fn an_unused_engine_stops_and_the_next_request_starts_it_again() {
    let case = Case::new(Mode::Serve, |model| model.idle_timeout = Some(Duration::from_millis(100)));
    let mut stream = case.ask("endless").await.expect("accepted");
    assert_eq!(stream.next().await, Some(Ok(Event::text(0, "a"))));
    let pid = case.status().await.pid.expect("pid");
    // In use for longer than the limit.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((case.state(), is_alive(pid)), (ModelState::Ready, true));
    drop(stream);
    case.reach("stopped").await;
    assert_eq!(case.answer().await.expect("answer")[0], Event::text(0, "a"));
    assert_eq!((case.launcher.starts(), case.status().await.restarts), (2, 0));
}

#[tokio::test]
async fn a_start_that_fails_is_told_to_those_who_wait_and_tried_again() {
    let case = Case::new(Mode::Fail, |_| ());
    let error = case.answer().await.expect_err("no engine");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("ended while it was loading (exit status: 101)"), "{error}");
    assert!(error.retry_after().is_some());
    assert!(case.state().is_failed());
    let health = case.status().await.health;
    assert!(health.message.expect("message").contains("exit status: 101"));
    // The pause is short: the next request waits for the next attempt.
    case.launcher.set_mode(Mode::Serve);
    assert_eq!(case.answer().await.expect("answer")[0], Event::text(0, "a"));
    assert_eq!(case.launcher.starts(), 2);
}

#[tokio::test]
async fn a_start_that_hangs_is_given_up() {
    let case = Case::new(Mode::Hang, |model| model.load_timeout = Duration::from_millis(200));
    let error = case.answer().await.expect_err("no engine");
    assert!(error.to_string().contains("not ready within 200ms"), "{error}");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_told() {
    struct Missing;
    impl lla_inference::Launch for Missing {
        fn command(&self, _: &str, _: &EngineModelConfig, _: &Path) -> tokio::process::Command {
            tokio::process::Command::new("/no/such/program")
        }
    }
    let folder = tempfile::tempdir().expect("folder");
    let model = EngineModelConfig { path: Some("m".into()), ..EngineModelConfig::default() };
    let config = FleetConfig {
        models: BTreeMap::from([("m".to_owned(), model)]),
        run_dir: folder.path().join("run"),
        ..FleetConfig::default()
    };
    let fleet = Fleet::new(config, Arc::new(Missing)).expect("fleet");
    let route = lla_inference::route::route("auto", None, &fleet.snapshot()).expect("route");
    let error = fleet.chat(&route, chat_request("m")).await.map(drop).expect_err("no program");
    assert!(error.to_string().contains("can not be started"), "{error}");
}

#[tokio::test]
async fn an_engine_that_does_not_end_is_killed_after_the_grace() {
    let case = Case::new(Mode::Stubborn, |model| model.start = StartPolicy::AtStart);
    case.reach("ready").await;
    let pid = case.status().await.pid.expect("pid");
    case.fleet.shutdown(Duration::from_millis(50)).await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn engines_do_not_outlive_a_dropped_fleet() {
    let case = Case::new(Mode::Serve, |model| model.start = StartPolicy::AtStart);
    case.reach("ready").await;
    let pid = case.status().await.pid.expect("pid");
    drop(case);
    let ended = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("ended");
}
