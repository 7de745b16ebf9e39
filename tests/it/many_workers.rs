//! Several workers on one database: killed, stopped, cut off; and a state that moves between stores.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use paperround::clock::{Clock, SystemClock};

use tokio::time::Instant;

use crate::harness::{
    app::{Setup, TestApp},
    arxiv::Answer,
    database::Database,
    papers::paper,
    program::{self, Serving, until},
    smtp::{Act, At, Script},
};

/// Each worker has as many dialogues with the relay at once.
const CONNECTIONS: usize = 2;
/// A worker that gives no sign of life for so long is passed over.
const LEASE: Duration = Duration::from_secs(2);

fn people(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("reader{n:02}@example.net")).collect()
}

fn setup(database: &Database, people: &[String]) -> Setup {
    let setup = Setup::new()
        .mail("token_key_file", "\"token-key\"")
        .mail("connections", &CONNECTIONS.to_string())
        .section(&database.section("2s"));
    people
        .iter()
        .fold(setup, |setup, who| setup.subscriber(who, &["graph neural network"]))
}

/// The configuration of one worker: the same as the others' but for where its own files lie.
fn config_of(app: &TestApp, name: &str) -> PathBuf {
    let setup = app.setup.clone().line(&format!("state_dir = \"state-{name}\""));
    let path = app.path(&format!("config-{name}.toml"));
    std::fs::write(&path, setup.text(&app.arxiv, app.smtp.port)).expect("the directory is writable");
    path
}

async fn serve(app: &TestApp, name: &str) -> Serving {
    let serving = Serving::start(&config_of(app, name), &["serve"]);
    serving.says("serving").await;
    serving
}

/// Everyone has each of these papers under one Message-ID, and copies of one mail are equal. Returns how many copies
/// there were beyond the first.
fn n_doubled(app: &TestApp, people: &[String], ids: &[String]) -> usize {
    let mails = app.mails();
    let mut by_paper: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut bytes_of: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for mail in &mails {
        for id in mail.papers() {
            let key = (mail.to.clone(), id);
            by_paper.entry(key).or_default().insert(mail.message_id.clone());
        }
        let first = bytes_of
            .entry(mail.message_id.clone())
            .or_insert_with(|| mail.bytes.clone());
        assert_eq!(*first, mail.bytes, "a copy differs from the first mail");
    }
    for who in people {
        for id in ids {
            let mails = by_paper.get(&(who.clone(), id.clone())).map_or(0, BTreeSet::len);
            assert_eq!(mails, 1, "{id} for {who}");
        }
    }
    mails.len() - bytes_of.len()
}

fn n_served(app: &TestApp, people: &[String]) -> usize {
    let served: BTreeSet<String> = app.mails().into_iter().map(|mail| mail.to).collect();
    people.iter().filter(|who| served.contains(*who)).count()
}

/// The relay takes this long for each recipient, so that there is time for something to happen.
fn slow(milliseconds: u64) -> Script {
    let trickle = Act::Trickle(b"250 2.1.5 ok\r\n".to_vec(), Duration::from_millis(milliseconds / 14));
    Script::default().fault(At::Rcpt, trickle)
}

#[tokio::test]
async fn of_three_workers_one_fetches_and_all_send_each_digest_once() {
    let Some(database) = Database::new().await else { return };
    let people = people(30);
    let app = setup(&database, &people)
        .line("schedule = \"*/4 * * * * *\"")
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    app.smtp.behaves(slow(150));
    let workers = [serve(&app, "a").await, serve(&app, "b").await, serve(&app, "c").await];
    until(|| n_served(&app, &people) == 30, || workers[0].log()).await;
    // A command elsewhere reads the same state.
    let status = program::run(&config_of(&app, "d"), &["status"]).await;
    for words in [
        "30 subscribers",
        "Daemon: none runs here, the worker ",
        " makes the runs",
    ] {
        assert!(status.out.contains(words), "{words} in {}\n{}", status.out, status.err);
    }
    let probed = program::run(&config_of(&app, "d"), &["check", "--online"]).await;
    assert!(probed.out.contains("PostgreSQL at 127.0.0.1:"), "{}", probed.out);
    let mut logs = Vec::new();
    for worker in workers {
        logs.push(worker.stopped().await);
    }
    assert_eq!(n_doubled(&app, &people, &ids), 0);
    assert_eq!(app.arxiv.n_open_max(), 1, "one connection over all workers");
    let n_sent: Vec<usize> = logs.iter().map(|log| log.matches("digest accepted").count()).collect();
    println!("sent by each of three workers: {n_sent:?}");
    assert_eq!(n_sent.iter().sum::<usize>(), 30);
    assert!(n_sent.iter().filter(|n| **n > 0).count() >= 2, "{n_sent:?}");
}

/// CASES 112, for many workers.
#[tokio::test]
async fn what_a_killed_worker_had_in_hand_goes_out_by_the_others() {
    let Some(database) = Database::new().await else { return };
    let people = people(24);
    let app = setup(&database, &people)
        .line("schedule = \"*/4 * * * * *\"")
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    app.smtp.behaves(slow(150));
    let first = serve(&app, "a").await;
    first.says("this worker makes the runs").await;
    let second = serve(&app, "b").await;
    let third = serve(&app, "c").await;
    // The one that makes the runs dies while it sends, then another.
    until(|| app.mails().len() >= 4, || first.log()).await;
    assert!(first.kill().await, "it still ran");
    until(|| app.mails().len() >= 9, || second.log()).await;
    assert!(second.kill().await, "it still ran");
    until(|| n_served(&app, &people) == 24, || third.log()).await;
    third.says("this worker makes the runs").await;
    third.stopped().await;
    // A daemon asks arXiv again only after the next announcement; a run of its own asks at once.
    let second_ids = app.arxiv.add_now([paper("A graph neural network for crystals")]);
    let run = program::run(&config_of(&app, "c"), &["run"]).await;
    assert_eq!(run.code, Some(0), "{} {}", run.out, run.err);
    assert!(n_whole(&app, &people, &second_ids), "{} {}", run.out, run.err);
    let n_doubled = n_doubled(&app, &people, &[ids, second_ids].concat());
    println!("mails doubled by two kills: {n_doubled}");
    assert!(n_doubled <= 2 * CONNECTIONS, "{n_doubled}");
}

fn n_whole(app: &TestApp, people: &[String], ids: &[String]) -> bool {
    people.iter().all(|who| {
        let papers = app.papers_of(who);
        ids.iter().all(|id| papers.contains(id))
    })
}

/// A worker that is stopped just before it sends, passed over, and goes on: what it holds is not its own any more.
#[tokio::test]
async fn a_worker_that_was_stopped_past_its_lease_sends_nothing_of_what_others_took_over() {
    let Some(database) = Database::new().await else { return };
    let people = people(12);
    let app = setup(&database, &people)
        .line("schedule = \"*/4 * * * * *\"")
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    app.smtp.behaves(slow(1400));
    let stopped = serve(&app, "a").await;
    until(|| !app.smtp.commands("RCPT").is_empty(), || stopped.log()).await;
    // In the middle of the reply to RCPT: its last write before DATA is still to come.
    stopped.signal("STOP").await;
    app.smtp.behaves(Script::default());
    let other = serve(&app, "b").await;
    tokio::time::sleep(2 * LEASE).await;
    until(|| n_served(&app, &people) == 12, || other.log()).await;
    let n_before = app.mails().len();
    stopped.signal("CONT").await;
    stopped.says("another worker or command has it now").await;
    tokio::time::sleep(LEASE).await;
    stopped.stopped().await;
    other.stopped().await;
    assert_eq!(app.mails().len(), n_before, "the stopped one sent something");
    assert_eq!(n_doubled(&app, &people, &ids), 0);
}

/// The server ends without taking leave, three times in the middle of sending, and comes back.
#[tokio::test]
async fn a_database_that_restarts_costs_no_digest_and_no_worker() {
    let Some(database) = Database::new().await else { return };
    let people = people(24);
    let app = setup(&database, &people)
        .line("schedule = \"*/4 * * * * *\"")
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    app.smtp.behaves(slow(300));
    let workers = [serve(&app, "a").await, serve(&app, "b").await];
    for n in 1..=3 {
        until(|| app.mails().len() >= 5 * n, || workers[0].log()).await;
        if !Database::restart().await {
            break;
        }
    }
    until(|| n_served(&app, &people) == 24, || workers[0].log()).await;
    for worker in workers {
        worker.stopped().await;
    }
    let n_doubled = n_doubled(&app, &people, &ids);
    println!("mails doubled by three restarts: {n_doubled}");
    assert_eq!(n_doubled, 0);
}

/// CASES 112, 135: as on sled, with leases that end by the server's clock.
#[tokio::test]
async fn kill_9_at_random_moments_changes_nothing_on_a_database() {
    let Some(database) = Database::new().await else { return };
    let people = people(5);
    let app = setup(&database, &people).start().await;
    let (mut announced, mut n_killed, mut chance) = (Vec::new(), 0, 0x2545_f491_u64);
    for (evening, morning) in [
        ("2026-02-08", "2026-02-09"),
        ("2026-02-09", "2026-02-10"),
        ("2026-02-10", "2026-02-11"),
    ] {
        app.it_is(morning);
        announced.extend(app.announce(evening, [paper(&format!("A graph neural network of {evening}"))]));
        let now = format!("{morning}T07:00:00Z");
        let mut was_killed = false;
        for n in 0..6 {
            announced.extend(
                app.arxiv
                    .add_now([paper(&format!("A graph neural network, late note {n} of {evening}"))]),
            );
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let victim = Serving::start(&app.config_path(), &["run", "--now", &now]);
            // A run waits for the claim of the one that was killed before it.
            let waits = LEASE * u32::from(was_killed);
            tokio::time::sleep(waits + Duration::from_millis(20 + (chance >> 33) % 400)).await;
            was_killed = victim.kill().await;
            n_killed += u32::from(was_killed);
        }
        tokio::time::sleep(LEASE).await;
        for _ in 0..2 {
            let ended = program::run(&app.config_path(), &["run", "--now", &now]).await;
            assert!(matches!(ended.code, Some(0 | 75)), "{:?}\n{}", ended.code, ended.err);
        }
    }
    println!("{n_killed} of 18 runs were killed");
    assert!(n_killed >= 6, "only {n_killed} of 18 were caught alive");
    let n_doubled = n_doubled(&app, &people, &announced);
    assert!(n_doubled <= CONNECTIONS * n_killed as usize, "{n_doubled}");
}

/// A lease that a process keeps which a busy machine does not let run for some seconds: one that misses it breaks its
/// request off, as it should.
const LONG_LEASE: Duration = Duration::from_secs(10);
const LONG_LEASE_SETTING: &str = "10s";

/// A request that is made at a byte every 50 ms, for much longer than the lease.
fn trickling(app: &TestApp) {
    app.arxiv.answers(|_| Answer::Drip(Duration::from_millis(50)));
}

/// As `config_of`, with requests to arXiv that may take a minute.
fn patient(app: &TestApp, name: &str, store: &str) -> PathBuf {
    let path = config_of(app, name);
    let text = std::fs::read_to_string(&path).expect("it was just written");
    let (head, rest) = text.split_once("[store]").expect("it names a store");
    let rest = rest.split_once("[[subscriber]]").expect("it names a subscriber").1;
    let text = format!("{head}{store}[[subscriber]]{rest}").replace("timeout = \"2s\"", "timeout = \"60s\"");
    std::fs::write(&path, text).expect("the directory is writable");
    path
}

/// Makes one request, and asks nobody for the claim on making runs: only the gate stands between two of them.
const TRY: [&str; 4] = ["try", "graph neural network", "--days", "30"];
/// How long the next one may wait for a worker that has vanished in the middle of a request: the lease, the claim on
/// making runs with its margin, and what a busy machine needs.
const GONE_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_request_of_a_killed_worker_is_waited_for_no_longer_than_its_lease() {
    let Some(database) = Database::new().await else { return };
    let people = people(2);
    let app = setup(&database, &people).start().await;
    app.it_is("2026-02-10");
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    trickling(&app);
    let store = database.section(LONG_LEASE_SETTING);
    let now = ["run", "--now", "2026-02-10T07:00:00Z"];
    let victim = Serving::start(&patient(&app, "a", &store), &now);
    until(|| app.arxiv.n_open() == 1, || victim.log()).await;
    // Alive, it keeps its turn for several leases.
    tokio::time::sleep(2 * LONG_LEASE).await;
    assert!(victim.kill().await, "it still ran");
    until(|| app.arxiv.n_open() == 0, String::new).await;
    app.arxiv.is_well();
    let began = Instant::now();
    let next = program::run(&patient(&app, "b", &store), &now).await;
    assert_eq!(next.code, Some(0), "{}", next.err);
    println!("the next run took {:?}", began.elapsed());
    assert!(began.elapsed() < GONE_MAX, "{:?}", began.elapsed());
    assert_eq!(n_doubled(&app, &people, &ids), 0);
    assert_eq!(app.arxiv.n_open_max(), 1);
}

#[tokio::test]
async fn a_request_that_outlasts_the_lease_keeps_its_turn_while_its_worker_lives() {
    let Some(database) = Database::new().await else { return };
    let app = setup(&database, &people(1)).start().await;
    app.arxiv.answers(|_| Answer::Late(3 * LONG_LEASE));
    let store = database.section(LONG_LEASE_SETTING);
    let first = Serving::start(&patient(&app, "a", &store), &TRY);
    until(|| app.arxiv.n_open() == 1, || first.log()).await;
    app.arxiv.is_well();
    let second = program::run(&patient(&app, "b", &store), &TRY).await;
    assert_eq!(second.code, Some(0), "{}", second.err);
    let (code, log) = first.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!((app.arxiv.log().len(), app.arxiv.n_open_max()), (2, 1));
}

/// The one that may not go on knows it by its own clock, before the others go by the database's.
#[tokio::test]
async fn a_worker_that_is_cut_off_from_the_database_ends_its_request_before_another_begins_one() {
    let Some(database) = Database::new().await else { return };
    let app = setup(&database, &people(1)).start().await;
    trickling(&app);
    let (store, wire) = database.section_over_a_wire(LONG_LEASE_SETTING).await;
    let first = Serving::start(&patient(&app, "a", &store), &TRY);
    until(|| app.arxiv.n_open() == 1, || first.log()).await;
    app.arxiv.is_well();
    tokio::time::sleep(LONG_LEASE).await;
    assert_eq!(app.arxiv.n_open(), 1, "alive, it goes on: {}", first.log());
    wire.cut();
    let began = Instant::now();
    let store = database.section(LONG_LEASE_SETTING);
    let second = program::run(&patient(&app, "b", &store), &TRY).await;
    assert_eq!(second.code, Some(0), "{}", second.err);
    assert!(began.elapsed() < GONE_MAX, "{:?}", began.elapsed());
    assert_eq!((app.arxiv.log().len(), app.arxiv.n_open_max()), (2, 1));
    assert!(first.kill().await, "it waits for the database");
}

#[tokio::test]
async fn a_worker_with_another_token_key_is_refused() {
    let Some(database) = Database::new().await else { return };
    let people = people(1);
    let mut app = setup(&database, &people).start().await;
    let status = program::run(&app.config_path(), &["status"]).await;
    assert_eq!(status.code, Some(0), "{}", status.err);
    app.reconfigure(|setup| setup.mail("token_key_file", "\"another-key\""));
    let refused = program::run(&app.config_path(), &["status"]).await;
    assert_eq!(refused.code, Some(78), "{}", refused.err);
    assert!(
        refused.err.contains("not the key of the other workers"),
        "{}",
        refused.err
    );
    // A new key in front of the old one is a renewal.
    let old = std::fs::read_to_string(app.path("token-key")).expect("the key is there");
    let new = std::fs::read_to_string(app.path("another-key")).expect("the key is there");
    std::fs::write(app.path("another-key"), format!("{new}\n{old}")).expect("the directory is writable");
    let renewed = program::run(&app.config_path(), &["status"]).await;
    assert_eq!(renewed.code, Some(0), "{}", renewed.err);
}

/// The state moves from sled into the database and back while papers go on coming.
#[tokio::test]
async fn a_state_that_moves_to_a_database_and_back_repeats_nothing() {
    let Some(database) = Database::new().await else { return };
    let people = people(3);
    let on_sled = people
        .iter()
        .fold(Setup::new().mail("token_key_file", "\"token-key\""), |setup, who| {
            setup.subscriber(who, &["graph neural network"])
        });
    let mut app = on_sled.clone().start().await;
    let mut announced = Vec::new();
    let stages: [(&str, Setup); 3] = [
        ("state-1", on_sled.clone().line("state_dir = \"state-1\"")),
        ("database", setup(&database, &people).line("state_dir = \"state-2\"")),
        ("state-3", on_sled.line("state_dir = \"state-3\"")),
    ];
    let days = [
        [("2026-02-08", "2026-02-09"), ("2026-02-09", "2026-02-10")],
        [("2026-02-10", "2026-02-11"), ("2026-02-11", "2026-02-12")],
        [("2026-02-12", "2026-02-13"), ("2026-02-15", "2026-02-16")],
    ];
    let export = app.path("state.jsonl");
    for ((name, setup), days) in stages.into_iter().zip(days) {
        let is_first = name == "state-1";
        app.reconfigure(|_| setup);
        if !is_first {
            let arguments = ["state", "import", export.to_str().expect("text")];
            let imported = program::run(&app.config_path(), &arguments).await;
            assert_eq!(imported.code, Some(0), "{name}: {}", imported.err);
            assert!(imported.out.contains("3 subscribers"), "{}", imported.out);
        }
        for (evening, morning) in days {
            announced.extend(app.announce(evening, [paper(&format!("A graph neural network of {evening}"))]));
            app.it_is(morning);
            let now = format!("{morning}T07:00:00Z");
            let ended = program::run(&app.config_path(), &["run", "--now", &now]).await;
            assert!(matches!(ended.code, Some(0 | 75)), "{name}: {}", ended.err);
        }
        // One digest is left on its way: it moves too.
        let reader = people[0].as_str();
        app.smtp
            .behaves(Script::default().fault_for(At::Rcpt, reader, crate::harness::smtp::say("451 4.7.1 later")));
        let late = app
            .arxiv
            .add_now([paper(&format!("A graph neural network, last of {name}"))]);
        announced.extend(late);
        let now = format!("{}T09:00:00Z", days[1].1);
        let ended = program::run(&app.config_path(), &["run", "--now", &now]).await;
        assert_eq!(ended.code, Some(75), "{name}: {}", ended.err);
        app.smtp.behaves(Script::default());
        let arguments = ["state", "export", "--out", export.to_str().expect("text")];
        let exported = program::run(&app.config_path(), &arguments).await;
        assert_eq!(exported.code, Some(0), "{name}: {}", exported.err);
    }
    app.it_is("2026-02-17");
    let ended = program::run(&app.config_path(), &["run", "--now", "2026-02-17T07:00:00Z"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(n_doubled(&app, &people, &announced), 0);
}
