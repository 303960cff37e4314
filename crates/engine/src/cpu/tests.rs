//! Choosing and proving, without a model. No test here changes the process's CPU backend.

use super::*;

const AVX2: [&str; 4] = ["avx2", "fma", "f16c", "bmi2"];
const AVX512: [&str; 10] =
    ["avx2", "fma", "f16c", "bmi2", "avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw", "avx512vnni"];

fn good(_: Variant) -> Result<(), String> {
    Ok(())
}

fn faulty(_: Variant) -> Result<(), String> {
    Err("signal 4".to_owned())
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_fastest_proven_variant_is_selected() {
    let best = if Variant::Avx512.is_compiled() { Variant::Avx512 } else { Variant::Baseline };
    let without_vnni: Vec<&'static str> = AVX512.into_iter().filter(|name| *name != "avx512vnni").collect();
    #[expect(clippy::type_complexity, reason = "a table of cases")]
    let table: [(&str, &[&'static str], &dyn Fn(Variant) -> Result<(), String>, Variant); 5] = [
        ("AVX2 only", &AVX2, &good, Variant::Baseline),
        ("AVX-512, proven", &AVX512, &good, best),
        ("AVX-512, faults", &AVX512, &faulty, Variant::Baseline),
        ("AVX-512 without VNNI", &without_vnni, &good, Variant::Baseline),
        ("AVX2, proof would fail but is not asked for", &AVX2, &faulty, Variant::Baseline),
    ];
    for (name, features, proven, expected) in table {
        let selected = select(&CpuFeatures::of(features), None, proven).expect(name);
        assert_eq!(selected, expected, "{name}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_old_machine_gets_a_clear_error() {
    let error = select(&CpuFeatures::of(&["sse4.2", "avx", "f16c"]), None, &good).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this CPU lacks avx2, fma, bmi2: models can not run in this process (use a remote backend)"
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_requested_variant_is_used_or_refused() {
    assert_eq!(select(&CpuFeatures::of(&AVX512), Some(Variant::Baseline), &faulty).unwrap(), Variant::Baseline);
    let error = select(&CpuFeatures::of(&AVX2), Some(Variant::Avx512), &good).unwrap_err().to_string();
    assert!(error.contains("`avx512` can not be used: "), "{error}");
    if Variant::Avx512.is_compiled() {
        let error = select(&CpuFeatures::of(&AVX512), Some(Variant::Avx512), &faulty).unwrap_err().to_string();
        assert!(error.contains("signal 4"), "{error}");
    }
}

#[test]
fn names_round_trip_and_unknown_names_are_refused() {
    for variant in Variant::ALL {
        assert_eq!(variant.to_string().parse::<Variant>().unwrap(), variant);
    }
    assert!("native".parse::<Variant>().unwrap_err().to_string().contains("baseline"));
}

#[cfg(unix)]
mod proving {
    use std::time::Duration;

    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Proof, ProofError> {
        let prover = Prover { exe: "/bin/sh".into(), args: vec!["-c".into(), script.into()], limit };
        prover.prove(Variant::Avx512)
    }

    #[test]
    fn only_a_confirmed_success_is_a_proof() {
        let long = Duration::from_secs(30);
        let said = prove::confirmation(Variant::Avx512);
        assert!(shell(&format!("echo '{said}: fine'"), long).is_ok());
        assert!(matches!(shell("kill -ILL $$", long), Err(ProofError::Failed(_))));
        assert!(matches!(shell(&format!("echo '{said}'; exit 1"), long), Err(ProofError::Failed(_))));
        assert!(matches!(shell("echo usage: something", long), Err(ProofError::NotConfirmed)));
        assert!(matches!(shell("exit 0", long), Err(ProofError::NotConfirmed)));
        assert!(matches!(prove(Path::new("/nonexistent"), Variant::Avx512), Err(ProofError::Spawn(_))));
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        assert!(matches!(shell("exec sleep 600", Duration::from_millis(50)), Err(ProofError::TimedOut(_))));
    }
}
