//! From which identifier on a new subscription counts.
//!
//! Identifiers are given at announcement and only rise, so "announced after the subscription began" can be
//! told from one identifier alone, once it is known: the smallest of any paper whose first version was
//! submitted within `first_digest` before that moment, less one. arXiv is asked for it with one search by
//! submission time and without a keyword, so that the answer does not depend on what the subscription's own
//! keywords bring, nor on whether their first fetch succeeds days later.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Context;
use crate::{
    arxiv::calendar,
    fetch::Fetched,
    model::ArxivId,
    store::{Batch, DocumentKind, StoreError, Versioned, documents},
};

/// How many floors are looked up in one run; more subscriptions than that on one day share moments anyway.
const LOOKUPS_MAX: usize = 20;
/// Under this name the floors found so far are kept.
const NOTE: &str = "floors";
/// How many of them.
const FLOORS_KEPT: usize = 200;

/// The floors known after this run, by the moment from which a subscription counts.
pub(super) type Floors = BTreeMap<DateTime<Utc>, ArxivId>;

/// Looks up the floors for the given moments, each once for all subscribers.
///
/// A moment whose floor cannot be found now is left out: its keywords count nothing yet and lose nothing,
/// because the windows are read again in every run.
pub(super) async fn determine(
    ctx: &Context,
    fetched: &mut Fetched,
    moments: &BTreeSet<DateTime<Utc>>,
) -> Result<Floors, StoreError> {
    let mut known: Versioned<Floors> = documents::load(&*ctx.store, DocumentKind::Note, NOTE).await?;
    let missing: Vec<DateTime<Utc>> = moments
        .iter()
        .filter(|moment| !known.value.contains_key(*moment))
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(known.value);
    }
    for moment in missing.into_iter().take(LOOKUPS_MAX) {
        match lowest_identifier(ctx, fetched, moment).await? {
            Some(lowest) => {
                tracing::info!(since = %moment, floor = %lowest, "new subscriptions count from here");
                known.value.insert(moment, lowest.predecessor());
            }
            None => tracing::warn!(since = %moment, "the floor of new subscriptions is not known yet; they wait"),
        }
    }
    while known.value.len() > FLOORS_KEPT {
        known.value.pop_first();
    }
    let document = documents::to_write(DocumentKind::Note, NOTE, &known)?;
    ctx.store
        .commit(Batch {
            documents: vec![document],
            ..Batch::default()
        })
        .await?;
    Ok(known.value)
}

/// The smallest identifier of any paper submitted since the beginning of the first digest's reach.
async fn lowest_identifier(
    ctx: &Context,
    fetched: &mut Fetched,
    moment: DateTime<Utc>,
) -> Result<Option<ArxivId>, StoreError> {
    let from = reach(ctx, moment);
    let Some(probed) = ctx.fetcher.submitted_since(fetched, from, moment).await? else {
        return Ok(None);
    };
    // Papers of the keywords' own answers can only lower the result, never raise it.
    let own = fetched
        .papers
        .values()
        .filter(|paper| paper.submitted.is_some_and(|at| at >= from));
    Ok(own.map(|paper| &paper.id).chain(&probed).min().cloned())
}

/// From when on a first digest takes papers: `first_digest` before the subscription, but at least far enough
/// to hold the papers of the last announcement before it. Their identifiers are surely below all that is
/// announced later; those of papers submitted after it may not be.
pub(super) fn reach(ctx: &Context, moment: DateTime<Utc>) -> DateTime<Utc> {
    let last = calendar::latest_announcement(moment);
    let before = last.previous();
    (moment - ctx.settings.first_digest).min(before.submission_window().0)
}
