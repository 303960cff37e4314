//! A text as sentences: paragraphs that are wrapped, lists, headings, code, logs.

/// What a sentence stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Running text.
    Prose,
    /// A point of a list; its mark is not in the text.
    Item,
    /// A heading.
    Heading,
    /// A line of its own: of a log, a table, a chat.
    Record,
    /// A line of code between fences.
    Code,
}

/// A sentence, or a line that stands alone; on one line, without space at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// Its words.
    pub(crate) text: String,
    /// What it stands in.
    pub(crate) kind: Kind,
    /// Which paragraph, list or run of lines it belongs to, counted from 0.
    pub(crate) paragraph: usize,
}

/// A line shorter than this, in characters, was not broken by wrapping.
const WRAPPED: usize = 50;

/// Words before a full stop that does not end a sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "sr", "sra", "srta", "st", "vs", "e.g", "i.e", "etc", "approx", "fig", "no",
    "vol", "inc", "ltd", "co", "corp", "jr", "dept", "est", "min", "max", "jan", "feb", "mar", "apr", "jun", "jul",
    "aug", "sep", "sept", "oct", "nov", "dec", "p.ej", "ud", "uds", "núm", "pág", "art", "av", "z.b", "d.h", "bzw",
    "ca", "nr", "a.m", "p.m", "u.s", "u.k", "cf", "al", "gen", "gov", "rev", "hon",
];

/// Splits a text into sentences, in order; nothing but white space, list marks and fences is left out.
pub(crate) fn split(text: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut open = Open::default();
    let mut paragraph = 0;
    let mut fenced = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            open.close(&mut found, paragraph);
            fenced = !fenced;
            paragraph += 1;
        } else if line.is_empty() {
            open.close(&mut found, paragraph);
            paragraph += usize::from(!fenced);
        } else if fenced {
            found.push(Sentence { text: line.to_owned(), kind: Kind::Code, paragraph });
        } else if let Some(heading) = heading(line) {
            open.close(&mut found, paragraph);
            paragraph += 1;
            found.push(Sentence { text: heading.to_owned(), kind: Kind::Heading, paragraph });
        } else if line.chars().all(|letter| "=-*_#|: ".contains(letter)) {
            open.close(&mut found, paragraph);
        } else if let Some(item) = item(line) {
            open.close(&mut found, paragraph);
            open.begin(item, Kind::Item);
        } else if is_record(line) {
            open.close(&mut found, paragraph);
            open.begin(line, Kind::Record);
            open.close(&mut found, paragraph);
        } else {
            if !open.goes_on() {
                open.close(&mut found, paragraph);
            }
            open.add(line);
        }
    }
    open.close(&mut found, paragraph);
    found
}

/// Lines that belong together so far.
#[derive(Default)]
struct Open {
    text: String,
    kind: Option<Kind>,
    last_line: usize,
}

impl Open {
    fn begin(&mut self, line: &str, kind: Kind) {
        self.kind = Some(kind);
        self.add(line);
    }

    fn add(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(line);
        self.last_line = line.chars().count();
    }

    /// Whether the next line continues this one: a short one is a line of its own, unless a list's.
    fn goes_on(&self) -> bool {
        self.last_line >= WRAPPED || self.text.ends_with([',', ':', '-'])
    }

    fn close(&mut self, found: &mut Vec<Sentence>, paragraph: usize) {
        let text = std::mem::take(&mut self.text);
        let kind = self.kind.take().unwrap_or(Kind::Prose);
        self.last_line = 0;
        if kind == Kind::Record {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            found.push(Sentence { text, kind, paragraph });
            return;
        }
        let parts = in_line(&text);
        let alone = parts.len() == 1 && kind == Kind::Prose && text.split_whitespace().count() <= 10;
        let kind = if alone && !text.ends_with(['.', '!', '?', '…', '"', '”', ':', ';', '。']) {
            Kind::Heading
        } else {
            kind
        };
        for part in parts {
            let text = part.split_whitespace().collect::<Vec<_>>().join(" ");
            found.push(Sentence { text, kind, paragraph });
        }
    }
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' ')).then(|| text.trim().trim_end_matches('#').trim_end())
}

/// The text of a point, without its mark.
fn item(line: &str) -> Option<&str> {
    let text = line.strip_prefix(['-', '*', '•', '+', '–']).or_else(|| {
        let digits = line.find(|letter: char| !letter.is_ascii_digit()).filter(|&at| (1..=3).contains(&at))?;
        line[digits..].strip_prefix(['.', ')'])
    })?;
    let text = text.strip_prefix(char::is_whitespace)?.trim_start();
    let text = ["[ ] ", "[x] ", "[X] "].into_iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text);
    (!text.is_empty()).then_some(text)
}

/// A line of a log, a table, a chat: it begins with a time, a bracket, a bar, or a short name and a colon.
fn is_record(line: &str) -> bool {
    if line.starts_with(['|', '>', '<']) {
        return true;
    }
    let inner = line.trim_start_matches(['[', '(']);
    let time: String = inner.chars().take_while(|letter| !letter.is_whitespace() && *letter != ']').collect();
    let stamped = time.chars().filter(char::is_ascii_digit).count() >= 3
        && time.contains([':', '-', '/'])
        && time.chars().all(|letter| letter.is_ascii_digit() || ":-/.TZ,+".contains(letter));
    let named = line.split_once(": ").is_some_and(|(name, _)| {
        name.split_whitespace().count() <= 2
            && name.len() <= 24
            && name.chars().all(|letter| letter.is_alphanumeric() || " _-.".contains(letter))
    });
    stamped || line.starts_with('[') || named
}

/// Splits running text; see the tests for what is no end.
pub(crate) fn in_line(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let wide = matches!(letter, '。' | '！' | '？');
        if !wide && !matches!(letter, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = at + letter.len_utf8();
        while let Some(&(next, closer)) = letters.peek() {
            if !matches!(closer, '.' | '!' | '?' | '…' | '"' | '\'' | ')' | ']' | '”' | '’' | '»') {
                break;
            }
            end = next + closer.len_utf8();
            letters.next();
        }
        let rest = &text[end..];
        if (wide || rest.starts_with(char::is_whitespace)) && ends_here(&text[start..at], letter, rest) {
            found.push(text[start..end].trim());
            start = end;
        }
    }
    found.push(text[start..].trim());
    found.retain(|part| !part.is_empty());
    found
}

/// Whether a mark between `before` and `rest` ends a sentence.
fn ends_here(before: &str, mark: char, rest: &str) -> bool {
    let next = rest.trim_start().trim_start_matches(['"', '\'', '(', '[', '“', '‘', '«', '¿', '¡', '*', '`']);
    if next.starts_with(char::is_lowercase) {
        return false;
    }
    if mark != '.' {
        return true;
    }
    let word = before.rsplit(|letter: char| letter.is_whitespace() || letter == '(').next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.starts_with(char::is_uppercase);
    // "No. 5", but "no."
    let known = ABBREVIATIONS.contains(&word.to_lowercase().as_str());
    let number = word.eq_ignore_ascii_case("no") && !next.starts_with(|letter: char| letter.is_ascii_digit());
    let clock = matches!(word, "a.m" | "p.m" | "etc");
    !initial && (!known || number || clock)
}
