//! The bell: tokio-cron-scheduler rings once a minute, and its job does nothing but ring.
//!
//! The scheduler keeps its ticks in memory, freezes a zone's offset and does not wait for running jobs, so it
//! never decides anything here: a tick puts one token into a channel of one place, and a missed or a doubled
//! tick changes nothing.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Every minute, at second 0.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Rings for whoever waits; rings while nobody waits are remembered as one.
#[derive(Debug, Clone, Default)]
pub(super) struct Bell(Arc<Notify>);

impl Bell {
    /// Rings now.
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits for the next ring.
    pub(super) async fn wait(&self) {
        self.0.notified().await;
    }

    /// Starts the scheduler that rings every minute. It rings until it is dropped.
    pub(super) async fn hang(&self) -> Result<JobScheduler, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let bell = self.clone();
        let job = Job::new_async(EVERY_MINUTE, move |_, _| {
            let bell = bell.clone();
            Box::pin(async move { bell.ring() })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(scheduler)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_while_nobody_waits_are_remembered_as_one() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.wait().await;
        let again = tokio::time::timeout(std::time::Duration::from_millis(20), bell.wait()).await;
        assert!(again.is_err());
    }
}
