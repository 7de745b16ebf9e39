//! What each step of a digest costs by itself: assembling it, cutting it to size, signing its mail, and what the store
//! writes for it from the fetch to its acceptance.
//!
//! `cargo bench --bench steps`. The store lies in the folder for temporary files, so the disk under it counts.

mod digests;
mod papers;

use std::{hint::black_box, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use divan::{Bencher, counter::ItemsCount};
use paperround::{
    digest::{self, Input, Order, Pending, Settings},
    mail::compose::Papers,
    model::{
        Attempt, DigestId, EntryState, OutboxEntry, Outcome, Paper, Shown, SubscriberId, SubscriberState, WorkerId,
    },
    store::{Batch, DueBy, Store, Versioned, sled::SledStore},
};
use tokio::runtime::{Builder, Runtime};

use digests::{composer, record, signer};

const N_PAPERS: usize = 20;
/// So many subscribers' states are written together by a run.
const RECORDED: usize = 500;
/// So many digests are enqueued together.
const ENQUEUED: usize = 32;
/// So many are taken together to be sent.
const LEASED: usize = 8;

fn main() {
    divan::main();
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_494)
}

#[divan::bench]
fn assemble(bencher: Bencher<'_, '_>) {
    let papers = papers::papers(N_PAPERS);
    let record = record(0, &papers);
    let pending: Vec<Pending<'_>> = (0..).zip(&papers).map(|(place, paper)| pending(place, paper)).collect();
    let input = Input {
        keywords: &record.keywords,
        pending: &pending,
        previous_at: None,
        settings: Settings {
            papers_max: N_PAPERS,
            order: Order::Strength,
            shown: Shown::Full,
        },
    };
    bencher.bench(|| digest::assemble(black_box(&input)));
}

fn pending(place: u16, paper: &Paper) -> Pending<'_> {
    Pending {
        paper,
        keywords: vec![place % 3],
        waiting_since: now(),
        in_title: place.is_multiple_of(2),
        replaces: None,
        changes: None,
    }
}

#[divan::bench]
fn cut_to_size(bencher: Bencher<'_, '_>) {
    let papers = papers::papers(N_PAPERS);
    let record = record(0, &papers);
    let papers = by_id(papers);
    let composer = composer(false);
    bencher.bench(|| composer.fit(black_box(record.clone()), &papers));
}

#[divan::bench]
fn sign_by_rsa_2048(bencher: Bencher<'_, '_>) {
    let papers = papers::papers(N_PAPERS);
    let record = record(0, &papers);
    let mail = composer(false).compose(&record, "<pr1.invented@example.org>", &by_id(papers));
    let bytes = mail.expect("every paper is there and the templates are built in").bytes;
    let signer = signer();
    bencher.bench(|| signer.sign(black_box(&bytes), now()));
}

fn by_id(papers: Vec<Paper>) -> Papers {
    papers
        .into_iter()
        .map(|paper| (paper.versioned_id(), Arc::new(paper)))
        .collect()
}

/// What a fetch brought to five hundred subscribers: their states read, changed and written.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn record_for_five_hundred(bencher: Bencher<'_, '_>) {
    let papers = papers::papers(N_PAPERS);
    let ids: Vec<SubscriberId> = (0..RECORDED)
        .map(|n| SubscriberId(format!("reader{n}").into()))
        .collect();
    bencher
        .counter(ItemsCount::new(RECORDED))
        .with_inputs(Stored::new)
        .bench_local_values(|stored| {
            stored.runtime.block_on(async {
                let mut subscribers = stored.store.subscribers(&ids).await.expect("the store reads");
                for state in &mut subscribers {
                    for paper in &papers {
                        state.value.record(&paper.id, now());
                    }
                }
                let batch = Batch {
                    subscribers,
                    ..Batch::default()
                };
                stored.store.commit(batch).await.expect("the store writes");
            });
            stored
        });
}

/// The way of digests through the store: enqueued together, leased, begun and accepted one after the other, as by one
/// courier that finds the relay infinitely fast.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn from_enqueued_to_accepted(bencher: Bencher<'_, '_>) {
    let papers = papers::papers(N_PAPERS);
    bencher
        .counter(ItemsCount::new(ENQUEUED))
        .with_inputs(Stored::new)
        .bench_local_values(|stored| {
            stored.runtime.block_on(send_all(&stored.store, &papers));
            stored
        });
}

async fn send_all(store: &SledStore, papers: &[Paper]) {
    let mut batch = Batch::default();
    for number in 0..ENQUEUED {
        let digest = record(number, papers);
        let mut state = SubscriberState::new(digest.id.subscriber.clone());
        for paper in papers {
            state.record(&paper.id, now());
        }
        state.enqueue(papers.iter().map(|paper| &paper.id), now());
        batch.subscribers.push(Versioned::new(state));
        let entry = OutboxEntry::new(digest, format!("<pr1.invented{number}@example.org>"));
        batch.entries.push(Versioned::new(entry));
    }
    store.commit(batch).await.expect("the store writes");
    let worker = WorkerId("bench".to_owned());
    for _ in 0..ENQUEUED / LEASED {
        let leased = store
            .lease_due(&worker, DueBy::now(now()), TimeDelta::minutes(15), LEASED)
            .await
            .expect("the store leases");
        assert_eq!(leased.len(), LEASED, "all are due");
        for entry in leased {
            send(store, entry).await;
        }
    }
}

async fn send(store: &SledStore, mut entry: Versioned<OutboxEntry>) {
    entry.value.begin_data();
    let batch = Batch {
        entries: vec![entry.clone()],
        ..Batch::default()
    };
    store.commit(batch).await.expect("the store writes");
    entry.revision += 1;
    let DigestId { subscriber, number } = entry.value.digest.id.clone();
    let mut subscribers = store.subscribers(&[subscriber]).await.expect("the store reads");
    subscribers[0].value.accept(number);
    let reply = "250 2.0.0 Ok: queued as 4XyZ0a1B2c".to_owned();
    entry.value.push_attempt(Attempt {
        at: now(),
        outcome: Outcome::Accepted { reply: reply.clone() },
        relay: None,
    });
    entry.value.state = EntryState::Accepted { at: now(), reply };
    let batch = Batch {
        subscribers,
        entries: vec![entry],
        ..Batch::default()
    };
    store.commit_soon(batch).await.expect("the store writes");
}

/// An empty store on the disk.
struct Stored {
    store: SledStore,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Stored {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        let opened = runtime.block_on(SledStore::open(&folder.path().join("store"), now()));
        let store = opened.expect("an empty folder opens").store;
        let journal = folder.path().join("journal.jsonl");
        let begun = runtime.block_on(store.begin_journal(&journal));
        begun.expect("the journal begins");
        Self {
            store,
            runtime,
            _folder: folder,
        }
    }
}
