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
    mail::{beside, compose::Papers},
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
/// How many subscribers' digests are put together and written at once.
const TOGETHER: usize = 32;

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
    let mut desk = Desk {
        ctx,
        suppressed: &suppressed,
        shelf: Shelf::new(&*ctx.store, lexicon),
        recorded,
    };
    let mut enqueued = Vec::new();
    for chunk in people.chunks(CHUNK) {
        // Papers are shared within a chunk and dropped after it, so that memory stays flat.
        desk.shelf.clear();
        let persons: Vec<&Person> = chunk
            .iter()
            .filter_map(|id| roster.get(id).map(AsRef::as_ref))
            .collect();
        for group in persons.chunks(TOGETHER) {
            let done = desk.enqueue_group(group).await?;
            report.waiting += done.n_waiting;
            enqueued.extend(done.enqueued);
        }
    }
    Ok(enqueued)
}

/// What all digests of a run are put together from.
struct Desk<'r> {
    ctx: &'r Context,
    suppressed: &'r HashMap<String, Suppression>,
    shelf: Shelf<'r>,
    recorded: &'r Recorded,
}

/// What became of some people's papers.
#[derive(Debug, Default)]
struct Done {
    enqueued: Vec<Enqueued>,
    n_waiting: usize,
}

/// A digest before it is cut to size, and the state of its subscriber.
struct Draft {
    state: Versioned<SubscriberState>,
    record: DigestRecord,
    texts: Papers,
    n_pending: usize,
}

impl Desk<'_> {
    /// The digests of some people in one write. Where somebody else has written one of their states meanwhile, each is
    /// decided again alone, so that one does not hold up the others.
    async fn enqueue_group(&mut self, group: &[&Person]) -> Result<Done, StoreError> {
        match self.enqueue_together(group).await {
            Err(StoreError::Conflict(_)) => {}
            done => return done,
        }
        let mut all = Done::default();
        for person in group {
            let done = self.enqueue_alone(person).await?;
            all.enqueued.extend(done.enqueued);
            all.n_waiting += done.n_waiting;
        }
        Ok(all)
    }

    async fn enqueue_alone(&mut self, person: &Person) -> Result<Done, StoreError> {
        for _ in 0..CONFLICTS_MAX {
            match self.enqueue_together(&[person]).await {
                Err(StoreError::Conflict(_)) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict(format!("the state of {}", masked(&person.id))))
    }

    async fn enqueue_together(&mut self, group: &[&Person]) -> Result<Done, StoreError> {
        let now = self.ctx.clock.now();
        let mut done = Done::default();
        let mut batch = Batch::default();
        let mut drafts = Vec::with_capacity(group.len());
        let ids: Vec<SubscriberId> = group.iter().map(|person| person.id.clone()).collect();
        for (person, mut state) in group.iter().zip(self.ctx.store.subscribers(&ids).await?) {
            if is_silent(person, &state.value, self.suppressed, now) {
                let is_suppressed = self.suppressed.contains_key(&roster::suppression_key(&person.address));
                let n_given_up = if is_suppressed {
                    give_up_old(&mut state.value, now)
                } else {
                    0
                };
                done.n_waiting += state.value.pending.len();
                batch.subscribers.extend((n_given_up > 0).then_some(state));
                continue;
            }
            take_back(self.ctx, &mut state.value, &mut batch, now).await?;
            match self.draft(person, &mut state.value, now).await? {
                Some((record, texts, n_pending)) => drafts.push(Draft {
                    state,
                    record,
                    texts,
                    n_pending,
                }),
                None => batch.subscribers.push(state),
            }
        }
        let to_fit = drafts
            .iter_mut()
            .map(|draft| (draft.record.clone(), std::mem::take(&mut draft.texts)));
        let fitted = beside::fit(&self.ctx.composer, to_fit.collect()).await;
        for (draft, fitted) in drafts.into_iter().zip(fitted) {
            let (mut state, n_pending) = (draft.state, draft.n_pending);
            let record = match fitted {
                Ok(fitted) => fitted.record,
                Err(error) => {
                    // The mail cannot be made at all: it is enqueued as it is, so that delivery names the failure.
                    tracing::error!(%error, "a digest cannot be cut to size");
                    draft.record
                }
            };
            tell_broad(&record);
            let entry = self.number(&mut state.value, record, now);
            // Later versions of what was sent are no papers that wait.
            let n_new = entry.digest.papers().filter(|paper| paper.replaces.is_none()).count();
            done.n_waiting += n_pending.saturating_sub(n_new);
            done.enqueued.push(Enqueued {
                id: entry.digest.id.clone(),
                kind: entry.digest.kind,
                n_papers: entry.digest.papers().count(),
            });
            batch.entries.push(Versioned::new(entry));
            batch.subscribers.push(state);
        }
        // Nothing of it leaves the machine before the attempt is on the disk, and with it this.
        self.ctx.store.commit_soon(batch).await?;
        for Enqueued { id, n_papers, .. } in &done.enqueued {
            tracing::info!(digest.id = %id.number, subscriber.id = %masked(&id.subscriber), n_papers, "digest enqueued");
        }
        Ok(done)
    }

    /// The next digest of a subscriber out of what is pending, if there is anything to say, with the text of its papers,
    /// and how many of them are new.
    async fn draft(
        &mut self,
        person: &Person,
        state: &mut SubscriberState,
        now: DateTime<Utc>,
    ) -> Result<Option<(DigestRecord, Papers, usize)>, StoreError> {
        let settings = &self.ctx.settings.enqueue;
        let mut candidates = candidates::pending(person, state, &mut self.shelf).await?;
        if settings.list_replacements {
            let (listed, dropped) = candidates::replacements(person, state, &mut self.shelf).await?;
            dropped.iter().for_each(|id| state.drop_replacement(id));
            candidates.extend(listed);
        }
        let pending: Vec<digest::Pending<'_>> = candidates.iter().map(Candidate::as_pending).collect();
        let keywords: Vec<_> = person
            .keywords()
            .map(|(heading, definition)| (heading.clone(), definition.term.clone()))
            .collect();
        let draft = digest::assemble(&digest::Input {
            keywords: &keywords,
            pending: &pending,
            previous_at: state.latest_enqueued,
            settings: settings.digest,
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
        let kind = if settings.welcome && state.is_welcome_due() {
            DigestKind::Welcome
        } else if !draft.is_empty() {
            DigestKind::Digest
        } else if is_quiet_mail_due(settings.empty, state, now) {
            DigestKind::Quiet
        } else {
            return Ok(None);
        };
        let n_pending = candidates
            .iter()
            .filter(|candidate| candidate.replaces.is_none() && !candidate.paper.withdrawn)
            .count();
        let tally = self.recorded.tallies.get(&person.id).copied().unwrap_or_default();
        let tally = tally.with_waiting(n_pending);
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
            coverage: coverage(person, state, self.recorded, tally, now),
            shared: person.shared,
        };
        let texts = candidates
            .iter()
            .map(|candidate| (candidate.paper.versioned_id(), Arc::clone(&candidate.paper)))
            .collect();
        Ok(Some((record, texts, n_pending)))
    }

    /// The entry of the outbox for a digest that is cut to size; its papers are on their way in `state`.
    fn number(&self, state: &mut SubscriberState, record: DigestRecord, now: DateTime<Utc>) -> OutboxEntry {
        let ids: Vec<ArxivId> = record.papers().map(|paper| paper.id.clone()).collect();
        let number = state.enqueue(&ids, now);
        if record.kind == DigestKind::Welcome {
            state.welcome = Welcome::By(number);
        }
        let id = DigestId {
            subscriber: record.id.subscriber.clone(),
            number,
        };
        let ctx = self.ctx;
        let message_id = ctx.composer.keys.message_id(&id, &ctx.settings.enqueue.from_domain);
        OutboxEntry::new(record, message_id)
    }
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
        ..EntryFilter::default()
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

/// Names keywords of which more waits than is sent: nobody reads all that they match.
fn tell_broad(record: &DigestRecord) {
    for section in &record.sections {
        if digest::is_broad(section)
            && let Some((keyword, _)) = record.keywords.get(usize::from(section.keyword))
        {
            tracing::warn!(
                subscriber.id = %masked(&record.id.subscriber),
                keyword,
                n_waiting = section.n_waiting,
                "the keyword matches more than a digest shows; a longer phrase, or a query with ti:, brings less"
            );
        }
    }
}

fn is_quiet_mail_due(empty: Empty, state: &SubscriberState, now: DateTime<Utc>) -> bool {
    match empty {
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
    now: DateTime<Utc>,
) -> CoverageNote {
    let incomplete: Vec<IncompleteKeyword> = person
        .keywords()
        .filter_map(|(heading, definition)| {
            let (since, why) = recorded.incomplete.get(&definition.term)?;
            Some(IncompleteKeyword {
                keyword: heading.clone(),
                since: *since,
                why: why.clone(),
            })
        })
        .collect();
    let covered = &recorded.covered;
    let is_current = covered.is_current(now);
    let announcement = covered.latest.map(|latest| latest.evening);
    // Silence and announcements are counted from the last mail, since that is what the reader knows of.
    let heard = state.latest_enqueued.unwrap_or(DateTime::UNIX_EPOCH);
    let announced_from = state.latest_enqueued.and_then(|told| {
        let first = covered.announcements_since(covered.news_since(told)).first()?.evening;
        (Some(first) < announcement).then_some(first)
    });
    let heard = covered.news_since(heard);
    CoverageNote {
        announcement,
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
