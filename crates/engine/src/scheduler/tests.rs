use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    Limits { slots: 2, cells: 1000, window: 1000, chunk: 10, batch: 100, queue: 2 }
}

fn work(id: SequenceId, slot: usize, start: usize, len: usize, sample: bool) -> Work {
    Work { id, slot, start, len, sample }
}

#[test]
fn a_long_prompt_is_cut_into_batches_and_then_decodes() {
    let mut scheduler = Scheduler::new(limits());
    scheduler.submit(7, 150).unwrap();
    let plan = scheduler.plan();
    assert_eq!(plan.admitted, [(7, 0)]);
    assert_eq!(plan.work, [work(7, 0, 0, 100, false)]);
    assert_eq!(scheduler.plan().work, [work(7, 0, 100, 50, true)]);
    assert_eq!(scheduler.plan().work, [], "nothing to compute until the sampled token is appended");
    scheduler.appended(7);
    assert_eq!(scheduler.plan().work, [work(7, 0, 150, 1, true)]);
    assert_eq!(scheduler.cells_used(), 151);
    assert_eq!(scheduler.remove(7), Some(Some(0)));
    assert_eq!(scheduler.remove(7), None);
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.cells_used(), 0);
}

#[test]
fn decoding_goes_first_and_prompts_share_the_chunk() {
    let mut scheduler = Scheduler::new(Limits { slots: 4, ..limits() });
    scheduler.submit(1, 5).unwrap();
    scheduler.plan();
    scheduler.appended(1);
    for (id, prompt) in [(2, 4), (3, 4), (4, 40)] {
        scheduler.submit(id, prompt).unwrap();
    }
    let expected = [work(1, 0, 5, 1, true), work(2, 1, 0, 4, true), work(3, 2, 0, 4, true), work(4, 3, 0, 2, false)];
    assert_eq!(scheduler.plan().work, expected);
}

#[test]
fn admission_is_first_come_first_served() {
    let mut scheduler = Scheduler::new(Limits { slots: 3, cells: 1000, ..limits() });
    scheduler.submit(1, 600).unwrap();
    scheduler.submit(2, 600).unwrap();
    scheduler.submit(3, 1).unwrap();
    assert_eq!(scheduler.plan().admitted, [(1, 0)], "3 would fit, but must not overtake 2");
    assert_eq!((scheduler.running(), scheduler.waiting()), (1, 2));
    scheduler.remove(1);
    assert_eq!(scheduler.plan().admitted, [(2, 0), (3, 1)]);
}

#[test]
fn the_queue_is_bounded_but_free_slots_do_not_count() {
    let mut scheduler = Scheduler::new(limits());
    for id in 0..4 {
        scheduler.submit(id, 10).unwrap();
    }
    assert_eq!(scheduler.submit(4, 10), Err(QueueFull { waiting: 4, limit: 2 }));
    scheduler.plan();
    assert_eq!(scheduler.submit(4, 10), Err(QueueFull { waiting: 2, limit: 2 }));
    assert_eq!(scheduler.remove(3), Some(None));
    scheduler.submit(4, 10).unwrap();
}

#[test]
fn the_youngest_gives_way_and_comes_back_first() {
    let mut scheduler = Scheduler::new(Limits { slots: 2, cells: 40, window: 40, batch: 100, chunk: 10, queue: 9 });
    for (id, prompt) in [(1, 12), (2, 12), (3, 1)] {
        scheduler.submit(id, prompt).unwrap();
    }
    assert_eq!(scheduler.plan().work.len(), 2);
    let preempted = loop {
        scheduler.appended(1);
        scheduler.appended(2);
        let plan = scheduler.plan();
        assert!(scheduler.cells_used() <= 40);
        if !plan.preempted.is_empty() {
            break plan;
        }
        assert_eq!(plan.work.len(), 2);
    };
    assert_eq!(preempted.preempted, [(2, 1)]);
    assert_eq!(preempted.admitted, [], "it does not fit and nothing overtakes it");
    assert_eq!(preempted.work.len(), 1);
    scheduler.remove(1);
    let plan = scheduler.plan();
    assert_eq!(plan.admitted, [(2, 0), (3, 1)]);
    assert_eq!(plan.work[0], work(2, 0, 0, 21, true), "its answer so far is prefilled again");
}

#[test]
fn small_limits_still_move() {
    let mut scheduler = Scheduler::new(Limits { slots: 0, cells: 0, window: 3, chunk: 0, batch: 0, queue: 0 });
    scheduler.submit(1, 2).unwrap();
    assert_eq!(scheduler.submit(2, 2), Err(QueueFull { waiting: 1, limit: 0 }));
    assert_eq!(scheduler.plan().work, [work(1, 0, 0, 1, false)]);
    assert_eq!(scheduler.plan().work, [work(1, 0, 1, 1, true)]);
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
}

fn request() -> impl Strategy<Value = Request> {
    (0_usize..6, 0_usize..1000, 0_usize..=1000, prop::option::weighted(0.2, 0_usize..60))
        .prop_map(|(after, prompt, answer, cancel)| Request { after, prompt, answer, cancel })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (1_usize..9, 1_usize..80, 0_usize..300, 1_usize..30, 1_usize..60, 0_usize..20).prop_map(
        |(slots, window, extra, chunk, batch, queue)| Limits {
            slots,
            cells: window + extra,
            window,
            chunk,
            batch,
            queue,
        },
    )
}

/// A request as the simulated worker sees it.
#[derive(Debug)]
struct Live {
    arrived: usize,
    tokens: usize,
    end: usize,
    cancel_at: Option<usize>,
    slot: Option<usize>,
    /// Cells filled, as the plans said.
    cells: usize,
}

struct Simulation {
    limits: Limits,
    scheduler: Scheduler,
    live: HashMap<SequenceId, Live>,
    ended: HashSet<SequenceId>,
    step: usize,
}

impl Simulation {
    fn arrive(&mut self, id: SequenceId, request: &Request) {
        let window = self.limits.window;
        let tokens = 1 + request.prompt * (window - 1) / 1000;
        let end = tokens + request.answer * (window - tokens) / 1000;
        let waiting = self.scheduler.waiting();
        match self.scheduler.submit(id, tokens) {
            Ok(()) => {
                let cancel_at = request.cancel.map(|steps| self.step + steps);
                let live = Live { arrived: self.step, tokens, end, cancel_at, slot: None, cells: 0 };
                assert!(self.live.insert(id, live).is_none());
            }
            Err(full) => {
                assert_eq!(full, QueueFull { waiting, limit: self.limits.queue });
                assert!(waiting >= self.limits.queue);
            }
        }
    }

    fn end(&mut self, id: SequenceId) {
        let live = self.live.remove(&id).expect("a live sequence");
        assert_eq!(self.scheduler.remove(id), Some(live.slot));
        assert_eq!(self.scheduler.remove(id), None);
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
        let decoding: HashSet<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.slot.is_some() && live.cells > 0 && live.cells + 1 == live.tokens)
            .map(|(&id, _)| id)
            .collect();
        let oldest = self.live.iter().min_by_key(|(id, live)| (live.arrived, **id)).map(|(&id, _)| id);
        let plan = self.scheduler.plan();
        self.follow_slots(&plan);
        self.follow_work(&plan, &decoding);
        if let Some(oldest) = oldest {
            assert!(plan.work.iter().any(|work| work.id == oldest), "the oldest, {oldest}, stands still: {plan:?}");
        }
        let sampled: Vec<_> = plan.work.iter().filter(|work| work.sample).map(|work| work.id).collect();
        for id in sampled {
            let live = self.live.get_mut(&id).expect("a live sequence");
            if live.tokens == live.end {
                self.end(id);
            } else {
                live.tokens += 1;
                self.scheduler.appended(id);
            }
        }
        self.step += 1;
    }

    fn follow_slots(&mut self, plan: &Plan) {
        for &(id, slot) in &plan.preempted {
            let live = self.live.get_mut(&id).expect("a live sequence");
            assert_eq!(live.slot.take(), Some(slot));
            live.cells = 0;
        }
        for &(id, slot) in &plan.admitted {
            assert!(slot < self.limits.slots);
            assert!(self.live.values().all(|live| live.slot != Some(slot)), "slot {slot} is taken");
            assert_eq!(self.live.get_mut(&id).expect("a live sequence").slot.replace(slot), None);
        }
        // Nobody overtakes: whoever runs arrived before whoever waits.
        let youngest = self.live.iter().filter(|(_, live)| live.slot.is_some()).map(|(&id, _)| id).max();
        let waiting = self.live.iter().filter(|(_, live)| live.slot.is_none()).map(|(&id, _)| id).min();
        if let (Some(youngest), Some(waiting)) = (youngest, waiting) {
            assert!(youngest < waiting);
        }
        assert_eq!(self.scheduler.running() + self.scheduler.waiting(), self.live.len());
    }

    fn follow_work(&mut self, plan: &Plan, decoding: &HashSet<SequenceId>) {
        let preempted: HashSet<_> = plan.preempted.iter().map(|&(id, _)| id).collect();
        let mut prompt_tokens = 0;
        for work in &plan.work {
            let live = self.live.get_mut(&work.id).expect("a live sequence");
            assert_eq!(live.slot, Some(work.slot));
            assert_eq!(live.cells, work.start);
            assert!(work.len > 0);
            live.cells += work.len;
            assert!(live.cells <= live.tokens);
            assert_eq!(work.sample, live.cells == live.tokens);
            prompt_tokens += if decoding.contains(&work.id) { 0 } else { work.len };
        }
        let worked: Vec<_> = plan.work.iter().map(|work| work.id).collect();
        assert_eq!(worked.iter().collect::<HashSet<_>>().len(), worked.len(), "a sequence twice in a step");
        let decoded = decoding.difference(&preempted).count();
        assert!(worked[..decoded].iter().all(|id| decoding.contains(id)), "decoding sequences go first");
        let budget = if decoded > 0 { self.limits.chunk } else { self.limits.batch };
        assert!(prompt_tokens <= budget);
        let cells: usize = self.live.values().map(|live| live.cells).sum();
        assert_eq!(self.scheduler.cells_used(), cells);
        assert!(cells <= self.limits.cells);
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
        let mut simulation =
            Simulation { limits, scheduler, live: HashMap::new(), ended: HashSet::new(), step: 0 };
        let mut accepted = 0;
        for (id, request) in (0..).zip(&requests) {
            for _ in 0..request.after {
                simulation.cancel_due();
                simulation.run_step();
            }
            simulation.arrive(id, request);
            accepted += usize::from(simulation.live.contains_key(&id));
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
        prop_assert_eq!(simulation.ended.len(), accepted);
        prop_assert_eq!(simulation.scheduler.cells_used(), 0);
    }
}
