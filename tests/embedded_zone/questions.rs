//! A zone that pointsman serves itself answers as an authoritative server must, whatever it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use pointsman::clock::{instant_now, wall_time};
use pointsman::dns::{EmbeddedReader, Provider as _};
use pointsman::model::{self, ProviderErrorKind, RecordKey, RecordSet, Ttl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::served::{DEADLINE, Served, ask, dig, fqdn, key, question, section, set, zone};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_its_addresses_by_authority() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    for over in ["+notcp", "+tcp"] {
        let text = dig(served.address, &[over, "demo.dev.test.", "A"]);
        assert!(text.contains("status: NOERROR") && text.contains("flags: qr aa;"), "{text}");
        let mut answer = section(&text, "ANSWER");
        answer.sort();
        assert_eq!(answer, ["demo.dev.test. 30 IN A 192.0.2.1", "demo.dev.test. 30 IN A 192.0.2.2"]);
    }
    let text = dig(served.address, &["dev.test.", "NS"]);
    assert_eq!(section(&text, "ANSWER"), ["dev.test. 300 IN NS ns1.dev.test."]);
    assert_eq!(section(&text, "ADDITIONAL"), ["ns1.dev.test. 300 IN A 192.0.2.53"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_remembered_for_longer_than_half_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    for (name, record_type, status) in [
        ("nobody.dev.test.", "A", "NXDOMAIN"),
        ("demo.dev.test.", "AAAA", "NOERROR"),
        ("tree.dev.test.", "A", "NOERROR"), // names below it make it a name
        ("apps.dev.test.", "A", "NOERROR"),
        ("x.deep.tree.dev.test.", "A", "NXDOMAIN"),
    ] {
        let text = dig(served.address, &[name, record_type]);
        assert!(text.contains(&format!("status: {status}")) && text.contains("flags: qr aa;"), "{text}");
        assert!(section(&text, "ANSWER").is_empty(), "{text}");
        let authority = section(&text, "AUTHORITY");
        assert!(authority[0].starts_with("dev.test. 30 IN SOA ns1.dev.test. hostmaster.dev.test."), "{text}");
        assert!(authority[0].ends_with(" 30"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_followed_within_the_zone_and_a_wildcard_stands_for_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let answer = |name| section(&dig(served.address, &[name, "A"]), "ANSWER");
    let www = answer("www.dev.test.");
    assert_eq!(www[0], "www.dev.test. 300 IN CNAME demo.dev.test.");
    assert_eq!(www.len(), 3, "{www:?}");
    assert_eq!(answer("away.dev.test."), ["away.dev.test. 300 IN CNAME www.elsewhere.test."]);
    assert_eq!(answer("any.thing.apps.dev.test."), ["any.thing.apps.dev.test. 300 IN A 192.0.2.80"]);
    assert!(dig(served.address, &["loop.dev.test.", "A"]).contains("status: SERVFAIL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_cut_it_says_who_knows_with_their_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let text = dig(served.address, &["www.child.dev.test.", "A"]);
    assert!(text.contains("status: NOERROR") && text.contains("flags: qr;"), "{text}");
    assert_eq!(section(&text, "AUTHORITY"), ["child.dev.test. 300 IN NS ns.child.dev.test."]);
    assert_eq!(section(&text, "ADDITIONAL"), ["ns.child.dev.test. 300 IN A 192.0.2.54"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_for_its_zone_alone_and_does_nothing_but_answer() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    for (question, status) in [
        (&["example.com.", "A"][..], "REFUSED"),
        (&[".", "NS"], "REFUSED"),
        (&["xdev.test.", "A"], "REFUSED"),
        (&["version.bind.", "CH", "TXT"], "REFUSED"),
        (&["demo.dev.test.", "A", "+opcode=UPDATE"], "NOTIMP"),
        (&["demo.dev.test.", "A", "+opcode=NOTIFY"], "NOTIMP"),
        (&["demo.dev.test.", "A", "+opcode=STATUS"], "NOTIMP"),
        (&["demo.dev.test.", "A", "+edns=1", "+noednsneg"], "BADVERS"),
        (&["dev.test.", "AXFR"], "REFUSED"),
        (&["dev.test.", "IXFR=1"], "REFUSED"),
    ] {
        let text = dig(served.address, &[question, &["+noall", "+comments"]].concat());
        let refused = text.contains(&format!("status: {status}"))
            || (status == "REFUSED" && text.contains("Transfer failed"));
        assert!(refused, "{question:?}: {text}");
    }
    let text = dig(served.address, &["demo.dev.test.", "ANY", "+notcp"]);
    assert_eq!(section(&text, "ANSWER"), ["demo.dev.test. 30 IN HINFO \"RFC8482\" \"\""], "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_cut_and_whole_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let last: Vec<u8> = (1..=120).collect();
    let served = Served::start_with(
        folder.path(),
        &zone(Vec::new()),
        [(key("demo.dev.test."), set(&last, 30))].into(),
    );
    let served = served.unwrap();
    for (edns, most) in [("+noedns", 512), ("+bufsize=900", 900), ("+bufsize=4096", 1_232)] {
        let text = dig(served.address, &[edns, "+ignore", "demo.dev.test.", "A"]);
        assert!(text.contains("flags: qr aa tc;"), "{text}");
        let size = text.lines().find_map(|line| line.strip_prefix(";; MSG SIZE  rcvd: ")).unwrap();
        assert!(size.parse::<u32>().unwrap() <= most, "{text}");
        let whole = dig(served.address, &[edns, "demo.dev.test.", "A"]);
        assert_eq!(section(&whole, "ANSWER").len(), 120, "{whole}");
    }
    served.replace(&key("demo.dev.test."), &set(&last[..60], 30)).await;
    let text = dig(served.address, &["+bufsize=4096", "+ignore", "demo.dev.test.", "A"]);
    assert_eq!(section(&text, "ANSWER").len(), 60, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_the_first_address_spread() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let question = question("demo.dev.test.", RecordType::A).to_vec().unwrap();
    let mut first = BTreeSet::new();
    let deadline = instant_now() + DEADLINE;
    while first.len() < 2 {
        assert!(instant_now() < deadline, "always {first:?}");
        let answer = Message::from_vec(&ask(served.address, &question).await.unwrap()).unwrap();
        first.insert(answer.answers[0].data.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_wholly_of_before_a_change_or_wholly_of_after() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let question = question("demo.dev.test.", RecordType::A).to_vec().unwrap();
    let (one, two) = (set(&[1, 2, 3], 30), set(&[11, 12, 13], 30));
    let key = key("demo.dev.test.");
    served.replace(&key, &one).await;
    let changes = async {
        for turn in 0..100 {
            served.replace(&key, if turn % 2 == 0 { &two } else { &one }).await;
        }
    };
    let questions = async {
        for _ in 0..100 {
            let answer = Message::from_vec(&ask(served.address, &question).await.unwrap()).unwrap();
            let addresses: BTreeSet<IpAddr> =
                answer.answers.iter().map(|record| record.data.to_string().parse().unwrap()).collect();
            assert!(addresses == *one.values() || addresses == *two.values(), "{addresses:?}");
        }
    };
    tokio::join!(changes, questions);
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_rate_a_client_is_sent_to_tcp_and_served_there() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let question = question("demo.dev.test.", RecordType::A).to_vec().unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(served.address).await.unwrap();
    let (mut whole, mut cut) = (0, 0);
    let mut room = vec![0; 65_535];
    for _ in 0..10 {
        for _ in 0..100 {
            socket.send(&question).await.unwrap();
        }
        while let Ok(length) = timeout(Duration::from_millis(50), socket.recv(&mut room)).await {
            let answer = Message::from_vec(&room[..length.unwrap()]).unwrap();
            let is_cut = answer.metadata.truncation;
            assert_eq!(answer.answers.len(), if is_cut { 0 } else { 2 });
            *(if is_cut { &mut cut } else { &mut whole }) += 1;
        }
    }
    assert!(cut > 0 && whole >= 200, "{whole} whole, {cut} cut");
    assert!(whole + cut < 1_000, "{whole} whole, {cut} cut: nothing was left out");
    assert!(dig(served.address, &["+tcp", "+short", "demo.dev.test.", "A"]).contains("192.0.2.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let good = question("demo.dev.test.", RecordType::A).to_vec().unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(served.address).await.unwrap();
    let mut an_answer = good.clone();
    an_answer[2] |= 0x80;
    let mut many_questions = good.clone();
    many_questions[4..6].copy_from_slice(&[0xff, 0xff]);
    for bad in [&[][..], &[0; 11], &[0xff; 4_000], &good[..good.len() - 1], &an_answer, &many_questions] {
        socket.send(bad).await.unwrap();
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_u16(u16::try_from(bad.len()).unwrap()).await.unwrap();
        stream.write_all(bad).await.unwrap();
    }
    let answer = ask(served.address, &many_questions).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().metadata.response_code, ResponseCode::FormErr);
    let answer = ask(served.address, &good).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_served_again_and_closed_when_it_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let question = question("demo.dev.test.", RecordType::A).to_vec().unwrap();
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    for _ in 0..3 {
        let answer = ask_over(&mut stream, &question).await.unwrap();
        assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 2);
    }
    let end = timeout(DEADLINE, stream.read_u8()).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_are_closed_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let mut open = Vec::new();
    for _ in 0..60 {
        open.push(TcpStream::connect(served.address).await.unwrap());
    }
    let deadline = instant_now() + DEADLINE;
    while open.len() > 32 {
        assert!(instant_now() < deadline, "{} of 60 are open", open.len());
        let mut still = Vec::new();
        for mut stream in open {
            if timeout(Duration::from_millis(5), stream.read_u8()).await.is_err() {
                still.push(stream);
            }
        }
        open = still;
    }
    let question = question("demo.dev.test.", RecordType::A).to_vec().unwrap();
    assert!(ask(served.address, &question).await.is_some());
    let mut newest = TcpStream::connect(served.address).await.unwrap();
    ask_over(&mut newest, &question).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_many_networks_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let question = question("demo.dev.test.", RecordType::A).to_vec().unwrap();
    let mut idle = Vec::new();
    for client in 0..200 {
        idle.push(connect_from(Ipv4Addr::new(127, 0, 1 + client % 8, 1 + client / 8), served.address).await);
    }
    // Somebody else, and one of those networks.
    for client in [Ipv4Addr::new(127, 0, 9, 1), Ipv4Addr::new(127, 0, 1, 200)] {
        let mut stream = connect_from(client, served.address).await;
        for _ in 0..2 {
            let answer = timeout(DEADLINE, ask_over(&mut stream, &question)).await.unwrap();
            let answer = answer.unwrap_or_else(|error| panic!("{client} is shut out: {error}"));
            assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 2);
        }
    }
}

async fn connect_from(client: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((client, 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

async fn ask_over(stream: &mut TcpStream, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, question].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_takes_the_place_of_what_was_read_or_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let (provider, deadline) = (served.provider(), instant_now() + DEADLINE);
    let (configured, key) = (key("ns1.dev.test."), key("demo.dev.test."));
    let found = provider.read(&key, deadline).await.unwrap().unwrap();
    assert_eq!(found.values, *set(&[1, 2], 30).values());
    let before = served.serial();
    provider.replace(&key, &found, &set(&[1], 30), deadline).await.unwrap();
    assert!(served.serial() > before);
    let error = provider.replace(&key, &found, &set(&[2], 30), deadline).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Conflict, "{error}");
    let error = provider.create(&key, &set(&[2], 30), deadline).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Conflict, "{error}");
    assert_eq!(dig(served.address, &["+short", "demo.dev.test.", "A"]), "192.0.2.1\n");
    // A record of the configuration is nobody's to write.
    let error = provider.create(&configured, &set(&[2], 30), deadline).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Refused, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_addresses_of_both_families() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &zone(Vec::new())).unwrap();
    let (provider, deadline) = (served.provider(), instant_now() + DEADLINE);
    let both = RecordKey { record_type: model::RecordType::Aaaa, ..key("demo.dev.test.") };
    let values = ["2001:db8::1", "2001:db8::2"].map(|value| value.parse().unwrap());
    let six = RecordSet::new(values.into(), Ttl::DEFAULT).unwrap();
    provider.create(&both, &six, deadline).await.unwrap();
    let mut answer = section(&dig(served.address, &["demo.dev.test.", "AAAA"]), "ANSWER");
    answer.sort();
    assert_eq!(answer, ["demo.dev.test. 300 IN AAAA 2001:db8::1", "demo.dev.test. 300 IN AAAA 2001:db8::2"]);
    assert_eq!(section(&dig(served.address, &["demo.dev.test.", "A"]), "ANSWER").len(), 2);
}

/// A region that dies takes its share of many sets at once: they are put into one new version, not into one each.
#[tokio::test(flavor = "multi_thread")]
async fn many_writes_at_once_make_few_versions_and_all_are_kept_and_served() {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<RecordKey> = (0..1_500).map(|number| key(&format!("s{number}.dev.test."))).collect();
    let first = keys.iter().map(|key| (key.clone(), set(&[1, 2], 30))).collect();
    let served = Served::start_with(folder.path(), &zone(Vec::new()), first).unwrap();
    let (provider, deadline) = (served.provider(), instant_now() + 6 * DEADLINE);
    let (before, after) = (set(&[1, 2], 30), set(&[2], 30));
    let writes = keys[..500].iter().map(|key| async {
        let found = provider.read(key, deadline).await.unwrap().unwrap();
        assert_eq!(found.values, *before.values());
        provider.replace(key, &found, &after, deadline).await.unwrap();
    });
    join_all(writes).await;
    // A version's serial is the time, or one more than the last: many versions bring it ahead of the time.
    let (serial, now) = (u64::from(served.serial()), wall_time().as_secs());
    assert!(serial <= now + 10, "the serial is {} ahead of the clock", serial - now);
    let reader = EmbeddedReader::new(folder.path(), &fqdn("dev.test."), BTreeMap::new());
    for number in [0, 250, 499, 500, 1_499] {
        let key = &keys[number];
        let kept = reader.read(key, deadline).await.unwrap().unwrap();
        assert_eq!(kept.values, *if number < 500 { &after } else { &before }.values(), "{key}");
    }
    for (name, addresses) in [("s0.dev.test.", 1), ("s499.dev.test.", 1), ("s500.dev.test.", 2)] {
        let answer = ask(served.address, &question(name, RecordType::A).to_vec().unwrap()).await.unwrap();
        assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), addresses, "{name}");
    }
}
