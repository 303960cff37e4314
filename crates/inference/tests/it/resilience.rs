//! What a fleet does when its backends fail or are slow; time stands still and is moved by the runtime.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lla_inference::mock::collect;
use lla_inference::resilience::RetryConfig;
use lla_inference::route::{Limits, route};
use lla_inference::{
    Backend, Error, ErrorKind, Event, Fleet, FleetConfig, MockBackend, ResilienceConfig, RouteConfig, Script,
};
use tokio::time::Instant;

use crate::driver::chat_request;

/// Backends `one` and `two` with the model `m` each and a model of their own; the route `both` leads along them.
struct Pair {
    one: Arc<MockBackend>,
    two: Arc<MockBackend>,
    fleet: Arc<Fleet>,
}

impl Pair {
    fn new(one: Script, two: Script, change: impl FnOnce(&mut FleetConfig)) -> Self {
        let one = Arc::new(MockBackend::new("one").with_models(&["m", "large"]).with_script(one));
        let two = Arc::new(MockBackend::new("two").with_models(&["m", "little"]).with_script(two));
        let mut config = FleetConfig::default();
        let backends = vec!["one/m".to_owned(), "two/m".to_owned()];
        config.routes.insert("both".to_owned(), RouteConfig { backends, ..RouteConfig::default() });
        change(&mut config);
        let backends: Vec<Arc<dyn Backend>> = vec![Arc::clone(&one) as _, Arc::clone(&two) as _];
        Self { one, two, fleet: Fleet::from_backends_with(backends, config) }
    }

    async fn ask(&self, name: &str) -> Result<(String, Vec<Event>), Error> {
        let route = route(name, None, &self.fleet.snapshot())?;
        let answer = self.fleet.chat(&route, chat_request(name)).await?;
        let by = format!("{}/{}", answer.served_by.backend, answer.served_by.model);
        Ok((by, collect(answer.value).await?))
    }

    /// How often each was asked.
    fn asked(&self) -> (usize, usize) {
        (self.one.chats().len(), self.two.chats().len())
    }
}

fn unavailable() -> Error {
    Error::Unavailable { backend: "x".to_owned(), message: "gone".to_owned(), retry_after: None }
}

fn busy(seconds: u64) -> Error {
    let retry_after = Some(Duration::from_secs(seconds));
    Error::RateLimited { backend: "x".to_owned(), message: "slowly".to_owned(), retry_after }
}

fn slow(text: &str, first: u64) -> Script {
    let (first, between) = (Duration::from_millis(first), Duration::ZERO);
    Script::Slow { text: text.to_owned(), first, between }
}

fn broken(text: &str) -> Script {
    Script::ErrorMidStream { text: text.to_owned(), error: Error::upstream("x", "broke") }
}

#[tokio::test(start_paused = true)]
async fn the_next_in_the_list_takes_over_before_the_first_event_and_never_after() {
    for (script, asked) in [(Script::Refuse(unavailable()), (1, 1)), (broken(""), (1, 1))] {
        let pair = Pair::new(script, Script::text("fine"), |_| ());
        let (_, events) = pair.ask("both").await.expect("answered");
        assert_eq!(events[0], Event::text(0, "fine"));
        assert_eq!(pair.asked(), asked);
    }
    let pair = Pair::new(broken("some words"), Script::text("fine"), |_| ());
    assert_eq!(pair.ask("both").await.expect_err("begun").kind(), ErrorKind::Upstream);
    assert_eq!(pair.asked(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_everywhere_is_asked_once() {
    let refused = Error::InvalidRequest { message: "no".to_owned(), param: None, code: None };
    let pair = Pair::new(Script::Refuse(refused.clone()), Script::text("fine"), |_| ());
    assert_eq!(pair.ask("both").await.expect_err("refused"), refused);
    assert_eq!(pair.asked(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_server_asks_for_is_kept_when_nobody_else_is_there() {
    let pair = Pair::new(Script::Refuse(busy(3)), Script::text("unused"), |_| ());
    let begun = Instant::now();
    assert_eq!(pair.ask("large").await.expect_err("busy").kind(), ErrorKind::RateLimited);
    assert_eq!(pair.asked(), (3, 0));
    assert!(begun.elapsed() >= Duration::from_secs(6), "twice three seconds");
    // Longer than a caller is kept waiting: it is told at once.
    let pair = Pair::new(Script::Refuse(busy(60)), Script::text("unused"), |_| ());
    let begun = Instant::now();
    assert_eq!(pair.ask("large").await.expect_err("busy").retry_after(), Some(Duration::from_secs(60)));
    assert_eq!((pair.asked(), begun.elapsed()), ((1, 0), Duration::ZERO));
    // With another one there is no reason to wait, and from then on that one is asked first.
    let pair = Pair::new(Script::Refuse(busy(60)), Script::text("fine"), |_| ());
    for _ in 0..2 {
        assert_eq!(pair.ask("both").await.expect("answered").0, "two/m");
    }
    assert_eq!(pair.asked(), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_the_budget() {
    let retry = RetryConfig { share: 0.0, ..RetryConfig::default() };
    let pair = Pair::new(Script::Refuse(busy(0)), Script::text("unused"), |config| {
        config.resilience = ResilienceConfig { retry, ..ResilienceConfig::default() };
    });
    for _ in 0..20 {
        assert_eq!(pair.ask("large").await.expect_err("busy").kind(), ErrorKind::RateLimited);
    }
    // Twenty requests, and the reserve of ten retries with what came back while they waited.
    assert!((30..36).contains(&pair.asked().0), "{:?}", pair.asked());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_hedged_and_the_slower_one_is_dropped() {
    let hedged = |config: &mut FleetConfig| {
        let route = config.routes.get_mut("both").expect("the route");
        route.hedge_after = Some(Duration::from_millis(300));
    };
    let pair = Pair::new(slow("late", 10_000), Script::text("quick"), hedged);
    let begun = Instant::now();
    let (by, events) = pair.ask("both").await.expect("answered");
    assert_eq!((by.as_str(), &events[0]), ("two/m", &Event::text(0, "quick")));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!((pair.one.running(), pair.two.running()), (0, 0));

    // A quick one is not hedged.
    let pair = Pair::new(slow("quick", 100), Script::text("unused"), hedged);
    assert_eq!(pair.ask("both").await.expect("answered").0, "one/m");
    assert_eq!(pair.asked(), (1, 0));

    // When the second fails the first still counts.
    let pair = Pair::new(slow("late", 10_000), Script::Refuse(unavailable()), hedged);
    assert_eq!(pair.ask("both").await.expect("answered").0, "one/m");
}

#[tokio::test(start_paused = true)]
async fn a_route_bounds_the_time_of_its_requests() {
    let limited = |config: &mut FleetConfig| {
        let route = config.routes.get_mut("both").expect("the route");
        let second = |seconds| Some(Duration::from_secs(seconds));
        route.timeouts = Limits { first_byte: second(2), between_chunks: second(1), total: second(5) };
    };
    let phase = |error: Error| match error {
        Error::Timeout { phase, .. } => phase,
        other => panic!("no timeout: {other}"),
    };
    // The time for the first piece is for all tries together.
    let pair = Pair::new(slow("late", 10_000), slow("late", 10_000), limited);
    let begun = Instant::now();
    assert_eq!(phase(pair.ask("both").await.expect_err("late")), "first byte");
    assert!(begun.elapsed() < Duration::from_secs(3));
    let pair = Pair::new(Script::NeverEnds { text: "word".to_owned() }, Script::text("unused"), limited);
    assert_eq!(phase(pair.ask("both").await.expect_err("stalled")), "next chunk");
    assert_eq!(pair.one.running(), 0);
    let endless =
        Script::Slow { text: "word ".repeat(100), first: Duration::ZERO, between: Duration::from_millis(500) };
    let pair = Pair::new(endless, Script::text("unused"), limited);
    assert_eq!(phase(pair.ask("both").await.expect_err("too long")), "total");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_a_request_is_sent_again_ends_it() {
    let pair = Pair::new(Script::Refuse(unavailable()), Script::NeverEnds { text: "word".to_owned() }, |_| ());
    let route = route("both", None, &pair.fleet.snapshot()).expect("route");
    let mut events = pair.fleet.chat(&route, chat_request("both")).await.expect("accepted").value;
    assert!(events.next().await.is_some());
    assert_eq!(pair.two.running(), 1);
    drop(events);
    assert_eq!(pair.two.running(), 0);
    let health = pair.fleet.health().await;
    assert!(health.iter().all(|status| status.strain.in_flight == 0 && status.strain.outstanding_tokens == 0));
}

#[tokio::test(start_paused = true)]
async fn names_of_the_configuration_are_listed_beside_the_models() {
    let pair = Pair::new(Script::text("a"), Script::text("b"), |_| ());
    let snapshot = pair.fleet.snapshot();
    let listed: Vec<&str> = snapshot.listed().map(|model| model.id.as_str()).collect();
    assert_eq!(listed, ["m", "large", "little", "both"]);
    assert!(Arc::ptr_eq(&snapshot, &pair.fleet.snapshot()), "made anew only when something changed");
}
