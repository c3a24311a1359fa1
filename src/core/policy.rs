//! Which regions should be published, as if nothing could go wrong with publishing them.
//!
//! Pure, and without any caution: what it asks for is then judged by `guard`. Start at [`choose`].

use super::standing::Standing;
use crate::model::{Failback, Liveness, Moment, PolicyKind, Ruling, Service};

/// What the policy asks for one region, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) wanted: bool,
    pub(super) because: String,
    /// Whether it is out only because nobody has said that it may return.
    pub(super) waits_for_failback: bool,
}

impl Choice {
    fn new(wanted: bool, because: impl Into<String>) -> Self {
        Self { wanted, because: because.into(), waits_for_failback: false }
    }
}

/// Asks for each region, in the order given, to be in or out.
///
/// A region whose state is not known stays as it was found and drives nobody out (NO-JUMP-ON-START); so does one that is
/// recovering while it is still published: only failing probes take a region out. One that is up and not
/// published enters when it has been healthy for `recover_after`, and a person has said so if that is asked for. While
/// nobody who is published serves, one that has risen enters at once: `recover_after` and damping choose between
/// alternatives, and there is none (BOUNDED-WRITES). An override comes last and outranks all that (OPERATOR-RULES).
pub(super) fn choose(service: &Service, regions: &[Standing], now: Moment) -> Vec<Choice> {
    let nobody_serves = nobody_serves(regions);
    let mut choices: Vec<Choice> = regions.iter().map(|region| fitness(region, nobody_serves, now)).collect();
    if service.failback == Failback::Manual {
        hold_returns(regions, &mut choices);
    }
    if service.policy == PolicyKind::Priority {
        prefer_the_best_tier(regions, &mut choices);
    }
    for (region, choice) in regions.iter().zip(&mut choices) {
        heed_the_ruling(region, choice);
    }
    choices
}

/// Whether none of the regions that are published may serve.
pub(super) fn nobody_serves(regions: &[Standing]) -> bool {
    !regions.iter().any(|region| region.published && region.may_serve())
}

/// A region that is back waits for a person while another one serves. With none, going over to it is no failback.
fn hold_returns(regions: &[Standing], choices: &mut [Choice]) {
    let serves = |(region, choice): (&Standing, &Choice)| {
        region.published && region.may_serve() && (choice.wanted || region.is_pinned())
    };
    if !regions.iter().zip(&*choices).any(serves) {
        return;
    }
    let returns = |(region, choice): &(&Standing, &mut Choice)| {
        choice.wanted && !region.published && !region.may_return
    };
    for (_, choice) in regions.iter().zip(choices).filter(returns) {
        *choice = Choice {
            waits_for_failback: true,
            ..Choice::new(false, "serves again, and failback is a person's to order")
        };
    }
}

fn prefer_the_best_tier(regions: &[Standing], choices: &mut [Choice]) {
    let known = |region: &Standing| region.liveness != Liveness::Unknown;
    // One that is down and stays for want of fresh failures, that has not risen yet, or that is frozen while it is out,
    // serves nobody, and drives nobody out.
    let stays_out = |region: &Standing| region.is_frozen() && !region.published;
    let serves = |region: &Standing| known(region) && region.may_serve() && !stays_out(region);
    let serving = regions.iter().zip(&*choices).filter(|(region, fit)| fit.wanted && serves(region));
    let Some(best) = serving.map(|(region, _)| region.tier).min() else { return };
    for (region, choice) in regions.iter().zip(choices) {
        if choice.wanted && known(region) && region.tier > best {
            *choice = Choice::new(false, format!("tier {best} serves and this is tier {}", region.tier));
        }
    }
}

fn heed_the_ruling(region: &Standing, choice: &mut Choice) {
    let Some(ruled) = &region.ruled else { return };
    let wanted = match &ruled.ruling {
        Ruling::Drain(_) => false,
        Ruling::Pin(_) => region.published || !region.addresses.is_empty(),
        Ruling::Freeze(_) => region.published,
        Ruling::Mute(_) => return,
    };
    *choice = Choice::new(wanted, ruled.to_string());
}

fn fitness(region: &Standing, nobody_serves: bool, now: Moment) -> Choice {
    let stay = |because: &str| Choice::new(region.published, because);
    if region.is_drained() {
        return Choice::new(false, "drained");
    }
    if region.addresses.is_empty() && !region.published {
        return Choice::new(false, "its address is not known");
    }
    if nobody_serves && region.may_enter_at_once && !region.published {
        return Choice::new(true, "passes, and nobody else does who is published");
    }
    match region.liveness {
        Liveness::Unknown => stay("not known yet, so it stays as it was found"),
        Liveness::Suspect => stay("its latest looks fail, not yet often enough"),
        Liveness::Recovering if region.published => stay("passes again before it was taken out"),
        Liveness::Recovering => stay(&match region.returns_at {
            Some(at) if at > now => format!("passes again, back in {} s", seconds_up(region, now)),
            Some(_) | None => "passes again, not yet often enough".to_owned(),
        }),
        Liveness::Down if region.fallen => Choice::new(false, region.evidence.clone()),
        Liveness::Down => stay("fails again after it was blind, not yet often enough"),
        Liveness::Up if region.published => stay("serves"),
        Liveness::Up => match region.returns_at {
            Some(at) if at > now => stay(&format!("serves, enters in {} s", seconds_up(region, now))),
            Some(_) | None => Choice::new(true, "serves, and has been healthy for long enough"),
        },
    }
}

/// Whole seconds until it may be published, never zero while it may not.
fn seconds_up(region: &Standing, now: Moment) -> u64 {
    region.returns_at.map_or(0, |at| at.since(now).as_secs() + 1)
}
