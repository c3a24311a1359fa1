//! Bytes that somebody sends to the read-only side: hyper parses them; paths and methods are ours.
//!
//! Whatever comes, what is answered is HTTP, and nothing but GET and HEAD is answered with 200 (READ-ONLY-OUTSIDE).

#[path = "../../admin_samples/mod.rs"]
mod admin_samples;

use std::time::Duration;

use pointsman::admin::{Metrics, serve, status_channel};
use pointsman::model::Liveness;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Every status that there is a reason for.
const STATUSES: [&str; 8] = ["200", "400", "404", "405", "414", "431", "501", "503"];

pub(super) fn run(input: &[u8]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let answer = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (handle, mut questions) = status_channel();
        let (metrics, _recorder) = Metrics::new("0.0.0").unwrap();
        let core = async {
            loop {
                questions.asked().await.answer(admin_samples::status(Liveness::Up));
            }
        };
        tokio::select! {
            answer = ask(address, input) => answer,
            () = serve(&listener, handle, metrics, CancellationToken::new()) => unreachable!("nobody stops it"),
            () = core => unreachable!("it answers for ever"),
        }
    });
    if answer.is_empty() {
        return; // closed without a word
    }
    let text = String::from_utf8(answer).expect("text");
    let code =
        text.strip_prefix("HTTP/1.1 ").or(text.strip_prefix("HTTP/1.0 ")).and_then(|rest| rest.get(..3));
    let code = code.unwrap_or_else(|| panic!("no HTTP: {text}"));
    assert!(STATUSES.contains(&code), "{code}");
    let reads =
        input.trim_ascii_start().starts_with(b"GET ") || input.trim_ascii_start().starts_with(b"HEAD ");
    assert!(reads || code != "200", "not GET or HEAD, and yet: {text}");
    assert!(!reads || code != "405", "{text}");
    assert_eq!(
        text.matches("HTTP/1.1 ").count() + text.matches("HTTP/1.0 ").count(),
        1,
        "one request a connection: {text}"
    );
}

async fn ask(address: std::net::SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(input).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    read.expect("a connection ends").ok();
    answer
}
