//! The daemon: slots, reload, the other commands, and its end.

use crate::harness::{
    app::{Setup, TestApp},
    arxiv::Answer,
    papers::paper,
    program::{self, Serving, until},
};

const ANA: &str = "ana@example.net";

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
    assert!(status.out.contains("1 subscribers"), "{}", status.out);
    serving.says("status").await;
    let second = program::run(&app.config_path(), &["serve"]).await;
    assert_eq!(second.code, Some(75), "{}", second.err);
    assert!(second.err.contains("another instance is using"), "{}", second.err);
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
