//! The machine's resolver is dead, and the cloud's API has a name.
//!
//! Regions are looked at by address; only the API's endpoints are names. Where the machine allows mounts, the daemon
//! has a hosts file and a resolver of its own: the name is known or not by what the file says, and whoever asks the
//! resolver gets no answer. Elsewhere the name is one that no resolver is ever asked for, and is never known.

use std::fs;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use pointsman::sim::EndpointState;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::dice::Dice;
use crate::stage::{Footprint, Launch, MORTAL, REGIONS, Stage, Way, own_mounts};

/// The API's name, under one that loopback addresses of load balancers are believed from.
const NAME: &str = "api.cloud.localhost";
/// Longer than a label can be, so that it is refused before anybody is asked.
const NO_NAME: &str = "a-label-that-is-longer-than-the-sixty-three-bytes-that-a-label-may-have.localhost";
/// Where the resolver is that swallows questions. A loopback address of its own, since its port is everybody's.
const SWALLOWS: &str = "127.53.53.53";
/// So long the name is unknown, which is some times longer than all deadlines.
const DEAD_FOR: Duration = Duration::from_secs(8);

/// Whoever began to connect while the name was known has given up by then; a connection that came about later would
/// be kept, and the name would not be asked for.
const GIVEN_UP: Duration = Duration::from_millis(3_500);

/// A stage whose API has a name, and whether that name can be made known.
pub(crate) struct Named {
    pub(crate) stage: Stage,
    /// Answers nobody; none where the port is somebody else's, and then questions are refused, which is as good.
    _resolver: Option<UdpSocket>,
    knows: bool,
}

impl Named {
    /// Sets it; nobody watches yet.
    pub(crate) fn set(arguments: &[&str]) -> Self {
        let (acceptor, authority) = certified();
        let mounts = own_mounts();
        let name = if mounts.is_some() { NAME } else { NO_NAME };
        let mut stage = Stage::set(arguments, Some(acceptor), &format!("https://{name}:{{port}}"));
        let file = |name: &str, text: &str| {
            fs::write(stage.path(name), text).unwrap();
            stage.path(name).display().to_string()
        };
        let trusted = ("SSL_CERT_FILE".to_owned(), file("authority.pem", &authority));
        let hosts = file("hosts", "");
        let resolver = file("resolv.conf", &format!("nameserver {SWALLOWS}\n"));
        // Some machines have a resolver of their own for such names.
        let order = file("nsswitch.conf", "hosts: files dns\n");
        let first = format!(
            "mount --bind {hosts} /etc/hosts && mount --bind {resolver} /etc/resolv.conf && \
             mount --bind {order} /etc/nsswitch.conf"
        );
        let (knows, within) = (mounts.is_some(), mounts.unwrap_or_default());
        stage.launch = Launch { first: knows.then_some(first), within, environment: vec![trusted] };
        Self { stage, _resolver: UdpSocket::bind((SWALLOWS, 53)).ok(), knows }
    }

    /// Makes the name known, or not any more; whoever has a connection by it loses that.
    async fn know(&self, known: bool) {
        let hosts = if known { format!("127.0.0.1 {NAME}\n") } else { String::new() };
        fs::write(self.stage.path("hosts"), hosts).unwrap();
        self.stage.gate.set(Way::Shut);
        sleep(GIVEN_UP).await;
        self.stage.gate.set(Way::Open);
    }

    /// The resolver is dead when the daemon starts, comes to life, and dies again while a region does.
    pub(crate) async fn dies(&mut self, dice: &mut Dice) {
        self.stage.start().await;
        let blind = |sight: &crate::stage::Sight| {
            REGIONS.iter().all(|(name, ..)| sight.check(name, "elb")["signal"] == "unknown")
        };
        let unknown = |sight: &crate::stage::Sight| {
            REGIONS.iter().all(|(name, ..)| sight.liveness(name) == "unknown") && blind(sight)
        };
        sleep(DEAD_FOR / 2).await;
        self.stage.until("nothing is known of any region", unknown).await;
        if !self.knows {
            println!(
                "nothing can be mounted here: the name stays unknown, and what comes after that is not played"
            );
            return;
        }
        self.know(true).await;
        self.stage.settle().await;

        let before = Footprint::of(&self.stage.process_id()).unwrap();
        self.know(false).await;
        self.stage.until("it is blind", blind).await;
        let region = dice.pick(&MORTAL);
        self.stage.turn(region, EndpointState::Status { status: 503 }).await;
        self.stage.until("it is seen to be down", |sight| sight.liveness(region) == "down").await;
        sleep(DEAD_FOR).await;
        let sight = self.stage.sight().await;
        for (name, ..) in REGIONS.iter().filter(|(name, ..)| *name != region) {
            assert_eq!(sight.liveness(name), "up", "{sight:#?}");
        }
        let now = Footprint::of(&self.stage.process_id()).unwrap();
        assert!(now.threads < before.threads + 10, "questions pile up: {before:?}, {now:?}");
        self.know(true).await;
        self.stage.until_without(region).await;
        self.stage.settle().await;
    }
}

/// What speaks TLS under the API's name, and the authority that vouches for it.
fn certified() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let own_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()]).unwrap().signed_by(&own_key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(own_key.serialize_der()).unwrap())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}
