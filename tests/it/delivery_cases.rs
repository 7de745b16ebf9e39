//! What becomes of digests that a relay refuses, loses or doubts.

use crate::harness::{
    app::{Setup, TestApp},
    papers::paper,
    smtp::{Act, At, Script, say},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const CY: &str = "cy@example.net";

async fn three_readers() -> TestApp {
    Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .subscriber(BO, &["graph neural network"])
        .subscriber(CY, &["graph neural network"])
        .start()
        .await
}

fn announce(app: &TestApp, evening: &str) -> Vec<String> {
    app.announce(evening, [paper("A graph neural network for molecules")])
}

/// CASES 106, 85.
#[tokio::test]
async fn one_refused_recipient_stops_nobody_and_nobody_sees_another() {
    let mut app = three_readers().await;
    let ids = announce(&app, "2026-02-09");
    app.smtp.behaves(
        Script::default()
            .wants_rset()
            .fault_for(At::Rcpt, BO, say("550 5.1.1 No such user")),
    );
    let report = app.run_on("2026-02-10").await;
    assert_eq!((report.accepted, report.failed), (2, 1));
    assert!(!report.is_complete());
    assert_eq!(
        (app.papers_of(ANA), app.papers_of(BO), app.papers_of(CY)),
        (ids.clone(), vec![], ids)
    );
    for mail in app.mails() {
        let text = String::from_utf8_lossy(&mail.bytes).into_owned();
        for other in [ANA, BO, CY].into_iter().filter(|other| *other != mail.to) {
            assert!(!text.contains(other), "{other} in the mail to {}", mail.to);
        }
    }
}

/// CASES 111. Not tried twice in one digest; suppressed on evidence of two days, and undone by nothing but the operator.
#[tokio::test]
async fn a_mailbox_that_is_gone_on_two_days_is_suppressed() {
    let mut app = three_readers().await;
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, BO, say("550 5.1.1 No such user")));
    let asked = |app: &TestApp| {
        app.smtp
            .commands("RCPT")
            .iter()
            .filter(|line| line.contains(BO))
            .count()
    };
    for (n_days, (evening, morning)) in [
        ("2026-02-08", "2026-02-09"),
        ("2026-02-09", "2026-02-10"),
        ("2026-02-10", "2026-02-11"),
    ]
    .into_iter()
    .enumerate()
    {
        announce(&app, evening);
        app.run_on(morning).await;
        assert_eq!(asked(&app), (n_days + 1).min(2), "on {morning}");
    }
}

/// CASES 107.
#[tokio::test]
async fn a_relay_that_is_down_for_a_day_costs_nothing() {
    let mut app = three_readers().await;
    let mut ids = announce(&app, "2026-02-09");
    app.smtp
        .behaves(Script::default().fault(At::Greeting, say("421 4.3.2 shutting down")));
    let report = app.run_on("2026-02-10").await;
    assert_eq!((report.accepted, report.retrying), (0, 3));
    app.smtp.behaves(Script::default());
    ids.extend(announce(&app, "2026-02-10"));
    assert!(app.run_on("2026-02-11").await.is_complete());
    for who in [ANA, BO, CY] {
        assert_eq!(app.papers_of(who), ids);
    }
    assert_eq!(app.mails().len(), 3, "both days come in one digest");
}

/// CASES 108.
#[tokio::test]
async fn a_lost_250_is_resent_under_the_same_message_id() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let ids = announce(&app, "2026-02-09");
    app.smtp
        .behaves(Script::default().fault_times(At::Dot, 1, Act::KeepAndClose));
    app.run_on("2026-02-10").await;
    app.run_on("2026-02-11").await;
    let mails = app.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].message_id, mails[1].message_id);
    assert_eq!(mails[0].bytes, mails[1].bytes);
    assert_eq!(app.papers_of(ANA)[..1], ids[..]);
}

/// Three lost replies, and the operator decides: the papers come in no other mail.
#[tokio::test]
async fn a_digest_in_doubt_three_times_is_held() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    announce(&app, "2026-02-09");
    app.smtp.behaves(Script::default().fault(At::Dot, Act::Close));
    for morning in ["2026-02-10", "2026-02-11", "2026-02-12"] {
        app.run_on(morning).await;
    }
    assert_eq!(app.n_held().await, 1);
    app.smtp.behaves(Script::default());
    let report = app.run_on("2026-02-13").await;
    assert_eq!((report.unconfirmed, app.mails().len()), (1, 0));
}

/// CASES 109, 110. Refused for now: the rest goes on, and the refused one comes with the next digest.
#[tokio::test]
async fn a_greylisted_recipient_delays_nobody_and_loses_nothing() {
    let mut app = three_readers().await;
    let ids = announce(&app, "2026-02-09");
    let later = say("451 4.7.1 Greylisted, try again in 300 seconds");
    app.smtp.behaves(Script::default().fault_for(At::Rcpt, CY, later));
    let report = app.run_on("2026-02-10").await;
    assert_eq!((report.accepted, report.retrying), (2, 1));
    app.smtp.behaves(Script::default());
    app.run_on("2026-02-11").await;
    assert_eq!((app.papers_of(ANA), app.papers_of(CY)), (ids.clone(), ids));
}

/// CASES 113. What was due to somebody who was removed is cancelled.
#[tokio::test]
async fn a_removed_subscriber_gets_nothing_more() {
    let mut app = three_readers().await;
    announce(&app, "2026-02-09");
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, BO, say("451 4.7.1 later")));
    app.run_on("2026-02-10").await;
    app.smtp.behaves(Script::default());
    app.reconfigure(|setup| setup.without(BO));
    announce(&app, "2026-02-10");
    app.run_on("2026-02-11").await;
    assert_eq!(app.papers_of(BO), Vec::<String>::new());
}

/// CASES 65. Refused as too large once: two smaller digests; never the same again.
#[tokio::test]
async fn a_digest_that_is_refused_as_a_message_returns_in_two_halves() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let ids = app.announce(
        "2026-02-09",
        (1..=6).map(|n| paper(&format!("A graph neural network, part {n}"))),
    );
    app.smtp
        .behaves(Script::default().fault_times(At::Dot, 1, say("552 5.3.4 Message size exceeds fixed limit")));
    app.run_on("2026-02-10").await;
    let mut got = app.papers_of(ANA);
    got.sort();
    assert_eq!(got, ids);
    assert_eq!(app.mails().len(), 2);
}

/// CASES 77.
#[tokio::test]
async fn nothing_new_is_no_mail() {
    let mut app = three_readers().await;
    announce(&app, "2026-02-09");
    app.run_on("2026-02-10").await;
    app.new_mails();
    assert!(app.run_on("2026-02-11").await.is_complete());
    assert_eq!(app.new_mails(), []);
}
