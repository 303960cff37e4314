//! What an instruction asks for, as far as it can be done by rule.

/// A way to change a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Mistakes put right.
    Grammar,
    /// Without contractions and informal words.
    Formal,
    /// As among colleagues.
    Casual,
    /// Common words, short sentences.
    Plain,
    /// Soft and polite.
    Friendly,
    /// Without doubt.
    Confident,
    /// Who does it comes first.
    Active,
    /// Without exclamation marks.
    Calm,
    /// Fewer words.
    Concise,
    /// A list of points.
    Bullets,
    /// A list with numbers.
    Numbered,
    /// In capitals.
    Upper,
    /// In small letters.
    Lower,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Intent {
    /// In the order in which it is done.
    pub(super) ways: Vec<Way>,
    /// Most words.
    pub(super) max_words: Option<usize>,
}

/// Words, or beginnings of words, that ask for a way; and those that say that it is not meant.
const ASKING: &[(Way, &[&str], &[&str])] = &[
    (
        Way::Grammar,
        &[
            "grammar",
            "spell",
            "typo",
            "proofread",
            "ortograf",
            "gramátic",
            "gramatic",
            "corrige",
            "correct",
            "mistake",
            "punctuat",
            "errors",
        ],
        &["politically"],
    ),
    (
        Way::Casual,
        &["casual", "informal", "less formal", "relaxed", "colloquial", "conversational", "coloquial", "cercano"],
        &[],
    ),
    (
        Way::Formal,
        &["formal", "professional", "business", "contraction", "official", "respectful", "profesional"],
        &["informal", "less formal", "with contractions", "use contractions", "casual"],
    ),
    (
        Way::Plain,
        &[
            "plain",
            "simple",
            "simpl",
            "easy",
            "easier",
            "jargon",
            "layman",
            "clearer",
            "understand",
            "sencill",
            "everyday",
            "lenguaje claro",
            "legalese",
        ],
        &[],
    ),
    (
        Way::Friendly,
        &[
            "friend",
            "warm",
            "polite",
            "kind",
            "nicer",
            "soft",
            "courteous",
            "tactful",
            "diplomatic",
            "gentl",
            "less harsh",
            "less rude",
            "less aggressive",
            "less blunt",
            "empath",
            "amable",
            "cortés",
            "educad",
            "considerate",
            "pleasant",
            "positive",
        ],
        &["unfriend"],
    ),
    (Way::Confident, &["confident", "assertive", "hedg", "decisive", "stronger", "more direct"], &[]),
    (
        Way::Active,
        &["active", "voz activa", "passive"],
        &["proactive", "interactive", "passive-aggressive", "into passive", "passive voice instead"],
    ),
    (Way::Calm, &["exclamation", "neutral", "objective", "calm", "tone down", "less emotional", "matter-of-fact"], &[]),
    (
        Way::Concise,
        &[
            "concise",
            "short",
            "brief",
            "trim",
            "condens",
            "fewer words",
            "tighten",
            "cut ",
            "compress",
            "to the point",
            "breve",
            "corto",
            "corta",
            "concis",
            "resum",
            "wordy",
            "succinct",
            "crisp",
            "acorta",
            "reduce",
        ],
        &["short sentences", "short list"],
    ),
    (Way::Numbered, &["numbered", "number the", "numerad", "steps"], &[]),
    (Way::Bullets, &["bullet", " list", "lista", "viñeta", "puntos", "checklist", "itemize"], &[]),
    (
        Way::Upper,
        &["uppercase", "upper case", "all caps", "capital letters", "mayúsculas"],
        &["no capital", "without capital", "remove"],
    ),
    (Way::Lower, &["lowercase", "lower case", "minúsculas"], &[]),
];

/// Numbers as words.
const NUMBERS: &[(&str, usize)] = &[
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("twelve", 12),
    ("fifteen", 15),
    ("twenty", 20),
    ("twenty-five", 25),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("diez", 10),
    ("quince", 15),
    ("veinte", 20),
    ("treinta", 30),
    ("cincuenta", 50),
    ("hundred", 100),
];

/// Reads an instruction, in English or Spanish.
pub(super) fn read(instruction: &str) -> Intent {
    let asked = format!(" {} ", instruction.to_lowercase());
    let names = |words: &[&str]| words.iter().any(|word| has_beginning(&asked, word));
    let mut ways: Vec<Way> =
        ASKING.iter().filter(|(_, words, not)| names(words) && !names(not)).map(|(way, _, _)| *way).collect();
    let max_words = max_words(&asked);
    if max_words.is_some() && !ways.contains(&Way::Concise) {
        let at = ways.iter().position(|way| matches!(way, Way::Numbered | Way::Bullets | Way::Upper | Way::Lower));
        ways.insert(at.unwrap_or(ways.len()), Way::Concise);
    }
    if ways.contains(&Way::Numbered) {
        ways.retain(|way| *way != Way::Bullets);
    }
    Intent { ways, max_words }
}

/// Whether a word of the text begins so.
fn has_beginning(text: &str, word: &str) -> bool {
    let word = word.trim_start();
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
}

/// `at most 18 words`, `under twenty words`, `máximo 15 palabras`.
fn max_words(asked: &str) -> Option<usize> {
    let words: Vec<&str> = asked
        .split(|letter: char| !letter.is_alphanumeric() && letter != '-')
        .filter(|word| !word.is_empty())
        .collect();
    let unit = words.iter().position(|word| matches!(*word, "words" | "word" | "palabras"))?;
    let number = words[..unit].iter().rev().take(3).find_map(|word| {
        word.parse().ok().or_else(|| NUMBERS.iter().find(|(name, _)| name == word).map(|(_, value)| *value))
    })?;
    let strictly = ["less than", "fewer than", "under", "below", "menos de"].iter().any(|word| asked.contains(word));
    Some(if strictly { usize::saturating_sub(number, 1) } else { number }).filter(|most| *most > 0)
}
