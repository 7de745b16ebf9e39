//! Matched papers: absent → pending, per subscriber.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{Context, Report, floors::Floors};
use crate::{
    fetch::Fetched,
    matching::{Lexicon, Reading, Take},
    model::{ArxivId, Paper, SubscriberId, SubscriberState},
    roster::{self, CHUNK, Followed, Roster},
    store::{Batch, StoreError},
};

/// How many papers are written together.
const PAPERS_PER_BATCH: usize = 200;

/// What one subscriber's keywords brought in one fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Papers that matched a keyword and lie above its floor.
    pub n_fetched: usize,
    /// Of those, not known before.
    pub n_new: usize,
    /// Of those, waiting for a digest since an earlier fetch.
    pub n_waiting: usize,
    /// Of those, on their way, sent, or ended otherwise.
    pub n_known: usize,
    /// Papers that an exclusion or a category kept out.
    pub n_excluded: usize,
}

impl Tally {
    /// The same for a digest that has `n_pending` new papers to choose from: those that earlier fetches brought, and
    /// that this one showed again, are as new to the reader.
    pub(super) fn with_waiting(self, n_pending: usize) -> Self {
        let n_before = self.n_waiting + self.n_known;
        let n_waited = n_pending.saturating_sub(self.n_new).min(n_before);
        Self {
            n_new: self.n_new + n_waited,
            n_waiting: 0,
            n_known: n_before - n_waited,
            ..self
        }
    }
}

/// What decides whether a paper matters to anyone.
pub(super) struct Sought<'a> {
    /// All terms.
    pub(super) lexicon: &'a Lexicon,
    /// Papers whose later versions matter, whatever they say.
    pub(super) followed: &'a Followed,
}

impl Sought<'_> {
    /// Whether the paper matters.
    pub(super) fn wants(&self, paper: &Paper) -> bool {
        self.followed.awaits(paper) || !self.lexicon.read(paper).is_empty()
    }
}

/// Stores the papers that matter to anyone, then records them for everyone they are new to.
pub(super) async fn record(
    ctx: &Context,
    roster: &Roster,
    sought: &Sought<'_>,
    fetched: &Fetched,
    floors: &Floors,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Result<HashMap<SubscriberId, Tally>, StoreError> {
    let read: Vec<(&Paper, Reading<'_>)> = fetched
        .papers
        .values()
        .map(|paper| (paper, sought.lexicon.read(paper)))
        .filter(|(paper, reading)| sought.followed.awaits(paper) || !reading.is_empty())
        .collect();
    let (n_new, n_known) = put_papers(ctx, fetched, now).await?;
    report.new += n_new;
    report.known += n_known;
    let mut tallies = HashMap::new();
    let ids: Vec<SubscriberId> = roster.people().iter().map(|person| person.id.clone()).collect();
    let list_replacements = ctx.settings.enqueue.list_replacements;
    let prune_to = ctx.fetcher.prunable(&*ctx.store).await?;
    for chunk in ids.chunks(CHUNK) {
        roster::update(&*ctx.store, chunk, |state| {
            let (changed, tally) = record_for(
                &mut state.value,
                &read,
                floors,
                prune_to.as_ref(),
                list_replacements,
                now,
            );
            tallies.insert(state.value.id.clone(), tally);
            changed
        })
        .await?;
    }
    for tally in tallies.values() {
        report.matched += tally.n_new;
        report.excluded += tally.n_excluded;
        report.already_seen += tally.n_known;
    }
    Ok(tallies)
}

fn record_for(
    state: &mut SubscriberState,
    read: &[(&Paper, Reading<'_>)],
    floors: &Floors,
    prune_to: Option<&ArxivId>,
    list_replacements: bool,
    now: DateTime<Utc>,
) -> (bool, Tally) {
    let mut tally = Tally::default();
    let mut changed = state.determine(|since| floors.get(&since).cloned());
    for (paper, reading) in read {
        let known = state.knows(&paper.id);
        if known || state.is_above_floor(&paper.id, |definition| reading.accepts(definition)) {
            let wanted = known
                && state.configured_pairs().any(|pair| {
                    pair.present()
                        .is_some_and(|present| reading.accepts(&present.definition))
                });
            if wanted || !known {
                tally.n_fetched += 1;
            }
            let waits = state.pending.contains_key(&paper.id);
            tally.n_waiting += usize::from(wanted && waits);
            tally.n_known += usize::from(wanted && !waits);
            // Whatever it says now: whether it is still one of theirs is decided when it is to be listed.
            if known && list_replacements {
                changed |= state.record_replacement(&paper.id, paper.version, now);
            }
            // A paper that was withdrawn before anyone got it is no news.
            if !known && !paper.withdrawn && state.record(&paper.id, now) {
                tally.n_new += 1;
                changed = true;
            }
        } else if kept_out(state, paper, reading) {
            tally.n_fetched += 1;
            tally.n_excluded += 1;
        }
    }
    if let Some(floor) = prune_to {
        // Only together with another change or when much would go: pruning is not worth a write of its own.
        changed |= (changed || state.seen.len() > 200) && state.prune(floor);
    }
    (changed, tally)
}

/// Whether the paper would have come but for an exclusion or a category.
fn kept_out(state: &SubscriberState, paper: &Paper, reading: &Reading<'_>) -> bool {
    state.is_above_floor(&paper.id, |definition| match reading.take(definition) {
        Take::Accepted | Take::Excluded | Take::OtherCategory => true,
        Take::No => false,
    })
}

/// Writes all fetched papers; returns how many the store did not have and how many it had.
async fn put_papers(ctx: &Context, fetched: &Fetched, now: DateTime<Utc>) -> Result<(usize, usize), StoreError> {
    let papers: Vec<&Paper> = fetched.papers.values().collect();
    let (mut n_new, mut n_known) = (0, 0);
    for chunk in papers.chunks(PAPERS_PER_BATCH) {
        let ids: Vec<ArxivId> = chunk.iter().map(|paper| paper.id.clone()).collect();
        let stored = ctx.store.latest_papers(&ids).await?;
        n_known += stored.iter().flatten().count();
        n_new += stored.iter().filter(|stored| stored.is_none()).count();
        let changed: Vec<(Paper, DateTime<Utc>)> = chunk
            .iter()
            .zip(stored)
            .filter(|(paper, stored)| {
                stored
                    .as_ref()
                    .is_none_or(|stored| is_worth_writing(stored, paper, now))
            })
            .map(|(paper, _)| ((*paper).clone(), now))
            .collect();
        if !changed.is_empty() {
            ctx.store
                .commit(Batch {
                    papers: changed,
                    ..Batch::default()
                })
                .await?;
        }
    }
    Ok((n_new, n_known))
}

/// A stored paper is written again when its text changed, or once a week so that it is not pruned as unseen.
fn is_worth_writing(stored: &crate::store::StoredPaper, paper: &Paper, now: DateTime<Utc>) -> bool {
    (stored.paper != *paper && stored.paper.version <= paper.version)
        || now - stored.last_fetched > chrono::TimeDelta::days(7)
}
