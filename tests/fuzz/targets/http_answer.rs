//! What a look makes of the bytes that an endpoint answers.
//!
//! The first line of the input says how it is asked: `HEAD`, `keep` (the connection is kept for a second look), `body` (one
//! is expected), `cut=N` (the answer comes in two pieces). Then the answer, and after a line `====` the second one.
//!
//! How the bytes are cut does not matter; a kept connection is as good as a fresh one; and only what says 200 passes.

use std::sync::Arc;

use pointsman::clock::instant_now;
use pointsman::model::{HttpCheck, Outcome};
use pointsman::probe::{HttpLooker, Look, Trace};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::loopback::{self, DEADLINE, in_time};
use super::script::split;
use super::sentence;

/// As much is read of a body; of a head it is more.
const READ_MOST: usize = 4_096;

/// The answers to requests, in order, each in pieces.
type Answers = Vec<Vec<Vec<u8>>>;

pub(super) fn run(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let how = String::from_utf8_lossy(&input[..line]).into_owned();
    let answers = split(input.get(line + 1..).unwrap_or_default(), b"\n====\n");
    let (first, second) = (answers[0], answers.get(1).copied().unwrap_or(answers[0]));
    let says = |word: &str| how.split(' ').any(|said| said == word);
    let cut = how
        .split("cut=")
        .nth(1)
        .and_then(|n| n.split(' ').next()?.parse::<usize>().ok())
        .unwrap_or(first.len() / 2);

    let (whole, pieces, fresh) = loopback::with(async |listener| {
        let check = HttpCheck {
            method: if says("HEAD") { "HEAD" } else { "GET" }.to_owned(),
            keep_alive: says("keep"),
            expect_body: says("body").then(|| "ok".to_owned()),
            ..loopback::check(listener)
        };
        let whole = looks(listener, &check, vec![vec![first.to_vec()]], 1).await;
        let (a, b) = first.split_at(cut.min(first.len()));
        let pieces =
            looks(listener, &check, vec![vec![a.to_vec(), b.to_vec()], vec![second.to_vec()]], 2).await;
        let fresh = looks(listener, &check, vec![vec![second.to_vec()]], 1).await;
        (whole, pieces, fresh)
    });
    for look in whole.iter().chain(&pieces).chain(&fresh) {
        sentence::assert_good(&look.saw);
    }
    if whole.iter().chain(&pieces).chain(&fresh).all(in_time) {
        assert_eq!(pieces[0], whole[0], "cut at {cut}");
        assert_eq!(pieces[1], fresh[0], "after another answer");
        assert_is_justified(&whole[0], first, says("body"));
        assert_is_justified(&fresh[0], second, says("body"));
    }
}

fn assert_is_justified(look: &Look, answer: &[u8], body: bool) {
    match look.outcome {
        Outcome::Pass => {
            let says = |text: &[u8]| sentence::contains(answer, text);
            assert!(says_200(answer), "passes: {}", look.saw);
            let chunked = answer.to_ascii_lowercase();
            assert!(!body || says(b"ok") || sentence::contains(&chunked, b"chunked"), "passes: {}", look.saw);
        }
        // The endpoint was reached, and all that it said is known.
        Outcome::Unknown(reason) => {
            assert!(answer.len() > READ_MOST, "{reason:?} of an endpoint that answered: {}", look.saw);
        }
        Outcome::Fail(_) => {}
    }
}

/// Whether there is the beginning of a status line with 200: browsers take any version, and any number of blanks.
fn says_200(answer: &[u8]) -> bool {
    let before =
        |text: &[u8], fits: fn(u8) -> bool| text.iter().rev().take_while(|byte| fits(**byte)).count();
    (0..answer.len()).filter(|at| answer[*at..].starts_with(b"200")).any(|at| {
        let blanks = before(&answer[..at], |byte| byte == b' ' || byte == b'\t');
        let version = before(&answer[..at - blanks], |byte| byte.is_ascii_digit() || byte == b'.');
        let name = answer[..at - blanks - version].to_ascii_lowercase();
        blanks > 0 && version > 0 && name.ends_with(b"http/")
    })
}

/// So many looks one after the other, by one looker.
async fn looks(listener: &TcpListener, check: &HttpCheck, answers: Answers, count: usize) -> Vec<Look> {
    let mut looker = HttpLooker::new(Arc::new(check.clone()), None, loopback::here()).unwrap();
    let looking = async {
        let mut looks = Vec::new();
        for _ in 0..count {
            looks.push(looker.look(instant_now() + DEADLINE, &mut Trace::off()).await);
            for _ in 0..20 {
                tokio::task::yield_now().await; // what is still on its way comes
            }
        }
        looks
    };
    tokio::select! {
        looks = looking => looks,
        () = serve(listener, answers, check.keep_alive) => unreachable!("it serves for ever"),
    }
}

async fn serve(listener: &TcpListener, answers: Answers, keep: bool) {
    let answers = Arc::new(Mutex::new(answers));
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, Arc::clone(&answers), keep));
        }
    }
}

async fn answer(mut stream: TcpStream, answers: Arc<Mutex<Answers>>, keep: bool) {
    while loopback::request(&mut stream).await {
        let pieces = {
            let mut answers = answers.lock().await;
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        };
        loopback::send(&mut stream, &pieces).await;
        if !keep {
            return;
        }
    }
}
