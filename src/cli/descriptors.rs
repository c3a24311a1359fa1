//! How many file descriptors `run` may hold, and whether that is enough for what is configured.
//!
//! A shell gives a process 1,024 and lets it take many more. Without descriptors probes are unknown, and dead regions stay.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::model::CheckKind;

/// Descriptors beside those of probes: the admin side's connections (256), the embedded server, accounts, the journal, witnesses.
const OTHERS: u64 = 512;

/// Raises the soft limit to the hard limit; without permission or need it stays. Returns the limit that is in force, none for no limit.
pub(super) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "could not raise the limit of open files (RLIMIT_NOFILE) to the hard limit");
        }
    }
    getrlimit(Resource::Nofile).current
}

/// Says when `limit` is too low for all probes at once.
pub(super) fn warning(config: &Config, limit: Option<u64>) -> Option<String> {
    let (limit, needed) = (limit?, OTHERS + probes(config));
    (limit < needed).then(|| {
        format!(
            "this process may open {limit} files, and with every probe under way it needs {needed}: probes would be unknown\n  \
             raise the hard limit to {needed} or more (LimitNOFILE= in the unit, ulimit -Hn in a shell)"
        )
    })
}

/// Connections while every probe is under way: each direct check holds one for each address of its region. Checks of the
/// cloud share the accounts' connections.
fn probes(config: &Config) -> u64 {
    let regions = config.services.iter().flat_map(|service| &service.regions);
    let connections = regions.map(|region| {
        let is_direct = |kind: &CheckKind| match kind {
            CheckKind::Http(_) | CheckKind::Tcp(_) => true,
            CheckKind::Elb(_) | CheckKind::Eip(_) => false,
        };
        let direct = region.checks.iter().filter(|check| is_direct(&check.kind)).count();
        direct * region.addresses.len().max(1)
    });
    u64::try_from(connections.sum::<usize>()).unwrap_or(u64::MAX - OTHERS)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn a_limit_below_what_all_probes_need_at_once_is_warned_of() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/pointsman.toml");
        let config = config::load(&example).unwrap().config;
        let needed = OTHERS + probes(&config);
        assert!(needed > OTHERS, "it has direct checks");
        assert_eq!(warning(&config, Some(needed)), None);
        assert_eq!(warning(&config, None), None, "no limit is enough");
        let warning = warning(&config, Some(needed - 1)).unwrap();
        assert!(warning.contains(&format!("needs {needed}")), "{warning}");
    }
}
