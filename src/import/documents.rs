use std::rc::Rc;

use super::tree::{Node, Refusal};
use super::{json, yaml};

/// The documents of a file. As kubectl tells them apart, what begins with a brace is JSON; or YAML, if it is no JSON.
///
/// # Errors
/// The first thing that is neither, or beyond a bound.
pub(super) fn documents(text: &str) -> Result<Vec<Rc<Node>>, Refusal> {
    if !text.trim_start().starts_with('{') {
        return yaml::documents(text);
    }
    json::documents(text).or_else(|as_json| {
        let place = |refusal: &Refusal| (refusal.at.line, refusal.at.from);
        // Who got further has more to say of what is wrong.
        yaml::documents(text).map_err(
            |as_yaml| {
                if place(&as_yaml) > place(&as_json) { as_yaml } else { as_json }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_brace_is_json_or_yaml_and_told_of_as_that() {
        assert_eq!(documents(" \n{\"a\": \"\\ud83d\\ude80\"}{}").unwrap().len(), 2);
        assert_eq!(documents("{a: &x [b], c: *x}\n---\nd: e\n").unwrap().len(), 2);
        let line_of = |text| documents(text).unwrap_err().at.line;
        assert_eq!(line_of("{\"a\": 1}\n{\"b\": 2}\n{\"c\" 3}\n"), 3);
        assert_eq!(line_of("{a: 1,\nb: ]}\n"), 2);
    }
}
