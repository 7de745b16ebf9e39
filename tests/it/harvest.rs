//! The harvest, its stand-ins and its reconciliation, against a server on loopback that answers as arXiv does.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use paperround::{
    fetch::{Errand, Search},
    model::{ArxivId, KeywordCoverage, Term},
    store::{DocumentKind, Store, documents, memory::MemoryStore},
};

use crate::harness::{
    interfaces::{Arxiv, argument, at, atom, feed, list, nothing, oai, record},
    service::Service,
};

const DAY: &str = "2026-02-11";
const NOW: &str = "2026-02-11T07:00:00Z";

#[tokio::test]
async fn a_list_is_read_over_its_tokens_and_begun_anew_whenever_one_expires() {
    let dir = tempfile::tempdir().expect("a folder");
    let n_expired = Mutex::new(0);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        let day = "2026-02-10";
        if argument(arguments, "set") == "cs:cs:LG" {
            return list(&[record("2602.00011", "On DARTS", "cs.LG", day)], "a%26b", DAY);
        }
        match argument(arguments, "resumptionToken") {
            "" => nothing(DAY),
            "a%26b" if arguments.len() == 2 => {
                let mut n_expired = n_expired.lock().expect("nothing panics");
                *n_expired += 1;
                if *n_expired <= 2 {
                    return oai("<error code='badResumptionToken'>expired</error>", DAY);
                }
                list(
                    &[
                        record("2602.00012", "DARTS again", "cs.LG", day),
                        record("2602.00013", "Other", "cs.LG", day),
                    ],
                    "",
                    DAY,
                )
            }
            other => panic!("a token must come back alone and as it was: {other}"),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
    // Every set once, and the one whose token expired twice more; nothing was asked of the query API.
    assert_eq!(
        (
            arxiv.n_asked("set="),
            arxiv.n_asked("set=cs:cs:LG"),
            arxiv.n_asked("/api")
        ),
        (157, 3, 0)
    );
    assert_eq!(arxiv.n_asked("until="), 0);
    assert!(report.current);
    // Half an hour later nothing can be new, a day later it can.
    service.clock.set(at("2026-02-11T07:30:00Z"));
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty() && report.current);
    assert_eq!(arxiv.n_asked("set="), 157);
    service.clock.set(at("2026-02-12T07:00:00Z"));
    service.fetch().await;
    assert_eq!(arxiv.n_asked("set="), 312);
}

#[tokio::test]
async fn five_thousand_keywords_cost_no_more_requests_than_five_hundred() {
    let n_requests = async |n_keywords: usize| {
        let dir = tempfile::tempdir().expect("a folder");
        let arxiv = Arxiv::start(Box::new(|_, arguments| match argument(arguments, "set") {
            "cs:cs:LG" => list(&[record("2602.00011", "On topic 7", "cs.LG", "2026-02-10")], "", DAY),
            _ => nothing(DAY),
        }))
        .await;
        let keywords: Vec<String> = (0..n_keywords).map(|n| format!("\"topic {n}\"")).collect();
        let people: Vec<String> = (0..)
            .zip(keywords.chunks(500))
            .map(|(n, keywords)| {
                let head = if n == 0 {
                    String::new()
                } else {
                    format!("[[subscriber]]\nemail = \"reader{n}@example.net\"\n")
                };
                format!("{head}keywords = [{}]\n", keywords.join(", "))
            })
            .collect();
        let keywords = people.concat();
        let service = Service::new(dir.path(), &arxiv.base, "auto", &keywords, NOW);
        let report = service.fetch().await;
        assert!(report.incomplete.is_empty());
        assert_eq!(service.recorded().await, ["2602.00011"]);
        assert_eq!(report.requests, arxiv.n_asked("") as u64);
        report.requests
    };
    // Every set once, and once a week the list of them.
    assert_eq!((n_requests(500).await, n_requests(5_000).await), (156, 156));
}

#[tokio::test]
async fn a_category_that_arxiv_opens_is_harvested_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, arguments| {
        if argument(arguments, "verb") == "ListSets" {
            let set = |spec: &str| format!("<set><setSpec>{spec}</setSpec><setName>x</setName></set>");
            return oai(
                &format!("<ListSets>{}{}</ListSets>", set("cs:cs:LG"), set("cs:cs:ZZ")),
                DAY,
            );
        }
        match argument(arguments, "set") {
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY),
            "cs:cs:ZZ" => list(&[record("2602.00012", "More DARTS", "cs.ZZ", "2026-02-10")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.*\"]";
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
    // The list is asked for once a week.
    service.clock.set(at("2026-02-12T07:00:00Z"));
    service.fetch().await;
    assert_eq!(arxiv.n_asked("ListSets"), 1);
    assert_eq!(arxiv.n_asked("set=cs:cs:ZZ"), 2);
}

#[tokio::test]
async fn a_record_that_came_broken_is_asked_for_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, arguments| {
        let day = "2026-02-10";
        match (argument(arguments, "set"), argument(arguments, "identifier")) {
            ("cs:cs:LG", _) => list(
                &[
                    record("2602.00011", "", "cs.LG", day),
                    record("2602.00012", "", "cs.LG", day),
                    record("2602.00013", "DARTS", "cs.LG", day),
                ],
                "",
                DAY,
            ),
            ("", "oai:arXiv.org:2602.00011") => oai(
                &format!("<GetRecord>{}</GetRecord>", record("2602.00011", "DARTS", "cs.LG", day)),
                DAY,
            ),
            ("", "oai:arXiv.org:2602.00012") => oai("<error code='idDoesNotExist'>no</error>", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    let report = service.fetch().await;
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00013"]);
    assert_eq!((report.incomplete.len(), report.rejected), (0, 1));
}

#[tokio::test]
async fn a_set_that_fails_leaves_only_those_keywords_incomplete_that_need_it_and_is_caught_up_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/api/query" {
            // An incomplete harvest cannot tell floors; the query API can.
            return atom(&[("2602.00001".to_owned(), "x".to_owned(), at("2026-02-10T01:00:00Z"))]);
        }
        let (set, from) = (argument(arguments, "set"), argument(arguments, "from"));
        match set {
            "cs:cs:CL" if *down.lock().expect("nothing panics") => (500, String::new()),
            // The paper changed four days before the second harvest: only the reach behind what is owed shows it.
            "cs:cs:CL" if from <= "2026-02-10" => list(
                &[record("2602.00021", "hallucination", "cs.CL", "2026-02-10")],
                "",
                "2026-02-14",
            ),
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let keywords = "keywords = [\"learned\", \"spoken\"]\n[[keyword]]\nname = \"learned\"\nquery = \"DARTS\"\ncategories = [\"cs.LG\"]\n\
                    [[keyword]]\nname = \"spoken\"\nquery = \"hallucination\"\ncategories = [\"cs.CL\"]";
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    let report = service.fetch().await;
    let incomplete: Vec<&str> = report
        .incomplete
        .iter()
        .map(|keyword| keyword.keyword.as_str())
        .collect();
    assert_eq!(incomplete, ["spoken"]);
    assert!(
        report.incomplete[0].why.contains("cs.CL"),
        "{}",
        report.incomplete[0].why
    );
    // Every keyword names categories, so no other set is read.
    assert_eq!(
        arxiv.n_asked("set=") - arxiv.n_asked("set=cs:cs:CL") - arxiv.n_asked("set=cs:cs:LG"),
        0
    );
    assert_eq!(service.recorded().await, ["2602.00011"]);

    *is_down.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-20T07:00:00Z"));
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00021"]);
}

#[tokio::test]
async fn an_answer_without_any_record_is_not_believed_once_there_were_some() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_empty = Arc::new(Mutex::new(false));
    let empty = Arc::clone(&is_empty);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| match argument(arguments, "set") {
        "cs:cs:LG" if !*empty.lock().expect("nothing panics") => {
            list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY)
        }
        _ => nothing(DAY),
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    *is_empty.lock().expect("nothing panics") = true;
    for (now, is_believed) in [
        ("2026-02-12T07:00:00Z", false),
        ("2026-02-12T13:00:00Z", false),
        ("2026-02-13T07:00:00Z", false),
    ] {
        service.clock.set(at(now));
        let report = service.fetch().await;
        // Even the third agreeing answer of the one set leaves a harvest without a single record.
        assert_eq!(
            report.incomplete.is_empty(),
            is_believed,
            "{now}: {:?}",
            report.incomplete
        );
    }
    *is_empty.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-14T07:00:00Z"));
    assert!(service.fetch().await.incomplete.is_empty());
}

/// The harvest's share of November 2025, when dates were ignored: a list from the beginning of time.
#[tokio::test]
async fn a_list_that_ignores_its_dates_brings_nothing_old_and_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_undated = Arc::new(Mutex::new(false));
    let undated = Arc::clone(&is_undated);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| match argument(arguments, "set") {
        "cs:cs:LG" => {
            let mut records = vec![record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")];
            if *undated.lock().expect("nothing panics") {
                records.push(record("2602.00013", "More DARTS", "cs.LG", "2026-02-13"));
                records.extend((1..40).map(|n| {
                    let id = format!("1905.{n:05}");
                    record(&id, "The old DARTS", "cs.LG", &format!("2019-05-{:02}", 1 + n % 28))
                }));
            }
            list(&records, "", "2026-02-13")
        }
        _ => nothing("2026-02-13"),
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]";
    // One has been at it for days, the other begins in the middle of it.
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    *is_undated.lock().expect("nothing panics") = true;
    let other = tempfile::tempdir().expect("a folder");
    let newcomer = Service::new(other.path(), &arxiv.base, "harvest", keywords, "2026-02-13T07:00:00Z");
    // What was submitted more than three days before she came is not hers.
    let expected: [(_, &[&str]); 2] = [(&service, &["2602.00011", "2602.00013"]), (&newcomer, &["2602.00013"])];
    for (service, expected) in expected {
        service.clock.set(at("2026-02-13T07:00:00Z"));
        let report = service.fetch().await;
        assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
        assert_eq!(service.recorded().await, expected);
    }
}

#[tokio::test]
async fn the_list_of_another_set_does_not_count_and_is_made_up_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_mixed_up = Arc::new(Mutex::new(false));
    let mixed_up = Arc::clone(&is_mixed_up);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        let day = "2026-02-12";
        match argument(arguments, "set") {
            "cs:cs:LG" if *mixed_up.lock().expect("nothing panics") => {
                list(&[record("2602.00021", "On vision", "cs.CV", day)], "", day)
            }
            "cs:cs:LG" => list(
                &[
                    record("2602.00011", "On DARTS", "cs.LG", "2026-02-10"),
                    record("2602.00012", "More DARTS", "cs.LG", day),
                ],
                "",
                day,
            ),
            _ => nothing(day),
        }
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]";
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    *is_mixed_up.lock().expect("nothing panics") = true;
    service.clock.set(at("2026-02-12T07:00:00Z"));
    let report = service.fetch().await;
    assert_eq!(report.incomplete.len(), 1);
    assert!(
        report.incomplete[0].why.contains("filed under the category"),
        "{}",
        report.incomplete[0].why
    );
    *is_mixed_up.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-12T14:00:00Z"));
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
}

#[tokio::test]
async fn a_service_that_is_down_is_not_asked_for_every_set_and_the_operator_hears_of_it_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        if *down.lock().expect("nothing panics") {
            return (503, String::new());
        }
        match argument(arguments, "set") {
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    assert!(!service.run_and_conclude(NOW).await.is_complete());
    assert!(arxiv.n_asked("set=") < 30, "{}", arxiv.n_asked("set="));
    assert_eq!(service.n_told(), 0);
    service.run_and_conclude("2026-02-13T08:00:00Z").await;
    assert_eq!(service.n_told(), 1);
    service.run_and_conclude("2026-02-14T08:00:00Z").await;
    assert_eq!(service.n_told(), 1);
    *is_down.lock().expect("nothing panics") = false;
    assert!(service.run_and_conclude("2026-02-15T08:00:00Z").await.is_complete());
    assert_eq!(service.n_told(), 2);
}

#[tokio::test]
async fn a_keyword_that_arxivs_search_cannot_express_is_harvested() {
    let keywords = "keywords = [\"to be or not to be\", \"DARTS\"]";
    for (source, n_searches) in [("query", 1), ("auto", 0)] {
        let dir = tempfile::tempdir().expect("a folder");
        let arxiv = Arxiv::start(Box::new(|path, arguments| {
            if path == "/api/query" {
                return atom(&[("2602.00011".to_owned(), "DARTS".to_owned(), at("2026-02-10T01:00:00Z"))]);
            }
            match argument(arguments, "set") {
                "cs:cs:LG" => list(
                    &[
                        record("2602.00011", "DARTS", "cs.LG", "2026-02-10"),
                        record("2602.00012", "To be or not to be", "cs.LG", "2026-02-10"),
                    ],
                    "",
                    DAY,
                ),
                _ => nothing(DAY),
            }
        }))
        .await;
        let service = Service::new(dir.path(), &arxiv.base, source, keywords, NOW);
        let report = service.fetch().await;
        assert!(report.incomplete.is_empty(), "{source}: {:?}", report.incomplete);
        assert!(report.current);
        assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"], "{source}");
        assert_eq!(arxiv.n_asked("set="), 155, "{source}");
        // Where all sets are read anyway and the choice is free, the other keyword costs no request of its own.
        assert_eq!(arxiv.n_asked("DARTS"), n_searches, "{source}");
    }
}

/// The harvest is there for one keyword of one category; what it saw tells nothing about the others, whose search fails on
/// the first day.
#[tokio::test]
async fn a_harvest_of_one_category_tells_no_floor_for_what_is_searched() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        let paper = |number: u32| {
            (
                format!("2602.{number:05}"),
                "DARTS".to_owned(),
                at("2026-02-10T01:00:00Z"),
            )
        };
        match (path, argument(arguments, "set")) {
            ("/api/query", _) if argument(arguments, "search_query").contains("DARTS") => {
                if *down.lock().expect("nothing panics") {
                    return (503, String::new());
                }
                atom(&[paper(11)])
            }
            ("/api/query", _) => atom(&[paper(11), paper(12)]),
            (_, "math:math:CO") => list(
                &[record("2602.00012", "To be or not to be", "math.CO", "2026-02-10")],
                "",
                DAY,
            ),
            _ => nothing(DAY),
        }
    }))
    .await;
    let keywords = "keywords = [\"question\", \"DARTS\"]\n[[keyword]]\nname = \"question\"\n\
                    query = '\"to be or not to be\"'\ncategories = [\"math.CO\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, NOW);
    assert_eq!(service.fetch().await.incomplete.len(), 1);
    assert_eq!(service.recorded().await, ["2602.00012"]);
    *is_down.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-11T14:00:00Z"));
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
}

#[tokio::test]
async fn what_cannot_be_served_is_incomplete_since_one_moment_and_told_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    // The index goes on, so that it is not told of too.
    let today = Arc::new(Mutex::new(at(NOW)));
    let shown_on = Arc::clone(&today);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/api/query" {
            let submitted = *shown_on.lock().expect("nothing panics") - TimeDelta::hours(30);
            let id = submitted.format("2602.000%d").to_string();
            return atom(&[(id, "DARTS".to_owned(), submitted)]);
        }
        if *down.lock().expect("nothing panics") {
            return (503, String::new());
        }
        match argument(arguments, "set") {
            "cs:cs:LG" => list(
                &[record("2602.00012", "To be or not to be", "cs.LG", "2026-02-10")],
                "",
                "2026-02-14",
            ),
            _ => nothing("2026-02-14"),
        }
    }))
    .await;
    let keywords = "keywords = [\"to be or not to be\", \"DARTS\"]\ncategories = [\"cs.LG\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, NOW);
    let mut told = Vec::new();
    for now in [
        NOW,
        "2026-02-12T07:00:00Z",
        "2026-02-13T07:00:00Z",
        "2026-02-14T07:00:00Z",
    ] {
        *today.lock().expect("nothing panics") = at(now);
        let report = service.run_and_conclude(now).await;
        let incomplete: Vec<_> = report
            .incomplete
            .iter()
            .map(|keyword| (keyword.keyword.as_str(), keyword.since))
            .collect();
        assert_eq!(incomplete, [("to be or not to be", at(NOW))], "{now}");
        told.push(service.n_told());
    }
    assert_eq!(told, [0, 0, 1, 1]);
    *is_down.lock().expect("nothing panics") = false;
    let report = service.run_and_conclude("2026-02-14T08:00:00Z").await;
    assert!(report.is_complete(), "{:?}", report.incomplete);
    assert_eq!(service.n_told(), 2);
    let state = service.state().await;
    assert!(state.knows(&"2602.00012".parse().expect("an identifier")));
}

/// On the day of the reconciliation the searches are down, and both others have the paper: the full record counts.
#[tokio::test]
async fn a_feeds_short_record_gives_way_to_that_of_the_reconciliation() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(false));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| match path {
        "/rss/cs.LG" => feed(&[("2602.00012", "new", "DARTS")]),
        "/oai" if argument(arguments, "set") == "cs:cs:LG" => list(
            &[record("2602.00012", "DARTS", "cs.LG", "2026-02-20")],
            "",
            "2026-02-22",
        ),
        "/oai" => nothing("2026-02-22"),
        _ if *down.lock().expect("nothing panics") => (503, String::new()),
        _ => atom(&[("2602.00011".to_owned(), "DARTS".to_owned(), at("2026-02-10T01:00:00Z"))]),
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, "2026-02-15T07:00:00Z");
    service.fetch().await;
    *is_down.lock().expect("nothing panics") = true;
    service.clock.set(at("2026-02-22T07:00:00Z"));
    let report = service.fetch().await;
    assert_eq!((report.incomplete.len(), arxiv.n_asked("/rss")), (1, 1));
    let found = report.reconciliation.expect("a week has passed");
    assert_eq!((found.found_alone, found.is_complete), (1, true));
    let paper = service.paper("2602.00012").await;
    assert!(paper.submitted.is_some() && paper.comment.is_some(), "{paper:?}");
}

#[tokio::test]
async fn the_feeds_stand_in_for_a_silent_search_and_the_full_record_follows() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(false));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/rss/cs.LG" {
            return feed(&[
                ("2602.00012", "new", "DARTS"),
                ("2602.00013", "replace", "DARTS"),
                ("2501.00001", "cross", "DARTS"),
            ]);
        }
        if path != "/api/query" || *down.lock().expect("nothing panics") {
            return (503, String::new());
        }
        let paper = |number: u32, day: &str| {
            (
                format!("2602.000{number}"),
                "DARTS".to_owned(),
                at(&format!("{day}T01:00:00Z")),
            )
        };
        let known = vec![paper(11, "2026-02-10")];
        if argument(arguments, "search_query").contains("DARTS") {
            return atom(&[known, vec![paper(12, "2026-02-11")]].concat());
        }
        atom(&known)
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "query", "keywords = [\"DARTS\"]", NOW);
    *is_down.lock().expect("nothing panics") = false;
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(arxiv.n_asked("/rss"), 0);

    // The same again on a store that has not seen the second paper.
    let service = Service::new(
        dir.path(),
        &arxiv.base,
        "query",
        "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]",
        NOW,
    );
    let floor_only = service.fetch().await;
    assert!(floor_only.incomplete.is_empty());
    let id: ArxivId = "2602.00012".parse().expect("it is one");
    let forgotten = Service::new(
        dir.path(),
        &arxiv.base,
        "query",
        "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]",
        NOW,
    );
    *is_down.lock().expect("nothing panics") = true;
    let report = forgotten.fetch().await;
    assert_eq!(report.incomplete.len(), 1);
    assert_eq!(arxiv.n_asked("/rss/cs.LG"), 1);
    // Without a floor nothing counts yet, but the paper is kept.
    let stored = forgotten
        .store
        .latest_papers(std::slice::from_ref(&id))
        .await
        .expect("the store works");
    let short = stored[0].as_ref().expect("the feed brought it").paper.clone();
    assert_eq!(
        (short.submitted, short.categories.as_slice()),
        (None, &["cs.LG".to_owned()][..])
    );
    // The feeds of one announcement are read once.
    forgotten.clock.set(at("2026-02-11T09:00:00Z"));
    forgotten.fetch().await;
    assert_eq!(arxiv.n_asked("/rss/cs.LG"), 1);

    *is_down.lock().expect("nothing panics") = false;
    forgotten.clock.set(at("2026-02-11T14:00:00Z"));
    assert!(forgotten.fetch().await.incomplete.is_empty());
    let stored = forgotten
        .store
        .latest_papers(std::slice::from_ref(&id))
        .await
        .expect("the store works");
    assert!(
        stored[0]
            .as_ref()
            .is_some_and(|stored| stored.paper.submitted.is_some())
    );
    assert_eq!(forgotten.recorded().await, ["2602.00011", "2602.00012"]);

    // With floors known, what the feeds announce is recorded on the same day; old papers are not.
    *is_down.lock().expect("nothing panics") = true;
    service.clock.set(at("2026-02-12T09:00:00Z"));
    assert_eq!(service.fetch().await.incomplete.len(), 1);
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
}

#[tokio::test]
async fn the_weekly_reconciliation_finds_what_searches_cannot_and_fails_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(false));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/oai" {
            if *down.lock().expect("nothing panics") {
                return (500, String::new());
            }
            return match argument(arguments, "set") {
                "cs:cs:LG" => list(
                    &[
                        record("2602.00011", "reinforcement learning", "cs.LG", "2026-02-16"),
                        record("2602.00012", "\\textbf{R}einforcement Learning", "cs.LG", "2026-02-16"),
                        // arXiv's index takes these for one word each.
                        record(
                            "2602.00013",
                            "A first study.Reinforcement learning",
                            "cs.LG",
                            "2026-02-16",
                        ),
                        record("2602.00014", "On deep_reinforcement learning", "cs.LG", "2026-02-16"),
                        record("2602.00015", "Something else", "cs.LG", "2026-02-16"),
                        // Only touched these days: so old that no window of the searches reaches it.
                        record("2511.00016", "Old reinforcement learning", "cs.LG", "2025-11-16"),
                    ],
                    "",
                    "2026-02-21",
                ),
                _ => nothing("2026-02-21"),
            };
        }
        atom(&[(
            "2602.00011".to_owned(),
            "Reinforcement learning".to_owned(),
            at("2026-02-16T01:00:00Z"),
        )])
    }))
    .await;
    let keywords = "keywords = [\"reinforcement learning\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, "2026-02-17T07:00:00Z");
    assert_eq!(service.fetch().await.reconciliation, None);
    assert_eq!(service.recorded().await, ["2602.00011"]);
    assert_eq!(arxiv.n_asked("/oai"), 0);

    // Down on the first weekend day: noted, no keyword suffers, tried again the day after.
    *is_down.lock().expect("nothing panics") = true;
    service.clock.set(at("2026-02-28T07:00:00Z"));
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty());
    let failed = report.reconciliation.expect("it was tried");
    // It was asked for nothing like everything, so it cannot have missed anything.
    assert_eq!((failed.missed, failed.is_complete), (None, false));
    // After three sets in a row the service counts as down.
    let n_asked = arxiv.n_asked("/oai");
    assert!(n_asked < 30, "{n_asked} requests for 155 sets");
    *is_down.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-03-01T07:00:00Z"));
    let found = service.fetch().await.reconciliation.expect("a week has passed");
    // The one paper is older than the days that were compared, so the harvest missed nothing of them.
    assert_eq!((found.found_alone, found.missed, found.is_complete), (3, Some(0), true));
    let all = ["2602.00011", "2602.00012", "2602.00013", "2602.00014"];
    assert_eq!(service.recorded().await, all);
    service.clock.set(at("2026-03-02T07:00:00Z"));
    assert_eq!(service.fetch().await.reconciliation, None);
}

#[tokio::test]
async fn a_change_of_source_reaches_behind_the_oldest_incomplete_keyword() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|path, arguments| {
        if path == "/oai" {
            return match argument(arguments, "set") {
                "cs:cs:LG" => list(&[record("2602.00011", "DARTS", "cs.LG", "2026-02-10")], "", DAY),
                _ => nothing(DAY),
            };
        }
        atom(&[("2602.00011".to_owned(), "DARTS".to_owned(), at("2026-02-10T01:00:00Z"))])
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]";
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let on = |source: &str, now: &str| Service::on(Arc::clone(&store), dir.path(), &arxiv.base, source, keywords, now);
    on("query", NOW).fetch().await;
    // Two weeks of silence, then the other source.
    let report = on("harvest", "2026-02-27T07:00:00Z").fetch().await;
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    assert_eq!(arxiv.n_asked("from=2026-02-08"), 155);
    let coverage = documents::load_all::<KeywordCoverage>(&*store, DocumentKind::Coverage)
        .await
        .expect("the store works");
    assert_eq!(coverage.len(), 1, "the former source's memory is gone: {coverage:?}");
    // And back: the window counts from the last complete harvest, and it is the deep one.
    on("query", "2026-03-20T07:00:00Z").fetch().await;
    assert_eq!(
        arxiv.n_asked("submittedDate:[20251030"),
        1,
        "{:?}",
        arxiv.requests.lock()
    );
    // A harvest that begins again after months does not read all of them.
    on("harvest", "2026-06-10T07:00:00Z").fetch().await;
    assert_eq!(arxiv.n_asked("from=2026-03-17"), 155);
}

/// By harvest the searches of the reconciliation are a hundred each week, in turn.
#[tokio::test]
async fn the_next_reconciliation_by_searches_begins_where_the_last_one_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|path, arguments| {
        if path == "/api/query" {
            return atom(&[]);
        }
        match argument(arguments, "set") {
            "cs:cs:LG" => list(&[record("2602.00011", "On graphs", "cs.LG", "2026-02-06")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let words: Vec<String> = (100..230).map(|n| format!("word{n}")).collect();
    let keywords = format!("keywords = {words:?}\ncategories = [\"cs.LG\"]");
    // Three Sundays.
    let service = Service::new(dir.path(), &arxiv.base, "harvest", &keywords, "2026-02-08T07:00:00Z");
    let mut n_searched = Vec::new();
    for now in ["2026-02-08T07:00:00Z", "2026-02-15T07:00:00Z", "2026-02-22T07:00:00Z"] {
        service.clock.set(at(now));
        service.fetch().await;
        n_searched.push(words.iter().filter(|word| arxiv.n_asked(word) > 0).count());
    }
    assert_eq!(n_searched, [0, 100, 130]);
}

/// A keyword that nobody can read is no reason to read the feeds: they would match nothing.
#[tokio::test]
async fn the_feeds_do_not_stand_in_for_a_keyword_that_cannot_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, _| atom(&[]))).await;
    let service = Service::new(dir.path(), &arxiv.base, "query", "keywords = [\"DARTS\"]", NOW);
    let search = Search {
        term: Term::query("("),
        categories: vec![vec!["cs.LG".to_owned()]],
        keywords: ["(".to_owned()].into(),
    };
    let errand = Errand {
        now: at(NOW),
        since: None,
        wanted: &|_| true,
        awaited: &|_| false,
    };
    let fetched = service.app.run.fetcher.fetch(&*service.store, &[search], &errand).await;
    assert_eq!(fetched.expect("the store works").incomplete().len(), 1);
    assert_eq!(arxiv.n_asked("/rss"), 0);
}

#[tokio::test]
async fn what_is_incomplete_stays_so_since_then_over_a_change_of_source() {
    for sources in [["query", "harvest"], ["harvest", "query"]] {
        let dir = tempfile::tempdir().expect("a folder");
        let arxiv = Arxiv::start(Box::new(|_, _| (503, String::new()))).await;
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        for (source, now) in sources.into_iter().zip([NOW, "2026-02-12T07:00:00Z"]) {
            let service = Service::on(
                Arc::clone(&store),
                dir.path(),
                &arxiv.base,
                source,
                "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]",
                now,
            );
            let report = service.fetch().await;
            assert_eq!(report.incomplete[0].since, at(NOW), "{sources:?}");
        }
    }
}

#[tokio::test]
async fn the_list_of_sets_is_believed_up_to_a_bound_and_asked_for_again_after_a_clock_was_set_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, arguments| {
        if argument(arguments, "verb") == "ListSets" {
            let letters = || 'A'..='Z';
            let sets: String = letters()
                .flat_map(|a| {
                    letters()
                        .map(move |b| format!("<set><setSpec>stat:stat:Q{a}{b}</setSpec><setName>x</setName></set>"))
                })
                .collect();
            return oai(&format!("<ListSets>{sets}</ListSets>"), DAY);
        }
        match argument(arguments, "set") {
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", "2026-02-10")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(arxiv.n_asked("set="), 255);
    service.clock.set(at("2026-01-11T07:00:00Z"));
    service.fetch().await;
    assert_eq!(arxiv.n_asked("ListSets"), 2);
}

/// What a small category shows says nothing about arXiv's announcement.
#[tokio::test]
async fn where_the_busiest_category_is_not_harvested_the_index_is_asked_for_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|path, arguments| {
        if path == "/api/query" {
            return atom(&[("2602.00019".to_owned(), "x".to_owned(), at("2026-02-10T01:00:00Z"))]);
        }
        match argument(arguments, "set") {
            "math:math:CO" => list(&[record("2602.00011", "DARTS", "math.CO", "2026-02-06")], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"math.CO\"]";
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty() && report.current, "{report:?}");
    assert_eq!(arxiv.n_asked("cat:cs.LG"), 1);
}

/// Sixty days with one keyword that fails let nothing be forgotten, however complete the others are.
#[tokio::test]
async fn only_days_on_which_everything_was_complete_count_for_forgetting() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        let query = argument(arguments, "search_query");
        if query.contains("crystals") && *down.lock().expect("nothing panics") {
            return (404, String::new());
        }
        if query != "cat:cs.LG" {
            return atom(&[]);
        }
        atom(&[("2602.00011".to_owned(), "x".to_owned(), at("2026-02-10T01:00:00Z"))])
    }))
    .await;
    let keywords = "keywords = [\"DARTS\", \"crystals\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, NOW);
    let mut day = at(NOW);
    for (is_failing, may_forget) in [(true, false), (false, true)] {
        *is_down.lock().expect("nothing panics") = is_failing;
        for _ in 0..61 {
            assert_eq!(service.fetch().await.incomplete.is_empty(), !is_failing, "{day}");
            day += chrono::TimeDelta::days(1);
            service.clock.set(day);
        }
        let prunable = service.app.run.fetcher.prunable(&*service.store).await;
        assert_eq!(prunable.expect("the store works").is_some(), may_forget);
    }
}
