//! Steps of a tool as MCP's progress: numbers that always grow, also when nothing has happened.

use lla_tools::Step;
use rmcp::model::{ProgressNotificationParam, ProgressToken};

/// Turns steps into notifications.
pub(super) struct Reporter {
    token: ProgressToken,
    step: Step,
    /// What was told last; the next number must be greater.
    told: f64,
    /// Signs of life since the last step.
    beats: u32,
}

impl Reporter {
    pub(super) fn new(token: ProgressToken) -> Self {
        let step = Step { current: 0, total: None, message: "working".to_owned() };
        Self { token, step, told: -1.0, beats: 0 }
    }

    /// The tool has come further.
    pub(super) fn step(&mut self, step: Step) -> ProgressNotificationParam {
        self.step = step;
        self.beats = 0;
        self.notification()
    }

    /// Nothing has happened for a while, but the work goes on.
    pub(super) fn beat(&mut self) -> ProgressNotificationParam {
        self.beats += 1;
        self.notification()
    }

    /// Between two steps the number comes ever closer to the next one without reaching it.
    fn notification(&mut self) -> ProgressNotificationParam {
        let beats = f64::from(self.beats);
        let mut progress = f64::from(self.step.current) + beats / (beats + 1.0);
        if progress <= self.told {
            progress = self.told + f64::EPSILON * self.told.abs().max(1.0) * 4.0;
        }
        self.told = progress;
        let mut notification = ProgressNotificationParam::new(self.token.clone(), progress);
        notification.total = self.step.total.map(f64::from).filter(|total| *total >= progress);
        notification.message = Some(self.step.message.clone());
        notification
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::NumberOrString;

    use super::*;

    #[test]
    fn numbers_always_grow() {
        let mut reporter = Reporter::new(ProgressToken(NumberOrString::Number(1)));
        let step = |current| Step { current, total: Some(4), message: "m".to_owned() };
        let mut numbers = vec![reporter.step(step(0)).progress];
        numbers.extend((0..200).map(|_| reporter.beat().progress));
        numbers.push(reporter.step(step(1)).progress);
        numbers.push(reporter.step(step(1)).progress);
        numbers.push(reporter.step(step(0)).progress);
        let last = reporter.step(step(4));
        numbers.push(last.progress);
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        assert_eq!((last.progress, last.total), (4.0, Some(4.0)));
    }
}
