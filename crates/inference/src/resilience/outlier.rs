//! Replicas that do clearly worse than the others of their model. Pure.
//!
//! A breaker sees failures in a row; this sees a replica that fails every third time, or answers ten times as
//! slowly, while the others are well. It is left out for a while. Never more than half of them: when most do
//! badly, it is not the replica.

use std::time::{Duration, Instant};

/// The past counts half as much after this time.
const HALF_LIFE: Duration = Duration::from_secs(20);
/// Less than this many recent requests tell nothing.
const ENOUGH: f64 = 8.0;
/// A share of failures that is too many, when the others have less than a third of it.
const BAD_SHARE: f64 = 0.3;
/// Times the median of the others.
const SLOW: f64 = 8.0;
/// A first event faster than this is never slow.
const QUICK: f64 = 0.5;

/// What is remembered of one replica.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    seen: Instant,
    good: f64,
    bad: f64,
    /// Mean time to the first event, in seconds.
    latency: Option<f64>,
}

impl Record {
    /// Nothing is known.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { seen: now, good: 0.0, bad: 0.0, latency: None }
    }

    /// A request was answered, its first event after `latency`.
    pub fn good(&mut self, now: Instant, latency: Duration) {
        self.fade(now);
        self.good += 1.0;
        let seconds = latency.as_secs_f64();
        self.latency = Some(self.latency.map_or(seconds, |mean| mean + 0.2 * (seconds - mean)));
    }

    /// A request failed.
    pub fn bad(&mut self, now: Instant) {
        self.fade(now);
        self.bad += 1.0;
    }

    fn fade(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        let factor = 0.5_f64.powf(passed / HALF_LIFE.as_secs_f64());
        (self.good, self.bad, self.seen) = (self.good * factor, self.bad * factor, now);
    }

    fn share(&self) -> f64 {
        let all = self.good + self.bad;
        if all > 0.0 { self.bad / all } else { 0.0 }
    }
}

/// The place of the replica that should be left out next, if any. `out` says which are left out already.
#[must_use]
pub fn worst(records: &[Record], out: &[bool]) -> Option<usize> {
    let within: Vec<usize> = (0..records.len()).filter(|&index| !out.get(index).copied().unwrap_or(false)).collect();
    // Leaving one more out must leave at least half.
    if (within.len() - usize::from(!within.is_empty())) * 2 < records.len() {
        return None;
    }
    let is_outlier = |&index: &usize| {
        let record = &records[index];
        let others: Vec<&Record> =
            within.iter().filter(|&&other| other != index).map(|&other| &records[other]).collect();
        record.good + record.bad >= ENOUGH && !others.is_empty() && (fails(record, &others) || is_slow(record, &others))
    };
    let candidates = within.iter().copied().filter(is_outlier);
    candidates.max_by(|a, b| records[*a].share().total_cmp(&records[*b].share()))
}

fn fails(record: &Record, others: &[&Record]) -> bool {
    let (good, bad) = others.iter().fold((0.0, 0.0), |(good, bad), other| (good + other.good, bad + other.bad));
    let share = if good + bad > 0.0 { bad / (good + bad) } else { 0.0 };
    record.share() >= BAD_SHARE && share < record.share() / 3.0
}

fn is_slow(record: &Record, others: &[&Record]) -> bool {
    let mut known: Vec<f64> = others.iter().filter_map(|other| other.latency).collect();
    known.sort_by(f64::total_cmp);
    let (Some(mine), Some(median)) = (record.latency, known.get(known.len() / 2)) else { return false };
    mine > QUICK && mine > SLOW * median
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(good: u32, bad: u32, millis: u64) -> Record {
        let now = Instant::now();
        let mut record = Record::new(now);
        (0..good).for_each(|_| record.good(now, Duration::from_millis(millis)));
        (0..bad).for_each(|_| record.bad(now));
        record
    }

    #[test]
    fn the_one_that_does_worse_than_the_others_is_found() {
        let fine = || record(20, 0, 100);
        type Case<'a> = (&'a str, Vec<Record>, &'a [bool], Option<usize>);
        let table: &[Case<'_>] = &[
            ("all well", vec![fine(), fine(), fine()], &[], None),
            ("one fails often", vec![fine(), record(10, 8, 100), fine()], &[], Some(1)),
            ("all fail", vec![record(10, 8, 100), record(10, 8, 100)], &[], None),
            ("too little is known", vec![fine(), record(0, 5, 100)], &[], None),
            ("one is slow", vec![fine(), fine(), record(20, 0, 2000)], &[], Some(2)),
            ("slow, but quick enough", vec![record(20, 0, 10), record(20, 0, 300)], &[], None),
            ("half are out already", vec![fine(), record(1, 9, 1), fine(), fine()], &[true, false, true, false], None),
            ("alone", vec![record(0, 50, 1)], &[], None),
            ("none", vec![], &[], None),
        ];
        for (case, records, out, expected) in table {
            assert_eq!(worst(records, out), *expected, "{case}");
        }
    }

    #[test]
    fn the_past_fades() {
        let mut record = record(0, 16, 1);
        let later = record.seen + 4 * HALF_LIFE;
        record.good(later, Duration::from_millis(1));
        assert!((record.bad - 1.0).abs() < 1e-9 && (record.share() - 0.5).abs() < 1e-9);
    }
}
