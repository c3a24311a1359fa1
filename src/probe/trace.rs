//! Follows a look through its stages, for the deadline's message and for `pointsman probe`.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// What a look is doing. The closed list of what a phase of a trace can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Opening the TCP connection.
    #[default]
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Request,
    /// Waiting for the answer's status and headers.
    Head,
    /// Reading the answer's body.
    Body,
    /// Asking the cloud's API.
    Api,
    /// What it all came to.
    Verdict,
    /// Asking the vantage's references whether it is our own network.
    Vantage,
}

impl Stage {
    /// The phase's name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Request => "request",
            Self::Head => "head",
            Self::Body => "body",
            Self::Api => "api",
            Self::Verdict => "verdict",
            Self::Vantage => "vantage",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One phase of a look, as `pointsman probe` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What the look was doing.
    pub name: Stage,
    /// How long that took.
    pub took: Duration,
    /// What was seen, as a sentence for a person.
    pub saw: String,
}

/// Follows one look: always knows its stage, and collects phases when asked to.
///
/// A look calls [`Trace::enter`] and [`Trace::leave`] in pairs. A stage that is entered and never left is
/// where the look was when it was dropped at its deadline.
#[derive(Debug)]
pub struct Trace {
    stage: Stage,
    record: Option<Record>,
}

#[derive(Debug)]
struct Record {
    entered: Option<Instant>,
    phases: Vec<Phase>,
}

impl Trace {
    /// Collects nothing; costs no clock and no allocation.
    #[must_use]
    pub fn off() -> Self {
        Self { stage: Stage::default(), record: None }
    }

    /// Collects every phase.
    #[must_use]
    pub fn on() -> Self {
        let record = Record { entered: None, phases: Vec::new() };
        Self { stage: Stage::default(), record: Some(record) }
    }

    /// The stage entered last.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// A stage begins.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        if let Some(record) = &mut self.record {
            record.entered = Some(clock::instant_now());
        }
    }

    /// The stage entered last is over, and `saw` tells what it saw. Nothing, when it was left already.
    pub fn leave(&mut self, saw: fmt::Arguments<'_>) {
        if let Some(record) = &mut self.record
            && let Some(entered) = record.entered.take()
        {
            let took = clock::instant_now().duration_since(entered);
            record.phases.push(Phase { name: self.stage, took, saw: saw.to_string() });
        }
    }

    /// What was collected, in order; empty when it was [`Trace::off`].
    #[must_use]
    pub fn into_phases(self) -> Vec<Phase> {
        self.record.map(|record| record.phases).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_told_once_and_a_trace_that_is_off_tells_none() {
        for (mut trace, told) in [(Trace::on(), 1), (Trace::off(), 0)] {
            trace.enter(Stage::Head);
            trace.leave(format_args!("status {}", 200));
            trace.leave(format_args!("again"));
            assert_eq!(trace.stage(), Stage::Head);
            let phases = trace.into_phases();
            assert_eq!(phases.len(), told);
            assert!(phases.iter().all(|phase| phase.name == Stage::Head && phase.saw == "status 200"));
        }
    }
}
