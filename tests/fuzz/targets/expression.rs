//! `up_when`: an expression prints and parses again as the same, and means the same.

use std::path::Path;

use pointsman::config;
use pointsman::model::{CheckName, Expression, Kleene};

const CHECKS: [&str; 4] = ["a", "eip", "elb", "web"];

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match parse(text) {
        Ok(expression) => {
            let printed = expression.to_string();
            let again =
                parse(&printed).unwrap_or_else(|problem| panic!("{printed:?} of {text:?}: {problem}"));
            assert_eq!(again.to_string(), printed);
            for world in 0..81 {
                assert_eq!(value(&expression, world), value(&again, world), "{text:?} and {printed:?}");
            }
        }
        Err(problem) => assert!(problem.len() < 1_500, "a problem of {} bytes", problem.len()),
    }
}

/// In a world in which each check is one of three things.
fn value(expression: &Expression, world: usize) -> Option<Kleene> {
    let mut signal = |name: &CheckName| {
        let place = CHECKS.iter().position(|check| *check == name.as_str())?;
        let of = [Kleene::True, Kleene::False, Kleene::Unknown];
        Some(of[world / 3_usize.pow(u32::try_from(place).ok()?) % 3])
    };
    expression.evaluate(&mut signal)
}

fn parse(text: &str) -> Result<Expression, String> {
    let check = |name| format!("[[service.check]]\nname = \"{name}\"\nkind = \"tcp\"\nport = 80\n");
    let checks = CHECKS.map(check).concat();
    let text = toml::Value::from(text);
    let whole = format!(
        "[cloud.main]\nregion = \"cn-north-4\"\n[dns.private]\nkind = \"huawei\"\nzone = \"localdev.me.\"\n\
         zone_type = \"private\"\n[[service]]\nname = \"demo\"\ndomain = \"demo.localdev.me.\"\nup_when = {text}\n\
         {checks}[[service.region]]\nname = \"region1\"\naddress = [\"198.51.100.10\"]\n"
    );
    let read = config::parse(&whole, Path::new("pointsman.toml"));
    let config =
        read.map_err(|problems| problems.0.first().map(ToString::to_string).unwrap_or_default())?.config;
    Ok(config.services[0].regions[0].up_when.clone())
}
