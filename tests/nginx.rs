//! The daemon keeps a name pointing at the real nginx servers that are alive: one is stopped, and started again.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use daemon_world::{FOREIGN, Scene, World};

const SITE1: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 10);
const SITE2: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 20);
const RECOVER_AFTER: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nginx_servers_the_stopped_one_leaves_the_zone_and_returns_when_started() {
    let port = port_free_on_both();
    let mut first = Nginx::start(SITE1, port);
    let _second = Nginx::start(SITE2, port);
    let (one, two) = (IpAddr::V4(SITE1), IpAddr::V4(SITE2));
    let mut scene = Scene::new();
    scene.cloud.values = Some(vec![one, two, FOREIGN]);
    scene.service = "recover_after = \"1500ms\"";
    scene.checks = "[[service.check]]\nname = \"web\"\nkind = \"http\"\nexpect_body = \"nginx says hello\"\n";
    scene.regions = Some(region("region1", SITE1, port) + &region("region2", SITE2, port));
    let world = World::watched(scene).await;

    assert!(first.stop().success(), "nginx was asked to stop");
    world.until("the stopped one has left", |now| now.zone_holds(&[two, FOREIGN])).await;

    let started = world.cloud.since_start();
    first.start_again();
    world.until("it is back", |now| now.zone_holds(&[one, two, FOREIGN]) && now.all_well()).await;
    let returned = world.cloud.history().last().unwrap().accepted;
    assert!(returned >= started + RECOVER_AFTER, "it was started at {started:?}, put back at {returned:?}");
    assert_eq!(world.writes(), 2, "one out, one in: {:#?}", world.cloud.history());
    let asked = std::fs::read_to_string(first.folder.path().join("access.log")).unwrap();
    let who = concat!(
        "demo.localdev.me \"GET / HTTP/1.1\" 200 \"pointsman/",
        env!("CARGO_PKG_VERSION"),
        " (demo)\""
    );
    assert!(asked.contains(who), "a look says for which name it asks, and who looks: {asked}");
}

fn region(name: &str, address: Ipv4Addr, port: u16) -> String {
    format!("[[service.region]]\nname = \"{name}\"\naddress = [\"{address}\"]\nlistener_port = {port}\n\n")
}

fn port_free_on_both() -> u16 {
    for _ in 0..50 {
        let first = TcpListener::bind((SITE1, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if TcpListener::bind((SITE2, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free on both {SITE1} and {SITE2}");
}

/// A server in the foreground with a folder of its own; killed when dropped.
struct Nginx {
    folder: tempfile::TempDir,
    child: Child,
}

impl Nginx {
    fn start(address: Ipv4Addr, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("    {what}_temp_path {}/{what};\n", folder.path().display()))
            .concat();
        // One process, so that none is left behind whatever happens to the test.
        let configuration = format!(
            r#"daemon off;
master_process off;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{}}
http {{
{temporary}
    log_format looks '$host "$request" $status "$http_user_agent"';
    access_log {prefix}/access.log looks;
    server {{
        listen {address}:{port};
        return 200 "nginx says hello\n";
    }}
}}
"#,
            prefix = folder.path().display()
        );
        std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let child = spawn(&folder);
        Self { folder, child }
    }

    /// As a person would; returns when it has ended.
    fn stop(&mut self) -> ExitStatus {
        let kill = format!("kill -QUIT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.child.wait().unwrap()
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.folder);
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &tempfile::TempDir) -> Child {
    let mut command = Command::new("nginx");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).stderr(Stdio::inherit());
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("this test needs nginx; please do: apt-get install nginx-light")
        }
        Err(error) => panic!("nginx does not start: {error}"),
    }
}
