//! The papers as a feed (RFC 4287), each once whatever keywords brought it.

use chrono::{DateTime, SecondsFormat, Utc};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use super::{FeedName, Page, abstract_page, pdf, readable};
use crate::{model::Paper, render::line};

/// What never changes about the feed of the page (RFC 4287, 4.2.6: an IRI).
const FEED_ID: &str = "urn:uuid:5b0f2c0e-6d0a-5a0b-9a3f-7f1d3c1e9b11";

pub(super) fn write(page: &Page) -> String {
    let name = FeedName {
        id: FEED_ID.to_owned(),
        title: "Daily Papers".to_owned(),
    };
    write_named(page, &name)
}

pub(super) fn write_named(page: &Page, name: &FeedName) -> String {
    let mut feed = Feed(Writer::new_with_indent(Vec::new(), b' ', 2));
    feed.event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
    feed.open("feed", &[("xmlns", "http://www.w3.org/2005/Atom")]);
    feed.text("id", &line(&name.id));
    feed.text("title", &line(&name.title));
    feed.text("updated", &moment(page.updated));
    feed.text("generator", "Paperround");
    for (paper, keywords) in page.papers() {
        feed.entry(paper, &keywords, page.updated);
    }
    feed.close("feed");
    String::from_utf8(feed.0.into_inner()).expect("everything that was written was text") + "\n"
}

struct Feed(Writer<Vec<u8>>);

impl Feed {
    fn entry(&mut self, paper: &Paper, keywords: &[&str], now: DateTime<Utc>) {
        self.open("entry", &[]);
        self.text("id", &abstract_page(paper));
        self.text("title", &readable(&paper.title));
        self.text("updated", &moment(paper.updated.or(paper.submitted).unwrap_or(now)));
        if let Some(submitted) = paper.submitted {
            self.text("published", &moment(submitted));
        }
        self.empty("link", &[("rel", "alternate"), ("href", &abstract_page(paper))]);
        self.empty(
            "link",
            &[("rel", "related"), ("type", "application/pdf"), ("href", &pdf(paper))],
        );
        for author in &paper.authors {
            self.author(&line(&author.name));
        }
        if paper.authors.is_empty() {
            // An entry without an author is no valid one (4.1.2).
            self.author("arXiv");
        }
        for category in &paper.categories {
            let term = line(category);
            self.empty(
                "category",
                &[("scheme", "http://arxiv.org/schemas/atom"), ("term", &term)],
            );
        }
        for keyword in keywords {
            let term = line(keyword);
            self.empty("category", &[("scheme", "urn:paperround:keyword"), ("term", &term)]);
        }
        let abstract_text = readable(&paper.abstract_text);
        self.text("summary", &abstract_text);
        self.close("entry");
    }

    fn author(&mut self, name: &str) {
        self.open("author", &[]);
        self.text("name", name);
        self.close("author");
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.event(Event::Start(start));
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.event(Event::Empty(start));
    }

    fn close(&mut self, name: &str) {
        self.event(Event::End(BytesEnd::new(name)));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.event(Event::Text(BytesText::new(text)));
        self.close(name);
    }

    fn event(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("writing to a vector cannot fail");
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        export::{
            Section,
            tests::{at, numbered},
        },
        model::Author,
    };

    #[test]
    fn the_feed_is_read_back_by_the_reader_of_arxivs_feeds() {
        let hostile = Paper {
            authors: vec![Author::named("Ana & <Bo>"), Author::named("Cy\u{0}")],
            submitted: Some(at(1)),
            abstract_text: "a < b\u{1b}[1m ]]> & \"c\"".to_owned(),
            ..numbered(7, "Graphs <script>")
        };
        let section = |keyword: &str| Section {
            keyword: keyword.to_owned(),
            papers: vec![hostile.clone()],
            is_incomplete: false,
        };
        let page = Page {
            updated: at(2),
            sections: vec![section("graph"), section("\"R&D\"")],
        };
        let text = write(&page);
        let feed = crate::arxiv::atom::parse(text.as_bytes()).unwrap();
        assert_eq!((feed.papers.len(), feed.rejected.len()), (1, 0), "{text}");
        let read = &feed.papers[0];
        assert_eq!(read.id, hostile.id);
        assert_eq!(read.title, "Graphs <script>");
        assert_eq!(read.abstract_text, "a < b [1m ]]> & \"c\"");
        assert_eq!(read.authors[0].name, "Ana & <Bo>");
        assert!(text.contains("term=\"&quot;R&amp;D&quot;\""), "{text}");
        assert!(!text.contains(['\u{0}', '\u{1b}']));
    }
}
