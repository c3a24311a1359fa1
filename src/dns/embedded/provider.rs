use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tokio::time::Instant;

use super::content::Sets;
use super::in_words;
use super::state::Place;
use super::zone::{WriteError, Zone, found};
use crate::dns::Provider;
use crate::model::{Answer, Found, Fqdn, ProviderError, ProviderErrorKind, RecordKey, RecordSet};

/// The record sets of a zone that this process serves.
#[derive(Debug)]
pub(super) struct EmbeddedProvider(pub(super) Arc<Zone>);

impl EmbeddedProvider {
    async fn write(
        &self,
        key: &RecordKey,
        before: Option<&Found>,
        set: &RecordSet,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        self.0.write(key, before, set, deadline).await.map_err(|error| {
            let kind = match error {
                WriteError::Changed => ProviderErrorKind::Conflict,
                WriteError::Configured | WriteError::Name(_) => ProviderErrorKind::Refused,
                WriteError::Late(_) | WriteError::Failed(_) => ProviderErrorKind::Lost,
            };
            let message = format!("cannot write {key} in the embedded zone {}: {error}", self.0.name());
            ProviderError { kind, message }
        })
    }
}

impl Provider for EmbeddedProvider {
    fn read<'a>(&'a self, key: &'a RecordKey, _: Instant) -> BoxFuture<'a, Answer> {
        ready(Ok(self.0.read(key))).boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        found: &'a Found,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.write(key, Some(found), set, deadline).boxed()
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.write(key, None, set, deadline).boxed()
    }
}

/// The record sets of a zone that another process serves, or will: seen by what it keeps, which it does before it serves
/// it. Nothing can be written.
#[derive(Debug)]
pub struct EmbeddedReader {
    zone: Fqdn,
    place: Place,
    first: Sets,
}

impl EmbeddedReader {
    /// A reader of that zone; a set of which nothing is kept is as `first` has it.
    #[must_use]
    pub fn new(state_dir: &Path, zone: &Fqdn, first: Sets) -> Self {
        Self { zone: zone.clone(), place: Place::new(state_dir, zone), first }
    }

    fn look(&self, key: &RecordKey) -> Answer {
        let kept = self.place.read().map_err(|error| ProviderError {
            kind: ProviderErrorKind::Unclear,
            message: format!("cannot read {key} in the embedded zone {}: {}", self.zone, in_words(&error)),
        })?;
        let kept = kept.and_then(|state| state.sets.get(key).cloned());
        Ok(kept.or_else(|| self.first.get(key).cloned()).map(|set| found(key, &set)))
    }

    fn refuse(&self, key: &RecordKey) -> Result<(), ProviderError> {
        let message = format!(
            "cannot write {key}: the zone {} is embedded, so only the daemon that serves it changes it; start it with: \
             pointsman run",
            self.zone
        );
        Err(ProviderError { kind: ProviderErrorKind::Refused, message })
    }
}

impl Provider for EmbeddedReader {
    fn read<'a>(&'a self, key: &'a RecordKey, _: Instant) -> BoxFuture<'a, Answer> {
        ready(self.look(key)).boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        _: &'a Found,
        _: &'a RecordSet,
        _: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(self.refuse(key)).boxed()
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        _: &'a RecordSet,
        _: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        ready(self.refuse(key)).boxed()
    }
}
