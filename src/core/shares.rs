//! Which addresses each region has, or is to have, in the record set.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::standing::Standing;
use crate::model::{Failback, Service, WhenAllDown};

/// The part of each region, in the order configured, and what belongs to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) regions: Vec<BTreeSet<IpAddr>>,
    /// Addresses of `fallback`.
    pub(super) fallback: BTreeSet<IpAddr>,
}

impl Shares {
    /// As the set is.
    pub(super) fn found(service: &Service, regions: &[Standing], present: &BTreeSet<IpAddr>) -> Self {
        let fallback = fallback(service).filter(|address| present.contains(address)).collect();
        Self { regions: regions.iter().map(|region| region.present.clone()).collect(), fallback }
    }

    /// As the guard lets them be. `fallback` is published, or was to be: it makes way only when enough else is wanted that
    /// may serve. Replaced by fewer, nothing could be written, and a live region would stay out (NEVER-EMPTY).
    pub(super) fn of_wanted(
        service: &Service,
        regions: &[Standing],
        wanted: &[bool],
        fallback: &BTreeSet<IpAddr>,
    ) -> Self {
        let share = |(region, wanted): (&Standing, &bool)| match wanted {
            true => region.target().clone(),
            false => BTreeSet::new(),
        };
        let mut shares =
            Self { regions: regions.iter().zip(wanted).map(share).collect(), fallback: BTreeSet::new() };
        let may_serve = regions.iter().zip(&shares.regions).filter(|(region, _)| region.may_serve());
        let serving: BTreeSet<&IpAddr> = may_serve.flat_map(|(_, share)| share).collect();
        if serving.len() < service.min_published.max(1) as usize {
            shares.fallback.clone_from(fallback);
        }
        shares
    }

    /// As `when_all_down` says. An operator outranks it: a drained region has no share as long as the others' are enough
    /// (NEVER-EMPTY), nor does one that is out until an operator lets it return; a frozen one keeps what it has.
    pub(super) fn when_all_down(service: &Service, regions: &[Standing], found: &Self) -> Self {
        let mut shares = match &service.when_all_down {
            WhenAllDown::KeepLast => found.clone(),
            WhenAllDown::PublishAll => Self {
                regions: regions.iter().map(|region| region.addresses.clone()).collect(),
                fallback: BTreeSet::new(),
            },
            WhenAllDown::Fallback(_) => {
                Self { regions: vec![BTreeSet::new(); regions.len()], fallback: fallback(service).collect() }
            }
        };
        for (share, region) in shares.regions.iter_mut().zip(regions).filter(|(_, region)| region.is_frozen())
        {
            share.clone_from(&region.present);
        }
        let waits = |region: &Standing| {
            let is_out = !region.published || !region.was_wanted;
            let fell = service.failback == Failback::Manual && !region.may_return && !region.is_pinned();
            service.when_all_down == WhenAllDown::PublishAll && is_out && fell && !region.is_frozen()
        };
        let is_kept_out = |place: &usize| regions.get(*place).is_some_and(|it| it.is_drained() || waits(it));
        for place in (0..regions.len()).filter(is_kept_out) {
            let mut without = shares.clone();
            if let Some(share) = without.regions.get_mut(place) {
                share.clear();
            }
            if without.all().len() >= service.min_published.max(1) as usize {
                shares = without;
            }
        }
        shares
    }

    /// Keeps addresses that a region had before as long as what it has now leaves fewer than `min_published` (NEVER-EMPTY):
    /// the new ones need not wait for others. Returns those that stay for that reason.
    pub(super) fn keep_enough(&mut self, service: &Service, regions: &[Standing]) -> BTreeSet<IpAddr> {
        let least = service.min_published.max(1) as usize;
        let (mut all, mut kept) = (self.all(), BTreeSet::new());
        for (share, region) in self.regions.iter_mut().zip(regions).filter(|(share, _)| !share.is_empty()) {
            for address in &region.present {
                if all.len() >= least {
                    return kept;
                }
                if all.insert(*address) {
                    share.insert(*address);
                    kept.insert(*address);
                }
            }
        }
        kept
    }

    /// Every address.
    pub(super) fn all(&self) -> BTreeSet<IpAddr> {
        self.regions.iter().flatten().chain(&self.fallback).copied().collect()
    }
}

fn fallback(service: &Service) -> impl Iterator<Item = IpAddr> {
    let addresses = match &service.when_all_down {
        WhenAllDown::Fallback(addresses) => addresses.as_slice(),
        WhenAllDown::KeepLast | WhenAllDown::PublishAll => &[],
    };
    addresses.iter().copied()
}
