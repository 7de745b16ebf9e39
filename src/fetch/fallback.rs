//! The feeds, for a day on which arXiv's other interfaces stay silent.
//!
//! A feed holds one announcement in one category, without comments and dates, and is gone the next day. What it
//! brings is sent, and completed when the paper is fetched again; the keyword stays incomplete.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{Errand, Fetched, Fetcher, Search, patience::Patience, reconcile::add_unknown};
use crate::{
    arxiv::{
        calendar::{self, Announcement, Interface},
        leafsets,
        rss::{AnnounceType, Feed},
    },
    matching::category,
    model::{ArxivId, Paper},
    store::{DocumentKind, Store, StoreError, Versioned, documents},
};

const NOTE: &str = "feeds";
/// How many feeds one announcement is worth.
const FEEDS_MAX: usize = 40;
/// How many stored papers tell in which categories a keyword's papers are.
const PAPERS_ASKED: usize = 200;
/// After so many failures in a row the feeds count as down too.
const FAILURES_MAX: u32 = 3;

/// Which feeds were read of which announcement: there is nothing more in them on the same day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Read {
    evening: Option<NaiveDate>,
    categories: BTreeSet<String>,
}

impl Fetcher {
    /// Reads the feeds of the categories in which the incomplete keywords' papers are to be expected.
    pub(super) async fn fall_back(
        &self,
        store: &dyn Store,
        searches: &[Search],
        errand: &Errand<'_>,
        fetched: &mut Fetched,
        patience: &mut Patience,
    ) -> Result<(), StoreError> {
        let without_answer: BTreeSet<_> = fetched
            .incomplete
            .iter()
            .filter(|term| term.is_passing)
            .map(|term| term.term.clone())
            .collect();
        let searches: Vec<&Search> = searches
            .iter()
            .filter(|one| without_answer.contains(&one.term))
            .collect();
        if searches.is_empty() {
            return Ok(());
        }
        let evening = latest_in_feeds(errand.now).evening;
        let mut read: Versioned<Read> = documents::load(store, DocumentKind::Note, NOTE).await?;
        if read.value.evening != Some(evening) {
            read.value = Read {
                evening: Some(evening),
                categories: BTreeSet::new(),
            };
        }
        let mut papers: Vec<Paper> = Vec::new();
        let mut n_running = 0;
        let n_left = FEEDS_MAX.saturating_sub(read.value.categories.len());
        let categories = categories(store, &searches, fetched).await?;
        let unread: Vec<String> = categories
            .into_iter()
            .filter(|name| !read.value.categories.contains(name))
            .collect();
        for category in unread.into_iter().take(n_left) {
            let url = self.feed_url(&category);
            match self
                .persist::<Feed>(&url, self.settings.timeout, patience, &mut fetched.n_requests)
                .await?
            {
                Ok(feed) => {
                    n_running = 0;
                    if feed.may_be_cut() {
                        tracing::warn!(
                            category,
                            n_items = feed.n_items,
                            "the feed is so long that new papers may be cut off; they come with the next complete fetch"
                        );
                    }
                    papers.extend(announced(feed).filter(|paper| (errand.wanted)(paper)));
                    read.value.categories.insert(category);
                }
                Err(failed) => {
                    tracing::warn!(category, why = %failed, "a feed could not be read");
                    n_running += 1;
                    if n_running >= FAILURES_MAX {
                        break;
                    }
                }
            }
        }
        let n_papers = papers.len();
        let n_unknown = add_unknown(store, papers, fetched).await?.len();
        if n_papers > 0 {
            tracing::info!(n_papers, n_unknown, "the feeds stood in for the day");
        }
        let document = documents::to_write(DocumentKind::Note, NOTE, &read)?;
        fetched.notes.push(document);
        Ok(())
    }

    fn feed_url(&self, category: &str) -> Url {
        let mut url = self.settings.rss_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(category);
        }
        url
    }
}

/// The papers that a feed announces as new in its category, or as new to it.
///
/// A brand-new paper whose primary category is elsewhere comes as `cross`, and so does an old one; which it is the
/// identifier decides. An item whose type is in no known words is taken too.
fn announced(feed: Feed) -> impl Iterator<Item = Paper> {
    feed.items
        .into_iter()
        .filter(|item| match item.announce_type {
            Some(AnnounceType::New | AnnounceType::Cross) | None => true,
            Some(AnnounceType::Replace | AnnounceType::ReplaceCross) => false,
        })
        .map(|item| item.paper)
}

/// The announcement that the feeds show.
fn latest_in_feeds(now: DateTime<Utc>) -> Announcement {
    let mut announcement = calendar::latest_announcement(now);
    while announcement.visible_in(Interface::Rss) > now {
        announcement = announcement.previous();
    }
    announcement
}

/// Where the searches' papers are to be expected, the likeliest first: in the categories that they name, else in
/// those in which their papers were lately.
async fn categories(store: &dyn Store, searches: &[&Search], fetched: &Fetched) -> Result<Vec<String>, StoreError> {
    let mut votes: HashMap<String, usize> = HashMap::new();
    let mut is_any_free = false;
    for patterns in searches.iter().map(|search| search.categories.concat()) {
        is_any_free |= patterns.is_empty();
        for set in leafsets::all() {
            if patterns.iter().any(|pattern| category::covers(pattern, &set.category)) {
                *votes.entry(set.category).or_default() += 1;
            }
        }
    }
    if is_any_free {
        let known: Vec<ArxivId> = fetched.lately_found().take(PAPERS_ASKED).collect();
        let mut stored: Vec<Paper> = store
            .latest_papers(&known)
            .await?
            .into_iter()
            .flatten()
            .map(|stored| stored.paper)
            .collect();
        if stored.is_empty() {
            stored = store
                .newest_papers(None, PAPERS_ASKED)
                .await?
                .into_iter()
                .map(|stored| stored.paper)
                .collect();
        }
        for category in stored.into_iter().flat_map(|paper| paper.categories) {
            *votes.entry(category).or_default() += 1;
        }
    }
    let mut ranked: Vec<(String, usize)> = votes.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(ranked.into_iter().map(|(category, _)| category).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feeds_show_an_announcement_from_midnight_eastern_on() {
        let check = |now: &str, expected: &str| {
            let now: DateTime<Utc> = now.parse().unwrap();
            assert_eq!(latest_in_feeds(now).evening.to_string(), expected, "{now}");
        };
        // Tuesday evening's announcement; midnight Eastern is 05:00 UTC in winter.
        check("2026-02-11T04:59:00Z", "2026-02-09");
        check("2026-02-11T05:00:00Z", "2026-02-10");
        check("2026-02-14T12:00:00Z", "2026-02-12");
    }

    #[test]
    fn what_is_new_or_new_to_the_category_is_taken_and_a_replacement_is_not() {
        let item = |id: &str, kind: &str| {
            format!(
                "<item><title>T</title><link>https://arxiv.org/abs/{id}</link><description>arXiv:{id}v1 Announce Type: {kind}\n\
                 Abstract: A.</description><guid isPermaLink=\"false\">oai:arXiv.org:{id}v1</guid><category>cs.LG</category>\
                 <arxiv:announce_type>{kind}</arxiv:announce_type><dc:creator>Ana Bee</dc:creator></item>"
            )
        };
        let items = ["new", "cross", "replace", "replace-cross", "surprise"]
            .iter()
            .zip(1..)
            .map(|(kind, n)| item(&format!("2603.0000{n}"), kind));
        let feed = format!(
            "<?xml version='1.0' encoding='UTF-8'?><rss xmlns:arxiv=\"http://arxiv.org/schemas/atom\" \
             xmlns:dc=\"http://purl.org/dc/elements/1.1/\" version=\"2.0\"><channel><title>cs.LG updates</title>{}</channel></rss>",
            items.collect::<String>()
        );
        let feed = crate::arxiv::rss::parse(feed.as_bytes()).unwrap();
        let ids: Vec<String> = announced(feed).map(|paper| paper.id.to_string()).collect();
        assert_eq!(ids, ["2603.00001", "2603.00002", "2603.00005"]);
    }
}
