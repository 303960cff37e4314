//! What label sets were found to be like, per model: kept, because it costs more than a text does.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::evidence::Background;

/// Label sets that are remembered.
const SETS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// Sets with longer keys are not remembered, in bytes of everything that the background depends on.
const LONGEST: usize = 64 << 10;

/// The backgrounds of the label sets used last; at most 256.
#[derive(Debug)]
pub(super) struct Backgrounds {
    /// A `std` mutex: held for a look-up, never across an await.
    known: Mutex<LruCache<String, Arc<Background>>>,
}

impl Default for Backgrounds {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::new(SETS)) }
    }
}

impl Backgrounds {
    pub(super) fn get(&self, key: &str) -> Option<Arc<Background>> {
        self.lock().get(key).map(Arc::clone)
    }

    /// Remembers it, unless the key is too long.
    pub(super) fn put(&self, key: String, background: Arc<Background>) {
        if key.len() <= LONGEST {
            self.lock().put(key, background);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Arc<Background>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
