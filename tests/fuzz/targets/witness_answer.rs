//! What a resolver answers, through the witness's own reading.
//!
//! Whatever the bytes are: at least one address of the type that was asked for, or words that are short and stay on a line.

use std::net::IpAddr;

use pointsman::dns::witness::read_answer;
use pointsman::model::{RecordType, Statement};

use super::sentence::assert_good;

pub(super) fn run(input: &[u8]) {
    for record_type in [RecordType::A, RecordType::Aaaa] {
        let said = read_answer(input, record_type);
        assert_good(&said.to_string());
        match said {
            Statement::Addresses { values, .. } => {
                let fits = |address: &IpAddr| record_type.holds(*address);
                assert!(!values.is_empty() && values.iter().all(fits), "{values:?}");
            }
            Statement::Nothing(what) => assert!(!what.is_empty() && what.chars().count() < 300, "{what}"),
        }
    }
}
