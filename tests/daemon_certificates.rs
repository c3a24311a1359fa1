//! Certificates as the daemon judges them: by the files that checks name, read again at each reload, and by this machine's clock
//! unless the cloud says that it is wrong.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::path::PathBuf;
use std::sync::Arc;

use daemon_world::{Now, Reloaded, Scene, World};
use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "secure.localdev.me";

/// An authority, by its certificate in PEM, and a way to be believed by it.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}

/// A server that the authority vouches for; returns its port.
async fn serve(
    issuer: &Issuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
    tasks: &mut JoinSet<()>,
) -> u16 {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    change(&mut params);
    let leaf = params.signed_by(&key, issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1_024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

/// The daemon with one check over TLS, not yet started, and the file of the authority that it trusts.
async fn world(authority: &str, port: u16) -> (World, PathBuf) {
    let world = World::set(Scene { regions: Some(String::new()), ..Scene::new() }).await;
    let file = world.config().with_file_name("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let text = std::fs::read_to_string(world.config()).unwrap();
    let head = text.split("[[service]]").next().unwrap();
    let service = format!(
        "[[service]]\nname = \"demo\"\ndomain = \"{HOST}\"\ndns = \"private\"\n\
         [[service.check]]\nname = \"web\"\nkind = \"http\"\nscheme = \"https\"\nport = {port}\ntls = {{ ca_file = \"{}\" }}\n\
         [[service.region]]\nname = \"region1\"\naddress = [\"127.0.0.1\"]\n",
        file.display()
    );
    std::fs::write(world.config(), format!("{head}{service}")).unwrap();
    (world, file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_ended_is_unknown_while_the_cloud_says_that_the_clock_here_is_wrong() {
    let mut tasks = JoinSet::new();
    let (trusted, issuer) = authority();
    let ended = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let port = serve(&issuer, ended, &mut tasks).await;
    let (mut world, _) = world(&trusted, port).await;
    world.cloud.set_clock(SignedDuration::from_hours(2));
    world.run(&[]).await;
    let unknown = |now: &Now| now.check("region1", "web")["reason"] == "local";
    world.until("it is unknown", unknown).await;
    world.cloud.set_clock(SignedDuration::ZERO);
    world.until("it fails", |now| now.check("region1", "web")["reason"] == "tls").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_was_exchanged_in_its_file_is_trusted_after_a_reload() {
    let mut tasks = JoinSet::new();
    let (trusted, issuer) = authority();
    let (stranger, _) = authority();
    let port = serve(&issuer, |_| (), &mut tasks).await;
    let (mut world, file) = world(&stranger, port).await;
    world.run(&[]).await;
    let fails = |now: &Now| now.check("region1", "web")["reason"] == "tls";
    world.until("the stranger's word is not taken", fails).await;

    std::fs::write(&file, trusted).unwrap();
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("the right one's is", |now| now.check("region1", "web")["last"] == "pass").await;

    std::fs::write(&file, "no certificate").unwrap();
    assert_eq!(world.reload().await, Reloaded::Refused);
    assert!(world.log().contains("authority.pem"), "{}", world.log());
    assert_eq!(world.now().await.check("region1", "web")["last"], "pass");
}
