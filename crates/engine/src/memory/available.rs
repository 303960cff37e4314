//! Memory that this process may still take: the machine's, or less where a cgroup says so.
//!
//! Page cache counts as available everywhere: the kernel gives it up, and a mapped model is page cache
//! itself. Swap does not count: a model in swap is no use.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that can be taken now; `None` where the system does not say (it is no Linux).
#[must_use]
pub fn available() -> Option<u64> {
    within(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

/// [`available`] with other roots, for tests.
pub(super) fn within(proc: &Path, cgroups: &Path) -> Option<u64> {
    let machine = mem_available(&fs::read_to_string(proc.join("meminfo")).ok()?)?;
    let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let limits = folders(&own, cgroups).into_iter().filter_map(|folder| left(&folder));
    Some(limits.fold(machine, u64::min))
}

fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The folders whose limits hold for a process: its own and all above it, of version 2 and of
/// version 1's memory controller.
fn folders(own: &str, cgroups: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in own.lines() {
        // `0::/user.slice` (version 2), `9:memory:/docker/1f` (version 1).
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let root = match controllers {
            "" => cgroups.to_owned(),
            _ if controllers.split(',').any(|name| name == "memory") => cgroups.join("memory"),
            _ => continue,
        };
        let inside = root.join(path.trim_start_matches('/'));
        // A container may see the path of the host: what does not exist is passed over.
        found.extend(inside.ancestors().take_while(|folder| folder.starts_with(&root)).map(Path::to_owned));
    }
    found
}

/// What one cgroup still allows; `None` when it has no limit.
fn left(folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    // `max` is no number; version 1 writes a number close to 2^63 for "no limit", which never binds.
    let (limit, used, cache) = match number("memory.max") {
        Some(limit) => (limit, number("memory.current")?, ["inactive_file", "active_file"]),
        None => (
            number("memory.limit_in_bytes")?,
            number("memory.usage_in_bytes")?,
            ["total_inactive_file", "total_active_file"],
        ),
    };
    let stat = read("memory.stat").unwrap_or_default();
    let cached = cache.iter().filter_map(|name| entry(&stat, name)).fold(0, u64::saturating_add);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

fn entry(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
