//! The thread that owns the context: takes requests in, fills steps from them in turn, answers.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::vector::normalized;
use crate::cpu::{POLL, ThreadPool};
use crate::error::EngineError;
use crate::model::{Model, token};

/// Most inputs of one step.
const SEQUENCES: usize = 32;

/// What the thread is told.
pub(super) enum Command {
    Submit(Job),
    Shutdown,
}

/// What the thread works with.
pub(super) struct Parts {
    pub(super) model: Arc<Model>,
    pub(super) pooling: LlamaPoolingType,
    /// Most tokens of one input, and of one step.
    pub(super) window: u32,
    pub(super) threads: usize,
    pub(super) inbox: Receiver<Command>,
}

type Reply = oneshot::Sender<Result<Vec<Vec<f32>>, EngineError>>;

/// One request under way.
pub(super) struct Job {
    inputs: Vec<Vec<u32>>,
    /// The vectors of the first inputs.
    vectors: Vec<Vec<f32>>,
    reply: Reply,
    /// Given back when the job ends.
    place: OwnedSemaphorePermit,
}

impl Job {
    pub(super) fn new(inputs: Vec<Vec<u32>>, reply: Reply, place: OwnedSemaphorePermit) -> Self {
        Self { vectors: Vec::with_capacity(inputs.len()), inputs, reply, place }
    }

    /// Answers. Nobody may wait for it any more.
    fn answer(self, outcome: Result<Vec<Vec<f32>>, EngineError>) {
        // Whoever has the answer may ask again at once.
        drop(self.place);
        drop(self.reply.send(outcome));
    }
}

/// Makes the context, reports, and works until told to stop.
pub(super) fn run(backend: &LlamaBackend, parts: &Parts, ready: &Sender<Result<(), EngineError>>) {
    let context = match make_context(backend, parts) {
        Ok(context) => context,
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    let batch = LlamaBatch::new(parts.window as usize, 1);
    let mut worker = Worker { context, batch, jobs: VecDeque::new(), parts };
    drop(ready.send(Ok(())));
    while worker.take_new_work() {
        worker.jobs.retain(|job| !job.reply.is_closed());
        let plan = plan(worker.jobs.iter().map(remaining), parts.window as usize);
        match worker.step(&plan) {
            Ok(()) => worker.answer_complete(),
            Err(message) => worker.fail(&plan, &message),
        }
    }
    for job in worker.jobs {
        job.answer(Err(EngineError::ShuttingDown));
    }
}

fn make_context<'model>(backend: &LlamaBackend, parts: &'model Parts) -> Result<LlamaContext<'model>, EngineError> {
    let threads = i32::try_from(parts.threads).unwrap_or(i32::MAX);
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(parts.window))
        // A text is pooled within one step, and read in both directions at once.
        .with_n_batch(parts.window)
        .with_n_ubatch(parts.window)
        .with_n_seq_max(u32::try_from(SEQUENCES).unwrap_or(1))
        .with_kv_unified(true)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_embeddings(true)
        .with_pooling_type(parts.pooling)
        .with_no_perf(true);
    let mut context = parts.model.weights.new_context(backend, params).map_err(|error| {
        EngineError::Native(format!("the context of {} tokens can not be made: {error}", parts.window))
    })?;
    ThreadPool::new(parts.threads, POLL)?.attach(&mut context)?;
    Ok(context)
}

/// Lengths of the inputs that have no vector yet.
fn remaining(job: &Job) -> impl Iterator<Item = usize> {
    job.inputs.iter().skip(job.vectors.len()).map(Vec::len)
}

/// Which jobs get their next input into this step: in turn, so that a long list does not hold a
/// short one back, until the step is full. A job stands here once per input.
fn plan(jobs: impl Iterator<Item = impl Iterator<Item = usize>>, tokens: usize) -> Vec<usize> {
    let mut open: Vec<_> = jobs.map(Iterator::peekable).enumerate().collect();
    let mut planned = Vec::new();
    let mut left = tokens;
    while !open.is_empty() {
        open.retain_mut(|(job, lengths)| match lengths.next_if(|&length| length <= left) {
            Some(length) if planned.len() < SEQUENCES => {
                left -= length;
                planned.push(*job);
                true
            }
            _ => false,
        });
    }
    planned
}

struct Worker<'model> {
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    jobs: VecDeque<Job>,
    parts: &'model Parts,
}

impl Worker<'_> {
    /// Takes what has come; waits when there is nothing to do. False: stop.
    fn take_new_work(&mut self) -> bool {
        loop {
            let command = if self.jobs.is_empty() {
                self.parts.inbox.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.parts.inbox.try_recv()
            };
            match command {
                Ok(Command::Submit(job)) => self.jobs.push_back(job),
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    /// Computes the next vectors of the planned jobs. Errors are for the log.
    fn step(&mut self, plan: &[usize]) -> Result<(), String> {
        if plan.is_empty() {
            return Ok(());
        }
        self.batch.clear();
        let mut taken = vec![0; self.jobs.len()];
        for (sequence, &job) in (0..).zip(plan) {
            let inputs = self.jobs.get(job).map(|job| job.inputs.iter().skip(job.vectors.len()));
            let input = inputs.and_then(|mut inputs| inputs.nth(taken[job])).ok_or("a planned input is gone")?;
            for (position, &id) in (0..).zip(input) {
                self.batch.add(token(id), position, &[sequence], true).map_err(|error| error.to_string())?;
            }
            taken[job] += 1;
        }
        self.context.clear_kv_cache();
        self.context.decode(&mut self.batch).map_err(|error| error.to_string())?;
        for (sequence, &job) in (0..).zip(plan) {
            let vector = self.context.embeddings_seq_ith(sequence).map_err(|error| error.to_string())?;
            if let Some(job) = self.jobs.get_mut(job) {
                job.vectors.push(normalized(vector.to_vec()));
            }
        }
        Ok(())
    }

    fn answer_complete(&mut self) {
        for _ in 0..self.jobs.len() {
            let Some(mut job) = self.jobs.pop_front() else { return };
            if job.vectors.len() < job.inputs.len() {
                self.jobs.push_back(job);
            } else {
                let vectors = std::mem::take(&mut job.vectors);
                job.answer(Ok(vectors));
            }
        }
    }

    /// The step failed in native code: its jobs end with an error, the others go on.
    fn fail(&mut self, plan: &[usize], message: &str) {
        tracing::error!(message, inputs = plan.len(), "a step of the model failed");
        for (index, job) in std::mem::take(&mut self.jobs).into_iter().enumerate() {
            if plan.contains(&index) {
                job.answer(Err(EngineError::Native(message.to_owned())));
            } else {
                self.jobs.push_back(job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(jobs: &[&[usize]], tokens: usize) -> Vec<usize> {
        plan(jobs.iter().map(|lengths| lengths.iter().copied()), tokens)
    }

    #[test]
    fn jobs_take_turns_until_the_step_is_full() {
        assert_eq!(planned(&[&[2, 2, 2, 2], &[3]], 8), [0, 1, 0]);
        assert_eq!(planned(&[&[8, 1], &[8]], 8), [0]);
        assert_eq!(planned(&[&[5], &[4], &[3]], 8), [0, 2]);
        assert_eq!(planned(&[&[1; 100]], 512).len(), SEQUENCES);
        assert!(planned(&[], 8).is_empty());
    }
}
