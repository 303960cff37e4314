//! The loaded model: weights, vocabulary, chat template. Shared by every thread, never changed.
//!
//! Loading, tokenizing and rendering live here; running the model is `worker.rs`, on one thread.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use lla_protocol::gguf::{self, GgufError, GgufInfo};
use lla_protocol::openai::Message;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;

use crate::chat_format::ChatFormat;
use crate::constraint::{ConstraintVocabulary, Words};
use crate::error::EngineError;
use crate::memory;
use crate::options::EngineOptions;
use crate::template::{ChatTemplate, SpecialTokens, TemplateOptions};
use crate::tool_calls::MARKERS;

/// What a server tells about its model.
#[derive(Debug, Clone)]
pub struct ModelCard {
    /// The name callers use.
    pub name: String,
    /// Most tokens of prompt and answer together.
    pub window: u32,
    /// Unix seconds at which the model was loaded.
    pub created: i64,
    /// Size of the vocabulary; token ids are below it.
    pub n_vocab: u32,
    /// Whether chat requests can be served.
    pub has_chat_template: bool,
}

/// A model with its vocabulary and template.
pub(crate) struct Model {
    pub(crate) weights: LlamaModel,
    template: Option<ChatTemplate>,
    format: ChatFormat,
    /// Control tokens that are markers of tool calls or reasoning: answers show them.
    shown: HashSet<u32>,
    /// Text of the BOS token, when prompts begin with one.
    bos_text: Option<String>,
}

impl Model {
    /// Loads a GGUF file.
    ///
    /// # Errors
    /// When the file is missing, no whole GGUF, larger than the memory, or refused by llama.cpp, or when
    /// its chat template (or the one that the options name) can not be parsed.
    pub(crate) fn load(backend: &LlamaBackend, options: &EngineOptions) -> Result<Self, EngineError> {
        let header = check_file(&options.model)?;
        check_memory(&header, options)?;
        let mut params = LlamaModelParams::default();
        if let Some(layers) = options.gpu_layers {
            params = params.with_n_gpu_layers(layers);
        }
        let weights = LlamaModel::load_from_file(backend, &options.model, &params)
            .map_err(|error| load_error(&options.model, &format!("llama.cpp refused it: {error}")))?;
        let bos_text = bos_text(&weights);
        let source = template_source(&weights, options)?;
        let template = source.as_deref().map(|source| load_template(&weights, options, source, bos_text.clone()));
        let format = ChatFormat::detect(source.as_deref().unwrap_or_default(), control_markers(&weights));
        let shown = format.control.iter().map(|&(_, id)| id).collect();
        Ok(Self { template: template.transpose()?, weights, format, shown, bos_text })
    }

    /// Longest sequence the model was trained for, in tokens.
    pub(crate) fn trained_window(&self) -> u32 {
        self.weights.n_ctx_train()
    }

    /// Bytes that one cell of the KV cache takes over all layers (keys and values as f16).
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        let weights = &self.weights;
        let heads = u64::from(weights.n_head().max(1));
        let width = u64::try_from(weights.n_embd()).unwrap_or(0) / heads * u64::from(weights.n_head_kv().max(1));
        width * u64::from(weights.n_layer()) * 2 * 2
    }

    /// Cells of ended sequences that cost a step on the CPU at most about a fifth of its time. ggml's attention
    /// walks past each of them for every token, head and layer: 0.5 microseconds per token and cell with
    /// SmolLM2-135M on two cores, beside 2 to 10 milliseconds per token; the former grows with heads and
    /// layers, the latter with the parameters. Our own (`native/decode_attention.cpp`) reads the mask of 64
    /// cells at a time, which hardly shows.
    pub(crate) fn cheap_cells(&self) -> u32 {
        const SHARE: u64 = if cfg!(lla_cpu_variants) { 8 } else { 166 };
        let heads = u64::from(self.weights.n_head().max(1)) * u64::from(self.weights.n_layer().max(1));
        u32::try_from(self.weights.n_params() / heads / SHARE).unwrap_or(u32::MAX)
    }

    /// Whether a sequence can go on from any point of another one, or of itself: a recurrent state can not.
    pub(crate) fn can_share_cells(&self) -> bool {
        !self.weights.is_recurrent() && !self.weights.is_hybrid()
    }

    /// Whether chat requests can be served.
    pub(crate) fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// How the model writes tool calls and reasoning.
    pub(crate) fn chat_format(&self) -> &ChatFormat {
        &self.format
    }

    /// Size of the vocabulary.
    pub(crate) fn n_vocab(&self) -> u32 {
        u32::try_from(self.weights.n_vocab()).unwrap_or(0)
    }

    /// Text to tokens. `add_special`: put in front what the model wants there (BOS).
    /// `parse_special`: texts of control tokens become those tokens.
    pub(crate) fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<u32> {
        let tokens = self.weights.vocab().tokenize(text.as_bytes(), add_special, parse_special);
        tokens.into_iter().filter_map(|token| u32::try_from(token.0).ok()).collect()
    }

    /// Tokens to text, control tokens included; unknown ids are left out.
    pub(crate) fn detokenize(&self, tokens: &[u32]) -> String {
        let n_vocab = self.n_vocab();
        let known: Vec<LlamaToken> = tokens.iter().filter(|&&id| id < n_vocab).map(|&id| token(id)).collect();
        String::from_utf8_lossy(&self.weights.vocab().detokenize(&known, false, true)).into_owned()
    }

    /// The bytes that a generated token adds to the answer; control tokens add none, unless they mark
    /// tool calls or reasoning.
    pub(crate) fn piece(&self, id: u32) -> Vec<u8> {
        self.weights.vocab().token_to_piece(token(id), self.shown.contains(&id), None)
    }

    /// Whether a token ends the model's turn.
    pub(crate) fn ends_turn(&self, id: u32) -> bool {
        self.weights.vocab().is_eog(token(id))
    }

    /// All tokens that end a turn.
    pub(crate) fn turn_ends(&self) -> Vec<u32> {
        (0..self.n_vocab()).filter(|&id| self.ends_turn(id)).collect()
    }

    /// The vocabulary for restricted answers. Takes some tenths of a second for a large one.
    ///
    /// # Errors
    /// When llguidance refuses it.
    pub(crate) fn constraint_vocabulary(self: &Arc<Self>) -> Result<ConstraintVocabulary, EngineError> {
        let ids = 0..self.n_vocab();
        let bytes: Vec<Vec<u8>> = ids.clone().map(|id| self.piece(id)).collect();
        let vocab = self.weights.vocab();
        let silent = ids.zip(&bytes).filter(|(_, bytes)| bytes.is_empty()).map(|(id, _)| id);
        let control = silent.map(|id| (id, vocab.token_to_piece(token(id), true, None))).collect();
        let model = Arc::clone(self);
        let tokenize = Box::new(move |text: &str| model.tokenize(text, false, false));
        ConstraintVocabulary::new(Words { bytes, control, ends: self.turn_ends(), tokenize })
            .map_err(|error| EngineError::Native(format!("the vocabulary can not restrict answers: {error}")))
    }

    /// A chat as the tokens the model was trained on.
    ///
    /// Text of the caller never becomes a control token: see `template.rs`.
    ///
    /// # Errors
    /// When the model has no template, or the template refuses the messages.
    pub(crate) fn render_chat(
        &self,
        messages: &[Message],
        options: &TemplateOptions<'_>,
    ) -> Result<Vec<u32>, EngineError> {
        let template = self.template.as_ref().ok_or(EngineError::NoChatTemplate)?;
        let rendered = template.render(messages, options).map_err(EngineError::from)?;
        let mut tokens = Vec::new();
        for (index, piece) in rendered.pieces.iter().enumerate() {
            // Most templates write BOS themselves; it must not stand there twice.
            let writes_bos = self.bos_text.as_ref().is_some_and(|bos| piece.starts_with(bos.as_str()));
            tokens.extend(self.tokenize(piece, index == 0 && !writes_bos, true));
        }
        Ok(tokens)
    }
}

/// llama.cpp counts tokens with `i32`; ids from its vocabulary always fit.
pub(crate) fn token(id: u32) -> LlamaToken {
    LlamaToken(i32::try_from(id).unwrap_or(-1))
}

/// Reads and checks the whole header before native code sees the file.
///
/// # Errors
/// When the file can not be read, is cut off, says what can not be, or has tensors of an unknown type.
pub(crate) fn check_file(path: &Path) -> Result<GgufInfo, EngineError> {
    let read = || -> Result<_, std::io::Error> {
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let (file, metadata) = read().map_err(|error| load_error(path, &error.to_string()))?;
    if !metadata.is_file() {
        return Err(load_error(path, "not a regular file"));
    }
    let header = gguf::parse(file, metadata.len()).map_err(|error| match &error {
        GgufError::CutOff { .. } => load_error(path, &format!("{error}; pull it again")),
        GgufError::Header(_) => load_error(path, &format!("not a GGUF file that can be used: {error}")),
    })?;
    if let Some((part, parts)) = header.split {
        let message = format!("it is part {} of {parts}; join them first (llama-gguf-split --merge)", part + 1);
        return Err(load_error(path, &message));
    }
    if header.parameters == 0 {
        return Err(load_error(path, "it has no tensors"));
    }
    if header.tensor_bytes.is_none() {
        return Err(load_error(path, "it has tensors of a type that this version does not know"));
    }
    Ok(header)
}

fn check_memory(header: &GgufInfo, options: &EngineOptions) -> Result<(), EngineError> {
    let gpu = options.gpu_layers != Some(0) && crate::has_gpu();
    let need = memory::need(header, options, gpu)?;
    memory::fits(need, memory::available()).map_err(|refusal| load_error(&options.model, &refusal.to_string()))
}

fn load_error(path: &Path, message: &str) -> EngineError {
    EngineError::ModelLoad { path: path.to_owned(), message: message.to_owned() }
}

fn token_text(weights: &LlamaModel, token: LlamaToken) -> Option<String> {
    let vocab = weights.vocab();
    let text = vocab.text(token)?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn bos_text(weights: &LlamaModel) -> Option<String> {
    let vocab = weights.vocab();
    (vocab.bos().0 >= 0).then(|| token_text(weights, vocab.bos())).flatten()
}

/// The markers that are control tokens of this model.
fn control_markers(weights: &LlamaModel) -> Vec<(String, u32)> {
    let vocab = weights.vocab();
    let controls = vocab.tokens().filter(|&token| vocab.is_control(token));
    controls
        .filter_map(|token| {
            let text = token_text(weights, token).filter(|text| MARKERS.contains(&text.as_str()))?;
            Some((text, u32::try_from(token.0).ok()?))
        })
        .collect()
}

fn template_source(weights: &LlamaModel, options: &EngineOptions) -> Result<Option<String>, EngineError> {
    match &options.chat_template {
        Some(path) => std::fs::read_to_string(path)
            .map(Some)
            .map_err(|error| load_error(path, &format!("the chat template can not be read: {error}"))),
        None => match weights.chat_template(None) {
            Ok(template) => template
                .to_string()
                .map(Some)
                .map_err(|_| load_error(&options.model, "the chat template is not valid UTF-8")),
            Err(_) => Ok(None),
        },
    }
}

fn load_template(
    weights: &LlamaModel,
    options: &EngineOptions,
    source: &str,
    bos: Option<String>,
) -> Result<ChatTemplate, EngineError> {
    let vocab = weights.vocab();
    let eos = (vocab.eos().0 >= 0).then(|| token_text(weights, vocab.eos())).flatten();
    let control = vocab
        .tokens()
        .filter(|&token| {
            // llama.cpp parses texts of unknown tokens (`<unk>`) like those of control tokens.
            let unknown = vocab.attr(token).contains(LlamaTokenAttr::Unknown);
            vocab.is_control(token) || vocab.is_eog(token) || unknown
        })
        .filter_map(|token| token_text(weights, token))
        .collect();
    ChatTemplate::new(source, SpecialTokens { bos, eos, control })
        .map_err(|error| load_error(&options.model, &format!("the chat template can not be used: {error}")))
}
