//! The targets of `tests/fuzz`, for the programs here.

#[expect(dead_code, reason = "how many inputs a bounded run makes is not for here")]
#[path = "../../tests/fuzz/targets/mod.rs"]
mod targets;

/// Runs the target of that name.
///
/// # Panics
/// When there is none, and when something does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::ALL.iter().find(|target| target.name == name).expect("a target of that name");
    (target.run)(bytes);
}
