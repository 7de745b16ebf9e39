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

fn head(feed: &mut Feed, element: &Element<'_>) {
    let number = || element.text.trim().parse().ok();
    match (element.space, element.name()) {
        (Space::Atom, "title") => feed.title = fields::line(&element.text, fields::TITLE_BYTES_MAX),
        (Space::Atom, "updated") => feed.updated = fields::instant(&element.text),
        (Space::OpenSearch, "totalResults") => feed.total_results = number(),
        (Space::OpenSearch, "startIndex") => feed.start_index = number(),
        (Space::OpenSearch, "itemsPerPage") => feed.items_per_page = number(),
        _ => {}
    }
}

fn paper(entry: &Element<'_>, id: &str) -> Result<Paper, Rejected> {
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

fn author(element: &Element<'_>) -> Option<Author> {
    let affiliations = element
        .all(Space::ArxivAtom, "affiliation")
        .filter_map(|affiliation| fields::optional(&affiliation.text))
        .take(AFFILIATIONS_MAX);
    fields::author(element.text_of(Space::Atom, "name"), affiliations.collect())
}

fn categories(entry: &Element<'_>) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(entries: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">
  <id>http://arxiv.org/api/mock</id><title>mock query</title><updated>2026-03-10T00:00:00-04:00</updated>
  <opensearch:totalResults>3</opensearch:totalResults><opensearch:startIndex>0</opensearch:startIndex><opensearch:itemsPerPage>100</opensearch:itemsPerPage>
{entries}</feed>
"#
        )
    }

    fn entry(id: &str, inside: &str) -> String {
        format!("<entry><id>http://arxiv.org/abs/{id}</id>{inside}</entry>")
    }

    fn read(entries: &str) -> Feed {
        parse(feed(entries).as_bytes()).unwrap()
    }

    fn one(id: &str, inside: &str) -> Paper {
        let mut feed = read(&entry(id, inside));
        assert_eq!((feed.n_entries, &feed.rejected), (1, &vec![]));
        feed.papers.remove(0)
    }

    fn ids(feed: &Feed) -> Vec<String> {
        feed.papers.iter().map(|paper| paper.id.to_string()).collect()
    }

    #[test]
    fn the_head_says_which_results_these_are() {
        let feed = read("");
        assert_eq!(
            (feed.total_results, feed.start_index, feed.items_per_page),
            (Some(3), Some(0), Some(100))
        );
        assert_eq!((feed.title.as_str(), feed.n_entries), ("mock query", 0));
        assert_eq!(feed.updated, fields::instant("2026-03-10T04:00:00Z"));
    }

    /// CASES 38.
    #[test]
    fn entities_and_character_data_keep_every_letter() {
        // CASE 38.
        let paper = one(
            "2603.00038v1",
            "<title>Q &amp; A: p &lt; 0.05 for &#946;-decay at caf&#xE9;</title><summary><![CDATA[if a < b & b > c]]></summary>",
        );
        assert_eq!(paper.title, "Q & A: p < 0.05 for β-decay at café");
        assert_eq!(paper.abstract_text, "if a < b & b > c");
    }

    /// CASES 39.
    #[test]
    fn one_bad_entry_is_mended_and_its_neighbours_survive() {
        // CASE 39, and worse.
        let check = |bad: &str, title: Option<&str>| {
            let entries = [
                entry("2603.00001v1", "<title>a</title>"),
                bad.to_owned(),
                entry("2603.00003v1", "<title>c</title>"),
            ];
            let feed = read(&entries.concat());
            let expected: &[&str] = match title {
                Some(_) => &["2603.00001", "2603.00039", "2603.00003"],
                None => &["2603.00001", "2603.00003"],
            };
            assert_eq!(ids(&feed), expected, "{bad}");
            match title {
                Some(title) => {
                    assert_eq!(feed.papers[1].title, title);
                    assert_eq!(
                        feed.mended.iter().map(|mended| mended.id.as_str()).collect::<Vec<_>>(),
                        ["2603.00039"]
                    );
                }
                None => assert_eq!(feed.rejected.len(), 1, "{bad}"),
            }
            feed.rejected.first().and_then(|rejected| rejected.id.clone())
        };
        let with_title = |title: &str| entry("2603.00039v1", &format!("<title>{title}</title>"));
        check(
            &with_title("Thermo&nbsp;dynamics of AT&T and a stray \u{2} byte"),
            Some("Thermo&nbsp;dynamics of AT&T and a stray byte"),
        );
        check(&with_title("p < 0.05 and q <0.1"), Some("p < 0.05 and q <0.1"));
        let named = Some("2603.00039".to_owned());
        // Ill-formed inside: a wrong end tag, no end tag, a comment or character data that never ends.
        assert_eq!(
            check(
                "<entry><id>http://arxiv.org/abs/2603.00039v1</id><title>x</summary></entry>",
                None
            ),
            named
        );
        assert_eq!(
            check(
                "<entry><id>http://arxiv.org/abs/2603.00039v1</id><title>x</title>",
                None
            ),
            named
        );
        assert_eq!(
            check("<entry><id>http://arxiv.org/abs/2603.00039v1</id><!-- x</entry>", None),
            named
        );
        assert_eq!(
            check(
                "<entry><id>http://arxiv.org/abs/2603.00039v1</id><![CDATA[ x</entry>",
                None
            ),
            named
        );
        assert_eq!(
            check(
                "<entry><id>http://arxiv.org/abs/2603.00039v1</id><title a='1>x</title></entry>",
                None
            ),
            named
        );
        // Deep nesting costs the entry only.
        let deep = entry("2603.00039v1", &("<b>".repeat(10_000) + &"</b>".repeat(10_000)));
        assert_eq!(check(&deep, None), named);
        // No identifier at all, or one that is none.
        assert_eq!(check("<entry><title>x</title></entry>", None), None);
        assert_eq!(
            check("<entry><id>http://example.org/abs/2603.00039</id></entry>", None).as_deref(),
            Some("http://example.org/abs/2603.00039")
        );
    }

    #[test]
    fn a_rejection_is_one_short_line_whatever_the_entry_holds() {
        let name = format!("x\u{7}{}", "y".repeat(10_000));
        let feed = read(&entry("2603.00039v1", &format!("<title></{name}>")));
        let why = &feed.rejected[0].why;
        assert!(
            why.starts_with("ill-formed") && why.len() < 300 && !why.contains(char::is_control),
            "{why}"
        );
    }

    #[test]
    fn a_broken_last_entry_is_told_from_a_cut_feed() {
        let good = entry("2603.00001v1", "");
        let feed = read(&format!(
            "{good}<entry><id>http://arxiv.org/abs/2603.00002v1</id><title>x"
        ));
        assert_eq!((ids(&feed), feed.rejected.len()), (vec!["2603.00001".to_owned()], 1));
        let prefixed = "<a:feed xmlns:a='http://www.w3.org/2005/Atom'><a:entry><a:title></a:entry>\
                        <a:entry><a:id>http://arxiv.org/abs/2603.00043v1</a:id><a:title>Prefixed</a:title></a:entry></a:feed>";
        let feed = parse(prefixed.as_bytes()).unwrap();
        assert_eq!((feed.papers[0].title.as_str(), feed.rejected.len()), ("Prefixed", 1));
    }

    /// CASES 40.
    #[test]
    fn missing_fields_never_cost_the_paper() {
        // CASE 40.
        let bare = one("2603.00040v1", "");
        assert_eq!(bare.title, "(untitled) 2603.00040");
        assert_eq!(
            (bare.submitted, bare.authors.len(), bare.abstract_text.as_str()),
            (None, 0, "")
        );
        assert_eq!(
            one(
                "2603.00040",
                "<title> \n </title><author/><author><name/></author><category/>"
            )
            .title,
            bare.title
        );
        assert_eq!(one("2104.12255v1", "<title>0</title>").title, "0");
    }

    #[test]
    fn namespaces_decide_and_prefixes_do_not() {
        // CASES 41, 42, 43.
        let paper = one(
            "2603.00042v1",
            "<title>Ns</title><comment xmlns='http://example.org/'>no</comment>\
             <author><name>Ana Example</name><arxiv:affiliation>Somewhere</arxiv:affiliation></author>\
             <arxiv:comment>12 pages, accepted</arxiv:comment><arxiv:primary_category term='cs.LG'/>\
             <link href='https://arxiv.org/pdf/2603.00041v1' rel='alternate' type='text/html'/>",
        );
        assert_eq!(paper.comment.as_deref(), Some("12 pages, accepted"));
        assert_eq!(
            (paper.authors.len(), paper.authors[0].affiliations[0].as_str()),
            (1, "Somewhere")
        );
        assert_eq!(paper.primary_category(), Some("cs.LG"));
        let prefixed = "<a:feed xmlns:a='http://www.w3.org/2005/Atom'><a:entry><a:id>http://arxiv.org/abs/2603.00043v1</a:id>\
                        <a:title>Prefixed</a:title><a:updated>2026-03-09T10:00:00Z</a:updated></a:entry></a:feed>";
        assert_eq!(parse(prefixed.as_bytes()).unwrap().papers[0].title, "Prefixed");
        assert!(matches!(
            parse(b"<feed><entry/></feed>"),
            Err(FeedError::NotAFeed { .. })
        ));
    }

    #[test]
    fn dates_are_instants_and_an_unreadable_one_costs_nothing() {
        // CASES 44, 47, 59.
        let submitted = |text: &str| one("2603.00044v1", &format!("<published>{text}</published>")).submitted;
        assert_eq!(
            submitted("2026-03-09T23:30:00-05:00"),
            submitted("2026-03-10T04:30:00Z")
        );
        assert!(submitted("2026-3-9T01:00:00Z").unwrap() < submitted("2026-03-10T04:30:00Z").unwrap());
        assert!(submitted("2026-03-09").is_some());
        assert_eq!(submitted(""), None);
        assert_eq!(submitted("soon"), None);
        let touched = one(
            "1905.00047v7",
            "<updated>2026-03-10T02:00:00Z</updated><published>2019-05-02T02:00:00Z</published>",
        );
        assert_eq!(
            (touched.version, touched.submitted),
            (7, fields::instant("2019-05-02T02:00:00Z"))
        );
        let edge = one("2604.00001v1", "<published>2026-03-31T19:00:00Z</published>");
        assert_eq!(edge.submitted, fields::instant("2026-03-31T19:00:00Z"));
    }

    #[test]
    fn identifiers_of_both_schemes_are_keys_without_version() {
        // CASES 45, 46.
        let entries: String = ["math.GT/0309136v2", "solv-int/9701001v1", "2603.00045", "2603.00045v12"]
            .map(|id| entry(id, ""))
            .concat();
        let feed = read(&entries);
        assert_eq!(
            ids(&feed),
            ["math/0309136", "solv-int/9701001", "2603.00045", "2603.00045"]
        );
        assert_eq!(
            feed.papers.iter().map(|paper| paper.version).collect::<Vec<_>>(),
            [2, 1, 1, 12]
        );
    }

    #[test]
    fn categories_of_other_schemes_are_left_out() {
        // CASE 48.
        let scheme = "scheme='http://arxiv.org/schemas/atom'";
        let paper = one(
            "2603.00048v1",
            &format!(
                "<category term='cs.CV' {scheme}/><category term='cs.AI' {scheme}/><category term='68T05' {scheme}/>\
                 <category term='cs.XX' scheme='http://example.org/'/><category term='stat.ML'/><arxiv:primary_category term='cs.AI' {scheme}/>"
            ),
        );
        assert_eq!(paper.categories, ["cs.AI", "cs.CV", "stat.ML"]);
    }

    /// CASES 66.
    #[test]
    fn thousands_of_authors_are_read_and_more_are_cut() {
        // CASE 66.
        let authors = |n: usize| {
            (0..n)
                .map(|i| format!("<author><name>Author {i}</name></author>"))
                .collect::<String>()
        };
        let paper = one("2603.00066v1", &format!("{}<summary>x</summary>", authors(3_000)));
        assert_eq!(
            (paper.authors.len(), paper.authors[2_999].name.as_str()),
            (3_000, "Author 2999")
        );
        assert_eq!(one("2603.00066v1", &authors(6_000)).authors.len(), AUTHORS_MAX);
        let long = one(
            "2603.00066v1",
            &format!("<title>{0}</title><summary>{0}</summary>", "é".repeat(1_000_000)),
        );
        assert!(long.title.len() <= fields::TITLE_BYTES_MAX && long.abstract_text.len() <= fields::ABSTRACT_BYTES_MAX);
    }

    #[test]
    fn withdrawals_and_collaborations_are_recognised() {
        // CASES 75, 76.
        assert!(
            one(
                "2603.00075v2",
                "<arxiv:comment>This submission has been withdrawn</arxiv:comment>"
            )
            .withdrawn
        );
        assert!(
            !one(
                "2603.00075v1",
                "<summary>On drugs that have been withdrawn from the market.</summary>"
            )
            .withdrawn
        );
        let authors = "<author><name>The Example Collaboration</name></author><author><name>:</name></author><author><name>A. Bee</name></author>";
        let names: Vec<String> = one("2603.00076v1", authors)
            .authors
            .into_iter()
            .map(|author| author.name)
            .collect();
        assert_eq!(names, ["The Example Collaboration", "A. Bee"]);
    }

    #[test]
    fn errors_in_the_form_of_a_feed_are_errors() {
        // CASE 30.
        let error = "<entry><id>http://arxiv.org/api/errors#malformed_query</id><title>Error</title><summary>malformed query near \"(\"</summary></entry>";
        assert!(
            matches!(parse(feed(error).as_bytes()), Err(FeedError::ApiError { summary }) if summary == "malformed query near \"(\"")
        );
        let sort = "<entry><id>https://info.arxiv.org/help/api/user-manual.html#sort</id><title>Error</title><summary>sortBy must be in: x</summary></entry>";
        assert!(matches!(parse(feed(sort).as_bytes()), Err(FeedError::ApiError { .. })));
        assert_eq!(one("2603.00030v1", "<title>Error</title>").title, "Error");
    }

    #[test]
    fn what_is_no_feed_is_named_and_never_taken_for_an_empty_one() {
        // CASES 22 (a), 32, 35.
        let check = |body: &[u8], expected: &str| {
            let got = format!("{:?}", parse(body).unwrap_err());
            assert!(got.starts_with(expected), "{got}");
        };
        check(b"", "Empty");
        check(b" \n", "Empty");
        check(b"Rate exceeded.", "NotXml");
        check(b"<html><body>Busy</body></html>", "Html");
        check(b"<!DOCTYPE html><html></html>", "Html");
        check(
            b"<!DOCTYPE HTML PUBLIC '-//IETF//DTD HTML 2.0//EN'><html></html>",
            "Html",
        );
        check(b"<rss version='2.0'/>", "NotAFeed");
        check(
            b"<?xml version='1.0' encoding='ISO-8859-1'?><feed>caf\xe9</feed>",
            "NotUtf8",
        );
        check(b"<?xml version='1.0'?>", "Truncated");
        check(&vec![b' '; xml::BODY_BYTES_MAX + 1], "TooLarge");
        let bomb = "<!DOCTYPE feed [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>".to_owned()
            + &feed("<entry><title>&b;</title></entry>");
        check(
            bomb.trim_start_matches("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
                .as_bytes(),
            "DocType",
        );
        check(feed("<entry><!DOCTYPE x></entry>").as_bytes(), "DocType");
        check((feed("") + "<feed/>").as_bytes(), "Malformed");
        check((feed("") + "junk").as_bytes(), "Malformed");
        check(feed("<title>x</id>").as_bytes(), "Malformed");
        check(feed(&"<x>".repeat(100)).as_bytes(), "TooDeep");
        let many = "<entry/>".repeat(xml::ENTRIES_MAX + 1);
        check(feed(&many).as_bytes(), "TooManyEntries");
        // A feed with a byte order mark is a feed.
        assert!(parse(("\u{feff}".to_owned() + &feed("")).as_bytes()).is_ok());
    }

    #[test]
    fn many_broken_entries_cost_no_more_than_many_good_ones() {
        let began = std::time::Instant::now();
        let entries = "<entry><title>x".repeat(20_000);
        let feed = read(&entries);
        assert_eq!(feed.rejected.len(), 20_000);
        assert!(
            began.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
    }
}
