//! From one TOML value to one good value, or all that is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::suggest::{either, nearest};
use crate::model::{
    CheckName, CloudName, ElbRef, Fqdn, Line, MinHealthy, NameError, ProviderName, RegionName, ServiceName,
    Share, StatusSet, Threshold, Ttl, Weight,
};

/// What is wrong with a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where, when it is a part of the value.
    pub(super) span: Option<std::ops::Range<usize>>,
    /// The end of a sentence that starts with the value: "is not a duration".
    pub(super) what: String,
    /// What to write instead.
    pub(super) hint: String,
}

impl Wrong {
    /// The value as a whole is wrong.
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { span: None, what: what.into(), hint: hint.into() }
    }
}

/// What can be read from a TOML value.
pub(super) trait FromToml: Sized {
    /// The value, or at least one thing that is wrong with it.
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self>;

    /// The values it is read from, as a JSON Schema. Takes every value that `from_toml` takes, and perhaps more: what
    /// only a function can tell is left to that.
    fn schema() -> Value;
}

/// What a TOML value is, with its article: `an integer`.
pub(super) fn what(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// A TOML value's text, when it is one.
pub(super) fn text<'v>(value: &'v Spanned<DeValue<'_>>, example: &str) -> Result<&'v str, Wrong> {
    let hint = || format!("write a text in quotes: {example}");
    match value.get_ref().as_str() {
        Some("") => Err(Wrong::new("is empty", hint())),
        Some(text) => Ok(text),
        None => Err(Wrong::new(format!("is {}, not a text", what(value.get_ref())), hint())),
    }
}

/// A TOML integer from `least` to `most`.
pub(super) fn integer(value: &Spanned<DeValue<'_>>, least: u32, most: u32) -> Result<u32, Wrong> {
    let hint = || format!("write a whole number from {least} to {most}, without quotes");
    let Some(number) = value.get_ref().as_integer() else {
        return Err(Wrong::new(format!("is {}, not a whole number", what(value.get_ref())), hint()));
    };
    let plain = u32::from_str_radix(number.as_str(), number.radix()).ok();
    let good = plain.filter(|number| (least..=most).contains(number));
    good.ok_or_else(|| Wrong::new("is out of range", hint()))
}

/// Takes the value out, or writes the mistake down.
pub(super) fn keep<T>(read: Result<T, Wrong>, wrong: &mut Vec<Wrong>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(mistake) => {
            wrong.push(mistake);
            None
        }
    }
}

/// One of the words that a key takes. `later` are those that interface.md promises and this version lacks.
pub(super) fn choose<T: Copy>(
    value: &Spanned<DeValue<'_>>,
    choices: &[(&str, T)],
    later: &[&str],
) -> Result<T, Wrong> {
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let hint = format!("write {}", either(&names));
    let DeValue::String(given) = value.get_ref() else {
        return Err(Wrong::new(format!("is {}, not a text", what(value.get_ref())), hint));
    };
    let given: &str = given;
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == given) {
        return Ok(*choice);
    }
    if later.contains(&given) {
        return Err(Wrong::new("is not available in this version", hint));
    }
    let hint = match nearest(given, choices.iter().map(|(name, _)| *name)) {
        Some(near) if choices.len() > 2 => format!("{hint}; the nearest is \"{near}\""),
        Some(_) | None => hint,
    };
    Err(Wrong::new("is not one of the words known here", hint))
}

/// Implements [`FromToml`] for an enum whose variants have names.
macro_rules! words {
    ($type:ty: $($name:literal => $value:expr),+ $(; later $($later:literal),+)?) => {
        impl FromToml for $type {
            fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
                keep(choose(value, &[$(($name, $value)),+], &[$($($later),+)?]), wrong)
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($name),+] })
            }
        }
    };
}
pub(super) use words;

/// Implements [`FromToml`] for what is parsed from a text, by a function from text to `Result<T, Wrong>`. `like` gives a
/// regular expression that every good text matches.
macro_rules! texts {
    ($($type:ty: $example:literal $(like $pattern:expr)? => $parse:expr;)+) => {$(
        impl FromToml for $type {
            fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
                keep(text(value, $example).and_then($parse), wrong)
            }

            fn schema() -> serde_json::Value {
                $crate::config::value::text_schema(None$(.or(Some($pattern)))?)
            }
        }
    )+};
}
pub(super) use texts;

/// A text that is not empty, and like the pattern if there is one.
pub(super) fn text_schema(pattern: Option<&str>) -> Value {
    match pattern {
        None => json!({ "type": "string", "minLength": 1 }),
        Some(pattern) => json!({ "type": "string", "minLength": 1, "pattern": pattern }),
    }
}

fn integer_schema(least: u32, most: u32) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// Far above every number of things that people have.
const COUNT_MAX: u32 = 1_000_000;

/// An id or the name of a cloud's region: letters, digits, `-` and `_`, so that it is safe within a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) String);

/// The id of a load balancer: a UUID, as the console shows it. The cloud refuses every list that is asked for by
/// something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ElbId(pub(super) String);

/// A port, 1 to 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Port(pub(super) u16);

/// A number that is at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Factor(pub(super) f64);

/// What every name of ours is like.
pub(super) const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$";
const ID: &str = "^[A-Za-z0-9_-]+$";
const UUID: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";
const WITH_PORT: &str = ":[0-9]+$";
const SHARE: &str = "^0*(100|[1-9]?[0-9])%$";

const PLAIN: &str = "use letters, digits, '_', '.' and '-', 63 at most, the first a letter or digit";

texts! {
    String: "\"…\"" => |text| Ok(text.to_owned());
    PathBuf: "\"/etc/pointsman/…\"" => |text| Ok(text.into());
    ServiceName: "\"demo\"" like NAME => |text| Self::parse(text).map_err(|e| bad_name(&e, PLAIN));
    RegionName: "\"region1\"" like NAME => |text| Self::parse(text).map_err(|e| bad_name(&e, PLAIN));
    CheckName: "\"web\"" like NAME => |text| Self::parse(text).map_err(|e| bad_name(&e, PLAIN));
    CloudName: "\"main\"" like NAME => |text| Self::parse(text).map_err(|e| bad_name(&e, PLAIN));
    ProviderName: "\"private\"" like NAME => |text| Self::parse(text).map_err(|e| bad_name(&e, PLAIN));
    Line: "\"default_view\"" like NAME => |text| Self::parse(text).map_err(|e| bad_name(&e, PLAIN));
    Fqdn: "\"demo.localdev.me.\"" => |text| Self::parse(text).map_err(|e| bad_name(&e, "write a whole name: \"demo.localdev.me.\""));
    Id: "\"cn-north-4\"" like ID => |text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let wrong = || Wrong::new("is not an id", "an id has letters, digits, '-' and '_' only");
        text.chars().all(plain).then(|| Self(text.to_owned())).ok_or_else(wrong)
    };
    ElbId: "\"3f1c5a60-0000-4000-8000-000000000001\"" like UUID => parse_elb_id;
    SocketAddr: "\"127.0.0.1:9753\"" like WITH_PORT => |text| text.parse().map_err(|_| {
        Wrong::new("is not an address with a port", "write an IP address and a port: \"127.0.0.1:9753\" or \"[::1]:9753\"")
    });
    IpAddr: "\"198.51.100.10\"" like "^[0-9A-Fa-f.:]+$" => parse_address;
    Share: "\"50%\"" like SHARE => parse_share;
}

fn parse_elb_id(text: &str) -> Result<ElbId, Wrong> {
    if ElbRef::is_id(text) {
        return Ok(ElbId(text.to_owned()));
    }
    let hint =
        "write the id that the console shows for the load balancer: \"3f1c5a60-0000-4000-8000-000000000001\"";
    Err(Wrong::new("is not the id of a load balancer", hint))
}

fn bad_name(error: &NameError, hint: &str) -> Wrong {
    Wrong::new(error.problem.clone(), hint)
}

/// An address of one machine.
pub(super) fn parse_address(text: &str) -> Result<IpAddr, Wrong> {
    let hint = "write an IP address of one machine: \"198.51.100.10\" or \"2001:db8::10\"";
    let address: IpAddr = text.parse().map_err(|_| Wrong::new("is not an IP address", hint))?;
    let many = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.to_ipv4_mapped().is_some(),
    };
    if many || address.is_unspecified() {
        return Err(Wrong::new("is not the address of one machine", hint));
    }
    Ok(address)
}

fn parse_share(text: &str) -> Result<Share, Wrong> {
    let percent = text.strip_suffix('%').filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
    let share = percent.and_then(|number| number.parse().ok()).and_then(Share::from_percent);
    share.ok_or_else(|| {
        Wrong::new("is not a share", "write a whole number from 0 to 100 with a sign: \"50%\"")
    })
}

impl FromToml for bool {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let mistake = || {
            Wrong::new(
                format!("is {}, not true or false", what(value.get_ref())),
                "write true or false, without quotes",
            )
        };
        keep(value.get_ref().as_bool().ok_or_else(mistake), wrong)
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

impl FromToml for Port {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let number = keep(integer(value, 1, 65_535), wrong)?;
        u16::try_from(number).ok().map(Self)
    }

    fn schema() -> Value {
        integer_schema(1, 65_535)
    }
}

impl FromToml for u32 {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        keep(integer(value, 0, COUNT_MAX), wrong)
    }

    fn schema() -> Value {
        integer_schema(0, COUNT_MAX)
    }
}

impl FromToml for NonZeroU32 {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        keep(integer(value, 1, COUNT_MAX), wrong).and_then(Self::new)
    }

    fn schema() -> Value {
        integer_schema(1, COUNT_MAX)
    }
}

impl FromToml for Factor {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let float = value.get_ref().as_float().and_then(|number| number.as_str().parse().ok());
        let number = float.or_else(|| integer(value, 1, 1_000).ok().map(f64::from));
        let good = number.filter(|number| (1.0..=1_000.0).contains(number)).map(Self);
        let mistake = || Wrong::new("is not a factor", "write a number from 1 to 1000: 2 or 1.5");
        keep(good.ok_or_else(mistake), wrong)
    }

    fn schema() -> Value {
        json!({ "type": "number", "minimum": 1, "maximum": 1_000 })
    }
}

impl FromToml for Ttl {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let read = integer(value, 1, 2_147_483_647).map_err(|mistake| {
            if value.get_ref().is_str() {
                Wrong { hint: "write the seconds as a plain number: 30".to_owned(), ..mistake }
            } else {
                mistake
            }
        });
        keep(read, wrong).and_then(Self::from_seconds)
    }

    fn schema() -> Value {
        integer_schema(1, 2_147_483_647)
    }
}

impl FromToml for Weight {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        // 0 would be a last resort, by rules of the provider's own; a region that is not to serve is drained.
        let weight = keep(integer(value, 1, 1_000), wrong)?;
        u16::try_from(weight).ok().and_then(Self::from_number)
    }

    fn schema() -> Value {
        integer_schema(1, 1_000)
    }
}

impl FromToml for Threshold {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let threshold = match value.get_ref().as_str().map(|text| text.split_once(" of ")) {
            None => integer(value, 1, Self::WINDOW_MAX).ok().and_then(Self::in_a_row),
            Some(parts) => parts.and_then(|(count, window)| {
                Self::of(count.trim().parse().ok()?, window.trim().parse().ok()?)
            }),
        };
        let hint = "write looks in a row, 1 to 64: 3, or a count of the latest ones: \"5 of 10\", 64 at most";
        keep(threshold.ok_or_else(|| Wrong::new("is not a number of looks", hint)), wrong)
    }

    fn schema() -> Value {
        let window =
            json!({ "type": "string", "pattern": "^ *[0-9]+ +of +[0-9]+ *$", "examples": ["5 of 10"] });
        json!({ "anyOf": [integer_schema(1, Self::WINDOW_MAX), window] })
    }
}

impl FromToml for MinHealthy {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let good = match value.get_ref().as_str() {
            None => integer(value, 1, COUNT_MAX).map(Self::Count),
            Some(text) => match parse_share(text) {
                Ok(share) if share.as_percent() == 0 => Err(Wrong::new("could never fail", "")),
                share => share.map(Self::Share),
            },
        };
        let hint = "write a number of backends from 1, or a share of them: \"50%\"";
        keep(good.map_err(|mistake| Wrong { hint: hint.to_owned(), ..mistake }), wrong)
    }

    fn schema() -> Value {
        json!({ "anyOf": [integer_schema(1, COUNT_MAX), Share::schema()] })
    }
}

impl FromToml for StatusSet {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let hint = "write statuses from 100 to 599 and ranges of them: [200, \"300-399\"]";
        let DeValue::Array(items) = value.get_ref() else {
            wrong.push(Wrong::new("is not a list", hint));
            return None;
        };
        let mut ranges = Vec::new();
        for item in items {
            let range = match item.get_ref().as_str() {
                None => integer(item, 100, 599)
                    .ok()
                    .and_then(|n| u16::try_from(n).ok())
                    .map(|status| status..=status),
                Some(text) => text
                    .split_once('-')
                    .and_then(|(first, last)| Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)),
            };
            match range {
                Some(range) if Self::new(vec![range.clone()]).is_some() => ranges.push(range),
                Some(_) | None => {
                    wrong.push(Wrong { span: Some(item.span()), ..Wrong::new("is not a status", hint) });
                }
            }
        }
        if items.is_empty() {
            wrong.push(Wrong::new("allows no status", hint));
        }
        if wrong.is_empty() { Self::new(ranges) } else { None }
    }

    fn schema() -> Value {
        let range = "^ *[1-5][0-9][0-9] *- *[1-5][0-9][0-9] *$";
        let range = json!({ "type": "string", "pattern": range, "examples": ["200-299"] });
        json!({ "type": "array", "minItems": 1, "items": { "anyOf": [integer_schema(100, 599), range] } })
    }
}

/// A list whose items know where they stand. Not empty.
impl<T: FromToml> FromToml for Vec<Spanned<T>> {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let hint = "write a list in brackets: [\"…\", \"…\"]";
        let DeValue::Array(items) = value.get_ref() else {
            wrong.push(Wrong::new("is not a list", hint));
            return None;
        };
        if items.is_empty() {
            wrong.push(Wrong::new("is empty", format!("{hint}, or leave the key out")));
        }
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let mut mistakes = Vec::new();
            let good = T::from_toml(item, &mut mistakes);
            wrong.extend(
                mistakes
                    .into_iter()
                    .map(|mistake| Wrong { span: mistake.span.or_else(|| Some(item.span())), ..mistake }),
            );
            list.extend(good.map(|good| Spanned::new(item.span(), good)));
        }
        if wrong.is_empty() { Some(list) } else { None }
    }

    fn schema() -> Value {
        json!({ "type": "array", "minItems": 1, "items": T::schema() })
    }
}
