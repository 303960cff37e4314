//! How far a call is, for whoever waits.

use std::fmt;
use std::sync::Arc;

/// A step of a call that is under way.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// Parts that are done.
    pub current: u32,
    /// Parts that there are, once that is known.
    pub total: Option<u32>,
    /// What is being done, for a person.
    pub message: String,
}

/// Where steps are told. Cheap to clone; telling never waits.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Progress {
    /// Hands every step to `tell`, which must return at once.
    pub fn to(tell: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Tells a step.
    pub fn step(&self, current: u32, total: Option<u32>, message: impl Into<String>) {
        if let Some(tell) = &self.0 {
            tell(Step { current, total, message: message.into() });
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Progress(told)" } else { "Progress(untold)" })
    }
}
