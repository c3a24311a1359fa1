//! Services as a configuration that a person reads first: every value that the manifests do not say is marked.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::services::{Region, Service};
use crate::model::{Fqdn, count_in_words, quoted};

/// Where comments start, as in the examples.
const COLUMN: usize = 43;

/// How wide a line gets.
const WIDTH: usize = 118;

/// A name of so many bytes takes no more than one before it.
const LONG: usize = 240;

/// The mark of what a person must decide.
const DECIDE: &str = "DECIDE";

/// The longest name that is made, with room for a number.
const NAME_MAX: usize = 58;

/// A configuration of these services, of so many manifests in these files.
pub(super) fn write(services: &[Service], manifests: usize, files: &[String]) -> String {
    let zones = sections(zones(services));
    let mut body = Text::default();
    body.account();
    for (zone, section) in &zones {
        body.zone(zone, section);
    }
    let mut names = BTreeSet::new();
    for service in services {
        body.service(service, &zones, &mut names);
    }
    let decisions = body.text.matches(&format!("# {DECIDE}: ")).count();
    let mut head = Text::default();
    head.note(&format!(
        "Made by `pointsman import mci {}`: {} of {}.",
        files_in_words(files),
        count_in_words(services.len(), "service"),
        count_in_words(manifests, "manifest"),
    ));
    head.note(&format!(
        "`pointsman check` accepts it as it stands. It works once the {decisions} values marked {DECIDE} are right, which \
         manifests do not say; HOME-REGION, REGION-1 and so on each stand for one value. Then:"
    ));
    head.text.push_str(
        "#   pointsman check --online --config FILE    # is all of it there in the cloud?\n\
         #   pointsman plan --config FILE              # look once, and show what would be written\n",
    );
    head.text + &body.text
}

/// As many files as fit into a line or two.
fn files_in_words(files: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut words: Vec<String> = files.iter().take(SHOWN).map(|file| quoted(file, WIDTH)).collect();
    if files.len() > SHOWN {
        words.push(format!("… ({} more)", files.len() - SHOWN));
    }
    words.join(" ")
}

/// The zones that hold the hosts, each once: the name above a host, unless that is within another one's.
fn zones(services: &[Service]) -> Vec<Fqdn> {
    let above = |service: &Service| {
        let name = service.host.host();
        let zone = name
            .split_once('.')
            .map(|(_, above)| above)
            .filter(|above| above.contains('.') || service.is_wildcard());
        Fqdn::parse(zone.unwrap_or(name)).unwrap_or_else(|_| service.host.clone())
    };
    let mut zones: Vec<Fqdn> = Vec::new();
    for zone in services.iter().map(above) {
        if !zones.iter().any(|known| zone.is_within(known)) {
            zones.retain(|known| !known.is_within(&zone));
            zones.push(zone);
        }
    }
    zones
}

/// The zones with what their sections are called.
fn sections(zones: Vec<Fqdn>) -> Vec<(Fqdn, String)> {
    let is_only = zones.len() == 1;
    let mut taken = BTreeSet::new();
    let named = |zone: Fqdn| {
        let candidates = [zone.host().replace('.', "-")];
        let name = if is_only { "private".to_owned() } else { unused(&candidates, "zone", &mut taken) };
        (zone, name)
    };
    zones.into_iter().map(named).collect()
}

/// What a service is called: the host's first part, or the host when that is taken.
fn name(host: &Fqdn, taken: &mut BTreeSet<String>) -> String {
    let whole = host.host().trim_start_matches("*.");
    let first = whole.split('.').next().unwrap_or(whole);
    unused(&[first.to_owned(), whole.to_owned()], "service", taken)
}

/// The first of these that can be a name and that nothing has, else the last one with a number.
fn unused(candidates: &[String], otherwise: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = |text: &String| -> Option<String> {
        let name: String = text.trim_start_matches(['-', '_', '.']).chars().take(NAME_MAX).collect();
        (!name.is_empty()).then_some(name)
    };
    let names: Vec<String> = candidates.iter().filter_map(plain).collect();
    let last = names.last().cloned().unwrap_or_else(|| otherwise.to_owned());
    // One more than are taken: one of them is not.
    let numbered = (2..taken.len() + 3).map(|number| format!("{last}-{number}"));
    let name = names
        .into_iter()
        .chain([otherwise.to_owned()].into_iter().filter(|name| *name == last))
        .chain(numbered);
    let name = name.into_iter().find(|name| !taken.contains(name)).unwrap_or(last);
    taken.insert(name.clone());
    name
}

#[derive(Default)]
struct Text {
    text: String,
    /// What stands for the same cloud region: a project, or a load balancer that names none.
    cloud_regions: Vec<String>,
}

impl Text {
    /// A line of its own for each part of a comment that fits.
    fn note(&mut self, text: &str) {
        self.wrapped("# ", "# ", text);
    }

    /// What works and bites, above what it is about.
    fn bites(&mut self, text: &str) {
        self.wrapped("# NOTE: ", "#       ", text);
    }

    fn wrapped(&mut self, first: &str, next: &str, text: &str) {
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in text.split(' ') {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                next.clone_into(&mut line);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn head(&mut self, head: &str) {
        let _ = writeln!(self.text, "{head}");
    }

    fn key(&mut self, key: &str, comment: &str) {
        if comment.is_empty() {
            let _ = writeln!(self.text, "{key}");
            return;
        }
        let first = format!("{key:width$}# ", width = COLUMN.max(key.chars().count() + 2));
        let next = format!("{:COLUMN$}# ", "");
        self.wrapped(&first, &next, comment);
    }

    fn decide(&mut self, key: &str, comment: &str) {
        self.key(key, &format!("{DECIDE}: {comment}"));
    }

    fn account(&mut self) {
        self.head("\n[cloud.main]");
        self.key("credentials = \"auto\"", "keys: of the environment, the SDK's file, or the ECS's agency");
        self.decide("region = \"HOME-REGION\"", "the account's home region: \"cn-north-4\"");
    }

    fn zone(&mut self, zone: &Fqdn, section: &str) {
        self.head(&format!("\n[dns.{section}]"));
        self.key("kind = \"huawei\"", "");
        self.decide(&format!("zone = \"{zone}\""), "the zone that holds the names; it may be one further up");
        self.decide("zone_type = \"private\"", "private, which VPCs see, or public, which all do");
    }

    fn service(&mut self, service: &Service, zones: &[(Fqdn, String)], names: &mut BTreeSet<String>) {
        let name = name(&service.host, names);
        self.head("");
        self.rule(&service.host);
        self.head("[[service]]");
        self.key(&format!("name = \"{name}\""), "what logs, metrics and commands call it");
        self.key(&format!("domain = \"{}\"", service.host), "");
        let zone = zones.iter().find(|(zone, _)| service.host.is_within(zone)).filter(|_| zones.len() > 1);
        if let Some((_, section)) = zone {
            self.key(&format!("dns = \"{section}\""), "");
        }
        self.decide("ttl = 30", "how long resolvers may go on with an old answer, in seconds");
        self.decide("create = false", "true makes the record set when it is missing");
        if let Some((_, different)) = service.different_ports() {
            self.bites(&format!(
                "Its regions listen on different ports ({different}). A name carries no port, so clients reach all regions on \
                 one: give the listeners one port."
            ));
        }
        if service.is_mixed() {
            self.bites(
                "It speaks TLS in some of its regions only, so that each has a check of its own: let all of them speak TLS.",
            );
        }
        if !service.is_mixed() {
            let tls = service.regions.first().is_some_and(|region| region.tls);
            self.head("\n[[service.check]]");
            self.look(service, tls);
        }
        self.head("\n[[service.check]]");
        self.key("name = \"elb\"", "");
        self.key("kind = \"elb\"", "backends behind the load balancer's listener");
        self.head("\n[[service.check]]");
        self.key("name = \"eip\"", "");
        self.key("kind = \"eip\"", "the load balancer still has its EIP");
        for (number, region) in (1..).zip(&service.regions) {
            self.region(number, region, service);
        }
    }

    fn rule(&mut self, host: &Fqdn) {
        let dashes = "-".repeat(WIDTH.saturating_sub(host.host().len() + 6).max(3));
        let _ = writeln!(self.text, "# -- {} {dashes}", host.host());
    }

    /// The check that does what a client does.
    fn look(&mut self, service: &Service, tls: bool) {
        self.key("name = \"web\"", "");
        let kind = if tls { "https" } else { "http" };
        self.key(&format!("kind = \"{kind}\""), "on each region's listener_port, for the domain");
        self.decide(&format!("path = \"{}\"", service.path), "one that tells that the application works");
        if service.is_wildcard() {
            let above = service.host.host().trim_start_matches("*.");
            // As long as the wildcard, where that is as long as a name gets.
            let first = if above.len() < LONG { "www" } else { "w" };
            self.decide(&format!("host = \"{first}.{above}\""), "which of the names is asked for");
        }
        if !service.other_paths.is_empty() {
            let shown: Vec<&str> = service.other_paths.iter().take(10).map(String::as_str).collect();
            let more = service.other_paths.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.bites(&format!(
                "Nothing looks at {}{more}. Where another application serves that, add a check with its path, and what is to \
                 happen when it fails: up_when.",
                shown.join(", ")
            ));
        }
    }

    /// The number that stands for a region's cloud region, and whether it was used before.
    fn cloud_region(&mut self, region: &Region) -> (usize, bool) {
        let project = region.project.as_ref().map(|project| format!("project {project}"));
        let known_by = project.unwrap_or_else(|| format!("load balancer {}", region.elb));
        if let Some(place) = self.cloud_regions.iter().position(|known| *known == known_by) {
            return (place + 1, true);
        }
        self.cloud_regions.push(known_by);
        (self.cloud_regions.len(), false)
    }

    fn region(&mut self, number: usize, region: &Region, service: &Service) {
        self.head("");
        self.note(&format!("From {}.", region.from));
        self.head("[[service.region]]");
        self.decide(&format!("name = \"region{number}\""), "what people call it");
        let (stands_for, seen) = self.cloud_region(region);
        let others = service.regions.iter().take(number - 1);
        let what = match &region.project {
            Some(_) if seen => "as above, since the project is the same",
            None if seen => "as above, since the load balancer is the same",
            Some(_) if others.clone().any(|other| other.project.is_some()) => {
                "another one than above, since the project is another"
            }
            Some(_) | None => "where its load balancer is: \"cn-north-4\"",
        };
        self.decide(&format!("cloud_region = \"REGION-{stands_for}\""), what);
        if let Some(project) = &region.project {
            self.note(&format!(
                "Project {project} (karmada.io/elb.projectid), which is found by cloud_region."
            ));
        }
        self.key(&format!("elb = \"{}\"", region.elb), "");
        self.key(&format!("listener_port = {}", region.port), "");
        for note in &region.notes {
            self.bites(note);
        }
        if service.is_mixed() {
            self.head("\n[[service.region.check]]");
            self.look(service, region.tls);
        }
    }
}
