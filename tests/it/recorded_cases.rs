//! Weeks of arXiv as they were recorded, on good days and bad.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    interfaces::{Arxiv, argument, at, atom, nothing},
    service::Service,
    simulator::Simulator,
};

/// The same days' searches as they were recorded again and again over months: arXiv goes on adding papers.
#[tokio::test]
async fn every_paper_that_ever_appears_in_a_recorded_window_is_recorded_once() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/late_arrivals.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared is absent");
        return;
    };
    let days: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| Some(id.as_str()?.to_owned()))
            .collect()
    };
    type Shown = Vec<(String, String, DateTime<Utc>)>;
    let shown: Arc<Mutex<Shown>> = Arc::default();
    let before: Arc<Mutex<Shown>> = Arc::default();
    let (answers, floors) = (Arc::clone(&shown), Arc::clone(&before));
    let arxiv = Arxiv::start(Box::new(move |path, arguments| match path {
        "/api/query" if argument(arguments, "search_query").contains("alpha") => {
            let query = argument(arguments, "search_query");
            let (_, window) = query.split_once("submittedDate:[").expect("every search has a window");
            let within: Vec<_> = answers
                .lock()
                .expect("nothing panics")
                .iter()
                .filter(|(_, _, submitted)| {
                    let minute = submitted.format("%Y%m%d%H%M").to_string();
                    window[..12] <= *minute && *minute <= window[16..28]
                })
                .cloned()
                .collect();
            atom(&within)
        }
        "/api/query" => atom(&floors.lock().expect("nothing panics")),
        _ => nothing("2025-01-01"),
    }))
    .await;
    let mut n_late = 0;
    for day in &days {
        let dir = tempfile::tempdir().expect("a folder");
        let begin = at(&format!("{}T00:30:00Z", day["day"].as_str().expect("a day")));
        let snapshots = day["snapshots"].as_array().expect("a list");
        let ever: BTreeSet<String> = snapshots
            .iter()
            .flat_map(|snapshot| texts(&snapshot["added"]))
            .collect();
        let month = ever.first().map_or("2501", |id| &id[..4]);
        *before.lock().expect("nothing panics") = vec![(
            format!("{month}.00001"),
            "before".to_owned(),
            begin - TimeDelta::days(1),
        )];
        shown.lock().expect("nothing panics").clear();
        let now = begin.to_rfc3339();
        let service = Service::new(
            dir.path(),
            &arxiv.base,
            "query",
            "keywords = [\"alpha\"]\ncategories = [\"cs.LG\"]",
            &now,
        );
        service.fetch().await;
        let mut n_recorded = 0;
        for (n, snapshot) in snapshots.iter().enumerate() {
            let added = texts(&snapshot["added"]);
            n_late += if n > 0 { added.len() } else { 0 };
            let removed = texts(&snapshot["removed"]);
            {
                let mut shown = shown.lock().expect("nothing panics");
                shown.retain(|(id, _, _)| !removed.contains(id));
                shown.extend(
                    added
                        .into_iter()
                        .map(|id| (id, "alpha".to_owned(), begin + TimeDelta::hours(12))),
                );
            }
            let fetched_at = snapshot["fetched_at"].as_str().expect("a moment");
            service
                .clock
                .set(DateTime::parse_from_rfc3339(fetched_at).expect("a moment").to_utc());
            // Once more on the same day: nothing is recorded twice.
            n_recorded += service.fetch().await.matched;
            assert_eq!(service.fetch().await.matched, 0, "{fetched_at}");
        }
        let recorded: BTreeSet<String> = service.recorded().await.into_iter().collect();
        assert_eq!(recorded, ever, "{}", day["day"]);
        assert_eq!(n_recorded, ever.len(), "{}", day["day"]);
    }
    assert!(n_late > 100, "the recording holds late papers: {n_late}");
}

#[tokio::test]
async fn both_sources_give_the_same_papers_over_recorded_weeks() {
    let begin = at("2026-01-19T07:00:00Z");
    let Some(simulator) = Simulator::start("2026-01-19T07:00:00Z").await else {
        println!("skipped: ../shared or python3 is absent");
        return;
    };
    let keywords = "categories = [\"cs.CL\", \"cs.AI\"]\n\
                    keywords = [\"graph neural network\", \"RAG\", \"multi-agent\", \"reinforcement learning\", \"hallucination\"]";
    let folders = [
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    ];
    let services = ["query", "harvest"]
        .iter()
        .zip(&folders)
        .map(|(source, dir)| Service::new(dir.path(), &simulator.base, source, keywords, "2026-01-19T07:00:00Z"))
        .collect::<Vec<_>>();
    // The last day is a Sunday, so that the reconciliation has brought what only the harvest can find.
    for day in 0..=20 {
        let now = begin + TimeDelta::days(day);
        simulator.set_now(now).await;
        for service in &services {
            service.clock.set(now);
            let report = service.fetch().await;
            assert!(report.incomplete.is_empty(), "{now}: {:?}", report.incomplete);
        }
    }
    let by_query = services[0].recorded().await;
    assert!(by_query.len() > 100, "{}", by_query.len());
    assert_eq!(by_query, services[1].recorded().await);
}

/// CASES 22, 24, 25, 36. The four days after 11 November 2025, when arXiv ignored sorting and dates, and days with
/// holes and with the answers of the day before: what they bring is what a calm arXiv would have brought, sooner or
/// later, and nothing else. Whoever begins on the worst of these days loses nothing either.
#[tokio::test]
async fn days_like_november_2025_bring_nothing_old_and_lose_nothing() {
    let first = "2026-01-19T07:00:00Z";
    let Some(simulator) = Simulator::start(first).await else {
        println!("skipped: ../shared or python3 is absent");
        return;
    };
    // For ever, and each in turn.
    let lasting = |kind: &str| json!([{ "do": kind, "times": 10_000 }]);
    let in_turn = |kinds: &[&str]| -> Value {
        let faults = kinds.iter().cycle().take(60).map(|kind| json!({ "do": kind }));
        Value::Array(faults.collect())
    };
    let bad_days = [
        (2, lasting("undated")),
        (3, in_turn(&["unsorted", "undated"])),
        (4, lasting("hole")),
        (7, lasting("stale")),
        (8, lasting("unsorted")),
        (9, in_turn(&["stale", "hole", "undated"])),
    ];
    let keywords = "categories = [\"cs.CL\", \"cs.AI\"]\nkeywords = [\"graph neural network\", \"RAG\"]";
    let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let begin = |n: usize, now: &str| Service::new(folders[n].path(), &simulator.base, "query", keywords, now);
    let worst = "2026-01-21T07:00:00Z";
    let pairs = [
        (0, begin(0, first), begin(1, first)),
        (2, begin(2, worst), begin(3, worst)),
    ];
    let mut n_incomplete = 0;
    for day in 0..=11 {
        let now = at(first) + TimeDelta::days(day);
        simulator.set_now(now).await;
        let faults = bad_days.iter().find(|(bad, _)| *bad == day).map(|(_, faults)| faults);
        for (_, calm, struck) in pairs.iter().filter(|(begins, _, _)| *begins <= day) {
            calm.clock.set(now);
            simulator.set_faults(&json!([])).await;
            assert!(calm.fetch().await.incomplete.is_empty(), "{now}");
            struck.clock.set(now);
            simulator.set_faults(faults.unwrap_or(&json!([]))).await;
            n_incomplete += struck.fetch().await.incomplete.len();
            let calm: BTreeSet<String> = calm.recorded().await.into_iter().collect();
            let foreign: Vec<String> = struck
                .recorded()
                .await
                .into_iter()
                .filter(|id| !calm.contains(id))
                .collect();
            assert!(foreign.is_empty(), "{now}: {foreign:?}");
        }
    }
    assert!(n_incomplete > 0, "the faults were felt");
    for (begins, calm, struck) in &pairs {
        let calm = calm.recorded().await;
        assert!(calm.len() > 20, "{}", calm.len());
        assert_eq!(struck.recorded().await, calm, "begun on day {begins}");
    }
}
