//! What a GGUF file says about itself, read from its header only.
//!
//! Strict and bounded: versions 2 and 3, little endian; every count is checked against the bytes that
//! are really there before anything is read or allocated, so that no header, however absurd, costs more
//! than one pass over its own bytes. The tensors themselves are not looked at, except that the file must
//! be long enough for them (a download that was cut off is found here). llama.cpp reads the model later;
//! this reader is the store's doorkeeper and the source of `lla models show`.
//!
//! Start at [`read`]; [`reader`] has the primitives, [`types`] the tables of llama.cpp's numbers.

mod reader;
mod types;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use serde::{Deserialize, Serialize};

use reader::Reader;

/// More metadata entries than any real model has (they have about 40).
const MAX_ENTRIES: u64 = 65_536;
/// More tensors than any real model has (the largest have a few thousand).
const MAX_TENSORS: u64 = 1 << 18;
/// More layers than any real model has.
const MAX_LAYERS: u64 = 65_536;

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

/// Reads the header of a file.
///
/// # Errors
/// A sentence that says why the file is no GGUF that we take.
pub fn read(path: &Path) -> Result<GgufInfo, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    parse(file, length)
}

/// Reads a header from anything of `length` bytes.
///
/// # Errors
/// A sentence that says why it is no GGUF that we take.
pub fn parse(source: impl Read + Seek, length: u64) -> Result<GgufInfo, String> {
    let mut reader = Reader::new(source, length);
    let version = read_version(&mut reader)?;
    let tensors = reader.u64("the number of tensors")?;
    let entries = reader.u64("the number of metadata entries")?;
    if tensors > MAX_TENSORS || entries > MAX_ENTRIES {
        return Err(format!("its header claims {tensors} tensors and {entries} metadata entries"));
    }
    let metadata = Metadata::read(&mut reader, entries)?;
    let weights = Weights::read(&mut reader, tensors, metadata.alignment()?)?;
    let data_start = reader.position().next_multiple_of(metadata.alignment()?);
    let needed = data_start.checked_add(weights.data_end).ok_or("its tensors are larger than any disk")?;
    if needed > length {
        return Err(format!("it is cut off: its tensors end at byte {needed}, the file at {length}"));
    }
    metadata.into_info(version, &weights)
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

/// A metadata value that may matter to us.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(u64),
    Text(String),
    /// The numbers of a short array of integers (heads per layer).
    Numbers(Vec<u64>),
    /// An array of anything else: its length.
    Length(u64),
    /// A negative or fractional number, a flag, a long text: nothing that we use.
    Other,
}

#[derive(Debug, Default)]
struct Metadata {
    values: HashMap<String, Value>,
}

impl Metadata {
    fn read(reader: &mut Reader<impl Read + Seek>, entries: u64) -> Result<Self, String> {
        let mut metadata = Self::default();
        let mut seen = HashSet::new();
        for _ in 0..entries {
            let key = reader.short_text("a metadata key", 512)?;
            let kind = reader.u32("a metadata type")?;
            let value = read_value(reader, kind).map_err(|problem| format!("{problem} (metadata `{key}`)"))?;
            if !seen.insert(key.clone()) {
                return Err(format!("the metadata key `{key}` is there twice"));
            }
            if value != Value::Other {
                metadata.values.insert(key, value);
            }
        }
        Ok(metadata)
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.values.get(key) {
            Some(Value::Text(text)) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
            _ => None,
        }
    }

    /// One number for each layer, or one for all.
    fn per_layer(&self, key: &str, layers: u64) -> Option<Vec<u64>> {
        match self.values.get(key)? {
            Value::Number(number) => Some(vec![*number; usize::try_from(layers.min(MAX_LAYERS)).ok()?]),
            Value::Numbers(numbers) => Some(numbers.clone()),
            _ => None,
        }
    }

    fn alignment(&self) -> Result<u64, String> {
        match self.values.get("general.alignment") {
            None => Ok(32),
            Some(Value::Number(number)) if number.is_power_of_two() && *number <= 1 << 20 => Ok(*number),
            Some(_) => Err("its alignment is not a power of two".to_owned()),
        }
    }

    fn into_info(self, version: u32, weights: &Weights) -> Result<GgufInfo, String> {
        let architecture = self.text("general.architecture").ok_or("it does not name its architecture")?;
        let key = |name: &str| format!("{architecture}.{name}");
        let layers = self.number(&key("block_count"));
        let most = |name: &str| self.per_layer(&key(name), layers.unwrap_or(1)).and_then(|all| all.into_iter().max());
        let vocabulary = match self.values.get("tokenizer.ggml.tokens") {
            Some(Value::Length(length)) => Some(*length),
            _ => self.number(&key("vocab_size")),
        };
        Ok(GgufInfo {
            version,
            name: self.text("general.name"),
            quantization: self.number("general.file_type").map(types::file_type),
            parameters: weights.parameters,
            tensor_bytes: weights.bytes,
            context_length: self.number(&key("context_length")),
            block_count: layers,
            embedding_length: self.number(&key("embedding_length")),
            head_count: most("attention.head_count"),
            head_count_kv: most("attention.head_count_kv"),
            vocabulary,
            chat_template: matches!(
                self.values.get("tokenizer.chat_template"),
                Some(Value::Text(_) | Value::Length(_))
            ),
            licence: self.text("general.license"),
            kv_bytes_per_token: self.kv_bytes_per_token(&architecture),
            split: self
                .number("split.count")
                .filter(|count| *count > 1)
                .map(|count| (self.number("split.no").unwrap_or(0), count)),
            architecture,
        })
    }

    /// Two bytes for each number of each key and value of each layer that attends to everything.
    fn kv_bytes_per_token(&self, architecture: &str) -> Option<u64> {
        let key = |name: &str| format!("{architecture}.{name}");
        let layers = self.number(&key("block_count")).filter(|layers| *layers <= MAX_LAYERS)?;
        let heads =
            self.per_layer(&key("attention.head_count"), layers)?.into_iter().max().filter(|heads| *heads > 0)?;
        let per_head =
            |name: &str| self.number(&key(name)).or_else(|| Some(self.number(&key("embedding_length"))? / heads));
        let width = per_head("attention.key_length")?.checked_add(per_head("attention.value_length")?)?;
        let kv_heads = match self.per_layer(&key("attention.head_count_kv"), layers) {
            Some(kv_heads) => kv_heads,
            None => vec![heads; usize::try_from(layers).ok()?],
        };
        let all = kv_heads.iter().try_fold(0_u64, |sum, heads| sum.checked_add(*heads))?;
        // Hybrid models: only every n-th layer is attention, the others keep a state of fixed size.
        let interval = self.number(&key("full_attention_interval")).filter(|interval| *interval > 1).unwrap_or(1);
        all.div_ceil(interval).checked_mul(width)?.checked_mul(2).filter(|bytes| *bytes <= 1 << 40)
    }
}

/// Numbers of heads per layer are kept, other arrays are only counted.
const MAX_KEPT_ARRAY: u64 = 1024;
/// Names and licences are kept, chat templates and longer texts are only noticed.
const MAX_KEPT_TEXT: u64 = 4096;

fn read_value(reader: &mut Reader<impl Read + Seek>, kind: u32) -> Result<Value, String> {
    const TEXT: u32 = 8;
    const ARRAY: u32 = 9;
    match kind {
        TEXT => {
            let length = reader.u64("the length of a text")?;
            if length <= MAX_KEPT_TEXT {
                return Ok(Value::Text(reader.text(length)?));
            }
            reader.skip(length, "a text")?;
            Ok(Value::Length(length))
        }
        ARRAY => {
            let kind = reader.u32("the type of an array")?;
            let length = reader.u64("the length of an array")?;
            match kind {
                TEXT => {
                    // Eight bytes is the least that a text takes: an absurd length ends here.
                    reader.expect(length.saturating_mul(8), "an array of texts")?;
                    for _ in 0..length {
                        let bytes = reader.u64("the length of a text")?;
                        reader.skip(bytes, "a text in an array")?;
                    }
                    Ok(Value::Length(length))
                }
                ARRAY => Err("arrays of arrays are not supported".to_owned()),
                _ if length <= MAX_KEPT_ARRAY => {
                    let values = (0..length).map(|_| read_number(reader, kind)).collect::<Result<Vec<_>, _>>()?;
                    // Negative or fractional entries: not a list of counts.
                    Ok(values.into_iter().collect::<Option<_>>().map_or(Value::Length(length), Value::Numbers))
                }
                _ => {
                    let bytes = types::number_bytes(kind).ok_or_else(|| format!("value type {kind} is not known"))?;
                    reader.skip(length.saturating_mul(bytes), "an array")?;
                    Ok(Value::Length(length))
                }
            }
        }
        _ => Ok(read_number(reader, kind)?.map_or(Value::Other, Value::Number)),
    }
}

/// A whole number that is not negative, or nothing when it is of another kind.
fn read_number(reader: &mut Reader<impl Read + Seek>, kind: u32) -> Result<Option<u64>, String> {
    let what = "a number";
    Ok(match kind {
        0 => Some(u64::from(u8::from_le_bytes(reader.bytes(what)?))),
        1 => u64::try_from(i8::from_le_bytes(reader.bytes(what)?)).ok(),
        2 => Some(u64::from(u16::from_le_bytes(reader.bytes(what)?))),
        3 => u64::try_from(i16::from_le_bytes(reader.bytes(what)?)).ok(),
        4 => Some(u64::from(reader.u32(what)?)),
        5 => u64::try_from(i32::from_le_bytes(reader.bytes(what)?)).ok(),
        6 => {
            reader.skip(4, what)?;
            None
        }
        7 => match u8::from_le_bytes(reader.bytes("a flag")?) {
            0 | 1 => None,
            other => return Err(format!("a flag has the value {other}")),
        },
        // Larger than any real count, and than TOML can hold.
        10 => Some(reader.u64(what)?).filter(|number| i64::try_from(*number).is_ok()),
        11 => u64::try_from(i64::from_le_bytes(reader.bytes(what)?)).ok(),
        12 => {
            reader.skip(8, what)?;
            None
        }
        _ => return Err(format!("value type {kind} is not known")),
    })
}

/// The sums over all tensors.
#[derive(Debug, Default)]
struct Weights {
    parameters: u64,
    bytes: Option<u64>,
    /// Where the last tensor ends, from the start of the data.
    data_end: u64,
}

impl Weights {
    fn read(reader: &mut Reader<impl Read + Seek>, tensors: u64, alignment: u64) -> Result<Self, String> {
        let mut weights = Self { bytes: Some(0), ..Self::default() };
        for _ in 0..tensors {
            let name = reader.short_text("the name of a tensor", 256)?;
            weights.add(reader, alignment).map_err(|problem| format!("{problem} (tensor `{name}`)"))?;
        }
        Ok(weights)
    }

    fn add(&mut self, reader: &mut Reader<impl Read + Seek>, alignment: u64) -> Result<(), String> {
        const ABSURD: &str = "its size is absurd";
        let dimensions = reader.u32("the number of dimensions")?;
        if dimensions > 4 {
            return Err(format!("it has {dimensions} dimensions"));
        }
        let mut elements = 1_u64;
        let mut row = 1;
        for dimension in 0..dimensions {
            let size = reader.u64("a dimension")?;
            row = if dimension == 0 { size } else { row };
            elements = elements.checked_mul(size).filter(|count| i64::try_from(*count).is_ok()).ok_or(ABSURD)?;
        }
        let kind = reader.u32("the type of a tensor")?;
        let offset = reader.u64("the place of a tensor")?;
        if !offset.is_multiple_of(alignment) {
            return Err("it is not aligned".to_owned());
        }
        self.parameters =
            self.parameters.checked_add(elements).filter(|count| i64::try_from(*count).is_ok()).ok_or(ABSURD)?;
        // Types to come are not an error here: llama.cpp may know them.
        let bytes = match types::tensor_type(kind) {
            Some((block, bytes)) if row.is_multiple_of(block) => {
                Some((elements / block).checked_mul(bytes).ok_or(ABSURD)?)
            }
            Some(_) => return Err("its rows do not divide into blocks".to_owned()),
            None => None,
        };
        self.bytes = match (self.bytes, bytes) {
            (Some(sum), Some(bytes)) => {
                Some(sum.checked_add(bytes).filter(|sum| i64::try_from(*sum).is_ok()).ok_or(ABSURD)?)
            }
            _ => None,
        };
        let end = offset.checked_add(bytes.unwrap_or(0)).ok_or(ABSURD)?;
        self.data_end = self.data_end.max(end);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
