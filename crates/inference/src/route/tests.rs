use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::fleet::ModelState;

fn model(id: &str, backend: &str, tier: Option<Tier>, state: ModelState) -> FleetModel {
    FleetModel {
        id: id.to_owned(),
        replicas: vec![Replica { backend: backend.to_owned(), model: id.to_owned(), state: state.clone() }],
        tier,
        window: None,
        created: 0,
        owned_by: "lla".to_owned(),
        parent: None,
        state,
    }
}

fn failed() -> ModelState {
    ModelState::Failed { message: "broken".to_owned() }
}

fn fleet() -> Snapshot {
    let models = vec![
        model("tiny", "tiny", Some(Tier::Small), ModelState::Stopped),
        model("quick", "quick", Some(Tier::Small), ModelState::Ready),
        model("big", "gpu", Some(Tier::Main), failed()),
        model("plain", "gpu", None, ModelState::Ready),
    ];
    let mut fleet = Snapshot { models, ..Snapshot::default() };
    let other = Replica { backend: "other".to_owned(), model: "plain".to_owned(), state: ModelState::Ready };
    fleet.models[3].replicas.push(other);
    fleet
}

/// `backend/model` of every target with its rank.
fn targets(route: &Route) -> Vec<(String, usize)> {
    route.targets.iter().map(|target| (format!("{}/{}", target.backend, target.model), target.rank)).collect()
}

#[test]
fn names_lead_to_models() {
    let table: &[(&str, Option<Tier>, &str, &str)] = &[
        ("tiny", None, "tiny", "named"),
        ("tiny", Some(Tier::Main), "tiny", "named"),
        ("big", None, "big", "named"),
        ("gpu/plain", None, "plain", "named"),
        ("other/plain", None, "plain", "named"),
        ("small", None, "quick", "tier"),
        ("main", None, "quick", "tier_fallback"),
        ("auto", None, "quick", "auto"),
        ("auto", Some(Tier::Small), "quick", "auto"),
    ];
    for (requested, tier, public_name, reason) in table {
        let route = route(requested, *tier, &fleet()).expect(requested);
        assert_eq!((route.first().public_name.as_str(), route.reason), (*public_name, *reason), "{requested}");
    }
}

#[test]
fn the_tag_that_every_model_of_ollama_has_may_be_left_out() {
    let mut fleet = fleet();
    fleet.models.push(model("smol:latest", "ollama", None, ModelState::Ready));
    fleet.models.push(model("smol:1b", "ollama", None, ModelState::Ready));
    for (requested, public_name) in [
        ("smol", Some("smol:latest")),
        ("smol:latest", Some("smol:latest")),
        ("ollama/smol", Some("smol:latest")),
        ("smol:1b", Some("smol:1b")),
        ("tiny:latest", Some("tiny")),
        ("smol:2b", None),
        ("latest", None),
    ] {
        let found = route(requested, None, &fleet);
        assert_eq!(found.as_ref().ok().map(|route| route.first().public_name.as_str()), public_name, "{requested}");
    }
}

#[test]
fn one_model_answers_to_every_tier_even_when_it_failed() {
    let only = Snapshot { models: vec![model("only", "only", None, failed())], ..Snapshot::default() };
    for name in ["only", "small", "main", "auto"] {
        assert_eq!(route(name, None, &only).expect(name).first().backend, "only");
    }
    assert!(route("auto", None, &Snapshot::default()).is_err());
}

#[test]
fn a_model_may_be_called_like_a_tier() {
    let mut fleet = fleet();
    fleet.models.push(model("main", "x", None, ModelState::Ready));
    assert_eq!(route("main", None, &fleet).expect("main").first().backend, "x");
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    let error = route("Quikc", None, &fleet()).expect_err("unknown");
    assert_eq!(error, Error::ModelNotFound { model: "Quikc".to_owned(), nearest: vec!["quick".to_owned()] });
    let error = route("zzz", None, &fleet()).expect_err("unknown");
    assert_eq!(error, Error::ModelNotFound { model: "zzz".to_owned(), nearest: vec![] });
}

#[test]
fn a_model_on_several_backends_is_shared_and_one_of_them_can_be_named() {
    let both = route("plain", None, &fleet()).expect("route");
    assert_eq!(targets(&both), [("gpu/plain".to_owned(), 0), ("other/plain".to_owned(), 0)]);
    let one = route("other/plain", None, &fleet()).expect("route");
    assert_eq!(targets(&one), [("other/plain".to_owned(), 0)]);
    let tier = route("small", None, &fleet()).expect("route");
    let order: Vec<String> = targets(&tier).into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, ["quick/quick", "tiny/tiny", "gpu/plain", "other/plain", "gpu/big"], "the failed one last");
    assert_eq!(tier.of_one_model().targets.len(), 1);
}

#[test]
fn a_configured_route_is_a_list_to_go_along() {
    let config = |backends: &[&str]| RouteConfig {
        backends: backends.iter().map(|name| (*name).to_owned()).collect(),
        ..RouteConfig::default()
    };
    let routed = |name: &str, backends: &[&str], asked: &str| {
        let routes = Arc::new(BTreeMap::from([(name.to_owned(), config(backends))]));
        route(asked, None, &Snapshot { routes, ..fleet() })
    };
    let at = |name: &str, rank| (name.to_owned(), rank);
    let found = routed("main", &["gpu", "tiny"], "auto").expect("route");
    assert_eq!((targets(&found), found.reason), (vec![at("gpu/big", 0), at("tiny/tiny", 1)], "route"));
    let found = routed("chat", &["quick", "plain"], "chat").expect("route");
    assert_eq!(targets(&found), [at("quick/quick", 0), at("gpu/plain", 1), at("other/plain", 1)]);
    let found = routed("plain", &["other", "gpu"], "plain").expect("route");
    assert_eq!(targets(&found), [at("other/plain", 0), at("gpu/plain", 1)]);
    let found = routed("small", &["gpu/plain", "gone"], "small").expect("route");
    assert_eq!(targets(&found), [at("gpu/plain", 0)]);
    assert_eq!(routed("x", &["gone"], "x").expect_err("nobody").kind(), crate::ErrorKind::Unavailable);
    // A tier that only has limits is found as without them.
    let mut limited = config(&[]);
    limited.timeouts.total = Some(std::time::Duration::from_secs(9));
    let routes = Arc::new(BTreeMap::from([("small".to_owned(), limited)]));
    let found = route("auto", Some(Tier::Small), &Snapshot { routes, ..fleet() }).expect("route");
    assert_eq!(
        (found.first().backend.as_str(), found.policy.limits.total.map(|total| total.as_secs())),
        ("quick", Some(9))
    );
}
