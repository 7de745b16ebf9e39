//! The mail as a whole. What single lines say is tested beside the code that makes them.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, Utc};
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::model::{
    ArxivId, Author, Changes, CoverageNote, DigestId, IncompleteKeyword, PaperRecord, SectionRecord, Silence,
    SubscriberId, Term,
};

type Papers = HashMap<VersionedId, Arc<Paper>>;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn paper(number: u32, title: &str) -> Paper {
    Paper {
        id: ArxivId::from_parts(2026, 2, number).unwrap(),
        version: 1,
        title: title.to_owned(),
        authors: vec![Author::named("Ana Example"), Author::named("Bo Beispiel")],
        abstract_text: "A short abstract.".to_owned(),
        submitted: Some(at("2026-02-09T12:00:00Z")),
        updated: Some(at("2026-02-09T12:00:00Z")),
        categories: vec!["cs.LG".to_owned(), "stat.ML".to_owned()],
        comment: None,
        journal_ref: None,
        doi: None,
        withdrawn: false,
    }
}

/// Invented papers with everything that has gone wrong in mails like ours.
fn odd_papers() -> Vec<Paper> {
    let mut papers = vec![
        paper(1, "Why <b> is not bold: a<b, R&D and <unk> tokens"),
        paper(2, "P(A|B) vs P(B|A): *why* a_b_c and `code` matter"),
        paper(3, "مراجعة: transformers للغة العربية (v2)"),
        paper(4, "大規模言語モデルのための検索拡張生成"),
        paper(5, "Graph neural networks for 👩\u{200d}🔬 and e\u{301}tudes"),
        paper(6, "Sum rules\r\nBcc: x@example.com\u{7}\u{202e}"),
        paper(7, "A result that does not hold"),
        paper(8, "Seen before: graph neural networks"),
    ];
    papers[0].abstract_text = "if x<y then <script>alert(1)</script> & \"quotes\". It's fine.".to_owned();
    papers[0].authors = vec![Author::named("A <a@example.net>"), Author::named("Ranko Lazić")];
    papers[0].comment = Some("26 pages, 7 figures, ICLR 2026, code at https://github.com/ana/gnn".to_owned());
    papers[0].doi = Some("10.1000/182".to_owned());
    papers[1].authors = (0..3_000)
        .map(|number| Author::named(format!("Author {number}")))
        .collect();
    papers[1].abstract_text = format!(
        "First of all. {}We use a graph neural network. More.",
        "Filler text here. ".repeat(40)
    );
    papers[1].categories.push("cs.\"><x".to_owned());
    papers[2].authors = vec![Author::named("ليلى مثال"), Author::named("Bo Example")];
    papers[4].abstract_text = "Paragraph one.\nParagraph two is about a graph neural network.".to_owned();
    papers[5].doi = Some("10.1000/\"onmouseover=x".to_owned());
    papers[5].comment = Some("<img src=x> https://github.com.evil.example/a/b".to_owned());
    papers[6].withdrawn = true;
    papers[7].version = 3;
    papers[7].comment = Some("Accepted at EACL 2026".to_owned());
    papers
}

fn stored(papers: Vec<Paper>) -> Papers {
    papers
        .into_iter()
        .map(|paper| (paper.versioned_id(), Arc::new(paper)))
        .collect()
}

fn row(paper: &Paper, shown: Shown) -> PaperRecord {
    PaperRecord {
        id: paper.id.clone(),
        version: paper.version,
        shown,
        also: Vec::new(),
        replaces: None,
        changes: None,
    }
}

fn record(sections: Vec<Vec<PaperRecord>>) -> DigestRecord {
    let names = ["graph neural network", "RAG <&>", "causal inference"];
    DigestRecord {
        id: DigestId {
            subscriber: SubscriberId("ana".into()),
            number: 12,
        },
        kind: DigestKind::Digest,
        address: "ana@example.net".to_owned(),
        name: Some("Ana".to_owned()),
        frozen_at: at("2026-02-10T06:00:00Z"),
        zone: "Europe/Berlin".to_owned(),
        keywords: names
            .iter()
            .map(|name| ((*name).to_owned(), Term::phrase(*name)))
            .collect(),
        sections: (0..)
            .zip(sections)
            .map(|(keyword, papers)| SectionRecord {
                keyword,
                papers,
                n_waiting: 0,
                n_skipped: 0,
            })
            .collect(),
        coverage: CoverageNote {
            announcement: NaiveDate::from_ymd_opt(2026, 2, 9),
            current: true,
            n_complete: 3,
            n_keywords: 3,
            incomplete: Vec::new(),
            n_fetched: 41,
            n_new: 12,
            n_already_sent: 27,
            n_excluded: 2,
            ..CoverageNote::default()
        },
        shared: false,
    }
}

fn odd_record(papers: &[Paper]) -> DigestRecord {
    let mut rows: Vec<PaperRecord> = papers.iter().map(|paper| row(paper, Shown::Full)).collect();
    rows[1].shown = Shown::Short;
    rows[1].also = vec![1, 2];
    rows[3].shown = Shown::Title;
    rows[6].shown = Shown::Line;
    rows[7].replaces = Some((1, at("2025-08-12T06:00:00Z")));
    rows[7].changes = Some(Changes {
        title_before: Some("Seen <before>: $O(n^2)$ graphs".to_owned()),
        abstract_text: true,
        comment: true,
    });
    let second = rows.split_off(4);
    let mut record = record(vec![rows, second]);
    record.sections[0].n_waiting = 23;
    record.sections[1].n_skipped = 5;
    record.coverage.n_complete = 2;
    record.coverage.incomplete = vec![IncompleteKeyword {
        keyword: "causal inference".to_owned(),
        since: at("2026-02-09T05:12:00Z"),
        why: "arXiv answered 503".to_owned(),
    }];
    record
}

fn marks(paper: &Arc<Paper>) -> Marks {
    let find = |text: &str| {
        text.to_ascii_lowercase()
            .match_indices("graph neural network")
            .map(|(at, hit)| at..at + hit.len())
            .collect()
    };
    Marks {
        title: find(&paper.title),
        abstract_text: find(&paper.abstract_text),
    }
}

fn settings() -> Settings {
    Settings {
        links: vec![
            ConfiguredLink {
                name: "alphaXiv".to_owned(),
                url: "https://www.alphaxiv.org/abs/{id}".to_owned(),
            },
            ConfiguredLink {
                name: "bad".to_owned(),
                url: "javascript:alert({id})".to_owned(),
            },
        ],
        contact: Some("ops@example.org".to_owned()),
        public_url: Some("https://papers.example.org".to_owned()),
        ..Settings::default()
    }
}

fn personal() -> PersonalLinks {
    PersonalLinks {
        unsubscribe_url: Some("https://papers.example.org/u/token".to_owned()),
        unsubscribe_mailto: Some("mailto:leave@example.org?subject=token".to_owned()),
        view_url: None,
    }
}

/// A mail's parts as they are read.
#[derive(Debug, PartialEq)]
struct Parts {
    subject: String,
    text: String,
    html: String,
    fell_back: Option<TemplateProblem>,
}

impl From<Rendered> for Parts {
    fn from(rendered: Rendered) -> Self {
        Self {
            subject: rendered.subject,
            text: rendered.text.to_string(),
            html: rendered.html.to_string(),
            fell_back: rendered.fell_back,
        }
    }
}

fn quoted_printable_len(text: &str) -> usize {
    Body::from(text).quoted_printable_len()
}

fn rendered_with(settings: Settings, record: &DigestRecord, papers: &Papers, links: &PersonalLinks) -> Parts {
    let sources = Sources {
        papers: &|id| papers.get(id).cloned(),
        marks: &marks,
    };
    Renderer::new(settings)
        .unwrap()
        .render(record, &sources, links)
        .unwrap()
        .into()
}

fn rendered(record: &DigestRecord, papers: &Papers) -> Parts {
    rendered_with(settings(), record, papers, &personal())
}

fn odd() -> Parts {
    let papers = odd_papers();
    rendered(&odd_record(&papers), &stored(papers))
}

fn fitted(record: DigestRecord, papers: &Papers) -> Fitted {
    let sources = Sources {
        papers: &|id| papers.get(id).cloned(),
        marks: &marks,
    };
    Renderer::new(settings())
        .unwrap()
        .fit(record, &sources, &personal())
        .unwrap()
}

/// The tags of a page: name and attributes, in order. Fails on markup that is not well formed.
fn tags(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let mut quoted = false;
        let end = rest
            .find(|c| {
                quoted ^= c == '"';
                c == '>' && !quoted
            })
            .unwrap();
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') || tag.starts_with('/') {
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut list = Vec::new();
        while let Some((key, value)) = attributes.trim_start().split_once("=\"") {
            let (value, more) = value.split_once('"').unwrap();
            list.push((key.to_owned(), value.to_owned()));
            attributes = more;
        }
        assert!(attributes.trim().is_empty(), "left over in <{tag}>");
        tags.push((name.to_owned(), list));
    }
    tags
}

/// What a reader sees: the page without head and tags, entities resolved, blanks folded.
fn visible(html: &str) -> String {
    let body = &html[html.find("<body").unwrap()..];
    let mut out = String::new();
    for (index, part) in body.split('<').enumerate() {
        let text = if index == 0 {
            part
        } else {
            part.split_once('>').map_or("", |(_, text)| text)
        };
        if !["span", "/span", "b", "/b", "em", "/em"]
            .iter()
            .any(|tag| part.starts_with(tag))
            || part.starts_with("br")
        {
            out.push(' ');
        }
        out.push_str(text);
    }
    let out = out
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", " ")
        .replace("&emsp;", " ")
        .replace("&ensp;", " ")
        .replace("&amp;", "&")
        .replace('\u{a0}', " ");
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hrefs(html: &str) -> Vec<String> {
    tags(html)
        .into_iter()
        .filter(|(name, _)| name == "a")
        .flat_map(|(_, attributes)| attributes)
        .filter(|(key, _)| key == "href")
        .map(|(_, value)| value.replace("&amp;", "&"))
        .collect()
}

fn text_links(text: &str) -> Vec<String> {
    text.split('<')
        .skip(1)
        .filter(|part| part.starts_with("https://") || part.starts_with("mailto:"))
        .map(|part| part.split_once('>').unwrap().0.to_owned())
        .collect()
}

#[test]
fn a_digest_of_odd_papers_looks_as_it_did() {
    let rendered = odd();
    insta::assert_snapshot!("odd_subject", rendered.subject);
    insta::assert_snapshot!("odd_text", rendered.text);
    insta::assert_snapshot!("odd_html", rendered.html);
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    assert_eq!(odd(), odd());
}

/// CASES 67, 68, 72.
#[test]
fn feeds_are_shown_as_they_are_and_never_as_markup() {
    let rendered = odd();
    let seen = visible(&rendered.html);
    for literal in [
        "Why <b> is not bold: a<b, R&D and <unk> tokens",
        "if x<y then <script>alert(1)</script> & \"quotes\". It's fine.",
        "A <a@example.net>, Ranko Lazić",
        "P(A|B) vs P(B|A): *why* a_b_c and `code` matter",
        "<img src=x> https://github.com.evil.example/a/b",
        "RAG <&>",
        "cs.\"><x",
        "مراجعة: transformers للغة العربية (v2)",
    ] {
        assert!(seen.contains(literal), "{literal:?} is not in {seen}");
        let folded = rendered.text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(folded.contains(literal), "{literal:?} is not in {folded}");
    }
    for trace in ["&amp;amp;", "&amp;lt;", "&amp;quot;"] {
        assert!(!rendered.html.contains(trace));
    }
    assert!(!rendered.text.contains("&amp;") && !rendered.text.contains("&lt;"));
    for part in [&rendered.subject, &rendered.text, &rendered.html] {
        assert!(!part.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')));
    }
}

#[test]
fn only_tags_attributes_and_properties_that_mail_clients_keep_are_used() {
    const TAGS: [&str; 25] = [
        "html", "head", "meta", "title", "style", "body", "table", "tr", "td", "h1", "h2", "h3", "p", "a", "b", "span",
        "sup", "sub", "em", "code", "br", "div", "hr", "strong", "i",
    ];
    const ATTRIBUTES: [&str; 11] = [
        "lang",
        "dir",
        "charset",
        "name",
        "content",
        "role",
        "class",
        "style",
        "href",
        "aria-label",
        "http-equiv",
    ];
    const PROPERTIES: [&str; 23] = [
        "color",
        "background-color",
        "font",
        "font-size",
        "font-weight",
        "line-height",
        "margin",
        "padding",
        "padding-left",
        "padding-right",
        "border-top",
        "border-color",
        "border-radius",
        "border-collapse",
        "border-spacing",
        "width",
        "max-width",
        "text-align",
        "text-decoration",
        "text-decoration-color",
        "text-underline-offset",
        "vertical-align",
        "white-space",
    ];
    let mut pages = vec![odd()];
    for kind in [DigestKind::Quiet, DigestKind::Welcome] {
        let mut record = record(Vec::new());
        record.kind = kind;
        pages.push(rendered(&record, &Papers::new()));
    }
    for page in pages {
        for (name, attributes) in tags(&page.html) {
            assert!(TAGS.contains(&name.as_str()), "<{name}>");
            if name == "table" {
                assert!(attributes.contains(&("role".to_owned(), "presentation".to_owned())));
            }
            for (key, value) in attributes {
                assert!(ATTRIBUTES.contains(&key.as_str()), "{key} on <{name}>");
                if key == "style" {
                    let mut has = BTreeSet::new();
                    for rule in value.split(';').filter(|rule| !rule.is_empty()) {
                        let (property, value) = rule.split_once(':').unwrap();
                        let known = PROPERTIES.contains(&property) || property == "word-break";
                        assert!(known, "{property} on <{name}>");
                        assert!(!value.contains("url") && !value.contains("rgb") && !value.contains("var("));
                        has.insert(property);
                    }
                    assert!(
                        !has.contains("background-color") || has.contains("color"),
                        "a ground without a text colour on <{name}>: {value}"
                    );
                    if name == "a" {
                        assert!(value.contains("text-decoration:underline"), "{value}");
                    }
                    assert!(!value.contains("margin:-") && !value.contains("padding:-"));
                    let is_paragraph = name == "p" || name.starts_with('h') || name == "table";
                    assert!(
                        !value.contains("margin:") || is_paragraph || name == "body",
                        "margin on <{name}>"
                    );
                }
            }
        }
        let lower = page.html.to_lowercase();
        for bad in [
            "display:",
            "opacity",
            "font-size:0",
            "visibility",
            "hidden",
            "<img",
            "<link",
            "src=",
            "url(",
            "@import",
            "@font-face",
            "<script",
            "<svg",
            "<form",
            "var(",
            "data:",
        ] {
            let allowed = odd_papers().iter().any(|paper| {
                paper.abstract_text.contains(bad) || paper.comment.as_deref().unwrap_or_default().contains(bad)
            });
            let shown = lower.replace("&lt;img src=x&gt;", "");
            assert!(!shown.contains(bad) || allowed && bad == "<script", "{bad}");
        }
        // Gmail drops the style block past 16 KB.
        let style = &page.html[page.html.find("<style>").unwrap()..page.html.find("</style>").unwrap()];
        assert!(style.len() < 8_000 && style.matches('{').count() == style.matches('}').count());
        for rule in style.split('}').filter(|rule| rule.contains("background-color")) {
            assert!(rule.contains(";color:"), "{rule}");
        }
    }
}

#[test]
fn headings_descend_without_a_gap_and_the_page_names_its_language() {
    let page = odd();
    let levels: Vec<u32> = tags(&page.html)
        .iter()
        .filter_map(|(name, _)| name.strip_prefix('h')?.parse().ok())
        .collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    assert!(
        page.html.starts_with("<!DOCTYPE html>\n<html lang=\"en\" dir=\"ltr\">"),
        "{}",
        &page.html[..60]
    );
    for (name, attributes) in tags(&page.html) {
        if name == "h3" {
            assert!(attributes.contains(&("dir".to_owned(), "auto".to_owned())));
        }
    }
}

#[test]
fn every_link_leads_where_links_may_lead() {
    let page = odd();
    for href in hrefs(&page.html) {
        let known = [
            "https://arxiv.org/abs/",
            "https://arxiv.org/pdf/",
            "https://arxiv.org/html/",
            "https://doi.org/10.",
            "https://github.com/ana/gnn",
            "https://www.alphaxiv.org/abs/2602.",
            "https://papers.example.org",
            "mailto:ops@example.org?subject=",
        ];
        assert!(known.iter().any(|prefix| href.starts_with(prefix)), "{href}");
        assert!(href.bytes().all(|byte| byte.is_ascii_graphic()) && href.len() < 300);
    }
    assert!(hrefs(&page.html).contains(&"https://github.com/ana/gnn".to_owned()));
    // A withdrawn paper has no PDF.
    assert!(!page.html.contains("https://arxiv.org/pdf/2602.00007") && page.html.contains(">withdrawn</b>"));
}

/// CASES 74.
#[test]
fn both_parts_have_the_same_papers_and_links_in_the_same_order() {
    let page = odd();
    assert_eq!(hrefs(&page.html), text_links(&page.text));
    let names: BTreeSet<String> = tags(&page.html)
        .into_iter()
        .flat_map(|(_, attributes)| attributes)
        .filter(|(key, _)| key == "aria-label")
        .map(|(_, value)| value)
        .collect();
    assert!(names.contains("PDF of 2602.00001") && names.len() > 15, "{names:?}");
    // What one part says in words the other says too.
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (seen, text) = (visible(&page.html), folded(&page.text));
    for sentence in [
        "9 Feb",
        "Announcement of Mon 9 Feb; 2 of 3 keywords complete; 41 fetched, 12 new, 27 already sent, 2 excluded.",
        "Not complete: causal inference, since Mon 9 Feb 06:12: arXiv answered 503.",
        "23 more papers wait for the next digest.",
        "5 papers will not be sent",
        "2 of the 7 are shown by title only and 1 abstract is shortened",
        "causal inference incomplete",
        "also: RAG <&>, causal inference",
        "v3 of a paper you got as v1 on 12 August 2025",
        "Author 5 and 2,994 more",
        "ICLR 2026",
    ] {
        assert!(seen.contains(sentence), "{sentence:?} is not in {seen}");
        assert!(text.contains(sentence), "{sentence:?} is not in {text}");
    }
}

#[test]
fn the_text_part_keeps_its_width() {
    for line in odd().text.lines() {
        assert!(
            line.width() <= 72 || line.contains("<https://") || line.contains("<mailto:"),
            "{line}"
        );
        assert_eq!(line.trim_end(), line);
        assert_ne!(line, "--", "mail programs take what follows for a signature");
    }
}

/// CASES 81.
#[test]
fn subjects_name_the_strongest_keywords_within_sixty_characters() {
    let check = |names: &[&str], counts: &[u32], expected: &str| {
        let mut record = record(Vec::new());
        record.keywords = names
            .iter()
            .map(|name| ((*name).to_owned(), Term::phrase(*name)))
            .collect();
        let mut number = 0;
        record.sections = (0..)
            .zip(counts)
            .map(|(keyword, n)| SectionRecord {
                keyword,
                papers: (0..*n)
                    .map(|_| {
                        number += 1;
                        row(&paper(number, "T"), Shown::Full)
                    })
                    .collect(),
                n_waiting: 0,
                n_skipped: 0,
            })
            .collect();
        let subject = rendered(&record, &Papers::new()).subject;
        assert_eq!(subject, expected);
        assert!(subject.chars().count() <= 60);
    };
    check(
        &["RAG", "graph neural network"],
        &[4, 8],
        "12 new papers: graph neural network, RAG",
    );
    check(&["RAG"], &[1], "1 new paper: RAG");
    check(&["a\r\nBcc: x@example.com"], &[1], "1 new paper: a Bcc: x@example.com");
    check(
        &["x".repeat(80).as_str()],
        &[1],
        &format!("1 new paper: {}…", "x".repeat(46)),
    );
    let women = "👩\u{200d}🔬".repeat(30);
    check(
        &[women.as_str()],
        &[1],
        &format!("1 new paper: {}…", "👩\u{200d}🔬".repeat(15)),
    );
    check(
        &["e\u{301}".repeat(40).as_str()],
        &[1],
        &format!("1 new paper: {}…", "e\u{301}".repeat(23)),
    );
}

#[test]
fn a_list_gets_no_links_of_its_own_and_without_links_the_mail_says_how() {
    let one = paper(1, "T");
    let mut record = record(vec![vec![row(&one, Shown::Full)]]);
    let papers = stored(vec![one]);
    record.shared = true;
    let page = rendered(&record, &papers);
    assert!(!page.html.contains("/u/token") && !page.text.contains("/u/token"));
    assert!(
        page.html
            .contains("mailto:ops@example.org?subject=Stop%20these%20mails")
    );
    let bare = rendered_with(Settings::default(), &record, &papers, &PersonalLinks::default());
    for part in [&bare.html, &bare.text] {
        assert!(part.contains("To change keywords, to pause or to stop, reply to this mail."));
    }
    record.shared = false;
    let by_mail = PersonalLinks {
        unsubscribe_url: Some("https://x/\"onclick=\"".to_owned()),
        ..personal()
    };
    let page = rendered_with(Settings::default(), &record, &papers, &by_mail);
    assert!(page.html.contains("href=\"mailto:leave@example.org?subject=token\""));
}

#[test]
fn a_quiet_mail_says_what_was_covered_and_a_welcome_what_is_watched() {
    let mut quiet = record(Vec::new());
    quiet.kind = DigestKind::Quiet;
    let page = rendered(&quiet, &Papers::new());
    assert!(page.subject.starts_with("No new papers"));
    assert!(page.text.starts_with("3 keywords watched, nothing new\n"));
    assert!(page.text.contains("3 of 3 keywords complete") && page.text.contains("/u/token"));
    insta::assert_snapshot!("quiet_text", page.text);

    let one = paper(1, "What matched lately");
    let mut welcome = record(vec![vec![row(&one, Shown::Full)]]);
    welcome.kind = DigestKind::Welcome;
    let page = rendered(&welcome, &stored(vec![one]));
    assert!(page.subject.starts_with("Welcome to Paperround"));
    insta::assert_snapshot!("welcome_text", page.text);
}

#[test]
fn each_silence_has_words_of_its_own_in_both_parts() {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let check = |silence: Silence, sentence: &str, footer: &str| {
        let mut quiet = record(Vec::new());
        quiet.kind = DigestKind::Quiet;
        quiet.coverage.silence = Some(silence);
        quiet.coverage.announced_from = NaiveDate::from_ymd_opt(2026, 2, 4);
        let page = rendered(&quiet, &Papers::new());
        for text in [folded(&page.text), visible(&page.html)] {
            assert!(text.contains(sentence), "{silence:?}: {text}");
            assert!(text.contains(&format!("2 excluded; {footer}.")), "{silence:?}: {text}");
            assert!(
                text.contains("Announcements of Wed 4 Feb to Mon 9 Feb; 3 of 3"),
                "{text}"
            );
        }
    };
    check(
        Silence::NoAnnouncement,
        "arXiv has made no announcement since the last mail.",
        "no announcement since the last mail",
    );
    check(
        Silence::NotYet,
        "arXiv does not show its latest announcement yet.",
        "the latest announcement is not shown by arXiv yet",
    );
    check(
        Silence::FetchFailed,
        "not everything could be fetched. This mail",
        "not everything could be fetched",
    );
    check(
        Silence::NothingMatched,
        "Nothing new has matched your keywords",
        "all was fetched, and nothing new matched",
    );
}

#[test]
fn a_paper_whose_text_is_missing_is_still_linked() {
    let one = paper(1, "T");
    let page = rendered(&record(vec![vec![row(&one, Shown::Full)]]), &Papers::new());
    for part in [&page.html, &page.text] {
        assert!(part.contains("https://arxiv.org/abs/2602.00001") && part.contains("arXiv:2602.00001"));
    }
}

/// `n` papers of ordinary length in three sections.
fn ordinary(n: u32) -> (DigestRecord, Papers) {
    let papers: Vec<Paper> = (1..=n)
        .map(|number| {
            let mut paper = paper(
                number,
                "Graph neural networks that learn to say much in few words, a study",
            );
            paper.abstract_text = "We study a graph neural network — and its loss ℓ. ".repeat(38);
            paper
        })
        .collect();
    let mut sections = vec![Vec::new(), Vec::new(), Vec::new()];
    for (index, paper) in papers.iter().enumerate() {
        sections[index * 3 / papers.len()].push(row(paper, Shown::Full));
    }
    sections.retain(|section| !section.is_empty());
    (record(sections), stored(papers))
}

/// CASES 64.
#[test]
fn any_number_of_papers_fits_and_none_is_lost() {
    for n in [0, 1, 12, 40, 400] {
        let (record, papers) = ordinary(n);
        let fitted = fitted(record, &papers);
        let page = rendered(&fitted.record, &papers);
        let size = quoted_printable_len(&page.html);
        assert!(size <= 90_000, "{n} papers: {size} bytes");
        let shown = fitted.record.papers().count();
        let waiting: usize = fitted.record.sections.iter().map(|section| section.n_waiting).sum();
        assert_eq!((shown + fitted.cut.len(), waiting), (n as usize, fitted.cut.len()));
        assert!(shown >= (n as usize).min(300), "{n} papers: only {shown} are shown");
        if n == 40 {
            assert!(size > 80_000, "room was left: {size} bytes");
            assert!(page.text.contains("To keep this mail small,"), "{}", page.text);
        }
        if n == 400 {
            let lengths: Vec<usize> = fitted
                .record
                .sections
                .iter()
                .map(|section| section.papers.len())
                .collect();
            assert!(
                lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1,
                "{lengths:?}"
            );
            let expected = format!("{} more papers wait for the next digest.", fitted.cut.len());
            let folded = page.text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(folded.contains(&expected), "{expected}");
        }
        for paper in fitted.record.papers() {
            assert!(page.html.contains(&format!("https://arxiv.org/abs/{}", paper.id)));
        }
    }
}

#[test]
fn thousands_of_papers_stay_within_the_templates_bounds() {
    let (mut record, papers) = ordinary(2_000);
    for section in &mut record.sections {
        for paper in &mut section.papers {
            paper.shown = Shown::Short;
        }
    }
    assert_eq!(rendered(&record, &papers).html.matches("<h3").count(), 2_000);
}

#[test]
fn the_bottom_gives_way_before_the_top() {
    let (record, papers) = ordinary(60);
    let fitted = fitted(record, &papers).record;
    let shown: Vec<Shown> = fitted.papers().map(|paper| paper.shown).collect();
    assert!(shown.windows(2).all(|pair| pair[0] >= pair[1]), "{shown:?}");
}

/// CASES 78.
#[test]
fn hostile_fields_of_any_size_fit() {
    let hostile = [
        "T".repeat(3_000),
        "🙂".repeat(800),
        "<".repeat(20_000),
        "👩\u{200d}🔬".repeat(4_000),
        format!("a{}", "\u{301}".repeat(20_000)),
        "graph neural network ".repeat(1_000),
        "\u{0}".repeat(20_000),
        "&amp;\"' ".repeat(2_500),
        "= ".repeat(10_000),
        "\n".repeat(20_000),
    ];
    for text in &hostile {
        let mut papers: Vec<Paper> = (1..=12).map(|number| paper(number, text)).collect();
        for paper in &mut papers {
            paper.abstract_text.clone_from(text);
            paper.comment = Some(text.clone());
            paper.journal_ref = Some(text.clone());
            paper.doi = Some(text.clone());
            paper.authors = vec![Author::named(text.clone()); 40];
            paper.categories = vec![text.clone(); 40];
        }
        let mut record = record(vec![papers.iter().map(|paper| row(paper, Shown::Full)).collect()]);
        record.keywords = vec![(text.clone(), Term::phrase("x")); 500];
        record.sections[0].papers[0].also = (1..500).collect();
        record.coverage.incomplete = vec![
            IncompleteKeyword {
                keyword: text.clone(),
                since: record.frozen_at,
                why: text.clone(),
            };
            500
        ];
        let papers = stored(papers);
        let fitted = fitted(record, &papers);
        assert!(fitted.record.papers().count() >= 1);
        let page = rendered(&fitted.record, &papers);
        let size = quoted_printable_len(&page.html);
        assert!(
            size <= 90_000,
            "{:?}…: {size} bytes",
            text.chars().take(3).collect::<String>()
        );
        assert!(page.subject.chars().count() <= 60);
        assert!(tags(&page.html).len() > 20, "the markup stays well formed");
    }
}

#[test]
fn templates_can_be_overridden_and_broken_ones_are_told_and_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "digest.subject.txt.j2",
        "Ours: {{ page.headline }}\n\nBcc: x@example.com",
    );
    write("digest.txt.j2", "fine\n{% if %}");
    write("quiet.html.j2", "<p>\n{{ page.no_such_thing }}</p>");
    write(
        "welcome.txt.j2",
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    );
    write("digset.html.j2", "misspelt");
    write("notes.md", "not a template");
    let settings = Settings {
        templates_dir: Some(dir.path().to_owned()),
        ..settings()
    };
    let renderer = Renderer::new(settings.clone()).unwrap();
    let told: Vec<String> = renderer.problems().iter().map(ToString::to_string).collect();
    let find = |name: &str| {
        told.iter()
            .find(|told| told.contains(name))
            .unwrap_or_else(|| panic!("{told:?}"))
    };
    assert!(find("digest.txt.j2, line 2: ").contains("syntax error"), "{told:?}");
    assert!(find("quiet.html.j2, line 2: ").contains("undefined"), "{told:?}");
    assert!(find("welcome.txt.j2").contains("fuel"), "{told:?}");
    assert!(find("digset.html.j2").contains("no template is called so"), "{told:?}");
    assert_eq!(told.len(), 4, "{told:?}");

    let papers = odd_papers();
    let page = rendered_with(settings, &odd_record(&papers), &stored(papers), &personal());
    assert_eq!(page.subject, "Ours: 7 new papers Bcc: x@example.com");
    assert_eq!(
        (page.text, page.html),
        (odd().text, odd().html),
        "the others are the built-in ones"
    );
    assert_eq!(page.fell_back, None);
}

#[test]
fn an_override_that_fails_on_one_digest_does_not_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    // It is fine on the sample, which has a stop link.
    fs::write(dir.path().join("digest.txt.j2"), "{{ page.stop.href }}").unwrap();
    let settings = Settings {
        templates_dir: Some(dir.path().to_owned()),
        ..Settings::default()
    };
    let one = paper(1, "T");
    let record = record(vec![vec![row(&one, Shown::Full)]]);
    let page = rendered_with(settings.clone(), &record, &stored(vec![one]), &PersonalLinks::default());
    assert!(page.text.contains("https://arxiv.org/abs/2602.00001"));
    let told = page.fell_back.unwrap().to_string();
    assert!(told.contains("digest.txt.j2, line 1: "), "{told}");
    let missing = Settings {
        templates_dir: Some(dir.path().join("absent")),
        ..settings
    };
    let error = Renderer::new(missing).unwrap_err();
    assert!(
        error.to_string().contains("absent cannot be read; create it"),
        "{error}"
    );
}

/// A passage that a template lost would be a paper that nobody gets.
#[test]
fn what_is_kept_is_put_out_once_as_it_is_or_the_template_is_refused() {
    #[track_caller]
    fn check(put_out: &str, is_refused: bool) {
        let dir = tempfile::tempdir().unwrap();
        let template = format!(
            "{{% extends \"layout.txt.j2\" %}}\n{{% import \"cards.txt.j2\" as cards %}}\n\
             {{% macro twice(paper) %}}{{{{ kept(cards.line, paper) }}}} {{{{ kept(cards.line, paper) }}}}{{% endmacro %}}\n\
             {{% block main %}}{{% for section in page.sections %}}{{% for paper in section.cards %}}{put_out}\n\
             {{% endfor %}}{{% endfor %}}{{% endblock %}}"
        );
        fs::write(dir.path().join("digest.txt.j2"), template).unwrap();
        let renderer = Renderer::new(Settings {
            templates_dir: Some(dir.path().to_owned()),
            ..Settings::default()
        })
        .unwrap();
        assert_eq!(
            renderer.problems().len(),
            usize::from(is_refused),
            "{:?}",
            renderer.problems()
        );
    }
    check("{{ kept(cards.line, paper) }}", false);
    check("before {{ kept(cards.line, paper) }} after", false);
    check("{{ kept(twice, paper) }}", false);
    check("{{ kept(cards.line, paper)|length }}", true);
    check("{% set words = kept(cards.line, paper) %}{{ words }}{{ words }}", true);
    check("{% set words = kept(cards.line, paper) %}", true);
}

/// Recorded papers of 2026 in four sections of a hundred each, the latest first.
fn recorded_day() -> Option<(DigestRecord, Papers)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/corpus.jsonl");
    let Ok(corpus) = fs::read_to_string(path) else {
        println!("skipped: ../shared is absent");
        return None;
    };
    let mut papers: Vec<Paper> = corpus
        .lines()
        .filter_map(|line| {
            let field: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| field[name].as_str().map(str::to_owned);
            let list = |name: &str| field[name].as_array().unwrap().clone().into_iter();
            Some(Paper {
                id: text("id")?.parse().unwrap(),
                version: 1,
                title: text("title")?,
                authors: list("authors")
                    .map(|name| Author::named(name.as_str().unwrap()))
                    .collect(),
                abstract_text: text("abstract")?.trim().to_owned(),
                submitted: text("published")?.parse().ok(),
                updated: text("updated")?.parse().ok(),
                categories: list("categories")
                    .map(|name| name.as_str().unwrap().to_owned())
                    .collect(),
                comment: text("comment"),
                journal_ref: text("journal_ref"),
                doi: text("doi"),
                withdrawn: false,
            })
        })
        .filter(|paper| paper.submitted > Some(at("2026-01-01T00:00:00Z")))
        .collect();
    papers.sort_by_key(|paper| std::cmp::Reverse(paper.submitted));
    papers.truncate(400);
    assert_eq!(papers.len(), 400);
    let sections = papers
        .chunks(100)
        .map(|chunk| chunk.iter().map(|paper| row(paper, Shown::Full)).collect())
        .collect();
    let mut record = record(sections);
    record.keywords.push((
        "reinforcement learning".to_owned(),
        Term::phrase("reinforcement learning"),
    ));
    Some((record, stored(papers)))
}

#[test]
fn a_mail_holds_hundreds_of_recorded_papers() {
    let Some((record, papers)) = recorded_day() else { return };
    let fitted = fitted(record, &papers);
    let page = rendered(&fitted.record, &papers);
    let n_papers = fitted.record.papers().count();
    let size = quoted_printable_len(&page.html);
    println!(
        "{n_papers} recorded papers fit into {size} bytes (102 when a row of title, author and PDF was the least)"
    );
    assert!((300..400).contains(&n_papers) && size <= 90_000);
    assert!(fitted.record.papers().all(|paper| paper.shown == Shown::Line));
    assert_eq!(hrefs(&page.html), text_links(&page.text));
    let expected = format!("all {n_papers} papers are shown by title only");
    assert!(visible(&page.html).contains(&expected), "{expected}");
}

#[test]
fn a_line_takes_little_more_than_its_title() {
    let size = |title: &str, n: u32| {
        let papers: Vec<Paper> = (1..=n).map(|number| paper(number, title)).collect();
        let rows = papers.iter().map(|paper| row(paper, Shown::Line)).collect();
        quoted_printable_len(&rendered(&record(vec![rows]), &stored(papers)).html)
    };
    let (shortest, ordinary) = (
        "T",
        "Graph neural networks that learn to say much in few words, a study",
    );
    let least = size(shortest, 2) - size(shortest, 1);
    assert!(least >= governor::LINE_BYTES_MIN, "{least}");
    let usual = size(ordinary, 2) - size(ordinary, 1) - ordinary.len();
    assert!(usual <= 200, "{usual}");
}

#[test]
fn papers_give_way_tier_by_tier_before_any_waits() {
    let (record, papers) = ordinary(150);
    let fitted = fitted(record, &papers);
    assert!(fitted.cut.is_empty(), "{} wait", fitted.cut.len());
    let shown: BTreeSet<Shown> = fitted.record.papers().map(|paper| paper.shown).collect();
    assert_eq!(shown, BTreeSet::from([Shown::Line, Shown::Title]));
}

#[test]
fn mails_that_are_no_digest_are_in_the_same_hand() {
    let notice = Notice {
        subject: "Paperround needs you: keyword NAS".to_owned(),
        lead: "the keyword \"NAS\" could not be fetched completely".to_owned(),
        headline: "Needs you".to_owned(),
        blocks: vec![
            Block {
                heading: Some(("In trouble".to_owned(), "1 trouble".to_owned())),
                paragraphs: vec!["Since 2026-02-03 07:00 UTC: arXiv said <b>no</b>\r\nBcc: x & \"y\"".to_owned()],
            },
            Block {
                heading: None,
                paragraphs: vec!["`paperround status` shows all of it.".to_owned()],
            },
        ],
        why: "You get this because report.to names your address.".to_owned(),
    };
    let renderer = Renderer::new(settings()).unwrap();
    let page = Parts::from(renderer.notice(&notice, at("2026-02-10T06:00:00Z")).unwrap());
    assert_eq!(page.subject, notice.subject);
    insta::assert_snapshot!("notice_text", page.text);
    let seen = visible(&page.html);
    for words in [
        "Needs you",
        "In trouble",
        "arXiv said <b>no</b> Bcc: x & \"y\"",
        "report.to names your address",
    ] {
        assert!(seen.contains(words), "{words:?} is not in {seen}");
    }
    assert!(
        !page.html.contains("<b>no") && !page.html.contains("Announcement"),
        "{}",
        page.html
    );
    assert_eq!(hrefs(&page.html), ["https://papers.example.org"]);
}

#[test]
fn subscribers_of_the_same_paper_share_its_card_and_no_card_is_taken_for_another() {
    let one = paper(1, "A graph neural network for molecules");
    let first = record(vec![vec![row(&one, Shown::Full)]]);
    let renderer = Renderer::new(settings()).unwrap();
    let render = |record: &DigestRecord, paper: &Paper, marks: &dyn Fn(&Arc<Paper>) -> Marks| {
        let papers = stored(vec![paper.clone()]);
        let sources = Sources {
            papers: &|id| papers.get(id).cloned(),
            marks,
        };
        Parts::from(renderer.render(record, &sources, &personal()).unwrap())
    };
    let alone = |record: &DigestRecord, paper: &Paper| rendered(record, &stored(vec![paper.clone()]));
    // Again and again, by one renderer, whatever it has made before: the same as by a fresh one.
    let mut shorter = first.clone();
    shorter.sections[0].papers[0].shown = Shown::Title;
    let mut elsewhere = first.clone();
    elsewhere.zone = "Asia/Tokyo".to_owned();
    let mut also = first.clone();
    also.sections[0].papers[0].also = vec![1];
    let mut corrected = one.clone();
    corrected.title = "A graph neural network for proteins".to_owned();
    // Nor does what a paper says stand for the card of another.
    let mut forged = one.clone();
    forged.title = "\u{fdd0}0\u{fdd1} and \u{fdd0}1\u{fdd1}".to_owned();
    forged.comment = Some(forged.title.clone());
    for _ in 0..2 {
        for (record, paper) in [
            (&first, &forged),
            (&first, &one),
            (&shorter, &one),
            (&elsewhere, &one),
            (&also, &one),
            (&first, &corrected),
        ] {
            let shared = render(record, paper, &marks);
            assert_eq!(shared, alone(record, paper));
        }
        let unmarked = render(&first, &one, &|_| Marks::default());
        assert!(!unmarked.html.contains("class=\"g\""), "{}", unmarked.html);
    }
}

#[test]
fn pages_escape_what_they_are_given_and_a_broken_override_of_one_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("web.html.j2"), "{{ web.no_such_thing }}").unwrap();
    fs::write(dir.path().join("papers.html.j2"), "<p>{{ search.found }}</p>").unwrap();
    let renderer = Renderer::new(Settings {
        templates_dir: Some(dir.path().to_owned()),
        sender_name: "Papers & <b>".to_owned(),
        ..Settings::default()
    })
    .unwrap();
    let told: Vec<String> = renderer.problems().iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("web.html.j2, line 1: "), "{told:?}");
    let html = renderer
        .web_page(&WebPage {
            headline: "<script>".to_owned(),
            paragraphs: vec!["a < b".to_owned()],
            contact: Some("\"x\"@example.org".to_owned()),
            ..WebPage::default()
        })
        .unwrap();
    assert!(
        html.contains("<h1>&lt;script&gt;</h1>") && html.contains("a &lt; b"),
        "{html}"
    );
    assert!(
        html.contains("Papers &amp; &lt;b&gt;") && !html.contains("mailto:\"x"),
        "{html}"
    );
    let page = PapersPage {
        found: "3 papers & more".to_owned(),
        ..PapersPage::default()
    };
    let one = paper(1, "T");
    let record = record(vec![vec![row(&one, Shown::Full)]]);
    let papers = stored(vec![one]);
    let sources = Sources {
        papers: &|id| papers.get(id).cloned(),
        marks: &|_| Marks::default(),
    };
    assert_eq!(
        renderer.papers_page(&page, &record, &sources).unwrap(),
        "<p>3 papers &amp; more</p>"
    );
}
