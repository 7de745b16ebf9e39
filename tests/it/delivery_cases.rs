//! Delivery: one refusal stops nobody else, and whatever the relay does, no paper is lost and none comes twice.

use std::collections::BTreeSet;
use std::time::Duration;

use paperround::{
    admin::{self, Command},
    delivery,
    model::{EntryState, Suppression},
    roster,
    store::{Batch, DocumentKind},
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Mail, Setup, TestApp, sorted},
    papers::{Paper, instant, paper},
    smtp::{Act, At, Script, say},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const CY: &str = "cy@example.net";
const GNN: &str = "graph neural network";

/// `n` papers on graph neural networks.
fn graphs(n: usize) -> Vec<Paper> {
    (0..n)
        .map(|i| paper(&format!("A graph neural network, part {i}")))
        .collect()
}

/// These people read the same keyword, and mails go one after the other.
async fn they_read(people: &[&str]) -> TestApp {
    let one_by_one = Setup::new().mail("connections", "1");
    let setup = people
        .iter()
        .fold(one_by_one, |setup, person| setup.subscriber(person, &[GNN]));
    setup.start().await
}

/// Ana, with two papers announced on 9 February.
async fn ana_has_two_papers() -> (TestApp, Vec<String>) {
    let app = they_read(&[ANA]).await;
    let ids = app.announce("2026-02-09", graphs(2));
    (app, ids)
}

async fn suppressions(app: &mut TestApp) -> Vec<Suppression> {
    let store = app.store().await;
    let all = roster::suppressions(&*store).await.expect("the store reads");
    all.into_values().collect()
}

/// One turn of the pump at that moment, without a run.
async fn pump(app: &mut TestApp, moment: &str) -> delivery::Delivered {
    app.it_is(moment);
    let program = app.build().await;
    delivery::deliver(&program.delivery, instant(moment), &CancellationToken::new())
        .await
        .expect("the store works")
}

async fn status(app: &mut TestApp, json: bool) -> String {
    let program = app.build().await;
    admin::execute(&program, &Command::Status { json }).await.output
}

fn message_ids(mails: &[Mail]) -> BTreeSet<String> {
    mails.iter().map(|mail| mail.message_id.clone()).collect()
}

/// A port at which nobody listens.
fn dead_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    address.port().to_string()
}

/// CASES 106.
#[tokio::test]
async fn one_bad_address_stops_nobody_else() {
    let mut app = they_read(&["a.good@example.net", "b.bad@example.net", "c.good@example.net"]).await;
    let ids = app.announce("2026-02-09", graphs(2));
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, "b.bad@example.net", say("550 5.1.1 No such user")));
    let report = app.run_on("2026-02-10").await;
    assert_eq!((report.accepted, report.failed, report.retrying), (2, 1, 0));
    assert!(!report.is_complete());
    assert_eq!(app.papers_of("a.good@example.net"), ids);
    assert_eq!(app.papers_of("c.good@example.net"), ids);
    let outcome = app
        .outbox()
        .await
        .into_iter()
        .find(|entry| entry.digest.address == "b.bad@example.net")
        .and_then(|entry| {
            entry
                .attempts
                .last()
                .map(|attempt| delivery::in_words(&attempt.outcome))
        })
        .expect("an attempt was made");
    assert!(outcome.contains("550 5.1.1 No such user"), "{outcome}");
}

/// CASES 107.
#[tokio::test]
async fn a_relay_that_is_down_for_minutes_costs_no_day() {
    let (mut app, ids) = ana_has_two_papers().await;
    let dead = dead_port();
    app.reconfigure(|setup| setup.mail("port", &dead));
    let report = app.run_on("2026-02-10T08:00:00Z").await;
    assert_eq!((report.accepted, report.retrying), (0, 1));
    let port = app.smtp.port.to_string();
    app.reconfigure(|setup| setup.mail("port", &port));
    assert_eq!(
        pump(&mut app, "2026-02-10T08:00:10Z").await.accepted,
        0,
        "it waits first"
    );
    assert_eq!(pump(&mut app, "2026-02-10T08:10:00Z").await.accepted, 1);
    assert_eq!(
        app.new_papers_of(ANA),
        sorted(ids).into_iter().rev().collect::<Vec<_>>()
    );
    assert_eq!(
        pump(&mut app, "2026-02-10T12:00:00Z").await,
        delivery::Delivered::default()
    );
}

/// CASES 107.
#[tokio::test]
async fn after_a_whole_day_without_relay_one_mail_holds_both_days() {
    let (mut app, mut ids) = ana_has_two_papers().await;
    let dead = dead_port();
    app.reconfigure(|setup| setup.mail("port", &dead));
    app.run_on("2026-02-10").await;
    for hour in 8..24 {
        pump(&mut app, &format!("2026-02-10T{hour:02}:00:00Z")).await;
    }
    let port = app.smtp.port.to_string();
    app.reconfigure(|setup| setup.mail("port", &port));
    ids.extend(app.announce("2026-02-10", graphs(2)));
    assert!(app.run_on("2026-02-11").await.is_complete());
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(sorted(mails[0].papers()), ids);
}

/// CASES 108.
#[tokio::test]
async fn a_lost_250_is_resent_under_the_same_message_id() {
    let (mut app, ids) = ana_has_two_papers().await;
    app.smtp
        .behaves(Script::default().fault_times(At::Dot, 1, Act::KeepAndClose));
    let report = app.run_on("2026-02-10").await;
    assert!(report.is_complete(), "{report:?}");
    let mails = app.new_mails();
    let [first, second] = &mails[..] else {
        panic!("one extra copy, not {}", mails.len())
    };
    assert_eq!(first.message_id, second.message_id);
    assert_eq!(
        first.bytes, second.bytes,
        "a receiver can tell that it is the same mail"
    );
    assert_eq!(sorted(first.papers()), ids);
    let new = app.announce("2026-02-10", graphs(1));
    app.run_on("2026-02-11").await;
    assert_eq!(app.new_papers_of(ANA), new);
}

/// The same in another process on another day.
#[tokio::test]
async fn a_resent_mail_is_the_same_byte_for_byte_a_day_later() {
    let (mut app, ids) = ana_has_two_papers().await;
    app.smtp
        .behaves(Script::default().fault_times(At::Dot, 2, Act::KeepAndClose));
    assert_eq!(app.run_on("2026-02-10").await.unconfirmed, 1);
    app.end_process();
    let new = app.announce("2026-02-10", graphs(1));
    assert!(app.run_on("2026-02-11").await.is_complete());
    let mails = app.new_mails();
    let (old, fresh): (Vec<Mail>, Vec<Mail>) = mails.into_iter().partition(|mail| sorted(mail.papers()) == ids);
    assert_eq!(old.len(), 3);
    assert!(old.iter().all(|mail| mail.bytes == old[0].bytes));
    assert_eq!(fresh.iter().flat_map(Mail::papers).collect::<Vec<_>>(), new);
}

/// CASES 108. Never a loop: after the third time the operator decides, and `status` shows it.
#[tokio::test]
async fn three_unconfirmed_attempts_are_held_and_shown() {
    let (mut app, _) = ana_has_two_papers().await;
    app.smtp.behaves(Script::default().fault(At::Dot, Act::KeepAndClose));
    for day in ["2026-02-10", "2026-02-11", "2026-02-12", "2026-02-13"] {
        assert_eq!(app.run_on(day).await.unconfirmed, 1, "{day}");
    }
    assert_eq!(app.n_held().await, 1);
    let mails = app.new_mails();
    assert_eq!(mails.len(), 3);
    assert_eq!(message_ids(&mails).len(), 1);
    let words = status(&mut app, false).await;
    assert!(
        words.contains("digest ana@example.net#1 is held after 3 attempts"),
        "{words}"
    );
    let shown: serde_json::Value = serde_json::from_str(&status(&mut app, true).await).expect("it is JSON");
    assert_eq!(shown["well"], false);
    assert_eq!(shown["outbox"]["held"], 1);
    assert_eq!(shown["on_their_way"][0]["state"], "held");
    // Its papers stay with it, and later ones are not held up.
    app.smtp.behaves(Script::default());
    let new = app.announce("2026-02-15", graphs(1));
    app.run_on("2026-02-16").await;
    assert_eq!(app.new_papers_of(ANA), new);
}

/// CASES 108. Held at once where the operator prefers a gap to a second copy.
#[tokio::test]
async fn an_unconfirmed_mail_is_sent_once_where_it_is_to_be_held() {
    let (mut app, _) = ana_has_two_papers().await;
    app.reconfigure(|setup| setup.mail("unconfirmed", "\"hold\""));
    app.smtp.behaves(Script::default().fault(At::Dot, Act::KeepAndClose));
    for day in ["2026-02-10", "2026-02-11", "2026-02-12"] {
        app.run_on(day).await;
    }
    assert_eq!(app.new_mails().len(), 1);
    assert_eq!(app.n_held().await, 1);
}

/// CASES 109.
#[tokio::test]
async fn greylisting_delays_only_whom_it_greylists() {
    let mut app = they_read(&[ANA, BO, CY]).await;
    let ids = app.announce("2026-02-09", graphs(2));
    let greylisted =
        || Script::default().fault_for(At::Rcpt, BO, say("451 4.7.1 Greylisted, try again in 300 seconds"));
    app.smtp.behaves(greylisted());
    let report = app.run_on("2026-02-10T08:00:00Z").await;
    assert_eq!((report.accepted, report.retrying, report.failed), (2, 1, 0));
    assert_eq!((app.papers_of(ANA), app.papers_of(CY)), (ids.clone(), ids.clone()));
    for minute in 1..5 {
        pump(&mut app, &format!("2026-02-10T08:{minute:02}:00Z")).await;
    }
    assert_eq!(app.papers_of(BO), Vec::<String>::new());
    app.smtp.behaves(Script::default());
    for minute in 5..30 {
        pump(&mut app, &format!("2026-02-10T08:{minute:02}:00Z")).await;
    }
    assert_eq!(app.papers_of(BO), ids);
    assert_eq!(app.mails().len(), 3);
    assert_eq!(suppressions(&mut app).await, []);
}

/// Twenty subscribers of whom a relay takes `n_taken`, and refuses the others so.
async fn throttled(n_taken: usize, at: At, refusal: &str) -> (TestApp, Vec<String>, Vec<String>) {
    let people: Vec<String> = (0..20).map(|n| format!("reader{n:02}@example.net")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    let app = they_read(&names).await;
    let ids = app.announce("2026-02-09", graphs(1));
    let script = names[n_taken..].iter().fold(Script::default(), |script, person| {
        script.fault_for(at, person, say(refusal))
    });
    app.smtp.behaves(script);
    (app, people, ids)
}

/// CASES 110.
#[tokio::test]
async fn who_was_refused_by_a_rate_limit_gets_the_mail_later() {
    let (mut app, people, ids) = throttled(12, At::Rcpt, "450 4.7.0 Too many requests").await;
    let report = app.run_on("2026-02-10").await;
    assert_eq!(report.queued, 20);
    assert_eq!((report.accepted, report.retrying, report.failed), (12, 8, 0));
    assert!(!report.is_complete());
    app.smtp.behaves(Script::default());
    assert_eq!(pump(&mut app, "2026-02-10T09:00:00Z").await.accepted, 8);
    for person in &people {
        assert_eq!(app.papers_of(person), ids, "{person}");
    }
    assert_eq!(suppressions(&mut app).await, []);
}

/// CASES 110. The quota is ours, not the addressee's: everything waits, and nobody is struck off.
#[tokio::test]
async fn a_daily_limit_stops_the_pump_and_strikes_nobody_off() {
    let (mut app, people, ids) = throttled(12, At::Rcpt, "550 5.4.5 Daily sending quota exceeded").await;
    let report = app.run_on("2026-02-10").await;
    assert_eq!(report.queued, 20);
    assert_eq!((report.failed, report.accepted + report.retrying), (0, 20));
    assert!(
        app.smtp.commands("RCPT").len() < 20,
        "the pump stops at the first word of it"
    );
    let n_accepted = report.accepted;
    assert_eq!(app.mails().len(), n_accepted);
    assert_eq!(suppressions(&mut app).await, []);
    app.smtp.behaves(Script::default());
    assert!(app.run_on("2026-02-11").await.is_complete());
    for person in &people {
        assert_eq!(app.papers_of(person), ids, "{person}");
    }
}

/// CASES 110.
#[tokio::test]
async fn mails_keep_the_configured_pace() {
    let mut app = they_read(&[ANA, BO, CY]).await;
    app.reconfigure(|setup| setup.mail("messages_per_minute", "200").mail("connections", "2"));
    app.announce("2026-02-09", graphs(1));
    let began = std::time::Instant::now();
    assert_eq!(app.run_on("2026-02-10").await.accepted, 3);
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
}

/// CASES 111.
#[tokio::test]
async fn a_dead_mailbox_is_struck_off_on_the_second_day_and_not_tried_again() {
    let mut app = they_read(&[ANA, BO]).await;
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, BO, say("550 5.1.1 No such user")));
    let mut ids = Vec::new();
    let mut n_tries = Vec::new();
    for (evening, morning) in [
        ("2026-02-08", "2026-02-09"),
        ("2026-02-09", "2026-02-10"),
        ("2026-02-10", "2026-02-11"),
        ("2026-02-11", "2026-02-12"),
        ("2026-02-12", "2026-02-13"),
    ] {
        ids.extend(app.announce(evening, graphs(2)));
        app.run_on(morning).await;
        let tries = app.smtp.commands("RCPT");
        n_tries.push(tries.iter().filter(|line| line.contains(BO)).count());
        assert_eq!(
            suppressions(&mut app).await.len(),
            usize::from(n_tries.len() >= 2),
            "{morning}"
        );
    }
    assert_eq!(
        n_tries,
        [1, 2, 2, 2, 2],
        "once in each digest, and no more after the second day"
    );
    assert_eq!(app.papers_of(ANA), ids);
    let suppressed = suppressions(&mut app).await;
    assert_eq!(suppressed[0].address, BO);
    assert!(
        suppressed[0].evidence.contains("550 5.1.1 No such user"),
        "{suppressed:?}"
    );
    assert!(status(&mut app, false).await.contains(BO));
    // What came meanwhile waits, and comes when the address counts again.
    app.smtp.behaves(Script::default());
    let store = app.store().await;
    let mut document = store
        .document(DocumentKind::Suppression, &roster::suppression_key(BO))
        .await
        .expect("the store reads");
    document.value.value = None;
    let batch = Batch {
        documents: vec![document],
        ..Batch::default()
    };
    store.commit(batch).await.expect("the store writes");
    assert!(app.run_on("2026-02-14").await.is_complete());
    assert_eq!(app.papers_of(BO), ids);
}

/// CASES 111. Two refusals on one day are one piece of evidence.
#[tokio::test]
async fn refusals_on_one_day_strike_nobody_off() {
    let (mut app, ids) = ana_has_two_papers().await;
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, ANA, say("550 5.1.1 No such user")));
    for hour in ["07", "08", "09"] {
        app.run_on(&format!("2026-02-10T{hour}:00:00Z")).await;
    }
    assert_eq!(suppressions(&mut app).await, []);
    app.smtp.behaves(Script::default());
    assert!(app.run_on("2026-02-11").await.is_complete());
    assert_eq!(app.papers_of(ANA), ids);
}

const FIVE: [&str; 5] = [
    "a@example.net",
    "b@example.net",
    "c@example.net",
    "d@example.net",
    "e@example.net",
];

/// Waits until the relay has taken `n` messages.
async fn taken(app: &TestApp, n: usize) {
    while app.smtp.accepted().len() < n {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// CASES 112. The process is told to stop: the mail in hand is brought to its end.
#[tokio::test]
async fn a_stop_after_the_third_of_five_loses_and_repeats_nothing() {
    let mut app = they_read(&FIVE).await;
    let ids = app.announce("2026-02-09", graphs(2));
    let slow = Act::Trickle(b"250 2.1.5 ok\r\n".to_vec(), Duration::from_millis(30));
    app.smtp.behaves(Script::default().fault(At::Rcpt, slow));
    app.it_is("2026-02-10");
    let program = app.build().await;
    let stop = CancellationToken::new();
    let (report, ()) = tokio::join!(admin::run_everyone(&program, &stop), async {
        taken(&app, 3).await;
        stop.cancel();
    });
    let report = report.expect("the store works");
    assert!(!report.is_complete());
    assert!((3..5).contains(&report.accepted), "{report:?}");
    assert_eq!(app.mails().len(), report.accepted);
    drop(program);
    app.end_process();
    app.smtp.behaves(Script::default());
    assert!(app.run_on("2026-02-10T07:05:00Z").await.is_complete());
    app.run_on("2026-02-11").await;
    for person in FIVE {
        assert_eq!(app.papers_of(person), ids, "{person}");
    }
}

/// CASES 112. The process is killed while the fourth dialogue stands open.
#[tokio::test]
async fn a_kill_after_the_third_of_five_loses_and_repeats_nothing() {
    let mut app = they_read(&FIVE).await;
    let ids = app.announce("2026-02-09", graphs(2));
    app.smtp
        .behaves(Script::default().messages_per_connection(3, Act::Hang));
    app.it_is("2026-02-10");
    let program = app.build().await;
    let stop = CancellationToken::new();
    let killed = async {
        taken(&app, 3).await;
        while app.smtp.commands("MAIL").len() < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        report = admin::run_everyone(&program, &stop) => panic!("the fourth hangs: {report:?}"),
        () = killed => {}
    }
    drop(program);
    app.end_process();
    assert_eq!(app.mails().len(), 3);
    app.smtp.behaves(Script::default());
    for moment in ["2026-02-10T07:05:00Z", "2026-02-10T08:00:00Z", "2026-02-11"] {
        app.run_on(moment).await;
    }
    for person in FIVE {
        assert_eq!(app.papers_of(person), ids, "{person}");
    }
}

/// CASES 113.
#[tokio::test]
async fn a_removed_subscriber_gets_nothing_more_not_even_what_was_on_its_way() {
    let mut app = they_read(&[ANA, BO]).await;
    let ids = app.announce("2026-02-09", graphs(2));
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, BO, say("451 4.7.1 later")));
    assert_eq!(app.run_on("2026-02-10").await.retrying, 1);
    app.smtp.behaves(Script::default());
    app.reconfigure(|setup| setup.without(BO));
    let new = app.announce("2026-02-10", graphs(2));
    assert!(app.run_on("2026-02-11").await.is_complete());
    app.run_on("2026-02-12").await;
    assert_eq!(app.papers_of(ANA), [ids, new].concat());
    assert_eq!(app.papers_of(BO), Vec::<String>::new());
    let states: Vec<EntryState> = app.outbox().await.into_iter().map(|entry| entry.state).collect();
    assert!(
        states
            .iter()
            .all(|state| matches!(state, EntryState::Accepted { .. } | EntryState::Ended { .. })),
        "{states:?}"
    );
}

/// Papers with long abstracts: a digest of twenty is larger than 80,000 bytes, one of ten is not.
fn wordy(n: usize) -> Vec<Paper> {
    let text = "Sentences that say little but go on for long. ".repeat(30);
    graphs(n).into_iter().map(|paper| paper.summary(&text)).collect()
}

/// Every paper once, in two mails, and no trouble the day after.
async fn comes_in_two_halves(mut app: TestApp, ids: Vec<String>) {
    app.run_on("2026-02-10").await;
    let mails: Vec<Mail> = app.new_mails().into_iter().filter(|mail| mail.to == ANA).collect();
    assert_eq!(
        mails.iter().map(|mail| mail.papers().len()).collect::<Vec<_>>(),
        [10, 10]
    );
    assert_eq!(message_ids(&mails).len(), 2);
    assert_eq!(app.papers_of(ANA), ids);
    assert_eq!(app.papers_of(BO).len(), 1, "others are not touched");
    let new = app.announce("2026-02-10", graphs(1));
    assert!(app.run_on("2026-02-11").await.is_complete());
    assert_eq!(app.new_papers_of(ANA), new);
}

async fn ana_has_twenty_papers() -> (TestApp, Vec<String>) {
    let app = Setup::new()
        .subscriber(ANA, &[GNN])
        .subscriber(BO, &["short subject"])
        .start()
        .await;
    let ids = app.announce("2026-02-09", wordy(20));
    app.announce("2026-02-09", [paper("A short subject")]);
    (app, ids)
}

/// CASES 65.
#[tokio::test]
async fn a_mail_that_is_refused_for_its_size_comes_in_two_smaller_ones() {
    let (mut app, ids) = ana_has_twenty_papers().await;
    // Ana's mail is the first: her address sorts first and mails go one by one.
    app.reconfigure(|setup| setup.mail("connections", "1"));
    let refusal = say("552 5.3.4 Message size exceeds fixed limit");
    app.smtp.behaves(Script::default().fault_times(At::Dot, 1, refusal));
    comes_in_two_halves(app, ids).await;
}

/// CASES 65. The limit is known beforehand: nothing too large is even offered.
#[tokio::test]
async fn a_mail_above_the_announced_size_comes_in_two_smaller_ones() {
    let (app, ids) = ana_has_twenty_papers().await;
    app.smtp
        .behaves(Script::default().extensions(&["SIZE 80000", "8BITMIME"]));
    comes_in_two_halves(app, ids).await;
}

/// CASES 85.
#[tokio::test]
async fn nobody_sees_another_address() {
    let people = [ANA, BO, CY];
    let mut app = they_read(&people).await;
    app.announce("2026-02-09", graphs(2));
    app.run_on("2026-02-10").await;
    let accepted = app.smtp.accepted();
    assert_eq!(accepted.len(), 3);
    for message in &accepted {
        let text = String::from_utf8_lossy(&message.bytes).into_owned();
        let mail = Mail::read(message);
        let fields = |name: &str| {
            let lines = mail.head();
            lines
                .lines()
                .filter(|line| line.to_ascii_lowercase().starts_with(name))
                .count()
        };
        assert_eq!(
            (fields("to:"), fields("cc:"), fields("bcc:")),
            (1, 0, 0),
            "{}",
            mail.head()
        );
        for other in people.iter().filter(|person| **person != message.recipient) {
            for part in [&text, &mail.text, &mail.html] {
                assert!(!part.contains(other), "{other} in the mail to {}", message.recipient);
            }
        }
    }
    assert_eq!(app.smtp.commands("RCPT").len(), 3);
}

/// CASES 77.
#[tokio::test]
async fn without_news_there_is_no_mail() {
    let (mut app, ids) = ana_has_two_papers().await;
    app.reconfigure(|setup| setup.digest("empty", "\"skip\""));
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_papers_of(ANA).len(), ids.len());
    for day in 11..=25 {
        assert!(app.run_on(&format!("2026-02-{day}")).await.is_complete());
        assert_eq!(app.new_mails(), []);
    }
}

/// CASES 77. By default one line a week says that the service is alive, under another subject.
#[tokio::test]
async fn a_silent_week_ends_with_one_line() {
    let (mut app, ids) = ana_has_two_papers().await;
    app.run_on("2026-02-10").await;
    let first = app.new_mails();
    assert_eq!(sorted(first[0].papers()), ids);
    for day in 11..=16 {
        app.run_on(&format!("2026-02-{day}")).await;
        assert_eq!(app.new_mails(), [], "{day}");
    }
    app.run_on("2026-02-17").await;
    let quiet = app.new_mails();
    assert_eq!(quiet.len(), 1);
    assert!(quiet[0].subject.starts_with("No new papers"), "{}", quiet[0].subject);
    assert_eq!(quiet[0].papers(), Vec::<String>::new());
    assert_ne!(quiet[0].message_id, first[0].message_id);
}

/// CASES 111. What waits for a suppressed address is bounded in time.
#[tokio::test]
async fn papers_for_a_suppressed_address_wait_two_weeks_and_end_as_undeliverable() {
    let mut app = Setup::new().subscriber(BO, &["graph neural network"]).start().await;
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, BO, say("550 5.1.1 No such user")));
    let ids = app.announce("2026-01-19", [paper("A graph neural network for molecules")]);
    for morning in ["2026-01-20", "2026-01-21"] {
        app.run_on(morning).await;
    }
    app.run_on("2026-02-02").await;
    assert_eq!(app.state_of(BO).await.pending.len(), 1);
    app.run_on("2026-02-05").await;
    let state = app.state_of(BO).await;
    assert_eq!(state.pending.len(), 0);
    let settled: Vec<String> = state.settled.keys().map(ToString::to_string).collect();
    assert_eq!(settled, ids);
}
