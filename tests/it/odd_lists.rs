//! Lists of a harvest that are not as they should be: without an end, with broken records, older than those before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use paperround::{
    run::Report,
    store::{Store, memory::MemoryStore},
};

use crate::harness::{
    interfaces::{Arxiv, argument, at, atom, list, nothing, oai, record},
    service::Service,
};

const DAY: &str = "2026-02-11";
const NOW: &str = "2026-02-11T07:00:00Z";
/// When what the lists hold was last changed.
const CHANGED: &str = "2026-02-10";

fn learning(keyword: &str) -> String {
    format!("keywords = [\"{keyword}\"]\ncategories = [\"cs.LG\"]")
}

/// Why the one keyword is incomplete.
fn why(report: &Report) -> &str {
    assert_eq!(report.incomplete.len(), 1, "{report:?}");
    &report.incomplete[0].why
}

#[tokio::test]
async fn a_list_that_does_not_end_is_left_and_does_not_count() {
    for is_expiring in [false, true] {
        let dir = tempfile::tempdir().expect("a folder");
        let arxiv = Arxiv::start(Box::new(move |_, arguments| {
            if argument(arguments, "set") == "cs:cs:LG" {
                return list(&[record("2602.00011", "On DARTS", "cs.LG", CHANGED)], "again", DAY);
            }
            match argument(arguments, "resumptionToken") {
                "again" if is_expiring => oai("<error code='badResumptionToken'>expired</error>", DAY),
                "again" => list(&[record("2602.00012", "More DARTS", "cs.LG", CHANGED)], "again", DAY),
                _ => nothing(DAY),
            }
        }))
        .await;
        let service = Service::new(dir.path(), &arxiv.base, "harvest", &learning("DARTS"), NOW);
        let report = service.fetch().await;
        let expected = if is_expiring {
            "badResumptionToken"
        } else {
            "does not end"
        };
        assert!(why(&report).contains(expected), "{}", why(&report));
        // Two rounds, each with three beginnings anew at most.
        assert!(arxiv.n_asked("resumptionToken") <= 8, "{:?}", arxiv.requests.lock());
    }
}

#[tokio::test]
async fn too_many_broken_records_are_no_list_and_one_that_is_known_is_not_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_mended = Arc::new(Mutex::new(false));
    let mended = Arc::clone(&is_mended);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        let broken = |n: u32| record(&format!("2602.000{n}"), "", "cs.LG", CHANGED);
        match argument(arguments, "set") {
            "cs:cs:AI" => list(&[record("2602.00010", "DARTS", "cs.AI cs.LG", CHANGED)], "", DAY),
            "cs:cs:LG" if *mended.lock().expect("nothing panics") => list(&[broken(10)], "", DAY),
            "cs:cs:LG" => list(&(10..35).map(broken).collect::<Vec<_>>(), "", DAY),
            _ => oai("<error code='idDoesNotExist'>no</error>", DAY),
        }
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.AI\", \"cs.LG\"]";
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    let report = service.fetch().await;
    assert!(
        why(&report).contains("more than 20 records cannot be read"),
        "{}",
        why(&report)
    );
    assert_eq!(arxiv.n_asked("identifier="), 20);
    assert_eq!(arxiv.n_asked("2602.00010"), 0);
    *is_mended.lock().expect("nothing panics") = true;
    service.clock.set(at("2026-02-11T08:00:00Z"));
    let report = service.fetch().await;
    // The other set shows the one that is still broken here.
    assert_eq!((report.incomplete.len(), report.rejected), (0, 0));
    assert_eq!(arxiv.n_asked("identifier="), 20);
    assert_eq!(service.recorded().await, ["2602.00010"]);
}

#[tokio::test]
async fn of_two_versions_in_the_lists_the_later_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, arguments| {
        let first = record("2602.00011", "On DARTS", "cs.AI cs.LG", CHANGED);
        let date = at("2026-02-10T12:00:00Z").to_rfc2822();
        let second = first.replace("On DARTS", "DARTS again").replace(
            "</version>",
            &format!("</version><version version='v2'><date>{date}</date></version>"),
        );
        match argument(arguments, "set") {
            "cs:cs:AI" | "cs:cs:ML" => list(&[second], "", DAY),
            "cs:cs:CL" | "cs:cs:LG" => list(&[first], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.AI\", \"cs.LG\"]";
    let service = Service::new(dir.path(), &arxiv.base, "harvest", keywords, NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    let paper = service.paper("2602.00011").await;
    assert_eq!((paper.version, paper.title.as_str()), (2, "DARTS again"));
}

/// Every second set is refused the first time: that is no service that is down, and the second round brings them.
#[tokio::test]
async fn sets_that_fail_once_are_read_in_the_same_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let asked: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        let set = argument(arguments, "set");
        let mut asked = asked.lock().expect("nothing panics");
        let place = asked.len();
        let is_first = !set.is_empty() && !asked.contains_key(set);
        if is_first {
            asked.insert(set.to_owned(), place);
        }
        if is_first && place.is_multiple_of(2) {
            return oai("<error code='badArgument'>not now</error>", DAY);
        }
        match set {
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", CHANGED)], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    let report = service.fetch().await;
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    assert_eq!(arxiv.n_asked("set="), 155 + 78);
    assert_eq!(service.recorded().await, ["2602.00011"]);
}

#[tokio::test]
async fn a_list_that_ends_too_early_is_believed_when_three_over_twelve_hours_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let latest = Arc::new(Mutex::new(CHANGED));
    let shown = Arc::clone(&latest);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| match argument(arguments, "set") {
        "cs:cs:LG" => {
            let day = *shown.lock().expect("nothing panics");
            list(&[record("2602.00011", "On DARTS", "cs.LG", day)], "", DAY)
        }
        _ => nothing(DAY),
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", &learning("DARTS"), NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    *latest.lock().expect("nothing panics") = "2026-02-09";
    let mut is_complete = Vec::new();
    for now in ["2026-02-12T07:00:00Z", "2026-02-12T13:00:00Z", "2026-02-12T19:00:00Z"] {
        service.clock.set(at(now));
        let report = service.fetch().await;
        is_complete.push(report.incomplete.is_empty());
        if let Some(incomplete) = report.incomplete.first() {
            assert!(
                incomplete.why.contains("the list ends on 2026-02-09"),
                "{}",
                incomplete.why
            );
        }
    }
    assert_eq!(is_complete, [false, false, true]);
}

/// Nobody asks for the category for two months: who then does is not served with all that time.
#[tokio::test]
async fn a_set_that_nobody_needed_for_long_is_begun_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, arguments| match argument(arguments, "set") {
        "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", CHANGED)], "", DAY),
        "cs:cs:CL" => list(&[record("2602.00012", "On DARTS", "cs.CL", CHANGED)], "", DAY),
        _ => nothing(DAY),
    }))
    .await;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let spoken = "keywords = [\"hallucination\"]\ncategories = [\"cs.CL\"]";
    for (keywords, now) in [
        (learning("DARTS").as_str(), NOW),
        (spoken, "2026-02-12T07:00:00Z"),
        (learning("NAS").as_str(), "2026-04-15T07:00:00Z"),
    ] {
        Service::on(Arc::clone(&store), dir.path(), &arxiv.base, "harvest", keywords, now)
            .fetch()
            .await;
    }
    let requests = arxiv.requests.lock().expect("nothing panics");
    let from: Vec<&str> = requests
        .iter()
        .filter(|request| request.contains("set=cs:cs:LG"))
        .filter_map(|request| request.split_once("from=").map(|(_, day)| day))
        .collect();
    // A week back.
    assert_eq!(from, ["2026-02-04", "2026-04-08"]);
}

/// Hours later the sets that were complete may have changed, but the pass is there for the one that was not.
#[tokio::test]
async fn a_pass_for_one_set_reads_that_one_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if path == "/api/query" {
            // An incomplete harvest cannot tell floors; the query API can.
            return atom(&[("2602.00001".to_owned(), "x".to_owned(), at("2026-02-10T01:00:00Z"))]);
        }
        match argument(arguments, "set") {
            "cs:cs:CL" if *down.lock().expect("nothing panics") => {
                oai("<error code='badArgument'>not now</error>", DAY)
            }
            "cs:cs:CL" => list(&[record("2602.00012", "More DARTS", "cs.CL", CHANGED)], "", DAY),
            "cs:cs:LG" => list(&[record("2602.00011", "On DARTS", "cs.LG", CHANGED)], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", "keywords = [\"DARTS\"]", NOW);
    let report = service.fetch().await;
    assert!(why(&report).contains("cs.CL"), "{}", why(&report));
    let n_before = arxiv.n_asked("set=");
    assert_eq!(service.recorded().await, ["2602.00011"]);
    *is_down.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-11T11:00:00Z"));
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(arxiv.n_asked("set=") - n_before, 1);
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
}

/// The day of the list is that of its first page, and its latest change may stand on any.
#[tokio::test]
async fn a_list_read_over_midnight_counts_from_the_day_on_which_it_began() {
    let dir = tempfile::tempdir().expect("a folder");
    let arxiv = Arxiv::start(Box::new(|_, arguments| {
        let (early, late) = ("2026-02-02", "2026-02-09");
        match (argument(arguments, "set"), argument(arguments, "resumptionToken")) {
            ("cs:cs:LG", _) => list(&[record("2602.00011", "On DARTS", "cs.LG", late)], "more", late),
            (_, "more") => list(&[record("2602.00012", "More DARTS", "cs.LG", early)], "", DAY),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", &learning("DARTS"), NOW);
    for now in [NOW, "2026-02-12T07:00:00Z"] {
        service.clock.set(at(now));
        assert!(service.fetch().await.incomplete.is_empty(), "{now}");
    }
    // Three days before the ninth.
    assert_eq!(arxiv.n_asked("from=2026-02-06"), 1, "{:?}", arxiv.requests.lock());
}

#[tokio::test]
async fn a_list_with_ever_new_pages_is_left_after_five_hundred() {
    let dir = tempfile::tempdir().expect("a folder");
    let n_pages = Mutex::new(0);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        if argument(arguments, "verb") != "ListRecords" {
            return nothing(DAY);
        }
        let mut n_pages = n_pages.lock().expect("nothing panics");
        let is_first = !argument(arguments, "set").is_empty();
        *n_pages = if is_first { 1 } else { *n_pages + 1 };
        let token = if *n_pages < 600 {
            n_pages.to_string()
        } else {
            String::new()
        };
        list(&[record("2602.00011", "On DARTS", "cs.LG", CHANGED)], &token, DAY)
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", &learning("DARTS"), NOW);
    let report = service.fetch().await;
    assert!(why(&report).contains("does not end (500 pages)"), "{}", why(&report));
    assert_eq!(arxiv.n_asked("ListRecords"), 1_000, "in two rounds");
}

/// A record without a name, and one that only another record comes for: each is named once, though the list is begun anew.
#[tokio::test]
async fn a_record_that_stays_broken_is_named_once_and_no_other_stands_in_for_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_expired = Mutex::new(true);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        match (argument(arguments, "set"), argument(arguments, "resumptionToken")) {
            ("cs:cs:LG", _) => list(
                &[
                    record("2602.00011", "", "cs.LG", CHANGED),
                    record("", "", "cs.LG", CHANGED),
                    record("2602.00013", "On DARTS", "cs.LG", CHANGED),
                ],
                "more",
                DAY,
            ),
            (_, "more") if std::mem::take(&mut *is_expired.lock().expect("nothing panics")) => {
                oai("<error code='badResumptionToken'>expired</error>", DAY)
            }
            (_, "more") => list(&[record("2602.00014", "More DARTS", "cs.LG", CHANGED)], "", DAY),
            _ if argument(arguments, "verb") == "GetRecord" => oai(
                &format!(
                    "<GetRecord>{}</GetRecord>",
                    record("2602.00012", "DARTS", "cs.LG", CHANGED)
                ),
                DAY,
            ),
            _ => nothing(DAY),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", &learning("DARTS"), NOW);
    let report = service.fetch().await;
    assert_eq!((report.incomplete.len(), report.rejected), (0, 2));
    assert_eq!(service.recorded().await, ["2602.00013", "2602.00014"]);
    assert_eq!((arxiv.n_asked("set=cs:cs:LG"), arxiv.n_asked("identifier=")), (2, 1));
}

#[tokio::test]
async fn a_page_that_breaks_off_is_asked_for_again_and_not_the_whole_list() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_broken = Mutex::new(true);
    let arxiv = Arxiv::start(Box::new(move |_, arguments| {
        let (code, body) = match (argument(arguments, "set"), argument(arguments, "resumptionToken")) {
            ("cs:cs:LG", _) => list(&[record("2602.00011", "On DARTS", "cs.LG", CHANGED)], "more", DAY),
            (_, "more") => list(&[record("2602.00012", "More DARTS", "cs.LG", CHANGED)], "", DAY),
            _ => nothing(DAY),
        };
        let is_second = argument(arguments, "resumptionToken") == "more";
        if is_second && std::mem::take(&mut *is_broken.lock().expect("nothing panics")) {
            return (code, body[..body.len() - 20].to_owned());
        }
        (code, body)
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", &learning("DARTS"), NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(service.recorded().await, ["2602.00011", "2602.00012"]);
    assert_eq!(
        (arxiv.n_asked("set=cs:cs:LG"), arxiv.n_asked("resumptionToken")),
        (1, 2)
    );
}

/// Nothing that was submitted of late is announced yet; what comes then was held back since November. The lists hold only what
/// changed since the subscription's reach, so that arXiv's index tells how far back its floor must lie.
#[tokio::test]
async fn a_floor_from_further_back_than_the_lists_reach_is_asked_of_the_index() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_down = Arc::new(Mutex::new(true));
    let down = Arc::clone(&is_down);
    let changed = "2026-02-12";
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if *down.lock().expect("nothing panics") {
            return (404, String::new());
        }
        let submitted = |text: &str| at(text).to_rfc2822();
        let of = |id: &str, title: &str, day: &str| {
            let (usual, other) = (
                submitted("2026-02-12T01:00:00Z"),
                submitted(&format!("{day}T01:00:00Z")),
            );
            record(id, title, "cs.LG", changed).replace(&usual, &other)
        };
        if path == "/api/query" {
            let query = argument(arguments, "search_query");
            // Only the second week back holds something.
            return if query.starts_with("submittedDate:[20260130") {
                atom(&[("2602.00500".to_owned(), "x".to_owned(), at("2026-01-31T01:00:00Z"))])
            } else {
                atom(&[])
            };
        }
        match argument(arguments, "set") {
            "cs:cs:LG" => list(
                &[
                    of("2602.05001", "Held DARTS", "2025-11-20"),
                    of("2602.05002", "Other", "2026-02-01"),
                ],
                "",
                "2026-02-13",
            ),
            _ => nothing("2026-02-13"),
        }
    }))
    .await;
    let service = Service::new(dir.path(), &arxiv.base, "harvest", &learning("DARTS"), NOW);
    assert_eq!(service.fetch().await.incomplete.len(), 1);
    *is_down.lock().expect("nothing panics") = false;
    service.clock.set(at("2026-02-13T07:00:00Z"));
    assert!(service.fetch().await.incomplete.is_empty());
    assert_eq!(service.recorded().await, ["2602.05001"], "{:?}", arxiv.requests.lock());
}
