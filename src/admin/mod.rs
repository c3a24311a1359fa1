//! What pointsman shows: metrics, status and health over TCP.
//!
//! Read only (READ-ONLY-OUTSIDE): nothing here can change anything, and a slow, greedy or stuck reader costs
//! a bounded amount of memory and no look (KEEP-WATCHING). Decides nothing, and owns no state but counters.
//! Start at [`serve`] for the outside, at [`Recorder`] for what is counted.

mod http;
mod metrics;
mod moment;
mod room;
mod series;
mod status;

pub use http::{CONNECTION_WITHIN, CONNECTIONS_MAX, LARGE_ANSWERS_MAX, serve};
pub use metrics::{CloudCode, Metrics, Phase, Recorder};
pub use status::{ANSWER_WITHIN, Asked, NoAnswer, Questions, StatusHandle, status_channel};
