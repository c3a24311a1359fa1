//! What a running daemon can be told from outside: by a signal now, over its socket later.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::change::{Change, Layout, ReloadError};
use super::service_manager::ServiceManager;
use crate::admin::Metrics;
use crate::config::{Config, LoadError};
use crate::huawei::Observe;
use crate::probe::AddressesSeen;

/// Something the core loop is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Carry out a change of configuration, and say when that is done.
    Change {
        /// What.
        change: Change,
        /// Hears that it is done.
        done: oneshot::Sender<()>,
    },
    /// Keep in mind that a configuration was refused, and why.
    Refused(String),
    /// Log everything.
    TellState,
}

/// Talks to a running daemon. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    /// What runs now; held while a reload is under way, so that there is one at a time.
    layout: Arc<Mutex<Layout>>,
    observe: Observe,
    seen: mpsc::Sender<AddressesSeen>,
    orders: mpsc::Sender<Order>,
    metrics: Metrics,
    manager: ServiceManager,
}

impl Handle {
    pub(super) fn new(
        layout: Layout,
        observe: Observe,
        seen: mpsc::Sender<AddressesSeen>,
        orders: mpsc::Sender<Order>,
        metrics: Metrics,
        manager: ServiceManager,
    ) -> Self {
        Self { layout: Arc::new(Mutex::new(layout)), observe, seen, orders, metrics, manager }
    }

    /// Puts the configuration that `load` reads in the place of the one that runs, whole or not at all (RELOAD-OR-KEEP). What is
    /// configured as before is not touched: counts, timers, and looks under way go on. The service manager, the metrics
    /// and the journal hear of it. Returns the configuration that is in force now.
    ///
    /// # Errors
    /// When it cannot be read or carried out; the running one stays in force.
    pub async fn reload(
        &self,
        load: impl FnOnce() -> Result<Config, LoadError> + Send + 'static,
    ) -> Result<Arc<Config>, ReloadError> {
        self.manager.reloading();
        let reloaded = self.replace(load).await;
        if let Err(error) = &reloaded {
            self.orders.send(Order::Refused(error.in_words())).await.ok();
        }
        self.metrics.reloaded(reloaded.is_ok());
        self.manager.ready();
        reloaded
    }

    async fn replace(
        &self,
        load: impl FnOnce() -> Result<Config, LoadError> + Send + 'static,
    ) -> Result<Arc<Config>, ReloadError> {
        let mut layout = self.layout.lock().await;
        let (before, observe, seen) = (layout.clone(), Arc::clone(&self.observe), self.seen.clone());
        // It reads files, and sets up thousands of looks at once: nothing for the threads that look.
        let prepared =
            tokio::task::spawn_blocking(move || before.change_to(Arc::new(load()?), &[], &observe, &seen));
        let (after, change) = prepared.await.map_err(|_| ReloadError::Stopping)??;
        let config = Arc::clone(&change.config);
        let (done, is_done) = oneshot::channel();
        self.orders.send(Order::Change { change, done }).await.map_err(|_| ReloadError::Stopping)?;
        is_done.await.map_err(|_| ReloadError::Stopping)?;
        *layout = after;
        Ok(config)
    }

    /// Logs the whole state. When the daemon is stopping there is none to tell of any more, and a loop that takes no orders
    /// has none to tell.
    pub fn tell_state(&self) {
        if self.orders.try_send(Order::TellState).is_err() {
            tracing::warn!("the core loop takes no orders; its state cannot be told");
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
