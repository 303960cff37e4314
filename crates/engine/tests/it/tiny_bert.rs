//! A model for embeddings of 50 KB, written at test time: one layer of BERT with made-up weights and
//! a vocabulary of letters. Its vectors mean nothing, and differ for texts that differ.

use std::path::{Path, PathBuf};

/// Longest input in tokens.
pub(crate) const WINDOW: u32 = 32;
/// Numbers per vector.
pub(crate) const WIDTH: usize = 32;

const INNER: usize = 64;
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Types of values in a GGUF file (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const ALIGNMENT: usize = 32;

/// Writes the model into `folder`.
pub(crate) fn write(folder: &Path) -> PathBuf {
    let path = folder.join("tiny-bert.gguf");
    std::fs::write(&path, file()).expect("written");
    path
}

fn file() -> Vec<u8> {
    let tensors = tensors();
    let (count, metadata) = metadata();
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(metadata);
    let mut data = Vec::new();
    for (index, (name, shape)) in tensors.iter().enumerate() {
        text(&mut bytes, name);
        bytes.extend(u32::try_from(shape.len()).expect("small").to_le_bytes());
        shape.iter().for_each(|&size| bytes.extend((size as u64).to_le_bytes()));
        // Type 0 is f32.
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
        let numbers = weights(name, index as u64, shape.iter().product());
        data.extend(numbers.flat_map(f32::to_le_bytes));
        pad(&mut data);
    }
    pad(&mut bytes);
    bytes.extend(data);
    bytes
}

fn tensors() -> Vec<(String, Vec<usize>)> {
    let vocabulary = vocabulary().len();
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![WIDTH, vocabulary]),
        ("token_types.weight".to_owned(), vec![WIDTH, 2]),
        ("position_embd.weight".to_owned(), vec![WIDTH, WINDOW as usize]),
    ];
    let square = ["attn_q", "attn_k", "attn_v", "attn_output"].map(|name| (name, WIDTH, WIDTH));
    for (name, from, to) in square.into_iter().chain([("ffn_up", WIDTH, INNER), ("ffn_down", INNER, WIDTH)]) {
        tensors.push((format!("blk.0.{name}.weight"), vec![from, to]));
        tensors.push((format!("blk.0.{name}.bias"), vec![to]));
    }
    for name in ["token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"] {
        tensors.push((format!("{name}.weight"), vec![WIDTH]));
        tensors.push((format!("{name}.bias"), vec![WIDTH]));
    }
    tensors
}

/// Numbers between -0.5 and 0.5, the same every time (SplitMix64); factors of norms are around 1.
fn weights(name: &str, seed: u64, count: usize) -> impl Iterator<Item = f32> {
    let base = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
    (0..count as u64).map(move |index| {
        let mut bits = (seed << 32 | index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        let short = u16::try_from((bits ^ bits >> 31) >> 48).expect("16 bits");
        base + f32::from(short) / 65_536.0 - 0.5
    })
}

/// Letters that begin a word, and letters within one.
fn vocabulary() -> Vec<String> {
    let begin = ('a'..='z').map(|letter| format!("\u{2581}{letter}"));
    let within = ('a'..='z').map(|letter| letter.to_string());
    SPECIAL.iter().map(|&token| token.to_owned()).chain(begin).chain(within).collect()
}

fn metadata() -> (u64, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut count = 0;
    let mut key = |name: &str, kind: u32, value: &[u8]| {
        text(&mut bytes, name);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(value);
        count += 1;
    };
    for (name, value) in [("general.architecture", "bert"), ("general.name", "tiny"), ("tokenizer.ggml.model", "bert")]
    {
        key(name, STRING, &written(value));
    }
    for (name, value) in [
        ("bert.block_count", 1),
        ("bert.context_length", WINDOW),
        ("bert.embedding_length", 32),
        ("bert.feed_forward_length", 64),
        ("bert.attention.head_count", 2),
        ("bert.pooling_type", 1),
        ("tokenizer.ggml.token_type_count", 2),
        ("tokenizer.ggml.padding_token_id", 0),
        ("tokenizer.ggml.unknown_token_id", 1),
        ("tokenizer.ggml.bos_token_id", 2),
        ("tokenizer.ggml.cls_token_id", 2),
        ("tokenizer.ggml.seperator_token_id", 3),
        ("tokenizer.ggml.mask_token_id", 4),
    ] {
        key(name, U32, &value.to_le_bytes());
    }
    key("bert.attention.layer_norm_epsilon", F32, &1e-12_f32.to_le_bytes());
    key("bert.attention.causal", BOOL, &[0]);
    let tokens = vocabulary();
    let texts: Vec<u8> = tokens.iter().flat_map(|token| written(token)).collect();
    key("tokenizer.ggml.tokens", ARRAY, &array(STRING, tokens.len(), &texts));
    // 3 is a control token, 1 an ordinary one.
    let kinds = (0..tokens.len()).flat_map(|index| if index < SPECIAL.len() { 3_i32 } else { 1 }.to_le_bytes());
    key("tokenizer.ggml.token_type", ARRAY, &array(I32, tokens.len(), &kinds.collect::<Vec<u8>>()));
    (count, bytes)
}

fn array(kind: u32, length: usize, items: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(length as u64).to_le_bytes(), items].concat()
}

fn written(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, value);
    bytes
}

fn text(bytes: &mut Vec<u8>, value: &str) {
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(value.as_bytes());
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}
