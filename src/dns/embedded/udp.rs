use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::answer::{REQUEST_MAX, Transport, cut};
use super::rate::{Rate, Sent};
use super::zone::Zone;
use crate::clock::instant_now;

/// How long is waited after the socket failed: it says nothing of the next datagram, and must not make this loop spin.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Answers what comes over UDP, one request after the other: so a flood queues in the kernel and is dropped there, and takes one
/// thread's turns at most.
pub(super) async fn serve(zone: &Zone, socket: &UdpSocket) {
    let mut rate = Rate::new(instant_now());
    let mut room = vec![0; REQUEST_MAX];
    loop {
        let (length, client) = match socket.recv_from(&mut room).await {
            Ok(came) => came,
            Err(error) => {
                tracing::debug!(%error, "failed to receive a question");
                sleep(AFTER_ERROR).await;
                continue;
            }
        };
        if client.port() == 0 {
            continue; // Nobody can be reached there.
        }
        let request = room.get(..length).unwrap_or_default();
        for answer in zone.answers(request, Transport::Udp) {
            let answer = match rate.judge(client.ip(), instant_now()) {
                Sent::Whole => Some(answer),
                Sent::Cut => cut(&answer),
                Sent::Not => None,
            };
            if let Some(answer) = answer {
                // What the kernel does not take is lost, as any datagram may be; the client asks again.
                let _ = socket.try_send_to(&answer, client);
            }
        }
    }
}
