//! Weeks of arXiv as they were recorded, on good days and bad.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use paperround::{
    matching::Lexicon,
    model::{Definition, Paper, Term},
};
use serde_json::{Value, json};

use crate::harness::{
    interfaces::{Arxiv, argument, at, atom, list, nothing, record},
    service::Service,
    simulator::Simulator,
};

/// The same days' searches as they were recorded again and again over months: arXiv goes on adding papers.
#[tokio::test]
async fn every_paper_that_ever_appears_in_a_recorded_window_is_mailed_once() {
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
            "keywords = [\"alpha\"]\ncategories = [\"cs.LG\"]\n[digest]\nabstracts = \"none\"",
            &now,
        );
        service.run_and_conclude(&now).await;
        assert_eq!(service.mailed(), [] as [&str; 0]);
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
            // A mail holds a hundred; and once more on the same day, which brings nothing.
            while service.run_and_conclude(fetched_at).await.queued > 0 {}
        }
        let ever: Vec<String> = ever.into_iter().collect();
        assert_eq!(service.mailed(), ever, "{}", day["day"]);
    }
    assert!(n_late > 100, "the recording holds late papers: {n_late}");
}

/// Who reads what in the comparison of the sources; all of it in some busy categories.
const READERS: [(&str, &[&str]); 4] = [
    ("ana@example.net", &["graph neural network", "RAG"]),
    ("bo@example.net", &["reinforcement learning", "multi-agent"]),
    ("cy@example.net", &["diffusion model", "GNN", "federated learning"]),
    (
        "eva@example.net",
        &["chain of thought", "hallucination", "large language model"],
    ),
];

/// A paper that one source has shown to a subscriber and the other one not yet.
struct Difference {
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    /// Where the keyword stands in its text, and why one source did not find it; `None` if nothing explains it.
    explanation: Option<String>,
}

/// What a search brings and what a harvest does, day by day; every difference is printed with its text.
#[tokio::test]
async fn both_sources_give_every_subscriber_the_same_papers_over_recorded_weeks() {
    let begin = at("2026-01-19T07:00:00Z");
    let Some(simulator) = Simulator::start("2026-01-19T07:00:00Z").await else {
        return;
    };
    let lines = READERS.iter().enumerate().map(|(n, (email, keywords))| {
        // The table of the first one has begun already.
        let head = if n == 0 {
            String::new()
        } else {
            format!("[[subscriber]]\nemail = \"{email}\"\n")
        };
        format!("{head}categories = [\"cs.CL\", \"cs.AI\"]\nkeywords = {keywords:?}\n")
    });
    let people = lines.collect::<String>();
    let folders = [
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    ];
    let services = ["query", "harvest"]
        .iter()
        .zip(&folders)
        .map(|(source, dir)| Service::new(dir.path(), &simulator.base, source, &people, "2026-01-19T07:00:00Z"))
        .collect::<Vec<_>>();
    let mut differences = Differences::new();
    let mut n_papers = 0;
    // The last day is a Sunday, so that the reconciliation has brought what only the harvest can find.
    for day in 0..=20 {
        let now = begin + TimeDelta::days(day);
        simulator.set_now(now).await;
        for service in &services {
            service.clock.set(now);
            let report = service.fetch().await;
            assert!(report.incomplete.is_empty(), "{now}: {:?}", report.incomplete);
        }
        n_papers = compare(&READERS, [&services[0], &services[1]], now, &mut differences).await;
    }
    for ((reader, id, source), difference) in &differences {
        println!("{}", difference.in_words(id, reader, source));
        assert!(difference.explanation.is_some(), "{id} for {reader} by {source} alone");
        assert!(
            difference.days().is_some_and(|days| days <= 7),
            "{id} for {reader} stays with {source} alone"
        );
    }
    println!(
        "{n_papers} papers for {} readers, {} differences",
        READERS.len(),
        differences.len()
    );
    assert!(n_papers > 300, "{n_papers}");
}

/// By reader, paper, and the source that has shown it.
type Differences = BTreeMap<(String, String, &'static str), Difference>;

impl Difference {
    /// How long it lasted; `None` where it still does.
    fn days(&self) -> Option<i64> {
        self.until.map(|until| (until - self.since).num_days())
    }

    fn in_words(&self, id: &str, reader: &str, source: &str) -> String {
        let until = self
            .until
            .map_or("the end".to_owned(), |until| until.date_naive().to_string());
        format!(
            "{id} for {reader}, by {source} alone from {} to {until}: {}",
            self.since.date_naive(),
            self.explanation.as_deref().unwrap_or("nothing explains it")
        )
    }
}

/// Notes which papers one of the two services, by query and by harvest, has recorded alone. Returns how many there are by
/// query.
async fn compare(
    readers: &[(&str, &[&str])],
    services: [&Service; 2],
    now: DateTime<Utc>,
    differences: &mut Differences,
) -> usize {
    let mut n_papers = 0;
    for (reader, keywords) in readers {
        let by_query: BTreeSet<String> = services[0].recorded_for(reader).await.into_iter().collect();
        let by_harvest: BTreeSet<String> = services[1].recorded_for(reader).await.into_iter().collect();
        n_papers += by_query.len();
        let alone = by_harvest.difference(&by_query).map(|id| ("harvest", services[1], id));
        let alone = alone.chain(by_query.difference(&by_harvest).map(|id| ("query", services[0], id)));
        let mut present = BTreeSet::new();
        for (source, service, id) in alone {
            let key = ((*reader).to_owned(), id.clone(), source);
            present.insert(key.clone());
            if let Entry::Vacant(unseen) = differences.entry(key) {
                let paper = service.paper(id).await;
                unseen.insert(Difference {
                    since: now,
                    until: None,
                    explanation: explained(&paper, keywords, source),
                });
            }
        }
        for (key, difference) in differences.iter_mut() {
            if key.0 == *reader && !present.contains(key) {
                difference.until.get_or_insert(now);
            }
        }
    }
    n_papers
}

/// The same comparison where the two differ: what the harvest alone can find, what it has not in its set, and what both
/// have. Each comes to both within the week, and the run that held one source against the other says how many.
#[tokio::test]
async fn where_the_sources_differ_the_difference_is_explained_told_and_made_up_for() {
    const READER: &str = "ana@example.net";
    const KEYWORDS: [&str; 1] = ["reinforcement learning"];
    let begin = at("2026-02-17T07:00:00Z");
    let today = Arc::new(Mutex::new(begin));
    let moment = Arc::clone(&today);
    // Submitted a day before it is shown: identifier, title, day, whether the search finds it, whether the set holds it.
    let papers = [
        ("2602.00011", "On reinforcement learning", 16, true, true),
        ("2602.00012", "\\textbf{R}einforcement Learning", 23, false, true),
        ("2602.00013", "A first study.Reinforcement learning", 24, false, true),
        ("2602.00014", "Cross-listed reinforcement learning", 24, true, false),
        ("2602.00015", "More reinforcement learning", 25, true, true),
    ];
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        let now = *moment.lock().expect("nothing panics");
        let submitted = |day: u32| at(&format!("2026-02-{day:02}T01:00:00Z"));
        let shown = papers
            .iter()
            .filter(|(_, _, day, ..)| submitted(*day) + TimeDelta::days(1) <= now);
        let today = now.date_naive().to_string();
        if path == "/api/query" {
            let query = argument(arguments, "search_query");
            let within = |at: &DateTime<Utc>| {
                let minute = at.format("%Y%m%d%H%M").to_string();
                query
                    .split_once("submittedDate:[")
                    .is_none_or(|(_, window)| window[..12] <= *minute && *minute <= window[16..28])
            };
            let found = shown.filter(|(_, _, day, is_found, _)| *is_found && within(&submitted(*day)));
            let found: Vec<_> = found
                .map(|(id, title, day, ..)| ((*id).to_owned(), (*title).to_owned(), submitted(*day)))
                .collect();
            return atom(&found);
        }
        let from = argument(arguments, "from");
        let records: Vec<String> = shown
            .filter(|(.., is_held)| *is_held)
            .map(|(id, title, day, ..)| (format!("2026-02-{day:02}"), *id, *title))
            .filter(|(day, ..)| day.as_str() >= from)
            .map(|(day, id, title)| record(id, title, "cs.LG", &day))
            .collect();
        if argument(arguments, "set") == "cs:cs:LG" && !records.is_empty() {
            list(&records, "", &today)
        } else {
            nothing(&today)
        }
    }))
    .await;
    let lines = format!("keywords = {KEYWORDS:?}\ncategories = [\"cs.LG\"]");
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let service =
        |n: usize, source: &str| Service::new(folders[n].path(), &arxiv.base, source, &lines, "2026-02-17T07:00:00Z");
    let (by_query, by_harvest) = (service(0, "query"), service(1, "harvest"));
    let mut differences = Differences::new();
    let mut told = Vec::new();
    for day in 0..=12 {
        let now = begin + TimeDelta::days(day);
        *today.lock().expect("nothing panics") = now;
        for service in [&by_query, &by_harvest] {
            service.clock.set(now);
            let report = service.fetch().await;
            assert!(report.incomplete.is_empty(), "{now}: {:?}", report.incomplete);
            let json = serde_json::to_value(&report).expect("a report is JSON");
            told.extend(
                report
                    .found_alone()
                    .into_iter()
                    .filter(|words| !words.contains("deep"))
                    .map(|words| (now.date_naive().to_string(), words, json["reconciliation"].clone())),
            );
        }
        compare(&[(READER, &KEYWORDS)], [&by_query, &by_harvest], now, &mut differences).await;
    }
    let seen: Vec<(&str, &str, bool, Option<i64>)> = differences
        .iter()
        .map(|((_, id, source), difference)| {
            (
                id.as_str(),
                *source,
                difference.explanation.is_some(),
                difference.days(),
            )
        })
        .collect();
    // The cross-list is no matter of words: it would be a failure of the comparison above.
    assert_eq!(
        seen,
        [
            ("2602.00012", "harvest", true, Some(2)),
            ("2602.00013", "harvest", true, Some(1)),
            ("2602.00014", "query", false, Some(1)),
        ]
    );
    // The ninth day, since the one Saturday between comes too early.
    let expected = [
        (
            "found only by harvest: 2, missed by it: 1",
            json!({"by": "harvest", "found_alone": 2, "missed": 1, "is_complete": true}),
        ),
        (
            "found only by query: 1, missed by it: 2",
            json!({"by": "query", "found_alone": 1, "missed": 2, "is_complete": true}),
        ),
    ];
    let expected = expected.map(|(words, json)| ("2026-02-26".to_owned(), words.to_owned(), json));
    assert_eq!(told, expected);
    for service in [&by_query, &by_harvest] {
        assert_eq!(service.recorded().await, papers.map(|(id, ..)| id.to_owned()));
    }
}

/// Why a search cannot find what the harvest does: wherever a keyword stands in the text, arXiv's index has other
/// words, since it keeps `word.word`, `word:word` and `word_word` together and reads the names of TeX commands.
fn explained(paper: &Paper, keywords: &[&str], source: &str) -> Option<String> {
    let definitions: Vec<Definition> = keywords
        .iter()
        .map(|keyword| Definition::unrestricted(Term::phrase(*keyword)))
        .collect();
    let (lexicon, _) = Lexicon::new(&definitions);
    let reading = lexicon.read(paper);
    let mut excerpts = Vec::new();
    for (keyword, definition) in keywords.iter().zip(&definitions) {
        let Some(found) = reading.found(&definition.term) else {
            continue;
        };
        for (text, hits) in [
            (&paper.title, &found.title),
            (&paper.abstract_text, &found.abstract_text),
        ] {
            if is_in_index(text, keyword) {
                return None;
            }
            for hit in hits {
                let from = text[..hit.start].char_indices().rev().nth(20).map_or(0, |(at, _)| at);
                let to = text[hit.end..]
                    .char_indices()
                    .nth(20)
                    .map_or(text.len(), |(at, _)| hit.end + at);
                excerpts.push(format!("{keyword:?} in “…{}…”", &text[from..to]));
            }
        }
    }
    (source == "harvest" && !excerpts.is_empty()).then(|| excerpts.join(", "))
}

/// Whether arXiv's index holds a phrase's words one after the other.
fn is_in_index(text: &str, phrase: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | ':' | '_' | '\''))
            .map(|word| word.trim_matches(['.', ':', '_', '\'']).to_lowercase())
            .filter(|word| !word.is_empty())
            .map(|word| word.strip_suffix('s').map_or(word.clone(), str::to_owned))
            .collect()
    };
    let phrase = words(phrase);
    words(text).windows(phrase.len()).any(|window| window == phrase)
}

/// CASES 22, 24, 25, 36. The four days after 11 November 2025, when arXiv ignored sorting and dates, and days with
/// holes and with the answers of the day before: what they bring is what a calm arXiv would have brought, sooner or
/// later, and nothing else. Whoever begins on the worst of these days loses nothing either.
#[tokio::test]
async fn days_like_november_2025_bring_nothing_old_and_lose_nothing() {
    survive_november_2025("query").await;
}

/// The same by harvest, as far as its interface has such faults: lists in another order, records without their
/// metadata, the lists of the day before. Lists that ignore their dates are in `harvest.rs`.
#[tokio::test]
async fn days_like_november_2025_bring_nothing_old_and_lose_nothing_by_harvest() {
    survive_november_2025("harvest").await;
}

async fn survive_november_2025(source: &str) {
    let first = "2026-01-19T07:00:00Z";
    let Some(simulator) = Simulator::start(first).await else {
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
    let begin = |n: usize, now: &str| Service::new(folders[n].path(), &simulator.base, source, keywords, now);
    let worst = "2026-01-21T07:00:00Z";
    let pairs = [
        (0, begin(0, first), begin(1, first)),
        (2, begin(2, worst), begin(3, worst)),
    ];
    let mut n_felt = 0;
    for day in 0..=11 {
        let now = at(first) + TimeDelta::days(day);
        simulator.set_now(now).await;
        let faults = bad_days.iter().find(|(bad, _)| *bad == day).map(|(_, faults)| faults);
        for (_, calm, struck) in pairs.iter().filter(|(begins, _, _)| *begins <= day) {
            calm.clock.set(now);
            simulator.set_faults(&json!([])).await;
            let in_calm = calm.fetch().await;
            assert!(in_calm.incomplete.is_empty(), "{now}");
            struck.clock.set(now);
            simulator.set_faults(faults.unwrap_or(&json!([]))).await;
            let report = struck.fetch().await;
            // Refused, or known to be of the day before, or mended by further requests.
            let is_felt = !report.incomplete.is_empty()
                || report.current != in_calm.current
                || report.requests > in_calm.requests;
            n_felt += usize::from(is_felt);
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
    println!("by {source} faults were felt in {n_felt} fetches");
    assert!(n_felt > 0, "the faults were felt");
    for (begins, calm, struck) in &pairs {
        let calm = calm.recorded().await;
        assert!(calm.len() > 20, "{}", calm.len());
        assert_eq!(struck.recorded().await, calm, "begun on day {begins}");
    }
}
