//! The command line in, an exit code out.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use pointsman::cli::{self, Cli};
use rustix::process::{Resource, Rlimit};
use tokio::runtime;

/// How long threads may take that wait for the system (a name being resolved, a file) once the command is
/// done. A stop has 5 s in all.
const THREADS_END_WITHIN: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    // Memory holds keys. The unit sees to this too, but not every start is systemd's.
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    // Building a TLS client panics without one; it only fails to install when there is one already.
    rustls::crypto::ring::default_provider().install_default().ok();
    match cli::parse() {
        Ok(command) => execute(command).unwrap_or_else(|error| cli::failed(&error)),
        Err(done) => done,
    }
}

fn execute(command: Cli) -> anyhow::Result<ExitCode> {
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("pointsman")
        .build()
        .context("cannot start the threads that do the work")?;
    let outcome = runtime.block_on(cli::execute(command));
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    outcome
}
