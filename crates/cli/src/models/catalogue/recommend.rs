//! Which models of the list fit a machine. The choice is pure; looking at the machine is one function.
//!
//! On a CPU, memory alone would recommend models that answer a word a second. Decoding reads all active
//! weights for each token, so speed is memory bandwidth by active bytes: about 4 GB/s for each core were
//! measured with this project's engine (135M model, 2 cores, 100 tokens/s), and past 8 cores a machine's memory rather
//! than its cores is the limit. A small model should write at 12 tokens/s or more, a main one at 4.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use super::{Entry, Tier, entries};

/// What a core can read in a second.
const BYTES_PER_CORE: u64 = 4_000_000_000;
/// Cores that add bandwidth.
const CORES_THAT_COUNT: u64 = 8;
/// Tokens in a second that make a small model worth its name.
const SMALL_SPEED: u64 = 12;
/// Tokens in a second that a reader does not wait for.
const MAIN_SPEED: u64 = 4;
/// Left to the system and everything else.
const SYSTEM_BYTES: u64 = 1 << 30;

/// A machine, as far as models care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// All memory, in bytes (the limit of the container, when there is one).
    pub memory_bytes: u64,
    /// Memory of a GPU that this build can use, in bytes; 0 without one.
    pub gpu_memory_bytes: u64,
    /// Cores that this process may use.
    pub cores: u64,
}

/// What fits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommendation {
    /// For which machine.
    pub machine: Machine,
    /// For fast answers to simple requests.
    pub small: Option<&'static Entry>,
    /// For everything else, beside `small`.
    pub main: Option<&'static Entry>,
    /// The whole list, with what is expected of each here.
    pub models: Vec<Expected>,
}

/// What to expect of a model on a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expected {
    /// The model.
    #[serde(flatten)]
    pub entry: &'static Entry,
    /// Memory with the stated window, in bytes.
    pub memory_bytes: u64,
    /// Whether it fits, alone.
    pub fits: bool,
    /// Rough tokens in a second; absent on a GPU, where it is fast enough, and where it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<u64>,
    /// The command that gets it.
    pub command: String,
}

/// Chooses for a machine. Pure.
#[must_use]
pub fn recommend(machine: Machine) -> Recommendation {
    let room = Room::of(machine);
    let fast = |entry: &Entry, memory: u64, speed: u64| {
        room.holds(memory) && room.tokens_per_second(entry).is_none_or(|tokens| tokens >= speed)
    };
    // The last that fits is the strongest.
    let of_tier = |tier: Tier| entries().iter().rev().filter(move |entry| entry.tier == tier);
    let small = of_tier(Tier::Small).find(|entry| fast(entry, entry.memory_bytes(), SMALL_SPEED));
    let beside = small.map_or(0, Entry::memory_bytes);
    let main = of_tier(Tier::Main).find(|entry| fast(entry, entry.memory_bytes() + beside, MAIN_SPEED));
    let models = entries()
        .iter()
        .map(|entry| {
            let fits = room.holds(entry.memory_bytes());
            let tokens_per_second = room.tokens_per_second(entry).filter(|_| fits);
            Expected { entry, memory_bytes: entry.memory_bytes(), fits, tokens_per_second, command: entry.command() }
        })
        .collect();
    Recommendation { machine, small, main, models }
}

/// The memory that models may take, and how fast it is.
enum Room {
    Gpu(u64),
    Cpu { bytes: u64, bytes_per_second: u64 },
}

impl Room {
    fn of(machine: Machine) -> Self {
        // A GPU with less memory than the machine still wins: what is in it is ten times as fast. One that
        // holds next to nothing does not.
        if machine.gpu_memory_bytes >= 3 << 30 {
            return Self::Gpu(machine.gpu_memory_bytes / 10 * 9);
        }
        let bytes = (machine.memory_bytes / 4 * 3).min(machine.memory_bytes.saturating_sub(SYSTEM_BYTES));
        Self::Cpu { bytes, bytes_per_second: machine.cores.clamp(1, CORES_THAT_COUNT) * BYTES_PER_CORE }
    }

    fn holds(&self, needed: u64) -> bool {
        match self {
            Self::Gpu(bytes) | Self::Cpu { bytes, .. } => needed <= *bytes,
        }
    }

    fn tokens_per_second(&self, entry: &Entry) -> Option<u64> {
        match self {
            Self::Gpu(_) => None,
            Self::Cpu { bytes_per_second, .. } => Some(bytes_per_second / entry.active_bytes().max(1)),
        }
    }
}

/// Chooses for this machine.
#[must_use]
pub fn recommend_here() -> Recommendation {
    recommend(machine_here())
}

fn machine_here() -> Machine {
    let memory_bytes = sysinfo::System::new().map_or(0, |mut system| {
        system.refresh_memory();
        // A container's limit counts, not the machine around it.
        system
            .cgroup_limits()
            .map_or_else(|| system.total_memory(), |limits| limits.total_memory.min(system.total_memory()))
    });
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    // A GPU that this build can not use does not help. Apple's shares the machine's memory.
    let gpu_memory_bytes = if cfg!(feature = "metal") {
        memory_bytes / 3 * 2
    } else if cfg!(any(feature = "cuda", feature = "rocm", feature = "vulkan")) {
        nvidia_memory().max(amd_memory())
    } else {
        0
    };
    Machine { memory_bytes, gpu_memory_bytes, cores }
}

/// The largest memory of an NVIDIA GPU, by the driver's own tool.
fn nvidia_memory() -> u64 {
    let asked = Command::new("nvidia-smi")
        .args(["--query-gpu=memory.total", "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse::<u64>().ok()).max().unwrap_or(0) << 20
}

/// The largest memory of an AMD GPU, by the kernel.
fn amd_memory() -> u64 {
    let cards = std::fs::read_dir("/sys/class/drm").into_iter().flatten().flatten();
    let size = |card: &Path| std::fs::read_to_string(card.join("device/mem_info_vram_total")).ok()?.trim().parse().ok();
    cards.filter_map(|card| size(&card.path())).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn names(memory: u64, gpu: u64, cores: u64) -> (Option<&'static str>, Option<&'static str>) {
        let machine = Machine { memory_bytes: memory * GIB, gpu_memory_bytes: gpu * GIB, cores };
        let recommended = recommend(machine);
        (recommended.small.map(|entry| entry.name), recommended.main.map(|entry| entry.name))
    }

    #[test]
    fn machines_get_what_they_can_carry() {
        let default = Some("smollm2-135m-instruct");
        let table = [
            // (memory GiB, GPU GiB, cores) -> (small, main)
            ((1, 0, 1), (None, None)),
            ((2, 0, 1), (default, None)),
            ((4, 0, 1), (default, None)),
            ((4, 0, 2), (Some("qwen3.5-0.8b"), None)),
            ((8, 0, 2), (Some("qwen3.5-0.8b"), Some("smollm3-3b"))),
            ((8, 0, 4), (Some("smollm2-1.7b-instruct"), Some("qwen3.5-4b"))),
            ((16, 0, 8), (Some("ministral-3-3b-instruct"), Some("gemma-4-12b-it"))),
            ((32, 0, 2), (Some("qwen3.5-0.8b"), Some("smollm3-3b"))),
            ((32, 0, 4), (Some("smollm2-1.7b-instruct"), Some("gemma-4-26b-a4b-it"))),
            ((64, 0, 64), (Some("ministral-3-3b-instruct"), Some("gemma-4-26b-a4b-it"))),
            ((16, 2, 8), (Some("ministral-3-3b-instruct"), Some("gemma-4-12b-it"))),
            ((16, 8, 4), (Some("ministral-3-3b-instruct"), Some("qwen3.5-4b"))),
            ((32, 24, 8), (Some("ministral-3-3b-instruct"), Some("qwen3.6-27b"))),
            ((64, 32, 8), (Some("ministral-3-3b-instruct"), Some("gemma-4-31b-it"))),
            ((256, 80, 64), (Some("ministral-3-3b-instruct"), Some("gemma-4-31b-it"))),
        ];
        let mut wrong = Vec::new();
        for ((memory, gpu, cores), expected) in table {
            let got = names(memory, gpu, cores);
            if got != expected {
                wrong.push(format!("{memory} GiB, GPU {gpu} GiB, {cores} cores: {got:?}, not {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_recommended_fits_together_and_this_machine_is_known() {
        for memory in 1..80 {
            for cores in [1, 2, 4, 8, 32] {
                let machine = Machine { memory_bytes: memory * GIB, gpu_memory_bytes: 0, cores };
                let chosen = recommend(machine);
                let sum: u64 = [chosen.small, chosen.main].into_iter().flatten().map(Entry::memory_bytes).sum();
                assert!(sum <= machine.memory_bytes, "{memory} GiB, {cores} cores");
                assert!(chosen.models.iter().all(|model| model.fits || model.tokens_per_second.is_none()));
            }
        }
        let here = recommend_here();
        assert!(here.machine.memory_bytes > 0 && here.machine.cores > 0);
        assert_eq!(here.models.len(), entries().len());
    }
}
