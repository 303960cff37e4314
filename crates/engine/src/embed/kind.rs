//! What a file's metadata says about embeddings, read before the model is loaded.

use std::path::Path;

use llama_cpp_2::context::params::LlamaPoolingType;
use llama_cpp_2::gguf::GgufContext;
use llama_cpp_sys_2::{GGUF_TYPE_STRING, GGUF_TYPE_UINT32};

use crate::error::EngineError;

/// Architectures that read a text in both directions: they can not generate.
const ENCODERS: &[&str] = &[
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "gemma-embedding",
];
/// Architectures, and beginnings of names, of models whose makers trained them to be shortened.
const SHORTENING_ARCHITECTURES: &[&str] = &["gemma-embedding", "jina-bert-v3"];
const SHORTENING_NAMES: &[&str] =
    &["nomic-embed-text-v1.5", "nomic-embed-text-v2", "qwen3-embedding", "mxbai-embed-large"];

/// How a model makes one vector of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmbeddingKind {
    pub(crate) pooling: LlamaPoolingType,
    /// See [`super::EmbeddingCard::shortens`].
    pub(crate) shortens: bool,
}

impl EmbeddingKind {
    /// `None`: the file is another kind of model, or can not be read.
    pub(crate) fn of_file(path: &Path) -> Result<Option<Self>, EngineError> {
        // Native code writes to standard error about a file that is not there.
        let Some(file) = path.is_file().then(|| GgufContext::from_file(path)).flatten() else { return Ok(None) };
        let architecture = text(&file, "general.architecture").unwrap_or_default();
        let pooling = number(&file, &format!("{architecture}.pooling_type"));
        let name = text(&file, "general.name").unwrap_or_default();
        Self::of(architecture, pooling, name)
            .map_err(|message| EngineError::ModelLoad { path: path.to_owned(), message: message.to_owned() })
    }

    /// The rules: an encoder, or a model whose file says how vectors are pooled.
    fn of(architecture: &str, pooling: Option<u32>, name: &str) -> Result<Option<Self>, &'static str> {
        use LlamaPoolingType::{Cls, Last, Mean};

        let pooling = match pooling {
            Some(1) => Mean,
            Some(2) => Cls,
            Some(3) => Last,
            Some(4) => return Err("it ranks texts (a reranker), which this engine does not do"),
            // Files made before the key existed.
            _ if ENCODERS.contains(&architecture) => Mean,
            _ => return Ok(None),
        };
        let name = name.to_ascii_lowercase().replace(' ', "-");
        let shortens = SHORTENING_ARCHITECTURES.contains(&architecture)
            || SHORTENING_NAMES.iter().any(|beginning| name.starts_with(beginning));
        Ok(Some(Self { pooling, shortens }))
    }
}

fn text<'a>(file: &'a GgufContext, key: &str) -> Option<&'a str> {
    let index = file.find_key(key);
    // Native code aborts on the wrong type.
    (index >= 0 && file.kv_type(index) == GGUF_TYPE_STRING).then(|| file.val_str(index)).flatten()
}

fn number(file: &GgufContext, key: &str) -> Option<u32> {
    let index = file.find_key(key);
    (index >= 0 && file.kv_type(index) == GGUF_TYPE_UINT32).then(|| file.val_u32(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_and_pooled_models_make_embeddings() {
        use LlamaPoolingType::{Cls, Last, Mean};

        let kind = |pooling, shortens| Ok(Some(EmbeddingKind { pooling, shortens }));
        for (architecture, pooling, name, wanted) in [
            ("llama", None, "SmolLM2", Ok(None)),
            ("llama", Some(0), "x", Ok(None)),
            ("bert", Some(1), "all-MiniLM-L6-v2", kind(Mean, false)),
            ("bert", Some(2), "bge-small-en", kind(Cls, false)),
            ("bert", None, "old", kind(Mean, false)),
            ("nomic-bert", Some(1), "nomic-embed-text-v1.5", kind(Mean, true)),
            ("nomic-bert", Some(1), "nomic-embed-text-v1", kind(Mean, false)),
            ("qwen3", Some(3), "Qwen3 Embedding 0.6B", kind(Last, true)),
            ("qwen3", None, "Qwen3 0.6B", Ok(None)),
            ("gemma-embedding", Some(1), "", kind(Mean, true)),
        ] {
            assert_eq!(EmbeddingKind::of(architecture, pooling, name), wanted, "{architecture} {name}");
        }
        assert!(EmbeddingKind::of("bert", Some(4), "bge-reranker").is_err());
    }

    #[test]
    fn a_file_that_is_not_there_is_of_no_kind() {
        assert!(matches!(EmbeddingKind::of_file(Path::new("/nowhere/x.gguf")), Ok(None)));
    }
}
