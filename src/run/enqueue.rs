//! Pending → queued: one numbered digest per subscriber, in one transaction with the outbox entry.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Context, Recorded, Report};
use crate::{
    arxiv::calendar,
    digest,
    matching::{Found, Lexicon},
    model::{
        ArxivId, CoverageNote, DigestId, DigestKind, DigestRecord, Ending, EntryState, IncompleteKeyword, OutboxEntry,
        Paper, Settled, SubscriberId, SubscriberState, Suppression, Welcome,
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
    let mut shelf = Shelf {
        ctx,
        lexicon,
        papers: HashMap::new(),
    };
    let mut enqueued = Vec::new();
    for chunk in people.chunks(CHUNK) {
        // Papers are shared within a chunk and dropped after it, so that memory stays flat.
        shelf.papers.clear();
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
        match ctx.store.commit(batch).await {
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
    let mut ids: Vec<ArxivId> = state.pending.keys().cloned().collect();
    if ctx.settings.enqueue.list_replacements {
        ids.extend(state.waiting_replacements().map(|(id, _)| id.clone()));
    }
    let papers = shelf.take(&ids).await?;
    let pending: Vec<digest::Pending<'_>> = papers
        .iter()
        .filter_map(|read| pending(person, state, shelf.lexicon, read))
        .collect();
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
    let n_pending = pending.iter().filter(|pending| pending.replaces.is_none()).count();
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
    let texts = papers
        .iter()
        .map(|read| (read.paper.versioned_id(), Arc::clone(&read.paper)))
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

/// A pending paper with the present keywords that match it; `None` where none does any more.
fn pending<'p>(
    person: &Person,
    state: &SubscriberState,
    lexicon: &Lexicon,
    read: &'p ReadPaper,
) -> Option<digest::Pending<'p>> {
    let paper = &*read.paper;
    let reading = lexicon.look_up(paper, &read.found);
    let keywords: Vec<u16> = (0_u16..)
        .zip(&person.keywords)
        .filter(|(_, (_, definition))| reading.accepts(definition))
        .map(|(index, _)| index)
        .collect();
    let in_title = person.keywords.iter().any(|(_, definition)| {
        reading
            .found(&definition.term)
            .is_some_and(|found| !found.title.is_empty())
    });
    // A paper that waits to be sent for the first time replaces nothing.
    let replaces = state
        .versions
        .get(&paper.id)
        .filter(|_| !state.pending.contains_key(&paper.id))
        .copied();
    if replaces.is_some_and(|(sent, _)| paper.version <= sent) {
        return None;
    }
    (!keywords.is_empty()).then(|| digest::Pending {
        paper,
        keywords,
        waiting_since: state
            .pending
            .get(&paper.id)
            .map(|pending| pending.since)
            .or_else(|| Some(state.replacements.get(&paper.id)?.since))
            .unwrap_or(DateTime::UNIX_EPOCH),
        in_title,
        replaces,
    })
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

/// The papers at hand, fetched from the store and read for all terms once per chunk of subscribers.
struct Shelf<'s> {
    ctx: &'s Context,
    lexicon: &'s Lexicon,
    papers: HashMap<ArxivId, ReadPaper>,
}

/// A paper and what its text holds.
#[derive(Clone)]
struct ReadPaper {
    paper: Arc<Paper>,
    found: Arc<Found>,
}

impl Shelf<'_> {
    /// The papers with these identifiers. One whose text is not stored any more is left out and named in the log.
    async fn take(&mut self, ids: &[ArxivId]) -> Result<Vec<ReadPaper>, StoreError> {
        let missing: Vec<ArxivId> = ids
            .iter()
            .filter(|id| !self.papers.contains_key(*id))
            .cloned()
            .collect();
        let stored = self.ctx.store.latest_papers(&missing).await?;
        for (id, stored) in missing.into_iter().zip(stored) {
            match stored {
                Some(stored) => {
                    let found = Arc::new(self.lexicon.find(&stored.paper));
                    let paper = Arc::new(stored.paper);
                    self.papers.insert(id, ReadPaper { paper, found });
                }
                None => {
                    tracing::warn!(paper.id = %id, "a pending paper has no stored text; it waits until it is fetched again");
                }
            }
        }
        Ok(ids.iter().filter_map(|id| self.papers.get(id).cloned()).collect())
    }
}
