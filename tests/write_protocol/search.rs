//! Searches a model, and tells how far it went.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// More steps than any schedule has.
const DEPTH_MOST: usize = 100;

/// Whether the large bounds were asked for.
pub(crate) fn is_deep() -> bool {
    std::env::var("POINTSMAN_MODEL").is_ok_and(|how| how == "deep")
}

/// Searches every schedule, prints the counts, and fails with the shortest counterexample there is.
#[track_caller]
pub(crate) fn holds<M>(name: &str, model: &M)
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let found = model.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!(
        "{name}: {} states, {} of them distinct, schedules of up to {} steps",
        found.state_count(),
        found.unique_state_count(),
        found.max_depth().saturating_sub(1)
    );
    for property in model.properties() {
        let is_found = found.discovery(property.name).is_some();
        if property.expectation == Expectation::Sometimes {
            assert!(is_found, "{name}: no schedule in which {:?}", property.name);
        } else if is_found {
            let (path, _) = shortest(model, property.name).expect("it was found");
            panic!("{name}: {} is broken by:\n{path}", property.name);
        }
    }
}

/// The shortest schedule that breaks a property, in lines, and how many distinct states were searched for it.
pub(crate) fn shortest<M>(model: &M, property: &'static str) -> Option<(String, usize)>
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    // A breadth-first search may go on past its first find and keep a longer one; a bound on the depth does not.
    let mut last = 0;
    for depth in 1..DEPTH_MOST {
        let only = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let found = model.clone().checker().finish_when(only).target_max_depth(depth).spawn_bfs().join();
        let states = found.unique_state_count();
        if let Some(path) = found.discovery(property) {
            let steps = path.into_actions();
            let lines: Vec<String> = steps.iter().map(|step| format!("    {step:?}")).collect();
            return Some((lines.join("\n"), states));
        }
        if states == last {
            return None;
        }
        last = states;
    }
    None
}

/// Fails if a schedule comes back to where it was, and so could go on for ever. What no schedule can do more of is then
/// done at the end of each.
#[track_caller]
pub(crate) fn ends<M>(model: &M)
where
    M: Model,
    M::State: Clone + Debug + Eq + Hash,
{
    // States that are on the schedule being followed, true, or of which every schedule ends, false.
    let mut known: HashMap<M::State, bool> = HashMap::new();
    let mut left: Vec<(M::State, bool)> =
        model.init_states().into_iter().map(|state| (state, false)).collect();
    while let Some((state, is_done)) = left.pop() {
        if is_done {
            known.insert(state, false);
            continue;
        }
        match known.get(&state) {
            Some(true) => panic!("a schedule comes back to {state:#?}"),
            Some(false) => continue,
            None => {}
        }
        known.insert(state.clone(), true);
        let next = model.next_states(&state);
        left.push((state, true));
        left.extend(next.into_iter().map(|state| (state, false)));
    }
    println!("{} distinct states, and no schedule comes back to one", known.len());
}
