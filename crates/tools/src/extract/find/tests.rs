use super::super::reading::Reading;
use super::*;

fn found(text: &str, sort: Sort) -> Vec<(String, Candidate)> {
    let mut found: Vec<Candidate> = candidates(&Reading::of(text)).into_iter().filter(|one| one.sort == sort).collect();
    found.sort_by_key(|one| (one.at.start, one.at.end));
    found.into_iter().map(|one| (one.text(text).to_owned(), one)).collect()
}

fn texts(text: &str, sort: Sort) -> Vec<String> {
    found(text, sort).into_iter().map(|(text, _)| text).collect()
}

#[test]
fn dates_in_many_spellings_become_iso() {
    for (text, quote, iso) in [
        ("on 2025-02-09.", "2025-02-09", Some("2025-02-09")),
        ("at 2025-01-07T04:12:55Z it", "2025-01-07T04:12:55Z", Some("2025-01-07T04:12:55Z")),
        ("2024-09-14 22:18:40,311 ERROR", "2024-09-14 22:18:40,311", Some("2024-09-14T22:18:40.311Z")),
        ("due 3 March 2025", "3 March 2025", Some("2025-03-03")),
        ("March 3rd, 2025 it is", "March 3rd, 2025", Some("2025-03-03")),
        ("19 Aug 2025,", "19 Aug 2025", Some("2025-08-19")),
        ("am 14.08.2025 nach", "14.08.2025", Some("2025-08-14")),
        ("on 12/31/2024", "12/31/2024", Some("2024-12-31")),
        ("el 4 de mayo de 2025", "4 de mayo de 2025", Some("2025-05-04")),
        ("le 22 mai 2025", "22 mai 2025", Some("2025-05-22")),
        ("on 27 June we", "27 June", None),
        ("3. Mai 2025", "3. Mai 2025", Some("2025-05-03")),
    ] {
        let dates = found(text, Sort::Date);
        let (found, candidate) = dates.first().unwrap_or_else(|| panic!("no date in {text}"));
        assert_eq!((found.as_str(), candidate.iso.as_deref()), (quote, iso), "{text}");
    }
    assert_eq!(texts("42/13/2024 and 1.2.3", Sort::Date), Vec::<String>::new());
}

#[test]
fn numbers_have_values_units_and_signs() {
    for (text, value, money, unit) in [
        ("Total: $1,940.00 paid", 1940.0, true, None),
        ("total 119,80 EUR", 119.8, true, Some("eur")),
        ("1.284,50 EUR", 1284.5, true, Some("eur")),
        ("about 12,480 people", 12480.0, false, Some("peopl")),
        ("is -17.5 C", -17.5, false, Some("c")),
        ("took 8450ms", 8450.0, false, Some("ms")),
        ("NOK 2,199 fare", 2199.0, true, Some("far")),
        ("has two doors", 2.0, false, Some("door")),
        ("sshd[2210]", 2210.0, false, None),
    ] {
        let numbers = found(text, Sort::Number);
        let number = numbers.first().and_then(|(_, one)| one.number.clone()).unwrap_or_else(|| panic!("{text}"));
        assert!((number.value - value).abs() < 1e-9, "{text}: {number:?}");
        assert_eq!(number.money, money, "{text}: {number:?}");
        if let Some(unit) = unit {
            assert_eq!(number.unit.as_deref(), Some(super::super::vocabulary::stem(unit).as_str()), "{text}");
        }
    }
    assert_eq!(texts("SN-20931-K, v2.19.3, 192.0.2.1, 2025-01-01", Sort::Number), Vec::<String>::new());
}

#[test]
fn marks_are_told_by_their_signs() {
    for (text, sort, quotes) in [
        ("mail <zoe@plum.example>.", Sort::Email, vec!["zoe@plum.example"]),
        (
            "see https://shop.example/a?b=1, www.altmark.example",
            Sort::Url,
            vec!["https://shop.example/a?b=1", "www.altmark.example"],
        ),
        ("from 192.0.2.15 - x", Sort::Ip, vec!["192.0.2.15"]),
        (
            "GET /api/v2/orders HTTP, \"jobs/sync.py\", (src/theme.js:9:3)",
            Sort::Path,
            vec!["/api/v2/orders", "jobs/sync.py", "src/theme.js"],
        ),
        (
            "call 555-0163 or +61 2 5550 3388 or (01) 555 0173.",
            Sort::Phone,
            vec!["555-0163", "+61 2 5550 3388", "(01) 555 0173"],
        ),
        ("v2.19.3 and 1.12.0", Sort::Version, vec!["2.19.3", "1.12.0"]),
        ("no. A-3391, TX-66120, 2025/0417", Sort::Code, vec!["A-3391", "TX-66120", "2025/0417"]),
        ("[search-indexer] write_rows json.Error", Sort::Symbol, vec!["search-indexer", "write_rows", "json.Error"]),
        ("at 18:30, 7 pm and 9.15 a.m.", Sort::Time, vec!["18:30", "7 pm", "9.15 a.m"]),
        ("say \"queue is closed\" now", Sort::Quoted, vec!["queue is closed"]),
    ] {
        assert_eq!(texts(text, sort), quotes, "{text}");
    }
}

#[test]
fn names_come_whole_and_in_parts() {
    let names = texts("Contact Mara Lindqvist of Quill & Frame, Dr. Keane, Safari 17.", Sort::Name);
    for name in ["Mara Lindqvist", "Quill & Frame", "Dr. Keane", "Safari 17"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}

#[test]
fn ends_are_trimmed_and_brackets_closed() {
    for (text, expected) in [
        (" (#77) ", "#77"),
        ("dark theme (#77", "dark theme"),
        ("Duero S.L.", "Duero S.L."),
        ("\"x\".", "x"),
        (" - ", ""),
    ] {
        assert_eq!(&text[trimmed(text, 0..text.len())], expected, "{text}");
    }
}
