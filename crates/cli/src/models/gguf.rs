//! Reading the header of a GGUF file on disk; what it means is `lla_protocol::gguf`'s business.

use std::fs::File;
use std::path::Path;

pub use lla_protocol::gguf::GgufInfo;

/// Reads the header of a file.
///
/// # Errors
/// A sentence that says why the file is no GGUF that we take.
pub fn read(path: &Path) -> Result<GgufInfo, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    lla_protocol::gguf::parse(file, length).map_err(|error| error.to_string())
}
