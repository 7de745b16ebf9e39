//! What `status`, `check --online` and the metrics say while something is not as it should be: no daemon, a file that is
//! not in force, a relay that takes its time, people whom the last run did not serve.

use std::{fs, time::Duration};

use chrono::TimeDelta;
use paperround::{
    admin::{self, Command},
    clock::{Clock as _, SystemClock},
    store::{Batch, Document, DocumentKind, Versioned},
};

use crate::harness::{
    app::{Setup, TestApp},
    arxiv::Answer,
    papers::paper,
    program::{self, Ended, Serving, until},
    smtp::{Act, At, Script, SmtpServer, say},
    web::Web,
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const GNN_LINE: &str = r#"keywords = ["graph neural network"]"#;
/// A schedule that no test lives to see.
const NEVER: &str = "schedule = \"0 0 8 1 1 *\"";

async fn overview(app: &mut TestApp) -> String {
    let program = app.build().await;
    admin::execute(&program, &Command::Status { json: false }).await.output
}

async fn overview_as_json(app: &mut TestApp) -> serde_json::Value {
    let program = app.build().await;
    let reply = admin::execute(&program, &Command::Status { json: true }).await;
    serde_json::from_str(&reply.output).expect("it is JSON")
}

/// The daemon of a configuration, with arXiv's calendar set to the machine's.
async fn served(setup: Setup) -> (TestApp, Serving) {
    let app = setup.start().await;
    app.arxiv.set_now(SystemClock.now());
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("serving").await;
    (app, serving)
}

async fn command(app: &TestApp, arguments: &[&str]) -> Ended {
    program::run(&app.config_path(), arguments).await
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[tokio::test]
async fn status_says_that_no_daemon_runs_and_alarms_when_a_slot_was_missed() {
    let mut app = Setup::new()
        .line("schedule = \"0 7 * * *\"")
        .subscriber_with(ANA, &[GNN_LINE])
        .subscriber_with(BO, &[GNN_LINE, "schedule = \"0 8 * * *\""])
        .start()
        .await;
    // Who only ever makes runs by hand, or has `run` in cron, misses no slot.
    app.run_on("2026-02-09").await;
    app.it_is("2026-02-11T12:00:00Z");
    let text = overview(&mut app).await;
    assert!(first_line(&text).starts_with("All is well"), "{text}");
    assert!(
        text.contains("Daemon: none runs here, and no slot is overdue."),
        "{text}"
    );
    app.run_due_on("2026-02-11T12:00:00Z").await;
    app.run_due_on("2026-02-12T08:00:00Z").await;
    for calm in ["2026-02-12T08:00:00Z", "2026-02-13T06:59:00Z", "2026-02-13T07:10:00Z"] {
        app.it_is(calm);
        let text = overview(&mut app).await;
        assert!(first_line(&text).starts_with("All is well"), "{calm}: {text}");
    }
    app.it_is("2026-02-13T07:11:00Z");
    let text = overview(&mut app).await;
    assert!(
        first_line(&text).starts_with("Not all is well at 2026-02-13 07:11 UTC: no daemon runs;"),
        "{text}"
    );
    assert!(
        text.contains("the slot of 2026-02-13 07:00 UTC (0 7 * * * UTC) was not served. `systemctl start paperround`"),
        "{text}"
    );
    app.it_is("2026-02-14T09:00:00Z");
    let text = overview(&mut app).await;
    assert!(
        text.contains(
            "the slot of 2026-02-13 07:00 UTC (0 7 * * * UTC) was not served, nor were those of 1 other schedules"
        ),
        "{text}"
    );
    let json = overview_as_json(&mut app).await;
    assert_eq!(json["well"], false);
    assert_eq!(json["headline"], "no daemon runs");
    assert_eq!(json["daemon"], serde_json::Value::Null);
    assert_eq!(json["unserved"][0]["at"], "2026-02-13T07:00:00Z", "{json}");
    // What was missed is caught up, and then all is well.
    app.run_due_on("2026-02-14T09:00:00Z").await;
    let text = overview(&mut app).await;
    assert!(first_line(&text).starts_with("All is well"), "{text}");
}

/// The first line tells a refused file, and one that waits for a word; both end when the file is mended.
#[tokio::test]
async fn status_says_that_the_file_on_the_disk_is_not_in_force() {
    let people = (0..4).fold(Setup::new().line(NEVER), |setup, n| {
        setup.subscriber_with(&format!("reader-{n}@example.net"), &[GNN_LINE])
    });
    let (app, serving) = served(people.section("[web]\nlisten = \"127.0.0.1:0\"\npage = true")).await;
    let status = command(&app, &["status"]).await;
    assert!(first_line(&status.out).starts_with("All is well"), "{}", status.out);
    assert!(status.out.contains("Daemon: runs since "), "{}", status.out);
    let good = fs::read_to_string(app.config_path()).expect("it was written");
    let refuse = async |text: &str, log: &str, expected: &[&str]| {
        fs::write(app.config_path(), text).expect("it can be written");
        serving.says(log).await;
        let status = command(&app, &["status"]).await;
        assert_eq!(status.code, Some(0), "{}", status.err);
        let first = first_line(&status.out);
        assert!(
            first.starts_with("Not all is well") && first.contains(": the configuration file is not in force;"),
            "{}",
            status.out
        );
        for words in expected {
            assert!(status.out.contains(words), "{words} in {}", status.out);
        }
        let json = command(&app, &["status", "--json"]).await;
        let json: serde_json::Value = serde_json::from_str(&json.out).expect("it is JSON");
        assert_eq!(json["well"], false);
        assert!(json["daemon"]["refused"]["why"].is_string(), "{json}");
        json["daemon"]["refused"]["why"].to_string()
    };
    let colour = format!("colour = \"red\"\n{good}");
    let why = refuse(
        &colour,
        "is not reloaded; the former one stays in force",
        &["config.toml:1: colour", "`paperround check` names every problem"],
    )
    .await;
    assert!(why.contains("colour"), "{why}");
    let fewer = good
        .split("[[subscriber]]")
        .take(3)
        .collect::<Vec<_>>()
        .join("[[subscriber]]");
    refuse(
        &fewer,
        "it waits for SIGHUP",
        &[
            "it would remove 2 of 4 subscribers",
            "`systemctl reload paperround` (SIGHUP)",
        ],
    )
    .await;
    refuse(
        &good.replace("page = true", "page = true\n[store]\nlease = \"3m\""),
        "these keys need a restart",
        &["it changes store.", "`systemctl restart paperround` puts it in force"],
    )
    .await;
    fs::write(app.config_path(), &good).expect("it can be written");
    serving.says("n_changes=0").await;
    let status = command(&app, &["status"]).await;
    assert!(first_line(&status.out).starts_with("All is well"), "{}", status.out);
    serving.stopped().await;
}

/// A clock that was far ahead once and is right now: the daemon is there, and does nothing.
#[tokio::test]
async fn status_says_that_the_daemon_does_nothing_under_a_wrong_clock() {
    let mut app = Setup::new().line(NEVER).subscriber_with(ANA, &[GNN_LINE]).start().await;
    let later = (SystemClock.now() + TimeDelta::days(1)).to_rfc3339();
    let seen = Document {
        kind: DocumentKind::Note,
        key: "served".to_owned(),
        value: Some(serde_json::json!({ "since": later, "high_water": later })),
    };
    let batch = Batch {
        documents: vec![Versioned::new(seen)],
        ..Batch::default()
    };
    app.store().await.commit(batch).await.expect("the store writes");
    app.end_process();
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("nothing is done until it is right").await;
    let status = command(&app, &["status"]).await;
    assert!(
        first_line(&status.out).contains(": the daemon does nothing;"),
        "{}",
        status.out
    );
    serving.stopped().await;
}

/// The commands go to the daemon, which has read the file when it was whole: broken above and below, unreadable, gone.
#[tokio::test]
async fn with_a_broken_file_the_commands_reach_the_running_daemon_and_say_so() {
    let setup = Setup::new()
        .line(NEVER)
        .line("state_dir = \"kept here\"")
        .subscriber_with(ANA, &[GNN_LINE]);
    let (app, serving) = served(setup).await;
    let good = fs::read_to_string(app.config_path()).expect("it was written");
    let commands: [&[&str]; 4] = [
        &["status"],
        &["subscriber", "list"],
        &["outbox", "list"],
        &["suppression", "list"],
    ];
    for broken in [
        format!("schedule = [\n{good}"),
        format!("{good}\nname = \"Ana\n"),
        good.replace("from = ", "form = "),
    ] {
        fs::write(app.config_path(), &broken).expect("it can be written");
        for arguments in commands {
            let ended = command(&app, arguments).await;
            assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
            assert!(
                ended.err.contains("the configuration file cannot be used"),
                "{}",
                ended.err
            );
            assert!(
                ended.err.contains("config.toml:") && ended.err.contains("the running daemon"),
                "{}",
                ended.err
            );
        }
    }
    let check = command(&app, &["check"]).await;
    assert_eq!(check.code, Some(78), "a check is of the file: {}", check.out);
    fs::write(app.config_path(), &good).expect("it can be written");
    let status = command(&app, &["status"]).await;
    assert_eq!((status.code, status.err.as_str()), (Some(0), ""), "{}", status.out);
    serving.stopped().await;
    fs::write(app.config_path(), "schedule = [").expect("it can be written");
    let status = command(&app, &["status"]).await;
    assert_eq!(status.code, Some(78), "{}", status.err);
}

/// CASES 117. An edited file is tried before the daemon takes it: its relay, not the one in force.
#[tokio::test]
async fn check_online_tries_the_file_and_not_what_the_running_daemon_has() {
    let setup = Setup::new()
        .line(NEVER)
        .subscriber_with(ANA, &[GNN_LINE])
        .subscriber_with(BO, &[GNN_LINE]);
    let (mut app, serving) = served(setup).await;
    let check = command(&app, &["check", "--online"]).await;
    assert_eq!(check.code, Some(0), "{}{}", check.out, check.err);
    assert!(!check.out.contains("Not in force"), "{}", check.out);
    let n_greeted = app.smtp.commands("EHLO").len();
    assert_eq!(n_greeted, 1);
    let other = SmtpServer::start(Script::default().fault(At::Greeting, say("554 5.3.2 go away"))).await;
    app.setup = app.setup.clone().without(BO);
    fs::write(app.config_path(), app.setup.text(&app.arxiv, other.port)).expect("it can be written");
    let check = command(&app, &["check", "--online"]).await;
    assert_eq!(check.code, Some(1), "{}{}", check.out, check.err);
    assert!(check.err.contains("554 5.3.2 go away"), "{}", check.err);
    // It takes half of the subscribers away, so it is not taken before somebody says so.
    for words in [
        "ok      arXiv (",
        "failed  mail (",
        "Not in force yet in the running daemon: more than a fifth of the subscribers would go",
        &format!("mail.port: {} becomes {}", app.smtp.port, other.port),
    ] {
        assert!(check.out.contains(words), "{words} in {}", check.out);
    }
    other.behaves(Script::default());
    let check = command(&app, &["check", "--online"]).await;
    assert_eq!(check.code, Some(0), "{}{}", check.out, check.err);
    assert_eq!(
        app.smtp.commands("EHLO").len(),
        n_greeted,
        "the relay in force is left alone"
    );
    assert_eq!(other.commands("MAIL").len(), 0);
    // While the daemon asks arXiv, what is tried waits for its turn: one connection.
    app.arxiv.answers(|_| Answer::Late(Duration::from_millis(700)));
    app.arxiv.take_log();
    let config = app.config_path();
    let by_hand = tokio::spawn(async move { program::run(&config, &["run"]).await });
    until(|| !app.arxiv.log().is_empty(), || serving.log()).await;
    let check = command(&app, &["check", "--online"]).await;
    assert_eq!(check.code, Some(0), "{}{}", check.out, check.err);
    by_hand.await.expect("it does not panic");
    assert_eq!(app.arxiv.n_open_max(), 1);
    // Another state is not opened beside the one that is in use, and no key is made for it.
    fs::write(
        app.config_path(),
        format!("state_dir = \"elsewhere\"\n{}", app.setup.text(&app.arxiv, other.port)),
    )
    .expect("it can be written");
    let mut with_service = program::command(&app.config_path(), &["check", "--online"]);
    with_service.env("RUNTIME_DIRECTORY", app.path("state"));
    let check = Ended::from(with_service.output().await.expect("the program starts"));
    assert_eq!(check.code, Some(0), "{}{}", check.out, check.err);
    assert!(check.out.contains("opened at its restart, not now"), "{}", check.out);
    assert!(check.out.contains("state_dir want a restart"), "{}", check.out);
    assert!(!app.path("elsewhere").exists());
    serving.stopped().await;
}

/// A relay that takes its time over a first attempt is no trouble.
#[tokio::test]
async fn a_delivery_that_is_under_way_is_no_trouble() {
    let app = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .subscriber_with(ANA, &[GNN_LINE])
        .start()
        .await;
    app.arxiv.set_now(SystemClock.now());
    app.arxiv.add_now([paper("A graph neural network for molecules")]);
    app.smtp.behaves(Script::default().fault(At::Dot, Act::Hang));
    let serving = Serving::start(&app.config_path(), &["serve"]);
    until(|| !app.smtp.commands("DATA").is_empty(), || serving.log()).await;
    let status = command(&app, &["status"]).await;
    assert!(status.out.contains("Outbox: 1 being sent"), "{}", status.out);
    assert!(first_line(&status.out).starts_with("All is well"), "{}", status.out);
    assert!(serving.kill().await);
}

/// The command that was broken off says that nothing is lost, and ends with the status for that.
#[tokio::test]
async fn a_run_that_a_second_signal_breaks_off_says_that_nothing_is_lost() {
    let (app, serving) = served(Setup::new().line(NEVER).subscriber_with(ANA, &[GNN_LINE])).await;
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    app.smtp.behaves(Script::default().fault(At::Dot, Act::Hang));
    let config = app.config_path();
    let by_hand = tokio::spawn(async move { program::run(&config, &["run"]).await });
    until(|| !app.smtp.commands("DATA").is_empty(), || serving.log()).await;
    serving.signal("TERM").await;
    serving.says("the mail in hand is finished").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    serving.signal("TERM").await;
    let (code, log) = serving.ended().await;
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("a command is broken off"), "{log}");
    let ended = by_hand.await.expect("it does not panic");
    assert_eq!(ended.code, Some(75), "{}", ended.err);
    assert!(
        ended.err.contains("in the middle of the command") && ended.err.contains("nothing is lost"),
        "{}",
        ended.err
    );
    app.smtp.behaves(Script::default());
    let run = command(&app, &["run"]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(app.papers_of(ANA), ids);
}

/// Two schedules that come at one moment are two, and who is paused is named with the end of it.
#[tokio::test]
async fn status_lists_each_schedule_with_its_subscribers_and_who_is_paused() {
    let mut app = Setup::new()
        .line("schedule = \"0 7 * * *\"")
        .subscriber_with(ANA, &[GNN_LINE])
        .subscriber_with(
            BO,
            &[GNN_LINE, "schedule = \"weekdays 08:00\"\ntimezone = \"Europe/Berlin\""],
        )
        .subscriber_with("cy@example.net", &[GNN_LINE, "paused_until = 2026-03-01"])
        .start()
        .await;
    app.run_on("2026-02-10T12:00:00Z").await;
    let text = overview(&mut app).await;
    for line in [
        "  2026-02-11 07:00 UTC  0 7 * * * UTC, 2 subscribers\n",
        "  2026-02-11 07:00 UTC  weekdays 08:00 Europe/Berlin, 1 subscriber\n",
        "Paused: 1\n  cy@example.net  until 2026-03-01 00:00 UTC\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let json = overview_as_json(&mut app).await;
    assert_eq!(json["next_slots"][1]["zone"], "Europe/Berlin", "{json}");
    assert_eq!(json["paused"][0]["subscriber"], "cy@example.net", "{json}");
}

/// Ana is paused, Bo's slot comes: what waits for her was not sent, and is counted although the run did not serve her.
#[tokio::test]
async fn what_waits_is_neither_sent_nor_forgotten_in_the_counts() {
    let mut app = Setup::new()
        .line("schedule = \"0 7 * * *\"")
        .section("[web]\nlisten = \"127.0.0.1:8025\"\npublic_url = \"https://papers.example.org\"")
        .subscriber_with(ANA, &[GNN_LINE, "schedule = \"0 7 * * Mon\""])
        .subscriber_with(BO, &["keywords = [\"diffusion model\"]"])
        .start()
        .await;
    // A Tuesday.
    app.run_due_on("2026-02-10T06:00:00Z").await;
    app.announce(
        "2026-02-10",
        [
            paper("A graph neural network for molecules"),
            paper("A diffusion model for proteins"),
        ],
    );
    let first = app.run_due_on("2026-02-11T07:00:00Z").await;
    assert_eq!((first.matched, first.already_seen, first.accepted), (2, 0, 1));
    let second = app.run_due_on("2026-02-12T07:00:00Z").await;
    assert_eq!(
        (second.matched, second.already_seen),
        (0, 1),
        "Bo's is sent, Ana's waits"
    );
    let web = Web::start(&mut app).await;
    let text = web.get("/metrics").await.body;
    for line in [
        "paperround_papers_waiting 1",
        "paperround_slot_unserved_age_seconds 0.0",
        "paperround_configuration_refused 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
    }
    // The slot of the 13th came an hour ago.
    app.it_is("2026-02-13T08:00:00Z");
    let web = Web::start(&mut app).await;
    let text = web.get("/metrics").await.body;
    assert!(text.contains("paperround_slot_unserved_age_seconds 3600.0\n"), "{text}");
}

/// Several slots are served from one fetch: its counts stand in its own line, once.
#[tokio::test]
async fn a_fetch_is_counted_once_however_many_slots_are_served_from_it() {
    let setup = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .subscriber_with(ANA, &[GNN_LINE]);
    let app = setup.start().await;
    app.arxiv.set_now(SystemClock.now());
    app.arxiv.add_now([paper("A graph neural network for molecules")]);
    let serving = Serving::start(&app.config_path(), &["serve"]);
    until(|| serving.log().matches("run.slot=").count() >= 2, || serving.log()).await;
    let status = command(&app, &["status"]).await;
    assert_eq!(
        status.out.matches("1 fetched, 1 new; 1 matched").count(),
        1,
        "{}",
        status.out
    );
    assert!(status.out.contains("from the fetch of 20"), "{}", status.out);
    serving.stopped().await;
}
