//! Lines of well-known form, as pairs of what stands there and where: access logs, system logs, stack frames.

use std::sync::LazyLock;

use regex::Regex;

use super::super::pattern;
use super::super::vocabulary::stem;
use super::Pair;

/// Which of several such lines tells where an error began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Last,
}

/// The groups are named by the words of the keys.
static FORMS: LazyLock<[(Regex, Which); 6]> = LazyLock::new(|| {
    [
        // Common and combined access logs.
        (
            pattern(
                r#"(?m)^(?P<client_ip_host>\S+) \S+ (?P<user>\S+) \[(?P<timestamp_time_date>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path_url>\S+) ?(?P<protocol>[^"]*)" (?P<status_code>\d{3}) (?P<bytes_size>\d+)(?: "(?P<referrer>[^"]*)" "(?P<agent>[^"]*)")?"#,
            ),
            Which::First,
        ),
        // syslog.
        (
            pattern(
                r"(?m)^(?:<\d+>)?(?P<timestamp_date>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<host_server>[\w.-]+) (?P<process_program_service>[\w./-]+)(?:\[(?P<pid>\d+)\])?: (?P<message>[^\n]+)",
            ),
            Which::First,
        ),
        // Python.
        (
            pattern(r#"(?m)^\s*File "(?P<file_path>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>[\w.<>]+))?"#),
            Which::Last,
        ),
        // JavaScript, Java, .NET.
        (
            pattern(
                r"(?m)^\s*at (?P<function>[\w.$<>]+) ?\((?P<file_path>[^():\n]+):(?P<line>\d+)(?::(?P<column>\d+))?\)",
            ),
            Which::First,
        ),
        // Go, Rust, C.
        (pattern(r"(?m)(?:^|\s)(?P<file_path>[\w./\\-]+\.\w{1,4}):(?P<line>\d+)(?::(?P<column>\d+))?"), Which::First),
        // A name of an error, and its message.
        (
            pattern(
                r"(?m)^(?:Uncaught |Caused by: |Exception in thread \x22[^\x22]*\x22 )?(?P<exception_error_type>(?:[\w$]+\.)*\w*(?:Error|Exception|Panic|Fault)): (?P<message>[^\n]+)",
            ),
            Which::First,
        ),
    ]
});

pub(super) fn pairs(text: &str) -> Vec<Pair> {
    let mut found = Vec::new();
    for (form, which) in FORMS.iter() {
        let mut lines = form.captures_iter(text);
        let line = if *which == Which::First { lines.next() } else { lines.last() };
        let Some(line) = line else { continue };
        for name in form.capture_names().flatten() {
            let Some(value) = line.name(name).filter(|value| !["", "-"].contains(&value.as_str())) else { continue };
            // Each word of the group's name is a key of its own.
            found.extend(name.split('_').map(|key| Pair { key: vec![stem(key)], value: value.range() }));
        }
    }
    found
}
