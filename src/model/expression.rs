use std::fmt;

use super::CheckName;

/// A truth value of Kleene's three-valued logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kleene {
    /// Certainly so.
    True,
    /// Certainly not so.
    False,
    /// It cannot be told.
    Unknown,
}

impl Kleene {
    /// False if either is, true if both are, else unknown.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            (Self::Unknown, Self::True | Self::Unknown) | (Self::True, Self::Unknown) => Self::Unknown,
        }
    }

    /// True if either is, false if both are, else unknown.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        !(!self).and(!other)
    }
}

impl std::ops::Not for Kleene {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// When a region is up, over the signals of its checks: `eip && (elb || web)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// The check's signal is passing.
    Check(CheckName),
    /// It is not so.
    Not(Box<Expression>),
    /// All are so. Not empty.
    All(Vec<Expression>),
    /// At least one is so. Not empty.
    Any(Vec<Expression>),
}

impl Expression {
    /// Evaluates with Kleene's logic; a check for which `signal` returns `None` is left out, as if it
    /// had not been written. `None` when everything is left out.
    pub fn evaluate(&self, signal: &mut impl FnMut(&CheckName) -> Option<Kleene>) -> Option<Kleene> {
        match self {
            Self::Check(name) => signal(name),
            Self::Not(inner) => inner.evaluate(signal).map(std::ops::Not::not),
            Self::All(parts) => parts.iter().filter_map(|part| part.evaluate(signal)).reduce(Kleene::and),
            Self::Any(parts) => parts.iter().filter_map(|part| part.evaluate(signal)).reduce(Kleene::or),
        }
    }

    /// Whether it names this check.
    #[must_use]
    pub fn names(&self, check: &CheckName) -> bool {
        let mut names = false;
        self.for_each_check(&mut |name| names |= name == check);
        names
    }

    /// Whether this check stands behind a `!` somewhere, so that its passing speaks against the region.
    #[must_use]
    pub fn negates(&self, check: &CheckName) -> bool {
        match self {
            Self::Check(_) => false,
            Self::Not(inner) => inner.affirms(check),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.negates(check)),
        }
    }

    fn affirms(&self, check: &CheckName) -> bool {
        match self {
            Self::Check(name) => name == check,
            Self::Not(inner) => inner.negates(check),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.affirms(check)),
        }
    }

    /// Calls `visit` for each check named, in the order written, as often as it is written.
    pub fn for_each_check(&self, visit: &mut impl FnMut(&CheckName)) {
        match self {
            Self::Check(name) => visit(name),
            Self::Not(inner) => inner.for_each_check(visit),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.for_each_check(visit)),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Self], sign: &str| {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    write!(f, " {sign} ")?;
                }
                match part {
                    Self::All(inner) | Self::Any(inner) if inner.len() > 1 => write!(f, "({part})")?,
                    Self::Check(_) | Self::Not(_) | Self::All(_) | Self::Any(_) => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Check(name) => write!(f, "{name}"),
            Self::Not(inner) if matches!(**inner, Self::Check(_) | Self::Not(_)) => write!(f, "!{inner}"),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::All(parts) => list(f, parts, "&&"),
            Self::Any(parts) => list(f, parts, "||"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> Expression {
        Expression::Check(CheckName::parse(name).unwrap())
    }

    fn evaluate(expression: &Expression, values: &[(&str, Option<Kleene>)]) -> Option<Kleene> {
        expression
            .evaluate(&mut |name| values.iter().find(|(n, _)| *n == name.as_str()).and_then(|(_, v)| *v))
    }

    #[test]
    fn unknown_and_failing_is_failing_and_unknown_and_passing_is_unknown() {
        use Kleene::{False, True, Unknown};
        assert_eq!(Unknown.and(False), False);
        assert_eq!(False.and(Unknown), False);
        assert_eq!(Unknown.and(True), Unknown);
        assert_eq!(Unknown.or(True), True);
        assert_eq!(False.or(Unknown), Unknown);
        assert_eq!(!Unknown, Unknown);
    }

    #[test]
    fn a_check_left_out_decides_nothing() {
        let both = Expression::All(vec![check("elb"), check("web")]);
        assert_eq!(evaluate(&both, &[("web", Some(Kleene::True))]), Some(Kleene::True));
        assert_eq!(evaluate(&both, &[("web", Some(Kleene::False))]), Some(Kleene::False));
        assert_eq!(evaluate(&both, &[]), None);
    }

    #[test]
    fn a_check_behind_an_odd_number_of_signs_is_negated() {
        let not = |inner| Expression::Not(Box::new(inner));
        let e = Expression::All(vec![
            check("web"),
            not(Expression::Any(vec![check("closed"), not(check("elb"))])),
        ]);
        let negated = ["web", "closed", "elb"].map(|name| e.negates(&CheckName::parse(name).unwrap()));
        assert_eq!(negated, [false, true, false]);
    }

    #[test]
    fn it_prints_as_it_is_written() {
        let e = Expression::All(vec![
            check("eip"),
            Expression::Any(vec![check("elb"), Expression::Not(Box::new(check("web")))]),
        ]);
        assert_eq!(e.to_string(), "eip && (elb || !web)");
    }
}
