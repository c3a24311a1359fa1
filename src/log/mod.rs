//! Where log lines go: to stderr, one sentence or one JSON object a line.
//!
//! Started once, by the command that runs, which may change the level later; the rest of the program only says what
//! happened, through tracing. Nobody waits for who reads them: `queue`. Start at [`start`].

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::time::Duration;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, registry, reload};

pub use queue::DroppedLines;

use crate::config::{Log, LogFormat};
use queue::Queue;

/// How long the end of the process waits for lines that are not read yet. A stop has 5 s in all.
const FLUSH_WITHIN: Duration = Duration::from_millis(300);

/// Why log lines have nowhere to go.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The configured level is neither a level nor a filter directive.
    #[error(
        "cannot log at level {level:?}: it is neither error, warn, info, debug, trace nor a filter directive"
    )]
    Level {
        /// As it was given.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// `RUST_LOG` is set to something that is not a filter directive.
    #[error("cannot log as RUST_LOG={value:?} says; correct or unset it")]
    Environment {
        /// As it was given.
        value: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// There is no thread to write lines.
    #[error("cannot start the thread that writes log lines")]
    Thread(#[source] io::Error),
    /// What takes log lines is gone.
    #[error("cannot change the level of the log")]
    Gone(#[from] reload::Error),
    /// Logging was started before.
    #[error("cannot start logging a second time")]
    Started(#[from] TryInitError),
}

/// Sends log lines to stderr from now on, as configured; `RUST_LOG`, when set, decides the level instead. What a panic has to
/// say goes the same way, since it would wait for a reader as well.
///
/// # Errors
/// When the level cannot be understood, or this was called before.
pub fn start(log: &Log) -> Result<Logging, LogError> {
    let (filter, level) = reload::Layer::new(filter(&log.level, overriding().as_deref())?);
    let queue = Queue::start(io::stderr()).map_err(LogError::Thread)?;
    let writer = queue.clone();
    let lines =
        fmt::layer().with_writer(move || writer.clone()).with_target(false).log_internal_errors(false);
    let lines = match log.format {
        LogFormat::Text => {
            let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
            lines.with_ansi(colour).boxed()
        }
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    registry().with(filter).with(lines).try_init()?;
    panic::set_hook(Box::new(tell_of_panic));
    Ok(Logging { level, queue })
}

/// The log, while it is kept. Dropped, it waits a moment for its last lines to be read.
pub struct Logging {
    level: reload::Handle<EnvFilter, Registry>,
    queue: Queue,
}

impl Logging {
    /// Logs at another level from now on, unless `RUST_LOG` decides it.
    ///
    /// # Errors
    /// When the level cannot be understood; then nothing changes.
    pub fn change_level(&self, log: &Log) -> Result<(), LogError> {
        let filter = filter(&log.level, overriding().as_deref())?;
        Ok(self.level.reload(filter)?)
    }

    /// Counts the lines that nobody read in time.
    #[must_use]
    pub fn dropped(&self) -> DroppedLines {
        self.queue.dropped()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.queue.flush(FLUSH_WITHIN);
    }
}

fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, "{panic}\n{backtrace}");
    } else {
        tracing::error!(thread, "{panic}");
    }
}

fn overriding() -> Option<String> {
    std::env::var("RUST_LOG").ok().filter(|value| !value.is_empty())
}

/// A bare level is ours alone: libraries speak at `warn`, or `debug` would drown us in their frames.
fn filter(level: &str, overriding: Option<&str>) -> Result<EnvFilter, LogError> {
    if let Some(value) = overriding {
        return EnvFilter::try_new(value)
            .map_err(|source| LogError::Environment { value: value.to_owned(), source });
    }
    let bare = ["error", "warn", "info", "debug", "trace"].contains(&level);
    let directives = if bare { format!("warn,pointsman={level}") } else { level.to_owned() };
    EnvFilter::try_new(directives).map_err(|source| LogError::Level { level: level.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_ours_and_libraries_only_warn() {
        assert_eq!(filter("debug", None).unwrap().to_string(), "pointsman=debug,warn");
        assert_eq!(filter("pointsman::core=trace", None).unwrap().to_string(), "pointsman::core=trace");
    }

    #[test]
    fn rust_log_overrides_the_configuration() {
        assert_eq!(filter("info", Some("trace")).unwrap().to_string(), "trace");
    }

    #[test]
    fn what_is_no_level_is_refused_by_name() {
        let refused = filter("=loud=", None).unwrap_err();
        assert!(refused.to_string().contains(r#""=loud=""#), "{refused}");
        assert!(matches!(filter("info", Some("a=b=c")), Err(LogError::Environment { .. })));
    }
}
