//! Markers that may be under way at the end of a text.

/// The text may go on to be one of the markers.
pub(super) fn is_beginning(text: &str, markers: &[&str]) -> bool {
    markers.iter().any(|marker| marker.len() > text.len() && marker.starts_with(text))
}

/// How much of the text can not be part of a marker, nor the white space in front of one.
pub(super) fn safe_length(text: &str, markers: &[&str]) -> usize {
    let longest = markers.iter().map(|marker| marker.len()).max().unwrap_or(0);
    let begins = text.char_indices().map(|(place, _)| place).filter(|place| text.len() - place < longest);
    let cut = begins.into_iter().find(|&place| is_beginning(&text[place..], markers)).unwrap_or(text.len());
    text[..cut].trim_end().len()
}
