//! What a zone keeps over a restart, and what becomes of it when that is not there, not right, or somebody else's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;
use pointsman::clock::{instant_now, wall_time};
use pointsman::dns::{EmbeddedReader, EmbeddedServer, Provider as _};
use pointsman::model::ProviderErrorKind;
use tokio::time::sleep;

use crate::served::{BLINK, DEADLINE, Served, dig, first, fqdn, key, record, set, zone};

fn addresses(served: &Served) -> Vec<String> {
    let text = dig(served.address, &["+short", "demo.dev.test.", "A"]);
    let mut addresses: Vec<String> = text.lines().map(str::to_owned).collect();
    addresses.sort();
    addresses
}

fn file(state: &Path) -> PathBuf {
    state.join("zones/dev.test.json")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_it_serves_what_it_served_under_a_serial_that_is_after() {
    let (folder, zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let state = folder.path().join("state");
    let served = Served::start(&state, &zone).unwrap();
    served.replace(&key("demo.dev.test."), &set(&[2], 30)).await;
    let mut last = served.serial();
    served.stop().await;
    for _ in 0..3 {
        let served = Served::start(&state, &zone).unwrap();
        assert_eq!(addresses(&served), ["192.0.2.2"]);
        assert!(served.serial() > last, "{} after {last}", served.serial());
        last = served.serial();
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_served_as_configured_until_it_is() {
    let (folder, zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let served = Served::start(&folder.path().join("state"), &zone).unwrap();
    assert_eq!(addresses(&served), ["192.0.2.1", "192.0.2.2"]);
    // A set of regions whose addresses nobody knows yet is missing, and is made.
    let (provider, deadline, other) = (served.provider(), instant_now() + DEADLINE, key("other.dev.test."));
    assert_eq!(provider.read(&other, deadline).await.unwrap(), None);
    provider.create(&other, &set(&[7], 30), deadline).await.unwrap();
    assert_eq!(dig(served.address, &["+short", "other.dev.test.", "A"]), "192.0.2.7\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_set_aside_and_the_zone_begins_as_new() {
    let (folder, zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let state = folder.path().join("state");
    let served = Served::start(&state, &zone).unwrap();
    served.replace(&key("demo.dev.test."), &set(&[2], 30)).await;
    let last = served.serial();
    served.stop().await;
    let damaged = fs::read_to_string(file(&state)).unwrap().replace("192.0.2.2", "192.0.2.99");
    fs::write(file(&state), &damaged).unwrap();
    // Without a memory the serial is the time, which is after it as soon as the changes come to less than one a second.
    while wall_time().as_secs() <= u64::from(last) {
        sleep(BLINK).await;
    }
    let served = Served::start(&state, &zone).unwrap();
    assert_eq!(addresses(&served), ["192.0.2.1", "192.0.2.2"], "nobody is taken out by a damaged file");
    assert!(served.serial() > last && served.server.trouble().is_none(), "{:?}", served.server.trouble());
    let files = fs::read_dir(state.join("zones")).unwrap().map(|entry| entry.unwrap().path());
    let aside = files.filter(|path| path.to_string_lossy().contains("damaged")).collect::<Vec<_>>();
    assert_eq!(fs::read_to_string(&aside[0]).unwrap(), damaged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_changed_rightly_is_taken_as_what_was_served() {
    let (folder, zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let served = Served::start(&one, &zone).unwrap();
    served.replace(&key("demo.dev.test."), &set(&[9], 30)).await;
    served.stop().await;
    let served = Served::start(&two, &zone).unwrap();
    served.replace(&key("demo.dev.test."), &set(&[2], 30)).await;
    // While it runs the file is only written: what stands in it otherwise is gone with the next change.
    fs::copy(file(&one), file(&two)).unwrap();
    assert_eq!(addresses(&served), ["192.0.2.2"]);
    served.stop().await;
    // At a start it is what was served: the reconciler finds the difference as in any zone, and mends it.
    let served = Served::start(&two, &zone).unwrap();
    assert_eq!(addresses(&served), ["192.0.2.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_never_serve_one_zone_from_one_folder() {
    let (folder, mut zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let state = folder.path().join("state");
    let _served = Served::start(&state, &zone).unwrap();
    let taken = EmbeddedServer::prepare(&zone, first(), &folder.path().join("other"), &[], &[]).unwrap_err();
    assert!(taken.to_string().contains("cannot serve DNS on 127.0.0.1:"), "{taken}");
    zone.listen.clear();
    let in_use = EmbeddedServer::prepare(&zone, first(), &state, &[], &[]).unwrap_err();
    assert!(in_use.to_string().starts_with("another process serves dev.test. from "), "{in_use}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_kept_the_zone_goes_on_from_memory_and_says_so() {
    let (folder, zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let state = folder.path().join("state");
    let served = Served::start(&state, &zone).unwrap();
    // In the place of the folder stands a file: also root cannot write there.
    // The zone that has just begun may be kept at the same moment.
    let (zones, deadline) = (state.join("zones"), instant_now() + DEADLINE);
    while let Err(error) = fs::remove_dir_all(&zones).and_then(|()| fs::write(&zones, "")) {
        assert!(instant_now() < deadline, "{error}");
        sleep(BLINK).await;
    }
    let before = served.serial();
    served.replace(&key("demo.dev.test."), &set(&[2], 30)).await;
    assert_eq!(addresses(&served), ["192.0.2.2"]);
    assert!(served.serial() > before);
    let trouble = served.server.trouble().unwrap();
    assert!(trouble.contains("dev.test.") && trouble.contains("zones"), "{trouble}");
    served.stop().await;
    // Also at a start; the serial grows all the same.
    let last = before;
    let served = Served::start(&state, &zone).unwrap();
    assert!(served.serial() >= last && served.server.trouble().is_some());
    assert_eq!(addresses(&served), ["192.0.2.1", "192.0.2.2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_could_have_written_is_neither_believed_nor_overwritten() {
    let (folder, zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let state = folder.path().join("state");
    let served = Served::start(&state, &zone).unwrap();
    served.replace(&key("demo.dev.test."), &set(&[9], 30)).await;
    served.stop().await;
    fs::set_permissions(file(&state), fs::Permissions::from_mode(0o666)).unwrap();
    let before = fs::read(file(&state)).unwrap();
    let served = Served::start(&state, &zone).unwrap();
    assert_eq!(addresses(&served), ["192.0.2.1", "192.0.2.2"]);
    assert!(served.server.trouble().is_some());
    assert_eq!(fs::read(file(&state)).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_configuration_keeps_the_sockets_and_the_sets() {
    let (folder, mut zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let state = folder.path().join("state");
    let served = Served::start(&state, &zone).unwrap();
    served.replace(&key("demo.dev.test."), &set(&[2], 30)).await;
    let before = served.serial();
    zone.records.push(record("new.dev.test.", 60, RData::A(A::new(192, 0, 2, 77))));
    let renewed = EmbeddedServer::prepare(&zone, first(), &state, &[&served.server], &[]).unwrap();
    assert_eq!(dig(served.address, &["+short", "new.dev.test.", "A"]), "", "not before it takes effect");
    renewed.take_effect();
    let names =
        |server: &EmbeddedServer| server.tasks().into_iter().map(|task| task.name).collect::<Vec<_>>();
    assert_eq!(names(&renewed), names(&served.server), "the same tasks go on");
    assert_eq!(dig(served.address, &["+short", "new.dev.test.", "A"]), "192.0.2.77\n");
    assert_eq!(addresses(&served), ["192.0.2.2"]);
    let after = served.serial();
    assert!(after > before);
    renewed.take_effect();
    assert_eq!(served.serial(), after, "what changes nothing is no new version");
    // A set that no service keeps any more stays until a record of the configuration takes its place.
    let without = EmbeddedServer::prepare(&zone, [].into(), &state, &[&renewed], &[]).unwrap();
    without.take_effect();
    assert_eq!(addresses(&served), ["192.0.2.2"]);
    zone.records.push(record("demo.dev.test.", 60, RData::A(A::new(192, 0, 2, 50))));
    let placed = EmbeddedServer::prepare(&zone, [].into(), &state, &[&renewed], &[]).unwrap();
    placed.take_effect();
    assert_eq!(addresses(&served), ["192.0.2.50"]);
    let found = placed.provider().read(&key("demo.dev.test."), instant_now() + DEADLINE).await;
    assert_eq!(found.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_sees_what_is_kept_and_writes_nothing() {
    let (folder, zone) = (tempfile::tempdir().unwrap(), zone(Vec::new()));
    let state = folder.path().join("state");
    let (reader, deadline) =
        (EmbeddedReader::new(&state, &fqdn("dev.test."), first()), instant_now() + DEADLINE);
    let demo = key("demo.dev.test.");
    let found = reader.read(&demo, deadline).await.unwrap().unwrap();
    assert_eq!(found.values, *set(&[1, 2], 30).values(), "as a start would serve it");
    assert!(!state.exists());
    let served = Served::start(&state, &zone).unwrap();
    served.replace(&demo, &set(&[2], 30)).await;
    let found = reader.read(&demo, deadline).await.unwrap().unwrap();
    assert_eq!(found.values, *set(&[2], 30).values());
    let error = reader.replace(&demo, &found, &set(&[1], 30), deadline).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Refused);
    assert!(error.message.contains("pointsman run"), "{error}");
    assert_eq!(addresses(&served), ["192.0.2.2"]);
    fs::write(file(&state), "{}").unwrap();
    let error = reader.read(&demo, deadline).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Unclear, "a damaged file says nothing of what is served");
    // The next change writes it as it should be.
    served.replace(&demo, &set(&[1], 30)).await;
    let until = instant_now() + DEADLINE;
    while reader.read(&demo, deadline).await.is_err() {
        assert!(instant_now() < until, "it is still damaged");
        sleep(BLINK).await;
    }
}
