//! The checks that need the whole program: leaving where there is no address on the web, and what a relay may do.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use paperround::{
    admin::{self, Command},
    delivery, roster,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Mail, Setup, TestApp},
    papers::{Paper, instant, paper},
    smtp::{Act, At, Script, say},
};

const GNN: &str = "graph neural network";

fn papers(evening: &str) -> Vec<Paper> {
    (1..=2)
        .map(|n| paper(&format!("A graph neural network, part {n} of {evening}")))
        .collect()
}

async fn n_suppressed(app: &mut TestApp) -> usize {
    let store = app.store().await;
    roster::suppressions(&*store).await.unwrap().len()
}

async fn pump(app: &mut TestApp, moment: &str) {
    app.it_is(moment);
    let program = app.build().await;
    delivery::deliver(&program.delivery, instant(moment), &CancellationToken::new())
        .await
        .unwrap();
}

/// With `web.public_url`, `web_cases` has the same by one click.
#[tokio::test]
async fn check_08_who_left_by_mail_gets_nothing_more_although_the_file_still_names_them() {
    // The token stands in the address of a mailbox for this; where a person reads the requests, in the subject.
    leaves_by_mail(Setup::new().mail("unsubscribe_address", "\"leave@example.org\"")).await;
    leaves_by_mail(Setup::new()).await;
}

/// Bo stays, so that silence cannot pass for leaving.
async fn leaves_by_mail(setup: Setup) {
    let (ana, bo) = ("ana@example.net", "bo@example.net");
    let mut app = setup.subscriber(ana, &[GNN]).subscriber(bo, &[GNN]).start().await;
    app.announce("2026-02-09", papers("Monday"));
    app.run_on("2026-02-10").await;
    let first = app.new_mails();
    let head = first.iter().find(|mail| mail.to == ana).unwrap().head();
    let head = head.replace("\r\n ", " ");
    assert!(
        !head.contains("List-Unsubscribe-Post") && !head.contains("https"),
        "{head}"
    );
    let (_, way) = head.split_once("List-Unsubscribe: <mailto:").unwrap();
    let (to, subject) = way.split_once('>').unwrap().0.split_once("?subject=").unwrap();
    let subject = subject.replace("%20", " ");

    // What a mail program sends for it, as the pipe of an alias hands it over.
    let leave = |to: &str, subject: &str| {
        let mail = format!(
            "From: {ana}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Tue, 10 Feb 2026 08:00:00 +0000\r\n\
             Message-ID: <leave@example.net>\r\n\r\n"
        );
        Command::Bounce {
            mail: BASE64.encode(mail),
        }
    };
    let program = app.build().await;
    let bearing = if to.contains('+') { to } else { subject.as_str() };
    let token = bearing.rsplit(['+', ' ']).next().unwrap().split('@').next().unwrap();
    let forged = format!(
        "{}{}",
        &token[..token.len() - 2],
        if token.ends_with("aa") { "bb" } else { "aa" }
    );
    for other in ["", forged.as_str()] {
        let spoilt = [to, subject.as_str()].map(|text| text.replace(token, other));
        admin::execute(&program, &leave(&spoilt[0], &spoilt[1])).await;
        assert_eq!(
            n_suppressed(&mut app).await,
            0,
            "without its token a mail settles nothing"
        );
    }
    for _ in 0..2 {
        let told = admin::execute(&program, &leave(to, &subject)).await.output;
        assert_eq!(n_suppressed(&mut app).await, 1, "{told}");
    }
    app.announce("2026-02-10", papers("Tuesday"));
    app.run_on("2026-02-11").await;
    let receivers: Vec<String> = app.new_mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(receivers, [bo], "no farewell and no digest");
    let program = app.build().await;
    let status = admin::execute(&program, &Command::Status { json: false }).await.output;
    assert!(
        status.contains("ana@example.net  unsubscribed since 2026-02-10"),
        "{status}"
    );
}

/// The relay treats each recipient as the first word of the address says.
fn moody(is_over: bool) -> Script {
    let until_over = |script: Script, at, who: &str, act| {
        if is_over {
            script
        } else {
            script.fault_for(at, who, act)
        }
    };
    let script = Script::default()
        .fault_for(At::Rcpt, "gone@example.net", say("550 5.1.1 No such user"))
        .fault_for(At::Dot, "spam@example.net", say("554 5.7.1 Looks like spam"));
    let slowly = Act::Trickle(b"250 2.1.5 Ok\r\n".to_vec(), std::time::Duration::from_millis(20));
    let script = script.fault_for(At::Rcpt, "slow@example.net", slowly);
    let script = until_over(
        script,
        At::Rcpt,
        "grey@example.net",
        say("450 4.7.1 Greylisted, try again in 300 seconds"),
    );
    let script = until_over(script, At::Rcpt, "full@example.net", say("452 4.2.2 Mailbox full"));
    let script = until_over(script, At::Data, "shut@example.net", Act::Close);
    until_over(script, At::Dot, "drop@example.net", Act::KeepAndClose)
}

/// The kills are in `crash_cases` and, a hundred and more of them, in `tests/campaign`; what bounds a server that says
/// nothing is in `smtp`.
#[tokio::test]
async fn check_25_each_recipient_is_served_or_accounted_for_whatever_becomes_of_the_others() {
    const MOODS: [&str; 9] = ["drop", "full", "gone", "grey", "ok", "ok2", "shut", "slow", "spam"];
    let address = |mood: &str| format!("{mood}@example.net");
    let setup = MOODS.iter().fold(Setup::new().mail("connections", "1"), |setup, mood| {
        setup.subscriber(&address(mood), &[GNN])
    });
    let mut app = setup.start().await;
    let ids = app.announce("2026-02-09", papers("Monday"));

    // First the relay refuses us all: nobody's fault, so nobody is struck off, and nothing is lost.
    app.smtp
        .behaves(Script::default().fault(At::Mail, say("530 5.7.0 Authentication required")));
    app.run_on("2026-02-10T07:00:00Z").await;
    assert_eq!((app.mails().len(), n_suppressed(&mut app).await), (0, 0));

    app.smtp.behaves(moody(false));
    for minute in 0..40 {
        pump(&mut app, &format!("2026-02-10T08:{:02}:00Z", 20 + minute)).await;
    }
    // Nobody waited for another.
    for mood in ["ok", "ok2", "slow"] {
        assert_eq!(app.papers_of(&address(mood)), ids, "{mood}");
    }
    app.smtp.behaves(moody(true));
    for moment in ["10:30", "12:00", "14:00", "17:00", "20:00", "23:00"] {
        pump(&mut app, &format!("2026-02-10T{moment}:00Z")).await;
    }

    let mails = app.mails();
    let of = |mood: &str| -> Vec<&Mail> { mails.iter().filter(|mail| mail.to == address(mood)).collect() };
    for mood in ["ok", "ok2", "slow", "grey", "full", "shut"] {
        assert_eq!(
            (of(mood).len(), app.papers_of(&address(mood))),
            (1, ids.clone()),
            "{mood}"
        );
    }
    // Taken without an answer three times: the same mail each time, and then none before the operator has looked.
    let dropped = of("drop");
    assert_eq!(dropped.len(), 3);
    assert!(dropped.iter().all(|mail| mail.bytes == dropped[0].bytes));
    let asked = |mood: &str| {
        let rcpt = app.smtp.commands("RCPT");
        rcpt.iter().filter(|line| line.contains(&address(mood))).count()
    };
    assert_eq!(
        (asked("gone"), of("gone").len()),
        (1, 0),
        "not tried again within this digest"
    );
    assert_eq!(of("spam").len(), 0);
    assert_eq!(n_suppressed(&mut app).await, 0);

    // Every recipient is accounted for: accepted, or named with what the relay said.
    let program = app.build().await;
    let status = admin::execute(&program, &Command::Status { json: true }).await.output;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let outbox: BTreeMap<String, usize> = serde_json::from_value(status["outbox"].clone()).unwrap();
    let store = app.store().await;
    let entries = store.entries(&paperround::store::EntryFilter::default()).await.unwrap();
    assert_eq!(outbox.values().sum::<usize>(), entries.len(), "{outbox:?}");
    assert_eq!(outbox.get("held"), Some(&1), "{outbox:?}");
    let named: BTreeSet<String> = entries.iter().map(|entry| entry.value.digest.address.clone()).collect();
    assert_eq!(named, MOODS.iter().map(|mood| address(mood)).collect());
    for entry in &entries {
        let last = entry
            .value
            .attempts
            .last()
            .map(|attempt| delivery::in_words(&attempt.outcome));
        let last = last.unwrap_or_else(|| panic!("{} was never tried", entry.value.digest.address));
        let words = match entry.value.digest.address.as_str() {
            "drop@example.net" => "unconfirmed",
            "gone@example.net" => "550 5.1.1 No such user",
            "spam@example.net" => "554 5.7.1 Looks like spam",
            _ => "250",
        };
        assert!(last.contains(words), "{}: {last}", entry.value.digest.address);
    }
}
