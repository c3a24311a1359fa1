//! A zone that pointsman serves itself: what it answers, who gets copies of it, and what it keeps over a restart.

#![cfg(test)] // makes clippy take the helpers below for tests too

#[path = "../name_server/mod.rs"]
mod name_server;
mod questions;
mod restarts;
mod served;
mod transfers;
