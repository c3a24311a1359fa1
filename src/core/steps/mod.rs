//! The order in which the daemon's two loops do things, as machines without I/O: `driver` goes with a reconciler,
//! `engine` with the core, `part_calls` is a write of several calls. The daemon carries their steps out over the network and the disk, the simulation in virtual
//! time, so that both run the very same order.

mod driver;
mod engine;
mod part_calls;
mod recollection;
mod rounds;

pub use driver::{DriverSteps, News, Orders, Step};
pub use engine::{Engine, Hands};
pub use part_calls::PartCalls;
pub use recollection::{KnownWrites, Recollection};
