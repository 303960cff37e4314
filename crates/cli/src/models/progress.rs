//! How far a pull has come: a bar on a terminal, plain lines elsewhere, always on standard error.
//!
//! The store's code tells a [`Progress`] what happens and never writes anywhere itself.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::print::size;

/// A plain line comes at least this often while something moves …
const LINE_EVERY: Duration = Duration::from_secs(5);
/// … and at each such step of the whole.
const LINE_PERCENT: u64 = 10;

/// Where progress goes. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    shown: Shown,
}

#[derive(Clone)]
enum Shown {
    Nothing,
    Bars,
    Lines(Arc<Mutex<dyn Write + Send>>),
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.shown {
            Shown::Nothing => "Progress::quiet",
            Shown::Bars => "Progress::bars",
            Shown::Lines(_) => "Progress::lines",
        })
    }
}

impl Progress {
    /// A bar when standard error is a terminal, else plain lines.
    #[must_use]
    pub fn to_stderr() -> Self {
        if io::stderr().is_terminal() { Self { shown: Shown::Bars } } else { Self::lines(io::stderr()) }
    }

    /// Plain lines.
    pub fn lines(writer: impl Write + Send + 'static) -> Self {
        Self { shown: Shown::Lines(Arc::new(Mutex::new(writer))) }
    }

    /// Nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self { shown: Shown::Nothing }
    }

    /// Says something in passing.
    pub fn say(&self, text: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bars => write_line(&mut io::stderr(), text),
            Shown::Lines(writer) => write_line(&mut *writer.lock().unwrap_or_else(PoisonError::into_inner), text),
        }
    }

    /// Begins something that moves bytes: `total` when known, `done` of them already there.
    #[must_use]
    pub fn start(&self, what: &str, total: Option<u64>, done: u64) -> Task {
        let meter = match &self.shown {
            Shown::Nothing => Meter::Nothing,
            Shown::Bars => Meter::Bar(bar(what, total, done)),
            Shown::Lines(_) => {
                let lines =
                    Lines { what: what.to_owned(), total, done, began: done, start: Instant::now(), told: None };
                Meter::Lines(Mutex::new(lines))
            }
        };
        let task = Task { progress: self.clone(), meter };
        if !matches!(task.meter, Meter::Bar(_)) {
            let whole = total.map(|total| format!(" ({})", size(total))).unwrap_or_default();
            let rest = if done > 0 { format!(", going on at {}", size(done)) } else { String::new() };
            self.say(&format!("{what}{whole}{rest}"));
        }
        task
    }
}

fn write_line(writer: &mut dyn Write, text: &str) {
    // There is nobody to tell when standard error has gone.
    drop(writeln!(writer, "{text}").and_then(|()| writer.flush()));
}

fn bar(what: &str, total: Option<u64>, done: u64) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        None => "{spinner} {msg} {bytes} {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8))
        .with_style(style.progress_chars("=> "))
        .with_message(what.to_owned());
    // What was there before this run says nothing about its speed.
    bar.set_position(done);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Something that moves bytes. Dropping it takes its bar off the screen.
pub struct Task {
    progress: Progress,
    meter: Meter,
}

enum Meter {
    Nothing,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

impl Task {
    /// `count` more bytes.
    pub fn add(&self, count: u64) {
        match &self.meter {
            Meter::Nothing => {}
            Meter::Bar(bar) => bar.inc(count),
            Meter::Lines(lines) => self.line(lines, |lines| lines.done += count),
        }
    }

    /// That many bytes altogether.
    pub fn set(&self, done: u64) {
        match &self.meter {
            Meter::Nothing => {}
            Meter::Bar(bar) => bar.set_position(done),
            Meter::Lines(lines) => self.line(lines, |lines| lines.done = done),
        }
    }

    fn line(&self, lines: &Mutex<Lines>, change: impl FnOnce(&mut Lines)) {
        let text = {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut lines);
            let elapsed = lines.start.elapsed();
            lines.next(elapsed)
        };
        if let Some(text) = text {
            self.progress.say(&text);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Meter::Bar(bar) = &self.meter {
            bar.finish_and_clear();
        }
    }
}

/// Decides when a plain line is due and what it says.
struct Lines {
    what: String,
    total: Option<u64>,
    done: u64,
    /// Bytes that were there before this run.
    began: u64,
    start: Instant,
    /// When the last line came, and at which percent.
    told: Option<(Duration, u64)>,
}

impl Lines {
    fn percent(&self) -> Option<u64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some(self.done.min(total).saturating_mul(100) / total)
    }

    fn next(&mut self, elapsed: Duration) -> Option<String> {
        let percent = self.percent();
        let (last, last_percent) = self.told.get_or_insert((Duration::ZERO, percent.unwrap_or(0)));
        let late = elapsed.saturating_sub(*last) >= LINE_EVERY;
        // Steps alone would fill a screen with lines within a second on a fast disk.
        let step = percent.is_some_and(|percent| percent / LINE_PERCENT > *last_percent / LINE_PERCENT)
            && elapsed.saturating_sub(*last) >= LINE_EVERY / 5;
        if !late && !step {
            return None;
        }
        self.told = Some((elapsed, percent.unwrap_or(0)));
        Some(self.text(elapsed))
    }

    fn text(&self, elapsed: Duration) -> String {
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let speed = self.done.saturating_sub(self.began).saturating_mul(1000) / millis;
        let Some((total, percent)) = self.total.zip(self.percent()) else {
            return format!("{}: {}, {}/s", self.what, size(self.done), size(speed));
        };
        let left = total.saturating_sub(self.done).checked_div(speed);
        let left = left.map(|seconds| format!(", {} left", humantime::format_duration(Duration::from_secs(seconds))));
        let (done, total, speed) = (size(self.done), size(total), size(speed));
        format!("{}: {done} of {total} ({percent} %), {speed}/s{}", self.what, left.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(total: Option<u64>) -> Lines {
        Lines { what: "x".to_owned(), total, done: 0, began: 0, start: Instant::now(), told: None }
    }

    #[test]
    fn lines_come_with_steps_and_with_time_but_not_in_floods() {
        let mut lines = lines(Some(1_000_000));
        let mut at = |done: u64, millis: u64| {
            lines.done = done;
            lines.next(Duration::from_millis(millis))
        };
        assert_eq!(at(1, 10), None);
        assert_eq!(at(500_000, 20), None, "a step, but too soon");
        assert_eq!(at(500_000, 1000).as_deref(), Some("x: 500.0 kB of 1.0 MB (50 %), 500.0 kB/s, 1s left"));
        assert_eq!(at(550_000, 2000), None, "no step");
        assert_eq!(at(550_000, 5999), None);
        assert!(at(550_000, 6000).is_some(), "time");
        assert!(at(1_000_000, 8000).is_some_and(|line| line.contains("(100 %)")));
    }

    #[test]
    fn an_unknown_whole_has_no_percent_and_a_resumed_one_an_honest_speed() {
        let mut unknown = lines(None);
        unknown.done = 2_000_000;
        assert_eq!(unknown.next(Duration::from_secs(5)).as_deref(), Some("x: 2.0 MB, 400.0 kB/s"));
        let mut resumed = lines(Some(100));
        (resumed.began, resumed.done) = (90, 95);
        assert!(resumed.next(Duration::from_secs(5)).is_some_and(|line| line.contains("1 B/s, 5s left")));
    }
}
