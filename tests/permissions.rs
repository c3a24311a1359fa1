//! Who else may use our files: a configuration, a `state_dir` or keys that others can write or read are not used, and
//! whoever is told so is told the command that mends it.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Output;

use daemon_world::{Now, Reloaded, Scene, World};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Every command that reads the configuration ends in an error that says this.
async fn is_refused(world: &World, expected: &str) {
    for (command, arguments) in [
        ("run", &[][..]),
        ("check", &[]),
        ("plan", &[]),
        ("probe", &["demo/region1/web"]),
        ("apply", &["--once"]),
    ] {
        let output = world.outcome(command, arguments).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains(expected), "{command}: {expected:?} is not in\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_others_can_write_is_refused_with_the_command_that_mends_it() {
    let world = World::set(Scene::new()).await;
    let config = world.config();
    let (name, folder) = (config.display(), config.parent().unwrap().to_owned());
    set_mode(&config, 0o646);
    is_refused(&world, &format!("{name} can be written by others (mode 0646, of user ")).await;
    is_refused(&world, &format!("run: chmod o-w {name}")).await;
    set_mode(&config, 0o664);
    assert_eq!(world.outcome("check", &[]).await.status.code(), Some(0), "a group is trusted");

    set_mode(&folder, 0o777);
    is_refused(&world, &format!("run: chmod o-w {}", folder.display())).await;
    set_mode(&folder, 0o1777);
    assert_eq!(world.outcome("check", &[]).await.status.code(), Some(0), "each may take away its own alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_followed_and_what_it_leads_to_is_judged() {
    let world = World::set(Scene::new()).await;
    let config = world.config();
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("real.toml");
    fs::rename(&config, &real).unwrap();
    symlink(&real, &config).unwrap();
    assert_eq!(world.outcome("check", &[]).await.status.code(), Some(0));
    set_mode(elsewhere.path(), 0o707);
    is_refused(&world, &format!("run: chmod o-w {}", elsewhere.path().canonicalize().unwrap().display()))
        .await;
    set_mode(elsewhere.path(), 0o700);
    set_mode(&real, 0o606);
    is_refused(&world, &format!("run: chmod o-w {}", config.display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_included_file_that_others_can_write_is_refused_and_the_running_configuration_stays() {
    let world = World::watched(Scene::new()).await;
    let folder = world.config().parent().unwrap().join("conf.d");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o755);
    let more = folder.join("more.toml");
    fs::write(&more, "").unwrap();
    let text = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), format!("include = [\"conf.d/*.toml\"]\n{text}")).unwrap();
    set_mode(&more, 0o602);
    assert_eq!(world.reload().await, Reloaded::Refused);
    let command = format!("run: chmod o-w {}", more.display());
    assert!(world.log().contains(&command), "{}", world.log());
    set_mode(&more, 0o600);
    set_mode(&folder, 0o757);
    assert_eq!(world.reload().await, Reloaded::Refused, "others can put files of theirs beside it");
    set_mode(&folder, 0o755);
    assert_eq!(world.reload().await, Reloaded::Taken);
    assert!(world.now().await.all_well());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_dir_that_others_can_write_is_not_used_until_it_is_mended() {
    let mut world = World::set(Scene::new()).await;
    let dir = world.state_dir();
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o770);
    let output = world.outcome("check", &[]).await;
    let told = said(&output);
    let refusal = format!("{} can be written by others (mode 0770, of user ", dir.display());
    assert!(
        told.contains(&refusal) && told.contains(&format!("run: chmod go-w {}", dir.display())),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(1));

    world.run(&[]).await;
    world.until("all is well but the journal", |now| now.all_well() && now.daemon_alarmed("journal")).await;
    assert!(world.log().contains(&refusal), "{}", world.log());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "something was written into it");
    set_mode(&dir, 0o700);
    world.until("it heals", |now| !now.daemon_alarmed("journal")).await;
    world.stop("TERM").await;

    set_mode(&dir.join("journal.db"), 0o666);
    assert!(
        said(&world.outcome("check", &[]).await).contains("journal.db can be written by others (mode 0666")
    );
    world.run(&[]).await;
    world.until("it is not believed", |now| now.all_well() && now.daemon_alarmed("journal")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_s_key_that_others_can_read_is_refused_with_its_line() {
    let checks = "
[[service.check]]
name = \"web\"
kind = \"https\"
tls = { client_cert_file = \"/nowhere.pem\", client_key_file = \"KEY\" }
";
    let world = World::set(Scene { checks, ..Scene::new() }).await;
    let key = world.config().with_file_name("client.key");
    world.edit_config("KEY", key.to_str().unwrap());
    fs::write(&key, "a key").unwrap();
    set_mode(&key, 0o644);
    is_refused(&world, "tls.client_key_file: ").await;
    is_refused(&world, "is open to others (mode 0644, of user ").await;
    is_refused(&world, &format!("run: chmod 600 {}", key.display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_s_file_of_keys_is_refused_when_others_can_read_it() {
    let mut world = World::set(Scene { credentials: Some("credentials = \"file\""), ..Scene::new() }).await;
    let setup = world.cloud.setup().clone();
    let file = world.config().with_file_name("credentials");
    let keys = format!("[basic]\nak = {}\nsk = {}\n", setup.access_key, setup.secret_key.expose());
    fs::write(&file, keys).unwrap();
    let variable = ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file.to_str().unwrap());
    for mode in [0o604, 0o660] {
        set_mode(&file, mode);
        let is_good = mode == 0o660;
        for (command, arguments) in [("check", &[][..]), ("plan", &[])] {
            let mut command = world.command(command, arguments);
            command.env(variable.0, variable.1);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let told = said(&output);
            assert_eq!(output.status.code(), Some(i32::from(!is_good)), "{mode:o}: {told}");
            let refused = told.contains("is open to others (mode 0604, of user ")
                && told.contains(&format!("run: chmod 600 {}", file.display()));
            assert_eq!(refused, !is_good, "{mode:o}: {told}");
        }
    }
    world.run_with(&[], &[variable]).await;
    world.until("all is well", Now::all_well).await;
    set_mode(&file, 0o604);
    assert_eq!(world.reload().await, Reloaded::Refused);
    assert!(world.log().contains("run: chmod 600 "), "{}", world.log());
}
