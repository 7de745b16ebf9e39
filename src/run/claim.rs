//! The run claim: of the workers on one database one fetches and puts digests together; all deliver.
//!
//! The claim is a note with an end by the clock that all share. Whoever holds it gives signs of life; when they stop,
//! the next worker that looks takes over. A worker that lost it breaks off what it was doing. That may come too late,
//! as for a process that was stopped for a while; then the revisions of what it writes keep it out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    model::WorkerId,
    store::{Batch, DocumentKind, Store, StoreError, Versioned, documents},
};

const NOTE: &str = "run-claim";
/// A sign of life is given this many times within the time that it holds.
const RENEWALS: u32 = 4;
/// How often a write that somebody else overtook is decided again.
const CONFLICTS_MAX: usize = 20;

/// What is stored of the claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    /// Who holds it.
    holder: Option<Holder>,
}

/// Who makes the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Which worker.
    pub worker: WorkerId,
    /// Until when without another sign of life, by the clock that all share.
    pub until: DateTime<Utc>,
    /// What identifies its configured subscribers: all workers must have the same.
    pub people: String,
}

/// Takes the run claim or gives a sign of life for it. `None`: it is this worker's, else who holds it.
///
/// Where only one process can work on the state, it is always this one's.
pub async fn claim(store: &dyn Store, worker: &WorkerId, people: &str) -> Result<Option<Holder>, StoreError> {
    let Some(ttl) = store.claim_ttl() else { return Ok(None) };
    for _ in 0..CONFLICTS_MAX {
        let mut claim: Versioned<Claim> = documents::load(store, DocumentKind::Note, NOTE).await?;
        let now = store.shared_now().await?;
        if let Some(holder) = &claim.value.holder
            && holder.worker != *worker
            && holder.until > now
        {
            return Ok(claim.value.holder);
        }
        let former = claim.value.holder.replace(Holder {
            worker: worker.clone(),
            until: now + ttl,
            people: people.to_owned(),
        });
        if write(store, &claim).await? {
            if former.is_none_or(|former| former.worker != *worker) {
                tracing::info!(%worker, "this worker makes the runs");
            }
            return Ok(None);
        }
    }
    Err(StoreError::Conflict("the run claim".to_owned()))
}

/// Who makes the runs now, where several workers can work on the state and one of them is alive.
pub async fn holder(store: &dyn Store) -> Result<Option<WorkerId>, StoreError> {
    if store.claim_ttl().is_none() {
        return Ok(None);
    }
    let claim: Versioned<Claim> = documents::load(store, DocumentKind::Note, NOTE).await?;
    let now = store.shared_now().await?;
    let holder = claim.value.holder.filter(|holder| holder.until > now);
    Ok(holder.map(|holder| holder.worker))
}

/// Gives the claim back if it is this worker's.
pub async fn give_back(store: &dyn Store, worker: &WorkerId) -> Result<(), StoreError> {
    if store.claim_ttl().is_none() {
        return Ok(());
    }
    let mut claim: Versioned<Claim> = documents::load(store, DocumentKind::Note, NOTE).await?;
    if claim.value.holder.take_if(|holder| holder.worker == *worker).is_some() {
        // Whoever was faster has it now.
        let _overtaken = write(store, &claim).await?;
    }
    Ok(())
}

/// Does something under the claim, which this worker has taken, and keeps it alive meanwhile. `lost` is cancelled when
/// another worker has it, or when no sign of life could be given in time: then the work is to break off.
pub async fn keep<R>(
    store: &dyn Store,
    worker: &WorkerId,
    people: &str,
    lost: &CancellationToken,
    work: impl Future<Output = R>,
) -> R {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => return result,
        () = until_lost(store, worker, people) => lost.cancel(),
    }
    work.await
}

/// Keeps the claim alive, which this worker has taken, until it is lost.
pub async fn until_lost(store: &dyn Store, worker: &WorkerId, people: &str) {
    let Some(ttl) = store.claim_ttl().and_then(|ttl| ttl.to_std().ok()) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(ttl / RENEWALS).await;
        match tokio::time::timeout(ttl / 2, claim(store, worker, people)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(holder))) => {
                return tracing::warn!(holder = %holder.worker, "another worker makes the runs now; this one breaks off");
            }
            Ok(Err(error)) => return tracing::warn!(%error, "the run claim cannot be kept; the run is broken off"),
            Err(_elapsed) => return tracing::warn!("the run claim cannot be kept in time; the run is broken off"),
        }
    }
}

/// Returns whether nobody else was faster.
async fn write(store: &dyn Store, claim: &Versioned<Claim>) -> Result<bool, StoreError> {
    let batch = Batch {
        documents: vec![documents::to_write(DocumentKind::Note, NOTE, claim)?],
        ..Batch::default()
    };
    match store.commit(batch).await {
        Err(StoreError::Conflict(_)) => Ok(false),
        done => done.map(|()| true),
    }
}
