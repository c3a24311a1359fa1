//! Which regions should be published, as if nothing could go wrong with publishing them.
//!
//! Pure, and without any caution: what it asks for is then judged by `guard`. Start at [`choose`].

use super::standing::Standing;
use crate::model::{Liveness, Moment, PolicyKind};

/// What the policy asks for one region, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) wanted: bool,
    pub(super) because: String,
}

/// Asks for each region, in the order given, to be in or out.
///
/// A region whose state is not known stays as it was found and drives nobody out (NO-JUMP-ON-START); so does one that is
/// recovering while it is still published: only failing looks take a region out. One that is up and not
/// published enters when it has been healthy for `recover_after`.
pub(super) fn choose(policy: PolicyKind, regions: &[Standing], now: Moment) -> Vec<Choice> {
    let fit: Vec<Choice> = regions.iter().map(|region| fitness(region, now)).collect();
    match policy {
        PolicyKind::All => fit,
        PolicyKind::Priority => {
            let known = |region: &Standing| region.liveness != Liveness::Unknown;
            let serving = regions.iter().zip(&fit).filter(|(region, fit)| fit.wanted && known(region));
            let best = serving.map(|(region, _)| region.tier).min();
            let prefer = |(region, fit): (&Standing, Choice)| match best {
                Some(best) if fit.wanted && known(region) && region.tier > best => Choice {
                    wanted: false,
                    because: format!("tier {best} serves and this is tier {}", region.tier),
                },
                Some(_) | None => fit,
            };
            regions.iter().zip(fit).map(prefer).collect()
        }
    }
}

fn fitness(region: &Standing, now: Moment) -> Choice {
    let stay = |because: &str| Choice { wanted: region.published, because: because.to_owned() };
    if region.addresses.is_empty() && !region.published {
        return Choice { wanted: false, because: "its address is not known".to_owned() };
    }
    match region.liveness {
        Liveness::Unknown => stay("not known yet, so it stays as it was found"),
        Liveness::Suspect => stay("its latest looks fail, not yet often enough"),
        Liveness::Recovering if region.published => stay("passes again before it was taken out"),
        Liveness::Recovering => stay(&match region.returns_at {
            Some(at) if at > now => format!("passes again, back in {} s", seconds_up(region, now)),
            Some(_) | None => "passes again, not yet often enough".to_owned(),
        }),
        Liveness::Down if region.fallen => Choice { wanted: false, because: region.evidence.clone() },
        Liveness::Down => stay("fails again after it was blind, not yet often enough"),
        Liveness::Up if region.published => stay("serves"),
        Liveness::Up => match region.returns_at {
            Some(at) if at > now => stay(&format!("serves, enters in {} s", seconds_up(region, now))),
            Some(_) | None => {
                Choice { wanted: true, because: "serves, and has been healthy for long enough".to_owned() }
            }
        },
    }
}

/// Whole seconds until it may be published, never zero while it may not.
fn seconds_up(region: &Standing, now: Moment) -> u64 {
    region.returns_at.map_or(0, |at| at.since(now).as_secs() + 1)
}
