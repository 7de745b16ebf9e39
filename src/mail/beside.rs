//! Composing on threads beside the task that waits for it: it keeps a processor busy, and all couriers share one task.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use super::compose::{ComposeError, Composed, Composer, Papers};
use crate::{
    model::{DigestRecord, OutboxEntry},
    render::{Fitted, RenderError},
};

/// Makes the mail of a digest.
///
/// # Errors
/// Those of [`Composer::compose`].
pub async fn compose(composer: &Arc<Composer>, entry: &OutboxEntry, papers: Papers) -> Result<Composed, ComposeError> {
    let (composer, digest, message_id) = (Arc::clone(composer), entry.digest.clone(), entry.message_id.clone());
    beside(move || composer.compose(&digest, &message_id, &papers)).await
}

/// Cuts each digest to the size that mail programs show whole, on all processors. In the order of `drafts`.
pub async fn fit(composer: &Arc<Composer>, drafts: Vec<(DigestRecord, Papers)>) -> Vec<Result<Fitted, RenderError>> {
    let n_processors = available_parallelism().map_or(1, NonZero::get);
    let n_each = drafts.len().div_ceil(n_processors).max(1);
    let mut drafts = drafts.into_iter();
    let mut fitting = Vec::with_capacity(n_processors);
    loop {
        let part: Vec<_> = drafts.by_ref().take(n_each).collect();
        if part.is_empty() {
            break;
        }
        let composer = Arc::clone(composer);
        let fit = move |(record, papers)| composer.fit(record, &papers);
        fitting.push(tokio::task::spawn_blocking(move || {
            part.into_iter().map(fit).collect::<Vec<_>>()
        }));
    }
    let mut fitted = Vec::with_capacity(fitting.len() * n_each);
    for part in fitting {
        fitted.extend(joined(part).await);
    }
    fitted
}

async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

async fn joined<T>(work: tokio::task::JoinHandle<T>) -> T {
    match work.await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process is ending, and the task that waits with it: no digest is the worse for it.
            Err(_) => std::future::pending().await,
        },
    }
}
