//! What only a database does: several processes, its clock, broken connections. Skipped where none is named.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::{
    clock::{Clock as _, SystemClock},
    store::contract::{at, document, entry},
};

/// The variable that names a database to test with, in the form of `store.url`.
const URL: &str = "PAPERROUND_TEST_POSTGRES";
/// The variable that names the certificate of the same server.
const CERTIFICATE: &str = "PAPERROUND_TEST_POSTGRES_CA";

/// Tables of their own in the database that the environment names; dropped at the end.
pub(in crate::store) struct Scratch {
    url: String,
    schema: String,
}

impl Scratch {
    /// `None`, with a word about it, where no database is named.
    pub(in crate::store) async fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Ok(url) = std::env::var(URL) else {
            println!("skipped: {URL} names no database");
            return None;
        };
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let moment = SystemClock.now().timestamp_nanos_opt().unwrap_or_default();
        let scratch = Self {
            url,
            schema: format!("t{}_{moment}_{n}", std::process::id()),
        };
        scratch.sql(&format!("create schema {}", scratch.schema)).await;
        Some(scratch)
    }

    fn settings(&self, lease: Duration) -> Settings {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}{separator}options=-csearch_path%3D{}&application_name={}",
            self.url, self.schema, self.schema
        );
        Settings {
            address: Address::parse(&url).unwrap(),
            ca_file: None,
            connections: 4,
            lease,
        }
    }

    async fn open(&self, lease: Duration) -> PostgresStore {
        PostgresStore::open(&self.settings(lease)).await.unwrap().store
    }

    /// With leases that go by the calendar that a test moves.
    pub(in crate::store) async fn open_by_calendar(&self) -> PostgresStore {
        let settings = self.settings(Duration::from_secs(60));
        PostgresStore::open_with(&settings, Leasing::Calendar)
            .await
            .unwrap()
            .store
    }

    /// Outside of the stores under test.
    async fn sql(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.unwrap();
        let talking = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        talking.await.unwrap().unwrap();
    }

    /// Ends the server's side of every connection to these tables.
    async fn cut(&self) {
        let name = &self.schema;
        self.sql(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{name}'"
        ))
        .await;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (url, schema) = (self.url.clone(), self.schema.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                let _left_behind = client.batch_execute(&format!("drop schema {schema} cascade")).await;
            });
        });
        let _left_behind = dropping.join();
    }
}

fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

fn entries(names: impl IntoIterator<Item = String>) -> Batch {
    Batch {
        entries: names
            .into_iter()
            .map(|name| Versioned::new(entry(&name, at(0))))
            .collect(),
        ..Batch::default()
    }
}

async fn take(store: &PostgresStore, name: &str, limit: usize) -> Vec<Versioned<OutboxEntry>> {
    let due = DueBy::now(at(1));
    store
        .lease_due(&worker(name), due, TimeDelta::minutes(45), limit)
        .await
        .unwrap()
}

fn write(entry: &Versioned<OutboxEntry>) -> Batch {
    Batch {
        entries: vec![entry.clone()],
        ..Batch::default()
    }
}

const SHORT: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn processes_that_start_together_make_the_tables_once() {
    let Some(scratch) = Scratch::new().await else { return };
    let settings = scratch.settings(LONG);
    let opened = futures_util::future::join_all((0..6).map(|_| PostgresStore::open(&settings))).await;
    let n_created = opened.iter().filter(|opened| opened.as_ref().unwrap().created).count();
    assert_eq!(n_created, 1);
    assert!(!PostgresStore::open(&settings).await.unwrap().created);
}

#[tokio::test]
async fn tables_of_a_newer_program_are_left_alone() {
    let Some(scratch) = Scratch::new().await else { return };
    drop(scratch.open(LONG).await);
    scratch
        .sql(&format!("update {}.paperround_schema set version = 9", scratch.schema))
        .await;
    match PostgresStore::open(&scratch.settings(LONG)).await {
        Err(StoreError::TooNew { found: 9, known: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn many_workers_take_each_entry_once() {
    let Some(scratch) = Scratch::new().await else { return };
    let stores = [
        scratch.open(LONG).await,
        scratch.open(LONG).await,
        scratch.open(LONG).await,
    ];
    stores[0]
        .commit(entries((0..300).map(|n| format!("s{n}#1"))))
        .await
        .unwrap();
    let work = async |store: &PostgresStore, name: &str| {
        let mut taken = Vec::new();
        loop {
            let more = take(store, name, 7).await;
            if more.is_empty() {
                return taken;
            }
            taken.extend(more.into_iter().map(|entry| entry.value.digest.id));
        }
    };
    let (a, b, c, d) = tokio::join!(
        work(&stores[0], "a"),
        work(&stores[1], "b"),
        work(&stores[2], "c"),
        work(&stores[2], "d"),
    );
    let mut all: Vec<DigestId> = [a, b, c, d].concat();
    all.sort();
    assert_eq!(all.len(), 300);
    all.dedup();
    assert_eq!(all.len(), 300, "taken twice");
}

/// A process that is stopped gives no sign of life; one that lives keeps what it has. No clock but the server's counts.
#[tokio::test]
async fn a_lease_without_a_sign_of_life_goes_to_another_whose_revision_keeps_the_first_out() {
    let Some(scratch) = Scratch::new().await else { return };
    let (stopped, living) = (scratch.open(SHORT).await, scratch.open(SHORT).await);
    stopped.commit(entries(["ana#1".into(), "bo#1".into()])).await.unwrap();
    let mut ana = take(&stopped, "stopped", 1).await.remove(0);
    let bo = take(&living, "living", 1).await.remove(0);
    stopped.renewal.abort();
    tokio::time::sleep(SHORT * 3).await;
    let taken = take(&stopped, "third", 9).await;
    let names: Vec<String> = taken.iter().map(|entry| entry.value.digest.id.to_string()).collect();
    assert_eq!(names, ["ana#1"], "what a living process has stays its own");
    // The stopped one goes on where it was: just before it sends.
    ana.value.begin_data();
    match stopped.commit(write(&ana)).await {
        Err(StoreError::Conflict(what)) => assert_eq!(what, "outbox entry ana#1"),
        other => panic!("{other:?}"),
    }
    living.commit(write(&bo)).await.unwrap();
    // Nobody gives a sign of life for what was given back.
    assert_eq!(living.database.held().len(), 1, "a lease that was written goes on");
    let mut bo = living.entry(&bo.value.digest.id).await.unwrap().unwrap();
    bo.value.state = EntryState::Due;
    living.commit(write(&bo)).await.unwrap();
    assert_eq!(living.database.held().len(), 0);
}

/// CASES 112, for a database: the server's side of every connection dies again and again.
#[tokio::test]
async fn connections_that_break_at_any_moment_change_nothing() {
    const WRITES: u64 = 300;
    let Some(scratch) = Scratch::new().await else { return };
    let store = Arc::new(scratch.open(LONG).await);
    let writer = async {
        for n in 0..WRITES {
            let batch = Batch {
                documents: vec![document(DocumentKind::Note, "n", Some(json!(n)), n)],
                entries: vec![Versioned::new(entry(&format!("s{n}#1"), at(0)))],
                ..Batch::default()
            };
            store
                .commit(batch)
                .await
                .unwrap_or_else(|error| panic!("write {n}: {error}"));
        }
    };
    let cutter = async {
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(15)).await;
            scratch.cut().await;
        }
    };
    let reader = async {
        for _ in 0..100 {
            store.next_due().await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::join!(writer, cutter, reader);
    let note = store.document(DocumentKind::Note, "n").await.unwrap();
    assert_eq!((note.revision, note.value.value), (WRITES, Some(json!(WRITES - 1))));
    assert_eq!(
        store.entries(&EntryFilter::default()).await.unwrap().len() as u64,
        WRITES
    );
}

#[tokio::test]
async fn a_caller_that_stops_waiting_does_not_stop_the_writing() {
    let Some(scratch) = Scratch::new().await else { return };
    let store = scratch.open(LONG).await;
    for n in 0..20 {
        let writing = store.commit(entries((0..50).map(|s| format!("s{n}.{s}#1"))));
        let _cut_short = tokio::time::timeout(Duration::from_micros(50 * n), writing).await;
    }
    let began = Instant::now();
    while store.entries(&EntryFilter::default()).await.unwrap().len() < 1000 {
        assert!(began.elapsed() < Duration::from_secs(20), "some were not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let mut settings = Settings {
        address: Address::parse("postgres://p:hunter2@127.0.0.1:1/pr").unwrap(),
        ca_file: None,
        connections: 1,
        lease: LONG,
    };
    settings.address.set_password(&"hunter2".into());
    let error = tokio::time::timeout(OPEN_MAX * 3, PostgresStore::open(&settings))
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("PostgreSQL at 127.0.0.1:1/pr cannot be reached"),
        "{error}"
    );
    assert!(!format!("{error:?} {settings:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_certificate_is_believed_only_from_a_trusted_authority() {
    let Some(scratch) = Scratch::new().await else { return };
    let Ok(certificate) = std::env::var(CERTIFICATE) else {
        println!("skipped: {CERTIFICATE} names no certificate");
        return;
    };
    let with = |mode: &str| {
        let separator = if scratch.url.contains('?') { '&' } else { '?' };
        let url = format!(
            "{}{separator}{mode}&options=-csearch_path%3D{}",
            scratch.url, scratch.schema
        );
        Settings {
            address: Address::parse(&url).unwrap(),
            ..scratch.settings(LONG)
        }
    };
    let trusted = with(&format!("sslmode=verify-full&sslrootcert={certificate}"));
    let words = PostgresStore::open(&trusted)
        .await
        .unwrap()
        .store
        .describe()
        .await
        .unwrap();
    assert!(words.contains("TLSv1.3, certificate verified"), "{words}");
    let error = PostgresStore::open(&with("sslmode=verify-full")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Io { doing: "opened", .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let words = scratch.open(LONG).await.describe().await.unwrap();
    assert!(
        words.contains("not encrypted") && words.contains("PostgreSQL "),
        "{words}"
    );
}
