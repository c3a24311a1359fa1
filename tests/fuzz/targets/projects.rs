//! IAM: which project of the account is a region's. One that no answer names is never taken.

use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::config::CredentialsFrom;
use serde_json::Value;

use super::script::{ACCESS_KEY, REGION, SECRET, Script, assert_tells_no_key, cloud, in_virtual_time, token};

pub(super) fn run(input: &[u8]) {
    let script = Script::read(input);
    if !script.is_plain() {
        return;
    }
    let account = script.account_of(&cloud(CredentialsFrom::Environment, None), |name| match name {
        "HUAWEICLOUD_SDK_AK" => Some(ACCESS_KEY.to_owned()),
        "HUAWEICLOUD_SDK_SK" => Some(SECRET.to_owned()),
        "HUAWEICLOUD_SDK_SECURITY_TOKEN" => Some(token().to_owned()),
        _ => None,
    });
    let found = in_virtual_time(async {
        let found = account.project_id(REGION, instant_now() + Duration::from_secs(5)).await;
        // The id goes into paths and headers: whatever it is, that ends in an answer or an error.
        let members =
            account.members(REGION, &["p1".to_owned()], instant_now() + Duration::from_secs(5)).await;
        if let Err(error) = members {
            assert_tells_no_key(&error.to_string(), input);
        }
        found
    });
    match found {
        Ok(id) => {
            let is_it = |project: &Value| project["name"] == REGION && project["id"] == *id;
            let answers = script.understood("projects");
            let told = answers.iter().filter_map(|a| a["projects"].as_array()).flatten().any(is_it);
            assert!(told, "project {id} was not told");
        }
        Err(error) => assert_tells_no_key(&error.to_string(), input),
    }
}
