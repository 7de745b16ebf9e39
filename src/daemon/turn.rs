//! One turn of the brain: what is due now, and doing it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    app::App,
    delivery,
    fetch::Search,
    model::{Definition, Slot, SubscriberId, WorkerId},
    run::{self, SlotBook, claim},
    store::StoreError,
};

/// An incomplete keyword is asked again after this long.
const RETRY_INTERVAL: TimeDelta = TimeDelta::minutes(30);
/// While another worker puts digests together, it is looked for them this often.
const FOLLOW_INTERVAL: TimeDelta = TimeDelta::seconds(1);
/// For so long after a slot.
const FOLLOWED_FOR: TimeDelta = TimeDelta::minutes(5);
/// How much earlier than the slot a fetch begins, besides the time that the last one took.
const LEAD: TimeDelta = TimeDelta::minutes(10);

/// arXiv is asked at least this often while it announces, whatever the schedules, so that page and feeds are of the day
/// and a trouble shows before a weekly slot does. An hour more than a day, so that a daily slot comes first.
const FETCH_INTERVAL_MAX: TimeDelta = TimeDelta::hours(25);

/// A subscriber for whom nothing could be fetched completely waits this long after the slot.
const WAIT_MAX: TimeDelta = TimeDelta::hours(6);
/// What is recovered later comes in an extra digest if the next one is further away than this.
const EXTRA_AHEAD: TimeDelta = TimeDelta::hours(36);

/// What the brain remembers between turns. It is rebuilt from nothing after a restart: at worst a fetch is made
/// once more, which changes nothing for anyone, and what was recovered comes in the next ordinary digest.
#[derive(Debug, Default)]
pub struct Memory {
    /// When it began.
    since: Option<DateTime<Utc>>,
    fetched: Option<admin::Fetch>,
    /// What that fetch asked for.
    searches: Vec<Search>,
    /// Whose slot has come while nothing was complete for them.
    late: BTreeMap<SubscriberId, Slot>,
    /// Who was served while something was missing.
    short: BTreeSet<SubscriberId>,
    /// Whose configured subscribers were found to be others.
    strange: Option<WorkerId>,
}

/// What follows a turn.
#[derive(Debug, Default)]
pub struct Next {
    /// When to look again, which may be before the bell rings.
    pub at: Option<DateTime<Utc>>,
    /// What identifies the subscribers of this worker, if it holds the run claim and must keep it alive.
    pub claimed: Option<String>,
}

/// Looks at what is due and does it.
///
/// Of several workers on one state one makes the runs; the others send what is on its way.
///
/// # Errors
/// Those of the store.
pub async fn turn(app: &App, memory: &mut Memory, stop: &CancellationToken) -> Result<Next, StoreError> {
    // First, so that nobody who has left is sent one more digest.
    admin::read_maildir(app).await?;
    let (store, worker) = (&*app.store, &app.delivery.worker);
    if store.claim_ttl().is_none() {
        let at = make_runs(app, memory, stop).await?;
        return Ok(Next { at, claimed: None });
    }
    let people = app.roster.fingerprint();
    let Some(holder) = claim::claim(store, worker, &people).await? else {
        let lost = stop.child_token();
        let at = claim::keep(store, worker, &people, &lost, make_runs(app, memory, &lost)).await?;
        return Ok(Next {
            at,
            claimed: (!lost.is_cancelled()).then_some(people),
        });
    };
    // What was fetched and who waits is the other's business now.
    let strange = memory.strange.take();
    *memory = Memory::default();
    let is_strange = holder.people != people;
    if is_strange && strange.as_ref() != Some(&holder.worker) {
        tracing::warn!(
            holder = %holder.worker,
            "the worker that makes the runs has other subscribers or keywords configured than this one; make them the same"
        );
    }
    memory.strange = is_strange.then_some(holder.worker);
    let at = send_along(app, stop).await?;
    Ok(Next { at, claimed: None })
}

/// Sends what another worker has put together.
async fn send_along(app: &App, stop: &CancellationToken) -> Result<Option<DateTime<Utc>>, StoreError> {
    let now = app.clock.now();
    let next_slot = next_slot(app, now);
    if app.store.next_due().await?.is_none_or(|next| next > now) {
        // All workers wake up at the slot, and the one that makes the run needs some time for it.
        let schedules = app.roster.schedules().into_iter();
        let latest = schedules.map(|(schedule, _)| schedule.latest_at_or_before(now)).max();
        let is_awaited = latest.is_some_and(|latest| now - latest <= FOLLOWED_FOR);
        let soon = is_awaited.then(|| now + FOLLOW_INTERVAL);
        return Ok(next_slot.into_iter().chain(soon).min());
    }
    let delivered = delivery::deliver(&app.delivery, now, stop).await?;
    match &delivered.stopped {
        Some(why) => tracing::error!(why, "sending stopped early; the rest goes later"),
        // More may be on its way already.
        None if delivered.accepted > 0 => return Ok(Some(app.clock.now() + FOLLOW_INTERVAL)),
        None => {}
    }
    Ok(next_slot)
}

fn next_slot(app: &App, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedules = app.roster.schedules().into_iter();
    schedules.map(|(schedule, _)| schedule.next_after(now)).min()
}

/// Fetches, puts together and sends what is due.
async fn make_runs(
    app: &App,
    memory: &mut Memory,
    stop: &CancellationToken,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let now = app.clock.now();
    let mut slots = SlotBook::load(&*app.store).await?;
    let mut due: BTreeMap<SubscriberId, Slot> = std::mem::take(&mut memory.late);
    for person in app.roster.people() {
        if let Some(slot) = slots.due(&person.schedule, now) {
            due.insert(person.id.clone(), slot);
        }
    }
    let next_slot = next_slot(app, now);
    slots.save(&*app.store).await?;
    let lead = LEAD
        + memory
            .fetched
            .as_ref()
            .map_or(TimeDelta::zero(), |fetch| fetch.duration);
    let is_due_soon = next_slot.is_some_and(|next| next - now <= lead);
    let mut is_new = false;
    let is_near = !due.is_empty() || is_due_soon;
    let searches = run::searches(&app.roster);
    // What a reload added was not asked for by the fetch that is remembered, however good that is.
    let is_outdated = searches != memory.searches;
    let since = *memory.since.get_or_insert(now);
    let is_wanted =
        (wants_fetch(memory.fetched.as_ref(), is_near, since, now) && !searches.is_empty()) || (is_outdated && is_near);
    if is_wanted && !stop.is_cancelled() {
        // A fetch may wait for arXiv for a long time; it is dropped when the daemon stops, and loses nothing: what is
        // not recorded yet is fetched again.
        tokio::select! {
            fetch = admin::fetch(app) => memory.fetched = Some(fetch?),
            () = stop.cancelled() => return Ok(None),
        }
        memory.searches = searches;
        is_new = true;
    }
    if stop.is_cancelled() {
        return Ok(None);
    }
    if let Some(fetch) = &memory.fetched {
        memory.late = take_late(app, &mut due, fetch, now);
        if is_new {
            let recovered = recovered(app, &mut memory.short, fetch, now);
            due.extend(recovered);
        }
        if !due.is_empty() {
            let people: Vec<SubscriberId> = due.keys().cloned().collect();
            memory.short.retain(|id| !due.contains_key(id));
            memory
                .short
                .extend(people.iter().filter(|id| n_incomplete(app, id, fetch) > 0).cloned());
            let slot = due.into_values().max_by_key(|slot| slot.at);
            let Some(report) = admin::serve_slots(app, &people, slot, fetch, stop).await? else {
                return Ok(None);
            };
            slots.complete(&*app.store).await?;
            admin::conclude(app, report.is_complete()).await?;
            return Ok(next_slot);
        }
        slots.complete(&*app.store).await?;
        if is_new {
            admin::conclude(app, fetch.report.is_complete()).await?;
        }
    }
    if app.store.next_due().await?.is_some_and(|next| next <= now) {
        let delivered = delivery::deliver(&app.delivery, now, stop).await?;
        if let Some(why) = delivered.stopped {
            tracing::error!(why, "sending stopped early; the rest goes later");
        }
        admin::conclude(app, false).await?;
    }
    Ok(next_slot)
}

/// Takes out of `due` those for whom nothing was complete and whose slot is not [`WAIT_MAX`] ago.
fn take_late(
    app: &App,
    due: &mut BTreeMap<SubscriberId, Slot>,
    fetch: &admin::Fetch,
    now: DateTime<Utc>,
) -> BTreeMap<SubscriberId, Slot> {
    let is_late = |id: &SubscriberId, slot: &Slot| {
        let n_keywords = app.roster.get(id).map_or(0, |person| person.keywords.len());
        now - slot.at < WAIT_MAX && n_keywords > 0 && n_incomplete(app, id, fetch) == n_keywords
    };
    let (late, ready) = std::mem::take(due)
        .into_iter()
        .partition(|(id, slot)| is_late(id, slot));
    *due = ready;
    late
}

/// Those who were served short, got something since, and would wait too long for their next slot.
fn recovered(
    app: &App,
    short: &mut BTreeSet<SubscriberId>,
    fetch: &admin::Fetch,
    now: DateTime<Utc>,
) -> BTreeMap<SubscriberId, Slot> {
    let mut recovered = BTreeMap::new();
    short.retain(|id| {
        let Some(person) = app.roster.get(id) else { return false };
        let is_whole = n_incomplete(app, id, fetch) == 0;
        let has_new = fetch.recorded.tallies.get(id).is_some_and(|tally| tally.n_new > 0);
        let is_far = person.schedule.next_after(now) - now > EXTRA_AHEAD;
        if is_whole && has_new && is_far {
            recovered.insert(id.clone(), person.schedule.slot(now));
        }
        !is_whole
    });
    recovered
}

/// How many of a person's keywords the fetch left incomplete.
fn n_incomplete(app: &App, id: &SubscriberId, fetch: &admin::Fetch) -> usize {
    app.roster.get(id).map_or(0, |person| {
        let is_incomplete = |definition: &Definition| fetch.recorded.incomplete.contains_key(&definition.term);
        person
            .keywords()
            .filter(|(_, definition)| is_incomplete(definition))
            .count()
    })
}

/// Whether to ask arXiv now: for a slot that is due or near, unless what was fetched is complete and shows the
/// latest announcement; every half hour while something is missing; and in any case once a day. What was fetched before
/// `since` is not known.
fn wants_fetch(fetched: Option<&admin::Fetch>, is_near: bool, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let Some(fetch) = fetched else {
        return is_near || now - since >= FETCH_INTERVAL_MAX;
    };
    let is_good = fetch.report.incomplete.is_empty() && fetch.report.current;
    if is_good && covers_latest(fetch.at, now) {
        return false;
    }
    let is_old = now - fetch.at >= RETRY_INTERVAL;
    let is_reason = !is_good || is_near || now - fetch.at >= FETCH_INTERVAL_MAX;
    is_old && is_reason
}

/// Whether everything announced by `now` could be read when the fetch was made.
fn covers_latest(fetched_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let latest = crate::arxiv::calendar::latest_expected(now);
    fetched_at >= latest.visible_from()
}

#[cfg(test)]
mod tests {
    use chrono::Timelike as _;

    use super::*;
    use crate::{
        model::IncompleteKeyword,
        run::{Recorded, Report},
    };

    /// A fetch of Wednesday, 11 February 2026; the announcement before is shown from 04:30 UTC at the latest.
    fn fetched(at: &str, is_current: bool, is_complete: bool) -> admin::Fetch {
        let at = at.parse().unwrap();
        let missing = IncompleteKeyword {
            keyword: "GNN".to_owned(),
            since: at,
            why: "503".to_owned(),
        };
        admin::Fetch {
            recorded: Recorded::default(),
            report: Report {
                current: is_current,
                incomplete: if is_complete { Vec::new() } else { vec![missing] },
                ..Report::default()
            },
            at,
            duration: TimeDelta::zero(),
        }
    }

    /// The alert rules (deploy/monitoring) and what they say of silences count on it.
    #[test]
    fn two_good_fetches_are_never_more_than_four_days_apart_whatever_the_schedules() {
        let began: DateTime<Utc> = "2026-01-05T07:00:00Z".parse().unwrap();
        let at = |now: DateTime<Utc>| fetched(&now.to_rfc3339(), true, true);
        let mut longest = TimeDelta::zero();
        for slot in [None, Some(1), Some(5), Some(7), Some(13), Some(22)] {
            let (mut fetch, mut now) = (at(began), began);
            while now < began + TimeDelta::days(2 * 365) {
                now += TimeDelta::minutes(30);
                let is_near = slot == Some(now.hour());
                if wants_fetch(Some(&fetch), is_near, began, now) {
                    longest = longest.max(now - fetch.at);
                    fetch = at(now);
                }
            }
        }
        assert_eq!(longest, TimeDelta::days(4));
    }

    #[test]
    fn what_is_incomplete_is_asked_for_every_half_hour_and_what_is_complete_for_a_slot_or_once_a_day() {
        let check = |fetch: Option<admin::Fetch>, is_near: bool, now: &str, expected: bool| {
            let now = now.parse().unwrap();
            assert_eq!(
                wants_fetch(fetch.as_ref(), is_near, "2026-02-11T06:00:00Z".parse().unwrap(), now),
                expected,
                "{fetch:?} at {now}"
            );
        };
        let at = "2026-02-11T07:00:00Z";
        // Nothing is known: only a slot is a reason.
        check(None, false, at, false);
        check(None, true, at, true);
        // Complete, with the announcement that can be expected: nothing more is to be had until the next one.
        check(Some(fetched(at, true, true)), true, "2026-02-11T14:00:00Z", false);
        check(Some(fetched(at, true, true)), false, "2026-02-12T07:00:00Z", false);
        check(Some(fetched(at, true, true)), true, "2026-02-12T07:00:00Z", true);
        // Without a slot, as of weekly schedules, once a day while there are announcements.
        check(None, false, "2026-02-12T06:59:00Z", false);
        check(None, false, "2026-02-12T07:00:00Z", true);
        check(Some(fetched(at, true, true)), false, "2026-02-12T07:59:00Z", false);
        check(Some(fetched(at, true, true)), false, "2026-02-12T08:00:00Z", true);
        let friday = "2026-02-13T07:00:00Z";
        check(Some(fetched(friday, true, true)), false, "2026-02-15T23:00:00Z", false);
        check(Some(fetched(friday, true, true)), false, "2026-02-16T07:00:00Z", true);
        // Incomplete: in the same morning, in the afternoon, at night, whatever the slots.
        check(Some(fetched(at, true, false)), true, "2026-02-11T07:29:00Z", false);
        for later in ["2026-02-11T07:30:00Z", "2026-02-11T14:00:00Z", "2026-02-11T23:00:00Z"] {
            check(Some(fetched(at, true, false)), false, later, true);
            // Nor is an index that stands still believed for the day.
            check(Some(fetched(at, false, true)), false, later, true);
        }
    }
}
