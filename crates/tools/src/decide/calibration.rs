//! What labels score when the text says nothing: the bias that is subtracted.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Questions that are remembered.
const QUESTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
/// Longer questions are not remembered, in bytes of their text and labels.
const LONGEST: usize = 16 << 10;

/// Texts that say nothing; the bias is their mean.
pub(super) const NOTHING: [&str; 3] = ["N/A", "...", "[none]"];

/// Remembers the bias of the questions asked last, by model; at most 512 of them. Shared by all requests.
#[derive(Debug)]
pub struct Calibration {
    known: Mutex<LruCache<String, Arc<[f64]>>>,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::new(QUESTIONS)) }
    }
}

impl Calibration {
    /// The bias of each label, if it is known.
    pub(super) fn get(&self, key: &str) -> Option<Arc<[f64]>> {
        self.lock().get(key).map(Arc::clone)
    }

    /// Remembers a bias, unless its key is too long.
    pub(super) fn put(&self, key: String, bias: Arc<[f64]>) {
        if key.len() <= LONGEST {
            self.lock().put(key, bias);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Arc<[f64]>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_questions_asked_last_are_remembered() {
        let calibration = Calibration::default();
        let bias: Arc<[f64]> = Arc::from([1.0]);
        for number in 0..600 {
            calibration.put(number.to_string(), Arc::clone(&bias));
        }
        assert!(calibration.get("0").is_none() && calibration.get("599").is_some());
        let long = "x".repeat(LONGEST + 1);
        calibration.put(long.clone(), bias);
        assert!(calibration.get(&long).is_none());
    }
}
