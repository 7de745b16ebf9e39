//! What is past keeping goes, once a day: old digests, and papers that nobody waits for.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::Context;
use crate::{
    model::{ArxivId, DigestId, EntryState, VersionedId},
    roster::CHUNK,
    store::{Batch, DocumentKind, EntryFilter, EntryPages, StoreError, Versioned, documents},
};

/// An accepted or ended digest can be looked at and sent again for this long.
const DIGEST_KEPT: TimeDelta = TimeDelta::days(14);
/// A paper is kept for this long after it was last fetched: longer than the deep window, so that what a window
/// still brings is not written anew every day.
const PAPER_KEPT: TimeDelta = TimeDelta::days(150);
/// How often this is done.
const INTERVAL: TimeDelta = TimeDelta::hours(23);
/// How many values are deleted together.
const DELETED_TOGETHER: usize = 500;
/// How many papers are looked at together.
const PAPERS_TOGETHER: usize = 1_000;

const NOTE: &str = "upkeep";

/// Deletes what is past keeping, if the last time was long enough ago.
pub async fn upkeep(ctx: &Context) -> Result<(), StoreError> {
    let now = ctx.clock.now();
    let mut last: Versioned<Option<DateTime<Utc>>> = documents::load(&*ctx.store, DocumentKind::Note, NOTE).await?;
    if last.value.is_some_and(|last| now - last < INTERVAL) {
        return Ok(());
    }
    let digests = old_digests(ctx, now).await?;
    let papers = old_papers(ctx, now).await?;
    let (n_digests, n_papers) = (digests.len(), papers.len());
    for chunk in digests.chunks(DELETED_TOGETHER) {
        ctx.store
            .commit(Batch {
                entries_deleted: chunk.to_vec(),
                ..Batch::default()
            })
            .await?;
    }
    for chunk in papers.chunks(DELETED_TOGETHER) {
        ctx.store
            .commit(Batch {
                papers_deleted: chunk.to_vec(),
                ..Batch::default()
            })
            .await?;
    }
    if n_digests + n_papers > 0 {
        tracing::info!(n_digests, n_papers, "what is past keeping was deleted");
    }
    last.value = Some(now);
    let document = documents::to_write(DocumentKind::Note, NOTE, &last)?;
    ctx.store
        .commit(Batch {
            documents: vec![document],
            ..Batch::default()
        })
        .await
}

async fn old_digests(ctx: &Context, now: DateTime<Utc>) -> Result<Vec<DigestId>, StoreError> {
    let is_old = |state: &EntryState| match state {
        EntryState::Accepted { at, .. } | EntryState::Ended { at, .. } => now - *at > DIGEST_KEPT,
        EntryState::Due | EntryState::Leased(_) | EntryState::Held => false,
    };
    let mut old = Vec::new();
    let mut pages = EntryPages::new(&*ctx.store, EntryFilter::default());
    while let Some(page) = pages.next().await? {
        let of_page = page.into_iter().filter(|entry| is_old(&entry.value.state));
        old.extend(of_page.map(|entry| entry.value.digest.id));
    }
    Ok(old)
}

/// Papers not fetched for long, except those that somebody waits for or that a kept digest shows.
async fn old_papers(ctx: &Context, now: DateTime<Utc>) -> Result<Vec<VersionedId>, StoreError> {
    let mut old = Vec::new();
    let mut below: Option<ArxivId> = None;
    loop {
        let page = ctx.store.newest_papers(below.as_ref(), PAPERS_TOGETHER).await?;
        let Some(last) = page.last() else { break };
        below = Some(last.paper.id.clone());
        old.extend(
            page.iter()
                .filter(|stored| now - stored.last_fetched > PAPER_KEPT)
                .map(|stored| stored.paper.versioned_id()),
        );
    }
    if old.is_empty() {
        return Ok(old);
    }
    let wanted = wanted(ctx).await?;
    old.retain(|paper| !wanted.contains(&paper.id));
    Ok(old)
}

/// Papers that are pending or in a kept digest.
async fn wanted(ctx: &Context) -> Result<HashSet<ArxivId>, StoreError> {
    let mut wanted = HashSet::new();
    for chunk in ctx.store.subscriber_ids().await?.chunks(CHUNK) {
        for state in ctx.store.subscribers(chunk).await? {
            wanted.extend(state.value.pending.into_keys());
            wanted.extend(state.value.queued.into_keys());
            wanted.extend(state.value.replacements.into_keys());
        }
    }
    let mut pages = EntryPages::new(&*ctx.store, EntryFilter::default());
    while let Some(page) = pages.next().await? {
        let papers = page.iter().flat_map(|entry| entry.value.digest.papers());
        wanted.extend(papers.map(|paper| paper.id.clone()));
    }
    Ok(wanted)
}
