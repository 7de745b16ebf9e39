//! The daemon: slots, reload, the other commands, and its end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::time::{Instant, timeout};

use crate::harness::{
    app::{Setup, TestApp, sorted},
    arxiv::Answer,
    papers::paper,
    program::{self, Serving, until},
    smtp::{Act, At, Script, say},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
/// A stop takes no longer than this, also on a loaded machine.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A daemon with a slot every few seconds. Its calendar is the machine's, so arXiv's is set to now as well.
async fn served() -> (TestApp, Serving) {
    let app = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("serving").await;
    (app, serving)
}

#[tokio::test]
async fn serve_runs_two_slots_reloads_and_stops() {
    let (mut app, serving) = served().await;
    let n_slots = |log: &str| log.matches("run.slot=").count();
    until(|| n_slots(&serving.log()) >= 2, || serving.log()).await;
    app.reconfigure(|setup| setup.subscriber("bo@example.net", &["RAG"]));
    serving.signal("HUP").await;
    serving.says("configuration reloaded").await;
    assert!(serving.log().contains("bo@example.net") || serving.log().contains("configuration changes"));
    std::fs::write(app.config_path(), "schedule = [").expect("the directory is writable");
    serving.signal("HUP").await;
    serving.says("the former one stays in force").await;
    let before = n_slots(&serving.log());
    until(|| n_slots(&serving.log()) > before, || serving.log()).await;
    serving.signal("TERM").await;
    let (code, log) = serving.ended().await;
    assert_eq!(code, Some(0), "{log}");
    // CASES 139: no colour codes off a terminal.
    assert!(!log.contains('\u{1b}'), "{log}");
}

/// CASES 133.
#[tokio::test]
async fn commands_reach_the_running_daemon_and_a_second_one_is_refused() {
    let (app, serving) = served().await;
    let status = program::run(&app.config_path(), &["status"]).await;
    assert_eq!(status.code, Some(0), "{}", status.err);
    assert!(status.out.contains("1 subscriber"), "{}", status.out);
    serving.says("status").await;
    let second = program::run(&app.config_path(), &["serve"]).await;
    assert_eq!(second.code, Some(75), "{}", second.err);
    assert!(second.err.contains("another instance is using"), "{}", second.err);
    serving.signal("TERM").await;
    assert_eq!(serving.ended().await.0, Some(0));
}

/// CASES 133. A service manager starts the next one before the one before has let go of the state.
#[tokio::test]
async fn ten_quick_restarts_wait_for_each_other() {
    let (app, mut serving) = served().await;
    for _ in 0..10 {
        let next = Serving::start(&app.config_path(), &["serve"]);
        serving.signal("TERM").await;
        let (code, log) = serving.ended().await;
        assert_eq!(code, Some(0), "{log}");
        next.says("serving").await;
        serving = next;
    }
    serving.signal("TERM").await;
    assert_eq!(serving.ended().await.0, Some(0));
}

/// CASES 138.
#[tokio::test]
async fn a_fetch_that_hangs_does_not_delay_the_end() {
    let app = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .arxiv("timeout", "\"60s\"")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.arxiv.answers(|_| Answer::Silence);
    let serving = Serving::start(&app.config_path(), &["serve"]);
    until(|| !app.arxiv.log().is_empty(), || serving.log()).await;
    let asked = tokio::time::Instant::now();
    serving.signal("TERM").await;
    let (code, log) = serving.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(asked.elapsed() < std::time::Duration::from_secs(20), "{log}");
}

/// CASES 131. A schedule that is faster than arXiv: no two fetches at once, and each paper once.
#[tokio::test]
async fn slots_that_come_faster_than_arxiv_answers_never_overlap() {
    let app = Setup::new()
        .line("schedule = \"*/2 * * * * *\"")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    app.arxiv.add_now([paper("Something announced before")]);
    app.arxiv
        .answers(|_| Answer::Late(std::time::Duration::from_millis(1_500)));
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("new subscriptions count from here").await;
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    let by_hand = program::run(&app.config_path(), &["run"]).await;
    assert_eq!(by_hand.code, Some(0), "{}", by_hand.err);
    until(|| !app.mails().is_empty(), || serving.log()).await;
    let n_slots = || serving.log().matches("run.slot=").count();
    let before = n_slots();
    until(|| n_slots() > before + 1, || serving.log()).await;
    serving.signal("TERM").await;
    assert_eq!(serving.ended().await.0, Some(0));
    assert_eq!(app.arxiv.n_open_max(), 1, "one connection at a time");
    assert_eq!(app.papers_of(ANA), ids);
    assert_eq!(app.mails().len(), 1);
}

async fn stops_in_time(serving: Serving) -> String {
    let asked = Instant::now();
    serving.signal("TERM").await;
    let (code, log) = serving.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(asked.elapsed() < STOP_MAX, "{:?}\n{log}", asked.elapsed());
    log
}

/// The papers of a new keyword are fetched although what was fetched before is good until the next announcement.
#[tokio::test]
async fn a_keyword_added_by_a_reload_brings_its_papers_at_the_next_slot() {
    let mut app = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    let first = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    let second = app.arxiv.add_now([paper("Diffusion models for proteins")]);
    let serving = Serving::start(&app.config_path(), &["serve"]);
    until(|| app.mails().len() == 1, || serving.log()).await;
    assert_eq!(app.papers_of(ANA), first);
    app.reconfigure(|setup| setup.subscriber(ANA, &["graph neural network", "diffusion model"]));
    serving.signal("HUP").await;
    serving.says("configuration reloaded").await;
    assert!(serving.log().contains("diffusion model"), "{}", serving.log());
    assert!(
        !serving.log().contains(ANA),
        "addresses are for debugging: {}",
        serving.log()
    );
    until(|| app.mails().len() == 2, || serving.log()).await;
    assert_eq!(app.papers_of(ANA), sorted([first, second].concat()));
    stops_in_time(serving).await;
}

/// CASES 117, reload.
#[tokio::test]
async fn a_changed_file_is_noticed_by_itself_and_a_broken_one_is_named_with_its_line() {
    let (mut app, serving) = served().await;
    let began = Instant::now();
    app.reconfigure(|setup| setup.subscriber(ANA, &["graph neural network", "RAG"]));
    serving.says("configuration reloaded").await;
    assert!(
        began.elapsed() >= Duration::from_secs(4),
        "a file in the making is left alone"
    );
    assert!(serving.log().contains("RAG"), "{}", serving.log());
    let good = app.setup.text(&app.arxiv, app.smtp.port);
    let n_lines = good.lines().count();
    std::fs::write(app.config_path(), format!("{good}name = \"Ana\n")).expect("the directory is writable");
    serving.says("the former one stays in force").await;
    let place = format!("config.toml:{}", n_lines + 1);
    assert!(serving.log().contains(&place), "{place} in {}", serving.log());
    let why = program::run(&app.config_path(), &["why", "2602.01234"]).await;
    assert!(why.err.contains(&place), "{}", why.err);
    app.write_config();
    let status = program::run(&app.config_path(), &["status"]).await;
    assert!(status.out.contains("1 subscriber"), "{}", status.out);
    stops_in_time(serving).await;
}

#[tokio::test]
async fn run_and_why_reach_the_running_daemon() {
    let app = Setup::new()
        .line("schedule = \"0 0 8 1 1 *\"")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("serving").await;
    let run = program::run(&app.config_path(), &["run"]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("1 accepted"), "{}", run.out);
    assert_eq!(app.papers_of(ANA), ids);
    let why = program::run(&app.config_path(), &["why", &ids[0], ANA]).await;
    assert_eq!(why.code, Some(0), "{}", why.err);
    assert!(why.out.contains("graph neural network"), "{}", why.out);
    let log = stops_in_time(serving).await;
    for command in ["command=\"run\"", "command=\"why\""] {
        assert!(log.contains(command), "{command} in {log}");
    }
}

/// CASES 113. Nothing after the reload, not even what was on its way; who is added again is not flooded.
#[tokio::test]
async fn a_subscriber_removed_while_it_runs_gets_nothing_more() {
    let mut app = Setup::new()
        .line("schedule = \"0 0 8 1 1 *\"")
        .subscriber(ANA, &["graph neural network"])
        .subscriber(BO, &["graph neural network"])
        .start()
        .await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, BO, say("451 4.7.1 later")));
    let first = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("serving").await;
    let run = program::run(&app.config_path(), &["run"]).await;
    assert!(run.out.contains("1 accepted"), "{}\n{}", run.out, run.err);
    let full = app.setup.clone();
    app.reconfigure(|setup| setup.without(BO));
    serving.signal("HUP").await;
    serving.says("configuration reloaded").await;
    app.smtp.behaves(Script::default());
    // What waits for its next try is cancelled by the reload, not when that try is due.
    let began = std::time::Instant::now();
    loop {
        let listed = program::run(&app.config_path(), &["outbox", "list"]).await;
        if listed.out.contains("nothing is on its way") {
            break;
        }
        assert!(began.elapsed() < program::PATIENCE, "{}", listed.out);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = app.arxiv.add_now([paper("A graph neural network for crystals")]);
    let run = program::run(&app.config_path(), &["run"]).await;
    assert!(run.out.contains("1 accepted"), "{}\n{}", run.out, run.err);
    assert_eq!(app.papers_of(ANA), sorted([first, second].concat()));
    assert_eq!(app.papers_of(BO), Vec::<String>::new());
    app.reconfigure(|_| full);
    serving.signal("HUP").await;
    until(
        || serving.log().matches("configuration reloaded").count() == 2,
        || serving.log(),
    )
    .await;
    for _ in 0..2 {
        let run = program::run(&app.config_path(), &["run"]).await;
        assert!(matches!(run.code, Some(0 | 75)), "{:?}: {}", run.code, run.err);
    }
    let mails_to_bo = app.mails().iter().filter(|mail| mail.to == BO).count();
    assert!(mails_to_bo <= 1, "{mails_to_bo} mails");
    let papers = app.papers_of(BO);
    let mut once = papers.clone();
    once.dedup();
    assert_eq!(papers, once, "nothing twice");
    stops_in_time(serving).await;
}

/// CASES 138 (a).
#[tokio::test]
async fn a_daemon_that_waits_stops_at_once() {
    let (_app, serving) = served().await;
    let log = stops_in_time(serving).await;
    assert!(log.contains("stopped"), "{log}");
}

/// CASES 138 (b), with the fetch of a command that came through the control socket.
#[tokio::test]
async fn a_command_that_hangs_does_not_delay_the_end() {
    let app = Setup::new()
        .line("schedule = \"*/3 * * * * *\"")
        .arxiv("timeout", "\"60s\"")
        .arxiv("retry_budget", "\"10m\"")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("run.slot=").await;
    app.arxiv.take_log();
    app.arxiv.answers(|_| Answer::Silence);
    let config = app.config_path();
    let by_hand = tokio::spawn(async move { program::run(&config, &["run"]).await });
    until(|| !app.arxiv.log().is_empty(), || serving.log()).await;
    // A slot comes meanwhile.
    tokio::time::sleep(Duration::from_secs(4)).await;
    stops_in_time(serving).await;
    let ended = timeout(STOP_MAX, by_hand).await.expect("it ends with the daemon");
    let ended = ended.expect("it does not panic");
    assert_eq!(ended.code, Some(75), "{}", ended.err);
    assert!(ended.err.contains("stop"), "{}", ended.err);
}

/// CASES 138 (c). The mail in hand is finished and recorded; the rest goes with the next run, each once.
#[tokio::test]
async fn a_stop_within_a_batch_finishes_the_mail_in_hand() {
    let people: Vec<String> = (0..20).map(|n| format!("reader{n:02}@example.net")).collect();
    let setup = people.iter().fold(Setup::new(), |setup, who| {
        setup.subscriber(who, &["graph neural network"])
    });
    let app = setup.line("schedule = \"*/3 * * * * *\"").start().await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    let ids = app.arxiv.add_now([paper("A graph neural network for molecules")]);
    let slow = Act::Trickle(b"250 2.1.5 ok\r\n".to_vec(), Duration::from_millis(40));
    app.smtp.behaves(Script::default().fault(At::Rcpt, slow));
    let serving = Serving::start(&app.config_path(), &["serve"]);
    until(|| app.mails().len() >= 2, || serving.log()).await;
    let log = stops_in_time(serving).await;
    let n_sent = app.mails().len();
    assert!((2..20).contains(&n_sent), "{n_sent} mails");
    assert_eq!(log.matches("digest accepted").count(), n_sent, "{log}");
    app.smtp.behaves(Script::default());
    let run = program::run(&app.config_path(), &["run"]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    for who in &people {
        assert_eq!(app.papers_of(who), ids, "{who}");
    }
    assert_eq!(app.mails().len(), 20);
}

/// CASES 114, 142.
#[tokio::test]
async fn the_log_accounts_for_each_mail_and_holds_no_secret() {
    const PASSWORD: &str = "correct-horse-battery";
    let app = Setup::new()
        .mail("username", "\"ana-login\"")
        .mail("password_file", "\"password\"")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    std::fs::write(app.path("password"), PASSWORD).expect("the directory is writable");
    app.smtp.behaves(
        Script::default()
            .extensions(&["AUTH PLAIN LOGIN"])
            .account("ana-login", PASSWORD),
    );
    let secrets = [
        PASSWORD.to_owned(),
        BASE64.encode(PASSWORD),
        BASE64.encode(format!("\0ana-login\0{PASSWORD}")),
    ];
    for (n, (verbosity, rust_log)) in [
        ("", ""),
        ("-v", ""),
        ("-vv", ""),
        ("-vv", "trace,lettre=trace,rustls=trace"),
    ]
    .into_iter()
    .enumerate()
    {
        let evening = format!("2026-02-{:02}", 8 + n);
        let now = format!("2026-02-{:02}T07:00:00Z", 9 + n);
        app.announce(&evening, [paper(&format!("A graph neural network of {evening}"))]);
        app.it_is(&now);
        let arguments = ["run", "--now", &now, verbosity];
        let n_arguments = arguments.len() - usize::from(verbosity.is_empty());
        let mut command = program::command(&app.config_path(), &arguments[..n_arguments]);
        if !rust_log.is_empty() {
            command.env("RUST_LOG", rust_log);
        }
        let ended = program::Ended::from(command.output().await.expect("the program starts"));
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let log = ended.out + &ended.err;
        for secret in &secrets {
            assert!(!log.contains(secret), "{secret} at {verbosity} {rust_log}");
        }
        assert!(!log.contains('\u{1b}'), "a colour code off a terminal");
        let line = log
            .lines()
            .find(|line| line.contains("digest accepted"))
            .expect("it is logged");
        assert!(line.contains("queued as 1") && line.contains("n_papers=1"), "{line}");
        if verbosity.is_empty() {
            assert!(!log.contains(ANA), "addresses are for debugging: {log}");
        }
    }
    assert_eq!(app.mails().len(), 4);
}
