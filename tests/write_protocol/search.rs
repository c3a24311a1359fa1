//! Searches a model, and tells how far it went.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// More steps than any schedule has that ends.
pub(crate) const TO_THE_END: usize = 100;

/// Whether the large bounds were asked for.
pub(crate) fn is_deep() -> bool {
    std::env::var("POINTSMAN_MODEL").is_ok_and(|how| how == "deep")
}

/// Searches every schedule up to so many steps, prints the counts, and fails with the shortest counterexample there is.
#[track_caller]
pub(crate) fn holds<M>(name: &str, model: &M, steps: usize)
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let found = model
        .clone()
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        // Counts states, and stops before the one that it names.
        .target_max_depth(steps + 2)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, {} of them distinct, schedules of up to {} steps",
        found.state_count(),
        found.unique_state_count(),
        found.max_depth().saturating_sub(1).min(steps)
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

/// The shortest schedule that breaks a property, in lines, and how many distinct states were searched for it. The checker
/// above finds one, not the shortest.
pub(crate) fn shortest<M>(model: &M, property: &'static str) -> Option<(String, usize)>
where
    M: Model,
    M::State: Clone + Debug + Eq + Hash,
    M::Action: Clone + Debug,
{
    let holds = model.property(property).condition;
    let mut known: HashSet<M::State> = model.init_states().into_iter().collect();
    let mut left: VecDeque<(M::State, Option<usize>)> =
        model.init_states().into_iter().map(|state| (state, None)).collect();
    // Every step taken, and the place here of the one before it.
    let mut steps: Vec<(M::Action, Option<usize>)> = Vec::new();
    while let Some((state, mut last)) = left.pop_front() {
        if !holds(model, &state) {
            let mut lines = Vec::new();
            while let Some((step, before)) = last.map(|last| &steps[last]) {
                lines.push(format!("    {step:?}"));
                last = *before;
            }
            lines.reverse();
            return Some((lines.join("\n"), known.len()));
        }
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            let Some(next) = model.next_state(&state, action.clone()) else { continue };
            if known.insert(next.clone()) {
                left.push_back((next, Some(steps.len())));
                steps.push((action, last));
            }
        }
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
