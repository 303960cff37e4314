//! Labels whose name says less than what everybody means by it: commit types, levels of logs and priorities, and
//! what else agents sort text by. A small model knows the words, not the jargon.

/// Other ways to say a label, by its name in lower case with spaces between its words.
const WORDS: &[(&str, &[&str])] = &[
    // Types of commits.
    ("feat", &["new feature", "add"]),
    ("feature", &["new feature", "add"]),
    ("fix", &["bug fix", "repair"]),
    ("bugfix", &["bug fix", "repair"]),
    ("docs", &["documentation"]),
    ("refactor", &["restructuring code", "cleanup"]),
    ("test", &["tests", "testing"]),
    ("chore", &["maintenance", "dependency update"]),
    ("perf", &["performance", "faster"]),
    ("build", &["build system", "dependencies"]),
    ("ci", &["continuous integration"]),
    ("style", &["formatting"]),
    ("revert", &["undo an earlier change"]),
    ("deps", &["dependencies"]),
    // Levels of logs.
    ("trace", &["internal details"]),
    ("debug", &["internal details", "trace"]),
    ("info", &["normal operation", "status"]),
    ("warn", &["warning", "attention"]),
    ("warning", &["unusual", "attention"]),
    ("error", &["failure", "failed"]),
    ("fatal", &["crash"]),
    // Priorities.
    ("p0", &["critical outage", "urgent"]),
    ("p1", &["critical outage", "urgent"]),
    ("p2", &["important problem", "medium priority"]),
    ("p3", &["minor issue", "low priority"]),
    ("p4", &["trivial", "low priority"]),
    ("urgent", &["immediate", "emergency"]),
    // Types of issues.
    ("bug", &["error", "does not work"]),
    ("bug report", &["error", "does not work"]),
    ("feature request", &["wish", "suggestion"]),
    ("enhancement", &["wish", "suggestion"]),
    ("question", &["how to", "asking for help"]),
    // Tone and mail.
    ("positive", &["good", "happy"]),
    ("negative", &["bad", "unhappy"]),
    ("neutral", &["factual", "information"]),
    ("spam", &["advertising", "scam"]),
    ("ham", &["personal message", "work"]),
    ("not spam", &["personal message", "work"]),
];

/// Other ways to say a label; none for most.
pub(super) fn other_words(name: &str) -> &'static [&'static str] {
    WORDS.iter().find(|(known, _)| *known == name).map_or(&[], |(_, words)| words)
}
