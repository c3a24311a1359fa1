//! Holds changes back when carrying them out could hurt more than waiting.
//!
//! Pure: sees what the policy asks for and how the regions stand, and answers with what may go now and every rule
//! that keeps the rest. It only ever holds back removals: putting a live region in cannot empty a record set. An
//! override outranks it, save NEVER-EMPTY. Failures count as "together" for `blast_window`, see [`Together`].
//! Carries NEVER-EMPTY, BOUNDED-BLAST and BLIND-IS-NOT-DOWN. Start at [`judge`].

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::plan::{Held, Rule};
use super::policy::Choice;
use super::shares::Shares;
use super::standing::Standing;
use crate::model::{Liveness, Moment, PolicyKind, Service};

/// What may go now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// For each region, whether it is to be in the set.
    pub(super) wanted: Vec<bool>,
    /// Every rule that keeps it from being what was asked for.
    pub(super) held: Vec<Held>,
    /// A removal waits for suspects until then.
    pub(super) patience_ends: Option<Moment>,
    /// When the next of what holds a removal back ends: failures that count as together, or a region's wait for suspects.
    pub(super) hold_ends: Option<Moment>,
}

/// Judges what the policy asks for. `fallback` is what of `fallback` stays published while too few regions are: it counts
/// for NEVER-EMPTY. `patience_ends` is when a removal that waits for suspects to settle has
/// waited long enough; none while nothing waits yet.
pub(super) fn judge(
    service: &Service,
    regions: &[Standing],
    choices: &[Choice],
    fallback: &BTreeSet<IpAddr>,
    patience_ends: Option<Moment>,
    now: Moment,
) -> Verdict {
    let mut wanted: Vec<bool> =
        regions.iter().zip(choices).map(|(region, choice)| choice.wanted || region.published).collect();
    let mut held = Vec::new();
    let mut leaving: Vec<usize> = (0..regions.len())
        .filter(|&i| regions.get(i).zip(choices.get(i)).is_some_and(|(r, c)| r.published && !c.wanted))
        .collect();
    // With one whose addresses are all another one's too, that stays, nothing leaves the set: it waits for nobody, and takes
    // nobody's turn.
    let stay = || regions.iter().zip(choices).filter(|(_, choice)| choice.wanted);
    let stays: BTreeSet<&IpAddr> = stay().flat_map(|(region, _)| region.target()).collect();
    let takes_away = |region: &Standing| region.present.iter().any(|address| !stays.contains(address));
    leaving.retain(|&i| {
        let retained = regions.get(i).is_none_or(takes_away);
        if let (false, Some(slot)) = (retained, wanted.get_mut(i)) {
            *slot = false;
        }
        retained
    });
    // The longest down leaves first; what leaves because of the policy leaves before that.
    leaving.sort_by_key(|&i| regions.get(i).map(|r| (leaves_by_checks(r), r.since, i)));

    let together = Together::of(service, regions, now);
    let panic = panic_of(service, regions, &together);
    // One more fast look at most: a suspect that still is one after that counts as what it is. Each region waits since it
    // fell, for the patience with another one's suspects may be over.
    let suspense = longest_suspense(regions);
    let waits = matches!(panic, Some(Panic::IfSuspectsFall { .. }))
        && leaving.iter().any(|&i| regions.get(i).is_some_and(leaves_by_checks));
    let patience_ends = waits.then(|| patience_ends.unwrap_or(now + suspense));
    let mut next_end: Option<Moment> = None;

    let mut may_still_leave = allowance(service, regions, choices, &together);
    let mut blasted = Vec::new();
    let mut kept_for_empty = Vec::new();
    let mut panicked = false;
    for i in leaving {
        let Some(region) = regions.get(i) else { continue };
        if leaves_by_checks(region) {
            let ends = patience_ends.map(|ends| ends.max(region.since + suspense));
            if panic.is_some() && ends.is_none_or(|ends| ends > now) {
                next_end = next_end.into_iter().chain(ends).min();
                panicked = true;
                continue;
            }
            if may_still_leave == 0 {
                blasted.push(region.name.as_str());
                continue;
            }
        }
        if left_without(service, regions, &wanted, fallback, i) {
            kept_for_empty.push(region.name.as_str());
            continue;
        }
        if leaves_by_checks(region) {
            may_still_leave -= 1;
        }
        if let Some(slot) = wanted.get_mut(i) {
            *slot = false;
        }
    }

    if let (true, Some(panic)) = (panicked, &panic) {
        held.push(panic.held(service));
    }
    if !blasted.is_empty() {
        held.push(Held {
            rule: Rule::BoundedBlast,
            because: format!(
                "{} would leave too, and max_removed = {} regions are out because of checks",
                blasted.join(", "),
                service.max_removed
            ),
            lifts_when: match service.blast_window {
                Some(window) => {
                    format!("a region that is out is back, or has been out for blast_window = {window:?}")
                }
                None => "a region that is out is back, or max_removed is raised".to_owned(),
            },
        });
    }
    if !kept_for_empty.is_empty() {
        held.push(Held {
            rule: Rule::NeverEmpty,
            because: format!(
                "without {} fewer than min_published = {} addresses that may serve would be left",
                kept_for_empty.join(", "),
                service.min_published
            ),
            lifts_when: "another region is up and published".to_owned(),
        });
    }
    let hold_ends = if panicked || !blasted.is_empty() { together.ends_at(regions) } else { None };
    let hold_ends = hold_ends.into_iter().chain(next_end).min();
    Verdict { wanted, held, patience_ends, hold_ends }
}

/// Too many regions failing together says more about the place that looks (BOUNDED-BLAST).
enum Panic {
    /// By the regions that are down alone.
    Now { failing: u32, total: u32 },
    /// If those that are suspect fall too.
    IfSuspectsFall { failing: u32, total: u32 },
}

impl Panic {
    fn held(&self, service: &Service) -> Held {
        let threshold = service.panic_threshold;
        match self {
            Self::Now { failing, total } => Held {
                rule: Rule::BoundedBlast,
                because: format!(
                    "{failing} of {total} regions fail together, more than panic_threshold = {threshold}"
                ),
                lifts_when: match service.blast_window {
                    Some(window) => format!(
                        "no more regions fail than the threshold allows, or for blast_window = {window:?} they \
                         have failed and another one has passed"
                    ),
                    None => "no more regions fail than the threshold allows".to_owned(),
                },
            },
            Self::IfSuspectsFall { failing, total } => Held {
                rule: Rule::BoundedBlast,
                because: format!(
                    "{failing} of {total} regions are down or suspect, more than panic_threshold = {threshold}"
                ),
                lifts_when: "the suspects have settled, one more fast look at most".to_owned(),
            },
        }
    }
}

/// Which failures are still taken for one event: those that began within the last `blast_window` (BOUNDED-BLAST).
struct Together {
    window: Option<Duration>,
    now: Moment,
    /// Whether a region has passed for a whole window: then our own network works, and failures that have lasted as long
    /// are the regions' own.
    is_vouched_for: bool,
}

impl Together {
    fn of(service: &Service, regions: &[Standing], now: Moment) -> Self {
        let together = Self { window: service.blast_window, now, is_vouched_for: false };
        let passes = |region: &Standing| region.alive_since.is_some_and(|since| together.is_over(since));
        Self { is_vouched_for: regions.iter().any(passes), ..together }
    }

    /// Whether a window has passed since then.
    fn is_over(&self, since: Moment) -> bool {
        self.window.is_some_and(|window| since + window <= self.now)
    }

    /// Returns true unless a region has been out of the set for a whole window.
    fn is_just_out(&self, region: &Standing) -> bool {
        !region.left.is_some_and(|left| self.is_over(left))
    }

    /// Returns true if a region that is down counts as failing together with others: in the set, or just out of it.
    fn counts(&self, region: &Standing) -> bool {
        let has_lasted = region.fell.is_some_and(|fell| self.is_over(fell));
        self.is_just_out(region) && !(has_lasted && self.is_vouched_for)
    }

    /// When the next of them counts no more.
    fn ends_at(&self, regions: &[Standing]) -> Option<Moment> {
        let window = self.window?;
        let begins = regions.iter().flat_map(|region| [region.fell, region.left, region.alive_since]);
        begins.flatten().map(|begin| begin + window).filter(|end| *end > self.now).min()
    }
}

/// Not of those that an operator has taken out: what fails there is known.
fn panic_of(service: &Service, regions: &[Standing], together: &Together) -> Option<Panic> {
    let taking_part: Vec<&Standing> = regions.iter().filter(|region| !region.is_drained()).collect();
    let count = |counts: &dyn Fn(&Standing) -> bool| {
        u32::try_from(taking_part.iter().filter(|region| counts(region)).count()).unwrap_or(u32::MAX)
    };
    let total = u32::try_from(taking_part.len()).unwrap_or(u32::MAX);
    // One that passes again and has not risen has not shown yet that it is another event than the others.
    let fails = |region: &Standing| !region.may_serve() && together.counts(region);
    let down = count(&fails);
    let failing = count(&|r| fails(r) || (r.liveness == Liveness::Suspect && !r.is_pinned()));
    if service.panic_threshold.is_exceeded_by(down, total) {
        Some(Panic::Now { failing: down, total })
    } else if service.panic_threshold.is_exceeded_by(failing, total) {
        Some(Panic::IfSuspectsFall { failing, total })
    } else {
        None
    }
}

fn longest_suspense(regions: &[Standing]) -> Duration {
    let suspects = regions.iter().filter(|r| r.liveness == Liveness::Suspect && !r.is_drained());
    suspects.map(|r| r.settles_within).max().unwrap_or_default()
}

/// A region that would leave because of its checks, not because of the policy.
fn leaves_by_checks(region: &Standing) -> bool {
    region.is_down() && !region.is_drained()
}

/// Whether every region that an operator has not taken out is down, or passes again and has not risen yet: then
/// `when_all_down` speaks, and not the guard. One pass ends no total outage.
pub(super) fn is_all_down(regions: &[Standing]) -> bool {
    let mut taking_part = regions.iter().filter(|region| !region.is_drained()).peekable();
    taking_part.peek().is_some() && taking_part.all(|region| !region.may_serve())
}

/// How many more regions may leave because of checks. One of a worse tier than the policy would use anyway is not out
/// because of its checks, and one that has been out for `blast_window` does not count any more.
fn allowance(service: &Service, regions: &[Standing], choices: &[Choice], together: &Together) -> u32 {
    let in_use = match service.policy {
        PolicyKind::All | PolicyKind::Weighted => None,
        PolicyKind::Priority => {
            regions.iter().zip(choices).filter(|(_, choice)| choice.wanted).map(|(r, _)| r.tier).min()
        }
    };
    let counts = |r: &Standing| in_use.is_none_or(|tier| r.tier <= tier);
    // One that enters by the same plan is not out any more.
    let is_out = |(r, choice): &(&Standing, &Choice)| {
        !r.published && !choice.wanted && r.is_failed() && !r.is_drained() && together.is_just_out(r)
    };
    let out = regions.iter().zip(choices).filter(is_out).filter(|(r, _)| counts(r)).count();
    service.max_removed.saturating_sub(u32::try_from(out).unwrap_or(u32::MAX))
}

/// Whether taking region `i` out would leave too few addresses (NEVER-EMPTY). When checks or the policy take it out,
/// those of regions that are failed do not count; an operator who drains it outranks the checks.
fn left_without(
    service: &Service,
    regions: &[Standing],
    wanted: &[bool],
    fallback: &BTreeSet<IpAddr>,
    i: usize,
) -> bool {
    let drained = regions.get(i).is_some_and(Standing::is_drained);
    let remaining: BTreeSet<_> = regions
        .iter()
        .zip(wanted)
        .enumerate()
        .filter(|(place, (region, wanted))| *place != i && **wanted && (drained || region.may_serve()))
        .flat_map(|(_, (region, _))| region.target())
        .chain(fallback)
        .collect();
    remaining.len() < service.min_published.max(1) as usize
}

/// Holds a part of what was judged, when that part alone would leave too few addresses (NEVER-EMPTY): of several changes
/// that are right together a person may have approved some. None when it may go.
pub(super) fn hold_part(
    service: &Service,
    regions: &[Standing],
    found: &Shares,
    part: &Shares,
) -> Option<Held> {
    let shares = || regions.iter().zip(&found.regions).zip(&part.regions);
    let leave = |drained: bool| {
        shares().any(|((region, found), part)| {
            region.is_drained() == drained && part.is_empty() && !found.is_empty()
        })
    };
    let least = service.min_published.max(1) as usize;
    let serving: BTreeSet<_> =
        shares().filter(|((region, _), _)| region.may_serve()).flat_map(|(_, part)| part).collect();
    let left = part.all().len();
    let too_few = (leave(false) && !is_all_down(regions) && serving.len() < least)
        || ((leave(true) || leave(false)) && left < least);
    too_few.then(|| Held {
        rule: Rule::NeverEmpty,
        because: format!(
            "what is approved alone would leave fewer than min_published = {least} addresses that may serve"
        ),
        lifts_when: "the rest is approved too".to_owned(),
    })
}
