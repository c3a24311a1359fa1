//! Durations as people write them: a whole number and a unit.

use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::value::{FromToml, Wrong, keep, text, text_schema};

/// A duration that is longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Positive(pub(super) Duration);

/// A duration that is longer than zero, or none for "forever".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrForever(pub(super) Option<Duration>);

/// Units from the longest to the shortest, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// No timer of ours means to wait for longer, and sums of two still fit every clock.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

const HINT: &str = "write a whole number and a unit, in quotes: \"500ms\", \"5s\", \"2m\", \"1h\" or \"14d\"";

/// The duration that a text spells, strictly: `500ms`, `5s`, `2m`, `1h`, `14d`.
pub(super) fn parse(text: &str) -> Result<Duration, Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (Some((_, scale)), Ok(number)) = (unit, number.parse::<u64>()) else {
        return Err(Wrong::new("is not a duration", likely(text)));
    };
    let duration = number.checked_mul(*scale).map(Duration::from_millis).filter(|d| *d <= LONGEST);
    duration.ok_or_else(|| Wrong::new("is too long", "write at most \"366d\""))
}

/// What was meant, when it can be guessed.
fn likely(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    let seconds = format!("{lower}s");
    let meant = humantime::parse_duration(&lower).or_else(|_| humantime::parse_duration(&seconds)).ok();
    match meant.filter(|meant| *meant <= LONGEST) {
        Some(meant) => format!("write \"{}\"", written(meant)),
        None => HINT.to_owned(),
    }
}

/// A duration as it is written in a configuration, in whole milliseconds: `5s`.
pub(super) fn written(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = UNITS.iter().find(|(_, scale)| millis > 0 && millis % scale == 0);
    whole.map_or_else(|| "0s".to_owned(), |(unit, scale)| format!("{}{unit}", millis / scale))
}

fn read(value: &Spanned<DeValue<'_>>) -> Result<Duration, Wrong> {
    match value.get_ref().as_integer() {
        Some(number) => Err(Wrong::new("has no unit", format!("write \"{}s\"", number.as_str()))),
        None => text(value, "\"5s\"").and_then(parse),
    }
}

fn read_positive(value: &Spanned<DeValue<'_>>) -> Result<Duration, Wrong> {
    read(value).and_then(|duration| {
        let zero = || Wrong::new("is zero, which makes no sense here", "write a duration from \"1ms\"");
        (!duration.is_zero()).then_some(duration).ok_or_else(zero)
    })
}

impl FromToml for Duration {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        keep(read(value), wrong)
    }

    fn schema() -> Value {
        text_schema(Some("^[0-9]+(ms|s|m|h|d)$"))
    }
}

impl FromToml for Positive {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        keep(read_positive(value).map(Self), wrong)
    }

    fn schema() -> Value {
        text_schema(Some("^0*[1-9][0-9]*(ms|s|m|h|d)$"))
    }
}

impl FromToml for OrForever {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        if value.get_ref().as_str() == Some("forever") {
            return Some(Self(None));
        }
        keep(read_positive(value).map(|duration| Self(Some(duration))), wrong)
    }

    fn schema() -> Value {
        text_schema(Some("^(forever|0*[1-9][0-9]*(ms|s|m|h|d))$"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_with_a_unit_is_a_duration_and_prints_as_it_is_written() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("14d", 1_209_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(written(Duration::from_millis(millis)), text);
        }
        assert_eq!(written(Duration::from_millis(1_500)), "1500ms");
    }

    #[test]
    fn anything_else_is_refused_with_what_was_likely_meant() {
        for (text, hint) in [
            ("5", "write \"5s\""),
            ("1M", "write \"1m\""),
            ("1m30s", "write \"90s\""),
            ("5 s", "write \"5s\""),
            ("5sec", "write \"5s\""),
            ("", HINT),
            ("s", HINT),
            ("-5s", HINT),
            ("fast", HINT),
        ] {
            assert_eq!(parse(text), Err(Wrong::new("is not a duration", hint)), "{text}");
        }
        for text in ["367d", "18446744073709551615h"] {
            assert_eq!(parse(text).unwrap_err().what, "is too long", "{text}");
        }
    }

    #[test]
    fn forever_is_no_duration_and_zero_is_refused() {
        let read = |text: &str| {
            let document = format!("a = \"{text}\"");
            let parsed = toml::de::DeTable::parse(&document).unwrap();
            let mut wrong = Vec::new();
            let value = OrForever::from_toml(parsed.get_ref().get("a").unwrap(), &mut wrong);
            (value, wrong.len())
        };
        assert_eq!(read("forever"), (Some(OrForever(None)), 0));
        assert_eq!(read("5m"), (Some(OrForever(Some(Duration::from_secs(300)))), 0));
        assert_eq!(read("0s"), (None, 1));
        assert_eq!(read("Forever").1, 1);
    }
}
