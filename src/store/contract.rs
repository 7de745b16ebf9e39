//! What every store must do, as tests that run against each of them.

use std::{collections::BTreeMap, fmt::Debug, path::Path};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{
    Batch, Document, DocumentKind, DueBy, EntryFilter, EntryPages, Store, StoreError, StoredPaper, Versioned,
    memory::MemoryStore,
    postgres::{PostgresStore, tests::Scratch},
    sled::SledStore,
};
use crate::model::{
    ArxivId, Attempt, Author, CoverageNote, DigestId, DigestKind, DigestRecord, Ending, EntryState, OutboxEntry,
    Outcome, Paper, PaperRecord, SectionRecord, Shown, SubscriberId, SubscriberState, VersionedId, WorkerId,
};

/// A store under test.
#[async_trait]
pub(super) trait Subject: Send {
    fn store(&self) -> &dyn Store;

    /// Closes the store and opens it again, as a new process would. `false` where the state does not outlive it.
    async fn reopen(&mut self, now: DateTime<Utc>) -> bool;

    /// Whether opening proves that no other process lives, so that all leases end.
    fn is_exclusive(&self) -> bool {
        true
    }
}

struct Memory(MemoryStore);

#[async_trait]
impl Subject for Memory {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    async fn reopen(&mut self, _: DateTime<Utc>) -> bool {
        false
    }
}

struct Sled {
    dir: tempfile::TempDir,
    store: Option<SledStore>,
}

impl Sled {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(open(dir.path(), at(0)).await);
        Self { dir, store }
    }
}

async fn open(dir: &Path, now: DateTime<Utc>) -> SledStore {
    SledStore::open(dir, now).await.unwrap().store
}

#[async_trait]
impl Subject for Sled {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    async fn reopen(&mut self, now: DateTime<Utc>) -> bool {
        self.store = None;
        self.store = Some(open(self.dir.path(), now).await);
        true
    }
}

/// Makes one test of each claim for each store.
macro_rules! contract {
    ($($claim:ident),* $(,)?) => {
        mod memory_store {
            use super::*;
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(&mut Memory(MemoryStore::new())).await;
            })*
        }
        mod sled_store {
            use super::*;
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(&mut Sled::new().await).await;
            })*
        }
        mod postgres_store {
            use super::*;
            $(#[tokio::test]
            async fn $claim() {
                if let Some(scratch) = Scratch::new().await {
                    super::$claim(&mut Postgres::new(scratch).await).await;
                }
            })*
        }
    };
}

struct Postgres {
    scratch: Scratch,
    store: Option<PostgresStore>,
}

impl Postgres {
    async fn new(scratch: Scratch) -> Self {
        let store = Some(scratch.open_by_calendar().await);
        Self { scratch, store }
    }
}

#[async_trait]
impl Subject for Postgres {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    async fn reopen(&mut self, _: DateTime<Utc>) -> bool {
        self.store = None;
        self.store = Some(self.scratch.open_by_calendar().await);
        true
    }

    fn is_exclusive(&self) -> bool {
        false
    }
}

contract![
    a_batch_is_written_entirely_or_not_at_all,
    only_what_was_read_at_its_present_revision_is_overwritten,
    what_was_committed_is_there_after_a_new_start,
    long_values_are_stored_whole_and_shrink_again,
    an_entry_keeps_its_digest_however_long_its_history_is,
    entries_fall_due_in_order_and_to_one_worker,
    a_lease_that_runs_out_is_due_again_and_counts_what_may_have_been_sent,
    a_far_horizon_takes_what_is_due_later_but_nobodys_lease,
    leases_of_an_earlier_life_end_at_the_start,
    entries_are_listed_by_subscriber_and_number,
    entries_are_listed_a_page_at_a_time,
    only_what_is_on_its_way_is_in_the_index,
    papers_are_kept_by_version_and_listed_from_the_newest,
    a_paper_twice_in_a_batch_was_first_fetched_at_the_earlier_moment,
    documents_are_kept_by_kind_and_key,
    what_is_deleted_is_gone,
    a_thousand_subscribers_and_a_big_batch_fit,
    any_history_ends_as_in_the_model,
    a_copy_holds_the_same_and_is_apart,
];

pub(super) fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_700_000, 0).unwrap() + TimeDelta::minutes(minute)
}

fn id(text: &str) -> ArxivId {
    text.parse().unwrap()
}

fn digest(text: &str) -> DigestId {
    text.parse().unwrap()
}

fn who(name: &str) -> SubscriberId {
    SubscriberId(name.into())
}

fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

pub(super) fn paper(text: &str, version: u16) -> Paper {
    Paper {
        id: id(text),
        version,
        title: format!("Title of {text}v{version}"),
        authors: vec![Author::named("Ana Example")],
        abstract_text: "We show it.".into(),
        submitted: Some(at(-9000)),
        updated: None,
        categories: vec!["cs.LG".into()],
        comment: None,
        journal_ref: None,
        doi: None,
        withdrawn: false,
    }
}

pub(super) fn entry(name: &str, next_attempt: DateTime<Utc>) -> OutboxEntry {
    OutboxEntry {
        digest: DigestRecord {
            id: digest(name),
            kind: DigestKind::Digest,
            address: "ana@example.net".into(),
            name: None,
            frozen_at: at(0),
            zone: "UTC".into(),
            keywords: Vec::new(),
            sections: Vec::new(),
            coverage: CoverageNote::default(),
            shared: false,
        },
        message_id: format!("<pr1.{}@example.org>", name.replace(['@', '#'], ".")),
        sha256: None,
        fingerprint: None,
        state: EntryState::Due,
        next_attempt,
        n_attempts: 0,
        n_unconfirmed: 0,
        attempts: Vec::new(),
        is_released: false,
        is_half: false,
    }
}

pub(super) fn document(
    kind: DocumentKind,
    key: &str,
    value: Option<serde_json::Value>,
    revision: u64,
) -> Versioned<Document> {
    Versioned {
        value: Document {
            kind,
            key: key.to_owned(),
            value,
        },
        revision,
    }
}

fn entries_batch(entries: impl IntoIterator<Item = OutboxEntry>) -> Batch {
    Batch {
        entries: entries.into_iter().map(Versioned::new).collect(),
        ..Batch::default()
    }
}

fn names(entries: &[Versioned<OutboxEntry>]) -> Vec<String> {
    entries.iter().map(|entry| entry.value.digest.id.to_string()).collect()
}

async fn subscriber(store: &dyn Store, name: &str) -> Versioned<SubscriberState> {
    store.subscribers(&[who(name)]).await.unwrap().remove(0)
}

#[track_caller]
fn assert_conflict<T: Debug>(result: Result<T, StoreError>, with: &str) {
    match result {
        Err(StoreError::Conflict(what)) => assert_eq!(what, with),
        other => panic!("{other:?} instead of a conflict with {with}"),
    }
}

async fn lease(store: &dyn Store, name: &str, minute: i64, limit: usize) -> Vec<Versioned<OutboxEntry>> {
    store
        .lease_due(&worker(name), DueBy::now(at(minute)), TimeDelta::minutes(15), limit)
        .await
        .unwrap()
}

async fn a_batch_is_written_entirely_or_not_at_all(subject: &mut dyn Subject) {
    let store = subject.store();
    store.ping().await.unwrap();
    store.commit(Batch::default()).await.unwrap();
    let batch = |note_revision| Batch {
        subscribers: vec![Versioned::new(SubscriberState::new(who("ana")))],
        entries: vec![Versioned::new(entry("ana#1", at(0)))],
        documents: vec![document(DocumentKind::Note, "n", Some(json!(1)), note_revision)],
        papers: vec![(paper("2602.00001", 1), at(0))],
        ..Batch::default()
    };
    assert_conflict(store.commit(batch(5)).await, "note n");
    assert_eq!(store.subscriber_ids().await.unwrap(), []);
    assert_eq!(store.entries(&EntryFilter::default()).await.unwrap(), []);
    assert_eq!(store.newest_papers(None, 9).await.unwrap(), []);
    assert_eq!(store.next_due().await.unwrap(), None);
    store.commit(batch(0)).await.unwrap();
    assert_eq!(store.subscriber_ids().await.unwrap(), [who("ana")]);
    assert_eq!(store.next_due().await.unwrap(), Some(at(0)));
    assert_eq!(store.document(DocumentKind::Note, "n").await.unwrap().revision, 1);
    assert_eq!(store.newest_papers(None, 9).await.unwrap().len(), 1);
}

async fn only_what_was_read_at_its_present_revision_is_overwritten(subject: &mut dyn Subject) {
    let store = subject.store();
    let states = |states: &[&Versioned<SubscriberState>]| Batch {
        subscribers: states.iter().map(|state| (*state).clone()).collect(),
        ..Batch::default()
    };
    let mut ana = subscriber(store, "ana").await;
    assert_eq!(ana, Versioned::new(SubscriberState::new(who("ana"))));
    assert_conflict(store.commit(states(&[&ana, &ana])).await, "subscriber ana");
    for revision in 0..3 {
        assert_eq!(ana.revision, revision);
        ana.value.latest_digest += 7;
        store.commit(states(&[&ana])).await.unwrap();
        assert_conflict(store.commit(states(&[&ana])).await, "subscriber ana");
        let former = std::mem::replace(&mut ana, subscriber(store, "ana").await);
        assert_eq!(former.value, ana.value);
    }
    store.commit(entries_batch([entry("ana#1", at(0))])).await.unwrap();
    assert_conflict(
        store.commit(entries_batch([entry("ana#1", at(0))])).await,
        "outbox entry ana#1",
    );
    let batch = |revision| Batch {
        documents: vec![document(DocumentKind::Gate, "", Some(json!({})), revision)],
        ..Batch::default()
    };
    store.commit(batch(0)).await.unwrap();
    assert_conflict(store.commit(batch(0)).await, "gate ");
    assert_conflict(store.commit(batch(2)).await, "gate ");
    // A lease is a change: whoever read before it cannot write over it.
    let before = store.entry(&digest("ana#1")).await.unwrap().unwrap();
    let leased = lease(store, "w", 1, 9).await.remove(0);
    assert_eq!((before.revision, leased.revision), (1, 2));
    let write = |entry| Batch {
        entries: vec![entry],
        ..Batch::default()
    };
    assert_conflict(store.commit(write(before)).await, "outbox entry ana#1");
    store.commit(write(leased)).await.unwrap();
}

async fn what_was_committed_is_there_after_a_new_start(subject: &mut dyn Subject) {
    let mut ana = SubscriberState::new(who("ana@example.net"));
    ana.configure(
        &[(
            "GNN".into(),
            crate::model::Definition::unrestricted(crate::model::Term::phrase("GNN")),
        )],
        at(0),
    );
    for text in ["2602.00001", "2602.00005", "hep-th/9901001", "2601.99999"] {
        ana.record(&id(text), at(1));
    }
    ana.enqueue([&id("2602.00001"), &id("hep-th/9901001")], at(2));
    ana.accept(1);
    let batch = Batch {
        subscribers: vec![Versioned::new(ana.clone())],
        entries: vec![Versioned::new(entry("ana@example.net#1", at(3)))],
        documents: vec![document(DocumentKind::Run, "r", Some(json!([1, 2.5, "ü"])), 0)],
        papers: vec![(paper("hep-th/9901001", 3), at(0))],
        ..Batch::default()
    };
    subject.store().commit(batch).await.unwrap();
    subject.reopen(at(9)).await;
    let store = subject.store();
    let read = subscriber(store, "ana@example.net").await;
    assert_eq!((read.value, read.revision), (ana, 1));
    let read = store.entry(&digest("ana@example.net#1")).await.unwrap().unwrap();
    assert_eq!((read.value, read.revision), (entry("ana@example.net#1", at(3)), 1));
    let run = store.document(DocumentKind::Run, "r").await.unwrap();
    assert_eq!(run, document(DocumentKind::Run, "r", Some(json!([1, 2.5, "ü"])), 1));
    let stored = store.latest_papers(&[id("hep-th/9901001")]).await.unwrap();
    assert_eq!(stored[0].as_ref().unwrap().paper, paper("hep-th/9901001", 3));
}

async fn long_values_are_stored_whole_and_shrink_again(subject: &mut dyn Subject) {
    let mut collaboration = paper("2602.00007", 1);
    collaboration.authors = (0..3000)
        .map(|n| Author {
            name: format!("Author Number {n}"),
            affiliations: vec![format!("Institute {}", n % 90)],
        })
        .collect();
    let mut long_state = SubscriberState::new(who("ana"));
    for n in 1..5000 {
        long_state.record(&ArxivId::from_parts(2026, 2, n).unwrap(), at(0));
    }
    let window: Vec<_> = (1..9000).map(|n| format!("2602.{n:05}")).collect();
    let batch = Batch {
        subscribers: vec![Versioned::new(long_state.clone())],
        documents: vec![document(DocumentKind::Coverage, "k", Some(json!(window)), 0)],
        papers: vec![(collaboration.clone(), at(0)), (paper("2602.00008", 1), at(0))],
        ..Batch::default()
    };
    subject.store().commit(batch).await.unwrap();
    subject.reopen(at(1)).await;
    let store = subject.store();
    assert!(subscriber(store, "ana").await.value == long_state);
    let read = store.document(DocumentKind::Coverage, "k").await.unwrap();
    assert!(read.value.value == Some(json!(window)));
    let papers = store.newest_papers(None, 9).await.unwrap();
    assert_eq!(papers.len(), 2);
    assert!(papers[1].paper == collaboration);

    collaboration.authors.truncate(400);
    let mut ana = subscriber(store, "ana").await;
    ana.value.pending.clear();
    let batch = Batch {
        subscribers: vec![ana],
        documents: vec![document(DocumentKind::Coverage, "k", None, 1)],
        papers: vec![(collaboration.clone(), at(2))],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    subject.reopen(at(3)).await;
    let store = subject.store();
    assert_eq!(subscriber(store, "ana").await.value, SubscriberState::new(who("ana")));
    assert!(
        store.latest_papers(&[id("2602.00007")]).await.unwrap()[0]
            .as_ref()
            .unwrap()
            .paper
            == collaboration
    );
    assert_eq!(store.documents(DocumentKind::Coverage).await.unwrap(), []);
}

async fn an_entry_keeps_its_digest_however_long_its_history_is(subject: &mut dyn Subject) {
    // 128 bytes each that nothing makes much shorter than 64.
    let noise = |n_times: u32| -> String {
        (0..2 * n_times)
            .map(|n| {
                format!(
                    "{:x?}",
                    ring::digest::digest(&ring::digest::SHA256, &n.to_be_bytes()).as_ref()
                )
            })
            .collect()
    };
    let mut entry = entry("ana#1", at(3));
    let mut revision = 0;
    // How long the digest is and how much the relay has said, from one write to the next.
    for (n_digest, n_said) in [
        (0, 0),
        (200, 0),
        (200, 1),
        (200, 90),
        (200, 2),
        (90, 2),
        (90, 80),
        (1, 90),
        (1, 0),
    ] {
        entry.digest.name = Some(noise(n_digest));
        entry.attempts = vec![Attempt {
            at: at(0),
            outcome: Outcome::Unconfirmed { reply: noise(n_said) },
            relay: None,
        }];
        let written = Versioned {
            value: entry.clone(),
            revision,
        };
        subject
            .store()
            .commit(Batch {
                entries: vec![written],
                ..Batch::default()
            })
            .await
            .unwrap();
        revision += 1;
        subject.reopen(at(1)).await;
        let read = subject.store().entry(&entry.digest.id).await.unwrap().unwrap();
        assert!(read.value == entry && read.revision == revision, "{n_digest}, {n_said}");
    }
    let leased = lease(subject.store(), "w", 4, 9).await;
    assert_eq!(leased[0].value.digest, entry.digest);
}

async fn entries_fall_due_in_order_and_to_one_worker(subject: &mut dyn Subject) {
    let store = subject.store();
    let entries = [
        entry("cy#1", at(2)),
        entry("ana#2", at(5)),
        entry("bo#1", at(2)),
        entry("ana#1", at(-1_000_000)),
        entry("dan#1", at(30) + TimeDelta::nanoseconds(1)),
    ];
    store.commit(entries_batch(entries)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(-1_000_000)));
    assert_eq!(lease(store, "a", 10, 0).await, []);
    let first = lease(store, "a", 10, 3).await;
    assert_eq!(names(&first), ["ana#1", "bo#1", "cy#1"]);
    for leased in &first {
        let EntryState::Leased(lease) = &leased.value.state else {
            panic!("{leased:?} is not leased")
        };
        assert_eq!(
            (&lease.worker, lease.until, lease.data_begun),
            (&worker("a"), at(25), false)
        );
        assert_eq!((leased.value.n_attempts, leased.revision), (1, 2));
        let id = &leased.value.digest.id;
        assert_eq!(store.entry(id).await.unwrap().as_ref(), Some(leased));
    }
    assert_eq!(names(&lease(store, "b", 10, 9).await), ["ana#2"]);
    assert_eq!(lease(store, "b", 10, 9).await, []);
    assert_eq!(store.next_due().await.unwrap(), Some(at(25)));
    assert_eq!(lease(store, "b", 24, 9).await, []);
    assert_eq!(
        names(&lease(store, "b", 30, 9).await),
        ["ana#1", "ana#2", "bo#1", "cy#1"]
    );
    assert_eq!(
        store.next_due().await.unwrap(),
        Some(at(30) + TimeDelta::nanoseconds(1))
    );
}

async fn a_lease_that_runs_out_is_due_again_and_counts_what_may_have_been_sent(subject: &mut dyn Subject) {
    let store = subject.store();
    let entries = [entry("ana#1", at(0)), entry("bo#1", at(0))];
    store.commit(entries_batch(entries)).await.unwrap();
    for round in 0..3 {
        let mut leased = lease(store, "a", 20 * round, 9).await;
        assert_eq!(names(&leased), ["ana#1", "bo#1"], "{round}");
        let bo = leased.pop().unwrap().value;
        assert_eq!((bo.n_attempts, bo.n_unconfirmed), (round as u32 + 1, 0));
        let mut ana = leased.pop().unwrap();
        assert_eq!(ana.value.n_unconfirmed, round as u32);
        assert!(ana.value.begin_data());
        let batch = Batch {
            entries: vec![ana],
            ..Batch::default()
        };
        store.commit(batch).await.unwrap();
    }
    assert_eq!(names(&lease(store, "a", 60, 1).await), ["bo#1"]);
    let held = store.entry(&digest("ana#1")).await.unwrap().unwrap().value;
    assert_eq!(
        (&held.state, held.n_unconfirmed, held.attempts.len()),
        (&EntryState::Held, 3, 3)
    );
    let [at_first, .., at_last] = &held.attempts[..] else {
        panic!("no attempts")
    };
    assert_eq!((at_first.at, at_last.at), (at(15), at(55)));
    // What is held is nobody's, but still on its way.
    assert_eq!(names(&lease(store, "a", 900, 9).await), ["bo#1"]);
    let active = EntryFilter {
        active_only: true,
        ..EntryFilter::default()
    };
    assert_eq!(names(&store.entries(&active).await.unwrap()), ["ana#1", "bo#1"]);
}

async fn a_far_horizon_takes_what_is_due_later_but_nobodys_lease(subject: &mut dyn Subject) {
    let store = subject.store();
    let entries = [entry("ana#1", at(0)), entry("bo#1", at(0)), entry("cy#1", at(500))];
    store.commit(entries_batch(entries)).await.unwrap();
    assert_eq!(names(&lease(store, "a", 1, 1).await), ["ana#1"]);
    let far = DueBy {
        horizon: at(9000),
        now: at(2),
    };
    let taken = store.lease_due(&worker("b"), far, TimeDelta::minutes(15), 9).await;
    assert_eq!(names(&taken.unwrap()), ["bo#1", "cy#1"]);
    assert_eq!(names(&lease(store, "b", 16, 9).await), ["ana#1"]);
}

async fn leases_of_an_earlier_life_end_at_the_start(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut at_the_limit = entry("cy#1", at(0));
    at_the_limit.n_unconfirmed = 2;
    let entries = [
        entry("ana#1", at(0)),
        entry("bo#1", at(0)),
        at_the_limit,
        entry("dan#1", at(99)),
    ];
    store.commit(entries_batch(entries)).await.unwrap();
    let mut leased = lease(store, "a", 1, 9).await;
    for entry in &mut leased[1..] {
        entry.value.begin_data();
    }
    let batch = Batch {
        entries: leased.split_off(1),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    if !subject.reopen(at(2)).await || !subject.is_exclusive() {
        return;
    }
    let store = subject.store();
    let mut got = Vec::new();
    for entry in store.entries(&EntryFilter::default()).await.unwrap() {
        let OutboxEntry {
            state, n_unconfirmed, ..
        } = entry.value;
        got.push((
            state,
            entry.value.next_attempt,
            n_unconfirmed,
            entry.value.attempts.len(),
        ));
    }
    assert_eq!(
        got,
        [
            (EntryState::Due, at(2), 0, 0),
            (EntryState::Due, at(2), 1, 1),
            (EntryState::Held, at(2), 3, 1),
            (EntryState::Due, at(99), 0, 0),
        ]
    );
    assert_eq!(names(&lease(store, "b", 2, 9).await), ["ana#1", "bo#1"]);
    subject.reopen(at(3)).await;
    assert_eq!(subject.store().next_due().await.unwrap(), Some(at(3)));
}

async fn entries_are_listed_by_subscriber_and_number(subject: &mut dyn Subject) {
    let store = subject.store();
    let long = format!("{}#1", "y".repeat(300));
    let all = ["ana#1", "ana#2", "ana#300", "ana.b#1", "ana2#1", "bo#1", &long];
    let entries = all.iter().rev().map(|name| {
        let mut entry = entry(name, at(0));
        if *name == "ana#2" {
            entry.state = EntryState::Ended {
                at: at(1),
                how: Ending::Returned,
            };
        }
        entry
    });
    store.commit(entries_batch(entries)).await.unwrap();
    let list = async |subscriber: Option<&str>, active_only| {
        let filter = EntryFilter {
            subscriber: subscriber.map(who),
            active_only,
            ..EntryFilter::default()
        };
        names(&store.entries(&filter).await.unwrap())
    };
    assert_eq!(list(None, false).await, all);
    assert_eq!(list(Some("ana"), false).await, ["ana#1", "ana#2", "ana#300"]);
    assert_eq!(list(Some("ana"), true).await, ["ana#1", "ana#300"]);
    assert_eq!(list(None, true).await.len(), all.len() - 1);
    assert_eq!(list(Some(&"y".repeat(300)), true).await, [long.as_str()]);
    assert!(list(Some("an"), false).await.is_empty() && list(Some("zoe"), true).await.is_empty());
    assert_eq!(store.entry(&digest("ana#3")).await.unwrap(), None);
}

async fn entries_are_listed_a_page_at_a_time(subject: &mut dyn Subject) {
    let store = subject.store();
    // Two pages and a half, of which every third entry is over; the later in the alphabet, the earlier it falls due.
    let all: Vec<OutboxEntry> = (0..2_500)
        .map(|n| {
            let mut entry = entry(&format!("reader{:04}#{}", n / 3, n % 3 + 1), at(3_000 - n));
            if n % 3 == 2 {
                entry.state = EntryState::Held;
            }
            if n % 3 == 1 {
                let how = Ending::Returned;
                entry.state = EntryState::Ended { at: at(1), how };
            }
            entry
        })
        .collect();
    store.commit(entries_batch(all.iter().cloned())).await.unwrap();
    let list = async |filter: EntryFilter| {
        let mut listed = Vec::new();
        let mut pages = EntryPages::new(store, filter);
        while let Some(page) = pages.next().await.unwrap() {
            listed.extend(page);
        }
        names(&listed)
    };
    let expected = |is_wanted: &dyn Fn(&OutboxEntry) -> bool| -> Vec<String> {
        let wanted = all.iter().filter(|entry| is_wanted(entry));
        wanted.map(|entry| entry.digest.id.to_string()).collect()
    };
    assert_eq!(list(EntryFilter::default()).await, expected(&|_| true));
    let active = || EntryFilter {
        active_only: true,
        ..EntryFilter::default()
    };
    assert_eq!(list(active()).await, expected(&OutboxEntry::is_active));
    let later = EntryFilter {
        due_after: Some(at(900)),
        ..active()
    };
    let is_later = |entry: &OutboxEntry| entry.due_at().is_some_and(|due_at| due_at > at(900));
    assert_eq!(list(later).await, expected(&is_later));
    let of_one = EntryFilter {
        subscriber: Some(who("reader0007")),
        after: Some(digest("reader0007#1")),
        ..EntryFilter::default()
    };
    assert_eq!(list(of_one.clone()).await, ["reader0007#2", "reader0007#3"]);
    let first = EntryFilter {
        active_only: true,
        limit: Some(1),
        ..of_one
    };
    assert_eq!(names(&store.entries(&first).await.unwrap()), ["reader0007#3"]);
}

async fn only_what_is_on_its_way_is_in_the_index(subject: &mut dyn Subject) {
    let store = subject.store();
    let change = async |change: &dyn Fn(&mut OutboxEntry)| {
        let mut read = store.entry(&digest("ana#1")).await.unwrap().unwrap();
        change(&mut read.value);
        let batch = Batch {
            entries: vec![read],
            ..Batch::default()
        };
        store.commit(batch).await.unwrap();
        store.next_due().await.unwrap()
    };
    store.commit(entries_batch([entry("ana#1", at(5))])).await.unwrap();
    assert_eq!(change(&|entry| entry.next_attempt = at(7)).await, Some(at(7)));
    assert_eq!(change(&|entry| entry.state = EntryState::Held).await, None);
    assert_eq!(change(&|entry| entry.state = EntryState::Due).await, Some(at(7)));
    let accept = |entry: &mut OutboxEntry| {
        let reply = "250 2.0.0 queued as 4XYZ".to_owned();
        entry.push_attempt(Attempt {
            at: at(7),
            outcome: Outcome::Accepted { reply: reply.clone() },
            relay: None,
        });
        entry.state = EntryState::Accepted { at: at(8), reply };
    };
    assert_eq!(change(&accept).await, None);
    assert_eq!(lease(store, "a", 900, 9).await, []);
    let accepted = store.entry(&digest("ana#1")).await.unwrap().unwrap();
    assert_eq!((accepted.revision, accepted.value.attempts.len()), (5, 1));
    assert_eq!(change(&|entry| entry.state = EntryState::Due).await, Some(at(7)));
}

async fn papers_are_kept_by_version_and_listed_from_the_newest(subject: &mut dyn Subject) {
    let store = subject.store();
    let batch = |papers: Vec<(Paper, DateTime<Utc>)>| Batch {
        papers,
        ..Batch::default()
    };
    let order = [
        "2602.12345",
        "2602.00009",
        "1501.00001",
        "1412.9999",
        "0704.0001",
        "math/0703001",
        "hep-th/9901001",
    ];
    let all = order.iter().rev().map(|text| (paper(text, 1), at(1)));
    store.commit(batch(all.collect())).await.unwrap();
    let later = vec![(paper("2602.00009", 12), at(4)), (paper("2602.00009", 2), at(3))];
    store.commit(batch(later)).await.unwrap();
    let mut corrected = paper("2602.00009", 2);
    corrected.title = "Corrected".into();
    store.commit(batch(vec![(corrected.clone(), at(6))])).await.unwrap();

    let versions = [2, 1, 12, 3].map(|version| VersionedId {
        id: id("2602.00009"),
        version,
    });
    let read = store.papers(&versions).await.unwrap();
    let expected = StoredPaper {
        paper: corrected,
        first_fetched: at(1),
        last_fetched: at(6),
    };
    assert_eq!(read[0], Some(expected));
    assert_eq!(read[1].as_ref().map(|stored| stored.last_fetched), Some(at(1)));
    assert_eq!(read[2].as_ref().map(|stored| stored.paper.version), Some(12));
    assert_eq!(read[3], None);
    let latest = store
        .latest_papers(&[id("2602.00009"), id("2602.00010")])
        .await
        .unwrap();
    assert_eq!(latest[0].as_ref().map(|stored| stored.paper.version), Some(12));
    assert_eq!(latest[1], None);

    let list = async |below: Option<&str>, limit| {
        let papers = store.newest_papers(below.map(id).as_ref(), limit).await.unwrap();
        let ids = papers.into_iter().map(|stored| stored.paper.versioned_id().to_string());
        ids.collect::<Vec<_>>()
    };
    let listed = order.map(|text| format!("{text}v{}", if text == "2602.00009" { 12 } else { 1 }));
    assert_eq!(list(None, 99).await, listed);
    assert_eq!(list(None, 2).await, listed[..2]);
    assert_eq!(list(Some("2602.00009"), 2).await, listed[2..4]);
    assert_eq!(list(Some("2602.00010"), 1).await, listed[1..2]);
    assert_eq!(list(Some("0704.0001"), 9).await, listed[5..]);
    assert!(list(Some("hep-th/9901001"), 9).await.is_empty() && list(None, 0).await.is_empty());

    let delete = Batch {
        papers_deleted: vec![versions[2].clone(), versions[3].clone()],
        ..Batch::default()
    };
    store.commit(delete).await.unwrap();
    assert_eq!(list(None, 2).await[1], "2602.00009v2");
}

/// So an imported paper gets back both of its moments.
async fn a_paper_twice_in_a_batch_was_first_fetched_at_the_earlier_moment(subject: &mut dyn Subject) {
    let store = subject.store();
    let papers = [(1, 3), (1, 8), (2, 9)].map(|(version, minute)| (paper("2602.00001", version), at(minute)));
    let batch = Batch {
        papers: papers.to_vec(),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let versions = [1, 2].map(|version| paper("2602.00001", version).versioned_id());
    let moments: Vec<_> = store
        .papers(&versions)
        .await
        .unwrap()
        .into_iter()
        .flatten()
        .map(|stored| (stored.first_fetched, stored.last_fetched))
        .collect();
    assert_eq!(moments, [(at(3), at(8)), (at(3), at(9))]);
}

async fn documents_are_kept_by_kind_and_key(subject: &mut dyn Subject) {
    let store = subject.store();
    let long = "k".repeat(400);
    let write = |documents| Batch {
        documents,
        ..Batch::default()
    };
    let some = |kind, key: &str| document(kind, key, Some(json!({ "key": key })), 0);
    let batch = write(vec![
        some(DocumentKind::Slot, "b"),
        some(DocumentKind::Slot, ""),
        some(DocumentKind::Slot, &long),
        some(DocumentKind::Slot, "nul\0inside"),
        some(DocumentKind::Run, "b"),
    ]);
    store.commit(batch).await.unwrap();
    let keys = async |kind| {
        let documents = store.documents(kind).await.unwrap();
        let keys = documents.into_iter().map(|Versioned { value, .. }| {
            assert_eq!(value.value, Some(json!({ "key": value.key })));
            value.key
        });
        keys.collect::<Vec<_>>()
    };
    assert_eq!(keys(DocumentKind::Slot).await, ["", "b", &long, "nul\0inside"]);
    assert_eq!(keys(DocumentKind::Run).await, ["b"]);
    assert!(keys(DocumentKind::Note).await.is_empty());
    let absent = store.document(DocumentKind::Note, "b").await.unwrap();
    assert_eq!(absent, document(DocumentKind::Note, "b", None, 0));
    assert_conflict(
        store
            .commit(write(vec![document(DocumentKind::Slot, "b", None, 0)]))
            .await,
        "slot b",
    );
    let batch = write(vec![
        document(DocumentKind::Slot, "b", None, 1),
        document(DocumentKind::Note, "never", None, 0),
    ]);
    store.commit(batch).await.unwrap();
    assert_eq!(keys(DocumentKind::Slot).await, ["", &long, "nul\0inside"]);
    store.commit(write(vec![some(DocumentKind::Slot, "b")])).await.unwrap();
    assert_eq!(store.document(DocumentKind::Slot, "b").await.unwrap().revision, 1);
}

async fn what_is_deleted_is_gone(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut big = entry("bo#1", at(0));
    big.digest.zone = "z".repeat(20_000);
    let batch = Batch {
        subscribers: vec![Versioned::new(SubscriberState::new(who("ana")))],
        entries: vec![Versioned::new(entry("ana#1", at(0))), Versioned::new(big)],
        papers: vec![(paper("2602.00001", 1), at(0))],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let batch = Batch {
        // Written and deleted: gone.
        entries: vec![Versioned::new(entry("cy#1", at(0)))],
        papers: vec![(paper("2602.00002", 1), at(0))],
        papers_deleted: vec![
            paper("2602.00001", 1).versioned_id(),
            paper("2602.00002", 1).versioned_id(),
        ],
        entries_deleted: ["ana#1", "bo#1", "cy#1", "never#1"].map(digest).to_vec(),
        subscribers_deleted: vec![who("ana"), who("never")],
        ..Batch::default()
    };
    assert!(!batch.is_empty());
    store.commit(batch).await.unwrap();
    subject.reopen(at(1)).await;
    let store = subject.store();
    assert_eq!(store.entries(&EntryFilter::default()).await.unwrap(), []);
    assert_eq!(store.next_due().await.unwrap(), None);
    assert_eq!(lease(store, "a", 9, 9).await, []);
    assert_eq!(store.newest_papers(None, 9).await.unwrap(), []);
    assert_eq!(store.subscriber_ids().await.unwrap(), []);
    assert_eq!(subscriber(store, "ana").await.revision, 0);
}

async fn a_thousand_subscribers_and_a_big_batch_fit(subject: &mut dyn Subject) {
    let ids: Vec<_> = (0..1000).map(|n| who(&format!("reader{n:04}@example.net"))).collect();
    let state = |id: &SubscriberId| {
        let mut state = SubscriberState::new(id.clone());
        for n in 1..300 {
            state.record(&ArxivId::from_parts(2026, 1, n * 13).unwrap(), at(0));
        }
        state.enqueue(&state.pending.keys().cloned().collect::<Vec<_>>(), at(0));
        state.accept(1);
        state
    };
    let mut papers = Vec::new();
    for n in 1..4000 {
        let mut paper = paper(&format!("2602.{n:05}"), 1);
        paper.abstract_text = format!("{n} ").repeat(400);
        papers.push((paper, at(0)));
    }
    let batch = Batch {
        subscribers: ids.iter().map(|id| Versioned::new(state(id))).collect(),
        entries: ids
            .iter()
            .map(|id| Versioned::new(entry(&format!("{id}#1"), at(0))))
            .collect(),
        papers,
        ..Batch::default()
    };
    subject.store().commit(batch).await.unwrap();
    subject.reopen(at(1)).await;
    let store = subject.store();
    assert!(store.subscriber_ids().await.unwrap() == ids);
    let mut asked = ids.clone();
    asked.reverse();
    let states = store.subscribers(&asked).await.unwrap();
    assert!(
        states
            .iter()
            .zip(&asked)
            .all(|(read, id)| read.value == state(id) && read.revision == 1)
    );
    assert_eq!(store.newest_papers(None, 9999).await.unwrap().len(), 3999);
    assert_eq!(lease(store, "a", 1, 600).await.len(), 600);
    assert_eq!(lease(store, "a", 1, 600).await.len(), 400);
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn any_history_ends_as_in_the_model(subject: &mut dyn Subject) {
    const STEPS: i64 = 400;
    let model = MemoryStore::new();
    let mut dice = Dice(7);
    let mut counts = BTreeMap::<&str, u32>::new();
    for step in 0..STEPS {
        let store = subject.store();
        let minute = step * 3;
        if dice.roll(4) == 0 {
            let limit = dice.roll(4) as usize;
            let (got, expected) = (
                lease(store, "w", minute, limit).await,
                lease(&model, "w", minute, limit).await,
            );
            assert_eq!(got, expected, "{step}");
            *counts.entry("leased").or_default() += got.len() as u32;
            continue;
        }
        let mut batch = Batch::default();
        for _ in 0..=dice.roll(3) {
            let name = format!("s{}#{}", dice.roll(3), 1 + dice.roll(3));
            let fresh = Versioned::new(entry(&name, at(minute + dice.roll(30) as i64)));
            let mut read = model.entry(&digest(&name)).await.unwrap().unwrap_or(fresh);
            let value = &mut read.value;
            match dice.roll(6) {
                0 => value.state = EntryState::Due,
                1 => value.state = EntryState::Held,
                2 => value.digest.zone = "z".repeat(dice.roll(9000) as usize),
                3 => _ = value.begin_data(),
                4 => {
                    value.state = EntryState::Ended {
                        at: at(minute),
                        how: Ending::Cancelled,
                    }
                }
                _ => batch.entries_deleted.push(digest(&name)),
            }
            // Now and then a stale revision: both must refuse the whole batch.
            read.revision += u64::from(dice.roll(12) == 0);
            batch.entries.push(read);
        }
        for _ in 0..dice.roll(3) {
            let number = dice.roll(5);
            let text = if number == 0 {
                "hep-th/9901001".to_owned()
            } else {
                format!("2602.0000{number}")
            };
            let mut paper = paper(&text, 1 + dice.roll(3) as u16);
            paper.abstract_text = "a".repeat(dice.roll(9000) as usize);
            if dice.roll(4) == 0 {
                batch.papers_deleted.push(paper.versioned_id());
            } else {
                batch.papers.push((paper, at(minute)));
            }
        }
        let key = format!("k{}", dice.roll(3));
        let mut note = model.document(DocumentKind::Note, &key).await.unwrap();
        note.value.value = (dice.roll(3) > 0).then(|| json!("v".repeat(dice.roll(9000) as usize)));
        batch.documents.push(note);
        let (got, expected) = (store.commit(batch.clone()).await, model.commit(batch).await);
        match (&got, &expected) {
            (Ok(()), Ok(())) => *counts.entry("written").or_default() += 1,
            (Err(StoreError::Conflict(got)), Err(StoreError::Conflict(expected))) if got == expected => {
                *counts.entry("refused").or_default() += 1;
            }
            _ => panic!("step {step}: {got:?} instead of {expected:?}"),
        }
        assert_same(store, &model, step).await;
    }
    assert!(counts.values().all(|n| *n > 20) && counts.len() == 3, "{counts:?}");
    // All leases have run out by now, so that a new start changes what is said of them, and no more.
    let late = STEPS * 3 + 100;
    assert_eq!(
        lease(subject.store(), "w", late, 99).await,
        lease(&model, "w", late, 99).await
    );
    let documents = model.documents(DocumentKind::Note).await.unwrap();
    subject.reopen(at(late)).await;
    assert_eq!(subject.store().documents(DocumentKind::Note).await.unwrap(), documents);
    assert_eq!(
        subject.store().newest_papers(None, 99).await.unwrap(),
        model.newest_papers(None, 99).await.unwrap()
    );
}

async fn assert_same(store: &dyn Store, model: &dyn Store, step: i64) {
    for active_only in [false, true] {
        let filter = EntryFilter {
            subscriber: active_only.then(|| who("s1")),
            active_only,
            ..EntryFilter::default()
        };
        let (got, expected) = (
            store.entries(&filter).await.unwrap(),
            model.entries(&filter).await.unwrap(),
        );
        assert!(got == expected, "step {step}: {got:?} instead of {expected:?}");
    }
    assert_eq!(
        store.next_due().await.unwrap(),
        model.next_due().await.unwrap(),
        "{step}"
    );
    let kind = DocumentKind::Note;
    assert!(
        store.documents(kind).await.unwrap() == model.documents(kind).await.unwrap(),
        "{step}"
    );
    let (got, expected) = (store.newest_papers(None, 9).await, model.newest_papers(None, 9).await);
    assert!(got.unwrap() == expected.unwrap(), "{step}");
}

async fn a_copy_holds_the_same_and_is_apart(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut named = entry("ana#1", at(0));
    named.digest.keywords = vec![("GNN".into(), crate::model::Term::phrase("GNN"))];
    named.digest.sections = vec![SectionRecord {
        keyword: 0,
        papers: vec![PaperRecord {
            id: id("2602.00001"),
            version: 1,
            shown: Shown::Full,
            also: Vec::new(),
            replaces: None,
            changes: None,
        }],
        n_waiting: 0,
        n_skipped: 0,
    }];
    let batch = Batch {
        subscribers: vec![Versioned::new(SubscriberState::new(who("ana")))],
        entries: vec![Versioned::new(named)],
        documents: DocumentKind::ALL
            .map(|kind| document(kind, "d", Some(json!(kind.as_str())), 0))
            .to_vec(),
        papers: [1, 2, 3].map(|version| (paper("2602.00001", version), at(0))).to_vec(),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let leased = lease(store, "a", 1, 1).await;
    let copy = MemoryStore::copy_of(store).await.unwrap();
    assert_same(store, &copy, 0).await;
    assert_eq!(copy.entry(&digest("ana#1")).await.unwrap().as_ref(), leased.first());
    assert_eq!(subscriber(&copy, "ana").await, subscriber(store, "ana").await);
    for kind in DocumentKind::ALL {
        assert_eq!(
            copy.documents(kind).await.unwrap(),
            store.documents(kind).await.unwrap()
        );
    }
    let versions = [1, 2, 3].map(|version| paper("2602.00001", version).versioned_id());
    let there = copy.papers(&versions).await.unwrap();
    assert_eq!(
        there.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false, true]
    );
    copy.commit(Batch {
        subscribers: vec![subscriber(&copy, "ana").await],
        ..Batch::default()
    })
    .await
    .unwrap();
    assert_eq!(
        (
            subscriber(&copy, "ana").await.revision,
            subscriber(store, "ana").await.revision
        ),
        (2, 1)
    );
}
