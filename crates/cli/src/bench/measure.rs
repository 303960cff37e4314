//! From the times of requests to the figures of one level of concurrency.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

/// Longest time that is told apart; longer ones count as this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// One answer, timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// From the request to its first token; `None` without a stream, or without any token.
    pub first_token: Option<Duration>,
    /// From the first token to the last, by the tokens in between; `None` below two tokens.
    pub per_token: Option<Duration>,
    /// From the request to the end of the answer.
    pub end_to_end: Duration,
    /// Tokens of the prompt, as the server counted them.
    pub input_tokens: Option<u32>,
    /// Tokens of the answer.
    pub output_tokens: Option<u32>,
    /// Whether the server counted them; else each piece of the stream counts as one.
    pub counted_by_server: bool,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A few words to count by: `connect`, `timeout`, `status 503`, …
    pub kind: String,
    /// What was said.
    pub message: String,
}

/// Requests that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// How many.
    pub count: u64,
    /// What the first of them said.
    pub example: String,
}

/// How tokens of answers were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// By the server, in `usage`.
    Usage,
    /// Pieces of the streams: a server may put several tokens into one.
    Chunks,
    /// Some so, some so.
    Mixed,
    /// Not at all.
    Nothing,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The mean.
    pub mean: f64,
    /// Half are faster.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// Ninety-nine of a hundred are faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// The figures of one level of concurrency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// Requests at the same time.
    pub concurrency: u32,
    /// Requests that ended, well or not.
    pub requests: u64,
    /// Those that were answered to the end.
    pub succeeded: u64,
    /// Those that were not.
    pub failed: u64,
    /// The same, by kind.
    pub errors: BTreeMap<String, Faults>,
    /// How long the measurement took.
    pub seconds: f64,
    /// Answers per second.
    pub requests_per_second: f64,
    /// Tokens of all prompts.
    pub input_tokens: Option<u64>,
    /// Prompt tokens per second.
    pub input_tokens_per_second: Option<f64>,
    /// Tokens of all answers.
    pub output_tokens: Option<u64>,
    /// Answer tokens per second, of all requests together.
    pub output_tokens_per_second: Option<f64>,
    /// How tokens of answers were counted.
    pub tokens_counted: Counted,
    /// Time to the first token.
    pub first_token_ms: Option<Percentiles>,
    /// Time per token after the first.
    pub per_token_ms: Option<Percentiles>,
    /// Time to the end of the answer.
    pub end_to_end_ms: Option<Percentiles>,
}

/// Gathers what comes back.
#[derive(Debug)]
pub struct Recorder {
    first_token: Histogram<u64>,
    per_token: Histogram<u64>,
    end_to_end: Histogram<u64>,
    errors: BTreeMap<String, Faults>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    by_server: u64,
    by_chunks: u64,
}

impl Recorder {
    /// An empty one.
    ///
    /// # Errors
    /// Never with the bounds that are set here; the library can not know.
    pub fn new() -> Result<Self, CreationError> {
        // Nanoseconds, told apart by three digits.
        let histogram = || Histogram::new_with_max(nanoseconds(LONGEST), 3);
        Ok(Self {
            first_token: histogram()?,
            per_token: histogram()?,
            end_to_end: histogram()?,
            errors: BTreeMap::new(),
            input_tokens: None,
            output_tokens: None,
            by_server: 0,
            by_chunks: 0,
        })
    }

    /// Takes one result.
    pub fn record(&mut self, result: Result<Answer, Fault>) {
        let answer = match result {
            Ok(answer) => answer,
            Err(fault) => {
                self.errors.entry(fault.kind).or_insert(Faults { count: 0, example: fault.message }).count += 1;
                return;
            }
        };
        let times = [
            (&mut self.first_token, answer.first_token),
            (&mut self.per_token, answer.per_token),
            (&mut self.end_to_end, Some(answer.end_to_end)),
        ];
        for (histogram, time) in times {
            if let Some(time) = time {
                histogram.saturating_record(nanoseconds(time));
            }
        }
        add(&mut self.input_tokens, answer.input_tokens);
        add(&mut self.output_tokens, answer.output_tokens);
        match (answer.output_tokens, answer.counted_by_server) {
            (None, _) => {}
            (Some(_), true) => self.by_server += 1,
            (Some(_), false) => self.by_chunks += 1,
        }
    }

    /// What came together in `elapsed`.
    #[must_use]
    pub fn level(self, concurrency: u32, elapsed: Duration) -> Level {
        let succeeded = self.end_to_end.len();
        let failed = self.errors.values().map(|faults| faults.count).sum();
        let per_second = |count: u64| rounded(as_float(count) / elapsed.as_secs_f64().max(1e-9));
        Level {
            concurrency,
            requests: succeeded + failed,
            succeeded,
            failed,
            seconds: rounded(elapsed.as_secs_f64()),
            requests_per_second: per_second(succeeded),
            input_tokens: self.input_tokens,
            input_tokens_per_second: self.input_tokens.map(per_second),
            output_tokens: self.output_tokens,
            output_tokens_per_second: self.output_tokens.map(per_second),
            tokens_counted: match (self.by_server, self.by_chunks) {
                (0, 0) => Counted::Nothing,
                (_, 0) => Counted::Usage,
                (0, _) => Counted::Chunks,
                _ => Counted::Mixed,
            },
            first_token_ms: percentiles(&self.first_token),
            per_token_ms: percentiles(&self.per_token),
            end_to_end_ms: percentiles(&self.end_to_end),
            errors: self.errors,
        }
    }
}

fn add(sum: &mut Option<u64>, tokens: Option<u32>) {
    if let Some(tokens) = tokens {
        *sum = Some(sum.unwrap_or(0) + u64::from(tokens));
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.min(LONGEST).as_nanos()).unwrap_or(u64::MAX)
}

fn percentiles(histogram: &Histogram<u64>) -> Option<Percentiles> {
    let milliseconds = |nanoseconds: f64| rounded(nanoseconds / 1e6);
    let at = |quantile: f64| milliseconds(as_float(histogram.value_at_quantile(quantile)));
    (!histogram.is_empty()).then(|| Percentiles {
        mean: milliseconds(histogram.mean()),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: milliseconds(as_float(histogram.max())),
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// Three digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(milliseconds: u64) -> Answer {
        Answer {
            first_token: Some(Duration::from_millis(milliseconds)),
            per_token: None,
            end_to_end: Duration::from_millis(2 * milliseconds),
            input_tokens: Some(10),
            output_tokens: Some(5),
            counted_by_server: true,
        }
    }

    #[test]
    fn percentiles_rates_and_counts() {
        let mut recorder = Recorder::new().expect("bounds");
        (1..=100).for_each(|milliseconds| recorder.record(Ok(answer(milliseconds))));
        for message in ["busy", "still busy"] {
            recorder.record(Err(Fault { kind: "status 503".to_owned(), message: message.to_owned() }));
        }
        let level = recorder.level(4, Duration::from_secs(10));
        assert_eq!((level.requests, level.succeeded, level.failed), (102, 100, 2));
        assert_eq!(level.errors["status 503"], Faults { count: 2, example: "busy".to_owned() });
        assert_eq!((level.requests_per_second, level.output_tokens_per_second), (10.0, Some(50.0)));
        assert_eq!((level.input_tokens, level.tokens_counted), (Some(1000), Counted::Usage));
        assert_eq!(level.per_token_ms, None);
        let times = level.first_token_ms.expect("times");
        for (found, wanted) in [(times.p50, 50.0), (times.p90, 90.0), (times.p99, 99.0), (times.max, 100.0)] {
            assert!((found - wanted).abs() < wanted / 500.0, "{found} {wanted}");
        }
    }

    #[test]
    fn it_is_said_how_tokens_were_counted() {
        let counted = |kinds: &[(Option<u32>, bool)]| {
            let mut recorder = Recorder::new().expect("bounds");
            for &(output_tokens, counted_by_server) in kinds {
                recorder.record(Ok(Answer { output_tokens, counted_by_server, ..Answer::default() }));
            }
            recorder.level(1, Duration::ZERO).tokens_counted
        };
        assert_eq!(counted(&[]), Counted::Nothing);
        assert_eq!(counted(&[(None, false), (Some(1), false)]), Counted::Chunks);
        assert_eq!(counted(&[(Some(1), true), (Some(1), false)]), Counted::Mixed);
    }
}
