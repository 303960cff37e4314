//! What the engine tells Prometheus, under vLLM's names where vLLM has one.
//!
//! Recording is a few atomic additions and never takes a lock: the decode loop calls it for every
//! token. Reading ([`Metrics::render`]) may see a histogram in the middle of one observation.

use std::fmt::Error as FormatError;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lla_protocol::openai::FinishReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::histogram::DurationHistogram;

mod histogram;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds in seconds, vLLM's own (a little shorter at the long end).
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
];
const NEXT_TOKEN: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0];
const WHOLE_REQUEST: &[f64] = &[
    0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
    960.0,
];
const STEP: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    finished_reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

type StepHistograms = Family<PhaseLabel, DurationHistogram, fn() -> DurationHistogram>;

/// The engine's counters. Every method may be called from any thread.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    running: Gauge,
    waiting: Gauge,
    cells: Gauge<f64, AtomicU64>,
    threads: Gauge,
    prompt_tokens: Counter,
    generation_tokens: Counter,
    stopped: Counter,
    cut: Counter,
    cancelled: Counter,
    preemptions: Counter,
    prefix_queries: Counter,
    prefix_hits: Counter,
    cached_cells: Gauge,
    evicted_cells: Gauge,
    draft_tokens: Counter,
    accepted_tokens: Counter,
    grammar_hits: Counter,
    grammar_misses: Counter,
    first_token: DurationHistogram,
    next_token: DurationHistogram,
    whole_request: DurationHistogram,
    prefill_step: DurationHistogram,
    decode_step: DurationHistogram,
    mixed_step: DurationHistogram,
}

impl Metrics {
    /// Counters at zero, labelled with the name of the model.
    #[must_use]
    pub fn new(model_name: &str) -> Self {
        let finished = Family::<ReasonLabel, Counter>::default();
        let steps = StepHistograms::new_with_constructor(|| DurationHistogram::new(STEP));
        let of_reason =
            |reason: FinishReason| finished.get_or_create_owned(&ReasonLabel { finished_reason: reason.as_str() });
        let of_phase = |phase| steps.get_or_create_owned(&PhaseLabel { phase });
        let mut metrics = Self {
            registry: Registry::with_labels(std::iter::once(("model_name".into(), model_name.to_owned().into()))),
            running: Gauge::default(),
            waiting: Gauge::default(),
            cells: Gauge::default(),
            threads: Gauge::default(),
            prompt_tokens: Counter::default(),
            generation_tokens: Counter::default(),
            stopped: of_reason(FinishReason::Stop),
            cut: of_reason(FinishReason::Length),
            cancelled: Counter::default(),
            preemptions: Counter::default(),
            prefix_queries: Counter::default(),
            prefix_hits: Counter::default(),
            cached_cells: Gauge::default(),
            evicted_cells: Gauge::default(),
            draft_tokens: Counter::default(),
            accepted_tokens: Counter::default(),
            grammar_hits: Counter::default(),
            grammar_misses: Counter::default(),
            first_token: DurationHistogram::new(FIRST_TOKEN),
            next_token: DurationHistogram::new(NEXT_TOKEN),
            whole_request: DurationHistogram::new(WHOLE_REQUEST),
            prefill_step: of_phase("prefill"),
            decode_step: of_phase("decode"),
            mixed_step: of_phase("mixed"),
        };
        metrics.register_vllm(finished);
        metrics.register_own(steps);
        metrics
    }

    fn register_vllm(&mut self, finished: Family<ReasonLabel, Counter>) {
        let registry = &mut self.registry;
        registry.register("vllm:num_requests_running", "Sequences in the running batch", self.running.clone());
        registry.register("vllm:num_requests_waiting", "Sequences waiting for a slot", self.waiting.clone());
        registry.register("vllm:kv_cache_usage_perc", "Used share of the KV cache, 0 to 1", self.cells.clone());
        registry.register("vllm:prompt_tokens", "Prompt tokens taken in", self.prompt_tokens.clone());
        registry.register("vllm:generation_tokens", "Tokens generated", self.generation_tokens.clone());
        registry.register("vllm:request_success", "Generations that ended, by reason", finished);
        registry.register("vllm:num_preemptions", "Sequences put back to the queue", self.preemptions.clone());
        registry.register("vllm:prefix_cache_queries", "Prompt tokens looked up", self.prefix_queries.clone());
        registry.register("vllm:prefix_cache_hits", "Prompt tokens found in the cache", self.prefix_hits.clone());
        registry.register("vllm:spec_decode_num_draft_tokens", "Tokens guessed", self.draft_tokens.clone());
        registry.register(
            "vllm:spec_decode_num_accepted_tokens",
            "Guessed tokens that were right",
            self.accepted_tokens.clone(),
        );
        registry.register(
            "vllm:time_to_first_token_seconds",
            "From submission to the first token",
            self.first_token.clone(),
        );
        registry.register("vllm:inter_token_latency_seconds", "Between tokens of a sequence", self.next_token.clone());
        registry.register("vllm:e2e_request_latency_seconds", "From submission to the end", self.whole_request.clone());
    }

    fn register_own(&mut self, steps: StepHistograms) {
        let registry = &mut self.registry;
        registry.register("lla_engine_step_seconds", "One step of the model, by what it held", steps);
        registry.register(
            "lla_engine_cancelled",
            "Generations whose caller left before the end",
            self.cancelled.clone(),
        );
        registry.register(
            "lla_engine_prefix_cache_cells",
            "KV cells of ended sequences, free to be taken",
            self.cached_cells.clone(),
        );
        registry.register(
            "lla_engine_prefix_cache_evicted_cells",
            "KV cells taken from ended sequences so far",
            self.evicted_cells.clone(),
        );
        registry.register(
            "lla_engine_grammar_cache_hits",
            "Grammars of answers that were compiled already",
            self.grammar_hits.clone(),
        );
        registry.register(
            "lla_engine_grammar_cache_misses",
            "Grammars of answers that had to be compiled",
            self.grammar_misses.clone(),
        );
        registry.register("lla_engine_threads", "Threads of a step", self.threads.clone());
    }

    /// One step of the model: its time and how many tokens of each kind it held.
    pub fn step(&self, took: Duration, prefill_tokens: usize, decode_tokens: usize) {
        let histogram = match (prefill_tokens, decode_tokens) {
            (0, _) => &self.decode_step,
            (_, 0) => &self.prefill_step,
            _ => &self.mixed_step,
        };
        histogram.observe(took);
    }

    /// Sequences and KV cells as they are now.
    pub fn gauges(&self, running: usize, waiting: usize, cells_used: usize, cells_total: usize) {
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "a share for a dashboard; counts are far below 2^52")]
        let share = cells_used as f64 / cells_total.max(1) as f64;
        self.cells.set(share);
    }

    /// A prompt was looked up in the prefix cache: its tokens, and how many were there.
    pub fn prefix_cache(&self, tokens: usize, found: usize) {
        self.prefix_queries.inc_by(tokens as u64);
        self.prefix_hits.inc_by(found as u64);
    }

    /// KV cells that ended sequences left behind, and how many have been taken from such so far.
    pub fn cached_cells(&self, cells: usize, evicted: u64) {
        self.cached_cells.set(i64::try_from(cells).unwrap_or(i64::MAX));
        self.evicted_cells.set(i64::try_from(evicted).unwrap_or(i64::MAX));
    }

    /// So many tokens were guessed, and so many of them right.
    pub fn drafts(&self, guessed: usize, right: usize) {
        self.draft_tokens.inc_by(guessed as u64);
        self.accepted_tokens.inc_by(right as u64);
    }

    /// The grammar of an answer was asked for; whether it was compiled already.
    pub fn grammar(&self, found: bool) {
        let counter = if found { &self.grammar_hits } else { &self.grammar_misses };
        counter.inc();
    }

    /// Threads that the next steps use.
    pub fn threads(&self, threads: u32) {
        self.threads.set(i64::from(threads));
    }

    /// A sequence got its first token, this long after submission.
    pub fn first_token(&self, waited: Duration) {
        self.generation_tokens.inc();
        self.first_token.observe(waited);
    }

    /// A sequence got a further token, this long after the one before.
    pub fn token(&self, waited: Duration) {
        self.generation_tokens.inc();
        self.next_token.observe(waited);
    }

    /// A generation ended, this long after submission.
    pub fn finished(&self, reason: FinishReason, took: Duration) {
        match reason {
            FinishReason::Length => self.cut.inc(),
            _ => self.stopped.inc(),
        };
        self.whole_request.observe(took);
    }

    /// A caller left before the end.
    pub fn cancelled(&self) {
        self.cancelled.inc();
    }

    /// This many sequences were put back to the queue.
    pub fn preempted(&self, sequences: usize) {
        self.preemptions.inc_by(sequences as u64);
    }

    /// A prompt of this many tokens was taken in.
    pub fn prompt_tokens(&self, tokens: usize) {
        self.prompt_tokens.inc_by(tokens as u64);
    }

    /// All counters as text, see [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// When the text can not be written (does not happen for a `String`).
    pub fn render(&self) -> Result<String, FormatError> {
        let mut text = String::with_capacity(8 << 10);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_counts_are_those_of_vllm() {
        let metrics = Metrics::new("tiny");
        metrics.gauges(3, 2, 256, 1024);
        metrics.prompt_tokens(7);
        metrics.first_token(Duration::from_millis(30));
        metrics.token(Duration::from_millis(2));
        metrics.finished(FinishReason::Length, Duration::from_secs(2));
        metrics.preempted(2);
        metrics.cancelled();
        metrics.prefix_cache(10, 6);
        metrics.drafts(4, 3);
        metrics.threads(2);
        metrics.grammar(true);
        metrics.grammar(false);
        metrics.grammar(true);
        metrics.step(Duration::from_millis(9), 64, 0);
        let text = metrics.render().expect("text");
        for line in [
            r#"vllm:num_requests_running{model_name="tiny"} 3"#,
            r#"vllm:num_requests_waiting{model_name="tiny"} 2"#,
            r#"vllm:kv_cache_usage_perc{model_name="tiny"} 0.25"#,
            r#"vllm:prompt_tokens_total{model_name="tiny"} 7"#,
            r#"vllm:generation_tokens_total{model_name="tiny"} 2"#,
            r#"vllm:num_preemptions_total{model_name="tiny"} 2"#,
            r#"vllm:time_to_first_token_seconds_count{model_name="tiny"} 1"#,
            r#"vllm:inter_token_latency_seconds_bucket{model_name="tiny",le="0.0025"} 1"#,
            r#"vllm:e2e_request_latency_seconds_bucket{model_name="tiny",le="+Inf"} 1"#,
            r#"lla_engine_cancelled_total{model_name="tiny"} 1"#,
            r#"vllm:prefix_cache_hits_total{model_name="tiny"} 6"#,
            r#"vllm:spec_decode_num_accepted_tokens_total{model_name="tiny"} 3"#,
            r#"lla_engine_grammar_cache_hits_total{model_name="tiny"} 2"#,
            r#"lla_engine_grammar_cache_misses_total{model_name="tiny"} 1"#,
            r#"lla_engine_threads{model_name="tiny"} 2"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is missing in\n{text}");
        }
        assert!(text.contains(r#"finished_reason="length""#) && text.contains(r#"phase="prefill""#), "{text}");
    }
}
