//! Asking arXiv: the question is right, and no failure of the answer looks like a quiet day.

use std::time::Duration;

use paperround::{admin::Command, run::Report};

use crate::harness::{
    app::{Setup, TestApp, sorted},
    arxiv::{Answer, Asked, status},
    papers::{self, paper},
};

const ANA: &str = "ana@example.net";

async fn ana_reads(keywords: &[&str]) -> TestApp {
    Setup::new().subscriber(ANA, keywords).start().await
}

/// Ana reads one keyword, and one paper on it is announced on 9 February.
async fn one_paper() -> (TestApp, Vec<String>) {
    let app = ana_reads(&["graph neural network"]).await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    (app, ids)
}

fn incomplete(report: &Report) -> Vec<&str> {
    report
        .incomplete
        .iter()
        .map(|keyword| keyword.keyword.as_str())
        .collect()
}

/// The first `times` searches are answered so, everything else ordinarily.
fn at_first(
    times: usize,
    answer: impl Fn() -> Answer + Send + 'static,
) -> impl FnMut(&Asked) -> Answer + Send + 'static {
    let mut left = times;
    move |asked: &Asked| {
        if !asked.is_search() || left == 0 {
            return Answer::Ordinary;
        }
        left -= 1;
        answer()
    }
}

/// A trouble that lasts for a whole run leaves the keyword incomplete and named, sends nothing that looks
/// like a quiet day, and the paper comes with the next run.
async fn loses_nothing_in_a_bad_run(answer: fn() -> Answer) {
    let (mut app, ids) = one_paper().await;
    app.reconfigure(|setup| setup.arxiv("timeout", "\"1s\"").arxiv("retry_budget", "\"2s\""));
    app.arxiv.answers(at_first(usize::MAX, answer));
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    assert!(!report.is_complete());
    assert!(app.arxiv.log().len() < 60, "arXiv is not hammered");
    assert_eq!(app.mails(), []);
    app.arxiv.is_well();
    let report = app.run_on("2026-02-10T09:00:00Z").await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// A trouble that passes within the run costs nothing.
async fn gets_over_a_bad_moment(answer: fn() -> Answer) {
    let (mut app, ids) = one_paper().await;
    app.arxiv.answers(at_first(2, answer));
    let report = app.run_on("2026-02-10").await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// CASES 1.
#[tokio::test]
async fn a_query_is_encoded_once() {
    let mut app = ana_reads(&["quantum error correction"]).await;
    app.run_on("2026-02-10").await;
    let log = app.arxiv.log();
    let line = &log
        .iter()
        .find(|asked| asked.is_search())
        .expect("it is asked for")
        .line;
    assert!(line.contains("%22quantum+error+correction%22"), "{line}");
    assert!(!line.contains("%25") && !line.contains("%2B"), "{line}");
}

/// CASES 2, 8.
#[tokio::test]
async fn reserved_characters_reach_arxiv_and_break_nothing() {
    let keywords = [
        "C++",
        "R&D",
        "F#",
        "A/B testing",
        "100% renewable",
        "what is 2+2=4?",
        "LLM agents (survey",
        "a/b?c",
        "[CLS] token",
        "O(n log n)",
    ];
    let mut app = ana_reads(&keywords).await;
    let ids = app.announce(
        "2026-02-09",
        [paper("Safe C++ in practice"), paper("LLM agents (survey)")],
    );
    let report = app.run_on("2026-02-10").await;
    assert!(report.is_complete(), "{report:?}");
    let log = app.arxiv.log();
    assert!(log.iter().all(|asked| asked.strange.is_empty()), "{log:?}");
    for whole in ["R&D", "A/B testing", "100% renewable", "what is 2+2=4?", "a/b?c"] {
        assert!(
            log.iter().any(|asked| asked.asks_for(&format!("\"{whole}\""))),
            "{whole}"
        );
    }
    assert_eq!(sorted(app.new_papers_of(ANA)), ids);
}

/// CASES 8.
#[tokio::test]
async fn a_refused_query_fails_only_its_keyword() {
    let mut app = ana_reads(&["graph neural network", "odd thing"]).await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.arxiv.answers(|asked| {
        if asked.asks_for("odd thing") {
            Answer::Status(400, Vec::new(), papers::error_feed("malformed query near \"odd\""))
        } else {
            Answer::Ordinary
        }
    });
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["odd thing"]);
    assert!(report.incomplete[0].why.contains("malformed query near"), "{report:?}");
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// CASES 5.
#[tokio::test]
async fn a_keyword_without_hits_is_counted() {
    let mut app = ana_reads(&["recent advances in video generation with AI"]).await;
    for day in ["2026-02-10", "2026-02-11", "2026-02-12"] {
        assert!(app.run_on(day).await.is_complete());
    }
    let app = app.build().await;
    let status = paperround::admin::execute(&app, &paperround::admin::Command::Status { json: true }).await;
    let status: serde_json::Value = serde_json::from_str(&status.output).expect("it is JSON");
    assert_eq!(status["keywords"][0]["empty_answers"], 3);
}

/// CASES 9.
#[tokio::test]
async fn several_keywords_are_alternatives() {
    let mut app = ana_reads(&["vision transformer", "ViT"]).await;
    let ids = app.announce("2026-02-09", [paper("A vision transformer"), paper("ViT at scale")]);
    app.run_on("2026-02-10").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), ids);
}

/// CASES 18.
#[tokio::test]
async fn too_many_requests_are_waited_out_one_at_a_time() {
    let keywords = [
        "graph one",
        "graph two",
        "graph three",
        "graph four",
        "graph five",
        "graph six",
    ];
    let mut app = ana_reads(&keywords).await;
    app.reconfigure(|setup| setup.arxiv("request_interval", "\"60ms\""));
    let ids = app.announce("2026-02-09", keywords.map(|keyword| paper(&format!("On {keyword}"))));
    app.arxiv
        .answers(|asked| if asked.n < 2 { status(429) } else { Answer::Ordinary });
    let report = app.run_on("2026-02-10").await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(sorted(app.new_papers_of(ANA)), ids);
    let gaps: Vec<Duration> = app.arxiv.log().iter().filter_map(|asked| asked.gap).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(40)), "{gaps:?}");
    assert_eq!(app.arxiv.n_open_max(), 1);
}

/// CASES 19.
#[tokio::test]
async fn a_long_block_is_honoured_across_restarts_and_loses_nothing() {
    let (mut app, ids) = one_paper().await;
    let blocked = || {
        Answer::Status(
            429,
            vec![("Retry-After", "7200".to_owned())],
            "Rate exceeded.".to_owned(),
        )
    };
    app.arxiv.answers(move |_| blocked());
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    assert_eq!(app.arxiv.take_log().len(), 1);
    app.end_process();
    app.arxiv.is_well();
    let report = app.run_on("2026-02-10T08:00:00Z").await;
    assert!(!report.is_complete());
    assert_eq!(app.arxiv.take_log().len(), 0, "the pause holds by the machine's clock");
    assert!(app.mails().is_empty());
    app.build()
        .await
        .run
        .fetcher
        .client()
        .gate()
        .resume()
        .await
        .expect("the store works");
    assert!(app.run_on("2026-02-10T10:00:00Z").await.is_complete());
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// A 403 stops all traffic until the operator says so.
#[tokio::test]
async fn denied_access_stops_all_traffic() {
    let mut app = ana_reads(&["graph one", "graph two"]).await;
    let ids = app.announce("2026-02-09", [paper("On graph one")]);
    app.arxiv.answers(|_| status(403));
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph one", "graph two"]);
    assert!(report.incomplete[0].why.contains("403"), "{report:?}");
    assert!(!app.run_on("2026-02-11").await.is_complete());
    assert_eq!(app.arxiv.take_log().len(), 1);
    app.arxiv.is_well();
    app.build()
        .await
        .run
        .fetcher
        .client()
        .gate()
        .resume()
        .await
        .expect("the store works");
    assert!(app.run_on("2026-02-11T08:00:00Z").await.is_complete());
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// CASES 20, 21.
#[tokio::test]
async fn every_request_names_product_and_contact_also_after_a_redirection() {
    let (mut app, ids) = one_paper().await;
    let mut is_redirected = false;
    app.arxiv.answers(move |asked| {
        if asked.is_search() && !std::mem::replace(&mut is_redirected, true) {
            let target = asked.line.split(' ').nth(1).unwrap_or_default().to_owned();
            return Answer::Status(301, vec![("Location", target)], String::new());
        }
        Answer::Ordinary
    });
    assert!(app.run_on("2026-02-10").await.is_complete());
    assert_eq!(app.new_papers_of(ANA), ids);
    for asked in app.arxiv.log() {
        let agent = asked.user_agent.expect("a user agent is sent");
        assert!(
            agent.starts_with("paperround/") && agent.contains("mailto:ops@example.org"),
            "{agent}"
        );
    }
}

/// CASES 21.
#[tokio::test]
async fn a_redirection_elsewhere_is_no_quiet_day() {
    loses_nothing_in_a_bad_run(|| {
        Answer::Status(
            301,
            vec![("Location", "https://elsewhere.example.org/".to_owned())],
            String::new(),
        )
    })
    .await;
}

/// CASES 21.
#[tokio::test]
async fn a_redirection_in_circles_is_no_quiet_day() {
    loses_nothing_in_a_bad_run(|| {
        Answer::Status(
            302,
            vec![("Location", "/api/query?search_query=all:round".to_owned())],
            String::new(),
        )
    })
    .await;
}

/// CASES 22.
#[tokio::test]
async fn an_empty_body_is_a_failure() {
    gets_over_a_bad_moment(|| Answer::Body(String::new())).await;
    loses_nothing_in_a_bad_run(|| Answer::Body(String::new())).await;
}

/// CASES 22.
#[tokio::test]
async fn a_total_without_entries_is_a_failure() {
    gets_over_a_bad_moment(|| Answer::Body(papers::feed("", 37, 0, &[], ""))).await;
    loses_nothing_in_a_bad_run(|| Answer::Body(papers::feed("", 37, 0, &[], ""))).await;
}

/// CASES 22, 34.
#[tokio::test]
async fn a_keyword_without_papers_is_a_quiet_day_and_delays_nobody() {
    let mut app = Setup::new()
        .subscriber(ANA, &["an empty subject"])
        .subscriber("bo@example.net", &["graph neural network"])
        .start()
        .await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    let report = app.run_on("2026-02-10").await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(app.new_papers_of("bo@example.net"), ids);
    assert_eq!(app.mails().len(), 1);
}

/// A valid feed that holds nothing although there were papers yesterday.
#[tokio::test]
async fn a_failed_fetch_never_looks_like_a_quiet_day() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph neural network"])
        .digest("empty", "\"send\"")
        .start()
        .await;
    let first = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_papers_of(ANA), first);
    let second = app.announce("2026-02-10", [paper("A graph neural network for proteins")]);
    app.arxiv
        .answers(at_first(usize::MAX, || Answer::Body(papers::feed("", 0, 0, &[], ""))));
    let report = app.run_on("2026-02-11").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    for mail in app.new_mails() {
        assert!(mail.subject.contains("1 keyword is incomplete"), "{}", mail.subject);
        assert!(
            mail.text.contains("Not complete: graph neural network"),
            "{}",
            mail.text
        );
    }
    app.arxiv.is_well();
    app.run_on("2026-02-12").await;
    assert_eq!(app.new_papers_of(ANA), second);
}

/// `n` papers on one evening.
fn many(n: usize) -> Vec<papers::Paper> {
    (0..n)
        .map(|i| paper(&format!("A graph neural network, part {i}")))
        .collect()
}

/// CASES 23.
#[tokio::test]
async fn an_empty_page_in_the_middle_is_asked_for_again() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.reconfigure(|setup| setup.arxiv("page_size", "100"));
    app.announce("2026-02-09", many(250));
    let mut left = 2;
    app.arxiv.answers(move |asked| {
        if asked.start == 100 && left > 0 {
            left -= 1;
            return Answer::Short(0);
        }
        Answer::Ordinary
    });
    let report = app.run_on("2026-02-10").await;
    assert!(report.incomplete.is_empty(), "{report:?}");
    assert_eq!(report.matched, 250);
}

/// CASES 23.
#[tokio::test]
async fn what_came_before_a_hole_is_used_and_the_rest_comes_later() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.reconfigure(|setup| setup.arxiv("page_size", "100"));
    app.announce("2026-02-09", many(250));
    app.arxiv.answers(|asked| {
        if asked.start == 100 {
            Answer::Short(0)
        } else {
            Answer::Ordinary
        }
    });
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    assert_eq!(report.matched, 100);
    app.arxiv.is_well();
    let report = app.run_on("2026-02-11").await;
    assert!(report.incomplete.is_empty(), "{report:?}");
    assert_eq!(report.matched, 150);
}

/// CASES 24.
#[tokio::test]
async fn an_answer_in_disorder_with_old_papers_floods_nobody() {
    let (mut app, ids) = one_paper().await;
    app.arxiv.answers(|asked| {
        if !asked.is_search() {
            return Answer::Ordinary;
        }
        let old = |id: &str, at: &str| papers::Paper {
            id: id.to_owned(),
            ..paper("An old graph neural network").submitted(at)
        };
        let mixed = [
            old("2012.11000", "2020-12-21T10:00:00Z"),
            papers::Paper {
                id: "2602.09010".to_owned(),
                ..paper("A graph neural network for molecules").submitted("2026-02-08T10:00:00Z")
            },
            old("2012.04000", "2020-12-08T10:00:00Z"),
        ];
        Answer::Body(papers::feed("", 3, 0, &mixed, ""))
    });
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    assert_eq!(app.new_papers_of(ANA), ids, "what is plausible may be used at once");
}

/// CASES 25.
#[tokio::test]
async fn papers_that_the_index_shows_late_are_not_lost() {
    let mut app = ana_reads(&["graph neural network"]).await;
    let numbered = |n: u32| papers::Paper {
        id: format!("2602.095{n:02}"),
        ..paper("A graph neural network for molecules").submitted(&format!("2026-02-08T10:{n:02}:00Z"))
    };
    let first = app.announce("2026-02-09", (10..=20).map(numbered));
    app.run_on("2026-02-10").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), first);
    let late = app.announce("2026-02-10", (1..=9).chain([21]).map(numbered));
    app.run_on("2026-02-11").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), late);
}

/// CASES 26, 27, 29.
#[tokio::test]
async fn every_page_is_read_and_none_too_many() {
    for (n, starts) in [(250, vec![0, 100, 200]), (200, vec![0, 100]), (99, vec![0])] {
        let mut app = ana_reads(&["graph neural network"]).await;
        app.reconfigure(|setup| setup.arxiv("page_size", "100"));
        app.announce("2026-02-09", many(n));
        let report = app.run_on("2026-02-10").await;
        assert!(report.incomplete.is_empty(), "{report:?}");
        assert_eq!(report.matched, n);
        let log = app.arxiv.log();
        let asked: Vec<usize> = log
            .iter()
            .filter(|asked| asked.is_search())
            .map(|asked| asked.start)
            .collect();
        assert_eq!(asked, starts);
    }
}

/// CASES 28.
#[tokio::test]
async fn a_page_that_fails_as_a_whole_comes_in_parts() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.reconfigure(|setup| setup.arxiv("page_size", "100"));
    app.announce("2026-02-09", many(250));
    app.arxiv.answers(|asked| {
        if asked.start == 100 && asked.max_results > 50 {
            status(500)
        } else {
            Answer::Ordinary
        }
    });
    let report = app.run_on("2026-02-10").await;
    assert!(report.incomplete.is_empty(), "{report:?}");
    assert_eq!(report.matched, 250);
}

/// CASES 30.
#[tokio::test]
async fn an_error_in_an_entry_is_never_mailed_as_a_paper() {
    let error = || papers::error_feed("malformed query near \"(\"");
    for code in [200, 400] {
        let (mut app, _) = one_paper().await;
        app.arxiv
            .answers(at_first(usize::MAX, move || Answer::Status(code, Vec::new(), error())));
        let report = app.run_on("2026-02-10").await;
        assert_eq!(incomplete(&report), ["graph neural network"]);
        assert!(report.incomplete[0].why.contains("malformed query near"), "{report:?}");
        assert_eq!(app.mails(), []);
    }
    let mut app = ana_reads(&["Error"]).await;
    let ids = app.announce("2026-02-09", [paper("Error")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// CASES 31.
#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    loses_nothing_in_a_bad_run(|| Answer::Silence).await;
}

/// CASES 31.
#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    loses_nothing_in_a_bad_run(|| Answer::Stall).await;
}

/// CASES 31.
#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    loses_nothing_in_a_bad_run(|| Answer::Drip(Duration::from_millis(50))).await;
}

/// CASES 31.
#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up_and_the_other_keywords_go_on() {
    let mut app = ana_reads(&["graph neural network", "slow thing"]).await;
    app.reconfigure(|setup| setup.arxiv("timeout", "\"1s\"").arxiv("retry_budget", "\"2s\""));
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.arxiv.answers(|asked| {
        if asked.asks_for("slow thing") {
            Answer::Late(Duration::from_secs(3600))
        } else {
            Answer::Ordinary
        }
    });
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["slow thing"]);
    assert!(report.incomplete[0].why.contains("took longer than 1s"), "{report:?}");
    assert_eq!(app.new_papers_of(ANA), ids);
}

/// CASES 32.
#[tokio::test]
async fn a_body_cut_off_is_a_failure() {
    gets_over_a_bad_moment(|| Answer::Cut(60)).await;
    loses_nothing_in_a_bad_run(|| Answer::Cut(60)).await;
}

/// CASES 32.
#[tokio::test]
async fn a_compressed_body_cut_off_is_a_failure() {
    gets_over_a_bad_moment(|| Answer::GzipCut(60)).await;
    loses_nothing_in_a_bad_run(|| Answer::GzipCut(60)).await;
}

/// CASES 32.
#[tokio::test]
async fn a_document_cut_off_inside_an_element_is_a_failure() {
    let cut = || {
        Answer::Changed(Box::new(|body: String| {
            let end = body.find("<summary>Plain").map_or(body.len(), |at| at + 12);
            body[..end].to_owned()
        }))
    };
    gets_over_a_bad_moment(cut).await;
}

/// CASES 33, 140.
#[tokio::test]
async fn one_failing_keyword_spoils_only_itself_for_a_week() {
    let mut app = Setup::new()
        .subscriber(ANA, &["graph one", "graph two"])
        .subscriber("bo@example.net", &["graph two", "graph three"])
        .subscriber("cy@example.net", &["graph three", "graph four", "bad thing"])
        .start()
        .await;
    app.arxiv.answers(|asked| {
        if asked.asks_for("bad thing") {
            status(500)
        } else {
            Answer::Ordinary
        }
    });
    let mut missed = Vec::new();
    for (evening, morning) in [
        ("2026-02-09", "2026-02-10"),
        ("2026-02-10", "2026-02-11"),
        ("2026-02-11", "2026-02-12"),
    ] {
        let ids = app.announce(
            evening,
            ["graph one", "graph two", "graph three", "graph four", "bad thing"].map(paper),
        );
        missed.push(ids[4].clone());
        let report = app.run_on(morning).await;
        assert_eq!(incomplete(&report), ["bad thing"]);
        let mails = app.new_mails();
        let of = |to: &str| {
            sorted(
                mails
                    .iter()
                    .filter(|mail| mail.to == to)
                    .flat_map(crate::harness::app::Mail::papers),
            )
        };
        assert_eq!(of(ANA), ids[..2]);
        assert_eq!(of("bo@example.net"), ids[1..3]);
        assert_eq!(of("cy@example.net"), ids[2..4]);
        for mail in &mails {
            assert_eq!(
                mail.text.contains("bad thing"),
                mail.to == "cy@example.net",
                "{}",
                mail.text
            );
        }
    }
    app.arxiv.is_well();
    app.run_on("2026-02-13").await;
    assert_eq!(sorted(app.new_papers_of("cy@example.net")), missed);
}

/// CASES 35.
#[tokio::test]
async fn an_unexpected_refusal_is_no_quiet_day() {
    loses_nothing_in_a_bad_run(|| status(406)).await;
    let (mut app, _) = one_paper().await;
    app.arxiv.answers(|_| status(406));
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    assert!(!report.current);
}

/// CASES 36.
#[tokio::test]
async fn an_index_that_stands_still_is_noticed_and_the_mail_names_what_it_covers() {
    let (mut app, ids) = one_paper().await;
    assert!(app.run_on("2026-02-10").await.current);
    assert_eq!(app.new_papers_of(ANA), ids);
    app.announce("2026-02-10", [paper("A graph neural network for proteins")]);
    let yesterday = papers::instant("2026-02-10");
    for day in ["2026-02-11", "2026-02-12", "2026-02-13"] {
        app.clock.set(papers::instant(day));
        app.arxiv.set_now(yesterday);
        let program = app.build().await;
        let report = paperround::admin::run_everyone(&program, &tokio_util::sync::CancellationToken::new())
            .await
            .expect("the store works");
        assert!(!report.current, "{day}");
        assert_eq!(app.new_mails(), []);
    }
}

/// CASES 37.
#[tokio::test]
async fn every_keyword_is_asked_for_whatever_the_first_one_brings() {
    let keywords = [
        "an empty subject",
        "graph two",
        "graph three",
        "graph four",
        "graph five",
    ];
    let mut app = ana_reads(&keywords).await;
    let ids = app.announce("2026-02-09", keywords[1..].iter().map(|keyword| paper(keyword)));
    app.run_on("2026-02-10").await;
    assert_eq!(sorted(app.new_papers_of(ANA)), ids);
}

/// What arXiv held back for longer than the usual window reaches comes with the next deep one, and is told apart.
#[tokio::test]
async fn a_paper_that_was_held_for_months_comes_with_the_weekly_deep_window() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.announce("2026-02-01", [paper("A graph neural network before")]);
    app.run_on("2026-02-02").await;
    app.new_mails();
    let held = app.announce(
        "2026-02-03",
        [paper("A graph neural network for molecules").submitted("2025-11-20T10:00:00Z")],
    );
    // arXiv's search finds this by its stems, and nobody asked for it.
    app.announce(
        "2026-02-03",
        [paper("Graphs neural network").submitted("2025-11-20T10:00:00Z")],
    );
    for day in ["2026-02-04", "2026-02-08"] {
        let report = app.run_on(day).await;
        assert_eq!((report.deep, app.new_papers_of(ANA)), (None, vec![]), "{day}");
    }
    // What the usual window finds on the same day is none of it.
    let usual = app.announce("2026-02-09", [paper("One more graph neural network")]);
    let deep = app.run_on("2026-02-10").await.deep.expect("a week has passed");
    assert_eq!((deep.n_searches, deep.found_alone), (1, 1));
    assert_eq!(sorted(app.new_papers_of(ANA)), sorted([held, usual].concat()));
    let program = app.build().await;
    let status = Command::Status { json: false };
    let status = paperround::admin::execute(&program, &status).await.output;
    assert!(status.contains("found only by deep windows: 1"), "{status}");
    // A week later nothing shows it for the first time.
    drop(program);
    let deep = app.run_on("2026-02-17").await.deep.expect("another week has passed");
    assert_eq!((deep.n_searches, deep.found_alone), (1, 0));
}

#[tokio::test]
async fn a_keyword_that_arxivs_search_cannot_express_is_tried_among_all_papers() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.it_is("2026-02-10");
    let ids = app.announce("2026-02-09", [paper("To be or not to be"), paper("Not to be")]);
    let program = app.build().await;
    let tried = Command::Try {
        query: "to be or not to be".to_owned(),
        is_query: false,
        days: 5,
        stored: false,
        bold: false,
        json: false,
    };
    let answer = paperround::admin::execute(&program, &tried).await.output;
    let asked = app.arxiv.take_log();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].is_floor_probe(),
        "it asks for the dates alone: {}",
        asked[0].query
    );
    for words in [
        "runs find it by harvesting",
        "among all papers of the time",
        "1 hit of",
        &ids[0],
    ] {
        assert!(answer.contains(words), "{words:?} is not in {answer}");
    }
    assert!(!answer.contains(&ids[1]), "{answer}");
}

/// Not from the same host, though it would answer.
#[tokio::test]
async fn a_redirection_to_another_host_is_not_followed() {
    let (mut app, _) = one_paper().await;
    app.arxiv.answers(|asked| {
        let target = asked.line.split(' ').nth(1).unwrap_or_default().to_owned();
        if asked.is_search() && asked.host.starts_with("127.0.0.1") {
            let elsewhere = asked.host.replace("127.0.0.1", "localhost");
            return Answer::Status(
                301,
                vec![("Location", format!("http://{elsewhere}{target}"))],
                String::new(),
            );
        }
        Answer::Ordinary
    });
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    assert!(report.incomplete[0].why.contains("redirects elsewhere"), "{report:?}");
    assert!(app.arxiv.log().iter().all(|asked| asked.host.starts_with("127.0.0.1")));
}

#[tokio::test]
async fn an_answer_longer_than_allowed_is_not_read_and_not_asked_for_again() {
    let mut app = ana_reads(&["graph neural network"]).await;
    app.reconfigure(|setup| setup.arxiv("response_bytes_max", "\"64KiB\""));
    app.announce("2026-02-09", many(200));
    let report = app.run_on("2026-02-10").await;
    assert_eq!(incomplete(&report), ["graph neural network"]);
    assert!(
        report.incomplete[0].why.contains("longer than response_bytes_max"),
        "{report:?}"
    );
    let n_asked = app.arxiv.log().iter().filter(|asked| asked.is_search()).count();
    assert_eq!(n_asked, 1);
}

#[tokio::test]
async fn why_takes_no_other_paper_for_the_one_that_was_asked_for() {
    let (mut app, _) = one_paper().await;
    app.it_is("2026-02-10");
    app.arxiv.answers(|_| {
        let other = papers::Paper {
            id: "2602.09999".to_owned(),
            ..paper("Quite another paper").submitted("2026-02-08T10:00:00Z")
        };
        Answer::Body(papers::feed("", 1, 0, &[other], ""))
    });
    let program = app.build().await;
    let why = Command::Why {
        identifier: "2602.09998".to_owned(),
        subscriber: None,
        json: false,
    };
    let answer = paperround::admin::execute(&program, &why).await;
    assert!(!answer.output.contains("Quite another paper"), "{}", answer.output);
}
