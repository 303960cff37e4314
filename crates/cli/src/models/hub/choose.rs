//! Which of a repository's files, when none is named.
//!
//! The order is by what most people want on most machines: four bits with little loss, then eight bits,
//! then what is near them, the full weights last. Quantizations below four bits are never chosen by
//! themselves: they cost too many answers. Only one whole text model is: no projector (`mmproj`), no
//! draft head (`mtp`), no importance matrix, no part of a split model.

/// Best first. `UD-` (Unsloth's mixed ones) count as their base.
const ORDER: [&str; 16] = [
    "Q4_K_M", "Q8_0", "Q4_K_XL", "Q5_K_M", "Q6_K", "Q4_K_S", "Q5_K_S", "MXFP4", "IQ4_XS", "IQ4_NL", "Q4_K_L", "Q4_1",
    "Q4_0", "BF16", "F16", "F32",
];
/// Marks of files that are not a model by themselves.
const NOT_A_MODEL: [&str; 6] = ["mmproj", "imatrix", "mtp-", "-mtp", "assistant", "draft"];

/// The best of these files.
///
/// # Errors
/// A sentence, when none can be chosen.
pub(super) fn best(files: &[String]) -> Result<String, String> {
    let models: Vec<&String> = files.iter().filter(|file| is_model(file)).collect();
    if models.is_empty() {
        return Err("there is no GGUF in this repository".to_owned());
    }
    let (whole, split): (Vec<&String>, Vec<&String>) = models.into_iter().partition(|file| refuse_split(file).is_ok());
    for wanted in ORDER {
        let mut fitting: Vec<&&String> = whole.iter().filter(|file| quantization(file) == Some(wanted)).collect();
        // The plainest name: files in folders and variants are longer.
        fitting.sort_by_key(|file| (file.len(), file.as_str()));
        if let Some(file) = fitting.first() {
            return Ok((**file).clone());
        }
    }
    match whole.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(format!("its models are split into parts ({}, …), which are not supported", split[0])),
        many => Err(format!("it has none of {}; there is {}", ORDER[..4].join(", "), list(many))),
    }
}

/// Refuses a part of a split model by its name.
///
/// # Errors
/// A sentence.
pub(super) fn refuse_split(file: &str) -> Result<(), String> {
    let stem = &file[..file.len() - ".gguf".len().min(file.len())];
    let Some((rest, total)) = stem.rsplit_once("-of-") else { return Ok(()) };
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = rest.rsplit('-').next().unwrap_or_default();
    if digits(total) && digits(part) && total != "00001" {
        return Err(format!("{file} is a part of a split model, which is not supported: take a file that is whole"));
    }
    Ok(())
}

fn is_model(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    name.ends_with(".gguf") && !NOT_A_MODEL.iter().any(|mark| name.contains(mark))
}

/// The quantization that a file's name ends in.
fn quantization(file: &str) -> Option<&'static str> {
    let upper = file.to_ascii_uppercase();
    let stem = upper.strip_suffix(".GGUF")?;
    // The longest match: `Q4_K_M`, not `K_M`; and only a whole word.
    let ends = |wanted: &str| {
        stem.strip_suffix(wanted).is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '.', '_', '/']))
    };
    ORDER.into_iter().filter(|wanted| ends(wanted)).max_by_key(|wanted| wanted.len())
}

fn list(files: &[&String]) -> String {
    let names: Vec<&str> = files.iter().take(8).map(|file| file.as_str()).collect();
    format!("{}{}", names.join(", "), if files.len() > names.len() { ", …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str]) -> Result<String, String> {
        best(&files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_order_holds_and_helpers_are_passed_over() {
        let cases: [(&[&str], &str); 7] = [
            (&["README.md", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-BF16.gguf"], "m-Q4_K_M.gguf"),
            (&["m.q8_0.gguf", "m.f16.gguf"], "m.q8_0.gguf"),
            (&["mmproj-F16.gguf", "m-UD-Q4_K_XL.gguf", "m-IQ2_M.gguf"], "m-UD-Q4_K_XL.gguf"),
            (
                &["mtp-m-Q4_K_M.gguf", "gemma-4-E4B_q4_0-it.gguf", "gemma-4-E4B-it-mmproj.gguf"],
                "gemma-4-E4B_q4_0-it.gguf",
            ),
            (&["sub/m-Q4_K_M.gguf", "m-Q4_K_M.gguf"], "m-Q4_K_M.gguf"),
            (&["gpt-oss-20b-mxfp4.gguf"], "gpt-oss-20b-mxfp4.gguf"),
            (&["m-Q4_K_M-00001-of-00003.gguf", "m-Q4_0.gguf"], "m-Q4_0.gguf"),
        ];
        for (files, expected) in cases {
            assert_eq!(chosen(files).as_deref(), Ok(expected), "{files:?}");
        }
    }

    #[test]
    fn no_choice_is_explained() {
        let cases: [(&[&str], &str); 4] = [
            (&["model.safetensors"], "no GGUF"),
            (&["mmproj-F16.gguf"], "no GGUF"),
            (&["m-Q2_K.gguf", "m-IQ2_M.gguf"], "there is m-Q2_K.gguf, m-IQ2_M.gguf"),
            (&["Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"], "split into parts"),
        ];
        for (files, expected) in cases {
            let problem = chosen(files).expect_err("none fits");
            assert!(problem.contains(expected), "{files:?}: {problem}");
        }
        assert!(refuse_split("a-00001-of-00001.gguf").is_ok(), "one part is whole");
        assert!(refuse_split("x").is_ok());
    }
}
