//! `lla doctor`: looks at everything that `lla serve` needs and says what to do.
//!
//! Each look is one function that returns [`Finding`]s; nothing is changed, nothing is started.
//! [`machine`] looks at the hardware, [`service`] at configuration, models, port and backends.

pub mod machine;
pub mod service;

use std::fmt;

use serde::Serialize;

use crate::args::DoctorArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, version};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but could be better.
    Warn,
    /// `lla serve` will not work like this.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        })
    }
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at (`cpu`, `port`, `backend vllm`).
    pub subject: String,
    /// What was seen.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), message: message.into(), todo: None }
    }

    /// Could be better.
    pub fn warn(subject: impl Into<String>, message: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { level: Level::Warn, subject: subject.into(), message: message.into(), todo: Some(todo.into()) }
    }

    /// Will not work.
    pub fn fail(subject: impl Into<String>, message: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { level: Level::Fail, subject: subject.into(), message: message.into(), todo: Some(todo.into()) }
    }
}

/// Looks at everything and prints it.
///
/// # Errors
/// When something would keep `lla serve` from working.
pub async fn run(args: &DoctorArgs) -> Outcome {
    let mut findings = vec![build()];
    findings.extend(machine::look());
    findings.extend(service::look(&args.config).await);
    let text = if args.json { serde_json::to_string_pretty(&findings)? } else { table(&findings) };
    output::line(&text);
    match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
        0 => Ok(()),
        count => Err(Failure::unavailable(format!("{count} finding(s) would keep `lla serve` from working"))),
    }
}

fn build() -> Finding {
    let message = format!("lla {}", version::line());
    if cfg!(feature = "engine") {
        return Finding::ok("build", message);
    }
    let todo = "only [backends] of the configuration can be used; build with the default features to run models here";
    Finding::warn("build", message, todo)
}

fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!("{:<4}  {:<width$}  {}", finding.level, finding.subject, finding.message));
        for todo in finding.todo.iter().flat_map(|todo| todo.lines()) {
            lines.push(format!("{:<4}  {:<width$}  -> {todo}", "", ""));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_what_to_do() {
        let findings = [Finding::ok("cpu", "2 cores"), Finding::fail("backend x", "down", "start it")];
        let wanted = "OK    cpu        2 cores\nFAIL  backend x  down\n                 -> start it";
        assert_eq!(table(&findings), wanted);
    }
}
