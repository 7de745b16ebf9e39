//! Days without announcements, gaps, cadences and zones.

use crate::harness::{
    app::{Setup, sorted},
    papers::paper,
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";

/// CASES 55. 6 February 2026 is a Friday.
#[tokio::test]
async fn a_weekend_brings_no_mail_no_error_and_no_repetition() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let friday = app.announce("2026-02-05", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-06").await;
    assert_eq!(app.new_papers_of(ANA), friday);
    for morning in ["2026-02-07", "2026-02-08"] {
        assert!(app.run_on(morning).await.is_complete(), "{morning}");
    }
    assert_eq!(app.new_mails(), []);
    let monday = app.announce("2026-02-08", [paper("A graph neural network for proteins")]);
    app.run_on("2026-02-09").await;
    assert_eq!(app.new_papers_of(ANA), monday);
}

/// CASES 58.
#[tokio::test]
async fn a_gap_of_two_weeks_loses_nothing() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let mut ids = app.announce("2026-01-19", [paper("A graph neural network for molecules")]);
    app.run_on("2026-01-20").await;
    for evening in ["2026-01-20", "2026-01-22", "2026-01-26", "2026-01-29", "2026-02-01"] {
        ids.extend(app.announce(evening, [paper(&format!("A graph neural network of {evening}"))]));
    }
    app.run_on("2026-02-03").await;
    assert_eq!(sorted(app.papers_of(ANA)), ids);
    assert_eq!(app.mails().len(), 2);
}

/// CASES 57.
#[tokio::test]
async fn a_zone_changes_the_hour_of_a_mail_and_no_paper() {
    let mut app = Setup::new()
        .subscriber_with(
            ANA,
            &["keywords = [\"graph neural network\"]", "timezone = \"Asia/Shanghai\""],
        )
        .subscriber_with(
            BO,
            &[
                "keywords = [\"graph neural network\"]",
                "timezone = \"America/Los_Angeles\"",
            ],
        )
        .start()
        .await;
    let ids = app.announce(
        "2026-02-09",
        [
            paper("A graph neural network before midnight").submitted("2026-02-08T23:59:59Z"),
            paper("A graph neural network after midnight").submitted("2026-02-09T00:00:01Z"),
        ],
    );
    app.run_on("2026-02-10T06:00:00Z").await;
    assert_eq!(
        (sorted(app.papers_of(ANA)), sorted(app.papers_of(BO))),
        (ids.clone(), ids)
    );
}

/// CASES 60, 130.
#[tokio::test]
async fn daily_and_weekly_readers_each_get_every_paper_once_in_their_own_rhythm() {
    let mut app = Setup::new()
        .line("schedule = \"0 7 * * *\"")
        .subscriber(ANA, &["graph neural network"])
        .subscriber_with(
            BO,
            &["keywords = [\"graph neural network\"]", "schedule = \"0 7 * * Mon\""],
        )
        .start()
        .await;
    // The schedules count from this look on, which is before the first slot.
    app.run_due_on("2026-02-01T06:00:00Z").await;
    let mut ids = Vec::new();
    for (evening, morning) in [
        ("2026-02-01", "2026-02-02"),
        ("2026-02-02", "2026-02-03"),
        ("2026-02-03", "2026-02-04"),
        ("2026-02-04", "2026-02-05"),
        ("2026-02-05", "2026-02-06"),
        ("2026-02-08", "2026-02-09"),
    ] {
        ids.extend(app.announce(evening, [paper(&format!("A graph neural network of {evening}"))]));
        app.run_due_on(&format!("{morning}T07:00:00Z")).await;
        // A second look within the slot sends nothing more.
        app.run_due_on(&format!("{morning}T07:20:00Z")).await;
    }
    assert_eq!(
        (sorted(app.papers_of(ANA)), sorted(app.papers_of(BO))),
        (ids.clone(), ids)
    );
    let n_to = |who: &str| app.mails().iter().filter(|mail| mail.to == who).count();
    assert_eq!((n_to(ANA), n_to(BO)), (6, 2));
}
