//! The stories: what is done to the regions, and what must come of it.

use std::time::Duration;

use super::Scenario;
use super::report::Report;
use super::stage::{Stage, Timing};
use crate::clock::instant_now;
use crate::core::{Course, Effect, Failover};
use crate::daemon::Event;
use crate::huawei::MemberState;
use crate::model::{Alarm, Liveness, Moment, Outcome};
use crate::sim::{Api, Effect as Trouble, EndpointState, Fault};

/// Past this a step that was waited for has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the daemon may add of its own between the last failing look and the write; its promise.
const OWN_TIME: Duration = Duration::from_millis(100);
/// How often a region dies and comes back in the flapping drill.
const FLAPS: u32 = 3;

impl Scenario {
    /// How fast it goes.
    pub(super) fn timing(self) -> Timing {
        let recover_after = match self {
            // Its waits double, and all of them have to fit in a minute.
            Self::Flap => Duration::from_millis(2_500),
            Self::Drill
            | Self::ClusterDown
            | Self::EipUnbound
            | Self::Endpoint503
            | Self::AllDown
            | Self::ApiOutage => Duration::from_secs(6),
        };
        Timing {
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 3,
            recover_after,
        }
    }
}

/// Plays one, and says how it went.
pub(super) async fn play(stage: &mut Stage, scenario: Scenario) -> anyhow::Result<Report> {
    let mut report = Report::default();
    if !both_serve(stage, &mut report).await? {
        return Ok(report);
    }
    match scenario {
        Scenario::Drill | Scenario::ClusterDown | Scenario::EipUnbound | Scenario::Endpoint503 => {
            region_dies_and_returns(stage, scenario, &mut report).await?;
        }
        Scenario::AllDown => all_down(stage, &mut report).await?,
        Scenario::ApiOutage => api_outage(stage, &mut report).await?,
        Scenario::Flap => flap(stage, &mut report).await?,
    }
    clients_move(stage, &mut report).await?;
    Ok(report)
}

/// A failover is over when clients get the new answer, and not when the API says so.
async fn clients_move(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    let over = |line: &Failover| match line.course {
        Course::Moved => line.fetched.is_some(),
        Course::Superseded | Course::CalledOff => true,
        Course::Writing | Course::Witnessing | Course::Unconfirmed => false,
    };
    let told = stage.until(PATIENCE, |stage| stage.failovers.values().all(|line| over(line))).await?;
    let served = stage.failovers.values().filter_map(|line| line.fetched.as_ref()).all(|got| got.served);
    if !stage.failovers.is_empty() {
        report.step(
            "clients get each new answer, and it works",
            "the witness shows it, a client is served",
            format!("{} failovers, in the ledger below", stage.failovers.len()),
            None,
            told.is_some() && served,
        );
    }
    report.ledger(stage.failovers.values().cloned());
    Ok(())
}

async fn both_serve(stage: &mut Stage, report: &mut Report) -> anyhow::Result<bool> {
    stage.act(stage.now(), "both regions serve; pointsman has just been started")?;
    let began = stage.now();
    let up = |stage: &Stage| both_are(stage, Liveness::Up) && stage.zone_holds(&["region1", "region2"]);
    let seen = stage.until(PATIENCE, up).await?;
    let answers = answers(stage).await;
    let seen_text = format!("{answers}, {} writes", stage.writes());
    let well = seen.is_some() && answers.all_served() && stage.writes() == 0;
    report.step(
        "both regions serve",
        "2 up, 2 EIPs answer 200, no write",
        seen_text,
        took(began, seen),
        well,
    );
    Ok(well)
}

async fn region_dies_and_returns(
    stage: &mut Stage,
    scenario: Scenario,
    report: &mut Report,
) -> anyhow::Result<()> {
    stage.watch(Duration::from_secs(1)).await?;
    let broken = stage.now();
    stage.act(broken, what_breaks(scenario))?;
    break_region(stage, scenario, "region1").await?;

    let left = stage.until(PATIENCE, |stage| stage.zone_holds(&["region2"])).await?;
    report.step(
        "region1's EIP leaves the record set",
        "the zone holds EIP 2 alone",
        zone(stage),
        took(broken, left),
        left.is_some(),
    );
    if let Some(left) = left {
        against_the_bound(stage, broken, left, report);
    }
    if matches!(scenario, Scenario::Drill | Scenario::ClusterDown) {
        failed_backends(stage, report).await;
    }
    let answers_now = answers(stage).await;
    report.step(
        "the name still answers 200",
        "every address that the zone gives",
        answers_now.to_string(),
        None,
        answers_now.all_served(),
    );
    // The writes have been read back before the region returns.
    stage.watch(Duration::from_secs(2)).await?;

    let mended = stage.now();
    stage.act(mended, "region1 returns: what was broken works again")?;
    mend_region(stage, "region1").await?;
    let back = stage.until(PATIENCE, |stage| stage.zone_holds(&["region1", "region2"])).await?;
    let wait = took(mended, back);
    report.step(
        "region1 is put back",
        format!("no sooner than recover_after = {:?}", stage.timing.recover_after),
        zone(stage),
        wait,
        wait.is_some_and(|wait| wait >= stage.timing.recover_after),
    );
    stage.watch(Duration::from_secs(1)).await?;
    let answers_now = answers(stage).await;
    report.step(
        "both regions answer again",
        "200 from both EIPs",
        answers_now.to_string(),
        None,
        answers_now.all_served(),
    );
    clients(stage, broken, left, report);
    Ok(())
}

/// Holds what was seen against the promise, from the start of the first failing look on.
fn against_the_bound(stage: &Stage, broken: Moment, left: Moment, report: &mut Report) {
    let fails = stage.past.iter().filter_map(|(_, event)| match event {
        Event::Looked(look) if matches!(look.outcome, Outcome::Fail(_)) && look.started >= broken => {
            Some(look)
        }
        Event::Looked(_) | Event::Effect(_) | Event::Reported { .. } | Event::Own(_) => None,
    });
    let fails: Vec<_> = fails.filter(|look| look.started <= left).collect();
    let planned = stage.past.iter().find_map(|(at, event)| match event {
        Event::Effect(Effect::Apply(_)) if *at >= broken => Some(*at),
        Event::Effect(_) | Event::Looked(_) | Event::Reported { .. } | Event::Own(_) => None,
    });
    let Some(first) = fails.iter().map(|look| look.started).min() else { return };
    let Some(planned) = planned else { return };
    let longest = fails.iter().map(|look| look.latency).max().unwrap_or_default();
    let last = fails.iter().filter(|look| look.started <= planned).max_by_key(|look| look.started);
    let last = last.map(|look| look.latency).unwrap_or_default();
    let api = left.since(planned);
    let pace = stage.timing.fast_interval.max(longest);
    let bound = pace * (stage.timing.fall - 1) + last + api + OWN_TIME;
    let took = left.since(first);
    report.step(
        "from the first failing look to the zone",
        format!("at most {:.2} s, the API's {:.2} s included", bound.as_secs_f64(), api.as_secs_f64()),
        format!("{} failing looks, the longest {:.2} s", fails.len(), longest.as_secs_f64()),
        Some(took),
        took <= bound,
    );
}

/// What a person would check on the console.
async fn failed_backends(stage: &Stage, report: &mut Report) {
    let step = "the ELB shows failed backends";
    let expected = "no member of region1 is ONLINE";
    let Some(region) = stage.cloud.setup().regions.iter().find(|region| region.name == "region1") else {
        return;
    };
    let deadline = instant_now() + Duration::from_secs(5);
    match stage.account.load_balancer_statuses(&region.cloud_region, &region.elb_id, deadline).await {
        Ok(tree) => {
            let pools = tree.listeners.iter().flat_map(|listener| &listener.pools);
            let members: Vec<_> = pools.flat_map(|pool| &pool.members).collect();
            let online = members.iter().filter(|member| member.state == MemberState::Online).count();
            let seen = format!("{} of {} are, the ELB is {}", online, members.len(), tree.operating_status);
            report.step(step, expected, seen, None, online == 0 && !members.is_empty());
        }
        Err(error) => report.step(step, expected, error.to_string(), None, false),
    }
}

async fn all_down(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    stage.watch(Duration::from_secs(1)).await?;
    let broken = stage.now();
    stage.act(broken, "every region dies: no cluster runs, no endpoint answers")?;
    for region in ["region1", "region2"] {
        break_region(stage, Scenario::ClusterDown, region).await?;
    }
    let alarmed = stage.until(PATIENCE, |stage| has_alarm(stage, Alarm::AllDown)).await?;
    report.step("it is alarmed", "all_down", alarms(stage), took(broken, alarmed), alarmed.is_some());
    stage.watch(Duration::from_secs(6)).await?;
    let held = stage.zone_holds(&["region1", "region2"]) && stage.writes() == 0;
    report.step("nothing is emptied", "2 EIPs in the zone, no write", whole(stage), None, held);

    let mended = stage.now();
    stage.act(mended, "the regions return")?;
    for region in ["region1", "region2"] {
        mend_region(stage, region).await?;
    }
    let up = stage.until(PATIENCE, |stage| both_are(stage, Liveness::Up) && stage.alarms.is_empty()).await?;
    let well = up.is_some() && stage.writes() == 0 && stage.zone_holds(&["region1", "region2"]);
    report.step("all is well again", "2 up, no alarm, no write", whole(stage), took(mended, up), well);
    Ok(())
}

async fn api_outage(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    stage.watch(Duration::from_secs(1)).await?;
    let broken = stage.now();
    stage.act(broken, "the cloud's API breaks: every call is answered 503; the regions serve as ever")?;
    for api in [Api::Iam, Api::Elb, Api::Eip, Api::Dns] {
        stage.cloud.fault(Fault::new(api, Trouble::Error { status: 503 }));
    }
    let alarmed = stage.until(PATIENCE, |stage| has_alarm(stage, Alarm::Blind)).await?;
    report.step("it says that it is blind", "blind", alarms(stage), took(broken, alarmed), alarmed.is_some());
    stage.watch(Duration::from_secs(12)).await?;
    let held = stage.zone_holds(&["region1", "region2"]) && stage.writes() == 0;
    report.step("nothing is removed", "2 EIPs in the zone, no write", whole(stage), None, held);
    let calm = both_are(stage, Liveness::Up);
    let states =
        format!("region1 {}, region2 {}", stage.liveness_of("region1"), stage.liveness_of("region2"));
    report.step("no region is taken for dead", "both up", states, None, calm);

    let mended = stage.now();
    stage.act(mended, "the API is back")?;
    stage.cloud.clear_faults();
    let clear = stage.until(PATIENCE, |stage| stage.alarms.is_empty()).await?;
    report.step("it sees again", "no alarm", alarms(stage), took(mended, clear), clear.is_some());
    Ok(())
}

async fn flap(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    let mut least = stage.timing.recover_after;
    for flap in 1..=FLAPS {
        stage.watch(Duration::from_millis(500)).await?;
        let broken = stage.now();
        stage.act(broken, "region1's endpoint answers 503")?;
        break_region(stage, Scenario::Endpoint503, "region1").await?;
        let left = stage.until(PATIENCE, |stage| stage.zone_holds(&["region2"])).await?;
        let step = format!("fall {flap}: region1 leaves");
        report.step(step, "the zone holds EIP 2 alone", zone(stage), took(broken, left), left.is_some());

        let mended = stage.now();
        stage.act(mended, "region1's endpoint answers 200")?;
        mend_region(stage, "region1").await?;
        let back = stage.until(least + PATIENCE, |stage| stage.zone_holds(&["region1", "region2"])).await?;
        let wait = took(mended, back);
        let expected = format!("no sooner than {least:?}");
        report.step(
            format!("return {flap}: region1 is put back"),
            expected,
            zone(stage),
            wait,
            wait >= Some(least),
        );
        least *= 2;
    }
    let writes = stage.writes();
    let budget = 6;
    report.step(
        "writes are bounded",
        format!("at most {budget} in 10 min"),
        format!("{writes} writes"),
        None,
        writes <= budget,
    );
    Ok(())
}

fn what_breaks(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Drill => {
            "region1's cluster hibernates: its members go offline, its endpoint is dead, its EIP is unbound"
        }
        Scenario::ClusterDown | Scenario::AllDown => {
            "region1's cluster stops: its members go offline, its endpoint is dead"
        }
        Scenario::EipUnbound => "region1's EIP is unbound: what is sent to it is swallowed",
        Scenario::Endpoint503 | Scenario::Flap => "region1's endpoint answers 503",
        Scenario::ApiOutage => "the cloud's API breaks",
    }
}

async fn break_region(stage: &Stage, scenario: Scenario, name: &str) -> anyhow::Result<()> {
    let region = stage.cloud.region(name)?;
    match scenario {
        Scenario::Drill => {
            region.members_offline();
            region.eip_unbind().await?;
        }
        Scenario::ClusterDown | Scenario::AllDown => {
            region.members_offline();
            region.endpoint(EndpointState::Refuse).await?;
        }
        Scenario::EipUnbound => region.eip_unbind().await?,
        Scenario::Endpoint503 | Scenario::Flap => {
            region.endpoint(EndpointState::Status { status: 503 }).await?;
        }
        Scenario::ApiOutage => {}
    }
    Ok(())
}

async fn mend_region(stage: &Stage, name: &str) -> anyhow::Result<()> {
    let region = stage.cloud.region(name)?;
    region.members_online();
    region.eip_rebind().await?;
    region.endpoint(EndpointState::Serve).await?;
    Ok(())
}

/// What the addresses that the zone gives answer.
struct Answers {
    served: usize,
    asked: usize,
    trouble: Option<String>,
}

impl Answers {
    fn all_served(&self) -> bool {
        self.asked > 0 && self.served == self.asked && self.trouble.is_none()
    }
}

impl std::fmt::Display for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.trouble {
            Some(trouble) => f.write_str(trouble),
            None => write!(f, "200 from {} of {} addresses", self.served, self.asked),
        }
    }
}

async fn answers(stage: &Stage) -> Answers {
    match stage.client.resolve().await {
        Ok(addresses) => {
            let mut served = 0;
            for address in &addresses {
                served += usize::from(stage.client.fetch(*address).await);
            }
            Answers { served, asked: addresses.len(), trouble: None }
        }
        Err(error) => Answers { served: 0, asked: 0, trouble: Some(format!("{error:#}")) },
    }
}

/// What somebody went through who used the name all the time.
fn clients(stage: &Stage, broken: Moment, left: Option<Moment>, report: &mut Report) {
    let failed: Vec<_> = stage.samples.iter().filter(|sample| !sample.served).collect();
    let late = failed.iter().filter(|sample| left.is_none_or(|left| sample.began > left)).count();
    // One that was under way when the region broke may fail; one that was over by then may not.
    let early = failed.iter().filter(|sample| sample.ended < broken).count();
    let suffered = failed.iter().map(|sample| sample.began.since(broken)).max();
    let seen = format!(
        "{} of {} requests failed, {early} of them before and {late} after",
        failed.len(),
        stage.samples.len()
    );
    report.step(
        "a client that asks all the time",
        "none fails once EIP 1 has left",
        seen,
        suffered,
        late + early == 0,
    );
}

fn both_are(stage: &Stage, liveness: Liveness) -> bool {
    stage.liveness_of("region1") == liveness && stage.liveness_of("region2") == liveness
}

fn has_alarm(stage: &Stage, alarm: Alarm) -> bool {
    stage.alarms.iter().any(|(known, _)| *known == alarm)
}

fn alarms(stage: &Stage) -> String {
    let mut names: Vec<_> = stage.alarms.iter().map(|(alarm, _)| alarm.as_str()).collect();
    names.dedup();
    if names.is_empty() { "no alarm".to_owned() } else { names.join(", ") }
}

fn zone(stage: &Stage) -> String {
    let values: Vec<_> = stage.zone_answers().iter().map(ToString::to_string).collect();
    if values.is_empty() { "the zone holds nothing".to_owned() } else { values.join(", ") }
}

fn whole(stage: &Stage) -> String {
    format!("{}; {} writes, {}", zone(stage), stage.writes(), alarms(stage))
}

fn took(from: Moment, to: Option<Moment>) -> Option<Duration> {
    to.map(|to| to.since(from))
}
