//! The order in which the daemon's two loops do things, as machines without I/O: `driver` goes with a reconciler,
//! `engine` with the core. The daemon carries their steps out over the network and the disk, the simulation in virtual
//! time, so that both run the very same order.

mod driver;
mod engine;
mod recollection;
mod rounds;

pub use driver::{DriverSteps, News, Orders, Step};
pub use engine::{Engine, Hands};
pub use recollection::{KnownWrites, Recollection};
