//! SECRETS-STAY: at the finest log level, through work, refusals, servers that say what they were sent, and mistakes in
//! the configuration, no secret comes out of anything that the program writes, plain or written in another way.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;
#[expect(dead_code, reason = "it has more than a parrot needs")]
mod huawei_server;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use daemon_world::{Now, Reloaded, Scene, World};
use huawei_server::{ACCESS_KEY, PROJECT, Received, Reply, SECRET_KEY, Server, TOKEN};
use pointsman::config;
use pointsman::model::Secret;
use rcgen::{CertificateParams, KeyPair};

/// With signs that every way of writing a text writes otherwise.
const KEY: &str = "MarkedSecret/Key+That=Must Stay";
const HEADER: &str = "Bearer Marked/Header+That=Must Stay";
const INLINE: &str = "MarkedInlineSecretThatMustStay";
const IN_URL: &str = "MarkedPasswordThatMustStay";

/// The texts by which a secret would be recognised in whatever it came out in.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let join = |digit: &dyn Fn(&u8) -> String, between: &str| {
        bytes.iter().map(digit).collect::<Vec<_>>().join(between)
    };
    let mut forms = vec![
        secret.to_owned(),
        percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        secret.escape_debug().to_string(),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        join(&|byte| format!("{byte:02x}"), ""),
        join(&|byte| format!("{byte:02X}"), ""),
        join(&u8::to_string, ", "),
    ];
    // As a part of something longer: three ways, by where it begins in it.
    for before in 0..3 {
        let whole = STANDARD_NO_PAD.encode([&b"xx"[..before], bytes].concat());
        forms.push(whole[before.div_ceil(3) * 4..whole.len() - 4].to_owned());
    }
    forms
}

/// What came out, and where.
#[derive(Default)]
struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    fn add(&mut self, place: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.0.push((place.into(), text.into()));
    }

    async fn outcomes(&mut self, world: &World) {
        for (command, arguments) in [
            ("check", &[][..]),
            ("check", &["--online"]),
            ("plan", &[]),
            ("probe", &["demo/region1/web"]),
            ("probe", &["demo/region1/elb"]),
            ("apply", &["--once", "--yes"]),
        ] {
            let mut command_at_trace = world.command(command, arguments);
            command_at_trace.env("RUST_LOG", "trace");
            let run = move || command_at_trace.output().unwrap();
            let output = tokio::task::spawn_blocking(run).await.unwrap();
            self.add(format!("{command} {arguments:?}"), [output.stdout, output.stderr].concat());
        }
    }

    /// All that a running daemon shows, and has written so far.
    async fn daemon(&mut self, world: &mut World) {
        world.signal("USR1");
        world.until("the dump is there", |_| world.log().contains("state of region2/elb: ")).await;
        for path in ["/metrics", "/api/v1/status", "/api/v1/services/demo", "/readyz", "/nowhere"] {
            self.add(path, world.get(path).await.unwrap().1);
        }
        self.files(world);
        world.stop("TERM").await;
        self.files(world);
        self.add("the log", world.log());
        let config = config::load(&world.config());
        self.add("Debug of the configuration", format!("{config:?} {config:#?}"));
    }

    /// The journal, byte by byte, and whatever else lies with it.
    fn files(&mut self, world: &World) {
        for entry in std::fs::read_dir(world.state_dir()).unwrap() {
            let path = entry.unwrap().path();
            self.add(path.display().to_string(), std::fs::read(&path).unwrap_or_default());
        }
    }

    fn find(&self, text: &str) -> Option<&str> {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        self.0.iter().find(|(_, bytes)| holds(bytes)).map(|(place, _)| place.as_str())
    }

    fn assert_lacks(&self, secrets: &[&str]) {
        for secret in secrets {
            for form in forms(secret) {
                assert_eq!(self.find(&form), None, "{form} came out, which is {secret}");
            }
        }
    }
}

fn secret_file(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.config().with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

/// A check that sends a secret, and one that presents itself by a key.
const CHECKS: &str = r#"
[[service.check]]
name = "web"
kind = "http"
headers = { Authorization = "HEADER" }

[[service.check]]
name = "known"
kind = "https"
vote = false
tls = { verify = false, client_cert_file = "CLIENT.pem", client_key_file = "CLIENT.key" }

[[service.check]]
name = "elb"
kind = "elb"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_of_work_failures_and_mistakes() {
    let mut scene = Scene { checks: CHECKS, ..Scene::new() };
    scene.cloud.secret_key = Secret::new(KEY);
    let mut world = World::set(scene).await;
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&pair).unwrap().pem();
    let key = secret_file(&world, "client.key", &pair.serialize_pem());
    let certificate = secret_file(&world, "client.pem", &certificate);
    world.edit_config("CLIENT.key", key.to_str().unwrap());
    world.edit_config("CLIENT.pem", certificate.to_str().unwrap());
    world.edit_config("HEADER", HEADER);

    let mut told = Told::default();
    told.outcomes(&world).await;
    world.run_with(&[], &[("RUST_LOG", "trace")]).await;
    world.until("all is well", Now::all_well).await;
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.liveness("region1") == "down").await;
    world.set_secret_key(&Secret::new(IN_URL));
    for (right, wrong) in [
        ("[cloud.main]\n", format!("[cloud.main]\nsecret_key = \"{INLINE}\"\n")),
        ("[cloud.main]\n", format!("[cloud.main]\nsecret_key = \"{INLINE}\n")),
        ("[cloud.main]\n", format!("[cloud.main]\npassword = {INLINE}\n")),
        ("dns = \"http://", format!("dns = \"https://user:{IN_URL}@")),
        (HEADER, format!("{HEADER}\\n")),
    ] {
        let good = std::fs::read_to_string(world.config()).unwrap();
        world.edit_config(right, &wrong);
        assert_eq!(world.reload().await, Reloaded::Refused, "{wrong}");
        told.outcomes(&world).await;
        std::fs::write(world.config(), good).unwrap();
    }
    assert_eq!(world.reload().await, Reloaded::Taken);
    told.daemon(&mut world).await;

    let first_line = pair.serialize_pem().lines().nth(1).unwrap().to_owned();
    let bytes = STANDARD.encode(&pair.serialize_der()[40..]);
    told.assert_lacks(&[KEY, HEADER, INLINE, IN_URL, &first_line, &bytes]);
    // That it would have been found: what is no secret is.
    for place in [&world.cloud.setup().access_key, "TRACE", "would be a secret within", "127.0.1.10"] {
        assert!(told.find(place).is_some(), "{place}");
    }
    for form in forms("MarkedForCertain!") {
        let mut planted = Told::default();
        planted.add("the log", format!("xx{form}xx"));
        assert!(planted.find(&form).is_some());
    }
}

/// What it was sent, in an answer that has no business to say so.
fn parrot(request: &Received, before: usize) -> Reply {
    let heard: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let heard = heard.join(" ");
    let percent = percent_encoding::utf8_percent_encode(TOKEN, percent_encoding::NON_ALPHANUMERIC);
    let hex = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    // As if it knew it; and so that a cut after so many characters goes through it.
    let long = format!("{}{SECRET_KEY}", "x".repeat(395));
    match before % 7 {
        0 => Reply::json(401, &format!(r#"{{"error_code": "{TOKEN}", "error_msg": "{heard}"}}"#)),
        1 => Reply::json(403, &format!("<title>{heard}</title>")).with("X-Request-Id", TOKEN),
        2 => Reply::json(400, &heard),
        3 => Reply::json(
            403,
            &format!("{percent} {hex} {} {}", STANDARD.encode(TOKEN), STANDARD.encode(SECRET_KEY)),
        ),
        4 => Reply::json(200, &format!(r#"{{"projects": "{heard}", "loadbalancers": "{TOKEN}"}}"#)),
        5 => Reply::json(404, &format!(r#"{{"error": {{"code": "X", "message": "{long}"}}}}"#)),
        _ => Reply::json(403, &long),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_comes_out_of_a_cloud_that_says_what_it_was_sent() {
    let server = Server::start(parrot).await;
    let mut world = World::set(Scene { credentials: Some("KEYS"), ..Scene::new() }).await;
    let (key, token) = (secret_file(&world, "sk", SECRET_KEY), secret_file(&world, "token", TOKEN));
    let keys = format!(
        "project_id = \"{PROJECT}\"\naccess_key = \"{ACCESS_KEY}\"\nsecret_key_file = \"{}\"\nsecurity_token_file = \"{}\"",
        key.display(),
        token.display()
    );
    world.edit_config("KEYS", &keys);
    world.edit_config("cn-east-3", "cn-north-4");
    world.edit_config(&world.cloud.endpoint(), &server.url());

    let mut told = Told::default();
    told.outcomes(&world).await;
    world.run_with(&[], &[("RUST_LOG", "trace")]).await;
    let asked = server.received().len();
    world.until("it was told everything", |_| server.received().len() > asked + 40).await;
    world
        .until("it says so", |now| {
            now.alarmed("provider_away", None) || now.alarmed("blind", Some("region1"))
        })
        .await;
    told.daemon(&mut world).await;

    told.assert_lacks(&[SECRET_KEY, TOKEN, "MARKED"]);
    let signatures: Vec<String> = server
        .received()
        .iter()
        .filter_map(|request| {
            Some(request.headers.get("authorization")?.rsplit_once("Signature=")?.1.to_owned())
        })
        .collect();
    assert!(signatures.len() > 40);
    for signature in signatures {
        assert_eq!(told.find(&signature), None, "a signature came out");
    }
    for word in [ACCESS_KEY, "401", "SignedHeaders"] {
        assert!(told.find(word).is_some(), "the parrot's words did not come through at all: {word}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_the_environment_comes_out_and_none_is_in_the_arguments() {
    let scene = Scene { credentials: Some("credentials = \"environment\""), ..Scene::new() };
    let mut world = World::set(scene).await;
    let access = world.cloud.setup().access_key.clone();
    let environment = [
        ("RUST_LOG", "trace"),
        ("HUAWEICLOUD_SDK_AK", access.as_str()),
        ("HUAWEICLOUD_SDK_SK", KEY),
        ("HUAWEICLOUD_SDK_SECURITY_TOKEN", HEADER),
    ];
    world.run_with(&[], &environment).await;
    world.until("it is refused", |now| now.check("region1", "elb")["reason"] == "credentials").await;
    let of_process = |file: &str| std::fs::read(format!("/proc/{}/{file}", world.process_id())).unwrap();
    let mut told = Told::default();
    told.add("its arguments", of_process("cmdline"));
    told.add("its name", of_process("comm"));
    told.add("where it is", std::fs::read_to_string(format!("/proc/{}/limits", world.process_id())).unwrap());
    told.daemon(&mut world).await;
    told.assert_lacks(&[KEY, HEADER]);
    assert!(told.find("TRACE").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_leaves_no_core_file_with_what_was_in_its_memory() {
    let world = World::watched(Scene::new()).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.process_id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let (soft, hard) = (core.split_whitespace().nth(4), core.split_whitespace().nth(5));
    assert_eq!((soft, hard), (Some("0"), Some("0")), "{core}");
}
