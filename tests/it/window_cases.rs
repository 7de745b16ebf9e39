//! What one search asks for, how often, and what is taken of an answer that does not count.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use paperround::{
    clock::{Clock, SystemClock},
    fetch::gate::GateState,
    store::{Batch, DocumentKind, documents},
};

use crate::harness::{
    app::{Setup, TestApp, sorted},
    arxiv::{Answer, Asked, status},
    papers::{self, paper},
};

const ANA: &str = "ana@example.net";

async fn ana_reads_on_graphs(change: impl FnOnce(Setup) -> Setup) -> TestApp {
    let setup = Setup::new().subscriber(ANA, &["graph neural network"]);
    change(setup).start().await
}

/// Between which minutes it asks for submissions.
fn window(asked: &Asked) -> (DateTime<Utc>, DateTime<Utc>) {
    let (_, window) = asked
        .query
        .split_once("submittedDate:[")
        .expect("every search has a window");
    let minute = |text: &str| NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M").expect("minutes");
    (minute(&window[..12]).and_utc(), minute(&window[16..28]).and_utc())
}

fn searches(app: &TestApp) -> Vec<Asked> {
    let mut log = app.arxiv.take_log();
    log.retain(|asked| asked.asks_for("graph"));
    log
}

/// However long nothing was complete, the window begins before the first day that is missing; it ends tomorrow, for a
/// clock that is slow; and a clock that was fast for a day does not make it begin later.
#[tokio::test]
async fn a_window_reaches_behind_what_was_complete_last_and_ahead_of_the_clock() {
    let mut app = ana_reads_on_graphs(|setup| setup.arxiv("lookback", "\"2d\"").arxiv("retry_budget", "\"1s\"")).await;
    for (day, is_down, from, to) in [
        ("2026-02-10", true, "2026-02-08", "2026-02-11"),
        ("2026-02-20", false, "2026-02-08", "2026-02-21"),
        ("2026-02-21", false, "2026-02-18", "2026-02-22"),
        ("2026-02-12", false, "2026-02-10", "2026-02-13"),
    ] {
        app.arxiv.answers(move |asked| {
            if is_down && asked.is_search() {
                status(503)
            } else {
                Answer::Ordinary
            }
        });
        app.run_on(day).await;
        let asked = searches(&app);
        let (begin, end) = window(asked.last().expect("the keyword was asked for"));
        let days = [begin, end].map(|at| at.format("%Y-%m-%d").to_string());
        assert_eq!(days, [from, to], "{day}");
    }
}

/// The smallest page fails as well: it is given up after three times, and what came before it is real.
#[tokio::test]
async fn what_came_before_a_page_that_fails_in_every_size_is_used() {
    let mut app = ana_reads_on_graphs(|setup| setup.arxiv("page_size", "25")).await;
    let many = (0..60).map(|n| paper(&format!("A graph neural network, part {n}")));
    app.announce("2026-02-09", many);
    app.arxiv.answers(|asked| {
        if asked.start == 25 {
            status(500)
        } else {
            Answer::Ordinary
        }
    });
    let report = app.run_on("2026-02-10").await;
    assert_eq!(report.matched, 25);
    assert!(report.incomplete[0].why.contains("500"), "{report:?}");
    let n_failed = searches(&app).iter().filter(|asked| asked.start == 25).count();
    assert_eq!(n_failed, 3);
}

/// What holds more than arXiv pages through is asked for in halves with nothing between them; where one of them is not whole,
/// the keyword is not complete, and what came counts.
#[tokio::test]
async fn a_window_with_too_many_papers_is_read_in_halves() {
    for is_one_short in [false, true] {
        let mut app = ana_reads_on_graphs(|setup| setup).await;
        app.run_on("2026-02-05").await;
        let days = ["2026-01-08T10:00:00Z", "2026-02-07T10:00:00Z"];
        let ids = app.announce(
            "2026-02-09",
            days.map(|day| paper("A graph neural network").submitted(day)),
        );
        app.arxiv.answers(move |asked| {
            if !asked.asks_for("graph") {
                return Answer::Ordinary;
            }
            let (from, to) = window(asked);
            if to - from > TimeDelta::days(30) {
                Answer::Body(papers::feed(&asked.query, 6_000, 0, &[], ""))
            } else if is_one_short && from > papers::instant("2026-01-15T00:00:00Z") {
                Answer::Short(0)
            } else {
                Answer::Ordinary
            }
        });
        searches(&app);
        let report = app.run_on("2026-02-10").await;
        assert_eq!(report.incomplete.len(), usize::from(is_one_short), "{report:?}");
        let n_found = if is_one_short { 1 } else { 2 };
        assert_eq!(sorted(app.new_papers_of(ANA)), ids[..n_found]);
        let asked: Vec<_> = searches(&app).iter().map(window).collect();
        let [whole, first, second] = [asked[0], asked[1], asked[2]];
        assert_eq!((first.0, second.1), whole, "{asked:?}");
        assert!(second.0 <= first.1, "nothing lies between them: {asked:?}");
    }
}

/// Nothing comes although something was known. Two runs ask again at once; the third has seen it often enough, and only
/// waits for the twelve hours.
#[tokio::test]
async fn an_answer_that_has_repeated_itself_is_not_asked_for_again_in_the_same_run() {
    let mut app = ana_reads_on_graphs(|setup| setup).await;
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    app.arxiv.answers(|asked| {
        if asked.is_search() {
            Answer::Body(papers::feed(&asked.query, 0, 0, &[], ""))
        } else {
            Answer::Ordinary
        }
    });
    searches(&app);
    let mut n_asked = Vec::new();
    for hour in [12, 15, 18] {
        let report = app.run_on(&format!("2026-02-10T{hour}:00:00Z")).await;
        assert_eq!(report.incomplete.len(), 1, "{hour}");
        n_asked.push(searches(&app).len());
    }
    assert_eq!(n_asked, [4, 4, 1]);
}

/// After a 403 nothing is asked before the day is over, however little of it is left and however patient the run is.
#[tokio::test]
async fn no_run_waits_for_the_end_of_a_pause_after_denied_access() {
    for source in ["query", "harvest"] {
        let mut app = ana_reads_on_graphs(|setup| {
            setup
                .arxiv("source", &format!("\"{source}\""))
                .arxiv("retry_budget", "\"6h\"")
        })
        .await;
        app.arxiv.answers(|_| status(403));
        app.run_on("2026-02-10").await;
        let store = app.store().await;
        let gates = documents::load_all::<GateState>(&*store, DocumentKind::Gate).await;
        let (key, mut gate) = gates.expect("the store works").remove(0);
        assert!(gate.value.forbidden, "{source}: {gate:?}");
        gate.value.paused_until = Some(SystemClock.now() + TimeDelta::hours(1));
        let document = documents::to_write(DocumentKind::Gate, &key, &gate).expect("it can be written");
        let batch = Batch {
            documents: vec![document],
            ..Batch::default()
        };
        store.commit(batch).await.expect("the store works");
        drop(store);
        app.arxiv.take_log();
        let run = tokio::time::timeout(std::time::Duration::from_secs(120), app.run_on("2026-02-11"));
        let report = run.await.expect("it does not wait for an hour");
        assert_eq!(report.incomplete.len(), 1, "{source}");
        assert_eq!(app.arxiv.take_log().len(), 0, "{source}");
    }
}
