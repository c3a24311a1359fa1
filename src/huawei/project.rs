//! Which project of the account belongs to a region.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::account::Account;
use super::call::Call;
use super::{Api, ApiError, ApiErrorKind};
use crate::clock::instant_now;
use crate::model::{CloudName, first_in_words};

/// How long a refusal stands for all who ask. Long enough that a hundred looks of one interval do not ask
/// IAM a hundred times, short enough that a permission just granted is soon seen.
const REFUSAL_KEPT: Duration = Duration::from_secs(5);

/// The projects found so far, by region. Who asks for one that is being looked up waits for that answer.
#[derive(Default)]
pub(super) struct Projects(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Slot>>>>);

#[derive(Default)]
enum Slot {
    #[default]
    Unasked,
    Known(Arc<str>),
    Refused {
        error: ApiError,
        until: Instant,
    },
}

impl Projects {
    fn slot(&self, region: &str) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(region.to_owned()).or_default().clone()
    }
}

#[derive(Deserialize)]
struct ProjectsAnswer {
    projects: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
    name: String,
    enabled: Option<bool>,
}

impl Account {
    /// The id of the account's project in a region: the configured one; that of the keys' own source in the
    /// account's home region; else the one that IAM names, asked for once.
    ///
    /// # Errors
    /// As every call, and when no project or more than one bears the region's name.
    pub async fn project_id(&self, region: &str, deadline: Instant) -> Result<Arc<str>, ApiError> {
        if let Some(id) = &self.settings().project_id {
            return Ok(id.as_str().into());
        }
        let call = Call::get(
            Api::Iam,
            region,
            "list projects",
            "/v3/projects".to_owned(),
            vec![("name", region.to_owned())],
        );
        if region == self.settings().region {
            let keys = self.keys_for(&call, deadline).await?;
            if let Some(id) = &keys.project_id {
                return Ok(id.as_str().into());
            }
        }
        let slot = self.projects().slot(region);
        let mut slot = timeout_at(deadline, slot.lock()).await.map_err(|_| {
            call.failed(ApiErrorKind::Timeout, "still being asked for when the deadline passed".to_owned())
        })?;
        match &*slot {
            Slot::Known(id) => return Ok(id.clone()),
            Slot::Refused { error, until } if *until > instant_now() => return Err(error.clone()),
            Slot::Refused { .. } | Slot::Unasked => {}
        }
        let found = self.look_up_project(&call, region, deadline).await;
        match &found {
            Ok(id) => *slot = Slot::Known(id.clone()),
            // Of an answer's own no all are told; a deadline or a connection is each caller's own.
            Err(error) if error.is_refusal() || *error.kind() == ApiErrorKind::Project => {
                *slot = Slot::Refused { error: error.clone(), until: instant_now() + REFUSAL_KEPT };
            }
            Err(_) => *slot = Slot::Unasked,
        }
        found
    }

    async fn look_up_project(
        &self,
        call: &Call,
        region: &str,
        deadline: Instant,
    ) -> Result<Arc<str>, ApiError> {
        let answer: ProjectsAnswer = self.call(call, deadline).await?;
        let named: Vec<Project> = answer.projects.into_iter().filter(|one| one.name == region).collect();
        match named.as_slice() {
            [one] => Ok(one.id.as_str().into()),
            others => Err(call.failed(ApiErrorKind::Project, ambiguous(others, region, self.name()))),
        }
    }
}

fn ambiguous(projects: &[Project], region: &str, cloud: &CloudName) -> String {
    if projects.is_empty() {
        return format!(
            "no project is named {region}: the region is misspelt or not switched on for the account, or the \
             keys lack the permission iam:projects:list; else set project_id in [cloud.{cloud}]"
        );
    }
    let list: Vec<String> = projects
        .iter()
        .map(|one| format!("{}{}", one.id, if one.enabled == Some(false) { " (disabled)" } else { "" }))
        .collect();
    format!(
        "{} projects are named {region}: {}; set project_id in [cloud.{cloud}] to the one to use",
        list.len(),
        first_in_words(list.iter().map(String::as_str))
    )
}
