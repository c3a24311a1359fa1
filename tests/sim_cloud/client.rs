//! A client as small as can be: one connection a request, signed with the same keys, nothing retried.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_net::client::{Client, ClientHandle as _};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::udp::UdpClientStream;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use hmac::{Hmac, KeyInit as _, Mac as _};
use pointsman::clock;
use pointsman::sim::{Setup, SimulatedCloud};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longer than anything here takes; what is not there by then never comes.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a peer must stay silent to count as silent.
const SILENCE: Duration = Duration::from_millis(300);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Came {
    Answer(Answer),
    /// The connection closed without an answer.
    Closed,
    /// The connection stays open and nothing comes.
    Nothing,
    /// No connection.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

impl Came {
    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            Self::Closed | Self::Nothing | Self::Refused => panic!("no answer: {self:?}"),
        }
    }
}

/// A cloud that settles and notices fast, with nothing left to chance.
pub(crate) fn quick() -> Setup {
    Setup { settle: Duration::from_millis(50), notice: Duration::ZERO, ..Setup::two_regions() }
}

pub(crate) async fn start() -> SimulatedCloud {
    SimulatedCloud::start(quick()).await.unwrap()
}

/// A signed request to a cloud's API.
pub(crate) async fn call(cloud: &SimulatedCloud, method: &str, target: &str, body: Option<&Value>) -> Came {
    let setup = cloud.setup();
    let (key, secret) = (setup.access_key.clone(), setup.secret_key.expose().to_owned());
    call_with(cloud, &key, &secret, (method, target), body).await
}

pub(crate) async fn get(cloud: &SimulatedCloud, target: &str) -> Came {
    call(cloud, "GET", target, None).await
}

pub(crate) async fn call_with(
    cloud: &SimulatedCloud,
    access_key: &str,
    secret_key: &str,
    (method, target): (&str, &str),
    body: Option<&Value>,
) -> Came {
    let host = cloud.endpoint().trim_start_matches("http://").to_owned();
    let body = body.map(Value::to_string).unwrap_or_default();
    let now = i64::try_from(clock::wall_time().as_secs()).unwrap();
    let date = jiff::Timestamp::from_second(now).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.sort_unstable();
    let canonical = format!(
        "{method}\n{}/\n{}\nhost:{host}\nx-sdk-date:{date}\n\nhost;x-sdk-date\n{}",
        path.trim_end_matches('/'),
        pairs.join("&"),
        hex(&Sha256::digest(&body))
    );
    let to_sign = format!("SDK-HMAC-SHA256\n{date}\n{}", hex(&Sha256::digest(canonical)));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes()).unwrap();
    mac.update(to_sign.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    let headers = format!(
        "X-Sdk-Date: {date}\r\nContent-Type: application/json\r\n\
         Authorization: SDK-HMAC-SHA256 Access={access_key}, SignedHeaders=host;x-sdk-date, Signature={signature}\r\n"
    );
    exchange(host.parse().unwrap(), method, target, &headers, &body, DEADLINE).await
}

/// An unsigned request to a cloud's API.
pub(crate) async fn unsigned(
    cloud: &SimulatedCloud,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> Came {
    let address = cloud.endpoint().trim_start_matches("http://").parse().unwrap();
    exchange(address, method, target, headers, body, DEADLINE).await
}

/// What a region's address answers.
pub(crate) async fn look(cloud: &SimulatedCloud, address: Ipv4Addr) -> Came {
    look_for(cloud, address, DEADLINE).await
}

/// Whether a region's address takes the connection and says nothing.
pub(crate) async fn is_silent(cloud: &SimulatedCloud, address: Ipv4Addr) -> bool {
    matches!(look_for(cloud, address, SILENCE).await, Came::Nothing)
}

async fn look_for(cloud: &SimulatedCloud, address: Ipv4Addr, patience: Duration) -> Came {
    let port = cloud.setup().regions[0].listener_port;
    exchange(SocketAddr::from((address, port)), "GET", "/", "", "", patience).await
}

async fn exchange(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
    patience: Duration,
) -> Came {
    let Ok(mut stream) = TcpStream::connect(to).await else { return Came::Refused };
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {to}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    match timeout(patience, stream.read_to_end(&mut bytes)).await {
        Err(_) => Came::Nothing,
        Ok(_) if bytes.is_empty() => Came::Closed,
        Ok(_) => Came::Answer(parse(&bytes)),
    }
}

/// Asks once more on a connection that stays open.
pub(crate) async fn ask_again(stream: &mut TcpStream) -> Answer {
    timeout(DEADLINE, ask(stream)).await.unwrap().unwrap()
}

/// Asks once more, in vain.
pub(crate) async fn ask_in_vain(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, ask(stream)).await.ok().flatten().is_none()
}

/// Waits until the other side closes the connection.
pub(crate) async fn until_closed(stream: &mut TcpStream) {
    let read = timeout(DEADLINE, stream.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

async fn ask(stream: &mut TcpStream) -> Option<Answer> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: demo.localdev.me\r\n\r\n").await.ok()?;
    let mut bytes = vec![0; 4096];
    let length = stream.read(&mut bytes).await.ok().filter(|length| *length > 0)?;
    Some(parse(&bytes[..length]))
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    assert_eq!(answer.header("Content-Length"), Some(body.len().to_string().as_str()));
    answer
}

/// Asks the served zone: the code, and addresses with the TTL of each.
pub(crate) async fn dig(cloud: &SimulatedCloud, name: &str) -> (ResponseCode, Vec<(String, u32)>) {
    let stream = UdpClientStream::builder(cloud.dns_address(), TokioRuntimeProvider::new()).build();
    let (mut client, exchange) = Client::<TokioRuntimeProvider>::from_sender(stream);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(exchange);
    let answer = client.query(Name::from_ascii(name).unwrap(), DNSClass::IN, RecordType::A).await.unwrap();
    let mut addresses: Vec<(String, u32)> = Vec::new();
    for record in &answer.answers {
        if let RData::A(address) = &record.data {
            addresses.push((address.to_string(), record.ttl));
        }
    }
    addresses.sort();
    (answer.metadata.response_code, addresses)
}

/// Looks until it holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let patience = async {
        while !holds().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, patience).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
