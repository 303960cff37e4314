//! What was measured, as JSON and as a table.

use serde::Serialize;

use super::measure::{Counted, Level, Percentiles};
use super::request::Asker;
use crate::args::BenchArgs;
use crate::table::{Side, Table};
use crate::version;

/// Everything that was measured, and how.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The base of the API.
    pub url: String,
    /// The model that was asked for.
    pub model: String,
    /// The model that answered, as the server calls it.
    pub served_by: Option<String>,
    /// Whether the answers were streams.
    pub stream: bool,
    /// Length of a prompt that was wanted; `input_tokens` of a level says what came of it.
    pub prompt_tokens: u32,
    /// Tokens of it that all prompts share.
    pub shared_prefix: u32,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// The program that measured.
    pub measured_by: String,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// One for each level of concurrency.
    pub levels: Vec<Level>,
}

impl Report {
    /// Puts a report together.
    #[must_use]
    pub fn new(args: &BenchArgs, asker: &Asker, served_by: Option<String>, levels: Vec<Level>, stopped: bool) -> Self {
        Self {
            url: asker.endpoint().api().to_owned(),
            model: asker.wish().model.clone(),
            served_by,
            stream: asker.wish().stream,
            prompt_tokens: args.prompt_tokens,
            shared_prefix: args.shared_prefix,
            max_tokens: args.max_tokens,
            measured_by: format!("lla {}", version::line()),
            interrupted: stopped,
            levels,
        }
    }

    /// For people: a column for each level.
    #[must_use]
    pub fn table(&self) -> String {
        let heads = self.levels.iter().map(|level| (level.concurrency.to_string(), Side::Right));
        let mut table = Table::aligned([("AT THE SAME TIME".to_owned(), Side::Left)].into_iter().chain(heads));
        let mut row = |name: &str, cell: &dyn Fn(&Level) -> String| {
            table.row([name.to_owned()].into_iter().chain(self.levels.iter().map(cell)));
        };
        row("answered", &|level| level.succeeded.to_string());
        row("failed", &|level| level.failed.to_string());
        row("seconds", &|level| format!("{:.1}", level.seconds));
        row("requests/s", &|level| format!("{:.2}", level.requests_per_second));
        row("output tokens/s", &|level| optional(level.output_tokens_per_second));
        row("input tokens/s", &|level| optional(level.input_tokens_per_second));
        type Times = fn(&Level) -> Option<Percentiles>;
        type At = fn(Percentiles) -> f64;
        let times: [(&str, Times); 3] = [
            ("first token, ms", |level| level.first_token_ms),
            ("per output token, ms", |level| level.per_token_ms),
            ("end to end, ms", |level| level.end_to_end_ms),
        ];
        let quantiles: [(&str, At); 3] =
            [("p50", |times| times.p50), ("p90", |times| times.p90), ("p99", |times| times.p99)];
        for (name, times) in times {
            for (quantile, at) in quantiles {
                row(&format!("{name}, {quantile}"), &|level| optional(times(level).map(at)));
            }
        }
        format!("{}\n\n{}\n\n{}", self.heading(), table.text(), self.remarks().join("\n"))
    }

    fn heading(&self) -> String {
        let served = self.served_by.as_ref().filter(|served| **served != self.model);
        let served = served.map_or_else(String::new, |served| format!(" ({served})"));
        let shared =
            if self.shared_prefix > 0 { format!(", {} of them shared", self.shared_prefix) } else { String::new() };
        let stream = if self.stream { "streamed" } else { "whole" };
        format!(
            "{}, model {}{served}: prompts of about {} tokens{shared}, answers of at most {}, {stream}",
            self.url, self.model, self.prompt_tokens, self.max_tokens
        )
    }

    /// How tokens were counted, and what failed.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for level in &self.levels {
            let at = format!("at {}", level.concurrency);
            match level.tokens_counted {
                Counted::Usage => {}
                Counted::Chunks => remarks.push(format!(
                    "{at}: the server tells no usage: each piece of a stream counts as one output token"
                )),
                Counted::Mixed => {
                    remarks.push(format!("{at}: some answers came without usage: their pieces are counted"));
                }
                Counted::Nothing if level.succeeded > 0 => remarks.push(format!("{at}: tokens could not be counted")),
                Counted::Nothing => {}
            }
            for (kind, faults) in &level.errors {
                remarks.push(format!("{at}: {} failed ({kind}): {}", faults.count, faults.example));
            }
        }
        if remarks.is_empty() {
            remarks.push("tokens: as the server counted them (usage)".to_owned());
        }
        if self.interrupted {
            remarks.push("stopped before its end: requests that still ran are not counted".to_owned());
        }
        remarks
    }
}

/// Three digits that say something, or a dash.
fn optional(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
