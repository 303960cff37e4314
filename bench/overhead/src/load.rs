//! Requests as fast as they are answered, a fixed number of them.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::Target;
use crate::client::{Client, read_stream, read_whole};

/// Longest time that is told apart, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

/// What all connections note.
struct Notes {
    left: Cell<u64>,
    failed: Cell<u64>,
    first_failure: RefCell<Option<String>>,
    /// Nanoseconds from sending to the end of the answer.
    whole: RefCell<Histogram<u64>>,
    /// Nanoseconds that the first piece of text of a stream was under way.
    first: RefCell<Histogram<u64>>,
    /// The same of the pieces after it.
    later: RefCell<Histogram<u64>>,
}

/// Sends `requests` over `connections`, and gives what came of it.
pub(crate) async fn run(
    target: &Target,
    connections: usize,
    requests: u64,
    stream: bool,
) -> Result<Value, Box<dyn Error>> {
    let histogram = || Ok::<_, hdrhistogram::CreationError>(RefCell::new(Histogram::new_with_bounds(1, LONGEST, 3)?));
    let notes = Rc::new(Notes {
        left: Cell::new(requests),
        failed: Cell::new(0),
        first_failure: RefCell::default(),
        whole: histogram()?,
        first: histogram()?,
        later: histogram()?,
    });
    let begun = Instant::now();
    let all = LocalSet::new();
    for _ in 0..connections {
        all.spawn_local(work(Client::new(target, stream), stream, Rc::clone(&notes)));
    }
    all.await;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(json!({
        "requests": requests,
        "failed": notes.failed.get(),
        "failure": *notes.first_failure.borrow(),
        "seconds": seconds,
        "latency_us": percentiles(&notes.whole.borrow()),
        "first_chunk_us": percentiles(&notes.first.borrow()),
        "later_chunk_us": percentiles(&notes.later.borrow()),
    }))
}

async fn work(mut client: Client, stream: bool, notes: Rc<Notes>) {
    while let Some(left) = notes.left.get().checked_sub(1) {
        notes.left.set(left);
        let begun = Instant::now();
        let outcome = one(&mut client, stream, &notes).await;
        match outcome {
            Ok(()) => note(&notes.whole, u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            Err(error) => {
                notes.failed.set(notes.failed.get() + 1);
                notes.first_failure.borrow_mut().get_or_insert_with(|| error.to_string());
            }
        }
    }
}

async fn one(client: &mut Client, stream: bool, notes: &Notes) -> Result<(), Box<dyn Error>> {
    let response = client.send().await?;
    if !stream {
        return read_whole(response).await;
    }
    let mut seen = false;
    read_stream(response, |delay| {
        let histogram = if std::mem::replace(&mut seen, true) { &notes.later } else { &notes.first };
        note(histogram, delay);
    })
    .await
}

fn note(histogram: &RefCell<Histogram<u64>>, nanoseconds: u64) {
    histogram.borrow_mut().saturating_record(nanoseconds);
}

fn percentiles(histogram: &Histogram<u64>) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let at = |share: f64| histogram.value_at_quantile(share) as f64 / 1e3;
    json!({"count": histogram.len(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)})
}
