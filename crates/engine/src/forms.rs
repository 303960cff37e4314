//! Prepared forms: a second file of a model, in a number format that this CPU computes faster.
//!
//! [`recommended`] says which form a model should run in (a pure rule), [`inspect`] reads what the rule
//! needs from a GGUF file, [`convert`] makes the file. Nothing is gained in quality: the values are
//! those of the shipped file, stored wider.
//!
//! What it does not do: decide where files live, or keep them up to date: that is the model store.
//!
//! # Why
//! ggml has fast matrix products for most formats; Q4_1, Q5_0 and Q5_1 go through a plain loop of its
//! own. Builds with our kernels (`native/affine_gemm.cpp`, Linux on x86-64) have fast ones for these too,
//! and no other form is needed there. SmolLM2-135M-Instruct (shipped as Q4_1) on 2 cores of an AMD Zen 5,
//! tokens per second of prefill / decode / decode of 8 sequences together, with AVX-512 and with AVX2:
//!
//! | form | MiB | our kernels, AVX-512 | our kernels, AVX2 | ggml alone, AVX-512 | perplexity | other likeliest token |
//! |---|---|---|---|---|---|---|
//! | Q4_1 as shipped | 94 | 1296 / 134 / 441 | 875 / 136 / 424 | 485 / 149 / 241 | 24.42 | 3.5 % |
//! | Q8_0 | 138 | 1668 / 132 / 436 | 565 / 129 / 397 | 1105 / 145 / 275 | 24.48 | 3.8 % |
//! | F16 | 258 | 543 / 83 / 228 | 752 / 82 / 216 | 1110 / 123 / 298 | 24.38 | 0 |
//!
//! (The third column is of another, quieter day: compare within columns.) Perplexity is over
//! `testdata/perplexity.txt` (`examples/perplexity.rs`); the last column is how often the likeliest token
//! is another one than with F16: the integer formats round the *activations* to 8 bit. With our kernels
//! that difference would cost half of the speed and 160 MiB, so models run as shipped. Without them
//! (other platforms) a tiny model runs in F16, whose prefill is twice that of the plain loop; with size
//! decoding becomes bound by memory, so that models above 256 MiB get Q8_0 and those above 1 GiB stay as
//! they are.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use lla_protocol::gguf;
use llama_cpp_sys_2 as sys;

use crate::cpu::{CpuFeatures, Variant};

/// A number format of a model's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The file as it came.
    AsShipped,
    /// 16-bit floats, IEEE half.
    F16,
    /// 16-bit floats, bfloat.
    Bf16,
    /// 8-bit integers with a scale for each 32.
    Q8_0,
}

impl Form {
    /// All forms.
    pub const ALL: [Self; 4] = [Self::AsShipped, Self::F16, Self::Bf16, Self::Q8_0];

    /// The name in options and file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsShipped => "as-shipped",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
        }
    }

    /// llama.cpp's number for it; none for [`Form::AsShipped`].
    const fn file_type(self) -> Option<u32> {
        match self {
            Self::AsShipped => None,
            Self::F16 => Some(sys::LLAMA_FTYPE_MOSTLY_F16),
            Self::Bf16 => Some(sys::LLAMA_FTYPE_MOSTLY_BF16),
            Self::Q8_0 => Some(sys::LLAMA_FTYPE_MOSTLY_Q8_0),
        }
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Form {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let found = Self::ALL.into_iter().find(|form| form.name() == text);
        found.ok_or_else(|| FormError::UnknownForm { name: text.to_owned() })
    }
}

/// Why a model file can not be read or converted.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// A name that is no form.
    #[error("unknown form {name:?}; use `f16`, `bf16`, `q8_0` or `as-shipped`")]
    UnknownForm {
        /// What was given.
        name: String,
    },
    /// A file can not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a GGUF file, or is cut off in its header.
    #[error("{path} is not a readable GGUF file: {reason}", path = path.display())]
    NotGguf {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One of several parts.
    #[error("{path} is one of {parts} parts; join them first (`llama-gguf-split --merge`)", path = path.display())]
    Split {
        /// Which file.
        path: PathBuf,
        /// How many parts there are.
        parts: u64,
    },
    /// [`Form::AsShipped`] is no conversion, and a file can not be converted onto itself.
    #[error("nothing to convert: {0}")]
    NothingToDo(&'static str),
    /// llama.cpp refused; it logs the reason.
    #[error("{path} can not be converted to {form} (unknown architecture, damaged file, or no space on the disk)", path = path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Into what.
        form: Form,
    },
}

impl FormError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// What the rule needs to know about a model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Size of the file in bytes, about that of its weights.
    pub size_bytes: u64,
    /// `general.file_type`: llama.cpp's number for the shipped format, when the file states one.
    pub file_type: Option<u32>,
}

/// What [`convert`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertReport {
    /// Into what.
    pub form: Form,
    /// Bytes read.
    pub source_bytes: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Wall time.
    pub took: Duration,
}

/// Reads the header of a GGUF file, and checks that the file is whole.
///
/// # Errors
/// When the file can not be read, is no whole GGUF file, or is one part of several.
pub fn inspect(path: &Path) -> Result<ModelFile, FormError> {
    let not_gguf = |reason: String| FormError::NotGguf { path: path.to_owned(), reason };
    let file = File::open(path).map_err(FormError::io(path))?;
    let metadata = file.metadata().map_err(FormError::io(path))?;
    if !metadata.is_file() {
        return Err(not_gguf("it is not a file".to_owned()));
    }
    let header = gguf::parse(file, metadata.len()).map_err(|error| not_gguf(error.to_string()))?;
    if header.parameters == 0 {
        return Err(not_gguf("it holds no tensors".to_owned()));
    }
    if let Some((_, parts)) = header.split {
        return Err(FormError::Split { path: path.to_owned(), parts });
    }
    if header.tensor_bytes.is_none() {
        return Err(not_gguf("it has tensors of a type that this version does not know".to_owned()));
    }
    Ok(ModelFile { size_bytes: metadata.len(), file_type: header.file_type })
}

/// Writes `source` in another form to `target`, through a temporary file beside it, replacing what
/// was there. Takes about a second for 100 MB; reads and writes the whole model.
///
/// A damaged file may abort the process inside llama.cpp: convert files of others in a child process.
///
/// # Errors
/// When the source is not usable, or the result can not be written. The target is then as it was.
pub fn convert(source: &Path, target: &Path, form: Form, threads: usize) -> Result<ConvertReport, FormError> {
    let began = Instant::now();
    let file_type = form.file_type().ok_or(FormError::NothingToDo("the form is `as-shipped`"))?;
    let shipped = inspect(source)?;
    if fs::canonicalize(target).is_ok_and(|target| fs::canonicalize(source).is_ok_and(|source| source == target)) {
        return Err(FormError::NothingToDo("source and target are the same file"));
    }
    let partial = Partial::beside(target)?;
    quantize(source, &partial.path, file_type, threads)
        .ok_or_else(|| FormError::Refused { path: source.to_owned(), form })?;
    let made = inspect(&partial.path)?;
    File::open(&partial.path).and_then(|file| file.sync_all()).map_err(FormError::io(&partial.path))?;
    fs::rename(&partial.path, target).map_err(FormError::io(target))?;
    Ok(ConvertReport { form, source_bytes: shipped.size_bytes, bytes: made.size_bytes, took: began.elapsed() })
}

/// None when llama.cpp refuses.
fn quantize(source: &Path, target: &Path, file_type: u32, threads: usize) -> Option<()> {
    let (source, target) = (c_path(source)?, c_path(target)?);
    // SAFETY: both strings are terminated and outlive the call; exceptions are caught inside.
    let code = unsafe {
        let mut params = sys::llama_model_quantize_default_params();
        params.ftype = file_type;
        params.nthread = i32::try_from(threads.clamp(1, 64)).unwrap_or(1);
        params.allow_requantize = true;
        sys::llama_model_quantize(source.as_ptr(), target.as_ptr(), &raw const params)
    };
    (code == 0).then_some(())
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).ok()
}

/// A file that is removed unless it was renamed.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn beside(target: &Path) -> Result<Self, FormError> {
        let name = target.file_name().ok_or(FormError::NothingToDo("the target has no file name"))?;
        let name = format!(".{}.{}.partial", name.to_string_lossy(), std::process::id());
        let path = target.with_file_name(name);
        // Fails early and clearly where the folder is missing or may not be written.
        File::create(&path).map_err(FormError::io(&path))?;
        Ok(Self { path })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already after the rename; nothing to do about any other failure.
        drop(fs::remove_file(&self.path));
    }
}

/// Up to this size of the shipped file 16 bit are affordable, in memory and in decoding speed.
const TINY: u64 = 256 << 20;
/// Above this a model stays as it is: decoding reads all weights for each token.
const SMALL: u64 = 1 << 30;

/// The form in which a model should run on a CPU. Pure; the reasons are on top of this file.
///
/// `size_bytes` and `file_type` are those of the shipped file, see [`inspect`].
#[must_use]
pub fn recommended(features: &CpuFeatures, size_bytes: u64, file_type: Option<u32>) -> Form {
    if cfg!(lla_cpu_variants) { Form::AsShipped } else { beside_plain_loops(features, size_bytes, file_type) }
}

/// The rule where ggml's own products are all there is.
fn beside_plain_loops(features: &CpuFeatures, size_bytes: u64, file_type: Option<u32>) -> Form {
    let slow_on_cpu = matches!(
        file_type,
        Some(sys::LLAMA_FTYPE_MOSTLY_Q4_1 | sys::LLAMA_FTYPE_MOSTLY_Q5_0 | sys::LLAMA_FTYPE_MOSTLY_Q5_1)
    );
    // Measured on x86-64 only; elsewhere (no such features) the shipped file is the safe choice.
    if !slow_on_cpu || !features.missing_for(Variant::Baseline).is_empty() || !features.has("f16c") {
        return Form::AsShipped;
    }
    if size_bytes <= TINY {
        Form::F16
    } else if size_bytes <= SMALL {
        Form::Q8_0
    } else {
        Form::AsShipped
    }
}

#[cfg(test)]
mod tests;
