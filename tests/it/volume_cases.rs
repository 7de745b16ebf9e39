//! First runs, new subscriptions, wide ones, and large days.

use crate::harness::{
    app::{Setup, sorted},
    arxiv::status,
    papers::paper,
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";

/// CASES 61.
#[tokio::test]
async fn a_first_run_brings_the_last_days_only() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    for week in ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"] {
        app.announce(
            week,
            (0..50).map(|n| paper(&format!("A graph neural network, part {n}"))),
        );
    }
    let recent = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.papers_of(ANA), recent);
}

/// CASES 62.
#[tokio::test]
async fn a_keyword_or_a_subscriber_added_later_floods_nobody() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    for week in ["2026-01-12", "2026-01-19", "2026-01-26"] {
        app.announce(week, (0..50).map(|n| paper(&format!("Causal inference, part {n}"))));
    }
    let first = app.announce("2026-02-02", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-03").await;
    app.reconfigure(|setup| {
        setup
            .subscriber(ANA, &["graph neural network", "causal inference"])
            .subscriber(BO, &["graph neural network"])
    });
    let second = app.announce(
        "2026-02-09",
        [
            paper("Causal inference for proteins"),
            paper("A graph neural network for proteins"),
        ],
    );
    app.run_on("2026-02-10").await;
    assert_eq!(
        sorted(app.papers_of(ANA)),
        sorted(first.into_iter().chain(second.clone()))
    );
    assert_eq!(app.papers_of(BO), second[1..]);
}

#[tokio::test]
async fn a_first_fetch_that_succeeds_days_later_loses_no_day() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    app.announce("2026-02-01", [paper("Something else")]);
    app.arxiv.answers(|_| status(503));
    app.run_on("2026-02-03").await;
    let mut ids = app.announce("2026-02-03", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-04").await;
    ids.extend(app.announce("2026-02-04", [paper("A graph neural network for proteins")]));
    app.run_on("2026-02-05").await;
    app.arxiv.is_well();
    app.run_on("2026-02-09").await;
    assert_eq!(sorted(app.papers_of(ANA)), ids);
}

/// A paper that was submitted weeks before it was announced lies below known ones by date, and above them by identifier.
#[tokio::test]
async fn a_held_paper_with_an_old_date_comes_once_when_it_is_announced() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let mut ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    let held = paper("A graph neural network held by moderators").submitted("2026-01-20T12:00:00Z");
    ids.extend(app.announce("2026-02-10", [held]));
    app.run_on("2026-02-11").await;
    app.run_on("2026-02-12").await;
    assert_eq!(app.papers_of(ANA), ids);
}

#[tokio::test]
async fn a_widened_keyword_never_floods() {
    let with = |lines: &[&str]| Setup::new().subscriber_with(ANA, lines);
    let keywords = "keywords = [\"graph neural network\"]";
    let mut app = with(&[keywords, "exclude = [\"survey\"]"]).start().await;
    app.announce(
        "2026-01-28",
        (0..30).map(|n| paper(&format!("A survey of the graph neural network, part {n}"))),
    );
    let mut ids = app.announce("2026-01-29", [paper("A graph neural network for molecules")]);
    app.run_on("2026-01-30").await;
    app.reconfigure(|setup| setup.subscriber_with(ANA, &[keywords]));
    ids.extend(app.announce("2026-02-09", [paper("A survey of the graph neural network today")]));
    app.run_on("2026-02-10").await;
    assert_eq!(app.papers_of(ANA), ids);
}

#[tokio::test]
async fn a_removed_and_returned_subscriber_is_not_flooded() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .subscriber(BO, &["graph neural network"])
        .start()
        .await;
    let mut ids = app.announce("2026-01-19", [paper("A graph neural network for molecules")]);
    app.run_on("2026-01-20").await;
    app.reconfigure(|setup| setup.without(BO));
    app.announce(
        "2026-01-20",
        (0..30).map(|n| paper(&format!("A graph neural network, part {n}"))),
    );
    app.run_on("2026-01-21").await;
    app.reconfigure(|setup| setup.subscriber(BO, &["graph neural network"]));
    ids.extend(app.announce("2026-02-09", [paper("A graph neural network for proteins")]));
    app.run_on("2026-02-10").await;
    assert_eq!(app.papers_of(BO), ids);
}

/// CASES 63, 64.
#[tokio::test]
async fn a_day_of_four_hundred_papers_fits_into_mails_and_loses_none() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let long = "A sentence about molecules, proteins and their graphs. ".repeat(36);
    let ids = app.announce(
        "2026-02-08",
        (0..400).map(|n| paper(&format!("A graph neural network, part {n}")).summary(&long)),
    );
    app.run_on("2026-02-09").await;
    let first = app.new_mails();
    assert_eq!(first.len(), 1);
    assert!(first[0].html.len() <= 90_000, "{} bytes", first[0].html.len());
    assert!(
        first[0].text.contains("wait"),
        "the mail says that papers wait:\n{}",
        first[0].text
    );
    for morning in ["2026-02-10", "2026-02-11", "2026-02-12", "2026-02-13"] {
        app.run_on(morning).await;
    }
    assert_eq!(sorted(app.papers_of(ANA)), ids);
}
