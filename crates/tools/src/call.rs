//! One tool call: what it may use, and what it has used so far.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lla_inference::{ChatRequest, Tier};
use lla_protocol::openai::{Message, Role, Sampling, Usage};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, complete_text};
use crate::error::ToolError;
use crate::files::Files;
use crate::models::{Model, Models};
use crate::output::{FileRead, Tokens};
use crate::progress::Progress;

/// How long a call may take unless the context says otherwise: long enough to summarize a book on two
/// cores, short enough that a forgotten call ends.
pub const DEADLINE: Duration = Duration::from_mins(10);

/// What a call may use; given by whoever received it.
#[derive(Clone)]
pub struct Context {
    /// The models.
    pub models: Arc<dyn Models>,
    /// The tier to begin with; the main one is taken when the input does not fit.
    pub tier: Tier,
    /// The folders whose files may be read.
    pub files: Files,
    /// Where progress is told.
    pub progress: Progress,
    /// How long the call may take.
    pub deadline: Duration,
}

impl Context {
    /// The small tier, no files, nobody to tell, [`DEADLINE`].
    #[must_use]
    pub fn new(models: Arc<dyn Models>) -> Self {
        Self { models, tier: Tier::Small, files: Files::default(), progress: Progress::default(), deadline: DEADLINE }
    }
}

/// A call under way: the context, and the books. Clones share the books.
#[derive(Clone)]
pub struct Call {
    context: Context,
    /// A `std` mutex: held for a few instructions, never across an await.
    books: Arc<Mutex<Books>>,
}

/// What a call has used.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// Files, in the order of reading.
    pub files: Vec<FileRead>,
    /// Tokens of all model calls.
    pub tokens: Tokens,
    /// The last model.
    pub model: Option<(String, Option<Tier>)>,
}

/// A question to a model, asked with [`Call::ask`].
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What the model is.
    pub system: &'a str,
    /// What it is asked, with the text.
    pub user: String,
    /// What its answer must look like, as a JSON Schema; where absent it is plain text.
    pub schema: Option<Value>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

impl Call {
    /// A call that has used nothing yet.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, books: Arc::default() }
    }

    /// What the call may use.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the files that were read.
    pub fn note_files(&self, files: Vec<FileRead>) {
        self.books().files.extend(files);
    }

    /// Notes which model worked, and what it used.
    pub fn note_work(&self, model: &Model, usage: Option<&Usage>) {
        let mut books = self.books();
        books.model = Some((model.public_name.clone(), model.tier));
        if let Some(usage) = usage {
            books.tokens.add(usage);
        }
    }

    /// What has been used so far.
    #[must_use]
    pub fn used(&self) -> Books {
        self.books().clone()
    }

    /// The model for a request: that of the context's tier, or the main one when the prompt and
    /// `answer_tokens` do not fit the window. When neither has room, the first: its backend's error
    /// tells the numbers.
    ///
    /// # Errors
    /// When there is no model, or it can not count tokens.
    pub async fn model_for(&self, request: &ChatRequest, answer_tokens: u32) -> Result<Model, ToolError> {
        let first = self.context.models.of(self.context.tier)?;
        if self.fits(&first, request, answer_tokens).await? {
            return Ok(first);
        }
        let main = self.context.models.of(Tier::Main)?;
        let other = main.public_name != first.public_name;
        if other && self.fits(&main, request, answer_tokens).await? { Ok(main) } else { Ok(first) }
    }

    async fn fits(&self, model: &Model, request: &ChatRequest, answer_tokens: u32) -> Result<bool, ToolError> {
        // A token is at least a byte of the text, so a short text fits without being counted.
        let bytes: usize =
            request.messages.iter().map(|message| message.text_content().map_or(0, |text| text.len())).sum();
        let markup = 64 * request.messages.len();
        let room = |window: u32| window.saturating_sub(answer_tokens) as usize;
        if model.window.is_some_and(|window| bytes + markup <= room(window)) {
            return Ok(true);
        }
        let request = ChatRequest { model: model.name.clone(), ..request.clone() };
        let prompt = model.count_tokens(&request).await? as usize;
        // An engine that has just been started knows its window only now.
        let window = model.window.or_else(|| self.window_of(model));
        Ok(window.is_none_or(|window| prompt <= room(window)))
    }

    fn window_of(&self, model: &Model) -> Option<u32> {
        let tiers = [self.context.tier, Tier::Main];
        let found = tiers.into_iter().filter_map(|tier| self.context.models.of(tier).ok());
        found.filter(|found| found.public_name == model.public_name).find_map(|found| found.window)
    }

    /// Asks a model and waits for the whole answer: greedy, so that the same question gets the same
    /// answer. Dropping the future ends the work.
    ///
    /// # Errors
    /// When there is no model, the question does not fit, or the model fails.
    pub async fn ask(&self, question: Question<'_>) -> Result<Answer, ToolError> {
        let mut extra = Map::new();
        if let Some(schema) = question.schema {
            let format = json!({
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": true, "schema": schema},
            });
            extra.insert("response_format".to_owned(), format);
        }
        let mut request = ChatRequest {
            model: String::new(),
            messages: vec![Message::text(Role::System, question.system), Message::text(Role::User, question.user)],
            sampling: Sampling { temperature: Some(0.0), seed: Some(0), ..Sampling::default() },
            max_tokens: Some(question.max_tokens),
            n: None,
            extra,
        };
        let model = self.model_for(&request, question.max_tokens).await?;
        request.model.clone_from(&model.name);
        let answer = complete_text(model.backend.as_ref(), request).await?;
        self.note_work(&model, answer.usage.as_ref());
        Ok(answer)
    }
}
