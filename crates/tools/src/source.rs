//! The text that a tool works on: given, or read from files.

use lla_protocol::FieldError;

use crate::call::Call;
use crate::error::ToolError;
use crate::files::{FileError, Files};
use crate::output::FileRead;

/// Between the texts of several files.
const BETWEEN_FILES: &str = "\n\n";

/// Reads `path` and joins the texts.
///
/// # Errors
/// When a file can not be read.
pub async fn read(files: &Files, path: &str) -> Result<(String, Vec<FileRead>), FileError> {
    let found = files.read(path).await?;
    let read = found.iter().map(|file| file.read.clone()).collect();
    let texts: Vec<String> = found.into_iter().map(|file| file.text).collect();
    Ok((texts.join(BETWEEN_FILES), read))
}

/// Takes the text of `text`, or of the files of `path` (in order, with an empty line between them).
///
/// That exactly one of the two is given is checked here and not by the schema: several clients refuse
/// a schema with `oneOf` at its top.
///
/// # Errors
/// When neither or both are given, a file can not be read, or there is nothing but white space.
pub(crate) async fn text(call: &Call, text: Option<String>, path: Option<&str>) -> Result<String, ToolError> {
    let text = match (text, path) {
        (Some(text), None) => text,
        (None, Some(path)) => {
            let (text, files) = read(&call.context().files, path).await?;
            call.note_files(files);
            text
        }
        (Some(_), Some(_)) => {
            return Err(
                FieldError::new("path", "invalid_value", "can not stand beside 'text': give one of them").into()
            );
        }
        (None, None) => {
            let message = "give 'text', or 'path' with a file inside the allowed folders";
            return Err(FieldError::new("text", "missing_required_parameter", message).into());
        }
    };
    if text.trim().is_empty() {
        let field = if path.is_some() { "path" } else { "text" };
        return Err(FieldError::new(field, "invalid_value", "there is no text in it, only white space").into());
    }
    Ok(text)
}
