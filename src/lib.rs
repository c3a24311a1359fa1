//! Keeps a DNS name pointing at the regions that are alive.
//!
//! In the order that things flow: [`config`] says what to watch; [`probe`] looks; [`core`] decides, purely;
//! [`dns`] acts through a provider; [`huawei`] is the cloud both talk to; [`journal`] remembers; [`daemon`]
//! wires and supervises; [`admin`] shows; [`cli`] is what a person types; [`sim`] is a cloud to try it all on; [`import`]
//! begins a configuration from what others wrote.
//! The words they share are in [`model`].
//!
//! [`core`]: mod@crate::core
pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod daemon;
pub mod dns;
pub mod file_access;
pub mod huawei;
pub mod import;
pub mod journal;
pub mod log;
pub mod model;
pub mod probe;
pub mod pulse;
pub mod sim;
