//! Pending → queued: one numbered digest per subscriber, in one transaction with the outbox entry.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Context, Recorded, Report,
    candidates::{self, Candidate},
    shelf::Shelf,
};
use crate::{
    arxiv::calendar,
    digest,
    matching::Lexicon,
    model::{
        ArxivId, CoverageNote, DigestId, DigestKind, DigestRecord, Ending, EntryState, IncompleteKeyword, OutboxEntry,
        Settled, SubscriberId, SubscriberState, Suppression, Welcome,
    },
    roster::{self, CHUNK, Person, Roster, masked},
    store::{Batch, EntryFilter, StoreError, Versioned},
};

/// A subscriber hears from the service at least this often, where `empty = "weekly"`.
const SILENCE_MAX: TimeDelta = TimeDelta::days(7);
/// Slots are not exact to the second: a quiet mail may come this much earlier than after a whole week.
const SILENCE_TOLERANCE: TimeDelta = TimeDelta::hours(1);
/// Papers for a suppressed address wait this long.
const SUPPRESSED_WAIT: TimeDelta = TimeDelta::days(14);
/// How often a write that somebody else overtook is decided again.
const CONFLICTS_MAX: usize = 20;

/// What happens when there is nothing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// No mail.
    Skip,
    /// After a week without mail, one line that says what was covered.
    Weekly,
    /// That line every time.
    Send,
}

/// How digests are put together.
#[derive(Debug, Clone)]
pub struct EnqueueSettings {
    /// Sections, order, caps.
    pub digest: digest::Settings,
    /// Whether later versions of papers sent are listed.
    pub list_replacements: bool,
    /// What happens when there is nothing to send.
    pub empty: Empty,
    /// Whether a newcomer's first digest says so, and comes even without a paper.
    pub welcome: bool,
    /// The domain of the sender, in Message-IDs.
    pub from_domain: String,
}

/// A digest that was enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// Which.
    pub id: DigestId,
    /// What kind of mail.
    pub kind: DigestKind,
    /// How many papers it holds.
    pub n_papers: usize,
}

pub(super) async fn enqueue(
    ctx: &Context,
    roster: &Roster,
    people: &[SubscriberId],
    lexicon: &Lexicon,
    recorded: &Recorded,
    report: &mut Report,
) -> Result<Vec<Enqueued>, StoreError> {
    let suppressed = roster::suppressions(&*ctx.store).await?;
    let mut shelf = Shelf::new(&*ctx.store, lexicon);
    let mut enqueued = Vec::new();
    for chunk in people.chunks(CHUNK) {
        // Papers are shared within a chunk and dropped after it, so that memory stays flat.
        shelf.clear();
        for id in chunk {
            let Some(person) = roster.get(id) else { continue };
            let one = enqueue_one(ctx, person, &suppressed, &mut shelf, recorded, report).await?;
            enqueued.extend(one);
        }
    }
    Ok(enqueued)
}

async fn enqueue_one(
    ctx: &Context,
    person: &Person,
    suppressed: &HashMap<String, Suppression>,
    shelf: &mut Shelf<'_>,
    recorded: &Recorded,
    report: &mut Report,
) -> Result<Option<Enqueued>, StoreError> {
    let now = ctx.clock.now();
    for _ in 0..CONFLICTS_MAX {
        let Some(mut state) = ctx.store.subscribers(std::slice::from_ref(&person.id)).await?.pop() else {
            return Ok(None);
        };
        if is_silent(person, &state.value, suppressed, now) {
            let is_suppressed = suppressed.contains_key(&roster::suppression_key(&person.address));
            if is_suppressed && give_up_old(&mut state.value, now) > 0 {
                let batch = Batch {
                    subscribers: vec![state.clone()],
                    ..Batch::default()
                };
                match ctx.store.commit(batch).await {
                    Err(StoreError::Conflict(_)) => continue,
                    done => done?,
                }
            }
            report.waiting += state.value.pending.len();
            return Ok(None);
        }
        let mut batch = Batch::default();
        take_back(ctx, &mut state.value, &mut batch, now).await?;
        let (n_waiting, digest) = compose(ctx, person, &mut state.value, shelf, recorded, report.current, now).await?;
        let enqueued = digest.as_ref().map(|entry| Enqueued {
            id: entry.digest.id.clone(),
            kind: entry.digest.kind,
            n_papers: entry.digest.papers().count(),
        });
        batch.entries.extend(digest.map(Versioned::new));
        batch.subscribers.push(state);
        // Nothing of it leaves the machine before a lease is on the disk, and with it this.
        match ctx.store.commit_soon(batch).await {
            Err(StoreError::Conflict(_)) => continue,
            done => done?,
        }
        report.waiting += n_waiting;
        if let Some(Enqueued { id, n_papers, .. }) = &enqueued {
            tracing::info!(digest.id = %id.number, subscriber.id = %masked(&person.id), n_papers, "digest enqueued");
        }
        return Ok(enqueued);
    }
    Err(StoreError::Conflict(format!("the state of {}", masked(&person.id))))
}

/// Whether nothing goes to this person now.
fn is_silent(
    person: &Person,
    state: &SubscriberState,
    suppressed: &HashMap<String, Suppression>,
    now: DateTime<Utc>,
) -> bool {
    suppressed.contains_key(&roster::suppression_key(&person.address))
        || [person.paused_until, state.paused_until]
            .into_iter()
            .flatten()
            .any(|until| until > now)
}

/// Papers wait two weeks for a suppressed address to come back; then they end as undeliverable, so that nobody's
/// memory grows without limit. Returns how many did.
fn give_up_old(state: &mut SubscriberState, now: DateTime<Utc>) -> usize {
    let old: Vec<ArxivId> = state
        .pending
        .iter()
        .filter(|(_, pending)| now - pending.since > SUPPRESSED_WAIT)
        .map(|(id, _)| id.clone())
        .collect();
    old.iter().filter(|id| state.settle(id, Settled::Undeliverable)).count()
}

/// Ends the digests that stayed refused for the moment: their papers come in the new one. A digest that may
/// have been accepted, or is being sent right now, keeps its papers.
async fn take_back(
    ctx: &Context,
    state: &mut SubscriberState,
    batch: &mut Batch,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if state.queued.is_empty() {
        return Ok(());
    }
    let filter = EntryFilter {
        subscriber: Some(state.id.clone()),
        active_only: true,
    };
    for mut entry in ctx.store.entries(&filter).await? {
        if entry.value.state == EntryState::Due && entry.value.n_unconfirmed == 0 && !entry.value.is_half {
            let n_papers = state.give_back(entry.value.digest.id.number);
            tracing::info!(
                digest.id = entry.value.digest.id.number,
                n_papers,
                "a refused digest ends; its papers come in the next"
            );
            entry.value.state = EntryState::Ended {
                at: now,
                how: Ending::Returned,
            };
            batch.entries.push(entry);
        }
    }
    Ok(())
}

/// Makes the next digest of a subscriber out of what is pending, if there is anything to say. Returns also
/// how many papers wait for a later one.
async fn compose(
    ctx: &Context,
    person: &Person,
    state: &mut SubscriberState,
    shelf: &mut Shelf<'_>,
    recorded: &Recorded,
    is_current: bool,
    now: DateTime<Utc>,
) -> Result<(usize, Option<OutboxEntry>), StoreError> {
    let mut candidates = candidates::pending(person, state, shelf).await?;
    if ctx.settings.enqueue.list_replacements {
        let (listed, dropped) = candidates::replacements(person, state, shelf).await?;
        dropped.iter().for_each(|id| state.drop_replacement(id));
        candidates.extend(listed);
    }
    let pending: Vec<digest::Pending<'_>> = candidates.iter().map(Candidate::as_pending).collect();
    let keywords: Vec<_> = person
        .keywords
        .iter()
        .map(|(heading, definition)| (heading.clone(), definition.term.clone()))
        .collect();
    let draft = digest::assemble(&digest::Input {
        keywords: &keywords,
        pending: &pending,
        previous_at: state.latest_enqueued,
        settings: ctx.settings.enqueue.digest,
    });
    for (ids, how) in [
        (&draft.skipped, Settled::Skipped),
        (&draft.withdrawn, Settled::Withdrawn),
    ] {
        for id in ids {
            if !state.settle(id, how) {
                state.drop_replacement(id);
            }
        }
    }
    let kind = if ctx.settings.enqueue.welcome && state.is_welcome_due() {
        DigestKind::Welcome
    } else if !draft.is_empty() {
        DigestKind::Digest
    } else if is_quiet_mail_due(ctx, state, now) {
        DigestKind::Quiet
    } else {
        return Ok((0, None));
    };
    let tally = recorded.tallies.get(&person.id).copied().unwrap_or_default();
    let n_pending = candidates
        .iter()
        .filter(|candidate| candidate.replaces.is_none() && !candidate.paper.withdrawn)
        .count();
    let record = DigestRecord {
        id: DigestId {
            subscriber: person.id.clone(),
            number: state.latest_digest + 1,
        },
        kind,
        address: person.address.clone(),
        name: person.name.clone(),
        frozen_at: now,
        zone: person.schedule.zone().name().to_owned(),
        keywords,
        sections: draft.sections,
        coverage: coverage(person, state, recorded, tally.with_waiting(n_pending), is_current, now),
        shared: person.shared,
    };
    let texts = candidates
        .iter()
        .map(|candidate| (candidate.paper.versioned_id(), Arc::clone(&candidate.paper)))
        .collect();
    let record = match ctx.composer.fit(record.clone(), &texts) {
        Ok(fitted) => fitted.record,
        Err(error) => {
            // The mail cannot be made at all: it is enqueued as it is, so that delivery names the failure.
            tracing::error!(%error, "a digest cannot be cut to size");
            record
        }
    };
    tell_broad(person, &record);
    let ids: Vec<ArxivId> = record.papers().map(|paper| paper.id.clone()).collect();
    let number = state.enqueue(&ids, now);
    if kind == DigestKind::Welcome {
        state.welcome = Welcome::By(number);
    }
    let id = DigestId {
        subscriber: person.id.clone(),
        number,
    };
    let message_id = ctx.composer.keys.message_id(&id, &ctx.settings.enqueue.from_domain);
    let entry = OutboxEntry::new(record, message_id);
    // Later versions of what was sent are no papers that wait.
    let n_new = entry.digest.papers().filter(|paper| paper.replaces.is_none()).count();
    let n_waiting = n_pending.saturating_sub(n_new);
    Ok((n_waiting, Some(entry)))
}

/// Names keywords of which more waits than is sent: nobody reads all that they match.
fn tell_broad(person: &Person, record: &DigestRecord) {
    for section in &record.sections {
        if digest::is_broad(section)
            && let Some((keyword, _)) = record.keywords.get(usize::from(section.keyword))
        {
            tracing::warn!(
                subscriber.id = %masked(&person.id),
                keyword,
                n_waiting = section.n_waiting,
                "the keyword matches more than a digest shows; a longer phrase, or a query with ti:, brings less"
            );
        }
    }
}

fn is_quiet_mail_due(ctx: &Context, state: &SubscriberState, now: DateTime<Utc>) -> bool {
    match ctx.settings.enqueue.empty {
        Empty::Skip => false,
        Empty::Send => true,
        Empty::Weekly => state
            .latest_enqueued
            .max(configured_since(state))
            .is_some_and(|heard| now - heard >= SILENCE_MAX - SILENCE_TOLERANCE),
    }
}

/// When the first of the subscriber's keywords was first configured.
fn configured_since(state: &SubscriberState) -> Option<DateTime<Utc>> {
    state
        .configured_pairs()
        .flat_map(|pair| &pair.generations)
        .map(|generation| generation.since)
        .min()
}

fn coverage(
    person: &Person,
    state: &SubscriberState,
    recorded: &Recorded,
    tally: super::Tally,
    is_current: bool,
    now: DateTime<Utc>,
) -> CoverageNote {
    let incomplete: Vec<IncompleteKeyword> = person
        .keywords
        .iter()
        .filter_map(|(heading, definition)| {
            let (since, why) = recorded.incomplete.get(&definition.term)?;
            Some(IncompleteKeyword {
                keyword: heading.clone(),
                since: *since,
                why: why.clone(),
            })
        })
        .collect();
    let shown = super::shown(now, is_current);
    // Silence and announcements are counted from the last mail, since that is what the reader knows of.
    let heard = state.latest_enqueued.max(configured_since(state)).unwrap_or(now);
    let announced_from = state.latest_enqueued.and_then(|since| {
        let first = super::shown_since(since, shown).first()?.evening;
        (first < shown.evening).then_some(first)
    });
    CoverageNote {
        announcement: Some(shown.evening),
        announced_from,
        silence: (tally.n_new == 0).then(|| calendar::silence(heard, now, is_current, incomplete.is_empty())),
        current: is_current,
        n_complete: person.keywords.len() - incomplete.len(),
        n_keywords: person.keywords.len(),
        incomplete,
        n_fetched: tally.n_fetched,
        n_new: tally.n_new,
        n_already_sent: tally.n_known,
        n_excluded: tally.n_excluded,
    }
}
