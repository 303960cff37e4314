//! The fleet with servers that run by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use lla_inference::fleet::ModelState;
use lla_inference::mock::NoEngines;
use lla_inference::route::route;
use lla_inference::{Backend, ErrorKind, Fleet, FleetConfig, HttpBackendConfig, MockBackend, Script, Tier};

use crate::driver::chat_request;
use crate::fake_server::{Answer, FakeServer};

fn fleet(backends: BTreeMap<String, HttpBackendConfig>) -> Arc<Fleet> {
    let config = FleetConfig { backends, ..FleetConfig::default() };
    Fleet::new(config, Arc::new(NoEngines)).expect("fleet")
}

#[tokio::test]
async fn mocks_are_there_at_once_and_the_same_name_twice_is_one_model() {
    let one = Arc::new(MockBackend::new("one").with_models(&["m", "a"]));
    let two = Arc::new(MockBackend::new("two").with_models(&["m"]).with_script(Script::text("two")));
    let fleet = Fleet::from_backends(vec![Arc::clone(&one) as Arc<dyn Backend>, Arc::clone(&two) as Arc<dyn Backend>]);
    let snapshot = fleet.snapshot();
    let ids: Vec<&str> = snapshot.models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["m", "a"]);
    assert_eq!(snapshot.models[0].replicas.len(), 2);
    let route = route("two/m", None, &snapshot).expect("route");
    drop(fleet.chat(&route, chat_request("two/m")).await.expect("accepted"));
    assert_eq!((one.chats().len(), two.chats().len()), (0, 1));
    assert_eq!(two.chats()[0].model, "m");
}

#[tokio::test]
async fn a_server_that_goes_is_listed_as_failed_and_comes_back() {
    let server = FakeServer::start(Answer::events(&[])).await;
    let config = HttpBackendConfig { url: Some(server.url.clone()), tier: Some(Tier::Main), ..Default::default() };
    let fleet = fleet(BTreeMap::from([("far".to_owned(), config)]));
    fleet.refresh().await;
    let ready = route("m", None, &fleet.snapshot()).expect("route");
    assert_eq!((ready.first().backend.as_str(), ready.first().tier), ("far", Some(Tier::Main)));
    assert_eq!(fleet.snapshot().models[0].state, ModelState::Ready);
    assert!(fleet.health().await[0].health.reachable);

    drop(server);
    let refused = loop {
        match fleet.chat(&ready, chat_request("m")).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => break error,
            // The aborted listener may take a moment to go.
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(refused.to_string().contains("'far'"), "{refused}");
    assert!(fleet.snapshot().models[0].state.is_failed());
    assert_eq!(fleet.snapshot().models.len(), 2, "still listed");
    assert!(fleet.health().await[0].state.is_failed());
}

#[tokio::test]
async fn the_health_of_a_fleet_is_written_as_json() {
    let fleet = Fleet::from_backends(vec![Arc::new(MockBackend::new("one"))]);
    let json = serde_json::to_value(fleet.health().await).expect("json");
    let expected = serde_json::json!([{"name": "one", "kind": "custom", "state": "ready", "models": ["one"],
        "restarts": 0, "breaker": "closed", "in_flight": 0, "outstanding_tokens": 0, "ejected": false, "health": {"reachable": true}}]);
    assert_eq!(json, expected);
}
