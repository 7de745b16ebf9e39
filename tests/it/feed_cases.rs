//! The feeds that stand in for a silent search: which are read, how many, how often, and what is taken from them.

use std::sync::{Arc, Mutex};

use crate::harness::{
    interfaces::{Arxiv, argument, at, atom, feed},
    program,
    service::Service,
};

const NOW: &str = "2026-02-11T07:00:00Z";
const LATER: &str = "2026-02-12T07:00:00Z";

/// The search for this word is refused from now on; none, where it is empty.
type Refused = Arc<Mutex<&'static str>>;

/// arXiv with papers on DARTS in two categories, on crystals in a third, and these feeds.
async fn arxiv(feeds: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> (Arxiv, Refused) {
    let refused = Refused::default();
    let shown = Arc::clone(&refused);
    let arxiv = Arxiv::start(Box::new(move |path, arguments| {
        if let Some(category) = path.strip_prefix("/rss/") {
            return feeds(category);
        }
        let query = argument(arguments, "search_query");
        let refused = *shown.lock().expect("nothing panics");
        if !refused.is_empty() && query.contains(refused) {
            return (404, String::new());
        }
        let paper = |number: u32, title: &str| {
            let submitted = at("2026-02-10T01:00:00Z");
            (format!("2602.000{number}"), title.to_owned(), submitted)
        };
        let (code, body) = if query.contains("crystals") {
            atom(&[paper(21, "On crystals")])
        } else if query.contains("unheard") {
            atom(&[])
        } else {
            atom(&[paper(11, "DARTS"), paper(12, "DARTS"), paper(13, "DARTS")])
        };
        let body = if query.contains("crystals") {
            body.replace("cs.LG", "cond-mat.soft")
        } else {
            body.replacen("<category", "<category term=\"stat.ML\"/><category", 1)
        };
        (code, body)
    }))
    .await;
    (arxiv, refused)
}

/// The feeds that were asked for, in order.
fn feeds_asked(arxiv: &Arxiv) -> Vec<String> {
    let requests = arxiv.requests.lock().expect("nothing panics");
    requests
        .iter()
        .filter_map(|request| request.strip_prefix("/rss/"))
        .map(|rest| rest.trim_end_matches('?').to_owned())
        .collect()
}

#[tokio::test]
async fn the_feeds_are_those_of_the_categories_in_which_what_is_missing_was_found_lately() {
    let dir = tempfile::tempdir().expect("a folder");
    let (arxiv, refused) = arxiv(|_| feed(&[("2602.00031", "new", "DARTS"), ("2602.00032", "new", "Other")])).await;
    let keywords = "keywords = [\"DARTS\", \"crystals\", \"unheard\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, NOW);
    assert!(service.fetch().await.incomplete.is_empty());
    *refused.lock().expect("nothing panics") = "DARTS";
    service.clock.set(at(LATER));
    assert_eq!(service.fetch().await.incomplete.len(), 1);
    // Three papers in the one and one of them in the other category.
    assert_eq!(feeds_asked(&arxiv), ["cs.LG", "stat.ML"]);
    assert!(service.recorded().await.contains(&"2602.00031".to_owned()));
    let other = ["2602.00032".parse().expect("an identifier")];
    let stored = service.store.latest_papers(&other).await.expect("the store works");
    assert!(stored[0].is_none(), "nobody asked for it");
    // Once a day, and on the next day again.
    service.clock.set(at("2026-02-12T14:00:00Z"));
    service.fetch().await;
    assert_eq!(feeds_asked(&arxiv).len(), 2);
    service.clock.set(at("2026-02-13T07:00:00Z"));
    service.fetch().await;
    assert_eq!(feeds_asked(&arxiv).len(), 4);
    // Where the one that is missing has never found anything, the others' papers tell.
    *refused.lock().expect("nothing panics") = "unheard";
    service.clock.set(at("2026-02-17T07:00:00Z"));
    service.fetch().await;
    assert_eq!(feeds_asked(&arxiv)[4..], ["cs.LG", "cond-mat.soft", "stat.ML"]);
}

#[tokio::test]
async fn a_keyword_with_categories_reads_no_feed_of_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let (arxiv, refused) = arxiv(|_| feed(&[])).await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\", \"cs.CV\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, NOW);
    service.fetch().await;
    *refused.lock().expect("nothing panics") = "DARTS";
    service.clock.set(at(LATER));
    service.fetch().await;
    assert_eq!(feeds_asked(&arxiv), ["cs.CV", "cs.LG"]);
}

/// More than seventy categories could be read.
#[tokio::test]
async fn one_announcement_is_worth_forty_feeds_and_three_failures_in_a_row() {
    for (fails_of_three, n_expected) in [(0, 40), (2, 40), (3, 3)] {
        let dir = tempfile::tempdir().expect("a folder");
        let n_asked = Mutex::new(0);
        let (arxiv, refused) = arxiv(move |_| {
            let mut n_asked = n_asked.lock().expect("nothing panics");
            *n_asked += 1;
            if *n_asked % 3 < fails_of_three {
                (404, String::new())
            } else {
                feed(&[])
            }
        })
        .await;
        *refused.lock().expect("nothing panics") = "DARTS";
        let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.*\", \"math.*\"]";
        let service = Service::new(dir.path(), &arxiv.base, "query", keywords, NOW);
        service.fetch().await;
        assert_eq!(feeds_asked(&arxiv).len(), n_expected, "{fails_of_three}");
        if fails_of_three == 0 {
            service.clock.set(at("2026-02-11T14:00:00Z"));
            service.fetch().await;
            assert_eq!(feeds_asked(&arxiv).len(), n_expected);
        }
    }
}

#[tokio::test]
async fn a_feed_that_breaks_off_is_asked_for_again_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_broken = Mutex::new(true);
    let (arxiv, refused) = arxiv(move |_| {
        let (code, body) = feed(&[("2602.00031", "new", "DARTS")]);
        if std::mem::take(&mut *is_broken.lock().expect("nothing panics")) {
            return (code, body[..body.len() - 20].to_owned());
        }
        (code, body)
    })
    .await;
    let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]";
    let service = Service::new(dir.path(), &arxiv.base, "query", keywords, NOW);
    service.fetch().await;
    *refused.lock().expect("nothing panics") = "DARTS";
    service.clock.set(at(LATER));
    service.fetch().await;
    assert_eq!(feeds_asked(&arxiv).len(), 2);
    assert!(service.recorded().await.contains(&"2602.00031".to_owned()));
}

/// arXiv cuts its feeds at 2,000 items, and the new papers stand last.
#[tokio::test]
async fn a_feed_that_may_have_been_cut_is_named() {
    for (n_items, is_named) in [(1_899, false), (1_900, true)] {
        let dir = tempfile::tempdir().expect("a folder");
        let ids: Vec<String> = (0..n_items).map(|n| format!("2601.{n:05}")).collect();
        let (arxiv, refused) = arxiv(move |_| {
            let items: Vec<(&str, &str, &str)> = ids.iter().map(|id| (id.as_str(), "replace", "Other")).collect();
            feed(&items)
        })
        .await;
        *refused.lock().expect("nothing panics") = "DARTS";
        let keywords = "keywords = [\"DARTS\"]\ncategories = [\"cs.LG\"]";
        drop(Service::new(dir.path(), &arxiv.base, "query", keywords, NOW));
        let ended = program::run(&dir.path().join("config.toml"), &["run", "--now", NOW]).await;
        assert_eq!(ended.code, Some(75), "{}", ended.err);
        let words = "so long that new papers may be cut off";
        assert_eq!(ended.err.contains(words), is_named, "{}", ended.err);
    }
}
