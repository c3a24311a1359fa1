//! Asks the witnesses what clients get of each record set now.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::{AT_ONCE, RecordSide, ServiceSide};
use crate::config::Config;
use crate::dns::witness::ask;
use crate::model::{Service, Statement, addresses_in_words};

/// What one witness said of one service's record set.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) service: Arc<Service>,
    pub(super) witness: SocketAddr,
    said: Statement,
    /// What the zone was seen to hold, when it was.
    holds: Option<BTreeSet<IpAddr>>,
}

/// Asks all of them for everything that they are to witness.
pub(super) async fn ask_all(config: &Config, services: &[ServiceSide]) -> Vec<Heard> {
    let questions = services.iter().flat_map(|(service, side)| {
        let witnesses = config.providers.get(&service.record.provider).map(|it| it.witnesses.as_slice());
        witnesses.unwrap_or_default().iter().map(move |witness| (Arc::clone(service), side, *witness))
    });
    let questions: Vec<_> = questions.collect();
    stream::iter(questions)
        .map(|(service, side, witness)| {
            let holds = match side {
                RecordSide::Seen { values, .. } => Some(values.clone()),
                RecordSide::Missing | RecordSide::NotKnown => None,
            };
            async move {
                let said = ask(witness, &service.record.key).await;
                Heard { service, witness, said, holds }
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

impl Heard {
    /// What it says, as a sentence.
    pub(super) fn sentence(&self) -> String {
        format!("witness {} {}", self.witness, self.said)
    }

    /// What is wrong with it, if anything.
    pub(super) fn warning(&self) -> Option<String> {
        let (name, witness) = (&self.service.name, self.witness);
        match (&self.said, &self.holds) {
            (said @ Statement::Addresses { .. }, Some(holds))
                if !said.shows(&self.service.record.key, holds) =>
            {
                Some(format!(
                    "{name}: witness {witness} {}, the zone holds {}; right for as long as a change is younger than the TTL, \
                 else clients that ask there are sent elsewhere",
                    self.said,
                    addresses_in_words(holds)
                ))
            }
            (Statement::Nothing(what), _) => Some(format!(
                "{name}: witness {witness} {what}; a witness must be asked from here, and must know the zone"
            )),
            (Statement::Addresses { .. }, _) => None,
        }
    }
}
