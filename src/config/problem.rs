use std::fmt;
use std::path::{Path, PathBuf};

use super::source::printable;

/// One thing that is wrong with a configuration, or worth a warning.
///
/// Prints as people read it: where and what, the line itself with a marker, what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration cannot be used because of it.
    pub severity: Severity,
    /// The file it is in.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The line's own text, fit for a terminal: secrets are masked, control characters replaced.
    pub text: String,
    /// Where in `text` it starts, in characters from 0, and how many characters it spans, at least 1.
    pub span: (usize, usize),
    /// What is wrong: `service "demo": timeout = "6s" is longer than interval = "5s"`.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// What a problem means for the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is refused whole (RELOAD-OR-KEEP).
    Error,
    /// It is used, and somebody should look at this.
    Warning,
}

/// Everything that is wrong with a configuration, in the order of its lines, with its warnings among
/// them. At least one is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// So many characters before a mark are kept of a line: all of one that a person would write.
const KEPT_BEFORE: usize = 500;

/// The longest part of a line that is shown, in characters; a screen's width.
const SHOWN_MAX: usize = 100;

impl Problem {
    /// What is wrong with a part of a line of a file: `span` in characters from 0, with its length. The line and all that
    /// is said are made fit for a terminal; of a long line the part around the span is kept.
    #[must_use]
    pub fn on_line(
        severity: Severity,
        (file, line): (&Path, usize),
        text: &str,
        (from, length): (usize, usize),
        message: &str,
        hint: &str,
    ) -> Self {
        let skipped = from.saturating_sub(KEPT_BEFORE);
        let fit = |text: &str| text.chars().map(printable).collect::<String>();
        let text: String = text.chars().skip(skipped).take(2 * KEPT_BEFORE).map(printable).collect();
        let from = (from - skipped).min(text.chars().count());
        let length = length.clamp(1, (text.chars().count() - from).max(1));
        let span = (from, length);
        Self {
            severity,
            file: file.to_owned(),
            line,
            text,
            span,
            message: fit(message),
            hint: Some(fit(hint)),
        }
    }

    /// The part of the line worth showing: its start as a column, its text.
    fn shown(&self) -> (usize, String) {
        let indent = self.text.chars().take_while(|c| *c == ' ').count().min(self.span.0);
        let from = if self.span.0 - indent + self.span.1.min(40) > SHOWN_MAX { self.span.0 } else { indent };
        (from, self.text.chars().skip(from).take(SHOWN_MAX).collect())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, "{}:{}: {warning}{}", self.file.display(), self.line, self.message)?;
        let (from, text) = self.shown();
        if !text.trim().is_empty() {
            let before = self.span.0 - from;
            let marked = self.span.1.clamp(1, SHOWN_MAX - before.min(SHOWN_MAX - 1));
            write!(f, "\n    {}\n    {:before$}{:^<marked$}", text.trim_end(), "", "")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { "\n" };
            write!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
