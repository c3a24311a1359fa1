//! One manifest of `MultiClusterIngress`: which load balancer serves which hosts, and what is odd about it.

use std::net::IpAddr;

use super::documents::documents;
use super::report::{At, Report};
use super::tree::{Node, Refusal, Spot, Value};
use crate::model::{ElbRef, Fqdn, quoted};

/// The group of the API that the kind is of.
const GROUP: &str = "networking.karmada.io/";
const KIND: &str = "MultiClusterIngress";

const ELB_ID: &str = "karmada.io/elb.id";
const ELB_PORT: &str = "karmada.io/elb.port";
const ELB_PROJECT: &str = "karmada.io/elb.projectid";
const ELB_HEALTH: &str = "karmada.io/elb.health-check-flag";

/// What else is known of the ELB's annotations: they change how it serves, and not where.
const OTHERS: [&str; 2] = ["karmada.io/elb.health-check-option", "karmada.io/elb.tls-ciphers-policy"];

/// As many as one instance is built for services.
const MANIFESTS_MAX: usize = 1_000;

/// So many things that bite are told of one manifest.
const NOTES_MAX: usize = 20;

/// As many of somebody's words are shown in a message, in characters.
pub(super) const SHOWN_MAX: usize = 60;

/// A manifest that can be used, as far as it goes.
pub(super) struct Manifest {
    /// `NAMESPACE/NAME`, or `NAME` where there is no namespace.
    pub(super) name: String,
    /// Where it begins.
    pub(super) at: At,
    pub(super) elb: (String, At),
    /// The listener's port, and where it is written.
    pub(super) port: (u16, At),
    pub(super) project: Option<String>,
    /// Whom `spec.tls` is for.
    pub(super) tls: Tls,
    pub(super) rules: Vec<Rule>,
    /// What works and bites, for the result.
    pub(super) notes: Vec<String>,
}

/// Whom a certificate is for.
pub(super) enum Tls {
    /// Nobody: plain HTTP.
    None,
    /// All hosts.
    All,
    /// These hosts and wildcards, in small letters.
    Hosts(Vec<String>),
}

/// One rule: a host, and what of it is served.
pub(super) struct Rule {
    pub(super) host: (Fqdn, At),
    pub(super) paths: Vec<Path>,
}

/// One path of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) text: String,
    pub(super) is_prefix: bool,
}

impl Tls {
    /// Whether the host is served over TLS.
    pub(super) fn covers(&self, host: &Fqdn) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Hosts(hosts) => {
                let above = host.host().split_once('.').map(|(_, above)| format!("*.{above}"));
                hosts.iter().any(|named| named == host.host() || Some(named) == above.as_ref())
            }
        }
    }
}

/// What the documents of all files came to.
#[derive(Default)]
pub(super) struct Found {
    /// Those that can be used.
    pub(super) manifests: Vec<Manifest>,
    /// How many were of the kind, whether they can be used or not.
    count: usize,
    /// What each file began with that has none.
    others: Vec<(At, String)>,
}

impl Found {
    /// Files without any manifest are no mistake beside others: there is a pattern for a folder's files.
    pub(super) fn judge(&self, report: &mut Report<'_>) {
        for (at, what) in self.others.iter().filter(|_| self.count == 0) {
            let hint = format!("name files with kind: {KIND} and apiVersion: {GROUP}v1alpha1");
            report.error(*at, format!("no {KIND} in this file, {what}"), hint);
        }
    }
}

/// Reads the manifests of one file; documents of other kinds are passed over with a note.
pub(super) fn read(file: usize, text: &str, found: &mut Found, report: &mut Report<'_>) {
    let documents = match documents(text) {
        Ok(documents) => documents,
        Err(Refusal { at, message, hint }) => {
            report.error(At { file, spot: at }, message, hint);
            return;
        }
    };
    let before = found.count;
    let mut first_other = None;
    for document in &documents {
        // What `kubectl get -o yaml` prints of several is one list.
        let items =
            document.get("items").filter(|_| kind(document).is_some_and(|kind| kind.ends_with("List")));
        for item in items.map_or_else(|| vec![&**document], |items| items.items().collect()) {
            let at = At { file, spot: kind_node(item).unwrap_or(item).at };
            match kind(item) {
                Some(KIND) if is_of_group(item) => {
                    found.count += 1;
                    if found.count > MANIFESTS_MAX {
                        report.error(
                            at,
                            format!("more than {MANIFESTS_MAX} manifests"),
                            "import fewer at a time",
                        );
                        return;
                    }
                    found.manifests.extend(manifest(file, item, report));
                }
                other => {
                    if matches!(item.value, Value::Null) {
                        continue;
                    }
                    let what = match other {
                        Some(KIND) => format!("a {KIND} that is not of {GROUP}v1alpha1"),
                        Some(kind) => format!("a document of kind {}", quoted(kind, SHOWN_MAX)),
                        None => format!("{} without a kind", item.what()),
                    };
                    report.note(at, &format!("passed over {what}"));
                    first_other.get_or_insert((at, what));
                }
            }
        }
    }
    if found.count == before {
        let start = Spot { line: 1, from: 0, length: 1 };
        let only = first_other.map(|(at, what)| (at, format!("only {what}")));
        found.others.push(only.unwrap_or((At { file, spot: start }, "which is empty".to_owned())));
    }
}

fn kind_node(document: &Node) -> Option<&Node> {
    document.get("kind")
}

fn kind(document: &Node) -> Option<&str> {
    kind_node(document)?.text()
}

fn is_of_group(document: &Node) -> bool {
    document.get("apiVersion").and_then(Node::text).is_some_and(|version| version.starts_with(GROUP))
}

fn manifest(file: usize, document: &Node, report: &mut Report<'_>) -> Option<Manifest> {
    let at = |node: &Node| At { file, spot: node.at };
    let head = at(kind_node(document).unwrap_or(document));
    let name = name(document);
    let metadata = document.get("metadata");
    let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
    let annotation = |key: &str| annotations.and_then(|all| all.entry(key));
    let place = document.entry("metadata").map_or(head, |(key, _)| at(key));
    let place = metadata.and_then(|all| all.entry("annotations")).map_or(place, |(key, _)| at(key));

    let elb = match annotation(ELB_ID) {
        None => {
            let hint = format!(
                "add {ELB_ID}: ID under metadata.annotations, the id of the load balancer that serves this region"
            );
            report.error(place, format!("{name} has no {ELB_ID}: nothing says where it is served"), hint);
            None
        }
        Some((_, node)) => elb_id(node, at(node), report),
    };
    let tls = tls(document);
    let mut notes = Vec::new();
    let port = match annotation(ELB_PORT) {
        None => {
            let assumed = if matches!(tls, Tls::None) { 80 } else { 443 };
            let message = format!("{name} has no {ELB_PORT}; {assumed} is assumed");
            report.warning(place, message, "add the port of the load balancer's listener, as a text");
            notes.push(format!("{ELB_PORT} is left out; {assumed} is assumed."));
            Some((assumed, place))
        }
        Some((_, node)) => elb_port(node, at(node), report),
    };
    let flag = annotation(ELB_HEALTH).map(|(_, node)| node);
    if flag.and_then(Node::text) != Some("on") {
        let how = if flag.is_some() { "is not \"on\"" } else { "is left out" };
        let message = format!("{name}: {ELB_HEALTH} {how}, so its load balancer looks at no backend");
        let hint =
            format!("write {ELB_HEALTH}: \"on\"; until then the check elb tells nothing of this region");
        report.warning(flag.map_or(place, at), message, hint);
        notes.push(format!(
            "{ELB_HEALTH} {how}: the load balancer looks at no backend, so that the check elb tells nothing here. Turn it on."
        ));
    }
    for (key, value) in annotations.iter().flat_map(|all| all.entries()) {
        let known = [ELB_ID, ELB_PORT, ELB_PROJECT, ELB_HEALTH].into_iter().chain(OTHERS);
        let Some(text) = key.text().filter(|text| text.starts_with("karmada.io/elb.")) else { continue };
        if notes.len() < NOTES_MAX && known.into_iter().all(|known| known != text) {
            let shown = quoted(text, SHOWN_MAX);
            let hint = "see whether it changes where or how the host is served; nothing here follows it";
            report.warning(at(key), format!("{shown} is not known here"), hint);
            let value = quoted(value.text().unwrap_or("…"), SHOWN_MAX);
            notes.push(format!(
                "{shown} = {value} is not known here: see whether it changes how the host is served."
            ));
        }
    }
    let default = ["defaultBackend", "backend"].into_iter().find_map(|key| document.get("spec")?.entry(key));
    if let Some((key, _)) = default {
        let hint = "a name is kept for each host of a rule; add a service by hand for others";
        report.warning(at(key), format!("{name}: the default backend has no host, and is passed over"), hint);
        notes.push("The default backend of its manifest has no host, and is passed over.".to_owned());
    }
    let project = annotation(ELB_PROJECT).and_then(|(_, node)| node.text()).filter(|text| !text.is_empty());
    let rules = rules(document, &name, file, head, report);
    Some(Manifest {
        at: head,
        elb: elb?,
        port: port?,
        project: project.map(|project| quoted(project, SHOWN_MAX)),
        tls,
        rules,
        notes,
        name,
    })
}

/// What messages call it.
fn name(document: &Node) -> String {
    let part = |key: &str| document.get("metadata").and_then(|all| all.get(key)).and_then(Node::text);
    let shown = |text: &str| quoted(text, SHOWN_MAX);
    match (part("namespace"), part("name")) {
        (Some(namespace), Some(name)) => format!("{}/{}", shown(namespace), shown(name)),
        (None, Some(name)) => shown(name),
        (_, None) => "a manifest without a name".to_owned(),
    }
}

fn elb_id(node: &Node, at: At, report: &mut Report<'_>) -> Option<(String, At)> {
    let id = node.text().filter(|id| ElbRef::is_id(id));
    if id.is_none() {
        let hint = "write the id that the console shows for the load balancer, a UUID";
        report.error(at, format!("{ELB_ID} is no id"), hint);
    }
    Some((id?.to_owned(), at))
}

fn elb_port(node: &Node, at: At, report: &mut Report<'_>) -> Option<(u16, At)> {
    let digits = node.text().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits.and_then(|text| text.parse().ok()).filter(|port| *port > 0);
    if port.is_none() {
        report.error(at, format!("{ELB_PORT} is no port"), "write a port from 1 to 65535: \"80\"");
    }
    Some((port?, at))
}

fn tls(document: &Node) -> Tls {
    let entries: Vec<&Node> = document
        .get("spec")
        .and_then(|spec| spec.get("tls"))
        .map_or_else(Vec::new, |tls| tls.items().collect());
    if entries.is_empty() {
        return Tls::None;
    }
    let mut named = Vec::new();
    for entry in entries {
        let hosts = entry.get("hosts").into_iter().flat_map(Node::items).filter_map(Node::text);
        let before = named.len();
        named.extend(hosts.map(|host| host.trim_end_matches('.').to_ascii_lowercase()));
        if named.len() == before {
            return Tls::All;
        }
    }
    Tls::Hosts(named)
}

fn rules(document: &Node, name: &str, file: usize, head: At, report: &mut Report<'_>) -> Vec<Rule> {
    let at = |node: &Node| At { file, spot: node.at };
    let spec = document.get("spec");
    let hint = "add spec.rules with a host for each name that is to be kept";
    let Some((key, rules)) = spec.and_then(|spec| spec.entry("rules")) else {
        report.error(head, format!("{name} has no rules, so no host"), hint);
        return Vec::new();
    };
    if rules.items().next().is_none() {
        report.error(at(key), format!("{name}: rules is {}, so there is no host", rules.what()), hint);
    }
    rules.items().filter_map(|rule| read_rule(rule, name, file, report)).collect()
}

fn read_rule(rule: &Node, name: &str, file: usize, report: &mut Report<'_>) -> Option<Rule> {
    let at = |node: &Node| At { file, spot: node.at };
    let Some((text, node)) =
        rule.get("host").and_then(|node| Some((node.text()?, node))).filter(|(text, _)| !text.is_empty())
    else {
        let hint = "write host: NAME in it: without one there is no name to keep";
        report.error(at(rule), format!("{name}: a rule without a host"), hint);
        return None;
    };
    let bare = text.trim_end_matches('.');
    let host = match Fqdn::parse(text) {
        Ok(host) if bare.parse::<IpAddr>().is_err() && bare != "*" => host,
        Ok(_) if bare == "*" => {
            let hint = "write a name, or a wildcard of a zone: *.localdev.me";
            report.error(at(node), "the host stands for every name there is", hint);
            return None;
        }
        Ok(_) => {
            report.error(at(node), "the host is an address", "write a name: an address has no record set");
            return None;
        }
        Err(error) => {
            let hint = "write a name in ASCII without a port: demo.localdev.me";
            report.error(at(node), format!("the host {}", error.problem), hint);
            return None;
        }
    };
    let paths = rule.get("http").and_then(|http| http.get("paths"));
    let paths = paths.iter().flat_map(|paths| paths.items()).filter_map(|path| {
        let text = path.get("path").and_then(Node::text).filter(|text| !text.is_empty())?;
        let is_prefix = path.get("pathType").and_then(Node::text) == Some("Prefix");
        Some(Path { text: text.to_owned(), is_prefix })
    });
    Some(Rule { paths: paths.collect(), host: (host, at(node)) })
}
