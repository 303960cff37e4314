//! The worker thread: makes the context and steps until told to stop.
//!
//! The loop is a list of named steps: take new work, drop what was cancelled, guess, plan, follow the
//! plan's changes to the cells, decode, draw (`draw.rs`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;

use super::Command;
use super::masks::Masks;
use crate::capacity::Capacity;
use crate::constraint::Constraint;
use crate::cpu::{self, Governor, ThreadPool};
use crate::draft::StepCost;
use crate::error::EngineError;
use crate::metrics::Metrics;
use crate::model::{Model, token};
use crate::prefix_cache::{KvOp, Row};
use crate::scheduler::{Limits, Plan, Scheduler, SequenceId, Submission, Work};
use crate::sequence::Sequence;

pub(super) struct WorkerParts {
    pub(super) model: Arc<Model>,
    pub(super) capacity: Capacity,
    pub(super) inbox: std_mpsc::Receiver<Command>,
    pub(super) metrics: Arc<Metrics>,
    /// Use what other sequences computed.
    pub(super) reuse: bool,
    /// Guess tokens.
    pub(super) drafts: bool,
    /// Change the number of threads with what others leave.
    pub(super) adapts_threads: bool,
}

/// Makes the context, reports, and steps until told to stop.
pub(super) fn run_worker(
    backend: &LlamaBackend,
    parts: &WorkerParts,
    ready: &std_mpsc::Sender<Result<(), EngineError>>,
) {
    let context = match make_context(backend, parts) {
        Ok(context) => context,
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    let mut worker = match Worker::new(parts, context) {
        Ok(worker) => worker,
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    drop(ready.send(Ok(())));
    worker.run();
}

fn make_context<'model>(
    backend: &LlamaBackend,
    parts: &'model WorkerParts,
) -> Result<LlamaContext<'model>, EngineError> {
    let capacity = &parts.capacity;
    let mut context = parts.model.weights.new_context(backend, capacity.context_params()).map_err(|error| {
        EngineError::Native(format!("the context of {} tokens can not be made: {error}", capacity.cells))
    })?;
    // Without a pool of its own, llama.cpp starts and joins threads for every single step.
    ThreadPool::new(capacity.threads as usize, cpu::POLL)?.attach(&mut context)?;
    Ok(context)
}

pub(super) struct Worker<'model> {
    pub(super) context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    masks: Masks,
    pub(super) scheduler: Scheduler,
    pub(super) sequences: HashMap<SequenceId, Box<Sequence>>,
    /// Guesses of the step that is being planned or computed.
    pub(super) drafts: HashMap<SequenceId, Vec<u32>>,
    cost: StepCost,
    governor: Governor,
    next_id: SequenceId,
    /// Sequences that decoded in the last step.
    decoding: usize,
    /// Turn-end tokens, banned for sequences that ignore them.
    pub(super) turn_ends: Vec<u32>,
    pub(super) parts: &'model WorkerParts,
}

impl<'model> Worker<'model> {
    fn new(parts: &'model WorkerParts, context: LlamaContext<'model>) -> Result<Self, EngineError> {
        let capacity = &parts.capacity;
        let limits = Limits {
            slots: capacity.slots as usize,
            rows: capacity.rows as usize,
            cells: capacity.cells as usize,
            ended: capacity.ended_cells as usize,
            window: capacity.window as usize,
            chunk: capacity.chunk as usize,
            batch: capacity.batch as usize,
            reuse: parts.reuse,
        };
        Ok(Self {
            context,
            masks: Masks::start()?,
            batch: LlamaBatch::new(capacity.max_step_tokens() as usize, 1),
            scheduler: Scheduler::new(limits),
            sequences: HashMap::new(),
            drafts: HashMap::new(),
            cost: StepCost::default(),
            governor: Governor::new(capacity.threads, parts.adapts_threads),
            next_id: 0,
            decoding: 0,
            turn_ends: parts.model.turn_ends(),
            parts,
        })
    }

    fn run(&mut self) {
        while self.take_new_work() {
            self.drop_cancelled();
            self.guess();
            let plan = self.scheduler.plan();
            self.follow(&plan);
            self.show_gauges();
            if !plan.work.is_empty() {
                self.step(&plan.work);
            }
        }
        for (_, sequence) in self.sequences.drain() {
            sequence.fail(EngineError::ShuttingDown);
        }
        self.show_gauges();
    }

    /// Takes what has been submitted; waits for work when there is none. False: stop.
    fn take_new_work(&mut self) -> bool {
        loop {
            let command = if self.scheduler.is_idle() {
                self.show_gauges();
                match self.parts.inbox.recv() {
                    Ok(command) => command,
                    Err(_) => return false,
                }
            } else {
                match self.parts.inbox.try_recv() {
                    Ok(command) => command,
                    Err(std_mpsc::TryRecvError::Empty) => return true,
                    Err(std_mpsc::TryRecvError::Disconnected) => return false,
                }
            };
            match command {
                Command::Submit(sequence) => self.submit(sequence),
                Command::Shutdown => return false,
            }
        }
    }

    fn submit(&mut self, sequence: Box<Sequence>) {
        let id = self.next_id;
        self.next_id += 1;
        if sequence.counts {
            self.parts.metrics.prompt_tokens(sequence.prompt_len());
        }
        self.scheduler.submit(Submission {
            id,
            tokens: sequence.tokens.clone(),
            adapter: 0,
            logits_from: sequence.logits_from(),
            scores: sequence.scoring.is_some(),
        });
        self.sequences.insert(id, sequence);
    }

    fn drop_cancelled(&mut self) {
        let abandoned: Vec<SequenceId> =
            self.sequences.iter().filter(|(_, sequence)| sequence.is_abandoned()).map(|(&id, _)| id).collect();
        for id in abandoned {
            if self.leave(id, false).is_some_and(|sequence| sequence.counts) {
                self.parts.metrics.cancelled();
            }
        }
    }

    /// Takes a sequence out of the batch. `spoilt`: its cells can not be used again.
    pub(super) fn leave(&mut self, id: SequenceId, spoilt: bool) -> Option<Box<Sequence>> {
        self.scheduler.remove(id, spoilt);
        self.sequences.remove(&id)
    }

    /// Looks for tokens that decoding sequences may say next.
    fn guess(&mut self) {
        self.drafts.clear();
        if !self.parts.drafts {
            return;
        }
        for (&id, sequence) in &mut self.sequences {
            if !sequence.may_guess() {
                continue;
            }
            let guesses = sequence.drafter.propose(&sequence.tokens, &self.cost, self.decoding);
            if !guesses.is_empty() {
                self.scheduler.propose(id, guesses.len());
                self.drafts.insert(id, guesses);
            }
        }
    }

    /// Does to the cells what the plan says, and takes note of what it tells.
    fn follow(&mut self, plan: &Plan) {
        for &op in &plan.kv {
            let done = match op {
                KvOp::Copy { from, to, len } => {
                    let end = u32::try_from(len).unwrap_or(u32::MAX);
                    self.context
                        .kv_cache_seq_cp(row_id(from), row_id(to), Some(0), Some(end))
                        .map_err(|error| error.to_string())
                }
                KvOp::Remove { row, start } => self.free_cells(row, start),
            };
            if let Err(error) = done {
                tracing::error!(?op, error, "the KV cache did not take a change");
            }
        }
        for begun in &plan.begun {
            if let Some(sequence) = self.sequences.get_mut(&begun.id) {
                sequence.note_cached(begun.cached);
                self.parts.metrics.prefix_cache(sequence.tokens.len(), begun.cached);
            }
        }
        self.parts.metrics.preempted(plan.preempted.len());
    }

    pub(super) fn free_cells(&mut self, row: Row, start: usize) -> Result<(), String> {
        let start = u32::try_from(start).map_err(|error| error.to_string())?;
        match self.context.kv_cache_seq_rm(row_id(row), Some(start), None) {
            Ok(()) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Computes and draws.
    fn step(&mut self, work: &[Work]) {
        let tokens: usize = work.iter().map(|work| work.len).sum();
        self.decoding = work.iter().filter(|work| work.decodes).count();
        let only_decodes = self.decoding == work.len();
        self.governor.before_step(&mut self.context);
        let began = Instant::now();
        self.begin_masks(work);
        let decoded = self.decode(work);
        self.take_masks();
        let took = began.elapsed();
        self.governor.after_step(took);
        self.parts.metrics.threads(self.governor.threads());
        if only_decodes {
            self.cost.observe(tokens, took.as_secs_f64());
        }
        match decoded {
            Ok(()) => self.draw(work),
            Err(message) => self.fail_step(work, &message),
        }
        let prefill: usize = work.iter().filter(|work| !work.decodes).map(|work| work.len).sum();
        self.parts.metrics.step(began.elapsed(), prefill, self.decoding);
    }

    /// Hands the constraints out of which a mask is needed after the step.
    fn begin_masks(&mut self, work: &[Work]) {
        let mut jobs = Vec::new();
        for item in work.iter().filter(|item| item.sample) {
            let Some(sequence) = self.sequences.get_mut(&item.id) else { continue };
            if sequence.constraint.as_ref().is_some_and(Constraint::has_begun)
                && let Some(constraint) = sequence.constraint.take()
            {
                jobs.push((item.id, constraint));
            }
        }
        self.masks.begin(jobs);
    }

    fn take_masks(&mut self) {
        for (id, constraint) in self.masks.take() {
            if let Some(sequence) = self.sequences.get_mut(&id) {
                sequence.constraint = Some(constraint);
            }
        }
    }

    /// Runs the model over the planned ranges. Errors are for the log.
    fn decode(&mut self, work: &[Work]) -> Result<(), String> {
        self.batch.clear();
        for item in work {
            let Some(sequence) = self.sequences.get(&item.id) else {
                return Err(format!("sequence {} is planned but not known", item.id));
            };
            let known_end = item.start + item.len - item.draft;
            let guesses = self.drafts.get(&item.id).map_or(&[][..], Vec::as_slice);
            let tokens = sequence.tokens[item.start..known_end].iter().chain(guesses.iter().take(item.draft));
            for (position, &id) in (item.start..).zip(tokens) {
                let is_drawn_from = item.sample && position + 1 >= known_end;
                let wants_logits = is_drawn_from || sequence.scores_prompt_at(position);
                let position_id = i32::try_from(position).map_err(|error| error.to_string())?;
                self.batch
                    .add(token(id), position_id, &[row_id(item.row)], wants_logits)
                    .map_err(|error| error.to_string())?;
            }
        }
        self.context.decode(&mut self.batch).map_err(|error| error.to_string())
    }

    /// The step failed in native code: its sequences end with an error, the others go on.
    fn fail_step(&mut self, work: &[Work], message: &str) {
        tracing::error!(message, sequences = work.len(), "a step of the model failed");
        for item in work {
            if let Some(sequence) = self.leave(item.id, true) {
                sequence.fail(EngineError::Native(message.to_owned()));
            }
        }
    }

    pub(super) fn show_gauges(&self) {
        let scheduler = &self.scheduler;
        let cache = scheduler.cache();
        let metrics = &self.parts.metrics;
        let total = self.parts.capacity.cells as usize;
        metrics.gauges(scheduler.running(), scheduler.waiting(), cache.active_cells(), total);
        metrics.cached_cells(cache.cells() - cache.active_cells(), cache.evicted_cells());
    }
}

/// llama.cpp's sequence id of a row.
pub(super) fn row_id(row: Row) -> i32 {
    i32::try_from(row).unwrap_or(i32::MAX)
}
