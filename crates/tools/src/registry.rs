//! All tools by name: what is published of them, and how a call reaches them.

#[cfg(test)]
mod odd_texts;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jsonschema::Validator;
use lla_inference::Tier;
use lla_protocol::FieldError;
use serde_json::Value;

use crate::beside::beside;
use crate::call::{Call, Context};
use crate::error::ToolError;
use crate::output::Output;
use crate::tool::{Spec, Tool};
use crate::{check, schema};

/// The tools. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    entries: Vec<Arc<Entry>>,
}

struct Entry {
    spec: Spec,
    validator: Validator,
    run: Box<dyn Erased>,
}

impl Registry {
    /// No tools.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every tool of this crate.
    #[must_use]
    pub fn standard() -> Self {
        let writers = crate::writing::Writers::default();
        Self::new()
            .with(crate::classify::Classify::default())
            .with(crate::extract::Extract)
            .with(crate::summarize::Summarize::with(writers.clone()))
            .with(crate::rewrite::Rewrite::with(writers))
    }

    /// Adds a tool.
    #[must_use]
    pub fn with<T: Tool>(mut self, tool: T) -> Self {
        let spec = Spec {
            name: T::NAME,
            title: T::TITLE,
            description: T::DESCRIPTION,
            input_schema: schema::of_input::<T::Params>(),
            output_schema: schema::of_output::<Output<T::Result>>(),
        };
        // Schemas of our own types always compile; a test looks at each.
        match jsonschema::draft202012::new(&Value::Object(spec.input_schema.clone())) {
            Ok(validator) => {
                let run = Box::new(Typed { tool, kind: PhantomData });
                self.entries.push(Arc::new(Entry { spec, validator, run }));
            }
            Err(error) => tracing::error!(tool = T::NAME, %error, "a tool's input schema is no schema"),
        }
        self
    }

    /// What is published, in a fixed order.
    pub fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.entries.iter().map(|entry| &entry.spec)
    }

    /// One tool's description.
    ///
    /// # Errors
    /// When there is no such tool.
    pub fn spec(&self, name: &str) -> Result<&Spec, ToolError> {
        self.entry(name).map(|entry| &entry.spec)
    }

    fn entry(&self, name: &str) -> Result<&Arc<Entry>, ToolError> {
        self.entries.iter().find(|entry| entry.spec.name == name).ok_or_else(|| ToolError::UnknownTool {
            name: name.to_owned(),
            known: self.specs().map(|spec| spec.name).collect(),
        })
    }

    /// Checks the arguments against the tool's published schema, and leaves out what is `null`: that
    /// counts as absent.
    ///
    /// # Errors
    /// When there is no such tool, or the first thing that is wrong.
    pub fn checked(&self, name: &str, mut arguments: Value) -> Result<Value, ToolError> {
        let entry = self.entry(name)?;
        if let Some(fields) = arguments.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        check::check(&entry.validator, &arguments)?;
        Ok(arguments)
    }

    /// Checks the arguments, runs the tool beside the thread of the caller, and returns an [`Output`] as JSON. Dropping the future ends
    /// the work. A panic of the tool becomes [`ToolError::Internal`].
    ///
    /// # Errors
    /// When there is no such tool, the arguments are wrong, or the tool fails.
    pub async fn call(&self, name: &str, arguments: Value, context: Context) -> Result<Value, ToolError> {
        let arguments = self.checked(name, arguments)?;
        let entry = Arc::clone(self.entry(name)?);
        let begun = Instant::now();
        let deadline = context.deadline;
        let call = Call::new(context);
        // A text of megabytes takes seconds, in which this thread is to serve others.
        let work = beside(async move {
            let work = entry.run.run(arguments, &call, begun);
            AssertUnwindSafe(work).catch_unwind().await
        });
        let done = tokio::time::timeout(deadline, work).await.map_err(|_| ToolError::Deadline(deadline))??;
        done.unwrap_or_else(|cause| {
            let text = cause
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| cause.downcast_ref::<&str>().copied())
                .unwrap_or("no text");
            tracing::error!(tool = name, panic = text, "a tool panicked");
            Err(ToolError::Internal)
        })
    }
}

/// A tool without its types.
#[async_trait]
trait Erased: Send + Sync {
    async fn run(&self, arguments: Value, call: &Call, begun: Instant) -> Result<Value, ToolError>;
}

struct Typed<T: Tool> {
    tool: T,
    kind: PhantomData<fn() -> T>,
}

#[async_trait]
impl<T: Tool> Erased for Typed<T> {
    async fn run(&self, arguments: Value, call: &Call, begun: Instant) -> Result<Value, ToolError> {
        let params: T::Params = serde_json::from_value(arguments).map_err(|error| {
            // The schema has been checked: only what it can not say is left, and serde has the words.
            FieldError::body("invalid_value", format!("the arguments can not be used: {error}"))
        })?;
        let result = self.tool.run(params, call).await?;
        let used = call.used();
        let (model, tier) = used.model.map_or((None, None), |(name, tier)| (Some(name), tier));
        let output = Output {
            result,
            files_read: used.files,
            model,
            tier: tier.map(Tier::as_str),
            usage: used.tokens,
            latency_ms: (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3,
        };
        serde_json::to_value(output).map_err(|error| {
            tracing::error!(tool = T::NAME, %error, "a result can not be written as JSON");
            ToolError::Internal
        })
    }
}
