//! What a GGUF file says about itself, read from its header only.
//!
//! Strict and bounded: versions 2 and 3, little endian; every count is checked against the bytes that
//! are really there before anything is read or allocated, so that no header, however absurd, costs more
//! than one pass over its own bytes. The tensors themselves are not looked at, except that the file must
//! be long enough for them (a download that was cut off is found here).
//!
//! Two doorkeepers use it: the model store, when a file comes in, and the engine, before llama.cpp's
//! own reader sees the file. It opens no file itself: the caller brings the bytes.
//!
//! Start at [`parse`]; `reader.rs` has the primitives, `metadata.rs` and `weights.rs` the two parts of
//! a header, `types.rs` the tables of llama.cpp's numbers.

mod metadata;
mod reader;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod types;
mod weights;

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use metadata::Metadata;
use reader::Reader;
use weights::Weights;

/// More metadata entries than any real model has (they have about 40).
const MAX_ENTRIES: u64 = 65_536;
/// More tensors than any real model has (the largest have a few thousand).
const MAX_TENSORS: u64 = 1 << 18;

/// What the header says. Counts are plain numbers, sizes are bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GgufInfo {
    /// The version of the format: 2 or 3.
    pub version: u32,
    /// llama.cpp's name of the architecture: `llama`, `qwen3`, …
    pub architecture: String,
    /// The model's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How most weights are stored: `Q4_K_M`, `BF16`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// llama.cpp's number for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_type: Option<u32>,
    /// Number of weights.
    pub parameters: u64,
    /// Bytes of all tensors; absent when a tensor has a type that this version does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor_bytes: Option<u64>,
    /// The longest context that the model was trained for, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// Layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_count: Option<u64>,
    /// Width of the residual stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_length: Option<u64>,
    /// Attention heads of a layer (the most of any).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_count: Option<u64>,
    /// Key and value heads of a layer (the most of any).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_count_kv: Option<u64>,
    /// Tokens in the vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u64>,
    /// Whether a chat template is inside.
    pub chat_template: bool,
    /// The licence, as the file names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Bytes of KV cache for one token with 16-bit keys and values: an upper estimate, since sliding
    /// windows and shared layers are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_bytes_per_token: Option<u64>,
    /// For a model split over files: this file's place (from 0) and the number of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<(u64, u64)>,
}

/// Why a file is no GGUF that we take. A sentence that begins with "it" or "its" reads well after the
/// file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GgufError {
    /// The header is whole, the file is not: a download that was cut off, or a disk that was full.
    #[error("it is cut off: the file ends before the end of tensor `{tensor}`: {missing} bytes are missing")]
    CutOff {
        /// The tensor that needs the most of what is missing.
        tensor: String,
        /// Bytes that the file is too short.
        missing: u64,
    },
    /// The header is not one of a GGUF file, or says what can not be.
    #[error("{0}")]
    Header(String),
}

impl From<String> for GgufError {
    fn from(problem: String) -> Self {
        Self::Header(problem)
    }
}

impl From<&str> for GgufError {
    fn from(problem: &str) -> Self {
        Self::Header(problem.to_owned())
    }
}

/// Reads a header from anything of `length` bytes.
///
/// # Errors
/// When it is no GGUF, or one that can not be right.
pub fn parse(source: impl Read + Seek, length: u64) -> Result<GgufInfo, GgufError> {
    let mut reader = Reader::new(source, length);
    let version = read_version(&mut reader)?;
    let tensors = reader.u64("the number of tensors")?;
    let entries = reader.u64("the number of metadata entries")?;
    if tensors > MAX_TENSORS || entries > MAX_ENTRIES {
        return Err(format!("its header claims {tensors} tensors and {entries} metadata entries").into());
    }
    let metadata = Metadata::read(&mut reader, entries)?;
    metadata.check_vocabulary()?;
    let alignment = metadata.alignment()?;
    let weights = Weights::read(&mut reader, tensors, alignment)?;
    let data_start = reader.position().next_multiple_of(alignment);
    let needed = data_start.checked_add(weights.data_end).ok_or("its tensors are larger than any disk")?;
    // Without tensors there is no data, and no padding before it.
    if weights.data_end > 0 && needed > length {
        return Err(GgufError::CutOff { tensor: weights.last, missing: needed - length });
    }
    Ok(metadata.into_info(version, &weights)?)
}

fn read_version(reader: &mut Reader<impl Read + Seek>) -> Result<u32, String> {
    let magic = reader.bytes::<4>("the magic bytes")?;
    if magic != *b"GGUF" {
        return Err(match &magic {
            b"ggjt" | b"ggml" | b"ggmf" | b"lmgg" | b"tjgg" => "it is in the GGML format of 2023".to_owned(),
            b"PK\x03\x04" => "it is a zip archive".to_owned(),
            b"<!DO" | b"<htm" | b"<HTM" => "it is a web page".to_owned(),
            b"vers" => "it is a pointer of git LFS, not the file itself".to_owned(),
            _ => "it does not begin with `GGUF`".to_owned(),
        });
    }
    match reader.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        1 => Err("GGUF version 1 is not supported".to_owned()),
        version if (1..=0xffff).contains(&version.swap_bytes()) => Err("it is big endian".to_owned()),
        version => Err(format!("GGUF version {version} is not known")),
    }
}

#[cfg(test)]
mod tests;
