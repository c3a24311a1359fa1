//! What the daemon's process holds, as the system tells.

use std::fmt;
use std::fs;
use std::path::PathBuf;

/// At one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

/// How much more a process may hold late in a run than early, from where it must be called a leak: allocators keep
/// what they had, the runtime keeps threads for blocking calls for some seconds, and connections are kept for 45 s.
const MORE: Footprint = Footprint { resident_kib: 6 * 1024, descriptors: 12, threads: 6 };

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident_kib, descriptors, threads } = self;
        write!(f, "{resident_kib} KiB, {descriptors} descriptors, {threads} threads")
    }
}

impl Footprint {
    /// Of a running process; none once it has ended.
    pub(crate) fn of(process_id: &str) -> Option<Self> {
        let proc = PathBuf::from("/proc").join(process_id);
        let status = fs::read_to_string(proc.join("status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let count = |folder: &str| fs::read_dir(proc.join(folder)).ok().map(Iterator::count);
        Some(Self {
            resident_kib: resident.trim().trim_end_matches(" kB").parse().ok()?,
            descriptors: count("fd")?,
            threads: count("task")?,
        })
    }

    /// The most of each.
    fn most(all: &[Self]) -> Self {
        let most = |one: Self, other: &Self| Self {
            resident_kib: one.resident_kib.max(other.resident_kib),
            descriptors: one.descriptors.max(other.descriptors),
            threads: one.threads.max(other.threads),
        };
        all.iter().fold(Self { resident_kib: 0, descriptors: 0, threads: 0 }, most)
    }

    /// What grew from the first third of a run to its last, if anything grew beyond what is no leak.
    pub(crate) fn leak(run: &[Self]) -> Option<String> {
        let third = run.len() / 3;
        let (early, late) = (Self::most(&run[..third]), Self::most(&run[run.len() - third..]));
        let leaks = late.resident_kib > early.resident_kib + MORE.resident_kib
            || late.descriptors > early.descriptors + MORE.descriptors
            || late.threads > early.threads + MORE.threads;
        leaks.then(|| format!("it grew from {early:?} to {late:?}: {run:#?}"))
    }
}
