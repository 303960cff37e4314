//! The hardware: cores, instruction sets, GPUs, memory.

use std::path::Path;

use super::Finding;

/// Least memory in which the default model runs with room for its context.
const LEAST_MEMORY: u64 = 1 << 30;

/// Looks at the machine.
#[must_use]
pub fn look() -> Vec<Finding> {
    let mut findings = vec![cpu()];
    findings.extend(gpus());
    findings.push(memory());
    findings
}

fn cores() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} core(s) for this process, {}", std::env::consts::ARCH)
}

#[cfg(not(feature = "engine"))]
fn cpu() -> Finding {
    Finding::ok("cpu", cores())
}

/// The variant is proven by a run of its code in a child process, as at every start of an engine.
#[cfg(feature = "engine")]
fn cpu() -> Finding {
    use lla_engine::cpu;
    let features = cpu::CpuFeatures::detect();
    let program = match crate::serve::launcher::program() {
        Ok(program) => program,
        Err(error) => {
            return Finding::warn(
                "cpu",
                format!("{}; this program can not find itself: {error}", cores()),
                "reinstall lla",
            );
        }
    };
    match cpu::choose(&features, &program) {
        Ok(variant) => Finding::ok("cpu", format!("{}; engines run the code for {variant}", cores())),
        Err(error) => {
            Finding::fail("cpu", format!("{}; {error}", cores()), "use a server on another machine: see [backends]")
        }
    }
}

/// A GPU of some kind, seen by the traces that its driver leaves in the file system.
struct Gpu {
    name: &'static str,
    trace: &'static str,
    feature: &'static str,
    built: bool,
}

fn gpus() -> Vec<Finding> {
    let known = [
        Gpu {
            name: "NVIDIA GPU",
            trace: "/proc/driver/nvidia/version",
            feature: "cuda",
            built: cfg!(feature = "cuda"),
        },
        Gpu { name: "AMD GPU (ROCm)", trace: "/dev/kfd", feature: "rocm", built: cfg!(feature = "rocm") },
        Gpu {
            name: "GPU with a render device",
            trace: "/dev/dri/renderD128",
            feature: "vulkan",
            built: cfg!(feature = "vulkan"),
        },
    ];
    let mut seen: Vec<&Gpu> = known.iter().filter(|gpu| Path::new(gpu.trace).exists()).collect();
    // A render device belongs to every driver: it says something only where nothing better is known.
    if seen.len() > 1 {
        seen.retain(|gpu| gpu.feature != "vulkan" || gpu.built);
    }
    if cfg!(target_os = "macos") {
        return vec![finding("Apple GPU", "metal", cfg!(feature = "metal"))];
    }
    if seen.is_empty() {
        return vec![Finding::ok("gpu", "none seen: models run on the CPU")];
    }
    seen.iter().map(|gpu| finding(gpu.name, gpu.feature, gpu.built)).collect()
}

fn finding(name: &str, feature: &str, built: bool) -> Finding {
    if built {
        return Finding::ok("gpu", format!("{name} seen, and this build can use it ({feature})"));
    }
    let todo = format!(
        "build with it: make run FEATURES={feature} (or cargo build --release -p lla-cli --features {feature})"
    );
    Finding::warn("gpu", format!("{name} seen, but this build can not use it"), todo)
}

fn memory() -> Finding {
    let Ok(mut system) = sysinfo::System::new() else {
        return Finding::warn("memory", "the system does not tell", "make sure that 1 GiB is free");
    };
    system.refresh_memory();
    // In a container the limit of its group counts, not the machine.
    let (total, free) = match system.cgroup_limits() {
        Some(limits) => (limits.total_memory, limits.free_memory),
        None => (system.total_memory(), system.available_memory()),
    };
    let gib = |bytes: u64| format!("{}.{} GiB", bytes >> 30, ((bytes % (1 << 30)) * 10) >> 30);
    let message = format!("{} free of {}", gib(free), gib(total));
    if free < LEAST_MEMORY {
        return Finding::warn("memory", message, "even the default model may not fit: end other programs");
    }
    Finding::ok("memory", message)
}
