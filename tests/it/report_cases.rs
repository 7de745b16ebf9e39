//! What the operator is told, outside the log.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use paperround::{
    admin,
    app::Exit,
    clock::{Clock as _, SystemClock},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Setup, TestApp},
    arxiv::{Answer, status},
    papers::paper,
    smtp::{At, Script, say},
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

/// CASES 36. The searches are answered, but with nothing newer, over days on which arXiv announced.
#[tokio::test]
async fn an_index_that_stands_still_is_told_once_and_once_when_it_moves_again() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .section(&format!("[report]\nto = [\"{OPS}\"]\nafter = \"48h\""))
        .start()
        .await;
    run_on(&mut app, "2026-02-10").await;
    app.arxiv.answers(|asked| {
        if asked.is_canary() {
            status(404)
        } else {
            Answer::Ordinary
        }
    });
    let none = Vec::<String>::new();
    // Tuesday's announcement is missing since Wednesday morning; over the weekend nobody looks.
    for (day, expected) in [
        ("2026-02-11", &none),
        ("2026-02-12", &none),
        ("2026-02-13T05:00:00Z", &none),
        ("2026-02-13", &vec!["Paperround needs you: announcements".to_owned()]),
        ("2026-02-16", &none),
    ] {
        run_on(&mut app, day).await;
        assert_eq!(told(&mut app), *expected, "{day}");
    }
    let overview = async |app: &mut TestApp| {
        let built = app.build().await;
        admin::execute(&built, &admin::Command::Status { json: false })
            .await
            .output
    };
    let text = overview(&mut app).await;
    let words = "since 2026-02-11 05:30 UTC: arXiv has shown nothing newer than its announcement of 2026-02-09";
    assert!(text.starts_with("Not all is well") && text.contains(words), "{text}");
    app.arxiv.is_well();
    run_on(&mut app, "2026-02-17").await;
    assert_eq!(told(&mut app), ["Paperround: well again"]);
    let text = overview(&mut app).await;
    assert!(text.starts_with("All is well"), "{text}");
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
    // The real clock goes on between the answer and the look at it: "2h" may have become "2h 1s".
    let is_told = |told: &str| {
        let difference = told.split_once("this machine's clock is 2h").map(|(_, rest)| rest);
        difference.is_some_and(|rest| rest.contains(" ahead of arXiv's"))
    };
    let status = admin::execute(&built, &admin::Command::Status { json: false }).await;
    assert!(is_told(&status.output), "{}", status.output);
    let config = app.config_path();
    let check = admin::execute(&built, &admin::Command::Probe { config }).await;
    assert!(
        check
            .problems
            .iter()
            .any(|problem| problem.starts_with("warning: ") && is_told(problem)),
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

/// The dead-man switch: called after a good run, silent after a bad one, and nobody's digest depends on it.
#[tokio::test]
async fn a_ping_follows_each_good_run_and_no_bad_one() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let port = listener.local_addr().expect("it has an address").port();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&calls);
    let monitor = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).await.unwrap_or_default();
            let line = String::from_utf8_lossy(&bytes[..n])
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            heard.lock().expect("no test panics with it").push(line);
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(answer.as_bytes()).await.expect("the caller reads");
        }
    });
    let n_calls = || calls.lock().expect("no test panics with it").len();
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .arxiv("retry_budget", "\"1s\"")
        .section(&format!("[report]\nping = \"http://127.0.0.1:{port}/alive\""))
        .start()
        .await;
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    run_on(&mut app, "2026-02-10").await;
    assert_eq!(*calls.lock().expect("no test panics with it"), ["GET /alive HTTP/1.1"]);
    // A day without papers is a good one.
    run_on(&mut app, "2026-02-11").await;
    assert_eq!(n_calls(), 2);
    app.arxiv.answers(|_| status(503));
    run_on(&mut app, "2026-02-12").await;
    app.arxiv.is_well();
    app.announce("2026-02-12", [paper("A graph neural network for crystals")]);
    app.smtp
        .behaves(Script::default().fault(At::Rcpt, say("451 4.7.1 later")));
    run_on(&mut app, "2026-02-13").await;
    assert_eq!(n_calls(), 2);
    monitor.abort();
    let _aborted = monitor.await;
    app.smtp.behaves(Script::default());
    run_on(&mut app, "2026-02-16").await;
    assert_eq!(app.papers_of(ANA).len(), 2, "although nobody answers the call");
}
