//! `[daemon]`: the process itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::raw::DaemonKeys;
use super::report::{Place, Rank, Report};
use super::table::Table;
use super::{Daemon, Log, LogFormat};

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9753);
const CONTROL: &str = "/run/pointsman/control.sock";
const STATE_DIR: &str = "/var/lib/pointsman";
const RESYNC: Duration = Duration::from_secs(60);

/// The section, or what holds without it.
pub(super) fn daemon(root: &mut Table<'_>, report: &mut Report<'_>) -> Daemon {
    let (head, entries) = root.take_table("daemon", report).unwrap_or_default();
    let mut table = Table::new(entries, Place { name: "daemon".into(), rank: Rank::General, head });
    let keys = DaemonKeys::take(&mut table, report);
    table.finish(report);
    Daemon {
        listen: keys.listen.map_or(LISTEN, |at| at.value),
        control: keys.control.map_or_else(|| CONTROL.into(), |at| at.value),
        state_dir: keys.state_dir.map_or_else(|| STATE_DIR.into(), |at| at.value),
        dry_run: keys.dry_run.is_some_and(|at| at.value),
        resync: keys.resync.map_or(RESYNC, |at| at.value.0),
        log: Log {
            level: keys.log_level.map_or_else(|| "info".to_owned(), |at| at.value.0),
            format: keys.log_format.map_or(LogFormat::Text, |at| at.value),
        },
    }
}
