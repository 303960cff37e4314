//! How the names of labels are said in plain words: `bug_report` is a name for programs, "bug report" is what a
//! model has read before. Pure.

use super::glossary;

/// Ways to say one label, each with a space in front, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sayings {
    /// The name in words first, then other words for it; at least one.
    pub(super) ways: Vec<String>,
    /// The description.
    pub(super) meaning: Option<String>,
}

/// How a label is said; an empty description counts as none.
pub(super) fn sayings(name: &str, description: &str) -> Sayings {
    let said = words(name);
    let mut ways = vec![format!(" {said}")];
    if said != name.trim() && said.to_uppercase() == name.trim() {
        // `SQL` is known by its capitals, `WARNING` is not.
        ways.push(format!(" {}", name.trim()));
    }
    let description = description.trim();
    ways.extend(glossary::other_words(&said.to_lowercase()).iter().map(|word| format!(" {word}")));
    let meaning = (!description.is_empty()).then(|| format!(" {description}"));
    Sayings { ways, meaning }
}

/// The words of a name: cut at `_`, `-`, `/` and where a small letter meets a capital one in a name that begins
/// small (`bugReport`, but not `TypeScript`). A name in capitals becomes small, unless it is as short as `P1`.
pub(super) fn words(name: &str) -> String {
    let name = name.trim();
    let is_camel = name.starts_with(char::is_lowercase);
    let mut said = String::with_capacity(name.len() + 4);
    let mut last_is_small = false;
    for letter in name.chars() {
        if matches!(letter, '_' | '-' | '/') {
            said.push(' ');
        } else if is_camel && last_is_small && letter.is_uppercase() {
            said.push(' ');
            said.extend(letter.to_lowercase());
        } else {
            said.push(letter);
        }
        last_is_small = letter.is_lowercase();
    }
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if said.is_empty() {
        return name.to_owned();
    }
    let in_capitals = said.chars().filter(|letter| letter.is_uppercase()).count() > 2 && said == said.to_uppercase();
    if in_capitals { said.to_lowercase() } else { said }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_words() {
        for (name, said) in [
            ("bug_report", "bug report"),
            ("bugReport", "bug report"),
            ("not-spam", "not spam"),
            ("R&D / legal", "R&D legal"),
            ("TypeScript", "TypeScript"),
            ("WARNING", "warning"),
            ("SQL", "sql"),
            ("P1", "P1"),
            ("tecnología", "tecnología"),
            ("  needs an answer today ", "needs an answer today"),
            ("🐛", "🐛"),
            ("---", "---"),
            ("7", "7"),
        ] {
            assert_eq!(words(name), said, "{name}");
        }
    }

    #[test]
    fn a_description_stands_beside_other_words() {
        assert_eq!(sayings("feat", "").ways, [" feat", " new feature", " add"]);
        let described = sayings("feat", " something users get ");
        assert_eq!(described.ways.len(), 3);
        assert_eq!(described.meaning.as_deref(), Some(" something users get"));
        assert_eq!(sayings("Warn", " ").ways.len(), 3);
        assert_eq!(sayings("SQL", "").ways, [" sql", " SQL"]);
    }

    proptest! {
        #[test]
        fn every_label_can_be_said(name in "\\PC*[^\\s]\\PC*") {
            prop_assert!(!words(&name).is_empty());
        }
    }
}
