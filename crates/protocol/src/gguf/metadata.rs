//! The key-value part of a header: what matters to us is kept, the rest is only walked over.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};

use super::GgufInfo;
use super::reader::Reader;
use super::types;
use super::weights::Weights;

/// More layers than any real model has.
const MAX_LAYERS: u64 = 65_536;

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

/// The metadata of a header.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    values: HashMap<String, Value>,
    /// The shape of every array: type of its entries, and how many.
    arrays: HashMap<String, (u32, u64)>,
}

impl Metadata {
    pub(super) fn read(reader: &mut Reader<impl Read + Seek>, entries: u64) -> Result<Self, String> {
        let mut metadata = Self::default();
        let mut seen = HashSet::new();
        for _ in 0..entries {
            let key = reader.short_text("a metadata key", 512)?;
            let kind = reader.u32("a metadata type")?;
            let in_key = |problem: String| format!("{problem} (metadata `{key}`)");
            let value = if kind == ARRAY {
                let (kind, length, value) = read_array(reader).map_err(in_key)?;
                metadata.arrays.insert(key.clone(), (kind, length));
                value
            } else {
                read_value(reader, kind).map_err(in_key)?
            };
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

    /// What tensors are aligned to, in bytes.
    pub(super) fn alignment(&self) -> Result<u64, String> {
        match self.values.get("general.alignment") {
            None => Ok(32),
            Some(Value::Number(number)) if number.is_power_of_two() && *number <= 1 << 20 => Ok(*number),
            Some(_) => Err("its alignment is not a power of two".to_owned()),
        }
    }

    /// Everything that is known.
    pub(super) fn into_info(self, version: u32, weights: &Weights) -> Result<GgufInfo, String> {
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
            file_type: self.number("general.file_type").and_then(|number| u32::try_from(number).ok()),
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

    /// llama.cpp reads the arrays of a vocabulary side by side: they must be of one length, and of the
    /// types that it expects.
    pub(super) fn check_vocabulary(&self) -> Result<(), String> {
        let tokens = self.arrays.get("tokenizer.ggml.tokens").map(|(_, length)| *length);
        for (key, kinds, as_long_as_tokens) in VOCABULARY {
            if let Some((kind, length)) = self.arrays.get(key) {
                if !kinds.contains(kind) {
                    return Err(format!("the metadata `{key}` is an array of another type than it should be"));
                }
                if as_long_as_tokens && tokens != Some(*length) {
                    let tokens = tokens.unwrap_or(0);
                    return Err(format!("the metadata `{key}` has {length} entries for {tokens} tokens"));
                }
            } else if self.values.contains_key(key) {
                return Err(format!("the metadata `{key}` is no array"));
            }
        }
        Ok(())
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

const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Arrays of a vocabulary: key, types of its entries, whether there is one entry for each token.
const VOCABULARY: [(&str, &[u32], bool); 5] = [
    ("tokenizer.ggml.tokens", &[TEXT], true),
    ("tokenizer.ggml.merges", &[TEXT], false),
    ("tokenizer.ggml.scores", &[5, 6], true),
    ("tokenizer.ggml.token_type", &[5], true),
    ("tokenizer.ggml.precompiled_charsmap", &[0, 1], false),
];

/// Anything but an array.
fn read_value(reader: &mut Reader<impl Read + Seek>, kind: u32) -> Result<Value, String> {
    if kind != TEXT {
        return Ok(read_number(reader, kind)?.map_or(Value::Other, Value::Number));
    }
    let length = reader.u64("the length of a text")?;
    if length <= MAX_KEPT_TEXT {
        return Ok(Value::Text(reader.text(length)?));
    }
    reader.skip(length, "a text")?;
    Ok(Value::Length(length))
}

/// The type of the entries, how many there are, and what we keep of them.
fn read_array(reader: &mut Reader<impl Read + Seek>) -> Result<(u32, u64, Value), String> {
    let kind = reader.u32("the type of an array")?;
    let length = reader.u64("the length of an array")?;
    let value = match kind {
        TEXT => {
            // Eight bytes is the least that a text takes: an absurd length ends here.
            reader.expect(length.saturating_mul(8), "an array of texts")?;
            for _ in 0..length {
                let bytes = reader.u64("the length of a text")?;
                reader.skip(bytes, "a text in an array")?;
            }
            Value::Length(length)
        }
        ARRAY => return Err("arrays of arrays are not supported".to_owned()),
        _ if length <= MAX_KEPT_ARRAY => {
            let values = (0..length).map(|_| read_number(reader, kind)).collect::<Result<Vec<_>, _>>()?;
            // Negative or fractional entries: not a list of counts.
            values.into_iter().collect::<Option<_>>().map_or(Value::Length(length), Value::Numbers)
        }
        _ => {
            let bytes = types::number_bytes(kind).ok_or_else(|| format!("value type {kind} is not known"))?;
            reader.skip(length.saturating_mul(bytes), "an array")?;
            Value::Length(length)
        }
    };
    Ok((kind, length, value))
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
