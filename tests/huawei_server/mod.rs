//! A server on loopback that answers as a test tells it to, checks every signature, and remembers what it
//! was asked; and an account that asks it.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::sign::{self, Canonical};
use pointsman::huawei::{Account, Finished};
use pointsman::model::{CloudName, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) const ACCESS_KEY: &str = "TESTACCESSKEY";
/// Marked, so that a search finds it wherever it should not be.
pub(crate) const SECRET_KEY: &str = "MARKEDsecretKEY";
pub(crate) const TOKEN: &str = "MARKEDtokenTOKEN";
pub(crate) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const DOMAIN: &str = "fedcba9876543210fedcba9876543210";
pub(crate) const REGION: &str = "cn-north-4";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Decoded, in the order sent.
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether it is for the metadata service, which knows no signatures.
    fn is_for_metadata(&self) -> bool {
        ["/openstack/", "/meta-data/"].iter().any(|start| self.path.starts_with(start))
    }

    /// Whether the signature is of this request and of the test's keys.
    fn is_signed(&self) -> bool {
        let authorization = self.headers.get("authorization").map_or("", String::as_str);
        let fields = authorization.strip_prefix("SDK-HMAC-SHA256 Access=").unwrap_or_default();
        let Some((access, rest)) = fields.split_once(", SignedHeaders=") else { return false };
        let Some((names, signature)) = rest.split_once(", Signature=") else { return false };
        let headers: Vec<(&str, &str)> =
            names.split(';').map(|name| (name, self.headers.get(name).map_or("", String::as_str))).collect();
        let query: Vec<(&str, &str)> = self.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let hash = sign::payload_hash(self.headers.get("content-type").map(String::as_str), &self.body);
        let canonical = Canonical::of(&self.method, &self.path, &query, &headers, &hash);
        let date = self.headers.get("x-sdk-date").map_or("", String::as_str);
        access == ACCESS_KEY
            && names.split(';').any(|name| name == "host")
            && sign::signature(&Secret::new(SECRET_KEY), &canonical.string_to_sign(date)) == signature
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// A head that promises more than comes before the connection is closed.
    CutShort,
    /// The connection is closed without a word.
    Close,
    /// Nothing, for ever.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Answer { status, headers, body }
            }
            Self::CutShort | Self::Close | Self::Hang => panic!("only an answer has headers"),
        }
    }
}

/// Told the request and how many came before it.
type Script = Box<dyn Fn(&Received, usize) -> Reply + Send + Sync>;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (script, seen): (Arc<Script>, _) = (Arc::new(Box::new(script)), received.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        Self { address, received, _tasks: tasks }
    }

    /// Everything asked so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Received>>>) {
    while let Some(request) = read_request(&mut stream).await {
        let signed = request.is_signed() || request.is_for_metadata();
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let reply = if signed {
            script(&request, before)
        } else {
            Reply::json(401, r#"{"error_code": "TEST.401", "error_msg": "the signature is not right"}"#)
        };
        match reply {
            Reply::Answer { status, headers, body } => {
                let mut head = Vec::new();
                write!(head, "HTTP/1.1 {status} Some Reason\r\nContent-Length: {}\r\n", body.len()).unwrap();
                for (name, value) in headers {
                    write!(head, "{name}: {value}\r\n").unwrap();
                }
                head.extend_from_slice(b"\r\n");
                if stream.write_all(&[head, body].concat()).await.is_err() {
                    return;
                }
            }
            Reply::CutShort => {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"members\": [").await;
                return;
            }
            Reply::Close => return,
            Reply::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    Some(Received { method, path: path.to_owned(), query, headers, body })
}

/// An account of the test's keys, and what it told its observer.
pub(crate) struct Customer {
    pub(crate) account: Account,
    pub(crate) finished: Arc<Mutex<Vec<Finished>>>,
    /// Holds `sk` and `token`.
    pub(crate) keys: tempfile::TempDir,
}

/// Whether the account knows its project without asking.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Projects {
    Configured,
    LookedUp,
}

/// A customer whose every endpoint is at `url`.
pub(crate) fn customer(url: &str, projects: Projects) -> Customer {
    customer_with(url, projects, SECRET_KEY)
}

/// The same with another secret key.
pub(crate) fn customer_with(url: &str, projects: Projects, secret_key: &str) -> Customer {
    let keys = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        use std::os::unix::fs::OpenOptionsExt;
        let path = keys.path().join(name);
        let mut file =
            std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    };
    let endpoint = Some(url.to_owned());
    let settings = Cloud {
        credentials: CredentialsFrom::Keys {
            access_key: ACCESS_KEY.to_owned(),
            secret_key_file: secret("sk", secret_key),
            security_token_file: Some(secret("token", TOKEN)),
        },
        region: REGION.to_owned(),
        project_id: (projects == Projects::Configured).then(|| PROJECT.to_owned()),
        domain_id: Some(DOMAIN.to_owned()),
        endpoints: Endpoints {
            iam: endpoint.clone(),
            elb: endpoint.clone(),
            eip: endpoint.clone(),
            dns: endpoint,
            metadata: None,
        },
    };
    let finished = Arc::new(Mutex::new(Vec::new()));
    let observer = finished.clone();
    let observe = Arc::new(move |one: &Finished| observer.lock().unwrap().push(one.clone()));
    let account = Account::new(CloudName::parse("main").unwrap(), &settings, observe).unwrap();
    Customer { account, finished, keys }
}

/// A deadline this many milliseconds from now.
pub(crate) fn within(ms: u64) -> Instant {
    instant_now() + Duration::from_millis(ms)
}
