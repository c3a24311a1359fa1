//! What must not be shown of a configuration's text (SECRETS-STAY).
//!
//! Works on the text alone, since a file that does not parse has its secrets on its lines too. Errs on
//! the side of hiding: a key that looks like a secret's hides all that follows it on its line.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// `name =`, bare or quoted, and the opening of what spans lines.
#[expect(clippy::expect_used, reason = "a constant expression; every test here compiles it")]
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([A-Za-z0-9_-]+)["']?[ \t]*=[ \t]*("""|'''|\[|\{)?"#).expect("the expression is valid")
});

/// The user of a URL, who may bring a password: `https://user:password@host`.
#[expect(clippy::expect_used, reason = "a constant expression; every test here compiles it")]
static USER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"://[^/\s"'@]*@[^\s"']*"#).expect("the expression is valid"));

/// Parts of names that only secrets have.
const WORDS: [&str; 8] = ["secret", "token", "passw", "pwd", "authori", "cookie", "apikey", "credential_"];

/// Names that only secrets have as a whole, and that people misspell.
const NAMES: [&str; 6] = ["secret_key", "security_token", "password", "sk", "url", "key"];

/// Whether the value of a key of this name must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    let name = key.to_ascii_lowercase().replace('-', "_");
    let name = name.rsplit('.').next().unwrap_or_default();
    if name.ends_with("_file") || name == "access_key" {
        return false;
    }
    WORDS.iter().any(|word| name.contains(word))
        || name.ends_with("_key")
        || NAMES.iter().any(|known| *known == name || (known.len() > 4 && is_like(known, name)))
}

fn is_like(known: &str, name: &str) -> bool {
    strsim::normalized_damerau_levenshtein(known, name) > 0.7
}

/// The byte ranges of `source` that must not be shown.
pub(super) fn masks(source: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    for found in ASSIGNMENT.captures_iter(source) {
        let Some(whole) = found.get(0) else { continue };
        if !found.get(1).is_some_and(|key| is_secret(key.as_str())) {
            continue;
        }
        let opening = found.get(2);
        let start = opening.map_or(whole.end(), |opening| opening.start());
        let end = end_of_value(source, whole.end(), opening.map_or("", |opening| opening.as_str()));
        masks.push(start..end);
    }
    masks.extend(USER.find_iter(source).map(|user| user.start() + "://".len()..user.end()));
    masks
}

/// Where what was opened ends; the end of the line, or of the closing delimiter's line.
fn end_of_value(source: &str, from: usize, opening: &str) -> usize {
    let rest = source.get(from..).unwrap_or_default();
    let closing = match opening {
        "[" => rest.find(']'),
        "{" => rest.find('}'),
        "" => Some(0),
        quotes => rest.find(quotes),
    };
    let closed = closing.unwrap_or(rest.len());
    let tail = rest.get(closed..).unwrap_or_default();
    from + closed + tail.find('\n').unwrap_or(tail.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(source: &str) -> Vec<&str> {
        masks(source).into_iter().map(|mask| &source[mask]).collect()
    }

    #[test]
    fn what_follows_the_name_of_a_secret_is_hidden() {
        assert_eq!(hidden("secret_key = \"abc\"\nregion = \"x\""), ["\"abc\""]);
        assert_eq!(hidden("tsig = { name = \"a\", secret = \"b\" }\n"), ["\"b\" }"]);
        assert_eq!(hidden("tsig = { key = \"b\" }\n"), ["\"b\" }"]);
        assert_eq!(hidden("cloud.main.\"security_token\"='x"), ["'x"]);
        assert_eq!(hidden("headers = { Authorization = \"Bearer x\", X-Api-Key = \"y\" }").len(), 2);
        assert_eq!(hidden("elb = \"https://user:x@host/\""), ["user:x@host/"]);
        assert_eq!(hidden("secret_kye = 'x'\nSecretKey = 'y'\nsk = 'z'"), ["'x'", "'y'", "'z'"]);
    }

    #[test]
    fn a_secret_over_several_lines_is_hidden_on_all_of_them() {
        assert_eq!(hidden("token = \"\"\"\na\nb\"\"\"\nport = 1"), ["\"\"\"\na\nb\"\"\""]);
        assert_eq!(hidden("token = [\n'a',\n'b' ]\nport = 1"), ["[\n'a',\n'b' ]"]);
        assert_eq!(hidden("token = '''\na\nnever closed"), ["'''\na\nnever closed"]);
    }

    #[test]
    fn names_of_files_and_the_id_of_a_key_are_shown() {
        for plain in ["secret_key_file = 'x'", "access_key = 'x'", "credentials = 'auto'", "interval = '5s'"]
        {
            assert!(hidden(plain).is_empty(), "{plain}");
        }
    }
}
