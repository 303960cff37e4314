//! Tool calls: the formats that models write them in, how they are read, and how they are forced.
//!
//! What it does: tells a model's format from its chat template ([`Family`]), reads answers as they
//! come ([`Reader`]: text in, content, reasoning and calls out, the same for every way the text is
//! cut), builds the grammar that makes a model call ([`restriction`]), and writes tools and old calls
//! as plain text for templates that know none ([`prepare`]). Pure: no model, no HTTP.
//!
//! What it does not: run tools, or hold the model to the grammar (the worker does).
//!
//! Start at [`Reader::push`].

mod call;
mod family;
mod history;
mod marker;
mod reader;
mod reading;
mod restrict;
mod scan;
mod tagged;
#[cfg(test)]
mod tests;
mod values;

pub use family::Family;
pub(crate) use family::MARKERS;
pub use history::prepare;
pub use reader::Reader;
pub use reading::{Event, Reading};
pub(crate) use restrict::check_parameters;
pub use restrict::restriction;
pub use values::Types;
