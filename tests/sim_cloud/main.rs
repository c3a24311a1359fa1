//! The simulated cloud does what it says: its answers, its zone, its regions, and each of its faults.
//!
//! Everything goes over real HTTP and DNS, with a small client of the tests' own.

#[cfg(test)]
mod api_faults;
#[cfg(test)]
mod client;
#[cfg(test)]
mod control;
#[cfg(test)]
mod record_writes;
#[cfg(test)]
mod regions;
#[cfg(test)]
mod zone;
