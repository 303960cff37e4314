//! What the machine does beside us: CPU time of this process, idle time of its cores, and the governor
//! that sets the threads of the next step from both (`pace.rs` decides).

use std::time::{Duration, Instant};

use llama_cpp_2::context::LlamaContext;

use super::set_threads;
use crate::pace::{Pace, StepTimes};

/// The machine's idle time is looked at this often; it is counted in hundredths of a second.
const LOOK: Duration = Duration::from_millis(100);

/// Sets how many threads a step uses. See `pace.rs`.
#[derive(Debug)]
pub(crate) struct Governor {
    pace: Pace,
    adapts: bool,
    set: u32,
    started: Instant,
    cpu_before: Option<Duration>,
    /// When the machine was looked at, and its idle time and our CPU time together at that moment.
    idle: Option<(Instant, Duration)>,
}

impl Governor {
    /// At most `most` threads; all of them, always, unless `adapts`.
    pub(crate) fn new(most: u32, adapts: bool) -> Self {
        let adapts = adapts && process_cpu_time().is_some() && idle_time().is_some();
        Self { pace: Pace::new(most), adapts, set: most, started: Instant::now(), cpu_before: None, idle: None }
    }

    /// Threads of the last step.
    pub(crate) fn threads(&self) -> u32 {
        self.set
    }

    /// Sets the threads of the step that comes.
    pub(crate) fn before_step(&mut self, context: &mut LlamaContext<'_>) {
        if !self.adapts {
            return;
        }
        let wanted = self.pace.threads();
        if wanted != self.set {
            match set_threads(context, wanted as usize, wanted as usize) {
                Ok(()) => self.set = wanted,
                Err(error) => {
                    tracing::warn!(%error, "the number of threads stays as it is");
                    self.adapts = false;
                }
            }
        }
        self.cpu_before = process_cpu_time();
    }

    /// Learns from the step that ended.
    pub(crate) fn after_step(&mut self, wall: Duration) {
        let (true, Some(before), Some(after)) = (self.adapts, self.cpu_before, process_cpu_time()) else { return };
        let now = self.started.elapsed();
        self.pace.after_step(StepTimes { now, wall, cpu: after.saturating_sub(before) });
        if self.pace.wants_more() {
            self.look_for_idle_cores(now);
        } else {
            self.idle = None;
        }
    }

    fn look_for_idle_cores(&mut self, now: Duration) {
        // Threads of the pool that sit a step out poll for the next one: that core is free for us too.
        let ours_or_idle = || Some(idle_time()? + process_cpu_time()?);
        let look = |time| (Instant::now(), time);
        let Some((at, before)) = self.idle else {
            self.idle = ours_or_idle().map(look);
            return;
        };
        let passed = at.elapsed();
        // Longer than that there was a pause, in which our own threads slept too.
        if passed > 5 * LOOK {
            self.idle = ours_or_idle().map(look);
        } else if passed >= LOOK
            && let Some(after) = ours_or_idle()
        {
            self.idle = Some(look(after));
            let for_us = after.saturating_sub(before).as_secs_f64() / passed.as_secs_f64();
            self.pace.machine_idle(now, for_us - f64::from(self.set));
        }
    }
}

/// CPU time of all threads of this process; `None` where the system does not tell.
#[cfg(target_os = "linux")]
fn process_cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// Idle time of the cores that this process may use, together, since the machine started.
#[cfg(target_os = "linux")]
fn idle_time() -> Option<Duration> {
    let ours = rustix::thread::sched_getaffinity(None).ok()?;
    idle_in(&std::fs::read_to_string("/proc/stat").ok()?, |cpu| ours.is_set(cpu))
}

#[cfg(not(target_os = "linux"))]
fn process_cpu_time() -> Option<Duration> {
    None
}

#[cfg(not(target_os = "linux"))]
fn idle_time() -> Option<Duration> {
    None
}

/// The idle time in the text of `/proc/stat` (proc(5): the fourth number of a line, in hundredths of a
/// second on every Linux that matters) of the cores that `ours` accepts.
#[cfg(target_os = "linux")]
fn idle_in(stat: &str, ours: impl Fn(usize) -> bool) -> Option<Duration> {
    let mut hundredths = None;
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(cpu) = words.next().and_then(|name| name.strip_prefix("cpu")?.parse().ok()) else { continue };
        if ours(cpu) {
            let idle: u64 = words.nth(3)?.parse().ok()?;
            *hundredths.get_or_insert(0) += idle;
        }
    }
    hundredths.map(|hundredths: u64| Duration::from_millis(10 * hundredths))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_our_cores() {
        let stat = "cpu  9 9 9 999 9 0 0 0 0 0\ncpu0 1 2 3 40 5 0 0 0 0 0\ncpu1 1 2 3 100 5 0 0\nintr 5\n";
        assert_eq!(idle_in(stat, |_| true), Some(Duration::from_millis(1400)));
        assert_eq!(idle_in(stat, |cpu| cpu == 1), Some(Duration::from_secs(1)));
        assert_eq!(idle_in("intr 5\n", |_| true), None);
        assert!(process_cpu_time().is_some());
    }
}
