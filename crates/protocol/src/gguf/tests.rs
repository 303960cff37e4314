//! Small GGUF files made by hand, whole, wrong and mutated.

use std::io::Cursor;

use proptest::prelude::*;

use super::testing::{Builder, small};
use super::*;

fn check(bytes: &[u8]) -> Result<GgufInfo, GgufError> {
    parse(Cursor::new(bytes), bytes.len() as u64)
}

fn problem(bytes: &[u8]) -> String {
    check(bytes).expect_err("it is wrong").to_string()
}

#[test]
fn a_header_is_read() {
    let info = check(&small().build()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let expected = GgufInfo {
        version: 3,
        architecture: "llama".to_owned(),
        name: text("Tiny Test"),
        quantization: text("Q4_1"),
        file_type: Some(1027),
        parameters: 320,
        tensor_bytes: Some(160 + 256),
        context_length: Some(2048),
        block_count: Some(4),
        embedding_length: Some(64),
        head_count: Some(8),
        head_count_kv: Some(2),
        vocabulary: Some(4),
        chat_template: true,
        licence: text("apache-2.0"),
        kv_bytes_per_token: Some(4 * 2 * (8 + 8) * 2),
        split: None,
    };
    assert_eq!(info, expected);
}

#[test]
fn layers_may_differ_and_splits_are_seen() {
    let hybrid = Builder::default()
        .string("general.architecture", "x")
        .number("x.block_count", 4)
        .number("x.attention.head_count", 4)
        .numbers("x.attention.head_count_kv", &[0, 2, 0, 2])
        .number("x.attention.key_length", 16)
        .number("x.attention.value_length", 8)
        .number("split.count", 3)
        .number("split.no", 1);
    let info = check(&hybrid.build()).unwrap();
    assert_eq!(info.kv_bytes_per_token, Some(4 * (16 + 8) * 2));
    assert_eq!((info.head_count_kv, info.split), (Some(2), Some((1, 3))));
    let every_fourth = small().number("llama.full_attention_interval", 4);
    assert_eq!(check(&every_fourth.build()).unwrap().kv_bytes_per_token, Some(2 * (8 + 8) * 2));
    let unknown_type = small().tensor("new", 999, &[1], 4);
    let info = check(&unknown_type.build()).unwrap();
    assert_eq!((info.tensor_bytes, info.parameters), (None, 321));
}

/// An array of `length` zeros of type INT32.
fn int32_array(length: u8) -> Vec<u8> {
    let mut bytes = vec![5, 0, 0, 0, length, 0, 0, 0, 0, 0, 0, 0];
    bytes.resize(12 + 4 * usize::from(length), 0);
    bytes
}

#[test]
fn a_file_that_was_cut_off_names_the_tensor_and_the_bytes() {
    let bytes = small().build();
    let error = check(&bytes[..bytes.len() - 100]).expect_err("too short");
    assert_eq!(error, GgufError::CutOff { tensor: "norm.weight".to_owned(), missing: 100 });
    assert!(error.to_string().contains("100 bytes are missing"), "{error}");
}

#[test]
fn what_is_wrong_is_said() {
    let bytes = small().build();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let cases: [(Vec<u8>, &str); 18] = [
        (Vec::new(), "ends inside the magic"),
        (b"PK\x03\x04aaaa".to_vec(), "zip archive"),
        (b"version https://git-lfs".to_vec(), "pointer of git LFS"),
        (with(0, b"XXXX"), "does not begin with `GGUF`"),
        (with(4, &1_u32.to_le_bytes()), "version 1 is not supported"),
        (with(4, &3_u32.to_be_bytes()), "big endian"),
        (with(8, &u64::MAX.to_le_bytes()), "its header claims"),
        (bytes[..bytes.len() - 1].to_vec(), "cut off"),
        (bytes[..100].to_vec(), "ends inside"),
        (small().string("general.name", "twice").build(), "`general.name` is there twice"),
        (Builder::default().build(), "architecture"),
        (small().number("general.alignment", 3).build(), "not a power of two"),
        (small().tensor("norm.weight", 0, &[64], 256).build(), "`norm.weight` is there twice"),
        (small().tensor("none", 0, &[0], 0).build(), "a dimension is 0"),
        (small().tensor(&"n".repeat(64), 0, &[1], 4).build(), "64 bytes long"),
        (small().numbers("tokenizer.ggml.merges", &[1]).build(), "`tokenizer.ggml.merges` is an array of another type"),
        (small().number("tokenizer.ggml.token_type", 1).build(), "is no array"),
        (small().raw("tokenizer.ggml.token_type", 9, &int32_array(3)).build(), "3 entries for 4 tokens"),
    ];
    for (bytes, expected) in cases {
        let problem = problem(&bytes);
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    let absurd: [(Builder, &str); 5] = [
        (small().tensor("t", 0, &[1 << 40, 1 << 40], 0), "absurd"),
        (small().tensor("t", 0, &[1 << 40], 0), "cut off"),
        (small().tensor("t", 2, &[31], 32), "do not divide"),
        (small().tensor("t", 0, &[1; 5], 32), "5 dimensions"),
        (small().raw("k", 9, &[8, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]), "ends inside an array of texts"),
    ];
    for (builder, expected) in absurd {
        let problem = problem(&builder.build());
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
}

#[test]
fn the_default_model_is_read_where_it_is_at_hand() {
    let Some(path) = std::env::var_os("LLA_TEST_MODEL") else {
        eprintln!("skipped: LLA_TEST_MODEL is not set");
        return;
    };
    let file = std::fs::File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let info = parse(file, length).unwrap();
    assert_eq!((info.architecture.as_str(), info.chat_template), ("llama", true));
    assert_eq!((info.context_length, info.vocabulary), (Some(8192), Some(49_152)));
    assert_eq!(info.kv_bytes_per_token, Some(30 * 3 * 64 * 2 * 2));
    assert!((100_000_000..200_000_000).contains(&info.parameters), "{}", info.parameters);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), header: bool) {
        if header && bytes.len() >= 8 {
            bytes[..8].copy_from_slice(b"GGUF\x03\0\0\0");
        }
        drop(check(&bytes));
    }

    #[test]
    fn mutated_headers_never_panic_or_grow(edits in proptest::collection::vec((0_usize..900, any::<u8>()), 1..12), cut in 0_usize..64) {
        let mut bytes = small().build();
        for (at, new) in edits {
            let at = at % bytes.len();
            bytes[at] = new;
        }
        bytes.truncate(bytes.len() - cut);
        if let Ok(info) = check(&bytes) {
            // Every byte of a tensor of a known type is in the file.
            prop_assert!(info.tensor_bytes.is_none_or(|sum| sum <= 4 * bytes.len() as u64));
            prop_assert!(serde_json::to_string(&info).is_ok());
        }
    }

    #[test]
    fn any_claimed_length_is_refused_quickly(at in 0_usize..400, length in prop::sample::select(vec![u64::MAX, 1 << 63, 1 << 40, 1 << 32])) {
        let mut bytes = small().build();
        let at = at.min(bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
        drop(check(&bytes));
    }
}
