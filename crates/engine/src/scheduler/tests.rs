use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::prefix_cache::cells::Cells;

fn limits() -> Limits {
    Limits { slots: 2, rows: 8, cells: 1000, ended: 1000, window: 1000, chunk: 10, batch: 100, reuse: true }
}

/// A sequence of `len` tokens that shares none with another id.
fn submit(scheduler: &mut Scheduler, id: SequenceId, len: u32) {
    let start = u32::try_from(id).unwrap() * 10_000;
    scheduler.submit(submission(id, (start..start + len).collect()));
}

fn submission(id: SequenceId, tokens: Vec<u32>) -> Submission {
    Submission { id, logits_from: tokens.len() - 1, tokens, adapter: 0, scores: false }
}

/// What a plan computes, without rows: id, start, length, draft, whether a token is sampled.
fn work(plan: &Plan) -> Vec<(SequenceId, usize, usize, usize, bool)> {
    plan.work.iter().map(|work| (work.id, work.start, work.len, work.draft, work.sample)).collect()
}

fn begun(plan: &Plan) -> Vec<(SequenceId, usize)> {
    plan.begun.iter().map(|begun| (begun.id, begun.cached)).collect()
}

#[test]
fn many_short_scores_share_a_step_behind_one_beginning() {
    let limits = Limits { rows: 40, ..limits() };
    let mut scheduler = Scheduler::new(limits);
    let text: Vec<u32> = (0..50).collect();
    let scored = |id: SequenceId, label: &[u32], logits_from| Submission {
        logits_from,
        scores: true,
        ..submission(id, text.iter().chain(label).copied().collect())
    };
    scheduler.submit(scored(0, &[100, 101], 49));
    for id in 1..12 {
        scheduler.submit(scored(id, &[200 + u32::try_from(id).unwrap(), 7], 50));
    }
    submit(&mut scheduler, 99, 3);
    // The text once, by the first; the chat needs a slot, of which no score takes one.
    assert_eq!(work(&scheduler.plan()), [(0, 0, 52, 0, true), (99, 0, 3, 0, true)]);
    scheduler.advance(99, &[1], 0);
    assert!(scheduler.remove(0, false));
    let plan = scheduler.plan();
    assert_eq!(begun(&plan), (1..12).map(|id| (id, 50)).collect::<Vec<_>>());
    let sum: usize = plan.work.iter().map(|work| work.len).sum();
    assert_eq!((plan.work.len(), sum), (6, 1 + 10), "the chat's token, and a chunk");
    for id in (1..12).chain([99]) {
        assert!(scheduler.remove(id, false));
    }
    // One row stays, with the text.
    assert!((50..62).contains(&scheduler.cache().cells()), "{}", scheduler.cache().cells());
}

#[test]
fn a_long_prompt_is_cut_into_batches_and_then_decodes() {
    let mut scheduler = Scheduler::new(limits());
    submit(&mut scheduler, 7, 150);
    let plan = scheduler.plan();
    assert_eq!(begun(&plan), [(7, 0)]);
    assert_eq!(work(&plan), [(7, 0, 100, 0, false)]);
    assert_eq!(work(&scheduler.plan()), [(7, 100, 50, 0, true)]);
    assert_eq!(work(&scheduler.plan()), [], "nothing to compute until the sampled token is appended");
    scheduler.advance(7, &[1], 0);
    assert_eq!(work(&scheduler.plan()), [(7, 150, 1, 0, true)]);
    assert!(scheduler.remove(7, false));
    assert!(!scheduler.remove(7, false));
    assert!(scheduler.is_idle());
    assert_eq!((scheduler.cache().active_cells(), scheduler.cache().cells()), (0, 151));
}

#[test]
fn decoding_goes_first_and_prompts_share_the_chunk() {
    let mut scheduler = Scheduler::new(Limits { slots: 4, ..limits() });
    submit(&mut scheduler, 1, 5);
    scheduler.plan();
    scheduler.advance(1, &[1], 0);
    for (id, prompt) in [(2, 4), (3, 4), (4, 40)] {
        submit(&mut scheduler, id, prompt);
    }
    let expected = [(1, 5, 1, 0, true), (2, 0, 4, 0, true), (3, 0, 4, 0, true), (4, 0, 2, 0, false)];
    assert_eq!(work(&scheduler.plan()), expected);
}

#[test]
fn admission_is_first_come_first_served() {
    let mut scheduler = Scheduler::new(Limits { slots: 3, ..limits() });
    for (id, prompt) in [(1, 600), (2, 600), (3, 1)] {
        submit(&mut scheduler, id, prompt);
    }
    assert_eq!(begun(&scheduler.plan()), [(1, 0)], "3 would fit, but must not overtake 2");
    assert_eq!((scheduler.running(), scheduler.waiting()), (1, 2));
    scheduler.remove(1, true);
    assert_eq!(begun(&scheduler.plan()), [(2, 0), (3, 0)]);
}

#[test]
fn the_youngest_gives_way_and_comes_back_first() {
    let mut scheduler = Scheduler::new(Limits { cells: 160, window: 160, ..limits() });
    for (id, prompt) in [(1, 45), (2, 45), (3, 1)] {
        submit(&mut scheduler, id, prompt);
    }
    assert_eq!(scheduler.plan().work.len(), 2);
    let preempted = loop {
        scheduler.advance(1, &[1], 0);
        scheduler.advance(2, &[2], 0);
        let plan = scheduler.plan();
        assert!(scheduler.cache().active_cells() <= 160);
        if !plan.preempted.is_empty() {
            break plan;
        }
        assert_eq!(plan.work.len(), 2);
    };
    assert_eq!(preempted.preempted, [2]);
    assert_eq!(preempted.begun, [], "it does not fit and nothing overtakes it");
    assert_eq!(preempted.work.len(), 1);
    scheduler.remove(1, false);
    let plan = scheduler.plan();
    assert_eq!(plan.begun[0].id, 2);
    let cached = plan.begun[0].cached;
    assert!(cached > 0 && cached < 81, "a part of its cells was still there: {cached}");
    assert_eq!(work(&plan)[0], (2, cached, 81 - cached, 0, true), "the rest is computed again");
}

#[test]
fn what_was_computed_is_used_again() {
    let mut scheduler = Scheduler::new(limits());
    let tokens: Vec<u32> = (0..50).collect();
    scheduler.submit(submission(1, tokens.clone()));
    scheduler.plan();
    scheduler.advance(1, &[77], 0);
    scheduler.plan();
    // The donor still runs; the answer is a part of the conversation.
    let more: Vec<u32> = tokens.iter().copied().chain([77, 78, 79]).collect();
    scheduler.submit(submission(2, more));
    let plan = scheduler.plan();
    assert_eq!(begun(&plan), [(2, 51)]);
    assert_eq!(work(&plan), [(2, 51, 2, 0, true)]);
    scheduler.remove(1, false);
    scheduler.remove(2, false);
    // The same prompt again: its last token is computed, for its logits.
    scheduler.submit(submission(3, tokens.clone()));
    assert_eq!(begun(&scheduler.plan()), [(3, 49)]);
    scheduler.remove(3, false);
    let others = [
        Submission { adapter: 1, ..submission(4, tokens.clone()) },
        Submission { logits_from: 0, ..submission(5, tokens) },
    ];
    for other in others {
        let id = other.id;
        scheduler.submit(other);
        assert_eq!(begun(&scheduler.plan()), [(id, 0)]);
        scheduler.remove(id, true);
    }
}

#[test]
fn one_computes_a_shared_beginning_and_the_others_wait_for_it() {
    let mut scheduler = Scheduler::new(Limits { slots: 16, rows: 32, ..limits() });
    for id in 0..8_u32 {
        let tokens = (0..250).chain([1000 + id]).collect();
        scheduler.submit(submission(u64::from(id), tokens));
    }
    assert_eq!(work(&scheduler.plan()), [(0, 0, 100, 0, false)]);
    assert_eq!(work(&scheduler.plan()), [(0, 100, 100, 0, false)]);
    assert_eq!(work(&scheduler.plan()), [(0, 200, 51, 0, true)]);
    let plan = scheduler.plan();
    assert_eq!(begun(&plan), (1..8).map(|id| (id, 250)).collect::<Vec<_>>());
    assert!(plan.work.iter().all(|work| work.len == 1 && work.sample));
    assert_eq!(scheduler.cache().active_cells(), 251);
}

#[test]
fn followers_of_a_leader_that_leaves_go_on_alone() {
    let mut scheduler = Scheduler::new(limits());
    for id in 0..2 {
        scheduler.submit(submission(id, (0..300).collect()));
    }
    assert_eq!(work(&scheduler.plan()), [(0, 0, 100, 0, false)]);
    scheduler.remove(0, false);
    let plan = scheduler.plan();
    assert_eq!(begun(&plan), [(1, 100)]);
    assert_eq!(work(&plan), [(1, 100, 100, 0, false)]);
}

#[test]
fn drafts_and_certain_tokens_share_what_the_step_has_left() {
    let mut scheduler = Scheduler::new(Limits { slots: 4, ..limits() });
    submit(&mut scheduler, 1, 5);
    scheduler.plan();
    scheduler.advance(1, &[1], 0);
    scheduler.propose(1, 20);
    assert_eq!(work(&scheduler.plan()), [(1, 5, 11, 10, true)], "cut to the chunk");
    // Two of the drafts were right, and then something else was drawn.
    scheduler.advance(1, &[2, 3, 4], 2);
    assert_eq!(work(&scheduler.plan()), [(1, 8, 1, 0, true)]);
    // A grammar that leaves no choice appends several at once.
    scheduler.advance(1, &[5, 6, 7], 0);
    scheduler.propose(1, 4);
    submit(&mut scheduler, 2, 40);
    assert_eq!(work(&scheduler.plan()), [(1, 9, 7, 4, true), (2, 0, 4, 0, false)], "half of the rest for drafts");
}

#[test]
fn small_limits_still_move() {
    let mut scheduler =
        Scheduler::new(Limits { slots: 0, rows: 0, cells: 0, ended: 0, window: 3, chunk: 0, batch: 0, reuse: false });
    submit(&mut scheduler, 1, 2);
    submit(&mut scheduler, 2, 2);
    assert_eq!(work(&scheduler.plan()), [(1, 0, 1, 0, false)]);
    assert_eq!(work(&scheduler.plan()), [(1, 1, 1, 0, true)]);
    scheduler.remove(1, false);
    assert_eq!(work(&scheduler.plan()), [(2, 0, 1, 0, false)]);
    assert_eq!(scheduler.cache().cells(), 0, "nothing is kept");
}

/// One request of the simulation.
#[derive(Debug, Clone)]
struct Request {
    /// Steps after the one before.
    after: usize,
    /// Share of the window, in thousandths.
    prompt: usize,
    /// Share of what is left of the window, in thousandths.
    answer: usize,
    /// Cancelled that many steps after its arrival.
    cancel: Option<usize>,
    /// Prompts of a family begin alike, this many thousandths of them.
    family: u32,
    alike: usize,
    adapter: u32,
    /// Share of the prompt whose logits are wanted, in thousandths; `None`: it generates.
    scores: Option<usize>,
    fresh: bool,
    /// Guesses per step, and how many of them come true.
    draft: usize,
    right: usize,
}

fn request() -> impl Strategy<Value = Request> {
    let times = (0_usize..6, 0_usize..1000, 0_usize..=1000, prop::option::weighted(0.2, 0_usize..60));
    let scores = prop::option::weighted(0.3, 0_usize..=1000);
    let sharing = (0_u32..3, 0_usize..=1000, 0_u32..2, prop::bool::weighted(0.1), scores);
    (times, sharing, 0_usize..6, 0_usize..6).prop_map(
        |((after, prompt, answer, cancel), (family, alike, adapter, fresh, scores), draft, right)| Request {
            after,
            prompt,
            answer,
            cancel,
            family,
            alike,
            adapter,
            scores,
            fresh,
            draft,
            right,
        },
    )
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let sizes = (1_usize..9, 0_usize..9, 1_usize..80, 0_usize..300, 0_usize..300);
    (sizes, 1_usize..30, 1_usize..60, any::<bool>()).prop_map(
        |((slots, rows, window, extra, ended), chunk, batch, reuse)| Limits {
            slots,
            rows: slots + rows,
            cells: window + extra,
            ended,
            window,
            chunk,
            batch,
            reuse,
        },
    )
}

/// A request as the simulated worker sees it.
#[derive(Debug)]
struct Live {
    arrived: usize,
    tokens: Vec<u32>,
    logits_from: usize,
    end: usize,
    cancel_at: Option<usize>,
    request: Request,
    row: Option<Row>,
    decodes: bool,
}

struct Simulation {
    limits: Limits,
    scheduler: Scheduler,
    live: HashMap<SequenceId, Live>,
    ended: HashSet<SequenceId>,
    cells: Cells,
    step: usize,
}

impl Simulation {
    fn arrive(&mut self, id: SequenceId, request: &Request) {
        let window = self.limits.window;
        let len = 1 + request.prompt * (window - 1) / 1000;
        let end = if request.scores.is_some() { len } else { len + request.answer * (window - len) / 1000 };
        let own = u32::try_from(id).unwrap() * 1000 + 10_000;
        let alike = len * request.alike / 1000;
        let token = |index: usize| {
            let index_id = u32::try_from(index).unwrap();
            if index < alike { request.family * 100 + index_id } else { own + index_id }
        };
        let tokens: Vec<u32> = (0..len).map(token).collect();
        let logits_from = if request.fresh { 0 } else { (len - 1) * (1000 - request.scores.unwrap_or(0)) / 1000 };
        let scores = request.scores.is_some();
        let submission = Submission { logits_from, adapter: request.adapter, scores, ..submission(id, tokens.clone()) };
        self.scheduler.submit(submission);
        let cancel_at = request.cancel.map(|steps| self.step + steps);
        let request = request.clone();
        let live = Live { arrived: self.step, tokens, logits_from, end, cancel_at, request, row: None, decodes: false };
        assert!(self.live.insert(id, live).is_none());
    }

    fn end(&mut self, id: SequenceId) {
        self.live.remove(&id).expect("a live sequence");
        assert!(self.scheduler.remove(id, false));
        assert!(!self.scheduler.remove(id, false));
        assert!(self.ended.insert(id), "{id} ended twice");
    }

    fn cancel_due(&mut self) {
        let due: Vec<_> =
            self.live.iter().filter(|(_, live)| live.cancel_at == Some(self.step)).map(|(&id, _)| id).collect();
        for id in due {
            self.end(id);
        }
    }

    /// One step of the worker, with everything checked that holds in every step.
    fn run_step(&mut self) {
        for (&id, live) in &self.live {
            self.scheduler.propose(id, live.request.draft);
        }
        let oldest = self.live.iter().min_by_key(|(id, live)| (live.arrived, **id)).map(|(&id, _)| id);
        let plan = self.scheduler.plan();
        self.cells.follow(plan.kv.clone());
        self.follow_begun(&plan);
        self.follow_work(&plan);
        if let Some(oldest) = oldest {
            assert!(plan.work.iter().any(|work| work.id == oldest), "the oldest, {oldest}, stands still: {plan:?}");
        }
        for work in plan.work.iter().filter(|work| work.sample) {
            self.sample(*work);
        }
        self.step += 1;
    }

    fn sample(&mut self, work: Work) {
        let live = self.live.get_mut(&work.id).expect("a live sequence");
        let room = live.end - live.tokens.len();
        let verified = work.draft.min(live.request.right).min(room.saturating_sub(1));
        self.cells.follow(vec![KvOp::Remove { row: work.row, start: live.tokens.len() + verified }]);
        if room == 0 {
            self.end(work.id);
            return;
        }
        let next = u32::try_from(live.tokens.len()).unwrap() + 1_000_000;
        let tokens: Vec<u32> = (0..=verified).map(|index| next + u32::try_from(index).unwrap()).collect();
        live.tokens.extend(&tokens);
        // Its prompt has been seen.
        (live.decodes, live.logits_from) = (true, live.tokens.len() - 1);
        // The cells of verified drafts hold what is now known.
        let guesses = self.cells.cells.iter_mut().filter(|(_, _, rows)| rows.contains(&work.row));
        for (position, token, _) in guesses {
            *token = live.tokens[*position];
        }
        self.scheduler.advance(work.id, &tokens, verified);
    }

    fn follow_begun(&mut self, plan: &Plan) {
        for id in &plan.preempted {
            let live = self.live.get_mut(id).expect("a live sequence");
            (live.row, live.decodes) = (None, false);
        }
        for begun in &plan.begun {
            let live = &self.live[&begun.id];
            assert!(live.row.is_none() && begun.cached < live.tokens.len());
            assert!(begun.cached <= if self.limits.reuse { live.logits_from } else { 0 });
        }
        // Nobody overtakes: whoever runs arrived before whoever waits.
        assert_eq!(self.scheduler.running() + self.scheduler.waiting(), self.live.len());
        let (slots, rows) = (self.limits.slots, self.limits.rows);
        assert!(self.scheduler.generating() <= slots && self.scheduler.running() <= rows);
    }

    fn follow_work(&mut self, plan: &Plan) {
        let mut budgeted = 0;
        for work in &plan.work {
            let live = self.live.get_mut(&work.id).expect("a live sequence");
            assert!(live.row.is_none_or(|row| row == work.row));
            live.row = Some(work.row);
            let held = self.cells.of(work.row);
            assert_eq!(held, live.tokens[..work.start], "what is in the cells is what the sequence says");
            let known = work.start + work.len - work.draft;
            assert!(work.len > work.draft && known <= live.tokens.len());
            assert_eq!(work.sample, known == live.tokens.len());
            assert!(work.draft == 0 || work.sample);
            let mut computed = live.tokens[work.start..known].to_vec();
            computed.resize(work.len, 0);
            self.cells.compute(work.row, &computed);
            budgeted += work.len - usize::from(live.decodes);
            assert_eq!(work.decodes, live.decodes);
        }
        let worked: Vec<_> = plan.work.iter().map(|work| work.id).collect();
        assert_eq!(worked.iter().collect::<HashSet<_>>().len(), worked.len(), "a sequence twice in a step");
        let decoded = plan.work.iter().filter(|work| work.decodes).count();
        assert!(plan.work[..decoded].iter().all(|work| work.decodes), "decoding sequences go first");
        let budget = if decoded > 0 { self.limits.chunk } else { self.limits.batch };
        assert!(budgeted <= budget, "{budgeted} > {budget}");
        assert!(self.cells.cells.len() <= self.limits.cells, "the cache overflows");
        let cache = self.scheduler.cache();
        assert!(cache.cells() - cache.active_cells() <= self.limits.ended, "ended sequences keep too much");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_request_ends_once_and_within_its_bound(
        limits in any_limits(),
        requests in prop::collection::vec(request(), 1..40),
    ) {
        let scheduler = Scheduler::new(limits);
        let cells = Cells::default();
        let mut simulation =
            Simulation { limits, scheduler, live: HashMap::new(), ended: HashSet::new(), cells, step: 0 };
        for (id, request) in (0..).zip(&requests) {
            for _ in 0..request.after {
                simulation.cancel_due();
                simulation.run_step();
            }
            simulation.arrive(id, request);
        }
        // The oldest takes at least one token per step and is never sent back, so each one that is
        // ahead takes at most a window of steps.
        let bound = simulation.step + simulation.live.len() * (limits.window + 1);
        while !simulation.scheduler.is_idle() {
            prop_assert!(simulation.step <= bound, "{} still there", simulation.live.len());
            simulation.cancel_due();
            simulation.run_step();
        }
        prop_assert!(simulation.live.is_empty());
        prop_assert_eq!(simulation.ended.len(), requests.len());
        prop_assert_eq!(simulation.scheduler.cache().active_cells(), 0);
        prop_assert!(limits.reuse || simulation.scheduler.cache().cells() == 0);
    }
}
