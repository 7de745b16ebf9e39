//! What single recipients do to a day's delivery: everyone is accounted for, and nobody spoils it for another.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use paperround::{
    admin::{self, Command},
    delivery,
    model::{Ending, EntryState},
    roster, run,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Setup, TestApp, sorted},
    papers::{instant, paper},
    smtp::{Act, At, Script, say},
};

const GNN: &str = "graph neural network";
/// Each is named after what its server does.
const PEOPLE: [&str; 9] = [
    "drop@example.net",
    "full@example.net",
    "gone@example.net",
    "grey@example.net",
    "ok1@example.net",
    "ok2@example.net",
    "shut@example.net",
    "slow@example.net",
    "spam@example.net",
];
const GOOD: [&str; 3] = ["ok1@example.net", "ok2@example.net", "slow@example.net"];
const PASSING: [&str; 3] = ["full@example.net", "grey@example.net", "shut@example.net"];

/// What does not pass.
fn lasting() -> Script {
    let slow = Act::Trickle(b"250 2.1.5 ok\r\n".to_vec(), Duration::from_millis(30));
    Script::default()
        .fault_for(At::Rcpt, "gone@example.net", say("550 5.1.1 No such user"))
        .fault_for(At::Dot, "spam@example.net", say("554 5.7.1 Message refused as spam"))
        .fault_for(At::Dot, "drop@example.net", Act::KeepAndClose)
        .fault_for(At::Rcpt, "slow@example.net", slow)
}

/// And what does.
fn all_of_it() -> Script {
    let shut = Act::SayAndClose(b"421 4.3.2 shutting down\r\n".to_vec());
    lasting()
        .fault_for(
            At::Rcpt,
            "grey@example.net",
            say("451 4.7.1 Greylisted, try again in 300 seconds"),
        )
        .fault_for(At::Rcpt, "full@example.net", say("452 4.2.2 Mailbox full"))
        .fault_for(At::Rcpt, "shut@example.net", shut)
}

async fn everyone(setup: Setup) -> TestApp {
    let setup = PEOPLE.iter().fold(setup, |setup, who| setup.subscriber(who, &[GNN]));
    setup.start().await
}

/// How often each recipient was named to the relay.
fn n_offered(app: &TestApp, who: &str) -> usize {
    app.smtp
        .commands("RCPT")
        .iter()
        .filter(|line| line.contains(who))
        .count()
}

async fn status(app: &mut TestApp) -> serde_json::Value {
    let program = app.build().await;
    let reply = admin::execute(&program, &Command::Status { json: true }).await;
    serde_json::from_str(&reply.output).expect("it is JSON")
}

/// Whether `status` names a subscriber's latest digest as one that was missed, with these words.
async fn is_missed(app: &mut TestApp, who: &str, words: &str) -> bool {
    let status = status(app).await;
    let troubles = status["troubles"].as_array().expect("it is a list");
    let told = troubles.iter().filter_map(|trouble| trouble.as_str());
    let is_told = told
        .into_iter()
        .any(|trouble| trouble.contains(who) && trouble.contains(words));
    assert!(!is_told || status["well"] == false, "{status:#}");
    is_told
}

/// The state in which `status` shows each recipient: accepted, on the way with the last word, or ended with it.
async fn accounted(app: &mut TestApp) -> BTreeMap<String, String> {
    let status = status(app).await;
    let mut shown = BTreeMap::new();
    for list in ["on_their_way", "not_delivered"] {
        for entry in status[list].as_array().expect("it is a list") {
            let digest = entry["digest"].as_str().expect("it is named");
            let who = digest.split('#').next().expect("it has an owner").to_owned();
            let words = format!("{}: {}", entry["state"], entry["last_outcome"]);
            assert!(shown.insert(who, words).is_none(), "{digest} is shown twice");
        }
    }
    let n_accepted = status["outbox"]["accepted"].as_u64().expect("it is a number");
    let n_shown = u64::try_from(shown.len()).expect("they are few");
    assert_eq!(n_accepted + n_shown, 9, "{status:#}");
    shown
}

async fn suppressed(app: &mut TestApp) -> Vec<String> {
    let store = app.store().await;
    let all = roster::suppressions(&*store).await.expect("the store reads");
    all.into_keys().collect()
}

/// CASES 106, 109, 111 and 140 together, over two days.
#[tokio::test]
async fn every_recipient_is_accounted_for_whatever_becomes_of_their_mail() {
    let mut app = everyone(Setup::new()).await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.smtp.behaves(all_of_it());
    let report = app.run_on("2026-02-10T08:00:00Z").await;
    assert_eq!(report.accepted, GOOD.len(), "{report:?}");
    for who in GOOD {
        assert_eq!(app.papers_of(who), ids, "{who}");
    }
    assert_eq!(n_offered(&app, "gone@example.net"), 1, "never twice in one digest");
    let shown = accounted(&mut app).await;
    for (who, state, words) in [
        ("drop@example.net", "due", "unconfirmed"),
        ("full@example.net", "due", "452 4.2.2"),
        ("gone@example.net", "ended", "550 5.1.1"),
        ("grey@example.net", "due", "451 4.7.1"),
        ("shut@example.net", "due", "421 4.3.2"),
        ("spam@example.net", "ended", "554 5.7.1"),
    ] {
        let found = &shown[who];
        assert!(found.contains(state) && found.contains(words), "{who}: {found}");
    }
    assert!(is_missed(&mut app, "gone@example.net#1", "its papers wait for the next").await);
    assert!(is_missed(&mut app, "spam@example.net#1", "given up with its papers").await);

    // The servers are in order again; dead mailboxes, spam filters and lost replies are not.
    app.smtp.behaves(lasting());
    let moment = "2026-02-10T10:00:00Z";
    app.it_is(moment);
    let program = app.build().await;
    let again = delivery::deliver(&program.delivery, instant(moment), &CancellationToken::new()).await;
    assert_eq!(again.expect("the store works").accepted, PASSING.len());
    drop(program);
    for who in [&GOOD[..], &PASSING[..]].concat() {
        assert_eq!(app.papers_of(who), ids, "{who} has each paper exactly once");
    }
    assert_eq!(n_offered(&app, "gone@example.net"), 1);
    assert_eq!(
        suppressed(&mut app).await,
        Vec::<String>::new(),
        "one day is no evidence"
    );
    let shown = accounted(&mut app).await;
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown["drop@example.net"].contains("held"), "{shown:?}");
    let copies: Vec<Vec<u8>> = app
        .smtp
        .accepted()
        .into_iter()
        .filter(|message| message.recipient == "drop@example.net")
        .map(|message| message.bytes)
        .collect();
    assert_eq!(copies.len(), 3);
    assert!(copies.iter().all(|copy| *copy == copies[0]), "the same mail each time");

    // The next day: a new digest for all, and the dead mailbox is struck off, but nobody else.
    let new = app.announce("2026-02-10", [paper("A graph neural network for roads")]);
    app.run_on("2026-02-11T08:00:00Z").await;
    for who in [&GOOD[..], &PASSING[..]].concat() {
        assert_eq!(app.papers_of(who), [ids.clone(), new.clone()].concat(), "{who}");
    }
    assert_eq!(n_offered(&app, "gone@example.net"), 2, "once in each digest");
    assert_eq!(suppressed(&mut app).await, ["gone@example.net"]);
    assert!(
        !is_missed(&mut app, "gone@example.net", "").await,
        "who is struck off misses nothing"
    );
    assert!(is_missed(&mut app, "spam@example.net#2", "given up with its papers").await);
    app.smtp.behaves(Script::default());
    app.announce("2026-02-11", [paper("A graph neural network for proteins")]);
    app.run_on("2026-02-12T08:00:00Z").await;
    assert!(
        !is_missed(&mut app, "spam@example.net", "").await,
        "the next was accepted"
    );
}

/// A refused login says nothing of recipients: all wait, nobody is struck off, and all of it shows.
#[tokio::test]
async fn a_refused_login_strikes_nobody_off_and_shows_for_every_recipient() {
    let login = |setup: Setup| setup.mail("username", "\"papers\"").mail("password", "\"wrong\"");
    let mut app = everyone(login(Setup::new())).await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    let closed = Script::default().extensions(&["AUTH PLAIN"]).account("papers", "right");
    app.smtp.behaves(closed);
    for day in ["2026-02-10", "2026-02-11", "2026-02-12"] {
        let report = app.run_on(day).await;
        assert_eq!((report.accepted, report.failed), (0, 0), "{day}");
    }
    assert_eq!(suppressed(&mut app).await, Vec::<String>::new());
    let found = status(&mut app).await;
    assert_eq!(found["outbox"]["due"], 9, "{found:#}");
    let words = found["troubles"].to_string();
    assert!(words.contains("535 5.7.8"), "{words}");
    app.reconfigure(|setup| setup.mail("password", "\"right\""));
    assert!(app.run_on("2026-02-13").await.is_complete());
    for who in PEOPLE {
        assert_eq!(app.papers_of(who), ids, "{who}");
    }
}

/// CASES 113. When somebody is removed, what was surely not sent is cancelled at once and its papers wait for their
/// return; what may have been sent ends and its papers come in no other mail; what is held stays for the operator.
#[tokio::test]
async fn what_is_due_to_a_removed_subscriber_is_cancelled_at_once() {
    const REMOVED: [&str; 3] = ["drop@example.net", "full@example.net", "held@example.net"];
    let setup = REMOVED
        .iter()
        .fold(Setup::new(), |setup, who| setup.subscriber(who, &[GNN]));
    let mut app = setup.subscriber("ok1@example.net", &[GNN]).start().await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    let script = || {
        Script::default()
            .fault_for(At::Rcpt, "full@example.net", say("452 4.2.2 Mailbox full"))
            .fault_for(At::Dot, "drop@example.net", Act::KeepAndClose)
            .fault_for(At::Dot, "held@example.net", Act::KeepAndClose)
    };
    app.smtp.behaves(script());
    app.run_on("2026-02-10T08:00:00Z").await;
    // One of the two that may have arrived is tried until the operator has to decide.
    let store = app.store().await;
    let id = "drop@example.net#1".parse().expect("it is a digest");
    let mut waits = store.entry(&id).await.expect("the store reads").expect("it is there");
    waits.value.next_attempt = instant("2026-02-10T20:00:00Z");
    let batch = paperround::store::Batch {
        entries: vec![waits],
        ..Default::default()
    };
    store.commit(batch).await.expect("the store writes");
    let moment = "2026-02-10T10:00:00Z";
    app.it_is(moment);
    let program = app.build().await;
    delivery::deliver(&program.delivery, instant(moment), &CancellationToken::new())
        .await
        .expect("the store works");
    drop(program);
    assert_eq!(app.n_held().await, 1);

    // What a reload does.
    app.smtp.behaves(Script::default());
    app.reconfigure(|setup| REMOVED.iter().fold(setup, |setup, who| setup.without(who)));
    let n_mails = app.mails().len();
    let program = app.build().await;
    run::synchronise(&program.run, &program.roster, instant(moment))
        .await
        .expect("the store works");
    let n_cancelled = delivery::cancel_unwanted(&program.delivery, DateTime::<Utc>::MIN_UTC).await;
    assert_eq!(n_cancelled.expect("the store works"), 2);
    drop(program);
    let states: BTreeMap<String, EntryState> = app
        .outbox()
        .await
        .into_iter()
        .map(|entry| (entry.digest.address, entry.state))
        .collect();
    for who in &REMOVED[..2] {
        let cancelled = |how: &Ending| *how == Ending::Cancelled;
        assert!(
            matches!(&states[*who], EntryState::Ended { how, .. } if cancelled(how)),
            "{who}: {states:?}"
        );
    }
    assert_eq!(states["held@example.net"], EntryState::Held);
    let waiting = |state: &paperround::model::SubscriberState| sorted(state.pending.keys().map(ToString::to_string));
    assert_eq!(waiting(&app.state_of("full@example.net").await), ids);
    let may_have = app.state_of("drop@example.net").await;
    assert_eq!((may_have.pending.len(), may_have.settled.len()), (0, 1));
    assert_eq!(app.state_of("held@example.net").await.queued.len(), 1);
    for day in ["2026-02-11", "2026-02-12"] {
        app.run_on(day).await;
    }
    assert_eq!(app.mails().len(), n_mails, "nothing more to anybody who is gone");
}

/// CASES 100. The relay ties the sender to the login: one attempt shows it, everything waits, and the hint names the keys.
#[tokio::test]
async fn a_sender_that_the_login_may_not_use_stops_the_batch_at_once() {
    let mut app = everyone(Setup::new().mail("connections", "1")).await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    let refusal = say("501 mail from address must be same as authorization user");
    app.smtp.behaves(Script::default().fault(At::Mail, refusal));
    let moment = "2026-02-10T08:00:00Z";
    let report = app.run_on(moment).await;
    assert_eq!((report.accepted, report.failed), (0, 0));
    // The run gives what failed for a passing reason one more chance.
    assert_eq!(app.smtp.commands("MAIL").len(), 2, "not once per subscriber");
    assert_eq!(suppressed(&mut app).await, Vec::<String>::new());
    let words = status(&mut app).await["troubles"].to_string();
    for named in ["501 mail from address", "mail.from", "mail.username"] {
        assert!(words.contains(named), "{named} is not in {words}");
    }
    app.smtp.behaves(Script::default());
    assert!(app.run_on("2026-02-11").await.is_complete());
    for who in PEOPLE {
        assert_eq!(app.papers_of(who), ids, "{who}");
    }
}
