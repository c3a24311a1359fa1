//! The daemon against two real nginx servers as the regions' endpoints, one of them stopped and started.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use daemon_world::{World, check, free_port, get, needs, until};
use pointsman::sim::Setup;

/// One nginx in the foreground; killed when dropped.
struct Nginx(Child);

impl Nginx {
    async fn start(folder: &Path, address: IpAddr, port: u16) -> Self {
        let nginx = needs("nginx", "nginx-light");
        let prefix = folder.join(address.to_string());
        std::fs::create_dir_all(&prefix).unwrap();
        let conf = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n\
               access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n\
               uwsgi_temp_path t4; scgi_temp_path t5;\n\
               server {{ listen {address}:{port}; server_name demo.localdev.me; location / {{ return 200 \"hello\"; }} }}\n\
               server {{ listen {address}:{port} default_server; location / {{ return 421; }} }}\n\
             }}\n"
        );
        std::fs::write(prefix.join("nginx.conf"), conf).unwrap();
        let child = Command::new(nginx)
            .args(["-p".as_ref(), prefix.as_os_str(), "-c".as_ref(), "nginx.conf".as_ref()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self(child);
        until("nginx answers", async || get((address, port).into(), "/").await.0 == 421).await;
        started
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_is_stopped_leaves_the_record_set_and_returns_when_it_is_started() {
    let addresses: [IpAddr; 2] = ["127.0.31.10".parse().unwrap(), "127.0.32.20".parse().unwrap()];
    let port = free_port(&addresses);
    let folder = tempfile::tempdir().unwrap();
    let first = Nginx::start(folder.path(), addresses[0], port).await;
    let _second = Nginx::start(folder.path(), addresses[1], port).await;

    let mut setup = Setup::two_regions();
    setup.values = Some(addresses.to_vec());
    let world = World::with(setup, |_| {
        let check = format!("{}port = {port}\nexpect_body = \"hello\"\n", check("web", "http"));
        let region = |name, at| format!("[[service.region]]\nname = \"{name}\"\naddress = [\"{at}\"]\n");
        format!("{check}{}{}", region("one", addresses[0]), region("two", addresses[1]))
    })
    .await;
    let daemon = world.daemon(&[], &[]).await;
    daemon.ready().await;
    assert_eq!(world.writes(), 0, "{}", daemon.log());

    drop(first);
    world.zone_is(&addresses[1..]).await;
    daemon.says("one went from suspect to down").await;

    let _first = Nginx::start(folder.path(), addresses[0], port).await;
    world.zone_is(&addresses).await;
    assert_eq!(world.writes(), 2, "{}", daemon.log());
}
