//! The table of tensors: shapes and places, summed up and checked.

use std::collections::HashSet;
use std::io::{Read, Seek};

use super::reader::Reader;
use super::types;

/// llama.cpp's limit: 64 with the terminating zero.
const MAX_NAME: u64 = 63;

/// The sums over all tensors.
#[derive(Debug, Default)]
pub(super) struct Weights {
    /// Number of weights.
    pub(super) parameters: u64,
    /// Bytes of all tensors; absent when a tensor has a type that is not known.
    pub(super) bytes: Option<u64>,
    /// Where the last tensor ends, from the start of the data.
    pub(super) data_end: u64,
    /// The name of that tensor.
    pub(super) last: String,
}

impl Weights {
    pub(super) fn read(reader: &mut Reader<impl Read + Seek>, tensors: u64, alignment: u64) -> Result<Self, String> {
        let mut weights = Self { bytes: Some(0), ..Self::default() };
        let mut seen = HashSet::new();
        for _ in 0..tensors {
            let name = reader.short_text("the name of a tensor", MAX_NAME)?;
            let end = weights.add(reader, alignment).map_err(|problem| format!("{problem} (tensor `{name}`)"))?;
            if end > weights.data_end {
                weights.data_end = end;
                weights.last.clone_from(&name);
            }
            if seen.contains(&name) {
                return Err(format!("the tensor `{name}` is there twice"));
            }
            seen.insert(name);
        }
        Ok(weights)
    }

    /// Returns where the tensor ends, from the start of the data.
    fn add(&mut self, reader: &mut Reader<impl Read + Seek>, alignment: u64) -> Result<u64, String> {
        const ABSURD: &str = "its size is absurd";
        let dimensions = reader.u32("the number of dimensions")?;
        if dimensions > 4 {
            return Err(format!("it has {dimensions} dimensions"));
        }
        let mut elements = 1_u64;
        let mut row = 1;
        for dimension in 0..dimensions {
            let size = reader.u64("a dimension")?;
            if size == 0 {
                return Err("a dimension is 0".to_owned());
            }
            row = if dimension == 0 { size } else { row };
            elements = elements.checked_mul(size).filter(|count| i64::try_from(*count).is_ok()).ok_or(ABSURD)?;
        }
        let kind = reader.u32("the type of a tensor")?;
        let offset = reader.u64("the place of a tensor")?;
        if !offset.is_multiple_of(alignment) {
            return Err("it is not aligned".to_owned());
        }
        self.parameters =
            self.parameters.checked_add(elements).filter(|count| i64::try_from(*count).is_ok()).ok_or(ABSURD)?;
        // Types to come are not an error here: llama.cpp may know them.
        let bytes = match types::tensor_type(kind) {
            Some((block, bytes)) if row.is_multiple_of(block) => {
                Some((elements / block).checked_mul(bytes).ok_or(ABSURD)?)
            }
            Some(_) => return Err("its rows do not divide into blocks".to_owned()),
            None => None,
        };
        self.bytes = match (self.bytes, bytes) {
            (Some(sum), Some(bytes)) => {
                Some(sum.checked_add(bytes).filter(|sum| i64::try_from(*sum).is_ok()).ok_or(ABSURD)?)
            }
            _ => None,
        };
        Ok(offset.checked_add(bytes.unwrap_or(0)).ok_or(ABSURD)?)
    }
}
