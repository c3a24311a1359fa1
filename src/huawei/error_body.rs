//! Reads the bodies of errors, which come in many shapes.

use serde_json::{Map, Value};

use crate::model::quoted;

/// What a body says of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The service's code as text, whatever JSON type it had.
    pub(super) code: Option<String>,
    /// What it says to people; empty when it says nothing.
    pub(super) message: String,
    /// The request's id, where the body carries it.
    pub(super) request_id: Option<String>,
    /// It is the service's own JSON error, not a gateway's page.
    pub(super) from_service: bool,
}

/// How the three families of services spell code and message.
const SPELLINGS: [(&str, &str); 3] =
    [("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")];

/// As many characters of a message as are kept: enough for every sentence, short enough for a log line.
const MESSAGE_MAX: usize = 400;

/// As many characters of a code or id as are kept: both are far shorter.
const ID_MAX: usize = 100;

/// Blots out of a text what must not be shown.
type Redact<'r> = &'r dyn Fn(String) -> String;

impl ErrorBody {
    /// What is shown of it goes through `redact` before it is cut, or half a secret could stay.
    pub(super) fn read(body: &[u8], redact: Redact<'_>) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(object)) => Self::from_object(&object, redact),
            Ok(Value::String(text)) => Self::from_text(text, redact),
            Ok(_) | Err(_) => Self::from_text(String::from_utf8_lossy(body).into_owned(), redact),
        }
    }

    fn from_object(object: &Map<String, Value>, redact: Redact<'_>) -> Self {
        let shown = |text, most| quoted(&redact(text), most);
        let request_id = object.get("request_id").and_then(text_of).map(|id| shown(id, ID_MAX));
        let nested = object.values().filter_map(Value::as_object);
        for candidate in std::iter::once(object).chain(nested) {
            for (code, message) in SPELLINGS {
                let code = candidate.get(code).and_then(text_of);
                let message = candidate.get(message).and_then(text_of);
                if code.is_some() || message.is_some() {
                    let code = code.map(|code| shown(code, ID_MAX));
                    let message = shown(message.unwrap_or_default(), MESSAGE_MAX);
                    return Self { code, message, request_id, from_service: true };
                }
            }
        }
        Self { request_id, ..Self::default() }
    }

    /// A gateway's page or a bare text. Of HTML the title says it all.
    fn from_text(text: String, redact: Redact<'_>) -> Self {
        let text = redact(text);
        let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        Self { message: quoted(title.map_or(&text, |(title, _)| title), MESSAGE_MAX), ..Self::default() }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Option<String>, String, bool) {
        let read = ErrorBody::read(body.as_bytes(), &|text| text);
        (read.code, read.message, read.from_service)
    }

    #[test]
    fn every_shape_yields_code_and_message() {
        for body in [
            r#"{"error_code": "X.1", "error_msg": "no"}"#,
            r#"{"errorCode": "X.1", "errorMsg": "no"}"#,
            r#"{"code": "X.1", "message": "no"}"#,
            r#"{"error": {"code": "X.1", "message": "no", "title": "No"}}"#,
            r#"{"fault": {"errorCode": "X.1", "errorMsg": "no"}, "request_id": "r"}"#,
        ] {
            assert_eq!(read(body), (Some("X.1".to_owned()), "no".to_owned(), true), "{body}");
        }
    }

    #[test]
    fn codes_may_be_numbers() {
        assert_eq!(read(r#"{"error": {"code": 401, "message": "no"}}"#).0.as_deref(), Some("401"));
    }

    #[test]
    fn what_is_not_an_error_object_has_no_code_and_is_not_the_services_word() {
        assert_eq!(read(""), (None, String::new(), false));
        assert_eq!(read(r#""internal error""#), (None, "internal error".to_owned(), false));
        assert_eq!(
            read("<html><head><title>502 Bad\n Gateway</title>"),
            (None, "502 Bad Gateway".to_owned(), false)
        );
        assert!(!read(r#"{"unrelated": 1}"#).2);
    }

    #[test]
    fn all_that_is_told_is_short_and_on_one_line() {
        assert_eq!(read(&"é".repeat(1000)).1.chars().count(), MESSAGE_MAX + 1);
        let long = "\\u001b[2J\\n".repeat(1000);
        let body = format!(r#"{{"request_id": "{long}", "code": "{long}", "message": "{long}"}}"#);
        let told = ErrorBody::read(body.as_bytes(), &|text| text);
        assert_eq!(told.code.as_ref().unwrap().chars().count(), ID_MAX + 1);
        assert_eq!(told.request_id, told.code);
        assert_eq!(told.message.chars().count(), MESSAGE_MAX + 1);
        assert!(![told.message, told.code.unwrap()].concat().contains(char::is_control));
    }

    #[test]
    fn what_must_not_be_shown_is_blotted_out_before_a_text_is_cut() {
        let redact = |text: String| text.replace("MARKED", "…");
        for length in MESSAGE_MAX - 8..MESSAGE_MAX {
            let body = "x".repeat(length) + "MARKED";
            for body in [format!(r#"{{"code": "{body}", "message": "{body}"}}"#), body] {
                let told = format!("{:?}", ErrorBody::read(body.as_bytes(), &redact));
                assert!(!told.contains('M'), "{told}");
            }
        }
    }
}
