//! The rule, and what is refused. A real conversion needs a model: see `examples/perplexity.rs`.

use super::*;

const AVX2: [&str; 4] = ["avx2", "fma", "f16c", "bmi2"];
const MIB: u64 = 1 << 20;

#[test]
#[cfg(target_arch = "x86_64")]
fn only_small_files_in_slow_formats_get_another_form() {
    let (q4_1, q5_1) = (Some(sys::LLAMA_FTYPE_MOSTLY_Q4_1), Some(sys::LLAMA_FTYPE_MOSTLY_Q5_1));
    let q4_k = Some(sys::LLAMA_FTYPE_MOSTLY_Q4_K_M);
    let table = [
        ("the default model", 98_362_432, q4_1, Form::F16),
        ("tiny, other slow format", 200 * MIB, q5_1, Form::F16),
        ("at the limit", 256 * MIB, q4_1, Form::F16),
        ("small", 257 * MIB, q4_1, Form::Q8_0),
        ("large", 1025 * MIB, q4_1, Form::AsShipped),
        ("tiny, fast format", 98 * MIB, q4_k, Form::AsShipped),
        ("tiny, already 8 bit", 138 * MIB, Some(sys::LLAMA_FTYPE_MOSTLY_Q8_0), Form::AsShipped),
        ("a file that states no format", 98 * MIB, None, Form::AsShipped),
    ];
    for (name, size, file_type, expected) in table {
        assert_eq!(beside_plain_loops(&CpuFeatures::of(&AVX2), size, file_type), expected, "{name}");
    }
    assert_eq!(beside_plain_loops(&CpuFeatures::of(&[]), 98_362_432, q4_1), Form::AsShipped, "an unknown CPU");
}

#[test]
#[cfg(lla_cpu_variants)]
fn with_kernels_of_our_own_models_run_as_shipped() {
    let q4_1 = Some(sys::LLAMA_FTYPE_MOSTLY_Q4_1);
    assert_eq!(recommended(&CpuFeatures::of(&AVX2), 98_362_432, q4_1), Form::AsShipped);
}

#[test]
fn names_round_trip_and_unknown_names_are_refused() {
    for form in Form::ALL {
        assert_eq!(form.to_string().parse::<Form>().unwrap(), form);
    }
    assert!("q4_0".parse::<Form>().unwrap_err().to_string().contains("q8_0"));
}

#[test]
fn files_that_are_no_models_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let header = |version: u32, tensors: u64, pairs: u64| {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(pairs.to_le_bytes());
        bytes
    };
    let table = [
        ("empty", Vec::new(), "it ends inside the magic"),
        ("html", b"<!DOCTYPE html><html><body>not found</body></html>".to_vec(), "it is a web page"),
        ("old", header(1, 0, 0), "version"),
        ("cut-off", header(3, 200, 30), "it ends inside"),
        ("no-tensors", header(3, 0, 0), "does not name its architecture"),
    ];
    for (name, bytes, reason) in table {
        let source = folder.path().join(name);
        fs::write(&source, bytes).unwrap();
        let error = convert(&source, &folder.path().join("out.gguf"), Form::F16, 1).unwrap_err();
        assert!(error.to_string().contains(reason), "{name}: {error}");
    }
    assert!(matches!(inspect(&folder.path().join("missing")), Err(FormError::Io { .. })));
    assert!(matches!(inspect(folder.path()), Err(FormError::Io { .. } | FormError::NotGguf { .. })));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "no partial or target file is left: {left:?}");
}

#[test]
fn as_shipped_is_no_conversion() {
    let error = convert(Path::new("a"), Path::new("b"), Form::AsShipped, 1).unwrap_err();
    assert!(matches!(error, FormError::NothingToDo(_)));
}
