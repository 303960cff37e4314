//! A long text in windows of counted tokens.

use std::ops::Range;

use lla_inference::ChatRequest;
use lla_protocol::openai::{Message, Role, Sampling};
use serde_json::Map;

use super::super::parts::Part;
use super::super::reading::Reading;
use crate::error::ToolError;
use crate::models::Model;

/// Most tokens of a window: small models read short texts better.
const WINDOW: u32 = 1024;

/// The text in pieces that the model can read, cut between sentences where that can be.
pub(super) async fn windows(model: &Model, parts: &[Part<'_>]) -> Result<Vec<Range<usize>>, ToolError> {
    let mut found = Vec::new();
    for part in parts {
        let inner = windows_of(model, &part.reading).await?;
        found.extend(inner.into_iter().map(|at| at.start + part.offset..at.end + part.offset));
    }
    Ok(found)
}

async fn windows_of(model: &Model, reading: &Reading<'_>) -> Result<Vec<Range<usize>>, ToolError> {
    let most = model.window.map_or(WINDOW, |window| (window / 2).clamp(64, WINDOW));
    let mut found: Vec<Range<usize>> = Vec::new();
    let whole = 0..reading.text.len();
    let mut open = vec![whole];
    while let Some(part) = open.pop() {
        // A token is at least a byte, and seldom more than eight.
        let fits = part.len() <= most as usize
            || (part.len() <= most as usize * 8 && tokens(model, &reading.text[part.clone()]).await? <= most);
        match middle(reading, &part) {
            Some(cut) if !fits => {
                open.push(cut..part.end);
                open.push(part.start..cut);
            }
            _ => found.push(part),
        }
    }
    Ok(found)
}

/// Where a part is cut in two: the end of a sentence near its middle.
fn middle(reading: &Reading<'_>, part: &Range<usize>) -> Option<usize> {
    let aim = part.start + part.len() / 2;
    let ends = reading.sentences.iter().map(|sentence| sentence.end).filter(|&end| end > part.start && end < part.end);
    let words = reading.words.iter().map(|word| word.at.end).filter(|&end| end > part.start && end < part.end);
    let letter = (aim..part.end).find(|&at| reading.text.is_char_boundary(at) && at > part.start && at < part.end);
    let near = |ends: &mut dyn Iterator<Item = usize>| ends.min_by_key(|end| end.abs_diff(aim));
    let sentence = near(&mut ends.into_iter()).filter(|end| end.abs_diff(aim) < part.len() / 4);
    sentence.or_else(|| near(&mut words.into_iter())).or(letter)
}

async fn tokens(model: &Model, text: &str) -> Result<u32, ToolError> {
    let request = ChatRequest {
        model: model.name.clone(),
        messages: vec![Message::text(Role::User, text)],
        sampling: Sampling::default(),
        max_tokens: None,
        n: None,
        extra: Map::new(),
    };
    Ok(model.count_tokens(&request).await?)
}
