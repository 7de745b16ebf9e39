//! arXiv's answers: every entry is accounted for, papers are bounded and clean, and a broken entry spoils only itself.

use paperround::{
    arxiv::{
        self, ABSTRACT_BYTES_MAX, AUTHORS_MAX, FeedError, LINE_BYTES_MAX, Mended, Rejected, TITLE_BYTES_MAX,
        oai::OaiError,
    },
    model::{ArxivId, Paper},
};

/// The longest text that an error or a rejection may have, in bytes: it quotes some words of the input.
const WORDS_BYTES_MAX: usize = 4_000;

const ATOM: (&str, &str) = (
    "<feed xmlns='http://www.w3.org/2005/Atom' xmlns:arxiv='http://arxiv.org/schemas/atom'>\
     <entry><id>http://arxiv.org/abs/2603.00001v1</id><title>Neighbour</title></entry>",
    "</feed>",
);
const OAI: (&str, &str) = (
    "<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'><ListRecords><record>\
     <header><identifier>oai:arXiv.org:2603.00001</identifier></header><metadata>\
     <arXivRaw xmlns='http://arxiv.org/OAI/arXivRaw/'><id>2603.00001</id><title>Neighbour</title></arXivRaw>\
     </metadata></record>",
    "</ListRecords></OAI-PMH>",
);
const RSS: (&str, &str) = (
    "<rss version='2.0' xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:arxiv='http://arxiv.org/schemas/atom'><channel>\
     <item><guid>oai:arXiv.org:2603.00001v1</guid><title>Neighbour</title></item>",
    "</channel></rss>",
);

/// A page of the query API.
pub fn atom(input: &[u8]) {
    alone_and_beside_a_neighbour(input, ATOM, &|body| match arxiv::atom::parse(body) {
        Ok(feed) => {
            assert_eq!(feed.papers.len() + feed.rejected.len(), feed.n_entries);
            super::is_line(&feed.title, TITLE_BYTES_MAX);
            sound(&feed.papers, &feed.rejected, &feed.mended);
            Some(ids(&feed.papers))
        }
        Err(error) => refused(&error),
    });
}

/// A page of a harvest, or the list of sets.
pub fn oai(input: &[u8]) {
    alone_and_beside_a_neighbour(input, OAI, &|body| match arxiv::oai::parse(body) {
        Ok(page) => {
            let n_accounted = page.papers.len() + page.rejected.len() + page.deleted.len();
            assert_eq!(n_accounted, page.n_records);
            assert!(page.resumption_token.is_none_or(|token| !token.is_empty()));
            sound(&page.papers, &page.rejected, &page.mended);
            Some(ids(&page.papers))
        }
        Err(OaiError::Document(error)) => refused(&error),
        Err(error) => {
            assert!((1..=WORDS_BYTES_MAX).contains(&error.to_string().len()));
            None
        }
    });
    if let Ok(list) = arxiv::setlist::parse(input) {
        assert!(!list.specs.is_empty() && list.specs.iter().all(|spec| (1..=64).contains(&spec.len())));
    }
}

/// A day's feed, in any of its dialects.
pub fn rss(input: &[u8]) {
    alone_and_beside_a_neighbour(input, RSS, &|body| match arxiv::rss::parse(body) {
        Ok(feed) => {
            assert_eq!(feed.items.len() + feed.rejected.len(), feed.n_items);
            super::is_line(&feed.title, TITLE_BYTES_MAX);
            let papers: Vec<Paper> = feed.items.into_iter().map(|item| item.paper).collect();
            sound(&papers, &feed.rejected, &feed.mended);
            Some(ids(&papers))
        }
        Err(error) => refused(&error),
    });
}

/// Reads the input as a document, and as what stands beside a good entry, which must be there if anything is.
fn alone_and_beside_a_neighbour(
    input: &[u8],
    (before, after): (&str, &str),
    read: &dyn Fn(&[u8]) -> Option<Vec<ArxivId>>,
) {
    read(input);
    let beside = [before.as_bytes(), input, after.as_bytes()].concat();
    if let Some(ids) = read(&beside) {
        let neighbour = ids.first().map(ToString::to_string);
        assert_eq!(neighbour.as_deref(), Some("2603.00001"), "the neighbour is lost");
    }
}

fn ids(papers: &[Paper]) -> Vec<ArxivId> {
    papers.iter().map(|paper| paper.id.clone()).collect()
}

#[track_caller]
fn refused(error: &FeedError) -> Option<Vec<ArxivId>> {
    let words = error.to_string();
    super::is_line(&words, WORDS_BYTES_MAX);
    assert!(!words.is_empty());
    None
}

#[track_caller]
fn sound(papers: &[Paper], rejected: &[Rejected], mended: &[Mended]) {
    for paper in papers {
        is_sound(paper);
    }
    for rejected in rejected {
        assert!(!rejected.why.is_empty());
        super::is_line(&rejected.why, WORDS_BYTES_MAX);
        if let Some(id) = &rejected.id {
            super::is_line(id, LINE_BYTES_MAX);
        }
    }
    for mended in mended {
        assert!(papers.iter().any(|paper| paper.id.to_string() == mended.id));
    }
}

/// What the rest of the program takes for granted of a paper.
#[track_caller]
fn is_sound(paper: &Paper) {
    assert_eq!(paper.id.to_string().parse::<ArxivId>().as_ref(), Ok(&paper.id));
    assert!(paper.version >= 1 && !paper.title.is_empty());
    super::is_line(&paper.title, TITLE_BYTES_MAX);
    for line in [&paper.comment, &paper.journal_ref, &paper.doi].into_iter().flatten() {
        assert!(!line.is_empty());
        super::is_line(line, LINE_BYTES_MAX);
    }
    assert!(paper.abstract_text.len() <= ABSTRACT_BYTES_MAX);
    assert!(!paper.abstract_text.contains(|c: char| c.is_control() && c != '\n'));
    assert!(paper.authors.len() <= AUTHORS_MAX);
    for author in &paper.authors {
        assert!(!author.name.is_empty());
        for line in author.affiliations.iter().chain([&author.name]) {
            super::is_line(line, LINE_BYTES_MAX);
        }
    }
    let is_category = |c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '.');
    assert!(
        paper
            .categories
            .iter()
            .all(|category| category.chars().all(is_category))
    );
    let stored = serde_json::to_string(paper).expect("a paper can be stored");
    assert_eq!(serde_json::from_str::<Paper>(&stored).ok().as_ref(), Some(paper));
}
