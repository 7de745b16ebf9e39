//! The daily feeds: RSS 2.0 and Atom since 2024, RSS 1.0 (RDF) before.
//!
//! A feed holds one announcement and no submission dates; `pubDate` is the announcement's midnight, so the
//! papers that come from here have no dates of their own until another interface gives them.

use std::{borrow::Cow, str::FromStr};

use chrono::{DateTime, Utc};

use super::{
    fields, names,
    xml::{self, Element, FeedError, Mended, Part, Rejected, Shape, Space},
};
use crate::model::{Paper, VersionedId};

const SHAPE: Shape = Shape {
    roots: &[(Space::None, "rss"), (Space::Atom, "feed"), (Space::Rdf, "RDF")],
    containers: &[(Space::None, "channel"), (Space::Rss1, "channel")],
    entries: &[(Space::None, "item"), (Space::Rss1, "item"), (Space::Atom, "entry")],
    expected: "an RSS or Atom feed",
};
/// From this many items on a feed is suspected of having been cut: arXiv cuts at 2,000 rows, and what it
/// drops are the new papers, which stand last.
pub const SUSPICIOUS_ITEMS: usize = 1_900;

/// One announcement in the requested categories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// The feed's title, which names the categories.
    pub title: String,
    /// When the feed was made (`lastBuildDate`); it has looked right on feeds that were a day old.
    pub built: Option<DateTime<Utc>>,
    /// Midnight US Eastern after the announcement.
    pub published: Option<DateTime<Utc>>,
    /// What was announced, in the order in which it came.
    pub items: Vec<Item>,
    /// Items that could not be used.
    pub rejected: Vec<Rejected>,
    /// Papers that are used although something in their item was wrong.
    pub mended: Vec<Mended>,
    /// How many items there were: usable and rejected ones.
    pub n_items: usize,
}

impl Feed {
    /// Whether the feed may have been cut by arXiv's limit, in which case new papers are missing.
    pub fn may_be_cut(&self) -> bool {
        self.n_items >= SUSPICIOUS_ITEMS
    }
}

/// One announced paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its metadata, without comment and dates.
    pub paper: Paper,
    /// How it was announced; `None` where the feed does not say so in known words.
    pub announce_type: Option<AnnounceType>,
    /// Midnight US Eastern after the announcement.
    pub published: Option<DateTime<Utc>>,
}

/// How a paper was announced, relative to the requested categories: a brand-new paper whose primary category
/// is elsewhere comes as `cross`, and so does an old one that was cross-listed today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnounceType {
    /// A new paper in one of the categories.
    New,
    /// A paper cross-listed to one of them.
    Cross,
    /// A new version.
    Replace,
    /// A new version of a cross-listed paper.
    ReplaceCross,
}

impl FromStr for AnnounceType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.trim() {
            "new" => Ok(Self::New),
            "cross" => Ok(Self::Cross),
            "replace" => Ok(Self::Replace),
            "replace-cross" => Ok(Self::ReplaceCross),
            _ => Err(()),
        }
    }
}

/// Reads a feed. One without items is right on Saturday, Sunday and holidays.
///
/// # Errors
/// Whatever is not a whole feed, and arXiv's error feeds. A broken item is no error: it is named in
/// [`Feed::rejected`].
pub fn parse(body: &[u8]) -> Result<Feed, FeedError> {
    let mut feed = Feed::default();
    let mut description = String::new();
    feed.n_items = xml::walk(body, &SHAPE, |part| match part {
        Part::Head(element) => match (element.space, element.name()) {
            (Space::None | Space::Atom | Space::Rss1, "title") => {
                feed.title = fields::line(&element.text, fields::TITLE_BYTES_MAX);
            }
            (Space::None, "description") | (Space::Atom, "subtitle") => {
                description = fields::line(&element.text, fields::LINE_BYTES_MAX);
            }
            (Space::None, "lastBuildDate") | (Space::Atom, "updated") => feed.built = fields::instant(&element.text),
            (Space::None, "pubDate") | (Space::DublinCore, "date") => feed.published = fields::instant(&element.text),
            _ => {}
        },
        Part::Broken(rejected) => feed.rejected.push(rejected),
        Part::Entry(entry, blemish) => match read(&entry) {
            Ok(item) => {
                feed.mended.extend(blemish.map(|how| Mended {
                    id: item.paper.id.to_string(),
                    how,
                }));
                feed.items.push(item);
            }
            Err(rejected) => feed.rejected.push(rejected),
        },
    })?;
    if feed.title.starts_with("Feed error") {
        let summary = if description.is_empty() {
            feed.title
        } else {
            description
        };
        return Err(FeedError::ApiError { summary });
    }
    // Atom and RDF say it per item or not at all.
    feed.published = feed
        .published
        .or_else(|| feed.items.iter().find_map(|item| item.published));
    Ok(feed)
}

/// What the three dialects call the same things.
struct Names {
    space: Space,
    id: &'static str,
    text: &'static str,
    published: &'static str,
}

const RSS2: Names = Names {
    space: Space::None,
    id: "guid",
    text: "description",
    published: "pubDate",
};
const ATOM: Names = Names {
    space: Space::Atom,
    id: "id",
    text: "summary",
    published: "published",
};

fn read(entry: &Element<'_>) -> Result<Item, Rejected> {
    match entry.space {
        Space::Atom => current(entry, &ATOM),
        Space::Rss1 => historical(entry),
        _ => current(entry, &RSS2),
    }
}

fn current(entry: &Element<'_>, names: &Names) -> Result<Item, Rejected> {
    let guid = entry.text_of(names.space, names.id);
    let link = entry.text_of(names.space, "link");
    let (prefix, abstract_text) = split_description(entry.text_of(names.space, names.text));
    let (id, version) = identify(&[guid, prefix.id, link])?;
    let announce_type = entry.text_of(Space::ArxivAtom, "announce_type");
    let categories = entry
        .all(names.space, "category")
        .map(|category| category.attribute("term").unwrap_or(Cow::Borrowed(&category.text)));
    let mut known = Vec::new();
    fields::push_categories(&mut known, categories);
    let creators: Vec<&str> = entry
        .all(Space::DublinCore, "creator")
        .map(|creator| &*creator.text)
        .collect();
    let abstract_text = fields::abstract_text(abstract_text);
    let optional = |name| fields::optional(entry.text_of(Space::ArxivAtom, name));
    Ok(Item {
        announce_type: announce_type.parse().or_else(|()| prefix.announce_type.parse()).ok(),
        published: fields::instant(entry.text_of(names.space, names.published)),
        paper: Paper {
            title: fields::title(entry.text_of(names.space, "title"), &id),
            id,
            version,
            authors: names::split(&creators.join(", ")),
            withdrawn: fields::is_withdrawn("", &abstract_text),
            abstract_text,
            submitted: None,
            updated: None,
            categories: known,
            comment: None,
            journal_ref: optional("journal_reference").or_else(|| optional("journal_ref")),
            doi: optional("DOI").or_else(|| optional("doi")),
        },
    })
}

fn identify(candidates: &[&str]) -> Result<(crate::model::ArxivId, u16), Rejected> {
    let mut named = None;
    for candidate in candidates {
        match VersionedId::parse(candidate) {
            Ok((id, Some(version))) => return Ok((id, version)),
            Ok((id, None)) => {
                named.get_or_insert(id);
            }
            Err(_) => {}
        }
    }
    named.map(|id| (id, 1)).ok_or_else(|| Rejected {
        id: candidates.iter().find_map(|candidate| fields::optional(candidate)),
        why: "the item names no arXiv identifier".to_owned(),
    })
}

/// What stands before the abstract: `arXiv:2203.01250v3 Announce Type: replace-cross`.
#[derive(Default)]
struct Prefix<'t> {
    id: &'t str,
    announce_type: &'t str,
}

fn split_description(text: &str) -> (Prefix<'_>, &str) {
    const TYPE: &str = "Announce Type:";
    const ABSTRACT: &str = "Abstract:";
    let text = text.trim();
    let Some((id, rest)) = text.split_once(TYPE).filter(|(id, _)| id.starts_with("arXiv:")) else {
        return (Prefix::default(), text.strip_prefix(ABSTRACT).unwrap_or(text));
    };
    let rest = rest.trim_start();
    let (announce_type, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim_start();
    let prefix = Prefix {
        id: id.trim(),
        announce_type,
    };
    (prefix, rest.strip_prefix(ABSTRACT).unwrap_or(rest))
}

/// An item of the feeds before 2024: `Title. (arXiv:1805.06430v2 [nucl-th] UPDATED)`, HTML inside.
fn historical(entry: &Element<'_>) -> Result<Item, Rejected> {
    let title = entry.text_of(Space::Rss1, "title").trim();
    let (title, note) = match title.rsplit_once("(arXiv:") {
        Some((title, note)) => (title.trim_end(), note.trim_end_matches(')')),
        None => (title, ""),
    };
    let (name, rest) = note.split_once(' ').unwrap_or((note, ""));
    let (id, version) = identify(&[name, entry.text_of(Space::Rss1, "link")])?;
    let (category, kind) = rest.trim_start_matches('[').split_once(']').unwrap_or_default();
    let mut categories = Vec::new();
    fields::push_categories(&mut categories, [category]);
    let abstract_text = fields::abstract_text(&without_html(entry.text_of(Space::Rss1, "description")));
    Ok(Item {
        announce_type: match kind.trim() {
            "" if !note.is_empty() => Some(AnnounceType::New),
            "CROSS LISTED" => Some(AnnounceType::Cross),
            "UPDATED" => Some(AnnounceType::Replace),
            _ => None,
        },
        published: None,
        paper: Paper {
            title: fields::title(title.strip_suffix('.').unwrap_or(title), &id),
            id,
            version,
            authors: names::split(&without_html(entry.text_of(Space::DublinCore, "creator"))),
            withdrawn: fields::is_withdrawn("", &abstract_text),
            abstract_text,
            submitted: None,
            updated: None,
            categories,
            comment: None,
            journal_ref: None,
            doi: None,
        },
    })
}

/// Text without tags and with its references resolved; a `<` that begins no tag stays.
fn without_html(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let is_tag = from[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        match from.find('>').filter(|_| is_tag) {
            Some(end) => rest = &from[end + 1..],
            None => {
                text.push('<');
                rest = &from[1..];
            }
        }
    }
    text.push_str(rest);
    let resolved = match quick_xml::escape::unescape(&text) {
        Ok(Cow::Owned(resolved)) => Some(resolved),
        // Nothing to resolve, or a reference that is none: then the text stays as it is.
        Ok(Cow::Borrowed(_)) | Err(_) => None,
    };
    resolved.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rss(items: &str) -> String {
        format!(
            "<?xml version='1.0' encoding='UTF-8'?><rss xmlns:arxiv='http://arxiv.org/schemas/atom' \
             xmlns:dc='http://purl.org/dc/elements/1.1/' version='2.0'><channel><title>cs.LG updates on arXiv.org</title>\
             <lastBuildDate>Tue, 10 Mar 2026 04:10:00 +0000</lastBuildDate>{items}</channel></rss>"
        )
    }

    #[test]
    fn an_item_gives_version_type_and_clean_abstract() {
        let feed = parse(
            rss("<item><title>T &amp; U</title><link>https://arxiv.org/abs/2603.00001</link>\
                 <description>arXiv:2603.00001v3 Announce Type: replace-cross \nAbstract: One &lt; two.</description>\
                 <guid isPermaLink='false'>oai:arXiv.org:2603.00001v3</guid><category>cs.LG</category><category>68T05</category>\
                 <pubDate>Tue, 10 Mar 2026 00:00:00 -0400</pubDate><arxiv:announce_type>replace-cross</arxiv:announce_type>\
                 <dc:creator>A. Bee, C. Dee, Jr</dc:creator><arxiv:DOI>10.1/x</arxiv:DOI></item>")
                .as_bytes(),
        )
        .unwrap();
        let item = &feed.items[0];
        assert_eq!(item.announce_type, Some(AnnounceType::ReplaceCross));
        assert_eq!((item.paper.version, item.paper.title.as_str()), (3, "T & U"));
        assert_eq!(item.paper.abstract_text, "One < two.");
        assert_eq!(item.paper.categories, ["cs.LG"]);
        assert_eq!(item.paper.authors[1].name, "C. Dee Jr");
        assert_eq!(item.paper.doi.as_deref(), Some("10.1/x"));
        assert_eq!(item.published, fields::instant("2026-03-10T04:00:00Z"));
        assert!(feed.built.is_some() && !feed.may_be_cut());
    }

    #[test]
    fn a_feed_near_the_limit_may_be_cut() {
        let check = |n_items: usize, expected: bool| {
            let feed = parse(rss(&"<item/>".repeat(n_items)).as_bytes()).unwrap();
            assert_eq!((feed.n_items, feed.may_be_cut()), (n_items, expected));
        };
        check(SUSPICIOUS_ITEMS - 1, false);
        check(SUSPICIOUS_ITEMS, true);
    }

    #[test]
    fn an_empty_feed_is_a_quiet_day_and_an_error_feed_is_not() {
        assert_eq!(parse(rss("").as_bytes()).unwrap().n_items, 0);
        let error = rss("").replace("cs.LG updates on arXiv.org", "Feed error for query: cs.XY</title><description>bad category</description><title>Feed error for query: cs.XY");
        assert!(matches!(parse(error.as_bytes()), Err(FeedError::ApiError { summary }) if summary == "bad category"));
    }

    #[test]
    fn a_broken_item_spoils_only_itself() {
        let item =
            |id: &str, title: &str| format!("<item><title>{title}</title><guid>oai:arXiv.org:{id}</guid></item>");
        let items = [
            item("2603.00001v1", "a"),
            item("nonsense", "b"),
            item("2603.00003v1", "<c>"),
            item("2603.00004v1", "p < q"),
            item("2603.00005v1", "e"),
        ];
        let feed = parse(rss(&items.concat()).as_bytes()).unwrap();
        let ids: Vec<String> = feed
            .items
            .iter()
            .map(|item| item.paper.versioned_id().to_string())
            .collect();
        assert_eq!(ids, ["2603.00001v1", "2603.00004v1", "2603.00005v1"]);
        assert_eq!(feed.items[1].paper.title, "p < q");
        assert_eq!(feed.mended.len(), 1);
        assert_eq!(feed.rejected.len(), 2);
    }

    #[test]
    fn html_of_the_old_feeds_becomes_text() {
        assert_eq!(
            without_html("<p>if 2&lt;x &amp; <a href=\"x\">y</a></p> a < b"),
            "if 2<x & y a < b"
        );
        assert_eq!(without_html("AT&T"), "AT&T");
    }
}
