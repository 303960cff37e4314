//! Durations as people write them in a configuration: `30s`, `2m 30s`, `250ms`.
//!
//! For `#[serde(with = "lla_inference::duration_text")]`; [`optional`] is the same for `Option`.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// Writes the duration as text.
///
/// # Errors
/// Only what the serializer itself reports.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads a duration.
///
/// # Errors
/// When the value is no text, or no duration; the message shows how to write one.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| D::Error::custom(format!("'{text}' is no duration ({error}); write for example \"30s\"")))
}

/// The same for a duration that may be left out.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    /// Writes the duration as text, or nothing.
    ///
    /// # Errors
    /// Only what the serializer itself reports.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a duration that is there; `#[serde(default)]` handles its absence.
    ///
    /// # Errors
    /// Like [`super::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
