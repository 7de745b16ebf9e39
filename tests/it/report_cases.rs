//! What the operator is told, outside the log.

use chrono::TimeDelta;
use paperround::{
    admin,
    app::Exit,
    clock::{Clock as _, SystemClock},
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Setup, TestApp},
    arxiv::{Answer, status},
    papers::paper,
};

const ANA: &str = "ana@example.net";
const OPS: &str = "ops@example.org";

/// One run as the command makes it: with its conclusion.
async fn run_on(app: &mut TestApp, moment: &str) {
    app.it_is(moment);
    let built = app.build().await;
    let report = admin::run_everyone(&built, &CancellationToken::new())
        .await
        .expect("the store works");
    admin::conclude(&built, report.is_complete())
        .await
        .expect("the store works");
}

fn told(app: &mut TestApp) -> Vec<String> {
    app.new_mails()
        .into_iter()
        .filter(|mail| mail.to == OPS)
        .map(|mail| mail.subject)
        .collect()
}

/// CASES 33, 141.
#[tokio::test]
async fn a_lasting_trouble_is_told_once_and_once_when_it_is_over() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .section(&format!("[report]\nto = [\"{OPS}\"]\nafter = \"48h\""))
        .start()
        .await;
    app.announce("2026-02-01", [paper("A graph neural network for molecules")]);
    run_on(&mut app, "2026-02-02").await;
    assert_eq!(told(&mut app), Vec::<String>::new());
    app.arxiv.answers(|asked| {
        if asked.is_search() {
            status(503)
        } else {
            Answer::Ordinary
        }
    });
    run_on(&mut app, "2026-02-03").await;
    assert_eq!(told(&mut app), Vec::<String>::new(), "a hiccup alarms nobody");
    run_on(&mut app, "2026-02-05").await;
    assert_eq!(told(&mut app), ["Paperround needs you: keyword graph neural network"]);
    run_on(&mut app, "2026-02-06").await;
    assert_eq!(told(&mut app), Vec::<String>::new());
    app.arxiv.is_well();
    run_on(&mut app, "2026-02-07").await;
    assert_eq!(told(&mut app), ["Paperround: well again"]);
}

/// Windows, the calendar and slots follow from the machine's clock, so one that is wrong is told wherever people look.
#[tokio::test]
async fn a_clock_that_is_wrong_is_told_and_an_answer_from_a_cache_is_no_sign_of_it() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .section(&format!("[report]\nto = [\"{OPS}\"]"))
        .start()
        .await;
    app.announce("2026-02-01", [paper("A graph neural network for molecules")]);
    let two_hours_ago = || {
        let at = SystemClock.now() - TimeDelta::hours(2);
        ("Date", at.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
    };
    app.arxiv
        .answers(move |_| Answer::With(vec![two_hours_ago(), ("Age", "7200".to_owned())]));
    run_on(&mut app, "2026-02-02").await;
    assert_eq!(told(&mut app), Vec::<String>::new());
    app.arxiv.answers(move |_| Answer::With(vec![two_hours_ago()]));
    run_on(&mut app, "2026-02-03").await;
    assert_eq!(told(&mut app), ["Paperround needs you: clock"]);
    let built = app.build().await;
    let words = "this machine's clock is 2h ahead of arXiv's";
    let status = admin::execute(&built, &admin::Command::Status { json: false }).await;
    assert!(status.output.contains(words), "{}", status.output);
    let check = admin::execute(&built, &admin::Command::Probe).await;
    assert!(
        check
            .problems
            .iter()
            .any(|problem| problem.starts_with(&format!("warning: {words}"))),
        "{:?}",
        check.problems
    );
    assert_eq!(check.exit, Exit::Done, "it is a warning");
    app.arxiv.is_well();
    run_on(&mut app, "2026-02-04").await;
    assert_eq!(told(&mut app), Vec::<String>::new(), "without a date nothing is known");
    app.arxiv
        .answers(move |_| Answer::With(vec![two_hours_ago(), ("Age", "7200".to_owned())]));
    run_on(&mut app, "2026-02-05").await;
    assert_eq!(told(&mut app), ["Paperround: well again"]);
}

/// A notice goes the way that digests go, so a test mail shows whether it can.
#[tokio::test]
async fn a_test_mail_shows_the_dialogue_and_the_reply() {
    let mut app = Setup::new().subscriber(ANA, &["graph neural network"]).start().await;
    let built = app.build().await;
    let reply = admin::execute(
        &built,
        &admin::Command::TestMail {
            address: "eva@example.net".to_owned(),
        },
    )
    .await;
    assert_eq!(reply.exit, paperround::app::Exit::Done, "{:?}", reply.problems);
    assert!(
        reply.output.contains("eva@example.net: accepted: 250"),
        "{}",
        reply.output
    );
    assert_eq!(app.mails().len(), 1);
}
