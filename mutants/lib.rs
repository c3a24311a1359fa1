//! The part of pointsman that decides, and nothing else: `cargo mutants` builds it and its tests for each mutant, in seconds
//! instead of minutes. See docs/mutants.md.

#![cfg_attr(test, expect(dead_code, reason = "tests of other modules use some of it"))]

#[path = "../src/core/mod.rs"]
pub mod core;
#[path = "../src/model/mod.rs"]
pub mod model;
