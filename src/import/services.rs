//! From manifests, one a region, to services: a host is a service, and each load balancer that serves it a region.

use std::collections::BTreeMap;

use super::manifest::{Manifest, Path, SHOWN_MAX};
use super::report::{At, Report};
use crate::model::{Fqdn, quoted};

/// So many regions of all services keep the result far below what a configuration may have.
const REGIONS_MAX: usize = 2_000;

/// Paths of a host that are remembered; who has more wants checks of their own anyway.
const PATHS_MAX: usize = 100;

/// So many bytes of who says so are shown.
const FROM_MAX: usize = 300;

/// One host, with all that serves it.
pub(super) struct Service {
    pub(super) host: Fqdn,
    /// The path to look at.
    pub(super) path: String,
    /// Paths that nothing looks at.
    pub(super) other_paths: Vec<String>,
    pub(super) regions: Vec<Region>,
}

/// One load balancer that serves a host.
pub(super) struct Region {
    pub(super) elb: String,
    pub(super) port: u16,
    pub(super) project: Option<String>,
    pub(super) tls: bool,
    /// The manifests that say so.
    pub(super) from: String,
    /// What works and bites.
    pub(super) notes: Vec<String>,
}

impl Service {
    /// Whether some regions speak TLS and others do not.
    pub(super) fn is_mixed(&self) -> bool {
        self.regions.iter().any(|region| region.tls) && self.regions.iter().any(|region| !region.tls)
    }

    /// The first region, from 0, that listens on another port than the first of all, and both in words.
    pub(super) fn different_ports(&self) -> Option<(usize, String)> {
        let first = self.regions.first()?.port;
        let other = self.regions.iter().position(|region| region.port != first)?;
        let port = self.regions.get(other)?.port;
        Some((other, format!("region1 on {first}, region{} on {port}", other + 1)))
    }

    /// Whether it stands for any name of a zone.
    pub(super) fn is_wildcard(&self) -> bool {
        self.host.host().starts_with("*.")
    }
}

/// A service that is being put together, with the places that messages need.
struct Draft {
    first: At,
    paths: Vec<Path>,
    regions: Vec<(Region, At)>,
}

/// The services of all manifests, in the order in which their hosts come.
pub(super) fn merged(manifests: &[Manifest], report: &mut Report<'_>) -> Vec<Service> {
    let mut order: Vec<Fqdn> = Vec::new();
    let mut drafts: BTreeMap<Fqdn, Draft> = BTreeMap::new();
    let mut count = 0;
    for manifest in manifests {
        let mut seen: Vec<&Fqdn> = Vec::new();
        for rule in &manifest.rules {
            let (host, at) = (&rule.host.0, rule.host.1);
            let draft = drafts.entry(host.clone()).or_insert_with(|| {
                order.push(host.clone());
                Draft { first: at, paths: Vec::new(), regions: Vec::new() }
            });
            for path in &rule.paths {
                if draft.paths.len() < PATHS_MAX && !draft.paths.iter().any(|known| known.text == path.text) {
                    draft.paths.push(path.clone());
                }
            }
            // Several rules of one manifest for a host are one.
            if !seen.contains(&host) {
                seen.push(host);
                count += 1;
                if count > REGIONS_MAX {
                    report.error(
                        at,
                        format!("more than {REGIONS_MAX} regions in all"),
                        "import fewer manifests at a time",
                    );
                    return Vec::new();
                }
                add_region(draft, manifest, host, report);
            }
        }
    }
    let finish = |host: Fqdn| drafts.remove(&host).map(|draft| finished(host, draft, report));
    order.into_iter().filter_map(finish).collect()
}

fn add_region(draft: &mut Draft, manifest: &Manifest, host: &Fqdn, report: &mut Report<'_>) {
    let (elb, port) = (&manifest.elb, &manifest.port);
    let from = format!("{} ({})", manifest.name, report.whence(manifest.at));
    let Some((known, known_port)) = draft.regions.iter_mut().find(|(region, _)| region.elb == elb.0) else {
        let region = Region {
            elb: elb.0.clone(),
            port: port.0,
            project: manifest.project.clone(),
            tls: manifest.tls.covers(host),
            from,
            notes: manifest.notes.clone(),
        };
        draft.regions.push((region, port.1));
        return;
    };
    if known.port == port.0 {
        let message = format!(
            "{} on port {} of this load balancer is there already ({})",
            host.host(),
            port.0,
            known.from
        );
        report.warning(
            elb.1,
            message,
            "they are taken for one region; remove one of the two if it is left over",
        );
        if known.from.len() < FROM_MAX {
            known.from = format!("{}, {from}", known.from);
        }
        known.tls |= manifest.tls.covers(host);
        let note = "Several manifests say so, and are taken for one region.".to_owned();
        if !known.notes.contains(&note) {
            known.notes.push(note);
        }
    } else {
        let message = format!(
            "{} is on port {} of a load balancer that has it on port {} too ({})",
            host.host(),
            port.0,
            known.port,
            report.whence(*known_port)
        );
        let hint =
            "a name carries no port: keep the port that clients use, or give each port a host of its own";
        report.error(port.1, message, hint);
    }
}

fn finished(host: Fqdn, draft: Draft, report: &mut Report<'_>) -> Service {
    let Draft { first, paths, mut regions } = draft;
    let name = host.host().to_owned();
    for (region, at) in &mut regions {
        if region.port == 443 && !region.tls {
            let hint =
                "it is looked at in plain HTTP; where it speaks TLS, write kind = \"https\" in its check";
            report.warning(*at, format!("{name} is on port 443, and spec.tls does not name it"), hint);
            region
                .notes
                .push("spec.tls does not name the host, so that it is looked at in plain HTTP.".to_owned());
        }
    }
    let (regions, ports): (Vec<Region>, Vec<At>) = regions.into_iter().unzip();
    let (path, other_paths) = path_to_look_at(&paths);
    let service = Service { host, path, other_paths, regions };
    if let Some((other, different)) = service.different_ports() {
        let at = ports.get(other).copied().unwrap_or(first);
        let hint = "a name carries no port, so clients reach all regions on one: give the listeners one port";
        report.warning(at, format!("{name}: its regions listen on different ports ({different})"), hint);
    }
    if service.is_mixed() {
        let hint = "each region has a check of its own; let all of them speak TLS";
        report.warning(first, format!("{name} speaks TLS in some of its regions only"), hint);
    }
    if service.is_wildcard() {
        let hint = "write in host of the check which one is to be asked for";
        report.warning(first, format!("{name} stands for many names, and a look asks for one"), hint);
    }
    service
}

/// The first prefix that can be asked for as it stands, else the first path, else the root; and all others.
fn path_to_look_at(paths: &[Path]) -> (String, Vec<String>) {
    let mut usable = paths.iter().filter(|path| is_target(&path.text));
    let chosen = usable.clone().find(|path| path.is_prefix).or_else(|| usable.next());
    let chosen = chosen.map_or("/", |path| path.text.as_str());
    let others = paths.iter().filter(|path| path.text != chosen).map(|path| quoted(&path.text, SHOWN_MAX));
    (chosen.to_owned(), others.collect())
}

/// Whether it can be asked for as it stands.
fn is_target(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!&'*+,;=:@%".contains(&byte);
    path.starts_with('/') && path.len() <= 500 && path.bytes().all(plain) && !path.contains('*')
}
