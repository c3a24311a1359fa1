//! How the admin side gets its facts: it asks the core loop, and waits for so long and no longer.
//!
//! The core loop owns all state and nobody locks it. It takes everybody who waits at once and answers them
//! with one [`Status`], so a crowd of readers costs it one answer a turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::model::Status;

/// How long an asker waits. A turn of the core loop takes milliseconds, so after 1 s it is stuck.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How many may wait at once: as many as there can be connections. More wait for room, within their deadline.
const WAITING_MAX: usize = super::http::CONNECTIONS_MAX;

/// The core loop did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the core loop did not answer within {} s", ANSWER_WITHIN.as_secs())]
pub struct NoAnswer;

/// Asks the core loop what is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusHandle(mpsc::Sender<oneshot::Sender<Arc<Status>>>);

/// The core loop's end of it.
#[derive(Debug)]
pub struct Questions(mpsc::Receiver<oneshot::Sender<Arc<Status>>>);

/// All who wait for an answer now; at least one. Dropped unanswered, they hear at once that there is none.
#[derive(Debug)]
#[must_use = "somebody waits for the answer"]
pub struct Asked(Vec<oneshot::Sender<Arc<Status>>>);

/// The two ends.
#[must_use]
pub fn status_channel() -> (StatusHandle, Questions) {
    let (ask, questions) = mpsc::channel(WAITING_MAX);
    (StatusHandle(ask), Questions(questions))
}

impl StatusHandle {
    /// Everything, as it is now.
    ///
    /// # Errors
    /// When the core loop does not answer within [`ANSWER_WITHIN`], or has ended.
    pub async fn ask(&self) -> Result<Arc<Status>, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.0.send(reply).await.map_err(|_| NoAnswer)?;
            answer.await.map_err(|_| NoAnswer)
        };
        tokio::time::timeout(ANSWER_WITHIN, asked).await.unwrap_or(Err(NoAnswer))
    }
}

impl Questions {
    /// Waits until somebody asks; for ever when nobody is left who could. May be dropped half-way.
    pub async fn asked(&mut self) -> Asked {
        let mut waiting = Vec::new();
        if self.0.recv_many(&mut waiting, WAITING_MAX).await == 0 {
            std::future::pending::<()>().await;
        }
        Asked(waiting)
    }
}

impl Asked {
    /// Gives them all this answer. Who has stopped waiting does not mind.
    pub fn answer(self, status: Status) {
        let status = Arc::new(status);
        for reply in self.0 {
            reply.send(Arc::clone(&status)).ok();
        }
    }
}
