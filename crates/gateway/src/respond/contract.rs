//! The contract of an `EventStream`, checked: a backend that breaks it must yield an error, never an
//! answer that only looks complete.

use lla_inference::{Error, Event};

/// What has been seen of a stream of events.
#[derive(Debug)]
pub(super) struct Contract {
    backend: String,
    /// Per choice: it has ended.
    finished: Vec<bool>,
}

impl Contract {
    pub(super) fn new(backend: &str, choices: usize) -> Self {
        Self { backend: backend.to_owned(), finished: vec![false; choices] }
    }

    /// Checks the next event.
    pub(super) fn check(&mut self, event: &Event) -> Result<(), Error> {
        match event {
            Event::Delta(delta) => self.open(delta.index).map(|_| ()),
            Event::Finish { index, .. } => {
                *self.open(*index)? = true;
                Ok(())
            }
            Event::Usage(_) | Event::Progress(_) => Ok(()),
        }
    }

    /// Checks that the stream may end here.
    pub(super) fn check_end(&self) -> Result<(), Error> {
        if self.finished.iter().all(|finished| *finished) {
            return Ok(());
        }
        Err(Error::upstream(&self.backend, "its answer ended early"))
    }

    fn open(&mut self, index: u32) -> Result<&mut bool, Error> {
        match self.finished.get_mut(index as usize) {
            Some(finished) if !*finished => Ok(finished),
            Some(_) => Err(Error::upstream(&self.backend, format!("it went on with choice {index} after its end"))),
            None => Err(Error::upstream(&self.backend, format!("it sent choice {index}, which nobody asked for"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use lla_protocol::openai::{FinishReason, Usage};

    use super::*;

    fn finish(index: u32) -> Event {
        Event::Finish { index, reason: FinishReason::Stop }
    }

    #[test]
    fn every_choice_ends_once_and_no_other_comes() {
        let text = |index| Event::text(index, "x");
        let usage = || Event::Usage(Usage::new(1, 1));
        for (events, good) in [
            (vec![text(0), finish(1), text(0), finish(0), usage()], true),
            (vec![finish(0), finish(1)], true),
            (vec![text(0), finish(0), usage()], false),
            (vec![finish(0), finish(1), text(1)], false),
            (vec![finish(0), finish(0), finish(1)], false),
            (vec![finish(0), finish(1), text(2)], false),
            (vec![], false),
        ] {
            let mut contract = Contract::new("b", 2);
            let all = events.iter().try_for_each(|event| contract.check(event)).and_then(|()| contract.check_end());
            assert_eq!(all.is_ok(), good, "{events:?}");
        }
    }
}
