//! One run: fetch, match, record, assemble, enqueue. The only module that knows the order.
//!
//! ```text
//! synchronise   the configuration with the stored subscribers: what counts since when
//! fetch         every search once, proven complete or named as incomplete
//! floors        the identifiers from which new subscriptions count
//! record        matched papers: absent → pending, per subscriber
//! enqueue       pending → queued in one numbered digest, per subscriber whose slot it is
//! ```
//!
//! Each step leaves the store whole, so that a process which dies between two of them loses nothing: the
//! next run fetches the same windows again and records what is missing.

mod candidates;
pub mod claim;
mod enqueue;
mod floors;
mod record;
mod report;
mod shelf;
#[cfg(test)]
mod simulator;
mod slots;
mod upkeep;

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

pub use self::{
    enqueue::{Empty, EnqueueSettings, Enqueued},
    record::Tally,
    report::{Report, Stages},
    slots::SlotBook,
    upkeep::upkeep,
};
use crate::{
    arxiv::calendar::{self, Announcement},
    clock::Clock,
    fetch::{Errand, Fetched, Fetcher, Search},
    mail::compose::Composer,
    matching::KeptLexicon,
    model::{Definition, Paper, SubscriberId, Term},
    roster::{self, Roster},
    store::{Batch, Store, StoreError, exports, recovery},
};

/// How many announcements a report or a digest names at most.
const ANNOUNCEMENTS_MAX: usize = 22;

/// Everything that a run works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The memory.
    pub store: Arc<dyn Store>,
    /// The calendar.
    pub clock: Arc<dyn Clock>,
    /// The way to arXiv.
    pub fetcher: Arc<Fetcher>,
    /// Makes the mails.
    pub composer: Arc<Composer>,
    /// All keywords, compiled at the last run.
    pub lexicon: Arc<KeptLexicon>,
    /// How digests are put together.
    pub settings: Arc<Settings>,
    /// Where the daily exports of the state go; `None` where nothing is to be left behind.
    pub exports_dir: Option<PathBuf>,
}

/// How a run behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far back a new subscription reaches.
    pub first_digest: TimeDelta,
    /// How digests are put together.
    pub enqueue: EnqueueSettings,
}

/// What a fetch left behind for the assembling that follows it, perhaps some minutes later.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What the store knows to look for.
    pub definitions: BTreeSet<Definition>,
    /// What each subscriber's keywords brought.
    pub tallies: HashMap<SubscriberId, Tally>,
    /// Terms whose last answer was not complete: since when, and why.
    pub incomplete: HashMap<Term, (DateTime<Utc>, String)>,
    /// What it showed of arXiv's announcements.
    pub covered: Covered,
}

/// Which announcements a fetch covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Covered {
    /// When the fetch was made.
    pub at: Option<DateTime<Utc>>,
    /// The latest announcement that arXiv has surely shown by then; `None` while none has been seen.
    pub latest: Option<Announcement>,
    /// The one that was the latest before it.
    pub before: Option<Announcement>,
}

impl Covered {
    /// Whether that is what arXiv must show by `now`.
    fn is_current(&self, now: DateTime<Utc>) -> bool {
        self.latest
            .is_some_and(|latest| latest >= calendar::latest_expected(now))
    }

    /// From when on announcements are news to who was last told at `told`: what arXiv did not show then is still to be told.
    fn news_since(&self, told: DateTime<Utc>) -> DateTime<Utc> {
        let is_of_this_fetch = self.at.is_some_and(|at| at <= told);
        match self.before {
            Some(before) if !is_of_this_fetch => told.min(before.visible_from()),
            _ => told,
        }
    }

    /// The announcements that arXiv began to show after `since`; at most the last month's.
    fn announcements_since(&self, since: DateTime<Utc>) -> Vec<Announcement> {
        let mut announcements: Vec<Announcement> =
            std::iter::successors(self.latest, |announcement| Some(announcement.previous()))
                .take(ANNOUNCEMENTS_MAX)
                .take_while(|announcement| announcement.visible_from() > since)
                .filter(|announcement| !calendar::is_deferred(announcement.evening))
                .collect();
        announcements.reverse();
        announcements
    }
}

/// Fetches every search of the roster and records what matches.
///
/// The report's counts of papers and pairs are filled in; those of digests are left for the steps after.
pub async fn fetch_and_record(ctx: &Context, roster: &Roster, report: &mut Report) -> Result<Recorded, StoreError> {
    let now = ctx.clock.now();
    report.began.get_or_insert(now);
    // Before anything is recorded or sent, so that there is always an export that a recovery can begin with.
    if let Some(dir) = &ctx.exports_dir {
        exports::keep(&*ctx.store, dir, now).await?;
    }
    let synchronised = synchronise(ctx, roster, now).await?;
    if synchronised.n_added > 0 {
        tracing::info!(n_added = synchronised.n_added, "new subscribers: they count from now");
    }
    let (lexicon, refused) = ctx.lexicon.of(&synchronised.definitions);
    for (term, why) in refused {
        tracing::warn!(term = term.text, why, "a keyword cannot be read and matches nothing");
    }
    let searches = searches(roster);
    let followed = &synchronised.followed;
    let sought = record::Sought {
        lexicon: &lexicon,
        followed,
    };
    let wanted = |paper: &Paper| sought.wants(paper);
    let errand = Errand {
        now,
        since: synchronised
            .undetermined
            .iter()
            .map(|moment| floors::reach(ctx, *moment))
            .min(),
        wanted: &wanted,
        awaited: &|id| followed.holds(id),
    };
    let mut fetched = ctx.fetcher.fetch(&*ctx.store, &searches, &errand).await?;
    let floors = floors::determine(ctx, &mut fetched, &synchronised.undetermined, now).await?;
    let tallies = record::record(ctx, roster, &sought, &fetched, &floors, now, report).await?;
    ctx.fetcher.remember(&*ctx.store, &fetched, now).await?;
    report.keywords = searches.iter().map(|search| search.keywords.len()).sum();
    let covered = Covered {
        at: Some(now),
        latest: fetched.announcement,
        before: fetched.announced_before,
    };
    account(report, &fetched, covered, now);
    Ok(Recorded {
        covered,
        definitions: synchronised.definitions,
        tallies,
        incomplete: fetched.incomplete_terms(),
    })
}

/// Brings the stored states in line with the configuration. After a recovery, who is not known may have been configured
/// since the export already, so they count from then: that brings some older papers at worst, and loses none.
///
/// # Errors
/// Those of the store.
pub async fn synchronise(
    ctx: &Context,
    roster: &Roster,
    now: DateTime<Utc>,
) -> Result<roster::Synchronised, StoreError> {
    let mut recovery = recovery::latest(&*ctx.store).await?;
    let Some(uncounted) = recovery.value.as_mut().filter(|recovery| !recovery.is_counted) else {
        return roster::synchronise(&*ctx.store, roster, now).await;
    };
    uncounted.is_counted = true;
    let synchronised = roster::synchronise(&*ctx.store, roster, uncounted.exported.min(now)).await?;
    ctx.store
        .commit(Batch {
            documents: vec![recovery::to_write(&recovery)?],
            ..Batch::default()
        })
        .await?;
    Ok(synchronised)
}

/// Puts together and enqueues the digests of `people`.
pub async fn assemble_and_enqueue(
    ctx: &Context,
    roster: &Roster,
    people: &[SubscriberId],
    recorded: &Recorded,
    report: &mut Report,
) -> Result<Vec<Enqueued>, StoreError> {
    let (lexicon, _) = ctx.lexicon.of(&recorded.definitions);
    enqueue::enqueue(ctx, roster, people, &lexicon, recorded, report).await
}

/// The distinct searches of everyone: one per term, restricted to categories only where all who ask for the
/// term agree on them.
pub fn searches(roster: &Roster) -> Vec<Search> {
    let mut by_term: HashMap<&Term, Search> = HashMap::new();
    for (heading, definition) in roster.people().iter().flat_map(|person| person.keywords()) {
        let search = by_term.entry(&definition.term).or_insert_with(|| Search {
            term: definition.term.clone(),
            categories: definition.categories.clone(),
            keywords: BTreeSet::new(),
        });
        search.keywords.insert(heading.clone());
        if search.categories != definition.categories {
            search.categories.clear();
        }
    }
    let mut searches: Vec<Search> = by_term.into_values().collect();
    searches.sort_unstable_by(|a, b| a.term.cmp(&b.term));
    searches
}

fn account(report: &mut Report, fetched: &Fetched, covered: Covered, now: DateTime<Utc>) {
    report.rejected += fetched.rejected.len();
    report.fetched += fetched.papers.len() + fetched.rejected.len();
    report.current = fetched.is_current;
    report.requests += fetched.n_requests;
    report.incomplete = fetched.incomplete();
    report.reconciliation.clone_from(&fetched.reconciliation);
    report.deep.clone_from(&fetched.deep);
    let since = fetched.previous_complete.map(|at| covered.news_since(at));
    report.announcements = since
        .map_or_else(
            || covered.latest.into_iter().collect(),
            |since| covered.announcements_since(since),
        )
        .into_iter()
        .map(|announcement| announcement.evening)
        .collect();
    let since = since.unwrap_or(DateTime::UNIX_EPOCH);
    report.silence =
        (report.matched == 0).then(|| calendar::silence(since, now, fetched.is_current, report.incomplete.is_empty()));
}
