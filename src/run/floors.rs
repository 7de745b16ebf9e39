//! From which identifier on a new subscription counts.
//!
//! Identifiers are given at announcement and only rise, so "announced after the subscription began" can be
//! told from one identifier alone, once it is known: the smallest of any paper whose first version was
//! submitted within `first_digest` before that moment, less one. arXiv is asked for it with one search by
//! submission time and without a keyword, so that the answer does not depend on what the subscription's own
//! keywords bring, nor on whether their first fetch succeeds days later.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

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
/// How many weeks further back a floor is looked for when nothing submitted within reach was announced.
const FURTHER_WEEKS_MAX: i64 = 3;
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
    now: DateTime<Utc>,
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
        match floor_for(ctx, fetched, moment, now).await? {
            Some(floor) => {
                tracing::info!(since = %moment, %floor, "new subscriptions count from here");
                known.value.insert(moment, floor);
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

/// The floor for subscriptions that count from `moment`; `None` while arXiv gives no answer to tell it from.
async fn floor_for(
    ctx: &Context,
    fetched: &mut Fetched,
    moment: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<ArxivId>, StoreError> {
    let from = reach(ctx, moment);
    // An empty answer may be a fault of the service, so it is asked for twice.
    for from in [from, from] {
        let Some(probed) = ctx.fetcher.submitted_since(fetched, from, moment).await? else {
            return Ok(None);
        };
        // Papers of the keywords' own answers can only lower the result, never raise it.
        let own = fetched
            .papers
            .values()
            .filter(|paper| paper.submitted.is_some_and(|at| at >= from));
        if let Some(lowest) = own.map(|paper| &paper.id).chain(&probed).min() {
            return Ok(Some(lowest.predecessor()));
        }
    }
    // Nothing submitted within reach is announced yet, as after holidays. If nothing was announced since the
    // moment either, then all that will be lies above the newest identifier there is.
    if calendar::latest_announcement(now) == calendar::latest_announcement(moment) {
        return Ok(fetched.newest().cloned());
    }
    // Otherwise a floor that lies too low is the safe one: it brings some older papers and loses none.
    for n_weeks in 1..=FURTHER_WEEKS_MAX {
        let from = from - TimeDelta::weeks(n_weeks);
        let Some(probed) = ctx.fetcher.submitted_since(fetched, from, moment).await? else {
            return Ok(None);
        };
        if let Some(lowest) = probed.iter().min() {
            return Ok(Some(lowest.predecessor()));
        }
    }
    Ok(None)
}

/// From when on a first digest takes papers: `first_digest` before the subscription, but at least far enough
/// to hold the papers of the last announcement before it. Their identifiers are surely below all that is
/// announced later; those of papers submitted after it may not be.
pub(super) fn reach(ctx: &Context, moment: DateTime<Utc>) -> DateTime<Utc> {
    let last = calendar::latest_announcement(moment);
    let before = last.previous();
    (moment - ctx.settings.first_digest).min(before.submission_window().0)
}
