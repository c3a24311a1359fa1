use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The operation of a dynamic update, in the upper bits of a request's third byte.
const UPDATE: u8 = 5;

/// What becomes of a request and its answer on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing: both pass.
    None,
    /// The request arrives and takes effect; no answer ever comes.
    Silence,
    /// The request arrives and takes effect; then the connection is closed.
    Closed,
    /// The same for updates alone; questions are answered.
    UpdatesClosed,
    /// The connection is closed as soon as the request has come, and it goes nowhere.
    ClosedEarly,
    /// Bytes that are no message.
    Garbage,
    /// The last half is missing.
    Cut,
    /// The answer says that something is missing.
    MarkedAsCut,
    /// The answer to another request.
    ForeignId,
    /// The signature was left out.
    Unsigned,
    /// One bit of what is signed is another.
    Altered,
    /// The request itself, sent back.
    Echo,
}

/// Stands between a provider and a server, and makes trouble. Gone when it is dropped.
pub(crate) struct Between {
    pub(crate) address: SocketAddr,
    trouble: Arc<Mutex<Trouble>>,
    _tasks: JoinSet<()>,
}

impl Between {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let trouble = Arc::new(Mutex::new(Trouble::None));
        let mut tasks = JoinSet::new();
        let made = Arc::clone(&trouble);
        tasks.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let trouble = *made.lock().unwrap();
                calls.spawn(async move {
                    // Whoever closes first ends the call.
                    pass(client, server, trouble).await.ok();
                });
            }
        });
        Self { address, trouble, _tasks: tasks }
    }

    /// From the next connection on.
    pub(crate) fn makes(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, trouble: Trouble) -> std::io::Result<()> {
    let request = receive(&mut client).await?;
    if trouble == Trouble::ClosedEarly {
        return Ok(());
    }
    let mut server = TcpStream::connect(server).await?;
    send(&mut server, &request).await?;
    let mut answer = receive(&mut server).await?;
    let middle = answer.len() / 2;
    match trouble {
        Trouble::None => {}
        Trouble::Silence => std::future::pending().await,
        Trouble::UpdatesClosed if request[2] >> 3 != UPDATE => {}
        Trouble::Closed | Trouble::UpdatesClosed | Trouble::ClosedEarly => return Ok(()),
        Trouble::Garbage => answer = b"this is no message of DNS".to_vec(),
        Trouble::Cut => answer.truncate(middle),
        Trouble::MarkedAsCut => answer[2] |= 0x02,
        Trouble::ForeignId => answer[1] ^= 1,
        Trouble::Unsigned => {
            let mut message = Message::from_vec(&answer).unwrap();
            message.take_signature();
            answer = message.to_vec().unwrap();
        }
        Trouble::Altered => answer[2] ^= 0x04, // the bit for authority
        Trouble::Echo => answer = request,
    }
    send(&mut client, &answer).await
}

pub(super) async fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

pub(super) async fn send(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(&[&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()).await
}
