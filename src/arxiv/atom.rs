//! The query API's answer: an Atom feed.
//!
//! The reader knows elements by namespace, never by prefix or order (both differ between the service of
//! 2025 and the one before), and takes nothing from links: addresses are made from the identifier.

use chrono::{DateTime, Utc};

use super::{
    fields::{self, AFFILIATIONS_MAX, AUTHORS_MAX},
    xml::{self, Element, FeedError, Mended, Part, Rejected, Shape, Space},
};
use crate::model::{Author, Paper, VersionedId};

const SHAPE: Shape = Shape {
    roots: &[(Space::Atom, "feed")],
    containers: &[],
    entries: &[(Space::Atom, "entry")],
    expected: "an Atom feed",
};

/// One page of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// arXiv's echo of the query, as repaired by it.
    pub title: String,
    /// When the answer was made.
    pub updated: Option<DateTime<Utc>>,
    /// How many papers the whole search has (OpenSearch `totalResults`).
    pub total_results: Option<u64>,
    /// The place of this page's first entry in the whole search, from 0.
    pub start_index: Option<u64>,
    /// How many entries were asked for, not how many came.
    pub items_per_page: Option<u64>,
    /// The papers, in the order in which they came, which means nothing.
    pub papers: Vec<Paper>,
    /// Entries that could not be used.
    pub rejected: Vec<Rejected>,
    /// Papers that are used although something in their entry was wrong.
    pub mended: Vec<Mended>,
    /// How many entries there were: papers and rejected ones.
    pub n_entries: usize,
}

/// Reads one page.
///
/// # Errors
/// Whatever is not a whole Atom feed, and arXiv's own errors, which come as a feed with one entry. A
/// broken entry is no error: it is named in [`Feed::rejected`] and its neighbours are read.
pub fn parse(body: &[u8]) -> Result<Feed, FeedError> {
    let mut feed = Feed::default();
    let mut refusal = None;
    let mut error_entry = None;
    feed.n_entries = xml::walk(body, &SHAPE, |part| match part {
        Part::Head(element) => head(&mut feed, &element),
        Part::Broken(rejected) => feed.rejected.push(rejected),
        Part::Entry(entry, blemish) => {
            let id = entry.text_of(Space::Atom, "id").trim();
            let summary = || fields::line(entry.text_of(Space::Atom, "summary"), fields::LINE_BYTES_MAX);
            if id.contains("/api/errors") {
                refusal.get_or_insert_with(summary);
            }
            match paper(&entry, id) {
                Ok(paper) => {
                    feed.mended.extend(blemish.map(|how| Mended {
                        id: paper.id.to_string(),
                        how,
                    }));
                    feed.papers.push(paper);
                }
                Err(rejected) => {
                    // An error about `sortBy` points to the manual instead of to the errors' own address.
                    if entry.text_of(Space::Atom, "title").trim() == "Error" {
                        error_entry.get_or_insert_with(summary);
                    }
                    feed.rejected.push(rejected);
                }
            }
        }
    })?;
    let only = error_entry.filter(|_| feed.n_entries == 1);
    match refusal.or(only) {
        Some(summary) => Err(FeedError::ApiError { summary }),
        None => Ok(feed),
    }
}

fn head(feed: &mut Feed, element: &Element) {
    let number = || element.text.trim().parse().ok();
    match (element.space, element.name.as_str()) {
        (Space::Atom, "title") => feed.title = fields::line(&element.text, fields::TITLE_BYTES_MAX),
        (Space::Atom, "updated") => feed.updated = fields::instant(&element.text),
        (Space::OpenSearch, "totalResults") => feed.total_results = number(),
        (Space::OpenSearch, "startIndex") => feed.start_index = number(),
        (Space::OpenSearch, "itemsPerPage") => feed.items_per_page = number(),
        _ => {}
    }
}

fn paper(entry: &Element, id: &str) -> Result<Paper, Rejected> {
    let (id, version) = VersionedId::parse(id).map_err(|error| Rejected {
        id: fields::optional(id),
        why: error.to_string(),
    })?;
    let optional = |name| fields::optional(entry.text_of(Space::ArxivAtom, name));
    let comment = optional("comment");
    let abstract_text = fields::abstract_text(entry.text_of(Space::Atom, "summary"));
    Ok(Paper {
        title: fields::title(entry.text_of(Space::Atom, "title"), &id),
        authors: entry
            .all(Space::Atom, "author")
            .filter_map(author)
            .take(AUTHORS_MAX)
            .collect(),
        withdrawn: fields::is_withdrawn(comment.as_deref().unwrap_or_default(), &abstract_text),
        abstract_text,
        submitted: fields::instant(entry.text_of(Space::Atom, "published")),
        updated: fields::instant(entry.text_of(Space::Atom, "updated")),
        categories: categories(entry),
        comment,
        journal_ref: optional("journal_ref"),
        doi: optional("doi"),
        id,
        version: version.unwrap_or(1),
    })
}

fn author(element: &Element) -> Option<Author> {
    let affiliations = element
        .all(Space::ArxivAtom, "affiliation")
        .filter_map(|affiliation| fields::optional(&affiliation.text))
        .take(AFFILIATIONS_MAX);
    fields::author(element.text_of(Space::Atom, "name"), affiliations.collect())
}

fn categories(entry: &Element) -> Vec<String> {
    const SCHEME: &str = "http://arxiv.org/schemas/atom";
    let mut categories = Vec::new();
    let primary = entry.all(Space::ArxivAtom, "primary_category");
    let all = entry
        .all(Space::Atom, "category")
        .filter(|category| category.attribute("scheme").is_none_or(|scheme| scheme == SCHEME));
    fields::push_categories(
        &mut categories,
        primary.chain(all).filter_map(|element| element.attribute("term")),
    );
    categories
}
