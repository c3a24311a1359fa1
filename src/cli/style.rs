//! How words look on a terminal. `anstream` takes it off where there is none.
//!
//! Written as `write!(out, "{GOOD}up{GOOD:#}")` to a stream of `anstream`.

use anstyle::{AnsiColor, Style};

/// As it should be: up, passing, published, done.
pub const GOOD: Style = AnsiColor::Green.on_default();

/// On its way, or worth a look: suspect, recovering, held, a warning.
pub const CARE: Style = AnsiColor::Yellow.on_default();

/// Not as it should be: down, failing, an error.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// What the eye should find first.
pub const STRONG: Style = Style::new().bold();

/// What the eye may skip.
pub const DIM: Style = Style::new().dimmed();
