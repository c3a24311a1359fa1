//! The API's front door: which service a request is for, what fault strikes it, whose it is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answer::{Call, Refusal};
use super::cloud::Cloud;
use super::dns::{self, TakenUp};
use super::fault::{Api, Effect, When};
use super::http::{Action, Reply, Request, converse, decode};
use super::records::Fate;
use super::signature::{self, KnownKey};
use super::state::State;
use super::{control, eip, elb, iam, stamp};
use crate::clock;

/// Connections the API keeps at a time; a client keeps a handful.
const MAX_CONNECTIONS: usize = 1024;

/// How often a request that is held looks whether it still is: soon enough for a person.
const HELD_FOR: Duration = Duration::from_millis(5);

/// Serves the API until `stop`.
pub(super) async fn serve(cloud: Arc<Cloud>, listener: TcpListener, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                if let Ok((stream, _)) = accepted {
                    let cloud = Arc::clone(&cloud);
                    connections.spawn(async move {
                        converse(stream, |request| dated(&cloud, request)).await;
                    });
                }
            }
        }
    }
    connections.shutdown().await;
}

/// The answer, with the cloud's own date.
async fn dated(cloud: &Cloud, request: Request) -> Action {
    match answer(cloud, request).await {
        Action::Answer(reply) => Action::Answer(reply.header("Date", stamp::http(cloud.state().wall_time()))),
        other @ (Action::Close | Action::Silence) => other,
    }
}

async fn answer(cloud: &Cloud, request: Request) -> Action {
    let path = decode(&request.path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if let ["sim", rest @ ..] = segments.as_slice() {
        return Action::Answer(control::answer(cloud, rest, &request).await);
    }
    let request_id = cloud.request_id();
    let Some(api) = service(&segments) else {
        return Action::Answer(named(
            Refusal::no_such_call().reply(Api::Elb, &request_id),
            Api::Elb,
            &request_id,
        ));
    };
    let project = project(cloud, &segments, &request);
    let effect = {
        let mut state = cloud.state();
        *state.requests.entry(api).or_insert(0) += 1;
        let State { regions, faults, .. } = &mut *state;
        let of_project = regions.iter().filter(|region| Some(&region.setup.project_id) == project.as_ref());
        let names: Vec<&str> = of_project.map(|region| region.setup.name.as_str()).collect();
        faults.strike(api, &names, &request)
    };
    if let Some(action) = effect.as_ref().and_then(|effect| instead(effect, api, &request_id, &request)) {
        return action;
    }
    if effect == Some(Effect::Held { when: When::Before }) {
        hold(cloud).await;
    }
    let now = clock::instant_now();
    let settle = cloud.setup.settle;
    let (fate, taken_up) = match &effect {
        Some(Effect::SlowToSettle { delay }) => (Fate::Settles(*delay), TakenUp::Now),
        Some(Effect::StuckPending { in_force }) => (Fate::Stuck(in_force.then_some(settle)), TakenUp::Now),
        Some(Effect::EndsInError) => (Fate::Fails(settle), TakenUp::Now),
        Some(Effect::AppliedLate { delay }) => (Fate::Settles(settle), TakenUp::At(now + *delay)),
        _ => (Fate::Settles(settle), TakenUp::Now),
    };
    let call = Order { api, segments: &segments, project: project.as_deref(), fate, taken_up };
    let (reply, refused) = match carry_out(cloud, &call, &request, &request_id) {
        Ok(reply) => (reply, false),
        Err(refusal) => (refusal.reply(api, &request_id), true),
    };
    cloud.bell.notify_one();
    if api == Api::Eip && request.is_write() && cloud.align_doors().await.is_err() {
        return Action::Close;
    }
    if effect == Some(Effect::Held { when: When::After }) {
        hold(cloud).await;
    }
    after(effect.filter(|_| !refused), named(reply, api, &request_id), &request).await
}

/// Until no fault holds requests any more.
async fn hold(cloud: &Cloud) {
    cloud.state().held += 1;
    while cloud.state().faults.hold() {
        sleep(HELD_FOR).await;
    }
    cloud.state().held -= 1;
}

/// What happens instead of carrying the request out.
fn instead(effect: &Effect, api: Api, request_id: &str, request: &Request) -> Option<Action> {
    let refuse = |status: u16| {
        let message = match status {
            401 => "Incorrect IAM authentication information: verify aksk signature fail",
            403 => "Policy doesn't allow the action to be performed.",
            404 => "The object could not be found.",
            429 => {
                "The throttling threshold has been reached: policy user over ratelimit, limit:10, time:1 minute"
            }
            _ => "A simulated fault.",
        };
        named(Refusal::usual(status, message).reply(api, request_id), api, request_id)
    };
    match effect {
        Effect::Error { status } => Some(Action::Answer(refuse(*status))),
        Effect::Throttle { retry_after: None } => Some(Action::Answer(refuse(429))),
        Effect::Throttle { retry_after: Some(seconds) } => {
            Some(Action::Answer(refuse(429).header("Retry-After", seconds.to_string())))
        }
        Effect::Html { status } => {
            let page = format!(
                "<html>\r\n<head><title>{status}</title></head>\r\n<body>api-gateway</body>\r\n</html>\r\n"
            );
            Some(Action::Answer(Reply::text(*status, "text/html", page).header("Server", "api-gateway")))
        }
        Effect::Empty => Some(Action::Answer(named(Reply::json(200, &json!({})), api, request_id))),
        Effect::Closed => Some(Action::Close),
        Effect::Hidden { id } => request.path.contains(id.as_str()).then(|| Action::Answer(refuse(404))),
        Effect::RefusedId { id } => {
            request.query().all("id").any(|asked| asked == id).then(|| Action::Answer(refuse(400)))
        }
        Effect::Truncated
        | Effect::OtherEip { .. }
        | Effect::Missing { .. }
        | Effect::Slow { .. }
        | Effect::Held { .. }
        | Effect::AnswerLost
        | Effect::AppliedLate { .. }
        | Effect::SlowToSettle { .. }
        | Effect::StuckPending { .. }
        | Effect::EndsInError => None,
    }
}

/// What happens to the answer of a request that was carried out.
async fn after(effect: Option<Effect>, mut reply: Reply, request: &Request) -> Action {
    match effect {
        Some(Effect::Slow { delay }) => sleep(delay).await,
        Some(Effect::AnswerLost | Effect::AppliedLate { .. }) => return Action::Close,
        Some(Effect::Truncated) => reply.body.truncate(reply.body.len() / 2),
        Some(Effect::Missing { id }) => leave_out(&mut reply, id.as_deref()),
        Some(Effect::Hidden { id }) => {
            let listed_by_it = request.query().all("loadbalancer_id").any(|asked| asked == id);
            leave_out(&mut reply, Some(id.as_str()).filter(|_| !listed_by_it));
        }
        Some(Effect::OtherEip { address }) => bind(&mut reply, address),
        _ => {}
    }
    Action::Answer(reply)
}

fn leave_out(reply: &mut Reply, id: Option<&str>) {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else { return };
    let missing = |item: &Value| id.is_none_or(|id| item.get("id").and_then(Value::as_str) == Some(id));
    for items in body.values_mut().filter_map(Value::as_array_mut) {
        items.retain(|item| !missing(item));
    }
    reply.body = Value::Object(body).to_string().into_bytes();
}

/// Every load balancer of the answer, a list or a single one, has this EIP alone.
fn bind(reply: &mut Reply, address: Option<IpAddr>) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
    let version = if address.is_some_and(|address| address.is_ipv6()) { 6 } else { 4 };
    let listed = |key: &str| address.map(|address| json!({key: address, "ip_version": version}));
    let mut elbs: Vec<&mut Value> = Vec::new();
    if let Some(body) = body.as_object_mut() {
        for (key, value) in body {
            match key.as_str() {
                "loadbalancer" => elbs.push(value),
                "loadbalancers" => elbs.extend(value.as_array_mut().into_iter().flatten()),
                _ => {}
            }
        }
    }
    for elb in elbs.into_iter().filter_map(Value::as_object_mut) {
        elb.insert("eips".to_owned(), json!(Vec::from_iter(listed("eip_address"))));
        elb.insert("publicips".to_owned(), json!(Vec::from_iter(listed("publicip_address"))));
    }
    reply.body = body.to_string().into_bytes();
}

/// One request, understood.
struct Order<'a> {
    api: Api,
    segments: &'a [&'a str],
    project: Option<&'a str>,
    fate: Fate,
    taken_up: TakenUp,
}

fn carry_out(
    cloud: &Cloud,
    order: &Order<'_>,
    request: &Request,
    request_id: &str,
) -> Result<Reply, Refusal> {
    let state = &mut *cloud.state();
    if order.api == Api::Metadata {
        let now = state.wall_time();
        return Ok(state.agency.answer(request, now));
    }
    let caller = caller(cloud, state, request)?;
    let query = request.query();
    let call = Call { request, query: &query, request_id, caller: &caller };
    if order.api == Api::Iam {
        return iam::answer(state, order.segments.get(1..).unwrap_or_default(), &call);
    }
    let project = order.project.unwrap_or_default();
    if !state.regions.iter().any(|region| region.setup.project_id == project) {
        let message = format!("The IAM user has no right to project {project}");
        return Err(Refusal::new(403, "APIGW.0302", message));
    }
    match order.segments {
        [_, _, "elb", path @ ..] => elb::answer(state, project, path, &call),
        [_, _, "eip", path @ ..] => eip::answer(state, project, path, &call),
        ["v1", _, "publicips", path @ ..] => eip::answer_v1(state, project, path, &call),
        path => dns::answer(&mut state.records, project, path, &call, order.fate, order.taken_up),
    }
}

/// The access key that signed the request.
fn caller(cloud: &Cloud, state: &State, request: &Request) -> Result<String, Refusal> {
    let now = state.wall_time();
    let find = |access: &str| {
        if access == cloud.setup.access_key {
            return Some(KnownKey { secret: cloud.setup.secret_key.clone(), token: None });
        }
        state.agency.find(access, now)
    };
    let verified = signature::verify(request, now, find);
    verified.map_err(|refused| Refusal::usual(401, refused.to_string()))
}

fn service(segments: &[&str]) -> Option<Api> {
    match segments {
        ["meta-data" | "openstack", ..] => Some(Api::Metadata),
        ["v3", "projects" | "auth", ..] => Some(Api::Iam),
        ["v3", _, "elb", ..] => Some(Api::Elb),
        ["v3", _, "eip", ..] | ["v1", _, "publicips", ..] => Some(Api::Eip),
        ["v2" | "v2.1", "zones" | "recordsets", ..] => Some(Api::Dns),
        _ => None,
    }
}

/// The project in the path; DNS paths have none, there it is a header's, or the zone's own.
fn project(cloud: &Cloud, segments: &[&str], request: &Request) -> Option<String> {
    match (service(segments)?, segments) {
        (Api::Elb | Api::Eip, [_, project, ..]) => Some((*project).to_owned()),
        (Api::Dns, _) => request
            .header("x-project-id")
            .or(cloud.setup.regions.first().map(|region| region.project_id.as_str()))
            .map(str::to_owned),
        _ => None,
    }
}

/// With the header that names the request.
fn named(reply: Reply, api: Api, request_id: &str) -> Reply {
    match api {
        Api::Iam => reply.header("X-IAM-Trace-Id", format!("iam_{request_id}")),
        Api::Metadata => reply,
        Api::Elb | Api::Eip | Api::Dns => reply.header("X-Request-Id", request_id),
    }
}
