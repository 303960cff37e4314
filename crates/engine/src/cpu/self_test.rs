//! Small computations with one variant, checked against plain Rust.
//!
//! Meant for a child process (`lla engine --self-test <variant>`): what it looks for may end in a
//! signal. Each matrix product runs in the plain and, where the variant has one, in the repacked
//! layout, for one column (decode) and for a batch (prefill), on two threads.

use llama_cpp_sys_2 as sys;

use super::backend::{self, Registered};
use super::prove::confirmation;
use super::{CpuError, CpuFeatures, Variant, apply};

mod graph;

use graph::Graph;

/// Rows and depth of the weight matrices. Rows: a multiple of what repacking wants, and half a tile too many
/// for our own products. Depth, the columns that share a dot product: whole super-blocks of 256 for the K
/// quantizations; the second is more than our products unpack at once.
const SHAPES: [[usize; 2]; 2] = [[72, 512], [24, 2304]];
/// Activation columns, rising: decode, a ragged batch, prefill.
const BATCHES: [usize; 3] = [1, 7, 40];
/// Largest accepted squared error relative to the squared result. 8-bit activations cost about 1e-5
/// to 5e-5; wrong arithmetic costs more than 1e-2.
const TOLERANCE: f64 = 5e-4;

/// The weight types that models in practice have.
const TYPES: [(&str, sys::ggml_type); 11] = [
    ("f32", sys::GGML_TYPE_F32),
    ("f16", sys::GGML_TYPE_F16),
    ("bf16", sys::GGML_TYPE_BF16),
    ("q8_0", sys::GGML_TYPE_Q8_0),
    ("q4_0", sys::GGML_TYPE_Q4_0),
    ("q4_1", sys::GGML_TYPE_Q4_1),
    ("q5_0", sys::GGML_TYPE_Q5_0),
    ("q5_1", sys::GGML_TYPE_Q5_1),
    ("q4_K", sys::GGML_TYPE_Q4_K),
    ("q5_K", sys::GGML_TYPE_Q5_K),
    ("q6_K", sys::GGML_TYPE_Q6_K),
];

/// What was computed. Printed, it is what the parent process waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfTestReport {
    /// The variant that computed.
    pub variant: Variant,
    /// How many products were checked.
    pub products: usize,
    /// Largest relative squared error among them.
    pub worst_error: f64,
}

impl std::fmt::Display for SelfTestReport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { variant, products, worst_error } = self;
        write!(formatter, "{}: {products} products, worst error {worst_error:.1e}", confirmation(*variant))
    }
}

/// Why the variant is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The machine lacks the instructions, or the binary lacks the code.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// The variant computed something wrong.
    #[error("{what} is wrong: relative squared error {error:.1e}")]
    Wrong {
        /// Which computation.
        what: String,
        /// How far off; not a number when the result has one that is none.
        error: f64,
    },
    /// ggml could not allocate or refused to compute.
    #[error("{what} can not be computed")]
    NotComputed {
        /// Which computation.
        what: String,
    },
}

/// Applies `variant` to this process and computes with it. Run it in a process of its own.
///
/// # Errors
/// When the machine does not claim to support the variant, or a result is wrong. Where the machine
/// claims wrongly, the process dies by a signal instead.
pub fn self_test(variant: Variant) -> Result<SelfTestReport, SelfTestError> {
    let missing = CpuFeatures::detect().missing_for(variant);
    if !missing.is_empty() {
        return Err(CpuError::TooOld { missing: missing.join(", ") }.into());
    }
    apply(variant)?;
    let registered = backend::current().ok_or_else(|| CpuError::Backend("no CPU backend".to_owned()))?;
    let mut report = SelfTestReport { variant, products: 0, worst_error: 0.0 };
    for (name, kind) in TYPES {
        for shape in SHAPES {
            check_type(registered, name, kind, shape, &mut report)?;
        }
    }
    let error = graph::attention_error(registered)?;
    accept("attention", error, &mut report)?;
    Ok(report)
}

/// All layouts and batches of one weight type.
fn check_type(
    registered: Registered,
    name: &str,
    kind: sys::ggml_type,
    [rows, depth]: [usize; 2],
    report: &mut SelfTestReport,
) -> Result<(), SelfTestError> {
    let weights = graph::quantized(kind, &numbers(rows * depth, 1), rows, depth);
    let activations = numbers(depth * BATCHES[BATCHES.len() - 1], 2);
    let expected = product(&weights.plain, &activations, depth);
    for batch in BATCHES {
        // The columns of a smaller batch are the first ones of the largest.
        let (activations, expected) = (&activations[..depth * batch], &expected[..rows * batch]);
        for buffer_type in graph::buffer_types(registered) {
            let what = format!("{name} {rows} x {depth} x {batch} in {}", graph::buffer_type_name(buffer_type));
            let Some(graph) = Graph::product(registered, &weights, [rows, depth, batch], buffer_type) else { continue };
            let found = graph.compute(&weights.bytes, activations);
            let found = found.ok_or_else(|| SelfTestError::NotComputed { what: what.clone() })?;
            accept(&what, relative_error(&found, expected), report)?;
        }
    }
    Ok(())
}

fn accept(what: &str, error: f64, report: &mut SelfTestReport) -> Result<(), SelfTestError> {
    // Not `error > TOLERANCE`: that lets NaN through.
    if error.is_nan() || error > TOLERANCE {
        return Err(SelfTestError::Wrong { what: what.to_owned(), error });
    }
    report.products += 1;
    report.worst_error = report.worst_error.max(error);
    Ok(())
}

/// The reference: `out[column][row]`, summed in 64 bit.
fn product(weights: &[f32], activations: &[f32], depth: usize) -> Vec<f32> {
    activations.chunks_exact(depth).flat_map(|column| weights.chunks_exact(depth).map(|row| dot(row, column))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "results are compared with f32 results")]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

/// Squared difference relative to the squared reference.
fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let size: f64 = expected.iter().map(|value| square(*value)).sum();
    if found.len() == expected.len() { difference / size } else { f64::INFINITY }
}

/// Repeatable numbers in -1 to 1 that do not repeat within a row.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
