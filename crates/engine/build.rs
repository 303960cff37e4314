//! Builds ggml's CPU code again, for AVX2 and for AVX-512, so that one static binary carries both.
//!
//! `llama-cpp-sys-2` compiles the CPU backend for AVX2 only, with threads that wait badly. Here the
//! same vendored sources are compiled per variant, with `native/patient_wait.h`, the matrix
//! products of `native/affine_gemm.cpp` and the attention of `native/decode_attention.cpp`, linked into one
//! relocatable object in which every symbol but one entry point is local, and added to the library.
//! Which of them runs is decided at start, see `src/cpu.rs`. No symbol may stay global: the linker
//! would be free to take the AVX-512 copy of an inline C++ function for code that runs everywhere.
//!
//! Anything unexpected (other platform, missing tool, code that would run before `main`) leaves the
//! cfg `lla_cpu_variants` off, with a warning: the engine then has the sys crate's code only.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// ggml's entry point; each variant gets its own name for it.
const ENTRY: &str = "ggml_backend_cpu_reg";

/// One compilation of the CPU code.
struct Variant {
    /// In names of files and of the entry point.
    name: &'static str,
    /// ggml switches beyond those of the baseline.
    adds: &'static [&'static str],
    /// The compiler's switches that say the same.
    flags: &'static [&'static str],
}

const VARIANTS: [Variant; 2] = [
    Variant { name: "avx2", adds: &[], flags: &[] },
    Variant {
        name: "avx512",
        adds: &["AVX512", "AVX512_VNNI"],
        flags: &["-mavx512f", "-mavx512cd", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx512vnni"],
    },
];

/// What every variant has.
const BASELINE: [&str; 6] = ["SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2"];

/// The compiler's switches that say the same.
const BASELINE_FLAGS: [&str; 6] = ["-msse4.2", "-mavx", "-mavx2", "-mfma", "-mf16c", "-mbmi2"];

/// What none has: AMX faults on machines that advertise it; the others brought nothing measurable.
const NEVER: [&str; 6] = ["AVX_VNNI", "AVX512_VBMI", "AVX512_BF16", "AMX_TILE", "AMX_INT8", "AMX_BF16"];

/// Switches of the sys crate's own configuration that change what the CPU code contains.
const COPIED_OPTIONS: [&str; 5] =
    ["GGML_OPENMP", "GGML_LLAMAFILE", "GGML_CPU_REPACK", "GGML_CPU_HBM", "GGML_SCHED_NO_REALLOC"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(lla_cpu_variants)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LLA_CPU_BASELINE_ONLY");
    if !wanted() {
        return;
    }
    match VARIANTS.iter().try_for_each(build) {
        Ok(()) => println!("cargo::rustc-cfg=lla_cpu_variants"),
        Err(error) => println!("cargo::warning=built with the AVX2 code of llama-cpp-sys-2 only: {error}"),
    }
}

/// Only Linux on x86-64, where ELF objects and the GNU tools make the isolation possible.
fn wanted() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && env::var_os("LLA_CPU_BASELINE_ONLY").is_none()
}

fn build(variant: &Variant) -> Outcome<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let cache = sys_crate_cache()?;
    let archive = compile(variant, &cache, &out.join(variant.name))?;
    let ours = compile_ours(variant, &cache, &out.join(variant.name))?;
    let object = isolate(variant, &archive, &ours, &out)?;
    check_isolated(variant, &object)?;
    cc::Build::new().object(&object).try_compile(&format!("lla_ggml_cpu_{}", variant.name))?;
    Ok(())
}

impl Variant {
    fn entry(&self) -> String {
        format!("lla_ggml_cpu_{}_reg", self.name)
    }
}

/// The CMake cache of the sys crate's build: where its sources are and how it was configured.
fn sys_crate_cache() -> Outcome<Vec<(String, String)>> {
    // <out>/lib/cmake is announced by llama-cpp-sys-2; the build tree is <out>/build.
    let announced =
        env::var("DEP_LLAMA_GGML_CMAKE_DIR").map_err(|_| "llama-cpp-sys-2 does not tell where it was built")?;
    let path = Path::new(&announced)
        .ancestors()
        .nth(2)
        .ok_or("unexpected folder layout of llama-cpp-sys-2")?
        .join("build/CMakeCache.txt");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let entry = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.split_once(':')?.0.to_owned(), value.to_owned()))
    };
    Ok(text.lines().filter_map(entry).collect())
}

/// Compiles the target `ggml-cpu` alone (about 17 files); returns the archive.
fn compile(variant: &Variant, cache: &[(String, String)], out: &Path) -> Outcome<PathBuf> {
    let sources = value(cache, "CMAKE_HOME_DIRECTORY")?;
    println!("cargo::rerun-if-changed={sources}/ggml/src/ggml-cpu");

    let mut config = cmake::Config::new(sources);
    config.out_dir(out).profile("Release").build_target("ggml-cpu");
    for name in ["TESTS", "EXAMPLES", "SERVER", "TOOLS", "APP", "COMMON"] {
        config.define(format!("LLAMA_BUILD_{name}"), "OFF");
    }
    config.define("LLAMA_CURL", "OFF").define("BUILD_SHARED_LIBS", "OFF").define("GGML_NATIVE", "OFF");
    // Without this CMake builds ggml-base first, which is not needed to compile ggml-cpu.
    config.define("CMAKE_OPTIMIZE_DEPENDENCIES", "ON");
    for name in COPIED_OPTIONS {
        if let Ok(value) = value(cache, name) {
            config.define(name, value);
        }
    }
    for name in BASELINE.iter().chain(variant.adds) {
        config.define(format!("GGML_{name}"), "ON");
    }
    for name in NEVER {
        config.define(format!("GGML_{name}"), "OFF");
    }
    for header in ["patient_wait.h", "affine_gemm.h", "decode_attention.h"] {
        config.cflag(format!("-include{}", native(header)?.display()));
    }
    // Link-time optimisation would hide the machine code from the check below.
    config.cflag("-fno-lto").cxxflag("-fno-lto");
    if cc::Build::new().get_compiler().is_like_gnu() {
        // "Unique" symbols stay global whatever objcopy is told.
        config.cxxflag("-fno-gnu-unique");
    }
    // `Config::build` panics when CMake fails; a missing variant is no reason to fail the build.
    let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| config.build()));
    let built = built.map_err(|_| "the CMake build failed, see the output above")?;
    let archive = built.join("build/ggml/src/libggml-cpu.a");
    if archive.is_file() { Ok(archive) } else { Err(format!("{} was not built", archive.display()).into()) }
}

/// Compiles our own matrix products and attention for the variant; returns the objects.
fn compile_ours(variant: &Variant, cache: &[(String, String)], out: &Path) -> Outcome<Vec<PathBuf>> {
    let sources = value(cache, "CMAKE_HOME_DIRECTORY")?;
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).out_dir(out).define("NDEBUG", None).flag("-fno-lto");
    if build.get_compiler().is_like_gnu() {
        build.flag("-fno-gnu-unique");
    }
    for folder in ["include", "src", "src/ggml-cpu"] {
        build.include(format!("{sources}/ggml/{folder}"));
    }
    // GCC warns of its own header for AVX-512, and of what we do not use of ggml's.
    build.flag_if_supported("-Wno-maybe-uninitialized").flag_if_supported("-Wno-unused-function");
    for flag in BASELINE_FLAGS.iter().chain(variant.flags) {
        build.flag(flag);
    }
    for source in ["affine_gemm.cpp", "decode_attention.cpp"] {
        build.file(native(source)?);
    }
    Ok(build.try_compile_intermediates()?)
}

/// A source of ours; a change of it builds again.
fn native(name: &str) -> Outcome<PathBuf> {
    let path = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("native").join(name);
    println!("cargo::rerun-if-changed={}", path.display());
    Ok(path)
}

/// An entry of the CMake cache.
fn value<'a>(cache: &'a [(String, String)], name: &str) -> Outcome<&'a str> {
    let found = cache.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    found.ok_or_else(|| format!("no {name} in the CMake cache").into())
}

/// Links the archive and our objects into one object whose only global symbol is the entry point.
fn isolate(variant: &Variant, archive: &Path, ours: &[PathBuf], out: &Path) -> Outcome<PathBuf> {
    let linked = out.join(format!("{}-linked.o", variant.name));
    let isolated = out.join(format!("{}-isolated.o", variant.name));
    run(Command::new(tool("ld")?)
        // Groups ("COMDAT") would let the final link swap our functions for others of the same name.
        .args(["-r", "--force-group-allocation", "--whole-archive"])
        .arg(archive)
        .args(ours)
        .arg("-o")
        .arg(&linked))?;
    run(Command::new(tool("objcopy")?)
        .arg(format!("--redefine-sym={ENTRY}={}", variant.entry()))
        .arg(format!("--keep-global-symbol={}", variant.entry()))
        .arg(&linked)
        .arg(&isolated))?;
    Ok(isolated)
}

/// A binutils program that belongs to the compiler in use (matters when cross-compiling).
fn tool(name: &str) -> Outcome<PathBuf> {
    let compiler = cc::Build::new().get_compiler();
    let output = Command::new(compiler.path()).arg(format!("-print-prog-name={name}")).output()?;
    let path = String::from_utf8(output.stdout)?.trim().to_owned();
    Ok(PathBuf::from(if path.is_empty() { name.to_owned() } else { path }))
}

fn run(command: &mut Command) -> Outcome<()> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{} failed: {problem}", command.get_program().display()).into())
}

/// Whether the loader would call this symbol to learn an address (STT_GNU_IFUNC).
fn is_resolver(symbol: &object::Symbol<'_, '_>) -> bool {
    const STT_GNU_IFUNC: u8 = 10;
    matches!(symbol.flags(), object::SymbolFlags::Elf { st_info, .. } if st_info.0 & 0xf == STT_GNU_IFUNC)
}

/// Refuses an object that defines anything else for others, or that runs code before `main`.
fn check_isolated(variant: &Variant, path: &Path) -> Outcome<()> {
    let data = fs::read(path)?;
    let file = object::File::parse(&*data)?;
    let mut entry_found = false;
    for symbol in file.symbols().filter(|symbol| symbol.is_definition() && !symbol.is_local()) {
        let name = symbol.name()?;
        if name != variant.entry() {
            return Err(format!("the symbol {name} is still global").into());
        }
        entry_found = true;
    }
    if file.symbols().any(|symbol| is_resolver(&symbol)) {
        return Err("there are indirect functions, whose resolvers run at program start".into());
    }
    if !entry_found {
        return Err(format!("{} is not defined", variant.entry()).into());
    }
    for section in file.sections() {
        let name = section.name()?;
        let at_start =
            [".init", ".ctors", ".preinit_array", ".fini", ".dtors"].iter().any(|start| name.starts_with(start));
        if at_start && section.size() > 0 {
            return Err(format!("the section {name} holds code that would run at program start").into());
        }
        if name.starts_with(".gnu.lto") {
            return Err(format!("the section {name} is not machine code yet").into());
        }
    }
    if file.comdats().next().is_some() {
        return Err("there are groups that the final link may swap".into());
    }
    Ok(())
}
