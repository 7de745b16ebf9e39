//! First runs and large days: nobody is flooded, and no day is lost for it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};

use crate::harness::{
    app::{Mail, Setup, TestApp, sorted},
    arxiv::{Answer, status},
    papers::{Paper, paper},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const GNN: &str = "graph neural network";

async fn ana_reads(keywords: &[&str]) -> TestApp {
    Setup::new().subscriber(ANA, keywords).start().await
}

/// `n` papers with this title.
fn many(title: &str, n: usize) -> Vec<Paper> {
    (0..n).map(|i| paper(&format!("{title}, part {i}"))).collect()
}

/// The last evening on which arXiv announces, at or before that day.
fn evening_at(day: NaiveDate) -> String {
    let back = match day.weekday() {
        Weekday::Fri => 1,
        Weekday::Sat => 2,
        _ => 0,
    };
    (day - TimeDelta::days(back)).to_string()
}

/// Papers on each of the last `n` evenings before that day, `each` of them; the identifiers by evening.
fn backlog(app: &TestApp, title: &str, until: &str, n: usize, each: usize) -> Vec<(String, Vec<String>)> {
    let until: NaiveDate = until.parse().expect("a day");
    let evenings: BTreeSet<String> = (1..)
        .map(|back| evening_at(until - TimeDelta::days(back)))
        .take(n)
        .collect();
    evenings
        .into_iter()
        .map(|evening| {
            let ids = app.announce(&evening, many(title, each));
            (evening, ids)
        })
        .collect()
}

/// Those of the evenings from `first` on.
fn from(backlog: &[(String, Vec<String>)], first: &str) -> Vec<String> {
    let recent = backlog.iter().filter(|(evening, _)| evening.as_str() >= first);
    sorted(recent.flat_map(|(_, ids)| ids.clone()))
}

/// How many bytes the HTML part takes as it travels.
fn html_bytes(mail: &Mail) -> usize {
    let raw = String::from_utf8_lossy(&mail.bytes);
    let part = raw
        .split("Content-Type: text/html")
        .nth(1)
        .expect("there is an HTML part");
    let body = part.split_once("\r\n\r\n").expect("a part has a head").1;
    body.split("\r\n--").next().unwrap_or_default().len()
}

/// A text without its line ends.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// CASES 61.
#[tokio::test]
async fn a_first_run_takes_only_the_recent_window() {
    let mut app = ana_reads(&[GNN]).await;
    let first: NaiveDate = "2019-04-01".parse().expect("a day");
    for n in 0..497 {
        let evening = evening_at(first + TimeDelta::days(5 * n));
        app.announce(&evening, [paper("A graph neural network of old")]);
    }
    let recent = app.announce("2026-02-09", many("A graph neural network", 3));
    let report = app.run_on("2026-02-10").await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(sorted(app.new_papers_of(ANA)), recent);
    for day in ["2026-02-11", "2026-02-12", "2026-02-18", "2026-02-25"] {
        assert!(app.run_on(day).await.is_complete());
    }
    assert_eq!(app.papers_of(ANA), recent, "what the first run left out never comes");
}

/// CASES 61.
#[tokio::test]
async fn a_lost_state_is_a_first_run() {
    let mut app = ana_reads(&[GNN]).await;
    let old = backlog(&app, "A graph neural network", "2026-02-10", 30, 10);
    app.run_on("2026-02-10").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), from(&old, "2026-02-08"));
    app.end_process();
    std::fs::remove_dir_all(app.path("state")).expect("the state is there");
    let new = app.announce("2026-02-10", [paper("A graph neural network for proteins")]);
    let report = app.run_on("2026-02-11").await;
    assert!(report.is_complete(), "{report:?}");
    let expected = [from(&old, "2026-02-09"), new].concat();
    assert_eq!(sorted(app.new_papers_of(ANA)), expected);
}

/// A full page that is not what was asked for tells no floor. It is asked for again at once, so that the first digest comes
/// today; but not for ever.
#[tokio::test]
async fn what_tells_no_floor_is_asked_for_again_in_the_same_run() {
    for (n_bad, n_probes) in [(2, 3), (3, 3)] {
        let mut app = ana_reads(&[GNN]).await;
        let ids = app.announce("2026-02-09", many("A graph neural network", 2));
        let mut left = n_bad;
        app.arxiv.answers(move |asked| {
            if asked.is_floor_probe() && left > 0 {
                left -= 1;
                return Answer::Short(50);
            }
            Answer::Ordinary
        });
        assert!(app.run_on("2026-02-10").await.is_complete());
        let n_asked = app
            .arxiv
            .take_log()
            .iter()
            .filter(|asked| asked.is_floor_probe())
            .count();
        assert_eq!(n_asked, n_probes);
        let told: &[String] = if n_bad < n_probes { &ids } else { &[] };
        assert_eq!(sorted(app.new_papers_of(ANA)), told, "{n_bad}");
        // What waits for a floor is not lost.
        app.run_on("2026-02-10T14:00:00Z").await;
        assert_eq!(app.papers_of(ANA), ids);
    }
}

/// CASES 62.
#[tokio::test]
async fn a_keyword_or_subscriber_added_later_floods_nobody_and_loses_no_day() {
    let mut app = ana_reads(&[GNN]).await;
    let causal = backlog(&app, "Causal inference", "2026-02-10", 30, 10);
    let mut graphs = backlog(&app, "A graph neural network", "2026-02-03", 20, 3);
    app.run_on("2026-02-03").await;
    for (evening, morning) in [
        ("2026-02-03", "2026-02-04"),
        ("2026-02-04", "2026-02-05"),
        ("2026-02-05", "2026-02-06"),
        ("2026-02-08", "2026-02-09"),
    ] {
        let ids = app.announce(evening, many("A graph neural network", 2));
        app.run_on(morning).await;
        graphs.push((evening.to_owned(), ids));
    }
    let before = app.papers_of(ANA);
    assert_eq!(before, from(&graphs, "2026-02-01"));
    app.new_mails();
    app.reconfigure(|setup| setup.subscriber(ANA, &[GNN, "causal inference"]).subscriber(BO, &[GNN]));
    graphs.push((
        "2026-02-09".to_owned(),
        app.announce("2026-02-09", many("A graph neural network", 2)),
    ));
    assert!(app.run_on("2026-02-10").await.is_complete());
    let mut anas = [before, from(&graphs, "2026-02-09"), from(&causal, "2026-02-08")].concat();
    let mut bos = from(&graphs, "2026-02-08");
    assert_eq!(app.papers_of(ANA), sorted(anas.clone()));
    assert_eq!(app.papers_of(BO), bos);
    for (evening, morning) in [("2026-02-10", "2026-02-11"), ("2026-02-11", "2026-02-12")] {
        let graphs = app.announce(evening, many("A graph neural network", 2));
        anas.extend(app.announce(evening, many("Causal inference", 2)));
        anas.extend(graphs.clone());
        bos.extend(graphs);
        app.run_on(morning).await;
    }
    assert_eq!(app.papers_of(ANA), sorted(anas));
    assert_eq!(app.papers_of(BO), bos);
}

/// CASES 63.
#[tokio::test]
async fn four_hundred_papers_come_in_mails_of_bearable_size_and_none_is_lost() {
    const HTML_BYTES_MAX: usize = 90_000;
    let mut app = ana_reads(&[GNN]).await;
    let abstract_text = "Sentences that say little but go on for long. ".repeat(44)[..2_000].to_owned();
    let mut left = app.announce(
        "2026-02-09",
        many("A graph neural network", 400)
            .into_iter()
            .map(|paper| paper.summary(&abstract_text)),
    );
    let all = left.clone();
    let mut n_waiting = 400;
    for day in 10..=20 {
        let report = app.run_on(&format!("2026-02-{day}")).await;
        assert!(report.is_complete(), "{report:?}");
        let mails = app.new_mails();
        let [mail] = &mails[..] else {
            panic!("one mail a day, not {}", mails.len())
        };
        assert!(html_bytes(mail) <= HTML_BYTES_MAX, "{}", html_bytes(mail));
        assert!(mail.bytes.len() < 250_000, "{}", mail.bytes.len());
        let papers = mail.papers();
        n_waiting -= papers.len();
        assert_eq!(report.waiting, n_waiting);
        if n_waiting > 0 {
            let note = format!("{n_waiting} more papers wait for the next digest.");
            assert!(flat(&mail.text).contains(&note), "{}", mail.text);
            assert!(flat(&mail.html).contains(&note), "{}", mail.html);
        }
        assert!(flat(&mail.text).contains("To keep this mail small, "), "{}", mail.text);
        left.retain(|id| !papers.contains(id));
        if left.is_empty() {
            break;
        }
    }
    app.run_on("2026-02-21").await;
    assert_eq!(app.papers_of(ANA), sorted(all));
}

/// CASES 66.
#[tokio::test]
async fn three_thousand_authors_take_one_line() {
    let mut app = ana_reads(&["collider"]).await;
    let names: Vec<String> = (0..3_000).map(|n| format!("Author N{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ids = app.announce("2026-02-09", [paper("Collider result").by(&names)]);
    assert!(app.run_on("2026-02-10").await.is_complete());
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].papers(), ids);
    assert!(mails[0].bytes.len() < 40_000, "{}", mails[0].bytes.len());
    for part in [&mails[0].text, &mails[0].html] {
        assert!(part.contains("Author N0, Author N1"), "{part}");
        assert!(part.contains("2,994") && !part.contains("Author N6"), "{part}");
    }
}

#[tokio::test]
async fn a_first_fetch_that_succeeds_days_later_loses_no_day() {
    let mut app = ana_reads(&[GNN]).await;
    let old = backlog(&app, "A graph neural network", "2026-02-09", 30, 2);
    app.reconfigure(|setup| setup.arxiv("retry_budget", "\"1s\""));
    app.arxiv.answers(|_| status(503));
    let mut expected = from(&old, "2026-02-08");
    for (evening, morning) in [
        ("2026-02-09", "2026-02-10"),
        ("2026-02-10", "2026-02-11"),
        ("2026-02-11", "2026-02-12"),
    ] {
        expected.extend(app.announce(evening, many("A graph neural network", 2)));
        assert!(!app.run_on(morning).await.is_complete());
    }
    app.arxiv.is_well();
    expected.extend(app.announce("2026-02-12", many("A graph neural network", 2)));
    assert!(app.run_on("2026-02-13").await.is_complete());
    assert_eq!(app.papers_of(ANA), sorted(expected.clone()));
    app.run_on("2026-02-14").await;
    assert_eq!(app.papers_of(ANA), sorted(expected));
}

/// The same when only the search that tells where a new subscription begins keeps failing.
#[tokio::test]
async fn a_beginning_that_is_told_days_later_loses_no_day() {
    let mut app = ana_reads(&[GNN]).await;
    let old = backlog(&app, "A graph neural network", "2026-02-09", 30, 2);
    app.reconfigure(|setup| setup.arxiv("retry_budget", "\"1s\""));
    app.arxiv.answers(|asked| {
        if asked.is_floor_probe() {
            status(503)
        } else {
            Answer::Ordinary
        }
    });
    let mut expected = from(&old, "2026-02-08");
    for (evening, morning) in [("2026-02-09", "2026-02-10"), ("2026-02-10", "2026-02-11")] {
        expected.extend(app.announce(evening, many("A graph neural network", 2)));
        app.run_on(morning).await;
    }
    app.arxiv.is_well();
    expected.extend(app.announce("2026-02-11", many("A graph neural network", 2)));
    assert!(app.run_on("2026-02-12").await.is_complete());
    assert_eq!(app.papers_of(ANA), sorted(expected));
}

#[tokio::test]
async fn a_widened_keyword_never_floods() {
    let keywords = r#"keywords = ["graph neural network"]"#;
    let mut app = Setup::new()
        .subscriber_with(ANA, &[keywords, r#"exclude = ["survey"]"#])
        .start()
        .await;
    let surveys = backlog(&app, "A graph neural network survey", "2026-02-09", 30, 10);
    let graphs = backlog(&app, "A graph neural network", "2026-02-09", 30, 2);
    app.run_on("2026-02-09").await;
    let mut expected = app.papers_of(ANA);
    assert_eq!(expected, from(&graphs, "2026-02-05"));
    app.reconfigure(|setup| setup.subscriber_with(ANA, &[keywords]));
    expected.extend(app.announce("2026-02-09", many("A graph neural network survey", 2)));
    expected.extend(app.announce("2026-02-09", many("A graph neural network", 2)));
    assert!(app.run_on("2026-02-10").await.is_complete());
    // What only the new wording takes comes as a first digest would bring it.
    expected.extend(from(&surveys, "2026-02-08"));
    assert_eq!(app.papers_of(ANA), sorted(expected.clone()));
    app.run_on("2026-02-11").await;
    assert_eq!(app.papers_of(ANA), sorted(expected));
}

/// CASES 113.
#[tokio::test]
async fn a_removed_and_returned_subscriber_is_not_flooded() {
    let both = || Setup::new().subscriber(ANA, &[GNN]).subscriber(BO, &[GNN]);
    let mut app = both().start().await;
    let evenings = [
        "2026-02-08",
        "2026-02-09",
        "2026-02-10",
        "2026-02-11",
        "2026-02-12",
        "2026-02-15",
        "2026-02-16",
        "2026-02-17",
        "2026-02-18",
        "2026-02-19",
        "2026-02-22",
        "2026-02-23",
        "2026-02-24",
    ];
    let mut announced = Vec::new();
    for evening in evenings {
        let ids = app.announce(evening, many("A graph neural network", 10));
        announced.push((evening.to_owned(), ids));
        if evening == "2026-02-10" {
            app.reconfigure(|setup| setup.without(ANA));
        }
        if evening == "2026-02-24" {
            app.reconfigure(|setup| setup.subscriber(ANA, &[GNN]));
        }
        let evening: NaiveDate = evening.parse().expect("a day");
        app.run_on(&(evening + TimeDelta::days(1)).to_string()).await;
    }
    assert_eq!(app.papers_of(BO), from(&announced, ""));
    let anas: Vec<String> = app.papers_of(ANA);
    let expected = [from(&announced[..2], ""), from(&announced, "2026-02-23")].concat();
    assert_eq!(anas, expected);
}

/// A removal and a return within a day repeat nothing of what was sent.
#[tokio::test]
async fn who_returns_at_once_gets_nothing_twice() {
    let mut app = ana_reads(&[GNN]).await;
    let mut ids = app.announce("2026-02-09", many("A graph neural network", 3));
    app.run_on("2026-02-10").await;
    app.reconfigure(|setup| setup.without(ANA).subscriber(BO, &["something else"]));
    app.run_on("2026-02-10T09:00:00Z").await;
    app.reconfigure(|setup| setup.subscriber(ANA, &[GNN]));
    app.run_on("2026-02-10T10:00:00Z").await;
    ids.extend(app.announce("2026-02-10", many("A graph neural network", 3)));
    app.run_on("2026-02-11").await;
    assert_eq!(app.papers_of(ANA), ids);
}

/// A paper that moderators held keeps its date of submission and gets its identifier when it is announced.
#[tokio::test]
async fn a_held_paper_with_an_old_date_comes_once_when_it_is_announced() {
    let mut app = ana_reads(&[GNN]).await;
    app.run_on("2026-02-03").await;
    app.run_on("2026-02-09").await;
    let held = |at: &str| paper("A graph neural network, held").submitted(at);
    // Within the window of every day, and within the deep one that is asked for every week.
    let soon = app.announce("2026-02-09", [held("2026-01-06T10:00:00Z")]);
    let later = app.announce("2026-02-09", [held("2025-11-20T10:00:00Z")]);
    assert!(app.run_on("2026-02-10").await.is_complete());
    assert!(app.papers_of(ANA).contains(&soon[0]));
    let all = sorted([soon, later].concat());
    for day in 11..=19 {
        assert!(app.run_on(&format!("2026-02-{day}")).await.is_complete());
    }
    assert_eq!(app.papers_of(ANA), all);
}

/// The pace of arXiv's rules, scaled down: one request per keyword and day, one at a time, never too early.
#[tokio::test]
async fn many_keywords_cost_one_request_each_a_day_at_an_even_pace() {
    const N_KEYWORDS: usize = 120;
    let pace = Duration::from_millis(20);
    let mut setup = Setup::new()
        .arxiv("source", "\"query\"")
        .arxiv("request_interval", "\"20ms\"");
    for (n, email) in [ANA, BO].iter().enumerate() {
        // They share half of their keywords.
        let first = n * N_KEYWORDS / 3;
        let keywords: Vec<String> = (first..first + N_KEYWORDS * 2 / 3)
            .map(|n| format!("topic {n}"))
            .collect();
        let keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
        setup = setup.subscriber(email, &keywords);
    }
    let mut app = setup.start().await;
    app.announce("2026-02-09", [paper("On topic 7")]);
    app.announce("2026-02-10", [paper("On topic 50")]);
    app.run_on("2026-02-10").await;
    app.arxiv.take_log();
    let began = Instant::now();
    let report = app.run_on("2026-02-11").await;
    let log = app.arxiv.take_log();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(log.iter().filter(|asked| asked.is_search()).count(), N_KEYWORDS);
    // Besides them only the look at a busy category.
    assert_eq!(log.len(), N_KEYWORDS + 1);
    assert_eq!(report.requests, log.len() as u64);
    let shortest = log.iter().filter_map(|asked| asked.gap).min();
    assert!(shortest.is_some_and(|gap| gap >= pace), "{shortest:?}");
    assert!(began.elapsed() >= pace * u32::try_from(N_KEYWORDS).expect("it is small"));
    assert_eq!(app.arxiv.n_open_max(), 1);
}

/// CASES 14.
#[tokio::test]
async fn a_keyword_that_matches_nearly_everything_is_capped_and_named() {
    let mut app = ana_reads(&["dataset"]).await;
    let ids = app.announce("2026-02-09", many("Another dataset", 250));
    app.run_on("2026-02-10").await;
    let mails = app.new_mails();
    let text = mails[0].text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(mails[0].papers().len(), 100);
    assert!(text.contains("150 more papers wait for the next digest."), "{text}");
    assert!(text.contains("More waits on dataset than a digest shows"), "{text}");
    app.run_on("2026-02-11").await;
    app.run_on("2026-02-12").await;
    assert_eq!(sorted(app.papers_of(ANA)), ids, "nothing is lost by the cap");
}
