//! The scripted tests of the core in one binary: one for each takes a third longer to build.

#[path = "../tests/bounded_blast.rs"]
mod bounded_blast;
#[path = "../tests/drift.rs"]
mod drift;
#[path = "../tests/driver_steps.rs"]
mod driver_steps;
#[path = "../tests/engine.rs"]
mod engine;
#[path = "../tests/ledger.rs"]
mod ledger;
#[path = "../tests/liveness_and_plans.rs"]
mod liveness_and_plans;
#[path = "../tests/operator_rules.rs"]
mod operator_rules;
#[path = "../tests/person_first.rs"]
mod person_first;
#[path = "../tests/reconciler.rs"]
mod reconciler;
#[path = "../tests/reconfigure.rs"]
mod reconfigure;
#[path = "../tests/restart.rs"]
mod restart;
#[path = "../tests/shared_addresses.rs"]
mod shared_addresses;
#[path = "../tests/throttles.rs"]
mod throttles;
#[path = "../tests/weighted_late_writes.rs"]
mod weighted_late_writes;
#[path = "../tests/weighted_order.rs"]
mod weighted_order;
#[path = "../tests/weighted_plans.rs"]
mod weighted_plans;
#[path = "../tests/weighted_writes.rs"]
mod weighted_writes;
