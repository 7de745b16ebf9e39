//! A simulator of the run and of the delivery: the real state machines on one thread, with a clock that the seed moves,
//! a network that answers what the seed says, and a process that dies at any operation of its store.
//!
//! After each seed hold: no paper is lost, none comes in two mails, copies of one mail are the same bytes and are only
//! there where an acceptance was in doubt, nobody is mailed after leaving, and nothing waits any more.
//! A seed that fails is named; `PAPERROUND_SEEDS=FIRST..END cargo test --lib simulator` runs those seeds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::{Context, Covered, Recorded, Report, enqueue, floors::Floors, record};
use crate::{
    app::{self, App},
    clock::{Clock, ManualClock},
    config::Environment,
    delivery::{self, Scripted, Transport, Way},
    fetch::Fetched,
    matching::{Lexicon, fixture::paper},
    model::{
        ArxivId, DigestId, EntryState, LeaseEnd, OutboxEntry, Outcome, Paper, Settled, Stage, SubscriberId,
        SubscriberState, Suppression, SuppressionReason, VersionedId, WorkerId,
    },
    roster::{self, Roster},
    store::{
        Batch, Document, DocumentKind, DueBy, EntryFilter, Store, StoreError, StoredPaper, Versioned, documents,
        memory::MemoryStore,
    },
};

/// The seeds that are run where nothing else is said: few, since a build without optimisation takes its time.
const SEEDS: std::ops::Range<u64> = 0..60;
const PEOPLE: [&str; 3] = ["ana@example.net", "bo@example.net", "cy@example.net"];
/// Days with faults, and days after them in which all must come to rest.
const DAYS: (i64, i64) = (4, 8);
/// How often a process may die on one day.
const LIVES: usize = 6;

/// A repeatable lottery (xorshift).
#[derive(Debug)]
struct Chance(AtomicU64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn below(&self, n: u64) -> u64 {
        let mut x = self.0.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.store(x, Ordering::Relaxed);
        (x >> 11) % n
    }

    /// True in so many of a hundred cases.
    fn percent(&self, n: u64) -> bool {
        self.below(100) < n
    }
}

/// When the process dies: after so many operations of its store.
#[derive(Debug)]
struct Life {
    operations_left: AtomicI64,
    is_dead: AtomicBool,
}

impl Life {
    fn new(operations: i64) -> Self {
        Self {
            operations_left: AtomicI64::new(operations),
            is_dead: AtomicBool::new(false),
        }
    }

    fn end(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_dead.load(Ordering::Relaxed) {
            return Err(StoreError::Io {
                place: "the simulation".into(),
                doing: "written",
                why: "the process is dead".into(),
            });
        }
        Ok(())
    }

    /// Counts an operation; whether the process dies at it.
    fn is_last(&self) -> bool {
        self.operations_left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// A store whose process may die before, or right after, any operation.
#[derive(Debug)]
struct Mortal {
    inner: Arc<MemoryStore>,
    life: Arc<Life>,
    chance: Arc<Chance>,
}

impl Mortal {
    async fn step(&self) -> Result<(), StoreError> {
        // So that two couriers take turns in every possible order.
        if self.chance.percent(30) {
            tokio::task::yield_now().await;
        }
        self.life.check()?;
        if self.life.is_last() {
            self.life.end();
        }
        self.life.check()
    }
}

#[async_trait]
impl Store for Mortal {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.life.check()?;
        if self.chance.percent(30) {
            tokio::task::yield_now().await;
        }
        self.life.check()?;
        let is_last = self.life.is_last();
        // Half of those who die in a commit have made it durable.
        if is_last && self.chance.percent(50) {
            self.life.end();
        }
        self.life.check()?;
        self.inner.commit(batch).await?;
        if is_last {
            self.life.end();
        }
        self.life.check()
    }

    async fn subscribers(&self, ids: &[SubscriberId]) -> Result<Vec<Versioned<SubscriberState>>, StoreError> {
        self.step().await?;
        self.inner.subscribers(ids).await
    }

    async fn subscriber_ids(&self) -> Result<Vec<SubscriberId>, StoreError> {
        self.step().await?;
        self.inner.subscriber_ids().await
    }

    async fn papers(&self, ids: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        self.step().await?;
        self.inner.papers(ids).await
    }

    async fn latest_papers(&self, ids: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        self.step().await?;
        self.inner.latest_papers(ids).await
    }

    async fn newest_papers(&self, below: Option<&ArxivId>, limit: usize) -> Result<Vec<StoredPaper>, StoreError> {
        self.step().await?;
        self.inner.newest_papers(below, limit).await
    }

    async fn lease_due(
        &self,
        worker: &WorkerId,
        by: DueBy,
        ttl: TimeDelta,
        limit: usize,
    ) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        self.step().await?;
        self.inner.lease_due(worker, by, ttl, limit).await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.step().await?;
        self.inner.next_due().await
    }

    async fn entry(&self, id: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
        self.step().await?;
        self.inner.entry(id).await
    }

    async fn entries(&self, filter: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        self.step().await?;
        self.inner.entries(filter).await
    }

    async fn document(&self, kind: DocumentKind, key: &str) -> Result<Versioned<Document>, StoreError> {
        self.step().await?;
        self.inner.document(kind, key).await
    }

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<Versioned<Document>>, StoreError> {
        self.step().await?;
        self.inner.documents(kind).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.step().await
    }
}

/// The relay, and what it has taken.
#[derive(Debug)]
struct Sink {
    chance: Arc<Chance>,
    life: Mutex<Arc<Life>>,
    is_faulty: AtomicBool,
    n_relays: usize,
    /// Nobody can reach the first of them.
    is_first_down: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By Message-ID: to whom, the bytes, how often.
    mails: BTreeMap<String, (String, Vec<u8>, u32)>,
    /// Messages whose reply did not arrive, or whose sender died.
    in_doubt: BTreeMap<String, u32>,
    /// Messages refused for good.
    refused: BTreeSet<String>,
    /// Who has left.
    left: BTreeSet<String>,
    wrong: Vec<String>,
    n_faults: u64,
    /// Messages that came to the second relay.
    n_by_second: u64,
}

impl Scripted for Sink {
    fn n_relays(&self) -> usize {
        self.n_relays
    }

    fn before_data(&self, relay: usize, _: &str, recipient: &str) -> Option<Outcome> {
        let mut kept = self.kept.lock().unwrap();
        if kept.left.contains(recipient) {
            kept.wrong.push(format!("{recipient} is mailed after leaving"));
        }
        if !self.is_faulty.load(Ordering::Relaxed) {
            return None;
        }
        if relay == 0 && self.is_first_down.load(Ordering::Relaxed) {
            kept.n_faults += 1;
            return Some(Outcome::TransientRelay {
                stage: Stage::Connect,
                reply: "simulated".to_owned(),
            });
        }
        if !self.chance.percent(25) {
            return None;
        }
        kept.n_faults += 1;
        let reply = "simulated".to_owned();
        let stage = Stage::Recipient;
        Some(match self.chance.below(5) {
            0 | 1 => Outcome::TransientRecipient { stage, reply },
            2 => Outcome::TransientRelay {
                stage: Stage::Connect,
                reply,
            },
            3 => Outcome::Configuration {
                stage: Stage::Auth,
                reply,
            },
            _ => Outcome::PermanentRecipient {
                stage,
                reply,
                no_such_mailbox: false,
            },
        })
    }

    fn take(&self, relay: usize, message_id: &str, recipient: &str, bytes: &[u8]) -> Outcome {
        let life = Arc::clone(&self.life.lock().unwrap());
        let mut kept = self.kept.lock().unwrap();
        let (reply, stage) = ("simulated".to_owned(), Stage::FinalReply);
        let chance = if self.is_faulty.load(Ordering::Relaxed) {
            self.chance.below(100)
        } else {
            99
        };
        kept.n_faults += u64::from(chance < 34);
        kept.n_by_second += u64::from(relay > 0);
        let id = message_id.to_owned();
        // Whether the relay keeps it, whether the process lives to hear of it, and what it hears.
        let (is_kept, dies, outcome) = match chance {
            0..6 => (true, false, Outcome::Unconfirmed { reply }),
            6..12 => (false, false, Outcome::Unconfirmed { reply }),
            12..18 => (true, true, Outcome::Accepted { reply }),
            18..22 => (false, true, Outcome::Accepted { reply }),
            22..30 => (false, false, Outcome::TransientRecipient { stage, reply }),
            30..34 => {
                kept.refused.insert(id.clone());
                (false, false, Outcome::PermanentMessage { stage, reply })
            }
            _ => (true, false, Outcome::Accepted { reply }),
        };
        if matches!(outcome, Outcome::Unconfirmed { .. }) {
            *kept.in_doubt.entry(id.clone()).or_default() += 1;
        }
        if is_kept {
            let mail = (recipient.to_owned(), bytes.to_vec(), 0);
            let (_, first, n) = kept.mails.entry(id).or_insert(mail);
            *n += 1;
            if first != bytes {
                kept.wrong.push(format!("a copy of {message_id} has other bytes"));
            }
        }
        if dies {
            life.end();
        }
        outcome
    }
}

/// What stays the same over all seeds: what is dear to make.
struct Theatre {
    app: App,
    _folder: tempfile::TempDir,
}

fn set_the_stage() -> Theatre {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let people: String = PEOPLE
        .iter()
        .map(|email| format!("[[subscriber]]\nemail = \"{email}\"\nkeywords = [\"graph neural network\"]\n"))
        .collect();
    let text = format!(
        "[arxiv]\ncontact = \"mailto:ops@example.org\"\n[mail]\nfrom = \"papers@example.org\"\ntransport = \"maildir\"\n{people}"
    );
    std::fs::write(&path, text).unwrap();
    let loaded = app::load_config(Path::new(&path), &Environment::default()).unwrap();
    let clock = Arc::new(ManualClock::new(at(0, 0)));
    let app = App::build(loaded, Arc::new(MemoryStore::new()), clock).unwrap();
    Theatre { app, _folder: folder }
}

fn at(day: i64, hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_706_800, 0).unwrap() + TimeDelta::days(day) + TimeDelta::hours(hour)
}

struct World {
    chance: Arc<Chance>,
    store: Arc<MemoryStore>,
    sink: Arc<Sink>,
    clock: Arc<ManualClock>,
    /// All papers, with the day from which arXiv shows each.
    papers: Vec<(Paper, i64)>,
    /// What each digest holds.
    held: HashMap<String, BTreeSet<ArxivId>>,
    n_deaths: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let chance = Arc::new(Chance::new(seed));
        let mut papers = Vec::new();
        let mut number = 100;
        for day in 0..DAYS.0 {
            for _ in 0..chance.below(3) + u64::from(day == 0) {
                number += 1 + u32::try_from(chance.below(9)).unwrap();
                let mut one = paper("A graph neural network", "We show it.");
                one.id = ArxivId::from_parts(2026, 2, number).unwrap();
                // Some are indexed late.
                let late = if chance.percent(20) { chance.below(3) } else { 0 };
                papers.push((one, day + i64::try_from(late).unwrap()));
            }
        }
        let sink = Arc::new(Sink {
            chance: Arc::clone(&chance),
            life: Mutex::new(Arc::new(Life::new(i64::MAX))),
            is_faulty: AtomicBool::new(true),
            n_relays: 1 + usize::from(chance.percent(50)),
            is_first_down: AtomicBool::new(false),
            kept: Mutex::default(),
        });
        Self {
            chance,
            store: Arc::new(MemoryStore::new()),
            sink,
            clock: Arc::new(ManualClock::new(at(0, 0))),
            papers,
            held: HashMap::new(),
            n_deaths: 0,
        }
    }

    /// A process: it dies at the operation that the seed says, or lives.
    fn life(&self, stage: &App, is_faulty: bool) -> (Context, delivery::Context) {
        let operations = if is_faulty && self.chance.percent(50) {
            1 + i64::try_from(self.chance.below(120)).unwrap()
        } else {
            i64::MAX
        };
        let life = Arc::new(Life::new(operations));
        *self.sink.life.lock().unwrap() = Arc::clone(&life);
        let store: Arc<dyn Store> = Arc::new(Mortal {
            inner: Arc::clone(&self.store),
            life,
            chance: Arc::clone(&self.chance),
        });
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let run = Context {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            exports_dir: None,
            ..stage.run.clone()
        };
        let script = Arc::clone(&self.sink) as Arc<dyn Scripted>;
        let transport = Transport::new(Way::Script(script), "bounces@example.org".to_owned(), false);
        let mut settings = stage.delivery.settings;
        settings.connections = 2;
        let delivery = delivery::Context {
            store,
            clock,
            transport: Arc::new(transport),
            settings,
            ..stage.delivery.clone()
        };
        (run, delivery)
    }

    /// A new process finds what the former one left: as the store's opening does, every lease ends.
    async fn begin_life(&self) {
        let filter = EntryFilter {
            active_only: true,
            ..EntryFilter::default()
        };
        for mut entry in self.store.entries(&filter).await.unwrap() {
            if let Some(end) = entry.value.expire_lease(self.clock.now()) {
                if end != LeaseEnd::Unsent {
                    let mut kept = self.sink.kept.lock().unwrap();
                    *kept.in_doubt.entry(entry.value.message_id.clone()).or_default() += 1;
                }
                self.write(Batch {
                    entries: vec![entry],
                    ..Batch::default()
                })
                .await;
            }
        }
    }

    async fn write(&self, batch: Batch) {
        self.store.commit(batch).await.unwrap();
    }

    /// Notes what the digests hold that are there now.
    async fn look(&mut self) {
        for entry in self.store.entries(&EntryFilter::default()).await.unwrap() {
            let digest = entry.value;
            let ids = digest.digest.papers().map(|paper| paper.id.clone()).collect();
            if let Some(before) = self.held.insert(digest.message_id.clone(), ids)
                && before != self.held[&digest.message_id]
            {
                let mut kept = self.sink.kept.lock().unwrap();
                kept.wrong.push(format!("{} changed its papers", digest.message_id));
            }
        }
    }

    async fn leave(&self, who: &str) {
        let key = roster::suppression_key(who);
        let stored: Versioned<Option<Suppression>> = documents::load(&*self.store, DocumentKind::Suppression, &key)
            .await
            .unwrap();
        let suppression = Suppression {
            address: who.to_owned(),
            reason: SuppressionReason::Unsubscribed,
            evidence: "simulated".into(),
            since: self.clock.now(),
        };
        let written = Versioned {
            value: suppression,
            revision: stored.revision,
        };
        let document = documents::to_write(DocumentKind::Suppression, &key, &written).unwrap();
        self.write(Batch {
            documents: vec![document],
            ..Batch::default()
        })
        .await;
        self.sink.kept.lock().unwrap().left.insert(who.to_owned());
    }
}

/// One morning: fetch, record, enqueue, and some turns of the pump over the day.
async fn day(world: &World, stage: &App, day: i64, is_faulty: bool) -> Result<(), StoreError> {
    let (run, delivery) = world.life(stage, is_faulty);
    let roster: &Roster = &stage.roster;
    let people: Vec<SubscriberId> = roster.people().iter().map(|person| person.id.clone()).collect();
    let now = world.clock.now();
    let synchronised = roster::synchronise(&*run.store, roster, now).await?;
    let floor = ArxivId::from_parts(2026, 2, 1).unwrap();
    roster::update(&*run.store, &people, |state| {
        state.value.determine(|_| Some(floor.clone()))
    })
    .await?;
    let (lexicon, _) = Lexicon::new(&synchronised.definitions);
    let mut fetched = Fetched::default();
    fetched.is_current = true;
    for (paper, visible) in &world.papers {
        // An answer may lack any of them; the next one has them.
        let is_missing = is_faulty && world.chance.percent(15);
        if *visible <= day && !is_missing {
            fetched.papers.insert(paper.id.clone(), paper.clone());
        }
    }
    let mut report = Report::default();
    let sought = record::Sought {
        lexicon: &lexicon,
        followed: &synchronised.followed,
    };
    let tallies = record::record(&run, roster, &sought, &fetched, &Floors::new(), now, &mut report).await?;
    let recorded = Recorded {
        definitions: synchronised.definitions,
        tallies,
        incomplete: HashMap::new(),
        covered: Covered::default(),
    };
    enqueue::enqueue(&run, roster, &people, &lexicon, &recorded, &mut report).await?;
    for _ in 0..4 {
        delivery::deliver(&delivery, world.clock.now(), &CancellationToken::new()).await?;
        world.clock.advance(TimeDelta::minutes(100));
    }
    Ok(())
}

/// One seed. What is wrong with it, and what there was in it.
async fn simulate(stage: &App, seed: u64) -> Sum {
    let mut world = World::new(seed);
    for n in 0..DAYS.0 + DAYS.1 {
        let is_faulty = n < DAYS.0;
        world.sink.is_faulty.store(is_faulty, Ordering::Relaxed);
        let is_first_down = is_faulty && world.chance.percent(20);
        world.sink.is_first_down.store(is_first_down, Ordering::Relaxed);
        world.clock.set(at(n, 0));
        if is_faulty && world.chance.percent(4) {
            world
                .leave(PEOPLE[usize::try_from(world.chance.below(3)).unwrap()])
                .await;
        }
        for life in 1..=LIVES {
            let lived = day(&world, stage, n, is_faulty && life < LIVES).await;
            world.look().await;
            match lived {
                Ok(()) => break,
                Err(_) => {
                    world.n_deaths += 1;
                    world.begin_life().await;
                }
            }
        }
        if !is_faulty {
            release(&world).await;
        }
    }
    let wrong = judge(&world).await;
    let kept = world.sink.kept.lock().unwrap();
    Sum {
        wrong: wrong.iter().map(|what| format!("seed {seed}: {what}")).collect(),
        n_seeds: 1,
        n_faults: kept.n_faults,
        n_deaths: world.n_deaths,
        n_by_second: kept.n_by_second,
    }
}

/// The operator lets go what was held: it may come twice then, and is not lost.
async fn release(world: &World) {
    for mut entry in world.store.entries(&EntryFilter::default()).await.unwrap() {
        if entry.value.state == EntryState::Held {
            entry.value.state = EntryState::Due;
            entry.value.is_released = true;
            world
                .write(Batch {
                    entries: vec![entry],
                    ..Batch::default()
                })
                .await;
        }
    }
}

async fn judge(world: &World) -> Vec<String> {
    let ids = PEOPLE.map(|who| SubscriberId(who.into()));
    let states = world.store.subscribers(&ids).await.unwrap();
    let active = EntryFilter {
        active_only: true,
        ..EntryFilter::default()
    };
    let waiting = world.store.entries(&active).await.unwrap();
    let kept = world.sink.kept.lock().unwrap();
    let mut wrong = kept.wrong.clone();
    for entry in waiting {
        wrong.push(format!(
            "{} still waits: {:?}",
            entry.value.digest.id, entry.value.state
        ));
    }
    for (id, (_, _, n)) in &kept.mails {
        let n_doubts = kept.in_doubt.get(id).copied().unwrap_or(0);
        if *n > 1 + n_doubts {
            wrong.push(format!("{id} came {n} times after {n_doubts} doubts"));
        }
    }
    for (who, state) in PEOPLE.iter().zip(states) {
        let got = |id: &ArxivId| {
            kept.mails
                .iter()
                .filter(|(message, (to, _, _))| to == who && world.held[*message].contains(id))
                .map(|(message, _)| message)
                .collect::<Vec<_>>()
        };
        let has_left = kept.left.contains(*who);
        for (paper, _) in &world.papers {
            let mails = got(&paper.id);
            if mails.len() > 1 {
                wrong.push(format!("{} came to {who} in {mails:?}", paper.id));
            }
            // Given up are only the papers of a half that was refused too, and of a digest that was refused for good
            // after somebody may have got it.
            let is_given_up = state.value.settled.get(&paper.id) == Some(&Settled::Undeliverable)
                && !(kept.refused.is_empty() && kept.in_doubt.is_empty());
            if mails.is_empty() && !has_left && !is_given_up {
                let fate = &state.value;
                let known = (
                    fate.pending.contains_key(&paper.id),
                    fate.queued.contains_key(&paper.id),
                    fate.seen.contains_key(&paper.id),
                    fate.settled.get(&paper.id),
                );
                wrong.push(format!("{} is lost for {who}: {known:?}", paper.id));
            }
            if state.value.seen.contains_key(&paper.id) && mails.is_empty() {
                wrong.push(format!("{} counts as seen by {who}, who never got it", paper.id));
            }
        }
        let waits = !state.value.pending.is_empty() || !state.value.queued.is_empty();
        if waits && !has_left {
            wrong.push(format!(
                "papers of {who} still wait: {:?} {:?}",
                state.value.pending, state.value.queued
            ));
        }
    }
    wrong
}

fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("PAPERROUND_SEEDS").ok();
    asked
        .and_then(|text| {
            let (first, end) = text.split_once("..")?;
            Some(first.parse().ok()?..end.parse().ok()?)
        })
        .unwrap_or(SEEDS)
}

#[test]
fn thousands_of_seeds_lose_nothing_and_double_nothing() {
    const THREADS: usize = 2;
    let seeds = seeds();
    let sum = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|part| {
                let seeds = seeds.clone().skip(part).step_by(THREADS);
                scope.spawn(move || all_of(seeds))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold(Sum::default(), Sum::with)
    });
    println!(
        "{} seeds: {} faults of the relays, {} messages by the second relay, {} deaths of the process",
        sum.n_seeds, sum.n_faults, sum.n_by_second, sum.n_deaths
    );
    assert!(sum.wrong.is_empty(), "{}", sum.wrong.join("\n"));
    assert!(
        sum.n_faults > sum.n_seeds && sum.n_deaths > sum.n_seeds && 2 * sum.n_by_second > sum.n_seeds,
        "the faults were hardly there"
    );
}

#[derive(Debug, Default)]
struct Sum {
    wrong: Vec<String>,
    n_seeds: u64,
    n_faults: u64,
    n_deaths: u64,
    n_by_second: u64,
}

impl Sum {
    fn with(mut self, other: Self) -> Self {
        self.wrong.extend(other.wrong);
        self.n_seeds += other.n_seeds;
        self.n_faults += other.n_faults;
        self.n_deaths += other.n_deaths;
        self.n_by_second += other.n_by_second;
        self
    }
}

/// Runs seeds one after the other until too much is wrong.
fn all_of(seeds: impl Iterator<Item = u64>) -> Sum {
    const WRONG_MAX: usize = 20;
    let theatre = set_the_stage();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut sum = Sum::default();
    for seed in seeds {
        sum = sum.with(runtime.block_on(simulate(&theatre.app, seed)));
        if sum.wrong.len() > WRONG_MAX {
            break;
        }
    }
    sum
}
