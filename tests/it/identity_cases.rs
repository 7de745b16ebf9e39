//! Which paper is which: every paper once per subscriber, whatever version, source or window shows it.

use crate::harness::{
    app::{Setup, TestApp, sorted},
    arxiv::Answer,
    papers::{self, instant, paper},
    smtp::{At, Script, say},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";

async fn ana_reads(keywords: &[&str]) -> TestApp {
    Setup::new().subscriber(ANA, keywords).start().await
}

/// CASES 46.
#[tokio::test]
async fn a_new_version_is_no_new_paper() {
    let mut app = ana_reads(&["graph neural network"]).await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_papers_of(ANA), ids);
    app.arxiv.revise(&ids[0], |paper| {
        paper.version = 2;
        paper.updated = Some(instant("2026-02-10T12:00:00Z"));
        paper.title = "A graph neural network for molecules, revised".to_owned();
    });
    app.run_on("2026-02-11").await;
    app.run_on("2026-02-12").await;
    assert_eq!(app.new_mails(), []);
}

#[tokio::test]
async fn a_new_version_is_listed_once_where_that_is_wanted_and_counts_as_nothing_new() {
    let mut app = Setup::new()
        .digest("replacements", "'list'")
        .subscriber(ANA, &["graph neural network"])
        .start()
        .await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_papers_of(ANA), ids);
    let revise = |app: &TestApp, version: u32, at: &str| {
        app.arxiv.revise(&ids[0], |paper| {
            paper.version = version.try_into().expect("a small number");
            paper.updated = Some(instant(at));
            paper.title = format!("A graph neural network for molecules, revision {version}");
        });
    };
    revise(&app, 2, "2026-02-10T12:00:00Z");
    let report = app.run_on("2026-02-11").await;
    assert_eq!((report.matched, report.waiting), (0, 0), "nothing is new");
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].subject.starts_with("1 new version"), "{}", mails[0].subject);
    let text = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "New versions of papers you got (1 paper)",
        "revision 2",
        "v2 of a paper you got as v1 on 10 February",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    // The same version is no news, a later one is, also beside a new paper and after a mail that was refused.
    app.run_on("2026-02-12").await;
    assert_eq!(app.new_mails(), []);
    revise(&app, 3, "2026-02-12T12:00:00Z");
    let new = app.announce("2026-02-12", [paper("Another graph neural network")]);
    app.smtp
        .behaves(Script::default().fault(At::Rcpt, say("451 4.3.0 later")));
    app.run_on("2026-02-13").await;
    assert_eq!(app.new_mails(), []);
    app.smtp.behaves(Script::default());
    app.run_on("2026-02-14").await;
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].subject.starts_with("1 new paper"), "{}", mails[0].subject);
    assert!(
        mails[0].text.contains("v3 of a paper you got as v2 on 11 February"),
        "{}",
        mails[0].text
    );
    let state = app.state_of(ANA).await;
    assert_eq!(state.seen.len(), 1 + new.len());
    assert!(state.replacements.is_empty());
    assert_eq!(
        state.versions.values().map(|(version, _)| *version).collect::<Vec<_>>(),
        [3, 1]
    );
}

/// CASES 47.
#[tokio::test]
async fn an_old_paper_that_was_touched_is_not_new() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.run_on("2026-02-09").await;
    app.arxiv.answers(|asked| {
        if !asked.is_search() {
            return Answer::Ordinary;
        }
        let touched = papers::Paper {
            id: "1905.00047".to_owned(),
            version: 7,
            updated: Some(instant("2026-02-09T20:00:00Z")),
            ..paper("Old graph neural network but touched").submitted("2019-05-02T02:00:00Z")
        };
        Answer::Body(papers::feed("", 1, 0, &[touched], ""))
    });
    for day in ["2026-02-10", "2026-02-11", "2026-02-12", "2026-02-13"] {
        app.run_on(day).await;
    }
    assert_eq!(app.new_mails(), []);
}

/// CASES 48.
#[tokio::test]
async fn a_cross_listed_paper_comes_once() {
    let mut app = Setup::new()
        .subscriber_with(
            ANA,
            &[
                r#"keywords = ["graph neural network"]"#,
                r#"categories = ["cs.CV", "stat.ML"]"#,
            ],
        )
        .subscriber_with(
            BO,
            &[
                r#"keywords = ["graph neural network"]"#,
                r#"categories = ["cs.CV", "stat.ML"]"#,
                "cross_lists = false",
            ],
        )
        .start()
        .await;
    let title = "A graph neural network for images";
    let ids = app.announce(
        "2026-02-09",
        [
            paper(title).in_categories(&["cs.AI", "cs.CV", "stat.ML"]),
            paper(title).in_categories(&["cs.AI", "cs.RO"]),
            paper(title).in_categories(&["cs.CV", "cs.AI"]),
        ],
    );
    app.run_on("2026-02-10").await;
    assert_eq!(app.papers_of(ANA), [ids[0].clone(), ids[2].clone()]);
    assert_eq!(app.papers_of(BO), [ids[2].clone()]);
}

/// CASES 49.
#[tokio::test]
async fn a_paper_on_several_keywords_comes_once_and_names_them() {
    let mut app = ana_reads(&["diffusion models", "graph neural network", "explanation"]).await;
    let ids = app.announce(
        "2026-02-09",
        [paper("Diffusion models for graph neural network explanation")],
    );
    app.run_on("2026-02-10").await;
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].papers(), ids);
    assert!(mails[0].subject.starts_with("1 new paper"), "{}", mails[0].subject);
    for keyword in ["diffusion models", "graph neural network", "explanation"] {
        assert!(mails[0].text.contains(keyword), "{keyword}");
        assert!(mails[0].html.contains(keyword), "{keyword}");
    }
}

/// CASES 50.
#[tokio::test]
async fn a_link_that_moves_makes_no_new_paper() {
    let mut app = ana_reads(&["graph neural network"]).await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_papers_of(ANA), ids);
    app.run_on("2026-02-10T08:00:00Z").await;
    app.arxiv.link_to("http://export.arxiv.org");
    app.run_on("2026-02-11").await;
    app.arxiv.answers(|_| {
        Answer::Changed(Box::new(|body| {
            body.replace("http://arxiv.org/abs/", "https://export.arxiv.org/abs/")
        }))
    });
    app.run_on("2026-02-12").await;
    assert_eq!(app.new_mails(), []);
}

/// CASES 51. An error of our own login is nobody's address's fault.
#[tokio::test]
async fn an_auth_failure_suppresses_nobody() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .subscriber(BO, &["graph neural network"])
        .mail("username", "\"papers\"")
        .mail("password", "'wrong'")
        .start()
        .await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    let script = || Script::default().extensions(&["AUTH PLAIN LOGIN"]);
    app.smtp.behaves(script().account("papers", "right"));
    for day in ["2026-02-10", "2026-02-11", "2026-02-12"] {
        let report = app.run_on(day).await;
        assert!(!report.is_complete());
        assert_eq!(report.accepted, 0);
    }
    assert_eq!(app.new_mails(), []);
    let store = app.store().await;
    let suppressions = paperround::roster::suppressions(&*store)
        .await
        .expect("the store reads");
    assert!(suppressions.is_empty());
    app.reconfigure(|setup| setup.mail("password", "'right'"));
    let report = app.run_on("2026-02-13").await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(app.papers_of(ANA), ids);
    assert_eq!(app.papers_of(BO), ids);
}

/// CASES 52, 56.
#[tokio::test]
async fn windows_that_overlap_repeat_nothing() {
    let mut app = ana_reads(&["graph neural network"]).await;
    let mut ids = app.announce("2026-02-08", [paper("A graph neural network for molecules")]);
    for (evening, morning) in [
        ("2026-02-09", "2026-02-10"),
        ("2026-02-10", "2026-02-11"),
        ("2026-02-11", "2026-02-12"),
    ] {
        ids.extend(app.announce(evening, [paper("A graph neural network for molecules")]));
        if evening == "2026-02-10" {
            app.reconfigure(|setup| setup.subscriber(BO, &["graph neural network"]));
        }
        app.run_on(morning).await;
    }
    assert_eq!(app.papers_of(ANA), ids);
    // Who joins on the third day begins with what was submitted in the last days, and gets each of them once too.
    assert_eq!(app.papers_of(BO), ids[1..]);
}

/// CASES 53. More than two months later, and after forgetting.
#[tokio::test]
async fn a_paper_that_was_forgotten_does_not_come_back() {
    let mut app = ana_reads(&["graph neural network"]).await;
    let ids = app.announce(
        "2026-02-09",
        (0..210).map(|n| paper(&format!("A graph neural network, part {n}"))),
    );
    app.reconfigure(|setup| setup.digest("abstracts", "\"none\"").arxiv("lookback", "\"115d\""));
    let mut day = instant("2026-02-10");
    while day < instant("2026-04-25") {
        app.run_on(&day.to_rfc3339()).await;
        day += chrono::TimeDelta::days(1);
    }
    assert_eq!(app.papers_of(ANA), sorted(ids.clone()));
    let state = app.state_of(ANA).await;
    assert!(state.seen.len() < 210, "{} are remembered still", state.seen.len());
    app.arxiv.revise(&ids[0], |paper| {
        paper.version = 2;
        paper.updated = Some(instant("2026-04-25"));
    });
    app.run_on("2026-04-26").await;
    app.run_on("2026-04-27").await;
    assert_eq!(app.papers_of(ANA), sorted(ids));
}

/// CASES 54.
#[tokio::test]
async fn pages_that_overlap_give_a_paper_once() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.reconfigure(|setup| setup.arxiv("page_size", "2"));
    let ids = app.announce(
        "2026-02-09",
        (0..3).map(|n| paper(&format!("A graph neural network, part {n}"))),
    );
    let all: Vec<papers::Paper> = (10..13)
        .map(|n| papers::Paper {
            id: format!("2602.090{n}"),
            ..paper("A graph neural network").submitted("2026-02-08T10:00:00Z")
        })
        .collect();
    app.arxiv.answers(move |asked| {
        if !asked.is_search() {
            return Answer::Ordinary;
        }
        // The second page begins with the last one of the first.
        let page = if asked.start == 0 { &all[..2] } else { &all[1..] };
        Answer::Body(papers::feed("", 4, asked.start, page, ""))
    });
    let report = app.run_on("2026-02-10").await;
    assert!(
        !report.is_complete(),
        "three papers are not the four that were announced"
    );
    assert_eq!(sorted(app.new_papers_of(ANA)), ids);
    app.arxiv.is_well();
    assert!(app.run_on("2026-02-11").await.is_complete());
    assert_eq!(app.new_mails(), []);
}

/// Two different subscribers with the same keyword each have their own memory.
#[tokio::test]
async fn what_one_got_another_still_gets() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .subscriber(BO, &["graph neural network"])
        .start()
        .await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.smtp
        .behaves(Script::default().fault_for(At::Rcpt, BO, say("451 4.7.1 later")));
    app.run_on("2026-02-10").await;
    assert_eq!((app.papers_of(ANA), app.papers_of(BO)), (ids.clone(), vec![]));
    app.smtp.behaves(Script::default());
    app.run_on("2026-02-11").await;
    assert_eq!((app.papers_of(ANA), app.papers_of(BO)), (ids.clone(), ids));
}
