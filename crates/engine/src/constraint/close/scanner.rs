//! Reads JSON byte by byte and knows at each place how it could end.

/// What may come next between two tokens of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A value must come.
    Value,
    /// A value or the end of the array.
    FirstItem,
    /// A key or the end of the object.
    FirstKey,
    /// A key must come.
    Key,
    /// The colon after a key.
    Colon,
    /// A comma or the end of what is around.
    AfterValue,
}

/// Inside a string: what of an escape has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Escape {
    None,
    /// The backslash.
    Begun,
    /// `\u` and so many hexadecimal digits, with their value.
    Hex(u32, u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Between tokens.
    None,
    /// In a string. `high`: the last thing in it is the first half of a surrogate pair.
    Text { key: bool, escape: Escape, high: bool },
    /// In `true`, `false` or `null`: what is missing.
    Word(&'static str),
    /// In a number: its last byte.
    Number(u8),
}

/// A reader of JSON that is lenient about what it reads (control characters, forms of numbers): its
/// work is to know where the text is.
#[derive(Debug, Clone)]
pub(in super::super) struct Scanner {
    /// For each open bracket: whether it is that of an object.
    open: Vec<bool>,
    place: Place,
    token: Token,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { open: Vec::new(), place: Place::Value, token: Token::None }
    }
}

impl Scanner {
    /// Whether the text is inside a string.
    pub(in super::super) fn in_string(&self) -> bool {
        matches!(self.token, Token::Text { .. })
    }

    /// Takes the next byte; `None` when no JSON goes on like this.
    pub(in super::super) fn push(&mut self, byte: u8) -> Option<()> {
        match std::mem::replace(&mut self.token, Token::None) {
            Token::Text { key, escape, high } => self.in_text(byte, key, &escape, high),
            Token::Word(missing) => self.in_word(byte, missing),
            Token::Number(_) if is_number(byte) => {
                self.token = Token::Number(byte);
                Some(())
            }
            Token::Number(last) => {
                // A number ends with what follows it.
                last.is_ascii_digit().then(|| self.place = Place::AfterValue)?;
                self.between(byte)
            }
            Token::None => self.between(byte),
        }
    }

    fn in_text(&mut self, byte: u8, key: bool, escape: &Escape, high: bool) -> Option<()> {
        let (escape, high) = match (escape, byte) {
            (Escape::None, b'"') => {
                self.place = if key { Place::Colon } else { Place::AfterValue };
                return Some(());
            }
            (Escape::None, b'\\') => (Escape::Begun, high),
            (Escape::None, _) => (Escape::None, false),
            (Escape::Begun, b'u') => (Escape::Hex(0, 0), high),
            (Escape::Begun, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (Escape::None, false),
            (Escape::Begun, _) => return None,
            (Escape::Hex(digits, value), _) => {
                let value = value * 16 + char::from(byte).to_digit(16)?;
                if *digits == 3 { (Escape::None, is_high(value)) } else { (Escape::Hex(digits + 1, value), high) }
            }
        };
        self.token = Token::Text { key, escape, high };
        Some(())
    }

    fn in_word(&mut self, byte: u8, missing: &'static str) -> Option<()> {
        let rest = missing.strip_prefix(char::from(byte))?;
        if rest.is_empty() {
            self.place = Place::AfterValue;
        } else {
            self.token = Token::Word(rest);
        }
        Some(())
    }

    fn between(&mut self, byte: u8) -> Option<()> {
        let value = matches!(self.place, Place::Value | Place::FirstItem);
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'"' if value => self.token = Token::Text { key: false, escape: Escape::None, high: false },
            b'"' if matches!(self.place, Place::FirstKey | Place::Key) => {
                self.token = Token::Text { key: true, escape: Escape::None, high: false };
            }
            b'{' if value => {
                self.open.push(true);
                self.place = Place::FirstKey;
            }
            b'[' if value => {
                self.open.push(false);
                self.place = Place::FirstItem;
            }
            b't' if value => self.token = Token::Word("rue"),
            b'f' if value => self.token = Token::Word("alse"),
            b'n' if value => self.token = Token::Word("ull"),
            b'-' | b'0'..=b'9' if value => self.token = Token::Number(byte),
            b':' if self.place == Place::Colon => self.place = Place::Value,
            b',' if self.place == Place::AfterValue => {
                self.place = if *self.open.last()? { Place::Key } else { Place::Value };
            }
            b'}' if matches!(self.place, Place::AfterValue | Place::FirstKey) => self.close(true)?,
            b']' if matches!(self.place, Place::AfterValue | Place::FirstItem) => self.close(false)?,
            _ => return None,
        }
        Some(())
    }

    fn close(&mut self, object: bool) -> Option<()> {
        (self.open.pop()? == object).then(|| self.place = Place::AfterValue)
    }

    /// What makes the text whole: the rest of the token, a value (`null`) where one must come, and the
    /// closing brackets.
    pub(super) fn closing(mut self) -> String {
        let mut closing = String::new();
        match &self.token {
            Token::None => {}
            Token::Text { key, escape, high } => {
                closing.push_str(&rest_of_escape(escape, *high));
                closing.push('"');
                self.place = if *key { Place::Colon } else { Place::AfterValue };
            }
            Token::Word(missing) => {
                closing.push_str(missing);
                self.place = Place::AfterValue;
            }
            Token::Number(last) => {
                if !last.is_ascii_digit() {
                    closing.push('0');
                }
                self.place = Place::AfterValue;
            }
        }
        closing.push_str(match self.place {
            Place::Value => "null",
            Place::Key => "\"\":null",
            Place::Colon => ":null",
            Place::FirstItem | Place::FirstKey | Place::AfterValue => "",
        });
        closing.extend(self.open.iter().rev().map(|&object| if object { '}' } else { ']' }));
        closing
    }
}

fn is_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

fn is_high(value: u32) -> bool {
    (0xd800..0xdc00).contains(&value)
}

/// Ends an escape so that the string holds whole characters.
fn rest_of_escape(escape: &Escape, high: bool) -> String {
    const LOW: &str = "dc00";
    match (escape, high) {
        (Escape::None, false) => String::new(),
        (Escape::None, true) => format!("\\u{LOW}"),
        (Escape::Begun, false) => "\\".to_owned(),
        (Escape::Begun, true) => format!("u{LOW}"),
        (Escape::Hex(digits, _), true) => LOW.chars().skip(*digits as usize).collect(),
        (Escape::Hex(0, _), false) => "0020".to_owned(),
        (Escape::Hex(digits, value), false) => {
            let zeros = 4 - digits;
            let low = if is_high(value << (4 * zeros)) { format!("\\u{LOW}") } else { String::new() };
            format!("{}{low}", "0".repeat(zeros as usize))
        }
    }
}
