//! What happened to each paper for one subscriber, and the moves between those states.
//!
//! A matched paper is *pending*, then *queued* in one digest, then *seen* when the relay has accepted that
//! digest; or it ends as *skipped* or *undeliverable*. Whether a paper is new is decided here and by
//! identifiers alone: it is in none of these states, and it lies above the floor of a keyword that
//! matches it. Every move is a pure change of one value, which the store writes whole.

use std::{borrow::Borrow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ArxivId, Definition, SubscriberId, VersionedId};

/// One wording of a keyword, and from where on it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// What the keyword meant.
    pub definition: Definition,
    /// When it was first configured so.
    pub since: DateTime<Utc>,
    /// The floor: papers at or below it are settled. `None` until it is known, and then nothing counts yet.
    pub floor: Option<ArxivId>,
}

/// One (subscriber, keyword) pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The keyword's heading.
    pub keyword: String,
    /// Its wordings, oldest first; the last one is the present one.
    pub generations: Vec<Generation>,
    /// Whether it is no longer configured. A return starts it anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

impl Pair {
    /// How many wordings a pair remembers; older ones give up what only they would still bring.
    pub const GENERATIONS_MAX: usize = 8;

    /// The wording that is configured now.
    pub fn present(&self) -> Option<&Generation> {
        self.generations.last()
    }
}

/// A matched paper that has been in no digest yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// When it was first recorded.
    pub since: DateTime<Utc>,
}

/// A paper that is in a digest on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// The digest's number.
    pub digest: u32,
    /// When the paper was first recorded.
    pub since: DateTime<Utc>,
}

/// A later version of a paper that the subscriber has. It is listed, and it never makes the paper new again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// The later version.
    pub version: u16,
    /// When it was first recorded.
    pub since: DateTime<Utc>,
    /// The number of the digest that lists it, once it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u32>,
}

/// How a paper ended other than by being accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Settled {
    /// Too many papers waited in its section.
    Skipped,
    /// Its digest was refused for good.
    Undeliverable,
    /// It was withdrawn before it was sent.
    Withdrawn,
}

/// Whether a subscriber was welcomed. Everyone is at most once, by a mail that was not returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Welcome {
    /// Not yet. Who has had a digest is not new any more and is not welcomed later.
    #[default]
    Never,
    /// By the digest of this number.
    By(u32),
    /// The digest that was to welcome came back: the next one does.
    Owed,
}

impl Welcome {
    /// Whether there is nothing to remember.
    pub fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

/// Everything the store remembers about one subscriber. Written whole: one read and one write per digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberState {
    /// Who.
    pub id: SubscriberId,
    /// The number of the latest digest; 0 before the first.
    pub latest_digest: u32,
    /// The pairs, in no particular order.
    pub pairs: Vec<Pair>,
    /// Papers at or below this are settled for every keyword: it rises with pruning.
    pub pruned_to: Option<ArxivId>,
    /// Accepted papers above `pruned_to`, with the number of the digest that held each.
    pub seen: BTreeMap<ArxivId, u32>,
    /// Matched papers that wait.
    pub pending: BTreeMap<ArxivId, Pending>,
    /// Papers in digests on their way.
    pub queued: BTreeMap<ArxivId, Queued>,
    /// Papers that ended otherwise.
    pub settled: BTreeMap<ArxivId, Settled>,
    /// The version and time of papers sent, kept only where replacements are listed.
    pub versions: BTreeMap<ArxivId, (u16, DateTime<Utc>)>,
    /// Later versions of papers sent that are to be listed, or are on their way.
    pub replacements: BTreeMap<ArxivId, Replacement>,
    /// When the latest digest was enqueued: silence is counted from here.
    pub latest_enqueued: Option<DateTime<Utc>>,
    /// Whether the subscriber is no longer configured. A return starts all keywords anew.
    pub absent: bool,
    /// Paused by the subscriber or the operator until then.
    pub paused_until: Option<DateTime<Utc>>,
    /// Days on which the mailbox was refused as not existing, for suppression on evidence.
    pub refused_on: Vec<chrono::NaiveDate>,
    /// Whether the subscriber was welcomed.
    pub welcome: Welcome,
}

impl SubscriberState {
    /// Someone who has just been configured.
    pub fn new(id: SubscriberId) -> Self {
        Self {
            id,
            latest_digest: 0,
            pairs: Vec::new(),
            pruned_to: None,
            seen: BTreeMap::new(),
            pending: BTreeMap::new(),
            queued: BTreeMap::new(),
            settled: BTreeMap::new(),
            versions: BTreeMap::new(),
            replacements: BTreeMap::new(),
            latest_enqueued: None,
            absent: false,
            paused_until: None,
            refused_on: Vec::new(),
            welcome: Welcome::Never,
        }
    }

    /// Brings the pairs in line with what is configured now.
    ///
    /// A keyword seen for the first time, or again after it was gone, counts from `now`. A keyword whose
    /// definition changed keeps its former wordings with their floors, and what only the new wording
    /// matches counts from `now`. Returns whether anything changed.
    pub fn configure<W: Borrow<(String, Definition)>>(&mut self, keywords: &[W], now: DateTime<Utc>) -> bool {
        let before = (self.absent, self.pairs.clone());
        let returned = std::mem::take(&mut self.absent);
        for pair in &mut self.pairs {
            pair.absent |= returned || !keywords.iter().any(|wanted| wanted.borrow().0 == pair.keyword);
        }
        for (keyword, definition) in keywords.iter().map(Borrow::borrow) {
            let fresh = || Generation {
                definition: definition.clone(),
                since: now,
                floor: None,
            };
            match self.pairs.iter_mut().find(|pair| pair.keyword == *keyword) {
                None => self.pairs.push(Pair {
                    keyword: keyword.clone(),
                    generations: vec![fresh()],
                    absent: false,
                }),
                Some(pair) if pair.absent => {
                    pair.absent = false;
                    pair.generations = vec![fresh()];
                }
                Some(pair) => match pair.generations.iter().position(|g| g.definition == *definition) {
                    // A wording that comes back keeps its floor and becomes the present one.
                    Some(position) => {
                        let generation = pair.generations.remove(position);
                        pair.generations.push(generation);
                    }
                    None => {
                        pair.generations.push(fresh());
                        if pair.generations.len() > Pair::GENERATIONS_MAX {
                            pair.generations.remove(0);
                        }
                    }
                },
            }
        }
        (self.absent, &self.pairs) != (before.0, &before.1)
    }

    /// Marks the subscriber as no longer configured. Deletes nothing. Returns whether that is a change.
    pub fn remove(&mut self) -> bool {
        !std::mem::replace(&mut self.absent, true)
    }

    /// The moments from which configured wordings count whose floor is not known yet.
    pub fn undetermined(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.configured_pairs()
            .flat_map(|pair| &pair.generations)
            .filter(|g| g.floor.is_none())
            .map(|g| g.since)
    }

    /// Fills in the floors that `floor_for` knows by now. Returns whether any was.
    pub fn determine(&mut self, floor_for: impl Fn(DateTime<Utc>) -> Option<ArxivId>) -> bool {
        let mut changed = false;
        for pair in self.pairs.iter_mut().filter(|pair| !pair.absent) {
            for generation in pair.generations.iter_mut().filter(|g| g.floor.is_none()) {
                generation.floor = floor_for(generation.since);
                changed |= generation.floor.is_some();
            }
        }
        changed
    }

    /// The pairs that are configured now.
    pub fn configured_pairs(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| !pair.absent)
    }

    /// Whether a paper lies above the floor of a configured keyword that matches it.
    ///
    /// `matches` says whether a definition accepts the paper. The present wording must; then the floor of
    /// any wording that accepts the paper counts, so an edit never settles what was on its way.
    pub fn is_above_floor(&self, id: &ArxivId, matches: impl Fn(&Definition) -> bool) -> bool {
        if self.pruned_to.as_ref().is_some_and(|floor| id <= floor) {
            return false;
        }
        self.configured_pairs().any(|pair| {
            pair.present().is_some_and(|present| matches(&present.definition))
                && pair
                    .generations
                    .iter()
                    .any(|g| g.floor.as_ref().is_some_and(|floor| id > floor) && matches(&g.definition))
        })
    }

    /// Whether the paper is in any state: pending, queued, seen, or ended otherwise.
    pub fn knows(&self, id: &ArxivId) -> bool {
        self.seen.contains_key(id)
            || self.pending.contains_key(id)
            || self.queued.contains_key(id)
            || self.settled.contains_key(id)
    }

    /// Absent → pending. Returns whether the paper was absent.
    pub fn record(&mut self, id: &ArxivId, now: DateTime<Utc>) -> bool {
        if self.knows(id) {
            return false;
        }
        self.pending.insert(id.clone(), Pending { since: now });
        true
    }

    /// Notes a version later than the one that was sent. Returns whether that is news.
    ///
    /// Only a paper that was sent under a known version can be replaced; while a digest that lists it is on its way,
    /// a still later version waits until that one is settled.
    pub fn record_replacement(&mut self, id: &ArxivId, version: u16, now: DateTime<Utc>) -> bool {
        let is_later = self.seen.contains_key(id) && self.versions.get(id).is_some_and(|(sent, _)| version > *sent);
        if !is_later {
            return false;
        }
        match self.replacements.get_mut(id) {
            Some(present) if present.digest.is_some() || present.version >= version => false,
            Some(present) => {
                present.version = version;
                true
            }
            None => {
                let replacement = Replacement {
                    version,
                    since: now,
                    digest: None,
                };
                self.replacements.insert(id.clone(), replacement);
                true
            }
        }
    }

    /// The later versions that wait to be listed.
    pub fn waiting_replacements(&self) -> impl Iterator<Item = (&ArxivId, &Replacement)> {
        self.replacements
            .iter()
            .filter(|(_, replacement)| replacement.digest.is_none())
    }

    /// Gives up listing the version that waits: only a still later one is news again.
    pub fn drop_replacement(&mut self, id: &ArxivId) {
        if let Some(dropped) = self.replacements.remove(id)
            && let Some((version, _)) = self.versions.get_mut(id)
        {
            *version = dropped.version;
        }
    }

    /// Remembers under which version a paper was sent, so that a later one can be told.
    pub fn note_version(&mut self, id: &ArxivId, version: u16, at: DateTime<Utc>) {
        self.versions.insert(id.clone(), (version, at));
    }

    /// The versions under which papers were sent, where that is remembered.
    pub fn versions_got(&self) -> impl Iterator<Item = VersionedId> {
        self.versions.iter().map(|(id, (version, _))| VersionedId {
            id: id.clone(),
            version: *version,
        })
    }

    /// Pending → queued in one new digest, whose number is returned. Papers that are not pending are left out.
    pub fn enqueue<'i>(&mut self, ids: impl IntoIterator<Item = &'i ArxivId>, now: DateTime<Utc>) -> u32 {
        self.latest_digest += 1;
        self.latest_enqueued = Some(now);
        for id in ids {
            if let Some(Pending { since }) = self.pending.remove(id) {
                self.queued.insert(
                    id.clone(),
                    Queued {
                        digest: self.latest_digest,
                        since,
                    },
                );
            } else if let Some(replacement) = self.replacements.get_mut(id) {
                replacement.digest.get_or_insert(self.latest_digest);
            }
        }
        self.latest_digest
    }

    /// Whether the next digest is the one that welcomes.
    pub fn is_welcome_due(&self) -> bool {
        match self.welcome {
            Welcome::Never => self.latest_digest == 0,
            Welcome::Owed => true,
            Welcome::By(_) => false,
        }
    }

    /// Queued → seen for all papers of a digest. Returns how many.
    pub fn accept(&mut self, digest: u32) -> usize {
        self.replacements
            .retain(|_, replacement| replacement.digest != Some(digest));
        self.take_queued(digest, |state, id, _| {
            state.seen.insert(id, digest);
        })
    }

    /// Queued → pending for all papers of a digest that will not be sent after all. Returns how many.
    pub fn give_back(&mut self, digest: u32) -> usize {
        for replacement in self.replacements.values_mut() {
            replacement.digest.take_if(|on_its_way| *on_its_way == digest);
        }
        if self.welcome == Welcome::By(digest) {
            self.welcome = Welcome::Owed;
        }
        self.take_queued(digest, |state, id, queued| {
            state.pending.insert(id, Pending { since: queued.since });
        })
    }

    /// Queued → ended for all papers of a digest. Returns how many.
    pub fn end(&mut self, digest: u32, how: Settled) -> usize {
        let listed: Vec<ArxivId> = self
            .replacements
            .iter()
            .filter(|(_, replacement)| replacement.digest == Some(digest))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &listed {
            self.drop_replacement(id);
        }
        self.take_queued(digest, |state, id, _| {
            state.settled.insert(id, how);
        })
    }

    /// Pending → ended. Returns whether the paper was pending.
    pub fn settle(&mut self, id: &ArxivId, how: Settled) -> bool {
        self.pending.remove(id).is_some() && self.settled.insert(id.clone(), how).is_none()
    }

    /// Forgets what lies at or below `floor`, and settles it for good in the same value.
    ///
    /// Pending and queued papers stay. Returns whether the floor rose.
    pub fn prune(&mut self, floor: &ArxivId) -> bool {
        if self.pruned_to.as_ref().is_some_and(|present| present >= floor) {
            return false;
        }
        self.pruned_to = Some(floor.clone());
        self.seen.retain(|id, _| id > floor);
        self.settled.retain(|id, _| id > floor);
        self.versions.retain(|id, _| id > floor);
        self.replacements
            .retain(|id, replacement| id > floor || replacement.digest.is_some());
        true
    }

    fn take_queued(&mut self, digest: u32, mut put: impl FnMut(&mut Self, ArxivId, Queued)) -> usize {
        let (taken, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.queued)
            .into_iter()
            .partition(|(_, queued)| queued.digest == digest);
        self.queued = kept;
        let n_taken = taken.len();
        for (id, queued) in taken {
            put(self, id, queued);
        }
        n_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Term;

    fn id(text: &str) -> ArxivId {
        text.parse().unwrap()
    }

    fn at(day: u32) -> DateTime<Utc> {
        chrono::NaiveDate::from_ymd_opt(2026, 2, day)
            .unwrap()
            .and_hms_opt(7, 0, 0)
            .unwrap()
            .and_utc()
    }

    fn keyword(text: &str) -> (String, Definition) {
        (text.to_owned(), Definition::unrestricted(Term::phrase(text)))
    }

    fn ana() -> SubscriberState {
        SubscriberState::new(SubscriberId("ana@example.net".into()))
    }

    #[test]
    fn nothing_counts_before_the_floor_is_known_and_nothing_at_or_below_it() {
        let mut ana = ana();
        assert!(ana.configure(&[keyword("GNN")], at(1)));
        assert!(!ana.configure(&[keyword("GNN")], at(2)));
        assert!(!ana.is_above_floor(&id("2602.00009"), |_| true));
        assert_eq!(ana.undetermined().collect::<Vec<_>>(), [at(1)]);
        assert!(ana.determine(|_| Some(id("2602.00005"))));
        assert!(!ana.is_above_floor(&id("2602.00005"), |_| true));
        assert!(ana.is_above_floor(&id("2602.00006"), |_| true));
        assert!(!ana.is_above_floor(&id("2602.00006"), |_| false));
    }

    #[test]
    fn a_widened_keyword_keeps_what_the_former_wording_would_bring_and_floods_nothing() {
        let mut ana = ana();
        let narrow = Definition {
            exclude: vec![Term::phrase("survey")],
            ..keyword("GNN").1
        };
        ana.configure(&[("GNN".into(), narrow.clone())], at(1));
        ana.determine(|_| Some(id("2602.00005")));
        ana.configure(&[keyword("GNN")], at(9));
        // The new wording has no floor yet: a survey waits, the rest goes on.
        assert!(ana.is_above_floor(&id("2602.00006"), |_| true));
        assert!(!ana.is_above_floor(&id("2602.00006"), |definition| *definition != narrow));
        ana.determine(|since| (since == at(9)).then(|| id("2602.00100")));
        assert!(!ana.is_above_floor(&id("2602.00099"), |definition| *definition != narrow));
        assert!(ana.is_above_floor(&id("2602.00101"), |definition| *definition != narrow));
        // A narrowed keyword takes nothing that its present wording refuses.
        ana.configure(&[("GNN".into(), narrow.clone())], at(10));
        assert!(!ana.is_above_floor(&id("2602.00101"), |definition| *definition != narrow));
        assert!(ana.is_above_floor(&id("2602.00006"), |_| true));
    }

    #[test]
    fn a_keyword_or_a_subscriber_that_returns_starts_anew_and_loses_no_state() {
        let mut ana = ana();
        ana.configure(&[keyword("GNN"), keyword("RAG")], at(1));
        ana.determine(|_| Some(id("2602.00005")));
        ana.record(&id("2602.00007"), at(1));
        ana.configure(&[keyword("RAG")], at(2));
        ana.configure(&[keyword("GNN"), keyword("RAG")], at(3));
        assert_eq!(ana.undetermined().collect::<Vec<_>>(), [at(3)]);
        assert!(ana.remove() && !ana.remove());
        ana.configure(&[keyword("GNN"), keyword("RAG")], at(9));
        assert_eq!(ana.undetermined().collect::<Vec<_>>(), [at(9), at(9)]);
        assert!(ana.pending.contains_key(&id("2602.00007")));
    }

    #[test]
    fn a_paper_moves_from_pending_to_queued_to_seen_and_never_back_to_new() {
        let (mut ana, a, b) = (ana(), id("2602.00007"), id("2602.00008"));
        assert!(ana.record(&a, at(1)) && !ana.record(&a, at(2)));
        ana.record(&b, at(2));
        assert_eq!(ana.enqueue([&a], at(2)), 1);
        assert!(!ana.record(&a, at(3)));
        assert_eq!(ana.give_back(1), 1);
        assert_eq!(ana.pending[&a].since, at(1));
        assert_eq!(ana.enqueue([&a, &b], at(3)), 2);
        assert_eq!((ana.accept(1), ana.accept(2), ana.accept(2)), (0, 2, 0));
        assert!(!ana.record(&a, at(4)) && !ana.record(&b, at(4)));
        assert_eq!(ana.seen[&b], 2);
    }

    #[test]
    fn a_later_version_of_a_paper_that_was_sent_waits_is_listed_once_and_makes_nothing_new() {
        let (mut ana, a) = (ana(), id("2602.00007"));
        // A paper that was never sent, or under an unknown version, cannot be replaced.
        assert!(!ana.record_replacement(&a, 2, at(1)));
        ana.record(&a, at(1));
        ana.enqueue([&a], at(1));
        ana.accept(1);
        assert!(!ana.record_replacement(&a, 2, at(2)));
        ana.note_version(&a, 1, at(1));
        assert!(!ana.record_replacement(&a, 1, at(2)));
        assert!(ana.record_replacement(&a, 2, at(2)) && !ana.record_replacement(&a, 2, at(3)));
        assert!(ana.record_replacement(&a, 3, at(3)) && !ana.record(&a, at(3)));
        assert_eq!(ana.replacements[&a].since, at(2));
        // On its way, returned, on its way again.
        assert_eq!(ana.enqueue([&a], at(3)), 2);
        assert!(!ana.record_replacement(&a, 4, at(4)) && ana.waiting_replacements().count() == 0);
        assert_eq!((ana.give_back(2), ana.waiting_replacements().count()), (0, 1));
        ana.enqueue([&a], at(4));
        assert_eq!((ana.accept(2), ana.replacements.len()), (0, 1), "another digest");
        ana.note_version(&a, 3, at(4));
        assert_eq!((ana.accept(3), ana.replacements.len()), (0, 0));
        assert_eq!((ana.seen[&a], ana.versions[&a]), (1, (3, at(4))));
        // A digest that ends for good takes the version with it; only a later one is news.
        assert!(ana.record_replacement(&a, 4, at(5)));
        ana.enqueue([&a], at(5));
        ana.end(4, Settled::Undeliverable);
        assert!(!ana.record_replacement(&a, 4, at(6)) && ana.record_replacement(&a, 5, at(6)));
        assert!(ana.settled.is_empty() && ana.prune(&a) && ana.replacements.is_empty());
    }

    #[test]
    fn a_newcomer_is_welcomed_once_unless_the_mail_comes_back() {
        let mut ana = ana();
        assert!(ana.is_welcome_due());
        ana.welcome = Welcome::By(ana.clone().enqueue([], at(1)));
        ana.enqueue([], at(1));
        assert!(!ana.is_welcome_due());
        // Another digest that comes back owes nothing.
        ana.enqueue([], at(2));
        ana.give_back(2);
        assert!(!ana.is_welcome_due());
        ana.give_back(1);
        assert!(ana.is_welcome_due());
        ana.welcome = Welcome::By(ana.clone().enqueue([], at(3)));
        ana.end(3, Settled::Undeliverable);
        assert!(!ana.is_welcome_due(), "what was given up is not tried again");
        let mut bo = SubscriberState::new(SubscriberId("bo".into()));
        bo.enqueue([], at(1));
        assert!(!bo.is_welcome_due(), "who has had mail is not new");
    }

    #[test]
    fn a_pruned_paper_cannot_come_back() {
        let (mut ana, a, b) = (ana(), id("2602.00007"), id("2602.00009"));
        ana.configure(&[keyword("GNN")], at(1));
        ana.determine(|_| Some(id("2602.00001")));
        for paper in [&a, &b] {
            ana.record(paper, at(1));
        }
        ana.enqueue([&a], at(1));
        ana.accept(1);
        assert!(ana.prune(&id("2602.00008")) && !ana.prune(&id("2602.00003")));
        assert!(ana.seen.is_empty());
        assert!(!ana.is_above_floor(&a, |_| true));
        assert!(ana.is_above_floor(&b, |_| true) && ana.knows(&b));
    }
}
