//! How well the form of a candidate is what a field's name asks for.

use super::super::find::Candidate;
use super::super::find::Sort::{
    self, Chunk, Code, Date, Email, Ip, Name, Number, Path, Phone, Quoted, Symbol, Time, Url, Value, Version, Words,
};
use super::super::find::numbers::Quantity;
use super::super::form::{Form, Node};
use super::super::reading::Reading;
use super::super::vocabulary::{self, Role};

/// Units with what names say for them; stems.
const UNITS: [&[&str]; 19] = [
    &["m", "meter", "metr"],
    &["ms", "millisecond", "milli"],
    &["s", "sec", "second"],
    &["min", "minut"],
    &["h", "hr", "hour"],
    &["kg", "kilogram", "kilo"],
    &["g", "gram"],
    &["l", "liter", "litr"],
    &["w", "watt", "power"],
    &["km", "kilometer"],
    &["cm", "centimeter"],
    &["m2", "area", "m²", "sqm"],
    &["c", "°c", "celsiu", "temperatur", "degr"],
    &["gb", "gigabyt"],
    &["mb", "megabyt"],
    &["v", "volt"],
    &["day", "dia", "tag"],
    &["person", "people", "guest", "pax"],
    &["mah", "battery", "capac"],
];

/// What a person does for a living.
const OCCUPATIONS: &str = "engineer manager director directora auditor head lead officer analyst developer designer consultant \
    assistant coordinator specialist president ceo cto cfo coo vp teacher professor nurse technician leiter leiterin jefe jefa \
    gerente ingeniero ingeniera directeur directrice editor architect accountant buyer representative scientist researcher \
    intern barista chef driver clerk baker librarian cook electrician plumber carpenter mechanic secretary administrator \
    supervisor planner programmer writer operator receptionist cashier waiter pharmacist lawyer attorney controller partner \
    founder geschäftsführer geschäftsführerin abteilungsleiter ingenieur entwickler berater sales marketing";

pub(super) fn is_occupation(text: &str) -> bool {
    text.split([' ', '/', ',']).any(|word| OCCUPATIONS.split(' ').any(|known| known == word.to_lowercase()))
}

pub(super) fn number_fit(node: &Node, candidate: &Candidate) -> Option<f64> {
    let has = |role: Role| node.roles.contains(&role);
    if candidate.sort == Date && (has(Role::Year) || node.name.eq_ignore_ascii_case("year")) {
        return candidate.iso.is_some().then_some(0.3);
    }
    let number = candidate.number.as_ref()?;
    if matches!(node.form, Form::Integer) && number.value.fract() != 0.0 {
        return None;
    }
    let looks_like_year = !number.fraction && (1900.0..=2100.0).contains(&number.value) && !number.money;
    let fit: f64 = if has(Role::Year) {
        if looks_like_year { 1.0 } else { -0.8 }
    } else if has(Role::Percent) && !has(Role::Money) {
        if number.percent { 1.0 } else { 0.0 }
    } else if has(Role::Money) {
        match () {
            () if number.money => 1.0,
            () if number.percent => -0.5,
            () if number.fraction => 0.4,
            () => 0.0,
        }
    } else {
        match () {
            () if number.money => -0.3,
            () if number.percent => -0.2,
            () if number.hash && has(Role::Code) => 0.7,
            () => 0.3,
        }
    };
    let spelled = if number.spelled { -0.3 } else { 0.0 };
    Some(fit + spelled + unit_match(node, number))
}

/// A unit that the field's name asks for is found, or another one is.
fn unit_match(node: &Node, number: &Quantity) -> f64 {
    let names = vocabulary::words(&node.name);
    let asked = |unit: &&&[&str]| names.iter().any(|word| unit.contains(&vocabulary::stem(word).as_str()));
    let Some(asked) = UNITS.iter().find(asked) else { return 0.0 };
    match &number.unit {
        Some(unit) if asked.contains(&unit.as_str()) => 1.0,
        Some(unit) if UNITS.iter().any(|other| other.contains(&unit.as_str())) => -0.5,
        _ => 0.0,
    }
}

pub(super) fn text_fit(node: &Node, candidate: &Candidate, reading: &Reading<'_>, key: f64) -> Option<f64> {
    let text = candidate.text(reading.text);
    if node.roles.is_empty() {
        return Some(role_fit(None, false, candidate, text, key).unwrap_or(0.0));
    }
    let bare = node.name.eq_ignore_ascii_case("name");
    let fits = node.roles.iter().filter_map(|&role| role_fit(Some(role), bare, candidate, text, key));
    fits.reduce(f64::max)
}

/// What the form of a candidate says for a role; `None`: not possible.
fn role_fit(role: Option<Role>, node_is_bare: bool, candidate: &Candidate, text: &str, key: f64) -> Option<f64> {
    let sort = candidate.sort;
    let named = key >= 0.7;
    let among = |table: &[(Sort, f64)]| table.iter().find(|(known, _)| *known == sort).map(|(_, fit)| *fit);
    let words = text.split_whitespace().count();
    let digits = text.chars().any(|letter| letter.is_ascii_digit());
    match role {
        None => among(&[
            (Value, 0.8),
            (Name, 0.5),
            (Quoted, 0.5),
            (Chunk, 0.3),
            (Symbol, 0.3),
            (Code, 0.3),
            (Words, 0.3),
            (Number, 0.0),
        ])
        .or(Some(0.0)),
        Some(Role::Email) => among(&[(Email, 1.0)]),
        Some(Role::Url) => among(&[(Url, 1.0), (Path, 0.2)]),
        Some(Role::Ip) => among(&[(Ip, 1.0)]),
        Some(Role::Phone) => among(&[(Phone, 1.0)]),
        Some(Role::Date) => among(&[(Date, 1.0)]).or((named && sort == Value).then_some(0.0)),
        Some(Role::Time) => among(&[(Time, 1.0), (Date, if text.contains(':') { 0.5 } else { -0.5 })])
            .or((named && sort == Value).then_some(0.0)),
        Some(Role::Version) => {
            among(&[(Version, 1.0), (Number, 0.1), (Code, 0.1)]).or((named && sort == Value).then_some(0.5))
        }
        Some(Role::Path) => among(&[(Path, 1.0), (Url, 0.3)]).or((named && sort == Value).then_some(0.2)),
        Some(Role::Code | Role::Year) => match sort {
            Code if text.contains(' ') => Some(0.9),
            Code => Some(1.0),
            Number => Some(if candidate.number.as_ref().is_some_and(|n| n.money || n.percent || n.spelled) {
                -0.8
            } else {
                0.5
            }),
            Phone => Some(0.3),
            Value if digits && words < 4 => Some(0.9),
            Value => Some(0.2),
            Words if text.contains(' ') => Some(-0.4),
            Version | Words | Symbol | Quoted => Some(if digits { 0.4 } else { -0.2 }),
            Name | Chunk => Some(if digits && words < 3 { 0.2 } else { -0.5 }),
            Email | Url | Ip | Path | Date | Time => None,
        },
        Some(Role::Person) => match sort {
            Name if digits => Some(if node_is_bare { 0.6 } else { -0.4 }),
            Name => Some(if text.contains('&') {
                0.0
            } else if (2..=3).contains(&words) {
                1.0
            } else {
                0.6
            }),
            Value => Some(if digits || words > 4 { 0.0 } else { 0.6 }),
            Words | Symbol if words == 1 && !digits => Some(0.1),
            Quoted => Some(0.1),
            Chunk => Some(-0.2),
            _ => None,
        },
        Some(Role::Group) => match sort {
            Name => Some(if digits { 0.3 } else { 0.9 }),
            Value => Some(if words > 5 { 0.1 } else { 0.7 }),
            Quoted => Some(0.4),
            Chunk => Some(-0.1),
            Words | Symbol => Some(0.0),
            _ => None,
        },
        Some(Role::Place) => match sort {
            Name => Some(if digits {
                0.0
            } else if words == 1 {
                0.9
            } else {
                0.7
            }),
            Value => Some(if words > 6 { 0.1 } else { 0.8 }),
            Chunk | Words => Some(-0.1),
            _ => None,
        },
        Some(Role::Street) => match sort {
            Value => Some(if digits { 1.0 } else { 0.4 }),
            Chunk => Some(if digits && text.chars().any(char::is_uppercase) && text.chars().any(char::is_lowercase) {
                0.9
            } else {
                -0.5
            }),
            Email | Url | Ip => Some(0.3),
            Name => Some(if digits { 0.5 } else { 0.0 }),
            _ => None,
        },
        Some(Role::Symbol) => among(&[
            (Symbol, 0.9),
            (Code, 0.2),
            (Quoted, 0.7),
            (Path, 0.1),
            (Words, 0.3),
            (Value, 0.5),
            (Name, 0.3),
            (Chunk, -0.2),
            (Number, -0.5),
        ]),
        Some(Role::Quality) => match sort {
            Value => Some(if words > 4 { 0.2 } else { 0.9 }),
            Words | Chunk => Some(if words > 3 { -0.3 } else { 0.4 }),
            Name | Code | Number | Quoted => Some(0.1),
            _ => None,
        },
        Some(Role::Phrase) => match sort {
            Value => Some(1.0),
            Quoted => Some(0.9),
            Chunk => Some(if words > 9 {
                -0.2
            } else if words > 1 {
                0.5
            } else {
                0.2
            }),
            Name => Some(if digits || words > 1 { 0.5 } else { 0.0 }),
            Words => Some(0.2),
            Symbol | Code => Some(0.0),
            _ => None,
        },
        Some(Role::Product) => match sort {
            Name => Some(if digits { 1.0 } else { 0.7 }),
            Value => Some(0.9),
            Quoted => Some(0.6),
            Chunk => Some(if words <= 4 { 0.4 } else { -0.2 }),
            Code | Words => Some(0.3),
            Symbol => Some(0.1),
            _ => None,
        },
        Some(Role::Job) => match sort {
            Value | Name | Chunk => Some(if is_occupation(text) && words <= 6 { 1.5 } else { 0.0 }),
            Words => Some(if is_occupation(text) { 0.6 } else { -0.2 }),
            Quoted => Some(0.2),
            _ => None,
        },
        Some(Role::Currency) => (text.len() <= 4).then_some(0.3),
        Some(Role::Percent | Role::Money | Role::Count) => among(&[
            (Number, 0.8),
            (Value, if digits { 0.9 } else { 0.3 }),
            (Code, 0.2),
            (Words, 0.0),
            (Chunk, 0.0),
            (Time, 0.2),
        ]),
    }
}
