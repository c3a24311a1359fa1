//! What a witness answers is told as it is: addresses, or in words why there are none, in time, whatever it sends.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod resolver;

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use pointsman::clock::instant_now;
use pointsman::dns::witness::{ANSWER_WITHIN, ask};
use pointsman::model::{Fqdn, RecordKey, RecordType, Routing, Statement};
use resolver::{Resolver, Script};

fn key() -> RecordKey {
    RecordKey {
        name: Fqdn::parse("demo.localdev.me.").unwrap(),
        record_type: RecordType::A,
        routing: Routing::Only,
    }
}

fn addresses(count: u8) -> Vec<IpAddr> {
    (1..=count).rev().map(|last| [198, 51, 100, last].into()).collect()
}

async fn said(script: Script) -> Statement {
    let resolver = Resolver::start(script).await;
    let began = instant_now();
    let said = ask(resolver.address, &key()).await;
    assert!(began.elapsed() < 2 * ANSWER_WITHIN, "{said:?} took {:?}", began.elapsed());
    said
}

fn in_words(said: &Statement) -> String {
    assert!(matches!(said, Statement::Nothing(_)), "{said:?}");
    said.to_string()
}

#[tokio::test]
async fn an_answer_is_its_addresses_in_whatever_order_and_the_ttl_as_sent() {
    let values = addresses(3).into_iter().collect();
    assert_eq!(said(Script::Answer(addresses(3))).await, Statement::Addresses { values, ttl_s: 17 });
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_over_tcp() {
    let values = addresses(200).into_iter().collect();
    assert_eq!(said(Script::Truncated(addresses(200))).await, Statement::Addresses { values, ttl_s: 17 });
}

#[tokio::test]
async fn what_is_no_address_is_told_in_words() {
    for (script, words) in [
        (Script::Code(ResponseCode::NXDomain), "answers NXDOMAIN: no such name"),
        (Script::Code(ResponseCode::ServFail), "answers SERVFAIL: it cannot find out"),
        (Script::Code(ResponseCode::Refused), "answers REFUSED: it does not serve us"),
        (Script::Code(ResponseCode::NotImp), "answers with code 4"),
        (Script::Answer(Vec::new()), "answers that there is no A"),
    ] {
        assert_eq!(in_words(&said(script).await), words);
    }
}

#[tokio::test]
async fn silence_and_an_answer_to_somebody_elses_question_are_no_answer() {
    let scripts = [Script::Silence, Script::WrongId(addresses(2)), Script::TruncatedAndSilent];
    for said in futures_util::future::join_all(scripts.map(said)).await {
        assert_eq!(in_words(&said), "does not answer within 2 s");
    }
}

#[tokio::test]
async fn garbage_is_no_answer_and_says_so_on_one_line() {
    let words = in_words(&said(Script::Garbage).await);
    assert!(words.starts_with("cannot be asked: ") || words.starts_with("does not answer"), "{words}");
    assert!(words.chars().count() < 250 && !words.contains('\n'), "{words}");
}

#[tokio::test]
async fn a_witness_of_ipv6_is_asked_for_ipv6_and_says_that_there_is_none() {
    let resolver = Resolver::start(Script::Answer(addresses(1))).await;
    let key = RecordKey { record_type: RecordType::Aaaa, ..key() };
    assert_eq!(in_words(&ask(resolver.address, &key).await), "answers that there is no AAAA");
}
