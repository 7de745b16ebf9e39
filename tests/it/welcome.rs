//! The mail that welcomes a newcomer: once, and only where it is wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use paperround::admin::{self, Command, PreviewFormat};

use crate::harness::{
    app::{Mail, Setup},
    papers::paper,
    program,
    smtp::{At, Script, say},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const GNN: &str = "graph neural network";

fn welcoming() -> Setup {
    Setup::new().digest("welcome", "true").subscriber(ANA, &[GNN])
}

#[tokio::test]
async fn a_newcomers_first_digest_welcomes_and_no_later_one_does() {
    let mut app = welcoming().start().await;
    let first = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].subject.starts_with("Welcome to "), "{}", mails[0].subject);
    assert_eq!(mails[0].papers(), first);
    for words in [
        "You are subscribed to: graph neural network.",
        "How to stop,",
        "Stop for good",
    ] {
        let text = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let second = app.announce("2026-02-10", [paper("A graph neural network for proteins")]);
    app.run_on("2026-02-11").await;
    let mails = app.new_mails();
    assert_eq!((mails.len(), mails[0].papers()), (1, second));
    assert!(mails[0].subject.starts_with("1 new paper"), "{}", mails[0].subject);
}

#[tokio::test]
async fn a_welcome_comes_without_a_paper_too_and_only_where_it_is_set() {
    let mut app = Setup::new().subscriber(ANA, &[GNN]).start().await;
    app.announce("2026-02-09", [paper("On speech")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_mails(), []);
    app.reconfigure(|setup| setup.digest("welcome", "true").subscriber(BO, &[GNN]));
    app.run_on("2026-02-11").await;
    let to: BTreeSet<String> = app.new_mails().into_iter().map(|mail| mail.to).collect();
    // Ana has had no digest either, so she is as new as Bo.
    assert_eq!(to, BTreeSet::from([ANA.to_owned(), BO.to_owned()]));
    app.run_on("2026-02-12").await;
    assert_eq!(app.new_mails(), []);
}

#[tokio::test]
async fn who_has_had_digests_is_not_welcomed_later() {
    let mut app = Setup::new().subscriber(ANA, &[GNN]).start().await;
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_mails().len(), 1);
    app.reconfigure(|setup| setup.digest("welcome", "true"));
    app.announce("2026-02-10", [paper("A graph neural network for proteins")]);
    app.run_on("2026-02-11").await;
    let subjects: Vec<String> = app.new_mails().into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["1 new paper: graph neural network"]);
}

#[tokio::test]
async fn a_welcome_that_was_refused_for_the_moment_comes_with_the_next_slot() {
    let mut app = welcoming().start().await;
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, ANA, say("451 4.3.0 Try again later")));
    let mut ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_mails(), []);
    app.smtp.behaves(Script::default());
    ids.extend(app.announce("2026-02-10", [paper("A graph neural network for proteins")]));
    app.run_on("2026-02-11").await;
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].subject.starts_with("Welcome to "), "{}", mails[0].subject);
    let papers: BTreeSet<String> = mails[0].papers().into_iter().collect();
    assert_eq!(papers, ids.into_iter().collect());
}

/// How often the program is killed while it welcomes.
const N_KILLS: u64 = 12;

#[tokio::test]
async fn kill_9_welcomes_nobody_twice() {
    let app = welcoming().subscriber(BO, &[GNN]).start().await;
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.it_is("2026-02-10");
    let now = "2026-02-10T07:00:00Z";
    for n in 0..N_KILLS {
        let victim = program::Serving::start(&app.config_path(), &["run", "--now", now]);
        tokio::time::sleep(Duration::from_millis(5 + 11 * n)).await;
        victim.kill().await;
    }
    let ended = program::run(&app.config_path(), &["run", "--now", now]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let mut welcomes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mail in app.smtp.accepted().iter().map(Mail::read) {
        assert!(mail.subject.starts_with("Welcome to "), "{}", mail.subject);
        welcomes.entry(mail.to).or_default().insert(mail.message_id);
    }
    let n_each: Vec<(&str, usize)> = welcomes.iter().map(|(who, ids)| (who.as_str(), ids.len())).collect();
    assert_eq!(n_each, [(ANA, 1), (BO, 1)]);
}

#[tokio::test]
async fn a_welcome_can_be_looked_at_before_anybody_is_welcomed() {
    let mut app = Setup::new().subscriber(ANA, &[GNN]).start().await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    let built = app.build().await;
    let preview = |welcome, days| Command::Preview {
        subscriber: None,
        format: PreviewFormat::Text,
        days,
        welcome,
    };
    let shown = admin::execute(&built, &preview(true, Some(7))).await.output;
    assert!(shown.contains("\nWelcome\n") && shown.contains(&ids[0]), "{shown}");
    let shown = admin::execute(&built, &preview(false, Some(7))).await.output;
    assert!(shown.contains("\n1 new paper\n") && shown.contains(&ids[0]), "{shown}");
}
