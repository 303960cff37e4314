//! The rule in tables; the machine's files made by hand.

use std::fs;
use std::path::Path;

use super::available::within;
use super::*;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// SmolLM2-135M, as its header tells.
fn small() -> GgufInfo {
    GgufInfo {
        tensor_bytes: Some(90 * MIB),
        context_length: Some(8192),
        block_count: Some(30),
        embedding_length: Some(576),
        head_count: Some(9),
        head_count_kv: Some(3),
        vocabulary: Some(49_152),
        kv_bytes_per_token: Some(23_040),
        ..GgufInfo::default()
    }
}

#[test]
fn what_fits_is_a_sum_against_what_is_there() {
    let need = Need { weights: 100, kv_per_token: 10, cells: 20, compute: 50 };
    for (available, expected) in
        [(None, true), (Some(u64::MAX), true), (Some(350), true), (Some(349), false), (Some(0), false)]
    {
        assert_eq!(fits(need, available).is_ok(), expected, "{available:?}");
    }
    let absurd = Need { kv_per_token: u64::MAX, ..need };
    assert!(fits(absurd, Some(u64::MAX - 1)).is_err(), "no overflow");
}

#[test]
fn the_refusal_has_the_numbers_and_the_way_out() {
    let need = Need { weights: GIB, kv_per_token: MIB, cells: 8192, compute: 100 * MIB };
    let text = fits(need, Some(4 * GIB)).expect_err("too large").to_string();
    assert!(text.contains("8192 tokens") && text.contains("4096 MiB are available"), "{text}");
    assert!(text.contains("to 2972 or less"), "{text}");
    let text = fits(Need { weights: 30 * GIB, ..need }, Some(4 * GIB)).expect_err("too large").to_string();
    assert!(text.contains("30.0 GiB of weights") && text.contains("smaller model"), "{text}");
    assert!(!text.contains("--context"), "no window helps: {text}");
}

#[test]
fn the_need_follows_the_options() {
    let options = EngineOptions::default();
    let plain = need(&small(), &options, false).expect("a need");
    assert_eq!((plain.weights, plain.cells, plain.kv()), (90 * MIB, 16_384, 360 * MIB));
    assert!((BASE..200 * MIB).contains(&plain.compute), "{plain:?}");
    let asked = EngineOptions { context: Some(1024), kv_tokens: Some(1024), ..options.clone() };
    assert_eq!(need(&small(), &asked, false).expect("a need").cells, 1024);
    // A context that the model was not trained for is refused as ever.
    assert!(need(&small(), &EngineOptions { context: Some(9000), ..options }, false).is_err());
}

#[test]
fn layers_on_a_gpu_take_no_memory_of_ours() {
    let with = |gpu_layers| EngineOptions { gpu_layers, ..EngineOptions::default() };
    let weights = |layers, gpu| need(&small(), &with(layers), gpu).expect("a need").weights;
    assert_eq!(weights(None, true), 0);
    assert_eq!(weights(Some(10), true), 60 * MIB);
    assert_eq!(weights(Some(99), true), 0);
    assert_eq!((weights(Some(0), true), weights(Some(10), false)), (90 * MIB, 90 * MIB));
}

#[test]
fn headers_that_say_little_or_nonsense_do_no_harm() {
    let options = EngineOptions::default();
    let bare = need(&GgufInfo::default(), &EngineOptions { context: Some(512), ..options.clone() }, false);
    assert_eq!(bare.expect("a need").kv(), 0);
    let huge = GgufInfo {
        context_length: Some(u64::MAX),
        block_count: Some(u64::MAX),
        embedding_length: Some(u64::MAX / 8),
        head_count: Some(1),
        head_count_kv: Some(u64::MAX),
        vocabulary: Some(1 << 40),
        kv_bytes_per_token: Some(1 << 40),
        ..small()
    };
    // Whatever it says: a number or a typed error, no overflow.
    drop(need(&huge, &EngineOptions { context: Some(4096), ..options }, false));
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    fs::write(path, text).expect("write");
}

/// Names below the root of the cgroups, and what is in them.
type Files = &'static [(&'static str, &'static str)];

#[test]
fn the_least_of_machine_and_cgroups_counts() {
    let machine = "MemTotal: 99 kB\nMemAvailable:    4096 kB\n";
    let four = 4096 * 1024;
    let table: [(&str, Files, u64); 6] = [
        ("", &[], four),
        ("0::/\n", &[("memory.max", "max"), ("memory.current", "5")], four),
        ("0::/\n", &[("memory.max", "1000"), ("memory.current", "300")], 700),
        // Of the cgroups above a process each may bind; its page cache can be given up.
        (
            "0::/a/b\n",
            &[
                ("a/memory.max", "1000"),
                ("a/memory.current", "900"),
                ("a/memory.stat", "anon 1\ninactive_file 200\nactive_file 100\n"),
                ("a/b/memory.max", "max"),
            ],
            400,
        ),
        (
            "3:cpu:/x\n2:memory:/docker/1f\n",
            &[("memory/memory.limit_in_bytes", "2000"), ("memory/memory.usage_in_bytes", "500")],
            1500,
        ),
        (
            "2:memory:/\n",
            &[
                ("memory/memory.limit_in_bytes", "9223372036854771712"),
                ("memory/memory.usage_in_bytes", "500"),
                ("memory/memory.stat", "total_inactive_file 7\n"),
            ],
            four,
        ),
    ];
    for (own, files, expected) in table {
        let folder = tempfile::tempdir().expect("folder");
        let (proc, cgroups) = (folder.path().join("proc"), folder.path().join("cgroup"));
        write(&proc, "meminfo", machine);
        write(&proc, "self/cgroup", own);
        for (name, text) in files {
            write(&cgroups, name, text);
        }
        assert_eq!(within(&proc, &cgroups), Some(expected), "{own:?}");
    }
    assert_eq!(within(Path::new("/nonexistent"), Path::new("/nonexistent")), None);
}
