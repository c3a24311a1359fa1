//! A machine whose clock is not the cloud's: requests are signed with the cloud's time, the difference is
//! alarmed, and a `Date` that lies breaks nothing.

#![cfg(test)] // the helpers below are of tests too

#[expect(dead_code, reason = "each test takes the part of it that it needs")]
mod huawei_server;

use std::sync::Arc;
use std::time::Duration;

use huawei_server::{Projects, REGION, Received, Reply, Server, customer, within};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pointsman::clock::wall_time;
use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::{Account, ApiError, NewRecordSet};
use pointsman::model::{Alarm, CloudName};
use pointsman::sim::{Api, Setup, SimulatedCloud};

const MEMBERS: &str = r#"{"members": []}"#;
const RECORD_SET: &str = r#"{"id": "set", "name": "demo.localdev.me.", "type": "A", "ttl": 30,
    "records": ["203.0.113.20"], "status": "PENDING_UPDATE"}"#;
const EXPIRED: &str = r#"{"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information: x-sdk-date expired"}"#;
const HOUR: Duration = Duration::from_secs(3600);
/// What the cloud allows a date to be off.
const ALLOWED: Duration = Duration::from_secs(15 * 60);
/// Longer than anything here takes.
const LONG: u64 = 30_000;

async fn look(account: &Account) -> Result<(), ApiError> {
    account.members(REGION, &["p1".to_owned()], within(LONG)).await.map(|_| ())
}

async fn write(account: &Account) -> Result<(), ApiError> {
    let body = NewRecordSet {
        name: "demo.localdev.me.".to_owned(),
        record_type: "A".to_owned(),
        ttl: 30,
        records: vec!["203.0.113.20".to_owned()],
        description: None,
        line: None,
        weight: None,
    };
    account.update_record_set(REGION, "zone", "set", &body, within(LONG)).await.map(|_| ())
}

/// When it says that it was signed, since 1970.
fn signed_at(request: &Received) -> Duration {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", &request.headers["x-sdk-date"]).unwrap();
    Duration::from_secs(TimeZone::UTC.to_timestamp(civil).unwrap().as_second().try_into().unwrap())
}

fn http_date(wall: Duration) -> String {
    let timestamp = jiff::Timestamp::from_second(wall.as_secs().try_into().unwrap()).unwrap();
    timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A server whose clock is so: refuses what was signed at another time, and dates its answers as `dated` says.
async fn server(
    clock: impl Fn() -> Duration + Send + Sync + 'static,
    dated: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Server {
    Server::start(move |request, before| {
        let reply = if signed_at(request).abs_diff(clock()) > ALLOWED {
            Reply::json(401, EXPIRED)
        } else if request.method == "PUT" {
            Reply::json(202, RECORD_SET)
        } else {
            Reply::json(200, MEMBERS)
        };
        reply.with("Date", &dated(before))
    })
    .await
}

/// With keys of the agency.
fn account_of(cloud: &SimulatedCloud) -> Account {
    let here = || Some(cloud.endpoint());
    let settings = Cloud {
        credentials: CredentialsFrom::Agency,
        region: REGION.to_owned(),
        project_id: None,
        domain_id: None,
        endpoints: Endpoints { iam: here(), elb: here(), eip: here(), dns: here(), metadata: here() },
    };
    Account::new(CloudName::parse("main").unwrap(), &settings, Arc::new(|_| {})).unwrap()
}

fn skew(account: &Account) -> Option<String> {
    let alarms = account.alarms();
    assert!(alarms.iter().all(|(alarm, _)| *alarm == Alarm::ClockSkew), "{alarms:?}");
    alarms.into_iter().next().map(|(_, message)| message)
}

#[tokio::test]
async fn a_request_refused_for_its_time_is_signed_anew_once_and_the_next_is_right_at_once() {
    let server = server(|| wall_time() + HOUR, |_| http_date(wall_time() + HOUR)).await;
    let customer = customer(&server.url(), Projects::Configured);
    // A write, which else is sent once: what was refused has changed nothing.
    write(&customer.account).await.unwrap();
    let sent: Vec<Duration> = server.received().iter().map(signed_at).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent[1].abs_diff(sent[0] + HOUR) < Duration::from_secs(60), "{sent:?}");
    for _ in 0..3 {
        look(&customer.account).await.unwrap();
    }
    assert_eq!(server.received().len(), 5, "the correction holds");
    let told = skew(&customer.account).unwrap();
    for part in ["this machine's clock is ", " behind the cloud's", "start chrony or ntpd"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn the_alarm_begins_at_a_minute_and_ends_with_the_difference() {
    let cloud = SimulatedCloud::start(Setup::two_regions()).await.unwrap();
    let account = account_of(&cloud);
    let ask = async || account.load_balancers(REGION, &["any".to_owned()], within(LONG)).await.unwrap();
    for (ahead_s, told) in [
        (0, None),
        (30, None),
        (3 * 3600, Some("behind the cloud's")),
        (-70, Some("s ahead of the cloud's")),
        (10, None),
        (-7 * 24 * 3600, Some("7 days ahead of the cloud's")),
        (0, None),
    ] {
        cloud.set_clock(SignedDuration::from_secs(ahead_s));
        for _ in 0..3 {
            ask().await;
        }
        let skew = skew(&account);
        match told {
            None => assert_eq!(skew, None, "{ahead_s}"),
            Some(told) => {
                assert!(skew.as_ref().is_some_and(|skew| skew.contains(told)), "{ahead_s}: {skew:?}");
            }
        }
    }
    assert!(cloud.requests()[&Api::Elb] <= 7 * 3 + 4, "more than one refusal a step");
}

#[tokio::test]
async fn temporary_keys_last_as_the_clouds_clock_says_whatever_ours_is() {
    for ahead in [-48 * 3600, 48 * 3600] {
        let cloud = SimulatedCloud::start(Setup::two_regions()).await.unwrap();
        cloud.set_clock(SignedDuration::from_secs(ahead));
        let account = account_of(&cloud);
        account.load_balancers(REGION, &["any".to_owned()], within(LONG)).await.unwrap();
        let asked = cloud.requests();
        assert_eq!((asked[&Api::Metadata], asked[&Api::Iam], asked[&Api::Elb]), (2, 1, 1), "{ahead}");
    }
}

#[tokio::test]
async fn one_odd_date_or_nonsense_in_all_of_them_changes_nothing() {
    let odd = server(wall_time, |before| match before % 3 {
        0 => http_date(wall_time() + HOUR),
        _ => http_date(wall_time()),
    });
    let nonsense = server(wall_time, |before| match before % 3 {
        0 => "Thu, 01 Jan 1970 00:00:00 GMT".to_owned(),
        1 => "yesterday".to_owned(),
        _ => "Fri, 31 Dec 9999 23:59:59 GMT".to_owned(),
    });
    for server in [odd.await, nonsense.await] {
        let customer = customer(&server.url(), Projects::Configured);
        for _ in 0..12 {
            look(&customer.account).await.unwrap();
            assert_eq!(skew(&customer.account), None);
        }
        assert_eq!(server.received().len(), 12, "nothing was refused");
    }
}

#[tokio::test]
async fn a_date_that_lies_steadily_costs_one_refusal() {
    for lie in [true, false] {
        // A proxy dates every answer an hour ahead; what checks signatures has the same time as we do.
        let server = server(wall_time, move |_| {
            http_date(if lie { wall_time() + HOUR } else { wall_time().saturating_sub(24 * HOUR) })
        })
        .await;
        let customer = customer(&server.url(), Projects::Configured);
        for _ in 0..10 {
            look(&customer.account).await.unwrap();
            write(&customer.account).await.unwrap();
        }
        assert_eq!(server.received().len(), 21);
        assert_eq!(skew(&customer.account), None);
    }
}

#[tokio::test]
async fn keys_that_are_refused_at_any_time_are_asked_with_twice_at_most() {
    let server =
        Server::start(|_, _| Reply::json(401, EXPIRED).with("Date", &http_date(wall_time() + HOUR))).await;
    let customer = customer(&server.url(), Projects::Configured);
    for turn in 1..=4 {
        let error = look(&customer.account).await.unwrap_err();
        assert!(error.is_credentials() && error.to_string().contains("this machine's clock is"), "{error}");
        assert_eq!(server.received().len(), 2 * turn);
    }
}
