//! Models as text: tables for people. The JSON forms are the values' own (`serde`).

use super::catalogue::{DATE, Expected, Figure, Recommendation, WINDOW};
use super::store::Installed;
use crate::table::Table;

/// Bytes as people write them: powers of ten, one digit after the point.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// The models of the store.
#[must_use]
pub fn list(models: &[Installed]) -> String {
    if models.is_empty() {
        return "no models yet. The first `lla serve` gets the default one; lla models recommend shows better ones"
            .to_owned();
    }
    let mut table = Table::new(&["NAME", "SIZE", "FORM", "PARAMETERS", "CONTEXT", "LICENCE", "SOURCE"]);
    for model in models {
        let (manifest, gguf) = (&model.manifest, &model.manifest.gguf);
        let mut forms = vec![gguf.quantization.clone().unwrap_or_else(|| "?".to_owned())];
        forms.extend(manifest.prepared.iter().map(|form| form.form.clone()));
        table.row([
            model.name.clone(),
            size(model.stored_bytes().max(manifest.size_bytes)),
            forms.join(" + "),
            parameters(gguf.parameters),
            gguf.context_length.map_or_else(|| "?".to_owned(), |length| length.to_string()),
            manifest.licence.clone().unwrap_or_else(|| "?".to_owned()),
            short_source(&manifest.source),
        ]);
    }
    table.text()
}

/// Everything about one model.
#[must_use]
pub fn show(model: &Installed) -> String {
    let (manifest, gguf) = (&model.manifest, &model.manifest.gguf);
    let unknown = || "not stated".to_owned();
    let number = |value: Option<u64>| value.map_or_else(unknown, |value| value.to_string());
    let kept = if manifest.is_registered() { " (yours: registered, not copied)" } else { "" };
    let mut lines: Vec<(&str, String)> = vec![
        ("name", model.name.clone()),
        ("file", format!("{}{kept}", model.path.display())),
        ("size", size(manifest.size_bytes)),
        ("sha256", manifest.sha256.clone()),
        ("source", manifest.source.clone()),
        ("added", manifest.added.clone()),
        ("licence", manifest.licence.clone().unwrap_or_else(unknown)),
        ("model", gguf.name.clone().unwrap_or_else(unknown)),
        ("architecture", gguf.architecture.clone()),
        ("parameters", parameters(gguf.parameters)),
        ("quantization", gguf.quantization.clone().unwrap_or_else(unknown)),
        ("context", number(gguf.context_length)),
        ("layers", number(gguf.block_count)),
        ("vocabulary", number(gguf.vocabulary)),
        (
            "chat template",
            if gguf.chat_template { "yes" } else { "no: chat needs one in the configuration" }.to_owned(),
        ),
    ];
    if let Some(bytes) = gguf.kv_bytes_per_token {
        let window = gguf.context_length.unwrap_or(WINDOW).min(WINDOW);
        let cache = bytes.saturating_mul(window);
        lines.push(("KV cache", format!("at most {} a token, {} for {window} tokens", size(bytes), size(cache))));
    }
    if let Some(advice) = &manifest.sampling {
        let some = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
        let parts = [
            some("temperature", advice.temperature.map(|value| value.to_string())),
            some("top_p", advice.top_p.map(|value| value.to_string())),
            some("top_k", advice.top_k.map(|value| value.to_string())),
            some("min_p", advice.min_p.map(|value| value.to_string())),
        ];
        lines.push(("sampling", format!("{} (advised)", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))));
    }
    for form in &manifest.prepared {
        lines.push(("prepared", format!("{}, {}, made {}", form.form, size(form.size_bytes), form.added)));
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = lines.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

/// What fits this machine.
#[must_use]
pub fn recommend(recommendation: &Recommendation) -> String {
    let machine = &recommendation.machine;
    let gpu = match machine.gpu_memory_bytes {
        0 => "no GPU that this build can use".to_owned(),
        bytes => format!("a GPU with {}", size(bytes)),
    };
    let cores = if machine.cores == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cores) };
    let mut text = format!("This machine: {} of memory, {gpu}, {cores}.\n\n", size(machine.memory_bytes));
    let chosen = [("small", recommendation.small), ("main", recommendation.main)];
    for (tier, entry) in chosen {
        text += &match entry {
            Some(entry) => format!("{tier:<5}  {}: {}\n       {}\n", entry.name, entry.good_for, entry.command()),
            None => format!("{tier:<5}  nothing of the list is fast enough here\n"),
        };
    }
    let mut table = Table::new(&["NAME", "TIER", "PARAMETERS", "DOWNLOAD", "MEMORY", "HERE", "LICENCE", "GOOD FOR"]);
    for model in &recommendation.models {
        table.row(row(model));
    }
    text += &format!(
        "\nOpen models in GGUF form, {DATE}. Memory is with a window of {WINDOW} tokens; ~ is an estimate:\n\n"
    );
    text += &table.text();
    text += "\n\nlla models pull NAME gets one; any other GGUF comes with hf:OWNER/REPO or as a file.";
    text
}

fn row(model: &Expected) -> [String; 8] {
    let entry = model.entry;
    let about = if entry.download_figure == Figure::Estimated { "~" } else { "" };
    let here = match (model.fits, model.tokens_per_second) {
        (false, _) => "too large".to_owned(),
        (true, None) => "fits the GPU".to_owned(),
        (true, Some(0)) => "below 1 token/s".to_owned(),
        (true, Some(speed)) => format!("~{speed} tokens/s"),
    };
    let tier = match entry.tier {
        super::catalogue::Tier::Small => "small",
        super::catalogue::Tier::Main => "main",
    };
    [
        entry.name.to_owned(),
        tier.to_owned(),
        entry.parameters.to_owned(),
        format!("{about}{}", size(entry.download_bytes)),
        format!("~{}", size(model.memory_bytes)),
        here,
        entry.licence.to_owned(),
        entry.good_for.to_owned(),
    ]
}

fn parameters(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{}M", count / 1_000_000),
        _ => format!("{}.{}B", count / 1_000_000_000, count / 100_000_000 % 10),
    }
}

/// Without the checksums, which fill a line by themselves.
fn short_source(source: &str) -> String {
    let pinned = source.starts_with("pypi:") || source.starts_with("hf:");
    let cut = source.split_once('#').filter(|_| pinned);
    cut.map_or(source, |(place, _)| place).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::catalogue::{Machine, recommend as choose};

    #[test]
    fn sizes_are_rounded_and_never_a_thousand() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (98_362_432, "98.4 MB"),
            (999_949_999, "999.9 MB"),
            (999_950_000, "1.0 GB"),
            (2_147_483_648, "2.1 GB"),
            (u64::MAX, "18446.7 PB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
        assert_eq!([parameters(134_515_008), parameters(3_075_000_000)], ["134M", "3.0B"]);
    }

    #[test]
    fn the_recommendation_is_a_table_with_commands() {
        let text = recommend(&choose(Machine { memory_bytes: 8 << 30, gpu_memory_bytes: 0, cores: 2 }));
        assert!(text.starts_with("This machine: 8.6 GB of memory, no GPU that this build can use, 2 cores."), "{text}");
        assert!(text.contains("lla models pull smollm3-3b"), "{text}");
        assert!(text.contains("too large") && text.contains("tokens/s") && text.contains(DATE), "{text}");
        let poor = recommend(&choose(Machine { memory_bytes: 1 << 30, gpu_memory_bytes: 0, cores: 1 }));
        assert!(poor.contains("main   nothing of the list"), "{poor}");
    }

    #[test]
    fn an_empty_store_says_what_to_do() {
        assert!(list(&[]).contains("lla models recommend"));
    }
}
