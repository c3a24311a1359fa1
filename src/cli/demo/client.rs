//! A client of the demo's service, as they all are: it asks the zone for the name, picks an address, and
//! expects a 200. It asks anew each time, so what it suffers is the failover itself, without a cached TTL.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use hickory_net::client::{Client as DnsClient, ClientHandle as _};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::udp::UdpClientStream;
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::model::Moment;

/// How often it asks.
const EVERY: Duration = Duration::from_millis(100);
/// How often the zone alone is asked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it waits for an answer of the zone, and then of the service.
const PATIENCE: Duration = Duration::from_millis(500);

/// One request through the name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) began: Moment,
    pub(super) ended: Moment,
    pub(super) served: bool,
}

/// Where and what it asks.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) zone: SocketAddr,
    pub(super) name: String,
    pub(super) port: u16,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(zone: SocketAddr, name: &str, port: u16) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .tls_certs_only([])
            .pool_max_idle_per_host(0)
            .build()
            .context("cannot set up the demo's client")?;
        Ok(Self { zone, name: name.to_owned(), port, http })
    }

    /// What the zone answers for the name now.
    pub(super) async fn resolve(&self) -> anyhow::Result<Vec<IpAddr>> {
        let name = Name::from_str(&self.name)?;
        let udp = UdpClientStream::builder(self.zone, TokioRuntimeProvider::new())
            .with_timeout(Some(PATIENCE))
            .with_max_retries(0)
            .build();
        let (mut client, exchange) = DnsClient::<TokioRuntimeProvider>::from_sender(udp);
        // The exchange runs only while this set lives, and ends with it.
        let mut running = JoinSet::new();
        running.spawn(exchange);
        let answer =
            client.query(name, DNSClass::IN, RecordType::A).await.context("the zone did not answer")?;
        let address = |data: &RData| if let RData::A(a) = data { Some(IpAddr::V4(a.0)) } else { None };
        Ok(answer.answers.iter().filter_map(|record| address(&record.data)).collect())
    }

    /// Whether the service answers 200 at that address.
    pub(super) async fn fetch(&self, address: IpAddr) -> bool {
        let url = format!("http://{}/", SocketAddr::new(address, self.port));
        let host = self.name.trim_end_matches('.');
        let answer = self.http.get(url).header(reqwest::header::HOST, host).send().await;
        answer.is_ok_and(|answer| answer.status() == reqwest::StatusCode::OK)
    }

    /// Uses the service until nobody wants its samples any more.
    pub(super) async fn keep_asking(self, clock: Clock, samples: mpsc::Sender<Sample>) {
        let mut beat = tokio::time::interval(EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for turn in 0_usize.. {
            beat.tick().await;
            let began = clock.now();
            let served = match self.resolve().await {
                Ok(addresses) if !addresses.is_empty() => {
                    let pick = addresses.get(turn % addresses.len()).copied();
                    match pick {
                        Some(address) => self.fetch(address).await,
                        None => false,
                    }
                }
                Ok(_) | Err(_) => false,
            };
            let ended = clock.now();
            if samples.send(Sample { began, ended, served }).await.is_err() {
                return;
            }
        }
    }
    /// Tells what the zone answers for the name, sorted, until nobody wants to know any more.
    pub(super) async fn keep_resolving(self, answered: watch::Sender<Vec<IpAddr>>) {
        let mut beat = tokio::time::interval(LOOK_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !answered.is_closed() {
            beat.tick().await;
            // No answer tells nothing.
            if let Ok(mut addresses) = self.resolve().await {
                addresses.sort_unstable();
                answered.send_if_modified(|known| std::mem::replace(known, addresses.clone()) != addresses);
            }
        }
    }
}
