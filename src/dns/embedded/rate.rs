use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;

use tokio::time::Instant;

/// So many answers a second to one network of clients. A resolver asks for a name once a TTL: with a hundred names of 30 s
/// that is 4 a second, so a /24 has room for 25 such resolvers. At 1,232 bytes it makes us send 123 kB a second at most to somebody
/// whose address was forged.
const ANSWERS_PER_SECOND: u32 = 100;
/// As many may come at once, after a pause.
const BURST: u32 = 200;
/// The bound of the table: 16,384 networks, 16 bytes each. Networks that fall together share.
const BUCKETS: usize = 16_384;
/// A token of a bucket is counted in thousandths, so that milliseconds fill it.
const TOKEN: u32 = 1_000;

/// Bounds how much is sent to one network of clients over UDP, where the sender's address may be forged.
#[derive(Debug)]
pub(super) struct Rate {
    started: Instant,
    /// Keyed by chance, so that nobody can choose an address which shares with another's.
    hash: RandomState,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Debug)]
struct Bucket {
    thousandths: u32,
    at_ms: u64,
    over: u32,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is sent.
    Whole,
    /// It says no more than: come by TCP, where an address cannot be forged.
    Cut,
    /// It is not sent.
    Not,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        let full = Bucket { thousandths: BURST * TOKEN, at_ms: 0, over: 0 };
        Self { started: now, hash: RandomState::new(), buckets: vec![full; BUCKETS] }
    }

    /// What becomes of an answer to this client now. Above the rate every second one is cut, so that who is really there gets
    /// his answer by TCP.
    pub(super) fn judge(&mut self, client: IpAddr, now: Instant) -> Sent {
        let place = usize::try_from(self.hash.hash_one(network(client))).unwrap_or_default() % BUCKETS;
        let now_ms = now.saturating_duration_since(self.started).as_millis();
        let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let Some(bucket) = self.buckets.get_mut(place) else { return Sent::Not };
        let passed = u32::try_from(now_ms.saturating_sub(bucket.at_ms)).unwrap_or(u32::MAX);
        let filled = bucket.thousandths.saturating_add(passed.saturating_mul(ANSWERS_PER_SECOND));
        bucket.at_ms = now_ms;
        bucket.thousandths = filled.min(BURST * TOKEN);
        if let Some(rest) = bucket.thousandths.checked_sub(TOKEN) {
            bucket.thousandths = rest;
            return Sent::Whole;
        }
        bucket.over = bucket.over.wrapping_add(1);
        if bucket.over.is_multiple_of(2) { Sent::Cut } else { Sent::Not }
    }
}

/// The network that a client's address is counted under: a /24 of IPv4, a /56 of IPv6, which one customer has at most.
pub(super) fn network(client: IpAddr) -> [u8; 8] {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [4, a, b, c, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => {
            let mut network = [6; 8];
            network.iter_mut().skip(1).zip(address.octets()).for_each(|(there, octet)| *there = octet);
            network
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn start() -> (Rate, Instant) {
        let now = crate::clock::instant_now();
        (Rate::new(now), now)
    }

    #[test]
    fn above_the_rate_every_second_answer_says_come_by_tcp_and_the_others_are_not_sent() {
        let (mut rate, now) = start();
        let client = IpAddr::from([192, 0, 2, 1]);
        assert!((0..BURST).all(|_| rate.judge(client, now) == Sent::Whole));
        assert_eq!([(); 4].map(|()| rate.judge(client, now)), [Sent::Not, Sent::Cut, Sent::Not, Sent::Cut]);
        let later = now + Duration::from_millis(50);
        assert!((0..5).all(|_| rate.judge(client, later) == Sent::Whole));
        assert_ne!(rate.judge(client, later), Sent::Whole);
    }

    #[test]
    fn a_network_is_bounded_as_one_and_another_is_not_touched() {
        let (mut rate, now) = start();
        for last in 0..=255 {
            rate.judge(IpAddr::from([192, 0, 2, last]), now);
        }
        assert_ne!(rate.judge(IpAddr::from([192, 0, 2, 9]), now), Sent::Whole);
        assert_eq!(rate.judge(IpAddr::from([198, 51, 100, 9]), now), Sent::Whole);
        let mapped: IpAddr = "::ffff:192.0.2.9".parse().unwrap();
        assert_ne!(rate.judge(mapped, now), Sent::Whole, "the same client over a socket of both families");
        let (one, same, other) = ("2001:db8:0:12ff::1", "2001:db8:0:1200:1::", "2001:db8:0:1300::1");
        let [one, same, other] = [one, same, other].map(|text| network(text.parse().unwrap()));
        assert!(one == same && one != other);
    }
}
